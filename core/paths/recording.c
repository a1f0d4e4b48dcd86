/* SPDX-License-Identifier: MIT */
#include "recording.h"

#include <string.h>

#include "../db/settings.h"
#include "tree.h"

#define STEP_DEFAULT NS_PER_MIN
#define STEPS_BACK 5
#define PATH_MAX_BYTES ((size_t)16 << 10)

int recordings_set(struct db *db, struct str json, struct error *err)
{
	_recordings_ struct recordings r = { 0 };
	int e = recordings_parse((struct slice){ (const uint8_t *)json.s, json.len }, &r, err);
	if (e)
		return e;
	bool blank = !json.len || !memchr(json.s, '[', json.len); /* else it is an array */
	return settings_set_text(db, RECORDING_MEMBER, blank ? STR("") : json, err);
}

int recordings_text(struct db *db, struct buf *out, struct error *err)
{
	size_t before = out->len;
	int e = settings_get_text(db, RECORDING_MEMBER, VIEW_MAX_AGE, out, err);
	if (!e && out->len == before)
		buf_puts(out, "[]\n");
	return e ? e : buf_err(out);
}

/* The place that a rule's selection names, with the span where a path has its time. */
static int find_place(struct tree *t, const struct recording *r, const struct span *span, const struct cancel *cancel,
                      struct node **ret, struct error *err)
{
	_buf_ struct buf path = BUF_INIT(PATH_MAX_BYTES);
	char time[SPAN_NAME_LEN];
	const char *service = r->select + strspn(r->select, "/");
	int len = (int)strcspn(service, "/");
	buf_printf(&path, "/%.*s/%s%s", len, service, times_span_name(span, time), service + len);
	buf_putc(&path, '\0');
	return buf_err(&path) ? buf_err(&path) : tree_walk(t, (const char *)path.data, true, cancel, ret, err);
}

static int narrow_to_rule(struct selection *sel, const struct recording *r, int64_t now, struct error *err)
{
	struct render_options *o = &sel->options;
	o->step = o->step ? o->step : STEP_DEFAULT;
	sel->to = time_floor(now, o->step);
	sel->from = sel->to - STEPS_BACK * o->step;
	if (r->by) {
		free(sel->by);
		sel->by = strdup(r->by);
		if (!sel->by)
			return -ENOMEM;
	}
	if (!r->function)
		return 0;
	enum filter_kind kind = r->self ? r->regex ? FILTER_SELF_RE : FILTER_SELF
	                                : r->regex ? FILTER_FUNCTION_RE : FILTER_FUNCTION;
	return selection_add_filter(sel, kind, str_of(r->function), err);
}

static int render_rule(struct tree *t, const struct recording *r, const struct cancel *cancel, struct buf *out,
                       struct error *err)
{
	_cleanup_(node_unrefp) struct node *n = NULL;
	_cleanup_(query_unrefp) struct query *q = NULL;
	int64_t now = tree_now(t);
	struct span span = { time_floor(now, STEP_DEFAULT) - STEPS_BACK * STEP_DEFAULT, time_floor(now, STEP_DEFAULT) };
	int e = find_place(t, r, &span, cancel, &n, err);
	if (e == ERR_PATH_ABSENT)
		return 0;
	if (e)
		return e;
	if (!node_selection(n))
		return error_set(err, ERR_PATH, "the rule '%s' selects no profiles", r->name);
	_cleanup_(selection_freep) struct selection *sel = selection_copy(node_selection(n));
	e = sel ? narrow_to_rule(sel, r, now, err) : -ENOMEM;
	if (!e)
		e = plan_once(t, sel, cancel, &q, err);
	return e ? e : render_newest(q, r->name, cancel, out, err);
}

int recordings_render(struct tree *t, const struct cancel *cancel, struct buf *out, struct error *err)
{
	_buf_ struct buf text = BUF_INIT(RECORDING_MAX_BYTES);
	_recordings_ struct recordings rules = { 0 };
	int e = recordings_text(t->db, &text, err);
	if (!e)
		e = recordings_parse(buf_slice(&text), &rules, err);
	for (size_t i = 0; !e && i < rules.n; i++)
		e = render_rule(t, &rules.v[i], cancel, out, err);
	return e ? e : buf_err(out);
}

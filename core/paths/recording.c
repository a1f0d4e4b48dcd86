/* SPDX-License-Identifier: MIT */

/*
 * Values of rules. A recorder keeps the newest ones of each rule: they are put once more, without a look at a profile,
 * for as long as no step has ended and the view has the same objects; where it has others, the plan (profile tables
 * alone) tells whether the rule selects the same profiles still.
 */

#include "recording.h"

#include <string.h>

#include "../base/hash.h"
#include "../db/settings.h"
#include "times.h"
#include "tree.h"

#define STEPS_BACK 5
#define PATIENCE (5 * NS_PER_S) /* with another who computes the values */
#define REACH NS_PER_HOUR /* of profiles from before the first step into it */
#define PATH_MAX_BYTES ((size_t)16 << 10)
#define TEXT_MAX_BYTES ((size_t)64 << 20)

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

/* ---- one rule ---- */

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

static int narrow_to_rule(struct selection *sel, const struct recording *r, const struct span *span, struct error *err)
{
	sel->options.step = r->step;
	sel->from = span->from;
	sel->to = span->to;
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

/* The query of the steps in [from, to); ERR_PATH_ABSENT where the service or type is not there. */
static int query_rule(struct tree *t, const struct recording *r, int64_t from, int64_t to, const struct cancel *cancel,
                      struct query **ret, struct error *err)
{
	_cleanup_(node_unrefp) struct node *n = NULL;
	struct span span = { time_floor(from - REACH, r->step), to };
	struct span seconds = { time_floor(span.from, NS_PER_S), -time_floor(-to, NS_PER_S) }; /* as a path has them */
	int e = find_place(t, r, &seconds, cancel, &n, err);
	if (e)
		return e;
	if (!node_selection(n))
		return error_set(err, ERR_PATH, "the rule '%s' selects no profiles", r->name);
	_cleanup_(selection_freep) struct selection *sel = selection_copy(node_selection(n));
	e = sel ? narrow_to_rule(sel, r, &span, err) : -ENOMEM;
	return e ? e : plan_once(t, sel, cancel, ret, err);
}

struct since {
	int64_t from;
	metric_fn fn;
	void *ctx;
};

static int pass_since(void *ctx, const struct metric_series *s)
{
	const struct since *w = ctx;
	struct metric_series rest = *s;
	for (; rest.n_samples && rest.samples->time < w->from; rest.samples++)
		rest.n_samples--;
	return rest.n_samples ? w->fn(w->ctx, &rest) : 0;
}

int recording_series(struct tree *t, const struct recording *r, int64_t from, int64_t to, const struct cancel *cancel,
                     metric_fn fn, void *ctx, struct error *err)
{
	_cleanup_(query_unrefp) struct query *q = NULL;
	struct since since = { from, fn, ctx };
	int e = query_rule(t, r, from, to, cancel, &q, err);
	if (e)
		return e == ERR_PATH_ABSENT ? 0 : e;
	return render_series(q, r->name, cancel, pass_since, &since, err);
}

int recording_first(struct tree *t, int64_t *ret, struct error *err)
{
	_days_ struct days days = { 0 };
	int e = facts_days(t, NULL, &days, err);
	if (!e)
		*ret = days.n ? times_day_span(days.v[0]).from : TIME_MAX;
	return e;
}

/* ---- the newest values of all ---- */

struct recorded {
	bool known;
	int64_t to;          /* end of the newest step */
	uint64_t generation; /* of the view that was looked at last */
	uint8_t print[PRINT_LEN];
	struct buf text;
};

struct recorder {
	pthread_mutex_t lock; /* guards all below; held while values are computed */
	uint64_t hash;        /* of the rules' text */
	struct recordings rules;
	struct recorded *v;   /* by rule */
};

int recorder_new(struct recorder **ret)
{
	struct recorder *r = calloc(1, sizeof *r);
	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->lock, NULL);
	*ret = r;
	return 0;
}

static void forget_rules(struct recorder *r)
{
	for (size_t i = 0; r->v && i < r->rules.n; i++)
		buf_done(&r->v[i].text);
	free(TAKE_PTR(r->v));
	recordings_done(&r->rules);
}

void recorder_free(struct recorder *r)
{
	if (!r)
		return;
	forget_rules(r);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

/* Under the lock. */
static int read_rules(struct tree *t, struct recorder *r, struct error *err)
{
	_buf_ struct buf text = BUF_INIT(RECORDING_MAX_BYTES + 1);
	int e = recordings_text(t->db, &text, err);
	uint64_t hash = hash_bytes(text.data, text.len);
	if (e || (r->v && r->hash == hash))
		return e;
	forget_rules(r);
	e = recordings_parse(buf_slice(&text), &r->rules, err);
	if (e)
		return e;
	r->hash = hash;
	r->v = calloc(r->rules.n + 1, sizeof *r->v);
	for (size_t i = 0; r->v && i < r->rules.n; i++)
		r->v[i].text = BUF_INIT(TEXT_MAX_BYTES);
	return r->v ? 0 : -ENOMEM;
}

static int generation_now(struct tree *t, uint64_t *ret, struct error *err)
{
	_cleanup_(view_unrefp) struct view *v = NULL;
	int e = db_view(t->db, VIEW_MAX_AGE, &v, err);
	if (!e)
		*ret = view_generation(v);
	return e;
}

/* The reason stands where the values would: one rule's trouble is not the others'. */
static int put_trouble(const struct recording *r, struct recorded *at, int e, const struct error *err)
{
	if (e != ERR_PATH && e != ERR_LIMIT && e != ERR_LIMIT_MEMORY)
		return e;
	buf_reset(&at->text);
	buf_printf(&at->text, "# %s: ", r->name);
	for (const char *s = error_text(err, e); *s; s++)
		buf_putc(&at->text, *s == '\n' ? ' ' : *s);
	buf_puts(&at->text, "\n");
	return buf_err(&at->text);
}

static int compute(struct tree *t, const struct recording *r, struct recorded *at, int64_t to,
                   const struct cancel *cancel, struct error *err)
{
	_cleanup_(query_unrefp) struct query *q = NULL;
	uint8_t print[PRINT_LEN] = { 0 };
	int64_t since = to - STEPS_BACK * r->step;
	int e = query_rule(t, r, since, to, cancel, &q, err);
	if (q)
		plan_print(q, print);
	if (!e && at->known && at->to == to && !memcmp(print, at->print, PRINT_LEN))
		return 0;
	at->known = false;
	buf_reset(&at->text);
	if (!e)
		e = render_newest(q, r->name, since, cancel, &at->text, err);
	if (e && e != ERR_PATH_ABSENT)
		e = put_trouble(r, at, e, err);
	if (e && e != ERR_PATH_ABSENT)
		return e;
	at->known = true;
	at->to = to;
	memcpy(at->print, print, PRINT_LEN);
	return 0;
}

static int put_newest(struct tree *t, const struct recording *r, struct recorded *at, const struct cancel *cancel,
                      struct buf *out, struct error *err)
{
	uint64_t generation;
	int64_t to = time_floor(tree_now(t), r->step);
	int e = generation_now(t, &generation, err);
	if (!e && !(at->known && at->to == to && at->generation == generation))
		e = compute(t, r, at, to, cancel, err);
	if (e)
		return e;
	at->generation = generation;
	buf_put(out, at->text.data, at->text.len);
	return buf_err(out);
}

/* Who comes while another computes the values finds them done; but threads do not pile up behind one that is slow. */
static int recorder_lock(struct recorder *r, struct error *err)
{
	int64_t until = clock_now() + PATIENCE;
	struct timespec t = { until / NS_PER_S, until % NS_PER_S };
	if (!pthread_mutex_timedlock(&r->lock, &t))
		return 0;
	return error_set(err, ERR_STORE_TIMEOUT, "the values of rules are being computed, for more than %lld s",
	                 (long long)(PATIENCE / NS_PER_S));
}

int recordings_render(struct tree *t, const struct cancel *cancel, struct buf *out, struct error *err)
{
	struct recorder *r = t->recorder;
	int e = recorder_lock(r, err);
	if (e)
		return e;
	e = read_rules(t, r, err);
	for (size_t i = 0; !e && i < r->rules.n; i++)
		e = put_newest(t, &r->rules.v[i], &r->v[i], cancel, out, err);
	pthread_mutex_unlock(&r->lock);
	return e ? e : buf_err(out);
}

/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "names.h"
#include "narrow.h"
#include "tree.h"

/* ---- days ---- */

static int push_day(struct days *d, size_t *cap, int32_t day)
{
	if (d->n == *cap) {
		int32_t *v = vec_grow(d->v, cap, d->n + 1, sizeof *d->v);
		if (!v)
			return -ENOMEM;
		d->v = v;
	}
	d->v[d->n++] = day;
	return 0;
}

/* The view's objects are in the order of their days. */
static int view_days(struct tree *t, struct days *ret, struct error *err)
{
	_cleanup_(view_unrefp) struct view *v = NULL;
	_days_ struct days d = { 0 };
	size_t cap = 0;
	int e = db_view(t->db, VIEW_MAX_AGE, &v, err);
	for (size_t i = 0; !e && i < view_objects(v); i++) {
		int32_t day = view_object(v, i)->day;
		if (!d.n || d.v[d.n - 1] != day)
			e = push_day(&d, &cap, day);
	}
	if (e)
		return e;
	*ret = d;
	d = (struct days){ 0 };
	return 0;
}

int facts_days(struct tree *t, const char *service, struct days *ret, struct error *err)
{
	return service ? db_days(t->db, str_of(service), VIEW_MAX_AGE, ret, err) : view_days(t, ret, err);
}

int facts_latest(struct tree *t, const char *service, int32_t *ret, struct error *err)
{
	_days_ struct days d = { 0 };
	int e = facts_days(t, service, &d, err);
	if (e)
		return e;
	int32_t today = time_day(tree_now(t));
	for (size_t i = d.n; i > 0; i--) {
		if (d.v[i - 1] <= today) {
			*ret = d.v[i - 1];
			return 0;
		}
	}
	return ERR_PATH_ABSENT;
}

/* ---- what the selection or the service's newest day has ---- */

/* Looks in one query: 0 and the finding in ctx, ERR_PATH_ABSENT, or another error. */
typedef int (*look_fn)(struct query *q, const struct typed *typed, const struct cancel *cancel, void *ctx,
                       struct error *err);

static int look_in(struct tree *t, const struct selection *sel, const struct typed *typed, look_fn look,
                   void *ctx, const struct cancel *cancel, struct error *err)
{
	_cleanup_(query_unrefp) struct query *q = NULL;
	int e = plan_get(t, sel, cancel, &q, err);
	return e ? e : look(q, typed, cancel, ctx, err);
}

static int look_in_newest(struct tree *t, const char *service, const struct typed *typed, look_fn look,
                          void *ctx, const struct cancel *cancel, struct error *err)
{
	int32_t day;
	int e = facts_latest(t, service, &day, err);
	if (e)
		return e;
	_cleanup_(selection_freep) struct selection *sel = selection_new();
	if (!sel || (service && !(sel->service = strdup(service))))
		return -ENOMEM;
	struct span span = times_day_span(day);
	sel->from = span.from;
	sel->to = span.to;
	sel->has_time = true;
	return look_in(t, sel, typed, look, ctx, cancel, err);
}

static int look_in_both(struct tree *t, const struct selection *sel, struct str text, look_fn look, void *ctx,
                        const struct cancel *cancel, struct error *err)
{
	_typed_ struct typed typed = { 0 };
	int e = typed_init(&typed, text);
	if (e)
		return e;
	e = sel->has_time ? look_in(t, sel, &typed, look, ctx, cancel, err) : ERR_PATH_ABSENT;
	if (e == ERR_PATH_ABSENT)
		e = look_in_newest(t, sel->service, &typed, look, ctx, cancel, err);
	return e;
}

/* Looks for a name where no plan is needed: ERR_PATH_ABSENT also where one is. */
static int look_in_known(struct tree *t, const struct selection *sel, bool labels, struct str text, struct buf *ret,
                         struct error *err)
{
	_typed_ struct typed typed = { 0 };
	_known_ struct known known = { 0 };
	int e = typed_init(&typed, text);
	e = e ? e : known_of(t, sel, &known, err);
	const known_names_t *names = labels ? &known.labels : &known.types;
	for (size_t i = 0; !e && i < names->n; i++)
		if (typed_is(&typed, names->v[i])) {
			buf_put(ret, names->v[i].s, names->v[i].len);
			return buf_err(ret);
		}
	return e ? e : ERR_PATH_ABSENT;
}

static int put_found(void *ctx, struct str s)
{
	struct buf *out = ctx;
	buf_put(out, s.s, s.len);
	return buf_err(out);
}

static int look_type(struct query *q, const struct typed *typed, const struct cancel *cancel, void *ctx,
                     struct error *err)
{
	const struct type_count *types;
	size_t n;
	int e = query_types(q, &types, &n, err);
	for (size_t i = 0; !e && i < n; i++)
		if (typed_is(typed, types[i].name))
			return put_found(ctx, types[i].name);
	return e ? e : ERR_PATH_ABSENT;
}

/*
 * Whether anything selected has the type of just this name. The plan made here is the one that its files will
 * use.
 */
static int look_at_type(struct tree *t, const struct selection *sel, struct str typed,
                        const struct cancel *cancel, struct buf *ret, struct error *err)
{
	_typed_ struct typed name = { 0 };
	_cleanup_(query_unrefp) struct query *q = NULL;
	int e = typed_init(&name, typed);
	if (e || memchr(name.raw.data, '\0', name.raw.len))
		return e ? e : ERR_PATH_ABSENT;
	_cleanup_(selection_freep) struct selection *s = selection_copy(sel);
	if (!s || !(s->type = strndup((char *)name.raw.data, name.raw.len)))
		return -ENOMEM;
	e = plan_get(t, s, cancel, &q, err);
	if (e)
		return e;
	struct str raw = { (char *)name.raw.data, name.raw.len };
	return query_info(q)->profiles ? put_found(ret, raw) : ERR_PATH_ABSENT;
}

int facts_type(struct tree *t, const struct selection *sel, const char *typed, const struct cancel *cancel,
               char **ret, struct error *err)
{
	_buf_ struct buf name = BUF_INIT(COMPONENT_MAX);
	int e = look_in_known(t, sel, false, str_of(typed), &name, err);
	if (e == ERR_PATH_ABSENT)
		e = look_at_type(t, sel, str_of(typed), cancel, &name, err);
	if (e == ERR_PATH_ABSENT)
		e = look_in_both(t, sel, str_of(typed), look_type, &name, cancel, err);
	if (e)
		return e;
	if (!name.len || memchr(name.data, '\0', name.len))
		return ERR_PATH_ABSENT;
	*ret = strndup((char *)name.data, name.len);
	return *ret ? 0 : -ENOMEM;
}

struct selection *facts_for_label(const struct selection *sel, struct str label)
{
	struct selection *s = selection_copy(sel->baseline ? sel->baseline : sel);
	if (!s)
		return NULL;
	free(s->by);
	s->by = NULL;
	if (sel->baseline)
		selection_unfix(s, label);
	return s;
}

struct key_call {
	key_fn fn;
	void *ctx;
};

static int info_keys(void *ctx, const struct object *object, const struct dataset_info *info)
{
	struct key_call *call = ctx;
	int e = 0;
	for (size_t i = 0; !e && i < info->n_sample_label_keys; i++)
		e = call->fn(call->ctx, info->sample_label_keys[i]);
	return e;
}

/*
 * Which labels samples have is told by catalogs and footers, for all types of a dataset together: reading the samples
 * of a day to list a directory would cost too much.
 */
static int each_sample_key(struct tree *t, const struct selection *sel, key_fn fn, void *ctx, struct error *err)
{
	_cleanup_(view_unrefp) struct view *v = NULL;
	struct key_call call = { fn, ctx };
	if (sel->from >= sel->to)
		return 0;
	struct str service = str_of(sel->service ? sel->service : "");
	int e = db_view(t->db, VIEW_MAX_AGE, &v, err);
	if (e)
		return e;
	return view_infos(v, sel->service ? &service : NULL, time_day(sel->from), time_day(sel->to - 1), info_keys,
	                          &call, err);
}

int facts_each_label(struct tree *t, struct query *q, const struct cancel *cancel, key_fn fn, void *ctx,
                     struct error *err)
{
	if (!query_info(q)->profiles)
		return 0;
	int e = query_each_key(q, cancel, fn, ctx, err);
	return e ? e : each_sample_key(t, query_selection(q), fn, ctx, err);
}

struct label_search {
	struct tree *tree;
	const struct typed *typed;
	struct buf *ret;
};

#define FOUND 1

static int take_label(void *ctx, struct str key)
{
	struct label_search *s = ctx;
	if (!typed_is(s->typed, key))
		return 0;
	int e = put_found(s->ret, key);
	return e ? e : FOUND;
}

static int look_label(struct query *q, const struct typed *typed, const struct cancel *cancel, void *ctx,
                      struct error *err)
{
	struct label_search *s = ctx;
	s->typed = typed;
	int e = facts_each_label(s->tree, q, cancel, take_label, s, err);
	if (e == FOUND)
		return 0;
	return e ? e : ERR_PATH_ABSENT;
}

int facts_label(struct tree *t, const struct selection *sel, struct str typed, const struct cancel *cancel,
                struct buf *ret, struct error *err)
{
	_cleanup_(selection_freep) struct selection *s = facts_for_label(sel, (struct str){ "", 0 });
	struct label_search search = { .tree = t, .ret = ret };
	if (!s)
		return -ENOMEM;
	int e = look_in_known(t, s, true, typed, ret, err);
	return e == ERR_PATH_ABSENT ? look_in_both(t, s, typed, look_label, &search, cancel, err) : e;
}

/* ---- values ---- */

struct value_search {
	struct str label;
	struct buf *ret;
	bool beyond; /* the label has more values than are told */
};

static const struct label_values *values_of(const struct labels *labels, struct str key)
{
	for (size_t i = 0; i < labels->n; i++)
		if (str_eq(labels->v[i].key, key))
			return &labels->v[i];
	return NULL;
}

int facts_values(struct query *q, struct str label, const struct cancel *cancel, const struct label_values **ret,
                 struct error *err)
{
	const struct labels *labels;
	int e = query_labels(q, false, cancel, &labels, err);
	if (!e && !values_of(labels, label))
		e = query_labels(q, true, cancel, &labels, err);
	if (!e)
		*ret = values_of(labels, label);
	return e;
}

static int look_value(struct query *q, const struct typed *typed, const struct cancel *cancel, void *ctx,
                      struct error *err)
{
	struct value_search *s = ctx;
	const struct label_values *v;
	int e = facts_values(q, s->label, cancel, &v, err);
	if (e)
		return e;
	s->beyond |= v && v->rest > 0;
	for (size_t i = 0; v && i < v->n; i++)
		if (typed_is(typed, v->values[i].value))
			return put_found(s->ret, v->values[i].value);
	return ERR_PATH_ABSENT;
}

/* A value that is not among the 10,000 greatest: whether anything has it. */
static int find_rare_value(struct tree *t, const struct selection *sel, struct str label, struct str typed,
                           const struct cancel *cancel, struct buf *ret, struct error *err)
{
	_typed_ struct typed value = { 0 };
	_cleanup_(query_unrefp) struct query *q = NULL;
	_cleanup_(selection_freep) struct selection *s = selection_copy(sel);
	int e = s ? typed_init(&value, typed) : -ENOMEM;
	struct str raw = { (char *)value.raw.data, value.raw.len };
	if (!e)
		e = selection_add_matcher(s, label, MATCH_EQ, raw, err);
	if (!e)
		e = plan_get(t, s, cancel, &q, err);
	if (e)
		return e;
	return query_info(q)->profiles ? put_found(ret, raw) : ERR_PATH_ABSENT;
}

int facts_value(struct tree *t, const struct selection *sel, struct str label, struct str typed,
                const struct cancel *cancel, struct buf *ret, struct error *err)
{
	_cleanup_(selection_freep) struct selection *s = facts_for_label(sel, label);
	if (!s)
		return -ENOMEM;
	struct value_search search = { label, ret, false };
	int e = look_in_both(t, s, typed, look_value, &search, cancel, err);
	if (e == ERR_PATH_ABSENT && search.beyond && !name_is_cut(typed))
		e = find_rare_value(t, s, label, typed, cancel, ret, err);
	return e;
}

/* ---- functions ---- */

static int look_function(struct query *q, const struct typed *typed, const struct cancel *cancel, void *ctx,
                         struct error *err)
{
	const struct call_tree *tree;
	int e = query_tree(q, cancel, &tree, err);
	for (uint32_t i = 0; !e && i < tree->n_frames; i++)
		if (typed_is(typed, tree->frames[i].name))
			return put_found(ctx, tree->frames[i].name);
	return e ? e : ERR_PATH_ABSENT;
}

int facts_function(struct tree *t, const struct selection *sel, struct str typed, const struct cancel *cancel,
                   struct buf *ret, struct error *err)
{
	if (!sel->type)
		return ERR_PATH_ABSENT;
	_typed_ struct typed name = { 0 };
	int e = typed_init(&name, typed);
	return e ? e : look_in(t, sel, &name, look_function, ret, cancel, err);
}

/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include <string.h>

/*
 * Which services call a function. The strings of a dataset, which the plan has read, tell where it cannot be, with
 * those of debug information for the build ids among them; the services that are left are asked type by type, each as a
 * selection of its own on the same view.
 */

struct search {
	struct query *q;
	const struct cancel *cancel;
	struct str name;
	VEC(struct str) services;
	struct function_uses uses;
};

static void search_done(struct search *s)
{
	VEC_DONE(&s->services);
	function_uses_done(&s->uses);
}

void function_uses_done(struct function_uses *u)
{
	free(u->v);
	*u = (struct function_uses){ 0 };
}

static bool has_string(const struct qpart *p, struct str s)
{
	for (uint32_t i = 0; i < p->n_strings; i++)
		if (str_eq(p->strings[i], s))
			return true;
	return false;
}

static int str_order(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Services that may have the function, sorted, once each. */
static int list_services(struct search *s, struct query *planned, struct error *err)
{
	for (size_t i = 0; i < planned->parts.n; i++) {
		const struct qpart *p = &planned->parts.v[i];
		int r = has_string(p, s->name) ? 1 : part_debug_names(planned, p, s->name, err);
		if (r < 0)
			return r;
		if (!r)
			continue;
		struct str *to = VEC_PUSH(&s->services);
		if (!to)
			return -ENOMEM;
		*to = p->info->service;
	}
	size_t n = 0;
	if (s->services.n)
		qsort(s->services.v, s->services.n, sizeof *s->services.v, str_order);
	for (size_t i = 0; i < s->services.n; i++)
		if (!n || !str_eq(s->services.v[n - 1], s->services.v[i]))
			s->services.v[n++] = s->services.v[i];
	s->services.n = n;
	return 0;
}

/* The query's selection of one service and type; type NULL: of all. */
static int ask(struct search *s, struct str service, const struct str *type, struct query **ret, struct error *err)
{
	_cleanup_(selection_freep) struct selection *sel = selection_copy(s->q->sel);
	if (!sel || !(sel->service = strndup(service.s, service.len)))
		return out_of_memory(err);
	if (type && !(sel->type = strndup(type->s, type->len)))
		return out_of_memory(err);
	return query_beside(s->q, sel, PLAN_LIGHT, s->cancel, ret, err);
}

static int64_t self_of(const struct call_tree *t, struct str name)
{
	int64_t sum = 0;
	for (uint32_t i = 1; i < t->n_nodes; i++)
		if (str_eq(t->frames[t->nodes[i].frame].name, name))
			sum = sat_add(sum, t->nodes[i].self);
	return sum;
}

static int count_profiles(struct query *q, const struct cancel *cancel, struct function_use *u, struct error *err)
{
	const struct point *points;
	size_t n;
	int e = query_points(q, cancel, &points, &n, err);
	for (size_t i = 0; e >= 0 && i < n; i++) {
		if (!points[i].value)
			continue;
		u->first = u->profiles++ ? MIN(u->first, points[i].time) : points[i].time;
		u->last = MAX(u->last, points[i].time);
	}
	return e;
}

static int add_use(struct search *s, struct str service, const struct str *type, struct error *err)
{
	_cleanup_(query_unrefp) struct query *q = NULL;
	struct function_use u = { .service = service, .last = INT64_MIN };
	const struct call_tree *t;
	int e = ask(s, service, type, &q, err);
	if (e >= 0)
		e = query_tree_by(q, BY_FUNCTION, s->cancel, &t, err);
	if (e < 0 || t->n_nodes < 2)
		return e;
	e = count_profiles(q, s->cancel, &u, err);
	if (e < 0)
		return e;
	snprintf(u.type, sizeof u.type, "%s", query_info(q)->type);
	snprintf(u.unit, sizeof u.unit, "%s", query_info(q)->unit);
	u.total = t->total;
	u.self = self_of(t, s->name);
	struct function_use *to = VEC_PUSH(&s->uses);
	if (!to)
		return out_of_memory(err);
	*to = u;
	return 0;
}

static int add_service(struct search *s, struct str service, struct error *err)
{
	_cleanup_(query_unrefp) struct query *q = NULL;
	const struct type_count *types;
	size_t n = 0;
	int e = ask(s, service, NULL, &q, err);
	if (e >= 0)
		e = query_types(q, &types, &n, err);
	for (size_t i = 0; i < n && e >= 0; i++)
		e = add_use(s, service, &types[i].name, err);
	return e;
}

int query_function_uses(struct query *q, const struct cancel *cancel, struct function_uses *ret, struct error *err)
{
	_cleanup_(search_done) struct search s = { .q = q, .cancel = cancel };
	const char *name = selection_function(q->sel);
	s.name = name ? str_of(name) : (struct str){ "", 0 };
	struct query *planned; /* where rollups answer, the strings of a dataset are not read */
	int e = query_planned(q, cancel, &planned, err);
	if (e >= 0)
		e = list_services(&s, planned, err);
	for (size_t i = 0; i < s.services.n && e >= 0; i++)
		e = add_service(&s, s.services.v[i], err);
	if (e < 0)
		return e == -ENOMEM ? out_of_memory(err) : e;
	*ret = s.uses;
	s.uses = (struct function_uses){ 0 };
	return 0;
}

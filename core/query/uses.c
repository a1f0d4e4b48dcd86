/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include <string.h>

/*
 * Which services call a function. The strings of a dataset, which the plan has read, tell where it cannot be, with
 * those of debug information for the build ids among them. The services that are left are asked by selections of their
 * own on the same view: one for the types that the same profiles have, whose samples are read once for all of them.
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

/*
 * The query's selection of one service and type; type NULL: of all. Rollups do not tell which profiles have a function.
 */
static int ask(struct search *s, struct str service, const struct str *type, struct query **ret, struct error *err)
{
	_cleanup_(selection_freep) struct selection *sel = selection_copy(s->q->sel);
	if (!sel || !(sel->service = strndup(service.s, service.len)))
		return out_of_memory(err);
	if (type && !(sel->type = strndup(type->s, type->len)))
		return out_of_memory(err);
	return query_beside(s->q, sel, type ? PLAN_EXACT : PLAN_LIGHT, s->cancel, ret, err);
}

static int64_t self_of(const struct call_tree *t, struct str name)
{
	int64_t sum = 0;
	for (uint32_t i = 1; i < t->n_nodes; i++)
		if (str_eq(t->frames[t->nodes[i].frame].name, name))
			sum = sat_add(sum, t->nodes[i].self);
	return sum;
}

/* A service's types, and which of them have been looked at. */
struct types {
	const struct type_count *v;
	size_t n;
	bool *done;
	struct function_use *uses; /* of each; no profiles: none */
};

static const struct type_count *type_of_column(const struct qpart *p, uint32_t header, uint32_t column,
                                               const struct types *types)
{
	_buf_ struct buf name = BUF_INIT(4096);
	const struct header *h = header_of(p, header);
	type_name(&name, part_string(p, h->types[column].type), part_string(p, h->types[column].unit),
	          part_string(p, h->kind));
	for (size_t i = 0; i < types->n; i++)
		if (str_eq(types->v[i].name, (struct str){ (const char *)name.data, name.len }))
			return &types->v[i];
	return NULL;
}

/* The type that a slot is in every profile of the query; NULL where they differ, or it is none of them. */
static const struct type_count *type_of_slot(const struct query *q, const struct types *types, uint32_t slot)
{
	const struct type_count *found = NULL;
	for (size_t i = 0; i < q->parts.n; i++) {
		const struct qpart *p = &q->parts.v[i];
		for (uint32_t h = 0; h < p->profiles->n_headers; h++) {
			uint32_t column = p->headers[h].used ? plan_column(q, p, h, slot) : NONE;
			const struct type_count *type = column == NONE ? found : type_of_column(p, h, column, types);
			if (column != NONE && (!type || (found && type != found)))
				return NULL;
			found = type;
		}
	}
	return found;
}

static void put_text(char *to, size_t max, struct str s)
{
	snprintf(to, max, "%.*s", (int)MIN(s.len, max - 1), s.s);
}

static int use_of_slot(struct search *s, struct query *q, uint32_t slot, const struct slot_note *note,
                       struct str service, struct str type, struct function_use *ret, struct error *err)
{
	struct memo_tree *m;
	int e = tree_of_slot(q, slot, s->cancel, &m, err);
	if (e < 0)
		return e;
	const struct call_tree *t = memo_tree_of(m);
	*ret = (struct function_use){
		.service = service,
		.total = t->total,
		.self = self_of(t, s->name),
		.profiles = t->n_nodes < 2 ? 0 : note->profiles,
		.first = note->first,
		.last = note->last,
	};
	put_text(ret->type, sizeof ret->type, type);
	put_text(ret->unit, sizeof ret->unit, q->slots[slot].unit);
	memo_tree_free(m);
	return 0;
}

/*
 * One pass tells of all types that the profiles of a type have, where they all have the same. But of the profiles of an
 * alloc_* type those that heap shadows are left out, which other types have: these types tell of no others.
 */
static int add_types(struct search *s, struct types *types, size_t of, struct str service, struct error *err)
{
	_cleanup_(query_unrefp) struct query *q = NULL;
	int e = ask(s, service, &types->v[of].name, &q, err);
	if (e < 0 || !q->n_slots)
		return e;
	_free_ struct slot_note *notes = calloc(q->n_slots, sizeof *notes);
	e = notes ? values_noted(q, s->cancel, notes, err) : -ENOMEM;
	for (uint32_t slot = 0; slot < q->n_slots && e >= 0; slot++) {
		bool main = slot == q->main_slot;
		const struct type_count *type = main ? &types->v[of] : type_of_slot(q, types, slot);
		size_t at = type ? (size_t)(type - types->v) : 0;
		if (!type || types->done[at] || (!main && q->slots[q->main_slot].alloc))
			continue;
		types->done[at] = true;
		e = use_of_slot(s, q, slot, &notes[slot], service, type->name, &types->uses[at], err);
	}
	return e;
}

static bool is_alloc(struct str type)
{
	return type.len > 6 && !memcmp(type.s, "alloc_", 6);
}

static int look_at_types(struct search *s, struct types *types, struct str service, struct error *err)
{
	int e = 0;
	for (int alloc = 0; alloc < 2; alloc++)
		for (size_t i = 0; i < types->n && e >= 0; i++)
			if (!types->done[i] && is_alloc(types->v[i].name) == alloc)
				e = add_types(s, types, i, service, err);
	for (size_t i = 0; i < types->n && e >= 0; i++) {
		struct function_use *to = types->uses[i].profiles ? VEC_PUSH(&s->uses) : NULL;
		if (to)
			*to = types->uses[i];
		else if (types->uses[i].profiles)
			e = -ENOMEM;
	}
	return e;
}

static int add_service(struct search *s, struct str service, struct error *err)
{
	_cleanup_(query_unrefp) struct query *q = NULL;
	struct types types = { 0 };
	int e = ask(s, service, NULL, &q, err);
	if (e >= 0)
		e = query_types(q, &types.v, &types.n, err);
	if (e < 0)
		return e;
	types.done = calloc(types.n + 1, sizeof *types.done);
	types.uses = calloc(types.n + 1, sizeof *types.uses);
	e = types.done && types.uses ? look_at_types(s, &types, service, err) : -ENOMEM;
	free(types.done);
	free(types.uses);
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

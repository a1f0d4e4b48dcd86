/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "../profile/types.h"
#include "tree.h"

/*
 * What catalogs and footers say of a selection, so that no block is opened to list a day. They count what a dataset has
 * as a whole: so it must be selected as a whole, by service and time alone. Then its types, labels and hours are those
 * of the profiles selected.
 */

#define KNOWN_BYTES_MAX ((size_t)16 << 20)
#define NOT_ALL 1

struct gathering {
	const struct selection *sel;
	struct known *known;
};

void known_done(struct known *k)
{
	VEC_DONE(&k->types);
	VEC_DONE(&k->labels);
	VEC_DONE(&k->hours);
	arena_done(&k->arena);
}

static bool has(const known_names_t *names, struct str s)
{
	for (size_t i = 0; i < names->n; i++)
		if (str_eq(names->v[i], s))
			return true;
	return false;
}

static int add(struct known *k, known_names_t *to, struct str s)
{
	if (has(to, s))
		return 0;
	char *copy = arena_strndup(&k->arena, s.s, s.len);
	struct str *at = copy ? VEC_PUSH(to) : NULL;
	if (!at)
		return -ENOMEM;
	*at = (struct str){ copy, s.len };
	return 0;
}

static int add_types(struct known *k, const struct dataset_info *info)
{
	int e = 0;
	for (size_t i = 0; i < info->n_types && !e; i++) {
		_buf_ struct buf name = BUF_INIT(COMPONENT_MAX);
		type_name(&name, info->types[i].type, info->types[i].unit, info->types[i].kind);
		if (!buf_err(&name) && info->types[i].profiles)
			e = add(k, &k->types, (struct str){ (char *)name.data, name.len });
	}
	return e;
}

static int add_labels(struct known *k, const struct dataset_info *info)
{
	int e = 0;
	for (size_t i = 0; i < info->n_label_keys && !e; i++)
		e = add(k, &k->labels, info->label_keys[i]);
	for (size_t i = 0; i < info->n_sample_label_keys && !e; i++)
		e = add(k, &k->labels, info->sample_label_keys[i]);
	return e;
}

static int add_hours(struct known *k, const struct dataset_info *info)
{
	for (size_t i = 0; i < info->n_hours; i++) {
		int32_t *at = VEC_PUSH(&k->hours);
		if (!at)
			return -ENOMEM;
		*at = info->hours[i].hour;
	}
	return 0;
}

static int gather(void *ctx, const struct object *object, const struct dataset_info *info)
{
	struct gathering *g = ctx;
	if (info->max_time < g->sel->from || !time_before(info->min_time, g->sel->to) || !info->profiles)
		return 0;
	if (info->min_time < g->sel->from || !time_before(info->max_time, g->sel->to))
		return NOT_ALL;
	int e = add_types(g->known, info);
	e = e ? e : add_labels(g->known, info);
	e = e ? e : add_hours(g->known, info);
	if (!e && !g->sel->service)
		e = add(g->known, &g->known->labels, STR("service"));
	return e;
}

static bool may_be_known(const struct selection *sel)
{
	return sel->has_time && !sel->type && !sel->n_matchers && !sel->has_id && !sel->baseline;
}

static int gather_all(struct tree *t, const struct selection *sel, struct known *k, struct error *err)
{
	_cleanup_(view_unrefp) struct view *v = NULL;
	struct gathering g = { sel, k };
	struct str service = str_of(sel->service ? sel->service : "");
	if (sel->from >= sel->to)
		return 0;
	int e = db_view(t->db, VIEW_MAX_AGE, &v, err);
	return e ? e : view_infos(v, sel->service ? &service : NULL, time_day(sel->from), time_day(sel->to - 1), gather,
	                          &g, err);
}

int known_of(struct tree *t, const struct selection *sel, struct known *ret, struct error *err)
{
	struct known k = { .arena = ARENA_INIT(KNOWN_BYTES_MAX) };
	int e = may_be_known(sel) ? gather_all(t, sel, &k, err) : NOT_ALL;
	if (e == NOT_ALL || e == ERR_STALE)
		e = ERR_PATH_ABSENT; /* a plan tells, on a new view where need be */
	if (e)
		known_done(&k);
	else
		*ret = k;
	return e;
}

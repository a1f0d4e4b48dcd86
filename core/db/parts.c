/* SPDX-License-Identifier: MIT */

/* The datasets of a view: its objects opened, in parallel, and what cannot be opened told apart. */

#include <string.h>

#include "internal.h"

#define INFO_ARENA ((size_t)1 << 30)

struct opening {
	struct view *view;
	const struct str *service;
	const struct cancel *cancel;
	size_t *objects; /* places in the view */
	size_t n;        /* of each of these */
	struct cached **cached;
	int *results;
	struct error *errors;
};

static void opening_done(struct opening *o)
{
	free(o->objects);
	free(o->cached);
	free(o->results);
	free(o->errors);
}

static int open_one(void *arg, size_t i)
{
	struct opening *o = arg;
	int r = cancel_check(o->cancel);
	if (r == 0)
		r = cache_pin(o->view->db, o->view->live[o->objects[i]], &o->cached[i], &o->errors[i]);
	o->results[i] = r;
	return r == ERR_CANCELLED || r == -ENOMEM || r == -ETIMEDOUT ? r : 0;
}

static size_t choose(struct view *v, const struct str *service, int32_t from, int32_t to, size_t *objects)
{
	size_t n = 0;
	for (size_t i = 0; i < v->n; i++) {
		const struct live *l = v->live[i];
		if (l->object.day >= from && l->object.day <= to && (!service || live_may_hold(l, *service)))
			objects[n++] = i;
	}
	return n;
}

/* The objects that may be wanted, o->n of them; none is open yet. o is to be done with also where this fails. */
static int opening_init(struct opening *o, struct view *v, const struct str *service, int32_t from, int32_t to)
{
	*o = (struct opening){ .view = v, .service = service };
	o->objects = malloc((v->n + 1) * sizeof *o->objects);
	if (!o->objects)
		return -ENOMEM;
	o->n = choose(v, service, from, to, o->objects);
	o->cached = calloc(o->n + 1, sizeof *o->cached);
	o->results = calloc(o->n + 1, sizeof *o->results);
	o->errors = calloc(o->n + 1, sizeof *o->errors);
	return o->cached && o->results && o->errors ? 0 : -ENOMEM;
}

/* One part per dataset that is wanted; each pins the block for itself. */
static int add_parts(struct opening *o, size_t i, struct parts *ret)
{
	struct live *l = o->view->live[o->objects[i]];
	struct block *b = cached_block(o->cached[i]);
	for (size_t k = 0; k < block_datasets(b); k++) {
		if (o->service && !str_eq(block_info(b, k)->service, *o->service))
			continue;
		struct part *grown = realloc(ret->v, (ret->n + 1) * sizeof *grown);
		if (!grown)
			return -ENOMEM;
		ret->v = grown;
		struct cached *pin;
		int r = cache_pin(o->view->db, l, &pin, NULL);
		if (r < 0)
			return r;
		ret->v[ret->n++] = (struct part){ &l->object, block_dataset(cached_block(pin), k), pin };
	}
	return 0;
}

/* Whether the newest view has the object too: then it is not that the view at hand is old. */
static bool is_still_live(struct db *db, const struct object *o)
{
	_cleanup_(view_unrefp) struct view *now = NULL;
	if (db_view(db, 0, &now, NULL) < 0)
		return false;
	for (size_t i = 0; i < now->n; i++)
		if (now->live[i]->object.day == o->day && !ulid_cmp(&now->live[i]->object.ulid, &o->ulid))
			return true;
	return false;
}

/* An object that is not there: damage where the newest version has it, otherwise the view is old. */
static int judge_missing(struct opening *o, size_t i)
{
	const struct object *object = &o->view->live[o->objects[i]]->object;
	if (!is_still_live(o->view->db, object))
		return ERR_STALE;
	error_set(&o->errors[i], ERR_CORRUPT_MISSING, "%s: the object is missing", object->key);
	return ERR_CORRUPT_MISSING;
}

/* Damage is counted and left out. */
static int gather(struct opening *o, struct parts *ret, struct error *err)
{
	int r = 0;
	for (size_t i = 0; i < o->n; i++) {
		int e = o->results[i];
		if (e == 0 && r == 0)
			r = add_parts(o, i, ret);
		if (o->cached[i])
			cache_unpin(o->view->db, o->cached[i]);
		if (e == 0 || r < 0)
			continue;
		if (e == ERR_STORE_NOT_FOUND)
			e = judge_missing(o, i);
		if (err_is_damage(e) && !ret->damaged++)
			ret->damage = o->errors[i];
		if (!err_is_damage(e))
			r = error_set(err, e, "%s", error_text(&o->errors[i], e));
	}
	return r;
}

int view_parts(struct view *v, const struct str *service, int32_t from_day, int32_t to_day, const struct cancel *cancel,
               struct parts *ret, struct error *err)
{
	_cleanup_(opening_done) struct opening o;
	int r = opening_init(&o, v, service, from_day, to_day);
	if (r < 0)
		return r;
	o.cancel = cancel;
	for (size_t i = 0; i < o.n; i++)
		o.results[i] = ERR_CANCELLED;
	struct parts parts = { .view = view_ref(v) };
	int stopped = pool_each(o.n > 1 ? v->db->pool : NULL, o.n, open_one, &o);
	r = gather(&o, &parts, err);
	if (r == 0)
		r = stopped;
	if (r < 0) {
		parts_done(&parts);
		return r;
	}
	*ret = parts;
	return 0;
}

void parts_done(struct parts *p)
{
	for (size_t i = 0; i < p->n; i++)
		cache_unpin(p->view->db, p->v[i].pin);
	free(p->v);
	if (p->view)
		view_unref(p->view);
	*p = (struct parts){ 0 };
}

/* ---- infos ---- */

static int block_infos(const struct live *l, const struct str *service, info_fn fn, void *ctx, struct error *err)
{
	_arena_ struct arena arena = ARENA_INIT(INFO_ARENA);
	struct dataset_info *infos;
	size_t n;
	int r = live_infos(l, &arena, &infos, &n);
	if (r < 0)
		return error_set(err, r, "%s: the catalog's record of it cannot be read", l->object.key);
	for (size_t i = 0; i < n && r == 0; i++)
		if (!service || str_eq(infos[i].service, *service))
			r = fn(ctx, &l->object, &infos[i]);
	return r;
}

/* Segments are open, all at once, or damaged. */
static int segment_infos(const struct opening *o, size_t i, info_fn fn, void *ctx, struct error *err)
{
	const struct live *l = o->view->live[o->objects[i]];
	int r = o->results[i];
	if (r == ERR_STORE_NOT_FOUND)
		return error_set(err, ERR_STALE, "%s: merged away meanwhile", l->object.key);
	if (r < 0)
		return err_is_damage(r) ? 0 : error_set(err, r, "%s", error_text(&o->errors[i], r));
	struct block *b = cached_block(o->cached[i]);
	for (size_t k = 0; k < block_datasets(b) && r == 0; k++)
		if (!o->service || str_eq(block_info(b, k)->service, *o->service))
			r = fn(ctx, &l->object, block_info(b, k));
	return r;
}

static int open_segment(void *arg, size_t i)
{
	struct opening *o = arg;
	return o->view->live[o->objects[i]]->object.is_block ? 0 : open_one(o, i);
}

static int each_info(struct opening *o, info_fn fn, void *ctx, struct error *err)
{
	int r = pool_each(o->n > 1 ? o->view->db->pool : NULL, o->n, open_segment, o);
	for (size_t i = 0; i < o->n && r == 0; i++) {
		const struct live *l = o->view->live[o->objects[i]];
		r = l->object.is_block ? block_infos(l, o->service, fn, ctx, err) : segment_infos(o, i, fn, ctx, err);
	}
	for (size_t i = 0; i < o->n; i++)
		if (o->cached[i])
			cache_unpin(o->view->db, o->cached[i]);
	return r;
}

int view_infos(struct view *v, const struct str *service, int32_t from_day, int32_t to_day, info_fn fn, void *ctx,
               struct error *err)
{
	_cleanup_(opening_done) struct opening o;
	int r = opening_init(&o, v, service, from_day, to_day);
	return r < 0 ? r : each_info(&o, fn, ctx, err);
}

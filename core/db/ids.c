/* SPDX-License-Identifier: MIT */

/*
 * Which profiles are there already. An index holds the ids of one service and day; it takes in the objects that a view
 * has and it has not seen yet, and no longer counts those that a view lacks: what was deleted may be written again.
 * The readers leave duplicates out anyway; this only spares writing them again.
 */

#include <string.h>

#include "../base/hash.h"
#include "internal.h"

#define INDEXES_MAX 64
#define VIEW_TRIES 4
#define IDS_MAX ((size_t)4 << 20) /* of all indexes: 28 bytes each */

static uint64_t ulid_hash(const struct ulid *u)
{
	return hash_bytes(u->b, sizeof u->b);
}

enum object_state { OBJECT_GONE, OBJECT_THERE };

static bool holds(const struct id_index *x, const struct ulid *u)
{
	for (struct idset_probe p = idset_probe(&x->ids, ulid_hash(u)); idset_next(&x->ids, &p);) {
		const struct known_id *k = &x->known.v[p.id];
		if (!ulid_cmp(&k->id, u) && x->objects.v[k->object].state == OBJECT_THERE)
			return true;
	}
	return false;
}

static int remember(struct id_index *x, const struct ulid *u, uint32_t object)
{
	struct known_id *slot = VEC_GROW(&x->known, 1);
	int r = slot ? idset_add(&x->ids, ulid_hash(u), (uint32_t)x->known.n) : -ENOMEM;
	if (r < 0)
		return r;
	*slot = (struct known_id){ *u, object };
	x->known.n++;
	return 0;
}

static void index_free(struct id_index *x)
{
	if (!x)
		return;
	free(x->service);
	VEC_DONE(&x->objects);
	idset_done(&x->by_ulid);
	idset_done(&x->ids);
	VEC_DONE(&x->known);
	free(x);
}

void ids_done(struct id_indexes *ids)
{
	for (size_t i = 0; i < ids->v.n; i++)
		index_free(ids->v.v[i]);
	VEC_DONE(&ids->v);
}

static size_t oldest(const struct id_indexes *ids, size_t *ret_total)
{
	size_t at = 0;
	*ret_total = 0;
	for (size_t i = 0; i < ids->v.n; i++) {
		*ret_total += ids->v.v[i]->known.n;
		if (ids->v.v[i]->used < ids->v.v[at]->used)
			at = i;
	}
	return at;
}

static void make_room(struct id_indexes *ids)
{
	size_t total, at = oldest(ids, &total);
	while (ids->v.n && (ids->v.n >= INDEXES_MAX || total > IDS_MAX)) {
		index_free(ids->v.v[at]);
		ids->v.v[at] = ids->v.v[--ids->v.n];
		at = oldest(ids, &total);
	}
}

static struct id_index *index_find(struct id_indexes *ids, struct str service, int32_t day)
{
	for (size_t i = 0; i < ids->v.n; i++) {
		struct id_index *x = ids->v.v[i];
		if (x->day == day && str_eq(service, (struct str){ x->service, x->service_len }))
			return x;
	}
	make_room(ids);
	struct id_index **slot = VEC_GROW(&ids->v, 1), *x = calloc(1, sizeof *x);
	if (!slot || !x || !(x->service = strndup(service.s, service.len))) {
		free(x);
		return NULL;
	}
	x->service_len = service.len;
	x->day = day;
	ids->v.n++;
	return *slot = x;
}

static struct id_object *find_object(struct id_index *x, const struct ulid *ulid)
{
	for (struct idset_probe p = idset_probe(&x->by_ulid, ulid_hash(ulid)); idset_next(&x->by_ulid, &p);)
		if (!ulid_cmp(&x->objects.v[p.id].ulid, ulid))
			return &x->objects.v[p.id];
	return NULL;
}

static struct id_object *add_object(struct id_index *x, const struct ulid *ulid)
{
	struct id_object *o = VEC_GROW(&x->objects, 1);
	if (!o || idset_add(&x->by_ulid, ulid_hash(ulid), (uint32_t)x->objects.n) < 0)
		return NULL;
	x->objects.n++;
	*o = (struct id_object){ *ulid, 0, OBJECT_THERE };
	return o;
}

static int take_part(struct id_index *x, const struct part *part, struct error *err)
{
	const struct profiles *p;
	struct id_object *o = find_object(x, &part->object->ulid);
	if (o) {
		x->dead -= o->state == OBJECT_GONE ? o->ids : 0;
		o->state = OBJECT_THERE;
		return 0;
	}
	int r = dataset_profiles(part->dataset, &p, err);
	o = r == 0 ? add_object(x, &part->object->ulid) : NULL;
	if (!o)
		return r < 0 ? r : -ENOMEM;
	for (uint32_t i = 0; r == 0 && i < p->n; i++) {
		struct ulid id = profile_row_id(&p->rows[i]);
		r = remember(x, &id, (uint32_t)(x->objects.n - 1));
		o->ids += r == 0;
	}
	return r;
}

static void all_gone(struct id_index *x)
{
	x->dead = x->known.n;
	for (size_t i = 0; i < x->objects.n; i++)
		x->objects.v[i].state = OBJECT_GONE;
}

static int keep_objects(struct id_index *x, uint32_t *ret_place)
{
	size_t n = x->objects.n;
	int r = 0;
	x->objects.n = 0;
	idset_clear(&x->by_ulid);
	for (size_t i = 0; i < n && r == 0; i++) {
		struct id_object o = x->objects.v[i];
		ret_place[i] = o.state == OBJECT_THERE ? (uint32_t)x->objects.n : UINT32_MAX;
		if (o.state != OBJECT_THERE)
			continue;
		struct id_object *slot = add_object(x, &o.ulid);
		r = slot ? 0 : -ENOMEM;
		if (slot)
			*slot = o;
	}
	return r;
}

/* Where most of what is known is of objects that are gone, the index keeps only what is there. */
static int leave_out_dead(struct id_index *x)
{
	if (x->dead <= x->known.n / 2)
		return 0;
	_free_ uint32_t *place = malloc((x->objects.n + 1) * sizeof *place);
	int r = place ? keep_objects(x, place) : -ENOMEM;
	size_t n = 0;
	idset_clear(&x->ids);
	for (size_t i = 0; i < x->known.n && r == 0; i++) {
		struct known_id k = x->known.v[i];
		if (place[k.object] == UINT32_MAX)
			continue;
		x->known.v[n] = (struct known_id){ k.id, place[k.object] };
		r = idset_add(&x->ids, ulid_hash(&k.id), (uint32_t)n++);
	}
	x->known.n = n;
	x->dead = 0;
	return r;
}

static bool is_damage(int e)
{
	return e == ERR_CORRUPT_CHECKSUM || e == ERR_CORRUPT_LAYOUT || e == ERR_CORRUPT_MISSING || e == ERR_STORE_RANGE;
}

static int index_update(struct db *db, struct id_index *x, struct view *v, struct error *err)
{
	if (x->generation == v->generation)
		return 0;
	struct str service = { x->service, x->service_len };
	_parts_ struct parts parts = { 0 };
	int r = view_parts(v, &service, x->day, x->day, NULL, &parts, err);
	if (r == 0)
		all_gone(x);
	for (size_t i = 0; r == 0 && i < parts.n; i++) {
		r = take_part(x, &parts.v[i], err);
		if (is_damage(r))
			r = 0; /* what a damaged object held is written again */
	}
	if (r == 0)
		r = leave_out_dead(x);
	x->generation = r == 0 ? v->generation : 0;
	return r;
}

static int look_up(struct db *db, struct view *v, struct str service, int32_t day, const struct ulid *id, bool *ret,
                   struct error *err)
{
	pthread_mutex_lock(&db->ids.lock);
	struct id_index *x = index_find(&db->ids, service, day);
	int r = x ? index_update(db, x, v, err) : -ENOMEM;
	if (r == 0) {
		x->used = clock_monotonic();
		*ret = holds(x, id);
	}
	pthread_mutex_unlock(&db->ids.lock);
	return r;
}

int ids_known(struct db *db, struct str service, int32_t day, const struct ulid *id, bool *ret, struct error *err)
{
	int r = ERR_STALE;
	for (int i = 0; i < VIEW_TRIES && r == ERR_STALE; i++) { /* an object was merged away: look again */
		_cleanup_(view_unrefp) struct view *v = NULL;
		r = db_view(db, i ? 0 : VIEW_MAX_AGE, &v, err);
		if (r == 0)
			r = look_up(db, v, service, day, id, ret, err);
	}
	return r == ERR_STALE ? error_set(err, ERR_CORRUPT_MISSING, "%s", error_text(err, r)) : r;
}

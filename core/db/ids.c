/* SPDX-License-Identifier: MIT */

/*
 * Which profiles are there already. An index holds the ids of one service and day; it takes in the objects that a view
 * has and it has not seen yet. The readers leave duplicates out anyway; this only spares writing them again.
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

static bool holds(const struct idset *set, const struct ulid *known, const struct ulid *u)
{
	for (struct idset_probe p = idset_probe(set, ulid_hash(u)); idset_next(set, &p);)
		if (!memcmp(known[p.id].b, u->b, sizeof u->b))
			return true;
	return false;
}

#define REMEMBER(set, vec, u)                                                                      \
	({                                                                                         \
		struct ulid *_slot = VEC_GROW(vec, 1);                                             \
		int _r = _slot ? idset_add(set, ulid_hash(u), (uint32_t)(vec)->n) : -ENOMEM;       \
		if (_r == 0) {                                                                     \
			*_slot = *(u);                                                             \
			(vec)->n++;                                                                \
		}                                                                                  \
		_r;                                                                                \
	})

static void index_free(struct id_index *x)
{
	if (!x)
		return;
	free(x->service);
	idset_done(&x->objects);
	VEC_DONE(&x->object_ids);
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

static int take_part(struct id_index *x, const struct part *part, struct error *err)
{
	const struct profiles *p;
	if (holds(&x->objects, x->object_ids.v, &part->object->ulid))
		return 0;
	int r = dataset_profiles(part->dataset, &p, err);
	for (uint32_t i = 0; r == 0 && i < p->n; i++) {
		struct ulid id = profile_row_id(&p->rows[i]);
		if (!holds(&x->ids, x->known.v, &id))
			r = REMEMBER(&x->ids, &x->known, &id);
	}
	return r < 0 ? r : REMEMBER(&x->objects, &x->object_ids, &part->object->ulid);
}

static bool is_damage(int e)
{
	return e == ERR_CORRUPT_CHECKSUM || e == ERR_CORRUPT_LAYOUT || e == ERR_CORRUPT_MISSING;
}

static int index_update(struct db *db, struct id_index *x, struct view *v, struct error *err)
{
	if (x->generation == v->generation)
		return 0;
	struct str service = { x->service, x->service_len };
	_parts_ struct parts parts = { 0 };
	int r = view_parts(v, &service, x->day, x->day, NULL, &parts, err);
	for (size_t i = 0; r == 0 && i < parts.n; i++) {
		r = take_part(x, &parts.v[i], err);
		if (is_damage(r))
			r = 0; /* what a damaged object held is written again */
	}
	if (r == 0)
		x->generation = v->generation;
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
		*ret = holds(&x->ids, x->known.v, id);
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

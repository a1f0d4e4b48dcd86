/* SPDX-License-Identifier: MIT */

/*
 * Which profiles are there already. An index holds the ids of one service and day, by the objects they are in:
 *
 *     unseen --(put or merged by this process, or read)--> there <--> gone --> left out
 *                                                            +--> forgotten: there, but without its ids
 *
 * Ids of objects that this process put or merged are noted when they are; only those of others are read, each object
 * once. What a view lacks no longer counts: what was deleted may be written again.
 *
 * A duplicate that is not seen here is stored again and counts once all the same: readers and merges see to that. So
 * what this costs has bounds, and where they are reached it sees less: of others' objects it reads ten thousand at once
 * and then one a second; of ids it keeps four million, and forgets those that it has known for longest.
 */

#include <string.h>

#include "../base/hash.h"
#include "internal.h"

#define INDEXES_MAX 4096
#define IDS_MAX ((size_t)4 << 20) /* of all indexes: 28 bytes each */
#define READS_MAX 10000
#define READ_EVERY NS_PER_S

static uint64_t ulid_hash(const struct ulid *u)
{
	return hash_bytes(u->b, sizeof u->b);
}

static bool holds(const struct id_index *x, const struct ulid *u)
{
	for (struct idset_probe p = idset_probe(&x->ids, ulid_hash(u)); idset_next(&x->ids, &p);) {
		const struct known_id *k = &x->known.v[p.id];
		if (!ulid_cmp(&k->id, u) && x->objects.v[k->object].there)
			return true;
	}
	return false;
}

/* ---- the indexes ---- */

void ids_init(struct id_indexes *ids, const struct db_options *o)
{
	pthread_mutex_init(&ids->lock, NULL);
	ids->max = o->known_ids ? o->known_ids : IDS_MAX;
	ids->reads_max = o->check_reads ? o->check_reads : READS_MAX;
	ids->read_until = INT64_MIN;
}

static void index_free(struct id_indexes *ids, struct id_index *x)
{
	if (!x)
		return;
	ids->held -= x->known.n;
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
		index_free(ids, ids->v.v[i]);
	VEC_DONE(&ids->v);
	idset_done(&ids->by_name);
	pthread_mutex_destroy(&ids->lock);
}

static uint64_t name_hash(struct str service, int32_t day)
{
	return hash_mix(hash_bytes(service.s, service.len), (uint64_t)day);
}

static int used_order(const void *a, const void *b)
{
	return CMP((*(struct id_index *const *)b)->used, (*(struct id_index *const *)a)->used);
}

/* A quarter of the indexes goes, those that were used least recently. */
static int drop_oldest(struct id_indexes *ids)
{
	size_t keep = ids->v.n - ids->v.n / 4;
	int r = 0;
	qsort(ids->v.v, ids->v.n, sizeof(struct id_index *), used_order);
	while (ids->v.n > keep)
		index_free(ids, ids->v.v[--ids->v.n]);
	idset_clear(&ids->by_name);
	for (size_t i = 0; i < ids->v.n && r == 0; i++) {
		const struct id_index *x = ids->v.v[i];
		r = idset_add(&ids->by_name, name_hash((struct str){ x->service, x->service_len }, x->day),
		              (uint32_t)i);
	}
	return r;
}

static struct id_index *index_find(const struct id_indexes *ids, struct str service, int32_t day)
{
	for (struct idset_probe p = idset_probe(&ids->by_name, name_hash(service, day));
	     idset_next(&ids->by_name, &p);) {
		struct id_index *x = ids->v.v[p.id];
		if (x->day == day && str_eq(service, (struct str){ x->service, x->service_len }))
			return x;
	}
	return NULL;
}

static struct id_index *index_new(struct id_indexes *ids, struct str service, int32_t day)
{
	if (ids->v.n >= INDEXES_MAX && drop_oldest(ids) < 0)
		return NULL;
	struct id_index **slot = VEC_GROW(&ids->v, 1), *x = calloc(1, sizeof *x);
	if (!slot || !x || !(x->service = strndup(service.s, service.len)) ||
	    idset_add(&ids->by_name, name_hash(service, day), (uint32_t)ids->v.n) < 0) {
		index_free(ids, x);
		return NULL;
	}
	x->service_len = service.len;
	x->day = day;
	ids->v.n++;
	return *slot = x;
}

/* ---- objects of an index ---- */

/* Where memory is short: all is read again. */
static void index_clear(struct id_indexes *ids, struct id_index *x)
{
	ids->held -= x->known.n;
	x->objects.n = x->known.n = 0;
	idset_clear(&x->by_ulid);
	idset_clear(&x->ids);
	x->generation = 0;
}

static struct id_object *find_object(struct id_index *x, const struct ulid *ulid)
{
	for (struct idset_probe p = idset_probe(&x->by_ulid, ulid_hash(ulid)); idset_next(&x->by_ulid, &p);)
		if (!ulid_cmp(&x->objects.v[p.id].ulid, ulid))
			return &x->objects.v[p.id];
	return NULL;
}

static int add_object(struct id_index *x, const struct id_object *o)
{
	struct id_object *slot = VEC_GROW(&x->objects, 1);
	if (!slot || idset_add(&x->by_ulid, ulid_hash(&o->ulid), (uint32_t)x->objects.n) < 0)
		return -ENOMEM;
	x->objects.n++;
	*slot = *o;
	return 0;
}

static int add_id(struct id_indexes *ids, struct id_index *x, const struct ulid *u, uint32_t object)
{
	struct known_id *slot = VEC_GROW(&x->known, 1);
	int r = slot ? idset_add(&x->ids, ulid_hash(u), (uint32_t)x->known.n) : -ENOMEM;
	if (r < 0)
		return r;
	*slot = (struct known_id){ *u, object };
	x->known.n++;
	ids->held++;
	return 0;
}

/* Keeps the objects that are there; *ret_place: where each has moved to, UINT32_MAX where its ids are not kept. */
static int keep_objects(struct id_index *x, uint32_t *ret_place)
{
	size_t n = x->objects.n;
	int r = 0;
	x->objects.n = 0;
	idset_clear(&x->by_ulid);
	for (size_t i = 0; i < n && r == 0; i++) {
		struct id_object o = x->objects.v[i];
		ret_place[i] = o.there && !o.forgotten ? (uint32_t)x->objects.n : UINT32_MAX;
		if (o.there)
			r = add_object(x, &o);
	}
	return r;
}

/* Leaves out objects that are gone, and ids of what is gone or forgotten. */
static int tidy(struct id_indexes *ids, struct id_index *x)
{
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
	if (r < 0) {
		index_clear(ids, x);
		return r;
	}
	ids->held -= x->known.n - n;
	x->known.n = n;
	return 0;
}

/* Of the index that has most, half of the ids go: the objects that were taken in first keep theirs no longer. */
static int forget_some(struct id_indexes *ids)
{
	struct id_index *x = ids->v.v[0];
	for (size_t i = 1; i < ids->v.n; i++)
		if (ids->v.v[i]->known.n > x->known.n)
			x = ids->v.v[i];
	size_t forgotten = 0;
	for (size_t i = 0; i < x->objects.n && 2 * forgotten < x->known.n; i++) {
		struct id_object *o = &x->objects.v[i];
		forgotten += o->ids;
		o->forgotten = true;
		o->ids = 0;
	}
	return tidy(ids, x);
}

static int take_in(struct id_indexes *ids, struct id_index *x, const struct ulid *object, const struct ulid *v,
                   uint32_t n)
{
	struct id_object o = { .ulid = *object, .ids = n, .there = true };
	if (find_object(x, object))
		return 0;
	int r = add_object(x, &o);
	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = add_id(ids, x, &v[i], (uint32_t)x->objects.n - 1);
	if (r < 0)
		index_clear(ids, x);
	while (r == 0 && ids->held > ids->max)
		r = forget_some(ids);
	return r;
}

void ids_note(struct db *db, struct str service, int32_t day, const struct ulid *object, const struct ulid *v,
              uint32_t n)
{
	pthread_mutex_lock(&db->ids.lock);
	struct id_index *x = index_find(&db->ids, service, day);
	if (x)
		take_in(&db->ids, x, object, v, n);
	pthread_mutex_unlock(&db->ids.lock);
}

bool ids_wanted(struct db *db, struct str service, int32_t day)
{
	pthread_mutex_lock(&db->ids.lock);
	bool wanted = index_find(&db->ids, service, day) != NULL;
	pthread_mutex_unlock(&db->ids.lock);
	return wanted;
}

/* ---- what others put ---- */

struct reading {
	struct db *db;
	struct str service;
	struct live **objects; /* borrowed from the view */
	size_t n;
	struct ulid **ids;     /* per object: new */
	uint32_t *counts;
	int *results;
	struct error *errors;
};

static int read_one(void *arg, size_t i)
{
	struct reading *q = arg;
	struct cached *pin;
	int r = cache_pin(q->db, q->objects[i], &pin, &q->errors[i]);
	if (r == 0) {
		size_t at = block_find(cached_block(pin), q->service);
		if (at != SIZE_MAX)
			r = dataset_ids(block_dataset(cached_block(pin), at), &q->ids[i], &q->counts[i], &q->errors[i]);
		cache_unpin(q->db, pin);
	}
	q->results[i] = r;
	return 0;
}

/* What a damaged object held is written again, and so is what one held that is not there. */
static bool is_lost(int e)
{
	return err_is_damage(e) || e == ERR_STORE_NOT_FOUND;
}

static int take_read(struct reading *q, struct id_index *x, struct error *err)
{
	int r = 0;
	for (size_t i = 0; i < q->n && r == 0; i++) {
		if (q->results[i] < 0 && !is_lost(q->results[i]))
			return error_set(err, q->results[i], "%s", error_text(&q->errors[i], q->results[i]));
		r = take_in(&q->db->ids, x, &q->objects[i]->object.ulid, q->ids[i], q->counts[i]);
	}
	return r;
}

static int read_objects(struct reading *q, struct id_index *x, struct error *err)
{
	q->ids = calloc(q->n + 1, sizeof *q->ids);
	q->counts = calloc(q->n + 1, sizeof *q->counts);
	q->results = calloc(q->n + 1, sizeof *q->results);
	q->errors = calloc(q->n + 1, sizeof *q->errors);
	int r = q->ids && q->counts && q->results && q->errors ? 0 : -ENOMEM;
	if (r == 0)
		r = pool_each(q->n > 1 ? q->db->pool : NULL, q->n, read_one, q);
	if (r == 0)
		r = take_read(q, x, err);
	for (size_t i = 0; q->ids && i < q->n; i++)
		free(q->ids[i]);
	free(q->ids);
	free(q->counts);
	free(q->results);
	free(q->errors);
	return r;
}

/* How many of so many objects may be read now. */
static size_t may_read(struct id_indexes *ids, int64_t now, size_t wanted)
{
	ids->read_until = MAX(ids->read_until, now - (int64_t)ids->reads_max * READ_EVERY);
	size_t n = MIN(wanted, (size_t)((now - ids->read_until) / READ_EVERY));
	ids->read_until += (int64_t)n * READ_EVERY;
	return n;
}

/* ---- bringing an index up to a view ---- */

/* Marks what is there. ret: what has not been taken in, what was put last first. */
static size_t mark_objects(struct id_index *x, const struct view *v, struct live **ret)
{
	struct str service = { x->service, x->service_len };
	size_t unseen = 0;
	for (size_t i = 0; i < x->objects.n; i++)
		x->objects.v[i].there = false;
	for (size_t i = v->n; i-- > 0;) {
		struct live *l = v->live[i];
		if (l->object.day != x->day || !live_may_hold(l, service))
			continue;
		struct id_object *o = find_object(x, &l->object.ulid);
		if (o)
			o->there = true;
		else
			ret[unseen++] = l;
	}
	return unseen;
}

/* Whether most of the index is of objects that are gone. */
static bool is_untidy(const struct id_index *x)
{
	size_t objects = 0, ids = 0;
	for (size_t i = 0; i < x->objects.n; i++)
		if (!x->objects.v[i].there) {
			objects++;
			ids += x->objects.v[i].ids;
		}
	return 2 * ids > x->known.n || 2 * objects > x->objects.n;
}

static int index_update(struct db *db, struct id_index *x, struct view *v, struct error *err)
{
	if (x->generation == v->generation)
		return 0;
	_free_ struct live **unseen = malloc((v->n + 1) * sizeof *unseen);
	if (!unseen)
		return -ENOMEM;
	size_t n = mark_objects(x, v, unseen);
	struct reading reading = { .db = db, .service = { x->service, x->service_len }, .objects = unseen,
		                   .n = may_read(&db->ids, db_uptime(db), n) };
	int r = reading.n ? read_objects(&reading, x, err) : 0;
	if (r == 0 && is_untidy(x))
		r = tidy(&db->ids, x);
	x->generation = r == 0 ? v->generation : 0;
	return r;
}

static int look_up(struct db *db, struct view *v, struct str service, int32_t day, const struct ulid *id, bool *ret,
                   struct error *err)
{
	pthread_mutex_lock(&db->ids.lock);
	struct id_index *x = index_find(&db->ids, service, day);
	if (!x)
		x = index_new(&db->ids, service, day);
	int r = x ? index_update(db, x, v, err) : -ENOMEM;
	if (x)
		x->used = clock_monotonic();
	if (r == 0)
		*ret = holds(x, id);
	pthread_mutex_unlock(&db->ids.lock);
	return r;
}

int ids_known(struct db *db, struct str service, int32_t day, const struct ulid *id, bool *ret, struct error *err)
{
	_cleanup_(view_unrefp) struct view *v = NULL;
	int r = db_view(db, VIEW_MAX_AGE, &v, err);
	return r < 0 ? r : look_up(db, v, service, day, id, ret, err);
}

/* SPDX-License-Identifier: MIT */

/*
 * Bulk loading: profiles gather in one segment per day until the memory they take reaches a bound, then all are put.
 * Nothing is acknowledged before bulk_flush() returns.
 */

#include <string.h>

#include "../base/hash.h"
#include "internal.h"

#define BULK_DEFAULT ((size_t)32 << 20)
#define BULK_MAX_DAYS 32

struct bulk {
	struct db *db;
	size_t max_bytes;
	pthread_mutex_t lock; /* guards what follows */
	VEC(struct segment) segments;
	struct idset ids;     /* of what is not flushed yet */
	VEC(struct ulid) known;
};

int bulk_new(struct db *db, size_t max_bytes, struct bulk **ret)
{
	struct bulk *b = calloc(1, sizeof *b);
	if (!b)
		return -ENOMEM;
	b->db = db;
	b->max_bytes = max_bytes ? max_bytes : BULK_DEFAULT;
	pthread_mutex_init(&b->lock, NULL);
	*ret = b;
	return 0;
}

static void forget(struct bulk *b)
{
	for (size_t i = 0; i < b->segments.n; i++)
		segment_done(&b->segments.v[i]);
	b->segments.n = 0;
	b->known.n = 0;
	idset_clear(&b->ids);
}

void bulk_free(struct bulk *b)
{
	if (!b)
		return;
	forget(b);
	VEC_DONE(&b->segments);
	VEC_DONE(&b->known);
	idset_done(&b->ids);
	pthread_mutex_destroy(&b->lock);
	free(b);
}

static size_t bulk_bytes(const struct bulk *b)
{
	size_t n = 0;
	for (size_t i = 0; i < b->segments.n; i++)
		n += block_writer_bytes(b->segments.v[i].writer);
	return n;
}

static int flush_locked(struct bulk *b, struct error *err)
{
	int r = b->segments.n ? db_need_format(b->db, err) : 0;
	for (size_t i = 0; i < b->segments.n && r == 0; i++)
		if (block_writer_profiles(b->segments.v[i].writer))
			r = segment_put(b->db, &b->segments.v[i], err);
	forget(b);
	return r;
}

int bulk_flush(struct bulk *b, struct error *err)
{
	pthread_mutex_lock(&b->lock);
	int r = flush_locked(b, err);
	pthread_mutex_unlock(&b->lock);
	return r;
}

static uint64_t write_hash(const struct profile_meta *m)
{
	return hash_mix(hash_bytes(m->id.b, sizeof m->id.b), hash_bytes(m->service.s, m->service.len));
}

/* The service is part of what an id is a hash of. */
static bool seen_here(const struct bulk *b, const struct profile_meta *m, uint64_t hash)
{
	for (struct idset_probe p = idset_probe(&b->ids, hash); idset_next(&b->ids, &p);)
		if (!memcmp(b->known.v[p.id].b, m->id.b, sizeof m->id.b))
			return true;
	return false;
}

static struct segment *segment_of(struct bulk *b, int32_t day, struct error *err)
{
	for (size_t i = 0; i < b->segments.n; i++)
		if (b->segments.v[i].day == day)
			return &b->segments.v[i];
	if (b->segments.n == BULK_MAX_DAYS && flush_locked(b, err) < 0)
		return NULL;
	struct segment *s = VEC_PUSH(&b->segments);
	if (s)
		*s = (struct segment){ .day = day };
	return s;
}

static int add_locked(struct bulk *b, const struct db_write *w, const struct profile_meta *m, bool *ret_known,
                      struct error *err)
{
	uint64_t hash = write_hash(m);
	if ((*ret_known = seen_here(b, m, hash)))
		return 0;
	int r = ids_known(b->db, m->service, time_day(m->time), &m->id, ret_known, err);
	if (r == 0 && *ret_known) /* perhaps by a write that failed before its marker was there */
		return markers_put(b->db, m->service, time_day(m->time), err);
	if (r < 0)
		return r;
	struct segment *s = segment_of(b, time_day(m->time), err);
	r = s ? segment_add(s, w->profile, m, err) : -ENOMEM;
	if (r < 0)
		return r;
	struct ulid *slot = VEC_PUSH(&b->known);
	r = slot ? idset_add(&b->ids, hash, (uint32_t)(b->known.n - 1)) : -ENOMEM;
	if (slot)
		*slot = m->id;
	if (r == 0 && bulk_bytes(b) >= b->max_bytes)
		r = flush_locked(b, err);
	return r;
}

int bulk_add(struct bulk *b, const struct db_write *w, struct db_written *ret, struct error *err)
{
	struct profile_meta meta;
	bool known = false;
	int r = b->db->store->read_only ? error_set(err, ERR_STORE_READONLY, "the store is read only")
	                                : write_prepare(w, &meta, err);
	if (r < 0)
		return r;
	pthread_mutex_lock(&b->lock);
	r = add_locked(b, w, &meta, &known, err);
	pthread_mutex_unlock(&b->lock);
	if (r == 0 && ret)
		*ret = (struct db_written){ meta.id, meta.time, known };
	return r;
}

/* SPDX-License-Identifier: MIT */

/*
 * A layer that keeps what was read of immutable objects: in memory, and in files that other processes use too. Objects
 * are cut into chunks of 128 KiB. A read that misses fetches its chunks whole but the last one, of which only what was
 * asked for: where the object ends is not known here. A chunk that is too short for a later read is fetched again.
 *
 *     absent -> loading (one thread fetches, others wait) -> ready (in the LRU list while nobody holds it too)
 *                                                         -> failed (out of the table; who waited tries for himself)
 *
 * A thread waits for others' chunks only when it has finished its own: so no two wait for each other.
 */

#include "store.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "../base/hash.h"
#include "cache_disk.h"

#define CHUNK ((size_t)128 << 10)
#define MEMORY ((size_t)32 << 20)
#define DISK ((uint64_t)1 << 30)
#define READ_MAX ((uint64_t)32 << 20) /* a longer read is a stream, which would only push the rest out */
#define SLOTS 4096                    /* a power of two */

enum state { LOADING, READY, FAILED };

struct chunk {
	struct chunk_id id;
	enum state state;   /* under lock */
	bool in_table;      /* under lock */
	unsigned refs;      /* under lock; one of the table's is not counted */
	struct chunk *chain, *newer, *older; /* under lock */
	size_t n;           /* fixed when ready, as data is */
	uint8_t *data;
};

struct cache {
	struct store base;
	struct store *inner;
	struct cache_disk *disk; /* NULL: none */
	bool (*immutable)(const char *key);
	uint64_t seed_hi, seed_lo; /* of the inner store's identity */
	size_t limit;

	pthread_mutex_t lock;
	pthread_cond_t loaded;
	struct chunk *slots[SLOTS];   /* under lock */
	struct chunk *newest, *oldest; /* under lock: ready ones */
	size_t bytes;                 /* under lock: of ready ones in the table */
	uint64_t hits, disk_hits, misses; /* under lock; of chunks */
};

static struct cache *cache_of(struct store *s)
{
	return (struct cache *)s;
}

static struct chunk_id id_of(const struct cache *c, const char *key, uint64_t index)
{
	XXH128_hash_t h = XXH3_128bits_withSeed(key, strlen(key), c->seed_lo);
	return (struct chunk_id){ hash_mix(h.high64 ^ c->seed_hi, index), hash_mix(h.low64, ~index) };
}

/* --- the table; all under lock --- */

static struct chunk **slot_of(struct cache *c, struct chunk_id id)
{
	struct chunk **at = &c->slots[id.lo & (SLOTS - 1)];
	while (*at && ((*at)->id.lo != id.lo || (*at)->id.hi != id.hi))
		at = &(*at)->chain;
	return at;
}

static void lru_remove(struct cache *c, struct chunk *k)
{
	*(k->newer ? &k->newer->older : &c->newest) = k->older;
	*(k->older ? &k->older->newer : &c->oldest) = k->newer;
	k->newer = k->older = NULL;
	c->bytes -= k->n;
}

static void lru_add(struct cache *c, struct chunk *k)
{
	k->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = k;
	c->newest = k;
	c->bytes += k->n;
}

static void chunk_free(struct chunk *k)
{
	free(k->data);
	free(k);
}

static void take_out(struct cache *c, struct chunk *k)
{
	*slot_of(c, k->id) = k->chain;
	k->in_table = false;
	if (k->state == READY)
		lru_remove(c, k);
	if (!k->refs)
		chunk_free(k);
}

static void evict(struct cache *c)
{
	while (c->bytes > c->limit && c->oldest)
		take_out(c, c->oldest);
}

static void release(struct cache *c, struct chunk *k)
{
	if (--k->refs == 0 && !k->in_table)
		chunk_free(k);
}

static struct chunk *add_loading(struct cache *c, struct chunk_id id)
{
	struct chunk *k = calloc(1, sizeof *k);
	if (!k)
		return NULL;
	*k = (struct chunk){ .id = id, .state = LOADING, .in_table = true, .refs = 1 };
	k->chain = *slot_of(c, id);
	*slot_of(c, id) = k;
	return k;
}

/* A reference to the chunk, which has or will have its first n bytes; *ret_own: it is the caller's to load. */
static struct chunk *acquire(struct cache *c, struct chunk_id id, size_t n, bool *ret_own)
{
	pthread_mutex_lock(&c->lock);
	struct chunk *k = *slot_of(c, id);
	if (k && k->state == READY && k->n < n) {
		take_out(c, k);
		k = NULL;
	}
	*ret_own = !k;
	if (!k) {
		k = add_loading(c, id);
	} else {
		k->refs++;
		if (k->state == READY) {
			lru_remove(c, k);
			lru_add(c, k);
			c->hits++;
		}
	}
	pthread_mutex_unlock(&c->lock);
	return k;
}

/* Ends the loading of a chunk that is the caller's. */
static void finish(struct cache *c, struct chunk *k, enum state state, uint64_t *counter)
{
	pthread_mutex_lock(&c->lock);
	k->state = state;
	if (state == READY)
		lru_add(c, k);
	else
		take_out(c, k);
	++*counter;
	evict(c);
	pthread_cond_broadcast(&c->loaded);
	pthread_mutex_unlock(&c->lock);
}

/* --- one read --- */

/* The chunk that a part of the read needs, and how many of its bytes. */
struct need {
	uint64_t index;
	size_t n;
	struct chunk *chunk;
	bool own, loading; /* loading: from the inner store */
};

struct job {
	struct cache *c;
	const char *key;
	struct need *needs; /* by index */
	size_t n;
};

static int by_index(const void *a, const void *b)
{
	return CMP(((const struct need *)a)->index, ((const struct need *)b)->index);
}

static size_t chunks_of(const struct store_range *r)
{
	return r->len ? (size_t)((r->off + r->len - 1) / CHUNK - r->off / CHUNK) + 1 : 0;
}

static void add_needs(struct job *j, const struct store_range *r)
{
	uint64_t end = r->off + r->len;
	for (uint64_t i = r->off / CHUNK; i * CHUNK < end; i++)
		j->needs[j->n++] = (struct need){ .index = i, .n = (size_t)MIN(end - i * CHUNK, (uint64_t)CHUNK) };
}

/* Those of one index become one, as long as the longest. */
static void merge_needs(struct job *j)
{
	size_t n = 0;
	qsort(j->needs, j->n, sizeof *j->needs, by_index);
	for (size_t i = 0; i < j->n; i++)
		if (n && j->needs[n - 1].index == j->needs[i].index)
			j->needs[n - 1].n = MAX(j->needs[n - 1].n, j->needs[i].n);
		else
			j->needs[n++] = j->needs[i];
	j->n = n;
	/* What is followed by another need is not the object's end: it comes whole. */
	for (size_t i = 0; i + 1 < j->n; i++)
		j->needs[i].n = CHUNK;
}

static bool load_from_disk(struct cache *c, struct need *d)
{
	struct chunk *k = d->chunk;
	uint8_t *data = c->disk ? malloc(CHUNK) : NULL;
	ssize_t n = data ? cache_disk_get(c->disk, k->id, data, CHUNK) : -1;
	if (n < (ssize_t)d->n) {
		free(data);
		return false;
	}
	k->data = realloc(data, (size_t)n) ?: data;
	k->n = (size_t)n;
	finish(c, k, READY, &c->disk_hits);
	d->own = false;
	return true;
}

static void end_fetch(struct job *j, int r)
{
	for (size_t i = 0; i < j->n; i++) {
		struct need *d = &j->needs[i];
		if (!d->own)
			continue;
		d->own = false;
		if (r == 0 && j->c->disk)
			cache_disk_put(j->c->disk, d->chunk->id, (struct slice){ d->chunk->data, d->chunk->n });
		finish(j->c, d->chunk, r == 0 ? READY : FAILED, &j->c->misses);
	}
}

/* Fetches, by one read, all chunks that are the caller's and not on the disk. */
static int fetch(struct job *j, struct error *err)
{
	_free_ struct store_range *ranges = calloc(j->n, sizeof *ranges);
	size_t n = 0;
	int r = ranges ? 0 : -ENOMEM;
	for (size_t i = 0; i < j->n && r == 0; i++) {
		struct need *d = &j->needs[i];
		if (!d->own || load_from_disk(j->c, d))
			continue;
		d->chunk->data = malloc(d->n);
		d->chunk->n = d->n;
		ranges[n++] = (struct store_range){ d->index * CHUNK, d->n, d->chunk->data };
		r = d->chunk->data ? 0 : -ENOMEM;
	}
	if (r == 0 && n)
		r = store_read(j->c->inner, j->key, ranges, n, err);
	end_fetch(j, r);
	return r;
}

static int acquire_all(struct job *j)
{
	for (size_t i = 0; i < j->n; i++) {
		struct need *d = &j->needs[i];
		d->chunk = acquire(j->c, id_of(j->c, j->key, d->index), d->n, &d->own);
		if (!d->chunk)
			return -ENOMEM;
	}
	return 0;
}

static void release_all(struct job *j)
{
	pthread_mutex_lock(&j->c->lock);
	for (size_t i = 0; i < j->n; i++)
		if (j->needs[i].chunk)
			release(j->c, TAKE_PTR(j->needs[i].chunk));
	pthread_mutex_unlock(&j->c->lock);
}

/* Waits for what others load: whether all is there, and long enough. */
static bool wait_all(struct job *j)
{
	bool whole = true;
	pthread_mutex_lock(&j->c->lock);
	for (size_t i = 0; i < j->n; i++) {
		struct chunk *k = j->needs[i].chunk;
		while (k->state == LOADING)
			pthread_cond_wait(&j->c->loaded, &j->c->lock);
		whole = whole && k->state == READY && k->n >= j->needs[i].n;
	}
	pthread_mutex_unlock(&j->c->lock);
	return whole;
}

static void copy_range(const struct job *j, const struct store_range *r)
{
	uint64_t end = r->off + r->len;
	for (size_t i = 0; i < j->n; i++) {
		uint64_t start = j->needs[i].index * CHUNK, from = MAX(r->off, start), to = MIN(end, start + CHUNK);
		if (from < to)
			memcpy(r->out + (from - r->off), j->needs[i].chunk->data + (from - start), (size_t)(to - from));
	}
}

/* 1 where all ranges were filled, 0 where another's loading failed and it is to be tried again. */
static int try_read(struct job *j, const struct store_range *ranges, size_t n, struct error *err)
{
	int r = acquire_all(j);
	if (r == 0)
		r = fetch(j, err);
	else
		end_fetch(j, r);
	if (r == 0 && wait_all(j)) {
		for (size_t i = 0; i < n; i++)
			copy_range(j, &ranges[i]);
		r = 1;
	}
	release_all(j);
	return r;
}

/* false: the read passes by. */
static bool job_init(struct job *j, const struct store_range *ranges, size_t n)
{
	uint64_t total = 0;
	size_t chunks = 0;
	for (size_t i = 0; i < n; i++) {
		if (ranges[i].off > UINT64_MAX / 4 || ranges[i].len > READ_MAX || !ranges[i].len)
			return false;
		total += ranges[i].len;
		chunks += chunks_of(&ranges[i]);
		if (total > READ_MAX || chunks > 4 * READ_MAX / CHUNK)
			return false;
	}
	j->needs = calloc(chunks, sizeof *j->needs);
	if (!j->needs)
		return false;
	for (size_t i = 0; i < n; i++)
		add_needs(j, &ranges[i]);
	merge_needs(j);
	return true;
}

static int cache_read(struct store *s, const char *key, const struct store_range *ranges, size_t n, struct error *err)
{
	struct job j = { .c = cache_of(s), .key = key };
	int r = 0;
	if (!n || !j.c->immutable(key) || !job_init(&j, ranges, n))
		return store_read(j.c->inner, key, ranges, n, err);
	while (r == 0)
		r = try_read(&j, ranges, n, err);
	free(j.needs);
	return MIN(r, 0);
}

/* --- what passes by --- */

static int cache_put(struct store *s, const char *key, struct slice data, struct error *err)
{
	return store_put(cache_of(s)->inner, key, data, err);
}

static int cache_put_body(struct store *s, const char *key, const struct store_body *body, struct error *err)
{
	return store_put_body(cache_of(s)->inner, key, body, err);
}

static int cache_put_if_absent(struct store *s, const char *key, struct slice data, struct error *err)
{
	return store_put_if_absent(cache_of(s)->inner, key, data, err);
}

static int cache_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size,
                      struct error *err)
{
	return store_tail(cache_of(s)->inner, key, n, out, ret_size, err);
}

static int cache_list(struct store *s, const char *prefix, const char *after, char delimiter, store_list_fn fn,
                      void *ctx, struct error *err)
{
	return store_list(cache_of(s)->inner, prefix, after, delimiter, fn, ctx, err);
}

static int cache_remove(struct store *s, const char *key, struct error *err)
{
	return store_remove(cache_of(s)->inner, key, err);
}

static int cache_remove_many(struct store *s, const char *const *keys, size_t n, struct error *err)
{
	return store_remove_many(cache_of(s)->inner, keys, n, err);
}

static int cache_now(struct store *s, int64_t *ret, struct error *err)
{
	return store_now(cache_of(s)->inner, ret, err);
}

static void cache_describe(struct store *s, struct buf *out)
{
	struct cache *c = cache_of(s);
	store_describe(c->inner, out);
	buf_puts(out, c->disk ? ", cached on the local disk" : ", cached in memory only");
}

static void cache_counters(struct store *s, struct store_counts *ret)
{
	struct cache *c = cache_of(s);
	store_counters(c->inner, ret);
	pthread_mutex_lock(&c->lock);
	ret->cache_hits = c->hits + c->disk_hits;
	ret->cache_misses = c->misses;
	pthread_mutex_unlock(&c->lock);
}

static void cache_free(struct store *s)
{
	struct cache *c = cache_of(s);
	while (c->oldest)
		take_out(c, c->oldest);
	cache_disk_free(c->disk);
	store_free(c->inner);
	pthread_cond_destroy(&c->loaded);
	pthread_mutex_destroy(&c->lock);
	free(s->name);
	free(c);
}

static const struct store_ops cache_ops = {
	.put = cache_put,
	.put_body = cache_put_body,
	.put_if_absent = cache_put_if_absent,
	.read = cache_read,
	.tail = cache_tail,
	.list = cache_list,
	.remove = cache_remove,
	.remove_many = cache_remove_many,
	.now = cache_now,
	.describe = cache_describe,
	.counters = cache_counters,
	.free = cache_free,
};

/* Chunks of another store, or of another version of this layout, are never taken for this one's. */
static int seed_from(struct cache *c)
{
	_buf_ struct buf identity = BUF_INIT(8192);
	c->inner->ops->identity(c->inner, &identity);
	if (buf_err(&identity))
		return buf_err(&identity);
	XXH128_hash_t h = XXH3_128bits(identity.data, identity.len);
	c->seed_hi = h.high64;
	c->seed_lo = h.low64;
	return 0;
}

int store_cache_new(struct store *inner, const struct cache_options *opts, struct store **ret)
{
	assert(inner->ops->identity && opts->immutable);
	struct cache *c = calloc(1, sizeof *c);
	char *name = strdup(inner->name);
	int r = c && name ? 0 : -ENOMEM;
	if (r == 0) {
		c->inner = inner;
		r = seed_from(c);
	}
	if (r < 0) {
		free(c);
		free(name);
		return r;
	}
	_free_ char *dir = opts->dir ? strdup(opts->dir) : cache_disk_default();
	c->base = (struct store){ .ops = &cache_ops, .name = name, .read_only = inner->read_only };
	c->immutable = opts->immutable;
	c->limit = opts->memory ?: MEMORY;
	c->disk = dir && !opts->no_disk ? cache_disk_new(dir, opts->disk ?: DISK) : NULL;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->loaded, NULL);
	*ret = &c->base;
	return 0;
}

/* SPDX-License-Identifier: MIT */

/*
 * Open blocks, by key. A block is opened once for all who want it; it stays while it is pinned, and after that until
 * the tables of unpinned blocks exceed the limit: then the least recently used ones go.
 */

#include <string.h>

#include "../base/hash.h"
#include "internal.h"
#include "shared.h"

#define CACHE_SLOTS 1024 /* a power of two */

struct cached {
	struct cached *newer, *older, *chain;
	uint64_t hash;
	char *key;
	uint64_t size;
	struct db *db;
	struct block *block; /* NULL while it is being opened */
	unsigned pins;
	size_t bytes;        /* as of the last unpin */
	bool failed;
};

struct block *cached_block(struct cached *c)
{
	return c->block;
}

static int read_object(struct db *db, const char *key, const struct source_range *ranges, size_t n, struct error *err)
{
	struct store_range *out = calloc(n + 1, sizeof *out);
	if (!out)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		out[i] = (struct store_range){ ranges[i].off, ranges[i].len, ranges[i].out };
	int r = store_read(db->store, key, out, n, err);
	free(out);
	return r;
}

static int source_read(void *ctx, const struct source_range *ranges, size_t n, struct error *err)
{
	struct cached *c = ctx;
	return read_object(c->db, c->key, ranges, n, err);
}

static int source_shared(void *ctx, const struct shared_name *name, struct str service,
                         int (*fn)(void *arg, struct dataset *shared, struct error *err), void *arg, struct error *err)
{
	return shared_with(((struct cached *)ctx)->db, name, service, fn, arg, err);
}

struct opened {
	struct db *db;
	char *key;
	uint8_t *whole; /* all its bytes; NULL: they are read as they are asked for */
};

static int opened_read(void *ctx, const struct source_range *ranges, size_t n, struct error *err)
{
	struct opened *o = ctx;
	if (!o->whole)
		return read_object(o->db, o->key, ranges, n, err);
	for (size_t i = 0; i < n; i++)
		memcpy(ranges[i].out, o->whole + ranges[i].off, ranges[i].len);
	return 0;
}

static int opened_shared(void *ctx, const struct shared_name *name, struct str service,
                         int (*fn)(void *arg, struct dataset *shared, struct error *err), void *arg, struct error *err)
{
	return shared_with(((struct opened *)ctx)->db, name, service, fn, arg, err);
}

static void opened_release(void *ctx)
{
	struct opened *o = ctx;
	free(o->key);
	free(o->whole);
	free(o);
}

static int read_whole(struct opened *o, size_t size, struct error *err)
{
	o->whole = malloc(size + 1);
	struct source_range all = { 0, size, o->whole };
	return o->whole ? read_object(o->db, o->key, &all, 1, err) : -ENOMEM;
}

int object_open(struct db *db, const struct object *o, bool whole, struct block **ret, struct error *err)
{
	struct opened *opened = calloc(1, sizeof *opened);
	char *key = strdup(o->key);
	if (!opened || !key) {
		free(opened);
		free(key);
		return -ENOMEM;
	}
	*opened = (struct opened){ .db = db, .key = key };
	int r = whole ? read_whole(opened, o->size, err) : 0;
	if (r < 0) {
		opened_release(opened);
		return r;
	}
	struct source src = { .read = opened_read, .shared = opened_shared, .release = opened_release, .ctx = opened,
		              .size = o->size };
	return block_open(&src, o->key, ret, err);
}

static void unlink_lru(struct cache *cache, struct cached *c)
{
	*(c->newer ? &c->newer->older : &cache->first) = c->older;
	*(c->older ? &c->older->newer : &cache->last) = c->newer;
	c->newer = c->older = NULL;
}

static void link_first(struct cache *cache, struct cached *c)
{
	c->older = cache->first;
	*(cache->first ? &cache->first->newer : &cache->last) = c;
	cache->first = c;
}

static void unlink_slot(struct cache *cache, struct cached *c)
{
	struct cached **at = &cache->slots[c->hash & (cache->n_slots - 1)];
	while (*at != c)
		at = &(*at)->chain;
	*at = c->chain;
}

static void drop(struct cache *cache, struct cached *c)
{
	unlink_lru(cache, c);
	unlink_slot(cache, c);
	cache->count -= c->bytes;
	block_free(c->block);
	free(c->key);
	free(c);
}

static void evict(struct cache *cache)
{
	for (struct cached *c = cache->last, *newer; c && cache->count > cache->limit; c = newer) {
		newer = c->newer;
		if (!c->pins)
			drop(cache, c);
	}
}

static struct cached *find(struct cache *cache, const char *key, uint64_t hash)
{
	if (!cache->slots)
		return NULL;
	struct cached *c = cache->slots[hash & (cache->n_slots - 1)];
	while (c && (c->hash != hash || strcmp(c->key, key) != 0))
		c = c->chain;
	return c;
}

static struct cached *insert(struct db *db, const char *key, uint64_t size, uint64_t hash)
{
	struct cache *cache = &db->cache;
	if (!cache->slots) {
		cache->slots = calloc(CACHE_SLOTS, sizeof *cache->slots);
		cache->n_slots = CACHE_SLOTS;
	}
	struct cached *c = calloc(1, sizeof *c);
	if (!c || !cache->slots || !(c->key = strdup(key))) {
		free(c);
		return NULL;
	}
	c->db = db;
	c->hash = hash;
	c->size = size;
	c->pins = 1;
	c->chain = cache->slots[hash & (cache->n_slots - 1)];
	cache->slots[hash & (cache->n_slots - 1)] = c;
	link_first(cache, c);
	return c;
}

/* Another thread opens it: waits, then 0 or the need to try again. */
static bool wait_open(struct cache *cache, struct cached *c)
{
	c->pins++;
	while (!c->block && !c->failed)
		pthread_cond_wait(&cache->opened, &cache->lock);
	if (c->block)
		return true;
	if (!--c->pins)
		drop(cache, c);
	return false;
}

int cache_pin_key(struct db *db, const char *key, uint64_t size, struct cached **ret, struct error *err)
{
	struct cache *cache = &db->cache;
	uint64_t hash = hash_bytes(key, strlen(key));
	pthread_mutex_lock(&cache->lock);
	struct cached *c = find(cache, key, hash);
	while (c && !c->failed) {
		if (wait_open(cache, c)) {
			unlink_lru(cache, c);
			link_first(cache, c);
			pthread_mutex_unlock(&cache->lock);
			*ret = c;
			return 0;
		}
		c = find(cache, key, hash);
	}
	c = insert(db, key, size, hash);
	pthread_mutex_unlock(&cache->lock);
	if (!c)
		return -ENOMEM;
	struct source src = { .read = source_read, .shared = source_shared, .ctx = c, .size = c->size };
	struct block *block = NULL;
	int r = block_open(&src, c->key, &block, err);
	pthread_mutex_lock(&cache->lock);
	c->block = block;
	c->failed = r < 0;
	pthread_cond_broadcast(&cache->opened);
	if (r < 0 && !--c->pins)
		drop(cache, c);
	pthread_mutex_unlock(&cache->lock);
	if (r == 0)
		*ret = c;
	return r;
}

int cache_pin(struct db *db, const struct live *live, struct cached **ret, struct error *err)
{
	return cache_pin_key(db, live->object.key, live->object.size, ret, err);
}

void cache_unpin(struct db *db, struct cached *c)
{
	struct cache *cache = &db->cache;
	size_t bytes = block_memory(c->block);
	pthread_mutex_lock(&cache->lock);
	cache->count = cache->count - c->bytes + bytes;
	c->bytes = bytes;
	c->pins--;
	evict(cache);
	pthread_mutex_unlock(&cache->lock);
}

void cache_clear(struct db *db)
{
	while (db->cache.first)
		drop(&db->cache, db->cache.first);
	free(db->cache.slots);
	db->cache.slots = NULL;
}

/* SPDX-License-Identifier: MIT */
#include "store.h"

#include <pthread.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/vec.h"

/*
 * Objects in a sorted array under a read-write lock. A listing takes the lock per entry and finds its place again by
 * key, so the callback may use the store.
 */

struct object {
	char *key;
	uint8_t *data;
	size_t len;
	int64_t mtime_ns;
};

struct mem {
	struct store base;
	pthread_rwlock_t lock;
	VEC(struct object) objects; /* under lock; sorted by key */
	_Atomic int64_t ahead;      /* of the machine's clock: the store's own time, for tests */
};

static struct mem *mem_of(struct store *s)
{
	return (struct mem *)s;
}

static void object_done(struct object *o)
{
	free(o->key);
	free(o->data);
}

/* The index of the first object whose key is not less than `key`. */
static size_t lower_bound(const struct mem *m, const char *key)
{
	size_t lo = 0, hi = m->objects.n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (strcmp(m->objects.v[mid].key, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct object *object_find(const struct mem *m, const char *key)
{
	size_t at = lower_bound(m, key);
	bool found = at < m->objects.n && strcmp(m->objects.v[at].key, key) == 0;
	return found ? &m->objects.v[at] : NULL;
}

static int64_t mem_time(struct mem *m)
{
	return clock_now() + m->ahead;
}

void store_mem_advance(struct store *s, int64_t ns)
{
	mem_of(s)->ahead += ns;
}

static int object_make(struct mem *m, const char *key, struct slice data, struct object *ret)
{
	struct object o = { strdup(key), malloc(MAX(data.len, (size_t)1)), data.len, mem_time(m) };
	if (!o.key || !o.data) {
		object_done(&o);
		return -ENOMEM;
	}
	if (data.len)
		memcpy(o.data, data.data, data.len);
	*ret = o;
	return 0;
}

/* Takes o where it returns 0. */
static int object_insert(struct mem *m, struct object *o, bool replace)
{
	size_t at = lower_bound(m, o->key);
	struct object *there = at < m->objects.n ? &m->objects.v[at] : NULL;
	if (there && strcmp(there->key, o->key) == 0) {
		if (!replace)
			return ERR_STORE_EXISTS;
		object_done(there);
		*there = *o;
		return 0;
	}
	if (!VEC_PUSH(&m->objects))
		return -ENOMEM;
	memmove(m->objects.v + at + 1, m->objects.v + at, (m->objects.n - 1 - at) * sizeof *o);
	m->objects.v[at] = *o;
	return 0;
}

/* Takes o. */
static int insert(struct mem *m, struct object *o, bool replace, struct error *err)
{
	pthread_rwlock_wrlock(&m->lock);
	int r = object_insert(m, o, replace);
	pthread_rwlock_unlock(&m->lock);
	if (r == 0)
		return 0;
	error_set(err, r, "%s: %s", o->key, err_text(r));
	object_done(o);
	return r;
}

static int put(struct store *s, const char *key, struct slice data, bool replace, struct error *err)
{
	struct object o;
	int r = object_make(mem_of(s), key, data, &o);
	if (r < 0)
		return error_set(err, r, "%s: out of memory", key);
	return insert(mem_of(s), &o, replace, err);
}

static int mem_put_body(struct store *s, const char *key, const struct store_body *body, struct error *err)
{
	struct object o = { strdup(key), malloc(MAX(body->size, (uint64_t)1)), body->size, mem_time(mem_of(s)) };
	int r = !o.key || !o.data ? error_set(err, -ENOMEM, "%s: out of memory", key) : 0;
	if (r == 0 && o.len)
		r = body->read(body->ctx, 0, o.data, o.len, err);
	if (r == 0)
		return insert(mem_of(s), &o, true, err);
	object_done(&o);
	return r;
}

static int mem_put(struct store *s, const char *key, struct slice data, struct error *err)
{
	return put(s, key, data, true, err);
}

static int mem_put_if_absent(struct store *s, const char *key, struct slice data, struct error *err)
{
	return put(s, key, data, false, err);
}

static int copy_ranges(const struct object *o, const struct store_range *ranges, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (ranges[i].off > o->len || ranges[i].len > o->len - ranges[i].off)
			return ERR_STORE_RANGE;
		if (ranges[i].len)
			memcpy(ranges[i].out, o->data + ranges[i].off, ranges[i].len);
	}
	return 0;
}

static int mem_read(struct store *s, const char *key, const struct store_range *ranges, size_t n, struct error *err)
{
	struct mem *m = mem_of(s);
	pthread_rwlock_rdlock(&m->lock);
	const struct object *o = object_find(m, key);
	int r = o ? copy_ranges(o, ranges, n) : ERR_STORE_NOT_FOUND;
	pthread_rwlock_unlock(&m->lock);
	return r < 0 ? error_set(err, r, "%s: %s", key, err_text(r)) : 0;
}

static int copy_tail(const struct object *o, size_t n, struct buf *out, uint64_t *ret_size)
{
	n = MIN(n, o->len);
	buf_put(out, o->data + (o->len - n), n);
	if (buf_err(out))
		return buf_err(out);
	*ret_size = o->len;
	return 0;
}

static int mem_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size, struct error *err)
{
	struct mem *m = mem_of(s);
	pthread_rwlock_rdlock(&m->lock);
	const struct object *o = object_find(m, key);
	int r = o ? copy_tail(o, n, out, ret_size) : ERR_STORE_NOT_FOUND;
	pthread_rwlock_unlock(&m->lock);
	return r < 0 ? error_set(err, r, "%s: %s", key, err_text(r)) : 0;
}

struct entry {
	char *key; /* new */
	struct store_stat st;
	bool rolled_up;
};

/* The first key not less than `from`, or NULL where it does not begin with prefix. */
static int next_entry(struct mem *m, const char *from, const char *prefix, char delimiter, struct entry *ret)
{
	size_t n = strlen(prefix);
	int r = 0;
	*ret = (struct entry){ 0 };
	pthread_rwlock_rdlock(&m->lock);
	size_t at = lower_bound(m, from);
	if (at < m->objects.n && strncmp(m->objects.v[at].key, prefix, n) == 0) {
		const struct object *o = &m->objects.v[at];
		const char *cut = delimiter ? strchr(o->key + n, delimiter) : NULL;
		ret->key = cut ? strndup(o->key, (size_t)(cut - o->key) + 1) : strdup(o->key);
		ret->st = (struct store_stat){ o->len, o->mtime_ns };
		ret->rolled_up = cut;
		r = ret->key ? 0 : -ENOMEM;
	}
	pthread_rwlock_unlock(&m->lock);
	return r;
}

/* The least string greater than s and, where rolled_up, than all that begin with s. */
static char *successor(const char *s, bool rolled_up)
{
	char *next = NULL;
	if (rolled_up) {
		next = strdup(s);
		if (next)
			next[strlen(next) - 1]++;
	} else if (asprintf(&next, "%s\x01", s) < 0) {
		next = NULL;
	}
	return next;
}

static int mem_list(struct store *s, const char *prefix, const char *after, char delimiter, store_list_fn fn, void *ctx,
                    struct error *err)
{
	bool behind = after && strcmp(after, prefix) >= 0;
	_free_ char *from = behind ? successor(after, false) : strdup(prefix);
	while (from) {
		struct entry e;
		int r = next_entry(mem_of(s), from, prefix, delimiter, &e);
		if (r < 0)
			break;
		if (!e.key)
			return 0;
		_free_ char *key = e.key;
		r = fn(ctx, key, e.rolled_up ? NULL : &e.st);
		if (r < 0)
			return r;
		free(from);
		from = successor(key, e.rolled_up);
	}
	return error_set(err, -ENOMEM, "%s: out of memory", prefix);
}

static int mem_remove(struct store *s, const char *key, struct error *err)
{
	struct mem *m = mem_of(s);
	pthread_rwlock_wrlock(&m->lock);
	struct object *o = object_find(m, key);
	if (o) {
		object_done(o);
		m->objects.n--;
		memmove(o, o + 1, (size_t)(m->objects.v + m->objects.n - o) * sizeof *o);
	}
	pthread_rwlock_unlock(&m->lock);
	return 0;
}

static int mem_now(struct store *s, int64_t *ret, struct error *err)
{
	*ret = mem_time(mem_of(s));
	return 0;
}

static void mem_free(struct store *s)
{
	struct mem *m = mem_of(s);
	for (size_t i = 0; i < m->objects.n; i++)
		object_done(&m->objects.v[i]);
	VEC_DONE(&m->objects);
	pthread_rwlock_destroy(&m->lock);
	free(s->name);
	free(m);
}

static const struct store_ops mem_ops = {
	.put = mem_put,
	.put_body = mem_put_body,
	.put_if_absent = mem_put_if_absent,
	.read = mem_read,
	.tail = mem_tail,
	.list = mem_list,
	.remove = mem_remove,
	.now = mem_now,
	.free = mem_free,
};

int store_mem_new(struct store **ret)
{
	struct mem *m = calloc(1, sizeof *m);
	if (!m)
		return -ENOMEM;
	m->base.ops = &mem_ops;
	pthread_rwlock_init(&m->lock, NULL);
	m->base.name = strdup("memory");
	if (!m->base.name) {
		mem_free(&m->base);
		return -ENOMEM;
	}
	*ret = &m->base;
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "store.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

#include "../base/clock.h"

enum kind {
	KIND_PUT = 1,
	KIND_CREATE = 2,
	KIND_READ = 4,
	KIND_LIST = 8,
	KIND_REMOVE = 16,
	KIND_NOW = 32,
};

struct faulty {
	struct store base;
	struct store *inner;
	bool borrowed;
	pthread_mutex_t lock;
	struct fault_plan plan; /* under lock */
	uint64_t seen;          /* under lock: calls of the plan's kinds since it was set */
	uint64_t calls;         /* under lock */
	void (*hook)(void *ctx, const char *what, const char *key); /* under lock */
	void *hook_ctx;                                             /* under lock */
};

static struct faulty *faulty_of(struct store *s)
{
	return (struct faulty *)s;
}

static enum fault count_call(struct faulty *f, enum kind kind, int64_t *ret_delay)
{
	enum fault fault = FAULT_NONE;
	pthread_mutex_lock(&f->lock);
	f->calls++;
	if (!f->plan.kinds || (f->plan.kinds & kind)) {
		f->seen++;
		if (f->seen == f->plan.at || (f->seen > f->plan.at && f->plan.from_then_on))
			fault = f->plan.fault;
	}
	*ret_delay = f->plan.delay_ns;
	pthread_mutex_unlock(&f->lock);
	return fault;
}

static void call_hook(struct faulty *f, const char *what, const char *key)
{
	pthread_mutex_lock(&f->lock);
	void (*hook)(void *, const char *, const char *) = f->hook;
	void *ctx = f->hook_ctx;
	pthread_mutex_unlock(&f->lock);
	if (hook)
		hook(ctx, what, key);
}

static void sleep_ns(int64_t ns)
{
	struct timespec ts = { .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
	while (ns > 0 && nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

/* Counts and announces a call. 0 with the fault that is still to be acted out, or the failure without effect. */
static int begin(struct faulty *f, enum kind kind, const char *what, const char *key, enum fault *ret,
                 struct error *err)
{
	int64_t delay;
	enum fault fault = count_call(f, kind, &delay);
	call_hook(f, what, key);
	*ret = fault;
	switch (fault) {
	case FAULT_BEFORE:
		return error_set(err, ERR_STORE, "%s: %s was made to fail", key, what);
	case FAULT_TIMEOUT:
		return error_set(err, ERR_STORE_TIMEOUT, "%s: %s was made to time out", key, what);
	case FAULT_DENIED:
		return error_set(err, ERR_STORE_ACCESS, "%s: %s was made to be denied", key, what);
	case FAULT_UNSUPPORTED:
		return error_set(err, ERR_STORE_UNSUPPORTED, "%s: %s was made to be unsupported", key, what);
	case FAULT_SLOW:
		sleep_ns(delay);
		return 0;
	case FAULT_BLIND:
	case FAULT_NONE:
	case FAULT_AFTER:
	case FAULT_TORN:
		break;
	}
	return 0;
}

/* Hides the outcome of a call, whatever it was, behind the planned failure, as an answer that got lost does. */
static int finish(int r, enum kind kind, const char *what, const char *key, enum fault fault, struct error *err)
{
	if (fault != FAULT_AFTER && fault != FAULT_TORN)
		return r;
	bool writes = kind & (KIND_PUT | KIND_CREATE | KIND_REMOVE);
	return error_set(err, writes ? ERR_STORE_UNKNOWN : ERR_STORE, "%s: %s was made to fail afterwards", key, what);
}

static struct slice torn(struct slice data, enum fault fault)
{
	return fault == FAULT_TORN ? (struct slice){ data.data, data.len / 2 } : data;
}

static int fault_put(struct store *s, const char *key, struct slice data, struct error *err)
{
	struct faulty *f = faulty_of(s);
	enum fault fault;
	int r = begin(f, KIND_PUT, "put", key, &fault, err);
	if (r < 0)
		return r;
	r = f->inner->ops->put(f->inner, key, torn(data, fault), err);
	return finish(r, KIND_PUT, "put", key, fault, err);
}

static int fault_put_body(struct store *s, const char *key, const struct store_body *body, struct error *err)
{
	struct faulty *f = faulty_of(s);
	struct store_body half = *body;
	enum fault fault;
	int r = begin(f, KIND_PUT, "put_body", key, &fault, err);
	if (r < 0)
		return r;
	if (fault == FAULT_TORN)
		half.size /= 2;
	r = f->inner->ops->put_body(f->inner, key, &half, err);
	return finish(r, KIND_PUT, "put_body", key, fault, err);
}

static int fault_put_if_absent(struct store *s, const char *key, struct slice data, struct error *err)
{
	struct faulty *f = faulty_of(s);
	enum fault fault;
	int r = begin(f, KIND_CREATE, "put_if_absent", key, &fault, err);
	if (r < 0)
		return r;
	if (fault == FAULT_BLIND)
		r = f->inner->ops->put(f->inner, key, data, err);
	else
		r = f->inner->ops->put_if_absent(f->inner, key, torn(data, fault), err);
	return finish(r, KIND_CREATE, "put_if_absent", key, fault, err);
}

/* A torn read succeeds with wrong bytes: it is for the checksums to notice. */
static void damage(uint8_t *data, size_t len)
{
	if (len)
		data[len / 2] ^= 0x10;
}

static int fault_read(struct store *s, const char *key, const struct store_range *ranges, size_t n, struct error *err)
{
	struct faulty *f = faulty_of(s);
	enum fault fault;
	int r = begin(f, KIND_READ, "read", key, &fault, err);
	if (r < 0)
		return r;
	r = f->inner->ops->read(f->inner, key, ranges, n, err);
	if (fault != FAULT_TORN)
		return finish(r, KIND_READ, "read", key, fault, err);
	for (size_t i = 0; r >= 0 && i < n; i++)
		damage(ranges[i].out, ranges[i].len);
	return r;
}

static int fault_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size,
                      struct error *err)
{
	struct faulty *f = faulty_of(s);
	enum fault fault;
	size_t before = out->len;
	uint64_t size;
	int r = begin(f, KIND_READ, "tail", key, &fault, err);
	if (r < 0)
		return r;
	r = f->inner->ops->tail(f->inner, key, n, out, &size, err);
	if (fault != FAULT_TORN)
		r = finish(r, KIND_READ, "tail", key, fault, err);
	else if (out->len > before)
		damage(out->data + before, out->len - before);
	if (r >= 0)
		*ret_size = size;
	else
		out->len = before;
	return r;
}

/* A torn listing breaks off behind its first entry. */
struct torn_list {
	store_list_fn fn;
	void *ctx;
	size_t n;
};

static int torn_entry(void *ctx, const char *key, const struct store_stat *st)
{
	struct torn_list *t = ctx;
	return t->n++ ? ERR_STORE : t->fn(t->ctx, key, st);
}

static int fault_list(struct store *s, const char *prefix, const char *after, char delimiter, store_list_fn fn,
                      void *ctx, struct error *err)
{
	struct faulty *f = faulty_of(s);
	enum fault fault;
	int r = begin(f, KIND_LIST, "list", prefix, &fault, err);
	if (r < 0)
		return r;
	struct torn_list t = { fn, ctx, 0 };
	if (fault == FAULT_TORN)
		r = f->inner->ops->list(f->inner, prefix, after, delimiter, torn_entry, &t, err);
	else
		r = f->inner->ops->list(f->inner, prefix, after, delimiter, fn, ctx, err);
	return finish(r, KIND_LIST, "list", prefix, fault, err);
}

static int fault_remove(struct store *s, const char *key, struct error *err)
{
	struct faulty *f = faulty_of(s);
	enum fault fault;
	int r = begin(f, KIND_REMOVE, "remove", key, &fault, err);
	if (r < 0)
		return r;
	r = f->inner->ops->remove(f->inner, key, err);
	return finish(r, KIND_REMOVE, "remove", key, fault, err);
}

/* A torn one removes half of them. */
static int fault_remove_many(struct store *s, const char *const *keys, size_t n, struct error *err)
{
	struct faulty *f = faulty_of(s);
	enum fault fault;
	int r = begin(f, KIND_REMOVE, "remove_many", keys[0], &fault, err);
	if (r < 0)
		return r;
	r = store_remove_many(f->inner, keys, fault == FAULT_TORN ? n / 2 : n, err);
	return finish(r, KIND_REMOVE, "remove_many", keys[0], fault, err);
}

static int fault_now(struct store *s, int64_t *ret, struct error *err)
{
	struct faulty *f = faulty_of(s);
	enum fault fault;
	int64_t now;
	int r = begin(f, KIND_NOW, "now", "", &fault, err);
	if (r < 0)
		return r;
	r = f->inner->ops->now(f->inner, &now, err);
	r = finish(r, KIND_NOW, "now", "", fault, err);
	if (r >= 0)
		*ret = now;
	return r;
}

static void fault_free(struct store *s)
{
	struct faulty *f = faulty_of(s);
	if (!f->borrowed)
		store_free(f->inner);
	pthread_mutex_destroy(&f->lock);
	free(s->name);
	free(f);
}

static const struct store_ops fault_ops = {
	.put = fault_put,
	.put_body = fault_put_body,
	.put_if_absent = fault_put_if_absent,
	.read = fault_read,
	.tail = fault_tail,
	.list = fault_list,
	.remove = fault_remove,
	.remove_many = fault_remove_many,
	.now = fault_now,
	.free = fault_free,
};

int store_fault_new(struct store *inner, bool borrowed, struct store **ret)
{
	struct faulty *f = calloc(1, sizeof *f);
	char *name = strdup(inner->name);
	if (!f || !name) {
		free(f);
		free(name);
		return -ENOMEM;
	}
	f->base = (struct store){ .ops = &fault_ops, .name = name, .read_only = inner->read_only };
	f->inner = inner;
	f->borrowed = borrowed;
	pthread_mutex_init(&f->lock, NULL);
	*ret = &f->base;
	return 0;
}

void store_fault_set(struct store *s, const struct fault_plan *plan)
{
	struct faulty *f = faulty_of(s);
	pthread_mutex_lock(&f->lock);
	f->plan = *plan;
	f->seen = 0;
	pthread_mutex_unlock(&f->lock);
}

uint64_t store_fault_calls(struct store *s)
{
	struct faulty *f = faulty_of(s);
	pthread_mutex_lock(&f->lock);
	uint64_t n = f->calls;
	pthread_mutex_unlock(&f->lock);
	return n;
}

void store_fault_hook(struct store *s, void (*hook)(void *ctx, const char *what, const char *key), void *ctx)
{
	struct faulty *f = faulty_of(s);
	pthread_mutex_lock(&f->lock);
	f->hook = hook;
	f->hook_ctx = ctx;
	pthread_mutex_unlock(&f->lock);
}

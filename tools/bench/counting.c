/* SPDX-License-Identifier: MIT */
#include "counting.h"

#include <string.h>

#include "../../core/base/macros.h"

/* As the S3 store does. */
#define GAP ((uint64_t)64 << 10)
#define PIECE ((uint64_t)8 << 20)
#define WHOLE_MAX ((uint64_t)16 << 20)
#define PAGE 1000

struct counting {
	struct store base;
	struct store *inner;
	struct store_counts sent; /* atomic adds */
};

static struct counting *counting_of(struct store *s)
{
	return (struct counting *)s;
}

static void add(uint64_t *to, uint64_t n)
{
	__atomic_fetch_add(to, n, __ATOMIC_RELAXED);
}

static void count_put(struct counting *c, uint64_t size)
{
	add(&c->sent.put, size > WHOLE_MAX ? (size + PIECE - 1) / PIECE + 2 : 1);
	add(&c->sent.bytes_in, size);
}

static int counting_put(struct store *s, const char *key, struct slice data, struct error *err)
{
	count_put(counting_of(s), data.len);
	return store_put(counting_of(s)->inner, key, data, err);
}

static int counting_put_body(struct store *s, const char *key, const struct store_body *body, struct error *err)
{
	count_put(counting_of(s), body->size);
	return store_put_body(counting_of(s)->inner, key, body, err);
}

static int counting_put_if_absent(struct store *s, const char *key, struct slice data, struct error *err)
{
	count_put(counting_of(s), data.len);
	return store_put_if_absent(counting_of(s)->inner, key, data, err);
}

static int by_offset(const void *a, const void *b)
{
	const struct store_range *x = a, *y = b;
	return CMP(x->off, y->off);
}

static int counting_read(struct store *s, const char *key, const struct store_range *ranges, size_t n,
                         struct error *err)
{
	struct counting *c = counting_of(s);
	_free_ struct store_range *sorted = malloc(MAX(n, (size_t)1) * sizeof *sorted);
	if (!sorted)
		return -ENOMEM;
	if (n)
		memcpy(sorted, ranges, n * sizeof *sorted);
	qsort(sorted, n, sizeof *sorted, by_offset);
	for (size_t from = 0, to; from < n; from = to) {
		uint64_t start = sorted[from].off, end = start;
		for (to = from; to < n && sorted[to].off <= end + GAP; to++)
			end = MAX(end, sorted[to].off + sorted[to].len);
		add(&c->sent.get, (end - start + PIECE - 1) / PIECE);
		add(&c->sent.bytes_out, end - start);
	}
	return store_read(c->inner, key, ranges, n, err);
}

static int counting_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size,
                         struct error *err)
{
	struct counting *c = counting_of(s);
	size_t before = out->len;
	int r = store_tail(c->inner, key, n, out, ret_size, err);
	add(&c->sent.get, 1);
	if (r == 0)
		add(&c->sent.bytes_out, out->len - before);
	return r;
}

struct listing {
	store_list_fn fn;
	void *ctx;
	uint64_t n;
};

static int count_entry(void *ctx, const char *key, const struct store_stat *st)
{
	struct listing *l = ctx;
	l->n++;
	return l->fn(l->ctx, key, st);
}

static int counting_list(struct store *s, const char *prefix, const char *after, char delimiter, store_list_fn fn,
                         void *ctx, struct error *err)
{
	struct counting *c = counting_of(s);
	struct listing l = { fn, ctx, 0 };
	int r = store_list(c->inner, prefix, after, delimiter, count_entry, &l, err);
	add(&c->sent.list, 1 + l.n / PAGE);
	return r;
}

static int counting_remove(struct store *s, const char *key, struct error *err)
{
	add(&counting_of(s)->sent.remove, 1);
	return store_remove(counting_of(s)->inner, key, err);
}

static int counting_now(struct store *s, int64_t *ret, struct error *err)
{
	return store_now(counting_of(s)->inner, ret, err);
}

static void counting_counters(struct store *s, struct store_counts *ret)
{
	*ret = counting_of(s)->sent;
}

static void counting_identity(struct store *s, struct buf *out)
{
	buf_printf(out, "counting %p", (void *)s);
}

static void counting_free(struct store *s)
{
	free(s->name);
	free(s);
}

static const struct store_ops counting_ops = {
	.put = counting_put,
	.put_body = counting_put_body,
	.put_if_absent = counting_put_if_absent,
	.read = counting_read,
	.tail = counting_tail,
	.list = counting_list,
	.remove = counting_remove,
	.now = counting_now,
	.counters = counting_counters,
	.identity = counting_identity,
	.free = counting_free,
};

int counting_new(struct store *inner, struct store **ret)
{
	struct counting *c = calloc(1, sizeof *c);
	if (!c)
		return -ENOMEM;
	c->base.ops = &counting_ops;
	c->inner = inner;
	c->base.name = strdup("memory, counted");
	if (!c->base.name) {
		free(c);
		return -ENOMEM;
	}
	*ret = &c->base;
	return 0;
}

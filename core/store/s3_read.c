/* SPDX-License-Identifier: MIT */

/*
 * Ranged reads. Ranges that lie near each other are read by one request, as what lies between them costs less than
 * another one would; long ones are cut into pieces that are read side by side. What comes is believed only where
 * Content-Range tells exactly what was asked for and so many bytes came.
 */

#include "s3.h"

#include <string.h>

#include "../base/vec.h"

#define GAP ((uint64_t)64 << 10)
#define PIECE ((uint64_t)8 << 20)
#define OFFSET_MAX ((uint64_t)1 << 62)

/* What one request reads, and the caller's ranges that overlap it. */
struct piece {
	uint64_t start, end;
	const struct store_range *const *ranges; /* by offset */
	size_t n;
	struct s3_call *call;
};

struct plan {
	const struct store_range **sorted; /* the ranges that are not empty, by offset */
	size_t n;
	VEC(struct piece) pieces;
};

static void plan_done(struct plan *p)
{
	free(p->sorted);
	VEC_DONE(&p->pieces);
}
#define _plan_ _cleanup_(plan_done)

static int by_offset(const void *a, const void *b)
{
	const struct store_range *x = *(const struct store_range *const *)a, *y = *(const struct store_range *const *)b;
	return CMP(x->off, y->off);
}

/* Pieces for sorted[from..to), which together cover start to end. */
static int add_pieces(struct plan *p, size_t from, size_t to, uint64_t start, uint64_t end)
{
	for (uint64_t at = start; at < end; at += PIECE) {
		struct piece *piece = VEC_PUSH(&p->pieces);
		if (!piece)
			return -ENOMEM;
		*piece = (struct piece){ at, MIN(at + PIECE, end), p->sorted + from, to - from, NULL };
	}
	return 0;
}

static int plan_init(struct plan *p, const struct store_range *ranges, size_t n)
{
	p->sorted = malloc(MAX(n, (size_t)1) * sizeof *p->sorted);
	if (!p->sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (ranges[i].len)
			p->sorted[p->n++] = &ranges[i];
	if (p->n)
		qsort(p->sorted, p->n, sizeof *p->sorted, by_offset);
	for (size_t from = 0, to; from < p->n; from = to) {
		uint64_t start = p->sorted[from]->off, end = start;
		for (to = from; to < p->n && p->sorted[to]->off <= end + GAP; to++)
			end = MAX(end, p->sorted[to]->off + p->sorted[to]->len);
		int r = add_pieces(p, from, to, start, end);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Gives n bytes of the object, from `off`, to the ranges that have a part in them. */
static void scatter(const struct piece *p, uint64_t off, const uint8_t *data, size_t n)
{
	for (size_t i = 0; i < p->n && p->ranges[i]->off < off + n; i++) {
		const struct store_range *r = p->ranges[i];
		uint64_t from = MAX(r->off, off), to = MIN(r->off + r->len, off + n);
		if (from < to)
			memcpy(r->out + (from - r->off), data + (from - off), (size_t)(to - from));
	}
}

static bool piece_sink(void *ctx, const struct http_answer *a, uint64_t off, const uint8_t *data, size_t n)
{
	struct piece *p = ctx;
	bool right = a->status == 206 && a->range_start == (int64_t)p->start && a->range_end >= a->range_start &&
	             a->range_end < (int64_t)p->end;
	if (!right || n > p->end - p->start - off) {
		p->call->sink_error = ERR_STORE;
		return false;
	}
	if (a->range_end + 1 < (int64_t)p->end) {
		p->call->sink_error = ERR_STORE_RANGE;
		return false;
	}
	scatter(p, p->start + off, data, n);
	return true;
}

/* That the bytes came is known: HTTP's length was kept, and it must be the range's. */
static int check_pieces(struct s3_call *calls, const struct plan *p, const char *key, uint64_t *ret_size,
                        struct error *err)
{
	for (size_t i = 0; i < p->pieces.n; i++) {
		const struct http_answer *a = &calls[i].answer;
		uint64_t want = p->pieces.v[i].end - p->pieces.v[i].start;
		if (a->status != 206 || a->length != (int64_t)want || a->range_total < 0)
			return error_set(err, ERR_STORE, "%s: the store does not keep to ranges", key);
		*ret_size = (uint64_t)a->range_total;
	}
	return 0;
}

static int read_pieces(struct s3 *s, const char *key, struct plan *p, uint64_t *ret_size, struct error *err)
{
	struct s3_call *calls = calloc(p->pieces.n, sizeof *calls);
	if (!calls)
		return error_set(err, -ENOMEM, "%s: out of memory", key);
	for (size_t i = 0; i < p->pieces.n; i++) {
		struct piece *piece = &p->pieces.v[i];
		piece->call = &calls[i];
		calls[i] = (struct s3_call){
			.method = "GET",
			.key = key,
			.ranged = true,
			.range_start = (int64_t)piece->start,
			.range_end = (int64_t)piece->end - 1,
			.expect = (size_t)(piece->end - piece->start),
			.sink = piece_sink,
			.ctx = piece,
		};
	}
	int r = s3_perform(s, calls, p->pieces.n, err);
	if (r == 0)
		r = check_pieces(calls, p, key, ret_size, err);
	s3_calls_done(calls, p->pieces.n);
	free(calls);
	return r;
}

int s3_size(struct s3 *s, const char *key, uint64_t *ret, struct error *err)
{
	_s3_call_ struct s3_call c = { .method = "HEAD", .key = key };
	int r = s3_perform(s, &c, 1, err);
	if (r < 0)
		return r;
	if (c.answer.length < 0)
		return error_set(err, ERR_STORE, "%s: the store does not tell its size", key);
	*ret = (uint64_t)c.answer.length;
	return 0;
}

static int out_of_range(const char *key, const struct store_range *r, struct error *err)
{
	return error_set(err, ERR_STORE_RANGE, "%s: asked for %zu bytes at %llu, where it has no more", key, r->len,
	                 (unsigned long long)r->off);
}

int s3_read(struct store *store, const char *key, const struct store_range *ranges, size_t n, struct error *err)
{
	_plan_ struct plan p = { 0 };
	uint64_t size = 0;
	for (size_t i = 0; i < n; i++)
		if (ranges[i].off > OFFSET_MAX || ranges[i].len > OFFSET_MAX)
			return out_of_range(key, &ranges[i], err);
	int r = plan_init(&p, ranges, n);
	if (r < 0)
		return error_set(err, r, "%s: out of memory", key);
	r = p.n ? read_pieces(s3_of(store), key, &p, &size, err) : s3_size(s3_of(store), key, &size, err);
	for (size_t i = 0; i < n && r == 0; i++)
		if (ranges[i].off + ranges[i].len > size)
			r = out_of_range(key, &ranges[i], err);
	return r;
}

/* --- tails --- */

struct tail {
	struct buf *out;
	size_t n, before; /* asked for; out's length when it began */
	struct s3_call *call;
};

/* Where the object is shorter, the range begins at 0; a server may then send it whole, as 200. */
static bool tail_sink(void *ctx, const struct http_answer *a, uint64_t off, const uint8_t *data, size_t n)
{
	struct tail *t = ctx;
	bool whole = a->status == 200 && a->length >= 0 && (uint64_t)a->length <= t->n;
	bool right = whole || (a->status == 206 && a->range_start >= 0 && a->range_total == a->range_end + 1 &&
	                       (a->range_start == 0 || a->range_end - a->range_start + 1 == (int64_t)t->n));
	if (off == 0)
		t->out->len = t->before;
	if (!right || n > t->n - off) {
		t->call->sink_error = ERR_STORE;
		return false;
	}
	buf_put(t->out, data, n);
	t->call->sink_error = buf_err(t->out);
	return t->call->sink_error == 0;
}

int s3_tail(struct store *store, const char *key, size_t n, struct buf *out, uint64_t *ret_size, struct error *err)
{
	if (n == 0)
		return s3_size(s3_of(store), key, ret_size, err);
	n = (size_t)MIN((uint64_t)n, OFFSET_MAX);
	_s3_call_ struct s3_call c = { .method = "GET", .key = key, .ranged = true, .range_start = -1,
		                       .range_end = (int64_t)n, .expect = MIN(n, out->max), .sink = tail_sink };
	struct tail t = { out, n, out->len, &c };
	c.ctx = &t;
	int r = s3_perform(s3_of(store), &c, 1, err);
	if (r == ERR_STORE_RANGE) /* of an empty object there is no last byte */
		return s3_size(s3_of(store), key, ret_size, err);
	bool whole = r == 0 && c.answer.length == (int64_t)(out->len - t.before);
	if (r == 0 && !whole)
		r = error_set(err, ERR_STORE, "%s: the store does not keep to ranges", key);
	if (r < 0) {
		out->len = t.before;
		return r;
	}
	*ret_size = (uint64_t)(c.answer.status == 206 ? c.answer.range_total : c.answer.length);
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "build.h"

#include <string.h>

#include "../base/hash.h"
#include "../wire/zst.h"

#define LEVEL 9

void builder_init(struct builder *b)
{
	*b = (struct builder){ .arena = ARENA_INIT(DEBUG_RAW_MAX) };
	builder_string(b, "");
}

void builder_done(struct builder *b)
{
	arena_done(&b->arena);
	VEC_DONE(&b->strings);
	idset_done(&b->string_set);
	VEC_DONE(&b->scopes);
	VEC_DONE(&b->found);
	VEC_DONE(&b->rows);
	VEC_DONE(&b->ranges);
}

/* Whether there is room for n more bytes of whatever it is. */
static bool charge(struct builder *b, size_t n)
{
	if (!b->error && b->bytes + n > DEBUG_RAW_MAX)
		b->error = ERR_FORMAT_LIMIT;
	b->bytes += b->error ? 0 : n;
	return !b->error;
}

static uint32_t out_of_memory(struct builder *b)
{
	b->error = b->error ? b->error : -ENOMEM;
	return 0;
}

uint32_t builder_string(struct builder *b, const char *s)
{
	struct str text = { s ? s : "", s ? strlen(s) : 0 };
	uint64_t hash = hash_bytes(text.s, text.len);
	for (struct idset_probe at = idset_probe(&b->string_set, hash); idset_next(&b->string_set, &at);)
		if (b->strings.v[at.id].len == text.len && !memcmp(b->strings.v[at.id].s, text.s, text.len))
			return at.id;
	if (!charge(b, text.len + sizeof text))
		return 0;
	char *copy = arena_strndup(&b->arena, text.s, text.len);
	struct str *to = copy ? VEC_PUSH(&b->strings) : NULL;
	if (!to || idset_add(&b->string_set, hash, (uint32_t)b->strings.n - 1) < 0)
		return out_of_memory(b);
	*to = (struct str){ copy, text.len };
	return (uint32_t)b->strings.n - 1;
}

uint32_t builder_scope(struct builder *b, const struct debug_scope *s)
{
	struct debug_scope *to = charge(b, sizeof *s) ? VEC_PUSH(&b->scopes) : NULL;
	if (!to)
		return out_of_memory(b);
	*to = *s;
	return (uint32_t)b->scopes.n - 1;
}

void builder_range(struct builder *b, const struct found_range *r)
{
	if (r->start >= r->end)
		return;
	struct found_range *to = charge(b, sizeof *r) ? VEC_PUSH(&b->found) : NULL;
	if (to)
		*to = *r;
	else
		out_of_memory(b);
}

void builder_row(struct builder *b, uint64_t start, uint32_t file, uint32_t line)
{
	struct found_row *to = charge(b, sizeof *to) ? VEC_PUSH(&b->rows) : NULL;
	if (to)
		*to = (struct found_row){ { start, file, line }, (uint32_t)b->rows.n };
	else
		out_of_memory(b);
}

/* ---- ranges that hold each other, to ranges side by side ---- */

static int found_order(const void *a, const void *b)
{
	const struct found_range *x = a, *y = b;
	if (x->start != y->start)
		return CMP(x->start, y->start);
	if (x->level != y->level)
		return CMP(x->level, y->level);
	return x->end != y->end ? CMP(y->end, x->end) : CMP(x->scope, y->scope);
}

typedef VEC(struct found_range) open_ranges_t;

/* What holds from `start` on. What held from the same place on held nothing. */
static void put_range(struct builder *b, uint64_t start, const open_ranges_t *open)
{
	uint32_t scope = open->n ? open->v[open->n - 1].scope : DEBUG_NONE;
	if (b->ranges.n && b->ranges.v[b->ranges.n - 1].start == start)
		b->ranges.n--;
	if (b->ranges.n ? b->ranges.v[b->ranges.n - 1].scope == scope : scope == DEBUG_NONE)
		return;
	struct debug_range *to = VEC_PUSH(&b->ranges);
	if (to)
		*to = (struct debug_range){ start, scope };
	else
		out_of_memory(b);
}

/* Closes what ends at `at` or before. */
static void close_ranges(struct builder *b, open_ranges_t *open, uint64_t at)
{
	while (open->n && open->v[open->n - 1].end <= at) {
		uint64_t end = open->v[--open->n].end;
		put_range(b, end, open);
	}
}

static void flatten(struct builder *b)
{
	open_ranges_t open = { 0 };
	if (b->found.n)
		qsort(b->found.v, b->found.n, sizeof *b->found.v, found_order);
	for (size_t i = 0; i < b->found.n && !b->error; i++) {
		struct found_range r = b->found.v[i];
		close_ranges(b, &open, r.start);
		if (open.n)
			r.end = MIN(r.end, open.v[open.n - 1].end);
		struct found_range *to = VEC_PUSH(&open);
		if (!to) {
			out_of_memory(b);
			break;
		}
		*to = r;
		put_range(b, r.start, &open);
	}
	close_ranges(b, &open, UINT64_MAX);
	VEC_DONE(&open);
}

static int row_order(const void *a, const void *b)
{
	const struct found_row *x = a, *y = b;
	return x->row.start != y->row.start ? CMP(x->row.start, y->row.start) : CMP(x->order, y->order);
}

/* A gap ends a run of code; where another begins at the same place, that one counts. */
static bool row_yields(const struct found_row *r, const struct found_row *next)
{
	return r->row.start == next->row.start && (next->row.line || next->row.file || !(r->row.line || r->row.file));
}

static void order_rows(struct builder *b)
{
	size_t n = 0;
	if (b->rows.n)
		qsort(b->rows.v, b->rows.n, sizeof *b->rows.v, row_order);
	for (size_t i = 0; i < b->rows.n; i++) {
		const struct found_row r = b->rows.v[i];
		if (n && b->rows.v[n - 1].row.start == r.row.start) {
			if (row_yields(&b->rows.v[n - 1], &r))
				b->rows.v[n - 1] = r;
			continue;
		}
		if (n && b->rows.v[n - 1].row.file == r.row.file && b->rows.v[n - 1].row.line == r.row.line)
			continue;
		b->rows.v[n++] = r;
	}
	b->rows.n = n;
}

/* ---- bytes ---- */

static void put_scopes(const struct builder *b, struct buf *raw)
{
	buf_varint(raw, b->scopes.n);
	for (size_t i = 0; i < b->scopes.n; i++) {
		const struct debug_scope *s = &b->scopes.v[i];
		buf_varint(raw, s->name);
		buf_varint(raw, s->linkage);
		buf_varint(raw, s->file);
		buf_varint(raw, s->line);
		buf_varint(raw, s->parent == DEBUG_NONE ? 0 : (uint64_t)i - s->parent);
		if (s->parent == DEBUG_NONE)
			continue;
		buf_varint(raw, s->call_file);
		buf_varint(raw, s->call_line);
	}
}

static void put_raw(const struct builder *b, struct buf *raw)
{
	uint64_t at = 0;
	buf_varint(raw, b->strings.n);
	for (size_t i = 0; i < b->strings.n; i++)
		buf_str(raw, b->strings.v[i]);
	put_scopes(b, raw);
	buf_varint(raw, b->ranges.n);
	for (size_t i = 0; i < b->ranges.n; i++) {
		const struct debug_range *r = &b->ranges.v[i];
		buf_varint(raw, r->start - at);
		buf_varint(raw, r->scope == DEBUG_NONE ? 0 : (uint64_t)r->scope + 1);
		at = r->start;
	}
	buf_varint(raw, b->rows.n);
	at = 0;
	for (size_t i = 0; i < b->rows.n; i++) {
		const struct debug_row *r = &b->rows.v[i].row;
		buf_varint(raw, r->start - at);
		buf_varint(raw, r->file);
		buf_varint(raw, r->line);
		at = r->start;
	}
}

static int store_raw(const struct buf *raw, struct buf *out)
{
	_buf_ struct buf stored = BUF_INIT(DEBUG_OBJECT_MAX);
	int r = zst_compress(buf_slice(raw), LEVEL, &stored);
	if (r < 0)
		return r;
	buf_puts(out, DEBUG_MAGIC);
	buf_u32(out, DEBUG_FORMAT);
	buf_u32(out, (uint32_t)raw->len);
	buf_u64(out, hash_bytes(stored.data, stored.len));
	buf_put(out, stored.data, stored.len);
	return buf_err(out);
}

int builder_finish(struct builder *b, struct debug_facts *facts, struct buf *out, struct error *err)
{
	_buf_ struct buf raw = BUF_INIT(DEBUG_RAW_MAX);
	if (!b->error)
		flatten(b);
	if (!b->error)
		order_rows(b);
	if (!b->error)
		put_raw(b, &raw);
	int r = b->error ? b->error : buf_err(&raw);
	if (r == 0)
		r = store_raw(&raw, out);
	if (r == ERR_LIMIT_BUFFER || r == ERR_FORMAT_LIMIT)
		return error_set(err, ERR_FORMAT_LIMIT, "it has more symbols than a table may hold");
	if (r < 0)
		return r;
	facts->functions = b->scopes.n;
	facts->ranges = b->ranges.n;
	facts->lines = b->rows.n;
	return 0;
}

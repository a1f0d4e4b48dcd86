/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "../base/cursor.h"
#include "../base/hash.h"
#include "../wire/zst.h"
#include "layout.h"

struct debug_table {
	uint8_t *raw; /* strings point into it */
	size_t bytes;
	struct str *strings;
	struct debug_scope *scopes;
	struct debug_range *ranges;
	struct debug_row *rows;
	uint32_t n_strings, n_scopes, n_ranges, n_rows;
};

void debug_table_free(struct debug_table *t)
{
	if (!t)
		return;
	free(t->raw);
	free(t->strings);
	free(t->scopes);
	free(t->ranges);
	free(t->rows);
	free(t);
}

size_t debug_table_bytes(const struct debug_table *t)
{
	return t->bytes;
}

/* ---- decoding ---- */

/* A count of things that take at least `least` bytes each, and room for them. NULL out of memory or where bad. */
static void *get_array(struct debug_table *t, struct cursor *c, size_t least, size_t size, uint32_t *ret_n)
{
	uint64_t n = cursor_varint_max(c, cursor_left(c) / least);
	c->bad |= t->bytes + n * size > 2 * DEBUG_RAW_MAX;
	*ret_n = c->bad ? 0 : (uint32_t)n;
	t->bytes += *ret_n * size;
	return c->bad ? NULL : calloc((size_t)n + 1, size);
}

static void get_strings(struct debug_table *t, struct cursor *c)
{
	t->strings = get_array(t, c, 1, sizeof *t->strings, &t->n_strings);
	for (uint32_t i = 0; t->strings && i < t->n_strings; i++)
		t->strings[i] = cursor_str(c);
	c->bad |= t->n_strings == 0;
}

static uint32_t get_string(const struct debug_table *t, struct cursor *c)
{
	return (uint32_t)cursor_varint_max(c, t->n_strings ? t->n_strings - 1 : 0);
}

static uint32_t get_u32(struct cursor *c)
{
	return (uint32_t)cursor_varint_max(c, UINT32_MAX);
}

static void get_scopes(struct debug_table *t, struct cursor *c)
{
	t->scopes = get_array(t, c, 5, sizeof *t->scopes, &t->n_scopes);
	for (uint32_t i = 0; t->scopes && i < t->n_scopes && !c->bad; i++) {
		struct debug_scope *s = &t->scopes[i];
		s->name = get_string(t, c);
		s->linkage = get_string(t, c);
		s->file = get_string(t, c);
		s->line = get_u32(c);
		uint32_t back = (uint32_t)cursor_varint_max(c, i);
		s->parent = back ? i - back : DEBUG_NONE;
		s->call_file = back ? get_string(t, c) : 0;
		s->call_line = back ? get_u32(c) : 0;
	}
}

static void get_ranges(struct debug_table *t, struct cursor *c)
{
	uint64_t at = 0;
	t->ranges = get_array(t, c, 2, sizeof *t->ranges, &t->n_ranges);
	for (uint32_t i = 0; t->ranges && i < t->n_ranges && !c->bad; i++) {
		at += cursor_varint_max(c, UINT64_MAX - at);
		uint32_t scope = (uint32_t)cursor_varint_max(c, t->n_scopes);
		t->ranges[i] = (struct debug_range){ at, scope ? scope - 1 : DEBUG_NONE };
	}
}

static void get_rows(struct debug_table *t, struct cursor *c)
{
	uint64_t at = 0;
	t->rows = get_array(t, c, 3, sizeof *t->rows, &t->n_rows);
	for (uint32_t i = 0; t->rows && i < t->n_rows && !c->bad; i++) {
		at += cursor_varint_max(c, UINT64_MAX - at);
		t->rows[i].start = at;
		t->rows[i].file = get_string(t, c);
		t->rows[i].line = get_u32(c);
	}
}

static int decode_raw(struct debug_table *t, struct slice frame, uint32_t raw_len)
{
	t->bytes = sizeof *t + raw_len;
	t->raw = malloc((size_t)raw_len + 1);
	if (!t->raw)
		return -ENOMEM;
	int r = zst_decompress(frame, t->raw, raw_len);
	if (r < 0)
		return r;
	struct cursor c = cursor_of((struct slice){ t->raw, raw_len });
	get_strings(t, &c);
	get_scopes(t, &c);
	get_ranges(t, &c);
	get_rows(t, &c);
	if (c.bad)
		return ERR_CORRUPT_LAYOUT;
	return t->strings && t->scopes && t->ranges && t->rows ? 0 : -ENOMEM;
}

int debug_table_decode(struct slice stored, struct debug_table **ret, struct error *err)
{
	struct cursor c = cursor_of(stored);
	const uint8_t *magic = cursor_bytes(&c, 8);
	uint32_t format = cursor_u32(&c), raw_len = cursor_u32(&c);
	uint64_t hash = cursor_u64(&c);
	if (c.bad || memcmp(magic, DEBUG_MAGIC, 8) != 0 || !format || raw_len > DEBUG_RAW_MAX)
		return error_set(err, ERR_CORRUPT_LAYOUT, "not debug information");
	if (format > DEBUG_FORMAT)
		return error_set(err, ERR_NEWER, "debug information of format %u; this program reads up to %d", format,
		                 DEBUG_FORMAT);
	struct slice frame = { c.p, cursor_left(&c) };
	if (hash_bytes(frame.data, frame.len) != hash)
		return error_set(err, ERR_CORRUPT_CHECKSUM, "the debug information's checksum does not match");
	_cleanup_(debug_table_freep) struct debug_table *t = calloc(1, sizeof *t);
	int r = t ? decode_raw(t, frame, raw_len) : -ENOMEM;
	if (r < 0)
		return error_set(err, r, "the debug information's contents are wrong: %s", err_text(r));
	*ret = TAKE_PTR(t);
	return 0;
}

/* ---- looking up ---- */

bool debug_table_may_name(const struct debug_table *t, struct str name)
{
	for (uint32_t i = 0; i < t->n_strings; i++)
		if (t->strings[i].len == name.len && !memcmp(t->strings[i].s, name.s, name.len))
			return true;
	return false;
}

/* The last one that begins at the address or before, or NULL. */
static const struct debug_range *find_range(const struct debug_table *t, uint64_t address)
{
	size_t from = 0, to = t->n_ranges;
	while (from < to) {
		size_t mid = from + (to - from) / 2;
		if (t->ranges[mid].start <= address)
			from = mid + 1;
		else
			to = mid;
	}
	return from ? &t->ranges[from - 1] : NULL;
}

static const struct debug_row *find_row(const struct debug_table *t, uint64_t address)
{
	size_t from = 0, to = t->n_rows;
	while (from < to) {
		size_t mid = from + (to - from) / 2;
		if (t->rows[mid].start <= address)
			from = mid + 1;
		else
			to = mid;
	}
	return from ? &t->rows[from - 1] : NULL;
}

uint32_t debug_table_find(const struct debug_table *t, uint64_t address, struct debug_frame ret[DEBUG_FRAMES_MAX])
{
	const struct debug_range *range = find_range(t, address);
	const struct debug_row *row = find_row(t, address);
	uint32_t scope = range ? range->scope : DEBUG_NONE, n = 0;
	uint32_t file = row ? row->file : 0, line = row ? row->line : 0;
	for (; scope != DEBUG_NONE && n < DEBUG_FRAMES_MAX; n++) {
		const struct debug_scope *s = &t->scopes[scope];
		ret[n] = (struct debug_frame){
			.name = t->strings[s->name],
			.system_name = t->strings[s->linkage],
			.file = t->strings[file ? file : s->file],
			.line = line,
			.start_line = s->line,
		};
		file = s->call_file;
		line = s->call_line;
		scope = s->parent;
	}
	return n;
}

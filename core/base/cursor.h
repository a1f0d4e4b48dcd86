/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reads bytes within bounds. A read past the end, or an ill-formed number, returns zero and sticks: `bad` stays
 * set and every later read returns zero. So a decoder reads a whole structure and asks once.
 */

#include <string.h>

#include "buf.h"

struct cursor {
	const uint8_t *p, *end;
	bool bad;
};

static inline struct cursor cursor_of(struct slice s)
{
	return (struct cursor){ s.data, s.data + s.len, false };
}

static inline size_t cursor_left(const struct cursor *c)
{
	return (size_t)(c->end - c->p);
}

static inline uint64_t cursor_fail(struct cursor *c)
{
	c->bad = true;
	c->p = c->end;
	return 0;
}

static inline const uint8_t *cursor_bytes(struct cursor *c, size_t n)
{
	if (cursor_left(c) < n) {
		cursor_fail(c);
		return NULL;
	}
	const uint8_t *p = c->p;
	c->p += n;
	return p;
}

static inline uint8_t cursor_u8(struct cursor *c)
{
	return c->p < c->end ? *c->p++ : (uint8_t)cursor_fail(c);
}

static inline uint32_t cursor_u32(struct cursor *c)
{
	const uint8_t *p = cursor_bytes(c, 4);
	return p ? (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24 : 0;
}

static inline uint64_t cursor_u64(struct cursor *c)
{
	uint64_t lo = cursor_u32(c);
	return lo | (uint64_t)cursor_u32(c) << 32;
}

/* LEB128 of at most ten bytes; bits above the 64th are dropped as protobuf readers do. */
uint64_t cursor_varint_slow(struct cursor *c);

static inline uint64_t cursor_varint(struct cursor *c)
{
	if (c->p < c->end && *c->p < 0x80)
		return *c->p++;
	return cursor_varint_slow(c);
}

static inline int64_t cursor_svarint(struct cursor *c)
{
	return unzigzag(cursor_varint(c));
}

/* A varint that must be at most max: larger sticks as bad. */
static inline uint64_t cursor_varint_max(struct cursor *c, uint64_t max)
{
	uint64_t v = cursor_varint(c);
	return v <= max ? v : cursor_fail(c);
}

/* varint length and bytes; borrowed from the input. */
static inline struct slice cursor_slice(struct cursor *c)
{
	uint64_t n = cursor_varint_max(c, cursor_left(c));
	const uint8_t *p = cursor_bytes(c, (size_t)n);
	return (struct slice){ p, p ? (size_t)n : 0 };
}

static inline struct str cursor_str(struct cursor *c)
{
	struct slice s = cursor_slice(c);
	return (struct str){ (const char *)s.data, s.len };
}

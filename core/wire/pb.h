/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The protobuf wire format (protobuf.dev/programming-guides/encoding), read without recursion.
 *
 * Reading: pb_next() yields the fields of one message in turn; groups (wire types 3 and 4) are refused.
 */

#include "../base/cursor.h"

enum pb_wire { PB_VARINT = 0, PB_I64 = 1, PB_LEN = 2, PB_I32 = 5 };

struct pb_field {
	uint32_t number; /* 0 is passed on: the caller skips what it does not know */
	enum pb_wire wire;
	uint64_t value;     /* VARINT, I64, I32 */
	struct slice bytes; /* LEN */
};

/* The next field; false at the end and on damage (then c->bad). */
static inline bool pb_next(struct cursor *c, struct pb_field *ret)
{
	if (c->p >= c->end)
		return false;
	uint64_t tag = cursor_varint_max(c, UINT32_MAX);
	ret->number = (uint32_t)(tag >> 3);
	ret->wire = (enum pb_wire)(tag & 7);
	switch (tag & 7) {
	case PB_VARINT:
		ret->value = cursor_varint(c);
		break;
	case PB_I64:
		ret->value = cursor_u64(c);
		break;
	case PB_LEN:
		ret->bytes = cursor_slice(c);
		break;
	case PB_I32:
		ret->value = cursor_u32(c);
		break;
	default:
		cursor_fail(c);
	}
	return !c->bad;
}

/* Writing: appends to a buffer. Zero values are the caller's to leave out. */
static inline void pb_put_double(struct buf *b, uint32_t number, double v)
{
	uint64_t bits;
	__builtin_memcpy(&bits, &v, sizeof bits);
	buf_varint(b, (uint64_t)number << 3 | PB_I64);
	buf_u64(b, bits);
}

static inline void pb_put_varint(struct buf *b, uint32_t number, uint64_t v)
{
	buf_varint(b, (uint64_t)number << 3 | PB_VARINT);
	buf_varint(b, v);
}

static inline void pb_put_bytes(struct buf *b, uint32_t number, const void *data, size_t n)
{
	buf_varint(b, (uint64_t)number << 3 | PB_LEN);
	buf_varint(b, n);
	buf_put(b, data, n);
}

static inline void pb_put_buf(struct buf *b, uint32_t number, const struct buf *message)
{
	pb_put_bytes(b, number, message->data, message->len);
}

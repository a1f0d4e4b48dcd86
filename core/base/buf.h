/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A growing buffer that is born with a cap. Errors stick: after a failed append the buffer keeps what it had,
 * ignores further appends and buf_err() tells why. So a writer appends freely and asks once at its end.
 */

#include "err.h"

struct buf {
	uint8_t *data;
	size_t len, cap, max;
	int err; /* 0, ERR_LIMIT_BUFFER or -ENOMEM */
};

#define BUF_INIT(max_) ((struct buf){ .max = (max_) })

void buf_done(struct buf *b);
#define _buf_ _cleanup_(buf_done)

/* Keeps the memory, forgets the contents and the error. */
static inline void buf_reset(struct buf *b)
{
	b->len = 0;
	b->err = 0;
}

static inline int buf_err(const struct buf *b)
{
	return b->err;
}

/* Makes room for n more bytes and returns where they go (len is not moved), or NULL with the error stuck. */
uint8_t *buf_reserve(struct buf *b, size_t n);

void buf_put(struct buf *b, const void *data, size_t n);
void buf_puts(struct buf *b, const char *s);
void buf_putc(struct buf *b, char c);
void buf_printf(struct buf *b, const char *fmt, ...) _printf_(2, 3);
void buf_vprintf(struct buf *b, const char *fmt, va_list ap);

void buf_u8(struct buf *b, uint8_t v);
void buf_u32(struct buf *b, uint32_t v); /* little-endian */
void buf_u64(struct buf *b, uint64_t v);
void buf_varint(struct buf *b, uint64_t v);   /* LEB128 */
void buf_svarint(struct buf *b, int64_t v);   /* zigzag LEB128 */
void buf_str(struct buf *b, struct str s);    /* varint length and bytes */

/* Decimal, without printf: the hot path of text renderings. */
void buf_i64(struct buf *b, int64_t v);

static inline struct slice buf_slice(const struct buf *b)
{
	return (struct slice){ b->data, b->len };
}

/* Gives the bytes away: *ret is new (malloc), the buffer is empty afterwards. NULL for an empty buffer. */
uint8_t *buf_take(struct buf *b, size_t *ret_len);

static inline uint64_t zigzag(int64_t v)
{
	return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

static inline int64_t unzigzag(uint64_t v)
{
	return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

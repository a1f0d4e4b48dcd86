/* SPDX-License-Identifier: MIT */
#include "buf.h"

#include <string.h>

void buf_done(struct buf *b)
{
	free(b->data);
	b->data = NULL;
	b->len = b->cap = 0;
}

uint8_t *buf_reserve(struct buf *b, size_t n)
{
	if (b->err)
		return NULL;
	if (b->cap - b->len >= n && b->data)
		return b->data + b->len;
	size_t need;
	if (!size_add(b->len, n, &need) || need > b->max) {
		b->err = ERR_LIMIT_BUFFER;
		return NULL;
	}
	size_t cap = MAX(b->cap + b->cap / 2, need);
	cap = MAX(MIN(MAX(cap, (size_t)64), b->max), (size_t)1);
	uint8_t *data = realloc(b->data, cap);
	if (!data) {
		b->err = -ENOMEM;
		return NULL;
	}
	b->data = data;
	b->cap = cap;
	return data + b->len;
}

void buf_put(struct buf *b, const void *data, size_t n)
{
	if (!n)
		return;
	uint8_t *p = buf_reserve(b, n);
	if (!p)
		return;
	memcpy(p, data, n);
	b->len += n;
}

void buf_puts(struct buf *b, const char *s)
{
	buf_put(b, s, strlen(s));
}

void buf_putc(struct buf *b, char c)
{
	buf_u8(b, (uint8_t)c);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	char small[512];
	va_list again;
	va_copy(again, ap);
	int n = vsnprintf(small, sizeof small, fmt, ap);
	if (n >= 0 && (size_t)n < sizeof small) {
		buf_put(b, small, (size_t)n);
	} else if (n >= 0) {
		uint8_t *p = buf_reserve(b, (size_t)n + 1);
		if (p) {
			vsnprintf((char *)p, (size_t)n + 1, fmt, again);
			b->len += (size_t)n;
		}
	}
	va_end(again);
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void buf_u8(struct buf *b, uint8_t v)
{
	uint8_t *p = buf_reserve(b, 1);
	if (p) {
		*p = v;
		b->len++;
	}
}

void buf_u32(struct buf *b, uint32_t v)
{
	uint8_t le[4] = { (uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24) };
	buf_put(b, le, sizeof le);
}

void buf_u64(struct buf *b, uint64_t v)
{
	buf_u32(b, (uint32_t)v);
	buf_u32(b, (uint32_t)(v >> 32));
}

void buf_varint(struct buf *b, uint64_t v)
{
	uint8_t *p = buf_reserve(b, 10);
	if (!p)
		return;
	size_t n = 0;
	while (v >= 0x80) {
		p[n++] = (uint8_t)v | 0x80;
		v >>= 7;
	}
	p[n++] = (uint8_t)v;
	b->len += n;
}

void buf_svarint(struct buf *b, int64_t v)
{
	buf_varint(b, zigzag(v));
}

void buf_str(struct buf *b, struct str s)
{
	buf_varint(b, s.len);
	buf_put(b, s.s, s.len);
}

void buf_i64(struct buf *b, int64_t v)
{
	char digits[24];
	size_t i = sizeof digits;
	uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
	do {
		digits[--i] = (char)('0' + u % 10);
		u /= 10;
	} while (u);
	if (v < 0)
		digits[--i] = '-';
	buf_put(b, digits + i, sizeof digits - i);
}

uint8_t *buf_take(struct buf *b, size_t *ret_len)
{
	*ret_len = b->len;
	b->len = b->cap = 0;
	return TAKE_PTR(b->data);
}

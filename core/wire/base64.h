/* SPDX-License-Identifier: MIT */
#pragma once

#include "../base/buf.h"

/* Appends bytes as base64 (RFC 4648), padded. */
static inline void base64_put(struct buf *out, struct slice s)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	for (size_t i = 0; i < s.len; i += 3) {
		size_t n = MIN(s.len - i, (size_t)3);
		uint32_t v = (uint32_t)s.data[i] << 16;
		v |= n > 1 ? (uint32_t)s.data[i + 1] << 8 : 0;
		v |= n > 2 ? s.data[i + 2] : 0;
		for (size_t k = 0; k < 4; k++)
			buf_putc(out, k <= n ? digits[v >> (18 - 6 * k) & 63] : '=');
	}
}

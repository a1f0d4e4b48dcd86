/* SPDX-License-Identifier: MIT */
#pragma once

#include "macros.h"

/*
 * The length of the UTF-8 sequence at the start of n (at least 1) bytes, or 0 where it is ill-formed (RFC 3629: no
 * surrogates, no overlong forms, not cut short).
 */
static inline size_t utf8_length(const char *str, size_t n)
{
	const uint8_t *s = (const uint8_t *)str;
	if (s[0] < 0x80)
		return 1;
	size_t len = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (s[0] < 0xc2 || s[0] > 0xf4 || n < len)
		return 0;
	uint8_t low = s[0] == 0xe0 ? 0xa0 : s[0] == 0xf0 ? 0x90 : 0x80;
	uint8_t high = s[0] == 0xed ? 0x9f : s[0] == 0xf4 ? 0x8f : 0xbf;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < len; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return len;
}

/* How much of a text fits into so many bytes without half a character at its end. */
static inline size_t utf8_cut(struct str s, size_t max)
{
	if (s.len <= max)
		return s.len;
	while (max > 0 && ((uint8_t)s.s[max] & 0xc0) == 0x80)
		max--;
	return max;
}

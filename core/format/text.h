/* SPDX-License-Identifier: MIT */
#pragma once

/* Reading text formats line by line and word by word. Everything is a view of the input. */

#include <string.h>

#include "../profile/label.h"

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline struct str str_from(struct str s, size_t at)
{
	return at < s.len ? (struct str){ s.s + at, s.len - at } : (struct str){ s.s + s.len, 0 };
}

static inline struct str trim_end(struct str s)
{
	while (s.len && is_blank(s.s[s.len - 1]))
		s.len--;
	return s;
}

static inline struct str trim(struct str s)
{
	s = trim_end(s);
	while (s.len && is_blank(*s.s))
		s = (struct str){ s.s + 1, s.len - 1 };
	return s;
}

static inline struct slice skip_bom(struct slice in)
{
	bool bom = in.len >= 3 && in.data[0] == 0xef && in.data[1] == 0xbb && in.data[2] == 0xbf;
	return bom ? (struct slice){ in.data + 3, in.len - 3 } : in;
}

/* Cuts the first line off *rest. Returns whether it was ended by a line feed. */
static inline bool next_line(struct slice *rest, struct str *ret)
{
	const uint8_t *end = memchr(rest->data, '\n', rest->len);
	size_t n = end ? (size_t)(end - rest->data) : rest->len;
	*ret = (struct str){ (const char *)rest->data, n };
	rest->data += n + (end != NULL);
	rest->len -= n + (end != NULL);
	return end != NULL;
}

static inline bool str_starts(struct str s, struct str with)
{
	return s.len >= with.len && !memcmp(s.s, with.s, with.len);
}

static inline bool str_ends(struct str s, struct str with)
{
	return s.len >= with.len && !memcmp(s.s + s.len - with.len, with.s, with.len);
}

/* Cuts a prefix off, where it is there. */
static inline bool skip_word(struct str *s, struct str word)
{
	bool there = str_starts(*s, word);
	if (there)
		*s = str_from(*s, word.len);
	return there;
}

/* Cuts the first word off *s: what stands before the next blank. "" at the end. */
static inline struct str next_word(struct str *s)
{
	*s = trim(*s);
	size_t n = 0;
	while (n < s->len && !is_blank(s->s[n]))
		n++;
	struct str word = { s->s, n };
	*s = trim(str_from(*s, n));
	return word;
}

/* Cuts decimal digits off *s. False where there are none or they do not fit. */
static inline bool take_u64(struct str *s, uint64_t *ret)
{
	uint64_t v = 0;
	size_t n = 0;
	for (; n < s->len && is_digit(s->s[n]); n++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(s->s[n] - '0'), &v))
			return false;
	if (!n)
		return false;
	*s = str_from(*s, n);
	*ret = v;
	return true;
}

/* The same, with a sign. */
static inline bool take_i64(struct str *s, int64_t *ret)
{
	struct str t = *s;
	bool negative = skip_word(&t, STR("-"));
	uint64_t v;
	if ((!negative && skip_word(&t, STR("+")) && !t.len) || !take_u64(&t, &v) || v > (uint64_t)INT64_MAX + negative)
		return false;
	*s = t;
	*ret = (int64_t)(negative ? -v : v);
	return true;
}

static inline int hex_digit(char c)
{
	return is_digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Cuts at most 16 hexadecimal digits off *s, with or without 0x. */
static inline bool take_hex(struct str *s, uint64_t *ret)
{
	struct str t = *s;
	skip_word(&t, STR("0x"));
	uint64_t v = 0;
	size_t n = 0;
	for (int d; n < t.len && (d = hex_digit(t.s[n])) >= 0; n++)
		v = v << 4 | (unsigned)d;
	if (!n || n > 16)
		return false;
	*s = str_from(t, n);
	*ret = v;
	return true;
}

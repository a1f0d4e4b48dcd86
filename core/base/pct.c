/* SPDX-License-Identifier: MIT */
#include "pct.h"

#include <string.h>

#include "hash.h"

#define HASH_TAIL 18 /* "%~" and 16 hex digits; '%' before no hex digit occurs nowhere else in an encoded name */

/*
 * The letters and combining marks of Unicode 14, by script. Modifiers, symbols, punctuation, digits other than
 * ASCII's, invisible and direction-changing characters, private use and the scripts beyond the first plane (but
 * Chinese) are not among them: what is missing here is shown percent-encoded, which is safe.
 */
static const struct {
	uint32_t first, last;
} letters[] = {
	{ 0xc0, 0xd6 }, { 0xd8, 0xf6 }, { 0xf8, 0x2c1 }, { 0x300, 0x34e }, { 0x350, 0x374 },
	{ 0x376, 0x37d }, { 0x388, 0x3f5 }, { 0x3f7, 0x481 }, { 0x483, 0x559 }, { 0x560, 0x588 },
	{ 0x591, 0x5bd }, { 0x5c7, 0x5f2 }, { 0x610, 0x61a }, { 0x620, 0x65f }, { 0x66e, 0x6d3 },
	{ 0x6d5, 0x6dc }, { 0x6df, 0x6e8 }, { 0x6ea, 0x6ef }, { 0x6fa, 0x6fc }, { 0x710, 0x7b1 },
	{ 0x7ca, 0x7f5 }, { 0x7fa, 0x7fd }, { 0x800, 0x82d }, { 0x840, 0x85b }, { 0x860, 0x887 },
	{ 0x889, 0x88e }, { 0x898, 0x8e1 }, { 0x8e3, 0x963 }, { 0x971, 0x9e3 }, { 0x9fe, 0xa5e },
	{ 0xa70, 0xa75 }, { 0xa81, 0xae3 }, { 0xaf9, 0xb63 }, { 0xb82, 0xbd7 }, { 0xc00, 0xc63 },
	{ 0xc80, 0xc83 }, { 0xc85, 0xce3 }, { 0xcf1, 0xd4e }, { 0xd54, 0xd57 }, { 0xd5f, 0xd63 },
	{ 0xd7a, 0xddf }, { 0xe01, 0xe3a }, { 0xe40, 0xe4e }, { 0xe81, 0xecd }, { 0xedc, 0xf00 },
	{ 0xf3e, 0xf84 }, { 0xf86, 0xfbc }, { 0x1000, 0x103f }, { 0x1050, 0x108f }, { 0x109a, 0x109d },
	{ 0x10a0, 0x10fa }, { 0x10fc, 0x115e }, { 0x1161, 0x135f }, { 0x1380, 0x138f }, { 0x13a0, 0x13fd },
	{ 0x1401, 0x166c }, { 0x166f, 0x167f }, { 0x1681, 0x169a }, { 0x16a0, 0x16ea }, { 0x16f1, 0x1734 },
	{ 0x1740, 0x17b3 }, { 0x17b6, 0x17d3 }, { 0x1820, 0x193b }, { 0x1950, 0x19c9 }, { 0x1a00, 0x1a1b },
	{ 0x1a20, 0x1a7f }, { 0x1ab0, 0x1b4c }, { 0x1b6b, 0x1b73 }, { 0x1b80, 0x1baf }, { 0x1bba, 0x1bf3 },
	{ 0x1c00, 0x1c37 }, { 0x1c4d, 0x1c4f }, { 0x1c5a, 0x1c7d }, { 0x1c80, 0x1cbf }, { 0x1cd0, 0x1cd2 },
	{ 0x1cd4, 0x1fbc }, { 0x1fc2, 0x1fcc }, { 0x1fd0, 0x1fdb }, { 0x1fe0, 0x1fec }, { 0x1ff2, 0x1ffc },
	{ 0x2c00, 0x2ce4 }, { 0x2ceb, 0x2cf3 }, { 0x2d00, 0x2d6f }, { 0x2d7f, 0x2dff }, { 0x302a, 0x302f },
	{ 0x3031, 0x3035 }, { 0x3041, 0x309a }, { 0x309d, 0x309f }, { 0x30a1, 0x30fa }, { 0x30fc, 0x3163 },
	{ 0x3165, 0x318e }, { 0x31a0, 0x31bf }, { 0x31f0, 0x31ff }, { 0x3400, 0x4dbf }, { 0x4e00, 0xa48c },
	{ 0xa4d0, 0xa4fd }, { 0xa500, 0xa60c }, { 0xa610, 0xa61f }, { 0xa62a, 0xa672 }, { 0xa674, 0xa67d },
	{ 0xa67f, 0xa6e5 }, { 0xa717, 0xa71f }, { 0xa722, 0xa788 }, { 0xa78b, 0xa827 }, { 0xa840, 0xa873 },
	{ 0xa880, 0xa8c5 }, { 0xa8e0, 0xa8f7 }, { 0xa8fd, 0xa8ff }, { 0xa90a, 0xa92d }, { 0xa930, 0xa953 },
	{ 0xa960, 0xa9c0 }, { 0xa9e0, 0xa9ef }, { 0xa9fa, 0xaa4d }, { 0xaa60, 0xaa76 }, { 0xaa7a, 0xaadd },
	{ 0xaae0, 0xaaef }, { 0xaaf2, 0xab5a }, { 0xab5c, 0xab69 }, { 0xab70, 0xabea }, { 0xac00, 0xd7fb },
	{ 0xf900, 0xfb28 }, { 0xfb2a, 0xfbb1 }, { 0xfbd3, 0xfd3d }, { 0xfd50, 0xfdc7 }, { 0xfdf0, 0xfdfb },
	{ 0xfe20, 0xfe2f }, { 0xfe70, 0xfefc }, { 0xff21, 0xff3a }, { 0xff41, 0xff5a }, { 0xff66, 0xff9f },
	{ 0xffa1, 0xffdc }, { 0x20000, 0x2fa1d }, { 0x30000, 0x3134a },
};

static bool is_letter(uint32_t c)
{
	size_t lo = 0, hi = ARRAY_SIZE(letters);
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (c > letters[mid].last)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < ARRAY_SIZE(letters) && c >= letters[lo].first;
}

static bool is_alnum(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool pct_safe(uint8_t byte)
{
	if (byte >= 0x80)
		return byte < 0xc0 || (byte >= 0xc3 && byte <= 0xf0);
	return is_alnum(byte) || (byte && strchr("_.+,~-", byte));
}

/* The length of the well-formed UTF-8 character at s (n > 0 bytes), or 0. Shortest forms only, no surrogates. */
static size_t utf8_decode(const uint8_t *s, size_t n, uint32_t *ret)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	if (len == 1) {
		*ret = s[0];
		return 1;
	}
	if (s[0] < 0xc2 || s[0] > 0xf4 || len > n)
		return 0;
	uint32_t c = s[0] & (0xffu >> (len + 1));
	for (size_t i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (s[i] & 0x3f);
	}
	if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 0;
	*ret = c;
	return len;
}

static void put_encoded(struct buf *ret, const uint8_t *s, size_t n)
{
	static const char hex[] = "0123456789ABCDEF";
	for (size_t i = 0; i < n; i++) {
		char out[3] = { '%', hex[s[i] >> 4], hex[s[i] & 15] };
		buf_put(ret, out, sizeof out);
	}
}

/* Whether the character (len bytes at s) may stay where it stands. */
static bool may_stay(const uint8_t *s, size_t len, uint32_t c, bool first)
{
	if (c >= 0x80)
		return len && is_letter(c);
	return pct_safe(s[0]) && !(first && strchr(".-~", s[0]));
}

bool pct_encode(struct buf *ret, struct str raw, bool reserve_first)
{
	const uint8_t *s = (const uint8_t *)raw.s;
	size_t start = ret->len, cut = start;
	for (size_t i = 0; i < raw.len && !buf_err(ret);) {
		uint32_t c = s[i];
		size_t len = utf8_decode(s + i, raw.len - i, &c);
		if (may_stay(s + i, len, c, i == 0) && !(reserve_first && i == 0))
			buf_put(ret, s + i, len);
		else
			put_encoded(ret, s + i, MAX(len, (size_t)1));
		i += MAX(len, (size_t)1);
		if (ret->len - start <= NAME_LIMIT - HASH_TAIL)
			cut = ret->len;
		if (ret->len - start > NAME_LIMIT) {
			ret->len = cut;
			buf_printf(ret, "%%~%016llx", (unsigned long long)hash_bytes(raw.s, raw.len));
			return true;
		}
	}
	return false;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

void pct_decode(struct buf *ret, struct str encoded)
{
	for (size_t i = 0; i < encoded.len; i++) {
		const char *s = encoded.s + i;
		int hi = *s == '%' && encoded.len - i > 2 ? hex_value(s[1]) : -1;
		int lo = hi >= 0 ? hex_value(s[2]) : -1;
		if (lo >= 0)
			i += 2;
		buf_u8(ret, lo >= 0 ? (uint8_t)(hi << 4 | lo) : (uint8_t)*s);
	}
}

void pct_encode_key(struct buf *ret, struct str raw)
{
	for (size_t i = 0; i < raw.len; i++) {
		uint8_t c = (uint8_t)raw.s[i];
		if (is_alnum(c) || c == '_' || c == '-' || (c == '.' && i > 0))
			buf_u8(ret, c);
		else
			put_encoded(ret, &c, 1);
	}
}

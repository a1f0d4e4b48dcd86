/* SPDX-License-Identifier: MIT */
#include "text.h"

static bool is_plain(uint8_t c)
{
	return c >= 0x20 && c < 0x7f && c != '&' && c != '<' && c != '>' && c != '"' && c != '\'';
}

/* Characters that XML 1.0 allows only as references, or not at all. */
static void put_special(struct buf *out, uint8_t c)
{
	switch (c) {
	case '&':
		buf_puts(out, "&amp;");
		break;
	case '<':
		buf_puts(out, "&lt;");
		break;
	case '>':
		buf_puts(out, "&gt;");
		break;
	case '"':
		buf_puts(out, "&quot;");
		break;
	case '\'':
		buf_puts(out, "&#39;");
		break;
	case '\t':
		buf_puts(out, "&#9;");
		break;
	case '\n':
		buf_puts(out, "&#10;");
		break;
	case '\r':
		buf_puts(out, "&#13;");
		break;
	case 0x7f:
		buf_putc(out, (char)c);
		break;
	default:
		buf_puts(out, NOT_UTF8);
	}
}

/* U+FFFE and U+FFFF are no characters of XML. */
static bool is_forbidden(const char *s, size_t len)
{
	return len == 3 && (uint8_t)s[0] == 0xef && (uint8_t)s[1] == 0xbf && (uint8_t)s[2] >= 0xbe;
}

void xml_escape(struct buf *out, struct str str)
{
	const char *s = str.s, *end = s + str.len;
	while (s < end) {
		const char *run = s;
		while (s < end && is_plain((uint8_t)*s))
			s++;
		buf_put(out, run, (size_t)(s - run));
		if (s == end)
			return;
		size_t len = utf8_length(s, (size_t)(end - s));
		if (len == 1)
			put_special(out, (uint8_t)*s);
		else if (!len || is_forbidden(s, len))
			buf_puts(out, NOT_UTF8);
		else
			buf_put(out, s, len);
		s += MAX(len, (size_t)1);
	}
}

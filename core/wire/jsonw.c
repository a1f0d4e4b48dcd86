/* SPDX-License-Identifier: MIT */
#include "jsonw.h"

#include <math.h>
#include <string.h>

#include "../base/utf8.h"

static void escape_ascii(struct buf *out, uint8_t c)
{
	static const char names[] = "\"\"\\\\\bb\ff\nn\rr\tt";
	for (const char *p = names; *p; p += 2) {
		if ((uint8_t)*p == c) {
			buf_putc(out, '\\');
			buf_putc(out, p[1]);
			return;
		}
	}
	buf_printf(out, "\\u%04x", c);
}

static bool is_plain(uint8_t c, bool html)
{
	return c >= 0x20 && c < 0x7f && c != '"' && c != '\\' && !(html && (c == '<' || c == '>' || c == '&'));
}

/* U+2028 and U+2029 end a line in older JavaScript. */
static bool is_line_end(const uint8_t *s, size_t len)
{
	return len == 3 && s[0] == 0xe2 && s[1] == 0x80 && (s[2] == 0xa8 || s[2] == 0xa9);
}

static void escape(struct buf *out, struct str str, bool html)
{
	const uint8_t *s = (const uint8_t *)str.s, *end = s + str.len;
	while (s < end) {
		const uint8_t *run = s;
		while (s < end && is_plain(*s, html))
			s++;
		buf_put(out, run, (size_t)(s - run));
		if (s == end)
			return;
		size_t len = utf8_length((const char *)s, (size_t)(end - s));
		if (!len)
			buf_puts(out, "\xef\xbf\xbd");
		else if (len == 1)
			escape_ascii(out, *s);
		else if (html && is_line_end(s, len))
			buf_printf(out, "\\u20%02x", s[2] == 0xa8 ? 0x28 : 0x29);
		else
			buf_put(out, s, len);
		s += MAX(len, (size_t)1);
	}
}

void json_escape(struct buf *out, struct str s)
{
	escape(out, s, true);
}

static void new_line(struct jsonw *w)
{
	if (w->compact)
		return;
	buf_putc(w->out, '\n');
	for (unsigned i = 0; i < w->depth; i++)
		buf_puts(w->out, "  ");
}

/* What stands before a value or a key: nothing after a key, else a comma and a line of its own. */
static void before(struct jsonw *w)
{
	if (w->keyed) {
		w->keyed = false;
		return;
	}
	if (w->comma)
		buf_putc(w->out, ',');
	if (w->depth)
		new_line(w);
	w->comma = true;
}

static void begin(struct jsonw *w, char c)
{
	before(w);
	buf_putc(w->out, c);
	w->depth++;
	w->comma = false;
}

static void end(struct jsonw *w, char c)
{
	w->depth--;
	if (w->comma)
		new_line(w);
	buf_putc(w->out, c);
	w->comma = true;
}

void jsonw_object(struct jsonw *w)
{
	begin(w, '{');
}

void jsonw_end_object(struct jsonw *w)
{
	end(w, '}');
}

void jsonw_array(struct jsonw *w)
{
	begin(w, '[');
}

void jsonw_end_array(struct jsonw *w)
{
	end(w, ']');
}

void jsonw_keyn(struct jsonw *w, struct str key)
{
	jsonw_strn(w, key);
	buf_puts(w->out, w->compact ? ":" : ": ");
	w->keyed = true;
}

void jsonw_key(struct jsonw *w, const char *key)
{
	jsonw_keyn(w, (struct str){ key, strlen(key) });
}

void jsonw_strn(struct jsonw *w, struct str s)
{
	before(w);
	buf_putc(w->out, '"');
	escape(w->out, s, false);
	buf_putc(w->out, '"');
}

void jsonw_str(struct jsonw *w, const char *s)
{
	jsonw_strn(w, (struct str){ s, strlen(s) });
}

void jsonw_i64(struct jsonw *w, int64_t v)
{
	before(w);
	buf_i64(w->out, v);
}

void jsonw_u64(struct jsonw *w, uint64_t v)
{
	before(w);
	buf_printf(w->out, "%llu", (unsigned long long)v);
}

void jsonw_double(struct jsonw *w, double v)
{
	before(w);
	if (!isfinite(v)) {
		buf_puts(w->out, "null");
		return;
	}
	char text[40];
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(text, sizeof text, "%.*g", digits, v);
		if (strtod(text, NULL) == v)
			break;
	}
	char *comma = strchr(text, ','); /* of the locale */
	if (comma)
		*comma = '.';
	buf_puts(w->out, text);
}

void jsonw_bool(struct jsonw *w, bool v)
{
	before(w);
	buf_puts(w->out, v ? "true" : "false");
}

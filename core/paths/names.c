/* SPDX-License-Identifier: MIT */
#include "names.h"

#include <string.h>

#include "grammar.h"

#define CUT_TAIL 18

bool name_is_cut(struct str text)
{
	if (text.len < CUT_TAIL || memcmp(text.s + text.len - CUT_TAIL, "%~", 2) != 0)
		return false;
	for (size_t i = text.len - CUT_TAIL + 2; i < text.len; i++)
		if (!strchr("0123456789abcdef", text.s[i]) || !text.s[i])
			return false;
	return true;
}

int typed_init(struct typed *t, struct str text)
{
	*t = (struct typed){ .text = text, .raw = BUF_INIT(COMPONENT_MAX), .cut = name_is_cut(text) };
	pct_decode(&t->raw, text);
	return buf_err(&t->raw);
}

void typed_done(struct typed *t)
{
	buf_done(&t->raw);
}

static bool encodes_to(struct str raw, bool reserve, struct str text)
{
	_buf_ struct buf b = BUF_INIT(COMPONENT_MAX);
	pct_encode(&b, raw, reserve);
	return !buf_err(&b) && str_eq((struct str){ (char *)b.data, b.len }, text);
}

bool typed_is(const struct typed *t, struct str candidate)
{
	if (str_eq((struct str){ (char *)t->raw.data, t->raw.len }, candidate))
		return true;
	return t->cut && (encodes_to(candidate, false, t->text) || encodes_to(candidate, true, t->text));
}

/* Encodes, and encodes the first byte too where `reads_as_other` says so of the plain form. */
static void put_unless(struct buf *out, struct str raw, bool (*reads_as_other)(const char *))
{
	_buf_ struct buf b = BUF_INIT(COMPONENT_MAX);
	pct_encode(&b, raw, false);
	buf_putc(&b, '\0');
	bool other = !buf_err(&b) && reads_as_other((const char *)b.data);
	pct_encode(out, raw, other);
}

void name_put(struct buf *out, struct str raw)
{
	put_unless(out, raw, component_reserved);
}

static bool label_reserved(const char *text)
{
	return !strncmp(text, "by-", 3);
}

void name_put_by(struct buf *out, struct str label)
{
	buf_puts(out, "by-");
	put_unless(out, label, label_reserved);
}

void name_put_matcher(struct buf *out, struct str key, struct str value)
{
	put_unless(out, key, label_reserved);
	buf_putc(out, '=');
	pct_encode(out, value, false);
}

static bool root_reserved(const char *text)
{
	return !strcmp(text, "README.md") || grammar_never(text);
}

void name_put_service(struct buf *out, struct str service)
{
	put_unless(out, service, root_reserved);
}

static bool value_reserved(const char *text)
{
	return rendering_find(text) || grammar_never(text);
}

void name_put_value(struct buf *out, struct str value)
{
	if (!value.len)
		buf_puts(out, "%none");
	else
		put_unless(out, value, value_reserved);
}

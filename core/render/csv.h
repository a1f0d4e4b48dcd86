/* SPDX-License-Identifier: MIT */
#pragma once

/* A field of comma-separated values (RFC 4180), quoted where it must be. */

#include <string.h>

#include "../base/buf.h"

static inline bool csv_needs_quotes(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (strchr(",\"\r\n", s.s[i]))
			return true;
	return false;
}

static inline void csv_field(struct buf *out, struct str s)
{
	if (!csv_needs_quotes(s)) {
		buf_put(out, s.s, s.len);
		return;
	}
	buf_putc(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (s.s[i] == '"')
			buf_putc(out, '"');
		buf_putc(out, s.s[i]);
	}
	buf_putc(out, '"');
}

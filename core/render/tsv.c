/* SPDX-License-Identifier: MIT */
#include "tsv.h"

void tsv_field(struct buf *out, struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		buf_putc(out, s.s[i] == '\t' || s.s[i] == '\n' || s.s[i] == '\r' ? ' ' : s.s[i]);
}

void tsv_value(struct buf *out, int64_t value, int64_t total)
{
	buf_i64(out, value);
	buf_putc(out, '\t');
	put_decimal(out, total ? 100 * ((double)value / (double)total) : 0, 6);
	buf_putc(out, '\t');
}

/* SPDX-License-Identifier: MIT */
#include "tsv.h"

void tsv_field(struct buf *out, struct str s)
{
	size_t run = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.s[i] != '\t' && s.s[i] != '\n' && s.s[i] != '\r')
			continue;
		buf_put(out, s.s + run, i - run);
		buf_putc(out, ' ');
		run = i + 1;
	}
	buf_put(out, s.s + run, s.len - run);
}

void tsv_value(struct buf *out, int64_t value, int64_t total)
{
	buf_i64(out, value);
	buf_putc(out, '\t');
	put_decimal(out, total ? 100 * ((double)value / (double)total) : 0, 6);
	buf_putc(out, '\t');
}

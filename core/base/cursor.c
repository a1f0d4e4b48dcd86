/* SPDX-License-Identifier: MIT */
#include "cursor.h"

uint64_t cursor_varint_slow(struct cursor *c)
{
	uint64_t v = 0;
	for (unsigned shift = 0; shift < 70; shift += 7) {
		if (c->p >= c->end)
			return cursor_fail(c);
		uint8_t byte = *c->p++;
		if (shift < 64)
			v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return v;
	}
	return cursor_fail(c);
}

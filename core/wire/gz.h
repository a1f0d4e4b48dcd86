/* SPDX-License-Identifier: MIT */
#pragma once

/* gzip (RFC 1952) by libdeflate. The only file that includes libdeflate.h is gz.c. */

#include "../base/buf.h"

static inline bool gz_magic(struct slice s)
{
	return s.len >= 2 && s.data[0] == 0x1f && s.data[1] == 0x8b;
}

/* One per thread and use; keeps tables between calls. */
struct gz;
int gz_new(struct gz **ret);
void gz_free(struct gz *z);
DEFINE_CLEANUP(struct gz *, gz_free);

/*
 * Inflates the one member at the start of in, appends to out (whose max is the bomb limit: never trusts ISIZE) and
 * tells how many bytes of in the member took. ERR_FORMAT_TRUNCATED, ERR_FORMAT_MALFORMED (checksum, length, bits),
 * ERR_FORMAT_LIMIT.
 */
int gz_member(struct gz *z, struct slice in, struct buf *out, size_t *ret_used, struct error *err);

/* Deflates into one member without name or time: equal bytes give equal bytes. level 1 to 12. Appends. */
int gz_compress(struct slice in, int level, struct buf *out);

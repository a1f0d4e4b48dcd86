/* SPDX-License-Identifier: MIT */
#pragma once

/* zstd (RFC 8878). The only file that includes zstd.h is zst.c. Each call is thread safe; contexts are per thread. */

#include "../base/buf.h"

static inline bool zst_magic(struct slice s)
{
	return s.len >= 4 && s.data[0] == 0x28 && s.data[1] == 0xb5 && s.data[2] == 0x2f && s.data[3] == 0xfd;
}

/* Appends one frame. */
int zst_compress(struct slice in, int level, struct buf *out);

/* Decompresses exactly one frame of exactly raw_len bytes into dst. ERR_CORRUPT_LAYOUT otherwise. */
int zst_decompress(struct slice in, uint8_t *dst, size_t raw_len);

/*
 * The same with a prefix: what is like it takes next to nothing. Needed again, byte for byte, to decompress. Prefix and
 * contents: at most ZST_PREFIX_MAX together.
 */
#define ZST_PREFIX_MAX ((size_t)64 << 20)
int zst_compress_after(struct slice prefix, struct slice in, int level, struct buf *out);
int zst_decompress_after(struct slice prefix, struct slice in, uint8_t *dst, size_t raw_len);

/* Decompresses any number of frames of unknown size (input files), appends, bounded by out->max. */
int zst_decompress_all(struct slice in, struct buf *out, struct error *err);

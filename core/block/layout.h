/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Numbers of the on-disk format, version 1. Their meaning stands in docs/format.md; both change together.
 *
 *     MAGIC | sections ... | footer | trailer
 */

#include "../base/cursor.h"

#define LAYOUT_MAGIC "PFSBLK1\n"
#define LAYOUT_MAGIC_LEN 8
#define LAYOUT_END_MAGIC "PFSEND1\n"

/* u64 footer offset, u32 stored length, u32 raw length, u64 XXH3 of the stored footer, u32 version, u32 zero, magic */
#define LAYOUT_TRAILER_LEN 40
#define LAYOUT_TAIL ((size_t)64 << 10) /* what a reader fetches first */

#define LAYOUT_MAX_FOOTER ((size_t)64 << 20)
#define LAYOUT_MAX_SECTION ((size_t)1 << 30)

enum section_kind {
	SECTION_STRINGS = 1,
	SECTION_FUNCTIONS = 2,
	SECTION_FILES = 3,
	SECTION_LOCATIONS = 4,
	SECTION_STACKS = 5,
	SECTION_LABELSETS = 6,
	SECTION_HEADERS = 7,
	SECTION_MAPSETS = 8,
	SECTION_SERIES = 9,
	SECTION_PROFILES = 10,
	SECTION_IDS = 11,
	SECTION_GROUPS = 12,  /* where each row group's streams lie in SAMPLES */
	SECTION_SAMPLES = 13, /* the streams themselves: not compressed as a whole */
	SECTION_ROLLUPS = 14, /* the directory of rollups */
	SECTION_CELLS = 15,   /* their sums: streams like those of row groups */
	SECTION_KINDS,        /* readers ignore kinds they do not know */
};

/* SHARED: one zstd frame whose prefix is the section of the same kind of the dataset's shared symbols. */
enum codec { CODEC_RAW = 0, CODEC_ZSTD = 1, CODEC_SHARED = 2 };

/* Streams of a row group, in this order; those that no profile of the group needs are absent. */
enum stream_kind { STREAM_STACKS = 0, STREAM_LABELS = 1, STREAM_DETAILS = 2, STREAM_VALUES = 3 /* + type */ };

#define LAYOUT_MAX_TYPES 64

_Static_assert(sizeof(LAYOUT_MAGIC) - 1 == LAYOUT_MAGIC_LEN, "magic");
_Static_assert(8 + 4 + 4 + 8 + 4 + 4 + 8 == LAYOUT_TRAILER_LEN, "trailer");

/* A column: a varint length and that many bytes. */
static inline void column_put(struct buf *out, const struct buf *column)
{
	buf_varint(out, column->len);
	buf_put(out, column->data, column->len);
}

static inline struct cursor column_get(struct cursor *c)
{
	return cursor_of(cursor_slice(c));
}

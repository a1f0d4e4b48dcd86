/* SPDX-License-Identifier: MIT */
#pragma once

/* What the writer and the reader of tables share; docs/format.md has the layout. */

#include "debug.h"

#define DEBUG_MAGIC "PFDEBUG\n"
#define DEBUG_FORMAT 1
#define DEBUG_RAW_MAX ((size_t)512 << 20)
#define DEBUG_NONE UINT32_MAX

/* A function, or one place where it is inlined: then `parent` is what it stands in, called from there. */
struct debug_scope {
	uint32_t name, linkage, file, line; /* strings; the line of the declaration */
	uint32_t parent;                    /* DEBUG_NONE: none; before it in the table */
	uint32_t call_file, call_line;
};

/* From `start` on, up to the next one's; `scope` is DEBUG_NONE in a gap. */
struct debug_range {
	uint64_t start;
	uint32_t scope;
};

struct debug_row {
	uint64_t start;
	uint32_t file, line; /* 0, 0: in a gap */
};

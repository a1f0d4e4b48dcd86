/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Symbols of native code: what an ELF file says of its addresses, as one compact table that is stored once per build
 * (docs/format.md "Debug information"). Addresses are positions in the file, as profiles have them.
 */

#include "../base/buf.h"

#define BUILD_ID_MAX 64                         /* bytes; the GNU note has 20 */
#define DEBUG_OBJECT_MAX ((size_t)512 << 20)    /* stored */
#define DEBUG_FRAMES_MAX 64                     /* of one address: deeper inlining is cut at its outer end */

struct debug_facts {
	char build_id[2 * BUILD_ID_MAX + 1]; /* lower-case hex */
	bool dwarf;                          /* else names of .symtab alone: neither lines nor inlined frames */
	uint64_t functions, ranges, lines;   /* what the table has of them */
	char note[200];                      /* what could not be read, and why; "" */
};

/*
 * Reads an ELF file and appends its table as it is stored. ERR_FORMAT with a sentence where it is no ELF file, has no
 * build id or no symbols; ERR_FORMAT_LIMIT where they are too many.
 */
int debug_read(int fd, struct debug_facts *ret, struct buf *out, struct error *err);

/*
 * The same by a process of its own, which `PROGRAM read-elf` is: what crashes there, or takes too much of time or
 * memory, is an error here. debug_read_child() is that process: it reads the file `in`, answers to `out`, and returns
 * its exit status.
 */
#define DEBUG_READ_COMMAND "read-elf"
int debug_read_apart(const char *program, int fd, struct debug_facts *ret, struct buf *out, struct error *err);
int debug_read_child(int in, int out);

/* A decoded table; immutable. */
struct debug_table;

struct debug_frame {
	struct str name, system_name, file; /* equal strings of a table are at one address */
	int64_t line, start_line;           /* 0: not known */
};

int debug_table_decode(struct slice stored, struct debug_table **ret, struct error *err);
void debug_table_free(struct debug_table *t);
DEFINE_CLEANUP(struct debug_table *, debug_table_free);
size_t debug_table_bytes(const struct debug_table *t);
/* Whether a function may have this name: it is among the strings. */
bool debug_table_may_name(const struct debug_table *t, struct str name);
/* The frames at an address, innermost first; 0 where nothing is known of it. Strings are borrowed from the table. */
uint32_t debug_table_find(const struct debug_table *t, uint64_t address, struct debug_frame ret[DEBUG_FRAMES_MAX]);

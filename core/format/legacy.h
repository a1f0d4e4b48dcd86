/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the formats share that gperftools, jemalloc and Go's debug=1 pages write: stacks of bare addresses, and a memory
 * map, as /proc/self/maps has it, that says which file each lies in. The addresses are return addresses, one less is
 * within the call; only where a signal interrupted the leaf it is its own. Facts about addresses that come later (a
 * map, Go's `#` lines with names) are applied to the profile's locations at the end.
 */

#include "make.h"
#include "text.h"

/* What is known of an address by name: lines of the profile. */
struct symbol {
	uint64_t address;
	uint32_t line_at, n_lines;
};

struct symbols {
	VEC(struct symbol) v;
	struct idset by_address;
	bool closed; /* the last symbol takes no further inlined calls */
};

void symbols_done(struct symbols *s);

/* Frames of one stack from return addresses like ` 0x12 0x34`, the leaf first. */
void legacy_frames(struct maker *m, struct str addresses);
void legacy_frame(struct maker *m, uint64_t address);

/* A line of Go: `#\t0x41a0d0\tbufio.(*Reader).Read+0x50\t/usr/.../bufio.go:241`. Others are ignored. */
void legacy_symbol(struct maker *m, struct symbols *s, struct str line);
/* What an address is; of two at one address the first counts, and those that follow it at once are its callers. */
void legacy_name(struct maker *m, struct symbols *s, uint64_t address, struct str name, struct str file, int64_t line);
/* Java's places, `0x3 com.example.C.m (C.java:3)`, name the addresses of locations, which lose them. */
void legacy_java_places(struct maker *m, struct symbols *s, struct slice rest);
/* Gives names to the locations that have a symbol. */
void legacy_apply_symbols(struct maker *m, const struct symbols *s);

/* Whether a memory map begins behind this line. */
bool legacy_is_map_start(struct str line);
/* Reads the rest of the input as a memory map and gives locations their mappings. */
void legacy_read_map(struct maker *m, struct slice rest);
/* The same, looking for the start first. */
void legacy_find_map(struct maker *m, struct slice rest);

/* The kinds of values that heap profiles have, as google/pprof names them. */
void legacy_heap_types(struct maker *m, bool alloc, bool known_inuse);
/* What a sampled allocation of this count and size stands for, at this mean distance of samples in bytes. */
void legacy_unsample(int64_t rate, double *count, double *size);

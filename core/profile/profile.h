/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The in-memory model of one profile, as any format decodes to and as it is written back. It is pprof's model
 * (profile.proto of github.com/google/pprof) with ids replaced by indices: everything a pprof says has a place here.
 *
 * Strings are indices into `strings`; string 0 is "". Locations, lines, functions and mappings are indices into their
 * arrays; "none" is PROFILE_NONE. Samples are columns: sample i has the locations locs[loc_at[i] .. loc_at[i+1]), leaf
 * first, the values values[i * n_types ..), and the labels labels[label_at[i] .. label_at[i+1]).
 */

#include "../base/arena.h"
#include "../base/buf.h"
#include "../base/vec.h"

#define PROFILE_NONE UINT32_MAX

struct value_type {
	uint32_t type, unit; /* strings */
};

struct profile_label {
	uint32_t key;      /* string */
	uint32_t str;      /* string; 0 where the label is numeric */
	int64_t num;
	uint32_t num_unit; /* string */
	bool is_num;       /* a numeric label (num may be 0) */
};

struct profile_mapping {
	uint64_t start, limit, offset;
	uint32_t filename, build_id; /* strings */
	uint8_t flags;               /* enum mapping_flags */
};

enum mapping_flags {
	MAPPING_HAS_FUNCTIONS = 1,
	MAPPING_HAS_FILENAMES = 2,
	MAPPING_HAS_LINE_NUMBERS = 4,
	MAPPING_HAS_INLINE_FRAMES = 8,
};

struct profile_function {
	uint32_t name, system_name, filename; /* strings */
	int64_t start_line;
};

struct profile_line {
	uint32_t function; /* PROFILE_NONE: a line of no function */
	int64_t line, column;
};

struct profile_location {
	uint32_t mapping; /* PROFILE_NONE: none */
	bool is_folded;
	uint64_t address;
	uint32_t line_at, n_lines; /* lines[line_at ..]: innermost inlined call first */
};

/* What the sender said of values that may be totals since the process began. */
enum temporality { TEMPORALITY_UNSAID, TEMPORALITY_DELTA, TEMPORALITY_CUMULATIVE };

struct profile {
	VEC(struct str) strings; /* borrowed from the input or `arena`; need not be unique, nor UTF-8 */

	VEC(struct value_type) types;
	VEC(struct profile_mapping) mappings;
	VEC(struct profile_function) functions;
	VEC(struct profile_line) lines;
	VEC(struct profile_location) locations;

	size_t n_samples;
	VEC(uint32_t) loc_at; /* n_samples + 1 */
	VEC(uint32_t) locs;
	VEC(int64_t) values;    /* n_samples * types.n */
	VEC(uint32_t) label_at; /* n_samples + 1, or empty where no sample has labels */
	VEC(struct profile_label) labels;

	uint32_t drop_frames, keep_frames; /* strings */
	int64_t time_ns;                   /* 0: the profile does not say */
	int64_t duration_ns;               /* 0: does not say */
	struct value_type period_type;
	int64_t period;
	VEC(uint32_t) comments; /* strings */
	uint32_t default_type;  /* string */
	uint32_t doc_url;       /* string */

	/* Beside pprof: what other formats and paths say of the whole profile. */
	uint32_t kind; /* string: "mutex", "block" ...; 0 unknown */
	enum temporality temporality;

	struct arena arena; /* strings that are not in the input */
	uint32_t n_warnings;
	char warning[160]; /* the first thing that was put right or dropped, "" for none */
};

/* Empty but for string 0, which is "". max_bytes bounds the arena. */
int profile_init(struct profile *p, size_t max_bytes);
void profile_done(struct profile *p);
/* Empties it and keeps the memory (up to 4 MiB of each array): one struct profile decodes many inputs. */
void profile_reset(struct profile *p);

/* Adds a string (copied into the arena) without looking for an equal one: the index, or PROFILE_NONE out of memory. */
uint32_t profile_string(struct profile *p, const char *s, size_t n);

/* Counts a warning; the first one's sentence is kept in p->warning. */
void profile_warn(struct profile *p, const char *fmt, ...) _printf_(2, 3);

/* The memory that its arrays and arena hold. */
size_t profile_bytes(const struct profile *p);

static inline struct str profile_str(const struct profile *p, uint32_t i)
{
	return i < p->strings.n ? p->strings.v[i] : (struct str){ "", 0 };
}

/*
 * Verifies every index and count of a decoded profile: the last gate before the store, whatever the format was.
 * 0 or ERR_FORMAT_REFERENCE with the place.
 */
int profile_verify(const struct profile *p, struct error *err);

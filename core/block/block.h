/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * One segment or block: an object of datasets (docs/format.md is normative). It is read through a source of bytes
 * and knows no store. A footer at its end names, per dataset, independently compressed and checksummed sections;
 * tables are loaded on first use and stay with the dataset.
 */

#include "../base/pool.h"
#include "../base/ulid.h"
#include "../profile/label.h"
#include "../profile/profile.h"

#define BLOCK_VERSION 2        /* the highest that is read */
#define BLOCK_VERSION_PLAIN 1  /* without shared symbols */
#define PROFILE_HASH_LEN 10

/* ---- where bytes come from ---- */

struct source_range {
	uint64_t off;
	size_t len;
	uint8_t *out;
};

struct dataset;

/* Symbols of a service that blocks of several days share: a block of its own, which holds nothing else. */
struct shared_name {
	struct ulid ulid;
	uint64_t size; /* 0: there are none */
};

struct source {
	/* Reads all ranges or fails; thread safe; may coalesce. */
	int (*read)(void *ctx, const struct source_range *ranges, size_t n, struct error *err);
	/*
	 * Calls fn(arg, the dataset of the service in the shared symbols of that name), which is borrowed for the call.
	 * NULL: there are none. Thread safe.
	 */
	int (*shared)(void *ctx, const struct shared_name *name, struct str service,
	              int (*fn)(void *arg, struct dataset *shared, struct error *err), void *arg, struct error *err);
	void (*release)(void *ctx); /* may be NULL */
	void *ctx;
	uint64_t size;
};

/* ---- what a footer says: enough for `ls` and `du` ---- */

struct dataset_type {
	struct str type, unit, kind;
	uint64_t profiles;
};

struct dataset_hour {
	int32_t hour; /* hours since the epoch */
	uint32_t profiles;
};

struct dataset_info {
	struct str service;
	uint64_t profiles, samples;
	uint64_t bytes_in;         /* what came in, as it came */
	uint64_t bytes[4];         /* stored: enum section_class */
	int64_t min_time, max_time; /* starts of the first and the last profile, inclusive */
	const struct dataset_type *types;
	size_t n_types;
	const struct str *label_keys; /* of profiles (path labels included), sorted */
	size_t n_label_keys;
	const struct str *sample_label_keys; /* sorted */
	size_t n_sample_label_keys;
	const struct dataset_hour *hours; /* ascending */
	size_t n_hours;
	bool has_rollups;
	struct shared_name shared; /* what its symbols are compressed against */
};

enum section_class { BYTES_SYMBOLS, BYTES_SAMPLES, BYTES_META, BYTES_ROLLUPS };

/* ---- the tables of a dataset; indices into each other; valid as long as the dataset ---- */

struct sym_function {
	uint32_t name, system_name, filename; /* strings */
	int64_t start_line;
};

/* What is mapped: one file of one build. */
struct sym_file {
	uint32_t filename, build_id; /* strings */
	uint8_t flags;               /* enum mapping_flags */
};

struct sym_line {
	uint32_t function; /* PROFILE_NONE: none */
	int64_t line, column;
};

enum location_flags {
	LOCATION_FOLDED = 1,
	LOCATION_EXPLICIT = 2, /* mapping and address stand in each profile's details, not here */
};

struct sym_location {
	uint32_t file;     /* PROFILE_NONE: none */
	uint64_t address;  /* address - start + offset; absolute where there is no file; 0 where EXPLICIT */
	uint32_t line_at, n_lines; /* innermost first */
	uint32_t ordinal;  /* tells equal locations of one profile apart; else 0 */
	uint8_t flags;
};

/* Every stack is a node: a location called from the parent's. 0 is the root: the empty stack. parent < id. */
struct symbols {
	const struct str *strings;
	uint32_t n_strings;
	const struct sym_function *functions;
	uint32_t n_functions;
	const struct sym_file *files;
	uint32_t n_files;
	const struct sym_line *lines;
	uint32_t n_lines;
	const struct sym_location *locations;
	uint32_t n_locations;
	const uint32_t *stack_parent, *stack_location; /* of stack 0: 0, PROFILE_NONE */
	uint32_t n_stacks;
};

/* Sets of sample labels; set 0 is empty. */
struct sample_label {
	uint32_t key, str, num_unit; /* strings */
	int64_t num;
	bool is_num;
};

struct labelsets {
	const uint32_t *at; /* n + 1 */
	const struct sample_label *labels;
	uint32_t n;
};

/* A set of profile labels. Where a key stands twice, from the sender and from the path, the path's wins. */
struct series_label {
	struct str key, value;
	bool of_path;
};

struct series {
	const struct series_label *labels; /* as they came */
	uint32_t n_labels;
	const struct label *effective; /* keys unique and sorted */
	uint32_t n_effective;
};

/* What profiles of one kind have in common. */
struct header {
	const struct value_type *types; /* strings of `symbols` */
	uint32_t n_types;
	struct value_type period_type;
	int64_t period;
	uint32_t drop_frames, keep_frames, default_type, doc_url, kind;
	const uint32_t *comments;
	uint32_t n_comments;
	enum temporality temporality;
};

struct mapset_entry {
	uint32_t file;
	uint64_t start, limit, offset;
};

struct mapset {
	const struct mapset_entry *entries; /* in the profile's order */
	uint32_t n;
};

enum time_source { TIME_OWN, TIME_FILE, TIME_RECEIVED };

/* One row per profile, in the order of writing. */
struct profile_row {
	int64_t time, duration;
	uint32_t series, header, mapset;
	uint32_t n_samples;
	uint32_t group, in_group; /* row group, and its place in it */
	uint32_t totals_at;       /* totals[totals_at + type]; divisors alike */
	uint8_t time_source;
	uint8_t hash[PROFILE_HASH_LEN];
};

struct profiles {
	const struct profile_row *rows;
	uint32_t n;
	const int64_t *totals;    /* saturated sums of each type's values */
	const int64_t *divisors;
	const struct series *series;
	uint32_t n_series;
	const struct header *headers;
	uint32_t n_headers;
	const struct mapset *mapsets;
	uint32_t n_mapsets;
};

struct ulid profile_row_id(const struct profile_row *row);

/* ---- reading ---- */

struct block;

/* Reads the footer (one range: the last 64 KiB, a second where it is larger). src is taken, also on failure. New. */
int block_open(const struct source *src, const char *name, struct block **ret, struct error *err);
void block_free(struct block *b); /* after all its datasets */
DEFINE_CLEANUP(struct block *, block_free);

const char *block_name(const struct block *b);
uint64_t block_size(const struct block *b);
unsigned block_level(const struct block *b); /* 0: a segment */
size_t block_datasets(const struct block *b);
const struct dataset_info *block_info(const struct block *b, size_t i); /* borrowed until block_free() */
/* The dataset of a service, or SIZE_MAX. */
size_t block_find(const struct block *b, struct str service);

/* The i-th dataset: borrowed until block_free(); tables load on first use. Thread safe. */
struct dataset *block_dataset(struct block *b, size_t i);
size_t block_memory(struct block *b); /* bytes that loaded tables hold */

int dataset_symbols(struct dataset *d, const struct symbols **ret, struct error *err);
int dataset_labelsets(struct dataset *d, const struct labelsets **ret, struct error *err);
/* Loads the strings too, for the labels' texts. */
int dataset_profiles(struct dataset *d, const struct profiles **ret, struct error *err);
/* The ids of all profiles, in their order: two small sections, and no other table is loaded or kept. New. */
int dataset_ids(struct dataset *d, struct ulid **ret, uint32_t *ret_n, struct error *err);
/* The strings alone, without the other symbols: for labels and headers. They stay when symbols are loaded. */
int dataset_strings(struct dataset *d, const struct str **ret, uint32_t *ret_n, struct error *err);
const struct dataset_info *dataset_info(const struct dataset *d);
struct block *dataset_block(const struct dataset *d);

/* ---- samples ---- */

/* Which columns of a row group to load. */
struct columns {
	uint64_t types; /* bit t: values of type t (t < 64) */
	bool labels, details;
};

struct group; /* decompressed columns of one row group */

/* Loads row group g. New; one range read. */
int dataset_group(struct dataset *d, uint32_t g, const struct columns *columns, struct group **ret, struct error *err);
void group_free(struct group *g);
DEFINE_CLEANUP(struct group *, group_free);

/* Notes where each profile begins, so that group_samples() costs the same in any order. 0 or an error. */
int group_index(struct group *g, struct error *err);
size_t group_memory(const struct group *g);

/* The samples of one profile: sorted by stack, then label set. */
struct samples {
	uint32_t n;
	const uint32_t *stacks;
	const int64_t *values[64]; /* per type asked for, else NULL */
	const uint32_t *labelsets; /* NULL where no sample of the group has labels */
	struct slice details;      /* this profile's */
};

/*
 * Decodes one profile's samples; arrays are borrowed until the next call on this group (one thread at a time). Rows of
 * a group are cheapest in ascending in_group order.
 */
int group_samples(struct group *g, const struct profile_row *row, struct samples *ret, struct error *err);

/*
 * Adds one type's values of a profile to acc[stack] (acc has n_stacks entries), saturating. The hot path of queries.
 */
int group_accumulate(struct group *g, const struct profile_row *row, unsigned type, int64_t *acc, struct error *err);

/* ---- rollups: what whole hours come to, summed when the block was written ---- */

/*
 * Profiles that are summed alike: their headers have the same types, units, kind and temporality and are heap's or
 * allocs' alike, and all or none of them hold running totals.
 */
struct rollup_kind {
	uint32_t header; /* one of theirs */
	bool running;    /* a running-total column is a sum of increases since each profile's predecessor */
	bool instant;    /* an instantaneous column is a sum of values times ns of life */
	bool rolled;     /* it has cells: all its profiles are in them but those that rollup_holds() excludes */
};

/*
 * One kind's profiles of one hour, or of the whole dataset, of all series or of one. Cells of all series are there for
 * every hour that has profiles of a rolled kind, and for the dataset where that has several hours; those of one series
 * only where they are much smaller than what they sum up.
 *
 * Where the kind is running or instant, a profile is in its cells only if its predecessor (running) and its successor
 * (instant, later by some ns at least) in series and kind are in this dataset: what it counts is known from this
 * dataset alone, as long as nothing comes between them.
 */
struct rollup_cell {
	uint32_t kind;
	uint32_t series;  /* PROFILE_NONE: all */
	int32_t hour;     /* since the epoch; the first */
	bool whole;       /* all hours of the dataset */
	uint64_t profiles, samples;
	int64_t first, last;        /* starts, ns */
	int64_t duration;           /* sum of those above 0 */
	uint64_t fingerprint[2];    /* sum of profile_fingerprint() with role 1 */
	const uint32_t *members;    /* series that have profiles in it, ascending (of one series: that one) */
	uint32_t n_members;
	const uint32_t *restarts;   /* by type: profiles whose increase was a restart */
};

struct rollups {
	const struct rollup_kind *kinds;
	uint32_t n_kinds;
	const uint32_t *kind_of;          /* [2 * header + running]: PROFILE_NONE where no profile is of it */
	const struct rollup_cell *cells;  /* by kind, series (all: last), hour; a whole one behind its hours */
	uint32_t n_cells;
};

/* The place of a cell; hour counts where it is not the whole. PROFILE_NONE where there is none. */
uint32_t rollup_find(const struct rollups *r, uint32_t kind, uint32_t series, bool whole, int32_t hour);
/* The directory of rollups: empty where the dataset has none. Loads headers and series, but no profiles. */
int dataset_rollups(struct dataset *d, const struct rollups **ret, struct error *err);
/* Headers, series and mapping lists without the profiles: *ret has rows only where dataset_profiles() was called. */
int dataset_tables(struct dataset *d, const struct profiles **ret, struct error *err);

/* Sums of one type by stack, ascending; raw units. */
struct rollup_sums {
	uint32_t n;
	uint32_t *stacks;
	__int128 *values;
};

/*
 * Cells lie in groups, each with a stream of stacks and one of values per type (a column of the kind's header). The
 * streams of the group that was read last stay in memory, so that its next cell reads nothing. Begins as zero; of one
 * dataset.
 */
struct rollup_streams {
	uint32_t group, n;
	uint8_t **raw; /* n of them; NULL: not read */
};

uint32_t rollup_group(const struct dataset *d, const struct rollup_cell *cell);
/* Brings in the streams of a cell's group that these types (a bit each) need: one read at most. */
int rollup_load(struct dataset *d, const struct rollup_cell *cell, uint64_t types, struct rollup_streams *s,
                struct error *err);
/* A cell's sums of a type that was loaded. New. */
int rollup_sums_of(struct dataset *d, const struct rollup_cell *cell, unsigned type, const struct rollup_streams *from,
                   struct rollup_sums *ret, struct error *err);
void rollup_streams_done(struct rollup_streams *s);
/* The same for one cell and type alone. New. */
int rollup_read(struct dataset *d, const struct rollup_cell *cell, unsigned type, struct rollup_sums *ret,
                struct error *err);
void rollup_sums_done(struct rollup_sums *s);

/*
 * What a profile adds to a query's fingerprint: two halves of a hash of service, id and role, added up with carry. The
 * hash of the service is made once by fingerprint_of_service().
 */
void fingerprint_of_service(struct str service, uint8_t ret[16]);
void fingerprint_add(uint64_t sum[2], const uint8_t service[16], const struct ulid *id, uint8_t role);

/* Restores one profile as it was written, but for the order of samples and tables (canonical: by content). */
int dataset_restore(struct dataset *d, uint32_t row, struct profile *ret, struct error *err);

/* Verifies every section and reference. Calls report for each damage; returns their number or a negative error. */
int block_verify(struct block *b, void (*report)(void *ctx, const char *what), void *ctx, struct error *err);

/* ---- writing ---- */

struct block_writer;

struct profile_meta {
	struct str service;
	const struct label *labels; /* as sent */
	size_t n_labels;
	const struct label *path_labels;
	size_t n_path_labels;
	int64_t time;      /* where it belongs */
	uint8_t time_source;
	struct ulid id;
	uint64_t bytes_in;
};

int block_writer_new(unsigned level, struct block_writer **ret);
void block_writer_free(struct block_writer *w);
DEFINE_CLEANUP(struct block_writer *, block_writer_free);

/* Adds one verified profile; nothing is borrowed afterwards. On failure the writer is as before. */
int block_writer_add(struct block_writer *w, const struct profile *p, const struct profile_meta *meta,
                     struct error *err);
size_t block_writer_profiles(const struct block_writer *w);
size_t block_writer_bytes(const struct block_writer *w); /* memory held: what it will write, and tables */
/* Writes the object (appends). The writer is empty afterwards and can be used again. */
int block_writer_finish(struct block_writer *w, struct buf *out, struct error *err);

/*
 * The identity of a profile: 80 bits of XXH3-128 over types, samples (in any order) with names resolved, the profile's
 * own time, service and labels as sent; `salt` is added where the profile has no time of its own (directory and name).
 */
int profile_hash(const struct profile *p, const struct profile_meta *meta, struct str salt,
                 uint8_t ret[PROFILE_HASH_LEN]); /* 0 or -ENOMEM */

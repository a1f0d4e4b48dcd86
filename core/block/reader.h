/* SPDX-License-Identifier: MIT */
#pragma once

/* What the reader's files share: an open block, its datasets, and how sections are brought in. */

#include <pthread.h>

#include "block.h"
#include "rowgroup.h"

struct section {
	uint8_t kind, codec;
	uint64_t off, stored, raw, hash;
};

/* Raw bytes of a section, as long as the dataset. */
struct loaded {
	uint8_t *data;
	size_t len;
};

struct cell_place;
struct cell_group;

struct dataset {
	struct block *block;
	struct dataset_info info;
	struct section sections[SECTION_KINDS]; /* by kind; kind 0 where absent */

	pthread_mutex_t lock; /* guards what follows, until a table's flag is set; a loaded table never changes */
	bool has_strings, has_symbols, has_labelsets, has_tables, has_profiles, has_rollups;
	struct arena arena;
	struct symbols symbols;
	struct labelsets labelsets;
	struct profiles profiles;
	struct group_entry *groups;
	uint32_t n_groups;
	struct rollups rollups;
	bool out_of_memory; /* while the directory of rollups was read: not damage */
	struct cell_place *cell_places;  /* per cell of rollups */
	struct cell_group *cell_groups;
	uint32_t n_cell_groups;
	uint32_t *group_at, *group_rows; /* rows of group g, by place: group_rows[group_at[g] ..] */
	struct loaded kept[SECTION_KINDS]; /* raw bytes that tables point into */
	struct loaded raw[SECTION_STACKS + 1]; /* of shared symbols: what others are decompressed with */
};

struct block {
	char *name;
	struct source src;
	unsigned version, level;
	struct dataset *datasets;
	size_t n_datasets;
	struct arena arena; /* texts of the footer */
	bool out_of_memory; /* while the footer was read: not damage */
	uint8_t *tail;      /* the object's last bytes, from tail_off on */
	uint64_t tail_off;
};

/* Reads stored bytes at off: from the kept tail where they lie in it. */
int block_read(struct block *b, const struct source_range *ranges, size_t n, struct error *err);

/* Loads and verifies sections (absent ones become empty); *ret[i] is the caller's. One batch of range reads. */
int dataset_load(struct dataset *d, const uint8_t *kinds, size_t n, struct loaded *ret, struct error *err);

/* Whether it is shared symbols: these and nothing else. */
static inline bool dataset_is_shared(const struct dataset *d)
{
	return !d->info.profiles && !d->sections[SECTION_PROFILES].stored;
}

/* Raw bytes of a symbol section, kept with the dataset. */
int dataset_raw(struct dataset *d, uint8_t kind, struct slice *ret, struct error *err);

/*
 * Verifies and decompresses stored bytes, not of CODEC_SHARED, into a new buffer of raw_len (+1, so that it is never
 * NULL).
 */
int stored_decode(uint8_t codec, struct slice stored, uint64_t hash, size_t raw_len, uint8_t **ret);

/* Forgets all tables: nobody may use any of them any more. They load again on first use. */
void dataset_unload(struct dataset *d);

int corrupt(struct dataset *d, struct error *err, const char *what);

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of a pass over samples share. A pass belongs to values.c; its work is cut into jobs (pass.c), each a
 * run of one part's rows in the order of reading, or some of its cells, with sums of its own (sums.c), so that jobs
 * share nothing.
 */

#include "internal.h"

enum row_want {
	SKIP = 0,
	ADD = 1,
	SCAN = 2,   /* for negative values */
	ROLLED = 3, /* counts by a cell: its samples are not read */
};

/* The totals of one profile, by slot, as its samples have them. */
struct held {
	uint32_t row;
	struct stack_list lists[];
};

struct job {
	uint32_t part, from, to; /* rows[from .. to) of the part */
	const struct cell_use *cells;
	uint32_t n_cells;
	struct rollup_streams streams; /* of the cells' group at hand */
	struct part_sums sums;
	struct held **held;      /* by series; NULL until needed */
	size_t held_bytes;
	struct group *group, *other;
	uint32_t group_at, other_at, other_part;
	struct stack_list cur, work, prev; /* scratch */
	struct error error;
};

struct pass {
	struct query *q;
	const struct cancel *cancel;
	bool add, filtered, row_values;
	uint32_t first, n_slots; /* slots first .. first + n_slots */
	uint8_t *wants;          /* by row: enum row_want */
	cell_uses_t cells;       /* by part */
	struct job *jobs;
	size_t n_jobs;
	struct filters *filters;
	struct error *errors;    /* by part */
	uint8_t **keeps;         /* by part, by stack: 0 not asked, 1 dropped, 2 kept */
	struct slot_note *notes; /* by slot; NULL: not asked for. On one thread */
	atomic_size_t memory;    /* charged for what ends with the pass */
	atomic_bool found;       /* a difference */
	atomic_bool bad_cell;    /* a cell is damaged: rows are to be read instead */
	atomic_uint damaged;
};

/* values.c */
int pass_row(struct pass *pass, struct job *job, struct row *r, enum row_want want);
uint32_t slot_column(const struct query *q, const struct row *r, uint32_t slot);
int other_group(const struct pass *pass, struct job *job, const struct row *r);
/* The samples of a row that are taken, zeros left out. */
int list_samples(const struct query *q, const struct row *r, const struct samples *samples, uint32_t column,
                 struct stack_list *ret);
int note_value(struct pass *pass, struct row *r, uint32_t slot, const struct stack_list *l, int64_t scale);

/* totals.c */
int pass_totals(struct pass *pass, struct job *job, struct row *r, const struct samples *samples);
void held_free(struct held *h, uint32_t n_slots);

/* sums.c. Each fails with -ENOMEM or ERR_LIMIT_MEMORY. */
int part_sums_init(struct part_sums *s, uint32_t n_stacks, uint32_t n_slots);
void part_sums_done(struct part_sums *s, uint32_t n_slots);
int sums_narrow(struct pass *pass, struct job *job, uint32_t slot, int64_t **ret);
int sums_wide(struct pass *pass, struct job *job, uint32_t slot, wide_t **ret);
int sums_add(struct pass *pass, struct job *job, uint32_t slot, const struct stack_list *l, wide_t factor);
size_t sums_bytes(const struct sums *s);
/*
 * The same sums under the numbers that their parts have in another query of the same view, with their symbols: ret->v
 * is new, its arrays are borrowed.
 */
int sums_lend(const struct sums *sums, const struct query *from, struct query *to, struct sums *ret);
/* Adds up what the jobs added, by part. */
int sums_merge(struct pass *pass, struct sums *ret);

/* pass.c */
void pass_done(struct pass *pass);
/* Loads symbols, chooses cells, makes jobs and runs them. */
int pass_run(struct pass *pass, struct error *err);

/* rollups.c */
/* Finds the cells that can stand for rows, and marks these ROLLED. Symbols are there. 0 or -ENOMEM. */
int rollups_choose(struct pass *pass);
int rollups_add(struct pass *pass, struct job *job, const struct cell_use *use);

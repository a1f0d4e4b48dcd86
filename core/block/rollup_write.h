/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Rollups while a dataset is written (docs/format.md "Rollups"). Profiles come by hour, kind, series and time; sums of
 * the series at hand are added to those of the hour when the series ends, and these to the whole when the hour ends.
 * A kind whose sums would not be much smaller than its samples gets no cells.
 */

#include "increase.h"
#include "out.h"

struct rollup_writer;

/* A kind as it will be stored; kind_of and kinds are the caller's until the writer is freed. */
struct rollup_plan {
	const struct rollup_kind *kinds;
	uint32_t n_kinds;
	const uint32_t *n_types;  /* by kind */
	const uint32_t *kind_of;  /* [2 * header + running] */
	uint32_t n_headers;
	struct str service;
};

int rollup_writer_new(const struct rollup_plan *plan, struct rollup_writer **ret);
void rollup_writer_free(struct rollup_writer *w);
DEFINE_CLEANUP(struct rollup_writer *, rollup_writer_free);
size_t rollup_writer_memory(const struct rollup_writer *w);

struct rollup_row {
	uint32_t kind, series;
	int64_t time, duration;
	struct ulid id;
	uint32_t n_samples;
};

/* Begins a profile that cells hold; its hour, kind and series are not before those of the last one. */
int rollup_row(struct rollup_writer *w, const struct rollup_row *row);
/* What it counts in a type: values times weight. */
int rollup_add(struct rollup_writer *w, uint32_t type, const struct stack_list *values, int64_t weight, bool restart);
/* The kind at hand cannot be summed: it has no cells. */
void rollup_spoil(struct rollup_writer *w, uint32_t kind);

/* Fills d->rollups and d->cells. */
int rollup_finish(struct rollup_writer *w, struct out_dataset *d);

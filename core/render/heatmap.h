/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The cells of a heatmap: time across; up the values of profiles in buckets, or, inside by-LABEL, the values
 * of the label. A profile belongs to the column in which it begins. A column that no profile covers is a gap.
 *
 * As in Pyroscope's heatmaps a column holds the times after its left edge up to its right edge, which is its name, and
 * the buckets are 20 of equal height from the least value to the greatest, in whole numbers: where there are fewer of
 * those, buckets that are empty by that are left out.
 */

#include "text.h"

#define HEAT_BUCKETS 20

#define HEAT_NAMED 4 /* profiles that a cell names */

struct heat_cell {
	uint64_t count; /* profiles */
	double sum;     /* of their values */
	uint32_t named[HEAT_NAMED]; /* the first of them: indices of points */
};

struct heat_row {
	int64_t low, high; /* from low to below high, the uppermost with high */
	struct str name;   /* by label: its value */
	uint64_t others;   /* by label: this row holds so many values that have none of their own */
};

struct heatmap {
	int64_t from, step;
	size_t n_columns, n_rows;
	struct heat_row *rows;   /* lowest bucket first; by label: the greatest first */
	struct heat_cell *cells; /* row by row */
	const struct point *points;
	bool *covered;           /* of each column */
	bool *sharp;             /* of each edge, one more than columns: a profile begins at this very moment */
	bool by_label, coarsened; /* coarsened: a longer step than asked for */
	bool instant;
};

struct heat_limits {
	size_t columns, rows; /* rows: by label */
	size_t nice_columns;  /* where no step was asked for */
};

int heatmap_of(struct query *q, const struct heat_limits *limits, const struct cancel *cancel,
               struct heatmap *ret, struct error *err);
void heatmap_done(struct heatmap *h);
#define _heatmap_ _cleanup_(heatmap_done)

static inline const struct heat_cell *heat_cell(const struct heatmap *h, size_t row, size_t column)
{
	return &h->cells[row * h->n_columns + column];
}

/* The shortest step that people count in, of which less than so many fill the range. */
int64_t heat_nice_step(uint64_t range, size_t columns);
/* The left edge of a column; clamped to what a time can be. */
int64_t heat_column_time(const struct heatmap *h, size_t column);

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the pictures with time across share: a range of columns can be selected with the mouse or the keyboard, and
 * gives the path of that range (web/grid.js).
 */

#include "picture.h"

struct grid {
	double left, column;    /* in px: where the first column begins, how wide one is */
	int top, bottom;
	size_t n_columns;
	int64_t from, step;     /* ns: the left edge of the first column */
	const bool *sharp;      /* of each edge, one more than columns: what begins at it lies left of it; NULL: none */
	const uint64_t *counts; /* of each column */
	const char *noun;       /* of the counts: "profiles" */
	const char *prefix;     /* of paths: "../" inside by-LABEL, else "" */
};

extern const char grid_style[];
/* <defs> of the pattern that fills what no profile covers: class gap. */
extern const char gap_pattern[];

/* The moment that divides column i - 1 from column i in paths, which are half-open. */
int64_t grid_edge(const struct grid *g, size_t i);
/* "FROM--TO" of columns; false where no path can say it. */
bool put_grid_path(struct buf *out, const struct grid *g, size_t column, size_t n);
/* The line that the script tells selections in, and what it needs to know; before the script. */
void put_grid(struct buf *out, const struct grid *g, int y);

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The functions of a selection and of its baseline by how much they changed: by what they cost themselves, then in
 * all, then by name.
 */

#include "../query/diff.h"
#include "functions.h"

struct diff_row {
	struct str name;
	int64_t self_before, self_after, total_before, total_after;
	int64_t moved; /* of what it costs itself: from some of its callers to others */
	bool was, is;  /* it is on some stack of the baseline, of the selection */
};

struct diff_rows {
	struct diff_row *v;
	size_t n;
	int64_t before, after; /* totals */
	struct functions names; /* owns the names */
};

int diff_rows_of(struct query *q, const struct cancel *cancel, struct diff_rows *ret, struct error *err);
void diff_rows_done(struct diff_rows *d);
#define _diff_rows_ _cleanup_(diff_rows_done)

/* "new", "gone", "grew", "shrank", "moved", "same" */
const char *diff_state(const struct diff_row *r);

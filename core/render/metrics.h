/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The series of metrics.prom and metrics.csv: values over time, one row per value of the by-label. The 1,000
 * greatest rows stay (by the magnitude of their total, then by name); the rest is added up in a row `other`.
 */

#include "text.h"

#define METRICS_MAX 1000

struct metric_row {
	struct str name;       /* label value; "" without by-LABEL, or where the label is absent */
	const struct step *v;  /* metrics.steps->n of them */
	size_t group;          /* of query_groups(); SIZE_MAX for `other` */
};

struct metrics {
	const struct steps *steps;
	struct metric_row *rows; /* by name, `other` last */
	size_t n_rows;
	size_t n_others;         /* groups in `other` */
	struct step *other;
	char other_name[16];     /* no other row has it */
	double factor;           /* values times this are in base_unit */
	const char *base_unit;   /* "seconds", "bytes", "" for counts; else the unit itself */
	bool instant;
};

int metrics_of(struct query *q, const struct cancel *cancel, struct metrics *ret, struct error *err);
/*
 * Whether a step has a value. The first of a running total counts in the sum of its step also where nothing
 * covers that: such a step has a sum and no rate (`covered` says whether it has one).
 */
bool metrics_has_sum(const struct metrics *s, const struct step *v);
void metrics_done(struct metrics *s);
#define _metrics_ _cleanup_(metrics_done)

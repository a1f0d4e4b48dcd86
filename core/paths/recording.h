/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Recording rules: metrics made from profiles. The member "recording" of a tenant's settings, a JSON array;
 * docs/paths.md "Metrics by rule" has the fields.
 */

#include "paths.h"

#define RECORDING_MEMBER "recording"
#define RECORDING_MAX_BYTES ((size_t)1 << 20)
#define RECORDINGS_MAX 1000

struct recording {
	const char *name;     /* of the metrics: their names begin with it */
	const char *select;   /* SERVICE/TYPE and what narrows it, as typed in a path without a time */
	const char *by;       /* label, or several with BY_BETWEEN between them; NULL */
	const char *function; /* NULL: all */
	bool regex, self;     /* function is a regular expression on names; what ends in it, not what has it */
	int64_t step;         /* ns */
};

struct recordings {
	struct arena arena;
	struct recording *v;
	size_t n;
};

/* ERR_PATH with line, column and reason. An empty text has no rules. recordings_done() is due on 0. */
int recordings_parse(struct slice json, struct recordings *ret, struct error *err);
void recordings_done(struct recordings *r);
#define _recordings_ _cleanup_(recordings_done)

/* Sets the rules, once they are seen to be good; an empty text removes them. */
int recordings_set(struct db *db, struct str json, struct error *err);
/* Appends the rules as they were set, byte for byte; "[]" where there are none. */
int recordings_text(struct db *db, struct buf *out, struct error *err);

/*
 * Appends the newest values of all rules in the text format of Prometheus: of each series the newest step that has
 * ended and has data, of the last five. A rule whose service or type is not there has no values; one that cannot be
 * computed is a comment with the reason. What cannot have changed since the last call on this tree is not computed
 * again. ERR_STORE_TIMEOUT where another call has been at it for five seconds.
 */
int recordings_render(struct tree *t, const struct cancel *cancel, struct buf *out, struct error *err);

/* The start of the first UTC day that has data, of any service; TIME_MAX where none has. */
int recording_first(struct tree *t, int64_t *ret, struct error *err);

/*
 * The values of one rule in the steps that begin in [from, to), which are multiples of its step: calls fn for each
 * series that has any. What profiles from before have in these steps is among them, for as far back as an hour.
 * ERR_LIMIT: of fewer steps at once it can be done.
 */
int recording_series(struct tree *t, const struct recording *r, int64_t from, int64_t to, const struct cancel *cancel,
                     metric_fn fn, void *ctx, struct error *err);

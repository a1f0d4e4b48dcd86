/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A query is a selection on a view: which profiles it takes (planned at once, without reading samples), and the results
 * that renderings are made from, each computed once on demand and shared. Thread safe; counted references.
 *
 * Results do not depend on how profiles lie in segments and blocks: orders are by content.
 * Values over time: see docs/architecture.md "Values over time" (event types add up; running totals count their
 * increase; instantaneous types are averaged over the time in which their series lived).
 */

#include "../db/db.h"
#include "../profile/types.h"
#include "selection.h"

struct query;

/* Plans. sel is copied. New reference. */
int query_new(struct view *v, const struct selection *sel, const struct cancel *cancel, struct query **ret,
              struct error *err);
struct query *query_ref(struct query *q);
void query_unref(struct query *q);
DEFINE_CLEANUP(struct query *, query_unref);

/*
 * Says that most results will be asked for, as where a directory was listed: then what has to be read for one of them
 * is read for all at once. Without it, each is made as cheaply as it can be alone.
 */
void query_expect_all(struct query *q);

const struct selection *query_selection(const struct query *q);
struct query *query_baseline(struct query *q); /* of a selection with `vs`; borrowed; else NULL */

/* What was selected and what was done with it; all of it goes into info.json. */
struct query_info {
	uint8_t fingerprint[16];   /* of the profiles taken and their roles: equal where the results are equal */
	uint64_t profiles;         /* taken */
	uint64_t samples;          /* their samples, of all types */
	uint64_t series;
	uint64_t duplicates;       /* same id seen again, left out */
	uint64_t differences;      /* inuse_* profiles with negative values, left out */
	uint64_t lookback;         /* earlier profiles read to know an increase */
	uint64_t restarts;         /* running totals that fell */
	uint64_t first_of_series;  /* running totals without an earlier profile: counted whole */
	uint64_t heap_shadowed;    /* alloc_* of `allocs` left out because the series has heap */
	uint64_t damaged;          /* objects left out */
	char damage[256];          /* the first one */
	int64_t first, last;       /* starts of the first and the last profile; 0, 0 where none */
	int64_t duration;          /* sum of durations */
	enum type_class type_class;
	bool cumulative;           /* some values were running totals */
	bool averaged;             /* values are averages over `covered` ns */
	int64_t covered;
	char type[128], unit[64];  /* canonical unit; "" where the selection has no type */
};
/*
 * differences, restarts, covered and damage inside samples show only in samples: they are there once a result has been
 * made that reads them; query_resolve() sees to that. The fingerprint never changes.
 */
const struct query_info *query_info(const struct query *q);
int query_resolve(struct query *q, const struct cancel *cancel, struct error *err);

/* ---- the call tree ---- */

struct frame {
	struct str name;   /* function; "[libfoo.so+0x1234]" or "0x1234" where unknown; never empty */
	struct str file;   /* "" where it does not matter at this granularity or is unknown */
	int64_t line;      /* 0: likewise */
	uint64_t address;
	struct str mapping; /* file name of the mapping, "" */
};

/*
 * Nodes are in preorder, children by name, file, line, address (byte order): node i's subtree is
 * nodes[i] .. nodes[i].end - 1, its first child is i + 1 where i + 1 < end, the next sibling of a child c is c's end.
 * Node 0 is the root of all, frame PROFILE_NONE.
 */
struct call_node {
	uint32_t frame, parent, end;
	uint32_t depth : 31;
	uint32_t inlined : 1; /* a call that was inlined into its caller wherever it was sampled */
	int64_t self, total;
};

struct call_tree {
	const struct call_node *nodes;
	uint32_t n_nodes;
	const struct frame *frames;
	uint32_t n_frames;
	int64_t total;             /* nodes[0].total */
	const char *type, *unit;   /* borrowed from the query */
};

/* The merged call tree after filters, at the selection's granularity. Borrowed until query_unref(). */
int query_tree(struct query *q, const struct cancel *cancel, const struct call_tree **ret, struct error *err);
/* The same at another granularity. */
int query_tree_by(struct query *q, enum granularity by, const struct cancel *cancel, const struct call_tree **ret,
                  struct error *err);

/*
 * The merged selection as pprof, of the selected type (all types of a selection without one). *ret need not be
 * initialised before; the caller ends it by profile_done().
 */
int query_profile(struct query *q, const struct cancel *cancel, struct profile *ret, struct error *err);
/* The same, kept for all who ask. Borrowed until query_unref(). */
int query_merged(struct query *q, const struct cancel *cancel, const struct profile **ret, struct error *err);

/* ---- without samples ---- */

/* One profile of the selection, by time, then id; by a label that samples have, one for each of its values. */
struct point {
	int64_t time, duration; /* duration 0: does not say */
	int64_t value;          /* of the type (0 without one), in the canonical unit, an increase for running totals */
	int64_t lives;          /* instantaneous: ns until the series' next profile, at most 5 min */
	struct ulid id;
	uint32_t series;        /* index for query_series_labels() */
	uint32_t group;         /* value of the by-label: index for query_groups(); 0 without one */
	bool first;             /* of a running total's series: counts whole, but not in rates */
};

int query_points(struct query *q, const struct cancel *cancel, const struct point **ret, size_t *ret_n,
                 struct error *err);
/* The effective labels of a series of this query; borrowed. */
const struct label *query_series_labels(struct query *q, uint32_t series, size_t *ret_n);
/*
 * Values of the by-label in this selection, by name; the absent one is "". Of a label of samples the 32 values of most
 * profiles; what has others is a group `other`, the last.
 */
const struct str *query_groups(struct query *q, size_t *ret_n);

/*
 * Values over time. A value is spread evenly over its duration; a rate is value over covered time, added across series,
 * and does not change with the step; steps that nothing covers are gaps.
 */
struct step {
	double sum;     /* event types: what fell into the step; instantaneous: the average */
	double rate;    /* per second; for instantaneous types the average */
	uint32_t profiles; /* that begin in it */
	bool covered;
};

struct steps {
	int64_t from, step; /* of steps[0], aligned to the step */
	size_t n;
	size_t n_groups;           /* rows: group g's steps are v[g * n ..] */
	const struct str *groups;  /* by label value; one group "" without by */
	const int64_t *totals;     /* of each group */
	const struct step *v;
};

int query_steps(struct query *q, const struct cancel *cancel, const struct steps **ret, struct error *err);

/* ---- uses of a function ---- */

/* What one service spends in a function: of one type, where that is not nothing. */
struct function_use {
	struct str service; /* borrowed from the query */
	char type[128], unit[64];
	int64_t self, total;
	uint64_t profiles;   /* that have it */
	int64_t first, last; /* starts of these */
};

struct function_uses {
	struct function_use *v; /* by service, then type */
	size_t n, cap;
};

/*
 * Of the function that the selection's @function= names, of all types. A service none of whose datasets have the name
 * among their strings costs no more than these.
 */
int query_function_uses(struct query *q, const struct cancel *cancel, struct function_uses *ret, struct error *err);
void function_uses_done(struct function_uses *u);

/* ---- labels and types ---- */

struct label_count {
	struct str value;
	uint64_t profiles;
};

struct label_values {
	struct str key;
	bool of_samples;                  /* a label of samples, not of profiles */
	const struct label_count *values; /* greatest count first, then by value; at most 10,000 */
	size_t n;
	uint64_t rest;                    /* distinct values beyond those */
};

struct labels {
	const struct label_values *v; /* by key */
	size_t n;
};

/* Profile labels always; labels of samples where `samples` (that reads the label tables, not the samples). */
int query_labels(struct query *q, bool samples, const struct cancel *cancel, const struct labels **ret,
                 struct error *err);

/* Calls fn for the keys of profile labels, some more than once; ends where it returns not 0, with that. */
int query_each_key(struct query *q, const struct cancel *cancel, int (*fn)(void *ctx, struct str key), void *ctx,
                   struct error *err);

/* One type of the selection (its `type` is ignored). */
struct type_count {
	struct str name;   /* as listed */
	struct str unit;
	uint64_t profiles;
};
int query_types(struct query *q, const struct type_count **ret, size_t *ret_n, struct error *err);

/* Hours (since the epoch) of the selection that have profiles, ascending. */
int query_hours(struct query *q, const int32_t **ret, size_t *ret_n, struct error *err);

/* ---- one profile ---- */

struct found_profile {
	int64_t time, duration;
	struct ulid id;
	uint64_t stored_bytes; /* its share of the object, for du */
	int32_t day;
};

/* The i-th point's profile; bytes in the store are estimated from its row group. */
int query_found(struct query *q, size_t i, struct found_profile *ret, struct error *err);
/* Restores the profile with this id as it came in; *ret as above. ERR_PATH_ABSENT where it is not selected. */
int query_restore(struct query *q, const struct ulid *id, struct profile *ret, struct error *err);

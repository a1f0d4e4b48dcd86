/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The parts of a query, and which file owns them:
 *
 *     plan.c, roles.c   which profiles are taken, and in which role; immutable once query_new() has returned
 *     cover.c      whole hours that rollups answer, so that none of their profiles is planned
 *     budget.c     how much memory a query may take
 *     match.c      matchers on labels of profiles and of samples
 *     values.c     what each profile's samples count: sums by stack and per profile (values over time)
 *     pass.c, sums.c, totals.c, rollups.c   its work in jobs; their sums; running totals; cells in the place of rows
 *     symtab.c     symbols of all datasets under one numbering, by content
 *     filter.c     filters on stacks
 *     trie.c       the merged prefix tree and its canonical order
 *     fold.c       sums by stack of all datasets into one prefix tree
 *     tree.c, merge_types.c, merge_pprof.c, points.c, groups.c, steps.c, labels.c, diff.c, moments.c    the results
 *     diff_tree.c  a selection's tree and its baseline's in one
 */

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "../base/idset.h"
#include "../base/keyset.h"
#include "../block/header.h"
#include "../block/increase.h"
#include "query.h"

#define NONE UINT32_MAX
#define LOOKBACK_MAX (48 * NS_PER_HOUR) /* how far before a running total its predecessor may lie */
#define LIFE_MAX (5 * NS_PER_MIN)       /* how long an instantaneous profile counts at most */
#define ARENA_MAX ((size_t)512 << 20)

/* ---- the plan ---- */

/* What a profile is to the query. The numbers go into the fingerprint. */
enum role {
	ROLE_NONE = 0,
	ROLE_TAKEN = 1,
	ROLE_LOOKBACK = 2,  /* read to know an increase */
	ROLE_LOOKAHEAD = 3, /* ends the life of an instantaneous profile */
	ROLE_EMPTY = 4,     /* none of its samples match; its series lived nevertheless */
};

struct row {
	int64_t time, duration;
	struct ulid id;
	uint32_t part, at; /* row of the part's dataset */
	uint32_t series;
	uint32_t prev, next; /* rows of the same series, or NONE: see plan_chain() */
	int64_t value;       /* of the selected type; valid once row values are known */
	uint8_t role;
	bool running;        /* its running-total types are totals since the process began */
	bool allocs, heap;
	bool shadowed;       /* `allocs` beside heap: its alloc_* do not count */
	bool instant;        /* has an instantaneous type */
	bool scanned;        /* looked through for negative values */
	bool difference;     /* has some */
	bool restart;
};

/* One type of the result. */
struct slot {
	struct str type, unit; /* raw; canonical */
	enum type_class class;
	bool inuse, alloc;
	bool unweighted;  /* nothing lived for any time: profiles count alike */
	int64_t covered;  /* instantaneous: ns in which any series lived */
};

/* What the plan needs to know of a header. */
struct header_plan {
	uint32_t column;  /* of the selected type, or NONE */
	struct header_class class;
	bool used, agrees; /* by a taken profile; its columns are the slots */
};

/* A part's series. Masks have a bit per matcher that is left to samples. */
struct series_plan {
	uint32_t series; /* of the query; NONE where no profile of it can match */
	uint64_t pending;
	uint64_t strict; /* of those that the profile's own label fails: a sample without the label fails too */
	uint64_t hash;
};

struct labelset_match {
	uint64_t pass, strict; /* matchers that hold, absent being empty; that hold for a label that is there */
};

struct qpart {
	struct dataset *dataset;
	const struct dataset_info *info;
	const struct profiles *profiles; /* of a `rowless` one the tables beside the rows alone */
	const struct rollups *rollups;   /* NULL where it has none, or they are not to be used */
	const struct str *strings;
	uint32_t n_strings;
	const struct symbols *symbols;   /* NULL until samples are read */
	struct symbolised *symbolised;   /* owns `symbols`; NULL where they are the dataset's */
	const struct labelsets *labelsets;
	struct labelset_match *matches;  /* by label set; NULL where no series is pending */
	struct header_plan *headers;
	struct series_plan *series;
	uint32_t service;                /* numbers services of the query, for identities */
	uint8_t service_hash[16];        /* for fingerprints */
	uint32_t *rows;                  /* the query's rows in it, by group and place */
	uint32_t n_rows;
	bool ordinals;                   /* some locations are told apart by an ordinal: compare stacks by content */
	bool rowless;                    /* none of its rows are needed */
	bool covers;                     /* some of the query's cells are its */
	uint64_t hours;                  /* bit h: the h-th of its hours is answered by cells (cover.c) */
};

struct qseries {
	struct str service;
	const struct label *labels;
	uint32_t n_labels;
	uint64_t hash;
	bool has_heap; /* in the selected time */
	bool used;
};

/* A cell of a part's rollups that answers for the profiles in it. */
struct cell_use {
	uint32_t part, cell;
};

typedef VEC(struct cell_use) cell_uses_t;
typedef VEC(struct qpart) qparts_t;
typedef VEC(struct row) rows_t;

/* Sums by stack of one part. A slot uses one of the two: wide for weighted and converted values. */
struct part_sums {
	uint32_t n_stacks;
	int64_t **narrow; /* [slot]; NULL where nothing was added */
	wide_t **wide;
};

struct sums {
	struct part_sums *v; /* by part */
	size_t n;
	uint32_t n_slots;
};

struct symtab;
struct memo_tree;
struct memo_steps;
struct memo_labels;
struct memo_diff;

/*
 * What a plan is for. LIGHT: sums of stacks; whole hours may be answered by rollups, without looking at their profiles.
 * ROWS: every profile is planned; cells may be read in the place of samples. EXACT: no rollups at all.
 */
enum plan_mode { PLAN_LIGHT, PLAN_ROWS, PLAN_EXACT };

struct query {
	atomic_uint refs;
	struct view *view;
	struct selection *sel;
	struct query *baseline;
	struct query *owner; /* whose part it is, and outlives it; NULL: of nobody */

	/* the plan */
	enum plan_mode mode;
	atomic_size_t memory; /* taken of the budget (budget.c), with what is its owner's part taken there too */
	int64_t from, to; /* the selection's, narrowed by its id */
	struct parts loads[4];
	size_t n_loads;
	qparts_t parts;
	VEC(struct qseries) series;
	rows_t rows; /* by time, then id */
	cell_uses_t cells; /* by part; what they hold has no rows */
	struct slot *slots;
	uint32_t n_slots, main_slot;
	bool agree;  /* every header has the slots as its columns */
	uint64_t sample_matchers; /* matchers whose label some samples have */
	struct arena arena;
	struct query_info plan_info;

	/* results */
	pthread_mutex_t lock;     /* guards all below, and the rows' chains and values */
	struct query_info info;
	atomic_bool info_whole;   /* `info` is final: set once */
	bool values_known;
	bool no_cells;            /* some cell is damaged */
	struct sums sums;         /* by stack, of slots sums_first and on; while sums_kept for all who ask */
	uint32_t sums_first;
	bool sums_kept, sums_lent; /* lent: another query's */
	uint64_t rolled;          /* profiles that cells answered for when samples were last summed */
	struct symtab *symtab;
	struct memo_tree *trees[BY_ADDRESS + 1]; /* by granularity */
	pthread_mutex_t merge_lock; /* guards merged; taken before `lock` */
	struct profile *merged;
	struct memo_points *points;
	struct memo_steps *steps;
	struct memo_labels *labels[2];
	struct memo_diff *diff;
	struct query *untyped;    /* the same without a type */
	struct query *planned;    /* the same with a row for every profile, where cells answer for some here */
	struct type_count *types;
	size_t n_types;
	struct buf type_names;
	int32_t *hours;
	size_t n_hours;
	bool hours_known;
	atomic_bool whole;        /* what is read for one result is read for all */
};

struct pool *query_pool(const struct query *q);
int out_of_memory(struct error *err);

/* query.c */
/* For a query beside q that is to have rows: without rollups where q is. */
static inline enum plan_mode rows_mode(const struct query *q)
{
	return q->mode == PLAN_EXACT || q->no_cells ? PLAN_EXACT : PLAN_ROWS;
}
int query_make(struct view *v, struct query *owner, const struct selection *sel, enum plan_mode mode,
               const struct cancel *cancel, struct query **ret, struct error *err);
/* A query that another needs for its results: of its view, and of its memory. New reference; the owner outlives it. */
int query_beside(struct query *owner, const struct selection *sel, enum plan_mode mode, const struct cancel *cancel,
                 struct query **ret, struct error *err);
/* The query that has a row for every profile: q itself, or one that is made when it is first asked for. Borrowed. */
int query_planned(struct query *q, const struct cancel *cancel, struct query **ret, struct error *err);
/* What is known once a result of the planned query has been made is known of q too. */
void query_learn(struct query *q, const struct query *planned);

/* budget.c. All: 0, or ERR_LIMIT_MEMORY with a sentence; thread safe. */
int budget_query(struct query *q, size_t bytes, struct error *err); /* until the query ends */
/* Added to *pass too, to be given back when the pass ends. */
int budget_pass(struct query *q, atomic_size_t *pass, size_t bytes, struct error *err);
void budget_give(struct query *q, size_t bytes);
void budget_end(struct query *q); /* what it took of its owner's */

/* plan.c */
int plan_query(struct query *q, const struct cancel *cancel, struct error *err);
void plan_done(struct query *q);

/* cover.c */
/* What lives only while planning: which hours of a service have profiles in several parts. */
struct cover;
int cover_new(struct cover **ret);
void cover_free(struct cover *c);
/* Decides for the parts from `first` on which of their hours cells answer, and which parts need no rows at all. */
int cover_parts(struct query *q, struct cover *c, size_t first);
/* Whether a row of the part is answered by a cell. */
bool cover_has(const struct qpart *p, int64_t time);
void cover_drop(struct query *q, uint32_t part); /* a part that turned out damaged */

/* roles.c */
int roles_assign(struct query *q, const struct cancel *cancel, struct error *err);
bool row_is_selected(const struct query *q, const struct row *r);
/*
 * Links each row to its series' previous running total and next instantaneous profile, over differences and
 * shadowed profiles.
 */
int plan_chain(struct query *q);
/* The column of a slot in a header of a part, or NONE. */
uint32_t plan_column(const struct query *q, const struct qpart *p, uint32_t header, uint32_t slot);
const struct profile_row *row_of(const struct query *q, const struct row *r);
const struct rollup_cell *cell_of(const struct query *q, const struct cell_use *use);
uint32_t cell_header(const struct query *q, const struct cell_use *use);
const struct header *header_of(const struct qpart *p, uint32_t header);
/* Converts a column's values to the canonical unit; 1 where nothing is to be done. */
int64_t column_scale(const struct qpart *p, uint32_t header, uint32_t column);
int64_t row_life(const struct query *q, const struct row *r);
struct str part_string(const struct qpart *p, uint32_t i);

/* match.c */
/* Whether samples of the selection's services and days have the label. */
bool match_sample_key(const struct query *q, struct str key);
uint64_t match_sample_keys(const struct query *q);
/* false where no profile of the series can match. */
bool match_series(const struct query *q, struct str service, const struct series *s, struct series_plan *ret);
int match_labelsets(struct query *q, struct qpart *p, struct error *err);
/* Whether a sample of a pending series is taken. */
static inline bool match_sample(const struct qpart *p, const struct series_plan *s, uint32_t labelset)
{
	const struct labelset_match *m = &p->matches[labelset];
	return !(s->pending & ~m->pass) && !(s->strict & ~m->strict);
}
/* Drops rows none of whose samples match. Reads label columns. */
int match_rows(struct query *q, const struct cancel *cancel, struct error *err);
/* The text of a sample label's value; numbers in decimal, in buf. */
struct str sample_label_text(const struct qpart *p, const struct sample_label *l, char buf[24]);

/* ---- samples ---- */

void sums_done(struct sums *s);
#define _sums_ _cleanup_(sums_done)

/*
 * Makes q->sums hold all slots, or the selected type's at least, until values_unused(); kept beyond that where there is
 * room for them. Reads the samples of the plan once, and learns of differences and restarts. Caller holds the lock.
 */
enum values_want { WANT_ROWS, WANT_MAIN, WANT_ALL };
int values_sums(struct query *q, enum values_want want, const struct cancel *cancel, struct error *err);
/* Of a slot: the profiles that filters leave something of, and their first and last start. */
struct slot_note {
	uint64_t profiles;
	int64_t first, last;
};
/* The same for all slots of a query with filters and without rollups; ret_notes: one for each. */
int values_noted(struct query *q, const struct cancel *cancel, struct slot_note *ret_notes, struct error *err);
void values_unused(struct query *q);
void values_drop(struct query *q); /* q->sums, kept or not */
/*
 * Makes the planned query of q use what q has summed, or will, where that is kept. Locks both, first q. 0 also where it
 * cannot.
 */
int values_lend(struct query *q, struct query *planned, const struct cancel *cancel, struct error *err);
/* Makes every taken row's value known; without reading samples where totals tell. Caller holds the lock. */
int values_rows(struct query *q, const struct cancel *cancel, struct error *err);
/* Whether a value of this row is the increase since its predecessor. */
bool row_is_total(const struct query *q, const struct row *r, const struct slot *slot);
/* Whether this slot of the row counts at all. */
static inline bool row_counts(const struct row *r, const struct slot *slot)
{
	return !(slot->alloc && r->shadowed) && !(slot->inuse && r->difference);
}

/* ---- symbols of all parts under one numbering ---- */

struct frame_key {
	uint32_t name, file, mapping; /* strings */
	int64_t line;
	uint64_t address;
};

struct gfunction {
	uint32_t name, system_name, filename;
	int64_t start_line;
};

struct gfile {
	uint32_t filename, build_id;
	uint8_t flags; /* what all builds of it claim */
};

struct gline {
	uint32_t function; /* NONE: none */
	int64_t line, column;
};

struct glocation {
	uint32_t file; /* NONE: none */
	uint64_t address;
	uint32_t line_at, n_lines;
	bool folded;
};

/* A line of a part's location: `line` is NONE for a location without lines. */
struct item {
	uint32_t location, line;
	uint32_t call; /* lines of one call have one number */
};

struct symtab_part {
	uint32_t *strings, *functions, *files, *locations; /* to the numbering here; NONE: not yet */
	uint32_t *frames; /* of functions */
};

struct symtab {
	pthread_mutex_t lock; /* increase.c's use only; all others run alone */
	struct query *q;
	struct arena arena;
	VEC(struct str) strings;
	VEC(struct frame_key) frames;
	VEC(struct gfunction) functions;
	VEC(struct gfile) files;
	VEC(struct gline) lines;
	VEC(struct glocation) locations;
	struct idset string_set, frame_set, function_set, file_set, location_set;
	struct symtab_part *parts;
	size_t n_parts;
	struct trie *stacks; /* by location: numbers stacks across parts */
	uint32_t **part_stacks;
};

int symtab_new(struct query *q, struct symtab **ret);
void symtab_free(struct symtab *t);
/* Each returns NONE when out of memory. */
uint32_t symtab_intern(struct symtab *t, struct str s, bool copy);
uint32_t symtab_string(struct symtab *t, uint32_t part, uint32_t string);
uint32_t symtab_function(struct symtab *t, uint32_t part, uint32_t function);
uint32_t symtab_file(struct symtab *t, uint32_t part, uint32_t file);
uint32_t symtab_location(struct symtab *t, uint32_t part, uint32_t location);
/* A location of only these lines (root first), as a filter left them. */
uint32_t symtab_lines(struct symtab *t, uint32_t part, const struct item *items, uint32_t n);
/* The frame of a line (NONE: of the address) of a part's location. */
uint32_t symtab_frame(struct symtab *t, uint32_t part, uint32_t location, uint32_t line, enum granularity by);
/* The name that frame has by function; a string. */
uint32_t symtab_name(struct symtab *t, uint32_t part, uint32_t location, uint32_t line);
/* The number of a part's stack, by content. Thread safe. */
uint32_t symtab_stack(struct symtab *t, uint32_t part, uint32_t stack);

static inline struct str symtab_str(const struct symtab *t, uint32_t i)
{
	return t->strings.v[i];
}

/* Ranks by content: ret[i] for the i-th frame or location; equal only for equal content. New. */
int symtab_rank_frames(const struct symtab *t, uint32_t **ret);
int symtab_rank_locations(const struct symtab *t, uint32_t **ret);

/* debuginfo.c: p->symbols, with lines from debug information where the sender gave none. */
int part_load_symbols(struct query *q, struct qpart *p, struct error *err);
/* 1 where debug information of what the part has may name a function so, 0, or an error. */
int part_debug_names(struct query *q, const struct qpart *p, struct str name, struct error *err);
void part_share_symbols(struct qpart *to, const struct qpart *from); /* of one dataset and view */
void symbolised_unref(struct symbolised *s);

/* ---- filters ---- */

struct filters {
	const struct selection *sel;
	struct symtab *symtab;
	uint8_t **verdicts;
	size_t *n_verdicts; /* by filter, by string: 0 not asked, 1 no, 2 yes */
	VEC(struct item) items;
};

int filters_init(struct filters *f, const struct selection *sel, struct symtab *t);
void filters_done(struct filters *f);
#define _filters_ _cleanup_(filters_done)

/* The lines of a stack after the filters, root first, in f->items. 1, 0 where the stack is dropped, or an error. */
int filters_stack(struct filters *f, uint32_t part, uint32_t stack);

/* ---- the merged prefix tree ---- */

struct trie_node {
	uint32_t parent, key;
	uint32_t child, next; /* of its list of children, of its parent's; 0: none */
	bool called; /* somewhere by a call of its own, not inlined into its parent */
};

struct trie {
	VEC(struct trie_node) nodes; /* 0 is the root; parent < node */
	struct keyset set;
};

int trie_new(struct trie **ret);
void trie_free(struct trie *t);
uint32_t trie_child(struct trie *t, uint32_t parent, uint32_t key); /* NONE: out of memory */
size_t trie_bytes(const struct trie *t);

/* Sums of all parts by node. */
struct fold {
	struct query *q;
	struct symtab *symtab;
	struct trie *trie;
	bool by_location; /* keys are locations of the symtab, else frames */
	enum granularity granularity;
	uint32_t n_slots;
	VEC(wide_t) self; /* [node * n_slots + slot] */
	size_t charged;   /* of the query's memory */
};

int fold_init(struct fold *f, struct query *q, struct symtab *t, bool by_location, uint32_t n_slots);
void fold_done(struct fold *f);
#define _fold_ _cleanup_(fold_done)
/* Enters the slots from..from + n of the sums as the fold's slots first_slot and on. */
struct slot_range {
	uint32_t from, n;
};
int fold_sums(struct fold *f, const struct sums *sums, struct slot_range slots, uint32_t first_slot,
              const struct cancel *cancel, struct error *err);

/* The tree in preorder, children by rank, without what came to nothing. */
struct folded {
	uint32_t n;
	uint32_t *key, *parent, *end; /* by position; parents are positions; the root's key is NONE */
	uint8_t *called;              /* by position: as in struct trie_node */
	int64_t *self;                /* [position * n_slots + slot], rounded */
	uint32_t n_slots;
};

/* divisors: by slot; 0 or 1 for sums. rank: by key. */
int fold_finish(const struct fold *f, const uint32_t *rank, const int64_t *divisors, struct folded *ret);
void folded_done(struct folded *f);
#define _folded_ _cleanup_(folded_done)

/* The columns of a merged profile; filled into a fold. */
struct merged_types {
	struct slot *v;
	uint32_t n, main; /* main: NONE where all types were asked for */
};

void merged_types_done(struct merged_types *t);
int merge_types(struct query *q, struct fold *fold, struct merged_types *ret, const struct cancel *cancel,
                struct error *err);

/* ---- memos ---- */

void memo_tree_free(struct memo_tree *m);
/* tree.c: the tree of a slot by function, of sums that are there. New; values_unused() is the caller's. */
int tree_of_slot(struct query *q, uint32_t slot, const struct cancel *cancel, struct memo_tree **ret,
                 struct error *err);
const struct call_tree *memo_tree_of(const struct memo_tree *m);
void memo_merged_free(struct profile *p);
void memo_points_free(struct memo_points *m);
void memo_steps_free(struct memo_steps *m);
void memo_labels_free(struct memo_labels *m);
void memo_diff_free(struct memo_diff *m);

/* points.c. Caller holds the lock. */
struct memo_points {
	struct point *v;
	uint32_t *rows; /* of each point */
	size_t n;
	struct str *groups;
	size_t n_groups;
	uint32_t *group_of; /* by series */
};

/* groups.c: by a label of samples a profile has a point in each of its groups. Caller holds the lock. */
bool groups_of_samples(const struct query *q);
int groups_points(struct query *q, const struct cancel *cancel, struct memo_points *m, struct error *err);
int points_make(struct query *q, const struct cancel *cancel, struct error *err);

/* labels.c. types_make() fills q->types once. Caller holds the lock. */
int types_make(struct query *q);
struct str label_get(const struct label *labels, size_t n, struct str key);

/* SPDX-License-Identifier: MIT */
#pragma once

/* Private to core/paths: what its files share. */

#include <pthread.h>
#include <stdatomic.h>

#include "../base/arena.h"
#include "../base/clock.h"
#include "../base/vec.h"
#include "grammar.h"
#include "paths.h"

#define NODE_DEPTH_MAX 64
#define RULES_NAME "rules.json"
#define PRINT_LEN 16

struct plans;
struct files;
struct control;
struct recorder;

struct tree {
	struct db *db;
	struct tree_options opts;
	struct node *root;
	int64_t started;
	struct plans *plans;     /* has its own lock, as the next three */
	struct files *files;
	struct control *control;
	struct recorder *recorder;
	pthread_mutex_t lock;    /* guards added */
	VEC(char *) added;       /* services made by mkdir, raw names, sorted */
};

int64_t tree_now(const struct tree *t);
/* A copy of the services made by mkdir; names_done() frees it. */
int tree_added(struct tree *t, struct names *ret);
bool tree_has_added(struct tree *t, struct str name);

/* ---- nodes ---- */

enum file_kind {
	FILE_RENDERING, /* of the directory's selection */
	FILE_ORIGINAL,  /* one profile as it came in */
	FILE_FIXED,     /* its bytes are made at lookup */
};

struct node {
	atomic_uint refs;
	struct tree *tree;
	struct node *parent;   /* a reference; NULL for the root */
	char *name;
	unsigned depth;        /* the root's is 0 */
	enum node_kind kind;
	enum node_life life;
	int64_t mtime;
	struct selection *sel; /* its own; NULL: the parent's, where that has one */

	/* directories */
	enum place place;
	struct component component; /* what the name was read as, long names resolved; it borrows nothing */
	bool takes_files;

	/* links */
	char *target;

	/* files */
	enum file_kind file;
	uint64_t ino;
	uint64_t blocks;
	const struct rendering *rendering;
	uint8_t print[PRINT_LEN];   /* of the plan that it was found with */
	struct ulid id;
	struct content *content;    /* FILE_FIXED */
	bool editable;
	struct query *held;         /* of node_hold(); with the next under the lock of tree->files */
	unsigned holds;
};

/* A child of dir, with one reference: nothing but name and depth is set. */
int node_new(struct node *dir, const char *name, enum node_kind kind, struct node **ret, struct error *err);
/* The selection that stands at a directory (or of a file or link, its directory's); NULL above a service. */
const struct selection *node_selection(const struct node *n);
/* The directory that stands for the service (depth 1), or NULL. */
const struct node *node_service(const struct node *n);
bool node_is_all(const struct node *service); /* /@all */
/* /SERVICE/DAY of a whole day, typed as it is listed: where profiles/ has real files. */
bool node_is_day(const struct node *n, int32_t *ret_day);
/* 53 bits, not 0. */
uint64_t node_ino_of(struct str a, struct str b, struct str c);

/* ---- plans: queries that are kept ---- */

int plans_new(struct plans **ret);
void plans_free(struct plans *p);

/* The query of a selection on a view of now. New reference. */
int plan_get(struct tree *t, const struct selection *sel, const struct cancel *cancel, struct query **ret,
             struct error *err);
/* The query with this print: ERR_STALE where a view of now gives another. fresh: not from what is kept. */
int plan_get_print(struct tree *t, const struct selection *sel, const uint8_t print[PRINT_LEN], bool fresh,
                   const struct cancel *cancel, struct query **ret, struct error *err);
/* What is kept with this print, be it of an older view; NULL where nothing is. New reference. */
struct query *plan_kept(struct tree *t, const struct selection *sel, const uint8_t print[PRINT_LEN]);
/* What is kept for a view of now; ERR_PATH_ABSENT where nothing is. New reference. */
int plan_peek(struct tree *t, const struct selection *sel, struct query **ret, struct error *err);
/* As plan_get(), but not kept: for selections of one profile, of which there are many. */
int plan_once(struct tree *t, const struct selection *sel, const struct cancel *cancel, struct query **ret,
              struct error *err);
/* Whether what a view names may be gone because the view is old: a new one tells. */
bool plan_is_stale(int e);
/* What the results depend on: the fingerprints of the query and of its baseline. */
void plan_print(struct query *q, uint8_t ret[PRINT_LEN]);

/* ---- known: what catalogs and footers say of a whole selection, so that no block is opened ---- */

typedef VEC(struct str) known_names_t;

struct known {
	known_names_t types, labels; /* once each; labels of profiles and of samples */
	VEC(int32_t) hours;          /* since the epoch, some more than once */
	struct arena arena;
};

/* ERR_PATH_ABSENT where they do not tell: the selection needs a plan. */
int known_of(struct tree *t, const struct selection *sel, struct known *ret, struct error *err);
void known_done(struct known *k);
#define _known_ _cleanup_(known_done)

/* ---- facts: what lookups ask the store ---- */

/* Days with data, ascending. service NULL: of all. */
int facts_days(struct tree *t, const char *service, struct days *ret, struct error *err);
/* The newest of them that is not after today. ERR_PATH_ABSENT where there is none. */
int facts_latest(struct tree *t, const char *service, int32_t *ret, struct error *err);
/* The raw name of a type of the selection or of the service's newest day; new. ERR_PATH_ABSENT. */
int facts_type(struct tree *t, const struct selection *sel, const char *typed, const struct cancel *cancel,
               char **ret, struct error *err);
/* Likewise a label's key. */
int facts_label(struct tree *t, const struct selection *sel, struct str typed, const struct cancel *cancel,
                struct buf *ret, struct error *err);
/*
 * Likewise a label's value; "" where it has not the long form and the selection does not have it:
 * ERR_PATH_ABSENT.
 */
int facts_value(struct tree *t, const struct selection *sel, struct str label, struct str typed,
                const struct cancel *cancel, struct buf *ret, struct error *err);
/* Likewise a function's name, for the form of long names. */
int facts_function(struct tree *t, const struct selection *sel, struct str typed, const struct cancel *cancel,
                   struct buf *ret, struct error *err);
/* Calls fn for each label of what q selects (some more than once); stops where it gives not 0, with that. */
typedef int (*key_fn)(void *ctx, struct str key);
int facts_each_label(struct tree *t, struct query *q, const struct cancel *cancel, key_fn fn, void *ctx,
                     struct error *err);
/* The values of a label, of profiles where they have it, else of samples; *ret is NULL where nothing has it. */
int facts_values(struct query *q, struct str label, const struct cancel *cancel, const struct label_values **ret,
                 struct error *err);
/*
 * A selection's copy for the values of a label: in a baseline, without what fixes the label. NULL out of
 * memory.
 */
struct selection *facts_for_label(const struct selection *sel, struct str label);

/* ---- links: targets of names ---- */

/* Appends the target of a name in dir. ERR_PATH_ABSENT, ERR_PATH. */
int link_time(struct node *dir, const struct component *c, struct buf *out, struct error *err);
/* /SERVICE/DAY/profiles/NAME, from dir. service: of the profile. */
void link_profile(struct node *dir, struct str service, int32_t day, const char *name, struct buf *out);
void link_value(struct str label, struct str value, struct buf *out);
/* The name that `heap` and `allocs` stand for; NULL for others. */
const char *link_alias(const char *name);
extern const char *const link_aliases[2];

/* ---- profiles/ ---- */

#define PROFILE_NAME_LEN (TIME_LEN + ULID_LEN + 16)
const char *profile_name(int64_t time, const struct ulid *id, char ret[PROFILE_NAME_LEN]);
bool profile_name_parse(const char *name, int64_t *ret_time, struct ulid *ret);

/* ---- files ---- */

int files_new(size_t max_bytes, struct files **ret);
void files_free(struct files *f);
/* New, not in the cache; takes the bytes. */
int content_new(struct buf *bytes, struct content **ret);
bool files_size(struct tree *t, uint64_t ino, uint64_t *ret);
/* Plans a rendering of the directory's selection and fills the node in. */
int file_plan(struct node *file, const struct cancel *cancel, struct error *err);

struct files_counts {
	uint64_t renders, failures, cancelled, hits, cached_bytes, cached_files;
};
void files_counts(struct tree *t, struct files_counts *ret);

/* ---- values of rules ---- */

int recorder_new(struct recorder **ret);
void recorder_free(struct recorder *r);

/* ---- .profilefs/ ---- */

int control_new(struct control **ret);
void control_free(struct control *c);
int control_lookup(struct node *dir, const char *name, struct node **ret, struct error *err);
/* The i-th file's name, NULL past the last; by name. */
const char *control_name(struct tree *t, size_t i);
/* A file whose bytes are these: takes the content reference. */
int control_file(struct node *dir, const char *name, struct buf *bytes, struct node **ret, struct error *err);
int control_readme(struct node *root, struct node **ret, struct error *err);
/* For .profilefs/queries. */
void control_rendered(struct tree *t, struct node *file, int64_t took, size_t bytes, int result);

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The tree: what a path means, what each directory lists, what each file holds; with no FUSE. `ls`, `cat` and
 * the mount share it. docs/paths.md is normative for the grammar.
 *
 * A node is one resolved place. Nodes are immutable and counted; a directory node remembers the selection
 * that its components made, a file node its selection and rendering, a link its target.
 */

#include "../db/db.h"
#include "../render/render.h"

struct tree;
struct node;

struct tree_options {
	bool read_only;            /* files are not taken */
	bool may_delete;
	int64_t (*now)(void);      /* NULL: clock_now(); tests pass their own */
	size_t cache_bytes;        /* of rendered files; 0: 24 MiB */
};

int tree_new(struct db *db, const struct tree_options *opts, struct tree **ret, struct error *err);
void tree_free(struct tree *t);
DEFINE_CLEANUP(struct tree *, tree_free);

enum node_kind { NODE_DIR, NODE_FILE, NODE_LINK };

/* How long a name may be believed without asking again. */
enum node_life {
	LIFE_GRAMMAR, /* the grammar alone makes it: 60 s */
	LIFE_DATA,    /* depends on what is stored: 0 */
};

struct node_attr {
	enum node_kind kind;
	enum node_life life;
	uint64_t ino;     /* files: of content, below 2^53, nonzero; directories: 0 (the front end numbers them) */
	int64_t mtime;    /* newest profile of the selection; a constant for what the grammar makes */
	uint64_t size;    /* files whose size is known; links: length of the target */
	bool size_known;
	uint64_t blocks;  /* of 512 bytes */
	bool takes_files; /* a directory above a TIME: writing into it ingests */
	bool editable;    /* a file that may be written whole: its directory takes it under this name */
};

int tree_root(struct tree *t, struct node **ret, struct error *err);
struct node *node_ref(struct node *n);
void node_unref(struct node *n);
DEFINE_CLEANUP(struct node *, node_unref);

/*
 * Finds one name (as typed, percent-encoded or not; "." and ".." are not for here) in a directory. Plans a
 * file's query (no samples are read, nothing is rendered). New reference. ERR_PATH_ABSENT; ERR_PATH for an
 * ill-formed component; -ENOTDIR.
 */
int tree_lookup(struct tree *t, struct node *dir, const char *name, const struct cancel *cancel,
                struct node **ret, struct error *err);
/*
 * Walks a whole path ("a/b/../c", leading '/' or not), following links where `follow` also in the last
 * component.
 */
int tree_walk(struct tree *t, const char *path, bool follow, const struct cancel *cancel, struct node **ret,
              struct error *err);

void node_attr(struct node *n, struct node_attr *ret); /* the size is known once it has been rendered */
int node_link(struct node *n, struct buf *ret);        /* a link's target */
const char *node_name(const struct node *n);           /* as typed */
struct node *node_parent(struct node *n);              /* borrowed; NULL for the root */
void node_path(struct node *n, struct buf *ret);       /* from the root, as typed, with a leading '/' */

/* ---- directories ---- */

/* A snapshot of one directory: entries in a stable order, found by index, with bounded memory. */
struct listing;
struct entry {
	char name[256];
	enum node_kind kind;
};

int listing_new(struct tree *t, struct node *dir, const struct cancel *cancel, struct listing **ret,
                struct error *err);
void listing_free(struct listing *l);
DEFINE_CLEANUP(struct listing *, listing_free);
/* 1 and the i-th entry ("." and ".." not among them), 0 past the last. */
int listing_entry(struct listing *l, uint64_t i, struct entry *ret);

/* ---- files ---- */

/* The bytes of a file: immutable, counted, kept in the tree's cache while there is room. */
struct content {
	const uint8_t *data;
	size_t len;
};

/* What is there already; NULL where it must be rendered. New reference. */
struct content *node_content(struct tree *t, struct node *file);
/* Renders (or takes what is there). Blocks; poll `cancel`. New reference. */
int tree_render(struct tree *t, struct node *file, const struct cancel *cancel, struct content **ret,
                struct error *err);
/*
 * Holds what the file was planned on until node_release(): for a rendering that waits its turn, while other plans push
 * this one out and the data goes on.
 */
void node_hold(struct node *file);
void node_release(struct node *file);
struct content *content_ref(struct content *c);
void content_unref(struct content *c);
DEFINE_CLEANUP(struct content *, content_unref);

/* ---- writing ---- */

enum target_takes {
	TAKES_PROFILES,
	TAKES_DEBUGINFO, /* ELF files, in .profilefs/debuginfo/: there is no service; nor in */
	TAKES_RULES,     /* .profilefs/, which takes rules.json alone */
};

/* What a directory above a TIME says of files written into it; from the components of its path. */
struct target {
	enum target_takes takes;
	char *service;
	struct label *labels; /* of the path; owned */
	size_t n_labels;
	char *type, *unit, *kind;          /* NULL: as the file says */
	enum temporality temporality;
};

/* ERR_PATH_DENIED with the reason where the directory takes no files. */
int target_of(struct node *dir, struct target *ret, struct error *err);
void target_done(struct target *t);
/*
 * The same for the whole path of a file (`/SERVICE/LABEL=VALUE/cpu.pb.gz`), by the grammar alone: services need not be
 * there. *ret_name is the file's name, in path.
 */
int target_of_path(const char *path, struct target *ret, const char **ret_name, struct error *err);
int target_copy(const struct target *t, struct target *ret);

/*
 * Whether this name may be given to a file: ERR_PATH with "name it cpu.pb.gz" for one that reads as a
 * component.
 */
int tree_name_allowed(const char *name, struct error *err);
/*
 * Likewise where the target is of: rules.json and what programs that save by renaming call it first; of these, no name
 * but rules.json takes effect. ERR_PATH_DENIED for others.
 */
int target_allows(const struct target *t, const char *name, struct error *err);
bool target_takes_name(const struct target *t, const char *name);
/* A new service by mkdir: known to this tree until it has data or is forgotten. Names are raw. */
int tree_add_service(struct tree *t, const char *name, struct error *err);
int tree_forget_service(struct tree *t, const char *name);
/*
 * Deletes what stands at a node: a service, a day of it, a type of a day, a profile. Removing what is made anew from
 * the data (renderings, by-LABEL/, profiles/) does nothing. ERR_PATH_DENIED for everything else.
 */
int tree_delete(struct tree *t, struct node *n, bool dry_run, struct db_deleted *ret, struct error *err);
bool tree_holds_data(const struct node *n); /* whether tree_delete() deletes something */

/* ---- .profilefs/ ---- */

/* Adds a sentence to /.profilefs/errors (the newest 1,000 stay). */
void tree_report(struct tree *t, const char *path, int pid, int code, const char *sentence);
/* A further small file of /.profilefs/, made at each look. name and fn live as long as the tree. */
int tree_add_status(struct tree *t, const char *name, void (*fn)(void *ctx, struct buf *out), void *ctx);

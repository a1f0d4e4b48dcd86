/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the kernel knows: inode numbers and what they stand for.
 *
 * A number is below 2^53 and made by hashing, so that it is the same after a remount, and never means two
 * things at once: where two would share one, the later takes the next free number.
 *
 *     directories and links   hash of the parent's number and the name as typed: kept while the kernel knows it,
 *                             whatever becomes of the data
 *     files of the tree       node_attr.ino: path and version of the content; one more typed path, one more number
 *     written files           hash of directory, name and a counter: each is new
 *
 * An inode lives while the kernel knows it (its lookups less what was forgotten) or somebody here holds a
 * reference.
 */

#include "state.h"

struct upload;

enum inode_kind {
	INODE_DIR,        /* of the tree */
	INODE_FILE,       /* of the tree: a rendering, a profile, a file of /.profilefs */
	INODE_LINK,       /* of the tree */
	INODE_UPLOAD,     /* a name somebody wrote: a file, a folder for temporary ones, an editor's lock */
};

struct inode {
	uint64_t ino;
	enum inode_kind kind;
	uint64_t parent;       /* number; 0 for the root */
	char *name;            /* as typed, when it was made; "" for the root */
	struct upload *upload; /* INODE_UPLOAD: a reference */
	/* the rest is guarded by the table */
	struct node *node;     /* of the tree: the newest that was found; use inode_node() */
	struct node *found_in; /* INODE_FILE without a node: its directory; see inode_unplanned() */
	uint64_t lookups;      /* the kernel's */
	unsigned refs;         /* ours */
	uint64_t size;         /* INODE_FILE: once known */
	bool size_known;
	bool announced_empty;  /* the kernel was told size 0 before the size was known */
	int64_t made_at;       /* clock_monotonic() */
	int64_t stat_window;   /* directories: when a stat last began to wait (monotonic) */
	struct inode *next_ino, *next_name;
};

/* Takes the reference to root. */
int inodes_new(struct node *root, struct inodes **ret);
void inodes_free(struct inodes *t);

/* By number. New reference, or NULL. */
struct inode *inode_get(struct inodes *t, uint64_t ino);
struct inode *inode_ref(struct inodes *t, struct inode *in);
void inode_put(struct inodes *t, struct inode *in);

/* What an inode should stand for. */
struct inode_want {
	enum inode_kind kind;
	uint64_t parent;
	const char *name;
	struct node *node;       /* the tree's kinds: takes the reference */
	uint64_t ino;            /* INODE_FILE: node_attr.ino; INODE_UPLOAD: the upload's */
	struct upload *upload;   /* borrowed for the call */
};

/* Finds or makes the inode. New reference; NULL when out of memory (want->node is released then, too). */
struct inode *inode_enter(struct inodes *t, const struct inode_want *want);

/*
 * A rendering whose plan takes longer than a lookup may: an inode of its own, without a node. Whoever opens
 * it first plans it, and so pins the version of its content. Takes dir. New reference, or NULL.
 */
struct inode *inode_unplanned(struct inodes *t, uint64_t parent, const char *name, struct node *dir);
/* The directory of an inode without a node: new reference, NULL where it has one (by now). */
struct node *inode_plan_in(struct inodes *t, struct inode *in);
/* The first plan counts. Takes the node. */
void inode_planned(struct inodes *t, struct inode *in, struct node *node);

/* The kernel is about to be told of it / was not reached after all, or forgot it. */
void inode_known(struct inodes *t, struct inode *in);
void inode_forget(struct inodes *t, uint64_t ino, uint64_t n);

/* The node of one of the tree's kinds. New reference; NULL where it is not planned. */
struct node *inode_node(struct inodes *t, struct inode *in);

/* The newest of that name, where it is no older than max_age ns. New reference, or NULL. */
struct inode *inode_recent(struct inodes *t, uint64_t parent, const char *name, int64_t max_age);

/* The number that a listing shows for a name: the newest known, else the one it would get. */
uint64_t inode_number(struct inodes *t, uint64_t parent, const char *name);

/* Whether the newest known of that name is a file of the tree. */
bool inode_is_file(struct inodes *t, uint64_t parent, const char *name);

/* A number for a new written file. */
uint64_t inode_unique(struct inodes *t, uint64_t parent, const char *name);

/* ---- sizes of files of the tree ---- */

/* The size to tell the kernel: true and the size, or false: 0 for now, which is remembered. */
bool inode_announce(struct inodes *t, struct inode *in, uint64_t *ret);
bool inode_size_known(struct inodes *t, struct inode *in);
/* The size is known from now on. Returns whether the kernel was told 0 before (once). */
bool inode_sized(struct inodes *t, struct inode *in, uint64_t size);
/* How long a stat in this directory may wait now, in ns: `wait`, less what passed of it in this second. */
int64_t inode_stat_wait(struct inodes *t, struct inode *dir, int64_t wait, int64_t now);

size_t inodes_count(struct inodes *t);

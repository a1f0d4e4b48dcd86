/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What is written into the tree. An upload is one written name: a file on its way into the database (and its
 * bytes for a while afterwards), a dot-name folder for temporary files, or an editor's symbolic lock.
 *
 * upload_table.c has the names and attributes, upload.c what happens to a file's bytes.
 */

#include "state.h"

enum upload_kind { UPLOAD_FILE, UPLOAD_DIR, UPLOAD_LINK };

struct upload; /* counted */

int uploads_new(struct fs *fs, struct uploads **ret);
void uploads_free(struct uploads *us);
/* Forgets names that nobody has used for ten minutes. */
void uploads_tick(struct uploads *us, int64_t now);
/* Tries to take in what open files hold, at a stop. */
void uploads_finish(struct uploads *us);
void uploads_space(struct uploads *us, uint64_t *ret_max, uint64_t *ret_used);

struct upload *upload_ref(struct upload *up);
void upload_unref(struct upload *up);
DEFINE_CLEANUP(struct upload *, upload_unref);
#define _upload_ _cleanup_(upload_unrefp)

/* Whether this name is an editor's or a copying program's, and waits for a rename to a visible one. */
bool upload_name_temporary(const char *name);
/* Likewise in its directory, which may take other names alone. */
bool upload_name_waits(const struct upload *up, const char *name);

/* ---- names ---- */

/* By directory (its inode number) and name. New reference, or NULL. */
struct upload *upload_find(struct uploads *us, uint64_t dir, const char *name);

/* Where a name is about to be made. */
struct upload_place {
	uint64_t dir;          /* inode number of the directory */
	struct node *node;     /* of the tree's directory; NULL in a folder */
	struct upload *folder; /* the dot-name folder; NULL in a directory of the tree */
	const char *name;
};

/* -EEXIST, -EISDIR (the name reads as a component), ERR_PATH_DENIED (no files here). New reference. */
int upload_make(struct uploads *us, const struct upload_place *place, enum upload_kind kind, const struct stat *st,
                const char *link_target, struct upload **ret, struct error *err);
/* Hides the name; the bytes go when nobody has them open. -ENOENT, -ENOTEMPTY (a folder). */
int upload_unlink(struct uploads *us, uint64_t dir, const char *name);
/* The i-th name in a folder; false past the last. */
bool upload_entry(struct uploads *us, uint64_t dir, size_t i, char ret_name[256], uint64_t *ret_ino);

uint64_t upload_ino(const struct upload *up);
enum upload_kind upload_kind(const struct upload *up);
const char *upload_link(const struct upload *up); /* borrowed from up */
void upload_stat(struct upload *up, struct stat *ret);
/* chmod, chown, utimes; without FUSE_SET_ATTR_SIZE. */
void upload_setattr(struct upload *up, const struct stat *st, int to_set);

/* ---- files of the tree that are written whole (upload_text.c) ---- */

/* Whether what the store has must be asked for before this name is answered. */
bool upload_follows_store(struct upload *up);
/*
 * Finds or makes what stands for a file of the tree that is editable, with the bytes that the store has. Takes nothing.
 * -ENOENT where the name has just been taken away. New reference.
 */
int upload_of_text(struct uploads *us, const struct upload_place *place, const struct stat *st, struct slice bytes,
                   struct upload **ret, struct error *err);

/* ---- bytes: each answers the request, now or later ---- */

/* One open file. */
struct upload_open {
	pid_t process; /* that opened it for writing; 0: for reading, or unknown */
	bool writes;
};

/* -ESTALE where the bytes are gone. Follow with upload_closed(). */
int upload_opened(struct upload *up, fuse_req_t req, bool writes, struct upload_open *ret);
void upload_write(struct upload *up, fuse_req_t req, const void *data, size_t n, uint64_t offset);
void upload_read(struct upload *up, fuse_req_t req, size_t n, uint64_t offset);
void upload_flush(struct upload *up, fuse_req_t req, const struct upload_open *open);
void upload_fsync(struct upload *up, fuse_req_t req);
void upload_closed(struct upload *up, fuse_req_t req, const struct upload_open *open);
/* As upload_closed(), where there is no request: the open was not answered. */
void upload_dropped(struct upload *up, const struct upload_open *open);

/* Sets the size, then answers by reply(). */
void upload_resize(struct upload *up, fuse_req_t req, uint64_t size,
                   void (*reply)(struct fs *fs, fuse_req_t req, struct upload *up, void *arg), void *arg);
/* Renames; one from a temporary to a visible name is taken in first. */
void upload_rename(struct upload *up, fuse_req_t req, const struct upload_place *to, unsigned flags);

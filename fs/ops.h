/* SPDX-License-Identifier: MIT */
#pragma once

/* What the operations share: open handles, attributes, answers, complaints. */

#include <pthread.h>

#include "call.h"
#include "inode.h"
#include "upload.h"

#define GRAMMAR_TIMEOUT 60.0  /* s: names that the grammar alone makes */
#define CONTENT_TIMEOUT 60.0  /* attributes of a file of known size: its content never changes */
#define DIR_TIMEOUT 1.0       /* attributes of a directory whose entries depend on the data */

/* ---- handles: what fuse_file_info.fh points to ---- */

enum handle_kind { HANDLE_FILE = 0x66696c65, HANDLE_DIR, HANDLE_UPLOAD };

struct handle {
	enum handle_kind kind;
	atomic_uint refs;
	struct inode *in;
	struct content *content;  /* HANDLE_FILE */
	struct upload_open open;  /* HANDLE_UPLOAD */
	pthread_mutex_t lock;     /* HANDLE_DIR: of listing */
	struct listing *listing;
	struct handle *next, **link; /* of all open ones; under fs->handles_lock */
};

/* Takes the reference to in. */
struct handle *handle_new(struct fs *fs, enum handle_kind kind, struct inode *in);
struct handle *handle_of(const struct fuse_file_info *fi, enum handle_kind kind); /* NULL: not of this kind */
void handle_ref(struct handle *h);
void handle_unref(struct fs *fs, struct handle *h);
/* Frees those that the kernel did not release before the mount ended. */
void handles_free(struct fs *fs);

/* ---- attributes ---- */

/* Attributes as of now (a file whose size is not known: 0, remembered) and how long they hold. */
void fs_stat(struct fs *fs, struct inode *in, struct stat *ret, double *ret_timeout);
bool fs_takes_files(struct fs *fs, struct inode *dir);

/* The size of a file is known: where the kernel was told 0, it is told. */
void fs_push_size(struct fs *fs, struct inode *in, struct content *content);

/* The inode of a found node; takes the node. New reference, or NULL. */
struct inode *fs_enter(struct fs *fs, uint64_t parent, const char *name, struct node *node);
struct inode *fs_enter_upload(struct fs *fs, uint64_t parent, const char *name, struct upload *up);

/* ---- answers; the request must be the caller's to answer ---- */

void fs_reply_entry(struct fs *fs, fuse_req_t req, struct inode *in);
void fs_reply_attr(struct fs *fs, fuse_req_t req, struct inode *in);
/* false where the caller is gone: then there will be no release, and the handle is still ours. */
bool fs_reply_create(struct fs *fs, fuse_req_t req, struct inode *in, struct fuse_file_info *fi);

/* ---- complaints: to /.profilefs/errors and the log ---- */

/* About a name in a directory (name NULL: about the node itself). */
void fs_complain(struct fs *fs, struct node *node, const char *name, pid_t pid, int e, const char *sentence);
/* Complains and answers the error. */
void fs_deny(struct fs *fs, fuse_req_t req, struct inode *dir, const char *name, int e, const char *fmt, ...)
	_printf_(6, 7);

/* ---- operations ---- */

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readlink(fuse_req_t req, fuse_ino_t ino);
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_statfs(fuse_req_t req, fuse_ino_t ino);

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi);
void op_open_upload(struct fs *fs, fuse_req_t req, struct inode *in, struct fuse_file_info *fi); /* takes in */
void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off, struct fuse_file_info *fi);
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
               unsigned flags);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name);
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);

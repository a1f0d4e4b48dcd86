/* SPDX-License-Identifier: MIT */
#pragma once

/* What one mount consists of. Only fs/ includes this and the headers beside it. */

#include <fuse_lowlevel.h>
#include <pthread.h>

#include "../core/base/pool.h"
#include "../core/db/compact.h"
#include "../core/paths/paths.h"
#include "fs.h"

struct calls;
struct handle;
struct inodes;
struct renders;
struct uploads;

/* Counters for /.profilefs/status. */
struct fs_counts {
	atomic_uint_fast64_t lookups, timeouts, interrupts, renders, renders_cancelled, files_written, files_refused;
};

struct fs {
	const struct mount_options *opts;
	const struct log *log;
	struct db *db;
	struct tree *tree;
	struct fuse_session *se;
	struct calls *calls;
	struct inodes *inodes;
	struct renders *renders;
	struct uploads *uploads;
	struct pool *names;  /* lookups, link targets and listings: may wait for the store */
	struct background *compaction; /* NULL: read-only, or compact=no */
	struct pool *writes; /* what close() and fsync() wait for */
	atomic_bool stopping; /* new work is refused */
	atomic_uint working;  /* tasks queued or running in any pool */
	uid_t uid;
	gid_t gid;
	pthread_mutex_t handles_lock;
	struct handle *handles; /* all open ones; under handles_lock */
	struct fs_counts counts;
};

extern const struct fuse_lowlevel_ops fs_ops;

static inline struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

/* Queues fn(arg), which ends with fs_worked(). */
int fs_work(struct fs *fs, struct pool *pool, void (*fn)(void *arg), void *arg);

static inline void fs_worked(struct fs *fs)
{
	atomic_fetch_sub(&fs->working, 1);
}

static inline void fs_count(atomic_uint_fast64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

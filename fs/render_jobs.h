/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Renderings under way: one job per file, on a bounded pool of their own, for everybody who waits for it. A
 * job that nobody waits for is cancelled; but one that a stat began goes on for a while, since an open
 * usually follows. What a process has begun by stats alone, without ever opening, is bounded: ten seconds of
 * work.
 */

#include "call.h"
#include "inode.h"

int renders_new(struct fs *fs, struct renders **ret);
/* Cancels everything. No call may wait any more once calls_refuse() has run. */
void renders_stop(struct renders *rs);
void renders_free(struct renders *rs); /* after renders_stop() */
void renders_tick(struct renders *rs, int64_t now);

/* What a waiter gets. */
struct rendered {
	struct content *content; /* borrowed for the call; NULL where it failed */
	int e;
};

/*
 * Calls ready(c, result) from a pool thread when the file is rendered, where c is not answered by then; holds
 * a reference to c meanwhile. ready answers the call. thread: who asks. Returns 0; or an error, then nothing
 * waits and ready is not called (-EAGAIN: this process has begun enough by stats).
 */
int render_wait_open(struct renders *rs, struct inode *in, struct call *c,
                     void (*ready)(struct call *c, const struct rendered *result));
int render_wait_stat(struct renders *rs, struct inode *in, struct call *c, pid_t thread,
                     void (*ready)(struct call *c, const struct rendered *result));

/* Begins a rendering for a stat that does not wait. */
void render_begin(struct renders *rs, struct inode *in, pid_t thread);

/* c waits no longer (answered otherwise). For any call. */
void render_leave(struct call *c);

/* The file has been opened without waiting: this thread's process is no crawler. */
void render_opened(struct renders *rs, pid_t thread);

size_t renders_running(struct renders *rs);

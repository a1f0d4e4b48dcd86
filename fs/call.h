/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A call is a FUSE request that is answered later, from a pool thread. It is answered once, by whoever claims
 * it first:
 *
 *     the worker     when its result is there
 *     the timer      when the deadline passes (by default with ETIMEDOUT)
 *     the kernel     when the caller was interrupted, by a signal that asks it to give up: EINTR at once
 *     the shutdown   ESHUTDOWN
 *
 * A worker that comes too late finds the call taken, drops its result, and may notice before: losing a call
 * sets its cancel token. Operations embed struct call as their first member and are freed with the last
 * reference.
 */

#include "state.h"

#define CALL_DEADLINE (2 * NS_PER_S) /* of LOOKUP, GETATTR and READLINK */

struct render_job;
struct rendered;

struct call {
	struct fs *fs;
	fuse_req_t req;
	struct cancel cancel;              /* for the work; cancel.deadline stays 0: the timer sets the token */
	void (*run)(struct call *c);       /* on a pool; gives back the reference it came with */
	void (*done)(struct call *c);      /* frees what the operation holds; may be NULL */
	void (*expire)(struct call *c);    /* answers a claimed call whose deadline passed; NULL: ETIMEDOUT */
	struct call *next;                 /* in a queue of render_jobs.c or upload.c, under the lock there */
	struct render_job *job;            /* waited for; under the lock of render_jobs.c */
	void (*ready)(struct call *c, const struct rendered *result); /* see render_jobs.h */
	/* the rest belongs to call.c */
	struct call *later, **link;        /* the list of calls in flight */
	int64_t deadline;                  /* clock_monotonic(); 0: none */
	int64_t look_at;                   /* when to look again whether the caller wants out; 0: not */
	pid_t thread;                      /* the caller's */
	atomic_uint refs;
	bool answered, registering, interrupted, kept;
};

enum call_flags {
	CALL_PATIENT = 1, /* neither interrupted nor cancelled by a stop: what was written must come to an end */
};

int calls_new(struct fs *fs, void (*tick)(struct fs *fs, int64_t now), struct calls **ret);
/* No deadline passes, no tick comes after this. Before what a tick needs is freed. */
void calls_stop_timer(struct calls *calls);
void calls_free(struct calls *calls); /* the timer is stopped, and none is in flight */

/*
 * A call of `size` bytes, zeroed behind struct call, with one reference. Where there cannot be one (no
 * memory, stopping, interrupted already) the request is answered and NULL returned. deadline: from now in ns,
 * 0 for none.
 */
void *call_new(struct fs *fs, fuse_req_t req, size_t size, unsigned flags, int64_t deadline);
void call_ref(struct call *c);
void call_unref(struct call *c);

/* Runs c->run on the pool; takes the caller's reference. Answers EIO's like where the pool takes nothing. */
void call_submit(struct call *c, struct pool *pool);

/* The right to answer: true for one caller, who then must. Afterwards no interrupt reaches the call. */
bool call_claim(struct call *c);
bool call_answered(struct call *c);
/* Claims and answers with an errno (0: success without data); nothing where it was answered. e: an error or 0. */
void call_reply(struct call *c, int e);
/* Moves the deadline (from now; 0: none) and says who answers when it passes. */
void call_set_deadline(struct call *c, int64_t from_now, void (*expire)(struct call *c));

/* Answers all but the patient calls with ESHUTDOWN and cancels their work. */
void calls_refuse(struct calls *calls);
/* Waits until no call is in flight, at most for so many ns. Returns how many are left. */
size_t calls_wait(struct calls *calls, int64_t timeout);
size_t calls_in_flight(struct calls *calls);

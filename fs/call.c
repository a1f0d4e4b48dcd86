/* SPDX-License-Identifier: MIT */
#include "call.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>

#include "render_jobs.h"
#include "writer.h"

/*
 * Locks. libfuse holds the request's own lock while it calls on_interrupt(), which takes calls->lock. So
 * nobody may wait for a request's lock (fuse_req_interrupt_func does) while holding calls->lock. Claiming a
 * call from elsewhere is therefore two steps: mark it under calls->lock, then unhook the interrupt, which
 * waits for one that is under way; that one finds the mark and does nothing. Within on_interrupt() the
 * request is answered without unhooking: libfuse keeps it alive until the callback returns. An interrupt that
 * came before the request is seen while the callback is being hooked in; it must not answer there (libfuse
 * would free the request under its own feet), hence `registering`.
 */

#define TICK NS_PER_S                /* housekeeping */
#define LOOK_EVERY (50 * NS_PER_MS) /* at a caller's signals, once there was one */

struct calls {
	struct fs *fs;
	void (*tick)(struct fs *fs, int64_t now);
	pthread_mutex_t lock;
	pthread_cond_t wake; /* the timer: an earlier deadline, or the end */
	pthread_cond_t idle; /* none in flight */
	pthread_t timer;
	/* under lock */
	struct call *first;
	size_t n;
	int64_t next_wake;
	bool ending;
};

void call_ref(struct call *c)
{
	atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
}

void call_unref(struct call *c)
{
	if (atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) > 1)
		return;
	assert(c->answered);
	if (c->done)
		c->done(c);
	free(c);
}

/* ---- the list of calls in flight, under lock ---- */

static void calls_add(struct calls *calls, struct call *c)
{
	c->later = calls->first;
	c->link = &calls->first;
	if (c->later)
		c->later->link = &c->later;
	calls->first = c;
	calls->n++;
	if (c->deadline && c->deadline < calls->next_wake)
		pthread_cond_signal(&calls->wake);
}

static void calls_remove(struct calls *calls, struct call *c)
{
	*c->link = c->later;
	if (c->later)
		c->later->link = c->link;
	if (--calls->n == 0)
		pthread_cond_broadcast(&calls->idle);
}

/* Marks a call as answered by the caller. */
static bool call_mark(struct calls *calls, struct call *c)
{
	if (c->answered)
		return false;
	c->answered = true;
	calls_remove(calls, c);
	return true;
}

/* ---- claiming ---- */

bool call_claim(struct call *c)
{
	struct calls *calls = c->fs->calls;
	pthread_mutex_lock(&calls->lock);
	bool mine = call_mark(calls, c);
	pthread_mutex_unlock(&calls->lock);
	if (mine && !c->kept)
		fuse_req_interrupt_func(c->req, NULL, NULL);
	return mine;
}

bool call_answered(struct call *c)
{
	pthread_mutex_lock(&c->fs->calls->lock);
	bool answered = c->answered;
	pthread_mutex_unlock(&c->fs->calls->lock);
	return answered;
}

void call_reply(struct call *c, int e)
{
	if (call_claim(c))
		fuse_reply_err(c->req, err_errno(e));
}

/* What follows a claim by anybody but the worker. */
static void call_lost(struct call *c)
{
	atomic_store_explicit(&c->cancel.set, true, memory_order_relaxed);
	render_leave(c);
}

/*
 * The kernel tells of any signal, and only of the first one. Where that is none to give up for, the timer
 * looks for others from now on.
 */
static void on_interrupt(fuse_req_t req, void *arg)
{
	struct call *c = arg;
	struct calls *calls = c->fs->calls;
	bool out = writer_wants_out(c->thread);
	pthread_mutex_lock(&calls->lock);
	if (c->registering)
		c->interrupted = out;
	if (!out && !c->answered) {
		c->look_at = clock_monotonic() + LOOK_EVERY;
		pthread_cond_signal(&calls->wake);
	}
	bool mine = out && !c->registering && call_mark(calls, c);
	if (mine)
		call_ref(c);
	pthread_mutex_unlock(&calls->lock);
	if (!mine)
		return;
	fs_count(&c->fs->counts.interrupts);
	call_lost(c);
	fuse_reply_err(req, EINTR);
	call_unref(c);
}

/* ---- a call's life ---- */

static bool call_hook(struct call *c)
{
	fuse_req_interrupt_func(c->req, on_interrupt, c);
	pthread_mutex_lock(&c->fs->calls->lock);
	c->registering = false;
	bool interrupted = c->interrupted;
	pthread_mutex_unlock(&c->fs->calls->lock);
	return !interrupted;
}

void *call_new(struct fs *fs, fuse_req_t req, size_t size, unsigned flags, int64_t deadline)
{
	assert(size >= sizeof(struct call));
	bool patient = flags & CALL_PATIENT;
	struct call *c = !patient && atomic_load(&fs->stopping) ? NULL : calloc(1, size);
	if (!c) {
		fuse_reply_err(req, atomic_load(&fs->stopping) ? ESHUTDOWN : ENOMEM);
		return NULL;
	}
	c->fs = fs;
	c->req = req;
	c->refs = 1;
	c->kept = patient;
	c->thread = fuse_req_ctx(req)->pid;
	c->registering = !patient;
	c->deadline = deadline ? clock_monotonic() + deadline : 0;
	pthread_mutex_lock(&fs->calls->lock);
	calls_add(fs->calls, c);
	pthread_mutex_unlock(&fs->calls->lock);
	if (!patient && !call_hook(c)) {
		call_reply(c, -EINTR);
		call_unref(c);
		return NULL;
	}
	return c;
}

static void call_run(void *arg)
{
	struct call *c = arg;
	struct fs *fs = c->fs;
	c->run(c);
	fs_worked(fs);
}

int fs_work(struct fs *fs, struct pool *pool, void (*fn)(void *arg), void *arg)
{
	atomic_fetch_add(&fs->working, 1);
	int e = pool_submit(pool, fn, arg);
	if (e)
		fs_worked(fs);
	return e;
}

void call_submit(struct call *c, struct pool *pool)
{
	int e = fs_work(c->fs, pool, call_run, c);
	if (e) {
		call_reply(c, e);
		call_unref(c);
	}
}

void call_set_deadline(struct call *c, int64_t from_now, void (*expire)(struct call *c))
{
	struct calls *calls = c->fs->calls;
	pthread_mutex_lock(&calls->lock);
	c->expire = expire;
	c->deadline = from_now ? clock_monotonic() + from_now : 0;
	if (c->deadline && c->deadline < calls->next_wake)
		pthread_cond_signal(&calls->wake);
	pthread_mutex_unlock(&calls->lock);
}

/* ---- the timer ---- */

static struct timespec timespec_of(int64_t ns)
{
	return (struct timespec){ .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
}

/* Claims one call whose time has come, with a reference; under lock. */
static struct call *calls_overdue(struct calls *calls, int64_t now)
{
	for (struct call *c = calls->first; c; c = c->later)
		if (c->deadline && c->deadline <= now && !c->registering) {
			call_ref(c);
			call_mark(calls, c);
			return c;
		}
	return NULL;
}

static void call_expire(struct call *c)
{
	if (!c->kept)
		fuse_req_interrupt_func(c->req, NULL, NULL);
	if (c->expire) {
		c->expire(c);
	} else {
		fs_count(&c->fs->counts.timeouts);
		call_lost(c);
		fuse_reply_err(c->req, ETIMEDOUT);
	}
	call_unref(c);
}

/* A call whose caller is to be looked at, with a reference; under lock. */
static struct call *calls_doubtful(struct calls *calls, int64_t now)
{
	for (struct call *c = calls->first; c; c = c->later)
		if (c->look_at && c->look_at <= now && !c->registering) {
			call_ref(c);
			c->look_at = now + LOOK_EVERY;
			return c;
		}
	return NULL;
}

static void call_look(struct call *c)
{
	if (writer_wants_out(c->thread) && call_claim(c)) {
		fs_count(&c->fs->counts.interrupts);
		call_lost(c);
		fuse_reply_err(c->req, EINTR);
	}
	call_unref(c);
}

static int64_t calls_next_wake(struct calls *calls, int64_t tick)
{
	int64_t next = tick;
	for (struct call *c = calls->first; c; c = c->later) {
		if (c->deadline)
			next = MIN(next, c->registering ? c->deadline + NS_PER_MS : c->deadline);
		if (c->look_at)
			next = MIN(next, c->look_at + (c->registering ? NS_PER_MS : 0));
	}
	return next;
}

/* One thing whose time has come; false where there is none. Called and returns with the lock. */
static bool timer_step(struct calls *calls, int64_t *next_tick)
{
	int64_t now = clock_monotonic();
	struct call *overdue = calls_overdue(calls, now);
	struct call *doubtful = overdue ? NULL : calls_doubtful(calls, now);
	bool tick = !overdue && !doubtful && now >= *next_tick;
	if (!overdue && !doubtful && !tick)
		return false;
	pthread_mutex_unlock(&calls->lock);
	if (overdue)
		call_expire(overdue);
	else if (doubtful)
		call_look(doubtful);
	else
		calls->tick(calls->fs, now);
	pthread_mutex_lock(&calls->lock);
	if (tick)
		*next_tick = now + TICK;
	return true;
}

static void *timer_main(void *arg)
{
	struct calls *calls = arg;
	int64_t next_tick = clock_monotonic() + TICK;
	pthread_mutex_lock(&calls->lock);
	while (!calls->ending) {
		if (timer_step(calls, &next_tick))
			continue;
		calls->next_wake = calls_next_wake(calls, next_tick);
		struct timespec at = timespec_of(calls->next_wake);
		pthread_cond_timedwait(&calls->wake, &calls->lock, &at);
	}
	pthread_mutex_unlock(&calls->lock);
	return NULL;
}

int calls_new(struct fs *fs, void (*tick)(struct fs *fs, int64_t now), struct calls **ret)
{
	struct calls *calls = calloc(1, sizeof *calls);
	if (!calls)
		return -ENOMEM;
	calls->fs = fs;
	calls->tick = tick;
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&calls->lock, NULL);
	pthread_cond_init(&calls->wake, &monotonic);
	pthread_cond_init(&calls->idle, &monotonic);
	pthread_condattr_destroy(&monotonic);
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = pthread_create(&calls->timer, NULL, timer_main, calls);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r) {
		free(calls);
		return -r;
	}
	*ret = calls;
	return 0;
}

void calls_stop_timer(struct calls *calls)
{
	pthread_mutex_lock(&calls->lock);
	calls->ending = true;
	pthread_cond_signal(&calls->wake);
	pthread_mutex_unlock(&calls->lock);
	pthread_join(calls->timer, NULL);
}

void calls_free(struct calls *calls)
{
	if (!calls)
		return;
	assert(calls->ending && !calls->first);
	pthread_cond_destroy(&calls->wake);
	pthread_cond_destroy(&calls->idle);
	pthread_mutex_destroy(&calls->lock);
	free(calls);
}

/* ---- stopping ---- */

static struct call *calls_impatient(struct calls *calls)
{
	for (struct call *c = calls->first; c; c = c->later)
		if (!c->kept && !c->registering) {
			call_ref(c);
			call_mark(calls, c);
			return c;
		}
	return NULL;
}

void calls_refuse(struct calls *calls)
{
	for (;;) {
		pthread_mutex_lock(&calls->lock);
		struct call *c = calls_impatient(calls);
		pthread_mutex_unlock(&calls->lock);
		if (!c)
			return;
		fuse_req_interrupt_func(c->req, NULL, NULL);
		call_lost(c);
		fuse_reply_err(c->req, ESHUTDOWN);
		call_unref(c);
	}
}

size_t calls_wait(struct calls *calls, int64_t timeout)
{
	struct timespec at = timespec_of(clock_monotonic() + timeout);
	pthread_mutex_lock(&calls->lock);
	while (calls->n && pthread_cond_timedwait(&calls->idle, &calls->lock, &at) != ETIMEDOUT)
		;
	size_t left = calls->n;
	pthread_mutex_unlock(&calls->lock);
	return left;
}

size_t calls_in_flight(struct calls *calls)
{
	pthread_mutex_lock(&calls->lock);
	size_t n = calls->n;
	pthread_mutex_unlock(&calls->lock);
	return n;
}

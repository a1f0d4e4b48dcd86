/* SPDX-License-Identifier: MIT */

/*
 * Compaction in the background of a mount, a receiver or `compact --watch`.
 *
 *     waiting --(news, or something comes due, or a poll)--> a pause of random length --> a pass --> waiting
 *
 * The pauses keep many compactors of one store apart: whoever comes second finds the work done.
 */

#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "compact.h"
#include "internal.h"

#define PAUSE_AFTER_NEWS (2 * NS_PER_S)
#define PASSES_APART (10 * NS_PER_S)
#define COLLECT_EVERY (60 * NS_PER_S)
#define POLL_FIRST (2 * NS_PER_S)
#define POLL_LAST (60 * NS_PER_S)
#define FAILED_FIRST (5 * NS_PER_S)
#define FAILED_LAST (5 * NS_PER_MIN)

struct background {
	struct db *db;
	struct compactor *compactor;
	struct cancel cancel;
	pthread_t thread;
	bool poll;
	int64_t poll_in, failed_in; /* the thread's: back-off */
	bool stop;                        /* under db->news.lock */
	struct background_status status;  /* under db->news.lock */
};

void news_note(struct db *db)
{
	pthread_mutex_lock(&db->news.lock);
	db->news.n++;
	pthread_cond_broadcast(&db->news.came);
	pthread_mutex_unlock(&db->news.lock);
}

/* Between t and twice t. */
static int64_t jitter(int64_t t)
{
	uint64_t random = 0;
	if (getrandom(&random, sizeof random, 0) < 0)
		random = (uint64_t)clock_monotonic();
	return t + (int64_t)(random % (uint64_t)(t + 1));
}

/* Waits for so long (0: for ever), for news after `seen` or for the end. Whether to go on. */
static bool wait_for(struct background *b, int64_t ns, const uint64_t *seen)
{
	struct news *n = &b->db->news;
	int64_t end = clock_monotonic() + ns;
	struct timespec ts = { .tv_sec = end / NS_PER_S, .tv_nsec = end % NS_PER_S };
	int r = 0;
	pthread_mutex_lock(&n->lock);
	while (!b->stop && r == 0 && (!seen || n->n == *seen))
		r = ns ? pthread_cond_timedwait(&n->came, &n->lock, &ts) : pthread_cond_wait(&n->came, &n->lock);
	bool stop = b->stop;
	pthread_mutex_unlock(&n->lock);
	return !stop;
}

static uint64_t news_now(struct db *db)
{
	pthread_mutex_lock(&db->news.lock);
	uint64_t n = db->news.n;
	pthread_mutex_unlock(&db->news.lock);
	return n;
}

static void note_pass(struct background *b, const struct compact_report *report, int e, const struct error *err)
{
	if (e < 0 && e != ERR_CANCELLED)
		log_msg(b->db->log, LOG_LEVEL_WARNING, "compaction failed, it will be tried again: %s",
		        error_text(err, e));
	pthread_mutex_lock(&b->db->news.lock);
	b->status.last_pass = clock_now();
	b->status.merges += report->merges;
	b->status.profiles += report->profiles;
	b->status.removed += report->removed;
	snprintf(b->status.error, sizeof b->status.error, "%s", e < 0 ? error_text(err, e) : "");
	pthread_mutex_unlock(&b->db->news.lock);
}

/* How long to wait for news after a pass; 0: for ever. */
static int64_t next_pass_in(struct background *b, const struct compact_report *report, int e)
{
	if (e < 0) {
		b->failed_in = b->failed_in ? MIN(2 * b->failed_in, FAILED_LAST) : FAILED_FIRST;
		return b->failed_in;
	}
	b->failed_in = 0;
	b->poll_in = report->merges || !b->poll_in ? POLL_FIRST : MIN(2 * b->poll_in, POLL_LAST);
	int64_t next = report->next;
	if (b->poll)
		next = next ? MIN(next, b->poll_in) : b->poll_in;
	return next;
}

static void *run(void *arg)
{
	struct background *b = arg;
	uint64_t seen = 0;
	int64_t next = b->poll ? NS_PER_MS : 0;
	while (wait_for(b, next, &seen) && wait_for(b, jitter(b->poll ? NS_PER_MS : PAUSE_AFTER_NEWS), NULL)) {
		struct compact_report report = { 0 };
		struct error err = { 0 };
		seen = news_now(b->db);
		int e = compactor_pass(b->compactor, &report, &err);
		note_pass(b, &report, e, &err);
		next = next_pass_in(b, &report, e);
		if (!wait_for(b, b->poll ? NS_PER_S : PASSES_APART, NULL))
			break;
		next = next ? MAX(next - PASSES_APART, NS_PER_MS) : 0;
	}
	return NULL;
}

int background_start(struct db *db, const struct compact_options *o, struct background **ret)
{
	struct background *b = calloc(1, sizeof *b);
	if (!b)
		return -ENOMEM;
	struct compact_options own = *o;
	own.cancel = &b->cancel;
	own.collect_every = o->collect_every ? o->collect_every : COLLECT_EVERY;
	b->db = db;
	b->poll = o->poll;
	int r = compactor_new(db, &own, &b->compactor);
	if (r == 0)
		r = -pthread_create(&b->thread, NULL, run, b);
	if (r < 0) {
		compactor_free(b->compactor);
		free(b);
		return r;
	}
	*ret = b;
	return 0;
}

static void ask_to_stop(struct background *b)
{
	atomic_store(&b->cancel.set, true);
	pthread_mutex_lock(&b->db->news.lock);
	b->stop = true;
	pthread_cond_broadcast(&b->db->news.came);
	pthread_mutex_unlock(&b->db->news.lock);
}

void background_stop(struct background *b)
{
	if (!b)
		return;
	ask_to_stop(b);
	pthread_join(b->thread, NULL);
	compactor_free(b->compactor);
	free(b);
}

bool background_stop_within(struct background *b, int64_t ns)
{
	int64_t end = clock_monotonic() + ns;
	struct timespec ts = { .tv_sec = end / NS_PER_S, .tv_nsec = end % NS_PER_S };
	if (!b)
		return true;
	ask_to_stop(b);
	if (pthread_clockjoin_np(b->thread, NULL, CLOCK_MONOTONIC, &ts))
		return false;
	compactor_free(b->compactor);
	free(b);
	return true;
}

void background_status(struct background *b, struct background_status *ret)
{
	pthread_mutex_lock(&b->db->news.lock);
	*ret = b->status;
	pthread_mutex_unlock(&b->db->news.lock);
}

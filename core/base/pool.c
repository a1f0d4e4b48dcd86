/* SPDX-License-Identifier: MIT */
#include "pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include "clock.h"

/*
 * A queue of tasks under one lock. pool_each() never waits for a queued task: it queues helpers, takes indices
 * itself until none is left, and waits only for those that other threads are running. So it ends also where every
 * thread of the pool is inside a pool_each() of its own. A helper that starts late finds no index and lets go.
 */

#define THREADS_MAX 256

struct task {
	struct task *next;
	void (*fn)(void *arg);
	void *arg;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct task *first, **last; /* under lock */
	bool stopping;              /* under lock */
	unsigned n_threads;
	pthread_t threads[];
};

int cancel_check(const struct cancel *c)
{
	if (!c)
		return 0;
	if (atomic_load_explicit(&c->set, memory_order_relaxed))
		return ERR_CANCELLED;
	return c->deadline && clock_monotonic() > c->deadline ? -ETIMEDOUT : 0;
}

static struct task *pool_next(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	while (!p->first && !p->stopping)
		pthread_cond_wait(&p->wake, &p->lock);
	struct task *t = p->first;
	if (t) {
		p->first = t->next;
		if (!p->first)
			p->last = &p->first;
	}
	pthread_mutex_unlock(&p->lock);
	return t;
}

static void *pool_thread(void *arg)
{
	struct pool *p = arg;
	struct task *t;
	while ((t = pool_next(p))) {
		struct task run = *t;
		free(t);
		run.fn(run.arg);
	}
	return NULL;
}

static unsigned count_cpus(void)
{
	cpu_set_t set;
	int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
	return n > 0 ? (unsigned)n : 1;
}

/* Signals are for the thread that made the pool: workers inherit a mask without any. */
static int start_threads(struct pool *p, unsigned threads)
{
	sigset_t all, old;
	int r = 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (!r && p->n_threads < threads) {
		r = pthread_create(&p->threads[p->n_threads], NULL, pool_thread, p);
		p->n_threads += r == 0;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -r;
}

int pool_new(unsigned threads, struct pool **ret)
{
	unsigned n = MIN(threads ? threads : count_cpus(), (unsigned)THREADS_MAX);
	struct pool *p = calloc(1, sizeof *p + n * sizeof p->threads[0]);
	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->wake, NULL);
	p->last = &p->first;
	int r = start_threads(p, n);
	if (r < 0) {
		pool_free(p);
		return r;
	}
	*ret = p;
	return 0;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	p->stopping = true;
	pthread_cond_broadcast(&p->wake);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->n_threads; i++)
		pthread_join(p->threads[i], NULL);
	pthread_cond_destroy(&p->wake);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

int pool_submit(struct pool *p, void (*fn)(void *arg), void *arg)
{
	struct task *t = malloc(sizeof *t);
	if (!t)
		return -ENOMEM;
	*t = (struct task){ .fn = fn, .arg = arg };
	pthread_mutex_lock(&p->lock);
	bool stopping = p->stopping;
	if (!stopping) {
		*p->last = t;
		p->last = &t->next;
		pthread_cond_signal(&p->wake);
	}
	pthread_mutex_unlock(&p->lock);
	if (!stopping)
		return 0;
	free(t);
	return ERR_SHUTDOWN;
}

unsigned pool_threads(const struct pool *p)
{
	return p ? p->n_threads : 1;
}

/* One pool_each(). Held by its caller and by each helper, since helpers may start after the caller has left. */
struct each {
	atomic_uint refs;
	atomic_size_t next;
	size_t n;
	int (*fn)(void *arg, size_t i);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t finished;
	size_t done; /* under lock */
	int result;  /* under lock */
};

static void each_unref(struct each *e)
{
	if (atomic_fetch_sub(&e->refs, 1) != 1)
		return;
	pthread_cond_destroy(&e->finished);
	pthread_mutex_destroy(&e->lock);
	free(e);
}

static void each_run(struct each *e)
{
	size_t i, done = 0;
	int result = 0;
	while ((i = atomic_fetch_add(&e->next, 1)) < e->n) {
		int r = e->fn(e->arg, i);
		result = MIN(result, r);
		done++;
	}
	if (!done)
		return;
	pthread_mutex_lock(&e->lock);
	e->done += done;
	e->result = MIN(e->result, result);
	if (e->done == e->n)
		pthread_cond_signal(&e->finished);
	pthread_mutex_unlock(&e->lock);
}

static void each_help(void *arg)
{
	struct each *e = arg;
	each_run(e);
	each_unref(e);
}

static int each_wait(struct each *e)
{
	pthread_mutex_lock(&e->lock);
	while (e->done < e->n)
		pthread_cond_wait(&e->finished, &e->lock);
	int r = e->result;
	pthread_mutex_unlock(&e->lock);
	return r;
}

static int each_here(size_t n, int (*fn)(void *arg, size_t i), void *arg)
{
	int result = 0;
	for (size_t i = 0; i < n; i++) {
		int r = fn(arg, i);
		result = MIN(result, r);
	}
	return result;
}

int pool_each(struct pool *p, size_t n, int (*fn)(void *arg, size_t i), void *arg)
{
	struct each *e = p && n > 1 ? malloc(sizeof *e) : NULL;
	if (!e)
		return each_here(n, fn, arg);
	*e = (struct each){ .refs = 1, .n = n, .fn = fn, .arg = arg };
	pthread_mutex_init(&e->lock, NULL);
	pthread_cond_init(&e->finished, NULL);
	size_t helpers = MIN(n - 1, (size_t)p->n_threads);
	for (size_t i = 0; i < helpers; i++) {
		atomic_fetch_add(&e->refs, 1);
		if (pool_submit(p, each_help, e) < 0)
			each_unref(e);
	}
	each_run(e);
	int r = each_wait(e);
	each_unref(e);
	return r;
}

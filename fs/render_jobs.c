/* SPDX-License-Identifier: MIT */
#include "render_jobs.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <sys/sysinfo.h>

#include "ops.h"
#include "writer.h"

#define THREADS_MIN 4
#define THREADS_MAX 8
#define STAT_WORK (10 * NS_PER_S)   /* that a process may begin by stats alone */
#define CRAWLERS 64                 /* processes remembered */
#define CRAWLER_FORGET (60 * NS_PER_S)

struct render_job {
	struct renders *rs;
	struct inode *in;
	struct node *held; /* what the lookup planned, until it is rendered; NULL where that is still to be planned */
	struct cancel cancel;
	/* under rs->lock */
	struct call *first;  /* waiters */
	pid_t crawler;       /* the process whose stat began it, as long as nobody opened */
	int64_t linger_until; /* may run without waiters until then */
	struct render_job *next;
};

/* What a process has begun by stats. */
struct crawler {
	pid_t process;
	int64_t spent, seen;
};

struct renders {
	struct fs *fs;
	struct pool *pool;
	pthread_mutex_t lock;
	/* under lock */
	struct render_job *jobs;
	struct crawler crawlers[CRAWLERS];
	bool stopping;
};

/* ---- crawlers, under lock ---- */

static struct crawler *crawler_of(struct renders *rs, pid_t process, int64_t now)
{
	struct crawler *oldest = &rs->crawlers[0];
	for (size_t i = 0; i < CRAWLERS; i++) {
		struct crawler *c = &rs->crawlers[i];
		if (c->process == process && now - c->seen < CRAWLER_FORGET) {
			c->seen = now;
			return c;
		}
		if (c->seen < oldest->seen)
			oldest = c;
	}
	*oldest = (struct crawler){ .process = process, .seen = now };
	return oldest;
}

/* ---- waiters, under lock ---- */

static void waiter_add(struct render_job *job, struct call *c)
{
	call_ref(c);
	c->job = job;
	c->next = job->first;
	job->first = c;
}

static bool waiter_remove(struct call *c)
{
	if (!c->job)
		return false;
	struct call **at = &c->job->first;
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
	c->job = NULL;
	return true;
}

static void cancel_if_unwanted(struct render_job *job, int64_t now)
{
	if (job->first || now < job->linger_until || atomic_load(&job->cancel.set))
		return;
	atomic_store(&job->cancel.set, true);
	fs_count(&job->rs->fs->counts.renders_cancelled);
}

void render_leave(struct call *c)
{
	struct renders *rs = c->fs->renders;
	pthread_mutex_lock(&rs->lock);
	struct render_job *job = c->job;
	bool waited = waiter_remove(c);
	if (waited)
		cancel_if_unwanted(job, clock_monotonic());
	pthread_mutex_unlock(&rs->lock);
	if (waited)
		call_unref(c);
}

/* ---- running ---- */

static struct render_job **job_link(struct renders *rs, const struct inode *in)
{
	struct render_job **at = &rs->jobs;
	while (*at && (*at)->in != in)
		at = &(*at)->next;
	return at;
}

static void job_run(void *arg);

/*
 * Takes the job out of the table; its waiters are the caller's. false where some came after the job was
 * cancelled: then it runs once more.
 */
static bool job_end(struct render_job *job, int e, int64_t took, struct call **ret_waiters)
{
	struct renders *rs = job->rs;
	pthread_mutex_lock(&rs->lock);
	bool again = job->first && e == ERR_CANCELLED && !rs->stopping;
	if (again) {
		atomic_store(&job->cancel.set, false);
	} else {
		*job_link(rs, job->in) = job->next;
		for (struct call *c = job->first; c; c = c->next)
			c->job = NULL;
		*ret_waiters = job->first;
		if (job->crawler)
			crawler_of(rs, job->crawler, clock_monotonic())->spent += took;
	}
	pthread_mutex_unlock(&rs->lock);
	return !again;
}

static void job_answer(struct call *waiters, const struct rendered *result)
{
	for (struct call *c = waiters, *next; c; c = next) {
		next = c->next;
		c->ready(c, result);
		call_unref(c);
	}
}

static void job_free(struct render_job *job)
{
	if (job->held)
		node_release(job->held);
	node_unref(job->held);
	inode_put(job->rs->fs->inodes, job->in);
	free(job);
}

/* What everybody may know from now on; before anybody is answered. */
static void job_publish(struct render_job *job, struct node *node, const struct rendered *result, struct error *err)
{
	struct fs *fs = job->rs->fs;
	fs_count(&fs->counts.renders);
	if (!result->e)
		fs_push_size(fs, job->in, result->content);
	else if (node && result->e != ERR_STALE)
		fs_complain(fs, node, NULL, 0, result->e, error_text(err, result->e));
}

/* The file's node, planned now where the lookup had no time to. */
static int job_plan(struct render_job *job, struct node **ret, struct error *err)
{
	struct fs *fs = job->rs->fs;
	_cleanup_(node_unrefp) struct node *dir = inode_plan_in(fs->inodes, job->in);
	struct node *node = NULL;
	int e = dir ? tree_lookup(fs->tree, dir, job->in->name, &job->cancel, &node, err) : 0;
	if (e)
		return e;
	if (node)
		inode_planned(fs->inodes, job->in, node);
	*ret = inode_node(fs->inodes, job->in);
	return 0;
}

static void job_run(void *arg)
{
	struct render_job *job = arg;
	struct renders *rs = job->rs;
	struct fs *fs = rs->fs;
	int64_t begin = clock_monotonic();
	struct node *node = NULL;
	struct rendered result = { 0 };
	struct error err = { 0 };
	result.e = cancel_check(&job->cancel);
	if (!result.e)
		result.e = job_plan(job, &node, &err);
	if (!result.e)
		result.e = tree_render(fs->tree, node, &job->cancel, &result.content, &err);
	int64_t took = clock_monotonic() - begin;
	struct call *waiters = NULL;
	if (result.e != ERR_CANCELLED)
		job_publish(job, node, &result, &err);
	bool ended = job_end(job, result.e, took, &waiters);
	if (!ended && fs_work(fs, rs->pool, job_run, job))
		ended = job_end(job, -ENOMEM, took, &waiters);
	if (ended) {
		job_answer(waiters, &result);
		job_free(job);
	}
	if (result.content)
		content_unref(result.content);
	node_unref(node);
	fs_worked(fs);
}

/* ---- joining ---- */

/* The file's job, begun where there is none; under lock. */
static struct render_job *job_of(struct renders *rs, struct inode *in, pid_t crawler, bool *ret_new)
{
	struct render_job *job = *job_link(rs, in);
	if (job || rs->stopping)
		return job;
	job = calloc(1, sizeof *job);
	if (!job)
		return NULL;
	*ret_new = true;
	*job = (struct render_job){ .rs = rs, .crawler = crawler, .next = rs->jobs };
	job->in = inode_ref(rs->fs->inodes, in);
	rs->jobs = job;
	return job;
}

/* The new job goes to the pool, outside the lock. */
static void job_start(struct render_job *job)
{
	job->held = inode_node(job->rs->fs->inodes, job->in);
	if (job->held)
		node_hold(job->held);
	if (!fs_work(job->rs->fs, job->rs->pool, job_run, job))
		return;
	struct call *waiters = NULL;
	job_end(job, -ENOMEM, 0, &waiters);
	job_answer(waiters, &(struct rendered){ .e = -ENOMEM });
	job_free(job);
}

int render_wait_open(struct renders *rs, struct inode *in, struct call *c,
                     void (*ready)(struct call *c, const struct rendered *result))
{
	bool begun = false;
	c->ready = ready;
	pthread_mutex_lock(&rs->lock);
	struct render_job *job = job_of(rs, in, 0, &begun);
	if (job) {
		waiter_add(job, c);
		if (job->crawler)
			crawler_of(rs, job->crawler, clock_monotonic())->spent = 0;
		job->crawler = 0;
		job->linger_until = 0;
	}
	pthread_mutex_unlock(&rs->lock);
	if (begun)
		job_start(job);
	if (call_answered(c))
		render_leave(c);
	return job ? 0 : atomic_load(&rs->fs->stopping) ? ERR_SHUTDOWN : -ENOMEM;
}

/* Joins a file's job for a stat, c being NULL where it does not wait. */
static int stat_join(struct renders *rs, struct inode *in, struct call *c, pid_t thread)
{
	bool begun = false;
	int64_t now = clock_monotonic();
	pid_t process = writer_process(thread);
	pthread_mutex_lock(&rs->lock);
	struct crawler *crawler = crawler_of(rs, process, now);
	struct render_job *job = *job_link(rs, in);
	if (!job && crawler->spent < STAT_WORK)
		job = job_of(rs, in, process, &begun);
	if (job && c)
		waiter_add(job, c);
	if (begun)
		job->linger_until = now + STAT_WORK - crawler->spent;
	pthread_mutex_unlock(&rs->lock);
	if (begun)
		job_start(job);
	return job ? 0 : -EAGAIN;
}

int render_wait_stat(struct renders *rs, struct inode *in, struct call *c, pid_t thread,
                     void (*ready)(struct call *c, const struct rendered *result))
{
	c->ready = ready;
	int e = stat_join(rs, in, c, thread);
	if (call_answered(c))
		render_leave(c);
	return e;
}

void render_begin(struct renders *rs, struct inode *in, pid_t thread)
{
	stat_join(rs, in, NULL, thread);
}

void render_opened(struct renders *rs, pid_t thread)
{
	bool any = false;
	pthread_mutex_lock(&rs->lock);
	for (size_t i = 0; i < CRAWLERS; i++)
		any |= rs->crawlers[i].spent > 0;
	pthread_mutex_unlock(&rs->lock);
	if (!any)
		return;
	pid_t process = writer_process(thread);
	pthread_mutex_lock(&rs->lock);
	crawler_of(rs, process, clock_monotonic())->spent = 0;
	pthread_mutex_unlock(&rs->lock);
}

/* ---- all of them ---- */

int renders_new(struct fs *fs, struct renders **ret)
{
	struct renders *rs = calloc(1, sizeof *rs);
	if (!rs)
		return -ENOMEM;
	rs->fs = fs;
	unsigned cpus = (unsigned)get_nprocs();
	int e = pool_new(MIN(MAX(cpus, THREADS_MIN), THREADS_MAX), &rs->pool);
	if (e) {
		free(rs);
		return e;
	}
	pthread_mutex_init(&rs->lock, NULL);
	*ret = rs;
	return 0;
}

void renders_tick(struct renders *rs, int64_t now)
{
	pthread_mutex_lock(&rs->lock);
	for (struct render_job *job = rs->jobs; job; job = job->next)
		cancel_if_unwanted(job, now);
	pthread_mutex_unlock(&rs->lock);
}

void renders_stop(struct renders *rs)
{
	pthread_mutex_lock(&rs->lock);
	rs->stopping = true;
	for (struct render_job *job = rs->jobs; job; job = job->next)
		atomic_store(&job->cancel.set, true);
	pthread_mutex_unlock(&rs->lock);
}

void renders_free(struct renders *rs)
{
	if (!rs)
		return;
	pool_free(rs->pool);
	assert(!rs->jobs);
	pthread_mutex_destroy(&rs->lock);
	free(rs);
}

size_t renders_running(struct renders *rs)
{
	size_t n = 0;
	pthread_mutex_lock(&rs->lock);
	for (struct render_job *job = rs->jobs; job; job = job->next)
		n++;
	pthread_mutex_unlock(&rs->lock);
	return n;
}

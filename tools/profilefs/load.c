/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "load.h"

#define COMPLAINTS_MAX 100
#define TICK_NS (100 * NS_PER_MS)

struct loader {
	struct db *db;
	struct bulk *bulk;
	const struct load_options *opts;
	atomic_size_t next, done;
	atomic_uint_fast64_t profiles;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	unsigned running;          /* under lock, as what follows */
	struct load_result result;
	int failed;                /* the store's first error; ends all workers */
	struct error err;
};

/* What became of one input. */
struct outcome {
	const char *path;
	int error;
	bool is_refusal; /* the input is at fault; else the store or the machine is, and the load ends */
	size_t bytes;
	struct ingest_result result;
	struct error err;
};

static bool is_refusal(int e)
{
	return err_errno(e) == EINVAL || err_errno(e) == EFBIG || err_errno(e) == EDQUOT;
}

static void count_reason(struct load_result *r, int code)
{
	size_t i = 0;
	while (i + 1 < ARRAY_SIZE(r->reasons) && r->reasons[i].code && r->reasons[i].code != code)
		i++;
	if (!r->reasons[i].code)
		r->reasons[i].code = code;
	r->reasons[i].files++;
	r->refused++;
}

/* A line of text above the bar. */
static void complain_of(struct loader *l, const struct outcome *o, const char *before, const char *why)
{
	if (l->opts->progress)
		fputs("\r\033[K", stderr);
	complain(o->path, "%s%s", before, why);
}

static void note(struct loader *l, const struct outcome *o)
{
	pthread_mutex_lock(&l->lock);
	struct load_result *r = &l->result;
	r->files++;
	if (!o->error) {
		r->taken += o->result.taken;
		r->duplicates += o->result.duplicates;
		r->dropped += o->result.dropped;
		r->samples += o->result.samples;
		r->bytes += o->bytes;
		if (o->result.warning[0] && r->warned++ < COMPLAINTS_MAX)
			complain_of(l, o, "taken, but ", o->result.warning);
	} else if (o->is_refusal) {
		count_reason(r, o->error);
		if (r->refused <= COMPLAINTS_MAX)
			complain_of(l, o, "", error_text(&o->err, o->error));
	} else if (!l->failed) {
		l->failed = error_set(&l->err, o->error, "%s: %s", o->path, error_text(&o->err, o->error));
	}
	pthread_mutex_unlock(&l->lock);
}

static int ingest(struct loader *l, const struct target *target, int64_t mtime, const struct buf *bytes,
                  struct outcome *o)
{
	const char *slash = strrchr(o->path, '/');
	struct ingest_options io = {
		.target = target,
		.name = slash ? slash + 1 : o->path,
		.mtime = l->opts->time ?: mtime,
		.bulk = l->bulk,
		.relabel = l->opts->relabel,
	};
	int e = ingest_bytes(l->db, buf_slice(bytes), &io, &o->result, &o->err);
	o->bytes = bytes->len;
	o->is_refusal = is_refusal(e);
	return e;
}

static void take(struct loader *l, const struct input *in, struct buf *bytes, struct outcome *o)
{
	_cleanup_(target_done) struct target target = { 0 };
	int64_t mtime;
	o->is_refusal = true;
	o->error = target_copy(l->opts->target, &target);
	if (!o->error)
		o->error = layout_apply(l->opts->layout, in, &target, &o->err);
	if (!o->error)
		o->error = input_read(in, bytes, &mtime, &o->err);
	if (!o->error)
		o->error = ingest(l, &target, mtime, bytes, o);
}

static bool has_failed(struct loader *l)
{
	pthread_mutex_lock(&l->lock);
	bool failed = l->failed;
	pthread_mutex_unlock(&l->lock);
	return failed;
}

static void *worker(void *arg)
{
	struct loader *l = arg;
	const struct inputs *inputs = l->opts->inputs;
	_buf_ struct buf bytes = BUF_INIT(INPUT_MAX_BYTES);
	for (size_t i; !has_failed(l) && (i = atomic_fetch_add(&l->next, 1)) < inputs->files.n;) {
		struct outcome o = { .path = inputs->files.v[i].path };
		take(l, &inputs->files.v[i], &bytes, &o);
		note(l, &o);
		atomic_fetch_add(&l->done, 1);
		atomic_fetch_add(&l->profiles, o.result.taken + o.result.duplicates);
	}
	pthread_mutex_lock(&l->lock);
	l->running--;
	pthread_cond_signal(&l->wake);
	pthread_mutex_unlock(&l->lock);
	return NULL;
}

static void draw(struct loader *l, int64_t began)
{
	char bar[31];
	size_t done = atomic_load(&l->done), all = l->opts->inputs->files.n;
	double seconds = (double)(clock_monotonic() - began) / NS_PER_S + 1e-9;
	size_t full = all ? done * (sizeof bar - 1) / all : 0;
	memset(bar, '.', sizeof bar - 1);
	memset(bar, '#', full);
	bar[sizeof bar - 1] = '\0';
	double left = done ? seconds * (double)(all - done) / (double)done : 0;
	fprintf(stderr, "\r[%s] %zu of %zu files, %.0f profiles/s, %.0f s left \033[K", bar, done, all,
	        (double)atomic_load(&l->profiles) / seconds, left);
}

/* Waits for the workers; draws meanwhile. */
static void wait_workers(struct loader *l)
{
	int64_t began = clock_monotonic();
	pthread_mutex_lock(&l->lock);
	while (l->running) {
		int64_t t = clock_now() + TICK_NS;
		struct timespec until = { t / NS_PER_S, t % NS_PER_S };
		pthread_cond_timedwait(&l->wake, &l->lock, &until);
		if (l->opts->progress)
			draw(l, began);
	}
	pthread_mutex_unlock(&l->lock);
	if (l->opts->progress)
		fputs("\r\033[K", stderr);
}

static void run_workers(struct loader *l)
{
	pthread_t threads[64];
	size_t files = l->opts->inputs->files.n;
	unsigned want = l->opts->threads ?: (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L), started = 0;
	want = MIN(MIN(want, (unsigned)ARRAY_SIZE(threads)), (unsigned)MIN(files, ARRAY_SIZE(threads)));
	l->running = want;
	while (started < want && !pthread_create(&threads[started], NULL, worker, l))
		started++;
	pthread_mutex_lock(&l->lock);
	l->running -= want - started;
	pthread_mutex_unlock(&l->lock);
	if (!started && files) { /* no thread to be had: this one does it */
		l->running = 1;
		worker(l);
	}
	wait_workers(l);
	while (started)
		pthread_join(threads[--started], NULL);
}

int load(struct db *db, const struct load_options *opts, struct load_result *ret, struct error *err)
{
	_cleanup_(bulk_freep) struct bulk *bulk = NULL;
	int e = bulk_new(db, 0, &bulk);
	if (e)
		return e;
	struct loader l = { .db = db, .bulk = bulk, .opts = opts };
	pthread_mutex_init(&l.lock, NULL);
	pthread_cond_init(&l.wake, NULL);
	run_workers(&l);
	pthread_cond_destroy(&l.wake);
	pthread_mutex_destroy(&l.lock);
	if (l.failed)
		return error_set(err, l.failed, "%s", error_text(&l.err, l.failed));
	e = bulk_flush(bulk, err);
	if (!e)
		*ret = l.result;
	return e;
}

/* SPDX-License-Identifier: MIT */

/*
 * bench receive: a receiver in a process of its own, and senders that put the profiles of a data set to it: one alone,
 * for how long an acknowledgement takes, then many at once, for what a CPU second takes and how much memory it needs.
 */

#include <getopt.h>
#include <malloc.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../core/base/pct.h"
#include "../../core/receive/receive.h"
#include "../../core/store/http.h"
#include "bench.h"
#include "dataset.h"
#include "files.h"
#include "measure.h"

#define ALONE_MAX 1000
#define WAVE 1024 /* profiles that are read ahead and sent together */

struct served {
	pid_t pid;
	int stop;      /* closed to end it */
	unsigned port;
	clockid_t cpu; /* of the process */
	struct {
		unsigned port;
		double peak;
	} *shared;     /* with it */
};

struct receive_run {
	struct dataset_index data;
	const char *store;
	size_t alone, senders, at; /* at: of data, the next to send */
	bool compact;
	unsigned threads; /* of the receiver; 0: as it has them */
	struct served served;
};

/* ---- the receiver ---- */

static void serve(const struct receive_run *run, int ready, int stop)
{
	struct receive_options opts = { .http = "127.0.0.1:0", .no_compact = !run->compact,
		                        .threads = run->threads };
	_cleanup_(store_freep) struct store *store = NULL;
	struct receiver *r = NULL;
	struct error err = { 0 };
	char end;
	mallopt(M_ARENA_MAX, 2); /* as profilefs does */
	int e = store_open(run->store, &(struct store_options){ .create = true }, &store, &err);
	if (!e)
		e = receiver_new(store, &opts, &r, &err);
	if (e) {
		complain("%s: %s", run->store, error_text(&err, e));
		return;
	}
	run->served.shared->port = receiver_http_port(r);
	if (write(ready, "", 1) == 1)
		while (read(stop, &end, 1) < 0 && errno == EINTR)
			;
	receiver_free(r);
	run->served.shared->peak = peak_mb();
}

static int served_start(struct receive_run *run)
{
	struct served *s = &run->served;
	int ready[2], stop[2];
	char byte;
	s->shared = mmap(NULL, sizeof *s->shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (s->shared == MAP_FAILED || pipe(ready) || pipe(stop))
		return -errno;
	fflush(NULL);
	s->pid = fork();
	if (s->pid < 0)
		return -errno;
	if (!s->pid) {
		close(ready[0]);
		close(stop[1]);
		serve(run, ready[1], stop[0]);
		_exit(0);
	}
	close(ready[1]);
	close(stop[0]);
	s->stop = stop[1];
	bool is_ready = read(ready[0], &byte, 1) == 1;
	close(ready[0]);
	s->port = s->shared->port;
	return is_ready && !clock_getcpuclockid(s->pid, &s->cpu) ? 0 : -EIO;
}

static double served_stop(struct served *s)
{
	close(s->stop);
	waitpid(s->pid, NULL, 0);
	return s->shared->peak;
}

static int64_t served_cpu(const struct served *s)
{
	struct timespec t = { 0 };
	clock_gettime(s->cpu, &t);
	return t.tv_sec * NS_PER_S + t.tv_nsec;
}

/* ---- sending ---- */

struct sent {
	struct http_request rq;
	struct buf url, body;
};

static void put_component(struct buf *out, struct str key, struct str value)
{
	buf_putc(out, '/');
	pct_encode(out, key, false);
	if (value.s) {
		buf_putc(out, '=');
		pct_encode(out, value, false);
	}
}

/* A file under the path that it has in a mount. */
static int sent_init(const struct receive_run *run, const struct recorded *one, struct sent *s)
{
	_buf_ struct buf path = BUF_INIT(1 << 16);
	struct error err = { 0 };
	*s = (struct sent){ .url = BUF_INIT(1 << 16), .body = BUF_INIT((size_t)64 << 20) };
	buf_printf(&s->url, "http://127.0.0.1:%u", run->served.port);
	put_component(&s->url, str_of(one->service), (struct str){ 0 });
	for (size_t i = 0; i < one->n_labels; i++)
		put_component(&s->url, one->labels[i].key, one->labels[i].value);
	put_component(&s->url, STR("p.pb.gz"), (struct str){ 0 });
	buf_putc(&s->url, '\0');
	buf_printf(&path, "%s/%s", run->data.dir, one->path);
	buf_putc(&path, '\0');
	int e = buf_err(&s->url) ? buf_err(&s->url) : buf_err(&path);
	if (!e)
		e = file_read((const char *)path.data, &s->body, &err);
	s->rq = (struct http_request){ .method = "PUT", .url = (const char *)s->url.data, .body = buf_slice(&s->body),
		                       .timeout_ns = 120 * NS_PER_S };
	return e;
}

static void sent_done(struct sent *s)
{
	buf_done(&s->url);
	buf_done(&s->body);
}

static bool was_taken(const struct sent *s)
{
	return s->rq.end == HTTP_ANSWERED && s->rq.answer.status == 200;
}

/* Sends n, as many at once as the client has connections. */
static int send_wave(struct receive_run *run, struct http_client *http, size_t n, size_t *taken)
{
	_free_ struct sent *v = calloc(n, sizeof *v);
	struct http_batch batch;
	size_t made = 0;
	int e = v ? 0 : -ENOMEM;
	for (; !e && made < n; made++)
		e = sent_init(run, &run->data.v[run->at + made], &v[made]);
	http_batch_init(&batch);
	for (size_t i = 0; !e && i < n; i++)
		e = http_start(http, &batch, &v[i].rq, NULL);
	http_batch_wait(&batch);
	http_batch_done(&batch);
	for (size_t i = 0; i < made; i++) {
		*taken += was_taken(&v[i]);
		sent_done(&v[i]);
	}
	run->at += n;
	return e;
}

static int double_order(const void *a, const void *b)
{
	return CMP(*(const double *)a, *(const double *)b);
}

static int send_alone(struct receive_run *run)
{
	_cleanup_(http_client_freep) struct http_client *http = NULL;
	double ms[ALONE_MAX];
	size_t taken = 0, n = run->alone;
	int e = http_client_new(&(struct http_options){ .connections = 1, .no_proxy = true }, &http, NULL);
	for (size_t i = 0; !e && i < n; i++) {
		int64_t began = clock_monotonic();
		e = send_wave(run, http, 1, &taken);
		ms[i] = (double)(clock_monotonic() - began) / 1e6;
	}
	if (e || !n)
		return e;
	qsort(ms, n, sizeof *ms, double_order);
	struct figure f;
	figure_begin(&f, "receive: one sender");
	figure_count(&f, "profiles", n);
	figure_count(&f, "taken", taken);
	figure_number(&f, "median_ms", ms[n / 2]);
	figure_number(&f, "p99_ms", ms[n * 99 / 100]);
	figure_end(&f);
	return 0;
}

static int send_together(struct receive_run *run)
{
	_cleanup_(http_client_freep) struct http_client *http = NULL;
	struct http_options opts = {
		.connections = (unsigned)run->senders, .bytes = (size_t)1 << 30, .no_proxy = true,
	};
	int64_t cpu = served_cpu(&run->served), began = clock_monotonic();
	size_t taken = 0, first = run->at;
	int e = http_client_new(&opts, &http, NULL);
	while (!e && run->at < run->data.n)
		e = send_wave(run, http, MIN(run->data.n - run->at, (size_t)WAVE), &taken);
	if (e)
		return e;
	double seconds = (double)(served_cpu(&run->served) - cpu) / 1e9;
	struct figure f;
	figure_begin(&f, "receive: many senders");
	figure_count(&f, "senders", run->senders);
	figure_count(&f, "profiles", run->at - first);
	figure_count(&f, "taken", taken);
	figure_number(&f, "wall_s", (double)(clock_monotonic() - began) / 1e9);
	figure_number(&f, "cpu_s", seconds);
	figure_number(&f, "per_cpu_s", seconds > 0 ? (double)taken / seconds : 0);
	figure_number(&f, "peak_mb", served_stop(&run->served));
	figure_end(&f);
	return 0;
}

/* ---- the command ---- */

static bool parse(struct receive_run *run, const char **ret_dir, int argc, char **argv)
{
	static const struct option options[] = {
		{ "store", required_argument, NULL, 's' }, { "senders", required_argument, NULL, 'n' },
		{ "alone", required_argument, NULL, 'a' }, { "compact", no_argument, NULL, 'c' },
		{ "threads", required_argument, NULL, 't' }, { 0 },
	};
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 's')
			run->store = optarg;
		else if (c == 'n')
			run->senders = (size_t)MIN(MAX(atoi(optarg), 1), 1000);
		else if (c == 'a')
			run->alone = (size_t)MIN(MAX(atoi(optarg), 0), ALONE_MAX);
		else if (c == 't')
			run->threads = (unsigned)MIN(MAX(atoi(optarg), 1), 256);
		else if (c == 'c')
			run->compact = true;
		else
			return false;
	}
	*ret_dir = argv[optind];
	return argc - optind == 1;
}

static int run_receive(struct receive_run *run)
{
	run->alone = MIN(run->alone, run->data.n);
	int e = served_start(run);
	if (!e)
		e = send_alone(run);
	if (!e)
		e = send_together(run);
	if (e)
		complain("receive: %s", err_text(e));
	return e ? 1 : 0;
}

int bench_receive(int argc, char **argv)
{
	char temporary[] = "/tmp/profilefs-bench.XXXXXX";
	struct receive_run run = { .alone = 200, .senders = 128 };
	struct error err = { 0 };
	const char *dir;
	if (!parse(&run, &dir, argc, argv)) {
		complain("usage: bench receive [--store STORE] [--alone N] [--senders N] [--threads N] [--compact] "
		         "DIR\n"
		         "DIR is a data set of `bench gen`. Without --store the store is temporary.");
		return 2;
	}
	if (dataset_index_load(dir, &run.data, &err) || !run.data.n) {
		complain("%s", err.text[0] ? err.text : "the data set is empty");
		return 1;
	}
	bool own = !run.store;
	if (own && !mkdtemp(temporary)) {
		complain("%s: %s", temporary, strerror(errno));
		return 1;
	}
	run.store = own ? temporary : run.store;
	int rc = run_receive(&run);
	if (own)
		folder_remove(temporary);
	dataset_index_done(&run.data);
	return rc;
}

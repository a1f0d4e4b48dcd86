/* SPDX-License-Identifier: MIT */

/*
 * What an answer means:
 *
 *     2xx              taken
 *     429, 5xx         later: again after a pause that grows, or as long as Retry-After says
 *     no answer        likewise
 *     400, 413, 422    these samples will not be taken: halved until the one that is meant is known, which is counted
 *                      as refused; the others are sent. A server drops a whole request for one sample out of order
 *     others           the sender, or the address, is wrong: nothing else will be taken either
 *
 * Samples go in order of time, so that what is done with is a time; a server that takes none but newer ones takes them
 * so. Sent twice, a sample is the same: a server drops it or says "out of order", which is the third line above.
 */

#include "remote_write.h"

#include <string.h>
#include <time.h>

#include "../base/arena.h"
#include "../base/hash.h"
#include "../store/http.h"
#include "../wire/base64.h"
#include "../wire/pb.h"
#include "../wire/snappy.h"

#define BATCH 2000             /* samples of a request */
#define SAMPLES_MAX ((size_t)2 << 20)
#define LABEL_BYTES_MAX ((size_t)256 << 20)
#define MESSAGE_MAX ((size_t)64 << 20)
#define SECRET_MAX ((size_t)64 << 10)
#define WORDS_MAX ((size_t)256)
#define REFUSED_RUN_MAX 1000   /* requests of one sample, one after the other: the server wants none of it */
#define PAUSE_MIN (500 * NS_PER_MS)
#define PAUSE_MAX (30 * NS_PER_S)
#define RETRY_AFTER_MAX (10 * NS_PER_MIN)
#define REQUEST_TIMEOUT (60 * NS_PER_S)
#define LABELS_MAX (RULE_BY_MAX + 4)

struct sample {
	int64_t time;
	double value;
	uint32_t series;
};

struct remote {
	const struct remote_options *o;
	struct http_client *http;
	struct arena arena;
	VEC(struct slice) series; /* labels of a TimeSeries, encoded; in the arena */
	VEC(struct sample) samples;
	struct sample batch[BATCH];
	struct buf message, one, sample, packed;
	struct remote_counts counts;
	unsigned refused_run;
};

int remote_new(const struct remote_options *o, struct remote **ret, struct error *err)
{
	_cleanup_(remote_freep) struct remote *r = calloc(1, sizeof *r);
	struct http_options http = { .connections = 1, .ca_bundle = o->ca_file };
	if (!r)
		return -ENOMEM;
	r->o = o;
	r->arena = ARENA_INIT(LABEL_BYTES_MAX);
	r->message = r->one = r->packed = BUF_INIT(MESSAGE_MAX);
	r->sample = BUF_INIT(64);
	int e = http_client_new(&http, &r->http, err);
	if (!e)
		*ret = TAKE_PTR(r);
	return e;
}

void remote_drop(struct remote *r)
{
	arena_done(&r->arena);
	r->arena = ARENA_INIT(LABEL_BYTES_MAX);
	r->series.n = r->samples.n = 0;
}

void remote_free(struct remote *r)
{
	if (!r)
		return;
	remote_drop(r);
	VEC_DONE(&r->series);
	VEC_DONE(&r->samples);
	buf_done(&r->message);
	buf_done(&r->one);
	buf_done(&r->sample);
	buf_done(&r->packed);
	http_client_free(r->http);
	free(r);
}

const struct remote_counts *remote_counts(const struct remote *r)
{
	return &r->counts;
}

/* ---- gathering ---- */

static int label_order(const void *a, const void *b)
{
	return str_cmp(((const struct label *)a)->key, ((const struct label *)b)->key);
}

static void put_label(struct remote *r, const struct label *l)
{
	buf_reset(&r->one);
	pb_put_bytes(&r->one, 1, l->key.s, l->key.len);
	pb_put_bytes(&r->one, 2, l->value.s, l->value.len);
	pb_put_buf(&r->message, 1, &r->one);
}

/* Labels in order of their names; one without a value is none. */
static int add_series(struct remote *r, const struct metric_series *s)
{
	struct label sorted[LABELS_MAX] = { { STR("__name__"), s->name } };
	size_t n = 1;
	for (size_t i = 0; i < s->n_labels && n < LABELS_MAX; i++)
		if (s->labels[i].value.len)
			sorted[n++] = s->labels[i];
	qsort(sorted, n, sizeof *sorted, label_order);
	buf_reset(&r->message);
	for (size_t i = 0; i < n; i++)
		put_label(r, &sorted[i]);
	if (buf_err(&r->message) || buf_err(&r->one))
		return ERR_LIMIT;
	struct slice *to = VEC_PUSH(&r->series);
	uint8_t *copy = arena_alloc(&r->arena, r->message.len);
	if (!to || !copy) {
		r->series.n -= to != NULL;
		return copy ? -ENOMEM : ERR_LIMIT;
	}
	memcpy(copy, r->message.data, r->message.len);
	*to = (struct slice){ copy, r->message.len };
	return 0;
}

int remote_gather(void *ctx, const struct metric_series *s)
{
	struct remote *r = ctx;
	if (r->samples.n + s->n_samples > SAMPLES_MAX)
		return ERR_LIMIT;
	int e = add_series(r, s);
	struct sample *to = e ? NULL : VEC_GROW(&r->samples, s->n_samples);
	if (!to)
		return e ? e : -ENOMEM;
	for (size_t i = 0; i < s->n_samples; i++)
		to[i] = (struct sample){ s->samples[i].time, s->samples[i].value, (uint32_t)(r->series.n - 1) };
	r->samples.n += s->n_samples;
	return 0;
}

/* ---- a request ---- */

static int by_time(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;
	return x->time != y->time ? CMP(x->time, y->time) : CMP(x->series, y->series);
}

static int by_series(const void *a, const void *b)
{
	const struct sample *x = a, *y = b;
	return x->series != y->series ? CMP(x->series, y->series) : CMP(x->time, y->time);
}

/* A WriteRequest of at most BATCH samples, compressed, in r->packed. */
static int encode(struct remote *r, const struct sample *v, size_t n)
{
	memcpy(r->batch, v, n * sizeof *v);
	qsort(r->batch, n, sizeof *v, by_series);
	buf_reset(&r->message);
	buf_reset(&r->packed);
	for (size_t i = 0; i < n;) {
		uint32_t series = r->batch[i].series;
		buf_reset(&r->one);
		buf_put(&r->one, r->series.v[series].data, r->series.v[series].len);
		for (; i < n && r->batch[i].series == series; i++) {
			buf_reset(&r->sample);
			pb_put_double(&r->sample, 1, r->batch[i].value);
			pb_put_varint(&r->sample, 2, (uint64_t)time_floor_div(r->batch[i].time, NS_PER_MS));
			pb_put_buf(&r->one, 2, &r->sample);
		}
		pb_put_buf(&r->message, 1, &r->one);
	}
	int e = buf_err(&r->one) ? buf_err(&r->one) : buf_err(&r->message);
	return e ? e : snappy_put(buf_slice(&r->message), &r->packed);
}

/* The first line of a file that holds a secret. */
static int read_secret(const char *file, struct buf *out, struct error *err)
{
	_fclose_ FILE *f = fopen(file, "re");
	char line[SECRET_MAX];
	if (!f || !fgets(line, sizeof line, f))
		return error_set(err, f ? -EINVAL : -errno, "%s: %s", file, f ? "is empty" : strerror(errno));
	size_t n = strcspn(line, "\r\n");
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			return error_set(err, -EINVAL, "%s: holds control characters", file);
	buf_put(out, line, n);
	explicit_bzero(line, sizeof line);
	return buf_err(out);
}

static int put_authorization(const struct remote_options *o, struct buf *out, struct error *err)
{
	_buf_ struct buf secret = BUF_INIT(SECRET_MAX);
	int e = read_secret(o->token_file ? o->token_file : o->user_file, &secret, err);
	buf_puts(out, o->token_file ? "Authorization: Bearer " : "Authorization: Basic ");
	if (o->token_file)
		buf_put(out, secret.data, secret.len);
	else
		base64_put(out, buf_slice(&secret));
	buf_putc(out, '\0');
	return e ? e : buf_err(out);
}

/* What the server says, on one line. */
static void put_words(struct buf *text, char *ret, size_t size)
{
	size_t n = 0;
	for (size_t i = 0; i < text->len && n + 1 < size; i++) {
		uint8_t c = text->data[i];
		if (c > 0x20 && c != 0x7f)
			ret[n++] = (char)c;
		else if (n && ret[n - 1] != ' ')
			ret[n++] = ' ';
	}
	while (n && ret[n - 1] == ' ')
		n--;
	ret[n] = '\0';
}

enum verdict { TAKEN, LATER, NEVER, WRONG };

struct outcome {
	enum verdict verdict;
	int64_t retry_after; /* ns; -1 */
	char why[WORDS_MAX + 64];
};

static enum verdict verdict_of(const struct http_request *rq)
{
	int status = rq->answer.status;
	if (rq->end != HTTP_ANSWERED)
		return rq->end == HTTP_IMPOSSIBLE ? WRONG : LATER;
	if (status / 100 == 2)
		return TAKEN;
	if (status / 100 == 5 || status == 429)
		return LATER;
	return status == 400 || status == 413 || status == 422 ? NEVER : WRONG;
}

static int ask_once(struct remote *r, struct outcome *ret, struct error *err)
{
	_buf_ struct buf words = BUF_INIT(WORDS_MAX), secret = BUF_INIT(2 * SECRET_MAX);
	const char *headers[4] = { "Content-Type: application/x-protobuf", "Content-Encoding: snappy",
		                   "X-Prometheus-Remote-Write-Version: 0.1.0" };
	bool authorized = r->o->token_file || r->o->user_file;
	int e = authorized ? put_authorization(r->o, &secret, err) : 0;
	if (e)
		return e;
	if (authorized)
		headers[3] = (const char *)secret.data;
	struct http_request rq = { .method = "POST", .url = r->o->url, .headers = headers, .n_headers = 3 + authorized,
		                   .body = buf_slice(&r->packed), .timeout_ns = REQUEST_TIMEOUT, .text = &words };
	struct http_batch batch;
	http_batch_init(&batch);
	e = http_start(r->http, &batch, &rq, err);
	http_batch_wait(&batch);
	http_batch_done(&batch);
	if (e)
		return e;
	r->counts.requests++;
	*ret = (struct outcome){ .verdict = verdict_of(&rq), .retry_after = rq.answer.retry_after_ns };
	int at = rq.end == HTTP_ANSWERED ? snprintf(ret->why, sizeof ret->why, "%d: ", rq.answer.status) : 0;
	if (rq.end != HTTP_ANSWERED)
		snprintf(ret->why, sizeof ret->why, "%s", rq.why);
	else
		put_words(&words, ret->why + at, sizeof ret->why - (size_t)at);
	return 0;
}

/* Half of it to all of it, at random, so that many senders do not come back together. */
static int64_t pause_of(unsigned attempt, const struct outcome *o)
{
	int64_t longest = MIN(PAUSE_MIN << MIN(attempt, 10U), PAUSE_MAX);
	int64_t jitter = (int64_t)(hash_mix((uint64_t)clock_monotonic(), attempt) % (uint64_t)(longest / 2));
	return MIN(MAX(o->retry_after, INT64_C(0)), RETRY_AFTER_MAX) + longest / 2 + jitter;
}

/* Until it is no longer LATER. */
static int ask(struct remote *r, struct outcome *ret, struct error *err)
{
	int64_t began = clock_monotonic();
	for (unsigned attempt = 0;; attempt++) {
		int e = ask_once(r, ret, err);
		if (e || ret->verdict != LATER)
			return e;
		int64_t pause = pause_of(attempt, ret);
		if (r->o->patience && clock_monotonic() + pause - began > r->o->patience)
			return error_set(err, -ETIMEDOUT, "not taken in time: %s", ret->why);
		if (!attempt)
			log_msg(r->o->log, LOG_LEVEL_WARNING, "%s: %s; it is tried again", r->o->url, ret->why);
		r->counts.retries++;
		struct timespec t = { pause / NS_PER_S, pause % NS_PER_S };
		while (nanosleep(&t, &t) && errno == EINTR)
			;
	}
}

/* ---- all of it ---- */

static int note_refused(struct remote *r, const struct outcome *o, struct error *err)
{
	if (!r->counts.refused++)
		snprintf(r->counts.why, sizeof r->counts.why, "%s", o->why);
	if (++r->refused_run < REFUSED_RUN_MAX)
		return 0;
	return error_set(err, -EINVAL, "%u samples were refused, one after the other: %s", r->refused_run, o->why);
}

/* At most BATCH. Calls itself for halves: 12 deep. */
static int send_samples(struct remote *r, const struct sample *v, size_t n, struct error *err)
{
	struct outcome o;
	int e = encode(r, v, n);
	if (!e)
		e = ask(r, &o, err);
	if (e)
		return e;
	switch (o.verdict) {
	case TAKEN:
		r->counts.samples += n;
		r->refused_run = 0;
		return 0;
	case NEVER:
		if (n == 1)
			return note_refused(r, &o, err);
		e = send_samples(r, v, n / 2, err);
		return e ? e : send_samples(r, v + n / 2, n - n / 2, err);
	default:
		return error_set(err, -EACCES, "%s", o.why);
	}
}

int remote_flush(struct remote *r, remote_fn fn, void *ctx, struct error *err)
{
	size_t all = r->samples.n;
	int e = 0;
	if (all)
		qsort(r->samples.v, all, sizeof *r->samples.v, by_time);
	for (size_t i = 0, n; !e && i < all; i += n) {
		n = MIN(all - i, (size_t)BATCH);
		e = send_samples(r, r->samples.v + i, n, err);
		if (!e && fn && i + n < all)
			e = fn(ctx, r->samples.v[i + n].time);
	}
	remote_drop(r);
	return e;
}

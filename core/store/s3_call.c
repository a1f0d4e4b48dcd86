/* SPDX-License-Identifier: MIT */

/*
 * Requests are signed anew for each attempt, and repeated with a growing, jittered pause where the failure can pass:
 * no connection, no whole answer, 409, 429, 5xx. Reads and removals may be repeated freely, puts too (an object has one
 * content). A create may not: where an attempt ended without an answer it may have been done, and a later 412 be its
 * own doing. Then the result is ERR_STORE_UNKNOWN and the caller reads back.
 */

#include "s3.h"

#include <string.h>
#include <time.h>

#include "../base/clock.h"
#include "../base/hash.h"
#include "digest.h"
#include "sigv4.h"

#define URL_MAX ((size_t)16384)
#define LINES_MAX ((size_t)32768)
#define TEXT_MAX ((size_t)65536)
#define ATTEMPT_NS (30 * NS_PER_S) /* and what the bytes take */
#define BYTES_PER_S (64 << 10) /* slower than this is given up */
#define CONFLICTS_MAX 4
#define FIRST_PAUSE_NS (50 * NS_PER_MS)
#define LAST_PAUSE_NS (5 * NS_PER_S)
#define RETRY_AFTER_MAX_NS (30 * NS_PER_S)
#define NEVER_ANSWERED_NS (10 * NS_PER_S) /* a server that never did is rather a wrong address */
#define CLOCK_FRESH_NS (10 * NS_PER_MIN)
#define CLOCK_SLACK_NS (2 * NS_PER_S)

/* --- the server's clock --- */

/*
 * A Date has whole seconds and is older than its arrival: the time it tells is a lower bound of the server's. The
 * greatest of those is kept, unless the server's clock was set back. Ages computed from it are never too long.
 */
static void note_date(struct s3 *s, const struct http_answer *a)
{
	if (!a->date_ns)
		return;
	int64_t offset = a->date_ns - a->date_at;
	pthread_mutex_lock(&s->lock);
	if (!s->clock_known || offset > s->clock_offset || offset < s->clock_offset - CLOCK_SLACK_NS)
		s->clock_offset = offset;
	s->clock_known = true;
	s->clock_at = a->date_at;
	pthread_mutex_unlock(&s->lock);
}

static bool clock_of(struct s3 *s, int64_t max_age, int64_t *ret)
{
	int64_t now = clock_monotonic();
	pthread_mutex_lock(&s->lock);
	bool known = s->clock_known && now - s->clock_at <= max_age;
	*ret = now + s->clock_offset;
	pthread_mutex_unlock(&s->lock);
	return known;
}

bool s3_clock(struct s3 *s, int64_t *ret)
{
	return clock_of(s, CLOCK_FRESH_NS, ret);
}

/* --- building a request --- */

/* "/bucket/prefix/key", "/prefix/key" or, without a key, "/bucket", "/", encoded. */
static void put_path(const struct s3 *s, const char *key, struct buf *out)
{
	buf_putc(out, '/');
	if (s->set.path_style)
		sigv4_encode(out, (struct str){ s->set.bucket, strlen(s->set.bucket) }, false);
	if (!key)
		return;
	if (s->set.path_style)
		buf_putc(out, '/');
	sigv4_encode(out, (struct str){ s->set.prefix, strlen(s->set.prefix) }, true);
	sigv4_encode(out, (struct str){ key, strlen(key) }, true);
}

struct signing {
	struct sigv4_header headers[8];
	size_t n;
	char date[SIGV4_TIME], payload[SHA256_HEX], md5[MD5_BASE64], range[64];
};

static void sign_header(struct signing *g, const char *name, const char *value)
{
	g->headers[g->n++] = (struct sigv4_header){ name, value };
}

/* In the order of their names. */
static int collect_headers(const struct s3 *s, const struct s3_call *c, const struct s3_keys *keys, struct signing *g)
{
	int e = 0;
	if (c->md5) {
		e = digest_md5_base64(c->body, g->md5);
		sign_header(g, "content-md5", g->md5);
	}
	sign_header(g, "host", s->set.host);
	if (c->create)
		sign_header(g, "if-none-match", "*");
	if (c->ranged) {
		if (c->range_start < 0)
			snprintf(g->range, sizeof g->range, "bytes=-%lld", (long long)c->range_end);
		else
			snprintf(g->range, sizeof g->range, "bytes=%lld-%lld", (long long)c->range_start,
			         (long long)c->range_end);
		sign_header(g, "range", g->range);
	}
	if (s->set.tls)
		strcpy(g->payload, SIGV4_UNSIGNED);
	else if (e == 0)
		e = digest_sha256_hex(c->body, g->payload);
	sign_header(g, "x-amz-content-sha256", g->payload);
	sign_header(g, "x-amz-date", g->date);
	if (keys->token)
		sign_header(g, "x-amz-security-token", keys->token);
	return e;
}

/* NUL-terminated lines, and where each begins. */
static int put_lines(struct s3_call *c, const struct signing *g, const struct buf *authorization)
{
	size_t at[ARRAY_SIZE(c->headers)], n = 0;
	buf_reset(&c->lines);
	for (size_t i = 0; i < g->n; i++) {
		at[n++] = c->lines.len;
		buf_printf(&c->lines, "%s: %s", g->headers[i].name, g->headers[i].value);
		buf_u8(&c->lines, 0);
	}
	at[n++] = c->lines.len;
	buf_printf(&c->lines, "authorization: %.*s", (int)authorization->len, (const char *)authorization->data);
	buf_u8(&c->lines, 0);
	if (buf_err(&c->lines))
		return buf_err(&c->lines);
	for (size_t i = 0; i < n; i++)
		c->headers[i] = (char *)c->lines.data + at[i];
	c->request.n_headers = n;
	return 0;
}

static int sign(struct s3 *s, struct s3_call *c, const char *path, struct error *err)
{
	_buf_ struct buf authorization = BUF_INIT(4096);
	struct signing g = { 0 };
	int64_t now;
	/* A machine whose clock is wrong can sign once the server has told its own. */
	sigv4_time(clock_of(s, INT64_MAX, &now) ? now : clock_now(), g.date);
	s3_keys_unref(TAKE_PTR(c->keys));
	int e = s3_keyring_get(s->keys, &c->keys, err);
	if (e == 0)
		e = collect_headers(s, c, c->keys, &g);
	if (e < 0)
		return e;
	struct sigv4_request r = { c->method, path,         c->query ? c->query : "", g.headers, g.n, g.payload,
		                   g.date,    s->set.region, "s3" };
	e = sigv4_authorization(&r, &(struct sigv4_keys){ c->keys->id, c->keys->secret }, &authorization);
	return e < 0 ? e : put_lines(c, &g, &authorization);
}

static int64_t time_for(const struct s3_call *c)
{
	return (int64_t)((c->body.len + c->expect) / BYTES_PER_S) * NS_PER_S;
}

/* left: what the call has of its time. */
static int prepare(struct s3 *s, struct s3_call *c, int64_t left, struct error *err)
{
	_buf_ struct buf path = BUF_INIT(URL_MAX);
	put_path(s, c->key, &path);
	buf_u8(&path, 0);
	if (!c->url.max)
		c->url = BUF_INIT(URL_MAX);
	if (!c->lines.max)
		c->lines = BUF_INIT(LINES_MAX);
	if (!c->text.max)
		c->text = BUF_INIT(TEXT_MAX);
	buf_reset(&c->url);
	buf_reset(&c->text);
	if (buf_err(&path))
		return buf_err(&path);
	buf_printf(&c->url, "http%s://%s%s%s%s", s->set.tls ? "s" : "", s->set.host, (char *)path.data,
	           c->query ? "?" : "", c->query ? c->query : "");
	buf_u8(&c->url, 0);
	int e = buf_err(&c->url) ?: sign(s, c, (char *)path.data, err);
	if (e < 0)
		return e;
	size_t n = c->request.n_headers;
	c->request = (struct http_request){
		.method = c->method,
		.url = (char *)c->url.data,
		.headers = c->headers,
		.n_headers = n,
		.body = c->body,
		.expect = c->expect,
		.timeout_ns = MIN(left, ATTEMPT_NS) + time_for(c),
		.once = c->create || c->once,
		.sink = c->sink,
		.ctx = c->ctx,
		.text = &c->text,
	};
	c->sink_error = 0;
	return 0;
}

/* --- judging an answer --- */

static bool writes(const struct s3_call *c)
{
	return strcmp(c->method, "GET") != 0 && strcmp(c->method, "HEAD") != 0;
}

static void end_with(struct s3_call *c, int result, const char *why)
{
	c->ended = true;
	c->result = result;
	snprintf(c->why, sizeof c->why, "%s", why);
}

/* Leaves the call to be repeated; `result` counts where there is no time left for that. */
static void leave(struct s3_call *c, int result, const char *why)
{
	c->result = result;
	snprintf(c->why, sizeof c->why, "%s", why);
}

static const char *explain(const struct s3_call *c, char ret[256])
{
	const struct s3_error *e = &c->said;
	if (e->code[0])
		snprintf(ret, 256, "the store answers %d %.60s%s%.160s", c->answer.status, e->code,
		         e->message[0] ? ": " : "", e->message);
	else
		snprintf(ret, 256, "the store answers %d", c->answer.status);
	return ret;
}

static bool code_is(const struct s3_call *c, const char *code)
{
	return strcmp(c->said.code, code) == 0;
}

/* The credentials ran out: perhaps somebody has put new ones in their place. */
static bool renew_keys(struct s3 *s, struct s3_call *c)
{
	if (c->renewed || !s3_keyring_replace(s->keys, c->keys))
		return false;
	c->renewed = true;
	return true;
}

static void judge_denied(struct s3 *s, struct s3_call *c)
{
	char why[256];
	explain(c, why);
	if (code_is(c, "RequestTimeTooSkewed") && !c->reset_clock && c->answer.date_ns) {
		c->reset_clock = true;
		leave(c, ERR_STORE_ACCESS, why);
		return;
	}
	if ((code_is(c, "ExpiredToken") || code_is(c, "TokenRefreshRequired")) && renew_keys(s, c)) {
		leave(c, ERR_STORE_ACCESS, why);
		return;
	}
	end_with(c, ERR_STORE_ACCESS, why);
}

static void judge_region(struct s3 *s, struct s3_call *c)
{
	char why[256];
	const char *region = c->said.region[0] ? c->said.region : c->answer.bucket_region;
	if (region[0])
		snprintf(why, sizeof why, "the bucket '%.63s' is in region %.64s: set AWS_REGION or ?region=",
		         s->set.bucket, region);
	else
		explain(c, why);
	end_with(c, ERR_STORE, why);
}

static void judge_absent(struct s3 *s, struct s3_call *c)
{
	char why[256];
	if (!code_is(c, "NoSuchBucket")) {
		end_with(c, ERR_STORE_NOT_FOUND, code_is(c, "NoSuchUpload") ? "no such upload" : "no such object");
		return;
	}
	snprintf(why, sizeof why, "there is no bucket '%.63s' at %.150s; make it first", s->set.bucket,
	         s->set.endpoint);
	end_with(c, ERR_STORE, why);
}

/* 409 is also what a server over a file system says of a key that is another's folder: that seldom passes. */
static bool passes(struct s3_call *c)
{
	switch (c->answer.status) {
	case 409:
		return code_is(c, "ConditionalRequestConflict") || code_is(c, "OperationAborted") ||
		       c->conflicts++ < CONFLICTS_MAX;
	case 400:
		return code_is(c, "RequestTimeout");
	case 429:
	case 500:
	case 502:
	case 503:
	case 504:
		return true;
	default:
		return false;
	}
}

/* Whether a failure with this answer says that nothing was done. */
static bool without_effect(const struct s3_call *c)
{
	int status = c->answer.status;
	return status == 409 || status == 429 || status == 400 || (status == 503 && c->said.code[0]);
}

static void judge_failure(struct s3 *s, struct s3_call *c)
{
	char why[256];
	explain(c, why);
	if (!passes(c)) {
		end_with(c, ERR_STORE, why);
		return;
	}
	c->maybe |= writes(c) && !without_effect(c);
	c->delay = MIN(c->answer.retry_after_ns, RETRY_AFTER_MAX_NS);
	leave(c, c->maybe ? ERR_STORE_UNKNOWN : ERR_STORE, why);
}

static void judge_answer(struct s3 *s, struct s3_call *c)
{
	switch (c->answer.status) {
	case 200 ... 299:
		end_with(c, 0, "");
		return;
	case 404:
		judge_absent(s, c);
		return;
	case 412:
		if (c->maybe)
			end_with(c, ERR_STORE_UNKNOWN, "there, perhaps by an attempt of this call");
		else
			end_with(c, ERR_STORE_EXISTS, "the object exists already");
		return;
	case 416:
		end_with(c, ERR_STORE_RANGE, "a range is outside the object");
		return;
	case 301:
	case 307:
		judge_region(s, c);
		return;
	case 400:
		if (code_is(c, "ExpiredToken"))
			judge_denied(s, c);
		else if (c->said.region[0])
			judge_region(s, c);
		else
			judge_failure(s, c);
		return;
	case 401:
	case 403:
		judge_denied(s, c);
		return;
	default:
		judge_failure(s, c);
	}
}

/* Against what it was verified is what can be changed. */
static void judge_certificate(struct s3 *s, struct s3_call *c)
{
	char why[sizeof c->why];
	if (s->set.ca_bundle)
		snprintf(why, sizeof why, "%.140s (verified against %.60s of %s)", c->request.why, s->set.ca_bundle,
		         s->set.ca_from);
	else
		snprintf(why, sizeof why, "%.140s (verified against the system's authorities; AWS_CA_BUNDLE names "
		         "others)", c->request.why);
	end_with(c, ERR_STORE, why);
}

static void judge(struct s3 *s, struct s3_call *c)
{
	const struct http_request *r = &c->request;
	c->answer = r->answer;
	c->said = (struct s3_error){ 0 };
	c->delay = 0;
	note_date(s, &c->answer);
	switch (r->end) {
	case HTTP_ANSWERED:
		atomic_store(&s->answered, true);
		if (c->answer.status >= 300)
			s3_error_parse(buf_slice(&c->text), &c->said);
		judge_answer(s, c);
		return;
	case HTTP_STOPPED:
		if (c->sink_error == -EAGAIN)
			leave(c, ERR_STORE, "the answer was not whole");
		else
			end_with(c, c->sink_error, err_text(c->sink_error));
		return;
	case HTTP_UNTRUSTED:
		judge_certificate(s, c);
		return;
	case HTTP_IMPOSSIBLE:
		end_with(c, ERR_STORE, r->why);
		return;
	case HTTP_NOT_SENT:
		leave(c, c->maybe ? ERR_STORE_UNKNOWN : ERR_STORE_TIMEOUT, r->why);
		return;
	case HTTP_LOST:
	case HTTP_TIMED_OUT:
		c->maybe |= writes(c);
		leave(c, c->maybe ? ERR_STORE_UNKNOWN : ERR_STORE_TIMEOUT, r->why);
		return;
	}
}

/* --- counting --- */

static void add(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

static void count_request(struct s3 *s, const struct s3_call *c, bool again)
{
	struct store_counts *n = &s->sent;
	bool listing = c->query && strstr(c->query, "list-type=");
	add(listing ? &n->list : strcmp(c->method, "DELETE") == 0 ? &n->remove : writes(c) ? &n->put : &n->get, 1);
	add(&n->bytes_in, c->body.len);
	add(&n->retries, again);
}

static void count_answer(struct s3 *s, const struct s3_call *c)
{
	bool got = c->request.end == HTTP_ANSWERED && c->answer.status / 100 == 2 && c->answer.length > 0;
	add(&s->sent.bytes_out, got && !writes(c) && strcmp(c->method, "HEAD") ? (uint64_t)c->answer.length : 0);
	add(&s->sent.errors, c->ended && c->result < 0 && c->result != ERR_STORE_NOT_FOUND &&
	                             c->result != ERR_STORE_EXISTS);
}

/* --- attempts --- */

static void start_one(struct s3 *s, struct http_batch *b, struct s3_call *c, bool again, int64_t left)
{
	struct error err = { 0 };
	int e = prepare(s, c, left, &err);
	if (e == 0) {
		count_request(s, c, again);
		e = http_start(s->http, b, &c->request, &err);
	}
	if (e < 0)
		end_with(c, e, error_text(&err, e));
}

/* Sends all that have not ended and waits: how many are still open. */
static size_t attempt(struct s3 *s, struct s3_call *calls, size_t n, bool again, int64_t left)
{
	struct http_batch batch;
	size_t open = 0;
	http_batch_init(&batch);
	for (size_t i = 0; i < n; i++)
		calls[i].request.batch = NULL;
	for (size_t i = 0; i < n; i++)
		if (!calls[i].ended)
			start_one(s, &batch, &calls[i], again, left);
	http_batch_wait(&batch);
	for (size_t i = 0; i < n; i++) {
		if (!calls[i].request.batch)
			continue;
		judge(s, &calls[i]);
		count_answer(s, &calls[i]);
		open += !calls[i].ended;
	}
	http_batch_done(&batch);
	return open;
}

/* Between a half and the whole of what doubles with each attempt; longer where the server says so. */
static int64_t pause_before(const struct s3_call *calls, size_t n, unsigned attempt)
{
	int64_t longest = MIN(FIRST_PAUSE_NS << MIN(attempt, 16u), LAST_PAUSE_NS), asked = 0;
	uint64_t jitter = hash_mix((uint64_t)clock_monotonic(), (uint64_t)(uintptr_t)calls);
	for (size_t i = 0; i < n; i++)
		asked = calls[i].ended ? asked : MAX(asked, calls[i].delay);
	return asked + longest / 2 + (int64_t)(jitter % (uint64_t)(longest / 2));
}

static void sleep_for(int64_t ns)
{
	struct timespec ts = { .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

static const char *about(const struct s3 *s, const struct s3_call *c)
{
	return c->key ? c->key : s->base.name;
}

int s3_perform(struct s3 *s, struct s3_call *calls, size_t n, struct error *err)
{
	int64_t begun = clock_monotonic(), left = s->set.timeout_ns;
	for (unsigned i = 0; attempt(s, calls, n, i > 0, left); i++) {
		int64_t pause = pause_before(calls, n, i), limit = s->set.timeout_ns;
		if (!atomic_load(&s->answered))
			limit = MIN(limit, NEVER_ANSWERED_NS);
		left = limit - (clock_monotonic() + pause - begun);
		if (left <= 0)
			break;
		sleep_for(pause);
	}
	for (size_t i = 0; i < n; i++) {
		if (calls[i].result == 0)
			continue;
		if (!calls[i].ended)
			add(&s->sent.errors, 1);
		return error_set(err, calls[i].result, "%s: %s", about(s, &calls[i]), calls[i].why);
	}
	return 0;
}

void s3_calls_done(struct s3_call *calls, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		buf_done(&calls[i].url);
		buf_done(&calls[i].lines);
		buf_done(&calls[i].text);
		s3_keys_unref(calls[i].keys);
	}
}

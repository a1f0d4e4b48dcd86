/* SPDX-License-Identifier: MIT */

/*
 * The methods of an S3 store over libs3, for servers that know signature version 2 only. What libs3 2.0 does wrong is
 * fenced here:
 *
 * - a body that was cut off is reported as whole: every length is compared with what was asked for, and an object that
 *   is shorter is told from a torn answer by its size;
 * - it does not verify TLS peers, and an answer with thousands of headers overruns its buffer: s3.c takes it for plain
 *   http only, which is for trusted networks;
 * - it composes dates by gmtime() and keeps its connections in a global: one request at a time, of all stores;
 * - an empty page of a listing is not reported: what a page says is reset before it is asked for;
 * - SlowDown is "not retryable": what is repeated is decided here;
 * - it has no conditional put: put_if_absent() is ERR_STORE_UNSUPPORTED.
 */

#include "s3.h"

#include <string.h>
#include <time.h>

#include "../base/clock.h"
#include "../base/vec.h"
#include "digest.h"
#include "s3_v2_lib.h"

#define PAUSE_NS (50 * NS_PER_MS)
#define PAUSE_MAX_NS (2 * NS_PER_S)

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static bool initialized; /* under one_at_a_time */

struct call {
	struct s3 *s;
	const char *key; /* whole, with the store's prefix; of a listing NULL */
	void (*send)(struct call *c, const S3BucketContext *bucket);
	bool writes;
	uint64_t *counter;

	/* what is sent */
	struct slice data;
	const struct store_body *body;
	struct error *err;
	uint64_t sent;
	int body_failed;
	const char *md5;

	/* what is asked for, and came */
	uint64_t off, want, got, length;
	uint8_t *out;
	const struct s3_page_request *request;
	const char *prefix, *marker;
	struct s3_page *page;

	S3Status status;
	char why[200];
};

static S3Status on_properties(const S3ResponseProperties *p, void *ctx)
{
	((struct call *)ctx)->length = p->contentLength;
	return S3StatusOK;
}

static void on_complete(S3Status status, const S3ErrorDetails *e, void *ctx)
{
	struct call *c = ctx;
	c->status = status;
	snprintf(c->why, sizeof c->why, "the store answers %s%s%.120s", libs3()->get_status_name(status),
	         e && e->message ? ": " : "", e && e->message ? e->message : "");
}

static const S3ResponseHandler response = { on_properties, on_complete };

/* --- one attempt --- */

static int on_put(int size, char *out, void *ctx)
{
	struct call *c = ctx;
	uint64_t total = c->body ? c->body->size : c->data.len;
	size_t n = (size_t)MIN((uint64_t)size, total - c->sent);
	if (c->body && n)
		c->body_failed = c->body->read(c->body->ctx, c->sent, (uint8_t *)out, n, c->err);
	else if (n)
		memcpy(out, c->data.data + c->sent, n);
	c->sent += n;
	return c->body_failed < 0 ? -1 : (int)n;
}

static void send_put(struct call *c, const S3BucketContext *bucket)
{
	S3PutObjectHandler handler = { response, on_put };
	S3PutProperties properties = { .md5 = c->md5, .expires = -1 };
	libs3()->put_object(bucket, c->key, c->body ? c->body->size : c->data.len, &properties, NULL, &handler, c);
}

static S3Status on_get(int n, const char *data, void *ctx)
{
	struct call *c = ctx;
	if (n < 0 || (uint64_t)n > c->want - c->got)
		return S3StatusAbortedByCallback;
	memcpy(c->out + c->got, data, (size_t)n);
	c->got += (uint64_t)n;
	return S3StatusOK;
}

static void send_get(struct call *c, const S3BucketContext *bucket)
{
	S3GetObjectHandler handler = { response, on_get };
	S3GetConditions none = { .ifModifiedSince = -1, .ifNotModifiedSince = -1 };
	libs3()->get_object(bucket, c->key, &none, c->off, c->want, NULL, &handler, c);
}

static void send_head(struct call *c, const S3BucketContext *bucket)
{
	libs3()->head_object(bucket, c->key, NULL, &response, c);
}

static void send_delete(struct call *c, const S3BucketContext *bucket)
{
	libs3()->delete_object(bucket, c->key, NULL, &response, c);
}

static bool add_entry(struct s3_page *page, const char *key, bool part, uint64_t size, int64_t mtime_s)
{
	struct s3_entry e = { strdup(key), part, { size, mtime_s * NS_PER_S } };
	struct s3_entry *at = e.key ? VEC_PUSH(page) : NULL;
	if (!at) {
		free(e.key);
		return false;
	}
	*at = e;
	return true;
}

static S3Status on_page(int truncated, const char *next, int n, const S3ListBucketContent *contents, int n_parts,
                        const char **parts, void *ctx)
{
	struct s3_page *page = ((struct call *)ctx)->page;
	bool ok = true;
	for (int i = 0; i < n && ok; i++)
		ok = add_entry(page, contents[i].key, false, contents[i].size, contents[i].lastModified);
	for (int i = 0; i < n_parts && ok; i++)
		ok = add_entry(page, parts[i], true, 0, 0);
	page->truncated = truncated;
	free(page->next);
	page->next = next && *next ? strdup(next) : NULL;
	return ok ? S3StatusOK : S3StatusAbortedByCallback;
}

static void send_list(struct call *c, const S3BucketContext *bucket)
{
	S3ListBucketHandler handler = { response, on_page };
	s3_page_done(c->page);
	libs3()->list_bucket(bucket, c->prefix, c->marker, c->request->delimiter ? "/" : NULL, (int)c->request->max,
	                     NULL, &handler, c);
}

static void attempt(struct call *c, const struct s3_keys *keys)
{
	const struct s3_settings *set = &c->s->set;
	S3BucketContext bucket = { strstr(set->endpoint, "://") + 3, set->bucket, S3ProtocolHTTP,
		                   set->path_style ? S3UriStylePath : S3UriStyleVirtualHost, keys->id, keys->secret };
	c->sent = c->got = c->length = 0;
	pthread_mutex_lock(&one_at_a_time);
	if (!initialized)
		initialized = libs3()->initialize("profilefs", S3_INIT_ALL, NULL) == S3StatusOK;
	c->status = S3StatusInternalError;
	c->send(c, &bucket);
	pthread_mutex_unlock(&one_at_a_time);
}

/* --- repetition --- */

static int code_of(const struct call *c)
{
	switch (c->status) {
	case S3StatusOK:
		return 0;
	case S3StatusErrorNoSuchKey:
	case S3StatusHttpErrorNotFound:
		return ERR_STORE_NOT_FOUND;
	case S3StatusErrorInvalidRange:
		return ERR_STORE_RANGE;
	case S3StatusErrorAccessDenied:
	case S3StatusErrorInvalidAccessKeyId:
	case S3StatusErrorSignatureDoesNotMatch:
	case S3StatusHttpErrorForbidden:
		return ERR_STORE_ACCESS;
	case S3StatusNameLookupError:
	case S3StatusFailedToConnect:
		return ERR_STORE_TIMEOUT;
	case S3StatusConnectionFailed:
		return c->writes ? ERR_STORE_UNKNOWN : ERR_STORE_TIMEOUT;
	default:
		return c->body_failed < 0 ? c->body_failed : ERR_STORE;
	}
}

static bool passes(const struct call *c)
{
	return c->body_failed == 0 && (libs3()->status_is_retryable(c->status) || c->status == S3StatusErrorSlowDown ||
	                               c->status == S3StatusErrorUnknown);
}

static void pause_for(int64_t ns)
{
	struct timespec ts = { .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S };
	nanosleep(&ts, NULL);
}

static void add(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* Whether the attempt ended the call; a read that is short is one that failed. */
static bool has_ended(const struct call *c, bool torn)
{
	return !torn && !passes(c);
}

static int perform(struct call *c, struct error *err)
{
	_cleanup_(s3_keys_unrefp) struct s3_keys *keys = NULL;
	int64_t begun = clock_monotonic(), pause = PAUSE_NS;
	bool torn;
	int r = s3_keyring_get(c->s->keys, &keys, err);
	if (r < 0)
		return r;
	for (;;) {
		add(c->counter, 1);
		attempt(c, keys);
		torn = c->status == S3StatusOK && c->want && c->got != c->want && c->got != c->length;
		if (has_ended(c, torn) || clock_monotonic() + pause - begun > c->s->set.timeout_ns)
			break;
		pause_for(pause);
		pause = MIN(2 * pause, PAUSE_MAX_NS);
		add(&c->s->sent.retries, 1);
	}
	r = torn ? ERR_STORE_TIMEOUT : code_of(c);
	add(&c->s->sent.bytes_in, r == 0 ? c->sent : 0);
	add(&c->s->sent.bytes_out, c->got);
	add(&c->s->sent.errors, r < 0 && r != ERR_STORE_NOT_FOUND);
	if (r == 0 || r == c->body_failed)
		return r;
	return error_set(err, r, "%s: %s", c->key ? c->key + strlen(c->s->set.prefix) : c->s->base.name,
	                 torn ? "the answer was not whole" : r == ERR_STORE_NOT_FOUND ? "no such object" : c->why);
}

static char *whole_key(const struct s3 *s, const char *key)
{
	char *ret;
	return asprintf(&ret, "%s%s", s->set.prefix, key) < 0 ? NULL : ret;
}

/* Performs c on an object. */
static int on_object(struct call *c, const char *key, struct error *err)
{
	_free_ char *whole = whole_key(c->s, key);
	if (!whole)
		return -ENOMEM;
	c->key = whole;
	return perform(c, err);
}

/* --- the methods --- */

int s3_v2_put(struct store *store, const char *key, struct slice data, struct error *err)
{
	struct s3 *s = s3_of(store);
	char md5[MD5_BASE64];
	struct call c = { .s = s, .send = send_put, .writes = true, .counter = &s->sent.put, .data = data, .md5 = md5 };
	int r = digest_md5_base64(data, md5);
	return r < 0 ? r : on_object(&c, key, err);
}

int s3_v2_put_body(struct store *store, const char *key, const struct store_body *body, struct error *err)
{
	struct s3 *s = s3_of(store);
	struct call c = { .s = s, .send = send_put, .writes = true, .counter = &s->sent.put, .body = body, .err = err };
	return on_object(&c, key, err);
}

int s3_v2_put_if_absent(struct store *s, const char *key, struct slice data, struct error *err)
{
	return error_set(err, ERR_STORE_UNSUPPORTED,
	                 "%s: a store with signature version 2 cannot create an object only where there is none", key);
}

static int size_of(struct s3 *s, const char *key, uint64_t *ret, struct error *err)
{
	struct call c = { .s = s, .send = send_head, .counter = &s->sent.get };
	int r = on_object(&c, key, err);
	if (r == 0)
		*ret = c.length;
	return r;
}

static int read_range(struct s3 *s, const char *key, uint64_t off, uint64_t n, uint8_t *out, struct error *err)
{
	struct call c = { .s = s, .send = send_get, .counter = &s->sent.get, .off = off, .want = n, .out = out };
	int r = on_object(&c, key, err);
	if (r == 0 && c.got != n)
		r = error_set(err, ERR_STORE_RANGE, "%s: ended at %llu", key, (unsigned long long)(off + c.got));
	return r;
}

int s3_v2_read(struct store *store, const char *key, const struct store_range *ranges, size_t n, struct error *err)
{
	uint64_t size;
	int r = size_of(s3_of(store), key, &size, err);
	for (size_t i = 0; i < n && r == 0; i++) {
		if (ranges[i].off > size || ranges[i].len > size - ranges[i].off)
			return error_set(err, ERR_STORE_RANGE, "%s: has %llu bytes, asked for %zu at %llu", key,
			                 (unsigned long long)size, ranges[i].len, (unsigned long long)ranges[i].off);
		if (ranges[i].len)
			r = read_range(s3_of(store), key, ranges[i].off, ranges[i].len, ranges[i].out, err);
	}
	return r;
}

int s3_v2_tail(struct store *store, const char *key, size_t n, struct buf *out, uint64_t *ret_size, struct error *err)
{
	uint64_t size;
	int r = size_of(s3_of(store), key, &size, err);
	if (r < 0)
		return r;
	n = (size_t)MIN((uint64_t)n, size);
	uint8_t *to = n ? buf_reserve(out, n) : NULL;
	if (n && !to)
		return error_set(err, buf_err(out), "%s: its last %zu bytes are over the buffer's limit", key, n);
	r = n ? read_range(s3_of(store), key, size - n, n, to, err) : 0;
	if (r < 0)
		return r;
	out->len += n;
	*ret_size = size;
	return 0;
}

static int v2_page(void *ctx, const struct s3_page_request *request, struct s3_page *ret, struct error *err)
{
	struct s3 *s = ctx;
	_free_ char *prefix = whole_key(s, request->prefix);
	_free_ char *marker = request->token   ? strdup(request->token)
	                      : request->after ? whole_key(s, request->after)
	                                       : strdup("");
	if (!prefix || !marker)
		return -ENOMEM;
	struct call c = { .s = s, .send = send_list, .counter = &s->sent.list, .request = request, .prefix = prefix,
		          .marker = *marker ? marker : NULL, .page = ret };
	int r = perform(&c, err);
	if (r == ERR_STORE_NOT_FOUND)
		r = error_set(err, ERR_STORE, "there is no bucket '%s' at %s", s->set.bucket, s->set.endpoint);
	s3_page_sort(ret);
	if (r == 0 && ret->truncated && !ret->next && ret->n)
		ret->next = strdup(ret->v[ret->n - 1].key);
	return r;
}

int s3_v2_list(struct store *store, const char *prefix, const char *after, char delimiter, store_list_fn fn, void *ctx,
               struct error *err)
{
	struct s3_source source = { v2_page, s3_of(store), s3_of(store)->set.prefix };
	return s3_list_from(&source, prefix, after, delimiter, fn, ctx, err);
}

int s3_v2_remove(struct store *store, const char *key, struct error *err)
{
	struct s3 *s = s3_of(store);
	struct call c = { .s = s, .send = send_delete, .writes = true, .counter = &s->sent.remove };
	int r = on_object(&c, key, err);
	return r == ERR_STORE_NOT_FOUND ? 0 : r;
}

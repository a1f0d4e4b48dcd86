/* SPDX-License-Identifier: MIT */
#include "http.h"

#include <curl/curl.h>
#include <signal.h>
#include <string.h>

#include "../base/clock.h"

#define CONNECTIONS 64u
#define BYTES ((size_t)64 << 20)
#define CONNECT_NS (5 * NS_PER_S)
#define STALL_NS (20 * NS_PER_S)
#define IDLE_MS (3600 * 1000)
#define AUTHORITIES_S 300 /* after that their file is read again */

/*
 * A request passes from its caller over `queue` to the thread, which alone touches curl: it takes an easy handle from
 * `spare` or makes one, adds it to the multi handle, and gives it back when the transfer has ended.
 */

struct http_transfer {
	CURL *easy;
	struct curl_slist *headers;
	struct http_request *r;
	uint64_t got;   /* bytes of the body */
	unsigned sends; /* curl repeats a request by itself where a kept connection turns out to be dead */
	bool stopped;
	char error[CURL_ERROR_SIZE];
	struct http_transfer *next;
};

struct http_client {
	struct http_options opts;
	char *ca_bundle;
	CURLM *multi;
	pthread_t thread;
	struct http_transfer *spare; /* of the thread */

	pthread_mutex_t lock;
	pthread_cond_t room;
	struct http_request *queue, **queue_end; /* under lock */
	unsigned active;                         /* under lock: requests started and not ended */
	size_t bytes;                            /* under lock: of those */
	bool running, stopping;                  /* under lock */
};

/* --- batches --- */

void http_batch_init(struct http_batch *b)
{
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->ended, NULL);
	b->pending = 0;
}

void http_batch_done(struct http_batch *b)
{
	pthread_cond_destroy(&b->ended);
	pthread_mutex_destroy(&b->lock);
}

void http_batch_wait(struct http_batch *b)
{
	pthread_mutex_lock(&b->lock);
	while (b->pending)
		pthread_cond_wait(&b->ended, &b->lock);
	pthread_mutex_unlock(&b->lock);
}

static void batch_add(struct http_batch *b)
{
	pthread_mutex_lock(&b->lock);
	b->pending++;
	pthread_mutex_unlock(&b->lock);
}

/* The batch and its requests may be gone when this returns. */
static void batch_end_one(struct http_batch *b)
{
	pthread_mutex_lock(&b->lock);
	if (--b->pending == 0)
		pthread_cond_signal(&b->ended);
	pthread_mutex_unlock(&b->lock);
}

/* --- what an answer says --- */

static void answer_reset(struct http_answer *a, int status)
{
	*a = (struct http_answer){ .status = status, .length = -1, .range_start = -1, .range_end = -1,
		                   .range_total = -1, .retry_after_ns = -1 };
}

static bool take_number(const char **s, int64_t *ret)
{
	const char *p = *s;
	int64_t v = 0;
	for (; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *p - '0', &v))
			return false;
	if (p == *s)
		return false;
	*s = p;
	*ret = v;
	return true;
}

/* "bytes 0-9/100"; an asterisk stands for ends or a total that are not told. */
static void take_range(struct http_answer *a, const char *s)
{
	int64_t start = -1, end = -1, total = -1;
	if (strncasecmp(s, "bytes ", 6) != 0)
		return;
	s += 6;
	if (*s == '*')
		s++;
	else if (!take_number(&s, &start) || *s++ != '-' || !take_number(&s, &end))
		return;
	if (*s++ != '/' || (*s != '*' && !take_number(&s, &total)))
		return;
	a->range_start = start;
	a->range_end = end;
	a->range_total = total;
}

static void take_text(char *ret, size_t size, const char *s)
{
	if (strlen(s) < size)
		strcpy(ret, s);
}

static void take_header(struct http_answer *a, const char *name, const char *value)
{
	int64_t n;
	if (strcasecmp(name, "content-length") == 0) {
		if (take_number(&value, &n))
			a->length = n;
	} else if (strcasecmp(name, "content-range") == 0) {
		take_range(a, value);
	} else if (strcasecmp(name, "date") == 0) {
		time_t t = curl_getdate(value, NULL);
		if (t > 0) {
			a->date_ns = (int64_t)t * NS_PER_S;
			a->date_at = clock_monotonic();
		}
	} else if (strcasecmp(name, "retry-after") == 0) {
		if (take_number(&value, &n) && n < 86400)
			a->retry_after_ns = n * NS_PER_S;
	} else if (strcasecmp(name, "etag") == 0) {
		take_text(a->etag, sizeof a->etag, value);
	} else if (strcasecmp(name, "x-amz-bucket-region") == 0) {
		take_text(a->bucket_region, sizeof a->bucket_region, value);
	}
}

/* A line of the head; every answer begins with its status, also one that another follows (100 Continue). */
static size_t on_header(char *data, size_t size, size_t n, void *ctx)
{
	struct http_answer *a = &((struct http_transfer *)ctx)->r->answer;
	char line[1024];
	size_t len = n;
	while (len && strchr("\r\n \t", data[len - 1]))
		len--;
	if (len >= sizeof line)
		return n;
	memcpy(line, data, len);
	line[len] = '\0';
	char *value = strpbrk(line, ": ");
	if (!value)
		return n;
	if (strncmp(line, "HTTP/", 5) == 0) {
		answer_reset(a, atoi(value));
		return n;
	}
	*value++ = '\0';
	take_header(a, line, value + strspn(value, " \t"));
	return n;
}

static size_t on_body(char *data, size_t size, size_t n, void *ctx)
{
	struct http_transfer *t = ctx;
	struct http_request *r = t->r;
	uint64_t off = t->got;
	t->got += n;
	if (r->sink && r->answer.status / 100 == 2) {
		t->stopped = !r->sink(r->ctx, &r->answer, off, (const uint8_t *)data, n);
		return t->stopped ? 0 : n;
	}
	if (r->text)
		buf_put(r->text, data, MIN(n, r->text->max - r->text->len));
	return n;
}

/* Called before each sending. */
static int on_send(void *ctx, char *remote, char *local, int remote_port, int local_port)
{
	struct http_transfer *t = ctx;
	return t->sends++ && t->r->once ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* --- the thread --- */

static long to_ms(int64_t ns)
{
	return (long)MAX(ns / NS_PER_MS, (int64_t)1);
}

/*
 * libcurl has a file and a folder of authorities. Without the folder it reads the file once for all connections, which
 * then take 2 ms of CPU each instead of 24. Beside a bundle of one's own the folder would be whom else to trust.
 */
static void set_authorities(CURL *c, const char *bundle)
{
	if (bundle)
		curl_easy_setopt(c, CURLOPT_CAINFO, bundle);
	if (bundle || curl_version_info(CURLVERSION_NOW)->cainfo)
		curl_easy_setopt(c, CURLOPT_CAPATH, NULL);
	curl_easy_setopt(c, CURLOPT_CA_CACHE_TIMEOUT, (long)AUTHORITIES_S);
}

/* libcurl leaves HTTP_PROXY out, since a CGI program gets it from a header of its request. */
static void set_proxy(CURL *c, const struct http_options *opts, const char *url)
{
	const char *upper = getenv("HTTP_PROXY");
	if (opts->no_proxy)
		curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
	else if (upper && strncmp(url, "http://", 7) == 0 && !getenv("http_proxy") && !getenv("REQUEST_METHOD"))
		curl_easy_setopt(c, CURLOPT_PROXY, upper);
	curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
}

/* For all requests. */
static void set_common(struct http_client *h, struct http_transfer *t)
{
	CURL *c = t->easy;
	curl_easy_setopt(c, CURLOPT_PRIVATE, t);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, t->error);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, to_ms(h->opts.connect_ns));
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)MAX(h->opts.stall_ns / NS_PER_S, (int64_t)1));
	curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 65536L);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	set_authorities(c, h->ca_bundle);
	set_proxy(c, &h->opts, t->r->url);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(c, CURLOPT_PREREQFUNCTION, on_send);
	curl_easy_setopt(c, CURLOPT_PREREQDATA, t);
}

static bool add_header(struct http_transfer *t, const char *line)
{
	struct curl_slist *more = curl_slist_append(t->headers, line);
	if (more)
		t->headers = more;
	return more;
}

/* What is only this request's. false: no memory. */
static bool set_request(struct http_transfer *t, struct http_request *r)
{
	CURL *c = t->easy;
	bool ok = add_header(t, "Expect:") && add_header(t, "Content-Type:") && add_header(t, "User-Agent: profilefs");
	for (size_t i = 0; i < r->n_headers && ok; i++)
		ok = add_header(t, r->headers[i]);
	if (!ok || curl_easy_setopt(c, CURLOPT_URL, r->url) != CURLE_OK)
		return false;
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, t->headers);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, to_ms(r->timeout_ns));
	if (strcmp(r->method, "PUT") == 0 || strcmp(r->method, "POST") == 0) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body.len);
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, r->body.len ? (const char *)r->body.data : "");
	}
	if (strcmp(r->method, "HEAD") == 0)
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
	else if (strcmp(r->method, "GET") != 0)
		curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r->method);
	return true;
}

static void transfer_free(struct http_transfer *t)
{
	curl_slist_free_all(t->headers);
	curl_easy_cleanup(t->easy);
	free(t);
}

static struct http_transfer *transfer_take(struct http_client *h)
{
	struct http_transfer *t = h->spare;
	if (t) {
		h->spare = t->next;
		curl_easy_reset(t->easy);
		*t = (struct http_transfer){ .easy = t->easy };
		return t;
	}
	t = calloc(1, sizeof *t);
	if (t && !(t->easy = curl_easy_init())) {
		free(t);
		return NULL;
	}
	return t;
}

static void transfer_give_back(struct http_client *h, struct http_transfer *t)
{
	curl_slist_free_all(TAKE_PTR(t->headers));
	t->next = h->spare;
	h->spare = t;
}

static size_t cost_of(const struct http_request *r)
{
	size_t cost;
	return size_add(r->body.len, r->expect, &cost) ? cost : SIZE_MAX / 2;
}

/* Gives the request back to its caller, who may free it at once. */
static void end_request(struct http_client *h, struct http_request *r, enum http_end end, const char *why)
{
	struct http_batch *batch = r->batch;
	r->end = end;
	snprintf(r->why, sizeof r->why, "%s", why);
	pthread_mutex_lock(&h->lock);
	h->active--;
	h->bytes -= cost_of(r);
	pthread_cond_broadcast(&h->room);
	pthread_mutex_unlock(&h->lock);
	batch_end_one(batch);
}

static void begin_request(struct http_client *h, struct http_request *r)
{
	answer_reset(&r->answer, 0);
	struct http_transfer *t = transfer_take(h);
	if (!t) {
		end_request(h, r, HTTP_NOT_SENT, "out of memory");
		return;
	}
	t->r = r;
	set_common(h, t);
	if (set_request(t, r) && curl_multi_add_handle(h->multi, t->easy) == CURLM_OK)
		return;
	transfer_give_back(h, t);
	end_request(h, r, HTTP_NOT_SENT, "out of memory");
}

static enum http_end end_of(const struct http_transfer *t, CURLcode code)
{
	switch (code) {
	case CURLE_OK:
		return HTTP_ANSWERED;
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
		return HTTP_UNTRUSTED;
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_URL_MALFORMAT:
	case CURLE_UNSUPPORTED_PROTOCOL:
		return HTTP_IMPOSSIBLE;
	default:
		if (t->stopped)
			return HTTP_STOPPED;
		if (!t->sends)
			return HTTP_NOT_SENT;
		return code == CURLE_OPERATION_TIMEDOUT ? HTTP_TIMED_OUT : HTTP_LOST;
	}
}

static void finish_transfers(struct http_client *h)
{
	CURLMsg *m;
	int left;
	while ((m = curl_multi_info_read(h->multi, &left))) {
		struct http_transfer *t = NULL;
		CURLcode code = m->data.result;
		if (m->msg != CURLMSG_DONE || curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&t))
			continue;
		curl_multi_remove_handle(h->multi, t->easy);
		struct http_request *r = t->r;
		enum http_end end = end_of(t, code);
		char why[sizeof r->why] = "";
		if (end != HTTP_ANSWERED)
			snprintf(why, sizeof why, "%s", t->error[0] ? t->error : curl_easy_strerror(code));
		transfer_give_back(h, t);
		end_request(h, r, end, why);
	}
}

/* What is queued; false where the thread is to end. */
static bool take_queue(struct http_client *h, struct http_request **ret)
{
	pthread_mutex_lock(&h->lock);
	*ret = TAKE_PTR(h->queue);
	h->queue_end = &h->queue;
	bool goes_on = !h->stopping;
	pthread_mutex_unlock(&h->lock);
	return goes_on;
}

static void *run(void *arg)
{
	struct http_client *h = arg;
	struct http_request *r, *next;
	int running;
	while (take_queue(h, &r)) {
		for (; r; r = next) {
			next = r->next;
			begin_request(h, r);
		}
		curl_multi_perform(h->multi, &running);
		finish_transfers(h);
		curl_multi_poll(h->multi, NULL, 0, IDLE_MS, NULL);
	}
	return NULL;
}

/* --- from outside --- */

static int start_thread(struct http_client *h)
{
	sigset_t all, old;
	if (h->running)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int e = pthread_create(&h->thread, NULL, run, h);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	h->running = e == 0;
	return -e;
}

int http_start(struct http_client *h, struct http_batch *b, struct http_request *r, struct error *err)
{
	size_t cost = cost_of(r);
	pthread_mutex_lock(&h->lock);
	int e = start_thread(h);
	if (e < 0) {
		pthread_mutex_unlock(&h->lock);
		return error_set(err, e, "no thread for requests: %s", strerrordesc_np(-e));
	}
	while (h->active && (h->active >= h->opts.connections || h->bytes + cost > h->opts.bytes))
		pthread_cond_wait(&h->room, &h->lock);
	h->active++;
	h->bytes += cost;
	r->batch = b;
	r->next = NULL;
	batch_add(b);
	*h->queue_end = r;
	h->queue_end = &r->next;
	pthread_mutex_unlock(&h->lock);
	curl_multi_wakeup(h->multi);
	return 0;
}

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
	curl_global_init(CURL_GLOBAL_DEFAULT);
}

static void take_options(struct http_client *h, const struct http_options *opts)
{
	h->opts = *opts;
	h->opts.connections = opts->connections ?: CONNECTIONS;
	h->opts.bytes = opts->bytes ?: BYTES;
	h->opts.connect_ns = opts->connect_ns ?: CONNECT_NS;
	h->opts.stall_ns = opts->stall_ns ?: STALL_NS;
}

int http_client_new(const struct http_options *opts, struct http_client **ret, struct error *err)
{
	pthread_once(&curl_once, init_curl);
	struct http_client *h = calloc(1, sizeof *h);
	if (!h)
		return -ENOMEM;
	take_options(h, opts);
	h->queue_end = &h->queue;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->room, NULL);
	h->multi = curl_multi_init();
	if (opts->ca_bundle)
		h->ca_bundle = strdup(opts->ca_bundle);
	if (!h->multi || (opts->ca_bundle && !h->ca_bundle)) {
		http_client_free(h);
		return -ENOMEM;
	}
	curl_multi_setopt(h->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)h->opts.connections);
	curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, (long)h->opts.connections);
	*ret = h;
	return 0;
}

void http_client_free(struct http_client *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&h->lock);
	h->stopping = true;
	pthread_mutex_unlock(&h->lock);
	if (h->running) {
		curl_multi_wakeup(h->multi);
		pthread_join(h->thread, NULL);
	}
	for (struct http_transfer *t; (t = h->spare);) {
		h->spare = t->next;
		transfer_free(t);
	}
	curl_multi_cleanup(h->multi);
	pthread_cond_destroy(&h->room);
	pthread_mutex_destroy(&h->lock);
	free(h->ca_bundle);
	free(h);
}

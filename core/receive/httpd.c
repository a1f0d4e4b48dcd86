/* SPDX-License-Identifier: MIT */

/*
 * HTTP by libmicrohttpd, which no other file includes. Its threads read requests and write replies; while a worker
 * has a request, its connection is suspended.
 *
 *     headers -> request_begin() -> body, chunk by chunk -> suspended: request_run() -> done(): resumed -> reply
 *
 * A request that is refused has up to DISCARD_MAX of its body read and forgotten, so that its sender gets to read why;
 * one that says beforehand that it is larger is answered at once, and its connection closed.
 *
 * The watch: libmicrohttpd drops connections that are silent; those that send a byte now and then are dropped by a
 * thread of ours, which gives the headers and the body of a request a time each.
 */

#include <errno.h>
#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>

#include "../base/pct.h"
#include "internal.h"

#define THREADS 2
#define CONNECTIONS_MAX 1024
#define SILENCE_S 30
#define PHASE_NS (60 * NS_PER_S)
#define CONNECTION_MEMORY ((size_t)64 << 10)
#define FORM_BUFFER ((size_t)16 << 10)
#define DISCARD_MAX ((uint64_t)4 << 20)
#define METRICS_MAX ((size_t)1 << 20)

struct conn {
	struct httpd *http;
	struct conn *prev, *next; /* under the server's lock, as what follows */
	int fd;
	int64_t since;            /* of the phase; 0: a worker has it */
};

struct httpd {
	struct receiver *r;
	struct MHD_Daemon *daemon;
	unsigned port;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct conn *conns;
	bool ended;
	pthread_t watch;
	bool watching;
};

struct exchange {
	struct httpd *http;
	struct MHD_Connection *c;
	struct request *rq;
	struct MHD_PostProcessor *form;
	uint64_t discarded;
	bool answered;
	unsigned status; /* of a page that is no request to store; 0 */
};

/* ---- the watch ---- */

static void set_phase(struct exchange *x, int64_t since)
{
	const union MHD_ConnectionInfo *info = MHD_get_connection_info(x->c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct conn *conn = info ? info->socket_context : NULL;
	if (!conn)
		return;
	pthread_mutex_lock(&x->http->lock);
	conn->since = since;
	pthread_mutex_unlock(&x->http->lock);
}

static void on_connection(void *cls, struct MHD_Connection *c, void **ctx, enum MHD_ConnectionNotificationCode what)
{
	struct httpd *h = cls;
	struct conn *conn = *ctx;
	pthread_mutex_lock(&h->lock);
	if (what == MHD_CONNECTION_NOTIFY_STARTED && (conn = calloc(1, sizeof *conn))) {
		const union MHD_ConnectionInfo *info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_CONNECTION_FD);
		*conn = (struct conn){ h, NULL, h->conns, info ? info->connect_fd : -1, clock_monotonic() };
		if (h->conns)
			h->conns->prev = conn;
		h->conns = conn;
		*ctx = conn;
	} else if (what == MHD_CONNECTION_NOTIFY_CLOSED && conn) {
		*(conn->prev ? &conn->prev->next : &h->conns) = conn->next;
		if (conn->next)
			conn->next->prev = conn->prev;
		free(conn);
	}
	pthread_mutex_unlock(&h->lock);
}

static void *watch(void *arg)
{
	struct httpd *h = arg;
	pthread_mutex_lock(&h->lock);
	while (!h->ended) {
		int64_t now = clock_monotonic(), t = clock_now() + NS_PER_S;
		for (struct conn *c = h->conns; c; c = c->next)
			if (c->since && now - c->since > PHASE_NS && c->fd >= 0)
				shutdown(c->fd, SHUT_RDWR);
		pthread_cond_timedwait(&h->wake, &h->lock, &(struct timespec){ t / NS_PER_S, t % NS_PER_S });
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

/* ---- replies ---- */

static enum MHD_Result send_page(struct MHD_Connection *c, unsigned status, const char *type, const struct buf *body,
                                 const struct request *rq)
{
	struct MHD_Response *r = MHD_create_response_from_buffer(body->len, body->data, MHD_RESPMEM_MUST_COPY);
	char seconds[16];
	if (!r)
		return MHD_NO;
	MHD_add_response_header(r, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	if (rq && refused_kinds[rq->refused].retry_after) {
		snprintf(seconds, sizeof seconds, "%d", refused_kinds[rq->refused].retry_after);
		MHD_add_response_header(r, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
	}
	if (status == MHD_HTTP_UNAUTHORIZED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "Bearer");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(r, MHD_HTTP_HEADER_ALLOW, rq && rq->route->reads ? "GET, HEAD" : "POST, PUT");
	enum MHD_Result done = MHD_queue_response(c, status, r);
	MHD_destroy_response(r);
	return done;
}

static enum MHD_Result reply(struct exchange *x)
{
	struct request *rq = x->rq;
	set_phase(x, clock_monotonic());
	if (!x->answered)
		request_answer(rq);
	x->answered = true;
	return send_page(x->c, (unsigned)refused_kinds[rq->refused].http, rq->reply_type, &rq->reply, rq);
}

/* /ready and /metrics. */
static enum MHD_Result send_own(struct httpd *h, struct MHD_Connection *c, const char *url)
{
	struct buf body = BUF_INIT(METRICS_MAX);
	bool ready = !receiver_stopping(h->r);
	const char *type = "text/plain; charset=utf-8";
	if (!strcmp(url, "/metrics")) {
		metrics_write(h->r, &body);
		type = "text/plain; version=0.0.4; charset=utf-8";
		ready = true;
	} else {
		buf_puts(&body, ready ? "ready\n" : "stopping\n");
	}
	enum MHD_Result done = send_page(c, ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, type, &body, NULL);
	buf_done(&body);
	return done;
}

/* ---- requests ---- */

static void on_done(struct request *rq)
{
	struct exchange *x = rq->ctx;
	x->answered = true;
	MHD_resume_connection(x->c);
}

static void on_completed(void *cls, struct MHD_Connection *c, void **ctx, enum MHD_RequestTerminationCode why)
{
	struct exchange *x = *ctx;
	if (!x)
		return;
	if (x->form)
		MHD_destroy_post_processor(x->form);
	request_free(x->rq);
	free(x);
	*ctx = NULL;
}

static const char *header(struct MHD_Connection *c, const char *name)
{
	const char *v = MHD_lookup_connection_value(c, MHD_HEADER_KIND, name);
	return v ? v : "";
}

static enum MHD_Result on_arg(void *cls, enum MHD_ValueKind kind, const char *key, const char *value)
{
	struct request *rq = cls;
	_buf_ struct buf text = BUF_INIT(CONNECTION_MEMORY);
	pct_decode(&text, str_of(value ? value : ""));
	if (buf_err(&text) || (text.len && memchr(text.data, '\0', text.len))) {
		request_refuse(rq, REFUSED_MALFORMED, "the query's %.40s is no text", key);
		return MHD_NO;
	}
	struct label *arg = VEC_PUSH(&rq->args);
	char *k = arena_strndup(&rq->arena, key, strlen(key));
	char *v = arena_strndup(&rq->arena, text.len ? (const char *)text.data : "", text.len);
	if (!arg || !k || !v) {
		rq->args.n -= arg != NULL;
		request_refuse(rq, REFUSED_MEMORY, "no memory for the query");
		return MHD_NO;
	}
	*arg = (struct label){ str_of(k), str_of(v) };
	return MHD_YES;
}

static bool is_read(const char *method)
{
	return !strcmp(method, "GET") || !strcmp(method, "HEAD");
}

static const struct route *find_route(const char *url)
{
	static const struct route *const fixed[] = { &route_push, &route_ingest, &route_otlp, &route_rules };
	for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
		if (!strcmp(url, fixed[i]->path))
			return fixed[i];
	return &route_file;
}

static bool says(const char *value, const char *word)
{
	size_t n = strlen(word);
	return !strncasecmp(value, word, n) && (!value[n] || strchr("; \t", value[n]));
}

static void take_encoding(struct request *rq, const char *encoding)
{
	if (says(encoding, "gzip"))
		rq->gzip = true;
	else if (*encoding && !says(encoding, "identity"))
		request_refuse(rq, REFUSED_MALFORMED, "the content encoding %.40s is not known: gzip is", encoding);
}

/* Old agents tell the format of /ingest by the type of the content. */
static void take_type(struct request *rq, const char *type)
{
	rq->json = says(type, "application/json");
	const char *format = says(type, "binary/octet-stream+trie") ? "trie"
	                     : says(type, "binary/octet-stream+tree") ? "tree" : NULL;
	if (format)
		on_arg(rq, MHD_GET_ARGUMENT_KIND, "format", format);
}

static void take_headers(struct exchange *x, const char *url, const char *method)
{
	struct request *rq = x->rq;
	rq->route = find_route(url);
	rq->path = arena_strndup(&rq->arena, url, strlen(url));
	if (!rq->path)
		request_refuse(rq, REFUSED_MALFORMED, "the path is too long");
	if (rq->route->reads && !is_read(method))
		request_refuse(rq, REFUSED_METHOD, "%s is read by GET", url);
	if (!rq->route->reads && strcmp(method, "POST") && strcmp(method, "PUT"))
		request_refuse(rq, REFUSED_METHOD, "profiles are taken by POST and PUT");
	if (request_begin(rq, header(x->c, MHD_HTTP_HEADER_AUTHORIZATION), header(x->c, "X-Scope-OrgID")))
		return;
	take_encoding(rq, header(x->c, MHD_HTTP_HEADER_CONTENT_ENCODING));
	take_type(rq, header(x->c, MHD_HTTP_HEADER_CONTENT_TYPE));
	MHD_get_connection_values(x->c, MHD_GET_ARGUMENT_KIND, on_arg, rq);
}

static uint64_t content_length(struct MHD_Connection *c)
{
	const char *text = header(c, MHD_HTTP_HEADER_CONTENT_LENGTH);
	return *text ? strtoull(text, NULL, 10) : 0;
}

static const struct {
	const char *name;
	enum form_part part;
} parts[] = {
	{ "profile", PART_PROFILE },
	{ "jfr", PART_PROFILE },
	{ "prev_profile", PART_PREVIOUS },
	{ "sample_type_config", PART_CONFIG },
	{ "labels", PART_LABELS },
};

static enum MHD_Result on_part(void *cls, enum MHD_ValueKind kind, const char *key, const char *file, const char *type,
                               const char *encoding, const char *data, uint64_t off, size_t n)
{
	struct request *rq = cls;
	for (size_t i = 0; key && i < ARRAY_SIZE(parts); i++)
		if (!strcmp(key, parts[i].name) && n)
			request_body(rq, &rq->parts[parts[i].part], data, n);
	return MHD_YES;
}

static void begin_form(struct exchange *x)
{
	struct request *rq = x->rq;
	if (rq->route != &route_ingest || !says(header(x->c, MHD_HTTP_HEADER_CONTENT_TYPE), "multipart/form-data"))
		return;
	rq->is_form = true;
	x->form = MHD_create_post_processor(x->c, FORM_BUFFER, on_part, rq);
	if (!x->form || rq->gzip)
		request_refuse(rq, REFUSED_MALFORMED, "the form cannot be read");
}

static enum MHD_Result begin(struct httpd *h, struct MHD_Connection *c, const char *url, const char *method, void **ctx)
{
	struct exchange *x = calloc(1, sizeof *x);
	if (!x || request_new(h->r, &x->rq)) {
		free(x);
		return MHD_NO;
	}
	*x = (struct exchange){ .http = h, .c = c, .rq = x->rq };
	*ctx = x;
	x->rq->ctx = x;
	x->rq->done = on_done;
	set_phase(x, clock_monotonic());
	take_headers(x, url, method);
	uint64_t length = content_length(c);
	if (x->rq->refused == REFUSED_NOT)
		request_expect(x->rq, length);
	if (x->rq->refused != REFUSED_NOT)
		return length > DISCARD_MAX || *header(c, MHD_HTTP_HEADER_EXPECT) ? reply(x) : MHD_YES;
	begin_form(x);
	return MHD_YES;
}

static enum MHD_Result take_chunk(struct exchange *x, const char *data, size_t n)
{
	struct request *rq = x->rq;
	if (rq->refused != REFUSED_NOT) {
		x->discarded += n;
		request_drop_body(rq);
		return x->discarded > DISCARD_MAX + x->http->r->limits.body_bytes ? MHD_NO : MHD_YES;
	}
	if (!x->form)
		request_body(rq, &rq->body, data, n);
	else if (MHD_post_process(x->form, data, n) != MHD_YES)
		request_refuse(rq, REFUSED_MALFORMED, "the form cannot be read");
	return MHD_YES;
}

static enum MHD_Result end_body(struct exchange *x)
{
	if (x->answered || x->rq->refused != REFUSED_NOT)
		return reply(x);
	if (x->form) {
		if (MHD_destroy_post_processor(x->form) != MHD_YES)
			request_refuse(x->rq, REFUSED_MALFORMED, "the form is cut short");
		x->form = NULL;
		if (x->rq->refused != REFUSED_NOT)
			return reply(x);
	}
	set_phase(x, 0);
	MHD_suspend_connection(x->c);
	request_run(x->rq);
	return MHD_YES;
}

static enum MHD_Result on_request(void *cls, struct MHD_Connection *c, const char *url, const char *method,
                                  const char *version, const char *data, size_t *n, void **ctx)
{
	struct httpd *h = cls;
	struct exchange *x = *ctx;
	bool reads = is_read(method);
	if (reads && !strcmp(url, "/ready"))
		return send_own(h, c, url);
	if (reads && !strcmp(url, "/metrics") &&
	    (!h->r->tokens || tokens_allow(h->r->tokens, header(c, MHD_HTTP_HEADER_AUTHORIZATION))))
		return send_own(h, c, url);
	if (!x)
		return begin(h, c, url, method, ctx);
	if (!*n)
		return end_body(x);
	enum MHD_Result more = take_chunk(x, data, *n);
	*n = 0;
	return more;
}

/* ---- the server ---- */

/* Paths and queries are wanted as they were sent: what a path's components mean is said before they are decoded. */
static size_t unescape_nothing(void *cls, struct MHD_Connection *c, char *s)
{
	return strlen(s);
}

static void on_log(void *cls, const char *fmt, va_list ap)
{
	struct httpd *h = cls;
	char line[400];
	vsnprintf(line, sizeof line, fmt, ap);
	line[strcspn(line, "\n")] = '\0';
	log_msg(h->r->opts.log, LOG_LEVEL_DEBUG, "http: %s", line);
}

/* As gnutls_certificate_retrieve_function2; libmicrohttpd's sessions carry their connection. */
static int on_certificate(void *session, const void *authorities, int n_authorities, const void *algorithms,
                          int n_algorithms, void **chain, unsigned *n_chain, void **key)
{
	struct MHD_Connection *c = tls_context(session);
	const union MHD_ConnectionInfo *info = NULL;
	if (c)
		info = MHD_get_connection_info(c, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	struct conn *conn = info ? info->socket_context : NULL;
	return conn ? tls_pick(conn->http->r->tls, chain, n_chain, key) : -1;
}

static int start(struct httpd *h, int fd)
{
	unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
	struct MHD_OptionItem tls[] = {
		{ h->r->tls ? MHD_OPTION_HTTPS_CERT_CALLBACK : MHD_OPTION_END, 0, (void *)on_certificate },
		{ MHD_OPTION_END, 0, NULL },
	};
	if (h->r->tls)
		flags |= MHD_USE_TLS;
	h->daemon = MHD_start_daemon(flags, 0, NULL, NULL, on_request, h, MHD_OPTION_EXTERNAL_LOGGER, on_log, h,
	                             MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_NOTIFY_CONNECTION, on_connection, h,
	                             MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL,
	                             MHD_OPTION_UNESCAPE_CALLBACK, unescape_nothing, NULL,
	                             MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS,
	                             MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
	                             MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE_S,
	                             MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY,
	                             MHD_OPTION_ARRAY, tls, MHD_OPTION_END);
	if (!h->daemon)
		return -EIO;
	h->watching = !pthread_create(&h->watch, NULL, watch, h);
	return h->watching ? 0 : -EAGAIN;
}

int httpd_new(struct receiver *r, const char *addr, struct httpd **ret, struct error *err)
{
	int fd;
	struct httpd *h = calloc(1, sizeof *h);
	if (!h)
		return -ENOMEM;
	h->r = r;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->wake, NULL);
	int e = listen_on(addr, &fd, &h->port, err);
	if (!e && (e = start(h, fd))) {
		error_set(err, e, "%s: the HTTP server does not start", addr);
		if (!h->daemon)
			close(fd);
	}
	if (e) {
		httpd_free(h);
		return e;
	}
	*ret = h;
	return 0;
}

void httpd_quiesce(struct httpd *h)
{
	int fd = MHD_quiesce_daemon(h->daemon);
	if (fd >= 0)
		close(fd);
}

void httpd_free(struct httpd *h)
{
	if (!h)
		return;
	if (h->daemon)
		MHD_stop_daemon(h->daemon);
	pthread_mutex_lock(&h->lock);
	h->ended = true;
	pthread_cond_signal(&h->wake);
	pthread_mutex_unlock(&h->lock);
	if (h->watching)
		pthread_join(h->watch, NULL);
	pthread_cond_destroy(&h->wake);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

unsigned httpd_port(const struct httpd *h)
{
	return h->port;
}

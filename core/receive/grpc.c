/* SPDX-License-Identifier: MIT */

/*
 * gRPC (github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md) by nghttp2, which no other file includes: unary
 * calls over HTTP/2, in clear (with prior knowledge) or TLS. One thread reads and writes all connections; workers
 * have the requests, and hand them back over a list and an eventfd.
 *
 *     stream: headers -> data -> END_STREAM: request_run() -> done(): on the list -> response -> closed
 *
 * A stream lives until both nghttp2 has closed it and no worker has its request; a connection until all its streams do.
 *
 * Bounds: connections, streams of a connection, bytes of headers, bytes of bodies (the receiver's budget), and
 * time: for the handshake, for a stream's body, and for a silent peer, which is pinged once.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "internal.h"
#include "otlp.h"

#define CONNECTIONS_MAX 512
#define STREAMS_MAX 256
#define HEADERS_MAX ((size_t)32 << 10)
#define WINDOW (1 << 20)
#define SESSION_WINDOW (8 << 20)
#define HANDSHAKE_NS (10 * NS_PER_S)
#define BODY_NS (60 * NS_PER_S)
#define SILENCE_NS (60 * NS_PER_S)
#define PING_NS (20 * NS_PER_S)
#define IDLE_NS (10 * NS_PER_MIN)
#define DISCARD_MAX ((size_t)4 << 20)
#define PREFIX 5 /* of a message: compressed or not, and its length */

struct conn;

struct stream {
	struct conn *conn;
	struct stream *prev, *next; /* of the connection */
	struct stream *done_next;   /* of the list */
	int32_t id;
	struct request *rq;
	size_t header_bytes, discarded, sent;
	char *authorization, *tenant; /* in the request's arena */
	bool begun, running, closed, answered;
	int64_t began;
	uint8_t prefix[PREFIX];
};

struct conn {
	struct grpc *g;
	struct conn *prev, *next;
	int fd;
	nghttp2_session *session;
	struct tls_session *tls;
	bool shaken, dead, pinged;
	struct stream *streams;
	int64_t made, heard, busy; /* clock_monotonic(): of the connection, the last bytes, the last stream */
	const uint8_t *out;        /* nghttp2's, until the next call */
	size_t out_len;
};

struct grpc {
	struct receiver *r;
	unsigned port;
	int listen_fd, epoll_fd, event_fd;
	pthread_t thread;
	bool threaded;
	pthread_mutex_t lock; /* guards what follows */
	struct stream *done;
	bool quiesce, end;
	/* the thread's own */
	struct conn *conns;
	size_t n_conns;
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
};

/* ---- streams ---- */

static void stream_free(struct stream *s)
{
	*(s->prev ? &s->prev->next : &s->conn->streams) = s->next;
	if (s->next)
		s->next->prev = s->prev;
	request_free(s->rq);
	free(s);
}

static void on_done(struct request *rq)
{
	struct stream *s = rq->ctx;
	struct grpc *g = s->conn->g;
	uint64_t one = 1;
	pthread_mutex_lock(&g->lock);
	s->done_next = g->done;
	g->done = s;
	int fd = g->event_fd;
	if (write(fd, &one, sizeof one) < 0) /* full: then it is awake anyway */
		one = 0;
	pthread_mutex_unlock(&g->lock);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct conn *c = ctx;
	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	struct stream *s = calloc(1, sizeof *s);
	if (!s || request_new(c->g->r, &s->rq)) {
		free(s);
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	}
	s->conn = c;
	s->id = frame->hd.stream_id;
	s->began = c->busy = clock_monotonic();
	s->rq->ctx = s;
	s->rq->done = on_done;
	s->next = c->streams;
	if (c->streams)
		c->streams->prev = s;
	c->streams = s;
	nghttp2_session_set_stream_user_data(session, s->id, s);
	return 0;
}

static char *keep(struct stream *s, const uint8_t *value, size_t n)
{
	return arena_strndup(&s->rq->arena, (const char *)value, n);
}

static bool is(struct str a, const char *b)
{
	return str_eq(a, str_of(b));
}

static void take_path(struct request *rq, struct str path)
{
	if (is(path, OTLP_GRPC_PATH))
		rq->route = &route_otlp_grpc;
	else
		request_refuse(rq, REFUSED_PATH, "there is no method %.*s", (int)MIN(path.len, (size_t)200), path.s);
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t n_name,
                     const uint8_t *value, size_t n_value, uint8_t flags, void *ctx)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	struct str key = { (const char *)name, n_name }, text = { (const char *)value, n_value };
	if (!s || s->begun)
		return 0;
	s->header_bytes += n_name + n_value;
	if (s->header_bytes > HEADERS_MAX)
		return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
	if (is(key, ":path"))
		take_path(s->rq, text);
	else if (is(key, "authorization"))
		s->authorization = keep(s, value, n_value);
	else if (is(key, "x-scope-orgid"))
		s->tenant = keep(s, value, n_value);
	else if (is(key, "grpc-encoding") && is(text, "gzip"))
		s->rq->gzip = true;
	else if (is(key, "grpc-encoding") && !is(text, "identity"))
		request_refuse(s->rq, REFUSED_PATH, "the encoding is not known: gzip is");
	return 0;
}

/* ---- replies ---- */

#define NV(name_, value_, n_)                                                                                     \
	{ (uint8_t *)name_, (uint8_t *)(value_), sizeof name_ - 1, (n_), NGHTTP2_NV_FLAG_NONE }
#define NV_TEXT(name_, literal_) NV(name_, literal_, sizeof literal_ - 1)

static ssize_t read_reply(nghttp2_session *session, int32_t id, uint8_t *to, size_t most, uint32_t *flags,
                          nghttp2_data_source *source, void *ctx)
{
	struct stream *s = source->ptr;
	const struct buf *reply = &s->rq->reply;
	uint8_t head[PREFIX] = { 0 };
	uint32_t len = htonl((uint32_t)reply->len);
	memcpy(head + 1, &len, 4);
	size_t all = PREFIX + reply->len, n = MIN(most, all - s->sent);
	for (size_t i = 0; i < n; i++, s->sent++)
		to[i] = s->sent < PREFIX ? head[s->sent] : reply->data[s->sent - PREFIX];
	if (s->sent == all) {
		const nghttp2_nv trailer[] = { NV_TEXT("grpc-status", "0") };
		*flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
		nghttp2_submit_trailer(session, id, trailer, 1);
	}
	return (ssize_t)n;
}

/* A message in a header: percent-encoded, as gRPC wants. */
static void put_message(struct buf *out, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;
		if (c < 0x20 || c > 0x7e || c == '%')
			buf_printf(out, "%%%02X", c);
		else
			buf_putc(out, *s);
	}
}

static int submit_error(struct stream *s)
{
	struct request *rq = s->rq;
	struct buf message = BUF_INIT(4096), details = BUF_INIT(4096);
	char code[16];
	int n_code = snprintf(code, sizeof code, "%d", refused_kinds[rq->refused].grpc);
	put_message(&message, rq->why);
	otlp_status_text(rq, &details);
	nghttp2_nv nv[] = {
		NV_TEXT(":status", "200"),
		NV_TEXT("content-type", "application/grpc"),
		NV("grpc-status", code, (size_t)n_code),
		NV("grpc-message", message.data, message.len),
		NV("grpc-status-details-bin", details.data, details.len),
	};
	int e = nghttp2_submit_response(s->conn->session, s->id, nv, ARRAY_SIZE(nv), NULL);
	buf_done(&message);
	buf_done(&details);
	return e;
}

static void answer(struct stream *s)
{
	const nghttp2_nv nv[] = { NV_TEXT(":status", "200"), NV_TEXT("content-type", "application/grpc") };
	nghttp2_data_provider body = { { .ptr = s }, read_reply };
	if (s->answered)
		return;
	s->answered = true;
	s->conn->busy = clock_monotonic();
	if (s->rq->refused != REFUSED_NOT)
		submit_error(s);
	else
		nghttp2_submit_response(s->conn->session, s->id, nv, ARRAY_SIZE(nv), &body);
}

/* ---- bodies ---- */

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t n, void *ctx)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, id);
	if (!s || s->running || s->answered)
		return 0;
	if (s->rq->refused == REFUSED_NOT)
		request_body(s->rq, &s->rq->body, data, n);
	if (s->rq->refused == REFUSED_NOT)
		return 0;
	request_drop_body(s->rq);
	s->discarded += n;
	if (s->discarded > DISCARD_MAX + s->conn->g->r->limits.body_bytes)
		nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, id, NGHTTP2_ENHANCE_YOUR_CALM);
	return 0;
}

static void begin(struct stream *s)
{
	s->begun = true;
	if (s->rq->refused == REFUSED_NOT && !s->rq->route)
		request_refuse(s->rq, REFUSED_PATH, "no method is named");
	if (s->rq->refused == REFUSED_NOT)
		request_begin(s->rq, s->authorization, s->tenant);
}

/* One message: its prefix is taken off. */
static void unframe(struct request *rq)
{
	uint32_t len;
	struct buf *b = &rq->body;
	if (rq->refused != REFUSED_NOT)
		return;
	if (b->len < PREFIX) {
		request_refuse(rq, REFUSED_MALFORMED, "no message");
		return;
	}
	memcpy(&len, b->data + 1, sizeof len);
	if (ntohl(len) != b->len - PREFIX || b->data[0] > 1 || (b->data[0] && !rq->gzip)) {
		request_refuse(rq, REFUSED_MALFORMED, "the message's frame is no good");
		return;
	}
	rq->gzip = b->data[0];
	memmove(b->data, b->data + PREFIX, b->len - PREFIX);
	b->len -= PREFIX;
}

static void end_body(struct stream *s)
{
	if (s->running || s->answered)
		return;
	unframe(s->rq);
	if (s->rq->refused != REFUSED_NOT) {
		request_answer(s->rq);
		answer(s);
		return;
	}
	s->running = true;
	request_run(s->rq);
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *ctx)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
	if (!s || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA))
		return 0;
	if (frame->hd.type == NGHTTP2_HEADERS && !s->begun)
		begin(s);
	if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
		end_body(s);
	return 0;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *ctx)
{
	struct stream *s = nghttp2_session_get_stream_user_data(session, id);
	if (!s)
		return 0;
	s->closed = true;
	if (!s->running)
		stream_free(s);
	return 0;
}

/* ---- connections ---- */

static void watch_writing(struct conn *c, bool on)
{
	struct epoll_event ev = { .events = EPOLLIN | (on ? EPOLLOUT : 0u), .data.ptr = c };
	epoll_ctl(c->g->epoll_fd, EPOLL_CTL_MOD, c->fd, &ev);
}

static ssize_t conn_send(struct conn *c)
{
	if (c->tls)
		return tls_send(c->tls, c->out, c->out_len);
	ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);
	return n < 0 ? -errno : n;
}

/* Neither side has more to say. */
static bool is_over(struct conn *c)
{
	return !c->out_len && !nghttp2_session_want_read(c->session) && !nghttp2_session_want_write(c->session);
}

/* As much of nghttp2's output as the socket takes. */
static void conn_write(struct conn *c)
{
	bool blocked = false;
	while (!c->dead && !blocked) {
		if (!c->out_len) {
			ssize_t n = nghttp2_session_mem_send(c->session, &c->out);
			c->dead |= n < 0;
			if (n <= 0)
				break;
			c->out_len = (size_t)n;
		}
		ssize_t n = conn_send(c);
		if (n > 0) {
			c->out += n;
			c->out_len -= (size_t)n;
		}
		blocked = n == -EAGAIN || n == -EINTR;
		c->dead |= n < 0 && !blocked;
	}
	if (!c->dead && is_over(c))
		c->dead = true;
	watch_writing(c, blocked);
}

static ssize_t conn_recv(struct conn *c, uint8_t *data, size_t n)
{
	if (c->tls)
		return tls_recv(c->tls, data, n);
	ssize_t got = recv(c->fd, data, n, 0);
	return got < 0 ? -errno : got;
}

static void conn_read(struct conn *c)
{
	uint8_t data[16384];
	if (c->tls && !c->shaken) {
		int r = tls_handshake(c->tls);
		c->dead |= r < 0;
		if (r <= 0)
			return;
	}
	c->shaken = true;
	do {
		ssize_t n = conn_recv(c, data, sizeof data);
		if (n == -EAGAIN || n == -EINTR)
			break;
		if (n <= 0 || nghttp2_session_mem_recv(c->session, data, (size_t)n) < 0) {
			c->dead = true;
			break;
		}
		c->heard = clock_monotonic();
		c->pinged = false;
	} while (c->tls && tls_pending(c->tls));
	conn_write(c);
}

/* Frees a dead connection, unless workers have requests of it. */
static void conn_bury(struct conn *c)
{
	if (c->session)
		nghttp2_session_del(c->session);
	c->session = NULL;
	tls_session_free(c->tls);
	c->tls = NULL;
	if (c->fd >= 0)
		close(c->fd);
	c->fd = -1;
	for (struct stream *s = c->streams, *next; s; s = next) {
		next = s->next;
		s->closed = true;
		if (!s->running)
			stream_free(s);
	}
	if (c->streams)
		return;
	*(c->prev ? &c->prev->next : &c->g->conns) = c->next;
	if (c->next)
		c->next->prev = c->prev;
	c->g->n_conns--;
	free(c);
}

static int conn_start(struct conn *c)
{
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_MAX },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, HEADERS_MAX },
	};
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	int one = 1;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (nghttp2_session_server_new2(&c->session, c->g->callbacks, c, c->g->option))
		return -ENOMEM;
	if (c->g->r->tls && tls_session_new(c->g->r->tls, c->fd, &c->tls))
		return -ENOMEM;
	if (nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, ARRAY_SIZE(settings)) ||
	    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, SESSION_WINDOW))
		return -ENOMEM;
	return epoll_ctl(c->g->epoll_fd, EPOLL_CTL_ADD, c->fd, &ev) ? -errno : 0;
}

static void accept_one(struct grpc *g)
{
	int fd = accept4(g->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	struct conn *c = fd >= 0 && g->n_conns < CONNECTIONS_MAX ? calloc(1, sizeof *c) : NULL;
	if (!c) {
		if (fd >= 0)
			close(fd);
		return;
	}
	*c = (struct conn){ .g = g, .next = g->conns, .fd = fd };
	c->made = c->heard = c->busy = clock_monotonic();
	if (g->conns)
		g->conns->prev = c;
	g->conns = c;
	g->n_conns++;
	c->dead = conn_start(c) != 0;
}

/* ---- time ---- */

static void tick_conn(struct conn *c, int64_t now)
{
	bool handshake = !c->shaken || !nghttp2_session_get_last_proc_stream_id(c->session);
	if (handshake && now - c->made > (c->shaken ? SILENCE_NS : HANDSHAKE_NS))
		c->dead = true;
	if (!c->streams && now - c->busy > IDLE_NS)
		nghttp2_session_terminate_session(c->session, NGHTTP2_NO_ERROR);
	if (now - c->heard > SILENCE_NS + PING_NS)
		c->dead = true;
	if (now - c->heard > SILENCE_NS && !c->pinged && c->shaken) {
		c->pinged = true;
		nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
	}
	for (struct stream *s = c->streams; s; s = s->next)
		if (!s->running && !s->closed && now - s->began > BODY_NS)
			nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
	if (!c->dead && c->shaken)
		conn_write(c);
}

static void take_done(struct grpc *g)
{
	uint64_t n;
	if (read(g->event_fd, &n, sizeof n) < 0)
		n = 0;
	pthread_mutex_lock(&g->lock);
	struct stream *list = g->done;
	g->done = NULL;
	pthread_mutex_unlock(&g->lock);
	for (struct stream *s = list, *next; s; s = next) {
		struct conn *c = s->conn;
		next = s->done_next;
		s->running = false;
		if (s->closed) {
			stream_free(s);
			continue;
		}
		answer(s);
		if (!c->dead)
			conn_write(c);
	}
}

/* The flags of the owner; the listening socket goes at the first. */
static bool owner_wants_end(struct grpc *g)
{
	pthread_mutex_lock(&g->lock);
	bool end = g->end, quiesce = g->quiesce;
	pthread_mutex_unlock(&g->lock);
	if (quiesce && g->listen_fd >= 0) {
		close(g->listen_fd);
		g->listen_fd = -1;
		for (struct conn *c = g->conns; c; c = c->next) {
			if (c->dead || !c->session)
				continue;
			int32_t last = nghttp2_session_get_last_proc_stream_id(c->session);
			nghttp2_submit_goaway(c->session, NGHTTP2_FLAG_NONE, last, NGHTTP2_NO_ERROR, NULL, 0);
			if (c->shaken)
				conn_write(c);
		}
	}
	return end;
}

static void sweep(struct grpc *g, bool tick)
{
	int64_t now = clock_monotonic();
	for (struct conn *c = g->conns, *next; c; c = next) {
		next = c->next;
		if (tick && !c->dead)
			tick_conn(c, now);
		if (c->dead)
			conn_bury(c);
	}
}

static void *serve(void *arg)
{
	struct grpc *g = arg;
	struct epoll_event events[64];
	int64_t ticked = clock_monotonic();
	while (!owner_wants_end(g)) {
		int n = epoll_wait(g->epoll_fd, events, ARRAY_SIZE(events), 1000);
		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;
			if (!c)
				take_done(g);
			else if ((void *)c == (void *)g)
				accept_one(g);
			else if (!c->dead && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
				conn_read(c);
			else if (!c->dead)
				conn_write(c);
		}
		bool tick = clock_monotonic() - ticked > NS_PER_S;
		sweep(g, tick);
		if (tick)
			ticked = clock_monotonic();
	}
	for (struct conn *c = g->conns, *next; c; c = next) {
		next = c->next;
		c->dead = true;
		conn_bury(c);
	}
	return NULL;
}

/* ---- the server ---- */

static int set_up(struct grpc *g)
{
	if (nghttp2_session_callbacks_new(&g->callbacks) || nghttp2_option_new(&g->option))
		return -ENOMEM;
	nghttp2_session_callbacks_set_on_begin_headers_callback(g->callbacks, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(g->callbacks, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(g->callbacks, on_data);
	nghttp2_session_callbacks_set_on_frame_recv_callback(g->callbacks, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(g->callbacks, on_close);
	nghttp2_option_set_no_closed_streams(g->option, 1);
	nghttp2_option_set_max_settings(g->option, 32);
	g->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	g->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct epoll_event woken = { .events = EPOLLIN, .data.ptr = NULL };
	struct epoll_event knocked = { .events = EPOLLIN, .data.ptr = g };
	if (g->epoll_fd < 0 || g->event_fd < 0 || epoll_ctl(g->epoll_fd, EPOLL_CTL_ADD, g->event_fd, &woken) ||
	    epoll_ctl(g->epoll_fd, EPOLL_CTL_ADD, g->listen_fd, &knocked))
		return -errno;
	g->threaded = !pthread_create(&g->thread, NULL, serve, g);
	return g->threaded ? 0 : -EAGAIN;
}

int grpc_new(struct receiver *r, const char *addr, struct grpc **ret, struct error *err)
{
	struct grpc *g = calloc(1, sizeof *g);
	if (!g)
		return -ENOMEM;
	*g = (struct grpc){ .r = r, .listen_fd = -1, .epoll_fd = -1, .event_fd = -1 };
	pthread_mutex_init(&g->lock, NULL);
	int e = listen_on(addr, &g->listen_fd, &g->port, err);
	if (!e && (e = set_up(g)))
		error_set(err, e, "%s: the gRPC server does not start", addr);
	if (e) {
		grpc_free(g);
		return e;
	}
	*ret = g;
	return 0;
}

static void tell(struct grpc *g, bool end)
{
	uint64_t one = 1;
	pthread_mutex_lock(&g->lock);
	g->quiesce = true;
	g->end |= end;
	if (write(g->event_fd, &one, sizeof one) < 0)
		one = 0;
	pthread_mutex_unlock(&g->lock);
}

void grpc_quiesce(struct grpc *g)
{
	tell(g, false);
}

void grpc_free(struct grpc *g)
{
	if (!g)
		return;
	if (g->threaded) {
		tell(g, true);
		pthread_join(g->thread, NULL);
	}
	nghttp2_session_callbacks_del(g->callbacks);
	nghttp2_option_del(g->option);
	if (g->listen_fd >= 0)
		close(g->listen_fd);
	if (g->epoll_fd >= 0)
		close(g->epoll_fd);
	if (g->event_fd >= 0)
		close(g->event_fd);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

unsigned grpc_port(const struct grpc *g)
{
	return g->port;
}

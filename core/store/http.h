/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Requests over HTTP/1.1, many at a time: one thread drives them all over a bounded pool of connections that are kept
 * open. Nothing is retried here. Thread safe.
 *
 * http_start() waits while as many requests or bytes are under way as the options allow, so that whoever is faster than
 * the network is slowed down and memory stays bounded. Those of one caller end on their own: holding some while
 * starting another cannot lock up.
 */

#include <pthread.h>

#include "../base/buf.h"

struct http_client;

struct http_options {
	unsigned connections;   /* 0: 64; also the most requests under way */
	size_t bytes;           /* 0: 64 MiB; the most bytes of bodies under way, but always one request */
	int64_t connect_ns;     /* 0: 5 s */
	int64_t stall_ns;       /* 0: 20 s; without a byte in either direction; whole seconds */
	const char *ca_bundle;  /* whom to trust, and nobody else; NULL: the system's */
	bool no_proxy;          /* HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in either case, do not count */
};

/* What an answer says of itself, as far as anybody asks. Absent numbers are -1, absent texts "". */
struct http_answer {
	int status;
	int64_t length;       /* of the body as promised */
	int64_t range_start, range_end, range_total; /* of Content-Range; both ends belong to it */
	int64_t date_ns;      /* the server's clock, whole seconds */
	int64_t date_at;      /* clock_monotonic() when it came */
	int64_t retry_after_ns;
	char etag[80];
	char bucket_region[32];
};

enum http_end {
	HTTP_ANSWERED,    /* a whole answer, whatever its status */
	HTTP_NOT_SENT,    /* the server cannot have seen it: no address, no connection, no TLS */
	HTTP_LOST,        /* sent, wholly or in part, but no whole answer came */
	HTTP_TIMED_OUT,   /* as HTTP_LOST, by a time-out */
	HTTP_STOPPED,     /* by the sink */
	HTTP_UNTRUSTED,   /* not sent: the server's certificate does not hold */
	HTTP_IMPOSSIBLE,  /* not sent, and no repetition helps: the URL, the CA bundle */
};

struct http_request {
	const char *method, *url;        /* borrowed until it has ended */
	const char *const *headers;      /* "name: value"; borrowed */
	size_t n_headers;
	struct slice body;               /* borrowed; sent where the method is PUT or POST */
	size_t expect;                   /* bytes of the answer, for the limit */
	int64_t timeout_ns;              /* of the whole */
	bool once;                       /* is never sent twice; where a connection died under it, it is lost */
	/*
	 * Takes the body of an answer of status 2xx: n bytes at `off`. Called on the engine's thread. false stops the
	 * request. Other bodies go to `text`, which is cut at its cap.
	 */
	bool (*sink)(void *ctx, const struct http_answer *a, uint64_t off, const uint8_t *data, size_t n);
	void *ctx;
	struct buf *text;                /* NULL: dropped */

	/* Results, valid when it has ended. */
	enum http_end end;
	struct http_answer answer;
	char why[256];                   /* a sentence where there was no answer */

	/* The engine's own. */
	struct http_batch *batch;
	struct http_request *next;
};

/* Requests that one caller waits for. */
struct http_batch {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	size_t pending; /* under lock */
};

void http_batch_init(struct http_batch *b);
void http_batch_done(struct http_batch *b);
/* Returns when all that were started have ended. */
void http_batch_wait(struct http_batch *b);

/* New. The thread starts with the first request, so that a process may fork before. */
int http_client_new(const struct http_options *opts, struct http_client **ret, struct error *err);
/* No request may be under way. */
void http_client_free(struct http_client *h);
DEFINE_CLEANUP(struct http_client *, http_client_free);

/* Starts r, which must live until its batch was waited for. 0, or -ENOMEM and such: then it has not been started. */
int http_start(struct http_client *h, struct http_batch *b, struct http_request *r, struct error *err);

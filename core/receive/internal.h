/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of this folder share. A request is the same whatever brought it:
 *
 *     transport (httpd.c, grpc.c)     headers -> request_begin() -> body -> request_run()
 *     worker (request.c)             route's function -> delivery -> db_write() -> reply
 *     transport                      done() -> answer
 *
 * Transports run on threads of their own and never decode nor wait for the store; workers do.
 */

#include <pthread.h>

#include "../base/clock.h"
#include "../base/idset.h"
#include "../base/pool.h"
#include "../db/db.h"
#include "../db/rules.h"
#include "../format/format.h"
#include "../paths/ingest.h"
#include "../profile/relabel.h"
#include "receive.h"

/* ---- refusals (refused.c) ---- */

/* Why a request, or a part of it, was not taken; each has its name in the metrics and its codes. */
enum refused {
	REFUSED_NOT,
	REFUSED_MALFORMED,  /* the request or a profile is no good */
	REFUSED_AUTH,       /* no token, or a wrong one */
	REFUSED_TENANT,     /* no tenant, or more than are allowed */
	REFUSED_PATH,       /* nothing is taken there */
	REFUSED_METHOD,
	REFUSED_BODY,       /* too large as sent */
	REFUSED_SIZE,       /* too large when decompressed */
	REFUSED_LABELS,     /* too many or too long labels */
	REFUSED_SERIES,     /* too many label sets of a service */
	REFUSED_RATE,       /* too many bytes per second */
	REFUSED_FLIGHT,     /* too many requests at once */
	REFUSED_MEMORY,     /* the process is full */
	REFUSED_STORE,      /* the store failed */
	REFUSED_STOPPING,
	REFUSED_N,
};

struct refused_kind {
	const char *name;    /* of the metrics' label */
	int http, grpc;
	const char *connect; /* Connect's code */
	int retry_after;     /* s; 0: trying again is of no use */
};

extern const struct refused_kind refused_kinds[REFUSED_N];

/* ---- metrics (metrics.c) ---- */

enum endpoint { ENDPOINT_PUSH, ENDPOINT_INGEST, ENDPOINT_OTLP_HTTP, ENDPOINT_OTLP_GRPC, ENDPOINT_FILE, ENDPOINT_RULES,
	        ENDPOINT_N };

#define LATENCY_BUCKETS 13

struct latency {
	atomic_uint_fast64_t buckets[LATENCY_BUCKETS + 1], sum_ns;
};

struct metrics {
	atomic_uint_fast64_t accepted, duplicates, dropped; /* profiles */
	atomic_uint_fast64_t refused[REFUSED_N];            /* requests and profiles */
	atomic_uint_fast64_t bytes;                         /* bodies, as sent */
	atomic_uint_fast64_t requests[ENDPOINT_N], failed[ENDPOINT_N];
	struct latency latency[ENDPOINT_N];
};

void latency_note(struct latency *l, int64_t ns);
void metrics_write(struct receiver *r, struct buf *out);

/* ---- memory (quota.c) ---- */

/* Bytes that may be in use at once. */
struct quota {
	pthread_mutex_t lock;
	pthread_cond_t freed;
	size_t used, max; /* under lock */
};

void quota_init(struct quota *b, size_t max);
void quota_done(struct quota *b);
bool quota_try(struct quota *b, size_t n); /* takes n, or nothing */
void quota_wait(struct quota *b, size_t n); /* waits until n (at most max) are free, and takes them */
void quota_give(struct quota *b, size_t n);
size_t quota_used(struct quota *b);

/* ---- who may (auth.c) ---- */

struct tokens;

int tokens_open(const char *file, struct tokens **ret, struct error *err);
void tokens_free(struct tokens *t);
/* Whether "Bearer TOKEN" is one of the file's, as it is now. authorization may be NULL. */
bool tokens_allow(struct tokens *t, const char *authorization);

/* ---- TLS (tls.c) ---- */

struct tls;
struct tls_session;

/* Certificate and key, read again when the files change. */
int tls_open(const char *cert, const char *key, const struct log *log, struct tls **ret, struct error *err);
void tls_free(struct tls *t);
/* What gnutls_certificate_retrieve_function2 answers, in libmicrohttpd's sessions too; and such a session's pointer. */
int tls_pick(struct tls *t, void **ret_chain, unsigned *ret_n, void **ret_key);
void *tls_context(void *session);

int tls_session_new(struct tls *t, int fd, struct tls_session **ret); /* of a server, for h2; fd is borrowed */
void tls_session_free(struct tls_session *s);
/* 1 done, 0 again later, negative failed. */
int tls_handshake(struct tls_session *s);
/* As recv(2) and send(2) on a socket that does not block: -EAGAIN; 0 at the end. */
ssize_t tls_recv(struct tls_session *s, void *data, size_t n);
ssize_t tls_send(struct tls_session *s, const void *data, size_t n);
bool tls_pending(struct tls_session *s);

/* ---- tenants (tenant.c) ---- */

struct series_set; /* the label sets of a service today */

struct tenant {
	struct receiver *r;
	char *name;
	struct db *db;
	struct tree *tree;         /* for its metrics by rule */
	struct background *compaction; /* NULL where this receiver compacts nothing */
	struct recent *recent;
	pthread_mutex_t lock;      /* guards what follows */
	uint64_t in_flight;
	double tokens;             /* bytes that may be taken now */
	int64_t refilled;          /* clock_monotonic() */
	int32_t day;               /* of the series */
	VEC(struct series_set) services;
	size_t n_series;
};

struct tenants {
	pthread_mutex_t lock;
	VEC(struct tenant *) v;
};

struct request;

/* The tenant of that name, opened at its first use; refuses the request where there is none. Borrowed for ever. */
int tenant_find(struct request *rq, const char *name, struct tenant **ret);
void tenants_done(struct tenants *t);
/* One more request, one more chunk of n bytes, one more profile with these labels: 0, or refuses. */
int tenant_enter(struct request *rq);
void tenant_leave(struct tenant *t);
int tenant_bytes(struct request *rq, size_t n);
int tenant_series(struct request *rq, struct str service, const struct label *labels, size_t n);

/* ---- requests (request.c) ---- */

enum form_part { PART_PROFILE, PART_PREVIOUS, PART_CONFIG, PART_LABELS, PART_N };

struct route;

struct request {
	struct receiver *r;
	const struct route *route;
	struct tenant *tenant;
	bool entered;               /* counted by the tenant and the receiver */
	int64_t began;
	struct arena arena;         /* texts of what follows */
	VEC(struct label) args;     /* of the query */
	const char *path;           /* as sent, with a leading '/' */
	bool gzip, json;
	struct buf body;
	struct buf parts[PART_N];   /* of a form */
	bool is_form;
	size_t received, charged;   /* bytes of the body; of the receiver's quota for bodies */

	enum refused refused;
	char why[400];
	uint64_t accepted, duplicates, dropped, rejected; /* profiles; the last of a partial success */
	struct buf reply;
	const char *reply_type;

	/* Called once, on a worker's thread. */
	void (*done)(struct request *rq);
	void *ctx;
};

struct route {
	enum endpoint endpoint;
	const char *path;           /* NULL: of files */
	bool reads;                 /* by GET */
	int (*run)(struct request *rq);
	void (*answer)(struct request *rq); /* makes the reply, of a refusal too; NULL: text */
};

extern const struct route route_push, route_ingest, route_otlp, route_otlp_grpc, route_file, route_rules;

/* The first reason stays. Returns a negative error. */
int request_refuse(struct request *rq, enum refused why, const char *fmt, ...) _printf_(3, 4);
/* The same for what a callee said. */
int request_refuse_error(struct request *rq, int e, const struct error *err);

int request_new(struct receiver *r, struct request **ret);
void request_free(struct request *rq);
/* Of the headers alone: token, tenant, limits. */
int request_begin(struct request *rq, const char *authorization, const char *tenant);
/*
 * Takes n bytes of the quota before the body comes, where its length is known: so that of many bodies that do not all
 * fit, some get through.
 */
int request_expect(struct request *rq, size_t n);
/* More of the body, or of a part of its form. */
int request_body(struct request *rq, struct buf *to, const void *data, size_t n);
/* Gives its memory back: what is refused, or done, needs it no more. */
void request_drop_body(struct request *rq);
/* All of the body is there: a worker goes on; done() is called also where nobody can. */
void request_run(struct request *rq);
/* Makes the reply of a request that no worker has seen. */
void request_answer(struct request *rq);
void request_answer_text(struct request *rq); /* of what was taken, or why it was refused */
const char *request_arg(const struct request *rq, const char *key); /* "" where absent */

/* ---- labels beside a recording (jfr_labels.c) ---- */

struct jfr_labels;

/* Borrows from `in`. New. */
int jfr_labels_read(struct slice in, struct jfr_labels **ret, struct error *err);
void jfr_labels_free(struct jfr_labels *l);
DEFINE_CLEANUP(struct jfr_labels *, jfr_labels_free);
/* Gives samples the labels of their context. ERR_FORMAT_LIMIT where all labels would take more than max_bytes. */
int jfr_labels_apply(const struct jfr_labels *l, struct profile *p, size_t max_bytes);

/* ---- delivery (deliver.c) ---- */

/* What a request says of a profile beside its bytes. */
struct sending {
	struct str service;            /* "": as the profile says */
	const struct label *labels;    /* as sent */
	size_t n_labels;
	const struct label *path_labels;
	size_t n_path_labels;
	int64_t time, duration;        /* of profiles that do not say; 0: nobody does */
	enum temporality temporality;
	struct str kind, type, unit;   /* "" for none */
	uint64_t sample_rate;          /* of text: samples are time too; 0 */
	struct str salt;               /* tells profiles without a time apart */
	struct str id;                 /* the sender's own of the profile; "" */
	const struct jfr_labels *jfr_labels; /* of the contexts of samples; NULL */
};

/* Profiles of one request, decoded, on their way into the store. */
struct delivery;

int delivery_new(struct request *rq, struct delivery **ret);
void delivery_free(struct delivery *d);
DEFINE_CLEANUP(struct delivery *, delivery_free);
/* Decodes bytes in any format; they and what `s` points to are borrowed until delivery_commit(). */
int delivery_add(struct delivery *d, struct slice bytes, const struct sending *s);
/* Takes one decoded profile over, and may write what is gathered; *p is empty afterwards. */
int delivery_take(struct delivery *d, struct decoded *p, const struct sending *s);
/* Writes what is gathered: durable on 0, with the request's counts. */
int delivery_commit(struct delivery *d);
/* The request's body, decompressed if it was compressed; borrowed from the delivery or the request. */
int delivery_body(struct delivery *d, struct slice *ret);
size_t delivery_max_bytes(const struct delivery *d); /* of decompressed profiles */
/* Whether a larger share of memory may help; then it is taken, and the work is to be done again from the start. */
bool delivery_grow(struct delivery *d);

/* ---- the receiver ---- */

struct httpd;
struct grpc;

#define IDLE_READERS 64

struct receiver {
	struct store *store;
	struct receive_options opts;
	struct receive_limits limits; /* with defaults filled in */
	struct pool *pool;
	struct quota bodies, decoded;
	struct metrics metrics;
	struct tokens *tokens;        /* NULL: nobody is asked */
	struct tls *tls;              /* NULL: in clear */
	struct tenants tenants;
	struct httpd *http, *otlp_http;
	struct grpc *grpc;

	pthread_mutex_t lock;         /* guards what follows */
	pthread_cond_t idle;
	uint64_t in_flight;
	bool stopping, stopped;
	struct format_reader *readers[IDLE_READERS]; /* whose memory is used again */
	size_t n_readers;
};

bool receiver_stopping(struct receiver *r);

int httpd_new(struct receiver *r, const char *addr, struct httpd **ret, struct error *err);
void httpd_quiesce(struct httpd *h);  /* accepts no more */
void httpd_free(struct httpd *h);
unsigned httpd_port(const struct httpd *h);

int grpc_new(struct receiver *r, const char *addr, struct grpc **ret, struct error *err);
void grpc_quiesce(struct grpc *g);
void grpc_free(struct grpc *g);
unsigned grpc_port(const struct grpc *g);

/* A socket that listens on "ADDR:PORT"; tells the port it got. New. */
int listen_on(const char *addr, int *ret_fd, unsigned *ret_port, struct error *err);

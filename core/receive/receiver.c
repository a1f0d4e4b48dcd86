/* SPDX-License-Identifier: MIT */

/*
 * The life of a receiver. Starting: listen, then serve. Stopping: accept no connection and no request any more,
 * wait for the requests that were accepted, then close what is open. Each of them is answered once it is durable,
 * or refused.
 */

#include <string.h>

#include "internal.h"

#define MEMORY_DEFAULT ((uint64_t)384 << 20)
#define MEMORY_MIN ((uint64_t)16 << 20)
/*
 * As many as requests that are written together: profiles of one flush share their symbols. Of 128 senders' profiles,
 * 32 workers put 12 into a segment, 128 put 59, and take a third of the CPU time.
 */
#define THREADS_DEFAULT 128
#define GRACE_DEFAULT (30 * NS_PER_S)

static void defaults(struct receiver *r)
{
	struct receive_limits *l = &r->limits;
	*l = r->opts.limits;
	l->body_bytes = l->body_bytes ?: (uint64_t)32 << 20;
	l->profile_bytes = l->profile_bytes ?: (uint64_t)64 << 20;
	l->in_flight = l->in_flight ?: 1000;
	l->bytes_per_s = l->bytes_per_s ?: RECEIVE_NO_LIMIT;
	l->labels = l->labels ?: 100;
	l->series = l->series ?: 100000;
	r->opts.memory = r->opts.memory ?: MEMORY_DEFAULT;
	r->opts.max_tenants = r->opts.max_tenants ?: 100;
	r->opts.threads = r->opts.threads ?: THREADS_DEFAULT;
	r->opts.grace = r->opts.grace ?: GRACE_DEFAULT;
	l->body_bytes = MIN(l->body_bytes, r->opts.memory / 4);
}

static int check_options(struct receiver *r, struct error *err)
{
	if (!r->opts.tls_cert != !r->opts.tls_key)
		return error_set(err, -EINVAL, "TLS needs both a certificate and a key");
	if (r->opts.memory < MEMORY_MIN)
		return error_set(err, -EINVAL, "less than %llu MiB of memory is too little",
		                 (unsigned long long)MEMORY_MIN >> 20);
	return 0;
}

static int begin(struct receiver *r, struct error *err)
{
	int e = check_options(r, err);
	if (!e && r->opts.token_file)
		e = tokens_open(r->opts.token_file, &r->tokens, err);
	if (!e && r->opts.tls_cert)
		e = tls_open(r->opts.tls_cert, r->opts.tls_key, r->opts.log, &r->tls, err);
	if (!e)
		e = pool_new(r->opts.threads, &r->pool);
	if (!e && r->opts.http)
		e = httpd_new(r, r->opts.http, &r->http, err);
	if (!e && r->opts.otlp_http)
		e = httpd_new(r, r->opts.otlp_http, &r->otlp_http, err);
	if (!e && r->opts.grpc)
		e = grpc_new(r, r->opts.grpc, &r->grpc, err);
	return e;
}

/* The default tenant is opened at once, so that a store that cannot be read is told before anything is accepted. */
static int open_first(struct receiver *r, struct error *err)
{
	struct request *rq;
	struct tenant *t;
	if (r->opts.tenants)
		return 0;
	int e = request_new(r, &rq);
	if (e)
		return e;
	if (tenant_find(rq, r->opts.tenant ? r->opts.tenant : "default", &t))
		e = error_set(err, -EINVAL, "%s", rq->why);
	request_free(rq);
	return e;
}

int receiver_new(struct store *store, const struct receive_options *opts, struct receiver **ret, struct error *err)
{
	struct receiver *r = calloc(1, sizeof *r);
	if (!r)
		return -ENOMEM;
	r->store = store;
	r->opts = *opts;
	defaults(r);
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->idle, NULL);
	pthread_mutex_init(&r->tenants.lock, NULL);
	quota_init(&r->bodies, r->opts.memory / 4);
	quota_init(&r->decoded, r->opts.memory - r->opts.memory / 4);
	int e = open_first(r, err);
	if (!e)
		e = begin(r, err);
	if (e) {
		receiver_free(r);
		return e;
	}
	*ret = r;
	return 0;
}

bool receiver_stopping(struct receiver *r)
{
	pthread_mutex_lock(&r->lock);
	bool stopping = r->stopping;
	pthread_mutex_unlock(&r->lock);
	return stopping;
}

static int wait_idle(struct receiver *r)
{
	int64_t end = clock_now() + r->opts.grace;
	struct timespec until = { end / NS_PER_S, end % NS_PER_S };
	int e = 0;
	pthread_mutex_lock(&r->lock);
	while (r->in_flight && e != ETIMEDOUT)
		e = pthread_cond_timedwait(&r->idle, &r->lock, &until);
	bool idle = !r->in_flight;
	pthread_mutex_unlock(&r->lock);
	return idle ? 0 : -ETIMEDOUT;
}

int receiver_stop(struct receiver *r)
{
	pthread_mutex_lock(&r->lock);
	bool again = r->stopping;
	r->stopping = true;
	pthread_mutex_unlock(&r->lock);
	if (again)
		return 0;
	if (r->http)
		httpd_quiesce(r->http);
	if (r->otlp_http)
		httpd_quiesce(r->otlp_http);
	if (r->grpc)
		grpc_quiesce(r->grpc);
	return wait_idle(r);
}

void receiver_free(struct receiver *r)
{
	if (!r)
		return;
	receiver_stop(r);
	httpd_free(r->http);
	httpd_free(r->otlp_http);
	grpc_free(r->grpc);
	pool_free(r->pool);
	tenants_done(&r->tenants);
	for (size_t i = 0; i < r->n_readers; i++)
		format_reader_free(r->readers[i]);
	tokens_free(r->tokens);
	tls_free(r->tls);
	quota_done(&r->bodies);
	quota_done(&r->decoded);
	pthread_mutex_destroy(&r->tenants.lock);
	pthread_cond_destroy(&r->idle);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

unsigned receiver_http_port(const struct receiver *r)
{
	return r->http ? httpd_port(r->http) : 0;
}

unsigned receiver_otlp_http_port(const struct receiver *r)
{
	return r->otlp_http ? httpd_port(r->otlp_http) : 0;
}

unsigned receiver_grpc_port(const struct receiver *r)
{
	return r->grpc ? grpc_port(r->grpc) : 0;
}

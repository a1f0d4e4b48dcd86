/* SPDX-License-Identifier: MIT */

/*
 * A request from its headers to its reply. What refuses it, first wins; a refused request still has its body read where
 * that is short, so that its sender hears why.
 */

#include <string.h>

#include "internal.h"

#define ARENA_MAX ((size_t)256 << 10)
#define REPLY_MAX ((size_t)64 << 10)

int request_refuse(struct request *rq, enum refused why, const char *fmt, ...)
{
	if (rq->refused != REFUSED_NOT)
		return -EINVAL;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(rq->why, sizeof rq->why, fmt, ap);
	va_end(ap);
	rq->refused = why;
	return -EINVAL;
}

static enum refused reason_of(int e)
{
	if (e == ERR_FORMAT_LIMIT || e == ERR_LIMIT_BUFFER)
		return REFUSED_SIZE;
	if (e == ERR_LIMIT)
		return REFUSED_LABELS;
	if (e == -ENOMEM || e == ERR_LIMIT_MEMORY)
		return REFUSED_MEMORY;
	return err_errno(e) == EINVAL ? REFUSED_MALFORMED : REFUSED_STORE;
}

int request_refuse_error(struct request *rq, int e, const struct error *err)
{
	return request_refuse(rq, reason_of(e), "%s", error_text(err, e));
}

const char *request_arg(const struct request *rq, const char *key)
{
	for (size_t i = 0; i < rq->args.n; i++)
		if (str_eq(rq->args.v[i].key, str_of(key)))
			return rq->args.v[i].value.s;
	return "";
}

int request_new(struct receiver *r, struct request **ret)
{
	struct request *rq = calloc(1, sizeof *rq);
	if (!rq)
		return -ENOMEM;
	rq->r = r;
	rq->began = clock_monotonic();
	rq->arena = ARENA_INIT(ARENA_MAX);
	rq->reply = BUF_INIT(REPLY_MAX);
	rq->body = BUF_INIT(r->limits.body_bytes);
	for (size_t i = 0; i < PART_N; i++)
		rq->parts[i] = BUF_INIT(r->limits.body_bytes);
	*ret = rq;
	return 0;
}

void request_drop_body(struct request *rq)
{
	buf_done(&rq->body);
	for (size_t i = 0; i < PART_N; i++)
		buf_done(&rq->parts[i]);
	quota_give(&rq->r->bodies, rq->charged);
	rq->charged = 0;
}

static void leave(struct request *rq)
{
	struct receiver *r = rq->r;
	if (!rq->entered)
		return;
	rq->entered = false;
	tenant_leave(rq->tenant);
	pthread_mutex_lock(&r->lock);
	if (--r->in_flight == 0)
		pthread_cond_broadcast(&r->idle);
	pthread_mutex_unlock(&r->lock);
}

void request_free(struct request *rq)
{
	if (!rq)
		return;
	request_drop_body(rq);
	leave(rq);
	VEC_DONE(&rq->args);
	buf_done(&rq->reply);
	arena_done(&rq->arena);
	free(rq);
}

static int enter(struct request *rq)
{
	struct receiver *r = rq->r;
	int e = tenant_enter(rq);
	if (e)
		return e;
	pthread_mutex_lock(&r->lock);
	bool stopping = r->stopping;
	r->in_flight += !stopping;
	pthread_mutex_unlock(&r->lock);
	if (stopping) {
		tenant_leave(rq->tenant);
		return request_refuse(rq, REFUSED_STOPPING, "stopping");
	}
	rq->entered = true;
	return 0;
}

int request_begin(struct request *rq, const char *authorization, const char *tenant)
{
	struct receiver *r = rq->r;
	if (r->tokens && !tokens_allow(r->tokens, authorization))
		return request_refuse(rq, REFUSED_AUTH, "a bearer token is needed");
	const char *name = r->opts.tenant ? r->opts.tenant : "default";
	if (r->opts.tenants && (!tenant || !*tenant))
		return request_refuse(rq, REFUSED_TENANT, "X-Scope-OrgID is missing: it names the tenant");
	int e = tenant_find(rq, r->opts.tenants ? tenant : name, &rq->tenant);
	return e ? e : enter(rq);
}

int request_expect(struct request *rq, size_t n)
{
	if (n > rq->r->limits.body_bytes)
		return request_refuse(rq, REFUSED_BODY, "the body is larger than the %llu bytes allowed",
		                      (unsigned long long)rq->r->limits.body_bytes);
	if (n <= rq->charged)
		return 0;
	if (!quota_try(&rq->r->bodies, n - rq->charged))
		return request_refuse(rq, REFUSED_MEMORY, "too many bytes are on their way at once");
	rq->charged = n;
	return 0;
}

int request_body(struct request *rq, struct buf *to, const void *data, size_t n)
{
	if (rq->refused != REFUSED_NOT || request_expect(rq, rq->received + n) || tenant_bytes(rq, n))
		return -EINVAL;
	rq->received += n;
	atomic_fetch_add(&rq->r->metrics.bytes, n);
	if (to == &rq->body && !to->len && rq->charged > n)
		buf_reserve(to, rq->charged); /* it grows no more */
	buf_put(to, data, n);
	return buf_err(to) ? request_refuse_error(rq, -ENOMEM, NULL) : 0;
}

/* ---- the reply ---- */

void request_answer_text(struct request *rq)
{
	rq->reply_type = "text/plain; charset=utf-8";
	if (rq->refused == REFUSED_NOT)
		buf_printf(&rq->reply, "%llu taken, %llu duplicate\n", (unsigned long long)rq->accepted,
		           (unsigned long long)rq->duplicates);
	else
		buf_printf(&rq->reply, "%s: %s\n", refused_kinds[rq->refused].name, rq->why);
}

static void count(struct request *rq)
{
	struct metrics *m = &rq->r->metrics;
	atomic_fetch_add(&m->accepted, rq->accepted);
	atomic_fetch_add(&m->duplicates, rq->duplicates);
	atomic_fetch_add(&m->dropped, rq->dropped);
	atomic_fetch_add(&m->refused[REFUSED_MALFORMED], rq->rejected);
	if (rq->refused != REFUSED_NOT)
		atomic_fetch_add(&m->refused[rq->refused], 1);
	if (!rq->route)
		return;
	enum endpoint at = rq->route->endpoint;
	atomic_fetch_add(&m->requests[at], 1);
	atomic_fetch_add(&m->failed[at], rq->refused != REFUSED_NOT);
	latency_note(&m->latency[at], clock_monotonic() - rq->began);
}

void request_answer(struct request *rq)
{
	if (rq->refused == REFUSED_STORE)
		log_msg(rq->r->opts.log, LOG_LEVEL_WARNING, "a request was not stored: %s", rq->why);
	count(rq);
	if (rq->route && rq->route->answer)
		rq->route->answer(rq);
	else
		request_answer_text(rq);
}

/* ---- the work ---- */

static void work(void *arg)
{
	struct request *rq = arg;
	if (rq->refused == REFUSED_NOT)
		rq->route->run(rq);
	request_drop_body(rq);
	request_answer(rq);
	rq->done(rq);
}

void request_run(struct request *rq)
{
	int e = rq->refused == REFUSED_NOT ? pool_submit(rq->r->pool, work, rq) : -EINVAL;
	if (!e)
		return;
	if (rq->refused == REFUSED_NOT)
		request_refuse(rq, e == -ENOMEM ? REFUSED_MEMORY : REFUSED_STOPPING, "no worker is to be had");
	work(rq);
}

/* SPDX-License-Identifier: MIT */

/*
 * Tenants: each has a database of its own in the store, and limits that others do not feel. A tenant is opened at its
 * first request and stays; how many there may be is an option.
 */

#include <ctype.h>
#include <string.h>

#include "../base/hash.h"
#include "../db/compact.h"
#include "internal.h"

#define NAME_MAX_BYTES 150
#define BURST_S 10
#define SERIES_MAX 1000000  /* of all services of a tenant, in a day */
#define SERVICES_MAX 10000

struct series_set {
	char *service;
	struct idset ids;
	VEC(uint64_t) hashes;
};

static void forget_series(struct tenant *t)
{
	for (size_t i = 0; i < t->services.n; i++) {
		free(t->services.v[i].service);
		idset_done(&t->services.v[i].ids);
		VEC_DONE(&t->services.v[i].hashes);
	}
	t->services.n = 0;
	t->n_series = 0;
}

static void tenant_free(struct tenant *t)
{
	if (!t)
		return;
	forget_series(t);
	VEC_DONE(&t->services);
	recent_free(t->recent);
	background_stop(t->compaction);
	tree_free(t->tree);
	db_close(t->db);
	pthread_mutex_destroy(&t->lock);
	free(t->name);
	free(t);
}
DEFINE_CLEANUP(struct tenant *, tenant_free);

void tenants_done(struct tenants *t)
{
	for (size_t i = 0; i < t->v.n; i++)
		tenant_free(t->v.v[i]);
	VEC_DONE(&t->v);
}

static bool is_name(const char *s)
{
	size_t n = strlen(s);
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)s[i]) && !strchr("_-.", s[i]))
			return false;
	return n && n <= NAME_MAX_BYTES && s[0] != '.';
}

static int tenant_new(struct receiver *r, const char *name, struct tenant **ret, struct error *err)
{
	_cleanup_(tenant_freep) struct tenant *t = calloc(1, sizeof *t);
	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	t->r = r;
	t->name = strdup(name);
	struct db_options opts = { .tenant = name, .log = r->opts.log, .threads = r->opts.tenants ? 2 : 0 };
	int e = t->name ? db_open(r->store, &opts, &t->db, err) : -ENOMEM;
	if (!e)
		e = recent_new(&t->recent);
	if (!e)
		e = tree_new(t->db, &(struct tree_options){ .read_only = true, .cache_bytes = 1 }, &t->tree, err);
	if (!e && !r->opts.no_compact)
		e = background_start(t->db, &(struct compact_options){ 0 }, &t->compaction);
	if (!e)
		*ret = TAKE_PTR(t);
	return e;
}

static int find_locked(struct request *rq, const char *name, struct tenant **ret)
{
	struct receiver *r = rq->r;
	struct error err = { 0 };
	for (size_t i = 0; i < r->tenants.v.n; i++) {
		if (!strcmp(r->tenants.v.v[i]->name, name)) {
			*ret = r->tenants.v.v[i];
			return 0;
		}
	}
	if (r->tenants.v.n >= r->opts.max_tenants)
		return request_refuse(rq, REFUSED_TENANT, "there are %zu tenants already, and no more are allowed",
		                      r->tenants.v.n);
	struct tenant **slot = VEC_PUSH(&r->tenants.v);
	int e = slot ? tenant_new(r, name, slot, &err) : -ENOMEM;
	if (e) {
		r->tenants.v.n -= slot != NULL;
		return request_refuse(rq, e == -EINVAL ? REFUSED_TENANT : REFUSED_STORE, "%s", error_text(&err, e));
	}
	*ret = *slot;
	return 0;
}

int tenant_find(struct request *rq, const char *name, struct tenant **ret)
{
	if (!is_name(name))
		return request_refuse(rq, REFUSED_TENANT, "a tenant's name is of letters, digits and _ - . alone");
	pthread_mutex_lock(&rq->r->tenants.lock);
	int e = find_locked(rq, name, ret);
	pthread_mutex_unlock(&rq->r->tenants.lock);
	return e;
}

/* ---- limits ---- */

int tenant_enter(struct request *rq)
{
	struct tenant *t = rq->tenant;
	pthread_mutex_lock(&t->lock);
	bool may = t->in_flight < rq->r->limits.in_flight;
	t->in_flight += may;
	pthread_mutex_unlock(&t->lock);
	return may ? 0 : request_refuse(rq, REFUSED_FLIGHT, "too many requests wait to be acknowledged");
}

void tenant_leave(struct tenant *t)
{
	pthread_mutex_lock(&t->lock);
	t->in_flight--;
	pthread_mutex_unlock(&t->lock);
}

/* A bucket of ten seconds' worth, which may be overdrawn by the chunk that empties it. */
int tenant_bytes(struct request *rq, size_t n)
{
	struct tenant *t = rq->tenant;
	double rate = (double)rq->r->limits.bytes_per_s;
	if (rq->r->limits.bytes_per_s == RECEIVE_NO_LIMIT)
		return 0;
	pthread_mutex_lock(&t->lock);
	int64_t now = clock_monotonic();
	double more = t->refilled ? (double)(now - t->refilled) / NS_PER_S * rate : rate * BURST_S;
	t->tokens = MIN(t->tokens + more, rate * BURST_S);
	t->refilled = now;
	bool may = t->tokens > 0;
	if (may)
		t->tokens -= (double)n;
	pthread_mutex_unlock(&t->lock);
	return may ? 0 : request_refuse(rq, REFUSED_RATE, "more than %llu bytes per second",
	                                (unsigned long long)rq->r->limits.bytes_per_s);
}

static uint64_t labels_hash(const struct label *labels, size_t n)
{
	uint64_t sum = n; /* of a set: the order does not matter */
	for (size_t i = 0; i < n; i++)
		sum += hash_mix(hash_bytes(labels[i].key.s, labels[i].key.len),
		                hash_bytes(labels[i].value.s, labels[i].value.len) + 1);
	return sum;
}

static struct series_set *set_of(struct tenant *t, struct str service)
{
	for (size_t i = 0; i < t->services.n; i++)
		if (str_eq(service, str_of(t->services.v[i].service)))
			return &t->services.v[i];
	struct series_set *s = t->services.n < SERVICES_MAX ? VEC_PUSH(&t->services) : NULL;
	if (!s)
		return NULL;
	*s = (struct series_set){ .service = strndup(service.s, service.len) };
	if (s->service)
		return s;
	t->services.n--;
	return NULL;
}

static bool note_series(struct tenant *t, struct str service, uint64_t hash, uint64_t limit)
{
	struct series_set *s = set_of(t, service);
	if (!s)
		return false;
	for (struct idset_probe p = idset_probe(&s->ids, hash); idset_next(&s->ids, &p);)
		if (s->hashes.v[p.id] == hash)
			return true;
	if (s->hashes.n >= limit || t->n_series >= SERIES_MAX)
		return false;
	uint64_t *to = VEC_PUSH(&s->hashes);
	if (!to || idset_add(&s->ids, hash, (uint32_t)(s->hashes.n - 1))) {
		s->hashes.n -= to != NULL;
		return false;
	}
	*to = hash;
	t->n_series++;
	return true;
}

int tenant_series(struct request *rq, struct str service, const struct label *labels, size_t n)
{
	struct tenant *t = rq->tenant;
	uint64_t hash = labels_hash(labels, n), limit = rq->r->limits.series;
	if (limit == RECEIVE_NO_LIMIT)
		return 0;
	pthread_mutex_lock(&t->lock);
	int32_t today = time_day(clock_now());
	if (t->day != today)
		forget_series(t);
	t->day = today;
	bool may = note_series(t, service, hash, limit);
	pthread_mutex_unlock(&t->lock);
	return may ? 0 : request_refuse(rq, REFUSED_SERIES, "%.*s has more than %llu label sets today",
	                                (int)MIN(service.len, (size_t)100), service.s, (unsigned long long)limit);
}

/* SPDX-License-Identifier: MIT */

/* /metrics, in the text format of Prometheus. */

#include "internal.h"

static const int64_t bounds_ms[LATENCY_BUCKETS] = { 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000 };

static const char *const endpoints[ENDPOINT_N] = {
	[ENDPOINT_PUSH] = "push", [ENDPOINT_INGEST] = "ingest",   [ENDPOINT_OTLP_HTTP] = "otlp_http",
	[ENDPOINT_OTLP_GRPC] = "otlp_grpc", [ENDPOINT_FILE] = "file", [ENDPOINT_RULES] = "rules",
};

void latency_note(struct latency *l, int64_t ns)
{
	size_t i = 0;
	while (i < LATENCY_BUCKETS && ns > bounds_ms[i] * NS_PER_MS)
		i++;
	atomic_fetch_add(&l->buckets[i], 1);
	atomic_fetch_add(&l->sum_ns, (uint64_t)MAX(ns, INT64_C(0)));
}

static void head(struct buf *out, const char *name, const char *type, const char *help)
{
	buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void single(struct buf *out, const char *name, const char *type, const char *help, uint64_t v)
{
	head(out, name, type, help);
	buf_printf(out, "%s %llu\n", name, (unsigned long long)v);
}

static void write_profiles(struct metrics *m, struct buf *out)
{
	single(out, "profilefs_receive_profiles_accepted_total", "counter", "Profiles stored.",
	       atomic_load(&m->accepted));
	single(out, "profilefs_receive_profiles_duplicate_total", "counter", "Profiles that were there already.",
	       atomic_load(&m->duplicates));
	single(out, "profilefs_receive_profiles_dropped_total", "counter", "Profiles that a relabelling rule drops.",
	       atomic_load(&m->dropped));
	single(out, "profilefs_receive_bytes_total", "counter", "Bytes of request bodies, as sent.",
	       atomic_load(&m->bytes));
	head(out, "profilefs_receive_refused_total", "counter", "Requests and profiles not taken, by reason.");
	for (size_t i = REFUSED_NOT + 1; i < REFUSED_N; i++)
		buf_printf(out, "profilefs_receive_refused_total{reason=\"%s\"} %llu\n", refused_kinds[i].name,
		           (unsigned long long)atomic_load(&m->refused[i]));
}

static void write_latency(struct latency *l, const char *endpoint, struct buf *out)
{
	uint64_t sum = 0;
	for (size_t i = 0; i <= LATENCY_BUCKETS; i++) {
		sum += atomic_load(&l->buckets[i]);
		buf_printf(out, "profilefs_receive_seconds_bucket{endpoint=\"%s\",le=\"", endpoint);
		if (i < LATENCY_BUCKETS)
			buf_printf(out, "%g", (double)bounds_ms[i] / 1000);
		else
			buf_puts(out, "+Inf");
		buf_printf(out, "\"} %llu\n", (unsigned long long)sum);
	}
	buf_printf(out, "profilefs_receive_seconds_sum{endpoint=\"%s\"} %.9f\n", endpoint,
	           (double)atomic_load(&l->sum_ns) / NS_PER_S);
	buf_printf(out, "profilefs_receive_seconds_count{endpoint=\"%s\"} %llu\n", endpoint, (unsigned long long)sum);
}

static void write_requests(struct metrics *m, struct buf *out)
{
	head(out, "profilefs_receive_requests_total", "counter", "Requests answered, by outcome.");
	for (size_t i = 0; i < ENDPOINT_N; i++) {
		unsigned long long failed = atomic_load(&m->failed[i]), all = atomic_load(&m->requests[i]);
		buf_printf(out, "profilefs_receive_requests_total{endpoint=\"%s\",outcome=\"ok\"} %llu\n", endpoints[i],
		           all - MIN(failed, all));
		buf_printf(out, "profilefs_receive_requests_total{endpoint=\"%s\",outcome=\"refused\"} %llu\n",
		           endpoints[i], failed);
	}
	head(out, "profilefs_receive_seconds", "histogram", "From the headers of a request to its acknowledgement.");
	for (size_t i = 0; i < ENDPOINT_N; i++)
		write_latency(&m->latency[i], endpoints[i], out);
}

static uint64_t peek(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

static void write_store(const struct store_counts *c, struct buf *out)
{
	const struct {
		const char *op;
		uint64_t n;
	} ops[] = {
		{ "put", peek(&c->put) },
		{ "get", peek(&c->get) },
		{ "list", peek(&c->list) },
		{ "remove", peek(&c->remove) },
	};
	head(out, "profilefs_store_requests_total", "counter", "Requests to the store.");
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		buf_printf(out, "profilefs_store_requests_total{op=\"%s\"} %llu\n", ops[i].op,
		           (unsigned long long)ops[i].n);
	single(out, "profilefs_store_errors_total", "counter", "Requests to the store that failed.", peek(&c->errors));
	single(out, "profilefs_store_written_bytes_total", "counter", "Bytes put into the store.", peek(&c->bytes_in));
	single(out, "profilefs_store_read_bytes_total", "counter", "Bytes read from the store.", peek(&c->bytes_out));
}

void metrics_write(struct receiver *r, struct buf *out)
{
	pthread_mutex_lock(&r->lock);
	uint64_t in_flight = r->in_flight;
	pthread_mutex_unlock(&r->lock);
	write_profiles(&r->metrics, out);
	write_requests(&r->metrics, out);
	single(out, "profilefs_receive_in_flight", "gauge", "Requests that wait for their acknowledgement.", in_flight);
	single(out, "profilefs_receive_body_bytes", "gauge", "Memory of request bodies.", quota_used(&r->bodies));
	single(out, "profilefs_receive_decode_bytes", "gauge", "Memory set aside for decoding.",
	       quota_used(&r->decoded));
	write_store(&r->store->counts, out);
}

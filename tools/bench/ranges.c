/* SPDX-License-Identifier: MIT */

/*
 * bench ranges: a month of one small service, compacted day by day, and what flame graphs of a day, a week and the
 * month cost: of all pods, and of one by a matcher.
 */

#include <getopt.h>
#include <string.h>

#include "bench.h"
#include "measure.h"
#include "world.h"

#define START (INT64_C(20400) * NS_PER_DAY)

struct ranges {
	unsigned days, pods, per_hour; /* CPU profiles of a pod */
	struct world world;
};

static void ranges_done(struct ranges *r)
{
	world_done(&r->world);
}

static int write_day(struct ranges *r, struct role *role, unsigned day, struct error *err)
{
	_cleanup_(bulk_freep) struct bulk *bulk = NULL;
	int64_t every = NS_PER_HOUR / r->per_hour;
	struct made made;
	int e = bulk_new(role->db, 0, &bulk);
	for (int64_t t = START + day * NS_PER_DAY; !e && t < START + (day + 1) * NS_PER_DAY; t += every)
		for (unsigned pod = 0; !e && pod < r->pods; pod++) {
			e = world_make(&r->world, 0, 0, pod, BASE_CPU, t + pod * NS_PER_S, &made);
			if (!e)
				e = bulk_add(bulk, &made.write, NULL, err);
		}
	return e ? e : bulk_flush(bulk, err);
}

static int compact_day(struct ranges *r, struct role *role, unsigned day, struct error *err)
{
	struct compact_report report = { 0 };
	world_set(&r->world, START + (day + 1) * NS_PER_DAY + NS_PER_HOUR);
	return compactor_pass(role->compactor, &report, err);
}

static int make_month(struct ranges *r, struct error *err)
{
	_cleanup_(role_done) struct role role = { 0 };
	int e = role_open(&r->world, true, &role, err);
	for (unsigned day = 0; !e && day < r->days; day++) {
		world_set(&r->world, START + (day + 1) * NS_PER_DAY - NS_PER_MIN);
		e = write_day(r, &role, day, err);
		if (!e)
			e = compact_day(r, &role, day, err);
	}
	return e;
}

struct measured {
	struct series_of cold, warm;
	struct store_counts counts; /* of the first query of a process */
};

static int ask_process(struct ranges *r, struct asked_tree *ask, struct measured *m, struct error *err)
{
	_cleanup_(role_done) struct role role = { 0 };
	struct stopwatch start = stopwatch_start();
	int e = role_open(&r->world, true, &role, err);
	if (!e)
		e = world_ask(&role, ask, err);
	series_add(&m->cold, (double)stopwatch_read(&start).cpu / 1e6);
	if (!e)
		store_counters(role.store, &m->counts);
	for (int i = 0; !e && i < 5; i++) {
		start = stopwatch_start();
		e = world_ask(&role, ask, err);
		series_add(&m->warm, (double)stopwatch_read(&start).cpu / 1e6);
	}
	return e;
}

static void print_range(const struct ranges *r, const struct asked_tree *ask, struct measured *m)
{
	struct figure f;
	figure_begin(&f, "range");
	figure_count(&f, "profiles_per_pod_hour", r->per_hour);
	figure_text(&f, "of", ask->pod ? "one pod" : "all pods");
	figure_count(&f, "hours", (uint64_t)((ask->to - ask->from) / NS_PER_HOUR));
	figure_count(&f, "profiles", ask->profiles);
	figure_count(&f, "nodes", ask->nodes);
	figure_number(&f, "cold_cpu_ms", series_median(&m->cold));
	figure_number(&f, "warm_cpu_ms", series_median(&m->warm));
	figure_count(&f, "gets", m->counts.get);
	figure_count(&f, "lists", m->counts.list);
	figure_count(&f, "bytes_read", m->counts.bytes_out);
	figure_end(&f);
}

static int ask_range(struct ranges *r, unsigned days, const char *pod, struct error *err)
{
	int64_t end = START + r->days * NS_PER_DAY;
	char service[32];
	struct measured m = { 0 };
	world_service(0, service);
	struct asked_tree ask = { .service = service, .pod = pod, .from = end - days * NS_PER_DAY, .to = end };
	int e = 0;
	for (int i = 0; !e && i < 3; i++)
		e = ask_process(r, &ask, &m, err);
	if (!e)
		print_range(r, &ask, &m);
	return e;
}

static int ask_all(struct ranges *r, struct error *err)
{
	const unsigned days[] = { 1, 7, r->days };
	const char *const pods[] = { NULL, "service-00000-0001" };
	int e = 0;
	for (size_t p = 0; p < ARRAY_SIZE(pods); p++)
		for (size_t i = 0; !e && i < ARRAY_SIZE(days); i++)
			e = ask_range(r, MIN(days[i], r->days), pods[p], err);
	return e;
}

static int run(unsigned days, unsigned pods, unsigned per_hour)
{
	_cleanup_(ranges_done) struct ranges r = { .days = days, .pods = pods, .per_hour = per_hour };
	struct error err = { 0 };
	int e = world_init(&r.world, START, START + days * NS_PER_DAY, pods, &err);
	if (!e)
		e = make_month(&r, &err);
	if (!e)
		e = ask_all(&r, &err);
	if (e)
		complain("ranges: %s", error_text(&err, e));
	return e;
}

int bench_ranges(int argc, char **argv)
{
	static const struct option options[] = {
		{ "days", required_argument, NULL, 'd' },
		{ "pods", required_argument, NULL, 'P' },
		{ "per-hour", required_argument, NULL, 'n' },
		{ 0 },
	};
	unsigned days = 30, pods = 3, per_hour = 4;
	int bad = 0;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		unsigned n = optarg ? (unsigned)MIN(MAX(atoi(optarg), 1), 3600) : 0;
		if (c == 'd')
			days = n;
		else if (c == 'P')
			pods = n;
		else if (c == 'n')
			per_hour = n;
		else
			bad = 1;
	}
	if (bad || optind != argc) {
		complain("usage: bench ranges [--days N] [--pods N] [--per-hour N]");
		return 2;
	}
	return run(days, pods, per_hour) || run(days, pods, 4 * per_hour);
}

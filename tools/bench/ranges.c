/* SPDX-License-Identifier: MIT */

/*
 * bench ranges: a month of small services, compacted day by day: what is stored, by kind, and what flame graphs of one
 * service cost over a day, a week and the month, of all pods and of one by a matcher. Then the same with four times the
 * profiles, or as many as --times says.
 */

#include <getopt.h>
#include <string.h>

#include "bench.h"
#include "measure.h"
#include "world.h"

#define START (INT64_C(20400) * NS_PER_DAY)

struct settings {
	unsigned days, services, pods;
	unsigned per_hour; /* CPU profiles of a pod */
	unsigned times;    /* the second run's are so many times more; 1: there is none */
};

struct month {
	struct settings set;
	struct world world;
};

static void month_done(struct month *m)
{
	world_done(&m->world);
}

/* The i-th pod of all services. */
static int write_one(struct month *m, struct bulk *bulk, unsigned i, int64_t time, struct error *err)
{
	struct made made;
	int e = world_make(&m->world, 0, i / m->set.pods, i % m->set.pods, BASE_CPU, time, &made);
	return e ? e : bulk_add(bulk, &made.write, NULL, err);
}

static int write_day(struct month *m, struct role *role, unsigned day, struct error *err)
{
	_cleanup_(bulk_freep) struct bulk *bulk = NULL;
	int64_t every = NS_PER_HOUR / m->set.per_hour;
	int e = bulk_new(role->db, 0, &bulk);
	for (int64_t t = START + day * NS_PER_DAY; !e && t < START + (day + 1) * NS_PER_DAY; t += every)
		for (unsigned i = 0; !e && i < m->set.services * m->set.pods; i++)
			e = write_one(m, bulk, i, t + i % m->set.pods * NS_PER_S, err);
	return e ? e : bulk_flush(bulk, err);
}

static int compact_day(struct month *m, struct role *role, unsigned day, struct error *err)
{
	struct compact_report report = { 0 };
	world_set(&m->world, START + (day + 1) * NS_PER_DAY + NS_PER_HOUR);
	return compactor_pass(role->compactor, &report, err);
}

static int print_stored(struct month *m, struct role *role, struct error *err)
{
	struct db_stats n;
	struct figure f;
	int e = db_stat(role->db, &n, err);
	if (e)
		return e;
	double all = (double)MAX(n.block_bytes + n.segment_bytes + n.shared_bytes, (uint64_t)1);
	figure_begin(&f, "stored");
	figure_count(&f, "services", m->set.services);
	figure_count(&f, "days", m->set.days);
	figure_count(&f, "profiles", n.profiles);
	figure_count(&f, "blocks", n.blocks);
	figure_count(&f, "segments", n.segments);
	figure_count(&f, "shared", n.shared);
	figure_number(&f, "shared_kb", (double)n.shared_bytes / 1e3);
	figure_number(&f, "mb", all / 1e6);
	figure_number(&f, "symbols_share", (double)n.bytes[BYTES_SYMBOLS] / all);
	figure_number(&f, "samples_share", (double)n.bytes[BYTES_SAMPLES] / all);
	figure_number(&f, "meta_share", (double)n.bytes[BYTES_META] / all);
	figure_number(&f, "rollups_share", (double)n.bytes[BYTES_ROLLUPS] / all);
	figure_number(&f, "symbols_kb_of_a_service_day",
	              (double)n.bytes[BYTES_SYMBOLS] / 1e3 / m->set.services / m->set.days);
	figure_end(&f);
	return 0;
}

static int make_month(struct month *m, struct error *err)
{
	_cleanup_(role_done) struct role role = { 0 };
	int e = role_open(&m->world, true, &role, err);
	for (unsigned day = 0; !e && day < m->set.days; day++) {
		world_set(&m->world, START + (day + 1) * NS_PER_DAY - NS_PER_MIN);
		e = write_day(m, &role, day, err);
		if (!e)
			e = compact_day(m, &role, day, err);
	}
	return e ? e : print_stored(m, &role, err);
}

struct measured {
	struct series_of cold, warm;
	struct store_counts counts; /* of the first query of a process */
};

static int ask_process(struct month *m, struct asked_tree *ask, struct measured *got, struct error *err)
{
	_cleanup_(role_done) struct role role = { 0 };
	struct stopwatch start = stopwatch_start();
	int e = role_open(&m->world, true, &role, err);
	if (!e)
		e = world_ask(&role, ask, err);
	series_add(&got->cold, (double)stopwatch_read(&start).cpu / 1e6);
	if (!e)
		store_counters(role.store, &got->counts);
	for (int i = 0; !e && i < 5; i++) {
		start = stopwatch_start();
		e = world_ask(&role, ask, err);
		series_add(&got->warm, (double)stopwatch_read(&start).cpu / 1e6);
	}
	return e;
}

static void print_range(const struct month *m, const struct asked_tree *ask, struct measured *got)
{
	struct figure f;
	figure_begin(&f, "range");
	figure_count(&f, "profiles_per_pod_hour", m->set.per_hour);
	figure_text(&f, "of", ask->pod ? "one pod" : "all pods");
	figure_count(&f, "hours", (uint64_t)((ask->to - ask->from) / NS_PER_HOUR));
	figure_count(&f, "profiles", ask->profiles);
	figure_count(&f, "nodes", ask->nodes);
	figure_number(&f, "cold_cpu_ms", series_median(&got->cold));
	figure_number(&f, "warm_cpu_ms", series_median(&got->warm));
	figure_count(&f, "gets", got->counts.get);
	figure_count(&f, "lists", got->counts.list);
	figure_count(&f, "bytes_read", got->counts.bytes_out);
	figure_end(&f);
}

static int ask_range(struct month *m, unsigned days, const char *pod, struct error *err)
{
	int64_t end = START + m->set.days * NS_PER_DAY;
	char service[32];
	struct measured got = { 0 };
	world_service(0, service);
	struct asked_tree ask = { .service = service, .pod = pod, .from = end - days * NS_PER_DAY, .to = end };
	int e = 0;
	for (int i = 0; !e && i < 3; i++)
		e = ask_process(m, &ask, &got, err);
	if (!e)
		print_range(m, &ask, &got);
	return e;
}

static int ask_all(struct month *m, struct error *err)
{
	const unsigned days[] = { 1, 7, m->set.days };
	const char *const pods[] = { NULL, "service-00000-0001" };
	int e = 0;
	for (size_t p = 0; p < ARRAY_SIZE(pods); p++)
		for (size_t i = 0; !e && i < ARRAY_SIZE(days); i++)
			e = ask_range(m, MIN(days[i], m->set.days), pods[p], err);
	return e;
}

static int run(const struct settings *set, unsigned per_hour)
{
	_cleanup_(month_done) struct month m = { .set = *set };
	struct error err = { 0 };
	m.set.per_hour = per_hour;
	int e = world_init(&m.world, START, START + set->days * NS_PER_DAY, set->pods, &err);
	if (!e)
		e = make_month(&m, &err);
	if (!e)
		e = ask_all(&m, &err);
	if (e)
		complain("ranges: %s", error_text(&err, e));
	return e;
}

static bool take_option(struct settings *set, int c, unsigned n)
{
	switch (c) {
	case 'd':
		return set->days = n, true;
	case 'S':
		return set->services = n, true;
	case 'P':
		return set->pods = n, true;
	case 'n':
		return set->per_hour = n, true;
	case 't':
		return set->times = n, true;
	default:
		return false;
	}
}

int bench_ranges(int argc, char **argv)
{
	static const struct option options[] = {
		{ "days", required_argument, NULL, 'd' },
		{ "services", required_argument, NULL, 'S' },
		{ "pods", required_argument, NULL, 'P' },
		{ "per-hour", required_argument, NULL, 'n' },
		{ "times", required_argument, NULL, 't' },
		{ 0 },
	};
	struct settings set = { 30, 1, 3, 4, 4 };
	bool good = true;
	for (int c; good && (c = getopt_long(argc, argv, "", options, NULL)) != -1;)
		good = optarg && take_option(&set, c, (unsigned)MIN(MAX(atoi(optarg), 1), 900));
	if (!good || optind != argc) {
		complain("usage: bench ranges [--days N] [--services N] [--pods N] [--per-hour N] "
		         "[--times N]");
		return 2;
	}
	int e = run(&set, set.per_hour);
	if (!e && set.times > 1)
		e = run(&set, set.times * set.per_hour);
	return e ? 1 : 0;
}

/* SPDX-License-Identifier: MIT */

/*
 * bench scale: an hour of a fleet around midnight, in simulated time. Pods push a profile every so often to receivers;
 * each receiver flushes what came during its last put, and compacts in the background; a dashboard asks for flame
 * graphs. Writer, compactor and reader are the real ones. What each sends is counted as S3 would; docs/scale.md
 * scales it.
 */

#include <getopt.h>
#include <string.h>

#include "bench.h"
#include "measure.h"
#include "world.h"

#define MIDNIGHT (INT64_C(20400) * NS_PER_DAY)
#define PASS_EVERY (15 * NS_PER_S)
#define ASK_EVERY (20 * NS_PER_S)

enum { RECEIVERS_MAX = 16, N_TYPES = 4 };
enum part_of { WRITES, COMPACTION, READS, N_PARTS };

static const char *const part_names[N_PARTS] = { "writes", "compaction", "reads" };

struct settings {
	unsigned pods, services, receivers, flush_ms, every;
	unsigned check_reads;    /* of the check for duplicates, at once: 1 is a receiver that has run for hours */
	unsigned minutes, after; /* until midnight and from then on: a day is merged ten minutes after its end */
};

struct scale {
	struct settings set;
	struct world world;
	struct role receivers[RECEIVERS_MAX], reader;
	struct store_counts counts[N_PARTS];
	int64_t cpu[N_PARTS];
	uint64_t next; /* profile of the fleet */
	uint64_t batches, merges, removed, asked;
	struct made made[WORLD_BATCH];
};

static void scale_done(struct scale *s)
{
	for (unsigned i = 0; i < s->set.receivers; i++)
		role_done(&s->receivers[i]);
	role_done(&s->reader);
	world_done(&s->world);
}

/* Adds what `role` has sent since `before` to a part of the figures. */
static void account(struct scale *s, enum part_of part, struct role *role, const struct store_counts *before,
                    const struct stopwatch *start)
{
	struct store_counts now;
	struct store_counts *to = &s->counts[part];
	store_counters(role->store, &now);
	to->put += now.put - before->put;
	to->get += now.get - before->get;
	to->list += now.list - before->list;
	to->remove += now.remove - before->remove;
	to->bytes_in += now.bytes_in - before->bytes_in;
	to->bytes_out += now.bytes_out - before->bytes_out;
	s->cpu[part] += stopwatch_read(start).cpu;
}

/* ---- writing ---- */

static int64_t time_of_profile(const struct scale *s, uint64_t i)
{
	return s->world.began + (int64_t)(i * (uint64_t)s->set.every * NS_PER_S / (s->set.pods * N_TYPES));
}

static int write_batch(struct scale *s, struct role *r, const struct db_write *writes, size_t n, struct error *err)
{
	struct store_counts before;
	struct stopwatch start = stopwatch_start();
	store_counters(r->store, &before);
	int e = n ? db_write(r->db, writes, n, NULL, err) : 0;
	if (n) {
		account(s, WRITES, r, &before, &start);
		s->batches++;
	}
	return e;
}

/* A pod stays with its receiver; a service has pods at all of them. */
static unsigned receiver_of(const struct scale *s, uint64_t profile)
{
	unsigned pod = (unsigned)(profile % s->set.pods);
	return (pod / s->set.services + pod) % s->set.receivers;
}

/* What came for each receiver until now. */
static int write_due(struct scale *s, struct error *err)
{
	uint64_t from = s->next;
	while (time_of_profile(s, s->next) < s->world.now && s->next - from < WORLD_BATCH) {
		unsigned pod = (unsigned)(s->next % s->set.pods), type = (unsigned)(s->next / s->set.pods);
		int e = world_make(&s->world, s->next - from, pod % s->set.services,
		                   pod / s->set.services, type, time_of_profile(s, s->next),
		                   &s->made[s->next - from]);
		if (e)
			return e;
		s->next++;
	}
	int e = 0;
	for (unsigned r = 0; !e && r < s->set.receivers; r++) {
		struct db_write writes[WORLD_BATCH];
		size_t n = 0;
		for (uint64_t i = from; i < s->next; i++)
			if (receiver_of(s, i) == r)
				writes[n++] = s->made[i - from].write;
		e = write_batch(s, &s->receivers[r], writes, n, err);
	}
	return e;
}

/* ---- compaction and reading ---- */

static int compact_one(struct scale *s, struct role *r, struct error *err)
{
	struct compact_report report = { 0 };
	struct store_counts before;
	struct stopwatch start = stopwatch_start();
	store_counters(r->store, &before);
	int e = compactor_pass(r->compactor, &report, err);
	account(s, COMPACTION, r, &before, &start);
	s->merges += report.merges;
	s->removed += report.removed;
	return e;
}

static int ask_one(struct scale *s, struct error *err)
{
	char service[32];
	struct store_counts before;
	struct stopwatch start = stopwatch_start();
	world_service((unsigned)s->asked++ % s->set.services, service);
	struct asked_tree ask = { .service = service, .from = s->world.now - NS_PER_HOUR, .to = s->world.now };
	store_counters(s->reader.store, &before);
	int e = world_ask(&s->reader, &ask, err);
	account(s, READS, &s->reader, &before, &start);
	return e;
}

/* Whether something that happens every so often, shifted, falls into the step that ends now. */
static bool is_due(const struct scale *s, int64_t every, int64_t shift)
{
	int64_t step = s->set.flush_ms * NS_PER_MS, now = s->world.now - shift;
	return time_floor_div(now, every) != time_floor_div(now - step, every);
}

static int simulate_step(struct scale *s, struct error *err)
{
	int e = write_due(s, err);
	for (unsigned r = 0; !e && r < s->set.receivers; r++)
		if (is_due(s, PASS_EVERY, r * PASS_EVERY / s->set.receivers))
			e = compact_one(s, &s->receivers[r], err);
	if (!e && is_due(s, ASK_EVERY, NS_PER_S))
		e = ask_one(s, err);
	return e;
}

/* ---- figures ---- */

struct below {
	uint64_t n, bytes;
};

static int add_entry(void *ctx, const char *key, const struct store_stat *st)
{
	struct below *b = ctx;
	b->n++;
	b->bytes += st->size;
	return key ? 0 : -EINVAL;
}

static int print_store(struct scale *s, struct error *err)
{
	static const char *const kinds[] = { "seg", "blk", "cat", "svc" };
	struct figure f;
	int e = 0;
	figure_begin(&f, "store");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		char prefix[64], key[64];
		struct below b = { 0 };
		snprintf(prefix, sizeof prefix, "default/%s/", kinds[i]);
		e = e ? e : store_list(s->world.mem, prefix, NULL, 0, add_entry, &b, err);
		snprintf(key, sizeof key, "%s_objects", kinds[i]);
		figure_count(&f, key, b.n);
		snprintf(key, sizeof key, "%s_bytes", kinds[i]);
		figure_count(&f, key, b.bytes);
	}
	figure_end(&f);
	return e;
}

static void print_part(const struct scale *s, enum part_of part)
{
	const struct store_counts *n = &s->counts[part];
	struct figure f;
	figure_begin(&f, part_names[part]);
	figure_count(&f, "put", n->put);
	figure_count(&f, "list", n->list);
	figure_count(&f, "get", n->get);
	figure_count(&f, "delete", n->remove);
	figure_number(&f, "mb_put", (double)n->bytes_in / 1e6);
	figure_number(&f, "mb_got", (double)n->bytes_out / 1e6);
	figure_number(&f, "cpu_s", (double)s->cpu[part] / 1e9);
	figure_end(&f);
}

static void print_fleet(const struct scale *s, const char *until)
{
	struct figure f;
	figure_begin(&f, "fleet");
	figure_text(&f, "until", until);
	figure_count(&f, "pods", s->set.pods);
	figure_count(&f, "services", s->set.services);
	figure_count(&f, "receivers", s->set.receivers);
	figure_count(&f, "flush_ms", s->set.flush_ms);
	figure_number(&f, "minutes", (double)(s->world.now - s->world.began) / NS_PER_MIN);
	figure_count(&f, "profiles", s->next);
	figure_count(&f, "flushes", s->batches);
	figure_count(&f, "merges", s->merges);
	figure_count(&f, "removed", s->removed);
	figure_count(&f, "asked", s->asked);
	figure_end(&f);
	for (int i = 0; i < N_PARTS; i++)
		print_part(s, (enum part_of)i);
}

static int simulate(struct scale *s, int64_t end, const char *until, struct error *err)
{
	int64_t step = s->set.flush_ms * NS_PER_MS;
	int e = 0;
	while (!e && s->world.now < end) {
		world_set(&s->world, s->world.now + step);
		e = simulate_step(s, err);
	}
	if (!e)
		print_fleet(s, until);
	return e ? e : print_store(s, err);
}

static int run(const struct settings *set)
{
	_free_ struct scale *s = calloc(1, sizeof *s);
	struct error err = { 0 };
	if (!s)
		return -ENOMEM;
	s->set = *set;
	int64_t start = MIDNIGHT - (int64_t)set->minutes * NS_PER_MIN;
	int64_t end = MIDNIGHT + (int64_t)set->after * NS_PER_MIN;
	int e = world_init(&s->world, start, end, MAX(set->pods / set->services, 1u), &err);
	s->world.check_reads = set->check_reads;
	for (unsigned i = 0; !e && i < set->receivers; i++)
		e = role_open(&s->world, false, &s->receivers[i], &err);
	if (!e)
		e = role_open(&s->world, false, &s->reader, &err);
	if (!e)
		e = simulate(s, MIDNIGHT, "midnight", &err);
	if (!e && set->after)
		e = simulate(s, end, "the end", &err);
	scale_done(s);
	if (e)
		complain("scale: %s", error_text(&err, e));
	return e;
}

static bool take_option(struct settings *set, int c, unsigned n)
{
	switch (c) {
	case 'P':
		return set->pods = n, true;
	case 'S':
		return set->services = n, true;
	case 'r':
		return set->receivers = MIN(n, (unsigned)RECEIVERS_MAX), true;
	case 'f':
		return set->flush_ms = n, true;
	case 'm':
		return set->minutes = n, true;
	case 'a':
		return set->after = n, true;
	case 'e':
		return set->every = n, true;
	case 'c':
		return set->check_reads = n, true;
	default:
		return false;
	}
}

int bench_scale(int argc, char **argv)
{
	static const struct option options[] = {
		{ "pods", required_argument, NULL, 'P' },      { "services", required_argument, NULL, 'S' },
		{ "receivers", required_argument, NULL, 'r' }, { "flush", required_argument, NULL, 'f' },
		{ "minutes", required_argument, NULL, 'm' },   { "after", required_argument, NULL, 'a' },
		{ "every", required_argument, NULL, 'e' },     { "check-reads", required_argument, NULL, 'c' },
		{ 0 },
	};
	struct settings set = { 40, 10, 1, 500, 15, 1, 17, 13 };
	bool good = true;
	for (int c; good && (c = getopt_long(argc, argv, "", options, NULL)) != -1;)
		good = optarg && take_option(&set, c, (unsigned)MIN(MAX(atoi(optarg), c != 'a'), 100000));
	if (!good || optind != argc) {
		complain("usage: bench scale [--pods N] [--services N] [--receivers N] [--flush MS] [--minutes N] "
		         "[--after MINUTES] [--every SECONDS] [--check-reads N]");
		return 2;
	}
	return run(&set) ? 1 : 0;
}

/* SPDX-License-Identifier: MIT */

/* bench run: the figures of docs/benchmarks.md on a data set. */

#include <getopt.h>
#include <string.h>
#include <sys/mman.h>

#include "bench.h"
#include "files.h"
#include "measure.h"
#include "phases.h"

static const struct phase {
	const char *name;
	int (*run)(void *run);
} phases[] = {
	{ "floor", phase_floor },   { "ingest", phase_ingest }, { "uncompacted", phase_stored },
	{ "compact", phase_compact }, { "stored", phase_stored }, { "ack", phase_ack },
	{ "query", phase_query },
};

static int usage(void)
{
	complain("usage: bench run [--store STORE] [--only floor,ingest,uncompacted,compact,stored,ack,query] "
	         "[--service NAME] "
	         "[--match TEXT] [--runs N] [--threads N] DIR\n"
	         "DIR is a data set of `bench gen`. Without --store the store is temporary; with it, it stays, and "
	         "--only query asks it again.");
	return 2;
}

struct arguments {
	const char *store, *only, *service, *match, *dir;
	unsigned runs, threads;
};

static bool parse(struct arguments *a, int argc, char **argv)
{
	static const struct option options[] = {
		{ "store", required_argument, NULL, 's' },   { "only", required_argument, NULL, 'o' },
		{ "service", required_argument, NULL, 'S' }, { "runs", required_argument, NULL, 'r' },
		{ "threads", required_argument, NULL, 't' }, { "match", required_argument, NULL, 'm' },
		{ 0 },
	};
	*a = (struct arguments){ .runs = 9, .threads = (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L) };
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 's')
			a->store = optarg;
		else if (c == 'o')
			a->only = optarg;
		else if (c == 'S')
			a->service = optarg;
		else if (c == 'm')
			a->match = optarg;
		else if (c == 'r')
			a->runs = (unsigned)MIN(MAX(atoi(optarg), 1), 64);
		else if (c == 't')
			a->threads = (unsigned)MIN(MAX(atoi(optarg), 1), 64);
		else
			return false;
	}
	a->dir = argv[optind];
	return argc - optind == 1;
}

static bool is_wanted(const char *only, const char *name)
{
	size_t n = strlen(name);
	for (const char *p = only; p && *p; p += strcspn(p, ","), p += *p == ',')
		if (strcspn(p, ",") == n && !strncmp(p, name, n))
			return true;
	return !only;
}

static int run_phases(struct run *r, const char *only)
{
	int e = 0;
	for (size_t i = 0; i < ARRAY_SIZE(phases); i++) {
		if (!is_wanted(only, phases[i].name))
			continue;
		/* The queries fork for themselves. */
		e = phases[i].run == phase_query ? phase_query(r) : in_child(phases[i].run, r);
		if (e)
			break;
	}
	return e;
}

int bench_run(int argc, char **argv)
{
	char temporary[] = "/tmp/profilefs-bench.XXXXXX";
	struct arguments args;
	struct run r = { 0 };
	struct error err = { 0 };
	if (!parse(&args, argc, argv))
		return usage();
	if (dataset_index_load(args.dir, &r.data, &err) || !r.data.n) {
		complain("%s", err.text[0] ? err.text : "the data set is empty");
		return 1;
	}
	if (!args.store && !mkdtemp(temporary)) {
		complain("%s: %s", temporary, strerror(errno));
		return 1;
	}
	r.store = args.store ?: temporary;
	r.service = args.service ?: r.data.v[0].service;
	r.match = args.match;
	r.runs = args.runs;
	r.threads = args.threads;
	r.shared = mmap(NULL, sizeof *r.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int e = r.shared == MAP_FAILED ? -ENOMEM : run_phases(&r, args.only);
	if (!args.store)
		folder_remove(temporary);
	dataset_index_done(&r.data);
	return e ? 1 : 0;
}

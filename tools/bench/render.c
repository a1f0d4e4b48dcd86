/* SPDX-License-Identifier: MIT */

/* bench render: how the renderings cope with one profile whose call tree has a given number of nodes. */

#include <getopt.h>
#include <string.h>
#include <sys/mman.h>

#include "../../core/paths/ingest.h"
#include "bench.h"
#include "files.h"
#include "measure.h"
#include "phases.h"

#define DEPTH_MAX 64
#define FUNCTIONS 20011
#define START (1795345080 * NS_PER_S)

struct nodes {
	uint32_t *parent, *depth;
	uint32_t n;
};

static uint32_t scramble(uint32_t x)
{
	x = (x ^ x >> 16) * 0x7feb352du;
	x = (x ^ x >> 15) * 0x846ca68bu;
	return x ^ x >> 16;
}

/* A tree as programs make them: a node hangs below one of the newest, or now and then below any. */
static int nodes_make(struct nodes *t, uint32_t n)
{
	*t = (struct nodes){ calloc(n, sizeof *t->parent), calloc(n, sizeof *t->depth), n };
	if (!t->parent || !t->depth)
		return -ENOMEM;
	for (uint32_t i = 1; i < n; i++) {
		uint32_t h = scramble(i), back = h % 8 ? h / 8 % 4 : h / 8 % i;
		uint32_t parent = i - 1 - MIN(back, i - 1);
		t->parent[i] = t->depth[parent] < DEPTH_MAX ? parent : 0;
		t->depth[i] = t->depth[t->parent[i]] + 1;
	}
	return 0;
}

/* A line of folded stacks per node, with the value 1. */
static void nodes_fold(const struct nodes *t, struct buf *out)
{
	uint32_t path[DEPTH_MAX + 2];
	for (uint32_t i = 0; i < t->n; i++) {
		uint32_t n = 0;
		for (uint32_t at = i; at; at = t->parent[at])
			path[n++] = at;
		buf_puts(out, "main");
		while (n)
			buf_printf(out, ";f%x", scramble(path[--n]) % FUNCTIONS);
		buf_puts(out, " 1\n");
	}
}

struct wanted_store {
	const char *path;
	char *service;
	int64_t nodes;
};

static int make_store(void *arg)
{
	const struct wanted_store *wanted = arg;
	_cleanup_(store_freep) struct store *store = NULL;
	_cleanup_(db_closep) struct db *db = NULL;
	_buf_ struct buf text = BUF_INIT((size_t)512 << 20);
	struct target target = { .service = wanted->service, .type = "cpu", .unit = "nanoseconds" };
	struct ingest_options io = { .target = &target, .name = "nodes.txt", .mtime = START };
	struct ingest_result result;
	struct error err = { 0 };
	struct nodes t;
	int e = nodes_make(&t, (uint32_t)wanted->nodes);
	if (!e)
		nodes_fold(&t, &text);
	free(t.parent);
	free(t.depth);
	if (!e)
		e = buf_err(&text) ?: store_open(wanted->path, &(struct store_options){ .create = true }, &store, &err);
	if (!e)
		e = db_open(store, &(struct db_options){ 0 }, &db, &err);
	if (!e)
		e = ingest_bytes(db, buf_slice(&text), &io, &result, &err);
	if (e)
		complain("%s", error_text(&err, e));
	return e;
}

int nodes_store(const char *store, char *service, int64_t nodes)
{
	return in_child(make_store, &(struct wanted_store){ store, service, nodes });
}

int64_t nodes_end(void)
{
	return time_floor(START, NS_PER_HOUR) + NS_PER_HOUR;
}

static bool parse(int argc, char **argv, int64_t *ret_nodes, struct run *ret)
{
	static const struct option options[] = {
		{ "nodes", required_argument, NULL, 'n' }, { "runs", required_argument, NULL, 'r' },
		{ "match", required_argument, NULL, 'm' }, { 0 },
	};
	*ret_nodes = 100000;
	ret->runs = 9;
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 'n')
			*ret_nodes = atoll(optarg);
		else if (c == 'r')
			ret->runs = (unsigned)MIN(MAX(atoi(optarg), 1), 64);
		else if (c == 'm')
			ret->match = optarg;
		else
			return false;
	}
	return optind == argc && *ret_nodes > 0 && *ret_nodes <= NODES_MAX;
}

int bench_render(int argc, char **argv)
{
	char store[] = "/tmp/profilefs-bench.XXXXXX", service[] = "nodes";
	struct recorded one = { .service = service, .start = START, .is_cpu = true };
	struct run r = { .data = { .v = &one, .n = 1, .end = nodes_end() } };
	if (!parse(argc, argv, &one.total_cpu, &r)) {
		complain("usage: bench render [--nodes N] [--runs N] [--match FILE], N up to %d", NODES_MAX);
		return 2;
	}
	r.store = mkdtemp(store);
	r.service = service;
	r.shared = mmap(NULL, sizeof *r.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (!r.store || r.shared == MAP_FAILED) {
		complain("%s: %s", store, strerror(errno));
		return 1;
	}
	int e = nodes_store(store, service, one.total_cpu);
	if (!e)
		e = query_renderings(&r, service, 1);
	folder_remove(store);
	return e ? 1 : 0;
}

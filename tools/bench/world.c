/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <string.h>

#include "../../core/base/clock.h"
#include "counting.h"

static const char *const programs[WORLD_PROGRAMS] = { "caddy", "etcd", "nats-server", "pyroscope" };

int world_init(struct world *w, int64_t start, int64_t end, unsigned pods, struct error *err)
{
	*w = (struct world){ .began = start };
	int e = store_mem_new(&w->mem);
	for (size_t i = 0; !e && i < WORLD_PROGRAMS; i++) {
		w->programs[i] = (struct service){ .seed = 1, .pods = pods, .start = start, .end = end };
		e = service_init(&w->programs[i], BASE_PROFILES, programs[i], err);
	}
	if (!e)
		world_set(w, start);
	return e;
}

void world_done(struct world *w)
{
	for (size_t i = 0; i < w->n_subsets; i++)
		subset_done(&w->batch[i]);
	for (size_t i = 0; i < WORLD_PROGRAMS && w->programs[i].name; i++)
		service_done(&w->programs[i]);
	if (w->mem)
		store_free(w->mem);
}

void world_set(struct world *w, int64_t now)
{
	int64_t shown = now;
	store_now(w->mem, &shown, NULL);
	store_mem_advance(w->mem, now - shown);
	w->now = now;
}

static int64_t world_uptime(void *ctx)
{
	const struct world *w = ctx;
	return NS_PER_DAY + w->now - w->began;
}

/* What is behind the cache of a process is counted; in memory only, as what the disk keeps outlives processes. */
static int open_counted(struct world *w, struct store **ret)
{
	struct cache_options o = { .immutable = db_key_immutable, .no_disk = true };
	struct store *counted;
	int e = counting_new(w->mem, &counted);
	if (e)
		return e;
	e = store_cache_new(counted, &o, ret);
	if (e)
		store_free(counted);
	return e;
}

int role_open(struct world *w, bool settle, struct role *ret, struct error *err)
{
	struct db_options o = { .threads = 1, .sole_compactor = true, .uptime = world_uptime, .uptime_ctx = w,
		                .check_reads = w->check_reads };
	struct compact_options co = { .settle = settle, .collect_every = NS_PER_MIN };
	*ret = (struct role){ 0 };
	int e = open_counted(w, &ret->store);
	if (!e)
		e = db_open(ret->store, &o, &ret->db, err);
	return e ? e : compactor_new(ret->db, &co, &ret->compactor);
}

void role_done(struct role *r)
{
	compactor_free(r->compactor);
	db_closep(&r->db);
	store_freep(&r->store);
}

void world_service(unsigned service, char ret[32])
{
	snprintf(ret, 32, "service-%05u", service);
}

static enum base_type pick_type(const struct service *s, unsigned type)
{
	enum base_type of[N_BASE_TYPES];
	unsigned n = 0;
	for (int i = 0; i < N_BASE_TYPES; i++)
		if (s->has[i])
			of[n++] = (enum base_type)i;
	return of[type % n];
}

int world_make(struct world *w, size_t slot, unsigned service, unsigned pod, unsigned type, int64_t time,
               struct made *ret)
{
	const struct service *s = &w->programs[service % WORLD_PROGRAMS];
	enum base_type of = pick_type(s, type);
	for (; w->n_subsets <= slot; w->n_subsets++)
		if (w->n_subsets == WORLD_BATCH || subset_init(&w->batch[w->n_subsets]))
			return -ENOMEM;
	struct subset *subset = &w->batch[slot];
	/* The model's pods are of one service; pods of other services are others. */
	int e = service_generate(s, of, pod % s->pods, time, of == BASE_GOROUTINE ? 0 : 15 * NS_PER_S, subset);
	world_service(service, ret->service);
	snprintf(ret->pod, sizeof ret->pod, "service-%05u-%04u", service, pod);
	ret->labels[0] = (struct label){ STR("pod"), str_of(ret->pod) };
	ret->labels[1] = (struct label){ STR("region"), str_of(pod_region(pod)) };
	ret->write = (struct db_write){
		.profile = &subset->out,
		.service = str_of(ret->service),
		.labels = ret->labels,
		.n_labels = ARRAY_SIZE(ret->labels),
		.salt = STR("bench"),
	};
	return e;
}

static int make_selection(const struct asked_tree *ask, struct selection *s, struct error *err)
{
	s->service = strdup(ask->service);
	s->type = strdup("cpu");
	s->from = ask->from;
	s->to = ask->to;
	s->has_time = true;
	if (!s->service || !s->type)
		return -ENOMEM;
	return ask->pod ? selection_add_matcher(s, STR("pod"), MATCH_EQ, str_of(ask->pod), err) : 0;
}

int world_ask(struct role *r, struct asked_tree *ask, struct error *err)
{
	_cleanup_(view_unrefp) struct view *v = NULL;
	_cleanup_(selection_freep) struct selection *sel = selection_new();
	_cleanup_(query_unrefp) struct query *q = NULL;
	const struct call_tree *tree;
	int e = sel ? make_selection(ask, sel, err) : -ENOMEM;
	if (!e)
		e = db_view(r->db, VIEW_MAX_AGE, &v, err);
	if (!e)
		e = query_new(v, sel, NULL, &q, err);
	if (!e)
		e = query_tree(q, NULL, &tree, err);
	if (e)
		return e;
	ask->profiles = query_info(q)->profiles;
	ask->nodes = tree->n_nodes;
	return 0;
}

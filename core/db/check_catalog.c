/* SPDX-License-Identifier: MIT */

/* Checks of what lies between objects: catalogs and blocks, blocks and each other. */

#include "check.h"

#include <string.h>

#include "collect.h"
#include "internal.h"
#include "settings.h"

#define INFO_ARENA ((size_t)1 << 30)
#define ORPHAN_AFTER (15 * NS_PER_MIN) /* younger ones may be on their way to a commit */

static bool same_info(const struct dataset_info *a, const struct dataset_info *b)
{
	return str_eq(a->service, b->service) && a->profiles == b->profiles && a->samples == b->samples &&
	       a->min_time == b->min_time && a->max_time == b->max_time && a->has_rollups == b->has_rollups &&
	       a->n_types == b->n_types && a->n_hours == b->n_hours && a->n_label_keys == b->n_label_keys;
}

int check_infos(struct checker *c, const struct live *l, struct block *b)
{
	_arena_ struct arena arena = ARENA_INIT(INFO_ARENA);
	struct dataset_info *infos;
	size_t n;
	int r = live_infos(l, &arena, &infos, &n);
	if (r < 0)
		return r;
	bool same = n == block_datasets(b) && l->object.level == block_level(b);
	for (size_t i = 0; i < n && same; i++)
		same = same_info(&infos[i], block_info(b, i));
	if (!same)
		check_found(c, l->object.key, "the catalog says something else of this block than the block itself");
	return 0;
}

/* ---- bases ---- */

struct base {
	struct dataset_info info;
	const struct live *live;
};

static int base_order(const void *a, const void *b)
{
	const struct base *x = a, *y = b;
	int r = str_cmp(x->info.service, y->info.service);
	return r ? r : CMP(x->info.min_time, y->info.min_time);
}

struct bases {
	struct base *v;
	size_t n, cap;
};

static int add_bases(struct bases *bases, const struct live *l, struct arena *arena)
{
	struct dataset_info *infos;
	size_t n;
	int r = live_infos(l, arena, &infos, &n);
	for (size_t i = 0; r == 0 && i < n; i++) {
		struct base *slot = infos[i].has_rollups ? VEC_PUSH(bases) : NULL;
		if (infos[i].has_rollups && !slot)
			return -ENOMEM;
		if (slot)
			*slot = (struct base){ infos[i], l };
	}
	return r;
}

static void report_overlaps(struct checker *c, struct bases *bases)
{
	if (bases->n)
		qsort(bases->v, bases->n, sizeof *bases->v, base_order);
	for (size_t i = 1; i < bases->n; i++) {
		const struct base *a = &bases->v[i - 1], *b = &bases->v[i];
		_free_ char *what = NULL;
		if (!str_eq(a->info.service, b->info.service) || a->info.max_time < b->info.min_time)
			continue;
		if (asprintf(&what, "its rollups of service %.*s overlap in time with those of %s",
		             (int)MIN(a->info.service.len, (size_t)200), a->info.service.s, a->live->object.key) > 0)
			check_found(c, b->live->object.key, what);
	}
}

int check_bases(struct checker *c, struct view *v, struct error *err)
{
	int r = 0;
	for (size_t d = 0; d < v->n_days && r == 0; d++) {
		_arena_ struct arena arena = ARENA_INIT(INFO_ARENA);
		struct bases bases = { 0 };
		for (size_t i = 0; i < v->days[d]->n_blocks && r == 0; i++)
			r = add_bases(&bases, v->days[d]->blocks[i], &arena);
		if (r == 0)
			report_overlaps(c, &bases);
		VEC_DONE(&bases);
	}
	return r < 0 ? error_set(err, r, "a catalog cannot be read: %s", err_text(r)) : 0;
}

/* ---- orphans ---- */

struct orphans {
	struct checker *c;
	struct view *v;
	size_t prefix_len;
	int64_t now;
	VEC(int32_t) days; /* to repair */
};

static int on_block(void *ctx, const char *key, const struct store_stat *st)
{
	struct orphans *o = ctx;
	int32_t day;
	struct ulid ulid;
	if (!st || !key_parse_block(key + o->prefix_len, &day, &ulid) || o->now - st->mtime_ns <= ORPHAN_AFTER)
		return 0;
	const struct day_state *s = view_day(o->v, day);
	if (s && (day_state_block(s, &ulid) || day_state_dropped(s, &ulid)))
		return 0;
	check_found(o->c, key, o->c->repair ? "an orphan: no catalog names it; condemned, collection removes it"
	                                    : "an orphan: no catalog names it; compaction removes it");
	int32_t *slot = o->days.n && o->days.v[o->days.n - 1] == day ? NULL : VEC_PUSH(&o->days);
	if (slot)
		*slot = day;
	return 0;
}

int check_orphans(struct checker *c, struct view *v, struct error *err)
{
	_free_ char *prefix = key_under(c->db->tenant, "blk");
	struct orphans o = { .c = c, .v = v, .prefix_len = prefix ? strlen(prefix) : 0 };
	int r = prefix ? store_now(c->db->store, &o.now, err) : -ENOMEM;
	if (r == 0)
		r = store_list(c->db->store, prefix, NULL, 0, on_block, &o, err);
	for (size_t i = 0; i < o.days.n && r == 0 && c->repair; i++) {
		struct collect_counts counts = { 0 };
		r = collect_day(c->db, o.days.v[i], &(struct collect_options){ 0 }, &counts, err);
	}
	VEC_DONE(&o.days);
	return r;
}

int check_settings(struct checker *c)
{
	struct retentions limits;
	struct error why = { 0 };
	int r = retention_get(c->db, 0, &limits, &why);
	if (r == 0)
		retentions_done(&limits);
	else if (r == ERR_CORRUPT_LAYOUT)
		check_found(c, "set/", error_text(&why, r));
	return r == ERR_CORRUPT_LAYOUT ? 0 : r;
}

/* SPDX-License-Identifier: MIT */

/*
 * Which objects of a day are merged next.
 *
 *     segments -(8 of them, or 20 s old)-> recent blocks -(4 of a tier)-> larger ones -(hour over)-> hours -> day
 *
 * Tiers are powers of four of the size, from 64 KiB on. A merge of recent blocks takes all of a tier that has four,
 * with all that is smaller, so its output lies in a higher tier: within its hour a profile is rewritten once as a
 * segment and at most once per tier, that is nine times up to a gigabyte; then once with its hour and once with its
 * day. Hours are cut at their ends, so that blocks of different hours never overlap and all may bear rollups.
 *
 * A day that is over by ten minutes becomes one block (and one per service of 64 MiB and more). What comes later lies
 * beside it in tiers, and is merged into it when it has grown to half of its size: each such rewrite makes the
 * day half again as large. A service's own blocks take part only where something else of the service overlaps them.
 */

#include "merge_plan.h"

#include "../base/clock.h"

#define RIPE_SEGMENTS 8
#define RIPE_AGE (20 * NS_PER_S)
#define TIER_BLOCKS 4
#define TIER_FIRST ((uint64_t)64 << 10)
#define TIERS 20
#define DAY_OVER_AFTER (10 * NS_PER_MIN)
#define HOUR_OVER_AFTER (2 * NS_PER_MIN)
#define LATE_SHARE 2 /* what is late is merged in when it has reached the day's size divided by this */
#define INFO_ARENA ((size_t)1 << 30)

void merge_plan_done(struct merge_plan *p)
{
	VEC_DONE(&p->inputs);
}

static int take(struct merge_plan *p, struct live *l)
{
	struct live **slot = p->inputs.n < PLAN_INPUTS_MAX ? VEC_GROW(&p->inputs, 1) : NULL;
	if (!slot)
		return p->inputs.n < PLAN_INPUTS_MAX ? -ENOMEM : 0;
	*slot = l;
	p->inputs.n++;
	return 0;
}

static bool is_own(const struct live *l)
{
	return l->object.is_block && l->n_services == 1 && l->object.size >= PLAN_OWN_MIN;
}

static unsigned tier_of(uint64_t size)
{
	unsigned tier = 0;
	while (tier + 1 < TIERS && size >= TIER_FIRST) {
		size /= TIER_BLOCKS;
		tier++;
	}
	return tier;
}

static int size_order(const void *a, const void *b)
{
	const struct object *x = &(*(struct live *const *)a)->object, *y = &(*(struct live *const *)b)->object;
	return x->size != y->size ? CMP(x->size, y->size) : ulid_cmp(&x->ulid, &y->ulid);
}

static int64_t day_start(int32_t day)
{
	return day * NS_PER_DAY;
}

static bool is_over(const struct merge_plan_options *o)
{
	return o->now >= day_start(o->day) + NS_PER_DAY + DAY_OVER_AFTER;
}

/* ---- segments and recent blocks ---- */

static bool segments_are_ripe(struct live **objects, size_t n, const struct merge_plan_options *o)
{
	size_t segments = 0;
	bool old = false;
	for (size_t i = 0; i < n; i++) {
		const struct object *x = &objects[i]->object;
		segments += !x->is_block;
		old |= !x->is_block && x->mtime && o->now - x->mtime >= RIPE_AGE;
	}
	return old || segments >= RIPE_SEGMENTS;
}

static bool is_recent(const struct live *l)
{
	return l->object.is_block && l->object.level <= LEVEL_RECENT && !is_own(l);
}

/* How many objects below the highest tier that has too many are to be merged; sorted by size. */
static unsigned full_tier(struct live **objects, size_t n, uint64_t segments_size, bool *ret_any)
{
	size_t in_tier[TIERS] = { 0 };
	unsigned highest = 0;
	uint64_t below = segments_size;
	for (size_t i = 0; i < n; i++)
		if (is_recent(objects[i]))
			in_tier[tier_of(objects[i]->object.size)]++;
	*ret_any = false;
	for (unsigned t = 0; t < TIERS; t++) {
		if (in_tier[t] + (below && tier_of(below) == t) >= TIER_BLOCKS) {
			*ret_any = true;
			highest = t;
		}
		if (!*ret_any || highest != t)
			continue;
		below = segments_size;
		for (size_t i = 0; i < n; i++)
			if (is_recent(objects[i]) && tier_of(objects[i]->object.size) <= t)
				below += objects[i]->object.size;
	}
	return highest;
}

static int plan_recent(struct live **objects, size_t n, const struct merge_plan_options *o, struct merge_plan *p)
{
	bool ripe = segments_are_ripe(objects, n, o), full;
	uint64_t segments_size = 0;
	for (size_t i = 0; i < n && ripe; i++)
		segments_size += objects[i]->object.is_block ? 0 : objects[i]->object.size;
	unsigned tier = full_tier(objects, n, segments_size, &full);
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		bool segment = !objects[i]->object.is_block && ripe;
		bool small = full && is_recent(objects[i]) && tier_of(objects[i]->object.size) <= tier;
		if (segment || small)
			r = take(p, objects[i]);
	}
	p->level = LEVEL_RECENT;
	return r;
}

/* ---- hours ---- */

static int block_range(const struct live *l, int64_t *ret_min, int64_t *ret_max)
{
	_arena_ struct arena arena = ARENA_INIT(INFO_ARENA);
	struct dataset_info *infos;
	size_t n;
	int r = live_infos(l, &arena, &infos, &n);
	*ret_min = INT64_MAX;
	*ret_max = INT64_MIN;
	for (size_t i = 0; r == 0 && i < n; i++) {
		*ret_min = MIN(*ret_min, infos[i].min_time);
		*ret_max = MAX(*ret_max, infos[i].max_time);
	}
	return r;
}

static int64_t hours_over(const struct merge_plan_options *o)
{
	int64_t end = time_floor(o->now - HOUR_OVER_AFTER, NS_PER_HOUR);
	return MIN(end, day_start(o->day) + NS_PER_DAY);
}

/* Once an hour is over, what is recent of it, and the segments that came with it, are cut at its end. */
static int plan_hours(struct live **objects, size_t n, const struct merge_plan_options *o, struct merge_plan *p)
{
	bool due = false;
	int r = 0;
	p->hours_end = hours_over(o);
	for (size_t i = 0; i < n && r == 0; i++) {
		int64_t min, max;
		if (!is_recent(objects[i]))
			continue;
		r = block_range(objects[i], &min, &max);
		if (r < 0 || min >= p->hours_end)
			continue;
		due = true;
		r = take(p, objects[i]);
	}
	for (size_t i = 0; i < n && r == 0 && due; i++)
		if (!objects[i]->object.is_block)
			r = take(p, objects[i]);
	p->level = LEVEL_HOUR;
	return r;
}

/* ---- the whole day ---- */

/* Whether something else of an own block's service lies over its time: then the two are merged. */
static int own_is_wanted(struct live *own, struct live **objects, size_t n, bool *ret)
{
	_arena_ struct arena arena = ARENA_INIT(INFO_ARENA);
	struct dataset_info *mine, *theirs;
	size_t n_mine, n_theirs;
	*ret = false;
	int r = live_infos(own, &arena, &mine, &n_mine);
	for (size_t i = 0; i < n && r == 0 && !*ret; i++) {
		if (objects[i] == own || !live_may_hold(objects[i], mine[0].service))
			continue;
		if (!objects[i]->object.is_block) {
			*ret = true;
			break;
		}
		r = live_infos(objects[i], &arena, &theirs, &n_theirs);
		for (size_t k = 0; r == 0 && k < n_theirs; k++)
			*ret |= str_eq(theirs[k].service, mine[0].service) && theirs[k].min_time <= mine[0].max_time &&
			        mine[0].min_time <= theirs[k].max_time;
	}
	return r;
}

static int is_before_or_behind(const struct live *a, const struct live *b, bool *ret)
{
	int64_t min[2], max[2];
	int r = block_range(a, &min[0], &max[0]);
	if (r == 0)
		r = block_range(b, &min[1], &max[1]);
	*ret = r == 0 && (max[0] < min[1] || max[1] < min[0]);
	return r;
}

/* One block, or several of the whole day that were cut by time: one would be too large, or take too much memory. */
static int is_settled(const struct merge_plan *p, bool *ret)
{
	uint64_t size = 0;
	int r = 0;
	*ret = true;
	for (size_t i = 0; i < p->inputs.n; i++) {
		*ret &= p->inputs.v[i]->object.level == LEVEL_DAY;
		size += p->inputs.v[i]->object.size;
	}
	for (size_t i = 1; i < p->inputs.n && *ret && size <= PLAN_BLOCK_MAX && r == 0; i++)
		for (size_t k = 0; k < i && *ret && r == 0; k++)
			r = is_before_or_behind(p->inputs.v[i], p->inputs.v[k], ret);
	return r;
}

static int plan_settle(struct live **objects, size_t n, struct merge_plan *p)
{
	int r = 0;
	p->level = LEVEL_DAY;
	for (size_t i = 0; i < n && r == 0; i++) {
		bool wanted = true;
		if (is_own(objects[i]))
			r = own_is_wanted(objects[i], objects, n, &wanted);
		if (r == 0 && wanted)
			r = take(p, objects[i]);
	}
	bool settled = false;
	if (r == 0)
		r = is_settled(p, &settled);
	if (settled)
		p->inputs.n = 0;
	return r;
}

/* Sorted by size: whether the rest has grown large enough, beside what was merged for the whole day. */
static bool day_is_due(struct live **objects, size_t n)
{
	uint64_t largest = 0, rest = 0;
	for (size_t i = 0; i < n; i++) {
		const struct object *x = &objects[i]->object;
		if (x->level == LEVEL_DAY)
			largest = MAX(largest, x->size);
		else
			rest += x->size;
	}
	return rest && rest >= largest / LATE_SHARE;
}

int merge_plan_day(struct live **objects, size_t n, const struct merge_plan_options *o, struct merge_plan *ret)
{
	struct merge_plan p = { 0 };
	struct live **sorted = malloc((n + 1) * sizeof *sorted);
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = objects[i];
	qsort(sorted, n, sizeof *sorted, size_order);
	int r;
	if (o->settle)
		r = plan_settle(sorted, n, &p);
	else if (is_over(o))
		r = day_is_due(sorted, n) ? plan_settle(sorted, n, &p) : plan_recent(sorted, n, o, &p);
	else if ((r = plan_hours(sorted, n, o, &p)) == 0 && !p.inputs.n)
		r = plan_recent(sorted, n, o, &p);
	free(sorted);
	if (r == 0)
		*ret = p;
	else
		merge_plan_done(&p);
	return r;
}

int64_t merge_plan_next(struct live **objects, size_t n, const struct merge_plan_options *o)
{
	int64_t next = 0, hour = time_floor(o->now - HOUR_OVER_AFTER, NS_PER_HOUR) + NS_PER_HOUR + HOUR_OVER_AFTER;
	int64_t over = day_start(o->day) + NS_PER_DAY + DAY_OVER_AFTER;
	for (size_t i = 0; i < n; i++) {
		const struct object *x = &objects[i]->object;
		int64_t at = 0;
		if (!x->is_block)
			at = (x->mtime ? x->mtime : o->now) + RIPE_AGE;
		else if (x->level <= LEVEL_RECENT && !is_over(o))
			at = MIN(hour, over);
		else if (x->level < LEVEL_DAY && !is_over(o))
			at = over;
		if (at > o->now && (!next || at < next))
			next = at;
	}
	return next;
}

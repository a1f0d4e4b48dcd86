/* SPDX-License-Identifier: MIT */

/*
 * A pass of compaction: views and plans, one merge after the other, the smallest first, until nothing is due; then
 * each day that has something dropped or left over is collected. What another compactor does at the same time shows
 * as a merge that is abandoned: then a new view is taken, and both go on.
 */

#include "compact.h"

#include <string.h>

#include "collect.h"
#include "internal.h"
#include "merge_run.h"
#include "retain.h"

#define FEW_INPUTS 8 /* of a merge that needs too much memory: it is not their number */
#define PARTS_MAX 32
#define MEMORY_DEFAULT ((size_t)256 << 20)
#define ABANDONED_MAX 16 /* in a row, of one pass */

struct compactor {
	struct db *db;
	struct compact_options o;
	struct damaged_set damaged;
	VEC(int32_t) failed; /* days of this pass that cannot be merged now */
	int64_t collected;   /* db_uptime() of the last collection; 0: none yet */
};

int compactor_new(struct db *db, const struct compact_options *o, struct compactor **ret)
{
	struct compactor *c = calloc(1, sizeof *c);
	if (!c)
		return -ENOMEM;
	c->db = db;
	c->o = *o;
	c->o.memory = o->memory ? o->memory : MEMORY_DEFAULT;
	*ret = c;
	return 0;
}

void compactor_free(struct compactor *c)
{
	if (!c)
		return;
	damaged_done(&c->damaged);
	VEC_DONE(&c->failed);
	free(c);
}

/* ---- what is due ---- */

struct due {
	struct merge_plan plan;
	int32_t day;
	uint64_t size;
	int64_t next; /* the store's time when a day comes due again; 0: never */
};

static bool has_failed(const struct compactor *c, int32_t day)
{
	for (size_t i = 0; i < c->failed.n; i++)
		if (c->failed.v[i] == day)
			return true;
	return false;
}

static void note_failed(struct compactor *c, int32_t day)
{
	int32_t *slot = VEC_PUSH(&c->failed);
	if (slot)
		*slot = day;
}

/* Damaged objects stay where they are. */
static size_t leave_out_damaged(const struct compactor *c, struct live **objects, size_t n, struct live **ret)
{
	size_t kept = 0;
	for (size_t i = 0; i < n; i++)
		if (!damaged_has(&c->damaged, &objects[i]->object.ulid))
			ret[kept++] = objects[i];
	return kept;
}

static uint64_t plan_size(const struct merge_plan *p)
{
	uint64_t n = 0;
	for (size_t i = 0; i < p->inputs.n; i++)
		n += p->inputs.v[i]->object.size;
	return n;
}

static int consider_day(struct compactor *c, struct live **objects, size_t n, int64_t now, struct due *due)
{
	struct merge_plan_options o = { .day = objects[0]->object.day, .now = now, .settle = c->o.settle };
	struct live **sound = malloc((n + 1) * sizeof *sound);
	struct merge_plan plan = { 0 };
	if (!sound)
		return -ENOMEM;
	size_t n_sound = leave_out_damaged(c, objects, n, sound);
	int r = merge_plan_day(sound, n_sound, &o, &plan);
	int64_t next = merge_plan_next(sound, n_sound, &o);
	free(sound);
	if (next && (!due->next || next < due->next))
		due->next = next;
	uint64_t size = plan_size(&plan);
	if (r < 0 || !plan.inputs.n || (due->plan.inputs.n && size >= due->size)) {
		merge_plan_done(&plan);
		return r;
	}
	merge_plan_done(&due->plan);
	due->plan = plan;
	due->day = o.day;
	due->size = size;
	return 0;
}

/* The smallest merge of all days. */
static int find_due(struct compactor *c, struct view *v, int64_t now, struct due *due)
{
	int r = 0;
	for (size_t i = 0, n; i < v->n && r == 0; i += n) {
		for (n = 1; i + n < v->n && v->live[i + n]->object.day == v->live[i]->object.day; n++)
			;
		if (!has_failed(c, v->live[i]->object.day))
			r = consider_day(c, v->live + i, n, now, due);
	}
	return r;
}

/* ---- merging ---- */

/*
 * Where the memory does not hold all inputs, half of them are tried; where few do not fit, the day is cut by time. A
 * day of parts is as good as one in one block, but takes a pass over the inputs for each.
 */
static int merge_due(struct compactor *c, struct view *v, const struct due *due, struct merge_counts *counts,
                     struct error *err)
{
	struct merge_job job = {
		.day = due->day,
		.view = v,
		.base = view_day(v, due->day),
		.inputs = due->plan.inputs.v,
		.n_inputs = due->plan.inputs.n,
		.level = due->plan.level,
		.hours_end = due->plan.hours_end,
		.memory = c->o.memory,
		.cancel = c->o.cancel,
		.damaged = &c->damaged,
	};
	int r = merge_run(c->db, &job, counts, err);
	while (r == ERR_LIMIT_MEMORY) {
		if (job.level == LEVEL_DAY && job.n_inputs <= FEW_INPUTS && job.parts < PARTS_MAX) {
			job.parts = job.parts ? 2 * job.parts : 2;
		} else if (job.n_inputs > 2) {
			job.n_inputs = (job.n_inputs + 1) / 2;
			job.level = LEVEL_RECENT;
			job.parts = 0;
		} else {
			break;
		}
		r = merge_run(c->db, &job, counts, err);
	}
	return r;
}

static bool is_fatal(int e)
{
	return e == -ENOMEM || e == ERR_CANCELLED || e == ERR_STORE_ACCESS || e == ERR_STORE_READONLY || e == -EROFS ||
	       e == ERR_NEWER;
}

/* One merge. *ret: whether there was one to do. A day whose merge fails is left for the next pass. */
static int merge_locked(struct compactor *c, struct merge_counts *counts, struct compact_report *report, bool *ret,
                        struct error *err)
{
	_cleanup_(view_unrefp) struct view *v = NULL;
	struct due due = { 0 };
	struct error why = { 0 };
	int64_t now = 0;
	int r = view_quietly(c->db, 0, &v, err);
	if (r == 0)
		r = store_now(c->db->store, &now, err);
	if (r == 0)
		r = find_due(c, v, now, &due);
	*ret = r == 0 && due.plan.inputs.n;
	if (*ret)
		r = merge_due(c, v, &due, counts, &why);
	if (r < 0 && *ret && !is_fatal(r)) {
		log_msg(c->db->log, LOG_LEVEL_WARNING, "compaction of a day failed, it will be tried again: %s",
		        error_text(&why, r));
		note_failed(c, due.day);
		r = 0;
	} else if (r < 0 && *ret) {
		error_set(err, r, "%s", error_text(&why, r));
	}
	report->next = due.next ? MAX(due.next - now, NS_PER_MS) : 0;
	merge_plan_done(&due.plan);
	return r;
}

static int merge_one(struct compactor *c, struct merge_counts *counts, struct compact_report *report, bool *ret,
                     struct error *err)
{
	pthread_mutex_lock(&c->db->merge_lock);
	int r = merge_locked(c, counts, report, ret, err);
	pthread_mutex_unlock(&c->db->merge_lock);
	return r;
}

static int merge_all(struct compactor *c, struct compact_report *report, struct error *err)
{
	struct merge_counts n = { 0 };
	bool more = true;
	int r = 0;
	c->failed.n = 0;
	while (more && r >= 0 && n.abandoned < ABANDONED_MAX) {
		r = cancel_check(c->o.cancel);
		if (r == 0)
			r = merge_one(c, &n, report, &more, err);
	}
	report->merges += n.merges;
	report->inputs += n.inputs;
	report->outputs += n.outputs;
	report->profiles += n.profiles;
	report->duplicates += n.duplicates;
	report->bytes_in += n.bytes_in;
	report->bytes_out += n.bytes_out;
	report->abandoned += n.abandoned;
	report->damaged = c->damaged.v.n;
	return MIN(r, 0);
}

/* ---- a pass ---- */

static void comes_due(struct compact_report *report, int64_t in)
{
	in = MAX(in, NS_PER_MS);
	report->next = report->next ? MIN(report->next, in) : in;
}

static int retain_all(struct compactor *c, struct compact_report *report, struct error *err)
{
	struct db_deleted n = { 0 };
	int r = retain(c->db, c->o.collect_every, &n, err);
	report->expired += n.objects;
	return r;
}

static int collect_all(struct compactor *c, struct compact_report *report, struct error *err)
{
	struct collect_options o = { .grace = c->o.grace };
	struct collect_counts n = { 0 };
	_days_ struct days days = { 0 };
	int64_t now = 0;
	_cleanup_(view_unrefp) struct view *v = NULL;
	int r = view_quietly(c->db, 0, &v, err);
	if (r == 0)
		r = collect_days(c->db, v, &days, err);
	for (size_t i = 0; i < days.n && r == 0; i++) {
		r = cancel_check(c->o.cancel);
		if (r == 0)
			r = collect_day(c->db, days.v[i], &o, &n, err);
	}
	if (r == 0 && n.next)
		r = store_now(c->db->store, &now, err);
	report->removed += n.removed;
	report->condemned += n.condemned;
	report->forgotten += n.forgotten;
	if (r == 0 && n.next)
		comes_due(report, MAX(n.next - now, c->o.collect_every));
	c->collected = db_uptime(c->db);
	return r;
}

int compactor_pass(struct compactor *c, struct compact_report *report, struct error *err)
{
	if (!db_has_format(c->db)) /* nothing was ever written */
		return 0;
	int r = db_may_commit(c->db, err);
	if (r == 0)
		r = merge_all(c, report, err);
	if (r < 0)
		return r;
	int64_t due_in = c->collected ? c->collected + c->o.collect_every - db_uptime(c->db) : 0;
	if (due_in <= 0) {
		r = retain_all(c, report, err);
		return r < 0 ? r : collect_all(c, report, err);
	}
	comes_due(report, due_in);
	return 0;
}

/* SPDX-License-Identifier: MIT */

/*
 * Deletion: the objects of a day that hold what is to go are merged without it, and dropped, in one commit. A view
 * has either all of them or none. A profile that is written meanwhile lies in another segment, which stays; and one
 * that has the id of a deleted profile is written anew, since no live object has that id.
 *
 * Another compactor may merge an input away first: then the commit is abandoned, and all is done again on a new view.
 */

#include <string.h>

#include "../profile/types.h"
#include "commit.h"
#include "internal.h"
#include "merge_run.h"

#define DELETE_TRIES 16
#define INFO_ARENA ((size_t)1 << 30)

struct deletion {
	struct db *db;
	const struct db_which *which;
	bool dry_run;
	struct db_deleted done;
	/* of the day at hand */
	int32_t day;
	VEC(struct live *) inputs;  /* borrowed from the view */
	VEC(struct ulid) ids;       /* of the profiles that go, sorted; of a type or an id alone */
	uint64_t profiles;
};

/* Whether all of a service's day goes. */
static bool takes_all(const struct db_which *w)
{
	return !w->type && !w->id;
}

static bool drop(void *ctx, struct str service, const struct ulid *id, int64_t time)
{
	const struct deletion *d = ctx;
	if (d->which->service && !str_eq(*d->which->service, service))
		return false;
	return takes_all(d->which) ||
	       (d->ids.n && bsearch(id, d->ids.v, d->ids.n, sizeof *d->ids.v, ulid_order) != NULL);
}

/* ---- what goes ---- */

static int header_has_type(struct dataset *d, const struct header *h, struct str type, bool *ret, struct error *err)
{
	const struct str *strings;
	uint32_t n;
	int r = dataset_strings(d, &strings, &n, err);
	*ret = false;
	for (uint32_t i = 0; r == 0 && i < h->n_types && !*ret; i++) {
		_buf_ struct buf name = BUF_INIT((size_t)1 << 20);
		type_name(&name, strings[h->types[i].type], strings[h->types[i].unit], strings[h->kind]);
		*ret = !buf_err(&name) && str_eq(type, (struct str){ (const char *)name.data, name.len });
	}
	return r;
}

/* Which headers have the type: new. */
static int headers_of_type(struct deletion *d, struct dataset *ds, const struct profiles *p, bool **ret,
                           struct error *err)
{
	bool *has = calloc(p->n_headers + 1, sizeof *has);
	int r = has ? 0 : -ENOMEM;
	for (uint32_t h = 0; r == 0 && h < p->n_headers; h++) {
		has[h] = true;
		if (d->which->type)
			r = header_has_type(ds, &p->headers[h], *d->which->type, &has[h], err);
	}
	if (r == 0)
		*ret = has;
	else
		free(has);
	return r;
}

static int note_ids(struct deletion *d, struct dataset *ds, bool *ret_any, struct error *err)
{
	const struct profiles *p;
	_free_ bool *has = NULL;
	int r = dataset_profiles(ds, &p, err);
	if (r == 0)
		r = headers_of_type(d, ds, p, &has, err);
	for (uint32_t i = 0; r == 0 && i < p->n; i++) {
		struct ulid id = profile_row_id(&p->rows[i]);
		if (!has[p->rows[i].header] || (d->which->id && ulid_cmp(&id, d->which->id) != 0))
			continue;
		struct ulid *slot = VEC_PUSH(&d->ids);
		if (!slot)
			return -ENOMEM;
		*slot = id;
		*ret_any = true;
		d->profiles++;
	}
	return r;
}

/* Looks into one object; an input where it holds something of what goes. */
static int consider(struct deletion *d, struct live *l, struct error *err)
{
	struct cached *pin;
	bool any = false;
	if (d->which->service && !live_may_hold(l, *d->which->service))
		return 0;
	int r = cache_pin(d->db, l, &pin, err);
	if (r < 0)
		return r == ERR_STORE_NOT_FOUND ? ERR_STALE : r;
	struct block *b = cached_block(pin);
	for (size_t i = 0; i < block_datasets(b) && r == 0; i++) {
		const struct dataset_info *info = block_info(b, i);
		if (d->which->service && !str_eq(info->service, *d->which->service))
			continue;
		if (!takes_all(d->which)) {
			r = note_ids(d, block_dataset(b, i), &any, err);
			continue;
		}
		any = true;
		d->profiles += info->profiles;
	}
	cache_unpin(d->db, pin);
	struct live **slot = r == 0 && any ? VEC_PUSH(&d->inputs) : NULL;
	if (slot)
		*slot = l;
	return r == 0 && any && !slot ? -ENOMEM : r;
}

/* All of a day: no object needs to be opened. */
static bool takes_day(const struct deletion *d)
{
	return takes_all(d->which) && !d->which->service;
}

static int count_block(struct deletion *d, struct live *l)
{
	_arena_ struct arena arena = ARENA_INIT(INFO_ARENA);
	struct dataset_info *infos;
	size_t n;
	int r = l->object.is_block ? live_infos(l, &arena, &infos, &n) : 0;
	for (size_t i = 0; r == 0 && l->object.is_block && i < n; i++)
		d->profiles += infos[i].profiles;
	return r;
}

static int take_whole(struct deletion *d, struct live *l)
{
	struct live **slot = VEC_PUSH(&d->inputs);
	if (!slot)
		return -ENOMEM;
	*slot = l;
	return count_block(d, l);
}

static int find_inputs(struct deletion *d, struct view *v, struct error *err)
{
	int r = 0;
	d->inputs.n = d->ids.n = 0;
	d->profiles = 0;
	for (size_t i = 0; i < v->n && r == 0; i++)
		if (v->live[i]->object.day == d->day)
			r = takes_day(d) ? take_whole(d, v->live[i]) : consider(d, v->live[i], err);
	if (d->ids.n)
		qsort(d->ids.v, d->ids.n, sizeof *d->ids.v, ulid_order);
	return r;
}

/* ---- one day ---- */

static enum block_level highest_level(const struct deletion *d)
{
	unsigned level = LEVEL_RECENT;
	for (size_t i = 0; i < d->inputs.n; i++)
		level = MAX(level, d->inputs.v[i]->object.level);
	return MIN(level, (unsigned)LEVEL_DAY);
}

/* More inputs than one merge takes are first made fewer, without anything deleted: that is one commit, at the end. */
static int run_merge(struct deletion *d, struct view *v, bool *ret_last, struct error *err)
{
	struct merge_counts counts = { 0 };
	*ret_last = d->inputs.n <= PLAN_INPUTS_MAX;
	struct merge_job job = {
		.day = d->day,
		.base = view_day(v, d->day),
		.inputs = d->inputs.v,
		.n_inputs = MIN(d->inputs.n, (size_t)PLAN_INPUTS_MAX),
		.level = *ret_last ? highest_level(d) : LEVEL_RECENT,
		.drop = *ret_last ? drop : NULL,
		.ctx = d,
	};
	return merge_run(d->db, &job, &counts, err);
}

/* A day goes as it is: every object of it is dropped. */
static int drop_whole(struct deletion *d, struct view *v, struct error *err)
{
	struct commit_input *inputs = malloc((d->inputs.n + 1) * sizeof *inputs);
	if (!inputs)
		return -ENOMEM;
	for (size_t i = 0; i < d->inputs.n; i++)
		inputs[i] = (struct commit_input){ d->inputs.v[i]->object.ulid, d->inputs.v[i]->object.is_block };
	struct commit c = { .day = d->day, .inputs = inputs, .n_inputs = d->inputs.n };
	int r = db_commit(d->db, &c, view_day(v, d->day), err);
	free(inputs);
	return r;
}

/* One try. *ret: whether the day is done. */
static int try_day(struct deletion *d, bool *ret, struct error *err)
{
	_cleanup_(view_unrefp) struct view *v = NULL;
	int r = view_quietly(d->db, 0, &v, err);
	if (r == 0)
		r = find_inputs(d, v, err);
	*ret = r == 0 && (!d->inputs.n || d->dry_run);
	if (r == 0 && !*ret) {
		*ret = true;
		r = takes_day(d) ? drop_whole(d, v, err) : run_merge(d, v, ret, err);
		if (r == COMMIT_ABANDONED)
			*ret = false;
	}
	if (r == ERR_STALE)
		r = COMMIT_ABANDONED;
	return MIN(r, 0);
}

static int remove_marker(struct deletion *d, struct view *v, struct str service, struct error *err)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->live[i]->object.day == d->day && live_may_hold(v->live[i], service))
			return 0;
	return markers_remove(d->db, service, d->day, err);
}

/* The markers of services that have nothing more on that day. A hint: what is wrong here compaction puts right. */
static int remove_markers(struct deletion *d, struct error *err)
{
	_cleanup_(view_unrefp) struct view *v = NULL;
	_names_ struct names services = { 0 };
	int r = view_quietly(d->db, VIEW_MAX_AGE, &v, err);
	if (r == 0 && d->which->service)
		return remove_marker(d, v, *d->which->service, err);
	if (r == 0)
		r = db_services(d->db, VIEW_MAX_AGE, &services, err);
	for (size_t i = 0; i < services.n && r == 0; i++)
		r = remove_marker(d, v, str_of(services.v[i]), err);
	return r;
}

static int delete_day(struct deletion *d, struct error *err)
{
	bool done = false;
	int r = 0;
	for (int i = 0; i < DELETE_TRIES && r == 0 && !done; i++)
		r = try_day(d, &done, err);
	if (r == 0 && !done)
		return error_set(err, ERR_STORE_TIMEOUT, "others merged what was to be deleted each time; try again");
	if (r < 0)
		return r;
	d->done.days += d->inputs.n > 0;
	d->done.profiles += d->profiles;
	d->done.objects += d->inputs.n;
	bool leaves_marker = d->inputs.n || takes_all(d->which); /* or one that failed before has left it */
	return d->dry_run || !leaves_marker ? 0 : remove_markers(d, err);
}

/* ---- all days ---- */

static int days_of(struct deletion *d, struct days *ret, struct error *err)
{
	_cleanup_(view_unrefp) struct view *v = NULL;
	int r = view_quietly(d->db, 0, &v, err);
	if (r < 0)
		return r;
	struct days days = { malloc((v->n + 1) * sizeof *days.v), 0 };
	if (!days.v)
		return -ENOMEM;
	for (size_t i = 0; i < v->n; i++) {
		int32_t day = v->live[i]->object.day;
		if (day >= d->which->from_day && day <= d->which->to_day && (!days.n || days.v[days.n - 1] != day))
			days.v[days.n++] = day;
	}
	*ret = days;
	return 0;
}

int db_delete(struct db *db, const struct db_which *which, bool dry_run, struct db_deleted *ret, struct error *err)
{
	struct deletion d = { .db = db, .which = which, .dry_run = dry_run };
	_days_ struct days days = { 0 };
	int r = dry_run ? 0 : db_may_commit(db, err);
	pthread_mutex_lock(&db->merge_lock);
	if (r == 0)
		r = days_of(&d, &days, err);
	for (size_t i = 0; i < days.n && r == 0; i++) {
		d.day = days.v[i];
		r = delete_day(&d, err);
	}
	pthread_mutex_unlock(&db->merge_lock);
	view_expire(db);
	VEC_DONE(&d.inputs);
	VEC_DONE(&d.ids);
	if (r == 0)
		*ret = d.done;
	return r;
}

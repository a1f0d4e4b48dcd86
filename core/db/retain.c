/* SPDX-License-Identifier: MIT */

/*
 * Retention works by whole UTC days, the oldest first, and never takes today. By age: days that lie more than the
 * limit before the store's today. By size: of what the store holds live; of a service, of what its datasets take in
 * blocks.
 */

#include "retain.h"

#include <string.h>

#include "internal.h"
#include "settings.h"

#define INFO_ARENA ((size_t)1 << 30)

struct retaining {
	struct db *db;
	struct view *view;
	int32_t today;
	struct db_deleted *done;
};

static int delete_until(struct retaining *r, const struct str *service, int32_t last, struct error *err)
{
	struct db_deleted n = { 0 };
	struct db_which which = { .service = service, .from_day = INT32_MIN, .to_day = last };
	int e = db_delete(r->db, &which, false, &n, err);
	r->done->profiles += n.profiles;
	r->done->days += n.days;
	r->done->objects += n.objects;
	return e;
}

/* What one object counts for: all of it, or a service's share of a block. */
static int bytes_of(const struct live *l, const struct str *service, uint64_t *ret)
{
	_arena_ struct arena arena = ARENA_INIT(INFO_ARENA);
	struct dataset_info *infos;
	size_t n;
	if (!service) {
		*ret += l->object.size;
		return 0;
	}
	if (!l->object.is_block || !live_may_hold(l, *service))
		return 0;
	int e = live_infos(l, &arena, &infos, &n);
	for (size_t i = 0; e == 0 && i < n; i++)
		for (size_t k = 0; str_eq(infos[i].service, *service) && k < ARRAY_SIZE(infos[i].bytes); k++)
			*ret += infos[i].bytes[k];
	return e;
}

/* The last day that is too much: days are added up from the newest on. */
static int day_over_size(struct retaining *r, const struct str *service, uint64_t limit, int32_t *ret)
{
	uint64_t sum = 0;
	*ret = INT32_MIN;
	for (size_t i = r->view->n; i-- > 0;) {
		const struct live *l = r->view->live[i];
		int e = bytes_of(l, service, &sum);
		if (e < 0)
			return e;
		if (sum > limit && l->object.day < r->today) {
			*ret = l->object.day;
			break;
		}
	}
	return 0;
}

static int apply(struct retaining *r, const struct str *service, const struct retention *limit, struct error *err)
{
	int32_t last = INT32_MIN;
	int e = limit->bytes ? day_over_size(r, service, limit->bytes, &last) : 0;
	if (limit->days && limit->days < r->today)
		last = MAX(last, (int32_t)(r->today - limit->days - 1));
	if (e < 0 || last == INT32_MIN || !r->view->n || r->view->live[0]->object.day > last)
		return e;
	return delete_until(r, service, last, err);
}

int retain(struct db *db, int64_t settings_age, struct db_deleted *ret, struct error *err)
{
	_retentions_ struct retentions limits = { 0 };
	_cleanup_(view_unrefp) struct view *v = NULL;
	int64_t now;
	int e = retention_get(db, settings_age, &limits, err);
	if (e < 0 || (!limits.store.days && !limits.store.bytes && !limits.services.n))
		return e;
	e = store_now(db->store, &now, err);
	if (e == 0)
		e = view_quietly(db, 0, &v, err);
	struct retaining r = { .db = db, .view = v, .today = time_day(now), .done = ret };
	if (e == 0)
		e = apply(&r, NULL, &limits.store, err);
	for (size_t i = 0; i < limits.services.n && e == 0; i++) {
		struct str service = str_of(limits.services.v[i].service);
		e = apply(&r, &service, &limits.services.v[i].r, err);
	}
	return e;
}

/* SPDX-License-Identifier: MIT */

/* Whether all of the store is sound: objects here, what lies between them in check_catalog.c. */

#include "check.h"

#include <string.h>

#include "../base/pct.h"
#include "debuginfo.h"
#include "internal.h"
#include "shared.h"

void check_found(struct checker *c, const char *key, const char *what)
{
	c->found++;
	if (c->report)
		c->report(c->ctx, key, what);
}

static void on_damage(void *ctx, const char *what)
{
	struct checker *c = ctx;
	check_found(c, c->key, what);
}

/* A service that a block has, and that no marker shows, is not listed: compaction or --repair puts the marker back. */
static int check_markers(struct checker *c, const struct object *o, struct block *b, struct error *err)
{
	for (size_t i = 0; i < block_datasets(b); i++) {
		struct str service = block_info(b, i)->service;
		_days_ struct days days = { 0 };
		int r = db_days(c->db, service, 60 * NS_PER_S, &days, err);
		if (r < 0)
			return r;
		bool marked = false;
		for (size_t k = 0; k < days.n; k++)
			marked |= days.v[k] == o->day;
		if (marked)
			continue;
		_free_ char *key = key_marker(c->db->tenant, service, o->day);
		check_found(c, key ? key : o->key,
		            c->repair ? "a marker was missing: put back" : "a marker is missing");
		if (c->repair && (r = markers_put(c->db, service, o->day, err)) < 0)
			return r;
	}
	return 0;
}

/* A dataset lies under the day of its profiles, or reads of that day miss it. */
static void check_day(struct checker *c, const struct object *o, struct block *b)
{
	for (size_t i = 0; i < block_datasets(b); i++) {
		const struct dataset_info *info = block_info(b, i);
		if (info->profiles && (time_day(info->min_time) != o->day || time_day(info->max_time) != o->day))
			check_found(c, o->key, "it holds profiles of another day");
	}
}

static int check_object(struct checker *c, struct live *l, struct error *err)
{
	struct error why = { 0 };
	struct cached *pin;
	const struct object *o = &l->object;
	int r = cache_pin(c->db, l, &pin, &why);
	if (r == -ENOMEM || r == ERR_STORE_ACCESS || r == ERR_STORE_TIMEOUT)
		return error_set(err, r, "%s", error_text(&why, r));
	if (r < 0) {
		check_found(c, o->key, r == ERR_STORE_NOT_FOUND ? "the object is missing" : error_text(&why, r));
		return 0;
	}
	c->key = o->key;
	r = block_verify(cached_block(pin), on_damage, c, err);
	check_day(c, o, cached_block(pin));
	if (r >= 0 && o->is_block)
		r = check_infos(c, l, cached_block(pin));
	if (r >= 0)
		r = check_markers(c, o, cached_block(pin), err);
	cache_unpin(c->db, pin);
	return r < 0 ? r : 0;
}

static int check_shared(struct checker *c, struct live *l, struct error *err)
{
	struct error why = { 0 };
	struct cached *pin;
	int r = cache_pin(c->db, l, &pin, &why);
	if (r == -ENOMEM || r == ERR_STORE_ACCESS || r == ERR_STORE_TIMEOUT)
		return error_set(err, r, "%s", error_text(&why, r));
	c->key = l->object.key;
	if (r < 0) {
		check_found(c, c->key, r == ERR_STORE_NOT_FOUND ? "the object is missing" : error_text(&why, r));
		return 0;
	}
	r = block_verify(cached_block(pin), on_damage, c, err);
	if (r >= 0)
		r = check_infos(c, l, cached_block(pin));
	cache_unpin(c->db, pin);
	return MIN(r, 0);
}

static int check_all_shared(struct checker *c, struct view *v, struct error *err)
{
	const struct day_state *s = view_day(v, SHARED_DAY);
	int r = 0;
	for (size_t i = 0; s && i < s->n_blocks && r == 0; i++)
		r = check_shared(c, s->blocks[i], err);
	return r;
}

struct marker_check {
	struct checker *c;
	struct view *v;
	size_t prefix_len;
};

static bool day_may_hold(const struct view *v, int32_t day, const struct str *service)
{
	for (size_t i = 0; i < v->n; i++)
		if (v->live[i]->object.day == day && (!service || live_may_hold(v->live[i], *service)))
			return true;
	return false;
}

/* "SERVICE/" of a marker's key: its name, or false where that is cut and stands in the marker itself. */
static bool service_of(const char *at, const char *end, struct buf *ret)
{
	if (memchr(at, '~', (size_t)(end - at)))
		return false;
	pct_decode(ret, (struct str){ at, (size_t)(end - at) });
	return !buf_err(ret);
}

static int wrong_marker(struct marker_check *m, const char *key, const char *what, const char *repaired)
{
	check_found(m->c, key, m->c->repair ? repaired : what);
	return m->c->repair ? store_remove(m->c->db->store, key, NULL) : 0;
}

/* A marker without any object of its day, or of its service there, is left over, or its object is lost. */
static int on_marker(void *ctx, const char *key, const struct store_stat *st)
{
	struct marker_check *m = ctx;
	const char *slash = strrchr(key, '/');
	_buf_ struct buf name = BUF_INIT(KEY_MAX);
	int32_t day;
	if (!st || !slash)
		return 0;
	if (!day_parse(slash + 1, strlen(slash + 1), &day)) {
		check_found(m->c, key, "not a marker");
		return 0;
	}
	if (!day_may_hold(m->v, day, NULL))
		return wrong_marker(m, key, "a marker of a day without objects: its segment or block is missing",
		                    "a marker of a day without objects: removed");
	if (!service_of(key + m->prefix_len, slash, &name))
		return 0;
	struct str service = { (const char *)name.data, name.len };
	if (day_may_hold(m->v, day, &service))
		return 0;
	return wrong_marker(m, key, "a marker of a service that has nothing on that day",
	                    "a marker of a service that has nothing on that day: removed");
}

static int check_leftover_markers(struct checker *c, struct view *v, struct error *err)
{
	_free_ char *prefix = key_under(c->db->tenant, "svc");
	struct marker_check m = { c, v, prefix ? strlen(prefix) : 0 };
	return prefix ? store_list(c->db->store, prefix, NULL, 0, on_marker, &m, err) : -ENOMEM;
}

static int on_debug(void *ctx, const char *id, bool dwarf, const struct store_stat *st)
{
	struct checker *c = ctx;
	struct error why = { 0 };
	(void)st;
	int r = debug_verify(c->db, id, dwarf, &why);
	if (r == ERR_STORE_ACCESS || r == ERR_STORE_TIMEOUT || r == -ENOMEM)
		return r;
	_free_ char *key = r < 0 ? key_debug(c->db->tenant, id, dwarf) : NULL;
	if (key)
		check_found(c, key, error_text(&why, r));
	return 0;
}

/* What lies in the tenant's folder and is named like nothing of ours. */
static bool is_ours(const char *rest)
{
	int32_t day;
	uint64_t version;
	struct ulid ulid;
	const char *filter;
	if (!strncmp(rest, "seg/", 4))
		return key_parse_segment(rest + 4, &day, &ulid, &filter);
	if (!strncmp(rest, "blk/", 4))
		return key_parse_block(rest + 4, &day, &ulid);
	if (!strncmp(rest, "cat/", 4))
		return key_parse_catalog(rest + 4, &day, &version);
	if (!strncmp(rest, "probe/", 6))
		return true; /* of a probe for exclusive creates that was killed */
	if (!strncmp(rest, "dbg/", 4))
		return key_parse_debug(rest + 4, (char[2 * BUILD_ID_MAX + 1]){ 0 }, &(bool){ false });
	if (!strncmp(rest, "set/", 4))
		return key_parse_version(rest + 4, &version);
	return !strncmp(rest, "svc/", 4); /* on_marker() judges these */
}

struct foreign_check {
	struct checker *c;
	size_t prefix_len;
};

static int on_any(void *ctx, const char *key, const struct store_stat *st)
{
	struct foreign_check *f = ctx;
	if (st && !is_ours(key + f->prefix_len))
		check_found(f->c, key, "not an object of this store: its name means nothing here");
	return 0;
}

static int check_foreign(struct checker *c, struct error *err)
{
	_free_ char *prefix = key_under(c->db->tenant, "seg");
	if (!prefix)
		return -ENOMEM;
	prefix[strlen(prefix) - strlen("seg/")] = '\0';
	struct foreign_check f = { c, strlen(prefix) };
	return store_list(c->db->store, prefix, NULL, 0, on_any, &f, err);
}

int db_check(struct db *db, bool repair, void (*report)(void *ctx, const char *key, const char *what), void *ctx,
             struct error *err)
{
	struct checker c = { .db = db, .report = report, .ctx = ctx, .repair = repair };
	_cleanup_(view_unrefp) struct view *v = NULL;
	struct error why = { 0 };
	int r = db_view(db, 0, &v, &why);
	if (err_is_damage(r)) {
		check_found(&c, "cat/", error_text(&why, r)); /* the sentence begins with the version's key */
		return c.found;
	}
	if (r < 0)
		return error_set(err, r, "%s", error_text(&why, r));
	if (v->n && !db_has_format(db))
		check_found(&c, KEY_FORMAT, "the store has objects and no FORMAT");
	for (size_t i = 0; i < v->n && r == 0; i++)
		r = check_object(&c, v->live[i], err);
	if (r == 0)
		r = check_all_shared(&c, v, err);
	if (r == 0)
		r = check_bases(&c, v, err);
	if (r == 0)
		r = check_orphans(&c, v, err);
	if (r == 0)
		r = check_settings(&c);
	if (r == 0)
		r = debuginfo_list(db, on_debug, &c, err);
	if (r == 0)
		r = check_leftover_markers(&c, v, err);
	if (r == 0)
		r = check_foreign(&c, err);
	return r < 0 ? r : c.found;
}

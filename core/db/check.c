/* SPDX-License-Identifier: MIT */

/* The whole store: what it holds, and whether all of it is sound. */

#include <string.h>

#include "internal.h"

/* ---- stat ---- */

struct counting {
	uint64_t n, bytes;
};

static int on_counted(void *ctx, const char *key, const struct store_stat *st)
{
	struct counting *c = ctx;
	(void)key;
	if (st) {
		c->n++;
		c->bytes += st->size;
	}
	return 0;
}

static int count_folder(struct db *db, const char *folder, struct counting *ret, struct error *err)
{
	_free_ char *prefix = key_under(db->tenant, folder);
	return prefix ? store_list(db->store, prefix, NULL, 0, on_counted, ret, err) : -ENOMEM;
}

static void add_block(struct db_stats *s, struct block *b)
{
	for (size_t i = 0; i < block_datasets(b); i++) {
		const struct dataset_info *info = block_info(b, i);
		s->profiles += info->profiles;
		s->samples += info->samples;
		s->bytes_in += info->bytes_in;
		for (size_t k = 0; k < ARRAY_SIZE(s->bytes); k++)
			s->bytes[k] += info->bytes[k];
	}
}

static int stat_objects(struct db *db, struct view *v, struct db_stats *s, struct error *err)
{
	int32_t last_day = INT32_MIN;
	for (size_t i = 0; i < v->n; i++) {
		const struct object *o = &v->live[i]->object;
		struct cached *c;
		struct error why = { 0 };
		s->days += i == 0 || o->day != last_day;
		last_day = o->day;
		*(o->is_block ? &s->blocks : &s->segments) += 1;
		*(o->is_block ? &s->block_bytes : &s->segment_bytes) += o->size;
		int r = cache_pin(db, v->live[i], &c, &why);
		if (r == -ENOMEM || r == ERR_STORE_ACCESS || r == ERR_STORE_TIMEOUT)
			return error_set(err, r, "%s", error_text(&why, r));
		if (r < 0) {
			s->damaged++;
			continue;
		}
		add_block(s, cached_block(c));
		cache_unpin(db, c);
	}
	return 0;
}

int db_stat(struct db *db, struct db_stats *ret, struct error *err)
{
	_cleanup_(view_unrefp) struct view *v = NULL;
	_names_ struct names services = { 0 };
	struct counting catalogs = { 0 }, markers = { 0 };
	struct db_stats s = { 0 };
	int r = db_view(db, 0, &v, err);
	if (r == 0)
		r = db_services(db, 0, &services, err);
	if (r == 0)
		r = count_folder(db, "cat", &catalogs, err);
	if (r == 0)
		r = count_folder(db, "svc", &markers, err);
	if (r == 0)
		r = stat_objects(db, v, &s, err);
	if (r < 0)
		return r;
	s.services = services.n;
	s.catalogs = catalogs.n;
	s.catalog_bytes = catalogs.bytes;
	s.markers = markers.n;
	s.objects = v->n + catalogs.n + markers.n;
	s.object_bytes = s.segment_bytes + s.block_bytes + catalogs.bytes + markers.bytes;
	*ret = s;
	return 0;
}

/* ---- check ---- */

struct checker {
	struct db *db;
	void (*report)(void *ctx, const char *key, const char *what);
	void *ctx;
	const char *key; /* being verified */
	int found;
	bool repair;
};

static void found(struct checker *c, const char *key, const char *what)
{
	c->found++;
	if (c->report)
		c->report(c->ctx, key, what);
}

static void on_damage(void *ctx, const char *what)
{
	struct checker *c = ctx;
	found(c, c->key, what);
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
		found(c, key ? key : o->key, c->repair ? "a marker was missing: put back" : "a marker is missing");
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
			found(c, o->key, "it holds profiles of another day");
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
		found(c, o->key, r == ERR_STORE_NOT_FOUND ? "the object is missing" : error_text(&why, r));
		return 0;
	}
	c->key = o->key;
	r = block_verify(cached_block(pin), on_damage, c, err);
	check_day(c, o, cached_block(pin));
	if (r >= 0)
		r = check_markers(c, o, cached_block(pin), err);
	cache_unpin(c->db, pin);
	return r < 0 ? r : 0;
}

struct marker_check {
	struct checker *c;
	struct view *v;
	size_t prefix_len;
};

static bool day_has_objects(const struct view *v, int32_t day)
{
	size_t lo = 0, hi = v->n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (v->live[mid]->object.day < day)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < v->n && v->live[lo]->object.day == day;
}

/* A marker without any object of its day is left over, or its object is lost. */
static int on_marker(void *ctx, const char *key, const struct store_stat *st)
{
	struct marker_check *m = ctx;
	const char *slash = strrchr(key, '/');
	int32_t day;
	if (!st || !slash)
		return 0;
	if (!day_parse(slash + 1, strlen(slash + 1), &day))
		found(m->c, key, "not a marker");
	else if (!day_has_objects(m->v, day))
		found(m->c, key, "a marker of a day without objects: its segment or block is missing");
	return 0;
}

static int check_leftover_markers(struct checker *c, struct view *v, struct error *err)
{
	_free_ char *prefix = key_under(c->db->tenant, "svc");
	struct marker_check m = { c, v, prefix ? strlen(prefix) : 0 };
	return prefix ? store_list(c->db->store, prefix, NULL, 0, on_marker, &m, err) : -ENOMEM;
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
		found(f->c, key, "not an object of this store: its name means nothing here");
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
	if (r == ERR_CORRUPT_CHECKSUM || r == ERR_CORRUPT_LAYOUT) {
		found(&c, "cat/", error_text(&why, r));
		return c.found;
	}
	if (r < 0)
		return error_set(err, r, "%s", error_text(&why, r));
	if (v->n && !db_has_format(db))
		found(&c, KEY_FORMAT, "the store has objects and no FORMAT");
	for (size_t i = 0; i < v->n && r == 0; i++)
		r = check_object(&c, v->live[i], err);
	if (r == 0)
		r = check_leftover_markers(&c, v, err);
	if (r == 0)
		r = check_foreign(&c, err);
	return r < 0 ? r : c.found;
}

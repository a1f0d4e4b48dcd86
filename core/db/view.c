/* SPDX-License-Identifier: MIT */

/*
 * Views. Segments are listed first, then the newest catalog version of each day is read: a listed segment that the
 * catalog names as dropped is ignored, whatever became of what replaced it, so compaction never hides or doubles
 * a profile. A view whose LIST began over a minute before its catalogs arrived is thrown away: in that time a dropped
 * name may have been forgotten.
 *
 * A refresh costs two LISTs and a GET per version that is new; where queries run, once a minute a LIST of debug
 * information. A day whose newest version is known costs nothing: its state, blocks and all, is shared with the view
 * before.
 */

#include <string.h>

#include "internal.h"
#include "shared.h"

#define VIEW_TOO_SLOW (60 * NS_PER_S)
#define VIEW_TRIES 3

struct view *view_ref(struct view *v)
{
	atomic_fetch_add(&v->refs, 1);
	return v;
}

static void unref_all(struct live **live, size_t n, struct day_state **days, size_t n_days)
{
	for (size_t i = 0; i < n; i++)
		live_unref(live[i]);
	for (size_t i = 0; i < n_days; i++)
		day_state_unref(days[i]);
	free(live);
	free(days);
}

void view_unref(struct view *v)
{
	if (!v || atomic_fetch_sub(&v->refs, 1) != 1)
		return;
	unref_all(v->live, v->n, v->days, v->n_days);
	debug_set_unref(v->debug);
	free(v);
}

struct db *view_db(struct view *v)
{
	return v->db;
}

uint64_t view_generation(const struct view *v)
{
	return v->generation;
}

size_t view_objects(const struct view *v)
{
	return v->n;
}

const struct object *view_object(const struct view *v, size_t i)
{
	assert(i < v->n);
	return &v->live[i]->object;
}

static int day_order(const void *key, const void *entry)
{
	return CMP(*(const int32_t *)key, (*(struct day_state *const *)entry)->day);
}

struct day_state *view_day(const struct view *v, int32_t day)
{
	struct day_state **at = v->n_days ? bsearch(&day, v->days, v->n_days, sizeof *v->days, day_order) : NULL;
	return at ? *at : NULL;
}

/* ---- a refresh ---- */

struct refresh {
	struct db *db;
	size_t prefix_len;
	VEC(struct live *) live;
	VEC(struct version_ref) versions; /* by day, newest first: as they are listed */
	VEC(size_t) first;                /* of `versions`: where each day's begin; one more at the end */
	struct day_state **days;          /* per day */
	struct error *errors;             /* per day */
	struct debug_set *debug;
};

static int on_segment(void *ctx, const char *key, const struct store_stat *st)
{
	struct refresh *r = ctx;
	int32_t day;
	struct ulid ulid;
	const char *filter;
	if (!st || !key_parse_segment(key + r->prefix_len, &day, &ulid, &filter))
		return 0;
	struct live **slot = VEC_GROW(&r->live, 1);
	struct live *l = slot ? live_segment(day, &ulid, strdup(key), st, filter) : NULL;
	if (!l)
		return -ENOMEM;
	*slot = l;
	r->live.n++;
	return 0;
}

static int on_version(void *ctx, const char *key, const struct store_stat *st)
{
	struct refresh *r = ctx;
	struct version_ref ref = { .mtime = st ? st->mtime_ns : 0 };
	if (!st || !key_parse_catalog(key + r->prefix_len, &ref.day, &ref.version))
		return 0;
	size_t n = r->versions.n;
	bool begins = n == 0 || r->versions.v[n - 1].day != ref.day;
	size_t *first = begins ? VEC_PUSH(&r->first) : NULL;
	if (begins && !first)
		return -ENOMEM;
	struct version_ref *slot = VEC_PUSH(&r->versions);
	if (!slot)
		return -ENOMEM;
	*slot = ref;
	if (begins)
		*first = n;
	return 0;
}

static int list_folder(struct refresh *r, const char *folder, store_list_fn fn, struct error *err)
{
	_free_ char *prefix = key_under(r->db->tenant, folder);
	if (!prefix)
		return -ENOMEM;
	r->prefix_len = strlen(prefix);
	return store_list(r->db->store, prefix, NULL, 0, fn, r, err);
}

static int read_day(void *arg, size_t i)
{
	struct refresh *r = arg;
	size_t from = r->first.v[i], to = i + 1 < r->first.n ? r->first.v[i + 1] : r->versions.n;
	const struct version_ref *refs = r->versions.v + from;
	struct day_state *known = r->db->view ? view_day(r->db->view, refs->day) : NULL;
	if (known && known->version == refs->version) {
		r->days[i] = day_state_ref(known);
		return 0;
	}
	return day_state_read(r->db, known, refs, to - from, &r->days[i], &r->errors[i]);
}

/* Days are read in parallel: only those with a version that is new cost anything. */
static int read_days(struct refresh *r, struct error *err)
{
	r->days = calloc(r->first.n + 1, sizeof(struct day_state *));
	r->errors = calloc(r->first.n + 1, sizeof *r->errors);
	if (!r->days || !r->errors)
		return -ENOMEM;
	int e = pool_each(r->first.n > 1 ? r->db->pool : NULL, r->first.n, read_day, r);
	for (size_t i = 0; i < r->first.n && e < 0; i++)
		if (r->errors[i].code == e)
			return error_set(err, e, "%s", r->errors[i].text);
	return e;
}

static struct day_state *refresh_day(const struct refresh *r, int32_t day)
{
	struct day_state **at = r->first.n ? bsearch(&day, r->days, r->first.n, sizeof *r->days, day_order) : NULL;
	return at ? *at : NULL;
}

static void leave_out_dropped(struct refresh *r)
{
	size_t kept = 0;
	for (size_t i = 0; i < r->live.n; i++) {
		struct live *l = r->live.v[i];
		const struct day_state *s = refresh_day(r, l->object.day);
		if (s && day_state_dropped(s, &l->object.ulid))
			live_unref(l);
		else
			r->live.v[kept++] = l;
	}
	r->live.n = kept;
}

static int add_blocks(struct refresh *r)
{
	for (size_t i = 0; i < r->first.n; i++) {
		struct day_state *s = r->days[i];
		if (s->day == SHARED_DAY)
			continue;
		struct live **at = VEC_GROW(&r->live, s->n_blocks);
		if (!at)
			return -ENOMEM;
		for (size_t k = 0; k < s->n_blocks; k++)
			at[k] = live_ref(s->blocks[k]);
		r->live.n += s->n_blocks;
	}
	return 0;
}

static int refresh_debug(struct refresh *r, struct error *err)
{
	struct debug_set *known = r->db->view ? r->db->view->debug : NULL;
	if (!r->db->debug.wanted)
		return 0;
	if (!debug_set_fresh(r->db, known, db_uptime(r->db)))
		return debug_set_list(r->db, &r->debug, err);
	r->debug = debug_set_ref(known);
	return 0;
}

/* ---- views ---- */

static int compare_live(const void *a, const void *b)
{
	const struct object *x = &(*(struct live *const *)a)->object, *y = &(*(struct live *const *)b)->object;
	return x->day != y->day ? CMP(x->day, y->day) : ulid_cmp(&x->ulid, &y->ulid);
}

static bool same_objects(const struct view *v, struct live *const *live, size_t n)
{
	if (!v || v->n != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (compare_live(&v->live[i], &live[i]) != 0)
			return false;
	return true;
}

/* Takes live and days where it returns 0. The generation changes only where the set of objects or symbols did. */
static int view_new(struct db *db, struct live **live, size_t n, struct day_state **days, size_t n_days,
                    struct debug_set *debug, int64_t made, struct view **ret)
{
	struct view *v = calloc(1, sizeof *v);
	if (!v)
		return -ENOMEM;
	if (n)
		qsort(live, n, sizeof *live, compare_live);
	bool same = same_objects(db->view, live, n) && debug_set_print(debug) == debug_set_print(db->view->debug);
	uint64_t generation = same ? db->view->generation : ++db->generation;
	*v = (struct view){ .db = db, .generation = generation, .made = made, .live = live, .n = n, .days = days,
		            .n_days = n_days, .debug = debug_set_ref(debug) };
	atomic_init(&v->refs, 1);
	*ret = v;
	return 0;
}

static int refresh_into(struct refresh *r, struct view **ret, struct error *err)
{
	int64_t began = db_uptime(r->db);
	int e = list_folder(r, "seg", on_segment, err);
	if (e == 0)
		e = list_folder(r, "cat", on_version, err);
	if (e == 0)
		e = read_days(r, err);
	if (e == 0)
		e = refresh_debug(r, err);
	if (e == 0 && db_uptime(r->db) - began > VIEW_TOO_SLOW)
		e = ERR_STALE;
	if (e < 0)
		return e;
	leave_out_dropped(r);
	e = add_blocks(r);
	return e < 0 ? e : view_new(r->db, r->live.v, r->live.n, r->days, r->first.n, r->debug, began, ret);
}

static int refresh_once(struct db *db, struct view **ret, struct error *err)
{
	struct refresh r = { .db = db };
	int e = refresh_into(&r, ret, err);
	if (e < 0)
		unref_all(r.live.v, r.live.n, r.days, r.days ? r.first.n : 0);
	VEC_DONE(&r.versions);
	VEC_DONE(&r.first);
	debug_set_unref(r.debug);
	free(r.errors);
	return e;
}

static int refresh(struct db *db, struct view **ret, struct error *err)
{
	int e = ERR_STALE;
	for (int i = 0; i < VIEW_TRIES && (e == ERR_STALE || e == ERR_CORRUPT_MISSING); i++)
		e = refresh_once(db, ret, err);
	if (e == ERR_STALE)
		return error_set(err, ERR_STORE_TIMEOUT, "listing the store takes over a minute");
	return e;
}

/* The ages of segments against `now`, a time of the store's; own ones that were not listed yet are new. */
static struct db_lag view_lag(const struct view *v, int64_t now)
{
	struct db_lag lag = { 0 };
	for (size_t i = 0; i < v->n; i++) {
		const struct object *o = &v->live[i]->object;
		lag.segments += !o->is_block;
		if (!o->is_block && o->mtime)
			lag.age = MAX(lag.age, now - o->mtime);
	}
	return lag;
}

/* The latest time that the store itself is known to have given: a lower bound of its own now. */
static int64_t newest_time(const struct view *v)
{
	int64_t newest = INT64_MIN;
	for (size_t i = 0; i < v->n; i++)
		if (v->live[i]->object.mtime)
			newest = MAX(newest, v->live[i]->object.mtime);
	for (size_t i = 0; i < v->n_days; i++)
		newest = MAX(newest, v->days[i]->mtime);
	return newest;
}

int db_lag(struct db *db, struct db_lag *ret, struct error *err)
{
	_cleanup_(view_unrefp) struct view *v = NULL;
	int64_t now;
	int r = db_view(db, 0, &v, err);
	if (r == 0)
		r = store_now(db->store, &now, err);
	if (r == 0)
		*ret = view_lag(v, now);
	return r;
}

void db_lag_known(struct db *db, struct db_lag *ret)
{
	*ret = (struct db_lag){ 0 };
	pthread_mutex_lock(&db->view_lock);
	if (db->view) {
		*ret = view_lag(db->view, newest_time(db->view));
		ret->age += ret->segments ? db_uptime(db) - db->view->made : 0;
	}
	pthread_mutex_unlock(&db->view_lock);
}

uint64_t db_bytes_known(struct db *db)
{
	uint64_t n = 0;
	pthread_mutex_lock(&db->view_lock);
	for (size_t i = 0; db->view && i < db->view->n; i++)
		n += db->view->live[i]->object.size;
	const struct day_state *shared = db->view ? view_day(db->view, SHARED_DAY) : NULL;
	for (size_t i = 0; shared && i < shared->n_blocks; i++)
		n += shared->blocks[i]->object.size;
	pthread_mutex_unlock(&db->view_lock);
	return n;
}

/* Nobody compacts, or not fast enough. */
static void log_lag(struct db *db, const struct view *v)
{
	int64_t now = db_uptime(db);
	struct db_lag lag = view_lag(v, newest_time(v));
	if (lag.age <= COMPACTION_LATE || now < db->log_lag_at)
		return;
	db->log_lag_at = now + NS_PER_HOUR;
	log_msg(db->log, LOG_LEVEL_WARNING, "segments are %lld minutes old: nothing compacts this store, or not fast "
	        "enough; run `profilefs compact --watch`", (long long)(lag.age / NS_PER_MIN));
}

static bool has_segments(const struct view *v)
{
	for (size_t i = 0; i < v->n; i++)
		if (!v->live[i]->object.is_block)
			return true;
	return false;
}

/* Takes the new view. *ret: whether it shows segments, and not the same as the view before. */
static int renew(struct db *db, bool *ret, struct error *err)
{
	struct view *fresh;
	uint64_t before = db->view ? db->view->generation : 0;
	int r = refresh(db, &fresh, err);
	if (r < 0)
		return r;
	view_unref(db->view);
	db->view = fresh;
	db->view_expired = false;
	*ret = fresh->generation != before && has_segments(fresh);
	log_lag(db, fresh);
	return 0;
}

static int take_view(struct db *db, int64_t max_age, struct view **ret, bool *news, struct error *err)
{
	int r = 0;
	pthread_mutex_lock(&db->view_lock);
	if (!db->view || db->view_expired || max_age <= 0 || db_uptime(db) - db->view->made > max_age)
		r = renew(db, news, err);
	if (r == 0)
		*ret = view_ref(db->view);
	pthread_mutex_unlock(&db->view_lock);
	return r;
}

int view_quietly(struct db *db, int64_t max_age, struct view **ret, struct error *err)
{
	bool news;
	return take_view(db, max_age, ret, &news, err);
}

int db_view(struct db *db, int64_t max_age, struct view **ret, struct error *err)
{
	bool news = false;
	int r = take_view(db, max_age, ret, &news, err);
	if (news)
		news_note(db);
	return r;
}

void view_expire(struct db *db)
{
	pthread_mutex_lock(&db->view_lock);
	db->view_expired = true;
	pthread_mutex_unlock(&db->view_lock);
}

static int copy_view(const struct view *v, struct live *more, struct view **ret)
{
	struct live **live = malloc((v->n + 1) * sizeof *live);
	struct day_state **days = malloc((v->n_days + 1) * sizeof(struct day_state *));
	if (!live || !days) {
		free(live);
		free(days);
		return -ENOMEM;
	}
	for (size_t i = 0; i < v->n; i++)
		live[i] = live_ref(v->live[i]);
	live[v->n] = live_ref(more);
	for (size_t i = 0; i < v->n_days; i++)
		days[i] = day_state_ref(v->days[i]);
	int r = view_new(v->db, live, v->n + 1, days, v->n_days, v->debug, v->made, ret);
	if (r < 0)
		unref_all(live, v->n + 1, days, v->n_days);
	return r;
}

static bool has_object(const struct view *v, const struct live *l)
{
	const struct day_state *s = view_day(v, l->object.day);
	if (s && day_state_dropped(s, &l->object.ulid))
		return true;
	return v->n && bsearch(&l, v->live, v->n, sizeof *v->live, compare_live);
}

void view_note_segment(struct db *db, int32_t day, const struct ulid *ulid, const char *key, uint64_t size,
                       int64_t put_at)
{
	const char *dot = strrchr(key, '.');
	struct store_stat st = { .size = size };
	struct live *l = live_segment(day, ulid, strdup(key), &st, dot ? dot + 1 : "x");
	pthread_mutex_lock(&db->view_lock);
	struct view *old = db->view, *fresh;
	if (old && old->made <= put_at && (!l || !has_object(old, l))) {
		if (l && copy_view(old, l, &fresh) == 0) {
			db->view = fresh;
			view_unref(old);
		} else {
			db->view_expired = true; /* out of memory: the next reader lists again */
		}
	}
	pthread_mutex_unlock(&db->view_lock);
	live_unref(l);
}

/* SPDX-License-Identifier: MIT */

/*
 * Views. Segments are listed first, then the newest catalog version of each day is read: a listed segment or block that
 * the catalog names as dropped is ignored, whatever became of what replaced it, so compaction never hides or doubles
 * a profile. A view whose LIST began over a minute before its catalogs arrived is thrown away: in that time a dropped
 * name may have been forgotten.
 */

#include <string.h>

#include "internal.h"

#define VIEW_TOO_SLOW (60 * NS_PER_S)
#define CATALOG_ARENA ((size_t)1 << 30)

static void live_unref(struct live *l)
{
	if (!l || atomic_fetch_sub(&l->refs, 1) != 1)
		return;
	free(l->object.key);
	free(l->filter);
	free(l);
}

static struct live *live_new(int32_t day, const struct ulid *ulid, char *key, uint64_t size, const char *filter)
{
	struct live *l = calloc(1, sizeof *l);
	if (!l || !key) {
		free(l);
		free(key);
		return NULL;
	}
	l->object = (struct object){ key, day, size, !filter, *ulid };
	l->filter = filter ? strdup(filter) : NULL;
	atomic_init(&l->refs, 1);
	if (filter && !l->filter) {
		live_unref(l);
		return NULL;
	}
	return l;
}

struct view *view_ref(struct view *v)
{
	atomic_fetch_add(&v->refs, 1);
	return v;
}

void view_unref(struct view *v)
{
	if (!v || atomic_fetch_sub(&v->refs, 1) != 1)
		return;
	for (size_t i = 0; i < v->n; i++)
		live_unref(v->live[i]);
	free(v->live);
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

/* ---- a refresh ---- */

struct version_ref {
	int32_t day;
	uint64_t version;
};

struct refresh {
	struct db *db;
	const char *prefix;
	size_t prefix_len;
	VEC(struct live *) live;
	VEC(struct version_ref) versions; /* by day, newest first: as they are listed */
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
	struct live *l = slot ? live_new(day, &ulid, strdup(key), st->size, filter) : NULL;
	if (!l)
		return -ENOMEM;
	*slot = l;
	r->live.n++;
	return 0;
}

static int on_version(void *ctx, const char *key, const struct store_stat *st)
{
	struct refresh *r = ctx;
	struct version_ref ref;
	if (!st || !key_parse_catalog(key + r->prefix_len, &ref.day, &ref.version))
		return 0;
	struct version_ref *slot = VEC_PUSH(&r->versions);
	if (!slot)
		return -ENOMEM;
	*slot = ref;
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

/* ---- catalogs ---- */

static struct catalog_cache *catalog_find(struct db *db, int32_t day)
{
	for (size_t i = 0; i < db->catalogs.n; i++)
		if (db->catalogs.v[i].day == day)
			return &db->catalogs.v[i];
	struct catalog_cache *c = VEC_PUSH(&db->catalogs);
	if (c)
		*c = (struct catalog_cache){ .day = day, .arena = ARENA_INIT(CATALOG_ARENA) };
	return c;
}

static int read_version(struct db *db, struct catalog_cache *c, uint64_t version, struct catalog_version *ret,
                        struct error *err)
{
	_free_ char *key = key_catalog(db->tenant, c->day, version);
	_buf_ struct buf bytes = BUF_INIT(CATALOG_MAX);
	int r = key ? store_get(db->store, key, CATALOG_MAX, &bytes, err) : -ENOMEM;
	if (r == 0)
		r = catalog_decode(buf_slice(&bytes), &c->arena, ret, err);
	return r < 0 && key ? error_at(err, r, "%s", key) : r;
}

/* Reads back from the newest version to the last whole one (or the one that is known), then applies forward. */
static int catalog_bring(struct db *db, struct catalog_cache *c, const struct version_ref *refs, size_t n,
                         struct error *err)
{
	VEC(struct catalog_version) chain = { 0 };
	int r = 0;
	bool rooted = false;
	for (size_t i = 0; i < n && r == 0 && !rooted; i++) {
		if (c->state.any && refs[i].version == c->state.version)
			break;
		struct catalog_version *v = VEC_PUSH(&chain);
		if (!v) {
			r = -ENOMEM;
			break;
		}
		*v = (struct catalog_version){ 0 };
		r = read_version(db, c, refs[i].version, v, err);
		rooted = v->whole;
	}
	for (size_t i = chain.n; i-- > 0;) {
		if (r == 0)
			r = catalog_apply(&c->state, &chain.v[i]);
		catalog_version_done(&chain.v[i]);
	}
	VEC_DONE(&chain);
	return r;
}

static int add_blocks(struct refresh *r, struct catalog_cache *c)
{
	for (size_t i = 0; i < c->state.live.n; i++) {
		const struct catalog_block *b = &c->state.live.v[i];
		struct live **slot = VEC_GROW(&r->live, 1);
		char *key = key_block(r->db->tenant, c->day, &b->ulid);
		struct live *l = slot ? live_new(c->day, &b->ulid, key, b->size, NULL) : NULL;
		if (!l)
			return -ENOMEM;
		*slot = l;
		r->live.n++;
	}
	return 0;
}

static void leave_out_dropped(struct refresh *r, const struct catalog_cache *c)
{
	size_t kept = 0;
	for (size_t i = 0; i < r->live.n; i++) {
		struct live *l = r->live.v[i];
		if (l->object.day == c->day && catalog_is_dropped(&c->state, &l->object.ulid))
			live_unref(l);
		else
			r->live.v[kept++] = l;
	}
	r->live.n = kept;
}

static int apply_catalogs(struct refresh *r, struct error *err)
{
	for (size_t i = 0, n; i < r->versions.n; i += n) {
		for (n = 1; i + n < r->versions.n && r->versions.v[i + n].day == r->versions.v[i].day; n++)
			;
		struct catalog_cache *c = catalog_find(r->db, r->versions.v[i].day);
		int e = c ? catalog_bring(r->db, c, r->versions.v + i, n, err) : -ENOMEM;
		if (e == 0)
			e = add_blocks(r, c);
		if (e < 0)
			return e;
		leave_out_dropped(r, c);
	}
	return 0;
}

/* ---- views ---- */

static int compare_live(const void *a, const void *b)
{
	const struct object *x = &(*(struct live *const *)a)->object, *y = &(*(struct live *const *)b)->object;
	return x->day != y->day ? CMP(x->day, y->day) : memcmp(x->ulid.b, y->ulid.b, sizeof x->ulid.b);
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

/* Takes the references of live[]. The generation changes only where the set of objects did. */
static int view_new(struct db *db, struct live **live, size_t n, int64_t made, struct view **ret)
{
	struct view *v = calloc(1, sizeof *v);
	if (!v)
		return -ENOMEM;
	if (n)
		qsort(live, n, sizeof *live, compare_live);
	uint64_t generation = same_objects(db->view, live, n) ? db->view->generation : ++db->generation;
	*v = (struct view){ .db = db, .generation = generation, .made = made, .live = live, .n = n };
	atomic_init(&v->refs, 1);
	*ret = v;
	return 0;
}

static int refresh_once(struct db *db, struct view **ret, struct error *err)
{
	struct refresh r = { .db = db };
	int64_t began = clock_monotonic();
	int e = list_folder(&r, "seg", on_segment, err);
	if (e == 0)
		e = list_folder(&r, "cat", on_version, err);
	if (e == 0)
		e = apply_catalogs(&r, err);
	VEC_DONE(&r.versions);
	if (e == 0 && clock_monotonic() - began > VIEW_TOO_SLOW)
		e = ERR_STALE;
	if (e == 0)
		e = view_new(db, r.live.v, r.live.n, began, ret);
	if (e < 0) {
		for (size_t i = 0; i < r.live.n; i++)
			live_unref(r.live.v[i]);
		VEC_DONE(&r.live);
	}
	return e;
}

static int refresh(struct db *db, struct view **ret, struct error *err)
{
	int e = ERR_STALE;
	for (int i = 0; i < 3 && (e == ERR_STALE || e == ERR_STORE_NOT_FOUND); i++)
		e = refresh_once(db, ret, err);
	if (e == ERR_STALE)
		return error_set(err, ERR_STORE_TIMEOUT, "listing the store takes over a minute");
	return e;
}

int db_view(struct db *db, int64_t max_age, struct view **ret, struct error *err)
{
	int r = 0;
	pthread_mutex_lock(&db->view_lock);
	if (!db->view || max_age <= 0 || clock_monotonic() - db->view->made > max_age) {
		struct view *fresh;
		r = refresh(db, &fresh, err);
		if (r == 0) {
			view_unref(db->view);
			db->view = fresh;
		}
	}
	if (r == 0)
		*ret = view_ref(db->view);
	pthread_mutex_unlock(&db->view_lock);
	return r;
}

static struct live **copy_live(const struct view *v, struct live *more)
{
	struct live **live = malloc((v->n + 1) * sizeof *live);
	if (!live)
		return NULL;
	for (size_t i = 0; i < v->n; i++) {
		live[i] = v->live[i];
		atomic_fetch_add(&live[i]->refs, 1);
	}
	live[v->n] = more;
	return live;
}

static bool has_object(const struct view *v, const struct live *l)
{
	for (size_t i = v->n; i-- > 0;)
		if (compare_live(&v->live[i], &l) == 0)
			return true;
	return false;
}

void view_note_segment(struct db *db, int32_t day, const struct ulid *ulid, const char *key, uint64_t size)
{
	const char *dot = strrchr(key, '.');
	struct live *l = live_new(day, ulid, strdup(key), size, dot ? dot + 1 : "x");
	pthread_mutex_lock(&db->view_lock);
	struct view *old = db->view, *fresh = NULL;
	if (old && l && !has_object(old, l)) {
		struct live **live = copy_live(old, l);
		if (live && view_new(db, live, old->n + 1, old->made, &fresh) == 0)
			l = NULL;
		else
			free(live);
	}
	if (fresh) {
		db->view = fresh;
		view_unref(old);
	} else if (old && l && !has_object(old, l)) {
		db->view = NULL; /* out of memory: the next reader lists again */
		view_unref(old);
	}
	pthread_mutex_unlock(&db->view_lock);
	live_unref(l);
}

/* ---- parts ---- */

struct opening {
	struct view *view;
	const struct str *service;
	const struct cancel *cancel;
	const size_t *objects;
	struct cached **cached;
	int *results;
	struct error *errors;
};

static int open_one(void *arg, size_t i)
{
	struct opening *o = arg;
	int r = cancel_check(o->cancel);
	if (r == 0)
		r = cache_pin(o->view->db, o->view->live[o->objects[i]], &o->cached[i], &o->errors[i]);
	o->results[i] = r;
	return r == ERR_CANCELLED || r == -ENOMEM || r == -ETIMEDOUT ? r : 0;
}

static bool may_hold(const struct live *l, const struct str *service)
{
	return !service || !l->filter || filter_may_hold(l->filter, *service);
}

static size_t choose(struct view *v, const struct str *service, int32_t from, int32_t to, size_t *objects)
{
	size_t n = 0;
	for (size_t i = 0; i < v->n; i++) {
		const struct live *l = v->live[i];
		if (l->object.day >= from && l->object.day <= to && may_hold(l, service))
			objects[n++] = i;
	}
	return n;
}

/* One part per dataset that is wanted; each pins the block for itself. */
static int add_parts(struct opening *o, size_t i, struct parts *ret)
{
	struct live *l = o->view->live[o->objects[i]];
	struct block *b = cached_block(o->cached[i]);
	for (size_t k = 0; k < block_datasets(b); k++) {
		if (o->service && !str_eq(block_info(b, k)->service, *o->service))
			continue;
		struct part *grown = realloc(ret->v, (ret->n + 1) * sizeof *grown);
		if (!grown)
			return -ENOMEM;
		ret->v = grown;
		struct cached *pin;
		int r = cache_pin(o->view->db, l, &pin, NULL);
		if (r < 0)
			return r;
		ret->v[ret->n++] = (struct part){ &l->object, block_dataset(cached_block(pin), k), pin };
	}
	return 0;
}

/* A vanished object of an old view means that the view is old; damage is counted and left out. */
static int gather(struct opening *o, size_t n, struct parts *ret, struct error *err)
{
	int r = 0;
	for (size_t i = 0; i < n; i++) {
		int e = o->results[i];
		if (e == 0 && r == 0)
			r = add_parts(o, i, ret);
		if (o->cached[i])
			cache_unpin(o->view->db, o->cached[i]);
		if (e == 0 || r < 0)
			continue;
		if (e == ERR_STORE_NOT_FOUND)
			e = ERR_STALE;
		bool damage = e == ERR_CORRUPT_CHECKSUM || e == ERR_CORRUPT_LAYOUT || e == ERR_CORRUPT;
		if (damage && !ret->damaged++)
			ret->damage = o->errors[i];
		if (!damage)
			r = error_set(err, e, "%s", error_text(&o->errors[i], e));
	}
	return r;
}

int view_parts(struct view *v, const struct str *service, int32_t from_day, int32_t to_day, const struct cancel *cancel,
               struct parts *ret, struct error *err)
{
	_free_ size_t *objects = malloc((v->n + 1) * sizeof *objects);
	if (!objects)
		return -ENOMEM;
	size_t n = choose(v, service, from_day, to_day, objects);
	_free_ struct cached **cached = calloc(n + 1, sizeof *cached);
	_free_ int *results = calloc(n + 1, sizeof *results);
	_free_ struct error *errors = calloc(n + 1, sizeof *errors);
	if (!cached || !results || !errors)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		results[i] = ERR_CANCELLED;
	struct opening o = { v, service, cancel, objects, cached, results, errors };
	struct parts parts = { .view = view_ref(v) };
	int stopped = pool_each(n > 1 ? v->db->pool : NULL, n, open_one, &o);
	int r = gather(&o, n, &parts, err);
	if (r == 0)
		r = stopped;
	if (r < 0) {
		parts_done(&parts);
		return r;
	}
	*ret = parts;
	return 0;
}

void parts_done(struct parts *p)
{
	for (size_t i = 0; i < p->n; i++)
		cache_unpin(p->view->db, p->v[i].pin);
	free(p->v);
	if (p->view)
		view_unref(p->view);
	*p = (struct parts){ 0 };
}

/* SPDX-License-Identifier: MIT */

/*
 * The commit protocol. A day's catalog is a row of versions, each put if absent under the next number:
 *
 *     judge the change on a state -> put version + 1 if absent -> LIST: is ours the newest? -> it counts
 *        ^                                |  another was there         |  no: the number was free because its
 *        +------- look again -------------+----------------------------+  neighbours are gone, or others went on
 *
 * The first state is the one of the view that the inputs came from: where version + 1 is free and stays the newest,
 * nothing was dropped or forgotten in between, so the inputs are live. Every later try looks afresh (segments first,
 * then the catalog) and finds the inputs there, or abandons the change. Where an output is in the state already, an
 * earlier try has counted after all. Where one was dropped, the collector has condemned it while this process slept.
 *
 * A put of unknown outcome is read back and recognised by the writer's random id; where it is not there yet, the same
 * bytes are put again under the same number, and whichever of the two lands first is this change. Outputs are never
 * removed here: a put may land late, and the collector condemns by commit what nobody wants.
 *
 * A version is whole at the latest every 64th; also wherever that costs little, so that a day that comes to rest is
 * one short object.
 */

#include "commit.h"

#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "../base/hash.h"
#include "internal.h"

#define COMMIT_TRIES 24
#define LOOK_TRIES 3
#define LOOK_TOO_SLOW (60 * NS_PER_S)
#define PAUSE_MS 20
#define INFO_ARENA ((size_t)1 << 30)

/* ---- a look ---- */

struct looking {
	struct look *look;
	int32_t day;
	size_t prefix_len; /* of the folder, not of the day */
};

static int on_segment(void *ctx, const char *key, const struct store_stat *st)
{
	struct looking *l = ctx;
	int32_t day;
	struct ulid ulid;
	const char *filter;
	if (!st || !key_parse_segment(key + l->prefix_len, &day, &ulid, &filter))
		return 0;
	struct live **slot = VEC_GROW(&l->look->segments, 1);
	struct live *live = slot ? live_segment(day, &ulid, strdup(key), st, filter) : NULL;
	if (!live)
		return -ENOMEM;
	*slot = live;
	l->look->segments.n++;
	return 0;
}

static int on_version(void *ctx, const char *key, const struct store_stat *st)
{
	struct looking *l = ctx;
	struct version_ref ref = { .mtime = st ? st->mtime_ns : 0 };
	if (!st || !key_parse_catalog(key + l->prefix_len, &ref.day, &ref.version))
		return 0;
	struct version_ref *slot = VEC_PUSH(&l->look->versions);
	if (!slot)
		return -ENOMEM;
	*slot = ref;
	return 0;
}

static int list_day(struct db *db, struct looking *l, const char *folder, store_list_fn fn, struct error *err)
{
	_free_ char *prefix = key_day(db->tenant, folder, l->day);
	if (!prefix)
		return -ENOMEM;
	l->prefix_len = strlen(prefix) - DAY_LEN; /* "YYYY-MM-DD/" */
	return store_list(db->store, prefix, NULL, 0, fn, l, err);
}

static struct day_state *known_state(struct db *db, int32_t day)
{
	pthread_mutex_lock(&db->view_lock);
	struct day_state *s = db->view ? view_day(db->view, day) : NULL;
	if (s)
		day_state_ref(s);
	pthread_mutex_unlock(&db->view_lock);
	return s;
}

static int read_state(struct db *db, struct look *l, int32_t day, struct error *err)
{
	if (!l->versions.n) {
		l->state = day_state_empty(day);
		return l->state ? 0 : -ENOMEM;
	}
	_cleanup_(day_state_unrefp) struct day_state *known = known_state(db, day);
	return day_state_read(db, known, l->versions.v, l->versions.n, &l->state, err);
}

static int look_once(struct db *db, int32_t day, struct look *ret, struct error *err)
{
	struct looking l = { ret, day, 0 };
	int64_t began = db_uptime(db);
	int r = list_day(db, &l, "seg", on_segment, err);
	if (r == 0)
		r = list_day(db, &l, "cat", on_version, err);
	if (r == 0)
		r = read_state(db, ret, day, err);
	ret->took = db_uptime(db) - began;
	return r == 0 && ret->took > LOOK_TOO_SLOW ? error_set(err, ERR_STALE, "listing a day takes over a minute") : r;
}

int look_at(struct db *db, int32_t day, struct look *ret, struct error *err)
{
	int r = ERR_STALE;
	for (int i = 0; i < LOOK_TRIES && (r == ERR_STALE || r == ERR_CORRUPT_MISSING); i++) {
		struct look l = { 0 };
		r = look_once(db, day, &l, err);
		if (r == 0)
			*ret = l;
		else
			look_done(&l);
	}
	return r;
}

void look_done(struct look *l)
{
	day_state_unref(l->state);
	for (size_t i = 0; i < l->segments.n; i++)
		live_unref(l->segments.v[i]);
	VEC_DONE(&l->segments);
	VEC_DONE(&l->versions);
	l->state = NULL;
}

static int live_order(const void *key, const void *entry)
{
	return ulid_cmp(key, &(*(struct live *const *)entry)->object.ulid);
}

const struct live *look_segment(const struct look *l, const struct ulid *ulid)
{
	if (!l->segments.n)
		return NULL;
	struct live **at = bsearch(ulid, l->segments.v, l->segments.n, sizeof *l->segments.v, live_order);
	return at ? *at : NULL;
}

/* ---- judging a change on a state ---- */

enum verdict { GO, DONE, ABANDONED };

static bool is_input(const struct commit *c, const struct ulid *ulid)
{
	for (size_t i = 0; i < c->n_inputs; i++)
		if (!ulid_cmp(&c->inputs[i].ulid, ulid))
			return true;
	return false;
}

static bool overlap(const struct dataset_info *a, const struct dataset_info *b)
{
	return a->has_rollups && b->has_rollups && a->min_time <= b->max_time && b->min_time <= a->max_time &&
	       str_eq(a->service, b->service);
}

/* Whether a live block that stays bears rollups over the time of one of `own`. */
static int base_overlaps(const struct day_state *s, const struct commit *c, const struct dataset_info *own, size_t n,
                         struct arena *arena, bool *ret)
{
	for (size_t i = 0; i < s->n_blocks; i++) {
		struct dataset_info *infos;
		size_t n_infos;
		if (is_input(c, &s->blocks[i]->object.ulid))
			continue;
		int r = live_infos(s->blocks[i], arena, &infos, &n_infos);
		if (r < 0)
			return r;
		for (size_t k = 0; k < n_infos; k++)
			for (size_t o = 0; o < n; o++)
				*ret |= overlap(&infos[k], &own[o]);
	}
	return 0;
}

/* Blocks of a service that bear rollups never overlap in time. */
static int bases_overlap(const struct day_state *s, const struct commit *c, bool *ret)
{
	_arena_ struct arena arena = ARENA_INIT(INFO_ARENA);
	*ret = false;
	for (size_t i = 0; i < c->n_added; i++) {
		struct dataset_info *own;
		size_t n, bases = 0;
		int r = catalog_get_services(c->added[i].services, &arena, &own, &n);
		for (size_t k = 0; r == 0 && k < n; k++)
			bases += own[k].has_rollups;
		if (r == 0 && bases)
			r = base_overlaps(s, c, own, n, &arena, ret);
		if (r < 0)
			return r;
	}
	return 0;
}

/* look is NULL at the first try: then the inputs come from a view of this very state. */
static enum verdict judge_inputs(const struct commit *c, const struct day_state *s, const struct look *look)
{
	size_t dropped = 0;
	for (size_t i = 0; i < c->n_inputs; i++) {
		const struct commit_input *in = &c->inputs[i];
		if (day_state_dropped(s, &in->ulid))
			dropped++;
		else if (in->is_block ? !day_state_block(s, &in->ulid) : look && !look_segment(look, &in->ulid))
			return ABANDONED;
	}
	if (!dropped)
		return GO;
	return dropped == c->n_inputs && !c->n_added ? DONE : ABANDONED;
}

static bool leaves_work(const struct commit *c, const struct day_state *s)
{
	size_t n = c->n_added + c->n_inputs;
	for (size_t i = 0; i < c->n_condemned; i++)
		n += !day_state_block(s, &c->condemned[i]) && !day_state_dropped(s, &c->condemned[i]);
	for (size_t i = 0; i < c->n_gone; i++) {
		const struct catalog_dropped *d = day_state_dropped(s, &c->gone[i]);
		n += d && !d->gone;
	}
	for (size_t i = 0; i < c->n_forgotten; i++)
		n += day_state_dropped(s, &c->forgotten[i]) != NULL;
	return n > 0;
}

static int judge(const struct commit *c, const struct day_state *s, const struct look *look, enum verdict *ret)
{
	for (size_t i = 0; i < c->n_added; i++) {
		if (day_state_block(s, &c->added[i].ulid)) {
			*ret = DONE;
			return 0;
		}
		if (day_state_dropped(s, &c->added[i].ulid)) {
			*ret = ABANDONED;
			return 0;
		}
	}
	*ret = leaves_work(c, s) ? judge_inputs(c, s, look) : DONE;
	bool overlaps = false;
	int r = *ret == GO ? bases_overlap(s, c, &overlaps) : 0;
	if (overlaps)
		*ret = ABANDONED;
	return r;
}

/* ---- a version ---- */

static int push_dropped(struct catalog_version *v, const struct ulid *ulid, uint8_t kind, int64_t since, int64_t gone)
{
	struct catalog_dropped *d = VEC_PUSH(&v->dropped);
	if (!d)
		return -ENOMEM;
	*d = (struct catalog_dropped){ *ulid, kind, since, gone };
	return 0;
}

static int put_changes(struct catalog_version *v, const struct commit *c, const struct day_state *s)
{
	int r = 0;
	for (size_t i = 0; i < c->n_added && r == 0; i++) {
		struct catalog_block *b = VEC_PUSH(&v->added);
		r = b ? 0 : -ENOMEM;
		if (b)
			*b = c->added[i];
	}
	for (size_t i = 0; i < c->n_inputs && r == 0; i++)
		r = push_dropped(v, &c->inputs[i].ulid, c->inputs[i].is_block ? DROPPED_BLOCK : DROPPED_SEGMENT, 0, 0);
	for (size_t i = 0; i < c->n_condemned && r == 0; i++)
		if (!day_state_block(s, &c->condemned[i]) && !day_state_dropped(s, &c->condemned[i]))
			r = push_dropped(v, &c->condemned[i], DROPPED_BLOCK, 0, 0);
	for (size_t i = 0; i < c->n_gone && r == 0; i++) {
		const struct catalog_dropped *d = day_state_dropped(s, &c->gone[i]);
		if (d && !d->gone)
			r = push_dropped(v, &d->ulid, d->kind, d->since, c->gone_at);
	}
	for (size_t i = 0; i < c->n_forgotten && r == 0; i++) {
		struct ulid *u = VEC_PUSH(&v->forgotten);
		r = u ? 0 : -ENOMEM;
		if (u)
			*u = c->forgotten[i];
	}
	return r;
}

/* The whole state after the changes of v, which is a delta to s. */
static int make_whole(struct catalog_version *v, const struct day_state *s, const char *tenant, struct arena *arena)
{
	_cleanup_(day_state_unrefp) struct day_state *after = NULL;
	struct catalog_version whole = { .version = v->version, .whole = true };
	memcpy(whole.writer, v->writer, sizeof whole.writer);
	/* With 0 as the time of this version, names that it drops keep the mark of "now". */
	int r = day_state_apply(tenant, s, v, 0, &after);
	for (size_t i = 0; r == 0 && i < after->n_blocks; i++) {
		const struct live *l = after->blocks[i];
		_free_ uint8_t *raw = NULL;
		struct catalog_block *b = VEC_PUSH(&whole.added);
		uint8_t *kept = arena_alloc(arena, l->raw_len + 1);
		r = b && kept ? live_records(l, &raw) : -ENOMEM;
		if (r < 0)
			break;
		memcpy(kept, raw, l->raw_len);
		*b = (struct catalog_block){ l->object.ulid, l->object.size, (uint8_t)l->object.level,
			                     { kept, l->raw_len } };
	}
	for (size_t i = 0; r == 0 && i < after->n_dropped; i++) {
		const struct catalog_dropped *d = &after->dropped[i];
		r = push_dropped(&whole, &d->ulid, d->kind, d->since, d->gone);
	}
	if (r < 0) {
		catalog_version_done(&whole);
		return r;
	}
	catalog_version_done(v);
	*v = whole;
	return 0;
}

/* About how many bytes a whole version takes more than the delta: names do not compress, records are packed. */
static bool whole_is_cheap(const struct catalog_version *v, const struct day_state *s)
{
	size_t delta = 4096, whole = 20 * s->n_dropped;
	for (size_t i = 0; i < v->added.n; i++)
		delta += v->added.v[i].services.len / 2;
	delta += 20 * (v->dropped.n + v->forgotten.n);
	for (size_t i = 0; i < s->n_blocks; i++)
		whole += 40 + s->blocks[i]->packed_len;
	return whole <= delta;
}

static int encode(const struct commit *c, const struct day_state *s, const uint8_t *writer, const char *tenant,
                  struct buf *out)
{
	_arena_ struct arena arena = ARENA_INIT(CATALOG_MAX);
	struct catalog_version v = { .version = s->version + 1 };
	memcpy(v.writer, writer, sizeof v.writer);
	int r = put_changes(&v, c, s);
	if (r == 0 && (!s->version || v.version - s->whole >= CATALOG_WHOLE_EVERY || whole_is_cheap(&v, s)))
		r = make_whole(&v, s, tenant, &arena);
	if (r == 0)
		r = catalog_encode(&v, out);
	catalog_version_done(&v);
	return r;
}

/* ---- putting it ---- */

static bool is_ours(struct db *db, const char *key, const uint8_t *writer)
{
	_buf_ struct buf bytes = BUF_INIT(CATALOG_MAX);
	struct catalog_version v;
	if (store_get(db->store, key, CATALOG_MAX, &bytes, NULL) < 0 ||
	    catalog_decode(buf_slice(&bytes), &v, NULL) < 0)
		return false;
	bool ours = !memcmp(v.writer, writer, sizeof v.writer);
	catalog_version_done(&v);
	return ours;
}

static int on_newest(void *ctx, const char *key, const struct store_stat *st)
{
	struct version_ref *newest = ctx;
	const char *rest = strstr(key, "/cat/");
	if (!st || !rest || !key_parse_catalog(rest + 5, &newest->day, &newest->version))
		return 0;
	return ERR_CANCELLED; /* the first that is listed is the newest */
}

/* Whether the version is the newest of its day. */
static int is_newest(struct db *db, int32_t day, uint64_t version, bool *ret, struct error *err)
{
	struct version_ref newest = { 0 };
	_free_ char *prefix = key_day(db->tenant, "cat", day);
	if (!prefix)
		return -ENOMEM;
	int r = store_list(db->store, prefix, NULL, 0, on_newest, &newest, err);
	if (r < 0 && r != ERR_CANCELLED)
		return r;
	*ret = newest.version == version;
	return 0;
}

/* One try on a state: *ret whether the version is there and counts. */
static int put_version(struct db *db, const struct commit *c, const struct day_state *s, const uint8_t *writer,
                       bool *ret, bool *unknown, struct error *err)
{
	_buf_ struct buf bytes = BUF_INIT(CATALOG_MAX);
	_free_ char *key = key_catalog(db->tenant, c->day, s->version + 1);
	int r = key ? encode(c, s, writer, db->tenant, &bytes) : -ENOMEM;
	if (r < 0)
		return error_set(err, r, "the catalog cannot be written: %s", err_text(r));
	r = store_put_if_absent(db->store, key, buf_slice(&bytes), err);
	if (r == ERR_STORE_UNKNOWN || r == ERR_STORE_TIMEOUT)
		*unknown = true;
	bool there = r == 0 || ((r == ERR_STORE_EXISTS || *unknown) && is_ours(db, key, writer));
	if (!there)
		return r == ERR_STORE_EXISTS || r == ERR_STORE_UNKNOWN || r == ERR_STORE_TIMEOUT ? 0 : r;
	r = is_newest(db, c->day, s->version + 1, ret, err);
	*unknown |= r < 0;
	return r;
}

static void pause_before(int try)
{
	uint64_t random = 0;
	if (getrandom(&random, sizeof random, 0) < 0)
		random = (uint64_t)clock_monotonic();
	int64_t ns = PAUSE_MS * NS_PER_MS * MIN(1 << MIN(try, 6), 50);
	ns = ns / 2 + (int64_t)(random % (uint64_t)ns);
	nanosleep(&(struct timespec){ .tv_sec = ns / NS_PER_S, .tv_nsec = ns % NS_PER_S }, NULL);
}

static int try_commit(struct db *db, const struct commit *c, const struct day_state *s, const struct look *look,
                      const uint8_t *writer, enum verdict *ret, bool *unknown, struct error *err)
{
	int r = judge(c, s, look, ret);
	if (r < 0)
		return error_set(err, r, "the catalog of day %d cannot be read: %s", c->day, err_text(r));
	if (*ret != GO)
		return 0;
	bool counts = false;
	r = put_version(db, c, s, writer, &counts, unknown, err);
	if (r == 0 && counts)
		*ret = DONE;
	return r;
}

int db_commit(struct db *db, const struct commit *c, struct day_state *base, struct error *err)
{
	uint8_t writer[CATALOG_WRITER_LEN];
	_cleanup_(day_state_unrefp) struct day_state *first = base ? day_state_ref(base) : day_state_empty(c->day);
	if (!first)
		return -ENOMEM;
	if (getrandom(writer, sizeof writer, 0) != sizeof writer)
		return error_set(err, ERR_STORE, "no random numbers");
	enum verdict verdict = GO;
	bool unknown = false;
	int r = db_may_commit(db, err);
	for (int i = 0; i < COMMIT_TRIES && r == 0 && verdict == GO; i++) {
		_look_ struct look look = { 0 };
		if (i) {
			pause_before(i);
			r = look_at(db, c->day, &look, err);
		}
		if (r == 0)
			r = try_commit(db, c, i ? look.state : first, i ? &look : NULL, writer, &verdict, &unknown,
			               err);
	}
	view_expire(db);
	if (r == 0 && verdict == GO)
		r = error_set(err, ERR_STORE_TIMEOUT, "%d others came first each time the catalog was to change",
		              COMMIT_TRIES);
	if (r < 0)
		return unknown ? error_set(err, ERR_STORE_UNKNOWN, "%s", error_text(err, r)) : r;
	return verdict == DONE ? COMMIT_DONE : COMMIT_ABANDONED;
}

/* SPDX-License-Identifier: MIT */
#include "day.h"

#include <string.h>

#include "../base/hash.h"
#include "../wire/zst.h"
#include "internal.h"

#define INFO_ARENA ((size_t)1 << 30)
#define PACK_LEVEL 3

int ulid_order(const void *a, const void *b)
{
	return ulid_cmp(a, b);
}

/* ---- live objects ---- */

struct live *live_ref(struct live *l)
{
	atomic_fetch_add(&l->refs, 1);
	return l;
}

void live_unref(struct live *l)
{
	if (!l || atomic_fetch_sub(&l->refs, 1) != 1)
		return;
	free(l->object.key);
	free(l->filter);
	free(l->services);
	free(l->shared);
	free(l->packed);
	free(l);
}
DEFINE_CLEANUP(struct live *, live_unref);

struct live *live_segment(int32_t day, const struct ulid *ulid, char *key, const struct store_stat *st,
                          const char *filter)
{
	struct live *l = calloc(1, sizeof *l);
	if (!l || !key) {
		free(l);
		free(key);
		return NULL;
	}
	l->object = (struct object){ key, day, st->size, false, *ulid, 0, st->mtime_ns };
	atomic_init(&l->refs, 1);
	l->filter = strdup(filter);
	if (!l->filter) {
		live_unref(l);
		return NULL;
	}
	return l;
}

static int hash_order(const void *a, const void *b)
{
	return CMP(*(const uint64_t *)a, *(const uint64_t *)b);
}

static uint64_t service_hash(struct str service)
{
	return hash_bytes(service.s, service.len);
}

/* Reads the records once, so that what is wrong is known now, and keeps them packed. */
static int keep_services(struct live *l, struct slice records)
{
	_arena_ struct arena arena = ARENA_INIT(INFO_ARENA);
	_buf_ struct buf packed = BUF_INIT(CATALOG_MAX);
	struct dataset_info *infos;
	size_t n;
	int r = catalog_get_services(records, &arena, &infos, &n);
	if (r == 0)
		r = zst_compress(records, PACK_LEVEL, &packed);
	if (r < 0)
		return r;
	l->services = malloc((n + 1) * sizeof *l->services);
	l->shared = malloc((n + 1) * sizeof *l->shared);
	if (!l->services || !l->shared)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		l->services[i] = service_hash(infos[i].service);
		if (infos[i].shared.size)
			l->shared[l->n_shared++] = infos[i].shared.ulid;
	}
	qsort(l->services, n, sizeof *l->services, hash_order);
	qsort(l->shared, l->n_shared, sizeof *l->shared, ulid_order);
	l->n_services = n;
	l->raw_len = records.len;
	l->packed = buf_take(&packed, &l->packed_len);
	return 0;
}

int live_block(const char *tenant, int32_t day, const struct catalog_block *b, struct live **ret)
{
	_cleanup_(live_unrefp) struct live *l = calloc(1, sizeof *l);
	if (!l)
		return -ENOMEM;
	atomic_init(&l->refs, 1);
	l->object = (struct object){ key_block(tenant, day, &b->ulid), day, b->size, true, b->ulid, b->level, 0 };
	int r = l->object.key ? keep_services(l, b->services) : -ENOMEM;
	if (r == 0)
		*ret = TAKE_PTR(l);
	return r;
}

bool live_may_hold(const struct live *l, struct str service)
{
	if (l->filter)
		return filter_may_hold(l->filter, service);
	uint64_t hash = service_hash(service);
	return bsearch(&hash, l->services, l->n_services, sizeof *l->services, hash_order);
}

int live_records(const struct live *l, uint8_t **ret)
{
	_free_ uint8_t *raw = malloc(l->raw_len + 1);
	if (!raw)
		return -ENOMEM;
	int r = zst_decompress((struct slice){ l->packed, l->packed_len }, raw, l->raw_len);
	if (r == 0)
		*ret = TAKE_PTR(raw);
	return r;
}

int live_infos(const struct live *l, struct arena *arena, struct dataset_info **ret, size_t *ret_n)
{
	_free_ uint8_t *raw = NULL;
	int r = live_records(l, &raw);
	return r < 0 ? r : catalog_get_services((struct slice){ raw, l->raw_len }, arena, ret, ret_n);
}

/* ---- states ---- */

struct day_state *day_state_empty(int32_t day)
{
	struct day_state *s = calloc(1, sizeof *s);
	if (s) {
		atomic_init(&s->refs, 1);
		s->day = day;
	}
	return s;
}

struct day_state *day_state_ref(struct day_state *s)
{
	atomic_fetch_add(&s->refs, 1);
	return s;
}

void day_state_unref(struct day_state *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	for (size_t i = 0; i < s->n_blocks; i++)
		live_unref(s->blocks[i]);
	free(s->blocks);
	free(s->dropped);
	free(s);
}

const struct catalog_dropped *day_state_dropped(const struct day_state *s, const struct ulid *ulid)
{
	return s->n_dropped ? bsearch(ulid, s->dropped, s->n_dropped, sizeof *s->dropped, ulid_order) : NULL;
}

static int live_order(const void *a, const void *b)
{
	return ulid_cmp(&(*(struct live *const *)a)->object.ulid, &(*(struct live *const *)b)->object.ulid);
}

struct live *day_state_block(const struct day_state *s, const struct ulid *ulid)
{
	struct live key = { .object = { .ulid = *ulid } }, *at = &key;
	struct live **found = s->n_blocks ? bsearch(&at, s->blocks, s->n_blocks, sizeof *s->blocks, live_order) : NULL;
	return found ? *found : NULL;
}

static int copy_drops(struct day_state *s, const struct day_state *old, const struct catalog_version *v)
{
	struct ulid *forgotten = malloc((v->forgotten.n + 1) * sizeof *forgotten);
	if (!forgotten)
		return -ENOMEM;
	if (v->forgotten.n)
		memcpy(forgotten, v->forgotten.v, v->forgotten.n * sizeof *forgotten);
	qsort(forgotten, v->forgotten.n, sizeof *forgotten, ulid_order);
	for (size_t i = 0; i < old->n_dropped; i++)
		if (!bsearch(&old->dropped[i].ulid, forgotten, v->forgotten.n, sizeof *forgotten, ulid_order))
			s->dropped[s->n_dropped++] = old->dropped[i];
	free(forgotten);
	return 0;
}

/* Dropped names are looked up among those of the versions before this one, whose order new ones must not disturb. */
static int apply_drops(struct day_state *s, const struct day_state *old, const struct catalog_version *v, int64_t mtime)
{
	s->dropped = malloc((old->n_dropped + v->dropped.n + 1) * sizeof *s->dropped);
	int r = s->dropped ? copy_drops(s, old, v) : -ENOMEM;
	if (r < 0)
		return r;
	size_t n = s->n_dropped;
	for (size_t i = 0; i < v->dropped.n; i++) {
		const struct catalog_dropped *d = &v->dropped.v[i];
		struct catalog_dropped *known = bsearch(&d->ulid, s->dropped, s->n_dropped, sizeof *d, ulid_order);
		if (known) {
			known->gone = known->gone ? known->gone : d->gone;
			continue;
		}
		s->dropped[n] = *d;
		s->dropped[n].since = d->since ? d->since : mtime;
		n++;
	}
	s->n_dropped = n;
	qsort(s->dropped, n, sizeof *s->dropped, ulid_order);
	return 0;
}

static int apply_blocks(const char *tenant, struct day_state *s, const struct day_state *old,
                        const struct catalog_version *v)
{
	s->blocks = malloc((old->n_blocks + v->added.n + 1) * sizeof *s->blocks);
	if (!s->blocks)
		return -ENOMEM;
	for (size_t i = 0; i < old->n_blocks; i++)
		if (!day_state_dropped(s, &old->blocks[i]->object.ulid))
			s->blocks[s->n_blocks++] = live_ref(old->blocks[i]);
	for (size_t i = 0; i < v->added.n; i++) {
		if (day_state_dropped(s, &v->added.v[i].ulid))
			continue;
		int r = live_block(tenant, s->day, &v->added.v[i], &s->blocks[s->n_blocks]);
		if (r < 0)
			return r;
		s->n_blocks++;
	}
	qsort(s->blocks, s->n_blocks, sizeof *s->blocks, live_order);
	return 0;
}

int day_state_apply(const char *tenant, const struct day_state *old, const struct catalog_version *v, int64_t mtime,
                    struct day_state **ret)
{
	_cleanup_(day_state_unrefp) struct day_state *none = day_state_empty(old->day), *s = day_state_empty(old->day);
	if (!none || !s)
		return -ENOMEM;
	const struct day_state *base = v->whole ? none : old;
	s->version = v->version;
	s->mtime = mtime;
	s->whole = v->whole ? v->version : old->whole;
	int r = apply_drops(s, base, v, mtime);
	if (r == 0)
		r = apply_blocks(tenant, s, base, v);
	if (r == 0)
		*ret = TAKE_PTR(s);
	return r;
}

/* ---- reading ---- */

static int read_version(struct db *db, const struct version_ref *ref, struct catalog_version *ret, struct error *err)
{
	_free_ char *key = key_catalog(db->tenant, ref->day, ref->version);
	_buf_ struct buf bytes = BUF_INIT(CATALOG_MAX);
	int r = key ? store_get(db->store, key, CATALOG_MAX, &bytes, err) : -ENOMEM;
	if (r == ERR_STORE_NOT_FOUND)
		return error_set(err, ERR_STALE, "%s: the version went away while it was read", key);
	if (r == 0)
		r = catalog_decode(buf_slice(&bytes), ret, err);
	if (r == 0 && ret->version != ref->version) {
		catalog_version_done(ret);
		r = error_set(err, ERR_CORRUPT_LAYOUT, "the catalog says that it is another version");
	}
	return r < 0 && key ? error_at(err, r, "%s", key) : r;
}

/* Reads back, newest first, until what is known or a whole version. *ret_rooted: by which of them it ended. */
static int read_chain(struct db *db, const struct day_state *known, const struct version_ref *refs, size_t n,
                      struct catalog_version *chain, size_t *ret_n, struct error *err)
{
	*ret_n = 0;
	for (size_t i = 0; i < n; i++) {
		if (known && known->version == refs[i].version)
			return 0;
		if (i && refs[i].version != refs[i - 1].version - 1)
			break;
		int r = read_version(db, &refs[i], &chain[i], err);
		if (r < 0)
			return r;
		*ret_n = i + 1;
		if (chain[i].whole || (known && known->version == refs[i].version - 1))
			return 0;
	}
	return error_set(err, ERR_CORRUPT_MISSING, "the catalog of day %d lacks versions before %llu", refs[0].day,
	                 (unsigned long long)refs[0].version);
}

static int apply_chain(struct db *db, struct day_state *known, const struct version_ref *refs,
                       const struct catalog_version *chain, size_t n, struct day_state **ret)
{
	struct day_state *s = known ? day_state_ref(known) : day_state_empty(refs[0].day);
	int r = s ? 0 : -ENOMEM;
	for (size_t i = n; i-- > 0 && r == 0;) {
		struct day_state *next;
		r = day_state_apply(db->tenant, s, &chain[i], refs[i].mtime, &next);
		if (r < 0)
			break;
		day_state_unref(s);
		s = next;
	}
	if (r < 0)
		day_state_unref(s);
	else
		*ret = s;
	return r;
}

int day_state_read(struct db *db, struct day_state *known, const struct version_ref *refs, size_t n,
                   struct day_state **ret, struct error *err)
{
	if (known && known->version > refs[0].version)
		known = NULL; /* the day had ended, and began again */
	struct catalog_version *chain = calloc(n, sizeof *chain);
	size_t read = 0;
	int r = chain ? read_chain(db, known, refs, n, chain, &read, err) : -ENOMEM;
	if (r == 0) {
		r = apply_chain(db, known, refs, chain, read, ret);
		if (r < 0)
			error_set(err, r, "the catalog of day %d cannot be read: %s", refs[0].day, err_text(r));
	}
	for (size_t i = 0; i < read; i++)
		catalog_version_done(&chain[i]);
	free(chain);
	return r;
}

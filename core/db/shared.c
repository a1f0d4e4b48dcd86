/* SPDX-License-Identifier: MIT */

/*
 * Symbols that a service's days share (core/block/shared.c says what they are). They are blocks of a day without
 * profiles, SHARED_DAY, whose catalog says of them what any day's says of its blocks: live, dropped, forgotten.
 * Views leave them out of their objects.
 *
 *     put -> live by a commit of SHARED_DAY -> named by blocks of days, each live by a commit of its own day
 *         -> no live block names them: dropped -> SHARED_GRACE later, and still not named: removed
 *
 * Two catalogs are not changed by one commit, so a merge may come to name symbols that have been dropped since it
 * looked. That does no harm: what is dropped is not taken by new merges, but it is removed only after longer than
 * anybody sleeps between a look and a commit, and then only if no live block names it; as long as one does, it stays.
 * A reader goes by the name alone, and needs no catalog for it.
 *
 * They pay where symbols are much of a service's day, and where there are other days. Elsewhere they would cost more
 * than they save: a day's tables then have rows too that only other days need, and a query's work grows with its
 * tables. A merge without them is the same in all but size, so whatever goes wrong with them costs only that.
 */

#include "shared.h"

#include <string.h>

#include "../block/reader.h"
#include "commit.h"

#define INFO_ARENA ((size_t)64 << 20)
#define SHARED_MIN ((uint64_t)4 << 10)  /* of one service: less is not worth an object */
#define SHARED_MAX ((size_t)16 << 20)
#define SHARED_AT_ONCE 4096
#define PAYS_FROM 10                  /* where they are at least this part of the day's bytes */
#define OTHER_DAYS 2                  /* that the service has: with one day more they save no more than they are */

int shared_with(struct db *db, const struct shared_name *name, struct str service,
                int (*fn)(void *arg, struct dataset *shared, struct error *err), void *arg, struct error *err)
{
	struct cached *pin;
	_free_ char *key = key_block(db->tenant, SHARED_DAY, &name->ulid);
	int r = key ? cache_pin_key(db, key, name->size, &pin, err) : -ENOMEM;
	if (r == ERR_STORE_NOT_FOUND)
		return error_set(err, ERR_CORRUPT_MISSING, "%s: the shared symbols are missing", key);
	if (r < 0)
		return r;
	size_t at = block_find(cached_block(pin), service);
	r = at != SIZE_MAX ? fn(arg, block_dataset(cached_block(pin), at), err)
	                   : error_set(err, ERR_CORRUPT_LAYOUT, "%s: these are another service's symbols", key);
	cache_unpin(db, pin);
	return r;
}

bool shared_is_named(const struct view *v, const struct ulid *ulid)
{
	for (size_t i = 0; i < v->n; i++) {
		const struct live *l = v->live[i];
		if (l->n_shared && bsearch(ulid, l->shared, l->n_shared, sizeof *ulid, ulid_order))
			return true;
	}
	return false;
}

bool shared_any_unnamed(const struct view *v)
{
	const struct day_state *s = view_day(v, SHARED_DAY);
	for (size_t i = 0; s && i < s->n_blocks; i++)
		if (!shared_is_named(v, &s->blocks[i]->object.ulid))
			return true;
	return false;
}

/* ---- what there is ---- */

void shared_choice_done(struct shared_choice *c)
{
	for (size_t i = 0; i < c->v.n; i++) {
		block_free(c->v.v[i].block);
		free((char *)c->v.v[i].service.s);
	}
	VEC_DONE(&c->v);
}

struct shared_entry *shared_find(struct shared_choice *c, struct str service)
{
	for (size_t i = 0; i < c->v.n; i++)
		if (str_eq(c->v.v[i].service, service))
			return &c->v.v[i];
	return NULL;
}

/* In the place of what the service has. */
static int set_entry(struct shared_choice *c, struct str service, int64_t time, const struct shared_name *name)
{
	struct shared_entry *e = shared_find(c, service);
	char *copy = e ? NULL : strndup(service.s, service.len);
	if (!e && (!copy || !(e = VEC_PUSH(&c->v)))) {
		free(copy);
		return -ENOMEM;
	}
	struct str kept = copy ? (struct str){ copy, service.len } : e->service;
	block_free(copy ? NULL : e->block);
	*e = (struct shared_entry){ .service = kept, .time = time, .name = *name };
	return 0;
}

static int64_t distance(const struct shared_choice *c, int64_t time)
{
	int64_t d = time - c->day * NS_PER_DAY;
	return d < 0 ? -d : d;
}

static int choose_from(struct shared_choice *c, const struct live *l)
{
	_arena_ struct arena arena = ARENA_INIT(INFO_ARENA);
	struct dataset_info *infos;
	size_t n;
	int r = live_infos(l, &arena, &infos, &n);
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct shared_entry *e = shared_find(c, infos[i].service);
		if (!e || distance(c, infos[i].min_time) < distance(c, e->time))
			r = set_entry(c, infos[i].service, infos[i].min_time,
			              &(struct shared_name){ l->object.ulid, l->object.size });
	}
	return r;
}

int shared_choose(const struct view *v, int32_t day, struct shared_choice *ret)
{
	const struct day_state *s = view_day(v, SHARED_DAY);
	int r = 0;
	*ret = (struct shared_choice){ .db = v->db, .view = v, .day = day };
	for (size_t i = 0; s && i < s->n_blocks && r == 0; i++)
		r = choose_from(ret, s->blocks[i]);
	return r;
}

static uint64_t rows_bytes(const struct dataset *d)
{
	const struct section *s = d->sections;
	return s[SECTION_FUNCTIONS].raw + s[SECTION_LOCATIONS].raw + s[SECTION_STACKS].raw;
}

static int open_entry(struct db *db, struct shared_entry *e, struct error *err)
{
	const struct symbols *symbols;
	_free_ char *key = key_block(db->tenant, SHARED_DAY, &e->name.ulid);
	struct object o = { .key = key, .size = e->name.size };
	if (!key)
		return -ENOMEM;
	int r = object_open(db, &o, true, &e->block, err);
	if (r == 0)
		r = dataset_symbols(block_dataset(e->block, 0), &symbols, err);
	if (r == 0)
		e->rows = rows_bytes(block_dataset(e->block, 0));
	return r;
}

/* Services are merged one after the other. */
static void close_others(struct shared_choice *c)
{
	for (size_t i = 0; i < c->v.n; i++) {
		block_free(c->v.v[i].block);
		c->v.v[i].block = NULL;
	}
}

int shared_give(struct shared_choice *c, struct str service, struct dataset **ret, struct shared_name *ret_name,
                struct error *err)
{
	struct shared_entry *e = shared_find(c, service);
	struct error why = { 0 };
	*ret = NULL;
	close_others(c);
	if (!e || e->refused)
		return 0;
	int r = open_entry(c->db, e, &why);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		log_msg(c->db->log, LOG_LEVEL_WARNING, "a day is merged without the symbols that it could share: %s",
		        error_text(&why, r));
		e->refused = true;
		return 0;
	}
	*ret = block_dataset(e->block, 0);
	*ret_name = e->name;
	return 0;
}

/* ---- new ones ---- */

static uint64_t all_bytes(const struct dataset_info *info)
{
	uint64_t n = 0;
	for (size_t i = 0; i < ARRAY_SIZE(info->bytes); i++)
		n += info->bytes[i];
	return n;
}

bool shared_outgrown(struct shared_choice *c, struct block *merged, size_t dataset)
{
	const struct dataset *d = block_dataset(merged, dataset);
	struct shared_entry *e = d->info.shared.size ? shared_find(c, d->info.service) : NULL;
	if (!e)
		return false;
	bool outgrown = rows_bytes(d) > e->rows + e->rows / 4 || all_bytes(&d->info) / PAYS_FROM / 2 > e->name.size;
	if (outgrown)
		e->refused = true;
	return outgrown;
}

static bool has_other_days(const struct view *v, struct str service, int32_t day)
{
	int32_t seen[OTHER_DAYS];
	unsigned n = 0;
	for (size_t i = 0; i < v->n && n < OTHER_DAYS; i++) {
		const struct live *l = v->live[i];
		bool known = l->object.day == day;
		for (unsigned k = 0; k < n; k++)
			known |= l->object.day == seen[k];
		if (!known && live_may_hold(l, service))
			seen[n++] = l->object.day;
	}
	return n == OTHER_DAYS;
}

struct renewal {
	struct shared_choice *c;
	VEC(struct catalog_block) added;
	VEC(struct shared_entry) entries; /* of `added`; services borrowed */
	struct arena arena;               /* the records of `added` */
};

static int describe(struct renewal *w, const struct dataset_info *info, struct buf *bytes, struct catalog_block *b)
{
	_buf_ struct buf record = BUF_INIT(SHARED_MAX);
	int64_t time = w->c->day * NS_PER_DAY;
	struct dataset_info own = { .service = info->service, .min_time = time, .max_time = time,
		                    .bytes = { [BYTES_SYMBOLS] = bytes->len } };
	catalog_put_service(&record, &own);
	uint8_t *kept = arena_alloc(&w->arena, record.len + 1);
	if (buf_err(&record) || !kept)
		return -ENOMEM;
	memcpy(kept, record.data, record.len);
	*b = (struct catalog_block){ .size = bytes->len, .services = { kept, record.len } };
	return ulid_new(&b->ulid);
}

static int put_shared(struct renewal *w, const struct dataset_info *info, struct buf *bytes, struct error *err)
{
	struct catalog_block *b = VEC_GROW(&w->added, 1);
	struct shared_entry *e = VEC_GROW(&w->entries, 1);
	int r = b && e ? describe(w, info, bytes, b) : -ENOMEM;
	_free_ char *key = r == 0 ? key_block(w->c->db->tenant, SHARED_DAY, &b->ulid) : NULL;
	if (r < 0 || !key)
		return r < 0 ? r : -ENOMEM;
	r = store_put(w->c->db->store, key, buf_slice(bytes), err);
	if (r < 0)
		return r;
	*e = (struct shared_entry){ .service = info->service, .name = { b->ulid, bytes->len } };
	w->added.n++;
	w->entries.n++;
	return 0;
}

static int consider(struct renewal *w, struct dataset *d, struct error *err)
{
	const struct dataset_info *info = &d->info;
	uint64_t least = MAX(all_bytes(info) / PAYS_FROM, SHARED_MIN);
	_buf_ struct buf bytes = BUF_INIT(SHARED_MAX);
	if (info->shared.size || info->bytes[BYTES_SYMBOLS] < least || w->added.n == SHARED_AT_ONCE ||
	    !has_other_days(w->c->view, info->service, w->c->day))
		return 0;
	int r = shared_make(d, w->c->day * NS_PER_DAY, &bytes, err);
	if (r == ERR_LIMIT_BUFFER || (r == 0 && bytes.len < least))
		return 0;
	return r < 0 ? r : put_shared(w, info, &bytes, err);
}

/* Where another dropped them meanwhile, the day does without. */
static int commit_new(struct renewal *w, bool *ret, struct error *err)
{
	struct commit commit = { .day = SHARED_DAY, .added = w->added.v, .n_added = w->added.n };
	if (!w->added.n)
		return 0;
	int r = db_commit(w->c->db, &commit, view_day(w->c->view, SHARED_DAY), err);
	for (size_t i = 0; r == COMMIT_DONE && i < w->entries.n; i++)
		if (set_entry(w->c, w->entries.v[i].service, w->c->day * NS_PER_DAY, &w->entries.v[i].name) < 0)
			return -ENOMEM;
	*ret = r == COMMIT_DONE;
	return MIN(r, 0);
}

int shared_renew(struct shared_choice *c, struct block *merged, bool *ret, struct error *err)
{
	struct renewal w = { .c = c, .arena = ARENA_INIT(INFO_ARENA) };
	int r = 0;
	*ret = false;
	for (size_t i = 0; i < block_datasets(merged) && r == 0; i++)
		r = consider(&w, block_dataset(merged, i), err);
	if (r == 0)
		r = commit_new(&w, ret, err);
	VEC_DONE(&w.added);
	VEC_DONE(&w.entries);
	arena_done(&w.arena);
	return r;
}

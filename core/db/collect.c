/* SPDX-License-Identifier: MIT */

/*
 * Collection. A name's life in the catalog:
 *
 *     live -> dropped by a version put at `since` -> object removed -> a LIST shows it no longer: `gone` -> forgotten
 *
 * - An object is removed only if the newest version names it as dropped, and the version that dropped it is older than
 *   the grace: until then views that know nothing of the drop may read it.
 * - A block that no version names may be on its way to a commit. Older than the grace it is an orphan, but it is not
 *   removed: first a commit condemns it (names it as dropped), so that its writer, should it wake up, finds that and
 *   gives up. Then it is like any other dropped name.
 * - A dropped name is forgotten five minutes after a LIST did not show it. A view whose LIST was made while it was
 *   still there is thrown away long before.
 *
 * - Shared symbols that no live block names are dropped, and removed long after that, if still none does (shared.c).
 *
 * All ages are differences of times that the store itself gave.
 */

#include "collect.h"

#include <string.h>

#include "../base/clock.h"
#include "commit.h"
#include "internal.h"
#include "shared.h"

#define GRACE_SEGMENT (60 * NS_PER_S)
#define GRACE_DEFAULT (15 * NS_PER_MIN)
#define FORGET_AFTER (5 * NS_PER_MIN)
#define UNNAMED_AFTER NS_PER_HOUR
#define EMPTY_AFTER (7 * NS_PER_DAY) /* an empty day's last version goes: longer than anybody sleeps before a commit */

struct listed_block {
	struct ulid ulid;
	int64_t mtime;
};

struct ulids {
	struct ulid *v;
	size_t n, cap;
};

struct collection {
	struct db *db;
	int32_t day;
	int64_t grace;
	int64_t began, ended; /* the store's time before its LISTs, and after them */
	size_t prefix_len;
	VEC(struct listed_block) blocks; /* by ulid: as listed */
	struct look look;
	VEC(char *) remove;              /* keys */
	struct ulids condemned, gone, forgotten;
	struct view *view;               /* of SHARED_DAY: taken after the look */
	VEC(struct commit_input) unnamed; /* of SHARED_DAY: to be dropped */
	struct collect_counts *counts;
};

static int on_block(void *ctx, const char *key, const struct store_stat *st)
{
	struct collection *c = ctx;
	struct listed_block b = { .mtime = st ? st->mtime_ns : 0 };
	int32_t day;
	if (!st || !key_parse_block(key + c->prefix_len, &day, &b.ulid))
		return 0;
	struct listed_block *slot = VEC_PUSH(&c->blocks);
	if (!slot)
		return -ENOMEM;
	*slot = b;
	return 0;
}

/* Objects first, then what the catalog says of them. */
static int look_around(struct collection *c, struct error *err)
{
	_free_ char *prefix = key_day(c->db->tenant, "blk", c->day);
	if (!prefix)
		return -ENOMEM;
	c->prefix_len = strlen(prefix) - DAY_LEN;
	int r = store_now(c->db->store, &c->began, err);
	if (r == 0)
		r = store_list(c->db->store, prefix, NULL, 0, on_block, c, err);
	if (r == 0)
		r = look_at(c->db, c->day, &c->look, err);
	if (r == 0 && c->day == SHARED_DAY)
		r = view_quietly(c->db, 0, &c->view, err);
	if (r == 0)
		r = store_now(c->db->store, &c->ended, err);
	return r;
}

static void due_at(struct collection *c, int64_t at)
{
	struct collect_counts *n = c->counts;
	if (!n->next || at < n->next)
		n->next = at;
}

static const struct listed_block *listed_block(const struct collection *c, const struct ulid *ulid)
{
	return c->blocks.n ? bsearch(ulid, c->blocks.v, c->blocks.n, sizeof *c->blocks.v, ulid_order) : NULL;
}

static int push_ulid(struct ulids *v, const struct ulid *u)
{
	struct ulid *slot = VEC_PUSH(v);
	if (!slot)
		return -ENOMEM;
	*slot = *u;
	return 0;
}

/* Takes key. */
static int push_key(struct collection *c, char *key)
{
	char **slot = key ? VEC_PUSH(&c->remove) : NULL;
	if (!slot) {
		free(key);
		return -ENOMEM;
	}
	*slot = key;
	return 0;
}

/* One dropped name: remove its object, note that it is gone, forget it; or say when that comes due. */
static int judge_dropped(struct collection *c, const struct catalog_dropped *d)
{
	bool block = d->kind == DROPPED_BLOCK;
	const struct live *segment = block ? NULL : look_segment(&c->look, &d->ulid);
	bool there = block ? listed_block(c, &d->ulid) != NULL : segment != NULL;
	int64_t grace = c->view ? SHARED_GRACE : block ? c->grace : MIN(c->grace, GRACE_SEGMENT);
	if (there && c->view && shared_is_named(c->view, &d->ulid))
		return 0;
	if (there && c->began - d->since <= grace) {
		due_at(c, d->since + grace);
		return 0;
	}
	if (there) {
		due_at(c, c->ended + 1);
		return push_key(c, block ? key_block(c->db->tenant, c->day, &d->ulid) : strdup(segment->object.key));
	}
	if (!d->gone) {
		due_at(c, c->ended + FORGET_AFTER);
		return push_ulid(&c->gone, &d->ulid);
	}
	if (c->began - d->gone >= FORGET_AFTER)
		return push_ulid(&c->forgotten, &d->ulid);
	due_at(c, d->gone + FORGET_AFTER);
	return 0;
}

/* A merge that has just put them may be about to name them; it may do so also afterwards, see shared.c. */
static int judge_unnamed(struct collection *c)
{
	const struct day_state *s = c->look.state;
	for (size_t i = 0; c->view && i < s->n_blocks; i++) {
		const struct ulid *ulid = &s->blocks[i]->object.ulid;
		const struct listed_block *b = listed_block(c, ulid);
		if (!b || shared_is_named(c->view, ulid))
			continue;
		if (c->began - b->mtime <= UNNAMED_AFTER) {
			due_at(c, b->mtime + UNNAMED_AFTER);
			continue;
		}
		struct commit_input *slot = VEC_PUSH(&c->unnamed);
		if (!slot)
			return -ENOMEM;
		*slot = (struct commit_input){ *ulid, true };
	}
	return 0;
}

/* Blocks that no version names. */
static int judge_orphans(struct collection *c)
{
	int r = 0;
	for (size_t i = 0; i < c->blocks.n && r == 0; i++) {
		const struct listed_block *b = &c->blocks.v[i];
		if (day_state_block(c->look.state, &b->ulid) || day_state_dropped(c->look.state, &b->ulid))
			continue;
		if (c->began - b->mtime > c->grace)
			r = push_ulid(&c->condemned, &b->ulid);
		else
			due_at(c, b->mtime + c->grace);
	}
	return r;
}

/* Versions before the last whole one: nobody starts from them who did not begin 15 minutes ago. */
static int judge_versions(struct collection *c)
{
	int64_t whole = 0;
	int r = 0;
	for (size_t i = 0; i < c->look.versions.n && r == 0; i++) {
		const struct version_ref *v = &c->look.versions.v[i];
		if (v->version == c->look.state->whole)
			whole = v->mtime;
		if (v->version >= c->look.state->whole)
			continue;
		if (c->began - whole <= c->grace) {
			due_at(c, whole + c->grace);
			break;
		}
		c->counts->versions++;
		r = push_key(c, key_catalog(c->db->tenant, c->day, v->version));
	}
	return r;
}

static bool is_empty(const struct collection *c)
{
	return !c->look.state->n_blocks && !c->look.segments.n && !c->blocks.n;
}

/* A day without objects: its markers go, and long after that its last version. */
static int end_day(struct collection *c, struct error *err)
{
	const struct day_state *s = c->look.state;
	_names_ struct names services = { 0 };
	if (!s->version || !is_empty(c) || s->n_dropped)
		return 0;
	if (c->began - s->mtime <= c->grace) {
		due_at(c, s->mtime + c->grace);
		return 0;
	}
	int r = c->view || markers_have_ended(c->db, c->day) ? 0 : db_services(c->db, 0, &services, err);
	for (size_t i = 0; i < services.n && r == 0; i++)
		r = markers_remove(c->db, str_of(services.v[i]), c->day, err);
	if (r == 0)
		markers_note_end(c->db, c->day);
	for (size_t i = 0; i < c->look.versions.n && r == 0 && c->began - s->mtime > EMPTY_AFTER; i++)
		r = push_key(c, key_catalog(c->db->tenant, c->day, c->look.versions.v[i].version));
	return r;
}

static int remove_due(struct collection *c, struct error *err)
{
	int r = store_remove_many(c->db->store, (const char *const *)c->remove.v, c->remove.n, err);
	if (r == 0)
		c->counts->removed += c->remove.n;
	return r;
}

static int commit_notes(struct collection *c, struct error *err)
{
	struct commit commit = {
		.day = c->day,
		.inputs = c->unnamed.v,
		.n_inputs = c->unnamed.n,
		.condemned = c->condemned.v,
		.n_condemned = c->condemned.n,
		.gone = c->gone.v,
		.n_gone = c->gone.n,
		.gone_at = c->ended,
		.forgotten = c->forgotten.v,
		.n_forgotten = c->forgotten.n,
	};
	if (!c->unnamed.n && !c->condemned.n && !c->gone.n && !c->forgotten.n)
		return 0;
	int r = db_commit(c->db, &commit, c->look.state, err);
	if (r < 0)
		return r;
	c->counts->condemned += c->condemned.n;
	c->counts->forgotten += c->forgotten.n;
	return 0;
}

static int judge_all(struct collection *c, struct error *err)
{
	int r = 0;
	for (size_t i = 0; i < c->look.state->n_dropped && r == 0; i++)
		r = judge_dropped(c, &c->look.state->dropped[i]);
	if (r == 0)
		r = judge_unnamed(c);
	if (r == 0)
		r = judge_orphans(c);
	if (r == 0)
		r = judge_versions(c);
	return r < 0 ? r : end_day(c, err);
}

static void collection_done(struct collection *c)
{
	look_done(&c->look);
	view_unref(c->view);
	VEC_DONE(&c->unnamed);
	for (size_t i = 0; i < c->remove.n; i++)
		free(c->remove.v[i]);
	VEC_DONE(&c->remove);
	VEC_DONE(&c->blocks);
	VEC_DONE(&c->condemned);
	VEC_DONE(&c->gone);
	VEC_DONE(&c->forgotten);
}

int collect_day(struct db *db, int32_t day, const struct collect_options *o, struct collect_counts *counts,
                struct error *err)
{
	struct collection c = { .db = db, .day = day, .grace = o->grace ? o->grace : GRACE_DEFAULT, .counts = counts };
	int r = look_around(&c, err);
	if (r == 0)
		r = judge_all(&c, err);
	if (r == 0)
		r = remove_due(&c, err);
	if (r == 0)
		r = commit_notes(&c, err);
	collection_done(&c);
	return r;
}

/* ---- which days ---- */

struct due_days {
	const struct view *view;
	size_t prefix_len;
	VEC(int32_t) days;
};

static int add_day(struct due_days *d, int32_t day)
{
	if (d->days.n && d->days.v[d->days.n - 1] == day)
		return 0;
	int32_t *slot = VEC_PUSH(&d->days);
	if (!slot)
		return -ENOMEM;
	*slot = day;
	return 0;
}

static int on_any_block(void *ctx, const char *key, const struct store_stat *st)
{
	struct due_days *d = ctx;
	int32_t day;
	struct ulid ulid;
	if (!st || !key_parse_block(key + d->prefix_len, &day, &ulid))
		return 0;
	const struct day_state *s = view_day(d->view, day);
	return s && day_state_block(s, &ulid) ? 0 : add_day(d, day);
}

static int on_any_version(void *ctx, const char *key, const struct store_stat *st)
{
	struct due_days *d = ctx;
	int32_t day;
	uint64_t version;
	if (!st || !key_parse_catalog(key + d->prefix_len, &day, &version))
		return 0;
	const struct day_state *s = view_day(d->view, day);
	return s && version < s->whole ? add_day(d, day) : 0;
}

static int list_all(struct db *db, struct due_days *d, const char *folder, store_list_fn fn, struct error *err)
{
	_free_ char *prefix = key_under(db->tenant, folder);
	if (!prefix)
		return -ENOMEM;
	d->prefix_len = strlen(prefix);
	return store_list(db->store, prefix, NULL, 0, fn, d, err);
}

static int day_order(const void *a, const void *b)
{
	return CMP(*(const int32_t *)a, *(const int32_t *)b);
}

static size_t unique_days(int32_t *v, size_t n)
{
	size_t kept = 0;
	if (n)
		qsort(v, n, sizeof *v, day_order);
	for (size_t i = 0; i < n; i++)
		if (!kept || v[kept - 1] != v[i])
			v[kept++] = v[i];
	return kept;
}

int collect_days(struct db *db, const struct view *v, struct days *ret, struct error *err)
{
	struct due_days d = { .view = v };
	int r = list_all(db, &d, "blk", on_any_block, err);
	if (r == 0)
		r = list_all(db, &d, "cat", on_any_version, err);
	for (size_t i = 0; i < v->n_days && r == 0; i++)
		if (v->days[i]->n_dropped || !v->days[i]->n_blocks)
			r = add_day(&d, v->days[i]->day);
	if (r == 0 && shared_any_unnamed(v))
		r = add_day(&d, SHARED_DAY);
	if (r < 0) {
		VEC_DONE(&d.days);
		return r;
	}
	*ret = (struct days){ d.days.v, unique_days(d.days.v, d.days.n) };
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "debuginfo.h"

#include <ctype.h>
#include <string.h>

#include "../base/hash.h"
#include "internal.h"

#define LISTED_AGE NS_PER_MIN
#define TABLES_BYTES ((size_t)256 << 20) /* kept; the one that was used last stays whatever its size */
#define IDS_MAX ((size_t)1 << 20)        /* known at a time; further ones are not seen */

/* ---- which there are ---- */

struct debug_known {
	char id[2 * BUILD_ID_MAX + 1];
	bool dwarf;
};

struct debug_set {
	atomic_uint refs;
	int64_t made; /* db_uptime() before its LIST */
	uint64_t print;
	VEC(struct debug_known) v; /* by id */
};

struct debug_set *debug_set_ref(struct debug_set *s)
{
	if (s)
		atomic_fetch_add(&s->refs, 1);
	return s;
}

void debug_set_unref(struct debug_set *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	VEC_DONE(&s->v);
	free(s);
}

uint64_t debug_set_print(const struct debug_set *s)
{
	return s ? s->print : 0;
}

bool debug_set_fresh(const struct db *db, const struct debug_set *s, int64_t now)
{
	return s && !atomic_load(&db->debug.changed) && now - s->made <= LISTED_AGE;
}

struct listing {
	size_t prefix_len;
	debuginfo_fn fn;
	void *ctx;
};

static int on_object(void *ctx, const char *key, const struct store_stat *st)
{
	const struct listing *l = ctx;
	char id[2 * BUILD_ID_MAX + 1];
	bool dwarf;
	if (!st || !key_parse_debug(key + l->prefix_len, id, &dwarf))
		return 0;
	return l->fn(l->ctx, id, dwarf, st);
}

int debuginfo_list(struct db *db, debuginfo_fn fn, void *ctx, struct error *err)
{
	_free_ char *prefix = key_under(db->tenant, "dbg");
	struct listing l = { prefix ? strlen(prefix) : 0, fn, ctx };
	return prefix ? store_list(db->store, prefix, NULL, 0, on_object, &l, err) : -ENOMEM;
}

/* Of one id the kind with lines comes first: the other does not count. */
static int on_known(void *ctx, const char *id, bool dwarf, const struct store_stat *st)
{
	struct debug_set *s = ctx;
	if (s->v.n == IDS_MAX || (s->v.n && !strcmp(s->v.v[s->v.n - 1].id, id)))
		return 0;
	struct debug_known *to = VEC_PUSH(&s->v);
	if (!to)
		return -ENOMEM;
	snprintf(to->id, sizeof to->id, "%s", id);
	to->dwarf = dwarf;
	s->print = hash_mix(s->print + dwarf, hash_bytes(id, strlen(id))) | 1;
	return 0;
}

int debug_set_list(struct db *db, struct debug_set **ret, struct error *err)
{
	struct debug_set *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	atomic_init(&s->refs, 1);
	atomic_store(&db->debug.changed, false);
	s->made = db_uptime(db);
	int r = debuginfo_list(db, on_known, s, err);
	if (r < 0) {
		atomic_store(&db->debug.changed, true);
		debug_set_unref(s);
		return r;
	}
	*ret = s;
	return 0;
}

int view_need_debug(struct view *v, struct error *err)
{
	struct db *db = v->db;
	int r = 0;
	pthread_mutex_lock(&db->view_lock);
	db->debug.wanted = true;
	if (!v->debug && debug_set_fresh(db, db->view->debug, db_uptime(db)))
		v->debug = debug_set_ref(db->view->debug);
	else if (!v->debug)
		r = debug_set_list(db, &v->debug, err);
	pthread_mutex_unlock(&db->view_lock);
	return r;
}

uint64_t view_debug_print(const struct view *v)
{
	return debug_set_print(v->debug);
}

/* ---- adding ---- */

struct wanted {
	const char *id;
	bool lines, found;
};

static int on_wanted(void *ctx, const char *id, bool dwarf, const struct store_stat *st)
{
	struct wanted *w = ctx;
	w->found |= !strcmp(w->id, id) && (dwarf || !w->lines);
	return 0;
}

int debuginfo_add(struct db *db, int fd, struct debuginfo *ret, struct error *err)
{
	_buf_ struct buf stored = BUF_INIT(DEBUG_OBJECT_MAX);
	struct debuginfo info = { 0 };
	int r = db->elf_reader ? debug_read_apart(db->elf_reader, fd, &info.facts, &stored, err)
	                       : debug_read(fd, &info.facts, &stored, err);
	struct wanted w = { info.facts.build_id, info.facts.dwarf, false };
	if (r == 0)
		r = db_need_format(db, err);
	if (r == 0)
		r = debuginfo_list(db, on_wanted, &w, err);
	if (r == 0 && !w.found) {
		_free_ char *key = key_debug(db->tenant, info.facts.build_id, info.facts.dwarf);
		r = key ? store_put(db->store, key, buf_slice(&stored), err) : -ENOMEM;
	}
	if (r < 0)
		return r;
	info.known = w.found;
	if (info.facts.note[0])
		log_msg(db->log, LOG_LEVEL_WARNING, "symbols of %s: %s", info.facts.build_id, info.facts.note);
	atomic_store(&db->debug.changed, true);
	view_expire(db);
	*ret = info;
	return 0;
}

/* ---- removing ---- */

struct found {
	const char *id;
	bool kinds[2];
};

static int on_found(void *ctx, const char *id, bool dwarf, const struct store_stat *st)
{
	struct found *f = ctx;
	if (!strcmp(f->id, id))
		f->kinds[dwarf] = true;
	return 0;
}

/* A reader that still lists it and finds it gone takes it as not there. */
int debuginfo_remove(struct db *db, const char *build_id, struct error *err)
{
	struct found f = { .id = build_id };
	int r = debuginfo_list(db, on_found, &f, err);
	if (r == 0 && !f.kinds[0] && !f.kinds[1])
		return error_set(err, ERR_STORE_NOT_FOUND, "no symbols of this build id are stored");
	for (int dwarf = 0; dwarf < 2 && r == 0; dwarf++) {
		_free_ char *key = f.kinds[dwarf] ? key_debug(db->tenant, build_id, dwarf) : NULL;
		if (f.kinds[dwarf])
			r = key ? store_remove(db->store, key, err) : -ENOMEM;
	}
	atomic_store(&db->debug.changed, true);
	view_expire(db);
	return r;
}

/* ---- tables in memory ---- */

struct debug_shared {
	atomic_uint refs;
	struct debug_table *table;
	struct debug_known of;
	uint64_t used;
};

const struct debug_table *debug_shared_table(const struct debug_shared *s)
{
	return s->table;
}

void debug_shared_unref(struct debug_shared *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	debug_table_free(s->table);
	free(s);
}

void debug_cache_done(struct debug_cache *c)
{
	for (size_t i = 0; i < c->tables.n; i++)
		debug_shared_unref(c->tables.v[i]);
	VEC_DONE(&c->tables);
}

static size_t oldest_table(const struct debug_cache *c)
{
	size_t at = 0;
	for (size_t i = 1; i < c->tables.n; i++)
		if (c->tables.v[i]->used < c->tables.v[at]->used)
			at = i;
	return at;
}

static void drop_tables(struct debug_cache *c)
{
	while (c->tables.n > 1 && c->bytes > TABLES_BYTES) {
		size_t at = oldest_table(c);
		struct debug_shared *s = c->tables.v[at];
		c->bytes -= debug_table_bytes(s->table);
		c->tables.v[at] = c->tables.v[--c->tables.n];
		debug_shared_unref(s);
	}
}

static int read_table(struct db *db, const struct debug_known *of, struct debug_table **ret, struct error *err)
{
	_free_ char *key = key_debug(db->tenant, of->id, of->dwarf);
	_buf_ struct buf stored = BUF_INIT(DEBUG_OBJECT_MAX);
	int r = key ? store_get(db->store, key, DEBUG_OBJECT_MAX, &stored, err) : -ENOMEM;
	if (r == 0)
		r = debug_table_decode(buf_slice(&stored), ret, err);
	return r < 0 && key ? error_at(err, r, "%s", key) : r;
}

int debug_verify(struct db *db, const char *id, bool dwarf, struct error *err)
{
	struct debug_known of = { .dwarf = dwarf };
	struct debug_table *table;
	snprintf(of.id, sizeof of.id, "%s", id);
	int r = read_table(db, &of, &table, err);
	if (r == 0)
		debug_table_free(table);
	return r;
}

static int load_table(struct db *db, const struct debug_known *of, struct debug_shared **ret, struct error *err)
{
	struct debug_cache *c = &db->debug;
	struct debug_table *table = NULL;
	int r = read_table(db, of, &table, err);
	if (r < 0)
		return r;
	struct debug_shared *s = calloc(1, sizeof *s);
	struct debug_shared **to = s ? VEC_PUSH(&c->tables) : NULL;
	if (!to) {
		debug_table_free(table);
		free(s);
		return -ENOMEM;
	}
	*s = (struct debug_shared){ .table = table, .of = *of };
	atomic_init(&s->refs, 1);
	*to = s;
	c->bytes += debug_table_bytes(table);
	*ret = s;
	return 0;
}

/* One table is read at a time: who waits most often wants the same. */
static int share_table(struct db *db, const struct debug_known *of, struct debug_shared **ret, struct error *err)
{
	struct debug_cache *c = &db->debug;
	struct debug_shared *s = NULL;
	int r = 0;
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->tables.n && !s; i++)
		if (!strcmp(c->tables.v[i]->of.id, of->id) && c->tables.v[i]->of.dwarf == of->dwarf)
			s = c->tables.v[i];
	if (!s)
		r = load_table(db, of, &s, err);
	if (r == 0) {
		s->used = ++c->clock;
		atomic_fetch_add(&s->refs, 1);
		*ret = s;
		drop_tables(c);
	}
	pthread_mutex_unlock(&c->lock);
	return r;
}

static int known_order(const void *key, const void *entry)
{
	return strcmp(key, ((const struct debug_known *)entry)->id);
}

/* Of the ids of a mapping the first that is known. */
static const struct debug_known *find_known(const struct debug_set *s, struct str ids)
{
	char id[2 * BUILD_ID_MAX + 1];
	for (size_t i = 0, n; i < ids.len; i += n + 1) {
		for (n = 0; i + n < ids.len && ids.s[i + n] != ' '; n++)
			if (n < sizeof id - 1)
				id[n] = (char)tolower((unsigned char)ids.s[i + n]);
		if (!n || n >= sizeof id)
			continue;
		id[n] = '\0';
		const struct debug_known *found = bsearch(id, s->v.v, s->v.n, sizeof *s->v.v, known_order);
		if (found)
			return found;
	}
	return NULL;
}

int view_debug_table(struct view *v, struct str build_ids, struct debug_shared **ret, struct error *err)
{
	const struct debug_known *of = v->debug && v->debug->v.n ? find_known(v->debug, build_ids) : NULL;
	struct error why = { 0 };
	*ret = NULL;
	if (!of)
		return 0;
	int r = share_table(v->db, of, ret, &why);
	if (err_is_damage(r) || r == ERR_STORE_NOT_FOUND || r == ERR_NEWER) {
		log_msg(v->db->log, LOG_LEVEL_WARNING, "%s", error_text(&why, r));
		return 0;
	}
	return r < 0 ? error_set(err, r, "%s", error_text(&why, r)) : 0;
}

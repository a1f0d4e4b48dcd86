/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "../base/hash.h"
#include "tree.h"

/*
 * Queries that are kept, the newest used first. A kept query is found in two ways: by selection and
 * generation of the view, which costs nothing; and, after the (cheap) plan on a newer view, by selection and
 * print: where the newer view gives the same profiles, the older query is used on, with the results that it
 * has computed already.
 *
 * The count bounds the memory: results and open tables belong to their query, and the query goes when it is
 * not used: pushed out by others, or at the next plan after a minute.
 */
#define PLANS_MAX 12
#define IDLE_NS (60 * NS_PER_S)
#define KEY_MAX ((size_t)1 << 20)

struct plan {
	struct query *query; /* a reference; NULL: free */
	char *key;
	size_t key_len;
	uint64_t hash;       /* of key */
	uint64_t generation;
	uint8_t print[PRINT_LEN];
	uint64_t used;       /* count of uses, for the order */
	int64_t used_at;     /* clock_monotonic() */
};

struct plans {
	pthread_mutex_t lock; /* guards all below */
	struct plan v[PLANS_MAX];
	uint64_t clock;
};

int plans_new(struct plans **ret)
{
	struct plans *p = calloc(1, sizeof *p);
	if (!p)
		return -ENOMEM;
	pthread_mutex_init(&p->lock, NULL);
	*ret = p;
	return 0;
}

static void plan_clear(struct plan *p)
{
	query_unref(p->query);
	free(p->key);
	*p = (struct plan){ 0 };
}

void plans_free(struct plans *p)
{
	if (!p)
		return;
	for (size_t i = 0; i < PLANS_MAX; i++)
		if (p->v[i].query)
			plan_clear(&p->v[i]);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

void plan_print(struct query *q, uint8_t ret[PRINT_LEN])
{
	struct query *base = query_baseline(q);
	if (!base) {
		memcpy(ret, query_info(q)->fingerprint, PRINT_LEN);
		return;
	}
	uint8_t both[2 * PRINT_LEN];
	memcpy(both, query_info(q)->fingerprint, PRINT_LEN);
	memcpy(both + PRINT_LEN, query_info(base)->fingerprint, PRINT_LEN);
	XXH128_canonical_t c;
	XXH128_canonicalFromHash(&c, XXH3_128bits(both, sizeof both));
	memcpy(ret, c.digest, PRINT_LEN);
}

struct plan_key {
	struct str key;
	uint64_t hash;
};

static bool plan_has_key(const struct plan *p, const struct plan_key *k)
{
	return p->query && p->hash == k->hash && p->key_len == k->key.len &&
	       !memcmp(p->key, k->key.s, k->key.len);
}

/* Under the lock. */
static struct plan *plans_find(struct plans *ps, const struct plan_key *k, const uint64_t *generation,
                               const uint8_t *print)
{
	for (size_t i = 0; i < PLANS_MAX; i++) {
		struct plan *p = &ps->v[i];
		if (!plan_has_key(p, k) || (generation && p->generation != *generation) ||
		    (print && memcmp(p->print, print, PRINT_LEN) != 0))
			continue;
		p->used = ++ps->clock;
		p->used_at = clock_monotonic();
		return p;
	}
	return NULL;
}

static struct query *plans_take(struct plans *ps, const struct plan_key *k, const uint64_t *generation,
                                const uint8_t *print)
{
	pthread_mutex_lock(&ps->lock);
	struct plan *p = plans_find(ps, k, generation, print);
	struct query *q = p ? query_ref(p->query) : NULL;
	pthread_mutex_unlock(&ps->lock);
	return q;
}

static struct plan *plans_oldest(struct plans *ps)
{
	struct plan *oldest = &ps->v[0];
	for (size_t i = 1; i < PLANS_MAX; i++)
		if (ps->v[i].used < oldest->used)
			oldest = &ps->v[i];
	return oldest;
}

/*
 * Keeps q, or finds what is equal to it. replace: q is better than what is kept. Takes q; returns a
 * reference.
 */
static struct query *plans_keep(struct plans *ps, const struct plan_key *k, uint64_t generation, bool replace,
                                struct query *q)
{
	uint8_t print[PRINT_LEN];
	plan_print(q, print);
	char *key = malloc(k->key.len + 1);
	if (!key)
		return q;
	memcpy(key, k->key.s, k->key.len);
	pthread_mutex_lock(&ps->lock);
	struct plan *p = plans_find(ps, k, NULL, print);
	struct plan dropped = { 0 };
	if (p && !replace) {
		p->generation = generation;
		dropped = (struct plan){ .query = q, .key = key };
	} else {
		p = p ? p : plans_oldest(ps);
		dropped = *p;
		*p = (struct plan){ .query = q, .key = key, .key_len = k->key.len, .hash = k->hash };
		p->generation = generation;
		p->used = ++ps->clock;
		p->used_at = clock_monotonic();
		memcpy(p->print, print, PRINT_LEN);
	}
	struct query *kept = query_ref(p->query);
	pthread_mutex_unlock(&ps->lock);
	/* Outside the lock: a query that goes frees much. */
	if (dropped.query)
		plan_clear(&dropped);
	return kept;
}

/* Drops what was not used for a while. */
static void plans_prune(struct plans *ps)
{
	struct plan dropped[PLANS_MAX];
	size_t n = 0;
	int64_t before = clock_monotonic() - IDLE_NS;
	pthread_mutex_lock(&ps->lock);
	for (size_t i = 0; i < PLANS_MAX; i++) {
		if (ps->v[i].query && ps->v[i].used_at < before) {
			dropped[n++] = ps->v[i];
			ps->v[i] = (struct plan){ 0 };
		}
	}
	pthread_mutex_unlock(&ps->lock);
	while (n > 0)
		plan_clear(&dropped[--n]);
}

static int plan_key_of(const struct selection *sel, struct buf *text, struct plan_key *ret)
{
	selection_key(sel, text);
	if (buf_err(text))
		return buf_err(text);
	ret->key = (struct str){ text->data ? (const char *)text->data : "", text->len };
	ret->hash = XXH3_64bits(ret->key.s, ret->key.len);
	return 0;
}

static int plan_anew(struct tree *t, struct view *v, const struct selection *sel, const struct plan_key *k,
                     bool replace, const struct cancel *cancel, struct query **ret, struct error *err)
{
	struct query *q;
	plans_prune(t->plans);
	int e = query_new(v, sel, cancel, &q, err);
	if (e)
		return e;
	*ret = plans_keep(t->plans, k, view_generation(v), replace, q);
	return 0;
}

static int plan_on_view(struct tree *t, const struct selection *sel, const struct plan_key *k, bool fresh,
                        const struct cancel *cancel, struct query **ret, struct error *err)
{
	_cleanup_(view_unrefp) struct view *v = NULL;
	int e = db_view(t->db, fresh ? 0 : VIEW_MAX_AGE, &v, err);
	if (e)
		return e;
	uint64_t generation = view_generation(v);
	struct query *q = fresh ? NULL : plans_take(t->plans, k, &generation, NULL);
	if (!q)
		return plan_anew(t, v, sel, k, fresh, cancel, ret, err);
	*ret = q;
	return 0;
}

bool plan_is_stale(int e)
{
	return e == ERR_STALE || e == ERR_CORRUPT_MISSING || e == ERR_STORE_NOT_FOUND;
}

int plan_get(struct tree *t, const struct selection *sel, const struct cancel *cancel, struct query **ret,
             struct error *err)
{
	_buf_ struct buf text = BUF_INIT(KEY_MAX);
	struct plan_key k;
	int e = plan_key_of(sel, &text, &k);
	if (e)
		return e;
	e = plan_on_view(t, sel, &k, false, cancel, ret, err);
	return plan_is_stale(e) ? plan_on_view(t, sel, &k, true, cancel, ret, err) : e;
}

struct query *plan_kept(struct tree *t, const struct selection *sel, const uint8_t print[PRINT_LEN])
{
	_buf_ struct buf text = BUF_INIT(KEY_MAX);
	struct plan_key k;
	return plan_key_of(sel, &text, &k) ? NULL : plans_take(t->plans, &k, NULL, print);
}

int plan_peek(struct tree *t, const struct selection *sel, struct query **ret, struct error *err)
{
	_buf_ struct buf text = BUF_INIT(KEY_MAX);
	_cleanup_(view_unrefp) struct view *v = NULL;
	struct plan_key k;
	int e = plan_key_of(sel, &text, &k);
	if (!e)
		e = db_view(t->db, VIEW_MAX_AGE, &v, err);
	if (e)
		return e;
	uint64_t generation = view_generation(v);
	struct query *q = plans_take(t->plans, &k, &generation, NULL);
	if (!q)
		return ERR_PATH_ABSENT;
	*ret = q;
	return 0;
}

static int query_on(struct tree *t, const struct selection *sel, int64_t max_age, const struct cancel *cancel,
                    struct query **ret, struct error *err)
{
	_cleanup_(view_unrefp) struct view *v = NULL;
	int e = db_view(t->db, max_age, &v, err);
	return e ? e : query_new(v, sel, cancel, ret, err);
}

int plan_once(struct tree *t, const struct selection *sel, const struct cancel *cancel, struct query **ret,
              struct error *err)
{
	int e = query_on(t, sel, VIEW_MAX_AGE, cancel, ret, err);
	return plan_is_stale(e) ? query_on(t, sel, 0, cancel, ret, err) : e;
}

int plan_get_print(struct tree *t, const struct selection *sel, const uint8_t print[PRINT_LEN], bool fresh,
                   const struct cancel *cancel, struct query **ret, struct error *err)
{
	_buf_ struct buf text = BUF_INIT(KEY_MAX);
	struct plan_key k;
	int e = plan_key_of(sel, &text, &k);
	if (e)
		return e;
	struct query *q = fresh ? NULL : plans_take(t->plans, &k, NULL, print);
	if (!q) {
		e = plan_on_view(t, sel, &k, fresh, cancel, &q, err);
		if (e)
			return e;
	}
	uint8_t now[PRINT_LEN];
	plan_print(q, now);
	if (memcmp(now, print, PRINT_LEN) != 0) {
		query_unref(q);
		return error_set(err, ERR_STALE, "what is selected has changed since the file was looked up");
	}
	*ret = q;
	return 0;
}

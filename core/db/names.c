/* SPDX-License-Identifier: MIT */

/* Which services have data on which days: from the markers, kept for as long as a view may be old. */

#include <string.h>

#include "../base/pct.h"
#include "internal.h"

#define DAY_LISTS_MAX 4096

void names_done(struct names *n)
{
	for (size_t i = 0; i < n->n; i++)
		free(n->v[i]);
	free(n->v);
	*n = (struct names){ 0 };
}

void days_done(struct days *d)
{
	free(d->v);
	*d = (struct days){ 0 };
}

void markers_done(struct marker_cache *m)
{
	names_done(&m->services);
	for (size_t i = 0; i < m->days.n; i++) {
		free(m->days.v[i].service);
		days_done(&m->days.v[i].days);
	}
	VEC_DONE(&m->days);
	for (size_t i = 0; i < m->put.n; i++)
		free(m->put.v[i].key);
	VEC_DONE(&m->put);
	VEC_DONE(&m->ended);
}

struct name_list {
	struct db *db;
	size_t prefix_len;
	struct names names;
	size_t cap;
};

static int push_name(struct name_list *l, char *name)
{
	if (!name)
		return -ENOMEM;
	if (l->names.n == l->cap) {
		size_t cap = l->cap ? 2 * l->cap : 64;
		char **grown = realloc(l->names.v, cap * sizeof *grown);
		if (!grown) {
			free(name);
			return -ENOMEM;
		}
		l->names.v = grown;
		l->cap = cap;
	}
	l->names.v[l->names.n++] = name;
	return 0;
}

static int on_first_marker(void *ctx, const char *key, const struct store_stat *st)
{
	char **first = ctx;
	*first = strdup(key);
	return *first ? ERR_CANCELLED : -ENOMEM; /* one is enough */
}

/* The whole name of a service whose key is cut, from one of its markers. NULL where there is none any more. */
static int read_name(struct db *db, const char *folder, char **ret)
{
	_free_ char *marker = NULL;
	_buf_ struct buf name = BUF_INIT((size_t)1 << 20);
	*ret = NULL;
	int r = store_list(db->store, folder, NULL, 0, on_first_marker, &marker, NULL);
	if (r < 0 && r != ERR_CANCELLED)
		return r;
	r = marker ? store_get(db->store, marker, name.max - 1, &name, NULL) : ERR_STORE_NOT_FOUND;
	if (r == ERR_STORE_NOT_FOUND)
		return 0;
	buf_u8(&name, 0);
	if (r == 0)
		r = buf_err(&name);
	if (r == 0 && !(*ret = strdup((char *)name.data)))
		r = -ENOMEM;
	return r;
}

static int push_cut_name(struct name_list *l, const char *folder)
{
	char *name;
	int r = read_name(l->db, folder, &name);
	return r < 0 || !name ? r : push_name(l, name);
}

static int on_service(void *ctx, const char *key, const struct store_stat *st)
{
	struct name_list *l = ctx;
	size_t len = strlen(key);
	if (st || len <= l->prefix_len + 1)
		return 0;
	if (strchr(key + l->prefix_len, '~'))
		return push_cut_name(l, key);
	_buf_ struct buf raw = BUF_INIT(KEY_MAX);
	pct_decode(&raw, (struct str){ key + l->prefix_len, len - l->prefix_len - 1 });
	buf_u8(&raw, 0);
	return push_name(l, buf_err(&raw) ? NULL : strdup((char *)raw.data));
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_services(struct db *db, struct names *ret, struct error *err)
{
	_free_ char *prefix = key_under(db->tenant, "svc");
	if (!prefix)
		return -ENOMEM;
	struct name_list l = { .db = db, .prefix_len = strlen(prefix) };
	int r = store_list(db->store, prefix, NULL, '/', on_service, &l, err);
	if (r < 0) {
		names_done(&l.names);
		return r;
	}
	if (l.names.n)
		qsort(l.names.v, l.names.n, sizeof *l.names.v, compare_names);
	*ret = l.names;
	return 0;
}

static int copy_names(const struct names *from, struct names *ret)
{
	struct names n = { calloc(from->n + 1, sizeof *n.v), 0 };
	if (!n.v)
		return -ENOMEM;
	for (; n.n < from->n; n.n++)
		if (!(n.v[n.n] = strdup(from->v[n.n]))) {
			names_done(&n);
			return -ENOMEM;
		}
	*ret = n;
	return 0;
}

static bool fresh(struct db *db, int64_t made, int64_t max_age)
{
	return made && max_age > 0 && db_uptime(db) - made <= max_age;
}

static int refresh_services(struct db *db, int64_t max_age, struct error *err)
{
	struct marker_cache *m = &db->markers;
	if (fresh(db, m->made, max_age))
		return 0;
	struct names names;
	int64_t began = db_uptime(db);
	int r = list_services(db, &names, err);
	if (r < 0)
		return r;
	names_done(&m->services);
	m->services = names;
	m->made = began;
	return 0;
}

int db_services(struct db *db, int64_t max_age, struct names *ret, struct error *err)
{
	pthread_mutex_lock(&db->markers.lock);
	int r = refresh_services(db, max_age, err);
	if (r == 0)
		r = copy_names(&db->markers.services, ret);
	pthread_mutex_unlock(&db->markers.lock);
	return r;
}

static bool has_name(const struct names *n, const char *name)
{
	return n->n && bsearch(&name, n->v, n->n, sizeof *n->v, compare_names);
}

bool db_has_service(struct db *db, struct str service, int64_t max_age)
{
	_free_ char *name = strndup(service.s, service.len);
	if (!name || strlen(name) != service.len)
		return false;
	pthread_mutex_lock(&db->markers.lock);
	bool has = has_name(&db->markers.services, name);
	if (!has && refresh_services(db, max_age, NULL) == 0)
		has = has_name(&db->markers.services, name);
	pthread_mutex_unlock(&db->markers.lock);
	return has;
}

/* ---- days ---- */

struct day_listing {
	size_t prefix_len;
	VEC(int32_t) days;
};

static int on_day(void *ctx, const char *key, const struct store_stat *st)
{
	struct day_listing *l = ctx;
	int32_t day;
	if (!st || !day_parse(key + l->prefix_len, strlen(key) - l->prefix_len, &day))
		return 0;
	int32_t *slot = VEC_PUSH(&l->days);
	if (!slot)
		return -ENOMEM;
	*slot = day;
	return 0;
}

static int compare_days(const void *a, const void *b)
{
	return CMP(*(const int32_t *)a, *(const int32_t *)b);
}

static int list_days(struct db *db, struct str service, struct days *ret, struct error *err)
{
	_free_ char *prefix = key_service(db->tenant, service);
	if (!prefix)
		return -ENOMEM;
	struct day_listing l = { .prefix_len = strlen(prefix) };
	int r = store_list(db->store, prefix, NULL, 0, on_day, &l, err);
	if (r < 0) {
		VEC_DONE(&l.days);
		return r;
	}
	if (l.days.n)
		qsort(l.days.v, l.days.n, sizeof *l.days.v, compare_days);
	*ret = (struct days){ l.days.v, l.days.n };
	return 0;
}

static struct day_list *find_days(struct marker_cache *m, struct str service)
{
	for (size_t i = 0; i < m->days.n; i++)
		if (str_eq(service, (struct str){ m->days.v[i].service, m->days.v[i].service_len }))
			return &m->days.v[i];
	return NULL;
}

static int refresh_days(struct db *db, struct str service, int64_t max_age, struct day_list **ret, struct error *err)
{
	struct marker_cache *m = &db->markers;
	struct day_list *l = find_days(m, service);
	if (!l || !fresh(db, l->made, max_age)) {
		struct days days;
		int64_t began = db_uptime(db);
		int r = list_days(db, service, &days, err);
		if (r < 0)
			return r;
		if (!l && (l = m->days.n < DAY_LISTS_MAX ? VEC_PUSH(&m->days) : &m->days.v[0]) != NULL) {
			char *name = strndup(service.s, service.len);
			*l = (struct day_list){ .service = name, .service_len = name ? service.len : 0 };
		}
		if (!l) {
			days_done(&days);
			return -ENOMEM;
		}
		days_done(&l->days);
		l->days = days;
		l->made = began;
	}
	*ret = l;
	return 0;
}

int db_days(struct db *db, struct str service, int64_t max_age, struct days *ret, struct error *err)
{
	struct day_list *l;
	pthread_mutex_lock(&db->markers.lock);
	int r = refresh_days(db, service, max_age, &l, err);
	if (r == 0) {
		struct days copy = { malloc((l->days.n + 1) * sizeof(int32_t)), l->days.n };
		if (copy.v && copy.n)
			memcpy(copy.v, l->days.v, copy.n * sizeof(int32_t));
		if (copy.v)
			*ret = copy;
		else
			r = -ENOMEM;
	}
	pthread_mutex_unlock(&db->markers.lock);
	return r;
}

/* ---- putting markers ---- */

/* Where the key is, or would be, among the sorted ones. */
static size_t put_place(const struct marker_cache *m, const char *key, bool *ret_there)
{
	size_t lo = 0, hi = m->put.n;
	*ret_there = false;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int c = strcmp(m->put.v[mid].key, key);
		*ret_there |= c == 0;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static bool marker_known(struct db *db, const char *key)
{
	struct marker_cache *m = &db->markers;
	bool there;
	pthread_mutex_lock(&m->lock);
	size_t at = put_place(m, key, &there);
	there = there && db_uptime(db) - m->put.v[at].at < NS_PER_HOUR;
	pthread_mutex_unlock(&m->lock);
	return there;
}

static void forget_lists(struct marker_cache *m, struct str service)
{
	m->made = 0;
	struct day_list *l = find_days(m, service);
	if (l)
		l->made = 0;
}

/* Takes key; the lists that it changes are forgotten. */
static void note_marker(struct db *db, char *key, struct str service)
{
	struct marker_cache *m = &db->markers;
	bool there;
	pthread_mutex_lock(&m->lock);
	size_t at = put_place(m, key, &there);
	struct marker_put *slot = there ? NULL : VEC_GROW(&m->put, 1);
	if (there) {
		m->put.v[at].at = db_uptime(db);
	} else if (slot) {
		memmove(m->put.v + at + 1, m->put.v + at, (m->put.n - at) * sizeof *m->put.v);
		m->put.v[at] = (struct marker_put){ TAKE_PTR(key), db_uptime(db) };
		m->put.n++;
	}
	forget_lists(m, service);
	pthread_mutex_unlock(&m->lock);
	free(key);
}

int markers_put(struct db *db, struct str service, int32_t day, struct error *err)
{
	char *key = key_marker(db->tenant, service, day);
	if (!key)
		return error_set(err, ERR_LIMIT, "the service's name is too long for a store");
	if (marker_known(db, key)) {
		free(key);
		return 0;
	}
	int r = store_put(db->store, key, (struct slice){ (const uint8_t *)service.s, service.len }, err);
	if (r < 0) {
		free(key);
		return r;
	}
	note_marker(db, key, service);
	return 0;
}

/* ---- removing markers ---- */

int markers_remove(struct db *db, struct str service, int32_t day, struct error *err)
{
	struct marker_cache *m = &db->markers;
	_free_ char *key = key_marker(db->tenant, service, day);
	if (!key)
		return -ENOMEM;
	int r = store_remove(db->store, key, err);
	pthread_mutex_lock(&m->lock);
	bool there;
	size_t at = put_place(m, key, &there);
	if (there) {
		free(m->put.v[at].key);
		m->put.n--;
		memmove(m->put.v + at, m->put.v + at + 1, (m->put.n - at) * sizeof *m->put.v);
	}
	forget_lists(m, service);
	pthread_mutex_unlock(&m->lock);
	return r;
}

bool markers_have_ended(struct db *db, int32_t day)
{
	struct marker_cache *m = &db->markers;
	bool ended = false;
	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < m->ended.n; i++)
		ended |= m->ended.v[i] == day;
	pthread_mutex_unlock(&m->lock);
	return ended;
}

void markers_note_end(struct db *db, int32_t day)
{
	struct marker_cache *m = &db->markers;
	if (markers_have_ended(db, day))
		return;
	pthread_mutex_lock(&m->lock);
	int32_t *slot = VEC_PUSH(&m->ended); /* without memory they are removed once more */
	if (slot)
		*slot = day;
	pthread_mutex_unlock(&m->lock);
}

/* SPDX-License-Identifier: MIT */

/* jansson.h is included here alone: settings are changed member by member, whatever the others hold. */

#include "settings.h"

#include <jansson.h>
#include <string.h>

#include "internal.h"

#define SET_TRIES 16
#define OLD_AFTER (15 * NS_PER_MIN)
#define BYTES_MAX ((int64_t)1 << 62)

#define _json_ref_ _cleanup_(json_decrefp)

/* ---- the newest version ---- */

struct listing {
	size_t prefix_len;
	VEC(struct version_ref) versions; /* newest first */
};

static int on_version(void *ctx, const char *key, const struct store_stat *st)
{
	struct listing *l = ctx;
	struct version_ref ref = { .mtime = st ? st->mtime_ns : 0 };
	if (!st || !key_parse_version(key + l->prefix_len, &ref.version))
		return 0;
	struct version_ref *slot = VEC_PUSH(&l->versions);
	if (!slot)
		return -ENOMEM;
	*slot = ref;
	return 0;
}

static int list_versions(struct db *db, struct listing *ret, struct error *err)
{
	_free_ char *prefix = key_under(db->tenant, "set");
	if (!prefix)
		return -ENOMEM;
	ret->prefix_len = strlen(prefix);
	return store_list(db->store, prefix, NULL, 0, on_version, ret, err);
}

static int read_version(struct db *db, uint64_t version, struct buf *out, struct error *err)
{
	_free_ char *key = key_settings(db->tenant, version);
	buf_reset(out);
	int r = key ? store_get(db->store, key, SETTINGS_MAX, out, err) : -ENOMEM;
	return r == ERR_STORE_NOT_FOUND ? ERR_STALE : r;
}

/* Brings the cached text up to date. Under settings_lock. */
static int refresh(struct db *db, struct error *err)
{
	struct settings_cache *s = &db->settings;
	int r = ERR_STALE;
	for (int i = 0; i < 3 && r == ERR_STALE; i++) {
		struct listing l = { 0 };
		int64_t began = db_uptime(db);
		r = list_versions(db, &l, err);
		uint64_t newest = l.versions.n ? l.versions.v[0].version : 0;
		if (r == 0 && newest != s->version) {
			if (newest)
				r = read_version(db, newest, &s->text, err);
			else
				buf_reset(&s->text);
		}
		if (r == 0) {
			s->version = newest;
			s->made = began;
		} else {
			s->version = 0;
			s->made = 0;
		}
		VEC_DONE(&l.versions);
	}
	return r;
}

static json_t *parse(const struct buf *text)
{
	if (!text->len)
		return json_object();
	return json_loadb((const char *)text->data, text->len, JSON_REJECT_DUPLICATES, NULL);
}

/* The newest settings as a document, and their version. New. */
static int load(struct db *db, int64_t max_age, json_t **ret, uint64_t *ret_version, struct error *err)
{
	struct settings_cache *s = &db->settings;
	int r = 0;
	pthread_mutex_lock(&s->lock);
	if (!s->made || max_age <= 0 || db_uptime(db) - s->made > max_age)
		r = refresh(db, err);
	json_t *root = r == 0 ? parse(&s->text) : NULL;
	*ret_version = s->version;
	pthread_mutex_unlock(&s->lock);
	if (r == 0 && !json_is_object(root)) {
		json_decref(root);
		return error_set(err, ERR_CORRUPT_LAYOUT, "settings %llu are no JSON object",
		                 (unsigned long long)*ret_version);
	}
	if (r == 0)
		*ret = root;
	return r;
}

static int put_json(const json_t *value, struct buf *out)
{
	char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_SORT_KEYS);
	if (!text)
		return -ENOMEM;
	buf_puts(out, text);
	free(text);
	return buf_err(out);
}

int settings_get(struct db *db, const char *member, int64_t max_age, struct buf *out, uint64_t *ret_version,
                 struct error *err)
{
	_json_ref_ json_t *root = NULL;
	uint64_t version;
	int r = load(db, max_age, &root, &version, err);
	const json_t *value = r == 0 ? json_object_get(root, member) : NULL;
	if (value)
		r = put_json(value, out);
	if (r == 0 && ret_version)
		*ret_version = version;
	return r;
}

/* ---- a change ---- */

/* Put if absent, and not overtaken: *ret whether it counts. What lies long behind it goes. */
static int put_next(struct db *db, uint64_t version, struct slice text, bool *ret, struct error *err)
{
	_free_ char *key = key_settings(db->tenant, version);
	struct listing l = { 0 };
	int64_t now = 0;
	int r = key ? store_put_if_absent(db->store, key, text, err) : -ENOMEM;
	*ret = false;
	if (r == ERR_STORE_EXISTS)
		return 0;
	if (r == ERR_STORE_UNKNOWN) { /* equal bytes are as good as ours */
		_buf_ struct buf there = BUF_INIT(SETTINGS_MAX);
		r = read_version(db, version, &there, err);
		if (r == ERR_STALE || there.len != text.len || memcmp(there.data, text.data, text.len) != 0)
			return r == ERR_STALE ? 0 : r;
	}
	if (r == 0)
		r = list_versions(db, &l, err);
	*ret = r == 0 && l.versions.n && l.versions.v[0].version == version;
	if (*ret)
		r = store_now(db->store, &now, err);
	for (size_t i = 1; i < l.versions.n && r == 0 && *ret; i++)
		if (now - l.versions.v[i - 1].mtime > OLD_AFTER) {
			_free_ char *old = key_settings(db->tenant, l.versions.v[i].version);
			r = old ? store_remove(db->store, old, err) : -ENOMEM;
		}
	VEC_DONE(&l.versions);
	return r;
}

static int try_set(struct db *db, int (*change)(json_t *root, void *ctx), void *ctx, bool *ret, struct error *err)
{
	_json_ref_ json_t *root = NULL;
	_buf_ struct buf text = BUF_INIT(SETTINGS_MAX);
	uint64_t version;
	int r = load(db, 0, &root, &version, err);
	if (r == 0)
		r = change(root, ctx);
	if (r == 0)
		r = put_json(root, &text);
	return r < 0 ? r : put_next(db, version + 1, buf_slice(&text), ret, err);
}

static int set(struct db *db, int (*change)(json_t *root, void *ctx), void *ctx, struct error *err)
{
	bool done = false;
	int r = db_may_commit(db, err);
	if (r == 0)
		r = db_need_format(db, err);
	for (int i = 0; i < SET_TRIES && r == 0 && !done; i++)
		r = try_set(db, change, ctx, &done, err);
	pthread_mutex_lock(&db->settings.lock);
	db->settings.made = 0;
	pthread_mutex_unlock(&db->settings.lock);
	if (r == 0 && !done)
		r = error_set(err, ERR_STORE_TIMEOUT, "others changed the settings first, each time");
	return r;
}

#define TEXT_NAME_MAX 64
#define TEXT_NAME_END "_text"

struct member {
	const char *name;
	json_t *value; /* NULL: remove */
	json_t *text;  /* of the member that keeps what value was read from; NULL: remove */
};

static const char *text_name(const char *member, char ret[TEXT_NAME_MAX])
{
	snprintf(ret, TEXT_NAME_MAX, "%s" TEXT_NAME_END, member);
	return ret;
}

static int put_member(json_t *root, const char *name, json_t *value)
{
	if (value)
		return json_object_set(root, name, value) < 0 ? -ENOMEM : 0;
	json_object_del(root, name);
	return 0;
}

static int change_member(json_t *root, void *ctx)
{
	struct member *m = ctx;
	char name[TEXT_NAME_MAX];
	int r = put_member(root, m->name, m->value);
	return r ? r : put_member(root, text_name(m->name, name), m->text);
}

static int set_member(struct db *db, const char *member, struct str json, bool keep_text, struct error *err)
{
	json_error_t why;
	struct member m = { .name = member };
	if (json.len) {
		m.value = json_loadb(json.s, json.len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &why);
		if (!m.value)
			return error_set(err, -EINVAL, "not JSON: line %d, column %d: %s", why.line, why.column,
			                 why.text);
	}
	m.text = m.value && keep_text ? json_stringn(json.s, json.len) : NULL;
	int r = m.value && keep_text && !m.text ? -ENOMEM : set(db, change_member, &m, err);
	json_decref(m.value);
	json_decref(m.text);
	return r;
}

int settings_set(struct db *db, const char *member, struct str json, struct error *err)
{
	return set_member(db, member, json, false, err);
}

int settings_set_text(struct db *db, const char *member, struct str json, struct error *err)
{
	return set_member(db, member, json, true, err);
}

/* Whether the text that is kept reads as the value. */
static bool text_holds(const json_t *text, const json_t *value)
{
	_json_ref_ json_t *read = json_loadb(json_string_value(text), json_string_length(text), JSON_DECODE_ANY, NULL);
	return read && json_equal(read, value);
}

int settings_get_text(struct db *db, const char *member, int64_t max_age, struct buf *out, struct error *err)
{
	_json_ref_ json_t *root = NULL;
	uint64_t version;
	char name[TEXT_NAME_MAX];
	int r = load(db, max_age, &root, &version, err);
	const json_t *value = r == 0 ? json_object_get(root, member) : NULL;
	const json_t *text = value ? json_object_get(root, text_name(member, name)) : NULL;
	if (!value)
		return r;
	if (json_is_string(text) && text_holds(text, value)) {
		buf_put(out, json_string_value(text), json_string_length(text));
		return buf_err(out);
	}
	r = put_json(value, out);
	buf_putc(out, '\n');
	return r ? r : buf_err(out);
}

/* ---- retention ---- */

void retentions_done(struct retentions *r)
{
	for (size_t i = 0; i < r->services.n; i++)
		free(r->services.v[i].service);
	VEC_DONE(&r->services);
}

static struct retention read_retention(const json_t *value)
{
	int64_t days = json_integer_value(json_object_get(value, "days"));
	int64_t bytes = json_integer_value(json_object_get(value, "bytes"));
	return (struct retention){ MAX(days, INT64_C(0)), (uint64_t)MAX(bytes, INT64_C(0)) };
}

int retention_get(struct db *db, int64_t max_age, struct retentions *ret, struct error *err)
{
	_json_ref_ json_t *root = NULL;
	uint64_t version;
	const char *name;
	json_t *value;
	*ret = (struct retentions){ 0 };
	int r = load(db, max_age, &root, &version, err);
	if (r < 0)
		return r;
	json_t *retention = json_object_get(root, "retention");
	ret->store = read_retention(retention);
	json_object_foreach(json_object_get(retention, "services"), name, value) {
		struct service_retention *slot = VEC_GROW(&ret->services, 1);
		char *copy = strdup(name);
		if (!slot || !copy) {
			free(copy);
			retentions_done(ret);
			return -ENOMEM;
		}
		*slot = (struct service_retention){ copy, read_retention(value) };
		ret->services.n++;
	}
	return 0;
}

struct retention_change {
	const char *service;
	const struct retention *r;
};

/* The member of an object, made where it is missing. Borrowed. */
static json_t *object_in(json_t *root, const char *name)
{
	json_t *value = json_object_get(root, name);
	if (!json_is_object(value) && json_object_set_new(root, name, json_object()) == 0)
		value = json_object_get(root, name);
	return value;
}

static int change_retention(json_t *root, void *ctx)
{
	struct retention_change *c = ctx;
	json_t *at = object_in(root, "retention");
	if (at && c->service) {
		json_t *services = object_in(at, "services");
		if (services && !c->r->days && !c->r->bytes) {
			json_object_del(services, c->service);
			return 0;
		}
		at = services ? object_in(services, c->service) : NULL;
	}
	if (!at || json_object_set_new(at, "days", json_integer(c->r->days)) < 0 ||
	    json_object_set_new(at, "bytes", json_integer((int64_t)MIN(c->r->bytes, (uint64_t)BYTES_MAX))) < 0)
		return -ENOMEM;
	return 0;
}

int retention_set(struct db *db, const char *service, const struct retention *r, struct error *err)
{
	struct retention_change c = { service, r };
	return set(db, change_retention, &c, err);
}

/* SPDX-License-Identifier: MIT */
#include "rules.h"

#include "internal.h"

#define TEXT_MAX ((size_t)1 << 20)

struct rules {
	atomic_uint refs;
	uint64_t version; /* of the settings */
	struct relabel *relabel;
};

const struct relabel *rules_relabel(const struct rules *r)
{
	return r->relabel;
}

void rules_unref(struct rules *r)
{
	if (!r || atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	relabel_free(r->relabel);
	free(r);
}

static int compile(struct slice text, uint64_t version, struct rules **ret, struct error *err)
{
	struct error why = { 0 };
	struct rules *r = calloc(1, sizeof *r);
	if (!r)
		return -ENOMEM;
	r->version = version;
	atomic_init(&r->refs, 1);
	int e = relabel_parse(text, &r->relabel, &why);
	if (e) {
		free(r);
		return e == -ENOMEM ? e : error_set(err, ERR_CORRUPT_LAYOUT, "the store's settings: %s", why.text);
	}
	*ret = r;
	return 0;
}

/* Under rules_lock. */
static int refresh(struct db *db, struct error *err)
{
	_buf_ struct buf text = BUF_INIT(TEXT_MAX);
	struct rules *fresh = NULL;
	uint64_t version;
	int64_t now = db_uptime(db);
	int e = settings_get(db, RULES_MEMBER, RULES_MAX_AGE, &text, &version, err);
	if (!e && (!db->rules || db->rules->version != version))
		e = compile(buf_slice(&text), version, &fresh, err);
	if (e)
		return e;
	if (fresh) {
		rules_unref(db->rules);
		db->rules = fresh;
	}
	db->rules_made = now;
	return 0;
}

int rules_get(struct db *db, struct rules **ret, struct error *err)
{
	int e = 0;
	pthread_mutex_lock(&db->rules_lock);
	if (!db->rules || db_uptime(db) - db->rules_made > RULES_MAX_AGE)
		e = refresh(db, err);
	if (!e) {
		atomic_fetch_add(&db->rules->refs, 1);
		*ret = db->rules;
	}
	pthread_mutex_unlock(&db->rules_lock);
	return e;
}

int rules_set(struct db *db, struct str json, struct error *err)
{
	_cleanup_(relabel_freep) struct relabel *r = NULL;
	int e = relabel_parse((struct slice){ (const uint8_t *)json.s, json.len }, &r, err);
	if (e)
		return e;
	e = settings_set_text(db, RULES_MEMBER, relabel_count(r) ? json : STR(""), err);
	pthread_mutex_lock(&db->rules_lock);
	rules_unref(db->rules);
	db->rules = NULL;
	pthread_mutex_unlock(&db->rules_lock);
	return e;
}

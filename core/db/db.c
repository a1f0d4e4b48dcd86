/* SPDX-License-Identifier: MIT */

/* Opens a tenant's database: the store's format, and the caches of this process. */

#include <string.h>

#include "internal.h"
#include "settings.h"

#define CACHE_DEFAULT ((size_t)48 << 20)
#define QUERY_DEFAULT ((size_t)1 << 30)
#define FORMAT_TEXT "profilefs store\nformat %u\nneeds profilefs %s\n"
#define FORMAT_MAX 4096

/* Once it was read, db->format_known says so. */
static int read_format(struct db *db, struct error *err)
{
	_buf_ struct buf text = BUF_INIT(FORMAT_MAX);
	int r = store_get(db->store, KEY_FORMAT, FORMAT_MAX - 1, &text, err);
	if (r < 0)
		return r;
	buf_u8(&text, 0);
	unsigned version = 0;
	char needs[64] = "a newer version";
	int n = sscanf((const char *)text.data, "profilefs store\nformat %u\nneeds profilefs %63s", &version, needs);
	if (buf_err(&text) || n < 1)
		return error_set(err, ERR_CORRUPT_LAYOUT, "%s is not a profilefs store: its FORMAT is not readable",
		                 db->store->name);
	if (version > DB_FORMAT)
		return error_set(err, ERR_NEWER,
		                 "the store is of format %u and needs profilefs %s or newer; this is %s (format %d)",
		                 version, needs, PROFILEFS_VERSION, DB_FORMAT);
	atomic_store(&db->format_known, true);
	return 0;
}

static int write_format(struct db *db, struct error *err)
{
	_buf_ struct buf text = BUF_INIT(FORMAT_MAX);
	buf_printf(&text, FORMAT_TEXT, DB_FORMAT, PROFILEFS_VERSION);
	int r = store_put_if_absent(db->store, KEY_FORMAT, buf_slice(&text), err);
	if (r == ERR_STORE_UNSUPPORTED) /* all write the same */
		r = store_put(db->store, KEY_FORMAT, buf_slice(&text), err);
	return r == ERR_STORE_EXISTS || r == ERR_STORE_UNKNOWN ? read_format(db, err) : r;
}

int db_need_format(struct db *db, struct error *err)
{
	if (atomic_load(&db->format_known))
		return 0;
	int r = read_format(db, err);
	if (r == ERR_STORE_NOT_FOUND && !db->store->read_only)
		r = write_format(db, err);
	if (r == 0)
		atomic_store(&db->format_known, true);
	return r;
}

bool db_has_format(struct db *db)
{
	return atomic_load(&db->format_known) || read_format(db, NULL) == 0;
}

static int on_any_object(void *ctx, const char *key, const struct store_stat *st)
{
	(void)st;
	snprintf(ctx, KEY_MAX, "%s", key);
	return -ENOTEMPTY;
}

/*
 * Somebody's folder of other files is no store: nothing is put among them. FORMAT is looked for once more after the
 * listing has found something: another process may have begun the store since the first look, and it puts FORMAT before
 * all else.
 */
static int refuse_foreign(struct db *db, struct error *err)
{
	char key[KEY_MAX] = "";
	int r = store_list(db->store, "", NULL, '/', on_any_object, key, err);
	if (r != -ENOTEMPTY)
		return r;
	r = read_format(db, err);
	if (r != ERR_STORE_NOT_FOUND)
		return r;
	r = -ENOTEMPTY;
	return error_set(err, r, "%s is no profilefs store: it holds %s and no FORMAT; name an empty directory",
	                 db->store->name ? db->store->name : "this", key);
}

static void locks_init(struct db *db, const struct db_options *opts)
{
	pthread_mutex_init(&db->view_lock, NULL);
	pthread_mutex_init(&db->settings.lock, NULL);
	pthread_mutex_init(&db->rules_lock, NULL);
	db->settings.text = BUF_INIT(SETTINGS_MAX);
	pthread_mutex_init(&db->merge_lock, NULL);
	pthread_mutex_init(&db->debug.lock, NULL);
	pthread_mutex_init(&db->cache.lock, NULL);
	pthread_cond_init(&db->cache.opened, NULL);
	pthread_mutex_init(&db->markers.lock, NULL);
	ids_init(&db->ids, opts);
	pthread_mutex_init(&db->committer.lock, NULL);
	pthread_cond_init(&db->committer.done, NULL);
	pthread_condattr_t monotonic;
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_mutex_init(&db->news.lock, NULL);
	pthread_cond_init(&db->news.came, &monotonic);
	pthread_condattr_destroy(&monotonic);
}

int db_open(struct store *store, const struct db_options *opts, struct db **ret, struct error *err)
{
	struct db *db = calloc(1, sizeof *db);
	if (!db)
		return -ENOMEM;
	locks_init(db, opts);
	db->store = store;
	db->log = opts->log;
	db->sole_compactor = opts->sole_compactor;
	db->elf_reader = opts->elf_reader;
	db->uptime = opts->uptime;
	db->uptime_ctx = opts->uptime_ctx;
	db->log_lag_at = db_uptime(db) + NS_PER_MIN; /* one that only looks and ends says nothing */
	db->tenant = strdup(opts->tenant && *opts->tenant ? opts->tenant : "default");
	db->cache.limit = opts->cache_bytes ? opts->cache_bytes : CACHE_DEFAULT;
	db->query_memory = opts->query_memory ? opts->query_memory : QUERY_DEFAULT;
	int r = db->tenant ? pool_new(opts->threads, &db->pool) : -ENOMEM;
	struct error why = { 0 };
	if (r == 0 && !strcmp(db->tenant, KEY_FORMAT))
		r = error_set(&why, -EINVAL, "no tenant may be named %s", KEY_FORMAT);
	if (r == 0)
		r = read_format(db, &why);
	if (r == ERR_STORE_NOT_FOUND)
		r = refuse_foreign(db, &why);
	if (r < 0) {
		db_close(db);
		return error_set(err, r, "%s", error_text(&why, r));
	}
	*ret = db;
	return 0;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	pool_free(db->pool);
	view_unref(db->view);
	cache_clear(db);
	markers_done(&db->markers);
	ids_done(&db->ids);
	debug_cache_done(&db->debug);
	pthread_mutex_destroy(&db->view_lock);
	pthread_mutex_destroy(&db->settings.lock);
	pthread_mutex_destroy(&db->rules_lock);
	rules_unref(db->rules);
	buf_done(&db->settings.text);
	pthread_mutex_destroy(&db->merge_lock);
	pthread_mutex_destroy(&db->debug.lock);
	pthread_mutex_destroy(&db->cache.lock);
	pthread_cond_destroy(&db->cache.opened);
	pthread_mutex_destroy(&db->markers.lock);
	pthread_mutex_destroy(&db->committer.lock);
	pthread_cond_destroy(&db->committer.done);
	pthread_mutex_destroy(&db->news.lock);
	pthread_cond_destroy(&db->news.came);
	free(db->tenant);
	free(db);
}

static int stop_at_first(void *ctx, const char *key, const struct store_stat *st)
{
	*(bool *)ctx = true;
	return ERR_CANCELLED;
}

/* FORMAT comes before what the probe puts: whoever looks meanwhile, or after it was killed, finds a store. */
static int probe(struct db *db, struct error *err)
{
	_free_ char *prefix = key_under(db->tenant, "probe");
	bool exclusive = false;
	int r = prefix ? db_need_format(db, err) : -ENOMEM;
	if (r == 0)
		r = store_probe_exclusive(db->store, prefix, &exclusive, err);
	if (r == 0 && !exclusive)
		return error_set(err, ERR_STORE_UNSUPPORTED, "this store does not create objects exclusively, so only "
		                 "one process may compact it: run `profilefs compact --sole-compactor`, and no other");
	return r;
}

/* A store that has a catalog has been probed before its first commit; its answer is remembered by this process. */
int db_may_commit(struct db *db, struct error *err)
{
	if (db->store->read_only)
		return error_set(err, ERR_STORE_READONLY, "the store is read only");
	if (db->sole_compactor || atomic_load(&db->exclusive_known))
		return 0;
	_free_ char *prefix = key_under(db->tenant, "cat");
	bool any = false;
	int r = prefix ? store_list(db->store, prefix, NULL, 0, stop_at_first, &any, err) : -ENOMEM;
	if (r == ERR_CANCELLED)
		r = 0;
	if (r == 0 && !any)
		r = probe(db, err);
	if (r == 0)
		atomic_store(&db->exclusive_known, true);
	return r;
}

int64_t db_uptime(struct db *db)
{
	return db->uptime ? db->uptime(db->uptime_ctx) : clock_boottime();
}

struct store *db_store(struct db *db)
{
	return db->store;
}

struct pool *db_pool(struct db *db)
{
	return db->pool;
}

const char *db_tenant(struct db *db)
{
	return db->tenant;
}

size_t db_query_memory(const struct db *db)
{
	return db->query_memory;
}

/* SPDX-License-Identifier: MIT */
#include "store.h"

#include <assert.h>
#include <string.h>

#include "../base/pct.h"

#define KEY_MAX 900

static bool key_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("_.%~/-", c));
}

/* "", "." and ".." mean something else to a file system. */
static bool component_ok(const char *s, size_t n)
{
	return n > 0 && !(n == 1 && s[0] == '.') && !(n == 2 && s[0] == '.' && s[1] == '.');
}

/* Checks all components of a key; of a prefix all but the last, which may be any beginning of one. */
static bool key_ok(const char *key, bool prefix)
{
	size_t start = 0, i;
	for (i = 0; key[i]; i++) {
		if (i == KEY_MAX || !key_char(key[i]))
			return false;
		if (key[i] != '/')
			continue;
		if (!component_ok(key + start, i - start))
			return false;
		start = i + 1;
	}
	return prefix || component_ok(key + start, i - start);
}

bool store_key_ok(const char *key)
{
	return key_ok(key, false);
}

static int check_key(const char *key, struct error *err)
{
	if (key_ok(key, false))
		return 0;
	return error_set(err, -EINVAL, "'%.100s' cannot be the key of an object", key);
}

static int check_write(struct store *s, const char *key, struct error *err)
{
	int r = check_key(key, err);
	if (r < 0 || !s->read_only)
		return r;
	return error_set(err, ERR_STORE_READONLY, "%s: the store %s is read only", key, s->name);
}

static void count(uint64_t *counter, uint64_t n)
{
	__atomic_fetch_add(counter, n, __ATOMIC_RELAXED);
}

/* That an object is absent or there already is an answer. */
static int counted(struct store *s, int r)
{
	if (r < 0 && r != ERR_STORE_NOT_FOUND && r != ERR_STORE_EXISTS)
		count(&s->counts.errors, 1);
	return r;
}

int store_put(struct store *s, const char *key, struct slice data, struct error *err)
{
	int r = check_write(s, key, err);
	if (r < 0)
		return r;
	count(&s->counts.put, 1);
	r = s->ops->put(s, key, data, err);
	if (r >= 0)
		count(&s->counts.bytes_in, data.len);
	return counted(s, r);
}

int store_put_body(struct store *s, const char *key, const struct store_body *body, struct error *err)
{
	int r = check_write(s, key, err);
	if (r < 0)
		return r;
	count(&s->counts.put, 1);
	r = s->ops->put_body(s, key, body, err);
	if (r >= 0)
		count(&s->counts.bytes_in, body->size);
	return counted(s, r);
}

int store_put_if_absent(struct store *s, const char *key, struct slice data, struct error *err)
{
	int r = check_write(s, key, err);
	if (r < 0)
		return r;
	count(&s->counts.put, 1);
	r = s->ops->put_if_absent(s, key, data, err);
	if (r >= 0)
		count(&s->counts.bytes_in, data.len);
	return counted(s, r);
}

int store_read(struct store *s, const char *key, const struct store_range *ranges, size_t n, struct error *err)
{
	int r = check_key(key, err);
	if (r < 0)
		return r;
	count(&s->counts.get, 1);
	r = s->ops->read(s, key, ranges, n, err);
	for (size_t i = 0; r >= 0 && i < n; i++)
		count(&s->counts.bytes_out, ranges[i].len);
	return counted(s, r);
}

int store_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size, struct error *err)
{
	int r = check_key(key, err);
	if (r < 0)
		return r;
	size_t before = out->len;
	count(&s->counts.get, 1);
	r = s->ops->tail(s, key, n, out, ret_size, err);
	if (r >= 0)
		count(&s->counts.bytes_out, out->len - before);
	return counted(s, r);
}

int store_get(struct store *s, const char *key, size_t max, struct buf *out, struct error *err)
{
	size_t before = out->len;
	uint64_t size;
	int r = store_tail(s, key, max, out, &size, err);
	if (r < 0 || size <= max)
		return r;
	out->len = before;
	return error_set(err, ERR_LIMIT_BUFFER, "%s: has %llu bytes, more than the %zu allowed here", key,
	                 (unsigned long long)size, max);
}

/* Tells the listing's own failures from the caller's wish to stop. */
struct list_call {
	store_list_fn fn;
	void *ctx;
	bool stopped;
};

static int list_entry(void *ctx, const char *key, const struct store_stat *st)
{
	struct list_call *call = ctx;
	int r = call->fn(call->ctx, key, st);
	call->stopped = r < 0;
	return r;
}

int store_list(struct store *s, const char *prefix, const char *after, char delimiter, store_list_fn fn, void *ctx,
               struct error *err)
{
	assert(delimiter == 0 || delimiter == '/');
	if (!key_ok(prefix, true))
		return error_set(err, -EINVAL, "'%.100s' cannot begin the key of an object", prefix);
	struct list_call call = { fn, ctx, false };
	count(&s->counts.list, 1);
	int r = s->ops->list(s, prefix, after, delimiter, list_entry, &call, err);
	return call.stopped ? r : counted(s, r);
}

int store_remove(struct store *s, const char *key, struct error *err)
{
	int r = check_write(s, key, err);
	if (r < 0)
		return r;
	count(&s->counts.remove, 1);
	return counted(s, s->ops->remove(s, key, err));
}

static int remove_each(struct store *s, const char *const *keys, size_t n, struct error *err)
{
	int r = 0;
	for (size_t i = 0; i < n && r >= 0; i++)
		r = s->ops->remove(s, keys[i], err);
	return r;
}

int store_remove_many(struct store *s, const char *const *keys, size_t n, struct error *err)
{
	for (size_t i = 0; i < n; i++) {
		int r = check_write(s, keys[i], err);
		if (r < 0)
			return r;
	}
	if (n == 0)
		return 0;
	count(&s->counts.remove, n);
	return counted(s, (s->ops->remove_many ? s->ops->remove_many : remove_each)(s, keys, n, err));
}

int store_now(struct store *s, int64_t *ret, struct error *err)
{
	return counted(s, s->ops->now(s, ret, err));
}

void store_describe(struct store *s, struct buf *out)
{
	if (s->ops->describe)
		s->ops->describe(s, out);
	else
		buf_puts(out, s->name);
}

void store_counters(struct store *s, struct store_counts *ret)
{
	if (s->ops->counters) {
		s->ops->counters(s, ret);
		return;
	}
	*ret = (struct store_counts){
		.put = __atomic_load_n(&s->counts.put, __ATOMIC_RELAXED),
		.get = __atomic_load_n(&s->counts.get, __ATOMIC_RELAXED),
		.list = __atomic_load_n(&s->counts.list, __ATOMIC_RELAXED),
		.remove = __atomic_load_n(&s->counts.remove, __ATOMIC_RELAXED),
		.bytes_in = __atomic_load_n(&s->counts.bytes_in, __ATOMIC_RELAXED),
		.bytes_out = __atomic_load_n(&s->counts.bytes_out, __ATOMIC_RELAXED),
		.errors = __atomic_load_n(&s->counts.errors, __ATOMIC_RELAXED),
	};
}

void store_free(struct store *s)
{
	if (s)
		s->ops->free(s);
}

/* "file:///path" and "file://localhost/path", percent-encoded as URLs are. */
static int open_file_url(const char *word, const struct store_options *opts, struct store **ret, struct error *err)
{
	_buf_ struct buf path = BUF_INIT(8192);
	const char *s = word + strlen("file://");
	if (strncmp(s, "localhost/", 10) == 0)
		s += strlen("localhost");
	if (*s != '/')
		return error_set(err, -EINVAL, "%s: a file URL has an absolute path behind three slashes: file:///path",
		                 word);
	pct_decode(&path, (struct str){ s, strlen(s) });
	buf_u8(&path, 0);
	if (buf_err(&path) || strlen((char *)path.data) + 1 != path.len)
		return error_set(err, -EINVAL, "%s: not a valid path", word);
	return store_dir_new((char *)path.data, opts, ret, err);
}

int store_open(const char *word, const struct store_options *opts, struct store **ret, struct error *err)
{
	_cleanup_(store_freep) struct store *s = NULL;
	const char *scheme = strstr(word, "://");
	int r;
	if (!*word)
		return error_set(err, -EINVAL, "the name of the store is empty");
	if (strncmp(word, "s3://", 5) == 0)
		r = store_s3_new(word, opts, &s, err);
	else if (strncmp(word, "file://", 7) == 0)
		r = open_file_url(word, opts, &s, err);
	else if (scheme && strcspn(word, "/.") == (size_t)(scheme - word) + 1)
		return error_set(err, -EINVAL, "%s: unknown kind of store; known are a path, file:// and s3://", word);
	else
		r = store_dir_new(word, opts, &s, err);
	if (r < 0)
		return r;
	char *name = strdup(word);
	if (!name)
		return -ENOMEM;
	free(s->name);
	s->name = name;
	*ret = TAKE_PTR(s);
	return 0;
}

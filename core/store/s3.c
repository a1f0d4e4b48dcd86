/* SPDX-License-Identifier: MIT */

/*
 * Objects in an S3 bucket, by signature version 4 over libcurl. Keys are "BUCKET-PREFIX/KEY"; listings come in the
 * order of bytes from the server. Only what every S3 has is used: PUT, GET with a range, LIST version 2, DELETE,
 * multipart uploads for what is large, and If-None-Match: * for put_if_absent().
 */

#include "s3.h"

#include <string.h>

#include "../base/clock.h"

#define BULK 1000
#define STALL_NS (20 * NS_PER_S)

static int s3_put(struct store *s, const char *key, struct slice data, struct error *err)
{
	_s3_call_ struct s3_call c = { .method = "PUT", .key = key, .body = data };
	return s3_perform(s3_of(s), &c, 1, err);
}

static int s3_put_if_absent(struct store *s, const char *key, struct slice data, struct error *err)
{
	_s3_call_ struct s3_call c = { .method = "PUT", .key = key, .body = data, .create = true };
	return s3_perform(s3_of(s), &c, 1, err);
}

/* --- removing --- */

static int remove_some(struct s3 *s, const char *const *keys, size_t n, struct error *err)
{
	struct s3_call *calls = calloc(n, sizeof *calls);
	if (!calls)
		return error_set(err, -ENOMEM, "%s: out of memory", keys[0]);
	for (size_t i = 0; i < n; i++)
		calls[i] = (struct s3_call){ .method = "DELETE", .key = keys[i] };
	int r = s3_perform(s, calls, n, err);
	for (size_t i = 0; i < n && r == ERR_STORE_NOT_FOUND; i++)
		if (calls[i].result != ERR_STORE_NOT_FOUND && calls[i].result < 0)
			r = error_set(err, calls[i].result, "%s: %s", keys[i], calls[i].why);
	s3_calls_done(calls, n);
	free(calls);
	return r == ERR_STORE_NOT_FOUND ? 0 : r;
}

static int s3_remove(struct store *s, const char *key, struct error *err)
{
	return remove_some(s3_of(s), &key, 1, err);
}

/* Keys have no character that XML would take for its own. */
static int put_delete_list(const struct s3 *s, const char *const *keys, size_t n, struct buf *out)
{
	buf_puts(out, "<Delete><Quiet>true</Quiet>");
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "<Object><Key>%s%s</Key></Object>", s->set.prefix, keys[i]);
	buf_puts(out, "</Delete>");
	return buf_err(out);
}

/* One request for up to BULK keys. -EOPNOTSUPP where the server has no such thing. */
static int remove_bulk(struct s3 *s, const char *const *keys, size_t n, struct error *err)
{
	_buf_ struct buf list = BUF_INIT((size_t)4 << 20);
	struct s3_error failed;
	char key[128];
	int r = put_delete_list(s, keys, n, &list);
	if (r < 0)
		return r;
	_s3_call_ struct s3_call c = { .method = "POST", .query = "delete=", .body = buf_slice(&list), .md5 = true,
		                       .text = BUF_INIT(S3_XML_MAX) };
	r = s3_perform(s, &c, 1, err);
	int status = c.answer.status;
	if (r == ERR_STORE && (status == 400 || status == 405 || status == 411 || status == 501))
		return -EOPNOTSUPP;
	if (r < 0)
		return r;
	r = s3_delete_parse(buf_slice(&c.text), &failed, key, err);
	if (r <= 0)
		return r;
	int code = strcmp(failed.code, "AccessDenied") == 0 ? ERR_STORE_ACCESS : ERR_STORE;
	return error_set(err, code, "%s: cannot be removed: %s %s", key, failed.code, failed.message);
}

static int s3_remove_many(struct store *store, const char *const *keys, size_t n, struct error *err)
{
	struct s3 *s = s3_of(store);
	int r = 0;
	for (size_t done = 0; done < n && r == 0; done += BULK) {
		size_t some = MIN(n - done, (size_t)BULK);
		r = some == 1 || atomic_load(&s->no_bulk) ? -EOPNOTSUPP : remove_bulk(s, keys + done, some, err);
		if (r != -EOPNOTSUPP)
			continue;
		if (some > 1)
			atomic_store(&s->no_bulk, true);
		r = remove_some(s, keys + done, some, err);
	}
	return r;
}

/* --- the rest --- */

/* Any answer has a Date, also one that refuses; only where none came lately one is asked for. */
static int s3_now(struct store *store, int64_t *ret, struct error *err)
{
	struct s3 *s = s3_of(store);
	if (s3_clock(s, ret))
		return 0;
	_s3_call_ struct s3_call c = { .method = "HEAD" };
	int r = s3_perform(s, &c, 1, err);
	if (s3_clock(s, ret))
		return 0;
	return r < 0 ? r : error_set(err, ERR_STORE, "%s: the server does not tell its time", store->name);
}

static void s3_describe(struct store *store, struct buf *out)
{
	struct s3 *s = s3_of(store);
	_cleanup_(s3_keys_unrefp) struct s3_keys *keys = NULL;
	const char *ca = s->set.tls ? s->set.ca_bundle : NULL;
	char until[TIME_LEN];
	if (s3_keyring_get(s->keys, &keys, NULL) < 0)
		return;
	size_t n = strlen(keys->id);
	buf_printf(out, "bucket %s, prefix \"%s\", endpoint %s (%s), region %s (%s), signature %s, %s-style addresses, "
	           "%s%s%scredentials of %s, key ...%s%s", s->set.bucket, s->set.prefix, s->set.endpoint,
	           s->set.endpoint_from, s->set.region, s->set.region_from, s->set.v2 ? "v2 (libs3)" : "v4",
	           s->set.path_style ? "path" : "virtual-host", ca ? "certificates verified against " : "", ca ?: "",
	           ca ? ", " : "",
	           keys->source, n > 8 ? keys->id + n - 4 : "", keys->token ? " with a session token" : "");
	if (keys->expires)
		buf_printf(out, ", until %s", time_format_rfc3339(keys->expires, until));
}

static void s3_identity(struct store *s, struct buf *out)
{
	const struct s3_settings *set = &s3_of(s)->set;
	buf_printf(out, "s3\n%s\n%s\n%s", set->endpoint, set->bucket, set->prefix);
}

static void s3_counters(struct store *s, struct store_counts *ret)
{
	const struct store_counts *n = &s3_of(s)->sent;
	*ret = (struct store_counts){
		.put = __atomic_load_n(&n->put, __ATOMIC_RELAXED),
		.get = __atomic_load_n(&n->get, __ATOMIC_RELAXED),
		.list = __atomic_load_n(&n->list, __ATOMIC_RELAXED),
		.remove = __atomic_load_n(&n->remove, __ATOMIC_RELAXED),
		.bytes_in = __atomic_load_n(&n->bytes_in, __ATOMIC_RELAXED),
		.bytes_out = __atomic_load_n(&n->bytes_out, __ATOMIC_RELAXED),
		.errors = __atomic_load_n(&n->errors, __ATOMIC_RELAXED),
		.retries = __atomic_load_n(&n->retries, __ATOMIC_RELAXED),
	};
}

static void s3_free(struct store *store)
{
	struct s3 *s = s3_of(store);
	http_client_free(s->http);
	s3_keyring_free(s->keys);
	s3_settings_done(&s->set);
	pthread_mutex_destroy(&s->lock);
	free(store->name);
	free(s);
}
DEFINE_CLEANUP(struct store *, s3_free);

static const struct store_ops s3_ops = {
	.put = s3_put,
	.put_body = s3_put_body,
	.put_if_absent = s3_put_if_absent,
	.read = s3_read,
	.tail = s3_tail,
	.list = s3_list,
	.remove = s3_remove,
	.remove_many = s3_remove_many,
	.now = s3_now,
	.describe = s3_describe,
	.counters = s3_counters,
	.identity = s3_identity,
	.free = s3_free,
};

#ifdef HAVE_LIBS3
static const struct store_ops v2_ops = {
	.put = s3_v2_put,
	.put_body = s3_v2_put_body,
	.put_if_absent = s3_v2_put_if_absent,
	.read = s3_v2_read,
	.tail = s3_v2_tail,
	.list = s3_v2_list,
	.remove = s3_v2_remove,
	.now = s3_now,
	.describe = s3_describe,
	.counters = s3_counters,
	.identity = s3_identity,
	.free = s3_free,
};

static int use_v2(struct s3 *s, struct error *err)
{
	if (s->set.tls)
		return error_set(err, -EINVAL,
		                 "signature=v2 is for http:// endpoints on a trusted network: libs3 does not verify "
		                 "whom it speaks to over https");
	_cleanup_(s3_keys_unrefp) struct s3_keys *keys = NULL;
	int r = s3_keyring_get(s->keys, &keys, err);
	if (r < 0)
		return r;
	if (keys->token)
		return error_set(err, -EINVAL, "signature=v2 knows no session token");
	s->base.ops = &v2_ops;
	return s3_v2_load(err);
}
#else
static int use_v2(struct s3 *s, struct error *err)
{
	return error_set(err, -EPROTONOSUPPORT, "signature=v2 needs libs3, which this build does not have");
}
#endif

static int s3_new(const char *url, const struct store_options *opts, struct store **ret, struct error *err)
{
	struct s3 *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	pthread_mutex_init(&s->lock, NULL);
	_cleanup_(s3_freep) struct store *store = &s->base;
	s->base = (struct store){ .ops = &s3_ops, .name = strdup(url), .read_only = opts->read_only };
	int r = s->base.name ? s3_settings_read(url, &s->set, err) : -ENOMEM;
	struct http_options http = { .ca_bundle = s->set.ca_bundle,
		                     .stall_ns = MIN(STALL_NS, s->set.timeout_ns) };
	if (r == 0)
		r = s3_keyring_new(&s->set, &s->keys, err);
	if (r == 0 && s->set.v2)
		r = use_v2(s, err);
	if (r == 0)
		r = http_client_new(&http, &s->http, err);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(store);
	return 0;
}

int store_s3_new(const char *url, const struct store_options *opts, struct store **ret, struct error *err)
{
	_cleanup_(store_freep) struct store *s = NULL;
	int r = s3_new(url, opts, &s, err);
	if (r < 0)
		return r;
	const struct s3_settings *set = &s3_of(s)->set;
	struct cache_options cache = { .immutable = opts->immutable, .disk = set->cache, .no_disk = !set->cache };
	if (opts->immutable) {
		struct store *cached;
		r = store_cache_new(s, &cache, &cached);
		if (r < 0)
			return r;
		s = cached;
	}
	*ret = TAKE_PTR(s);
	return 0;
}

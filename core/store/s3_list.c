/* SPDX-License-Identifier: MIT */

/*
 * Listings, a page of 1,000 at a time, from a source: ListObjectsV2, or libs3. Servers differ where a listing with
 * a delimiter begins inside of a part ("a/" after "a/x"): that part is looked at by itself, and the listing goes on
 * behind it.
 */

#include "s3.h"

#include <string.h>

#include "sigv4.h"

#define QUERY_MAX ((size_t)8192)

/* Sorts behind every character of a key. */
#define LAST "\x7f"

struct listing {
	const struct s3_source *source;
	const char *prefix;
	char delimiter;
	store_list_fn fn;
	void *ctx;
	char last[1100]; /* the key or part last given or passed over, as the caller has it */
};

/* Hands an entry on, unless it is no key of ours or not behind the last one. */
static int give(struct listing *l, const struct s3_entry *e)
{
	size_t n = strlen(l->source->prefix), len = strlen(e->key);
	if (len <= n || len - n >= sizeof l->last || memcmp(e->key, l->source->prefix, n) != 0)
		return 0;
	const char *key = e->key + n;
	if (strcmp(key, l->last) <= 0 || strncmp(key, l->prefix, strlen(l->prefix)) != 0)
		return 0;
	if (e->part != (key[len - n - 1] == '/'))
		return 0;
	strcpy(l->last, key);
	int r = l->fn(l->ctx, key, e->part ? NULL : &e->st);
	return r < 0 ? r : 0;
}

static int give_all(struct listing *l, const struct s3_page *page)
{
	int r = 0;
	for (size_t i = 0; i < page->n && r == 0; i++)
		r = give(l, &page->v[i]);
	return r;
}

/* Lists what comes after `after`, page by page. */
static int list_pages(struct listing *l, const char *after, struct error *err)
{
	_free_ char *token = NULL;
	for (;;) {
		_cleanup_(s3_page_done) struct s3_page page = { 0 };
		struct s3_page_request request = { l->prefix, after, token, l->delimiter, 1000 };
		int r = l->source->page(l->source->ctx, &request, &page, err);
		if (r == 0)
			r = give_all(l, &page);
		if (r < 0 || !page.truncated)
			return r;
		if (!page.next || (token && strcmp(token, page.next) == 0))
			return error_set(err, ERR_STORE, "%s: the store does not say where its listing goes on",
			                 l->prefix);
		free(token);
		token = TAKE_PTR(page.next);
	}
}

/* The part that `after` lies in, "a/" of "a/x"; its length, or 0 where it lies in none. */
static size_t part_of(const struct listing *l, const char *after)
{
	size_t n = strlen(l->prefix);
	const char *cut = after && l->delimiter && strncmp(after, l->prefix, n) == 0 ? strchr(after + n, '/') : NULL;
	return cut ? (size_t)(cut - after) + 1 : 0;
}

/* Gives that part where any key of it comes after `after`. */
static int give_part(struct listing *l, const char *part, const char *after, struct error *err)
{
	_cleanup_(s3_page_done) struct s3_page page = { 0 };
	struct s3_page_request request = { part, after, NULL, 0, 1 };
	int r = l->source->page(l->source->ctx, &request, &page, err);
	if (r < 0 || page.n == 0)
		return r;
	return l->fn(l->ctx, part, NULL);
}

int s3_list_from(const struct s3_source *source, const char *prefix, const char *after, char delimiter,
                 store_list_fn fn, void *ctx, struct error *err)
{
	struct listing l = { source, prefix, delimiter, fn, ctx, "" };
	size_t n = part_of(&l, after);
	_free_ char *part = n ? strndup(after, n) : NULL, *behind = NULL;
	if (after && strlen(after) >= sizeof l.last - 2)
		return error_set(err, -EINVAL, "'%.100s' is longer than any key", after);
	strcpy(l.last, after ? after : "");
	if (!n)
		return list_pages(&l, after && *after ? after : NULL, err);
	if (!part || asprintf(&behind, "%s" LAST, part) < 0) {
		behind = NULL;
		return error_set(err, -ENOMEM, "%s: out of memory", prefix);
	}
	int r = give_part(&l, part, after, err);
	if (r < 0)
		return r;
	strcpy(l.last, behind);
	return list_pages(&l, behind, err);
}

/* --- pages by ListObjectsV2 --- */

static void put_value(struct buf *out, const char *name, const char *a, const char *b)
{
	buf_printf(out, "%s=", name);
	sigv4_encode(out, (struct str){ a, strlen(a) }, false);
	sigv4_encode(out, (struct str){ b, strlen(b) }, false);
}

/* In the order of the parameters' names. */
static int put_query(const struct s3 *s, const struct s3_page_request *r, struct buf *out)
{
	if (r->token) {
		put_value(out, "continuation-token", r->token, "");
		buf_putc(out, '&');
	}
	if (r->delimiter)
		buf_puts(out, "delimiter=%2F&");
	buf_printf(out, "encoding-type=url&list-type=2&max-keys=%u&", r->max);
	put_value(out, "prefix", s->set.prefix, r->prefix);
	if (r->after && !r->token) {
		buf_putc(out, '&');
		put_value(out, "start-after", s->set.prefix, r->after);
	}
	buf_u8(out, 0);
	return buf_err(out);
}

static int get_page(void *ctx, const struct s3_page_request *request, struct s3_page *ret, struct error *err)
{
	_buf_ struct buf query = BUF_INIT(QUERY_MAX);
	int r = put_query(ctx, request, &query);
	if (r < 0)
		return r;
	_s3_call_ struct s3_call c = { .method = "GET", .query = (char *)query.data, .text = BUF_INIT(S3_XML_MAX),
		                       .expect = (size_t)1 << 20 };
	r = s3_perform(ctx, &c, 1, err);
	return r < 0 ? r : s3_page_parse(buf_slice(&c.text), ret, err);
}

int s3_list(struct store *store, const char *prefix, const char *after, char delimiter, store_list_fn fn, void *ctx,
            struct error *err)
{
	struct s3_source source = { get_page, s3_of(store), s3_of(store)->set.prefix };
	return s3_list_from(&source, prefix, after, delimiter, fn, ctx, err);
}

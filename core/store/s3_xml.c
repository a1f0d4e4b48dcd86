/* SPDX-License-Identifier: MIT */
#include "s3_xml.h"

#include <expat.h>
#include <string.h>

#include "../base/clock.h"
#include "../base/pct.h"
#include "../base/vec.h"

#define DEPTH_MAX 8
#define NAME_MAX_ 40
#define TEXT_MAX ((size_t)16384)
#define ENTRIES_MAX 10000 /* of a page: servers send 1,000 */

/*
 * One walk for all documents: `leaf` is called at each end of an element, with the path to it
 * ("ListBucketResult/Contents/Key") and its text. A DOCTYPE, too much depth or text end the walk.
 */
struct walk {
	XML_Parser parser;
	int (*leaf)(void *ctx, const char *path, struct str text);
	void *ctx;
	char path[DEPTH_MAX * (NAME_MAX_ + 1)];
	unsigned depth;
	struct buf text;
	int failed;
};

static void stop(struct walk *w, int code)
{
	w->failed = code;
	XML_StopParser(w->parser, XML_FALSE);
}

static void XMLCALL on_start(void *ctx, const XML_Char *name, const XML_Char **attributes)
{
	struct walk *w = ctx;
	size_t len = strlen(w->path), n = strlen(name);
	if (w->depth++ == DEPTH_MAX || n > NAME_MAX_) {
		stop(w, ERR_STORE);
		return;
	}
	snprintf(w->path + len, sizeof w->path - len, "%s%s", len ? "/" : "", name);
	buf_reset(&w->text);
}

static void XMLCALL on_end(void *ctx, const XML_Char *name)
{
	struct walk *w = ctx;
	int r = buf_err(&w->text) ?: w->leaf(w->ctx, w->path, (struct str){ (char *)w->text.data, w->text.len });
	char *slash = strrchr(w->path, '/');
	*(slash ? slash : w->path) = '\0';
	w->depth--;
	buf_reset(&w->text);
	if (r < 0)
		stop(w, r);
}

static void XMLCALL on_text(void *ctx, const XML_Char *s, int n)
{
	buf_put(&((struct walk *)ctx)->text, s, (size_t)n);
}

static void XMLCALL on_doctype(void *ctx, const XML_Char *a, const XML_Char *b, const XML_Char *c, int d)
{
	stop(ctx, ERR_STORE);
}

static int walk(struct slice xml, int (*leaf)(void *, const char *, struct str), void *ctx)
{
	struct walk w = { .leaf = leaf, .ctx = ctx, .text = BUF_INIT(TEXT_MAX) };
	if (xml.len > S3_XML_MAX)
		return ERR_STORE;
	w.parser = XML_ParserCreate(NULL);
	if (!w.parser)
		return -ENOMEM;
	XML_SetUserData(w.parser, &w);
	XML_SetElementHandler(w.parser, on_start, on_end);
	XML_SetCharacterDataHandler(w.parser, on_text);
	XML_SetStartDoctypeDeclHandler(w.parser, on_doctype);
	bool ok = XML_Parse(w.parser, (const char *)xml.data, (int)xml.len, 1) == XML_STATUS_OK;
	XML_ParserFree(w.parser);
	buf_done(&w.text);
	return ok ? 0 : w.failed ?: ERR_STORE;
}

static bool text_is(struct str text, const char *word)
{
	return text.len == strlen(word) && memcmp(text.s, word, text.len) == 0;
}

static void copy_text(char *ret, size_t size, struct str text)
{
	size_t n = text.len < size ? text.len : 0;
	memcpy(ret, text.s ?: "", n);
	ret[n] = '\0';
}

/* --- listings --- */

void s3_page_done(struct s3_page *p)
{
	for (size_t i = 0; i < p->n; i++)
		free(p->v[i].key);
	free(p->v);
	free(p->next);
	*p = (struct s3_page){ 0 };
}

struct page_walk {
	struct s3_page *page;
	struct s3_entry now; /* of the element under way; key is its own */
	bool is_list, encoded;
};

/*
 * Listings are asked for with encoding-type=url, and a server says whether it did so, perhaps behind the keys. Servers
 * differ in what they make of a blank, '+' or %20; no key of ours has either.
 */
static int decode_keys(struct s3_page *page)
{
	for (size_t i = 0; i < page->n; i++) {
		struct buf out = BUF_INIT(4096);
		size_t n;
		pct_decode(&out, (struct str){ page->v[i].key, strlen(page->v[i].key) });
		buf_u8(&out, 0);
		if (buf_err(&out)) {
			buf_done(&out);
			return -ENOMEM;
		}
		free(page->v[i].key);
		page->v[i].key = (char *)buf_take(&out, &n);
	}
	return 0;
}

static int take_key(struct page_walk *w, struct str text)
{
	free(w->now.key);
	w->now.key = text.len < 4096 ? strndup(text.s ?: "", text.len) : NULL;
	return w->now.key ? 0 : ERR_STORE;
}

static int take_size(struct page_walk *w, struct str text)
{
	uint64_t v = 0;
	for (size_t i = 0; i < text.len; i++)
		if (text.s[i] < '0' || text.s[i] > '9' || __builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, (uint64_t)(text.s[i] - '0'), &v))
			return ERR_STORE;
	w->now.st.size = v;
	return text.len ? 0 : ERR_STORE;
}

static int take_time(struct page_walk *w, struct str text)
{
	char s[40];
	copy_text(s, sizeof s, text);
	return time_parse(s, &w->now.st.mtime_ns) ? 0 : ERR_STORE;
}

static int end_entry(struct page_walk *w, bool part)
{
	if (!w->now.key || w->page->n == ENTRIES_MAX)
		return ERR_STORE;
	struct s3_entry *e = VEC_PUSH(w->page);
	if (!e)
		return -ENOMEM;
	*e = w->now;
	e->part = part;
	w->now = (struct s3_entry){ 0 };
	return 0;
}

static int page_leaf(void *ctx, const char *path, struct str text)
{
	struct page_walk *w = ctx;
	static const char root[] = "ListBucketResult";
	if (strncmp(path, root, sizeof root - 1) != 0)
		return 0;
	w->is_list = true;
	const char *p = path + sizeof root - 1;
	if (strcmp(p, "/Contents/Key") == 0 || strcmp(p, "/CommonPrefixes/Prefix") == 0)
		return take_key(w, text);
	if (strcmp(p, "/Contents/Size") == 0)
		return take_size(w, text);
	if (strcmp(p, "/Contents/LastModified") == 0)
		return take_time(w, text);
	bool part = strcmp(p, "/CommonPrefixes") == 0;
	if (part || strcmp(p, "/Contents") == 0)
		return end_entry(w, part);
	if (strcmp(p, "/EncodingType") == 0)
		w->encoded = text_is(text, "url");
	if (strcmp(p, "/IsTruncated") == 0)
		w->page->truncated = text_is(text, "true");
	if (strcmp(p, "/NextContinuationToken") == 0 && text.len) {
		free(w->page->next);
		w->page->next = strndup(text.s, text.len);
		return w->page->next ? 0 : -ENOMEM;
	}
	return 0;
}

static int by_key(const void *a, const void *b)
{
	return strcmp(((const struct s3_entry *)a)->key, ((const struct s3_entry *)b)->key);
}

void s3_page_sort(struct s3_page *p)
{
	if (p->n)
		qsort(p->v, p->n, sizeof *p->v, by_key);
}

int s3_page_parse(struct slice xml, struct s3_page *ret, struct error *err)
{
	struct page_walk w = { .page = ret };
	*ret = (struct s3_page){ 0 };
	int r = walk(xml, page_leaf, &w);
	free(w.now.key);
	if (r == 0)
		r = !w.is_list ? ERR_STORE : w.encoded ? decode_keys(ret) : 0;
	if (r < 0) {
		s3_page_done(ret);
		return error_set(err, r, "the store's listing cannot be understood");
	}
	s3_page_sort(ret);
	return 0;
}

/* --- the small ones --- */

static int error_leaf(void *ctx, const char *path, struct str text)
{
	struct s3_error *e = ctx;
	if (strncmp(path, "ErrorResponse/", 14) == 0) /* of the token service */
		path += 14;
	if (strcmp(path, "Error/Code") == 0)
		copy_text(e->code, sizeof e->code, text);
	else if (strcmp(path, "Error/Message") == 0)
		copy_text(e->message, sizeof e->message, text);
	else if (strcmp(path, "Error/Region") == 0)
		copy_text(e->region, sizeof e->region, text);
	return 0;
}

bool s3_error_parse(struct slice xml, struct s3_error *ret)
{
	*ret = (struct s3_error){ 0 };
	return xml.len && walk(xml, error_leaf, ret) == 0 && ret->code[0];
}

static int upload_leaf(void *ctx, const char *path, struct str text)
{
	char **id = ctx;
	if (strcmp(path, "InitiateMultipartUploadResult/UploadId") != 0 || *id || !text.len)
		return 0;
	*id = strndup(text.s, text.len);
	return *id ? 0 : -ENOMEM;
}

int s3_upload_id_parse(struct slice xml, char **ret, struct error *err)
{
	_free_ char *id = NULL;
	int r = walk(xml, upload_leaf, &id);
	if (r < 0 || !id)
		return error_set(err, r < 0 ? r : ERR_STORE, "the store gave no id for an upload");
	*ret = TAKE_PTR(id);
	return 0;
}

struct delete_walk {
	struct s3_error *first;
	char *key;
	bool failed, is_result;
};

static int delete_leaf(void *ctx, const char *path, struct str text)
{
	struct delete_walk *w = ctx;
	w->is_result |= strncmp(path, "DeleteResult", 12) == 0;
	if (w->failed)
		return 0;
	if (strcmp(path, "DeleteResult/Error/Key") == 0)
		copy_text(w->key, 128, text);
	else if (strcmp(path, "DeleteResult/Error/Code") == 0)
		copy_text(w->first->code, sizeof w->first->code, text);
	else if (strcmp(path, "DeleteResult/Error/Message") == 0)
		copy_text(w->first->message, sizeof w->first->message, text);
	else if (strcmp(path, "DeleteResult/Error") == 0)
		w->failed = strcmp(w->first->code, "NoSuchKey") != 0;
	return 0;
}

int s3_delete_parse(struct slice xml, struct s3_error *ret, char ret_key[128], struct error *err)
{
	struct delete_walk w = { .first = ret, .key = ret_key };
	*ret = (struct s3_error){ 0 };
	ret_key[0] = '\0';
	int r = walk(xml, delete_leaf, &w);
	if (r < 0 || !w.is_result)
		return error_set(err, r < 0 ? r : ERR_STORE, "the store's answer to a removal cannot be understood");
	return w.failed;
}

static int sts_leaf(void *ctx, const char *path, struct str text)
{
	static const char root[] = "AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult/Credentials/";
	struct sts_credentials *c = ctx;
	if (strncmp(path, root, sizeof root - 1) != 0)
		return 0;
	const char *name = path + sizeof root - 1;
	char **to = strcmp(name, "AccessKeyId") == 0       ? &c->id
	            : strcmp(name, "SecretAccessKey") == 0 ? &c->secret
	            : strcmp(name, "SessionToken") == 0    ? &c->token
	                                                   : NULL;
	if (strcmp(name, "Expiration") == 0)
		copy_text(c->expiration, sizeof c->expiration, text);
	if (!to || *to || !text.len)
		return 0;
	*to = strndup(text.s, text.len);
	return *to ? 0 : -ENOMEM;
}

bool sts_credentials_parse(struct slice xml, struct sts_credentials *ret)
{
	*ret = (struct sts_credentials){ 0 };
	if (walk(xml, sts_leaf, ret) == 0 && ret->id && ret->secret && ret->token)
		return true;
	free(ret->id);
	free(ret->secret);
	free(ret->token);
	*ret = (struct sts_credentials){ 0 };
	return false;
}

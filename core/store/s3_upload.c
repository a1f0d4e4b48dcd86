/* SPDX-License-Identifier: MIT */

/*
 * Large objects by multipart upload: begun, the parts sent a few at a time, completed; aborted where any of it fails.
 * An upload that is neither (its process was killed) is no object; the bucket's lifecycle removes it.
 */

#include "s3.h"

#include <string.h>

#include "sigv4.h"

#define WHOLE_MAX ((uint64_t)16 << 20) /* larger ones go in parts */
#define PART ((uint64_t)8 << 20)
#define PARTS_MAX 10000
#define AT_ONCE 2

struct upload {
	struct s3 *s;
	const char *key;
	const struct store_body *body;
	char *id;
	uint64_t part; /* bytes of each but the last */
	char (*etags)[80];
	size_t parts;
};

static int read_body(const struct store_body *body, uint64_t off, size_t n, uint8_t **ret, struct error *err)
{
	_free_ uint8_t *data = malloc(MAX(n, (size_t)1));
	if (!data)
		return -ENOMEM;
	int r = n ? body->read(body->ctx, off, data, n, err) : 0;
	if (r == 0)
		*ret = TAKE_PTR(data);
	return r;
}

static int put_whole(struct s3 *s, const char *key, const struct store_body *body, struct error *err)
{
	_free_ uint8_t *data = NULL;
	int r = read_body(body, 0, (size_t)body->size, &data, err);
	if (r < 0)
		return r;
	_s3_call_ struct s3_call c = { .method = "PUT", .key = key, .body = { data, (size_t)body->size } };
	return s3_perform(s, &c, 1, err);
}

static int begin(struct upload *u, struct error *err)
{
	_s3_call_ struct s3_call c = { .method = "POST", .key = u->key, .query = "uploads=" };
	int r = s3_perform(u->s, &c, 1, err);
	return r < 0 ? r : s3_upload_id_parse(buf_slice(&c.text), &u->id, err);
}

static void put_id(const struct upload *u, struct buf *out)
{
	buf_puts(out, "uploadId=");
	sigv4_encode(out, (struct str){ u->id, strlen(u->id) }, false);
	buf_u8(out, 0);
}

struct part {
	struct buf query;
	uint8_t *data;
};

static int part_init(const struct upload *u, size_t i, struct part *p, struct s3_call *c, struct error *err)
{
	uint64_t off = i * u->part;
	size_t n = (size_t)MIN(u->body->size - off, u->part);
	p->query = BUF_INIT(4096);
	buf_printf(&p->query, "partNumber=%zu&", i + 1);
	put_id(u, &p->query);
	int r = buf_err(&p->query) ?: read_body(u->body, off, n, &p->data, err);
	*c = (struct s3_call){ .method = "PUT", .key = u->key, .query = (char *)p->query.data, .body = { p->data, n } };
	return r;
}

/* Sends parts first .. first + n, n being AT_ONCE at most. */
static int send_parts(struct upload *u, size_t first, size_t n, struct error *err)
{
	struct part parts[AT_ONCE] = { 0 };
	struct s3_call calls[AT_ONCE] = { 0 };
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++)
		r = part_init(u, first + i, &parts[i], &calls[i], err);
	if (r == 0)
		r = s3_perform(u->s, calls, n, err);
	for (size_t i = 0; i < n; i++) {
		strcpy(u->etags[first + i], calls[i].answer.etag);
		if (r == 0 && !calls[i].answer.etag[0])
			r = error_set(err, ERR_STORE, "%s: the store gave no ETag for a part", u->key);
		free(parts[i].data);
		buf_done(&parts[i].query);
	}
	s3_calls_done(calls, n);
	return r;
}

/* An ETag is quoted text of the server's; what XML would take for its own is written as XML has it. */
static void put_escaped(struct buf *out, const char *s)
{
	for (; *s; s++)
		if (strchr("<>&\"'", *s))
			buf_printf(out, "&#%d;", *s);
		else
			buf_putc(out, *s);
}

static void put_manifest(const struct upload *u, struct buf *out)
{
	buf_puts(out, "<CompleteMultipartUpload>");
	for (size_t i = 0; i < u->parts; i++) {
		buf_printf(out, "<Part><PartNumber>%zu</PartNumber><ETag>", i + 1);
		put_escaped(out, u->etags[i]);
		buf_puts(out, "</ETag></Part>");
	}
	buf_puts(out, "</CompleteMultipartUpload>");
}

/* Whether the object is there as it should be: an earlier attempt to complete it was heard. */
static bool is_complete(struct upload *u)
{
	uint64_t size;
	return s3_size(u->s, u->key, &size, NULL) == 0 && size == u->body->size;
}

static int complete(struct upload *u, struct error *err)
{
	_buf_ struct buf manifest = BUF_INIT((size_t)4 << 20), query = BUF_INIT(4096);
	struct s3_error said;
	put_manifest(u, &manifest);
	put_id(u, &query);
	int r = buf_err(&manifest) ?: buf_err(&query);
	if (r < 0)
		return r;
	_s3_call_ struct s3_call c = { .method = "POST", .key = u->key, .query = (char *)query.data,
		                       .body = buf_slice(&manifest), .once = true };
	r = s3_perform(u->s, &c, 1, err);
	/* A 200 that was begun before the work was done may end in an error. */
	if (r == 0 && s3_error_parse(buf_slice(&c.text), &said))
		r = error_set(err, ERR_STORE, "%s: the upload failed: %s %s", u->key, said.code, said.message);
	if (r == 0 || (c.maybe && is_complete(u)))
		return 0;
	return r == ERR_STORE_NOT_FOUND ? error_set(err, ERR_STORE, "%s: the upload is gone", u->key) : r;
}

static void give_up(struct upload *u)
{
	_buf_ struct buf query = BUF_INIT(4096);
	put_id(u, &query);
	if (buf_err(&query))
		return;
	_s3_call_ struct s3_call c = { .method = "DELETE", .key = u->key, .query = (char *)query.data };
	s3_perform(u->s, &c, 1, NULL);
}

static int put_in_parts(struct upload *u, struct error *err)
{
	u->part = MAX(PART, (u->body->size + PARTS_MAX - 1) / PARTS_MAX);
	u->parts = (size_t)((u->body->size + u->part - 1) / u->part);
	u->etags = calloc(u->parts, sizeof *u->etags);
	int r = u->etags ? begin(u, err) : -ENOMEM;
	if (r < 0)
		return r;
	for (size_t i = 0; i < u->parts && r == 0; i += AT_ONCE)
		r = send_parts(u, i, MIN(u->parts - i, (size_t)AT_ONCE), err);
	bool sent = r == 0;
	if (sent)
		r = complete(u, err);
	if (r < 0 && !(sent && r == ERR_STORE_UNKNOWN))
		give_up(u);
	return r;
}

int s3_put_body(struct store *store, const char *key, const struct store_body *body, struct error *err)
{
	struct upload u = { .s = s3_of(store), .key = key, .body = body };
	int r = body->size <= WHOLE_MAX ? put_whole(u.s, key, body, err) : put_in_parts(&u, err);
	free(u.id);
	free(u.etags);
	return r;
}

/* SPDX-License-Identifier: MIT */
#include "catalog.h"

#include <string.h>

#include "../base/arena.h"
#include "../base/cursor.h"
#include "../base/hash.h"
#include "../wire/zst.h"

#define CATALOG_MAGIC "PFSCAT1\n"
#define CATALOG_HEAD (8 + 4 + 4 + 8) /* magic, u32 format version, u32 raw length, u64 XXH3 of what follows */

static void put_dropped(struct buf *b, const struct catalog_dropped *v, size_t n)
{
	buf_varint(b, n);
	for (size_t i = 0; i < n; i++) {
		buf_put(b, v[i].ulid.b, sizeof v[i].ulid.b);
		buf_u8(b, v[i].kind);
		buf_svarint(b, v[i].since);
	}
}

static void put_block(struct buf *b, const struct catalog_block *block)
{
	buf_put(b, block->ulid.b, sizeof block->ulid.b);
	buf_varint(b, block->size);
	buf_u8(b, block->level);
	buf_varint(b, block->n_services);
	for (size_t i = 0; i < block->n_services; i++) {
		const struct catalog_service *s = &block->services[i];
		buf_str(b, s->service);
		buf_varint(b, s->profiles);
		buf_varint(b, s->bytes);
		buf_svarint(b, s->min_time);
		buf_svarint(b, s->max_time);
	}
}

int catalog_encode(const struct catalog_version *v, struct buf *out)
{
	_buf_ struct buf raw = BUF_INIT(CATALOG_MAX), stored = BUF_INIT(CATALOG_MAX);
	buf_varint(&raw, v->version);
	buf_u8(&raw, v->whole);
	buf_put(&raw, v->writer, sizeof v->writer);
	buf_varint(&raw, v->added.n);
	for (size_t i = 0; i < v->added.n; i++)
		put_block(&raw, &v->added.v[i]);
	put_dropped(&raw, v->dropped.v, v->dropped.n);
	put_dropped(&raw, v->forgotten.v, v->forgotten.n);
	int r = buf_err(&raw) ? buf_err(&raw) : zst_compress(buf_slice(&raw), 3, &stored);
	if (r < 0)
		return r;
	buf_puts(out, CATALOG_MAGIC);
	buf_u32(out, 1);
	buf_u32(out, (uint32_t)raw.len);
	buf_u64(out, hash_bytes(stored.data, stored.len));
	buf_put(out, stored.data, stored.len);
	return buf_err(out);
}

static void get_ulid(struct cursor *c, struct ulid *ret)
{
	const uint8_t *p = cursor_bytes(c, sizeof ret->b);
	if (p)
		memcpy(ret->b, p, sizeof ret->b);
}

static int get_dropped(struct cursor *c, struct catalog_drops *out)
{
	uint64_t n = cursor_varint_max(c, cursor_left(c) / 18);
	for (uint64_t i = 0; i < n; i++) {
		struct catalog_dropped *d = VEC_PUSH(out);
		if (!d)
			return -ENOMEM;
		get_ulid(c, &d->ulid);
		d->kind = cursor_u8(c);
		d->since = cursor_svarint(c);
	}
	return 0;
}

static int get_block(struct cursor *c, struct arena *arena, struct catalog_block *b)
{
	*b = (struct catalog_block){ 0 };
	get_ulid(c, &b->ulid);
	b->size = cursor_varint(c);
	b->level = cursor_u8(c);
	size_t n = cursor_varint_max(c, cursor_left(c) / 5);
	b->services = calloc(n + 1, sizeof *b->services);
	if (!b->services)
		return -ENOMEM;
	b->n_services = n;
	for (size_t i = 0; i < n && !c->bad; i++) {
		struct catalog_service *s = &b->services[i];
		struct str text = cursor_str(c);
		char *copy = arena_strndup(arena, text.s ? text.s : "", text.len);
		if (!copy)
			return -ENOMEM;
		s->service = (struct str){ copy, text.len };
		s->profiles = cursor_varint(c);
		s->bytes = cursor_varint(c);
		s->min_time = cursor_svarint(c);
		s->max_time = cursor_svarint(c);
	}
	return 0;
}

static int decode_raw(struct cursor *c, struct arena *arena, struct catalog_version *v)
{
	v->version = cursor_varint(c);
	v->whole = cursor_u8(c) != 0;
	const uint8_t *writer = cursor_bytes(c, sizeof v->writer);
	if (writer)
		memcpy(v->writer, writer, sizeof v->writer);
	uint64_t n = cursor_varint_max(c, cursor_left(c) / 19);
	int r = 0;
	for (uint64_t i = 0; i < n && !c->bad && r == 0; i++) {
		struct catalog_block *b = VEC_PUSH(&v->added);
		r = b ? get_block(c, arena, b) : -ENOMEM;
	}
	if (r == 0)
		r = get_dropped(c, &v->dropped);
	if (r == 0)
		r = get_dropped(c, &v->forgotten);
	return r < 0 ? r : c->bad || cursor_left(c) ? ERR_CORRUPT_LAYOUT : 0;
}

int catalog_decode(struct slice in, struct arena *arena, struct catalog_version *ret, struct error *err)
{
	struct cursor c = cursor_of(in);
	const uint8_t *magic = cursor_bytes(&c, 8);
	uint32_t format = cursor_u32(&c), raw_len = cursor_u32(&c);
	uint64_t hash = cursor_u64(&c);
	if (c.bad || memcmp(magic, CATALOG_MAGIC, 8) != 0 || raw_len > CATALOG_MAX)
		return error_set(err, ERR_CORRUPT_LAYOUT, "not a catalog");
	if (format > 1)
		return error_set(err, ERR_NEWER, "written in catalog format %u; this program reads up to 1", format);
	if (hash_bytes(c.p, cursor_left(&c)) != hash)
		return error_set(err, ERR_CORRUPT_CHECKSUM, "the catalog's checksum does not match");
	_free_ uint8_t *raw = malloc((size_t)raw_len + 1);
	if (!raw)
		return -ENOMEM;
	int r = zst_decompress((struct slice){ c.p, cursor_left(&c) }, raw, raw_len);
	struct cursor body = cursor_of((struct slice){ raw, raw_len });
	*ret = (struct catalog_version){ .arena = arena };
	if (r == 0)
		r = decode_raw(&body, arena, ret);
	if (r < 0) {
		catalog_version_done(ret);
		return error_set(err, r, "the catalog's contents are wrong: %s", err_text(r));
	}
	return 0;
}

static void blocks_done(struct catalog_block *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i].services);
}

void catalog_version_done(struct catalog_version *v)
{
	blocks_done(v->added.v, v->added.n);
	VEC_DONE(&v->added);
	VEC_DONE(&v->dropped);
	VEC_DONE(&v->forgotten);
}

void catalog_state_done(struct catalog_state *s)
{
	blocks_done(s->live.v, s->live.n);
	VEC_DONE(&s->live);
	VEC_DONE(&s->dropped);
}

static bool same_ulid(const struct ulid *a, const struct ulid *b)
{
	return !memcmp(a->b, b->b, sizeof a->b);
}

bool catalog_is_dropped(const struct catalog_state *s, const struct ulid *ulid)
{
	for (size_t i = 0; i < s->dropped.n; i++)
		if (same_ulid(&s->dropped.v[i].ulid, ulid))
			return true;
	return false;
}

static void drop_block(struct catalog_state *s, const struct ulid *ulid)
{
	for (size_t i = 0; i < s->live.n; i++)
		if (same_ulid(&s->live.v[i].ulid, ulid)) {
			free(s->live.v[i].services);
			s->live.v[i] = s->live.v[--s->live.n];
			return;
		}
}

static int apply_drops(struct catalog_state *s, const struct catalog_version *v)
{
	for (size_t i = 0; i < v->dropped.n; i++) {
		drop_block(s, &v->dropped.v[i].ulid);
		if (catalog_is_dropped(s, &v->dropped.v[i].ulid))
			continue;
		struct catalog_dropped *d = VEC_PUSH(&s->dropped);
		if (!d)
			return -ENOMEM;
		*d = v->dropped.v[i];
	}
	for (size_t i = 0; i < v->forgotten.n; i++)
		for (size_t k = 0; k < s->dropped.n; k++)
			if (same_ulid(&s->dropped.v[k].ulid, &v->forgotten.v[i].ulid)) {
				s->dropped.v[k] = s->dropped.v[--s->dropped.n];
				break;
			}
	return 0;
}

int catalog_apply(struct catalog_state *s, struct catalog_version *v)
{
	if (v->whole) {
		blocks_done(s->live.v, s->live.n);
		s->live.n = s->dropped.n = 0;
	}
	int r = apply_drops(s, v);
	for (size_t i = 0; i < v->added.n && r == 0; i++) {
		if (catalog_is_dropped(s, &v->added.v[i].ulid))
			continue;
		struct catalog_block *b = VEC_PUSH(&s->live);
		if (!b)
			return -ENOMEM;
		*b = v->added.v[i];
		v->added.v[i].services = NULL;
	}
	s->version = v->version;
	s->any = true;
	return r;
}

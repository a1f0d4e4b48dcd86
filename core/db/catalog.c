/* SPDX-License-Identifier: MIT */
#include "catalog.h"

#include <string.h>

#include "../base/cursor.h"
#include "../base/hash.h"
#include "../wire/zst.h"

#define CATALOG_MAGIC "PFSCAT1\n"
#define CATALOG_FORMAT 1
#define CATALOG_LEVEL 3
#define SERVICE_HAS_ROLLUPS 1

/* A record is a varint length and that many bytes; readers skip what follows the fields they know. */
static struct cursor record_get(struct cursor *c)
{
	return cursor_of(cursor_slice(c));
}

static void record_put(struct buf *out, struct buf *record)
{
	buf_varint(out, record->len);
	buf_put(out, record->data, record->len);
	if (buf_err(record) && !out->err)
		out->err = buf_err(record);
	buf_reset(record);
}

/* ---- services ---- */

static void put_keys(struct buf *b, const struct str *keys, size_t n)
{
	buf_varint(b, n);
	for (size_t i = 0; i < n; i++)
		buf_str(b, keys[i]);
}

static void put_types(struct buf *b, const struct dataset_info *info)
{
	buf_varint(b, info->n_types);
	for (size_t i = 0; i < info->n_types; i++) {
		buf_str(b, info->types[i].type);
		buf_str(b, info->types[i].unit);
		buf_str(b, info->types[i].kind);
		buf_varint(b, info->types[i].profiles);
	}
}

static void put_hours(struct buf *b, const struct dataset_info *info)
{
	int64_t last = 0;
	buf_varint(b, info->n_hours);
	for (size_t i = 0; i < info->n_hours; i++) {
		buf_svarint(b, info->hours[i].hour - last);
		buf_varint(b, info->hours[i].profiles);
		last = info->hours[i].hour;
	}
}

void catalog_put_service(struct buf *out, const struct dataset_info *info)
{
	_buf_ struct buf b = BUF_INIT(CATALOG_MAX);
	buf_str(&b, info->service);
	buf_u8(&b, info->has_rollups ? SERVICE_HAS_ROLLUPS : 0);
	buf_varint(&b, info->profiles);
	buf_varint(&b, info->samples);
	buf_varint(&b, info->bytes_in);
	for (size_t i = 0; i < ARRAY_SIZE(info->bytes); i++)
		buf_varint(&b, info->bytes[i]);
	buf_svarint(&b, info->min_time);
	buf_svarint(&b, info->max_time);
	put_types(&b, info);
	put_keys(&b, info->label_keys, info->n_label_keys);
	put_keys(&b, info->sample_label_keys, info->n_sample_label_keys);
	put_hours(&b, info);
	if (info->shared.size) {
		buf_varint(&b, info->shared.size);
		buf_put(&b, info->shared.ulid.b, sizeof info->shared.ulid.b);
	}
	record_put(out, &b);
}

/* What fails in the arena is told from what is wrong in the bytes. */
struct decoder {
	struct cursor c;
	struct arena *arena;
	bool no_memory;
};

static struct str get_text(struct decoder *d)
{
	struct str s = cursor_str(&d->c);
	char *copy = s.s ? arena_strndup(d->arena, s.s, s.len) : NULL;
	d->no_memory |= s.s && !copy;
	return copy ? (struct str){ copy, s.len } : (struct str){ "", 0 };
}

/* A list of n entries that take `least` bytes or more each. */
static void *get_list(struct decoder *d, size_t least, size_t size, size_t *ret_n)
{
	size_t n = cursor_varint_max(&d->c, cursor_left(&d->c) / least);
	void *v = arena_calloc(d->arena, n + 1, size);
	d->no_memory |= !v;
	*ret_n = v ? n : 0;
	return v;
}

static const struct str *get_keys(struct decoder *d, size_t *ret_n)
{
	struct str *v = get_list(d, 1, sizeof *v, ret_n);
	for (size_t i = 0; i < *ret_n; i++)
		v[i] = get_text(d);
	return v;
}

static void get_types(struct decoder *d, struct dataset_info *info)
{
	struct dataset_type *v = get_list(d, 4, sizeof *v, &info->n_types);
	for (size_t i = 0; i < info->n_types; i++) {
		v[i].type = get_text(d);
		v[i].unit = get_text(d);
		v[i].kind = get_text(d);
		v[i].profiles = cursor_varint(&d->c);
	}
	info->types = v;
}

static void get_hours(struct decoder *d, struct dataset_info *info)
{
	struct dataset_hour *v = get_list(d, 2, sizeof *v, &info->n_hours);
	int64_t hour = 0;
	for (size_t i = 0; i < info->n_hours; i++) {
		if (__builtin_add_overflow(hour, cursor_svarint(&d->c), &hour) || hour < INT32_MIN || hour > INT32_MAX)
			cursor_fail(&d->c);
		v[i] = (struct dataset_hour){ (int32_t)hour, (uint32_t)cursor_varint_max(&d->c, UINT32_MAX) };
	}
	info->hours = v;
}

static void get_ulid(struct cursor *c, struct ulid *ret)
{
	const uint8_t *p = cursor_bytes(c, sizeof ret->b);
	*ret = (struct ulid){ { 0 } };
	if (p)
		memcpy(ret->b, p, sizeof ret->b);
}

static int get_service(struct cursor record, struct arena *arena, struct dataset_info *info)
{
	struct decoder d = { record, arena, false };
	info->service = get_text(&d);
	info->has_rollups = cursor_u8(&d.c) & SERVICE_HAS_ROLLUPS;
	info->profiles = cursor_varint(&d.c);
	info->samples = cursor_varint(&d.c);
	info->bytes_in = cursor_varint(&d.c);
	for (size_t i = 0; i < ARRAY_SIZE(info->bytes); i++)
		info->bytes[i] = cursor_varint(&d.c);
	info->min_time = cursor_svarint(&d.c);
	info->max_time = cursor_svarint(&d.c);
	get_types(&d, info);
	info->label_keys = get_keys(&d, &info->n_label_keys);
	info->sample_label_keys = get_keys(&d, &info->n_sample_label_keys);
	get_hours(&d, info);
	if (cursor_left(&d.c)) {
		info->shared.size = cursor_varint(&d.c);
		get_ulid(&d.c, &info->shared.ulid);
	}
	return d.no_memory ? -ENOMEM : d.c.bad || info->min_time > info->max_time ? ERR_CORRUPT_LAYOUT : 0;
}

int catalog_get_services(struct slice records, struct arena *arena, struct dataset_info **ret, size_t *ret_n)
{
	VEC(struct dataset_info) infos = { 0 };
	struct cursor c = cursor_of(records);
	int r = 0;
	while (cursor_left(&c) && r == 0) {
		struct dataset_info *info = VEC_PUSH(&infos);
		if (!info) {
			r = -ENOMEM;
			break;
		}
		*info = (struct dataset_info){ 0 };
		r = get_service(record_get(&c), arena, info);
	}
	size_t bytes = infos.n * sizeof *infos.v;
	struct dataset_info *kept = r == 0 ? arena_alloc(arena, bytes + 1) : NULL;
	if (r == 0 && !kept)
		r = -ENOMEM;
	if (r == 0) {
		if (bytes)
			memcpy(kept, infos.v, bytes);
		*ret = kept;
		*ret_n = infos.n;
	}
	VEC_DONE(&infos);
	return r;
}

/* ---- versions ---- */

static void put_dropped(struct buf *raw, struct buf *record, const struct catalog_drops *d)
{
	buf_varint(raw, d->n);
	for (size_t i = 0; i < d->n; i++) {
		buf_put(record, d->v[i].ulid.b, sizeof d->v[i].ulid.b);
		buf_u8(record, d->v[i].kind);
		buf_svarint(record, d->v[i].since);
		buf_svarint(record, d->v[i].gone);
		record_put(raw, record);
	}
}

static void put_blocks(struct buf *raw, struct buf *record, const struct catalog_version *v)
{
	buf_varint(raw, v->added.n);
	for (size_t i = 0; i < v->added.n; i++) {
		const struct catalog_block *b = &v->added.v[i];
		buf_put(record, b->ulid.b, sizeof b->ulid.b);
		buf_varint(record, b->size);
		buf_u8(record, b->level);
		buf_varint(record, b->services.len);
		buf_put(record, b->services.data, b->services.len);
		record_put(raw, record);
	}
}

int catalog_encode(const struct catalog_version *v, struct buf *out)
{
	_buf_ struct buf raw = BUF_INIT(CATALOG_MAX), stored = BUF_INIT(CATALOG_MAX), record = BUF_INIT(CATALOG_MAX);
	buf_varint(&raw, v->version);
	buf_u8(&raw, v->whole);
	buf_put(&raw, v->writer, sizeof v->writer);
	put_blocks(&raw, &record, v);
	put_dropped(&raw, &record, &v->dropped);
	buf_varint(&raw, v->forgotten.n);
	for (size_t i = 0; i < v->forgotten.n; i++)
		buf_put(&raw, v->forgotten.v[i].b, sizeof v->forgotten.v[i].b);
	int r = buf_err(&raw) ? buf_err(&raw) : zst_compress(buf_slice(&raw), CATALOG_LEVEL, &stored);
	if (r < 0)
		return r;
	buf_puts(out, CATALOG_MAGIC);
	buf_u32(out, CATALOG_FORMAT);
	buf_u32(out, (uint32_t)raw.len);
	buf_u64(out, hash_bytes(stored.data, stored.len));
	buf_put(out, stored.data, stored.len);
	return buf_err(out);
}

static int get_dropped(struct cursor *c, struct catalog_drops *out)
{
	uint64_t n = cursor_varint_max(c, cursor_left(c) / 20);
	for (uint64_t i = 0; i < n && !c->bad; i++) {
		struct cursor record = record_get(c);
		struct catalog_dropped *d = VEC_PUSH(out);
		if (!d)
			return -ENOMEM;
		get_ulid(&record, &d->ulid);
		d->kind = cursor_u8(&record);
		d->since = cursor_svarint(&record);
		d->gone = cursor_svarint(&record);
		c->bad |= record.bad || d->kind > DROPPED_BLOCK;
	}
	return 0;
}

static int get_blocks(struct cursor *c, struct catalog_version *v)
{
	uint64_t n = cursor_varint_max(c, cursor_left(c) / 20);
	for (uint64_t i = 0; i < n && !c->bad; i++) {
		struct cursor record = record_get(c);
		struct catalog_block *b = VEC_PUSH(&v->added);
		if (!b)
			return -ENOMEM;
		get_ulid(&record, &b->ulid);
		b->size = cursor_varint(&record);
		b->level = cursor_u8(&record);
		b->services = cursor_slice(&record);
		c->bad |= record.bad;
	}
	return 0;
}

static int get_forgotten(struct cursor *c, struct catalog_version *v)
{
	uint64_t n = cursor_varint_max(c, cursor_left(c) / sizeof(struct ulid));
	for (uint64_t i = 0; i < n; i++) {
		struct ulid *u = VEC_PUSH(&v->forgotten);
		if (!u)
			return -ENOMEM;
		get_ulid(c, u);
	}
	return 0;
}

static int decode_raw(struct cursor *c, struct catalog_version *v)
{
	v->version = cursor_varint(c);
	v->whole = cursor_u8(c) != 0;
	const uint8_t *writer = cursor_bytes(c, sizeof v->writer);
	if (writer)
		memcpy(v->writer, writer, sizeof v->writer);
	int r = get_blocks(c, v);
	if (r == 0)
		r = get_dropped(c, &v->dropped);
	if (r == 0)
		r = get_forgotten(c, v);
	return r < 0 ? r : c->bad ? ERR_CORRUPT_LAYOUT : 0;
}

static int decode_frame(struct slice frame, uint32_t raw_len, struct catalog_version *v)
{
	v->raw = malloc((size_t)raw_len + 1);
	if (!v->raw)
		return -ENOMEM;
	int r = zst_decompress(frame, v->raw, raw_len);
	struct cursor body = cursor_of((struct slice){ v->raw, raw_len });
	return r < 0 ? r : decode_raw(&body, v);
}

int catalog_decode(struct slice in, struct catalog_version *ret, struct error *err)
{
	struct cursor c = cursor_of(in);
	const uint8_t *magic = cursor_bytes(&c, 8);
	uint32_t format = cursor_u32(&c), raw_len = cursor_u32(&c);
	uint64_t hash = cursor_u64(&c);
	if (c.bad || memcmp(magic, CATALOG_MAGIC, 8) != 0 || raw_len > CATALOG_MAX)
		return error_set(err, ERR_CORRUPT_LAYOUT, "not a catalog");
	if (format > CATALOG_FORMAT)
		return error_set(err, ERR_NEWER, "written in catalog format %u; this program reads up to %d", format,
		                 CATALOG_FORMAT);
	struct slice frame = { c.p, cursor_left(&c) };
	if (hash_bytes(frame.data, frame.len) != hash)
		return error_set(err, ERR_CORRUPT_CHECKSUM, "the catalog's checksum does not match");
	*ret = (struct catalog_version){ 0 };
	int r = decode_frame(frame, raw_len, ret);
	if (r < 0) {
		catalog_version_done(ret);
		return error_set(err, r, "the catalog's contents are wrong: %s", err_text(r));
	}
	return 0;
}

void catalog_version_done(struct catalog_version *v)
{
	VEC_DONE(&v->added);
	VEC_DONE(&v->dropped);
	VEC_DONE(&v->forgotten);
	free(v->raw);
	v->raw = NULL;
}

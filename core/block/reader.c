/* SPDX-License-Identifier: MIT */

/* Opens an object by its footer and brings sections in. Tables are decoded by tables.c, samples by samples.c. */

#include "reader.h"

#include <string.h>

#include "../base/hash.h"
#include "../wire/zst.h"

int corrupt(struct dataset *d, struct error *err, const char *what)
{
	return error_set(err, ERR_CORRUPT_LAYOUT, "%s: service %.*s: %s", d->block->name, (int)d->info.service.len,
	                 d->info.service.s, what);
}

int block_read(struct block *b, const struct source_range *ranges, size_t n, struct error *err)
{
	struct source_range *missing = calloc(n + 1, sizeof *missing);
	if (!missing)
		return -ENOMEM;
	size_t n_missing = 0;
	for (size_t i = 0; i < n; i++) {
		if (ranges[i].off >= b->tail_off)
			memcpy(ranges[i].out, b->tail + (ranges[i].off - b->tail_off), ranges[i].len);
		else
			missing[n_missing++] = ranges[i];
	}
	int r = n_missing ? b->src.read(b->src.ctx, missing, n_missing, err) : 0;
	free(missing);
	return r < 0 ? error_at(err, r, "%s", b->name) : 0;
}

int stored_decode(uint8_t codec, struct slice stored, uint64_t hash, size_t raw_len, uint8_t **ret)
{
	if (hash_bytes(stored.data, stored.len) != hash)
		return ERR_CORRUPT_CHECKSUM;
	uint8_t *raw = malloc(raw_len + 1);
	if (!raw)
		return -ENOMEM;
	int r = 0;
	if (codec == CODEC_ZSTD)
		r = zst_decompress(stored, raw, raw_len);
	else if (stored.len == raw_len)
		memcpy(raw, stored.data, raw_len);
	else
		r = ERR_CORRUPT_LAYOUT;
	if (r < 0) {
		free(raw);
		return r;
	}
	*ret = raw;
	return 0;
}

static int decode_after(struct slice prefix, struct slice stored, uint64_t hash, size_t raw_len, uint8_t **ret)
{
	if (hash_bytes(stored.data, stored.len) != hash)
		return ERR_CORRUPT_CHECKSUM;
	_free_ uint8_t *raw = malloc(raw_len + 1);
	int r = raw ? zst_decompress_after(prefix, stored, raw, raw_len) : -ENOMEM;
	if (r == 0)
		*ret = TAKE_PTR(raw);
	return r;
}

/* shared is NULL where no section needs it. */
static int decode_section(struct dataset *d, const struct section *s, const uint8_t *stored, struct dataset *shared,
                          struct loaded *ret, struct error *err)
{
	struct slice in = { stored, s->stored }, prefix;
	int r = s->codec == CODEC_SHARED ? dataset_raw(shared, s->kind, &prefix, err) : 0;
	if (r < 0)
		return r;
	r = s->codec == CODEC_SHARED ? decode_after(prefix, in, s->hash, s->raw, &ret->data)
	                             : stored_decode(s->codec, in, s->hash, s->raw, &ret->data);
	if (r < 0)
		return error_set(err, r, "%s: service %.*s: section %u at byte %llu: %s", d->block->name,
		                 (int)d->info.service.len, d->info.service.s, s->kind, (unsigned long long)s->off,
		                 err_text(r));
	ret->len = s->raw;
	return 0;
}

struct decoding {
	struct dataset *d;
	const uint8_t *kinds;
	size_t n;
	const uint8_t *stored; /* one behind the other */
	struct loaded *ret;
};

static int decode_all(void *arg, struct dataset *shared, struct error *err)
{
	struct decoding *c = arg;
	size_t at = 0;
	int r = 0;
	for (size_t i = 0; i < c->n && r == 0; i++) {
		const struct section *s = &c->d->sections[c->kinds[i]];
		r = s->stored ? decode_section(c->d, s, c->stored + at, shared, &c->ret[i], err) : 0;
		at += s->stored;
	}
	return r;
}

static int decode_sections(struct decoding *c, struct error *err)
{
	struct dataset *d = c->d;
	bool needs = false;
	for (size_t i = 0; i < c->n; i++)
		needs |= d->sections[c->kinds[i]].codec == CODEC_SHARED;
	if (!needs)
		return decode_all(c, NULL, err);
	if (!d->block->src.shared)
		return corrupt(d, err, "its symbols need shared ones, and there are none here");
	return d->block->src.shared(d->block->src.ctx, &d->info.shared, d->info.service, decode_all, c, err);
}

int dataset_raw(struct dataset *d, uint8_t kind, struct slice *ret, struct error *err)
{
	assert(kind <= SECTION_STACKS);
	if (d->sections[kind].codec == CODEC_SHARED)
		return corrupt(d, err, "shared symbols that need others");
	struct loaded *l = &d->raw[kind];
	pthread_mutex_lock(&d->lock);
	int r = l->data ? 0 : dataset_load(d, &kind, 1, l, err);
	if (r == 0)
		*ret = (struct slice){ l->data, l->len };
	pthread_mutex_unlock(&d->lock);
	return r;
}

int dataset_load(struct dataset *d, const uint8_t *kinds, size_t n, struct loaded *ret, struct error *err)
{
	struct source_range ranges[SECTION_KINDS];
	assert(n <= SECTION_KINDS);
	size_t total = 0, n_ranges = 0;
	for (size_t i = 0; i < n; i++)
		total += d->sections[kinds[i]].stored;
	_free_ uint8_t *stored = malloc(total + 1);
	if (!stored)
		return -ENOMEM;
	size_t at = 0;
	for (size_t i = 0; i < n; i++) {
		const struct section *s = &d->sections[kinds[i]];
		if (s->stored)
			ranges[n_ranges++] = (struct source_range){ s->off, s->stored, stored + at };
		at += s->stored;
	}
	int r = n_ranges ? block_read(d->block, ranges, n_ranges, err) : 0;
	for (size_t i = 0; i < n; i++)
		ret[i] = (struct loaded){ 0 };
	struct decoding decoding = { d, kinds, n, stored, ret };
	if (r == 0)
		r = decode_sections(&decoding, err);
	for (size_t i = 0; i < n && r < 0; i++) {
		free(ret[i].data);
		ret[i] = (struct loaded){ 0 };
	}
	return r;
}

/* ---- the footer ---- */

static struct str keep_text(struct block *b, struct cursor *c)
{
	struct str s = cursor_str(c);
	char *copy = s.s ? arena_strndup(&b->arena, s.s, s.len) : NULL;
	if (!copy) {
		b->out_of_memory |= s.s != NULL;
		cursor_fail(c);
		return (struct str){ "", 0 };
	}
	return (struct str){ copy, s.len };
}

static void *keep_array(struct block *b, struct cursor *c, size_t n, size_t size)
{
	bool fits = n <= cursor_left(c);
	void *v = fits ? arena_calloc(&b->arena, n + 1, size) : NULL;
	if (!v) {
		b->out_of_memory |= fits;
		cursor_fail(c);
	}
	return v;
}

static const struct str *get_keys(struct block *b, struct cursor *c, size_t *ret_n)
{
	size_t n = cursor_varint_max(c, cursor_left(c));
	struct str *keys = keep_array(b, c, n, sizeof *keys);
	for (size_t i = 0; keys && i < n; i++)
		keys[i] = keep_text(b, c);
	*ret_n = c->bad ? 0 : n;
	return keys;
}

static bool same_type(const struct dataset_type *a, const struct dataset_type *b)
{
	return str_eq(a->type, b->type) && str_eq(a->unit, b->unit) && str_eq(a->kind, b->kind);
}

/* Types stand once per header: equal ones are added up here. */
static void get_types(struct block *b, struct cursor *c, struct dataset_info *info)
{
	size_t n = cursor_varint_max(c, cursor_left(c)), m = 0;
	struct dataset_type *types = keep_array(b, c, n, sizeof *types);
	for (size_t i = 0; types && i < n && !c->bad; i++) {
		struct dataset_type t;
		t.type = keep_text(b, c);
		t.unit = keep_text(b, c);
		t.kind = keep_text(b, c);
		t.profiles = cursor_varint(c);
		size_t k = 0;
		while (k < m && !same_type(&types[k], &t))
			k++;
		if (k < m)
			types[k].profiles += t.profiles;
		else
			types[m++] = t;
	}
	info->types = types;
	info->n_types = c->bad ? 0 : m;
}

static void get_hours(struct block *b, struct cursor *c, struct dataset_info *info)
{
	size_t n = cursor_varint_max(c, cursor_left(c));
	struct dataset_hour *hours = keep_array(b, c, n, sizeof *hours);
	int64_t hour = 0;
	for (size_t i = 0; hours && i < n; i++) {
		hour += cursor_svarint(c);
		if (hour < INT32_MIN || hour > INT32_MAX)
			cursor_fail(c);
		hours[i] = (struct dataset_hour){ (int32_t)hour, (uint32_t)cursor_varint_max(c, UINT32_MAX) };
	}
	info->hours = hours;
	info->n_hours = c->bad ? 0 : n;
}

static unsigned class_of(uint8_t kind)
{
	if (kind <= SECTION_STACKS)
		return BYTES_SYMBOLS;
	if (kind == SECTION_ROLLUPS || kind == SECTION_CELLS)
		return BYTES_ROLLUPS;
	return kind == SECTION_SAMPLES ? BYTES_SAMPLES : BYTES_META;
}

static void get_sections(struct cursor *c, uint64_t limit, struct dataset *d)
{
	size_t n = cursor_varint_max(c, cursor_left(c));
	for (size_t i = 0; i < n && !c->bad; i++) {
		struct section s = { .kind = cursor_u8(c), .codec = cursor_u8(c) };
		s.off = cursor_varint(c);
		s.stored = cursor_varint_max(c, LAYOUT_MAX_SECTION);
		s.raw = cursor_varint_max(c, LAYOUT_MAX_SECTION);
		s.hash = cursor_u64(c);
		bool shared = s.codec == CODEC_SHARED && s.kind <= SECTION_STACKS && d->block->version > 1;
		if (s.off > limit || s.stored > limit - s.off || (s.codec > CODEC_ZSTD && !shared))
			cursor_fail(c);
		if (s.kind == 0 || s.kind >= SECTION_KINDS)
			continue;
		d->sections[s.kind] = s;
		d->info.bytes[class_of(s.kind)] += s.stored;
	}
}

static void get_shared(struct block *b, struct cursor *c, struct dataset_info *info)
{
	if (b->version == BLOCK_VERSION_PLAIN)
		return;
	info->shared.size = cursor_varint(c);
	const uint8_t *ulid = info->shared.size ? cursor_bytes(c, sizeof info->shared.ulid.b) : NULL;
	if (ulid)
		memcpy(info->shared.ulid.b, ulid, sizeof info->shared.ulid.b);
}

static void get_dataset(struct block *b, struct cursor *c, uint64_t limit, struct dataset *d)
{
	struct dataset_info *info = &d->info;
	d->block = b;
	d->arena = ARENA_INIT((size_t)4 << 30);
	info->service = keep_text(b, c);
	info->profiles = cursor_varint_max(c, UINT32_MAX - 1);
	info->samples = cursor_varint(c);
	info->bytes_in = cursor_varint(c);
	info->min_time = cursor_svarint(c);
	info->max_time = cursor_svarint(c);
	get_types(b, c, info);
	info->label_keys = get_keys(b, c, &info->n_label_keys);
	info->sample_label_keys = get_keys(b, c, &info->n_sample_label_keys);
	get_hours(b, c, info);
	get_sections(c, limit, d);
	get_shared(b, c, info);
	info->has_rollups = d->sections[SECTION_ROLLUPS].stored != 0;
}

static int parse_footer(struct block *b, struct slice raw, uint64_t limit)
{
	struct cursor c = cursor_of(raw);
	b->level = (unsigned)cursor_varint_max(&c, 255);
	size_t n = cursor_varint_max(&c, cursor_left(&c));
	b->datasets = calloc(n + 1, sizeof *b->datasets);
	if (!b->datasets)
		return -ENOMEM;
	for (size_t i = 0; i < n && !c.bad; i++) {
		pthread_mutex_init(&b->datasets[i].lock, NULL);
		b->n_datasets++;
		get_dataset(b, &c, limit, &b->datasets[i]);
	}
	if (b->out_of_memory)
		return -ENOMEM;
	return c.bad || cursor_left(&c) ? ERR_CORRUPT_LAYOUT : 0;
}

struct trailer {
	uint64_t off, hash;
	uint32_t stored, raw;
};

static int parse_trailer(struct block *b, struct slice end, struct trailer *ret, struct error *err)
{
	struct cursor c = cursor_of(end);
	ret->off = cursor_u64(&c);
	ret->stored = cursor_u32(&c);
	ret->raw = cursor_u32(&c);
	ret->hash = cursor_u64(&c);
	uint32_t version = cursor_u32(&c);
	cursor_u32(&c);
	const uint8_t *magic = cursor_bytes(&c, LAYOUT_MAGIC_LEN);
	if (c.bad || !version || memcmp(magic, LAYOUT_END_MAGIC, LAYOUT_MAGIC_LEN) != 0)
		return error_set(err, ERR_CORRUPT_LAYOUT, "%s: no block: the end is not a trailer", b->name);
	if (version > BLOCK_VERSION)
		return error_set(err, ERR_NEWER, "%s: written in block format %u; this program reads up to %u", b->name,
		                 version, BLOCK_VERSION);
	b->version = version;
	uint64_t limit = b->src.size - LAYOUT_TRAILER_LEN;
	if (ret->off > limit || ret->stored != limit - ret->off || ret->raw > LAYOUT_MAX_FOOTER)
		return error_set(err, ERR_CORRUPT_LAYOUT, "%s: the trailer points outside of the object", b->name);
	return 0;
}

/* Makes the kept tail begin at `from` or before. */
static int fetch_tail(struct block *b, uint64_t from, struct error *err)
{
	if (b->tail && from >= b->tail_off)
		return 0;
	size_t len = b->src.size - from;
	uint8_t *tail = malloc(len + 1);
	if (!tail)
		return -ENOMEM;
	struct source_range range = { from, len, tail };
	int r = b->src.read(b->src.ctx, &range, 1, err);
	if (r < 0) {
		free(tail);
		return error_at(err, r, "%s", b->name);
	}
	free(b->tail);
	b->tail = tail;
	b->tail_off = from;
	return 0;
}

static int open_footer(struct block *b, struct error *err)
{
	if (b->src.size < LAYOUT_MAGIC_LEN + LAYOUT_TRAILER_LEN)
		return error_set(err, ERR_CORRUPT_LAYOUT, "%s: no block: %llu bytes are too few", b->name,
		                 (unsigned long long)b->src.size);
	uint64_t size = b->src.size;
	int r = fetch_tail(b, size - MIN(size, (uint64_t)LAYOUT_TAIL), err);
	if (r < 0)
		return r;
	struct trailer t;
	uint64_t end = size - LAYOUT_TRAILER_LEN;
	r = parse_trailer(b, (struct slice){ b->tail + (end - b->tail_off), LAYOUT_TRAILER_LEN }, &t, err);
	if (r < 0 || (r = fetch_tail(b, MIN(t.off, b->tail_off), err)) < 0)
		return r;
	_free_ uint8_t *raw = NULL;
	struct slice stored = { b->tail + (t.off - b->tail_off), t.stored };
	r = stored_decode(CODEC_ZSTD, stored, t.hash, t.raw, &raw);
	if (r == 0)
		r = parse_footer(b, (struct slice){ raw, t.raw }, t.off);
	return r < 0 ? error_set(err, r, "%s: footer: %s", b->name, err_text(r)) : 0;
}

int block_open(const struct source *src, const char *name, struct block **ret, struct error *err)
{
	struct block *b = calloc(1, sizeof *b);
	if (!b) {
		if (src->release)
			src->release(src->ctx);
		return -ENOMEM;
	}
	b->src = *src;
	b->arena = ARENA_INIT(LAYOUT_MAX_FOOTER * 4);
	b->name = strdup(name);
	int r = b->name ? open_footer(b, err) : -ENOMEM;
	if (r < 0) {
		block_free(b);
		return r;
	}
	*ret = b;
	return 0;
}

void dataset_unload(struct dataset *d)
{
	for (size_t i = 0; i < SECTION_KINDS; i++) {
		free(d->kept[i].data);
		d->kept[i] = (struct loaded){ 0 };
	}
	for (size_t i = 0; i < ARRAY_SIZE(d->raw); i++) {
		free(d->raw[i].data);
		d->raw[i] = (struct loaded){ 0 };
	}
	size_t max = d->arena.max;
	arena_done(&d->arena);
	d->arena = ARENA_INIT(max);
	d->has_strings = d->has_symbols = d->has_labelsets = d->has_tables = d->has_profiles = d->has_rollups = false;
}

static void dataset_done(struct dataset *d)
{
	dataset_unload(d);
	pthread_mutex_destroy(&d->lock);
}

void block_free(struct block *b)
{
	if (!b)
		return;
	for (size_t i = 0; i < b->n_datasets; i++)
		dataset_done(&b->datasets[i]);
	free(b->datasets);
	arena_done(&b->arena);
	if (b->src.release)
		b->src.release(b->src.ctx);
	free(b->tail);
	free(b->name);
	free(b);
}

const char *block_name(const struct block *b)
{
	return b->name;
}

uint64_t block_size(const struct block *b)
{
	return b->src.size;
}

unsigned block_level(const struct block *b)
{
	return b->level;
}

size_t block_datasets(const struct block *b)
{
	return b->n_datasets;
}

const struct dataset_info *block_info(const struct block *b, size_t i)
{
	assert(i < b->n_datasets);
	return &b->datasets[i].info;
}

size_t block_find(const struct block *b, struct str service)
{
	for (size_t i = 0; i < b->n_datasets; i++)
		if (str_eq(b->datasets[i].info.service, service))
			return i;
	return SIZE_MAX;
}

struct dataset *block_dataset(struct block *b, size_t i)
{
	assert(i < b->n_datasets);
	return &b->datasets[i];
}

const struct dataset_info *dataset_info(const struct dataset *d)
{
	return &d->info;
}

struct block *dataset_block(const struct dataset *d)
{
	return d->block;
}

size_t block_memory(struct block *b)
{
	size_t n = b->src.size - b->tail_off + b->arena.used;
	for (size_t i = 0; i < b->n_datasets; i++) {
		struct dataset *d = &b->datasets[i];
		pthread_mutex_lock(&d->lock);
		n += d->arena.used;
		for (size_t k = 0; k < SECTION_KINDS; k++)
			n += d->kept[k].len + (k < ARRAY_SIZE(d->raw) ? d->raw[k].len : 0);
		pthread_mutex_unlock(&d->lock);
	}
	return n;
}

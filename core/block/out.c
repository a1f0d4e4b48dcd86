/* SPDX-License-Identifier: MIT */
#include "out.h"

#include <string.h>

#include "../base/clock.h"
#include "../base/hash.h"
#include "../wire/zst.h"
#include "reader.h"

void out_bytes(struct out *o, const void *data, size_t n)
{
	if (o->result >= 0 && n)
		o->result = o->sink->write(o->sink->ctx, data, n, o->err);
	o->off += n;
}

void out_dataset_free(struct out_dataset *d)
{
	if (!d)
		return;
	build_done(&d->build);
	VEC_DONE(&d->rows);
	VEC_DONE(&d->totals);
	VEC_DONE(&d->divisors);
	for (size_t i = 0; i < d->headers.n; i++)
		free(d->headers.v[i].types);
	VEC_DONE(&d->headers);
	for (size_t i = 0; i < d->open.n; i++)
		rowgroup_done(&d->open.v[i]);
	VEC_DONE(&d->open);
	buf_done(&d->samples);
	buf_done(&d->index);
	buf_done(&d->rollups);
	buf_done(&d->cells);
	if (d->samples_hash)
		XXH3_freeState(d->samples_hash);
	free(d->service);
	free(d);
}

int out_dataset_new(struct str service, int level, struct out_dataset **ret)
{
	_cleanup_(out_dataset_freep) struct out_dataset *d = calloc(1, sizeof *d);
	if (!d)
		return -ENOMEM;
	d->samples = d->index = d->rollups = d->cells = BUF_INIT(LAYOUT_MAX_SECTION);
	d->level = level;
	d->samples_hash = XXH3_createState();
	d->service = strndup(service.s, service.len);
	if (build_init(&d->build) < 0 || !d->service || !d->samples_hash)
		return -ENOMEM;
	XXH3_64bits_reset(d->samples_hash);
	d->service_len = service.len;
	*ret = TAKE_PTR(d);
	return 0;
}

size_t out_dataset_memory(const struct out_dataset *d)
{
	size_t n = build_memory(&d->build) + d->samples.len + d->index.len + d->rows.n * sizeof *d->rows.v +
	           (d->totals.n + d->divisors.n) * 8 + d->rollups.len + d->cells.len;
	for (size_t k = 0; k < d->open.n; k++)
		n += rowgroup_bytes(&d->open.v[k]);
	return n;
}

int out_dataset_header(struct out_dataset *d, uint32_t header, const struct value_type *types, uint32_t n_types,
                       uint32_t kind)
{
	if (header < d->headers.n)
		return 0;
	uint32_t *copy = malloc(((size_t)n_types + 1) * 2 * sizeof *copy);
	struct header_note *note = VEC_GROW(&d->headers, 1);
	if (!copy || !note) {
		free(copy);
		return -ENOMEM;
	}
	for (uint32_t t = 0; t < n_types; t++) {
		copy[2 * t] = types[t].type;
		copy[2 * t + 1] = types[t].unit;
	}
	*note = (struct header_note){ n_types, kind, copy, 0 };
	d->headers.n++;
	return 0;
}

/* ---- row groups ---- */

static void samples_flush(struct out *o, struct out_dataset *d);

static int group_for(struct out_dataset *d, uint32_t header, uint32_t n_types, struct rowgroup **ret)
{
	for (size_t i = 0; i < d->open.n; i++)
		if (d->open.v[i].header == header) {
			*ret = &d->open.v[i];
			return 0;
		}
	struct rowgroup *g = VEC_GROW(&d->open, 1);
	if (!g)
		return -ENOMEM;
	int r = rowgroup_init(g, header, 0, n_types);
	if (r < 0)
		return r;
	d->open.n++;
	*ret = g;
	return 0;
}

/* Groups are numbered when they are closed: until then their rows carry this. */
#define GROUP_OPEN UINT32_MAX

static int close_group(struct out_dataset *d, size_t i)
{
	struct rowgroup *g = &d->open.v[i];
	int r = rowgroup_close(g, d->level, &d->samples, &d->index);
	if (r < 0)
		return r;
	uint32_t left = g->n_profiles;
	for (size_t k = d->rows.n; k-- > 0 && left;)
		if (d->rows.v[k].group == GROUP_OPEN && d->rows.v[k].header == g->header) {
			d->rows.v[k].group = d->n_groups;
			left--;
		}
	d->n_groups++;
	rowgroup_done(g);
	d->open.v[i] = d->open.v[--d->open.n];
	if (d->stream)
		samples_flush(d->stream, d);
	return d->stream ? d->stream->result : 0;
}

int out_dataset_add(struct out_dataset *d, const struct out_row *row, const struct rowgroup_samples *s,
                    const int64_t *totals, uint64_t bytes_in)
{
	uint32_t n_types = d->headers.v[row->header].n_types;
	struct rowgroup *g;
	int64_t *to_totals = VEC_GROW(&d->totals, n_types + 1), *to_divisors = VEC_GROW(&d->divisors, n_types + 1);
	struct out_row *slot = VEC_GROW(&d->rows, 1);
	if (!to_totals || !to_divisors || !slot)
		return -ENOMEM;
	int r = group_for(d, row->header, n_types, &g);
	if (r == 0)
		r = rowgroup_add(g, s);
	if (r < 0)
		return r;
	memcpy(to_totals, totals, n_types * sizeof *totals);
	memcpy(to_divisors, s->divisors, n_types * sizeof *to_divisors);
	*slot = *row;
	slot->group = GROUP_OPEN;
	d->totals.n += n_types;
	d->divisors.n += n_types;
	d->rows.n++;
	d->n_samples += row->n_samples;
	d->bytes_in += bytes_in;
	d->headers.v[row->header].profiles++;
	if (rowgroup_bytes(g) >= ROWGROUP_BYTES || g->n_profiles >= ROWGROUP_PROFILES)
		return close_group(d, (size_t)(g - d->open.v));
	return 0;
}

/* ---- the object ---- */

static void section_close(struct out *o, struct sections *s, struct section_out e, const void *stored, size_t n)
{
	e.off = o->off;
	e.stored = n;
	e.hash = hash_bytes(stored, n);
	s->v[s->n++] = e;
	out_bytes(o, stored, n);
}

/* Against shared symbols where that takes less. */
static bool section_put_shared(struct out *o, struct sections *s, struct dataset *shared, uint8_t kind,
                               const struct buf *raw)
{
	_buf_ struct buf stored = BUF_INIT(LAYOUT_MAX_SECTION);
	struct slice prefix;
	struct section_out e = { .kind = kind, .codec = CODEC_SHARED, .raw = raw->len };
	int r = dataset_raw(shared, kind, &prefix, o->err);
	if (r < 0 && !o->result)
		o->result = r;
	if (r < 0 || !raw->len || prefix.len + raw->len > ZST_PREFIX_MAX ||
	    zst_compress_after(prefix, buf_slice(raw), o->level, &stored) < 0 || stored.len >= raw->len)
		return false;
	section_close(o, s, e, stored.data, stored.len);
	return true;
}

static void section_put(struct out *o, struct sections *s, uint8_t kind, const struct buf *raw)
{
	_buf_ struct buf stored = BUF_INIT(LAYOUT_MAX_SECTION);
	struct section_out e = { .kind = kind, .codec = CODEC_RAW, .raw = raw->len };
	if (buf_err(raw) && !o->result)
		o->result = buf_err(raw);
	bool packed = kind != SECTION_IDS && kind != SECTION_CELLS && raw->len &&
	              zst_compress(buf_slice(raw), o->level, &stored) == 0 && stored.len < raw->len;
	if (packed)
		e.codec = CODEC_ZSTD;
	section_close(o, s, e, packed ? stored.data : raw->data, packed ? stored.len : raw->len);
}

/* Closed groups go out now; their section is described when the last has gone. */
static void samples_flush(struct out *o, struct out_dataset *d)
{
	if (!d->samples_len)
		d->samples_off = o->off;
	XXH3_64bits_update(d->samples_hash, d->samples.data, d->samples.len);
	d->samples_len += d->samples.len;
	if (buf_err(&d->samples) && !o->result)
		o->result = buf_err(&d->samples);
	out_bytes(o, d->samples.data, d->samples.len);
	buf_reset(&d->samples);
}

static void samples_close(struct out *o, struct sections *s, struct out_dataset *d)
{
	samples_flush(o, d);
	s->v[s->n++] = (struct section_out){
		.kind = SECTION_SAMPLES,
		.codec = CODEC_RAW,
		.off = d->samples_off,
		.stored = d->samples_len,
		.raw = d->samples_len,
		.hash = XXH3_64bits_digest(d->samples_hash),
	};
}

static void put_interned(struct out *out, struct sections *s, uint8_t kind, const struct intern *in)
{
	_buf_ struct buf raw = BUF_INIT(LAYOUT_MAX_SECTION);
	buf_varint(&raw, in->at.n);
	intern_encode(in, &raw);
	section_put(out, s, kind, &raw);
}

static void encode_strings(const struct build *b, struct buf *out)
{
	buf_varint(out, b->strings.at.n);
	intern_encode(&b->strings, out);
}

void out_dataset_symbols(struct out *out, struct out_dataset *d, struct sections *s)
{
	static void (*const encode[])(const struct build *, struct buf *) = {
		[SECTION_STRINGS] = encode_strings,
		[SECTION_FUNCTIONS] = build_encode_functions,
		[SECTION_FILES] = build_encode_files,
		[SECTION_LOCATIONS] = build_encode_locations,
		[SECTION_STACKS] = build_encode_stacks,
	};
	for (uint8_t kind = SECTION_STRINGS; kind <= SECTION_STACKS; kind++) {
		_buf_ struct buf raw = BUF_INIT(LAYOUT_MAX_SECTION);
		encode[kind](&d->build, &raw);
		if (!d->shared || buf_err(&raw) || !section_put_shared(out, s, d->shared, kind, &raw))
			section_put(out, s, kind, &raw);
	}
}

static void put_profiles(struct out *out, struct sections *s, const struct out_dataset *d)
{
	enum { TIME, DURATION, SERIES, HEADER, MAPSET, SAMPLES, GROUP, SOURCE, TOTALS, DIVISORS, COLUMNS };
	struct buf c[COLUMNS], raw = BUF_INIT(LAYOUT_MAX_SECTION), ids = BUF_INIT(LAYOUT_MAX_SECTION);
	for (size_t i = 0; i < COLUMNS; i++)
		c[i] = BUF_INIT(LAYOUT_MAX_SECTION);
	int64_t time = 0;
	size_t at = 0;
	for (size_t i = 0; i < d->rows.n; i++) {
		const struct out_row *r = &d->rows.v[i];
		buf_svarint(&c[TIME], (int64_t)((uint64_t)r->time - (uint64_t)time));
		time = r->time;
		buf_svarint(&c[DURATION], r->duration);
		buf_varint(&c[SERIES], r->series);
		buf_varint(&c[HEADER], r->header);
		buf_varint(&c[MAPSET], r->mapset);
		buf_varint(&c[SAMPLES], r->n_samples);
		buf_varint(&c[GROUP], r->group);
		buf_u8(&c[SOURCE], r->time_source);
		for (uint32_t t = 0; t < d->headers.v[r->header].n_types; t++, at++) {
			buf_svarint(&c[TOTALS], d->totals.v[at]);
			buf_varint(&c[DIVISORS], (uint64_t)d->divisors.v[at]);
		}
		buf_put(&ids, r->hash, PROFILE_HASH_LEN);
	}
	buf_varint(&raw, d->rows.n);
	for (size_t i = 0; i < COLUMNS; i++) {
		column_put(&raw, &c[i]);
		if (buf_err(&c[i]))
			raw.err = buf_err(&c[i]);
		buf_done(&c[i]);
	}
	section_put(out, s, SECTION_PROFILES, &raw);
	section_put(out, s, SECTION_IDS, &ids);
	buf_done(&raw);
	buf_done(&ids);
}

int out_dataset_put(struct out *o, struct out_dataset *d, struct sections *s)
{
	while (d->open.n) {
		int r = close_group(d, d->open.n - 1);
		if (r < 0)
			return r;
	}
	const struct build *b = &d->build;
	samples_close(o, s, d);
	out_dataset_symbols(o, d, s);
	put_interned(o, s, SECTION_LABELSETS, &b->labelsets);
	put_interned(o, s, SECTION_HEADERS, &b->headers);
	put_interned(o, s, SECTION_MAPSETS, &b->mapsets);
	put_interned(o, s, SECTION_SERIES, &b->series);
	put_profiles(o, s, d);
	_buf_ struct buf groups = BUF_INIT(LAYOUT_MAX_SECTION);
	buf_varint(&groups, d->n_groups);
	buf_put(&groups, d->index.data, d->index.len);
	section_put(o, s, SECTION_GROUPS, &groups);
	if (d->rollups.len) {
		section_put(o, s, SECTION_CELLS, &d->cells);
		section_put(o, s, SECTION_ROLLUPS, &d->rollups);
	}
	return o->result;
}

/* ---- the footer's summary of a dataset ---- */

static int compare_hours(const void *a, const void *b)
{
	return CMP(*(const int32_t *)a, *(const int32_t *)b);
}

static int put_hours(struct buf *footer, const struct out_dataset *d)
{
	int32_t *hours = malloc((d->rows.n + 1) * sizeof *hours);
	if (!hours)
		return -ENOMEM;
	for (size_t i = 0; i < d->rows.n; i++)
		hours[i] = (int32_t)time_floor_div(d->rows.v[i].time, NS_PER_HOUR);
	qsort(hours, d->rows.n, sizeof *hours, compare_hours);
	_buf_ struct buf list = BUF_INIT(LAYOUT_MAX_FOOTER);
	size_t n = 0;
	int32_t last = 0;
	for (size_t i = 0, k; i < d->rows.n; i = k, n++) {
		for (k = i; k < d->rows.n && hours[k] == hours[i]; k++)
			;
		buf_svarint(&list, (int64_t)hours[i] - last);
		buf_varint(&list, k - i);
		last = hours[i];
	}
	free(hours);
	buf_varint(footer, n);
	buf_put(footer, list.data, list.len);
	return buf_err(&list);
}

static void put_text(struct buf *out, const struct build *b, uint32_t string)
{
	struct slice s = intern_get(&b->strings, string);
	buf_str(out, (struct str){ (const char *)s.data, s.len });
}

/* Type, unit and kind with the number of profiles that have them, as texts: `ls` opens no symbol table. */
static void put_types(struct buf *footer, const struct out_dataset *d)
{
	_buf_ struct buf list = BUF_INIT(LAYOUT_MAX_FOOTER);
	size_t n = 0;
	for (size_t h = 0; h < d->headers.n; h++) {
		const struct header_note *note = &d->headers.v[h];
		for (uint32_t t = 0; t < note->n_types; t++, n++) {
			put_text(&list, &d->build, note->types[2 * t]);
			put_text(&list, &d->build, note->types[2 * t + 1]);
			put_text(&list, &d->build, note->kind);
			buf_varint(&list, note->profiles);
		}
	}
	buf_varint(footer, n);
	buf_put(footer, list.data, list.len);
	if (buf_err(&list))
		footer->err = buf_err(&list);
}

static int compare_strings(const void *a, const void *b, void *ctx)
{
	const struct build *build = ctx;
	struct slice x = intern_get(&build->strings, *(const uint32_t *)a);
	struct slice y = intern_get(&build->strings, *(const uint32_t *)b);
	return str_cmp((struct str){ (const char *)x.data, x.len }, (struct str){ (const char *)y.data, y.len });
}

/* The distinct label keys of records that begin with key and value: sorted texts. */
static int put_keys(struct buf *footer, const struct build *b, const struct intern *records, bool of_samples)
{
	VEC(uint32_t) keys = { 0 };
	uint8_t *seen = calloc(b->strings.at.n + 1, 1);
	int r = seen ? 0 : -ENOMEM;
	for (uint32_t i = 0; i < records->at.n && r == 0; i++) {
		struct cursor c = cursor_of(intern_get(records, i));
		while (cursor_left(&c) && r == 0) {
			uint32_t key = (uint32_t)cursor_varint(&c);
			if (of_samples && cursor_u8(&c))
				cursor_svarint(&c);
			cursor_varint(&c);
			if (!of_samples)
				cursor_u8(&c);
			uint32_t *slot = seen[key] ? NULL : VEC_PUSH(&keys);
			if (slot)
				*slot = key;
			else if (!seen[key])
				r = -ENOMEM;
			seen[key] = 1;
		}
	}
	if (keys.n)
		qsort_r(keys.v, keys.n, sizeof *keys.v, compare_strings, (void *)b);
	buf_varint(footer, keys.n);
	for (size_t i = 0; i < keys.n; i++)
		put_text(footer, b, keys.v[i]);
	free(seen);
	VEC_DONE(&keys);
	return r;
}

static void put_section_list(struct buf *footer, const struct sections *s)
{
	buf_varint(footer, s->n);
	for (size_t i = 0; i < s->n; i++) {
		const struct section_out *e = &s->v[i];
		buf_u8(footer, e->kind);
		buf_u8(footer, e->codec);
		buf_varint(footer, e->off);
		buf_varint(footer, e->stored);
		buf_varint(footer, e->raw);
		buf_u64(footer, e->hash);
	}
}

static void put_shared_name(struct buf *footer, const struct shared_name *name)
{
	buf_varint(footer, name->size);
	if (name->size)
		buf_put(footer, name->ulid.b, sizeof name->ulid.b);
}

int out_dataset_info(struct buf *footer, const struct out_dataset *d, uint32_t version, const struct sections *s)
{
	int64_t first = INT64_MAX, last = INT64_MIN;
	for (size_t i = 0; i < d->rows.n; i++) {
		first = MIN(first, d->rows.v[i].time);
		last = MAX(last, d->rows.v[i].time);
	}
	buf_str(footer, (struct str){ d->service, d->service_len });
	buf_varint(footer, d->rows.n);
	buf_varint(footer, d->n_samples);
	buf_varint(footer, d->bytes_in);
	buf_svarint(footer, first);
	buf_svarint(footer, last);
	put_types(footer, d);
	int r = put_keys(footer, &d->build, &d->build.series, false);
	if (r == 0)
		r = put_keys(footer, &d->build, &d->build.labelsets, true);
	if (r == 0)
		r = put_hours(footer, d);
	put_section_list(footer, s);
	if (version > BLOCK_VERSION_PLAIN)
		put_shared_name(footer, &d->shared_name);
	return r ? r : buf_err(footer);
}

void out_shared_info(struct buf *footer, const struct out_dataset *d, int64_t time, const struct sections *s)
{
	buf_str(footer, (struct str){ d->service, d->service_len });
	for (int i = 0; i < 3; i++) /* profiles, samples, bytes in */
		buf_varint(footer, 0);
	buf_svarint(footer, time);
	buf_svarint(footer, time);
	for (int i = 0; i < 4; i++) /* types, label keys of both, hours */
		buf_varint(footer, 0);
	put_section_list(footer, s);
}

void out_magic(struct out *o)
{
	out_bytes(o, LAYOUT_MAGIC, LAYOUT_MAGIC_LEN);
}

void out_trailer(struct out *o, const struct buf *footer)
{
	_buf_ struct buf end = BUF_INIT(LAYOUT_MAX_FOOTER + LAYOUT_TRAILER_LEN);
	int r = buf_err(footer) ? buf_err(footer) : zst_compress(buf_slice(footer), LEVEL_SEGMENT, &end);
	uint32_t stored = (uint32_t)end.len;
	uint64_t hash = hash_bytes(end.data, end.len);
	buf_u64(&end, o->off);
	buf_u32(&end, stored);
	buf_u32(&end, (uint32_t)footer->len);
	buf_u64(&end, hash);
	buf_u32(&end, o->version);
	buf_u32(&end, 0);
	buf_put(&end, LAYOUT_END_MAGIC, LAYOUT_MAGIC_LEN);
	if ((r < 0 || (r = buf_err(&end)) < 0) && !o->result)
		o->result = r;
	out_bytes(o, end.data, end.len);
}

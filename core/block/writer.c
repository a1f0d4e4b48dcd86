/* SPDX-License-Identifier: MIT */

/*
 * Writes one object. Profiles are interned into their service's dataset as they come; their samples go to an open row
 * group of their header, which is compressed and closed when it is full, so memory grows with what will be written and
 * not with what came in.
 */

#include <string.h>

#include "../base/clock.h"
#include "../base/hash.h"
#include "../wire/zst.h"
#include "rowgroup.h"

#define LEVEL_SYMBOLS 3
#define LEVEL_SAMPLES 3

struct row {
	int64_t time, duration;
	uint32_t series, header, mapset, n_samples, group;
	uint8_t time_source;
	uint8_t hash[PROFILE_HASH_LEN];
};

struct sort_key {
	uint64_t key; /* stack, label set */
	uint32_t sample;
};

/* What the footer says of a header. */
struct header_note {
	uint32_t n_types, kind;
	uint32_t *types; /* type and unit of each: strings of the dataset */
	uint64_t profiles;
};

struct out_dataset {
	char *service;
	size_t service_len;
	struct build build;
	VEC(struct row) rows;
	VEC(int64_t) totals, divisors; /* n_types per row */
	VEC(struct header_note) headers;
	VEC(struct rowgroup) open;     /* one per header that has one */
	struct buf samples, index;     /* of closed groups */
	uint32_t n_groups;
	uint64_t n_samples, bytes_in;
};

struct block_writer {
	unsigned level;
	VEC(struct out_dataset *) datasets;
	struct build_map map;
	VEC(struct sort_key) keys, spare;
	VEC(uint32_t) stacks, labelsets;
	VEC(int64_t) values, divisors;
	struct buf details;
	size_t profiles;
};

int block_writer_new(unsigned level, struct block_writer **ret)
{
	struct block_writer *w = calloc(1, sizeof *w);
	if (!w)
		return -ENOMEM;
	w->level = level;
	w->details = BUF_INIT((size_t)256 << 20);
	build_map_init(&w->map);
	*ret = w;
	return 0;
}

static void dataset_drop(struct out_dataset *d)
{
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
	free(d->service);
	free(d);
}

static void writer_clear(struct block_writer *w)
{
	for (size_t i = 0; i < w->datasets.n; i++)
		dataset_drop(w->datasets.v[i]);
	w->datasets.n = 0;
	w->profiles = 0;
}

void block_writer_free(struct block_writer *w)
{
	if (!w)
		return;
	writer_clear(w);
	VEC_DONE(&w->datasets);
	build_map_done(&w->map);
	VEC_DONE(&w->keys);
	VEC_DONE(&w->spare);
	VEC_DONE(&w->stacks);
	VEC_DONE(&w->labelsets);
	VEC_DONE(&w->values);
	VEC_DONE(&w->divisors);
	buf_done(&w->details);
	free(w);
}

size_t block_writer_profiles(const struct block_writer *w)
{
	return w->profiles;
}

size_t block_writer_bytes(const struct block_writer *w)
{
	size_t n = 0;
	for (size_t i = 0; i < w->datasets.n; i++) {
		const struct out_dataset *d = w->datasets.v[i];
		n += build_memory(&d->build) + d->samples.len + d->index.len + d->rows.n * sizeof *d->rows.v +
		     (d->totals.n + d->divisors.n) * 8;
		for (size_t k = 0; k < d->open.n; k++)
			n += rowgroup_bytes(&d->open.v[k]);
	}
	return n;
}

static int dataset_new(struct block_writer *w, struct str service, struct out_dataset **ret)
{
	struct out_dataset **slot = VEC_GROW(&w->datasets, 1);
	struct out_dataset *d = calloc(1, sizeof *d);
	if (!slot || !d) {
		free(d);
		return -ENOMEM;
	}
	d->samples = BUF_INIT(LAYOUT_MAX_SECTION);
	d->index = BUF_INIT(LAYOUT_MAX_SECTION);
	d->service = malloc(service.len + 1);
	if (build_init(&d->build) < 0 || !d->service) {
		dataset_drop(d);
		return -ENOMEM;
	}
	memcpy(d->service, service.s, service.len);
	d->service[service.len] = '\0';
	d->service_len = service.len;
	*slot = *ret = d;
	w->datasets.n++;
	return 0;
}

static int dataset_find(struct block_writer *w, struct str service, struct out_dataset **ret)
{
	for (size_t i = 0; i < w->datasets.n; i++) {
		struct out_dataset *d = w->datasets.v[i];
		if (str_eq(service, (struct str){ d->service, d->service_len })) {
			*ret = d;
			return 0;
		}
	}
	return dataset_new(w, service, ret);
}

/* ---- one profile ---- */

static uint64_t gcd(uint64_t a, uint64_t b)
{
	while (b) {
		uint64_t r = a % b;
		a = b;
		b = r;
	}
	return a;
}

static int64_t divisor_of(const struct profile *p, size_t type)
{
	uint64_t g = 0;
	for (size_t i = 0; i < p->n_samples && g != 1; i++) {
		int64_t v = p->values.v[i * p->types.n + type];
		uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
		if (u && (!g || u % g))
			g = gcd(u, g);
	}
	return g == 0 || g > INT64_MAX ? 1 : (int64_t)g;
}

static int64_t total_of(const struct profile *p, size_t type)
{
	__int128 sum = 0;
	for (size_t i = 0; i < p->n_samples; i++)
		sum += p->values.v[i * p->types.n + type];
	return sum > INT64_MAX ? INT64_MAX : sum < INT64_MIN ? INT64_MIN : (int64_t)sum;
}

/* LSD radix sort by the bytes in which keys differ; leaves the result in w->keys. */
static void sort_keys(struct block_writer *w)
{
	size_t n = w->keys.n;
	uint64_t all = 0, first = n ? w->keys.v[0].key : 0;
	bool sorted = true;
	for (size_t i = 0; i < n; i++) {
		all |= w->keys.v[i].key ^ first;
		sorted &= !i || w->keys.v[i - 1].key <= w->keys.v[i].key;
	}
	struct sort_key *from = w->keys.v, *to = w->spare.v;
	for (unsigned shift = 0; shift < 64 && !sorted; shift += 8) {
		if (!(all >> shift & 0xff))
			continue;
		size_t at[256] = { 0 }, sum = 0;
		for (size_t i = 0; i < n; i++)
			at[from[i].key >> shift & 0xff]++;
		for (size_t d = 0; d < 256; d++) {
			size_t count = at[d];
			at[d] = sum;
			sum += count;
		}
		for (size_t i = 0; i < n; i++)
			to[at[from[i].key >> shift & 0xff]++] = from[i];
		struct sort_key *t = from;
		from = to;
		to = t;
	}
	if (from != w->keys.v)
		memcpy(w->keys.v, from, n * sizeof *from);
}

static int order_samples(struct block_writer *w, struct build *b, const struct profile *p)
{
	size_t n = p->n_samples, n_types = p->types.n;
	w->keys.n = w->spare.n = w->stacks.n = w->labelsets.n = w->values.n = 0;
	if (!VEC_GROW(&w->keys, n + 1) || !VEC_GROW(&w->spare, n + 1) || !VEC_GROW(&w->stacks, n + 1) ||
	    !VEC_GROW(&w->labelsets, n + 1) || !VEC_GROW(&w->values, n * n_types + 1))
		return -ENOMEM;
	if (build_stacks(b, &w->map, p, w->stacks.v) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		uint32_t set = build_labelset(b, &w->map, p, i);
		if (set == IDSET_NONE)
			return -ENOMEM;
		w->keys.v[i] = (struct sort_key){ (uint64_t)w->stacks.v[i] << 32 | set, (uint32_t)i };
	}
	w->keys.n = n;
	sort_keys(w);
	for (size_t i = 0; i < n; i++) {
		w->stacks.v[i] = (uint32_t)(w->keys.v[i].key >> 32);
		w->labelsets.v[i] = (uint32_t)w->keys.v[i].key;
		memcpy(w->values.v + i * n_types, p->values.v + (size_t)w->keys.v[i].sample * n_types,
		       n_types * sizeof(int64_t));
	}
	return 0;
}

/* What a profile says beyond samples: explicit addresses, and tables that no sample refers to. Empty where nothing. */
static int put_details(struct block_writer *w, const struct profile *p)
{
	struct build_map *m = &w->map;
	_buf_ struct buf locations = BUF_INIT(w->details.max), functions = BUF_INIT(w->details.max);
	uint32_t n_locations = 0, n_functions = 0;
	for (uint32_t i = 0; i < p->locations.n; i++)
		if (!m->location_used.v[i]) {
			buf_varint(&locations, m->locations.v[i]);
			n_locations++;
		}
	for (uint32_t i = 0; i < p->functions.n; i++)
		if (!m->function_used.v[i]) {
			buf_varint(&functions, m->functions.v[i]);
			n_functions++;
		}
	buf_reset(&w->details);
	if (!n_locations && !n_functions && !m->explicit_locations.n)
		return buf_err(&locations) | buf_err(&functions);
	buf_varint(&w->details, m->explicit_locations.n);
	uint64_t last = 0, last_id = 0;
	for (size_t i = 0; i < m->explicit_locations.n; i++) {
		uint32_t at = m->explicit_locations.v[i];
		const struct profile_location *l = &p->locations.v[at];
		buf_svarint(&w->details, (int64_t)(m->locations.v[at] - last_id));
		last_id = m->locations.v[at];
		buf_varint(&w->details, (uint32_t)(l->mapping + 1));
		buf_svarint(&w->details, (int64_t)(l->address - last));
		last = l->address;
	}
	buf_varint(&w->details, n_locations);
	buf_put(&w->details, locations.data, locations.len);
	buf_varint(&w->details, n_functions);
	buf_put(&w->details, functions.data, functions.len);
	return buf_err(&w->details) || buf_err(&locations) || buf_err(&functions) ? -ENOMEM : 0;
}

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
	int r = rowgroup_close(g, LEVEL_SAMPLES, &d->samples, &d->index);
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
	return 0;
}

static int add_row(struct out_dataset *d, const struct profile *p, const struct profile_meta *meta,
                   const struct row *row, const int64_t *divisors)
{
	size_t n_types = p->types.n;
	int64_t *totals = VEC_GROW(&d->totals, n_types + 1), *divs = VEC_GROW(&d->divisors, n_types + 1);
	struct row *slot = VEC_GROW(&d->rows, 1);
	if (!totals || !divs || !slot)
		return -ENOMEM;
	for (size_t t = 0; t < n_types; t++) {
		totals[t] = total_of(p, t);
		divs[t] = divisors[t];
	}
	*slot = *row;
	memcpy(slot->hash, meta->id.b + 6, PROFILE_HASH_LEN);
	d->totals.n += n_types;
	d->divisors.n += n_types;
	d->rows.n++;
	d->n_samples += p->n_samples;
	d->bytes_in += meta->bytes_in;
	return 0;
}

static int note_header(struct block_writer *w, struct out_dataset *d, const struct profile *p, uint32_t header)
{
	if (header < d->headers.n)
		return 0;
	uint32_t *types = malloc((p->types.n + 1) * 2 * sizeof *types);
	struct header_note *note = VEC_GROW(&d->headers, 1);
	if (!types || !note) {
		free(types);
		return -ENOMEM;
	}
	for (size_t t = 0; t < p->types.n; t++) {
		types[2 * t] = w->map.strings.v[p->types.v[t].type];
		types[2 * t + 1] = w->map.strings.v[p->types.v[t].unit];
	}
	*note = (struct header_note){ (uint32_t)p->types.n, w->map.strings.v[p->kind], types, 0 };
	d->headers.n++;
	return 0;
}

static int add_profile(struct block_writer *w, struct out_dataset *d, const struct profile *p,
                       const struct profile_meta *meta)
{
	struct build *b = &d->build;
	int r = build_map_start(b, &w->map, p);
	if (r < 0)
		return r;
	struct row row = {
		.time = meta->time,
		.duration = p->duration_ns,
		.series = build_series(b, &w->map, meta),
		.header = build_header(b, &w->map, p),
		.mapset = build_mapset(b, &w->map, p),
		.n_samples = (uint32_t)p->n_samples,
		.group = GROUP_OPEN,
		.time_source = meta->time_source,
	};
	uint32_t n_types = (uint32_t)p->types.n;
	w->divisors.n = 0;
	int64_t *divisors = VEC_GROW(&w->divisors, n_types + 1);
	if (row.series == IDSET_NONE || row.header == IDSET_NONE || row.mapset == IDSET_NONE || !divisors)
		return -ENOMEM;
	for (size_t t = 0; t < n_types; t++)
		divisors[t] = divisor_of(p, t);
	struct rowgroup *g = NULL;
	if ((r = note_header(w, d, p, row.header)) < 0 || (r = order_samples(w, b, p)) < 0 ||
	    (r = put_details(w, p)) < 0 || (r = group_for(d, row.header, n_types, &g)) < 0)
		return r;
	struct rowgroup_samples s = { row.n_samples, w->stacks.v, w->labelsets.v, w->values.v, divisors,
		                      buf_slice(&w->details) };
	if ((r = add_row(d, p, meta, &row, divisors)) < 0 || (r = rowgroup_add(g, &s)) < 0)
		return r;
	w->profiles++;
	d->headers.v[row.header].profiles++;
	if (rowgroup_bytes(g) >= ROWGROUP_BYTES || g->n_profiles >= ROWGROUP_PROFILES)
		return close_group(d, (size_t)(g - d->open.v));
	return 0;
}

int block_writer_add(struct block_writer *w, const struct profile *p, const struct profile_meta *meta,
                     struct error *err)
{
	if (p->types.n > LAYOUT_MAX_TYPES)
		return error_set(err, ERR_FORMAT_LIMIT, "%zu sample types: at most %d are stored", (size_t)p->types.n,
		                 LAYOUT_MAX_TYPES);
	struct out_dataset *d;
	int r = dataset_find(w, meta->service, &d);
	if (r >= 0)
		r = add_profile(w, d, p, meta);
	return r < 0 ? error_set(err, r, "out of memory while a segment is built") : 0;
}

/* ---- the object ---- */

struct section_out {
	uint8_t kind, codec;
	uint64_t off, stored, raw, hash;
};

struct sections {
	struct section_out v[SECTION_KINDS];
	size_t n;
};

static void section_put(struct buf *out, struct sections *s, uint8_t kind, const struct buf *raw)
{
	struct section_out *e = &s->v[s->n++];
	size_t at = out->len;
	*e = (struct section_out){ .kind = kind, .codec = CODEC_RAW, .off = at, .raw = raw->len };
	if (kind != SECTION_SAMPLES && kind != SECTION_IDS && raw->len) {
		e->codec = CODEC_ZSTD;
		if (zst_compress(buf_slice(raw), LEVEL_SYMBOLS, out) < 0 || out->len - at >= raw->len) {
			out->len = at;
			e->codec = CODEC_RAW;
		}
	}
	if (e->codec == CODEC_RAW)
		buf_put(out, raw->data, raw->len);
	if (buf_err(raw))
		out->err = buf_err(raw);
	e->stored = out->len - at;
	e->hash = out->err ? 0 : hash_bytes(out->data + at, e->stored);
}

static void put_interned(struct buf *out, struct sections *s, uint8_t kind, const struct intern *in)
{
	_buf_ struct buf raw = BUF_INIT(LAYOUT_MAX_SECTION);
	buf_varint(&raw, in->at.n);
	intern_encode(in, &raw);
	section_put(out, s, kind, &raw);
}

static void put_table(struct buf *out, struct sections *s, uint8_t kind, const struct build *b,
                      void (*encode)(const struct build *, struct buf *))
{
	_buf_ struct buf raw = BUF_INIT(LAYOUT_MAX_SECTION);
	encode(b, &raw);
	section_put(out, s, kind, &raw);
}

static void put_profiles(struct buf *out, struct sections *s, const struct out_dataset *d)
{
	enum { TIME, DURATION, SERIES, HEADER, MAPSET, SAMPLES, GROUP, SOURCE, TOTALS, DIVISORS, COLUMNS };
	struct buf c[COLUMNS], raw = BUF_INIT(LAYOUT_MAX_SECTION), ids = BUF_INIT(LAYOUT_MAX_SECTION);
	for (size_t i = 0; i < COLUMNS; i++)
		c[i] = BUF_INIT(LAYOUT_MAX_SECTION);
	int64_t time = 0;
	size_t at = 0;
	for (size_t i = 0; i < d->rows.n; i++) {
		const struct row *r = &d->rows.v[i];
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
			out->err = buf_err(&c[i]);
		buf_done(&c[i]);
	}
	section_put(out, s, SECTION_PROFILES, &raw);
	section_put(out, s, SECTION_IDS, &ids);
	buf_done(&raw);
	buf_done(&ids);
}

static int dataset_put(struct buf *out, struct sections *s, struct out_dataset *d)
{
	while (d->open.n) {
		int r = close_group(d, d->open.n - 1);
		if (r < 0)
			return r;
	}
	const struct build *b = &d->build;
	put_interned(out, s, SECTION_STRINGS, &b->strings);
	put_table(out, s, SECTION_FUNCTIONS, b, build_encode_functions);
	put_table(out, s, SECTION_FILES, b, build_encode_files);
	put_table(out, s, SECTION_LOCATIONS, b, build_encode_locations);
	put_table(out, s, SECTION_STACKS, b, build_encode_stacks);
	put_interned(out, s, SECTION_LABELSETS, &b->labelsets);
	put_interned(out, s, SECTION_HEADERS, &b->headers);
	put_interned(out, s, SECTION_MAPSETS, &b->mapsets);
	put_interned(out, s, SECTION_SERIES, &b->series);
	put_profiles(out, s, d);
	_buf_ struct buf groups = BUF_INIT(LAYOUT_MAX_SECTION);
	buf_varint(&groups, d->n_groups);
	buf_put(&groups, d->index.data, d->index.len);
	section_put(out, s, SECTION_GROUPS, &groups);
	section_put(out, s, SECTION_SAMPLES, &d->samples);
	return buf_err(out);
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

static int put_dataset_info(struct buf *footer, const struct out_dataset *d, const struct sections *s)
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
	return r;
}

static void put_trailer(struct buf *out, const struct buf *footer)
{
	size_t at = out->len;
	if (zst_compress(buf_slice(footer), LEVEL_SYMBOLS, out) < 0 && !out->err)
		out->err = -ENOMEM;
	if (out->err)
		return;
	uint64_t hash = hash_bytes(out->data + at, out->len - at);
	uint32_t stored = (uint32_t)(out->len - at);
	buf_u64(out, at);
	buf_u32(out, stored);
	buf_u32(out, (uint32_t)footer->len);
	buf_u64(out, hash);
	buf_u32(out, BLOCK_VERSION);
	buf_u32(out, 0);
	buf_put(out, LAYOUT_END_MAGIC, LAYOUT_MAGIC_LEN);
}

int block_writer_finish(struct block_writer *w, struct buf *out, struct error *err)
{
	_buf_ struct buf footer = BUF_INIT(LAYOUT_MAX_FOOTER);
	struct buf object = BUF_INIT(out->max);
	buf_put(&object, LAYOUT_MAGIC, LAYOUT_MAGIC_LEN);
	buf_varint(&footer, w->level);
	buf_varint(&footer, w->datasets.n);
	int r = 0;
	for (size_t i = 0; i < w->datasets.n && r == 0; i++) {
		struct sections s = { 0 };
		r = dataset_put(&object, &s, w->datasets.v[i]);
		if (r == 0)
			r = put_dataset_info(&footer, w->datasets.v[i], &s);
	}
	put_trailer(&object, &footer);
	if (r == 0)
		r = buf_err(&footer) ? buf_err(&footer) : buf_err(&object);
	if (out->data) {
		buf_put(out, object.data, object.len);
		buf_done(&object);
	} else {
		*out = object;
	}
	writer_clear(w);
	if (r == 0)
		r = buf_err(out);
	return r < 0 ? error_set(err, r, "a segment could not be built: %s", err_text(r)) : 0;
}

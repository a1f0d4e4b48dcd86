/* SPDX-License-Identifier: MIT */

/*
 * Writes one object. Profiles are interned into their service's dataset as they come; their samples go to an open row
 * group of their header, which is compressed and closed when it is full, so memory grows with what will be written and
 * not with what came in.
 */

#include <string.h>

#include "order.h"
#include "out.h"

struct block_writer {
	unsigned level;
	VEC(struct out_dataset *) datasets;
	struct build_map map;
	struct sample_order order;
	VEC(uint32_t) stacks, labelsets;
	VEC(int64_t) values;
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

static void writer_clear(struct block_writer *w)
{
	for (size_t i = 0; i < w->datasets.n; i++)
		out_dataset_free(w->datasets.v[i]);
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
	sample_order_done(&w->order);
	VEC_DONE(&w->stacks);
	VEC_DONE(&w->labelsets);
	VEC_DONE(&w->values);
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
	for (size_t i = 0; i < w->datasets.n; i++)
		n += out_dataset_memory(w->datasets.v[i]);
	return n;
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
	struct out_dataset **slot = VEC_GROW(&w->datasets, 1);
	int r = slot ? out_dataset_new(service, LEVEL_SEGMENT, slot) : -ENOMEM;
	if (r < 0)
		return r;
	w->datasets.n++;
	*ret = *slot;
	return 0;
}

/* ---- one profile ---- */

static int64_t divisor_of(const struct profile *p, size_t type)
{
	uint64_t g = 0;
	for (size_t i = 0; i < p->n_samples && g != 1; i++) {
		int64_t v = p->values.v[i * p->types.n + type];
		uint64_t u = v < 0 ? -(uint64_t)v : (uint64_t)v;
		if (u && (!g || u % g))
			g = divisor_gcd(u, g);
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

static int order_samples(struct block_writer *w, struct build *b, const struct profile *p)
{
	size_t n = p->n_samples, n_types = p->types.n;
	w->stacks.n = w->labelsets.n = w->values.n = 0;
	struct sort_key *keys = sample_order_keys(&w->order, n);
	if (!keys || !VEC_GROW(&w->stacks, n + 1) || !VEC_GROW(&w->labelsets, n + 1) ||
	    !VEC_GROW(&w->values, n * n_types + 1))
		return -ENOMEM;
	if (build_stacks(b, &w->map, p, w->stacks.v) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		uint32_t set = build_labelset(b, &w->map, p, i);
		if (set == IDSET_NONE)
			return -ENOMEM;
		keys[i] = (struct sort_key){ (uint64_t)w->stacks.v[i] << 32 | set, (uint32_t)i };
	}
	keys = sample_order_sort(&w->order, n);
	for (size_t i = 0; i < n; i++) {
		w->stacks.v[i] = (uint32_t)(keys[i].key >> 32);
		w->labelsets.v[i] = (uint32_t)keys[i].key;
		memcpy(w->values.v + i * n_types, p->values.v + (size_t)keys[i].sample * n_types,
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

static int note_header(struct block_writer *w, struct out_dataset *d, const struct profile *p, uint32_t header)
{
	if (header < d->headers.n)
		return 0;
	struct value_type types[LAYOUT_MAX_TYPES];
	for (size_t t = 0; t < p->types.n; t++)
		types[t] = (struct value_type){ w->map.strings.v[p->types.v[t].type],
			                        w->map.strings.v[p->types.v[t].unit] };
	return out_dataset_header(d, header, types, (uint32_t)p->types.n, w->map.strings.v[p->kind]);
}

static int add_profile(struct block_writer *w, struct out_dataset *d, const struct profile *p,
                       const struct profile_meta *meta)
{
	struct build *b = &d->build;
	int r = build_map_start(b, &w->map, p);
	if (r < 0)
		return r;
	struct out_row row = {
		.time = meta->time,
		.duration = p->duration_ns,
		.series = build_series(b, &w->map, meta),
		.header = build_header(b, &w->map, p),
		.mapset = build_mapset(b, &w->map, p),
		.n_samples = (uint32_t)p->n_samples,
		.time_source = meta->time_source,
	};
	memcpy(row.hash, meta->id.b + 6, PROFILE_HASH_LEN);
	int64_t divisors[LAYOUT_MAX_TYPES], totals[LAYOUT_MAX_TYPES];
	if (row.series == IDSET_NONE || row.header == IDSET_NONE || row.mapset == IDSET_NONE)
		return -ENOMEM;
	for (size_t t = 0; t < p->types.n; t++) {
		divisors[t] = divisor_of(p, t);
		totals[t] = total_of(p, t);
	}
	if ((r = note_header(w, d, p, row.header)) < 0 || (r = order_samples(w, b, p)) < 0 ||
	    (r = put_details(w, p)) < 0)
		return r;
	struct rowgroup_samples s = { row.n_samples, w->stacks.v, w->labelsets.v, w->values.v, divisors,
		                      buf_slice(&w->details) };
	r = out_dataset_add(d, &row, &s, totals, meta->bytes_in);
	w->profiles += r == 0;
	return r;
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

static int write_buf(void *ctx, const void *data, size_t n, struct error *err)
{
	struct buf *out = ctx;
	buf_put(out, data, n);
	return buf_err(out);
}

int block_writer_finish(struct block_writer *w, struct buf *out, struct error *err)
{
	_buf_ struct buf footer = BUF_INIT(LAYOUT_MAX_FOOTER);
	struct merge_sink sink = { write_buf, out };
	struct out o = { .sink = &sink, .err = err, .level = LEVEL_SEGMENT, .version = BLOCK_VERSION_PLAIN };
	out_magic(&o);
	buf_varint(&footer, w->level);
	buf_varint(&footer, w->datasets.n);
	int r = 0;
	for (size_t i = 0; i < w->datasets.n && r == 0; i++) {
		struct sections s = { 0 };
		r = out_dataset_put(&o, w->datasets.v[i], &s);
		if (r == 0)
			r = out_dataset_info(&footer, w->datasets.v[i], o.version, &s);
	}
	out_trailer(&o, &footer);
	writer_clear(w);
	if (r == 0)
		r = o.result;
	return r < 0 ? error_set(err, r, "a segment could not be built: %s", err_text(r)) : 0;
}

/* SPDX-License-Identifier: MIT */
#include "rollup.h"

#include <string.h>

#include "../base/hash.h"
#include "increase.h"

void wide_put(struct buf *b, __int128 v)
{
	unsigned __int128 z = (unsigned __int128)v << 1 ^ (unsigned __int128)(v >> 127);
	for (; z >= 0x80; z >>= 7)
		buf_u8(b, (uint8_t)z | 0x80);
	buf_u8(b, (uint8_t)z);
}

__int128 wide_get(struct cursor *c)
{
	unsigned __int128 z = 0;
	for (unsigned shift = 0; shift < 128; shift += 7) {
		uint8_t byte = cursor_u8(c);
		z |= (unsigned __int128)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return (__int128)(z >> 1) ^ -(__int128)(z & 1);
	}
	return (__int128)cursor_fail(c);
}

void fingerprint_of_service(struct str service, uint8_t ret[16])
{
	XXH128_canonicalFromHash((XXH128_canonical_t *)ret, XXH3_128bits(service.s, service.len));
}

void fingerprint_add(uint64_t sum[2], const uint8_t service[16], const struct ulid *id, uint8_t role)
{
	uint8_t key[33];
	memcpy(key, service, 16);
	memcpy(key + 16, id->b, 16);
	key[32] = role;
	XXH128_hash_t h = XXH3_128bits(key, sizeof key);
	sum[0] += h.low64;
	sum[1] += h.high64 + (sum[0] < h.low64);
}

/* ---- the directory ---- */

static void *dir_alloc(struct dataset *d, struct cursor *c, uint64_t n, size_t size)
{
	bool fits = n <= cursor_left(c);
	void *v = fits ? arena_calloc(&d->arena, n + 1, size) : NULL;
	if (!v) {
		d->out_of_memory |= fits;
		cursor_fail(c);
	}
	return v;
}

static void get_kinds(struct dataset *d, struct cursor *c)
{
	struct rollups *r = &d->rollups;
	uint64_t n = cursor_varint_max(c, cursor_left(c)), headers = d->profiles.n_headers;
	struct rollup_kind *kinds = dir_alloc(d, c, n, sizeof *kinds);
	uint32_t *kind_of = dir_alloc(d, c, 2 * headers, sizeof *kind_of);
	for (uint64_t i = 0; i < n && !c->bad; i++) {
		kinds[i].header = (uint32_t)cursor_varint(c);
		uint8_t flags = cursor_u8(c);
		kinds[i].running = flags & ROLLUP_RUNNING;
		kinds[i].instant = flags & ROLLUP_INSTANT;
		kinds[i].rolled = flags & ROLLUP_ROLLED;
		if (kinds[i].header >= headers)
			cursor_fail(c);
	}
	for (uint64_t i = 0; i < 2 * headers && !c->bad; i++)
		kind_of[i] = (uint32_t)cursor_varint_max(c, n) - 1;
	r->kinds = kinds;
	r->kind_of = kind_of;
	r->n_kinds = (uint32_t)n;
}

static uint32_t kind_types(const struct dataset *d, uint32_t kind)
{
	return d->profiles.headers[d->rollups.kinds[kind].header].n_types;
}

/* A group has its stacks and the sums of every type of its kind, in this order. */
static void get_group(struct dataset *d, struct cursor *c, uint64_t *off, struct cell_group *g)
{
	g->kind = (uint32_t)cursor_varint(c);
	if (c->bad || g->kind >= d->rollups.n_kinds) {
		cursor_fail(c);
		return;
	}
	g->n_streams = 1 + kind_types(d, g->kind);
	g->streams = dir_alloc(d, c, g->n_streams, sizeof *g->streams);
	uint64_t limit = d->sections[SECTION_CELLS].stored;
	for (uint32_t i = 0; i < g->n_streams && !c->bad; i++) {
		bool fits = stream_decode(c, i, off, limit, &g->streams[i], g->streams);
		if (!fits || g->streams[i].kind != (i ? STREAM_VALUES + i - 1 : STREAM_STACKS))
			cursor_fail(c);
	}
}

static void get_groups(struct dataset *d, struct cursor *c)
{
	uint64_t n = cursor_varint_max(c, cursor_left(c)), off = 0;
	d->cell_groups = dir_alloc(d, c, n, sizeof *d->cell_groups);
	for (uint64_t i = 0; i < n && !c->bad; i++)
		get_group(d, c, &off, &d->cell_groups[i]);
	d->n_cell_groups = c->bad ? 0 : (uint32_t)n;
}

static void get_members(struct dataset *d, struct cursor *c, struct rollup_cell *cell)
{
	uint64_t n = cursor_varint_max(c, cursor_left(c)), at = 0;
	uint32_t *members = dir_alloc(d, c, n, sizeof *members);
	for (uint64_t i = 0; i < n && !c->bad; i++) {
		at += cursor_varint_max(c, UINT32_MAX);
		members[i] = (uint32_t)at;
		if (at >= d->profiles.n_series)
			cursor_fail(c);
	}
	cell->members = members;
	cell->n_members = (uint32_t)n;
}

static void get_types(struct dataset *d, struct cursor *c, struct rollup_cell *cell, struct cell_place *place)
{
	uint32_t n = kind_types(d, cell->kind);
	uint64_t *divisors = dir_alloc(d, c, n, sizeof *divisors);
	uint32_t *restarts = dir_alloc(d, c, n, sizeof *restarts);
	for (uint32_t t = 0; t < n && !c->bad; t++) {
		divisors[t] = cursor_varint(c);
		restarts[t] = (uint32_t)cursor_varint_max(c, UINT32_MAX);
	}
	place->divisors = divisors;
	cell->restarts = restarts;
}

static void get_facts(struct cursor *c, struct rollup_cell *cell)
{
	cell->profiles = cursor_varint(c);
	cell->samples = cursor_varint(c);
	cell->first = cursor_svarint(c);
	cell->last = sat_add(cell->first, (int64_t)cursor_varint_max(c, INT64_MAX));
	cell->duration = (int64_t)cursor_varint_max(c, INT64_MAX);
	cell->fingerprint[0] = cursor_u64(c);
	cell->fingerprint[1] = cursor_u64(c);
}

static void get_cell(struct dataset *d, struct cursor *c, struct rollup_cell *cell, struct cell_place *place,
                     int64_t *hour)
{
	cell->kind = (uint32_t)cursor_varint(c);
	cell->series = (uint32_t)cursor_varint_max(c, d->profiles.n_series) - 1;
	*hour += cursor_svarint(c);
	cell->hour = (int32_t)*hour;
	cell->whole = cursor_u8(c) != 0;
	place->group = (uint32_t)cursor_varint(c);
	place->n = (uint32_t)cursor_varint_max(c, UINT32_MAX - 1);
	bool fits = !c->bad && *hour >= INT32_MIN && *hour <= INT32_MAX && place->group < d->n_cell_groups &&
	            cell->kind == d->cell_groups[place->group].kind;
	if (!fits) {
		cursor_fail(c);
		return;
	}
	get_facts(c, cell);
	get_members(d, c, cell);
	get_types(d, c, cell, place);
}

static void get_cells(struct dataset *d, struct cursor *c)
{
	uint64_t n = cursor_varint_max(c, cursor_left(c)), before = 0;
	struct rollup_cell *cells = dir_alloc(d, c, n, sizeof *cells);
	d->cell_places = dir_alloc(d, c, n, sizeof *d->cell_places);
	int64_t hour = 0;
	for (uint64_t i = 0; i < n && !c->bad; i++) {
		struct cell_place *place = &d->cell_places[i];
		get_cell(d, c, &cells[i], place, &hour);
		if (i && place->group < place[-1].group)
			cursor_fail(c);
		if (i && place->group != place[-1].group)
			before = 0;
		place->before = before;
		before += place->n;
	}
	d->rollups.cells = cells;
	d->rollups.n_cells = c->bad ? 0 : (uint32_t)n;
}

int rollups_load(struct dataset *d, struct slice in)
{
	struct cursor c = cursor_of(in);
	d->out_of_memory = false;
	get_kinds(d, &c);
	if (!c.bad)
		get_groups(d, &c);
	if (!c.bad)
		get_cells(d, &c);
	if (!c.bad && !cursor_left(&c))
		return 0;
	d->rollups = (struct rollups){ 0 };
	return d->out_of_memory ? -ENOMEM : ERR_CORRUPT_LAYOUT;
}

static int compare_cell(const struct rollup_cell *cell, uint32_t kind, uint32_t series, bool whole, int32_t hour)
{
	if (cell->kind != kind)
		return CMP(cell->kind, kind);
	if (cell->series != series)
		return CMP(cell->series, series);
	if (cell->whole != whole)
		return CMP(cell->whole, whole);
	return whole ? 0 : CMP(cell->hour, hour);
}

uint32_t rollup_find(const struct rollups *r, uint32_t kind, uint32_t series, bool whole, int32_t hour)
{
	uint32_t low = 0, high = r->n_cells;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int cmp = compare_cell(&r->cells[mid], kind, series, whole, hour);
		if (!cmp)
			return mid;
		if (cmp < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return PROFILE_NONE;
}

/* ---- sums ---- */

void rollup_sums_done(struct rollup_sums *s)
{
	free(s->stacks);
	free(s->values);
	*s = (struct rollup_sums){ 0 };
}

void rollup_streams_done(struct rollup_streams *s)
{
	for (uint32_t i = 0; i < s->n; i++)
		free(s->raw[i]);
	free(s->raw);
	*s = (struct rollup_streams){ 0 };
}

/* The stream that has the bytes of a group's i-th one. */
static uint32_t stream_source(const struct cell_group *g, uint32_t i)
{
	return g->streams[i].copy_of >= 0 ? (uint32_t)g->streams[i].copy_of : i;
}

static int streams_begin(struct rollup_streams *s, uint32_t group, uint32_t n)
{
	if (s->n && s->group == group)
		return 0;
	rollup_streams_done(s);
	s->raw = calloc(n, sizeof *s->raw);
	if (!s->raw)
		return -ENOMEM;
	s->group = group;
	s->n = n;
	return 0;
}

static int decode_stream(struct dataset *d, const struct stream *s, const uint8_t *stored, uint8_t **ret,
                         struct error *err)
{
	int r = stored_decode(s->codec, (struct slice){ stored, s->stored }, s->hash, s->raw, ret);
	if (r < 0)
		error_set(err, r, "%s: service %.*s: rollup at byte %llu: %s", d->block->name,
		          (int)d->info.service.len, d->info.service.s,
		          (unsigned long long)(d->sections[SECTION_CELLS].off + s->off), err_text(r));
	return r;
}

/* Of the streams that are wanted, those that are not there; in one read. */
static int read_streams(struct dataset *d, const struct cell_group *g, const bool *wanted, struct rollup_streams *s,
                        struct error *err)
{
	struct source_range ranges[1 + LAYOUT_MAX_TYPES];
	size_t bytes = 0, n = 0;
	for (uint32_t i = 0; i < g->n_streams; i++)
		bytes += wanted[i] ? g->streams[i].stored : 0;
	_free_ uint8_t *stored = malloc(bytes + 1);
	if (!stored)
		return -ENOMEM;
	size_t at = 0;
	for (uint32_t i = 0; i < g->n_streams; i++) {
		const struct stream *from = &g->streams[i];
		if (wanted[i] && from->stored)
			ranges[n++] = (struct source_range){ d->sections[SECTION_CELLS].off + from->off, from->stored,
				                             stored + at };
		at += wanted[i] ? from->stored : 0;
	}
	int r = n ? block_read(d->block, ranges, n, err) : 0;
	at = 0;
	for (uint32_t i = 0; i < g->n_streams && r == 0; i++) {
		if (!wanted[i])
			continue;
		r = decode_stream(d, &g->streams[i], stored + at, &s->raw[i], err);
		at += g->streams[i].stored;
	}
	return r;
}

uint32_t rollup_group(const struct dataset *d, const struct rollup_cell *cell)
{
	return d->cell_places[cell - d->rollups.cells].group;
}

int rollup_load(struct dataset *d, const struct rollup_cell *cell, uint64_t types, struct rollup_streams *s,
                struct error *err)
{
	bool wanted[1 + LAYOUT_MAX_TYPES] = { false };
	uint32_t number = rollup_group(d, cell);
	const struct cell_group *g = &d->cell_groups[number];
	int r = streams_begin(s, number, g->n_streams);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < g->n_streams; i++) {
		uint32_t source = stream_source(g, i);
		if ((!i || types >> (i - 1) & 1) && !s->raw[source])
			wanted[source] = true;
	}
	return read_streams(d, g, wanted, s, err);
}

static void skip_entries(struct cursor *c, uint64_t n)
{
	while (n && c->p < c->end)
		n -= *c->p++ < 0x80;
	if (n)
		cursor_fail(c);
}

static bool decode_stacks(struct slice raw, const struct cell_place *place, uint32_t limit, uint32_t *out)
{
	struct cursor c = cursor_of(raw);
	uint64_t stack = 0;
	skip_entries(&c, place->before);
	for (uint32_t i = 0; i < place->n; i++) {
		stack += cursor_varint_max(&c, UINT32_MAX);
		if (stack >= limit)
			return false;
		out[i] = (uint32_t)stack;
	}
	return !c.bad;
}

static bool decode_values(struct slice raw, const struct cell_place *place, uint64_t divisor, __int128 *out)
{
	struct cursor c = cursor_of(raw);
	skip_entries(&c, place->before);
	for (uint32_t i = 0; i < place->n; i++)
		if (__builtin_mul_overflow(wide_get(&c), (__int128)divisor, &out[i]))
			return false;
	return !c.bad;
}

int rollup_sums_of(struct dataset *d, const struct rollup_cell *cell, unsigned type, const struct rollup_streams *from,
                   struct rollup_sums *ret, struct error *err)
{
	const struct symbols *symbols;
	int r = dataset_symbols(d, &symbols, err);
	if (r < 0)
		return r;
	const struct cell_place *place = &d->cell_places[cell - d->rollups.cells];
	const struct cell_group *g = &d->cell_groups[place->group];
	uint32_t source = stream_source(g, 1 + type);
	struct slice stacks = { from->raw[0], g->streams[0].raw };
	struct slice values = { from->raw[source], g->streams[source].raw };
	assert(type < kind_types(d, cell->kind) && from->n && from->group == place->group && from->raw[source]);
	struct rollup_sums s = { .n = place->n,
		                 .stacks = malloc(((size_t)place->n + 1) * sizeof *s.stacks),
		                 .values = malloc(((size_t)place->n + 1) * sizeof *s.values) };
	if (!s.stacks || !s.values)
		r = -ENOMEM;
	else if (!decode_stacks(stacks, place, symbols->n_stacks, s.stacks) ||
	         !decode_values(values, place, place->divisors[type], s.values))
		r = corrupt(d, err, "a rollup does not fit its directory");
	if (r < 0)
		rollup_sums_done(&s);
	else
		*ret = s;
	return r;
}

int rollup_read(struct dataset *d, const struct rollup_cell *cell, unsigned type, struct rollup_sums *ret,
                struct error *err)
{
	_cleanup_(rollup_streams_done) struct rollup_streams streams = { 0 };
	int r = rollup_load(d, cell, UINT64_C(1) << type, &streams, err);
	return r < 0 ? r : rollup_sums_of(d, cell, type, &streams, ret, err);
}

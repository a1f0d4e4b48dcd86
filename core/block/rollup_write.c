/* SPDX-License-Identifier: MIT */
#include "rollup_write.h"

#include <string.h>

#include "../base/clock.h"
#include "order.h"
#include "rollup.h"

/*
 * Where cells pay: those of all series take at most a quarter of the entries of the samples that they sum up (else the
 * kind has none), those of one series an eighth each.
 */
#define PAYS_ALL 4
#define PAYS_SERIES 8
#define CELLS_MAX ((size_t)1 << 30)

/* Sums by stack that are emptied and filled again. */
struct acc {
	uint32_t n_types;
	wide_t *sums;          /* [stack * n_types + type] */
	uint8_t *there;        /* by stack */
	size_t n_stacks;
	VEC(uint32_t) touched;
	struct rollup_cell facts;
	VEC(uint32_t) members;
	uint32_t *restarts;    /* by type */
};

/* A finished cell: its streams lie in `data`, one behind the other. */
struct cell {
	struct rollup_cell facts;
	uint32_t *members, *restarts;
	uint64_t *divisors;
	uint32_t n;
	size_t at;
	uint32_t *lens; /* of the stacks' stream, then of each type's */
};

struct kind_state {
	bool spoiled;
	struct acc series, hour, whole;
	uint64_t samples, entries; /* entries: of cells of all series */
	uint32_t n_hours;
};

struct rollup_writer {
	const struct rollup_plan *plan;
	uint8_t service_hash[16];
	struct kind_state *kinds;
	uint32_t kind;     /* at hand */
	bool any;
	VEC(struct cell) cells;
	struct buf data;   /* their streams, raw */
	size_t small;      /* bytes of lists beside it */
};

/* ---- accumulators ---- */

static void acc_done(struct acc *a)
{
	free(a->sums);
	free(a->there);
	VEC_DONE(&a->touched);
	VEC_DONE(&a->members);
	free(a->restarts);
}

static int acc_init(struct acc *a, uint32_t n_types)
{
	a->n_types = n_types;
	a->restarts = calloc((size_t)n_types + 1, sizeof *a->restarts);
	return a->restarts ? 0 : -ENOMEM;
}

static void acc_clear(struct acc *a)
{
	for (size_t i = 0; i < a->touched.n; i++) {
		memset(a->sums + (size_t)a->touched.v[i] * a->n_types, 0, a->n_types * sizeof *a->sums);
		a->there[a->touched.v[i]] = 0;
	}
	a->touched.n = a->members.n = 0;
	memset(a->restarts, 0, a->n_types * sizeof *a->restarts);
	a->facts = (struct rollup_cell){ 0 };
}

static int acc_grow(struct acc *a, uint32_t stack)
{
	size_t n = MAX((size_t)stack + 1, a->n_stacks * 2);
	wide_t *sums = realloc(a->sums, (n * a->n_types + 1) * sizeof *sums);
	if (!sums)
		return -ENOMEM;
	a->sums = sums;
	uint8_t *there = realloc(a->there, n);
	if (!there)
		return -ENOMEM;
	a->there = there;
	memset(sums + a->n_stacks * a->n_types, 0, (n - a->n_stacks) * a->n_types * sizeof *sums);
	memset(there + a->n_stacks, 0, n - a->n_stacks);
	a->n_stacks = n;
	return 0;
}

static wide_t *acc_at(struct acc *a, uint32_t stack)
{
	if (stack >= a->n_stacks && acc_grow(a, stack) < 0)
		return NULL;
	if (!a->there[stack]) {
		uint32_t *slot = VEC_PUSH(&a->touched);
		if (!slot)
			return NULL;
		*slot = stack;
		a->there[stack] = 1;
	}
	return a->sums + (size_t)stack * a->n_types;
}

static size_t acc_memory(const struct acc *a)
{
	return a->n_stacks * (a->n_types * sizeof *a->sums + 1) + a->touched.cap * 4;
}

static void facts_add(struct rollup_cell *to, const struct rollup_cell *from)
{
	to->first = to->profiles ? MIN(to->first, from->first) : from->first;
	to->last = to->profiles ? MAX(to->last, from->last) : from->last;
	to->profiles += from->profiles;
	to->samples += from->samples;
	to->duration = sat_add(to->duration, from->duration);
	to->fingerprint[0] += from->fingerprint[0];
	to->fingerprint[1] += from->fingerprint[1] + (to->fingerprint[0] < from->fingerprint[0]);
}

/* Members of hours come in order each; the whole has them sorted when it is closed. */
static int members_add(struct acc *to, const struct acc *from)
{
	uint32_t *slot = VEC_GROW(&to->members, from->members.n + 1);
	if (!slot)
		return -ENOMEM;
	if (from->members.n)
		memcpy(slot, from->members.v, from->members.n * sizeof *slot);
	to->members.n += from->members.n;
	return 0;
}

/* Adds what `from` holds, and empties it. */
static int acc_move(struct acc *to, struct acc *from)
{
	for (size_t i = 0; i < from->touched.n; i++) {
		const wide_t *sums = from->sums + (size_t)from->touched.v[i] * from->n_types;
		wide_t *at = acc_at(to, from->touched.v[i]);
		if (!at)
			return -ENOMEM;
		for (uint32_t t = 0; t < from->n_types; t++)
			at[t] += sums[t];
	}
	for (uint32_t t = 0; t < from->n_types; t++)
		to->restarts[t] += from->restarts[t];
	if (members_add(to, from) < 0)
		return -ENOMEM;
	facts_add(&to->facts, &from->facts);
	acc_clear(from);
	return 0;
}

/* ---- a cell ---- */

static int compare_u32(const void *a, const void *b)
{
	return CMP(*(const uint32_t *)a, *(const uint32_t *)b);
}

static size_t sort_unique(uint32_t *v, size_t n)
{
	size_t m = 0;
	if (n)
		qsort(v, n, sizeof *v, compare_u32);
	for (size_t i = 0; i < n; i++)
		if (!i || v[i] != v[m - 1])
			v[m++] = v[i];
	return m;
}

static uint64_t acc_divisor(const struct acc *a, uint32_t type)
{
	uint64_t g = 0;
	for (size_t i = 0; i < a->touched.n && g != 1; i++) {
		wide_t v = a->sums[(size_t)a->touched.v[i] * a->n_types + type];
		if (v < 0)
			v = -v;
		if (v > INT64_MAX)
			return 1;
		if (v && (!g || (uint64_t)v % g))
			g = divisor_gcd((uint64_t)v, g);
	}
	return g ? g : 1;
}

static int cell_lists(struct cell *c, const struct acc *a)
{
	uint32_t types = a->n_types;
	c->members = malloc((a->members.n + 1) * sizeof *c->members);
	c->restarts = malloc(((size_t)types + 1) * sizeof *c->restarts);
	c->divisors = malloc(((size_t)types + 1) * sizeof *c->divisors);
	c->lens = malloc(((size_t)types + 2) * sizeof *c->lens);
	if (!c->members || !c->restarts || !c->divisors || !c->lens)
		return -ENOMEM;
	if (a->members.n)
		memcpy(c->members, a->members.v, a->members.n * sizeof *c->members);
	memcpy(c->restarts, a->restarts, types * sizeof *c->restarts);
	return 0;
}

static void cell_done(struct cell *c)
{
	free(c->members);
	free(c->restarts);
	free(c->divisors);
	free(c->lens);
}

static void cell_streams(struct rollup_writer *w, struct cell *c, const struct acc *a)
{
	struct buf *b = &w->data;
	uint32_t last = 0;
	c->at = b->len;
	for (size_t i = 0; i < a->touched.n; i++) {
		buf_varint(b, a->touched.v[i] - last);
		last = a->touched.v[i];
	}
	c->lens[0] = (uint32_t)(b->len - c->at);
	for (uint32_t t = 0; t < a->n_types; t++) {
		size_t from = b->len;
		c->divisors[t] = acc_divisor(a, t);
		for (size_t i = 0; i < a->touched.n; i++)
			wide_put(b, a->sums[(size_t)a->touched.v[i] * a->n_types + t] / (wide_t)c->divisors[t]);
		c->lens[1 + t] = (uint32_t)(b->len - from);
	}
}

/* Stores what the accumulator holds as a cell. */
static int cell_put(struct rollup_writer *w, struct acc *a, uint32_t kind, uint32_t series, int32_t hour, bool whole)
{
	struct cell *c = VEC_GROW(&w->cells, 1);
	if (!c)
		return -ENOMEM;
	a->touched.n = sort_unique(a->touched.v, a->touched.n);
	a->members.n = sort_unique(a->members.v, a->members.n);
	*c = (struct cell){ .facts = a->facts, .n = (uint32_t)a->touched.n };
	if (cell_lists(c, a) < 0) {
		cell_done(c);
		return -ENOMEM;
	}
	w->cells.n++;
	c->facts.kind = kind;
	c->facts.series = series;
	c->facts.hour = hour;
	c->facts.whole = whole;
	c->facts.n_members = (uint32_t)a->members.n;
	w->small += a->members.n * 4 + (size_t)a->n_types * 16 + sizeof *c;
	cell_streams(w, c, a);
	return buf_err(&w->data) ? -ENOMEM : 0;
}

static int32_t hour_of(int64_t time)
{
	return (int32_t)time_floor_div(time, NS_PER_HOUR);
}

static int close_series(struct rollup_writer *w, uint32_t kind)
{
	struct kind_state *k = &w->kinds[kind];
	struct acc *a = &k->series;
	int r = 0;
	if (!a->facts.profiles)
		return 0;
	if (!k->spoiled && a->touched.n * PAYS_SERIES <= a->facts.samples)
		r = cell_put(w, a, kind, a->members.v[0], hour_of(a->facts.first), false);
	return r < 0 ? r : acc_move(&k->hour, a);
}

static int close_hour(struct rollup_writer *w, uint32_t kind)
{
	struct kind_state *k = &w->kinds[kind];
	int r = close_series(w, kind);
	if (r < 0 || !k->hour.facts.profiles)
		return r;
	k->n_hours++;
	k->entries += k->hour.touched.n;
	k->samples += k->hour.facts.samples;
	if (!k->spoiled)
		r = cell_put(w, &k->hour, kind, PROFILE_NONE, hour_of(k->hour.facts.first), false);
	return r < 0 ? r : acc_move(&k->whole, &k->hour);
}

static int close_whole(struct rollup_writer *w, uint32_t kind)
{
	struct kind_state *k = &w->kinds[kind];
	int r = close_hour(w, kind);
	if (r < 0 || k->spoiled || k->n_hours < 2)
		return r;
	k->entries += k->whole.touched.n;
	return cell_put(w, &k->whole, kind, PROFILE_NONE, hour_of(k->whole.facts.first), true);
}

/* ---- profiles ---- */

static void kind_done(struct kind_state *k)
{
	acc_done(&k->series);
	acc_done(&k->hour);
	acc_done(&k->whole);
}

void rollup_writer_free(struct rollup_writer *w)
{
	if (!w)
		return;
	for (uint32_t i = 0; w->kinds && i < w->plan->n_kinds; i++)
		kind_done(&w->kinds[i]);
	free(w->kinds);
	for (size_t i = 0; i < w->cells.n; i++)
		cell_done(&w->cells.v[i]);
	VEC_DONE(&w->cells);
	buf_done(&w->data);
	free(w);
}

int rollup_writer_new(const struct rollup_plan *plan, struct rollup_writer **ret)
{
	_cleanup_(rollup_writer_freep) struct rollup_writer *w = calloc(1, sizeof *w);
	if (!w)
		return -ENOMEM;
	w->plan = plan;
	w->data = BUF_INIT(CELLS_MAX);
	fingerprint_of_service(plan->service, w->service_hash);
	w->kinds = calloc((size_t)plan->n_kinds + 1, sizeof *w->kinds);
	if (!w->kinds)
		return -ENOMEM;
	for (uint32_t i = 0; i < plan->n_kinds; i++) {
		struct kind_state *k = &w->kinds[i];
		k->spoiled = !plan->kinds[i].rolled;
		if (acc_init(&k->series, plan->n_types[i]) < 0 || acc_init(&k->hour, plan->n_types[i]) < 0 ||
		    acc_init(&k->whole, plan->n_types[i]) < 0)
			return -ENOMEM;
	}
	*ret = TAKE_PTR(w);
	return 0;
}

size_t rollup_writer_memory(const struct rollup_writer *w)
{
	size_t n = w->data.len + w->small;
	for (uint32_t i = 0; i < w->plan->n_kinds; i++)
		n += acc_memory(&w->kinds[i].series) + acc_memory(&w->kinds[i].hour) + acc_memory(&w->kinds[i].whole);
	return n;
}

void rollup_spoil(struct rollup_writer *w, uint32_t kind)
{
	w->kinds[kind].spoiled = true;
}

/* Closes what ends before this row. */
static int advance(struct rollup_writer *w, const struct rollup_row *row)
{
	struct kind_state *k = &w->kinds[row->kind];
	int r = 0;
	if (k->series.facts.profiles && k->series.members.v[0] != row->series)
		r = close_series(w, row->kind);
	bool hour_open = k->series.facts.profiles || k->hour.facts.profiles;
	int64_t open = k->series.facts.profiles ? k->series.facts.first : k->hour.facts.first;
	if (r == 0 && hour_open && hour_of(open) != hour_of(row->time))
		r = close_hour(w, row->kind);
	return r;
}

int rollup_row(struct rollup_writer *w, const struct rollup_row *row)
{
	struct kind_state *k = &w->kinds[row->kind];
	int r = advance(w, row);
	if (r < 0)
		return r;
	if (!k->series.members.n) {
		uint32_t *member = VEC_PUSH(&k->series.members);
		if (!member)
			return -ENOMEM;
		*member = row->series;
	}
	struct rollup_cell facts = { .profiles = 1, .samples = row->n_samples, .first = row->time, .last = row->time,
		                     .duration = MAX(row->duration, (int64_t)0) };
	fingerprint_add(facts.fingerprint, w->service_hash, &row->id, 1);
	facts_add(&k->series.facts, &facts);
	w->kind = row->kind;
	return 0;
}

int rollup_add(struct rollup_writer *w, uint32_t type, const struct stack_list *values, int64_t weight, bool restart)
{
	struct acc *a = &w->kinds[w->kind].series;
	a->restarts[type] += restart;
	for (uint32_t i = 0; i < values->n; i++) {
		wide_t *at = acc_at(a, values->stacks[i]);
		if (!at)
			return -ENOMEM;
		at[type] += (wide_t)values->values[i] * weight;
	}
	return 0;
}

/* ---- the sections ---- */

/* By kind, series (all: last), the whole behind its hours, hour. */
static int compare_cells(const void *a, const void *b)
{
	const struct rollup_cell *x = &((const struct cell *)a)->facts, *y = &((const struct cell *)b)->facts;
	if (x->kind != y->kind)
		return CMP(x->kind, y->kind);
	if (x->series != y->series)
		return CMP(x->series, y->series);
	return x->whole != y->whole ? x->whole - y->whole : CMP(x->hour, y->hour);
}

static bool kind_pays(const struct kind_state *k)
{
	return !k->spoiled && k->n_hours && k->entries * PAYS_ALL <= k->samples;
}

static void put_kinds(const struct rollup_writer *w, struct buf *out)
{
	const struct rollup_plan *p = w->plan;
	buf_varint(out, p->n_kinds);
	for (uint32_t i = 0; i < p->n_kinds; i++) {
		buf_varint(out, p->kinds[i].header);
		buf_u8(out, (uint8_t)((p->kinds[i].running ? ROLLUP_RUNNING : 0) |
		                      (p->kinds[i].instant ? ROLLUP_INSTANT : 0) |
		                      (kind_pays(&w->kinds[i]) ? ROLLUP_ROLLED : 0)));
	}
	for (uint32_t i = 0; i < 2 * p->n_headers; i++)
		buf_varint(out, (uint32_t)(p->kind_of[i] + 1));
}

/* Streams of cells of one kind, gathered until they are worth a group. */
struct cell_streams {
	uint32_t kind, n_types;
	struct buf *v; /* stacks, then types */
	size_t n_cells, bytes;
};

static bool same_bytes(const struct buf *a, const struct buf *b)
{
	return a->len == b->len && (!a->len || !memcmp(a->data, b->data, a->len));
}

static void group_close(struct cell_streams *s, int level, struct buf *cells, struct buf *index)
{
	buf_varint(index, s->kind);
	stream_put(STREAM_STACKS, &s->v[0], level, cells, index);
	for (uint32_t t = 0; t < s->n_types; t++) {
		uint32_t copy = 0;
		while (copy < t && !same_bytes(&s->v[1 + copy], &s->v[1 + t]))
			copy++;
		if (copy == t) {
			stream_put((uint8_t)(STREAM_VALUES + t), &s->v[1 + t], level, cells, index);
		} else {
			buf_u8(index, (uint8_t)(STREAM_VALUES + t));
			buf_u8(index, (uint8_t)(1 + 1 + copy));
		}
	}
	for (uint32_t i = 0; i <= s->n_types; i++)
		buf_reset(&s->v[i]);
	s->n_cells = s->bytes = 0;
}

static void put_cell(struct buf *out, const struct cell *c, uint32_t group, uint32_t n_types, int64_t *hour)
{
	const struct rollup_cell *f = &c->facts;
	buf_varint(out, f->kind);
	buf_varint(out, (uint32_t)(f->series + 1));
	buf_svarint(out, f->hour - *hour);
	*hour = f->hour;
	buf_u8(out, f->whole);
	buf_varint(out, group);
	buf_varint(out, c->n);
	buf_varint(out, f->profiles);
	buf_varint(out, f->samples);
	buf_svarint(out, f->first);
	buf_varint(out, (uint64_t)f->last - (uint64_t)f->first);
	buf_varint(out, (uint64_t)f->duration);
	buf_u64(out, f->fingerprint[0]);
	buf_u64(out, f->fingerprint[1]);
	buf_varint(out, f->n_members);
	uint32_t last = 0;
	for (uint32_t i = 0; i < f->n_members; i++) {
		buf_varint(out, c->members[i] - last);
		last = c->members[i];
	}
	for (uint32_t t = 0; t < n_types; t++) {
		buf_varint(out, c->divisors[t]);
		buf_varint(out, c->restarts[t]);
	}
}

static int streams_begin(struct cell_streams *s, uint32_t kind, uint32_t n_types)
{
	for (uint32_t i = 0; s->v && i <= s->n_types; i++)
		buf_done(&s->v[i]);
	free(s->v);
	*s = (struct cell_streams){ .kind = kind, .n_types = n_types };
	s->v = calloc((size_t)n_types + 1, sizeof *s->v);
	for (uint32_t i = 0; s->v && i <= n_types; i++)
		s->v[i] = BUF_INIT(CELLS_MAX);
	return s->v ? 0 : -ENOMEM;
}

static void streams_done(struct cell_streams *s)
{
	streams_begin(s, 0, 0);
	free(s->v);
}

static void streams_add(struct rollup_writer *w, struct cell_streams *s, const struct cell *c)
{
	const uint8_t *from = w->data.data + c->at;
	for (uint32_t i = 0; i <= s->n_types; i++) {
		buf_put(&s->v[i], from, c->lens[i]);
		from += c->lens[i];
		s->bytes += c->lens[i];
	}
	s->n_cells++;
}

/* Cells in order, cut into groups; list: what the directory says of them. */
static int put_cells(struct rollup_writer *w, struct out_dataset *d, struct buf *groups, uint32_t *n_groups,
                     struct buf *list, uint32_t *n_cells)
{
	_cleanup_(streams_done) struct cell_streams s = { .kind = PROFILE_NONE };
	int64_t hour = 0;
	for (size_t i = 0; i < w->cells.n; i++) {
		const struct cell *c = &w->cells.v[i];
		if (!kind_pays(&w->kinds[c->facts.kind]))
			continue;
		if (s.n_cells && (s.kind != c->facts.kind || s.bytes >= CELL_GROUP_BYTES)) {
			group_close(&s, d->level, &d->cells, groups);
			++*n_groups;
		}
		if (s.kind != c->facts.kind && streams_begin(&s, c->facts.kind, w->plan->n_types[c->facts.kind]) < 0)
			return -ENOMEM;
		streams_add(w, &s, c);
		put_cell(list, c, *n_groups, s.n_types, &hour);
		++*n_cells;
	}
	if (s.n_cells) {
		group_close(&s, d->level, &d->cells, groups);
		++*n_groups;
	}
	return 0;
}

int rollup_finish(struct rollup_writer *w, struct out_dataset *d)
{
	_buf_ struct buf groups = BUF_INIT(CELLS_MAX), list = BUF_INIT(CELLS_MAX);
	uint32_t n_groups = 0, n_cells = 0;
	int r = 0;
	for (uint32_t k = 0; k < w->plan->n_kinds && r == 0; k++)
		r = close_whole(w, k);
	if (r < 0)
		return r;
	if (w->cells.n)
		qsort(w->cells.v, w->cells.n, sizeof *w->cells.v, compare_cells);
	put_kinds(w, &d->rollups);
	r = put_cells(w, d, &groups, &n_groups, &list, &n_cells);
	buf_varint(&d->rollups, n_groups);
	buf_put(&d->rollups, groups.data, groups.len);
	buf_varint(&d->rollups, n_cells);
	buf_put(&d->rollups, list.data, list.len);
	if (r == 0 && (buf_err(&groups) || buf_err(&list) || buf_err(&d->rollups) || buf_err(&d->cells)))
		r = -ENOMEM;
	return r;
}

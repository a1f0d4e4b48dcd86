/* SPDX-License-Identifier: MIT */

/*
 * Rollups do not show: whatever is asked of random profiles is the same of segments, of blocks with rollups, of blocks
 * with a tail of late and repeated profiles beside them, and with rollups switched off.
 */

#include "compact.h"

#include "../../../core/block/reader.h"
#include "../../../core/query/internal.h"

#define HEAP "alloc_objects/count,alloc_space/bytes,inuse_objects/count,inuse_space/bytes"
#define SERIES 3
#define MOST 2000

struct rng {
	uint64_t state;
};

static uint32_t below(struct rng *r, uint32_t n)
{
	r->state = r->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(r->state >> 33) % n;
}

/* ---- random profiles ---- */

/* What a data set has beside the usual. */
enum trait {
	GAPS = 1,        /* silences of series, longer than lives */
	DIFFERENCES = 2, /* negative inuse_* */
	ALLOCS = 4,      /* allocs beside heap */
	UNITS = 8,       /* cpu in microseconds too */
	KINDS = 16,      /* a type in profiles of several kinds; cumulative cpu */
	SAMPLE_LABELS = 32,
	SERVICES = 64,
	ORDINALS = 128, /* equal locations that are told apart by ordinals */
};

struct data {
	struct rng rng;
	unsigned traits;
	struct spec specs[MOST];
	char labels[SERIES][64];
	char *owned[MOST];
	uint32_t n;
	int64_t grown[SERIES][16]; /* running totals by stack */
};

static const char *stack_of(uint32_t i)
{
	static const char *const stacks[] = {
		"main;a", "main;a;b@f.go:1", "main;a;b@f.go:2", "main;c<d@g.go:7", "main", "-", "0x10@/lib/x.so;e",
		"main;g;h;i",
	};
	return stacks[i % ARRAY_SIZE(stacks)];
}

static void push(struct data *d, struct spec s, char *samples)
{
	assert_true(d->n < MOST);
	s.samples = d->owned[d->n] = samples;
	d->specs[d->n++] = s;
}

static char *events(struct data *d, unsigned columns)
{
	struct buf b = BUF_INIT(LIMIT);
	for (uint32_t i = 0, n = 4 + below(&d->rng, 5); i < n; i++) {
		buf_printf(&b, "%s", stack_of(below(&d->rng, 8)));
		for (unsigned c = 0; c < columns; c++)
			buf_printf(&b, " %d", (int)below(&d->rng, 90) - 5);
		if (d->traits & SAMPLE_LABELS && below(&d->rng, 3) == 0)
			buf_printf(&b, " route=/%u", below(&d->rng, 3));
		buf_putc(&b, '\n');
	}
	buf_u8(&b, 0);
	return (char *)b.data;
}

/* Totals that grow, at times begin anew; states beside them where there are four columns. */
static char *totals(struct data *d, uint32_t series, unsigned columns)
{
	struct buf b = BUF_INIT(LIMIT);
	bool restart = below(&d->rng, 12) == 0;
	for (uint32_t i = 0; i < 6; i++) {
		int64_t *grown = &d->grown[series][i];
		*grown = restart ? (int64_t)below(&d->rng, 3) : *grown + below(&d->rng, 20);
		int state = (int)below(&d->rng, 50) - (d->traits & DIFFERENCES && below(&d->rng, 40) == 0 ? 60 : 0);
		if (*grown)
			buf_printf(&b, columns == 4 ? "%s %lld %lld %d %d\n" : "%s %lld %lld\n", stack_of(i),
			           (long long)*grown, (long long)*grown * 8, state, state * 8);
	}
	buf_printf(&b, "main;z %s\n", columns == 4 ? "1 1 1 1" : "1 1");
	buf_u8(&b, 0);
	return (char *)b.data;
}

static void push_events(struct data *d, struct spec s)
{
	bool micro = d->traits & UNITS && below(&d->rng, 4) == 0;
	s.duration = 10 * SECOND;
	s.types = micro ? "samples/count,cpu/microseconds" : "samples/count,cpu/nanoseconds";
	if (d->traits & KINDS && below(&d->rng, 30) == 0)
		s.temporality = TEMPORALITY_CUMULATIVE;
	push(d, s, events(d, 2));
}

static void push_heap(struct data *d, struct spec s, uint32_t series)
{
	bool allocs = d->traits & ALLOCS && below(&d->rng, 6) == 0;
	s.types = HEAP;
	s.kind = allocs ? "allocs" : NULL;
	push(d, s, totals(d, series, 4));
}

static void push_other(struct data *d, struct spec s, uint32_t series)
{
	bool mutex = below(&d->rng, 2);
	s.types = mutex ? "contentions/count,delay/nanoseconds" : "goroutine/count";
	s.kind = mutex && d->traits & KINDS && below(&d->rng, 3) ? "mutex" : NULL;
	push(d, s, mutex ? totals(d, series, 2) : events(d, 1));
}

/* Five hours over midnight. */
static void make(struct data *d, uint64_t seed, unsigned traits)
{
	*d = (struct data){ .rng = { seed }, .traits = traits };
	int64_t from = T0 + 9 * HOUR + 1800 * SECOND, time[SERIES];
	for (uint32_t s = 0; s < SERIES; s++) {
		snprintf(d->labels[s], sizeof d->labels[s], "pod=%u,version=%u", s, s / 2);
		time[s] = from + (int64_t)below(&d->rng, 60) * SECOND;
	}
	for (uint32_t i = 0; i < 1100; i++) {
		uint32_t s = below(&d->rng, SERIES);
		struct spec spec = { .labels = d->labels[s], .time = time[s],
			             .service = d->traits & SERVICES && s == 2 ? "other" : "svc",
			             .apart = d->traits & ORDINALS && below(&d->rng, 3) == 0 };
		uint32_t kind = below(&d->rng, 4);
		if (kind < 2)
			push_events(d, spec);
		else if (kind == 2)
			push_heap(d, spec, s);
		else
			push_other(d, spec, s);
		time[s] += (int64_t)(1 + below(&d->rng, 100)) * SECOND / (1 + below(&d->rng, 2));
		if (d->traits & GAPS && below(&d->rng, 100) == 0)
			time[s] += 20 * MINUTE;
	}
}

static void done(struct data *d)
{
	for (uint32_t i = 0; i < d->n; i++)
		free(d->owned[i]);
}

/* ---- layouts ---- */

/* Writes the profiles of some tenths, from..to, in segments. */
static void write_part(struct fixture *f, const struct data *d, uint32_t from, uint32_t to, uint32_t per_segment)
{
	const struct spec *order[MOST];
	uint32_t n = 0;
	for (uint32_t i = 0; i < d->n; i++)
		if (i * 7 % 10 >= from && i * 7 % 10 < to)
			order[n++] = &d->specs[i];
	for (uint32_t i = 0; i < n; i += per_segment)
		write_specs(f, order + i, MIN(per_segment, n - i));
}

/* Puts profiles that may be in the store already: as another writer's segments. */
static void write_again(struct fixture *f, const struct spec *const *specs, size_t n)
{
	struct fixture other;
	struct view *v;
	setup(&other);
	write_specs(&other, specs, n);
	assert_int_equal(db_view(other.db, 0, &v, NULL), 0);
	for (size_t i = 0; i < view_objects(v); i++) {
		_buf_ struct buf bytes = BUF_INIT(LIMIT);
		assert_int_equal(store_get(other.store, view_object(v, i)->key, LIMIT, &bytes, NULL), 0);
		assert_int_equal(store_put(f->store, view_object(v, i)->key, buf_slice(&bytes), NULL), 0);
	}
	view_unref(v);
	teardown(&other);
}

static void lay_segments(struct fixture *f, const struct data *d)
{
	write_part(f, d, 0, 10, 150);
}

static void lay_block(struct fixture *f, const struct data *d)
{
	write_part(f, d, 0, 10, 110);
	compact(f, 1, SIZE_MAX, true);
}

static void lay_block_of_blocks(struct fixture *f, const struct data *d)
{
	write_part(f, d, 0, 5, 200);
	compact(f, 1, SIZE_MAX, true);
	write_part(f, d, 5, 10, 200);
	compact(f, 2, SIZE_MAX, true);
}

/* Late profiles everywhere. */
static void lay_tail(struct fixture *f, const struct data *d)
{
	write_part(f, d, 0, 9, 300);
	compact(f, 1, SIZE_MAX, true);
	write_part(f, d, 9, 10, 40);
}

/* Profiles of the first half once more beside the block. */
static void lay_repeated(struct fixture *f, const struct data *d)
{
	const struct spec *some[40], *more[40];
	lay_block(f, d);
	for (uint32_t i = 0; i < 40; i++) {
		some[i] = &d->specs[i * 3];
		more[i] = &d->specs[200 + i];
	}
	write_again(f, some, 40);
	write_again(f, more, 40);
}

/* As a compaction leaves it that knew of one copy only: blocks that overlap. */
static void lay_overlapping(struct fixture *f, const struct data *d)
{
	const struct spec *some[40];
	lay_block(f, d);
	for (uint32_t i = 0; i < 40; i++)
		some[i] = &d->specs[150 + i];
	write_again(f, some, 40);
	compact(f, 2, SIZE_MAX, true);
	write_again(f, some, 20);
}

/*
 * As two compactors leave it that did not see each other, which no commit allows: two bases of one view over the same
 * hours, of which the middle third of the segments is in both.
 */
static void lay_two_bases(struct fixture *f, const struct data *d)
{
	struct view *v;
	write_part(f, d, 0, 10, 90);
	assert_int_equal(db_view(f->db, 0, &v, NULL), 0);
	for (size_t from = 0, to; from < view_objects(v); from = to) {
		int32_t day = view_object(v, from)->day;
		for (to = from; to < view_objects(v) && view_object(v, to)->day == day;)
			to++;
		size_t third = (to - from + 2) / 3;
		compact_day(f, v, day, 1, 0, 2 * third, true);
		compact_day(f, v, day, 2, third, SIZE_MAX, true);
	}
	view_unref(v);
}

static void lay_plain_block(struct fixture *f, const struct data *d)
{
	write_part(f, d, 0, 10, 300);
	compact(f, 1, SIZE_MAX, false);
}

/* ---- everything that can be asked ---- */

static void tell_info(const struct query_info *i, struct buf *out)
{
	buf_put(out, i->fingerprint, sizeof i->fingerprint);
	const uint64_t numbers[] = {
		i->profiles, i->samples, i->series, i->differences, i->lookback, i->restarts, i->first_of_series,
		i->heap_shadowed, i->damaged, (uint64_t)i->first, (uint64_t)i->last, (uint64_t)i->duration,
		i->type_class, i->cumulative, i->averaged, (uint64_t)i->covered,
	};
	for (size_t k = 0; k < ARRAY_SIZE(numbers); k++)
		buf_printf(out, "%llu ", (unsigned long long)numbers[k]);
	buf_printf(out, "%s %s\n", i->type, i->unit);
}

static void tell_points(struct query *q, struct buf *out)
{
	const struct point *p;
	const struct steps *s;
	size_t n;
	assert_int_equal(query_points(q, NULL, &p, &n, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		size_t labels;
		char id[ULID_LEN + 1];
		const struct label *l = query_series_labels(q, p[i].series, &labels);
		buf_printf(out, "%s %lld %lld %lld %lld s%u g%u %d %.*s\n", ulid_format(&p[i].id, id),
		           (long long)p[i].time, (long long)p[i].duration, (long long)p[i].value,
		           (long long)p[i].lives, p[i].series, p[i].group, p[i].first,
		           labels ? (int)l[0].value.len : 0, labels ? l[0].value.s : "");
	}
	assert_int_equal(query_steps(q, NULL, &s, NULL), 0);
	for (size_t i = 0; i < s->n * s->n_groups; i++)
		if (s->v[i].covered)
			buf_printf(out, "%zu=%.17g/%.17g/%u ", i, s->v[i].sum, s->v[i].rate, s->v[i].profiles);
	query_groups(q, &n);
	buf_printf(out, "%zu groups\n", n);
}

static void tell_labels(struct query *q, struct buf *out)
{
	const struct labels *l;
	const struct type_count *types;
	const int32_t *hours;
	size_t n;
	assert_int_equal(query_labels(q, true, NULL, &l, NULL), 0);
	for (size_t i = 0; i < l->n; i++)
		for (size_t k = 0; k < l->v[i].n; k++)
			buf_printf(out, "%.*s=%.*s %llu\n", (int)l->v[i].key.len, l->v[i].key.s,
			           (int)l->v[i].values[k].value.len, l->v[i].values[k].value.s,
			           (unsigned long long)l->v[i].values[k].profiles);
	assert_int_equal(query_types(q, &types, &n, NULL), 0);
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "%.*s %llu\n", (int)types[i].name.len, types[i].name.s,
		           (unsigned long long)types[i].profiles);
	assert_int_equal(query_hours(q, &hours, &n, NULL), 0);
	for (size_t i = 0; i < n; i++)
		buf_printf(out, "h%d ", hours[i]);
}

static void tell_samples(const struct profile *p, struct buf *out)
{
	for (size_t t = 0; t < p->types.n; t++)
		buf_str(out, profile_str(p, p->types.v[t].type));
	buf_printf(out, "%lld %lld\n", (long long)p->time_ns, (long long)p->duration_ns);
	for (size_t i = 0; i < p->n_samples; i++) {
		for (uint32_t k = p->loc_at.v[i]; k < p->loc_at.v[i + 1]; k++)
			buf_printf(out, "%u;", p->locs.v[k]);
		for (size_t t = 0; t < p->types.n; t++)
			buf_printf(out, " %lld", (long long)p->values.v[i * p->types.n + t]);
		buf_putc(out, '\n');
	}
}

static void tell_profile(struct query *q, struct buf *out)
{
	struct profile p;
	assert_int_equal(query_profile(q, NULL, &p, NULL), 0);
	assert_int_equal(profile_verify(&p, NULL), 0);
	tell_samples(&p, out);
	assert_int_equal(pprof_encode(&p, out), 0);
	profile_done(&p);
}

static void tell_call_tree(struct query *q, struct buf *out)
{
	const struct call_tree *t;
	struct error err = { 0 };
	int r = query_tree(q, NULL, &t, &err);
	if (r < 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	tell_tree(t, out);
	buf_putc(out, '\n');
}

/* In two orders, since results learn of each other. */
static void tell(struct query *q, bool points_first, struct buf *out)
{
	tell_info(query_info(q), out);
	if (points_first) {
		tell_points(q, out);
		tell_info(query_info(q), out);
		tell_profile(q, out);
		tell_call_tree(q, out);
	} else {
		tell_call_tree(q, out);
		tell_info(query_info(q), out);
		assert_int_equal(query_resolve(q, NULL, NULL), 0);
		tell_profile(q, out);
		tell_points(q, out);
	}
	tell_info(query_info(q), out);
	tell_labels(q, out);
}

/* ---- selections ---- */

static struct selection *random_selection(struct rng *r)
{
	static const char *const types[] = { "cpu", "cpu", "samples", "alloc_space", "alloc_objects", "inuse_space",
		                             "goroutine", "delay", "mutex.delay", NULL };
	struct selection *s = select_type(types[below(r, ARRAY_SIZE(types))]);
	int64_t begin = T0 + 9 * HOUR;
	if (below(r, 4)) {
		s->from = begin + (int64_t)below(r, 4) * HOUR;
		s->to = s->from + (int64_t)(1 + below(r, 4)) * HOUR;
	}
	if (below(r, 3) == 0) {
		s->from = begin + (int64_t)below(r, 7200) * SECOND;
		s->to = s->from + (int64_t)below(r, 14400) * SECOND;
	}
	if (below(r, 4) == 0)
		match(s, below(r, 2) ? "pod" : "version", below(r, 2) ? MATCH_EQ : MATCH_NE, below(r, 2) ? "1" : "0");
	if (below(r, 8) == 0)
		match(s, "route", MATCH_NE, "/1");
	if (below(r, 4) == 0)
		filter(s, (enum filter_kind)below(r, 4), below(r, 2) ? "^a$|f.go" : "main");
	if (below(r, 4) == 0)
		s->by = strdup(below(r, 3) ? "pod" : "route");
	if (below(r, 4) == 0)
		free(TAKE_PTR(s->service));
	s->options.granularity = (enum granularity)below(r, 4);
	return s;
}

/* How much of what was asked rollups answered. */
struct used {
	uint64_t light, rolled[3]; /* profiles, by enum type_class */
};

static void tell_all(struct fixture *f, uint64_t seed, unsigned n, enum plan_mode mode, struct buf *out,
                     struct used *used)
{
	struct rng r = { seed };
	for (unsigned i = 0; i < n; i++) {
		struct error err = { 0 };
		struct view *v;
		struct query *q;
		struct selection *s = random_selection(&r);
		assert_int_equal(db_view(f->db, 0, &v, &err), 0);
		assert_int_equal(query_make(v, NULL, s, mode, NULL, &q, &err), 0);
		used->light += q->cells.n;
		tell(q, i % 2, out);
		used->rolled[query_info(q)->type_class] += q->rolled + (q->planned ? q->planned->rolled : 0);
		query_unref(q);
		view_unref(v);
		selection_free(s);
	}
}

static void assert_same(const struct buf *a, const struct buf *b, const char *layout)
{
	size_t at = 0;
	while (at < MIN(a->len, b->len) && a->data[at] == b->data[at])
		at++;
	if (at == a->len && a->len == b->len)
		return;
	size_t from = at > 300 ? at - 300 : 0;
	print_error("%s differs at byte %zu of %zu and %zu:\n%.*s\n----\n%.*s\n", layout, at, a->len, b->len,
	            (int)MIN(a->len - from, (size_t)400), a->data + from, (int)MIN(b->len - from, (size_t)400),
	            b->data + from);
	fail();
}

static const struct layout {
	const char *name;
	void (*lay)(struct fixture *f, const struct data *d);
	enum plan_mode mode;
	enum { CELLS_NONE, CELLS_SOME, CELLS_ANY } cells; /* SOME: must be used */
} layouts[] = {
	{ "segments", lay_segments, PLAN_LIGHT, CELLS_NONE },
	{ "a block", lay_block, PLAN_LIGHT, CELLS_SOME },
	{ "a block, planned by rows", lay_block, PLAN_ROWS, CELLS_SOME },
	{ "a block, without its rollups", lay_block, PLAN_EXACT, CELLS_NONE },
	{ "a block of blocks", lay_block_of_blocks, PLAN_LIGHT, CELLS_SOME },
	{ "a block and a tail", lay_tail, PLAN_LIGHT, CELLS_ANY },
	{ "a block and repeated profiles", lay_repeated, PLAN_LIGHT, CELLS_ANY },
	{ "blocks merged with repeated profiles", lay_overlapping, PLAN_LIGHT, CELLS_SOME },
	{ "two bases that overlap", lay_two_bases, PLAN_LIGHT, CELLS_ANY },
	{ "a block without rollups", lay_plain_block, PLAN_LIGHT, CELLS_NONE },
};

static uint64_t rolled(const struct used *used)
{
	return used->rolled[TYPE_EVENT] + used->rolled[TYPE_RUNNING] + used->rolled[TYPE_INSTANT];
}

/* Where nothing is odd, rollups answer for every class of types. */
static void assert_used(const struct used *used, unsigned traits, enum plan_mode mode)
{
	assert_true(rolled(used) > 0);
	if (traits & ~(unsigned)(GAPS | UNITS))
		return;
	assert_true(used->rolled[TYPE_EVENT] && used->rolled[TYPE_RUNNING] && used->rolled[TYPE_INSTANT]);
	assert_true(mode == PLAN_ROWS || used->light);
}

static void compare_layouts(uint64_t seed, unsigned traits)
{
	static struct data d;
	_buf_ struct buf first = BUF_INIT(LIMIT);
	make(&d, seed, traits);
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		_buf_ struct buf told = BUF_INIT(LIMIT);
		struct used used = { 0 };
		struct fixture f;
		setup(&f);
		layouts[i].lay(&f, &d);
		tell_all(&f, seed, 60, layouts[i].mode, &told, &used);
		teardown(&f);
		if (i)
			assert_same(&first, &told, layouts[i].name);
		else
			buf_put(&first, told.data, told.len);
		if (layouts[i].cells == CELLS_SOME)
			assert_used(&used, traits, layouts[i].mode);
		else if (layouts[i].cells == CELLS_NONE)
			assert_int_equal(used.light + rolled(&used), 0);
	}
	assert_true(first.len > 10000);
	done(&d);
}

static void test_rollups_do_not_show(void **state)
{
	compare_layouts(1, 0);
	compare_layouts(2, GAPS);
	compare_layouts(3, GAPS | UNITS);
}

static void test_rollups_of_states_and_totals(void **state)
{
	compare_layouts(4, DIFFERENCES);
	compare_layouts(5, ALLOCS);
	compare_layouts(6, KINDS | GAPS);
	compare_layouts(10, ORDINALS);
}

static void test_rollups_beside_what_they_cannot_answer(void **state)
{
	compare_layouts(7, SAMPLE_LABELS);
	compare_layouts(8, SERVICES);
	compare_layouts(9, SERVICES | SAMPLE_LABELS | KINDS | ALLOCS | UNITS | GAPS);
}

/* ---- uses of a function ---- */

static void tell_use(struct buf *out, const char *service, const struct str *type, struct query *q, const char *name)
{
	const struct call_tree *t;
	const struct point *p;
	int64_t self = 0, first = 0, last = 0;
	uint64_t profiles = 0;
	size_t n;
	assert_int_equal(query_tree_by(q, BY_FUNCTION, NULL, &t, NULL), 0);
	assert_int_equal(query_points(q, NULL, &p, &n, NULL), 0);
	for (uint32_t i = 1; i < t->n_nodes; i++)
		self += str_eq(t->frames[t->nodes[i].frame].name, str_of(name)) ? t->nodes[i].self : 0;
	for (size_t i = 0; i < n; i++) {
		if (!p[i].value)
			continue;
		first = profiles++ ? first : p[i].time;
		last = p[i].time;
	}
	if (t->n_nodes > 1 && profiles)
		buf_printf(out, "%s %.*s %s %lld %lld %llu %lld %lld\n", service, (int)type->len, type->s,
		           query_info(q)->unit, (long long)self, (long long)t->total, (unsigned long long)profiles,
		           (long long)first, (long long)last);
}

/* Type by type, each by a query of its own. */
static void tell_uses_by_type(struct fixture *f, const char *service, const char *name, struct buf *out)
{
	const struct type_count *types;
	size_t n;
	struct selection *s = select_type(NULL);
	free(s->service);
	s->service = strdup(service);
	struct query *all = ask(f, s);
	assert_int_equal(query_types(all, &types, &n, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		s = select_type(NULL);
		free(s->service);
		s->service = strdup(service);
		s->type = strndup(types[i].name.s, types[i].name.len);
		filter(s, FILTER_FUNCTION, name);
		struct query *q = ask(f, s);
		tell_use(out, service, &types[i].name, q, name);
		query_unref(q);
	}
	query_unref(all);
}

static void tell_uses(struct fixture *f, const char *name, struct buf *out)
{
	struct function_uses uses;
	struct selection *s = select_type(NULL);
	free(TAKE_PTR(s->service));
	filter(s, FILTER_FUNCTION, name);
	struct query *q = ask(f, s);
	assert_int_equal(query_function_uses(q, NULL, &uses, NULL), 0);
	for (size_t i = 0; i < uses.n; i++) {
		const struct function_use *u = &uses.v[i];
		buf_printf(out, "%.*s %s %s %lld %lld %llu %lld %lld\n", (int)u->service.len, u->service.s, u->type,
		           u->unit, (long long)u->self, (long long)u->total, (unsigned long long)u->profiles,
		           (long long)u->first, (long long)u->last);
	}
	function_uses_done(&uses);
	query_unref(q);
}

/* One pass for all types of a profile says what one query for each type says. */
static void test_uses_are_those_of_each_type(void **state)
{
	static const unsigned traits[] = { 0, DIFFERENCES | GAPS, ALLOCS | KINDS, SERVICES | ALLOCS | UNITS | GAPS };
	static const char *const names[] = { "main", "b", "z", "nobody" };
	static struct data d;
	size_t told = 0;
	for (size_t i = 0; i < ARRAY_SIZE(traits); i++) {
		struct fixture f;
		make(&d, 20 + i, traits[i]);
		setup(&f);
		(i % 2 ? lay_segments : lay_repeated)(&f, &d);
		for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
			_buf_ struct buf one = BUF_INIT(LIMIT), all = BUF_INIT(LIMIT);
			if (traits[i] & SERVICES)
				tell_uses_by_type(&f, "other", names[k], &one);
			tell_uses_by_type(&f, "svc", names[k], &one);
			tell_uses(&f, names[k], &all);
			assert_same(&one, &all, names[k]);
			told += all.len;
		}
		teardown(&f);
		done(&d);
	}
	assert_true(told > 1000);
}

/* ---- one by one ---- */

static void write_hours(struct fixture *f, uint32_t hours, uint32_t each)
{
	const struct spec *specs[MOST];
	static struct spec all[MOST];
	assert_true(hours * each <= MOST);
	for (uint32_t i = 0; i < hours * each; i++) {
		all[i] = (struct spec){ .time = T0 + (int64_t)(i / each) * HOUR + (int64_t)(i % each) * SECOND,
			                .samples = "a;b 1\na;c 2\n" };
		specs[i] = &all[i];
	}
	write_specs(f, specs, hours * each);
}

static struct selection *select_hours(int64_t from, int64_t to)
{
	struct selection *s = select_type("cpu");
	s->from = T0 + from;
	s->to = T0 + to;
	return s;
}

static void test_whole_hours_need_no_rows(void **state)
{
	struct fixture f;
	setup(&f);
	write_hours(&f, 4, 20);
	compact(&f, 1, SIZE_MAX, true);
	struct query *q = ask(&f, select_type("cpu"));
	assert_int_equal(q->rows.n, 0);
	assert_int_equal(q->cells.n, 1); /* the whole */
	assert_true(q->parts.v[0].rowless);
	assert_tree(q, "240(0)[a 240(0)[b 80(80) c 160(160)]]");
	assert_int_equal(query_info(q)->profiles, 80);
	query_unref(q);
	q = ask(&f, select_hours(HOUR, 3 * HOUR));
	assert_int_equal(q->rows.n, 0);
	assert_int_equal(q->cells.n, 2);
	assert_tree(q, "120(0)[a 120(0)[b 40(40) c 80(80)]]");
	query_unref(q);
	q = ask(&f, select_hours(10 * SECOND, 3 * HOUR + 10 * SECOND));
	assert_int_equal(q->rows.n, 20); /* the edges */
	assert_int_equal(q->cells.n, 2);
	assert_tree(q, "180(0)[a 180(0)[b 60(60) c 120(120)]]");
	query_unref(q);
	teardown(&f);
}

static struct selection *select_pod(int64_t from, int64_t to, enum match_op op, const char *pod)
{
	struct selection *s = select_hours(from, to);
	match(s, "pod", op, pod);
	return s;
}

/* Cells of series where the matchers take some, of all where they take all; an hour that lacks one is read. */
static void test_matchers_choose_cells(void **state)
{
	const struct spec *specs[100];
	struct spec all[ARRAY_SIZE(specs)];
	struct fixture f;
	setup(&f);
	for (uint32_t i = 0; i < ARRAY_SIZE(specs); i++) {
		/* pods 0 and 1 in hours 0 and 1, 20 profiles each; pod 2 in hour 1 and pod 3 in hour 2, of 2 and 18 */
		uint32_t pod = i < 80 ? i % 2 : i < 82 ? 2 : 3, hour = i < 80 ? i / 40 : i < 82 ? 1 : 2;
		static const char *const labels[] = { "pod=0", "pod=1", "pod=2", "pod=3" };
		all[i] = (struct spec){ .time = T0 + hour * HOUR + i * SECOND, .labels = labels[pod],
			                .samples = pod == 1 ? "a;b 10\n" : "a;b 1\n" };
		specs[i] = &all[i];
	}
	write_specs(&f, specs, ARRAY_SIZE(specs));
	compact(&f, 1, SIZE_MAX, true);
	const struct {
		struct selection *sel;
		size_t rows, cells;
		const char *tree;
	} cases[] = {
		{ select_pod(0, 4 * HOUR, MATCH_EQ, "0"), 0, 2, "40(0)[a 40(0)[b 40(40)]]" },
		{ select_pod(HOUR, 2 * HOUR, MATCH_NE, "2"), 0, 2, "220(0)[a 220(0)[b 220(220)]]" },
		{ select_pod(0, 4 * HOUR, MATCH_NE, "9"), 0, 1, "460(0)[a 460(0)[b 460(460)]]" },
		{ select_pod(0, 4 * HOUR, MATCH_RE, "1|3"), 0, 3, "418(0)[a 418(0)[b 418(418)]]" },
		{ select_pod(0, 4 * HOUR, MATCH_EQ, "2"), 2, 0, "2(0)[a 2(0)[b 2(2)]]" },
		{ select_pod(0, 4 * HOUR, MATCH_RE, "[12]"), 22, 1, "402(0)[a 402(0)[b 402(402)]]" },
		{ select_pod(0, 4 * HOUR, MATCH_EQ, "9"), 0, 0, "0(0)" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct query *q = ask(&f, cases[i].sel);
		assert_int_equal(q->rows.n, cases[i].rows);
		assert_int_equal(q->cells.n, cases[i].cells);
		assert_tree(q, cases[i].tree);
		query_unref(q);
	}
	teardown(&f);
}

/* What is in both bases counts once, in sums, points and the merged profile; what each has alone counts too. */
static void test_overlapping_bases_count_once(void **state)
{
	struct fixture f;
	struct view *v;
	struct profile p;
	const struct point *points;
	size_t n;
	setup(&f);
	for (uint32_t i = 0; i < 3; i++) /* three times 20 segments of one hour */
		for (uint32_t k = 0; k < 20; k++)
			WRITE(&f, .time = T0 + (k * 3 + i) * SECOND, .samples = i == 1 ? "a;both 1\n" : "a;one 1\n");
	assert_int_equal(db_view(f.db, 0, &v, NULL), 0);
	assert_int_equal(view_objects(v), 60);
	compact_day(&f, v, time_day(T0), 1, 0, 40, true);
	compact_day(&f, v, time_day(T0), 2, 20, SIZE_MAX, true);
	view_unref(v);
	struct query *q = ask(&f, select_type("cpu"));
	assert_int_equal(q->parts.n, 2);
	assert_true(q->parts.v[0].rollups && q->parts.v[1].rollups);
	assert_tree(q, "60(0)[a 60(0)[both 20(20) one 40(40)]]");
	assert_int_equal(query_info(q)->profiles, 60);
	assert_int_equal(query_info(q)->duplicates, 20);
	assert_int_equal(query_points(q, NULL, &points, &n, NULL), 0);
	assert_int_equal(n, 60);
	assert_int_equal(query_profile(q, NULL, &p, NULL), 0);
	assert_int_equal(p.values.v[0] + p.values.v[1], 60);
	profile_done(&p);
	query_unref(q);
	teardown(&f);
}

/* A profile that comes late, or again, takes its hour from the cells of all; the others stay. */
static void test_a_tail_takes_its_hours(void **state)
{
	struct fixture f;
	setup(&f);
	write_hours(&f, 4, 20);
	compact(&f, 1, SIZE_MAX, true);
	WRITE(&f, .time = T0 + HOUR + 1, .samples = "a;b 1000\n");
	const struct spec *again = &(struct spec){ .time = T0 + 2 * HOUR, .samples = "a;b 1\na;c 2\n" };
	write_again(&f, &again, 1);
	struct query *q = ask(&f, select_type("cpu"));
	assert_int_equal(q->cells.n, 2);
	assert_int_equal(q->rows.n, 41);
	assert_tree(q, "1240(0)[a 1240(0)[b 1080(1080) c 160(160)]]");
	assert_int_equal(q->rolled, 80); /* rows, but no samples */
	assert_int_equal(query_info(q)->profiles, 81);
	query_unref(q);
	teardown(&f);
}

/* Flips a byte of every cell's sums. */
static void damage_cells(struct fixture *f)
{
	struct view *v;
	_buf_ struct buf bytes = BUF_INIT(LIMIT);
	assert_int_equal(db_view(f->db, 0, &v, NULL), 0);
	const char *key = view_object(v, 0)->key;
	assert_int_equal(store_get(f->store, key, LIMIT, &bytes, NULL), 0);
	struct parts parts;
	assert_int_equal(view_parts(v, NULL, time_day(T0), time_day(T0), NULL, &parts, NULL), 0);
	const struct section *s = &parts.v[0].dataset->sections[SECTION_CELLS];
	assert_true(s->stored > 0);
	for (uint64_t i = 0; i < s->stored; i++)
		bytes.data[s->off + i] ^= 0x55;
	assert_int_equal(store_put(f->store, key, buf_slice(&bytes), NULL), 0);
	parts_done(&parts);
	view_unref(v);
}

static void test_damaged_cells_cost_nothing(void **state)
{
	struct fixture f;
	setup(&f);
	write_hours(&f, 4, 20);
	compact(&f, 1, SIZE_MAX, true);
	damage_cells(&f);
	db_close(f.db);
	assert_int_equal(db_open(f.store, &(struct db_options){ .threads = 2 }, &f.db, NULL), 0);
	struct query *q = ask(&f, select_type("cpu"));
	assert_int_equal(q->cells.n, 1);
	assert_tree(q, "240(0)[a 240(0)[b 80(80) c 160(160)]]");
	assert_tree(q, "240(0)[a 240(0)[b 80(80) c 160(160)]]");
	assert_int_equal(query_info(q)->damaged, 0);
	query_unref(q);
	struct selection *s = select_type("cpu");
	match(s, "pod", MATCH_EQ, "");
	expect_tree(&f, s, "240(0)[a 240(0)[b 80(80) c 160(160)]]");
	teardown(&f);
}

static void test_a_query_has_a_limit(void **state)
{
	struct fixture f;
	struct view *v;
	struct query *q;
	struct error err = { 0 };
	setup(&f);
	write_hours(&f, 1, 20);
	db_close(f.db);
	const struct db_options small = { .threads = 1, .query_memory = 100000 };
	assert_int_equal(db_open(f.store, &small, &f.db, NULL), 0);
	struct selection *s = select_type("cpu");
	assert_int_equal(db_view(f.db, 0, &v, &err), 0);
	assert_int_equal(query_new(v, s, NULL, &q, &err), ERR_LIMIT_MEMORY);
	assert_non_null(strstr(err.text, "select less time"));
	selection_free(s);
	view_unref(v);
	teardown(&f);
}

/* Rows are charged by the thousand: one query has room here, one with a baseline has not. */
static void test_the_limit_holds_for_all_parts_of_a_query(void **state)
{
	struct fixture f;
	struct view *v;
	struct query *q;
	struct error err = { 0 };
	setup(&f);
	write_hours(&f, 1, 20);
	db_close(f.db);
	const struct db_options small = { .threads = 1, .query_memory = 1000000 };
	assert_int_equal(db_open(f.store, &small, &f.db, NULL), 0);
	struct selection *s = select_type("cpu");
	query_unref(ask(&f, select_type("cpu")));
	s->baseline = select_type("cpu");
	assert_int_equal(db_view(f.db, 0, &v, &err), 0);
	assert_int_equal(query_new(v, s, NULL, &q, &err), ERR_LIMIT_MEMORY);
	selection_free(s);
	view_unref(v);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rollups_do_not_show),
		cmocka_unit_test(test_rollups_of_states_and_totals),
		cmocka_unit_test(test_rollups_beside_what_they_cannot_answer),
		cmocka_unit_test(test_uses_are_those_of_each_type),
		cmocka_unit_test(test_whole_hours_need_no_rows),
		cmocka_unit_test(test_matchers_choose_cells),
		cmocka_unit_test(test_overlapping_bases_count_once),
		cmocka_unit_test(test_a_tail_takes_its_hours),
		cmocka_unit_test(test_damaged_cells_cost_nothing),
		cmocka_unit_test(test_a_query_has_a_limit),
		cmocka_unit_test(test_the_limit_holds_for_all_parts_of_a_query),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "fixture.h"

/* Results do not depend on how profiles lie in segments: the same ones, cut and ordered otherwise, give equal bytes. */

#define HEAP "alloc_objects/count,alloc_space/bytes,inuse_objects/count,inuse_space/bytes"
#define N 40

struct rng {
	uint64_t state;
};

static uint32_t below(struct rng *r, uint32_t n)
{
	r->state = r->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(r->state >> 33) % n;
}

static char *random_samples(struct rng *r, uint32_t grow, bool heap)
{
	struct buf b = BUF_INIT(LIMIT);
	for (uint32_t i = 0, n = 1 + below(r, 12); i < n; i++) {
		buf_printf(&b, "main@m.go:%u", below(r, 3));
		for (uint32_t k = below(r, 4); k > 0; k--)
			buf_printf(&b, ";f%u<in%u@f.go:%u", below(r, 6), below(r, 2), below(r, 3));
		if (below(r, 3) == 0)
			buf_printf(&b, ";0x%x@/lib/l%u.so", 16 * (1 + below(r, 3)), below(r, 2));
		for (int t = 0; t < (heap ? 4 : 2); t++)
			buf_printf(&b, " %u", below(r, 100) + grow);
		if (below(r, 2))
			buf_printf(&b, " route=/%u", below(r, 3));
		buf_putc(&b, '\n');
	}
	buf_u8(&b, 0);
	return (char *)b.data;
}

/* Profiles of a few series over 60 hours, with running totals and instantaneous values. */
static void random_specs(struct spec specs[N], char labels[N][32])
{
	struct rng r = { 7 };
	for (uint32_t i = 0; i < N; i++) {
		bool heap = i % 2;
		snprintf(labels[i], sizeof labels[i], "pod=%u,version=%u", below(&r, 3), below(&r, 2));
		specs[i] = (struct spec){
			.labels = labels[i],
			.time = T0 + (int64_t)below(&r, 3) * 20 * HOUR + (int64_t)below(&r, 600) * SECOND,
			.duration = heap ? 0 : 10 * SECOND,
			.types = heap ? HEAP : "samples/count,cpu/nanoseconds",
			.comment = i % 5 ? NULL : "a comment",
			.samples = random_samples(&r, heap ? i * 100 : 0, heap),
		};
	}
}

static void write_all(struct fixture *f, const struct spec specs[N], uint32_t step, uint32_t per_segment)
{
	const struct spec *order[N];
	for (uint32_t i = 0; i < N; i++)
		order[i] = &specs[i * step % N];
	for (uint32_t i = 0; i < N; i += per_segment)
		write_specs(f, order + i, MIN(per_segment, N - i));
}

static void tell_points(struct query *q, struct buf *out)
{
	const struct point *p;
	size_t n;
	assert_int_equal(query_points(q, NULL, &p, &n, NULL), 0);
	for (size_t i = 0; i < n; i++) {
		char id[ULID_LEN + 1];
		buf_printf(out, "%s %lld %lld %lld s%u g%u %d\n", ulid_format(&p[i].id, id), (long long)p[i].time,
		           (long long)p[i].value, (long long)p[i].lives, p[i].series, p[i].group, p[i].first);
	}
}

static void tell_steps(struct query *q, struct buf *out)
{
	const struct steps *s;
	assert_int_equal(query_steps(q, NULL, &s, NULL), 0);
	for (size_t g = 0; g < s->n_groups; g++) {
		buf_printf(out, "%.*s %lld:", (int)s->groups[g].len, s->groups[g].s, (long long)s->totals[g]);
		for (size_t i = 0; i < s->n; i++)
			if (s->v[g * s->n + i].covered)
				buf_printf(out, " %zu=%.17g/%.17g", i, s->v[g * s->n + i].sum, s->v[g * s->n + i].rate);
		buf_putc(out, '\n');
	}
}

static void tell_labels(struct query *q, struct buf *out)
{
	const struct labels *l;
	assert_int_equal(query_labels(q, true, NULL, &l, NULL), 0);
	for (size_t i = 0; i < l->n; i++) {
		buf_printf(out, "%.*s %d:", (int)l->v[i].key.len, l->v[i].key.s, l->v[i].of_samples);
		for (size_t k = 0; k < l->v[i].n; k++)
			buf_printf(out, " %.*s=%llu", (int)l->v[i].values[k].value.len, l->v[i].values[k].value.s,
			           (unsigned long long)l->v[i].values[k].profiles);
		buf_putc(out, '\n');
	}
}

static void tell_profile(struct query *q, struct buf *out)
{
	struct profile p;
	assert_int_equal(query_profile(q, NULL, &p, NULL), 0);
	assert_int_equal(profile_verify(&p, NULL), 0);
	assert_int_equal(pprof_encode(&p, out), 0);
	profile_done(&p);
}

static void tell_selection(struct fixture *f, struct selection *s, struct buf *out)
{
	const struct call_tree *t;
	struct query *q = ask(f, s);
	const struct query_info *info = query_info(q);
	buf_put(out, info->fingerprint, sizeof info->fingerprint);
	assert_int_equal(query_resolve(q, NULL, NULL), 0);
	info = query_info(q);
	buf_printf(out, "%llu %llu %llu %llu %llu %llu\n", (unsigned long long)info->profiles,
	           (unsigned long long)info->samples, (unsigned long long)info->restarts,
	           (unsigned long long)info->first_of_series, (unsigned long long)info->lookback,
	           (unsigned long long)info->differences);
	assert_int_equal(query_tree(q, NULL, &t, NULL), 0);
	tell_tree(t, out);
	tell_points(q, out);
	tell_steps(q, out);
	tell_labels(q, out);
	tell_profile(q, out);
	query_unref(q);
}

/* Everything that can be asked, of several selections. */
static void tell_everything(struct fixture *f, struct buf *out)
{
	static const char *const types[] = { "cpu", "samples", "alloc_space", "inuse_space" };
	for (size_t i = 0; i < 2 * ARRAY_SIZE(types); i++) {
		struct selection *s = select_type(types[i / 2]);
		s->by = strdup("pod");
		s->options.granularity = i % 2 ? BY_LINE : BY_FUNCTION;
		tell_selection(f, s, out);
		s = select_type(types[i / 2]);
		s->from = T0 + 20 * HOUR;
		s->to = T0 + 20 * HOUR + 300 * SECOND;
		match(s, "route", i % 2 ? MATCH_EQ : MATCH_NE, "/1");
		tell_selection(f, s, out);
		s = select_type(types[i / 2]);
		filter(s, i % 2 ? FILTER_CALLERS : FILTER_ROOT, "f[123]");
		filter(s, FILTER_IGNORE, "l1");
		tell_selection(f, s, out);
	}
}

static void tell_layout(const struct spec specs[N], uint32_t step, uint32_t per_segment, bool twice, struct buf *out)
{
	struct fixture f;
	setup(&f);
	write_all(&f, specs, step, per_segment);
	if (twice) /* a retry: none of them counts again */
		write_all(&f, specs, 1, 7);
	tell_everything(&f, out);
	teardown(&f);
}

static void test_layout_does_not_show(void **state)
{
	struct spec specs[N];
	char labels[N][32];
	random_specs(specs, labels);
	_buf_ struct buf first = BUF_INIT(LIMIT);
	tell_layout(specs, 1, N, false, &first);
	assert_true(first.len > 10000);
	static const struct {
		uint32_t step, per_segment;
		bool twice;
	} layouts[] = { { 1, 4, false }, { 7, N, false }, { 3, 1, false }, { 13, 5, true } };
	for (size_t i = 0; i < ARRAY_SIZE(layouts); i++) {
		_buf_ struct buf other = BUF_INIT(LIMIT);
		tell_layout(specs, layouts[i].step, layouts[i].per_segment, layouts[i].twice, &other);
		assert_int_equal(other.len, first.len);
		assert_memory_equal(other.data, first.data, first.len);
	}
	for (size_t i = 0; i < N; i++)
		free((char *)specs[i].samples);
}

static void fingerprint(struct fixture *f, struct selection *s, uint8_t ret[16])
{
	struct query *q = ask(f, s);
	memcpy(ret, query_info(q)->fingerprint, 16);
	query_unref(q);
}

static void test_fingerprints_differ_where_profiles_do(void **state)
{
	struct fixture f;
	uint8_t a[16], b[16], c[16];
	setup(&f);
	WRITE(&f, .time = T0, .samples = "a 1\n");
	fingerprint(&f, select_type("cpu"), a);
	WRITE(&f, .time = T0 + SECOND, .samples = "a 1\n");
	fingerprint(&f, select_type("cpu"), b);
	assert_memory_not_equal(a, b, 16);
	WRITE(&f, .time = T0 + SECOND, .samples = "a 1\n"); /* again */
	fingerprint(&f, select_type("cpu"), c);
	assert_memory_equal(b, c, 16);
	struct selection *s = select_type("cpu");
	s->to = T0 + SECOND;
	fingerprint(&f, s, c);
	assert_memory_equal(a, c, 16);
	teardown(&f);
}

/* What stands beside the selection is part of what it says. */
static void test_fingerprints_see_neighbours(void **state)
{
	struct fixture f;
	uint8_t a[16], b[16];
	setup(&f);
	WRITE(&f, .time = T0 + MINUTE, .types = "inuse_space/bytes", .samples = "a 1\n");
	struct selection *s = select_type("inuse_space");
	s->to = T0 + MINUTE + SECOND;
	fingerprint(&f, selection_copy(s), a);
	WRITE(&f, .time = T0 + 2 * MINUTE, .types = "inuse_space/bytes", .samples = "a 1\n");
	fingerprint(&f, selection_copy(s), b);
	assert_memory_not_equal(a, b, 16);
	WRITE(&f, .time = T0 + 3 * MINUTE, .types = "inuse_space/bytes", .samples = "a 1\n");
	fingerprint(&f, s, a);
	assert_memory_equal(a, b, 16);
	teardown(&f);
}

/* Larger than what a reader fetches of an object at once, so that its samples are read on demand. */
static char *many_samples(void)
{
	struct rng r = { 3 };
	struct buf b = BUF_INIT(LIMIT);
	for (uint32_t i = 0; i < 40000; i++)
		buf_printf(&b, "main;f%u;g%u %u\n", below(&r, 100), below(&r, 100), 1 + below(&r, 1000000000));
	buf_u8(&b, 0);
	return (char *)b.data;
}

/* Damage costs its own data only, and is told. */
static void test_damaged_samples_are_left_out(void **state)
{
	struct fixture f;
	struct store *fault;
	const struct call_tree *t;
	_free_ char *samples = many_samples();
	setup(&f);
	WRITE(&f, .time = T0, .samples = samples);
	WRITE(&f, .time = T0 + 1, .samples = "a 2\n");
	db_close(f.db);
	assert_int_equal(store_fault_new(f.store, false, &fault), 0);
	f.store = fault;
	assert_int_equal(db_open(f.store, &(struct db_options){ .threads = 1 }, &f.db, NULL), 0);
	struct query *q = ask(&f, select_type("cpu"));
	assert_int_equal(query_info(q)->profiles, 2);
	const struct fault_plan torn_reads = { .fault = FAULT_TORN, .at = 1, .from_then_on = true, .kinds = 4 };
	store_fault_set(f.store, &torn_reads);
	assert_int_equal(query_tree(q, NULL, &t, NULL), 0);
	assert_int_equal(t->total, 2);
	assert_int_equal(query_info(q)->damaged, 1);
	assert_true(query_info(q)->damage[0]);
	query_unref(q);
	teardown(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_layout_does_not_show),
		cmocka_unit_test(test_fingerprints_differ_where_profiles_do),
		cmocka_unit_test(test_fingerprints_see_neighbours),
		cmocka_unit_test(test_damaged_samples_are_left_out),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

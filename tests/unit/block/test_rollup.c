/* SPDX-License-Identifier: MIT */
#include "merge_fixture.h"

#include "../../../core/block/rollup.h"

/*
 * Cells against sums that are made here, from the rows of the merged block: events, running totals, states.
 */

enum { PODS = 3, PER_HOUR = 40, HOURS = 3, STACKS = 12 };

static void put_stack(struct profile *p, uint32_t i, int64_t a, int64_t b)
{
	PUSH(&p->locs, i);
	PUSH(&p->loc_at, (uint32_t)p->locs.n);
	PUSH(&p->values, a);
	PUSH(&p->values, b);
	p->n_samples++;
}

static void begin(struct profile *p, const char *a, const char *unit_a, const char *b, const char *unit_b)
{
	assert_int_equal(profile_init(p, LIMIT), 0);
	PUSH(&p->types, (struct value_type){ text(p, a), text(p, unit_a) });
	PUSH(&p->types, (struct value_type){ text(p, b), text(p, unit_b) });
	for (uint32_t i = 0; i < STACKS; i++) {
		PUSH(&p->functions, (struct profile_function){ textf(p, "f%u", i), 0, 0, 0 });
		PUSH(&p->lines, (struct profile_line){ i, 1, 0 });
		PUSH(&p->locations, (struct profile_location){ PROFILE_NONE, false, 0, i, 1 });
	}
	PUSH(&p->loc_at, 0);
}

/* cpu adds up; heap's alloc_space grows from profile to profile and begins anew now and then, inuse_space varies. */
static void make(struct block_writer *w, struct rng *r)
{
	static const char *const pods[] = { "p", "q", "r" };
	int64_t alloc[PODS][STACKS] = { 0 };
	for (int i = 0; i < HOURS * PER_HOUR; i++)
		for (int pod = 0; pod < PODS; pod++) {
			int64_t time = NS_PER_DAY + (int64_t)i * NS_PER_HOUR / PER_HOUR + pod * 1000 + 1;
			struct profile p;
			begin(&p, "samples", "count", "cpu", "nanoseconds");
			p.time_ns = time;
			p.duration_ns = 10 * NS_PER_S;
			for (uint32_t s = 0; s < STACKS; s++) {
				int64_t n = 1 + rng_below(r, 50);
				put_stack(&p, s, n, n * 10000000);
			}
			add(w, &p, "svc", pods[pod]);
			profile_done(&p);
			begin(&p, "alloc_space", "bytes", "inuse_space", "bytes");
			p.time_ns = time + 500;
			bool restart = rng_below(r, 40) == 0;
			for (uint32_t s = 0; s < STACKS; s++) {
				alloc[pod][s] = (restart ? 0 : alloc[pod][s]) + rng_below(r, 1000);
				put_stack(&p, s, alloc[pod][s], rng_below(r, 5000));
			}
			add(w, &p, "svc", pods[pod]);
			profile_done(&p);
		}
}

struct seen {
	const struct profiles *p;
	struct dataset *d;
	const struct rollups *rollups;
	int64_t (*values)[2][STACKS + 1]; /* by row, type, stack */
};

static void read_rows(struct seen *s)
{
	struct columns all = { 3, false, false };
	s->values = calloc(s->p->n, sizeof *s->values);
	for (uint32_t i = 0; i < s->p->n; i++) {
		struct group *g;
		assert_int_equal(dataset_group(s->d, s->p->rows[i].group, &all, &g, NULL), 0);
		for (unsigned t = 0; t < 2; t++)
			assert_int_equal(group_accumulate(g, &s->p->rows[i], t, s->values[i][t], NULL), 0);
		group_free(g);
	}
}

static uint32_t kind_of_row(const struct seen *s, uint32_t i)
{
	const struct profile_row *r = &s->p->rows[i];
	bool running = s->p->headers[r->header].n_types && r->duration == 0;
	uint32_t kind = s->rollups->kind_of[2 * r->header + running];
	return kind == PROFILE_NONE ? s->rollups->kind_of[2 * r->header + !running] : kind;
}

/* The row of the same series and kind next to i in time, or NONE. */
static uint32_t neighbour(const struct seen *s, uint32_t i, int direction)
{
	uint32_t best = PROFILE_NONE;
	for (uint32_t k = 0; k < s->p->n; k++) {
		const struct profile_row *a = &s->p->rows[i], *b = &s->p->rows[k];
		if (b->series != a->series || kind_of_row(s, k) != kind_of_row(s, i) ||
		    (b->time - a->time) * direction <= 0)
			continue;
		if (best == PROFILE_NONE || (s->p->rows[best].time - b->time) * direction > 0)
			best = k;
	}
	return best;
}

/* What row i counts in one type and stack; false where no cell holds the row. */
static bool counts(const struct seen *s, uint32_t i, unsigned type, uint32_t stack, __int128 *ret)
{
	const struct rollup_kind *kind = &s->rollups->kinds[kind_of_row(s, i)];
	int64_t v = s->values[i][type][stack];
	*ret = v;
	if (!kind->running)
		return true;
	uint32_t prev = neighbour(s, i, -1), next = neighbour(s, i, 1);
	if (prev == PROFILE_NONE || next == PROFILE_NONE)
		return false;
	if (type == 1) {
		*ret = (__int128)v * MIN(s->p->rows[next].time - s->p->rows[i].time, 5 * NS_PER_MIN);
		return true;
	}
	bool restart = false;
	for (uint32_t k = 1; k <= STACKS; k++) {
		int64_t before = s->values[prev][0][k], now = s->values[i][0][k];
		restart |= before > 0 && now < before && (now <= 0 || (__int128)(before - now) * 128 > before);
	}
	if (!restart)
		*ret = MAX(v - s->values[prev][0][stack], 0);
	return true;
}

static bool in_cell(const struct seen *s, const struct rollup_cell *c, uint32_t i)
{
	const struct profile_row *r = &s->p->rows[i];
	return kind_of_row(s, i) == c->kind && (c->series == PROFILE_NONE || c->series == r->series) &&
	       (c->whole || time_floor_div(r->time, NS_PER_HOUR) == c->hour);
}

static void check_cell(const struct seen *s, const struct rollup_cell *c, unsigned type)
{
	__int128 sums[STACKS + 1] = { 0 }, v;
	uint64_t profiles = 0, samples = 0, fingerprint[2] = { 0 };
	uint8_t service[16];
	fingerprint_of_service(STR("svc"), service);
	for (uint32_t i = 0; i < s->p->n; i++) {
		if (!in_cell(s, c, i) || !counts(s, i, type, 1, &v))
			continue;
		struct ulid id = profile_row_id(&s->p->rows[i]);
		profiles++;
		samples += s->p->rows[i].n_samples;
		fingerprint_add(fingerprint, service, &id, 1);
		for (uint32_t k = 1; k <= STACKS; k++) {
			counts(s, i, type, k, &v);
			sums[k] += v;
		}
	}
	assert_int_equal(c->profiles, profiles);
	assert_int_equal(c->samples, samples);
	assert_memory_equal(c->fingerprint, fingerprint, sizeof fingerprint);
	struct rollup_sums got;
	assert_int_equal(rollup_read(s->d, c, type, &got, NULL), 0);
	assert_int_equal(got.n, STACKS);
	for (uint32_t k = 0; k < got.n; k++)
		assert_true(got.values[k] == sums[got.stacks[k]]);
	rollup_sums_done(&got);
}

static void cells_are_the_sums_of_their_profiles(void **state)
{
	(void)state;
	struct rng r = { 5 };
	struct block_writer *w;
	struct buf in = BUF_INIT(LIMIT), out = BUF_INIT(LIMIT);
	struct merge_result result;
	struct merge_options o = { .level = 1, .rollup = roll_all };
	assert_int_equal(block_writer_new(0, &w), 0);
	make(w, &r);
	assert_int_equal(block_writer_finish(w, &in, NULL), 0);
	block_writer_free(w);
	struct block *b = merge_bufs(&in, 1, &o, &out, &result);
	struct seen s = { .d = block_dataset(b, 0) };
	assert_true(dataset_info(s.d)->has_rollups);
	assert_int_equal(dataset_rollups(s.d, &s.rollups, NULL), 0);
	assert_int_equal(dataset_profiles(s.d, &s.p, NULL), 0);
	assert_int_equal(s.rollups->n_kinds, 2);
	/* per kind: hours, the whole; hours of each pod */
	assert_int_equal(s.rollups->n_cells, 2 * (HOURS + 1 + HOURS * PODS));
	read_rows(&s);
	uint64_t restarts = 0;
	for (uint32_t i = 0; i < s.rollups->n_cells; i++) {
		const struct rollup_cell *c = &s.rollups->cells[i];
		assert_true(s.rollups->kinds[c->kind].rolled);
		assert_int_equal(c->n_members, c->series == PROFILE_NONE ? PODS : 1);
		for (unsigned t = 0; t < 2; t++)
			check_cell(&s, c, t);
		restarts += c->whole ? c->restarts[0] : 0;
	}
	assert_true(restarts > 0);
	free(s.values);
	block_free(b);
	buf_done(&in);
	buf_done(&out);
}

/* Few profiles: sums would be as large as what they sum up. */
static void a_kind_that_does_not_pay_has_no_cells(void **state)
{
	(void)state;
	struct rng r = { 6 };
	struct world_few {
		struct buf in, out;
	} f = { BUF_INIT(LIMIT), BUF_INIT(LIMIT) };
	struct block_writer *w;
	struct profile p;
	struct merge_result result;
	struct merge_options o = { .level = 1, .rollup = roll_all };
	assert_int_equal(block_writer_new(0, &w), 0);
	assert_int_equal(profile_init(&p, LIMIT), 0);
	random_profile(&p, &r);
	add(w, &p, "svc", "a");
	profile_done(&p);
	assert_int_equal(block_writer_finish(w, &f.in, NULL), 0);
	block_writer_free(w);
	struct block *b = merge_bufs(&f.in, 1, &o, &f.out, &result);
	const struct rollups *rollups;
	assert_int_equal(dataset_rollups(block_dataset(b, 0), &rollups, NULL), 0);
	assert_int_equal(rollups->n_cells, 0);
	for (uint32_t i = 0; i < rollups->n_kinds; i++)
		assert_false(rollups->kinds[i].rolled);
	block_free(b);
	buf_done(&f.in);
	buf_done(&f.out);
}

static void wide_numbers_come_back(void **state)
{
	(void)state;
	__int128 numbers[] = { 0, 1, -1, 63, -64, 64, INT64_MAX, INT64_MIN, (__int128)INT64_MAX * 1000,
		               (__int128)1 << 126, -((__int128)1 << 126), ~((__int128)1 << 127) };
	struct buf b = BUF_INIT(LIMIT);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		wide_put(&b, numbers[i]);
	struct cursor c = cursor_of(buf_slice(&b));
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		assert_true(wide_get(&c) == numbers[i]);
	assert_false(c.bad);
	assert_int_equal(cursor_left(&c), 0);
	buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cells_are_the_sums_of_their_profiles),
		cmocka_unit_test(a_kind_that_does_not_pay_has_no_cells),
		cmocka_unit_test(wide_numbers_come_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

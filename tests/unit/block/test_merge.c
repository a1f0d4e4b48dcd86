/* SPDX-License-Identifier: MIT */
#include "merge_fixture.h"

enum { N = 240, OBJECTS = 4 };

/* N profiles, each in one of the objects; every fifth in two of them. */
struct world {
	struct buf told[N], objects[OBJECTS];
};

static const char *service_of(int i)
{
	static const char *const names[] = { "b", "a", "c" };
	return names[i % 3];
}

static void make_profile(struct profile *p, struct rng *r, int i)
{
	assert_int_equal(profile_init(p, LIMIT), 0);
	random_profile(p, r);
	p->time_ns = NS_PER_DAY + (int64_t)(i * 7919 % 24) * NS_PER_HOUR + i + 1;
}

static void world_init(struct world *w)
{
	struct rng r = { 2027 };
	struct block_writer *writers[OBJECTS];
	for (int k = 0; k < OBJECTS; k++)
		assert_int_equal(block_writer_new(0, &writers[k]), 0);
	for (int i = 0; i < N; i++) {
		struct profile p;
		make_profile(&p, &r, i);
		w->told[i] = BUF_INIT(LIMIT);
		tell_profile(&p, &w->told[i]);
		add(writers[i % OBJECTS], &p, service_of(i), i % 2 ? "x" : "y");
		if (i % 5 == 0)
			add(writers[(i + 1) % OBJECTS], &p, service_of(i), i % 2 ? "x" : "y");
		profile_done(&p);
	}
	for (int k = 0; k < OBJECTS; k++) {
		w->objects[k] = BUF_INIT(LIMIT);
		assert_int_equal(block_writer_finish(writers[k], &w->objects[k], NULL), 0);
		block_writer_free(writers[k]);
	}
}

static void world_done(struct world *w)
{
	for (int i = 0; i < N; i++)
		buf_done(&w->told[i]);
	for (int k = 0; k < OBJECTS; k++)
		buf_done(&w->objects[k]);
}

/* How many rows of the block tell the same as the i-th profile. */
static int count_told(struct block *b, const struct world *w, int i)
{
	struct buf back = BUF_INIT(LIMIT);
	size_t at = block_find(b, str_of(service_of(i)));
	int found = 0;
	if (at == SIZE_MAX)
		return 0;
	const struct profiles *p;
	assert_int_equal(dataset_profiles(block_dataset(b, at), &p, NULL), 0);
	for (uint32_t k = 0; k < p->n; k++) {
		if (p->rows[k].time % NS_PER_HOUR != i + 1)
			continue;
		restored(b, at, k, &back);
		found += !strcmp((char *)back.data, (char *)w->told[i].data);
	}
	buf_done(&back);
	return found;
}

static void every_profile_is_there_once_and_whole(void **state)
{
	(void)state;
	for (int rolled = 0; rolled < 2; rolled++) {
		struct world w;
		struct merge_result result;
		struct buf out = BUF_INIT(LIMIT);
		struct merge_options o = { .level = 1, .rollup = rolled ? roll_all : NULL };
		world_init(&w);
		struct block *b = merge_bufs(w.objects, OBJECTS, &o, &out, &result);
		assert_int_equal(block_level(b), 1);
		assert_int_equal(block_datasets(b), 3);
		assert_int_equal(result.profiles, N);
		assert_int_equal(result.duplicates, N / 5);
		for (int i = 0; i < N; i++)
			assert_int_equal(count_told(b, &w, i), 1);
		block_free(b);
		buf_done(&out);
		world_done(&w);
	}
}

/* Merging what was merged changes nothing but numbers: two ways of merging the same hold the same. */
static void merges_of_merges_hold_the_same(void **state)
{
	(void)state;
	struct world w;
	struct merge_result result;
	struct merge_options o = { .level = 1, .rollup = roll_all };
	struct buf halves[2] = { BUF_INIT(LIMIT), BUF_INIT(LIMIT) }, out = BUF_INIT(LIMIT);
	world_init(&w);
	block_free(merge_bufs(w.objects, 2, &o, &halves[0], &result));
	block_free(merge_bufs(w.objects + 2, 2, &o, &halves[1], &result));
	struct block *b = merge_bufs(halves, 2, &o, &out, &result);
	assert_int_equal(result.profiles, N);
	for (int i = 0; i < N; i++)
		assert_int_equal(count_told(b, &w, i), 1);
	block_free(b);
	buf_done(&halves[0]);
	buf_done(&halves[1]);
	buf_done(&out);
	world_done(&w);
}

static bool keep_morning(void *ctx, struct str service, const struct ulid *id, int64_t time)
{
	return !str_eq(service, STR("c")) && time < NS_PER_DAY + 12 * NS_PER_HOUR;
}

static bool keep_nothing(void *ctx, struct str service, const struct ulid *id, int64_t time)
{
	return false;
}

static void what_is_not_kept_leaves_nothing_behind(void **state)
{
	(void)state;
	struct world w;
	struct merge_result result;
	struct merge_options o = { .level = 2, .keep = keep_morning }, none = { .keep = keep_nothing };
	struct buf out = BUF_INIT(LIMIT), once = BUF_INIT(LIMIT), empty = BUF_INIT(LIMIT);
	struct merge_sink sink = { sink_buf, &empty };
	world_init(&w);
	struct block *b = merge_bufs(w.objects, OBJECTS, &o, &out, &result);
	assert_int_equal(block_find(b, STR("c")), SIZE_MAX);
	for (int i = 0; i < N; i++) {
		bool kept = i % 3 != 2 && i * 7919 % 24 < 12;
		assert_int_equal(count_told(b, &w, i), kept);
	}
	/* symbols that only dropped profiles had are gone: merging what is left gives as many */
	const struct symbols *first, *second;
	o.keep = NULL;
	struct block *again = merge_bufs(&out, 1, &o, &once, &result);
	assert_int_equal(dataset_symbols(block_dataset(b, 0), &first, NULL), 0);
	assert_int_equal(dataset_symbols(block_dataset(again, 0), &second, NULL), 0);
	assert_int_equal(first->n_stacks, second->n_stacks);
	assert_int_equal(first->n_strings, second->n_strings);
	assert_int_equal(first->n_locations, second->n_locations);
	struct merge_input in = { b };
	assert_int_equal(block_merge(&in, 1, &none, &sink, &result, NULL), 0);
	assert_int_equal(result.size, 0);
	assert_int_equal(empty.len, 0);
	block_free(b);
	block_free(again);
	buf_done(&out);
	buf_done(&once);
	world_done(&w);
}

struct failing {
	size_t left;
};

static int sink_fails(void *ctx, const void *data, size_t n, struct error *err)
{
	struct failing *f = ctx;
	if (f->left < n)
		return error_set(err, -ENOSPC, "no space");
	f->left -= n;
	return 0;
}

static void limits_and_failures_are_told(void **state)
{
	(void)state;
	struct world w;
	struct error err = { 0 };
	struct merge_result result;
	struct merge_input in[OBJECTS];
	struct merge_options o = { .level = 1, .rollup = roll_all };
	world_init(&w);
	for (int k = 0; k < OBJECTS; k++)
		in[k].block = open_buf(&w.objects[k]);
	for (size_t left = 0; left < 60000; left += 7001) {
		struct failing f = { left };
		struct merge_sink sink = { sink_fails, &f };
		assert_int_equal(block_merge(in, OBJECTS, &o, &sink, &result, &err), -ENOSPC);
	}
	struct failing f = { SIZE_MAX };
	struct merge_sink sink = { sink_fails, &f };
	o.memory = 4096;
	assert_int_equal(block_merge(in, OBJECTS, &o, &sink, &result, &err), ERR_LIMIT_MEMORY);
	struct cancel cancel = { .set = true };
	o = (struct merge_options){ .cancel = &cancel };
	assert_int_equal(block_merge(in, OBJECTS, &o, &sink, &result, &err), ERR_CANCELLED);
	for (int k = 0; k < OBJECTS; k++)
		block_free(in[k].block);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_profile_is_there_once_and_whole),
		cmocka_unit_test(merges_of_merges_hold_the_same),
		cmocka_unit_test(what_is_not_kept_leaves_nothing_behind),
		cmocka_unit_test(limits_and_failures_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

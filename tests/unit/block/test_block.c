/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include "../../../core/format/format.h"

static void random_profiles_come_back_whole(void **state)
{
	enum { N = 300 };
	(void)state;
	struct rng r = { 42 };
	struct block_writer *w;
	struct buf told[N], out = BUF_INIT(LIMIT), back = BUF_INIT(LIMIT);
	assert_int_equal(block_writer_new(0, &w), 0);
	for (int i = 0; i < N; i++) {
		struct profile p;
		assert_int_equal(profile_init(&p, LIMIT), 0);
		random_profile(&p, &r);
		told[i] = BUF_INIT(LIMIT);
		tell_profile(&p, &told[i]);
		add(w, &p, i % 2 ? "odd" : "even", "a");
		profile_done(&p);
	}
	assert_int_equal(block_writer_finish(w, &out, NULL), 0);
	struct block *b;
	struct source src = source_of(&out);
	struct error err = { 0 };
	assert_int_equal(block_open(&src, "test", &b, &err), 0);
	assert_int_equal(block_datasets(b), 2);
	assert_int_equal(block_find(b, STR("odd")), 1);
	assert_int_equal(block_find(b, STR("none")), SIZE_MAX);
	assert_int_equal(block_verify(b, NULL, NULL, &err), 0);
	for (int i = 0; i < N; i++) {
		restored(b, (size_t)i % 2, (uint32_t)i / 2, &back);
		if (strcmp((char *)told[i].data, (char *)back.data) != 0)
			print_error("profile %d\n--- in\n%s--- out\n%s", i, told[i].data, back.data);
		assert_string_equal((char *)told[i].data, (char *)back.data);
		buf_done(&told[i]);
	}
	block_free(b);
	block_writer_free(w);
	buf_done(&out);
	buf_done(&back);
}

/* The bytes of a restored profile do not depend on what else the object holds. */
static void restored_bytes_depend_on_content_alone(void **state)
{
	(void)state;
	struct buf alone = BUF_INIT(LIMIT), among = BUF_INIT(LIMIT), objects[2] = { BUF_INIT(LIMIT), BUF_INIT(LIMIT) };
	for (int round = 0; round < 2; round++) {
		struct rng r = { 7 };
		struct block_writer *w;
		struct profile p;
		struct block *b;
		assert_int_equal(block_writer_new(0, &w), 0);
		for (int i = 0; i < 40; i++) {
			assert_int_equal(profile_init(&p, LIMIT), 0);
			random_profile(&p, &r);
			if (round == 1 || i == 39)
				add(w, &p, "service", "a");
			profile_done(&p);
		}
		assert_int_equal(block_writer_finish(w, &objects[round], NULL), 0);
		struct source src = source_of(&objects[round]);
		assert_int_equal(block_open(&src, "test", &b, NULL), 0);
		assert_int_equal(profile_init(&p, LIMIT), 0);
		assert_int_equal(dataset_restore(block_dataset(b, 0), round ? 39 : 0, &p, NULL), 0);
		assert_int_equal(pprof_encode(&p, round ? &among : &alone), 0);
		profile_done(&p);
		block_free(b);
		block_writer_free(w);
		buf_done(&objects[round]);
	}
	assert_int_equal(alone.len, among.len);
	assert_memory_equal(alone.data, among.data, alone.len);
	buf_done(&alone);
	buf_done(&among);
}

static void accumulated_values_are_the_samples_sums(void **state)
{
	(void)state;
	struct rng r = { 3 };
	struct block_writer *w;
	struct buf out = BUF_INIT(LIMIT);
	assert_int_equal(block_writer_new(0, &w), 0);
	for (int i = 0; i < 50; i++) {
		struct profile p;
		assert_int_equal(profile_init(&p, LIMIT), 0);
		random_profile(&p, &r);
		add(w, &p, "s", i % 3 ? "a" : "b");
		profile_done(&p);
	}
	assert_int_equal(block_writer_finish(w, &out, NULL), 0);
	struct block *b;
	struct source src = source_of(&out);
	assert_int_equal(block_open(&src, "test", &b, NULL), 0);
	struct dataset *d = block_dataset(b, 0);
	const struct profiles *p;
	const struct symbols *s;
	assert_int_equal(dataset_profiles(d, &p, NULL), 0);
	assert_int_equal(dataset_symbols(d, &s, NULL), 0);
	for (uint32_t i = p->n; i-- > 0;) {
		const struct profile_row *row = &p->rows[i];
		struct group *g, *h;
		struct columns one = { 1, false, false }, all = { UINT64_MAX, true, true };
		assert_int_equal(dataset_group(d, row->group, &one, &g, NULL), 0);
		assert_int_equal(dataset_group(d, row->group, &all, &h, NULL), 0);
		int64_t *acc = calloc(s->n_stacks, sizeof *acc);
		struct samples samples;
		assert_int_equal(group_accumulate(g, row, 0, acc, NULL), 0);
		assert_int_equal(group_samples(h, row, &samples, NULL), 0);
		int64_t *sum = calloc(s->n_stacks, sizeof *sum);
		for (uint32_t k = 0; k < samples.n; k++) {
			__int128 v = (__int128)sum[samples.stacks[k]] + samples.values[0][k];
			sum[samples.stacks[k]] = v > INT64_MAX ? INT64_MAX : v < INT64_MIN ? INT64_MIN : (int64_t)v;
		}
		assert_memory_equal(acc, sum, s->n_stacks * sizeof *sum);
		free(sum);
		free(acc);
		group_free(g);
		group_free(h);
	}
	block_free(b);
	block_writer_free(w);
	buf_done(&out);
}

static void footer_tells_types_labels_and_hours(void **state)
{
	(void)state;
	struct block_writer *w;
	struct buf out = BUF_INIT(LIMIT);
	struct profile p;
	assert_int_equal(block_writer_new(0, &w), 0);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(profile_init(&p, LIMIT), 0);
		PUSH(&p.types, (struct value_type){ text(&p, "cpu"), text(&p, "nanoseconds") });
		PUSH(&p.loc_at, 0);
		p.time_ns = (i / 2) * NS_PER_HOUR + 5 + i;
		add(w, &p, "svc", "a");
		profile_done(&p);
	}
	assert_int_equal(block_writer_finish(w, &out, NULL), 0);
	struct block *b;
	struct source src = source_of(&out);
	assert_int_equal(block_open(&src, "test", &b, NULL), 0);
	const struct dataset_info *info = block_info(b, 0);
	assert_int_equal(info->profiles, 4);
	assert_int_equal(info->bytes_in, 400);
	assert_int_equal(info->n_types, 1);
	assert_int_equal(info->types[0].profiles, 4);
	assert_int_equal(info->n_label_keys, 1);
	assert_true(str_eq(info->label_keys[0], STR("pod")));
	assert_int_equal(info->n_hours, 2);
	assert_int_equal(info->hours[0].profiles, 2);
	assert_int_equal(info->min_time, 5);
	assert_int_equal(info->max_time, NS_PER_HOUR + 8);
	block_free(b);
	block_writer_free(w);
	buf_done(&out);
}

/* Every bit of a whole object, flipped: found, or without effect on what is read; never a crash. */
static void every_flipped_bit_is_found_or_harmless(void **state)
{
	(void)state;
	struct rng r = { 11 };
	struct block_writer *w;
	struct buf out = BUF_INIT(LIMIT);
	assert_int_equal(block_writer_new(0, &w), 0);
	for (int i = 0; i < 3; i++) {
		struct profile p;
		assert_int_equal(profile_init(&p, LIMIT), 0);
		random_profile(&p, &r);
		add(w, &p, "s", "a");
		profile_done(&p);
	}
	assert_int_equal(block_writer_finish(w, &out, NULL), 0);
	size_t missed = 0;
	for (size_t bit = 0; bit < out.len * 8; bit++) {
		out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		struct source src = source_of(&out);
		struct block *b = NULL;
		struct error err = { 0 };
		int e = block_open(&src, "test", &b, &err);
		if (e == 0) {
			missed += block_verify(b, NULL, NULL, &err) == 0;
			block_free(b);
		} else {
			assert_non_null(strstr(err.text, "test"));
		}
		out.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	assert_int_equal(missed, 32); /* the trailer's reserved word */
	for (size_t len = 0; len < out.len; len += 7) {
		struct buf cut = { out.data, len, out.cap, LIMIT, 0 };
		struct source src = source_of(&cut);
		struct block *b;
		struct error err = { 0 };
		assert_true(block_open(&src, "cut", &b, &err) < 0);
	}
	block_writer_free(w);
	buf_done(&out);
}

/* What profiles/ gives back is the same profile when it is written again. */
static void identity_survives_the_store(void **state)
{
	(void)state;
	struct rng r = { 31 };
	for (int i = 0; i < 50; i++) {
		struct block_writer *w;
		struct block *b;
		struct profile p, back;
		struct buf out = BUF_INIT(LIMIT);
		struct profile_meta meta = { .service = STR("s") };
		uint8_t before[PROFILE_HASH_LEN], after[PROFILE_HASH_LEN];
		assert_int_equal(block_writer_new(0, &w), 0);
		assert_int_equal(profile_init(&p, LIMIT), 0);
		assert_int_equal(profile_init(&back, LIMIT), 0);
		random_profile(&p, &r);
		add(w, &p, "s", "a");
		assert_int_equal(block_writer_finish(w, &out, NULL), 0);
		struct source src = source_of(&out);
		assert_int_equal(block_open(&src, "test", &b, NULL), 0);
		assert_int_equal(dataset_restore(block_dataset(b, 0), 0, &back, NULL), 0);
		assert_int_equal(profile_hash(&p, &meta, STR(""), before), 0);
		assert_int_equal(profile_hash(&back, &meta, STR(""), after), 0);
		assert_memory_equal(before, after, sizeof before);
		profile_done(&p);
		profile_done(&back);
		block_free(b);
		block_writer_free(w);
		buf_done(&out);
	}
}

static void identity_is_the_content(void **state)
{
	(void)state;
	struct rng r = { 5 };
	struct profile p, q;
	struct buf bytes = BUF_INIT(LIMIT);
	uint8_t a[PROFILE_HASH_LEN], b[PROFILE_HASH_LEN];
	struct label l[] = { { STR("a"), STR("1") }, { STR("b"), STR("2") } }, swapped[] = { l[1], l[0] };
	struct profile_meta meta = { .service = STR("s"), .labels = l, .n_labels = 2 };
	assert_int_equal(profile_init(&p, LIMIT), 0);
	assert_int_equal(profile_init(&q, LIMIT), 0);
	random_profile(&p, &r);
	assert_int_equal(pprof_encode(&p, &bytes), 0);
	assert_int_equal(format_pprof.decode(buf_slice(&bytes), &(struct format_options){ 0 }, &q, NULL), 0);
	assert_int_equal(profile_hash(&p, &meta, STR("x"), a), 0);
	assert_int_equal(profile_hash(&q, &meta, STR("y"), b), 0);
	assert_memory_equal(a, b, sizeof a);
	meta.labels = swapped;
	assert_int_equal(profile_hash(&q, &meta, STR(""), b), 0);
	assert_memory_equal(a, b, sizeof a);
	meta.service = STR("t");
	assert_int_equal(profile_hash(&q, &meta, STR(""), b), 0);
	assert_memory_not_equal(a, b, sizeof a);
	meta.service = STR("s");
	q.time_ns++;
	assert_int_equal(profile_hash(&q, &meta, STR(""), b), 0);
	assert_memory_not_equal(a, b, sizeof a);
	profile_done(&p);
	profile_done(&q);
	buf_done(&bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_profiles_come_back_whole),
		cmocka_unit_test(restored_bytes_depend_on_content_alone),
		cmocka_unit_test(accumulated_values_are_the_samples_sums),
		cmocka_unit_test(footer_tells_types_labels_and_hours),
		cmocka_unit_test(every_flipped_bit_is_found_or_harmless),
		cmocka_unit_test(identity_survives_the_store),
		cmocka_unit_test(identity_is_the_content),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

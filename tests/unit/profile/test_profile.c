/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/profile/profile.h"

static struct error err;

#define PUSH(vec, ...) (*VEC_PUSH(vec) = (__VA_ARGS__))

/* Two samples of one type over main;leaf, the second one with a label. */
static void make(struct profile *p)
{
	assert_int_equal(profile_init(p, 1 << 20), 0);
	uint32_t cpu = profile_string(p, "cpu", 3), ns = profile_string(p, "nanoseconds", 11);
	uint32_t main_ = profile_string(p, "main", 4), leaf = profile_string(p, "leaf", 4);
	PUSH(&p->types, (struct value_type){ cpu, ns });
	PUSH(&p->mappings, (struct profile_mapping){ .start = 1, .filename = main_ });
	PUSH(&p->functions, (struct profile_function){ .name = main_ });
	PUSH(&p->functions, (struct profile_function){ .name = leaf });
	for (uint32_t i = 0; i < 2; i++) {
		PUSH(&p->lines, (struct profile_line){ .function = i, .line = 10 });
		PUSH(&p->locations, (struct profile_location){ .line_at = i, .n_lines = 1 });
	}
	static const uint32_t loc_at[] = { 0, 2, 3 }, locs[] = { 1, 0, 0 }, label_at[] = { 0, 0, 1 };
	for (size_t i = 0; i < 3; i++) {
		PUSH(&p->loc_at, loc_at[i]);
		PUSH(&p->locs, locs[i]);
		PUSH(&p->label_at, label_at[i]);
	}
	PUSH(&p->values, 5);
	PUSH(&p->values, -6);
	PUSH(&p->labels, (struct profile_label){ .key = cpu, .str = leaf });
	p->n_samples = 2;
}

static void test_empty(void **state)
{
	struct profile p;
	assert_int_equal(profile_init(&p, 1 << 20), 0);
	assert_int_equal(p.strings.n, 1);
	assert_int_equal(profile_str(&p, 0).len, 0);
	assert_int_equal(profile_str(&p, 99).len, 0);
	assert_int_equal(profile_verify(&p, &err), 0);
	profile_done(&p);
}

static void test_reset_empties_and_keeps_memory(void **state)
{
	struct profile p;
	make(&p);
	p.time_ns = 5;
	profile_warn(&p, "something");
	void *values = p.values.v;
	profile_reset(&p);
	assert_ptr_equal(p.values.v, values);
	assert_int_equal(p.values.n, 0);
	assert_int_equal(p.n_samples, 0);
	assert_int_equal(p.strings.n, 1);
	assert_int_equal(p.time_ns, 0);
	assert_int_equal(p.n_warnings, 0);
	assert_string_equal(p.warning, "");
	assert_int_equal(p.arena.used, 0);
	assert_int_equal(profile_verify(&p, &err), 0);
	profile_done(&p);
}

static void test_reset_gives_large_arrays_back(void **state)
{
	struct profile p;
	make(&p);
	assert_non_null(VEC_GROW(&p.values, 2 << 20));
	profile_reset(&p);
	assert_null(p.values.v);
	assert_int_equal(p.values.cap, 0);
	assert_non_null(p.locs.v);
	profile_done(&p);
}

static void test_strings_are_copied_and_bounded(void **state)
{
	struct profile p;
	assert_int_equal(profile_init(&p, 100000), 0);
	char text[] = "name";
	uint32_t i = profile_string(&p, text, 4);
	text[0] = 'X';
	assert_int_equal(i, 1);
	assert_memory_equal(profile_str(&p, i).s, "name", 5);
	static char large[60000];
	assert_int_not_equal(profile_string(&p, large, sizeof large), PROFILE_NONE);
	assert_int_equal(profile_string(&p, large, sizeof large), PROFILE_NONE);
	profile_done(&p);
}

static void test_first_warning_is_kept(void **state)
{
	struct profile p;
	assert_int_equal(profile_init(&p, 1 << 20), 0);
	profile_warn(&p, "first %d", 1);
	profile_warn(&p, "second");
	assert_int_equal(p.n_warnings, 2);
	assert_string_equal(p.warning, "first 1");
	profile_done(&p);
}

/* Each of these makes the sound profile unsound; verify must see it. */
static void test_verify_sees_every_bad_index(void **state)
{
	struct profile p;
	make(&p);
	assert_int_equal(profile_verify(&p, &err), 0);
#define BREAKS(field, bad)                                                                         \
	do {                                                                                       \
		__typeof__(field) was = field;                                                     \
		field = bad;                                                                       \
		assert_int_equal(profile_verify(&p, &err), ERR_FORMAT_REFERENCE);                  \
		field = was;                                                                       \
		assert_int_equal(profile_verify(&p, &err), 0);                                     \
	} while (0)
	BREAKS(p.strings.v[0], ((struct str){ "x", 1 }));
	BREAKS(p.strings.n, 0);
	BREAKS(p.types.v[0].type, 5);
	BREAKS(p.types.v[0].unit, PROFILE_NONE);
	BREAKS(p.mappings.v[0].filename, 5);
	BREAKS(p.mappings.v[0].build_id, 5);
	BREAKS(p.functions.v[1].name, 5);
	BREAKS(p.functions.v[1].system_name, 5);
	BREAKS(p.functions.v[1].filename, 5);
	BREAKS(p.lines.v[1].function, 2);
	BREAKS(p.locations.v[1].mapping, 1);
	BREAKS(p.locations.v[1].line_at, 2);
	BREAKS(p.locations.v[1].n_lines, 2);
	BREAKS(p.locations.v[1].n_lines, UINT32_MAX);
	BREAKS(p.locs.v[2], 2);
	BREAKS(p.locs.v[0], PROFILE_NONE);
	BREAKS(p.loc_at.v[0], 1);
	BREAKS(p.loc_at.v[1], 4);
	BREAKS(p.loc_at.v[2], 2);
	BREAKS(p.loc_at.n, 2);
	BREAKS(p.values.n, 1);
	BREAKS(p.types.n, 0);
	BREAKS(p.n_samples, 1);
	BREAKS(p.n_samples, SIZE_MAX);
	BREAKS(p.label_at.v[1], 2);
	BREAKS(p.label_at.v[2], 0);
	BREAKS(p.label_at.n, 2);
	BREAKS(p.label_at.n, 0);
	BREAKS(p.labels.v[0].key, 5);
	BREAKS(p.labels.v[0].str, 5);
	BREAKS(p.labels.v[0].num_unit, 5);
	BREAKS(p.drop_frames, 5);
	BREAKS(p.keep_frames, 5);
	BREAKS(p.period_type.type, 5);
	BREAKS(p.period_type.unit, 5);
	BREAKS(p.default_type, 5);
	BREAKS(p.doc_url, 5);
	BREAKS(p.kind, 5);
	PUSH(&p.comments, 0u);
	BREAKS(p.comments.v[0], 5);
	p.lines.v[1].function = PROFILE_NONE;
	p.locations.v[1].mapping = PROFILE_NONE;
	assert_int_equal(profile_verify(&p, &err), 0);
	profile_done(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_reset_empties_and_keeps_memory),
		cmocka_unit_test(test_reset_gives_large_arrays_back),
		cmocka_unit_test(test_strings_are_copied_and_bounded),
		cmocka_unit_test(test_first_warning_is_kept),
		cmocka_unit_test(test_verify_sees_every_bad_index),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/vec.h"

struct thing {
	int a;
	char pad[20];
};

static void test_push(void **state)
{
	VEC(struct thing) things = { 0 };
	for (int i = 0; i < 1000; i++) {
		struct thing *t = VEC_PUSH(&things);
		assert_non_null(t);
		t->a = i;
	}
	assert_int_equal(things.n, 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(things.v[i].a, i);
	VEC_DONE(&things);
	assert_null(things.v);
	assert_int_equal(things.n + things.cap, 0);
	VEC_DONE(&things);
}

static void test_grow_keeps_n(void **state)
{
	VEC(int) v = { 0 };
	int *room = VEC_GROW(&v, 100);
	assert_non_null(room);
	assert_ptr_equal(room, v.v);
	assert_int_equal(v.n, 0);
	assert_true(v.cap >= 100);
	VEC_DONE(&v);
}

static void test_too_many(void **state)
{
	VEC(struct thing) v = { 0 };
	assert_non_null(VEC_PUSH(&v));
	assert_null(VEC_GROW(&v, VEC_MAX_BYTES / sizeof(struct thing)));
	assert_null(VEC_GROW(&v, SIZE_MAX / 2));
	assert_int_equal(v.n, 1);
	VEC_DONE(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_push),
		cmocka_unit_test(test_grow_keeps_n),
		cmocka_unit_test(test_too_many),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

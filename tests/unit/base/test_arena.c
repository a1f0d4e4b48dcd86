/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/base/arena.h"

static void test_memory_is_aligned_and_apart(void **state)
{
	_arena_ struct arena a = ARENA_INIT(8 << 20);
	uint8_t *blocks[500];
	for (size_t i = 0; i < 500; i++) {
		blocks[i] = arena_alloc(&a, i);
		assert_non_null(blocks[i]);
		assert_int_equal((uintptr_t)blocks[i] % 16, 0);
		memset(blocks[i], (int)i, i);
	}
	for (size_t i = 0; i < 500; i++)
		for (size_t k = 0; k < i; k++)
			assert_int_equal(blocks[i][k], (uint8_t)i);
}

static void test_cap_holds(void **state)
{
	_arena_ struct arena a = ARENA_INIT(100000);
	size_t got = 0;
	while (arena_alloc(&a, 1000))
		got += 1000;
	assert_in_range(got, 60000, 100000);
	assert_true(a.used <= a.max);
	assert_null(arena_alloc(&a, 100000));
	arena_done(&a);
	assert_int_equal(a.used, 0);
	assert_non_null(arena_alloc(&a, 1000));
}

static void test_absurd_sizes(void **state)
{
	_arena_ struct arena a = ARENA_INIT(SIZE_MAX);
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_alloc(&a, SIZE_MAX - 16));
	assert_null(arena_calloc(&a, SIZE_MAX / 2, 3));
	assert_null(arena_strndup(&a, "x", SIZE_MAX));
	_arena_ struct arena none = ARENA_INIT(0);
	assert_null(arena_alloc(&none, 1));
}

static void test_large_block_beside_small_ones(void **state)
{
	_arena_ struct arena a = ARENA_INIT(64 << 20);
	char *s = arena_strndup(&a, "hello, world", 5);
	uint8_t *big = arena_calloc(&a, 5 << 20, 1);
	assert_non_null(big);
	for (size_t i = 0; i < 5 << 20; i += 4096)
		assert_int_equal(big[i], 0);
	assert_string_equal(s, "hello");
	assert_string_equal(arena_strndup(&a, "", 0), "");
	assert_string_equal(arena_strndup(&a, NULL, 0), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memory_is_aligned_and_apart),
		cmocka_unit_test(test_cap_holds),
		cmocka_unit_test(test_absurd_sizes),
		cmocka_unit_test(test_large_block_beside_small_ones),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

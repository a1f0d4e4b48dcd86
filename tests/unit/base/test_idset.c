/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/base/idset.h"

static size_t count_ids(const struct idset *s, uint64_t hash, uint32_t *ret_last)
{
	size_t n = 0;
	for (struct idset_probe p = idset_probe(s, hash); idset_next(s, &p); n++)
		*ret_last = p.id;
	return n;
}

static void test_empty_set(void **state)
{
	struct idset s = { 0 };
	uint32_t id;
	assert_int_equal(count_ids(&s, 1, &id), 0);
	assert_int_equal(idset_bytes(&s), 0);
	idset_clear(&s);
	idset_done(&s);
}

static void test_many_ids_are_found(void **state)
{
	struct idset s = { 0 };
	uint32_t id = 0;
	for (uint32_t i = 0; i < 10000; i++)
		assert_int_equal(idset_add(&s, i * 0x9e3779b97f4a7c15u, i), 0);
	assert_int_equal(s.count, 10000);
	assert_true(idset_bytes(&s) >= 10000 * sizeof(struct idset_slot) * 4 / 3);
	for (uint32_t i = 0; i < 10000; i++) {
		assert_int_equal(count_ids(&s, i * 0x9e3779b97f4a7c15u, &id), 1);
		assert_int_equal(id, i);
	}
	assert_int_equal(count_ids(&s, 12345, &id), 0);
	idset_done(&s);
}

static void test_equal_and_colliding_hashes(void **state)
{
	struct idset s = { 0 };
	uint32_t id = 0;
	for (uint32_t i = 0; i < 200; i++)
		assert_int_equal(idset_add(&s, (uint64_t)(i % 2) << 40, i), 0);
	assert_int_equal(count_ids(&s, 0, &id), 100);
	assert_int_equal(count_ids(&s, 1ull << 40, &id), 100);
	assert_int_equal(count_ids(&s, 1ull << 41, &id), 0);
	idset_clear(&s);
	assert_int_equal(s.count, 0);
	assert_int_equal(count_ids(&s, 0, &id), 0);
	assert_int_equal(idset_add(&s, 0, 7), 0);
	assert_int_equal(count_ids(&s, 0, &id), 1);
	idset_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty_set),
		cmocka_unit_test(test_many_ids_are_found),
		cmocka_unit_test(test_equal_and_colliding_hashes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

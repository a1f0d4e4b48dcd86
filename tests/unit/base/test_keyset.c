/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../core/base/keyset.h"

static struct hash_key key_of(uint64_t i, uint64_t seed)
{
	return hash_key(&i, sizeof i, seed);
}

static void what_was_added_is_found_and_nothing_else(void **state)
{
	(void)state;
	struct keyset s = { 0 };
	uint64_t seed;
	assert_int_equal(hash_random_seed(&seed), 0);
	assert_int_equal(keyset_find(&s, key_of(1, seed)), KEYSET_NONE);
	for (uint32_t i = 0; i < 100000; i++)
		assert_int_equal(keyset_add(&s, key_of(i, seed), i), 0);
	for (uint32_t i = 0; i < 100000; i++) {
		keyset_prefetch(&s, key_of(i, seed));
		assert_int_equal(keyset_find(&s, key_of(i, seed)), i);
		assert_int_equal(keyset_find(&s, key_of(i + UINT64_C(100000), seed)), KEYSET_NONE);
	}
	assert_true(keyset_bytes(&s) >= 100000 * sizeof(struct keyset_slot));
	keyset_done(&s);
}

static void keys_of_one_hash_are_told_apart_by_their_check(void **state)
{
	(void)state;
	struct keyset s = { 0 };
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(keyset_add(&s, (struct hash_key){ 7, i }, i), 0);
	for (uint32_t i = 0; i < 50; i++)
		assert_int_equal(keyset_find(&s, (struct hash_key){ 7, i }), i);
	assert_int_equal(keyset_find(&s, (struct hash_key){ 7, 50 }), KEYSET_NONE);
	keyset_done(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_added_is_found_and_nothing_else),
		cmocka_unit_test(keys_of_one_hash_are_told_apart_by_their_check),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

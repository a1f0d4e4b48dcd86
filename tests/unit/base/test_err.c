/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/base/err.h"

static void test_every_leaf_has_its_own_number_and_root(void **state)
{
	static const struct {
		int code, root;
		const char *name;
	} leaves[] = {
#define X(name, number, root, text) { name, root, #name },
		ERR_TREE(X)
#undef X
	};
	for (size_t i = 0; i < ARRAY_SIZE(leaves); i++) {
		assert_true(leaves[i].code < 0);
		assert_int_equal(err_errno(leaves[i].code), leaves[i].root);
		assert_string_equal(err_name(leaves[i].code), leaves[i].name);
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(leaves[i].code, leaves[k].code);
	}
}

static void test_plain_errno_is_an_error(void **state)
{
	assert_int_equal(err_errno(-ENOSPC), ENOSPC);
	assert_string_equal(err_name(-ENOSPC), "ENOSPC");
	assert_string_equal(err_text(-ENOSPC), "No space left on device");
	assert_string_equal(err_name(-250), "unknown error");
	assert_int_equal(err_errno(0), 0);
}

static void test_damage_is_told_from_failure(void **state)
{
	static const int damage[] = { ERR_CORRUPT, ERR_CORRUPT_CHECKSUM, ERR_CORRUPT_LAYOUT, ERR_CORRUPT_MISSING, ERR_STORE_RANGE };
	static const int others[] = { 0,         ERR_STORE,     ERR_STORE_NOT_FOUND, ERR_STORE_TIMEOUT, ERR_STORE_ACCESS,
		                      ERR_NEWER, ERR_CANCELLED, ERR_STALE,           -EIO,              -ENOMEM };
	for (size_t i = 0; i < ARRAY_SIZE(damage); i++)
		assert_true(err_is_damage(damage[i]));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(err_is_damage(others[i]));
}

static void test_sentences(void **state)
{
	struct error err = { 0 };
	assert_string_equal(error_text(&err, ERR_CORRUPT_CHECKSUM), "a checksum does not match");
	assert_string_equal(error_text(NULL, -EIO), "Input/output error");
	assert_int_equal(error_set(&err, ERR_STORE, "%s: %d", "key", 7), ERR_STORE);
	assert_string_equal(error_text(&err, ERR_STORE), "key: 7");
	assert_int_equal(error_at(&err, -EIO, "block %d", 3), ERR_STORE);
	assert_string_equal(err.text, "block 3: key: 7");
	assert_int_equal(error_set(NULL, ERR_STORE, "x"), ERR_STORE);
	assert_int_equal(error_at(NULL, ERR_STORE, "x"), ERR_STORE);
}

static void test_place_of_an_unexplained_error(void **state)
{
	struct error err = { 0 };
	assert_int_equal(error_at(&err, ERR_NEWER, "FORMAT"), ERR_NEWER);
	assert_string_equal(err.text, "FORMAT: written by a newer version");
}

static void test_long_sentences_are_cut(void **state)
{
	struct error err = { 0 };
	for (int i = 0; i < 100; i++)
		error_at(&err, ERR_STORE, "a place with a name");
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
	error_set(&err, ERR_STORE, "%0900d", 0);
	assert_int_equal(strlen(err.text), sizeof err.text - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_leaf_has_its_own_number_and_root),
		cmocka_unit_test(test_plain_errno_is_an_error),
		cmocka_unit_test(test_damage_is_told_from_failure),
		cmocka_unit_test(test_sentences),
		cmocka_unit_test(test_place_of_an_unexplained_error),
		cmocka_unit_test(test_long_sentences_are_cut),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../core/query/internal.h"

/* So many that a folded hash of 32 bits would take different pairs for equal ones. */
static void different_pairs_are_different_children(void **state)
{
	enum { N = 400000 };
	(void)state;
	struct trie *t;
	assert_int_equal(trie_new(&t), 0);
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(trie_child(t, i / 3, i * 7), i + 1);
	for (uint32_t i = 0; i < N; i++)
		assert_int_equal(trie_child(t, i / 3, i * 7), i + 1);
	trie_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(different_pairs_are_different_children) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}

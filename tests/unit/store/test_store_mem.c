/* SPDX-License-Identifier: MIT */
#include "contract.h"

static struct store *contract_open(void)
{
	struct store *s = NULL;
	assert_int_equal(store_mem_new(&s), 0);
	return s;
}

static void contract_close(struct store *s)
{
	store_free(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = { CONTRACT_TESTS };
	return cmocka_run_group_tests(tests, NULL, NULL);
}

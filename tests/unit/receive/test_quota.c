/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/receive/internal.h"

static void test_no_more_than_there_is(void **state)
{
	struct quota b;
	quota_init(&b, 10);
	assert_true(quota_try(&b, 6));
	assert_false(quota_try(&b, 5));
	assert_false(quota_try(&b, SIZE_MAX));
	assert_true(quota_try(&b, 4));
	quota_give(&b, 10);
	assert_int_equal(quota_used(&b), 0);
	quota_done(&b);
}

struct worker {
	struct quota *b;
	atomic_size_t *most;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	for (size_t i = 1; i < 2000; i++) {
		size_t n = i % 7 + 1;
		quota_wait(w->b, n);
		size_t used = quota_used(w->b);
		if (used > atomic_load(w->most))
			atomic_store(w->most, used);
		quota_give(w->b, n);
	}
	return NULL;
}

static void test_waiting_ends_and_keeps_to_it(void **state)
{
	struct quota b;
	atomic_size_t most = 0;
	pthread_t threads[6];
	quota_init(&b, 10);
	struct worker w = { &b, &most };
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, work, &w), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_true(atomic_load(&most) <= 10);
	assert_int_equal(quota_used(&b), 0);
	quota_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_more_than_there_is),
		cmocka_unit_test(test_waiting_ends_and_keeps_to_it),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

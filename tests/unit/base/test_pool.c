/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <signal.h>

#include "core/base/clock.h"
#include "core/base/pool.h"

static struct pool *make(unsigned threads)
{
	struct pool *p = NULL;
	assert_int_equal(pool_new(threads, &p), 0);
	return p;
}

static void count_call(void *arg)
{
	atomic_fetch_add((atomic_int *)arg, 1);
}

static void test_free_finishes_what_is_queued(void **state)
{
	atomic_int calls = 0;
	struct pool *p = make(3);
	assert_int_equal(pool_threads(p), 3);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(pool_submit(p, count_call, &calls), 0);
	pool_free(p);
	assert_int_equal(calls, 1000);
	pool_free(NULL);
}

static void test_default_size(void **state)
{
	struct pool *p = make(0);
	assert_in_range(pool_threads(p), 1, 256);
	pool_free(p);
	assert_int_equal(pool_threads(NULL), 1);
}

struct late {
	struct pool *pool;
	atomic_int result;
};

static void submit_late(void *arg)
{
	struct late *l = arg;
	usleep(50000);
	l->result = pool_submit(l->pool, submit_late, l);
}

static void test_submit_while_stopping(void **state)
{
	struct late l = { make(1), 0 };
	assert_int_equal(pool_submit(l.pool, submit_late, &l), 0);
	pool_free(l.pool);
	assert_int_equal(l.result, ERR_SHUTDOWN);
}

struct sums {
	atomic_int hits[1000];
	int fail_at[2];
	int fail_with[2];
};

static int hit(void *arg, size_t i)
{
	struct sums *s = arg;
	atomic_fetch_add(&s->hits[i], 1);
	for (int k = 0; k < 2; k++)
		if (s->fail_with[k] && s->fail_at[k] == (int)i)
			return s->fail_with[k];
	return i % 3 == 0 ? 7 : 0;
}

static void assert_each(struct pool *p, size_t n, struct sums *s, int expected)
{
	for (size_t i = 0; i < 1000; i++)
		s->hits[i] = 0;
	assert_int_equal(pool_each(p, n, hit, s), expected);
	for (size_t i = 0; i < 1000; i++)
		assert_int_equal(s->hits[i], i < n);
}

static void test_each_calls_each_once(void **state)
{
	static const size_t sizes[] = { 0, 1, 2, 3, 10, 1000 };
	struct pool *p = make(4);
	struct sums s = { 0 };
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		assert_each(p, sizes[i], &s, 0);
		assert_each(NULL, sizes[i], &s, 0);
	}
	pool_free(p);
}

static void test_each_gives_the_lowest_error(void **state)
{
	struct pool *p = make(4);
	struct sums s = { .fail_at = { 10, 500 }, .fail_with = { -5, -22 } };
	for (int i = 0; i < 20; i++)
		assert_each(p, 1000, &s, -22);
	assert_each(NULL, 1000, &s, -22);
	assert_each(p, 400, &s, -5);
	pool_free(p);
}

struct nest {
	struct pool *pool;
	atomic_int leaves;
};

static int leaf(void *arg, size_t i)
{
	atomic_fetch_add(&((struct nest *)arg)->leaves, 1);
	usleep(100);
	return 0;
}

static int branch(void *arg, size_t i)
{
	return pool_each(((struct nest *)arg)->pool, 5, leaf, arg);
}

static int trunk(void *arg, size_t i)
{
	return pool_each(((struct nest *)arg)->pool, 5, branch, arg);
}

static void test_each_within_each_within_each(void **state)
{
	for (unsigned threads = 1; threads <= 4; threads++) {
		struct nest n = { make(threads), 0 };
		assert_int_equal(pool_each(n.pool, 5, trunk, &n), 0);
		assert_int_equal(n.leaves, 125);
		pool_free(n.pool);
	}
}

static void run_trunk(void *arg)
{
	trunk(arg, 0);
}

/* Every thread of the pool is inside a pool_each() at once. */
static void test_each_from_all_pool_threads(void **state)
{
	struct nest n = { make(2), 0 };
	for (int i = 0; i < 6; i++)
		assert_int_equal(pool_submit(n.pool, run_trunk, &n), 0);
	pool_free(n.pool);
	assert_int_equal(n.leaves, 6 * 25);
}

static void wait_for_gate(void *arg)
{
	pthread_mutex_lock(arg);
	pthread_mutex_unlock(arg);
}

/* The helpers stay in the queue behind a task that blocks: the caller does all alone and they come too late. */
static void test_each_needs_no_free_thread(void **state)
{
	pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
	struct pool *p = make(1);
	struct sums s = { 0 };
	pthread_mutex_lock(&gate);
	assert_int_equal(pool_submit(p, wait_for_gate, &gate), 0);
	assert_each(p, 1000, &s, 0);
	pthread_mutex_unlock(&gate);
	pool_free(p);
}

static int note_thread(void *arg, size_t i)
{
	usleep(20000);
	((pthread_t *)arg)[i] = pthread_self();
	return 0;
}

static void test_each_uses_the_threads(void **state)
{
	pthread_t threads[8];
	struct pool *p = make(3);
	assert_int_equal(pool_each(p, 8, note_thread, threads), 0);
	int others = 0;
	for (int i = 0; i < 8; i++)
		others += !pthread_equal(threads[i], pthread_self());
	assert_in_range(others, 1, 7);
	pool_free(p);
}

static void note_signals(void *arg)
{
	pthread_sigmask(SIG_SETMASK, NULL, arg);
}

static void test_threads_take_no_signals(void **state)
{
	sigset_t there, here;
	struct pool *p = make(1);
	assert_int_equal(pool_submit(p, note_signals, &there), 0);
	pool_free(p);
	assert_int_equal(sigismember(&there, SIGTERM), 1);
	pthread_sigmask(SIG_SETMASK, NULL, &here);
	assert_int_equal(sigismember(&here, SIGTERM), 0);
}

static void test_cancel(void **state)
{
	struct cancel c = { 0 };
	assert_int_equal(cancel_check(NULL), 0);
	assert_int_equal(cancel_check(&c), 0);
	c.deadline = clock_monotonic() + NS_PER_HOUR;
	assert_int_equal(cancel_check(&c), 0);
	c.deadline = clock_monotonic() - 1;
	assert_int_equal(cancel_check(&c), -ETIMEDOUT);
	atomic_store(&c.set, true);
	assert_int_equal(cancel_check(&c), ERR_CANCELLED);
}

static int until_cancelled(void *arg, size_t i)
{
	struct cancel *c = arg;
	if (i == 5)
		atomic_store(&c->set, true);
	return cancel_check(c);
}

static void test_cancel_ends_each(void **state)
{
	struct pool *p = make(2);
	struct cancel c = { 0 };
	assert_int_equal(pool_each(p, 100000, until_cancelled, &c), ERR_CANCELLED);
	pool_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_free_finishes_what_is_queued),
		cmocka_unit_test(test_default_size),
		cmocka_unit_test(test_submit_while_stopping),
		cmocka_unit_test(test_each_calls_each_once),
		cmocka_unit_test(test_each_gives_the_lowest_error),
		cmocka_unit_test(test_each_within_each_within_each),
		cmocka_unit_test(test_each_from_all_pool_threads),
		cmocka_unit_test(test_each_needs_no_free_thread),
		cmocka_unit_test(test_each_uses_the_threads),
		cmocka_unit_test(test_threads_take_no_signals),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_cancel_ends_each),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

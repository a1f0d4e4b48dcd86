/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/paths/remote_write.h"

/* What servers take and refuse is in tests/receive/rules.py. Here: no server. */
static const struct remote_options nobody = { .url = "http://127.0.0.1:1/", .patience = NS_PER_S / 10 };

static int gather(struct remote *r, size_t n)
{
	struct label labels[] = { { STR("type"), STR("cpu") }, { STR("pod"), STR("") } };
	struct metric_sample *samples = calloc(n + 1, sizeof *samples);
	for (size_t i = 0; samples && i < n; i++)
		samples[i].time = (int64_t)i * NS_PER_S;
	struct metric_series s = { STR("a"), labels, 2, samples, n };
	int e = remote_gather(r, &s);
	free(samples);
	return e;
}

static void test_nothing_needs_no_server(void **state)
{
	_cleanup_(remote_freep) struct remote *r = NULL;
	assert_int_equal(remote_new(&nobody, &r, NULL), 0);
	assert_int_equal(remote_flush(r, NULL, NULL, NULL), 0);
	assert_int_equal(gather(r, 3), 0);
	remote_drop(r);
	assert_int_equal(remote_flush(r, NULL, NULL, NULL), 0);
	assert_int_equal(remote_counts(r)->requests, 0);
}

static void test_no_server_is_an_error_in_time(void **state)
{
	_cleanup_(remote_freep) struct remote *r = NULL;
	struct error err = { 0 };
	assert_int_equal(remote_new(&nobody, &r, NULL), 0);
	assert_int_equal(gather(r, 5000), 0);
	assert_int_equal(remote_flush(r, NULL, NULL, &err), -ETIMEDOUT);
	assert_non_null(strstr(err.text, "not taken in time"));
	assert_int_equal(remote_counts(r)->requests, 1);
	assert_int_equal(remote_counts(r)->samples + remote_counts(r)->refused, 0);
}

static void test_a_secret_that_cannot_be_read_sends_nothing(void **state)
{
	_cleanup_(remote_freep) struct remote *r = NULL;
	struct remote_options o = nobody;
	o.token_file = "/nonexistent/token";
	assert_int_equal(remote_new(&o, &r, NULL), 0);
	assert_int_equal(gather(r, 1), 0);
	assert_int_equal(remote_flush(r, NULL, NULL, NULL), -ENOENT);
	assert_int_equal(remote_counts(r)->requests, 0);
}

static void test_what_is_gathered_is_bounded(void **state)
{
	_cleanup_(remote_freep) struct remote *r = NULL;
	int e = 0;
	assert_int_equal(remote_new(&nobody, &r, NULL), 0);
	for (unsigned i = 0; i < 100 && !e; i++)
		e = gather(r, 100000);
	assert_int_equal(e, ERR_LIMIT);
	remote_drop(r);
	assert_int_equal(gather(r, 100000), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_needs_no_server),
		cmocka_unit_test(test_no_server_is_an_error_in_time),
		cmocka_unit_test(test_a_secret_that_cannot_be_read_sends_nothing),
		cmocka_unit_test(test_what_is_gathered_is_bounded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/base/log.h"

struct lines {
	size_t n;
	enum log_level level;
	char last[2000];
};

static void keep(void *ctx, enum log_level level, const char *line)
{
	struct lines *l = ctx;
	l->n++;
	l->level = level;
	snprintf(l->last, sizeof l->last, "%s", line);
}

static void test_levels(void **state)
{
	struct lines l = { 0 };
	struct log log = { keep, &l, LOG_LEVEL_WARNING };
	log_msg(&log, LOG_LEVEL_ERROR, "%s: %d", "a", 1);
	assert_string_equal(l.last, "a: 1");
	assert_int_equal(l.level, LOG_LEVEL_ERROR);
	log_msg(&log, LOG_LEVEL_WARNING, "b");
	log_msg(&log, LOG_LEVEL_INFO, "c");
	log_msg(&log, LOG_LEVEL_DEBUG, "d");
	assert_int_equal(l.n, 2);
	assert_string_equal(l.last, "b");
}

static void test_nowhere(void **state)
{
	struct log log = { 0 };
	log_msg(NULL, LOG_LEVEL_ERROR, "x");
	log_msg(&log, LOG_LEVEL_ERROR, "x");
}

static void test_message_is_one_line(void **state)
{
	struct lines l = { 0 };
	struct log log = { keep, &l, LOG_LEVEL_DEBUG };
	log_msg(&log, LOG_LEVEL_INFO, "%s", "a\nprofilefs: forged\x1b[31m\x7f\t\xc3\xa9");
	assert_string_equal(l.last, "a?profilefs: forged?[31m??\xc3\xa9");
	log_msg(&log, LOG_LEVEL_INFO, "%05000d", 1);
	assert_in_range(strlen(l.last), 500, 1999);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_nowhere),
		cmocka_unit_test(test_message_is_one_line),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

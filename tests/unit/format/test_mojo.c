/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "decode.h"

#define F (&format_mojo)

/* Of the process 5: texts 2 "a.py", 3 "main", 4 "f"; frames 6 (main:9, column 7) and 8 (f:70). */
#define MODE(m) "\1mode\0" m "\0"
#define STACK "\2\5\0" "5b\0"
#define TEXTS "\13\2a.py\0" "\13\3main\0" "\13\4f\0"
#define FRAMES "\3\6\2\3\11\11\7\12" "\3\10\2\4\206\1\206\1\0\0"

#define DECODE(text) decode(F, text, sizeof(text) - 1)

static void test_samples_are_those_of_the_text(void **state)
{
	assert_int_equal(DECODE("MOJ\3" MODE("full") STACK TEXTS FRAMES "\5\6\5\10\11\24\12\103"
	                        STACK "\5\6\10\11\220\1" "\1duration\0" "900\0"), 0);
	assert_int_equal(profile.n_samples, 2);
	assert_int_equal(profile.types.n, 4);
	assert_type(1, "cpu", "microseconds");
	assert_stack(0, "f;main");
	assert_int_equal(value(0, 0), 20);
	assert_int_equal(value(0, 1), 20);
	assert_int_equal(value(0, 3), -3);
	assert_int_equal(value(1, 0), 80);
	assert_int_equal(value(1, 1), 0);
	assert_label(1, "idle", "true");
	assert_label(0, "thread", "0:5b");
	assert_number(0, "pid", 5);
	assert_int_equal(profile.duration_ns, 900000);
	assert_int_equal(profile.lines.v[0].line, 9);
	assert_int_equal(profile.lines.v[0].column, 7);
	assert_int_equal(profile.lines.v[1].line, 70);
}

static void test_special_frames(void **state)
{
	assert_int_equal(DECODE("MOJ\3" MODE("wall") STACK "\4\6sys_read\0\7\11\1"), 0);
	assert_stack(0, ":GC:;sys_read;:INVALID:");
	assert_type(0, "wall", "microseconds");
}

static void test_older_versions_say_less(void **state)
{
	assert_int_equal(DECODE("MOJ\1" MODE("memory") "\2\5" "5b\0" TEXTS "\3\6\2\3\11" "\5\6\12\24"), 0);
	assert_stack(0, "main");
	assert_label(0, "thread", "5b");
	assert_type(0, "alloc_space", "bytes");
	assert_int_equal(value(0, 0), 20);
	assert_int_equal(DECODE("MOJ\2" MODE("cpu") "\2\5" "5b\0" TEXTS FRAMES "\5\6\11\24"), 0);
	assert_type(0, "cpu", "microseconds");
}

/* The same key is another frame in another process; 1 is a text that need not be defined. */
static void test_keys_are_of_a_process(void **state)
{
	assert_int_equal(DECODE("MOJ\3" STACK TEXTS FRAMES "\5\6\11\1" "\2\7\0" "7\0" "\3\6\1\1\1\1\0\0" "\5\6\11\1"
	                        STACK "\5\6\11\1"), 0);
	assert_stack(0, "main");
	assert_stack(1, "<unknown>");
	assert_stack(2, "main");
	assert_int_equal(DECODE("MOJ\3" STACK TEXTS FRAMES "\2\7\0" "7\0" "\5\6\11\1"), ERR_FORMAT_REFERENCE);
}

static void test_refused(void **state)
{
	static const struct { const char *bytes; size_t n; int e; const char *says; } cases[] = {
#define CASE(text, e, says) { text, sizeof(text) - 1, e, says }
		CASE("MOJ\3", ERR_FORMAT_UNKNOWN, "without any sample"),
		CASE("MOJ\3" MODE("wall"), ERR_FORMAT_UNKNOWN, "without any sample"),
		CASE("MOJ\4" MODE("wall"), ERR_FORMAT_NAMED, "mojo2austin"),
		CASE("MOJ\3\5\6", ERR_FORMAT_MALFORMED, "outside of a sample"),
		CASE("MOJ\3" STACK "\5\6", ERR_FORMAT_REFERENCE, "frame that is not defined"),
		CASE("MOJ\3" STACK "\3\6\11\11\1\1\1\1", ERR_FORMAT_REFERENCE, "text that is not defined"),
		CASE("MOJ\3" STACK "\15", ERR_FORMAT_MALFORMED, "an unknown event"),
		CASE("MOJ\3" STACK "\13\2a.p", ERR_FORMAT_TRUNCATED, "cut short"),
		CASE("MOJ\3" STACK "\11\200", ERR_FORMAT_TRUNCATED, "cut short"),
		CASE("MOJ\3" STACK "\11\200\200\200\200\200\200\200\200\200\200\1", ERR_FORMAT_MALFORMED, "too large"),
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int e = decode(F, cases[i].bytes, cases[i].n);
		if (e != cases[i].e || !strstr(err.text, cases[i].says))
			fail_msg("case %zu: %d, \"%s\"", i, e, err.text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples_are_those_of_the_text),
		cmocka_unit_test(test_special_frames),
		cmocka_unit_test(test_older_versions_say_less),
		cmocka_unit_test(test_keys_are_of_a_process),
		cmocka_unit_test(test_refused),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

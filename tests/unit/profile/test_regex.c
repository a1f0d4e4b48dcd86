/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/profile/label.h"

static struct error err;

static bool find_n(struct str pattern, bool anchored, struct str subject)
{
	_cleanup_(regex_freep) struct regex *re = NULL;
	assert_int_equal(regex_new(pattern, anchored, &re, &err), 0);
	return regex_match(re, subject);
}

#define FINDS(pattern, subject) find_n(STR(pattern), false, STR(subject))
#define IS(pattern, subject) find_n(STR(pattern), true, STR(subject))

static void test_found_anywhere_or_anchored(void **state)
{
	assert_true(FINDS("parse", "json.parseValue"));
	assert_false(IS("parse", "json.parseValue"));
	assert_true(IS("json\\..*", "json.parseValue"));
	assert_true(IS("", ""));
	assert_true(FINDS("", "anything"));
	assert_true(IS("a.b", "a\nb"));
	assert_false(IS("a", "a\n"));
	assert_true(FINDS("(?i)MAIN", "main"));
}

static void test_characters(void **state)
{
	assert_true(IS("gr.n", "grün"));
	assert_true(IS("gr[üö]n", "grün"));
	assert_true(IS("\\p{L}+", "火山"));
}

/* A byte that is no character is matched by `.` and by itself; valid characters of the pattern match beside it. */
static void test_subjects_that_are_not_utf8(void **state)
{
	assert_true(IS(".*", "main\xffleaf"));
	assert_true(IS("main.leaf", "main\xffleaf"));
	assert_true(FINDS("leaf$", "\xc3(leaf"));
	assert_true(FINDS("grün", "\xff grün"));
	assert_true(IS("main\xffleaf", "main\xffleaf"));
	assert_false(IS("main\xfeleaf", "main\xffleaf"));
}

static void test_nul_is_a_byte(void **state)
{
	assert_true(IS("a.b", "a\0b"));
	assert_true(IS("a\0b", "a\0b"));
	assert_false(IS("a", "a\0"));
	assert_true(find_n((struct str){ NULL, 0 }, true, (struct str){ NULL, 0 }));
}

static void test_bad_patterns(void **state)
{
	static const char *const bad[] = { "(", "[a", "a{2,1}", "*a", "\\", "(?<n>", "\\C", "\xff(" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct regex *re = NULL;
		err.text[0] = '\0';
		assert_int_equal(regex_new(str_of(bad[i]), true, &re, &err), ERR_PATH);
		assert_null(re);
		assert_non_null(strstr(err.text, "offset"));
	}
	_free_ char *large = calloc(1, 1 << 20);
	memset(large, 'a', 1 << 20);
	struct regex *re = NULL;
	assert_int_equal(regex_new((struct str){ large, 1 << 20 }, true, &re, &err), ERR_PATH);
}

/* Exponential backtracking ends at the step limit, without a match and without delay. */
static void test_catastrophic_backtracking_is_bounded(void **state)
{
	assert_false(IS("(a+)+b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaac"));
	assert_false(IS("(x+x+)+y", "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"));
}

static void test_long_subject(void **state)
{
	size_t n = 4 << 20;
	_free_ char *s = malloc(n);
	memset(s, 'a', n);
	assert_true(find_n(STR("a*"), true, (struct str){ s, n }));
	find_n(STR("(a|b)*"), true, (struct str){ s, n }); /* either answer, but no overflow of the stack */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_anywhere_or_anchored),
		cmocka_unit_test(test_characters),
		cmocka_unit_test(test_subjects_that_are_not_utf8),
		cmocka_unit_test(test_nul_is_a_byte),
		cmocka_unit_test(test_bad_patterns),
		cmocka_unit_test(test_catastrophic_backtracking_is_bounded),
		cmocka_unit_test(test_long_subject),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/store/store.h"

static const struct store_options create = { .create = true };

static void assert_refused(const char *word, int code, const char *why)
{
	struct store *s = NULL;
	struct error err = { 0 };
	assert_int_equal(store_open(word, &create, &s, &err), code);
	if (!strstr(err.text, why))
		fail_msg("%s: said \"%s\"", word, err.text);
	assert_null(s);
}

static void test_refused_words(void **state)
{
	assert_refused("", -EINVAL, "empty");
	assert_refused("http://host/x", -EINVAL, "unknown kind of store");
	assert_refused("file://host/x", -EINVAL, "three slashes");
	assert_refused("file://relative", -EINVAL, "three slashes");
	assert_refused("file:///a%00b", -EINVAL, "not a valid path");
}

static void assert_opens(const char *word, const char *path)
{
	struct store *s = NULL;
	struct error err = { 0 };
	int r = store_open(word, &create, &s, &err);
	if (r < 0)
		fail_msg("%s: %s", word, error_text(&err, r));
	assert_string_equal(s->name, word);
	assert_int_equal(access(path, F_OK), 0);
	store_free(s);
	assert_int_equal(rmdir(path), 0);
}

static void test_words_for_directories(void **state)
{
	char tmp[] = "/tmp/store-XXXXXX", word[100], path[100];
	assert_non_null(mkdtemp(tmp));
	snprintf(path, sizeof path, "%s/a b", tmp);
	assert_opens(path, path);
	snprintf(word, sizeof word, "file://%s/a%%20b", tmp);
	assert_opens(word, path);
	snprintf(word, sizeof word, "file://localhost%s/a%%20b", tmp);
	assert_opens(word, path);
	snprintf(path, sizeof path, "%s/s3:", tmp);
	assert_opens(path, path);
	assert_int_equal(rmdir(tmp), 0);
}

static void test_free_takes_null(void **state)
{
	store_free(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused_words),
		cmocka_unit_test(test_words_for_directories),
		cmocka_unit_test(test_free_takes_null),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/receive/internal.h"

static void write_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void test_tokens_of_a_file(void **state)
{
	char dir[] = "/tmp/profilefs-auth-XXXXXX", file[64];
	struct error err = { 0 };
	struct tokens *t = NULL;
	assert_non_null(mkdtemp(dir));
	snprintf(file, sizeof file, "%s/tokens", dir);
	assert_int_equal(tokens_open(file, &t, &err), -ENOENT);
	write_file(file, "# none\n\n");
	assert_int_equal(tokens_open(file, &t, &err), -EINVAL);
	write_file(file, "# two\nalpha \n\tbeta\r\n");
	assert_int_equal(tokens_open(file, &t, &err), 0);
	assert_true(tokens_allow(t, "Bearer alpha"));
	assert_true(tokens_allow(t, "bearer beta"));
	static const char *const bad[] = { NULL, "", "Bearer", "Bearer ", "Bearer alph", "Bearer alphaa", "Bearer gamma",
		"Basic alpha", "alpha", "Bearer #", "Bearer  alpha" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(tokens_allow(t, bad[i]));
	unlink(file); /* what was there stays while the file is away */
	assert_true(tokens_allow(t, "Bearer alpha"));
	tokens_free(t);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_tokens_of_a_file) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */

/* This program is the reader that it starts; what the environment asks of it then goes wrong there. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../../core/debug/debug.h"

#define MISCHIEF "PROFILEFS_TEST_MISCHIEF"

static char dir[] = "/tmp/profilefs-apart-XXXXXX";
static struct error err;

static int misbehave(const char *how)
{
	static const char junk[1 << 16];
	if (!strcmp(how, "crash")) {
		signal(SIGSEGV, SIG_DFL); /* sanitizers handle it */
		raise(SIGSEGV);
	}
	if (!strcmp(how, "time"))
		raise(SIGXCPU);
	if (!strcmp(how, "memory"))
		raise(SIGKILL);
	if (!strcmp(how, "fail"))
		return 1;
	if (!strcmp(how, "colour"))
		return write(1, "\1\6\33[31m\200", 8) != 8;
	if (!strcmp(how, "short"))
		return write(1, "\0\2ab", 4) != 4;
	if (!strcmp(how, "flood"))
		while (write(1, junk, sizeof junk) > 0)
			continue;
	return 0; /* says nothing */
}

static int open_file(const char *name)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	return fd;
}

static int read_apart(int fd, struct debug_facts *facts, struct buf *out)
{
	err = (struct error){ 0 };
	return debug_read_apart("/proc/self/exe", fd, facts, out, &err);
}

static bool compile(const char *options)
{
	char command[1024];
	snprintf(command, sizeof command,
	         "cd %s && echo 'int f(int x) { return x + 1; } int main(void) { return f(0); }' > t.c && gcc -g %s "
	         "-Wl,--build-id t.c -o t 2>/dev/null", dir, options);
	return system(command) == 0;
}

#define NEED_GCC(options)                                              \
	do {                                                           \
		if (!compile(options)) {                               \
			print_message("skip apart: no gcc here\n");    \
			skip();                                        \
		}                                                      \
	} while (0)

static void test_what_is_read_apart_is_the_same(void **state)
{
	NEED_GCC("");
	_buf_ struct buf here = BUF_INIT(DEBUG_OBJECT_MAX), there = BUF_INIT(DEBUG_OBJECT_MAX);
	_close_ int fd = open_file("t");
	struct debug_facts a, b;
	assert_int_equal(debug_read(fd, &a, &here, &err), 0);
	if (read_apart(fd, &b, &there))
		fail_msg("%s", err.text);
	assert_int_equal(here.len, there.len);
	assert_memory_equal(here.data, there.data, here.len);
	assert_string_equal(a.build_id, b.build_id);
	assert_true(b.dwarf && a.functions == b.functions && a.ranges == b.ranges && a.lines == b.lines);
}

static void test_a_refusal_comes_with_its_sentence(void **state)
{
	_buf_ struct buf out = BUF_INIT(DEBUG_OBJECT_MAX);
	struct debug_facts facts;
	_close_ int fd = open_file("text");
	assert_int_equal(write(fd, "no ELF", 6), 6);
	assert_int_equal(read_apart(fd, &facts, &out), ERR_FORMAT);
	assert_string_equal(err.text, "it is no ELF file");
}

static void test_mischief_is_an_error_and_no_more(void **state)
{
	static const struct { const char *how; int e; const char *says; } cases[] = {
		{ "crash", ERR_FORMAT_MALFORMED, "by signal 11" }, { "time", ERR_FORMAT_LIMIT, "more time or memory" },
		{ "memory", ERR_FORMAT_LIMIT, "more time or memory" }, { "fail", ERR_FORMAT_MALFORMED, "reading it failed" },
		{ "short", ERR_FORMAT_MALFORMED, "not whole" }, { "silence", ERR_FORMAT_MALFORMED, "not whole" },
		{ "colour", -1, "?[31m?" }, { "flood", ERR_FORMAT_LIMIT, "more time or memory" },
	};
	_close_ int fd = open_file("text");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_buf_ struct buf out = BUF_INIT(DEBUG_OBJECT_MAX);
		struct debug_facts facts;
		setenv(MISCHIEF, cases[i].how, 1);
		int e = read_apart(fd, &facts, &out);
		unsetenv(MISCHIEF);
		if (e != cases[i].e || !strstr(err.text, cases[i].says) || out.len)
			fail_msg("%s: %d, %s", cases[i].how, e, err.text);
	}
}

static void test_a_program_that_is_not_there_is_an_error(void **state)
{
	_buf_ struct buf out = BUF_INIT(DEBUG_OBJECT_MAX);
	struct debug_facts facts;
	_close_ int fd = open_file("text");
	assert_int_equal(debug_read_apart("/nonexistent/profilefs", fd, &facts, &out, &err), -ENOENT);
	assert_non_null(strstr(err.text, "does not start"));
}

/* Whatever becomes of the child, this process sees a result or a sentence. */
static void test_damaged_files_end_nobody_else(void **state)
{
	NEED_GCC("");
	uint8_t bytes[64 << 10];
	_close_ int whole = open_file("t"), fd = open_file("damaged");
	ssize_t n = read(whole, bytes, sizeof bytes);
	uint32_t x = 1;
	assert_true(n > 4096);
	for (int round = 0; round < 60; round++) {
		_buf_ struct buf out = BUF_INIT(DEBUG_OBJECT_MAX);
		struct debug_facts facts;
		for (int i = 0; i < 8; i++) { /* damage adds up */
			x = x * 1664525 + 1013904223;
			bytes[4 + x % (size_t)(n - 4)] ^= (uint8_t)(1 << (x >> 29));
		}
		assert_int_equal(pwrite(fd, bytes, (size_t)n, 0), n);
		int e = read_apart(fd, &facts, &out);
		assert_true(!e || err.text[0]);
	}
}

static void test_split_dwarf_is_told(void **state)
{
	NEED_GCC("-gsplit-dwarf");
	_buf_ struct buf out = BUF_INIT(DEBUG_OBJECT_MAX);
	struct debug_facts facts;
	_close_ int fd = open_file("t");
	if (read_apart(fd, &facts, &out))
		fail_msg("%s", err.text);
	assert_non_null(strstr(facts.note, "-gno-split-dwarf"));
	assert_true(facts.functions > 1);
}

/* What two programs have in common is moved into a third file: with it all is known, without it names are. */
static void test_dwz_is_told(void **state)
{
	NEED_GCC("-include stdio.h"); /* something that is worth to be moved */
	char command[400];
	snprintf(command, sizeof command, "cd %s && cp t a && gcc -g -include stdio.h -O1 -Wl,--build-id t.c -o b && dwz -m common a b "
	         "2>/dev/null && test -e common", dir);
	if (system(command)) {
		print_message("skip apart: no dwz here\n");
		skip();
	}
	for (int gone = 0; gone < 2; gone++) {
		_buf_ struct buf out = BUF_INIT(DEBUG_OBJECT_MAX);
		struct debug_facts facts;
		_close_ int fd = open_file("a");
		if (read_apart(fd, &facts, &out))
			fail_msg("%s", err.text);
		assert_int_equal(facts.dwarf, !gone);
		assert_true(facts.functions > 1);
		assert_int_equal(strstr(facts.note, "by dwz") != NULL, gone);
		snprintf(command, sizeof command, "rm %s/common", dir);
		assert_true(gone || system(command) == 0);
	}
}

static int set_up(void **state)
{
	return !mkdtemp(dir);
}

static int tear_down(void **state)
{
	char command[600];
	snprintf(command, sizeof command, "rm -rf %s", dir);
	return system(command);
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], DEBUG_READ_COMMAND))
		return getenv(MISCHIEF) ? misbehave(getenv(MISCHIEF)) : debug_read_child(0, 1);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_read_apart_is_the_same),
		cmocka_unit_test(test_a_refusal_comes_with_its_sentence),
		cmocka_unit_test(test_mischief_is_an_error_and_no_more),
		cmocka_unit_test(test_a_program_that_is_not_there_is_an_error),
		cmocka_unit_test(test_damaged_files_end_nobody_else),
		cmocka_unit_test(test_split_dwarf_is_told),
		cmocka_unit_test(test_dwz_is_told),
	};
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

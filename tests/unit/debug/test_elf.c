/* SPDX-License-Identifier: MIT */

/* Programs are compiled here; what is known of every address of their functions is compared with addr2line. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#include "../../../core/debug/debug.h"

static char dir[] = "/tmp/profilefs-debug-XXXXXX";

static const char source[] =
	"volatile int sink;\n"
	"__attribute__((always_inline)) static inline int inner(int x)\n"
	"{\n"
	"	sink = x;\n"
	"	return sink * 3;\n"
	"}\n"
	"__attribute__((always_inline)) static inline int middle(int x)\n"
	"{\n"
	"	return inner(x) + inner(x + 2);\n"
	"}\n"
	"__attribute__((noinline)) int outer(int x)\n"
	"{\n"
	"	for (int i = 0; i < x; i++)\n"
	"		sink += middle(i);\n"
	"	return sink;\n"
	"}\n"
	"int main(int argc, char **argv)\n"
	"{\n"
	"	(void)argv;\n"
	"	return outer(argc) + inner(argc);\n"
	"}\n";

/* A command in the folder of the tests. */
static bool run(const char *fmt, ...) _printf_(1, 2);
static bool run(const char *fmt, ...)
{
	char command[1024];
	int n = snprintf(command, sizeof command, "cd %s && ", dir);
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(command + n, sizeof command - (size_t)n, fmt, ap);
	va_end(ap);
	return system(command) == 0;
}

static bool have_tools(void)
{
	return run("for p in gcc addr2line objcopy strip nm; do command -v $p || exit 1; done >/dev/null");
}

#define NEED_TOOLS()                                                              \
	do {                                                                      \
		if (!have_tools()) {                                              \
			print_message("skip elf: no gcc and binutils here\n");    \
			skip();                                                   \
		}                                                                 \
	} while (0)

static void compile(const char *options, const char *to)
{
	assert_true(run("gcc -g %s t.c -o %s", options, to));
}

static int open_file(const char *name)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static int read_file(const char *name, struct debug_facts *facts, struct buf *out, struct error *err)
{
	_close_ int fd = open_file(name);
	return debug_read(fd, facts, out, err);
}

static struct debug_table *table_of(const char *name, struct debug_facts *facts)
{
	_buf_ struct buf stored = BUF_INIT(DEBUG_OBJECT_MAX);
	struct debug_table *t;
	struct error err = { 0 };
	if (read_file(name, facts, &stored, &err))
		fail_msg("%s: %s", name, err.text);
	assert_int_equal(debug_table_decode(buf_slice(&stored), &t, &err), 0);
	return t;
}

/* As addr2line -i -f writes it. */
static void tell(const struct debug_table *t, uint64_t address, char *out, size_t size)
{
	struct debug_frame frames[DEBUG_FRAMES_MAX];
	uint32_t n = debug_table_find(t, address, frames);
	*out = '\0';
	for (uint32_t i = 0; i < n; i++) {
		size_t at = strlen(out);
		snprintf(out + at, size - at, "%.*s\n%.*s:%lld\n", (int)frames[i].name.len, frames[i].name.s,
		         (int)frames[i].file.len, frames[i].file.s, (long long)frames[i].line);
	}
}

static void expect_frames(const struct debug_table *t, const char *name, uint64_t address, uint64_t base)
{
	char command[1024], want[4096] = "", got[4096], line[512];
	snprintf(command, sizeof command, "addr2line -i -f -e %s/%s 0x%llx", dir, name, (unsigned long long)address);
	FILE *f = popen(command, "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f)) {
		char *more = strstr(line, " (discriminator");
		if (more)
			strcpy(more, "\n");
		strcat(want, line);
	}
	pclose(f);
	tell(t, address - base, got, sizeof got);
	if (strcmp(want, got))
		fail_msg("%s at 0x%llx: addr2line says\n%sthe table\n%s", name, (unsigned long long)address, want, got);
}

/* Compares every fourth byte of outer() and main(). symbols: the file that has the addresses. */
static void expect_same(const char *symbols, const char *name, uint64_t base)
{
	struct debug_facts facts;
	_cleanup_(debug_table_freep) struct debug_table *t = table_of(name, &facts);
	char command[256], function[64];
	unsigned long long start, size;
	int found = 0;
	assert_true(facts.dwarf);
	snprintf(command, sizeof command, "nm -S %s/%s | awk '$3 == \"T\" { print $1, $2, $4 }'", dir, symbols);
	FILE *f = popen(command, "r");
	assert_non_null(f);
	while (fscanf(f, "%llx %llx %63s", &start, &size, function) == 3) {
		if (strcmp(function, "outer") && strcmp(function, "main"))
			continue;
		found++;
		for (uint64_t a = start; a < start + size; a += 4)
			expect_frames(t, symbols, a, base);
	}
	pclose(f);
	assert_int_equal(found, 2);
}

static void as_addr2line_says(void **state)
{
	(void)state;
	NEED_TOOLS();
	static const char *const options[] = { "-O0", "-O2", "-O2 -gdwarf-4", "-O1 -gdwarf-5 -gz" };
	for (size_t i = 0; i < ARRAY_SIZE(options); i++) {
		char all[128];
		snprintf(all, sizeof all, "%s -pie -fPIE -Wl,--build-id", options[i]);
		compile(all, "pie");
		expect_same("pie", "pie", 0);
	}
	compile("-O2 -no-pie -fno-pie -Wl,--build-id", "fixed");
	expect_same("fixed", "fixed", 0x400000);
}

static void what_objcopy_keeps_is_as_good(void **state)
{
	(void)state;
	NEED_TOOLS();
	compile("-O2 -pie -fPIE -Wl,--build-id", "whole");
	assert_true(run("objcopy --only-keep-debug whole kept"));
	expect_same("whole", "kept", 0);
	compile("-O2 -no-pie -fno-pie -Wl,--build-id", "whole");
	assert_true(run("objcopy --only-keep-debug whole kept"));
	expect_same("whole", "kept", 0x400000);
}

static void names_alone(void **state)
{
	(void)state;
	NEED_TOOLS();
	struct debug_facts facts;
	compile("-O2 -Wl,--build-id=0xABCDEF0123456789", "named");
	assert_true(run("strip -g named"));
	_cleanup_(debug_table_freep) struct debug_table *t = table_of("named", &facts);
	assert_string_equal(facts.build_id, "abcdef0123456789");
	assert_false(facts.dwarf);
	char command[256], got[512];
	unsigned long long start;
	snprintf(command, sizeof command, "nm %s/named | awk '$3 == \"outer\" { print $1 }'", dir);
	FILE *f = popen(command, "r");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%llx", &start), 1);
	pclose(f);
	tell(t, start + 1, got, sizeof got);
	assert_string_equal(got, "outer\n:0\n");
}

static void expect_refused(const char *name, const char *word)
{
	_buf_ struct buf stored = BUF_INIT(DEBUG_OBJECT_MAX);
	struct debug_facts facts;
	struct error err = { 0 };
	assert_int_equal(read_file(name, &facts, &stored, &err), ERR_FORMAT);
	assert_non_null(strstr(err.text, word));
	assert_int_equal(stored.len, 0);
}

static void refused_with_a_reason(void **state)
{
	(void)state;
	expect_refused("t.c", "no ELF");
	assert_true(run(": > empty"));
	expect_refused("empty", "no ELF");
	NEED_TOOLS();
	compile("-Wl,--build-id=none", "nameless");
	expect_refused("nameless", "no build id");
	compile("-nostdlib -static -Wl,--build-id -Wl,-e,main", "bare");
	assert_true(run("strip bare"));
	expect_refused("bare", "no symbols");
}

/* Any answer is right but a crash, or a table that cannot be read. */
static void expect_survived(const char *name)
{
	_buf_ struct buf stored = BUF_INIT(DEBUG_OBJECT_MAX);
	struct debug_facts facts;
	struct debug_table *t;
	struct debug_frame frames[DEBUG_FRAMES_MAX];
	if (read_file(name, &facts, &stored, NULL) < 0)
		return;
	assert_int_equal(debug_table_decode(buf_slice(&stored), &t, NULL), 0);
	for (uint64_t a = 0; a < 0x4000; a += 64)
		debug_table_find(t, a, frames);
	debug_table_free(t);
}

static void write_file(const char *name, const uint8_t *data, size_t n)
{
	char path[PATH_MAX];
	snprintf(path, sizeof path, "%s/%s", dir, name);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, n, f), n);
	fclose(f);
}

static void hostile_files(void **state)
{
	(void)state;
	NEED_TOOLS();
	compile("-O2 -Wl,--build-id", "good");
	_close_ int fd = open_file("good");
	static uint8_t good[1 << 20], bad[1 << 20];
	ssize_t n = read(fd, good, sizeof good);
	assert_true(n > 1000 && n < (ssize_t)sizeof good);
	for (int i = 0; i < 100; i++) {
		write_file("bad", good, (size_t)n * (size_t)i / 100);
		expect_survived("bad");
	}
	uint64_t random = 12345;
	for (int i = 0; i < 1500; i++) {
		memcpy(bad, good, (size_t)n);
		for (int k = 0; k < 1 + i % 16; k++) {
			random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
			bad[(random >> 33) % (size_t)n] = (uint8_t)(random >> 20);
		}
		write_file("bad", bad, (size_t)n);
		expect_survived("bad");
	}
}

/* The size that a compressed section claims is judged before it is decompressed. */
static void claims_are_bounded(void **state)
{
	(void)state;
	NEED_TOOLS();
	_buf_ struct buf stored = BUF_INIT(DEBUG_OBJECT_MAX);
	static uint8_t file[1 << 20];
	struct debug_facts facts;
	struct error err = { 0 };
	compile("-O2 -gz=zlib -Wl,--build-id", "packed");
	_close_ int fd = open_file("packed");
	ssize_t n = read(fd, file, sizeof file);
	unsigned changed = 0;
	for (ssize_t i = 0; i + 24 < n; i += 4) {
		uint64_t type, size, align; /* Elf64_Chdr */
		memcpy(&type, file + i, 8);
		memcpy(&size, file + i + 8, 8);
		memcpy(&align, file + i + 16, 8);
		if (type != 1 || align > 8 || !align || size < 100 || size > 100000 || file[i + 24] != 0x78)
			continue;
		size = UINT64_C(1) << 40;
		memcpy(file + i + 8, &size, 8);
		changed++;
	}
	assert_true(changed > 0);
	write_file("bomb", file, (size_t)n);
	assert_int_equal(read_file("bomb", &facts, &stored, &err), ERR_FORMAT_LIMIT);
	assert_non_null(strstr(err.text, ".debug_"));
}

static void hostile_tables(void **state)
{
	(void)state;
	NEED_TOOLS();
	_buf_ struct buf stored = BUF_INIT(DEBUG_OBJECT_MAX);
	struct debug_facts facts;
	struct debug_table *t;
	compile("-O2 -Wl,--build-id", "good");
	assert_int_equal(read_file("good", &facts, &stored, NULL), 0);
	for (size_t n = 0; n < stored.len; n++) {
		assert_true(debug_table_decode((struct slice){ stored.data, n }, &t, NULL) < 0);
		stored.data[n] ^= 1;
		assert_true(debug_table_decode(buf_slice(&stored), &t, NULL) < 0);
		stored.data[n] ^= 1;
	}
}

static int group_setup(void **state)
{
	(void)state;
	if (!mkdtemp(dir))
		return -1;
	write_file("t.c", (const uint8_t *)source, sizeof source - 1);
	return 0;
}

static int group_teardown(void **state)
{
	(void)state;
	return run("rm -rf %s", dir) ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_addr2line_says),
		cmocka_unit_test(what_objcopy_keeps_is_as_good),
		cmocka_unit_test(names_alone),
		cmocka_unit_test(refused_with_a_reason),
		cmocka_unit_test(hostile_files),
		cmocka_unit_test(claims_are_bounded),
		cmocka_unit_test(hostile_tables),
	};
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

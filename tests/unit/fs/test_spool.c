/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../../fs/spool.h"

static void bytes_come_back(void **state)
{
	struct spool s;
	struct spool_file f = SPOOL_FILE_INIT;
	char buf[16];
	spool_init(&s, 1 << 20);
	assert_int_equal(spool_read(&f, buf, sizeof buf, 0), 0);
	assert_int_equal(spool_write(&s, &f, "hello", 5, 0), 0);
	assert_int_equal(spool_write(&s, &f, "world", 5, 5), 0);
	assert_int_equal(spool_read(&f, buf, sizeof buf, 3), 7);
	assert_memory_equal(buf, "loworld", 7);
	assert_int_equal(spool_read(&f, buf, sizeof buf, 10), 0);
	spool_close(&s, &f);
}

static void the_bound_holds(void **state)
{
	struct spool s;
	struct spool_file a = SPOOL_FILE_INIT, b = SPOOL_FILE_INIT;
	spool_init(&s, 100);
	assert_int_equal(spool_write(&s, &a, "x", 1, 59), 0); /* a hole counts */
	assert_int_equal(atomic_load(&s.used), 60);
	assert_int_equal(spool_write(&s, &b, "x", 1, 40), -ENOSPC);
	assert_int_equal(spool_write(&s, &b, "x", 1, 39), 0);
	assert_int_equal(spool_truncate(&s, &b, 41), -ENOSPC);
	assert_int_equal(spool_write(&s, &a, "x", 1, INT64_MAX), -EFBIG);
	assert_int_equal(spool_truncate(&s, &a, 10), 0);
	assert_int_equal(spool_truncate(&s, &b, 41), 0);
	spool_close(&s, &a);
	spool_close(&s, &b);
	assert_int_equal(atomic_load(&s.used), 0);
}

static void a_map_begins_anywhere(void **state)
{
	struct spool s;
	struct spool_file f = SPOOL_FILE_INIT;
	static uint8_t data[20000];
	spool_init(&s, 1 << 20);
	for (size_t i = 0; i < sizeof data; i++)
		data[i] = (uint8_t)(i * 7);
	assert_int_equal(spool_write(&s, &f, data, sizeof data, 0), 0);
	for (uint64_t from = 0; from < sizeof data; from += 1237) {
		_spool_map_ struct spool_map map;
		assert_int_equal(spool_map(&f, from, &map), 0);
		assert_int_equal(map.bytes.len, sizeof data - from);
		assert_memory_equal(map.bytes.data, data + from, map.bytes.len);
	}
	_spool_map_ struct spool_map end;
	assert_int_equal(spool_map(&f, sizeof data, &end), 0);
	assert_int_equal(end.bytes.len, 0);
	spool_close(&s, &f);
}

static void an_empty_file_takes_no_descriptor(void **state)
{
	struct spool s;
	struct spool_file f = SPOOL_FILE_INIT;
	spool_init(&s, 100);
	assert_int_equal(spool_truncate(&s, &f, 0), 0);
	assert_int_equal(f.fd, -1);
	spool_close(&s, &f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_come_back),
		cmocka_unit_test(the_bound_holds),
		cmocka_unit_test(a_map_begins_anywhere),
		cmocka_unit_test(an_empty_file_takes_no_descriptor),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

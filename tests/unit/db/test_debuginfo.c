/* SPDX-License-Identifier: MIT */

/* What views know of debug information, when, and for how many requests. The ELF file is this program. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <fcntl.h>
#include <string.h>

#include "../../../core/db/debuginfo.h"
#include "db_fixture.h"

static bool add(struct db *db, struct debuginfo *ret)
{
	_close_ int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	struct error err = { 0 };
	int r = debuginfo_add(db, fd, ret, &err);
	if (r)
		print_message("skip debuginfo: %s\n", error_text(&err, r));
	return r == 0;
}

static uint64_t print_of(struct db *db, int64_t max_age, uint64_t *ret_generation)
{
	struct view *v;
	assert_int_equal(db_view(db, max_age, &v, NULL), 0);
	assert_int_equal(view_need_debug(v, NULL), 0);
	uint64_t print = view_debug_print(v);
	if (ret_generation)
		*ret_generation = view_generation(v);
	view_unref(v);
	return print;
}

static bool knows(struct db *db, const char *ids)
{
	struct view *v;
	struct debug_shared *s;
	assert_int_equal(db_view(db, NS_PER_HOUR, &v, NULL), 0);
	assert_int_equal(view_debug_table(v, str_of(ids), &s, NULL), 0);
	bool found = s != NULL;
	debug_shared_unref(s);
	view_unref(v);
	return found;
}

/* Nobody lists what nobody asks for; who asks lists once a minute, and reads a table once. */
static void others_follow_within_a_minute(void **state)
{
	(void)state;
	struct world w;
	struct debuginfo info;
	uint64_t before, after;
	world_init(&w);
	struct db *writer = world_open(&w), *reader = world_open(&w);
	write_some(writer, "a", 0, 1);
	count_objects(reader);
	uint64_t calls = store_fault_calls(w.store);
	count_objects(reader);
	assert_int_equal(store_fault_calls(w.store), calls + 2);
	assert_int_equal(print_of(reader, NS_PER_HOUR, &before), 0);
	assert_int_equal(store_fault_calls(w.store), calls + 3);
	assert_int_equal(print_of(reader, NS_PER_HOUR, NULL), 0);
	assert_int_equal(store_fault_calls(w.store), calls + 3);
	if (!add(writer, &info))
		skip();
	assert_false(info.known);
	assert_int_not_equal(print_of(writer, 0, NULL), 0);
	calls = store_fault_calls(w.store);
	assert_int_equal(print_of(reader, 0, &after), 0);
	assert_int_equal(after, before);
	assert_int_equal(store_fault_calls(w.store), calls + 2);
	world_advance(&w, 61 * NS_PER_S);
	assert_int_equal(print_of(reader, 0, &after), print_of(writer, 0, NULL));
	assert_int_not_equal(after, before);
	calls = store_fault_calls(w.store);
	for (char *c = info.facts.build_id; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	char ids[256];
	snprintf(ids, sizeof ids, "go:abc %s", info.facts.build_id);
	assert_true(knows(reader, ids));
	assert_true(knows(reader, ids));
	assert_int_equal(store_fault_calls(w.store), calls + 1);
	assert_false(knows(reader, "0123456789abcdef"));
	assert_false(knows(reader, ""));
	assert_int_equal(store_fault_calls(w.store), calls + 1);
	db_close(writer);
	db_close(reader);
	world_done(&w);
}

static int count(void *ctx, const char *id, bool dwarf, const struct store_stat *st)
{
	(void)id, (void)dwarf, (void)st;
	++*(int *)ctx;
	return 0;
}

static void stored_once(void **state)
{
	(void)state;
	struct world w;
	struct debuginfo info;
	int n = 0;
	world_init(&w);
	struct db *db = world_open(&w);
	if (!add(db, &info))
		skip();
	assert_true(add(db, &info));
	assert_true(info.known);
	assert_int_equal(debuginfo_list(db, count, &n, NULL), 0);
	assert_int_equal(n, 1);
	store_fault_set(w.store, &(struct fault_plan){ .fault = FAULT_TIMEOUT, .at = 1, .kinds = 4 });
	struct view *v;
	struct debug_shared *s;
	assert_int_equal(db_view(db, 0, &v, NULL), 0);
	assert_int_equal(view_need_debug(v, NULL), 0);
	assert_int_equal(view_debug_table(v, str_of(info.facts.build_id), &s, NULL), ERR_STORE_TIMEOUT);
	assert_int_equal(view_debug_table(v, str_of(info.facts.build_id), &s, NULL), 0); /* not remembered */
	assert_non_null(s);
	debug_shared_unref(s);
	view_unref(v);
	db_close(db);
	world_done(&w);
}

static void removed_is_forgotten(void **state)
{
	(void)state;
	struct world w;
	struct debuginfo info;
	struct error err = { 0 };
	int n = 0;
	world_init(&w);
	struct db *db = world_open(&w);
	if (!add(db, &info))
		skip();
	struct view *v;
	assert_int_equal(db_view(db, 0, &v, NULL), 0);
	assert_int_equal(view_need_debug(v, NULL), 0);
	view_unref(v);
	assert_true(knows(db, info.facts.build_id));
	assert_int_equal(debuginfo_remove(db, "00", &err), ERR_STORE_NOT_FOUND);
	assert_non_null(strstr(err.text, "no symbols"));
	assert_int_equal(debuginfo_remove(db, info.facts.build_id, NULL), 0);
	assert_int_equal(debuginfo_list(db, count, &n, NULL), 0);
	assert_int_equal(n, 0);
	assert_false(knows(db, info.facts.build_id));
	assert_int_equal(debuginfo_remove(db, info.facts.build_id, NULL), ERR_STORE_NOT_FOUND);
	assert_true(add(db, &info));
	assert_false(info.known);
	assert_true(knows(db, info.facts.build_id));
	db_close(db);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(others_follow_within_a_minute),
		cmocka_unit_test(stored_once),
		cmocka_unit_test(removed_is_forgotten),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

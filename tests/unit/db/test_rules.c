/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/db/rules.h"

#define RULE "[{\"target_label\":\"a\",\"replacement\":\"1\"}]"

static struct store *store;

static int set_up(void **state)
{
	return store_mem_new(&store);
}

static int tear_down(void **state)
{
	store_free(store);
	return 0;
}

static int64_t uptime;

static int64_t tell_uptime(void *ctx)
{
	return uptime;
}

static struct db *open_db(void)
{
	struct db *db;
	struct db_options opts = { .threads = 1, .uptime = tell_uptime };
	assert_int_equal(db_open(store, &opts, &db, NULL), 0);
	return db;
}

static size_t count_rules(struct db *db)
{
	_cleanup_(rules_unrefp) struct rules *r = NULL;
	assert_int_equal(rules_get(db, &r, NULL), 0);
	return relabel_count(rules_relabel(r));
}

static void test_other_writers_follow(void **state)
{
	uptime = NS_PER_HOUR;
	_cleanup_(db_closep) struct db *a = open_db();
	_cleanup_(db_closep) struct db *b = open_db();
	assert_int_equal(count_rules(a), 0);
	assert_int_equal(count_rules(b), 0);
	assert_int_equal(rules_set(a, STR(RULE), NULL), 0);
	assert_int_equal(count_rules(a), 1);
	uint64_t lists = store->counts.list;
	assert_int_equal(count_rules(b), 0); /* still believed, at no cost */
	assert_int_equal(store->counts.list, lists);
	uptime += RULES_MAX_AGE + 1;
	assert_int_equal(count_rules(b), 1);
	assert_int_equal(rules_set(b, STR(" [] "), NULL), 0);
	uptime += RULES_MAX_AGE + 1;
	assert_int_equal(count_rules(a), 0);
}

static void test_rules_in_use_outlive_a_change(void **state)
{
	_cleanup_(db_closep) struct db *db = open_db();
	assert_int_equal(rules_set(db, STR(RULE), NULL), 0);
	struct rules *r;
	assert_int_equal(rules_get(db, &r, NULL), 0);
	assert_int_equal(rules_set(db, STR(""), NULL), 0);
	assert_int_equal(count_rules(db), 0);
	assert_int_equal(relabel_count(rules_relabel(r)), 1);
	rules_unref(r);
}

static void test_bad_rules_are_not_kept(void **state)
{
	_cleanup_(db_closep) struct db *db = open_db();
	struct error err = { 0 };
	assert_int_equal(rules_set(db, STR("[{\"action\":\"explode\"}]"), &err), ERR_PATH);
	assert_non_null(strstr(err.text, "rule 1"));
	assert_int_equal(count_rules(db), 0);
}

static void test_what_is_no_rules_refuses_writes(void **state)
{
	_cleanup_(db_closep) struct db *db = open_db();
	struct error err = { 0 };
	struct rules *r;
	assert_int_equal(settings_set(db, RULES_MEMBER, STR("{\"of\":\"a later version\"}"), NULL), 0);
	uptime += RULES_MAX_AGE + 1;
	assert_int_equal(rules_get(db, &r, &err), ERR_CORRUPT_LAYOUT);
	assert_non_null(strstr(err.text, "settings"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_other_writers_follow, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_rules_in_use_outlive_a_change, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_rules_are_not_kept, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_no_rules_refuses_writes, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

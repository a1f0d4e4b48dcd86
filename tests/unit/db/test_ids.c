/* SPDX-License-Identifier: MIT */

/* The check for duplicates at a write: what it sees, what it asks the store for, and where it ends. */

#include <string.h>

#include "db_fixture.h"

struct reads {
	size_t n; /* of segments and blocks */
};

static void count_read(void *ctx, const char *what, const char *key)
{
	struct reads *r = ctx;
	r->n += !strcmp(what, "read") && (strstr(key, "/seg/") || strstr(key, "/blk/"));
}

static struct db *open_with(struct world *w, unsigned check_reads, size_t known_ids)
{
	struct db_options o = { .threads = 2, .uptime = world_uptime, .uptime_ctx = w, .check_reads = check_reads,
		                .known_ids = known_ids };
	struct db *db;
	assert_int_equal(db_open(w->store, &o, &db, NULL), 0);
	return db;
}

static bool is_duplicate(struct db *db, const char *service, int i)
{
	struct db_written w;
	assert_int_equal(write_one(db, service, T0 + i * NS_PER_S, i, &w), 0);
	return w.duplicate;
}

static size_t count_duplicates(struct db *db, const char *service, int from, int n)
{
	size_t duplicates = 0;
	for (int i = from; i < from + n; i++)
		duplicates += is_duplicate(db, service, i);
	return duplicates;
}

static void what_this_process_put_or_merged_is_never_read_back(void **state)
{
	(void)state;
	struct world w;
	struct reads reads = { 0 };
	world_init(&w);
	struct db *db = open_with(&w, 0, 0);
	store_fault_hook(w.store, count_read, &reads);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(count_duplicates(db, "s", i, 1), 0);
		assert_int_equal(count_duplicates(db, "t", i, 1), 0);
		world_advance(&w, 2 * NS_PER_S); /* a new view each time */
	}
	assert_int_equal(count_duplicates(db, "s", 0, 20), 20);
	assert_int_equal(reads.n, 0);
	settle(db);
	reads.n = 0;
	for (int i = 0; i < 3; i++) {
		assert_int_equal(count_duplicates(db, "s", 0, 20), 20);
		assert_int_equal(count_duplicates(db, "t", 20 + i, 1), 0);
		world_advance(&w, 2 * NS_PER_S);
	}
	assert_int_equal(reads.n, 0);
	assert_int_equal(count_profiles(db, "s", 0), 20);
	db_close(db);
	world_done(&w);
}

static void what_others_put_is_read_once(void **state)
{
	(void)state;
	struct world w;
	struct reads reads = { 0 };
	world_init(&w);
	struct db *db = open_with(&w, 0, 0), *other = open_with(&w, 0, 0);
	write_some(other, "s", 0, 5);
	store_fault_hook(w.store, count_read, &reads);
	for (int i = 0; i < 4; i++) {
		world_advance(&w, 2 * NS_PER_S);
		assert_int_equal(count_duplicates(db, "s", 0, 5), 5);
		assert_int_equal(count_duplicates(db, "s", 10 + i, 1), 0);
		assert_int_equal(reads.n, 5);
	}
	write_some(other, "s", 20, 1);
	world_advance(&w, 2 * NS_PER_S);
	reads.n = 0;
	assert_true(is_duplicate(db, "s", 20));
	assert_int_equal(reads.n, 1);
	db_close(db);
	db_close(other);
	world_done(&w);
}

/* Beyond the allowance others' objects stay unread: what they hold is stored again, and counts once. */
static void reads_have_a_bound(void **state)
{
	(void)state;
	struct world w;
	struct reads reads = { 0 };
	world_init(&w);
	struct db *db = open_with(&w, 3, 0), *other = open_with(&w, 0, 0);
	write_some(other, "s", 0, 10);
	store_fault_hook(w.store, count_read, &reads);
	assert_int_equal(count_duplicates(db, "s", 0, 10), 3);
	assert_int_equal(reads.n, 3);
	assert_int_equal(count_profiles(db, "s", 0), 17);
	settle(db);
	assert_int_equal(count_profiles(db, "s", 0), 10);
	write_some(other, "s", 20, 2);
	world_advance(&w, 10 * NS_PER_S);
	reads.n = 0;
	assert_int_equal(count_duplicates(db, "s", 20, 2), 2);
	assert_int_equal(reads.n, 2);
	db_close(db);
	db_close(other);
	world_done(&w);
}

/* Beyond its memory the oldest are forgotten, not read back. */
static void memory_has_a_bound(void **state)
{
	(void)state;
	enum { N = 100, KNOWN = 10 };
	struct world w;
	struct reads reads = { 0 };
	world_init(&w);
	struct db *db = open_with(&w, 0, KNOWN);
	store_fault_hook(w.store, count_read, &reads);
	for (int i = 0; i < N; i++) {
		assert_int_equal(count_duplicates(db, i % 2 ? "s" : "t", i, 1), 0);
		world_advance(&w, i % 10 ? 0 : 2 * NS_PER_S);
	}
	assert_true(is_duplicate(db, "s", N - 1));
	assert_true(is_duplicate(db, "t", N - 2));
	assert_false(is_duplicate(db, "s", 1));
	assert_true(is_duplicate(db, "s", 1));
	assert_int_equal(reads.n, 0);
	settle(db);
	assert_int_equal(count_profiles(db, "s", 0), N / 2);
	assert_int_equal(count_profiles(db, "t", 0), N / 2);
	db_close(db);
	world_done(&w);
}

static void what_was_deleted_is_written_again(void **state)
{
	(void)state;
	struct world w;
	struct str s = STR("s");
	struct db_which which = { .service = &s, .from_day = INT32_MIN, .to_day = INT32_MAX };
	struct db_deleted n;
	world_init(&w);
	struct db *db = open_with(&w, 0, 0);
	for (int merged = 0; merged < 2; merged++) {
		write_some(db, "s", 0, 3);
		write_some(db, "t", 0, 3);
		if (merged)
			settle(db);
		assert_int_equal(db_delete(db, &which, false, &n, NULL), 0);
		assert_int_equal(count_duplicates(db, "s", 0, 3), 0);
		assert_int_equal(count_duplicates(db, "t", 0, 3), 3);
		assert_int_equal(count_profiles(db, "s", 0), 3);
	}
	db_close(db);
	world_done(&w);
}

/* Many services and days: their indexes come and go, and what is not known any more is read again. */
static void indexes_have_a_bound(void **state)
{
	(void)state;
	enum { DAYS = 5000 };
	struct world w;
	world_init(&w);
	struct db *db = open_with(&w, 0, 0);
	for (int i = 0; i < DAYS; i += 25) {
		struct profile p[25];
		struct db_write writes[25];
		for (int k = 0; k < 25; k++) {
			simple_profile(&p[k], T0 + (i + k) * NS_PER_DAY, 1);
			writes[k] = (struct db_write){ .profile = &p[k], .service = STR("s"), .salt = STR("file") };
		}
		assert_int_equal(db_write(db, writes, 25, NULL, NULL), 0);
		for (int k = 0; k < 25; k++)
			profile_done(&p[k]);
	}
	struct db_written ret;
	for (int i = 0; i < DAYS; i += 500) {
		assert_int_equal(write_one(db, "s", T0 + i * NS_PER_DAY, 1, &ret), 0);
		assert_true(ret.duplicate);
	}
	db_close(db);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_this_process_put_or_merged_is_never_read_back),
		cmocka_unit_test(what_others_put_is_read_once),
		cmocka_unit_test(reads_have_a_bound),
		cmocka_unit_test(memory_has_a_bound),
		cmocka_unit_test(what_was_deleted_is_written_again),
		cmocka_unit_test(indexes_have_a_bound),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

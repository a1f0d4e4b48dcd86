/* SPDX-License-Identifier: MIT */
#include "db_fixture.h"

#include <string.h>

/* Damage costs its own data only: what views, writers, compaction, deletion and check do where an object cannot be read. */

enum damage { FLIPPED, CUT, CUT_AFTER_THE_VIEW, GONE };

struct hurt {
	char key[256];
	struct buf whole;
};

static int first_key(void *ctx, const char *key, const struct store_stat *st)
{
	struct hurt *h = ctx;
	if (!h->key[0])
		snprintf(h->key, sizeof h->key, "%s", key);
	return 0;
}

/* The first object below a prefix; a flipped byte is one of its footer's. */
static void hurt(struct world *w, const char *prefix, enum damage how, struct hurt *ret)
{
	*ret = (struct hurt){ .whole = BUF_INIT(LIMIT) };
	assert_int_equal(store_list(w->mem, prefix, NULL, 0, first_key, ret, NULL), 0);
	assert_int_equal(store_get(w->mem, ret->key, LIMIT, &ret->whole, NULL), 0);
	struct slice all = buf_slice(&ret->whole);
	if (how == FLIPPED) {
		ret->whole.data[all.len - 60] ^= 4;
		assert_int_equal(store_put(w->mem, ret->key, all, NULL), 0);
		ret->whole.data[all.len - 60] ^= 4;
	} else if (how == GONE) {
		assert_int_equal(store_remove(w->mem, ret->key, NULL), 0);
	} else {
		assert_int_equal(store_put(w->mem, ret->key, (struct slice){ all.data, all.len / 2 }, NULL), 0);
	}
}

static int count_infos(void *ctx, const struct object *object, const struct dataset_info *info)
{
	*(uint64_t *)ctx += info->profiles;
	return 0;
}

/* Two profiles a segment each, or the first of them in a block. */
static const char *fill(struct world *w, bool block)
{
	struct db *db = world_open(w);
	write_some(db, "a", 1, 1);
	if (block) {
		world_advance(w, 2 * NS_PER_MIN);
		assert_int_equal(pass(db, true, NULL), 0);
	}
	write_some(db, "a", 2, 1);
	db_close(db);
	return block ? "default/blk/" : "default/seg/";
}

static void expect_parts(struct view *v, size_t n, size_t damaged, const char *key)
{
	struct parts parts;
	struct error err = { 0 };
	int r = view_parts(v, NULL, INT32_MIN, INT32_MAX, NULL, &parts, &err);
	if (r < 0)
		fail_msg("%s", error_text(&err, r));
	assert_int_equal(parts.n, n);
	assert_int_equal(parts.damaged, damaged);
	assert_non_null(strstr(parts.damage.text, key));
	assert_true(err_is_damage(parts.damage.code));
	parts_done(&parts);
}

static void views_leave_it_out_and_tell(void **state)
{
	for (int block = 0; block < 2; block++)
		for (enum damage how = FLIPPED; how <= (block ? GONE : CUT_AFTER_THE_VIEW); how++) {
			struct world w;
			struct hurt h;
			struct view *v;
			uint64_t known = 0;
			world_init(&w);
			const char *prefix = fill(&w, block);
			struct db *db = world_open(&w);
			if (how == CUT_AFTER_THE_VIEW)
				assert_int_equal(db_view(db, 0, &v, NULL), 0);
			hurt(&w, prefix, how, &h);
			if (how != CUT_AFTER_THE_VIEW)
				assert_int_equal(db_view(db, 0, &v, NULL), 0);
			expect_parts(v, 1, 1, h.key);
			assert_int_equal(view_infos(v, NULL, INT32_MIN, INT32_MAX, count_infos, &known, NULL), 0);
			assert_int_equal(known, block ? 2 : 1); /* of blocks the catalog tells */
			view_unref(v);
			db_close(db);
			buf_done(&h.whole);
			world_done(&w);
		}
}

static void its_profiles_are_no_duplicates(void **state)
{
	for (enum damage how = FLIPPED; how <= CUT; how++) {
		struct world w;
		struct hurt h;
		struct db_written one, two;
		world_init(&w);
		hurt(&w, fill(&w, false), how, &h);
		struct db *db = world_open(&w);
		assert_int_equal(write_one(db, "a", T0 + 1 * NS_PER_S, 1, &one), 0);
		assert_int_equal(write_one(db, "a", T0 + 2 * NS_PER_S, 2, &two), 0);
		assert_int_equal(one.duplicate + two.duplicate, 1); /* names of segments begin with their time, in ms */
		db_close(db);
		buf_done(&h.whole);
		world_done(&w);
	}
}

/* It stays where it is, so that nothing is lost for good; when it is whole again, it counts. */
static void compaction_merges_the_others(void **state)
{
	for (enum damage how = FLIPPED; how <= CUT; how++) {
		struct world w;
		struct hurt h;
		struct compact_report report = { 0 };
		world_init(&w);
		hurt(&w, fill(&w, false), how, &h);
		struct db *db = world_open(&w);
		write_some(db, "a", 3, 1);
		world_advance(&w, 2 * NS_PER_MIN);
		assert_int_equal(pass(db, true, &report), 0);
		assert_int_equal(report.merges, 1);
		assert_int_equal(report.inputs, 2);
		assert_int_equal(report.damaged, 1);
		db_close(db);
		assert_int_equal(store_put(w.mem, h.key, buf_slice(&h.whole), NULL), 0);
		db = world_open(&w);
		assert_int_equal(count_profiles(db, "a", 0), 3);
		db_close(db);
		buf_done(&h.whole);
		world_done(&w);
	}
}

/* What cannot be read may be what is to go: nothing is told to be deleted that comes back. */
static void deletion_fails_and_names_it(void **state)
{
	for (enum damage how = FLIPPED; how <= CUT; how++) {
		struct world w;
		struct hurt h;
		struct db_deleted done;
		struct error err = { 0 };
		struct str a = STR("a"), cpu = STR("cpu");
		world_init(&w);
		hurt(&w, fill(&w, false), how, &h);
		struct db *db = world_open(&w);
		struct db_which which = { .service = &a, .from_day = time_day(T0), .to_day = time_day(T0), .type = &cpu };
		assert_true(err_is_damage(db_delete(db, &which, false, &done, &err)));
		assert_non_null(strstr(err.text, h.key));
		assert_int_equal(store_put(w.mem, h.key, buf_slice(&h.whole), NULL), 0);
		db_close(db);
		db = world_open(&w);
		assert_int_equal(count_profiles(db, "a", 0), 2);
		assert_int_equal(db_delete(db, &which, false, &done, &err), 0);
		assert_int_equal(count_profiles(db, "a", 0), 0);
		db_close(db);
		buf_done(&h.whole);
		world_done(&w);
	}
}

static void a_store_that_does_not_answer_is_no_damage(void **state)
{
	struct world w;
	struct view *v;
	struct parts parts;
	world_init(&w);
	fill(&w, false);
	struct db *db = world_open(&w);
	assert_int_equal(db_view(db, 0, &v, NULL), 0);
	store_fault_set(w.store, &(struct fault_plan){ .fault = FAULT_TIMEOUT, .at = 1, .kinds = 4, .from_then_on = true });
	assert_int_equal(view_parts(v, NULL, INT32_MIN, INT32_MAX, NULL, &parts, NULL), ERR_STORE_TIMEOUT);
	store_fault_set(w.store, &(struct fault_plan){ 0 });
	assert_int_equal(view_parts(v, NULL, INT32_MIN, INT32_MAX, NULL, &parts, NULL), 0);
	assert_int_equal(parts.n, 2);
	parts_done(&parts);
	view_unref(v);
	db_close(db);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(views_leave_it_out_and_tell),
		cmocka_unit_test(its_profiles_are_no_duplicates),
		cmocka_unit_test(compaction_merges_the_others),
		cmocka_unit_test(deletion_fails_and_names_it),
		cmocka_unit_test(a_store_that_does_not_answer_is_no_damage),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

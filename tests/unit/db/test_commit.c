/* SPDX-License-Identifier: MIT */

/* The commit protocol, step by step: processes that sleep, come late or die between any two calls of the store. */

#include "db_fixture.h"

/* What happens once, before the first call of `what` on a key with `part` in it. */
struct interruption {
	const char *what, *part;
	void (*then)(struct interruption *i);
	struct world *w;
	int left;    /* how many such calls go by before */
	int happened;
	bool inside;
};

static void on_call(void *ctx, const char *what, const char *key)
{
	struct interruption *i = ctx;
	if (i->inside || i->happened || strcmp(what, i->what) != 0 || !strstr(key, i->part) || i->left-- > 0)
		return;
	i->inside = true;
	i->then(i);
	i->happened++;
	i->inside = false;
}

static void interrupt(struct world *w, struct interruption *i)
{
	i->w = w;
	store_fault_hook(w->store, on_call, i);
}

static void written_profiles_are_there_once_after_compaction(void **state)
{
	(void)state;
	struct world w;
	struct compact_report report = { 0 };
	world_init(&w);
	struct db *db = world_open(&w), *other = world_open(&w);
	write_some(db, "a", 0, 12);
	write_some(db, "b", 0, 3);
	assert_int_equal(count_profiles(other, NULL, 0), 15);
	assert_int_equal(pass(db, true, &report), 0);
	assert_int_equal(report.inputs, 15);
	assert_int_equal(count_objects(other), 1);
	assert_int_equal(count_profiles(other, "a", 0), 12);
	assert_int_equal(count_profiles(other, "b", 0), 3);
	assert_int_equal(count_keys(&w, "default/seg/"), 15);
	collect_all_of(&w, db);
	assert_int_equal(count_keys(&w, "default/seg/"), 0);
	assert_int_equal(count_keys(&w, "default/blk/"), 1);
	assert_int_equal(count_keys(&w, "default/cat/"), 1);
	assert_int_equal(count_profiles(other, NULL, 0), 15);
	assert_clean(other);
	db_close(db);
	db_close(other);
	world_done(&w);
}

static void a_duplicate_is_seen_after_compaction_and_merged_away(void **state)
{
	(void)state;
	struct world w;
	struct db_written written;
	struct compact_report report = { 0 };
	world_init(&w);
	struct db *db = world_open(&w), *late = world_open(&w);
	write_some(db, "a", 0, 3);
	assert_int_equal(write_one(late, "a", T0, 0, &written), 0);
	assert_true(written.duplicate);
	settle(db);
	assert_int_equal(write_one(late, "a", T0 + NS_PER_S, 1, &written), 0);
	assert_true(written.duplicate);
	/* two receivers at once: both wrote it before either could see the other's */
	struct db *x = world_open(&w), *y = world_open(&w);
	assert_int_equal(count_profiles(y, NULL, 0), 3);
	assert_int_equal(write_one(x, "a", T0 + 100 * NS_PER_S, 7, NULL), 0);
	assert_int_equal(write_one(y, "a", T0 + 100 * NS_PER_S, 7, &written), 0);
	assert_false(written.duplicate);
	assert_int_equal(pass(db, true, &report), 0);
	assert_int_equal(report.duplicates, 1);
	assert_int_equal(count_profiles(db, NULL, 0), 4);
	db_close(db);
	db_close(late);
	db_close(x);
	db_close(y);
	world_done(&w);
}

/* ---- a compactor that sleeps before its commit ---- */

static void others_go_on_for_an_hour(struct interruption *i)
{
	struct db *db = world_open(i->w);
	for (int k = 0; k < 6; k++) {
		write_some(db, "a", 100 + k, 1);
		settle(db);
		world_advance(i->w, 10 * NS_PER_MIN);
		settle(db);
	}
	db_close(db);
}

static void asleep_for_an_hour(const char *what, const char *part)
{
	struct world w;
	struct interruption i = { .what = what, .part = part, .then = others_go_on_for_an_hour };
	world_init(&w);
	struct db *db = world_open(&w), *reader = world_open(&w);
	write_some(db, "a", 0, 10);
	interrupt(&w, &i);
	settle(db);
	assert_int_equal(i.happened, 1);
	store_fault_hook(w.store, NULL, NULL);
	assert_int_equal(count_profiles(reader, NULL, 0), 16);
	settle(db);
	assert_int_equal(count_profiles(reader, NULL, 0), 16);
	collect_all_of(&w, db);
	assert_int_equal(count_profiles(reader, NULL, 0), 16);
	assert_int_equal(count_keys(&w, "default/blk/"), 1);
	assert_int_equal(count_keys(&w, "default/seg/"), 0);
	assert_clean(reader);
	db_close(db);
	db_close(reader);
	world_done(&w);
}

/* The versions beside the number that it puts are gone: its put succeeds, and does not count. */
static void a_compactor_asleep_for_an_hour_before_its_commit_gives_up(void **state)
{
	(void)state;
	asleep_for_an_hour("put_if_absent", "/cat/");
}

static void a_compactor_asleep_before_or_after_its_upload_gives_up(void **state)
{
	(void)state;
	asleep_for_an_hour("put_body", "/blk/");
	asleep_for_an_hour("read", "/seg/");
}

static void a_stray_version_is_put_and_does_not_count(void **state)
{
	(void)state;
	struct world w;
	struct interruption i = { .what = "put_if_absent", .part = "/cat/", .then = others_go_on_for_an_hour };
	world_init(&w);
	struct db *db = world_open(&w);
	write_some(db, "a", 0, 2);
	interrupt(&w, &i);
	struct compact_report report = { 0 };
	assert_int_equal(pass(db, true, &report), 0);
	store_fault_hook(w.store, NULL, NULL);
	assert_int_equal(i.happened, 1);
	assert_true(report.abandoned >= 1);
	uint8_t byte;
	struct store_range range = { 0, 1, &byte };
	assert_int_equal(store_read(w.mem, "default/cat/2025-11-22/fffffffffffe", &range, 1, NULL), 0);
	assert_int_equal(count_profiles(db, NULL, 0), 8);
	collect_all_of(&w, db);
	assert_int_equal(store_read(w.mem, "default/cat/2025-11-22/fffffffffffe", &range, 1, NULL), ERR_STORE_NOT_FOUND);
	assert_clean(db);
	db_close(db);
	world_done(&w);
}

/* ---- a collector between upload and commit ---- */

static void a_collector_comes_after_the_grace(struct interruption *i)
{
	struct compact_report report = { 0 };
	struct db *db = world_open(i->w);
	world_advance(i->w, 16 * NS_PER_MIN);
	assert_int_equal(pass(db, false, &report), 0);
	assert_int_equal(report.condemned, 1);
	assert_int_equal(report.removed, 0);
	db_close(db);
}

static void an_orphan_is_condemned_before_it_is_removed(void **state)
{
	(void)state;
	struct world w;
	struct interruption i = { .what = "put_if_absent", .part = "/cat/", .then = a_collector_comes_after_the_grace };
	struct compact_report report = { 0 };
	world_init(&w);
	struct db *db = world_open(&w);
	/* a day that is not over by now: the other process merges nothing of it */
	int64_t now = clock_now();
	for (int k = 0; k < 5; k++)
		assert_int_equal(write_one(db, "a", now + NS_PER_DAY + k, k, NULL), 0);
	world_advance(&w, -NS_PER_MIN);
	interrupt(&w, &i);
	assert_int_equal(pass(db, true, &report), 0);
	store_fault_hook(w.store, NULL, NULL);
	assert_int_equal(i.happened, 1);
	assert_true(report.abandoned >= 1);
	assert_int_equal(count_profiles(db, NULL, 0), 5);
	collect_all_of(&w, db);
	assert_int_equal(count_profiles(db, NULL, 0), 5);
	assert_int_equal(count_keys(&w, "default/blk/"), 1);
	assert_clean(db);
	db_close(db);
	world_done(&w);
}

/* ---- a put that times out and lands later ---- */

struct late_store {
	struct store base;
	struct store_ops ops;
	struct store *inner;
	struct buf bytes;
	char key[200];
	bool dead; /* its process is: nothing of it reaches the store any more */
};

static int late_put_if_absent(struct store *s, const char *key, struct slice data, struct error *err)
{
	struct late_store *l = (struct late_store *)s;
	if (l->dead || !strstr(key, "/cat/"))
		return l->dead ? error_set(err, ERR_STORE_TIMEOUT, "dead")
		               : l->inner->ops->put_if_absent(l->inner, key, data, err);
	buf_reset(&l->bytes);
	buf_put(&l->bytes, data.data, data.len);
	snprintf(l->key, sizeof l->key, "%s", key);
	l->dead = true;
	return error_set(err, ERR_STORE_TIMEOUT, "no answer");
}

#define PASS_ON(name, args, ...)                                                                   \
	static int late_##name args                                                                \
	{                                                                                          \
		struct late_store *l = (struct late_store *)s;                                     \
		return l->dead ? error_set(err, ERR_STORE_TIMEOUT, "dead") : l->inner->ops->name(l->inner, __VA_ARGS__); \
	}
PASS_ON(put, (struct store *s, const char *key, struct slice data, struct error *err), key, data, err)
PASS_ON(put_body, (struct store *s, const char *key, const struct store_body *body, struct error *err), key, body, err)
PASS_ON(read, (struct store *s, const char *key, const struct store_range *r, size_t n, struct error *err), key, r, n, err)
PASS_ON(tail, (struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret, struct error *err), key, n, out,
        ret, err)
PASS_ON(list, (struct store *s, const char *prefix, const char *after, char delimiter, store_list_fn fn, void *ctx,
               struct error *err), prefix, after, delimiter, fn, ctx, err)
PASS_ON(now, (struct store *s, int64_t *ret, struct error *err), ret, err)
PASS_ON(remove, (struct store *s, const char *key, struct error *err), key, err)

static void late_init(struct late_store *l, struct store *inner)
{
	static char name[] = "late";
	*l = (struct late_store){ .inner = inner, .bytes = BUF_INIT(LIMIT) };
	l->ops = (struct store_ops){ .put = late_put, .put_body = late_put_body, .put_if_absent = late_put_if_absent,
		                     .read = late_read, .tail = late_tail, .list = late_list, .now = late_now,
		                     .remove = late_remove };
	l->base = (struct store){ .ops = &l->ops, .name = name };
}

static void a_commit_that_lands_late(int64_t later, bool others)
{
	struct world w;
	struct late_store late;
	struct db *dying;
	world_init(&w);
	struct db *db = world_open(&w);
	write_some(db, "a", 0, 8);
	late_init(&late, w.mem);
	struct db_options o = { .threads = 1, .uptime = world_uptime, .uptime_ctx = &w };
	assert_int_equal(db_open(&late.base, &o, &dying, NULL), 0);
	assert_true(pass(dying, true, NULL) < 0);
	db_close(dying);
	assert_int_equal(count_profiles(db, NULL, 0), 8);
	if (others) {
		write_some(db, "a", 50, 2);
		settle(db);
	}
	world_advance(&w, later);
	if (others)
		settle(db);
	int r = store_put_if_absent(w.mem, late.key, buf_slice(&late.bytes), NULL);
	assert_true(r == 0 || r == ERR_STORE_EXISTS);
	size_t n = others ? 10 : 8;
	assert_int_equal(count_profiles(db, NULL, 0), n);
	settle(db);
	assert_int_equal(count_profiles(db, NULL, 0), n);
	collect_all_of(&w, db);
	assert_int_equal(count_profiles(db, NULL, 0), n);
	assert_int_equal(count_keys(&w, "default/blk/"), 1);
	assert_clean(db);
	buf_done(&late.bytes);
	db_close(db);
	world_done(&w);
}

static void a_put_that_times_out_and_lands_later_counts_once_or_not_at_all(void **state)
{
	(void)state;
	a_commit_that_lands_late(0, false);
	a_commit_that_lands_late(14 * NS_PER_MIN, false);
	a_commit_that_lands_late(0, true);
	a_commit_that_lands_late(3 * NS_PER_HOUR, true);
}

/* ---- slow lists ---- */

static void others_compact_collect_and_forget(struct interruption *i)
{
	struct db *db = world_open(i->w);
	settle(db);
	collect_all_of(i->w, db);
	db_close(db);
}

/* Its segments were listed while they lived; by the time the catalog is read it has forgotten them. */
static void a_view_whose_list_took_minutes_is_thrown_away(void **state)
{
	(void)state;
	struct world w;
	struct interruption i = { .what = "list", .part = "/cat/", .then = others_compact_collect_and_forget };
	world_init(&w);
	struct db *db = world_open(&w), *reader = world_open(&w);
	write_some(db, "a", 0, 6);
	interrupt(&w, &i);
	assert_int_equal(count_profiles(reader, NULL, 0), 6);
	assert_int_equal(i.happened, 1);
	store_fault_hook(w.store, NULL, NULL);
	assert_int_equal(count_objects(reader), 1);
	db_close(db);
	db_close(reader);
	world_done(&w);
}

static void minutes_pass(struct interruption *i)
{
	i->w->uptime += 2 * NS_PER_MIN;
	i->happened = -1; /* again and again */
}

static void a_store_that_is_always_slow_to_list_is_an_error(void **state)
{
	(void)state;
	struct world w;
	struct view *v;
	struct error err = { 0 };
	struct interruption i = { .what = "list", .part = "/cat/", .then = minutes_pass };
	world_init(&w);
	struct db *db = world_open(&w);
	write_some(db, "a", 0, 1);
	interrupt(&w, &i);
	assert_int_equal(db_view(db, 0, &v, &err), ERR_STORE_TIMEOUT);
	assert_non_null(strstr(err.text, "minute"));
	store_fault_hook(w.store, NULL, NULL);
	assert_int_equal(count_profiles(db, NULL, 0), 1);
	db_close(db);
	world_done(&w);
}

/* ---- clocks, and writers ---- */

/* Nothing is measured by the machine's own clock: a store whose clock is 20 minutes off behaves alike. */
static void clocks_may_differ_by_20_minutes(void **state)
{
	(void)state;
	for (int sign = -1; sign <= 1; sign += 2) {
		struct world w;
		struct compact_report report = { 0 };
		world_init(&w);
		store_mem_advance(w.mem, sign * 20 * NS_PER_MIN);
		struct db *db = world_open(&w);
		write_some(db, "a", 0, 5);
		settle(db);
		settle(db);
		assert_int_equal(count_keys(&w, "default/seg/"), 5);
		world_advance(&w, 50 * NS_PER_S);
		settle(db);
		assert_int_equal(count_keys(&w, "default/seg/"), 5);
		world_advance(&w, 20 * NS_PER_S);
		assert_int_equal(pass(db, true, &report), 0);
		assert_int_equal(report.removed, 5);
		assert_int_equal(count_profiles(db, NULL, 0), 5);
		assert_clean(db);
		db_close(db);
		world_done(&w);
	}
}

static void writer_is_overtaken(struct interruption *i)
{
	struct db *db = world_open(i->w);
	write_some(db, "a", 100, 3);
	settle(db);
	collect_all_of(i->w, db);
	db_close(db);
}

static void a_writer_slower_than_the_grace_loses_nothing(void **state)
{
	(void)state;
	struct world w;
	struct interruption i = { .what = "put", .part = "/seg/", .then = writer_is_overtaken };
	world_init(&w);
	struct db *db = world_open(&w);
	interrupt(&w, &i);
	write_some(db, "a", 0, 1);
	store_fault_hook(w.store, NULL, NULL);
	assert_int_equal(i.happened, 1);
	assert_int_equal(count_profiles(db, NULL, 0), 4);
	settle(db);
	collect_all_of(&w, db);
	assert_int_equal(count_profiles(db, NULL, 0), 4);
	assert_clean(db);
	db_close(db);
	world_done(&w);
}

/* Where two can create the same object, nobody commits but who promises to be alone. */
static void a_store_that_creates_blindly_is_compacted_by_one_alone(void **state)
{
	(void)state;
	struct world w;
	struct error err = { 0 };
	struct compactor *c;
	struct compact_report report = { 0 };
	struct db *sole;
	world_init(&w);
	struct db *db = world_open(&w);
	write_some(db, "a", 0, 3);
	store_fault_set(w.store, &(struct fault_plan){ .fault = FAULT_BLIND, .at = 1, .from_then_on = true, .kinds = 2 });
	assert_int_equal(compactor_new(db, &(struct compact_options){ .settle = true }, &c), 0);
	assert_int_equal(compactor_pass(c, &report, &err), ERR_STORE_UNSUPPORTED);
	assert_non_null(strstr(err.text, "--sole-compactor"));
	compactor_free(c);
	assert_int_equal(count_profiles(db, NULL, 0), 3);
	struct db_options o = { .threads = 1, .sole_compactor = true };
	assert_int_equal(db_open(w.store, &o, &sole, NULL), 0);
	settle(sole);
	assert_int_equal(count_objects(sole), 1);
	assert_int_equal(count_profiles(db, NULL, 0), 3);
	db_close(sole);
	db_close(db);
	world_done(&w);
}

/* ---- faults, swept ---- */

static void verify_after(struct world *w, size_t n, const char *what, uint64_t at)
{
	struct db *db = world_open(w);
	if (count_profiles(db, NULL, 0) != n)
		fail_msg("%s at call %llu: a profile is lost or doubled", what, (unsigned long long)at);
	write_some(db, "a", 500, 1);
	settle(db);
	assert_int_equal(count_profiles(db, NULL, 0), n + 1);
	collect_all_of(w, db);
	assert_int_equal(count_profiles(db, NULL, 0), n + 1);
	assert_int_equal(count_keys(w, "default/blk/"), 1);
	assert_int_equal(count_keys(w, "default/seg/"), 0);
	assert_clean(db);
	db_close(db);
}

/*
 * Each call of a store that has segments, a block, an orphan and dropped names fails once. `torn` is for puts and reads
 * alone: no store leaves half of what it creates exclusively.
 */
static bool sweep_one(enum fault fault, unsigned kinds, uint64_t at, const char *what)
{
	struct world w;
	world_init(&w);
	struct db *db = world_open(&w);
	write_some(db, "a", 0, 4);
	settle(db);
	world_advance(&w, 2 * NS_PER_MIN);
	write_some(db, "a", 10, 3);
	write_some(db, "b", 10, 1);
	db_close(db);
	assert_int_equal(store_put(w.mem, "default/blk/2025-11-22/01M8A40V9N686PG23CZR5NAFVH",
	                           (struct slice){ (const uint8_t *)"x", 1 }, NULL), 0);
	world_advance(&w, 16 * NS_PER_MIN);
	db = world_open(&w);
	store_fault_set(w.store, &(struct fault_plan){ .fault = fault, .at = at, .kinds = kinds });
	uint64_t before = store_fault_calls(w.store);
	(void)pass(db, true, NULL);
	bool reached = store_fault_calls(w.store) - before >= at;
	store_fault_set(w.store, &(struct fault_plan){ 0 });
	db_close(db);
	verify_after(&w, 8, what, at);
	world_done(&w);
	return reached;
}

static void any_call_of_a_compaction_may_fail(void **state)
{
	(void)state;
	static const struct {
		enum fault fault;
		unsigned kinds;
		const char *name;
	} faults[] = {
		{ FAULT_BEFORE, 0, "before" }, { FAULT_AFTER, 0, "after" }, { FAULT_TIMEOUT, 0, "timeout" },
		{ FAULT_DENIED, 0, "denied" }, { FAULT_TORN, 1 | 4 | 8, "torn" },
	};
	for (size_t f = 0; f < ARRAY_SIZE(faults); f++) {
		uint64_t at = 1;
		while (sweep_one(faults[f].fault, faults[f].kinds, at, faults[f].name))
			at++;
		assert_true(at > 15);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written_profiles_are_there_once_after_compaction),
		cmocka_unit_test(a_duplicate_is_seen_after_compaction_and_merged_away),
		cmocka_unit_test(a_compactor_asleep_for_an_hour_before_its_commit_gives_up),
		cmocka_unit_test(a_compactor_asleep_before_or_after_its_upload_gives_up),
		cmocka_unit_test(a_stray_version_is_put_and_does_not_count),
		cmocka_unit_test(an_orphan_is_condemned_before_it_is_removed),
		cmocka_unit_test(a_put_that_times_out_and_lands_later_counts_once_or_not_at_all),
		cmocka_unit_test(a_view_whose_list_took_minutes_is_thrown_away),
		cmocka_unit_test(a_store_that_is_always_slow_to_list_is_an_error),
		cmocka_unit_test(clocks_may_differ_by_20_minutes),
		cmocka_unit_test(a_writer_slower_than_the_grace_loses_nothing),
		cmocka_unit_test(a_store_that_creates_blindly_is_compacted_by_one_alone),
		cmocka_unit_test(any_call_of_a_compaction_may_fail),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

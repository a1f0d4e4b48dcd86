/* SPDX-License-Identifier: MIT */

/* Symbols that days share: their life beside the blocks that name them, with processes that die, sleep or come late. */

#include <string.h>

#include "db_fixture.h"

#include "../../../core/base/hash.h"
#include "../../../core/db/collect.h"
#include "../../../core/db/internal.h"
#include "../../../core/db/keys.h"
#include "../../../core/db/shared.h"

enum { DAYS = 3, PROFILES = 2 };

#define BLK_SHARED "default/blk/9999-12-31/"
#define CAT_SHARED "default/cat/9999-12-31/"

/* Large in symbols: 150 stacks of names. Days differ a little; the fifth deploy differs in all. */
static void day_profile(struct profile *p, int day, int i)
{
	enum { STACKS = 400 };
	assert_int_equal(profile_init(p, LIMIT), 0);
	PUSH(&p->types, (struct value_type){ text(p, "cpu"), text(p, "nanoseconds") });
	PUSH(&p->loc_at, 0);
	for (uint32_t k = 0; k < STACKS; k++) {
		bool own = k % 20 == 0 || day >= 5;
		char said[80];
		uint64_t random = hash_mix(k, own ? 1000 + (uint64_t)day : 0); /* names do not compress away */
		snprintf(said, sizeof said, "pkg%u/of.(*thing%llx).run", k % 20, (unsigned long long)random);
		uint32_t name = text(p, said);
		PUSH(&p->functions, (struct profile_function){ .name = name, .system_name = name });
		PUSH(&p->lines, (struct profile_line){ .function = k, .line = k * 17 % 311 });
		PUSH(&p->locations, (struct profile_location){ .mapping = PROFILE_NONE, .line_at = k, .n_lines = 1 });
		PUSH(&p->locs, k);
		PUSH(&p->locs, k * 37 % (k + 1));
		PUSH(&p->loc_at, (uint32_t)p->locs.n);
		PUSH(&p->values, i + 1);
	}
	p->n_samples = STACKS;
	p->time_ns = T0 + day * NS_PER_DAY + i * NS_PER_MIN;
}

static void write_day(struct db *db, const char *service, int day)
{
	struct profile p[PROFILES];
	struct db_write w[PROFILES];
	for (int i = 0; i < PROFILES; i++) {
		day_profile(&p[i], day, i);
		w[i] = (struct db_write){ .profile = &p[i], .service = str_of(service) };
	}
	assert_int_equal(db_write(db, w, PROFILES, NULL, NULL), 0);
	for (int i = 0; i < PROFILES; i++)
		profile_done(&p[i]);
}

static void write_days(struct db *db, int days)
{
	for (int day = 0; day < days; day++) {
		write_day(db, "a", day);
		write_day(db, "b", day);
	}
}

static uint64_t hash_told(const struct profile *p)
{
	struct buf told = BUF_INIT(LIMIT);
	tell_profile(p, &told);
	uint64_t hash = hash_bytes(told.data, told.len);
	buf_done(&told);
	return hash;
}

/* Every profile of the service's days is there once, with each name and number. */
static void assert_days(struct db *db, const char *service, int from, int to)
{
	struct view *v;
	struct parts parts;
	struct str name = str_of(service);
	struct error err = { 0 };
	size_t n = 0;
	assert_int_equal(db_view(db, 0, &v, NULL), 0);
	assert_int_equal(view_parts(v, &name, INT32_MIN, INT32_MAX, NULL, &parts, NULL), 0);
	assert_int_equal(parts.damaged, 0);
	for (size_t i = 0; i < parts.n; i++) {
		const struct profiles *p;
		assert_int_equal(dataset_profiles(parts.v[i].dataset, &p, NULL), 0);
		for (uint32_t k = 0; k < p->n; k++, n++) {
			struct profile back, told;
			int64_t since = p->rows[k].time - T0;
			assert_int_equal(profile_init(&back, LIMIT), 0);
			int r = dataset_restore(parts.v[i].dataset, k, &back, &err);
			if (r < 0)
				fail_msg("%s", err.text);
			day_profile(&told, (int)(since / NS_PER_DAY), (int)(since % NS_PER_DAY / NS_PER_MIN));
			assert_true(hash_told(&back) == hash_told(&told));
			profile_done(&back);
			profile_done(&told);
		}
	}
	assert_int_equal(n, (size_t)(to - from) * PROFILES);
	parts_done(&parts);
	view_unref(v);
}

static void delete_days(struct db *db, const char *service, int from, int to)
{
	struct str name = str_of(service ? service : "");
	struct db_which which = { .service = service ? &name : NULL, .from_day = time_day(T0) + from,
		                  .to_day = time_day(T0) + to };
	struct db_deleted n;
	struct error err = { 0 };
	int r = db_delete(db, &which, false, &n, &err);
	if (r < 0)
		fail_msg("%s", err.text);
}

static struct db_stats stats_of(struct db *db)
{
	struct db_stats s;
	assert_int_equal(db_stat(db, &s, NULL), 0);
	return s;
}

static void the_day_of_shared_symbols_is_far_away(void **state)
{
	(void)state;
	int32_t day;
	assert_true(day_parse("9999-12-31", 10, &day));
	assert_int_equal(day, SHARED_DAY);
}

/* The third day makes them, later days name them; what has outgrown them gets new ones; nothing else changes. */
static void days_share_and_hold_the_same(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	struct db *db = world_open(&w), *other = world_open(&w);
	for (int day = 0; day < 2; day++) {
		write_day(db, "a", day);
		write_day(db, "b", day);
		settle(db);
		assert_int_equal(stats_of(db).shared, 0); /* of so few days they would save nothing */
	}
	for (int day = 2; day < 5; day++) {
		write_day(db, "a", day);
		write_day(db, "b", day);
		settle(db);
		assert_int_equal(stats_of(db).shared, 2);
		assert_int_equal(count_keys(&w, BLK_SHARED), 2);
	}
	write_day(db, "a", 5);
	settle(db);
	assert_int_equal(stats_of(db).shared, 3);
	write_day(db, "a", 6);
	settle(db);
	struct db_stats s = stats_of(other);
	assert_int_equal(s.shared, 4); /* day 6 differs from day 5 in all */
	assert_int_equal(s.profiles, 12 * PROFILES);
	assert_true(s.object_bytes > s.shared_bytes && s.shared_bytes > 0);
	assert_days(other, "a", 0, 7);
	assert_days(other, "b", 0, 5);
	assert_int_equal(count_objects(other), 7);
	assert_clean(other);
	collect_all_of(&w, db);
	assert_int_equal(count_keys(&w, BLK_SHARED), 4);
	assert_days(other, "a", 0, 7);
	assert_clean(other);
	db_close(db);
	db_close(other);
	world_done(&w);
}

/* Many profiles whose values do not compress away: symbols are little of the day. */
static void write_busy_day(struct db *db, int day)
{
	enum { BUSY = 300 };
	static struct profile p[BUSY];
	struct db_write w[BUSY];
	for (int i = 0; i < BUSY; i++) {
		day_profile(&p[i], day, i);
		for (size_t k = 0; k < p[i].values.n; k++)
			p[i].values.v[k] = (int64_t)(hash_mix((uint64_t)(day * BUSY + i), k) >> 30);
		w[i] = (struct db_write){ .profile = &p[i], .service = STR("a") };
	}
	assert_int_equal(db_write(db, w, BUSY, NULL, NULL), 0);
	for (int i = 0; i < BUSY; i++)
		profile_done(&p[i]);
}

static size_t count_sharing(struct db *db)
{
	struct view *v;
	size_t n = 0;
	assert_int_equal(db_view(db, 0, &v, NULL), 0);
	for (size_t i = 0; i < v->n; i++)
		n += v->live[i]->n_shared > 0;
	view_unref(v);
	return n;
}

/* Where symbols are little of the day they are its own, whether there are shared ones or not. */
static void busy_days_share_nothing(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	struct db *db = world_open(&w);
	for (int day = 0; day < 3; day++)
		write_busy_day(db, day);
	settle(db);
	assert_int_equal(stats_of(db).shared, 0);
	write_day(db, "a", 3);
	write_day(db, "a", 4);
	settle(db);
	assert_int_equal(stats_of(db).shared, 1);
	assert_int_equal(count_sharing(db), 2);
	write_busy_day(db, 5);
	settle(db);
	assert_int_equal(count_objects(db), 6);
	assert_int_equal(count_sharing(db), 2);
	assert_clean(db);
	db_close(db);
	world_done(&w);
}

/* Late profiles of a day that shares are merged into it, and it goes on sharing. */
static void late_profiles_join_a_day_that_shares(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	struct db *db = world_open(&w), *other = world_open(&w);
	write_days(db, DAYS);
	delete_days(db, "a", 1, 1);
	settle(db);
	write_day(other, "a", 1);
	assert_days(other, "a", 0, DAYS);
	settle(other);
	assert_days(db, "a", 0, DAYS);
	assert_int_equal(count_objects(db), DAYS);
	assert_clean(db);
	db_close(db);
	db_close(other);
	world_done(&w);
}

static void they_live_as_long_as_a_block_names_them(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	struct db *db = world_open(&w);
	write_days(db, DAYS);
	settle(db);
	assert_int_equal(count_keys(&w, BLK_SHARED), 2);
	delete_days(db, NULL, 0, DAYS - 2);
	collect_all_of(&w, db);
	assert_int_equal(stats_of(db).shared, 2);
	assert_days(db, "a", DAYS - 1, DAYS);
	delete_days(db, NULL, 0, DAYS);
	collect_all_of(&w, db); /* dropped */
	assert_int_equal(stats_of(db).shared, 0);
	assert_int_equal(count_keys(&w, BLK_SHARED), 2);
	assert_clean(db);
	world_advance(&w, 6 * NS_PER_DAY);
	settle(db);
	assert_int_equal(count_keys(&w, BLK_SHARED), 2);
	world_advance(&w, NS_PER_DAY);
	collect_all_of(&w, db);
	assert_int_equal(count_keys(&w, BLK_SHARED), 0);
	world_advance(&w, 8 * NS_PER_DAY);
	collect_all_of(&w, db);
	assert_int_equal(count_keys(&w, CAT_SHARED), 0);
	assert_int_equal(count_keys(&w, "default/"), 0);
	assert_clean(db);
	db_close(db);
	world_done(&w);
}

/* What a service's deletion leaves names no symbols of it any more. */
static void a_deleted_service_takes_its_symbols_along(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	struct db *db = world_open(&w);
	write_days(db, DAYS);
	settle(db);
	delete_days(db, "a", 0, DAYS);
	world_advance(&w, 2 * NS_PER_HOUR);
	collect_all_of(&w, db);
	world_advance(&w, 8 * NS_PER_DAY);
	collect_all_of(&w, db);
	assert_int_equal(count_keys(&w, BLK_SHARED), 0); /* what is left of the days was rewritten, with its own symbols */
	assert_days(db, "b", 0, DAYS);
	assert_clean(db);
	db_close(db);
	world_done(&w);
}

/* ---- late, dead and asleep ---- */

struct interruption {
	struct world *w;
	struct db *other;
	const char *part; /* of the key that is put */
	int happened;
	bool inside;
};

static void on_put(void *ctx, const char *what, const char *key)
{
	struct interruption *i = ctx;
	if (i->inside || i->happened || strncmp(what, "put", 3) != 0 || !strstr(key, i->part))
		return;
	i->inside = true;
	delete_days(i->other, NULL, 0, 2);
	world_advance(i->w, 2 * NS_PER_HOUR);
	struct collect_counts counts = { 0 };
	assert_int_equal(collect_day(i->other, SHARED_DAY, &(struct collect_options){ 0 }, &counts, NULL), 0);
	assert_int_equal(stats_of(i->other).shared, 0); /* dropped: nobody names them now */
	i->happened++;
	i->inside = false;
}

/* A merge looks, sleeps while its symbols are dropped, and then commits a block that names them: they stay. */
static void symbols_dropped_while_a_merge_sleeps_stay_for_its_block(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	struct db *db = world_open(&w), *other = world_open(&w);
	write_days(db, 3);
	settle(db);
	write_day(db, "a", 3);
	write_day(db, "b", 3);
	struct interruption i = { .w = &w, .other = other, .part = "/blk/2025-11-25/" };
	store_fault_hook(w.store, on_put, &i);
	settle(db);
	store_fault_hook(w.store, NULL, NULL);
	assert_int_equal(i.happened, 1);
	assert_days(other, "a", 3, 4);
	for (int k = 0; k < 3; k++) {
		world_advance(&w, 8 * NS_PER_DAY);
		collect_all_of(&w, other);
	}
	assert_int_equal(count_keys(&w, BLK_SHARED), 2);
	assert_days(other, "a", 3, 4);
	assert_clean(other);
	/* the next days make new ones: what is dropped is not taken */
	write_day(db, "a", 2);
	write_day(db, "a", 4);
	settle(db);
	assert_int_equal(stats_of(db).shared, 1);
	delete_days(db, NULL, 0, DAYS + 2);
	for (int k = 0; k < 3; k++) {
		world_advance(&w, 8 * NS_PER_DAY);
		collect_all_of(&w, other);
	}
	assert_int_equal(count_keys(&w, BLK_SHARED), 0);
	assert_clean(other);
	db_close(db);
	db_close(other);
	world_done(&w);
}

/* Killed or failing at any call of the store: nothing is lost or doubled, and what is left over goes. */
static void merges_that_share_may_die_at_any_step(void **state)
{
	(void)state;
	static const enum fault faults[] = { FAULT_BEFORE, FAULT_AFTER };
	for (size_t f = 0; f < ARRAY_SIZE(faults); f++) {
		bool reached = true;
		for (uint64_t at = 1; reached; at++) {
			struct world w;
			struct compact_report report = { 0 };
			world_init(&w);
			struct db *db = world_open(&w);
			write_days(db, 2);
			store_fault_set(w.store, &(struct fault_plan){ .fault = faults[f], .at = at });
			uint64_t before = store_fault_calls(w.store);
			(void)pass(db, true, &report);
			reached = store_fault_calls(w.store) - before >= at;
			store_fault_set(w.store, &(struct fault_plan){ 0 });
			db_close(db);
			struct db *other = world_open(&w);
			assert_days(other, "a", 0, 2);
			settle(other);
			assert_days(other, "a", 0, 2);
			assert_days(other, "b", 0, 2);
			for (int k = 0; k < 2; k++) {
				world_advance(&w, 8 * NS_PER_DAY);
				collect_all_of(&w, other);
			}
			assert_int_equal(count_keys(&w, BLK_SHARED), stats_of(other).shared);
			assert_days(other, "a", 0, 2);
			assert_clean(other);
			db_close(other);
			world_done(&w);
		}
	}
}

/* So may what removes them. */
static void collection_may_die_at_any_step(void **state)
{
	(void)state;
	bool reached = true;
	for (uint64_t at = 1; reached; at++) {
		struct world w;
		struct compact_report report = { 0 };
		world_init(&w);
		struct db *db = world_open(&w);
		write_days(db, 2);
		settle(db);
		delete_days(db, NULL, 0, 0);
		delete_days(db, "b", 0, 2);
		store_fault_set(w.store, &(struct fault_plan){ .fault = FAULT_AFTER, .at = at });
		uint64_t before = store_fault_calls(w.store);
		for (int k = 0; k < 4; k++) {
			world_advance(&w, 3 * NS_PER_DAY);
			(void)pass(db, true, &report);
		}
		reached = store_fault_calls(w.store) - before >= at;
		store_fault_set(w.store, &(struct fault_plan){ 0 });
		assert_days(db, "a", 1, 2);
		for (int k = 0; k < 3; k++) {
			world_advance(&w, 8 * NS_PER_DAY);
			collect_all_of(&w, db);
		}
		assert_int_equal(count_keys(&w, BLK_SHARED), stats_of(db).shared);
		assert_days(db, "a", 1, 2);
		assert_clean(db);
		db_close(db);
		world_done(&w);
	}
}

/* ---- damage ---- */

static int first_key(void *ctx, const char *key, const struct store_stat *st)
{
	(void)st;
	snprintf(ctx, 256, "%s", key);
	return ERR_CANCELLED;
}

struct findings {
	const char *key;
	size_t of_key, all;
};

static void note_finding(void *ctx, const char *key, const char *what)
{
	struct findings *f = ctx;
	(void)what;
	f->all++;
	f->of_key += !strcmp(key, f->key);
}

enum damage { MISSING, TRUNCATED, FLIPPED, N_DAMAGES };

static void damage_object(struct world *w, const char *key, enum damage damage)
{
	struct buf bytes = BUF_INIT(LIMIT);
	assert_int_equal(store_get(w->mem, key, LIMIT, &bytes, NULL), 0);
	assert_int_equal(store_remove(w->mem, key, NULL), 0);
	struct slice s = buf_slice(&bytes);
	if (damage == TRUNCATED)
		s.len /= 2;
	bytes.data[60] ^= damage == FLIPPED ? 4 : 0;
	if (damage != MISSING)
		assert_int_equal(store_put(w->mem, key, s, NULL), 0);
	buf_done(&bytes);
}

/* Each is found and named, costs the service's data alone, and stops no compaction of what is sound. */
static void damaged_symbols_are_named_and_cost_their_own_data(void **state)
{
	(void)state;
	for (enum damage damage = 0; damage < N_DAMAGES; damage++) {
		struct world w;
		char key[256] = "";
		world_init(&w);
		struct db *db = world_open(&w);
		write_days(db, DAYS);
		settle(db);
		store_list(w.mem, BLK_SHARED, NULL, 0, first_key, key, NULL);
		damage_object(&w, key, damage);
		struct db *other = world_open(&w);
		struct findings f = { .key = key };
		assert_true(db_check(other, false, note_finding, &f, NULL) > 0);
		assert_true(f.of_key > 0);
		assert_true(f.all > f.of_key); /* the blocks that need it, too */
		write_day(other, "c", 1);
		write_day(other, "a", 7);
		write_day(other, "b", 7);
		settle(other);
		assert_days(other, "c", 1, 2);
		size_t a = count_profiles(other, "a", 0), b = count_profiles(other, "b", 0);
		assert_int_equal(a, (DAYS + 1) * PROFILES);
		assert_int_equal(b, (DAYS + 1) * PROFILES);
		db_close(db);
		db_close(other);
		world_done(&w);
	}
}

static void an_orphan_is_named_and_collected(void **state)
{
	(void)state;
	struct world w;
	struct ulid u;
	world_init(&w);
	struct db *db = world_open(&w);
	write_days(db, DAYS);
	settle(db);
	assert_int_equal(ulid_new(&u), 0);
	char *key = key_block("default", SHARED_DAY, &u);
	assert_int_equal(store_put(w.mem, key, (struct slice){ (const uint8_t *)"junk", 4 }, NULL), 0);
	world_advance(&w, NS_PER_HOUR);
	struct findings f = { .key = key };
	assert_int_equal(db_check(db, false, note_finding, &f, NULL), 1);
	assert_int_equal(f.of_key, 1);
	collect_all_of(&w, db);
	world_advance(&w, 8 * NS_PER_DAY);
	collect_all_of(&w, db);
	assert_int_equal(count_keys(&w, BLK_SHARED), 2);
	assert_clean(db);
	free(key);
	db_close(db);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_day_of_shared_symbols_is_far_away),
		cmocka_unit_test(days_share_and_hold_the_same),
		cmocka_unit_test(busy_days_share_nothing),
		cmocka_unit_test(late_profiles_join_a_day_that_shares),
		cmocka_unit_test(they_live_as_long_as_a_block_names_them),
		cmocka_unit_test(a_deleted_service_takes_its_symbols_along),
		cmocka_unit_test(symbols_dropped_while_a_merge_sleeps_stay_for_its_block),
		cmocka_unit_test(merges_that_share_may_die_at_any_step),
		cmocka_unit_test(collection_may_die_at_any_step),
		cmocka_unit_test(damaged_symbols_are_named_and_cost_their_own_data),
		cmocka_unit_test(an_orphan_is_named_and_collected),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "db_fixture.h"

#include <pthread.h>

#include "../../../core/db/day.h"
#include "../../../core/db/keys.h"
#include "../../../core/db/settings.h"

struct fixture {
	struct store *store; /* the fault layer over memory */
	struct db *db;
};

static void open_db(struct fixture *f, struct store *store)
{
	struct error err = { 0 };
	f->store = store;
	assert_int_equal(db_open(store, &(struct db_options){ .threads = 2 }, &f->db, &err), 0);
}

static void setup(struct fixture *f)
{
	struct store *mem, *fault;
	assert_int_equal(store_mem_new(&mem), 0);
	assert_int_equal(store_fault_new(mem, false, &fault), 0);
	open_db(f, fault);
}

static void teardown(struct fixture *f)
{
	db_close(f->db);
	store_free(f->store);
}

static void what_is_written_is_there_at_once(void **state)
{
	(void)state;
	struct fixture f;
	struct db_written w;
	setup(&f);
	assert_int_equal(count_profiles(f.db, NULL, VIEW_MAX_AGE), 0);
	assert_int_equal(write_one(f.db, "cart", T0, 1, &w), 0);
	assert_false(w.duplicate);
	assert_int_equal(w.time, T0);
	assert_int_equal(count_profiles(f.db, "cart", 3600 * NS_PER_S), 1);
	assert_int_equal(count_profiles(f.db, "other", 3600 * NS_PER_S), 0);
	struct names names;
	struct days days;
	assert_int_equal(db_services(f.db, VIEW_MAX_AGE, &names, NULL), 0);
	assert_int_equal(names.n, 1);
	assert_string_equal(names.v[0], "cart");
	assert_int_equal(db_days(f.db, STR("cart"), VIEW_MAX_AGE, &days, NULL), 0);
	assert_int_equal(days.n, 1);
	assert_int_equal(days.v[0], time_day(T0));
	assert_true(db_has_service(f.db, STR("cart"), VIEW_MAX_AGE));
	assert_false(db_has_service(f.db, STR("car"), VIEW_MAX_AGE));
	names_done(&names);
	days_done(&days);
	teardown(&f);
}

static void the_same_profile_counts_once(void **state)
{
	(void)state;
	struct fixture f;
	struct db_written a, b;
	setup(&f);
	assert_int_equal(write_one(f.db, "cart", T0, 1, &a), 0);
	assert_int_equal(write_one(f.db, "cart", T0, 1, &b), 0);
	assert_true(b.duplicate);
	assert_memory_equal(a.id.b, b.id.b, sizeof a.id.b);
	assert_int_equal(write_one(f.db, "cart", T0, 2, &b), 0);
	assert_false(b.duplicate);
	assert_int_equal(write_one(f.db, "search", T0, 1, &b), 0);
	assert_false(b.duplicate);
	assert_int_equal(count_profiles(f.db, NULL, 0), 3);

	/* another process sees it too */
	struct fixture g;
	open_db(&g, f.store);
	assert_int_equal(write_one(g.db, "cart", T0, 1, &b), 0);
	assert_true(b.duplicate);
	db_close(g.db);
	teardown(&f);
}

static void a_call_of_equal_profiles_writes_one(void **state)
{
	(void)state;
	struct fixture f;
	struct profile p;
	struct db_written ret[2];
	setup(&f);
	simple_profile(&p, T0, 5);
	struct db_write w = { .profile = &p, .service = STR("s") }, both[] = { w, w };
	assert_int_equal(db_write(f.db, both, 2, ret, NULL), 0);
	assert_false(ret[0].duplicate);
	assert_true(ret[1].duplicate);
	assert_int_equal(count_profiles(f.db, NULL, 0), 1);
	profile_done(&p);
	teardown(&f);
}

struct writer_arg {
	struct db *db;
	int number;
};

static void *write_many(void *arg)
{
	struct writer_arg *a = arg;
	for (int i = 0; i < 25; i++)
		if (write_one(a->db, i % 2 ? "x" : "y", T0 + i, a->number * 1000 + i, NULL) < 0)
			return (void *)1;
	return NULL;
}

static void concurrent_writers_share_segments_and_lose_nothing(void **state)
{
	(void)state;
	enum { N = 16 };
	struct fixture f;
	pthread_t threads[N];
	struct writer_arg args[N];
	setup(&f);
	store_fault_set(f.store, &(struct fault_plan){ .fault = FAULT_SLOW, .at = 1, .from_then_on = true, .kinds = 1,
	                                               .delay_ns = 2 * NS_PER_MS });
	for (int i = 0; i < N; i++) {
		args[i] = (struct writer_arg){ f.db, i };
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, &args[i]), 0);
	}
	for (int i = 0; i < N; i++) {
		void *failed;
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	store_fault_set(f.store, &(struct fault_plan){ 0 });
	assert_int_equal(count_profiles(f.db, NULL, 0), N * 25);
	struct db_stats s;
	assert_int_equal(db_stat(f.db, &s, NULL), 0);
	assert_int_equal(s.profiles, N * 25);
	assert_true(s.segments < N * 25 / 2);
	assert_int_equal(db_check(f.db, false, NULL, NULL, NULL), 0);
	teardown(&f);
}

/* Every store call of a write fails once, in each way: what was acknowledged is there, once, and a retry is harmless. */
static void faults_lose_nothing_that_was_acknowledged(void **state)
{
	(void)state;
	static const enum fault kinds[] = { FAULT_BEFORE, FAULT_AFTER, FAULT_TIMEOUT, FAULT_DENIED };
	for (size_t k = 0; k < ARRAY_SIZE(kinds); k++)
		for (uint64_t at = 1; at < 12; at++) {
			struct fixture f;
			setup(&f);
			store_fault_set(f.store, &(struct fault_plan){ .fault = kinds[k], .at = at });
			int r = write_one(f.db, "s", T0, 1, NULL);
			store_fault_set(f.store, &(struct fault_plan){ 0 });
			struct fixture g;
			open_db(&g, f.store);
			if (r == 0)
				assert_int_equal(count_profiles(g.db, "s", 0), 1);
			int retries = 0;
			while (write_one(g.db, "s", T0, 1, NULL) < 0)
				assert_true(++retries < 2);
			struct names names;
			assert_int_equal(count_profiles(g.db, "s", 0), 1);
			assert_int_equal(db_services(g.db, 0, &names, NULL), 0);
			assert_int_equal(names.n, 1);
			names_done(&names);
			db_close(g.db);
			teardown(&f);
		}
}

static void a_torn_segment_is_named_and_costs_only_itself(void **state)
{
	(void)state;
	struct fixture f;
	setup(&f);
	assert_int_equal(write_one(f.db, "s", T0, 1, NULL), 0);
	store_fault_set(f.store, &(struct fault_plan){ .fault = FAULT_TORN, .at = 1, .kinds = 1 });
	assert_true(write_one(f.db, "s", T0, 2, NULL) < 0);
	store_fault_set(f.store, &(struct fault_plan){ 0 });
	assert_int_equal(write_one(f.db, "s", T0, 2, NULL), 0);
	struct view *v;
	struct parts parts;
	assert_int_equal(db_view(f.db, 0, &v, NULL), 0);
	assert_int_equal(view_parts(v, NULL, INT32_MIN, INT32_MAX, NULL, &parts, NULL), 0);
	assert_int_equal(parts.n, 2);
	assert_int_equal(parts.damaged, 1);
	assert_non_null(strstr(parts.damage.text, "default/seg/"));
	parts_done(&parts);
	view_unref(v);
	assert_int_equal(db_check(f.db, false, NULL, NULL, NULL), 1);
	teardown(&f);
}

static void note_finding(void *ctx, const char *key, const char *what)
{
	(void)what;
	snprintf(ctx, 200, "%s", key);
}

static void check_names_what_is_missing_or_foreign(void **state)
{
	(void)state;
	struct fixture f;
	char key[200] = "";
	struct slice junk = { (const uint8_t *)"junk", 4 };
	setup(&f);
	assert_int_equal(write_one(f.db, "s", T0, 1, NULL), 0);
	assert_int_equal(db_check(f.db, false, note_finding, key, NULL), 0);
	assert_int_equal(store_put(f.store, "default/seg/2025-11-22/note.txt", junk, NULL), 0);
	assert_int_equal(db_check(f.db, false, note_finding, key, NULL), 1);
	assert_string_equal(key, "default/seg/2025-11-22/note.txt");
	assert_int_equal(store_remove(f.store, "default/seg/2025-11-22/note.txt", NULL), 0);

	char *marker = key_marker("default", STR("s"), time_day(T0));
	assert_int_equal(store_remove(f.store, marker, NULL), 0);
	struct fixture g; /* a process that has not put the marker itself */
	open_db(&g, f.store);
	assert_int_equal(db_check(g.db, false, note_finding, key, NULL), 1);
	assert_string_equal(key, marker);
	assert_int_equal(db_check(g.db, true, note_finding, key, NULL), 1);
	assert_int_equal(db_check(g.db, false, note_finding, key, NULL), 0);

	struct view *v;
	assert_int_equal(db_view(g.db, 0, &v, NULL), 0);
	assert_int_equal(store_remove(f.store, view_object(v, 0)->key, NULL), 0);
	view_unref(v);
	assert_int_equal(db_check(g.db, false, note_finding, key, NULL), 1);
	assert_string_equal(key, marker); /* of a day without objects */
	free(marker);
	db_close(g.db);
	teardown(&f);
}

/* Compaction or retention in another process: the next write looks again instead of failing. */
static void a_write_survives_an_object_that_went_away(void **state)
{
	(void)state;
	struct fixture f, g;
	struct db_written w;
	setup(&f);
	assert_int_equal(write_one(f.db, "s", T0, 1, NULL), 0);
	open_db(&g, f.store);
	struct view *v;
	assert_int_equal(db_view(g.db, 0, &v, NULL), 0); /* g has listed it, and not opened it */
	assert_int_equal(store_remove(f.store, view_object(v, 0)->key, NULL), 0);
	view_unref(v);
	assert_int_equal(write_one(g.db, "s", T0, 2, &w), 0);
	assert_false(w.duplicate);
	assert_int_equal(count_profiles(g.db, "s", 0), 1);
	db_close(g.db);
	teardown(&f);
}

static void bulk_loads_in_segments_of_days(void **state)
{
	(void)state;
	struct fixture f;
	struct bulk *b;
	setup(&f);
	assert_int_equal(bulk_new(f.db, 1 << 20, &b), 0);
	for (int i = 0; i < 100; i++) {
		struct profile p;
		struct db_written w;
		simple_profile(&p, T0 + (i % 50) * NS_PER_DAY, i / 2 % 2);
		struct db_write write = { .profile = &p, .service = STR("s") };
		assert_int_equal(bulk_add(b, &write, &w, NULL), 0);
		profile_done(&p);
	}
	assert_int_equal(bulk_flush(b, NULL), 0);
	bulk_free(b);
	struct days days;
	assert_int_equal(db_days(f.db, STR("s"), 0, &days, NULL), 0);
	assert_int_equal(days.n, 50);
	days_done(&days);
	assert_int_equal(db_check(f.db, false, NULL, NULL, NULL), 0);
	teardown(&f);
}

static void more_than_32_days_in_one_write_are_refused(void **state)
{
	(void)state;
	enum { N = 33 };
	struct fixture f;
	struct profile p[N];
	struct db_write w[N];
	setup(&f);
	for (int i = 0; i < N; i++) {
		simple_profile(&p[i], T0 + i * NS_PER_DAY, 1);
		w[i] = (struct db_write){ .profile = &p[i], .service = STR("s") };
	}
	struct error err = { 0 };
	assert_int_equal(db_write(f.db, w, N, NULL, &err), ERR_LIMIT);
	assert_int_equal(err_errno(ERR_LIMIT), EDQUOT);
	assert_int_equal(count_profiles(f.db, NULL, 0), 0);
	assert_int_equal(db_write(f.db, w, N - 1, NULL, &err), 0);
	for (int i = 0; i < N; i++)
		profile_done(&p[i]);
	teardown(&f);
}

static void a_newer_format_is_refused_by_name(void **state)
{
	(void)state;
	struct store *mem;
	struct db *db;
	struct error err = { 0 };
	static const char text[] = "profilefs store\nformat 7\nneeds profilefs 3.2\n";
	assert_int_equal(store_mem_new(&mem), 0);
	assert_int_equal(store_put(mem, "FORMAT", (struct slice){ (const uint8_t *)text, sizeof text - 1 }, NULL), 0);
	assert_int_equal(db_open(mem, &(struct db_options){ 0 }, &db, &err), ERR_NEWER);
	assert_non_null(strstr(err.text, "needs profilefs 3.2"));
	store_free(mem);
}

static void a_folder_of_other_files_is_no_store(void **state)
{
	(void)state;
	struct store *mem;
	struct db *db;
	struct error err = { 0 };
	assert_int_equal(store_mem_new(&mem), 0);
	assert_int_equal(store_put(mem, "letters/one.txt", (struct slice){ (const uint8_t *)"x", 1 }, NULL), 0);
	assert_int_equal(db_open(mem, &(struct db_options){ 0 }, &db, &err), -ENOTEMPTY);
	assert_non_null(strstr(err.text, "letters/"));
	store_free(mem);
}

/* Another process begins the store between our first look and our listing. */
static void begin_at_listing(void *ctx, const char *what, const char *key)
{
	struct store *mem = ctx;
	static const char text[] = "profilefs store\nformat 1\nneeds profilefs 1.0\n";
	(void)key;
	if (strcmp(what, "list") != 0)
		return;
	assert_int_equal(store_put(mem, "FORMAT", (struct slice){ (const uint8_t *)text, sizeof text - 1 }, NULL), 0);
	assert_int_equal(store_put(mem, "default/seg/x", (struct slice){ (const uint8_t *)"x", 1 }, NULL), 0);
}

static void a_store_that_another_begins_is_a_store(void **state)
{
	(void)state;
	struct store *mem, *faulty;
	struct db *db;
	struct error err = { 0 };
	assert_int_equal(store_mem_new(&mem), 0);
	assert_int_equal(store_fault_new(mem, false, &faulty), 0);
	store_fault_hook(faulty, begin_at_listing, mem);
	if (db_open(faulty, &(struct db_options){ 0 }, &db, &err))
		fail_msg("%s", err.text);
	db_close(db);
	store_free(faulty);
}

static void note_first_put(void *ctx, const char *what, const char *key)
{
	char *first = ctx;
	if (!*first && !strncmp(what, "put", 3))
		snprintf(first, 100, "%s", key);
}

/* Else who opens the store while another probes it, or after that one was killed, would take it for a foreign folder. */
static void format_is_put_before_all_else(void **state)
{
	(void)state;
	struct world w;
	char first[100] = "";
	world_init(&w);
	struct db *db = world_open(&w);
	store_fault_hook(w.store, note_first_put, first);
	assert_int_equal(pass(db, true, NULL), 0);
	assert_string_equal(first, ""); /* there is nothing to compact */
	assert_int_equal(settings_set(db, "rules", STR("[]"), NULL), 0);
	assert_string_equal(first, "FORMAT");
	store_fault_hook(w.store, NULL, NULL);
	db_close(db);
	world_done(&w);
}

static void a_read_only_store_takes_nothing_and_is_read(void **state)
{
	(void)state;
	struct fixture f;
	setup(&f);
	assert_int_equal(write_one(f.db, "s", T0, 1, NULL), 0);
	f.store->read_only = true;
	assert_int_equal(write_one(f.db, "s", T0, 2, NULL), ERR_STORE_READONLY);
	assert_int_equal(count_profiles(f.db, "s", 0), 1);
	teardown(&f);
}

static void tenants_do_not_see_each_other(void **state)
{
	(void)state;
	struct fixture f;
	struct db *other;
	setup(&f);
	assert_int_equal(write_one(f.db, "s", T0, 1, NULL), 0);
	assert_int_equal(db_open(f.store, &(struct db_options){ .tenant = "../x" }, &other, NULL), 0);
	assert_int_equal(count_profiles(other, NULL, 0), 0);
	assert_int_equal(write_one(other, "s", T0, 1, NULL), 0);
	assert_int_equal(count_profiles(other, NULL, 0), 1);
	db_close(other);
	assert_int_equal(count_profiles(f.db, NULL, 0), 1);
	teardown(&f);
}

static void names_of_any_bytes_and_length_come_back(void **state)
{
	(void)state;
	static const char *const names[] = { "a/b", "..", ".hidden", "with space", "l\xc3\xa4nge", "%41", "~tilde", "new\nline" };
	struct fixture f;
	struct names found;
	char long_a[600], long_b[600];
	memset(long_a, 'x', sizeof long_a);
	long_a[sizeof long_a - 1] = '\0';
	memcpy(long_b, long_a, sizeof long_b);
	long_b[500] = 'y';
	setup(&f);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_int_equal(write_one(f.db, names[i], T0, 1, NULL), 0);
	assert_int_equal(write_one(f.db, long_a, T0, 1, NULL), 0);
	assert_int_equal(write_one(f.db, long_b, T0, 1, NULL), 0);
	assert_int_equal(db_services(f.db, 0, &found, NULL), 0);
	assert_int_equal(found.n, ARRAY_SIZE(names) + 2);
	for (size_t i = 0; i < found.n; i++) {
		bool known = !strcmp(found.v[i], long_a) || !strcmp(found.v[i], long_b);
		for (size_t k = 0; k < ARRAY_SIZE(names); k++)
			known |= !strcmp(found.v[i], names[k]);
		assert_true(known);
		assert_int_equal(count_profiles(f.db, found.v[i], 0), 1);
		assert_true(db_has_service(f.db, str_of(found.v[i]), VIEW_MAX_AGE));
	}
	names_done(&found);
	assert_int_equal(db_check(f.db, false, NULL, NULL, NULL), 0);
	teardown(&f);
}

/* ---- catalogs ---- */

static struct ulid ulid_of(uint8_t n)
{
	struct ulid u = { { n } };
	return u;
}

static void put_version(struct store *store, int32_t day, struct catalog_version *v)
{
	struct buf b = BUF_INIT(LIMIT);
	assert_int_equal(catalog_encode(v, &b), 0);
	char *key = key_catalog("default", day, v->version);
	assert_int_equal(store_put_if_absent(store, key, buf_slice(&b), NULL), 0);
	free(key);
	buf_done(&b);
	VEC_DONE(&v->added);
	VEC_DONE(&v->dropped);
}

static void dropped_segments_are_not_in_a_view(void **state)
{
	(void)state;
	struct fixture f;
	setup(&f);
	for (int i = 0; i < 3; i++)
		assert_int_equal(write_one(f.db, "s", T0 + i, i, NULL), 0);
	struct view *v;
	assert_int_equal(db_view(f.db, 0, &v, NULL), 0);
	assert_int_equal(view_objects(v), 3);
	struct ulid first = view_object(v, 0)->ulid, second = view_object(v, 1)->ulid;
	uint64_t generation = view_generation(v);
	view_unref(v);

	struct catalog_version one = { .version = 1, .whole = true }, two = { .version = 2 };
	PUSH(&one.dropped, (struct catalog_dropped){ first, DROPPED_SEGMENT, 5, 0 });
	put_version(f.store, time_day(T0), &one);
	assert_int_equal(count_profiles(f.db, "s", 0), 2);
	PUSH(&two.dropped, (struct catalog_dropped){ second, DROPPED_SEGMENT, 6, 0 });
	put_version(f.store, time_day(T0), &two);
	assert_int_equal(count_profiles(f.db, "s", 0), 1);
	assert_int_equal(db_view(f.db, 0, &v, NULL), 0);
	assert_true(view_generation(v) != generation);
	view_unref(v);

	struct fixture g; /* from nothing: the newest version and those back to the whole one */
	open_db(&g, f.store);
	assert_int_equal(count_profiles(g.db, "s", 0), 1);
	db_close(g.db);
	teardown(&f);
}

static struct day_state *next_state(struct day_state *old, struct catalog_version *v, int64_t mtime)
{
	struct day_state *s;
	assert_int_equal(day_state_apply("default", old, v, mtime, &s), 0);
	catalog_version_done(v);
	day_state_unref(old);
	return s;
}

static void dropped_is_final(void **state)
{
	(void)state;
	struct catalog_version v = { .version = 1, .whole = true };
	PUSH(&v.added, (struct catalog_block){ .ulid = ulid_of(1) });
	PUSH(&v.added, (struct catalog_block){ .ulid = ulid_of(2) });
	struct day_state *s = next_state(day_state_empty(7), &v, 100);
	assert_int_equal(s->n_blocks, 2);
	v = (struct catalog_version){ .version = 2 };
	PUSH(&v.dropped, (struct catalog_dropped){ ulid_of(1), DROPPED_BLOCK, 0, 0 });
	s = next_state(s, &v, 200);
	assert_int_equal(s->n_blocks, 1);
	v = (struct catalog_version){ .version = 3 };
	PUSH(&v.added, (struct catalog_block){ .ulid = ulid_of(1) });
	s = next_state(s, &v, 300);
	assert_int_equal(s->n_blocks, 1);
	const struct catalog_dropped *d = day_state_dropped(s, &(struct ulid){ { 1 } });
	assert_non_null(d);
	assert_int_equal(d->since, 200); /* the store's time of the version that dropped it */
	v = (struct catalog_version){ .version = 4 };
	PUSH(&v.dropped, (struct catalog_dropped){ ulid_of(1), DROPPED_BLOCK, 0, 350 });
	s = next_state(s, &v, 400);
	d = day_state_dropped(s, &(struct ulid){ { 1 } });
	assert_int_equal(d->since, 200);
	assert_int_equal(d->gone, 350);
	v = (struct catalog_version){ .version = 5 };
	PUSH(&v.forgotten, ulid_of(1));
	s = next_state(s, &v, 500);
	assert_int_equal(s->n_dropped, 0);
	day_state_unref(s);
}

static void catalogs_round_trip_and_find_flipped_bits(void **state)
{
	(void)state;
	struct buf b = BUF_INIT(LIMIT), records = BUF_INIT(LIMIT);
	struct arena arena = ARENA_INIT(LIMIT);
	struct dataset_hour hours[] = { { -3, 5 }, { 8, 2 } };
	struct dataset_type type = { STR("cpu"), STR("nanoseconds"), STR("kind"), 7 };
	struct str key = STR("pod");
	struct dataset_info info = {
		.service = STR("cart"), .profiles = 7, .samples = 30, .bytes_in = 1000, .bytes = { 1, 2, 3, 4 },
		.min_time = -5, .max_time = 5, .types = &type, .n_types = 1, .label_keys = &key, .n_label_keys = 1,
		.hours = hours, .n_hours = 2, .has_rollups = true,
	}, *infos;
	size_t n;
	struct catalog_version v = { .version = 9, .whole = true }, back;
	catalog_put_service(&records, &info);
	PUSH(&v.added, (struct catalog_block){ ulid_of(3), 77, 2, buf_slice(&records) });
	PUSH(&v.dropped, (struct catalog_dropped){ ulid_of(1), DROPPED_SEGMENT, -9, 4 });
	PUSH(&v.forgotten, ulid_of(6));
	assert_int_equal(catalog_encode(&v, &b), 0);
	assert_int_equal(catalog_decode(buf_slice(&b), &back, NULL), 0);
	assert_int_equal(back.version, 9);
	assert_int_equal(back.added.n, 1);
	assert_int_equal(back.dropped.v[0].since, -9);
	assert_int_equal(back.dropped.v[0].gone, 4);
	assert_int_equal(back.forgotten.n, 1);
	assert_int_equal(catalog_get_services(back.added.v[0].services, &arena, &infos, &n), 0);
	assert_int_equal(n, 1);
	assert_true(str_eq(infos[0].service, STR("cart")) && infos[0].has_rollups && infos[0].min_time == -5);
	assert_true(infos[0].hours[1].hour == 8 && infos[0].types[0].profiles == 7 && infos[0].bytes[3] == 4);
	assert_true(str_eq(infos[0].label_keys[0], key) && infos[0].n_sample_label_keys == 0);
	catalog_version_done(&back);
	for (size_t bit = 0; bit < b.len * 8; bit++) {
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
		if (catalog_decode(buf_slice(&b), &back, NULL) == 0) {
			assert_true(bit / 8 >= 8 && bit / 8 < 12); /* a lower format version */
			catalog_version_done(&back);
		}
		b.data[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	catalog_version_done(&v);
	arena_done(&arena);
	buf_done(&records);
	buf_done(&b);
}

static void filters_never_miss(void **state)
{
	(void)state;
	char names[200][16], filter[FILTER_LEN];
	struct str services[200];
	for (int i = 0; i < 200; i++) {
		snprintf(names[i], sizeof names[i], "service-%d", i);
		services[i] = str_of(names[i]);
	}
	for (size_t n = 1; n <= 200; n += 13) {
		filter_make(services, n, filter);
		for (size_t i = 0; i < n; i++)
			assert_true(filter_may_hold(filter, services[i]));
	}
	filter_make(services, 10, filter);
	int wrong = 0;
	for (size_t i = 10; i < 200; i++)
		wrong += filter_may_hold(filter, services[i]);
	assert_true(wrong < 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_there_at_once),
		cmocka_unit_test(the_same_profile_counts_once),
		cmocka_unit_test(a_call_of_equal_profiles_writes_one),
		cmocka_unit_test(concurrent_writers_share_segments_and_lose_nothing),
		cmocka_unit_test(faults_lose_nothing_that_was_acknowledged),
		cmocka_unit_test(a_torn_segment_is_named_and_costs_only_itself),
		cmocka_unit_test(check_names_what_is_missing_or_foreign),
		cmocka_unit_test(a_write_survives_an_object_that_went_away),
		cmocka_unit_test(bulk_loads_in_segments_of_days),
		cmocka_unit_test(more_than_32_days_in_one_write_are_refused),
		cmocka_unit_test(a_newer_format_is_refused_by_name),
		cmocka_unit_test(a_folder_of_other_files_is_no_store),
		cmocka_unit_test(a_store_that_another_begins_is_a_store),
		cmocka_unit_test(format_is_put_before_all_else),
		cmocka_unit_test(a_read_only_store_takes_nothing_and_is_read),
		cmocka_unit_test(tenants_do_not_see_each_other),
		cmocka_unit_test(names_of_any_bytes_and_length_come_back),
		cmocka_unit_test(dropped_segments_are_not_in_a_view),
		cmocka_unit_test(dropped_is_final),
		cmocka_unit_test(catalogs_round_trip_and_find_flipped_bits),
		cmocka_unit_test(filters_never_miss),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

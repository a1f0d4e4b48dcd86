/* SPDX-License-Identifier: MIT */

/* Planning, deletion, retention, and what `check` finds. */

#include "db_fixture.h"

#include "../../../core/db/commit.h"
#include "../../../core/db/keys.h"
#include "../../../core/db/merge_plan.h"
#include "../../../core/db/settings.h"

/* ---- planning ---- */

#define DAY 20000
#define MIDNIGHT (DAY * NS_PER_DAY)

struct sim {
	struct live *v[4096];
	uint8_t rewrites[4096]; /* the most that any profile inside has seen */
	size_t n;
	uint32_t made;
	unsigned most;
};

static struct live *sim_object(struct sim *s, uint64_t size, unsigned level, int64_t min, int64_t max, int64_t mtime)
{
	struct buf records = BUF_INIT(LIMIT);
	struct ulid u = { { (uint8_t)(s->made >> 24), (uint8_t)(s->made >> 16), (uint8_t)(s->made >> 8),
		            (uint8_t)s->made } };
	struct live *l;
	s->made++;
	if (!level)
		return live_segment(DAY, &u, strdup("k"), &(struct store_stat){ size, mtime }, "x");
	struct dataset_info infos[] = {
		{ .service = STR("a"), .profiles = 1, .min_time = min, .max_time = max },
		{ .service = STR("b"), .profiles = 1, .min_time = min, .max_time = max },
	};
	for (size_t i = 0; i < 2; i++)
		catalog_put_service(&records, &infos[i]);
	struct catalog_block b = { u, size, (uint8_t)level, buf_slice(&records) };
	assert_int_equal(live_block("default", DAY, &b, &l), 0);
	buf_done(&records);
	return l;
}

/* Carries out a plan as merge_run() would: sizes add up (nothing is shared: the worst case). */
static bool sim_merge(struct sim *s, int64_t now)
{
	struct merge_plan_options o = { DAY, now, false };
	struct merge_plan p;
	uint64_t size = 0;
	unsigned rewrites = 0;
	assert_int_equal(merge_plan_day(s->v, s->n, &o, &p), 0);
	if (!p.inputs.n) {
		merge_plan_done(&p);
		return false;
	}
	for (size_t i = 0; i < p.inputs.n; i++)
		for (size_t k = 0; k < s->n; k++)
			if (s->v[k] == p.inputs.v[i]) {
				size += s->v[k]->object.size;
				rewrites = MAX(rewrites, (unsigned)s->rewrites[k]);
				live_unref(s->v[k]);
				s->v[k] = s->v[--s->n];
				s->rewrites[k] = s->rewrites[s->n];
				break;
			}
	int64_t hour = time_floor(MIN(now, MIDNIGHT + NS_PER_DAY - 1) - 3 * NS_PER_MIN, NS_PER_HOUR);
	int64_t max = p.level == LEVEL_RECENT ? MIN(now, MIDNIGHT + NS_PER_DAY - 1) : hour;
	s->v[s->n] = sim_object(s, size, p.level, p.level == LEVEL_RECENT ? max - NS_PER_S : hour - NS_PER_HOUR, max, 0);
	s->rewrites[s->n++] = (uint8_t)(rewrites + 1);
	s->most = MAX(s->most, rewrites + 1);
	merge_plan_done(&p);
	return true;
}

/* A segment of 20 kB every two seconds for a day, a pass every ten: 0.9 GB. */
static void a_profile_is_rewritten_a_bounded_number_of_times(void **state)
{
	(void)state;
	static struct sim s;
	size_t most_objects = 0;
	s = (struct sim){ 0 };
	for (int64_t t = MIDNIGHT; t < MIDNIGHT + NS_PER_DAY; t += 2 * NS_PER_S) {
		s.v[s.n] = sim_object(&s, 20000, 0, 0, 0, t);
		s.rewrites[s.n++] = 0;
		while (t % (10 * NS_PER_S) == 0 && sim_merge(&s, t))
			;
		most_objects = MAX(most_objects, s.n);
	}
	assert_true(s.most <= 10);
	assert_true(most_objects < 24 + 8 + 4 * 8);
	while (sim_merge(&s, MIDNIGHT + NS_PER_DAY + 11 * NS_PER_MIN))
		;
	assert_int_equal(s.n, 1);
	assert_int_equal(s.v[0]->object.level, LEVEL_DAY);
	assert_true(s.most <= 11);
	print_message("at most %u times, at most %zu objects\n", s.most, most_objects);
	live_unref(s.v[0]);
}

/* Late data, a segment an hour for a month: the day is merged again only when it has grown by half. */
static void late_data_is_merged_by_size(void **state)
{
	(void)state;
	static struct sim s;
	s = (struct sim){ 0 };
	s.v[s.n++] = sim_object(&s, 1 << 20, LEVEL_DAY, MIDNIGHT, MIDNIGHT + 1, 0);
	unsigned days = 0;
	for (int64_t t = MIDNIGHT + 2 * NS_PER_DAY; t < MIDNIGHT + 32 * NS_PER_DAY; t += NS_PER_HOUR) {
		s.v[s.n] = sim_object(&s, 20000, 0, 0, 0, t - NS_PER_MIN);
		s.rewrites[s.n++] = 0;
		while (sim_merge(&s, t))
			days += s.v[s.n - 1]->object.level == LEVEL_DAY;
		assert_true(s.n < 20);
	}
	assert_true(days >= 3 && days <= 8); /* 1 MiB to 15 MB by halves */
	for (size_t i = 0; i < s.n; i++)
		live_unref(s.v[i]);
}

/* ---- hours ---- */

static void hours_are_cut_at_their_ends(void **state)
{
	(void)state;
	struct world w;
	struct view *v;
	world_init(&w);
	struct db *db = world_open(&w);
	int64_t now;
	assert_int_equal(store_now(w.mem, &now, NULL), 0);
	int64_t start = time_floor(now, NS_PER_DAY) + NS_PER_DAY; /* a day that has just begun, by the store */
	store_mem_advance(w.mem, start + 3 * NS_PER_HOUR + 5 * NS_PER_MIN - now);
	for (int i = 0; i < 36; i++)
		assert_int_equal(write_one(db, "a", start + i * 5 * NS_PER_MIN, i, NULL), 0);
	assert_int_equal(write_one(db, "a", start + 3 * NS_PER_HOUR + NS_PER_MIN, 99, NULL), 0);
	assert_int_equal(pass(db, false, NULL), 0);
	assert_int_equal(pass(db, false, NULL), 0);
	assert_int_equal(db_view(db, 0, &v, NULL), 0);
	size_t levels[4] = { 0 };
	for (size_t i = 0; i < view_objects(v); i++)
		levels[view_object(v, i)->level]++;
	assert_int_equal(levels[LEVEL_HOUR], 3);
	assert_int_equal(levels[LEVEL_RECENT], 1);
	view_unref(v);
	assert_int_equal(count_profiles(db, "a", 0), 37);
	assert_clean(db); /* bases do not overlap */
	db_close(db);
	world_done(&w);
}

/* ---- memory ---- */

enum { MANY = 3000 };

/* One segment of many profiles over the whole day. */
static void write_many(struct db *db, int64_t start, int64_t value)
{
	static struct profile profiles[MANY];
	static struct db_write writes[MANY];
	struct error err = { 0 };
	for (int i = 0; i < MANY; i++) {
		simple_profile(&profiles[i], start + i * (NS_PER_DAY / MANY), value + i);
		writes[i] = (struct db_write){ .profile = &profiles[i], .service = STR("a"), .salt = STR("file") };
	}
	if (db_write(db, writes, MANY, NULL, &err))
		fail_msg("%s", err.text);
	for (int i = 0; i < MANY; i++)
		profile_done(&profiles[i]);
}

static uint64_t merges_within(struct db *db, size_t memory)
{
	struct compactor *c;
	struct compact_report report = { 0 };
	struct error err = { 0 };
	assert_int_equal(compactor_new(db, &(struct compact_options){ .settle = true, .memory = memory }, &c), 0);
	if (compactor_pass(c, &report, &err))
		fail_msg("%s", err.text);
	compactor_free(c);
	return report.merges;
}

/* The least memory that a day can be merged with cuts it by time; each part bears rollups, and all of it is settled. */
static void a_day_that_takes_too_much_memory_is_cut_by_time(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	struct db *db = world_open(&w);
	int64_t now;
	assert_int_equal(store_now(w.mem, &now, NULL), 0);
	int64_t start = time_floor(now, NS_PER_DAY) - NS_PER_DAY;
	write_many(db, start, 0);
	write_many(db, start, MANY);
	size_t memory = (size_t)64 << 10;
	while (!merges_within(db, memory))
		memory += memory / 8;
	struct view *v;
	struct parts parts;
	struct str name = STR("a");
	assert_int_equal(db_view(db, 0, &v, NULL), 0);
	assert_in_range(view_objects(v), 2, 32);
	assert_int_equal(view_parts(v, &name, INT32_MIN, INT32_MAX, NULL, &parts, NULL), 0);
	for (size_t i = 0; i < parts.n; i++)
		assert_true(dataset_info(parts.v[i].dataset)->has_rollups);
	parts_done(&parts);
	view_unref(v);
	assert_int_equal(count_profiles(db, "a", 0), 2 * MANY);
	assert_clean(db); /* bases do not overlap */
	assert_int_equal(merges_within(db, memory), 0);
	db_close(db);
	world_done(&w);
}

/* ---- deletion ---- */

static size_t delete(struct db *db, const char *service, const char *type, const struct ulid *id)
{
	struct str name = str_of(service), t = str_of(type ? type : "");
	struct db_which which = { .service = &name, .from_day = INT32_MIN, .to_day = INT32_MAX, .id = id,
		                  .type = type ? &t : NULL };
	struct db_deleted n = { 0 };
	struct error err = { 0 };
	int r = db_delete(db, &which, false, &n, &err);
	if (r < 0)
		fail_msg("%s", error_text(&err, r));
	return n.profiles;
}

static void what_is_deleted_is_gone_for_every_reader_and_may_come_again(void **state)
{
	(void)state;
	for (int compacted = 0; compacted < 2; compacted++) {
		struct world w;
		struct db_written one, again;
		world_init(&w);
		struct db *db = world_open(&w), *reader = world_open(&w), *writer = world_open(&w);
		write_some(db, "a", 0, 5);
		write_some(writer, "b", 0, 4);
		assert_int_equal(write_one(db, "a", T0 + NS_PER_HOUR, 7, &one), 0);
		if (compacted)
			settle(db);
		assert_int_equal(count_profiles(reader, NULL, 0), 10);
		assert_int_equal(delete(db, "a", NULL, &one.id), 1);
		assert_int_equal(count_profiles(db, NULL, 3600 * NS_PER_S), 9);
		assert_int_equal(count_profiles(reader, NULL, 0), 9);
		assert_int_equal(write_one(writer, "a", T0 + NS_PER_HOUR, 7, &again), 0);
		assert_false(again.duplicate);
		assert_int_equal(count_profiles(reader, "a", 0), 6);
		assert_int_equal(delete(db, "b", "samples", NULL), 0);
		assert_int_equal(delete(db, "b", "cpu", NULL), 4);
		assert_false(db_has_service(reader, STR("b"), 0));
		assert_int_equal(delete(db, "a", NULL, NULL), 6);
		assert_int_equal(count_objects(reader), 0);
		collect_all_of(&w, db);
		assert_int_equal(count_keys(&w, "default/seg/") + count_keys(&w, "default/blk/"), 0);
		assert_clean(reader);
		db_close(db);
		db_close(reader);
		db_close(writer);
		world_done(&w);
	}
}

/* Every store call of a deletion fails once: then all of it is there or none, and it can be repeated. */
static void any_call_of_a_deletion_may_fail(void **state)
{
	(void)state;
	static const enum fault faults[] = { FAULT_BEFORE, FAULT_AFTER, FAULT_TIMEOUT };
	for (size_t f = 0; f < ARRAY_SIZE(faults); f++) {
		bool reached = true;
		for (uint64_t at = 1; reached; at++) {
			struct world w;
			struct str a = STR("a");
			struct db_which which = { .service = &a, .from_day = INT32_MIN, .to_day = INT32_MAX };
			struct db_deleted n;
			world_init(&w);
			struct db *db = world_open(&w);
			write_some(db, "a", 0, 3);
			write_some(db, "b", 0, 2);
			settle(db);
			write_some(db, "a", 50, 2);
			store_fault_set(w.store, &(struct fault_plan){ .fault = faults[f], .at = at });
			uint64_t before = store_fault_calls(w.store);
			(void)db_delete(db, &which, false, &n, NULL);
			reached = store_fault_calls(w.store) - before >= at;
			store_fault_set(w.store, &(struct fault_plan){ 0 });
			struct db *other = world_open(&w);
			size_t left = count_profiles(other, "a", 0);
			assert_true(left == 0 || left == 5);
			assert_int_equal(count_profiles(other, "b", 0), 2);
			assert_int_equal(delete(other, "a", NULL, NULL), left);
			assert_int_equal(count_profiles(other, NULL, 0), 2);
			collect_all_of(&w, other);
			assert_clean(other);
			db_close(other);
			db_close(db);
			world_done(&w);
		}
	}
}

/* ---- settings and retention ---- */

static void settings_are_changed_member_by_member(void **state)
{
	(void)state;
	struct world w;
	struct buf out = BUF_INIT(LIMIT);
	uint64_t first, second;
	world_init(&w);
	struct db *x = world_open(&w), *y = world_open(&w);
	assert_int_equal(settings_get(x, "rules", 0, &out, &first, NULL), 0);
	assert_int_equal(out.len, 0);
	assert_int_equal(settings_set(x, "rules", STR("[1, 2]"), NULL), 0);
	assert_int_equal(settings_set(y, "relabel", STR("{\"a\":true}"), NULL), 0);
	assert_int_equal(settings_set(x, "bad", STR("{"), NULL), -EINVAL);
	assert_int_equal(settings_get(y, "rules", 0, &out, &second, NULL), 0);
	assert_true(out.len == 5 && !memcmp(out.data, "[1,2]", 5));
	assert_true(second > first);
	assert_int_equal(retention_set(y, NULL, &(struct retention){ 30, 5000 }, NULL), 0);
	assert_int_equal(retention_set(x, "cart", &(struct retention){ 7, 0 }, NULL), 0);
	struct retentions r;
	assert_int_equal(retention_get(x, 0, &r, NULL), 0);
	assert_true(r.store.days == 30 && r.store.bytes == 5000 && r.services.n == 1 && r.services.v[0].r.days == 7);
	retentions_done(&r);
	buf_reset(&out);
	assert_int_equal(settings_get(x, "relabel", 0, &out, NULL, NULL), 0);
	assert_true(out.len == 10);
	uint64_t calls = store_fault_calls(w.store);
	assert_int_equal(settings_get(x, "relabel", NS_PER_MIN, &out, NULL, NULL), 0);
	assert_int_equal(store_fault_calls(w.store), calls);
	buf_done(&out);
	db_close(x);
	db_close(y);
	world_done(&w);
}

static void a_text_is_kept_while_it_reads_as_the_value(void **state)
{
	(void)state;
	struct world w;
	struct buf out = BUF_INIT(LIMIT);
	struct str text = STR("[ 1,\n  2 ] ");
	world_init(&w);
	struct db *x = world_open(&w);
	assert_int_equal(settings_set_text(x, "rules", text, NULL), 0);
	assert_int_equal(settings_set_text(x, "rules", STR("[1"), NULL), -EINVAL);
	assert_int_equal(settings_get_text(x, "rules", 0, &out, NULL), 0);
	assert_true(out.len == text.len && !memcmp(out.data, text.s, text.len));
	buf_reset(&out);
	assert_int_equal(settings_get(x, "rules", 0, &out, NULL, NULL), 0);
	assert_true(out.len == 5 && !memcmp(out.data, "[1,2]", 5));
	/* A program that knows no texts changes the value. */
	_free_ char *kept = strdup("\"[ 1,\\n  2 ] \"");
	assert_int_equal(settings_set(x, "rules", STR("[3]"), NULL), 0);
	assert_int_equal(settings_set(x, "rules_text", str_of(kept), NULL), 0);
	buf_reset(&out);
	assert_int_equal(settings_get_text(x, "rules", 0, &out, NULL), 0);
	assert_true(out.len == 4 && !memcmp(out.data, "[3]\n", 4));
	assert_int_equal(settings_set_text(x, "rules", STR(""), NULL), 0);
	buf_reset(&out);
	assert_int_equal(settings_get_text(x, "rules", 0, &out, NULL), 0);
	assert_int_equal(settings_get(x, "rules_text", 0, &out, NULL, NULL), 0);
	assert_int_equal(out.len, 0);
	buf_done(&out);
	db_close(x);
	world_done(&w);
}

static void days_expire_by_age_and_by_size(void **state)
{
	(void)state;
	struct world w;
	world_init(&w);
	struct db *db = world_open(&w);
	int64_t now;
	assert_int_equal(store_now(w.mem, &now, NULL), 0);
	for (int day = 0; day < 10; day++) {
		assert_int_equal(write_one(db, "a", now - day * NS_PER_DAY, day, NULL), 0);
		assert_int_equal(write_one(db, "b", now - day * NS_PER_DAY, day, NULL), 0);
	}
	assert_int_equal(retention_set(db, NULL, &(struct retention){ .days = 6 }, NULL), 0);
	assert_int_equal(retention_set(db, "b", &(struct retention){ .days = 2 }, NULL), 0);
	settle(db);
	assert_int_equal(count_profiles(db, "a", 0), 7);
	assert_int_equal(count_profiles(db, "b", 0), 3);
	collect_all_of(&w, db);
	struct days days;
	assert_int_equal(db_days(db, STR("a"), 0, &days, NULL), 0);
	assert_int_equal(days.n, 7);
	days_done(&days);
	assert_clean(db);
	assert_int_equal(retention_set(db, NULL, &(struct retention){ .bytes = 1 }, NULL), 0);
	settle(db);
	assert_int_equal(count_profiles(db, NULL, 0), 2); /* today stays, whatever it takes */
	db_close(db);
	world_done(&w);
}

/* ---- check ---- */

static char found_what[512];

static void note_finding(void *ctx, const char *key, const char *what)
{
	(void)ctx;
	snprintf(found_what, sizeof found_what, "%s: %s", key, what);
}

static int check(struct world *w, bool repair)
{
	struct error err = { 0 };
	struct db *db = world_open(w);
	found_what[0] = '\0';
	int n = db_check(db, repair, note_finding, NULL, &err);
	if (n < 0)
		fail_msg("%s", err.text);
	db_close(db);
	return n;
}

static int first_key(void *ctx, const char *key, const struct store_stat *st)
{
	(void)st;
	snprintf(ctx, 256, "%s", key);
	return ERR_CANCELLED;
}

static void read_all(struct world *w, const char *prefix, char key[256], struct buf *out)
{
	assert_int_equal(store_list(w->mem, prefix, NULL, 0, first_key, key, NULL), ERR_CANCELLED);
	buf_reset(out);
	assert_int_equal(store_get(w->mem, key, LIMIT, out, NULL), 0);
}

static void world_with_a_block(struct world *w)
{
	world_init(w);
	struct db *db = world_open(w);
	write_some(db, "a", 0, 5);
	settle(db);
	collect_all_of(w, db);
	db_close(db);
	assert_int_equal(check(w, false), 0);
}

static void expect_found(struct world *w, const char *key, const char *what)
{
	assert_true(check(w, false) >= 1);
	if (!strstr(found_what, key) || !strstr(found_what, what))
		fail_msg("found: %s", found_what);
}

static void damage_is_found_and_named(void **state)
{
	(void)state;
	static const char *const prefixes[] = { "default/blk/", "default/cat/" };
	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		struct world w;
		struct buf bytes = BUF_INIT(LIMIT);
		char key[256];
		world_with_a_block(&w);
		read_all(&w, prefixes[i], key, &bytes);
		for (size_t at = 40; at < bytes.len; at += bytes.len / 9 + 1) { /* flipped bits */
			bytes.data[at] ^= 4;
			assert_int_equal(store_put(w.mem, key, buf_slice(&bytes), NULL), 0);
			expect_found(&w, key, "");
			bytes.data[at] ^= 4;
		}
		assert_int_equal(store_put(w.mem, key, (struct slice){ bytes.data, bytes.len / 2 }, NULL), 0);
		expect_found(&w, key, "");
		assert_int_equal(store_remove(w.mem, key, NULL), 0);
		if (i == 0)
			expect_found(&w, key, "missing");
		assert_int_equal(store_put(w.mem, key, buf_slice(&bytes), NULL), 0);
		assert_int_equal(check(&w, false), 0);
		buf_done(&bytes);
		world_done(&w);
	}
}

static void an_orphan_is_found_and_condemned(void **state)
{
	(void)state;
	struct world w;
	struct buf bytes = BUF_INIT(LIMIT);
	char key[256];
	world_with_a_block(&w);
	read_all(&w, "default/blk/", key, &bytes);
	key[strlen(key) - 1] = key[strlen(key) - 1] == '0' ? '1' : '0';
	assert_int_equal(store_put(w.mem, key, buf_slice(&bytes), NULL), 0);
	assert_int_equal(check(&w, false), 0); /* it may be on its way to a commit */
	world_advance(&w, 16 * NS_PER_MIN);
	expect_found(&w, key, "orphan");
	assert_int_equal(check(&w, true), 1);
	assert_int_equal(check(&w, false), 0);
	struct db *db = world_open(&w);
	collect_all_of(&w, db);
	assert_int_equal(count_keys(&w, "default/blk/"), 1);
	assert_int_equal(count_profiles(db, NULL, 0), 5);
	db_close(db);
	buf_done(&bytes);
	world_done(&w);
}

/* Puts a version that no commit would make. */
static void put_version(struct world *w, struct catalog_version *v)
{
	struct buf b = BUF_INIT(LIMIT);
	assert_int_equal(catalog_encode(v, &b), 0);
	char *key = key_catalog("default", time_day(T0), v->version);
	assert_int_equal(store_put_if_absent(w->mem, key, buf_slice(&b), NULL), 0);
	free(key);
	buf_done(&b);
}

static void catalogs_that_lie_are_found(void **state)
{
	(void)state;
	struct world w;
	char key[256], other[256];
	struct buf bytes = BUF_INIT(LIMIT), records = BUF_INIT(LIMIT);
	struct ulid u;
	world_with_a_block(&w);
	read_all(&w, "default/blk/", key, &bytes);
	snprintf(other, sizeof other, "%s", key);
	other[strlen(other) - 1] = other[strlen(other) - 1] == '0' ? '1' : '0';
	assert_int_equal(store_put(w.mem, other, buf_slice(&bytes), NULL), 0);
	assert_true(ulid_parse(strrchr(other, '/') + 1, ULID_LEN, &u));
	struct dataset_info info = { .service = STR("a"), .profiles = 3, .min_time = T0, .max_time = T0 + NS_PER_HOUR,
		                     .has_rollups = true };
	catalog_put_service(&records, &info);
	struct db *db = world_open(&w);
	struct look look;
	assert_int_equal(look_at(db, time_day(T0), &look, NULL), 0);
	struct catalog_version v = { .version = look.state->version + 1 };
	PUSH(&v.added, (struct catalog_block){ u, bytes.len, LEVEL_DAY, buf_slice(&records) });
	put_version(&w, &v);
	VEC_DONE(&v.added);
	assert_true(check(&w, false) >= 1);
	expect_found(&w, "", "rollups of service a overlap");
	look_done(&look);
	db_close(db);
	/* a version whose predecessors are missing */
	v = (struct catalog_version){ .version = v.version + 5 };
	put_version(&w, &v);
	expect_found(&w, "cat/", "lacks versions");
	buf_done(&bytes);
	buf_done(&records);
	world_done(&w);
}

static void wrong_markers_are_found_and_repaired(void **state)
{
	(void)state;
	struct world w;
	struct slice name = { (const uint8_t *)"ghost", 5 };
	world_with_a_block(&w);
	char *marker = key_marker("default", STR("ghost"), time_day(T0));
	assert_int_equal(store_put(w.mem, marker, name, NULL), 0);
	expect_found(&w, marker, "nothing on that day");
	assert_int_equal(check(&w, true), 1);
	assert_int_equal(check(&w, false), 0);
	free(marker);
	world_done(&w);
}

/* ---- in the background, and what a view costs ---- */

static void an_idle_store_is_sent_no_request_and_a_busy_one_is_compacted(void **state)
{
	(void)state;
	struct world w;
	struct background *b;
	struct background_status s = { 0 };
	world_init(&w);
	struct db *db = world_open(&w), *writer = world_open(&w);
	assert_int_equal(background_start(db, &(struct compact_options){ 0 }, &b), 0);
	uint64_t calls = store_fault_calls(w.store);
	write_some(writer, "a", 0, 9); /* another process: nobody here has heard of it */
	calls = store_fault_calls(w.store);
	usleep(300000);
	assert_int_equal(store_fault_calls(w.store), calls);
	assert_int_equal(count_profiles(db, NULL, 0), 9); /* now it has */
	for (int i = 0; i < 100 && !s.merges; i++) {
		usleep(100000);
		background_status(b, &s);
	}
	assert_int_equal(s.merges, 1);
	assert_string_equal(s.error, "");
	assert_int_equal(count_objects(writer), 1);
	background_stop(b);
	db_close(db);
	db_close(writer);
	world_done(&w);
}

static int take_info(void *ctx, const struct object *object, const struct dataset_info *info)
{
	(void)object;
	*(uint64_t *)ctx += info->profiles;
	return 0;
}

/* A year of days: a second view costs two LISTs, and what the catalog knows costs nothing. */
static void a_view_of_a_year_is_cheap(void **state)
{
	(void)state;
	struct world w;
	uint64_t profiles = 0;
	world_init(&w);
	struct db *db = world_open(&w), *reader = world_open(&w);
	for (int day = 0; day < 365; day++)
		assert_int_equal(write_one(db, "a", T0 + day * NS_PER_DAY, day, NULL), 0);
	settle(db);
	uint64_t calls = store_fault_calls(w.store);
	assert_int_equal(count_objects(reader), 365);
	assert_int_equal(store_fault_calls(w.store), calls + 2 + 365); /* each catalog once */
	calls = store_fault_calls(w.store);
	assert_int_equal(count_objects(reader), 365);
	assert_int_equal(store_fault_calls(w.store), calls + 2);
	struct view *v;
	struct str a = STR("a");
	assert_int_equal(db_view(reader, NS_PER_HOUR, &v, NULL), 0);
	assert_int_equal(view_infos(v, &a, INT32_MIN, INT32_MAX, take_info, &profiles, NULL), 0);
	assert_int_equal(profiles, 365);
	assert_int_equal(store_fault_calls(w.store), calls + 2);
	view_unref(v);
	db_close(db);
	db_close(reader);
	world_done(&w);
}

static void a_store_that_nobody_compacts_is_late(void **state)
{
	(void)state;
	struct world w;
	struct db_lag lag;
	world_init(&w);
	struct db *db = world_open(&w);
	write_some(db, "a", 0, 2);
	assert_int_equal(db_lag(db, &lag, NULL), 0);
	assert_true(lag.segments == 2 && lag.age < COMPACTION_LATE);
	world_advance(&w, 6 * NS_PER_MIN);
	db_lag_known(db, &lag);
	assert_true(lag.age > COMPACTION_LATE);
	assert_int_equal(db_lag(db, &lag, NULL), 0);
	assert_true(lag.age > COMPACTION_LATE);
	settle(db);
	assert_int_equal(db_lag(db, &lag, NULL), 0);
	assert_true(!lag.segments && !lag.age);
	db_close(db);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_profile_is_rewritten_a_bounded_number_of_times),
		cmocka_unit_test(late_data_is_merged_by_size),
		cmocka_unit_test(hours_are_cut_at_their_ends),
		cmocka_unit_test(a_day_that_takes_too_much_memory_is_cut_by_time),
		cmocka_unit_test(what_is_deleted_is_gone_for_every_reader_and_may_come_again),
		cmocka_unit_test(any_call_of_a_deletion_may_fail),
		cmocka_unit_test(settings_are_changed_member_by_member),
		cmocka_unit_test(a_text_is_kept_while_it_reads_as_the_value),
		cmocka_unit_test(days_expire_by_age_and_by_size),
		cmocka_unit_test(damage_is_found_and_named),
		cmocka_unit_test(an_orphan_is_found_and_condemned),
		cmocka_unit_test(catalogs_that_lie_are_found),
		cmocka_unit_test(wrong_markers_are_found_and_repaired),
		cmocka_unit_test(an_idle_store_is_sent_no_request_and_a_busy_one_is_compacted),
		cmocka_unit_test(a_view_of_a_year_is_cheap),
		cmocka_unit_test(a_store_that_nobody_compacts_is_late),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

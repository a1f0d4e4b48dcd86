/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include "../reads.h"
#include "core/db/compact.h"

/* What paths cost: which ranges of the store are read for them. */

#define DAY "2026-11-22"

static void open_counted(struct fixture *f)
{
	struct error err = { 0 };
	struct store *mem;
	assert_int_equal(store_mem_new(&mem), 0);
	f->store = reads_new(mem);
	assert_int_equal(db_open(f->store, &(struct db_options){ .threads = 2 }, &f->db, &err), 0);
	assert_int_equal(tree_new(f->db, &(struct tree_options){ .now = fixed_now }, &f->tree, &err), 0);
	assert_int_equal(tree_add_service(f->tree, "shop", NULL), 0);
}

/* A process that begins: it knows nothing of what was read before. */
static void reopen(struct fixture *f)
{
	struct error err = { 0 };
	tree_free(f->tree);
	db_close(f->db);
	assert_int_equal(db_open(f->store, &(struct db_options){ .threads = 2 }, &f->db, &err), 0);
	assert_int_equal(tree_new(f->db, &(struct tree_options){ .now = fixed_now }, &f->tree, &err), 0);
	reads_forget(f->store);
}

static void compact_all(struct fixture *f)
{
	_cleanup_(compactor_freep) struct compactor *c = NULL;
	struct compact_report report = { 0 };
	struct error err = { 0 };
	assert_int_equal(compactor_new(f->db, &(struct compact_options){ .settle = true }, &c), 0);
	assert_int_equal(compactor_pass(c, &report, &err), 0);
	assert_true(report.merges > 0);
}

static void put(struct fixture *f, struct bulk *bulk, const char *dir, const struct making *m)
{
	_buf_ struct buf b = BUF_INIT(16 << 20);
	struct ingest_result res = { 0 };
	make_pprof(m, &b);
	assert_int_equal(put_file(f, dir, "x.pb.gz", buf_slice(&b), &(struct ingest_options){ .bulk = bulk }, &res, NULL), 0);
}

/* Of 400 stacks, with values that do not compress: what is read must be more than an object's end, which comes first. */
static const char *make_stacks(uint32_t *seed, int grow, char *ret, size_t max)
{
	size_t at = 0;
	for (int i = 0; i < 400; i++) {
		*seed = *seed * 1664525 + 1013904223;
		at += (size_t)snprintf(ret + at, max - at, "%smain;f%d;g%d %u", i ? "," : "", i % 20, i, grow + (*seed >> 14));
	}
	return ret;
}

/*
 * Two segments, of three hours of two pods: CPU profiles, whose hours are worth summing up, and heap profiles, totals
 * and states.
 */
static void fill(struct fixture *f)
{
	static char stacks[400 * 40];
	uint32_t seed = 1;
	for (int half = 0; half < 2; half++) {
		_cleanup_(bulk_freep) struct bulk *bulk = NULL;
		assert_int_equal(bulk_new(f->db, 0, &bulk), 0);
		for (int i = 0; i < 45; i++) {
			int64_t time = NOW - (4 * 3600 - (half * 45 + i) * 120) * NS_PER_S;
			struct making cpu = { "samples count,cpu nanoseconds", make_stacks(&seed, 0, stacks, sizeof stacks),
				              i % 3 ? NULL : "route /a", time, 10 * NS_PER_S, 77 };
			put(f, bulk, i % 2 ? "/shop/pod=a" : "/shop/pod=b", &cpu);
			struct making heap = { "alloc_objects count,alloc_space bytes,inuse_objects count,inuse_space bytes",
				               make_stacks(&seed, (half * 45 + i) << 18, stacks, sizeof stacks), NULL, time, 0, 77 };
			put(f, bulk, i % 2 ? "/shop/pod=a" : "/shop/pod=b", &heap);
		}
		assert_int_equal(bulk_flush(bulk, NULL), 0);
	}
}

static void render_each(struct fixture *f, const char *dir)
{
	_free_ char *names = list_of(f, dir);
	char *save = NULL;
	size_t n = 0;
	for (char *name = strtok_r(names, "\n", &save); name; name = strtok_r(NULL, "\n", &save)) {
		char path[512];
		if (strpbrk(name, "/@"))
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, name);
		content_unref(must_render(f, path));
		n++;
	}
	assert_true(n > 15);
}

static void assert_once(struct fixture *f, const char *dir)
{
	struct reads *r = reads_of(f->store);
	for (size_t i = 0; i < r->v.n; i++)
		if (r->v.v[i].times != 1)
			fail_msg("%s: %u reads of %s at %llu, %zu bytes", dir, r->v.v[i].times, r->v.v[i].key,
			         (unsigned long long)r->v.v[i].off, r->v.v[i].len);
	assert_true(r->n > 0);
}

/* Lists the directory as `ls -l` does, reads all its files, and again. */
static void all_files_once(struct fixture *f, const char *dir)
{
	reopen(f);
	render_each(f, dir);
	assert_once(f, dir);
	reads_forget(f->store);
	render_each(f, dir);
	if (reads_of(f->store)->n)
		fail_msg("%s: %llu reads for what is known", dir, (unsigned long long)reads_of(f->store)->n);
}

static void each_directory_once(struct fixture *f)
{
	static const char *const dirs[] = {
		"/shop/" DAY "/cpu",         "/shop/" DAY "/alloc_space",          "/shop/" DAY "/inuse_space",
		"/shop/" DAY "/cpu/pod=a",   "/shop/" DAY "/alloc_space/pod=b",    "/@all/" DAY "/cpu",
		"/shop/" DAY "T1030--" DAY "T1200/cpu",
	};
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
		all_files_once(f, dirs[i]);
}

static void all_files_of_a_directory_read_each_range_once(void **state)
{
	struct fixture f;
	open_counted(&f);
	fill(&f);
	each_directory_once(&f);
	all_files_once(&f, "/shop/" DAY "/cpu/@focus=hash");
	all_files_once(&f, "/shop/" DAY "/alloc_space/@focus=work");
	close_fixture(&f);
}

static void and_so_they_do_after_compaction(void **state)
{
	struct fixture f;
	open_counted(&f);
	fill(&f);
	compact_all(&f);
	each_directory_once(&f);
	close_fixture(&f);
}

static uint64_t bytes_of(struct fixture *f, const char *path)
{
	content_unref(must_render(f, path));
	return reads_of(f->store)->bytes;
}

/* Whoever wants one file does not pay for the others. */
static void one_file_reads_no_more_than_it_needs(void **state)
{
	struct fixture f;
	open_counted(&f);
	fill(&f);
	reopen(&f);
	uint64_t alone = bytes_of(&f, "/shop/" DAY "/alloc_space/flamegraph.svg");
	reopen(&f);
	free(list_of(&f, "/shop/" DAY "/alloc_space"));
	assert_true(alone < bytes_of(&f, "/shop/" DAY "/alloc_space/flamegraph.svg"));
	close_fixture(&f);
}

static uint64_t reads_in(struct fixture *f, const char *folder)
{
	struct reads *r = reads_of(f->store);
	uint64_t n = 0;
	for (size_t i = 0; i < r->v.n; i++)
		n += strstr(r->v.v[i].key, folder) ? r->v.v[i].times : 0;
	return n;
}

/* Looks up what a directory lists and is no file, as `ls -l` does. */
static void look_at_folders(struct fixture *f, const char *dir)
{
	_free_ char *names = list_of(f, dir);
	char *save = NULL;
	for (char *name = strtok_r(names, "\n", &save); name; name = strtok_r(NULL, "\n", &save)) {
		char path[512];
		if (!strchr(name, '/'))
			continue;
		snprintf(path, sizeof path, "%s/%s", dir, name);
		node_unref(must_walk(f, path, false));
	}
}

static void folders_of_days_open_no_block(void **state)
{
	static const char *const dirs[] = { "/", "/shop", "/shop/" DAY, "/shop/all", "/shop/2026-11", "/@all/" DAY };
	struct fixture f;
	open_counted(&f);
	fill(&f);
	compact_all(&f);
	for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
		reopen(&f);
		look_at_folders(&f, dirs[i]);
		if (reads_in(&f, "/blk/"))
			fail_msg("%s: %llu reads of blocks", dirs[i], (unsigned long long)reads_in(&f, "/blk/"));
	}
	close_fixture(&f);
}

/* The same names come from a plan, which a matcher that always holds asks for. */
static void what_catalogs_say_is_what_plans_say(void **state)
{
	static const char *const dirs[] = { "/shop/" DAY, "/shop/all", "/@all/" DAY };
	struct fixture f;
	open_counted(&f);
	fill(&f);
	for (int compacted = 0; compacted < 2; compacted++) {
		for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
			char path[128];
			snprintf(path, sizeof path, "%s/nobody!=x", dirs[i]);
			_free_ char *known = list_of(&f, dirs[i]), *planned = list_of(&f, path);
			assert_string_equal(known, planned);
			assert_non_null(strstr(known, "alloc_space/\n"));
			assert_non_null(strstr(known, "by-route/\n"));
		}
		if (!compacted)
			compact_all(&f);
	}
	close_fixture(&f);
}

/* Where rollups answer, the labels of a type are known without rows; how many profiles have a value is not. */
static void labels_of_a_type_need_no_rows(void **state)
{
	struct fixture f;
	open_counted(&f);
	fill(&f);
	compact_all(&f);
	reopen(&f);
	free(list_of(&f, "/shop/" DAY "/cpu"));
	uint64_t list = reads_in(&f, "/blk/");
	free(list_of(&f, "/shop/" DAY "/cpu/by-pod"));
	assert_true(list > 0 && reads_in(&f, "/blk/") > list);
	reads_forget(f.store);
	look_at_folders(&f, "/shop/" DAY "/cpu");
	look_at_folders(&f, "/shop/" DAY "/cpu/by-pod");
	assert_int_equal(reads_in(&f, "/blk/"), 0);
	close_fixture(&f);
}

/* The i-th of the files in profiles/ of a day. */
static void profile_path(struct fixture *f, size_t i, char *ret, size_t max)
{
	_free_ char *names = list_of(f, "/shop/" DAY "/profiles");
	char *save = NULL, *name = strtok_r(names, "\n", &save);
	while (i-- > 0)
		name = strtok_r(NULL, "\n", &save);
	snprintf(ret, max, "/shop/" DAY "/profiles/%s", name);
}

/* Where the tables of its block are known. The second is of the same row group as the first or of another. */
static void one_profile_is_one_small_read(void **state)
{
	char path[3][256];
	struct fixture f;
	open_counted(&f);
	fill(&f);
	compact_all(&f);
	for (size_t i = 0; i < 3; i++)
		profile_path(&f, 3 + 70 * i, path[i], sizeof path[i]);
	reopen(&f);
	uint64_t all = bytes_of(&f, path[0]);
	for (size_t i = 1; i < 3; i++) {
		reads_forget(f.store);
		uint64_t bytes = bytes_of(&f, path[i]);
		assert_in_range(reads_of(f.store)->n, 0, 1);
		assert_true(bytes < all && bytes < (100 << 10));
	}
	assert_int_equal(reads_of(f.store)->n, 1);
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_files_of_a_directory_read_each_range_once),
		cmocka_unit_test(and_so_they_do_after_compaction),
		cmocka_unit_test(one_file_reads_no_more_than_it_needs),
		cmocka_unit_test(folders_of_days_open_no_block),
		cmocka_unit_test(what_catalogs_say_is_what_plans_say),
		cmocka_unit_test(labels_of_a_type_need_no_rows),
		cmocka_unit_test(one_profile_is_one_small_read),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

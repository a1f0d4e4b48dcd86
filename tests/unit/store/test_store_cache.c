/* SPDX-License-Identifier: MIT */
#include "contract.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>

#define CHUNK ((size_t)128 << 10)

static char cache_dir[] = "/tmp/store-cache-XXXXXX";
static struct store_ops ops; /* the memory store's, with an identity */
static const char *identity = "one";

static bool is_immutable(const char *key)
{
	return strncmp(key, "seg/", 4) == 0;
}

static void put_identity(struct store *s, struct buf *out)
{
	buf_puts(out, identity);
}

static struct store *inner_new(void)
{
	struct store *s = NULL;
	assert_int_equal(store_mem_new(&s), 0);
	ops = *s->ops;
	ops.identity = put_identity;
	s->ops = &ops;
	return s;
}

static struct store *wrap(struct store *inner, const struct cache_options *opts)
{
	struct cache_options o = *opts;
	struct store *s = NULL;
	o.immutable = is_immutable;
	o.dir = cache_dir;
	assert_int_equal(store_cache_new(inner, &o, &s), 0);
	return s;
}

static struct store *contract_open(void)
{
	return wrap(inner_new(), &(struct cache_options){ 0 });
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return ftw->level ? remove(path) : 0;
}

static void clear_dir(void)
{
	nftw(cache_dir, remove_one, 20, FTW_DEPTH | FTW_PHYS);
}

static void contract_close(struct store *s)
{
	store_free(s);
	clear_dir();
}

/* --- */

static void put_object(struct store *s, const char *key, size_t n)
{
	_free_ uint8_t *data = malloc(n + 1);
	for (size_t i = 0; i < n; i++)
		data[i] = body_byte(i);
	assert_int_equal(store_put(s, key, (struct slice){ data, n }, NULL), 0);
}

static void assert_range(struct store *s, const char *key, uint64_t off, size_t n)
{
	_free_ uint8_t *out = malloc(n + 1);
	struct store_range r = { off, n, out };
	struct error err = { 0 };
	int e = store_read(s, key, &r, 1, &err);
	if (e < 0)
		fail_msg("%s: %s", key, error_text(&err, e));
	size_t wrong = 0;
	for (size_t i = 0; i < n; i++)
		wrong += out[i] != body_byte(off + i);
	assert_int_equal(wrong, 0);
}

static uint64_t reads_of(struct store *s)
{
	struct store_counts n;
	store_counters(s, &n);
	return n.get;
}

static void test_ranges_of_all_kinds(void **state)
{
	static const size_t sizes[] = { 1, 1000, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 5 * CHUNK + 77 };
	unsigned seed = 1;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		put_object(*state, "seg/x", sizes[i]);
		for (int n = 0; n < 60; n++) {
			uint64_t off = (uint64_t)rand_r(&seed) % sizes[i];
			assert_range(*state, "seg/x", off, (size_t)rand_r(&seed) % (sizes[i] - off) + 1);
		}
		contract_close(*state);
		*state = contract_open();
	}
}

static void test_many_ranges_at_once(void **state)
{
	enum { N = 50 };
	static uint8_t out[N][20000];
	struct store_range ranges[N];
	put_object(*state, "seg/x", 20 * CHUNK);
	for (size_t i = 0; i < N; i++)
		ranges[i] = (struct store_range){ i * 7919 * 13 % (20 * CHUNK - 20000), 20000, out[i] };
	assert_int_equal(store_read(*state, "seg/x", ranges, N, NULL), 0);
	assert_int_equal(reads_of(*state), 1);
	for (size_t i = 0; i < N; i++)
		for (size_t b = 0; b < 20000; b++)
			if (out[i][b] != body_byte(ranges[i].off + b))
				fail_msg("byte %zu of range %zu", b, i);
}

static void test_what_was_read_is_not_asked_for_again(void **state)
{
	put_object(*state, "seg/x", 3 * CHUNK + 5);
	assert_range(*state, "seg/x", CHUNK + 10, 5);
	assert_range(*state, "seg/x", CHUNK + 1, 12);
	assert_int_equal(reads_of(*state), 1);
	assert_range(*state, "seg/x", 3 * CHUNK - 100, 105);
	assert_int_equal(reads_of(*state), 2);
	assert_range(*state, "seg/x", 2 * CHUNK, CHUNK + 5);
	assert_int_equal(reads_of(*state), 2);
	assert_range(*state, "seg/x", CHUNK, CHUNK);
	assert_int_equal(reads_of(*state), 3);
	put_object(*state, "cat/x", 100);
	assert_range(*state, "cat/x", 0, 5);
	assert_range(*state, "cat/x", 0, 5);
	assert_int_equal(reads_of(*state), 5);
}

static void test_reads_past_the_end(void **state)
{
	uint8_t out[10];
	put_object(*state, "seg/x", CHUNK + 5);
	assert_range(*state, "seg/x", CHUNK, 5);
	for (int i = 0; i < 2; i++) {
		struct store_range r = { CHUNK, 6, out };
		assert_int_equal(store_read(*state, "seg/x", &r, 1, NULL), ERR_STORE_RANGE);
	}
	struct store_range none = { 0, 1, out };
	assert_int_equal(store_read(*state, "seg/none", &none, 1, NULL), ERR_STORE_NOT_FOUND);
	assert_range(*state, "seg/x", CHUNK, 5);
}

/* Another process: its own memory, the same directory. */
static void test_processes_share_the_directory(void **state)
{
	put_object(*state, "seg/x", 3 * CHUNK + 5);
	assert_range(*state, "seg/x", 0, 3 * CHUNK + 5);
	struct store *second = wrap(inner_new(), &(struct cache_options){ 0 });
	assert_range(second, "seg/x", 77, 3 * CHUNK - 77);
	assert_int_equal(reads_of(second), 0);
	store_free(second);
	identity = "two";
	struct store *other = wrap(inner_new(), &(struct cache_options){ 0 });
	identity = "one";
	uint8_t byte;
	struct store_range r = { 0, 1, &byte };
	assert_int_equal(store_read(other, "seg/x", &r, 1, NULL), ERR_STORE_NOT_FOUND);
	store_free(other);
}

static size_t damaged;

static int damage_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	if (type != FTW_F || ftw->level < 2)
		return 0;
	int fd = open(path, O_RDWR);
	uint8_t byte;
	off_t at = (off_t)(damaged * 7919 % (size_t)st->st_size);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 1;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	if (damaged++ % 3 == 0)
		assert_int_equal(ftruncate(fd, st->st_size / 2), 0);
	close(fd);
	return 0;
}

static void test_damaged_and_deleted_files_are_misses(void **state)
{
	struct store *inner = inner_new(), *s = wrap(inner, &(struct cache_options){ .memory = 1 });
	put_object(s, "seg/x", 9 * CHUNK);
	for (int i = 0; i < 5; i++) {
		assert_range(s, "seg/x", 0, 9 * CHUNK);
		uint64_t before = reads_of(s);
		assert_range(s, "seg/x", 0, 9 * CHUNK);
		assert_int_equal(reads_of(s), before);
		if (i < 3)
			nftw(cache_dir, damage_one, 20, FTW_PHYS);
		else
			clear_dir();
		assert_range(s, "seg/x", 0, 9 * CHUNK);
		assert_int_equal(reads_of(s), before + 1);
	}
	assert_true(damaged >= 9);
	contract_close(s);
}

static uint64_t taken;

static int add_size(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	taken += type == FTW_F ? (uint64_t)st->st_size : 0;
	return 0;
}

static void test_limits_hold(void **state)
{
	struct store *s = wrap(inner_new(), &(struct cache_options){ .disk = 2 << 20, .memory = CHUNK });
	char key[32];
	for (int i = 0; i < 60; i++) {
		snprintf(key, sizeof key, "seg/%d", i);
		put_object(s, key, CHUNK);
		assert_range(s, key, 0, CHUNK);
		taken = 0;
		nftw(cache_dir, add_size, 20, FTW_PHYS);
		if (taken > (2 << 20) + (2 << 20) / 8)
			fail_msg("%llu bytes after %d objects", (unsigned long long)taken, i);
	}
	assert_true(taken > 1 << 20);
	contract_close(s);
}

static void test_long_reads_pass_by(void **state)
{
	put_object(*state, "seg/x", 33 << 20);
	assert_range(*state, "seg/x", 0, 33 << 20);
	assert_range(*state, "seg/x", 0, 33 << 20);
	assert_int_equal(reads_of(*state), 2);
	taken = 0;
	nftw(cache_dir, add_size, 20, FTW_PHYS);
	assert_int_equal(taken, 0);
}

static void test_without_a_disk(void **state)
{
	struct store *s = wrap(inner_new(), &(struct cache_options){ .no_disk = true });
	put_object(s, "seg/x", 3 * CHUNK);
	assert_range(s, "seg/x", 5, 2 * CHUNK);
	assert_range(s, "seg/x", 6, 2 * CHUNK - 6);
	assert_int_equal(reads_of(s), 1);
	contract_close(s);
}

/* --- many at once --- */

struct reader {
	pthread_t thread;
	struct store *store;
	uint64_t off;
	uint8_t out[1000];
	int result;
};

static void *read_one(void *arg)
{
	struct reader *r = arg;
	struct store_range range = { r->off, sizeof r->out, r->out };
	r->result = store_read(r->store, "seg/x", &range, 1, NULL);
	return NULL;
}

static void read_by_many(struct store *s, struct reader *all, int n)
{
	for (int i = 0; i < n; i++) {
		all[i] = (struct reader){ .store = s, .off = (uint64_t)(i % 3) * 10 };
		assert_int_equal(pthread_create(&all[i].thread, NULL, read_one, &all[i]), 0);
	}
	for (int i = 0; i < n; i++)
		pthread_join(all[i].thread, NULL);
}

static struct store *slow_store(enum fault fault, struct store **ret_fault)
{
	static struct store_ops faulty;
	struct store *fault_store = NULL;
	assert_int_equal(store_fault_new(inner_new(), false, &fault_store), 0);
	faulty = *fault_store->ops;
	faulty.identity = put_identity;
	fault_store->ops = &faulty;
	*ret_fault = fault_store;
	struct store *s = wrap(fault_store, &(struct cache_options){ .no_disk = true });
	put_object(s, "seg/x", CHUNK);
	struct fault_plan plan = { .fault = fault, .at = 1, .kinds = 4, .delay_ns = 100 * NS_PER_MS };
	store_fault_set(fault_store, &plan);
	return s;
}

static void test_one_fetches_for_all(void **state)
{
	struct store *fault_store, *s = slow_store(FAULT_SLOW, &fault_store);
	struct reader all[12];
	read_by_many(s, all, 12);
	for (int i = 0; i < 12; i++) {
		assert_int_equal(all[i].result, 0);
		assert_int_equal(all[i].out[999], body_byte(all[i].off + 999));
	}
	/* One that came first with a shorter range makes the others fetch the longer one: one for each length. */
	assert_in_range(reads_of(s), 1, 3);
	contract_close(s);
}

static void test_a_failed_fetch_fails_one(void **state)
{
	struct store *fault_store, *s = slow_store(FAULT_BEFORE, &fault_store);
	struct reader all[12];
	read_by_many(s, all, 12);
	int failed = 0;
	for (int i = 0; i < 12; i++)
		failed += all[i].result < 0;
	assert_int_equal(failed, 1);
	assert_range(s, "seg/x", 0, CHUNK);
	contract_close(s);
}

static void *churn_reads(void *arg)
{
	struct reader *r = arg;
	unsigned seed = (unsigned)r->off;
	for (int i = 0; i < 300 && r->result == 0; i++) {
		uint64_t off = (uint64_t)rand_r(&seed) % (6 * CHUNK - sizeof r->out);
		struct store_range range = { off, sizeof r->out, r->out };
		r->result = store_read(r->store, "seg/x", &range, 1, NULL);
		for (size_t b = 0; b < sizeof r->out && r->result == 0; b++)
			r->result = r->out[b] == body_byte(off + b) ? 0 : -EBADMSG;
	}
	return NULL;
}

static void test_readers_and_evictions(void **state)
{
	struct store *s = wrap(inner_new(), &(struct cache_options){ .memory = 2 * CHUNK, .disk = 4 * CHUNK });
	struct reader all[8];
	put_object(s, "seg/x", 6 * CHUNK);
	for (int i = 0; i < 8; i++) {
		all[i] = (struct reader){ .store = s, .off = (uint64_t)i };
		assert_int_equal(pthread_create(&all[i].thread, NULL, churn_reads, &all[i]), 0);
	}
	for (int i = 0; i < 8; i++)
		pthread_join(all[i].thread, NULL);
	for (int i = 0; i < 8; i++)
		assert_int_equal(all[i].result, 0);
	contract_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTRACT_TESTS,
		CONTRACT_TEST(test_ranges_of_all_kinds),
		CONTRACT_TEST(test_many_ranges_at_once),
		CONTRACT_TEST(test_what_was_read_is_not_asked_for_again),
		CONTRACT_TEST(test_reads_past_the_end),
		CONTRACT_TEST(test_processes_share_the_directory),
		CONTRACT_TEST(test_damaged_and_deleted_files_are_misses),
		CONTRACT_TEST(test_limits_hold),
		CONTRACT_TEST(test_long_reads_pass_by),
		CONTRACT_TEST(test_without_a_disk),
		CONTRACT_TEST(test_one_fetches_for_all),
		CONTRACT_TEST(test_a_failed_fetch_fails_one),
		CONTRACT_TEST(test_readers_and_evictions),
	};
	if (!mkdtemp(cache_dir))
		return 1;
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	clear_dir();
	rmdir(cache_dir);
	return failed;
}

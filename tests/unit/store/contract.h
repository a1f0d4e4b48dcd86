/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What every store promises, as tests. Included by one test per back end, which defines contract_open(): a new, empty
 * store, set as *state by contract_setup(), and contract_close(), called by contract_teardown().
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/store/store.h"

/* What a store's now() may be off, and an object's time too. The kernel stamps files by a clock that lags a tick. */
#ifndef CONTRACT_CLOCK_NS
#define CONTRACT_CLOCK_NS (20 * NS_PER_MS)
#endif

#define RACERS 16
#define ROUNDS 20

static struct store *contract_open(void);
static void contract_close(struct store *s);

static int contract_setup(void **state)
{
	*state = contract_open();
	return 0;
}

static int contract_teardown(void **state)
{
	contract_close(*state);
	return 0;
}

static struct slice text(const char *s)
{
	return (struct slice){ (const uint8_t *)s, strlen(s) };
}

static void put_text(struct store *s, const char *key, const char *content)
{
	struct error err = { 0 };
	int r = store_put(s, key, text(content), &err);
	if (r < 0)
		fail_msg("put %s: %s", key, error_text(&err, r));
}

static void assert_content(struct store *s, const char *key, const void *data, size_t n)
{
	struct error err = { 0 };
	_buf_ struct buf out = BUF_INIT(64 << 20);
	int r = store_get(s, key, 64 << 20, &out, &err);
	if (r < 0)
		fail_msg("get %s: %s", key, error_text(&err, r));
	assert_int_equal(out.len, n);
	if (n)
		assert_memory_equal(out.data, data, n);
}

static void assert_text(struct store *s, const char *key, const char *content)
{
	assert_content(s, key, content, strlen(content));
}

static void assert_absent(struct store *s, const char *key)
{
	_buf_ struct buf out = BUF_INIT(100);
	struct error err = { 0 };
	assert_int_equal(store_get(s, key, 100, &out, &err), ERR_STORE_NOT_FOUND);
	assert_non_null(strstr(err.text, key));
	assert_int_equal(out.len, 0);
}

/* Keys as one string: "a b c/ ", rolled-up ones with their '/'. */
struct listing {
	struct buf out;
	size_t stop_after; /* 0: never */
	size_t n;
};

static int listing_add(void *ctx, const char *key, const struct store_stat *st)
{
	struct listing *l = ctx;
	size_t n = strlen(key);
	assert_int_equal(key[n - 1] == '/', st == NULL);
	buf_printf(&l->out, "%s ", key);
	return ++l->n == l->stop_after ? -ECANCELED : 0;
}

static void assert_list(struct store *s, const char *prefix, const char *after, char delimiter, const char *expected)
{
	struct listing l = { .out = BUF_INIT(16 << 20) };
	struct error err = { 0 };
	int r = store_list(s, prefix, after, delimiter, listing_add, &l, &err);
	if (r < 0)
		fail_msg("list %s: %s", prefix, error_text(&err, r));
	buf_u8(&l.out, 0);
	assert_string_equal((char *)l.out.data, expected);
	buf_done(&l.out);
}

/* --- one object --- */

static void test_put_is_read_back(void **state)
{
	put_text(*state, "a", "hello");
	assert_text(*state, "a", "hello");
	put_text(*state, "x/y/z", "deep");
	assert_text(*state, "x/y/z", "deep");
	put_text(*state, "x/y/w", "beside");
	assert_text(*state, "x/y/w", "beside");
	assert_text(*state, "x/y/z", "deep");
}

static void test_empty_object(void **state)
{
	struct store_range none = { 0, 0, NULL };
	assert_int_equal(store_put(*state, "empty", (struct slice){ NULL, 0 }, NULL), 0);
	assert_text(*state, "empty", "");
	assert_int_equal(store_read(*state, "empty", &none, 1, NULL), 0);
	assert_list(*state, "", NULL, 0, "empty ");
}

static void test_large_object(void **state)
{
	size_t n = (3 << 20) + 17;
	_free_ uint8_t *data = malloc(n);
	assert_non_null(data);
	for (size_t i = 0; i < n; i++)
		data[i] = (uint8_t)(i * 2654435761u >> 13);
	assert_int_equal(store_put(*state, "big", (struct slice){ data, n }, NULL), 0);
	assert_content(*state, "big", data, n);
}

static void test_put_again(void **state)
{
	put_text(*state, "a/b", "same");
	put_text(*state, "a/b", "same");
	assert_text(*state, "a/b", "same");
	assert_list(*state, "", NULL, 0, "a/b ");
}

static void test_missing_objects(void **state)
{
	struct error err = { 0 };
	uint8_t byte;
	struct store_range one = { 0, 1, &byte };
	put_text(*state, "a/b", "x");
	assert_absent(*state, "nothing");
	assert_absent(*state, "a");
	assert_absent(*state, "a/c");
	assert_absent(*state, "a/b/c");
	assert_int_equal(store_read(*state, "nothing", &one, 1, &err), ERR_STORE_NOT_FOUND);
	assert_non_null(strstr(err.text, "nothing"));
	assert_int_equal(store_read(*state, "nothing", NULL, 0, NULL), ERR_STORE_NOT_FOUND);
}

static void test_remove(void **state)
{
	put_text(*state, "a/b", "x");
	put_text(*state, "a/c", "y");
	assert_int_equal(store_remove(*state, "a/b", NULL), 0);
	assert_int_equal(store_remove(*state, "a/b", NULL), 0);
	assert_int_equal(store_remove(*state, "never/was/there", NULL), 0);
	assert_int_equal(store_remove(*state, "a", NULL), 0);
	assert_absent(*state, "a/b");
	assert_text(*state, "a/c", "y");
	assert_int_equal(store_remove(*state, "a/c", NULL), 0);
	assert_list(*state, "", NULL, 0, "");
	put_text(*state, "a/b", "again");
	assert_text(*state, "a/b", "again");
}

/* --- bodies --- */

struct body {
	uint64_t fails_at; /* a read from there on fails */
	size_t reads;
};

static uint8_t body_byte(uint64_t off)
{
	return (uint8_t)((off * 2654435761u) >> 13);
}

static int body_read(void *ctx, uint64_t off, uint8_t *out, size_t n, struct error *err)
{
	struct body *b = ctx;
	b->reads++;
	if (b->fails_at && off + n > b->fails_at)
		return error_set(err, ERR_CORRUPT_CHECKSUM, "the body ends at %llu", (unsigned long long)b->fails_at);
	for (size_t i = 0; i < n; i++)
		out[i] = body_byte(off + i);
	return 0;
}

static void assert_body(struct store *s, const char *key, uint64_t size)
{
	_buf_ struct buf out = BUF_INIT(64 << 20);
	struct error err = { 0 };
	int r = store_get(s, key, 64 << 20, &out, &err);
	if (r < 0)
		fail_msg("get %s: %s", key, error_text(&err, r));
	assert_int_equal(out.len, size);
	size_t wrong = 0;
	for (size_t i = 0; i < out.len; i++)
		wrong += out.data[i] != body_byte(i);
	assert_int_equal(wrong, 0);
}

static void test_bodies(void **state)
{
	static const uint64_t sizes[] = { 0, 1, 4096, (1 << 20) - 1, (3 << 20) + 17, (33 << 20) + 1 };
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct body ctx = { 0 };
		struct store_body body = { body_read, &ctx, sizes[i] };
		struct error err = { 0 };
		int r = store_put_body(*state, "x/body", &body, &err);
		if (r < 0)
			fail_msg("%s", error_text(&err, r));
		assert_body(*state, "x/body", sizes[i]);
	}
	assert_list(*state, "", NULL, 0, "x/body ");
}

static void test_body_that_fails_leaves_nothing(void **state)
{
	static const uint64_t sizes[] = { 100, (2 << 20) + 5, 40 << 20 };
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct body ctx = { .fails_at = sizes[i] - 1 };
		struct store_body body = { body_read, &ctx, sizes[i] };
		struct error err = { 0 };
		assert_int_equal(store_put_body(*state, "body", &body, &err), ERR_CORRUPT_CHECKSUM);
		assert_non_null(strstr(err.text, "the body ends"));
		assert_true(ctx.reads > 0);
		assert_absent(*state, "body");
	}
	assert_list(*state, "", NULL, 0, "");
}

static void test_remove_many(void **state)
{
	enum { N = 1100 };
	static char names[N][32];
	const char *keys[N];
	struct store *s = *state;
	for (int i = 0; i < N; i++) {
		snprintf(names[i], sizeof names[i], i % 7 ? "m/%d/%04d" : "top-%d-%04d", i / 400, i);
		keys[i] = names[i];
		if (i % 10 == 0)
			put_text(s, keys[i], "x");
	}
	put_text(s, "stays", "x");
	assert_int_equal(store_remove_many(s, NULL, 0, NULL), 0);
	assert_int_equal(store_remove_many(s, keys, N, NULL), 0);
	assert_int_equal(store_remove_many(s, keys, 3, NULL), 0);
	assert_list(s, "m/0/", NULL, 0, "");
	assert_list(s, "top", NULL, 0, "");
	assert_text(s, "stays", "x");
	const char *bad[] = { "stays", "a//b" };
	assert_int_equal(store_remove_many(s, bad, 2, NULL), -EINVAL);
	assert_text(s, "stays", "x");
}

/* --- ranges --- */

static void test_read_ranges(void **state)
{
	uint8_t out[4][8] = { 0 };
	struct store_range ranges[] = { { 7, 3, out[0] }, { 0, 2, out[1] }, { 2, 8, out[2] }, { 10, 0, out[3] } };
	put_text(*state, "k", "0123456789");
	assert_int_equal(store_read(*state, "k", ranges, 4, NULL), 0);
	assert_memory_equal(out[0], "789", 3);
	assert_memory_equal(out[1], "01", 2);
	assert_memory_equal(out[2], "23456789", 8);
	assert_int_equal(out[3][0], 0);
	assert_int_equal(store_read(*state, "k", NULL, 0, NULL), 0);
}

static void test_read_past_the_end(void **state)
{
	static const struct {
		uint64_t off;
		size_t len;
	} bad[] = { { 8, 3 },          { 10, 1 },           { 11, 0 },         { 11, 4 },
		    { UINT64_MAX, 4 }, { UINT64_MAX - 1, 2 }, { 1ull << 63, 1 } };
	uint8_t out[16];
	put_text(*state, "k", "0123456789");
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct error err = { 0 };
		struct store_range ranges[] = { { 0, 1, out }, { bad[i].off, bad[i].len, out } };
		assert_int_equal(store_read(*state, "k", ranges, 2, &err), ERR_STORE_RANGE);
		assert_non_null(strchr(err.text, 'k'));
	}
}

static void test_tail(void **state)
{
	_buf_ struct buf out = BUF_INIT(100);
	uint64_t size = 0;
	put_text(*state, "k", "0123456789");
	assert_int_equal(store_tail(*state, "k", 3, &out, &size, NULL), 0);
	assert_int_equal(size, 10);
	assert_int_equal(store_tail(*state, "k", 0, &out, &size, NULL), 0);
	assert_int_equal(store_tail(*state, "k", SIZE_MAX, &out, &size, NULL), 0);
	assert_int_equal(size, 10);
	assert_int_equal(out.len, 13);
	assert_memory_equal(out.data, "7890123456789", 13);
}

static void test_tail_over_the_buffer(void **state)
{
	_buf_ struct buf out = BUF_INIT(5);
	uint64_t size = 77;
	_free_ char *big = calloc(1, 201);
	memset(big, 'x', 200);
	put_text(*state, "k", big);
	assert_int_equal(store_tail(*state, "k", 100, &out, &size, NULL), ERR_LIMIT_BUFFER);
	assert_int_equal(size, 77);
	assert_int_equal(out.len, 0);
}

static void test_get_is_bounded(void **state)
{
	_buf_ struct buf out = BUF_INIT(100);
	struct error err = { 0 };
	put_text(*state, "k", "0123456789");
	buf_puts(&out, "<");
	assert_int_equal(store_get(*state, "k", 9, &out, &err), ERR_LIMIT_BUFFER);
	assert_int_equal(out.len, 1);
	assert_non_null(strstr(err.text, "10 bytes"));
	assert_int_equal(store_get(*state, "k", 10, &out, NULL), 0);
	assert_int_equal(out.len, 11);
}

/* --- put_if_absent --- */

static void test_put_if_absent(void **state)
{
	struct error err = { 0 };
	assert_int_equal(store_put_if_absent(*state, "cat/1", text("first"), NULL), 0);
	assert_int_equal(store_put_if_absent(*state, "cat/1", text("second"), &err), ERR_STORE_EXISTS);
	assert_non_null(strstr(err.text, "cat/1"));
	assert_text(*state, "cat/1", "first");
	put_text(*state, "cat/2", "put");
	assert_int_equal(store_put_if_absent(*state, "cat/2", text("late"), NULL), ERR_STORE_EXISTS);
	assert_int_equal(store_remove(*state, "cat/1", NULL), 0);
	assert_int_equal(store_put_if_absent(*state, "cat/1", text("third"), NULL), 0);
	assert_text(*state, "cat/1", "third");
}

struct racer {
	pthread_t thread;
	pthread_barrier_t *start;
	struct store *store;
	const char *key;
	char content[32];
	int result;
};

static void *race(void *arg)
{
	struct racer *r = arg;
	pthread_barrier_wait(r->start);
	r->result = store_put_if_absent(r->store, r->key, text(r->content), NULL);
	return NULL;
}

static void race_once(struct store *s, int round)
{
	struct racer racers[RACERS];
	pthread_barrier_t start;
	char key[32];
	const struct racer *winner = NULL;
	snprintf(key, sizeof key, "race/%d/claim", round);
	pthread_barrier_init(&start, NULL, RACERS);
	for (int i = 0; i < RACERS; i++) {
		racers[i] = (struct racer){ .start = &start, .store = s, .key = key };
		snprintf(racers[i].content, sizeof racers[i].content, "racer %d of %d", i, round);
		assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
	}
	for (int i = 0; i < RACERS; i++)
		pthread_join(racers[i].thread, NULL);
	pthread_barrier_destroy(&start);
	for (int i = 0; i < RACERS; i++) {
		if (racers[i].result != 0) {
			assert_int_equal(racers[i].result, ERR_STORE_EXISTS);
			continue;
		}
		assert_null(winner);
		winner = &racers[i];
	}
	assert_non_null(winner);
	assert_text(s, key, winner->content);
}

static void test_of_many_creators_one_wins(void **state)
{
	for (int round = 0; round < ROUNDS; round++)
		race_once(*state, round);
}

static void test_probe(void **state)
{
	bool exclusive = false;
	assert_int_equal(store_probe_exclusive(*state, "x/probe/", &exclusive, NULL), 0);
	assert_true(exclusive);
	assert_list(*state, "", NULL, 0, "");
}

/* --- listing --- */

static void put_tree(struct store *s)
{
	static const char *const keys[] = {
		"b", "a-b", "a/x", "a/y/1", "a/y/2", "a.c", "a0", "a/x.F", "A", "~", "%41", "_",
	};
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		put_text(s, keys[i], keys[i]);
}

static void test_list_in_byte_order(void **state)
{
	assert_list(*state, "", NULL, 0, "");
	put_tree(*state);
	assert_list(*state, "", NULL, 0, "%41 A _ a-b a.c a/x a/x.F a/y/1 a/y/2 a0 b ~ ");
}

static void test_list_by_prefix(void **state)
{
	put_tree(*state);
	assert_list(*state, "a", NULL, 0, "a-b a.c a/x a/x.F a/y/1 a/y/2 a0 ");
	assert_list(*state, "a/", NULL, 0, "a/x a/x.F a/y/1 a/y/2 ");
	assert_list(*state, "a/x", NULL, 0, "a/x a/x.F ");
	assert_list(*state, "a/y", NULL, 0, "a/y/1 a/y/2 ");
	assert_list(*state, "a/y/", NULL, 0, "a/y/1 a/y/2 ");
	assert_list(*state, "a/y/1", NULL, 0, "a/y/1 ");
	assert_list(*state, "a/y/1/", NULL, 0, "");
	assert_list(*state, "c", NULL, 0, "");
	assert_list(*state, "b/", NULL, 0, "");
	assert_list(*state, "none/such/", NULL, 0, "");
}

static void test_list_after(void **state)
{
	put_tree(*state);
	assert_list(*state, "", "", 0, "%41 A _ a-b a.c a/x a/x.F a/y/1 a/y/2 a0 b ~ ");
	assert_list(*state, "", "a", 0, "a-b a.c a/x a/x.F a/y/1 a/y/2 a0 b ~ ");
	assert_list(*state, "", "a/x", 0, "a/x.F a/y/1 a/y/2 a0 b ~ ");
	assert_list(*state, "", "a/y", 0, "a/y/1 a/y/2 a0 b ~ ");
	assert_list(*state, "", "a/y/", 0, "a/y/1 a/y/2 a0 b ~ ");
	assert_list(*state, "", "a/y/1", 0, "a/y/2 a0 b ~ ");
	assert_list(*state, "", "a/y/2", 0, "a0 b ~ ");
	assert_list(*state, "", "a/z", 0, "a0 b ~ ");
	assert_list(*state, "", "~", 0, "");
	assert_list(*state, "", "~~", 0, "");
	assert_list(*state, "a/", "A", 0, "a/x a/x.F a/y/1 a/y/2 ");
	assert_list(*state, "a/", "a/", 0, "a/x a/x.F a/y/1 a/y/2 ");
	assert_list(*state, "a/x", "a/x", 0, "a/x.F ");
	assert_list(*state, "a/", "b", 0, "");
	assert_list(*state, "a/y/", "a/x", 0, "a/y/1 a/y/2 ");
	assert_list(*state, "a/x", "a/y", 0, "");
}

static void test_list_with_delimiter(void **state)
{
	put_tree(*state);
	assert_list(*state, "", NULL, '/', "%41 A _ a-b a.c a/ a0 b ~ ");
	assert_list(*state, "a", NULL, '/', "a-b a.c a/ a0 ");
	assert_list(*state, "a/", NULL, '/', "a/x a/x.F a/y/ ");
	assert_list(*state, "a/y", NULL, '/', "a/y/ ");
	assert_list(*state, "a/y/", NULL, '/', "a/y/1 a/y/2 ");
	assert_list(*state, "none/", NULL, '/', "");
}

static void test_list_with_delimiter_after(void **state)
{
	put_tree(*state);
	assert_list(*state, "", "a.c", '/', "a/ a0 b ~ ");
	assert_list(*state, "", "a/", '/', "a/ a0 b ~ ");
	assert_list(*state, "", "a/y/1", '/', "a/ a0 b ~ ");
	assert_list(*state, "", "a/y/2", '/', "a0 b ~ ");
	assert_list(*state, "", "a0", '/', "b ~ ");
	assert_list(*state, "a/", "a/x", '/', "a/x.F a/y/ ");
	assert_list(*state, "a/", "a/y/2", '/', "");
	assert_list(*state, "a/", "a/y0", '/', "");
}

static void test_what_is_empty_is_not_rolled_up(void **state)
{
	put_text(*state, "d/e/f", "x");
	put_text(*state, "g/h", "x");
	assert_int_equal(store_remove(*state, "d/e/f", NULL), 0);
	assert_list(*state, "", NULL, '/', "g/ ");
	assert_list(*state, "d/", NULL, '/', "");
}

static void test_list_stops_where_told(void **state)
{
	struct listing l = { .out = BUF_INIT(1000), .stop_after = 3 };
	put_tree(*state);
	uint64_t errors = ((struct store *)*state)->counts.errors;
	assert_int_equal(store_list(*state, "", NULL, 0, listing_add, &l, NULL), -ECANCELED);
	assert_memory_equal(l.out.data, "%41 A _ ", 8);
	assert_int_equal(((struct store *)*state)->counts.errors, errors);
	l = (struct listing){ .out = l.out, .stop_after = 1 };
	buf_reset(&l.out);
	assert_int_equal(store_list(*state, "a/y", NULL, '/', listing_add, &l, NULL), -ECANCELED);
	assert_memory_equal(l.out.data, "a/y/ ", 5);
	buf_done(&l.out);
}

struct stats {
	int64_t before, after;
	size_t n;
};

static int check_stat(void *ctx, const char *key, const struct store_stat *st)
{
	struct stats *s = ctx;
	assert_int_equal(st->size, strlen(key));
	assert_in_range(st->mtime_ns, s->before - CONTRACT_CLOCK_NS, s->after + CONTRACT_CLOCK_NS - 20 * NS_PER_MS);
	s->n++;
	return 1;
}

static void test_list_tells_size_and_time(void **state)
{
	struct stats s = { 0 };
	assert_int_equal(store_now(*state, &s.before, NULL), 0);
	put_tree(*state);
	usleep(20000);
	assert_int_equal(store_now(*state, &s.after, NULL), 0);
	assert_true(s.after > s.before);
	assert_int_equal(store_list(*state, "", NULL, 0, check_stat, &s, NULL), 0);
	assert_int_equal(s.n, 12);
}

/* The listing's callback may use the store, and remove what it is given. */
static int remove_listed(void *ctx, const char *key, const struct store_stat *st)
{
	assert_int_equal(store_remove(ctx, key, NULL), 0);
	return 0;
}

static void test_listed_may_be_removed(void **state)
{
	put_tree(*state);
	assert_int_equal(store_list(*state, "", NULL, 0, remove_listed, *state, NULL), 0);
	assert_list(*state, "", NULL, 0, "");
}

static void test_many_keys(void **state)
{
	_buf_ struct buf expected = BUF_INIT(1 << 20);
	char key[64];
	for (int i = 0; i < 300; i++) {
		int k = i * 191 % 300;
		snprintf(key, sizeof key, "seg/2026-11-%02d/%03d", k / 100 + 1, k);
		put_text(*state, key, "");
	}
	for (int i = 0; i < 300; i++)
		buf_printf(&expected, "seg/2026-11-%02d/%03d ", i / 100 + 1, i);
	buf_u8(&expected, 0);
	assert_list(*state, "seg/", NULL, 0, (char *)expected.data);
	assert_list(*state, "seg/", NULL, '/', "seg/2026-11-01/ seg/2026-11-02/ seg/2026-11-03/ ");
	assert_list(*state, "seg/2026-11-0", "seg/2026-11-020", '/', "seg/2026-11-03/ ");
}

/* --- keys --- */

static void test_odd_keys(void **state)
{
	static const char *const keys[] = {
		"...", ".hidden", "a/..b/c", "-rf", "--", "~", "%2E%2E", "tmp/x", "a..", "0",
	};
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		put_text(*state, keys[i], keys[i]);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		assert_text(*state, keys[i], keys[i]);
	assert_list(*state, "", NULL, 0, "%2E%2E -- -rf ... .hidden 0 a.. a/..b/c tmp/x ~ ");
	assert_list(*state, ".", NULL, '/', "... .hidden ");
	assert_list(*state, "a/.", NULL, '/', "a/..b/ ");
}

static void test_refused_keys(void **state)
{
	static const char *const keys[] = {
		"", "/", "/a", "a/", "a//b", ".", "..", "a/..", "../a", "a/./b", "a b", "a+b", "a=b",
		"a\nb", "a\x80", "a:b", "a/..", "+tmp/x",
	};
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		_buf_ struct buf out = BUF_INIT(100);
		struct error err = { 0 };
		assert_int_equal(store_put(*state, keys[i], text("x"), &err), -EINVAL);
		assert_true(err.text[0]);
		assert_int_equal(store_put_if_absent(*state, keys[i], text("x"), NULL), -EINVAL);
		assert_int_equal(store_get(*state, keys[i], 100, &out, NULL), -EINVAL);
		assert_int_equal(store_remove(*state, keys[i], NULL), -EINVAL);
	}
	assert_int_equal(store_list(*state, "../", NULL, 0, listing_add, NULL, NULL), -EINVAL);
	assert_int_equal(store_list(*state, "/", NULL, 0, listing_add, NULL, NULL), -EINVAL);
	assert_int_equal(store_list(*state, "a//", NULL, 0, listing_add, NULL, NULL), -EINVAL);
	assert_list(*state, "", NULL, 0, "");
}

static void test_long_keys(void **state)
{
	char key[902], component[256], expected[1300];
	memset(component, 'c', 255);
	component[255] = '\0';
	put_text(*state, component, "a component of 255 bytes");
	assert_text(*state, component, "a component of 255 bytes");
	for (int i = 0; i < 901; i++)
		key[i] = i % 200 == 199 ? '/' : 'k';
	key[901] = '\0';
	assert_int_equal(store_put(*state, key, text("x"), NULL), -EINVAL);
	key[900] = '\0';
	put_text(*state, key, "a key of 900 bytes");
	assert_text(*state, key, "a key of 900 bytes");
	snprintf(expected, sizeof expected, "%s %s ", component, key);
	assert_list(*state, "", NULL, 0, expected);
	assert_list(*state, key, NULL, 0, expected + 256);
	assert_list(*state, key, key, 0, "");
	for (int i = 0; i < 900; i++)
		key[i] = i % 2 ? '/' : 'd';
	key[899] = '\0';
	put_text(*state, key, "450 levels");
	assert_text(*state, key, "450 levels");
	snprintf(expected, sizeof expected, "%s ", key);
	assert_list(*state, "d/", NULL, 0, expected);
	assert_list(*state, "d", NULL, '/', "d/ ");
}

/* --- the wrappers --- */

static void test_read_only(void **state)
{
	struct store *s = *state;
	struct error err = { 0 };
	put_text(s, "a", "x");
	s->read_only = true;
	assert_int_equal(store_put(s, "b", text("x"), &err), ERR_STORE_READONLY);
	assert_non_null(strstr(err.text, "read only"));
	assert_int_equal(store_put_if_absent(s, "b", text("x"), NULL), ERR_STORE_READONLY);
	assert_int_equal(store_remove(s, "a", NULL), ERR_STORE_READONLY);
	assert_int_equal(store_put_body(s, "b", &(struct store_body){ 0 }, NULL), ERR_STORE_READONLY);
	assert_int_equal(store_remove_many(s, (const char *[]){ "a" }, 1, NULL), ERR_STORE_READONLY);
	assert_text(s, "a", "x");
	assert_list(s, "", NULL, 0, "a ");
	int64_t now = 0;
	assert_int_equal(store_now(s, &now, NULL), 0);
	assert_in_range(now, clock_now() - NS_PER_MIN, clock_now() + NS_PER_MIN);
	s->read_only = false;
}

static void test_calls_are_counted(void **state)
{
	struct store *s = *state;
	uint8_t out[4];
	struct store_range ranges[] = { { 0, 4, out }, { 1, 2, out } };
	put_text(s, "k", "0123456789");
	assert_int_equal(store_put_if_absent(s, "k", text("x"), NULL), ERR_STORE_EXISTS);
	assert_int_equal(store_read(s, "k", ranges, 2, NULL), 0);
	assert_text(s, "k", "0123456789");
	assert_absent(s, "none");
	assert_list(s, "", NULL, 0, "k ");
	assert_int_equal(store_remove(s, "k", NULL), 0);
	assert_int_equal(s->counts.put, 2);
	assert_int_equal(s->counts.get, 3);
	assert_int_equal(s->counts.list, 1);
	assert_int_equal(s->counts.remove, 1);
	assert_int_equal(s->counts.bytes_in, 10);
	assert_int_equal(s->counts.bytes_out, 16);
	assert_int_equal(s->counts.errors, 0);
}

/* --- many threads --- */

/* cmocka's assertions are for the first thread only: a worker keeps its failure until it is joined. */
struct worker {
	pthread_t thread;
	struct store *store;
	int id, result;
	struct error err;
};

static int count_listed(void *ctx, const char *key, const struct store_stat *st)
{
	++*(size_t *)ctx;
	return 0;
}

static int work_once(struct worker *w, const char *key)
{
	_buf_ struct buf out = BUF_INIT(100);
	size_t n = 0;
	int r = store_put(w->store, key, text(key), &w->err);
	if (r == 0)
		r = store_get(w->store, key, 100, &out, &w->err);
	if (r == 0)
		r = store_list(w->store, "day", NULL, 0, count_listed, &n, &w->err);
	if (r == 0 && n == 0)
		r = error_set(&w->err, -ERANGE, "%s was not listed", key);
	if (r == 0)
		r = store_remove(w->store, key, &w->err);
	buf_reset(&out);
	if (r == 0 && store_get(w->store, key, 100, &out, NULL) != ERR_STORE_NOT_FOUND)
		r = error_set(&w->err, -EEXIST, "%s is still there", key);
	return r;
}

/* Works on keys of its own in shared folders. */
static void *work(void *arg)
{
	struct worker *w = arg;
	char key[64];
	for (int i = 0; i < 30 && w->result == 0; i++) {
		snprintf(key, sizeof key, "day%d/part%d/%d", i % 3, i % 5, w->id);
		w->result = work_once(w, key);
	}
	return NULL;
}

static void test_threads_do_not_disturb_each_other(void **state)
{
	struct worker workers[8];
	for (int i = 0; i < 8; i++) {
		workers[i] = (struct worker){ .store = *state, .id = i };
		assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < 8; i++)
		pthread_join(workers[i].thread, NULL);
	for (int i = 0; i < 8; i++)
		if (workers[i].result < 0)
			fail_msg("%s", error_text(&workers[i].err, workers[i].result));
	assert_list(*state, "", NULL, 0, "");
}

struct churn {
	pthread_t thread;
	struct store *store;
	atomic_bool stop;
};

static void *churn(void *arg)
{
	struct churn *c = arg;
	char key[64];
	for (int i = 0; !c->stop; i++) {
		snprintf(key, sizeof key, "d%d/%d-churn", i % 3, i % 50);
		store_put(c->store, key, text(key), NULL);
		snprintf(key, sizeof key, "d%d/%d-churn", (i + 11) % 3, (i + 11) % 50);
		store_remove(c->store, key, NULL);
	}
	return NULL;
}

static int count_stable(void *ctx, const char *key, const struct store_stat *st)
{
	*(size_t *)ctx += strstr(key, "-stable") != NULL;
	return 0;
}

static void test_what_stays_is_listed_whatever_comes_and_goes(void **state)
{
	struct churn c = { .store = *state };
	char key[64];
	for (int i = 0; i < 90; i++) {
		snprintf(key, sizeof key, "d%d/%d-stable", i % 3, i);
		put_text(*state, key, key);
	}
	assert_int_equal(pthread_create(&c.thread, NULL, churn, &c), 0);
	size_t wrong = 0;
	for (int i = 0; i < 40; i++) {
		size_t n = 0;
		int r = store_list(*state, "", NULL, 0, count_stable, &n, NULL);
		wrong += r != 0 || n != 90;
		usleep(500);
	}
	c.stop = true;
	pthread_join(c.thread, NULL);
	assert_int_equal(wrong, 0);
}

#define CONTRACT_TEST(name) cmocka_unit_test_setup_teardown(name, contract_setup, contract_teardown)
#define CONTRACT_PLAIN_TESTS                                                                       \
	CONTRACT_TEST(test_put_is_read_back), CONTRACT_TEST(test_empty_object),                    \
		CONTRACT_TEST(test_large_object), CONTRACT_TEST(test_put_again),                   \
		CONTRACT_TEST(test_missing_objects), CONTRACT_TEST(test_remove),                   \
		CONTRACT_TEST(test_bodies), CONTRACT_TEST(test_body_that_fails_leaves_nothing),    \
		CONTRACT_TEST(test_remove_many),                                                   \
		CONTRACT_TEST(test_read_ranges), CONTRACT_TEST(test_read_past_the_end),            \
		CONTRACT_TEST(test_tail), CONTRACT_TEST(test_tail_over_the_buffer),                \
		CONTRACT_TEST(test_get_is_bounded),                                                \
		CONTRACT_TEST(test_list_in_byte_order), CONTRACT_TEST(test_list_by_prefix),        \
		CONTRACT_TEST(test_list_after), CONTRACT_TEST(test_list_with_delimiter),           \
		CONTRACT_TEST(test_list_with_delimiter_after),                                     \
		CONTRACT_TEST(test_what_is_empty_is_not_rolled_up),                                \
		CONTRACT_TEST(test_list_stops_where_told),                                         \
		CONTRACT_TEST(test_list_tells_size_and_time),                                      \
		CONTRACT_TEST(test_listed_may_be_removed), CONTRACT_TEST(test_many_keys),          \
		CONTRACT_TEST(test_odd_keys), CONTRACT_TEST(test_refused_keys),                    \
		CONTRACT_TEST(test_long_keys), CONTRACT_TEST(test_read_only),                      \
		CONTRACT_TEST(test_threads_do_not_disturb_each_other),                             \
		CONTRACT_TEST(test_what_stays_is_listed_whatever_comes_and_goes)
/* Those that need put_if_absent(). */
#define CONTRACT_CREATE_TESTS                                                                      \
	CONTRACT_TEST(test_put_if_absent), CONTRACT_TEST(test_of_many_creators_one_wins),          \
		CONTRACT_TEST(test_probe), CONTRACT_TEST(test_calls_are_counted)
#define CONTRACT_TESTS CONTRACT_PLAIN_TESTS, CONTRACT_CREATE_TESTS

/* SPDX-License-Identifier: MIT */
#include "contract.h"

static struct store *contract_open(void)
{
	struct store *inner = NULL, *s = NULL;
	assert_int_equal(store_mem_new(&inner), 0);
	assert_int_equal(store_fault_new(inner, false, &s), 0);
	return s;
}

static void contract_close(struct store *s)
{
	store_free(s);
}

static void plan(struct store *s, enum fault fault, uint64_t at, unsigned kinds)
{
	store_fault_set(s, &(struct fault_plan){ .fault = fault, .at = at, .kinds = kinds });
}

static void test_without_effect(void **state)
{
	static const struct {
		enum fault fault;
		int code;
	} cases[] = { { FAULT_BEFORE, ERR_STORE },
		      { FAULT_TIMEOUT, ERR_STORE_TIMEOUT },
		      { FAULT_DENIED, ERR_STORE_ACCESS } };
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = { 0 };
		plan(*state, cases[i].fault, 1, 0);
		assert_int_equal(store_put(*state, "a", text("x"), &err), cases[i].code);
		assert_non_null(strstr(err.text, "a: put"));
		assert_absent(*state, "a");
		plan(*state, cases[i].fault, 1, 0);
		assert_int_equal(store_put_if_absent(*state, "a", text("x"), NULL), cases[i].code);
		assert_list(*state, "", NULL, 0, "");
	}
	assert_int_equal(((struct store *)*state)->counts.errors, 6);
}

static void test_after_effect(void **state)
{
	plan(*state, FAULT_AFTER, 1, 0);
	assert_int_equal(store_put_if_absent(*state, "a", text("x"), NULL), ERR_STORE_UNKNOWN);
	assert_text(*state, "a", "x");
	plan(*state, FAULT_AFTER, 1, 0);
	assert_int_equal(store_put_if_absent(*state, "a", text("late"), NULL), ERR_STORE_UNKNOWN);
	assert_text(*state, "a", "x");
	plan(*state, FAULT_AFTER, 1, 0);
	assert_int_equal(store_remove(*state, "a", NULL), ERR_STORE_UNKNOWN);
	assert_absent(*state, "a");
	plan(*state, FAULT_AFTER, 1, 0);
	_buf_ struct buf out = BUF_INIT(100);
	uint64_t size;
	assert_int_equal(store_tail(*state, "a", 1, &out, &size, NULL), ERR_STORE);
}

static void test_torn_put_leaves_half(void **state)
{
	plan(*state, FAULT_TORN, 1, 0);
	assert_int_equal(store_put(*state, "a", text("0123456789"), NULL), ERR_STORE_UNKNOWN);
	assert_text(*state, "a", "01234");
	plan(*state, FAULT_TORN, 1, 0);
	assert_int_equal(store_put_if_absent(*state, "b", text("0123456789"), NULL), ERR_STORE_UNKNOWN);
	assert_text(*state, "b", "01234");
	struct body ctx = { 0 };
	plan(*state, FAULT_TORN, 1, 1);
	struct store_body body = { body_read, &ctx, 10 };
	assert_int_equal(store_put_body(*state, "c", &body, NULL), ERR_STORE_UNKNOWN);
	assert_body(*state, "c", 5);
}

static void test_torn_removal_removes_half(void **state)
{
	const char *keys[] = { "a", "b", "c", "d" };
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		put_text(*state, keys[i], "x");
	plan(*state, FAULT_TORN, 1, 16);
	assert_int_equal(store_remove_many(*state, keys, 4, NULL), ERR_STORE_UNKNOWN);
	assert_list(*state, "", NULL, 0, "c d ");
	assert_int_equal(store_remove_many(*state, keys, 4, NULL), 0);
	assert_list(*state, "", NULL, 0, "");
}

static void test_torn_read_gives_wrong_bytes(void **state)
{
	uint8_t out[5] = { 0 };
	struct store_range range = { 0, 5, out };
	_buf_ struct buf tail = BUF_INIT(100);
	uint64_t size;
	put_text(*state, "a", "01234");
	plan(*state, FAULT_TORN, 1, 0);
	assert_int_equal(store_read(*state, "a", &range, 1, NULL), 0);
	assert_memory_not_equal(out, "01234", 5);
	plan(*state, FAULT_TORN, 1, 0);
	buf_puts(&tail, "<");
	assert_int_equal(store_tail(*state, "a", 5, &tail, &size, NULL), 0);
	assert_memory_not_equal(tail.data, "<01234", 6);
	assert_int_equal(tail.data[0], '<');
	assert_text(*state, "a", "01234");
}

static void test_torn_listing_breaks_off(void **state)
{
	struct listing l = { .out = BUF_INIT(100) };
	put_text(*state, "a", "x");
	put_text(*state, "b", "x");
	plan(*state, FAULT_TORN, 1, 8);
	assert_int_equal(store_list(*state, "", NULL, 0, listing_add, &l, NULL), ERR_STORE);
	assert_int_equal(l.n, 1);
	buf_done(&l.out);
	assert_list(*state, "", NULL, 0, "a b ");
}

static void test_slow(void **state)
{
	store_fault_set(*state, &(struct fault_plan){ .fault = FAULT_SLOW, .at = 1, .delay_ns = 30 * NS_PER_MS });
	int64_t start = clock_monotonic();
	put_text(*state, "a", "x");
	assert_true(clock_monotonic() - start >= 30 * NS_PER_MS);
	assert_text(*state, "a", "x");
}

/* Fails each call of a little life in turn, in each way: the others work, and only that one. */
static int live(struct store *s, int *ret_failed)
{
	_buf_ struct buf out = BUF_INIT(100);
	int64_t now;
	const char *first = "a/1";
	struct body ctx = { 0 };
	struct store_body body = { body_read, &ctx, 10 };
	int r[] = { store_put(s, "a/1", text("x"), NULL),
		    store_put_body(s, "a/3", &body, NULL),
		    store_put_if_absent(s, "a/2", text("y"), NULL),
		    store_read(s, "a/1", NULL, 0, NULL),
		    store_get(s, "a/2", 10, &out, NULL),
		    store_list(s, "zzz", NULL, 0, listing_add, NULL, NULL),
		    store_remove(s, "a/1", NULL),
		    store_remove_many(s, &first, 1, NULL),
		    store_now(s, &now, NULL) };
	*ret_failed = -1;
	for (size_t i = 0; i < ARRAY_SIZE(r); i++)
		if (r[i] < 0 && *ret_failed < 0)
			*ret_failed = (int)i;
	return (int)ARRAY_SIZE(r);
}

static void test_sweep(void **state)
{
	static const enum fault faults[] = { FAULT_BEFORE, FAULT_AFTER, FAULT_TIMEOUT, FAULT_DENIED };
	for (size_t f = 0; f < ARRAY_SIZE(faults); f++)
		for (int at = 1; at <= 10; at++) {
			struct store *s = contract_open();
			int failed;
			plan(s, faults[f], (uint64_t)at, 0);
			assert_int_equal(live(s, &failed), 9);
			assert_int_equal(failed, at == 10 ? -1 : at - 1);
			assert_int_equal(store_fault_calls(s), 9);
			contract_close(s);
		}
}

static void test_kinds_and_from_then_on(void **state)
{
	plan(*state, FAULT_BEFORE, 2, 1);
	put_text(*state, "a", "x");
	assert_text(*state, "a", "x");
	assert_int_equal(store_put_if_absent(*state, "b", text("x"), NULL), 0);
	assert_int_equal(store_put(*state, "c", text("x"), NULL), ERR_STORE);
	put_text(*state, "c", "x");
	struct fault_plan lasting = { .fault = FAULT_DENIED, .at = 2, .from_then_on = true, .kinds = 1 | 16 };
	store_fault_set(*state, &lasting);
	put_text(*state, "d", "x");
	for (int i = 0; i < 3; i++) {
		assert_int_equal(store_put(*state, "e", text("x"), NULL), ERR_STORE_ACCESS);
		assert_int_equal(store_remove(*state, "a", NULL), ERR_STORE_ACCESS);
		assert_text(*state, "a", "x");
	}
	plan(*state, FAULT_NONE, 0, 0);
	put_text(*state, "e", "x");
}

struct seen {
	struct store *store;
	struct buf out;
	bool interleave;
};

static void see(void *ctx, const char *what, const char *key)
{
	struct seen *seen = ctx;
	buf_printf(&seen->out, "%s:%s ", what, key);
	if (seen->interleave) {
		seen->interleave = false;
		assert_int_equal(store_put_if_absent(seen->store, "a", text("mine"), NULL), 0);
	}
}

static void test_hook_comes_before_the_effect(void **state)
{
	struct seen seen = { *state, BUF_INIT(1000), true };
	store_fault_hook(*state, see, &seen);
	assert_int_equal(store_put_if_absent(*state, "a", text("yours"), NULL), ERR_STORE_EXISTS);
	int64_t now;
	assert_int_equal(store_now(*state, &now, NULL), 0);
	assert_list(*state, "a", NULL, 0, "a ");
	store_fault_hook(*state, NULL, NULL);
	assert_text(*state, "a", "mine");
	buf_u8(&seen.out, 0);
	assert_string_equal((char *)seen.out.data, "put_if_absent:a put_if_absent:a now: list:a ");
	buf_done(&seen.out);
}

static void test_probe_of_exclusive_creation(void **state)
{
	bool exclusive = false;
	assert_int_equal(store_probe_exclusive(*state, "probe/", &exclusive, NULL), 0);
	assert_true(exclusive);
	struct fault_plan plans[] = {
		{ .fault = FAULT_BLIND, .at = 1, .from_then_on = true },
		{ .fault = FAULT_BLIND, .at = 4 * 16 + 5, .kinds = 2 },
		{ .fault = FAULT_UNSUPPORTED, .at = 1, .from_then_on = true, .kinds = 2 },
	};
	for (size_t i = 0; i < ARRAY_SIZE(plans); i++) {
		store_fault_set(*state, &plans[i]);
		exclusive = true;
		assert_int_equal(store_probe_exclusive(*state, "probe/", &exclusive, NULL), 0);
		assert_false(exclusive);
		plan(*state, FAULT_NONE, 0, 0);
		assert_list(*state, "", NULL, 0, "");
	}
	struct error err = { 0 };
	plan(*state, FAULT_DENIED, 20, 2);
	assert_int_equal(store_probe_exclusive(*state, "probe/", &exclusive, &err), ERR_STORE_ACCESS);
	assert_non_null(strstr(err.text, "made to be denied"));
	assert_list(*state, "", NULL, 0, "");
}

static void test_borrowed_inner_store_stays(void **state)
{
	struct store *inner = NULL, *s = NULL;
	assert_int_equal(store_mem_new(&inner), 0);
	assert_int_equal(store_fault_new(inner, true, &s), 0);
	put_text(s, "a", "x");
	store_free(s);
	assert_text(inner, "a", "x");
	store_free(inner);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTRACT_TESTS,
		CONTRACT_TEST(test_without_effect),
		CONTRACT_TEST(test_after_effect),
		CONTRACT_TEST(test_torn_put_leaves_half),
		CONTRACT_TEST(test_torn_removal_removes_half),
		CONTRACT_TEST(test_torn_read_gives_wrong_bytes),
		CONTRACT_TEST(test_torn_listing_breaks_off),
		CONTRACT_TEST(test_slow),
		CONTRACT_TEST(test_sweep),
		CONTRACT_TEST(test_kinds_and_from_then_on),
		CONTRACT_TEST(test_hook_comes_before_the_effect),
		CONTRACT_TEST(test_probe_of_exclusive_creation),
		CONTRACT_TEST(test_borrowed_inner_store_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

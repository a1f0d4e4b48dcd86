/* SPDX-License-Identifier: MIT */

/*
 * The contract on a real S3 server: S3_CONTRACT_URL names a bucket, "s3://bucket?endpoint=...", and credentials are in
 * the environment. Each test has a prefix of its own. tests/s3/run starts servers and runs this.
 */

#define CONTRACT_CLOCK_NS (2100 * NS_PER_MS)
#include "contract.h"

static unsigned opened;

static struct store *contract_open(void)
{
	struct store *s = NULL;
	struct error err = { 0 };
	char url[1024];
	const char *where = getenv("S3_CONTRACT_URL");
	size_t bucket = strcspn(where, "?");
	snprintf(url, sizeof url, "%.*s/%d-%u%s", (int)bucket, where, getpid(), opened++, where + bucket);
	int r = store_open(url, &(struct store_options){ 0 }, &s, &err);
	if (r < 0)
		fail_msg("%s: %s", url, error_text(&err, r));
	return s;
}

static int add_key(void *ctx, const char *key, const struct store_stat *st)
{
	return store_remove(ctx, key, NULL);
}

static void contract_close(struct store *s)
{
	store_list(s, "", NULL, 0, add_key, s, NULL);
	store_free(s);
}

static void test_no_exclusive_creation(void **state)
{
	bool exclusive = true;
	struct error err = { 0 };
	assert_int_equal(store_put_if_absent(*state, "a", text("x"), &err), ERR_STORE_UNSUPPORTED);
	assert_non_null(strstr(err.text, "signature version 2"));
	assert_int_equal(store_probe_exclusive(*state, "p/", &exclusive, NULL), 0);
	assert_false(exclusive);
}

int main(void)
{
	const struct CMUnitTest v4[] = { CONTRACT_TESTS };
	const struct CMUnitTest v2[] = { CONTRACT_PLAIN_TESTS, CONTRACT_TEST(test_no_exclusive_creation) };
	const char *url = getenv("S3_CONTRACT_URL");
	if (!url) {
		puts("skip: S3_CONTRACT_URL names no server");
		return 77;
	}
	if (getenv("S3_CONTRACT_SKIP")) /* what a server is known not to do */
		cmocka_set_skip_filter(getenv("S3_CONTRACT_SKIP"));
	return strstr(url, "signature=v2") ? cmocka_run_group_tests(v2, NULL, NULL)
	                                   : cmocka_run_group_tests(v4, NULL, NULL);
}

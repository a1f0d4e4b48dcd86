/* SPDX-License-Identifier: MIT */

/* Credentials that are handed out: what is taken, in which order, and when they are renewed. Over HTTP: tests/s3. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/store/s3_keys_from.h"
#include "core/store/s3_xml.h"
#include "aws_files.h"

static char runs[64];

/* The credentials that are found, as "ID SECRET TOKEN SOURCE", or the error. */
static void assert_keys_of(const char *url, const char *expected)
{
	struct s3_settings s = settings(url);
	struct s3_keys *k = NULL;
	struct error err = { 0 };
	char said[700];
	if (s3_keys_find(&s, &k, &err) == 0)
		snprintf(said, sizeof said, "%s %s %s %s", k->id, k->secret, k->token ?: "-", k->source);
	else
		snprintf(said, sizeof said, "%s", err.text);
	s3_keys_unref(k);
	s3_settings_done(&s);
	if (!strstr(said, expected))
		fail_msg("\"%s\" is not in \"%s\"", expected, said);
}

static void assert_keys(const char *expected)
{
	assert_keys_of("s3://bucket", expected);
}

/* --- what they are made of --- */

static int take(const char *json, struct s3_keys **ret, struct error *err)
{
	*ret = calloc(1, sizeof **ret);
	atomic_init(&(*ret)->refs, 1);
	return s3_keys_take_json(*ret, (struct slice){ (const uint8_t *)json, strlen(json) }, "Token", "it", err);
}

static void test_json_is_taken(void **state)
{
	struct s3_keys *k;
	assert_int_equal(take("{\"Code\":\"Success\",\"Token\":\"t\\/==\",\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\","
	                      "\"Expiration\":\"2100-01-01T00:00:00Z\",\"More\":[{}]}", &k, NULL), 0);
	assert_string_equal(k->token, "t/==");
	assert_true(k->expires - k->renew_at == 5 * NS_PER_MIN);
	s3_keys_unref(k);
	assert_int_equal(take("{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\",\"Token\":null}", &k, NULL), 0);
	assert_null(k->token);
	assert_true(k->expires == 0 && k->renew_at == 0);
	s3_keys_unref(k);
}

static void test_json_is_refused(void **state)
{
	static const struct {
		const char *json, *why;
	} cases[] = {
		{ "", "is no JSON" },
		{ "{\"AccessKeyId\":\"a\"", "is no JSON" },
		{ "[1]", "no credentials" },
		{ "{\"AccessKeyId\":1,\"SecretAccessKey\":{}}", "no credentials" },
		{ "{\"AccessKeyId\":\"a\"}", "no credentials" },
		{ "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"x\\u0000y\"}", "no credentials" },
		{ "{\"Code\":\"Failed\",\"Message\":\"no role\"}", "no credentials in the answer: Failed: no role" },
		{ "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\",\"Expiration\":\"soon\"}", "'soon' is no time" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct s3_keys *k;
		struct error err = { 0 };
		assert_int_equal(take(cases[i].json, &k, &err), ERR_STORE_ACCESS);
		if (!strstr(err.text, cases[i].why))
			fail_msg("%s: said \"%s\"", cases[i].json, err.text);
		s3_keys_unref(k);
	}
}

static void test_answers_of_the_token_service(void **state)
{
#define STS(c) "<AssumeRoleWithWebIdentityResponse xmlns=\"x\"><AssumeRoleWithWebIdentityResult><Credentials>" c \
	       "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>"
	static const char *const bad[] = { "", "<a/>", STS("<AccessKeyId>a</AccessKeyId><SessionToken>t</SessionToken>"),
		                           "<Error><Code>x</Code></Error>" };
	struct sts_credentials c;
	const char *good = STS("<AccessKeyId>a</AccessKeyId><SecretAccessKey>s</SecretAccessKey>"
	                       "<SessionToken>t</SessionToken><Expiration>2030-01-01T00:00:00Z</Expiration>");
	assert_true(sts_credentials_parse((struct slice){ (const uint8_t *)good, strlen(good) }, &c));
	assert_string_equal(c.secret, "s");
	assert_string_equal(c.expiration, "2030-01-01T00:00:00Z");
	free(c.id);
	free(c.secret);
	free(c.token);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(sts_credentials_parse((struct slice){ (const uint8_t *)bad[i], strlen(bad[i]) }, &c));
	struct s3_error e;
	const char *denied = "<ErrorResponse><Error><Code>InvalidIdentityToken</Code></Error></ErrorResponse>";
	assert_true(s3_error_parse((struct slice){ (const uint8_t *)denied, strlen(denied) }, &e));
	assert_string_equal(e.code, "InvalidIdentityToken");
}

/* --- the order --- */

static void test_credentials(void **state)
{
	assert_keys("no credentials for S3: set AWS_ACCESS_KEY_ID");
	write_file(config, "[default]\naws_access_key_id=c1\naws_secret_access_key=c2\n"
	                   "[profile dev]\naws_access_key_id=c3\naws_secret_access_key=c4\n");
	assert_keys("c1 c2 - [default] of ");
	write_file(credentials, "[default]\naws_access_key_id = f1\naws_secret_access_key = f/2+=\n"
	                        "aws_session_token = t==\n[half]\naws_access_key_id = f3\n");
	assert_keys("f1 f/2+= t== [default] of ");
	setenv("AWS_PROFILE", "dev", 1);
	assert_keys("c3 c4 - [profile dev] of ");
	setenv("AWS_PROFILE", "half", 1);
	assert_keys("has one of");
	setenv("AWS_PROFILE", "nobody", 1);
	assert_keys("profile 'nobody'");
	setenv("AWS_ACCESS_KEY_ID", "e1", 1);
	assert_keys("one is not set");
	setenv("AWS_SECRET_ACCESS_KEY", "e2", 1);
	assert_keys("e1 e2 - the environment");
	setenv("AWS_SECRET_ACCESS_KEY", "e2\r\nx: y", 1);
	assert_keys("characters that none can have");
}

static void test_the_first_that_is_there_is_used(void **state)
{
	assert_keys("no credentials for S3");
	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://192.0.2.1/", 1);
	assert_keys("over http only");
	write_file(config, "[default]\naws_access_key_id = c1\naws_secret_access_key = c2\n");
	assert_keys("c1 c2 - [default] of");
	write_file(config, "[default]\naws_access_key_id = c1\naws_secret_access_key = c2\n"
	                   "credential_process = echo '{\"AccessKeyId\":\"p1\",\"SecretAccessKey\":\"p2\",\"SessionToken\":\"p3\"}'\n");
	assert_keys("p1 p2 p3 the credential_process of [default]");
	write_file(credentials, "[default]\naws_access_key_id = f1\naws_secret_access_key = f2\n");
	assert_keys("f1 f2 - [default] of");
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token", 1);
	assert_keys("set AWS_ROLE_ARN");
	setenv("AWS_ROLE_ARN", "arn:role", 1);
	assert_keys("/nonexistent/token has no token for arn:role");
	setenv("AWS_ACCESS_KEY_ID", "e1", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "e2", 1);
	assert_keys("e1 e2 - the environment");
}

static void test_a_profile_of_the_url_is_not_the_environment(void **state)
{
	setenv("AWS_ACCESS_KEY_ID", "e1", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "e2", 1);
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token", 1);
	write_file(credentials, "[dev]\naws_access_key_id = f1\naws_secret_access_key = f2\n");
	assert_keys_of("s3://bucket?profile=dev", "f1 f2 - [dev] of");
	assert_keys_of("s3://bucket?profile=nobody", "profile 'nobody'");
}

static void test_what_only_others_can_follow_is_said(void **state)
{
	write_file(config, "[default]\nsso_session = corp\n");
	assert_keys("the profile 'default' has sso_session, which profilefs does not follow; make a profile with "
	            "credential_process = aws configure export-credentials --profile default");
	write_file(config, "[default]\nrole_arn = arn:x\nsource_profile = other\n");
	assert_keys("has role_arn");
}

static void test_containers_are_asked_near_by_only(void **state)
{
	static const char *const away[] = {
		"", "ftp://127.0.0.1/", "http://", "http://10.0.0.1/", "http://127.0.0.1@10.0.0.1/", "http://127.0.0.1.x/",
		"http://[::2]/", "http://[::1", "http://[::1]@h/", "http://localhost.x:80/", "http://169.254.170.20/", "http://0x7f000001/",
		"http://a%00/", "127.0.0.1/",
	};
	for (size_t i = 0; i < ARRAY_SIZE(away); i++) {
		setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", away[i], 1);
		assert_keys(away[i][0] ? "over http only" : "no credentials for S3");
	}
	static const char *const near[] = { "http://127.0.0.1:1/x", "http://127.8.9.1:1?a@b", "http://localhost:1", "http://[::1]:1/" };
	for (size_t i = 0; i < ARRAY_SIZE(near); i++) {
		setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", near[i], 1);
		assert_keys(near[i]);
	}
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "a\r\nHost: b", 1);
	assert_keys("more than one line");
	setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nonexistent", 1);
	assert_keys("/nonexistent of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE has no token");
}

static void process(const char *command)
{
	char text[600];
	snprintf(text, sizeof text, "[default]\ncredential_process = echo >> %s && %s\n", runs, command);
	write_file(config, text);
}

static void test_a_process_fails(void **state)
{
	process("exit 7");
	assert_keys("failed (exit 7)");
	process("kill -9 $$");
	assert_keys("failed (signal 9)");
	process("yes");
	assert_keys("printed more than credentials");
	process("echo '{}'");
	assert_keys("no credentials in the answer");
	process("echo '{\"AccessKeyId\":\"a b\",\"SecretAccessKey\":\"c\"}'");
	assert_keys("characters that none can have");
}

/* --- renewal --- */

static int fresh_without_runs(void **state)
{
	write_file(runs, "");
	return fresh(state);
}

static size_t process_runs(void)
{
	_fclose_ FILE *f = fopen(runs, "r");
	size_t n = 0;
	for (int c; (c = fgetc(f)) != EOF;)
		n += c == '\n';
	return n;
}

/* A command that gives keys for `life` milliseconds. */
static void process_with_life(int life)
{
	char command[400];
	snprintf(command, sizeof command,
	         "date -u +'{\"AccessKeyId\":\"id%%N\",\"SecretAccessKey\":\"s\",\"Expiration\":\"%%Y-%%m-%%dT%%H:%%M:%%S.%%NZ\"}' "
	         "-d '+%d.%03d seconds'", life / 1000, life % 1000);
	process(command);
}

static struct s3_keyring *keyring(struct s3_settings *s)
{
	struct s3_keyring *r;
	struct error err = { 0 };
	*s = settings("s3://bucket");
	if (s3_keyring_new(s, &r, &err) < 0)
		fail_msg("%s", err.text);
	return r;
}

static void sleep_ms(int ms)
{
	nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000L }, NULL);
}

struct user {
	struct s3_keyring *keys;
	atomic_int failed, expired;
	int64_t until;
};

static void *use(void *arg)
{
	struct user *u = arg;
	while (clock_monotonic() < u->until) {
		struct s3_keys *k = NULL;
		int64_t asked = clock_now();
		if (s3_keyring_get(u->keys, &k, NULL) < 0)
			u->failed++;
		else if (asked > k->expires)
			u->expired++;
		s3_keys_unref(k);
		sleep_ms(1);
	}
	return NULL;
}

static void test_threads_share_one_renewal(void **state)
{
	struct s3_settings s;
	process_with_life(2000);
	struct user u = { .keys = keyring(&s), .until = clock_monotonic() + 4 * NS_PER_S };
	pthread_t threads[8];
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use, &u), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(u.failed, 0);
	assert_int_equal(u.expired, 0);
	assert_in_range(process_runs(), 2, 4); /* each 1.5 s, however many ask */
	s3_keyring_free(u.keys);
	s3_settings_done(&s);
}

static void test_a_renewal_that_fails(void **state)
{
	struct s3_settings s;
	struct s3_keys *k;
	struct error err = { 0 };
	process_with_life(3000);
	struct s3_keyring *r = keyring(&s);
	process("exit 3");
	sleep_ms(2400);
	assert_int_equal(s3_keyring_get(r, &k, &err), 0); /* tried, and the old ones go on */
	s3_keys_unref(k);
	assert_int_equal(s3_keyring_get(r, &k, &err), 0); /* not tried again at once */
	assert_int_equal(process_runs(), 2);
	s3_keys_unref(k);
	sleep_ms(700);
	assert_int_equal(s3_keyring_get(r, &k, &err), ERR_STORE_ACCESS);
	assert_non_null(strstr(err.text, "have expired, and new ones did not come: the credential_process of [default] failed (exit 3)"));
	process_with_life(60000);
	sleep_ms(4000);
	assert_int_equal(s3_keyring_get(r, &k, &err), 0);
	assert_true(k->expires > clock_now());
	s3_keys_unref(k);
	s3_keyring_free(r);
	s3_settings_done(&s);
}

static void test_keys_that_the_server_refuses_are_replaced_once(void **state)
{
	struct s3_settings s;
	struct s3_keys *old, *now;
	process_with_life(60000);
	struct s3_keyring *r = keyring(&s);
	assert_int_equal(s3_keyring_get(r, &old, NULL), 0);
	assert_true(s3_keyring_replace(r, old));
	assert_true(s3_keyring_replace(r, old)); /* has been */
	assert_int_equal(process_runs(), 2);
	assert_int_equal(s3_keyring_get(r, &now, NULL), 0);
	assert_string_not_equal(now->id, old->id);
	process("exit 1");
	assert_false(s3_keyring_replace(r, now));
	s3_keys_unref(old);
	s3_keys_unref(now);
	s3_keyring_free(r);
	s3_settings_done(&s);
}

static int make_all(void **state)
{
	int r = make_files(state);
	snprintf(runs, sizeof runs, "%s/runs", aws_dir);
	return r;
}

static int remove_all(void **state)
{
	unlink(runs);
	return remove_files(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_json_is_taken, fresh),
		cmocka_unit_test_setup(test_json_is_refused, fresh),
		cmocka_unit_test_setup(test_answers_of_the_token_service, fresh),
		cmocka_unit_test_setup(test_credentials, fresh),
		cmocka_unit_test_setup(test_the_first_that_is_there_is_used, fresh),
		cmocka_unit_test_setup(test_a_profile_of_the_url_is_not_the_environment, fresh),
		cmocka_unit_test_setup(test_what_only_others_can_follow_is_said, fresh),
		cmocka_unit_test_setup(test_containers_are_asked_near_by_only, fresh),
		cmocka_unit_test_setup(test_a_process_fails, fresh),
		cmocka_unit_test_setup(test_threads_share_one_renewal, fresh_without_runs),
		cmocka_unit_test_setup(test_a_renewal_that_fails, fresh_without_runs),
		cmocka_unit_test_setup(test_keys_that_the_server_refuses_are_replaced_once, fresh_without_runs),
	};
	return cmocka_run_group_tests(tests, make_all, remove_all);
}

/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/store/awsfile.h"
#include "core/store/s3_keys.h"
#include "core/store/s3_settings.h"

static const char *const variables[] = {
	"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL",
	"AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
};

static char dir[] = "/tmp/s3-settings-XXXXXX";
static char config[64], credentials[64];

static void write_file(const char *path, const char *content)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(content, f);
	assert_int_equal(fclose(f), 0);
}

static int fresh(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		unsetenv(variables[i]);
	write_file(config, "");
	write_file(credentials, "");
	return 0;
}

static struct s3_settings settings(const char *url)
{
	struct s3_settings s;
	struct error err = { 0 };
	int r = s3_settings_read(url, &s, &err);
	if (r < 0)
		fail_msg("%s: %s", url, error_text(&err, r));
	return s;
}

static void assert_refused(const char *url, const char *why)
{
	struct s3_settings s;
	struct error err = { 0 };
	assert_int_equal(s3_settings_read(url, &s, &err), -EINVAL);
	if (!strstr(err.text, why))
		fail_msg("%s: said \"%s\"", url, err.text);
	s3_settings_done(&s);
}

static void test_defaults(void **state)
{
	struct s3_settings s = settings("s3://bucket");
	assert_string_equal(s.bucket, "bucket");
	assert_string_equal(s.prefix, "");
	assert_string_equal(s.endpoint, "https://s3.us-east-1.amazonaws.com");
	assert_string_equal(s.host, "bucket.s3.us-east-1.amazonaws.com");
	assert_true(s.tls && !s.path_style && !s.v2);
	s3_settings_done(&s);
	s = settings("s3://a.b//x/y/?region=cn-north-1");
	assert_string_equal(s.prefix, "x/y/");
	assert_string_equal(s.host, "s3.cn-north-1.amazonaws.com.cn");
	assert_true(s.path_style);
	s3_settings_done(&s);
}

static void test_parameters(void **state)
{
	struct s3_settings s = settings("s3://bucket/p?endpoint=http%3A%2F%2F[::1]:8333/&region=x&signature=v2&timeout=7s&"
	                                "cache=512M&path-style=false");
	assert_string_equal(s.endpoint, "http://[::1]:8333");
	assert_string_equal(s.host, "bucket.[::1]:8333");
	assert_true(s.v2 && !s.tls && !s.path_style);
	assert_int_equal(s.timeout_ns, 7 * NS_PER_S);
	assert_int_equal(s.cache, 512 << 20);
	s3_settings_done(&s);
	s = settings("s3://bucket?endpoint=https://h:443&cache=0");
	assert_string_equal(s.host, "h");
	assert_true(s.path_style && s.tls && !s.cache);
	s3_settings_done(&s);
}

static void test_refused(void **state)
{
	assert_refused("s3://", "no name of a bucket");
	assert_refused("s3://k:s@bucket", "a secret is not taken");
	assert_refused("s3://bucket?aws_secret_access_key=x", "a secret is not taken");
	assert_refused("s3://bucket?endpoint=https://k:s@host", "a secret is not taken");
	assert_refused("s3://bucket?x=1", "is no setting");
	assert_refused("s3://bucket?signature=v3", "cannot be 'v3'");
	assert_refused("s3://bucket?timeout=0", "cannot be '0'");
	assert_refused("s3://bucket?cache=1X", "cannot be '1X'");
	assert_refused("s3://bucket?path-style=maybe", "cannot be 'maybe'");
	assert_refused("s3://bucket?endpoint=ftp://h", "no http:// or https:// URL");
	assert_refused("s3://bucket?endpoint=http://h/path", "more than a host and a port");
	assert_refused("s3://bucket?region=a/b", "is none");
	assert_refused("s3://bucket/a b", "the prefix is");
	assert_refused("s3://bucket/a/../b", "the prefix is");
	assert_refused("s3://bucket/a%00b", "the prefix is");
}

static void test_files_and_environment(void **state)
{
	write_file(config, "[default]\nregion = r-default\nendpoint_url = http://default:1\n"
	                   "[profile dev]\n# a comment\nregion=r-dev ; another\nservices = mine\nca_bundle = /dev/null\ns3 =\n"
	                   "  addressing_style = virtual\n  other = 1\noutput = json\n"
	                   "[services mine]\ndynamodb =\n  endpoint_url = http://wrong\ns3 =\n  endpoint_url = http://mine:2\n");
	struct s3_settings s = settings("s3://bucket");
	assert_string_equal(s.region, "r-default");
	assert_string_equal(s.endpoint, "http://default:1");
	assert_true(s.path_style);
	s3_settings_done(&s);
	setenv("AWS_PROFILE", "dev", 1);
	s = settings("s3://bucket");
	assert_string_equal(s.region, "r-dev");
	assert_string_equal(s.endpoint, "http://mine:2");
	assert_string_equal(s.ca_bundle, "/dev/null");
	assert_true(!s.path_style);
	s3_settings_done(&s);
	setenv("AWS_REGION", "r-env", 1);
	setenv("AWS_ENDPOINT_URL", "http://env:3", 1);
	s = settings("s3://bucket?profile=default");
	assert_string_equal(s.profile, "default");
	assert_string_equal(s.region, "r-env");
	assert_string_equal(s.endpoint, "http://env:3");
	s3_settings_done(&s);
	setenv("AWS_ENDPOINT_URL_S3", "http://env:4", 1);
	s = settings("s3://bucket?region=r-url");
	assert_string_equal(s.region, "r-url");
	assert_string_equal(s.endpoint, "http://env:4");
	assert_string_equal(s.endpoint_from, "AWS_ENDPOINT_URL_S3");
	s3_settings_done(&s);
}

static void test_unreadable_certificates_are_refused_where_there_is_tls(void **state)
{
	struct s3_settings s;
	struct error err = { 0 };
	setenv("AWS_CA_BUNDLE", "/nonexistent/ca.pem", 1);
	assert_int_equal(s3_settings_read("s3://bucket", &s, &err), -EINVAL);
	assert_string_equal(err.text, "cannot read the certificates in /nonexistent/ca.pem, named by AWS_CA_BUNDLE: "
	                              "No such file or directory");
	s3_settings_done(&s);
	s = settings("s3://bucket?endpoint=http://h");
	s3_settings_done(&s);
}

/* "ID SECRET TOKEN SOURCE", or the error. */
static void assert_keys(const char *expected)
{
	struct s3_settings s = settings("s3://bucket");
	struct s3_keys *k = NULL;
	struct error err = { 0 };
	char said[600];
	if (s3_keys_find(&s, &k, &err) == 0)
		snprintf(said, sizeof said, "%s %s %s %s", k->id, k->secret, k->token ? k->token : "-", k->source);
	else
		snprintf(said, sizeof said, "%s", err.text);
	s3_keys_unref(k);
	s3_settings_done(&s);
	if (!strstr(said, expected))
		fail_msg("\"%s\" is not in \"%s\"", expected, said);
}

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

static void test_odd_files(void **state)
{
	static const char *const texts[] = { "[", "]", "[]\n=\n", "a=b", "[default]\n  x=1\n[default", "\0", "=[default]=",
		                             "[default]\naws_access_key_id" };
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		char *value = NULL;
		struct str s = { texts[i], strlen(texts[i]) };
		assert_int_equal(aws_file_get(s, "default", NULL, "aws_access_key_id", &value), 0);
		assert_null(value);
		assert_int_equal(aws_file_get(s, "default", "s3", "x", &value), 0);
		assert_null(value);
	}
	_buf_ struct buf out = BUF_INIT(100);
	assert_int_equal(aws_file_read("/nonexistent/file", &out, NULL), 0);
	assert_int_equal(out.len, 0);
	assert_true(aws_file_read(dir, &out, NULL) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_defaults, fresh),   cmocka_unit_test_setup(test_parameters, fresh),
		cmocka_unit_test_setup(test_refused, fresh),    cmocka_unit_test_setup(test_files_and_environment, fresh),
		cmocka_unit_test_setup(test_unreadable_certificates_are_refused_where_there_is_tls, fresh),
		cmocka_unit_test_setup(test_credentials, fresh), cmocka_unit_test_setup(test_odd_files, fresh),
	};
	if (!mkdtemp(dir))
		return 1;
	snprintf(config, sizeof config, "%s/config", dir);
	snprintf(credentials, sizeof credentials, "%s/credentials", dir);
	setenv("AWS_CONFIG_FILE", config, 1);
	setenv("AWS_SHARED_CREDENTIALS_FILE", credentials, 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	int failed = cmocka_run_group_tests(tests, NULL, NULL);
	unlink(config);
	unlink(credentials);
	rmdir(dir);
	return failed;
}

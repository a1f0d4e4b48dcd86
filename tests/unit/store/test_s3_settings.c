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
#include "aws_files.h"

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
	assert_true(aws_file_read(aws_dir, &out, NULL) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_defaults, fresh),   cmocka_unit_test_setup(test_parameters, fresh),
		cmocka_unit_test_setup(test_refused, fresh),    cmocka_unit_test_setup(test_files_and_environment, fresh),
		cmocka_unit_test_setup(test_unreadable_certificates_are_refused_where_there_is_tls, fresh),
		cmocka_unit_test_setup(test_odd_files, fresh),
	};
	return cmocka_run_group_tests(tests, make_files, remove_files);
}

/* SPDX-License-Identifier: MIT */

/* AWS's published examples: those of the S3 API reference, and of the signature version 4 test suite. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/store/digest.h"
#include "core/store/sigv4.h"

#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static const struct sigv4_keys s3_keys = { "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY" };
static const struct sigv4_keys suite_keys = { "AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY" };

static void assert_signature(const struct sigv4_request *r, const struct sigv4_keys *keys, const char *signature)
{
	_buf_ struct buf out = BUF_INIT(4096);
	assert_int_equal(sigv4_authorization(r, keys, &out), 0);
	buf_u8(&out, 0);
	const char *at = strstr((char *)out.data, "Signature=");
	assert_non_null(at);
	assert_string_equal(at + strlen("Signature="), signature);
}

static struct sigv4_request of_s3(const char *method, const char *path, const char *query,
                                  const struct sigv4_header *headers, size_t n, const char *payload)
{
	return (struct sigv4_request){ method,  path, query, headers, n, payload, "20130524T000000Z", "us-east-1",
		                       "s3" };
}

static void test_get_of_a_range(void **state)
{
	static const struct sigv4_header headers[] = { { "host", "examplebucket.s3.amazonaws.com" },
		                                       { "range", "bytes=0-9" },
		                                       { "x-amz-content-sha256", EMPTY },
		                                       { "x-amz-date", "20130524T000000Z" } };
	struct sigv4_request r = of_s3("GET", "/test.txt", "", headers, 4, EMPTY);
	_buf_ struct buf out = BUF_INIT(4096);
	assert_int_equal(sigv4_authorization(&r, &s3_keys, &out), 0);
	buf_u8(&out, 0);
	assert_string_equal((char *)out.data,
	                    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, "
	                    "SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, "
	                    "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void test_put(void **state)
{
	static const char payload[] = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
	static const struct sigv4_header headers[] = { { "date", "Fri, 24 May 2013 00:00:00 GMT" },
		                                       { "host", "examplebucket.s3.amazonaws.com" },
		                                       { "x-amz-content-sha256", payload },
		                                       { "x-amz-date", "20130524T000000Z" },
		                                       { "x-amz-storage-class", "REDUCED_REDUNDANCY" } };
	struct sigv4_request r = of_s3("PUT", "/test%24file.text", "", headers, 5, payload);
	assert_signature(&r, &s3_keys, "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void test_queries(void **state)
{
	static const struct sigv4_header headers[] = { { "host", "examplebucket.s3.amazonaws.com" },
		                                       { "x-amz-content-sha256", EMPTY },
		                                       { "x-amz-date", "20130524T000000Z" } };
	struct sigv4_request lifecycle = of_s3("GET", "/", "lifecycle=", headers, 3, EMPTY);
	assert_signature(&lifecycle, &s3_keys, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
	struct sigv4_request list = of_s3("GET", "/", "max-keys=2&prefix=J", headers, 3, EMPTY);
	assert_signature(&list, &s3_keys, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

/* get-vanilla, get-utf8, get-vanilla-query-order-key-case and post-vanilla of the test suite. */
static void test_of_the_suite(void **state)
{
	static const struct sigv4_header headers[] = { { "host", "example.amazonaws.com" },
		                                       { "x-amz-date", "20150830T123600Z" } };
	static const struct {
		const char *method, *path, *query, *signature;
	} cases[] = {
		{ "GET", "/", "", "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31" },
		{ "GET", "/%E1%88%B4", "", "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85" },
		{ "GET", "/", "Param1=value1&Param2=value2",
		  "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500" },
		{ "POST", "/", "", "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sigv4_request r = { cases[i].method,    cases[i].path, cases[i].query, headers,  2, EMPTY,
			                   "20150830T123600Z", "us-east-1",   "service" };
		assert_signature(&r, &suite_keys, cases[i].signature);
	}
}

static void test_time(void **state)
{
	struct civil c = { 2015, 8, 30, 12, 36, 0, 999 };
	int64_t t;
	char text[SIGV4_TIME];
	assert_true(civil_to(&c, &t));
	sigv4_time(t, text);
	assert_string_equal(text, "20150830T123600Z");
}

static void test_encoding(void **state)
{
	_buf_ struct buf out = BUF_INIT(4096);
	static const char odd[] = "aZ09-._~/ +=&%\"\xc3\xbc:*'()!$,;@[]\x7f";
	sigv4_encode(&out, (struct str){ odd, strlen(odd) }, true);
	buf_putc(&out, '|');
	sigv4_encode(&out, (struct str){ "a/b", 3 }, false);
	buf_u8(&out, 0);
	assert_string_equal((char *)out.data, "aZ09-._~/%20%2B%3D%26%25%22%C3%BC%3A%2A%27%28%29%21%24%2C%3B%40%5B%5D%7F"
	                                      "|a%2Fb");
}

static void test_digests(void **state)
{
	char sha[SHA256_HEX], md5[MD5_BASE64];
	assert_int_equal(digest_sha256_hex((struct slice){ NULL, 0 }, sha), 0);
	assert_string_equal(sha, EMPTY);
	assert_int_equal(digest_md5_base64((struct slice){ (const uint8_t *)"abc", 3 }, md5), 0);
	assert_string_equal(md5, "kAFQmDzST7DWlj99KOF/cg==");
}

static void test_no_room(void **state)
{
	struct sigv4_header host = { "host", "h" };
	_buf_ struct buf out = BUF_INIT(10);
	_free_ char *path = calloc(1, 70001);
	memset(path, 'a', 70000);
	struct sigv4_request r = of_s3("GET", "/", "", &host, 1, EMPTY);
	assert_int_equal(sigv4_authorization(&r, &s3_keys, &out), ERR_LIMIT_BUFFER);
	r.path = path;
	assert_int_equal(sigv4_authorization(&r, &s3_keys, &out), ERR_LIMIT_BUFFER);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get_of_a_range), cmocka_unit_test(test_put),
		cmocka_unit_test(test_queries),        cmocka_unit_test(test_of_the_suite),
		cmocka_unit_test(test_time),           cmocka_unit_test(test_encoding),
		cmocka_unit_test(test_digests),        cmocka_unit_test(test_no_room),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

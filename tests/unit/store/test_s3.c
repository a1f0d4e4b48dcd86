/* SPDX-License-Identifier: MIT */

/* The S3 store against a server that answers by a script: lost, torn and wrong answers, which real ones seldom give. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>

#include "core/base/clock.h"
#include "core/store/store.h"

#define STEPS_MAX 24
#define HEAD_MAX 4096

enum then { KEEP, CLOSE, STALL };

/* An answer to one request, whatever connection it comes on; NULL: none. */
struct step {
	const char *answer;
	enum then then;
};

static struct server {
	int listener, port;
	pthread_t thread;
	pthread_mutex_t lock;
	const struct step *steps; /* under lock */
	size_t n, at;             /* under lock */
	char heads[STEPS_MAX][HEAD_MAX]; /* under lock: what was asked */
} server = { .lock = PTHREAD_MUTEX_INITIALIZER };

#define OK "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
/* The server puts the length in place of the @. */
#define ANSWER(status, body) "HTTP/1.1 " status "\r\nContent-Length: @\r\n\r\n" body
#define SLOW_DOWN ANSWER("503 Slow Down", "<Error><Code>SlowDown</Code></Error>")
#define EMPTY(status) "HTTP/1.1 " status "\r\nContent-Length: 0\r\n\r\n"

/* The bytes of a request's head and body are read off; the head is kept. false at the connection's end. */
static bool take_request(int fd, char head[HEAD_MAX])
{
	size_t n = 0;
	char *end = NULL;
	while (!end && n < HEAD_MAX - 1) {
		ssize_t got = recv(fd, head + n, HEAD_MAX - 1 - n, 0);
		if (got <= 0)
			return false;
		n += (size_t)got;
		head[n] = '\0';
		end = strstr(head, "\r\n\r\n");
	}
	if (!end)
		return false;
	const char *length = strcasestr(head, "\r\ncontent-length:");
	size_t body = length ? strtoul(length + 17, NULL, 10) : 0, have = n - (size_t)(end + 4 - head);
	char waste[4096];
	end[2] = '\0';
	for (ssize_t got; have < body; have += (size_t)got)
		if ((got = recv(fd, waste, MIN(body - have, sizeof waste), 0)) <= 0)
			return false;
	return true;
}

static struct step next_step(const char *head)
{
	struct step s = { EMPTY("599 Unexpected"), CLOSE };
	pthread_mutex_lock(&server.lock);
	if (server.at < STEPS_MAX)
		strcpy(server.heads[server.at], head);
	if (server.at < server.n)
		s = server.steps[server.at];
	server.at++;
	pthread_mutex_unlock(&server.lock);
	return s;
}

static bool send_answer(int fd, const char *answer)
{
	const char *at = strstr(answer, "@\r\n\r\n");
	_free_ char *all = NULL;
	if (at && asprintf(&all, "%.*s%zu%s", (int)(at - answer), answer, strlen(at + 5), at + 1) < 0)
		return false;
	const char *bytes = at ? all : answer;
	return send(fd, bytes, strlen(bytes), MSG_NOSIGNAL) >= 0;
}

static void *serve(void *arg)
{
	int fd = (int)(intptr_t)arg;
	char head[HEAD_MAX];
	while (take_request(fd, head)) {
		struct step s = next_step(head);
		if (s.answer && !send_answer(fd, s.answer))
			break;
		if (s.then == STALL)
			while (recv(fd, head, sizeof head, 0) > 0)
				;
		if (s.then != KEEP)
			break;
	}
	close(fd);
	return NULL;
}

static void *accept_all(void *arg)
{
	for (int fd; (fd = accept(server.listener, NULL, NULL)) >= 0;) {
		pthread_t t;
		if (pthread_create(&t, NULL, serve, (void *)(intptr_t)fd) == 0)
			pthread_detach(t);
	}
	return NULL;
}

static int start_server(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof a;
	server.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(server.listener, (struct sockaddr *)&a, n) || listen(server.listener, 64) ||
	    getsockname(server.listener, (struct sockaddr *)&a, &n))
		return -1;
	server.port = ntohs(a.sin_port);
	setenv("AWS_ACCESS_KEY_ID", "AKIATEST", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
	setenv("AWS_CONFIG_FILE", "/dev/null", 1);
	setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null", 1);
	setenv("no_proxy", "*", 1);
	return pthread_create(&server.thread, NULL, accept_all, NULL);
}

static int stop_server(void **state)
{
	shutdown(server.listener, SHUT_RDWR);
	pthread_join(server.thread, NULL);
	close(server.listener);
	return 0;
}

static void script(const struct step *steps, size_t n)
{
	pthread_mutex_lock(&server.lock);
	server.steps = steps;
	server.n = n;
	server.at = 0;
	memset(server.heads, 0, sizeof server.heads);
	pthread_mutex_unlock(&server.lock);
}

#define SCRIPT(...)                                                                                \
	static const struct step steps_[] = { __VA_ARGS__ };                                       \
	script(steps_, ARRAY_SIZE(steps_))

static void assert_asked(size_t n)
{
	pthread_mutex_lock(&server.lock);
	size_t at = server.at;
	pthread_mutex_unlock(&server.lock);
	assert_int_equal(at, n);
}

static void assert_head(size_t i, const char *part)
{
	if (!strcasestr(server.heads[i], part))
		fail_msg("request %zu has no \"%s\":\n%s", i, part, server.heads[i]);
}

static struct store *open_store(const char *more)
{
	char url[200];
	struct store *s = NULL;
	struct error err = { 0 };
	snprintf(url, sizeof url, "s3://bucket/pre?endpoint=http://127.0.0.1:%d&timeout=3%s", server.port, more);
	int r = store_open(url, &(struct store_options){ 0 }, &s, &err);
	if (r < 0)
		fail_msg("%s", error_text(&err, r));
	return s;
}

static struct slice text(const char *s)
{
	return (struct slice){ (const uint8_t *)s, strlen(s) };
}

/* Runs put_if_absent against what was scripted. */
static void assert_create(int code, size_t asked)
{
	struct store *s = open_store("");
	struct error err = { 0 };
	int r = store_put_if_absent(s, "a/b", text("x"), &err);
	if (r != code)
		fail_msg("%s: %s", err_name(r), error_text(&err, r));
	if (r < 0)
		assert_non_null(strstr(err.text, "a/b"));
	store_free(s);
	assert_asked(asked);
	for (size_t i = 0; i < asked; i++)
		assert_head(i, "\r\nif-none-match: *");
}

/* --- what is sent --- */

static void test_requests_are_signed(void **state)
{
	SCRIPT({ OK }, { EMPTY("206 Partial") }, { EMPTY("204 No Content") });
	struct store *s = open_store("&region=eu-west-1");
	assert_int_equal(store_put(s, "a/~x%41.F", text("hello"), NULL), 0);
	assert_head(0, "PUT /bucket/pre/a/~x%2541.F HTTP/1.1\r\n");
	assert_head(0, "authorization: AWS4-HMAC-SHA256 Credential=AKIATEST/");
	assert_head(0, "/eu-west-1/s3/aws4_request, SignedHeaders=host;x-amz-content-sha256;x-amz-date, Signature=");
	assert_head(0, "x-amz-content-sha256: "
	               "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824\r\n");
	assert_head(0, "Content-Length: 5\r\n");
	char host[64];
	snprintf(host, sizeof host, "host: 127.0.0.1:%d\r\n", server.port);
	assert_head(0, host);
	assert_null(strcasestr(server.heads[0], "expect:"));
	assert_null(strcasestr(server.heads[0], "content-type:"));
	store_free(s);
}

static void test_session_token(void **state)
{
	SCRIPT({ OK });
	setenv("AWS_SESSION_TOKEN", "tok/en==", 1);
	struct store *s = open_store("");
	unsetenv("AWS_SESSION_TOKEN");
	assert_int_equal(store_put(s, "a", text(""), NULL), 0);
	assert_head(0, "x-amz-security-token: tok/en==\r\n");
	assert_head(0, "x-amz-date;x-amz-security-token, ");
	store_free(s);
}

/* --- creating --- */

static void test_create_and_lose(void **state)
{
	SCRIPT({ OK });
	assert_create(0, 1);
	static const struct step lost[] = { { EMPTY("412 Precondition Failed") } };
	script(lost, 1);
	assert_create(ERR_STORE_EXISTS, 1);
}

static void test_a_412_after_a_lost_answer_may_be_our_own(void **state)
{
	SCRIPT({ NULL, CLOSE }, { EMPTY("412 Precondition Failed") });
	assert_create(ERR_STORE_UNKNOWN, 2);
}

static void test_a_412_after_a_server_error_may_be_our_own(void **state)
{
	SCRIPT({ EMPTY("500 Oops") }, { EMPTY("412 Precondition Failed") });
	assert_create(ERR_STORE_UNKNOWN, 2);
	static const struct step gateway[] = { { EMPTY("503 From a proxy") }, { EMPTY("412 Precondition Failed") } };
	script(gateway, 2);
	assert_create(ERR_STORE_UNKNOWN, 2);
}

static void test_a_412_after_a_refusal_is_another_s(void **state)
{
	SCRIPT({ SLOW_DOWN }, { EMPTY("409 Conflict") }, { EMPTY("429 Too Many") },
	       { EMPTY("412 Precondition Failed") });
	assert_create(ERR_STORE_EXISTS, 4);
}

static void test_conflicts_are_repeated(void **state)
{
	SCRIPT({ ANSWER("409 Conflict", "<Error><Code>ConditionalRequestConflict</Code></Error>") }, { OK });
	assert_create(0, 2);
	struct step lasting[5];
	for (size_t i = 0; i < ARRAY_SIZE(lasting); i++)
		lasting[i] = (struct step){ ANSWER("409 Conflict", "<Error><Code>ObjectParentIsFile</Code></Error>") };
	script(lasting, ARRAY_SIZE(lasting));
	assert_create(ERR_STORE, ARRAY_SIZE(lasting));
}

/* A kept connection that dies under a request is no reason to send a create twice and believe the second answer. */
static void test_a_create_on_a_dead_connection(void **state)
{
	SCRIPT({ OK, KEEP }, { NULL, CLOSE }, { EMPTY("412 Precondition Failed") });
	struct store *s = open_store("");
	assert_int_equal(store_put(s, "first", text("x"), NULL), 0);
	assert_int_equal(store_put_if_absent(s, "second", text("x"), NULL), ERR_STORE_UNKNOWN);
	assert_asked(3);
	store_free(s);
}

static void test_writes_that_never_hear(void **state)
{
	SCRIPT({ NULL, STALL }, { NULL, STALL }, { NULL, STALL }, { NULL, STALL });
	struct store *s = open_store("");
	int64_t begin = clock_monotonic();
	assert_int_equal(store_put(s, "a", text("x"), NULL), ERR_STORE_UNKNOWN);
	assert_in_range(clock_monotonic() - begin, 2 * NS_PER_S, 8 * NS_PER_S);
	store_free(s);
}

static void test_nobody_listens(void **state)
{
	struct store *s = NULL;
	struct error err = { 0 };
	const char *url = "s3://bucket?endpoint=http://127.0.0.1:1&timeout=1";
	assert_int_equal(store_open(url, &(struct store_options){ 0 }, &s, NULL), 0);
	assert_int_equal(store_put(s, "a", text("x"), &err), ERR_STORE_TIMEOUT);
	assert_non_null(strstr(err.text, "127.0.0.1"));
	struct store_counts n;
	store_counters(s, &n);
	assert_true(n.retries >= 1 && n.put == n.retries + 1 && n.errors == 1);
	store_free(s);
}

/* --- reading --- */

#define PART(range, length, body) \
	"HTTP/1.1 206 Partial\r\nContent-Range: bytes " range "\r\nContent-Length: " length "\r\n\r\n" body

static void assert_read(int code, const char *bytes)
{
	struct store *s = open_store("");
	uint8_t out[5] = { 0 };
	struct store_range r = { 2, 5, out };
	struct error err = { 0 };
	int e = store_read(s, "k", &r, 1, &err);
	if (e != code)
		fail_msg("%s: %s", err_name(e), error_text(&err, e));
	if (code == 0)
		assert_memory_equal(out, bytes, 5);
	store_free(s);
	assert_head(0, "GET /bucket/pre/k HTTP/1.1\r\n");
	assert_head(0, "range: bytes=2-6\r\n");
}

static void test_truncated_reads_are_repeated(void **state)
{
	SCRIPT({ PART("2-6/10", "5", "23"), CLOSE }, { PART("2-6/10", "5", ""), CLOSE }, { EMPTY("500 Oops") },
	       { PART("2-6/10", "5", "23456") });
	assert_read(0, "23456");
	assert_asked(4);
}

static void test_wrong_ranges_are_not_believed(void **state)
{
	static const char *const answers[] = {
		PART("1-5/10", "5", "12345"), PART("2-7/10", "6", "234567"), ANSWER("200 OK", "0123456789"),
		PART("2-6/10", "4", "2345"),  PART("nonsense", "5", "23456"),
		"HTTP/1.1 206 Partial\r\nContent-Length: 5\r\n\r\n23456",
	};
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct step step = { answers[i] };
		script(&step, 1);
		assert_read(ERR_STORE, NULL);
	}
	static const struct step shorter[] = { { PART("2-4/5", "3", "234") } };
	script(shorter, 1);
	assert_read(ERR_STORE_RANGE, NULL);
	static const struct step outside[] = { { EMPTY("416 Range") } };
	script(outside, 1);
	assert_read(ERR_STORE_RANGE, NULL);
}

static void test_a_stalled_read(void **state)
{
	SCRIPT({ PART("2-6/10", "5", "23"), STALL }, { PART("2-6/10", "5", "23456") });
	struct store *s = open_store("");
	uint8_t out[5];
	struct store_range r = { 2, 5, out };
	int e = store_read(s, "k", &r, 1, NULL);
	assert_true(e == ERR_STORE_TIMEOUT || e == 0);
	store_free(s);
}

static void test_near_ranges_are_one_request(void **state)
{
	SCRIPT({ PART("2-9/10", "8", "23456789") });
	struct store *s = open_store("");
	uint8_t a[2], b[3], c[4];
	struct store_range r[] = { { 7, 3, b }, { 2, 2, a }, { 3, 4, c } };
	assert_int_equal(store_read(s, "k", r, 3, NULL), 0);
	assert_asked(1);
	assert_memory_equal(a, "23", 2);
	assert_memory_equal(b, "789", 3);
	assert_memory_equal(c, "3456", 4);
	store_free(s);
}

static void test_tails(void **state)
{
	SCRIPT({ PART("7-9/10", "3", "7"), CLOSE }, { PART("7-9/10", "3", "789") },
	       { ANSWER("200 OK", "ab") }, { PART("0-1/10", "2", "01") }, { ANSWER("200 OK", "too long ") });
	struct store *s = open_store("");
	_buf_ struct buf out = BUF_INIT(100);
	uint64_t size = 0;
	buf_puts(&out, "<");
	assert_int_equal(store_tail(s, "k", 3, &out, &size, NULL), 0);
	assert_head(0, "range: bytes=-3\r\n");
	assert_int_equal(size, 10);
	assert_int_equal(store_tail(s, "k", 3, &out, &size, NULL), 0);
	assert_int_equal(size, 2);
	assert_memory_equal(out.data, "<789ab", 6);
	assert_int_equal(store_tail(s, "k", 3, &out, &size, NULL), ERR_STORE);
	assert_int_equal(store_tail(s, "k", 3, &out, &size, NULL), ERR_STORE);
	assert_int_equal(out.len, 6);
	store_free(s);
}

/* --- listing --- */

#define ITEM(key)                                                                                  \
	"<Contents><Key>" key "</Key><Size>1</Size>"                                               \
	"<LastModified>2026-11-22T10:00:00.000Z</LastModified></Contents>"
#define PAGE(more, items)                                                                          \
	"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"                                              \
	"<?xml version=\"1.0\"?><ListBucketResult>" items more "</ListBucketResult>"

static int join(void *ctx, const char *key, const struct store_stat *st)
{
	buf_printf(ctx, "%s ", key);
	return 0;
}

static void assert_list(int code, const char *keys)
{
	struct store *s = open_store("");
	_buf_ struct buf out = BUF_INIT(1000);
	struct error err = { 0 };
	int r = store_list(s, "", NULL, 0, join, &out, &err);
	buf_u8(&out, 0);
	if (r != code)
		fail_msg("%s: %s", err_name(r), error_text(&err, r));
	if (keys)
		assert_string_equal((char *)out.data, keys);
	store_free(s);
}

static void test_pages(void **state)
{
	SCRIPT({ PAGE("<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
	              "<NextContinuationToken>t+/=</NextContinuationToken>",
	              ITEM("pre/b") ITEM("pre/a%2Fx")), CLOSE },
	       { EMPTY("503 Busy"), CLOSE },
	       { PAGE("<IsTruncated>false</IsTruncated>", ITEM("pre/c%41") ITEM("other/d") ITEM("pre/b")), CLOSE });
	assert_list(0, "a/x b c%41 ");
	assert_head(0, "GET /bucket?encoding-type=url&list-type=2&max-keys=1000&prefix=pre%2F HTTP/1.1");
	assert_head(2, "GET /bucket?continuation-token=t%2B%2F%3D&encoding-type=url&list-type=2&");
}

static void test_listings_that_mislead(void **state)
{
	static const char *const answers[] = {
		PAGE("<IsTruncated>true</IsTruncated>", ITEM("pre/a")),
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nnot xml",
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<html></html>",
		"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n<!DOCTYPE a [<!ENTITY x \"y\">]><ListBucketResult/>",
		PAGE("", "<Contents><Key>pre/a</Key><Size>x</Size></Contents>"),
		PAGE("", "<Contents><Size>1</Size></Contents>"),
		PAGE("<a><b><c><d><e><f><g><h>", "</h></g></f></e></d></c></b></a>"),
	};
	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		struct step step = { answers[i], CLOSE };
		script(&step, 1);
		assert_list(ERR_STORE, NULL);
	}
	SCRIPT({ PAGE("<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>", ""), CLOSE },
	       { PAGE("<IsTruncated>true</IsTruncated><NextContinuationToken>t</NextContinuationToken>", ""), CLOSE });
	assert_list(ERR_STORE, "");
}

/* --- errors and renewal --- */

static void assert_put(int code, const char *why)
{
	struct store *s = open_store("");
	struct error err = { 0 };
	assert_int_equal(store_put(s, "a", text("x"), &err), code);
	if (why && !strstr(err.text, why))
		fail_msg("said \"%s\"", err.text);
	store_free(s);
}

static void test_errors_are_told(void **state)
{
	SCRIPT({ ANSWER("403 Forbidden",
	                "<Error><Code>AccessDenied</Code><Message>no &lt;way&gt;</Message></Error>") });
	assert_put(ERR_STORE_ACCESS, "403 AccessDenied: no <way>");
	static const struct step region[] = {
		{ "HTTP/1.1 301 Moved\r\nx-amz-bucket-region: eu-north-1\r\nContent-Length: 0\r\n\r\n" } };
	script(region, 1);
	assert_put(ERR_STORE, "is in region eu-north-1: set AWS_REGION");
	static const struct step bucket[] = { { ANSWER("404 Not Found", "<Error><Code>NoSuchBucket</Code></Error>") } };
	script(bucket, 1);
	assert_put(ERR_STORE, "there is no bucket 'bucket'");
}

static void test_heads_without_end(void **state)
{
	enum { LINES = 3000 };
	_buf_ struct buf out = BUF_INIT(1 << 20);
	buf_puts(&out, "HTTP/1.1 200 OK\r\n");
	for (int i = 0; i < LINES; i++)
		buf_printf(&out, "x-amz-meta-%d:\r\n: \r\nETag: %0200d\r\n", i, i);
	buf_puts(&out, "Content-Length: 0\r\n\r\n");
	buf_u8(&out, 0);
	struct step steps[4] = { { (char *)out.data, CLOSE }, { OK }, { OK }, { OK } };
	script(steps, 4);
	assert_put(0, NULL);
}

static void test_a_clock_that_is_wrong(void **state)
{
	SCRIPT({ "HTTP/1.1 403 Forbidden\r\nDate: Mon, 01 Jan 2035 10:00:00 GMT\r\nContent-Length: @\r\n\r\n"
	         "<Error><Code>RequestTimeTooSkewed</Code></Error>", CLOSE }, { OK }, { OK });
	struct store *s = open_store("");
	int64_t now;
	assert_int_equal(store_put(s, "a", text("x"), NULL), 0);
	assert_head(1, "x-amz-date: 20350101T1000");
	assert_int_equal(store_now(s, &now, NULL), 0);
	assert_asked(2);
	assert_in_range(now, INT64_C(2051258400) * NS_PER_S, INT64_C(2051258420) * NS_PER_S);
	store_free(s);
}

static void test_now_asks_where_nothing_was_heard(void **state)
{
	SCRIPT({ "HTTP/1.1 200 OK\r\nDate: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Length: 0\r\n\r\n" });
	struct store *s = open_store("");
	int64_t now, later;
	assert_int_equal(store_now(s, &now, NULL), 0);
	assert_head(0, "HEAD /bucket HTTP/1.1");
	usleep(2000);
	assert_int_equal(store_now(s, &later, NULL), 0);
	assert_in_range(later - now, 2 * NS_PER_MS, NS_PER_S);
	assert_asked(1);
	store_free(s);
}

static void test_expired_tokens_are_renewed(void **state)
{
	SCRIPT({ ANSWER("400 Bad Request", "<Error><Code>ExpiredToken</Code></Error>") }, { OK });
	struct store *s = open_store("");
	setenv("AWS_ACCESS_KEY_ID", "AKIANEXT", 1);
	assert_int_equal(store_put(s, "a", text("x"), NULL), 0);
	setenv("AWS_ACCESS_KEY_ID", "AKIATEST", 1);
	assert_head(1, "Credential=AKIANEXT/");
	store_free(s);
}

/* --- many and large --- */

static void test_bulk_removal_and_without(void **state)
{
	const char *keys[] = { "a", "b" };
	SCRIPT({ ANSWER("200 OK", "<DeleteResult></DeleteResult>") },
	       { ANSWER("200 OK",
	                "<DeleteResult><Error><Key>pre/b</Key><Code>AccessDenied</Code></Error></DeleteResult>") },
	       { EMPTY("501 Not There") }, { EMPTY("204 No") }, { EMPTY("404 No") }, { EMPTY("204 No") },
	       { EMPTY("204 No") });
	struct store *s = open_store("");
	struct error err = { 0 };
	assert_int_equal(store_remove_many(s, keys, 2, NULL), 0);
	assert_head(0, "POST /bucket?delete= HTTP/1.1");
	assert_head(0, "content-md5: ");
	assert_int_equal(store_remove_many(s, keys, 2, &err), ERR_STORE_ACCESS);
	assert_non_null(strstr(err.text, "pre/b"));
	assert_int_equal(store_remove_many(s, keys, 2, NULL), 0);
	assert_int_equal(store_remove_many(s, keys, 2, NULL), 0);
	assert_asked(7);
	assert_head(3, "DELETE /bucket/pre/");
	store_free(s);
}

static int zeros(void *ctx, uint64_t off, uint8_t *out, size_t n, struct error *err)
{
	memset(out, 0, n);
	return 0;
}

#define BEGUN \
	ANSWER("200 OK", \
	       "<InitiateMultipartUploadResult><UploadId>u=1</UploadId></InitiateMultipartUploadResult>")
#define TAKEN "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 0\r\n\r\n"

static int put_large(void)
{
	struct store *s = open_store("");
	struct store_body body = { zeros, NULL, (16 << 20) + 1 };
	int r = store_put_body(s, "big", &body, NULL);
	store_free(s);
	return r;
}

static void test_uploads_in_parts(void **state)
{
	SCRIPT({ BEGUN }, { TAKEN }, { TAKEN }, { TAKEN }, { OK });
	assert_int_equal(put_large(), 0);
	assert_head(0, "POST /bucket/pre/big?uploads= HTTP/1.1");
	assert_head(3, "PUT /bucket/pre/big?partNumber=3&uploadId=u%3D1 HTTP/1.1");
	assert_head(4, "POST /bucket/pre/big?uploadId=u%3D1 HTTP/1.1");
}

static void test_uploads_that_fail_late(void **state)
{
	SCRIPT({ BEGUN }, { TAKEN }, { TAKEN }, { TAKEN },
	       { ANSWER("200 OK", "<Error><Code>InternalError</Code></Error>") }, { EMPTY("204 No") });
	assert_int_equal(put_large(), ERR_STORE);
	assert_asked(6);
	assert_head(5, "DELETE /bucket/pre/big?uploadId=u%3D1 HTTP/1.1");
	static const struct step heard[] = { { BEGUN }, { TAKEN }, { TAKEN }, { TAKEN }, { NULL, CLOSE },
		                             { ANSWER("404 Not Found",
		                                      "<Error><Code>NoSuchUpload</Code></Error>") },
		                             { "HTTP/1.1 200 OK\r\nContent-Length: 16777217\r\n\r\n", CLOSE } };
	script(heard, ARRAY_SIZE(heard));
	assert_int_equal(put_large(), 0);
	assert_head(6, "HEAD /bucket/pre/big HTTP/1.1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_requests_are_signed),
		cmocka_unit_test(test_session_token),
		cmocka_unit_test(test_create_and_lose),
		cmocka_unit_test(test_a_412_after_a_lost_answer_may_be_our_own),
		cmocka_unit_test(test_a_412_after_a_server_error_may_be_our_own),
		cmocka_unit_test(test_a_412_after_a_refusal_is_another_s),
		cmocka_unit_test(test_conflicts_are_repeated),
		cmocka_unit_test(test_a_create_on_a_dead_connection),
		cmocka_unit_test(test_writes_that_never_hear),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_truncated_reads_are_repeated),
		cmocka_unit_test(test_wrong_ranges_are_not_believed),
		cmocka_unit_test(test_a_stalled_read),
		cmocka_unit_test(test_near_ranges_are_one_request),
		cmocka_unit_test(test_tails),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_listings_that_mislead),
		cmocka_unit_test(test_errors_are_told),
		cmocka_unit_test(test_heads_without_end),
		cmocka_unit_test(test_a_clock_that_is_wrong),
		cmocka_unit_test(test_now_asks_where_nothing_was_heard),
		cmocka_unit_test(test_expired_tokens_are_renewed),
		cmocka_unit_test(test_bulk_removal_and_without),
		cmocka_unit_test(test_uploads_in_parts),
		cmocka_unit_test(test_uploads_that_fail_late),
	};
	return cmocka_run_group_tests(tests, start_server, stop_server);
}

/* SPDX-License-Identifier: MIT */

/* Credentials of a role, which a service of the machine or the AWS token service hands out for some hours, by HTTP. */

#include <arpa/inet.h>
#include <string.h>
#include <time.h>

#include "../base/clock.h"
#include "../base/hash.h"
#include "http.h"
#include "s3_keys_from.h"
#include "s3_xml.h"
#include "sigv4.h"

#define CONTAINER "http://169.254.170.2"
#define INSTANCE "http://169.254.169.254"
#define INSTANCE_V6 "http://[fd00:ec2::254]"
#define ROLES "/latest/meta-data/iam/security-credentials/"
#define TEXT_MAX ((size_t)1 << 16)
#define TOKEN_MAX ((size_t)1 << 14)
#define TRIES 3
#define PAUSE_NS (100 * NS_PER_MS)
#define HTTP_OK 200
#define HTTP_NOT_FOUND 404

static const char *env(const char *name)
{
	const char *v = getenv(name);
	return v && *v ? v : NULL;
}

static void wipe(struct buf *b)
{
	if (b->data)
		explicit_bzero(b->data, b->len);
	buf_done(b);
}
#define _secret_buf_ _cleanup_(wipe)

/* --- asking --- */

static void pause_before(unsigned again)
{
	int64_t ns = (PAUSE_NS << again) + (int64_t)(hash_mix((uint64_t)clock_monotonic(), again) % PAUSE_NS);
	nanosleep(&(struct timespec){ .tv_nsec = ns }, NULL);
}

static bool passes(const struct http_request *r)
{
	return r->end != HTTP_ANSWERED || r->answer.status == 429 || r->answer.status >= 500;
}

/* One request, repeated where the failure can pass: the status of the answer. */
static int ask(struct http_client *h, struct http_request *r, unsigned tries, struct error *err)
{
	for (unsigned i = 0; i < tries; i++) {
		struct http_batch batch;
		if (i)
			pause_before(i);
		buf_reset(r->text);
		http_batch_init(&batch);
		int e = http_start(h, &batch, r, err);
		http_batch_wait(&batch);
		http_batch_done(&batch);
		if (e < 0)
			return e;
		if (!passes(r))
			break;
	}
	if (r->end != HTTP_ANSWERED)
		return error_set(err, ERR_STORE_TIMEOUT, "%s: %s", r->url, r->why);
	return r->answer.status;
}

/* Of a service on this machine or beside it: no proxy, and no patience. */
static int local_client(struct http_client **ret, struct error *err)
{
	struct http_options opts = { .connections = 1, .connect_ns = NS_PER_S, .stall_ns = 2 * NS_PER_S,
		                     .no_proxy = true };
	return http_client_new(&opts, ret, err);
}

static int ask_local(struct http_client *h, const char *method, const char *url, const char *header, unsigned tries,
                     struct buf *out, struct error *err)
{
	struct http_request r = { .method = method, .url = url, .headers = &header, .n_headers = header != NULL,
		                  .timeout_ns = 2 * NS_PER_S, .text = out };
	return ask(h, &r, tries, err);
}

static int refused(const char *url, int status, struct error *err)
{
	return error_set(err, ERR_STORE_ACCESS, "%s: the answer is %d", url, status);
}

/* --- a container --- */

/* Credentials go over http only to this machine and to the addresses that AWS has for them. */
static bool host_is_near(struct str host)
{
	static const char *const known[] = { "localhost", "[::1]", "169.254.170.2", "169.254.170.23",
		                             "[fd00:ec2::23]" };
	char name[64];
	struct in_addr a;
	if (host.len >= sizeof name)
		return false;
	snprintf(name, sizeof name, "%.*s", (int)host.len, host.s);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (strcmp(name, known[i]) == 0)
			return true;
	return inet_pton(AF_INET, name, &a) == 1 && ntohl(a.s_addr) >> 24 == 127;
}

static int check_url(const char *url, struct error *err)
{
	if (strncmp(url, "https://", 8) == 0)
		return 0;
	const char *host = strncmp(url, "http://", 7) == 0 ? url + 7 : "";
	size_t n = strcspn(host, "/?#"), len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?#");
	if (!memchr(host, '@', n) && len <= n && host_is_near((struct str){ host, len }))
		return 0;
	return error_set(err, -EINVAL,
	                 "AWS_CONTAINER_CREDENTIALS_FULL_URI is %s: over http only addresses of this machine and of "
	                 "AWS containers are asked for credentials", url);
}

/* "Authorization: TOKEN"; empty where there is no token. */
static int put_authorization(struct buf *out, struct error *err)
{
	_secret_buf_ struct buf token = BUF_INIT(TOKEN_MAX);
	const char *path = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	int r = path ? aws_file_read(path, &token, err) : 0;
	if (r < 0)
		return r;
	if (path && !token.len)
		return error_set(err, ERR_STORE_ACCESS, "%s of AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE has no token",
		                 path);
	if (!path)
		buf_puts(&token, env("AWS_CONTAINER_AUTHORIZATION_TOKEN") ?: "");
	while (token.len && strchr("\r\n ", token.data[token.len - 1]))
		token.len--;
	if (token.len && memchr(token.data, '\n', token.len))
		return error_set(err, -EINVAL, "the container's authorization token has more than one line");
	if (token.len)
		buf_printf(out, "Authorization: %.*s", (int)token.len, (char *)token.data);
	buf_u8(out, 0);
	return buf_err(out) ?: buf_err(&token);
}

static int ask_container(struct s3_keys *k, const char *url, struct error *err)
{
	_cleanup_(http_client_freep) struct http_client *h = NULL;
	_secret_buf_ struct buf text = BUF_INIT(TEXT_MAX), header = BUF_INIT(TOKEN_MAX);
	int r = check_url(url, err) ?: put_authorization(&header, err) ?: local_client(&h, err);
	if (r < 0)
		return r;
	snprintf(k->source, sizeof k->source, "the container's endpoint %.150s", url);
	r = ask_local(h, "GET", url, header.len > 1 ? (char *)header.data : NULL, TRIES, &text, err);
	if (r > 0 && r != HTTP_OK)
		r = refused(k->source, r, err);
	return r < 0 ? r : s3_keys_take_json(k, buf_slice(&text), "Token", k->source, err) ?: 1;
}

int s3_keys_from_container(struct s3_keys *k, struct error *err)
{
	const char *path = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	const char *full = env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
	_free_ char *url = NULL;
	if (!path)
		return full ? ask_container(k, full, err) : 0;
	if (asprintf(&url, CONTAINER "%s%s", *path == '/' ? "" : "/", path) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	return ask_container(k, url, err);
}

/* --- an instance --- */

static const char *instance_endpoint(void)
{
	const char *mode = env("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
	const char *set = env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
	return set ? set : mode && strcasecmp(mode, "ipv6") == 0 ? INSTANCE_V6 : INSTANCE;
}

struct instance {
	struct http_client *http;
	struct buf url, session, answer;
};

static int ask_instance(struct instance *i, const char *method, const char *path, const char *header, struct error *err)
{
	const char *at = instance_endpoint();
	size_t n = strlen(at);
	buf_reset(&i->url);
	buf_printf(&i->url, "%.*s%s", (int)(n && at[n - 1] == '/' ? n - 1 : n), at, path);
	buf_u8(&i->url, 0);
	int r = buf_err(&i->url);
	/* Where there is no such service nothing answers: the first request is made once. */
	unsigned tries = strcmp(method, "PUT") == 0 ? 1 : TRIES;
	return r < 0 ? r : ask_local(i->http, method, (char *)i->url.data, header, tries, &i->answer, err);
}

static int begin_session(struct instance *i)
{
	int r = ask_instance(i, "PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 60", NULL);
	if (r != HTTP_OK || !i->answer.len || memchr(i->answer.data, '\n', i->answer.len))
		return 0;
	buf_printf(&i->session, "X-aws-ec2-metadata-token: %.*s", (int)i->answer.len, (char *)i->answer.data);
	buf_u8(&i->session, 0);
	return buf_err(&i->session) ?: 1;
}

/* The instance has one role at most: the first line. */
static int ask_role(struct instance *i, struct s3_keys *k, struct error *err)
{
	char path[200];
	int r = ask_instance(i, "GET", ROLES, (char *)i->session.data, err);
	if (r == HTTP_NOT_FOUND || (r == HTTP_OK && !i->answer.len))
		return 0;
	if (r > 0 && r != HTTP_OK)
		r = refused((char *)i->url.data, r, err);
	if (r < 0)
		return r;
	buf_u8(&i->answer, 0);
	if (buf_err(&i->answer))
		return error_set(err, ERR_STORE_ACCESS, "%s: the answer names no role", (char *)i->url.data);
	int len = (int)strcspn((char *)i->answer.data, "\r\n");
	snprintf(k->source, sizeof k->source, "the instance's role %.*s", MIN(len, 100), (char *)i->answer.data);
	snprintf(path, sizeof path, ROLES "%.*s", MIN(len, 100), (char *)i->answer.data);
	r = ask_instance(i, "GET", path, (char *)i->session.data, err);
	if (r > 0 && r != HTTP_OK)
		r = refused((char *)i->url.data, r, err);
	return r < 0 ? r : s3_keys_take_json(k, buf_slice(&i->answer), "Token", k->source, err) ?: 1;
}

int s3_keys_from_instance(struct s3_keys *k, struct error *err)
{
	const char *off = env("AWS_EC2_METADATA_DISABLED");
	struct instance i = { .url = BUF_INIT(4096), .session = BUF_INIT(TOKEN_MAX), .answer = BUF_INIT(TEXT_MAX) };
	if (off && strcasecmp(off, "true") == 0)
		return 0;
	int r = local_client(&i.http, err);
	if (r == 0)
		r = begin_session(&i);
	if (r > 0)
		r = ask_role(&i, k, err);
	http_client_free(i.http);
	buf_done(&i.url);
	wipe(&i.session);
	wipe(&i.answer);
	return r;
}

/* --- web identity --- */

struct identity {
	char *role, *token_file, *session;
};

/* The environment's word, where it counts, else the profile's. */
static int choose(const struct s3_settings *s, const char *variable, const struct aws_profile *p, const char *key,
                  char **ret)
{
	const char *v = s->profile_named ? NULL : env(variable);
	if (!v)
		return aws_profile_get(p, key, ret);
	*ret = strdup(v);
	return *ret ? 0 : -ENOMEM;
}

static void put_parameter(struct buf *out, const char *name, const char *value, size_t n)
{
	buf_printf(out, "&%s=", name);
	sigv4_encode(out, (struct str){ value, n }, false);
}

static int put_body(const struct identity *id, struct buf *out, struct error *err)
{
	_secret_buf_ struct buf token = BUF_INIT(TOKEN_MAX);
	int r = aws_file_read(id->token_file, &token, err);
	if (r < 0)
		return r;
	while (token.len && strchr("\r\n ", token.data[token.len - 1]))
		token.len--;
	if (!token.len)
		return error_set(err, ERR_STORE_ACCESS, "%s has no token for %s", id->token_file, id->role);
	buf_puts(out, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15");
	put_parameter(out, "RoleArn", id->role, strlen(id->role));
	put_parameter(out, "RoleSessionName", id->session ?: "profilefs", strlen(id->session ?: "profilefs"));
	put_parameter(out, "WebIdentityToken", (char *)token.data, token.len);
	return buf_err(out);
}

static int take_answer(struct s3_keys *k, const struct buf *text, int status, struct error *err)
{
	struct s3_error said;
	struct sts_credentials got;
	if (status == HTTP_OK && sts_credentials_parse(buf_slice(text), &got)) {
		k->id = TAKE_PTR(got.id);
		k->secret = TAKE_PTR(got.secret);
		k->token = TAKE_PTR(got.token);
		return s3_keys_take_expiration(k, got.expiration, k->source, err);
	}
	s3_error_parse(buf_slice(text), &said);
	return error_set(err, ERR_STORE_ACCESS, "%s: the answer is %d %s%s%s", k->source, status, said.code,
	                 said.message[0] ? ": " : "", said.message);
}

static int assume(struct s3_keys *k, const struct s3_settings *s, const struct identity *id, struct error *err)
{
	static const char *const form[] = { "Content-Type: application/x-www-form-urlencoded" };
	_cleanup_(http_client_freep) struct http_client *h = NULL;
	_secret_buf_ struct buf body = BUF_INIT(TEXT_MAX), text = BUF_INIT(TEXT_MAX);
	_free_ char *url = NULL;
	snprintf(k->source, sizeof k->source, "%.100s by the web identity in %.60s", id->role, id->token_file);
	if (asprintf(&url, "%s/", s->sts_endpoint) < 0) {
		url = NULL;
		return -ENOMEM;
	}
	struct http_options opts = { .connections = 1, .stall_ns = 10 * NS_PER_S, .ca_bundle = s->ca_bundle };
	int r = put_body(id, &body, err) ?: http_client_new(&opts, &h, err);
	if (r < 0)
		return r;
	struct http_request request = { .method = "POST", .url = url, .headers = form, .n_headers = 1,
		                        .body = buf_slice(&body), .timeout_ns = 10 * NS_PER_S, .text = &text };
	r = ask(h, &request, TRIES, err);
	return r < 0 ? r : take_answer(k, &text, r, err) ?: 1;
}

int s3_keys_from_web_identity(struct s3_keys *k, const struct s3_settings *s, const struct aws_profile *p,
                              struct error *err)
{
	struct identity id = { 0 };
	int r = choose(s, "AWS_WEB_IDENTITY_TOKEN_FILE", p, "web_identity_token_file", &id.token_file);
	if (r == 0 && id.token_file)
		r = choose(s, "AWS_ROLE_ARN", p, "role_arn", &id.role) ?:
		    choose(s, "AWS_ROLE_SESSION_NAME", p, "role_session_name", &id.session);
	if (r == 0 && id.token_file)
		r = id.role ? assume(k, s, &id, err)
		            : error_set(err, -EINVAL, "there is a web identity token and no role for it: set "
		                        "AWS_ROLE_ARN");
	free(id.role);
	free(id.token_file);
	free(id.session);
	return r;
}

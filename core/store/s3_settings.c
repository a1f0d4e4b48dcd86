/* SPDX-License-Identifier: MIT */
#include "s3_settings.h"

#include <string.h>
#include <strings.h>

#include "../base/clock.h"
#include "../base/pct.h"
#include "awsfile.h"
#include "store.h"

#define TIMEOUT_NS (60 * NS_PER_S)
#define REGION "us-east-1"
#define CACHE ((uint64_t)1 << 30)

void s3_settings_done(struct s3_settings *s)
{
	char *const all[] = { s->bucket, s->prefix, s->endpoint, s->host, s->sts_endpoint, s->region, s->profile,
		              s->ca_bundle, s->config_file, s->credentials_file };
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		free(all[i]);
	*s = (struct s3_settings){ 0 };
}

/* Takes value for *ret unless that is set. */
static bool offer(char **ret, char *value)
{
	if (*ret || !value || !*value) {
		free(value);
		return false;
	}
	*ret = value;
	return true;
}

/* --- the URL --- */

static bool bucket_ok(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!((s.s[i] >= 'a' && s.s[i] <= 'z') || (s.s[i] >= 'A' && s.s[i] <= 'Z') ||
		      (s.s[i] >= '0' && s.s[i] <= '9') || strchr("-._", s.s[i])))
			return false;
	return s.len >= 2 && s.len <= 255 && s.s[0] != '.' && s.s[0] != '-';
}

static char *decoded(struct str s)
{
	_buf_ struct buf out = BUF_INIT(8192);
	size_t n;
	pct_decode(&out, s);
	buf_u8(&out, 0);
	return buf_err(&out) || strlen((char *)out.data) + 1 != out.len ? NULL : (char *)buf_take(&out, &n);
}

/* "a/b" to "a/b/"; slashes at its ends do not count. What results must be the beginning of a key. */
static int take_prefix(struct s3_settings *s, const char *url, struct str path, struct error *err)
{
	while (path.len && path.s[0] == '/')
		path = (struct str){ path.s + 1, path.len - 1 };
	while (path.len && path.s[path.len - 1] == '/')
		path.len--;
	_free_ char *plain = decoded(path);
	if (!plain || path.len > 120 || (*plain && !store_key_ok(plain)))
		return error_set(err, -EINVAL,
		                 "%s: the prefix is at most 120 bytes of A-Z a-z 0-9 _ . %% ~ / - without empty parts",
		                 url);
	return asprintf(&s->prefix, "%s%s", plain, *plain ? "/" : "") < 0 ? -ENOMEM : 0;
}

static bool is_secret(const char *name)
{
	static const char *const words[] = { "secret", "password", "token", "credential", "access" };
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strcasestr(name, words[i]))
			return true;
	return false;
}

static int refuse_secret(const char *name, struct error *err)
{
	return error_set(err, -EINVAL,
	                 "%s: a secret is not taken on the command line, where others can read it; put it in "
	                 "~/.aws/credentials or in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY", name);
}

static bool take_bool(const char *value, bool *ret)
{
	*ret = strcmp(value, "true") == 0 || strcmp(value, "1") == 0;
	return *ret || strcmp(value, "false") == 0 || strcmp(value, "0") == 0;
}

static bool take_seconds(const char *value, int64_t *ret)
{
	char *end;
	long n = strtol(value, &end, 10);
	*ret = n * NS_PER_S;
	return end != value && (!*end || strcmp(end, "s") == 0) && n >= 1 && n <= 3600;
}

/* "0", "512M", "20G". */
static bool take_size(const char *value, uint64_t *ret)
{
	char *end;
	unsigned shift = 0;
	uint64_t n = strtoull(value, &end, 10);
	if (*value < '0' || *value > '9')
		return false;
	if (*end)
		shift = *end == 'M' ? 20 : *end == 'G' ? 30 : *end == 'T' ? 40 : 64;
	if (shift == 64 || n >> (63 - shift) || (*end && end[1]))
		return false;
	*ret = n << shift;
	return true;
}

/* What the URL alone can say, before defaults. */
struct wishes {
	char *endpoint, *region, *profile;
	bool has_path_style;
};

static int take_parameter(struct s3_settings *s, struct wishes *w, const char *name, char *taken, struct error *err)
{
	_free_ char *value = taken;
	bool ok = true;
	if (strcmp(name, "endpoint") == 0)
		offer(&w->endpoint, TAKE_PTR(value));
	else if (strcmp(name, "region") == 0)
		offer(&w->region, TAKE_PTR(value));
	else if (strcmp(name, "profile") == 0)
		offer(&w->profile, TAKE_PTR(value));
	else if (strcmp(name, "signature") == 0)
		ok = (s->v2 = strcmp(value, "v2") == 0) || strcmp(value, "v4") == 0;
	else if (strcmp(name, "path-style") == 0)
		ok = w->has_path_style = take_bool(value, &s->path_style);
	else if (strcmp(name, "cache") == 0)
		ok = take_size(value, &s->cache);
	else if (strcmp(name, "timeout") == 0)
		ok = take_seconds(value, &s->timeout_ns);
	else
		return is_secret(name) ? refuse_secret(name, err)
		                       : error_set(err, -EINVAL,
		                                   "?%s is no setting of an S3 store; known are endpoint, region, "
		                                   "profile, signature, path-style, timeout, cache", name);
	if (!ok)
		return error_set(err, -EINVAL, "?%s cannot be '%s'", name, value);
	return 0;
}

static int take_query(struct s3_settings *s, struct wishes *w, const char *query, struct error *err)
{
	for (const char *p = query; *p; p += strcspn(p, "&")) {
		p += strspn(p, "&");
		size_t n = strcspn(p, "&"), eq = strcspn(p, "=&");
		if (!n)
			continue;
		_free_ char *name = decoded((struct str){ p, eq });
		char *value = decoded((struct str){ p + eq + (eq < n), n - eq - (eq < n) });
		int e = name && value ? 0 : error_set(err, -EINVAL, "%.40s: not a valid setting", p);
		if (e == 0)
			e = take_parameter(s, w, name, TAKE_PTR(value), err);
		free(value);
		if (e < 0)
			return e;
	}
	return 0;
}

static int take_url(struct s3_settings *s, struct wishes *w, const char *url, struct error *err)
{
	const char *rest = url + strlen("s3://");
	struct str bucket = { rest, strcspn(rest, "/?") };
	const char *path = rest + bucket.len;
	size_t path_len = strcspn(path, "?");
	if (memchr(bucket.s, '@', bucket.len))
		return refuse_secret("s3://NAME:SECRET@...", err);
	if (!bucket_ok(bucket))
		return error_set(err, -EINVAL, "%s: no name of a bucket behind s3://", url);
	s->bucket = strndup(bucket.s, bucket.len);
	int e = s->bucket ? take_prefix(s, url, (struct str){ path, path_len }, err) : -ENOMEM;
	return e < 0 || !path[path_len] ? e : take_query(s, w, path + path_len + 1, err);
}

/* --- files and environment --- */

/* The first of the names that is set and not empty; *from becomes its name. New or NULL. */
static char *from_env(const char *const names[], const char **from)
{
	for (size_t i = 0; names[i]; i++) {
		const char *v = getenv(names[i]);
		if (!v || !*v)
			continue;
		*from = names[i];
		return strdup(v);
	}
	return NULL;
}

static char *aws_file(const char *variable, const char *name)
{
	const char *set = getenv(variable), *home = getenv("HOME");
	char *ret = NULL;
	if (set && *set)
		return strdup(set);
	return asprintf(&ret, "%s/.aws/%s", home ? home : "", name) < 0 ? NULL : ret;
}

static char *from_file(struct str text, const char *profile, const char *parent, const char *key)
{
	_free_ char *section = NULL;
	char *ret = NULL;
	if (asprintf(&section, "%s%s", strcmp(profile, "default") ? "profile " : "", profile) < 0) {
		section = NULL;
		return NULL;
	}
	return aws_file_get(text, section, parent, key, &ret) < 0 ? NULL : ret;
}

/* `services = NAME` of a profile leads to [services NAME], whose block for a service may have an endpoint. */
static char *service_endpoint(struct str text, const char *profile, const char *service)
{
	_free_ char *name = from_file(text, profile, NULL, "services");
	_free_ char *section = NULL;
	char *ret = NULL;
	if (!name || asprintf(&section, "services %s", name) < 0)
		return NULL;
	return aws_file_get(text, section, service, "endpoint_url", &ret) < 0 ? NULL : ret;
}

static void choose_profile(struct s3_settings *s, struct wishes *w)
{
	static const char *const names[] = { "AWS_PROFILE", "AWS_DEFAULT_PROFILE", NULL };
	const char *from;
	s->profile_named = offer(&s->profile, TAKE_PTR(w->profile));
	if (!s->profile_named && !offer(&s->profile, from_env(names, &from)))
		offer(&s->profile, strdup("default"));
}

static void choose_region(struct s3_settings *s, struct wishes *w, struct str text)
{
	static const char *const names[] = { "AWS_REGION", "AWS_DEFAULT_REGION", NULL };
	s->region_from = "the URL";
	if (offer(&s->region, TAKE_PTR(w->region)) || offer(&s->region, from_env(names, &s->region_from)))
		return;
	s->region_from = "the AWS config file";
	if (offer(&s->region, from_file(text, s->profile, NULL, "region")))
		return;
	s->region_from = "the default";
	offer(&s->region, strdup(REGION));
}

/* Leaves the endpoint NULL where nobody named one. */
static void choose_endpoint(struct s3_settings *s, struct wishes *w, struct str text)
{
	static const char *const names[] = { "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", NULL };
	s->endpoint_from = "the URL";
	if (offer(&s->endpoint, TAKE_PTR(w->endpoint)) || offer(&s->endpoint, from_env(names, &s->endpoint_from)))
		return;
	s->endpoint_from = "the AWS config file";
	if (offer(&s->endpoint, service_endpoint(text, s->profile, "s3")))
		return;
	offer(&s->endpoint, from_file(text, s->profile, NULL, "endpoint_url"));
}

static void choose_style(struct s3_settings *s, struct wishes *w, struct str text)
{
	_free_ char *style = from_file(text, s->profile, "s3", "addressing_style");
	if (w->has_path_style)
		return;
	/* A certificate for *.s3.amazonaws.com does not cover a.b.s3.amazonaws.com. */
	s->path_style = s->endpoint || strchr(s->bucket, '.') != NULL;
	if (style && strcmp(style, "path") == 0)
		s->path_style = true;
	if (style && strcmp(style, "virtual") == 0)
		s->path_style = false;
}

/* --- the endpoint --- */

static bool region_ok(const char *s)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
	return *s && strlen(s) < 64 && !s[strspn(s, allowed)];
}

/* Of AWS, in the region. */
static int default_endpoint(const struct s3_settings *s, const char *service, char **ret)
{
	const char *tld = strncmp(s->region, "cn-", 3) == 0 ? "amazonaws.com.cn" : "amazonaws.com";
	if (asprintf(ret, "https://%s.%s.%s", service, s->region, tld) >= 0)
		return 0;
	*ret = NULL;
	return -ENOMEM;
}

static int choose_sts_endpoint(struct s3_settings *s, struct str text)
{
	static const char *const names[] = { "AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL", NULL };
	const char *from;
	if (!offer(&s->sts_endpoint, from_env(names, &from)) &&
	    !offer(&s->sts_endpoint, service_endpoint(text, s->profile, "sts")) &&
	    !offer(&s->sts_endpoint, from_file(text, s->profile, NULL, "endpoint_url")))
		return default_endpoint(s, "sts", &s->sts_endpoint);
	size_t n = strlen(s->sts_endpoint);
	if (n && s->sts_endpoint[n - 1] == '/')
		s->sts_endpoint[n - 1] = '\0';
	return 0;
}

/* Checks "scheme://host[:port][/]", cuts what need not be there and finds the host that is signed. */
static int normalize_endpoint(struct s3_settings *s, struct error *err)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._:[]";
	char *host = strstr(s->endpoint, "://");
	s->tls = strncasecmp(s->endpoint, "https://", 8) == 0;
	if (!host || (!s->tls && strncasecmp(s->endpoint, "http://", 7) != 0))
		return error_set(err, -EINVAL, "the endpoint '%s' of %s is no http:// or https:// URL", s->endpoint,
		                 s->endpoint_from);
	host += 3;
	if (strchr(host, '@'))
		return refuse_secret("the endpoint", err);
	size_t n = strspn(host, allowed);
	if (!n || (host[n] && strcmp(host + n, "/") != 0))
		return error_set(err, -EINVAL, "the endpoint '%s' of %s has more than a host and a port", s->endpoint,
		                 s->endpoint_from);
	const char *port = s->tls ? ":443" : ":80";
	if (n > strlen(port) && strncmp(host + n - strlen(port), port, strlen(port)) == 0)
		n -= strlen(port);
	host[n] = '\0';
	if (s->path_style)
		s->host = strdup(host);
	else if (asprintf(&s->host, "%s.%s", s->bucket, host) < 0)
		s->host = NULL;
	return s->host ? 0 : -ENOMEM;
}

static void choose_ca(struct s3_settings *s, struct str text)
{
	static const char *const names[] = { "AWS_CA_BUNDLE", NULL };
	if (offer(&s->ca_bundle, from_env(names, &s->ca_from)))
		return;
	s->ca_from = "the AWS config file";
	offer(&s->ca_bundle, from_file(text, s->profile, NULL, "ca_bundle"));
}

static int check_ca(const struct s3_settings *s, struct error *err)
{
	if (!s->tls || !s->ca_bundle || access(s->ca_bundle, R_OK) == 0)
		return 0;
	return error_set(err, -EINVAL, "cannot read the certificates in %s, named by %s: %s", s->ca_bundle, s->ca_from,
	                 strerrordesc_np(errno));
}

static int choose(struct s3_settings *s, struct wishes *w, struct error *err)
{
	_buf_ struct buf config = BUF_INIT(AWS_FILE_MAX);
	s->config_file = aws_file("AWS_CONFIG_FILE", "config");
	s->credentials_file = aws_file("AWS_SHARED_CREDENTIALS_FILE", "credentials");
	if (!s->config_file || !s->credentials_file)
		return -ENOMEM;
	int e = aws_file_read(s->config_file, &config, err);
	if (e < 0)
		return e;
	struct str text = { (char *)config.data, config.len };
	choose_profile(s, w);
	if (!s->profile)
		return -ENOMEM;
	choose_region(s, w, text);
	choose_endpoint(s, w, text);
	choose_style(s, w, text);
	choose_ca(s, text);
	if (!s->region)
		return -ENOMEM;
	if (!region_ok(s->region))
		return error_set(err, -EINVAL, "the region '%s' of %s is none", s->region, s->region_from);
	if (!s->endpoint) {
		s->endpoint_from = "the region";
		e = default_endpoint(s, "s3", &s->endpoint);
	}
	return e ?: choose_sts_endpoint(s, text) ?: normalize_endpoint(s, err) ?: check_ca(s, err);
}

int s3_settings_read(const char *url, struct s3_settings *ret, struct error *err)
{
	struct wishes w = { 0 };
	*ret = (struct s3_settings){ .timeout_ns = TIMEOUT_NS, .cache = CACHE };
	int e = take_url(ret, &w, url, err);
	if (e == 0)
		e = choose(ret, &w, err);
	free(w.endpoint);
	free(w.region);
	free(w.profile);
	return e;
}

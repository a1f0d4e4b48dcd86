/* SPDX-License-Identifier: MIT */
#include "s3_keys.h"

#include <string.h>

#include "../base/clock.h"
#include "../wire/json.h"
#include "s3_keys_from.h"

#define JSON_MAX ((size_t)1 << 16)
#define MARGIN_NS (5 * NS_PER_MIN) /* before they expire they are renewed; of short lives the last quarter */

struct s3_keys *s3_keys_ref(struct s3_keys *k)
{
	atomic_fetch_add(&k->refs, 1);
	return k;
}

static void wipe(char *s)
{
	if (s)
		explicit_bzero(s, strlen(s));
	free(s);
}

void s3_keys_unref(struct s3_keys *k)
{
	if (!k || atomic_fetch_sub(&k->refs, 1) != 1)
		return;
	free(k->id);
	wipe(k->secret);
	wipe(k->token);
	free(k);
}

static bool complete(const struct s3_keys *k)
{
	return k->id && k->secret;
}

/* --- what others say --- */

int s3_keys_take_expiration(struct s3_keys *k, const char *text, const char *source, struct error *err)
{
	int64_t now = clock_now();
	if (!time_parse(text, &k->expires) || k->expires <= 0)
		return error_set(err, ERR_STORE_ACCESS, "%s: '%.40s' is no time at which credentials expire", source,
		                 text);
	k->renew_at = k->expires - MIN(MARGIN_NS, MAX(k->expires - now, (int64_t)0) / 4);
	return 0;
}

/* A string of the object; NULL where there is none. */
static char *copy_of(const struct json *j, const char *name)
{
	struct str s = json_str(j, json_get(j, json_root(j), name));
	return s.len && !memchr(s.s, 0, s.len) ? strndup(s.s, s.len) : NULL;
}

int s3_keys_take_json(struct s3_keys *k, struct slice text, const char *token, const char *source, struct error *err)
{
	_arena_ struct arena arena = ARENA_INIT(JSON_MAX);
	struct json_limits limits = { .max_bytes = JSON_MAX };
	_json_ struct json j;
	if (json_read(&j, text, &arena, &limits, NULL) < 0)
		return error_set(err, ERR_STORE_ACCESS, "%s: the answer is no JSON", source);
	k->id = copy_of(&j, "AccessKeyId");
	k->secret = copy_of(&j, "SecretAccessKey");
	k->token = copy_of(&j, token);
	_free_ char *expiration = copy_of(&j, "Expiration");
	_free_ char *code = copy_of(&j, "Code");
	_free_ char *message = copy_of(&j, "Message");
	if (!complete(k))
		return error_set(err, ERR_STORE_ACCESS, "%s: no credentials in the answer%s%.60s%s%.200s", source,
		                 code ? ": " : "", code ?: "", message ? ": " : "", message ?: "");
	return expiration ? s3_keys_take_expiration(k, expiration, source, err) : 0;
}

/* --- the search: an answer is 1 for found, 0 for nothing there, and goes on --- */

static char *copy_env(const char *name)
{
	const char *v = getenv(name);
	return v && *v ? strdup(v) : NULL;
}

static int from_environment(struct s3_keys *k, struct error *err)
{
	k->id = copy_env("AWS_ACCESS_KEY_ID");
	k->secret = copy_env("AWS_SECRET_ACCESS_KEY");
	k->token = copy_env("AWS_SESSION_TOKEN");
	if (complete(k))
		snprintf(k->source, sizeof k->source, "the environment");
	else if (k->id || k->secret)
		return error_set(err, -EINVAL, "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY one is not set");
	return complete(k);
}

static int from_file(struct s3_keys *k, const struct aws_section *in, struct error *err)
{
	int r = aws_section_get(in, "aws_access_key_id", &k->id);
	if (r == 0)
		r = aws_section_get(in, "aws_secret_access_key", &k->secret);
	if (r == 0)
		r = aws_section_get(in, "aws_session_token", &k->token);
	if (r < 0)
		return r;
	if (complete(k))
		snprintf(k->source, sizeof k->source, "[%.30s] of %.80s", in->name, in->path);
	else if (k->id || k->secret)
		return error_set(err, -EINVAL, "[%s] of %s has one of aws_access_key_id and aws_secret_access_key",
		                 in->name, in->path);
	return complete(k);
}

/* A role or a login that only the AWS command line can follow must not be passed over for another identity. */
static int refuse_others(const struct aws_profile *p, struct error *err)
{
	static const char *const names[] = { "role_arn", "sso_session", "sso_start_url" };
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_free_ char *value = NULL;
		int r = aws_profile_get(p, names[i], &value);
		if (r < 0)
			return r;
		if (value)
			return error_set(err, ERR_STORE_ACCESS,
			                 "the profile '%s' has %s, which profilefs does not follow; make a profile "
			                 "with credential_process = aws configure export-credentials --profile %s",
			                 p->name, names[i], p->name);
	}
	return 0;
}

static int search(struct s3_keys *k, const struct s3_settings *s, struct error *err)
{
	_aws_profile_ struct aws_profile p;
	int r = aws_profile_open(s->credentials_file, s->config_file, s->profile, &p, err);
	if (r < 0)
		return r;
	if (!s->profile_named && (r = from_environment(k, err)))
		return r;
	return s3_keys_from_web_identity(k, s, &p, err) ?:
	       from_file(k, &p.credentials, err) ?: s3_keys_from_process(k, &p, err) ?:
	       from_file(k, &p.config, err) ?: refuse_others(&p, err) ?: s3_keys_from_container(k, err) ?:
	       s3_keys_from_instance(k, err);
}

/* A line break in one of them would end a header. */
static bool printable(const char *s)
{
	for (; *s; s++)
		if (*s <= ' ' || *s > '~')
			return false;
	return true;
}

int s3_keys_find(const struct s3_settings *s, struct s3_keys **ret, struct error *err)
{
	_cleanup_(s3_keys_unrefp) struct s3_keys *k = calloc(1, sizeof *k);
	if (!k)
		return -ENOMEM;
	atomic_init(&k->refs, 1);
	int r = search(k, s, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, -EACCES,
		                 "no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or put the "
		                 "profile '%s' into %s; no container and no instance offers any", s->profile,
		                 s->credentials_file);
	if (!printable(k->id) || !printable(k->secret) || (k->token && !printable(k->token)))
		return error_set(err, -EINVAL, "the credentials of %s have characters that none can have", k->source);
	*ret = TAKE_PTR(k);
	return 0;
}

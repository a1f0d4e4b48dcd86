/* SPDX-License-Identifier: MIT */
#include "s3_keys.h"

#include <string.h>

#include "awsfile.h"

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

static char *copy_env(const char *name)
{
	const char *v = getenv(name);
	return v && *v ? strdup(v) : NULL;
}

/* An answer is 1 for found, 0 for nothing there. */
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

static int from_file(struct s3_keys *k, const char *path, const char *section, struct error *err)
{
	_buf_ struct buf file = BUF_INIT(AWS_FILE_MAX);
	int r = aws_file_read(path, &file, err);
	struct str text = { (char *)file.data, file.len };
	if (r == 0)
		r = aws_file_get(text, section, NULL, "aws_access_key_id", &k->id);
	if (r == 0)
		r = aws_file_get(text, section, NULL, "aws_secret_access_key", &k->secret);
	if (r == 0)
		r = aws_file_get(text, section, NULL, "aws_session_token", &k->token);
	explicit_bzero(file.data, file.len);
	if (r < 0)
		return r;
	if (complete(k))
		snprintf(k->source, sizeof k->source, "[%.30s] of %.80s", section, path);
	else if (k->id || k->secret)
		return error_set(err, -EINVAL, "[%s] of %s has one of aws_access_key_id and aws_secret_access_key",
		                 section, path);
	return complete(k);
}

static int from_files(struct s3_keys *k, const struct s3_settings *s, struct error *err)
{
	int r = from_file(k, s->credentials_file, s->profile, err);
	if (r || strcmp(s->profile, "default") == 0)
		return r ?: from_file(k, s->config_file, "default", err);
	_free_ char *section = NULL;
	if (asprintf(&section, "profile %s", s->profile) < 0) {
		section = NULL;
		return -ENOMEM;
	}
	return from_file(k, s->config_file, section, err);
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
	int r = from_environment(k, err) ?: from_files(k, s, err);
	if (r < 0)
		return r;
	if (r == 0)
		return error_set(err, -EACCES,
		                 "no credentials for S3: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or put the "
		                 "profile '%s' into %s", s->profile, s->credentials_file);
	if (!printable(k->id) || !printable(k->secret) || (k->token && !printable(k->token)))
		return error_set(err, -EINVAL, "the credentials of %s have characters that none can have", k->source);
	*ret = TAKE_PTR(k);
	return 0;
}

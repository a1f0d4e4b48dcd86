/* SPDX-License-Identifier: MIT */
#pragma once

/* The files of the AWS command line in a folder of the test's own, and an environment without what else counts. */

#include <string.h>

#include "core/store/s3_settings.h"

static char aws_dir[] = "/tmp/s3-test-XXXXXX";
static char config[64], credentials[64];

static void write_file(const char *path, const char *content)
{
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(content, f);
	assert_int_equal(fclose(f), 0);
}

/* Before each test. */
static int fresh(void **state)
{
	static const char *const variables[] = {
		"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL",
		"AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_STS", "AWS_CA_BUNDLE", "AWS_ACCESS_KEY_ID",
		"AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE",
		"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
		"AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
	};
	for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
		unsetenv(variables[i]);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
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

/* Before and after all. */
static int make_files(void **state)
{
	if (!mkdtemp(aws_dir))
		return -1;
	snprintf(config, sizeof config, "%s/config", aws_dir);
	snprintf(credentials, sizeof credentials, "%s/credentials", aws_dir);
	setenv("AWS_CONFIG_FILE", config, 1);
	setenv("AWS_SHARED_CREDENTIALS_FILE", credentials, 1);
	return 0;
}

static int remove_files(void **state)
{
	unlink(config);
	unlink(credentials);
	return rmdir(aws_dir);
}

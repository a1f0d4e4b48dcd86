/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The files that the AWS command line reads: sections of `key = value` lines, '#' and ';' begin comments. A key without
 * a value may be followed by an indented block of such lines.
 */

#include "../base/buf.h"

#define AWS_FILE_MAX ((size_t)1 << 20)

/* The text of a file; empty where there is none. Its error names the path. */
int aws_file_read(const char *path, struct buf *ret, struct error *err);

/*
 * The value of `key` in [section]; with a parent, the one in the block below that key. ret is new and NULL where there
 * is none. Of several the last counts. -ENOMEM.
 */
int aws_file_get(struct str text, const char *section, const char *parent, const char *key, char **ret);

/* What a file has of a profile. */
struct aws_section {
	const char *path; /* borrowed */
	char *name;       /* "dev" or "profile dev" */
	struct buf text;  /* of the file; wiped when it is released */
};

/* New, as aws_file_get(). */
int aws_section_get(const struct aws_section *s, const char *key, char **ret);

struct aws_profile {
	const char *name; /* borrowed */
	struct aws_section credentials, config;
};

/* Reads both files. aws_profile_done() is due in every case. */
int aws_profile_open(const char *credentials, const char *config, const char *name, struct aws_profile *ret,
                     struct error *err);
void aws_profile_done(struct aws_profile *p);
#define _aws_profile_ _cleanup_(aws_profile_done)

/* The credentials file's word counts before the config file's. New, as aws_file_get(). */
int aws_profile_get(const struct aws_profile *p, const char *key, char **ret);

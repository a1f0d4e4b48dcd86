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

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The credentials of an S3 store and where they come from: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else the
 * profile in ~/.aws/credentials, else in ~/.aws/config. Thread safe.
 */

#include <stdatomic.h>

#include "s3_settings.h"

/* Immutable, shared by references. */
struct s3_keys {
	atomic_uint refs;
	char *id, *secret;
	char *token;       /* NULL: none */
	char source[120];  /* for people */
};

/* Looks for credentials; its error says where and how to give some. New reference. */
int s3_keys_find(const struct s3_settings *s, struct s3_keys **ret, struct error *err);
struct s3_keys *s3_keys_ref(struct s3_keys *k);
void s3_keys_unref(struct s3_keys *k);
DEFINE_CLEANUP(struct s3_keys *, s3_keys_unref);

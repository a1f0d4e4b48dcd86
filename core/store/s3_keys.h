/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The credentials of an S3 store and where they come from, the first of these that has any (the order of the AWS SDKs):
 *
 * 1. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY
 * 2. a role by web identity: AWS_ROLE_ARN and AWS_WEB_IDENTITY_TOKEN_FILE, or the profile's
 * 3. the profile in ~/.aws/credentials
 * 4. the profile's credential_process
 * 5. the profile in ~/.aws/config
 * 6. the container's endpoint: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI
 * 7. the instance's role, by its metadata service (version 2)
 *
 * Where the URL names a profile the environment's, in 1 and 2, do not count. One that is there and fails ends the
 * search: another would be somebody else. Thread safe.
 */

#include <stdatomic.h>

#include "s3_settings.h"

/* Immutable, shared by references. */
struct s3_keys {
	atomic_uint refs;
	char *id, *secret;
	char *token;       /* NULL: none */
	int64_t expires;   /* 0: never */
	int64_t renew_at;  /* where they expire: some time before */
	char source[200];  /* for people */
};

/* Looks for credentials; its error says where and how to give some. New reference. */
int s3_keys_find(const struct s3_settings *s, struct s3_keys **ret, struct error *err);
struct s3_keys *s3_keys_ref(struct s3_keys *k);
void s3_keys_unref(struct s3_keys *k);
DEFINE_CLEANUP(struct s3_keys *, s3_keys_unref);

/*
 * Credentials that are renewed before they expire, by one of the threads that use them; the others go on with the old
 * ones, and wait only where those have expired. A renewal that fails is tried again after a pause, and is an error when
 * the old ones have expired.
 */
struct s3_keyring;

/* Finds the first. `s` is borrowed until s3_keyring_free(). New. */
int s3_keyring_new(const struct s3_settings *s, struct s3_keyring **ret, struct error *err);
void s3_keyring_free(struct s3_keyring *r);
/* New reference. */
int s3_keyring_get(struct s3_keyring *r, struct s3_keys **ret, struct error *err);
/* The server does not take `used` any more: true where others have come, or come now, in their place. */
bool s3_keyring_replace(struct s3_keyring *r, const struct s3_keys *used);

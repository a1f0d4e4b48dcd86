/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where credentials come from that are neither in the environment nor in a file. Each gives 1 where it has filled in k,
 * 0 where it is not set up, or why it failed. What k has then is its owner's.
 */

#include "awsfile.h"
#include "s3_keys.h"

/* A role's, of the AWS token service, by a token that something else keeps fresh in a file. */
int s3_keys_from_web_identity(struct s3_keys *k, const struct s3_settings *s, const struct aws_profile *p,
                              struct error *err);
/* What the profile's credential_process prints. */
int s3_keys_from_process(struct s3_keys *k, const struct aws_profile *p, struct error *err);
/* Those of a task of ECS or a pod of EKS, of an endpoint that the environment names. */
int s3_keys_from_container(struct s3_keys *k, struct error *err);
/* Those of a virtual machine. 0 also where no metadata service answers, which takes a second. */
int s3_keys_from_instance(struct s3_keys *k, struct error *err);

/*
 * Takes AccessKeyId, SecretAccessKey, Expiration and, under the name that its sender has for it, the token. Its error
 * is about `source`.
 */
int s3_keys_take_json(struct s3_keys *k, struct slice json, const char *token, const char *source, struct error *err);
/* Takes a time (RFC 3339). */
int s3_keys_take_expiration(struct s3_keys *k, const char *text, const char *source, struct error *err);

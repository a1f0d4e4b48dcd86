/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where an S3 store is and how it is spoken to: from its URL, the environment and the files of the AWS command line, in
 * that order. Nothing here is secret.
 */

#include "../base/buf.h"

struct s3_settings {
	char *bucket;
	char *prefix;    /* "" or "some/path/": what stands before every key */
	char *endpoint;  /* "https://host[:port]", as it is signed: without a default port or a path */
	char *host;      /* of the endpoint, with the port */
	char *sts_endpoint; /* of the token service, without a slash at its end */
	char *region;
	char *profile;   /* of the AWS files; "default" where nobody said */
	bool profile_named; /* by the URL: whoever says so does not mean the environment's credentials */
	char *ca_bundle; /* NULL: the system's */
	char *config_file, *credentials_file;
	bool path_style; /* the bucket is in the path, not in the host's name */
	bool tls;
	bool v2;         /* signature version 2 */
	int64_t timeout_ns; /* for one call with all its repetitions */
	uint64_t cache;     /* bytes of the local disk; 0: none */
	const char *endpoint_from, *region_from, *ca_from; /* for people: "AWS_REGION", "the URL" */
};

/* url: "s3://bucket[/prefix][?name=value&...]". Its error tells the remedy. *ret is done even where this fails. */
int s3_settings_read(const char *url, struct s3_settings *ret, struct error *err);
void s3_settings_done(struct s3_settings *s);

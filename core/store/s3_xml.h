/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What an S3 server says in XML: pages of listings, errors, ids of uploads; and what the AWS token service says. Input
 * is hostile: no DTD, all bounded.
 */

#include "store.h"

#define S3_XML_MAX ((size_t)8 << 20)

struct s3_entry {
	char *key;     /* new; as the server has it, with the store's prefix */
	bool part;     /* a common prefix */
	struct store_stat st;
};

/* A page of a listing; entries in the order of their keys. */
struct s3_page {
	struct s3_entry *v;
	size_t n, cap;
	bool truncated;
	char *next; /* new; the token of the next page, or NULL */
};

void s3_page_done(struct s3_page *p);
void s3_page_sort(struct s3_page *p);
/* ERR_STORE where it is no listing; *ret is done also then. */
int s3_page_parse(struct slice xml, struct s3_page *ret, struct error *err);

/* "" for what is not there, or is too long. */
struct s3_error {
	char code[64], message[256], region[64];
};

/* false: no error document. Also of an answer 200, as CompleteMultipartUpload has it. */
bool s3_error_parse(struct slice xml, struct s3_error *ret);

/* The id of an upload of InitiateMultipartUploadResult. New. */
int s3_upload_id_parse(struct slice xml, char **ret, struct error *err);

/* The first failure that a DeleteResult tells of, with its key: 1; none: 0. */
int s3_delete_parse(struct slice xml, struct s3_error *ret, char ret_key[128], struct error *err);

struct sts_credentials {
	char *id, *secret, *token; /* new */
	char expiration[40];
};

/* false: no whole answer to AssumeRoleWithWebIdentity; then nothing is new. */
bool sts_credentials_parse(struct slice xml, struct sts_credentials *ret);

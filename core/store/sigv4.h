/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * AWS Signature Version 4: the Authorization header of a request whose parts are canonical already. A request is built
 * canonical and sent as it was signed; nothing is put in order here. Thread safe: state is in the arguments.
 */

#include "../base/buf.h"

#define SIGV4_UNSIGNED "UNSIGNED-PAYLOAD"
#define SIGV4_TIME 17 /* "20150830T123600Z" and NUL */

struct sigv4_keys {
	const char *id, *secret;
};

struct sigv4_header {
	const char *name, *value; /* lower case; without blanks around it */
};

struct sigv4_request {
	const char *method;
	const char *path;  /* encoded, from '/' */
	const char *query; /* encoded NAME=VALUE joined by '&', sorted; "" for none */
	const struct sigv4_header *headers; /* those to sign, sorted by name; host is among them */
	size_t n_headers;
	const char *payload; /* SHA-256 of the body in hex, or SIGV4_UNSIGNED */
	const char *time;    /* as sigv4_time() gives it */
	const char *region, *service;
};

/* Of a time in ns since the epoch. */
void sigv4_time(int64_t t, char ret[SIGV4_TIME]);

/* Appends "AWS4-HMAC-SHA256 Credential=..., SignedHeaders=..., Signature=...". ERR_STORE, ERR_LIMIT_BUFFER, -ENOMEM. */
int sigv4_authorization(const struct sigv4_request *r, const struct sigv4_keys *keys, struct buf *out);

/* Appends s with all but A-Z a-z 0-9 - . _ ~ (and '/' where it is kept) percent-encoded. */
void sigv4_encode(struct buf *out, struct str s, bool keep_slash);

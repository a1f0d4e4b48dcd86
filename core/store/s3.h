/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of the S3 store share. */

#include <stdatomic.h>

#include "http.h"
#include "s3_keys.h"
#include "s3_settings.h"
#include "s3_xml.h"

struct s3 {
	struct store base;
	struct s3_settings set;
	struct http_client *http;
	atomic_bool answered; /* the server did, once */
	atomic_bool no_bulk;  /* it refuses to remove many at a time */
	struct store_counts sent; /* atomic adds */

	struct s3_keyring *keys;

	pthread_mutex_t lock;
	bool clock_known;      /* under lock */
	int64_t clock_offset;  /* under lock: the server's time less clock_monotonic(), a second too little at most */
	int64_t clock_at;      /* under lock: clock_monotonic() of the last Date */
};

static inline struct s3 *s3_of(struct store *s)
{
	return (struct s3 *)s;
}

/*
 * One request with its repetitions. The caller fills in the first part and calls s3_perform(); what it has then is
 * released by s3_calls_done().
 */
struct s3_call {
	const char *method;
	const char *key;   /* of an object, as in store.h; NULL: the bucket */
	const char *query; /* canonical: encoded, sorted, NAME=VALUE; NULL: none */
	struct slice body;
	bool create;       /* If-None-Match: * */
	bool once;         /* that it was done already is told from that it failed only by `maybe` */
	bool md5;          /* Content-MD5 */
	bool ranged;       /* Range: bytes=range_start-range_end, or the last range_end bytes where range_start < 0 */
	int64_t range_start, range_end;
	size_t expect;     /* bytes of the answer */
	bool (*sink)(void *ctx, const struct http_answer *a, uint64_t off, const uint8_t *data, size_t n);
	void *ctx;
	int sink_error;    /* set by a sink that stops: the result */

	/* ERR_STORE_EXISTS: 412; ERR_STORE_NOT_FOUND: 404; ERR_STORE_RANGE: 416; others as store.h has them. */
	int result;
	struct http_answer answer;
	struct buf text;   /* the answer's body where there is no sink, or an error's */
	struct s3_error said;
	bool maybe;        /* an attempt that failed may have had its effect */

	/* s3_perform()'s own. */
	bool ended, renewed, reset_clock;
	unsigned conflicts;
	int64_t delay;
	struct http_request request;
	struct s3_keys *keys; /* of the last attempt */
	struct buf url, lines;
	const char *headers[10];
	char why[256];
};

/*
 * Sends all calls, in parallel, and repeats what failed for a while only, until the store's time-out. 0, or the result
 * of the first that failed, with its sentence; each call's own is in it.
 */
int s3_perform(struct s3 *s, struct s3_call *calls, size_t n, struct error *err);
void s3_calls_done(struct s3_call *calls, size_t n);

/* A call and its one response. */
static inline void s3_call_donep(struct s3_call *c)
{
	s3_calls_done(c, 1);
}
#define _s3_call_ _cleanup_(s3_call_donep)

/* The server's time, if any answer has told it lately. */
bool s3_clock(struct s3 *s, int64_t *ret);

int s3_read(struct store *s, const char *key, const struct store_range *ranges, size_t n, struct error *err);
int s3_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size, struct error *err);
/* ERR_STORE_NOT_FOUND. */
int s3_size(struct s3 *s, const char *key, uint64_t *ret, struct error *err);
int s3_list(struct store *s, const char *prefix, const char *after, char delimiter, store_list_fn fn, void *ctx,
            struct error *err);
int s3_put_body(struct store *s, const char *key, const struct store_body *body, struct error *err);

/* A page of a listing: keys that begin with prefix, after `after`, or what follows the page that gave the token. */
struct s3_page_request {
	const char *prefix, *after, *token; /* without the store's prefix; after and token may be NULL */
	char delimiter;
	unsigned max;
};

struct s3_source {
	int (*page)(void *ctx, const struct s3_page_request *request, struct s3_page *ret, struct error *err);
	void *ctx;
	const char *prefix; /* the store's: its pages have it before every key */
};

/* store_list() over pages. */
int s3_list_from(const struct s3_source *source, const char *prefix, const char *after, char delimiter,
                 store_list_fn fn, void *ctx, struct error *err);

/* The methods over libs3 (s3_v2.c), where that is there; first loads it, and says why where that fails. */
int s3_v2_load(struct error *err); /* thread safe */
int s3_v2_put(struct store *s, const char *key, struct slice data, struct error *err);
int s3_v2_put_body(struct store *s, const char *key, const struct store_body *body, struct error *err);
int s3_v2_put_if_absent(struct store *s, const char *key, struct slice data, struct error *err);
int s3_v2_read(struct store *s, const char *key, const struct store_range *ranges, size_t n, struct error *err);
int s3_v2_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size, struct error *err);
int s3_v2_list(struct store *s, const char *prefix, const char *after, char delimiter, store_list_fn fn, void *ctx,
               struct error *err);
int s3_v2_remove(struct store *s, const char *key, struct error *err);

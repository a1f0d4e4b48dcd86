/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Prometheus remote write 1.0: gathers samples, and sends them to a server in order of time until it has taken each, or
 * refused it for good. Not thread safe.
 */

#include "../base/log.h"
#include "../render/render.h"

struct remote_options {
	const char *url;
	const char *token_file; /* holds a bearer token; read again for each request, as the next; NULL */
	const char *user_file;  /* holds USER:PASSWORD; NULL */
	const char *ca_file;    /* PEM; NULL: the system's */
	int64_t patience;       /* ns that a request is tried again for; 0: for ever */
	const struct log *log;
};

struct remote_counts {
	uint64_t samples, refused, requests, retries;
	char why[400]; /* the server's words of the first refusal */
};

struct remote;

/* Options are borrowed. New. */
int remote_new(const struct remote_options *o, struct remote **ret, struct error *err);
void remote_free(struct remote *r);
DEFINE_CLEANUP(struct remote *, remote_free);

/* A metric_fn; ctx is the struct remote. ERR_LIMIT where too many are gathered. */
int remote_gather(void *ctx, const struct metric_series *s);
/* Forgets what is gathered. */
void remote_drop(struct remote *r);

/* All samples before this time are done with. What it gives but 0 ends the sending. */
typedef int (*remote_fn)(void *ctx, int64_t before);
/*
 * Sends what is gathered, and forgets it. Calls fn, where there is one, after each request but the last. 0: every
 * sample was taken, or refused as one that the server will never take (see counts). -ETIMEDOUT: the server could not be
 * reached in time; -EACCES: it refuses the sender, -EINVAL: all that is sent.
 */
int remote_flush(struct remote *r, remote_fn fn, void *ctx, struct error *err);
const struct remote_counts *remote_counts(const struct remote *r);

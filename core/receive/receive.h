/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Servers that take profiles into a store: HTTP (Pyroscope push, files, OTLP) and gRPC (OTLP). An acknowledgement means
 * that the profiles are durable. docs/ingest.md says what is taken, docs/operations.md how it is run.
 */

#include "../base/log.h"
#include "../profile/relabel.h"
#include "../store/store.h"

/* Of one tenant; zero is the default, RECEIVE_NO_LIMIT none. */
#define RECEIVE_NO_LIMIT UINT64_MAX

struct receive_limits {
	uint64_t body_bytes;      /* of a request, as sent: 32 MiB */
	uint64_t profile_bytes;   /* decompressed bytes of a request: 64 MiB */
	uint64_t in_flight;       /* requests that wait for their acknowledgement: 1,000 */
	uint64_t bytes_per_s;     /* as sent, with bursts of ten seconds: none */
	uint64_t labels;          /* of a profile: 100 */
	uint64_t series;          /* label sets of a service that this process takes in a day: 100,000 */
};

struct receive_options {
	const char *http, *grpc;          /* "ADDR:PORT", "[ADDR]:PORT"; NULL: not served */
	const char *otlp_http;            /* a second address of HTTP, which takes the same */
	const char *tls_cert, *tls_key;   /* PEM files; both or none */
	const char *token_file;           /* a bearer token a line; NULL: none is asked for */
	const char *tenant;               /* NULL: "default" */
	bool tenants;                     /* X-Scope-OrgID names the tenant */
	uint64_t max_tenants;             /* 0: 100 */
	struct receive_limits limits;
	uint64_t memory;                  /* for bodies and profiles in flight; 0: 384 MiB */
	unsigned threads;                 /* that decode and write; 0: 128 */
	bool no_compact;                  /* the stores of its tenants are not compacted in the background */
	const struct relabel *relabel;    /* instead of the store's rules, borrowed; NULL */
	int64_t grace;                    /* ns that a stop waits for what was accepted; 0: 30 s */
	const struct log *log;
};

struct receiver;

/* Listens and serves until receiver_stop(). store is borrowed. New. */
int receiver_new(struct store *store, const struct receive_options *opts, struct receiver **ret, struct error *err);
/* Takes no more requests, and answers those that were accepted. 0, or -ETIMEDOUT where some were given up. */
int receiver_stop(struct receiver *r);
void receiver_free(struct receiver *r); /* stops it first */
DEFINE_CLEANUP(struct receiver *, receiver_free);

/* The ports that are listened on; 0 for none. */
unsigned receiver_http_port(const struct receiver *r);
unsigned receiver_otlp_http_port(const struct receiver *r);
unsigned receiver_grpc_port(const struct receiver *r);

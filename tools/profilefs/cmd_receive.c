/* SPDX-License-Identifier: MIT */

/* profilefs receive: the servers that agents send to. */

#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>

#include "../../core/base/size.h"
#include "../../core/receive/receive.h"
#include "common.h"

#define ARENAS 2 /* of malloc: with one or more a worker, half of the memory is what they keep for themselves */
#define HTTP_DEFAULT "127.0.0.1:4040"
#define GRPC_DEFAULT "127.0.0.1:4317"
#define OTLP_HTTP_DEFAULT "127.0.0.1:4318"

enum {
	OPT_HTTP = OPT_OF_COMMAND,
	OPT_GRPC,
	OPT_OTLP_HTTP,
	OPT_CERT,
	OPT_KEY,
	OPT_TOKENS,
	OPT_TENANTS,
	OPT_NO_COMPACT,
	OPT_MAX_TENANTS,
	OPT_RELABEL,
	OPT_MEMORY,
	OPT_THREADS,
	OPT_GRACE,
	OPT_BODY,
	OPT_PROFILE,
	OPT_FLIGHT,
	OPT_RATE,
	OPT_LABELS,
	OPT_SERIES,
};

static const struct option options[] = {
	COMMON_LONG_OPTIONS,
	{ "http", required_argument, NULL, OPT_HTTP },
	{ "otlp-grpc", required_argument, NULL, OPT_GRPC },
	{ "otlp-http", required_argument, NULL, OPT_OTLP_HTTP },
	{ "tls-cert", required_argument, NULL, OPT_CERT },
	{ "tls-key", required_argument, NULL, OPT_KEY },
	{ "token-file", required_argument, NULL, OPT_TOKENS },
	{ "tenants", no_argument, NULL, OPT_TENANTS },
	{ "no-compact", no_argument, NULL, OPT_NO_COMPACT },
	{ "max-tenants", required_argument, NULL, OPT_MAX_TENANTS },
	{ "relabel", required_argument, NULL, OPT_RELABEL },
	{ "mem", required_argument, NULL, OPT_MEMORY },
	{ "threads", required_argument, NULL, OPT_THREADS },
	{ "grace", required_argument, NULL, OPT_GRACE },
	{ "max-body", required_argument, NULL, OPT_BODY },
	{ "max-profile", required_argument, NULL, OPT_PROFILE },
	{ "max-in-flight", required_argument, NULL, OPT_FLIGHT },
	{ "max-rate", required_argument, NULL, OPT_RATE },
	{ "max-labels", required_argument, NULL, OPT_LABELS },
	{ "max-series", required_argument, NULL, OPT_SERIES },
	{ 0 },
};

struct receive {
	struct common common;
	struct receive_options opts;
	const char *http, *grpc, *otlp_http, *rules;
};

/* "64M", "1G", "1000": powers of 1024. -1 to go on, else the exit code. */
static int take_number(const struct command *self, const char *option, uint64_t *ret)
{
	uint64_t n = 0;
	if (!size_parse(optarg, &n) || !n)
		return wrong_usage(self, "%s is a number above 0, as 1000 or 64M, not \"%s\"", option, optarg);
	*ret = n;
	return -1;
}

static int take_threads(const struct command *self, struct receive_options *o)
{
	uint64_t n = 0;
	int rc = take_number(self, "--threads", &n);
	if (rc >= 0)
		return rc;
	if (n > 256)
		return wrong_usage(self, "--threads is at most 256");
	o->threads = (unsigned)n;
	return -1;
}

static int take_grace(const struct command *self, struct receive_options *o)
{
	uint64_t seconds = 0;
	int rc = take_number(self, "--grace", &seconds);
	if (rc < 0)
		o->grace = (int64_t)MIN(seconds, (uint64_t)86400) * NS_PER_S;
	return rc;
}

static int take_limit(const struct command *self, struct receive *in, int c)
{
	struct receive_limits *l = &in->opts.limits;
	switch (c) {
	case OPT_MAX_TENANTS:
		return take_number(self, "--max-tenants", &in->opts.max_tenants);
	case OPT_MEMORY:
		return take_number(self, "--mem", &in->opts.memory);
	case OPT_THREADS:
		return take_threads(self, &in->opts);
	case OPT_GRACE:
		return take_grace(self, &in->opts);
	case OPT_BODY:
		return take_number(self, "--max-body", &l->body_bytes);
	case OPT_PROFILE:
		return take_number(self, "--max-profile", &l->profile_bytes);
	case OPT_FLIGHT:
		return take_number(self, "--max-in-flight", &l->in_flight);
	case OPT_RATE:
		return take_number(self, "--max-rate", &l->bytes_per_s);
	case OPT_LABELS:
		return take_number(self, "--max-labels", &l->labels);
	default:
		return take_number(self, "--max-series", &l->series);
	}
}

static int take_option(const struct command *self, struct receive *in, int c, char **argv)
{
	switch (c) {
	case OPT_HTTP:
		in->http = optarg;
		return -1;
	case OPT_GRPC:
		in->grpc = optarg;
		return -1;
	case OPT_OTLP_HTTP:
		in->otlp_http = optarg;
		return -1;
	case OPT_CERT:
		in->opts.tls_cert = optarg;
		return -1;
	case OPT_KEY:
		in->opts.tls_key = optarg;
		return -1;
	case OPT_TOKENS:
		in->opts.token_file = optarg;
		return -1;
	case OPT_TENANTS:
		in->opts.tenants = true;
		return -1;
	case OPT_NO_COMPACT:
		in->opts.no_compact = true;
		return -1;
	case OPT_RELABEL:
		in->rules = optarg;
		return -1;
	default:
		return c > OPT_RELABEL || c == OPT_MAX_TENANTS ? take_limit(self, in, c)
		                                               : common_option(self, &in->common, c, argv);
	}
}

static const char *address(const char *option, const char *otherwise)
{
	if (!option)
		return otherwise;
	return strcmp(option, "none") ? option : NULL;
}

static int check(const struct command *self, struct receive *in, int argc, char **argv)
{
	in->opts.http = address(in->http, HTTP_DEFAULT);
	in->opts.grpc = address(in->grpc, GRPC_DEFAULT);
	in->opts.otlp_http = address(in->otlp_http, OTLP_HTTP_DEFAULT);
	in->opts.tenant = in->common.tenant;
	in->opts.log = &stderr_log;
	if (optind < argc)
		return wrong_usage(self, "\"%s\" is one operand too many", argv[optind]);
	if (!in->opts.http && !in->opts.otlp_http && !in->opts.grpc)
		return wrong_usage(self, "with none of --http, --otlp-http and --otlp-grpc there is nothing to serve");
	if (!in->opts.tls_cert != !in->opts.tls_key)
		return wrong_usage(self, "--tls-cert and --tls-key belong together");
	if (in->opts.tenants && in->common.tenant)
		return wrong_usage(self, "--tenant names the one tenant, --tenants lets senders name theirs");
	return -1;
}

static void say_address(const char *what, const char *addr, unsigned port)
{
	if (addr)
		printf("%s %.*s:%u\n", what, (int)(strrchr(addr, ':') - addr), addr, port);
}

/* Where it listens, for people and for scripts that let the system choose the ports. */
static void say_ready(const struct receive *in, const struct receiver *r)
{
	say_address("http", in->opts.http, receiver_http_port(r));
	say_address("otlp-http", in->opts.otlp_http, receiver_otlp_http_port(r));
	say_address("otlp-grpc", in->opts.grpc, receiver_grpc_port(r));
	puts("ready");
	fflush(stdout);
}

static void block_signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGINT);
	pthread_sigmask(SIG_BLOCK, ret, NULL);
}

static int serve(struct receive *in)
{
	_cleanup_(store_freep) struct store *store = NULL;
	_cleanup_(relabel_freep) struct relabel *rules = NULL;
	struct store_options so = { .create = true };
	struct error err = { 0 };
	struct receiver *r;
	sigset_t stop;
	int got;
	if (in->rules && read_rules(in->rules, &rules))
		return EXIT_FAILED;
	in->opts.relabel = rules;
	mallopt(M_ARENA_MAX, ARENAS);
	block_signals(&stop);
	int e = store_open(in->common.store, &so, &store, &err);
	if (e)
		return fail(in->common.store, e, &err);
	e = receiver_new(store, &in->opts, &r, &err);
	if (e)
		return fail("receive", e, &err);
	say_ready(in, r);
	sigwait(&stop, &got);
	if (receiver_stop(r)) {
		complain("receive", "some requests were not done in time and are given up; they were not acknowledged");
		_exit(EXIT_FAILED); /* workers still hold what would be freed */
	}
	receiver_free(r);
	return EXIT_DONE;
}

static int run_receive(const struct command *self, int argc, char **argv)
{
	struct receive in = { 0 };
	int rc;
	for (int c; (c = getopt_long(argc, argv, ":h", options, NULL)) != -1;)
		if ((rc = take_option(self, &in, c, argv)) >= 0)
			return rc;
	if ((rc = store_operand(self, &in.common, argc, argv)) >= 0)
		return rc;
	if ((rc = check(self, &in, argc, argv)) >= 0)
		return rc;
	return serve(&in);
}

const struct command cmd_receive = {
	.name = "receive",
	.synopsis = "[options] STORE",
	.summary = "Serves OTLP and Pyroscope push: takes profiles that agents send",
	.help = "      --http ADDR          Pyroscope push, /ingest, files (default: " HTTP_DEFAULT ")\n"
	        "      --otlp-http ADDR     OTLP/HTTP (default: " OTLP_HTTP_DEFAULT "); both take the same\n"
	        "      --otlp-grpc ADDR     OTLP/gRPC (default: " GRPC_DEFAULT "); none: not served, of all three\n"
	        "      --tls-cert FILE      certificates, and\n"
	        "      --tls-key FILE       their key, in PEM: serves TLS; both are read again when they change\n"
	        "      --token-file FILE    a bearer token a line, one of which a request must bear\n"
	        "      --tenants            X-Scope-OrgID names the tenant of a request\n"
	        "      --max-tenants N      tenants that are taken (default: 100)\n"
	        "      --no-compact         leaves compaction to others\n"
	        "      --relabel FILE       relabelling rules (JSON) instead of the store's\n"
	        "      --mem SIZE           for requests in flight (default: 384M)\n"
	        "      --threads N          that decode and write (default: 128)\n"
	        "      --grace SECONDS      that a stop waits for what was accepted (default: 30)\n"
	        "    of each tenant:\n"
	        "      --max-body SIZE      of a request, as sent (default: 32M)\n"
	        "      --max-profile SIZE   of a request, decompressed (default: 64M)\n"
	        "      --max-in-flight N    requests that wait for their acknowledgement (default: 1000)\n"
	        "      --max-rate SIZE      bytes per second, as sent (default: no limit)\n"
	        "      --max-labels N       labels of a profile (default: 100)\n"
	        "      --max-series N       label sets of a service in a day (default: 100000)\n",
	.run = run_receive,
};

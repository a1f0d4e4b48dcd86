/* SPDX-License-Identifier: MIT */

/* profilefs compact: merges, collects and expires, once or for ever. */

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "../../core/base/size.h"
#include "../../core/db/compact.h"
#include "../../core/db/settings.h"
#include "common.h"

enum { OPT_GRACE = OPT_OF_COMMAND, OPT_MEMORY, OPT_SOLE, OPT_WATCH, OPT_RETENTION };

struct compact_args {
	struct compact_options o;
	bool sole, watch;
	const char *retention; /* as typed; NULL: not to be set */
	struct retention limit;
	int service_len;       /* of `retention`: the service before '='; 0: the store */
};

/* "256M": bytes, at least 16 MiB. */
static bool parse_memory(const char *s, size_t *ret)
{
	uint64_t n;
	if (!size_parse(s, &n) || n < (uint64_t)16 << 20 || n > SIZE_MAX >> 1)
		return false;
	*ret = (size_t)n;
	return true;
}

/* "30d" or "500G". */
static bool parse_limit(const char *s, size_t n, struct retention *r)
{
	static const char units[] = "KMGT";
	char *end;
	errno = 0;
	unsigned long long v = strtoull(s, &end, 10);
	if (errno || end == s || *s == '-' || !v || v > 1 << 20 || end + 1 != s + n)
		return false;
	const char *unit = strchr(units, *end);
	if (*end == 'd')
		r->days = (int64_t)v;
	else if (unit)
		r->bytes = (uint64_t)v << (10 * (unit - units + 1));
	return *end == 'd' || unit;
}

/* "[SERVICE=]LIMIT[,LIMIT]" or "[SERVICE=]none". */
static bool parse_retention(struct compact_args *a)
{
	const char *equals = strrchr(a->retention, '='), *s = equals ? equals + 1 : a->retention;
	a->service_len = equals ? (int)(equals - a->retention) : 0;
	if (equals == a->retention || !strcmp(s, "none"))
		return equals != a->retention;
	for (size_t n; *s; s += n + (s[n] == ',')) {
		n = strcspn(s, ",");
		if (!parse_limit(s, n, &a->limit))
			return false;
	}
	return a->limit.days || a->limit.bytes;
}

static int set_retention(struct db *db, const struct compact_args *a, const char *store)
{
	struct error err = { 0 };
	_free_ char *service = a->service_len ? strndup(a->retention, (size_t)a->service_len) : NULL;
	int e = retention_set(db, service, &a->limit, &err);
	return e ? fail(store, e, &err) : EXIT_DONE;
}

static void put_report(struct buf *out, const struct compact_report *r)
{
	char in[24], to[24];
	buf_printf(out, "%" PRIu64 " merge%s: %" PRIu64 " objects of %s to %" PRIu64 " of %s, %" PRIu64 " profiles",
	           r->merges, r->merges == 1 ? "" : "s", r->inputs, bytes_format(r->bytes_in, in), r->outputs,
	           bytes_format(r->bytes_out, to), r->profiles);
	if (r->duplicates)
		buf_printf(out, ", %" PRIu64 " duplicates left out", r->duplicates);
	buf_printf(out, "\n%" PRIu64 " object%s removed\n", r->removed, r->removed == 1 ? "" : "s");
	if (r->expired)
		buf_printf(out, "%" PRIu64 " object%s expired\n", r->expired, r->expired == 1 ? "" : "s");
	if (r->damaged)
		buf_printf(out, "%" PRIu64 " damaged, left where they are: see `profilefs check`\n", r->damaged);
}

static int compact_once(struct db *db, const struct compact_args *a, const char *store)
{
	_cleanup_(compactor_freep) struct compactor *c = NULL;
	_buf_ struct buf out = BUF_INIT(1 << 16);
	struct compact_report report = { 0 };
	struct error err = { 0 };
	int e = compactor_new(db, &a->o, &c);
	if (!e)
		e = compactor_pass(c, &report, &err);
	if (e)
		return fail(store, e, &err);
	put_report(&out, &report);
	return put_buf(&out);
}

/* Before any thread is made: the signals that end it are waited for. */
static void block_ending(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGINT);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGHUP);
	pthread_sigmask(SIG_BLOCK, ret, NULL);
}

static int compact_for_ever(struct db *db, const struct compact_args *a, const sigset_t *ending, const char *store)
{
	struct compact_options o = a->o;
	struct background *b;
	int sig;
	o.settle = false;
	o.poll = true;
	int e = background_start(db, &o, &b);
	if (e)
		return fail(store, e, NULL);
	while (sigwait(ending, &sig))
		;
	background_stop(b);
	return EXIT_DONE;
}

static int take_option(const struct command *self, struct compact_args *a, struct common *common, int c, char **argv)
{
	switch (c) {
	case OPT_GRACE:
		if (duration_parse(optarg, &a->o.grace))
			return -1;
		return wrong_usage(self, "\"%s\" is no duration like 15m", optarg);
	case OPT_MEMORY:
		if (parse_memory(optarg, &a->o.memory))
			return -1;
		return wrong_usage(self, "\"%s\" is no size of 16M or more", optarg);
	case OPT_SOLE:
		a->sole = true;
		return -1;
	case OPT_RETENTION:
		a->retention = optarg;
		return -1;
	case OPT_WATCH:
		a->watch = true;
		return -1;
	default:
		return common_option(self, common, c, argv);
	}
}

static int run_compact(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_LONG_OPTIONS,
		{ "grace", required_argument, NULL, OPT_GRACE },
		{ "memory", required_argument, NULL, OPT_MEMORY },
		{ "sole-compactor", no_argument, NULL, OPT_SOLE },
		{ "watch", no_argument, NULL, OPT_WATCH },
		{ "set-retention", required_argument, NULL, OPT_RETENTION },
		{ 0 },
	};
	_cleanup_(session_done) struct session s = { 0 };
	struct common common = { .uncached = true };
	struct compact_args a = { .o = { .settle = true } };
	int rc;

	for (int c; (c = getopt_long(argc, argv, ":vh", options, NULL)) != -1;)
		if ((rc = take_option(self, &a, &common, c, argv)) >= 0)
			return rc;
	if ((rc = store_operand(self, &common, argc, argv)) >= 0)
		return rc;
	if (optind < argc)
		return wrong_usage(self, "\"%s\" is one operand too many", argv[optind]);
	common.sole_compactor = a.sole;
	sigset_t ending;
	if (a.watch)
		block_ending(&ending);
	if (a.retention && !parse_retention(&a))
		return wrong_usage(self, "\"%s\" is no retention like 30d, 500G, 30d,500G, SERVICE=7d or none",
		                   a.retention);
	if ((rc = session_open(&s, &common, SESSION_WRITE)))
		return rc;
	if (a.retention)
		return set_retention(s.db, &a, common.store);
	return a.watch ? compact_for_ever(s.db, &a, &ending, common.store) : compact_once(s.db, &a, common.store);
}

const struct command cmd_compact = {
	.name = "compact",
	.synopsis = "[options] STORE",
	.summary = "Merges what was written, and removes what is no longer needed",
	.help = "      --watch          goes on for ever: looks every 2 s, up to every minute while nothing comes\n"
	        "      --set-retention [SERVICE=]LIMITS   keeps what is younger and less than LIMITS: days and size,\n"
	        "                       as 30d, 500G or 30d,500G; or none. Says so in the store, and ends\n"
	        "      --grace TIME     how long replaced blocks stay for readers (default: 15m)\n"
	        "      --memory SIZE    what one merge may take (default: 256M)\n"
	        "      --sole-compactor promises that no other process compacts: for stores that do not\n"
	        "                       create exclusively\n",
	.run = run_compact,
};

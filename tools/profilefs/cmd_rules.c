/* SPDX-License-Identifier: MIT */

/*
 * profilefs relabel: the rules by which every writer relabels profiles; profilefs rules: those by which metrics are
 * made from profiles. Each is a text in the store's settings that is shown or set. The latter's values can be sent.
 */

#include <string.h>

#include "../../core/db/rules.h"
#include "../../core/paths/recording.h"
#include "common.h"
#include "rules_send.h"

#define TEXT_MAX ((size_t)1 << 20)

struct text {
	int (*get)(struct db *db, struct buf *out, struct error *err);
	int (*set)(struct db *db, struct str text, struct error *err);
};

static int relabel_text(struct db *db, struct buf *out, struct error *err)
{
	int e = settings_get_text(db, RULES_MEMBER, 0, out, err);
	if (!e && !out->len)
		buf_puts(out, "[]\n");
	return e;
}

static const struct text relabelling = { relabel_text, rules_set }, recording = { recordings_text, recordings_set };

static int show(struct session *s, const struct text *t, const char *store)
{
	_buf_ struct buf text = BUF_INIT(TEXT_MAX);
	struct error err = { 0 };
	int e = t->get(s->db, &text, &err);
	if (e)
		return fail(store, e, &err);
	return put_buf(&text);
}

static int set(struct session *s, const struct text *t, const char *store, const char *file)
{
	_buf_ struct buf text = BUF_INIT(TEXT_MAX);
	struct error err = { 0 };
	int e = read_text(file, &text);
	if (e)
		return fail(file, e, NULL);
	e = t->set(s->db, (struct str){ text.len ? (const char *)text.data : "", text.len }, &err);
	return e ? fail(e == ERR_PATH ? file : store, e, &err) : EXIT_DONE;
}

static int show_or_set(const struct command *self, const struct common *common, const char *file)
{
	_cleanup_(session_done) struct session s = { 0 };
	const struct text *t = self == &cmd_rules ? &recording : &relabelling;
	if (session_open(&s, common, file ? SESSION_CREATE : SESSION_READ))
		return EXIT_FAILED;
	return file ? set(&s, t, common->store, file) : show(&s, t, common->store);
}

/* STORE [FILE]: -1 to go on, else the exit code. */
static int operands(const struct command *self, struct common *common, int argc, char **argv, const char **ret_file)
{
	int rc = store_operand(self, common, argc, argv);
	if (rc >= 0)
		return rc;
	*ret_file = optind < argc ? argv[optind++] : NULL;
	return optind < argc ? wrong_usage(self, "\"%s\" is one operand too many", argv[optind]) : -1;
}

static int run_relabel(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = { COMMON_LONG_OPTIONS, { 0 } };
	struct common common = { 0 };
	const char *file;
	int rc;
	for (int c; (c = getopt_long(argc, argv, ":vh", options, NULL)) != -1;)
		if ((rc = common_option(self, &common, c, argv)) >= 0)
			return rc;
	rc = operands(self, &common, argc, argv, &file);
	return rc >= 0 ? rc : show_or_set(self, &common, file);
}

/* ---- sending ---- */

#define SINCE_DEFAULT NS_PER_HOUR
#define DELAY_DEFAULT NS_PER_MIN
#define PATIENCE_DEFAULT (5 * NS_PER_MIN)

enum {
	OPT_URL = OPT_OF_COMMAND,
	OPT_SINCE,
	OPT_WATCH,
	OPT_DELAY,
	OPT_LATE,
	OPT_STATE,
	OPT_TOKEN,
	OPT_USER,
	OPT_CA,
	OPT_PATIENCE,
};

struct rules_args {
	struct common common;
	struct rules_send send;
	const char *only_sending; /* the last option that means nothing else; NULL */
	int64_t patience;         /* 0: not given */
};

/* A time, or how long ago. */
static bool parse_since(const char *s, int64_t *ret)
{
	int64_t ago;
	if (duration_parse(s, &ago)) {
		*ret = clock_now() - ago;
		return true;
	}
	return time_parse(s, ret);
}

static bool take_send_option(struct rules_args *a, int c)
{
	struct rules_send *o = &a->send;
	switch (c) {
	case OPT_SINCE:
		return parse_since(optarg, &o->since);
	case OPT_DELAY:
		return duration_parse(optarg, &o->delay);
	case OPT_LATE:
		return duration_parse(optarg, &o->late);
	case OPT_PATIENCE:
		return duration_parse(optarg, &a->patience);
	case OPT_STATE:
		o->state = optarg;
		return true;
	case OPT_TOKEN:
		o->remote.token_file = optarg;
		return true;
	case OPT_USER:
		o->remote.user_file = optarg;
		return true;
	case OPT_CA:
		o->remote.ca_file = optarg;
		return true;
	default:
		o->watch = true;
		return true;
	}
}

static int take_option(const struct command *self, struct rules_args *a, int c, char **argv)
{
	if (c == OPT_URL) {
		a->send.remote.url = optarg;
		return -1;
	}
	if (c < OPT_OF_COMMAND)
		return common_option(self, &a->common, c, argv);
	a->only_sending = c == OPT_WATCH ? "--watch" : argv[optind - 1];
	if (take_send_option(a, c))
		return -1;
	if (c == OPT_SINCE)
		return wrong_usage(self, "\"%s\" is no time like 2026-11-22T00:00:00Z, and not as 30d", optarg);
	return wrong_usage(self, "\"%s\" is no duration like 90s", optarg);
}

static int check_url(const struct command *self, const char *url)
{
	const char *host = !strncmp(url, "http://", 7) ? url + 7 : !strncmp(url, "https://", 8) ? url + 8 : NULL;
	if (!host || !*host)
		return wrong_usage(self, "\"%s\" is no http:// or https:// address", url);
	if (memchr(host, '@', strcspn(host, "/")) || options_have_secret(url))
		return wrong_usage(self, "a secret is not taken on the command line, where others can read it: "
		                         "--token-file and --user-file name files that hold one");
	return -1;
}

static int check(const struct command *self, struct rules_args *a, const char *file)
{
	const struct remote_options *r = &a->send.remote;
	if (!r->url && a->only_sending)
		return wrong_usage(self, "\"%s\" means nothing without --remote-write", a->only_sending);
	if (!r->url)
		return -1;
	if (file)
		return wrong_usage(self, "rules are set, or their values sent: one of both");
	if (r->token_file && r->user_file)
		return wrong_usage(self, "--token-file and --user-file exclude each other");
	return check_url(self, r->url);
}

static int send_values(struct rules_args *a)
{
	_cleanup_(session_done) struct session s = { 0 };
	struct rules_send *o = &a->send;
	o->since = o->since ? o->since : clock_now() - SINCE_DEFAULT;
	o->delay = o->delay ? o->delay : DELAY_DEFAULT;
	o->remote.patience = a->patience ? a->patience : o->watch ? 0 : PATIENCE_DEFAULT;
	o->remote.log = &stderr_log;
	if (session_open(&s, &a->common, SESSION_READ) || session_tree(&s, &a->common))
		return EXIT_FAILED;
	return rules_send(&s, o);
}

static int run_rules(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_LONG_OPTIONS,
		QUERY_LONG_OPTIONS,
		{ "remote-write", required_argument, NULL, OPT_URL },
		{ "since", required_argument, NULL, OPT_SINCE },
		{ "watch", no_argument, NULL, OPT_WATCH },
		{ "delay", required_argument, NULL, OPT_DELAY },
		{ "late", required_argument, NULL, OPT_LATE },
		{ "patience", required_argument, NULL, OPT_PATIENCE },
		{ "state", required_argument, NULL, OPT_STATE },
		{ "token-file", required_argument, NULL, OPT_TOKEN },
		{ "user-file", required_argument, NULL, OPT_USER },
		{ "ca-file", required_argument, NULL, OPT_CA },
		{ 0 },
	};
	struct rules_args a = { 0 };
	const char *file;
	int rc;
	for (int c; (c = getopt_long(argc, argv, ":vh", options, NULL)) != -1;)
		if ((rc = take_option(self, &a, c, argv)) >= 0)
			return rc;
	if ((rc = operands(self, &a.common, argc, argv, &file)) >= 0 || (rc = check(self, &a, file)) >= 0)
		return rc;
	return a.send.remote.url ? send_values(&a) : show_or_set(self, &a.common, file);
}

const struct command cmd_relabel = {
	.name = "relabel",
	.synopsis = "STORE [FILE|-]",
	.summary = "Shows or sets the rules by which every writer relabels profiles",
	.help = "  FILE holds a JSON array of rules, as of Prometheus' relabel_config; [] removes\n"
	        "  them. Writers follow within half a minute; what is stored already stays as it is.\n\n",
	.run = run_relabel,
};

const struct command cmd_rules = {
	.name = "rules",
	.synopsis = "[options] STORE [FILE|-]",
	.summary = "Shows or sets the rules by which metrics are made, or sends the metrics",
	.help = "  FILE holds a JSON array of rules; [] removes them. The values are in\n"
	        "  .profilefs/rules.prom, and go to a server by\n\n"
	        "      --remote-write URL   Prometheus remote write: http(s)://HOST/api/v1/write\n"
	        "      --since T            from this time on, or so long ago, as 30d (default: 1h)\n"
	        "      --state FILE         keeps there what was sent, and goes on from it\n"
	        "      --watch              goes on for ever, with each step that ends\n"
	        "      --delay TIME         that a step waits for late profiles (default: 1m)\n"
	        "      --late TIME          looks at so much again, for profiles that come later; sends what changed\n"
	        "      --patience TIME      that a server is tried for (default: 5m; with --watch, for ever)\n"
	        "      --token-file FILE    holds a bearer token, or\n"
	        "      --user-file FILE     USER:PASSWORD\n"
	        "      --ca-file FILE       certificates (PEM) to trust, instead of the system's\n" QUERY_HELP,
	.run = run_rules,
};

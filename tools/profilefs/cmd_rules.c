/* SPDX-License-Identifier: MIT */

/*
 * profilefs relabel: the rules by which every writer relabels profiles; profilefs rules: those by which metrics are
 * made from profiles. Each is a text in the store's settings that is shown or set.
 */

#include "../../core/db/rules.h"
#include "../../core/paths/recording.h"
#include "common.h"

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

static int run_text(const struct command *self, int argc, char **argv)
{
	_cleanup_(session_done) struct session s = { 0 };
	static const struct option options[] = { COMMON_LONG_OPTIONS, { 0 } };
	const struct text *t = self == &cmd_rules ? &recording : &relabelling;
	struct common common = { 0 };
	int rc;
	for (int c; (c = getopt_long(argc, argv, ":h", options, NULL)) != -1;)
		if ((rc = common_option(self, &common, c, argv)) >= 0)
			return rc;
	if ((rc = store_operand(self, &common, argc, argv)) >= 0)
		return rc;
	const char *file = optind < argc ? argv[optind++] : NULL;
	if (optind < argc)
		return wrong_usage(self, "\"%s\" is one operand too many", argv[optind]);
	if (session_open(&s, &common, file ? SESSION_CREATE : SESSION_READ))
		return EXIT_FAILED;
	return file ? set(&s, t, common.store, file) : show(&s, t, common.store);
}

const struct command cmd_relabel = {
	.name = "relabel",
	.synopsis = "STORE [FILE|-]",
	.summary = "Shows or sets the rules by which every writer relabels profiles",
	.help = "  FILE holds a JSON array of rules, as of Prometheus' relabel_config; [] removes\n"
	        "  them. Writers follow within half a minute; what is stored already stays as it is.\n\n",
	.run = run_text,
};

const struct command cmd_rules = {
	.name = "rules",
	.synopsis = "STORE [FILE|-]",
	.summary = "Shows or sets the rules by which metrics are made from profiles",
	.help = "  FILE holds a JSON array of rules; [] removes them. The values are in\n"
	        "  .profilefs/rules.prom.\n\n",
	.run = run_text,
};

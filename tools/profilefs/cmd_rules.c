/* SPDX-License-Identifier: MIT */

/* profilefs rules: the metrics that are made from profiles, shown or set. */

#include "../../core/paths/recording.h"
#include "common.h"

static int show(struct session *s, const char *store)
{
	_buf_ struct buf text = BUF_INIT(RECORDING_MAX_BYTES);
	struct error err = { 0 };
	int e = recordings_text(s->db, &text, &err);
	if (e)
		return fail(store, e, &err);
	buf_putc(&text, '\n');
	return put_buf(&text);
}

static int set(struct session *s, const char *store, const char *file)
{
	_buf_ struct buf text = BUF_INIT(RECORDING_MAX_BYTES);
	struct error err = { 0 };
	int e = read_text(file, &text);
	if (e)
		return fail(file, e, NULL);
	e = recordings_set(s->db, (struct str){ text.len ? (const char *)text.data : "", text.len }, &err);
	return e ? fail(e == ERR_PATH ? file : store, e, &err) : EXIT_DONE;
}

static int run_rules(const struct command *self, int argc, char **argv)
{
	_cleanup_(session_done) struct session s = { 0 };
	static const struct option options[] = { COMMON_LONG_OPTIONS, { 0 } };
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
	return file ? set(&s, common.store, file) : show(&s, common.store);
}

const struct command cmd_rules = {
	.name = "rules",
	.synopsis = "STORE [FILE|-]",
	.summary = "Shows or sets the rules by which metrics are made from profiles",
	.help = "  FILE holds a JSON array of rules; [] removes them. The values are in\n"
	        "  .profilefs/rules.prom.\n\n",
	.run = run_rules,
};

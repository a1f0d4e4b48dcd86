/* SPDX-License-Identifier: MIT */

/* profilefs check: verifies every checksum and reference of the store. */

#include <inttypes.h>

#include "common.h"

enum { OPT_REPAIR = OPT_OF_COMMAND };

static void report(void *ctx, const char *key, const char *what)
{
	if (is_about(what, key))
		printf("%s\n", what);
	else
		printf("%s: %s\n", key, what);
}

static int check(struct db *db, bool repair, const char *store)
{
	struct error err = { 0 };
	struct db_stats stats;
	int found = db_check(db, repair, report, NULL, &err);
	if (found < 0)
		return fail(store, found, &err);
	if (fflush(stdout))
		return fail("standard output", -errno, NULL);
	if (found) {
		complain(store, "%d finding%s%s", found, found == 1 ? "" : "s",
		         repair ? "; what could be put right has been" : "");
		return EXIT_FAILED;
	}
	int e = db_stat(db, &stats, &err);
	if (e)
		return fail(store, e, &err);
	printf("%" PRIu64 " objects, %" PRIu64 " profiles, no damage\n", stats.objects, stats.profiles);
	return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
}

static int run_check(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_LONG_OPTIONS,
		{ "repair", no_argument, NULL, OPT_REPAIR },
		{ 0 },
	};
	_cleanup_(session_done) struct session s = { 0 };
	struct common common = { .uncached = true };
	bool repair = false;
	int rc;

	for (int c; (c = getopt_long(argc, argv, ":vh", options, NULL)) != -1;) {
		if (c == OPT_REPAIR)
			repair = true;
		else if ((rc = common_option(self, &common, c, argv)) >= 0)
			return rc;
	}
	if ((rc = store_operand(self, &common, argc, argv)) >= 0)
		return rc;
	if (optind < argc)
		return wrong_usage(self, "\"%s\" is one operand too many", argv[optind]);
	if ((rc = session_open(&s, &common, repair ? SESSION_WRITE : SESSION_READ)))
		return rc;
	return check(s.db, repair, common.store);
}

const struct command cmd_check = {
	.name = "check",
	.synopsis = "[options] STORE",
	.summary = "Verifies every object of the store",
	.help = "      --repair         puts right what can be: missing markers\n",
	.run = run_check,
};

/* SPDX-License-Identifier: MIT */

/* profilefs rm: deletes a service, a day of it, a type of a day, or a profile. */

#include <inttypes.h>

#include "common.h"

static int remove_path(struct tree *tree, const char *path, bool dry_run)
{
	_cleanup_(node_unrefp) struct node *node = NULL;
	struct db_deleted done;
	struct error err = { 0 };
	int e = tree_walk(tree, path, true, NULL, &node, &err);
	if (!e && !tree_holds_data(node))
		e = error_set(&err, ERR_PATH_DENIED, "only a service, a day of it, a type of a day and a file of a "
		              "day's profiles/ can be deleted");
	if (!e)
		e = tree_delete(tree, node, dry_run, &done, &err);
	if (e)
		return fail(path, e, &err);
	printf("%s: %" PRIu64 " profile%s of %" PRIu64 " day%s %s\n", path, done.profiles,
	       done.profiles == 1 ? "" : "s", done.days, done.days == 1 ? "" : "s",
	       dry_run ? "would be deleted" : "deleted");
	return fflush(stdout) ? fail("standard output", -errno, NULL) : EXIT_DONE;
}

static int run_rm(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = { COMMON_LONG_OPTIONS, { "dry-run", no_argument, NULL, 'n' }, { 0 } };
	_cleanup_(session_done) struct session s = { 0 };
	struct common common = { 0 };
	bool dry_run = false;
	int rc;

	for (int c; (c = getopt_long(argc, argv, ":nvh", options, NULL)) != -1;) {
		if (c == 'n')
			dry_run = true;
		else if ((rc = common_option(self, &common, c, argv)) >= 0)
			return rc;
	}
	if ((rc = store_operand(self, &common, argc, argv)) >= 0)
		return rc;
	if (optind >= argc)
		return wrong_usage(self, "PATH is missing");
	if ((rc = session_open(&s, &common, dry_run ? SESSION_READ : SESSION_WRITE)) ||
	    (rc = session_tree(&s, &common)))
		return rc;
	for (rc = EXIT_DONE; optind < argc; optind++)
		rc |= remove_path(s.tree, argv[optind], dry_run);
	return rc;
}

const struct command cmd_rm = {
	.name = "rm",
	.synopsis = "[options] STORE PATH...",
	.summary = "Deletes a service, a day of it, a type of a day, or a profile",
	.help = "  -n, --dry-run        tells what would be deleted\n"
	        "\n"
	        "A type is deleted with the profiles that have it, and so with their other types.\n",
	.run = run_rm,
};

/* SPDX-License-Identifier: MIT */

/* profilefs cat: files of the tree without a mount. */

#include "common.h"

static int cat_one(struct tree *tree, const char *path)
{
	_cleanup_(node_unrefp) struct node *node = NULL;
	_cleanup_(content_unrefp) struct content *content = NULL;
	struct error err = { 0 };
	struct node_attr attr;

	int e = tree_walk(tree, path, true, NULL, &node, &err);
	if (e)
		return fail(path, e, &err);
	node_attr(node, &attr);
	if (attr.kind != NODE_FILE) {
		complain(path, "is a directory; `profilefs ls` lists it");
		return EXIT_FAILED;
	}
	e = tree_render(tree, node, NULL, &content, &err);
	return e ? fail(path, e, &err) : put_out(content->data, content->len);
}

static int run_cat(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = { COMMON_LONG_OPTIONS, QUERY_LONG_OPTIONS, { 0 } };
	_cleanup_(session_done) struct session s = { 0 };
	struct common common = { 0 };
	int rc;

	for (int c; (c = getopt_long(argc, argv, ":vh", options, NULL)) != -1;)
		if ((rc = common_option(self, &common, c, argv)) >= 0)
			return rc;
	if ((rc = store_operand(self, &common, argc, argv)) >= 0)
		return rc;
	if (optind == argc)
		return wrong_usage(self, "PATH is missing");
	if ((rc = session_open(&s, &common, SESSION_READ)) || (rc = session_tree(&s, &common)))
		return rc;
	for (; optind < argc; optind++)
		rc |= cat_one(s.tree, argv[optind]);
	return rc;
}

const struct command cmd_cat = {
	.name = "cat",
	.synopsis = "[options] STORE PATH...",
	.summary = "Writes files of the tree to standard output",
	.help = QUERY_HELP,
	.run = run_cat,
};

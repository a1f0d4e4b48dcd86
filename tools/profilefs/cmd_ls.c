/* SPDX-License-Identifier: MIT */

/* profilefs ls: directories of the tree without a mount, one name a line. */

#include "common.h"

#define LINES_MAX ((size_t)1 << 20)

/* "d           - 2026-11-22T11:57:30Z ": kind, size where it is known without rendering, newest profile. */
static void put_attr(struct buf *out, const struct node_attr *a)
{
	char time[TIME_LEN], size[24] = "-";
	if (a->kind == NODE_FILE && a->size_known)
		snprintf(size, sizeof size, "%llu", (unsigned long long)a->size);
	time_format_rfc3339(time_floor(a->mtime, NS_PER_S), time);
	buf_printf(out, "%c %11s %-20s ", "d-l"[a->kind], size, time);
}

static void put_line(struct buf *out, struct node *n, const char *name, bool full)
{
	struct node_attr attr;
	if (full) {
		node_attr(n, &attr);
		put_attr(out, &attr);
	}
	buf_puts(out, name);
	if (full && attr.kind == NODE_LINK) {
		buf_puts(out, " -> ");
		(void)node_link(n, out);
	}
	buf_putc(out, '\n');
}

static int put_entry(struct tree *tree, struct node *dir, const struct entry *entry, bool full, struct buf *out)
{
	_cleanup_(node_unrefp) struct node *n = NULL;
	struct error err = { 0 };
	int e = full ? tree_lookup(tree, dir, entry->name, NULL, &n, &err) : 0;
	if (e)
		return fail(entry->name, e, &err);
	put_line(out, n, entry->name, full);
	return EXIT_DONE;
}

static int list_dir(struct tree *tree, struct node *dir, const char *path, bool full)
{
	_cleanup_(listing_freep) struct listing *listing = NULL;
	_buf_ struct buf out = BUF_INIT(2 * LINES_MAX);
	struct error err = { 0 };
	struct entry entry;
	int rc = EXIT_DONE;

	int e = listing_new(tree, dir, NULL, &listing, &err);
	if (e)
		return fail(path, e, &err);
	for (uint64_t i = 0; (e = listing_entry(listing, i, &entry)) > 0; i++) {
		rc |= put_entry(tree, dir, &entry, full, &out);
		if (out.len < LINES_MAX && !buf_err(&out))
			continue;
		if (put_buf(&out))
			return EXIT_FAILED;
		buf_reset(&out);
	}
	rc |= put_buf(&out);
	return e ? fail(path, e, &err) : rc;
}

static int list_path(struct tree *tree, const char *path, bool full)
{
	_cleanup_(node_unrefp) struct node *node = NULL;
	_buf_ struct buf out = BUF_INIT(LINES_MAX);
	struct error err = { 0 };
	struct node_attr attr;

	int e = tree_walk(tree, path, true, NULL, &node, &err);
	if (e)
		return fail(path, e, &err);
	node_attr(node, &attr);
	if (attr.kind == NODE_DIR)
		return list_dir(tree, node, path, full);
	put_line(&out, node, path, full);
	return put_buf(&out);
}

static int run_ls(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_LONG_OPTIONS, QUERY_LONG_OPTIONS, { "long", no_argument, NULL, 'l' }, { 0 }
	};
	_cleanup_(session_done) struct session s = { 0 };
	struct common common = { 0 };
	bool full = false;
	int rc;

	for (int c; (c = getopt_long(argc, argv, ":lvh", options, NULL)) != -1;) {
		if (c == 'l')
			full = true;
		else if ((rc = common_option(self, &common, c, argv)) >= 0)
			return rc;
	}
	if ((rc = store_operand(self, &common, argc, argv)) >= 0)
		return rc;
	if (argc - optind > 1)
		return wrong_usage(self, "one PATH is listed at a time");
	if ((rc = session_open(&s, &common, SESSION_READ)) || (rc = session_tree(&s, &common)))
		return rc;
	return list_path(s.tree, optind < argc ? argv[optind] : "/", full);
}

const struct command cmd_ls = {
	.name = "ls",
	.synopsis = "[options] STORE [PATH]",
	.summary = "Lists a directory of the tree",
	.help = "  -l, --long           kind, size, time of the newest profile; targets of links\n" QUERY_HELP,
	.run = run_ls,
};

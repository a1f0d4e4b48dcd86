/* SPDX-License-Identifier: MIT */
#include "fixture.h"

static int setup(void **state)
{
	static struct fixture f;
	open_fixture(&f, NULL);
	fill_fixture(&f);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	close_fixture(*state);
	return 0;
}

static bool has_line(const char *list, const char *line)
{
	size_t n = strlen(line);
	for (const char *s = list; (s = strstr(s, line)); s++)
		if ((s == list || s[-1] == '\n') && s[n] == '\n')
			return true;
	return false;
}

static void expect_lists(struct fixture *f, const char *path, const char *const *lines)
{
	_free_ char *list = list_of(f, path);
	for (; *lines; lines++)
		if (!has_line(list, *lines))
			fail_msg("%s does not list %s but\n%s", path, *lines, list);
}

static void expect_not_listed(struct fixture *f, const char *path, const char *line)
{
	_free_ char *list = list_of(f, path);
	if (has_line(list, line))
		fail_msg("%s lists %s:\n%s", path, line, list);
}

#define LINES(...) ((const char *const[]){ __VA_ARGS__, NULL })

static void the_root_lists_services(void **state)
{
	_free_ char *list = list_of(*state, "/");
	assert_memory_equal(list, "%25%25", 6);
	assert_string_equal(strchr(list, '\n'), "\n.profilefs/\n2026/\nREADME.md\na%20b%2Fc/\ncheckout/\n");
	_cleanup_(node_unrefp) struct node *all = must_walk(*state, "/@all", false);
	assert_int_equal(try_walk(*state, "/nothing"), ERR_PATH_ABSENT);
	assert_int_equal(try_walk(*state, "/a b%2Fc"), 0);
}

static void a_service_lists_its_days_and_links(void **state)
{
	_free_ char *list = list_of(*state, "/checkout");
	assert_string_equal(list, "2026-11-21/\n2026-11-22/\nlast-15m@\nlast-1h@\nlast-24h@\nlatest@\ntoday@\nyesterday@\n");
	_free_ char *narrowed = list_of(*state, "/checkout/region=eu/pod!=x");
	assert_string_equal(narrowed, list);
	expect_link(*state, "/checkout/latest", "2026-11-22");
	expect_link(*state, "/checkout/today", "2026-11-22");
	expect_link(*state, "/checkout/yesterday", "2026-11-21");
	expect_link(*state, "/checkout/last-15m", "2026-11-22T134500--2026-11-22T140015");
	expect_link(*state, "/checkout/region=eu/last-7d", "2026-11-15T140000--2026-11-22T140015");
}

static void a_day_lists_types_labels_and_hours(void **state)
{
	expect_lists(*state, "/checkout/2026-11-22",
	             LINES("cpu/", "samples/", "inuse_space/", "alloc_space/", "mutex.delay/", "mutex.contentions/", "%76s/", "a%3Db/",
	                   "%74op.txt/", "heap@", "allocs@", "by-region/", "by-pod/", "by-span_id/", "profiles/", "labels.json",
	                   "info.json", "T11@", "T12@", "T13@"));
	expect_not_listed(*state, "/checkout/2026-11-22", "T14@");
	expect_not_listed(*state, "/checkout/2026-11-22", "top.txt");
	expect_not_listed(*state, "/checkout/2026-11-22/region=eu", "by-region/");
	expect_lists(*state, "/checkout/2026-11-22/region=eu", LINES("by-pod/", "T13@", "cpu/"));
	expect_lists(*state, "/checkout/2026-11-21", LINES("by-by-x/", "cpu/") + 1);
	expect_link(*state, "/checkout/2026-11-22/T13", "../2026-11-22T13");
	expect_link(*state, "/checkout/2026-11-22/region=eu/T1305", "2026-11-22T1305");
	expect_link(*state, "/checkout/2026-11-22/heap", "inuse_space");
	expect_link(*state, "/checkout/2026-11-22/allocs", "alloc_space");
}

static void a_type_lists_its_renderings(void **state)
{
	expect_lists(*state, "/checkout/2026-11-22/cpu",
	             LINES("flamegraph.svg", "folded.txt", "top.txt", "profile.pb.gz", "metrics.prom", "by-region/", "profiles/"));
	expect_not_listed(*state, "/checkout/2026-11-22/cpu", "T13@");
	expect_not_listed(*state, "/checkout/2026-11-22/cpu", "vs/");
	expect_not_listed(*state, "/checkout/2026-11-22/cpu", "functions/");
	expect_not_listed(*state, "/checkout/2026-11-22/cpu/@function=main", "by-region/");
}

static void values_are_links_to_matchers(void **state)
{
	expect_lists(*state, "/checkout/2026-11-22/cpu/by-pod", LINES("a@", "b@", "%6Detrics.prom@", "metrics.prom"));
	expect_lists(*state, "/checkout/2026-11-22/cpu/by-region", LINES("eu@", "us@", "%none@"));
	expect_link(*state, "/checkout/2026-11-22/cpu/by-region/eu", "../region=eu");
	expect_link(*state, "/checkout/2026-11-22/cpu/by-region/%none", "../region=");
	expect_link(*state, "/checkout/2026-11-22/cpu/by-pod/%6Detrics.prom", "../pod=metrics.prom");
	assert_int_equal(try_walk(*state, "/checkout/2026-11-22/cpu/by-region/mars"), ERR_PATH_ABSENT);
	assert_int_equal(try_walk(*state, "/checkout/2026-11-22/cpu/by-nothing"), ERR_PATH_ABSENT);
	expect_not_listed(*state, "/checkout/2026-11-22/by-pod", "metrics.prom");
	assert_int_equal(try_walk(*state, "/checkout/2026-11-22/by-pod/metrics.prom"), ERR_PATH_ABSENT);
	/* Found where it is not listed. */
	expect_lists(*state, "/checkout/2026-11-22/cpu/region=eu/by-region", LINES("eu@"));
}

static void profiles_are_files_in_the_day_and_links_elsewhere(void **state)
{
	_free_ char *day = list_of(*state, "/checkout/2026-11-22/profiles");
	_free_ char *cpu = list_of(*state, "/checkout/2026-11-22/cpu/profiles");
	_free_ char *eu = list_of(*state, "/checkout/region=eu/2026-11-22/profiles");
	_free_ char *all = list_of(*state, "/@all/2026-11-22/cpu/profiles");
	size_t files = 0, links = 0;
	for (const char *s = day; *s; s++)
		files += *s == '\n';
	for (const char *s = cpu; *s; s++)
		links += *s == '@';
	assert_int_equal(files, 6);
	assert_null(strchr(day, '@'));
	assert_int_equal(links, 3);
	char path[400], target[400], name[100];
	snprintf(name, sizeof name, "%.*s", (int)strcspn(eu, "@"), eu);
	snprintf(path, sizeof path, "/checkout/region=eu/2026-11-22/profiles/%s", name);
	snprintf(target, sizeof target, "../../../2026-11-22/profiles/%s", name);
	expect_link(*state, path, target);
	snprintf(name, sizeof name, "%.*s", (int)strcspn(all, "@"), all);
	snprintf(path, sizeof path, "/@all/2026-11-22/cpu/profiles/%s", name);
	_cleanup_(content_unrefp) struct content *c = must_render(*state, path);
	assert_true(c->len > 20);
}

static void long_names_lead_on(void **state)
{
	char path[700];
	_free_ char *list = list_of(*state, "/2026/2026-11-22/cpu/by-pod");
	const char *cut = strstr(list, "00000");
	assert_non_null(cut);
	snprintf(path, sizeof path, "/2026/2026-11-22/cpu/by-pod/%.*s/folded.txt", (int)strcspn(cut, "@\n"), cut);
	_cleanup_(content_unrefp) struct content *c = must_render(*state, path);
	assert_non_null(memmem(c->data, c->len, "main;000", 8));
	_free_ char *functions = list_of(*state, "/2026/2026-11-22/cpu/functions");
	cut = strstr(functions, "00000");
	assert_non_null(cut);
	snprintf(path, sizeof path, "/2026/2026-11-22/cpu/functions/%.*s/folded.txt", (int)strcspn(cut, "@\n"), cut);
	_cleanup_(content_unrefp) struct content *d = must_render(*state, path);
	assert_non_null(memmem(d->data, d->len, "main;000", 8));
}

static void what_is_unknown_is_absent_and_what_is_ill_formed_is_refused(void **state)
{
	static const char *const absent[] = { "/checkout/cpu", "/checkout/2026-11-22/nothing", "/checkout/.git", "/.Trash-1000",
		                              "/checkout/2026-11-22/._x", "/checkout/2026-11-22/vs",
		                              "/checkout/2026-11-22/cpu/cpu", "/checkout/2026-11-22/cpu/vs/top.txt",
		                              "/checkout/2026-11/T14", "/checkout/2026-11-22/profiles/x.pb.gz",
		                              "/checkout/2026-11-22/profiles/2026_01JD0000000000000000000000.pb.gz",
		                              "/.profilefs/nothing", "/checkout/2026-11-22/vs/x" };
	static const char *const refused[] = { "/checkout/2026-13-01", "/checkout/2026-11-22/@nothing=1",
		                               "/checkout/2026-11-22/cpu/pod=~(", "/checkout/2026-11-22/cpu/@focus=*",
		                               "/checkout/2026-11-22/@type=cpu", "/checkout/last-999999999w",
		                               "/checkout/2026-11-22/cpu/vs/pod!=a" };
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
		if (try_walk(*state, absent[i]) != ERR_PATH_ABSENT)
			fail_msg("%s: %s", absent[i], err_name(try_walk(*state, absent[i])));
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		if (try_walk(*state, refused[i]) != ERR_PATH)
			fail_msg("%s: %s", refused[i], err_name(try_walk(*state, refused[i])));
	assert_int_equal(try_walk(*state, "/README.md/x"), -ENOTDIR);
}

static void times_and_matchers_exist_where_they_select_nothing(void **state)
{
	static const char *const there[] = { "/checkout/1999-01-01", "/checkout/2026-11-22/region=mars/cpu",
		                             "/checkout/1999/cpu/@focus=nothing/top.txt", "/checkout/all/cpu/pod=~z.*",
		                             "/checkout/last-15m/cpu/top.txt", "/checkout/2026-11-22T14:05/mutex.delay",
		                             "/checkout/2026-11-22/T11/inuse_space", "/checkout/2026-11-22/2025/cpu/folded.txt" };
	for (size_t i = 0; i < ARRAY_SIZE(there); i++)
		if (try_walk(*state, there[i]))
			fail_msg("%s: %s", there[i], err_name(try_walk(*state, there[i])));
	_cleanup_(content_unrefp) struct content *c = must_render(*state, "/checkout/1999/cpu/folded.txt");
	assert_int_equal(c->len, 0);
}

static void vs_shows_what_to_compare_with(void **state)
{
	expect_lists(*state, "/checkout/2026-11-22/cpu/region=eu/vs", LINES("2026-11-21@", "2026-11-22@", "latest@", "by-region/"));
	expect_link(*state, "/checkout/2026-11-22/cpu/vs/2026-11-21", "2026-11-21--2026-11-22");
	expect_link(*state, "/checkout/2026-11-22/cpu/vs/yesterday", "2026-11-21--2026-11-22");
	expect_lists(*state, "/checkout/2026-11-22/cpu/region=eu/vs/by-region", LINES("eu@", "us@"));
	expect_lists(*state, "/checkout/2026-11-22/cpu/vs/yesterday", LINES("info.json"));
	expect_not_listed(*state, "/checkout/2026-11-22/cpu/vs/yesterday", "by-region/");
	_cleanup_(content_unrefp) struct content *c =
		must_render(*state, "/checkout/2026-11-22/cpu/region=eu/vs/by-region/us/info.json");
	assert_true(c->len > 20);
}

static void files_render_once_and_keep_their_inode(void **state)
{
	struct fixture *f = *state;
	_cleanup_(node_unrefp) struct node *n = must_walk(f, "/checkout/2026-11-22/cpu/folded.txt", false);
	struct node_attr before, after, again;
	node_attr(n, &before);
	assert_int_equal(before.kind, NODE_FILE);
	assert_true(before.ino > 0 && before.ino < (uint64_t)1 << 53);
	assert_int_equal(before.blocks, 1);
	assert_int_equal(before.mtime, NOW - NS_PER_HOUR);
	_cleanup_(content_unrefp) struct content *a = must_render(f, "/checkout/2026-11-22/cpu/folded.txt");
	_cleanup_(content_unrefp) struct content *b = must_render(f, "/checkout/2026-11-22/cpu/folded.txt");
	assert_ptr_equal(a, b);
	assert_non_null(memmem(a->data, a->len, "main;work", 9));
	node_attr(n, &after);
	assert_true(after.size_known);
	assert_int_equal(after.size, a->len);
	_cleanup_(node_unrefp) struct node *same = must_walk(f, "/checkout/2026-11-22/cpu/./folded.txt", false);
	node_attr(same, &again);
	assert_int_equal(again.ino, before.ino);
	_cleanup_(content_unrefp) struct content *there = node_content(f->tree, same);
	assert_ptr_equal(there, a);
}

static uint64_t ino_of(struct fixture *f, const char *path)
{
	_cleanup_(node_unrefp) struct node *n = must_walk(f, path, true);
	struct node_attr a;
	node_attr(n, &a);
	return a.ino;
}

static void new_data_makes_a_new_inode(void **state)
{
	struct fixture *f = *state;
	const char *path = "/checkout/2026-11-22/cpu/folded.txt", *other = "/checkout/2026-11-21/cpu/folded.txt";
	_cleanup_(node_unrefp) struct node *old = must_walk(f, path, false);
	uint64_t ino = ino_of(f, path), other_ino = ino_of(f, other);
	struct making m = { "cpu nanoseconds", "main;fresh 5", NULL, NOW - 5 * NS_PER_MIN, NS_PER_S };
	must_put(f, "/checkout", "n.pb.gz", &m);
	_cleanup_(content_unrefp) struct content *c = must_render(f, path);
	assert_non_null(memmem(c->data, c->len, "fresh", 5));
	assert_true(ino_of(f, path) != ino);
	assert_int_equal(ino_of(f, other), other_ino);
	/* The old inode has its old content or none. */
	struct content *stale = NULL;
	int e = tree_render(f->tree, old, NULL, &stale, NULL);
	if (!e)
		assert_null(memmem(stale->data, stale->len, "fresh", 5));
	else
		assert_int_equal(e, ERR_STALE);
	content_unref(stale);
}

/* A rendering that waits its turn is of the data that its lookup saw, however many plans there are meanwhile. */
static void what_is_held_outlives_newer_plans(void **state)
{
	struct fixture *f = *state;
	_cleanup_(node_unrefp) struct node *held = must_walk(f, "/checkout/2026-11-22/cpu/folded.txt", false);
	_cleanup_(node_unrefp) struct node *other = must_walk(f, "/checkout/2026-11-22/cpu/top.txt", false);
	struct making m = { "cpu nanoseconds", "main;newer 5", NULL, NOW - 5 * NS_PER_MIN, NS_PER_S };
	node_hold(held);
	for (int i = 0; i < 20; i++) {
		m.time += NS_PER_S;
		must_put(f, "/checkout", "n.pb.gz", &m);
		ino_of(f, "/checkout/2026-11-22/cpu/folded.txt");
	}
	_cleanup_(content_unrefp) struct content *c = NULL;
	assert_int_equal(tree_render(f->tree, other, NULL, &c, NULL), ERR_STALE);
	assert_int_equal(tree_render(f->tree, held, NULL, &c, NULL), 0);
	assert_null(memmem(c->data, c->len, "newer", 5));
	node_release(held);
}

static void a_walk_follows_links_and_steps_back(void **state)
{
	_buf_ struct buf b = BUF_INIT(4096);
	_cleanup_(node_unrefp) struct node *n = must_walk(*state, "checkout//latest/../latest/T13/./cpu/by-region/eu/", false);
	node_path(n, &b);
	buf_putc(&b, '\0');
	assert_string_equal((char *)b.data, "/checkout/2026-11-22T13/cpu/region=eu");
	_cleanup_(node_unrefp) struct node *root = must_walk(*state, "../../..", false);
	assert_null(node_parent(root));
	assert_int_equal(try_walk(*state, "/checkout/2026-11-22/cpu/top.txt/.."), -ENOTDIR);
}

static void only_directories_above_a_time_take_files(void **state)
{
	static const struct {
		const char *path;
		bool takes;
	} cases[] = {
		{ "/", false },
		{ "/checkout", true },
		{ "/checkout/region=eu/@type=cpu/@unit=widgets/@kind=mutex/@temporality=delta", true },
		{ "/checkout/region!=eu", false },
		{ "/checkout/region!=eu/pod=a", false },
		{ "/checkout/@focus=x", false },
		{ "/checkout/2026-11-22", false },
		{ "/@all", false },
		{ "/@all/pod=a", false },
		{ "/.profilefs", true },
		{ "/.profilefs/debuginfo", true },
		{ "/.profilefs/search", false },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(node_unrefp) struct node *n = must_walk(*state, cases[i].path, false);
		struct node_attr a;
		struct target t = { 0 };
		struct error err = { 0 };
		node_attr(n, &a);
		if (a.takes_files != cases[i].takes)
			fail_msg("%s", cases[i].path);
		int e = target_of(n, &t, &err);
		assert_int_equal(e, cases[i].takes ? 0 : ERR_PATH_DENIED);
		assert_true(cases[i].takes || err.text[0]);
		target_done(&t);
	}
}

static void a_target_says_which_names_it_takes(void **state)
{
	static const struct {
		enum target_takes takes;
		const char *name;
		int allows;
		bool takes_effect;
	} cases[] = {
		{ TAKES_RULES, "rules.json", 0, true },           { TAKES_RULES, "rules.json.new", 0, false },
		{ TAKES_RULES, "rules.json~", 0, false },         { TAKES_RULES, "sedaB3xYz", 0, false },
		{ TAKES_RULES, "sedation.json", ERR_PATH_DENIED, false }, { TAKES_RULES, "rule.json", ERR_PATH_DENIED, false },
		{ TAKES_RULES, "rules.prom", ERR_PATH_DENIED, false },    { TAKES_PROFILES, "rules.json", 0, true },
		{ TAKES_DEBUGINFO, "server.debug", 0, true },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct target t = { .takes = cases[i].takes };
		struct error err = { 0 };
		assert_int_equal(target_allows(&t, cases[i].name, &err), cases[i].allows);
		assert_true(!cases[i].allows == !err.text[0]);
		assert_int_equal(target_takes_name(&t, cases[i].name), cases[i].takes_effect);
	}
}

static void a_target_is_what_the_path_says(void **state)
{
	_cleanup_(node_unrefp) struct node *n =
		must_walk(*state, "/a%20b%2Fc/region=eu/pod=a/region=us/pod=/@type=wall/@unit=ms/@temporality=delta", false);
	struct target t, copy;
	assert_int_equal(target_of(n, &t, NULL), 0);
	assert_int_equal(target_copy(&t, &copy), 0);
	target_done(&t);
	assert_string_equal(copy.service, "a b/c");
	assert_int_equal(copy.n_labels, 1);
	assert_string_equal(copy.labels[0].key.s, "region");
	assert_string_equal(copy.labels[0].value.s, "us");
	assert_string_equal(copy.type, "wall");
	assert_string_equal(copy.unit, "ms");
	assert_null(copy.kind);
	assert_int_equal(copy.temporality, TEMPORALITY_DELTA);
	target_done(&copy);
}

static void services_are_made_and_forgotten(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(try_walk(f, "/fresh"), ERR_PATH_ABSENT);
	assert_int_equal(tree_add_service(f->tree, "fresh", NULL), 0);
	assert_int_equal(tree_add_service(f->tree, "fresh", NULL), -EEXIST);
	assert_int_equal(tree_add_service(f->tree, "checkout", NULL), -EEXIST);
	assert_int_equal(tree_add_service(f->tree, "@all", NULL), ERR_PATH);
	assert_int_equal(tree_add_service(f->tree, "Thumbs.db", NULL), ERR_PATH);
	assert_int_equal(tree_add_service(f->tree, ".x", NULL), 0);
	assert_int_equal(try_walk(f, "/.x"), ERR_PATH_ABSENT);
	assert_int_equal(try_walk(f, "/%2Ex"), 0);
	expect_lists(f, "/", LINES("%2Ex/"));
	assert_int_equal(tree_forget_service(f->tree, ".x"), 0);
	assert_int_equal(tree_add_service(f->tree, "", NULL), ERR_PATH);
	expect_lists(f, "/", LINES("fresh/"));
	_free_ char *list = list_of(f, "/fresh");
	assert_string_equal(list, "last-15m@\nlast-1h@\nlast-24h@\ntoday@\nyesterday@\n");
	assert_int_equal(tree_forget_service(f->tree, "fresh"), 0);
	assert_int_equal(tree_forget_service(f->tree, "fresh"), ERR_PATH_ABSENT);
	assert_int_equal(try_walk(f, "/fresh"), ERR_PATH_ABSENT);
}

static void put_hello(void *ctx, struct buf *out)
{
	buf_puts(out, ctx);
}

static void control_files_tell_of_the_program(void **state)
{
	struct fixture *f = *state;
	assert_int_equal(tree_add_status(f->tree, "mount", put_hello, "hello\n"), 0);
	tree_report(f->tree, "/checkout/x\n", 42, ERR_FORMAT_TRUNCATED, "cut short");
	_free_ char *list = list_of(f, "/.profilefs");
	assert_string_equal(list, "README.md\nconfig\ndebuginfo/\nerrors\nmetrics.prom\nmount\nqueries\nrules.json\nrules.prom\nsearch/\nstatus\nversion\n");
	_cleanup_(content_unrefp) struct content *errors = must_render(f, "/.profilefs/errors");
	assert_non_null(memmem(errors->data, errors->len, "pid 42 /checkout/x?: cut short", 30));
	_cleanup_(content_unrefp) struct content *mount = must_render(f, "/.profilefs/mount");
	assert_int_equal(mount->len, 6);
	_cleanup_(content_unrefp) struct content *queries = must_render(f, "/.profilefs/queries");
	assert_true(queries->len > 0);
	_cleanup_(content_unrefp) struct content *readme = must_render(f, "/README.md");
	assert_non_null(memmem(readme->data, readme->len, "latest", 6));
}

static void functions_are_found(void **state)
{
	expect_lists(*state, "/checkout/2026-11-22/cpu/functions", LINES("main@", "work@"));
	expect_link(*state, "/checkout/2026-11-22/cpu/functions/main", "../@function=main");
	assert_int_equal(try_walk(*state, "/checkout/2026-11-22/cpu/functions/work/../top.txt"), 0);
}

/*
 * The paths of docs/paths.md, from the line "## Examples" on: each is found, but for the files that are
 * written.
 */
static void the_documents_examples_are_found(void **state)
{
	const char *source = getenv("PROFILEFS_SOURCE");
	char name[1024], line[512], path[512];
	size_t n = 0;
	if (!source)
		skip();
	snprintf(name, sizeof name, "%s/docs/paths.md", source);
	_fclose_ FILE *doc = fopen(name, "re");
	assert_non_null(doc);
	while (fgets(line, sizeof line, doc) && strcmp(line, "## Examples\n"))
		;
	while (fgets(line, sizeof line, doc)) {
		if (sscanf(line, "    %511s", path) != 1 || *path != '/' || strstr(line, "written") || strstr(path, "_01"))
			continue;
		/* Of a comparison, its directory: which renderings compare is not for here. */
		if (strstr(path, "/vs/"))
			*strrchr(path, '/') = '\0';
		if (try_walk(*state, path))
			fail_msg("%s: %s", path, err_name(try_walk(*state, path)));
		n++;
	}
	assert_true(n >= 10);
}

static void a_read_only_tree_takes_nothing(void **state)
{
	struct fixture *f = *state;
	struct fixture ro = { .store = f->store, .db = f->db };
	struct tree_options opts = { .read_only = true, .now = fixed_now };
	struct error err = { 0 };
	struct target t;
	assert_int_equal(tree_new(f->db, &opts, &ro.tree, NULL), 0);
	_cleanup_(node_unrefp) struct node *n = must_walk(&ro, "/checkout/region=eu", false);
	assert_int_equal(err_errno(target_of(n, &t, &err)), EROFS);
	assert_int_equal(err_errno(tree_add_service(ro.tree, "fresh", &err)), EROFS);
	node_unref(TAKE_PTR(n));
	tree_free(ro.tree);
}

static void paths_have_an_end(void **state)
{
	_buf_ struct buf b = BUF_INIT(1 << 17);
	for (int i = 0; i < 100; i++)
		buf_puts(&b, i ? "/region=eu" : "/checkout/region=eu");
	buf_putc(&b, '\0');
	assert_int_equal(try_walk(*state, (char *)b.data), ERR_PATH);
	for (int i = 0; i < 10000; i++)
		buf_puts(&b, "/......");
	buf_putc(&b, '\0');
	memset(b.data, '/', b.len - 1);
	assert_int_equal(try_walk(*state, (char *)b.data), -ENAMETOOLONG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_root_lists_services),
		cmocka_unit_test(a_service_lists_its_days_and_links),
		cmocka_unit_test(a_day_lists_types_labels_and_hours),
		cmocka_unit_test(a_type_lists_its_renderings),
		cmocka_unit_test(values_are_links_to_matchers),
		cmocka_unit_test(profiles_are_files_in_the_day_and_links_elsewhere),
		cmocka_unit_test(long_names_lead_on),
		cmocka_unit_test(what_is_unknown_is_absent_and_what_is_ill_formed_is_refused),
		cmocka_unit_test(times_and_matchers_exist_where_they_select_nothing),
		cmocka_unit_test(vs_shows_what_to_compare_with),
		cmocka_unit_test(files_render_once_and_keep_their_inode),
		cmocka_unit_test(a_walk_follows_links_and_steps_back),
		cmocka_unit_test(only_directories_above_a_time_take_files),
		cmocka_unit_test(a_target_says_which_names_it_takes),
		cmocka_unit_test(a_target_is_what_the_path_says),
		cmocka_unit_test(services_are_made_and_forgotten),
		cmocka_unit_test(control_files_tell_of_the_program),
		cmocka_unit_test(functions_are_found),
		cmocka_unit_test(the_documents_examples_are_found),
		cmocka_unit_test(a_read_only_tree_takes_nothing),
		cmocka_unit_test(paths_have_an_end),
		cmocka_unit_test(new_data_makes_a_new_inode),
		cmocka_unit_test(what_is_held_outlives_newer_plans),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

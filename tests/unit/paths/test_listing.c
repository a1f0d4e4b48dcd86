/* SPDX-License-Identifier: MIT */
#include "fixture.h"

/*
 * Walks the whole tree as `find` does: what is listed is found, as what it was listed; each datum is there
 * once; it ends.
 */

struct census {
	struct fixture *f;
	size_t dirs, files, links, originals;
	VEC(char *) names; /* of real files in profiles/ */
	uint64_t random;
};

static bool is_name_byte(unsigned char c)
{
	return c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("._+,%~-", c));
}

static void check_name(const char *name, const char *path)
{
	assert_true(strlen(name) > 0 && strlen(name) <= 203);
	for (const char *s = name; *s; s++)
		if (!is_name_byte((unsigned char)*s))
			fail_msg("%s/%s cannot be typed", path, name);
	if (*name == '-' || (*name == '.' && strcmp(name, ".profilefs")))
		fail_msg("%s/%s begins badly", path, name);
}

static void count_original(struct census *c, const char *path, const char *name)
{
	for (size_t i = 0; i < c->names.n; i++)
		if (!strcmp(c->names.v[i], name))
			fail_msg("%s/%s is listed twice", path, name);
	*VEC_PUSH(&c->names) = strdup(name);
	c->originals++;
}

/* The target of a listed link is found and is no link to nowhere. */
static void check_link(struct census *c, struct node *dir, struct node *link)
{
	_buf_ struct buf path = BUF_INIT(1 << 16);
	node_path(dir, &path);
	buf_putc(&path, '/');
	assert_int_equal(node_link(link, &path), 0);
	buf_putc(&path, '\0');
	_cleanup_(node_unrefp) struct node *n = must_walk(c->f, (char *)path.data, true);
	struct node_attr a;
	node_attr(n, &a);
	assert_int_not_equal(a.kind, NODE_LINK);
}

static struct node *must_look(struct census *c, struct node *dir, const struct entry *e)
{
	struct node *n = NULL;
	struct error err = { 0 };
	struct node_attr a;
	_buf_ struct buf path = BUF_INIT(1 << 16);
	node_path(dir, &path);
	buf_putc(&path, '\0');
	check_name(e->name, (char *)path.data);
	int r = tree_lookup(c->f->tree, dir, e->name, NULL, &n, &err);
	if (r)
		fail_msg("%s lists %s: %s (%s)", (char *)path.data, e->name, err_name(r), err.text);
	node_attr(n, &a);
	if (a.kind != e->kind)
		fail_msg("%s/%s is listed as %d and found as %d", (char *)path.data, e->name, e->kind, a.kind);
	if (a.kind == NODE_FILE && !strcmp(node_name(dir), "profiles"))
		count_original(c, (char *)path.data, e->name);
	return n;
}

static void check_twice(struct listing *l)
{
	struct entry a, b;
	for (uint64_t i = 0; listing_entry(l, i, &a); i++)
		for (uint64_t j = 0; j < i && listing_entry(l, j, &b); j++)
			if (!strcmp(a.name, b.name))
				fail_msg("%s is listed twice", a.name);
}

static void visit(struct census *c, struct node *dir, unsigned depth)
{
	_cleanup_(listing_freep) struct listing *l = NULL;
	struct error err = { 0 };
	struct entry e;
	assert_true(depth < 8);
	if (listing_new(c->f->tree, dir, NULL, &l, &err))
		fail_msg("%s: %s", node_name(dir), err.text);
	check_twice(l);
	for (uint64_t i = 0; listing_entry(l, i, &e); i++) {
		_cleanup_(node_unrefp) struct node *n = must_look(c, dir, &e);
		c->dirs += e.kind == NODE_DIR;
		c->files += e.kind == NODE_FILE;
		c->links += e.kind == NODE_LINK;
		if (e.kind == NODE_LINK)
			check_link(c, dir, n);
		if (e.kind == NODE_DIR)
			visit(c, n, depth + 1);
	}
}

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

static void what_is_listed_is_found_once(void **state)
{
	struct census c = { .f = *state };
	_cleanup_(node_unrefp) struct node *root = must_walk(*state, "/", false);
	visit(&c, root, 0);
	assert_int_equal(c.originals, 12);
	assert_true(c.dirs > 50);
	assert_true(c.links > 50);
	for (size_t i = 0; i < c.names.n; i++)
		free(c.names.v[i]);
	VEC_DONE(&c.names);
}

/* Directories that are found and not listed keep the same rules. */
static void what_narrows_keeps_the_rules(void **state)
{
	static const char *const paths[] = {
		"/@all/2026-11-22",
		"/@all/2026-11/cpu/by-service",
		"/checkout/all",
		"/checkout/region=eu/2026-11-22/pod!=a",
		"/checkout/last-24h/cpu/pod=~.*",
		"/checkout/2026-11-22/cpu/vs",
		"/checkout/2026-11-22/cpu/region=eu/vs/region=us",
		"/checkout/2026-11-22/cpu/functions",
		"/2026/2026-11-22/cpu/functions",
		"/2026/2026-11-22/cpu/by-pod",
		"/checkout/2026-11-22/inuse_space/@focus=new/@limit=3",
		"/checkout/2026-11-22/%76s/span_id=a%2Fb%20c",
		"/checkout/2026-11-22/T13/samples",
	};
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		struct census c = { .f = *state };
		_cleanup_(node_unrefp) struct node *n = must_walk(*state, paths[i], true);
		visit(&c, n, 1);
		assert_int_equal(c.originals, 0);
		VEC_DONE(&c.names);
	}
}

static uint64_t next_random(uint64_t *x)
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	*x ^= *x << 17;
	return *x;
}

/*
 * Random paths of the grammar's own words: no crash, each an answer, and what is a directory can be listed.
 */
static void random_paths_are_answered(void **state)
{
	static const char *const words[] = { "checkout", "@all", "2026-11-22", "2026-11", "all", "latest", "last-1h", "cpu", "heap",
		                             "inuse_space", "region=eu", "region!=us", "pod=~.*", "span_id=x", "@step=1m",
		                             "@function=main", "@focus=w", "@id=01JD0000000000000000000000", "by-region",
		                             "by-pod", "eu", "%none", "vs", "yesterday", "profiles", "functions", "main",
		                             "T13", "T1305", "folded.txt", "info.json", "..", "%", "2026-13", "@x", "=",
		                             "@type=cpu", "@unit=ms" };
	struct fixture *f = *state;
	uint64_t x = 88172645463325252u;
	for (int i = 0; i < 1500; i++) {
		_cleanup_(node_unrefp) struct node *n = NULL;
		_buf_ struct buf path = BUF_INIT(1 << 12);
		struct error err = { 0 };
		buf_puts(&path, next_random(&x) % 3 ? "/checkout/2026-11-22" : "");
		for (uint64_t left = next_random(&x) % 6; left > 0; left--) {
			buf_putc(&path, '/');
			buf_puts(&path, words[next_random(&x) % ARRAY_SIZE(words)]);
		}
		buf_putc(&path, '\0');
		if (tree_walk(f->tree, (char *)path.data, true, NULL, &n, &err))
			continue;
		_cleanup_(listing_freep) struct listing *l = NULL;
		struct node_attr a;
		node_attr(n, &a);
		if (a.kind == NODE_DIR && listing_new(f->tree, n, NULL, &l, &err))
			fail_msg("%s: %s", (char *)path.data, err.text);
	}
}

/* Any bytes as a name, in each kind of directory. */
static void random_names_are_answered(void **state)
{
	static const char *const dirs[] = { "/", "/.profilefs", "/checkout", "/checkout/2026-11-22", "/checkout/2026-11-22/cpu",
		                            "/checkout/2026-11-22/cpu/vs", "/checkout/2026-11-22/cpu/by-pod",
		                            "/checkout/2026-11-22/profiles", "/checkout/2026-11-22/cpu/functions" };
	struct fixture *f = *state;
	uint64_t x = 0x9e3779b97f4a7c15u;
	for (size_t d = 0; d < ARRAY_SIZE(dirs); d++) {
		_cleanup_(node_unrefp) struct node *dir = must_walk(f, dirs[d], false);
		for (int i = 0; i < 150; i++) {
			_cleanup_(node_unrefp) struct node *n = NULL;
			char name[1200];
			size_t len = i % 50 ? next_random(&x) % 12 : 1100;
			for (size_t j = 0; j < len; j++)
				name[j] = (char)(1 + next_random(&x) % 255);
			name[len] = '\0';
			struct error err = { 0 };
			int e = tree_lookup(f->tree, dir, name, NULL, &n, &err);
			assert_true(!e == !!n);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_listed_is_found_once),
		cmocka_unit_test(what_narrows_keeps_the_rules),
		cmocka_unit_test(random_paths_are_answered),
		cmocka_unit_test(random_names_are_answered),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

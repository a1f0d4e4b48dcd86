/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include <pthread.h>
#include <stdatomic.h>

/* The cache of rendered files, and many who want one file at once. */

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t moved;
	bool shut;
	unsigned waiting;
};

static struct gate gate = { .lock = PTHREAD_MUTEX_INITIALIZER, .moved = PTHREAD_COND_INITIALIZER };

static void pass_gate(void *ctx, const char *what, const char *key)
{
	pthread_mutex_lock(&gate.lock);
	gate.waiting++;
	while (gate.shut)
		pthread_cond_wait(&gate.moved, &gate.lock);
	gate.waiting--;
	pthread_mutex_unlock(&gate.lock);
}

static void set_gate(bool shut)
{
	pthread_mutex_lock(&gate.lock);
	gate.shut = shut;
	pthread_cond_broadcast(&gate.moved);
	pthread_mutex_unlock(&gate.lock);
}

static bool gate_holds(void)
{
	pthread_mutex_lock(&gate.lock);
	bool held = gate.waiting > 0;
	pthread_mutex_unlock(&gate.lock);
	return held;
}

struct reader {
	struct fixture *f;
	struct node *file;
	struct cancel cancel;
	pthread_t thread;
	int result;
	struct content *content;
};

static void *read_file(void *arg)
{
	struct reader *r = arg;
	r->result = tree_render(r->f->tree, r->file, &r->cancel, &r->content, NULL);
	return NULL;
}

static void start(struct reader *r, struct fixture *f, struct node *file)
{
	*r = (struct reader){ .f = f, .file = file };
	assert_int_equal(pthread_create(&r->thread, NULL, read_file, r), 0);
}

static unsigned long long fact(struct fixture *f, const char *name)
{
	_cleanup_(content_unrefp) struct content *c = must_render(f, "/.profilefs/status");
	_free_ char *text = strndup((const char *)c->data, c->len);
	const char *at = strstr(text, name);
	assert_non_null(at);
	return strtoull(at + strlen(name), NULL, 10);
}

/* A profile whose samples are too many to come with the end of its object: rendering it reads the store. */
static void put_large(struct fixture *f, struct making m)
{
	_buf_ struct buf stacks = BUF_INIT(16 << 20);
	uint64_t x = 88172645463325252u;
	for (int i = 0; i < 20000; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		buf_printf(&stacks, "%smain;f%016llx %u", i ? "," : "", (unsigned long long)x, (unsigned)(x % 1000003));
	}
	buf_putc(&stacks, '\0');
	m.stacks = (const char *)stacks.data;
	must_put(f, "/s/pod=large", "large.pb.gz", &m);
}

static void fill(struct fixture *f)
{
	struct making m = { "cpu nanoseconds", "main;work 70,main;idle 30", NULL, NOW - NS_PER_HOUR, NS_PER_S };
	char dir[32];
	assert_int_equal(tree_add_service(f->tree, "s", NULL), 0);
	put_large(f, m);
	for (int i = 0; i < 20; i++) {
		snprintf(dir, sizeof dir, "/s/pod=p%d", i);
		m.time += NS_PER_S;
		must_put(f, dir, "x.pb.gz", &m);
	}
}

/* Behind the fault layer, so that reads can be held up. */
static void open_gated(struct fixture *f, const struct tree_options *opts)
{
	struct tree_options o = opts ? *opts : (struct tree_options){ 0 };
	struct store *inner;
	o.now = fixed_now;
	assert_int_equal(store_mem_new(&inner), 0);
	assert_int_equal(store_fault_new(inner, false, &f->store), 0);
	assert_int_equal(db_open(f->store, &(struct db_options){ .threads = 2 }, &f->db, NULL), 0);
	assert_int_equal(tree_new(f->db, &o, &f->tree, NULL), 0);
}

/* A second database on the same store has nothing in memory yet. */
static void reopen(struct fixture *f)
{
	struct tree_options o = { .now = fixed_now };
	tree_free(f->tree);
	db_close(f->db);
	assert_int_equal(db_open(f->store, &(struct db_options){ .threads = 2 }, &f->db, NULL), 0);
	assert_int_equal(tree_new(f->db, &o, &f->tree, NULL), 0);
}

#define READERS 6

static void a_file_wanted_by_many_is_rendered_once(void **state)
{
	struct fixture f;
	struct reader readers[READERS];
	open_gated(&f, NULL);
	fill(&f);
	reopen(&f);
	_cleanup_(node_unrefp) struct node *file = must_walk(&f, "/s/2026-11-22/cpu/folded.txt", false);
	unsigned long long before = fact(&f, "\nrenders ");
	store_fault_hook(f.store, pass_gate, NULL);
	set_gate(true);
	for (int i = 0; i < READERS; i++)
		start(&readers[i], &f, file);
	usleep(60000);
	assert_true(gate_holds());
	set_gate(false);
	for (int i = 0; i < READERS; i++) {
		pthread_join(readers[i].thread, NULL);
		assert_int_equal(readers[i].result, 0);
		assert_ptr_equal(readers[i].content, readers[0].content);
	}
	for (int i = 0; i < READERS; i++)
		content_unref(readers[i].content);
	assert_int_equal(fact(&f, "\nrenders "), before + 1);
	store_fault_hook(f.store, NULL, NULL);
	node_unref(TAKE_PTR(file));
	close_fixture(&f);
}

static void who_gives_up_leaves_the_others_their_file(void **state)
{
	struct fixture f;
	struct reader first, second;
	open_gated(&f, NULL);
	fill(&f);
	reopen(&f);
	_cleanup_(node_unrefp) struct node *file = must_walk(&f, "/s/2026-11-22/cpu/top.txt", false);
	store_fault_hook(f.store, pass_gate, NULL);
	set_gate(true);
	start(&first, &f, file);
	usleep(30000);
	start(&second, &f, file);
	usleep(30000);
	assert_true(gate_holds());
	atomic_store(&first.cancel.set, true);
	set_gate(false);
	pthread_join(first.thread, NULL);
	pthread_join(second.thread, NULL);
	assert_true(first.result == 0 || first.result == ERR_CANCELLED);
	assert_int_equal(second.result, 0);
	assert_true(second.content->len > 0);
	content_unref(first.content);
	content_unref(second.content);
	store_fault_hook(f.store, NULL, NULL);
	node_unref(TAKE_PTR(file));
	close_fixture(&f);
}

static void who_waits_can_give_up(void **state)
{
	struct fixture f;
	struct reader first, second;
	open_gated(&f, NULL);
	fill(&f);
	reopen(&f);
	_cleanup_(node_unrefp) struct node *file = must_walk(&f, "/s/2026-11-22/cpu/top.tsv", false);
	store_fault_hook(f.store, pass_gate, NULL);
	set_gate(true);
	start(&first, &f, file);
	usleep(30000);
	start(&second, &f, file);
	usleep(30000);
	assert_true(gate_holds());
	atomic_store(&second.cancel.set, true);
	pthread_join(second.thread, NULL);
	assert_int_equal(second.result, ERR_CANCELLED);
	set_gate(false);
	pthread_join(first.thread, NULL);
	assert_int_equal(first.result, 0);
	content_unref(first.content);
	content_unref(second.content);
	store_fault_hook(f.store, NULL, NULL);
	node_unref(TAKE_PTR(file));
	close_fixture(&f);
}

static void the_cache_keeps_to_its_limit(void **state)
{
	struct fixture f;
	open_gated(&f, &(struct tree_options){ .cache_bytes = 2000 });
	fill(&f);
	_cleanup_(content_unrefp) struct content *first = must_render(&f, "/s/2026-11-22/cpu/pod=p0/folded.txt");
	for (int i = 0; i < 20; i++) {
		char path[80];
		snprintf(path, sizeof path, "/s/2026-11-22/cpu/pod=p%d/folded.txt", i);
		_cleanup_(content_unrefp) struct content *c = must_render(&f, path);
		assert_int_equal(c->len, first->len);
		assert_memory_equal(c->data, first->data, c->len);
		assert_true(fact(&f, "\nrendered_bytes ") <= 2000);
	}
	assert_true(fact(&f, "\nrendered_files ") > 0);
	/* What left the cache keeps its size. */
	_cleanup_(node_unrefp) struct node *n = must_walk(&f, "/s/2026-11-22/cpu/pod=p0/folded.txt", false);
	struct node_attr a;
	node_attr(n, &a);
	assert_true(a.size_known);
	assert_int_equal(a.size, first->len);
	node_unref(TAKE_PTR(n));
	close_fixture(&f);
}

static uint64_t ino_of(struct fixture *f, const char *path)
{
	_cleanup_(node_unrefp) struct node *n = must_walk(f, path, true);
	struct node_attr a;
	node_attr(n, &a);
	return a.ino;
}

/* Else a steady stream of profiles would let nobody read what takes long to render. */
static void a_slow_name_keeps_its_inode_for_a_while(void **state)
{
	static const char path[] = "/s/2026-11-22/cpu/tree.txt";
	struct making m = { "cpu nanoseconds", "main;late 3", NULL, NOW - NS_PER_MIN, NS_PER_S };
	struct fixture f;
	struct reader reader;
	open_gated(&f, NULL);
	fill(&f);
	reopen(&f);
	_cleanup_(node_unrefp) struct node *file = must_walk(&f, path, false);
	uint64_t ino = ino_of(&f, path);
	store_fault_hook(f.store, pass_gate, NULL);
	set_gate(true);
	start(&reader, &f, file);
	usleep(400000);
	assert_true(gate_holds());
	set_gate(false);
	pthread_join(reader.thread, NULL);
	assert_int_equal(reader.result, 0);
	must_put(&f, "/s", "x.pb.gz", &m);
	assert_int_equal(ino_of(&f, path), ino);
	_cleanup_(content_unrefp) struct content *same = must_render(&f, path);
	assert_ptr_equal(same, reader.content);
	int tries = 0;
	while (ino_of(&f, path) == ino && tries++ < 300)
		usleep(100000);
	assert_true(tries < 300);
	content_unref(reader.content);
	store_fault_hook(f.store, NULL, NULL);
	node_unref(TAKE_PTR(file));
	content_unref(TAKE_PTR(same));
	close_fixture(&f);
}

/*
 * Walks, lists and renders with the n-th call to the store failing: an answer each time, and the right one
 * afterwards.
 */
static int read_all(struct fixture *f)
{
	static const char *const paths[] = { "/README.md", "/s/latest/cpu/folded.txt", "/s/2026-11-22/cpu/by-pod/p1/info.json" };
	_cleanup_(node_unrefp) struct node *dir = NULL;
	_cleanup_(listing_freep) struct listing *l = NULL;
	int e = tree_walk(f->tree, "/s/2026-11-22", true, NULL, &dir, NULL);
	e = e ? e : listing_new(f->tree, dir, NULL, &l, NULL);
	for (size_t i = 0; !e && i < ARRAY_SIZE(paths); i++) {
		_cleanup_(node_unrefp) struct node *n = NULL;
		_cleanup_(content_unrefp) struct content *c = NULL;
		e = tree_walk(f->tree, paths[i], true, NULL, &n, NULL);
		e = e ? e : tree_render(f->tree, n, NULL, &c, NULL);
	}
	return e;
}

static void each_failure_of_the_store_is_an_answer(void **state)
{
	static const enum fault faults[] = { FAULT_BEFORE, FAULT_TIMEOUT, FAULT_DENIED };
	struct fixture f;
	open_gated(&f, NULL);
	fill(&f);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		for (uint64_t at = 1; at < 12; at++) {
			reopen(&f);
			store_fault_set(f.store, &(struct fault_plan){ .fault = faults[i], .at = at });
			int e = read_all(&f);
			assert_true(e == 0 || err_errno(e) == EIO || err_errno(e) == ETIMEDOUT || err_errno(e) == EACCES ||
			            e == ERR_PATH_ABSENT);
			store_fault_set(f.store, &(struct fault_plan){ .fault = FAULT_NONE });
		}
	}
	close_fixture(&f);
}

static void what_desktops_look_for_never_asks(void **state)
{
	static const char *const names[] = { ".git", ".Trash-1000", ".DS_Store", "._x", ".hidden", ".svn", "autorun.inf" };
	struct fixture f;
	open_gated(&f, NULL);
	fill(&f);
	reopen(&f);
	_cleanup_(node_unrefp) struct node *root = must_walk(&f, "/", false);
	_cleanup_(node_unrefp) struct node *day = must_walk(&f, "/s/2026-11-22", false);
	struct node *none = NULL;
	usleep(1100000);
	uint64_t calls = store_fault_calls(f.store);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(tree_lookup(f.tree, root, names[i], NULL, &none, NULL), ERR_PATH_ABSENT);
		assert_int_equal(tree_lookup(f.tree, day, names[i], NULL, &none, NULL), ERR_PATH_ABSENT);
	}
	assert_int_equal(store_fault_calls(f.store), calls);
	assert_int_equal(tree_lookup(f.tree, day, "nothing", NULL, &none, NULL), ERR_PATH_ABSENT);
	assert_true(store_fault_calls(f.store) > calls);
	node_unref(TAKE_PTR(root));
	node_unref(TAKE_PTR(day));
	close_fixture(&f);
}

struct crowd {
	struct fixture *f;
	unsigned seed;
	atomic_uint *failures;
};

/* Looks up and renders while others write. A file that changed in between is looked up again. */
static void *roam(void *arg)
{
	struct crowd *c = arg;
	static const char *const files[] = { "folded.txt", "top.txt", "info.json", "metrics.prom", "by-pod/p1/top.txt" };
	for (unsigned i = 0; i < 30; i++) {
		char path[120];
		snprintf(path, sizeof path, "/s/2026-11-22/cpu/%s%s", (i + c->seed) % 3 ? "" : "pod=p1/",
		         files[(i * 7 + c->seed) % ARRAY_SIZE(files)]);
		int e = ERR_STALE;
		for (int attempt = 0; attempt < 5 && e == ERR_STALE; attempt++) {
			_cleanup_(node_unrefp) struct node *n = NULL;
			_cleanup_(content_unrefp) struct content *content = NULL;
			e = tree_walk(c->f->tree, path, true, NULL, &n, NULL);
			e = e ? e : tree_render(c->f->tree, n, NULL, &content, NULL);
		}
		if (e) {
			fprintf(stderr, "%s: %s\n", path, err_name(e));
			atomic_fetch_add(c->failures, 1);
		}
	}
	return NULL;
}

static void a_crowd_reads_while_profiles_come(void **state)
{
	struct fixture f;
	pthread_t threads[4];
	struct crowd crowd[4];
	atomic_uint failures = 0;
	open_gated(&f, &(struct tree_options){ .cache_bytes = 200000 });
	fill(&f);
	for (unsigned i = 0; i < 4; i++) {
		crowd[i] = (struct crowd){ &f, i, &failures };
		assert_int_equal(pthread_create(&threads[i], NULL, roam, &crowd[i]), 0);
	}
	struct making m = { "cpu nanoseconds", "main;late 3", NULL, NOW - NS_PER_MIN, NS_PER_S };
	for (int i = 0; i < 10; i++) {
		m.time += NS_PER_S;
		must_put(&f, "/s/pod=p1", "x.pb.gz", &m);
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&failures), 0);
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_file_wanted_by_many_is_rendered_once),
		cmocka_unit_test(who_gives_up_leaves_the_others_their_file),
		cmocka_unit_test(who_waits_can_give_up),
		cmocka_unit_test(the_cache_keeps_to_its_limit),
		cmocka_unit_test(a_slow_name_keeps_its_inode_for_a_while),
		cmocka_unit_test(each_failure_of_the_store_is_an_answer),
		cmocka_unit_test(what_desktops_look_for_never_asks),
		cmocka_unit_test(a_crowd_reads_while_profiles_come),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

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

static void fill(struct fixture *f)
{
	struct making m = { "cpu nanoseconds", "main;work 70,main;idle 30", NULL, NOW - NS_PER_HOUR, NS_PER_S };
	char dir[32];
	assert_int_equal(tree_add_service(f->tree, "s", NULL), 0);
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
	pthread_mutex_lock(&gate.lock);
	bool held = gate.waiting > 0;
	pthread_mutex_unlock(&gate.lock);
	atomic_store(&second.cancel.set, true);
	pthread_join(second.thread, NULL);
	if (held)
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
	open_gated(&f, &(struct tree_options){ .cache_bytes = 20000 });
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
		cmocka_unit_test(a_crowd_reads_while_profiles_come),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

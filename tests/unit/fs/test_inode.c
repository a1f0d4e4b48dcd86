/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../fs/inode.h"

static struct inodes *table(void)
{
	struct inodes *t;
	assert_int_equal(inodes_new(NULL, &t), 0);
	return t;
}

static struct inode *dir(struct inodes *t, uint64_t parent, const char *name)
{
	struct inode_want want = { .kind = INODE_DIR, .parent = parent, .name = name };
	struct inode *in = inode_enter(t, &want);
	assert_non_null(in);
	return in;
}

static struct inode *file(struct inodes *t, uint64_t parent, const char *name, uint64_t ino)
{
	struct inode_want want = { .kind = INODE_FILE, .parent = parent, .name = name, .ino = ino };
	struct inode *in = inode_enter(t, &want);
	assert_non_null(in);
	return in;
}

static void the_root_stays(void **state)
{
	struct inodes *t = table();
	inode_forget(t, FUSE_ROOT_ID, 1000);
	struct inode *in = inode_get(t, FUSE_ROOT_ID);
	assert_non_null(in);
	inode_put(t, in);
	assert_int_equal(inodes_count(t), 1);
	inodes_free(t);
}

static void a_directory_has_one_number(void **state)
{
	struct inodes *t = table(), *other = table();
	struct inode *a = dir(t, 1, "web"), *again = dir(t, 1, "web"), *b = dir(t, 1, "api"), *c = dir(other, 1, "web");
	assert_ptr_equal(a, again);
	assert_int_not_equal(a->ino, b->ino);
	assert_int_equal(a->ino, c->ino);
	assert_true(a->ino > 1 && a->ino < UINT64_C(1) << 53);
	inode_put(t, a);
	inode_put(t, again);
	inode_put(t, b);
	inode_put(other, c);
	inodes_free(t);
	inodes_free(other);
}

static void a_number_never_means_two_things(void **state)
{
	struct inodes *t = table();
	struct inode *a = file(t, 1, "a", 77), *b = file(t, 1, "b", 77), *c = file(t, 2, "a", 77), *again = file(t, 1, "b", 77);
	assert_int_equal(a->ino, 77);
	assert_int_equal(b->ino, 78);
	assert_int_equal(c->ino, 79);
	assert_ptr_equal(b, again);
	struct inode *root = file(t, 1, "root", FUSE_ROOT_ID);
	assert_int_not_equal(root->ino, FUSE_ROOT_ID);
	struct inode *all[] = { a, b, c, again, root };
	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		inode_put(t, all[i]);
	inodes_free(t);
}

static void what_is_forgotten_goes(void **state)
{
	struct inodes *t = table();
	struct inode *in = dir(t, 1, "web");
	uint64_t ino = in->ino;
	inode_known(t, in);
	inode_known(t, in);
	inode_put(t, in);
	inode_forget(t, ino, 1);
	assert_int_equal(inodes_count(t), 2);
	inode_forget(t, ino, 5); /* more than it ever knew */
	assert_int_equal(inodes_count(t), 1);
	inode_forget(t, ino, 1);
	assert_null(inode_get(t, ino));
	inodes_free(t);
}

static void a_reference_keeps_it(void **state)
{
	struct inodes *t = table();
	struct inode *in = dir(t, 1, "web");
	inode_known(t, in);
	inode_forget(t, in->ino, 1);
	assert_int_equal(inodes_count(t), 2);
	inode_put(t, in);
	assert_int_equal(inodes_count(t), 1);
	inodes_free(t);
}

static void many_come_and_go(void **state)
{
	enum { N = 20000 };
	static uint64_t inos[N];
	struct inodes *t = table();
	char name[32];
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof name, "name%d", i);
		struct inode *in = dir(t, 1, name);
		inode_known(t, in);
		inos[i] = in->ino;
		inode_put(t, in);
	}
	assert_int_equal(inodes_count(t), N + 1);
	for (int i = 0; i < N; i++) {
		snprintf(name, sizeof name, "name%d", i);
		assert_int_equal(inode_number(t, 1, name), inos[i]);
	}
	for (int i = 0; i < N; i++)
		inode_forget(t, inos[i], 1);
	assert_int_equal(inodes_count(t), 1);
	inodes_free(t);
}

static void the_newest_of_a_name_is_found(void **state)
{
	struct inodes *t = table();
	struct inode *first = file(t, 1, "top.txt", 100), *second = file(t, 1, "top.txt", 200);
	assert_int_equal(inode_number(t, 1, "top.txt"), 200);
	struct inode *recent = inode_recent(t, 1, "top.txt", NS_PER_S);
	assert_ptr_equal(recent, second);
	assert_null(inode_recent(t, 1, "top.tsv", NS_PER_S));
	assert_true(inode_is_file(t, 1, "top.txt"));
	inode_put(t, recent);
	inode_put(t, second);
	assert_int_equal(inode_number(t, 1, "top.txt"), 100);
	inode_put(t, first);
	inodes_free(t);
}

static void a_size_is_announced_once_as_0(void **state)
{
	struct inodes *t = table();
	struct inode *told = file(t, 1, "a", 100), *untold = file(t, 1, "b", 200);
	uint64_t size = 9;
	assert_false(inode_announce(t, told, &size));
	assert_int_equal(size, 0);
	assert_true(inode_sized(t, told, 55));
	assert_false(inode_sized(t, told, 55));
	assert_true(inode_announce(t, told, &size));
	assert_int_equal(size, 55);
	assert_false(inode_sized(t, untold, 66));
	inode_put(t, told);
	inode_put(t, untold);
	inodes_free(t);
}

static void a_second_has_one_wait(void **state)
{
	struct inodes *t = table();
	struct inode *in = dir(t, 1, "cpu");
	int64_t now = 1000 * NS_PER_S, wait = 250 * NS_PER_MS;
	assert_int_equal(inode_stat_wait(t, in, wait, now), wait);
	assert_int_equal(inode_stat_wait(t, in, wait, now + 100 * NS_PER_MS), 150 * NS_PER_MS);
	assert_int_equal(inode_stat_wait(t, in, wait, now + 900 * NS_PER_MS), 0);
	assert_int_equal(inode_stat_wait(t, in, wait, now + NS_PER_S), wait);
	assert_int_equal(inode_stat_wait(t, in, 0, now + 3 * NS_PER_S), 0);
	inode_put(t, in);
	inodes_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_root_stays),
		cmocka_unit_test(a_directory_has_one_number),
		cmocka_unit_test(a_number_never_means_two_things),
		cmocka_unit_test(what_is_forgotten_goes),
		cmocka_unit_test(a_reference_keeps_it),
		cmocka_unit_test(many_come_and_go),
		cmocka_unit_test(the_newest_of_a_name_is_found),
		cmocka_unit_test(a_size_is_announced_once_as_0),
		cmocka_unit_test(a_second_has_one_wait),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

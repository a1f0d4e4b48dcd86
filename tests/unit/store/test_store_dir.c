/* SPDX-License-Identifier: MIT */
#include "contract.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "core/store/dir.h"

static bool named_temps; /* as on file systems without O_TMPFILE */
static size_t batch;     /* of a listing; 0: as it is */
static char *root;       /* of the store under test */

static char *make_root_path(void)
{
	const char *tmp = getenv("TMPDIR");
	char *path = NULL;
	assert_true(asprintf(&path, "%s/store-XXXXXX", tmp ? tmp : "/tmp") > 0);
	assert_non_null(mkdtemp(path));
	return path;
}

static struct store *open_dir(const char *path, bool read_only)
{
	struct store *s = NULL;
	struct error err = { 0 };
	struct store_options opts = { .read_only = read_only };
	int r = store_dir_new(path, &opts, &s, &err);
	if (r < 0)
		fail_msg("%s", error_text(&err, r));
	if (named_temps)
		atomic_store(&dir_of(s)->no_tmpfile, true);
	if (batch)
		dir_of(s)->batch = batch;
	return s;
}

static struct store *contract_open(void)
{
	root = make_root_path();
	return open_dir(root, false);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int make_writable(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return type == FTW_DNR || type == FTW_D ? chmod(path, 0700) : 0;
}

static void contract_close(struct store *s)
{
	store_free(s);
	nftw(root, make_writable, 16, FTW_PHYS);
	assert_int_equal(nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
	free(TAKE_PTR(root));
}

static char *path_of(const char *key)
{
	char *path = NULL;
	assert_true(asprintf(&path, "%s/%s", root, key) > 0);
	return path;
}

static bool exists(const char *key)
{
	_free_ char *path = path_of(key);
	return access(path, F_OK) == 0;
}

static void make_file(const char *key, const char *content)
{
	_free_ char *path = path_of(key);
	_fclose_ FILE *f = fopen(path, "w");
	assert_non_null(f);
	fputs(content, f);
}

static void make_folder(const char *key)
{
	_free_ char *path = path_of(key);
	assert_int_equal(mkdir(path, 0777), 0);
}

static void make_old(const char *key)
{
	_free_ char *path = path_of(key);
	struct timespec times[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static size_t count_entries(const char *key)
{
	_free_ char *path = path_of(key);
	size_t n = 0;
	DIR *d = opendir(path);
	if (!d)
		return 0;
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

/* --- opening --- */

static void test_missing_store(void **state)
{
	struct store *s = NULL;
	struct error err = { 0 };
	struct store_options opts = { 0 };
	_free_ char *path = path_of("new");
	assert_int_equal(store_dir_new(path, &opts, &s, &err), -ENOENT);
	assert_memory_equal(err.text, "no store at /", 13);
	opts = (struct store_options){ .create = true, .read_only = true };
	assert_int_equal(store_dir_new(path, &opts, &s, &err), -ENOENT);
	opts.read_only = false;
	assert_int_equal(store_dir_new(path, &opts, &s, &err), 0);
	store_free(s);
	_free_ char *deep = path_of("not/there");
	assert_int_equal(store_dir_new(deep, &opts, &s, &err), -ENOENT);
	assert_non_null(strstr(err.text, "cannot make the store"));
}

static void test_store_that_is_a_file(void **state)
{
	struct store *s = NULL;
	struct error err = { 0 };
	struct store_options opts = { .create = true };
	make_file("file", "x");
	_free_ char *path = path_of("file");
	assert_int_equal(store_dir_new(path, &opts, &s, &err), -ENOTDIR);
	assert_non_null(strstr(err.text, "is not a directory"));
	assert_null(s);
}

static void test_stale_temporary_files_are_removed(void **state)
{
	make_folder("+tmp");
	make_file("+tmp/OLD", "x");
	make_file("+tmp/NEW", "x");
	make_old("+tmp/OLD");
	store_free(open_dir(root, true));
	assert_true(exists("+tmp/OLD"));
	store_free(open_dir(root, false));
	assert_false(exists("+tmp/OLD"));
	assert_true(exists("+tmp/NEW"));
	assert_list(*state, "", NULL, 0, "");
	assert_list(*state, "", NULL, '/', "");
}

/* --- foreign things in the directory --- */

static void test_what_is_no_object_is_not_listed(void **state)
{
	put_text(*state, "a/b", "x");
	make_file("a b", "x");
	make_folder("lost+found");
	make_file("lost+found/x", "x");
	make_folder("empty");
	_free_ char *pipe = path_of("pipe"), *sym = path_of("link"), *loop = path_of("loop");
	assert_int_equal(mkfifo(pipe, 0666), 0);
	assert_int_equal(symlink("a", sym), 0);
	assert_int_equal(symlink(".", loop), 0);
	assert_list(*state, "", NULL, 0, "a/b ");
	assert_list(*state, "", NULL, '/', "a/ ");
	assert_absent(*state, "pipe");
	assert_absent(*state, "empty");
}

static void test_file_and_folder_of_one_name(void **state)
{
	struct error err = { 0 };
	put_text(*state, "a", "x");
	put_text(*state, "d/e", "x");
	assert_int_equal(store_put(*state, "a/b", text("x"), &err), ERR_STORE);
	assert_non_null(strstr(err.text, "a/b: cannot be written: Not a directory"));
	assert_int_equal(store_put(*state, "d", text("x"), &err), ERR_STORE);
	assert_non_null(strstr(err.text, "Is a directory"));
	assert_int_equal(store_put_if_absent(*state, "d", text("x"), &err), ERR_STORE);
	assert_list(*state, "", NULL, 0, "a d/e ");
}

static void test_old_empty_folders_are_removed(void **state)
{
	put_text(*state, "old/x", "x");
	put_text(*state, "new/x", "x");
	assert_int_equal(store_remove(*state, "old/x", NULL), 0);
	assert_int_equal(store_remove(*state, "new/x", NULL), 0);
	make_old("old");
	struct store *reader = open_dir(root, true);
	assert_list(reader, "", NULL, 0, "");
	assert_true(exists("old"));
	store_free(reader);
	assert_list(*state, "", NULL, 0, "");
	assert_false(exists("old"));
	assert_true(exists("new"));
	put_text(*state, "old/x", "again");
	assert_text(*state, "old/x", "again");
}

static void test_folder_removed_by_another(void **state)
{
	put_text(*state, "a/b/c/1", "x");
	assert_int_equal(store_remove(*state, "a/b/c/1", NULL), 0);
	_free_ char *c = path_of("a/b/c"), *b = path_of("a/b"), *a = path_of("a");
	assert_int_equal(rmdir(c) + rmdir(b) + rmdir(a), 0);
	put_text(*state, "a/b/c/2", "x");
	assert_int_equal(store_remove(*state, "a/b/c/2", NULL), 0);
	assert_int_equal(rmdir(c), 0);
	assert_int_equal(store_put_if_absent(*state, "a/b/c/3", text("y"), NULL), 0);
	assert_list(*state, "", NULL, 0, "a/b/c/3 ");
}

/* An object is under its key, not in the folder that was there once. */
static void test_folder_moved_by_another(void **state)
{
	put_text(*state, "a/b/1", "x");
	_free_ char *a = path_of("a"), *elsewhere = path_of("elsewhere");
	assert_int_equal(rename(a, elsewhere), 0);
	put_text(*state, "a/b/2", "y");
	assert_text(*state, "a/b/2", "y");
	assert_false(exists("elsewhere/b/2"));
}

static void test_more_folders_than_are_kept_open(void **state)
{
	char key[32];
	for (int i = 0; i < 3 * DIR_FOLDERS_MAX; i++) {
		snprintf(key, sizeof key, "d%d/x", i);
		put_text(*state, key, key);
	}
	for (int i = 0; i < 3 * DIR_FOLDERS_MAX; i++) {
		snprintf(key, sizeof key, "d%d/y", i % 70);
		put_text(*state, key, key);
	}
	size_t open_fds = 0;
	DIR *d = opendir("/proc/self/fd");
	assert_non_null(d);
	while (readdir(d))
		open_fds++;
	closedir(d);
	assert_true(open_fds < DIR_FOLDERS_MAX + 16);
}

/* --- failures --- */

/* Root may do everything, so it does this as another. */
static void test_denied(void **state)
{
	struct error err = { 0 };
	uint8_t byte;
	struct store_range one = { 0, 1, &byte };
	bool privileged = geteuid() == 0;
	if (privileged)
		assert_int_equal(chown(root, 65534, 65534) + seteuid(65534), 0);
	put_text(*state, "a/b", "x");
	_free_ char *a = path_of("a"), *b = path_of("a/b");
	assert_int_equal(chmod(b, 0) + chmod(a, 0500), 0);
	assert_int_equal(store_read(*state, "a/b", &one, 1, &err), ERR_STORE_ACCESS);
	assert_non_null(strstr(err.text, "a/b: cannot be read: Permission denied"));
	assert_int_equal(store_put(*state, "a/c", text("x"), &err), ERR_STORE_ACCESS);
	assert_non_null(strstr(err.text, "a/c"));
	assert_int_equal(store_remove(*state, "a/b", &err), ERR_STORE_ACCESS);
	assert_int_equal(chmod(a, 0), 0);
	assert_int_equal(store_list(*state, "", NULL, 0, listing_add, NULL, &err), ERR_STORE_ACCESS);
	assert_int_equal(chmod(a, 0700), 0);
	if (privileged)
		assert_int_equal(seteuid(0), 0);
}

static void test_errors_of_the_system_are_named(void **state)
{
	static const struct {
		int errno_, code;
	} cases[] = { { EACCES, ERR_STORE_ACCESS }, { EPERM, ERR_STORE_ACCESS }, { EROFS, ERR_STORE_READONLY },
		      { ENOSPC, -ENOSPC }, { EDQUOT, -EDQUOT }, { EIO, ERR_STORE }, { EMFILE, -EMFILE } };
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = { 0 };
		assert_int_equal(dir_error(&err, cases[i].errno_, "a/key", "written"), cases[i].code);
		assert_memory_equal(err.text, "a/key: cannot be written: ", 26);
	}
}

/* The limit on file sizes makes the kernel cut a write short, as a full disk does. */
static int put_over_the_limit(struct store *s)
{
	static const uint8_t data[200000];
	struct rlimit limit = { 100000, 100000 };
	signal(SIGXFSZ, SIG_IGN);
	setrlimit(RLIMIT_FSIZE, &limit);
	int r = store_put(s, "a/large", (struct slice){ data, sizeof data }, NULL);
	int again = store_put_if_absent(s, "a/large", (struct slice){ data, sizeof data }, NULL);
	return r == -EFBIG && again == -EFBIG ? 0 : 1;
}

static void test_failed_write_leaves_nothing(void **state)
{
	int status = -1;
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(put_over_the_limit(*state));
	waitpid(pid, &status, 0);
	assert_int_equal(status, 0);
	assert_list(*state, "", NULL, 0, "");
	assert_int_equal(count_entries("+tmp"), 0);
}

/* --- crashes --- */

#define CLAIMS 60

/* Opens the store anew and claims all keys, as another machine would; the exit status counts those it got. */
static int claim_all(void)
{
	struct store *s = open_dir(root, false);
	char key[32];
	int won = 0;
	for (int i = 0; i < CLAIMS; i++) {
		snprintf(key, sizeof key, "day%d/%d", i % 7, i);
		int r = store_put_if_absent(s, key, text("mine"), NULL);
		if (r != 0 && r != ERR_STORE_EXISTS)
			return 255;
		won += r == 0;
	}
	store_free(s);
	return won;
}

static void test_of_many_processes_one_wins(void **state)
{
	int won = 0;
	for (int i = 0; i < 6; i++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			_exit(claim_all());
	}
	for (int i = 0; i < 6; i++) {
		int status = -1;
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= CLAIMS);
		won += WEXITSTATUS(status);
	}
	assert_int_equal(won, CLAIMS);
}

/* Puts objects of one byte repeated until it is killed. */
static void put_until_killed(struct store *s)
{
	static uint8_t data[300000];
	char key[32];
	for (int i = 0;; i++) {
		memset(data, 'a' + i % 26, sizeof data);
		snprintf(key, sizeof key, "k%d/%06d", i % 4, i);
		store_put(s, key, (struct slice){ data, sizeof data }, NULL);
		store_put_if_absent(s, "claim", (struct slice){ data, sizeof data }, NULL);
		store_remove(s, "claim", NULL);
	}
}

static int check_whole(void *ctx, const char *key, const struct store_stat *st)
{
	_buf_ struct buf out = BUF_INIT(1 << 20);
	assert_int_equal(st->size, 300000);
	assert_int_equal(store_get(ctx, key, 1 << 20, &out, NULL), 0);
	for (size_t i = 1; i < out.len; i++)
		if (out.data[i] != out.data[0])
			fail_msg("%s: a part of another object at %zu", key, i);
	return 0;
}

static void test_killed_writer_leaves_no_partial_object(void **state)
{
	for (int round = 0; round < 15; round++) {
		pid_t pid = fork();
		assert_true(pid >= 0);
		if (pid == 0)
			put_until_killed(*state);
		usleep((useconds_t)(3000 + round * 1700));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		assert_int_equal(store_list(*state, "", NULL, 0, check_whole, *state, NULL), 0);
	}
	assert_true(count_entries("+tmp") <= 15);
}

static void test_finished_puts_leave_no_temporary_files(void **state)
{
	put_text(*state, "a/b", "x");
	put_text(*state, "a/b", "x");
	assert_int_equal(store_put_if_absent(*state, "a/b", text("y"), NULL), ERR_STORE_EXISTS);
	assert_int_equal(store_put_if_absent(*state, "a/c", text("y"), NULL), 0);
	int64_t now;
	assert_int_equal(store_now(*state, &now, NULL), 0);
	assert_int_equal(count_entries("+tmp"), 0);
}

static void test_read_only_writes_nothing(void **state)
{
	put_text(*state, "a", "x");
	struct store *reader = open_dir(root, true);
	int64_t now;
	assert_int_equal(store_now(reader, &now, NULL), 0);
	assert_text(reader, "a", "x");
	assert_list(reader, "", NULL, 0, "a ");
	assert_int_equal(store_put(reader, "b", text("x"), NULL), ERR_STORE_READONLY);
	store_free(reader);
	assert_int_equal(count_entries(""), named_temps ? 2 : 1);
}

static void test_umask_decides_who_may_read(void **state)
{
	mode_t old = umask(027);
	put_text(*state, "a/b", "x");
	umask(old);
	struct stat st;
	_free_ char *a = path_of("a"), *b = path_of("a/b");
	assert_int_equal(stat(a, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(stat(b, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONTRACT_TESTS,
		CONTRACT_TEST(test_missing_store),
		CONTRACT_TEST(test_store_that_is_a_file),
		CONTRACT_TEST(test_stale_temporary_files_are_removed),
		CONTRACT_TEST(test_what_is_no_object_is_not_listed),
		CONTRACT_TEST(test_file_and_folder_of_one_name),
		CONTRACT_TEST(test_old_empty_folders_are_removed),
		CONTRACT_TEST(test_folder_removed_by_another),
		CONTRACT_TEST(test_folder_moved_by_another),
		CONTRACT_TEST(test_more_folders_than_are_kept_open),
		CONTRACT_TEST(test_denied),
		CONTRACT_TEST(test_errors_of_the_system_are_named),
		CONTRACT_TEST(test_failed_write_leaves_nothing),
		CONTRACT_TEST(test_of_many_processes_one_wins),
		CONTRACT_TEST(test_killed_writer_leaves_no_partial_object),
		CONTRACT_TEST(test_finished_puts_leave_no_temporary_files),
		CONTRACT_TEST(test_read_only_writes_nothing),
		CONTRACT_TEST(test_umask_decides_who_may_read),
	};
	const struct CMUnitTest contract[] = { CONTRACT_TESTS };
	int failed = cmocka_run_group_tests_name("files without a name", tests, NULL, NULL);
	named_temps = true;
	failed += cmocka_run_group_tests_name("named temporary files", tests, NULL, NULL);
	named_temps = false;
	for (batch = 1; batch <= 4; batch++)
		failed += cmocka_run_group_tests_name("small batches", contract, NULL, NULL);
	return failed;
}

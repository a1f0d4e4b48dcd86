/* SPDX-License-Identifier: MIT */

/*
 * profilefs mount: serves the tree as a filesystem. Also the helper that mount(8) calls: `mount -t fuse.profilefs`
 * runs `profilefs STORE DIR -o OPTIONS`, a link named mount.profilefs gets the same words and mount's own flags.
 *
 * The parent returns when the mount answers. The child tells it over a pipe: "ok\n", or the sentence that says why
 * not.
 */

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/wait.h>

#include "../../fs/fs.h"
#include "common.h"

struct mount {
	struct common common;
	struct mount_options opts;
	bool fake; /* mount -f: everything but the mount */
	char *store, *dir; /* absolute */
};

static void mount_done(struct mount *m)
{
	fs_options_done(&m->opts);
	free(m->store);
	free(m->dir);
}

/* ---- the process that serves ---- */

static int open_db(struct mount *m, const struct log *log, struct store **ret_store, struct db **ret_db,
                   struct error *err)
{
	struct store_options so = { .read_only = m->opts.read_only, .create = !m->opts.read_only };
	struct db_options dbo = {
		.tenant = m->common.tenant ?: m->opts.tenant,
		.cache_bytes = m->opts.mem,
		.query_memory = m->opts.query_memory,
		.log = log,
		.elf_reader = ELF_READER,
	};
	struct common common = m->common;
	common.store = m->store;
	int e = open_store(&common, &so, log, ret_store, err);
	if (!e)
		e = db_open(*ret_store, &dbo, ret_db, err);
	if (e && m->opts.read_only && err_errno(e) == ENOENT)
		return error_set(err, e, "%s: " NO_STORE, m->store);
	return e && !is_about(err->text, m->store) ? error_at(err, e, "%s", m->store) : e;
}

static int serve(struct mount *m, const struct log *log, int ready_fd, struct error *err)
{
	_cleanup_(store_freep) struct store *store = NULL;
	_cleanup_(db_closep) struct db *db = NULL;
	int e = open_db(m, log, &store, &db, err);
	if (e)
		return e;
	m->opts.log = log;
	e = fs_mount_run(db, &m->opts, ready_fd, err);
	return e && !is_about(err->text, m->dir) ? error_at(err, e, "%s", m->dir) : e;
}

static int serve_logged(struct mount *m, int ready_fd, struct error *err)
{
	struct log *log = NULL;
	fs_block_signals();
	int e = fs_log_open(&m->opts, &log, err);
	if (e)
		return e;
	e = serve(m, log, ready_fd, err);
	fs_log_close(log);
	return e;
}

/* ---- in the background ---- */

static void say(int fd, const char *text)
{
	while (write(fd, text, strlen(text)) < 0 && errno == EINTR)
		;
}

static void leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	setsid();
	for (int fd = 0; null >= 0 && fd <= 2; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (chdir("/")) /* keeps no other filesystem busy; where that fails, it does */
		return;
}

static _Noreturn void child(struct mount *m, int ready_fd)
{
	struct error err = { 0 };
	leave_terminal();
	int e = serve_logged(m, ready_fd, &err);
	if (e) {
		say(ready_fd, error_text(&err, e));
		say(ready_fd, advice(e));
	}
	_exit(e ? EXIT_FAILED : EXIT_DONE);
}

/* Reads what the child says, to the end: NUL-terminated. */
static void hear(int fd, char *ret, size_t size)
{
	size_t len = 0;
	for (ssize_t n; len + 1 < size; len += (size_t)n) {
		n = read(fd, ret + len, size - 1 - len);
		if (n < 0 && errno == EINTR)
			n = 0;
		else if (n <= 0)
			break;
	}
	ret[len] = '\0';
}

static int in_background(struct mount *m)
{
	char said[sizeof(struct error) + 128];
	int fds[2];
	if (pipe2(fds, O_CLOEXEC))
		return fail("pipe", -errno, NULL);
	fflush(NULL);
	pid_t pid = fork();
	if (pid < 0)
		return fail("fork", -errno, NULL);
	if (!pid) {
		close(fds[0]);
		child(m, fds[1]);
	}
	close(fds[1]);
	hear(fds[0], said, sizeof said);
	close(fds[0]);
	if (!strcmp(said, "ok\n"))
		return EXIT_DONE;
	waitpid(pid, NULL, 0);
	if (said[0])
		complain_line(said);
	else
		complain(m->dir, "the mounting process ended without a word; run with -f to see why");
	return EXIT_FAILED;
}

static int in_foreground(struct mount *m)
{
	struct error err = { 0 };
	int e = serve_logged(m, -1, &err);
	if (!e)
		return EXIT_DONE;
	_free_ char *line = NULL;
	complain_line(asprintf(&line, "%s%s", error_text(&err, e), advice(e)) < 0 ? error_text(&err, e) : line);
	return EXIT_FAILED;
}

/* ---- the command line ---- */

static int take_options(const struct command *self, struct mount *m)
{
	struct error err = { 0 };
	if (options_have_secret(optarg)) {
		complain(self->name, NO_SECRET);
		return EXIT_USAGE;
	}
	int e = fs_parse_options(&m->opts, optarg, &err);
	return e ? wrong_usage(self, "-o: %s", error_text(&err, e)) : -1;
}

/* A directory's word holds after chdir(); others are taken as they are. */
static char *absolute(const char *word)
{
	_free_ char *cwd = NULL;
	char *ret;
	if (word[0] == '/' || strstr(word, "://"))
		return strdup(word);
	cwd = getcwd(NULL, 0);
	return cwd && asprintf(&ret, "%s/%s", cwd, word) >= 0 ? ret : NULL;
}

/* STORE and DIR; -1 to go on, else the exit code. */
static int take_operands(const struct command *self, struct mount *m, int argc, char **argv)
{
	int rc = store_operand(self, &m->common, argc, argv);
	if (rc >= 0)
		return rc;
	if (optind == argc)
		return wrong_usage(self, "DIR is missing: where to mount");
	if (argc - optind > 1)
		return wrong_usage(self, "\"%s\" is one operand too many", argv[optind + 1]);
	m->store = absolute(m->common.store);
	m->dir = realpath(argv[optind], NULL);
	if (!m->dir && errno == ENOTCONN) /* a dead mount: fs_check_dir() heals it */
		m->dir = absolute(argv[optind]);
	if (!m->dir && errno == ENOENT) {
		complain(argv[optind], "there is no such directory; make it first: mkdir %s", argv[optind]);
		return EXIT_FAILED;
	}
	if (!m->dir || !m->store)
		return fail(argv[optind], -errno, NULL);
	m->opts.dir = m->dir;
	if (m->opts.log_file) {
		char *log_file = absolute(m->opts.log_file);
		free(m->opts.log_file);
		m->opts.log_file = log_file;
	}
	if (!m->opts.fsname)
		m->opts.fsname = strndup(m->store, strcspn(m->store, "?"));
	return -1;
}

static int take_arguments(const struct command *self, struct mount *m, int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_LONG_OPTIONS,
		{ "foreground", no_argument, NULL, 'f' },
		{ "options", required_argument, NULL, 'o' },
		{ 0 },
	};
	const char *slash = strrchr(argv[0], '/');
	bool helper = !strncmp(slash ? slash + 1 : argv[0], "mount.", 6);
	int rc;

	for (int c; (c = getopt_long(argc, argv, helper ? ":o:t:N:fsnvh" : ":o:fvh", options, NULL)) != -1;) {
		if (c == 'f')
			*(helper ? &m->fake : &m->opts.foreground) = true;
		else if (c == 'o' && (rc = take_options(self, m)) >= 0)
			return rc;
		else if (!strchr("otNsnv", c) && (rc = common_option(self, &m->common, c, argv)) >= 0)
			return rc;
	}
	return take_operands(self, m, argc, argv);
}

static int run_mount(const struct command *self, int argc, char **argv)
{
	_cleanup_(mount_done) struct mount m = { 0 };
	struct error err = { 0 };
	fs_options_init(&m.opts);
	int rc = take_arguments(self, &m, argc, argv);
	if (rc >= 0)
		return rc;
	int e = fs_check_dir(&m.opts, &stderr_log, &err);
	if (e)
		return fail(m.dir, e, &err);
	if (m.fake)
		return EXIT_DONE;
	return m.opts.foreground ? in_foreground(&m) : in_background(&m);
}

const struct command cmd_mount = {
	.name = "mount",
	.synopsis = "[options] STORE DIR",
	.summary = "Mounts the store's tree; returns when it answers",
	.help = "  -f, --foreground     stays, and logs to standard error\n"
	        "  -o OPT,...           ro              no writing\n"
	        "                       tenant=NAME     as --tenant\n"
	        "                       delete          rm and rmdir delete profiles\n"
	        "                       stat_wait=TIME  how long a stat may wait for a file's size (250ms)\n"
	        "                       cache_size=SIZE of rendered files\n"
	        "                       mem=SIZE        of decoded tables\n"
	        "                       query_memory=SIZE at most for one query (1G); else it fails\n"
	        "                       log=FILE        instead of syslog\n"
	        "                       compact=no      no compaction by this mount\n"
	        "                       allow_other, uid=, gid=, umask=, nonempty and others as for any mount\n"
	        "\nUnmount with `umount DIR` or `fusermount3 -u DIR`.\n\n",
	.run = run_mount,
};

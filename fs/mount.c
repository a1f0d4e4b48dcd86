/* SPDX-License-Identifier: MIT */

/*
 * A mount's life. Threads: the caller's serves requests with libfuse's workers; a second one waits for
 * signals and for the end; the pools do the work. Starting: session, mount, workers, then a stat of the
 * mount's own root proves that it answers. Stopping, by a signal: new work is refused, renderings are
 * cancelled, open files are taken in where they are whole, then the workers end and the mount goes.
 * Unmounting from outside ends the workers first; the rest is the same.
 */

#include <assert.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "inode.h"
#include "ops.h"
#include "render_jobs.h"

#define NAME_THREADS 16
#define WRITE_THREADS 16
#define WORKERS 8
#define DRAIN_TIME (4 * NS_PER_S) /* for what was written, at a stop */
#define STUCK_TIME NS_PER_S       /* for what was cancelled to notice */
#define OPEN_FILES ((rlim_t)65536)
#define WAKE_SIGNAL SIGUSR1       /* lets libfuse's main loop look at its exit flag */

struct mount {
	struct fs fs;
	struct tree *tree;
	pthread_t server, control;
	int signals, ended; /* signalfd; eventfd: the loop is over */
	int ready_fd;
	atomic_bool loop_over;
	bool have_control;
	int failed; /* by the control thread */
	struct error *err;
};

/* ---- libfuse's messages: it has one sink for the process ---- */

static const struct log *_Atomic fuse_log_sink;
static _Thread_local char fuse_last_message[256];

static void on_fuse_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
	char line[256];
	vsnprintf(line, sizeof line, fmt, ap);
	line[strcspn(line, "\n")] = 0;
	if (level <= FUSE_LOG_WARNING)
		snprintf(fuse_last_message, sizeof fuse_last_message, "%s", line);
	log_msg(atomic_load(&fuse_log_sink), level <= FUSE_LOG_ERR ? LOG_LEVEL_ERROR : LOG_LEVEL_DEBUG, "%s", line);
}

/* ---- signals ---- */

static void stop_signals(sigset_t *ret)
{
	sigemptyset(ret);
	sigaddset(ret, SIGTERM);
	sigaddset(ret, SIGINT);
	sigaddset(ret, SIGHUP);
}

void fs_block_signals(void)
{
	sigset_t set;
	stop_signals(&set);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
}

static void on_wake(int sig)
{
}

/* The loop waits in sem_wait(), which a signal interrupts; it may be just before it, so the signal is repeated. */
static void end_loop(struct mount *m)
{
	fuse_session_exit(m->fs.se);
	while (!atomic_load(&m->loop_over)) {
		pthread_kill(m->server, WAKE_SIGNAL);
		usleep(5000);
	}
}

static void drain(struct mount *m)
{
	struct fs *fs = &m->fs;
	atomic_store(&fs->stopping, true);
	renders_stop(fs->renders);
	calls_refuse(fs->calls);
	if (calls_wait(fs->calls, DRAIN_TIME))
		log_msg(fs->log, LOG_LEVEL_WARNING, "stopping although the store has not answered everything");
	uploads_finish(fs->uploads);
}

static void *drain_main(void *arg)
{
	struct mount *m = arg;
	drain(m);
	end_loop(m);
	return NULL;
}

/* The second signal: no mount is left behind, whatever else is. */
static void stop_at_once(struct mount *m)
{
	log_msg(m->fs.log, LOG_LEVEL_WARNING, "stopped at once: files that were being written are lost");
	fuse_session_unmount(m->fs.se);
	_exit(1);
}

/* Whether the mount answers: a stat of its root, as its user would do it. */
static void tell_ready(struct mount *m)
{
	struct stat st;
	if (stat(m->fs.opts->dir, &st)) {
		m->failed = error_set(m->err, -errno, "the mount does not answer: %s", strerror(errno));
		end_loop(m);
	} else if (m->ready_fd >= 0) {
		(void)!write(m->ready_fd, "ok\n", 3);
		close(m->ready_fd);
	}
}

static void *control_main(void *arg)
{
	struct mount *m = arg;
	struct pollfd fds[] = { { .fd = m->signals, .events = POLLIN }, { .fd = m->ended, .events = POLLIN } };
	pthread_t drainer;
	bool draining = false;
	tell_ready(m);
	while (!atomic_load(&m->loop_over)) {
		struct signalfd_siginfo info;
		if (poll(fds, ARRAY_SIZE(fds), -1) < 0 || !(fds[0].revents & POLLIN) ||
		    read(m->signals, &info, sizeof info) != sizeof info)
			continue;
		if (draining)
			stop_at_once(m);
		log_msg(m->fs.log, LOG_LEVEL_INFO, "stopping: %s", strsignal((int)info.ssi_signo));
		draining = !pthread_create(&drainer, NULL, drain_main, m);
		if (!draining)
			stop_at_once(m);
	}
	if (draining)
		pthread_join(drainer, NULL);
	return NULL;
}

/* ---- what `cat /.profilefs/mount` shows ---- */

static void show_mount(void *ctx, struct buf *out)
{
	struct fs *fs = ctx;
	uint64_t max, used;
	uploads_space(fs->uploads, &max, &used);
	buf_printf(out, "requests_in_flight %zu\n", calls_in_flight(fs->calls));
	buf_printf(out, "renderings_under_way %zu\n", renders_running(fs->renders));
	buf_printf(out, "inodes_known %zu\n", inodes_count(fs->inodes));
	buf_printf(out, "spool_bytes %llu\nspool_limit %llu\n", (unsigned long long)used, (unsigned long long)max);
	const struct {
		const char *name;
		atomic_uint_fast64_t *value;
	} counts[] = {
		{ "lookups", &fs->counts.lookups },
		{ "timeouts", &fs->counts.timeouts },
		{ "interrupts", &fs->counts.interrupts },
		{ "renderings", &fs->counts.renders },
		{ "renderings_cancelled", &fs->counts.renders_cancelled },
		{ "files_written", &fs->counts.files_written },
		{ "files_refused", &fs->counts.files_refused },
	};
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		buf_printf(out, "%s %llu\n", counts[i].name, (unsigned long long)atomic_load(counts[i].value));
}

/* What this mount does to keep the store compact, and what nobody does. Costs no request. */
static void show_compaction(void *ctx, struct buf *out)
{
	struct fs *fs = ctx;
	struct background_status s = { 0 };
	struct db_lag lag;
	char when[TIME_LEN] = "never";
	if (fs->compaction)
		background_status(fs->compaction, &s);
	db_lag_known(fs->db, &lag);
	if (s.last_pass)
		time_format_rfc3339(time_floor(s.last_pass, NS_PER_S), when);
	buf_printf(out, "by_this_mount %s\nlast_pass %s\nmerges %llu\nprofiles_rewritten %llu\nobjects_removed %llu\n",
	           fs->compaction ? "yes" : "no", when, (unsigned long long)s.merges, (unsigned long long)s.profiles,
	           (unsigned long long)s.removed);
	buf_printf(out, "segments %llu\noldest_segment_seconds %lld\nlate %s\n", (unsigned long long)lag.segments,
	           (long long)(lag.age / NS_PER_S), lag.age > COMPACTION_LATE ? "yes" : "no");
	if (s.error[0])
		buf_printf(out, "last_error %s\n", s.error);
}

/* ---- building and taking down ---- */

static void on_tick(struct fs *fs, int64_t now)
{
	uploads_tick(fs->uploads, now);
	renders_tick(fs->renders, now);
}

static int build_tree(struct mount *m, struct error *err)
{
	struct fs *fs = &m->fs;
	struct tree_options opts = { .read_only = fs->opts->read_only, .may_delete = fs->opts->may_delete,
		                     .cache_bytes = fs->opts->cache_size };
	int e = tree_new(fs->db, &opts, &fs->tree, err);
	struct node *root = NULL;
	if (!e)
		e = tree_root(fs->tree, &root, err);
	if (!e)
		e = inodes_new(root, &fs->inodes);
	if (!e)
		e = tree_add_status(fs->tree, "mount", show_mount, fs);
	if (!e)
		e = tree_add_status(fs->tree, "compaction", show_compaction, fs);
	return e;
}

static int build(struct mount *m, struct error *err)
{
	struct fs *fs = &m->fs;
	int e = build_tree(m, err);
	if (!e)
		e = uploads_new(fs, &fs->uploads);
	if (!e)
		e = renders_new(fs, &fs->renders);
	if (!e)
		e = pool_new(NAME_THREADS, &fs->names);
	if (!e)
		e = pool_new(WRITE_THREADS, &fs->writes);
	if (!e)
		e = calls_new(fs, on_tick, &fs->calls);
	if (!e && !fs->opts->read_only && !fs->opts->no_compact)
		e = background_start(fs->db, &(struct compact_options){ 0 }, &fs->compaction);
	if (e && err && !err->text[0])
		error_set(err, e, "cannot start: %s", strerror(err_errno(e)));
	return e;
}

static _Noreturn void end_without_store(struct fs *fs)
{
	log_msg(fs->log, LOG_LEVEL_WARNING, "the store does not answer: ending without it");
	_exit(0);
}

/* A pool's threads cannot be left behind: where they are stuck in the store, the process ends. */
static void wait_for_work(struct fs *fs)
{
	int64_t end = clock_monotonic() + STUCK_TIME;
	while (atomic_load(&fs->working)) {
		if (clock_monotonic() > end)
			end_without_store(fs);
		usleep(2000);
	}
}

/* The workers are gone; what still runs answers into the void. */
static void take_down(struct mount *m)
{
	struct fs *fs = &m->fs;
	atomic_store(&fs->stopping, true);
	if (fs->renders)
		renders_stop(fs->renders);
	if (fs->calls) {
		calls_refuse(fs->calls);
		calls_stop_timer(fs->calls);
	}
	if (!background_stop_within(TAKE_PTR(fs->compaction), STUCK_TIME))
		end_without_store(fs);
	wait_for_work(fs);
	pool_free(fs->names);
	renders_free(fs->renders);
	pool_free(fs->writes);
	calls_free(fs->calls);
	handles_free(fs);
	inodes_free(fs->inodes);
	uploads_free(fs->uploads);
	if (fs->tree)
		tree_free(fs->tree);
}

static void raise_file_limit(void)
{
	struct rlimit files;
	if (getrlimit(RLIMIT_NOFILE, &files) || files.rlim_cur >= OPEN_FILES)
		return;
	files.rlim_cur = MIN(files.rlim_max, OPEN_FILES);
	setrlimit(RLIMIT_NOFILE, &files);
}

/* ---- session ---- */

static int session_args(const struct mount_options *opts, struct fuse_args *args)
{
	char *list = NULL;
	_free_ char *name = NULL;
	if (asprintf(&name, "fsname=%s", opts->fsname ? opts->fsname : "profilefs") < 0)
		return -ENOMEM;
	const char *const words[] = {
		"subtype=profilefs", "default_permissions", "nosuid", "nodev", "noexec", "noatime",
		opts->read_only ? "ro" : NULL, opts->allow_other ? "allow_other" : NULL,
		opts->auto_unmount ? "auto_unmount" : NULL, opts->debug ? "debug" : NULL,
	};
	int e = fuse_opt_add_opt_escaped(&list, name);
	for (size_t i = 0; !e && i < ARRAY_SIZE(words); i++)
		e = words[i] ? fuse_opt_add_opt(&list, words[i]) : 0;
	if (!e && opts->fuse_opts)
		e = fuse_opt_add_opt(&list, opts->fuse_opts);
	if (!e)
		e = fuse_opt_add_arg(args, "profilefs") || fuse_opt_add_arg(args, "-o") || fuse_opt_add_arg(args, list);
	free(list);
	return e ? -ENOMEM : 0;
}

static int session_fail(struct mount *m, const char *what)
{
	const char *why = fuse_last_message;
	if (!strncmp(why, "fuse: ", 6))
		why += 6;
	return error_set(m->err, -EIO, "%s%s%s", what, *why ? ": " : "", why);
}

static int session_open(struct mount *m)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	fuse_last_message[0] = 0;
	int e = session_args(m->fs.opts, &args);
	if (!e)
		m->fs.se = fuse_session_new(&args, &fs_ops, sizeof fs_ops, &m->fs);
	fuse_opt_free_args(&args);
	if (!m->fs.se)
		return session_fail(m, "the mount options are refused");
	if (fuse_session_mount(m->fs.se, m->fs.opts->dir)) {
		e = session_fail(m, "cannot be mounted");
		fuse_session_destroy(TAKE_PTR(m->fs.se));
	}
	return e;
}

static int session_loop(struct mount *m)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	if (!config)
		return -ENOMEM;
	fuse_loop_cfg_set_clone_fd(config, 1);
	fuse_loop_cfg_set_max_threads(config, WORKERS);
	int e = fuse_session_loop_mt(m->fs.se, config);
	fuse_loop_cfg_destroy(config);
	return e < 0 ? e : 0; /* positive: the signal that ended it */
}

static int control_start(struct mount *m)
{
	sigset_t set;
	stop_signals(&set);
	m->server = pthread_self();
	m->signals = signalfd(-1, &set, SFD_CLOEXEC);
	m->ended = eventfd(0, EFD_CLOEXEC);
	if (m->signals < 0 || m->ended < 0)
		return -errno;
	struct sigaction wake = { .sa_handler = on_wake };
	sigaction(WAKE_SIGNAL, &wake, NULL);
	int r = pthread_create(&m->control, NULL, control_main, m);
	m->have_control = !r;
	return -r;
}

static void control_end(struct mount *m)
{
	atomic_store(&m->loop_over, true);
	eventfd_write(m->ended, 1);
	if (m->have_control)
		pthread_join(m->control, NULL);
	if (m->signals >= 0)
		close(m->signals);
	if (m->ended >= 0)
		close(m->ended);
}

static int serve(struct mount *m)
{
	int e = session_open(m);
	if (e)
		return e;
	e = control_start(m);
	if (!e)
		e = session_loop(m);
	if (e)
		error_set(m->err, e, "the mount failed: %s", strerror(-e));
	control_end(m);
	e = e ? e : m->failed;
	fuse_session_unmount(m->fs.se);
	take_down(m);
	fuse_session_destroy(m->fs.se);
	return e;
}

int fs_mount_run(struct db *db, const struct mount_options *opts, int ready_fd, struct error *err)
{
	if (opts->auto_unmount && opts->allow_other)
		return error_set(err, -EINVAL, "auto_unmount and allow_other cannot be combined");
	int e = fs_check_dir(opts, opts->log, err);
	if (e)
		return e;
	fs_block_signals();
	raise_file_limit();
	struct mount m = { .signals = -1, .ended = -1, .ready_fd = ready_fd, .err = err };
	m.fs = (struct fs){ .opts = opts, .log = opts->log, .db = db, .uid = opts->has_uid ? opts->uid : geteuid(),
		            .gid = opts->has_gid ? opts->gid : getegid(), .handles_lock = PTHREAD_MUTEX_INITIALIZER };
	atomic_store(&fuse_log_sink, opts->log);
	fuse_set_log_func(on_fuse_log);
	e = build(&m, err);
	if (!e)
		e = serve(&m);
	if (!m.fs.se)
		take_down(&m);
	fuse_set_log_func(NULL);
	atomic_store(&fuse_log_sink, NULL);
	return e;
}

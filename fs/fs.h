/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The mount: the tree of core/paths as a filesystem. This header is all that the command line sees.
 *
 * The life of a mounting process, which `profilefs mount` follows:
 *
 *     fs_options_init(&opts); fs_parse_options(&opts, "ro,stat_wait=1s", &err) for each -o; opts.dir = argv[2];
 *     fs_check_dir(&opts, &err)             cheap refusals, before anything is created; heals a dead mount of ours
 *     pipe, fork, setsid                    unless opts.foreground; the parent reads the pipe to its end: "ok\n" is
 *                                           success, anything else is the sentence to print, nothing is a crash
 *     fs_block_signals()                    in the child, before db_open() and everything else that makes threads
 *     fs_log_open(&opts, &log, &err)
 *     store_open, db_open(... log ...)      errors: write the sentence to the pipe
 *     opts.log = log; fs_mount_run(db, &opts, ready_fd, &err)
 *     db_close, store close, fs_log_close
 */

#include <sys/types.h>

#include "../core/base/clock.h"
#include "../core/base/log.h"
#include "../core/db/db.h"

#define FS_STAT_WAIT_DEFAULT (250 * NS_PER_MS)
#define FS_STAT_WAIT_EVER (-1)

struct mount_options {
	const char *dir;          /* where; borrowed */
	bool foreground;          /* -f: the log goes to stderr */
	bool read_only;           /* ro */
	bool may_delete;          /* delete */
	bool no_compact;          /* compact=no */
	bool nonempty;            /* mount over a directory that is not empty */
	bool allow_other;
	bool auto_unmount;
	bool debug;               /* every request, to stderr */
	char *tenant;             /* tenant=; NULL; for the caller */
	char *log_file;           /* log=; NULL: syslog, or stderr with foreground */
	char *fsname;             /* fsname=, what `df` shows; NULL: "profilefs"; the caller may set it (strdup) */
	int64_t stat_wait_ns;     /* stat_wait=, for stats of unrendered files; FS_STAT_WAIT_EVER: tests only */
	size_t cache_size;        /* cache_size=, bytes of rendered files; 0: default */
	size_t mem;               /* mem=, bytes of decoded tables; 0: default; for the caller */
	size_t query_memory;      /* query_memory=, bytes that one query may take; 0: default; for the caller */
	size_t spool_size;        /* spool_size=, bytes of files being written; 0: 1 GiB */
	bool has_uid, has_gid;    /* else the mounting user's */
	uid_t uid;
	gid_t gid;
	mode_t umask;             /* umask=, octal: bits to take away from every mode */
	char *fuse_opts;          /* further options for the kernel ("nodev,noexec"); NULL */
	const struct log *log;    /* may be NULL; borrowed */
};

void fs_options_init(struct mount_options *opts);
void fs_options_done(struct mount_options *opts);
#define _mount_options_ _cleanup_(fs_options_done)

/*
 * Takes one -o argument ("a,b=c,..."); later ones override. Generic ones of mount(8) and fstab (nodev,
 * _netdev, nofail, x-systemd.*, ...) are passed to the kernel or ignored. An unknown one is -EINVAL, with the
 * list of those known.
 */
int fs_parse_options(struct mount_options *opts, const char *o, struct error *err);

/*
 * Whether opts->dir can be mounted on: an existing, empty directory (or nonempty) that is no mount of
 * profilefs. A dead mount of profilefs there is unmounted with a warning to log. The error's sentence says
 * what to do, without the directory's name. Also hints (to the log) when root mounts without allow_other.
 */
int fs_check_dir(const struct mount_options *opts, const struct log *log, struct error *err);

/* Blocks SIGTERM, SIGINT and SIGHUP (fs_mount_run() waits for them) and ignores SIGPIPE. Before any thread is made. */
void fs_block_signals(void);

/* syslog, opts->log_file or stderr, as the options say. New; NULL options->log_file problems are told in err. */
int fs_log_open(const struct mount_options *opts, struct log **ret, struct error *err);
void fs_log_close(struct log *log);

/*
 * Mounts db on opts->dir and serves until it is unmounted or a signal comes; then refuses new work, finishes
 * what was written, unmounts and returns 0. A second signal stops at once: it unmounts and ends the process
 * with status 1. Where the store does not answer after all that, the process ends here with status 0: nothing
 * acknowledged depends on the rest. Writes "ok\n" to ready_fd (where >= 0) once the mount answers, and closes
 * it then. Fails before that with a sentence in err, nothing mounted, and ready_fd still open.
 */
int fs_mount_run(struct db *db, const struct mount_options *opts, int ready_fd, struct error *err);

/* SPDX-License-Identifier: MIT */

/*
 * May this directory be mounted on? libfuse would take a file, a device, a directory full of things, or a
 * second mount over the first; people lose sight of their data that way.
 */

#include <dirent.h>
#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "fs.h"

#define FS_TYPE "fuse.profilefs"

extern char **environ;

/* The absolute path without touching the last component: a dead mount answers to nothing. New, or NULL. */
static char *absolute(const char *dir)
{
	_free_ char *copy = strdup(dir);
	if (!copy)
		return NULL;
	for (size_t n = strlen(copy); n > 1 && copy[n - 1] == '/'; n--)
		copy[n - 1] = 0;
	char *slash = strrchr(copy, '/');
	if (!strcmp(copy, ".") || !strcmp(copy, "/") || (slash && !strcmp(slash, "/..")) || !strcmp(copy, ".."))
		return realpath(copy, NULL);
	if (slash)
		*slash = 0;
	_free_ char *parent = realpath(!slash ? "." : slash == copy ? "/" : copy, NULL);
	char *joined = NULL;
	if (!parent || asprintf(&joined, "%s/%s", strcmp(parent, "/") ? parent : "", slash ? slash + 1 : copy) < 0)
		return NULL;
	return joined;
}

/* Undoes the \040 of /proc/self/mountinfo. */
static void unescape(char *s)
{
	char *to = s;
	for (; *s; s++) {
		if (s[0] == '\\' && s[1] && s[2] && s[3]) {
			*to++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*to++ = *s;
		}
	}
	*to = 0;
}

/* Whether one line of mountinfo is a mount of profilefs at path. */
static bool line_is_ours(char *line, const char *path)
{
	char *type = strstr(line, " - ");
	char *field = line;
	for (int i = 0; i < 4 && field; i++)
		field = strchr(field + 1, ' ');
	if (!type || !field || field > type || strncmp(type + 3, FS_TYPE " ", sizeof FS_TYPE))
		return false;
	char *point = field + 1;
	point[strcspn(point, " ")] = 0;
	unescape(point);
	return !strcmp(point, path);
}

static bool is_our_mount(const char *path)
{
	_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_free_ char *line = NULL;
	size_t size = 0;
	bool ours = false;
	while (f && !ours && getline(&line, &size, f) > 0)
		ours = line_is_ours(line, path);
	return ours;
}

/* Takes a mount away however busy it is. */
static bool detach(const char *path)
{
	if (!umount2(path, MNT_DETACH))
		return true;
	char *argv[] = { "fusermount3", "-u", "-q", "-z", "--", (char *)path, NULL };
	pid_t pid;
	int status;
	if (posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ))
		return false;
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && !WEXITSTATUS(status);
}

/* A request that no cache answers. */
static bool is_dead(const char *dir)
{
	struct statvfs st;
	return statvfs(dir, &st) && errno == ENOTCONN;
}

static int heal(const char *dir, const char *path, const struct log *log, struct error *err)
{
	if (!is_our_mount(path))
		return error_set(err, -ENOTCONN, "a filesystem that died is mounted there: unmount it first");
	if (!detach(path))
		return error_set(err, -ENOTCONN, "a profilefs that died is mounted there, and it cannot be unmounted: "
		                                 "fusermount3 -u %s", dir);
	log_msg(log, LOG_LEVEL_WARNING, "%s: unmounted a profilefs that had died there", dir);
	return 0;
}

static int check_empty(const struct mount_options *opts, struct error *err)
{
	DIR *d = opendir(opts->dir);
	if (!d)
		return error_set(err, -errno, "the directory cannot be read: %s", strerror(errno));
	size_t n = 0;
	while (n < 3 && readdir(d))
		n++;
	closedir(d);
	if (n > 2 && !opts->nonempty)
		return error_set(err, -ENOTEMPTY, "the directory is not empty: mount on an empty one, or hide "
		                                  "what is there with -o nonempty");
	return 0;
}

static int check_kind(const struct mount_options *opts, struct error *err)
{
	struct stat st;
	if (stat(opts->dir, &st)) {
		int e = -errno;
		return error_set(err, e, "%s%s", strerror(-e), e == -ENOENT ? ": make it with mkdir" : "");
	}
	if (!S_ISDIR(st.st_mode))
		return error_set(err, -ENOTDIR, "not a directory");
	return 0;
}

int fs_check_dir(const struct mount_options *opts, const struct log *log, struct error *err)
{
	_free_ char *path = absolute(opts->dir);
	if (path && is_dead(opts->dir)) {
		int e = heal(opts->dir, path, log, err);
		if (e)
			return e;
	}
	int e = check_kind(opts, err);
	if (e)
		return e;
	if (path && is_our_mount(path))
		return error_set(err, -EBUSY, "profilefs is mounted there already: fusermount3 -u %s unmounts it",
		                 opts->dir);
	e = check_empty(opts, err);
	if (!e && !geteuid() && !opts->allow_other)
		log_msg(log, LOG_LEVEL_INFO, "%s: only root will see what is mounted; others with -o allow_other",
		        opts->dir);
	return e;
}

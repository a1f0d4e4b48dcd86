/* SPDX-License-Identifier: MIT */
#include "writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>

#define PF_SIGNALED 0x400UL /* include/linux/sched.h: killed by a signal; field 9 of /proc/PID/stat */
#define STAT_FLAGS 7        /* fields from the one behind the name to the flags */

/* A whole small file of /proc/PID/, NUL-terminated. */
static bool read_proc(pid_t pid, const char *what, char *buf, size_t size)
{
	char path[48];
	snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, what);
	_close_ int fd = pid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
	if (n < 0)
		return false;
	buf[n] = 0;
	return true;
}

pid_t writer_process(pid_t thread)
{
	char buf[2048];
	const char *at = read_proc(thread, "status", buf, sizeof buf) ? strstr(buf, "\nTgid:") : NULL;
	return at ? (pid_t)strtol(at + strlen("\nTgid:"), NULL, 10) : 0;
}

bool writer_was_killed(pid_t thread)
{
	char buf[2048];
	/* the name may hold anything: fields count from its last parenthesis */
	const char *at = read_proc(thread, "stat", buf, sizeof buf) ? strrchr(buf, ')') : NULL;
	for (int i = 0; at && i < STAT_FLAGS; i++)
		at = strchr(at + 1, ' ');
	return at && strtoul(at, NULL, 10) & PF_SIGNALED;
}

static bool link_ends_with(int dir, const char *name, const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dir, name, target, sizeof target);
	size_t len = strlen(path);
	return n >= (ssize_t)len && !memcmp(target + n - len, path, len);
}

bool writer_holds(pid_t process, const char *path)
{
	char dir[48];
	snprintf(dir, sizeof dir, "/proc/%d/fd", (int)process);
	DIR *d = opendir(dir);
	if (!d)
		return errno != ENOENT;
	bool holds = false;
	for (struct dirent *entry; !holds && (entry = readdir(d));)
		holds = link_ends_with(dirfd(d), entry->d_name, path);
	closedir(d);
	return holds;
}

/* SPDX-License-Identifier: MIT */
#include "writer.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>

#define PF_SIGNALED 0x400UL /* include/linux/sched.h: killed by a signal; field 9 of /proc/PID/stat */
#define STAT_FLAGS 7        /* fields from the one behind the name to the flags */
#define STAT_EXIT_CODE 50   /* the same for field 52, as wait(2) encodes it */
#define EXIT_SIGNAL 0x7f

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

/* A number of /proc/PID/stat, 1 being the field behind the name; the name may hold anything, parentheses too. */
static unsigned long stat_field(const char *stat, int field)
{
	const char *at = strrchr(stat, ')');
	for (int i = 0; at && i < field; i++)
		at = strchr(at + 1, ' ');
	return at ? strtoul(at, NULL, 10) : 0;
}

/*
 * Where one thread of a program ends it, the kernel kills the others, and any of them may be the last one and close the
 * files. So the flag says "by a signal" of them, too; the program's exit code, which all threads show, tells the two
 * apart.
 */
bool writer_was_killed(pid_t thread)
{
	char buf[2048];
	if (!read_proc(thread, "stat", buf, sizeof buf) || !(stat_field(buf, STAT_FLAGS) & PF_SIGNALED))
		return false;
	return stat_field(buf, STAT_EXIT_CODE) & EXIT_SIGNAL;
}

static uint64_t signals_of(const char *status, const char *field)
{
	const char *at = strstr(status, field);
	return at ? strtoull(at + strlen(field), NULL, 16) : 0;
}

bool writer_wants_out(pid_t thread)
{
	static const int by_the_way[] = {
		SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH, SIGIO, SIGPROF, SIGVTALRM,
	};
	char buf[4096];
	if (!read_proc(thread, "status", buf, sizeof buf))
		return true;
	uint64_t waiting = signals_of(buf, "\nSigPnd:") | signals_of(buf, "\nShdPnd:");
	waiting &= ~signals_of(buf, "\nSigBlk:");
	for (size_t i = 0; i < ARRAY_SIZE(by_the_way); i++)
		waiting &= ~(UINT64_C(1) << (by_the_way[i] - 1));
	return waiting;
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

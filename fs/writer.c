/* SPDX-License-Identifier: MIT */
#include "writer.h"

#include <fcntl.h>
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

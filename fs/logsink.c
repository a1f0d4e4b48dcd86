/* SPDX-License-Identifier: MIT */

/* Where a mount's messages go: syslog, a file, or stderr. */

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>

#include "fs.h"

struct sink {
	struct log log; /* first: fs_log_close() gets its address */
	int fd;         /* -1: syslog */
	bool owned;
};

static void to_syslog(void *ctx, enum log_level level, const char *line)
{
	static const int priorities[] = { [LOG_LEVEL_ERROR] = LOG_ERR, [LOG_LEVEL_WARNING] = LOG_WARNING,
		                          [LOG_LEVEL_INFO] = LOG_INFO, [LOG_LEVEL_DEBUG] = LOG_DEBUG };
	syslog(priorities[level], "%s", line);
}

/* One write(2) a line, so that lines of several threads and processes stay whole. */
static void to_fd(void *ctx, enum log_level level, const char *line)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	struct sink *s = ctx;
	char now[TIME_LEN], whole[2048];
	int n = snprintf(whole, sizeof whole - 1, "%s profilefs[%d] %s: %s", time_format_rfc3339(clock_now(), now),
	                 (int)getpid(), names[level], line);
	size_t len = MIN((size_t)MAX(n, 0), sizeof whole - 2);
	whole[len] = '\n';
	(void)!write(s->fd, whole, len + 1);
}

int fs_log_open(const struct mount_options *opts, struct log **ret, struct error *err)
{
	struct sink *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	s->log = (struct log){ .sink = to_fd, .ctx = s, .level = opts->debug ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO };
	s->fd = STDERR_FILENO;
	if (opts->log_file) {
		s->fd = open(opts->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
		s->owned = true;
	} else if (!opts->foreground) {
		openlog("profilefs", LOG_PID, LOG_DAEMON);
		s->log.sink = to_syslog;
	}
	if (s->fd < 0) {
		int e = error_set(err, -errno, "%s: cannot be opened for the log: %s", opts->log_file, strerror(errno));
		free(s);
		return e;
	}
	*ret = &s->log;
	return 0;
}

void fs_log_close(struct log *log)
{
	struct sink *s = (struct sink *)log;
	if (!s)
		return;
	if (s->owned)
		close(s->fd);
	free(s);
}

/* SPDX-License-Identifier: MIT */

/* credential_process: a command of the profile, run by a shell, that prints credentials in JSON. */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

#include "../base/clock.h"
#include "s3_keys_from.h"

#define TIME_NS (60 * NS_PER_S) /* it may ask a person for a code */
#define OUTPUT_MAX ((size_t)1 << 16)

extern char **environ;

/* Starts the command with its output on a pipe and no input. */
static int start(const char *command, pid_t *ret_pid, int *ret_fd)
{
	char *argv[] = { "sh", "-c", (char *)command, NULL };
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int pipe[2];
	if (pipe2(pipe, O_CLOEXEC) < 0)
		return -errno;
	sigemptyset(&none);
	sigfillset(&all);
	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&files, pipe[1], STDOUT_FILENO);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	int e = posix_spawn(ret_pid, "/bin/sh", &files, &attr, argv, environ);
	posix_spawnattr_destroy(&attr);
	posix_spawn_file_actions_destroy(&files);
	close(pipe[1]);
	if (e)
		close(pipe[0]);
	else
		*ret_fd = pipe[0];
	return -e;
}

/* Reads to the end. */
static int read_output(int fd, struct buf *out)
{
	int64_t end = clock_monotonic() + TIME_NS;
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = end - clock_monotonic();
		int n = left > 0 ? poll(&p, 1, (int)(left / NS_PER_MS) + 1) : 0;
		if (n == 0)
			return -ETIMEDOUT;
		uint8_t *to = buf_reserve(out, 4096);
		if (!to)
			return buf_err(out);
		ssize_t got = n > 0 ? read(fd, to, 4096) : -1;
		if (got == 0)
			return 0;
		if (got < 0 && errno != EINTR)
			return -errno;
		out->len += (size_t)MAX(got, (ssize_t)0);
	}
}

static int run(const char *command, struct buf *out, const char *source, struct error *err)
{
	_close_ int fd = -1;
	pid_t pid;
	int status = 0, r = start(command, &pid, &fd);
	if (r < 0)
		return error_set(err, r, "%s cannot be started: %s", source, strerrordesc_np(-r));
	r = read_output(fd, out);
	if (r < 0)
		kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r < 0)
		return error_set(err, ERR_STORE_ACCESS, "%s %s", source,
		                 r == -ETIMEDOUT ? "did not end in time" : "printed more than credentials");
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return error_set(err, ERR_STORE_ACCESS, "%s failed (%s %d)", source,
		                 WIFEXITED(status) ? "exit" : "signal",
		                 WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	return 0;
}

int s3_keys_from_process(struct s3_keys *k, const struct aws_profile *p, struct error *err)
{
	_buf_ struct buf out = BUF_INIT(OUTPUT_MAX);
	_free_ char *command = NULL;
	int r = aws_profile_get(p, "credential_process", &command);
	if (r < 0 || !command)
		return r;
	snprintf(k->source, sizeof k->source, "the credential_process of [%.60s]", p->name);
	r = run(command, &out, k->source, err);
	if (r == 0)
		r = s3_keys_take_json(k, buf_slice(&out), "SessionToken", k->source, err);
	if (out.data)
		explicit_bzero(out.data, out.len);
	return r < 0 ? r : 1;
}

/* SPDX-License-Identifier: MIT */

/*
 * ELF files are read by a process of its own: libelf and libdw were written for files that compilers make, and whoever
 * writes into a mount may write others. What goes wrong there costs that file alone. The child is this program, with
 * the file as its standard input; it writes to its standard output
 *
 *     svarint code, and if it is not 0 the sentence as a string
 *     else   the build id, u8 whether DWARF, varints functions, ranges, lines, and the note; then the table, to the end
 *
 * posix_spawn() starts it, for other threads may hold any lock at that moment. It has limits of memory and CPU time,
 * and is the first that the system kills when memory runs out.
 */

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clock.h"
#include "../base/cursor.h"
#include "debug.h"

#define CPU_SECONDS 600
#define WALL_TIME (30 * NS_PER_MIN)
#define MEMORY_MAX ((rlim_t)6 << 30)
#define CHUNK ((size_t)256 << 10)
#define RESULT_MAX (DEBUG_OBJECT_MAX + ((size_t)64 << 10))

/* ---- the child ---- */

static void limit(int what, rlim_t most)
{
	struct rlimit l;
	if (!getrlimit(what, &l)) {
		l.rlim_cur = MIN(l.rlim_max, most);
		setrlimit(what, &l);
	}
}

static void set_limits(void)
{
#ifndef __SANITIZE_ADDRESS__ /* which reserves terabytes */
	limit(RLIMIT_AS, MEMORY_MAX);
#endif
	limit(RLIMIT_CPU, CPU_SECONDS);
	limit(RLIMIT_CORE, 0);
	_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd >= 0 && write(fd, "1000", 4) < 0)
		return; /* it is killed like others then */
}

static void put_text(struct buf *b, const char *s)
{
	buf_str(b, (struct str){ s, strlen(s) });
}

static void put_result(struct buf *b, int e, const struct debug_facts *facts, const struct error *err)
{
	buf_svarint(b, e);
	if (e) {
		put_text(b, error_text(err, e));
		return;
	}
	put_text(b, facts->build_id);
	buf_u8(b, facts->dwarf);
	buf_varint(b, facts->functions);
	buf_varint(b, facts->ranges);
	buf_varint(b, facts->lines);
	put_text(b, facts->note);
}

static int write_all(int fd, const struct buf *b)
{
	for (size_t at = 0; at < b->len;) {
		ssize_t n = write(fd, b->data + at, b->len - at);
		if (n < 0 && errno != EINTR)
			return -errno;
		at += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

int debug_read_child(int in, int out)
{
	_buf_ struct buf head = BUF_INIT(64 << 10), table = BUF_INIT(DEBUG_OBJECT_MAX);
	struct debug_facts facts = { 0 };
	struct error err = { 0 };
	set_limits();
	int e = debug_read(in, &facts, &table, &err);
	put_result(&head, e, &facts, &err);
	if (buf_err(&head) || write_all(out, &head) || (!e && write_all(out, &table)))
		return 1;
	return 0;
}

/* ---- the parent ---- */

static int start(const char *program, int in, int out, pid_t *ret)
{
	posix_spawn_file_actions_t files;
	posix_spawnattr_t attr;
	sigset_t none;
	char *const argv[] = { (char[]){ "profilefs" }, (char[]){ DEBUG_READ_COMMAND }, NULL };
	sigemptyset(&none);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK);
	int e = posix_spawn_file_actions_init(&files);
	e = e ? e : posix_spawn_file_actions_adddup2(&files, in, 0);
	e = e ? e : posix_spawn_file_actions_adddup2(&files, out, 1);
	e = e ? e : posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
	e = e ? e : posix_spawn(ret, program, &files, &attr, argv, environ);
	posix_spawn_file_actions_destroy(&files);
	posix_spawnattr_destroy(&attr);
	return -e;
}

/* All that the child says. 1: it said too much, or took too long. */
static int collect(int fd, struct buf *b)
{
	int64_t until = clock_monotonic() + WALL_TIME;
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = (until - clock_monotonic()) / NS_PER_MS;
		int n = left > 0 ? poll(&p, 1, (int)MIN(left, (int64_t)60000)) : -1;
		if (left <= 0)
			return 1;
		if (n <= 0)
			continue;
		uint8_t *room = buf_reserve(b, CHUNK);
		ssize_t got = room ? read(fd, room, CHUNK) : -1;
		if (!room)
			return 1;
		if (got <= 0 && !(got < 0 && errno == EINTR))
			return 0;
		b->len += got > 0 ? (size_t)got : 0;
	}
}

static int wait_for(pid_t pid)
{
	int status = 0;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

static int judge_end(int status, struct error *err)
{
	int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	if (sig == SIGXCPU || sig == SIGKILL)
		return error_set(err, ERR_FORMAT_LIMIT, "it takes more time or memory to read than is allowed");
	if (sig)
		return error_set(err, ERR_FORMAT_MALFORMED, "it is malformed: reading it ended by signal %d", sig);
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return error_set(err, ERR_FORMAT_MALFORMED, "it is malformed: reading it failed");
	return 0;
}

/* Names of sections may stand in it, which are whatever the file says: they reach logs and terminals. */
static bool take_text(struct cursor *c, char *ret, size_t size)
{
	struct str s = cursor_str(c);
	if (c->bad || s.len >= size)
		return false;
	for (size_t i = 0; i < s.len; i++)
		ret[i] = s.s[i] < ' ' || s.s[i] > '~' ? '?' : s.s[i];
	ret[s.len] = '\0';
	return true;
}

static int take_result(const struct buf *b, struct debug_facts *ret, struct buf *out, struct error *err)
{
	struct cursor c = cursor_of(buf_slice(b));
	struct debug_facts facts = { 0 };
	int64_t code = cursor_svarint(&c);
	char sentence[sizeof err->text];
	if (!c.bad && code < 0 && code >= INT_MIN && take_text(&c, sentence, sizeof sentence))
		return error_set(err, (int)code, "%s", sentence);
	bool whole = !c.bad && !code && take_text(&c, facts.build_id, sizeof facts.build_id);
	facts.dwarf = cursor_u8(&c);
	facts.functions = cursor_varint(&c);
	facts.ranges = cursor_varint(&c);
	facts.lines = cursor_varint(&c);
	if (!whole || !take_text(&c, facts.note, sizeof facts.note))
		return error_set(err, ERR_FORMAT_MALFORMED, "it is malformed: what was read of it is not whole");
	buf_put(out, c.p, cursor_left(&c));
	*ret = facts;
	return buf_err(out);
}

int debug_read_apart(const char *program, int fd, struct debug_facts *ret, struct buf *out, struct error *err)
{
	_buf_ struct buf said = BUF_INIT(RESULT_MAX);
	int ends[2];
	pid_t pid;
	if (pipe2(ends, O_CLOEXEC))
		return error_set(err, -errno, "no pipe to the reader of ELF files");
	_close_ int from = ends[0];
	int e = start(program, fd, ends[1], &pid);
	close(ends[1]);
	if (e)
		return error_set(err, e, "%s, the reader of ELF files, does not start", program);
	if (collect(from, &said))
		kill(pid, SIGKILL);
	e = judge_end(wait_for(pid), err);
	return e ? e : take_result(&said, ret, out, err);
}

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What /proc tells about the process behind a request. The kernel names a thread; its process decides. Where
 * it cannot be seen (another pid namespace, already gone), the answers are 0 and false.
 */

#include <sys/types.h>

#include "../core/base/err.h"

/* The process of a thread. */
pid_t writer_process(pid_t thread);

/* Whether a signal is ending it: a close() that comes from its death, not from its program. */
bool writer_was_killed(pid_t thread);

/*
 * Whether a signal that waits for this thread asks it to give up what it does. Those that come by the way (a
 * child ended, the window changed, a timer of the runtime) do not: programs do not expect an open() that
 * fails for them.
 */
bool writer_wants_out(pid_t thread);

/*
 * Whether a process may still have this file open: a descriptor's name ends in `path` (mounts may differ
 * between us), or that cannot be seen.
 */
bool writer_holds(pid_t process, const char *path);

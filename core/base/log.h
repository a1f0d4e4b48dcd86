/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where messages go. A log is given to those who need one; there is no global. Thread safe.
 * core/ logs only what it does of its own accord (background work); failures of a call are returned.
 */

#include "err.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log {
	void (*sink)(void *ctx, enum log_level level, const char *line); /* NULL: nowhere */
	void *ctx;
	enum log_level level; /* less important ones are dropped */
};

/* log may be NULL. */
void log_msg(const struct log *log, enum log_level level, const char *fmt, ...) _printf_(3, 4);

/* SPDX-License-Identifier: MIT */
#include "log.h"

#define LINE_MAX_BYTES 1024

/* A name from outside must not begin a line of its own or drive a terminal. */
static void make_one_line(char *s)
{
	for (; *s; s++)
		if ((uint8_t)*s < 0x20 || *s == 0x7f)
			*s = '?';
}

void log_msg(const struct log *log, enum log_level level, const char *fmt, ...)
{
	if (!log || !log->sink || level > log->level)
		return;
	char line[LINE_MAX_BYTES];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(line, sizeof line, fmt, ap);
	va_end(ap);
	make_one_line(line);
	log->sink(log->ctx, level, line);
}

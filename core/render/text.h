/* SPDX-License-Identifier: MIT */
#pragma once

/* What several renderings need to write text: numbers, values in units, times and names of frames. */

#include "../base/utf8.h"
#include "../query/query.h"
#include "render.h"

#define NOT_UTF8 "\xef\xbf\xbd" /* U+FFFD in place of bytes that are no UTF-8 */

/* A number with at most `decimals` (0 to 9) digits after the point, trailing zeros cut; half away from zero.
 */
void put_decimal(struct buf *out, double v, unsigned decimals);
/* The same for numbers of any size: as many digits as a double of that size is worth. NaN and infinities as
 * 0. */
void put_number(struct buf *out, double v);
/* 1234567 as 1,234,567. */
void put_grouped(struct buf *out, uint64_t v);

/* "2026-11-22 14:05:30 UTC" */
void put_time(struct buf *out, int64_t t);

/* Adds as pprof does: around at 2^63, without undefined behaviour. */
static inline int64_t add_wrapping(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a + (uint64_t)b);
}

static inline int64_t sub_wrapping(int64_t a, int64_t b)
{
	return (int64_t)((uint64_t)a - (uint64_t)b);
}

static inline uint64_t magnitude(int64_t v)
{
	return v < 0 ? -(uint64_t)v : (uint64_t)v;
}

/* ---- values in units ---- */

/* How values of a rendering are shown: one unit for all, or (factor 0) each in the unit that suits it. */
struct shown {
	struct unit unit;   /* of the values */
	struct str name;    /* of that unit as written */
	double factor;      /* values are divided by it */
	const char *suffix;
};

/* For the query's type: @unit where one was given and converts, else automatic. Borrows from the query. */
struct shown shown_of(struct query *q);
/* One unit in which the smallest and the greatest are readable, as pprof chooses it. Fixes an automatic one.
 */
void shown_fix(struct shown *s, uint64_t smallest, uint64_t greatest);
/* "1.20s", "512kB", "42": at most two decimals. */
void put_value(struct buf *out, const struct shown *s, int64_t value);
/* "12.34%", "100%", "0.5%": what share_format() gives, without its printf: for texts that hold thousands of
 * them. */
void put_share(struct buf *out, int64_t value, int64_t total);
/* "12.34%", "  100%": at least five wide before the sign, as columns of pprof. */
void put_percentage(struct buf *out, int64_t value, int64_t total);

/* ---- frames ---- */

/* The name for people at a granularity: "main.work", "main.work main.go:12", "main.go". */
void put_frame(struct buf *out, const struct frame *f, enum granularity g);
/* true for "[libfoo.so+0x1234]" and "0x1234". */
bool frame_is_unknown(const struct frame *f);

/* ---- selections ---- */

/* The function that the selection is about; "" where it is about none. */
struct str function_title(const struct selection *s);
/* "checkout", "all services" */
struct str service_title(const struct selection *s);
/* "2026-11-22 14:00:00 UTC to ...", of the selection or, where that is unbounded, of its profiles. */
void put_range(struct buf *out, struct query *q);

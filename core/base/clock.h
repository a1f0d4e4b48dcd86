/* SPDX-License-Identifier: MIT */
#pragma once

/* Time: nanoseconds since the epoch (UTC), monotonic deadlines, and the proleptic Gregorian calendar. Thread safe. */

#include "err.h"

#define NS_PER_US ((int64_t)1000)
#define NS_PER_MS ((int64_t)1000000)
#define NS_PER_S ((int64_t)1000000000)
#define NS_PER_MIN (60 * NS_PER_S)
#define NS_PER_HOUR (3600 * NS_PER_S)
#define NS_PER_DAY (86400 * NS_PER_S)

#define TIME_MIN INT64_MIN /* an unbounded start */
#define TIME_MAX INT64_MAX /* an unbounded end */

/* Whether t lies before the end of a half-open interval; an unbounded one holds the last moment too. */
static inline bool time_before(int64_t t, int64_t end)
{
	return t < end || end == TIME_MAX;
}

int64_t clock_now(void);       /* CLOCK_REALTIME in ns */
int64_t clock_monotonic(void); /* CLOCK_MONOTONIC in ns */
int64_t clock_boottime(void);  /* CLOCK_BOOTTIME in ns: goes on while the machine sleeps */
int64_t clock_thread_cpu(void);
int64_t clock_process_cpu(void);

/* floor(t / unit), right for negative times. */
static inline int64_t time_floor_div(int64_t t, int64_t unit)
{
	int64_t q = t / unit;
	return q - (t % unit < 0);
}

static inline int64_t time_floor(int64_t t, int64_t unit)
{
	return time_floor_div(t, unit) * unit;
}

/* Days since 1970-01-01, of a time in ns. */
static inline int32_t time_day(int64_t t)
{
	return (int32_t)time_floor_div(t, NS_PER_DAY);
}

struct civil {
	int year, month, day, hour, minute, second; /* month and day from 1 */
	int32_t nanos;
};

struct civil civil_of(int64_t t);
/* false where a field is out of range (no 31 April, no leap second) or the time does not fit in int64 ns. */
bool civil_to(const struct civil *c, int64_t *ret);
int32_t civil_day(int year, int month, int day); /* days since 1970-01-01; fields must be in range */

#define DAY_LEN 11  /* "2026-11-22" and NUL */
#define TIME_LEN 48 /* enough for every format below, with NUL */

const char *day_format(int32_t day, char ret[DAY_LEN]);
bool day_parse(const char *s, size_t n, int32_t *ret); /* exactly YYYY-MM-DD */

/* "2026-11-22T140530", with .NNNNNNNNN where not whole seconds (trailing zeros cut). Sorts as time does. */
const char *time_format_compact(int64_t t, char ret[TIME_LEN]);
/* "2026-11-22T14:05:30.25Z" (RFC 3339). */
const char *time_format_rfc3339(int64_t t, char ret[TIME_LEN]);
/* RFC 3339, or seconds, ms, us or ns since the epoch by magnitude. */
bool time_parse(const char *s, int64_t *ret);

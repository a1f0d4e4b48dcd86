/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Times as names: absolute (`2026`, `2026-11-22T1405`), intervals (`A--B`), of a day (`T14`) and relative
 * (`last-15m`). All are UTC and half-open. Pure: no clock, no store.
 */

#include "../base/clock.h"
#include "../profile/label.h"

struct span {
	int64_t from, to;
};

enum time_verdict {
	TIMES_NOT, /* does not look like a time */
	TIMES_OK,
	TIMES_BAD, /* looks like one and is out of range */
};

/* One absolute time: the year, month, day, hour, minute or second that it names. */
enum time_verdict times_absolute(struct str s, struct span *ret);
/* `A--B`: from A's start to B's start. TIMES_BAD also where B is before A or no time. */
enum time_verdict times_interval(struct str s, struct span *ret);
/* `T14`, `T1405`, `T140530`: ns since the day's start. */
enum time_verdict times_of_day(struct str s, struct span *ret);
/* `last-N[smhdw]`: how long. */
enum time_verdict times_last(struct str s, int64_t *ret_length);

/*
 * The span of `last-LENGTH` at a moment, both ends on 15 s and around it. false where that is out of range.
 */
bool times_last_span(int64_t now, int64_t length, struct span *ret);
/* The UTC day of both ends: true where the span is not empty and lies within one. */
bool times_one_day(const struct span *s, int32_t *ret_day);
struct span times_day_span(int32_t day);
/* What both have: from <= to, also where they have nothing. */
struct span times_common(struct span a, struct span b);

#define SPAN_NAME_LEN (2 * TIME_LEN + 2)
/* "2026-11-22T140000--2026-11-22T141500". */
const char *times_span_name(const struct span *s, char ret[SPAN_NAME_LEN]);

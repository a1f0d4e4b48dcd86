/* SPDX-License-Identifier: MIT */
#include "times.h"

#include <string.h>

#define RELATIVE_GRAIN (15 * NS_PER_S)
#define LAST_DIGITS 9

enum time_field { FIELD_YEAR, FIELD_MONTH, FIELD_DAY, FIELD_HOUR, FIELD_MINUTE, FIELD_SECOND,
	FIELD_FRACTION };

static bool take_digits(struct str *s, size_t width, int *ret)
{
	int v = 0;
	if (s->len < width)
		return false;
	for (size_t i = 0; i < width; i++) {
		if (s->s[i] < '0' || s->s[i] > '9')
			return false;
		v = v * 10 + (s->s[i] - '0');
	}
	*s = (struct str){ s->s + width, s->len - width };
	*ret = v;
	return true;
}

static bool take_char(struct str *s, char c)
{
	if (!s->len || *s->s != c)
		return false;
	*s = (struct str){ s->s + 1, s->len - 1 };
	return true;
}

/* ".5" to ".123456789", to the end. */
static bool take_fraction(struct str s, struct civil *c)
{
	int digit, unit = (int)NS_PER_S / 10;
	if (!take_char(&s, '.') || !s.len || s.len > 9)
		return false;
	for (c->nanos = 0; s.len; unit /= 10) {
		if (!take_digits(&s, 1, &digit))
			return false;
		c->nanos += digit * unit;
	}
	return true;
}

/* HH, HHMM, HH:MM, HHMMSS, HH:MM:SS, seconds also with a fraction, to the end; the last field that was given. */
static bool take_clock(struct str s, struct civil *c, enum time_field *ret_last)
{
	if (!take_digits(&s, 2, &c->hour))
		return false;
	*ret_last = FIELD_HOUR;
	if (!s.len)
		return true;
	bool colons = take_char(&s, ':');
	if (!take_digits(&s, 2, &c->minute))
		return false;
	*ret_last = FIELD_MINUTE;
	if (!s.len)
		return true;
	if (colons && !take_char(&s, ':'))
		return false;
	*ret_last = FIELD_SECOND;
	if (!take_digits(&s, 2, &c->second))
		return false;
	if (!s.len)
		return true;
	*ret_last = FIELD_FRACTION;
	return take_fraction(s, c);
}

static bool take_absolute(struct str s, struct civil *c, enum time_field *ret_last)
{
	*c = (struct civil){ .month = 1, .day = 1 };
	*ret_last = FIELD_YEAR;
	if (!take_digits(&s, 4, &c->year))
		return false;
	if (!s.len)
		return true;
	*ret_last = FIELD_MONTH;
	if (!take_char(&s, '-') || !take_digits(&s, 2, &c->month))
		return false;
	if (!s.len)
		return true;
	*ret_last = FIELD_DAY;
	if (!take_char(&s, '-') || !take_digits(&s, 2, &c->day))
		return false;
	return !s.len || (take_char(&s, 'T') && take_clock(s, c, ret_last));
}

static int64_t field_length(enum time_field f)
{
	static const int64_t lengths[] = {
		[FIELD_DAY] = NS_PER_DAY,
		[FIELD_HOUR] = NS_PER_HOUR,
		[FIELD_MINUTE] = NS_PER_MIN,
		[FIELD_SECOND] = NS_PER_S,
		[FIELD_FRACTION] = 1,
	};
	return lengths[f];
}

/* Where the named year, month, ... ends; TIME_MAX where that does not fit. */
static int64_t absolute_end(const struct civil *c, enum time_field last, int64_t from)
{
	int64_t to;
	if (last >= FIELD_DAY)
		return __builtin_add_overflow(from, field_length(last), &to) ? TIME_MAX : to;
	struct civil next = { .year = c->year + 1, .month = 1, .day = 1 };
	if (last == FIELD_MONTH && c->month < 12) {
		next.year = c->year;
		next.month = c->month + 1;
	}
	return civil_to(&next, &to) ? to : TIME_MAX;
}

enum time_verdict times_absolute(struct str s, struct span *ret)
{
	struct civil c;
	enum time_field last;
	int64_t from;
	if (!take_absolute(s, &c, &last))
		return TIMES_NOT;
	if (!civil_to(&c, &from))
		return TIMES_BAD;
	*ret = (struct span){ from, absolute_end(&c, last, from) };
	return TIMES_OK;
}

enum time_verdict times_interval(struct str s, struct span *ret)
{
	const char *dashes = s.len ? memmem(s.s, s.len, "--", 2) : NULL;
	if (!dashes)
		return TIMES_NOT;
	size_t at = (size_t)(dashes - s.s);
	struct span a, b;
	enum time_verdict first = times_absolute((struct str){ s.s, at }, &a);
	if (first != TIMES_OK)
		return first;
	if (times_absolute((struct str){ dashes + 2, s.len - at - 2 }, &b) != TIMES_OK || b.from < a.from)
		return TIMES_BAD;
	*ret = (struct span){ a.from, b.from };
	return TIMES_OK;
}

enum time_verdict times_of_day(struct str s, struct span *ret)
{
	struct civil c = { .year = 1970, .month = 1, .day = 1 };
	enum time_field last;
	int64_t from;
	if (!take_char(&s, 'T') || !take_clock(s, &c, &last))
		return TIMES_NOT;
	if (!civil_to(&c, &from))
		return TIMES_BAD;
	*ret = (struct span){ from, from + field_length(last) };
	return TIMES_OK;
}

static int64_t unit_length(char c)
{
	switch (c) {
	case 's':
		return NS_PER_S;
	case 'm':
		return NS_PER_MIN;
	case 'h':
		return NS_PER_HOUR;
	case 'd':
		return NS_PER_DAY;
	case 'w':
		return 7 * NS_PER_DAY;
	default:
		return 0;
	}
}

enum time_verdict times_last(struct str s, int64_t *ret_length)
{
	static const char prefix[] = "last-";
	const size_t skip = sizeof prefix - 1;
	if (s.len < skip + 2 || memcmp(s.s, prefix, skip) != 0)
		return TIMES_NOT;
	int64_t unit = unit_length(s.s[s.len - 1]), n = 0;
	for (size_t i = skip; i + 1 < s.len; i++) {
		if (s.s[i] < '0' || s.s[i] > '9')
			return TIMES_NOT;
		n = i - skip < LAST_DIGITS ? n * 10 + (s.s[i] - '0') : INT64_MAX;
	}
	if (!unit)
		return TIMES_NOT;
	return n > 0 && !__builtin_mul_overflow(n, unit, ret_length) ? TIMES_OK : TIMES_BAD;
}

bool times_last_span(int64_t now, int64_t length, struct span *ret)
{
	int64_t from, to;
	if (__builtin_sub_overflow(now, length, &from) || from < INT64_MIN + NS_PER_DAY ||
	    __builtin_add_overflow(time_floor(now, RELATIVE_GRAIN), RELATIVE_GRAIN, &to))
		return false;
	*ret = (struct span){ time_floor(from, RELATIVE_GRAIN), to };
	return true;
}

bool times_one_day(const struct span *s, int32_t *ret_day)
{
	if (s->from >= s->to || s->from == TIME_MIN || time_day(s->from) != time_day(s->to - 1))
		return false;
	*ret_day = time_day(s->from);
	return true;
}

struct span times_day_span(int32_t day)
{
	int64_t from, to;
	if (__builtin_mul_overflow((int64_t)day, NS_PER_DAY, &from))
		from = day < 0 ? TIME_MIN : TIME_MAX;
	if (__builtin_add_overflow(from, NS_PER_DAY, &to))
		to = TIME_MAX;
	return (struct span){ from, to };
}

struct span times_common(struct span a, struct span b)
{
	struct span c = { MAX(a.from, b.from), MIN(a.to, b.to) };
	c.to = MAX(c.from, c.to);
	return c;
}

const char *times_span_name(const struct span *s, char ret[SPAN_NAME_LEN])
{
	char a[TIME_LEN], b[TIME_LEN];
	time_format_compact(s->from, a);
	time_format_compact(s->to, b);
	snprintf(ret, SPAN_NAME_LEN, "%s--%s", a, b);
	return ret;
}

/* SPDX-License-Identifier: MIT */
#include "clock.h"

#include <string.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
	struct timespec ts = { 0 };
	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

int64_t clock_now(void)
{
	return read_clock(CLOCK_REALTIME);
}

int64_t clock_monotonic(void)
{
	return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_boottime(void)
{
	return read_clock(CLOCK_BOOTTIME);
}

int64_t clock_thread_cpu(void)
{
	return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

int64_t clock_process_cpu(void)
{
	return read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

/*
 * The calendar is counted in years that begin in March, so that the leap day is the last of its year, and in eras of
 * 400 years = 146097 days. 719468 is the number of days from 0000-03-01 to 1970-01-01.
 */
#define ERA_DAYS 146097
#define EPOCH_DAYS 719468

int32_t civil_day(int year, int month, int day)
{
	int y = year - (month <= 2);
	int era = (y >= 0 ? y : y - 399) / 400;
	int of_era = y - era * 400;
	int of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
	return era * ERA_DAYS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH_DAYS;
}

static void civil_of_day(int32_t day, struct civil *ret)
{
	int64_t z = (int64_t)day + EPOCH_DAYS;
	int64_t era = time_floor_div(z, ERA_DAYS);
	int doe = (int)(z - era * ERA_DAYS);
	int yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	int doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	int mp = (5 * doy + 2) / 153;
	ret->day = doy - (153 * mp + 2) / 5 + 1;
	ret->month = mp < 10 ? mp + 3 : mp - 9;
	ret->year = (int)(yoe + era * 400) + (ret->month <= 2);
}

struct civil civil_of(int64_t t)
{
	struct civil c;
	int32_t day = time_day(t);
	civil_of_day(day, &c);
	/* Not t - day * NS_PER_DAY: the day's start may lie before INT64_MIN. */
	int64_t rest = t % NS_PER_DAY;
	if (rest < 0)
		rest += NS_PER_DAY;
	c.hour = (int)(rest / NS_PER_HOUR);
	c.minute = (int)(rest / NS_PER_MIN % 60);
	c.second = (int)(rest / NS_PER_S % 60);
	c.nanos = (int32_t)(rest % NS_PER_S);
	return c;
}

static int month_days(int year, int month)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
	return days[month - 1] + (month == 2 && leap);
}

static bool civil_valid(const struct civil *c)
{
	return c->year >= 1 && c->year <= 9999 && c->month >= 1 && c->month <= 12 && c->day >= 1 &&
	       c->day <= month_days(c->year, c->month) && c->hour >= 0 && c->hour < 24 && c->minute >= 0 &&
	       c->minute < 60 && c->second >= 0 && c->second < 60 && c->nanos >= 0 && c->nanos < NS_PER_S;
}

bool civil_to(const struct civil *c, int64_t *ret)
{
	if (!civil_valid(c))
		return false;
	int32_t day = civil_day(c->year, c->month, c->day);
	__int128 t = (__int128)day * NS_PER_DAY + c->hour * NS_PER_HOUR + c->minute * NS_PER_MIN +
	             c->second * NS_PER_S + c->nanos;
	if (t < INT64_MIN || t > INT64_MAX)
		return false;
	*ret = (int64_t)t;
	return true;
}

const char *day_format(int32_t day, char ret[DAY_LEN])
{
	struct civil c;
	civil_of_day(day, &c);
	int year = MIN(MAX(c.year, 0), 9999);
	snprintf(ret, DAY_LEN, "%04u-%02u-%02u", (unsigned)year % 10000, (unsigned)c.month % 100,
	         (unsigned)c.day % 100);
	return ret;
}

/* Exactly `width` digits; moves *s past them. */
static bool parse_digits(const char **s, const char *end, int width, int *ret)
{
	int v = 0;
	if (end - *s < width)
		return false;
	for (int i = 0; i < width; i++) {
		char c = (*s)[i];
		if (c < '0' || c > '9')
			return false;
		v = v * 10 + (c - '0');
	}
	*s += width;
	*ret = v;
	return true;
}

static bool parse_char(const char **s, const char *end, const char *any_of)
{
	if (*s == end || !**s || !strchr(any_of, **s))
		return false;
	(*s)++;
	return true;
}

static bool parse_date(const char **s, const char *end, struct civil *c)
{
	return parse_digits(s, end, 4, &c->year) && parse_char(s, end, "-") && parse_digits(s, end, 2, &c->month) &&
	       parse_char(s, end, "-") && parse_digits(s, end, 2, &c->day);
}

static bool parse_hms(const char **s, const char *end, struct civil *c)
{
	return parse_digits(s, end, 2, &c->hour) && parse_char(s, end, ":") && parse_digits(s, end, 2, &c->minute) &&
	       parse_char(s, end, ":") && parse_digits(s, end, 2, &c->second);
}

bool day_parse(const char *s, size_t n, int32_t *ret)
{
	struct civil c = { 0 };
	const char *end = s + n;
	if (n != DAY_LEN - 1 || !parse_date(&s, end, &c) || s != end || !civil_valid(&c))
		return false;
	*ret = civil_day(c.year, c.month, c.day);
	return true;
}

/* ".25" of 250,000,000 ns; "" of 0. */
static void format_fraction(int32_t nanos, char ret[12])
{
	ret[0] = '\0';
	if (!nanos)
		return;
	snprintf(ret, 12, ".%09u", (unsigned)nanos % 1000000000u);
	for (size_t n = strlen(ret); ret[n - 1] == '0'; n--)
		ret[n - 1] = '\0';
}

const char *time_format_compact(int64_t t, char ret[TIME_LEN])
{
	struct civil c = civil_of(t);
	char fraction[12];
	format_fraction(c.nanos, fraction);
	snprintf(ret, TIME_LEN, "%04d-%02d-%02dT%02d%02d%02d%s", c.year, c.month, c.day, c.hour, c.minute, c.second,
	         fraction);
	return ret;
}

const char *time_format_rfc3339(int64_t t, char ret[TIME_LEN])
{
	struct civil c = civil_of(t);
	char fraction[12];
	format_fraction(c.nanos, fraction);
	snprintf(ret, TIME_LEN, "%04d-%02d-%02dT%02d:%02d:%02d%sZ", c.year, c.month, c.day, c.hour, c.minute, c.second,
	         fraction);
	return ret;
}

/* Digits behind a point, as billionths; those behind the ninth are dropped. At least one digit. */
static bool parse_fraction(const char **s, const char *end, int32_t *ret)
{
	int32_t v = 0, unit = 100000000;
	const char *start = *s;
	for (; *s < end && **s >= '0' && **s <= '9'; (*s)++) {
		v += (**s - '0') * unit;
		unit /= 10;
	}
	*ret = v;
	return *s > start;
}

/* "Z" or "+hh:mm": the offset in minutes. */
static bool parse_zone(const char **s, const char *end, int *ret)
{
	int hour, minute;
	if (parse_char(s, end, "Zz")) {
		*ret = 0;
		return true;
	}
	bool negative = *s < end && **s == '-';
	if (!parse_char(s, end, "+-") || !parse_digits(s, end, 2, &hour) || !parse_char(s, end, ":") ||
	    !parse_digits(s, end, 2, &minute) || hour > 23 || minute > 59)
		return false;
	*ret = (hour * 60 + minute) * (negative ? -1 : 1);
	return true;
}

static bool parse_rfc3339(const char *s, const char *end, int64_t *ret)
{
	struct civil c = { 0 };
	int zone;
	int64_t t;
	if (!parse_date(&s, end, &c) || !parse_char(&s, end, "Tt ") || !parse_hms(&s, end, &c))
		return false;
	if (parse_char(&s, end, ".,") && !parse_fraction(&s, end, &c.nanos))
		return false;
	if (!parse_zone(&s, end, &zone) || s != end || !civil_to(&c, &t))
		return false;
	return !__builtin_sub_overflow(t, zone * NS_PER_MIN, ret);
}

/* 10^11 s is the year 5138, 10^11 ms is 1973: below it a number is taken for the coarser unit. */
static int64_t epoch_unit(uint64_t v)
{
	if (v < 100000000000u)
		return NS_PER_S;
	if (v < 100000000000000u)
		return NS_PER_MS;
	return v < 100000000000000000u ? NS_PER_US : 1;
}

/* Seconds may have a fraction, as `date +%s.%N` prints them. */
static bool parse_epoch(const char *s, const char *end, int64_t *ret)
{
	bool negative = parse_char(&s, end, "-");
	uint64_t v = 0;
	int32_t nanos = 0;
	const char *start = s;
	for (; s < end && *s >= '0' && *s <= '9'; s++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v))
			return false;
	if (s == start)
		return false;
	int64_t unit = epoch_unit(v);
	if (parse_char(&s, end, ".") && (unit != NS_PER_S || !parse_fraction(&s, end, &nanos)))
		return false;
	__int128 t = (__int128)v * unit + nanos;
	t = negative ? -t : t;
	if (s != end || t < INT64_MIN || t > INT64_MAX)
		return false;
	*ret = (int64_t)t;
	return true;
}

bool time_parse(const char *s, int64_t *ret)
{
	const char *end = s + strlen(s);
	int64_t t;
	if (!parse_rfc3339(s, end, &t) && !parse_epoch(s, end, &t))
		return false;
	*ret = t;
	return true;
}

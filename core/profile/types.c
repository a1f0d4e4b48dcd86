/* SPDX-License-Identifier: MIT */
#include "types.h"

#include <math.h>
#include <string.h>

static bool begins(struct str s, const char *prefix)
{
	size_t n = strlen(prefix);
	return s.len >= n && !memcmp(s.s, prefix, n);
}

static bool is_any(struct str s, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(s, str_of(names[i])))
			return true;
	return false;
}

enum type_class type_class_of(struct str type)
{
	static const char *const instant[] = { "goroutine", "goroutines", "threadcreate" };
	static const char *const running[] = { "contentions", "delay" };
	if (begins(type, "inuse_") || is_any(type, instant, ARRAY_SIZE(instant)))
		return TYPE_INSTANT;
	if (begins(type, "alloc_") || is_any(type, running, ARRAY_SIZE(running)))
		return TYPE_RUNNING;
	return TYPE_EVENT;
}

static const char *const dim_names[] = {
	[UNIT_TIME] = "nanoseconds", [UNIT_BYTES] = "bytes", [UNIT_COUNT] = "count",
};

/* Units in lower case and singular. As in pprof, a kB has 1024 bytes. */
static const struct {
	const char *name;
	enum unit_dim dim;
	int64_t scale;
} units[] = {
	{ "ns", UNIT_TIME, 1 }, { "nsec", UNIT_TIME, 1 }, { "nanosecond", UNIT_TIME, 1 },
	{ "us", UNIT_TIME, 1000 }, { "usec", UNIT_TIME, 1000 }, { "microsecond", UNIT_TIME, 1000 },
	{ "\u03bcs", UNIT_TIME, 1000 }, { "\u00b5s", UNIT_TIME, 1000 },
	{ "ms", UNIT_TIME, 1000000 }, { "msec", UNIT_TIME, 1000000 }, { "millisecond", UNIT_TIME, 1000000 },
	{ "s", UNIT_TIME, 1000000000 }, { "sec", UNIT_TIME, 1000000000 }, { "second", UNIT_TIME, 1000000000 },
	{ "min", UNIT_TIME, 60000000000 }, { "minute", UNIT_TIME, 60000000000 },
	{ "h", UNIT_TIME, 3600000000000 }, { "hr", UNIT_TIME, 3600000000000 }, { "hour", UNIT_TIME, 3600000000000 },
	{ "b", UNIT_BYTES, 1 }, { "byte", UNIT_BYTES, 1 },
	{ "kb", UNIT_BYTES, 1 << 10 }, { "kib", UNIT_BYTES, 1 << 10 }, { "kbyte", UNIT_BYTES, 1 << 10 },
	{ "kilobyte", UNIT_BYTES, 1 << 10 }, { "kibibyte", UNIT_BYTES, 1 << 10 },
	{ "mb", UNIT_BYTES, 1 << 20 }, { "mib", UNIT_BYTES, 1 << 20 }, { "mbyte", UNIT_BYTES, 1 << 20 },
	{ "megabyte", UNIT_BYTES, 1 << 20 }, { "mebibyte", UNIT_BYTES, 1 << 20 },
	{ "gb", UNIT_BYTES, 1 << 30 }, { "gib", UNIT_BYTES, 1 << 30 }, { "gbyte", UNIT_BYTES, 1 << 30 },
	{ "gigabyte", UNIT_BYTES, 1 << 30 }, { "gibibyte", UNIT_BYTES, 1 << 30 },
	{ "tb", UNIT_BYTES, 1ll << 40 }, { "tib", UNIT_BYTES, 1ll << 40 }, { "tbyte", UNIT_BYTES, 1ll << 40 },
	{ "terabyte", UNIT_BYTES, 1ll << 40 }, { "tebibyte", UNIT_BYTES, 1ll << 40 },
	{ "pb", UNIT_BYTES, 1ll << 50 }, { "pib", UNIT_BYTES, 1ll << 50 }, { "pbyte", UNIT_BYTES, 1ll << 50 },
	{ "petabyte", UNIT_BYTES, 1ll << 50 }, { "pebibyte", UNIT_BYTES, 1ll << 50 },
	{ "count", UNIT_COUNT, 1 }, { "sample", UNIT_COUNT, 1 }, { "object", UNIT_COUNT, 1 },
};

/* Lower case; a plural s goes where more than two characters stand before it goes (pprof's rule, which keeps "μs"). */
static struct str normalise(struct str s, char *space, size_t size)
{
	if (s.len > size)
		return (struct str){ "", 0 };
	size_t runes = 0;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.s[i];
		space[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
		runes += (c & 0xc0) != 0x80;
	}
	return (struct str){ space, s.len - (runes > 2 && space[s.len - 1] == 's') };
}

struct unit unit_of(struct str unit)
{
	char space[16];
	struct str name = normalise(unit, space, sizeof space);
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (str_eq(name, str_of(units[i].name)))
			return (struct unit){ units[i].dim, units[i].scale, dim_names[units[i].dim] };
	return (struct unit){ UNIT_OTHER, 1, NULL };
}

/* The dimension that goes without saying; UNIT_OTHER for types that nobody expects anything of. */
static enum unit_dim usual_dim(struct str type)
{
	static const struct {
		const char *name;
		enum unit_dim dim;
	} usual[] = {
		{ "cpu", UNIT_TIME }, { "wall", UNIT_TIME }, { "off_cpu", UNIT_TIME }, { "delay", UNIT_TIME },
		{ "samples", UNIT_COUNT }, { "sample", UNIT_COUNT }, { "contentions", UNIT_COUNT },
		{ "goroutine", UNIT_COUNT }, { "goroutines", UNIT_COUNT }, { "threadcreate", UNIT_COUNT },
		{ "alloc_objects", UNIT_COUNT }, { "inuse_objects", UNIT_COUNT },
		{ "alloc_space", UNIT_BYTES }, { "inuse_space", UNIT_BYTES },
	};
	for (size_t i = 0; i < ARRAY_SIZE(usual); i++)
		if (str_eq(type, str_of(usual[i].name)))
			return usual[i].dim;
	return UNIT_OTHER;
}

void type_name(struct buf *out, struct str type, struct str unit, struct str kind)
{
	if (kind.len && (str_eq(type, STR("delay")) || str_eq(type, STR("contentions")))) {
		buf_put(out, kind.s, kind.len);
		buf_putc(out, '.');
	}
	if (!type.len)
		type = STR("untyped");
	buf_put(out, type.s, type.len);
	struct unit u = unit_of(unit);
	enum unit_dim usual = usual_dim(type);
	if (usual == UNIT_OTHER || usual == u.dim || !unit.len)
		return;
	buf_putc(out, '.');
	if (u.canonical)
		buf_puts(out, u.canonical);
	else
		buf_put(out, unit.s, unit.len);
}

struct step {
	double factor;
	const char *name;
};

static void format_scaled(struct buf *out, double v, double magnitude, const struct step *steps, size_t n)
{
	size_t best = 0;
	for (size_t i = 0; i < n; i++)
		if (magnitude / steps[i].factor >= 1.0)
			best = i;
	char text[400]; /* DBL_MAX has 309 digits */
	int len = snprintf(text, sizeof text, "%.2f", v / steps[best].factor);
	if (len > 3 && !strcmp(text + len - 3, ".00"))
		text[len - 3] = '\0';
	buf_puts(out, text);
	if (strcmp(text, "0") != 0)
		buf_puts(out, steps[best].name);
}

void value_format(struct buf *out, int64_t value, struct str unit)
{
	static const struct step times[] = {
		{ 1, "ns" }, { 1e3, "us" }, { 1e6, "ms" }, { 1e9, "s" }, { 3600e9, "hrs" },
	};
	static const struct step sizes[] = {
		{ 1, "B" }, { 0x1p10, "kB" }, { 0x1p20, "MB" }, { 0x1p30, "GB" }, { 0x1p40, "TB" }, { 0x1p50, "PB" },
	};
	struct unit u = unit_of(unit);
	double v = (double)value * (double)u.scale;
	if (u.dim == UNIT_TIME)
		format_scaled(out, v, fabs(v), times, ARRAY_SIZE(times));
	else if (u.dim == UNIT_BYTES)
		format_scaled(out, v, fabs(v), sizes, ARRAY_SIZE(sizes));
	else
		buf_i64(out, value);
}

void share_format(struct buf *out, int64_t value, int64_t total)
{
	double share = total ? fabs((double)value / (double)total) * 100 : 0;
	if (share >= 99.95 && share <= 100.05)
		buf_puts(out, "100%");
	else
		buf_printf(out, share >= 1.0 ? "%.2f%%" : "%.2g%%", share);
}

/* SPDX-License-Identifier: MIT */
#include "text.h"

#include <math.h>
#include <string.h>

static const int64_t powers[] = { 1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000 };

static void put_digits(struct buf *out, uint64_t v, unsigned decimals)
{
	buf_i64(out, (int64_t)(v / (uint64_t)powers[decimals]));
	uint64_t fraction = v % (uint64_t)powers[decimals];
	if (!fraction)
		return;
	char digits[10];
	for (unsigned i = decimals; i > 0; i--, fraction /= 10)
		digits[i - 1] = (char)('0' + fraction % 10);
	while (digits[decimals - 1] == '0')
		decimals--;
	buf_putc(out, '.');
	buf_put(out, digits, decimals);
}

void put_decimal(struct buf *out, double v, unsigned decimals)
{
	double scaled = fabs(v) * (double)powers[decimals];
	if (!(scaled < 9e18)) {
		buf_printf(out, "%.0f", isfinite(v) ? v : 0);
		return;
	}
	uint64_t rounded = (uint64_t)(scaled + 0.5);
	if (v < 0 && rounded)
		buf_putc(out, '-');
	put_digits(out, rounded, decimals);
}

void put_number(struct buf *out, double v)
{
	double size = fabs(v);
	if (size == 0 || !isfinite(v))
		buf_putc(out, '0');
	else if (size < 0.001 || size >= 1e15)
		buf_printf(out, "%.12g", v);
	else
		put_decimal(out, v, size < 1e6 ? 9 : 3);
}

void put_grouped(struct buf *out, uint64_t v)
{
	char digits[28];
	size_t at = sizeof digits;
	for (unsigned n = 0; v || !n; n++, v /= 10) {
		if (n && n % 3 == 0)
			digits[--at] = ',';
		digits[--at] = (char)('0' + v % 10);
	}
	buf_put(out, digits + at, sizeof digits - at);
}

void put_time(struct buf *out, int64_t t)
{
	char text[TIME_LEN];
	time_format_rfc3339(time_floor(t, NS_PER_S), text);
	char *mark = strchr(text, 'T');
	if (mark)
		*mark = ' ';
	size_t n = strlen(text);
	buf_put(out, text, n && text[n - 1] == 'Z' ? n - 1 : n);
	buf_puts(out, " UTC");
}

/* ---- as printf rounds ---- */

/* false where v * 10^decimals is so near to the middle of two integers that its rounding error could decide.
 */
static bool rounds_clearly(double v, unsigned decimals)
{
	double scaled = v * (double)powers[decimals], fraction = scaled - floor(scaled);
	return scaled < 1e11 && fabs(fraction - 0.5) > 1e-4;
}

/* What "%.2f" prints of a v >= 0, but for a trailing ".00". */
static void put_two_decimals(struct buf *out, double v)
{
	if (!rounds_clearly(v, 2)) {
		char text[400];
		int n = snprintf(text, sizeof text, "%.2f", v);
		buf_put(out, text, (size_t)n - (strcmp(text + n - 3, ".00") ? 0 : 3));
		return;
	}
	uint64_t hundredths = (uint64_t)(v * 100 + 0.5);
	buf_i64(out, (int64_t)(hundredths / 100));
	if (hundredths % 100) {
		buf_putc(out, '.');
		buf_putc(out, (char)('0' + hundredths / 10 % 10));
		buf_putc(out, (char)('0' + hundredths % 10));
	}
}

/* What "%.2g" prints of 0 <= v < 1. */
static void put_two_digits(struct buf *out, double v)
{
	unsigned decimals = v >= 0.1 ? 2 : v >= 0.01 ? 3 : v >= 0.001 ? 4 : 5;
	if (v != 0 && (v < 0.0001 || !rounds_clearly(v, decimals)))
		buf_printf(out, "%.2g", v);
	else
		put_decimal(out, v, decimals);
}

void put_share(struct buf *out, int64_t value, int64_t total)
{
	double share = total ? fabs((double)value / (double)total) * 100 : 0;
	if (share >= 99.95 && share <= 100.05) {
		buf_puts(out, "100");
	} else if (share >= 1) {
		size_t at = out->len;
		put_two_decimals(out, share);
		if (!out->data || !memchr(out->data + at, '.', out->len - at))
			buf_puts(out, ".00");
	} else {
		put_two_digits(out, share);
	}
	buf_putc(out, '%');
}

/* ---- values in units ---- */

struct step_of_unit {
	const char *name;
	double factor;
};

static const struct step_of_unit time_units[] = {
	{ "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 }, { "hrs", 3600e9 }, { 0 },
};

static const struct step_of_unit byte_units[] = {
	{ "B", 1 },
	{ "kB", 1024.0 },
	{ "MB", 1024.0 * 1024 },
	{ "GB", 1024.0 * 1024 * 1024 },
	{ "TB", 1024.0 * 1024 * 1024 * 1024 },
	{ "PB", 1024.0 * 1024 * 1024 * 1024 * 1024 },
	{ 0 },
};

static const struct step_of_unit *units_of(enum unit_dim dim)
{
	return dim == UNIT_TIME ? time_units : dim == UNIT_BYTES ? byte_units : NULL;
}

/* The greatest unit of which the value has at least one. */
static const struct step_of_unit *unit_for(const struct step_of_unit *units, double value)
{
	const struct step_of_unit *best = units;
	for (const struct step_of_unit *u = units; u->name; u++)
		if (value >= u->factor)
			best = u;
	return best;
}

/* Units that pprof leaves away when it shows a value. */
static const char *suffix_of(const char *unit)
{
	static const char *const silent[] = { "count", "sample", "unit", "minimum", "auto" };
	for (size_t i = 0; i < ARRAY_SIZE(silent); i++)
		if (!strcmp(unit, silent[i]))
			return "";
	return unit;
}

static void fix_wanted(struct shown *s, const char *wanted)
{
	struct unit u = unit_of(str_of(wanted));
	if (u.dim != s->unit.dim || u.dim == UNIT_OTHER || u.scale <= 0)
		return;
	s->factor = (double)u.scale;
	s->suffix = suffix_of(wanted);
	for (const struct step_of_unit *known = units_of(u.dim); known && known->name; known++)
		if (known->factor == s->factor)
			s->suffix = known->name;
}

struct shown shown_of(struct query *q)
{
	const struct query_info *info = query_info(q);
	struct shown s = { .name = str_of(info->unit) };
	s.unit = unit_of(s.name);
	if (!units_of(s.unit.dim)) {
		s.factor = 1;
		s.suffix = suffix_of(info->unit);
	}
	const char *wanted = query_selection(q)->options.unit;
	if (wanted)
		fix_wanted(&s, wanted);
	return s;
}

void shown_fix(struct shown *s, uint64_t smallest, uint64_t greatest)
{
	if (s->factor != 0)
		return;
	const struct step_of_unit *units = units_of(s->unit.dim);
	if (!smallest)
		smallest = greatest;
	const struct step_of_unit *low = unit_for(units, (double)smallest),
				  *high = unit_for(units, (double)greatest);
	const struct step_of_unit *best = low;
	if (low != high && (double)smallest * 100 < (double)greatest)
		best = unit_for(units, (double)smallest * 100);
	s->factor = best->factor;
	s->suffix = best->name;
}

void put_value(struct buf *out, const struct shown *s, int64_t value)
{
	double factor = s->factor;
	const char *suffix = s->suffix;
	if (factor == 0) {
		const struct step_of_unit *u = unit_for(units_of(s->unit.dim), (double)magnitude(value));
		factor = u->factor;
		suffix = u->name;
	}
	size_t at = out->len;
	if (factor == 1) {
		buf_i64(out, value);
	} else {
		if (value < 0)
			buf_putc(out, '-');
		put_two_decimals(out, fabs((double)value / factor));
	}
	struct str text = { (const char *)out->data + at, out->len - at };
	if (str_eq(text, STR("0")) || str_eq(text, STR("-0"))) {
		out->len = at;
		buf_putc(out, '0');
		return;
	}
	buf_puts(out, suffix);
}

void put_percentage(struct buf *out, int64_t value, int64_t total)
{
	double share = total ? fabs((double)value / (double)total) * 100 : 0;
	if (share >= 99.95 && share <= 100.05)
		buf_puts(out, "  100%");
	else if (share >= 1)
		buf_printf(out, "%5.2f%%", share);
	else
		buf_printf(out, "%5.2g%%", share);
}

/* ---- frames ---- */

static bool all_hex(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!memchr("0123456789abcdefABCDEF", s[i], 22))
			return false;
	return n > 0;
}

bool frame_is_unknown(const struct frame *f)
{
	struct str s = f->name;
	if (s.len > 2 && s.s[0] == '0' && s.s[1] == 'x')
		return all_hex(s.s + 2, s.len - 2);
	if (s.len < 6 || s.s[0] != '[' || s.s[s.len - 1] != ']')
		return false;
	const char *plus = memrchr(s.s, '+', s.len);
	size_t left = plus ? (size_t)(s.s + s.len - plus) : 0;
	return left > 4 && plus[1] == '0' && plus[2] == 'x' && all_hex(plus + 3, left - 4);
}

static void put_place(struct buf *out, const struct frame *f)
{
	if (!f->file.len && !f->line)
		return;
	buf_putc(out, ' ');
	buf_put(out, f->file.s, f->file.len);
	if (f->line) {
		buf_putc(out, ':');
		buf_i64(out, f->line);
	}
}

void put_frame(struct buf *out, const struct frame *f, enum granularity g)
{
	if (g == BY_FILE && f->file.len) {
		buf_put(out, f->file.s, f->file.len);
		return;
	}
	if (g == BY_ADDRESS && f->address && !frame_is_unknown(f))
		buf_printf(out, "%016llx ", (unsigned long long)f->address);
	buf_put(out, f->name.s, f->name.len);
	if (g == BY_LINE || g == BY_ADDRESS)
		put_place(out, f);
}

/* ---- selections ---- */

struct str function_title(const struct selection *s)
{
	const char *name = selection_function(s);
	return str_of(name ? name : "");
}

struct str service_title(const struct selection *s)
{
	return s->service ? str_of(s->service) : STR("all services");
}

void put_range(struct buf *out, struct query *q)
{
	const struct selection *s = query_selection(q);
	const struct query_info *info = query_info(q);
	bool open = s->from == TIME_MIN || s->to == TIME_MAX;
	if (open && !info->profiles) {
		buf_puts(out, "all times");
		return;
	}
	put_time(out, s->from == TIME_MIN ? info->first : s->from);
	buf_puts(out, " to ");
	put_time(out, s->to == TIME_MAX ? info->last : s->to);
}

/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>

#include "flamegraph.h"

/*
 * A hue by the package, one of three shades by the function: hashes of the names alone, so that a package has
 * the same colour in every picture. Black on the light ones and white on the dark ones have a contrast of at
 * least 4.5 to 1.
 */

#define HUES 20
#define SHADES (FLAME_COLOURS / HUES)

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

/* Where arguments, receivers or template parameters begin; a leading `<T as ..>` stays. */
static size_t without_arguments(struct str s)
{
	for (size_t i = 1; i < s.len; i++)
		if (s.s[i] == '<' || s.s[i] == ' ' || s.s[i] == '[' || s.s[i] == '(')
			return i;
	return s.len;
}

/* "java.util.HashMap.put": a component that begins with a capital is a class, before it is the package. */
static size_t dotted_package(struct str s, size_t from)
{
	const char *dot = memchr(s.s + from, '.', s.len - from);
	if (!dot)
		return 0;
	for (size_t i = from; i + 1 < s.len; i++)
		if (s.s[i] == '.' && is_upper(s.s[i + 1]))
			return i;
	return (size_t)(dot - s.s);
}

struct str flame_package(struct str name)
{
	struct str s = { name.s, without_arguments(name) };
	const char *colons = memmem(s.s, s.len, "::", 2);
	if (colons && colons > s.s)
		return (struct str){ s.s, (size_t)(colons - s.s) };
	const char *slash = memrchr(s.s, '/', s.len);
	size_t from = slash ? (size_t)(slash + 1 - s.s) : 0;
	size_t n = dotted_package(s, from);
	if (n)
		return (struct str){ s.s, n };
	return from ? (struct str){ s.s, from } : s;
}

struct str flame_short(struct str name)
{
	const char *slash = memrchr(name.s, '/', without_arguments(name));
	if (!slash || slash == name.s + name.len - 1)
		return name;
	return (struct str){ slash + 1, (size_t)(name.s + name.len - slash - 1) };
}

/* FNV-1a: the same for ever, on every machine. */
static uint32_t hash_of(struct str s)
{
	uint32_t h = 2166136261u;
	for (size_t i = 0; i < s.len; i++)
		h = (h ^ (uint8_t)s.s[i]) * 16777619u;
	return h ^ h >> 15;
}

unsigned flame_colour(const struct frame *f)
{
	if (frame_is_unknown(f))
		return FLAME_COLOURS;
	return hash_of(f->name) % SHADES * HUES + hash_of(flame_package(f->name)) % HUES;
}

/* One channel of HSL (hue in degrees, the others 0 to 1) as 0 to 255: n is 0, 8 or 4 for red, green, blue. */
static unsigned channel(double hue, double saturation, double light, unsigned n)
{
	double k = fmod(n + hue / 30, 12);
	double a = saturation * fmin(light, 1 - light);
	return (unsigned)(255 * (light - a * fmax(-1, fmin(fmin(k - 3, 9 - k), 1))) + 0.5);
}

static const double light[SHADES] = { 0.72, 0.78, 0.84 }, dark[SHADES] = { 0.21, 0.245, 0.28 };

/* Then code of no known name, and the root. */
static const char *const greys[2][2] = { { "#cfcfcf", "#e3e3e3" }, { "#4a4a4a", "#3a3d44" } };

/* From blue over grey to red, which the colour-blind tell apart: shrank, equal, grew. */
static const char *const changes[2][FLAME_CHANGES] = {
	{ "#5fa2d0", "#86b9de", "#b0d2ea", "#d7e7f3", "#e4e4e2", "#fbe0d4", "#f9bfa6", "#f29877", "#e8704f" },
	{ "#2168a0", "#24587f", "#294a63", "#2d3c49", "#3b3e43", "#4a3631", "#683a2c", "#873c26", "#a63d1e" },
};

static void put_colour(struct buf *out, unsigned i, bool is_dark)
{
	double hue = (double)(i % HUES) * 360 / HUES, saturation = is_dark ? 0.44 : 0.6;
	double lightness = (is_dark ? dark : light)[i / HUES % SHADES];
	if (i >= FLAME_COLOURS)
		buf_puts(out, greys[is_dark][i - FLAME_COLOURS]);
	else
		buf_printf(out, "#%02x%02x%02x", channel(hue, saturation, lightness, 0),
		           channel(hue, saturation, lightness, 8), channel(hue, saturation, lightness, 4));
}

static unsigned count_of(bool compares)
{
	return compares ? FLAME_CHANGES : FLAME_COLOURS + 2;
}

static void put_nth(struct buf *out, bool compares, bool is_dark, unsigned i)
{
	if (compares)
		buf_puts(out, changes[is_dark][i]);
	else
		put_colour(out, i, is_dark);
}

static void put_classes(struct buf *out, bool compares, bool is_dark)
{
	for (unsigned i = 0; i < count_of(compares); i++) {
		buf_printf(out, ".%c%u{fill:", compares ? 'd' : 'c', i);
		put_nth(out, compares, is_dark, i);
		buf_putc(out, '}');
	}
}

void flame_palette(struct buf *out, bool compares)
{
	put_classes(out, compares, false);
	buf_puts(out, "\n@media (prefers-color-scheme:dark){");
	put_classes(out, compares, true);
	buf_puts(out, "}\n");
}

void flame_colours(struct buf *out, bool compares, bool is_dark)
{
	for (unsigned i = 0; i < count_of(compares); i++) {
		if (i)
			buf_putc(out, ',');
		put_nth(out, compares, is_dark, i);
	}
}

/* ---- changes ---- */

unsigned flame_change(uint64_t before, uint64_t after)
{
	static const double steps[] = { 0.02, 0.1, 0.25, 0.5 };
	double sum = (double)before + (double)after;
	double change = sum > 0 ? ((double)after - (double)before) / sum : 0;
	unsigned step = 0;
	while (step < ARRAY_SIZE(steps) && fabs(change) >= steps[step])
		step++;
	return change < 0 ? FLAME_CHANGES / 2 - step : FLAME_CHANGES / 2 + step;
}

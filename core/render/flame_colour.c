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

static void put_class(struct buf *out, unsigned i, double saturation, double light)
{
	double hue = (double)(i % HUES) * 360 / HUES;
	buf_printf(out, ".c%u{fill:#%02x%02x%02x}", i, channel(hue, saturation, light, 0),
	           channel(hue, saturation, light, 8), channel(hue, saturation, light, 4));
}

void flame_palette(struct buf *out)
{
	static const double light[SHADES] = { 0.72, 0.78, 0.84 }, dark[SHADES] = { 0.21, 0.245, 0.28 };
	for (unsigned i = 0; i < FLAME_COLOURS; i++)
		put_class(out, i, 0.66, light[i / HUES]);
	buf_puts(out, ".c60{fill:#cfcfcf}.c61{fill:#e3e3e3}\n@media (prefers-color-scheme:dark){");
	for (unsigned i = 0; i < FLAME_COLOURS; i++)
		put_class(out, i, 0.48, dark[i / HUES]);
	buf_puts(out, ".c60{fill:#4a4a4a}.c61{fill:#3a3d44}}\n");
}

/* SPDX-License-Identifier: MIT */
#pragma once

/* What the tests of the formats share: a text is recognised, decoded, verified, and looked at by name. */

#include <string.h>

#include "core/format/format.h"
#include "core/profile/label.h"

static struct profile profile;
static struct error err;

static int setup(void **state)
{
	return profile_init(&profile, 64 << 20);
}

static int teardown(void **state)
{
	profile_done(&profile);
	return 0;
}

/* Decodes as this format; the head alone must not be taken for something else. */
static int decode(const struct format *format, const char *text, size_t n)
{
	const struct format_options opts = { .max_bytes = 16 << 20 };
	const struct slice in = { (const uint8_t *)text, n };
	profile_reset(&profile);
	err = (struct error){ 0 };
	int e = format->decode(in, &opts, &profile, &err);
	return e ? e : profile_verify(&profile, &err);
}

static int decode_text(const struct format *format, const char *text)
{
	assert_int_not_equal(format->sniff((struct slice){ (const uint8_t *)text, strlen(text) }, true), FORMAT_NO);
	return decode(format, text, strlen(text));
}

static _unused_ void assert_taken(const struct format *format, const char *text)
{
	int e = decode_text(format, text);
	if (e)
		fail_msg("refused: %s", err.text);
}

static _unused_ void assert_refused(const struct format *format, const char *text, int expected, const char *says)
{
	assert_int_equal(decode_text(format, text), expected);
	if (!strstr(err.text, says))
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
}

/* "leaf;...;root" of a sample, as `name`, or `0xaddress` where there is none. */
static _unused_ void assert_stack(size_t sample, const char *expected)
{
	_buf_ struct buf b = BUF_INIT(1 << 16);
	for (size_t i = profile.loc_at.v[sample]; i < profile.loc_at.v[sample + 1]; i++) {
		const struct profile_location *l = &profile.locations.v[profile.locs.v[i]];
		for (uint32_t k = 0; k < l->n_lines; k++) {
			struct str s = profile_str(&profile, profile.functions.v[profile.lines.v[l->line_at + k].function].name);
			buf_printf(&b, "%s%.*s", b.len ? ";" : "", (int)s.len, s.s);
		}
		if (!l->n_lines)
			buf_printf(&b, "%s0x%llx", b.len ? ";" : "", (unsigned long long)l->address);
	}
	buf_u8(&b, 0);
	assert_string_equal((const char *)b.data, expected);
}

static _unused_ int64_t value(size_t sample, size_t type)
{
	return profile.values.v[sample * profile.types.n + type];
}

static _unused_ void assert_type(size_t type, const char *name, const char *unit)
{
	assert_true(str_eq(profile_str(&profile, profile.types.v[type].type), str_of(name)));
	assert_true(str_eq(profile_str(&profile, profile.types.v[type].unit), str_of(unit)));
}

static _unused_ const struct profile_label *label(size_t sample, const char *key)
{
	for (uint32_t i = profile.label_at.n ? profile.label_at.v[sample] : 0;
	     profile.label_at.n && i < profile.label_at.v[sample + 1]; i++)
		if (str_eq(profile_str(&profile, profile.labels.v[i].key), str_of(key)))
			return &profile.labels.v[i];
	return NULL;
}

static _unused_ void assert_label(size_t sample, const char *key, const char *expected)
{
	const struct profile_label *l = label(sample, key);
	assert_non_null(l);
	assert_true(str_eq(profile_str(&profile, l->str), str_of(expected)));
}

static _unused_ void assert_number(size_t sample, const char *key, int64_t expected)
{
	const struct profile_label *l = label(sample, key);
	assert_non_null(l);
	assert_true(l->is_num);
	assert_int_equal(l->num, expected);
}

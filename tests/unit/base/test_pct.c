/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <string.h>

#include "core/base/pct.h"

static struct str str_of(const char *s)
{
	return (struct str){ s, strlen(s) };
}

static void assert_decoded(struct str encoded, struct str raw)
{
	_buf_ struct buf b = BUF_INIT(8192);
	pct_decode(&b, encoded);
	assert_int_equal(buf_err(&b), 0);
	assert_int_equal(b.len, raw.len);
	if (raw.len)
		assert_memory_equal(b.data, raw.s, raw.len);
}

static void assert_encoded(const char *raw, bool reserve, const char *expected)
{
	_buf_ struct buf b = BUF_INIT(1000);
	assert_false(pct_encode(&b, str_of(raw), reserve));
	buf_u8(&b, 0);
	assert_string_equal((char *)b.data, expected);
	assert_decoded(str_of(expected), str_of(raw));
}

static void test_plain_names_stay(void **state)
{
	static const char *const names[] = {
		"checkout", "v1.2.3-rc_4", "a+b,c~d", "2026-11-22T14", "x..y", "_", "A-", "",
	};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_encoded(names[i], false, names[i]);
}

static void test_shell_characters_are_encoded(void **state)
{
	assert_encoded("a b", false, "a%20b");
	assert_encoded("k=v", false, "k%3Dv");
	assert_encoded("a:b@c", false, "a%3Ab%40c");
	assert_encoded("a/b", false, "a%2Fb");
	assert_encoded("100%", false, "100%25");
	assert_encoded("%41", false, "%2541");
	assert_encoded("$(rm *)", false, "%24%28rm%20%2A%29");
	assert_encoded("a\nb\x7f", false, "a%0Ab%7F");
	for (const char *p = "!\"#$%&'()*/:;<=>?@[\\]^`{|}"; *p; p++) {
		char raw[2] = { *p, 0 }, expected[16];
		snprintf(expected, sizeof expected, "%%%02X", (unsigned)*p);
		assert_encoded(raw, false, expected);
		assert_false(pct_safe((uint8_t)*p));
	}
}

static void test_first_bytes(void **state)
{
	assert_encoded(".hidden", false, "%2Ehidden");
	assert_encoded("..", false, "%2E.");
	assert_encoded("-rf", false, "%2Drf");
	assert_encoded("~root", false, "%7Eroot");
	assert_encoded("latest", true, "%6Catest");
	assert_encoded("2026", true, "%32026");
	assert_encoded("\xc3\xa9t\xc3\xa9", true, "%C3%A9t\xc3\xa9");
	assert_encoded("", true, "");
}

static void test_letters_of_any_script_stay(void **state)
{
	static const char *const names[] = {
		"caf\u00e9", "\u041f\u043e\u0438\u0441\u043a", "\u691c\u7d22", "\u30b5\u30fc\u30d3\u30b9",
		"\u0645\u062f\u0641\u0648\u0639", "\u05d7\u05d9\u05e4\u05d5\u05e9", "\ud55c\uad6d\uc5b4",
		"\u0939\u093f\u0928\u094d\u0926\u0940", "\u0395\u03bb\u03bb\u03ac\u03c2",
		"\u0e44\u0e17\u0e22", "\u0110\u1ed3ng", "stra\u00dfe", "\U00020000",
	};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		assert_encoded(names[i], false, names[i]);
}

static void test_what_is_no_letter_is_encoded(void **state)
{
	assert_encoded("a\u00a0b", false, "a%C2%A0b");             /* no-break space */
	assert_encoded("\u00d7\u00f7", false, "%C3%97%C3%B7");     /* multiplication, division */
	assert_encoded("a\u202eb", false, "a%E2%80%AEb");          /* right-to-left override */
	assert_encoded("a\u200bb", false, "a%E2%80%8Bb");          /* zero-width space */
	assert_encoded("\u2028", false, "%E2%80%A8");              /* line separator */
	assert_encoded("\ufeffa", false, "%EF%BB%BFa");            /* byte order mark */
	assert_encoded("\u2044", false, "%E2%81%84");              /* a slash to the eye */
	assert_encoded("\uff0f", false, "%EF%BC%8F");              /* another */
	assert_encoded("\u3000", false, "%E3%80%80");              /* ideographic space */
	assert_encoded("\u3164", false, "%E3%85%A4");              /* Hangul filler: a letter that is invisible */
	assert_encoded("\ue000", false, "%EE%80%80");              /* private use */
	assert_encoded("\uffff", false, "%EF%BF%BF");              /* no character */
	assert_encoded("\U0001f600", false, "%F0%9F%98%80");       /* a face */
	assert_encoded("\U000e0041", false, "%F3%A0%81%81");       /* a tag */
	assert_encoded("a\ufe0f", false, "a%EF%B8%8F");            /* variation selector */
}

static void test_invalid_utf8_is_encoded(void **state)
{
	assert_encoded("\xff", false, "%FF");
	assert_encoded("\xc3", false, "%C3");
	assert_encoded("a\xa9" "b", false, "a%A9b");
	assert_encoded("\xc3(", false, "%C3%28");
	assert_encoded("\xc1\xa1", false, "%C1%A1");             /* overlong */
	assert_encoded("\xe0\x83\xa9", false, "%E0%83%A9");      /* overlong */
	assert_encoded("\xed\xa0\x80", false, "%ED%A0%80");      /* surrogate */
	assert_encoded("\xf4\x90\x80\x80", false, "%F4%90%80%80"); /* beyond Unicode */
	assert_encoded("\xe6\xa4", false, "%E6%A4");             /* cut short */
	assert_encoded("\xe6\xa4\xe6\xa4\x9c", false, "%E6%A4\xe6\xa4\x9c");
}

static void test_every_byte_round_trips(void **state)
{
	for (int c = 0; c < 256; c++)
		for (int reserve = 0; reserve < 2; reserve++) {
			char raw[3] = { (char)c, (char)c, 'x' };
			_buf_ struct buf b = BUF_INIT(100), key = BUF_INIT(100);
			assert_false(pct_encode(&b, (struct str){ raw, 3 }, reserve));
			assert_decoded((struct str){ (char *)b.data, b.len }, (struct str){ raw, 3 });
			pct_encode_key(&key, (struct str){ raw, 3 });
			assert_decoded((struct str){ (char *)key.data, key.len }, (struct str){ raw, 3 });
		}
}

/* The rule for listed names, as written down: safe ASCII and well-formed UTF-8 only. */
static void assert_listable(const struct buf *b)
{
	assert_in_range(b->len, 1, NAME_LIMIT);
	assert_null(memchr(".-~", b->data[0], 3));
	for (size_t i = 0; i < b->len; i++) {
		uint8_t c = b->data[i];
		assert_true(c >= 0x80 || isalnum(c) || (c && strchr("._+,%~-", c)));
	}
}

static void test_random_names_are_listable_and_come_back(void **state)
{
	uint32_t seed = 1;
	for (int round = 0; round < 20000; round++) {
		char raw[40];
		size_t n = 1 + (size_t)round % sizeof raw;
		for (size_t i = 0; i < n; i++) {
			seed = seed * 1664525 + 1013904223;
			raw[i] = (char)(seed >> 24);
		}
		_buf_ struct buf b = BUF_INIT(1000);
		assert_false(pct_encode(&b, (struct str){ raw, n }, round & 1));
		assert_listable(&b);
		assert_decoded((struct str){ (char *)b.data, b.len }, (struct str){ raw, n });
	}
}

static void test_long_names_are_cut(void **state)
{
	char raw[1001], other[1001];
	memset(raw, 'x', 1000);
	raw[1000] = '\0';
	memcpy(other, raw, sizeof other);
	other[900] = 'y';
	_buf_ struct buf a = BUF_INIT(1000), b = BUF_INIT(1000), c = BUF_INIT(1000);
	assert_true(pct_encode(&a, str_of(raw), false));
	assert_true(pct_encode(&b, str_of(other), false));
	assert_true(pct_encode(&c, str_of(raw), false));
	assert_listable(&a);
	assert_int_equal(a.len, NAME_LIMIT);
	assert_memory_equal(a.data + NAME_LIMIT - 18, "%~", 2);
	assert_int_equal(strspn((char *)memcpy(raw, a.data + NAME_LIMIT - 16, 16), "0123456789abcdef"), 16);
	assert_memory_equal(a.data, c.data, NAME_LIMIT);
	assert_memory_equal(a.data, b.data, NAME_LIMIT - 18);
	assert_memory_not_equal(a.data, b.data, NAME_LIMIT);
}

static void test_limit_is_exact(void **state)
{
	char raw[202];
	memset(raw, 'x', 201);
	raw[201] = '\0';
	_buf_ struct buf a = BUF_INIT(1000), b = BUF_INIT(1000);
	buf_puts(&a, "what was there stays:");
	assert_false(pct_encode(&a, (struct str){ raw, 200 }, false));
	assert_int_equal(a.len, 21 + 200);
	assert_true(pct_encode(&b, (struct str){ raw, 201 }, false));
	assert_int_equal(b.len, 200);
}

static void test_cut_is_between_characters(void **state)
{
	for (size_t pad = 0; pad < 12; pad++) {
		char raw[400] = "";
		memset(raw, 'x', 170 + pad);
		for (int i = 0; i < 20; i++)
			strcat(raw, i % 2 ? "\u691c" : "\u2028");
		_buf_ struct buf b = BUF_INIT(1000);
		assert_true(pct_encode(&b, str_of(raw), false));
		assert_listable(&b);
		char name[256];
		snprintf(name, sizeof name, "%.*s", (int)(b.len - 18), (char *)b.data);
		_buf_ struct buf back = BUF_INIT(1000);
		pct_decode(&back, str_of(name));
		assert_memory_equal(back.data, raw, back.len);
		assert_int_equal((back.len - 170 - pad) % 3, 0);
	}
}

static void test_percent_without_digits_stands_for_itself(void **state)
{
	assert_decoded(str_of("100%"), str_of("100%"));
	assert_decoded(str_of("%4"), str_of("%4"));
	assert_decoded(str_of("%zz%4g%g4"), str_of("%zz%4g%g4"));
	assert_decoded(str_of("%%41"), str_of("%A"));
	assert_decoded(str_of("%c3%A9"), str_of("\u00e9"));
	assert_decoded(str_of("%00"), (struct str){ "\0", 1 });
	assert_decoded(str_of(""), str_of(""));
}

static void test_keys(void **state)
{
	_buf_ struct buf b = BUF_INIT(1000);
	pct_encode_key(&b, str_of("..a.b-c_d~e/f\u00e9%g"));
	buf_u8(&b, 0);
	assert_string_equal((char *)b.data, "%2E.a.b-c_d%7Ee%2Ff%C3%A9%25g");
}

static void test_buffer_that_is_too_small(void **state)
{
	_buf_ struct buf b = BUF_INIT(10);
	pct_encode(&b, str_of("a name of more than ten bytes"), false);
	assert_int_equal(buf_err(&b), ERR_LIMIT_BUFFER);
	assert_true(b.len <= 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_names_stay),
		cmocka_unit_test(test_shell_characters_are_encoded),
		cmocka_unit_test(test_first_bytes),
		cmocka_unit_test(test_letters_of_any_script_stay),
		cmocka_unit_test(test_what_is_no_letter_is_encoded),
		cmocka_unit_test(test_invalid_utf8_is_encoded),
		cmocka_unit_test(test_every_byte_round_trips),
		cmocka_unit_test(test_random_names_are_listable_and_come_back),
		cmocka_unit_test(test_long_names_are_cut),
		cmocka_unit_test(test_limit_is_exact),
		cmocka_unit_test(test_cut_is_between_characters),
		cmocka_unit_test(test_percent_without_digits_stands_for_itself),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_buffer_that_is_too_small),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <string.h>
#include <yajl/yajl_parse.h>

/*
 * The index. A word is where a value begins in the input; its first byte tells what it is. Words with ESCAPED set are
 * strings whose text differs from the input: numbers of `texts`. An array or object has a second word: the index behind
 * its last value, so that a walk steps over it. A key is a string before its value.
 */

#define ESCAPED (UINT32_C(1) << 31)
#define MAX_INPUT ((size_t)ESCAPED - 1)
#define MAX_DEPTH ((size_t)1 << 20)

struct reader {
	struct json *j;
	yajl_handle yajl;
	int e; /* what stopped it, other than yajl */
};

static size_t index_bytes(const struct json *j)
{
	return j->index.cap * sizeof *j->index.v + j->texts.cap * sizeof *j->texts.v + j->open.cap * sizeof *j->open.v;
}

static int stop(struct reader *r, int e)
{
	r->e = e;
	return 0;
}

static int add_word(struct reader *r, uint32_t word)
{
	struct json *j = r->j;
	if (j->index.n == j->index.cap && index_bytes(j) * 3 / 2 > j->max_bytes)
		return stop(r, ERR_FORMAT_LIMIT);
	uint32_t *w = VEC_PUSH(&j->index);
	if (!w)
		return stop(r, -ENOMEM);
	*w = word;
	return 1;
}

/* A value that ends where the reader stands. */
static int add_ended(struct reader *r, size_t len)
{
	return add_word(r, (uint32_t)(yajl_get_bytes_consumed(r->yajl) - len));
}

static int on_null(void *ctx)
{
	return add_ended(ctx, 4);
}

static int on_boolean(void *ctx, int value)
{
	return add_ended(ctx, value ? 4 : 5);
}

static bool in_input(const struct json *j, const void *at)
{
	uintptr_t p = (uintptr_t)at, from = (uintptr_t)j->in.data;
	return p >= from && p < from + j->in.len;
}

/* Keeps a text that does not stand in the input as it is. */
static int add_text(struct reader *r, const void *s, size_t len)
{
	struct json *j = r->j;
	char *copy = arena_strndup(j->arena, s, len);
	if (!copy)
		return stop(r, j->arena->used + len > j->arena->max ? ERR_FORMAT_LIMIT : -ENOMEM);
	struct str *text = VEC_PUSH(&j->texts);
	if (!text)
		return stop(r, -ENOMEM);
	*text = (struct str){ copy, len };
	return add_word(r, ESCAPED | (uint32_t)(j->texts.n - 1));
}

/* A number that ends the input is known only at its end, and then yajl has copied it. */
static int on_number(void *ctx, const char *s, size_t len)
{
	struct reader *r = ctx;
	return in_input(r->j, s) ? add_word(r, (uint32_t)((const uint8_t *)s - r->j->in.data)) : add_text(r, s, len);
}

static int on_string(void *ctx, const unsigned char *s, size_t len)
{
	struct reader *r = ctx;
	return in_input(r->j, s) ? add_word(r, (uint32_t)(s - r->j->in.data - 1)) : add_text(r, s, len);
}

static int on_open(void *ctx)
{
	struct reader *r = ctx;
	uint32_t *open = r->j->open.n < MAX_DEPTH ? VEC_PUSH(&r->j->open) : NULL;
	if (!open)
		return stop(r, r->j->open.n < MAX_DEPTH ? -ENOMEM : ERR_FORMAT_LIMIT);
	*open = (uint32_t)r->j->index.n;
	return add_ended(r, 1) && add_word(r, 0);
}

static int on_close(void *ctx)
{
	struct json *j = ((struct reader *)ctx)->j;
	j->index.v[j->open.v[--j->open.n] + 1] = (uint32_t)j->index.n;
	return 1;
}

static const yajl_callbacks callbacks = {
	.yajl_null = on_null,
	.yajl_boolean = on_boolean,
	.yajl_number = on_number,
	.yajl_string = on_string,
	.yajl_map_key = on_string,
	.yajl_start_map = on_open,
	.yajl_end_map = on_close,
	.yajl_start_array = on_open,
	.yajl_end_array = on_close,
};

/* yajl's sentence, "parse error: invalid token\n", without its beginning and end. */
static int malformed(struct reader *r, struct error *err)
{
	unsigned char *text = yajl_get_error(r->yajl, 0, NULL, 0);
	const char *s = text ? (const char *)text : "no memory";
	const char *colon = strstr(s, ": ");
	s = colon ? colon + 2 : s;
	int e = error_set(err, ERR_FORMAT_MALFORMED, "JSON, byte %zu: %.*s", yajl_get_bytes_consumed(r->yajl),
	                  (int)strcspn(s, "\n"), s);
	yajl_free_error(r->yajl, text);
	return e;
}

static int stopped(const struct reader *r, struct error *err)
{
	if (r->e == ERR_FORMAT_LIMIT)
		return error_set(err, r->e, "JSON, byte %zu: more values or levels than the limit",
		                 yajl_get_bytes_consumed(r->yajl));
	return error_set(err, r->e, "no memory for the JSON document");
}

static int run(struct reader *r, const struct json_limits *limits, struct error *err)
{
	struct json *j = r->j;
	yajl_status status = yajl_parse(r->yajl, j->in.data, j->in.len);
	if (r->e)
		return stopped(r, err);
	if (status != yajl_status_ok)
		return malformed(r, err);
	j->cut = yajl_complete_parse(r->yajl) != yajl_status_ok;
	if (r->e)
		return stopped(r, err);
	if (j->cut && !limits->may_be_cut)
		return error_set(err, ERR_FORMAT_TRUNCATED, "JSON that is cut short after %zu bytes", j->in.len);
	while (j->open.n)
		on_close(r);
	return 0;
}

int json_read(struct json *j, struct slice in, struct arena *arena, const struct json_limits *limits,
              struct error *err)
{
	*j = (struct json){ .in = in, .arena = arena, .max_bytes = limits->max_bytes };
	struct reader r = { .j = j };
	if (in.len > MAX_INPUT)
		return error_set(err, ERR_FORMAT_LIMIT, "%zu bytes of JSON are over the limit of %zu", in.len,
		                 MAX_INPUT);
	r.yajl = yajl_alloc(&callbacks, NULL, &r);
	if (!r.yajl || !add_word(&r, 0)) {
		if (r.yajl)
			yajl_free(r.yajl);
		return error_set(err, -ENOMEM, "no memory for the JSON document");
	}
	yajl_config(r.yajl, yajl_dont_validate_strings, 1);
	int e = run(&r, limits, err);
	j->failed_at = e ? yajl_get_bytes_consumed(r.yajl) : 0;
	yajl_free(r.yajl);
	return e;
}

void json_done(struct json *j)
{
	VEC_DONE(&j->index);
	VEC_DONE(&j->texts);
	VEC_DONE(&j->open);
}

enum json_kind json_kind(const struct json *j, uint32_t value)
{
	if (!value || value >= j->index.n)
		return JSON_NONE;
	if (j->index.v[value] & ESCAPED)
		return JSON_STRING;
	switch (j->in.data[j->index.v[value]]) {
	case '{':
		return JSON_OBJECT;
	case '[':
		return JSON_ARRAY;
	case '"':
		return JSON_STRING;
	case 'n':
		return JSON_NULL;
	case 't':
		return JSON_TRUE;
	case 'f':
		return JSON_FALSE;
	default:
		return JSON_NUMBER;
	}
}

static bool holds_values(enum json_kind kind)
{
	return kind == JSON_ARRAY || kind == JSON_OBJECT;
}

/* The index behind a value and all within it. */
static uint32_t behind(const struct json *j, uint32_t value)
{
	return holds_values(json_kind(j, value)) ? j->index.v[value + 1] : value + 1;
}

uint32_t json_first_key(const struct json *j, uint32_t object)
{
	bool some = json_kind(j, object) == JSON_OBJECT && object + 3 < j->index.v[object + 1];
	return some ? object + 2 : 0;
}

/* In a document that is cut, the last key may have no value. */
uint32_t json_next_key(const struct json *j, uint32_t object, uint32_t key)
{
	uint32_t next = behind(j, key + 1);
	return next + 1 < j->index.v[object + 1] ? next : 0;
}

uint32_t json_get(const struct json *j, uint32_t object, const char *key)
{
	for (uint32_t k = json_first_key(j, object); k; k = json_next_key(j, object, k))
		if (json_is(j, k, key))
			return k + 1;
	return 0;
}

uint32_t json_first(const struct json *j, uint32_t array)
{
	bool some = json_kind(j, array) == JSON_ARRAY && array + 2 < j->index.v[array + 1];
	return some ? array + 2 : 0;
}

uint32_t json_next(const struct json *j, uint32_t array, uint32_t value)
{
	uint32_t next = behind(j, value);
	return next < j->index.v[array + 1] ? next : 0;
}

size_t json_count(const struct json *j, uint32_t array)
{
	size_t n = 0;
	for (uint32_t v = json_first(j, array); v; v = json_next(j, array, v))
		n++;
	return n;
}

bool json_begins(const struct json *j, uint32_t value, size_t *ret)
{
	if (!value || value >= j->index.n || j->index.v[value] & ESCAPED)
		return false;
	*ret = j->index.v[value];
	return true;
}

void json_place(struct slice in, size_t at, size_t *ret_line, size_t *ret_column)
{
	size_t line = 1, start = 0;
	for (size_t i = 0; i < MIN(at, in.len); i++) {
		if (in.data[i] == '\n') {
			line++;
			start = i + 1;
		}
	}
	*ret_line = line;
	*ret_column = MIN(at, in.len) - start + 1;
}

struct str json_str(const struct json *j, uint32_t value)
{
	if (json_kind(j, value) != JSON_STRING)
		return (struct str){ "", 0 };
	uint32_t word = j->index.v[value];
	if (word & ESCAPED)
		return j->texts.v[word & ~ESCAPED];
	const char *s = (const char *)j->in.data + word + 1;
	const char *end = memchr(s, '"', j->in.len - word - 1);
	return (struct str){ s, end ? (size_t)(end - s) : 0 };
}

bool json_is(const struct json *j, uint32_t value, const char *text)
{
	struct str s = json_str(j, value);
	return json_kind(j, value) == JSON_STRING && s.len == strlen(text) && !memcmp(s.s, text, s.len);
}

struct str json_number(const struct json *j, uint32_t value)
{
	if (json_kind(j, value) == JSON_STRING)
		return json_str(j, value);
	if (json_kind(j, value) != JSON_NUMBER)
		return (struct str){ "", 0 };
	const char *s = (const char *)j->in.data + j->index.v[value];
	size_t left = j->in.len - j->index.v[value], n = 0;
	while (n < left && memchr("+-.0123456789eE", s[n], 15))
		n++;
	return (struct str){ s, n };
}

bool json_scaled(const struct json *j, uint32_t value, int places, int64_t *ret)
{
	return decimal_scaled(json_number(j, value), places, ret);
}

int64_t json_int(const struct json *j, uint32_t value, int64_t otherwise)
{
	int64_t v;
	return json_scaled(j, value, 0, &v) ? v : otherwise;
}

bool json_is_whole(const struct json *j, uint32_t value)
{
	struct str s = json_number(j, value);
	for (size_t i = 0; i < s.len; i++)
		if (memchr(".eE", s.s[i], 3))
			return false;
	return s.len != 0;
}

/* ---- decimal numbers ---- */

struct decimal {
	uint64_t digits; /* the first 19 that count */
	int exponent;    /* of ten */
	bool negative;
	bool half;       /* whether what was cut off rounds up */
};

static void add_digit(struct decimal *d, unsigned digit, bool fraction, bool *full)
{
	uint64_t next;
	if (!*full && !__builtin_mul_overflow(d->digits, 10, &next) && !__builtin_add_overflow(next, digit, &next)) {
		d->digits = next;
		d->exponent -= fraction;
		return;
	}
	if (!*full)
		d->half = digit >= 5;
	*full = true;
	d->exponent += !fraction;
}

static bool parse_exponent(struct str s, int *ret)
{
	bool negative = s.len && *s.s == '-';
	size_t i = s.len && (*s.s == '-' || *s.s == '+');
	int v = 0;
	if (i == s.len)
		return false;
	for (; i < s.len; i++) {
		if (s.s[i] < '0' || s.s[i] > '9')
			return false;
		v = MIN(v * 10 + (s.s[i] - '0'), 100000);
	}
	*ret += negative ? -v : v;
	return true;
}

static bool parse_decimal(struct str s, struct decimal *d)
{
	bool fraction = false, full = false, any = false;
	size_t i = s.len && (*s.s == '-' || *s.s == '+');
	d->negative = i && *s.s == '-';
	for (; i < s.len; i++) {
		char c = s.s[i];
		if (c == '.' && !fraction)
			fraction = true;
		else if (c >= '0' && c <= '9')
			add_digit(d, (unsigned)(c - '0'), fraction, &full), any = true;
		else
			break;
	}
	if (i < s.len && any && (s.s[i] | 0x20) == 'e')
		return parse_exponent((struct str){ s.s + i + 1, s.len - i - 1 }, &d->exponent);
	return any && i == s.len;
}

/* digits * 10^exponent, rounded half away from zero. */
static bool scale(const struct decimal *d, uint64_t *ret)
{
	uint64_t v = d->digits, rest = 0;
	int exponent = d->exponent;
	if (!exponent)
		return !__builtin_add_overflow(v, d->half, ret);
	for (; exponent > 0 && v; exponent--)
		if (__builtin_mul_overflow(v, 10, &v))
			return false;
	for (; exponent < 0 && (v || rest); exponent++) {
		rest = v % 10;
		v /= 10;
	}
	*ret = v + (rest >= 5);
	return true;
}

bool decimal_scaled(struct str s, int places, int64_t *ret)
{
	struct decimal d = { .exponent = places };
	uint64_t v;
	if (!parse_decimal(s, &d) || !scale(&d, &v) || v > (uint64_t)INT64_MAX + d.negative)
		return false;
	*ret = (int64_t)(d.negative ? -v : v);
	return true;
}

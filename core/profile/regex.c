/* SPDX-License-Identifier: MIT */
#include "label.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/*
 * Two programs for one pattern: one that reads characters, for subjects that are UTF-8, and one that reads bytes, for
 * those that are not. So `.` matches a byte that is no character, and `é` matches é in either. A pattern that only one
 * of the two can express (\p{L}, or bytes that are not UTF-8) has that one.
 */
struct regex {
	pcre2_code *chars, *bytes;
	pcre2_match_context *limits;
};

#define PATTERN_MAX ((size_t)64 << 10)
#define MATCH_LIMIT 1000000
#define HEAP_LIMIT_KIB (8 << 10)

static pcre2_code *compile(struct str pattern, uint32_t options, int *ret_code, size_t *ret_at)
{
	PCRE2_SPTR s = (PCRE2_SPTR)(pattern.s ? pattern.s : "");
	pcre2_code *code = pcre2_compile(s, pattern.len, options, ret_code, ret_at, NULL);
	if (code)
		pcre2_jit_compile(code, PCRE2_JIT_COMPLETE); /* where it fails, the interpreter runs */
	return code;
}

static int bad_pattern(struct str pattern, int code, size_t at, struct error *err)
{
	PCRE2_UCHAR reason[160];
	if (pcre2_get_error_message(code, reason, sizeof reason) < 0)
		reason[0] = '\0';
	return error_set(err, ERR_PATH, "bad regular expression \"%.*s\": %s at offset %zu",
	                 (int)MIN(pattern.len, (size_t)200), pattern.s ? pattern.s : "", (const char *)reason, at);
}

int regex_new(struct str pattern, bool anchored, struct regex **ret, struct error *err)
{
	if (pattern.len > PATTERN_MAX)
		return error_set(err, ERR_PATH, "a regular expression of %zu bytes is too long", pattern.len);
	uint32_t options = PCRE2_NEVER_BACKSLASH_C | PCRE2_DOTALL;
	if (anchored)
		options |= PCRE2_ANCHORED | PCRE2_ENDANCHORED;
	_cleanup_(regex_freep) struct regex *re = calloc(1, sizeof *re);
	if (!re)
		return -ENOMEM;
	int code, byte_code;
	size_t at, byte_at;
	re->chars = compile(pattern, options | PCRE2_UTF, &code, &at);
	re->bytes = compile(pattern, options, &byte_code, &byte_at);
	bool not_utf8 = !re->chars && code <= PCRE2_ERROR_UTF8_ERR1 && code >= PCRE2_ERROR_UTF8_ERR21;
	if (!re->chars && !(not_utf8 && re->bytes))
		return not_utf8 ? bad_pattern(pattern, byte_code, byte_at, err) : bad_pattern(pattern, code, at, err);
	re->limits = pcre2_match_context_create(NULL);
	if (!re->limits)
		return -ENOMEM;
	pcre2_set_match_limit(re->limits, MATCH_LIMIT);
	pcre2_set_depth_limit(re->limits, MATCH_LIMIT);
	pcre2_set_heap_limit(re->limits, HEAP_LIMIT_KIB);
	*ret = TAKE_PTR(re);
	return 0;
}

void regex_free(struct regex *re)
{
	if (!re)
		return;
	pcre2_code_free(re->chars);
	pcre2_code_free(re->bytes);
	pcre2_match_context_free(re->limits);
	free(re);
}

/* PCRE2's result; the interpreter has a go where the machine stack is too small for compiled code. */
static int run(const struct regex *re, const pcre2_code *code, struct str subject, pcre2_match_data *data)
{
	PCRE2_SPTR s = (PCRE2_SPTR)(subject.s ? subject.s : "");
	int r = pcre2_match(code, s, subject.len, 0, 0, data, re->limits);
	if (r == PCRE2_ERROR_JIT_STACKLIMIT)
		r = pcre2_match(code, s, subject.len, 0, PCRE2_NO_JIT, data, re->limits);
	return r;
}

/* The program that fits the subject's encoding. The number of groups that are set, or negative. */
static int match(const struct regex *re, struct str subject, pcre2_match_data *data)
{
	int r = re->chars ? run(re, re->chars, subject, data) : PCRE2_ERROR_UTF8_ERR1;
	if (r <= PCRE2_ERROR_UTF8_ERR1 && r >= PCRE2_ERROR_UTF8_ERR21)
		r = re->bytes ? run(re, re->bytes, subject, data) : PCRE2_ERROR_NOMATCH;
	return r;
}

bool regex_match(const struct regex *re, struct str subject)
{
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	if (!data)
		return false;
	int r = match(re, subject, data);
	pcre2_match_data_free(data);
	return r >= 0;
}

bool regex_capture(const struct regex *re, struct str subject, struct regex_groups *ret)
{
	pcre2_match_data *data = pcre2_match_data_create(REGEX_GROUPS, NULL);
	if (!data)
		return false;
	int r = match(re, subject, data);
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(data);
	*ret = (struct regex_groups){ .n = r > 0 ? (size_t)r : r == 0 ? REGEX_GROUPS : 0 };
	for (size_t i = 0; i < ret->n; i++)
		if (at[2 * i] != PCRE2_UNSET && at[2 * i] <= at[2 * i + 1])
			ret->v[i] = (struct str){ (subject.s ? subject.s : "") + at[2 * i], at[2 * i + 1] - at[2 * i] };
	pcre2_match_data_free(data);
	return r >= 0;
}

int regex_group(const struct regex *re, const char *name)
{
	int r = pcre2_substring_number_from_name(re->chars ? re->chars : re->bytes, (PCRE2_SPTR)name);
	return r > 0 ? r : -1;
}

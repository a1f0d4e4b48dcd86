/* SPDX-License-Identifier: MIT */
#pragma once

/* Labels of whole profiles, matchers on them, and regular expressions (PCRE2). pcre2.h is included by regex.c alone. */

#include "../base/vec.h"
#include "../base/err.h"

/* A key and a value; borrowed from their owner. */
struct label {
	struct str key, value;
};

static inline int str_cmp(struct str a, struct str b)
{
	int r = a.len && b.len ? __builtin_memcmp(a.s, b.s, MIN(a.len, b.len)) : 0;
	return r ? r : CMP(a.len, b.len);
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.len == b.len && (!a.len || !__builtin_memcmp(a.s, b.s, a.len));
}

#define STR(literal) ((struct str){ literal, sizeof(literal) - 1 })
static inline struct str str_of(const char *s)
{
	return (struct str){ s, __builtin_strlen(s) };
}

/* A compiled regular expression; immutable, shared by threads. Matching is bounded in steps and memory. */
struct regex;

/* anchored: must match the whole subject. New. ERR_PATH with PCRE2's reason and offset. */
int regex_new(struct str pattern, bool anchored, struct regex **ret, struct error *err);
void regex_free(struct regex *re);
DEFINE_CLEANUP(struct regex *, regex_free);
/* A subject that exceeds the step limit does not match. Bytes that are not UTF-8 match themselves. */
bool regex_match(const struct regex *re, struct str subject);

#define REGEX_GROUPS 32 /* the whole and 31 groups */

/* The groups of a match: v[0] is the whole; v[i].s is NULL where group i took no part. Borrowed from the subject. */
struct regex_groups {
	struct str v[REGEX_GROUPS];
	size_t n;
};

/* As regex_match(), and tells what the groups matched. */
bool regex_capture(const struct regex *re, struct str subject, struct regex_groups *ret);
/* The number of a named group, or -1. */
int regex_group(const struct regex *re, const char *name);

enum match_op { MATCH_EQ, MATCH_NE, MATCH_RE, MATCH_NRE };

/* One of the four Prometheus matchers. An absent label has the value "". */
struct matcher {
	enum match_op op;
	char *key, *value;
	size_t key_len, value_len;
	struct regex *re; /* MATCH_RE, MATCH_NRE */
};

int matcher_init(struct matcher *m, struct str key, enum match_op op, struct str value, struct error *err);
void matcher_done(struct matcher *m);
bool matcher_matches(const struct matcher *m, struct str value);

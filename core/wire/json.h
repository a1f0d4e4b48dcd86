/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Reads JSON (RFC 8259) by yajl into an index over the input: four bytes for a number, a string or a literal, eight for
 * an array or object. So a large document costs about its own size, values are found in any order, and numbers stay the
 * text they are until they are asked for: no 64-bit integer passes through a double.
 *
 * Numbers of values are positions in the index; 0 is "none", which every function takes: json_get() of none is none,
 * and its string is "". Names need not be UTF-8. Nothing recurses. Thread safe: documents share nothing.
 */

#include "../base/arena.h"
#include "../base/buf.h"
#include "../base/vec.h"

enum json_kind { JSON_NONE, JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
	struct slice in;       /* borrowed */
	struct arena *arena;   /* borrowed: takes strings that are escaped in the input */
	VEC(uint32_t) index;
	VEC(struct str) texts; /* of escaped strings */
	VEC(uint32_t) open;    /* while it is read: the arrays and objects around the place */
	size_t max_bytes;
	bool cut;              /* the input ends before the document does */
	size_t failed_at;      /* where json_read() gave up */
};

struct json_limits {
	size_t max_bytes; /* of the index */
	bool may_be_cut;  /* what ends too early is taken as far as it is whole */
};

/*
 * Reads a document. 0, or ERR_FORMAT_MALFORMED, ERR_FORMAT_TRUNCATED, ERR_FORMAT_LIMIT with the place. json_done() is
 * due in every case.
 */
int json_read(struct json *j, struct slice in, struct arena *arena, const struct json_limits *limits,
              struct error *err);
void json_done(struct json *j);
#define _json_ _cleanup_(json_done)

/* The outermost value. */
static inline uint32_t json_root(const struct json *j)
{
	return j->index.n > 1 ? 1 : 0;
}

enum json_kind json_kind(const struct json *j, uint32_t value);

/* The value of an object's member, or none. Of several of one name, the first. */
uint32_t json_get(const struct json *j, uint32_t object, const char *key);

/* Where a value begins in the input; false for a string that is escaped there, whose place is not kept. */
bool json_begins(const struct json *j, uint32_t value, size_t *ret);
/* The line and column, from 1, of a place in a text: for people. */
void json_place(struct slice in, size_t at, size_t *ret_line, size_t *ret_column);

/* Walks an array: for (uint32_t v = json_first(j, a); v; v = json_next(j, a, v)). */
uint32_t json_first(const struct json *j, uint32_t array);
uint32_t json_next(const struct json *j, uint32_t array, uint32_t value);
size_t json_count(const struct json *j, uint32_t array);

/* Walks the keys of an object in the same way; a key's value is the number after it. */
uint32_t json_first_key(const struct json *j, uint32_t object);
uint32_t json_next_key(const struct json *j, uint32_t object, uint32_t key);

/* A string, "" for what is none; borrowed from the input or the arena. */
struct str json_str(const struct json *j, uint32_t value);
bool json_is(const struct json *j, uint32_t value, const char *text);
/* The text of a number, "" for what is none. */
struct str json_number(const struct json *j, uint32_t value);

/*
 * A number times 10^places as an integer, rounded half away from zero; exact in all 64 bits. False where it is no
 * number or does not fit. Numbers in quotes count as numbers, as writers of 64-bit integers need.
 */
bool json_scaled(const struct json *j, uint32_t value, int places, int64_t *ret);
/* The same of a text, for formats that are no JSON: `-12.5e3`. */
bool decimal_scaled(struct str s, int places, int64_t *ret);
/* json_scaled() with no places, or `otherwise`. */
int64_t json_int(const struct json *j, uint32_t value, int64_t otherwise);
/* Whether a number has no fraction and no exponent. */
bool json_is_whole(const struct json *j, uint32_t value);

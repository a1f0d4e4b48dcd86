/* SPDX-License-Identifier: MIT */
#pragma once

/* ULIDs (github.com/ulid/spec): 48 bits of ms and 80 bits, as 26 characters of Crockford's base 32. */

#include "err.h"

#define ULID_LEN 26

struct ulid {
	uint8_t b[16]; /* big-endian: time first */
};

struct ulid ulid_make(int64_t time_ns, const uint8_t random[10]);
int ulid_new(struct ulid *ret); /* now and getrandom(2); 0 or -errno */

/* The time in ms (48 bits; a time before 1970 is kept modulo 2^48). */
uint64_t ulid_ms(const struct ulid *u);

const char *ulid_format(const struct ulid *u, char ret[ULID_LEN + 1]);
bool ulid_parse(const char *s, size_t n, struct ulid *ret); /* exactly 26 characters, upper or lower case */

/* SPDX-License-Identifier: MIT */
#include "ulid.h"

#include <string.h>
#include <sys/random.h>

#include "clock.h"

static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

struct ulid ulid_make(int64_t time_ns, const uint8_t random[10])
{
	struct ulid u;
	uint64_t ms = (uint64_t)time_floor_div(time_ns, NS_PER_MS);
	for (int i = 0; i < 6; i++)
		u.b[i] = (uint8_t)(ms >> (40 - 8 * i));
	memcpy(u.b + 6, random, 10);
	return u;
}

int ulid_new(struct ulid *ret)
{
	uint8_t random[10];
	ssize_t n;
	do
		n = getrandom(random, sizeof random, 0);
	while (n < 0 && errno == EINTR);
	if (n != (ssize_t)sizeof random)
		return n < 0 ? -errno : -EIO;
	*ret = ulid_make(clock_now(), random);
	return 0;
}

uint64_t ulid_ms(const struct ulid *u)
{
	uint64_t ms = 0;
	for (int i = 0; i < 6; i++)
		ms = ms << 8 | u->b[i];
	return ms;
}

/* 26 characters are 130 bits: the first one holds three, so the bits are aligned to the end. */
const char *ulid_format(const struct ulid *u, char ret[ULID_LEN + 1])
{
	unsigned acc = 0, bits = 2;
	int at = 0;
	for (int i = 0; i < 16; i++) {
		acc = acc << 8 | u->b[i];
		for (bits += 8; bits >= 5; at++) {
			bits -= 5;
			ret[at] = digits[acc >> bits & 31];
		}
		acc &= 31;
	}
	ret[at] = '\0';
	return ret;
}

static int digit_value(char c)
{
	if (c >= 'a' && c <= 'z')
		c = (char)(c - 'a' + 'A');
	const char *p = c ? strchr(digits, c) : NULL;
	return p ? (int)(p - digits) : -1;
}

bool ulid_parse(const char *s, size_t n, struct ulid *ret)
{
	struct ulid u;
	unsigned acc = 0, bits = 0;
	int at = 0;
	if (n != ULID_LEN)
		return false;
	for (size_t i = 0; i < n; i++) {
		int v = digit_value(s[i]);
		if (v < 0 || (i == 0 && v > 7))
			return false;
		acc = acc << 5 | (unsigned)v;
		bits += i == 0 ? 3 : 5;
		if (bits >= 8) {
			bits -= 8;
			u.b[at++] = (uint8_t)(acc >> bits);
			acc &= (1u << bits) - 1;
		}
	}
	*ret = u;
	return true;
}

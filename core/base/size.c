/* SPDX-License-Identifier: MIT */
#include "size.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool size_parse(const char *text, uint64_t *ret)
{
	static const char units[] = "kKmMgGtT";
	char *end;
	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	unsigned long long n = strtoull(text, &end, 10);
	const char *unit = *end ? strchr(units, *end) : NULL;
	unsigned shift = unit ? 10 * (unsigned)((unit - units) / 2 + 1) : 0;
	bool ends = !*end || (unit && (!end[1] || !strcmp(end + 1, "B") || !strcmp(end + 1, "iB")));
	if (errno || !ends || n > (UINT64_MAX >> 1) >> shift)
		return false;
	*ret = (uint64_t)n << shift;
	return true;
}

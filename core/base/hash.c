/* SPDX-License-Identifier: MIT */
#include "hash.h"

#include <errno.h>
#include <sys/random.h>

int hash_random_seed(uint64_t *ret)
{
	return getrandom(ret, sizeof *ret, 0) == sizeof *ret ? 0 : -errno;
}

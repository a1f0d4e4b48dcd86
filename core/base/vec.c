/* SPDX-License-Identifier: MIT */
#include "vec.h"

void *vec_grow(void *v, size_t *cap, size_t need, size_t size)
{
	size_t n = MAX(MAX(*cap + *cap / 2, need), (size_t)8), bytes;
	if (!size_mul(n, size, &bytes) || bytes > VEC_MAX_BYTES)
		return NULL;
	void *grown = realloc(v, bytes);
	if (grown)
		*cap = n;
	return grown;
}

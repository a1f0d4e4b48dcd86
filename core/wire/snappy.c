/* SPDX-License-Identifier: MIT */
#include "snappy.h"

#include <snappy-c.h>

int snappy_put(struct slice in, struct buf *out)
{
	size_t len = snappy_max_compressed_length(in.len);
	uint8_t *to = buf_reserve(out, len);
	if (!to)
		return buf_err(out);
	if (snappy_compress(in.data ? (const char *)in.data : "", in.len, (char *)to, &len) != SNAPPY_OK)
		return -EIO;
	out->len += len;
	return 0;
}

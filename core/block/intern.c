/* SPDX-License-Identifier: MIT */
#include "intern.h"

#include <string.h>

#include "../base/hash.h"
#include "layout.h"

void intern_init(struct intern *in, uint64_t seed)
{
	*in = (struct intern){ .bytes = BUF_INIT(INTERN_MAX_BYTES), .seed = seed };
}

void intern_done(struct intern *in)
{
	buf_done(&in->bytes);
	VEC_DONE(&in->at);
	keyset_done(&in->ids);
}

struct slice intern_get(const struct intern *in, uint32_t id)
{
	size_t from = in->at.v[id];
	size_t to = id + 1 < in->at.n ? in->at.v[id + 1] : in->bytes.len;
	return (struct slice){ in->bytes.data + from, to - from };
}

uint32_t intern_keyed(struct intern *in, const void *data, size_t n, struct hash_key key)
{
	uint32_t known = keyset_find(&in->ids, key);
	if (known != KEYSET_NONE)
		return known;
	size_t at = in->bytes.len;
	buf_put(&in->bytes, data, n);
	uint32_t *slot = buf_err(&in->bytes) ? NULL : VEC_GROW(&in->at, 1);
	uint32_t id = (uint32_t)in->at.n;
	if (!slot || id == IDSET_NONE || keyset_add(&in->ids, key, id) < 0) {
		in->bytes.len = at;
		in->bytes.err = 0;
		return IDSET_NONE;
	}
	*slot = (uint32_t)at;
	in->at.n++;
	return id;
}

uint32_t intern_id(struct intern *in, const void *data, size_t n)
{
	return intern_keyed(in, data, n, hash_key(data, n, in->seed));
}

size_t intern_memory(const struct intern *in)
{
	return in->bytes.cap + in->at.cap * sizeof *in->at.v + keyset_bytes(&in->ids);
}

void intern_encode(const struct intern *in, struct buf *out)
{
	_buf_ struct buf lengths = BUF_INIT(INTERN_MAX_BYTES);
	for (uint32_t i = 0; i < in->at.n; i++)
		buf_varint(&lengths, intern_get(in, i).len);
	if (buf_err(&lengths))
		out->err = buf_err(&lengths);
	column_put(out, &lengths);
	buf_put(out, in->bytes.data, in->bytes.len);
}

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
	VEC_DONE(&in->entries);
	idset_done(&in->ids);
}

struct slice intern_get(const struct intern *in, uint32_t id)
{
	size_t from = in->entries.v[id].at;
	size_t to = id + 1 < in->entries.n ? in->entries.v[id + 1].at : in->bytes.len;
	return (struct slice){ in->bytes.data + from, to - from };
}

uint32_t intern_id(struct intern *in, const void *data, size_t n)
{
	struct hash_key key = hash_key(data, n, in->seed);
	for (struct idset_probe p = idset_probe(&in->ids, key.hash); idset_next(&in->ids, &p);)
		if (in->entries.v[p.id].check == key.check)
			return p.id;
	size_t at = in->bytes.len;
	buf_put(&in->bytes, data, n);
	struct intern_entry *slot = buf_err(&in->bytes) ? NULL : VEC_GROW(&in->entries, 1);
	uint32_t id = (uint32_t)in->entries.n;
	if (!slot || id == IDSET_NONE || idset_add(&in->ids, key.hash, id) < 0) {
		in->bytes.len = at;
		in->bytes.err = 0;
		return IDSET_NONE;
	}
	*slot = (struct intern_entry){ (uint32_t)at, key.check };
	in->entries.n++;
	return id;
}

size_t intern_memory(const struct intern *in)
{
	return in->bytes.cap + in->entries.cap * sizeof *in->entries.v + idset_bytes(&in->ids);
}

void intern_encode(const struct intern *in, struct buf *out)
{
	_buf_ struct buf lengths = BUF_INIT(INTERN_MAX_BYTES);
	for (uint32_t i = 0; i < in->entries.n; i++)
		buf_varint(&lengths, intern_get(in, i).len);
	if (buf_err(&lengths))
		out->err = buf_err(&lengths);
	column_put(out, &lengths);
	buf_put(out, in->bytes.data, in->bytes.len);
}

/* SPDX-License-Identifier: MIT */
#pragma once

/* Objects that are merged. */

#include "../../../core/block/merge.h"
#include "fixture.h"

static inline int sink_buf(void *ctx, const void *data, size_t n, struct error *err)
{
	buf_put(ctx, data, n);
	return buf_err(ctx);
}

static inline struct block *open_buf(struct buf *b)
{
	struct block *ret;
	struct source src = source_of(b);
	struct error err = { 0 };
	int r = block_open(&src, "test", &ret, &err);
	if (r < 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	return ret;
}

static inline bool roll_all(void *ctx, struct str service)
{
	return true;
}

/* Merges and opens the result, which is whole. */
static inline struct block *merge_bufs(struct buf *in, size_t n, const struct merge_options *o, struct buf *out,
                                       struct merge_result *ret)
{
	struct merge_input inputs[16];
	struct merge_sink sink = { sink_buf, out };
	struct error err = { 0 };
	assert_true(n <= ARRAY_SIZE(inputs));
	for (size_t i = 0; i < n; i++)
		inputs[i] = (struct merge_input){ open_buf(&in[i]) };
	int r = block_merge(inputs, n, o, &sink, ret, &err);
	if (r < 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	for (size_t i = 0; i < n; i++)
		block_free(inputs[i].block);
	assert_int_equal(ret->size, out->len);
	struct block *b = open_buf(out);
	assert_int_equal(block_verify(b, NULL, NULL, &err), 0);
	return b;
}

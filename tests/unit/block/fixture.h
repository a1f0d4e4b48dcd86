/* SPDX-License-Identifier: MIT */
#pragma once

/* Objects in memory. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../core/base/clock.h"
#include "../../../core/block/block.h"
#include "../sample_profiles.h"

#define LIMIT ((size_t)1 << 28)

static inline int read_memory(void *ctx, const struct source_range *ranges, size_t n, struct error *err)
{
	const struct buf *b = ctx;
	for (size_t i = 0; i < n; i++) {
		if (ranges[i].off > b->len || ranges[i].len > b->len - ranges[i].off)
			return error_set(err, ERR_STORE_RANGE, "a range past the end");
		memcpy(ranges[i].out, b->data + ranges[i].off, ranges[i].len);
	}
	return 0;
}

static inline struct source source_of(struct buf *b)
{
	return (struct source){ .read = read_memory, .ctx = b, .size = b->len };
}

static inline void add(struct block_writer *w, const struct profile *p, const char *service, const char *pod)
{
	struct label path = { STR("pod"), str_of(pod) };
	struct profile_meta meta = { .service = str_of(service), .path_labels = &path, .n_path_labels = 1,
		                     .time = p->time_ns ? p->time_ns : 1234, .time_source = p->time_ns ? TIME_OWN : TIME_RECEIVED,
		                     .bytes_in = 100 };
	uint8_t hash[PROFILE_HASH_LEN];
	struct error err = { 0 };
	assert_int_equal(profile_verify(p, &err), 0);
	assert_int_equal(profile_hash(p, &meta, STR(""), hash), 0);
	meta.id = ulid_make(meta.time, hash);
	assert_int_equal(block_writer_add(w, p, &meta, &err), 0);
}

static inline void restored(struct block *b, size_t dataset, uint32_t row, struct buf *told)
{
	struct profile p;
	struct error err = { 0 };
	assert_int_equal(profile_init(&p, LIMIT), 0);
	int r = dataset_restore(block_dataset(b, dataset), row, &p, &err);
	if (r < 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	assert_int_equal(profile_verify(&p, &err), 0);
	buf_reset(told);
	tell_profile(&p, told);
	profile_done(&p);
}

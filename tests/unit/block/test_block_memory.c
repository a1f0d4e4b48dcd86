/* SPDX-License-Identifier: MIT */

/* Every allocation of a write and a read fails once: it is told, nothing leaks, nothing crashes, and the next try works. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../core/block/block.h"
#include "../sample_profiles.h"

#define LIMIT ((size_t)1 << 26)

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

static long left = -1; /* allocations until one fails; negative: none does */

static bool fails(void)
{
	return left >= 0 && left-- == 0;
}

void *__wrap_malloc(size_t n)
{
	return fails() ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails() ? NULL : __real_realloc(p, n);
}

static int read_memory(void *ctx, const struct source_range *ranges, size_t n, struct error *err)
{
	const struct buf *b = ctx;
	(void)err;
	for (size_t i = 0; i < n; i++)
		memcpy(ranges[i].out, b->data + ranges[i].off, ranges[i].len);
	return 0;
}

static int write_object(const struct profile *profiles, size_t n, struct buf *out)
{
	struct block_writer *w = NULL;
	int r = block_writer_new(0, &w);
	for (size_t i = 0; i < n && r == 0; i++) {
		struct profile_meta meta = { .service = STR("s"), .time = profiles[i].time_ns };
		uint8_t hash[PROFILE_HASH_LEN] = { 0 };
		r = profile_hash(&profiles[i], &meta, STR(""), hash);
		meta.id = ulid_make(meta.time, hash);
		if (r == 0)
			r = block_writer_add(w, &profiles[i], &meta, NULL);
	}
	if (r == 0)
		r = block_writer_finish(w, out, NULL);
	block_writer_free(w);
	return r;
}

static int read_object(struct buf *object)
{
	struct source src = { .read = read_memory, .ctx = object, .size = object->len };
	struct block *b = NULL;
	struct profile p = { 0 };
	const struct profiles *table;
	int r = block_open(&src, "object", &b, NULL);
	if (r == 0)
		r = dataset_profiles(block_dataset(b, 0), &table, NULL);
	if (r == 0)
		r = profile_init(&p, LIMIT);
	for (uint32_t i = 0; r == 0 && i < table->n; i++)
		r = dataset_restore(block_dataset(b, 0), i, &p, NULL);
	profile_done(&p);
	block_free(b);
	return r;
}

static void swept(bool reading)
{
	enum { N = 3 };
	struct profile profiles[N];
	struct rng rng = { 8 };
	struct buf object = BUF_INIT(LIMIT);
	for (int i = 0; i < N; i++) {
		assert_int_equal(profile_init(&profiles[i], LIMIT), 0);
		random_profile(&profiles[i], &rng);
	}
	assert_int_equal(write_object(profiles, N, &object), 0);
	int r = -ENOMEM;
	long at = 0;
	for (; r != 0; at++) {
		struct buf out = BUF_INIT(LIMIT);
		left = at;
		r = reading ? read_object(&object) : write_object(profiles, N, &out);
		bool failed = left < 0;
		left = -1;
		assert_true(r == 0 || failed);
		assert_true(r == 0 || err_errno(r) == ENOMEM);
		buf_done(&out);
	}
	assert_true(at > 20);
	for (int i = 0; i < N; i++)
		profile_done(&profiles[i]);
	buf_done(&object);
}

static void every_failed_allocation_of_a_write_is_told(void **state)
{
	(void)state;
	swept(false);
}

static void every_failed_allocation_of_a_read_is_told(void **state)
{
	(void)state;
	swept(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_failed_allocation_of_a_write_is_told),
		cmocka_unit_test(every_failed_allocation_of_a_read_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#pragma once

/* Compaction for query tests: the objects of each day become a block with rollups, and the catalog says so. */

#include "../../../core/block/merge.h"
#include "../../../core/db/catalog.h"
#include "../../../core/db/keys.h"
#include "fixture.h"

static inline int compact_write(void *ctx, const void *data, size_t n, struct error *err)
{
	buf_put(ctx, data, n);
	return buf_err(ctx);
}

static inline bool compact_roll(void *ctx, struct str service)
{
	return *(const bool *)ctx;
}

static inline int compact_read(void *ctx, const struct source_range *ranges, size_t n, struct error *err)
{
	const struct buf *b = ctx;
	for (size_t i = 0; i < n; i++)
		memcpy(ranges[i].out, b->data + ranges[i].off, ranges[i].len);
	return 0;
}

/* What the catalog says of the object's datasets. */
static inline void compact_describe(struct buf *object, struct buf *records)
{
	struct source src = { .read = compact_read, .ctx = object, .size = object->len };
	struct block *b;
	assert_int_equal(block_open(&src, "new", &b, NULL), 0);
	for (size_t i = 0; i < block_datasets(b); i++)
		catalog_put_service(records, block_info(b, i));
	block_free(b);
}

/* Merges n objects of a day and puts the block; returns its size. */
static inline uint64_t compact_put(struct fixture *f, int32_t day, struct block *const *blocks, size_t n,
                                   bool rollups, const struct ulid *ulid, struct buf *records)
{
	_buf_ struct buf out = BUF_INIT(LIMIT);
	struct merge_input inputs[256];
	struct merge_sink sink = { compact_write, &out };
	struct merge_options options = { .level = 1, .rollup = compact_roll, .ctx = &rollups };
	struct merge_result result;
	struct error err = { 0 };
	assert_true(n <= ARRAY_SIZE(inputs));
	for (size_t i = 0; i < n; i++)
		inputs[i].block = blocks[i];
	int r = block_merge(inputs, n, &options, &sink, &result, &err);
	if (r < 0)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	_free_ char *key = key_block("default", day, ulid);
	assert_int_equal(store_put(f->store, key, buf_slice(&out), &err), 0);
	compact_describe(&out, records);
	return out.len;
}

static inline void compact_commit(struct fixture *f, int32_t day, uint64_t version, const struct ulid *ulid,
                                  uint64_t size, struct slice records, const struct object *const *dropped,
                                  size_t n)
{
	_buf_ struct buf b = BUF_INIT(LIMIT);
	struct catalog_version v = { .version = version, .whole = version == 1 };
	PUSH(&v.added, (struct catalog_block){ .ulid = *ulid, .size = size, .level = 1, .services = records });
	for (size_t i = 0; i < n; i++)
		PUSH(&v.dropped, (struct catalog_dropped){
			dropped[i]->ulid, dropped[i]->is_block ? DROPPED_BLOCK : DROPPED_SEGMENT, T0, 0 });
	assert_int_equal(catalog_encode(&v, &b), 0);
	_free_ char *key = key_catalog("default", day, version);
	assert_int_equal(store_put_if_absent(f->store, key, buf_slice(&b), NULL), 0);
	VEC_DONE(&v.added);
	VEC_DONE(&v.dropped);
}

/* The objects from the first-th on, of a view that may be old. */
static inline void compact_day(struct fixture *f, struct view *v, int32_t day, uint64_t version, size_t first,
                               size_t most, bool rollups)
{
	struct error err = { 0 };
	struct parts parts;
	struct block *blocks[256];
	const struct object *objects[256];
	struct ulid ulid;
	size_t n = 0, seen = 0;
	assert_int_equal(view_parts(v, NULL, day, day, NULL, &parts, &err), 0);
	for (size_t i = 0; i < parts.n && n < most; i++) {
		if (i && parts.v[i - 1].object == parts.v[i].object)
			continue;
		if (seen++ < first)
			continue;
		objects[n] = parts.v[i].object;
		blocks[n++] = dataset_block(parts.v[i].dataset);
	}
	assert_int_equal(ulid_new(&ulid), 0);
	_buf_ struct buf records = BUF_INIT(LIMIT);
	uint64_t size = n ? compact_put(f, day, blocks, n, rollups, &ulid, &records) : 0;
	if (n)
		compact_commit(f, day, version, &ulid, size, buf_slice(&records), objects, n);
	parts_done(&parts);
}

/* Of each day, at most so many objects, the oldest first. `version` grows from 1 with each call. */
static inline void compact(struct fixture *f, uint64_t version, size_t most, bool rollups)
{
	struct view *v;
	assert_int_equal(db_view(f->db, 0, &v, NULL), 0);
	for (size_t i = 0; i < view_objects(v); i++)
		if (!i || view_object(v, i)->day != view_object(v, i - 1)->day)
			compact_day(f, v, view_object(v, i)->day, version, 0, most, rollups);
	view_unref(v);
}

/* SPDX-License-Identifier: MIT */

/*
 * Objects whose checksums are right and whose contents are not: every section of a real object is changed at random,
 * written raw behind the others, and hashed anew. A reader refuses it or reads something; it never leaves its bounds
 * (the sanitizers watch).
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../core/base/hash.h"
#include "../../../core/block/merge.h"
#include "../../../core/block/reader.h"
#include "../../../core/wire/zst.h"
#include "../sample_profiles.h"

#define LIMIT ((size_t)1 << 28)

static int read_memory(void *ctx, const struct source_range *ranges, size_t n, struct error *err)
{
	const struct buf *b = ctx;
	for (size_t i = 0; i < n; i++) {
		if (ranges[i].off > b->len || ranges[i].len > b->len - ranges[i].off)
			return error_set(err, ERR_STORE_RANGE, "a range past the end");
		memcpy(ranges[i].out, b->data + ranges[i].off, ranges[i].len);
	}
	return 0;
}

static struct block *open_object(struct buf *object)
{
	struct source src = { .read = read_memory, .ctx = object, .size = object->len };
	struct block *b = NULL;
	return block_open(&src, "hostile", &b, NULL) == 0 ? b : NULL;
}

static void add_profiles(struct block_writer *w, bool alike)
{
	struct rng r = { 99 };
	for (int i = 0; i < (alike ? 120 : 12); i++) {
		struct profile p;
		struct label l = { STR("pod"), STR("a") };
		assert_int_equal(profile_init(&p, LIMIT), 0);
		random_profile(&p, alike ? &(struct rng){ 7 } : &r);
		struct profile_meta meta = { .service = STR("s"), .labels = &l, .n_labels = 1, .time = p.time_ns + i };
		meta.id = ulid_make(meta.time, (uint8_t[10]){ (uint8_t)i, alike });
		assert_int_equal(block_writer_add(w, &p, &meta, NULL), 0);
		profile_done(&p);
	}
}

static int sink_buf(void *ctx, const void *data, size_t n, struct error *err)
{
	buf_put(ctx, data, n);
	return buf_err(ctx);
}

static bool roll_all(void *ctx, struct str service)
{
	return true;
}

/* A block with everything: profiles that differ, and some that are alike, so that they are rolled up. */
static void make_object(struct buf *out)
{
	struct block_writer *w;
	struct buf segment = BUF_INIT(LIMIT);
	assert_int_equal(block_writer_new(0, &w), 0);
	add_profiles(w, false);
	add_profiles(w, true);
	assert_int_equal(block_writer_finish(w, &segment, NULL), 0);
	block_writer_free(w);
	struct merge_input in = { open_object(&segment) };
	struct merge_options o = { .level = 1, .rollup = roll_all };
	struct merge_sink sink = { sink_buf, out };
	struct merge_result result;
	assert_int_equal(block_merge(&in, 1, &o, &sink, &result, NULL), 0);
	block_free(in.block);
	buf_done(&segment);
}

static void put_list(struct buf *footer, const struct section *sections)
{
	uint32_t n = 0;
	for (int k = 1; k < SECTION_KINDS; k++)
		n += sections[k].kind != 0;
	buf_varint(footer, n);
	for (int k = 1; k < SECTION_KINDS; k++) {
		const struct section *s = &sections[k];
		if (!s->kind)
			continue;
		buf_u8(footer, s->kind);
		buf_u8(footer, s->codec);
		buf_varint(footer, s->off);
		buf_varint(footer, s->stored);
		buf_varint(footer, s->raw);
		buf_u64(footer, s->hash);
	}
}

/* The object with one section replaced by other raw bytes; all checksums hold. */
static void replace_section(const struct buf *object, struct block *b, int kind, const struct buf *raw, struct buf *out)
{
	struct dataset *d = &b->datasets[0];
	struct buf footer = BUF_INIT(LIMIT), list = BUF_INIT(LIMIT);
	struct cursor end = cursor_of((struct slice){ object->data + object->len - LAYOUT_TRAILER_LEN, LAYOUT_TRAILER_LEN });
	uint64_t footer_off = cursor_u64(&end);
	uint32_t stored = cursor_u32(&end), raw_len = cursor_u32(&end);
	uint8_t *room = buf_reserve(&footer, raw_len);
	assert_int_equal(zst_decompress((struct slice){ object->data + footer_off, stored }, room, raw_len), 0);
	footer.len = raw_len;
	put_list(&list, d->sections);
	footer.len -= list.len; /* one dataset: its list of sections is the footer's end */
	struct section sections[SECTION_KINDS];
	memcpy(sections, d->sections, sizeof sections);
	sections[kind] = (struct section){ (uint8_t)kind, CODEC_RAW, footer_off, raw->len, raw->len,
		                           hash_bytes(raw->data, raw->len) };
	put_list(&footer, sections);
	buf_reset(out);
	buf_put(out, object->data, footer_off);
	buf_put(out, raw->data, raw->len);
	size_t at = out->len;
	assert_int_equal(zst_compress(buf_slice(&footer), 1, out), 0);
	uint64_t hash = hash_bytes(out->data + at, out->len - at);
	uint32_t len = (uint32_t)(out->len - at);
	buf_u64(out, at);
	buf_u32(out, len);
	buf_u32(out, (uint32_t)footer.len);
	buf_u64(out, hash);
	buf_u32(out, BLOCK_VERSION_PLAIN);
	buf_u32(out, 0);
	buf_put(out, LAYOUT_END_MAGIC, LAYOUT_MAGIC_LEN);
	buf_done(&footer);
	buf_done(&list);
}

static void mutate(struct rng *r, const struct loaded *from, struct buf *to)
{
	buf_reset(to);
	buf_put(to, from->data, from->len);
	for (uint32_t n = 1 + rng_below(r, 4); n > 0 && to->len; n--) {
		size_t at = rng_next(r) % to->len;
		switch (rng_below(r, 4)) {
		case 0:
			to->data[at] = (uint8_t)rng_next(r);
			break;
		case 1:
			to->data[at] ^= (uint8_t)(1 << rng_below(r, 8));
			break;
		case 2:
			to->data[at] = 0xff;
			break;
		default:
			to->len = at;
		}
	}
}

/* Everything that a reader does. */
static void read_all(struct block *b)
{
	struct error err = { 0 };
	const struct profiles *p;
	const struct symbols *s;
	struct dataset *d = block_dataset(b, 0);
	block_verify(b, NULL, NULL, &err);
	if (dataset_profiles(d, &p, &err) < 0 || dataset_symbols(d, &s, &err) < 0)
		return;
	int64_t *acc = calloc((size_t)s->n_stacks + 1, sizeof *acc);
	for (uint32_t i = 0; i < p->n; i++) {
		struct columns one = { 1, false, false };
		struct group *g;
		struct profile back;
		if (dataset_group(d, p->rows[i].group, &one, &g, &err) == 0) {
			group_accumulate(g, &p->rows[i], 0, acc, &err);
			group_free(g);
		}
		assert_int_equal(profile_init(&back, LIMIT), 0);
		if (dataset_restore(d, i, &back, &err) == 0)
			assert_int_equal(profile_verify(&back, &err), 0);
		profile_done(&back);
	}
	free(acc);
}

static void changed_sections_never_break_a_reader(void **state)
{
	(void)state;
	struct rng r = { 2026 };
	struct buf object = BUF_INIT(LIMIT), raw = BUF_INIT(LIMIT), changed = BUF_INIT(LIMIT);
	make_object(&object);
	struct block *b = open_object(&object);
	assert_non_null(b);
	const struct rollups *rollups;
	assert_int_equal(dataset_rollups(block_dataset(b, 0), &rollups, NULL), 0);
	assert_true(rollups->n_cells > 0);
	size_t opened = 0;
	for (uint8_t kind = 1; kind < SECTION_KINDS; kind++) {
		struct loaded loaded;
		assert_int_equal(dataset_load(&b->datasets[0], &kind, 1, &loaded, NULL), 0);
		for (int round = 0; round < 150; round++) {
			mutate(&r, &loaded, &raw);
			replace_section(&object, b, kind, &raw, &changed);
			struct block *bad = open_object(&changed);
			if (bad) {
				opened++;
				read_all(bad);
				block_free(bad);
			}
		}
		free(loaded.data);
	}
	assert_true(opened > 1000);
	block_free(b);
	buf_done(&object);
	buf_done(&raw);
	buf_done(&changed);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(changed_sections_never_break_a_reader) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}

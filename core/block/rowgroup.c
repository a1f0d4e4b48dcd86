/* SPDX-License-Identifier: MIT */
#include "rowgroup.h"

#include <string.h>

#include "../base/hash.h"
#include "../wire/zst.h"

#define STREAM_MAX ((size_t)1 << 30)

int rowgroup_init(struct rowgroup *g, uint32_t header, uint32_t number, uint32_t n_types)
{
	*g = (struct rowgroup){
		.header = header,
		.number = number,
		.n_types = n_types,
		.stacks = BUF_INIT(STREAM_MAX),
		.labels = BUF_INIT(STREAM_MAX),
		.details = BUF_INIT(STREAM_MAX),
	};
	g->values = calloc(n_types + 1, sizeof *g->values);
	if (!g->values)
		return -ENOMEM;
	for (uint32_t t = 0; t < n_types; t++)
		g->values[t] = BUF_INIT(STREAM_MAX);
	return 0;
}

void rowgroup_done(struct rowgroup *g)
{
	buf_done(&g->stacks);
	buf_done(&g->labels);
	buf_done(&g->details);
	for (uint32_t t = 0; g->values && t < g->n_types; t++)
		buf_done(&g->values[t]);
	free(g->values);
	*g = (struct rowgroup){ 0 };
}

size_t rowgroup_bytes(const struct rowgroup *g)
{
	size_t n = g->stacks.len + g->labels.len + g->details.len;
	for (uint32_t t = 0; t < g->n_types; t++)
		n += g->values[t].len;
	return n;
}

static void put_values(struct buf *b, const struct rowgroup_samples *s, uint32_t n_types, uint32_t type)
{
	int64_t divisor = s->divisors[type];
	uint8_t *p = buf_reserve(b, (size_t)s->n * 10 + 1);
	if (!p)
		return;
	const uint8_t *start = p;
	for (uint32_t i = 0; i < s->n; i++) {
		int64_t v = s->values[(size_t)i * n_types + type];
		uint64_t z = zigzag(divisor == 1 ? v : v / divisor);
		for (; z >= 0x80; z >>= 7)
			*p++ = (uint8_t)z | 0x80;
		*p++ = (uint8_t)z;
	}
	b->len += (size_t)(p - start);
}

int rowgroup_add(struct rowgroup *g, const struct rowgroup_samples *s)
{
	uint32_t last = 0, top_set = 0;
	for (uint32_t i = 0; i < s->n; i++) {
		buf_varint(&g->stacks, s->stacks[i] - last);
		last = s->stacks[i];
		buf_varint(&g->labels, labelset_code(s->labelsets[i], &top_set));
		g->has_labels |= s->labelsets[i] != 0;
	}
	buf_varint(&g->details, s->details.len);
	buf_put(&g->details, s->details.data, s->details.len);
	g->has_details |= s->details.len != 0;
	int r = buf_err(&g->stacks) | buf_err(&g->labels) | buf_err(&g->details);
	for (uint32_t t = 0; t < g->n_types; t++) {
		put_values(&g->values[t], s, g->n_types, t);
		r |= buf_err(&g->values[t]);
	}
	g->n_profiles++;
	return r ? -ENOMEM : 0;
}

void stream_put(uint8_t kind, const struct buf *raw, int level, struct buf *samples, struct buf *index)
{
	size_t at = samples->len;
	uint8_t codec = CODEC_ZSTD;
	int r = zst_compress(buf_slice(raw), level, samples);
	if (r < 0 || samples->len - at >= raw->len) {
		samples->len = at;
		codec = CODEC_RAW;
		buf_put(samples, raw->data, raw->len);
	}
	buf_u8(index, kind);
	buf_u8(index, 0);
	buf_u8(index, codec);
	buf_varint(index, samples->len - at);
	buf_varint(index, raw->len);
	buf_u64(index, hash_bytes(samples->data + at, samples->len - at));
}

static int equal_values(const struct rowgroup *g, uint32_t type)
{
	for (uint32_t t = 0; t < type; t++)
		if (g->values[t].len == g->values[type].len &&
		    (!g->values[t].len || !memcmp(g->values[t].data, g->values[type].data, g->values[t].len)))
			return (int)t;
	return -1;
}

int rowgroup_close(struct rowgroup *g, int level, struct buf *samples, struct buf *index)
{
	buf_varint(index, g->header);
	buf_varint(index, g->n_profiles);
	uint32_t before = 1u + g->has_labels + g->has_details;
	buf_varint(index, before + g->n_types);
	stream_put(STREAM_STACKS, &g->stacks, level, samples, index);
	for (uint32_t t = 0; t < g->n_types; t++) {
		int copy = equal_values(g, t);
		if (copy < 0) {
			stream_put((uint8_t)(STREAM_VALUES + t), &g->values[t], level, samples, index);
		} else {
			buf_u8(index, (uint8_t)(STREAM_VALUES + t));
			buf_u8(index, (uint8_t)(1 + 1 + copy)); /* stream number + 1; values begin at stream 1 */
		}
	}
	if (g->has_labels)
		stream_put(STREAM_LABELS, &g->labels, level, samples, index);
	if (g->has_details)
		stream_put(STREAM_DETAILS, &g->details, level, samples, index);
	return buf_err(samples) ? buf_err(samples) : buf_err(index);
}

bool stream_decode(struct cursor *c, uint32_t i, uint64_t *off, uint64_t samples_len, struct stream *s,
                   const struct stream *all)
{
	s->kind = cursor_u8(c);
	s->copy_of = (int)cursor_u8(c) - 1;
	if (s->copy_of >= 0) {
		if ((uint32_t)s->copy_of >= i || all[s->copy_of].copy_of >= 0)
			return false;
		uint8_t kind = s->kind;
		int copy_of = s->copy_of;
		*s = all[copy_of];
		s->kind = kind;
		s->copy_of = copy_of;
		return true;
	}
	s->codec = cursor_u8(c);
	s->stored = (uint32_t)cursor_varint_max(c, STREAM_MAX);
	s->raw = (uint32_t)cursor_varint_max(c, STREAM_MAX);
	s->hash = cursor_u64(c);
	s->off = *off;
	*off += s->stored;
	return s->codec <= CODEC_ZSTD && *off <= samples_len && (s->codec != CODEC_RAW || s->stored == s->raw);
}

int rowgroup_index_decode(struct slice in, uint64_t samples_len, struct arena *arena, struct group_entry **ret,
                          uint32_t *ret_n)
{
	struct cursor c = cursor_of(in);
	uint64_t n = cursor_varint_max(&c, in.len);
	struct group_entry *groups = arena_calloc(arena, n + 1, sizeof *groups);
	if (!groups)
		return -ENOMEM;
	uint64_t off = 0;
	for (uint64_t g = 0; g < n && !c.bad; g++) {
		groups[g].header = (uint32_t)cursor_varint_max(&c, UINT32_MAX - 1);
		groups[g].n_profiles = (uint32_t)cursor_varint_max(&c, UINT32_MAX - 1);
		groups[g].n_streams = (uint32_t)cursor_varint_max(&c, STREAM_VALUES + LAYOUT_MAX_TYPES);
		groups[g].streams = arena_calloc(arena, groups[g].n_streams + 1, sizeof *groups[g].streams);
		if (!groups[g].streams)
			return -ENOMEM;
		for (uint32_t i = 0; i < groups[g].n_streams && !c.bad; i++)
			if (!stream_decode(&c, i, &off, samples_len, &groups[g].streams[i], groups[g].streams))
				return ERR_CORRUPT_LAYOUT;
	}
	if (c.bad || cursor_left(&c))
		return ERR_CORRUPT_LAYOUT;
	*ret = groups;
	*ret_n = (uint32_t)n;
	return 0;
}

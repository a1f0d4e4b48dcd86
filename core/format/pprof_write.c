/* SPDX-License-Identifier: MIT */
#include "format.h"

#include <string.h>

#include "../base/idset.h"
#include "../wire/pb.h"
#include "internal.h"

/*
 * The writer of pprof. Strings are numbered as they are first used; the fields that use them are written before the
 * table, or, where their number is higher than the table's, looked up before it is written.
 *
 * A label whose string is "" needs an index other than 0, which would make it a number: it gets a second empty string.
 */

#define UNUSED UINT32_MAX
#define FIELD_MAX 11                /* bytes of a number's field */
#define LINE_BYTES (2 + 3 * FIELD_MAX)

struct encoder {
	const struct profile *p;
	struct buf *out;
	struct buf message, part; /* under construction: a message of the profile, and one inside that */
	uint32_t *index;          /* of each string of the profile in the table, or UNUSED */
	VEC(uint32_t) table;      /* the profile's string behind each index */
	struct idset by_text;
	uint64_t seed;
	uint32_t empty_value; /* the index of the second empty string, or UNUSED */
	int err;
};

static void encoder_done(struct encoder *w)
{
	buf_done(&w->message);
	buf_done(&w->part);
	free(w->index);
	VEC_DONE(&w->table);
	idset_done(&w->by_text);
}

static uint32_t add_string(struct encoder *w, uint32_t string)
{
	uint32_t *slot = VEC_PUSH(&w->table);
	if (!slot) {
		w->err = -ENOMEM;
		return 0;
	}
	*slot = string;
	return (uint32_t)(w->table.n - 1);
}

static uint32_t find_string(struct encoder *w, uint32_t string)
{
	struct str s = profile_str(w->p, string);
	uint64_t hash = hash_str(s, w->seed);
	for (struct idset_probe p = idset_probe(&w->by_text, hash); idset_next(&w->by_text, &p);) {
		struct str t = profile_str(w->p, w->table.v[p.id]);
		if (s.len == t.len && !memcmp(s.s, t.s, s.len))
			return p.id;
	}
	uint32_t i = add_string(w, string);
	if (!w->err && idset_add(&w->by_text, hash, i))
		w->err = -ENOMEM;
	return i;
}

/* The table's index of a string of the profile. */
static uint32_t string_index(struct encoder *w, uint32_t string)
{
	if (!profile_str(w->p, string).len)
		return 0;
	if (w->index[string] == UNUSED)
		w->index[string] = find_string(w, string);
	return w->index[string];
}

static void put_number(struct buf *b, uint32_t number, uint64_t v)
{
	if (v)
		pb_put_varint(b, number, v);
}

static void put_string(struct encoder *w, struct buf *b, uint32_t number, uint32_t string)
{
	put_number(b, number, string_index(w, string));
}

static void put_message(struct encoder *w, uint32_t number)
{
	pb_put_buf(w->out, number, &w->message);
	buf_reset(&w->message);
}

static void put_type(struct encoder *w, uint32_t number, struct value_type t)
{
	put_string(w, &w->message, 1, t.type);
	put_string(w, &w->message, 2, t.unit);
	put_message(w, number);
}

static uint8_t *put_varint(uint8_t *p, uint64_t v)
{
	while (v >= 0x80) {
		*p++ = (uint8_t)v | 0x80;
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

/* Packed runs are written straight into reserved memory: samples are most of a profile. */
static void put_stack(struct encoder *w, size_t from, size_t to)
{
	uint8_t *start = buf_reserve(&w->part, (to - from) * 5), *p = start;
	if (!p || from == to)
		return;
	for (size_t i = from; i < to; i++)
		p = put_varint(p, (uint64_t)w->p->locs.v[i] + 1);
	pb_put_bytes(&w->message, 1, start, (size_t)(p - start));
}

static void put_values(struct encoder *w, size_t from, size_t to)
{
	uint8_t *start = buf_reserve(&w->part, (to - from) * 10), *p = start;
	if (!p || from == to)
		return;
	for (size_t i = from; i < to; i++)
		p = put_varint(p, (uint64_t)w->p->values.v[i]);
	pb_put_bytes(&w->message, 2, start, (size_t)(p - start));
}

static uint32_t empty_value(struct encoder *w)
{
	if (w->empty_value == UNUSED)
		w->empty_value = add_string(w, 0);
	return w->empty_value;
}

static void put_label(struct encoder *w, const struct profile_label *l)
{
	put_string(w, &w->part, 1, l->key);
	if (!l->is_num)
		put_number(&w->part, 2, profile_str(w->p, l->str).len ? string_index(w, l->str) : empty_value(w));
	put_number(&w->part, 3, (uint64_t)l->num);
	put_string(w, &w->part, 4, l->num_unit);
	pb_put_buf(&w->message, 3, &w->part);
	buf_reset(&w->part);
}

static void put_sample(struct encoder *w, size_t i)
{
	const struct profile *p = w->p;
	put_stack(w, p->loc_at.v[i], p->loc_at.v[i + 1]);
	put_values(w, i * p->types.n, (i + 1) * p->types.n);
	for (size_t l = p->label_at.n ? p->label_at.v[i] : 0; p->label_at.n && l < p->label_at.v[i + 1]; l++)
		put_label(w, &p->labels.v[l]);
	put_message(w, 2);
}

static void put_mapping(struct encoder *w, size_t i)
{
	const struct profile_mapping *m = &w->p->mappings.v[i];
	put_number(&w->message, 1, i + 1);
	put_number(&w->message, 2, m->start);
	put_number(&w->message, 3, m->limit);
	put_number(&w->message, 4, m->offset);
	put_string(w, &w->message, 5, m->filename);
	put_string(w, &w->message, 6, m->build_id);
	for (uint32_t f = 0; f < 4; f++)
		put_number(&w->message, 7 + f, m->flags >> f & 1);
	put_message(w, 3);
}

/* Locations and functions, of which there are as many, are written like packed runs. */
static uint8_t *number(uint8_t *p, uint32_t field, uint64_t v)
{
	if (!v)
		return p;
	*p++ = (uint8_t)(field << 3 | PB_VARINT);
	return put_varint(p, v);
}

/* The length fits into a byte. */
static uint8_t *line(uint8_t *p, const struct profile_line *l)
{
	uint8_t *start = p + 2, *end = start;
	end = number(end, 1, l->function == PROFILE_NONE ? 0 : (uint64_t)l->function + 1);
	end = number(end, 2, (uint64_t)l->line);
	end = number(end, 3, (uint64_t)l->column);
	p[0] = 4 << 3 | PB_LEN;
	p[1] = (uint8_t)(end - start);
	return end;
}

static void put_location(struct encoder *w, size_t i)
{
	const struct profile_location *l = &w->p->locations.v[i];
	uint8_t *start = buf_reserve(&w->part, 4 * FIELD_MAX + (size_t)l->n_lines * LINE_BYTES), *p = start;
	if (!p)
		return;
	p = number(p, 1, i + 1);
	p = number(p, 2, l->mapping == PROFILE_NONE ? 0 : (uint64_t)l->mapping + 1);
	p = number(p, 3, l->address);
	for (uint32_t n = 0; n < l->n_lines; n++)
		p = line(p, &w->p->lines.v[l->line_at + n]);
	p = number(p, 5, l->is_folded);
	pb_put_bytes(w->out, 4, start, (size_t)(p - start));
}

static void put_function(struct encoder *w, size_t i)
{
	const struct profile_function *f = &w->p->functions.v[i];
	uint8_t start[5 * FIELD_MAX], *p = start;
	p = number(p, 1, i + 1);
	p = number(p, 2, string_index(w, f->name));
	p = number(p, 3, string_index(w, f->system_name));
	p = number(p, 4, string_index(w, f->filename));
	p = number(p, 5, (uint64_t)f->start_line);
	pb_put_bytes(w->out, 5, start, (size_t)(p - start));
}

static void put_table(struct encoder *w)
{
	for (size_t i = 0; i < w->table.n; i++) {
		struct str s = profile_str(w->p, w->table.v[i]);
		pb_put_bytes(w->out, 6, s.s, s.len);
	}
}

static void put_comments(struct encoder *w)
{
	for (size_t i = 0; i < w->p->comments.n; i++)
		buf_varint(&w->message, string_index(w, w->p->comments.v[i]));
	if (w->p->comments.n)
		put_message(w, 13);
}

/* Numbers the strings of the fields behind the table. */
static void use_late_strings(struct encoder *w)
{
	const struct profile *p = w->p;
	string_index(w, p->drop_frames);
	string_index(w, p->keep_frames);
	string_index(w, p->period_type.type);
	string_index(w, p->period_type.unit);
	for (size_t i = 0; i < p->comments.n; i++)
		string_index(w, p->comments.v[i]);
	string_index(w, p->default_type);
	string_index(w, p->doc_url);
}

/* About what it will come to, so that the output need not grow by steps. */
static void reserve(struct encoder *w)
{
	const struct profile *p = w->p;
	size_t bytes = 2 * p->locs.n + 3 * p->values.n + 8 * p->n_samples + 20 * p->locations.n + 12 * p->functions.n +
	               24 * p->strings.n + 6 * p->labels.n;
	if (bytes < w->out->max - MIN(w->out->len, w->out->max))
		buf_reserve(w->out, bytes);
}

static void put_profile(struct encoder *w)
{
	const struct profile *p = w->p;
	for (size_t i = 0; i < p->types.n; i++)
		put_type(w, 1, p->types.v[i]);
	for (size_t i = 0; i < p->n_samples; i++)
		put_sample(w, i);
	for (size_t i = 0; i < p->mappings.n; i++)
		put_mapping(w, i);
	for (size_t i = 0; i < p->locations.n; i++)
		put_location(w, i);
	for (size_t i = 0; i < p->functions.n; i++)
		put_function(w, i);
	use_late_strings(w);
	put_table(w);
	put_string(w, w->out, 7, p->drop_frames);
	put_string(w, w->out, 8, p->keep_frames);
	put_number(w->out, 9, (uint64_t)p->time_ns);
	put_number(w->out, 10, (uint64_t)p->duration_ns);
	if (profile_str(p, p->period_type.type).len || profile_str(p, p->period_type.unit).len)
		put_type(w, 11, p->period_type);
	put_number(w->out, 12, (uint64_t)p->period);
	put_comments(w);
	put_string(w, w->out, 14, p->default_type);
	put_string(w, w->out, 15, p->doc_url);
}

int pprof_encode(const struct profile *p, struct buf *out)
{
	_cleanup_(encoder_done) struct encoder w = {
		.p = p, .out = out,
		.message = BUF_INIT(out->max), .part = BUF_INIT(out->max),
		.seed = hash_seed(),
		.empty_value = UNUSED,
	};
	size_t bytes;
	if (!size_mul(p->strings.n, sizeof *w.index, &bytes) || !(w.index = malloc(bytes)))
		return -ENOMEM;
	memset(w.index, 0xff, bytes); /* UNUSED */
	add_string(&w, 0);
	reserve(&w);
	put_profile(&w);
	int e = w.err ? w.err : buf_err(&w.message);
	e = e ? e : buf_err(&w.part);
	return e ? e : buf_err(out);
}

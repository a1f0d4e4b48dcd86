/* SPDX-License-Identifier: MIT */
#include "format.h"

#include <string.h>

#include "../base/idset.h"
#include "../wire/pb.h"
#include "internal.h"

/*
 * pprof: profile.proto of github.com/google/pprof, uncompressed.
 *
 * One pass over the top-level fields, in whatever order they come. Tables may stand before or after what refers to
 * them, so references are kept as they are read and resolved at the end:
 *
 * - strings: the index is kept; the largest one seen is compared with the table once;
 * - locations, functions and mappings: the id is kept where the index will stand (struct profile has 32 bits for it;
 *   ids from 2^31 on are put aside in `wide`, and their place there is kept), then translated by id_map. Most writers
 *   number their tables 1, 2, 3 ...: those need no map and no list of ids at all.
 *
 * What google/pprof refuses is refused, but for what real writers do; where the two differ or the choice is free:
 *
 *     a function with id 0 (.NET)                            taken, with a warning; lines of function 0 are its
 *     a location's mapping is not there                      taken as none, with a warning (google/pprof: as none)
 *     a line's function, a sample's location is not there    refused
 *     equal ids, location or mapping with id 0               refused
 *     no sample types                                        refused, samples or not: nothing could be shown of it
 *     numbers of values differ from the number of types      refused
 *     a second time_nanos after one that is not 0            refused as two profiles run together
 *     another second single field, a second period_type      the last one wins; period_type is merged field by field
 *     a string 0 that is not empty, an index out of range    refused
 *     strings that are not UTF-8, empty label keys           taken as they are
 *     mapping that starts after its end, time that overflows taken as it is
 *     unknown fields, field 0                                skipped
 *     groups, wire types 6 and 7, varints over 10 bytes      refused
 *     a known field of another wire type                     refused; repeated numbers may be packed, or not, or mixed
 *     a label with neither string, number nor unit           taken as the number 0 (google/pprof drops it)
 */

#define WIDE ((uint32_t)1 << 31) /* marks a place in `wide`; also the largest number of rows of a table */
#define BYTES_PER_STRING 64      /* at most one string for as many bytes of the limit on the input */
#define MIN_STRINGS ((size_t)1 << 20)

enum { PROFILE_SAMPLE_TYPE = 1, PROFILE_SAMPLE, PROFILE_MAPPING, PROFILE_LOCATION, PROFILE_FUNCTION, PROFILE_STRING,
       PROFILE_DROP_FRAMES, PROFILE_KEEP_FRAMES, PROFILE_TIME, PROFILE_DURATION, PROFILE_PERIOD_TYPE, PROFILE_PERIOD,
       PROFILE_COMMENT, PROFILE_DEFAULT_TYPE, PROFILE_DOC_URL, PROFILE_FIELDS };

/* The ids of one table's rows, in their order. */
struct id_list {
	size_t n;
	bool listed; /* else they are 1 .. n */
	VEC(uint64_t) v;
};

/* From id to row: by subtraction, by an array, or by a hash. */
struct id_map {
	const struct id_list *list;
	uint32_t *direct;
	size_t n_direct;
	struct idset set;
	uint64_t seed;
};

struct decoder {
	struct slice in;
	struct profile *p;
	struct error *err;
	size_t max_model, max_strings;
	uint32_t max_types;
	size_t at;       /* where the current top-level field begins */
	size_t n_values; /* of each sample */
	struct id_list locations, functions, mappings;
	VEC(uint64_t) wide;
	int failed; /* to keep an id */
	struct {
		uint64_t index;
		const char *field;
		size_t at;
	} last_string; /* the greatest index that was read */
};

static void decoder_done(struct decoder *d)
{
	VEC_DONE(&d->locations.v);
	VEC_DONE(&d->functions.v);
	VEC_DONE(&d->mappings.v);
	VEC_DONE(&d->wide);
}

static void id_map_done(struct id_map *m)
{
	free(m->direct);
	idset_done(&m->set);
}

static int malformed(const struct decoder *d, const char *what)
{
	return error_set(d->err, ERR_FORMAT_MALFORMED, "%s at byte %zu is malformed", what, d->at);
}

static int wrong_wire(const struct decoder *d, const char *what, const struct pb_field *f)
{
	return error_set(d->err, ERR_FORMAT_MALFORMED,
	                 "%s at byte %zu: field %u has the wrong wire type %d",
	                 what, d->at, f->number, (int)f->wire);
}

static bool within_model(const struct decoder *d)
{
	return profile_bytes(d->p) + d->wide.cap * sizeof *d->wide.v <= d->max_model;
}

/* An array could not grow. */
static int no_room(const struct decoder *d)
{
	if (within_model(d))
		return error_set(d->err, -ENOMEM, "no memory for the profile");
	return error_set(d->err, ERR_FORMAT_LIMIT,
	                 "at byte %zu: the profile needs more than %zu MiB of memory",
	                 d->at, d->max_model >> 20);
}

/* VEC_GROW() within the model's limit. */
#define GROW(d, vec, more)                                                                         \
	({                                                                                         \
		bool _grow = (vec)->cap - (vec)->n < (more);                                       \
		__typeof__((vec)->v) _room = VEC_GROW(vec, more);                                  \
		_grow && _room && !within_model(d) ? NULL : _room;                                 \
	})

/* cursor_varint() with the common lengths in line. */
static inline uint64_t varint(struct cursor *c)
{
	const uint8_t *p = c->p;
	if (c->end - p >= 3) {
		if (p[0] < 0x80) {
			c->p = p + 1;
			return p[0];
		}
		if (p[1] < 0x80) {
			c->p = p + 2;
			return (p[0] & 0x7fu) | (uint32_t)p[1] << 7;
		}
		if (p[2] < 0x80) {
			c->p = p + 3;
			return (p[0] & 0x7fu) | (p[1] & 0x7fu) << 7 | (uint32_t)p[2] << 14;
		}
	}
	return cursor_varint(c);
}

/* pb_next() with the common wire types in line. */
static inline bool next_field(struct cursor *c, struct pb_field *ret)
{
	if (c->p >= c->end)
		return false;
	uint8_t tag = *c->p, wire = tag & 7;
	if (tag >= 0x80 || (wire != PB_VARINT && wire != PB_LEN))
		return pb_next(c, ret);
	c->p++;
	ret->number = tag >> 3;
	ret->wire = (enum pb_wire)wire;
	uint64_t v = varint(c);
	if (wire == PB_VARINT) {
		ret->value = v;
		return !c->bad;
	}
	if (v > cursor_left(c))
		return cursor_fail(c);
	ret->bytes = (struct slice){ c->p, (size_t)v };
	c->p += v;
	return !c->bad;
}

/* Reads a message whose fields 1 .. n are numbers into v[1 .. n]. */
static int read_numbers(const struct decoder *d, struct slice in, const char *what, uint64_t *v, uint32_t n)
{
	struct cursor c = cursor_of(in);
	struct pb_field f = { 0 };
	while (next_field(&c, &f)) {
		if (f.number - 1 >= n)
			continue;
		if (f.wire != PB_VARINT)
			return wrong_wire(d, what, &f);
		v[f.number] = f.value;
	}
	return c.bad ? malformed(d, what) : 0;
}

static inline uint32_t keep_string(struct decoder *d, uint64_t index, const char *field)
{
	if (index > d->last_string.index) {
		d->last_string.index = index;
		d->last_string.field = field;
		d->last_string.at = d->at;
	}
	return (uint32_t)index;
}

static uint32_t keep_wide(struct decoder *d, uint64_t id)
{
	uint64_t *e = d->wide.n < WIDE ? GROW(d, &d->wide, 1) : NULL;
	if (!e) {
		d->failed = no_room(d);
		return 0;
	}
	*e = id;
	return WIDE | (uint32_t)d->wide.n++;
}

/* What stands in the profile for an id until it is resolved. */
static inline uint32_t keep_id(struct decoder *d, uint64_t id)
{
	return id < WIDE ? (uint32_t)id : keep_wide(d, id);
}

static inline uint64_t kept_id(const struct decoder *d, uint32_t kept)
{
	return kept & WIDE ? d->wide.v[kept & ~WIDE] : kept;
}

static int list_id(struct decoder *d, struct id_list *l, uint64_t id)
{
	if (l->n >= WIDE - 1)
		return no_room(d);
	if (!l->listed && id == l->n + 1) {
		l->n++;
		return 0;
	}
	uint64_t *room = VEC_GROW(&l->v, l->n - l->v.n + 1);
	if (!room)
		return no_room(d);
	for (size_t i = l->v.n; i < l->n; i++)
		*room++ = i + 1;
	*room = id;
	l->v.n = ++l->n;
	l->listed = true;
	return 0;
}

static int read_type(struct decoder *d, struct slice in, struct value_type *ret)
{
	uint64_t v[3] = { 0, ret->type, ret->unit };
	int e = read_numbers(d, in, "the value type", v, 2);
	if (e)
		return e;
	ret->type = keep_string(d, v[1], "a value type's type");
	ret->unit = keep_string(d, v[2], "a value type's unit");
	return 0;
}

static int read_sample_type(struct decoder *d, struct slice in)
{
	if (d->p->types.n >= d->max_types)
		return error_set(d->err, ERR_FORMAT_LIMIT, "more than %u sample types", d->max_types);
	struct value_type *t = GROW(d, &d->p->types, 1);
	if (!t)
		return no_room(d);
	*t = (struct value_type){ 0 };
	d->p->types.n++;
	return read_type(d, in, t);
}

static int read_mapping(struct decoder *d, struct slice in)
{
	uint64_t v[11] = { 0 };
	int e = read_numbers(d, in, "the mapping", v, 10);
	if (e)
		return e;
	if (!v[1])
		return error_set(d->err, ERR_FORMAT_MALFORMED,
		                 "the mapping at byte %zu has the reserved id 0", d->at);
	struct profile_mapping *m = GROW(d, &d->p->mappings, 1);
	if (!m)
		return no_room(d);
	*m = (struct profile_mapping){
		.start = v[2], .limit = v[3], .offset = v[4],
		.filename = keep_string(d, v[5], "a mapping's file name"),
		.build_id = keep_string(d, v[6], "a mapping's build id"),
	};
	for (unsigned i = 0; i < 4; i++)
		m->flags |= v[7 + i] ? 1 << i : 0;
	d->p->mappings.n++;
	return list_id(d, &d->mappings, v[1]);
}

static int read_function(struct decoder *d, struct slice in)
{
	uint64_t v[6] = { 0 };
	int e = read_numbers(d, in, "the function", v, 5);
	if (e)
		return e;
	struct profile_function *f = GROW(d, &d->p->functions, 1);
	if (!f)
		return no_room(d);
	*f = (struct profile_function){
		.name = keep_string(d, v[2], "a function's name"),
		.system_name = keep_string(d, v[3], "a function's system name"),
		.filename = keep_string(d, v[4], "a function's file name"),
		.start_line = (int64_t)v[5],
	};
	d->p->functions.n++;
	if (!v[1])
		profile_warn(d->p, "the function at byte %zu has the reserved id 0", d->at);
	return list_id(d, &d->functions, v[1]);
}

static int read_line(struct decoder *d, struct slice in)
{
	uint64_t v[4] = { 0 };
	int e = read_numbers(d, in, "a line of the location", v, 3);
	if (e)
		return e;
	struct profile_line *l = GROW(d, &d->p->lines, 1);
	if (!l)
		return no_room(d);
	*l = (struct profile_line){ keep_id(d, v[1]), (int64_t)v[2], (int64_t)v[3] };
	d->p->lines.n++;
	return 0;
}

static int read_location(struct decoder *d, struct slice in)
{
	struct profile_location *l = GROW(d, &d->p->locations, 1);
	if (!l)
		return no_room(d);
	*l = (struct profile_location){ .line_at = (uint32_t)d->p->lines.n };
	uint64_t v[6] = { 0 };
	struct cursor c = cursor_of(in);
	struct pb_field f = { 0 };
	while (next_field(&c, &f)) {
		if (f.number - 1 >= 5)
			continue;
		if (f.wire != (f.number == 4 ? PB_LEN : PB_VARINT))
			return wrong_wire(d, "the location", &f);
		int e = f.number == 4 ? read_line(d, f.bytes) : 0;
		if (e)
			return e;
		v[f.number] = f.value;
	}
	if (c.bad)
		return malformed(d, "the location");
	if (!v[1])
		return error_set(d->err, ERR_FORMAT_MALFORMED,
		                 "the location at byte %zu has the reserved id 0", d->at);
	l->mapping = keep_id(d, v[2]);
	l->address = v[3];
	l->is_folded = v[5] != 0;
	l->n_lines = (uint32_t)(d->p->lines.n - l->line_at);
	d->p->locations.n++;
	return list_id(d, &d->locations, v[1]);
}

/* The numbers in a packed run; for short ones their upper bound, which costs less than counting. */
static size_t packed_count(struct slice run)
{
	if (run.len < 4096)
		return run.len;
	size_t n = 0;
	for (size_t i = 0; i < run.len; i++)
		n += run.data[i] < 0x80;
	return n + 1;
}

static int read_stack(struct decoder *d, struct slice run)
{
	if (!run.len)
		return 0;
	struct cursor c = cursor_of(run);
	uint32_t *to = GROW(d, &d->p->locs, packed_count(run)), *start = to;
	if (!to)
		return no_room(d);
	while (c.p < c.end)
		*to++ = keep_id(d, varint(&c));
	d->p->locs.n += (size_t)(to - start);
	return c.bad ? malformed(d, "the sample") : 0;
}

static int read_values(struct decoder *d, struct slice run)
{
	if (!run.len)
		return 0;
	struct cursor c = cursor_of(run);
	int64_t *to = GROW(d, &d->p->values, packed_count(run)), *start = to;
	if (!to)
		return no_room(d);
	while (c.p < c.end)
		*to++ = (int64_t)varint(&c);
	d->p->values.n += (size_t)(to - start);
	return c.bad ? malformed(d, "the sample") : 0;
}

/* One number that is not packed, read as a run of itself. */
static int read_unpacked(struct decoder *d, const struct pb_field *f)
{
	if (f->number == 1) {
		uint32_t *to = GROW(d, &d->p->locs, 1);
		if (!to)
			return no_room(d);
		*to = keep_id(d, f->value);
		d->p->locs.n++;
		return 0;
	}
	int64_t *to = GROW(d, &d->p->values, 1);
	if (!to)
		return no_room(d);
	*to = (int64_t)f->value;
	d->p->values.n++;
	return 0;
}

static int read_label(struct decoder *d, struct slice in)
{
	uint64_t v[5] = { 0 };
	int e = read_numbers(d, in, "a label of the sample", v, 4);
	if (e)
		return e;
	struct profile_label *l = GROW(d, &d->p->labels, 1);
	if (!l)
		return no_room(d);
	*l = (struct profile_label){
		.key = keep_string(d, v[1], "a label's key"),
		.str = keep_string(d, v[2], "a label's value"),
		.num = (int64_t)v[3],
		.num_unit = keep_string(d, v[4], "a label's unit"),
		.is_num = !v[2],
	};
	d->p->labels.n++;
	return 0;
}

static int read_sample_field(struct decoder *d, const struct pb_field *f)
{
	if (f->number - 1 >= 3)
		return 0;
	if (f->wire == PB_LEN)
		return f->number == 1 ? read_stack(d, f->bytes) :
		       f->number == 2 ? read_values(d, f->bytes) : read_label(d, f->bytes);
	if (f->wire == PB_VARINT && f->number != 3)
		return read_unpacked(d, f);
	return wrong_wire(d, "the sample", f);
}

/* Two profiles of one kind that were run together have all their types twice. */
static int run_together(const struct decoder *d)
{
	return error_set(d->err, ERR_FORMAT_MALFORMED,
	                 "concatenated profiles: %zu sample types for %zu values; compress each and append the gzip "
	                 "files, or write several files", d->p->types.n, d->n_values);
}

static int check_values(struct decoder *d, size_t n)
{
	size_t i = d->p->n_samples, types = d->p->types.n;
	if (!i)
		d->n_values = n;
	else if (n && n == d->n_values && types > n && !(types % n))
		return run_together(d);
	if (types && n != types)
		return error_set(d->err, ERR_FORMAT_MALFORMED,
		                 "sample %zu at byte %zu has %zu values for %zu sample types",
		                 i, d->at, n, types);
	if (n != d->n_values || n > d->max_types)
		return error_set(d->err, ERR_FORMAT_MALFORMED,
		                 "sample %zu at byte %zu has %zu values, the first one %zu",
		                 i, d->at, n, d->n_values);
	return 0;
}

/* Where the labels of the samples so far begin: zeros until one has any. */
static int mark_labels(struct decoder *d)
{
	struct profile *p = d->p;
	if (!p->labels.n)
		return 0;
	size_t more = p->n_samples + 2 - p->label_at.n;
	uint32_t *at = GROW(d, &p->label_at, more);
	if (!at)
		return no_room(d);
	memset(at, 0, (more - 1) * sizeof *at);
	at[more - 1] = (uint32_t)p->labels.n;
	p->label_at.n += more;
	return 0;
}

static int read_sample(struct decoder *d, struct slice in)
{
	struct profile *p = d->p;
	size_t values_at = p->values.n;
	struct cursor c = cursor_of(in);
	struct pb_field f = { 0 };
	while (next_field(&c, &f)) {
		int e = read_sample_field(d, &f);
		if (e)
			return e;
	}
	if (c.bad)
		return malformed(d, "the sample");
	int e = check_values(d, p->values.n - values_at);
	e = e ? e : mark_labels(d);
	uint32_t *at = GROW(d, &p->loc_at, 1);
	if (e || !at || p->n_samples >= WIDE)
		return e ? e : no_room(d);
	*at = (uint32_t)p->locs.n;
	p->loc_at.n++;
	p->n_samples++;
	return 0;
}

static int read_string(struct decoder *d, struct slice in)
{
	struct profile *p = d->p;
	if (!p->strings.n && in.len)
		return error_set(d->err, ERR_FORMAT_MALFORMED, "string 0 at byte %zu is not empty", d->at);
	if (p->strings.n >= d->max_strings)
		return error_set(d->err, ERR_FORMAT_LIMIT, "more than %zu strings", d->max_strings);
	struct str *s = GROW(d, &p->strings, 1);
	if (!s)
		return no_room(d);
	*s = (struct str){ (const char *)in.data, in.len };
	p->strings.n++;
	return 0;
}

static int read_comment(struct decoder *d, uint64_t index)
{
	uint32_t *to = GROW(d, &d->p->comments, 1);
	if (!to)
		return no_room(d);
	*to = keep_string(d, index, "a comment");
	d->p->comments.n++;
	return 0;
}

static int read_comments(struct decoder *d, const struct pb_field *f)
{
	if (f->wire == PB_VARINT)
		return read_comment(d, f->value);
	if (f->wire != PB_LEN)
		return wrong_wire(d, "the profile", f);
	struct cursor c = cursor_of(f->bytes);
	int e = 0;
	while (!e && c.p < c.end)
		e = read_comment(d, cursor_varint(&c));
	return c.bad ? malformed(d, "the list of comments") : e;
}

static int read_number(struct decoder *d, const struct pb_field *f)
{
	struct profile *p = d->p;
	if (f->wire != PB_VARINT)
		return wrong_wire(d, "the profile", f);
	switch (f->number) {
	case PROFILE_DROP_FRAMES:
		p->drop_frames = keep_string(d, f->value, "drop_frames");
		break;
	case PROFILE_KEEP_FRAMES:
		p->keep_frames = keep_string(d, f->value, "keep_frames");
		break;
	case PROFILE_TIME:
		if (p->time_ns)
			return error_set(d->err, ERR_FORMAT_MALFORMED,
			                 "concatenated profiles: a second time at byte %zu; compress each and "
			                 "append the gzip files, or write several files", d->at);
		p->time_ns = (int64_t)f->value;
		break;
	case PROFILE_DURATION:
		p->duration_ns = (int64_t)f->value;
		break;
	case PROFILE_PERIOD:
		p->period = (int64_t)f->value;
		break;
	case PROFILE_DEFAULT_TYPE:
		p->default_type = keep_string(d, f->value, "default_sample_type");
		break;
	case PROFILE_DOC_URL:
		p->doc_url = keep_string(d, f->value, "doc_url");
		break;
	}
	return 0;
}

static int read_message(struct decoder *d, const struct pb_field *f)
{
	if (f->wire != PB_LEN)
		return wrong_wire(d, "the profile", f);
	switch (f->number) {
	case PROFILE_SAMPLE_TYPE:
		return read_sample_type(d, f->bytes);
	case PROFILE_SAMPLE:
		return read_sample(d, f->bytes);
	case PROFILE_MAPPING:
		return read_mapping(d, f->bytes);
	case PROFILE_LOCATION:
		return read_location(d, f->bytes);
	case PROFILE_FUNCTION:
		return read_function(d, f->bytes);
	case PROFILE_STRING:
		return read_string(d, f->bytes);
	default:
		return read_type(d, f->bytes, &d->p->period_type);
	}
}

static int read_field(struct decoder *d, const struct pb_field *f)
{
	if (f->number - 1 < PROFILE_STRING || f->number == PROFILE_PERIOD_TYPE)
		return read_message(d, f);
	if (f->number == PROFILE_COMMENT)
		return read_comments(d, f);
	return f->number - 1 < PROFILE_FIELDS - 1 ? read_number(d, f) : 0;
}

/* The top-level field at d->at cannot be read: says why. */
static int explain(const struct decoder *d)
{
	struct cursor c = { d->in.data + d->at, d->in.data + d->in.len, false };
	size_t left = cursor_left(&c);
	uint64_t tag = cursor_varint(&c), wire = tag & 7, len = 0;
	bool short_number = c.bad && left < 10;
	if (!c.bad && tag <= UINT32_MAX && (wire == PB_VARINT || wire == PB_LEN)) {
		left = cursor_left(&c);
		len = cursor_varint(&c);
		short_number = c.bad && left < 10;
	}
	if (!c.bad && (wire == 3 || wire == 4))
		return error_set(d->err, ERR_FORMAT_MALFORMED,
		                 "a group at byte %zu, which no profile has", d->at);
	if (!c.bad && (wire > PB_I32 || tag > UINT32_MAX))
		return error_set(d->err, ERR_FORMAT_MALFORMED, "no protobuf field at byte %zu", d->at);
	if (c.bad && !short_number)
		return error_set(d->err, ERR_FORMAT_MALFORMED, "a number of over 10 bytes at byte %zu", d->at);
	if (len >= INT32_MAX)
		return error_set(d->err, ERR_FORMAT_MALFORMED,
		                 "the field at byte %zu cannot be %llu bytes long",
		                 d->at, (unsigned long long)len);
	return error_set(d->err, ERR_FORMAT_TRUNCATED,
	                 "the profile is cut short: the field at byte %zu is not whole", d->at);
}

static int read_profile(struct decoder *d)
{
	struct cursor c = cursor_of(d->in);
	struct pb_field f = { 0 };
	while (next_field(&c, &f)) {
		int e = read_field(d, &f);
		if (e)
			return e;
		d->at = (size_t)(c.p - d->in.data);
	}
	return c.bad ? explain(d) : 0;
}

static int equal_ids(const struct decoder *d, const char *what, uint64_t id)
{
	return error_set(d->err, ERR_FORMAT_MALFORMED,
	                 "two %ss have the id %llu (profiles run together?)", what, (unsigned long long)id);
}

static int map_direct(const struct decoder *d, struct id_map *m, const char *what, uint64_t greatest)
{
	m->n_direct = (size_t)greatest + 1;
	m->direct = malloc(m->n_direct * sizeof *m->direct);
	if (!m->direct)
		return no_room(d);
	memset(m->direct, 0xff, m->n_direct * sizeof *m->direct); /* PROFILE_NONE */
	for (size_t i = 0; i < m->list->n; i++) {
		uint64_t id = m->list->v.v[i];
		if (m->direct[id] != PROFILE_NONE)
			return equal_ids(d, what, id);
		m->direct[id] = (uint32_t)i;
	}
	return 0;
}

static inline uint32_t map_hash(const struct id_map *m, uint64_t id, uint64_t *ret_hash)
{
	*ret_hash = hash_mix(id, m->seed);
	for (struct idset_probe p = idset_probe(&m->set, *ret_hash); idset_next(&m->set, &p);)
		if (m->list->v.v[p.id] == id)
			return p.id;
	return PROFILE_NONE;
}

/* Makes the map of a table. Ids that are not much sparser than their number go into an array. */
static int map_ids(const struct decoder *d, const struct id_list *list, const char *what, struct id_map *m)
{
	*m = (struct id_map){ .list = list };
	if (!list->listed)
		return 0;
	uint64_t greatest = 0, hash;
	for (size_t i = 0; i < list->n; i++)
		greatest = MAX(greatest, list->v.v[i]);
	if (greatest / 8 <= list->n + 128)
		return map_direct(d, m, what, greatest);
	m->seed = hash_seed();
	for (size_t i = 0; i < list->n; i++) {
		if (map_hash(m, list->v.v[i], &hash) != PROFILE_NONE)
			return equal_ids(d, what, list->v.v[i]);
		if (idset_add(&m->set, hash, (uint32_t)i))
			return no_room(d);
	}
	return 0;
}

static inline uint32_t map_find(const struct id_map *m, uint64_t id)
{
	uint64_t hash;
	if (!m->list->listed)
		return id - 1 < m->list->n ? (uint32_t)(id - 1) : PROFILE_NONE;
	if (m->direct)
		return id < m->n_direct ? m->direct[id] : PROFILE_NONE;
	return map_hash(m, id, &hash);
}

/* Of the location with the line i. */
static size_t location_of_line(const struct profile *p, size_t i)
{
	for (size_t l = 0; l < p->locations.n; l++)
		if (i - p->locations.v[l].line_at < p->locations.v[l].n_lines)
			return l;
	return 0;
}

static int resolve_lines(struct decoder *d)
{
	_cleanup_(id_map_done) struct id_map map;
	int e = map_ids(d, &d->functions, "function", &map);
	if (e)
		return e;
	for (size_t i = 0; i < d->p->lines.n; i++) {
		struct profile_line *l = &d->p->lines.v[i];
		uint64_t id = kept_id(d, l->function);
		l->function = map_find(&map, id);
		if (l->function == PROFILE_NONE)
			return error_set(d->err, ERR_FORMAT_REFERENCE,
			                 "location %zu has a line of function %llu, which the profile does not hold",
			                 location_of_line(d->p, i), (unsigned long long)id);
	}
	return 0;
}

static int resolve_mappings(struct decoder *d)
{
	_cleanup_(id_map_done) struct id_map map;
	int e = map_ids(d, &d->mappings, "mapping", &map);
	if (e)
		return e;
	for (size_t i = 0; i < d->p->locations.n; i++) {
		struct profile_location *l = &d->p->locations.v[i];
		uint64_t id = kept_id(d, l->mapping);
		l->mapping = id ? map_find(&map, id) : PROFILE_NONE;
		if (id && l->mapping == PROFILE_NONE)
			profile_warn(d->p, "location %zu refers to mapping %llu, which the profile does not hold", i,
			             (unsigned long long)id);
	}
	return 0;
}

static int dangling_location(const struct decoder *d, size_t i, uint64_t id)
{
	size_t sample = 0, at = 0;
	while (d->p->loc_at.v[sample + 1] <= i)
		sample++;
	struct cursor c = cursor_of(d->in);
	struct pb_field f = { 0 };
	for (size_t n = 0; n <= sample; n += f.number == PROFILE_SAMPLE) {
		at = (size_t)(c.p - d->in.data);
		if (!next_field(&c, &f))
			break;
	}
	return error_set(d->err, ERR_FORMAT_REFERENCE,
	                 "sample %zu at byte %zu refers to location %llu, which the profile does not hold", sample, at,
	                 (unsigned long long)id);
}

/* The common case: ids are rows + 1. Written for the vectoriser; returns whether all were in range. */
static bool resolve_plain(uint32_t *v, size_t n, size_t rows)
{
	uint32_t most = 0;
	for (size_t i = 0; i < n; i++) {
		uint32_t row = v[i] - 1;
		most = MAX(most, row);
	}
	if (n && most >= rows)
		return false;
	for (size_t i = 0; i < n; i++)
		v[i]--;
	return true;
}

static int resolve_stacks(struct decoder *d)
{
	_cleanup_(id_map_done) struct id_map map;
	int e = map_ids(d, &d->locations, "location", &map);
	if (e || (!d->locations.listed && resolve_plain(d->p->locs.v, d->p->locs.n, d->p->locations.n)))
		return e;
	for (size_t i = 0; i < d->p->locs.n; i++) {
		uint64_t id = kept_id(d, d->p->locs.v[i]);
		uint32_t row = map_find(&map, id);
		if (row == PROFILE_NONE)
			return dangling_location(d, i, id);
		d->p->locs.v[i] = row;
	}
	return 0;
}

static int check_strings(const struct decoder *d)
{
	size_t n = d->p->strings.n;
	if (d->failed)
		return d->failed;
	if (!n)
		return error_set(d->err, ERR_FORMAT_TRUNCATED,
		                 "no string table: the profile is cut short, or no pprof");
	if (d->last_string.index >= n)
		return error_set(d->err, ERR_FORMAT_REFERENCE,
		                 "%s, in the field at byte %zu, is string %lld of %zu",
		                 d->last_string.field, d->last_string.at, (long long)d->last_string.index, n);
	return 0;
}

static int check_types(const struct decoder *d)
{
	const struct profile *p = d->p;
	if (!p->types.n)
		return error_set(d->err, ERR_FORMAT_MALFORMED, "the profile has no sample types");
	if (p->n_samples && d->n_values != p->types.n)
		return error_set(d->err, ERR_FORMAT_MALFORMED,
		                 "samples have %zu values for %zu sample types", d->n_values, p->types.n);
	return 0;
}

static int pprof_decode(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	_cleanup_(decoder_done) struct decoder d = {
		.in = in, .p = p, .err = err,
		.max_model = format_max_model(opts),
		.max_strings = MIN(MAX(format_max_bytes(opts) / BYTES_PER_STRING, MIN_STRINGS), (size_t)WIDE),
		.max_types = opts->max_types ? opts->max_types : FORMAT_MAX_TYPES,
	};
	p->strings.n = 0;
	uint32_t *start = VEC_PUSH(&p->loc_at);
	if (!start)
		return no_room(&d);
	*start = 0;
	int e = read_profile(&d);
	e = e ? e : check_strings(&d);
	e = e ? e : check_types(&d);
	e = e ? e : resolve_lines(&d);
	e = e ? e : resolve_mappings(&d);
	return e ? e : resolve_stacks(&d);
}

static bool is_ascii_text(struct slice head)
{
	for (size_t i = 0; i < head.len && i < 4096; i++)
		if (head.data[i] >= 0x80)
			return false;
	return judge_is_text(head);
}

/*
 * Every field that opens a pprof is known and of its right type, and a message or a string is among them. Text is none:
 * string 0 alone, "", puts a control character into every profile.
 */
static enum format_verdict pprof_sniff(struct slice head, bool whole)
{
	if (head.len >= (whole ? 1 : 3) && is_ascii_text(head))
		return FORMAT_NO;
	static const uint8_t wires[PROFILE_FIELDS] = { [PROFILE_SAMPLE_TYPE] = PB_LEN, [PROFILE_SAMPLE] = PB_LEN,
		[PROFILE_MAPPING] = PB_LEN, [PROFILE_LOCATION] = PB_LEN, [PROFILE_FUNCTION] = PB_LEN,
		[PROFILE_STRING] = PB_LEN, [PROFILE_PERIOD_TYPE] = PB_LEN };
	struct cursor c = cursor_of(head);
	struct pb_field f = { 0 };
	do {
		struct cursor ahead = c;
		uint64_t tag = cursor_varint(&ahead), number = tag >> 3, wire = tag & 7;
		if (ahead.bad)
			break;
		bool known = number - 1 < PROFILE_FIELDS - 1;
		if (known && wire == PB_LEN && (wires[number] == PB_LEN || number == PROFILE_COMMENT))
			return FORMAT_MAYBE;
		if (wire == 3 || wire == 4 || wire > PB_I32 || tag > UINT32_MAX || (known && wire != wires[number]))
			return FORMAT_NO;
	} while (pb_next(&c, &f));
	return whole ? FORMAT_NO : FORMAT_MAYBE;
}

const struct format format_pprof = { "pprof", pprof_sniff, pprof_decode };

/* SPDX-License-Identifier: MIT */

/*
 * The layouts of OTLP profiles on the wire. Nothing in a request names its version, and fields moved:
 *
 *     1.5, 1.6   tables inside each profile
 *     1.7        a dictionary for all; profiles renumbered
 *     1.8        stack table, one type a profile
 *     1.9        a profile's comments gone, so that what follows them moved; samples as in 1.8
 *     1.10 on    samples renumbered: attributes 2, link 3, values 4 instead of values 2, attributes 3, link 4
 *
 * The first three are told by which tables there are. The last two look alike on the wire, so both readings of all
 * samples are tried, and one that does not hold together is dropped: a single field that is packed or repeats, an index
 * beyond its table, a sample with neither values nor times where the other reading has some. What reads well both ways
 * is taken as the newest; what reads well neither way is refused.
 */

#include "otlp.h"

#define NUMBERS_MAX ((size_t)1 << 24) /* of one list of one sample */

#define TABLES_1_8                                                                                         \
	{ [1] = TABLE_MAPPING, [2] = TABLE_LOCATION, [3] = TABLE_FUNCTION, [4] = TABLE_LINK, [5] = TABLE_STRING, \
	  [6] = TABLE_ATTRIBUTE, [7] = TABLE_STACK }
#define PROFILE_1_8                                                                                        \
	[1] = PROFILE_TYPE, [2] = PROFILE_SAMPLES, [3] = PROFILE_TIME, [4] = PROFILE_DURATION,              \
	[5] = PROFILE_PERIOD_TYPE, [6] = PROFILE_PERIOD
#define SAMPLE_1_8                                                                                         \
	{ [1] = SAMPLE_STACK, [2] = SAMPLE_VALUES, [3] = SAMPLE_ATTRIBUTES, [4] = SAMPLE_LINK, [5] = SAMPLE_TIMES }
#define PROFILE_1_9                                                                                        \
	{ PROFILE_1_8, [7] = PROFILE_ID, [8] = PROFILE_DROPPED, [9] = PROFILE_PAYLOAD_FORMAT,               \
	  [10] = PROFILE_PAYLOAD, [11] = PROFILE_ATTRIBUTES }
#define SAMPLE_1_5                                                                                         \
	{ [1] = SAMPLE_START, [2] = SAMPLE_LENGTH, [3] = SAMPLE_VALUES, [4] = SAMPLE_ATTRIBUTES, [5] = SAMPLE_LINK, \
	  [6] = SAMPLE_TIMES }

const struct otlp_layout otlp_1_6 = {
	.name = "1.6", .own_tables = true, .is_old = true, .location_attributes = 5,
	.tables = { [3] = TABLE_MAPPING, [4] = TABLE_LOCATION, [6] = TABLE_FUNCTION, [7] = TABLE_ATTRIBUTE,
		    [8] = TABLE_UNIT, [9] = TABLE_LINK, [10] = TABLE_STRING },
	.profile = { [1] = PROFILE_TYPE, [2] = PROFILE_SAMPLES, [5] = PROFILE_LOCATIONS, [11] = PROFILE_TIME,
		     [12] = PROFILE_DURATION, [13] = PROFILE_PERIOD_TYPE, [14] = PROFILE_PERIOD,
		     [15] = PROFILE_COMMENTS, [17] = PROFILE_ID, [19] = PROFILE_DROPPED,
		     [20] = PROFILE_PAYLOAD_FORMAT, [21] = PROFILE_PAYLOAD, [22] = PROFILE_ATTRIBUTES },
	.sample = SAMPLE_1_5,
};

const struct otlp_layout otlp_1_7 = {
	.name = "1.7", .is_old = true, .location_attributes = 5,
	.tables = { [1] = TABLE_MAPPING, [2] = TABLE_LOCATION, [3] = TABLE_FUNCTION, [4] = TABLE_LINK,
		    [5] = TABLE_STRING, [6] = TABLE_ATTRIBUTE, [7] = TABLE_UNIT },
	.profile = { [1] = PROFILE_TYPE, [2] = PROFILE_SAMPLES, [3] = PROFILE_LOCATIONS, [4] = PROFILE_TIME,
		     [5] = PROFILE_DURATION, [6] = PROFILE_PERIOD_TYPE, [7] = PROFILE_PERIOD, [8] = PROFILE_COMMENTS,
		     [10] = PROFILE_ID, [11] = PROFILE_DROPPED, [12] = PROFILE_PAYLOAD_FORMAT,
		     [13] = PROFILE_PAYLOAD, [14] = PROFILE_ATTRIBUTES },
	.sample = SAMPLE_1_5,
};

const struct otlp_layout otlp_1_8 = {
	.name = "1.8", .tables = TABLES_1_8, .sample = SAMPLE_1_8, .location_attributes = 4,
	.profile = { PROFILE_1_8, [7] = PROFILE_COMMENTS, [8] = PROFILE_ID, [9] = PROFILE_DROPPED,
		     [10] = PROFILE_PAYLOAD_FORMAT, [11] = PROFILE_PAYLOAD, [12] = PROFILE_ATTRIBUTES },
};

const struct otlp_layout otlp_1_9 = {
	.name = "1.9", .tables = TABLES_1_8, .profile = PROFILE_1_9, .sample = SAMPLE_1_8, .location_attributes = 4,
};

const struct otlp_layout otlp_1_10 = {
	.name = "1.10", .tables = TABLES_1_8, .profile = PROFILE_1_9, .location_attributes = 4,
	.sample = { [1] = SAMPLE_STACK, [2] = SAMPLE_ATTRIBUTES, [3] = SAMPLE_LINK, [4] = SAMPLE_VALUES,
		    [5] = SAMPLE_TIMES },
};

/* ---- walking ---- */

static bool next_message(struct otlp_walk *w, struct cursor *c, uint32_t number, struct slice *ret)
{
	struct pb_field f = { 0 };
	while (pb_next(c, &f)) {
		if (f.number == number && f.wire == PB_LEN) {
			*ret = f.bytes;
			return true;
		}
		w->bad |= f.number == number;
	}
	w->bad |= c->bad;
	return false;
}

void otlp_walk_start(struct otlp_walk *w, struct slice request)
{
	*w = (struct otlp_walk){ .request = cursor_of(request) };
	w->resource = w->scope = cursor_of((struct slice){ request.data + request.len, 0 });
}

bool otlp_walk_next(struct otlp_walk *w, struct slice *ret_profile)
{
	for (;;) {
		if (next_message(w, &w->scope, 2, ret_profile))
			return !w->bad;
		if (next_message(w, &w->resource, 2, &w->scope_message)) {
			w->scope = cursor_of(w->scope_message);
		} else if (next_message(w, &w->request, 1, &w->resource_message)) {
			w->resource = cursor_of(w->resource_message);
		} else {
			return false;
		}
	}
}

/* ---- samples ---- */

void otlp_sample_done(struct otlp_sample *s)
{
	VEC_DONE(&s->values);
	VEC_DONE(&s->attributes);
	VEC_DONE(&s->times);
}

static int push(struct otlp_numbers *to, uint64_t v, struct error *err)
{
	if (to->n >= NUMBERS_MAX)
		return error_set(err, ERR_FORMAT_LIMIT, "a sample has a list of more than %zu numbers", NUMBERS_MAX);
	uint64_t *slot = VEC_PUSH(to);
	if (!slot)
		return error_set(err, -ENOMEM, "no memory for a sample");
	*slot = v;
	return 0;
}

int otlp_numbers(const struct pb_field *f, bool fixed, struct otlp_numbers *to, struct error *err)
{
	if (f->wire != PB_LEN)
		return push(to, f->value, err);
	struct cursor c = cursor_of(f->bytes);
	int e = 0;
	while (!e && c.p < c.end)
		e = push(to, fixed ? cursor_u64(&c) : cursor_varint(&c), err);
	return e || !c.bad ? e : error_set(err, ERR_FORMAT_MALFORMED, "a list of numbers is malformed");
}

static void read_single(struct otlp_sample *s, const struct pb_field *f, uint64_t *to, unsigned *seen)
{
	s->is_odd |= f->wire != PB_VARINT || *seen & 1u << f->number;
	*seen |= 1u << f->number;
	*to = f->wire == PB_VARINT ? f->value : 0;
}

static int read_sample_field(struct otlp_sample *s, const struct otlp_layout *layout, const struct pb_field *f,
                             unsigned *seen, struct error *err)
{
	switch (f->number < ARRAY_SIZE(layout->sample) ? layout->sample[f->number] : SAMPLE_NOTHING) {
	case SAMPLE_STACK:
		read_single(s, f, &s->stack, seen);
		return 0;
	case SAMPLE_START:
		read_single(s, f, &s->start, seen);
		return 0;
	case SAMPLE_LENGTH:
		read_single(s, f, &s->length, seen);
		return 0;
	case SAMPLE_LINK:
		read_single(s, f, &s->link, seen);
		s->has_link = true;
		return 0;
	case SAMPLE_VALUES:
		return otlp_numbers(f, false, &s->values, err);
	case SAMPLE_ATTRIBUTES:
		return otlp_numbers(f, false, &s->attributes, err);
	case SAMPLE_TIMES:
		return otlp_numbers(f, !layout->is_old, &s->times, err);
	default:
		return 0;
	}
}

int otlp_sample_read(struct slice message, const struct otlp_layout *layout, struct otlp_sample *s, struct error *err)
{
	s->stack = s->start = s->length = s->link = 0;
	s->has_link = s->is_odd = false;
	s->values.n = s->attributes.n = s->times.n = 0;
	struct cursor c = cursor_of(message);
	struct pb_field f = { 0 };
	unsigned seen = 0;
	while (pb_next(&c, &f)) {
		int e = read_sample_field(s, layout, &f, &seen, err);
		if (e)
			return e;
	}
	return c.bad ? error_set(err, ERR_FORMAT_MALFORMED, "a sample is malformed or cut short") : 0;
}

/* ---- telling them apart ---- */

struct reading {
	const struct otlp_layout *layout;
	struct otlp_sample sample;
	bool has_data;
	const char *against; /* the first thing; NULL */
};

/* What speaks against a reading of one sample, but for its lack of data. */
static const char *fault_of(const struct otlp_sample *s, const struct otlp_dict *dict)
{
	struct slice row;
	if (s->is_odd)
		return "a field that stands once is packed or repeats";
	for (size_t i = 0; i < s->attributes.n; i++)
		if (!otlp_dict_row(dict, TABLE_ATTRIBUTE, s->attributes.v[i], &row))
			return "an attribute beyond its table";
	return otlp_dict_row(dict, TABLE_LINK, s->link, &row) ? NULL : "a link beyond its table";
}

static int try_reading(struct reading *r, struct slice sample, const struct otlp_dict *dict, struct error *err)
{
	struct error why = { 0 };
	int e = otlp_sample_read(sample, r->layout, &r->sample, &why);
	if (e && e != ERR_FORMAT_MALFORMED) {
		if (err)
			*err = why;
		return e;
	}
	const char *against = e ? "a list of numbers that is none" : fault_of(&r->sample, dict);
	r->has_data = e || r->sample.values.n || r->sample.times.n;
	r->against = r->against ? r->against : against;
	return 0;
}

static int try_sample(struct reading r[2], struct slice sample, const struct otlp_dict *dict, struct error *err)
{
	int e = try_reading(&r[0], sample, dict, err);
	e = e ? e : try_reading(&r[1], sample, dict, err);
	for (size_t i = 0; !e && i < 2; i++)
		if (!r[i].has_data && r[!i].has_data && !r[i].against)
			r[i].against = "a sample with neither values nor times";
	return e;
}

/* What the fields of profiles tell: 1.7 has a list of locations as field 3; 1.8 has comments. */
struct hints {
	bool samples, locations, comments;
};

static int try_profile(struct slice profile, struct reading r[2], const struct otlp_dict *dict, struct hints *hints,
                       struct error *err)
{
	struct cursor c = cursor_of(profile);
	struct pb_field f = { 0 };
	int e = 0;
	while (!e && pb_next(&c, &f)) {
		if (f.number == 2 && f.wire == PB_LEN) {
			hints->samples = true;
			e = try_sample(r, f.bytes, dict, err);
		}
		hints->locations |= f.number == 3 && f.wire == PB_LEN;
		hints->comments |= f.number == 12 || (f.number == 8 && f.wire == PB_LEN) ||
		                   (f.number == 9 && f.wire == PB_VARINT);
	}
	return e || !c.bad ? e : error_set(err, ERR_FORMAT_MALFORMED, "a profile is malformed or cut short");
}

static int decide(const struct reading r[2], const struct hints *hints, const struct otlp_dict *dict, bool has_dict,
                  const struct otlp_layout **ret, struct error *err)
{
	if (hints->samples && !has_dict) {
		*ret = &otlp_1_6;
	} else if (hints->locations || (hints->samples && !dict->rows[TABLE_STACK].n)) {
		*ret = &otlp_1_7;
	} else if (!r[0].against) {
		*ret = r[0].layout;
	} else if (!r[1].against) {
		*ret = hints->comments ? &otlp_1_8 : &otlp_1_9;
	} else {
		return error_set(err, ERR_FORMAT_MALFORMED,
		                 "which layout of OTLP profiles it is cannot be told: as 1.10 and later it has %s, as "
		                 "1.8 and 1.9 %s", r[0].against, r[1].against);
	}
	return 0;
}

int otlp_layout_find(struct slice request, const struct otlp_dict *dict, bool has_dict,
                     const struct otlp_layout **ret, struct error *err)
{
	struct reading r[2] = { { .layout = &otlp_1_10 }, { .layout = &otlp_1_9 } };
	struct hints hints = { 0 };
	struct otlp_walk w;
	struct slice profile;
	int e = 0;
	otlp_walk_start(&w, request);
	while (!e && otlp_walk_next(&w, &profile))
		e = try_profile(profile, r, dict, &hints, err);
	if (!e && w.bad)
		e = error_set(err, ERR_FORMAT_MALFORMED, "the request is malformed or cut short");
	e = e ? e : decide(r, &hints, dict, has_dict, ret, err);
	otlp_sample_done(&r[0].sample);
	otlp_sample_done(&r[1].sample);
	return e;
}

/* SPDX-License-Identifier: MIT */
#pragma once

/* The state of decoding one OTLP request: otlp.c walks it, otlp_profile.c fills profiles. */

#include "otlp.h"

#define OTLP_SERVICE STR("service.name")
#define OTLP_FRAME_TYPE STR("profile.frame.type")

struct otlp_attribute {
	bool is_read;
	struct str key, unit;
	struct otlp_value value;
	uint32_t gen; /* of the translation */
	struct profile_label label;
};

/* A mapping or location: its place in the profile `gen`, and which attributes its samples get for it. */
struct otlp_row {
	uint32_t gen, id;
	size_t extra_at, n_extras;
};

/* 1.7 names the units of attributes in a table of their own. */
struct otlp_unit {
	struct str key, unit;
};

/* What a profile says beside its samples. */
struct otlp_head {
	VEC(struct slice) types;
	size_t n_types;
	uint64_t time, duration, dropped;
	int64_t period;
	struct slice period_type, id, payload_format, payload;
	struct otlp_numbers attributes, comments, locations;
};

/* A sample and, where samples name services, which. */
struct otlp_member {
	uint32_t service; /* in services */
	struct slice message;
};

struct otlp {
	struct slice in;
	const struct format_options *opts;
	const struct format_sink *sink;
	struct error *err;
	const struct otlp_layout *layout;
	struct otlp_dict dict;
	bool is_copy; /* the bytes are the decoder's: strings are copied into profiles */
	struct arena arena;
	struct otlp_attribute *attributes, no_attribute;
	struct otlp_row *mappings, *locations;
	size_t n_attributes;
	bool names_services; /* some attribute is service.name */
	VEC(struct otlp_unit) units;
	struct idset unit_set;
	VEC(uint64_t) extras;
	size_t n_sample_extras; /* of the sample that is being made */
	uint32_t gen;
	uint64_t seed;
	/* of the profile */
	struct otlp_head head;
	struct otlp_sample sample;
	VEC(struct otlp_member) members;
	VEC(struct str) services; /* 0: the resource's */
	bool scope_has_cpu, derives_cpu, sink_failed;
	struct slice resource_message, scope_message;
	struct decoded decoded;
	struct maker maker;
};

int otlp_read_units(struct otlp *o);
int otlp_attribute(struct otlp *o, uint64_t i, struct otlp_attribute **ret);
/* Adds a sample to the maker's profile: several where it has several times. */
int otlp_put_sample(struct otlp *o, const struct otlp_sample *s);

/* The labels and the service of the current profile, as the resource, the scope and itself have them. */
int otlp_put_labels(struct otlp *o);
/* Hands over what the current profile was before it was OTLP. An error is the sink's where sink_failed says so. */
int otlp_decode_payload(struct otlp *o);

/* "WHAT is ROW of N". */
int otlp_beyond(struct otlp *o, const char *what, uint64_t row, enum otlp_table table);

/* The message's varints by field number (below n), the last of each; what else it holds is passed over. */
static inline int otlp_varints(struct otlp *o, struct slice message, const char *what, uint64_t *v, size_t n)
{
	struct cursor c = cursor_of(message);
	struct pb_field f = { 0 };
	while (pb_next(&c, &f))
		if (f.number < n && f.wire == PB_VARINT)
			v[f.number] = f.value;
	return c.bad ? error_set(o->err, ERR_FORMAT_MALFORMED, "%s is malformed", what) : 0;
}

static inline int otlp_string(struct otlp *o, uint64_t i, const char *what, struct str *ret)
{
	return otlp_dict_string(&o->dict, i, ret) ? 0 : otlp_beyond(o, what, i, TABLE_STRING);
}

static inline uint32_t otlp_keep(struct otlp *o, struct str s)
{
	return o->is_copy ? make_copy(&o->maker, s) : make_string(&o->maker, s);
}

/* For what does not copy itself: a text that lives as long as the profile. "" where there is no room. */
struct str otlp_text(struct otlp *o, struct str s);

static inline struct str otlp_copied(struct otlp *o, struct str s)
{
	return o->is_copy ? otlp_text(o, s) : s;
}

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of the OTLP decoder share. otlp.c walks a request and makes profiles, otlp_layout.c tells the layouts
 * apart, otlp_dict.c finds the rows of the tables, otlp_value.c makes text of attributes, otlp_json.c makes protobuf of
 * JSON.
 */

#include "../wire/pb.h"
#include "internal.h"
#include "make.h"

enum otlp_table { TABLE_NONE, TABLE_MAPPING, TABLE_LOCATION, TABLE_FUNCTION, TABLE_LINK, TABLE_STRING, TABLE_ATTRIBUTE,
	TABLE_STACK, TABLE_UNIT, OTLP_TABLES };

enum otlp_profile_field { PROFILE_NOTHING, PROFILE_TYPE, PROFILE_SAMPLES, PROFILE_LOCATIONS, PROFILE_TIME,
	PROFILE_DURATION, PROFILE_PERIOD_TYPE, PROFILE_PERIOD, PROFILE_COMMENTS, PROFILE_ID, PROFILE_DROPPED,
	PROFILE_PAYLOAD_FORMAT, PROFILE_PAYLOAD, PROFILE_ATTRIBUTES };

enum otlp_sample_field { SAMPLE_NOTHING, SAMPLE_STACK, SAMPLE_START, SAMPLE_LENGTH, SAMPLE_VALUES, SAMPLE_ATTRIBUTES,
	SAMPLE_LINK, SAMPLE_TIMES };

/* One wire layout: what the fields of its messages are. */
struct otlp_layout {
	const char *name;
	bool own_tables;  /* in each profile, not in the request */
	bool is_old;      /* up to 1.7: row 0 is a row like others, several types, a stack is a part of one list */
	uint8_t tables[12];  /* field of the dictionary (or the profile): enum otlp_table */
	uint8_t profile[24]; /* enum otlp_profile_field */
	uint8_t sample[8];   /* enum otlp_sample_field */
	uint8_t location_attributes;
};

extern const struct otlp_layout otlp_1_6, otlp_1_7, otlp_1_8, otlp_1_9, otlp_1_10;

/* Walks the profiles of a request. */
struct otlp_walk {
	struct cursor request, resource, scope;
	struct slice resource_message, scope_message; /* around the last profile */
	bool bad;
};

void otlp_walk_start(struct otlp_walk *w, struct slice request);
bool otlp_walk_next(struct otlp_walk *w, struct slice *ret_profile);

/* ---- tables ---- */

struct otlp_dict {
	VEC(struct slice) rows[OTLP_TABLES];
	size_t bytes, max_bytes;
};

void otlp_dict_done(struct otlp_dict *d);
void otlp_dict_clear(struct otlp_dict *d);
/* Adds the rows of a dictionary (or of a profile with tables of its own). */
int otlp_dict_read(struct otlp_dict *d, struct slice message, const struct otlp_layout *layout, struct error *err);
/* A row of a table without rows is empty where it is the first. */
bool otlp_dict_row(const struct otlp_dict *d, enum otlp_table table, uint64_t i, struct slice *ret);
bool otlp_dict_string(const struct otlp_dict *d, uint64_t i, struct str *ret);

/* ---- samples ---- */

struct otlp_numbers {
	uint64_t *v;
	size_t n, cap;
};

struct otlp_sample {
	uint64_t stack, start, length, link;
	bool has_link;
	bool is_odd; /* a field that stands once is repeated or packed */
	struct otlp_numbers values, attributes, times;
};

void otlp_sample_done(struct otlp_sample *s);
int otlp_sample_read(struct slice message, const struct otlp_layout *layout, struct otlp_sample *ret,
                     struct error *err);

/* Numbers of a repeated field: packed (as varints, or as 8 bytes where fixed), or one of them. Appends. */
int otlp_numbers(const struct pb_field *f, bool fixed, struct otlp_numbers *to, struct error *err);

/*
 * The layout of a request. ERR_FORMAT_MALFORMED where it cannot be told, with the reason that speaks against each.
 * dict is the request's dictionary as the new layouts have it; has_dict tells whether there is any.
 */
int otlp_layout_find(struct slice request, const struct otlp_dict *dict, bool has_dict,
                     const struct otlp_layout **ret, struct error *err);

/* ---- attributes ---- */

enum otlp_value_kind { VALUE_NONE, VALUE_TEXT, VALUE_NUMBER };

struct otlp_value {
	enum otlp_value_kind kind;
	struct str text; /* of a number too; borrowed from the input or the arena */
	int64_t number;
};

/* AnyValue: a number where it is an integer, else text. Strings that are indices are looked up. */
int otlp_value(const struct otlp_dict *dict, struct slice any, struct arena *arena, struct otlp_value *ret,
               struct error *err);
/* KeyValue. */
int otlp_key_value(const struct otlp_dict *dict, struct slice message, struct arena *arena, struct str *ret_key,
                   struct otlp_value *ret, struct error *err);

/* A request in JSON, as protobuf of layout 1.10, within a frame that otlp_json_request() takes off. */
int otlp_json(struct slice in, const struct format_options *opts, struct buf *out, struct error *err);

static inline struct slice otlp_json_request(const struct buf *b)
{
	return (struct slice){ b->data + 6, b->len - 6 };
}

/* SPDX-License-Identifier: MIT */

/*
 * Attributes as text, by the rules that OpenTelemetry has for others than itself: strings as they are, booleans and
 * numbers as in JSON, bytes as base64, lists and maps as JSON.
 */

#include <math.h>

#include "../wire/base64.h"
#include "../wire/jsonw.h"
#include "otlp.h"

#define DEPTH_MAX 32                   /* lists and maps within each other; deeper ones are null */
#define TEXT_MAX ((size_t)1 << 20)

/* The field of an AnyValue that holds: the last that is known. Number 0 where there is none. */
static struct pb_field value_field(struct slice any)
{
	struct cursor c = cursor_of(any);
	struct pb_field f = { 0 }, last = { 0 };
	static const uint8_t wires[] = { 0, PB_LEN, PB_VARINT, PB_VARINT, PB_I64, PB_LEN, PB_LEN, PB_LEN, PB_VARINT };
	while (pb_next(&c, &f))
		if (f.number && f.number < ARRAY_SIZE(wires) && f.wire == (enum pb_wire)wires[f.number])
			last = f;
	return last;
}

static double as_double(uint64_t bits)
{
	double v;
	memcpy(&v, &bits, sizeof v);
	return v;
}

enum { ANY_STRING = 1, ANY_BOOL, ANY_INT, ANY_DOUBLE, ANY_ARRAY, ANY_KVLIST, ANY_BYTES, ANY_STRINDEX };

/* A list or map that is being written. */
struct level {
	struct cursor c;
	bool is_map;
};

struct writer {
	const struct otlp_dict *dict;
	struct jsonw *json;
	struct level levels[DEPTH_MAX];
	size_t depth;
};

static void open_level(struct writer *w, const struct pb_field *f)
{
	if (w->depth == DEPTH_MAX) {
		jsonw_double(w->json, HUGE_VAL);
		return;
	}
	w->levels[w->depth++] = (struct level){ cursor_of(f->bytes), f->number == ANY_KVLIST };
	if (f->number == ANY_KVLIST)
		jsonw_object(w->json);
	else
		jsonw_array(w->json);
}

static struct str text_of(const struct otlp_dict *dict, const struct pb_field *f)
{
	struct str s = { (const char *)f->bytes.data, f->bytes.len };
	if (f->number == ANY_STRINDEX)
		otlp_dict_string(dict, f->value, &s);
	return s;
}

static void write_bytes(struct jsonw *json, struct slice s)
{
	_buf_ struct buf text = BUF_INIT(TEXT_MAX);
	base64_put(&text, s);
	jsonw_strn(json, (struct str){ (const char *)text.data, text.len });
}

static void write_value(struct writer *w, struct slice any)
{
	struct pb_field f = value_field(any);
	switch (f.number) {
	case ANY_STRING:
	case ANY_STRINDEX:
		jsonw_strn(w->json, text_of(w->dict, &f));
		break;
	case ANY_BOOL:
		jsonw_bool(w->json, f.value != 0);
		break;
	case ANY_INT:
		jsonw_i64(w->json, (int64_t)f.value);
		break;
	case ANY_DOUBLE:
		jsonw_double(w->json, as_double(f.value));
		break;
	case ANY_BYTES:
		write_bytes(w->json, f.bytes);
		break;
	case ANY_ARRAY:
	case ANY_KVLIST:
		open_level(w, &f);
		break;
	default:
		jsonw_double(w->json, HUGE_VAL); /* null */
	}
}

/* Key and value of a KeyValue. */
static struct slice split_key_value(const struct otlp_dict *dict, struct slice message, struct str *ret_key)
{
	struct cursor c = cursor_of(message);
	struct pb_field f = { 0 };
	struct slice value = { NULL, 0 };
	*ret_key = STR("");
	while (pb_next(&c, &f)) {
		if (f.number == 1 && f.wire == PB_LEN && f.bytes.len)
			*ret_key = (struct str){ (const char *)f.bytes.data, f.bytes.len };
		else if (f.number == 2 && f.wire == PB_LEN)
			value = f.bytes;
		else if (f.number == 3 && f.wire == PB_VARINT && f.value)
			otlp_dict_string(dict, f.value, ret_key);
	}
	return value;
}

static void write_member(struct writer *w, bool is_map, struct slice message)
{
	struct str key;
	if (is_map) {
		message = split_key_value(w->dict, message, &key);
		jsonw_keyn(w->json, key);
	}
	write_value(w, message);
}

static void write_levels(struct writer *w)
{
	while (w->depth && !w->json->out->err) {
		struct level *l = &w->levels[w->depth - 1];
		struct pb_field f = { 0 };
		if (pb_next(&l->c, &f)) {
			if (f.number == 1 && f.wire == PB_LEN)
				write_member(w, l->is_map, f.bytes);
			continue;
		}
		w->depth--;
		if (l->is_map)
			jsonw_end_object(w->json);
		else
			jsonw_end_array(w->json);
	}
}

static int make_text(const struct otlp_dict *dict, const struct pb_field *f, struct buf *out)
{
	struct jsonw json = JSONW(out);
	json.compact = true;
	struct writer w = { .dict = dict, .json = &json };
	if (f->number == ANY_BYTES) {
		base64_put(out, f->bytes);
	} else if (f->number == ANY_BOOL) {
		jsonw_bool(&json, f->value != 0);
	} else if (f->number == ANY_INT) {
		buf_i64(out, (int64_t)f->value);
	} else if (f->number == ANY_DOUBLE && as_double(f->value) - as_double(f->value) != 0) {
		buf_puts(out, as_double(f->value) > 0 ? "Infinity" : as_double(f->value) < 0 ? "-Infinity" : "NaN");
	} else if (f->number == ANY_DOUBLE) {
		jsonw_double(&json, as_double(f->value));
	} else {
		open_level(&w, f);
		write_levels(&w);
	}
	return buf_err(out);
}

int otlp_value(const struct otlp_dict *dict, struct slice any, struct arena *arena, struct otlp_value *ret,
               struct error *err)
{
	struct pb_field f = value_field(any);
	*ret = (struct otlp_value){ .kind = VALUE_TEXT, .text = STR("") };
	if (!f.number) {
		ret->kind = VALUE_NONE;
		return 0;
	}
	if (f.number == ANY_STRING || f.number == ANY_STRINDEX) {
		ret->text = text_of(dict, &f);
		return 0;
	}
	_buf_ struct buf text = BUF_INIT(TEXT_MAX);
	int e = make_text(dict, &f, &text);
	if (e)
		return error_set(err, e == -ENOMEM ? e : ERR_FORMAT_LIMIT, "an attribute of more than %zu bytes",
		                 TEXT_MAX);
	ret->text = (struct str){ arena_strndup(arena, (const char *)text.data, text.len), text.len };
	if (!ret->text.s)
		return error_set(err, ERR_FORMAT_LIMIT, "the attributes need too much memory");
	if (f.number == ANY_INT) {
		ret->kind = VALUE_NUMBER;
		ret->number = (int64_t)f.value;
	}
	return 0;
}

int otlp_key_value(const struct otlp_dict *dict, struct slice message, struct arena *arena, struct str *ret_key,
                   struct otlp_value *ret, struct error *err)
{
	return otlp_value(dict, split_key_value(dict, message, ret_key), arena, ret, err);
}

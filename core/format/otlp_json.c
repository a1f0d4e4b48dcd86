/* SPDX-License-Identifier: MIT */

/*
 * OTLP's JSON as protobuf of layout 1.10, by a table of the messages' fields: names in lowerCamelCase, those of 1.8 too
 * where they differ; 64-bit integers as strings or numbers; ids in hexadecimal, other bytes in base64. Fields of other
 * names are skipped. Lengths are written as five bytes, filled in when a message ends: nothing is written twice.
 */

#include "otlp.h"

#include "../wire/json.h"

#define DEPTH_MAX 96 /* messages within each other; deeper ones are empty */
#define LENGTH_BYTES 5

enum kind { KIND_MESSAGE, KIND_STRING, KIND_INT, KIND_FIXED, KIND_DOUBLE, KIND_BOOL, KIND_BASE64, KIND_HEX };

struct field {
	const char *name;
	uint8_t number, kind;
	const struct field *message; /* of KIND_MESSAGE */
};

static const struct field array_value[], kvlist_value[];

static const struct field any_value[] = {
	{ "stringValue", 1, KIND_STRING }, { "boolValue", 2, KIND_BOOL }, { "intValue", 3, KIND_INT },
	{ "doubleValue", 4, KIND_DOUBLE }, { "arrayValue", 5, KIND_MESSAGE, array_value },
	{ "kvlistValue", 6, KIND_MESSAGE, kvlist_value }, { "bytesValue", 7, KIND_BASE64 },
	{ "stringValueStrindex", 8, KIND_INT }, { 0 },
};
static const struct field array_value[] = { { "values", 1, KIND_MESSAGE, any_value }, { 0 } };
static const struct field key_value[] = {
	{ "key", 1, KIND_STRING }, { "value", 2, KIND_MESSAGE, any_value }, { "keyStrindex", 3, KIND_INT }, { 0 },
};
static const struct field kvlist_value[] = { { "values", 1, KIND_MESSAGE, key_value }, { 0 } };
static const struct field resource[] = {
	{ "attributes", 1, KIND_MESSAGE, key_value }, { "droppedAttributesCount", 2, KIND_INT }, { 0 },
};
static const struct field instrumentation_scope[] = {
	{ "name", 1, KIND_STRING }, { "version", 2, KIND_STRING }, { "attributes", 3, KIND_MESSAGE, key_value },
	{ "droppedAttributesCount", 4, KIND_INT }, { 0 },
};
static const struct field value_type[] = {
	{ "typeStrindex", 1, KIND_INT }, { "unitStrindex", 2, KIND_INT },
	{ "aggregationTemporality", 3, KIND_INT }, { 0 },
};
static const struct field sample[] = {
	{ "stackIndex", 1, KIND_INT }, { "attributeIndices", 2, KIND_INT }, { "linkIndex", 3, KIND_INT },
	{ "values", 4, KIND_INT }, { "timestampsUnixNano", 5, KIND_FIXED }, { 0 },
};
static const struct field profile[] = {
	{ "sampleType", 1, KIND_MESSAGE, value_type }, { "samples", 2, KIND_MESSAGE, sample },
	{ "sample", 2, KIND_MESSAGE, sample }, { "timeUnixNano", 3, KIND_FIXED }, { "durationNano", 4, KIND_INT },
	{ "periodType", 5, KIND_MESSAGE, value_type }, { "period", 6, KIND_INT }, { "profileId", 7, KIND_HEX },
	{ "droppedAttributesCount", 8, KIND_INT }, { "originalPayloadFormat", 9, KIND_STRING },
	{ "originalPayload", 10, KIND_BASE64 }, { "attributeIndices", 11, KIND_INT }, { 0 },
};
static const struct field scope_profiles[] = {
	{ "scope", 1, KIND_MESSAGE, instrumentation_scope }, { "profiles", 2, KIND_MESSAGE, profile },
	{ "schemaUrl", 3, KIND_STRING }, { 0 },
};
static const struct field resource_profiles[] = {
	{ "resource", 1, KIND_MESSAGE, resource }, { "scopeProfiles", 2, KIND_MESSAGE, scope_profiles },
	{ "schemaUrl", 3, KIND_STRING }, { 0 },
};
static const struct field mapping[] = {
	{ "memoryStart", 1, KIND_INT }, { "memoryLimit", 2, KIND_INT }, { "fileOffset", 3, KIND_INT },
	{ "filenameStrindex", 4, KIND_INT }, { "attributeIndices", 5, KIND_INT }, { 0 },
};
static const struct field line[] = {
	{ "functionIndex", 1, KIND_INT }, { "line", 2, KIND_INT }, { "column", 3, KIND_INT }, { 0 },
};
static const struct field location[] = {
	{ "mappingIndex", 1, KIND_INT }, { "address", 2, KIND_INT }, { "lines", 3, KIND_MESSAGE, line },
	{ "line", 3, KIND_MESSAGE, line }, { "attributeIndices", 4, KIND_INT }, { 0 },
};
static const struct field function[] = {
	{ "nameStrindex", 1, KIND_INT }, { "systemNameStrindex", 2, KIND_INT }, { "filenameStrindex", 3, KIND_INT },
	{ "startLine", 4, KIND_INT }, { 0 },
};
static const struct field link_row[] = { { "traceId", 1, KIND_HEX }, { "spanId", 2, KIND_HEX }, { 0 } };
static const struct field attribute[] = {
	{ "keyStrindex", 1, KIND_INT }, { "value", 2, KIND_MESSAGE, any_value }, { "unitStrindex", 3, KIND_INT }, { 0 },
};
static const struct field stack[] = { { "locationIndices", 1, KIND_INT }, { 0 } };
static const struct field dictionary[] = {
	{ "mappingTable", 1, KIND_MESSAGE, mapping }, { "locationTable", 2, KIND_MESSAGE, location },
	{ "functionTable", 3, KIND_MESSAGE, function }, { "linkTable", 4, KIND_MESSAGE, link_row },
	{ "stringTable", 5, KIND_STRING }, { "attributeTable", 6, KIND_MESSAGE, attribute },
	{ "stackTable", 7, KIND_MESSAGE, stack }, { 0 },
};
static const struct field request[] = {
	{ "resourceProfiles", 1, KIND_MESSAGE, resource_profiles },
	{ "dictionary", 2, KIND_MESSAGE, dictionary }, { 0 },
};

/* A message that is being written. */
struct level {
	const struct field *field; /* the next one */
	const struct field *list;  /* whose messages are being written */
	uint32_t object, array, element;
	size_t length_at;
};

struct transcoder {
	const struct json *json;
	struct buf *out;
	struct error *err;
	struct level levels[DEPTH_MAX];
	size_t depth;
};

static int malformed(const struct transcoder *t, const struct field *f, const char *what)
{
	return error_set(t->err, ERR_FORMAT_MALFORMED, "OTLP JSON: \"%s\" is no %s", f->name, what);
}

/* ---- scalars ---- */

static struct str text_of(const struct transcoder *t, uint32_t value)
{
	return json_kind(t->json, value) == JSON_NUMBER ? json_number(t->json, value) : json_str(t->json, value);
}

/* All 64 bits, signed or not. */
static bool parse_int(struct str s, uint64_t *ret)
{
	bool negative = s.len && *s.s == '-';
	uint64_t v = 0;
	for (size_t i = negative; i < s.len; i++) {
		unsigned digit = (unsigned char)s.s[i] - '0';
		if (digit > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
			return false;
	}
	*ret = negative ? -v : v;
	return s.len > negative && (!negative || v <= (uint64_t)INT64_MAX + 1);
}

static int put_int(struct transcoder *t, const struct field *f, uint32_t value)
{
	uint64_t v;
	int64_t rounded;
	if (!parse_int(text_of(t, value), &v)) {
		if (!json_scaled(t->json, value, 0, &rounded))
			return malformed(t, f, "integer");
		v = (uint64_t)rounded;
	}
	if (f->kind == KIND_INT) {
		pb_put_varint(t->out, f->number, v);
	} else {
		buf_varint(t->out, (uint64_t)f->number << 3 | PB_I64);
		buf_u64(t->out, v);
	}
	return 0;
}

static int put_double(struct transcoder *t, const struct field *f, uint32_t value)
{
	char text[64], *end;
	struct str s = text_of(t, value);
	if (!s.len || s.len >= sizeof text)
		return malformed(t, f, "number");
	memcpy(text, s.s, s.len);
	text[s.len] = '\0';
	double v = strtod(text, &end);
	if (*end)
		return malformed(t, f, "number");
	uint64_t bits;
	memcpy(&bits, &v, sizeof bits);
	buf_varint(t->out, (uint64_t)f->number << 3 | PB_I64);
	buf_u64(t->out, bits);
	return 0;
}

static int hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) >= 'a' && (c | 0x20) <= 'f' ? (c | 0x20) - 'a' + 10 : -1;
}

static int base64_digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : -1;
}

/* Bytes of digits of `bits` bits each, the first ones highest. */
static bool put_digits(struct buf *out, struct str s, unsigned bits, int (*digit)(char c))
{
	uint32_t held = 0;
	unsigned n = 0;
	for (size_t i = 0; i < s.len; i++) {
		int d = digit(s.s[i]);
		if (d < 0)
			return false;
		held = held << bits | (uint32_t)d;
		n += bits;
		if (n >= 8) {
			n -= 8;
			buf_u8(out, (uint8_t)(held >> n));
		}
	}
	return n < bits;
}

static int put_bytes(struct transcoder *t, const struct field *f, uint32_t value)
{
	struct str s = json_str(t->json, value);
	bool hex = f->kind == KIND_HEX;
	while (!hex && s.len && s.s[s.len - 1] == '=')
		s.len--;
	buf_varint(t->out, (uint64_t)f->number << 3 | PB_LEN);
	buf_varint(t->out, s.len * (hex ? 4 : 6) / 8);
	return put_digits(t->out, s, hex ? 4 : 6, hex ? hex_digit : base64_digit) ? 0 : malformed(t, f, "bytes");
}

static int put_scalar(struct transcoder *t, const struct field *f, uint32_t value)
{
	enum json_kind kind = json_kind(t->json, value);
	switch (f->kind) {
	case KIND_INT:
	case KIND_FIXED:
		return put_int(t, f, value);
	case KIND_DOUBLE:
		return put_double(t, f, value);
	case KIND_BOOL:
		pb_put_varint(t->out, f->number, kind == JSON_TRUE);
		return kind == JSON_TRUE || kind == JSON_FALSE ? 0 : malformed(t, f, "boolean");
	case KIND_STRING:
		pb_put_bytes(t->out, f->number, json_str(t->json, value).s, json_str(t->json, value).len);
		return kind == JSON_STRING ? 0 : malformed(t, f, "string");
	default:
		return kind == JSON_STRING ? put_bytes(t, f, value) : malformed(t, f, "string");
	}
}

/* ---- messages ---- */

static bool is_old(const struct json *j, uint32_t value)
{
	return json_get(j, value, "locationIndices") || json_get(j, value, "stringTable");
}

static int open_message(struct transcoder *t, const struct field *f, uint32_t value)
{
	if (json_kind(t->json, value) != JSON_OBJECT)
		return malformed(t, f, "object");
	if (f->message == profile && is_old(t->json, value))
		return error_set(t->err, ERR_FORMAT_NAMED,
		                 "OTLP profiles in JSON of a version before 1.8: send protobuf");
	buf_varint(t->out, (uint64_t)f->number << 3 | PB_LEN);
	if (t->depth == DEPTH_MAX) {
		buf_varint(t->out, 0);
		return 0;
	}
	t->levels[t->depth++] = (struct level){ .field = f->message, .object = value, .length_at = t->out->len };
	buf_put(t->out, "\0\0\0\0", LENGTH_BYTES);
	return 0;
}

static void close_message(struct transcoder *t)
{
	size_t at = t->levels[--t->depth].length_at, n = t->out->len - at - LENGTH_BYTES;
	for (size_t i = 0; !t->out->err && i < LENGTH_BYTES; i++)
		t->out->data[at + i] = (uint8_t)((n >> (7 * i) & 0x7f) | (i + 1 < LENGTH_BYTES ? 0x80 : 0));
}

static int put_list(struct transcoder *t, const struct field *f, uint32_t array)
{
	int e = 0;
	for (uint32_t v = json_first(t->json, array); !e && v; v = json_next(t->json, array, v))
		e = put_scalar(t, f, v);
	return e;
}

static int put_field(struct transcoder *t, struct level *l, const struct field *f)
{
	uint32_t value = json_get(t->json, l->object, f->name);
	enum json_kind kind = json_kind(t->json, value);
	if (kind == JSON_NONE || kind == JSON_NULL)
		return 0;
	if (f->kind != KIND_MESSAGE)
		return kind == JSON_ARRAY ? put_list(t, f, value) : put_scalar(t, f, value);
	if (kind != JSON_ARRAY)
		return open_message(t, f, value);
	l->list = f;
	l->array = value;
	l->element = json_first(t->json, value);
	return 0;
}

static int step(struct transcoder *t)
{
	struct level *l = &t->levels[t->depth - 1];
	if (l->element) {
		uint32_t element = l->element;
		l->element = json_next(t->json, l->array, element);
		return open_message(t, l->list, element);
	}
	if (l->field->name)
		return put_field(t, l, l->field++);
	close_message(t);
	return buf_err(t->out);
}

int otlp_json(struct slice in, const struct format_options *opts, struct buf *out, struct error *err)
{
	struct arena arena = ARENA_INIT(format_max_model(opts));
	struct json json;
	static const struct field root = { "request", 1, KIND_MESSAGE, request };
	struct transcoder t = { .json = &json, .out = out, .err = err };
	int e = json_read(&json, in, &arena, &(struct json_limits){ .max_bytes = format_max_model(opts) }, err);
	e = e ? e : open_message(&t, &root, json_root(&json));
	while (!e && t.depth)
		e = step(&t);
	if (e == ERR_LIMIT_BUFFER)
		e = error_set(err, ERR_FORMAT_LIMIT, "OTLP JSON that is over the limit as protobuf");
	json_done(&json);
	arena_done(&arena);
	return e;
}

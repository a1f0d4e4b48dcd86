/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "../wire/pb.h"
#include "text.h"

/*
 * The merged selection as an OTLP ExportProfilesServiceRequest (opentelemetry-proto 1.10, profiles v1development): what
 * a collector takes. Entry 0 of each table of the dictionary stands for none, so that indices are the merged profile's
 * plus one; stack i + 1 is that of sample i.
 */

#define MESSAGE_MAX ((size_t)512 << 20)

enum {
	REQUEST_RESOURCE_PROFILES = 1, REQUEST_DICTIONARY = 2,
	RESOURCE_PROFILES_RESOURCE = 1, RESOURCE_PROFILES_SCOPES = 2, RESOURCE_ATTRIBUTES = 1,
	SCOPE_PROFILES_SCOPE = 1, SCOPE_PROFILES_PROFILES = 2, SCOPE_NAME = 1,
	KEY_VALUE_KEY = 1, KEY_VALUE_VALUE = 2, ANY_STRING = 1,
	DICTIONARY_MAPPINGS = 1, DICTIONARY_LOCATIONS = 2, DICTIONARY_FUNCTIONS = 3, DICTIONARY_LINKS = 4,
	DICTIONARY_STRINGS = 5, DICTIONARY_ATTRIBUTES = 6, DICTIONARY_STACKS = 7,
	PROFILE_TYPE = 1, PROFILE_SAMPLES = 2, PROFILE_TIME = 3, PROFILE_DURATION = 4, PROFILE_PERIOD_TYPE = 5,
	PROFILE_PERIOD = 6,
	SAMPLE_STACK = 1, SAMPLE_VALUES = 4,
	MAPPING_START = 1, MAPPING_LIMIT = 2, MAPPING_OFFSET = 3, MAPPING_FILENAME = 4, MAPPING_ATTRIBUTES = 5,
	STACK_LOCATIONS = 1,
	LOCATION_MAPPING = 1, LOCATION_ADDRESS = 2, LOCATION_LINES = 3,
	LINE_FUNCTION = 1, LINE_LINE = 2, LINE_COLUMN = 3,
	FUNCTION_NAME = 1, FUNCTION_SYSTEM_NAME = 2, FUNCTION_FILENAME = 3, FUNCTION_START_LINE = 4,
	ATTRIBUTE_KEY = 1, ATTRIBUTE_VALUE = 2,
};

/* Strings that the profile does not have follow its own. */
enum extra { EXTRA_GNU, EXTRA_GO, EXTRA_STRINGS };
static const char *const extra_strings[EXTRA_STRINGS] = { "process.executable.build_id.gnu",
                                                          "process.executable.build_id.go" };

struct otlp {
	struct query *q;
	const struct profile *p;
	struct buf line, message, inner; /* scratch, from the innermost message outwards */
};

static void otlp_done(struct otlp *o)
{
	buf_done(&o->line);
	buf_done(&o->message);
	buf_done(&o->inner);
}

/* ---- fields ---- */

static void put_uint(struct buf *out, uint32_t field, uint64_t v)
{
	if (v)
		pb_put_varint(out, field, v);
}

static void put_fixed64(struct buf *out, uint32_t field, uint64_t v)
{
	if (!v)
		return;
	buf_varint(out, (uint64_t)field << 3 | PB_I64);
	buf_u64(out, v);
}

/* Strings are UTF-8. */
static void put_text(struct buf *out, uint32_t field, struct str s)
{
	_buf_ struct buf clean = BUF_INIT(MESSAGE_MAX);
	for (size_t i = 0; i < s.len;) {
		size_t len = utf8_length(s.s + i, s.len - i);
		if (len)
			buf_put(&clean, s.s + i, len);
		else
			buf_puts(&clean, NOT_UTF8);
		i += MAX(len, (size_t)1);
	}
	pb_put_buf(out, field, &clean);
}

/* ---- the dictionary ---- */

static bool is_hex(struct str s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!strchr("0123456789abcdefABCDEF", s.s[i]))
			return false;
	return true;
}

/* Attribute i + 1 is the build id of mapping i. */
static void put_mappings(struct otlp *o, struct buf *out)
{
	const struct profile *p = o->p;
	pb_put_bytes(out, DICTIONARY_MAPPINGS, "", 0);
	for (size_t i = 0; i < p->mappings.n; i++) {
		const struct profile_mapping *m = &p->mappings.v[i];
		struct buf *b = &o->message;
		buf_reset(b);
		put_uint(b, MAPPING_START, m->start);
		put_uint(b, MAPPING_LIMIT, m->limit);
		put_uint(b, MAPPING_OFFSET, m->offset);
		put_uint(b, MAPPING_FILENAME, m->filename);
		if (m->build_id) {
			buf_reset(&o->line);
			buf_varint(&o->line, i + 1);
			pb_put_buf(b, MAPPING_ATTRIBUTES, &o->line);
		}
		pb_put_buf(out, DICTIONARY_MAPPINGS, b);
	}
}

static void put_attributes(struct otlp *o, struct buf *out)
{
	const struct profile *p = o->p;
	pb_put_bytes(out, DICTIONARY_ATTRIBUTES, "", 0);
	for (size_t i = 0; i < p->mappings.n; i++) {
		struct str id = profile_str(p, p->mappings.v[i].build_id);
		buf_reset(&o->message);
		buf_reset(&o->line);
		put_uint(&o->message, ATTRIBUTE_KEY, p->strings.n + (is_hex(id) ? EXTRA_GNU : EXTRA_GO));
		put_text(&o->line, ANY_STRING, id);
		pb_put_buf(&o->message, ATTRIBUTE_VALUE, &o->line);
		pb_put_buf(out, DICTIONARY_ATTRIBUTES, &o->message);
	}
}

static void put_locations(struct otlp *o, struct buf *out)
{
	const struct profile *p = o->p;
	pb_put_bytes(out, DICTIONARY_LOCATIONS, "", 0);
	for (size_t i = 0; i < p->locations.n; i++) {
		const struct profile_location *l = &p->locations.v[i];
		buf_reset(&o->message);
		put_uint(&o->message, LOCATION_MAPPING, l->mapping == PROFILE_NONE ? 0 : (uint64_t)l->mapping + 1);
		put_uint(&o->message, LOCATION_ADDRESS, l->address);
		for (uint32_t k = 0; k < l->n_lines; k++) {
			const struct profile_line *line = &p->lines.v[l->line_at + k];
			buf_reset(&o->line);
			put_uint(&o->line, LINE_FUNCTION,
			         line->function == PROFILE_NONE ? 0 : (uint64_t)line->function + 1);
			put_uint(&o->line, LINE_LINE, (uint64_t)line->line);
			put_uint(&o->line, LINE_COLUMN, (uint64_t)line->column);
			pb_put_buf(&o->message, LOCATION_LINES, &o->line);
		}
		pb_put_buf(out, DICTIONARY_LOCATIONS, &o->message);
	}
}

static void put_functions(struct otlp *o, struct buf *out)
{
	const struct profile *p = o->p;
	pb_put_bytes(out, DICTIONARY_FUNCTIONS, "", 0);
	for (size_t i = 0; i < p->functions.n; i++) {
		const struct profile_function *f = &p->functions.v[i];
		buf_reset(&o->message);
		put_uint(&o->message, FUNCTION_NAME, f->name);
		put_uint(&o->message, FUNCTION_SYSTEM_NAME, f->system_name);
		put_uint(&o->message, FUNCTION_FILENAME, f->filename);
		put_uint(&o->message, FUNCTION_START_LINE, (uint64_t)f->start_line);
		pb_put_buf(out, DICTIONARY_FUNCTIONS, &o->message);
	}
}

static void put_strings(struct otlp *o, struct buf *out)
{
	const struct profile *p = o->p;
	pb_put_bytes(out, DICTIONARY_STRINGS, "", 0);
	for (size_t i = 1; i < p->strings.n; i++)
		put_text(out, DICTIONARY_STRINGS, p->strings.v[i]);
	for (size_t i = 0; i < EXTRA_STRINGS; i++)
		put_text(out, DICTIONARY_STRINGS, str_of(extra_strings[i]));
}

static void put_stacks(struct otlp *o, struct buf *out)
{
	const struct profile *p = o->p;
	pb_put_bytes(out, DICTIONARY_STACKS, "", 0);
	for (size_t i = 0; i < p->n_samples; i++) {
		buf_reset(&o->message);
		buf_reset(&o->line);
		for (uint32_t k = p->loc_at.v[i]; k < p->loc_at.v[i + 1]; k++)
			buf_varint(&o->line, (uint64_t)p->locs.v[k] + 1);
		if (o->line.len)
			pb_put_buf(&o->message, STACK_LOCATIONS, &o->line);
		pb_put_buf(out, DICTIONARY_STACKS, &o->message);
	}
}

static void put_dictionary(struct otlp *o, struct buf *out)
{
	put_mappings(o, out);
	put_locations(o, out);
	put_functions(o, out);
	pb_put_bytes(out, DICTIONARY_LINKS, "", 0);
	put_strings(o, out);
	put_attributes(o, out);
	put_stacks(o, out);
}

/* ---- profiles ---- */

static void put_type(struct otlp *o, struct buf *out, uint32_t field, struct value_type type)
{
	buf_reset(&o->line);
	put_uint(&o->line, 1, type.type);
	put_uint(&o->line, 2, type.unit);
	pb_put_buf(out, field, &o->line);
}

static void put_samples(struct otlp *o, struct buf *out, size_t type)
{
	const struct profile *p = o->p;
	for (size_t i = 0; i < p->n_samples; i++) {
		int64_t value = p->values.v[i * p->types.n + type];
		if (!value)
			continue;
		buf_reset(&o->message);
		buf_reset(&o->line);
		put_uint(&o->message, SAMPLE_STACK, i + 1);
		buf_varint(&o->line, (uint64_t)value);
		pb_put_buf(&o->message, SAMPLE_VALUES, &o->line);
		pb_put_buf(out, PROFILE_SAMPLES, &o->message);
	}
}

static void put_profile(struct otlp *o, struct buf *out, size_t type)
{
	const struct profile *p = o->p;
	put_type(o, out, PROFILE_TYPE, p->types.v[type]);
	put_samples(o, out, type);
	put_fixed64(out, PROFILE_TIME, (uint64_t)p->time_ns);
	put_uint(out, PROFILE_DURATION, (uint64_t)p->duration_ns);
	if (p->period_type.type) {
		put_type(o, out, PROFILE_PERIOD_TYPE, p->period_type);
		put_uint(out, PROFILE_PERIOD, (uint64_t)p->period);
	}
}

static void put_attribute(struct otlp *o, struct buf *out, struct str key, struct str value)
{
	buf_reset(&o->message);
	buf_reset(&o->line);
	put_text(&o->message, KEY_VALUE_KEY, key);
	put_text(&o->line, ANY_STRING, value);
	pb_put_buf(&o->message, KEY_VALUE_VALUE, &o->line);
	pb_put_buf(out, RESOURCE_ATTRIBUTES, &o->message);
}

/* What the selection fixes holds for all of it. */
static void put_resource(struct otlp *o, struct buf *out)
{
	const struct selection *s = query_selection(o->q);
	if (s->service)
		put_attribute(o, out, STR("service.name"), str_of(s->service));
	for (size_t i = 0; i < s->n_matchers; i++) {
		const struct matcher *m = &s->matchers[i];
		if (m->op == MATCH_EQ && m->value_len)
			put_attribute(o, out, (struct str){ m->key, m->key_len },
			              (struct str){ m->value, m->value_len });
	}
}

static int put_resource_profiles(struct otlp *o, struct buf *out)
{
	_buf_ struct buf resource = BUF_INIT(MESSAGE_MAX), scope = BUF_INIT(MESSAGE_MAX), name = BUF_INIT(64);
	put_resource(o, &resource);
	pb_put_buf(out, RESOURCE_PROFILES_RESOURCE, &resource);
	pb_put_bytes(&name, SCOPE_NAME, "profilefs", strlen("profilefs"));
	pb_put_buf(&scope, SCOPE_PROFILES_SCOPE, &name);
	for (size_t i = 0; i < o->p->types.n; i++) {
		buf_reset(&o->inner);
		put_profile(o, &o->inner, i);
		pb_put_buf(&scope, SCOPE_PROFILES_PROFILES, &o->inner);
	}
	pb_put_buf(out, RESOURCE_PROFILES_SCOPES, &scope);
	int e = buf_err(&resource);
	e = e ? e : buf_err(&scope);
	e = e ? e : buf_err(&o->inner);
	return e ? e : buf_err(out);
}

static int otlp_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	_cleanup_(otlp_done) struct otlp o = { .q = q };
	_buf_ struct buf part = BUF_INIT(MESSAGE_MAX);
	int e = query_merged(q, cancel, &o.p, err);
	if (e < 0)
		return e;
	o.line = o.message = o.inner = BUF_INIT(MESSAGE_MAX);
	e = put_resource_profiles(&o, &part);
	pb_put_buf(out, REQUEST_RESOURCE_PROFILES, &part);
	buf_reset(&part);
	if (!e)
		e = cancel_check(cancel);
	put_dictionary(&o, &part);
	pb_put_buf(out, REQUEST_DICTIONARY, &part);
	e = e ? e : buf_err(&part);
	e = e ? e : buf_err(&o.message);
	e = e ? e : buf_err(&o.line);
	return e ? e : buf_err(out);
}

const struct rendering render_otlp = { "otlp.pb", RENDER_TYPE, true, otlp_render };

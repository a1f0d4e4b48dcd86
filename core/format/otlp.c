/* SPDX-License-Identifier: MIT */

/*
 * OTLP profiles (opentelemetry.proto.profiles.v1development): ProfilesData, which is the same on the wire as
 * ExportProfilesServiceRequest, of the layouts 1.5 to 1.11 (otlp_layout.c tells them apart); and their JSON.
 *
 * A request holds tables and profiles. Each profile is taken for itself, with those rows of the tables that it uses, so
 * that one that is unsound costs the others nothing. docs/ingest.md says what becomes of each field. What is free to
 * choose:
 *
 *     no profiles at all                        taken, as none
 *     a layout that cannot be told              the request is refused
 *     an index beyond its table                 the profile is refused
 *     several values without times              added up
 *     as many times as values                   that many samples
 *     times without values                      that many samples of 1
 *     times and values of different numbers     the profile is refused
 *     neither                                   the sample is dropped, with a warning
 *     string 0 that is not ""                   taken as ""
 *     samples of several service.name           a profile for each
 *     samples/count with a period of cpu time   get a type `cpu` too, unless their scope has a profile of that type
 */

#include "json_format.h"
#include "otlp_decoder.h"

#define SERVICES_MAX 1024 /* of the samples of one profile */

static void head_done(struct otlp_head *h)
{
	VEC_DONE(&h->types);
	VEC_DONE(&h->attributes);
	VEC_DONE(&h->comments);
	VEC_DONE(&h->locations);
}

static void otlp_done(struct otlp *o)
{
	otlp_dict_done(&o->dict);
	arena_done(&o->arena);
	free(o->attributes);
	free(o->mappings);
	free(o->locations);
	VEC_DONE(&o->units);
	idset_done(&o->unit_set);
	VEC_DONE(&o->extras);
	head_done(&o->head);
	otlp_sample_done(&o->sample);
	VEC_DONE(&o->members);
	VEC_DONE(&o->services);
	decoded_done(&o->decoded);
	maker_done(&o->maker);
}

static int no_memory(const struct otlp *o)
{
	return error_set(o->err, -ENOMEM, "no memory for OTLP profiles");
}

int otlp_beyond(struct otlp *o, const char *what, uint64_t row, enum otlp_table table)
{
	return error_set(o->err, ERR_FORMAT_REFERENCE, "%s is row %lld of a table of %zu", what, (long long)row,
	                 o->dict.rows[table].n);
}

/* ---- tables ---- */

static int attribute_service(struct otlp *o)
{
	o->names_services = false;
	for (size_t i = 0; i < o->n_attributes; i++) {
		struct otlp_attribute *a;
		struct error *err = o->err;
		o->err = NULL; /* what is wrong with it is told where it is used */
		int e = otlp_attribute(o, i, &a);
		o->err = err;
		if (e == -ENOMEM)
			return no_memory(o);
		o->names_services |= !e && str_eq(a->key, OTLP_SERVICE);
	}
	return 0;
}

/* Whatever is kept of the rows of the tables before is forgotten. */
static int begin_tables(struct otlp *o)
{
	o->n_attributes = o->dict.rows[TABLE_ATTRIBUTE].n;
	free(o->attributes);
	free(o->mappings);
	free(o->locations);
	o->attributes = calloc(o->n_attributes + 1, sizeof *o->attributes);
	o->mappings = calloc(o->dict.rows[TABLE_MAPPING].n + 1, sizeof *o->mappings);
	o->locations = calloc(o->dict.rows[TABLE_LOCATION].n + 1, sizeof *o->locations);
	arena_done(&o->arena);
	o->arena = ARENA_INIT(format_max_model(o->opts));
	if (!o->attributes || !o->mappings || !o->locations)
		return no_memory(o);
	if (o->dict.rows[TABLE_STRING].n && !o->layout->is_old)
		o->dict.rows[TABLE_STRING].v[0].len = 0;
	int e = otlp_read_units(o);
	return e ? e : attribute_service(o);
}

static int read_tables(struct otlp *o)
{
	struct cursor c = cursor_of(o->in);
	struct pb_field f = { 0 };
	bool has_dict = false;
	int e = 0;
	while (!e && pb_next(&c, &f)) {
		if (f.number != 2 || f.wire != PB_LEN)
			continue;
		has_dict = true;
		e = otlp_dict_read(&o->dict, f.bytes, &otlp_1_7, o->err);
	}
	if (!e && c.bad)
		e = error_set(o->err, ERR_FORMAT_TRUNCATED, "the OTLP request is malformed or cut short");
	/* Field 7 is stacks, or in 1.7 units. */
	struct otlp_dict *d = &o->dict;
	typeof(d->rows[0]) units = d->rows[TABLE_UNIT];
	d->rows[TABLE_UNIT] = d->rows[TABLE_STACK];
	d->rows[TABLE_STACK] = units;
	o->layout = &otlp_1_10;
	return e || o->is_copy ? e : otlp_layout_find(o->in, d, has_dict, &o->layout, o->err);
}

static void settle_units(struct otlp *o)
{
	if (o->layout != &otlp_1_7)
		return;
	typeof(o->dict.rows[0]) units = o->dict.rows[TABLE_STACK];
	o->dict.rows[TABLE_STACK] = o->dict.rows[TABLE_UNIT];
	o->dict.rows[TABLE_UNIT] = units;
}

/* ---- the head of a profile ---- */

static int read_head_field(struct otlp *o, const struct pb_field *f)
{
	struct otlp_head *h = &o->head;
	enum otlp_profile_field field = f->number < ARRAY_SIZE(o->layout->profile) ? o->layout->profile[f->number] : 0;
	struct slice *type;
	struct otlp_member *member;
	switch (field) {
	case PROFILE_TYPE:
		if (f->wire != PB_LEN || h->types.n >= FORMAT_MAX_TYPES)
			return error_set(o->err, ERR_FORMAT_LIMIT, "sample types that are malformed, or too many");
		if (!o->layout->is_old)
			h->types.n = 0;
		type = VEC_PUSH(&h->types);
		if (!type)
			return no_memory(o);
		*type = f->bytes;
		return 0;
	case PROFILE_SAMPLES:
		if (f->wire != PB_LEN)
			return error_set(o->err, ERR_FORMAT_MALFORMED, "a sample has the wrong wire type");
		member = VEC_PUSH(&o->members);
		if (!member)
			return no_memory(o);
		*member = (struct otlp_member){ .message = f->bytes };
		return 0;
	case PROFILE_LOCATIONS:
		return otlp_numbers(f, false, &h->locations, o->err);
	case PROFILE_COMMENTS:
		return otlp_numbers(f, false, &h->comments, o->err);
	case PROFILE_ATTRIBUTES:
		return otlp_numbers(f, false, &h->attributes, o->err);
	case PROFILE_TIME:
		h->time = f->wire == PB_LEN ? 0 : f->value;
		return 0;
	case PROFILE_DURATION:
		h->duration = f->wire == PB_LEN ? 0 : f->value;
		return 0;
	case PROFILE_PERIOD:
		h->period = f->wire == PB_LEN ? 0 : (int64_t)f->value;
		return 0;
	case PROFILE_DROPPED:
		h->dropped = f->wire == PB_LEN ? 0 : f->value;
		return 0;
	case PROFILE_PERIOD_TYPE:
		h->period_type = f->wire == PB_LEN ? f->bytes : h->period_type;
		return 0;
	case PROFILE_ID:
		h->id = f->wire == PB_LEN ? f->bytes : h->id;
		return 0;
	case PROFILE_PAYLOAD_FORMAT:
		h->payload_format = f->wire == PB_LEN ? f->bytes : h->payload_format;
		return 0;
	case PROFILE_PAYLOAD:
		h->payload = f->wire == PB_LEN ? f->bytes : h->payload;
		return 0;
	case PROFILE_NOTHING:
		break;
	}
	return 0;
}

static int read_head(struct otlp *o, struct slice profile)
{
	struct otlp_head *h = &o->head, old = *h;
	*h = (struct otlp_head){ .types = old.types, .attributes = old.attributes, .comments = old.comments,
		.locations = old.locations };
	h->types.n = h->attributes.n = h->comments.n = h->locations.n = 0;
	o->members.n = 0;
	struct cursor c = cursor_of(profile);
	struct pb_field f = { 0 };
	int e = 0;
	while (!e && pb_next(&c, &f)) {
		e = read_head_field(o, &f);
		if (o->members.cap * sizeof *o->members.v > format_max_model(o->opts))
			e = error_set(o->err, ERR_FORMAT_LIMIT, "a profile of more than %zu samples", o->members.n);
	}
	return e || !c.bad ? e : error_set(o->err, ERR_FORMAT_MALFORMED, "a profile is malformed or cut short");
}

/* ---- types ---- */

struct type_row {
	struct str type, unit;
	uint64_t temporality;
};

static int read_type(struct otlp *o, struct slice message, struct type_row *ret)
{
	uint64_t v[4] = { 0 };
	int e = otlp_varints(o, message, "a sample type", v, ARRAY_SIZE(v));
	if (e)
		return e;
	ret->temporality = v[3];
	e = otlp_string(o, v[1], "a sample type's type", &ret->type);
	return e ? e : otlp_string(o, v[2], "a sample type's unit", &ret->unit);
}

static bool is_type(const struct type_row *t, const char *type, const char *unit)
{
	return str_eq(t->type, str_of(type)) && str_eq(t->unit, str_of(unit));
}

/* Two types of one name: the count is that of samples (async-profiler's "ctimer" in counts and in ns). */
static void tell_apart(struct type_row *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < n; k++)
			if (i != k && str_eq(t[i].type, t[k].type) && str_eq(t[i].unit, STR("count")))
				t[i].type = STR("samples");
}

static int make_types(struct otlp *o)
{
	struct otlp_head *h = &o->head;
	struct type_row rows[FORMAT_MAX_TYPES] = { { .type = STR(""), .unit = STR("") } }, period;
	int e = read_type(o, h->period_type, &period);
	for (size_t i = 0; !e && i < h->types.n; i++)
		e = read_type(o, h->types.v[i], &rows[i]);
	if (e)
		return e;
	h->n_types = MAX(h->types.n, (size_t)1);
	rows[0].type = rows[0].type.len ? rows[0].type : period.type;
	tell_apart(rows, h->n_types);
	for (size_t i = 0; i < h->n_types; i++)
		make_type(&o->maker, otlp_copied(o, rows[i].type), otlp_copied(o, rows[i].unit));
	struct profile *p = o->maker.p;
	o->derives_cpu = h->n_types == 1 && is_type(&rows[0], "samples", "count") &&
	                 is_type(&period, "cpu", "nanoseconds") && h->period > 0 && !o->scope_has_cpu;
	if (o->derives_cpu)
		make_type(&o->maker, STR("cpu"), STR("nanoseconds"));
	p->period_type = (struct value_type){ otlp_keep(o, period.type), otlp_keep(o, period.unit) };
	p->period = h->period;
	p->temporality = rows[0].temporality == 2 ? TEMPORALITY_CUMULATIVE : TEMPORALITY_DELTA;
	return o->maker.e;
}

/* Whether a profile of the scope is of cpu time, so that samples need not be made into it. */
static bool scope_has_cpu(struct otlp *o, struct slice scope)
{
	struct cursor c = cursor_of(scope), profile;
	struct pb_field f = { 0 }, g = { 0 };
	struct error *err = o->err;
	bool found = false;
	o->err = NULL;
	while (!o->layout->is_old && !found && pb_next(&c, &f)) {
		profile = cursor_of(f.bytes);
		while (f.number == 2 && f.wire == PB_LEN && pb_next(&profile, &g)) {
			struct type_row row;
			if (g.number == 1 && g.wire == PB_LEN && !read_type(o, g.bytes, &row))
				found |= is_type(&row, "cpu", "nanoseconds");
			if (g.number == 2)
				break; /* writers put the type first */
		}
	}
	o->err = err;
	return found;
}

/* ---- labels ---- */

static int put_profile_label(struct otlp *o, struct str key, const struct otlp_value *value, struct str unit)
{
	if (!key.len || value->kind == VALUE_NONE || !value->text.len)
		return 0;
	if (str_eq(key, OTLP_SERVICE))
		return decoded_service(&o->decoded, value->text);
	if (!unit.len)
		return decoded_label(&o->decoded, key, value->text);
	_buf_ struct buf b = BUF_INIT(SIZE_MAX);
	buf_put(&b, value->text.s, value->text.len);
	buf_putc(&b, ' ');
	buf_put(&b, unit.s, unit.len);
	int e = buf_err(&b);
	return e ? e : decoded_label(&o->decoded, key, (struct str){ (const char *)b.data, b.len });
}

/* The KeyValues that are field `number` of a message. */
static int put_key_values(struct otlp *o, struct slice message, uint32_t number)
{
	struct cursor c = cursor_of(message);
	struct pb_field f = { 0 };
	int e = 0;
	while (!e && pb_next(&c, &f)) {
		struct str key;
		struct otlp_value value;
		if (f.number != number || f.wire != PB_LEN)
			continue;
		e = otlp_key_value(&o->dict, f.bytes, &o->arena, &key, &value, o->err);
		e = e ? e : put_profile_label(o, key, &value, STR(""));
	}
	return e;
}

static int put_text_field(struct otlp *o, struct slice message, uint32_t number, const char *key)
{
	struct cursor c = cursor_of(message);
	struct pb_field f = { 0 };
	struct str text = STR("");
	while (pb_next(&c, &f))
		if (f.number == number && f.wire == PB_LEN)
			text = (struct str){ (const char *)f.bytes.data, f.bytes.len };
	return text.len ? decoded_label(&o->decoded, str_of(key), text) : 0;
}

static struct slice sub_message(struct slice message, uint32_t number)
{
	struct cursor c = cursor_of(message);
	struct pb_field f = { 0 };
	struct slice found = { message.data, 0 };
	while (pb_next(&c, &f))
		if (f.number == number && f.wire == PB_LEN)
			found = f.bytes;
	return found;
}

/* From the widest to the narrowest: the last one of equal keys holds. */
int otlp_put_labels(struct otlp *o)
{
	struct slice resource = sub_message(o->resource_message, 1), scope = sub_message(o->scope_message, 1);
	int e = put_key_values(o, resource, 1);
	e = e ? e : put_text_field(o, o->resource_message, 3, "otel.resource.schema_url");
	e = e ? e : put_text_field(o, scope, 1, "otel.scope.name");
	e = e ? e : put_text_field(o, scope, 2, "otel.scope.version");
	e = e ? e : put_text_field(o, o->scope_message, 3, "otel.scope.schema_url");
	e = e ? e : put_key_values(o, scope, 3);
	for (size_t i = 0; !e && i < o->head.attributes.n; i++) {
		struct otlp_attribute *a;
		e = otlp_attribute(o, o->head.attributes.v[i], &a);
		e = e ? e : put_profile_label(o, a->key, &a->value, a->unit);
	}
	if (e == ERR_FORMAT_LIMIT && o->err && !o->err->code)
		return error_set(o->err, e, "a profile with too many attributes");
	return e;
}

static int put_comments(struct otlp *o)
{
	const struct otlp_head *h = &o->head;
	char text[200];
	for (size_t i = 0; i < h->comments.n; i++) {
		struct str comment;
		int e = otlp_string(o, h->comments.v[i], "a comment", &comment);
		if (e)
			return e;
		make_comment(&o->maker, otlp_copied(o, comment));
	}
	if (h->dropped) {
		snprintf(text, sizeof text, "dropped_attributes_count=%llu", (unsigned long long)h->dropped);
		make_comment(&o->maker, otlp_text(o, str_of(text)));
	}
	if (h->payload.len) {
		snprintf(text, sizeof text, "original_payload_format=%.*s",
		         (int)MIN(h->payload_format.len, (size_t)100),
		         h->payload_format.len ? (const char *)h->payload_format.data : "");
		make_comment(&o->maker, otlp_text(o, str_of(text)));
	}
	return o->maker.e;
}

/* ---- profiles ---- */

static int begin_profile(struct otlp *o)
{
	struct profile *p = &o->decoded.profile;
	decoded_reset(&o->decoded);
	maker_done(&o->maker);
	maker_init(&o->maker, p, o->opts, o->err);
	o->gen++;
	o->extras.n = 0;
	int e = make_types(o);
	e = e ? e : otlp_put_labels(o);
	e = e ? e : put_comments(o);
	p->time_ns = (int64_t)o->head.time;
	p->duration_ns = (int64_t)o->head.duration;
	return e;
}

/* The samples of one service become a profile. */
static int make_profile(struct otlp *o, uint32_t service, const struct otlp_member *members, size_t n)
{
	int e = begin_profile(o);
	if (!e && service)
		e = decoded_service(&o->decoded, o->services.v[service]);
	for (size_t i = 0; !e && i < n; i++) {
		e = otlp_sample_read(members[i].message, o->layout, &o->sample, o->err);
		e = e ? e : otlp_put_sample(o, &o->sample);
	}
	e = e ? e : make_end(&o->maker);
	e = e ? e : profile_verify(&o->decoded.profile, o->err);
	return e;
}

static int find_service(struct otlp *o, struct str name, uint32_t *ret)
{
	for (size_t i = 1; i < o->services.n; i++) {
		if (str_eq(o->services.v[i], name)) {
			*ret = (uint32_t)i;
			return 0;
		}
	}
	struct str *to = o->services.n < SERVICES_MAX ? VEC_PUSH(&o->services) : NULL;
	if (!to)
		return error_set(o->err, ERR_FORMAT_LIMIT, "samples of more than %d services", SERVICES_MAX);
	*to = name;
	*ret = (uint32_t)o->services.n - 1;
	return 0;
}

static int sample_service(struct otlp *o, struct otlp_member *m)
{
	int e = otlp_sample_read(m->message, o->layout, &o->sample, o->err);
	for (size_t i = 0; !e && i < o->sample.attributes.n; i++) {
		struct otlp_attribute *a;
		e = otlp_attribute(o, o->sample.attributes.v[i], &a);
		if (!e && str_eq(a->key, OTLP_SERVICE) && a->value.text.len)
			e = find_service(o, a->value.text, &m->service);
	}
	return e;
}

static int member_cmp(const void *a, const void *b)
{
	const struct otlp_member *x = a, *y = b;
	return x->service != y->service ? CMP(x->service, y->service) : CMP(x->message.data, y->message.data);
}

/* Puts the samples in the order of their services. */
static int sort_members(struct otlp *o)
{
	o->services.n = 0;
	struct str *none = VEC_PUSH(&o->services);
	if (!none)
		return no_memory(o);
	*none = STR("");
	int e = 0;
	for (size_t i = 0; o->names_services && !e && i < o->members.n; i++)
		e = sample_service(o, &o->members.v[i]);
	if (!e && o->services.n > 1)
		qsort(o->members.v, o->members.n, sizeof *o->members.v, member_cmp);
	return e;
}

static int hand_over(struct otlp *o)
{
	if (o->head.payload.len)
		profile_warn(&o->decoded.profile, "the original payload is not kept beside what OTLP says");
	return o->sink->take(o->sink->ctx, &o->decoded, o->err);
}

/* The sink's own errors, and those of the machine, end the request; others the profile. */
static int refused(struct otlp *o, int e)
{
	if (e == -ENOMEM || !o->sink->refuse)
		return e;
	struct error why = o->err ? *o->err : (struct error){ 0 };
	if (o->err)
		*o->err = (struct error){ 0 };
	return o->sink->refuse(o->sink->ctx, e, &why);
}

static int decode_services(struct otlp *o)
{
	for (size_t from = 0, to; from == 0 || from < o->members.n; from = to) {
		uint32_t service = o->members.n ? o->members.v[from].service : 0;
		for (to = from; to < o->members.n && o->members.v[to].service == service; to++)
			continue;
		int e = make_profile(o, service, o->members.v + from, to - from);
		e = e ? refused(o, e) : hand_over(o);
		if (e || !o->members.n)
			return e;
	}
	return 0;
}

static int decode_profile(struct otlp *o, struct slice profile)
{
	int e = 0;
	if (o->layout->own_tables) {
		otlp_dict_clear(&o->dict);
		e = otlp_dict_read(&o->dict, profile, o->layout, o->err);
		e = e ? e : begin_tables(o);
	}
	e = e ? e : read_head(o, profile);
	e = e ? e : sort_members(o);
	if (!e && !o->members.n && o->head.payload.len) {
		e = otlp_decode_payload(o);
		return e && !o->sink_failed ? refused(o, e) : e;
	}
	return e ? refused(o, e) : decode_services(o);
}

static int decode_request(struct otlp *o)
{
	int e = read_tables(o);
	if (e)
		return e;
	settle_units(o);
	e = begin_tables(o);
	struct otlp_walk w;
	struct slice profile;
	const uint8_t *scope = NULL;
	otlp_walk_start(&w, o->in);
	while (!e && otlp_walk_next(&w, &profile)) {
		o->resource_message = w.resource_message;
		o->scope_message = w.scope_message;
		if (scope != w.scope_message.data)
			o->scope_has_cpu = scope_has_cpu(o, w.scope_message);
		scope = w.scope_message.data;
		e = decode_profile(o, profile);
	}
	return e;
}

int otlp_decode(struct slice in, bool is_json, const struct format_options *opts, const struct format_sink *sink,
                struct error *err)
{
	_buf_ struct buf copy = BUF_INIT(format_max_model(opts));
	struct error own = { 0 };
	_cleanup_(otlp_done) struct otlp o = { .in = in, .opts = opts, .sink = sink, .err = err ? err : &own,
		.is_copy = is_json, .no_attribute = { .key = STR(""), .unit = STR(""), .value.text = STR("") } };
	o.seed = hash_seed();
	o.dict.max_bytes = format_max_model(opts);
	int e = decoded_init(&o.decoded, format_max_model(opts));
	if (!e && is_json) {
		e = otlp_json(in, opts, &copy, o.err);
		o.in = e ? o.in : otlp_json_request(&copy);
	}
	return e ? e : decode_request(&o);
}

/* ---- recognising ---- */

/* Of the dictionary's tables, those that no sample of a pprof could be. */
static bool is_dictionary(struct slice head)
{
	struct cursor c = cursor_of(head);
	while (c.p < c.end) {
		uint64_t tag = cursor_varint(&c), len = cursor_varint(&c);
		if (c.bad || (tag & 7) != PB_LEN || tag >> 3 == 0 || tag >> 3 > 8)
			return false;
		if (tag >> 3 > 3)
			return true;
		cursor_bytes(&c, (size_t)MIN(len, cursor_left(&c)));
	}
	return false;
}

static bool is_resource_profiles(struct slice head)
{
	struct cursor c = cursor_of(head);
	uint64_t tag = cursor_varint(&c);
	return !c.bad && (tag & 7) == PB_LEN && tag >> 3 >= 1 && tag >> 3 <= 3;
}

/* Fields 1 and 2 alone, and of messages inside: a pprof's field 1 holds numbers, and its field 2 no strings. */
static enum format_verdict otlp_sniff(struct slice head, bool whole)
{
	struct cursor c = cursor_of(head);
	bool likely = false, any = false;
	while (c.p < c.end) {
		uint64_t tag = cursor_varint(&c), len = cursor_varint(&c);
		if (c.bad)
			break;
		if (tag != (1 << 3 | PB_LEN) && tag != (2 << 3 | PB_LEN))
			return FORMAT_NO;
		struct slice inside = { c.p, (size_t)MIN(len, cursor_left(&c)) };
		if (tag >> 3 == 1 && inside.len && !is_resource_profiles(inside))
			return FORMAT_NO;
		likely |= inside.len && (tag >> 3 == 1 || is_dictionary(inside));
		any = true;
		if (len > cursor_left(&c) && whole)
			return likely ? FORMAT_YES : FORMAT_NO;
		cursor_bytes(&c, inside.len);
	}
	return likely ? FORMAT_YES : any ? FORMAT_MAYBE : FORMAT_NO;
}

static int decode_protobuf(struct slice in, const struct format_options *opts, const struct format_sink *sink,
                           struct error *err)
{
	return otlp_decode(in, false, opts, sink, err);
}

static int decode_json(struct slice in, const struct format_options *opts, const struct format_sink *sink,
                       struct error *err)
{
	return otlp_decode(in, true, opts, sink, err);
}

static enum format_verdict otlp_json_sniff(struct slice head, bool whole)
{
	bool tables = json_head_has(head, "\"dictionary\"") && (json_head_has(head, "\"stringTable\"") ||
	                                                        json_head_has(head, "\"mappingTable\""));
	return tables || json_head_has(head, "\"resourceProfiles\"") ? FORMAT_YES : FORMAT_NO;
}

const struct format format_otlp = { "otlp", otlp_sniff, NULL, decode_protobuf };
const struct format format_otlp_json = { "otlp-json", otlp_json_sniff, NULL, decode_json };

/* SPDX-License-Identifier: MIT */

/*
 * One profile of an OTLP request: what of the request's tables it uses, as tables of its own. Rows are translated on
 * first use; `gen` tells whose translation it is, so that nothing is cleared between the profiles of a request.
 */

#include "otlp_decoder.h"

#define EXTRAS_MAX ((size_t)1 << 20) /* attributes of mappings and locations that are labels, of one profile */
#define SAMPLE_EXTRAS_MAX 1024       /* of the frames of one sample, equal ones too */

struct str otlp_text(struct otlp *o, struct str s)
{
	return profile_str(o->maker.p, make_copy(&o->maker, s));
}

/* ---- attributes ---- */

static int read_attribute(struct otlp *o, struct slice row, struct otlp_attribute *a)
{
	if (o->layout->is_old)
		return otlp_key_value(&o->dict, row, &o->arena, &a->key, &a->value, o->err);
	struct cursor c = cursor_of(row);
	struct pb_field f = { 0 };
	int e = 0;
	while (!e && pb_next(&c, &f)) {
		if (f.number == 2 && f.wire == PB_LEN)
			e = otlp_value(&o->dict, f.bytes, &o->arena, &a->value, o->err);
		else if (f.wire == PB_VARINT && (f.number == 1 || f.number == 3))
			e = otlp_string(o, f.value, "an attribute's key or unit", f.number == 1 ? &a->key : &a->unit);
	}
	return e || !c.bad ? e : error_set(o->err, ERR_FORMAT_MALFORMED, "an attribute is malformed");
}

static struct otlp_unit *find_unit(struct otlp *o, struct str key, uint64_t hash)
{
	for (struct idset_probe p = idset_probe(&o->unit_set, hash); idset_next(&o->unit_set, &p);)
		if (str_eq(o->units.v[p.id].key, key))
			return &o->units.v[p.id];
	return NULL;
}

int otlp_read_units(struct otlp *o)
{
	o->units.n = 0;
	idset_clear(&o->unit_set);
	for (size_t i = 0; i < o->dict.rows[TABLE_UNIT].n; i++) {
		struct cursor c = cursor_of(o->dict.rows[TABLE_UNIT].v[i]);
		struct pb_field f = { 0 };
		struct otlp_unit row = { STR(""), STR("") };
		while (pb_next(&c, &f))
			if (f.wire == PB_VARINT && (f.number == 1 || f.number == 2))
				otlp_dict_string(&o->dict, f.value, f.number == 1 ? &row.key : &row.unit);
		uint64_t hash = hash_str(row.key, o->seed);
		struct otlp_unit *to = find_unit(o, row.key, hash);
		if (!to && (!(to = VEC_PUSH(&o->units)) || idset_add(&o->unit_set, hash, (uint32_t)o->units.n - 1)))
			return error_set(o->err, -ENOMEM, "no memory for units");
		*to = row;
	}
	return 0;
}

int otlp_attribute(struct otlp *o, uint64_t i, struct otlp_attribute **ret)
{
	struct slice row;
	*ret = &o->no_attribute;
	if (!otlp_dict_row(&o->dict, TABLE_ATTRIBUTE, i, &row))
		return otlp_beyond(o, "an attribute", i, TABLE_ATTRIBUTE);
	if (i >= o->n_attributes)
		return 0;
	struct otlp_attribute *a = &o->attributes[i];
	if (!a->is_read) {
		*a = (struct otlp_attribute){ .key = STR(""), .unit = STR(""), .value.text = STR("") };
		int e = read_attribute(o, row, a);
		if (e)
			return e;
		const struct otlp_unit *unit = find_unit(o, a->key, hash_str(a->key, o->seed));
		a->unit = unit ? unit->unit : a->unit;
		a->is_read = true;
	}
	*ret = a;
	return 0;
}

/* Labels of samples that all formats have go by one name. */
static struct str label_key(struct str key)
{
	static const struct { const char *from, *to; } names[] = {
		{ "thread.name", "thread" }, { "thread.id", "tid" }, { "process.pid", "pid" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_eq(key, str_of(names[i].from)))
			return str_of(names[i].to);
	return key;
}

/* A text with the unit that it is in. */
static uint32_t make_text(struct otlp *o, const struct otlp_attribute *a)
{
	if (!a->unit.len || !a->value.text.len)
		return make_copy(&o->maker, a->value.text);
	_buf_ struct buf b = BUF_INIT(SIZE_MAX);
	buf_put(&b, a->value.text.s, a->value.text.len);
	buf_putc(&b, ' ');
	buf_put(&b, a->unit.s, a->unit.len);
	if (buf_err(&b))
		make_fail(&o->maker, buf_err(&b), "no memory for a label");
	return make_copy(&o->maker, (struct str){ (const char *)b.data, b.len });
}

static void translate_attribute(struct otlp *o, struct otlp_attribute *a)
{
	if (a->gen == o->gen)
		return;
	a->gen = o->gen;
	bool is_number = a->value.kind == VALUE_NUMBER;
	a->label = (struct profile_label){
		.key = make_copy(&o->maker, label_key(a->key)),
		.is_num = is_number,
		.num = is_number ? a->value.number : 0,
		.num_unit = is_number ? make_copy(&o->maker, a->unit) : 0,
		.str = is_number ? 0 : make_text(o, a),
	};
}

static void put_label(struct otlp *o, const struct profile_label *l)
{
	struct profile_label *to = o->maker.e ? NULL : VEC_PUSH(&o->maker.p->labels);
	if (to)
		*to = *l;
	else
		make_fail(&o->maker, -ENOMEM, "no memory for a label");
}

static bool has_label(const struct profile *p, const struct profile_label *l)
{
	size_t from = p->label_at.v[p->label_at.n - 1];
	for (size_t i = from; i < p->labels.n; i++) {
		const struct profile_label *o = &p->labels.v[i];
		if (o->key == l->key && o->str == l->str && o->num == l->num && o->is_num == l->is_num)
			return true;
	}
	return false;
}

static int put_attribute(struct otlp *o, uint64_t i, bool once)
{
	struct otlp_attribute *a;
	int e = otlp_attribute(o, i, &a);
	if (e || !a->key.len || a->value.kind == VALUE_NONE || (!once && str_eq(a->key, OTLP_SERVICE)))
		return e;
	translate_attribute(o, a);
	bool is_empty = !a->label.is_num && !a->label.str;
	if (!is_empty && !(once && has_label(o->maker.p, &a->label)))
		put_label(o, &a->label);
	return o->maker.e;
}

/* ---- mappings ---- */

struct mapping_row {
	uint64_t v[10]; /* fields 1 to 4, 6 to 9 */
	struct otlp_numbers attributes;
};

static int read_mapping_row(struct otlp *o, struct slice row, struct mapping_row *ret)
{
	struct cursor c = cursor_of(row);
	struct pb_field f = { 0 };
	int e = 0;
	while (!e && pb_next(&c, &f)) {
		if (f.number == 5)
			e = otlp_numbers(&f, false, &ret->attributes, o->err);
		else if (f.number < ARRAY_SIZE(ret->v) && f.wire == PB_VARINT)
			ret->v[f.number] = f.value;
	}
	return e || !c.bad ? e : error_set(o->err, ERR_FORMAT_MALFORMED, "a mapping is malformed");
}

static const char *const build_id_keys[] = {
	"process.executable.build_id.gnu", "process.executable.build_id.go", "process.executable.build_id.htlhash",
};

static size_t build_id_kind(struct str key)
{
	size_t i = 0;
	while (i < ARRAY_SIZE(build_id_keys) && !str_eq(key, str_of(build_id_keys[i])))
		i++;
	return i;
}

/* GNU ids as they are, others behind their kind: "93ac61ec htlhash:4d558". */
static int make_build_id(struct otlp *o, const struct otlp_numbers *attributes, uint32_t *ret)
{
	static const char *const prefixes[] = { "", "go:", "htlhash:" };
	_buf_ struct buf id = BUF_INIT(1 << 20);
	for (size_t kind = 0; kind < ARRAY_SIZE(prefixes); kind++) {
		for (size_t i = 0; i < attributes->n; i++) {
			struct otlp_attribute *a;
			int e = otlp_attribute(o, attributes->v[i], &a);
			if (e)
				return e;
			if (build_id_kind(a->key) != kind || !a->value.text.len)
				continue;
			buf_puts(&id, id.len ? " " : "");
			buf_puts(&id, prefixes[kind]);
			buf_put(&id, a->value.text.s, a->value.text.len);
		}
	}
	*ret = make_copy(&o->maker, (struct str){ (const char *)id.data, id.len });
	return buf_err(&id) ? error_set(o->err, ERR_FORMAT_LIMIT, "a build id of over a MiB") : o->maker.e;
}

static int add_extra(struct otlp *o, uint64_t attribute)
{
	if (o->extras.n >= EXTRAS_MAX)
		return error_set(o->err, ERR_FORMAT_LIMIT, "more than %zu attributes of mappings and locations",
		                 EXTRAS_MAX);
	uint64_t *to = VEC_PUSH(&o->extras);
	if (!to)
		return error_set(o->err, -ENOMEM, "no memory for attributes");
	*to = attribute;
	return 0;
}

/* What tells of a mapping or location beside what the model has is told of the samples that pass there. */
static int keep_extra(struct otlp *o, const struct otlp_numbers *attributes)
{
	for (size_t i = 0; i < attributes->n; i++) {
		struct otlp_attribute *a;
		int e = otlp_attribute(o, attributes->v[i], &a);
		if (e)
			return e;
		if (!a->key.len || build_id_kind(a->key) < ARRAY_SIZE(build_id_keys) || str_eq(a->key, OTLP_FRAME_TYPE))
			continue;
		e = add_extra(o, attributes->v[i]);
		if (e)
			return e;
	}
	return 0;
}

static int make_mapping_of(struct otlp *o, const struct mapping_row *r, struct otlp_row *to)
{
	struct str name;
	struct profile_mapping m = { .start = r->v[1], .limit = r->v[2], .offset = r->v[3] };
	int e = otlp_string(o, r->v[4], "a mapping's file name", &name);
	e = e ? e : make_build_id(o, &r->attributes, &m.build_id);
	if (e)
		return e;
	m.filename = otlp_keep(o, name);
	for (unsigned i = 0; o->layout->is_old && i < 4; i++)
		m.flags |= r->v[6 + i] ? 1 << i : 0;
	to->id = make_mapping(&o->maker, &m);
	to->extra_at = o->extras.n;
	e = keep_extra(o, &r->attributes);
	to->n_extras = o->extras.n - to->extra_at;
	return e ? e : o->maker.e;
}

static int translate_mapping(struct otlp *o, uint64_t i, struct otlp_row **ret)
{
	struct slice row;
	if (!otlp_dict_row(&o->dict, TABLE_MAPPING, i, &row))
		return otlp_beyond(o, "a location's mapping", i, TABLE_MAPPING);
	struct otlp_row *to = &o->mappings[i];
	*ret = to;
	if (to->gen == o->gen)
		return 0;
	struct mapping_row r = { 0 };
	int e = read_mapping_row(o, row, &r);
	e = e ? e : make_mapping_of(o, &r, to);
	VEC_DONE(&r.attributes);
	to->gen = e ? 0 : o->gen;
	return e;
}

/* ---- functions and locations ---- */

/* "name_[kernel]": the linker's name carries the type of the frame. */
static uint32_t make_system_name(struct otlp *o, struct str name, struct str type)
{
	if (!type.len)
		return otlp_keep(o, name);
	_buf_ struct buf b = BUF_INIT(SIZE_MAX);
	buf_put(&b, name.s, name.len);
	buf_puts(&b, "_[");
	buf_put(&b, type.s, type.len);
	buf_puts(&b, "]");
	if (buf_err(&b))
		make_fail(&o->maker, buf_err(&b), "no memory for a name");
	return make_copy(&o->maker, (struct str){ (const char *)b.data, b.len });
}

static int make_function_of(struct otlp *o, uint64_t i, struct str type, uint32_t *ret)
{
	struct slice row;
	if (!otlp_dict_row(&o->dict, TABLE_FUNCTION, i, &row))
		return otlp_beyond(o, "a line's function", i, TABLE_FUNCTION);
	uint64_t v[5] = { 0 };
	struct str name, system, file;
	int e = otlp_varints(o, row, "a function", v, ARRAY_SIZE(v));
	e = e ? e : otlp_string(o, v[1], "a function's name", &name);
	e = e ? e : otlp_string(o, v[2], "a function's system name", &system);
	e = e ? e : otlp_string(o, v[3], "a function's file name", &file);
	if (e)
		return e;
	const struct profile_function function = {
		.name = otlp_keep(o, name),
		.system_name = make_system_name(o, system.len || !type.len ? system : name, type),
		.filename = otlp_keep(o, file),
		.start_line = (int64_t)v[4],
	};
	*ret = make_function(&o->maker, &function);
	return o->maker.e;
}

struct location_row {
	uint64_t mapping, address;
	bool has_mapping, is_folded;
	struct cursor lines; /* all of the row */
	struct str type;
	struct otlp_numbers attributes;
};

static int frame_type(struct otlp *o, struct location_row *r)
{
	r->type = STR("");
	for (size_t i = 0; i < r->attributes.n; i++) {
		struct otlp_attribute *a;
		int e = otlp_attribute(o, r->attributes.v[i], &a);
		if (e)
			return e;
		if (str_eq(a->key, OTLP_FRAME_TYPE))
			r->type = a->value.text;
	}
	return 0;
}

static int read_location_row(struct otlp *o, struct slice row, struct location_row *r)
{
	struct cursor c = r->lines = cursor_of(row);
	struct pb_field f = { 0 };
	int e = 0;
	while (!e && pb_next(&c, &f)) {
		if (f.number == o->layout->location_attributes) {
			e = otlp_numbers(&f, false, &r->attributes, o->err);
		} else if (f.wire == PB_VARINT) {
			if (f.number == 1)
				r->mapping = f.value;
			r->has_mapping |= f.number == 1;
			if (f.number == 2)
				r->address = f.value;
			r->is_folded |= f.number == 4 && f.value;
		}
	}
	if (!e && c.bad)
		e = error_set(o->err, ERR_FORMAT_MALFORMED, "a location is malformed");
	return e ? e : frame_type(o, r);
}

static int add_line(struct otlp *o, struct slice message, struct str type)
{
	uint64_t v[4] = { 0 };
	int e = otlp_varints(o, message, "a line of a location", v, ARRAY_SIZE(v));
	if (e)
		return e;
	if (!v[1] && !o->layout->is_old)
		return 0; /* of no function */
	uint32_t function = PROFILE_NONE;
	e = make_function_of(o, v[1], type, &function);
	if (e)
		return e;
	struct profile_line *l = VEC_PUSH(&o->maker.p->lines);
	if (!l)
		return error_set(o->err, -ENOMEM, "no memory for the profile");
	*l = (struct profile_line){ function, (int64_t)v[2], (int64_t)v[3] };
	return 0;
}

static int add_lines(struct otlp *o, const struct location_row *r)
{
	struct cursor c = r->lines;
	struct pb_field f = { 0 };
	int e = 0;
	while (!e && pb_next(&c, &f))
		if (f.number == 3 && f.wire == PB_LEN)
			e = add_line(o, f.bytes, r->type);
	return e;
}

static void set_flags(struct profile *p, const struct profile_location *l)
{
	struct profile_mapping *m = &p->mappings.v[l->mapping];
	if (l->n_lines)
		m->flags |= MAPPING_HAS_FUNCTIONS;
	if (l->n_lines > 1)
		m->flags |= MAPPING_HAS_INLINE_FRAMES;
	for (size_t i = l->line_at; i < l->line_at + l->n_lines; i++) {
		const struct profile_line *line = &p->lines.v[i];
		m->flags |= line->line ? MAPPING_HAS_LINE_NUMBERS : 0;
		m->flags |= p->functions.v[line->function].filename ? MAPPING_HAS_FILENAMES : 0;
	}
}

/* Addresses may be those in the file, beside a mapping that tells of memory: the model has those in memory. */
static uint64_t memory_address(const struct profile_mapping *m, uint64_t address)
{
	bool inside = address >= m->start && address < m->limit;
	bool of_file = m->start < m->limit && address >= m->offset && address - m->offset < m->limit - m->start;
	return inside || !of_file ? address : address - m->offset + m->start;
}

/* A frame that nothing but its type is known of stands in a mapping of that name. */
static uint32_t type_mapping(struct otlp *o, struct str type)
{
	char name[80];
	int n = snprintf(name, sizeof name, "[%.*s]", (int)MIN(type.len, (size_t)64), type.s);
	return make_mapping(&o->maker, &(struct profile_mapping){
		.filename = make_copy(&o->maker, (struct str){ name, (size_t)n }) });
}

static int add_location(struct otlp *o, const struct location_row *r, struct otlp_row *to)
{
	struct profile *p = o->maker.p;
	struct otlp_row *mapping = NULL;
	bool has_mapping = o->layout->is_old ? r->has_mapping : r->mapping != 0;
	struct profile_location l = { .mapping = PROFILE_NONE, .line_at = (uint32_t)p->lines.n,
		.address = r->address, .is_folded = r->is_folded };
	int e = has_mapping ? translate_mapping(o, r->mapping, &mapping) : 0;
	e = e ? e : add_lines(o, r);
	if (e)
		return e;
	l.n_lines = (uint32_t)(p->lines.n - l.line_at);
	if (mapping) {
		l.mapping = mapping->id;
		l.address = memory_address(&p->mappings.v[l.mapping], r->address);
	} else if (!l.n_lines && r->type.len) {
		l.mapping = type_mapping(o, r->type);
	}
	if (l.mapping != PROFILE_NONE && !o->layout->is_old && !o->maker.e)
		set_flags(p, &l);
	to->extra_at = o->extras.n;
	e = keep_extra(o, &r->attributes);
	for (size_t i = 0; !e && mapping && i < mapping->n_extras; i++)
		e = add_extra(o, o->extras.v[mapping->extra_at + i]);
	to->n_extras = o->extras.n - to->extra_at;
	struct profile_location *slot = e ? NULL : VEC_PUSH(&p->locations);
	if (!slot)
		return e ? e : error_set(o->err, -ENOMEM, "no memory for the profile");
	*slot = l;
	to->id = (uint32_t)(p->locations.n - 1);
	return o->maker.e;
}

static int translate_location(struct otlp *o, uint64_t i, struct otlp_row **ret)
{
	struct slice row;
	if (!otlp_dict_row(&o->dict, TABLE_LOCATION, i, &row))
		return otlp_beyond(o, "a stack's location", i, TABLE_LOCATION);
	struct otlp_row *to = &o->locations[i];
	*ret = to;
	if (to->gen == o->gen)
		return 0;
	struct location_row r = { 0 };
	int e = read_location_row(o, row, &r);
	e = e ? e : add_location(o, &r, to);
	VEC_DONE(&r.attributes);
	to->gen = e ? 0 : o->gen;
	return e;
}

/* ---- samples ---- */

static int put_frame(struct otlp *o, uint64_t location)
{
	struct otlp_row *row = NULL;
	int e = translate_location(o, location, &row);
	if (e)
		return e;
	make_frame(&o->maker, row->id);
	for (size_t i = 0; !e && i < row->n_extras && o->n_sample_extras < SAMPLE_EXTRAS_MAX; i++) {
		e = put_attribute(o, o->extras.v[row->extra_at + i], true);
		if (++o->n_sample_extras == SAMPLE_EXTRAS_MAX)
			profile_warn(o->maker.p, "a sample's frames have more than %d attributes", SAMPLE_EXTRAS_MAX);
	}
	return e ? e : o->maker.e;
}

static int put_stack(struct otlp *o, const struct otlp_sample *s)
{
	struct slice row;
	if (!otlp_dict_row(&o->dict, TABLE_STACK, s->stack, &row))
		return otlp_beyond(o, "a sample's stack", s->stack, TABLE_STACK);
	struct cursor c = cursor_of(row);
	struct pb_field f = { 0 };
	int e = 0;
	while (!e && pb_next(&c, &f)) {
		if (f.number == 1 && f.wire == PB_VARINT) {
			e = put_frame(o, f.value);
		} else if (f.number == 1 && f.wire == PB_LEN) {
			struct cursor run = cursor_of(f.bytes);
			while (!e && run.p < run.end)
				e = put_frame(o, cursor_varint(&run));
			c.bad |= run.bad;
		}
	}
	return e || !c.bad ? e : error_set(o->err, ERR_FORMAT_MALFORMED, "a stack is malformed");
}

static int put_old_stack(struct otlp *o, const struct otlp_sample *s)
{
	size_t n = o->head.locations.n;
	if (s->start > n || s->length > n - s->start)
		return error_set(o->err, ERR_FORMAT_REFERENCE,
		                 "a sample's stack of %llu locations from %llu on, of %zu",
		                 (unsigned long long)s->length, (unsigned long long)s->start, n);
	int e = 0;
	for (uint64_t i = 0; !e && i < s->length; i++)
		e = put_frame(o, o->head.locations.v[s->start + i]);
	return e;
}

static void put_hex(struct otlp *o, struct str key, struct slice id)
{
	static const char digits[] = "0123456789abcdef";
	char text[128];
	bool any = false;
	size_t n = 0;
	for (size_t i = 0; i < id.len && n + 2 <= sizeof text; i++) {
		any |= id.data[i] != 0;
		text[n++] = digits[id.data[i] >> 4];
		text[n++] = digits[id.data[i] & 15];
	}
	if (any)
		put_label(o, &(struct profile_label){ .key = make_string(&o->maker, key),
		                                      .str = make_copy(&o->maker, (struct str){ text, n }) });
}

static int put_link(struct otlp *o, const struct otlp_sample *s)
{
	struct slice row;
	if (!s->has_link)
		return 0;
	if (!otlp_dict_row(&o->dict, TABLE_LINK, s->link, &row))
		return otlp_beyond(o, "a sample's link", s->link, TABLE_LINK);
	struct cursor c = cursor_of(row);
	struct pb_field f = { 0 };
	while (pb_next(&c, &f))
		if (f.wire == PB_LEN && (f.number == 1 || f.number == 2))
			put_hex(o, f.number == 1 ? STR("trace_id") : STR("span_id"), f.bytes);
	return o->maker.e;
}

/* One sample of the model, with these of the times. */
static int put_sample(struct otlp *o, const struct otlp_sample *s, int64_t *values, const uint64_t *times, size_t n)
{
	o->n_sample_extras = 0;
	int e = o->layout->is_old ? put_old_stack(o, s) : put_stack(o, s);
	for (size_t i = 0; !e && i < s->attributes.n; i++)
		e = put_attribute(o, s->attributes.v[i], false);
	e = e ? e : put_link(o, s);
	if (e)
		return e;
	for (size_t i = 0; i < n; i++)
		make_number(&o->maker, LABEL_TIMESTAMP, (int64_t)times[i], UNIT_NS);
	put_hex(o, STR("otel.profile_id"), o->head.id);
	if (o->derives_cpu && __builtin_mul_overflow(values[0], o->head.period, &values[1])) {
		values[1] = INT64_MAX;
		profile_warn(o->maker.p, "a sample's value times the period does not fit in 64 bits");
	}
	make_sample(&o->maker, values);
	return o->maker.e;
}

static int put_old_sample(struct otlp *o, const struct otlp_sample *s)
{
	int64_t values[FORMAT_MAX_TYPES + 1] = { 1 };
	size_t n = o->head.n_types;
	if (s->values.n != n && !(n == 1 && !s->values.n && s->times.n))
		return error_set(o->err, ERR_FORMAT_MALFORMED, "a sample has %zu values for %zu sample types",
		                 s->values.n, n);
	for (size_t i = 0; i < s->values.n; i++)
		values[i] = (int64_t)s->values.v[i];
	if (!s->values.n)
		values[0] = (int64_t)s->times.n;
	return put_sample(o, s, values, s->times.v, s->times.n);
}

int otlp_put_sample(struct otlp *o, const struct otlp_sample *s)
{
	if (o->layout->is_old)
		return put_old_sample(o, s);
	int64_t values[2] = { 0 };
	uint64_t sum = 0;
	int e = 0;
	for (size_t i = 0; i < s->values.n; i++)
		sum += s->values.v[i];
	values[0] = (int64_t)sum;
	if (!s->times.n && !s->values.n) {
		profile_warn(o->maker.p, "a sample with neither values nor times was dropped");
		return 0;
	}
	if (!s->times.n)
		return put_sample(o, s, values, NULL, 0);
	if (s->values.n && s->values.n != s->times.n)
		return error_set(o->err, ERR_FORMAT_MALFORMED, "a sample has %zu values for %zu times",
		                 s->values.n, s->times.n);
	for (size_t i = 0; !e && i < s->times.n; i++) {
		values[0] = s->values.n ? (int64_t)s->values.v[i] : 1;
		e = put_sample(o, s, values, &s->times.v[i], 1);
	}
	return e;
}

/* SPDX-License-Identifier: MIT */

/*
 * What a JFR chunk says of itself. Its metadata event holds a table of strings and a tree of elements, of which `class`
 * and the `field`s in it are used: they give the order and types of the fields of every event and constant, which
 * differ between writers, so that nothing is assumed. Checkpoint events, each of which names the one before it by a
 * distance, hold constants by class and key; their places are kept, and what is in them is read when it is asked for.
 */

#include "jfr.h"

#define BYTES_PER_STEP 8 /* of a text */
#define DEPTH_MAX 24 /* of elements, and of classes within classes */

static int malformed(const struct jfr_chunk *c, const char *what)
{
	return error_set(c->err, ERR_FORMAT_MALFORMED, "the recording's %s", what);
}

void jfr_chunk_done(struct jfr_chunk *c)
{
	VEC_DONE(&c->classes);
	VEC_DONE(&c->fields);
	VEC_DONE(&c->strings);
	VEC_DONE(&c->constants);
}

static int within(const struct jfr_chunk *c)
{
	size_t held = c->classes.cap * sizeof *c->classes.v + c->fields.cap * sizeof *c->fields.v +
	              c->strings.cap * sizeof *c->strings.v + c->constants.cap * sizeof *c->constants.v;
	if (held > c->max_bytes)
		return error_set(c->err, ERR_FORMAT_LIMIT, "the recording's tables need more than %zu MiB of memory",
		                 c->max_bytes >> 20);
	return 0;
}

static int no_memory(const struct jfr_chunk *c)
{
	return error_set(c->err, -ENOMEM, "no memory for the recording");
}

/* ---- values ---- */

static uint64_t big_endian(struct cursor *in, size_t n)
{
	const uint8_t *p = cursor_bytes(in, n);
	uint64_t v = 0;
	for (size_t i = 0; p && i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* Seven bits a byte, of at most nine bytes; the ninth has eight. */
static uint64_t leb128(struct cursor *in)
{
	uint64_t v = 0;
	for (unsigned shift = 0; shift < 56; shift += 7) {
		uint8_t b = cursor_u8(in);
		v |= (uint64_t)(b & 0x7f) << shift;
		if (b < 0x80)
			return v;
	}
	return v | (uint64_t)cursor_u8(in) << 56;
}

static size_t width_of(struct str class)
{
	return str_eq(class, STR("long")) ? 8 : str_eq(class, STR("int")) ? 4 : 2;
}

static uint64_t number(const struct jfr_chunk *c, struct cursor *in, size_t width)
{
	return c->is_compressed ? leb128(in) : big_endian(in, width);
}

int64_t jfr_integer(const struct jfr_chunk *c, struct cursor *in, uint32_t class)
{
	size_t width = width_of(c->classes.v[class].name);
	uint64_t v = number(c, in, width);
	return width == 8 ? (int64_t)v : width == 4 ? (int32_t)v : (int64_t)v;
}

uint64_t jfr_length(const struct jfr_chunk *c, struct cursor *in)
{
	return number(c, in, 4);
}

static size_t put_utf8(uint32_t rune, char *to)
{
	size_t n = 0;
	if (rune < 0x80) {
		to[n++] = (char)rune;
	} else if (rune < 0x800) {
		to[n++] = (char)(0xc0 | rune >> 6);
		to[n++] = (char)(0x80 | (rune & 0x3f));
	} else if (rune < 0x10000) {
		to[n++] = (char)(0xe0 | rune >> 12);
		to[n++] = (char)(0x80 | (rune >> 6 & 0x3f));
		to[n++] = (char)(0x80 | (rune & 0x3f));
	} else {
		to[n++] = (char)(0xf0 | rune >> 18);
		to[n++] = (char)(0x80 | (rune >> 12 & 0x3f));
		to[n++] = (char)(0x80 | (rune >> 6 & 0x3f));
		to[n++] = (char)(0x80 | (rune & 0x3f));
	}
	return n;
}

static struct str in_arena(const struct jfr_chunk *c, const char *s, size_t n)
{
	const char *copy = arena_strndup(c->arena, s, n);
	return copy ? (struct str){ copy, n } : STR("");
}

static struct str latin1(const struct jfr_chunk *c, struct slice s)
{
	size_t n = 0;
	bool ascii = true;
	for (size_t i = 0; i < s.len; i++)
		ascii &= s.data[i] < 0x80;
	if (ascii)
		return (struct str){ (const char *)s.data, s.len };
	_free_ char *text = malloc(2 * s.len);
	for (size_t i = 0; text && i < s.len; i++)
		n += put_utf8(s.data[i], text + n);
	return in_arena(c, text, n);
}

/* UTF-16 units, each a number. */
static struct str utf16(const struct jfr_chunk *c, struct cursor *in, size_t units, bool keep)
{
	_free_ char *text = keep ? malloc(4 * units + 1) : NULL;
	uint32_t high = 0;
	size_t n = 0;
	for (size_t i = 0; i < units && !in->bad; i++) {
		uint32_t unit = (uint32_t)number(c, in, 2) & 0xffff;
		if (high && unit >= 0xdc00 && unit < 0xe000)
			unit = 0x10000 + ((high - 0xd800) << 10) + (unit - 0xdc00);
		high = unit >= 0xd800 && unit < 0xdc00 ? unit : 0;
		if (!high && text)
			n += put_utf8(unit, text + n);
	}
	return text && !in->bad ? in_arena(c, text, n) : STR("");
}

enum { ENCODING_NULL, ENCODING_EMPTY, ENCODING_CONSTANT, ENCODING_UTF8, ENCODING_UTF16, ENCODING_LATIN1 };

/* *ret_key is the key of the constant that the text is, else 0. */
static struct str read_text(const struct jfr_chunk *c, struct cursor *in, bool keep, uint64_t *ret_key)
{
	uint8_t encoding = cursor_u8(in);
	*ret_key = 0;
	if (encoding == ENCODING_CONSTANT)
		*ret_key = number(c, in, 8);
	if (encoding > ENCODING_LATIN1)
		cursor_fail(in);
	if (encoding < ENCODING_UTF8 || in->bad)
		return STR("");
	uint64_t n = number(c, in, 4);
	if (n > cursor_left(in)) {
		cursor_fail(in);
		return STR("");
	}
	if (encoding == ENCODING_UTF16)
		return utf16(c, in, (size_t)n, keep);
	struct slice s = { cursor_bytes(in, (size_t)n), (size_t)n };
	if (encoding == ENCODING_LATIN1 && keep)
		return latin1(c, s);
	return (struct str){ (const char *)s.data, s.len };
}

void jfr_scalar(struct jfr_chunk *c, struct cursor *in, const struct jfr_field *f, struct jfr_value *ret)
{
	uint64_t key;
	*ret = (struct jfr_value){ .text = STR("") };
	if (f->is_constant) {
		ret->number = (int64_t)number(c, in, 8);
		return;
	}
	switch (c->classes.v[f->class].base) {
	case JFR_BOOLEAN:
	case JFR_BYTE:
		ret->number = (int8_t)cursor_u8(in);
		break;
	case JFR_INTEGER:
		ret->number = jfr_integer(c, in, f->class);
		break;
	case JFR_FLOAT:
		big_endian(in, 4);
		break;
	case JFR_DOUBLE:
		big_endian(in, 8);
		break;
	case JFR_STRING:
		ret->text = read_text(c, in, true, &key);
		if (key) {
			struct cursor at = jfr_constant(c, f->class, key);
			ret->text = read_text(c, &at, true, &key);
		}
		c->steps -= MIN(c->steps, (uint64_t)ret->text.len / BYTES_PER_STEP);
		break;
	case JFR_CLASS:
		break;
	}
}

static void skip_scalar(const struct jfr_chunk *c, struct cursor *in, const struct jfr_field *f)
{
	uint64_t key;
	if (f->is_constant) {
		number(c, in, 8);
		return;
	}
	switch (c->classes.v[f->class].base) {
	case JFR_BOOLEAN:
	case JFR_BYTE:
		cursor_u8(in);
		break;
	case JFR_INTEGER:
		jfr_integer(c, in, f->class);
		break;
	case JFR_FLOAT:
		cursor_bytes(in, 4);
		break;
	case JFR_DOUBLE:
		cursor_bytes(in, 8);
		break;
	case JFR_STRING:
		read_text(c, in, false, &key);
		break;
	case JFR_CLASS:
		break;
	}
}

/* Values that are still to be passed: so many of the field f, each from its class's field `next` on. */
struct pass {
	const struct jfr_field *f;
	uint64_t left;
	uint32_t next;
};

static bool push_pass(struct jfr_chunk *c, struct cursor *in, struct pass *stack, size_t *depth,
                      const struct jfr_field *f)
{
	uint64_t n = 1;
	if (f->class == JFR_NONE || *depth == DEPTH_MAX)
		return false;
	if (f->is_array)
		n = number(c, in, 4);
	if (n > cursor_left(in) + 1)
		return false;
	stack[(*depth)++] = (struct pass){ f, n, 0 };
	return true;
}

static bool pass_values(struct jfr_chunk *c, struct cursor *in, struct pass *stack, size_t depth)
{
	while (depth && !in->bad) {
		struct pass *p = &stack[depth - 1];
		const struct jfr_class *class = &c->classes.v[p->f->class];
		if (!c->steps)
			return false;
		c->steps--;
		if (!p->left) {
			depth--;
		} else if (p->f->is_constant || class->base != JFR_CLASS) {
			skip_scalar(c, in, p->f);
			p->left--;
		} else if (p->next == class->n_fields) {
			p->next = 0;
			p->left--;
		} else if (!push_pass(c, in, stack, &depth, &c->fields.v[class->field_at + p->next++])) {
			return false;
		}
	}
	return !in->bad;
}

bool jfr_skip(struct jfr_chunk *c, struct cursor *in, const struct jfr_field *f)
{
	struct pass stack[DEPTH_MAX];
	size_t depth = 0;
	if (c->steps && push_pass(c, in, stack, &depth, f) && pass_values(c, in, stack, depth))
		return true;
	cursor_fail(in);
	return false;
}

/* ---- constants ---- */

static int constant_cmp(const void *a, const void *b)
{
	const struct jfr_constant *x = a, *y = b;
	if (x->class != y->class)
		return CMP(x->class, y->class);
	return x->key != y->key ? CMP(x->key, y->key) : CMP(y->at, x->at); /* of two, the later one */
}

struct cursor jfr_constant(const struct jfr_chunk *c, uint32_t class, uint64_t key)
{
	struct cursor none = cursor_of((struct slice){ c->bytes.data, 0 });
	if (class == JFR_NONE)
		return none;
	size_t from = c->classes.v[class].pool_at, to = from + c->classes.v[class].n_pool;
	size_t end = to;
	while (from < to) {
		size_t mid = from + (to - from) / 2;
		if (c->constants.v[mid].key < key)
			from = mid + 1;
		else
			to = mid;
	}
	if (from == end || c->constants.v[from].key != key)
		return none;
	return (struct cursor){ c->constants.v[from].at, c->bytes.data + c->bytes.len, false };
}

bool jfr_constant_field(struct jfr_chunk *c, uint32_t class, uint64_t key, const char *name, struct jfr_value *ret,
                        uint32_t *ret_class)
{
	struct cursor in = jfr_constant(c, class, key);
	*ret = (struct jfr_value){ .text = STR("") };
	*ret_class = JFR_NONE;
	if (!cursor_left(&in))
		return false;
	const struct jfr_class *k = &c->classes.v[class];
	for (uint32_t i = 0; i < k->n_fields; i++) {
		const struct jfr_field *f = &c->fields.v[k->field_at + i];
		if (str_eq(f->name, str_of(name)) && jfr_is_scalar(c, f)) {
			jfr_scalar(c, &in, f, ret);
			*ret_class = f->class;
			return !in.bad;
		}
		if (!jfr_skip(c, &in, f))
			return false;
	}
	return false;
}

struct str jfr_constant_text(struct jfr_chunk *c, uint32_t class, uint64_t key, const char *name)
{
	struct jfr_value v, symbol;
	uint32_t of, string;
	if (!jfr_constant_field(c, class, key, name, &v, &of))
		return STR("");
	if (c->classes.v[of].base == JFR_STRING)
		return v.text;
	return jfr_constant_field(c, of, (uint64_t)v.number, "string", &symbol, &string) ? symbol.text : STR("");
}

static int read_pool(struct jfr_chunk *c, struct cursor *in)
{
	uint64_t id = number(c, in, 8), n = number(c, in, 4);
	uint32_t class = jfr_class_of(c, id);
	if (in->bad || class == JFR_NONE || n > cursor_left(in))
		return malformed(c, "constant pool is malformed, or of a class that is not there");
	const struct jfr_field f = { .class = class };
	for (uint64_t i = 0; i < n; i++) {
		uint64_t key = number(c, in, 8);
		struct jfr_constant *to = VEC_PUSH(&c->constants);
		if (!to)
			return no_memory(c);
		*to = (struct jfr_constant){ class, key, in->p };
		if (!jfr_skip(c, in, &f))
			return malformed(c, "constants are malformed or cut short");
	}
	return within(c);
}

/* An event at `at`: its bytes after size and type. */
static int open_event(struct jfr_chunk *c, size_t at, uint64_t type, const char *what, struct cursor *ret)
{
	struct cursor in = cursor_of(c->bytes);
	if (at < 68 || at >= c->bytes.len)
		return error_set(c->err, ERR_FORMAT_MALFORMED,
		                 "the recording's %s at byte %zu is not in its chunk", what, at);
	in.p += at;
	uint64_t size = number(c, &in, 4), found = number(c, &in, 8);
	if (in.bad || size > c->bytes.len - at || found != type)
		return error_set(c->err, ERR_FORMAT_MALFORMED, "the recording has no %s at byte %zu", what, at);
	in.end = c->bytes.data + at + size;
	*ret = in;
	return in.p <= in.end ? 0 : malformed(c, "metadata is cut short");
}

static int read_checkpoint(struct jfr_chunk *c, size_t *at)
{
	struct cursor in;
	int e = open_event(c, *at, 1, "checkpoint", &in);
	if (e)
		return e;
	number(c, &in, 8); /* start */
	number(c, &in, 8); /* duration */
	int64_t delta = (int64_t)number(c, &in, 8);
	cursor_u8(&in); /* what was flushed */
	uint64_t pools = number(c, &in, 4);
	if (in.bad || delta > 0 || -(uint64_t)delta > *at)
		return malformed(c, "checkpoints lead nowhere");
	for (uint64_t i = 0; !e && i < pools; i++)
		e = read_pool(c, &in);
	*at = delta ? *at - (size_t)-delta : 0;
	return e;
}

int jfr_read_constants(struct jfr_chunk *c)
{
	size_t at = c->checkpoint_at;
	int e = 0;
	while (!e && at)
		e = read_checkpoint(c, &at);
	if (e)
		return e;
	if (c->constants.n)
		qsort(c->constants.v, c->constants.n, sizeof *c->constants.v, constant_cmp);
	for (size_t i = 0; i < c->constants.n; i++) {
		struct jfr_class *class = &c->classes.v[c->constants.v[i].class];
		class->pool_at = class->n_pool ? class->pool_at : i;
		class->n_pool++;
	}
	return 0;
}

/* ---- metadata ---- */

static struct str string_at(const struct jfr_chunk *c, uint64_t i)
{
	return i < c->strings.n ? c->strings.v[i] : STR("");
}

static uint64_t parse_id(struct str s)
{
	uint64_t v = 0;
	for (size_t i = 0; i < s.len && s.s[i] >= '0' && s.s[i] <= '9'; i++)
		v = v * 10 + (uint64_t)(s.s[i] - '0');
	return v;
}

static enum jfr_base base_of(struct str name)
{
	static const struct { const char *name; enum jfr_base base; } bases[] = {
		{ "boolean", JFR_BOOLEAN }, { "byte", JFR_BYTE }, { "short", JFR_INTEGER }, { "char", JFR_INTEGER },
		{ "int", JFR_INTEGER }, { "long", JFR_INTEGER }, { "float", JFR_FLOAT }, { "double", JFR_DOUBLE },
		{ "java.lang.String", JFR_STRING },
	};
	for (size_t i = 0; i < ARRAY_SIZE(bases); i++)
		if (str_eq(name, str_of(bases[i].name)))
			return bases[i].base;
	return JFR_CLASS;
}

struct element {
	struct str name, attr_name, class, constant, dimension, id;
};

static struct element read_element(const struct jfr_chunk *c, struct cursor *in)
{
	struct element e = { .name = string_at(c, number(c, in, 4)), .attr_name = STR(""), .class = STR(""),
		.constant = STR(""), .dimension = STR(""), .id = STR("") };
	uint64_t n = number(c, in, 4);
	for (uint64_t i = 0; i < n && !in->bad; i++) {
		struct str key = string_at(c, number(c, in, 4)), value = string_at(c, number(c, in, 4));
		if (str_eq(key, STR("name")))
			e.attr_name = value;
		else if (str_eq(key, STR("class")))
			e.class = value;
		else if (str_eq(key, STR("constantPool")))
			e.constant = value;
		else if (str_eq(key, STR("dimension")))
			e.dimension = value;
		else if (str_eq(key, STR("id")))
			e.id = value;
	}
	return e;
}

static int add_class(struct jfr_chunk *c, const struct element *e)
{
	struct jfr_class *class = VEC_PUSH(&c->classes);
	if (!class)
		return no_memory(c);
	*class = (struct jfr_class){ .id = parse_id(e->id), .name = e->attr_name, .base = base_of(e->attr_name),
		.field_at = (uint32_t)c->fields.n, .kind = jfr_kind_of(e->attr_name) };
	return within(c);
}

static int add_field(struct jfr_chunk *c, const struct element *e)
{
	struct jfr_field *f = VEC_PUSH(&c->fields);
	if (!f)
		return no_memory(c);
	*f = (struct jfr_field){ .name = e->attr_name, .class_id = parse_id(e->class), .class = JFR_NONE,
		.is_constant = str_eq(e->constant, STR("true")), .is_array = parse_id(e->dimension) != 0 };
	struct jfr_class *class = &c->classes.v[c->classes.n - 1];
	class->n_fields++;
	class->has_stack |= str_eq(f->name, STR("stackTrace"));
	return within(c);
}

static int read_elements(struct jfr_chunk *c, struct cursor *in)
{
	uint64_t left[DEPTH_MAX] = { 1 };
	size_t depth = 1, class_depth = 0;
	while (depth && !in->bad) {
		if (!left[depth - 1]) {
			depth--;
			continue;
		}
		left[depth - 1]--;
		struct element e = read_element(c, in);
		int err = 0;
		if (str_eq(e.name, STR("class"))) {
			err = add_class(c, &e);
			class_depth = depth;
		} else if (str_eq(e.name, STR("field")) && class_depth && depth == class_depth + 1) {
			err = add_field(c, &e);
		}
		if (err)
			return err;
		uint64_t children = number(c, in, 4);
		if (children > cursor_left(in) || (children && depth == DEPTH_MAX))
			return malformed(c, "metadata is malformed");
		if (children)
			left[depth++] = children;
	}
	return in->bad ? malformed(c, "metadata is malformed or cut short") : 0;
}

static int read_strings(struct jfr_chunk *c, struct cursor *in)
{
	uint64_t n = number(c, in, 4), key;
	if (n > cursor_left(in))
		return malformed(c, "metadata is malformed");
	for (uint64_t i = 0; i < n; i++) {
		struct str *to = VEC_PUSH(&c->strings);
		if (!to)
			return no_memory(c);
		*to = read_text(c, in, true, &key);
	}
	return in->bad ? malformed(c, "metadata is malformed or cut short") : within(c);
}

static int class_cmp(const void *a, const void *b)
{
	const struct jfr_class *x = a, *y = b;
	return CMP(x->id, y->id);
}

uint32_t jfr_class_of(const struct jfr_chunk *c, uint64_t id)
{
	struct jfr_class key = { .id = id };
	const struct jfr_class *found = c->classes.n ? bsearch(&key, c->classes.v, c->classes.n, sizeof key, class_cmp)
	                                              : NULL;
	return found ? (uint32_t)(found - c->classes.v) : JFR_NONE;
}

int jfr_read_types(struct jfr_chunk *c)
{
	struct cursor in;
	int e = open_event(c, c->metadata_at, 0, "metadata", &in);
	if (e)
		return e;
	number(c, &in, 8); /* start */
	number(c, &in, 8); /* duration */
	number(c, &in, 8); /* id */
	c->classes.n = c->fields.n = c->strings.n = c->constants.n = 0;
	e = read_strings(c, &in);
	e = e ? e : read_elements(c, &in);
	if (e)
		return e;
	if (c->classes.n)
		qsort(c->classes.v, c->classes.n, sizeof *c->classes.v, class_cmp);
	for (size_t i = 0; i < c->fields.n; i++)
		c->fields.v[i].class = jfr_class_of(c, c->fields.v[i].class_id);
	return 0;
}

/* SPDX-License-Identifier: MIT */

/*
 * Stacks, methods, classes and threads of a chunk. A method is named CLASS.METHOD in the JVM's form
 * (`java/lang/Thread.run`), code that is no Java by its symbol, in a mapping named as its library. How a frame ran is
 * the suffix of the function's system name, behind the descriptor: `java/lang/Thread.run()V_[jit]`.
 *
 * The JVM makes classes of lambdas up as it runs, and names them by a count and an address: no two processes have the
 * same, and their stacks would share nothing. Names are without both, so that they can be merged and compared; system
 * names are as they came: `W$$Lambda.run` is `W$$Lambda$5.0x00007f5750001c40.run()V_[jit]`.
 */

#include "jfr.h"

#include "../base/hash.h"

/* A method as it ran, and what it is in each group's profile. */
struct frame_row {
	uint64_t method, type;
	struct str name, system, library;
	uint32_t function[JFR_GROUPS], mapping[JFR_GROUPS];
};

struct library {
	struct str name;
	uint32_t mapping[JFR_GROUPS];
};

/* A stack that a group's profile has already: a run of its locs. */
struct stack_row {
	uint64_t key;
	enum jfr_group group;
	size_t at, n;
	bool is_cut;
};

struct jfr_names {
	uint64_t seed;
	VEC(struct frame_row) frames;
	VEC(struct library) libraries;
	VEC(struct stack_row) stacks;
	struct idset frame_set, library_set, stack_set;
};

int jfr_names_new(struct jfr_names **ret)
{
	struct jfr_names *n = calloc(1, sizeof *n);
	if (!n)
		return -ENOMEM;
	n->seed = hash_seed();
	*ret = n;
	return 0;
}

void jfr_names_free(struct jfr_names *n)
{
	if (!n)
		return;
	VEC_DONE(&n->frames);
	VEC_DONE(&n->libraries);
	VEC_DONE(&n->stacks);
	idset_done(&n->frame_set);
	idset_done(&n->library_set);
	idset_done(&n->stack_set);
	free(n);
}

void jfr_names_reset(struct jfr_names *n)
{
	n->frames.n = n->libraries.n = n->stacks.n = 0;
	idset_clear(&n->frame_set);
	idset_clear(&n->library_set);
	idset_clear(&n->stack_set);
}

/* ---- classes, methods, types ---- */

static struct str primitive(char c)
{
	static const struct { char code; const char *name; } names[] = {
		{ 'Z', "boolean" }, { 'B', "byte" }, { 'C', "char" }, { 'S', "short" }, { 'I', "int" }, { 'J', "long" },
		{ 'F', "float" }, { 'D', "double" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (names[i].code == c)
			return str_of(names[i].name);
	return STR("");
}

struct str jfr_class_name(struct jfr_chunk *c, uint32_t class, uint64_t key)
{
	struct str name = jfr_constant_text(c, class, key, "name");
	size_t dims = 0;
	while (dims < name.len && name.s[dims] == '[')
		dims++;
	struct str base = { name.s + dims, name.len - dims };
	if (dims && base.len == 1 && primitive(*base.s).len)
		base = primitive(*base.s);
	else if (dims && base.len > 2 && *base.s == 'L' && base.s[base.len - 1] == ';')
		base = (struct str){ base.s + 1, base.len - 2 };
	char *text = name.len ? arena_alloc(c->arena, base.len + 2 * dims + 1) : NULL;
	if (!text)
		return STR("");
	for (size_t i = 0; i < base.len; i++)
		text[i] = base.s[i] == '/' ? '.' : base.s[i];
	for (size_t i = 0; i < dims; i++)
		memcpy(text + base.len + 2 * i, "[]", 2);
	return (struct str){ text, base.len + 2 * dims };
}

static struct str join(struct jfr_chunk *c, struct str a, const char *between, struct str b)
{
	size_t n = strlen(between);
	char *text = arena_alloc(c->arena, a.len + n + b.len + 1);
	if (!text)
		return STR("");
	memcpy(text, a.s, a.len);
	memcpy(text + a.len, between, n);
	memcpy(text + a.len + n, b.s, b.len);
	return (struct str){ text, a.len + n + b.len };
}

static struct str method_class(struct jfr_chunk *c, uint32_t class, uint64_t key)
{
	struct jfr_value v;
	uint32_t of;
	return jfr_constant_field(c, class, key, "type", &v, &of) ? jfr_constant_text(c, of, (uint64_t)v.number, "name")
	                                                           : STR("");
}

static bool is_any_of(struct str s, const char *set)
{
	for (size_t i = 0; i < s.len; i++)
		if (!s.s[i] || !strchr(set, s.s[i]))
			return false;
	return s.len != 0;
}

/* What stands before the last of `marks`, where what follows it is a number; else all. */
static struct str cut_number(struct str s, const char *marks, bool is_hex)
{
	size_t at = s.len;
	while (at && (!s.s[at - 1] || !strchr(marks, s.s[at - 1])))
		at--;
	struct str tail = { s.s + at, s.len - at };
	if (is_hex && tail.len > 2 && tail.s[0] == '0' && tail.s[1] == 'x')
		tail = (struct str){ tail.s + 2, tail.len - 2 };
	else if (is_hex)
		return s;
	return at > 1 && is_any_of(tail, is_hex ? "0123456789abcdefABCDEF" : "0123456789") ? (struct str){ s.s, at - 1 }
	                                                                                    : s;
}

struct str jfr_stable_class(struct str name)
{
	static const struct str lambda = { "$$Lambda", 8 };
	struct str s = cut_number(cut_number(name, "/", false), "/.+", true);
	struct str unnumbered = cut_number(s, "$", false);
	size_t n = unnumbered.len;
	bool is_lambda = n > lambda.len && !memcmp(unnumbered.s + n - lambda.len, lambda.s, lambda.len);
	return is_lambda ? unnumbered : s;
}

struct str jfr_method_name(struct jfr_chunk *c, uint32_t class, uint64_t key)
{
	struct str owner = method_class(c, class, key), name = jfr_constant_text(c, class, key, "name");
	return owner.len ? join(c, owner, ".", name) : name;
}

/* How the JVM's and async-profiler's words for types of frames are written here. */
static struct str type_word(struct str type)
{
	static const struct { const char *from, *to; } words[] = {
		{ "Interpreted", "interpreted" }, { "JIT compiled", "jit" }, { "Inlined", "inlined" },
		{ "Native", "native" }, { "C++", "c++" }, { "Kernel", "kernel" }, { "C1 compiled", "c1" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_eq(type, str_of(words[i].from)))
			return str_of(words[i].to);
	return type;
}

static bool is_native(struct str word)
{
	return str_eq(word, STR("native")) || str_eq(word, STR("c++")) || str_eq(word, STR("kernel"));
}

static void name_frame(struct jfr_chunk *c, uint32_t method_type, uint32_t type_type, struct frame_row *f)
{
	struct str word = type_word(jfr_constant_text(c, type_type, f->type, "description"));
	struct str descriptor = jfr_constant_text(c, method_type, f->method, "descriptor");
	bool native = is_native(word);
	f->library = native ? method_class(c, method_type, f->method) : STR("");
	struct str name = jfr_constant_text(c, method_type, f->method, "name");
	struct str full = native ? name : jfr_method_name(c, method_type, f->method);
	struct str owner = native ? STR("") : method_class(c, method_type, f->method);
	struct str stable = jfr_stable_class(owner);
	f->name = stable.len < owner.len ? join(c, stable, ".", name) : full;
	if (!f->name.len)
		f->name = full = STR("[unknown]");
	f->system = native ? full : join(c, full, "", descriptor);
	if (word.len)
		f->system = join(c, join(c, f->system, "_[", word), "]", STR(""));
}

static struct frame_row *find_frame(struct jfr_names *n, struct jfr_chunk *c, uint32_t method_type, uint64_t method,
                                    uint32_t type_type, uint64_t type)
{
	uint64_t hash = hash_mix(method ^ n->seed, type + 1);
	for (struct idset_probe p = idset_probe(&n->frame_set, hash); idset_next(&n->frame_set, &p);)
		if (n->frames.v[p.id].method == method && n->frames.v[p.id].type == type)
			return &n->frames.v[p.id];
	struct frame_row *f = VEC_PUSH(&n->frames);
	if (!f || idset_add(&n->frame_set, hash, (uint32_t)n->frames.n - 1))
		return NULL;
	*f = (struct frame_row){ .method = method, .type = type };
	memset(f->function, 0xff, sizeof f->function);
	memset(f->mapping, 0xff, sizeof f->mapping);
	name_frame(c, method_type, type_type, f);
	return f;
}

static uint32_t library_mapping(struct jfr_names *n, struct maker *m, enum jfr_group group, struct str name)
{
	uint64_t hash = hash_str(name, n->seed);
	struct library *found = NULL;
	for (struct idset_probe p = idset_probe(&n->library_set, hash); !found && idset_next(&n->library_set, &p);)
		found = str_eq(n->libraries.v[p.id].name, name) ? &n->libraries.v[p.id] : NULL;
	if (!found) {
		found = VEC_PUSH(&n->libraries);
		if (!found || idset_add(&n->library_set, hash, (uint32_t)n->libraries.n - 1)) {
			make_fail(m, -ENOMEM, "no memory for libraries");
			return PROFILE_NONE;
		}
		found->name = name;
		memset(found->mapping, 0xff, sizeof found->mapping);
	}
	if (found->mapping[group] == PROFILE_NONE)
		found->mapping[group] = make_mapping(m, &(struct profile_mapping){
			.filename = make_copy(m, name), .flags = MAPPING_HAS_FUNCTIONS });
	return found->mapping[group];
}

static void put_frame(struct jfr_names *n, struct maker *m, enum jfr_group group, struct frame_row *f, int64_t line)
{
	if (f->function[group] == PROFILE_NONE) {
		f->function[group] = make_function(m, &(struct profile_function){
			.name = make_copy(m, f->name), .system_name = make_copy(m, f->system) });
		if (f->library.len)
			f->mapping[group] = library_mapping(n, m, group, f->library);
	}
	const struct profile_line l = { f->function[group], line > 0 ? line : 0, 0 };
	make_frame(m, make_location(m, &(struct frame){ f->mapping[group], 0, &l, 1 }));
}

/* ---- stacks ---- */

static void read_frame(struct jfr_names *n, struct jfr_chunk *c, struct cursor *in, uint32_t class, struct maker *m,
                       enum jfr_group group)
{
	const struct jfr_class *k = &c->classes.v[class];
	struct jfr_value v, method = { 0 }, type = { 0 }, line = { 0 };
	uint32_t method_type = JFR_NONE, type_type = JFR_NONE;
	for (uint32_t i = 0; i < k->n_fields && !in->bad; i++) {
		const struct jfr_field *f = &c->fields.v[k->field_at + i];
		if (!jfr_is_scalar(c, f)) {
			jfr_skip(c, in, f);
			continue;
		}
		jfr_scalar(c, in, f, &v);
		if (str_eq(f->name, STR("method"))) {
			method = v;
			method_type = f->class;
		} else if (str_eq(f->name, STR("type"))) {
			type = v;
			type_type = f->class;
		} else if (str_eq(f->name, STR("lineNumber"))) {
			line = v;
		}
	}
	struct frame_row *row = in->bad ? NULL : find_frame(n, c, method_type, (uint64_t)method.number, type_type,
	                                                    (uint64_t)type.number);
	if (row)
		put_frame(n, m, group, row, line.number);
	else if (!in->bad)
		make_fail(m, -ENOMEM, "no memory for frames");
}

/* The frames, of which `truncated` may tell that they are not all. */
static bool read_stack(struct jfr_names *n, struct jfr_chunk *c, struct maker *m, enum jfr_group group, uint32_t class,
                       uint64_t key, bool *ret_cut)
{
	struct cursor in = jfr_constant(c, class, key);
	*ret_cut = false;
	if (!cursor_left(&in))
		return false;
	const struct jfr_class *k = &c->classes.v[class];
	for (uint32_t i = 0; i < k->n_fields && !in.bad; i++) {
		const struct jfr_field *f = &c->fields.v[k->field_at + i];
		struct jfr_value v;
		if (f->is_array && !f->is_constant && f->class != JFR_NONE && str_eq(f->name, STR("frames"))) {
			uint64_t frames = jfr_length(c, &in);
			for (uint64_t at = 0; at < frames && !in.bad && !m->e && c->steps; at++) {
				c->steps--;
				read_frame(n, c, &in, f->class, m, group);
			}
		} else if (jfr_is_scalar(c, f)) {
			jfr_scalar(c, &in, f, &v);
			*ret_cut |= v.number && str_eq(f->name, STR("truncated"));
		} else {
			jfr_skip(c, &in, f);
		}
	}
	return !in.bad;
}

static const struct stack_row *find_stack(const struct jfr_names *n, enum jfr_group group, uint64_t key, uint64_t hash)
{
	for (struct idset_probe p = idset_probe(&n->stack_set, hash); idset_next(&n->stack_set, &p);)
		if (n->stacks.v[p.id].key == key && n->stacks.v[p.id].group == group)
			return &n->stacks.v[p.id];
	return NULL;
}

static void copy_frames(struct maker *m, size_t at, size_t n)
{
	uint32_t *to = m->e ? NULL : VEC_GROW(&m->p->locs, n);
	if (!to) {
		make_fail(m, -ENOMEM, "no memory for a stack");
		return;
	}
	memcpy(to, m->p->locs.v + at, n * sizeof *to);
	m->p->locs.n += n;
}

void jfr_put_stack(struct jfr_names *n, struct jfr_chunk *c, struct maker *m, enum jfr_group group, uint32_t class,
                   uint64_t key)
{
	uint64_t hash = hash_mix(key ^ n->seed, group);
	const struct stack_row *found = find_stack(n, group, key, hash);
	bool is_cut = found && found->is_cut;
	if (found) {
		copy_frames(m, found->at, found->n);
	} else {
		size_t at = m->p->locs.n;
		if (!read_stack(n, c, m, group, class, key, &is_cut) && key)
			profile_warn(m->p, "a stack that the recording does not hold");
		struct stack_row *to = VEC_PUSH(&n->stacks);
		if (!to || idset_add(&n->stack_set, hash, (uint32_t)n->stacks.n - 1))
			make_fail(m, -ENOMEM, "no memory for stacks");
		else
			*to = (struct stack_row){ key, group, at, m->p->locs.n - at, is_cut };
	}
	if (is_cut)
		make_label(m, STR("truncated"), STR("true"));
}

void jfr_put_thread(struct jfr_chunk *c, struct maker *m, uint32_t class, uint64_t key)
{
	struct jfr_value tid = { 0 };
	uint32_t of;
	struct str name = jfr_constant_text(c, class, key, "javaName");
	if (!name.len)
		name = jfr_constant_text(c, class, key, "osName");
	if (name.len)
		make_label(m, LABEL_THREAD, profile_str(m->p, make_copy(m, name)));
	bool found = jfr_constant_field(c, class, key, "osThreadId", &tid, &of) && tid.number;
	if (found || (jfr_constant_field(c, class, key, "javaThreadId", &tid, &of) && tid.number))
		make_number(m, LABEL_TID, tid.number, NO_UNIT);
}

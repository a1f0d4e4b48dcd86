/* SPDX-License-Identifier: MIT */
#include "internal.h"
#include "json_format.h"
#include "text.h"

/*
 * The processed format of the Firefox Profiler (profiler.firefox.com, samply): tables as columns, in each thread or, of
 * newer versions, in "shared"; one struct of arrays each, joined by numbers:
 *
 *     samples.stack -> stackTable.{prefix, frame} -> frameTable.{func, line, ...} -> funcTable.{name, ...} -> strings
 *
 * Versions differ in where a column stands, not in what it says, so columns are looked for in all the places.
 *
 *     types       "samples" (count, by weight), "cpu" (nanoseconds) where threadCPUDelta is time, "wall" where weights
 *                 are tracing-ms, "space" where they are bytes
 *     labels      process, pid, thread, tid, category (the leaf's), timestamp (meta.startTime plus the sample's time)
 *     time        meta.startTime; period: meta.interval
 *     native      libraries are mappings (path, code id or breakpad id as build id), addresses relative to them; a
 *                 function named by its address alone is a location without a function. Inlined frames are lines of
 *                 the location they were inlined into
 *
 * Samples without a stack, markers, counters and allocations are left out.
 */

struct column {
	VEC(int64_t) v; /* -1 for null */
};

enum {
	STACK_PREFIX, STACK_OFFSET, STACK_FRAME, STACK_CATEGORY,
	FRAME_FUNC, FRAME_KIND, FRAME_LINE, FRAME_COLUMN, FRAME_ADDRESS, FRAME_DEPTH, FRAME_CATEGORY, FRAME_LIB,
	FUNC_NAME, FUNC_FILE, FUNC_LINE, FUNC_COLUMN, FUNC_RESOURCE, FUNC_SOURCE,
	RESOURCE_LIB, SOURCE_FILE,
	N_COLUMNS
};

static const struct place {
	const char *table, *name;
} places[N_COLUMNS] = {
	[STACK_PREFIX] = { "stackTable", "prefix" },      [STACK_OFFSET] = { "stackTable", "prefixOffset" },
	[STACK_FRAME] = { "stackTable", "frame" },        [STACK_CATEGORY] = { "stackTable", "category" },
	[FRAME_FUNC] = { "frameTable", "func" },          [FRAME_KIND] = { "frameTable", "implementation" },
	[FRAME_LINE] = { "frameTable", "line" },
	[FRAME_COLUMN] = { "frameTable", "column" },      [FRAME_ADDRESS] = { "frameTable", "address" },
	[FRAME_DEPTH] = { "frameTable", "inlineDepth" },  [FRAME_CATEGORY] = { "frameTable", "category" },
	[FRAME_LIB] = { "frameTable", "lib" },            [FUNC_NAME] = { "funcTable", "name" },
	[FUNC_FILE] = { "funcTable", "fileName" },        [FUNC_LINE] = { "funcTable", "lineNumber" },
	[FUNC_COLUMN] = { "funcTable", "columnNumber" },  [FUNC_RESOURCE] = { "funcTable", "resource" },
	[FUNC_SOURCE] = { "funcTable", "source" },        [RESOURCE_LIB] = { "resourceTable", "lib" },
	[SOURCE_FILE] = { "sources", "filename" },
};

enum weight { WEIGHT_SAMPLES, WEIGHT_TIME, WEIGHT_BYTES };

struct firefox {
	const struct json *j;
	struct maker *m;
	struct column columns[N_COLUMNS];
	VEC(uint32_t) strings;    /* values in the document */
	VEC(uint32_t) libs;       /* mappings */
	VEC(uint32_t) categories; /* values in the document */
	bool tables_read;
	bool shared;              /* the tables are those of all threads */
	struct idset lib_ids;     /* mappings by path and id */
	VEC(struct profile_line) lines;
	int64_t cpu_scale;        /* of threadCPUDelta to nanoseconds; 0: it is no time */
	size_t cpu_type, time_type, bytes_type; /* 0: not there */
	int64_t start_ns, last_ns;
	size_t number;            /* of the thread */
	size_t n_empty;
};

static int bad(struct firefox *f, const char *what)
{
	return make_fail(f->m, ERR_FORMAT_MALFORMED, "a Firefox profile: thread %zu: %s", f->number, what);
}

/* ---- tables ---- */

static uint32_t table_of(const struct firefox *f, uint32_t thread, const char *name)
{
	uint32_t own = json_get(f->j, thread, name);
	return own ? own : json_get(f->j, json_get(f->j, json_root(f->j), "shared"), name);
}

static void read_column(struct firefox *f, uint32_t array, struct column *c)
{
	const struct json *j = f->j;
	c->v.n = 0;
	for (uint32_t v = json_first(j, array); v && !f->m->e; v = json_next(j, array, v)) {
		int64_t *to = VEC_PUSH(&c->v);
		if (to)
			*to = json_int(j, v, -1);
		else
			make_fail(f->m, -ENOMEM, "no memory for the tables");
	}
}

/* A row of a column; -1 where there is none. */
static int64_t at(const struct firefox *f, size_t column, int64_t row)
{
	const struct column *c = &f->columns[column];
	return row >= 0 && (uint64_t)row < c->v.n ? c->v.v[row] : -1;
}

static void push_value(struct firefox *f, uint32_t value, uint32_t *to)
{
	if (to)
		*to = value;
	else
		make_fail(f->m, -ENOMEM, "no memory for the tables");
}

static struct str string_at(const struct firefox *f, int64_t i)
{
	return i >= 0 && (uint64_t)i < f->strings.n ? json_str(f->j, f->strings.v[i]) : STR("");
}

static struct str first_str(const struct json *j, uint32_t object, const char *a, const char *b)
{
	struct str s = json_str(j, json_get(j, object, a));
	return s.len ? s : json_str(j, json_get(j, object, b));
}

static uint32_t library(struct firefox *f, uint32_t path, uint32_t id)
{
	const struct profile *p = f->m->p;
	uint64_t hash = hash_mix(f->m->seed ^ path, id);
	for (struct idset_probe q = idset_probe(&f->lib_ids, hash); idset_next(&f->lib_ids, &q);)
		if (p->mappings.v[q.id].filename == path && p->mappings.v[q.id].build_id == id)
			return q.id;
	uint32_t mapping = make_mapping(f->m, &(struct profile_mapping){ .filename = path, .build_id = id });
	if (mapping != PROFILE_NONE && idset_add(&f->lib_ids, hash, mapping))
		make_fail(f->m, -ENOMEM, "no memory for the libraries");
	return mapping;
}

static void read_libs(struct firefox *f, uint32_t thread)
{
	const struct json *j = f->j;
	uint32_t own = json_get(j, thread, "libs"), list = own ? own : json_get(j, json_root(j), "libs");
	f->libs.n = 0;
	for (uint32_t v = json_first(j, list); v && !f->m->e; v = json_next(j, list, v)) {
		uint32_t path = make_string(f->m, first_str(j, v, "path", "name"));
		uint32_t id = make_string(f->m, first_str(j, v, "codeId", "breakpadId"));
		push_value(f, library(f, path, id), VEC_PUSH(&f->libs));
	}
}

static void read_tables(struct firefox *f, uint32_t thread)
{
	const struct json *j = f->j;
	bool own = json_get(j, thread, "stackTable");
	if (f->tables_read && f->shared == own) {
		bad(f, "some threads have tables of their own, and others share theirs");
		return;
	}
	f->shared = !own;
	if (f->shared && f->tables_read)
		return;
	f->tables_read = true;
	for (size_t i = 0; i < N_COLUMNS && !f->m->e; i++)
		read_column(f, json_get(j, table_of(f, thread, places[i].table), places[i].name), &f->columns[i]);
	uint32_t array = table_of(f, thread, "stringArray"), list = array ? array : table_of(f, thread, "stringTable");
	f->strings.n = 0;
	for (uint32_t v = json_first(j, list); v && !f->m->e; v = json_next(j, list, v))
		push_value(f, v, VEC_PUSH(&f->strings));
	read_libs(f, thread);
}

/* ---- frames ---- */

static int64_t parent_of(struct firefox *f, int64_t stack)
{
	if (!f->columns[STACK_OFFSET].v.n)
		return at(f, STACK_PREFIX, stack);
	int64_t offset = at(f, STACK_OFFSET, stack);
	return offset > 0 && offset <= stack ? stack - offset : -1;
}

static struct str file_of(const struct firefox *f, int64_t func)
{
	int64_t source = at(f, FUNC_SOURCE, func);
	return string_at(f, source >= 0 ? at(f, SOURCE_FILE, source) : at(f, FUNC_FILE, func));
}

static uint32_t mapping_of(const struct firefox *f, int64_t frame, int64_t func)
{
	int64_t lib = at(f, FRAME_LIB, frame);
	lib = lib >= 0 ? lib : at(f, RESOURCE_LIB, at(f, FUNC_RESOURCE, func));
	return lib >= 0 && (uint64_t)lib < f->libs.n ? f->libs.v[lib] : PROFILE_NONE;
}

/* "NAME_[ion]": how JavaScript was compiled. */
static uint32_t system_name(struct firefox *f, struct str name, struct str kind)
{
	if (!kind.len || name.len > 4096 || kind.len > 64)
		return 0;
	char text[4200];
	int n = snprintf(text, sizeof text, "%.*s_[%.*s]", (int)name.len, name.s, (int)kind.len, kind.s);
	return make_copy(f->m, (struct str){ text, (size_t)n });
}

static void push_line(struct firefox *f, int64_t frame, int64_t func)
{
	int64_t start = at(f, FUNC_LINE, func), line = at(f, FRAME_LINE, frame), column = at(f, FRAME_COLUMN, frame);
	struct str name = string_at(f, at(f, FUNC_NAME, func));
	const struct profile_function function = { .name = make_string(f->m, name),
		.system_name = system_name(f, name, string_at(f, at(f, FRAME_KIND, frame))),
		.filename = make_string(f->m, file_of(f, func)), .start_line = MAX(start, 0) };
	struct profile_line *to = VEC_PUSH(&f->lines);
	if (to)
		*to = (struct profile_line){ make_function(f->m, &function), line >= 0 ? line : MAX(start, 0),
			MAX(column, 0) };
	else
		make_fail(f->m, -ENOMEM, "no memory for the frames");
}

/* A frame, and what was inlined into it, is one location. */
static void add_frame(struct firefox *f, int64_t frame, bool inlined)
{
	int64_t func = at(f, FRAME_FUNC, frame), address = at(f, FRAME_ADDRESS, frame);
	if (func < 0 || (uint64_t)func >= f->columns[FUNC_NAME].v.n) {
		bad(f, "a frame without a function");
		return;
	}
	uint32_t mapping = mapping_of(f, frame, func);
	bool number = str_starts(string_at(f, at(f, FUNC_NAME, func)), STR("0x"));
	bool known = address < 0 || mapping == PROFILE_NONE || !number;
	if (known)
		push_line(f, frame, func);
	if (inlined)
		return;
	if (f->lines.n && mapping != PROFILE_NONE && !f->m->e)
		f->m->p->mappings.v[mapping].flags |= MAPPING_HAS_FUNCTIONS;
	make_frame(f->m, make_location(f->m, &(struct frame){ mapping, (uint64_t)MAX(address, 0), f->lines.v,
	                                                      (uint32_t)f->lines.n }));
	f->lines.n = 0;
}

/* A prefix lies before its stack, so a walk ends. */
static void make_stack(struct firefox *f, int64_t stack)
{
	f->lines.n = 0;
	while (stack >= 0 && !f->m->e) {
		int64_t parent = parent_of(f, stack), frame = at(f, STACK_FRAME, stack);
		if (parent >= stack || frame < 0) {
			bad(f, "a stack whose prefix does not lie before it, or without a frame");
			return;
		}
		add_frame(f, frame, at(f, FRAME_DEPTH, frame) > 0 && parent >= 0);
		stack = parent;
	}
}

/* ---- samples ---- */

static struct str category_of(const struct firefox *f, int64_t stack)
{
	int64_t category = at(f, STACK_CATEGORY, stack);
	category = category >= 0 ? category : at(f, FRAME_CATEGORY, at(f, STACK_FRAME, stack));
	bool there = category >= 0 && (uint64_t)category < f->categories.n;
	return there ? json_str(f->j, json_get(f->j, f->categories.v[category], "name")) : STR("");
}

static void label_number_or_text(struct firefox *f, struct str key, uint32_t value)
{
	int64_t n;
	if (json_scaled(f->j, value, 0, &n))
		make_number(f->m, key, n, NO_UNIT);
	else
		make_label(f->m, key, json_str(f->j, value));
}

static void label_sample(struct firefox *f, uint32_t thread, int64_t stack, int64_t time)
{
	const struct json *j = f->j;
	int64_t stamp;
	make_label(f->m, LABEL_PROCESS, first_str(j, thread, "processName", "processType"));
	label_number_or_text(f, LABEL_PID, json_get(j, thread, "pid"));
	make_label(f->m, LABEL_THREAD, json_str(j, json_get(j, thread, "name")));
	label_number_or_text(f, LABEL_TID, json_get(j, thread, "tid"));
	make_label(f->m, STR("category"), category_of(f, stack));
	if (!f->start_ns || __builtin_add_overflow(f->start_ns, time, &stamp))
		return;
	make_number(f->m, LABEL_TIMESTAMP, stamp, UNIT_NS);
	f->last_ns = MAX(f->last_ns, stamp);
}

/* Columns of one table that are walked together; some may be absent. */
struct walk {
	uint32_t list, at;
};

static struct walk walk_of(const struct firefox *f, uint32_t table, const char *name)
{
	uint32_t list = json_get(f->j, table, name);
	return (struct walk){ list, json_first(f->j, list) };
}

static void step(const struct firefox *f, struct walk *w)
{
	w->at = w->at ? json_next(f->j, w->list, w->at) : 0;
}

static enum weight weight_of(const struct firefox *f, uint32_t samples)
{
	uint32_t type = json_get(f->j, samples, "weightType");
	if (json_is(f->j, type, "tracing-ms"))
		return WEIGHT_TIME;
	return json_is(f->j, type, "bytes") ? WEIGHT_BYTES : WEIGHT_SAMPLES;
}

static void add_sample(struct firefox *f, enum weight kind, uint32_t weight, uint32_t cpu, const int64_t *stack)
{
	int64_t values[4] = { 1 }, v = 0;
	if (weight && !json_scaled(f->j, weight, kind == WEIGHT_TIME ? 6 : 0, &v))
		bad(f, "a weight that is no number of 64 bits");
	if (weight && kind == WEIGHT_SAMPLES)
		values[0] = v;
	else if (kind != WEIGHT_SAMPLES)
		values[kind == WEIGHT_TIME ? f->time_type : f->bytes_type] = v;
	if (f->cpu_type && json_scaled(f->j, cpu, 0, &v) &&
	    __builtin_mul_overflow(v, f->cpu_scale, &values[f->cpu_type]))
		bad(f, "a CPU time over 64 bits");
	make_stack(f, *stack);
	make_sample(f->m, values);
}

/* Labels stand before the sample is ended, frames too: order between them does not matter. */
static void read_thread(struct firefox *f, uint32_t thread)
{
	const struct json *j = f->j;
	uint32_t samples = json_get(j, thread, "samples");
	struct walk stack = walk_of(f, samples, "stack"), time = walk_of(f, samples, "time");
	struct walk delta = walk_of(f, samples, "timeDeltas"), weight = walk_of(f, samples, "weight");
	struct walk cpu = walk_of(f, samples, "threadCPUDelta");
	enum weight kind = weight_of(f, samples);
	int64_t now = 0, v;
	read_tables(f, thread);
	for (; stack.at && !f->m->e; step(f, &stack), step(f, &weight), step(f, &cpu)) {
		if (json_scaled(j, delta.at, 6, &v) && __builtin_add_overflow(now, v, &now))
			bad(f, "a time over 64 bits");
		json_scaled(j, time.at, 6, &now);
		step(f, &time);
		step(f, &delta);
		int64_t id = json_int(j, stack.at, -1);
		if (id < 0 || (uint64_t)id >= f->columns[STACK_FRAME].v.n) {
			f->n_empty++;
			continue;
		}
		label_sample(f, thread, id, now);
		add_sample(f, kind, weight.at, cpu.at, &id);
	}
}

/* ---- the whole ---- */

static void make_types(struct firefox *f, uint32_t threads)
{
	const struct json *j = f->j;
	bool cpu = false, has[3] = { false };
	for (uint32_t t = json_first(j, threads); t; t = json_next(j, threads, t)) {
		uint32_t samples = json_get(j, t, "samples");
		cpu |= json_get(j, samples, "threadCPUDelta") != 0;
		has[weight_of(f, samples)] = true;
	}
	uint32_t units = json_get(j, json_get(j, json_root(j), "meta"), "sampleUnits");
	uint32_t unit = json_get(j, units, "threadCPUDelta");
	f->cpu_scale = json_is(j, unit, "ns") ? 1 : json_is(j, unit, "µs") || json_is(j, unit, "us") ? 1000 : 0;
	make_type(f->m, STR("samples"), STR("count"));
	size_t n = 1;
	if (cpu && f->cpu_scale) {
		f->cpu_type = n++;
		make_type(f->m, STR("cpu"), UNIT_NS);
	}
	if (has[WEIGHT_TIME]) {
		f->time_type = n++;
		make_type(f->m, STR("wall"), UNIT_NS);
	}
	if (has[WEIGHT_BYTES]) {
		f->bytes_type = n++;
		make_type(f->m, STR("space"), STR("bytes"));
	}
}

static void read_meta(struct firefox *f)
{
	const struct json *j = f->j;
	uint32_t meta = json_get(j, json_root(j), "meta"), list = json_get(j, meta, "categories");
	struct profile *p = f->m->p;
	if (json_scaled(j, json_get(j, meta, "startTime"), 6, &f->start_ns) && f->start_ns > 0)
		p->time_ns = f->last_ns = f->start_ns;
	if (json_scaled(j, json_get(j, meta, "interval"), 6, &p->period) && p->period > 0)
		p->period_type = (struct value_type){ make_string(f->m, STR("wall")), make_string(f->m, UNIT_NS) };
	else
		p->period = 0;
	for (uint32_t v = json_first(j, list); v && !f->m->e; v = json_next(j, list, v))
		push_value(f, v, VEC_PUSH(&f->categories));
}

static void firefox_done(struct firefox *f)
{
	for (size_t i = 0; i < N_COLUMNS; i++)
		VEC_DONE(&f->columns[i].v);
	VEC_DONE(&f->strings);
	VEC_DONE(&f->libs);
	VEC_DONE(&f->categories);
	VEC_DONE(&f->lines);
	idset_done(&f->lib_ids);
}

static int decode_firefox(const struct json *j, struct maker *m)
{
	_cleanup_(firefox_done) struct firefox f = { .j = j, .m = m };
	uint32_t threads = json_get(j, json_root(j), "threads");
	read_meta(&f);
	make_types(&f, threads);
	for (uint32_t t = json_first(j, threads); t && !m->e; t = json_next(j, threads, t), f.number++)
		read_thread(&f, t);
	if (!m->e && !m->p->n_samples)
		return make_fail(m, ERR_FORMAT_UNKNOWN, "a Firefox profile without any sample that has a stack");
	if (f.start_ns > 0)
		m->p->duration_ns = f.last_ns - f.start_ns;
	if (f.n_empty)
		profile_warn(m->p, "%zu samples without a stack were skipped", f.n_empty);
	return m->e;
}

/* A profile as Firefox itself writes it has rows with a schema instead of columns. */
static bool matches(const struct json *j)
{
	uint32_t root = json_root(j), meta = json_get(j, root, "meta");
	uint32_t first = json_first(j, json_get(j, root, "threads"));
	return json_get(j, meta, "preprocessedProfileVersion") && first;
}

const struct json_format json_firefox = { "firefox", false, matches, decode_firefox };

static enum format_verdict sniff(struct slice head, bool whole)
{
	return json_head_has(head, "\"preprocessedProfileVersion\"") ? FORMAT_YES : FORMAT_NO;
}

static int decode(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	return json_format_decode(&json_firefox, in, opts, p, err);
}

const struct format format_firefox = { "firefox", sniff, decode };

/* SPDX-License-Identifier: MIT */
#include "../base/clock.h"
#include "../wire/json.h"
#include "internal.h"
#include "make.h"
#include "text.h"

/*
 * What `perf script` prints: a line for each event, `comm pid/tid [cpu] time: period event:`, and its frames, leaf
 * first, `address symbol+offset (object)`, up to an empty line. Which fields there are depends on -F; a one-line sample
 * has its only frame behind the event.
 *
 *     types       "samples" (count), and for each event that tells its period one of its name (count), of cpu-clock and
 *                 task-clock "cpu" (nanoseconds). A sample has 0 in the types of other events.
 *     labels      thread (comm), pid, tid, cpu, event (as printed, with modifiers), elapsed (since the first event)
 *     objects     become mappings, whose addresses are as perf prints them. A function of the kernel ([kernel...],
 *                 vmlinux, modules) has the system name "NAME_[kernel]", of perf-PID.map and jitted-*.so "NAME_[jit]",
 *                 one that was inlined "NAME_[inlined]"
 *     (inlined)   frames of one address are the lines of one location, innermost first
 *     [unknown]   a location without a function: mapping and address are kept
 *     # lines     comments. Times count from the machine's start, so the profile has no time of its own.
 *
 * Events without frames, and lines that are neither, are counted as warnings and skipped: perf prints all kinds of
 * further records among the samples.
 */

#define MAX_COMMENTS 256

struct header {
	struct str comm, event;
	int64_t pid, tid, cpu, time_ns, period; /* -1: not said */
	bool has_pid, has_tid, has_cpu, has_time, has_period;
	struct str rest; /* behind the event: the frame of a one-line sample */
};

struct weight {
	uint32_t type;
	int64_t period;
};

struct script {
	struct maker *m;
	struct header h;
	bool open;          /* a header was read and its frames follow */
	size_t frames;      /* of the open sample */
	bool any_time;
	int64_t first, last;
	struct idset objects; /* mappings by the number of their name */
	VEC(struct weight) weights; /* of each sample: which type besides "samples" */
	VEC(struct profile_line) lines; /* inlined calls whose location is not complete */
	uint64_t address;   /* of these */
	struct buf text;    /* a name that is put together */
	size_t number, n_skipped, n_empty;
};

static bool take_pid(struct str word, struct header *h)
{
	if (!take_i64(&word, &h->pid))
		return false;
	h->has_pid = true;
	h->has_tid = skip_word(&word, STR("/")) && take_i64(&word, &h->tid);
	return !word.len;
}

static bool is_cpu(struct str word)
{
	return word.len > 2 && word.s[0] == '[' && is_digit(word.s[1]);
}

/* `comm pid`: the first number behind a name that is followed by a cpu, a time or an event. Names may have blanks. */
static bool take_comm(struct str *line, struct header *h)
{
	struct str rest = *line, next;
	const char *start = line->s;
	next_word(&rest);
	while (rest.len) {
		struct str word = next_word(&rest);
		struct str peek = rest;
		next = next_word(&peek);
		if (take_pid(word, h) && (is_cpu(next) || str_ends(next, STR(":")))) {
			h->comm = trim_end((struct str){ start, (size_t)(word.s - start) });
			*line = rest;
			return true;
		}
	}
	return false;
}

static void take_cpu(struct str *line, struct header *h)
{
	struct str rest = *line, word = next_word(&rest);
	uint64_t cpu;
	if (!is_cpu(word))
		return;
	word = str_from(word, 1);
	h->has_cpu = take_u64(&word, &cpu) && cpu <= INT32_MAX;
	h->cpu = h->has_cpu ? (int64_t)cpu : -1;
	*line = rest;
}

static void take_time(struct str *line, struct header *h)
{
	struct str rest = *line, word = next_word(&rest);
	if (!word.len || !is_digit(*word.s) || !str_ends(word, STR(":")))
		return;
	word.len--;
	h->has_time = decimal_scaled(word, 9, &h->time_ns);
	*line = rest;
}

static void take_period(struct str *line, struct header *h)
{
	struct str rest = *line, word = next_word(&rest);
	int64_t period;
	if (!take_i64(&word, &period) || word.len)
		return;
	h->period = period;
	h->has_period = true;
	*line = rest;
}

static bool parse_header(struct str line, struct header *h)
{
	*h = (struct header){ .cpu = -1 };
	line = trim(line);
	if (!take_comm(&line, h))
		return false;
	take_cpu(&line, h);
	take_time(&line, h);
	take_period(&line, h);
	h->event = next_word(&line);
	h->rest = line;
	bool named = h->event.len > 1 && str_ends(h->event, STR(":"));
	h->event.len -= named;
	return named;
}

struct script_frame {
	uint64_t address;
	struct str symbol, object;
};

/* `symbol (object)`: the object's brackets are the last ones, and may hold brackets. */
static bool split_object(struct str s, struct str *symbol, struct str *object)
{
	size_t depth = 0;
	for (size_t i = s.len; i; i--) {
		depth += s.s[i - 1] == ')';
		if (s.s[i - 1] != '(' || !depth || --depth)
			continue;
		*symbol = trim_end((struct str){ s.s, i - 1 });
		*object = (struct str){ s.s + i, s.len - i - 1 };
		return true;
	}
	return false;
}

static struct str without_offset(struct str s)
{
	const char *plus = s.len ? memrchr(s.s, '+', s.len) : NULL;
	if (!plus)
		return s;
	struct str tail = str_from(s, (size_t)(plus + 1 - s.s));
	uint64_t offset;
	if (str_starts(tail, STR("0x")) && take_hex(&tail, &offset) && !tail.len && plus > s.s)
		s.len = (size_t)(plus - s.s);
	return s;
}

static bool parse_frame(struct str line, struct script_frame *f)
{
	*f = (struct script_frame){ 0 };
	line = trim(line);
	if (!take_hex(&line, &f->address) || (line.len && !is_blank(*line.s)))
		return false;
	line = trim(line);
	if (!line.len || line.s[line.len - 1] != ')') {
		f->symbol = without_offset(line);
		return true;
	}
	bool ok = split_object(line, &f->symbol, &f->object);
	f->symbol = without_offset(f->symbol);
	return ok;
}

static uint32_t find_object(const struct script *s, uint32_t name, uint64_t hash)
{
	for (struct idset_probe p = idset_probe(&s->objects, hash); idset_next(&s->objects, &p);)
		if (s->m->p->mappings.v[p.id].filename == name)
			return p.id;
	return PROFILE_NONE;
}

static uint32_t mapping_of(struct script *s, struct str object, bool named)
{
	if (!object.len || str_eq(object, STR("[unknown]")))
		return PROFILE_NONE;
	uint32_t name = make_string(s->m, object);
	uint64_t hash = hash_mix(s->m->seed, name);
	uint32_t id = find_object(s, name, hash);
	if (id == PROFILE_NONE && !s->m->e) {
		id = make_mapping(s->m, &(struct profile_mapping){ .filename = name });
		if (id != PROFILE_NONE && idset_add(&s->objects, hash, id))
			make_fail(s->m, -ENOMEM, "no memory for the objects");
	}
	if (named && !s->m->e)
		s->m->p->mappings.v[id].flags |= MAPPING_HAS_FUNCTIONS;
	return id;
}

static void flush_inlined(struct script *s, uint32_t mapping)
{
	if (!s->lines.n)
		return;
	make_frame(s->m, make_location(s->m, &(struct frame){ mapping, s->address, s->lines.v, (uint32_t)s->lines.n }));
	s->lines.n = 0;
	s->frames++;
}

/* How a frame ran, where its object tells it. */
static struct str kind_of(struct str object)
{
	if (!object.len)
		return NO_UNIT;
	bool module = object.len > 1 && *object.s == '[' && object.s[1] != 'v' && object.s[1] != 'u';
	const char *slash = memrchr(object.s, '/', object.len);
	struct str file = slash ? str_from(object, (size_t)(slash + 1 - object.s)) : object;
	if (str_eq(object, STR("inlined")))
		return STR("inlined");
	if (module || str_starts(file, STR("vmlinux")) || memmem(file.s, file.len, ".ko", 3))
		return STR("kernel");
	bool map = str_starts(file, STR("perf-")) && str_ends(file, STR(".map"));
	return map || str_starts(file, STR("jitted-")) ? STR("jit") : NO_UNIT;
}

/* "schedule_[kernel]" */
static uint32_t system_name(struct script *s, struct str symbol, struct str kind)
{
	if (!kind.len)
		return 0;
	buf_reset(&s->text);
	buf_put(&s->text, symbol.s, symbol.len);
	buf_puts(&s->text, "_[");
	buf_put(&s->text, kind.s, kind.len);
	buf_putc(&s->text, ']');
	if (buf_err(&s->text))
		make_fail(s->m, ERR_FORMAT_LIMIT, "line %zu: no memory for a name", s->number);
	return make_copy(s->m, (struct str){ (const char *)s->text.data, s->text.len });
}

static void push_line(struct script *s, struct str symbol, struct str object)
{
	const struct profile_function f = { .name = make_string(s->m, symbol),
		.system_name = system_name(s, symbol, kind_of(object)) };
	struct profile_line *l = VEC_PUSH(&s->lines);
	if (l)
		*l = (struct profile_line){ .function = make_function(s->m, &f) };
	else
		make_fail(s->m, -ENOMEM, "no memory for inlined calls");
}

static void add_frame(struct script *s, const struct script_frame *f)
{
	bool inlined = str_eq(f->object, STR("inlined"));
	bool named = f->symbol.len && !str_eq(f->symbol, STR("[unknown]"));
	if (s->lines.n && (s->address != f->address || !named))
		flush_inlined(s, PROFILE_NONE);
	s->address = f->address;
	if (named)
		push_line(s, f->symbol, f->object);
	if (inlined)
		return;
	uint32_t mapping = mapping_of(s, f->object, named);
	if (named) {
		flush_inlined(s, mapping);
	} else {
		make_frame(s->m, make_location(s->m, &(struct frame){ mapping, f->address, NULL, 0 }));
		s->frames++;
	}
}

/* "cycles:ppp" is cycles; "sched:sched_switch" is itself. */
static struct str without_modifiers(struct str event)
{
	const char *colon = memrchr(event.s, ':', event.len);
	size_t n = colon ? (size_t)(colon - event.s) : event.len;
	for (size_t i = n + 1; i < event.len; i++)
		if (!memchr("ukhHGpPSDIWeb", event.s[i], 13))
			return event;
	return (struct str){ event.s, n };
}

/* The type of an event's periods, made where it is new. */
static uint32_t type_of(struct script *s, struct str event)
{
	struct profile *p = s->m->p;
	struct str name = without_modifiers(event), unit = STR("count");
	if (str_eq(name, STR("cpu-clock")) || str_eq(name, STR("task-clock"))) {
		name = STR("cpu");
		unit = UNIT_NS;
	}
	for (uint32_t t = 1; t < p->types.n; t++)
		if (str_eq(profile_str(p, p->types.v[t].type), name))
			return t;
	if (p->types.n >= FORMAT_MAX_TYPES)
		make_fail(s->m, ERR_FORMAT_LIMIT, "line %zu: more than %d kinds of events", s->number,
		          FORMAT_MAX_TYPES);
	else
		make_type(s->m, name, unit);
	return (uint32_t)(p->types.n - 1);
}

static void label_sample(struct script *s)
{
	const struct header *h = &s->h;
	make_label(s->m, LABEL_THREAD, h->comm);
	make_number(s->m, LABEL_PID, h->pid, NO_UNIT);
	if (h->has_tid)
		make_number(s->m, LABEL_TID, h->tid, NO_UNIT);
	if (h->has_cpu)
		make_number(s->m, LABEL_CPU, h->cpu, NO_UNIT);
	make_label(s->m, STR("event"), h->event);
	int64_t elapsed;
	if (h->has_time && !__builtin_sub_overflow(h->time_ns, s->first, &elapsed))
		make_number(s->m, LABEL_ELAPSED, elapsed, UNIT_NS);
}

static void note_time(struct script *s)
{
	if (!s->h.has_time)
		return;
	if (!s->any_time)
		s->first = s->last = s->h.time_ns;
	s->any_time = true;
	s->last = MAX(s->last, s->h.time_ns);
}

/* Values stand in a column of their own until all types are known: here each sample has but its count. */
static void end_sample(struct script *s)
{
	if (!s->open)
		return;
	s->open = false;
	flush_inlined(s, PROFILE_NONE);
	if (!s->frames) {
		s->n_empty++;
		return;
	}
	struct weight *w = VEC_PUSH(&s->weights);
	if (!w) {
		make_fail(s->m, -ENOMEM, "no memory for the periods");
		return;
	}
	note_time(s);
	label_sample(s);
	make_sample(s->m, (int64_t[FORMAT_MAX_TYPES]){ 1 });
	*w = (struct weight){ 0 };
	if (s->h.has_period)
		*w = (struct weight){ type_of(s, s->h.event), s->h.period };
}

static void begin_sample(struct script *s, const struct header *h)
{
	end_sample(s);
	s->h = *h;
	s->open = true;
	s->frames = 0;
	struct script_frame f;
	if (h->rest.len && parse_frame(h->rest, &f)) {
		add_frame(s, &f);
		end_sample(s);
	}
}

static void read_line(struct script *s, struct str line)
{
	struct script_frame f;
	struct header h;
	if (!trim(line).len) {
		end_sample(s);
	} else if (*line.s == '#') {
		struct str text = trim(str_from(line, 1));
		if (!s->m->p->n_samples && s->m->p->comments.n < MAX_COMMENTS && memmem(text.s, text.len, " : ", 3))
			make_comment(s->m, text);
	} else if (s->open && is_blank(*line.s) && parse_frame(line, &f)) {
		add_frame(s, &f);
	} else if (parse_header(line, &h)) {
		begin_sample(s, &h);
	} else {
		s->n_skipped++;
	}
}

/* From a count a sample to a row of all types a sample. The types are made while samples are, so the rows differ. */
static void spread_values(struct script *s)
{
	struct profile *p = s->m->p;
	size_t types = p->types.n, n = p->n_samples * types;
	p->values.n = 0;
	int64_t *v = VEC_GROW(&p->values, n);
	if (!v || profile_bytes(p) > s->m->max_model) {
		make_fail(s->m, v ? ERR_FORMAT_LIMIT : -ENOMEM, "no room for the values of %zu types", types);
		return;
	}
	memset(v, 0, n * sizeof *v);
	p->values.n = n;
	for (size_t i = 0; i < p->n_samples; i++) {
		v[i * types] = 1;
		if (s->weights.v[i].type)
			v[i * types + s->weights.v[i].type] = s->weights.v[i].period;
	}
}

static int finish(struct script *s)
{
	struct maker *m = s->m;
	end_sample(s);
	if (!m->e)
		spread_values(s);
	if (!m->e && !m->p->n_samples)
		return make_fail(m, ERR_FORMAT_UNKNOWN, "perf script output without any stack");
	if (s->any_time && !__builtin_sub_overflow(s->last, s->first, &m->p->duration_ns))
		m->p->duration_ns = MAX(m->p->duration_ns, 0);
	if (s->n_empty)
		profile_warn(m->p, "%zu events without a stack were skipped", s->n_empty);
	if (s->n_skipped)
		profile_warn(m->p, "%zu lines that are neither events nor frames were skipped", s->n_skipped);
	return make_end(m);
}

static void script_done(struct script *s)
{
	idset_done(&s->objects);
	VEC_DONE(&s->weights);
	VEC_DONE(&s->lines);
	buf_done(&s->text);
}

static int decode(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	_maker_ struct maker m;
	maker_init(&m, p, opts, err);
	_cleanup_(script_done) struct script s = { .m = &m, .text = BUF_INIT(1 << 20) };
	make_type(&m, STR("samples"), STR("count"));
	struct slice rest = skip_bom(in);
	struct str line;
	while (rest.len && !m.e) {
		next_line(&rest, &line);
		s.number++;
		read_line(&s, line);
	}
	return m.e ? m.e : finish(&s);
}

/* The first line that is no comment is an event, and has a frame or is followed by one. */
static enum format_verdict sniff(struct slice head, bool whole)
{
	struct slice rest = skip_bom(head);
	struct str line = { 0 };
	struct header h;
	struct script_frame f;
	if (!judge_is_text(head))
		return FORMAT_NO;
	bool ended = true;
	while (rest.len && (!trim(line).len || *line.s == '#'))
		ended = next_line(&rest, &line);
	bool blank = !trim(line).len || *line.s == '#' || (!ended && !whole);
	if (blank)
		return whole ? FORMAT_NO : FORMAT_MAYBE;
	if (!parse_header(line, &h))
		return FORMAT_NO;
	if (h.rest.len && parse_frame(h.rest, &f))
		return FORMAT_YES;
	ended = next_line(&rest, &line);
	if (!ended && !whole)
		return FORMAT_MAYBE;
	return line.len && is_blank(*line.s) && parse_frame(line, &f) ? FORMAT_YES : FORMAT_NO;
}

const struct format format_perf_script = { "perf-script", sniff, decode };

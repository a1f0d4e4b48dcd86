/* SPDX-License-Identifier: MIT */
#include "austin.h"

#include "../base/clock.h"
#include "internal.h"
#include "text.h"

/*
 * What Austin prints: a line a sample, `P26166;T0:26166;file:function:line;... 5000`, from the outermost frame to the
 * leaf, and its metric: the time since the last sample in microseconds, or bytes (`# mode: memory`), or all three of
 * `# mode: full`: time, 1 where the thread was idle, and bytes gained or lost. `# key: value` lines are comments.
 *
 *     types     wall or cpu (microseconds), by the mode; memory: "alloc_space" and "free_space" (bytes);
 *               full: "wall", "cpu" (where not idle), "alloc_space", "free_space" (given back, below 0)
 *     labels    pid, thread ("0:26166": interpreter and thread, as Austin names it), idle
 *
 * `:GC:` and other frames without a file are functions of that name.
 */

/* ---- shared with MOJO ---- */

enum austin_mode austin_mode_of(struct str s)
{
	return str_starts(s, STR("cpu"))      ? AUSTIN_CPU
	       : str_starts(s, STR("memory")) ? AUSTIN_MEMORY
	       : str_starts(s, STR("full"))   ? AUSTIN_FULL
	                                      : AUSTIN_WALL;
}

void austin_types(struct maker *m, enum austin_mode mode)
{
	if (mode == AUSTIN_WALL || mode == AUSTIN_FULL)
		make_type(m, STR("wall"), STR("microseconds"));
	if (mode == AUSTIN_CPU || mode == AUSTIN_FULL)
		make_type(m, STR("cpu"), STR("microseconds"));
	if (mode == AUSTIN_MEMORY || mode == AUSTIN_FULL) {
		make_type(m, STR("alloc_space"), STR("bytes"));
		make_type(m, STR("free_space"), STR("bytes"));
	}
}

void austin_values(enum austin_mode mode, int64_t time, bool idle, int64_t bytes, int64_t ret[AUSTIN_VALUES])
{
	size_t at = 0;
	if (mode != AUSTIN_MEMORY)
		ret[at++] = time;
	if (mode == AUSTIN_FULL)
		ret[at++] = idle ? 0 : time;
	ret[at++] = MAX(bytes, 0);
	ret[at] = MIN(bytes, 0);
}

void austin_labels(struct maker *m, int64_t pid, struct str thread, bool idle)
{
	make_number(m, LABEL_PID, pid, NO_UNIT);
	make_label(m, LABEL_THREAD, thread);
	if (idle)
		make_label(m, STR("idle"), STR("true"));
}

void austin_duration(struct profile *p, struct str text)
{
	int64_t v;
	if (take_i64(&text, &v) && v > 0 && !__builtin_mul_overflow(v, NS_PER_US, &v))
		p->duration_ns = v;
}

/* ---- text ---- */

struct austin {
	struct maker *m;
	enum austin_mode mode;
	bool typed;
	size_t number;
	VEC(uint32_t) frames; /* of the line that is read, outermost first */
};

struct metrics {
	int64_t v[3];
	size_t n;
};

static int bad(struct austin *a, const char *what)
{
	return make_fail(a->m, ERR_FORMAT_MALFORMED, "Austin: line %zu: %s", a->number, what);
}

/* Cuts `12` or `12,1,-300` off the end of a line. */
static bool cut_metrics(struct str *line, struct metrics *ret)
{
	const char *blank = line->len ? memrchr(line->s, ' ', line->len) : NULL;
	struct str text = blank ? str_from(*line, (size_t)(blank + 1 - line->s)) : (struct str){ "", 0 };
	ret->n = 0;
	do {
		if (ret->n == 3 || !take_i64(&text, &ret->v[ret->n++]))
			return false;
	} while (skip_word(&text, STR(",")));
	line->len = (size_t)(blank - line->s);
	return !text.len && ret->n != 2;
}

static struct str cut_part(struct str *rest)
{
	const char *end = memchr(rest->s, ';', rest->len);
	struct str part = { rest->s, end ? (size_t)(end - rest->s) : rest->len };
	*rest = str_from(*rest, part.len + (end != NULL));
	return part;
}

/* `P12`, with `#3` behind it where there are subprocesses. */
static bool take_process(struct str *rest, int64_t *ret_pid)
{
	struct str part = cut_part(rest);
	return skip_word(&part, STR("P")) && take_i64(&part, ret_pid) && (!part.len || *part.s == '#');
}

/* `T12`, or `T0:12` with the interpreter's number; the thread's number may be hexadecimal. */
static bool take_thread(struct str *rest, struct str *ret_name)
{
	*ret_name = cut_part(rest);
	return skip_word(ret_name, STR("T")) && ret_name->len;
}

static uint32_t location_of(struct austin *a, struct str frame)
{
	const char *last = memrchr(frame.s, ':', frame.len);
	struct str digits = last ? str_from(frame, (size_t)(last + 1 - frame.s)) : (struct str){ "", 0 };
	int64_t line;
	if (!take_i64(&digits, &line) || digits.len)
		return make_named(a->m, frame, NO_UNIT, 0);
	struct str name = { frame.s, (size_t)(last - frame.s) };
	const char *colon = memrchr(name.s, ':', name.len);
	if (!colon)
		return make_named(a->m, frame, NO_UNIT, 0);
	struct str file = { name.s, (size_t)(colon - name.s) };
	return make_named(a->m, str_from(name, file.len + 1), file, line);
}

static void make_stack(struct austin *a, struct str stack)
{
	a->frames.n = 0;
	while (stack.len && !a->m->e) {
		uint32_t *to = VEC_PUSH(&a->frames);
		if (to)
			*to = location_of(a, cut_part(&stack));
		else
			make_fail(a->m, -ENOMEM, "no memory for a stack");
	}
	for (size_t i = a->frames.n; i; i--)
		make_frame(a->m, a->frames.v[i - 1]);
}

static void make_types(struct austin *a, const struct metrics *metrics)
{
	a->typed = true;
	if (metrics->n == 3)
		a->mode = AUSTIN_FULL;
	else if (a->mode == AUSTIN_FULL)
		a->mode = AUSTIN_WALL;
	austin_types(a->m, a->mode);
}

static void read_sample(struct austin *a, struct str line)
{
	struct metrics metrics;
	struct str thread;
	int64_t pid, values[AUSTIN_VALUES];
	if (!cut_metrics(&line, &metrics) || !take_process(&line, &pid) || !take_thread(&line, &thread)) {
		bad(a, "no sample (`P1;T1;file:function:line 5000`)");
		return;
	}
	if (!a->typed)
		make_types(a, &metrics);
	if ((metrics.n == 3) != (a->mode == AUSTIN_FULL)) {
		bad(a, "another number of metrics than before");
		return;
	}
	make_stack(a, line);
	bool idle = metrics.n == 3 && metrics.v[1];
	austin_labels(a->m, pid, thread, idle);
	austin_values(a->mode, metrics.v[0], idle, metrics.v[metrics.n - 1], values);
	make_sample(a->m, values);
}

static void read_setting(struct austin *a, struct str line)
{
	struct str text = trim(str_from(line, 1));
	make_comment(a->m, text);
	if (skip_word(&text, STR("mode:")))
		a->mode = austin_mode_of(trim(text));
	else if (skip_word(&text, STR("duration:")))
		austin_duration(a->m->p, trim(text));
}

static void austin_done(struct austin *a)
{
	VEC_DONE(&a->frames);
}

static int decode(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	_maker_ struct maker m;
	maker_init(&m, p, opts, err);
	_cleanup_(austin_done) struct austin a = { .m = &m };
	struct slice rest = skip_bom(in);
	struct str line;
	while (rest.len && !m.e) {
		next_line(&rest, &line);
		a.number++;
		line = trim_end(line);
		if (line.len && *line.s == '#')
			read_setting(&a, line);
		else if (line.len)
			read_sample(&a, line);
	}
	if (!m.e && !p->n_samples)
		return make_fail(&m, ERR_FORMAT_UNKNOWN, "an Austin file without any sample");
	return make_end(&m);
}

/* `# austin: 3.7.0`, or a first line whose stack begins with a process and a thread. */
static enum format_verdict sniff(struct slice head, bool whole)
{
	struct slice rest = skip_bom(head);
	struct str s = { (const char *)rest.data, rest.len }, name;
	int64_t pid;
	if (str_starts(s, STR("# austin:")))
		return FORMAT_YES;
	if (!take_process(&s, &pid) || !take_thread(&s, &name))
		return FORMAT_NO;
	return take_i64(&name, &pid) && (!name.len || *name.s == ':') ? FORMAT_YES : FORMAT_NO;
}

const struct format format_austin = { "austin", sniff, decode };

/* SPDX-License-Identifier: MIT */

/*
 * What servers in Java answer in the place of gperftools' pages, as google/pprof reads it:
 *
 *     --- contentionz 1 ---       or --- heapz 1 ---
 *     format = java
 *     resolution = microseconds   the unit of the first number; for heaps bytes
 *     sampling period = 100
 *           14     1 @ 0x3 0x4    delay and contentions, both sampled; or bytes and objects
 *
 *      0x3 com.example.C.m (C.java:03)
 *
 * Addresses are numbers of the places below: they say nothing else, so that locations have none. Heaps are sampled
 * every 512 KiB. The CPU profile is gperftools' with a version of 1, the places behind its end.
 */

#include "../base/clock.h"
#include "internal.h"
#include "legacy.h"

#define HEAP_RATE 524288

struct java {
	struct maker *m;
	bool is_heap;
	size_t number;
	struct str unit;
	struct symbols symbols;
};

static int bad(struct java *j, const char *what)
{
	return make_fail(j->m, ERR_FORMAT_MALFORMED, "a Java profile: line %zu: %s", j->number, what);
}

/* ---- places ---- */

/* `NAME (FILE:LINE)`, `NAME (FILE)`, or a name alone. */
static void add_place(struct maker *m, struct symbols *s, uint64_t address, struct str text)
{
	const char *open = text.len && text.s[text.len - 1] == ')' ? memrchr(text.s, '(', text.len) : NULL;
	struct str name = text, file = { "", 0 };
	int64_t line = 0;
	if (open && open > text.s && is_blank(open[-1])) {
		name = trim((struct str){ text.s, (size_t)(open - text.s) });
		file = (struct str){ open + 1, (size_t)(text.s + text.len - 1 - (open + 1)) };
		const char *colon = file.len ? memrchr(file.s, ':', file.len) : NULL;
		struct str digits = colon ? str_from(file, (size_t)(colon + 1 - file.s)) : (struct str){ "", 0 };
		if (take_i64(&digits, &line) && !digits.len)
			file.len = (size_t)(colon - file.s);
		else
			line = 0;
	}
	legacy_name(m, s, address, name, file, line);
}

void legacy_java_places(struct maker *m, struct symbols *s, struct slice rest)
{
	struct str line;
	while (rest.len && !m->e) {
		uint64_t address;
		next_line(&rest, &line);
		line = trim(line);
		if (str_starts(line, STR("0x")) && take_hex(&line, &address) && line.len && is_blank(*line.s))
			add_place(m, s, address, trim(line));
	}
	legacy_apply_symbols(m, s);
	for (size_t i = 0; i < m->p->locations.n; i++)
		if (m->p->locations.v[i].n_lines)
			m->p->locations.v[i].address = 0;
}

/* ---- text ---- */

static void set_types(struct java *j)
{
	make_type(j->m, j->is_heap ? STR("inuse_objects") : STR("contentions"), STR("count"));
	make_type(j->m, j->is_heap ? STR("inuse_space") : STR("delay"),
	          j->unit.len ? j->unit : j->is_heap ? STR("bytes") : STR("microseconds"));
	if (j->is_heap)
		return;
	j->m->p->period_type = (struct value_type){ make_string(j->m, STR("contentions")),
		make_string(j->m, STR("count")) };
}

/* Whether the line is `key = value`. */
static bool read_setting(struct java *j, struct str line)
{
	const char *eq = memchr(line.s, '=', line.len);
	if (!eq)
		return false;
	struct str key = trim((struct str){ line.s, (size_t)(eq - line.s) });
	struct str text = trim(str_from(line, (size_t)(eq + 1 - line.s)));
	int64_t v = 0;
	if (str_eq(key, STR("resolution")))
		j->unit = text;
	else if (str_eq(key, STR("sampling period")) && take_i64(&text, &v) && v >= 0)
		j->m->p->period = v;
	else if (str_eq(key, STR("ms since reset")) && take_i64(&text, &v) && v >= 0 &&
	         !__builtin_mul_overflow(v, NS_PER_MS, &v))
		j->m->p->duration_ns = v;
	else if (!str_eq(key, STR("format")))
		bad(j, "a setting that is not known");
	return true;
}

static int64_t whole(double v)
{
	return v >= 0x1p63 ? INT64_MAX : (int64_t)v;
}

/* What a row stands for. */
static void scale(struct java *j, int64_t values[2])
{
	int64_t period = j->m->p->period;
	if (j->is_heap) {
		double v[2] = { (double)values[0], (double)values[1] };
		make_number(j->m, STR("bytes"), values[1] / values[0], STR("bytes"));
		legacy_unsample(HEAP_RATE, &v[0], &v[1]);
		values[0] = whole(v[0]);
		values[1] = whole(v[1]);
	} else if (period && (__builtin_mul_overflow(values[0], period, &values[0]) ||
	                      __builtin_mul_overflow(values[1], period, &values[1]))) {
		bad(j, "a number that does not fit in 64 bits");
	}
}

static void read_row(struct java *j, struct str line)
{
	int64_t values[2];
	struct str amount = next_word(&line), count = next_word(&line);
	if (!take_i64(&amount, &values[1]) || amount.len || !take_i64(&count, &values[0]) || count.len ||
	    !skip_word(&line, STR("@")) || values[0] < j->is_heap || values[1] < 0) {
		bad(j, "neither a setting nor a stack (`14 1 @ 0x3 0x4`)");
		return;
	}
	while (line.len && !j->m->e) {
		struct str word = next_word(&line);
		uint64_t address;
		if (take_hex(&word, &address) && !word.len)
			legacy_frame(j->m, address);
	}
	scale(j, values);
	if (!j->m->p->types.n)
		set_types(j);
	make_sample(j->m, values);
}

static bool is_place(struct str line)
{
	return str_starts(line, STR("0x"));
}

static int decode(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	_maker_ struct maker m;
	maker_init(&m, p, opts, err);
	struct java j = { .m = &m, .number = 1, .unit = STR("") };
	struct slice rest = skip_bom(in), before;
	struct str line;
	next_line(&rest, &line);
	j.is_heap = str_starts(line, STR("--- heapz"));
	before = rest;
	while (rest.len && !m.e) {
		next_line(&rest, &line);
		j.number++;
		line = trim(line);
		if (is_place(line))
			break;
		before = rest;
		if (line.len && !read_setting(&j, line))
			read_row(&j, line);
	}
	if (!m.e && !p->types.n)
		set_types(&j);
	legacy_java_places(&m, &j.symbols, before);
	symbols_done(&j.symbols);
	return make_end(&m);
}

/* The second line tells it from gperftools' own page. */
static enum format_verdict sniff(struct slice head, bool whole)
{
	struct slice rest = skip_bom(head);
	struct str first, second = { "", 0 };
	bool ended = next_line(&rest, &first);
	if (!str_starts(first, STR("--- contentionz ")) && !str_starts(first, STR("--- heapz ")))
		return FORMAT_NO;
	ended = ended && next_line(&rest, &second);
	if (!skip_word(&second, STR("format")))
		return ended || whole ? FORMAT_NO : FORMAT_MAYBE;
	second = trim(second);
	return skip_word(&second, STR("=")) && str_starts(trim(second), STR("java")) ? FORMAT_YES
	       : ended || whole                                                     ? FORMAT_NO
	                                                                            : FORMAT_MAYBE;
}

const struct format format_java_text = { "java-text", sniff, decode };

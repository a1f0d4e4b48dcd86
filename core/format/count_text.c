/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "../base/clock.h"
#include "../wire/json.h"
#include "internal.h"
#include "legacy.h"

/*
 * Text that counts stacks of addresses: Go's debug=1 pages, and gperftools' contention and thread pages.
 *
 *     goroutine profile: total 19        Go: any name; the type is this name, in count. `# labels: {...}` are the
 *     2 @ 0x1 0x2                        sample's labels, `#\t0x1\tname+0x2\tfile:line` names of addresses
 *
 *     --- mutex:                         Go's mutex and, as `--- contention:`, block; gperftools' contentionz. Types
 *     cycles/second=2000000000           "contentions" (count) and "delay" (nanoseconds), scaled by the period and the
 *     sampling period=5                  clock. Go's have the kind "mutex" or "block".
 *     1234 5 @ 0x1 0x2
 *
 *     --- threadz 1 ---                  gperftools: type "thread" (count)
 *     --- Thread 7f (name: a/12) stack: ---
 *       PC: 0x1 0x2
 */

struct text {
	struct maker *m;
	const char *what;
	size_t number;
	struct symbols symbols;
	/* a sample that is not ended, since labels follow */
	bool open;
	int64_t values[2];
	/* contention */
	int64_t hertz;
};

static void text_done(struct text *t)
{
	symbols_done(&t->symbols);
}

static int bad(struct text *t, const char *why)
{
	return make_fail(t->m, ERR_FORMAT_MALFORMED, "%s: line %zu: %s", t->what, t->number, why);
}

static void end_sample(struct text *t)
{
	if (t->open)
		make_sample(t->m, t->values);
	t->open = false;
}

static void set_period_type(struct text *t, struct str type)
{
	t->m->p->period_type = (struct value_type){ make_string(t->m, type), make_string(t->m, STR("count")) };
	t->m->p->period = 1;
}

static int finish(struct text *t, struct slice rest)
{
	end_sample(t);
	legacy_apply_symbols(t->m, &t->symbols);
	legacy_find_map(t->m, rest);
	return make_end(t->m);
}

/* ---- counts ---- */

/* `NAME profile: total N` */
static bool parse_count_header(struct str line, struct str *ret_name)
{
	uint64_t total;
	*ret_name = next_word(&line);
	for (size_t i = 0; i < ret_name->len; i++)
		if (!is_digit(ret_name->s[i]) && ret_name->s[i] != '_' && (ret_name->s[i] | 0x20) - 'a' > 25u)
			return false;
	return ret_name->len && skip_word(&line, STR("profile: total ")) && take_u64(&line, &total) && !line.len;
}

static void read_labels(struct text *t, struct str text)
{
	const struct json_limits limits = { .max_bytes = 1 << 20 };
	_json_ struct json j;
	if (json_read(&j, (struct slice){ (const uint8_t *)text.s, text.len }, &t->m->p->arena, &limits, NULL)) {
		profile_warn(t->m->p, "line %zu: labels that cannot be read were skipped", t->number);
		return;
	}
	uint32_t root = json_root(&j);
	for (uint32_t k = json_first_key(&j, root); k; k = json_next_key(&j, root, k))
		make_label(t->m, json_str(&j, k), json_str(&j, k + 1));
}

static void read_note(struct text *t, struct str line)
{
	if (skip_word(&line, STR("# labels:")) && t->open)
		read_labels(t, trim(line));
	else
		legacy_symbol(t->m, &t->symbols, line);
}

static void read_count(struct text *t, struct str line)
{
	int64_t n;
	if (!take_i64(&line, &n) || !skip_word(&line, STR(" @"))) {
		bad(t, "no count and stack (`2 @ 0x1 0x2`)");
		return;
	}
	end_sample(t);
	legacy_frames(t->m, line);
	t->values[0] = n;
	t->open = true;
}

static int count_decode(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	_maker_ struct maker m;
	maker_init(&m, p, opts, err);
	_cleanup_(text_done) struct text t = { .m = &m, .what = "a Go profile as text", .number = 1 };
	struct slice rest = skip_bom(in), before;
	struct str line, name;
	next_line(&rest, &line);
	if (!parse_count_header(trim(line), &name))
		return bad(&t, "no header (`goroutine profile: total 12`)");
	make_type(&m, name, STR("count"));
	set_period_type(&t, name);
	before = rest;
	while (rest.len && !m.e) {
		next_line(&rest, &line);
		t.number++;
		line = trim_end(line);
		if (str_starts(line, STR("---")))
			break;
		before = rest;
		if (line.len && *line.s == '#')
			read_note(&t, line);
		else if (line.len)
			read_count(&t, line);
	}
	return m.e ? m.e : finish(&t, before);
}

static enum format_verdict count_sniff(struct slice head, bool whole)
{
	struct slice rest = skip_bom(head);
	struct str line, name;
	if (!next_line(&rest, &line) && !whole)
		return line.len < 128 && judge_is_text(head) ? FORMAT_MAYBE : FORMAT_NO;
	return parse_count_header(trim(line), &name) ? FORMAT_YES : FORMAT_NO;
}

const struct format format_count_text = { "count-text", count_sniff, count_decode };

/* ---- contention ---- */

static bool is_contention_start(struct str line)
{
	return str_starts(line, STR("--- contention")) || str_starts(line, STR("--- mutex:"));
}

static bool read_setting(struct text *t, struct str line)
{
	const char *eq = memchr(line.s, '=', line.len);
	if (!eq)
		return false;
	struct str key = trim((struct str){ line.s, (size_t)(eq - line.s) });
	struct str text = trim(str_from(line, (size_t)(eq + 1 - line.s)));
	int64_t value;
	if (str_eq(key, STR("discarded samples")))
		return true;
	if (!take_i64(&text, &value))
		bad(t, "a setting that is no number");
	else if (str_eq(key, STR("cycles/second")))
		t->hertz = value;
	else if (str_eq(key, STR("sampling period")))
		t->m->p->period = value;
	else if (!str_eq(key, STR("ms since reset")) ||
	         __builtin_mul_overflow(value, NS_PER_MS, &t->m->p->duration_ns))
		bad(t, "a setting that is not known");
	return true;
}

static int64_t to_int(double v)
{
	return v >= 0x1p63 ? INT64_MAX : v <= -0x1p63 ? INT64_MIN : (int64_t)v;
}

/* `cycles contentions @ 0x1 0x2`: both were sampled. */
static void read_contention(struct text *t, struct str line)
{
	int64_t cycles, n, period = t->m->p->period;
	struct str first = next_word(&line), second = next_word(&line);
	if (!take_i64(&first, &cycles) || first.len || !take_i64(&second, &n) || second.len ||
	    !skip_word(&line, STR("@"))) {
		bad(t, "neither a setting nor a stack (`1234 5 @ 0x1 0x2`)");
		return;
	}
	if (period > 0 && t->hertz > 0)
		cycles = to_int((double)cycles * (double)period / ((double)t->hertz / 1e9));
	if (period > 0 && __builtin_mul_overflow(n, period, &n))
		bad(t, "a count that does not fit in 64 bits");
	end_sample(t);
	legacy_frames(t->m, line);
	t->values[0] = n;
	t->values[1] = cycles;
	t->open = true;
}

static void read_contention_line(struct text *t, struct str line)
{
	if (line.len && *line.s == '#')
		read_note(t, line);
	else if (trim(line).len && !read_setting(t, line))
		read_contention(t, trim(line));
}

static void set_contention(struct text *t, struct str header)
{
	set_period_type(t, STR("contentions"));
	make_type(t->m, STR("contentions"), STR("count"));
	make_type(t->m, STR("delay"), UNIT_NS);
	if (str_starts(header, STR("--- mutex:")))
		t->m->p->kind = make_string(t->m, STR("mutex"));
	else if (str_starts(header, STR("--- contention:")))
		t->m->p->kind = make_string(t->m, STR("block"));
}

static int contention_decode(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	_maker_ struct maker m;
	maker_init(&m, p, opts, err);
	_cleanup_(text_done) struct text t = { .m = &m, .what = "a contention profile", .number = 1 };
	struct slice rest = skip_bom(in), before = rest;
	struct str line;
	next_line(&rest, &line);
	set_contention(&t, line);
	while (rest.len && !m.e) {
		before = rest;
		next_line(&rest, &line);
		t.number++;
		if (str_starts(line, STR("---")) || legacy_is_map_start(line))
			break;
		before = rest;
		read_contention_line(&t, trim_end(line));
	}
	return m.e ? m.e : finish(&t, before);
}

static enum format_verdict contention_sniff(struct slice head, bool whole)
{
	struct str s = { (const char *)head.data, head.len };
	return is_contention_start(s) ? FORMAT_YES : FORMAT_NO;
}

const struct format format_contention = { "contention-text", contention_sniff, contention_decode };

/* ---- threads ---- */

#define THREAD_START STR("--- Thread ")
#define THREADZ_START STR("--- threadz ")

static void read_thread_line(struct text *t, struct str line, bool *in_stack)
{
	if (str_starts(line, STR("---"))) {
		end_sample(t);
		*in_stack = str_starts(line, THREAD_START);
	} else if (memmem(line.s, line.len, "same as previous thread", 23)) {
		if (t->m->p->n_samples && !t->m->e)
			t->m->p->values.v[t->m->p->n_samples - 1]++;
	} else if (*in_stack) {
		while (line.len && !t->m->e) {
			struct str word = next_word(&line);
			uint64_t address;
			if (!str_starts(word, STR("0x")) || !take_hex(&word, &address))
				continue;
			legacy_frame(t->m, address - t->open);
			t->open = true;
		}
	}
}

static int thread_decode(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	_maker_ struct maker m;
	maker_init(&m, p, opts, err);
	_cleanup_(text_done) struct text t = { .m = &m, .what = "a thread profile", .values = { 1 } };
	make_type(&m, STR("thread"), STR("count"));
	set_period_type(&t, STR("thread"));
	struct slice rest = skip_bom(in), before = rest;
	struct str line;
	bool in_stack = false;
	while (rest.len && !m.e) {
		before = rest;
		next_line(&rest, &line);
		if (legacy_is_map_start(line))
			break;
		before = rest;
		read_thread_line(&t, trim(line), &in_stack);
	}
	return m.e ? m.e : finish(&t, before);
}

static enum format_verdict thread_sniff(struct slice head, bool whole)
{
	struct str s = { (const char *)skip_bom(head).data, skip_bom(head).len };
	while (s.len && memchr(" \t\r\n", *s.s, 4))
		s = str_from(s, 1);
	return str_starts(s, THREAD_START) || str_starts(s, THREADZ_START) ? FORMAT_YES : FORMAT_NO;
}

const struct format format_threads = { "thread-text", thread_sniff, thread_decode };

/* SPDX-License-Identifier: MIT */
#include "format.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "../base/idset.h"
#include "internal.h"
#include "text.h"

/*
 * Folded (collapsed) stacks, a line each: `main;work;leaf 12`. The count stands after the last blank, so names may hold
 * blanks. What is free to choose:
 *
 *     lines that begin with #                   comments of the profile
 *     empty lines, CRLF, a byte order mark      skipped
 *     blanks around stack and count             dropped; those inside names stay
 *     empty names (`a;;b 1`)                    frames of the name ""
 *     names that are not UTF-8                  taken as they are
 *     negative counts                           taken
 *     counts that are not whole (`3.7`, `1e3`)  rounded, halves away from zero, with a warning
 *     equal lines                               stay apart
 *     a line without count or without stack     refuses the file, by the line's number
 *     counts beyond 64 bits                     refuse the file
 *     two counts on every line                  a differential file (difffolded.pl), refused
 *     no stacks at all                          refused
 *
 * A frame is a string, a function, a line and a location, all with the same row (the function's string aside).
 */

enum line_kind { LINE_NONE, LINE_COMMENT, LINE_STACK, LINE_NO_COUNT, LINE_NO_STACK, LINE_RANGE };

struct line {
	enum line_kind kind;
	struct str stack; /* or the comment's text */
	int64_t count;
	bool rounded, two_counts;
};

struct parser {
	struct profile *p;
	struct error *err;
	size_t max_model;
	size_t number; /* of the line, from 1 */
	size_t n_two_counts;
	struct idset names;
	uint64_t seed;
};

/* Cuts what follows the last blank of s off; all of it where there is none. */
static struct str cut_last_word(struct str *s)
{
	size_t i = s->len;
	while (i && !is_blank(s->s[i - 1]))
		i--;
	struct str word = { s->s + i, s->len - i };
	*s = trim_end((struct str){ s->s, i });
	return word;
}

/* Digits, optionally signed, with fraction and exponent: what a count may be made of. */
static bool is_number(struct str s)
{
	bool digit = false;
	for (size_t i = 0; i < s.len; i++) {
		char c = s.s[i];
		if (c >= '0' && c <= '9')
			digit = true;
		else if (c == '+' || c == '-') {
			if (i && (s.s[i - 1] | 0x20) != 'e')
				return false;
		} else if (c != '.' && !(digit && (c | 0x20) == 'e')) {
			return false;
		}
	}
	return digit;
}

static bool parse_whole(struct str s, int64_t *ret)
{
	bool negative = s.s[0] == '-';
	size_t i = negative || s.s[0] == '+';
	uint64_t v = 0, most = (uint64_t)INT64_MAX + negative;
	for (; i < s.len; i++) {
		unsigned digit = (unsigned char)s.s[i] - '0';
		if (digit > 9 || __builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
			return false;
		if (v > most)
			return false;
	}
	*ret = (int64_t)(negative ? -v : v);
	return true;
}

static enum line_kind parse_count(struct str s, struct line *l)
{
	if (!is_number(s))
		return LINE_NO_COUNT;
	if (parse_whole(s, &l->count))
		return LINE_STACK;
	char text[64], *end;
	bool whole = !memchr(s.s, '.', s.len) && !memchr(s.s, 'e', s.len) && !memchr(s.s, 'E', s.len);
	if (whole || s.len >= sizeof text)
		return LINE_RANGE;
	memcpy(text, s.s, s.len);
	text[s.len] = '\0';
	double v = strtod(text, &end);
	if (*end)
		return LINE_NO_COUNT;
	if (!(fabs(v) < 0x1p63))
		return LINE_RANGE;
	l->count = llround(v);
	l->rounded = (double)l->count != v;
	return LINE_STACK;
}

static struct line parse_line(struct str s)
{
	struct line l = { .kind = LINE_NONE, .stack = trim_end(s) };
	if (!l.stack.len)
		return l;
	if (l.stack.s[0] == '#') {
		l.kind = LINE_COMMENT;
		return l;
	}
	l.kind = parse_count(cut_last_word(&l.stack), &l);
	if (l.kind == LINE_STACK && !l.stack.len)
		l.kind = LINE_NO_STACK;
	if (l.kind == LINE_STACK) {
		struct str rest = l.stack;
		l.two_counts = is_number(cut_last_word(&rest)) && rest.len;
	}
	return l;
}

static int no_room(const struct parser *f)
{
	if (profile_bytes(f->p) + idset_bytes(&f->names) <= f->max_model)
		return error_set(f->err, -ENOMEM, "no memory for the profile");
	return error_set(f->err, ERR_FORMAT_LIMIT,
	                 "line %zu: the profile needs more than %zu MiB of memory",
	                 f->number, f->max_model >> 20);
}

static int add_string(struct parser *f, struct str s, uint32_t *ret)
{
	struct str *e = f->p->strings.n < PROFILE_NONE ? VEC_PUSH(&f->p->strings) : NULL;
	if (!e)
		return no_room(f);
	*e = s;
	*ret = (uint32_t)(f->p->strings.n - 1);
	return 0;
}

static int add_frame(struct parser *f, struct str name, uint64_t hash, uint32_t *ret)
{
	struct profile *p = f->p;
	uint32_t string = 0, row = (uint32_t)p->locations.n;
	int e = name.len ? add_string(f, name, &string) : 0;
	if (e)
		return e;
	struct profile_function *function = VEC_PUSH(&p->functions);
	struct profile_line *line = VEC_PUSH(&p->lines);
	struct profile_location *location = VEC_PUSH(&p->locations);
	if (!function || !line || !location || idset_add(&f->names, hash, row))
		return no_room(f);
	*function = (struct profile_function){ .name = string };
	*line = (struct profile_line){ .function = row };
	*location = (struct profile_location){ .mapping = PROFILE_NONE, .line_at = row, .n_lines = 1 };
	*ret = row;
	return 0;
}

static int find_frame(struct parser *f, struct str name, uint32_t *ret)
{
	uint64_t hash = hash_str(name, f->seed);
	for (struct idset_probe p = idset_probe(&f->names, hash); idset_next(&f->names, &p);) {
		struct str s = profile_str(f->p, f->p->functions.v[p.id].name);
		if (s.len == name.len && !memcmp(s.s, name.s, s.len)) {
			*ret = p.id;
			return 0;
		}
	}
	return add_frame(f, name, hash, ret);
}

/* Adds the frames of a stack, from its end (the leaf) on. */
static int add_stack(struct parser *f, struct str stack)
{
	for (size_t end = stack.len;;) {
		const char *cut = memrchr(stack.s, ';', end);
		size_t start = cut ? (size_t)(cut - stack.s) + 1 : 0;
		uint32_t row = 0, *loc;
		int e = find_frame(f, (struct str){ stack.s + start, end - start }, &row);
		if (e)
			return e;
		if (!(loc = VEC_PUSH(&f->p->locs)))
			return no_room(f);
		*loc = row;
		if (!cut)
			return 0;
		end = start - 1;
	}
}

static int add_sample(struct parser *f, const struct line *l)
{
	struct profile *p = f->p;
	int e = add_stack(f, l->stack);
	if (e)
		return e;
	int64_t *value = VEC_PUSH(&p->values);
	uint32_t *at = VEC_PUSH(&p->loc_at);
	if (!value || !at || profile_bytes(p) + idset_bytes(&f->names) > f->max_model)
		return no_room(f);
	*value = l->count;
	*at = (uint32_t)p->locs.n;
	p->n_samples++;
	f->n_two_counts += l->two_counts;
	if (l->rounded)
		profile_warn(p, "line %zu: a count that is not whole was rounded", f->number);
	return 0;
}

static int add_comment(struct parser *f, struct str s)
{
	while (s.len && (*s.s == '#' || is_blank(*s.s)))
		s = (struct str){ s.s + 1, s.len - 1 };
	uint32_t *comment = VEC_PUSH(&f->p->comments);
	if (!comment)
		return no_room(f);
	*comment = 0;
	return s.len ? add_string(f, s, comment) : 0;
}

static int refuse_line(const struct parser *f, const struct line *l)
{
	if (l->kind == LINE_RANGE)
		return error_set(f->err, ERR_FORMAT_MALFORMED,
		                 "line %zu: the count does not fit in 64 bits", f->number);
	return error_set(f->err, ERR_FORMAT_MALFORMED,
	                 "line %zu has no %s (a line of folded stacks is `a;b;c 12`)",
	                 f->number, l->kind == LINE_NO_STACK ? "stack before its count" : "count at its end");
}

static int add_line(struct parser *f, struct str s)
{
	struct line l = parse_line(s);
	switch (l.kind) {
	case LINE_NONE:
		return 0;
	case LINE_COMMENT:
		return add_comment(f, l.stack);
	case LINE_STACK:
		return add_sample(f, &l);
	default:
		return refuse_line(f, &l);
	}
}

static int add_type(struct parser *f, const struct format_options *opts)
{
	struct str type = opts->type.len ? opts->type : (struct str){ "samples", 7 };
	struct str unit = opts->unit.len ? opts->unit : (struct str){ "count", 5 };
	struct value_type t = { profile_string(f->p, type.s, type.len), profile_string(f->p, unit.s, unit.len) };
	struct value_type *to = VEC_PUSH(&f->p->types);
	uint32_t *start = VEC_PUSH(&f->p->loc_at);
	if (!to || !start || t.type == PROFILE_NONE || t.unit == PROFILE_NONE)
		return no_room(f);
	*to = t;
	*start = 0;
	return 0;
}

static void parser_done(struct parser *f)
{
	idset_done(&f->names);
}

static int folded_decode(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	_cleanup_(parser_done) struct parser f = { .p = p, .err = err, .seed = hash_seed(),
		.max_model = format_max_model(opts) };
	int e = add_type(&f, opts);
	struct slice rest = skip_bom(in);
	struct str line;
	while (!e && rest.len) {
		next_line(&rest, &line);
		f.number++;
		e = add_line(&f, line);
	}
	if (e)
		return e;
	if (!p->n_samples)
		return error_set(err, ERR_FORMAT_UNKNOWN, "a text without any stacks");
	if (f.n_two_counts == p->n_samples)
		return error_set(err, ERR_FORMAT_NAMED, "two counts: a differential file, which is no profile; "
		                 "write its two profiles and compare them by vs/");
	return 0;
}

/*
 * Looks for the first line that is a stack or should be one: a text may go wrong later on, but then by its line.
 * LINE_NONE where no such line is whole yet.
 */
static enum line_kind first_line(struct slice head, bool whole, size_t *ret_number)
{
	struct slice rest = skip_bom(head);
	struct str s;
	*ret_number = 0;
	while (rest.len) {
		bool ended = next_line(&rest, &s);
		++*ret_number;
		if (!ended && !whole)
			break;
		enum line_kind kind = parse_line(s).kind;
		if (kind != LINE_NONE && kind != LINE_COMMENT)
			return kind;
	}
	return LINE_NONE;
}

size_t folded_first_line(struct slice head, bool whole)
{
	size_t number;
	return first_line(head, whole, &number) == LINE_NONE ? 0 : number;
}

static enum format_verdict folded_sniff(struct slice head, bool whole)
{
	if (!judge_is_text(head))
		return FORMAT_NO;
	size_t number;
	switch (first_line(head, whole, &number)) {
	case LINE_NONE:
	case LINE_COMMENT:
		return FORMAT_MAYBE;
	case LINE_STACK:
	case LINE_RANGE:
		return FORMAT_YES;
	default:
		return FORMAT_NO;
	}
}

const struct format format_folded = { "folded", folded_sniff, folded_decode };

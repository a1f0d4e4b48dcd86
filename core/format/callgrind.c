/* SPDX-License-Identifier: MIT */
#include "callgrind.h"

#include "internal.h"

/*
 * The lines of a callgrind file (also xdebug's cachegrind and converters'): what they say goes into the call graph of
 * callgrind.h, whose head tells what becomes of it.
 *
 *     events: Ir Dr             types, unit count
 *     positions: instr line     how many numbers a place has; the default is a line alone
 *     ob= fl= fn=               object, file and function of the costs that follow; fi= and fe= change the file for
 *                               code that is inlined. (12) name defines a number for a name, (12) alone repeats it;
 *                               a number that was never defined is its own name
 *     cob= cfi= cfl= cfn=       the same of the function that is called, until the call's cost
 *     calls=N place             the next line's cost is that of N calls, and no cost of the caller's own
 *     jump= jcnd= jfi= jfn=     and what follows them: skipped
 *     +3 -1 * 0x12 12           places, relative to the last ones; costs at the end may be missing, they are 0
 */

#define MAX_COMMENTS 64

enum space { SPACE_OBJECT, SPACE_FILE, SPACE_FUNCTION, N_SPACES };

struct name {
	uint64_t number;
	struct str text;
};

struct numbers {
	VEC(struct name) v;
	struct idset by_number;
};

struct reader {
	struct maker *m;
	struct graph g;
	struct numbers names[N_SPACES];
	struct str object, file, code_file, function;    /* file: of fl=, code_file: of fi= and fe= too */
	struct str callee_object, callee_file, callee;
	uint32_t node;       /* of these, or PROFILE_NONE */
	bool instr;          /* places have an address, and then a line */
	bool line;
	bool calls;          /* the next line is the cost of a call */
	bool jump;           /* the next line belongs to a jump */
	size_t calls_line;
	uint64_t place[2];   /* address, line */
	bool has_summary;
	int64_t summary[FORMAT_MAX_TYPES];
	size_t number;
};

static int bad(struct reader *r, const char *what)
{
	return make_fail(r->m, ERR_FORMAT_MALFORMED, "callgrind: line %zu: %s", r->number, what);
}

static const struct name *find_name(const struct reader *r, const struct numbers *names, uint64_t number)
{
	uint64_t hash = hash_mix(r->m->seed, number);
	for (struct idset_probe p = idset_probe(&names->by_number, hash); idset_next(&names->by_number, &p);)
		if (names->v.v[p.id].number == number)
			return &names->v.v[p.id];
	return NULL;
}

static void define_name(struct reader *r, struct numbers *names, uint64_t number, struct str text)
{
	const struct name *old = find_name(r, names, number);
	if (old) {
		names->v.v[old - names->v.v].text = text;
		return;
	}
	struct name *new = VEC_PUSH(&names->v);
	if (!new || idset_add(&names->by_number, hash_mix(r->m->seed, number), (uint32_t)(names->v.n - 1)))
		make_fail(r->m, -ENOMEM, "no memory for the names");
	else
		*new = (struct name){ number, text };
}

/* `(12) name`, `(12)` or `name`. */
static struct str read_name(struct reader *r, enum space space, struct str s)
{
	struct str whole = s = trim(s);
	uint64_t number;
	if (!skip_word(&s, STR("(")) || !take_u64(&s, &number) || !skip_word(&s, STR(")")))
		return whole;
	s = trim(s);
	if (s.len) {
		define_name(r, &r->names[space], number, s);
		return s;
	}
	const struct name *name = find_name(r, &r->names[space], number);
	return name ? name->text : whole;
}

/* ---- places and costs ---- */

static bool read_place(struct str word, uint64_t *place)
{
	uint64_t n;
	bool plus = skip_word(&word, STR("+")), minus = !plus && skip_word(&word, STR("-"));
	if (!plus && !minus && str_eq(word, STR("*")))
		return true;
	bool ok = str_starts(word, STR("0x")) ? take_hex(&word, &n) : take_u64(&word, &n);
	if (!ok || word.len)
		return false;
	*place = plus ? *place + n : minus ? *place - n : n;
	return true;
}

static bool read_places(struct reader *r, struct str *line)
{
	return (!r->instr || read_place(next_word(line), &r->place[0])) &&
	       (!r->line || read_place(next_word(line), &r->place[1]));
}

/* Numbers with a sign; `*`, which some writers have for the cost of calls, is 0. */
static bool read_costs(struct reader *r, struct str line, int64_t *costs)
{
	size_t n = r->m->p->types.n;
	memset(costs, 0, n * sizeof *costs);
	for (size_t i = 0; line.len; i++) {
		struct str word = next_word(&line);
		if (i == n)
			return false;
		skip_word(&word, STR("+"));
		if (!str_eq(word, STR("*")) && (!take_i64(&word, &costs[i]) || word.len))
			return false;
	}
	return true;
}

static uint32_t caller_of(struct reader *r)
{
	if (r->node == PROFILE_NONE)
		r->node = graph_node(&r->g, r->object, r->file, r->function);
	return r->node;
}

static void end_call(struct reader *r, const int64_t *costs)
{
	uint32_t caller = caller_of(r);
	struct str file = r->callee_file.s ? r->callee_file : r->file;
	struct str object = r->callee_object.s ? r->callee_object : r->object;
	graph_call(&r->g, caller, graph_node(&r->g, object, file, r->callee), (int64_t)r->place[1], costs[0]);
	r->callee_file = r->callee_object = (struct str){ NULL, 0 };
	r->calls = false;
}

static void read_cost_line(struct reader *r, struct str line)
{
	int64_t costs[FORMAT_MAX_TYPES];
	if (r->jump) {
		r->jump = false;
		read_places(r, &line);
		return;
	}
	if (!r->m->p->types.n) {
		bad(r, "a cost before `events:`");
	} else if (!read_places(r, &line) || !read_costs(r, line, costs)) {
		bad(r, "no place and costs");
	} else if (r->calls) {
		end_call(r, costs);
	} else {
		uint32_t node = caller_of(r);
		graph_cost(&r->g, node, r->code_file, r->instr ? r->place[0] : 0, (int64_t)r->place[1], costs);
	}
}

/* ---- settings ---- */

static void read_events(struct reader *r, struct str list)
{
	struct profile *p = r->m->p;
	bool again = p->types.n;
	size_t n = 0;
	for (; list.len && !r->m->e; n++) {
		struct str word = next_word(&list);
		if (again && (n >= p->types.n || !str_eq(profile_str(p, p->types.v[n].type), word)))
			bad(r, "a part of the file has other events");
		else if (n == FORMAT_MAX_TYPES)
			make_fail(r->m, ERR_FORMAT_LIMIT, "callgrind: more than %d events", FORMAT_MAX_TYPES);
		else if (!again)
			make_type(r->m, word, STR("count"));
	}
	if (!n || n != p->types.n)
		bad(r, "no events, or other ones than before");
}

static void read_positions(struct reader *r, struct str list)
{
	r->instr = r->line = false;
	while (list.len) {
		struct str word = next_word(&list);
		if (str_eq(word, STR("instr")))
			r->instr = true;
		else if (str_eq(word, STR("line")))
			r->line = true;
		else
			bad(r, "a position that is neither instr nor line");
	}
}

/* What the program cost in all: the sum of a file's parts. */
static void read_summary(struct reader *r, struct str list)
{
	int64_t costs[FORMAT_MAX_TYPES];
	if (!read_costs(r, list, costs)) {
		bad(r, "a summary that is no list of costs");
		return;
	}
	for (size_t i = 0; i < r->m->p->types.n; i++)
		if (__builtin_add_overflow(r->summary[i], costs[i], &r->summary[i]))
			bad(r, "a summary over 64 bits");
	r->has_summary = true;
}

static bool read_setting(struct reader *r, struct str line)
{
	static const char *const kept[] = { "creator:", "cmd:", "desc:" };
	struct str rest = line;
	if (skip_word(&rest, STR("events:"))) {
		read_events(r, rest);
		return true;
	}
	if (skip_word(&rest, STR("summary:"))) {
		read_summary(r, rest);
		return true;
	}
	if (skip_word(&rest, STR("positions:"))) {
		read_positions(r, rest);
		return true;
	}
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++)
		if (str_starts(line, str_of(kept[i])) && r->m->p->comments.n < MAX_COMMENTS)
			make_comment(r->m, line);
	size_t n = 0;
	while (n < line.len && (line.s[n] | 0x20) - 'a' <= 25u)
		n++;
	return n && n < line.len && line.s[n] == ':';
}

static void begin_calls(struct reader *r)
{
	if (r->calls)
		make_fail(r->m, ERR_FORMAT_MALFORMED, "callgrind: the calls of line %zu have no cost", r->calls_line);
	r->calls = true;
	r->calls_line = r->number;
}

static void set_function(struct reader *r, struct str name)
{
	r->function = name;
	r->code_file = r->file;
	r->node = PROFILE_NONE;
}

static bool read_assignment(struct reader *r, struct str line)
{
	const char *eq = memchr(line.s, '=', MIN(line.len, (size_t)6));
	if (!eq)
		return false;
	struct str key = trim((struct str){ line.s, (size_t)(eq - line.s) });
	struct str value = str_from(line, (size_t)(eq + 1 - line.s));
	if (str_eq(key, STR("fn")))
		set_function(r, read_name(r, SPACE_FUNCTION, value));
	else if (str_eq(key, STR("fl")))
		r->file = r->code_file = read_name(r, SPACE_FILE, value);
	else if (str_eq(key, STR("fi")) || str_eq(key, STR("fe")))
		r->code_file = read_name(r, SPACE_FILE, value);
	else if (str_eq(key, STR("ob")))
		r->object = read_name(r, SPACE_OBJECT, value);
	else if (str_eq(key, STR("cfn")))
		r->callee = read_name(r, SPACE_FUNCTION, value);
	else if (str_eq(key, STR("cfi")) || str_eq(key, STR("cfl")))
		r->callee_file = read_name(r, SPACE_FILE, value);
	else if (str_eq(key, STR("cob")))
		r->callee_object = read_name(r, SPACE_OBJECT, value);
	else if (str_eq(key, STR("jfi")))
		read_name(r, SPACE_FILE, value);
	else if (str_eq(key, STR("jfn")))
		read_name(r, SPACE_FUNCTION, value);
	else if (str_eq(key, STR("calls")))
		begin_calls(r);
	else if (str_eq(key, STR("jump")) || str_eq(key, STR("jcnd")))
		r->jump = true;
	else
		return false;
	return true;
}

static void read_line(struct reader *r, struct str line)
{
	line = trim(line);
	if (!line.len || *line.s == '#')
		return;
	bool cost = is_digit(*line.s) || memchr("+-*", *line.s, 3);
	if (cost)
		read_cost_line(r, line);
	else if (!read_assignment(r, line) && !read_setting(r, line))
		bad(r, "neither a setting nor a cost");
}

static void reader_done(struct reader *r)
{
	for (size_t i = 0; i < N_SPACES; i++) {
		VEC_DONE(&r->names[i].v);
		idset_done(&r->names[i].by_number);
	}
	graph_done(&r->g);
}

static int decode(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	_maker_ struct maker m;
	maker_init(&m, p, opts, err);
	_cleanup_(reader_done) struct reader r = { .m = &m, .g = { .m = &m }, .node = PROFILE_NONE, .line = true };
	r.object = r.file = r.code_file = r.function = r.callee = STR("");
	struct slice rest = skip_bom(in);
	struct str line;
	while (rest.len && !m.e) {
		next_line(&rest, &line);
		r.number++;
		read_line(&r, line);
	}
	if (r.calls)
		make_fail(&m, ERR_FORMAT_MALFORMED, "callgrind: the calls of line %zu have no cost", r.calls_line);
	if (!m.e && !p->types.n)
		return make_fail(&m, ERR_FORMAT_UNKNOWN, "a callgrind file without `events:`");
	graph_samples(&r.g, r.has_summary ? r.summary : NULL);
	return make_end(&m);
}

/* Its own first line, or settings and names of which one says `events:`. */
static enum format_verdict sniff(struct slice head, bool whole)
{
	struct slice rest = skip_bom(head);
	struct str line, first = { (const char *)rest.data, rest.len };
	if (str_starts(first, STR("# callgrind format")))
		return FORMAT_YES;
	if (!judge_is_text(head))
		return FORMAT_NO;
	for (size_t n = 0; rest.len && n < 64; n++) {
		if (!next_line(&rest, &line) && !whole)
			return FORMAT_MAYBE;
		line = trim(line);
		if (str_starts(line, STR("events:")))
			return FORMAT_YES;
		const char *colon = memchr(line.s, ':', line.len);
		if (line.len && *line.s != '#' && (!colon || memchr(line.s, ' ', (size_t)(colon - line.s))))
			return FORMAT_NO;
	}
	return whole ? FORMAT_NO : FORMAT_MAYBE;
}

const struct format format_callgrind = { "callgrind", sniff, decode };

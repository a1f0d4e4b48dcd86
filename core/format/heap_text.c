/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "internal.h"
#include "legacy.h"

/*
 * Heap profiles as text.
 *
 *     heap profile: n: bytes [n: bytes] @ KIND[/RATE]      gperftools (heapprofile, heap_v2, heapz_v2, growthz,
 *     n: bytes [n: bytes] @ 0x1 0x2                        fragmentationz), and Go's debug=1 (heap)
 *
 *     heap_v2/RATE                                         jemalloc: the sum of all threads at "t*" counts
 *     @ 0x1 0x2
 *       t*: n: bytes [n: bytes]
 *
 * The first pair is what is in use, the second what was ever allocated. Types "alloc_objects", "alloc_space",
 * "inuse_objects", "inuse_space" where the two differ, else "objects" and "space" (jemalloc: "inuse_objects", ...).
 * Kinds that are sampled are scaled to what they stand for, as google/pprof and jeprof do. The mean size of a stack's
 * objects is the label "bytes". Go's `#` lines give names to addresses; its statistics of the runtime are left out.
 */

struct row {
	int64_t inuse[2], alloc[2]; /* count, bytes */
	struct str addresses;
};

struct heap {
	struct maker *m;
	bool sampled, alloc;
	bool carries; /* what rounding a row takes off is added to the next one */
	double carry[4];
	int64_t rate;
	size_t number; /* of the line */
	struct symbols symbols;
	struct str stack; /* jemalloc: the addresses that stand before their numbers */
};

static bool take_pair(struct str *s, int64_t pair[2])
{
	*s = trim(*s);
	if (!take_i64(s, &pair[0]) || !skip_word(s, STR(":")))
		return false;
	*s = trim(*s);
	return take_i64(s, &pair[1]);
}

/* `n: bytes [n: bytes]` and what follows. */
static bool take_pairs(struct str *s, struct row *r)
{
	if (!take_pair(s, r->inuse))
		return false;
	*s = trim(*s);
	if (!skip_word(s, STR("[")) || !take_pair(s, r->alloc))
		return false;
	*s = trim(*s);
	return skip_word(s, STR("]"));
}

static bool parse_row(struct str line, struct row *r)
{
	if (!take_pairs(&line, r))
		return false;
	line = trim(line);
	if (!skip_word(&line, STR("@")))
		return false;
	r->addresses = line;
	return true;
}

static int bad(struct heap *h, const char *what)
{
	return make_fail(h->m, ERR_FORMAT_MALFORMED, "a heap profile: line %zu: %s", h->number, what);
}

static int64_t clamped(double v)
{
	return v >= 0x1p63 ? INT64_MAX : v <= -0x1p63 ? INT64_MIN : (int64_t)v;
}

/* google/pprof cuts the fraction off; jeprof does not, so that here what one row loses goes to the next. */
static void unsample(struct heap *h, int64_t values[2], double carry[2])
{
	double v[2] = { (double)values[0], (double)values[1] };
	if (h->rate <= 1)
		return;
	legacy_unsample(h->rate, &v[0], &v[1]);
	for (size_t i = 0; i < 2; i++) {
		double whole = h->carries ? v[i] + carry[i] : v[i];
		values[i] = clamped(h->carries ? round(whole) : whole);
		carry[i] = whole - (double)values[i];
	}
}

static void add_pair(struct heap *h, const int64_t pair[2], int64_t *values, double carry[2], int64_t *mean)
{
	values[0] = pair[0];
	values[1] = pair[1];
	if (!pair[0] && pair[1])
		bad(h, "bytes of no objects");
	if (!pair[0])
		return;
	*mean = pair[0] == -1 ? (int64_t)-(uint64_t)pair[1] : pair[1] / pair[0];
	if (h->sampled)
		unsample(h, values, carry);
}

static void add_row(struct heap *h, const struct row *r)
{
	int64_t values[4], mean = 0;
	if (h->alloc)
		add_pair(h, r->alloc, values, h->carry, &mean);
	add_pair(h, r->inuse, values + (h->alloc ? 2 : 0), h->carry + 2, &mean);
	legacy_frames(h->m, r->addresses);
	make_number(h->m, STR("bytes"), mean, STR("bytes"));
	make_sample(h->m, values);
}

static void heap_done(struct heap *h)
{
	symbols_done(&h->symbols);
}

static void set_period(struct heap *h, int64_t period)
{
	h->m->p->period_type = (struct value_type){ make_string(h->m, STR("space")), make_string(h->m, STR("bytes")) };
	h->m->p->period = period;
	h->rate = period;
}

/* ---- gperftools and Go ---- */

#define HEAP_START STR("heap profile:")

static bool parse_header(struct str line, struct row *r, struct str *ret_kind)
{
	if (!skip_word(&line, HEAP_START) || !parse_row(line, r))
		return false;
	struct str rest = r->addresses;
	*ret_kind = next_word(&rest);
	return ret_kind->len;
}

/* The kind's name and, behind a slash, the mean distance of samples; Go writes twice of it. */
static bool read_kind(struct heap *h, struct str kind)
{
	const char *slash = memchr(kind.s, '/', kind.len);
	struct str name = { kind.s, slash ? (size_t)(slash - kind.s) : kind.len };
	struct str rate = slash ? str_from(kind, name.len + 1) : (struct str){ "", 0 };
	bool go = str_eq(name, STR("heap")), v2 = str_eq(name, STR("heap_v2")) || str_eq(name, STR("heapz_v2"));
	int64_t period = 0;
	if (rate.len && (!take_i64(&rate, &period) || rate.len))
		return false;
	h->sampled = go || v2;
	set_period(h, go ? period / 2 : v2 ? period : 1);
	return go || v2 || str_eq(name, STR("heapprofile")) || str_eq(name, STR("growthz")) ||
	       str_eq(name, STR("fragmentationz"));
}

static void read_header(struct heap *h, struct str line)
{
	struct row r;
	struct str kind;
	if (!parse_header(trim(line), &r, &kind)) {
		bad(h, "no header of a heap profile");
		return;
	}
	bool growth = str_starts(kind, STR("growthz")) || str_starts(kind, STR("fragmentationz"));
	h->alloc = !growth && ((r.alloc[0] != r.inuse[0] && r.alloc[0]) || (r.alloc[1] != r.inuse[1] && r.alloc[1]));
	if (!read_kind(h, kind))
		bad(h, "a kind of heap profile that is not known");
	legacy_heap_types(h->m, h->alloc, false);
}

static void read_line(struct heap *h, struct str line)
{
	struct row r;
	if (line.len && *line.s == '#')
		legacy_symbol(h->m, &h->symbols, line);
	else if (parse_row(line, &r))
		add_row(h, &r);
	else if (trim(line).len)
		bad(h, "neither a stack nor a comment");
}

static int heap_decode(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	_maker_ struct maker m;
	maker_init(&m, p, opts, err);
	_cleanup_(heap_done) struct heap h = { .m = &m, .number = 1 };
	struct slice rest = skip_bom(in);
	struct str line;
	next_line(&rest, &line);
	read_header(&h, line);
	while (rest.len && !m.e) {
		next_line(&rest, &line);
		h.number++;
		if (legacy_is_map_start(line))
			break;
		read_line(&h, line);
	}
	legacy_apply_symbols(&m, &h.symbols);
	legacy_read_map(&m, rest);
	return make_end(&m);
}

static enum format_verdict heap_sniff(struct slice head, bool whole)
{
	struct slice rest = skip_bom(head);
	struct str line, kind;
	struct row r;
	bool ended = next_line(&rest, &line);
	size_t n = MIN(line.len, HEAP_START.len);
	if (memcmp(line.s, HEAP_START.s, n))
		return FORMAT_NO;
	if (!ended && !whole)
		return FORMAT_MAYBE;
	return parse_header(trim(line), &r, &kind) ? FORMAT_YES : FORMAT_NO;
}

const struct format format_heap_text = { "heap-text", heap_sniff, heap_decode };

/* ---- jemalloc ---- */

#define JEMALLOC_START STR("heap_v2/")

/* `t*: n: bytes [n: bytes]`: false for the line of another thread, which is a part of it. */
static bool parse_total(struct str line, struct row *r)
{
	return skip_word(&line, STR("t*:")) && take_pairs(&line, r);
}

static void read_jemalloc_line(struct heap *h, struct str line)
{
	struct row r = { 0 };
	line = trim(line);
	if (skip_word(&line, STR("@"))) {
		h->stack = line;
	} else if (parse_total(line, &r)) {
		r.addresses = h->stack;
		if (!h->m->p->types.n) {
			h->alloc = r.alloc[0];
			legacy_heap_types(h->m, h->alloc, true);
		} else if (h->stack.len) {
			add_row(h, &r);
		}
		h->stack = (struct str){ "", 0 };
	} else if (line.len && *line.s != 't') {
		bad(h, "neither a stack nor a thread's numbers");
	}
}

static int jemalloc_decode(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	_maker_ struct maker m;
	maker_init(&m, p, opts, err);
	_cleanup_(heap_done) struct heap h = { .m = &m, .number = 1, .sampled = true,
		.carries = true, .stack = { "", 0 } };
	struct slice rest = skip_bom(in);
	struct str line;
	next_line(&rest, &line);
	line = trim(line);
	int64_t rate;
	if (!skip_word(&line, JEMALLOC_START) || !take_i64(&line, &rate) || line.len)
		return bad(&h, "no header of a jemalloc profile");
	set_period(&h, rate);
	while (rest.len && !m.e) {
		next_line(&rest, &line);
		h.number++;
		if (legacy_is_map_start(line))
			break;
		read_jemalloc_line(&h, line);
	}
	if (!m.e && !p->types.n)
		return bad(&h, "no totals (`t*: n: bytes [n: bytes]`)");
	legacy_read_map(&m, rest);
	return make_end(&m);
}

static enum format_verdict jemalloc_sniff(struct slice head, bool whole)
{
	struct str s = { (const char *)head.data, head.len };
	if (str_starts(s, JEMALLOC_START))
		return FORMAT_YES;
	return !whole && s.len && str_starts(JEMALLOC_START, s) ? FORMAT_MAYBE : FORMAT_NO;
}

const struct format format_jemalloc = { "jemalloc-heap", jemalloc_sniff, jemalloc_decode };

/* SPDX-License-Identifier: MIT */
#include "../base/clock.h"
#include "internal.h"
#include "legacy.h"

/*
 * The CPU profile of gperftools (CPUPROFILE=...): words of four or eight bytes in either order.
 *
 *     0, 3, 0, period in microseconds, 0      header
 *     count, n, n addresses                   a stack, leaf first
 *     0, 1, 0                                 end; behind it /proc/self/maps as text
 *
 * A version of 1 in the place of the third word is Java's: addresses are numbers of places, which follow as text.
 *
 * Types "samples" (count) and "cpu" (nanoseconds). A profile of a process that was killed has no end and is taken. The
 * signal handler leaves frames behind the leaf that are the same in (nearly) all samples, and sometimes the leaf again:
 * they are left out, as google/pprof does.
 */

struct words {
	struct slice rest;
	size_t size;
	bool big, is_java;
};

struct raw_sample {
	uint64_t count;
	size_t at, n; /* addresses */
};

struct cpu {
	struct maker *m;
	VEC(struct raw_sample) samples;
	VEC(uint64_t) addresses;
	struct symbols symbols; /* of Java */
};

static uint64_t next(struct words *w)
{
	uint64_t v = 0;
	for (size_t i = 0; i < w->size; i++)
		v |= (uint64_t)w->rest.data[w->big ? w->size - 1 - i : i] << 8 * i;
	w->rest.data += w->size;
	w->rest.len -= w->size;
	return v;
}

static bool has(const struct words *w, uint64_t n)
{
	return n <= w->rest.len / w->size;
}

/* 0: not in this shape; else the period. */
static uint64_t read_header(struct words *w)
{
	if (!has(w, 5))
		return 0;
	uint64_t zero = next(w), three = next(w), version = next(w), period = next(w), padding = next(w);
	w->is_java = version == 1;
	return !zero && three == 3 && version <= 1 && !padding ? period : 0;
}

static uint64_t open_words(struct slice in, struct words *w)
{
	for (size_t size = 4; size <= 8; size += 4)
		for (int big = 0; big < 2; big++) {
			*w = (struct words){ in, size, big, false };
			uint64_t period = read_header(w);
			if (period && period <= (uint64_t)INT64_MAX / NS_PER_US)
				return period;
		}
	return 0;
}

static void read_sample(struct cpu *c, struct words *w, uint64_t count, uint64_t n)
{
	struct raw_sample *s = VEC_PUSH(&c->samples);
	uint64_t *to = s ? VEC_GROW(&c->addresses, n) : NULL;
	if (!to) {
		make_fail(c->m, -ENOMEM, "no memory for the samples");
		return;
	}
	*s = (struct raw_sample){ count, c->addresses.n, n };
	for (uint64_t i = 0; i < n; i++)
		to[i] = next(w);
	c->addresses.n += n;
}

/* Whether a sample is the end's mark. */
static bool is_end(const struct words *w, uint64_t count, uint64_t n)
{
	struct words peek = *w;
	return !count && n == 1 && !next(&peek);
}

static int read_samples(struct cpu *c, struct words *w, size_t total)
{
	while (w->rest.len && !c->m->e) {
		size_t at = total - w->rest.len;
		uint64_t count = has(w, 2) ? next(w) : 0, n = has(w, 1) ? next(w) : UINT64_MAX;
		if (!has(w, n))
			return make_fail(c->m, ERR_FORMAT_TRUNCATED,
			                 "a gperftools profile: the sample at byte %zu is cut short", at);
		if (is_end(w, count, n)) {
			next(w);
			return 0;
		}
		if (count > INT64_MAX)
			return make_fail(c->m, ERR_FORMAT_MALFORMED, "a gperftools profile: %llu samples at byte %zu",
			                 (unsigned long long)count, at);
		read_sample(c, w, count, n);
	}
	if (!c->m->e)
		profile_warn(c->m->p, "the end is missing: the process was killed");
	return c->m->e;
}

static void drop_second(struct cpu *c, struct raw_sample *s)
{
	c->addresses.v[s->at + 1] = c->addresses.v[s->at];
	s->at++;
	s->n--;
}

static uint64_t second_of(const struct cpu *c, const struct raw_sample *s)
{
	return c->addresses.v[s->at + 1];
}

/* The second address that most samples have, by voting. */
static uint64_t vote(const struct cpu *c)
{
	uint64_t candidate = 0;
	size_t votes = 0;
	for (size_t i = 0; i < c->samples.n; i++) {
		if (c->samples.v[i].n < 2)
			continue;
		uint64_t address = second_of(c, &c->samples.v[i]);
		if (!votes)
			candidate = address;
		votes += candidate == address ? 1 : -1;
	}
	return candidate;
}

static void drop_handler_frame(struct cpu *c)
{
	uint64_t address = vote(c);
	size_t n = 0;
	for (size_t i = 0; i < c->samples.n; i++)
		n += c->samples.v[i].n > 1 && second_of(c, &c->samples.v[i]) == address;
	if (n < c->samples.n - c->samples.n / 32)
		return;
	for (size_t i = 0; i < c->samples.n; i++)
		if (c->samples.v[i].n > 1 && second_of(c, &c->samples.v[i]) == address)
			drop_second(c, &c->samples.v[i]);
}

static void drop_repeated_leaf(struct cpu *c)
{
	for (size_t i = 0; i < c->samples.n; i++) {
		struct raw_sample *s = &c->samples.v[i];
		if (s->n > 1 && c->addresses.v[s->at] == second_of(c, s))
			drop_second(c, s);
	}
}

static void make_samples(struct cpu *c, bool is_java)
{
	int64_t values[2];
	for (size_t i = 0; i < c->samples.n && !c->m->e; i++) {
		const struct raw_sample *s = &c->samples.v[i];
		for (size_t k = 0; k < s->n && !c->m->e; k++)
			legacy_frame(c->m, c->addresses.v[s->at + k] - (k != 0 && !is_java));
		values[0] = (int64_t)s->count;
		if (__builtin_mul_overflow(values[0], c->m->p->period, &values[1]))
			make_fail(c->m, ERR_FORMAT_MALFORMED,
			          "a gperftools profile: the time of sample %zu is over 64 bits", i);
		make_sample(c->m, values);
	}
}

static void cpu_done(struct cpu *c)
{
	VEC_DONE(&c->samples);
	VEC_DONE(&c->addresses);
	symbols_done(&c->symbols);
}

static int decode(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	_maker_ struct maker m;
	maker_init(&m, p, opts, err);
	_cleanup_(cpu_done) struct cpu c = { .m = &m };
	struct words w;
	p->period = (int64_t)open_words(in, &w) * NS_PER_US;
	if (!p->period)
		return error_set(err, ERR_FORMAT_UNKNOWN, "no gperftools profile");
	make_type(&m, STR("samples"), STR("count"));
	make_type(&m, STR("cpu"), UNIT_NS);
	p->period_type = (struct value_type){ make_string(&m, STR("cpu")), make_string(&m, UNIT_NS) };
	if (read_samples(&c, &w, in.len))
		return m.e;
	if (!w.is_java) {
		drop_handler_frame(&c);
		drop_handler_frame(&c);
		drop_repeated_leaf(&c);
	}
	make_samples(&c, w.is_java);
	if (w.is_java)
		legacy_java_places(&m, &c.symbols, w.rest);
	else
		legacy_read_map(&m, w.rest);
	return make_end(&m);
}

static enum format_verdict sniff(struct slice head, bool whole)
{
	struct words w;
	if (open_words(head, &w))
		return FORMAT_YES;
	bool zeros = !whole && head.len < 40;
	for (size_t i = 0; zeros && i < MIN(head.len, (size_t)4); i++)
		zeros = !head.data[i];
	return zeros ? FORMAT_MAYBE : FORMAT_NO;
}

const struct format format_gperftools = { "gperftools-cpu", sniff, decode };

/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "json_format.h"
#include "timeline.h"

/*
 * speedscope JSON (https://www.speedscope.app/file-format-schema.json): frames that are shared, and profiles, usually
 * one per thread, that are lists of samples with weights, or events that open and close frames. All become one profile:
 *
 *     unit of time     type "wall"; the file's unit where all numbers are whole and all agree, else nanoseconds
 *     unit "bytes"     type "space"
 *     unit "none"      type "samples", unit "count", or what the options say
 *     profile's name   sample label "thread"
 *     time             sample label "elapsed": where the sample begins, by the file's clock
 *     events           a sample for each stretch of time between two events, in order; a frame that is closed at once
 *                      has a sample of weight 0
 *     left open        closed at endValue, with a warning
 *
 * Profiles of different units become types of one profile, where each sample has a value for its own.
 */

enum kind { KIND_TIME, KIND_BYTES, KIND_NONE, N_KINDS };

static const struct unit_name {
	const char *name;
	enum kind kind;
	int places; /* to nanoseconds */
} unit_names[] = {
	{ "nanoseconds", KIND_TIME, 0 },  { "microseconds", KIND_TIME, 3 }, { "milliseconds", KIND_TIME, 6 },
	{ "seconds", KIND_TIME, 9 },      { "bytes", KIND_BYTES, 0 },       { "none", KIND_NONE, 0 },
};

static const int64_t scales[] = { [0] = 1, [3] = 1000, [6] = 1000000, [9] = 1000000000 };

struct decoder {
	const struct json *j;
	struct maker *m;
	VEC(uint32_t) frames;   /* locations by the file's numbers */
	struct timeline line;   /* evented */
	const struct unit_name *time; /* the time unit that all profiles share */
	bool mixed, fractions;  /* time units differ; some number of time is not whole */
	bool has[N_KINDS];
	size_t type_of[N_KINDS];
	bool timed;
	int64_t first, last;    /* of the file's clock, in the type's unit, where timed */
	/* the profile that is read */
	size_t number;
	const struct unit_name *unit;
	int places;
	struct str name;
};

static const struct unit_name *unit_of_profile(const struct decoder *d, uint32_t profile)
{
	uint32_t unit = json_get(d->j, profile, "unit");
	for (size_t i = 0; i < ARRAY_SIZE(unit_names); i++)
		if (json_is(d->j, unit, unit_names[i].name))
			return &unit_names[i];
	return unit ? NULL : &unit_names[ARRAY_SIZE(unit_names) - 1];
}

static bool are_whole(const struct decoder *d, uint32_t profile)
{
	const struct json *j = d->j;
	uint32_t weights = json_get(j, profile, "weights"), events = json_get(j, profile, "events");
	for (uint32_t v = json_first(j, weights); v; v = json_next(j, weights, v))
		if (!json_is_whole(j, v))
			return false;
	for (uint32_t v = json_first(j, events); v; v = json_next(j, events, v))
		if (!json_is_whole(j, json_get(j, v, "at")))
			return false;
	return true;
}

/* Which types the profiles need, and in which unit time can be kept. */
static int find_types(struct decoder *d, uint32_t profiles)
{
	for (uint32_t v = json_first(d->j, profiles); v; v = json_next(d->j, profiles, v)) {
		const struct unit_name *unit = unit_of_profile(d, v);
		struct str s = json_str(d->j, json_get(d->j, v, "unit"));
		if (!unit)
			return make_fail(d->m, ERR_FORMAT_MALFORMED, "speedscope: no such unit: %.*s",
			                 (int)MIN(s.len, (size_t)40), s.s);
		d->has[unit->kind] = true;
		if (unit->kind != KIND_TIME)
			continue;
		d->mixed |= d->time && d->time != unit;
		d->fractions |= !are_whole(d, v);
		d->time = unit;
	}
	return 0;
}

static void make_types(struct decoder *d)
{
	const struct format_options *opts = d->m->opts;
	bool keeps = d->time && !d->mixed && !d->fractions;
	struct str units[N_KINDS] = { keeps ? str_of(d->time->name) : UNIT_NS, STR("bytes"),
		opts->unit.len ? opts->unit : STR("count") };
	static const char *const names[N_KINDS] = { "wall", "space", "samples" };
	for (size_t k = 0; k < N_KINDS; k++) {
		if (!d->has[k])
			continue;
		d->type_of[k] = d->m->p->types.n;
		make_type(d->m, opts->type.len && !d->m->p->types.n ? opts->type : str_of(names[k]), units[k]);
	}
}

static void read_frames(struct decoder *d)
{
	const struct json *j = d->j;
	uint32_t frames = json_get(j, json_get(j, json_root(j), "shared"), "frames");
	for (uint32_t v = json_first(j, frames); v && !d->m->e; v = json_next(j, frames, v)) {
		const struct profile_function f = { .name = make_string(d->m, json_str(j, json_get(j, v, "name"))),
			.filename = make_string(d->m, json_str(j, json_get(j, v, "file"))) };
		const struct profile_line line = { .function = make_function(d->m, &f),
			.line = json_int(j, json_get(j, v, "line"), 0),
			.column = json_int(j, json_get(j, v, "col"), 0) };
		uint32_t *to = VEC_PUSH(&d->frames);
		if (!to)
			make_fail(d->m, -ENOMEM, "no memory for the frames");
		else
			*to = make_location(d->m, &(struct frame){ PROFILE_NONE, 0, &line, 1 });
	}
}

static int bad(struct decoder *d, const char *what)
{
	return make_fail(d->m, ERR_FORMAT_MALFORMED, "speedscope: profile %zu: %s", d->number, what);
}

static uint32_t frame_of(struct decoder *d, uint32_t value)
{
	int64_t i = json_int(d->j, value, -1);
	if (i >= 0 && (uint64_t)i < d->frames.n)
		return d->frames.v[i];
	make_fail(d->m, ERR_FORMAT_REFERENCE, "speedscope: profile %zu: there is no frame %lld of %zu", d->number,
	          (long long)i, d->frames.n);
	return PROFILE_NONE;
}

/* A number in the type's unit. */
static int64_t number_of(struct decoder *d, uint32_t value, const char *what)
{
	int64_t v = 0;
	if (!json_scaled(d->j, value, d->places, &v))
		bad(d, what);
	return v;
}

static void label_elapsed(struct decoder *d, int64_t at)
{
	int64_t ns;
	if (d->unit->kind == KIND_TIME && !__builtin_mul_overflow(at, scales[d->unit->places - d->places], &ns))
		make_number(d->m, LABEL_ELAPSED, ns, UNIT_NS);
}

/* Ends a sample whose frames are there. */
static void end_sample(void *ctx, int64_t at, int64_t weight)
{
	struct decoder *d = ctx;
	int64_t values[N_KINDS] = { 0 };
	values[d->type_of[d->unit->kind]] = weight;
	make_label(d->m, LABEL_THREAD, d->name);
	label_elapsed(d, at);
	make_sample(d->m, values);
}

static void read_sample(struct decoder *d, uint32_t stack, int64_t at, int64_t weight)
{
	struct profile *p = d->m->p;
	size_t from = p->locs.n;
	for (uint32_t v = json_first(d->j, stack); v && !d->m->e; v = json_next(d->j, stack, v))
		make_frame(d->m, frame_of(d, v));
	for (size_t a = from, b = p->locs.n; a + 1 < b; a++) {
		uint32_t leaf = p->locs.v[--b];
		p->locs.v[b] = p->locs.v[a];
		p->locs.v[a] = leaf;
	}
	end_sample(d, at, weight);
}

static int64_t read_sampled(struct decoder *d, uint32_t profile, int64_t at)
{
	const struct json *j = d->j;
	uint32_t samples = json_get(j, profile, "samples"), weights = json_get(j, profile, "weights");
	uint32_t s = json_first(j, samples), w = json_first(j, weights);
	for (; s && w && !d->m->e; s = json_next(j, samples, s), w = json_next(j, weights, w)) {
		int64_t weight = number_of(d, w, "a weight is no number of 64 bits");
		read_sample(d, s, at, weight);
		if (__builtin_add_overflow(at, weight, &at))
			bad(d, "the weights' sum does not fit in 64 bits");
	}
	if (s || w)
		bad(d, "samples and weights are not as many");
	return at;
}

static void read_event(struct decoder *d, uint32_t event)
{
	uint32_t frame = frame_of(d, json_get(d->j, event, "frame")), type = json_get(d->j, event, "type");
	if (json_is(d->j, type, "O"))
		timeline_open(&d->line, frame);
	else if (!json_is(d->j, type, "C"))
		bad(d, "an event that neither opens nor closes");
	else if (!d->line.open.n || d->line.open.v[d->line.open.n - 1] != frame)
		bad(d, "an event closes a frame that is not the innermost open one");
	else
		timeline_close(&d->line);
}

static void close_all(struct decoder *d, uint32_t end)
{
	size_t n = d->line.open.n;
	if (!n || d->m->e)
		return;
	profile_warn(d->m->p, "profile %zu: %zu frames left open were closed at its end", d->number, n);
	int64_t last = end ? number_of(d, end, "endValue is no number of 64 bits") : d->line.now;
	timeline_move(&d->line, MAX(last, d->line.now));
	while (d->line.open.n && !d->m->e)
		timeline_close(&d->line);
}

static int64_t read_evented(struct decoder *d, uint32_t profile, int64_t start)
{
	uint32_t events = json_get(d->j, profile, "events");
	timeline_begin(&d->line, start);
	bool first = true;
	for (uint32_t v = json_first(d->j, events); v && !d->m->e; v = json_next(d->j, events, v)) {
		int64_t at = number_of(d, json_get(d->j, v, "at"), "a time is no number of 64 bits");
		if (first)
			timeline_begin(&d->line, at);
		else if (!timeline_move(&d->line, at))
			bad(d, "time goes backwards");
		first = false;
		read_event(d, v);
	}
	close_all(d, json_get(d->j, profile, "endValue"));
	return d->line.now;
}

/* What the file's clock showed at the start and at the end of all profiles. */
static void note_range(struct decoder *d, int64_t start, int64_t end)
{
	if (d->unit->kind != KIND_TIME)
		return;
	d->first = d->timed ? MIN(d->first, start) : start;
	d->last = d->timed ? MAX(d->last, end) : end;
	d->timed = true;
}

static void set_duration(struct decoder *d)
{
	bool to_ns = d->mixed || d->fractions;
	int64_t span;
	if (d->timed && !__builtin_sub_overflow(d->last, d->first, &span) &&
	    !__builtin_mul_overflow(span, scales[to_ns ? 0 : d->time->places], &span))
		d->m->p->duration_ns = MAX(span, 0);
}

static void read_profile(struct decoder *d, uint32_t profile)
{
	const struct json *j = d->j;
	d->unit = unit_of_profile(d, profile);
	d->places = d->unit->kind == KIND_TIME && (d->mixed || d->fractions) ? d->unit->places : 0;
	d->name = json_str(j, json_get(j, profile, "name"));
	uint32_t type = json_get(j, profile, "type"), from = json_get(j, profile, "startValue");
	int64_t start = from ? number_of(d, from, "startValue is no number of 64 bits") : 0, end = start, last;
	if (json_is(j, type, "sampled"))
		end = read_sampled(d, profile, start);
	else if (json_is(j, type, "evented"))
		end = read_evented(d, profile, start);
	else
		bad(d, "neither sampled nor evented");
	if (json_scaled(j, json_get(j, profile, "endValue"), d->places, &last))
		end = MAX(end, last);
	note_range(d, start, end);
}

static void decoder_done(struct decoder *d)
{
	VEC_DONE(&d->frames);
	timeline_done(&d->line);
}

static int speedscope_decode(const struct json *j, struct maker *m)
{
	_cleanup_(decoder_done) struct decoder d = { .j = j, .m = m, .line = { .m = m, .sample = end_sample } };
	d.line.ctx = &d;
	uint32_t profiles = json_get(j, json_root(j), "profiles");
	if (find_types(&d, profiles))
		return m->e;
	make_types(&d);
	read_frames(&d);
	for (uint32_t v = json_first(j, profiles); v && !m->e; v = json_next(j, profiles, v), d.number++)
		read_profile(&d, v);
	set_duration(&d);
	if (!d.number && !m->e)
		return make_fail(m, ERR_FORMAT_UNKNOWN, "speedscope JSON without any profile");
	return m->e;
}

static bool matches(const struct json *j)
{
	uint32_t root = json_root(j);
	struct str schema = json_str(j, json_get(j, root, "$schema"));
	return memmem(schema.s, schema.len, "speedscope.app", 14) ||
	       (json_get(j, json_get(j, root, "shared"), "frames") && json_get(j, root, "profiles"));
}

const struct json_format json_speedscope = { "speedscope", false, matches, speedscope_decode };

static enum format_verdict sniff(struct slice head, bool whole)
{
	return json_head_has(head, "speedscope.app/file-format-schema") ? FORMAT_YES : FORMAT_NO;
}

static int decode(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	return json_format_decode(&json_speedscope, in, opts, p, err);
}

const struct format format_speedscope = { "speedscope", sniff, decode };

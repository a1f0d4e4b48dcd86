/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "internal.h"
#include "timeline.h"
#include "v8.h"

/*
 * Chrome's trace events (chrome://tracing, DevTools' performance panel, py-spy's chrometrace, Hermes): a list, or an
 * object with "traceEvents". A list that ends too early, as a browser that was closed leaves it, is taken as far as it
 * goes. Of what there is, the first of these is read:
 *
 *     ProfileChunk, CpuProfile    V8's samples: types "samples", "wall" (microseconds), as in a .cpuprofile
 *     samples and stackFrames     Hermes: types "samples" and "wall": a sample lasts until the thread's next one
 *     B, E, X                     spans that are nested: type "wall" (nanoseconds), a sample for each stretch of time
 *                                 between two events of a thread. An E closes what was opened inside of it; what is
 *                                 left open ends with the thread's last event
 *
 * Labels: process and thread by their metadata events, pid, tid, elapsed (since the first event). Other events (async,
 * flow, counters, instants) say nothing about stacks.
 */

struct event {
	int64_t ts, dur; /* nanoseconds; dur: -1 without */
	uint32_t value, thread;
	char phase;
};

struct thread {
	int64_t pid, tid;
	struct str process, name;
};

struct stack_frame {
	struct str key;
	uint32_t parent; /* where its key stands in the document, or none */
	uint32_t location;
};

struct trace {
	const struct json *j;
	struct maker *m;
	VEC(struct event) events;
	VEC(struct thread) threads;
	struct idset ids;
	VEC(int64_t) ends;  /* of the open spans: INT64_MAX where an E is to come */
	struct timeline line;
	VEC(struct stack_frame) frames; /* Hermes' */
	struct idset frame_ids;
	uint32_t thread;    /* whose samples are made */
	int64_t first;      /* of the trace's clock */
};

static uint32_t thread_of(struct trace *t, uint32_t event)
{
	int64_t pid = json_int(t->j, json_get(t->j, event, "pid"), 0);
	int64_t tid = json_int(t->j, json_get(t->j, event, "tid"), 0);
	uint64_t hash = hash_mix(t->m->seed ^ (uint64_t)pid, (uint64_t)tid);
	for (struct idset_probe p = idset_probe(&t->ids, hash); idset_next(&t->ids, &p);)
		if (t->threads.v[p.id].pid == pid && t->threads.v[p.id].tid == tid)
			return p.id;
	struct thread *new = VEC_PUSH(&t->threads);
	if (!new || idset_add(&t->ids, hash, (uint32_t)(t->threads.n - 1))) {
		make_fail(t->m, -ENOMEM, "no memory for the threads");
		return 0;
	}
	*new = (struct thread){ .pid = pid, .tid = tid };
	return (uint32_t)(t->threads.n - 1);
}

static uint32_t event_list(const struct json *j)
{
	uint32_t root = json_root(j);
	return json_kind(j, root) == JSON_ARRAY ? root : json_get(j, root, "traceEvents");
}

static struct str meta_name(const struct trace *t, uint32_t event)
{
	return json_str(t->j, json_get(t->j, json_get(t->j, event, "args"), "name"));
}

static void read_meta(struct trace *t, uint32_t event)
{
	uint32_t name = json_get(t->j, event, "name");
	bool process = json_is(t->j, name, "process_name");
	if (!process && !json_is(t->j, name, "thread_name"))
		return;
	uint32_t id = thread_of(t, event);
	if (t->m->e)
		return;
	*(process ? &t->threads.v[id].process : &t->threads.v[id].name) = meta_name(t, event);
}

/* A process is named at one of its threads: all others have the name too. Few processes, in the order of their pids. */
static int by_pid(const void *a, const void *b, void *threads)
{
	const struct thread *v = threads;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return CMP(v[x].pid, v[y].pid) ?: CMP(v[y].process.len != 0, v[x].process.len != 0) ?: CMP(x, y);
}

static void name_processes(struct trace *t)
{
	_free_ uint32_t *order = calloc(t->threads.n + 1, sizeof *order);
	if (!order) {
		make_fail(t->m, -ENOMEM, "no memory for the threads");
		return;
	}
	for (uint32_t i = 0; i < t->threads.n; i++)
		order[i] = i;
	if (t->threads.n)
		qsort_r(order, t->threads.n, sizeof *order, by_pid, t->threads.v);
	for (size_t i = 1; i < t->threads.n; i++) {
		const struct thread *before = &t->threads.v[order[i - 1]];
		struct thread *this = &t->threads.v[order[i]];
		if (this->pid == before->pid && !this->process.len)
			this->process = before->process;
	}
}

static void label_thread(void *ctx)
{
	struct trace *t = ctx;
	const struct thread *thread = &t->threads.v[t->thread];
	make_label(t->m, LABEL_PROCESS, thread->process);
	make_label(t->m, LABEL_THREAD, thread->name);
	make_number(t->m, LABEL_PID, thread->pid, NO_UNIT);
	make_number(t->m, LABEL_TID, thread->tid, NO_UNIT);
}

static void add_event(struct trace *t, uint32_t value)
{
	const struct json *j = t->j;
	struct str phase = json_str(j, json_get(j, value, "ph"));
	char ph = phase.len == 1 ? *phase.s : 0;
	if (ph == 'M')
		read_meta(t, value);
	struct event e = { .value = value, .dur = -1, .phase = ph };
	if (!json_scaled(j, json_get(j, value, "ts"), 3, &e.ts) || !ph || ph == 'M')
		return;
	t->first = t->events.n ? MIN(t->first, e.ts) : e.ts;
	if (ph == 'X' && (!json_scaled(j, json_get(j, value, "dur"), 3, &e.dur) || e.dur < 0))
		e.dur = 0;
	e.thread = thread_of(t, value);
	struct event *to = VEC_PUSH(&t->events);
	if (to)
		*to = e;
	else
		make_fail(t->m, -ENOMEM, "no memory for the events");
}

/* ---- V8's samples ---- */

static uint32_t data_of(const struct trace *t, uint32_t event)
{
	return json_get(t->j, json_get(t->j, event, "args"), "data");
}

static bool is_profile(const struct trace *t, const struct event *e, const char *name)
{
	return json_is(t->j, json_get(t->j, e->value, "name"), name);
}

/* Chunks belong to the profile of their process and id. */
static bool same_profile(const struct trace *t, const struct event *a, const struct event *b)
{
	uint32_t x = json_get(t->j, a->value, "id"), y = json_get(t->j, b->value, "id");
	struct str p = json_number(t->j, x), q = json_number(t->j, y);
	return t->threads.v[a->thread].pid == t->threads.v[b->thread].pid && str_eq(p, q);
}

static void read_chunk(struct trace *t, struct v8 *v, uint32_t event)
{
	uint32_t data = data_of(t, event), profile = json_get(t->j, data, "cpuProfile");
	uint32_t deltas = json_get(t->j, data, "timeDeltas");
	v8_read_nodes(v, json_get(t->j, profile, "nodes"));
	v8_read_samples(v, json_get(t->j, profile, "samples"),
	                deltas ? deltas : json_get(t->j, profile, "timeDeltas"), true);
}

static struct v8 v8_of(struct trace *t)
{
	return (struct v8){ .j = t->j, .m = t->m, .what = "a trace's profile", .labels = label_thread, .ctx = t };
}

#define MAX_PROFILES 256 /* each walks the list of events once */

static size_t read_chunks(struct trace *t)
{
	size_t n = 0;
	for (size_t i = 0; i < t->events.n && n < MAX_PROFILES && !t->m->e; i++) {
		const struct event *head = &t->events.v[i];
		if (head->phase != 'P' || !is_profile(t, head, "Profile"))
			continue;
		_cleanup_(v8_done) struct v8 v = v8_of(t);
		t->thread = head->thread;
		v.start = v.now = json_int(t->j, json_get(t->j, data_of(t, head->value), "startTime"), 0);
		for (size_t k = 0; k < t->events.n && !t->m->e; k++)
			if (is_profile(t, &t->events.v[k], "ProfileChunk") && same_profile(t, head, &t->events.v[k]))
				read_chunk(t, &v, t->events.v[k].value);
		v8_end_samples(&v, v.now);
		n++;
	}
	return n;
}

static size_t read_cpu_profiles(struct trace *t)
{
	size_t n = 0;
	for (size_t i = 0; i < t->events.n && !t->m->e; i++) {
		uint32_t profile = json_get(t->j, data_of(t, t->events.v[i].value), "cpuProfile");
		if (!is_profile(t, &t->events.v[i], "CpuProfile") || !profile)
			continue;
		_cleanup_(v8_done) struct v8 v = v8_of(t);
		t->thread = t->events.v[i].thread;
		v8_read_profile(&v, profile);
		n++;
	}
	return n;
}

static bool has_profiles(const struct trace *t)
{
	for (size_t i = 0; i < t->events.n; i++)
		if (is_profile(t, &t->events.v[i], "ProfileChunk") || is_profile(t, &t->events.v[i], "CpuProfile"))
			return true;
	return false;
}

/* ---- Hermes' samples ---- */

static uint32_t find_stack_frame(const struct trace *t, struct str key)
{
	uint64_t hash = hash_str(key, t->m->seed);
	for (struct idset_probe p = idset_probe(&t->frame_ids, hash); idset_next(&t->frame_ids, &p);)
		if (str_eq(t->frames.v[p.id].key, key))
			return p.id;
	return UINT32_MAX;
}

static void read_stack_frames(struct trace *t)
{
	const struct json *j = t->j;
	uint32_t frames = json_get(j, json_root(j), "stackFrames");
	for (uint32_t k = json_first_key(j, frames); k && !t->m->e; k = json_next_key(j, frames, k)) {
		struct stack_frame *f = VEC_PUSH(&t->frames);
		struct str key = json_str(j, k);
		if (!f || idset_add(&t->frame_ids, hash_str(key, t->m->seed), (uint32_t)(t->frames.n - 1)))
			make_fail(t->m, -ENOMEM, "no memory for the stack frames");
		else
			*f = (struct stack_frame){ key, json_get(j, k + 1, "parent"),
				make_named(t->m, json_str(j, json_get(j, k + 1, "name")), NO_UNIT, 0) };
	}
}

static void make_stack(struct trace *t, uint32_t id)
{
	for (size_t depth = 0; id && !t->m->e; depth++) {
		struct str key = json_number(t->j, id);
		uint32_t frame = find_stack_frame(t, key);
		if (frame == UINT32_MAX || depth > t->frames.n) {
			make_fail(t->m, ERR_FORMAT_REFERENCE, "trace events: stack frame %.*s %s",
			          (int)MIN(key.len, (size_t)20), key.s,
			          frame == UINT32_MAX ? "does not exist" : "is its own parent");
			return;
		}
		make_frame(t->m, t->frames.v[frame].location);
		id = t->frames.v[frame].parent;
	}
}

static int by_thread(const void *a, const void *b)
{
	const struct event *x = a, *y = b;
	return CMP(x->thread, y->thread) ?: CMP(x->ts, y->ts) ?: CMP(x->value, y->value);
}

static void sort_events(struct trace *t)
{
	if (t->events.n)
		qsort(t->events.v, t->events.n, sizeof *t->events.v, by_thread);
}

static void label_elapsed(struct trace *t, int64_t at)
{
	int64_t elapsed;
	if (!__builtin_sub_overflow(at, t->first, &elapsed))
		make_number(t->m, LABEL_ELAPSED, elapsed, UNIT_NS);
}

static void read_stack_samples(struct trace *t, uint32_t samples)
{
	read_stack_frames(t);
	t->events.n = 0;
	for (uint32_t s = json_first(t->j, samples); s && !t->m->e; s = json_next(t->j, samples, s)) {
		struct event e = { .value = s, .thread = thread_of(t, s) };
		struct event *to = json_scaled(t->j, json_get(t->j, s, "ts"), 3, &e.ts) ? VEC_PUSH(&t->events) : NULL;
		if (!to)
			make_fail(t->m, ERR_FORMAT_MALFORMED, "trace events: a sample has no time");
		else
			*to = e;
		t->first = t->events.n > 1 ? MIN(t->first, e.ts) : e.ts;
	}
	sort_events(t);
	make_type(t->m, STR("samples"), STR("count"));
	make_type(t->m, STR("wall"), UNIT_NS);
	for (size_t i = 0; i < t->events.n && !t->m->e; i++) {
		const struct event *e = &t->events.v[i];
		bool last = i + 1 == t->events.n || e[1].thread != e->thread;
		int64_t wall = 0, weight = json_int(t->j, json_get(t->j, e->value, "weight"), 1);
		if (!last && __builtin_sub_overflow(e[1].ts, e->ts, &wall))
			wall = 0;
		t->thread = e->thread;
		make_stack(t, json_get(t->j, e->value, "sf"));
		label_thread(t);
		label_elapsed(t, e->ts);
		make_sample(t->m, (int64_t[]){ weight, wall });
	}
}

/* ---- spans ---- */

static void end_span_sample(void *ctx, int64_t at, int64_t weight)
{
	struct trace *t = ctx;
	label_thread(t);
	label_elapsed(t, at);
	make_sample(t->m, &weight);
}

static uint32_t location_of(struct trace *t, uint32_t event)
{
	const struct json *j = t->j;
	uint32_t args = json_get(j, event, "args");
	struct str url = json_str(j, json_get(j, args, "url"));
	struct str file = url.len ? url : json_str(j, json_get(j, args, "filename"));
	int64_t line = json_int(j, json_get(j, args, "line"), 0);
	return make_named(t->m, json_str(j, json_get(j, event, "name")), file, line);
}

static void open_span(struct trace *t, const struct event *e)
{
	int64_t *end = VEC_PUSH(&t->ends);
	if (!end) {
		make_fail(t->m, -ENOMEM, "no memory for the open spans");
		return;
	}
	if (e->phase != 'X' || __builtin_add_overflow(e->ts, e->dur, end))
		*end = INT64_MAX;
	timeline_open(&t->line, location_of(t, e->value));
}

static void close_span(struct trace *t)
{
	timeline_close(&t->line);
	t->ends.n--;
}

/* Closes the spans that end by themselves up to a time. One that waits for its E keeps what is around it open. */
static void close_ended(struct trace *t, int64_t now)
{
	while (t->ends.n && t->ends.v[t->ends.n - 1] <= now && !t->m->e) {
		timeline_move(&t->line, MAX(t->line.now, t->ends.v[t->ends.n - 1]));
		close_span(t);
	}
	timeline_move(&t->line, MAX(t->line.now, now));
}

/* Closes the innermost open span of this name, and all within it; none: the innermost that waits for an E. */
static void close_named(struct trace *t, const struct event *e)
{
	struct profile *p = t->m->p;
	struct str name = json_str(t->j, json_get(t->j, e->value, "name"));
	size_t i = t->ends.n, waits = 0;
	for (; i; i--) {
		const struct profile_location *l = &p->locations.v[t->line.open.v[i - 1]];
		if (t->ends.v[i - 1] != INT64_MAX)
			continue;
		waits = MAX(waits, i);
		if (str_eq(profile_str(p, p->functions.v[p->lines.v[l->line_at].function].name), name))
			break;
	}
	i = i ? i : name.len ? 0 : waits;
	if (!i)
		profile_warn(p, "an E event of a span that is not open was skipped");
	while (i && t->ends.n >= i && !t->m->e)
		close_span(t);
}

/* Spans that begin together: the longer one is around the shorter. */
static void order_siblings(struct trace *t)
{
	for (size_t i = 1; i < t->events.n; i++)
		for (size_t k = i; k && k + 64 > i; k--) {
			struct event *a = &t->events.v[k - 1], *b = &t->events.v[k], swap = *a;
			bool both = a->thread == b->thread && a->ts == b->ts && a->phase == 'X' && b->phase == 'X';
			if (!both || a->dur >= b->dur)
				break;
			*a = *b;
			*b = swap;
		}
}

static void end_thread(struct trace *t)
{
	int64_t last = t->line.now;
	for (size_t i = 0; i < t->ends.n; i++)
		if (t->ends.v[i] != INT64_MAX)
			last = MAX(last, t->ends.v[i]);
	close_ended(t, last);
	if (t->ends.n)
		profile_warn(t->m->p, "%zu spans that never end were closed with their thread's last event", t->ends.n);
	while (t->ends.n && !t->m->e)
		close_span(t);
}

static void read_spans(struct trace *t)
{
	make_type(t->m, STR("wall"), UNIT_NS);
	sort_events(t);
	order_siblings(t);
	for (size_t i = 0; i < t->events.n && !t->m->e; i++) {
		const struct event *e = &t->events.v[i];
		if (!i || e->thread != t->thread) {
			end_thread(t);
			t->thread = e->thread;
			timeline_begin(&t->line, e->ts);
		}
		close_ended(t, e->ts);
		if (e->phase == 'B' || e->phase == 'X')
			open_span(t, e);
		else if (e->phase == 'E')
			close_named(t, e);
	}
	if (!t->m->e)
		end_thread(t);
}

static void trace_done(struct trace *t)
{
	VEC_DONE(&t->events);
	VEC_DONE(&t->threads);
	VEC_DONE(&t->ends);
	VEC_DONE(&t->frames);
	idset_done(&t->frame_ids);
	idset_done(&t->ids);
	timeline_done(&t->line);
}

static int decode_trace(const struct json *j, struct maker *m)
{
	_cleanup_(trace_done) struct trace t = { .j = j, .m = m, .line = { .m = m, .sample = end_span_sample } };
	uint32_t list = event_list(j), samples = json_get(j, json_root(j), "samples");
	t.line.ctx = &t;
	for (uint32_t v = json_first(j, list); v && !m->e; v = json_next(j, list, v))
		add_event(&t, v);
	name_processes(&t);
	if (j->cut)
		profile_warn(m->p, "the trace ends before its end");
	if (!m->e && has_profiles(&t)) {
		v8_make_types(m);
		if (!read_chunks(&t))
			read_cpu_profiles(&t);
	} else if (!m->e && samples) {
		read_stack_samples(&t, samples);
	} else if (!m->e) {
		read_spans(&t);
	}
	if (!m->e && !m->p->n_samples)
		return make_fail(m, ERR_FORMAT_UNKNOWN, "trace events without a profile and without spans");
	return m->e;
}

static bool matches(const struct json *j)
{
	uint32_t list = event_list(j), first = json_first(j, list);
	return json_get(j, first, "ph") || (first && json_get(j, json_root(j), "stackFrames"));
}

const struct json_format json_trace_event = { "trace-event", true, matches, decode_trace };

static enum format_verdict sniff(struct slice head, bool whole)
{
	bool timed = json_head_has(head, "\"ts\"") || json_head_has(head, "\"traceEvents\"");
	return timed && json_head_has(head, "\"ph\"") ? FORMAT_YES : FORMAT_NO;
}

static int decode(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	return json_format_decode(&json_trace_event, in, opts, p, err);
}

const struct format format_trace_event = { "trace-event", sniff, decode };

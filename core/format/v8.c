/* SPDX-License-Identifier: MIT */
#include "../base/clock.h"
#include "internal.h"
#include "v8.h"

/*
 * V8's profiles (node --cpu-prof and --heap-prof, Chrome's developer tools, Deno): a tree of calls, and samples that
 * name its nodes.
 *
 *     .cpuprofile    types "samples" (count) and "wall" (microseconds). A sample lasts until the next one, the last
 *                    until endTime; a delta that goes back in time counts as 0. Label "elapsed": since startTime.
 *                    Older files have the tree nested below "head" and "timestamps" for "timeDeltas". Without
 *                    samples: hitCount.
 *     .heapprofile   type "inuse_space" (bytes): a sample for each node with bytes of its own
 *
 * Lines and columns are counted from 1 here, from 0 there: a function's place is its start line, and the line of its
 * frames. The meta frames (root), (program), (idle), (garbage collector) stay; no name is "(anonymous)".
 */

static struct str call_name(struct str name)
{
	return name.len ? name : STR("(anonymous)");
}

void v8_done(struct v8 *v)
{
	VEC_DONE(&v->nodes);
	idset_done(&v->ids);
}

static int bad(struct v8 *v, const char *why)
{
	return make_fail(v->m, ERR_FORMAT_MALFORMED, "%s: %s", v->what, why);
}

static uint32_t location_of(struct v8 *v, uint32_t call)
{
	const struct json *j = v->j;
	struct str name = json_str(j, json_get(j, call, "functionName"));
	int64_t line = json_int(j, json_get(j, call, "lineNumber"), -1);
	int64_t column = json_int(j, json_get(j, call, "columnNumber"), -1);
	const struct profile_function f = {
		.name = make_string(v->m, call_name(name)),
		.filename = make_string(v->m, json_str(j, json_get(j, call, "url"))),
		.start_line = line >= 0 && line < INT64_MAX ? line + 1 : 0,
	};
	const struct profile_line l = { .function = make_function(v->m, &f), .line = f.start_line,
		.column = column >= 0 && column < INT64_MAX ? column + 1 : 0 };
	return make_location(v->m, &(struct frame){ PROFILE_NONE, 0, &l, 1 });
}

static uint32_t find_node(const struct v8 *v, int64_t id)
{
	for (struct idset_probe p = idset_probe(&v->ids, hash_mix(v->m->seed, (uint64_t)id)); idset_next(&v->ids, &p);)
		if (v->nodes.v[p.id].id == id)
			return p.id;
	return V8_NONE;
}

static void add_node(struct v8 *v, uint32_t value, uint32_t parent)
{
	const struct json *j = v->j;
	uint32_t call = json_get(j, value, "callFrame"), n = (uint32_t)v->nodes.n;
	int64_t id = v->by_place ? n : json_int(j, json_get(j, value, "id"), -1 - (int64_t)n);
	if (find_node(v, id) != V8_NONE) {
		make_fail(v->m, ERR_FORMAT_MALFORMED, "%s: two nodes have the id %lld", v->what, (long long)id);
		return;
	}
	struct v8_node *node = VEC_PUSH(&v->nodes);
	if (!node || idset_add(&v->ids, hash_mix(v->m->seed, (uint64_t)id), n))
		make_fail(v->m, -ENOMEM, "no memory for the nodes");
	else
		*node = (struct v8_node){ id, location_of(v, call ? call : value), parent, value };
}

/* A tree that is nested: each node's children stand in it. Nodes are a queue: those behind `i` are to be walked. */
static void read_nested(struct v8 *v, uint32_t head)
{
	add_node(v, head, V8_NONE);
	for (uint32_t i = 0; i < v->nodes.n && !v->m->e; i++) {
		uint32_t children = json_get(v->j, v->nodes.v[i].value, "children");
		for (uint32_t c = json_first(v->j, children); c && !v->m->e; c = json_next(v->j, children, c))
			add_node(v, c, i);
	}
}

static void set_parent(struct v8 *v, uint32_t parent, int64_t child_id)
{
	uint32_t child = find_node(v, child_id);
	if (child == V8_NONE)
		make_fail(v->m, ERR_FORMAT_REFERENCE, "%s: node %lld has a child %lld that does not exist", v->what,
		          (long long)v->nodes.v[parent].id, (long long)child_id);
	else if (v->nodes.v[child].parent != V8_NONE)
		make_fail(v->m, ERR_FORMAT_MALFORMED, "%s: node %lld has two parents", v->what, (long long)child_id);
	else
		v->nodes.v[child].parent = parent;
}

/* Each node has at most one parent, so what a walk from the roots does not reach runs in circles. */
static void refuse_cycles(struct v8 *v)
{
	_free_ uint32_t *seen = calloc(v->nodes.n + 1, sizeof *seen);
	if (!seen) {
		make_fail(v->m, -ENOMEM, "no memory for the nodes");
		return;
	}
	for (uint32_t i = 0; i < v->nodes.n; i++) {
		uint32_t at = i;
		while (at != V8_NONE && !seen[at]) {
			seen[at] = i + 1;
			at = v->nodes.v[at].parent;
		}
		if (at != V8_NONE && seen[at] == i + 1) {
			bad(v, "a node is its own ancestor");
			return;
		}
	}
}

static void link_node(struct v8 *v, uint32_t node)
{
	const struct json *j = v->j;
	uint32_t children = json_get(j, v->nodes.v[node].value, "children");
	for (uint32_t c = json_first(j, children); c && !v->m->e; c = json_next(j, children, c))
		set_parent(v, node, json_int(j, c, -1));
	uint32_t parent = json_get(j, v->nodes.v[node].value, "parent");
	if (!parent)
		return;
	uint32_t p = find_node(v, json_int(j, parent, -1));
	if (p != V8_NONE && v->nodes.v[node].parent == V8_NONE)
		v->nodes.v[node].parent = p;
}

void v8_read_nodes(struct v8 *v, uint32_t nodes)
{
	const struct json *j = v->j;
	uint32_t before = (uint32_t)v->nodes.n;
	for (uint32_t n = json_first(j, nodes); n && !v->m->e; n = json_next(j, nodes, n))
		add_node(v, n, V8_NONE);
	for (uint32_t i = before; i < v->nodes.n && !v->m->e; i++)
		link_node(v, i);
}

static void make_stack(struct v8 *v, uint32_t node)
{
	for (size_t n = 0; node != V8_NONE && !v->m->e; node = v->nodes.v[node].parent, n++) {
		if (n > v->nodes.n)
			bad(v, "a node is its own ancestor");
		make_frame(v->m, v->nodes.v[node].location);
	}
}

/* ---- .cpuprofile ---- */

/* Ends the sample that was begun last: it lasts until now. */
static void end_sample(struct v8 *v, int64_t now)
{
	int64_t elapsed, wall;
	if (!v->begun || v->m->e)
		return;
	v->begun = false;
	make_stack(v, v->node);
	if (__builtin_sub_overflow(now, v->since, &wall)) {
		bad(v, "a time does not fit in 64 bits");
		return;
	}
	if (v->labels)
		v->labels(v->ctx);
	if (!__builtin_sub_overflow(v->since, v->start, &elapsed) &&
	    !__builtin_mul_overflow(elapsed, NS_PER_US, &elapsed))
		make_number(v->m, LABEL_ELAPSED, elapsed, UNIT_NS);
	make_sample(v->m, (int64_t[]){ 1, wall });
}

static void begin_sample(struct v8 *v, uint32_t value)
{
	int64_t id = json_int(v->j, value, INT64_MIN);
	uint32_t node = find_node(v, id);
	end_sample(v, v->now);
	if (node == V8_NONE)
		make_fail(v->m, ERR_FORMAT_REFERENCE, "%s: a sample names node %lld, which does not exist", v->what,
		          (long long)id);
	v->node = node;
	v->since = v->now;
	v->begun = true;
}

/* Time does not go back. */
static void move_clock(struct v8 *v, uint32_t value, bool delta)
{
	int64_t number, then = 0;
	bool fits = json_scaled(v->j, value, 0, &number) &&
	            (delta ? !__builtin_add_overflow(v->now, number, &then) : (then = number, true));
	if (fits)
		v->now = MAX(v->now, then);
	else
		bad(v, "a time does not fit in 64 bits");
}

void v8_read_samples(struct v8 *v, uint32_t samples, uint32_t times, bool deltas)
{
	const struct json *j = v->j;
	uint32_t s = json_first(j, samples), t = json_first(j, times);
	for (; s && t && !v->m->e; s = json_next(j, samples, s), t = json_next(j, times, t)) {
		move_clock(v, t, deltas);
		begin_sample(v, s);
	}
	if (s || t)
		bad(v, "samples and times are not as many");
}

void v8_end_samples(struct v8 *v, int64_t end)
{
	end_sample(v, MAX(end, v->now));
}

static void read_hits(struct v8 *v)
{
	for (uint32_t i = 0; i < v->nodes.n && !v->m->e; i++) {
		int64_t hits = json_int(v->j, json_get(v->j, v->nodes.v[i].value, "hitCount"), 0);
		if (!hits)
			continue;
		make_stack(v, i);
		if (v->labels)
			v->labels(v->ctx);
		make_sample(v->m, (int64_t[]){ hits, 0 });
	}
}

static void set_duration(struct v8 *v, int64_t start, int64_t end)
{
	int64_t span;
	if (!__builtin_sub_overflow(end, start, &span) && !__builtin_mul_overflow(span, NS_PER_US, &span))
		v->m->p->duration_ns = MAX(span, 0);
}

/* Old files have seconds with a fraction and microseconds for their samples. */
static int64_t clock_of(struct v8 *v, uint32_t profile, const char *name, bool seconds)
{
	int64_t t = 0;
	uint32_t value = json_get(v->j, profile, name);
	if (value && !json_scaled(v->j, value, seconds ? 6 : 0, &t))
		bad(v, "startTime or endTime is no number of 64 bits");
	return t;
}

void v8_read_profile(struct v8 *v, uint32_t profile)
{
	const struct json *j = v->j;
	uint32_t nodes = json_get(j, profile, "nodes"), samples = json_get(j, profile, "samples");
	uint32_t deltas = json_get(j, profile, "timeDeltas"), times = json_get(j, profile, "timestamps");
	if (nodes)
		v8_read_nodes(v, nodes);
	else
		read_nested(v, json_get(j, profile, "head"));
	if (!v->m->e)
		refuse_cycles(v);
	int64_t end = clock_of(v, profile, "endTime", !nodes);
	v->start = v->now = clock_of(v, profile, "startTime", !nodes);
	set_duration(v, v->start, end);
	if (samples && (deltas || times)) {
		v8_read_samples(v, samples, deltas ? deltas : times, deltas);
		v8_end_samples(v, end);
	} else {
		read_hits(v);
	}
}

void v8_make_types(struct maker *m)
{
	make_type(m, STR("samples"), STR("count"));
	make_type(m, STR("wall"), STR("microseconds"));
}

static int cpuprofile_decode(const struct json *j, struct maker *m)
{
	_cleanup_(v8_done) struct v8 v = { .j = j, .m = m, .what = "a V8 profile" };
	v8_make_types(m);
	v8_read_profile(&v, json_root(j));
	return m->e;
}

static bool cpuprofile_matches(const struct json *j)
{
	uint32_t root = json_root(j), head = json_get(j, root, "head");
	uint32_t first = json_first(j, json_get(j, root, "nodes"));
	return (first && json_get(j, first, "callFrame")) ||
	       (head && json_get(j, root, "startTime") && json_get(j, head, "functionName"));
}

const struct json_format json_cpuprofile = { "cpuprofile", false, cpuprofile_matches, cpuprofile_decode };

static enum format_verdict cpuprofile_sniff(struct slice head, bool whole)
{
	bool flat = json_head_has(head, "\"nodes\"") && json_head_has(head, "\"callFrame\"");
	return flat && !json_head_has(head, "\"ph\"") ? FORMAT_YES : FORMAT_NO;
}

static int cpuprofile(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	return json_format_decode(&json_cpuprofile, in, opts, p, err);
}

const struct format format_cpuprofile = { "cpuprofile", cpuprofile_sniff, cpuprofile };

/* ---- .heapprofile ---- */

static int heapprofile_decode(const struct json *j, struct maker *m)
{
	_cleanup_(v8_done) struct v8 v = { .j = j, .m = m, .what = "a V8 heap profile", .by_place = true };
	read_nested(&v, json_get(j, json_root(j), "head"));
	make_type(m, STR("inuse_space"), STR("bytes"));
	for (uint32_t i = 0; i < v.nodes.n && !m->e; i++) {
		uint32_t size = json_get(j, v.nodes.v[i].value, "selfSize");
		int64_t bytes = 0;
		if (size && !json_scaled(j, size, 0, &bytes))
			return bad(&v, "a size is no number of 64 bits");
		if (!bytes)
			continue;
		make_stack(&v, i);
		make_sample(m, &bytes);
	}
	return m->e;
}

static bool heapprofile_matches(const struct json *j)
{
	uint32_t head = json_get(j, json_root(j), "head");
	return json_get(j, head, "callFrame") && json_get(j, head, "selfSize");
}

const struct json_format json_heapprofile = { "heapprofile", false, heapprofile_matches, heapprofile_decode };

static enum format_verdict heapprofile_sniff(struct slice head, bool whole)
{
	return json_head_has(head, "\"head\"") && json_head_has(head, "\"selfSize\"") ? FORMAT_YES : FORMAT_NO;
}

static int heapprofile(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	return json_format_decode(&json_heapprofile, in, opts, p, err);
}

const struct format format_heapprofile = { "heapprofile", heapprofile_sniff, heapprofile };

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A query whose results a test writes down: stacks as folded text, points, steps and labels as arrays. It
 * stands in for core/query, so that renderings are tested for what they make of results, and for nothing
 * else.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/query/diff.h"
#include "core/query/moments.h"
#include "core/render/render.h"

struct query {
	struct selection selection;
	struct query_info info;
	struct call_tree tree;
	struct frame *frames;
	struct call_node *nodes;
	char *text;
	const struct point *points;
	size_t n_points;
	const struct str *groups;
	size_t n_groups;
	struct steps steps;
	struct labels labels;
	const int64_t (*moments)[2]; /* time, value */
	size_t n_moments;
	uint64_t without_moment;
	struct query *baseline; /* as of a selection with `vs` */
	struct call_diff diff;  /* made on demand; given_done() ends it */
};

/* ---- results ---- */

const struct selection *query_selection(const struct query *q)
{
	return &q->selection;
}

int query_resolve(struct query *q, const struct cancel *cancel, struct error *err)
{
	(void)q, (void)cancel, (void)err;
	return 0;
}

const struct query_info *query_info(const struct query *q)
{
	return &q->info;
}

struct query *query_baseline(struct query *q)
{
	return q->baseline;
}

int query_tree(struct query *q, const struct cancel *cancel, const struct call_tree **ret, struct error *err)
{
	*ret = &q->tree;
	return 0;
}

int query_diff(struct query *q, const struct cancel *cancel, const struct call_diff **ret, struct error *err)
{
	assert_non_null(q->baseline);
	if (!q->diff.after.nodes)
		assert_int_equal(call_diff_make(&q->baseline->tree, &q->tree, q->selection.options.normalize, &q->diff), 0);
	*ret = &q->diff;
	return 0;
}

int query_moments(struct query *q, const struct cancel *cancel, struct moments *m, struct error *err)
{
	for (size_t i = 0; i < q->n_moments; i++)
		m->each(m->arg, q->moments[i][0], q->moments[i][1]);
	m->told = q->n_moments;
	m->without = q->without_moment;
	return 0;
}

int query_tree_by(struct query *q, enum granularity by, const struct cancel *cancel, const struct call_tree **ret,
                  struct error *err)
{
	return query_tree(q, cancel, ret, err);
}

static struct profile given_merged; /* of no types: says nothing */

int query_merged(struct query *q, const struct cancel *cancel, const struct profile **ret, struct error *err)
{
	*ret = &given_merged;
	return 0;
}

int query_restore(struct query *q, const struct ulid *id, struct profile *ret, struct error *err)
{
	return ERR_PATH_ABSENT;
}

int query_points(struct query *q, const struct cancel *cancel, const struct point **ret, size_t *ret_n,
                 struct error *err)
{
	*ret = q->points;
	*ret_n = q->n_points;
	return 0;
}

const struct str *query_groups(struct query *q, size_t *ret_n)
{
	*ret_n = q->n_groups;
	return q->groups;
}

int query_steps(struct query *q, const struct cancel *cancel, const struct steps **ret, struct error *err)
{
	*ret = &q->steps;
	return 0;
}

int query_labels(struct query *q, bool samples, const struct cancel *cancel, const struct labels **ret,
                 struct error *err)
{
	*ret = &q->labels;
	return 0;
}

int query_types(struct query *q, const struct type_count **ret, size_t *ret_n, struct error *err)
{
	static struct type_count type;
	type = (struct type_count){ str_of(q->info.type), str_of(q->info.unit), q->info.profiles };
	*ret = &type;
	*ret_n = 1;
	return 0;
}

int query_function_uses(struct query *q, const struct cancel *cancel, struct function_uses *ret, struct error *err)
{
	return 0;
}

void function_uses_done(struct function_uses *u)
{
}

const char *selection_function(const struct selection *s)
{
	return s->n_filters ? s->filters[0].text : NULL;
}

/* ---- stacks ---- */

static void given(struct query *q, const char *type, const char *unit)
{
	memset(q, 0, sizeof *q);
	q->selection = (struct selection){
		.service = (char *)"checkout", .from = TIME_MIN, .to = TIME_MAX, .has_time = true
	};
	q->selection.type = (char *)type;
	snprintf(q->info.type, sizeof q->info.type, "%s", type);
	snprintf(q->info.unit, sizeof q->info.unit, "%s", unit);
	q->info.profiles = 1;
	q->info.first = q->info.last = INT64_C(1795356330) * NS_PER_S; /* 2026-11-22 14:05:30 UTC */
}

static uint32_t given_child(struct query *q, uint32_t n_nodes, uint32_t parent, struct str name)
{
	for (uint32_t i = parent + 1; i < n_nodes; i++)
		if (q->nodes[i].parent == parent && str_eq(q->frames[q->nodes[i].frame].name, name))
			return i;
	return 0;
}

/*
 * "main;work;sleep 12\n" ...: lines sorted by their stacks, so that nodes come in preorder. "work~" is
 * inlined into its caller.
 */
static void _unused_ given_stacks(struct query *q, const char *folded)
{
	size_t most = 2;
	for (const char *p = folded; *p; p++)
		most += *p == ';' || *p == '\n';
	q->text = strdup(folded);
	q->nodes = calloc(most, sizeof *q->nodes);
	q->frames = calloc(most, sizeof *q->frames);
	uint32_t n = 1, n_frames = 0;
	q->nodes[0] = (struct call_node){ .frame = PROFILE_NONE, .parent = PROFILE_NONE, .end = 1 };
	char *line_end;
	for (char *line = q->text; (line_end = strchr(line, '\n')); line = line_end + 1) {
		*line_end = 0;
		char *value = strrchr(line, ' ');
		*value++ = 0;
		uint32_t at = 0;
		for (char *name = line, *next; name && *line; name = next) {
			next = strchr(name, ';');
			if (next)
				*next++ = 0;
			size_t len = strlen(name);
			bool inlined = len > 1 && name[len - 1] == '~';
			struct str s = { name, len - inlined };
			uint32_t child = given_child(q, n, at, s), frame = 0;
			while (frame < n_frames && !str_eq(q->frames[frame].name, s))
				frame++;
			if (frame == n_frames)
				q->frames[n_frames++].name = s;
			if (!child) {
				child = n++;
				q->nodes[child] = (struct call_node){ .frame = frame, .parent = at, .inlined = inlined };
				q->nodes[child].depth = q->nodes[at].depth + 1;
			}
			at = child;
		}
		q->nodes[at].self += atoll(value);
	}
	for (uint32_t i = n; i-- > 0;) {
		q->nodes[i].total += q->nodes[i].self;
		q->nodes[i].end = MAX(q->nodes[i].end, i + 1);
		if (i) {
			struct call_node *up = &q->nodes[q->nodes[i].parent];
			up->total += q->nodes[i].total;
			up->end = MAX(up->end, q->nodes[i].end);
		}
	}
	q->tree = (struct call_tree){ q->nodes,     n,           q->frames, n_frames, q->nodes[0].total,
	                              q->info.type, q->info.unit };
}

static void _unused_ given_done(struct query *q)
{
	call_diff_done(&q->diff);
	free(q->text);
	free(q->nodes);
	free(q->frames);
	memset(q, 0, sizeof *q);
}

/* ---- what comes out ---- */

#define OUT_MAX ((size_t)1 << 30)

/* The rendering as a NUL-terminated string; freed by the caller. */
static char *rendered(struct query *q, const char *name)
{
	struct buf out = BUF_INIT(OUT_MAX);
	struct error err = { 0 };
	const struct rendering *r = rendering_find(name);
	assert_non_null(r);
	assert_int_equal(r->render(q, NULL, &out, &err), 0);
	buf_putc(&out, 0);
	size_t n;
	return (char *)buf_take(&out, &n);
}

static size_t _unused_ count_of(const char *text, const char *what)
{
	size_t n = 0;
	for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
		n++;
	return n;
}

#define assert_contains(text, what)                                                                \
	do {                                                                                       \
		if (!strstr(text, what))                                                           \
			fail_msg("no \"%s\" in:\n%.4000s", what, text);                            \
	} while (0)

#define assert_lacks(text, what)                                                                   \
	do {                                                                                       \
		if (strstr(text, what))                                                            \
			fail_msg("\"%s\" in:\n%.4000s", what, text);                               \
	} while (0)

/* SPDX-License-Identifier: MIT */
#pragma once

/* A set of profiles (and samples) named by a path, and how the renderings of it are made. Immutable once shared. */

#include <string.h>

#include "../base/buf.h"
#include "../base/clock.h"
#include "../base/ulid.h"
#include "../profile/label.h"

enum filter_kind {
	FILTER_FOCUS, FILTER_IGNORE, FILTER_ROOT, FILTER_CALLERS,
	/* Of functions' names alone; no path has the last three. */
	FILTER_FUNCTION, FILTER_FUNCTION_RE, FILTER_SELF, FILTER_SELF_RE,
};

/* Keeps, drops, re-roots stacks by function name, as pprof's flags do; applied in order. */
struct filter {
	enum filter_kind kind;
	char *text;       /* as typed: a regular expression, for FILTER_FUNCTION and FILTER_SELF a name */
	struct regex *re; /* NULL for these */
};

enum granularity { BY_FUNCTION, BY_LINE, BY_FILE, BY_ADDRESS };

struct render_options {
	int64_t step;     /* ns; 0: chosen from the range */
	enum granularity granularity;
	int64_t limit;    /* 0: the rendering's default */
	char *unit;       /* NULL: chosen */
	bool log_scale, weight_value, normalize, exemplars, sort_cum;
};

struct selection {
	char *service;    /* NULL: every service (@all); `service` is then a label too */
	int64_t from, to; /* half-open; TIME_MIN and TIME_MAX where unbounded */
	bool has_time;    /* a TIME component was given */
	char *type;       /* listed name ("cpu", "mutex.delay"); NULL: none */
	struct matcher *matchers;
	size_t n_matchers;
	struct filter *filters;
	size_t n_filters;
	struct render_options options;
	char *by;         /* label below by-LABEL; NULL; several of a rule, with BY_BETWEEN between them */
	bool has_id;
	struct ulid id;   /* one profile */
	struct selection *baseline; /* what stands after `vs`; NULL */
};

/* Also between the values in the name of a group by several labels. */
#define BY_BETWEEN '\x1f'

/* The first of the parts of `by`, or of such a name, taken off; "" where none is left. */
static inline struct str by_next(struct str *rest)
{
	const char *end = rest->len ? memchr(rest->s, BY_BETWEEN, rest->len) : NULL;
	struct str part = { rest->s, end ? (size_t)(end - rest->s) : rest->len };
	size_t taken = part.len + (end != NULL);
	*rest = (struct str){ rest->s + taken, rest->len - taken };
	return part;
}

/* A deep copy (regular expressions are compiled again). New; NULL out of memory. */
struct selection *selection_copy(const struct selection *s);
struct selection *selection_new(void); /* all times, every service */
void selection_free(struct selection *s);
DEFINE_CLEANUP(struct selection *, selection_free);

int selection_add_matcher(struct selection *s, struct str key, enum match_op op, struct str value, struct error *err);
int selection_add_filter(struct selection *s, enum filter_kind kind, struct str text, struct error *err);

/* "focus"; borrowed for ever. */
static inline const char *filter_name(enum filter_kind kind)
{
	static const char *const names[] = {
		"focus", "ignore", "root", "callers", "function", "function", "self", "self",
	};
	return names[kind];
}

/* The name of the last @function= filter; NULL where there is none. Borrowed. */
const char *selection_function(const struct selection *s);

/*
 * A canonical text of what is selected and how it is rendered: equal for paths that mean the same (order of matchers,
 * spelling of times). Appends.
 */
void selection_key(const struct selection *s, struct buf *out);

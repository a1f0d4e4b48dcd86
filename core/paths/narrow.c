/* SPDX-License-Identifier: MIT */
#include "narrow.h"

#include <string.h>

#include "../base/pct.h"
#include "../profile/types.h"

#define STEP_MIN NS_PER_MS
#define STEP_MAX (366 * NS_PER_DAY)
#define LIMIT_MAX 1000000000

static struct str buf_str_of(const struct buf *b)
{
	return (struct str){ b->data ? (const char *)b->data : "", b->len };
}

static int ill_valued(const struct component *c, const char *what, struct error *err)
{
	int len = (int)MIN(c->typed_value.len, (size_t)80);
	return error_set(err, ERR_PATH, "'%.*s' is no value here: %s", len, c->typed_value.s, what);
}

/* A new NUL-terminated copy of the value; refuses NUL inside. */
static int value_string(const struct component *c, char **ret, struct error *err)
{
	struct str v = buf_str_of(&c->value);
	if (memchr(v.s, '\0', v.len))
		return ill_valued(c, "it holds a NUL byte", err);
	char *s = strndup(v.s, v.len);
	if (!s)
		return -ENOMEM;
	free(*ret);
	*ret = s;
	return 0;
}

static bool value_is(const struct component *c, const char *word)
{
	return str_eq(buf_str_of(&c->value), str_of(word));
}

static bool parse_count(struct str s, int64_t max, int64_t *ret)
{
	int64_t n = 0;
	for (size_t i = 0; i < s.len; i++) {
		if (s.s[i] < '0' || s.s[i] > '9' || n > max)
			return false;
		n = n * 10 + (s.s[i] - '0');
	}
	if (!s.len || n > max)
		return false;
	*ret = n;
	return true;
}

static int64_t step_unit(struct str s)
{
	static const struct {
		const char *name;
		int64_t ns;
	} units[] = {
		{ "ms", NS_PER_MS }, { "s", NS_PER_S }, { "m", NS_PER_MIN },
		{ "h", NS_PER_HOUR }, { "d", NS_PER_DAY }, { "w", 7 * NS_PER_DAY },
	};
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (str_eq(s, str_of(units[i].name)))
			return units[i].ns;
	return 0;
}

static int set_step(struct selection *sel, const struct component *c, struct error *err)
{
	struct str v = buf_str_of(&c->value);
	size_t digits = 0;
	while (digits < v.len && v.s[digits] >= '0' && v.s[digits] <= '9')
		digits++;
	int64_t n, unit = step_unit((struct str){ v.s + digits, v.len - digits });
	if (!unit || !parse_count((struct str){ v.s, digits }, STEP_MAX / unit, &n) || n * unit < STEP_MIN)
		return ill_valued(c, "a step is a number and ms, s, m, h, d or w, up to 366 days", err);
	sel->options.step = n * unit;
	return 0;
}

static int set_granularity(struct selection *sel, const struct component *c, struct error *err)
{
	static const struct {
		const char *name;
		enum granularity value;
	} names[] = {
		{ "functions", BY_FUNCTION },
		{ "lines", BY_LINE },
		{ "files", BY_FILE },
		{ "addresses", BY_ADDRESS },
	};
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (value_is(c, names[i].name)) {
			sel->options.granularity = names[i].value;
			return 0;
		}
	}
	return ill_valued(c, "a granularity is functions, lines, files or addresses", err);
}

static int set_limit(struct selection *sel, const struct component *c, struct error *err)
{
	int64_t n;
	if (!parse_count(buf_str_of(&c->value), LIMIT_MAX, &n) || n == 0)
		return ill_valued(c, "a limit is a number from 1 to 1000000000", err);
	sel->options.limit = n;
	return 0;
}

static int set_unit(struct selection *sel, const struct component *c, bool above_time, struct error *err)
{
	if (unit_of(buf_str_of(&c->value)).dim != UNIT_OTHER)
		return value_string(c, &sel->options.unit, err);
	if (above_time)
		return 0;
	return ill_valued(c, "a unit is of time (ns, us, ms, s, min, hour), of size (B, kB, MB, GB), or count", err);
}

static int set_flag(const struct component *c, const char *off, const char *on, bool *flag, struct error *err)
{
	char what[80];
	snprintf(what, sizeof what, "it is %s or %s", off, on);
	if (!value_is(c, on) && !value_is(c, off))
		return ill_valued(c, what, err);
	*flag = value_is(c, on);
	return 0;
}

static int set_id(struct selection *sel, const struct component *c, struct error *err)
{
	struct str v = buf_str_of(&c->value);
	struct ulid id;
	if (!ulid_parse(v.s, v.len, &id))
		return ill_valued(c, "an id is 26 letters and digits", err);
	if (sel->has_id && memcmp(&sel->id, &id, sizeof id) != 0)
		sel->to = sel->from = 0;
	sel->has_id = true;
	sel->id = id;
	return 0;
}

static int add_filter(struct selection *sel, const struct component *c, enum filter_kind kind,
                      struct error *err)
{
	struct str v = buf_str_of(&c->value);
	if (memchr(v.s, '\0', v.len))
		return ill_valued(c, "it holds a NUL byte", err);
	return selection_add_filter(sel, kind, v, err);
}

static int check_temporality(const struct component *c, struct error *err)
{
	bool ok = value_is(c, "delta") || value_is(c, "cumulative");
	return ok ? 0 : ill_valued(c, "temporality is delta or cumulative", err);
}

/* @type and @kind become strings of the written profile and parts of names. */
static int check_word(const struct component *c, struct error *err)
{
	struct str v = buf_str_of(&c->value);
	bool ok = v.len <= NAME_LIMIT && !memchr(v.s, '\0', v.len);
	return ok ? 0 : ill_valued(c, "it is a word of at most 200 bytes", err);
}

static int narrow_option(struct selection *sel, const struct component *c, bool above_time, struct error *err)
{
	struct render_options *o = &sel->options;
	switch (c->option) {
	case OPTION_ID:
		return set_id(sel, c, err);
	case OPTION_FOCUS:
		return add_filter(sel, c, FILTER_FOCUS, err);
	case OPTION_IGNORE:
		return add_filter(sel, c, FILTER_IGNORE, err);
	case OPTION_ROOT:
		return add_filter(sel, c, FILTER_ROOT, err);
	case OPTION_CALLERS:
		return add_filter(sel, c, FILTER_CALLERS, err);
	case OPTION_FUNCTION:
		return add_filter(sel, c, FILTER_FUNCTION, err);
	case OPTION_STEP:
		return set_step(sel, c, err);
	case OPTION_GRANULARITY:
		return set_granularity(sel, c, err);
	case OPTION_LIMIT:
		return set_limit(sel, c, err);
	case OPTION_UNIT:
		return set_unit(sel, c, above_time, err);
	case OPTION_SCALE:
		return set_flag(c, "linear", "log", &o->log_scale, err);
	case OPTION_WEIGHT:
		return set_flag(c, "count", "value", &o->weight_value, err);
	case OPTION_NORMALIZE:
		return set_flag(c, "0", "1", &o->normalize, err);
	case OPTION_EXEMPLARS:
		return set_flag(c, "0", "1", &o->exemplars, err);
	case OPTION_SORT:
		return set_flag(c, "flat", "cum", &o->sort_cum, err);
	case OPTION_TYPE:
	case OPTION_KIND:
		return check_word(c, err);
	case OPTION_TEMPORALITY:
		return check_temporality(c, err);
	}
	return 0;
}

static void narrow_time(struct selection *sel, struct span span)
{
	struct span s = times_common((struct span){ sel->from, sel->to }, span);
	sel->from = s.from;
	sel->to = s.to;
	sel->has_time = true;
}

int narrow(struct selection *sel, const struct component *c, bool above_time, struct error *err)
{
	switch (c->kind) {
	case COMPONENT_TIME:
		narrow_time(sel, c->span);
		return 0;
	case COMPONENT_ALL:
		sel->has_time = true;
		return 0;
	case COMPONENT_MATCHER:
		return selection_add_matcher(sel, buf_str_of(&c->key), c->op, buf_str_of(&c->value), err);
	case COMPONENT_OPTION:
		return narrow_option(sel, c, above_time, err);
	default:
		return ERR_PATH_ABSENT;
	}
}

bool selection_fixes(const struct selection *sel, struct str label)
{
	for (size_t i = 0; i < sel->n_matchers; i++) {
		const struct matcher *m = &sel->matchers[i];
		if (m->op == MATCH_EQ && str_eq((struct str){ m->key, m->key_len }, label))
			return true;
	}
	return false;
}

void selection_unfix(struct selection *sel, struct str label)
{
	size_t n = 0;
	for (size_t i = 0; i < sel->n_matchers; i++) {
		struct matcher *m = &sel->matchers[i];
		if (m->op == MATCH_EQ && str_eq((struct str){ m->key, m->key_len }, label))
			matcher_done(m);
		else
			sel->matchers[n++] = *m;
	}
	sel->n_matchers = n;
}

bool selection_has_filter(const struct selection *sel, enum filter_kind kind)
{
	for (size_t i = 0; i < sel->n_filters; i++)
		if (sel->filters[i].kind == kind)
			return true;
	return false;
}

int narrow_baseline(struct selection *sel, const struct component *c, struct error *err)
{
	struct selection *base = sel->baseline;
	if (c->kind == COMPONENT_MATCHER)
		selection_unfix(base, buf_str_of(&c->key));
	if (c->kind == COMPONENT_TIME || c->kind == COMPONENT_ALL) {
		base->from = TIME_MIN;
		base->to = TIME_MAX;
	}
	return narrow(base, c, false, err);
}

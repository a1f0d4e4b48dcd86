/* SPDX-License-Identifier: MIT */
#include "grammar.h"

#include <string.h>

#include "names.h"

void component_done(struct component *c)
{
	buf_done(&c->key);
	buf_done(&c->value);
}

bool grammar_never(const char *text)
{
	static const char *const names[] = {
		"autorun.inf",  "desktop.ini", "Thumbs.db", "Network Trash Folder", "System Volume Information",
		"$RECYCLE.BIN", "4913",
	};
	if (*text == '.' || !*text)
		return true;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcasecmp(text, names[i]))
			return true;
	return false;
}

static int decode(struct buf *b, struct str s, bool *ret_cut)
{
	pct_decode(b, s);
	*ret_cut = name_is_cut(s);
	return buf_err(b);
}

static bool starts(struct str s, const char *prefix)
{
	size_t n = strlen(prefix);
	return s.len >= n && !memcmp(s.s, prefix, n);
}

static struct str behind(struct str s, size_t n)
{
	return (struct str){ s.s + n, s.len - n };
}

/* ---- options ---- */

static const struct {
	const char *name;
	enum option option;
} option_names[] = {
	{ "id", OPTION_ID },
	{ "focus", OPTION_FOCUS },
	{ "ignore", OPTION_IGNORE },
	{ "root", OPTION_ROOT },
	{ "callers", OPTION_CALLERS },
	{ "function", OPTION_FUNCTION },
	{ "step", OPTION_STEP },
	{ "granularity", OPTION_GRANULARITY },
	{ "limit", OPTION_LIMIT },
	{ "unit", OPTION_UNIT },
	{ "scale", OPTION_SCALE },
	{ "weight", OPTION_WEIGHT },
	{ "normalize", OPTION_NORMALIZE },
	{ "exemplars", OPTION_EXEMPLARS },
	{ "sort", OPTION_SORT },
	{ "type", OPTION_TYPE },
	{ "kind", OPTION_KIND },
	{ "temporality", OPTION_TEMPORALITY },
};

static int read_option(struct str s, struct component *c, struct error *err)
{
	const char *eq = memchr(s.s, '=', s.len);
	struct str name = { s.s + 1, (eq ? (size_t)(eq - s.s) : s.len) - 1 };
	for (size_t i = 0; i < ARRAY_SIZE(option_names); i++) {
		if (!str_eq(name, str_of(option_names[i].name)))
			continue;
		if (!eq || eq + 1 == s.s + s.len)
			return error_set(err, ERR_PATH, "@%s needs a value: @%s=...", option_names[i].name,
			                 option_names[i].name);
		c->kind = COMPONENT_OPTION;
		c->option = option_names[i].option;
		c->typed_value = behind(s, (size_t)(eq + 1 - s.s));
		return decode(&c->value, c->typed_value, &c->value_cut);
	}
	return error_set(err, ERR_PATH, "there is no option @%.*s", (int)MIN(name.len, (size_t)80), name.s);
}

/* ---- matchers ---- */

/* The first operator in s: where it stands and how long it is; false where there is none. */
static bool find_operator(struct str s, size_t *ret_at, size_t *ret_len, enum match_op *ret_op)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.s[i], next = i + 1 < s.len ? s.s[i + 1] : '\0';
		bool two = (c == '!' && (next == '=' || next == '~')) || (c == '=' && next == '~');
		if (!two && c != '=')
			continue;
		*ret_at = i;
		*ret_len = two ? 2 : 1;
		if (c == '!')
			*ret_op = next == '=' ? MATCH_NE : MATCH_NRE;
		else
			*ret_op = two ? MATCH_RE : MATCH_EQ;
		return true;
	}
	return false;
}

/* 1 where s is a matcher, 0 where it is none. */
static int read_matcher(struct str s, struct component *c, struct error *err)
{
	size_t at, len;
	if (!find_operator(s, &at, &len, &c->op))
		return 0;
	if (!at)
		return error_set(err, ERR_PATH, "a matcher needs the label's name: LABEL=VALUE");
	c->kind = COMPONENT_MATCHER;
	c->typed_key = (struct str){ s.s, at };
	c->typed_value = behind(s, at + len);
	int e = decode(&c->key, c->typed_key, &c->key_cut);
	if (!e)
		e = decode(&c->value, c->typed_value, &c->value_cut);
	if (e)
		return e;
	if (c->op == MATCH_RE || c->op == MATCH_NRE)
		c->value_cut = false;
	return 1;
}

/* ---- times and words ---- */

static int out_of_range(struct str s, struct error *err)
{
	return error_set(err, ERR_PATH,
	                 "'%.*s' is out of range: times are YYYY[-MM[-DD[THH[MM[SS]]]]], A--B with A before B, "
	                 "or last-N and one of s, m, h, d, w",
	                 (int)MIN(s.len, (size_t)80), s.s);
}

/* 1 where s is a time, 0 where it is none. */
static int read_time(struct str s, struct component *c, struct error *err)
{
	c->kind = COMPONENT_TIME;
	enum time_verdict v = times_absolute(s, &c->span);
	if (v == TIMES_NOT)
		v = times_interval(s, &c->span);
	if (v == TIMES_NOT) {
		c->kind = COMPONENT_OF_DAY;
		v = times_of_day(s, &c->span);
	}
	if (v == TIMES_NOT) {
		c->kind = COMPONENT_LAST;
		v = times_last(s, &c->length);
	}
	return v == TIMES_BAD ? out_of_range(s, err) : v == TIMES_OK;
}

static bool read_word(struct str s, struct component *c)
{
	static const struct {
		const char *text;
		enum component_kind kind;
	} words[] = {
		{ "all", COMPONENT_ALL },
		{ "today", COMPONENT_TODAY },
		{ "yesterday", COMPONENT_YESTERDAY },
		{ "latest", COMPONENT_LATEST },
		{ "vs", COMPONENT_VS },
		{ "profiles", COMPONENT_PROFILES },
		{ "functions", COMPONENT_FUNCTIONS },
	};
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (str_eq(s, str_of(words[i].text))) {
			c->kind = words[i].kind;
			return true;
		}
	}
	c->rendering = rendering_find(s.s);
	if (c->rendering)
		c->kind = COMPONENT_RENDERING;
	return c->rendering != NULL;
}

static int read_plain(struct str s, struct component *c, struct error *err)
{
	int r = read_matcher(s, c, err);
	if (r)
		return MIN(r, 0);
	r = read_time(s, c, err);
	if (r)
		return MIN(r, 0);
	if (!read_word(s, c))
		c->kind = COMPONENT_NAME;
	return 0;
}

static int read_component(struct str s, struct component *c, struct error *err)
{
	if (grammar_never(s.s)) {
		c->kind = COMPONENT_NEVER;
		return 0;
	}
	if (*s.s == '@')
		return read_option(s, c, err);
	if (starts(s, "by-") && s.len > 3) {
		c->kind = COMPONENT_BY;
		c->typed_key = behind(s, 3);
		return decode(&c->key, c->typed_key, &c->key_cut);
	}
	return read_plain(s, c, err);
}

int component_read(const char *text, struct component *ret, struct error *err)
{
	_component_ struct component c = { .key = BUF_INIT(COMPONENT_MAX), .value = BUF_INIT(COMPONENT_MAX) };
	struct str s = str_of(text);
	if (s.len > NAME_TYPED_MAX)
		return error_set(err, -ENAMETOOLONG, "a name of %zu bytes is too long", s.len);
	int e = read_component(s, &c, err);
	if (e)
		return e;
	*ret = c;
	c.key = c.value = (struct buf){ 0 };
	return 0;
}

bool component_reserved(const char *text)
{
	_component_ struct component c = { 0 };
	return component_read(text, &c, NULL) < 0 || c.kind != COMPONENT_NAME;
}

bool component_takes_files(const struct component *c)
{
	if (c->kind == COMPONENT_MATCHER)
		return c->op == MATCH_EQ;
	return c->kind == COMPONENT_OPTION && (c->option == OPTION_TYPE || c->option == OPTION_KIND ||
	                                       c->option == OPTION_UNIT || c->option == OPTION_TEMPORALITY);
}

const char *component_word(enum component_kind kind)
{
	switch (kind) {
	case COMPONENT_TIME:
	case COMPONENT_ALL:
	case COMPONENT_OF_DAY:
	case COMPONENT_LAST:
	case COMPONENT_TODAY:
	case COMPONENT_YESTERDAY:
	case COMPONENT_LATEST:
		return "a time";
	case COMPONENT_MATCHER:
		return "a matcher";
	case COMPONENT_OPTION:
		return "an option";
	case COMPONENT_BY:
		return "a list of values";
	default:
		return "a word of the paths";
	}
}

/* ---- where a component leads ---- */

static bool option_is_for_writing(enum option o)
{
	return o == OPTION_TYPE || o == OPTION_KIND || o == OPTION_TEMPORALITY;
}

static int step_service(const struct component *c, struct step_to *ret)
{
	switch (c->kind) {
	case COMPONENT_TIME:
	case COMPONENT_ALL:
		*ret = (struct step_to){ STEP_DIR, PLACE_TIME };
		break;
	case COMPONENT_LAST:
	case COMPONENT_TODAY:
	case COMPONENT_YESTERDAY:
	case COMPONENT_LATEST:
		ret->kind = STEP_LINK;
		break;
	case COMPONENT_MATCHER:
	case COMPONENT_OPTION:
		*ret = (struct step_to){ STEP_DIR, PLACE_SERVICE };
		break;
	default:
		break;
	}
	return 0;
}

/* Below a time, with a type or without. */
static int step_time(enum place at, const struct component *c, struct step_to *ret, struct error *err)
{
	switch (c->kind) {
	case COMPONENT_OPTION:
		if (option_is_for_writing(c->option))
			return error_set(err, ERR_PATH,
			                 "@type, @kind and @temporality say how files are taken: above a time");
		/* fallthrough */
	case COMPONENT_TIME:
	case COMPONENT_ALL:
	case COMPONENT_MATCHER:
		*ret = (struct step_to){ STEP_DIR, at };
		break;
	case COMPONENT_OF_DAY:
	case COMPONENT_LAST:
	case COMPONENT_TODAY:
	case COMPONENT_YESTERDAY:
		ret->kind = STEP_LINK;
		break;
	case COMPONENT_BY:
		*ret = (struct step_to){ STEP_DIR, PLACE_BY };
		break;
	case COMPONENT_PROFILES:
		*ret = (struct step_to){ STEP_DIR, PLACE_PROFILES };
		break;
	case COMPONENT_RENDERING:
		ret->kind = STEP_FILE;
		break;
	case COMPONENT_VS:
		if (at == PLACE_TYPE)
			*ret = (struct step_to){ STEP_DIR, PLACE_VS };
		break;
	case COMPONENT_FUNCTIONS:
		if (at == PLACE_TYPE)
			*ret = (struct step_to){ STEP_DIR, PLACE_FUNCTIONS };
		break;
	case COMPONENT_NAME:
		if (at == PLACE_TIME)
			*ret = (struct step_to){ STEP_NAME, PLACE_TYPE };
		break;
	default:
		break;
	}
	return 0;
}

static int step_base(enum place at, const struct component *c, struct step_to *ret, struct error *err)
{
	switch (c->kind) {
	case COMPONENT_MATCHER:
		if (c->op != MATCH_EQ)
			return error_set(err, ERR_PATH, "below vs only times and LABEL=VALUE stand");
		/* fallthrough */
	case COMPONENT_TIME:
	case COMPONENT_ALL:
		*ret = (struct step_to){ STEP_DIR, PLACE_BASE };
		break;
	case COMPONENT_OPTION:
	case COMPONENT_VS:
		return error_set(err, ERR_PATH,
		                 "below vs only times and LABEL=VALUE stand: what is above holds for both sides");
	case COMPONENT_OF_DAY:
	case COMPONENT_LAST:
	case COMPONENT_TODAY:
	case COMPONENT_YESTERDAY:
	case COMPONENT_LATEST:
		ret->kind = STEP_LINK;
		break;
	case COMPONENT_BY:
		*ret = (struct step_to){ STEP_DIR, PLACE_BY };
		break;
	case COMPONENT_RENDERING:
		if (at == PLACE_BASE)
			ret->kind = STEP_FILE;
		break;
	default:
		break;
	}
	return 0;
}

int grammar_step(enum place at, const struct component *c, struct step_to *ret, struct error *err)
{
	struct step_to to = { STEP_ABSENT, at };
	int e = 0;
	if (at == PLACE_SERVICE)
		e = step_service(c, &to);
	else if (at == PLACE_TIME || at == PLACE_TYPE)
		e = step_time(at, c, &to, err);
	else if (at == PLACE_VS || at == PLACE_BASE)
		e = step_base(at, c, &to, err);
	if (!e)
		*ret = to;
	return e;
}

bool grammar_renders(enum place at, const struct selection *sel, const struct rendering *r)
{
	switch (at) {
	case PLACE_TIME:
		return r->where & RENDER_NO_TYPE;
	case PLACE_TYPE:
		return (r->where & RENDER_TYPE) || ((r->where & RENDER_FUNCTION) && selection_function(sel));
	case PLACE_BASE:
		return r->where & RENDER_VS;
	case PLACE_BY:
		return sel->type && (r->where & RENDER_BY) && !sel->baseline;
	default:
		return false;
	}
}

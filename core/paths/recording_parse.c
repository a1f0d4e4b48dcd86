/* SPDX-License-Identifier: MIT */

/* Recording rules from JSON, judged without a store. */

#include <string.h>

#include "../base/arena.h"
#include "../wire/json.h"
#include "narrow.h"
#include "recording.h"

#define NAME_MAX_BYTES 200
#define SELECT_MAX_BYTES 4096
#define STEP_DEFAULT NS_PER_MIN

struct parser {
	const struct json *json;
	struct recordings *to;
	uint32_t rule; /* the object that is read */
	struct error *err;
};

/* At a value, or where that has no place, at its rule. */
static int bad(const struct parser *p, uint32_t at, const char *fmt, ...) _printf_(3, 4);

static int bad(const struct parser *p, uint32_t at, const char *fmt, ...)
{
	char why[400];
	size_t offset = 0, line, column;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	if (!json_begins(p->json, at, &offset))
		json_begins(p->json, p->rule, &offset);
	json_place(p->json->in, offset, &line, &column);
	return error_set(p->err, ERR_PATH, "rules, line %zu, column %zu: %s", line, column, why);
}

/* A string that is neither empty nor holds a NUL; *ret stays where there is none. */
static int text_field(const struct parser *p, const char *name, const char **ret)
{
	uint32_t v = json_get(p->json, p->rule, name);
	if (!v)
		return 0;
	struct str s = json_str(p->json, v);
	if (!s.len || memchr(s.s, '\0', s.len))
		return bad(p, v, "\"%s\" is not a text", name);
	*ret = arena_strndup(&p->to->arena, s.s, s.len);
	return *ret ? 0 : -ENOMEM;
}

static bool has_part(const struct buf *list, struct str part)
{
	struct str rest = { list->len ? (const char *)list->data : "", list->len };
	while (rest.len)
		if (str_eq(by_next(&rest), part))
			return true;
	return false;
}

static int by_label(const struct parser *p, uint32_t at, struct buf *list)
{
	struct str s = json_str(p->json, at);
	if (!s.len || memchr(s.s, '\0', s.len) || memchr(s.s, BY_BETWEEN, s.len))
		return bad(p, at, "\"by\" is a label, or an array of labels");
	if (has_part(list, s))
		return bad(p, at, "\"by\" has '%.*s' twice", (int)MIN(s.len, (size_t)100), s.s);
	if (list->len)
		buf_putc(list, BY_BETWEEN);
	buf_put(list, s.s, s.len);
	return 0;
}

static int by_field(const struct parser *p, const char **ret)
{
	_buf_ struct buf list = BUF_INIT(SELECT_MAX_BYTES);
	uint32_t v = json_get(p->json, p->rule, "by");
	int e = 0;
	if (!v)
		return 0;
	if (json_kind(p->json, v) != JSON_ARRAY)
		e = by_label(p, v, &list);
	else if (!json_count(p->json, v) || json_count(p->json, v) > RULE_BY_MAX)
		e = bad(p, v, "\"by\" has 1 to %d labels", RULE_BY_MAX);
	else
		for (uint32_t i = json_first(p->json, v); i && !e; i = json_next(p->json, v, i))
			e = by_label(p, i, &list);
	if (e || buf_err(&list))
		return e ? e : bad(p, v, "\"by\" is too long");
	*ret = arena_strndup(&p->to->arena, (const char *)list.data, list.len);
	return *ret ? 0 : -ENOMEM;
}

static bool is_metric_name(const char *s)
{
	for (size_t i = 0; s[i]; i++) {
		char lower = (char)(s[i] | 0x20);
		bool letter = (lower >= 'a' && lower <= 'z') || s[i] == '_' || s[i] == ':';
		if (!letter && (!i || s[i] < '0' || s[i] > '9'))
			return false;
	}
	return strlen(s) <= NAME_MAX_BYTES;
}

static int check_name(const struct parser *p, const struct recording *r)
{
	uint32_t at = json_get(p->json, p->rule, "name");
	if (!r->name)
		return bad(p, p->rule, "\"name\" is missing");
	if (!is_metric_name(r->name))
		return bad(p, at, "\"name\" is no name of a metric: letters, digits, _ and :, at most %d",
		           NAME_MAX_BYTES);
	for (size_t i = 0; i < p->to->n; i++)
		if (!strcmp(p->to->v[i].name, r->name))
			return bad(p, at, "another rule has the name \"%s\"", r->name);
	return 0;
}

/* One component below the service. */
static int check_component(struct selection *sel, const char *text, unsigned *types, struct error *err)
{
	_component_ struct component c = { 0 };
	struct step_to step;
	int e = component_read(text, &c, err);
	if (!e)
		e = grammar_step(*types ? PLACE_TYPE : PLACE_TIME, &c, &step, err);
	if (e)
		return e;
	if (c.kind == COMPONENT_NAME)
		return (*types)++ ? error_set(err, ERR_PATH, "'%.100s' is a second type", text) : 0;
	if (c.kind != COMPONENT_MATCHER && c.kind != COMPONENT_OPTION)
		return error_set(err, ERR_PATH, "'%.100s' reads as %s; a rule takes SERVICE/TYPE, matchers and options",
		                 text, component_word(c.kind));
	return narrow(sel, &c, false, err);
}

static int check_components(char *text, int64_t *ret_step, struct error *err)
{
	_cleanup_(selection_freep) struct selection *sel = selection_new();
	unsigned types = 0;
	char *rest = NULL, *service = strtok_r(text, "/", &rest);
	if (!sel)
		return -ENOMEM;
	if (!service || *service == '.')
		return error_set(err, ERR_PATH, "a selection is SERVICE/TYPE, as in a path");
	int e = 0;
	for (char *c; !e && (c = strtok_r(NULL, "/", &rest));)
		e = check_component(sel, c, &types, err);
	if (!e && !types)
		e = error_set(err, ERR_PATH, "a selection is SERVICE/TYPE, and this has no type");
	if (!e)
		*ret_step = sel->options.step ? sel->options.step : STEP_DEFAULT;
	return e;
}

static int check_select(const struct parser *p, struct recording *r)
{
	struct error why = { 0 };
	char text[SELECT_MAX_BYTES];
	if (!r->select)
		return bad(p, p->rule, "\"select\" is missing");
	uint32_t at = json_get(p->json, p->rule, "select");
	if (strlen(r->select) >= sizeof text)
		return bad(p, at, "\"select\" is longer than %d bytes", SELECT_MAX_BYTES - 1);
	strcpy(text, r->select);
	int e = check_components(text, &r->step, &why);
	return e && e != -ENOMEM ? bad(p, at, "%s", error_text(&why, e)) : e;
}

static int function_field(const struct parser *p, struct recording *r)
{
	_cleanup_(regex_freep) struct regex *re = NULL;
	struct error why = { 0 };
	const char *regex = NULL;
	uint32_t self = json_get(p->json, p->rule, "self");
	enum json_kind kind = json_kind(p->json, self);
	int e = text_field(p, "function", &r->function);
	if (!e)
		e = text_field(p, "function_regex", &regex);
	if (e)
		return e;
	if (regex && r->function)
		return bad(p, p->rule, "\"function\" and \"function_regex\" exclude each other");
	if (self && kind != JSON_TRUE && kind != JSON_FALSE)
		return bad(p, self, "\"self\" is true or false");
	r->self = kind == JSON_TRUE;
	r->regex = regex;
	r->function = regex ? regex : r->function;
	if (r->self && !r->function)
		return bad(p, self, "\"self\" is of a function, and the rule names none");
	e = regex ? regex_new(str_of(regex), false, &re, &why) : 0;
	return e == ERR_PATH ? bad(p, json_get(p->json, p->rule, "function_regex"), "%s", why.text) : e;
}

/* A misspelt field would be a rule that does something else. */
static int known_fields(const struct parser *p)
{
	static const char *const fields[] = { "name", "select", "by", "function", "function_regex", "self" };
	if (json_kind(p->json, p->rule) != JSON_OBJECT)
		return bad(p, p->rule, "a rule is an object");
	for (uint32_t k = json_first_key(p->json, p->rule); k; k = json_next_key(p->json, p->rule, k)) {
		bool known = false;
		for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
			known |= json_is(p->json, k, fields[i]);
		struct str name = json_str(p->json, k);
		if (!known)
			return bad(p, k, "unknown field \"%.*s\"", (int)MIN(name.len, (size_t)64), name.s);
	}
	return 0;
}

static int parse_rule(const struct parser *p)
{
	struct recording r = { 0 };
	int e = known_fields(p);
	if (!e)
		e = text_field(p, "name", &r.name);
	if (!e)
		e = text_field(p, "select", &r.select);
	if (!e)
		e = by_field(p, &r.by);
	if (!e)
		e = function_field(p, &r);
	if (!e)
		e = check_name(p, &r);
	if (!e)
		e = check_select(p, &r);
	if (!e)
		p->to->v[p->to->n++] = r;
	return e;
}

static int parse_rules(struct parser *p)
{
	uint32_t list = json_root(p->json);
	size_t n = json_count(p->json, list);
	p->rule = list;
	if (json_kind(p->json, list) != JSON_ARRAY)
		return bad(p, list, "rules are an array of objects");
	if (n > RECORDINGS_MAX)
		return bad(p, list, "%zu rules are more than %d", n, RECORDINGS_MAX);
	p->to->v = arena_calloc(&p->to->arena, n + 1, sizeof *p->to->v);
	int e = p->to->v ? 0 : -ENOMEM;
	for (uint32_t v = json_first(p->json, list); v && !e; v = json_next(p->json, list, v)) {
		p->rule = v;
		e = parse_rule(p);
	}
	return e;
}

static bool is_blank(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (!memchr(" \t\r\n", s.data[i], 4))
			return false;
	return true;
}

int recordings_parse(struct slice text, struct recordings *ret, struct error *err)
{
	_arena_ struct arena scratch = ARENA_INIT(RECORDING_MAX_BYTES);
	_recordings_ struct recordings r = { .arena = ARENA_INIT(4 * RECORDING_MAX_BYTES) };
	_json_ struct json json = { 0 };
	struct json_limits limits = { .max_bytes = RECORDING_MAX_BYTES };
	struct parser p = { .json = &json, .to = &r, .err = err };
	struct error why = { 0 };
	size_t line, column;
	int e = is_blank(text) ? 0 : json_read(&json, text, &scratch, &limits, &why);
	if (e == -ENOMEM)
		return e;
	if (e) {
		json_place(text, json.failed_at, &line, &column);
		return error_set(err, ERR_PATH, "rules, line %zu, column %zu: %s", line, column, why.text);
	}
	e = is_blank(text) ? 0 : parse_rules(&p);
	if (!e) {
		*ret = r;
		r = (struct recordings){ 0 };
	}
	return e;
}

void recordings_done(struct recordings *r)
{
	arena_done(&r->arena);
	*r = (struct recordings){ 0 };
}

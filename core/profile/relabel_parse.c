/* SPDX-License-Identifier: MIT */

/* Relabelling rules from JSON. Names and defaults are those of Prometheus' relabel_config. */

#include <string.h>

#include "../wire/json.h"
#include "relabel_rule.h"

#define RULES_MAX_BYTES ((size_t)1 << 20)
#define SOURCES_MAX 64

enum needs { NEEDS_NOTHING = 0, NEEDS_SOURCE = 1, NEEDS_TARGET = 2 };

static const struct {
	const char *name;
	enum relabel_action action;
	int needs;
} actions[] = {
	{ "replace", RELABEL_REPLACE, NEEDS_TARGET },
	{ "keep", RELABEL_KEEP, NEEDS_SOURCE },
	{ "drop", RELABEL_DROP, NEEDS_SOURCE },
	{ "keepequal", RELABEL_KEEPEQUAL, NEEDS_SOURCE | NEEDS_TARGET },
	{ "dropequal", RELABEL_DROPEQUAL, NEEDS_SOURCE | NEEDS_TARGET },
	{ "lowercase", RELABEL_LOWERCASE, NEEDS_SOURCE | NEEDS_TARGET },
	{ "uppercase", RELABEL_UPPERCASE, NEEDS_SOURCE | NEEDS_TARGET },
	{ "labelmap", RELABEL_LABELMAP, NEEDS_NOTHING },
	{ "labeldrop", RELABEL_LABELDROP, NEEDS_NOTHING },
	{ "labelkeep", RELABEL_LABELKEEP, NEEDS_NOTHING },
	{ "hashmod", RELABEL_HASHMOD, NEEDS_SOURCE | NEEDS_TARGET },
};

static const char *const fields[] = {
	"action", "source_labels", "separator", "regex", "target_label", "replacement", "modulus",
};

struct parser {
	const struct json *json;
	struct arena *arena;
	size_t number; /* of the rule, from 1 */
	struct error *err;
};

static int bad(const struct parser *p, const char *fmt, ...) _printf_(2, 3);

static int bad(const struct parser *p, const char *fmt, ...)
{
	char why[240];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	return error_set(p->err, ERR_PATH, "relabelling rule %zu: %s", p->number, why);
}

static int copy(const struct parser *p, struct str s, struct str *ret)
{
	char *text = arena_strndup(p->arena, s.s, s.len);
	if (!text)
		return -ENOMEM;
	*ret = (struct str){ text, s.len };
	return 0;
}

static int text_field(const struct parser *p, uint32_t rule, const char *name, struct str otherwise, struct str *ret)
{
	uint32_t v = json_get(p->json, rule, name);
	enum json_kind kind = json_kind(p->json, v);
	if (kind != JSON_NONE && kind != JSON_STRING)
		return bad(p, "%s is not a string", name);
	return copy(p, v ? json_str(p->json, v) : otherwise, ret);
}

static int source_field(const struct parser *p, uint32_t rule, struct relabel_rule *to)
{
	uint32_t list = json_get(p->json, rule, "source_labels");
	if (!list)
		return 0;
	size_t n = json_count(p->json, list);
	if (json_kind(p->json, list) != JSON_ARRAY || n > SOURCES_MAX)
		return bad(p, "source_labels is not a list of at most %d names", SOURCES_MAX);
	to->source = arena_calloc(p->arena, n + 1, sizeof *to->source);
	if (!to->source)
		return -ENOMEM;
	for (uint32_t v = json_first(p->json, list); v; v = json_next(p->json, list, v)) {
		if (json_kind(p->json, v) != JSON_STRING)
			return bad(p, "source_labels holds something that is no string");
		int e = copy(p, json_str(p->json, v), &to->source[to->n_source++]);
		if (e)
			return e;
	}
	return 0;
}

static int action_field(const struct parser *p, uint32_t rule, struct relabel_rule *to, int *ret_needs)
{
	uint32_t v = json_get(p->json, rule, "action");
	struct str name = v ? json_str(p->json, v) : STR("replace");
	for (size_t i = 0; i < ARRAY_SIZE(actions); i++) {
		if (!str_eq(name, str_of(actions[i].name)))
			continue;
		to->action = actions[i].action;
		*ret_needs = actions[i].needs;
		return 0;
	}
	return bad(p, "unknown action \"%.*s\"", (int)MIN(name.len, (size_t)64), name.s);
}

static int modulus_field(const struct parser *p, uint32_t rule, struct relabel_rule *to)
{
	int64_t modulus = json_int(p->json, json_get(p->json, rule, "modulus"), 0);
	uint64_t probe;
	if (to->action != RELABEL_HASHMOD)
		return 0;
	if (modulus <= 0)
		return bad(p, "modulus is not a whole number above 0");
	if (hashmod(STR(""), 1, &probe))
		return bad(p, "hashmod is by MD5, which libcrypto does not have here");
	to->modulus = (uint64_t)modulus;
	return 0;
}

static bool is_field(const struct json *j, uint32_t key)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (json_is(j, key, fields[i]))
			return true;
	return false;
}

/* A misspelt field would be a rule that does something else. */
static int known_fields(const struct parser *p, uint32_t rule)
{
	if (json_kind(p->json, rule) != JSON_OBJECT)
		return bad(p, "is not an object");
	for (uint32_t k = json_first_key(p->json, rule); k; k = json_next_key(p->json, rule, k)) {
		struct str name = json_str(p->json, k);
		if (!is_field(p->json, k))
			return bad(p, "unknown field \"%.*s\"", (int)MIN(name.len, (size_t)64), name.s);
	}
	return 0;
}

static int check(const struct parser *p, const struct relabel_rule *r, int needs)
{
	if (needs & NEEDS_SOURCE && !r->n_source)
		return bad(p, "source_labels is missing");
	if (needs & NEEDS_TARGET && !r->target.len)
		return bad(p, "target_label is missing");
	return 0;
}

static int parse_rule(const struct parser *p, uint32_t rule, struct relabel_rule *to)
{
	struct str regex;
	struct error why = { 0 };
	int needs = 0;
	int e = known_fields(p, rule);
	if (!e)
		e = action_field(p, rule, to, &needs);
	if (!e)
		e = source_field(p, rule, to);
	if (!e)
		e = modulus_field(p, rule, to);
	if (!e)
		e = text_field(p, rule, "separator", STR(";"), &to->separator);
	if (!e)
		e = text_field(p, rule, "target_label", STR(""), &to->target);
	if (!e)
		e = text_field(p, rule, "replacement", STR("$1"), &to->replacement);
	if (!e)
		e = text_field(p, rule, "regex", STR("(.*)"), &regex);
	if (!e)
		e = check(p, to, needs);
	if (e)
		return e;
	e = regex_new(regex, true, &to->regex, &why);
	return e == ERR_PATH ? bad(p, "%s", why.text) : e;
}

/* Where the text goes wrong, for people. */
static int bad_json(const struct json *j, const struct error *why, struct error *err)
{
	size_t line, column;
	json_place(j->in, j->failed_at, &line, &column);
	return error_set(err, ERR_PATH, "relabelling rules, line %zu, column %zu: %s", line, column, why->text);
}

static int parse_rules(struct parser *p, struct relabel *r)
{
	uint32_t list = json_root(p->json);
	size_t n = json_count(p->json, list);
	if (json_kind(p->json, list) != JSON_ARRAY)
		return error_set(p->err, ERR_PATH, "relabelling rules are a JSON array of objects");
	if (n > RELABEL_RULES_MAX)
		return error_set(p->err, ERR_PATH, "%zu relabelling rules are more than %d", n, RELABEL_RULES_MAX);
	r->rules = arena_calloc(&r->arena, n + 1, sizeof *r->rules);
	int e = r->rules ? 0 : -ENOMEM;
	for (uint32_t v = json_first(p->json, list); v && !e; v = json_next(p->json, list, v)) {
		p->number++;
		e = parse_rule(p, v, &r->rules[r->n++]);
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

int relabel_parse(struct slice text, struct relabel **ret, struct error *err)
{
	_cleanup_(relabel_freep) struct relabel *r = calloc(1, sizeof *r);
	_arena_ struct arena scratch = ARENA_INIT(RULES_MAX_BYTES);
	_json_ struct json json = { 0 };
	struct json_limits limits = { .max_bytes = RULES_MAX_BYTES };
	struct error why = { 0 };
	if (!r)
		return -ENOMEM;
	r->arena = ARENA_INIT(4 * RULES_MAX_BYTES);
	int e = 0;
	if (!is_blank(text)) {
		struct parser p = { .json = &json, .arena = &r->arena, .err = err };
		e = json_read(&json, text, &scratch, &limits, &why);
		if (e && e != -ENOMEM)
			return bad_json(&json, &why, err);
		if (!e)
			e = parse_rules(&p, r);
	}
	if (!e)
		*ret = TAKE_PTR(r);
	return e;
}

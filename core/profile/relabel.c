/* SPDX-License-Identifier: MIT */

/*
 * Rules run in order over one list of labels, which is kept sorted by key, so that the outcome does not depend on the
 * order in which labels came. Texts that rules make lie in the outcome's arena; all others stay where they were.
 */

#include "relabel.h"

#include <string.h>

#include "relabel_rule.h"

#define LABELS_MAX_BYTES ((size_t)1 << 20)

struct labels {
	struct arena *arena;
	VEC(struct label) v; /* sorted by key; no value is empty */
	bool changed;
};

void relabel_free(struct relabel *r)
{
	if (!r)
		return;
	for (size_t i = 0; i < r->n; i++)
		regex_free(r->rules[i].regex);
	arena_done(&r->arena);
	free(r);
}

size_t relabel_count(const struct relabel *r)
{
	return r ? r->n : 0;
}

void relabelled_done(struct relabelled *r)
{
	arena_done(&r->arena);
	*r = (struct relabelled){ 0 };
}

/* ---- the list ---- */

/* Where the key is, or would be. */
static size_t find(const struct labels *l, struct str key, bool *ret_found)
{
	size_t i = 0;
	while (i < l->v.n && str_cmp(l->v.v[i].key, key) < 0)
		i++;
	*ret_found = i < l->v.n && str_eq(l->v.v[i].key, key);
	return i;
}

static struct str get(const struct labels *l, struct str key)
{
	bool found;
	size_t i = find(l, key, &found);
	return found ? l->v.v[i].value : STR("");
}

static void remove_at(struct labels *l, size_t i)
{
	memmove(l->v.v + i, l->v.v + i + 1, (l->v.n - i - 1) * sizeof *l->v.v);
	l->v.n--;
	l->changed = true;
}

static bool is_service(struct str key)
{
	return str_eq(key, STR(RELABEL_SERVICE));
}

/* An empty value takes the label away; the service stays. */
static int set(struct labels *l, struct str key, struct str value)
{
	bool found;
	size_t i = find(l, key, &found);
	if (!value.len) {
		if (found && !is_service(key))
			remove_at(l, i);
		return 0;
	}
	if (found) {
		l->changed |= !str_eq(l->v.v[i].value, value);
		l->v.v[i].value = value;
		return 0;
	}
	if (!VEC_PUSH(&l->v))
		return -ENOMEM;
	memmove(l->v.v + i + 1, l->v.v + i, (l->v.n - 1 - i) * sizeof *l->v.v);
	l->v.v[i] = (struct label){ key, value };
	l->changed = true;
	return 0;
}

/* ---- texts ---- */

/* A text that outlives the buffer. */
static int keep(struct labels *l, const struct buf *b, struct str *ret)
{
	if (buf_err(b))
		return buf_err(b) == -ENOMEM ? -ENOMEM : ERR_LIMIT;
	char *s = arena_strndup(l->arena, b->len ? (const char *)b->data : "", b->len);
	if (!s)
		return l->arena->used + b->len > LABELS_MAX_BYTES / 2 ? ERR_LIMIT : -ENOMEM;
	*ret = (struct str){ s, b->len };
	return 0;
}

/* The values of the source labels, joined. */
static void join(const struct labels *l, const struct relabel_rule *rule, struct buf *out)
{
	for (size_t i = 0; i < rule->n_source; i++) {
		struct str value = get(l, rule->source[i]);
		if (i)
			buf_put(out, rule->separator.s, rule->separator.len);
		buf_put(out, value.s, value.len);
	}
}

static bool is_word(char c)
{
	return c == '_' || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

/* The group of a name or number; -1 for none. */
static int group_of(const struct regex *re, struct str name)
{
	char text[64];
	if (!name.len || name.len >= sizeof text)
		return -1;
	memcpy(text, name.s, name.len);
	text[name.len] = '\0';
	if (strspn(text, "0123456789") == name.len)
		return name.len < 4 ? atoi(text) : -1;
	return regex_group(re, text);
}

/* The name behind a `$` at t.s, as `name` or `{name}`; how many bytes it takes, 0 where none stands there. */
static size_t reference(struct str t, struct str *ret)
{
	size_t at = t.len && t.s[0] == '{', n = 0;
	while (at + n < t.len && is_word(t.s[at + n]))
		n++;
	*ret = (struct str){ t.s + at, n };
	if (!n || (at && (at + n >= t.len || t.s[at + n] != '}')))
		return 0;
	return at + n + at;
}

/* Fills groups in for `$1`, `${1}` and `${name}`; `$$` is a dollar; a group that is not there is empty. */
static void expand(struct buf *out, const struct regex *re, struct str t, const struct regex_groups *g)
{
	while (t.len) {
		const char *dollar = memchr(t.s, '$', t.len);
		size_t before = dollar ? (size_t)(dollar - t.s) : t.len;
		buf_put(out, t.s, before);
		t = (struct str){ t.s + before, t.len - before };
		if (!t.len)
			return;
		struct str name, rest = { t.s + 1, t.len - 1 };
		size_t used = reference(rest, &name);
		int group = used ? group_of(re, name) : -1;
		if (group >= 0 && (size_t)group < g->n && g->v[group].s)
			buf_put(out, g->v[group].s, g->v[group].len);
		else if (!used)
			buf_putc(out, '$');
		if (!used && rest.len && rest.s[0] == '$')
			used = 1;
		t = (struct str){ rest.s + used, rest.len - used };
	}
}

static int expand_kept(struct labels *l, const struct relabel_rule *rule, struct str t, const struct regex_groups *g,
                       struct str *ret)
{
	_buf_ struct buf out = BUF_INIT(LABELS_MAX_BYTES);
	expand(&out, rule->regex, t, g);
	return keep(l, &out, ret);
}

/* ---- the actions ---- */

static int do_replace(struct labels *l, const struct relabel_rule *rule, struct str source)
{
	struct regex_groups g;
	struct str key, value;
	if (!regex_capture(rule->regex, source, &g))
		return 0;
	int e = expand_kept(l, rule, rule->target, &g, &key);
	if (!e && key.len)
		e = expand_kept(l, rule, rule->replacement, &g, &value);
	return e || !key.len ? e : set(l, key, value);
}

static int do_case(struct labels *l, const struct relabel_rule *rule, struct str source)
{
	_buf_ struct buf out = BUF_INIT(LABELS_MAX_BYTES);
	struct str value;
	for (size_t i = 0; i < source.len; i++) {
		char c = source.s[i];
		bool turn = rule->action == RELABEL_LOWERCASE ? c >= 'A' && c <= 'Z' : c >= 'a' && c <= 'z';
		buf_putc(&out, turn ? (char)(c ^ 0x20) : c);
	}
	int e = keep(l, &out, &value);
	return e ? e : set(l, rule->target, value);
}

static int do_hashmod(struct labels *l, const struct relabel_rule *rule, struct str source)
{
	_buf_ struct buf out = BUF_INIT(32);
	struct str value;
	uint64_t v;
	int e = hashmod(source, rule->modulus, &v);
	if (e)
		return e;
	buf_printf(&out, "%llu", (unsigned long long)v);
	e = keep(l, &out, &value);
	return e ? e : set(l, rule->target, value);
}

/* Each label whose key matches is there under the name that the replacement makes, too. */
static int do_labelmap(struct labels *l, const struct relabel_rule *rule)
{
	_cleanup_(freep) struct label *was = malloc((l->v.n + 1) * sizeof *was);
	size_t n = l->v.n;
	int e = 0;
	if (!was)
		return -ENOMEM;
	if (n)
		memcpy(was, l->v.v, n * sizeof *was);
	for (size_t i = 0; !e && i < n; i++) {
		struct regex_groups g;
		struct str key;
		if (!regex_capture(rule->regex, was[i].key, &g))
			continue;
		e = expand_kept(l, rule, rule->replacement, &g, &key);
		if (!e && key.len)
			e = set(l, key, was[i].value);
	}
	return e;
}

/* labeldrop takes away keys that match, labelkeep those that do not. */
static void do_filter(struct labels *l, const struct relabel_rule *rule)
{
	bool drop = rule->action == RELABEL_LABELDROP;
	for (size_t i = l->v.n; i-- > 0;)
		if (!is_service(l->v.v[i].key) && regex_match(rule->regex, l->v.v[i].key) == drop)
			remove_at(l, i);
}

/* 1: the profile is dropped. */
static int run_rule(struct labels *l, const struct relabel_rule *rule)
{
	_buf_ struct buf joined = BUF_INIT(LABELS_MAX_BYTES);
	join(l, rule, &joined);
	if (buf_err(&joined))
		return buf_err(&joined) == -ENOMEM ? -ENOMEM : ERR_LIMIT;
	struct str source = { joined.len ? (const char *)joined.data : "", joined.len };
	switch (rule->action) {
	case RELABEL_REPLACE:
		return do_replace(l, rule, source);
	case RELABEL_KEEP:
		return !regex_match(rule->regex, source);
	case RELABEL_DROP:
		return regex_match(rule->regex, source);
	case RELABEL_KEEPEQUAL:
		return !str_eq(source, get(l, rule->target));
	case RELABEL_DROPEQUAL:
		return str_eq(source, get(l, rule->target));
	case RELABEL_LOWERCASE:
	case RELABEL_UPPERCASE:
		return do_case(l, rule, source);
	case RELABEL_HASHMOD:
		return do_hashmod(l, rule, source);
	case RELABEL_LABELMAP:
		return do_labelmap(l, rule);
	case RELABEL_LABELDROP:
	case RELABEL_LABELKEEP:
		do_filter(l, rule);
		return 0;
	}
	return 0;
}

static int gather(struct labels *l, struct str service, const struct label *sent, size_t n_sent,
                  const struct label *path, size_t n_path)
{
	int e = 0;
	for (size_t i = 0; !e && i < n_sent; i++)
		if (sent[i].value.len)
			e = set(l, sent[i].key, sent[i].value);
	for (size_t i = 0; !e && i < n_path; i++)
		e = set(l, path[i].key, path[i].value);
	if (!e)
		e = set(l, STR(RELABEL_SERVICE), service);
	l->changed = false;
	return e;
}

/* Hands the list over, without the service. */
static int hand_over(struct labels *l, struct relabelled *ret)
{
	bool found;
	ret->service = get(l, STR(RELABEL_SERVICE));
	size_t at = find(l, STR(RELABEL_SERVICE), &found);
	if (found)
		remove_at(l, at);
	struct label *copy = arena_calloc(l->arena, l->v.n + 1, sizeof *copy);
	if (!copy)
		return -ENOMEM;
	if (l->v.n)
		memcpy(copy, l->v.v, l->v.n * sizeof *copy);
	ret->labels = copy;
	ret->n_labels = l->v.n;
	return 0;
}

int relabel_apply(const struct relabel *r, struct str service, const struct label *sent, size_t n_sent,
                  const struct label *path, size_t n_path, struct relabelled *ret)
{
	*ret = (struct relabelled){ .outcome = RELABEL_SAME, .arena = ARENA_INIT(LABELS_MAX_BYTES) };
	if (!relabel_count(r))
		return 0;
	struct labels l = { .arena = &ret->arena };
	int e = gather(&l, service, sent, n_sent, path, n_path);
	for (size_t i = 0; !e && i < r->n; i++)
		e = run_rule(&l, &r->rules[i]);
	if (e > 0) {
		ret->outcome = RELABEL_DROPPED;
		e = 0;
	} else if (!e && l.changed) {
		ret->outcome = RELABEL_CHANGED;
		e = hand_over(&l, ret);
	}
	VEC_DONE(&l.v);
	if (e)
		relabelled_done(ret);
	return e;
}

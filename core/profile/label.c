/* SPDX-License-Identifier: MIT */
#include "label.h"

#include <string.h>

static char *dup_str(struct str s)
{
	char *copy = malloc(s.len + 1);
	if (!copy)
		return NULL;
	if (s.len)
		memcpy(copy, s.s, s.len);
	copy[s.len] = '\0';
	return copy;
}

int matcher_init(struct matcher *m, struct str key, enum match_op op, struct str value, struct error *err)
{
	*m = (struct matcher){ .op = op, .key_len = key.len, .value_len = value.len };
	m->key = dup_str(key);
	m->value = dup_str(value);
	int e = m->key && m->value ? 0 : -ENOMEM;
	if (!e && (op == MATCH_RE || op == MATCH_NRE))
		e = regex_new(value, true, &m->re, err);
	if (e)
		matcher_done(m);
	return e;
}

void matcher_done(struct matcher *m)
{
	free(m->key);
	free(m->value);
	regex_free(m->re);
	*m = (struct matcher){ 0 };
}

bool matcher_matches(const struct matcher *m, struct str value)
{
	switch (m->op) {
	case MATCH_EQ:
		return str_eq((struct str){ m->value, m->value_len }, value);
	case MATCH_NE:
		return !str_eq((struct str){ m->value, m->value_len }, value);
	case MATCH_RE:
		return regex_match(m->re, value);
	case MATCH_NRE:
		return !regex_match(m->re, value);
	}
	return false;
}

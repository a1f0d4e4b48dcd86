/* SPDX-License-Identifier: MIT */
#include "selection.h"

#include <string.h>

#include "../base/vec.h"

#define MATCHERS_MAX 64 /* a set of matchers is a bit mask (match.c) */
#define FILTERS_MAX 32

struct selection *selection_new(void)
{
	struct selection *s = calloc(1, sizeof *s);
	if (s) {
		s->from = TIME_MIN;
		s->to = TIME_MAX;
	}
	return s;
}

static void filter_done(struct filter *f)
{
	free(f->text);
	regex_free(f->re);
}

void selection_free(struct selection *s)
{
	if (!s)
		return;
	selection_free(s->baseline);
	for (size_t i = 0; i < s->n_matchers; i++)
		matcher_done(&s->matchers[i]);
	for (size_t i = 0; i < s->n_filters; i++)
		filter_done(&s->filters[i]);
	free(s->matchers);
	free(s->filters);
	free(s->service);
	free(s->type);
	free(s->options.unit);
	free(s->by);
	free(s);
}

int selection_add_matcher(struct selection *s, struct str key, enum match_op op, struct str value, struct error *err)
{
	if (s->n_matchers >= MATCHERS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d matchers", MATCHERS_MAX);
	struct matcher *grown = realloc(s->matchers, (s->n_matchers + 1) * sizeof *grown);
	if (!grown)
		return error_set(err, -ENOMEM, "out of memory");
	s->matchers = grown;
	struct matcher m = { 0 };
	int r = matcher_init(&m, key, op, value, err);
	if (r < 0)
		return r;
	s->matchers[s->n_matchers++] = m;
	return 0;
}

static int filter_init(struct filter *f, enum filter_kind kind, struct str text, struct error *err)
{
	*f = (struct filter){ .kind = kind };
	if (kind != FILTER_FUNCTION && kind != FILTER_SELF) {
		int r = regex_new(text, false, &f->re, err);
		if (r < 0)
			return r;
	}
	f->text = strndup(text.s, text.len);
	if (f->text)
		return 0;
	filter_done(f);
	return error_set(err, -ENOMEM, "out of memory");
}

int selection_add_filter(struct selection *s, enum filter_kind kind, struct str text, struct error *err)
{
	if (s->n_filters >= FILTERS_MAX)
		return error_set(err, ERR_LIMIT, "more than %d filters", FILTERS_MAX);
	struct filter *grown = realloc(s->filters, (s->n_filters + 1) * sizeof *grown);
	if (!grown)
		return error_set(err, -ENOMEM, "out of memory");
	s->filters = grown;
	struct filter f;
	int r = filter_init(&f, kind, text, err);
	if (r < 0)
		return r;
	s->filters[s->n_filters++] = f;
	return 0;
}

const char *selection_function(const struct selection *s)
{
	for (size_t i = s->n_filters; i-- > 0;)
		if (s->filters[i].kind == FILTER_FUNCTION)
			return s->filters[i].text;
	return NULL;
}

/* true where text is NULL or could be copied. */
static bool copy_text(const char *text, char **ret)
{
	*ret = text ? strdup(text) : NULL;
	return !text || *ret;
}

static bool copy_lists(const struct selection *s, struct selection *to)
{
	for (size_t i = 0; i < s->n_matchers; i++) {
		const struct matcher *m = &s->matchers[i];
		if (selection_add_matcher(to, (struct str){ m->key, m->key_len }, m->op,
		                          (struct str){ m->value, m->value_len }, NULL) < 0)
			return false;
	}
	for (size_t i = 0; i < s->n_filters; i++)
		if (selection_add_filter(to, s->filters[i].kind, str_of(s->filters[i].text), NULL) < 0)
			return false;
	return true;
}

static bool copy_into(const struct selection *s, struct selection *to)
{
	*to = *s;
	to->service = to->type = to->options.unit = to->by = NULL;
	to->matchers = NULL;
	to->filters = NULL;
	to->n_matchers = to->n_filters = 0;
	to->baseline = NULL;
	if (!copy_text(s->service, &to->service) || !copy_text(s->type, &to->type) || !copy_text(s->by, &to->by) ||
	    !copy_text(s->options.unit, &to->options.unit) || !copy_lists(s, to))
		return false;
	to->baseline = s->baseline ? selection_copy(s->baseline) : NULL;
	return !s->baseline || to->baseline;
}

struct selection *selection_copy(const struct selection *s)
{
	struct selection *to = malloc(sizeof *to);
	if (!to || copy_into(s, to))
		return to;
	selection_free(to);
	return NULL;
}

/* Matchers hold in any order, and twice as once. */
static int matcher_cmp(const void *a, const void *b)
{
	const struct matcher *x = *(const struct matcher *const *)a, *y = *(const struct matcher *const *)b;
	int r = str_cmp((struct str){ x->key, x->key_len }, (struct str){ y->key, y->key_len });
	if (!r)
		r = CMP(x->op, y->op);
	return r ? r : str_cmp((struct str){ x->value, x->value_len }, (struct str){ y->value, y->value_len });
}

static void key_text(struct buf *out, char tag, const char *text)
{
	if (!text)
		return;
	buf_putc(out, tag);
	buf_str(out, str_of(text));
}

static void key_matchers(const struct selection *s, struct buf *out)
{
	const struct matcher *sorted[MATCHERS_MAX];
	for (size_t i = 0; i < s->n_matchers; i++)
		sorted[i] = &s->matchers[i];
	qsort(sorted, s->n_matchers, sizeof *sorted, matcher_cmp);
	for (size_t i = 0; i < s->n_matchers; i++) {
		if (i && !matcher_cmp(&sorted[i - 1], &sorted[i]))
			continue;
		buf_putc(out, 'm');
		buf_str(out, (struct str){ sorted[i]->key, sorted[i]->key_len });
		buf_u8(out, (uint8_t)sorted[i]->op);
		buf_str(out, (struct str){ sorted[i]->value, sorted[i]->value_len });
	}
}

static void key_options(const struct render_options *o, struct buf *out)
{
	buf_putc(out, 'o');
	buf_svarint(out, o->step);
	buf_u8(out, (uint8_t)o->granularity);
	buf_svarint(out, o->limit);
	buf_u8(out, (uint8_t)(o->log_scale | o->weight_value << 1 | o->normalize << 2 | o->exemplars << 3 |
	                     o->sort_cum << 4));
	key_text(out, 'u', o->unit);
}

/*
 * Fields behind one-letter tags, texts with their lengths: injective, so that two selections that differ never have
 * one key. Bytes, not for people.
 */
void selection_key(const struct selection *s, struct buf *out)
{
	key_text(out, 's', s->service);
	buf_putc(out, 't');
	buf_svarint(out, s->from);
	buf_svarint(out, s->to);
	key_text(out, 'y', s->type);
	key_matchers(s, out);
	for (size_t i = 0; i < s->n_filters; i++) {
		buf_putc(out, 'f');
		buf_u8(out, (uint8_t)s->filters[i].kind);
		buf_str(out, str_of(s->filters[i].text));
	}
	key_options(&s->options, out);
	key_text(out, 'b', s->by);
	if (s->has_id) {
		buf_putc(out, 'i');
		buf_put(out, s->id.b, sizeof s->id.b);
	}
	if (s->baseline) {
		buf_putc(out, 'v');
		selection_key(s->baseline, out);
	}
}

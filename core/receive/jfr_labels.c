/* SPDX-License-Identifier: MIT */

/*
 * The labels that Pyroscope's Java agent sends beside a recording, for the contexts that its events name by number:
 *
 *     LabelsSnapshot { map<int64, Context> contexts = 1; map<int64, string> strings = 2; }
 *     Context { map<int64, int64> labels = 1; }    of strings' numbers
 *
 * They become labels of the samples that have the context.
 */

#include <string.h>

#include "../base/cursor.h"
#include "../wire/pb.h"
#include "pyroscope.h"

#define ROWS_MAX ((size_t)1 << 20)
#define CONTEXT_LABELS_MAX 64

struct context {
	int64_t id;
	uint32_t at, n; /* of pairs */
};

struct pair {
	int64_t key, value;
};

struct text {
	int64_t id;
	struct str s;
};

struct jfr_labels {
	VEC(struct context) contexts; /* by id, as texts */
	VEC(struct pair) pairs;
	VEC(struct text) texts;
};

void jfr_labels_free(struct jfr_labels *l)
{
	if (!l)
		return;
	VEC_DONE(&l->contexts);
	VEC_DONE(&l->pairs);
	VEC_DONE(&l->texts);
	free(l);
}

/* ---- reading ---- */

/* An entry of a map: key = 1, value = 2. */
static bool read_entry(struct slice in, int64_t *ret_key, struct pb_field *ret_value)
{
	struct cursor c = cursor_of(in);
	struct pb_field f = { 0 };
	*ret_key = 0;
	*ret_value = (struct pb_field){ 0 };
	while (pb_next(&c, &f)) {
		if (f.number == 1 && f.wire == PB_VARINT)
			*ret_key = (int64_t)f.value;
		else if (f.number == 2)
			*ret_value = f;
	}
	return !c.bad;
}

static int read_context(struct jfr_labels *l, int64_t id, struct slice in)
{
	struct cursor c = cursor_of(in);
	struct pb_field f = { 0 }, value;
	struct context *to = l->contexts.n < ROWS_MAX ? VEC_PUSH(&l->contexts) : NULL;
	if (!to)
		return ERR_FORMAT_LIMIT;
	*to = (struct context){ id, (uint32_t)l->pairs.n, 0 };
	while (pb_next(&c, &f)) {
		if (f.number != 1 || f.wire != PB_LEN)
			continue;
		struct pair *p = l->pairs.n < ROWS_MAX && to->n < CONTEXT_LABELS_MAX ? VEC_PUSH(&l->pairs) : NULL;
		if (!p)
			return ERR_FORMAT_LIMIT;
		if (!read_entry(f.bytes, &p->key, &value))
			return ERR_FORMAT_MALFORMED;
		p->value = value.wire == PB_VARINT ? (int64_t)value.value : 0;
		to->n++;
	}
	return c.bad ? ERR_FORMAT_MALFORMED : 0;
}

static int read_text(struct jfr_labels *l, int64_t id, struct slice s)
{
	struct text *to = l->texts.n < ROWS_MAX ? VEC_PUSH(&l->texts) : NULL;
	if (!to)
		return ERR_FORMAT_LIMIT;
	*to = (struct text){ id, { (const char *)s.data, s.len } };
	return 0;
}

static int read_all(struct jfr_labels *l, struct slice in)
{
	struct cursor c = cursor_of(in);
	struct pb_field f = { 0 }, value;
	int64_t id;
	int e = 0;
	while (!e && pb_next(&c, &f)) {
		if (f.wire != PB_LEN || (f.number != 1 && f.number != 2))
			continue;
		if (!read_entry(f.bytes, &id, &value) || (value.number && value.wire != PB_LEN))
			return ERR_FORMAT_MALFORMED;
		e = f.number == 1 ? read_context(l, id, value.bytes) : read_text(l, id, value.bytes);
	}
	return !e && c.bad ? ERR_FORMAT_MALFORMED : e;
}

/* Of rows that begin with their number. */
static int row_cmp(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return CMP(x, y);
}

static void sort_rows(void *rows, size_t n, size_t size)
{
	if (n)
		qsort(rows, n, size, row_cmp);
}

int jfr_labels_read(struct slice in, struct jfr_labels **ret, struct error *err)
{
	struct jfr_labels *l = calloc(1, sizeof *l);
	if (!l)
		return -ENOMEM;
	int e = read_all(l, in);
	if (e) {
		jfr_labels_free(l);
		return error_set(err, e, "the form's labels are no LabelsSnapshot, or too many");
	}
	sort_rows(l->contexts.v, l->contexts.n, sizeof *l->contexts.v);
	sort_rows(l->texts.v, l->texts.n, sizeof *l->texts.v);
	*ret = l;
	return 0;
}

/* ---- applying ---- */

static struct str text_of(const struct jfr_labels *l, int64_t id)
{
	const struct text *t = l->texts.n ? bsearch(&id, l->texts.v, l->texts.n, sizeof *t, row_cmp) : NULL;
	return t ? t->s : STR("");
}

static const struct context *context_of(const struct jfr_labels *l, const struct profile *p, size_t sample)
{
	for (size_t i = p->label_at.v[sample]; i < p->label_at.v[sample + 1]; i++) {
		const struct profile_label *label = &p->labels.v[i];
		if (label->is_num && str_eq(profile_str(p, label->key), STR("context_id")))
			return bsearch(&label->num, l->contexts.v, l->contexts.n, sizeof *l->contexts.v, row_cmp);
	}
	return NULL;
}

struct rebuilt {
	VEC(uint32_t) at;
	VEC(struct profile_label) labels;
	uint32_t *strings; /* of pairs: key and value in the profile; 0 not yet */
	size_t max;
};

static void rebuilt_done(struct rebuilt *b)
{
	VEC_DONE(&b->at);
	VEC_DONE(&b->labels);
	free(b->strings);
}

/* A string of the profile for a text of the snapshot, copied once. */
static int string_of(struct profile *p, const struct jfr_labels *l, int64_t id, uint32_t *slot)
{
	if (*slot)
		return 0;
	struct str s = text_of(l, id);
	*slot = profile_string(p, s.s, s.len);
	return *slot == PROFILE_NONE ? ERR_FORMAT_LIMIT : 0;
}

static int add_pair(struct rebuilt *b, struct profile *p, const struct jfr_labels *l, size_t i)
{
	uint32_t *strings = b->strings + 2 * i;
	int e = string_of(p, l, l->pairs.v[i].key, &strings[0]);
	if (!e)
		e = string_of(p, l, l->pairs.v[i].value, &strings[1]);
	if (e || !profile_str(p, strings[0]).len)
		return e;
	struct profile_label *to = b->labels.n < b->max ? VEC_PUSH(&b->labels) : NULL;
	if (!to)
		return ERR_FORMAT_LIMIT;
	*to = (struct profile_label){ .key = strings[0], .str = strings[1] };
	return 0;
}

static int rebuild_sample(struct rebuilt *b, struct profile *p, const struct jfr_labels *l, size_t sample)
{
	const struct context *c = context_of(l, p, sample);
	size_t from = p->label_at.v[sample], n = p->label_at.v[sample + 1] - from;
	struct profile_label *to = b->labels.n + n <= b->max ? VEC_GROW(&b->labels, n + 1) : NULL;
	int e = 0;
	if (!to)
		return ERR_FORMAT_LIMIT;
	if (n)
		memcpy(to, p->labels.v + from, n * sizeof *to);
	b->labels.n += n;
	for (size_t i = 0; !e && c && i < c->n; i++)
		e = add_pair(b, p, l, c->at + i);
	uint32_t *at = VEC_PUSH(&b->at);
	if (!at)
		return -ENOMEM;
	*at = (uint32_t)b->labels.n;
	return e;
}

int jfr_labels_apply(const struct jfr_labels *l, struct profile *p, size_t max_bytes)
{
	if (!l->contexts.n || !p->label_at.n)
		return 0;
	_cleanup_(rebuilt_done) struct rebuilt b = { .max = max_bytes / sizeof *p->labels.v };
	b.strings = calloc(2 * l->pairs.n + 1, sizeof *b.strings);
	uint32_t *first = VEC_PUSH(&b.at);
	if (!b.strings || !first)
		return -ENOMEM;
	*first = 0;
	for (size_t i = 0; i < p->n_samples; i++) {
		int e = rebuild_sample(&b, p, l, i);
		if (e)
			return e;
	}
	VEC_DONE(&p->label_at);
	VEC_DONE(&p->labels);
	p->label_at.v = b.at.v;
	p->label_at.n = b.at.n;
	p->label_at.cap = b.at.cap;
	p->labels.v = b.labels.v;
	p->labels.n = b.labels.n;
	p->labels.cap = b.labels.cap;
	b.at.v = NULL;
	b.labels.v = NULL;
	return 0;
}

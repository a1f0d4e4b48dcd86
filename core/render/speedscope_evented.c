/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "speedscope.h"

/*
 * One profile in the order of time: its samples have a numeric label `timestamp` or `elapsed` in a unit of time. Each
 * thread is a profile of its own. A sample lasts as long as its value says, from when it was taken or, where the one
 * before lasted longer, from that one's end: so values stay what they are, and gaps show. Values that are no times do
 * not say how long a sample lasts: then a thread's samples follow each other, as wide as they cost.
 */

struct moment {
	int64_t at, lasts;
	uint32_t sample;
	struct str thread;
};

struct evented {
	const struct profile *p;
	uint32_t column;
	int64_t scale; /* of values, to nanoseconds, bytes or counts */
	bool timed;    /* to nanoseconds */
	struct moment *v;
	size_t n;
	int64_t begin, end;
};

/* The column of the selected type, by its name or by what stands before or after its kind or unit. */
static uint32_t find_column(const struct profile *p, const char *listed)
{
	struct str want = str_of(listed);
	for (uint32_t i = 0; i < p->types.n; i++) {
		struct str name = profile_str(p, p->types.v[i].type);
		if (!name.len || name.len > want.len)
			continue;
		bool head = !memcmp(want.s, name.s, name.len) && (name.len == want.len || want.s[name.len] == '.');
		const char *tail = want.s + want.len - name.len;
		if (head || (!memcmp(tail, name.s, name.len) && tail > want.s && tail[-1] == '.'))
			return i;
	}
	return PROFILE_NONE;
}

static bool is_moment(const struct profile *p, const struct profile_label *l)
{
	struct str key = profile_str(p, l->key);
	return l->is_num && (str_eq(key, STR("timestamp")) || str_eq(key, STR("elapsed"))) &&
	       (!l->num_unit || unit_of(profile_str(p, l->num_unit)).dim == UNIT_TIME);
}

static bool is_thread(struct str key)
{
	static const char *const keys[] = { "thread", "thread.name", "thread_name", "thread_id", "thread.id", "tid" };
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (str_eq(key, str_of(keys[i])))
			return true;
	return false;
}

/* false where the sample does not say when. */
static bool read_moment(const struct evented *e, uint32_t sample, struct moment *ret)
{
	const struct profile *p = e->p;
	bool found = false;
	*ret = (struct moment){ .sample = sample, .thread = { "", 0 } };
	for (uint32_t i = p->label_at.v[sample]; i < p->label_at.v[sample + 1]; i++) {
		const struct profile_label *l = &p->labels.v[i];
		if (is_moment(p, l)) {
			int64_t scale = l->num_unit ? unit_of(profile_str(p, l->num_unit)).scale : 1;
			found = !__builtin_mul_overflow(l->num, scale, &ret->at);
		} else if (!l->is_num && is_thread(profile_str(p, l->key))) {
			ret->thread = profile_str(p, l->str);
		}
	}
	int64_t value = p->values.v[(size_t)sample * p->types.n + e->column];
	return found && value >= 0 && !__builtin_mul_overflow(value, e->scale, &ret->lasts);
}

static int moment_cmp(const void *a, const void *b)
{
	const struct moment *l = a, *r = b;
	int c = str_cmp(l->thread, r->thread);
	if (!c)
		c = CMP(l->at, r->at);
	return c ? c : CMP(l->sample, r->sample);
}

/* Puts each thread's moments one after the other. */
static bool lay_out(struct evented *e)
{
	qsort(e->v, e->n, sizeof *e->v, moment_cmp);
	e->begin = INT64_MAX;
	e->end = INT64_MIN;
	for (size_t i = 0; i < e->n && e->timed; i++) {
		struct moment *m = &e->v[i];
		if (i && str_eq(m->thread, e->v[i - 1].thread))
			m->at = MAX(m->at, e->v[i - 1].at + e->v[i - 1].lasts);
		int64_t end;
		if (__builtin_add_overflow(m->at, m->lasts, &end))
			return false;
		e->begin = MIN(e->begin, m->at);
		e->end = MAX(e->end, end);
	}
	return e->n > 0;
}

/*
 * 1 where all samples say when, and together are what the tree is made of: so neither filters nor matchers took any
 * away.
 */
static int gather(struct evented *e, const struct call_tree *t)
{
	const struct profile *p = e->p;
	struct unit unit = unit_of(profile_str(p, p->types.v[e->column].unit));
	if (p->label_at.n != p->n_samples + 1)
		return 0;
	e->scale = unit.scale;
	e->timed = unit.dim == UNIT_TIME;
	e->v = calloc(p->n_samples + 1, sizeof *e->v);
	if (!e->v)
		return -ENOMEM;
	int64_t total = 0;
	for (size_t i = 0; i < p->n_samples; i++) {
		if (!read_moment(e, (uint32_t)i, &e->v[e->n]))
			return 0;
		total = add_wrapping(total, e->v[e->n].lasts);
		e->n += e->v[e->n].lasts > 0;
	}
	return total == t->total && lay_out(e);
}

/* ---- writing ---- */

/* Frames are the profile's lines; behind them its locations, for those that have none. */
static void put_frames(struct jsonw *w, const struct profile *p)
{
	for (size_t i = 0; i < p->lines.n; i++) {
		uint32_t at = p->lines.v[i].function;
		const struct profile_function *f = at == PROFILE_NONE ? NULL : &p->functions.v[at];
		struct str name = f ? profile_str(p, f->name ? f->name : f->system_name) : STR("");
		speedscope_frame(w, name.len ? name : STR("<unknown>"), f ? profile_str(p, f->filename) : STR(""),
		                 p->lines.v[i].line);
	}
	for (size_t i = 0; i < p->locations.n; i++) {
		char name[24];
		snprintf(name, sizeof name, "0x%llx", (unsigned long long)p->locations.v[i].address);
		speedscope_frame(w, str_of(name), STR(""), 0);
	}
}

typedef VEC(uint32_t) frames_t;

/* The frames of a sample, root first. */
static int list_frames(const struct profile *p, uint32_t sample, frames_t *ret)
{
	ret->n = 0;
	for (uint32_t i = p->loc_at.v[sample + 1]; i-- > p->loc_at.v[sample];) {
		const struct profile_location *l = &p->locations.v[p->locs.v[i]];
		uint32_t *to = VEC_GROW(ret, MAX(l->n_lines, 1u));
		if (!to)
			return -ENOMEM;
		if (!l->n_lines)
			*to = (uint32_t)p->lines.n + p->locs.v[i];
		for (uint32_t k = 0; k < l->n_lines; k++)
			to[k] = l->line_at + l->n_lines - 1 - k;
		ret->n += MAX(l->n_lines, 1u);
	}
	return 0;
}

static void put_event(struct jsonw *w, const char *type, int64_t at, uint32_t frame)
{
	jsonw_object(w);
	jsonw_key(w, "type");
	jsonw_str(w, type);
	jsonw_key(w, "at");
	jsonw_i64(w, at);
	jsonw_key(w, "frame");
	jsonw_i64(w, frame);
	jsonw_end_object(w);
}

/* From the frames that are open at a time to others. */
static void go_to(struct jsonw *w, const frames_t *open, const frames_t *next, size_t same, int64_t at)
{
	for (size_t i = open->n; i > same; i--)
		put_event(w, "C", at, open->v[i - 1]);
	for (size_t i = same; i < next->n; i++)
		put_event(w, "O", at, next->v[i]);
}

static size_t same_frames(const frames_t *a, const frames_t *b)
{
	size_t n = 0;
	while (n < a->n && n < b->n && a->v[n] == b->v[n])
		n++;
	return n;
}

/* Moments [from, to) of one thread. */
static int put_events(struct jsonw *w, const struct evented *e, size_t from, size_t to)
{
	static const frames_t none = { 0 };
	frames_t open = { 0 }, next = { 0 };
	int64_t end = e->begin;
	int r = 0;
	for (size_t i = from; i < to && r >= 0; i++) {
		const struct moment *m = &e->v[i];
		r = list_frames(e->p, m->sample, &next);
		bool follows = i > from && m->at == end;
		if (!follows)
			go_to(w, &open, &none, 0, end - e->begin);
		if (!follows)
			open.n = 0;
		go_to(w, &open, &next, same_frames(&open, &next), m->at - e->begin);
		frames_t swap = open;
		open = next;
		next = swap;
		end = m->at + m->lasts;
	}
	go_to(w, &open, &none, 0, end - e->begin);
	VEC_DONE(&open);
	VEC_DONE(&next);
	return r;
}

/* The same one after the other. */
static int put_samples(struct jsonw *w, const struct evented *e, size_t from, size_t to)
{
	frames_t frames = { 0 };
	int r = 0;
	for (size_t i = from; i < to && r >= 0; i++) {
		r = list_frames(e->p, e->v[i].sample, &frames);
		jsonw_array(w);
		for (size_t k = 0; k < frames.n && r >= 0; k++)
			jsonw_i64(w, frames.v[k]);
		jsonw_end_array(w);
	}
	VEC_DONE(&frames);
	jsonw_end_array(w);
	jsonw_key(w, "weights");
	jsonw_array(w);
	for (size_t i = from; i < to; i++)
		jsonw_i64(w, e->v[i].lasts);
	return r;
}

static int64_t sum_of(const struct evented *e, size_t from, size_t to)
{
	int64_t sum = 0;
	for (size_t i = from; i < to; i++)
		sum = add_wrapping(sum, e->v[i].lasts);
	return sum;
}

static int put_thread(struct jsonw *w, struct query *q, const struct evented *e, size_t from, size_t to)
{
	jsonw_object(w);
	jsonw_key(w, "type");
	jsonw_str(w, e->timed ? "evented" : "sampled");
	jsonw_key(w, "name");
	jsonw_strn(w, e->v[from].thread.len ? e->v[from].thread : str_of(query_info(q)->type));
	jsonw_key(w, "unit");
	jsonw_str(w, e->timed ? "nanoseconds" : speedscope_unit(query_info(q)->unit));
	jsonw_key(w, "startValue");
	jsonw_i64(w, 0);
	jsonw_key(w, "endValue");
	jsonw_i64(w, e->timed ? e->end - e->begin : sum_of(e, from, to));
	jsonw_key(w, e->timed ? "events" : "samples");
	jsonw_array(w);
	int r = e->timed ? put_events(w, e, from, to) : put_samples(w, e, from, to);
	jsonw_end_array(w);
	jsonw_end_object(w);
	return r;
}

static int write_evented(struct query *q, const struct evented *e, const struct cancel *cancel, struct buf *out)
{
	struct jsonw w = JSONW(out);
	w.compact = true;
	speedscope_head(&w);
	put_frames(&w, e->p);
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	jsonw_key(&w, "profiles");
	jsonw_array(&w);
	int r = 0;
	for (size_t from = 0, to; from < e->n && r >= 0; from = to) {
		for (to = from + 1; to < e->n && str_eq(e->v[to].thread, e->v[from].thread);)
			to++;
		r = cancel_check(cancel);
		r = r < 0 ? r : put_thread(&w, q, e, from, to);
	}
	speedscope_tail(&w, q);
	return r < 0 ? r : buf_err(out);
}

static int evented_of(struct query *q, const struct call_tree *t, const struct profile *p, const struct cancel *cancel,
                      struct buf *out)
{
	struct evented e = { .p = p, .column = find_column(p, query_info(q)->type) };
	int r = e.column == PROFILE_NONE ? 0 : gather(&e, t);
	if (r > 0)
		r = write_evented(q, &e, cancel, out);
	else if (r == 0)
		r = ERR_PATH_ABSENT;
	free(e.v);
	return r;
}

int speedscope_evented(struct query *q, const struct call_tree *t, const struct cancel *cancel, struct buf *out,
                       struct error *err)
{
	const struct selection *s = query_selection(q);
	struct profile p = { 0 };
	if (!s->has_id || s->n_filters || query_info(q)->profiles != 1)
		return 0;
	int r = query_restore(q, &s->id, &p, err);
	if (r < 0)
		return r;
	r = evented_of(q, t, &p, cancel, out);
	profile_done(&p);
	return r == ERR_PATH_ABSENT ? 0 : r < 0 ? r : 1;
}

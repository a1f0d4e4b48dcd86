/* SPDX-License-Identifier: MIT */
#include "pyroscope.h"

#include <string.h>

#include "../base/cursor.h"

/* ---- labels ---- */

static bool is_waiting(struct str name)
{
	return str_eq(name, STR("mutex")) || str_eq(name, STR("block"));
}

struct sending pyroscope_sending(struct label *labels, size_t *n)
{
	struct sending s = { .service = STR(""), .kind = STR(""), .type = STR(""), .unit = STR(""), .salt = STR("") };
	size_t kept = 0;
	for (size_t i = 0; i < *n; i++) {
		struct label l = labels[i];
		if (str_eq(l.key, STR("service_name"))) {
			s.service = l.value;
			continue;
		}
		if (str_eq(l.key, STR("__delta__"))) {
			bool is_increase = str_eq(l.value, STR("false"));
			s.temporality = is_increase ? TEMPORALITY_DELTA : TEMPORALITY_CUMULATIVE;
			continue;
		}
		if (str_eq(l.key, STR("__name__")) && is_waiting(l.value))
			s.kind = l.value;
		labels[kept++] = l;
	}
	*n = kept;
	return s;
}

static struct str trim(struct str s)
{
	while (s.len && (*s.s == ' ' || *s.s == '\t'))
		s = (struct str){ s.s + 1, s.len - 1 };
	while (s.len && (s.s[s.len - 1] == ' ' || s.s[s.len - 1] == '\t'))
		s.len--;
	if (s.len >= 2 && *s.s == '"' && s.s[s.len - 1] == '"')
		s = (struct str){ s.s + 1, s.len - 2 };
	return s;
}

/* Cuts what stands before the first `end` off *rest; all of it where there is none. */
static struct str cut(struct str *rest, char end)
{
	const char *at = memchr(rest->s, end, rest->len);
	size_t n = at ? (size_t)(at - rest->s) : rest->len;
	struct str s = { rest->s, n };
	*rest = (struct str){ rest->s + n + (at != NULL), rest->len - n - (at != NULL) };
	return s;
}

static int bad_name(struct request *rq, const char *name)
{
	const char *hint = strchr(name, '{') ? "" : " (curl takes braces away: use curl -g, or %7B and %7D)";
	return request_refuse(rq, REFUSED_MALFORMED, "name=%.200s is no app{label=value,...}%s", name, hint);
}

int pyroscope_name(struct request *rq, const char *name, struct sending *ret)
{
	struct str rest = str_of(name);
	struct str app = trim(cut(&rest, '{'));
	bool braces = strchr(name, '{') != NULL;
	size_t n = 0, most = 1;
	if (!app.len || memchr(app.s, '=', app.len) || memchr(app.s, '}', app.len) ||
	    (braces && (!rest.len || rest.s[rest.len - 1] != '}')))
		return bad_name(rq, name);
	rest.len -= braces;
	for (size_t i = 0; i < rest.len; i++)
		most += rest.s[i] == ',';
	struct label *labels = arena_alloc(&rq->arena, most * sizeof *labels);
	if (!labels)
		return request_refuse(rq, REFUSED_LABELS, "the labels of this request are over a limit");
	while (rest.len) {
		struct str pair = cut(&rest, ',');
		bool has_value = pair.len && memchr(pair.s, '=', pair.len);
		struct str key = trim(cut(&pair, '='));
		if (!key.len && !has_value && !pair.len)
			continue;
		if (!key.len || !has_value)
			return bad_name(rq, name);
		labels[n++] = (struct label){ key, trim(pair) };
	}
	*ret = pyroscope_sending(labels, &n);
	ret->labels = labels;
	ret->n_labels = n;
	if (!ret->service.len)
		ret->service = app;
	return 0;
}

/* ---- types ---- */

static const struct {
	const char *suffix, *type, *unit, *kind;
	bool is_time; /* samples stand for time, at the sender's rate */
} suffixes[] = {
	{ ".cpu", "samples", "count", "cpu", true },
	{ ".wall", "samples", "count", "wall", true },
	{ ".itimer", "samples", "count", "cpu", true },
	{ ".inuse_objects", "inuse_objects", "count", "", false },
	{ ".inuse_space", "inuse_space", "bytes", "", false },
	{ ".alloc_objects", "alloc_objects", "count", "", false },
	{ ".alloc_space", "alloc_space", "bytes", "", false },
	{ ".goroutines", "goroutine", "count", "", false },
	{ ".mutex_count", "contentions", "count", "mutex", false },
	{ ".mutex_duration", "delay", "nanoseconds", "mutex", false },
	{ ".block_count", "contentions", "count", "block", false },
	{ ".block_duration", "delay", "nanoseconds", "block", false },
	{ ".lock_count", "contentions", "count", "mutex", false },
	{ ".lock_duration", "delay", "nanoseconds", "mutex", false },
};

static bool ends_with(struct str s, struct str end)
{
	return s.len > end.len && !memcmp(s.s + s.len - end.len, end.s, end.len);
}

#define RATE_DEFAULT 100
#define RATE_MAX 1000000000

void pyroscope_type(struct sending *s, struct str units, uint64_t sample_rate)
{
	bool told = sample_rate > 0 && sample_rate <= RATE_MAX;
	bool samples = !units.len || str_eq(units, STR("samples"));
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		struct str end = str_of(suffixes[i].suffix);
		if (!ends_with(s->service, end))
			continue;
		s->service.len -= end.len;
		s->type = str_of(suffixes[i].type);
		s->unit = str_of(suffixes[i].unit);
		s->kind = str_of(suffixes[i].kind);
		s->sample_rate = !suffixes[i].is_time ? 0 : told ? sample_rate : RATE_DEFAULT;
		return;
	}
	if (!samples)
		s->unit = units;
	else if (told)
		s->sample_rate = sample_rate;
}

int64_t pyroscope_time(const char *s)
{
	int64_t t;
	return *s && time_parse(s, &t) ? t : 0;
}

/* ---- old encodings ---- */

int stacks_from_lines(struct slice in, struct buf *out)
{
	const char *s = (const char *)in.data, *end = s + in.len;
	while (s < end) {
		const char *lf = memchr(s, '\n', (size_t)(end - s));
		size_t n = (size_t)((lf ? lf : end) - s);
		size_t text = n && s[n - 1] == '\r' ? n - 1 : n;
		buf_put(out, s, text);
		buf_puts(out, text ? " 1\n" : "\n");
		s += n + (lf != NULL);
	}
	return buf_err(out);
}

#define DEPTH_MAX 65536

/*
 * Both encodings are a tree in the order of a walk: varint length and bytes of a name, varint value, varint number of
 * children. A trie's names are pieces of the folded stack; a tree's are frames, the root's being empty.
 */
struct tree_walk {
	struct cursor c;
	struct buf path;
	bool frames;
	VEC(struct { size_t len; uint64_t children; }) open; /* length of the path before the node, children to come */
};

static void put_name(struct tree_walk *w, struct str name)
{
	if (w->frames && w->path.len && name.len)
		buf_putc(&w->path, ';');
	for (size_t i = 0; i < name.len; i++)
		buf_putc(&w->path, name.s[i] == '\n' || name.s[i] == '\r' ? ' ' : name.s[i]);
}

static int visit(struct tree_walk *w, struct buf *out)
{
	size_t before = w->path.len;
	put_name(w, cursor_str(&w->c));
	uint64_t value = cursor_varint_max(&w->c, INT64_MAX), children = cursor_varint_max(&w->c, cursor_left(&w->c));
	if (w->c.bad)
		return ERR_FORMAT_MALFORMED;
	if (value && w->path.len) {
		buf_put(out, w->path.data, w->path.len);
		buf_printf(out, " %llu\n", (unsigned long long)value);
	}
	if (w->open.n >= DEPTH_MAX)
		return ERR_FORMAT_LIMIT;
	if (!VEC_PUSH(&w->open))
		return -ENOMEM;
	w->open.v[w->open.n - 1].len = before;
	w->open.v[w->open.n - 1].children = children;
	while (w->open.n && !w->open.v[w->open.n - 1].children) {
		w->path.len = w->open.v[--w->open.n].len;
		if (w->open.n)
			w->open.v[w->open.n - 1].children--;
	}
	return buf_err(out) ? buf_err(out) : buf_err(&w->path);
}

static int stacks_from(struct slice in, bool frames, struct buf *out)
{
	struct tree_walk w = { .c = cursor_of(in), .path = BUF_INIT((size_t)16 << 20), .frames = frames };
	int e;
	do
		e = visit(&w, out);
	while (!e && w.open.n);
	if (!e && cursor_left(&w.c))
		e = ERR_FORMAT_MALFORMED;
	buf_done(&w.path);
	VEC_DONE(&w.open);
	return e;
}

int stacks_from_trie(struct slice in, struct buf *out)
{
	return stacks_from(in, false, out);
}

int stacks_from_tree(struct slice in, struct buf *out)
{
	return stacks_from(in, true, out);
}

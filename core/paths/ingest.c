/* SPDX-License-Identifier: MIT */
#include "ingest.h"

#include <ctype.h>
#include <string.h>

#include "tree.h"

/*
 * Nearly every file holds one profile: it is decoded once and written. Where bytes are left behind the first,
 * the file is decoded twice: once to see that all of it is sound, and once to hand the profiles over one
 * after the other, so that no more than one of them is in memory decoded.
 */

#define SALT_MAX ((size_t)64 << 10)
#define MAX_BYTES_DEFAULT ((size_t)256 << 20)

struct ingest_scratch {
	struct format_reader *reader; /* NULL until first used */
	struct profile profile;
};

int ingest_scratch_new(struct ingest_scratch **ret)
{
	_free_ struct ingest_scratch *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	int e = profile_init(&s->profile, MAX_BYTES_DEFAULT);
	if (e)
		return e;
	*ret = TAKE_PTR(s);
	return 0;
}

void ingest_scratch_free(struct ingest_scratch *s)
{
	if (!s)
		return;
	format_reader_free(s->reader);
	profile_done(&s->profile);
	free(s);
}

static int scratch_begin(struct ingest_scratch *s, struct slice in, const struct format_options *opts,
                         struct error *err)
{
	if (s->reader)
		return format_reader_reset(s->reader, in, opts);
	return format_reader_new(in, opts, &s->reader, err);
}

struct ingest {
	struct db *db;
	const struct ingest_options *opts;
	struct ingest_scratch *scratch;
	struct slice in;
	struct format_options format;
	struct buf salt;
	struct bulk *bulk;
	size_t n;     /* profiles so far */
	size_t begin; /* where the current one begins */
	struct ingest_result res;
};

/* ---- decoding ---- */

static int at_profile(const struct ingest *g, int e, struct error *err)
{
	if (!g->n)
		return e;
	return error_at(err, e, "profile %zu, at byte %zu of the file", g->n + 1, g->begin);
}

/* 1: the next profile is in the scratch, verified; 0: none left. */
static int next_profile(struct ingest *g, struct error *err)
{
	struct format_reader *r = g->scratch->reader;
	g->begin = format_reader_taken(r);
	int e = format_reader_next(r, &g->scratch->profile, err);
	if (e > 0) {
		int bad = profile_verify(&g->scratch->profile, err);
		e = bad ? bad : e;
	}
	if (e < 0)
		return at_profile(g, e, err);
	if (e > 0) {
		const struct profile *p = &g->scratch->profile;
		g->res.consumed = format_reader_taken(r);
		g->res.format = format_reader_name(r);
		if (p->warning[0] && !g->res.warning[0])
			snprintf(g->res.warning, sizeof g->res.warning, "%s", p->warning);
	}
	return e;
}

/* ---- what the path and the name say ---- */

static bool is_word_at(const char *name, size_t at, const char *word)
{
	size_t n = strlen(word);
	return !strncasecmp(name + at, word, n) && (at == 0 || !isalnum((unsigned char)name[at - 1])) &&
	       !isalnum((unsigned char)name[at + n]);
}

/*
 * "mutex" or "block" where that is a word of the file's name: the kinds that delay and contentions are told
 * apart by.
 */
static const char *kind_of_name(const char *name)
{
	static const char *const kinds[] = { "mutex", "block" };
	for (size_t at = 0; name && name[at]; at++)
		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
			if (is_word_at(name, at, kinds[i]))
				return kinds[i];
	return NULL;
}

static bool counts_waiting(const struct profile *p)
{
	for (size_t i = 0; i < p->types.n; i++) {
		struct str type = profile_str(p, p->types.v[i].type);
		if (str_eq(type, STR("delay")) || str_eq(type, STR("contentions")))
			return true;
	}
	return false;
}

static int set_kind(const struct ingest *g, struct profile *p)
{
	const char *kind = g->opts->target->kind;
	if (!kind && !p->kind && counts_waiting(p))
		kind = kind_of_name(g->opts->name);
	if (!kind)
		return 0;
	p->kind = profile_string(p, kind, strlen(kind));
	return p->kind == PROFILE_NONE ? -ENOMEM : 0;
}

static int apply_target(const struct ingest *g, struct profile *p)
{
	if (g->opts->target->temporality != TEMPORALITY_UNSAID)
		p->temporality = g->opts->target->temporality;
	return set_kind(g, p);
}

static int label_cmp(const void *a, const void *b)
{
	const struct label *x = *(const struct label *const *)a, *y = *(const struct label *const *)b;
	return str_cmp(x->key, y->key);
}

static void salt_optional(struct buf *b, const char *s)
{
	buf_str(b, str_of(s ? s : ""));
}

/* Directory and name, in one spelling for all paths that mean the same. */
static int make_salt(struct buf *b, const struct target *t, const char *name)
{
	_free_ const struct label **labels = calloc(t->n_labels + 1, sizeof *labels);
	if (!labels)
		return -ENOMEM;
	for (size_t i = 0; i < t->n_labels; i++)
		labels[i] = &t->labels[i];
	qsort(labels, t->n_labels, sizeof *labels, label_cmp);
	salt_optional(b, t->service);
	for (size_t i = 0; i < t->n_labels; i++) {
		buf_str(b, labels[i]->key);
		buf_str(b, labels[i]->value);
	}
	salt_optional(b, t->type);
	salt_optional(b, t->unit);
	salt_optional(b, t->kind);
	buf_u8(b, (uint8_t)t->temporality);
	salt_optional(b, name);
	return buf_err(b);
}

/*
 * When a profile without a time of its own was taken: the same moment for the same bytes under the same name.
 */
static int64_t fallback_time(const struct ingest *g)
{
	int64_t now = g->opts->now ? g->opts->now : clock_now();
	if (g->opts->mtime)
		return g->opts->mtime;
	if (!g->opts->recent)
		return now;
	struct str bytes = { (const char *)g->in.data + g->begin, g->res.consumed - g->begin };
	struct str salt = { (const char *)g->salt.data, g->salt.len };
	return recent_time(g->opts->recent, node_ino_of(STR("recent"), salt, bytes), now);
}

/* ---- writing ---- */

static void count(struct ingest *g, const struct db_written *w, uint64_t samples)
{
	g->res.last = w->id;
	if (w->duplicate) {
		g->res.duplicates++;
		return;
	}
	g->res.taken++;
	g->res.samples += samples;
}

static int write_profile(struct ingest *g, struct error *err)
{
	struct profile *p = &g->scratch->profile;
	const struct target *t = g->opts->target;
	int e = apply_target(g, p);
	if (e)
		return e;
	struct db_write w = {
		.profile = p,
		.service = str_of(t->service),
		.path_labels = t->labels,
		.n_path_labels = t->n_labels,
		.fallback_time = p->time_ns ? 0 : fallback_time(g),
		.fallback_is_file = g->opts->mtime != 0,
		.salt = { (const char *)g->salt.data, g->salt.len },
		.bytes_in = g->res.consumed - g->begin,
	};
	struct db_written written;
	e = g->bulk ? bulk_add(g->bulk, &w, &written, err) : db_write(g->db, &w, 1, &written, err);
	if (e)
		return at_profile(g, e, err);
	count(g, &written, p->n_samples);
	return 0;
}

static int begin(struct ingest *g, struct error *err)
{
	g->n = 0;
	g->res.consumed = 0;
	return scratch_begin(g->scratch, g->in, &g->format, err);
}

/* All of the input once, to see that it is sound; the first profile has been. */
static int check_rest(struct ingest *g, struct error *err)
{
	int e = 1;
	while (e > 0) {
		g->n++;
		e = next_profile(g, err);
	}
	return e;
}

static int write_all(struct ingest *g, struct error *err)
{
	int e = begin(g, err);
	while (!e && (e = next_profile(g, err)) > 0) {
		e = write_profile(g, err);
		g->n++;
	}
	return e;
}

static int write_many(struct ingest *g, struct error *err)
{
	_cleanup_(bulk_freep) struct bulk *own = NULL;
	int e = check_rest(g, err);
	if (!e && !g->bulk) {
		e = bulk_new(g->db, 0, &own);
		g->bulk = own;
	}
	if (!e)
		e = write_all(g, err);
	return !e && own ? bulk_flush(own, err) : e;
}

static int ingest_input(struct ingest *g, struct error *err)
{
	int e = begin(g, err);
	if (e)
		return e;
	e = next_profile(g, err);
	if (e <= 0)
		return e;
	return g->res.consumed == g->in.len ? write_profile(g, err) : write_many(g, err);
}

static struct format_options format_of(const struct ingest_options *opts)
{
	struct format_options f = { .max_bytes = opts->max_bytes };
	const struct target *t = opts->target;
	f.type = t && t->type ? str_of(t->type) : STR("samples");
	f.unit = t && t->unit ? str_of(t->unit) : STR("count");
	return f;
}

int ingest_bytes(struct db *db, struct slice in, const struct ingest_options *opts, struct ingest_result *ret,
                 struct error *err)
{
	_cleanup_(ingest_scratch_freep) struct ingest_scratch *own = NULL;
	_buf_ struct buf salt = BUF_INIT(SALT_MAX);
	int e = make_salt(&salt, opts->target, opts->name);
	if (!e && !opts->scratch)
		e = ingest_scratch_new(&own);
	if (e)
		return e;
	struct ingest g = { .db = db, .opts = opts, .in = in, .format = format_of(opts), .bulk = opts->bulk };
	g.scratch = own ? own : opts->scratch;
	g.salt = salt;
	e = in.len ? ingest_input(&g, err) : 0;
	if (e)
		return e;
	*ret = g.res;
	return 0;
}

int ingest_probe(struct slice in, struct ingest_result *ret, struct error *err)
{
	_cleanup_(ingest_scratch_freep) struct ingest_scratch *scratch = NULL;
	const struct ingest_options opts = { 0 };
	int e = ingest_scratch_new(&scratch);
	if (e)
		return e;
	struct ingest g = { .opts = &opts, .scratch = scratch, .in = in, .format = format_of(&opts) };
	e = in.len ? begin(&g, err) : 0;
	if (e || !in.len) {
		if (!e)
			*ret = g.res;
		return e;
	}
	struct error why = { 0 };
	while ((e = next_profile(&g, &why)) > 0) {
		g.res.samples += scratch->profile.n_samples;
		g.n = ++g.res.taken;
	}
	if (e < 0 && !g.n) {
		if (err)
			*err = why;
		return e;
	}
	if (e < 0)
		snprintf(g.res.warning, sizeof g.res.warning, "%s", error_text(&why, e));
	*ret = g.res;
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "ingest.h"

#include <ctype.h>
#include <string.h>

#include "../db/rules.h"
#include "tree.h"

/*
 * Nearly every file holds one document, most of them of one profile: it is decoded once and written. Where bytes are
 * left behind the first, the file is decoded twice: once to see that all of it is sound, and once to hand the documents
 * over one after the other, so that no more than one of them is in memory decoded.
 */

#define SALT_MAX ((size_t)64 << 10)

struct ingest_scratch {
	struct format_reader *reader; /* NULL until first used */
	VEC(struct db_write) writes;  /* of one document, as what follows */
	VEC(struct db_written) written;
	VEC(struct label) labels;
	VEC(struct relabelled) relabelled;
};

int ingest_scratch_new(struct ingest_scratch **ret)
{
	*ret = calloc(1, sizeof **ret);
	return *ret ? 0 : -ENOMEM;
}

void ingest_scratch_free(struct ingest_scratch *s)
{
	if (!s)
		return;
	format_reader_free(s->reader);
	VEC_DONE(&s->writes);
	VEC_DONE(&s->written);
	VEC_DONE(&s->labels);
	VEC_DONE(&s->relabelled);
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
	const struct relabel *relabel;
	struct decoded_list doc; /* the current document */
	size_t n;                /* profiles before it */
	size_t begin;            /* where it begins */
	struct ingest_result res;
};

/* ---- decoding ---- */

/* i: of the document. */
static int at_profile(const struct ingest *g, size_t i, int e, struct error *err)
{
	if (!g->begin && g->doc.n <= 1)
		return e;
	return error_at(err, e, "profile %zu, at byte %zu of the file", g->n + i + 1, g->begin);
}

static void keep_warning(struct ingest *g, const struct profile *p)
{
	if (p->warning[0] && !g->res.warning[0])
		snprintf(g->res.warning, sizeof g->res.warning, "%s", p->warning);
}

/* 1: the next document is in g->doc, verified; 0: none left. */
static int next_document(struct ingest *g, struct error *err)
{
	struct format_reader *r = g->scratch->reader;
	g->n += g->doc.n;
	g->doc.n = 0;
	g->begin = format_reader_taken(r);
	int e = format_reader_next(r, &g->doc, err);
	if (e < 0)
		return at_profile(g, 0, e, err);
	if (!e)
		return 0;
	for (size_t i = 0; i < g->doc.n; i++) {
		int bad = profile_verify(&g->doc.v[i].profile, err);
		if (bad)
			return at_profile(g, i, bad, err);
		keep_warning(g, &g->doc.v[i].profile);
	}
	g->res.consumed = format_reader_taken(r);
	g->res.format = format_reader_name(r);
	return 1;
}

/* ---- what the path and the name say ---- */

static bool is_word_at(const char *name, size_t at, const char *word)
{
	size_t n = strlen(word);
	return !strncasecmp(name + at, word, n) && (at == 0 || !isalnum((unsigned char)name[at - 1])) &&
	       !isalnum((unsigned char)name[at + n]);
}

const char *ingest_kind_of_name(const char *name)
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
		kind = ingest_kind_of_name(g->opts->name);
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

/* Where the path's service is another than the sender's, that stays as a label. */
static bool is_renamed(const struct decoded *d, struct str service)
{
	return d->service.len && !str_eq(d->service, service);
}

/* The labels as sent of all profiles of the document, one list after the other. */
static int gather_labels(struct ingest *g)
{
	size_t n = 0;
	for (size_t i = 0; i < g->doc.n; i++)
		n += g->doc.v[i].labels.n + 1;
	g->scratch->labels.n = 0;
	return VEC_GROW(&g->scratch->labels, n) ? 0 : -ENOMEM;
}

static void add_labels(struct ingest *g, const struct decoded *d, struct db_write *w)
{
	struct label *to = g->scratch->labels.v + g->scratch->labels.n;
	w->labels = to;
	for (size_t i = 0; i < d->labels.n; i++)
		*to++ = d->labels.v[i];
	if (is_renamed(d, w->service))
		*to++ = (struct label){ STR("service.name"), d->service };
	w->n_labels = (size_t)(to - w->labels);
	g->scratch->labels.n += w->n_labels;
}

static int fill_write(struct ingest *g, struct decoded *d, struct db_write *w, struct error *err)
{
	const struct target *t = g->opts->target;
	int e = apply_target(g, &d->profile);
	if (e)
		return e;
	*w = (struct db_write){
		.profile = &d->profile,
		.service = t->service && *t->service ? str_of(t->service) : d->service,
		.path_labels = t->labels,
		.n_path_labels = t->n_labels,
		.fallback_time = d->profile.time_ns ? 0 : fallback_time(g),
		.fallback_is_file = g->opts->mtime != 0,
		.salt = { (const char *)g->salt.data, g->salt.len },
		.bytes_in = (g->res.consumed - g->begin) / g->doc.n,
	};
	if (!w->service.len)
		return error_set(err, ERR_FORMAT_SERVICE, "the profile does not name its service: do so by "
		                 "`ingest -s SERVICE` or by the directory it is written to");
	add_labels(g, d, w);
	return 0;
}

/* 1: a rule drops the profile. */
static int relabel(const struct ingest *g, struct db_write *w, struct relabelled *out)
{
	int e = relabel_apply(g->relabel, w->service, w->labels, w->n_labels, w->path_labels, w->n_path_labels,
	                      out);
	if (!e && out->outcome == RELABEL_CHANGED)
		w->relabelled = out;
	return !e && out->outcome == RELABEL_DROPPED ? 1 : e;
}

static int put(struct ingest *g, size_t n, struct error *err)
{
	struct db_write *w = g->scratch->writes.v;
	struct db_written *written = g->scratch->written.v;
	if (!g->bulk)
		return db_write(g->db, w, n, written, err);
	int e = 0;
	for (size_t i = 0; !e && i < n; i++)
		e = bulk_add(g->bulk, &w[i], &written[i], err);
	return e;
}

/* What is to be written of the document. */
static int fill_writes(struct ingest *g, size_t *ret_n, struct error *err)
{
	struct ingest_scratch *s = g->scratch;
	size_t n = 0;
	for (size_t i = 0; i < g->doc.n; i++) {
		int e = fill_write(g, &g->doc.v[i], &s->writes.v[n], err);
		if (!e)
			e = relabel(g, &s->writes.v[n], &s->relabelled.v[i]);
		if (e < 0)
			return at_profile(g, i, e, err);
		s->relabelled.n = i + 1;
		g->res.dropped += e > 0;
		n += e == 0;
	}
	*ret_n = n;
	return 0;
}

static void drop_relabelled(struct ingest_scratch *s)
{
	for (size_t i = 0; i < s->relabelled.n; i++)
		relabelled_done(&s->relabelled.v[i]);
	s->relabelled.n = 0;
}

static int write_document(struct ingest *g, struct error *err)
{
	struct ingest_scratch *s = g->scratch;
	size_t n = 0;
	if (!g->doc.n)
		return 0;
	int e = gather_labels(g);
	if (e || !VEC_GROW(&s->writes, g->doc.n) || !VEC_GROW(&s->written, g->doc.n) ||
	    !VEC_GROW(&s->relabelled, g->doc.n))
		return -ENOMEM;
	e = fill_writes(g, &n, err);
	if (!e && n && (e = put(g, n, err)))
		e = at_profile(g, 0, e, err);
	for (size_t i = 0; !e && i < n; i++)
		count(g, &s->written.v[i], s->writes.v[i].profile->n_samples);
	drop_relabelled(s);
	return e;
}

static int begin(struct ingest *g, struct error *err)
{
	g->n = g->doc.n = 0;
	g->res.consumed = 0;
	return scratch_begin(g->scratch, g->in, &g->format, err);
}

/* All of the input once, to see that it is sound; the first document has been. */
static int check_rest(struct ingest *g, struct error *err)
{
	int e = 1;
	while (e > 0)
		e = next_document(g, err);
	return e;
}

static int write_all(struct ingest *g, struct error *err)
{
	int e = begin(g, err);
	while (!e && (e = next_document(g, err)) > 0)
		e = write_document(g, err);
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
	e = next_document(g, err);
	if (e <= 0)
		return e;
	return g->res.consumed == g->in.len ? write_document(g, err) : write_many(g, err);
}

static struct format_options format_of(const struct ingest_options *opts)
{
	struct format_options f = { .max_bytes = opts->max_bytes };
	const struct target *t = opts->target;
	f.type = t && t->type ? str_of(t->type) : STR("");
	f.unit = t && t->unit ? str_of(t->unit) : STR("");
	return f;
}

int ingest_bytes(struct db *db, struct slice in, const struct ingest_options *opts, struct ingest_result *ret,
                 struct error *err)
{
	_cleanup_(ingest_scratch_freep) struct ingest_scratch *own = NULL;
	_cleanup_(rules_unrefp) struct rules *rules = NULL;
	_buf_ struct buf salt = BUF_INIT(SALT_MAX);
	int e = make_salt(&salt, opts->target, opts->name);
	if (!e && !opts->scratch)
		e = ingest_scratch_new(&own);
	if (e)
		return e;
	struct ingest g = { .db = db, .opts = opts, .in = in, .format = format_of(opts), .bulk = opts->bulk };
	g.scratch = own ? own : opts->scratch;
	g.salt = salt;
	e = opts->relabel || !in.len ? 0 : rules_get(db, &rules, err);
	if (e)
		return e;
	g.relabel = rules ? rules_relabel(rules) : opts->relabel;
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
	while ((e = next_document(&g, &why)) > 0) {
		for (size_t i = 0; i < g.doc.n; i++)
			g.res.samples += g.doc.v[i].profile.n_samples;
		g.res.taken += g.doc.n;
	}
	if (e < 0 && !g.res.consumed) {
		if (err)
			*err = why;
		return e;
	}
	if (e < 0)
		snprintf(g.res.warning, sizeof g.res.warning, "%s", error_text(&why, e));
	*ret = g.res;
	return 0;
}

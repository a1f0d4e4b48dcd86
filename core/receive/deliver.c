/* SPDX-License-Identifier: MIT */

/*
 * From the bytes of a request to the store. All profiles of a request go into one db_write(), and so do those of other
 * requests that are on their way at the same time: the database flushes what waits together.
 *
 * Memory. Before it decodes, a delivery takes a share of the receiver's budget, by the size of what was sent; decoders
 * are held to it. What turns out to be larger gives its share back, waits for the largest one there is, and begins
 * again. So the sum of all deliveries stays below the budget whatever is sent, and none waits while it holds something.
 */

#include <string.h>

#include "../base/hash.h"
#include "../wire/gz.h"
#include "internal.h"

#define SHARE_MIN ((size_t)256 << 10)
#define SHARE_PER_BYTE 32   /* of what was sent: gzip shrinks profiles to a quarter or less */
#define SHARE_PER_DECODED 4 /* a decompressed body, a decompressed profile, and its model, which may take two of it */
#define FLUSH_MAX_DAYS 32   /* of db_write() */

struct item {
	struct decoded *d;
	struct sending s;
	uint64_t hash; /* of the bytes */
	uint64_t bytes;
	bool is_text;
};

struct delivery {
	struct request *rq;
	size_t share;
	struct buf raw; /* the body, decompressed */
	VEC(struct format_reader *) readers;
	VEC(struct decoded *) owned;
	size_t owned_bytes;
	VEC(struct item) items;
	VEC(struct db_write) writes; /* of commit(), as what follows */
	VEC(struct db_written) written;
	VEC(struct relabelled) relabelled;
	struct rules *rules; /* the store's; NULL: those of the options */
	struct arena arena;  /* lists of labels */
};

/* ---- memory ---- */

static size_t largest_share(const struct receiver *r)
{
	return MIN((size_t)r->limits.profile_bytes * SHARE_PER_DECODED, r->decoded.max);
}

static size_t share_of(const struct request *rq)
{
	size_t sent = rq->body.len, want;
	for (size_t i = 0; i < PART_N; i++)
		sent += rq->parts[i].len;
	if (!size_mul(sent, SHARE_PER_BYTE, &want))
		want = SIZE_MAX;
	return MIN(MAX(want, SHARE_MIN), largest_share(rq->r));
}

int delivery_new(struct request *rq, struct delivery **ret)
{
	struct delivery *d = calloc(1, sizeof *d);
	if (!d)
		return request_refuse_error(rq, -ENOMEM, NULL);
	d->rq = rq;
	d->share = share_of(rq);
	d->arena = ARENA_INIT((size_t)16 << 20);
	quota_wait(&rq->r->decoded, d->share);
	*ret = d;
	return 0;
}

/* The memory of ordinary readers is used again. */
static void put_reader(struct receiver *r, struct format_reader *reader)
{
	pthread_mutex_lock(&r->lock);
	bool keep = r->n_readers < ARRAY_SIZE(r->readers) && !r->stopping;
	if (keep)
		r->readers[r->n_readers++] = reader;
	pthread_mutex_unlock(&r->lock);
	if (!keep)
		format_reader_free(reader);
}

static void drop_owned(struct delivery *d)
{
	for (size_t i = 0; i < d->owned.n; i++) {
		decoded_done(d->owned.v[i]);
		free(d->owned.v[i]);
	}
	d->owned.n = d->owned_bytes = 0;
}

static void drop_items(struct delivery *d)
{
	for (size_t i = 0; i < d->relabelled.n; i++)
		relabelled_done(&d->relabelled.v[i]);
	for (size_t i = 0; i < d->readers.n; i++)
		put_reader(d->rq->r, d->readers.v[i]);
	d->relabelled.n = d->readers.n = d->items.n = 0;
	drop_owned(d);
	buf_done(&d->raw);
}

void delivery_free(struct delivery *d)
{
	if (!d)
		return;
	drop_items(d);
	quota_give(&d->rq->r->decoded, d->share);
	VEC_DONE(&d->readers);
	VEC_DONE(&d->owned);
	VEC_DONE(&d->items);
	VEC_DONE(&d->writes);
	VEC_DONE(&d->written);
	VEC_DONE(&d->relabelled);
	rules_unref(d->rules);
	arena_done(&d->arena);
	free(d);
}

size_t delivery_max_bytes(const struct delivery *d)
{
	return d->share / SHARE_PER_DECODED;
}

bool delivery_grow(struct delivery *d)
{
	struct request *rq = d->rq;
	size_t all = largest_share(rq->r);
	if (rq->refused != REFUSED_SIZE || d->share >= all)
		return false;
	drop_items(d);
	quota_give(&rq->r->decoded, d->share);
	quota_wait(&rq->r->decoded, all);
	d->share = all;
	rq->refused = REFUSED_NOT;
	return true;
}

int delivery_body(struct delivery *d, struct slice *ret)
{
	struct request *rq = d->rq;
	struct error err = { 0 };
	_cleanup_(gz_freep) struct gz *gz = NULL;
	*ret = buf_slice(&rq->body);
	if (!rq->gzip || !ret->len)
		return 0;
	d->raw = BUF_INIT(delivery_max_bytes(d));
	int e = gz_new(&gz);
	for (size_t at = 0, used; !e && at < rq->body.len; at += used)
		e = gz_member(gz, (struct slice){ ret->data + at, ret->len - at }, &d->raw, &used, &err);
	if (e)
		return request_refuse_error(rq, e, &err);
	*ret = buf_slice(&d->raw);
	return 0;
}

/* ---- decoding ---- */

static int take_reader(struct delivery *d, struct slice in, const struct format_options *opts,
                       struct format_reader **ret)
{
	struct receiver *r = d->rq->r;
	struct format_reader **slot = VEC_PUSH(&d->readers);
	int e = 0;
	if (!slot)
		return -ENOMEM;
	pthread_mutex_lock(&r->lock);
	*slot = r->n_readers ? r->readers[--r->n_readers] : NULL;
	pthread_mutex_unlock(&r->lock);
	e = *slot ? format_reader_reset(*slot, in, opts) : format_reader_new(in, opts, slot, NULL);
	if (!*slot)
		d->readers.n--;
	if (!e)
		*ret = *slot;
	return e;
}

/* Text names no type: what was counted, and the time that it stands for where the sender told the rate. */
static int add_time_type(struct profile *p, const struct sending *s)
{
	size_t n = p->n_samples;
	if (p->types.n != 1)
		return 0;
	struct value_type *t = VEC_PUSH(&p->types);
	int64_t *v = VEC_GROW(&p->values, n);
	if (!t || (!v && n))
		return -ENOMEM;
	uint32_t type = profile_string(p, s->kind.len ? s->kind.s : "cpu", s->kind.len ? s->kind.len : 3);
	*t = (struct value_type){ type, profile_string(p, "nanoseconds", 11) };
	if (t->type == PROFILE_NONE || t->unit == PROFILE_NONE)
		return -ENOMEM;
	p->period_type = *t;
	p->period = NS_PER_S / (int64_t)s->sample_rate;
	p->values.n += n;
	for (size_t i = n; i-- > 0;) {
		int64_t count = p->values.v[i], time;
		if (__builtin_mul_overflow(count, p->period, &time))
			time = count < 0 ? INT64_MIN : INT64_MAX;
		p->values.v[2 * i] = count;
		p->values.v[2 * i + 1] = time;
	}
	return 0;
}

/*
 * A comment, which is no part of a profile's identity: a retry counts once whatever ID it has. A label of samples would
 * tell retries apart, a label of the profile would make a series of each.
 */
static int add_sender_id(struct profile *p, struct str id)
{
	_buf_ struct buf text = BUF_INIT(1024);
	buf_printf(&text, "push ID: %.*s", (int)id.len, id.s);
	uint32_t *to = buf_err(&text) ? NULL : VEC_PUSH(&p->comments);
	if (!to)
		return -ENOMEM;
	*to = profile_string(p, (const char *)text.data, text.len);
	return *to == PROFILE_NONE ? -ENOMEM : 0;
}

static int apply_sending(const struct delivery *d, struct profile *p, const struct item *item)
{
	const struct sending *s = &item->s;
	int e = s->jfr_labels ? jfr_labels_apply(s->jfr_labels, p, delivery_max_bytes(d)) : 0;
	if (!e && s->id.len)
		e = add_sender_id(p, s->id);
	if (e)
		return e;
	if (s->temporality != TEMPORALITY_UNSAID)
		p->temporality = s->temporality;
	if (item->is_text && !p->duration_ns)
		p->duration_ns = s->duration;
	if (item->is_text && s->sample_rate)
		return add_time_type(p, s);
	if (!s->kind.len || p->kind)
		return 0;
	p->kind = profile_string(p, s->kind.s, s->kind.len);
	return p->kind == PROFILE_NONE ? -ENOMEM : 0;
}

static int add_item(struct delivery *d, const struct item *like, struct decoded *decoded)
{
	struct error err = { 0 };
	struct item *item = VEC_PUSH(&d->items);
	if (!item)
		return request_refuse_error(d->rq, -ENOMEM, NULL);
	*item = *like;
	item->d = decoded;
	int e = apply_sending(d, &decoded->profile, item);
	if (!e)
		e = profile_verify(&decoded->profile, &err);
	return e ? request_refuse_error(d->rq, e, &err) : 0;
}

static int add_document(struct delivery *d, const struct decoded_list *doc, const struct item *like)
{
	int e = 0;
	for (size_t i = 0; !e && i < doc->n; i++)
		e = add_item(d, like, &doc->v[i]);
	return e;
}

/* Sees that all documents are sound, when there are several. */
static int check_all(struct format_reader *r, struct error *err)
{
	struct decoded_list doc;
	int e;
	while ((e = format_reader_next(r, &doc, err)) > 0)
		for (size_t i = 0; i < doc.n; i++)
			if ((e = profile_verify(&doc.v[i].profile, err)) < 0)
				return e;
	return e;
}

/* Several documents, of which the reader holds one at a time: each is written before the next is read. */
static int add_many(struct delivery *d, struct format_reader *r, struct slice in, const struct format_options *opts,
                    const struct item *like)
{
	struct error err = { 0 };
	struct decoded_list doc;
	int e = check_all(r, &err);
	if (!e)
		e = format_reader_reset(r, in, opts);
	if (e)
		return request_refuse_error(d->rq, e, &err);
	while ((e = format_reader_next(r, &doc, &err)) > 0) {
		e = add_document(d, &doc, like);
		if (!e)
			e = delivery_commit(d);
		if (e)
			return e;
	}
	return e ? request_refuse_error(d->rq, e, &err) : 0;
}

int delivery_add(struct delivery *d, struct slice bytes, const struct sending *s)
{
	struct format_options opts = { .max_bytes = delivery_max_bytes(d), .type = s->type, .unit = s->unit };
	struct format_reader *r = NULL;
	struct error err = { 0 };
	struct decoded_list doc = { 0 };
	if (!bytes.len)
		return 0;
	int e = take_reader(d, bytes, &opts, &r);
	if (!e)
		e = format_reader_next(r, &doc, &err);
	if (e <= 0)
		return e ? request_refuse_error(d->rq, e, &err) : 0;
	struct item like = {
		.s = *s,
		.hash = hash_bytes(bytes.data, bytes.len),
		.bytes = bytes.len / MAX(doc.n, (size_t)1),
		.is_text = strcmp(format_reader_name(r), "pprof") != 0,
	};
	if (format_reader_taken(r) < bytes.len)
		return add_many(d, r, bytes, &opts, &like);
	return add_document(d, &doc, &like);
}

int delivery_take(struct delivery *d, struct decoded *p, const struct sending *s)
{
	struct item like = { .s = *s, .bytes = d->rq->body.len };
	like.hash = hash_mix(hash_bytes(d->rq->body.data, d->rq->body.len), d->items.n);
	struct decoded **slot = VEC_PUSH(&d->owned);
	if (!slot)
		return request_refuse_error(d->rq, -ENOMEM, NULL);
	*slot = calloc(1, sizeof **slot);
	if (!*slot || decoded_init(*slot, 2 * delivery_max_bytes(d))) {
		free(*slot);
		d->owned.n--;
		return request_refuse_error(d->rq, -ENOMEM, NULL);
	}
	struct decoded empty = **slot;
	**slot = *p;
	*p = empty;
	d->owned_bytes += profile_bytes(&(*slot)->profile);
	int e = add_item(d, &like, *slot);
	return !e && d->owned_bytes > d->share / 2 ? delivery_commit(d) : e;
}

/* ---- labels ---- */

#define LABEL_KEY_MAX 1024
#define LABEL_VALUE_MAX 4096

static int check_labels(struct request *rq, const struct label *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (!v[i].key.len)
			return request_refuse(rq, REFUSED_MALFORMED, "a label without a name");
		if (v[i].key.len > LABEL_KEY_MAX || v[i].value.len > LABEL_VALUE_MAX)
			return request_refuse(rq, REFUSED_LABELS,
			                      "the label %.*s is too long: names may have %d bytes, values %d",
			                      (int)MIN(v[i].key.len, (size_t)40), v[i].key.s, LABEL_KEY_MAX,
			                      LABEL_VALUE_MAX);
	}
	return 0;
}

static bool is_renamed(const struct item *item, struct str service)
{
	return item->d->service.len && !str_eq(item->d->service, service);
}

/* The sender's labels, and those that the profile itself has. */
static int gather_labels(struct delivery *d, const struct item *item, struct db_write *w)
{
	struct request *rq = d->rq;
	size_t n = item->s.n_labels + item->d->labels.n + 1;
	struct label *v = arena_alloc(&d->arena, n * sizeof *v), *to = v;
	if (!v)
		return request_refuse(rq, REFUSED_LABELS, "the labels of this request are over a limit");
	for (size_t i = 0; i < item->s.n_labels; i++)
		*to++ = item->s.labels[i];
	for (size_t i = 0; i < item->d->labels.n; i++)
		*to++ = item->d->labels.v[i];
	if (is_renamed(item, w->service))
		*to++ = (struct label){ STR("service.name"), item->d->service };
	w->labels = v;
	w->n_labels = (size_t)(to - v);
	if (w->n_labels + item->s.n_path_labels > rq->r->limits.labels)
		return request_refuse(rq, REFUSED_LABELS, "%zu labels are more than the %llu allowed",
		                      w->n_labels + item->s.n_path_labels, (unsigned long long)rq->r->limits.labels);
	int e = check_labels(rq, v, w->n_labels);
	return e ? e : check_labels(rq, item->s.path_labels, item->s.n_path_labels);
}

/* 1: a rule drops the profile. */
static int relabel(struct delivery *d, struct db_write *w)
{
	struct request *rq = d->rq;
	const struct relabel *rules = d->rules ? rules_relabel(d->rules) : rq->r->opts.relabel;
	if (!relabel_count(rules))
		return tenant_series(rq, w->service, w->labels, w->n_labels);
	struct relabelled *out = VEC_PUSH(&d->relabelled);
	int e = out ? relabel_apply(rules, w->service, w->labels, w->n_labels, w->path_labels, w->n_path_labels, out)
	            : -ENOMEM;
	if (e) {
		d->relabelled.n -= out != NULL;
		return request_refuse_error(rq, e, NULL);
	}
	if (out->outcome == RELABEL_DROPPED)
		return 1;
	if (out->outcome == RELABEL_SAME)
		return tenant_series(rq, w->service, w->labels, w->n_labels);
	w->relabelled = out;
	return tenant_series(rq, out->service, out->labels, out->n_labels);
}

/* ---- writing ---- */

static int64_t fallback_time(struct delivery *d, const struct item *item)
{
	if (item->d->profile.time_ns)
		return 0;
	if (item->s.time)
		return item->s.time;
	uint64_t key = hash_mix(item->hash, hash_bytes(item->s.salt.s, item->s.salt.len));
	return recent_time(d->rq->tenant->recent, key, clock_now());
}

/* 1: not to be written. */
static int fill_write(struct delivery *d, const struct item *item, struct db_write *w)
{
	*w = (struct db_write){
		.profile = &item->d->profile,
		.service = item->s.service.len ? item->s.service : item->d->service,
		.path_labels = item->s.path_labels,
		.n_path_labels = item->s.n_path_labels,
		.fallback_time = fallback_time(d, item),
		.fallback_is_file = item->s.time != 0,
		.salt = item->s.salt,
		.bytes_in = item->bytes,
	};
	if (!w->service.len)
		return request_refuse(d->rq, REFUSED_MALFORMED, "no service: neither the request nor the profile "
		                      "names one");
	if (w->service.len > LABEL_VALUE_MAX)
		return request_refuse(d->rq, REFUSED_LABELS, "the name of the service is longer than %d bytes",
		                      LABEL_VALUE_MAX);
	int e = gather_labels(d, item, w);
	return e ? e : relabel(d, w);
}

static int fill_writes(struct delivery *d)
{
	struct error err = { 0 };
	bool own_rules = d->rq->r->opts.relabel || d->rules;
	int e = own_rules ? 0 : rules_get(d->rq->tenant->db, &d->rules, &err);
	if (e)
		return request_refuse_error(d->rq, e, &err);
	d->writes.n = 0;
	/* the writes point into it, so that it must not move */
	if (!VEC_GROW(&d->writes, d->items.n) || !VEC_GROW(&d->written, d->items.n) ||
	    !VEC_GROW(&d->relabelled, d->items.n))
		return request_refuse_error(d->rq, -ENOMEM, NULL);
	for (size_t i = 0; i < d->items.n; i++) {
		e = fill_write(d, &d->items.v[i], &d->writes.v[d->writes.n]);
		if (e < 0)
			return e;
		d->writes.n += e == 0;
		d->rq->dropped += e > 0;
	}
	return 0;
}

static int32_t day_of(const struct db_write *w)
{
	return time_day(w->profile->time_ns ? w->profile->time_ns : w->fallback_time);
}

/* As many from `at` on as fit in one write. */
static size_t chunk_at(const struct delivery *d, size_t at)
{
	int32_t days[FLUSH_MAX_DAYS];
	size_t n = 0, i;
	for (i = at; i < d->writes.n; i++) {
		int32_t day = day_of(&d->writes.v[i]);
		size_t k = 0;
		while (k < n && days[k] != day)
			k++;
		if (k == FLUSH_MAX_DAYS)
			break;
		days[k] = day;
		n = MAX(n, k + 1);
	}
	return i - at;
}

int delivery_commit(struct delivery *d)
{
	struct request *rq = d->rq;
	struct error err = { 0 };
	int e = d->items.n ? fill_writes(d) : 0;
	for (size_t at = 0, n; !e && d->items.n && at < d->writes.n; at += n) {
		n = chunk_at(d, at);
		e = db_write(rq->tenant->db, d->writes.v + at, n, d->written.v + at, &err);
		if (e)
			e = request_refuse_error(rq, e, &err);
		for (size_t i = at; !e && i < at + n; i++) {
			rq->duplicates += d->written.v[i].duplicate;
			rq->accepted += !d->written.v[i].duplicate;
		}
	}
	for (size_t i = 0; i < d->relabelled.n; i++)
		relabelled_done(&d->relabelled.v[i]);
	d->relabelled.n = d->items.n = 0;
	arena_done(&d->arena);
	drop_owned(d);
	return e;
}

/* SPDX-License-Identifier: MIT */

/*
 * Group commit. The first writer to find nobody flushing takes all that wait and flushes them as one segment per day;
 * while it does, the next ones gather. So a lone writer waits for nobody, and many share the cost of one put.
 *
 *     waiting -> taken by a leader -> prepared into segments -> put (segments and new markers in parallel) -> done
 *
 * A profile that cannot be stored fails alone; a put that fails fails all that were in it, and a retry is harmless:
 * what reached the store counts once.
 */

#include <string.h>

#include "../base/hash.h"
#include "internal.h"

#define FLUSH_MAX_DAYS 32
#define SEGMENT_MAX ((size_t)1 << 30)

struct item {
	const struct db_write *w;
	struct profile_meta meta;
	struct db_written result;
};

struct pending {
	struct pending *next;
	struct item *items;
	size_t n;
	bool done;
	int result;
	struct error err;
};

int write_prepare(const struct db_write *w, struct profile_meta *meta, struct error *err)
{
	const struct profile *p = w->profile;
	*meta = (struct profile_meta){
		.service = w->service,
		.labels = w->labels,
		.n_labels = w->n_labels,
		.path_labels = w->path_labels,
		.n_path_labels = w->n_path_labels,
		.time = p->time_ns,
		.time_source = TIME_OWN,
		.bytes_in = w->bytes_in,
	};
	if (!w->service.len)
		return error_set(err, -EINVAL, "a profile needs a service");
	if (!p->time_ns) {
		meta->time_source = w->fallback_time && w->fallback_is_file ? TIME_FILE : TIME_RECEIVED;
		meta->time = w->fallback_time ? w->fallback_time : clock_now();
	}
	uint8_t hash[PROFILE_HASH_LEN];
	int r = profile_hash(p, meta, w->salt, hash);
	if (r < 0)
		return r;
	meta->id = ulid_make(meta->time, hash);
	if (w->relabelled) {
		meta->service = w->relabelled->service;
		meta->labels = w->relabelled->labels;
		meta->n_labels = w->relabelled->n_labels;
		meta->path_labels = NULL;
		meta->n_path_labels = 0;
	}
	return 0;
}

/* ---- segments ---- */

void segment_done(struct segment *s)
{
	block_writer_free(s->writer);
	for (size_t i = 0; i < s->services.n; i++) {
		free(s->services.v[i].name);
		VEC_DONE(&s->services.v[i].ids);
	}
	VEC_DONE(&s->services);
}

static struct segment_service *service_of(struct segment *s, struct str service)
{
	for (size_t i = 0; i < s->services.n; i++)
		if (str_eq(service, str_of(s->services.v[i].name)))
			return &s->services.v[i];
	struct segment_service *slot = VEC_GROW(&s->services, 1);
	char *name = slot ? strndup(service.s, service.len) : NULL;
	if (!name)
		return NULL;
	*slot = (struct segment_service){ .name = name };
	s->services.n++;
	return slot;
}

int segment_add(struct segment *s, const struct profile *p, const struct profile_meta *meta, struct error *err)
{
	int r = s->writer ? 0 : block_writer_new(0, &s->writer);
	struct segment_service *service = r == 0 ? service_of(s, meta->service) : NULL;
	struct ulid *id = service ? VEC_GROW(&service->ids, 1) : NULL;
	if (r == 0)
		r = id ? block_writer_add(s->writer, p, meta, err) : -ENOMEM;
	if (r == 0)
		service->ids.v[service->ids.n++] = meta->id;
	return r;
}

struct put_job {
	struct db *db;
	struct segment *segment;
	const char *key;
	struct slice bytes;
	struct error *errors;
};

/* Job 0 is the segment, the others are markers. */
static int put_one(void *arg, size_t i)
{
	struct put_job *j = arg;
	if (i == 0)
		return store_put(j->db->store, j->key, j->bytes, &j->errors[0]);
	return markers_put(j->db, str_of(j->segment->services.v[i - 1].name), j->segment->day, &j->errors[i]);
}

static int put_all(struct put_job *j, struct error *err)
{
	size_t n = 1 + j->segment->services.n;
	j->errors = calloc(n, sizeof *j->errors);
	if (!j->errors)
		return -ENOMEM;
	int r = pool_each(j->db->pool, n, put_one, j);
	for (size_t i = 0; r < 0 && i < n; i++)
		if (j->errors[i].code) {
			r = error_set(err, r, "%s", j->errors[i].text);
			break;
		}
	free(j->errors);
	return r;
}

int segment_put(struct db *db, struct segment *s, struct error *err)
{
	_buf_ struct buf bytes = BUF_INIT(SEGMENT_MAX);
	char filter[FILTER_LEN];
	struct ulid ulid;
	_free_ struct str *services = calloc(s->services.n + 1, sizeof *services);
	if (!services)
		return -ENOMEM;
	for (size_t i = 0; i < s->services.n; i++)
		services[i] = str_of(s->services.v[i].name);
	filter_make(services, s->services.n, filter);
	int r = ulid_new(&ulid);
	if (r == 0)
		r = block_writer_finish(s->writer, &bytes, err);
	if (r < 0)
		return r;
	_free_ char *key = key_segment(db->tenant, s->day, &ulid, filter);
	if (!key)
		return -ENOMEM;
	struct put_job j = { .db = db, .segment = s, .key = key, .bytes = buf_slice(&bytes) };
	r = put_all(&j, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < s->services.n; i++)
		ids_note(db, services[i], s->day, &ulid, s->services.v[i].ids.v, (uint32_t)s->services.v[i].ids.n);
	view_note_segment(db, s->day, &ulid, key, bytes.len, db_uptime(db));
	news_note(db);
	return 0;
}

/* ---- a flush ---- */

struct segment_list {
	struct segment *v;
	size_t n, cap;
};

struct flush {
	struct db *db;
	struct segment_list segments;
	VEC(struct item *) taken; /* profiles of this flush that are not duplicates */
};

static struct segment *segment_of(struct flush *f, int32_t day)
{
	for (size_t i = 0; i < f->segments.n; i++)
		if (f->segments.v[i].day == day)
			return &f->segments.v[i];
	struct segment *s = VEC_PUSH(&f->segments);
	if (s)
		*s = (struct segment){ .day = day };
	return s;
}

static bool in_this_flush(const struct flush *f, const struct item *item)
{
	for (size_t i = 0; i < f->taken.n; i++)
		if (!memcmp(f->taken.v[i]->meta.id.b, item->meta.id.b, sizeof item->meta.id.b) &&
		    str_eq(f->taken.v[i]->meta.service, item->meta.service))
			return true;
	return false;
}

static int flush_item(struct flush *f, struct item *item, struct error *err)
{
	bool known = in_this_flush(f, item);
	int32_t day = time_day(item->meta.time);
	int r = known ? 0 : ids_known(f->db, item->meta.service, day, &item->meta.id, &known, err);
	if (r < 0)
		return r;
	item->result = (struct db_written){ item->meta.id, item->meta.time, known };
	if (known) /* perhaps by a write that failed before its marker was there */
		return markers_put(f->db, item->meta.service, day, err);
	struct item **slot = VEC_PUSH(&f->taken);
	struct segment *s = segment_of(f, day);
	if (!slot || !s)
		return -ENOMEM;
	*slot = item;
	return segment_add(s, item->w->profile, &item->meta, err);
}

static int flush_days(const struct pending *p)
{
	int32_t days[FLUSH_MAX_DAYS];
	size_t n = 0;
	for (size_t i = 0; i < p->n; i++) {
		int32_t day = time_day(p->items[i].meta.time);
		size_t k = 0;
		while (k < n && days[k] != day)
			k++;
		if (k == FLUSH_MAX_DAYS)
			return ERR_LIMIT;
		days[k] = day;
		n = MAX(n, k + 1);
	}
	return 0;
}

static void flush(struct db *db, struct pending *all)
{
	struct flush f = { .db = db };
	struct error err = { 0 };
	for (struct pending *p = all; p; p = p->next) {
		p->result = 0;
		for (size_t i = 0; i < p->n && p->result == 0; i++)
			p->result = flush_item(&f, &p->items[i], &p->err);
	}
	int r = db_need_format(db, &err);
	for (size_t i = 0; i < f.segments.n; i++) {
		if (r == 0 && block_writer_profiles(f.segments.v[i].writer))
			r = segment_put(db, &f.segments.v[i], &err);
		segment_done(&f.segments.v[i]);
	}
	for (struct pending *p = all; p && r < 0; p = p->next)
		if (p->result == 0) {
			p->result = r;
			p->err = err;
		}
	VEC_DONE(&f.segments);
	VEC_DONE(&f.taken);
}

static void commit(struct db *db, struct pending *own)
{
	struct committer *c = &db->committer;
	pthread_mutex_lock(&c->lock);
	*(c->last ? &c->last->next : &c->first) = own;
	c->last = own;
	while (!own->done) {
		if (c->flushing) {
			pthread_cond_wait(&c->done, &c->lock);
			continue;
		}
		struct pending *all = c->first;
		c->first = c->last = NULL;
		c->flushing = true;
		pthread_mutex_unlock(&c->lock);
		flush(db, all);
		pthread_mutex_lock(&c->lock);
		for (struct pending *p = all, *next; p; p = next) {
			next = p->next;
			p->done = true;
		}
		c->flushing = false;
		pthread_cond_broadcast(&c->done);
	}
	pthread_mutex_unlock(&c->lock);
}

int db_write(struct db *db, const struct db_write *writes, size_t n, struct db_written *ret, struct error *err)
{
	if (!n)
		return 0;
	if (db->store->read_only)
		return error_set(err, ERR_STORE_READONLY, "the store is read only");
	struct pending p = { .items = calloc(n, sizeof *p.items), .n = n };
	if (!p.items)
		return -ENOMEM;
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++) {
		p.items[i].w = &writes[i];
		r = write_prepare(&writes[i], &p.items[i].meta, err);
	}
	if (r == 0 && (r = flush_days(&p)) < 0)
		error_set(err, r, "profiles of more than %d days in one write", FLUSH_MAX_DAYS);
	if (r == 0) {
		commit(db, &p);
		r = p.result < 0 ? error_set(err, p.result, "%s", error_text(&p.err, p.result)) : 0;
	}
	for (size_t i = 0; i < n && r == 0 && ret; i++)
		ret[i] = p.items[i].result;
	free(p.items);
	return r;
}

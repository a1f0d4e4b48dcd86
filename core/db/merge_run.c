/* SPDX-License-Identifier: MIT */

/*
 * One merge:
 *
 *     open the inputs -> say what outputs there are to be -> merge each into an unlinked file -> put it -> commit all
 *
 * Outputs are all services together but for those that have grown to 64 MiB, which get blocks of their own; cut by
 * time where a block would be larger than 1 GiB, and at the ends of hours. A service's dataset may bear rollups only
 * if no block that stays has rollups over the same time: the inputs then hold all of the base that they overlap.
 *
 * Killed at any moment it leaves a segment's or block's inputs as they were: outputs count by the commit alone.
 */

#include "merge_run.h"

#include <fcntl.h>
#include <string.h>

#include "../base/hash.h"
#include "../block/merge.h"
#include "commit.h"
#include "internal.h"
#include "shared.h"

#define INFO_ARENA ((size_t)1 << 30)
#define RECORDS_MAX ((size_t)64 << 20)
#define OUTPUTS_MAX 4096
#define WHOLE_MAX ((size_t)4 << 20) /* inputs up to this are read at once */
#define WHOLE_ALL ((size_t)32 << 20) /* of all inputs; of a cap at most an eighth */

/* ---- damaged inputs ---- */

bool damaged_has(const struct damaged_set *d, const struct ulid *ulid)
{
	return d && d->v.n && bsearch(ulid, d->v.v, d->v.n, sizeof *d->v.v, ulid_order);
}

void damaged_done(struct damaged_set *d)
{
	VEC_DONE(&d->v);
}

static void damaged_add(struct damaged_set *d, const struct ulid *ulid)
{
	struct ulid *slot = d && !damaged_has(d, ulid) ? VEC_PUSH(&d->v) : NULL;
	if (!slot)
		return;
	*slot = *ulid;
	qsort(d->v.v, d->v.n, sizeof *d->v.v, ulid_order);
}

/* ---- what the outputs are ---- */

struct output {
	struct str service;      /* the one inside; empty: all but the big ones */
	int64_t from, to;        /* of the profiles' starts: half-open, `to` INT64_MAX is no end */
	enum block_level level;
};

struct service_sum {
	struct str service;
	uint64_t bytes, profiles;
	int64_t min, max;
	bool big;
};

struct run {
	struct db *db;
	const struct merge_job *job;
	struct arena arena;
	VEC(struct merge_input) inputs;
	VEC(struct commit_input) names; /* of the inputs */
	VEC(struct service_sum) services;
	struct idset by_name;           /* of `services` */
	size_t last;                    /* of `services`: the one found last */
	VEC(struct output) outputs;
	const struct output *output;    /* at hand */
	struct shared_choice *shared;   /* of it; NULL: its symbols are its own */
	VEC(struct catalog_block) added;
	size_t whole;                   /* bytes of inputs that are held */
	uint64_t dropped;               /* profiles that job->drop took out */
	uint64_t bytes_in;
};

static uint64_t info_bytes(const struct dataset_info *info)
{
	uint64_t n = 0;
	for (size_t i = 0; i < ARRAY_SIZE(info->bytes); i++)
		n += info->bytes[i];
	return n;
}

/* Sums are found by hash, the one at hand at once: profiles of a service come in rows. */
static struct service_sum *find_service(struct run *r, struct str service)
{
	if (r->last < r->services.n && str_eq(r->services.v[r->last].service, service))
		return &r->services.v[r->last];
	uint64_t hash = hash_bytes(service.s, service.len);
	for (struct idset_probe p = idset_probe(&r->by_name, hash); idset_next(&r->by_name, &p);)
		if (str_eq(r->services.v[p.id].service, service)) {
			r->last = p.id;
			return &r->services.v[p.id];
		}
	return NULL;
}

static struct service_sum *service_of(struct run *r, struct str service)
{
	struct service_sum *s = find_service(r, service);
	if (s)
		return s;
	s = VEC_PUSH(&r->services);
	if (!s || idset_add(&r->by_name, hash_bytes(service.s, service.len), (uint32_t)(r->services.n - 1)) < 0)
		return NULL;
	*s = (struct service_sum){ .service = service, .min = INT64_MAX, .max = INT64_MIN };
	return s;
}

static int sum_services(struct run *r)
{
	for (size_t i = 0; i < r->inputs.n; i++)
		for (size_t k = 0; k < block_datasets(r->inputs.v[i].block); k++) {
			const struct dataset_info *info = block_info(r->inputs.v[i].block, k);
			struct service_sum *s = service_of(r, info->service);
			if (!s)
				return -ENOMEM;
			s->bytes += info_bytes(info);
			s->profiles += info->profiles;
			s->min = MIN(s->min, info->min_time);
			s->max = MAX(s->max, info->max_time);
		}
	return 0;
}

static int add_output(struct run *r, struct str service, int64_t from, int64_t to, enum block_level level)
{
	struct output *o = r->outputs.n < OUTPUTS_MAX ? VEC_PUSH(&r->outputs) : NULL;
	if (!o)
		return -ENOMEM;
	*o = (struct output){ service, from, to, level };
	return 0;
}

/* Cuts a time evenly, between hours where these are shorter, into as many parts as the bytes or the memory need. */
static int add_parts(struct run *r, struct str service, uint64_t bytes, int64_t min, int64_t max)
{
	uint64_t parts = MAX(bytes / PLAN_BLOCK_MAX + 1, (uint64_t)r->job->parts);
	int64_t step = (int64_t)((uint64_t)(max - min) / parts) + 1;
	if (parts > 1 && step >= NS_PER_HOUR) {
		min = time_floor(min, NS_PER_HOUR);
		step = time_floor(step - 1, NS_PER_HOUR) + NS_PER_HOUR;
	}
	int e = 0;
	for (uint64_t i = 0; i < parts && e == 0; i++)
		e = add_output(r, service, i ? min + (int64_t)i * step : INT64_MIN,
		               i + 1 < parts ? min + (int64_t)(i + 1) * step : INT64_MAX, r->job->level);
	return e;
}

static int plan_whole(struct run *r)
{
	uint64_t shared = 0;
	int64_t min = INT64_MAX, max = INT64_MIN;
	int e = 0;
	for (size_t i = 0; i < r->services.n && e == 0; i++) {
		struct service_sum *s = &r->services.v[i];
		s->big = s->bytes >= PLAN_OWN_MIN;
		if (s->big) {
			e = add_parts(r, s->service, s->bytes, s->min, s->max);
			continue;
		}
		shared += s->bytes;
		min = MIN(min, s->min);
		max = MAX(max, s->max);
	}
	return e < 0 || min > max ? e : add_parts(r, (struct str){ "", 0 }, shared, min, max);
}

/* Whether a block that stays holds rollups of the service over any of [from, to). *ret is only ever set. */
static int base_stays(struct run *r, const struct str *service, int64_t from, int64_t to, bool *ret)
{
	const struct day_state *s = r->job->base;
	for (size_t i = 0; s && i < s->n_blocks && !*ret; i++) {
		struct dataset_info *infos;
		size_t n = 0;
		bool input = false;
		for (size_t k = 0; k < r->names.n; k++)
			input |= !ulid_cmp(&r->names.v[k].ulid, &s->blocks[i]->object.ulid);
		if (input || (service && !live_may_hold(s->blocks[i], *service)))
			continue;
		int e = live_infos(s->blocks[i], &r->arena, &infos, &n);
		if (e < 0)
			return e;
		for (size_t k = 0; k < n; k++)
			*ret |= infos[k].has_rollups && infos[k].min_time < to && infos[k].max_time >= from &&
			        (!service || str_eq(infos[k].service, *service));
	}
	return 0;
}

static void range_of(const struct run *r, int64_t *ret_min, int64_t *ret_max)
{
	*ret_min = INT64_MAX;
	*ret_max = INT64_MIN;
	for (size_t i = 0; i < r->services.n; i++) {
		*ret_min = MIN(*ret_min, r->services.v[i].min);
		*ret_max = MAX(*ret_max, r->services.v[i].max);
	}
}

/*
 * From the first hour without a base on, each hour that is over is an output, and what comes before and after it is one
 * more each: late data does not spoil the hour's rollups.
 */
static int plan_by_hour(struct run *r)
{
	int64_t min, max;
	range_of(r, &min, &max);
	int64_t end = MIN(r->job->hours_end, time_floor(max, NS_PER_HOUR) + NS_PER_HOUR);
	int64_t from = time_floor(min, NS_PER_HOUR);
	bool late = true;
	while (from < end && late) {
		late = false;
		int e = base_stays(r, NULL, from, from + NS_PER_HOUR, &late);
		if (e < 0)
			return e;
		from += late ? NS_PER_HOUR : 0;
	}
	struct str all = { "", 0 };
	int e = min < from ? add_output(r, all, INT64_MIN, from, LEVEL_RECENT) : 0;
	for (int64_t hour = from; hour < end && e == 0; hour += NS_PER_HOUR)
		e = add_output(r, all, hour, hour + NS_PER_HOUR, LEVEL_HOUR);
	if (e == 0 && max >= end)
		e = add_output(r, all, end, INT64_MAX, LEVEL_RECENT);
	return e;
}

/* ---- one output ---- */

static bool keep(void *ctx, struct str service, const struct ulid *id, int64_t time)
{
	struct run *r = ctx;
	const struct output *o = r->output;
	if (time < o->from || !time_before(time, o->to))
		return false;
	if (o->service.len) {
		if (!str_eq(o->service, service))
			return false;
	} else {
		const struct service_sum *s = find_service(r, service);
		if (s && s->big)
			return false;
	}
	if (!r->job->drop || !r->job->drop(r->job->ctx, service, id, time))
		return true;
	r->dropped++;
	return false;
}

static bool may_bear_rollups(void *ctx, struct str service)
{
	struct run *r = ctx;
	const struct service_sum *s = find_service(r, service);
	bool stays = false;
	if (!s || r->output->level < LEVEL_HOUR)
		return false;
	int64_t from = MAX(s->min, r->output->from);
	int64_t to = r->output->to == INT64_MAX ? s->max + 1 : r->output->to;
	return base_stays(r, &service, from, to, &stays) == 0 && !stays;
}

/* The output while it has no name yet: a file that goes with the process. */
struct spooled {
	int fd;
	uint64_t size;
};

static void spooled_done(struct spooled *s)
{
	closep(&s->fd);
	s->fd = -1;
}

static int spool_error(struct error *err, const char *what)
{
	int e = errno;
	return error_set(err, -e, "a block cannot be %s in the temporary folder: %s", what, strerrordesc_np(e));
}

static int spool_open(struct spooled *s, struct error *err)
{
	const char *dir = getenv("TMPDIR");
	_free_ char *path = NULL;
	if (asprintf(&path, "%s/profilefs-merge.XXXXXX", dir && *dir ? dir : "/tmp") < 0)
		return -ENOMEM;
	*s = (struct spooled){ mkostemp(path, O_CLOEXEC), 0 };
	if (s->fd < 0)
		return spool_error(err, "written");
	unlink(path);
	return 0;
}

static int spool_write(void *ctx, const void *data, size_t n, struct error *err)
{
	struct spooled *s = ctx;
	for (const uint8_t *p = data; n;) {
		ssize_t done = write(s->fd, p, MIN(n, (size_t)1 << 30));
		if (done < 0 && errno != EINTR)
			return spool_error(err, "written");
		done = MAX(done, (ssize_t)0);
		p += done;
		n -= (size_t)done;
		s->size += (uint64_t)done;
	}
	return 0;
}

static int spool_read(void *ctx, uint64_t off, uint8_t *out, size_t n, struct error *err)
{
	struct spooled *s = ctx;
	while (n) {
		ssize_t done = pread(s->fd, out, n, (off_t)off);
		if (done == 0 || (done < 0 && errno != EINTR))
			return spool_error(err, "read");
		done = MAX(done, (ssize_t)0);
		out += done;
		off += (uint64_t)done;
		n -= (size_t)done;
	}
	return 0;
}

static int spool_ranges(void *ctx, const struct source_range *ranges, size_t n, struct error *err)
{
	int r = 0;
	for (size_t i = 0; i < n && r == 0; i++)
		r = spool_read(ctx, ranges[i].off, ranges[i].out, ranges[i].len, err);
	return r;
}

static int spool_block(struct spooled *s, struct block **ret, struct error *err)
{
	struct source src = { .read = spool_ranges, .ctx = s, .size = s->size };
	return block_open(&src, "the merged block", ret, err);
}

/* So that the check for duplicates does not read the block back. */
static int note_ids(struct run *r, struct block *block, const struct ulid *ulid, struct error *err)
{
	int e = 0;
	for (size_t i = 0; i < block_datasets(block) && e == 0; i++) {
		struct str service = block_info(block, i)->service;
		_free_ struct ulid *ids = NULL;
		uint32_t n;
		if (!ids_wanted(r->db, service, r->job->day))
			continue;
		e = dataset_ids(block_dataset(block, i), &ids, &n, err);
		if (e == 0)
			ids_note(r->db, service, r->job->day, ulid, ids, n);
	}
	return e;
}

/* What the catalog will say of the block, from the block itself. */
static int describe(struct run *r, struct spooled *s, struct catalog_block *b, struct error *err)
{
	_cleanup_(block_freep) struct block *block = NULL;
	_buf_ struct buf records = BUF_INIT(RECORDS_MAX);
	int e = spool_block(s, &block, err);
	if (e < 0)
		return e;
	for (size_t i = 0; i < block_datasets(block); i++)
		catalog_put_service(&records, block_info(block, i));
	uint8_t *kept = arena_alloc(&r->arena, records.len + 1);
	if (buf_err(&records) || !kept)
		return buf_err(&records) ? buf_err(&records) : -ENOMEM;
	memcpy(kept, records.data, records.len);
	b->services = (struct slice){ kept, records.len };
	return note_ids(r, block, &b->ulid, err);
}

static int put_output(struct run *r, struct spooled *s, struct error *err)
{
	struct catalog_block b = { .size = s->size, .level = (uint8_t)r->output->level };
	int e = ulid_new(&b.ulid);
	if (e == 0)
		e = describe(r, s, &b, err);
	_free_ char *key = key_block(r->db->tenant, r->job->day, &b.ulid);
	if (e == 0 && !key)
		e = -ENOMEM;
	struct store_body body = { .read = spool_read, .ctx = s, .size = s->size };
	if (e == 0)
		e = store_put_body(r->db->store, key, &body, err);
	struct catalog_block *slot = e == 0 ? VEC_PUSH(&r->added) : NULL;
	if (slot)
		*slot = b;
	return e == 0 && !slot ? -ENOMEM : e;
}

static int give_shared(void *ctx, struct str service, struct dataset **ret, struct shared_name *ret_name,
                       struct error *err)
{
	return shared_give(((struct run *)ctx)->shared, service, ret, ret_name, err);
}

/* Whether there are shared symbols of a service of the output. */
static bool can_share(struct run *r)
{
	const struct output *o = r->output;
	for (size_t i = 0; r->shared && i < r->shared->v.n; i++) {
		const struct shared_entry *e = &r->shared->v.v[i];
		const struct service_sum *s = find_service(r, e->service);
		if (!e->refused && s && (o->service.len ? str_eq(o->service, e->service) : !s->big))
			return true;
	}
	return false;
}

/* Merges what the output is to hold into a new file. */
static int spool_output(struct run *r, struct spooled *spool, struct merge_result *res, struct error *err)
{
	struct merge_sink sink = { spool_write, spool };
	struct merge_options options = { .level = r->output->level, .keep = keep, .rollup = may_bear_rollups, .ctx = r,
		                         .memory = r->job->memory ? r->job->memory - r->whole : 0,
		                         .cancel = r->job->cancel };
	options.shared = can_share(r) ? give_shared : NULL;
	spooled_done(spool);
	int e = spool_open(spool, err);
	return e < 0 ? e : block_merge(r->inputs.v, r->inputs.n, &options, &sink, res, err);
}

/* Whether services of the output have outgrown their shared symbols. */
static int find_outgrown(struct run *r, struct spooled *spool, bool *ret, struct error *err)
{
	_cleanup_(block_freep) struct block *b = NULL;
	int e = spool_block(spool, &b, err);
	for (size_t i = 0; e == 0 && i < block_datasets(b); i++)
		*ret |= shared_outgrown(r->shared, b, i);
	return e;
}

/* Whether new ones pay for services of the output; then they are made from it. */
static int renew_shared(struct run *r, struct spooled *spool, bool *ret, struct error *err)
{
	_cleanup_(block_freep) struct block *b = NULL;
	int e = spool_block(spool, &b, err);
	return e ? e : shared_renew(r->shared, b, ret, err);
}

/* The output is made again without what was outgrown, and again with what is new; with nothing of it open meanwhile. */
static int share_output(struct run *r, struct spooled *spool, struct merge_result *res, struct error *err)
{
	bool outgrown = false, renewed = false;
	int e = find_outgrown(r, spool, &outgrown, err);
	if (e == 0 && outgrown)
		e = spool_output(r, spool, res, err);
	if (e == 0)
		e = renew_shared(r, spool, &renewed, err);
	return e == 0 && renewed ? spool_output(r, spool, res, err) : e;
}

static int make_output(struct run *r, const struct output *o, struct merge_counts *counts, struct error *err)
{
	_cleanup_(spooled_done) struct spooled spool = { .fd = -1 };
	_cleanup_(shared_choice_done) struct shared_choice shared = { 0 };
	bool shares = r->job->view && !r->job->drop && o->level == LEVEL_DAY;
	struct merge_result res;
	r->output = o;
	int e = shares ? shared_choose(r->job->view, r->job->day, &shared) : 0;
	r->shared = shares ? &shared : NULL;
	if (e == 0)
		e = spool_output(r, &spool, &res, err);
	if (e == 0 && res.size && shares)
		e = share_output(r, &spool, &res, err);
	r->shared = NULL;
	if (e == 0 && res.size)
		e = put_output(r, &spool, err);
	if (e < 0)
		return e;
	counts->outputs += res.size > 0;
	counts->profiles += res.profiles;
	counts->duplicates += res.duplicates;
	counts->bytes_out += res.size;
	return 0;
}

/* ---- the inputs ---- */

static void close_inputs(struct run *r)
{
	for (size_t i = 0; i < r->inputs.n; i++)
		block_free(r->inputs.v[i].block);
	r->inputs.n = r->names.n = 0;
}

/* Services come one after the other, and each input has some of most: a request for each piece would be many. */
static bool fits_whole(struct run *r, uint64_t size)
{
	size_t all = r->job->memory ? MIN(WHOLE_ALL, r->job->memory / 8) : WHOLE_ALL;
	return size <= MIN(WHOLE_MAX, all - MIN(r->whole, all));
}

/* A damaged input stays where it is: it costs its own data only. */
static int open_input(struct run *r, const struct live *l, struct error *err)
{
	struct merge_input *in = VEC_GROW(&r->inputs, 1);
	struct commit_input *name = VEC_GROW(&r->names, 1);
	if (!in || !name)
		return -ENOMEM;
	bool whole = fits_whole(r, l->object.size);
	int e = object_open(r->db, &l->object, whole, &in->block, err);
	if (err_is_damage(e)) {
		log_msg(r->db->log, LOG_LEVEL_ERROR, "%s: damaged, left out of compaction: %s", l->object.key,
		        error_text(err, e));
		damaged_add(r->job->damaged, &l->object.ulid);
		return 0;
	}
	if (e < 0)
		return e;
	*name = (struct commit_input){ l->object.ulid, l->object.is_block };
	r->inputs.n++;
	r->names.n++;
	r->whole += whole ? l->object.size : 0;
	r->bytes_in += l->object.size;
	return 0;
}

static int open_inputs(struct run *r, struct error *err)
{
	int e = 0;
	for (size_t i = 0; i < r->job->n_inputs && e == 0; i++)
		if (!damaged_has(r->job->damaged, &r->job->inputs[i]->object.ulid))
			e = open_input(r, r->job->inputs[i], err);
	return e;
}

/* After damage somewhere in the inputs: finds where. */
static void find_damage(struct run *r)
{
	for (size_t i = 0; i < r->inputs.n; i++)
		if (block_verify(r->inputs.v[i].block, NULL, NULL, NULL) > 0) {
			log_msg(r->db->log, LOG_LEVEL_ERROR, "%s: damaged, left out of compaction",
			        block_name(r->inputs.v[i].block));
			damaged_add(r->job->damaged, &r->names.v[i].ulid);
		}
}

/* ---- all of it ---- */

/* A marker that a writer could not put, or that retention took, is put back. */
static int put_markers(struct run *r, struct error *err)
{
	int e = 0;
	for (size_t i = 0; i < r->added.n && e == 0; i++) {
		struct dataset_info *infos;
		size_t n = 0;
		e = catalog_get_services(r->added.v[i].services, &r->arena, &infos, &n);
		for (size_t k = 0; k < n && e == 0; k++)
			e = markers_put(r->db, infos[k].service, r->job->day, err);
	}
	return e;
}

static int commit_run(struct run *r, struct error *err)
{
	struct commit c = {
		.day = r->job->day,
		.added = r->added.v,
		.n_added = r->added.n,
		.inputs = r->names.v,
		.n_inputs = r->names.n,
	};
	return db_commit(r->db, &c, r->job->base, err);
}

static int make_outputs(struct run *r, struct merge_counts *counts, struct error *err)
{
	int e = sum_services(r);
	if (e == 0)
		e = r->job->level == LEVEL_HOUR ? plan_by_hour(r) : plan_whole(r);
	for (size_t i = 0; i < r->outputs.n && e == 0; i++)
		e = make_output(r, &r->outputs.v[i], counts, err);
	return e;
}

static void run_done(struct run *r)
{
	close_inputs(r);
	arena_done(&r->arena);
	VEC_DONE(&r->inputs);
	VEC_DONE(&r->names);
	VEC_DONE(&r->services);
	idset_done(&r->by_name);
	VEC_DONE(&r->outputs);
	VEC_DONE(&r->added);
}

static int run_once(struct run *r, struct merge_counts *counts, struct error *err)
{
	struct merge_counts own = { 0 };
	int e = open_inputs(r, err);
	if (e == 0 && !r->inputs.n)
		return COMMIT_DONE;
	if (e == 0)
		e = make_outputs(r, &own, err);
	if (err_is_damage(e) && r->job->damaged)
		find_damage(r);
	if (e == 0)
		e = commit_run(r, err);
	if (e == ERR_STORE_NOT_FOUND)
		e = COMMIT_ABANDONED; /* an input was merged away by another compactor, and collected */
	if (e == COMMIT_ABANDONED)
		counts->abandoned++;
	if (e != COMMIT_DONE)
		return e;
	counts->merges++;
	counts->inputs += r->inputs.n;
	counts->outputs += own.outputs;
	counts->profiles += own.profiles;
	counts->duplicates += own.duplicates;
	counts->bytes_in += r->bytes_in;
	counts->bytes_out += own.bytes_out;
	counts->dropped += r->dropped;
	return put_markers(r, err);
}

int merge_run(struct db *db, const struct merge_job *job, struct merge_counts *counts, struct error *err)
{
	int e = ERR_CORRUPT;
	for (int i = 0; i < 2 && err_is_damage(e); i++) { /* the second time without what was found damaged */
		struct run r = { .db = db, .job = job, .arena = ARENA_INIT(INFO_ARENA) };
		e = run_once(&r, counts, err);
		run_done(&r);
	}
	return e;
}

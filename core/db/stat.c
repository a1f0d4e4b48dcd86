/* SPDX-License-Identifier: MIT */

/* What the whole store holds, and what it takes. */

#include <string.h>

#include "internal.h"
#include "shared.h"

struct counting {
	uint64_t n, bytes;
};

static int on_counted(void *ctx, const char *key, const struct store_stat *st)
{
	struct counting *c = ctx;
	(void)key;
	if (st) {
		c->n++;
		c->bytes += st->size;
	}
	return 0;
}

static int count_folder(struct db *db, const char *folder, struct counting *ret, struct error *err)
{
	_free_ char *prefix = key_under(db->tenant, folder);
	return prefix ? store_list(db->store, prefix, NULL, 0, on_counted, ret, err) : -ENOMEM;
}

static void add_block(struct db_stats *s, struct block *b)
{
	for (size_t i = 0; i < block_datasets(b); i++) {
		const struct dataset_info *info = block_info(b, i);
		s->profiles += info->profiles;
		s->samples += info->samples;
		s->bytes_in += info->bytes_in;
		for (size_t k = 0; k < ARRAY_SIZE(s->bytes); k++)
			s->bytes[k] += info->bytes[k];
	}
}

static void add_shared(struct db_stats *s, const struct view *v)
{
	const struct day_state *shared = view_day(v, SHARED_DAY);
	for (size_t i = 0; shared && i < shared->n_blocks; i++) {
		s->shared++;
		s->shared_bytes += shared->blocks[i]->object.size;
	}
}

static int stat_objects(struct db *db, struct view *v, struct db_stats *s, struct error *err)
{
	int32_t last_day = INT32_MIN;
	for (size_t i = 0; i < v->n; i++) {
		const struct object *o = &v->live[i]->object;
		struct cached *c;
		struct error why = { 0 };
		s->days += i == 0 || o->day != last_day;
		last_day = o->day;
		*(o->is_block ? &s->blocks : &s->segments) += 1;
		*(o->is_block ? &s->block_bytes : &s->segment_bytes) += o->size;
		int r = cache_pin(db, v->live[i], &c, &why);
		if (r == -ENOMEM || r == ERR_STORE_ACCESS || r == ERR_STORE_TIMEOUT)
			return error_set(err, r, "%s", error_text(&why, r));
		if (r < 0) {
			s->damaged++;
			continue;
		}
		add_block(s, cached_block(c));
		cache_unpin(db, c);
	}
	return 0;
}

int db_stat(struct db *db, struct db_stats *ret, struct error *err)
{
	_cleanup_(view_unrefp) struct view *v = NULL;
	_names_ struct names services = { 0 };
	struct counting catalogs = { 0 }, markers = { 0 };
	struct db_stats s = { 0 };
	int r = db_view(db, 0, &v, err);
	if (r == 0)
		r = db_services(db, 0, &services, err);
	if (r == 0)
		r = count_folder(db, "cat", &catalogs, err);
	if (r == 0)
		r = count_folder(db, "svc", &markers, err);
	if (r == 0)
		r = stat_objects(db, v, &s, err);
	if (r < 0)
		return r;
	add_shared(&s, v);
	s.bytes[BYTES_SYMBOLS] += s.shared_bytes;
	s.services = services.n;
	s.catalogs = catalogs.n;
	s.catalog_bytes = catalogs.bytes;
	s.markers = markers.n;
	s.objects = v->n + s.shared + catalogs.n + markers.n;
	s.object_bytes = s.segment_bytes + s.block_bytes + s.shared_bytes + catalogs.bytes + markers.bytes;
	*ret = s;
	return 0;
}

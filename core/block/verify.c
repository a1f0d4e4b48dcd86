/* SPDX-License-Identifier: MIT */

/*
 * Verifies a whole object: every section's checksum, every table, every row group, and that totals are what
 * they say.
 */

#include <string.h>

#include "../base/clock.h"
#include "../base/hash.h"
#include "reader.h"

struct verifier {
	void (*report)(void *ctx, const char *what);
	void *ctx;
	int found;
};

static void found(struct verifier *v, const char *what)
{
	v->found++;
	if (v->report)
		v->report(v->ctx, what);
}

/* The sample region has no checksum of its own: its streams have. */
static void verify_totals(struct verifier *v, struct dataset *d, const struct profile_row *row,
                          const struct samples *s)
{
	const struct header *h = &d->profiles.headers[row->header];
	for (uint32_t t = 0; t < h->n_types; t++) {
		__int128 sum = 0;
		for (uint32_t i = 0; i < s->n; i++)
			sum += s->values[t][i];
		sum = MAX(MIN(sum, (__int128)INT64_MAX), (__int128)INT64_MIN);
		if (sum != d->profiles.totals[row->totals_at + t]) {
			char id[ULID_LEN + 1], text[128];
			struct ulid u = profile_row_id(row);
			snprintf(text, sizeof text, "profile %s: the total of type %u is not the sum of its samples",
			         ulid_format(&u, id), t);
			found(v, text);
			return;
		}
	}
}

static int verify_groups(struct verifier *v, struct dataset *d)
{
	const struct profiles *p = &d->profiles;
	struct columns all = { UINT64_MAX, true, true };
	for (uint32_t n = 0; n < d->n_groups; n++) {
		struct error err = { 0 };
		_cleanup_(group_freep) struct group *g = NULL;
		int r = dataset_group(d, n, &all, &g, &err);
		for (uint32_t i = d->group_at[n]; i < d->group_at[n + 1] && r == 0; i++) {
			const struct profile_row *row = &p->rows[d->group_rows[i]];
			struct samples s;
			r = group_samples(g, row, &s, &err);
			if (r == 0)
				verify_totals(v, d, row, &s);
		}
		if (r == -ENOMEM)
			return r;
		if (r < 0)
			found(v, error_text(&err, r));
	}
	return 0;
}

/* What the rows of an hour that are of an event kind add up to: wide, as cells do. */
static __int128 total_of_hour(const struct dataset *d, const struct rollup_cell *c, uint32_t type)
{
	const struct profiles *p = &d->profiles;
	__int128 sum = 0;
	for (uint32_t i = 0; i < p->n; i++) {
		const struct profile_row *r = &p->rows[i];
		bool of_kind = d->rollups.kind_of[2 * r->header] == c->kind ||
		               d->rollups.kind_of[2 * r->header + 1] == c->kind;
		if (of_kind && (c->whole || time_floor_div(r->time, NS_PER_HOUR) == c->hour))
			sum += p->totals[r->totals_at + type];
	}
	return sum;
}

static int verify_cell(struct verifier *v, struct dataset *d, const struct rollup_cell *c, uint32_t type)
{
	struct error err = { 0 };
	struct rollup_sums sums;
	const struct rollup_kind *kind = &d->rollups.kinds[c->kind];
	int r = rollup_read(d, c, type, &sums, &err);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		found(v, error_text(&err, r));
		return 0;
	}
	__int128 total = 0;
	for (uint32_t i = 0; i < sums.n; i++)
		total += sums.values[i];
	rollup_sums_done(&sums);
	bool told = !kind->running && !kind->instant && c->series == PROFILE_NONE;
	if (told && total != total_of_hour(d, c, type)) {
		char text[128];
		snprintf(text, sizeof text, "rollup of hour %d: type %u is not the sum of its profiles", c->hour, type);
		found(v, text);
	}
	return 0;
}

static int verify_rollups(struct verifier *v, struct dataset *d)
{
	struct error err = { 0 };
	const struct rollups *rollups;
	int r = dataset_rollups(d, &rollups, &err);
	if (r < 0 && r != -ENOMEM) {
		found(v, error_text(&err, r));
		return 0;
	}
	for (uint32_t i = 0; r == 0 && i < rollups->n_cells; i++) {
		const struct rollup_cell *c = &rollups->cells[i];
		uint32_t n_types = d->profiles.headers[rollups->kinds[c->kind].header].n_types;
		for (uint32_t t = 0; t < n_types && r == 0; t++)
			r = verify_cell(v, d, c, t);
	}
	return r;
}

static int verify_dataset(struct verifier *v, struct dataset *d)
{
	struct error err = { 0 };
	const struct symbols *symbols;
	const struct labelsets *sets;
	const struct profiles *profiles;
	int r = dataset_symbols(d, &symbols, &err);
	if (r == 0 && dataset_is_shared(d))
		return 0;
	if (r == 0)
		r = dataset_labelsets(d, &sets, &err);
	if (r == 0)
		r = dataset_profiles(d, &profiles, &err);
	if (r == -ENOMEM)
		return r;
	if (r < 0) {
		found(v, error_text(&err, r));
		return 0;
	}
	for (uint32_t i = 0; i < profiles->n_mapsets; i++)
		for (uint32_t k = 0; k < profiles->mapsets[i].n; k++)
			if (profiles->mapsets[i].entries[k].file >= symbols->n_files) {
				found(v, "a list of mappings names a file that is not there");
				return 0;
			}
	r = verify_groups(v, d);
	return r < 0 ? r : verify_rollups(v, d);
}

int block_verify(struct block *b, void (*report)(void *ctx, const char *what), void *ctx, struct error *err)
{
	struct verifier v = { report, ctx, 0 };
	uint8_t magic[LAYOUT_MAGIC_LEN];
	struct source_range range = { 0, sizeof magic, magic };
	int r = block_read(b, &range, 1, err);
	if (r < 0)
		return r;
	if (memcmp(magic, LAYOUT_MAGIC, sizeof magic) != 0)
		found(&v, "the magic at the beginning is wrong");
	for (size_t i = 0; i < b->n_datasets; i++)
		if ((r = verify_dataset(&v, &b->datasets[i])) < 0)
			return error_set(err, r, "%s: %s", b->name, err_text(r));
	return v.found;
}

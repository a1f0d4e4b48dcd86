/* SPDX-License-Identifier: MIT */

/*
 * Verifies a whole object: every section's checksum, every table, every row group, and that totals are what
 * they say.
 */

#include <string.h>

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

static int verify_dataset(struct verifier *v, struct dataset *d)
{
	struct error err = { 0 };
	const struct symbols *symbols;
	const struct labelsets *sets;
	const struct profiles *profiles;
	int r = dataset_symbols(d, &symbols, &err);
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
	return verify_groups(v, d);
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

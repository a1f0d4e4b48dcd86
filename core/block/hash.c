/* SPDX-License-Identifier: MIT */

/*
 * The identity of a profile, by content: whatever encoded it, and in whatever order its tables and samples came,
 * so that a profile that was read back from the store is the one that is there. Every string is hashed once;
 * functions, locations and samples are hashes of hashes; samples are added up; XXH3-128 sees the sums and what the
 * profile says of itself.
 */

#include <string.h>

#include "../base/hash.h"
#include "block.h"

struct hasher {
	const struct profile *p;
	uint64_t *strings, *functions, *mappings, *locations;
};

static uint64_t text_hash(struct str s)
{
	return hash_mix(hash_bytes(s.s, s.len), s.len);
}

static uint64_t label_list_hash(const struct label *labels, size_t n)
{
	uint64_t sum = n;
	for (size_t i = 0; i < n; i++)
		sum += hash_mix(text_hash(labels[i].key), text_hash(labels[i].value) + 1);
	return sum;
}

static uint64_t location_hash(const struct hasher *h, const struct profile_location *l)
{
	uint64_t x = l->mapping == PROFILE_NONE ? 0 : h->mappings[l->mapping];
	x = hash_mix(x ^ l->is_folded, l->address);
	for (uint32_t k = 0; k < l->n_lines; k++) {
		const struct profile_line *line = &h->p->lines.v[l->line_at + k];
		uint64_t function = line->function == PROFILE_NONE ? 1 : h->functions[line->function];
		x = hash_mix(x ^ function, (uint64_t)line->line * 0x9e3779b97f4a7c15 ^ (uint64_t)line->column);
	}
	return x;
}

static void hash_tables(struct hasher *h)
{
	const struct profile *p = h->p;
	for (size_t i = 0; i < p->strings.n; i++)
		h->strings[i] = text_hash(p->strings.v[i]);
	for (size_t i = 0; i < p->functions.n; i++) {
		const struct profile_function *f = &p->functions.v[i];
		h->functions[i] = hash_mix(hash_mix(h->strings[f->name], h->strings[f->system_name] + 1),
		                           hash_mix(h->strings[f->filename], (uint64_t)f->start_line));
	}
	for (size_t i = 0; i < p->mappings.n; i++) {
		const struct profile_mapping *m = &p->mappings.v[i];
		h->mappings[i] = hash_mix(hash_mix(h->strings[m->filename], h->strings[m->build_id] + 1) ^ m->flags,
		                          hash_mix(m->start, m->limit) ^ m->offset);
	}
	for (size_t i = 0; i < p->locations.n; i++)
		h->locations[i] = location_hash(h, &p->locations.v[i]);
}

/* One word per sample: its values, stack and labels. */
static uint64_t sample_hash(struct hasher *h, size_t i)
{
	const struct profile *p = h->p;
	size_t n_types = p->types.n, from = p->loc_at.v[i], to = p->loc_at.v[i + 1];
	uint64_t x = hash_mix(to - from, hash_bytes(p->values.v + i * n_types, n_types * sizeof(int64_t)));
	for (size_t k = from; k < to; k++)
		x = hash_mix(x, h->locations[p->locs.v[k]]);
	for (size_t k = p->label_at.n ? p->label_at.v[i] : 0; p->label_at.n && k < p->label_at.v[i + 1]; k++) {
		const struct profile_label *l = &p->labels.v[k];
		x = hash_mix(x ^ h->strings[l->key], hash_mix(h->strings[l->str], (uint64_t)l->num) ^
		                                             (h->strings[l->num_unit] + l->is_num));
	}
	return x;
}

static void hash_head(struct hasher *h, const struct profile_meta *meta, struct str salt, XXH3_state_t *state)
{
	const struct profile *p = h->p;
	uint64_t head[] = {
		text_hash(meta->service),
		label_list_hash(meta->labels, meta->n_labels),
		label_list_hash(meta->path_labels, meta->n_path_labels) * 3,
		(uint64_t)p->time_ns,
		(uint64_t)p->duration_ns,
		(uint64_t)p->period,
		hash_mix(h->strings[p->period_type.type], h->strings[p->period_type.unit]),
		p->time_ns ? 0 : hash_mix(text_hash(salt), (uint64_t)meta->time),
		p->types.n,
		p->n_samples,
	};
	XXH3_128bits_update(state, head, sizeof head);
	for (size_t t = 0; t < p->types.n; t++) {
		uint64_t type = hash_mix(h->strings[p->types.v[t].type], h->strings[p->types.v[t].unit]);
		XXH3_128bits_update(state, &type, sizeof type);
	}
}

int profile_hash(const struct profile *p, const struct profile_meta *meta, struct str salt,
                 uint8_t ret[PROFILE_HASH_LEN])
{
	struct hasher h = { .p = p };
	size_t n = p->strings.n + p->functions.n + p->mappings.n + p->locations.n;
	_free_ uint64_t *words = calloc(n + 1, sizeof *words);
	if (!words)
		return -ENOMEM;
	h.strings = words;
	h.functions = h.strings + p->strings.n;
	h.mappings = h.functions + p->functions.n;
	h.locations = h.mappings + p->mappings.n;
	hash_tables(&h);
	uint64_t samples[2] = { 0, 0 };
	for (size_t i = 0; i < p->n_samples; i++) {
		uint64_t x = sample_hash(&h, i);
		samples[0] += x;
		samples[1] += hash_mix(x, UINT64_C(0xa0761d6478bd642f));
	}
	XXH3_state_t state;
	XXH3_128bits_reset(&state);
	hash_head(&h, meta, salt, &state);
	XXH3_128bits_update(&state, samples, sizeof samples);
	XXH128_canonical_t digest;
	XXH128_canonicalFromHash(&digest, XXH3_128bits_digest(&state));
	memcpy(ret, digest.digest, PROFILE_HASH_LEN);
	return 0;
}

/* SPDX-License-Identifier: MIT */

/*
 * Shared symbols. What a service's days have in common is stored once, as a block of one dataset that has nothing but
 * symbols. A later day's tables begin with these rows, number by number, and each section is compressed with the shared
 * one as its prefix: so the beginning costs a few bytes, and what follows is the day's own. A reader needs the shared
 * sections to decompress, and then has whole tables like any others.
 *
 * The rows are those that stacks name, in the order of the day they were made from: its label texts (span ids and the
 * like) are not among them, as no other day has these.
 */

#include "shared.h"

#include "merge_map.h"

static int begin_strings(struct build *b, const struct symbols *s)
{
	for (uint32_t i = 0; i < s->n_strings; i++)
		if (intern_id(&b->strings, s->strings[i].s, s->strings[i].len) != i)
			return ERR_CORRUPT_LAYOUT;
	return 0;
}

/* A row that is there twice would have two numbers: that is nothing to begin with. */
static int begin_rows(struct build *b, const struct symbols *s, struct build_map *scratch)
{
	for (uint32_t i = 0; i < s->n_functions; i++)
		if (build_add_function(b, &s->functions[i]) != i)
			return ERR_CORRUPT_LAYOUT;
	for (uint32_t i = 0; i < s->n_files; i++)
		if (build_add_file(b, &s->files[i]) != i)
			return ERR_CORRUPT_LAYOUT;
	for (uint32_t i = 0; i < s->n_locations; i++)
		if (build_add_location(b, scratch, &s->locations[i], s->lines + s->locations[i].line_at) != i)
			return ERR_CORRUPT_LAYOUT;
	for (uint32_t i = 1; i < s->n_stacks; i++)
		if (build_add_stack(b, s->stack_parent[i], s->stack_location[i]) != i)
			return ERR_CORRUPT_LAYOUT;
	return 0;
}

int shared_begin(struct out_dataset *d, struct dataset *shared, const struct shared_name *name,
                 struct build_map *scratch, struct error *err)
{
	const struct symbols *s;
	int r = dataset_symbols(shared, &s, err);
	if (r < 0)
		return r;
	r = begin_strings(&d->build, s);
	if (r == 0)
		r = begin_rows(&d->build, s, scratch);
	if (r < 0)
		return corrupt(shared, err, "these symbols cannot be shared");
	d->shared = shared;
	d->shared_name = *name;
	return 0;
}

static int write_buf(void *ctx, const void *data, size_t n, struct error *err)
{
	struct buf *out = ctx;
	buf_put(out, data, n);
	return buf_err(out);
}

static int put_block(struct out_dataset *d, int64_t time, struct buf *bytes, struct error *err)
{
	_buf_ struct buf footer = BUF_INIT(LAYOUT_MAX_FOOTER);
	struct merge_sink sink = { write_buf, bytes };
	struct out o = { .sink = &sink, .err = err, .level = LEVEL_BLOCK, .version = BLOCK_VERSION_PLAIN };
	struct sections s = { 0 };
	out_magic(&o);
	out_dataset_symbols(&o, d, &s);
	buf_varint(&footer, 0); /* level */
	buf_varint(&footer, 1);
	out_shared_info(&footer, d, time, &s);
	out_trailer(&o, &footer);
	return o.result;
}

int shared_make(struct dataset *d, int64_t time, struct buf *out, struct error *err)
{
	_cleanup_(out_dataset_freep) struct out_dataset *to = NULL;
	_cleanup_(build_map_done) struct build_map scratch;
	_cleanup_(merge_map_done) struct merge_map map = { 0 };
	build_map_init(&scratch);
	int r = out_dataset_new(d->info.service, LEVEL_BLOCK, &to);
	if (r == 0)
		r = merge_map_init(&map, d, to, &scratch, err);
	for (uint32_t i = 1; r == 0 && i < map.symbols->n_stacks; i++)
		r = merge_stack(&map, i) == IDSET_NONE ? -ENOMEM : 0;
	if (r == 0)
		r = put_block(to, time, out, err);
	dataset_unload(d);
	return r;
}

/* SPDX-License-Identifier: MIT */

/* The symbol tables as columns. Neighbouring rows are alike (code of one file, callers and callees), so ids are written
 * as differences from the row before. */

#include "build.h"
#include "layout.h"

#define COLUMN_MAX LAYOUT_MAX_SECTION

static void delta_put(struct buf *b, uint64_t v, uint64_t *last)
{
	buf_svarint(b, (int64_t)(v - *last));
	*last = v;
}

static void column_close(struct buf *column, struct buf *out)
{
	if (buf_err(column))
		out->err = buf_err(column);
	column_put(out, column);
	buf_done(column);
}

#define COLUMN(name) _buf_ struct buf name = BUF_INIT(COLUMN_MAX)

void build_encode_functions(const struct build *b, struct buf *out)
{
	COLUMN(name);
	COLUMN(system);
	COLUMN(file);
	COLUMN(line);
	uint64_t last_name = 0, last_file = 0;
	for (size_t i = 0; i < b->functions.n; i++) {
		const struct sym_function *f = &b->functions.v[i];
		delta_put(&name, f->name, &last_name);
		buf_varint(&system, f->system_name == f->name ? 0 : (uint64_t)f->system_name + 1);
		delta_put(&file, f->filename, &last_file);
		buf_svarint(&line, f->start_line);
	}
	buf_varint(out, b->functions.n);
	column_close(&name, out);
	column_close(&system, out);
	column_close(&file, out);
	column_close(&line, out);
}

void build_encode_files(const struct build *b, struct buf *out)
{
	buf_varint(out, b->files.n);
	for (size_t i = 0; i < b->files.n; i++) {
		buf_varint(out, b->files.v[i].filename);
		buf_varint(out, b->files.v[i].build_id);
		buf_u8(out, b->files.v[i].flags);
	}
}

void build_encode_locations(const struct build *b, struct buf *out)
{
	COLUMN(file);
	COLUMN(address);
	COLUMN(flags);
	COLUMN(ordinal);
	COLUMN(n_lines);
	COLUMN(function);
	COLUMN(line);
	COLUMN(column);
	uint64_t last_address = 0, last_function = 0, last_line = 0;
	for (size_t i = 0; i < b->locations.n; i++) {
		const struct sym_location *l = &b->locations.v[i];
		buf_varint(&file, (uint32_t)(l->file + 1));
		delta_put(&address, l->address, &last_address);
		buf_u8(&flags, l->flags);
		buf_varint(&ordinal, l->ordinal);
		buf_varint(&n_lines, l->n_lines);
		for (uint32_t k = 0; k < l->n_lines; k++) {
			const struct sym_line *sl = &b->lines.v[l->line_at + k];
			delta_put(&function, (uint32_t)(sl->function + 1), &last_function);
			delta_put(&line, (uint64_t)sl->line, &last_line);
			buf_svarint(&column, sl->column);
		}
	}
	buf_varint(out, b->locations.n);
	buf_varint(out, b->lines.n);
	struct buf *columns[] = { &file, &address, &flags, &ordinal, &n_lines, &function, &line, &column };
	for (size_t i = 0; i < ARRAY_SIZE(columns); i++)
		column_close(columns[i], out);
}

void build_encode_stacks(const struct build *b, struct buf *out)
{
	COLUMN(parent);
	COLUMN(location);
	uint64_t last = 0;
	for (size_t i = 1; i < b->stack_parent.n; i++) {
		buf_varint(&parent, i - 1 - b->stack_parent.v[i]);
		delta_put(&location, b->stack_location.v[i], &last);
	}
	buf_varint(out, b->stack_parent.n);
	column_close(&parent, out);
	column_close(&location, out);
}

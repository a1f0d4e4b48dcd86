/* SPDX-License-Identifier: MIT */
#include "otlp.h"

void otlp_dict_done(struct otlp_dict *d)
{
	for (size_t i = 0; i < OTLP_TABLES; i++)
		VEC_DONE(&d->rows[i]);
	d->bytes = 0;
}

void otlp_dict_clear(struct otlp_dict *d)
{
	for (size_t i = 0; i < OTLP_TABLES; i++)
		d->rows[i].n = 0;
	d->bytes = 0;
}

static int add_row(struct otlp_dict *d, enum otlp_table table, struct slice row, struct error *err)
{
	d->bytes += sizeof row;
	if (d->bytes > d->max_bytes)
		return error_set(err, ERR_FORMAT_LIMIT, "the tables need more than %zu MiB of memory",
		                 d->max_bytes >> 20);
	struct slice *to = VEC_PUSH(&d->rows[table]);
	if (!to)
		return error_set(err, -ENOMEM, "no memory for the tables");
	*to = row;
	return 0;
}

int otlp_dict_read(struct otlp_dict *d, struct slice message, const struct otlp_layout *layout, struct error *err)
{
	struct cursor c = cursor_of(message);
	struct pb_field f = { 0 };
	while (pb_next(&c, &f)) {
		enum otlp_table table = f.number < ARRAY_SIZE(layout->tables) ? layout->tables[f.number] : TABLE_NONE;
		if (table == TABLE_NONE)
			continue;
		if (f.wire != PB_LEN)
			return error_set(err, ERR_FORMAT_MALFORMED, "the tables: field %u has the wrong wire type %d",
			                 f.number, (int)f.wire);
		int e = add_row(d, table, f.bytes, err);
		if (e)
			return e;
	}
	return c.bad ? error_set(err, ERR_FORMAT_MALFORMED, "the tables are malformed or cut short") : 0;
}

bool otlp_dict_row(const struct otlp_dict *d, enum otlp_table table, uint64_t i, struct slice *ret)
{
	*ret = (struct slice){ NULL, 0 };
	if (i < d->rows[table].n)
		*ret = d->rows[table].v[i];
	return i < MAX(d->rows[table].n, (size_t)1);
}

bool otlp_dict_string(const struct otlp_dict *d, uint64_t i, struct str *ret)
{
	struct slice row;
	bool found = otlp_dict_row(d, TABLE_STRING, i, &row);
	*ret = (struct str){ row.len ? (const char *)row.data : "", row.len };
	return found;
}

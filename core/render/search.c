/* SPDX-License-Identifier: MIT */
#include "tsv.h"

/* Which services call a function: a row for each service and type, in the order of their names. */

static void put_row(struct buf *out, const struct function_use *u)
{
	char first[TIME_LEN], last[TIME_LEN];
	tsv_field(out, u->service);
	buf_putc(out, '\t');
	tsv_field(out, str_of(u->type));
	buf_putc(out, '\t');
	buf_i64(out, u->self);
	buf_putc(out, '\t');
	buf_i64(out, u->total);
	buf_putc(out, '\t');
	tsv_field(out, str_of(u->unit));
	buf_printf(out, "\t%llu\t%s\t%s\n", (unsigned long long)u->profiles, time_format_rfc3339(u->first, first),
	           time_format_rfc3339(u->last, last));
}

static int search_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	struct function_uses uses = { 0 };
	int e = query_function_uses(q, cancel, &uses, err);
	if (e < 0)
		return e;
	buf_puts(out, "service\ttype\tself\ttotal\tunit\tprofiles\tfirst\tlast\n");
	for (size_t i = 0; i < uses.n; i++)
		put_row(out, &uses.v[i]);
	function_uses_done(&uses);
	return buf_err(out);
}

const struct rendering render_search = { "search.tsv", 0, true, search_render };

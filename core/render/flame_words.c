/* SPDX-License-Identifier: MIT */
#include <math.h>

#include "flamegraph.h"

void put_change(struct buf *out, uint64_t before, uint64_t after)
{
	double percent = before ? ((double)after - (double)before) / (double)before * 100 : 0;
	if (fabs(percent) < 0.1)
		return;
	buf_puts(out, percent < 0 ? "\xe2\x88\x92" : "+");
	put_decimal(out, fabs(percent), fabs(percent) < 10 ? 1 : 0);
	buf_putc(out, '%');
}

/* The sides as they are, also where the baseline is scaled for the picture. */
static void put_totals(struct buf *out, const struct flame *f, const struct shown *shown)
{
	const struct call_diff *d = f->diff;
	put_value(out, shown, f->tree->total);
	if (!d) {
		buf_puts(out, ", 100%");
		return;
	}
	buf_puts(out, " against ");
	put_value(out, shown, d->before.total);
	if (d->before.total > 0 && f->tree->total > 0) {
		buf_puts(out, " (");
		put_change(out, (uint64_t)d->before.total, (uint64_t)f->tree->total);
		buf_putc(out, ')');
	}
	if (d->factor != 1) {
		buf_puts(out, ", baseline scaled by ");
		put_number(out, round(d->factor * 1e4) / 1e4);
	}
}

static void put_profiles(struct buf *out, struct query *q)
{
	uint64_t n = query_info(q)->profiles;
	put_grouped(out, n);
	if (query_baseline(q)) {
		buf_puts(out, " and ");
		put_grouped(out, query_info(query_baseline(q))->profiles);
	}
	buf_puts(out, n == 1 && !query_baseline(q) ? " profile" : " profiles");
}

void put_flame_summary(struct buf *out, const struct flame *f, struct query *q)
{
	const struct query_info *info = query_info(q);
	struct shown shown = shown_of(q);
	xml_escape(out, str_of(info->type));
	buf_puts(out, info->averaged ? ": average " : ": total ");
	put_totals(out, f, &shown);
	buf_puts(out, " · ");
	put_picture_range(out, q);
	buf_puts(out, " · ");
	put_profiles(out, q);
}

/* SPDX-License-Identifier: MIT */

/* profilefs stat: what the store holds and what it takes. */

#include <inttypes.h>

#include "../../core/db/settings.h"
#include "../../core/wire/jsonw.h"
#include "common.h"

enum { OPT_JSON = OPT_OF_COMMAND };

static double ratio(uint64_t a, uint64_t b)
{
	return b ? (double)a / (double)b : 0;
}

static uint64_t sections(const struct db_stats *s)
{
	return s->bytes[BYTES_SYMBOLS] + s->bytes[BYTES_SAMPLES] + s->bytes[BYTES_META] + s->bytes[BYTES_ROLLUPS];
}

static void put_count(struct buf *out, const char *name, uint64_t n, uint64_t bytes)
{
	char text[24];
	buf_printf(out, "  %-10s %10" PRIu64 "  %12s\n", name, n, bytes_format(bytes, text));
}

static void put_share(struct buf *out, const char *name, uint64_t bytes, uint64_t all)
{
	char text[24];
	buf_printf(out, "  %-10s %9.1f%%  %12s\n", name, 100 * ratio(bytes, all), bytes_format(bytes, text));
}

/* What `stat` tells besides what the store holds. */
struct extra {
	struct db_lag lag;
	struct retentions limits;
};

static void put_retention(struct buf *out, const char *of, const struct retention *r)
{
	char text[24];
	if (!r->days && !r->bytes)
		return;
	buf_printf(out, "retention of %s:", of);
	if (r->days)
		buf_printf(out, " %lld days", (long long)r->days);
	if (r->bytes)
		buf_printf(out, " %s", bytes_format(r->bytes, text));
	buf_putc(out, '\n');
}

static void put_compaction(struct buf *out, const struct extra *extra)
{
	put_retention(out, "the store", &extra->limits.store);
	for (size_t i = 0; i < extra->limits.services.n; i++)
		put_retention(out, extra->limits.services.v[i].service, &extra->limits.services.v[i].r);
	if (extra->lag.age > COMPACTION_LATE)
		buf_printf(out, "segments have waited for compaction for %lld minutes: nothing compacts this store, or "
		           "not fast enough; run `profilefs compact --watch`\n",
		           (long long)(extra->lag.age / NS_PER_MIN));
}

static void put_human(struct buf *out, const struct db_stats *s, const struct extra *extra)
{
	char text[24];
	uint64_t all = sections(s), stored = s->segment_bytes + s->block_bytes + s->shared_bytes;
	buf_printf(out, "%" PRIu64 " profiles (%" PRIu64 " samples) of %" PRIu64 " services on %" PRIu64 " days\n",
	           s->profiles, s->samples, s->services, s->days);
	buf_puts(out, "objects\n");
	put_count(out, "segments", s->segments, s->segment_bytes);
	put_count(out, "blocks", s->blocks, s->block_bytes);
	if (s->shared)
		put_count(out, "shared", s->shared, s->shared_bytes);
	put_count(out, "catalogs", s->catalogs, s->catalog_bytes);
	put_count(out, "all", s->objects, s->object_bytes);
	buf_puts(out, "bytes\n");
	put_share(out, "symbols", s->bytes[BYTES_SYMBOLS], all);
	put_share(out, "samples", s->bytes[BYTES_SAMPLES], all);
	put_share(out, "meta", s->bytes[BYTES_META], all);
	put_share(out, "rollups", s->bytes[BYTES_ROLLUPS], all);
	bytes_format(s->bytes_in, text);
	if (s->profiles)
		buf_printf(out, "%s came in: stored in 1/%.1f of that, %.0f bytes a profile\n", text,
		           ratio(s->bytes_in, stored), ratio(stored, s->profiles));
	put_compaction(out, extra);
	if (s->damaged)
		buf_printf(out, "%" PRIu64 " objects are damaged; `profilefs check` names them\n", s->damaged);
}

static void put_pair(struct jsonw *w, const char *key, uint64_t v)
{
	jsonw_key(w, key);
	jsonw_u64(w, v);
}

static void put_json(struct buf *out, const struct db_stats *s, const struct extra *extra)
{
	const struct {
		const char *key;
		uint64_t value;
	} pairs[] = {
		{ "profiles", s->profiles }, { "samples", s->samples },
		{ "services", s->services }, { "days", s->days },
		{ "objects", s->objects }, { "object_bytes", s->object_bytes },
		{ "segments", s->segments }, { "segment_bytes", s->segment_bytes },
		{ "blocks", s->blocks }, { "block_bytes", s->block_bytes },
		{ "shared_symbols", s->shared }, { "shared_symbol_bytes", s->shared_bytes },
		{ "catalogs", s->catalogs }, { "catalog_bytes", s->catalog_bytes }, { "markers", s->markers },
		{ "symbol_bytes", s->bytes[BYTES_SYMBOLS] }, { "sample_bytes", s->bytes[BYTES_SAMPLES] },
		{ "meta_bytes", s->bytes[BYTES_META] }, { "rollup_bytes", s->bytes[BYTES_ROLLUPS] },
		{ "bytes_in", s->bytes_in }, { "damaged", s->damaged },
	};
	struct jsonw w = JSONW(out);
	jsonw_object(&w);
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++)
		put_pair(&w, pairs[i].key, pairs[i].value);
	put_pair(&w, "oldest_segment_seconds", (uint64_t)MAX(extra->lag.age / NS_PER_S, INT64_C(0)));
	put_pair(&w, "retention_days", (uint64_t)extra->limits.store.days);
	put_pair(&w, "retention_bytes", extra->limits.store.bytes);
	jsonw_key(&w, "symbol_share");
	jsonw_double(&w, ratio(s->bytes[BYTES_SYMBOLS], sections(s)));
	jsonw_key(&w, "ratio");
	jsonw_double(&w, ratio(s->bytes_in, s->segment_bytes + s->block_bytes + s->shared_bytes));
	jsonw_end_object(&w);
	buf_putc(out, '\n');
}

static int run_stat(const struct command *self, int argc, char **argv)
{
	static const struct option options[] = {
		COMMON_LONG_OPTIONS,
		{ "json", no_argument, NULL, OPT_JSON },
		{ 0 },
	};
	_cleanup_(session_done) struct session s = { 0 };
	_buf_ struct buf out = BUF_INIT(1 << 20);
	struct common common = { 0 };
	struct error err = { 0 };
	struct db_stats stats;
	bool json = false;
	int rc;

	for (int c; (c = getopt_long(argc, argv, ":vh", options, NULL)) != -1;) {
		if (c == OPT_JSON)
			json = true;
		else if ((rc = common_option(self, &common, c, argv)) >= 0)
			return rc;
	}
	if ((rc = store_operand(self, &common, argc, argv)) >= 0)
		return rc;
	if (optind < argc)
		return wrong_usage(self, "\"%s\" is one operand too many", argv[optind]);
	if ((rc = session_open(&s, &common, SESSION_READ)))
		return rc;
	struct extra extra = { 0 };
	int e = db_stat(s.db, &stats, &err);
	if (!e)
		e = db_lag(s.db, &extra.lag, &err);
	if (!e)
		e = retention_get(s.db, 0, &extra.limits, &err);
	if (e)
		return fail(common.store, e, &err);
	(json ? put_json : put_human)(&out, &stats, &extra);
	retentions_done(&extra.limits);
	return put_buf(&out);
}

const struct command cmd_stat = {
	.name = "stat",
	.synopsis = "[options] STORE",
	.summary = "Tells what the store holds and what it takes",
	.help = "      --json           for programs\n",
	.run = run_stat,
};

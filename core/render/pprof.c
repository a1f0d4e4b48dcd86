/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "../format/format.h"
#include "../wire/gz.h"
#include "pprof_diff.h"
#include "render.h"

/* The merged selection, and single profiles as they came in, as gzipped pprof. */

#define PROFILE_MAX ((size_t)2 << 30)
#define GZ_LEVEL 1 /* of 12: 8% more than 6, in a quarter of its time */

static int put_gzipped(const struct profile *p, struct buf *out, struct error *err)
{
	_buf_ struct buf raw = BUF_INIT(PROFILE_MAX);
	int e = pprof_encode(p, &raw);
	if (!e)
		e = buf_err(&raw);
	if (e < 0)
		return error_set(err, e, "writing a pprof of %zu bytes: %s", raw.len, err_text(e));
	e = gz_compress(buf_slice(&raw), GZ_LEVEL, out);
	return e < 0 ? e : buf_err(out);
}

/* Under `vs`. */
static int diff_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	struct profile p;
	int e = profile_init(&p, PROFILE_MAX);
	if (e < 0)
		return e;
	e = pprof_diff(q, cancel, &p, err);
	if (!e)
		e = put_gzipped(&p, out, err);
	profile_done(&p);
	return e;
}

static int pprof_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	const struct profile *p;
	if (query_baseline(q))
		return diff_render(q, cancel, out, err);
	int e = query_merged(q, cancel, &p, err);
	if (e >= 0)
		e = cancel_check(cancel);
	return e < 0 ? e : put_gzipped(p, out, err);
}

/*
 * For `go build -pgo`: the merged profile of a type that it weighs calls by; of other types nothing, which it takes
 * for no profile.
 */
static int pgo_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	const char *type = query_info(q)->type;
	return strcmp(type, "cpu") && strcmp(type, "samples") ? 0 : pprof_render(q, cancel, out, err);
}

int render_original(struct query *q, const struct ulid *id, const struct cancel *cancel, struct buf *out,
                    struct error *err)
{
	struct profile p = { 0 };
	int e = cancel_check(cancel);
	if (!e)
		e = query_restore(q, id, &p, err);
	if (e < 0)
		return e;
	e = put_gzipped(&p, out, err);
	profile_done(&p);
	return e;
}

const struct rendering render_pprof = { "profile.pb.gz", RENDER_TYPE | RENDER_VS, true, pprof_render };
const struct rendering render_default_pgo = { "default.pgo", RENDER_TYPE, true, pgo_render };

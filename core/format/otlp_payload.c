/* SPDX-License-Identifier: MIT */

/*
 * A profile in the form that it had before it was OTLP. Where OTLP has samples they are the profile: the payload is the
 * same once more. Where it has none, the payload is all there is, and is decoded: pprof or JFR by content, compressed
 * or not. These two alone, none of which holds a payload again. Labels and service are OTLP's, and win.
 */

#include "../wire/gz.h"
#include "otlp_decoder.h"

/* Strings that lie in the payload outlive it. */
static int own_strings(struct otlp *o, struct profile *p)
{
	for (size_t i = 1; i < p->strings.n; i++) {
		struct str s = p->strings.v[i];
		const char *copy = arena_strndup(&p->arena, s.s, s.len);
		if (!copy)
			return error_set(o->err, ERR_FORMAT_LIMIT, "more texts than memory allows");
		p->strings.v[i].s = copy;
	}
	return 0;
}

static int put_facts(struct otlp *o)
{
	struct profile *p = &o->decoded.profile;
	int e = own_strings(o, p);
	if (!p->time_ns)
		p->time_ns = (int64_t)o->head.time;
	if (!p->duration_ns)
		p->duration_ns = (int64_t)o->head.duration;
	e = e ? e : otlp_put_labels(o);
	return e ? e : profile_verify(p, o->err);
}

/* For what is called in between, the profile stands where OTLP's own would. */
static int take(void *ctx, struct decoded *d, struct error *err)
{
	struct otlp *o = ctx;
	struct decoded own = o->decoded;
	o->decoded = *d;
	int e = put_facts(o);
	if (!e) {
		e = o->sink->take(o->sink->ctx, &o->decoded, err);
		o->sink_failed = e != 0;
	}
	*d = o->decoded;
	o->decoded = own;
	return e;
}

static int decode_pprof(struct otlp *o, struct slice in)
{
	_cleanup_(decoded_done) struct decoded d;
	int e = decoded_init(&d, format_max_model(o->opts));
	e = e ? e : format_pprof.decode(in, o->opts, &d.profile, o->err);
	return e ? e : take(o, &d, o->err);
}

static int inflate(struct otlp *o, struct slice *in, struct buf *out)
{
	_cleanup_(gz_freep) struct gz *z = NULL;
	int e = gz_new(&z);
	for (size_t used; !e && in->len; *in = (struct slice){ in->data + used, in->len - used })
		if ((e = gz_member(z, *in, out, &used, o->err)))
			break;
	*in = buf_slice(out);
	return e;
}

static int decode(struct otlp *o, struct slice in)
{
	const struct format_sink sink = { .take = take, .ctx = o };
	if (in.len && format_jfr.sniff(in, true) == FORMAT_YES)
		return format_jfr.decode_all(in, o->opts, &sink, o->err);
	if (in.len && format_pprof.sniff(in, true) != FORMAT_NO)
		return decode_pprof(o, in);
	struct slice name = o->head.payload_format;
	return error_set(o->err, ERR_FORMAT_NAMED, "the profile has no samples, and this (%.*s) is no pprof and no JFR",
	                 (int)MIN(name.len, (size_t)40), name.len ? (const char *)name.data : "");
}

int otlp_decode_payload(struct otlp *o)
{
	_buf_ struct buf plain = BUF_INIT(format_max_bytes(o->opts));
	struct slice in = o->head.payload;
	int e = gz_magic(in) ? inflate(o, &in, &plain) : 0;
	o->sink_failed = false;
	e = e ? e : decode(o, in);
	return e && !o->sink_failed ? error_at(o->err, e, "original payload") : e;
}

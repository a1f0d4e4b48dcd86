/* SPDX-License-Identifier: MIT */
#include "format.h"

#include <string.h>

#include "../wire/gz.h"
#include "../wire/pb.h"
#include "../wire/zst.h"
#include "internal.h"

/*
 * Compression. A gzip file is a row of members. `cat a.gz b.gz` makes two profiles of two members, pigz and others make
 * one profile of many; only the contents tell:
 *
 *     one member, but for empty ones            one profile
 *     several, each of which is a whole profile as many profiles
 *     several, which are one when joined        one profile
 *     else, the first being whole               profiles, up to the member that is none, which is refused
 *
 * So at the start of several members, all are tried (the `plan`); the memory that takes is that of one member. Zeros
 * behind the last member are padding, other bytes are refused. zstd frames are one profile together. Compressed data
 * inside compressed data is unwrapped once more.
 */

#define HEAD_MAX ((size_t)64 << 10) /* what judging looks at */
#define KEEP_BYTES ((size_t)16 << 20)

const struct format *const formats[] = {
	&format_jfr,
	&format_mojo,
	&format_pprof,
	&format_otlp,
	&format_otlp_json,
	&format_gperftools,
	&format_speedscope,
	&format_cpuprofile,
	&format_heapprofile,
	&format_firefox,
	&format_trace_event,
	&format_json,
	&format_java_text,
	&format_heap_text,
	&format_jemalloc,
	&format_contention,
	&format_threads,
	&format_count_text,
	&format_callgrind,
	&format_austin,
	&format_perf_script,
	&format_folded,
	NULL,
};

enum plan { PLAN_NONE, PLAN_EACH, PLAN_JOINED };

struct format_reader {
	struct slice in;
	struct format_options opts;
	size_t taken;
	enum plan plan;
	struct gz *gz;
	struct buf raw, inner; /* decompressed once, and twice */
	const char *name;
	VEC(struct decoded) doc; /* all initialised; the first n_doc are the last document's */
	size_t n_doc, held; /* the document's profiles, and their memory */
};

static struct slice first_bytes(struct slice s)
{
	return (struct slice){ s.data, MIN(s.len, HEAD_MAX) };
}

static int unknown(struct slice head, bool whole, struct error *err)
{
	size_t line = judge_is_text(head) ? folded_first_line(head, whole) : 0;
	if (line)
		return error_set(err, ERR_FORMAT_UNKNOWN,
		                 "text that is no profile: line %zu is no stack and count (`a;b;c 12`)", line);
	return error_set(err, ERR_FORMAT_UNKNOWN, "no format of a profile that is known");
}

static int judge_plain(struct slice head, bool whole, struct error *err)
{
	whole = whole && head.len <= HEAD_MAX;
	head = first_bytes(head);
	int e = judge_named(head, err);
	if (e)
		return e;
	for (size_t i = 0; formats[i]; i++)
		if (formats[i]->sniff(head, whole) != FORMAT_NO)
			return 0;
	return unknown(head, whole, err);
}

static int judge_gzip(struct slice head, struct error *err)
{
	if (head.len > 2 && head.data[2] != 8)
		return error_set(err, ERR_FORMAT_MALFORMED,
		                 "gzip method %u, which does not exist", head.data[2]);
	return 0;
}

int format_judge(struct slice head, bool whole, struct error *err)
{
	bool first_of_gzip = head.len == 1 && head.data[0] == 0x1f && !whole;
	if (!head.len || first_of_gzip || zst_magic(head))
		return 0;
	return gz_magic(head) ? judge_gzip(head, err) : judge_plain(head, whole, err);
}

int format_reader_new(struct slice in, const struct format_options *opts, struct format_reader **ret, struct error *err)
{
	_cleanup_(format_reader_freep) struct format_reader *r = calloc(1, sizeof *r);
	if (!r)
		return error_set(err, -ENOMEM, "no memory to read profiles");
	int e = format_reader_reset(r, in, opts);
	if (e)
		return error_set(err, e, "no memory to read profiles");
	*ret = TAKE_PTR(r);
	return 0;
}

void format_reader_free(struct format_reader *r)
{
	if (!r)
		return;
	gz_free(r->gz);
	for (size_t i = 0; i < r->doc.n; i++)
		decoded_done(&r->doc.v[i]);
	VEC_DONE(&r->doc);
	buf_done(&r->raw);
	buf_done(&r->inner);
	free(r);
}

/* Empty, bounded by max; the memory of an unusually large input is given back. */
static void renew(struct buf *b, size_t max)
{
	if (b->cap > KEEP_BYTES)
		buf_done(b);
	buf_reset(b);
	b->max = max;
}

int format_reader_reset(struct format_reader *r, struct slice in, const struct format_options *opts)
{
	r->in = in;
	r->opts = opts ? *opts : (struct format_options){ 0 };
	r->taken = 0;
	r->plan = PLAN_NONE;
	r->name = "";
	renew(&r->raw, format_max_bytes(&r->opts));
	renew(&r->inner, format_max_bytes(&r->opts));
	return r->gz ? 0 : gz_new(&r->gz);
}

size_t format_reader_taken(const struct format_reader *r)
{
	return r->taken;
}

const char *format_reader_name(const struct format_reader *r)
{
	return r->name;
}

/* The next place of the document, empty. */
static struct decoded *next_place(struct format_reader *r)
{
	size_t max = format_max_model(&r->opts);
	struct decoded *d;
	if (r->n_doc < r->doc.n) {
		d = &r->doc.v[r->n_doc];
		d->profile.arena.max = max;
		decoded_reset(d);
		return d;
	}
	d = VEC_GROW(&r->doc, 1);
	if (!d || decoded_init(d, max))
		return NULL;
	r->doc.n++;
	return d;
}

/* Forgets the last document. The memory of one profile is kept. */
static void forget_document(struct format_reader *r)
{
	while (r->doc.n > 1)
		decoded_done(&r->doc.v[--r->doc.n]);
	r->n_doc = r->held = 0;
}

static int take_profile(void *ctx, struct decoded *d, struct error *err)
{
	struct format_reader *r = ctx;
	struct decoded *to = next_place(r);
	if (!to)
		return error_set(err, -ENOMEM, "no memory for the profile");
	struct decoded empty = *to;
	*to = *d;
	*d = empty;
	r->n_doc++;
	r->held += sizeof *to + profile_bytes(&to->profile);
	if (r->held > format_max_model(&r->opts))
		return error_set(err, ERR_FORMAT_LIMIT, "%zu profiles need more than %zu MiB of memory", r->n_doc,
		                 format_max_model(&r->opts) >> 20);
	return 0;
}

static int decode_one(struct format_reader *r, const struct format *format, struct slice in, struct error *err)
{
	struct decoded *d = next_place(r);
	if (!d)
		return error_set(err, -ENOMEM, "no memory for the profile");
	int e = format->decode(in, &r->opts, &d->profile, err);
	r->n_doc = !e;
	return e;
}

static int decode_as(struct format_reader *r, const struct format *format, struct slice in, struct error *err)
{
	const struct format_sink sink = { .take = take_profile, .ctx = r };
	forget_document(r);
	r->name = format->name;
	return format->decode_all ? format->decode_all(in, &r->opts, &sink, err) : decode_one(r, format, in, err);
}

/* What the input may be: the one that is certain alone, or all that are possible, in order. */
static size_t find_candidates(struct slice in, const struct format **ret)
{
	size_t n = 0;
	for (size_t i = 0; formats[i]; i++) {
		enum format_verdict v = formats[i]->sniff(first_bytes(in), in.len <= HEAD_MAX);
		if (v == FORMAT_YES) {
			ret[0] = formats[i];
			return 1;
		}
		if (v == FORMAT_MAYBE)
			ret[n++] = formats[i];
	}
	return n;
}

static int decode_plain(struct format_reader *r, struct slice in, struct error *err)
{
	size_t max = format_max_bytes(&r->opts);
	if (in.len > max)
		return error_set(err, ERR_FORMAT_LIMIT, "%zu bytes are over the limit of %zu", in.len, max);
	int e = judge_plain(in, true, err);
	if (e)
		return e;
	const struct format *candidates[ARRAY_SIZE(formats)];
	size_t n = find_candidates(in, candidates);
	e = n ? 0 : unknown(in, true, err);
	for (size_t i = 0; i < n; i++) {
		e = decode_as(r, candidates[i], in, err);
		if (!e)
			break;
	}
	return e;
}

static bool is_padding(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.data[i])
			return false;
	return true;
}

static struct slice from(const struct format_reader *r, size_t at)
{
	return (struct slice){ r->in.data + at, r->in.len - at };
}

/* Decompresses the member at *at and moves *at behind it. */
static int read_member(struct format_reader *r, struct slice in, size_t *at, struct buf *out, struct error *err)
{
	struct slice rest = { in.data + *at, in.len - *at };
	size_t used;
	int e;
	if (gz_magic(rest) || rest.len < 2)
		e = gz_member(r->gz, rest, out, &used, err);
	else
		e = error_set(err, ERR_FORMAT_MALFORMED, "%zu bytes behind the gzip data are none", rest.len);
	if (e)
		return *at ? error_at(err, e, "gzip member at byte %zu", *at) : e;
	*at += used;
	return 0;
}

/* Appends the contents of all members. */
static int join_members(struct format_reader *r, struct slice in, struct buf *out, struct error *err)
{
	size_t at = 0;
	int e = 0;
	while (!e && at < in.len && (!at || !is_padding((struct slice){ in.data + at, in.len - at })))
		e = read_member(r, in, &at, out, err);
	return e;
}

/* Puts the next member that is not empty into r->raw. 1: done; 0: there is none. */
static int next_member(struct format_reader *r, size_t *at, struct error *err)
{
	buf_reset(&r->raw);
	while (*at < r->in.len && (!*at || !is_padding(from(r, *at)))) {
		int e = read_member(r, r->in, at, &r->raw, err);
		if (e || r->raw.len)
			return e ? e : 1;
	}
	return 0;
}

static bool is_packed(struct slice s)
{
	return gz_magic(s) || zst_magic(s);
}

/* Decodes what r->raw holds, which may be compressed once more. */
static int decode_raw(struct format_reader *r, struct error *err)
{
	struct slice in = buf_slice(&r->raw);
	if (is_packed(in)) {
		buf_reset(&r->inner);
		int e = gz_magic(in) ? join_members(r, in, &r->inner, err) : zst_decompress_all(in, &r->inner, err);
		if (e)
			return error_at(err, e, "inside compressed data");
		in = buf_slice(&r->inner);
	}
	if (is_packed(in))
		return error_set(err, ERR_FORMAT_NAMED, "compressed more than twice");
	if (!in.len)
		return error_set(err, ERR_FORMAT_UNKNOWN, "compressed data that holds nothing");
	return decode_plain(r, in, err);
}

/* r->raw holds the first member, others begin at `at`. Uses r->raw and the document up. */
static enum plan make_plan(struct format_reader *r, size_t at)
{
	if (decode_raw(r, NULL))
		return PLAN_JOINED;
	int e;
	while ((e = next_member(r, &at, NULL)) > 0)
		if (decode_raw(r, NULL))
			break;
	if (e <= 0)
		return PLAN_EACH;
	buf_reset(&r->raw);
	return join_members(r, r->in, &r->raw, NULL) || decode_raw(r, NULL) ? PLAN_EACH : PLAN_JOINED;
}

/* Makes the plan, and r->raw the first profile's bytes. */
static int begin_gzip(struct format_reader *r, size_t *at, struct error *err)
{
	if (is_padding(from(r, *at))) {
		r->plan = PLAN_EACH;
		return 0;
	}
	r->plan = make_plan(r, *at);
	*at = 0;
	if (r->plan == PLAN_EACH)
		return MIN(next_member(r, at, err), 0);
	*at = r->in.len;
	buf_reset(&r->raw);
	return join_members(r, r->in, &r->raw, err);
}

static int next_gzip(struct format_reader *r, struct error *err)
{
	size_t at = r->taken;
	int e = next_member(r, &at, err);
	if (!e && r->plan == PLAN_NONE)
		return error_set(err, ERR_FORMAT_UNKNOWN, "compressed data that holds nothing");
	if (e > 0 && r->plan == PLAN_NONE)
		e = MIN(begin_gzip(r, &at, err), 0) ?: 1;
	if (!e)
		r->taken = r->in.len; /* empty members, or padding */
	if (e <= 0)
		return e;
	e = decode_raw(r, err);
	if (e)
		return r->taken ? error_at(err, e, "gzip member at byte %zu", r->taken) : e;
	r->taken = at;
	if (at < r->in.len && is_padding(from(r, at))) {
		if (r->n_doc)
			profile_warn(&r->doc.v[0].profile, "%zu zero bytes behind the gzip data were skipped",
			             r->in.len - at);
		r->taken = r->in.len;
	}
	return 1;
}

static int next_other(struct format_reader *r, struct error *err)
{
	int e;
	if (zst_magic(r->in)) {
		e = zst_decompress_all(r->in, &r->raw, err);
		e = e ? e : decode_raw(r, err);
	} else {
		e = decode_plain(r, r->in, err);
	}
	if (e)
		return e;
	r->taken = r->in.len;
	return 1;
}

int format_reader_next(struct format_reader *r, struct decoded_list *ret, struct error *err)
{
	if (r->taken >= r->in.len)
		return 0;
	if (err)
		*err = (struct error){ 0 };
	int e = gz_magic(r->in) ? next_gzip(r, err) : next_other(r, err);
	if (e > 0)
		*ret = (struct decoded_list){ r->doc.v, r->n_doc };
	return e;
}

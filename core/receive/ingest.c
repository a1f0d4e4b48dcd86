/* SPDX-License-Identifier: MIT */

/*
 * POST /ingest: what Pyroscope's older SDKs and a plain curl send. The query says whose profile it is, the body is
 * one in any format, recognised by content, or a form with the parts profile (or jfr), prev_profile,
 * sample_type_config, labels.
 *
 * A cumulative profile and its predecessor are both stored: the predecessor is, byte for byte, what was sent
 * before, and counts once. Values over time are then what they are for all running totals.
 */

#include <string.h>

#include "../wire/json.h"
#include "pyroscope.h"

struct ingest {
	struct request *rq;
	struct delivery *delivery;
	struct buf text; /* what old encodings are turned into */
	struct jfr_labels *labels;
};

static bool has_format(const struct request *rq, const char *name)
{
	return !strcmp(request_arg(rq, "format"), name);
}

/* An SDK (which names itself) sends increases, unless a type is told to be a running total. */
static int temporality(struct request *rq, struct sending *s)
{
	_json_ struct json j = { 0 };
	_arena_ struct arena arena = ARENA_INIT(1 << 20);
	struct json_limits limits = { .max_bytes = 1 << 20 };
	struct slice config = buf_slice(&rq->parts[PART_CONFIG]);
	struct error err = { 0 };
	if (s->temporality != TEMPORALITY_UNSAID)
		return 0;
	if (*request_arg(rq, "spyName"))
		s->temporality = TEMPORALITY_DELTA;
	if (!config.len)
		return 0;
	if (json_read(&j, config, &arena, &limits, &err))
		return request_refuse(rq, REFUSED_MALFORMED, "sample_type_config: %s", err.text);
	s->temporality = TEMPORALITY_DELTA;
	for (uint32_t k = json_first_key(&j, json_root(&j)); k; k = json_next_key(&j, json_root(&j), k))
		if (json_kind(&j, json_get(&j, k + 1, "cumulative")) == JSON_TRUE)
			s->temporality = TEMPORALITY_CUMULATIVE;
	return 0;
}

static int sending_of(struct request *rq, struct sending *s)
{
	int e = pyroscope_name(rq, request_arg(rq, "name"), s);
	if (e)
		return e;
	int64_t from = pyroscope_time(request_arg(rq, "from")), until = pyroscope_time(request_arg(rq, "until"));
	s->time = from ? from : until;
	s->duration = from && until > from ? until - from : 0;
	s->salt = str_of(request_arg(rq, "name"));
	return temporality(rq, s);
}

/* Of what is no pprof. */
static void type_of(struct request *rq, struct sending *s)
{
	const char *rate = request_arg(rq, "sampleRate");
	uint64_t per_second = strspn(rate, "0123456789") == strlen(rate) ? strtoull(rate, NULL, 10) : 0;
	pyroscope_type(s, str_of(request_arg(rq, "units")), per_second);
}

static int convert(struct ingest *g, struct slice *body, int (*how)(struct slice in, struct buf *out))
{
	struct error err = { 0 };
	g->text = BUF_INIT(delivery_max_bytes(g->delivery));
	int e = how(*body, &g->text);
	if (e == ERR_FORMAT_MALFORMED)
		error_set(&err, e, "the body is no %s", request_arg(g->rq, "format"));
	*body = buf_slice(&g->text);
	return e ? request_refuse_error(g->rq, e, &err) : 0;
}

static int add_body(struct ingest *g, struct sending *s)
{
	struct slice body;
	int e = delivery_body(g->delivery, &body);
	if (!e && body.len && has_format(g->rq, "lines"))
		e = convert(g, &body, stacks_from_lines);
	else if (!e && body.len && has_format(g->rq, "trie"))
		e = convert(g, &body, stacks_from_trie);
	else if (!e && body.len && has_format(g->rq, "tree"))
		e = convert(g, &body, stacks_from_tree);
	if (!e && !has_format(g->rq, "pprof"))
		type_of(g->rq, s);
	return e ? e : delivery_add(g->delivery, body, s);
}

static int add_form(struct ingest *g, struct sending *s)
{
	struct request *rq = g->rq;
	struct error err = { 0 };
	int e = 0;
	if (rq->parts[PART_LABELS].len)
		e = jfr_labels_read(buf_slice(&rq->parts[PART_LABELS]), &g->labels, &err);
	if (e)
		return request_refuse_error(rq, e, &err);
	s->jfr_labels = g->labels;
	if (rq->parts[PART_PREVIOUS].len && s->temporality == TEMPORALITY_CUMULATIVE) {
		struct sending before = *s;
		before.time -= before.duration;
		e = delivery_add(g->delivery, buf_slice(&rq->parts[PART_PREVIOUS]), &before);
	}
	return e ? e : delivery_add(g->delivery, buf_slice(&rq->parts[PART_PROFILE]), s);
}

static int ingest_once(struct ingest *g)
{
	struct sending s;
	int e = sending_of(g->rq, &s);
	if (!e)
		e = g->rq->is_form ? add_form(g, &s) : add_body(g, &s);
	return e ? e : delivery_commit(g->delivery);
}

static int ingest_run(struct request *rq)
{
	_cleanup_(delivery_freep) struct delivery *d = NULL;
	int e = delivery_new(rq, &d);
	if (e)
		return e;
	do {
		struct ingest g = { .rq = rq, .delivery = d };
		e = ingest_once(&g);
		buf_done(&g.text);
		jfr_labels_free(g.labels);
	} while (e && delivery_grow(d));
	return e;
}

const struct route route_ingest = { ENDPOINT_INGEST, "/ingest", false, ingest_run, NULL };

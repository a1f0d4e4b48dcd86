/* SPDX-License-Identifier: MIT */

/*
 * POST /push.v1.PusherService/Push: Pyroscope's push, as a unary call of Connect (connectrpc.com/docs/protocol), of
 * protobuf or JSON:
 *
 *     PushRequest { series = 1 }   RawProfileSeries { labels = 1, samples = 2 }
 *     LabelPair { name = 1, value = 2 }   RawSample { raw_profile = 1, ID = 2 }
 */

#include <string.h>

#include "../wire/json.h"
#include "../wire/jsonw.h"
#include "../wire/pb.h"
#include "pyroscope.h"

#define ID_MAX_BYTES 256

struct push {
	struct request *rq;
	struct delivery *delivery;
	struct arena *arena;           /* of the request */
	VEC(struct label) labels;      /* of the series at hand */
};

static void push_done(struct push *p)
{
	VEC_DONE(&p->labels);
}

static int add_label(struct push *p, struct str key, struct str value)
{
	struct label *l = VEC_PUSH(&p->labels);
	if (!l)
		return request_refuse_error(p->rq, -ENOMEM, NULL);
	*l = (struct label){ key, value };
	return 0;
}

/* The labels of the series live as long as the delivery. */
static int series_sending(struct push *p, struct sending *ret)
{
	size_t n = p->labels.n;
	struct label *copy = arena_alloc(p->arena, (n + 1) * sizeof *copy);
	if (!copy)
		return request_refuse(p->rq, REFUSED_LABELS, "the labels of this request are over a limit");
	if (n)
		memcpy(copy, p->labels.v, n * sizeof *copy);
	*ret = pyroscope_sending(copy, &n);
	ret->labels = copy;
	ret->n_labels = n;
	return 0;
}

static int add_sample(struct push *p, struct slice profile, struct str id, struct sending s)
{
	if (id.len > ID_MAX_BYTES)
		return request_refuse(p->rq, REFUSED_LABELS, "the ID of a profile is longer than %d bytes",
		                      ID_MAX_BYTES);
	s.salt = s.id = id;
	return delivery_add(p->delivery, profile, &s);
}

/* ---- protobuf ---- */

static int bad_message(struct push *p)
{
	return request_refuse(p->rq, REFUSED_MALFORMED, "the request is no PushRequest: its protobuf is damaged");
}

static struct str text_of(const struct pb_field *f)
{
	return (struct str){ (const char *)f->bytes.data, f->bytes.len };
}

static int read_label(struct push *p, struct slice in)
{
	struct cursor c = cursor_of(in);
	struct pb_field f = { 0 };
	struct str name = STR(""), value = STR("");
	while (pb_next(&c, &f)) {
		if (f.wire == PB_LEN && f.number == 1)
			name = text_of(&f);
		else if (f.wire == PB_LEN && f.number == 2)
			value = text_of(&f);
	}
	return c.bad ? bad_message(p) : add_label(p, name, value);
}

static int read_sample(struct push *p, struct slice in, const struct sending *s)
{
	struct cursor c = cursor_of(in);
	struct pb_field f = { 0 };
	struct slice profile = { 0 };
	struct str id = STR("");
	while (pb_next(&c, &f)) {
		if (f.wire == PB_LEN && f.number == 1)
			profile = f.bytes;
		else if (f.wire == PB_LEN && f.number == 2)
			id = text_of(&f);
	}
	return c.bad ? bad_message(p) : add_sample(p, profile, id, *s);
}

/* Calls fn for each message of a field; labels may stand behind the samples, so that it takes two walks. */
static int read_series(struct push *p, struct slice in)
{
	struct pb_field f = { 0 };
	struct sending s;
	int e = 0;
	p->labels.n = 0;
	struct cursor c = cursor_of(in);
	while (!e && pb_next(&c, &f))
		if (f.wire == PB_LEN && f.number == 1)
			e = read_label(p, f.bytes);
	if (!e)
		e = c.bad ? bad_message(p) : series_sending(p, &s);
	c = cursor_of(in);
	while (!e && pb_next(&c, &f))
		if (f.wire == PB_LEN && f.number == 2)
			e = read_sample(p, f.bytes, &s);
	return e;
}

static int read_proto(struct push *p, struct slice in)
{
	struct cursor c = cursor_of(in);
	struct pb_field f = { 0 };
	int e = 0;
	while (!e && pb_next(&c, &f))
		if (f.wire == PB_LEN && f.number == 1)
			e = read_series(p, f.bytes);
	return !e && c.bad ? bad_message(p) : e;
}

/* ---- JSON ---- */

static int json_labels(struct push *p, const struct json *j, uint32_t list)
{
	int e = 0;
	for (uint32_t v = json_first(j, list); v && !e; v = json_next(j, list, v))
		e = add_label(p, json_str(j, json_get(j, v, "name")), json_str(j, json_get(j, v, "value")));
	return e;
}

static int json_sample(struct push *p, const struct json *j, uint32_t v, const struct sending *s)
{
	uint32_t raw = json_get(j, v, "rawProfile");
	struct str text = json_str(j, raw ? raw : json_get(j, v, "raw_profile"));
	struct buf bytes = BUF_INIT(text.len + 1);
	if (base64_decode(text, &bytes)) {
		buf_done(&bytes);
		return request_refuse(p->rq, REFUSED_MALFORMED, "a rawProfile is not base64");
	}
	void *copy = arena_alloc(p->arena, bytes.len + 1);
	if (copy && bytes.len)
		memcpy(copy, bytes.data, bytes.len);
	struct slice profile = { copy, bytes.len };
	buf_done(&bytes);
	if (!copy)
		return request_refuse(p->rq, REFUSED_BODY, "the profiles of a request of JSON are over a limit");
	return add_sample(p, profile, json_str(j, json_get(j, v, "ID")), *s);
}

static int json_series(struct push *p, const struct json *j, uint32_t series)
{
	struct sending s;
	p->labels.n = 0;
	int e = json_labels(p, j, json_get(j, series, "labels"));
	if (!e)
		e = series_sending(p, &s);
	uint32_t list = json_get(j, series, "samples");
	for (uint32_t v = json_first(j, list); v && !e; v = json_next(j, list, v))
		e = json_sample(p, j, v, &s);
	return e;
}

/* The document and what is decoded of it live in `arena`, until the delivery has committed. */
static int read_json(struct push *p, struct slice in, struct json *j)
{
	struct error err = { 0 };
	struct json_limits limits = { .max_bytes = delivery_max_bytes(p->delivery) };
	int e = json_read(j, in, p->arena, &limits, &err);
	if (e)
		return request_refuse_error(p->rq, e, &err);
	if (json_kind(j, json_root(j)) != JSON_OBJECT)
		return request_refuse(p->rq, REFUSED_MALFORMED, "the request is no PushRequest: it is no JSON object");
	uint32_t list = json_get(j, json_root(j), "series");
	for (uint32_t v = json_first(j, list); v && !e; v = json_next(j, list, v))
		e = json_series(p, j, v);
	return e;
}

/* ---- the call ---- */

static int push_once(struct request *rq, struct delivery *d)
{
	_arena_ struct arena arena = ARENA_INIT(delivery_max_bytes(d));
	_json_ struct json json = { 0 };
	_cleanup_(push_done) struct push p = { .rq = rq, .delivery = d, .arena = &arena };
	struct slice body;
	int e = delivery_body(d, &body);
	if (!e)
		e = rq->json ? read_json(&p, body, &json) : read_proto(&p, body);
	return e ? e : delivery_commit(d);
}

static int push_run(struct request *rq)
{
	_cleanup_(delivery_freep) struct delivery *d = NULL;
	int e = delivery_new(rq, &d);
	if (e)
		return e;
	do {
		e = push_once(rq, d);
	} while (e && delivery_grow(d));
	return e;
}

/* PushResponse is empty; errors are Connect's, in JSON whatever was asked in. */
static void push_answer(struct request *rq)
{
	rq->reply_type = rq->json ? "application/json" : "application/proto";
	if (rq->refused == REFUSED_NOT) {
		if (rq->json)
			buf_puts(&rq->reply, "{}");
		return;
	}
	struct jsonw w = JSONW(&rq->reply);
	w.compact = true;
	rq->reply_type = "application/json";
	jsonw_object(&w);
	jsonw_key(&w, "code");
	jsonw_str(&w, refused_kinds[rq->refused].connect);
	jsonw_key(&w, "message");
	jsonw_str(&w, rq->why);
	jsonw_end_object(&w);
}

const struct route route_push = { ENDPOINT_PUSH, "/push.v1.PusherService/Push", false, push_run, push_answer };

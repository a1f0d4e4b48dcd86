/* SPDX-License-Identifier: MIT */

/*
 * OTLP profiles, over HTTP (POST /v1development/profiles; protobuf or JSON) and gRPC. The request's bytes are a
 * document of profiles as core/format knows it; a profile that is no good is left out and counted in
 * partial_success, and the others are taken.
 */

#include <string.h>

#include "../wire/jsonw.h"
#include "../wire/pb.h"
#include "otlp.h"
#include "pyroscope.h"

struct otlp {
	struct request *rq;
	struct delivery *delivery;
	struct sending sending;
};

/* As OpenTelemetry has it for what names no service. */
static int name_service(struct decoded *d)
{
	char name[256] = "unknown_service";
	for (size_t i = 0; i < d->labels.n; i++) {
		const struct label *l = &d->labels.v[i];
		if (str_eq(l->key, STR("process.executable.name")))
			snprintf(name, sizeof name, "unknown_service:%.*s", (int)MIN(l->value.len, (size_t)200),
			         l->value.s);
	}
	return decoded_service(d, str_of(name));
}

static int on_profile(void *ctx, struct decoded *d, struct error *err)
{
	struct otlp *o = ctx;
	int e = d->service.len ? 0 : name_service(d);
	if (e)
		return request_refuse_error(o->rq, e, NULL);
	return delivery_take(o->delivery, d, &o->sending);
}

static int on_refused(void *ctx, int e, const struct error *why)
{
	struct otlp *o = ctx;
	if (e == -ENOMEM || e == ERR_FORMAT_LIMIT)
		return e;
	if (!o->rq->rejected++)
		snprintf(o->rq->why, sizeof o->rq->why, "%s", error_text(why, e));
	return 0;
}

static int otlp_once(struct otlp *o)
{
	struct format_sink sink = { on_profile, on_refused, o };
	struct format_options opts = { .max_bytes = delivery_max_bytes(o->delivery) };
	struct error err = { 0 };
	struct slice body;
	o->rq->rejected = 0;
	int e = delivery_body(o->delivery, &body);
	if (e || !body.len)
		return e;
	e = (o->rq->json ? &format_otlp_json : &format_otlp)->decode_all(body, &opts, &sink, &err);
	if (e)
		return request_refuse_error(o->rq, e, &err);
	return delivery_commit(o->delivery);
}

static int otlp_run(struct request *rq)
{
	_cleanup_(delivery_freep) struct delivery *d = NULL;
	size_t n = 0;
	int e = delivery_new(rq, &d);
	if (e)
		return e;
	struct otlp o = { .rq = rq, .delivery = d, .sending = pyroscope_sending(NULL, &n) };
	do {
		e = otlp_once(&o);
	} while (e && delivery_grow(d));
	return e;
}

/* ---- answers ---- */

/* google.rpc.Status { code = 1, message = 2, details = 3 }, of RetryInfo { retry_delay = 1 { seconds = 1 } }. */
static void put_status(const struct request *rq, struct buf *out)
{
	static const char type[] = "type.googleapis.com/google.rpc.RetryInfo";
	const struct refused_kind *kind = &refused_kinds[rq->refused];
	pb_put_varint(out, 1, (uint64_t)kind->grpc);
	pb_put_bytes(out, 2, rq->why, strlen(rq->why));
	if (!kind->retry_after)
		return;
	struct buf delay = BUF_INIT(64), info = BUF_INIT(64), any = BUF_INIT(256);
	pb_put_varint(&delay, 1, (uint64_t)kind->retry_after);
	pb_put_buf(&info, 1, &delay);
	pb_put_bytes(&any, 1, type, sizeof type - 1);
	pb_put_buf(&any, 2, &info);
	pb_put_buf(out, 3, &any);
	buf_done(&delay);
	buf_done(&info);
	buf_done(&any);
}

void otlp_status_text(const struct request *rq, struct buf *out)
{
	struct buf status = BUF_INIT(2048);
	put_status(rq, &status);
	base64_encode(buf_slice(&status), out);
	buf_done(&status);
}

/* ExportProfilesServiceResponse { partial_success = 1 { rejected_profiles = 1, error_message = 2 } }. */
static void put_response(const struct request *rq, struct buf *out)
{
	struct buf partial = BUF_INIT(1024);
	if (!rq->rejected)
		return;
	pb_put_varint(&partial, 1, rq->rejected);
	pb_put_bytes(&partial, 2, rq->why, strlen(rq->why));
	pb_put_buf(out, 1, &partial);
	buf_done(&partial);
}

static void json_response(const struct request *rq, struct jsonw *w)
{
	jsonw_object(w);
	if (rq->rejected) {
		char count[24];
		snprintf(count, sizeof count, "%llu", (unsigned long long)rq->rejected);
		jsonw_key(w, "partialSuccess");
		jsonw_object(w);
		jsonw_key(w, "rejectedProfiles");
		jsonw_str(w, count);
		jsonw_key(w, "errorMessage");
		jsonw_str(w, rq->why);
		jsonw_end_object(w);
	}
	jsonw_end_object(w);
}

static void json_status(const struct request *rq, struct jsonw *w)
{
	jsonw_object(w);
	jsonw_key(w, "code");
	jsonw_i64(w, refused_kinds[rq->refused].grpc);
	jsonw_key(w, "message");
	jsonw_str(w, rq->why);
	jsonw_end_object(w);
}

static void otlp_answer(struct request *rq)
{
	struct jsonw w = JSONW(&rq->reply);
	w.compact = true;
	rq->reply_type = rq->json ? "application/json" : "application/x-protobuf";
	if (rq->json && rq->refused == REFUSED_NOT)
		json_response(rq, &w);
	else if (rq->json)
		json_status(rq, &w);
	else if (rq->refused == REFUSED_NOT)
		put_response(rq, &rq->reply);
	else
		put_status(rq, &rq->reply);
}

const struct route route_otlp = { ENDPOINT_OTLP_HTTP, "/v1development/profiles", false, otlp_run, otlp_answer };
const struct route route_otlp_grpc = { ENDPOINT_OTLP_GRPC, OTLP_GRPC_PATH, false, otlp_run, otlp_answer };

/* SPDX-License-Identifier: MIT */

/* GET /rules.prom: what .profilefs/rules.prom of the tenant has in a mount, for a Prometheus that scrapes it here. */

#include "../paths/recording.h"
#include "internal.h"

#define TEXT_MAX ((size_t)64 << 20)

static int rules_run(struct request *rq)
{
	struct error err = { 0 };
	rq->reply.max = TEXT_MAX;
	int e = recordings_render(rq->tenant->tree, NULL, &rq->reply, &err);
	if (!e)
		return 0;
	buf_reset(&rq->reply);
	return request_refuse_error(rq, e, &err);
}

static void rules_answer(struct request *rq)
{
	if (rq->refused == REFUSED_NOT)
		rq->reply_type = "text/plain; version=0.0.4; charset=utf-8";
	else
		request_answer_text(rq);
}

const struct route route_rules = { ENDPOINT_RULES, "/rules.prom", true, rules_run, rules_answer };

/* SPDX-License-Identifier: MIT */

/* PUT and POST of a file to the path that it would have in the mount: /SERVICE/LABEL=VALUE/cpu.pb.gz. */

#include <string.h>

#include "../paths/paths.h"
#include "internal.h"

static int file_once(struct request *rq, struct delivery *d, const struct target *t, const char *name)
{
	const char *kind = t->kind ? t->kind : ingest_kind_of_name(name);
	struct sending s = {
		.service = str_of(t->service),
		.path_labels = t->labels,
		.n_path_labels = t->n_labels,
		.temporality = t->temporality,
		.kind = str_of(kind ? kind : ""),
		.type = str_of(t->type ? t->type : ""),
		.unit = str_of(t->unit ? t->unit : ""),
		.salt = str_of(rq->path),
	};
	struct slice body;
	int e = delivery_body(d, &body);
	if (!e)
		e = delivery_add(d, body, &s);
	return e ? e : delivery_commit(d);
}

static int file_run(struct request *rq)
{
	_cleanup_(target_done) struct target target = { 0 };
	_cleanup_(delivery_freep) struct delivery *d = NULL;
	struct error err = { 0 };
	const char *name;
	int e = target_of_path(rq->path, &target, &name, &err);
	if (e)
		return request_refuse(rq, REFUSED_PATH, "%s", error_text(&err, e));
	e = delivery_new(rq, &d);
	if (e)
		return e;
	do {
		e = file_once(rq, d, &target, name);
	} while (e && delivery_grow(d));
	return e;
}

const struct route route_file = { ENDPOINT_FILE, NULL, false, file_run, NULL };

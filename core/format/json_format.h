/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The formats that are JSON. Each has a row of its own in the table of formats, which is certain only where the words
 * that tell it stand in the first bytes. For the others there is one row at the end, format_json: it reads the document
 * once and asks each by the document's outermost names.
 */

#include "../wire/json.h"
#include "make.h"

struct json_format {
	const char *name;
	bool may_be_cut; /* a document that ends too early is taken as far as it goes */
	bool (*matches)(const struct json *j);
	int (*decode)(const struct json *j, struct maker *m);
};

extern const struct json_format json_speedscope;
extern const struct json_format json_cpuprofile;
extern const struct json_format json_heapprofile;
extern const struct json_format json_trace_event;
extern const struct json_format json_firefox;

/* Reads the document and decodes it as this format, or, where it is NULL, as the one it is. */
int json_format_decode(const struct json_format *format, struct slice in, const struct format_options *opts,
                       struct profile *p, struct error *err);

/* Whether it begins as JSON and has this text early. */
bool json_head_has(struct slice head, const char *text);

/* SPDX-License-Identifier: MIT */
#include "json_format.h"

#include <string.h>

#include "internal.h"

static const struct json_format *const kinds[] = {
	&json_speedscope, &json_cpuprofile, &json_heapprofile, &json_firefox, &json_trace_event,
};

bool json_head_has(struct slice head, const char *text)
{
	return judge_is_json(head) && memmem(head.data, head.len, text, strlen(text));
}

static const struct json_format *find_kind(const struct json *j)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if ((kinds[i]->may_be_cut || !j->cut) && kinds[i]->matches(j))
			return kinds[i];
	return NULL;
}

static int no_kind(const struct json *j, struct error *err)
{
	if (j->cut)
		return error_set(err, ERR_FORMAT_TRUNCATED, "JSON that is cut short after %zu bytes", j->in.len);
	return error_set(err, ERR_FORMAT_UNKNOWN, "JSON of no format of a profile that is known");
}

static int decode(const struct json_format *format, const struct json *j, const struct format_options *opts,
                  struct profile *p, struct error *err)
{
	_maker_ struct maker m;
	maker_init(&m, p, opts, err);
	int e = m.e ? m.e : format->decode(j, &m);
	return e ? e : make_end(&m);
}

int json_format_decode(const struct json_format *format, struct slice in, const struct format_options *opts,
                       struct profile *p, struct error *err)
{
	if (in.len >= 3 && !memcmp(in.data, "\xef\xbb\xbf", 3))
		in = (struct slice){ in.data + 3, in.len - 3 };
	const struct json_limits limits = { .max_bytes = format_max_model(opts),
		.may_be_cut = !format || format->may_be_cut };
	_json_ struct json j;
	int e = json_read(&j, in, &p->arena, &limits, err);
	if (e)
		return e;
	format = format ? format : find_kind(&j);
	return format ? decode(format, &j, opts, p, err) : no_kind(&j, err);
}

static enum format_verdict sniff(struct slice head, bool whole)
{
	return judge_is_json(head) ? FORMAT_MAYBE : FORMAT_NO;
}

static int decode_any(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	return json_format_decode(NULL, in, opts, p, err);
}

const struct format format_json = { "json", sniff, decode_any };

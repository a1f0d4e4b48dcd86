/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "fuzz.h"

static void must(bool ok, const char *what, const struct error *err)
{
	if (ok)
		return;
	fprintf(stderr, "%s: %s\n", what, err->text);
	abort();
}

void fuzz_check_profile(const struct profile *p)
{
	_buf_ struct buf first = BUF_INIT(256 << 20), second = BUF_INIT(256 << 20);
	struct error err = { 0 };
	struct profile again;
	must(!profile_verify(p, &err), "accepted and unsound", &err);
	must(!pprof_encode(p, &first), "not encoded", &err);
	must(!profile_init(&again, 256 << 20), "no memory", &err);
	const struct format_options opts = { .max_bytes = 256 << 20 };
	must(!format_pprof.decode(buf_slice(&first), &opts, &again, &err), "encoded and refused", &err);
	must(!pprof_encode(&again, &second), "not encoded again", &err);
	must(first.len == second.len && !memcmp(first.data, second.data, first.len), "not the same again", &err);
	profile_done(&again);
}

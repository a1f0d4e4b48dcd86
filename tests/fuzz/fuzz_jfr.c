/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

static int take(void *ctx, struct decoded *d, struct error *err)
{
	size_t *n = ctx;
	fuzz_check_profile(&d->profile);
	return ++*n < 1000 ? 0 : error_set(err, ERR_FORMAT_LIMIT, "enough");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct format_options opts = { .max_bytes = FUZZ_MAX_BYTES };
	struct error err = { 0 };
	size_t n = 0;
	const struct format_sink sink = { .take = take, .ctx = &n };
	int e = format_jfr.decode_all((struct slice){ data, size }, &opts, &sink, &err);
	if (e && !err.text[0])
		abort(); /* refused without a reason */
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

static int take(void *ctx, struct decoded *d, struct error *err)
{
	size_t *n = ctx;
	fuzz_check_profile(&d->profile);
	return ++*n < 1000 ? 0 : error_set(err, ERR_FORMAT_LIMIT, "enough");
}

static int refuse(void *ctx, int e, const struct error *why)
{
	if (!why->text[0] || e >= 0)
		abort(); /* refused without a reason */
	return 0;
}

/* What begins as JSON is read as JSON. Every second length lets unsound profiles be skipped. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct format_options opts = { .max_bytes = FUZZ_MAX_BYTES };
	struct error err = { 0 };
	size_t n = 0;
	const struct format_sink sink = { .take = take, .refuse = size % 2 ? refuse : NULL, .ctx = &n };
	int e = otlp_decode((struct slice){ data, size }, size && data[0] == '{', &opts, &sink, &err);
	if (e && !err.text[0])
		abort(); /* refused without a reason */
	return 0;
}

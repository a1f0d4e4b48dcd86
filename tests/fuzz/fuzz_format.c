/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

/* The whole way of an input: judged by its beginning, taken apart, decoded. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct format_options opts = { .max_bytes = FUZZ_MAX_BYTES };
	struct slice in = { data, size };
	struct error err = { 0 };
	struct format_reader *r;
	struct profile p;
	bool junk = format_judge((struct slice){ data, size / 2 }, false, &err) < 0;
	if (profile_init(&p, FUZZ_MAX_BYTES))
		return 0;
	if (format_reader_new(in, &opts, &r, &err)) {
		profile_done(&p);
		return 0;
	}
	int e;
	size_t taken = 0;
	while ((e = format_reader_next(r, &p, &err)) > 0) {
		if (junk || format_reader_taken(r) <= taken || format_reader_taken(r) > size)
			abort();
		taken = format_reader_taken(r);
		fuzz_check_profile(&p);
	}
	if (e < 0 && !err.text[0])
		abort(); /* refused without a reason */
	format_reader_free(r);
	profile_done(&p);
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

/* The whole way of an input: judged by its beginning, taken apart, decoded. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct format_options opts = { .max_bytes = FUZZ_MAX_BYTES };
	struct slice in = { data, size };
	struct error err = { 0 };
	struct format_reader *r;
	struct decoded_list doc;
	bool junk = format_judge((struct slice){ data, size / 2 }, false, &err) < 0;
	if (format_reader_new(in, &opts, &r, &err))
		return 0;
	int e;
	size_t taken = 0;
	while ((e = format_reader_next(r, &doc, &err)) > 0) {
		if (junk || format_reader_taken(r) <= taken || format_reader_taken(r) > size)
			abort();
		taken = format_reader_taken(r);
		for (size_t i = 0; i < doc.n; i++)
			fuzz_check_profile(&doc.v[i].profile);
	}
	if (e < 0 && !err.text[0])
		abort(); /* refused without a reason */
	format_reader_free(r);
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

/* One format's decoder, which the build names as FUZZ_FORMAT. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct format_options opts = { .max_bytes = FUZZ_MAX_BYTES };
	const struct slice in = { data, size };
	struct error err = { 0 };
	struct profile p;
	if (profile_init(&p, FUZZ_MAX_BYTES))
		return 0;
	FUZZ_FORMAT.sniff((struct slice){ data, size / 2 }, false);
	FUZZ_FORMAT.sniff(in, true);
	int e = FUZZ_FORMAT.decode(in, &opts, &p, &err);
	if (!e)
		fuzz_check_profile(&p);
	else if (!err.text[0])
		abort(); /* refused without a reason */
	profile_done(&p);
	return 0;
}

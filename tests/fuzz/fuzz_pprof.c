/* SPDX-License-Identifier: MIT */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct format_options opts = { .max_bytes = FUZZ_MAX_BYTES };
	struct error err = { 0 };
	struct profile p;
	if (profile_init(&p, FUZZ_MAX_BYTES))
		return 0;
	int e = format_pprof.decode((struct slice){ data, size }, &opts, &p, &err);
	if (!e)
		fuzz_check_profile(&p);
	else if (!err.text[0])
		abort(); /* refused without a reason */
	profile_done(&p);
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "core/receive/pyroscope.h"
#include "fuzz.h"

/* An old agent's encoding of stacks, whose reader the build names as FUZZ_STACKS: what it makes is read as folded text. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct format_options opts = { .max_bytes = FUZZ_MAX_BYTES };
	_buf_ struct buf text = BUF_INIT(FUZZ_MAX_BYTES);
	struct error err = { 0 };
	struct profile p;
	if (FUZZ_STACKS((struct slice){ data, size }, &text) || profile_init(&p, 2 * FUZZ_MAX_BYTES))
		return 0;
	int e = format_folded.decode(buf_slice(&text), &opts, &p, &err);
	if (!e)
		fuzz_check_profile(&p);
	else if (!err.text[0])
		abort(); /* refused without a reason */
	profile_done(&p);
	return 0;
}

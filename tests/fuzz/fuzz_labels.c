/* SPDX-License-Identifier: MIT */
#include "core/receive/internal.h"
#include "fuzz.h"

/* A profile of samples, each with a context and another label. */
static int make_samples(struct profile *p, const int64_t *contexts, size_t n, struct error *err)
{
	static const char text[] = "a 1\nb 1\nc 1\nd 1\ne 1\nf 1\n";
	static const struct format_options opts = { .max_bytes = FUZZ_MAX_BYTES };
	int e = format_folded.decode((struct slice){ (const uint8_t *)text, sizeof text - 1 }, &opts, p, err);
	if (e || p->n_samples != n)
		abort();
	const struct profile_label thread = { .key = profile_string(p, "thread", 6), .str = profile_string(p, "t", 1) };
	struct profile_label context = { .key = profile_string(p, "context_id", 10), .is_num = true };
	p->label_at.n = 0;
	for (size_t i = 0; i <= n; i++) {
		uint32_t *at = VEC_PUSH(&p->label_at);
		struct profile_label *to = VEC_GROW(&p->labels, 2);
		if (!at || !to)
			return -ENOMEM;
		*at = (uint32_t)p->labels.n;
		if (i == n)
			break;
		context.num = contexts[i];
		to[0] = thread;
		to[1] = context;
		p->labels.n += 2;
	}
	return 0;
}

/* The labels that are sent beside a recording, and what samples get of them. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const int64_t contexts[] = { 1, 7, 9, -1, 0, size ? data[0] : 2 };
	struct error err = { 0 };
	_cleanup_(jfr_labels_freep) struct jfr_labels *l = NULL;
	int e = jfr_labels_read((struct slice){ data, size }, &l, &err);
	if (e) {
		if (!err.text[0])
			abort(); /* refused without a reason */
		return 0;
	}
	struct profile p;
	if (profile_init(&p, FUZZ_MAX_BYTES))
		return 0;
	if (!make_samples(&p, contexts, ARRAY_SIZE(contexts), &err) && !jfr_labels_apply(l, &p, FUZZ_MAX_BYTES))
		fuzz_check_profile(&p);
	profile_done(&p);
	return 0;
}

/* SPDX-License-Identifier: MIT */
#pragma once

/* What relabel.c and relabel_parse.c share. */

#include "relabel.h"

enum relabel_action {
	RELABEL_REPLACE,
	RELABEL_KEEP,
	RELABEL_DROP,
	RELABEL_KEEPEQUAL,
	RELABEL_DROPEQUAL,
	RELABEL_LOWERCASE,
	RELABEL_UPPERCASE,
	RELABEL_LABELMAP,
	RELABEL_LABELDROP,
	RELABEL_LABELKEEP,
	RELABEL_HASHMOD,
};

struct relabel_rule {
	enum relabel_action action;
	struct str *source;
	size_t n_source;
	struct str separator, target, replacement;
	struct regex *regex;
	uint64_t modulus; /* of hashmod; not 0 */
};

struct relabel {
	struct relabel_rule *rules; /* in the arena, as all texts */
	size_t n;
	struct arena arena;
};

/* The last eight bytes of the MD5 of a text, modulo modulus, as Prometheus has it. -ENOTSUP: libcrypto has no MD5. */
int hashmod(struct str s, uint64_t modulus, uint64_t *ret);

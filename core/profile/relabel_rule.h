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
};

struct relabel_rule {
	enum relabel_action action;
	struct str *source;
	size_t n_source;
	struct str separator, target, replacement;
	struct regex *regex;
};

struct relabel {
	struct relabel_rule *rules; /* in the arena, as all texts */
	size_t n;
	struct arena arena;
};

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where functions are, for what names a function without saying so (a tree by function): the file and first line that
 * the merged selection gives them; of several of one name the first by file.
 */

#include "../base/idset.h"
#include "../base/vec.h"
#include "text.h"

struct named_source {
	struct str name;
	const struct profile_function *function;
};

struct sources {
	const struct profile *profile; /* of the query */
	VEC(struct named_source) chosen;     /* of its functions, one of each name */
	struct idset by_name;
};

int sources_init(struct sources *s, struct query *q, const struct cancel *cancel, struct error *err);
void sources_done(struct sources *s);
#define _sources_ _cleanup_(sources_done)
/* NULL where it is not known. */
const struct profile_function *sources_find(const struct sources *s, struct str name);

/* SPDX-License-Identifier: MIT */
#pragma once

/* Symbols that blocks of several days share: see shared.c. shared_make() is in merge.h. */

#include "out.h"
#include "reader.h"

/* Makes an empty dataset begin with them, under the same numbers. Loads their tables. */
int shared_begin(struct out_dataset *d, struct dataset *shared, const struct shared_name *name,
                 struct build_map *scratch, struct error *err);

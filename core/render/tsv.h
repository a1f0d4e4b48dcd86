/* SPDX-License-Identifier: MIT */
#pragma once

/* Tab-separated values: exact integers, shares in percent; what would make further columns or rows becomes a blank. */

#include "text.h"

void tsv_field(struct buf *out, struct str s);
/* A value, what share of the total that is, and the tabs behind both. */
void tsv_value(struct buf *out, int64_t value, int64_t total);

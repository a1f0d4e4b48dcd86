/* SPDX-License-Identifier: MIT */
#pragma once

/* Snappy's block format (github.com/google/snappy, format_description.txt). snappy.c alone includes snappy-c.h. */

#include "../base/buf.h"

/* Appends one block. */
int snappy_put(struct slice in, struct buf *out);

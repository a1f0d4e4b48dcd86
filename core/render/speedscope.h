/* SPDX-License-Identifier: MIT */
#pragma once

/* What the two shapes of speedscope.json share. */

#include "../wire/jsonw.h"
#include "text.h"

/* The word for a unit, of those that the format knows. */
const char *speedscope_unit(const char *unit);
void speedscope_head(struct jsonw *w);
/* One of shared.frames; line 0: unknown. */
void speedscope_frame(struct jsonw *w, struct str name, struct str file, int64_t line);
/* Ends profiles and the document. */
void speedscope_tail(struct jsonw *w, struct query *q);

/*
 * The selection in the order of time: 1 where it is one profile whose samples say when they were taken, and it was
 * written; else 0, with nothing written.
 */
int speedscope_evented(struct query *q, const struct call_tree *t, const struct cancel *cancel, struct buf *out,
                       struct error *err);

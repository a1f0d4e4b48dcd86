/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What a component does to a selection: narrows it, sets an option, or (below vs) replaces part of the
 * baseline. Pure.
 */

#include "grammar.h"

/*
 * COMPONENT_TIME, COMPONENT_ALL, COMPONENT_MATCHER and COMPONENT_OPTION. On failure *sel may have been
 * changed in part. above_time: where files are written too, and @unit may name any unit. ERR_PATH for what is
 * ill-valued.
 */
int narrow(struct selection *sel, const struct component *c, bool above_time, struct error *err);

/* Likewise in sel->baseline: a time or LABEL=VALUE replaces what stood there of its kind. */
int narrow_baseline(struct selection *sel, const struct component *c, struct error *err);

/* Whether LABEL is fixed by `=`. */
bool selection_fixes(const struct selection *sel, struct str label);
/* Takes `=` matchers of a label away. */
void selection_unfix(struct selection *sel, struct str label);
bool selection_has_filter(const struct selection *sel, enum filter_kind kind);

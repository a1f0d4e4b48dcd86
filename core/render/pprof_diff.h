/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A selection less its baseline as pprof's -diff_base has it: the baseline's samples below zero, with the label
 * pprof::base=true. Tables are those of both sides, one after the other.
 */

#include "text.h"

/* *ret is initialised and empty. */
int pprof_diff(struct query *q, const struct cancel *cancel, struct profile *ret, struct error *err);

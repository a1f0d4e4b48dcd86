/* SPDX-License-Identifier: MIT */
#pragma once

/* What Austin's two formats share: a sample's metrics by the mode of the recording. */

#include "make.h"

enum austin_mode { AUSTIN_WALL, AUSTIN_CPU, AUSTIN_MEMORY, AUSTIN_FULL };

#define AUSTIN_VALUES 4 /* at most */

/* "cpu", "memory", "full"; else wall. */
enum austin_mode austin_mode_of(struct str s);

void austin_types(struct maker *m, enum austin_mode mode);
/* time, 1 where idle, bytes: what the mode has of them. */
void austin_values(enum austin_mode mode, int64_t time, bool idle, int64_t bytes, int64_t ret[AUSTIN_VALUES]);

/* What all samples have. */
void austin_labels(struct maker *m, int64_t pid, struct str thread, bool idle);

/* "duration": microseconds. */
void austin_duration(struct profile *p, struct str text);

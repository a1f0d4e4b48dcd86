/* SPDX-License-Identifier: MIT */
#pragma once

/* What an independent reader found in a file (a JSON object of facts), compared with what a profile holds. */

#include <jansson.h>

#include "core/format/format.h"

/* A whole file as new memory; fails the test where it cannot be read. */
struct slice corpus_read(const char *dir, const char *file);

/* Prints each fact that differs; returns whether none did. Facts of other names are ignored. */
bool corpus_check(const struct profile *p, const json_t *facts, const char *file);

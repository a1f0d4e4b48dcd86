/* SPDX-License-Identifier: MIT */
#pragma once

/* Collects a table. Everything is capped by memory; the first failure sticks and is told by builder_finish(). */

#include "../base/arena.h"
#include "../base/idset.h"
#include "../base/vec.h"
#include "layout.h"

/* As it was found: ranges may hold others. Of what begins at one place the higher level is inside. */
struct found_range {
	uint64_t start, end;
	uint32_t scope, level;
};

struct found_row {
	struct debug_row row;
	uint32_t order; /* of those at one address the last counts */
};

struct builder {
	struct arena arena;
	VEC(struct str) strings; /* 0 is empty */
	struct idset string_set;
	VEC(struct debug_scope) scopes;
	VEC(struct found_range) found;
	VEC(struct found_row) rows;
	VEC(struct debug_range) ranges; /* by builder_finish() */
	size_t bytes;
	int error;
};

void builder_init(struct builder *b);
void builder_done(struct builder *b);
#define _builder_ _cleanup_(builder_done)

uint32_t builder_string(struct builder *b, const char *s); /* NULL is empty */
uint32_t builder_scope(struct builder *b, const struct debug_scope *s);
void builder_range(struct builder *b, const struct found_range *r);
void builder_row(struct builder *b, uint64_t start, uint32_t file, uint32_t line);
/* Appends the stored table; fills the counts of facts. */
int builder_finish(struct builder *b, struct debug_facts *facts, struct buf *out, struct error *err);

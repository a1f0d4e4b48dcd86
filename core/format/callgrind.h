/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The call graph of a callgrind file, and how it becomes samples.
 *
 * The file says what each line of a function cost by itself, and what each call between two functions cost in all; it
 * does not say which stacks there were. Costs are exact here: each line's own cost is one or more samples, whose sum it
 * is. The callers above are followed as far as the calls tell: where a function has several, its cost is shared out as
 * the calls' costs are, a stack for each share of at least an eighth; what is less, and what would go in circles, has a
 * stack that ends there. So a function's own value is exact, and its cumulative one is a lower bound.
 */

#include "make.h"
#include "text.h"

struct graph_node {
	uint32_t object, file, function; /* strings */
	uint32_t mapping;
	/* Once the calls are sorted: those of this function, the most costly first, and what all of them cost. */
	uint32_t calls_at, n_calls;
	double total;
};

struct graph_edge {
	uint32_t caller, callee;
	int64_t line, cost;
};

struct graph_entry {
	uint32_t node, location;
};

struct graph {
	struct maker *m;
	VEC(struct graph_node) nodes;
	VEC(struct graph_edge) edges;
	VEC(struct graph_entry) entries; /* costs, in the file's order */
	VEC(int64_t) costs;              /* of each entry, as many as there are types */
	struct idset node_ids, edge_ids, objects; /* objects: mappings by the string of their name */
};

void graph_done(struct graph *g);

uint32_t graph_node(struct graph *g, struct str object, struct str file, struct str function);
/* What a line of a function cost itself; the code's file differs from the function's where it is inlined. */
void graph_cost(struct graph *g, uint32_t node, struct str file, uint64_t address, int64_t line, const int64_t *costs);
/* What calls cost in all, in the first event. */
void graph_call(struct graph *g, uint32_t caller, uint32_t callee, int64_t line, int64_t cost);
/* Makes the samples. What a summary has (NULL: none) beyond the costs of all functions is a sample without a stack. */
void graph_samples(struct graph *g, const int64_t *summary);

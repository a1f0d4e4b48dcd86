/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What of a call tree a flame graph draws. Shared by the static picture (flamegraph.c) and, line by line the
 * same, by the script that redraws it (flamegraph.js).
 *
 * The width of a node is what it and all below it cost, own values below zero taken as nothing: so children
 * are never wider than their parent. Widths stay below 2^53, exact in JavaScript: larger trees are shifted
 * right.
 */

#include "text.h"

#define FLAME_WIDTH 1200 /* of the picture, in its own pixels */
#define FLAME_PAD 10
#define FLAME_HEAD 76    /* above the frames */
#define FLAME_ROW 17     /* with the gap of 1 */
#define FLAME_BOXES 8000 /* frames and remainders in a picture */
#define FLAME_LEVELS 1000
#define FLAME_LEAST_PX 0.1
#define FLAME_TEXT_PX 36 /* narrower frames have no text */
#define FLAME_EDGE_PX 2  /* narrower frames have no edge, which would hide them */
#define FLAME_TABLE 300000 /* nodes that zooming can show */
#define FLAME_COLOURS 60   /* classes c0 ..; then grey for unknown code, "all", remainders */

struct flame {
	const struct call_tree *tree;
	uint64_t *width;   /* of each node; 0: not in the picture at all */
	uint64_t *rest;    /* of each node: width of children that are not in the table */
	uint8_t *in_table; /* of each node; an ancestor of one is one */
	unsigned shift;    /* widths are values shifted right by it */
	uint64_t n_table;
	uint64_t negatives; /* nodes whose own value is below zero, not drawn */
	bool too_many;     /* the table does not hold all */
};

int flame_of(const struct call_tree *t, struct flame *ret);
void flame_done(struct flame *f);
#define _flame_ _cleanup_(flame_done)

static inline uint64_t flame_total(const struct flame *f)
{
	return f->tree->n_nodes ? f->width[0] : 0;
}

/* The least width in px and the number of levels at which the picture is small enough. */
struct flame_fit {
	double least_px;
	uint32_t levels;
};

struct flame_fit flame_fit(const struct flame *f);

/* A rectangle of the picture: a frame, or neighbours too narrow to be one. */
struct flame_box {
	uint32_t node;    /* of a remainder: its first */
	uint32_t depth;
	uint64_t start, width; /* in units of width */
	uint64_t frames;  /* of a remainder: how many; 0: this is a frame */
};

/* Calls box() for each rectangle of the picture, in preorder, while it returns true. */
int flame_each(const struct flame *f, struct flame_fit fit, bool (*box)(void *arg, const struct flame_box *b),
               void *arg);

static inline double flame_px(const struct flame *f, uint64_t width)
{
	return (double)width / (double)flame_total(f) * (FLAME_WIDTH - 2 * FLAME_PAD);
}

/* The part of a function's name that decides its colour: package, crate, namespace. */
struct str flame_package(struct str name);
/* 0 .. FLAME_COLOURS + 1. */
unsigned flame_colour(const struct frame *f);
/* The style sheet of the classes of colours, for light and dark. */
void flame_palette(struct buf *out);

extern const char flamegraph_js[];
extern const unsigned flamegraph_js_len;

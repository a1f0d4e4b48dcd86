/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What of a call tree a flame graph draws. Shared by the static picture (flamegraph_svg.c) and, line by line the
 * same, by the script that redraws it (web/flamegraph_svg.js).
 *
 * The width of a node is what it and all below it cost, own values below zero taken as nothing: so children
 * are never wider than their parent. In a comparison it is what both sides cost together: so what is new and what is
 * gone is there to be seen. Widths stay below 2^53, exact in JavaScript: larger trees are shifted right.
 */

#include "../query/diff.h"
#include "picture.h"

#define FLAME_WIDTH 1200 /* of the picture, in its own pixels */
#define FLAME_PAD 10
#define FLAME_HEAD 76    /* above the frames */
#define FLAME_ROW 17     /* with the gap of 1 */
#define FLAME_ELEMENTS 7900 /* of a picture: rectangles, texts and titles of frames */
#define FLAME_LEVELS 1000
#define FLAME_LEAST_PX 0.1
#define FLAME_TEXT_PX 36 /* narrower frames have no text */
#define FLAME_TITLE_PX 3 /* narrower frames have no title: hard to point at */
#define FLAME_EDGE_PX 2  /* narrower frames have no edge, which would hide them */
#define FLAME_TABLE 300000 /* nodes that zooming can show */
#define FLAME_COLOURS 60   /* classes c0 ..; then grey for unknown code, "all", remainders */
#define FLAME_CHANGES 9    /* classes d0 (shrank) .. d4 (equal) .. d8 (grew) */

struct flame {
	const struct call_tree *tree; /* of a comparison the selection's side */
	const struct call_diff *diff; /* NULL: no comparison */
	uint64_t *width;   /* of each node; 0: not in the picture at all */
	uint64_t *before;  /* the part of it that is the baseline's; without one 0 */
	uint64_t *rest, *rest_before; /* of each node: widths of children that are not in the table, by side */
	uint8_t *in_table; /* of each node; an ancestor of one is one */
	uint8_t *frame_sides; /* of each frame of a comparison: 1 the baseline has it, 2 the selection */
	unsigned shift;    /* widths are values shifted right by it */
	uint64_t n_table;
	uint64_t negatives; /* nodes whose own value is below zero, not drawn */
	bool too_many;     /* the table does not hold all */
};

int flame_of(const struct call_tree *t, const struct call_diff *diff, struct flame *ret);
/* Of what a query selects, under vs of both sides. */
int flame_of_query(struct query *q, const struct cancel *cancel, struct flame *ret, struct error *err);
void flame_done(struct flame *f);
#define _flame_ _cleanup_(flame_done)

/* The widths of a node's own values, of each side. */
uint64_t flame_own(const struct flame *f, uint32_t node);
uint64_t flame_own_before(const struct flame *f, uint32_t node);

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

/* What the picture at a fit shows and what it leaves to zooming. */
struct flame_shown {
	uint64_t frames, left_out;
	uint32_t levels;
};

int flame_measure(const struct flame *f, struct flame_fit fit, struct flame_shown *ret);

/* The elements that a box takes. */
static inline unsigned flame_elements(double px, bool remainder)
{
	return 1u + (px >= FLAME_TITLE_PX) + (px >= FLAME_TEXT_PX && !remainder);
}

/* ---- colours ---- */

/* The part of a function's name that decides its colour: package, crate, namespace. */
struct str flame_package(struct str name);
/* A name without the path of its package, for where there is little room: "grpc.(*Server).Serve". */
struct str flame_short(struct str name);
/* 0 .. FLAME_COLOURS + 1. */
unsigned flame_colour(const struct frame *f);
/* The style sheet of the classes of colours, for light and dark; of a comparison its own. */
void flame_palette(struct buf *out, bool compares);
/* The same for scripts: "#rrggbb" with commas between, in the order of classes. */
void flame_colours(struct buf *out, bool compares, bool dark);

/* 0 .. FLAME_CHANGES - 1: how the part that is the baseline's compares with the rest of a width. */
unsigned flame_change(uint64_t before, uint64_t after);

/* ---- words ---- */

enum flame_fate {
	FLAME_STAYED, /* on both sides */
	FLAME_NEW,    /* the baseline lacks the function */
	FLAME_GONE,   /* the selection lacks the function */
	FLAME_MOVED,  /* the other side has the function, in other stacks only */
};

enum flame_fate flame_fate(const struct flame *f, uint32_t node);
/* "+12.5%", "-3%" of what the baseline has; "" below a tenth of a percent. */
void put_change(struct buf *out, uint64_t before, uint64_t after);
/* "cpu: total 4s, 100% · 2026-11-22 14:00:00 UTC to ... · 3 profiles" */
void put_flame_summary(struct buf *out, const struct flame *f, struct query *q);

/* ---- data for scripts ---- */

/*
 * The settings and the table of nodes, as elements that are not shown: <metadata> in SVG, <div hidden> in HTML. See
 * flame_table.c.
 */
int put_flame_table(struct buf *out, const struct flame *f, struct query *q, bool html);

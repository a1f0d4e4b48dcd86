/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The grammar of paths (docs/paths.md is normative): what one component is, judged by its text, and where it
 * leads from the place it stands in. Pure: no store, no clock.
 *
 * Words (`vs`, `profiles`, times, rendering names ...) are compared as typed; what they name is
 * percent-decoded after they were split. So a listed name with an encoded first byte never reads as a word.
 */

#include "../render/render.h"
#include "times.h"

/* Kinds of directories. */
enum place {
	PLACE_ROOT,
	PLACE_SERVICE,   /* a service, and matchers and options above a time */
	PLACE_TIME,      /* a time, and what stands below it without a type */
	PLACE_TYPE,      /* a type, and what stands below it */
	PLACE_VS,        /* vs/ itself: what to compare with */
	PLACE_BASE,      /* below vs/: with a baseline */
	PLACE_BY,        /* by-LABEL/ */
	PLACE_PROFILES,  /* profiles/ */
	PLACE_FUNCTIONS, /* functions/ */
	PLACE_CONTROL,   /* .profilefs/ */
	PLACE_SEARCH,    /* .profilefs/search/ */
	PLACE_DEBUGINFO, /* .profilefs/debuginfo/ */
};

enum component_kind {
	COMPONENT_NAME,    /* no word: a service, a type, a value, a file */
	COMPONENT_NEVER,   /* what desktops and editors look for everywhere: absent without asking */
	COMPONENT_TIME,    /* span */
	COMPONENT_ALL,
	COMPONENT_OF_DAY,  /* span, from the day's start */
	COMPONENT_LAST,    /* length */
	COMPONENT_TODAY,
	COMPONENT_YESTERDAY,
	COMPONENT_LATEST,
	COMPONENT_MATCHER, /* key, op, value */
	COMPONENT_OPTION,  /* option, value */
	COMPONENT_BY,      /* key */
	COMPONENT_VS,
	COMPONENT_PROFILES,
	COMPONENT_FUNCTIONS,
	COMPONENT_RENDERING,
};

enum option {
	/* filters and the like: which samples */
	OPTION_ID,
	OPTION_FOCUS,
	OPTION_IGNORE,
	OPTION_ROOT,
	OPTION_CALLERS,
	OPTION_FUNCTION,
	/* how renderings are made */
	OPTION_STEP,
	OPTION_GRANULARITY,
	OPTION_LIMIT,
	OPTION_UNIT, /* above a time also: of written text formats */
	OPTION_SCALE,
	OPTION_WEIGHT,
	OPTION_NORMALIZE,
	OPTION_EXEMPLARS,
	OPTION_SORT,
	/* how files are taken: above a time only */
	OPTION_TYPE,
	OPTION_KIND,
	OPTION_TEMPORALITY,
};

#define COMPONENT_MAX 4096 /* bytes of one name */

struct component {
	enum component_kind kind;
	struct span span;
	int64_t length;
	enum match_op op;
	enum option option;
	const struct rendering *rendering;
	struct buf key, value;     /* decoded */
	bool key_cut, value_cut;   /* typed as long names are listed: to be found among the candidates */
	struct str typed_key, typed_value; /* as typed; borrowed from the text */
};

/*
 * Reads one component as it stands below a service. ERR_PATH with a sentence where it is ill-formed; *ret is
 * set only on success and then needs component_done(); it borrows from text.
 */
int component_read(const char *text, struct component *ret, struct error *err);
void component_done(struct component *c);
#define _component_ _cleanup_(component_done)

/*
 * Whether a name (as it would be listed) reads as a word, or is ill-formed: its first byte is then listed
 * encoded.
 */
bool component_reserved(const char *text);
/* Whether files are taken below this component, above a time. */
bool component_takes_files(const struct component *c);
/* What it reads as, for messages: "a time", "a matcher" ... */
const char *component_word(enum component_kind kind);

/* What a component does below a place. */
enum step_kind {
	STEP_ABSENT, /* it is not found there */
	STEP_DIR,    /* a directory of the place `to` */
	STEP_LINK,
	STEP_FILE,   /* a rendering */
	STEP_NAME,   /* to be looked for: a type */
};

struct step_to {
	enum step_kind kind;
	enum place to;
};

/*
 * For PLACE_SERVICE, PLACE_TIME, PLACE_TYPE, PLACE_VS and PLACE_BASE; the others hold plain names. ERR_PATH
 * where a well-formed component must not stand, with the reason.
 */
int grammar_step(enum place at, const struct component *c, struct step_to *ret, struct error *err);

/* Whether a rendering is a file of directories of this kind. */
bool grammar_renders(enum place at, const struct selection *sel, const struct rendering *r);

/* Names that desktops and editors look for in every directory. */
bool grammar_never(const char *text);

/* SPDX-License-Identifier: MIT */
#pragma once

/* What `ingest` is given: files, directories walked to their ends, standard input; and what their paths say. */

#include "../../core/paths/paths.h"

#define INPUT_MAX_BYTES ((size_t)256 << 20) /* of one file as it lies there */

struct input {
	char *path;      /* "-" for standard input */
	size_t below_at; /* path + below_at: the part below the DIR that was given; 0: it was given itself */
};

struct inputs {
	VEC(struct input) files;
	size_t skipped; /* files of a directory above the depth of --layout */
	size_t links;   /* symbolic links below a directory */
	size_t unread;  /* directories that could not be read; each was complained about */
};

void inputs_done(struct inputs *in);

/*
 * Adds an operand: a file, "-", or all regular files below a directory but those whose name begins with a dot, in
 * order of names. Symbolic links are followed only where they are given, else counted. Files less than `depth`
 * directories below are counted as skipped.
 */
int inputs_add(struct inputs *in, const char *operand, size_t depth, struct error *err);

/* Reads a whole input; tells its mtime (0 for a stream). ERR_FORMAT_LIMIT over INPUT_MAX_BYTES. */
int input_read(const struct input *in, struct buf *out, int64_t *ret_mtime, struct error *err);

/*
 * Which directory below DIR gives what: the components of --layout, "SERVICE", "-" (nothing), or a label's key.
 */
struct layout {
	char *text; /* cut into components; NULL: none */
	const char *parts[16];
	size_t n;
};

int layout_init(struct layout *l, const char *text, struct error *err);
void layout_done(struct layout *l);
/* Sets the service and adds labels that the path of an input gives. */
int layout_apply(const struct layout *l, const struct input *in, struct target *t, struct error *err);

/* A target's label: both are copied. */
int target_add_label(struct target *t, struct str key, struct str value);

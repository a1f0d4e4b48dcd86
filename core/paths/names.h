/* SPDX-License-Identifier: MIT */
#pragma once

/* Names as they are listed and typed: percent-encoding, and finding what a typed name stands for. */

#include "../base/pct.h"
#include "../profile/label.h"

#define NAME_TYPED_MAX 1024 /* the longest name that the kernel passes on */

/* A typed name, made ready to be compared with many candidates. */
struct typed {
	struct str text;
	struct buf raw; /* decoded */
	bool cut;       /* in the form that long names are listed in */
};

/* text is borrowed until typed_done(). 0 or -ENOMEM. */
int typed_init(struct typed *t, struct str text);
void typed_done(struct typed *t);
#define _typed_ _cleanup_(typed_done)

/* Whether it names this. */
bool typed_is(const struct typed *t, struct str candidate);
/* Ends in "%~" and 16 hex digits. */
bool name_is_cut(struct str text);

/* The listed form; the first byte encoded too where the name would read as another component. Appends. */
void name_put(struct buf *out, struct str raw);
/* "by-LABEL", for a label. Appends. */
void name_put_by(struct buf *out, struct str label);
/* "KEY=VALUE" as lookup finds it. Appends. */
void name_put_matcher(struct buf *out, struct str key, struct str value);
/* A service in the root. */
void name_put_service(struct buf *out, struct str service);
/* A value in by-LABEL/; the absent one is "%none". */
void name_put_value(struct buf *out, struct str value);

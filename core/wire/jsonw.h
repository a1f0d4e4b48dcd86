/* SPDX-License-Identifier: MIT */
#pragma once

/* Writes JSON (RFC 8259), indented by two, with commas and nesting kept by the writer. Invalid UTF-8 becomes U+FFFD. */

#include "../base/buf.h"

struct jsonw {
	struct buf *out;
	unsigned depth;
	bool comma;   /* a value was written at this depth */
	bool compact; /* no white space at all */
	bool keyed;   /* a key stands before the next value */
};

#define JSONW(out_) ((struct jsonw){ .out = (out_) })

void jsonw_object(struct jsonw *w);
void jsonw_end_object(struct jsonw *w);
void jsonw_array(struct jsonw *w);
void jsonw_end_array(struct jsonw *w);
void jsonw_key(struct jsonw *w, const char *key);
void jsonw_keyn(struct jsonw *w, struct str key);
void jsonw_str(struct jsonw *w, const char *s);
void jsonw_strn(struct jsonw *w, struct str s);
void jsonw_i64(struct jsonw *w, int64_t v);
void jsonw_u64(struct jsonw *w, uint64_t v);
void jsonw_double(struct jsonw *w, double v); /* shortest that reads back equal; NaN and infinities as null */
void jsonw_bool(struct jsonw *w, bool v);

/* The escaped contents of a string, without quotes: for JSON inside other texts. `<`, `>` and `&` as \u00XX. */
void json_escape(struct buf *out, struct str s);

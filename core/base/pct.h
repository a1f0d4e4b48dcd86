/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Percent-encoding of names, for file names in the tree and for keys in the store. Bytes that are not safe become
 * %XX (upper-case hex). A name over 200 bytes when encoded is cut (at a character) and completed by `%~` and 16 hex
 * digits of its XXH3 hash: so different long names stay different; that is not reversible, and callers look such a
 * name up by encoding the candidates.
 */

#include "buf.h"

#define NAME_LIMIT 200

/* true for bytes that may stay: ASCII letters and digits, _ . + , ~ - and (bytes of) valid UTF-8 letters. */
bool pct_safe(uint8_t byte);

/*
 * Encodes raw into ret (appends). A leading '.' or '-' is encoded, invalid UTF-8 and control characters too; where
 * `reserve_first` the first byte as well (a name that would read as another component). Returns whether it was cut.
 */
bool pct_encode(struct buf *ret, struct str raw, bool reserve_first);

/* Decodes: `%` without two hex digits stands for itself. Appends. */
void pct_decode(struct buf *ret, struct str encoded);

/* For object keys: only [A-Za-z0-9_.-] stay, never cut; a leading '.' is encoded. Reversible by pct_decode(). */
void pct_encode_key(struct buf *ret, struct str raw);

/* SPDX-License-Identifier: MIT */
#pragma once

/* What Pyroscope's names mean here: shared by its two endpoints. docs/ingest.md has the table. */

#include "internal.h"

/*
 * Takes service_name and __delta__ out of the labels (in place; *n becomes smaller) and tells what they, and __name__,
 * say. The strings stay the caller's.
 */
struct sending pyroscope_sending(struct label *labels, size_t *n);

/* Splits "app{k=v,...}" into service and labels, in the request's arena. Refuses what is no such name. */
int pyroscope_name(struct request *rq, const char *name, struct sending *ret);

/* The end of an application's name may be its type (".cpu"): for formats that name none. May be "". */
void pyroscope_type(struct sending *s, struct str units, uint64_t sample_rate);

/* Seconds, milliseconds, microseconds or nanoseconds since 1970, by magnitude; 0 where it is none. */
int64_t pyroscope_time(const char *s);

/* Old agents' encodings of stacks, as folded text. Appends; ERR_FORMAT_MALFORMED, ERR_LIMIT_BUFFER. */
int stacks_from_lines(struct slice in, struct buf *out);
int stacks_from_trie(struct slice in, struct buf *out);
int stacks_from_tree(struct slice in, struct buf *out);

int base64_decode(struct str s, struct buf *out);
void base64_encode(struct slice s, struct buf *out);

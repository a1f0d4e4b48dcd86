/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The table of input formats: bytes to struct profile. A format is one row and one file; it is recognised by content.
 *
 * Taking an input apart is a walk, since a file may hold several profiles (gzip members that are each a whole one):
 *
 *     struct format_reader *r;
 *     format_reader_new(input, &opts, &r);
 *     while ((e = format_reader_next(r, &profile, err)) > 0)
 *             ... profile is valid until the next call ...
 *     e == 0: all taken; e < 0: this file is refused, err says why and where. All or nothing is the caller's choice.
 *
 * Decoders are bounded (bytes, counts, nesting, decompressed size) and never recurse on input. Thread safe: readers
 * share nothing.
 */

#include "../profile/profile.h"

struct format_options {
	size_t max_bytes;    /* decompressed bytes of one profile; 0: 256 MiB */
	uint32_t max_types;  /* sample types; 0: 64 */
	struct str type, unit; /* for text formats that name none: default "samples", "count" */
};

/* What a first look at the bytes says. */
enum format_verdict {
	FORMAT_NO,       /* certainly not this format */
	FORMAT_MAYBE,    /* cannot tell yet (too few bytes, or a format without magic) */
	FORMAT_YES,
};

struct format {
	const char *name; /* "pprof", "folded" */
	/*
	 * Looks at the first bytes of one (decompressed) profile; `whole` when these are all there are. Cheap.
	 */
	enum format_verdict (*sniff)(struct slice head, bool whole);
	/* Decodes one whole profile. p is empty (profile_reset) and borrows from `in` until the next decode. */
	int (*decode)(struct slice in, const struct format_options *opts, struct profile *p, struct error *err);
};

extern const struct format format_pprof;
extern const struct format format_folded;

/* All formats, most certain first; NULL-terminated. */
extern const struct format *const formats[];

/*
 * Judges the start of an input, compressed or not: for the first write() to a file. 0: may become a profile (or too
 * short to tell); ERR_FORMAT_UNKNOWN or ERR_FORMAT_NAMED with the reason ("an HTML page", "a Java heap dump: ...").
 */
int format_judge(struct slice head, bool whole, struct error *err);

struct format_reader;

/* in is borrowed until the reader is freed. New. */
int format_reader_new(struct slice in, const struct format_options *opts, struct format_reader **ret,
                      struct error *err);
void format_reader_free(struct format_reader *r);
DEFINE_CLEANUP(struct format_reader *, format_reader_free);

/* 1: *p (initialised by the caller) holds the next profile; 0: none left; negative: refused. */
int format_reader_next(struct format_reader *r, struct profile *p, struct error *err);
/* How many bytes of the input the profiles so far took up: a boundary where appended ones begin. */
size_t format_reader_taken(const struct format_reader *r);
const char *format_reader_name(const struct format_reader *r); /* of the last profile's format */

/*
 * A reader's memory can be used again for further inputs: same as free and new, without the cost.
 */
int format_reader_reset(struct format_reader *r, struct slice in, const struct format_options *opts);

/* ---- writing ---- */

/*
 * Encodes a profile as an uncompressed pprof: ids are indices + 1 in array order, fields in number order, strings once
 * each in order of first use. Equal profiles give equal bytes. Appends.
 */
int pprof_encode(const struct profile *p, struct buf *out);

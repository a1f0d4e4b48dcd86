/* SPDX-License-Identifier: MIT */
#pragma once

/* From a file's bytes to the database: what the mount's close() and `profilefs ingest` share. */

#include "../format/format.h"
#include "../profile/relabel.h"
#include "paths.h"

/*
 * What was taken in the last ten minutes without a time of its own, so that the same bytes under the same
 * name in the same directory count once: they get the time that they got first. Bounded; thread safe. One per
 * mount.
 */
struct recent;
int recent_new(struct recent **ret);
void recent_free(struct recent *r);
DEFINE_CLEANUP(struct recent *, recent_free);
/* The time under which `key` was seen in the ten minutes before now, else now, which is remembered. */
int64_t recent_time(struct recent *r, uint64_t key, int64_t now);

/* A decoder's memory, to be used again: one per thread. */
struct ingest_scratch;
int ingest_scratch_new(struct ingest_scratch **ret);
void ingest_scratch_free(struct ingest_scratch *s);
DEFINE_CLEANUP(struct ingest_scratch *, ingest_scratch_free);

struct ingest_options {
	const struct target *target;
	const char *name;          /* the file's, for its kind ("mutex.pb.gz") and messages; NULL */
	int64_t mtime;             /* of the file, where its writer set it; 0 */
	int64_t now;               /* 0: clock_now() */
	size_t max_bytes;          /* decompressed; 0: 256 MiB */
	struct bulk *bulk;         /* add to this instead of writing at once; NULL */
	struct recent *recent;     /* NULL: nothing is remembered */
	const struct relabel *relabel;  /* rules for the labels; NULL: the store's */
	struct ingest_scratch *scratch; /* NULL: made for the call */
};

struct ingest_result {
	size_t taken, duplicates;  /* duplicates are not among the taken */
	size_t dropped;            /* by relabelling rules: neither */
	size_t consumed;           /* bytes of the input that whole profiles made up */
	uint64_t samples;          /* of the profiles taken */
	const char *format;
	struct ulid last;          /* id of the last profile */
	char warning[160];
};

/*
 * Decodes all profiles of one input, then writes them: nothing is written where one is refused. The target's service
 * wins over the one that the input names, which then stays as the label service.name; where the target names none, the
 * input must (ERR_FORMAT_SERVICE). The target's labels win over the input's in selections. Durable on 0
 * (but for bulk). Refused: the decoder's or the store's error, with a sentence; where the store fails in the
 * midst of many profiles, those before are stored and count once when it is tried again. An empty input is no
 * error and no profile; nor is a document that says it holds none.
 */
int ingest_bytes(struct db *db, struct slice in, const struct ingest_options *opts, struct ingest_result *ret,
                 struct error *err);

/*
 * Decodes and counts without writing: how many whole profiles there are (taken) and where the last ends
 * (consumed). Where something after a whole profile is not one, that is told in `warning`; where the first is
 * none, that is the error.
 */
int ingest_probe(struct slice in, struct ingest_result *ret, struct error *err);

/* "mutex" or "block" where that is a word of a file's name, NULL elsewhere: what delay and contentions are of. */
const char *ingest_kind_of_name(const char *name);

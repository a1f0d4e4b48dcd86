/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The table of input formats: bytes to profiles. A format is one row and one file; it is recognised by content.
 *
 * Taking an input apart is a walk over its documents, since a file may hold several (gzip members that are each a whole
 * one); and a document may hold several profiles, each with a service and labels of its own (an OTLP request), or none:
 *
 *     struct format_reader *r;
 *     struct decoded_list doc;
 *     format_reader_new(input, &opts, &r);
 *     while ((e = format_reader_next(r, &doc, err)) > 0)
 *             ... doc.v[0 .. doc.n) are valid until the next call ...
 *     e == 0: all taken; e < 0: this file is refused, err says why and where. All or nothing is the caller's choice.
 *
 * Decoders are bounded (bytes, counts, nesting, decompressed size) and never recurse on input. Thread safe: readers
 * share nothing.
 */

#include "../profile/label.h"
#include "../profile/profile.h"

struct format_options {
	size_t max_bytes;    /* decompressed bytes of one document; 0: 256 MiB */
	uint32_t max_types;  /* sample types; 0: 64 */
	struct str type, unit; /* for formats that name none; "": the format's own ("samples", "count" of text) */
};

/*
 * One profile of a document, and what the document says of whose it is. Strings are borrowed from the input or lie in
 * the profile's arena.
 */
struct decoded {
	struct profile profile;
	struct str service;       /* "" where the document does not say */
	VEC(struct label) labels; /* of the whole profile; keys are unique */
};

/* Empty. max_bytes bounds the profile's arena. */
int decoded_init(struct decoded *d, size_t max_bytes);
void decoded_done(struct decoded *d);
/* Empties it and keeps the memory, as profile_reset() does. */
void decoded_reset(struct decoded *d);
/* Both copy into the profile's arena. The last one of equal keys holds, an empty value is none. -ENOMEM, or
 * ERR_FORMAT_LIMIT for too many labels. */
int decoded_label(struct decoded *d, struct str key, struct str value);
int decoded_service(struct decoded *d, struct str service);

/* Where the profiles of a document go, one after the other. */
struct format_sink {
	/*
	 * A whole profile. The callee may exchange *d for another that was initialised and is empty; what is still
	 * in it afterwards is forgotten. A negative answer ends the decoding with it.
	 */
	int (*take)(void *ctx, struct decoded *d, struct error *err);
	/*
	 * A profile that is no good, while others of the document may be. 0: goes on with the next one. NULL: the
	 * first such profile refuses the document.
	 */
	int (*refuse)(void *ctx, int e, const struct error *why);
	void *ctx;
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
	 * Looks at the first bytes of one (decompressed) document; `whole` when these are all there are. Cheap.
	 */
	enum format_verdict (*sniff)(struct slice head, bool whole);
	/* Decodes a document of one profile. p is empty (profile_reset) and borrows from `in` until the next decode. */
	int (*decode)(struct slice in, const struct format_options *opts, struct profile *p, struct error *err);
	/* Instead of it, where a document may hold several profiles, or none, or say whose they are. */
	int (*decode_all)(struct slice in, const struct format_options *opts, const struct format_sink *sink,
	                  struct error *err);
};

extern const struct format format_pprof;
extern const struct format format_jfr;
extern const struct format format_otlp;
extern const struct format format_otlp_json;
extern const struct format format_folded;
extern const struct format format_speedscope;
extern const struct format format_cpuprofile;
extern const struct format format_heapprofile;
extern const struct format format_perf_script;
extern const struct format format_gperftools; /* CPU */
extern const struct format format_heap_text;  /* gperftools, and Go's debug=1 */
extern const struct format format_jemalloc;
extern const struct format format_count_text; /* Go's debug=1: goroutine, threadcreate */
extern const struct format format_java_text;  /* the same pages of servers in Java */
extern const struct format format_contention; /* gperftools, and Go's mutex and block with debug=1 */
extern const struct format format_threads;    /* gperftools */
extern const struct format format_callgrind;
extern const struct format format_austin;
extern const struct format format_mojo; /* Austin's binary one */
extern const struct format format_firefox;
extern const struct format format_trace_event;
extern const struct format format_json; /* any of the JSON formats, where its first bytes do not tell */

/* All formats, most certain first; NULL-terminated. */
extern const struct format *const formats[];

/*
 * Judges the start of an input, compressed or not: for the first write() to a file. 0: may become a profile (or too
 * short to tell); ERR_FORMAT_UNKNOWN or ERR_FORMAT_NAMED with the reason ("an HTML page", "a Java heap dump: ...").
 */
int format_judge(struct slice head, bool whole, struct error *err);

/*
 * Decodes an OTLP request (ExportProfilesServiceRequest, or ProfilesData, which is the same), whatever its layout; the
 * bytes are not compressed. Each profile goes to the sink, or, where it has one, to its refuse() with the reason. What
 * is wrong with the request as a whole is the answer. in must outlive what the sink keeps, unless it is JSON.
 */
int otlp_decode(struct slice in, bool is_json, const struct format_options *opts, const struct format_sink *sink,
                struct error *err);

struct format_reader;

/* in is borrowed until the reader is freed. New. */
int format_reader_new(struct slice in, const struct format_options *opts, struct format_reader **ret,
                      struct error *err);
void format_reader_free(struct format_reader *r);
DEFINE_CLEANUP(struct format_reader *, format_reader_free);

/* The profiles of one document; borrowed from the reader until its next call, but for the caller to change. */
struct decoded_list {
	struct decoded *v;
	size_t n;
};

/* 1: *ret are the profiles of the next document; 0: none left; negative: refused. */
int format_reader_next(struct format_reader *r, struct decoded_list *ret, struct error *err);
/* How many bytes of the input the documents so far took up: a boundary where appended ones begin. */
size_t format_reader_taken(const struct format_reader *r);
const char *format_reader_name(const struct format_reader *r); /* of the last document's format */

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

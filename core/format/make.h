/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Builds a struct profile from what the formats say that are no pprof: equal strings, functions and locations become
 * one. Errors stick as in struct buf: after the first, `e` is set, err has the sentence, and every further call does
 * nothing; so a decoder builds freely and asks at the end of each of its loops.
 *
 * A sample is built leaf first: make_frame() ..., make_label_*() ..., then make_sample(). Memory is bounded by twice
 * the limit of the input.
 */

#include "../base/idset.h"
#include "../profile/label.h"
#include "format.h"

struct maker {
	struct profile *p;
	const struct format_options *opts;
	struct error *err;
	int e;
	uint64_t seed;
	size_t max_model;
	struct idset strings, functions, locations;
};

/* p is empty. */
void maker_init(struct maker *m, struct profile *p, const struct format_options *opts, struct error *err);
void maker_done(struct maker *m);
#define _maker_ _cleanup_(maker_done)

/* Sets the error unless one is set; returns it. */
int make_fail(struct maker *m, int e, const char *fmt, ...) _printf_(3, 4);

/* The string itself is not copied: it lives as long as the input, or in the profile's arena. */
uint32_t make_string(struct maker *m, struct str s);
/* Copies it. */
uint32_t make_copy(struct maker *m, struct str s);

void make_type(struct maker *m, struct str type, struct str unit);
/* Not made one with an equal one. PROFILE_NONE where it fails. */
uint32_t make_mapping(struct maker *m, const struct profile_mapping *mapping);
uint32_t make_function(struct maker *m, const struct profile_function *f);

struct frame {
	uint32_t mapping; /* or PROFILE_NONE */
	uint64_t address;
	const struct profile_line *lines; /* innermost inlined call first; none: only the address is known */
	uint32_t n_lines;
};

uint32_t make_location(struct maker *m, const struct frame *f);
/* A location of a function alone. */
uint32_t make_named(struct maker *m, struct str name, struct str file, int64_t line);

void make_frame(struct maker *m, uint32_t location);
void make_label(struct maker *m, struct str key, struct str value); /* "" is none */
void make_number(struct maker *m, struct str key, int64_t value, struct str unit);
void make_comment(struct maker *m, struct str text);
/* Ends the sample; values are as many as the types. */
void make_sample(struct maker *m, const int64_t *values);

/* Ends the profile: the maker's error, or 0. */
int make_end(struct maker *m);

/* The labels of samples that several formats have. */
#define LABEL_THREAD STR("thread")
#define LABEL_TID STR("tid")
#define LABEL_PROCESS STR("process")
#define LABEL_PID STR("pid")
#define LABEL_CPU STR("cpu")
#define LABEL_TIMESTAMP STR("timestamp") /* ns since the epoch */
#define LABEL_ELAPSED STR("elapsed")     /* ns since the start of the profile, or of the clock it counts by */
#define UNIT_NS STR("nanoseconds")
#define NO_UNIT STR("")

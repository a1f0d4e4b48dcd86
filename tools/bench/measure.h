/* SPDX-License-Identifier: MIT */
#pragma once

/* Clocks, medians, peaks, and figures as lines of JSON on stdout. */

#include "../../core/base/clock.h"
#include "../../core/store/store.h"
#include "../../core/wire/jsonw.h"

struct stopwatch {
	int64_t wall, cpu;
};

struct stopwatch stopwatch_start(void);
struct stopwatch stopwatch_read(const struct stopwatch *start); /* passed since */

/* Up to 64 measurements. */
struct series_of {
	double v[64];
	size_t n;
};

void series_add(struct series_of *s, double v);
double series_median(struct series_of *s); /* sorts */

/* The most memory that this process has held, MB. */
double peak_mb(void);

/*
 * Runs fn(arg) in a process of its own, so that its peak and caches are its own. 0 where it returned 0.
 */
int in_child(int (*fn)(void *arg), void *arg);

/* One line: figure_begin(), figure_*(), figure_end(). */
struct figure {
	struct buf out;
	struct jsonw w;
};

void figure_begin(struct figure *f, const char *name);
void figure_text(struct figure *f, const char *key, const char *value);
void figure_count(struct figure *f, const char *key, uint64_t value);
void figure_number(struct figure *f, const char *key, double value); /* to four digits */
void figure_bool(struct figure *f, const char *key, bool value);
/* Store requests since `since`, by kind. */
void figure_requests(struct figure *f, const struct store_counts *since, const struct store *s);
void figure_end(struct figure *f);

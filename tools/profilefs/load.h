/* SPDX-License-Identifier: MIT */
#pragma once

/* Loads inputs into a database on all CPUs, and counts what became of them. */

#include <pthread.h>
#include <stdatomic.h>

#include "../../core/paths/ingest.h"
#include "inputs.h"

struct load_options {
	const struct inputs *inputs;
	const struct layout *layout;
	const struct target *target; /* what the options say of every profile */
	const struct relabel *relabel; /* rules for the labels; NULL */
	int64_t time;                /* of profiles that do not say, instead of the file's; 0 */
	unsigned threads;            /* 0: CPUs */
	bool progress;               /* a bar on stderr */
};

struct load_reason {
	int code;
	size_t files;
};

struct load_result {
	uint64_t taken, duplicates, dropped, samples, bytes;
	size_t files, refused, warned;
	struct load_reason reasons[16]; /* code 0: unused; the last one also counts what has no place of its own */
};

/*
 * Complains about each file that is refused (the first hundred) and goes on; fails only where the store does: then
 * what was flushed before stays. Everything taken is durable on 0.
 */
int load(struct db *db, const struct load_options *opts, struct load_result *ret, struct error *err);

/* SPDX-License-Identifier: MIT */
#pragma once

/* A data set as `bench gen` makes it, by its index.jsonl. */

#include "../../core/profile/label.h"

struct recorded {
	char *path; /* below the data set's directory */
	char *service;
	struct label *labels; /* but service_name */
	size_t n_labels;
	int64_t start, duration;
	int64_t total_cpu; /* ns; 0 for other types */
	bool is_cpu;
	uint64_t gz_size;
};

struct dataset_index {
	struct recorded *v;
	size_t n;
	uint64_t gz_bytes;
	int64_t end; /* after the last start, to the minute */
	char *dir;
};

int dataset_index_load(const char *dir, struct dataset_index *ret, struct error *err);
void dataset_index_done(struct dataset_index *d);

/* What a query over all CPU profiles in [from, to) must add up to. service NULL: all. */
int64_t dataset_index_cpu_total(const struct dataset_index *d, const char *service, int64_t from, int64_t to,
                          uint64_t *ret_profiles);

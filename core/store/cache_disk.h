/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Chunks of objects as files below one directory, for any number of processes at once. A file is written under another
 * name and renamed, carries a checksum of its content and of what it is, and can be deleted at any moment: what is
 * missing or damaged is a miss. The least recently used go where the files exceed the limit. Thread safe.
 */

#include "../base/err.h"

struct chunk_id {
	uint64_t hi, lo; /* a hash of store, key and place */
};

struct cache_disk;

/* dir is made where it is missing. New, or NULL where there can be none. */
struct cache_disk *cache_disk_new(const char *dir, uint64_t limit);
void cache_disk_free(struct cache_disk *d);

/* Reads a chunk of at most `size` bytes: how many there are, or -1. */
ssize_t cache_disk_get(struct cache_disk *d, struct chunk_id id, uint8_t *out, size_t size);
void cache_disk_put(struct cache_disk *d, struct chunk_id id, struct slice data);

/* $XDG_CACHE_HOME/profilefs, else ~/.cache/profilefs. New, or NULL where neither is known. */
char *cache_disk_default(void);

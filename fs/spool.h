/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Where bytes wait while they are being written: one unlinked temporary file each (in $TMPDIR or /tmp, else
 * in memory), bounded in total. Losing them loses nothing that was acknowledged. A file is used by one thread
 * at a time, the spool by any.
 */

#include <stdatomic.h>

#include "../core/base/err.h"

struct spool {
	size_t max;
	atomic_size_t used; /* sizes of all files, holes included */
	const char *dir;
};

struct spool_file {
	int fd; /* -1: nothing yet */
	uint64_t size;
};

#define SPOOL_FILE_INIT ((struct spool_file){ .fd = -1 })

void spool_init(struct spool *s, size_t max);

/* -ENOSPC where the bound is met, or the disk is full. */
int spool_write(struct spool *s, struct spool_file *f, const void *data, size_t n, uint64_t offset);
int spool_truncate(struct spool *s, struct spool_file *f, uint64_t size);
/* Bytes read (0 past the end), or an error. */
ssize_t spool_read(const struct spool_file *f, void *data, size_t n, uint64_t offset);
void spool_close(struct spool *s, struct spool_file *f);

/* The bytes from `from` to the end, mapped; unmapped by spool_unmap(). The file must not shrink meanwhile. */
struct spool_map {
	struct slice bytes;
	void *base;
	size_t length;
};
int spool_map(const struct spool_file *f, uint64_t from, struct spool_map *ret);
void spool_unmap(struct spool_map *m);
#define _spool_map_ _cleanup_(spool_unmap)

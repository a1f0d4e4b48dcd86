/* SPDX-License-Identifier: MIT */
#pragma once

/* What the two files of the directory store share. */

#include <pthread.h>
#include <stdatomic.h>

#include "store.h"

#define DIR_KEY_MAX 900
#define DIR_STALE_S 3600       /* temporary files and empty folders older than this are litter */
#define DIR_TEMP_FOLDER "+tmp" /* no key can name it */
#define DIR_FOLDERS_MAX 64
#define DIR_BATCH ((size_t)65536)

struct folder;

struct dir {
	struct store base;
	int root;
	size_t batch; /* names of a folder that a listing keeps; it holds twice as many while it reads them */
	atomic_bool no_tmpfile; /* the file system or the lack of /proc rules O_TMPFILE out */
	pthread_mutex_t lock;
	struct folder *folders[DIR_FOLDERS_MAX]; /* under lock */
	uint64_t uses;                           /* under lock */
};

static inline struct dir *dir_of(struct store *s)
{
	return (struct dir *)s;
}

/* Says that KEY cannot be DONE ("written") because of errno `e`, and returns the error for it. */
int dir_error(struct error *err, int e, const char *key, const char *done);

int dir_list(struct store *s, const char *prefix, const char *after, char delimiter, store_list_fn fn, void *ctx,
             struct error *err);

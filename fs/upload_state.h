/* SPDX-License-Identifier: MIT */
#pragma once

/* For upload.c and upload_table.c only. */

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "../core/paths/ingest.h"
#include "call.h"
#include "spool.h"
#include "upload.h"

#define UPLOAD_BUCKETS 4096

struct uploads {
	struct fs *fs;
	struct spool spool;
	struct recent *recent;         /* profiles without a time of their own */
	size_t keep_max;               /* names kept after their last close */
	pthread_mutex_t lock;
	pthread_cond_t free_strand;    /* an upload's turn ended and nobody waits in its queue */
	/* under lock */
	struct upload *names[UPLOAD_BUCKETS];
	struct upload *idle_first, **idle_last; /* closed ones, the longest first */
	size_t n_idle;
	int64_t text_moved; /* upload_text.c: when its name was last taken away */
};

/*
 * An upload's bytes are used by one thread at a time: whoever has its turn. Quick operations take a free turn
 * where they are; all others queue (in order), and run on the pool. Nobody blocks.
 */
struct upload {
	struct uploads *table;
	atomic_uint refs;
	enum upload_kind kind;
	uint64_t ino, home;            /* home: number of the tree's directory above it */
	char *home_path;               /* of that, for messages */
	char *link_target;
	struct target target;
	/* under the table's lock */
	uint64_t dir;                  /* where the name is: home, or a folder in it */
	char *name;
	bool linked;                   /* in the name table, which then holds a reference */
	bool gone;                     /* bytes dropped to make room */
	unsigned opens, writers;
	int64_t idle_since;            /* clock_monotonic(); while in the idle list */
	bool idle;
	struct upload *next_name, *idle_next, **idle_link;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	struct timespec mtime;
	bool mtime_set;                /* by the writer, not by a write */
	bool killed;                   /* a signal ended its writer */
	uint64_t size;
	bool busy;                     /* somebody has the turn */
	struct call *queue, **queue_last;
	/* by turn */
	struct spool_file file;
	uint64_t taken;                /* bytes that are in the database: the rest begins here */
	uint64_t prefix;               /* bytes from `taken` on without a hole */
	uint64_t judged;               /* of these, how many the format was judged by */
	bool dirty;                    /* written since they were last taken */
	atomic_int refused;            /* why what is there cannot be taken, until it changes; others may look at it */
	int broken;                    /* why a write failed, until the file is written anew from the start */
};

/* Under the table's lock. */
void upload_idle(struct upload *up);     /* nobody has it open */
void upload_not_idle(struct upload *up);
bool upload_temporary(const struct upload *up);

/* Drops the bytes of names nobody has open, the oldest first, until n more fit. */
bool uploads_make_room(struct uploads *us, uint64_t n);
bool uploads_drop_one(struct uploads *us);
/* Drops those that are too many. */
void uploads_trim(struct uploads *us);
/* -EXDEV, -EEXIST, -EISDIR; with check_only nothing happens. */
int uploads_move(struct uploads *us, struct upload *up, const struct upload_place *to, bool no_replace, bool check_only,
                 struct error *err);
/* "/service/region=eu/name". */
void upload_path(struct upload *up, char *ret, size_t size);

/* Under the table's lock: the name was unlinked or renamed. */
void upload_text_moved(struct upload *up, const char *name);

bool upload_take_turn(struct upload *up); /* false: it is busy */
void upload_end_turn(struct upload *up);

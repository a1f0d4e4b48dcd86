/* SPDX-License-Identifier: MIT */

/*
 * A file of the tree that may be written whole: .profilefs/rules.json. It is an upload from its first lookup on, so
 * that programs find a file that they can open for writing, truncate, replace by a rename; with the bytes that the
 * store has, which each lookup compares while nobody has it open: so what others set is seen, and what was refused is
 * gone. A writer's own bytes are what he finds again, with the time at which he wrote them.
 *
 * The name is always there. But who takes it away (mv across file systems, install, an editor that makes a backup)
 * makes a new file next, and must not find the old one: it stays away for two seconds, or until then.
 */

#include <string.h>
#include <time.h>

#include "upload_state.h"

#define AWAY_TIME (2 * NS_PER_S)
#define SETTLE_TIME (100 * NS_PER_MS)

void upload_text_moved(struct upload *up, const char *name)
{
	if (up->target.takes == TAKES_RULES && !upload_name_waits(up, name))
		up->table->text_moved = clock_monotonic();
}

bool upload_follows_store(struct upload *up)
{
	pthread_mutex_lock(&up->table->lock);
	bool follows = up->kind == UPLOAD_FILE && up->target.takes == TAKES_RULES && !upload_temporary(up);
	follows = follows && (!up->opens || up->refused);
	pthread_mutex_unlock(&up->table->lock);
	return follows;
}

/* A close that was refused is followed by the release, and only that ends the writing. */
static void wait_for_release(struct upload *up)
{
	struct uploads *us = up->table;
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	int64_t ns = until.tv_nsec + SETTLE_TIME;
	until.tv_sec += ns / NS_PER_S;
	until.tv_nsec = ns % NS_PER_S;
	pthread_mutex_lock(&us->lock);
	while (up->opens && up->refused && !pthread_cond_timedwait(&us->free_strand, &us->lock, &until))
		;
	pthread_mutex_unlock(&us->lock);
}

static bool has_bytes(const struct upload *up, struct slice bytes)
{
	_spool_map_ struct spool_map map = { 0 };
	if (up->file.size != bytes.len)
		return false;
	return !bytes.len || (!spool_map(&up->file, 0, &map) && !memcmp(map.bytes.data, bytes.data, bytes.len));
}

/* With the turn. */
static int set_bytes(struct upload *up, struct slice bytes)
{
	struct spool *s = &up->table->spool;
	up->dirty = false;
	up->refused = up->broken = 0;
	up->prefix = up->judged = 0;
	if (has_bytes(up, bytes))
		return 0;
	int e = spool_truncate(s, &up->file, 0);
	if (!e && bytes.len)
		e = spool_write(s, &up->file, bytes.data, bytes.len, 0);
	pthread_mutex_lock(&up->table->lock);
	up->size = up->file.size;
	clock_gettime(CLOCK_REALTIME, &up->mtime);
	pthread_mutex_unlock(&up->table->lock);
	return e;
}

/* Where somebody has it open, or is at it, it stays as it is. */
static int refresh(struct upload *up, struct slice bytes)
{
	struct uploads *us = up->table;
	wait_for_release(up);
	if (!upload_take_turn(up))
		return 0;
	pthread_mutex_lock(&us->lock);
	bool at_rest = !up->opens && !up->gone;
	pthread_mutex_unlock(&us->lock);
	int e = at_rest ? set_bytes(up, bytes) : 0;
	upload_end_turn(up);
	pthread_mutex_lock(&us->lock);
	if (!up->opens && !up->gone)
		upload_idle(up);
	pthread_mutex_unlock(&us->lock);
	return e;
}

static bool is_away(struct uploads *us)
{
	pthread_mutex_lock(&us->lock);
	bool away = us->text_moved && clock_monotonic() - us->text_moved < AWAY_TIME;
	pthread_mutex_unlock(&us->lock);
	return away;
}

int upload_of_text(struct uploads *us, const struct upload_place *place, const struct stat *st, struct slice bytes,
                   struct upload **ret, struct error *err)
{
	_upload_ struct upload *up = upload_find(us, place->dir, place->name);
	int e = 0;
	if (!up && is_away(us))
		return -ENOENT;
	if (!up)
		e = upload_make(us, place, UPLOAD_FILE, st, NULL, &up, err);
	if (e == -EEXIST)
		e = (up = upload_find(us, place->dir, place->name)) ? 0 : -ENOENT;
	if (!e)
		e = refresh(up, bytes);
	if (!e)
		*ret = TAKE_PTR(up);
	return e;
}

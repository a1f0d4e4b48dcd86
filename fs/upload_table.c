/* SPDX-License-Identifier: MIT */

/*
 * Written names: found by directory and name, kept unlisted for ten minutes after the last close so that the
 * programs that come back (chmod, utimes, compare, rename) find what they wrote, or until room is needed.
 */

#include <string.h>
#include <sys/resource.h>

#include "inode.h"
#include "upload_state.h"

#define KEEP_TIME (10 * NS_PER_MIN)
#define KEEP_MAX ((size_t)4096)
#define SPOOL_DEFAULT ((size_t)1 << 30)

/* ---- temporary names ---- */

static bool ends_with(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);
	return n > m && !strcmp(name + n - m, end);
}

bool upload_name_temporary(const char *name)
{
	static const char *const endings[] = {
		"~", ".swp", ".swx", ".swo", ".tmp", ".part", ".partial", ".crdownload",
	};
	for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
		if (ends_with(name, endings[i]))
			return true;
	bool autosave = name[0] == '#' && ends_with(name, "#");
	return name[0] == '.' || autosave || !strcmp(name, "4913");
}

bool upload_name_waits(const struct upload *up, const char *name)
{
	return upload_name_temporary(name) || !target_takes_name(&up->target, name);
}

bool upload_temporary(const struct upload *up)
{
	return up->dir != up->home || upload_name_waits(up, up->name);
}

/* ---- names, under lock ---- */

static struct upload **name_bucket(struct uploads *us, uint64_t dir, const char *name)
{
	uint64_t h = dir * UINT64_C(0x9e3779b97f4a7c15);
	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return &us->names[(h ^ h >> 29) % UPLOAD_BUCKETS];
}

static struct upload *find_name(struct uploads *us, uint64_t dir, const char *name)
{
	struct upload *up = *name_bucket(us, dir, name);
	while (up && (up->dir != dir || strcmp(up->name, name)))
		up = up->next_name;
	return up;
}

static void name_add(struct uploads *us, struct upload *up)
{
	struct upload **bucket = name_bucket(us, up->dir, up->name);
	up->next_name = *bucket;
	*bucket = up;
	up->linked = true;
}

static void name_remove(struct uploads *us, struct upload *up)
{
	struct upload **at = name_bucket(us, up->dir, up->name);
	while (*at != up)
		at = &(*at)->next_name;
	*at = up->next_name;
	up->linked = false;
}

static bool folder_in_use(struct uploads *us, uint64_t dir)
{
	for (size_t i = 0; i < UPLOAD_BUCKETS; i++)
		for (struct upload *up = us->names[i]; up; up = up->next_name)
			if (up->dir == dir)
				return true;
	return false;
}

/* ---- idle ones, under lock ---- */

void upload_idle(struct upload *up)
{
	struct uploads *us = up->table;
	if (up->idle || !up->linked || up->kind == UPLOAD_DIR)
		return;
	up->idle = true;
	up->idle_since = clock_monotonic();
	up->idle_next = NULL;
	up->idle_link = us->idle_last;
	*us->idle_last = up;
	us->idle_last = &up->idle_next;
	us->n_idle++;
}

void upload_not_idle(struct upload *up)
{
	struct uploads *us = up->table;
	if (!up->idle)
		return;
	up->idle = false;
	*up->idle_link = up->idle_next;
	if (up->idle_next)
		up->idle_next->idle_link = up->idle_link;
	else
		us->idle_last = up->idle_link;
	us->n_idle--;
}

/* Takes the longest idle one, if `due` or too many are kept, out of the names. The caller drops the reference. */
static struct upload *idle_pop(struct uploads *us, bool due(const struct upload *up, int64_t arg), int64_t arg)
{
	pthread_mutex_lock(&us->lock);
	struct upload *up = us->idle_first;
	while (up && up->busy)
		up = up->idle_next;
	if (up && us->n_idle <= us->keep_max && !due(up, arg))
		up = NULL;
	if (up) {
		upload_not_idle(up);
		name_remove(us, up);
		up->gone = true;
		up->busy = true;
	}
	pthread_mutex_unlock(&us->lock);
	return up;
}

static void drop_bytes(struct upload *up)
{
	spool_close(&up->table->spool, &up->file);
	upload_end_turn(up);
	upload_unref(up);
}

static bool due_by_time(const struct upload *up, int64_t now)
{
	return now - up->idle_since >= KEEP_TIME;
}

static bool due_always(const struct upload *up, int64_t arg)
{
	return true;
}

void uploads_tick(struct uploads *us, int64_t now)
{
	for (struct upload *up; (up = idle_pop(us, due_by_time, now));)
		drop_bytes(up);
}

static bool due_never(const struct upload *up, int64_t arg)
{
	return false;
}

void uploads_trim(struct uploads *us)
{
	for (struct upload *up; (up = idle_pop(us, due_never, 0));)
		drop_bytes(up);
}

bool uploads_drop_one(struct uploads *us)
{
	struct upload *up = idle_pop(us, due_always, 0);
	if (up)
		drop_bytes(up);
	return up;
}

bool uploads_make_room(struct uploads *us, uint64_t n)
{
	if (n > us->spool.max)
		return false;
	while (atomic_load(&us->spool.used) > us->spool.max - n) {
		if (!uploads_drop_one(us))
			return false;
	}
	return true;
}

/* ---- life ---- */

struct upload *upload_ref(struct upload *up)
{
	atomic_fetch_add_explicit(&up->refs, 1, memory_order_relaxed);
	return up;
}

void upload_unref(struct upload *up)
{
	if (atomic_fetch_sub_explicit(&up->refs, 1, memory_order_acq_rel) > 1)
		return;
	spool_close(&up->table->spool, &up->file);
	target_done(&up->target);
	free(up->home_path);
	free(up->link_target);
	free(up->name);
	free(up);
}

int uploads_new(struct fs *fs, struct uploads **ret)
{
	struct uploads *us = calloc(1, sizeof *us);
	if (!us)
		return -ENOMEM;
	int e = recent_new(&us->recent);
	if (e) {
		free(us);
		return e;
	}
	us->fs = fs;
	us->idle_last = &us->idle_first;
	spool_init(&us->spool, fs->opts->spool_size ? fs->opts->spool_size : SPOOL_DEFAULT);
	struct rlimit files;
	us->keep_max = getrlimit(RLIMIT_NOFILE, &files) ? KEEP_MAX : MIN(KEEP_MAX, (size_t)files.rlim_cur / 2);
	pthread_mutex_init(&us->lock, NULL);
	pthread_cond_init(&us->free_strand, NULL);
	*ret = us;
	return 0;
}

void uploads_free(struct uploads *us)
{
	if (!us)
		return;
	for (size_t i = 0; i < UPLOAD_BUCKETS; i++)
		for (struct upload *up = us->names[i], *next; up; up = next) {
			next = up->next_name;
			upload_unref(up);
		}
	pthread_cond_destroy(&us->free_strand);
	pthread_mutex_destroy(&us->lock);
	recent_free(us->recent);
	free(us);
}

void uploads_space(struct uploads *us, uint64_t *ret_max, uint64_t *ret_used)
{
	*ret_max = us->spool.max;
	*ret_used = atomic_load(&us->spool.used);
}

/* What a new name inherits from where it is made: the target, and the path for messages. */
static int inherit(struct upload *up, const struct upload_place *place, struct error *err)
{
	if (place->folder) {
		up->home = place->folder->home;
		up->home_path = strdup(place->folder->home_path);
		return up->home_path ? target_copy(&place->folder->target, &up->target) : -ENOMEM;
	}
	up->home = place->dir;
	_buf_ struct buf path = BUF_INIT(1 << 16);
	node_path(place->node, &path);
	buf_putc(&path, 0);
	if (buf_err(&path))
		return buf_err(&path);
	up->home_path = strdup((const char *)path.data);
	return up->home_path ? target_of(place->node, &up->target, err) : -ENOMEM;
}

static int check_name(const struct upload *up, const struct upload_place *place, struct error *err)
{
	enum upload_kind kind = up->kind;
	bool temporary = place->folder || upload_name_temporary(place->name);
	if (kind == UPLOAD_FILE) {
		int e = temporary ? 0 : target_allows(&up->target, place->name, err);
		return e == ERR_PATH ? -EISDIR : e;
	}
	if (temporary && !place->folder)
		return 0;
	return error_set(err, ERR_PATH_DENIED,
	                 kind == UPLOAD_DIR ? "only folders whose names begin with '.' can be made here"
	                                    : "symbolic links cannot be made here");
}

static struct upload *upload_alloc(struct uploads *us, const struct upload_place *place, enum upload_kind kind,
                                   const struct stat *st, const char *link_target)
{
	struct upload *up = calloc(1, sizeof *up);
	if (!up)
		return NULL;
	*up = (struct upload){ .table = us, .refs = 1, .kind = kind, .dir = place->dir, .file = SPOOL_FILE_INIT,
		               .mode = st->st_mode & 07777, .uid = st->st_uid, .gid = st->st_gid };
	up->queue_last = &up->queue;
	clock_gettime(CLOCK_REALTIME, &up->mtime);
	up->name = strdup(place->name);
	up->link_target = link_target ? strdup(link_target) : NULL;
	up->size = link_target ? strlen(link_target) : 0;
	if (!up->name || (link_target && !up->link_target)) {
		upload_unref(up);
		return NULL;
	}
	return up;
}

int upload_make(struct uploads *us, const struct upload_place *place, enum upload_kind kind, const struct stat *st,
                const char *link_target, struct upload **ret, struct error *err)
{
	_upload_ struct upload *up = upload_alloc(us, place, kind, st, link_target);
	int e = up ? inherit(up, place, err) : -ENOMEM;
	if (!e)
		e = check_name(up, place, err);
	if (e)
		return e;
	up->ino = inode_unique(us->fs->inodes, place->dir, place->name);
	pthread_mutex_lock(&us->lock);
	if (find_name(us, place->dir, place->name)) {
		e = -EEXIST;
	} else {
		name_add(us, upload_ref(up));
		if (kind == UPLOAD_LINK)
			upload_idle(up);
	}
	pthread_mutex_unlock(&us->lock);
	if (!e)
		*ret = TAKE_PTR(up);
	return e;
}

struct upload *upload_find(struct uploads *us, uint64_t dir, const char *name)
{
	pthread_mutex_lock(&us->lock);
	struct upload *up = find_name(us, dir, name);
	if (up)
		upload_ref(up);
	pthread_mutex_unlock(&us->lock);
	return up;
}

int upload_unlink(struct uploads *us, uint64_t dir, const char *name)
{
	pthread_mutex_lock(&us->lock);
	struct upload *up = find_name(us, dir, name);
	int e = !up ? -ENOENT : up->kind == UPLOAD_DIR && folder_in_use(us, up->ino) ? -ENOTEMPTY : 0;
	if (!e) {
		upload_not_idle(up);
		name_remove(us, up);
		upload_text_moved(up, name);
	}
	pthread_mutex_unlock(&us->lock);
	if (!e)
		upload_unref(up);
	return e;
}

bool upload_entry(struct uploads *us, uint64_t dir, size_t i, char ret_name[256], uint64_t *ret_ino)
{
	bool found = false;
	pthread_mutex_lock(&us->lock);
	for (size_t b = 0; b < UPLOAD_BUCKETS && !found; b++)
		for (struct upload *up = us->names[b]; up && !found; up = up->next_name)
			if (up->dir == dir && i-- == 0) {
				snprintf(ret_name, 256, "%s", up->name);
				*ret_ino = up->ino;
				found = true;
			}
	pthread_mutex_unlock(&us->lock);
	return found;
}

/* ---- renaming ---- */

static uint64_t place_home(const struct upload_place *place)
{
	return place->folder ? place->folder->home : place->dir;
}

static int move_check(struct uploads *us, struct upload *up, const struct upload_place *to, bool no_replace,
                      struct upload **ret_old)
{
	struct upload *old = find_name(us, to->dir, to->name);
	*ret_old = old == up ? NULL : old;
	if (place_home(to) != up->home)
		return -EXDEV;
	if (!up->linked)
		return -ENOENT;
	if (old && no_replace)
		return -EEXIST;
	if (old && old->kind == UPLOAD_DIR)
		return -EISDIR;
	return up->kind == UPLOAD_DIR ? -EPERM : 0;
}

int uploads_move(struct uploads *us, struct upload *up, const struct upload_place *to, bool no_replace, bool check_only,
                 struct error *err)
{
	int e = check_name(up, to, err);
	_free_ char *name = e ? NULL : strdup(to->name);
	if (!name)
		return e ? e : -ENOMEM;
	struct upload *old = NULL;
	pthread_mutex_lock(&us->lock);
	e = move_check(us, up, to, no_replace, &old);
	bool move = !e && !check_only;
	if (move && old) {
		upload_not_idle(old);
		name_remove(us, old);
	}
	if (move) {
		name_remove(us, up);
		upload_text_moved(up, up->name);
		free(up->name);
		up->name = TAKE_PTR(name);
		up->dir = to->dir;
		name_add(us, up);
	}
	pthread_mutex_unlock(&us->lock);
	if (move && old)
		upload_unref(old);
	return e;
}

/* ---- attributes ---- */

uint64_t upload_ino(const struct upload *up)
{
	return up->ino;
}

enum upload_kind upload_kind(const struct upload *up)
{
	return up->kind;
}

const char *upload_link(const struct upload *up)
{
	return up->link_target;
}

void upload_path(struct upload *up, char *ret, size_t size)
{
	pthread_mutex_lock(&up->table->lock);
	snprintf(ret, size, "%s/%s", up->home_path, up->name);
	pthread_mutex_unlock(&up->table->lock);
}

void upload_stat(struct upload *up, struct stat *ret)
{
	static const mode_t types[] = { [UPLOAD_FILE] = S_IFREG, [UPLOAD_DIR] = S_IFDIR, [UPLOAD_LINK] = S_IFLNK };
	pthread_mutex_lock(&up->table->lock);
	*ret = (struct stat){ .st_ino = up->ino, .st_mode = types[up->kind] | up->mode, .st_nlink = 1,
		              .st_uid = up->uid, .st_gid = up->gid, .st_size = (off_t)up->size,
		              .st_blksize = 1 << 17, .st_blocks = (blkcnt_t)((up->size + 511) / 512),
		              .st_mtim = up->mtime, .st_atim = up->mtime, .st_ctim = up->mtime };
	pthread_mutex_unlock(&up->table->lock);
}

void upload_setattr(struct upload *up, const struct stat *st, int to_set)
{
	pthread_mutex_lock(&up->table->lock);
	if (to_set & FUSE_SET_ATTR_MODE)
		up->mode = st->st_mode & 07777;
	if (to_set & FUSE_SET_ATTR_UID)
		up->uid = st->st_uid;
	if (to_set & FUSE_SET_ATTR_GID)
		up->gid = st->st_gid;
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		clock_gettime(CLOCK_REALTIME, &up->mtime);
	else if (to_set & FUSE_SET_ATTR_MTIME)
		up->mtime = st->st_mtim;
	if (to_set & (FUSE_SET_ATTR_MTIME_NOW | FUSE_SET_ATTR_MTIME))
		up->mtime_set = !(to_set & FUSE_SET_ATTR_MTIME_NOW);
	pthread_mutex_unlock(&up->table->lock);
}

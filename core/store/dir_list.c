/* SPDX-License-Identifier: MIT */

/*
 * Lists a directory store in the byte order of keys. Within a folder that is the order of the names, those of folders
 * with their '/' ("a-b" before "a/x" before "a0"), so a folder is read, sorted and walked, depth first, on a stack of
 * its own. A folder of very many names is taken in several batches, each the least names behind the last one: memory
 * is bounded by depth times batch. One directory is open at a time, and none while the callback runs.
 */

#include "dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../base/clock.h"
#include "../base/vec.h"

#define NAME_BYTES 258 /* 255, '/', NUL */
#define BATCH_BYTES (2 * DIR_BATCH * NAME_BYTES)

struct batch {
	struct buf text; /* names, each with its NUL; a folder's ends in '/' */
	VEC(uint32_t) names; /* offsets into text; sorted once read */
	size_t at;
	bool more; /* the folder has names behind the last one, which is `limit` or less */
	char limit[NAME_BYTES];
};

struct frame {
	size_t path_len;
	struct batch batch;
};

struct walk {
	struct dir *dir;
	const char *after; /* NULL: from the start */
	char delimiter;
	bool any; /* only whether there is an object: the first that is met, not in order, not looked at */
	store_list_fn fn;
	void *ctx;
	struct error *err;
	size_t path_len;
	char path[DIR_KEY_MAX + 2]; /* ends in '/' or is empty where it names a folder */
	char first[DIR_KEY_MAX + 1]; /* what names in the first folder begin with */
	VEC(struct frame) frames;
};

static void batch_done(struct batch *b)
{
	buf_done(&b->text);
	VEC_DONE(&b->names);
}

static void walk_done(struct walk *w)
{
	for (size_t i = 0; i < w->frames.n; i++)
		batch_done(&w->frames.v[i].batch);
	VEC_DONE(&w->frames);
}
#define _walk_ _cleanup_(walk_done)

static const char *batch_name(const struct batch *b, size_t i)
{
	return (const char *)b->text.data + b->names.v[i];
}

static int compare_names(const void *a, const void *b, void *text)
{
	return strcmp((const char *)text + *(const uint32_t *)a, (const char *)text + *(const uint32_t *)b);
}

static void batch_sort(struct batch *b)
{
	if (b->names.n)
		qsort_r(b->names.v, b->names.n, sizeof *b->names.v, compare_names, b->text.data);
}

static int batch_add(struct batch *b, const char *name)
{
	uint32_t at = (uint32_t)b->text.len;
	uint32_t *slot = VEC_PUSH(&b->names);
	if (!slot)
		return -ENOMEM;
	*slot = at;
	buf_put(&b->text, name, strlen(name) + 1);
	return buf_err(&b->text);
}

/* Keeps the n least names. */
static int batch_shrink(struct batch *b, size_t n)
{
	struct batch kept = { .text = BUF_INIT(BATCH_BYTES), .more = true };
	int r = 0;
	batch_sort(b);
	for (size_t i = 0; i < n && r >= 0; i++)
		r = batch_add(&kept, batch_name(b, i));
	if (r >= 0)
		snprintf(kept.limit, sizeof kept.limit, "%s", batch_name(&kept, n - 1));
	batch_done(b);
	*b = kept;
	return r;
}

static bool starts_with(const char *s, const char *start)
{
	return strncmp(s, start, strlen(start)) == 0;
}

/* Whether a name of the folder w->path, with all below it, has keys that are wanted. */
static bool wanted(const struct walk *w, const char *name, bool folder)
{
	if (w->frames.n <= 1 && !starts_with(name, w->first))
		return false;
	if (!w->after || strncmp(w->after, w->path, w->path_len) != 0)
		return true;
	const char *rest = w->after + w->path_len;
	return strcmp(name, rest) > 0 || (folder && starts_with(rest, name));
}

static bool name_ok(const char *s)
{
	if (strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
		return false;
	return s[strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.%~-")] == '\0';
}

/* Writes the name, with '/' behind a folder's; false for what is no object and no folder of objects. */
static bool entry_name(const struct walk *w, int fd, const struct dirent *e, char ret[NAME_BYTES], bool *ret_folder)
{
	size_t n = strlen(e->d_name);
	int type = e->d_type;
	struct stat st;
	if (!name_ok(e->d_name) || n > 255 || w->path_len + n > DIR_KEY_MAX)
		return false;
	if (type == DT_UNKNOWN && fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		type = S_ISDIR(st.st_mode) ? DT_DIR : S_ISREG(st.st_mode) ? DT_REG : DT_UNKNOWN;
	*ret_folder = type == DT_DIR;
	snprintf(ret, NAME_BYTES, "%s%s", e->d_name, *ret_folder ? "/" : "");
	return type == DT_DIR || type == DT_REG;
}

/* Names not greater than `resume` were had before; those beyond a full batch's last come in a later one. */
static int take_entry(struct walk *w, struct batch *b, const char *name, bool folder, const char *resume)
{
	if (!wanted(w, name, folder) || (resume && strcmp(name, resume) <= 0) ||
	    (b->more && strcmp(name, b->limit) > 0))
		return 0;
	if (w->any && !folder) {
		buf_reset(&b->text);
		b->names.n = 0;
		int r = batch_add(b, name);
		return r < 0 ? r : 1;
	}
	int r = batch_add(b, name);
	return r < 0 || b->names.n < 2 * w->dir->batch ? r : batch_shrink(b, w->dir->batch);
}

/* An old empty folder is what removed objects left behind. A put that is about to use it makes it again. */
static void prune_folder(const struct walk *w, int fd)
{
	struct stat st;
	if (w->path_len == 0 || w->dir->base.read_only || fstat(fd, &st) < 0)
		return;
	if (st.st_mtim.tv_sec < clock_now() / NS_PER_S - DIR_STALE_S)
		unlinkat(w->dir->root, w->path, AT_REMOVEDIR);
}

static int read_entries(struct walk *w, DIR *dir, struct batch *b, const char *resume)
{
	char name[NAME_BYTES];
	bool folder, empty = true;
	int r = 0;
	for (;;) {
		errno = 0;
		struct dirent *e = readdir(dir);
		if (!e)
			break;
		empty = empty && e->d_name[0] == '.';
		if (entry_name(w, dirfd(dir), e, name, &folder))
			r = take_entry(w, b, name, folder, resume);
		if (r != 0)
			return r;
	}
	if (errno)
		return -errno;
	if (empty)
		prune_folder(w, dirfd(dir));
	return 0;
}

/* Reads the next names of the folder w->path behind `resume` (NULL: the first). A folder that is gone has none. */
static int read_batch(struct walk *w, const char *resume, struct batch *ret)
{
	struct batch b = { .text = BUF_INIT(BATCH_BYTES) };
	int fd = openat(w->dir->root, w->path_len ? w->path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG)) {
		*ret = b;
		return 0;
	}
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		int e = errno;
		closep(&fd);
		return dir_error(w->err, e, w->path, "listed");
	}
	int r = read_entries(w, dir, &b, resume);
	closedir(dir);
	if (r < 0) {
		batch_done(&b);
		return dir_error(w->err, err_errno(r), w->path, "listed");
	}
	batch_sort(&b);
	*ret = b;
	return 0;
}

static int push_frame(struct walk *w)
{
	struct batch b;
	struct frame *f = VEC_PUSH(&w->frames);
	if (!f)
		return dir_error(w->err, ENOMEM, w->path, "listed");
	*f = (struct frame){ .path_len = w->path_len };
	int r = read_batch(w, NULL, &b);
	if (r < 0)
		return r;
	f->batch = b;
	return 0;
}

/* Reads the next batch or, at the end of the folder, leaves it. */
static int end_of_batch(struct walk *w, struct frame *f)
{
	struct batch b;
	if (!f->batch.more) {
		batch_done(&f->batch);
		w->frames.n--;
		return 0;
	}
	int r = read_batch(w, batch_name(&f->batch, f->batch.names.n - 1), &b);
	if (r < 0)
		return r;
	batch_done(&f->batch);
	f->batch = b;
	return 0;
}

static int walk_run(struct walk *w, const char *prefix);

static int found(void *ctx, const char *key, const struct store_stat *st)
{
	*(bool *)ctx = true;
	return ERR_CANCELLED;
}

/* A folder is rolled up where an object is in it, as stores without folders do. */
static int roll_up(struct walk *w)
{
	bool has = false;
	_walk_ struct walk below = { .dir = w->dir, .after = w->after, .any = true, .fn = found, .ctx = &has };
	below.err = w->err;
	int r = walk_run(&below, w->path);
	if (has)
		return w->fn(w->ctx, w->path, NULL);
	return r;
}

static int list_object(struct walk *w)
{
	struct store_stat stat = { 0 };
	struct stat st;
	if (!w->any) {
		if (fstatat(w->dir->root, w->path, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return errno == ENOENT || errno == ENOTDIR ? 0 : dir_error(w->err, errno, w->path, "listed");
		stat.size = (uint64_t)st.st_size;
		stat.mtime_ns = (int64_t)st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
	}
	int r = w->fn(w->ctx, w->path, &stat);
	return MIN(r, 0);
}

static int list_name(struct walk *w, const char *name)
{
	size_t n = strlen(name);
	memcpy(w->path + w->path_len, name, n + 1);
	w->path_len += n;
	if (name[n - 1] != '/')
		return list_object(w);
	if (w->delimiter)
		return roll_up(w);
	return push_frame(w);
}

/* prefix: whole components, then the beginning of one. */
static int walk_run(struct walk *w, const char *prefix)
{
	const char *slash = strrchr(prefix, '/');
	w->path_len = slash ? (size_t)(slash - prefix) + 1 : 0;
	memcpy(w->path, prefix, w->path_len);
	w->path[w->path_len] = '\0';
	snprintf(w->first, sizeof w->first, "%s", prefix + w->path_len);
	if (w->after && strncmp(w->after, prefix, strlen(prefix)) > 0)
		return 0;
	int r = push_frame(w);
	while (r >= 0 && w->frames.n) {
		struct frame *f = &w->frames.v[w->frames.n - 1];
		w->path_len = f->path_len;
		w->path[w->path_len] = '\0';
		if (f->batch.at == f->batch.names.n)
			r = end_of_batch(w, f);
		else
			r = list_name(w, batch_name(&f->batch, f->batch.at++));
	}
	return r;
}

int dir_list(struct store *s, const char *prefix, const char *after, char delimiter, store_list_fn fn, void *ctx,
             struct error *err)
{
	_walk_ struct walk w = { .dir = dir_of(s), .after = after, .delimiter = delimiter, .fn = fn, .ctx = ctx };
	w.err = err;
	int r = walk_run(&w, prefix);
	return MIN(r, 0);
}

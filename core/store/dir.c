/* SPDX-License-Identifier: MIT */

/*
 * Objects as files below a directory: the key is the path.
 *
 * A put writes a file without a name, syncs it, gives it its name by link(2) and syncs its folder: so a name never
 * shows a part of an object, and of many who create one name one wins. Where the file system has no O_TMPFILE the file
 * is born in DIR_TEMP_FOLDER instead and linked or renamed from there.
 *
 * A put's two syncs are the latency of an acknowledgement, so each process syncs the folders that lead to an object
 * only once: `folders` keeps them open. An entry says: this folder's own name is durable. That holds for as long as
 * the folder lives and is where it was: each use asks whether the path still leads to it. One that is removed after
 * that answers ENOENT to a link, the cache is emptied and the put begins again.
 *
 * Folders are removed by listings that find them empty and an hour old. A file and a folder cannot share a name:
 * keys "a" and "a/b" exclude each other here, as they do not in other stores.
 */

#include "dir.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "../base/clock.h"
#include "../base/ulid.h"

#define DIR_PIECE ((size_t)1 << 20) /* of a body in memory */
#define PUT_TRIES 64 /* each but the last lost a race against the removal of an empty folder */

static inline void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

int dir_error(struct error *err, int e, const char *key, const char *done)
{
	int code = ERR_STORE;
	switch (e) {
	case EACCES:
	case EPERM:
		code = ERR_STORE_ACCESS;
		break;
	case EROFS:
		code = ERR_STORE_READONLY;
		break;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
	case ENOMEM:
	case EMFILE:
	case ENFILE:
	case ENAMETOOLONG:
		code = -e;
		break;
	}
	return error_set(err, code, "%s: cannot be %s: %s", *key ? key : "the store", done, strerrordesc_np(e));
}

static int not_found(struct error *err, const char *key)
{
	return error_set(err, ERR_STORE_NOT_FOUND, "%s: no such object", key);
}

/* --- folders --- */

struct folder {
	int fd;
	atomic_uint refs;
	uint64_t used; /* under the store's lock */
	char path[];
};

static struct folder *folder_ref(struct folder *f)
{
	atomic_fetch_add(&f->refs, 1);
	return f;
}

static void folder_unref(struct folder *f)
{
	if (!f || atomic_fetch_sub(&f->refs, 1) != 1)
		return;
	close(f->fd);
	free(f);
}
DEFINE_CLEANUP(struct folder *, folder_unref);
#define _folder_ _cleanup_(folder_unrefp)

/* Takes fd. */
static struct folder *folder_new(const char *path, size_t n, int fd)
{
	struct folder *f = fd >= 0 ? malloc(sizeof *f + n + 1) : NULL;
	if (!f) {
		closep(&fd);
		return NULL;
	}
	f->fd = fd;
	atomic_init(&f->refs, 1);
	memcpy(f->path, path, n);
	f->path[n] = '\0';
	return f;
}

static struct folder **cache_slot(struct dir *d, const char *path, size_t n)
{
	struct folder **oldest = &d->folders[0];
	for (size_t i = 0; i < DIR_FOLDERS_MAX; i++) {
		struct folder **slot = &d->folders[i];
		if (!*slot) {
			oldest = *oldest ? slot : oldest;
			continue;
		}
		if (strncmp((*slot)->path, path, n) == 0 && !(*slot)->path[n])
			return slot;
		if (*oldest && (*slot)->used < (*oldest)->used)
			oldest = slot;
	}
	return oldest;
}

/* Whether the folder is still what its path leads to: it may have been moved away. */
static bool is_in_place(const struct dir *d, const struct folder *f)
{
	struct stat here, there;
	return fstat(f->fd, &here) == 0 && fstatat(d->root, f->path, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

/* A reference, or NULL. */
static struct folder *cache_get(struct dir *d, const char *path, size_t n)
{
	struct folder *f = NULL;
	pthread_mutex_lock(&d->lock);
	struct folder **slot = cache_slot(d, path, n);
	if (*slot && strncmp((*slot)->path, path, n) == 0 && !(*slot)->path[n]) {
		f = folder_ref(*slot);
		f->used = ++d->uses;
	}
	pthread_mutex_unlock(&d->lock);
	return f;
}

static void cache_put(struct dir *d, struct folder *f)
{
	pthread_mutex_lock(&d->lock);
	struct folder **slot = cache_slot(d, f->path, strlen(f->path));
	struct folder *old = *slot;
	f->used = ++d->uses;
	*slot = folder_ref(f);
	pthread_mutex_unlock(&d->lock);
	folder_unref(old);
}

static void cache_clear(struct dir *d)
{
	pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < DIR_FOLDERS_MAX; i++) {
		folder_unref(d->folders[i]);
		d->folders[i] = NULL;
	}
	pthread_mutex_unlock(&d->lock);
}

static int open_or_make(int parent, const char *name)
{
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int fd = openat(parent, name, flags);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	if (mkdirat(parent, name, 0777) < 0 && errno != EEXIST)
		return -1;
	return openat(parent, name, flags);
}

/* Opens or makes the folder path[0..n) in its parent and makes its name durable. New; NULL with errno. */
static struct folder *folder_make(struct dir *d, const struct folder *parent, const char *path, size_t n)
{
	char name[NAME_MAX + 1];
	size_t skip = *parent->path ? strlen(parent->path) + 1 : 0;
	if (n - skip > NAME_MAX) {
		errno = ENAMETOOLONG;
		return NULL;
	}
	memcpy(name, path + skip, n - skip);
	name[n - skip] = '\0';
	int fd = open_or_make(parent->fd, name);
	_folder_ struct folder *f = folder_new(path, n, fd);
	if (!f || fsync(parent->fd) < 0)
		return NULL;
	cache_put(d, f);
	return TAKE_PTR(f);
}

/* The folder path[0..n), made where it is missing; a reference. NULL with errno. */
static struct folder *folder_open(struct dir *d, const char *path, size_t n)
{
	struct folder *f = cache_get(d, path, n);
	if (f && !is_in_place(d, f)) {
		folder_unref(f);
		cache_clear(d);
		f = NULL;
	}
	if (f)
		return f;
	f = folder_new("", 0, fcntl(d->root, F_DUPFD_CLOEXEC, 0));
	for (size_t end = 0; f && end < n; end++) {
		end += strcspn(path + end, "/");
		end = MIN(end, n);
		_folder_ struct folder *parent = f;
		f = cache_get(d, path, end);
		if (!f)
			f = folder_make(d, parent, path, end);
	}
	return f;
}

/* --- files that have no name yet --- */

struct temp {
	int fd;
	struct folder *folder; /* where it has a temporary name; NULL where it has none */
	char name[ULID_LEN + 1];
};

static void temp_done(struct temp *t)
{
	if (t->folder)
		unlinkat(t->folder->fd, t->name, 0);
	folder_unref(t->folder);
	closep(&t->fd);
}
#define _temp_ _cleanup_(temp_done)

/* Finds a temporary name and the folder for it. -1 with errno. */
static int temp_place(struct dir *d, struct folder **ret_folder, char ret_name[ULID_LEN + 1])
{
	struct ulid u;
	int r = ulid_new(&u);
	if (r < 0) {
		errno = err_errno(r);
		return -1;
	}
	ulid_format(&u, ret_name);
	*ret_folder = folder_open(d, DIR_TEMP_FOLDER, strlen(DIR_TEMP_FOLDER));
	return *ret_folder ? 0 : -1;
}

/* Makes an empty file in the file system of `folder`. -1 with errno. */
static int temp_open(struct dir *d, int folder, struct temp *t)
{
	if (!atomic_load(&d->no_tmpfile)) {
		t->fd = openat(folder, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
		if (t->fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
			return t->fd < 0 ? -1 : 0;
		atomic_store(&d->no_tmpfile, true);
	}
	_folder_ struct folder *place = NULL;
	if (temp_place(d, &place, t->name) < 0)
		return -1;
	t->fd = openat(place->fd, t->name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0666);
	if (t->fd < 0)
		return -1;
	t->folder = TAKE_PTR(place);
	return 0;
}

static int write_all(int fd, struct slice data)
{
	while (data.len) {
		ssize_t n = write(fd, data.data, MIN(data.len, (size_t)1 << 30));
		if (n < 0 && errno != EINTR)
			return -1;
		n = MAX(n, (ssize_t)0);
		data.data += n;
		data.len -= (size_t)n;
	}
	return 0;
}

/* What a put writes: data or, where that is given, a body. */
struct content {
	struct slice data;
	const struct store_body *body;
	int failed; /* the body's failure; err has its sentence */
	struct error *err;
};

static int copy_body(int fd, struct content *c)
{
	_free_ uint8_t *piece = malloc(DIR_PIECE);
	if (!piece)
		return -1;
	for (uint64_t off = 0; off < c->body->size;) {
		size_t n = (size_t)MIN(c->body->size - off, (uint64_t)DIR_PIECE);
		c->failed = c->body->read(c->body->ctx, off, piece, n, c->err);
		if (c->failed < 0) {
			errno = EIO;
			return -1;
		}
		if (write_all(fd, (struct slice){ piece, n }) < 0)
			return -1;
		off += n;
	}
	return 0;
}

static int temp_write(struct temp *t, struct content *c)
{
	int r = c->body ? copy_body(t->fd, c) : write_all(t->fd, c->data);
	return r < 0 ? -1 : fdatasync(t->fd);
}

static int link_fd(int fd, int folder, const char *name)
{
	char path[32];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	return linkat(AT_FDCWD, path, folder, name, AT_SYMLINK_FOLLOW);
}

/* Gives the file its name, in place of one that is there. */
static int temp_replace(struct dir *d, struct temp *t, int folder, const char *name)
{
	if (!t->folder) {
		if (link_fd(t->fd, folder, name) == 0)
			return 0;
		_folder_ struct folder *place = NULL;
		if (errno != EEXIST || temp_place(d, &place, t->name) < 0 || link_fd(t->fd, place->fd, t->name) < 0)
			return -1;
		t->folder = TAKE_PTR(place);
	}
	if (renameat(t->folder->fd, t->name, folder, name) < 0)
		return -1;
	folder_unref(TAKE_PTR(t->folder));
	return 0;
}

/* Gives the file its name where it is free, else fails with EEXIST. */
static int temp_claim(struct temp *t, int folder, const char *name)
{
	return t->folder ? linkat(t->folder->fd, t->name, folder, name, 0) : link_fd(t->fd, folder, name);
}

/* --- the methods --- */

/* The errno of a failed call in a folder: ENOENT where the folder was removed, as some file systems do not say. */
static int errno_in(const struct folder *f)
{
	int e = errno;
	struct stat st;
	return fstat(f->fd, &st) == 0 && st.st_nlink == 0 ? ENOENT : e;
}

static bool is_folder(int folder, const char *name)
{
	struct stat st;
	return fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

/* One attempt: 0, an errno before any effect, or -errno where the name was given and could not be synced. */
static int put_once(struct dir *d, const char *key, struct content *content, bool replace)
{
	const char *slash = strrchr(key, '/');
	const char *name = slash ? slash + 1 : key;
	_folder_ struct folder *f = folder_open(d, key, slash ? (size_t)(slash - key) : 0);
	if (!f)
		return errno;
	_temp_ struct temp t = { .fd = -1 };
	if (temp_open(d, f->fd, &t) < 0 || temp_write(&t, content) < 0)
		return errno_in(f);
	if ((replace ? temp_replace(d, &t, f->fd, name) : temp_claim(&t, f->fd, name)) < 0)
		return errno == EEXIST && is_folder(f->fd, name) ? EISDIR : errno_in(f);
	return fsync(f->fd) < 0 ? -errno : 0;
}

static int put(struct store *s, const char *key, struct content *content, bool replace, struct error *err)
{
	struct dir *d = dir_of(s);
	int e = ENOENT;
	for (int i = 0; i < PUT_TRIES && e == ENOENT; i++) {
		if (i)
			cache_clear(d);
		e = put_once(d, key, content, replace);
	}
	if (e == 0)
		return 0;
	if (content->failed < 0)
		return content->failed;
	if (e < 0)
		return error_set(err, ERR_STORE_UNKNOWN, "%s: written, but its folder cannot be synced: %s", key,
		                 strerrordesc_np(-e));
	if (e == EEXIST)
		return error_set(err, ERR_STORE_EXISTS, "%s: the object exists already", key);
	return dir_error(err, e, key, "written");
}

static int dir_put(struct store *s, const char *key, struct slice data, struct error *err)
{
	return put(s, key, &(struct content){ .data = data }, true, err);
}

static int dir_put_body(struct store *s, const char *key, const struct store_body *body, struct error *err)
{
	return put(s, key, &(struct content){ .body = body, .err = err }, true, err);
}

static int dir_put_if_absent(struct store *s, const char *key, struct slice data, struct error *err)
{
	return put(s, key, &(struct content){ .data = data }, false, err);
}

/* What is no plain file is no object; O_NONBLOCK keeps a pipe from blocking. New fd or an error. */
static int open_object(struct dir *d, const char *key, uint64_t *ret_size, struct error *err)
{
	_close_ int fd = openat(d->root, key, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR || errno == ENAMETOOLONG || errno == ENXIO
		               ? not_found(err, key)
		               : dir_error(err, errno, key, "read");
	struct stat st;
	if (fstat(fd, &st) < 0)
		return dir_error(err, errno, key, "read");
	if (!S_ISREG(st.st_mode))
		return not_found(err, key);
	*ret_size = (uint64_t)st.st_size;
	return TAKE_FD(fd);
}

static int read_at(int fd, const char *key, uint8_t *out, size_t len, uint64_t off, struct error *err)
{
	while (len) {
		ssize_t n = pread(fd, out, MIN(len, (size_t)1 << 30), (off_t)off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return dir_error(err, errno, key, "read");
		if (n == 0)
			return error_set(err, ERR_STORE_RANGE, "%s: ended at %llu while it was read", key,
			                 (unsigned long long)off);
		out += n;
		len -= (size_t)n;
		off += (uint64_t)n;
	}
	return 0;
}

static int dir_read(struct store *s, const char *key, const struct store_range *ranges, size_t n, struct error *err)
{
	uint64_t size;
	_close_ int fd = open_object(dir_of(s), key, &size, err);
	if (fd < 0)
		return fd;
	for (size_t i = 0; i < n; i++) {
		const struct store_range *r = &ranges[i];
		if (r->off > size || r->len > size - r->off)
			return error_set(err, ERR_STORE_RANGE, "%s: has %llu bytes, asked for %zu at %llu", key,
			                 (unsigned long long)size, r->len, (unsigned long long)r->off);
		int e = read_at(fd, key, r->out, r->len, r->off, err);
		if (e < 0)
			return e;
	}
	return 0;
}

static int dir_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size, struct error *err)
{
	uint64_t size;
	_close_ int fd = open_object(dir_of(s), key, &size, err);
	if (fd < 0)
		return fd;
	n = (size_t)MIN((uint64_t)n, size);
	uint8_t *to = n ? buf_reserve(out, n) : NULL;
	if (n && !to)
		return error_set(err, buf_err(out), "%s: its last %zu bytes are over the buffer's limit", key, n);
	int r = read_at(fd, key, to, n, size - n, err);
	if (r < 0)
		return r;
	out->len += n;
	*ret_size = size;
	return 0;
}

static size_t folder_len(const char *key)
{
	const char *slash = strrchr(key, '/');
	return slash ? (size_t)(slash - key) : 0;
}

/* Whether errno says that the object is not there. */
static bool is_gone(void)
{
	return errno == ENOENT || errno == ENOTDIR || errno == EISDIR || errno == ENAMETOOLONG;
}

/* Removes those of the keys, from the first on, that lie in the first one's folder: how many, or an error. */
static ssize_t remove_run(struct dir *d, const char *const *keys, size_t n, struct error *err)
{
	char folder[DIR_KEY_MAX + 2] = ".";
	size_t len = folder_len(keys[0]), done = 0;
	if (len)
		snprintf(folder, sizeof folder, "%.*s", (int)len, keys[0]);
	_close_ int fd = openat(d->root, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && !is_gone())
		return dir_error(err, errno, keys[0], "removed");
	for (; done < n && folder_len(keys[done]) == len && memcmp(keys[done], keys[0], len) == 0; done++)
		if (fd >= 0 && unlinkat(fd, keys[done] + len + (len > 0), 0) < 0 && !is_gone())
			return dir_error(err, errno, keys[done], "removed");
	if (fd >= 0 && fsync(fd) < 0)
		return dir_error(err, errno, keys[0], "removed");
	return (ssize_t)done;
}

/* Removals are synced, once for neighbours: who lists afterwards may forget the names for good. */
static int dir_remove_many(struct store *s, const char *const *keys, size_t n, struct error *err)
{
	while (n) {
		ssize_t done = remove_run(dir_of(s), keys, n, err);
		if (done < 0)
			return (int)done;
		keys += done;
		n -= (size_t)done;
	}
	return 0;
}

static int dir_remove(struct store *s, const char *key, struct error *err)
{
	return dir_remove_many(s, &key, 1, err);
}

/* The file system's time, which may be another machine's. A read-only store asks the clock that stamps local files. */
static int dir_now(struct store *s, int64_t *ret, struct error *err)
{
	struct dir *d = dir_of(s);
	_temp_ struct temp t = { .fd = -1 };
	struct stat st;
	struct timespec now;
	if (s->read_only) {
		clock_gettime(CLOCK_REALTIME_COARSE, &now);
	} else {
		if (temp_open(d, d->root, &t) < 0 || fstat(t.fd, &st) < 0)
			return dir_error(err, errno, "", "asked for its time");
		now = st.st_mtim;
	}
	*ret = (int64_t)now.tv_sec * NS_PER_S + now.tv_nsec;
	return 0;
}

static void dir_describe(struct store *s, struct buf *out)
{
	buf_puts(out, "a directory, which needs no settings and no cache");
}

static void dir_free(struct store *s)
{
	struct dir *d = dir_of(s);
	cache_clear(d);
	pthread_mutex_destroy(&d->lock);
	closep(&d->root);
	free(s->name);
	free(d);
}

static const struct store_ops dir_ops = {
	.put = dir_put,
	.put_body = dir_put_body,
	.put_if_absent = dir_put_if_absent,
	.read = dir_read,
	.tail = dir_tail,
	.list = dir_list,
	.remove = dir_remove,
	.remove_many = dir_remove_many,
	.now = dir_now,
	.describe = dir_describe,
	.free = dir_free,
};

/* --- opening --- */

/* Best effort: what killed writers left behind. */
static void remove_stale_temps(int root)
{
	int fd = openat(root, DIR_TEMP_FOLDER, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_(closedirp) DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		closep(&fd);
		return;
	}
	struct dirent *e;
	struct stat st;
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.' && fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_mtim.tv_sec < clock_now() / NS_PER_S - DIR_STALE_S)
			unlinkat(fd, e->d_name, 0);
}

/* Makes the root, not its parents: those are rather a slip of the pen. -1 with errno. */
static int make_root(const char *path)
{
	if (mkdir(path, 0777) < 0)
		return errno == EEXIST ? 0 : -1;
	_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_close_ int parent = fd >= 0 ? openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	return parent >= 0 && fsync(parent) < 0 ? -1 : 0;
}

static int open_root(const char *path, const struct store_options *opts, struct error *err)
{
	int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
	int fd = open(path, flags);
	if (fd < 0 && errno == ENOENT && opts->create && !opts->read_only) {
		if (make_root(path) < 0)
			return error_set(err, -errno, "cannot make the store %s: %s", path, strerrordesc_np(errno));
		fd = open(path, flags);
	}
	if (fd >= 0)
		return fd;
	if (errno == ENOENT)
		return error_set(err, -ENOENT, "no store at %s", path);
	if (errno == ENOTDIR)
		return error_set(err, -ENOTDIR, "%s is not a directory, so no store", path);
	return error_set(err, -errno, "cannot open the store %s: %s", path, strerrordesc_np(errno));
}

int store_dir_new(const char *path, const struct store_options *opts, struct store **ret, struct error *err)
{
	_close_ int root = open_root(path, opts, err);
	if (root < 0)
		return root;
	struct dir *d = calloc(1, sizeof *d);
	char *name = strdup(path);
	if (!d || !name) {
		free(d);
		free(name);
		return -ENOMEM;
	}
	d->base = (struct store){ .ops = &dir_ops, .name = name, .read_only = opts->read_only };
	pthread_mutex_init(&d->lock, NULL);
	d->root = TAKE_FD(root);
	d->batch = DIR_BATCH;
	atomic_init(&d->no_tmpfile, access("/proc/self/fd", X_OK) < 0);
	if (!opts->read_only)
		remove_stale_temps(d->root);
	*ret = &d->base;
	return 0;
}

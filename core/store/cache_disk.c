/* SPDX-License-Identifier: MIT */
#include "cache_disk.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "../base/clock.h"
#include "../base/hash.h"
#include "../base/vec.h"

/*
 * DIR/HH/HEX, HH being the first two digits of the id. A file: magic, length, checksum, content. Its mtime is its last
 * use, to ten minutes. Each process sweeps at its first write and after each sixteenth of the limit it wrote; one at
 * a time, by a lock on DIR/lock.
 */

#define MAGIC UINT64_C(0x31636b6863736670)
#define FOLDERS 256
#define PATH_MAX_ 40 /* "HH/HEX.tmp" and more */
#define TOUCH_S 600
#define BLOCK 4096 /* what a file takes is a multiple */
#define FILES_MAX ((size_t)1 << 20)

struct header {
	uint64_t magic, length, sum;
};

struct cache_disk {
	int dir;
	uint64_t limit;
	uint64_t written; /* atomic: since the last sweep */
	uint64_t temps;   /* atomic */
};

static uint64_t sum_of(struct chunk_id id, const uint8_t *data, size_t n)
{
	return hash_mix(hash_bytes(data, n) ^ id.lo, id.hi ^ n);
}

static void path_of(struct chunk_id id, char ret[PATH_MAX_])
{
	snprintf(ret, PATH_MAX_, "%02x/%014llx%016llx", (unsigned)(id.hi >> 56),
	         (unsigned long long)(id.hi & (UINT64_MAX >> 8)), (unsigned long long)id.lo);
}

char *cache_disk_default(void)
{
	const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
	char *ret;
	if (xdg && xdg[0] == '/')
		return asprintf(&ret, "%s/profilefs", xdg) < 0 ? NULL : ret;
	if (home && home[0] == '/')
		return asprintf(&ret, "%s/.cache/profilefs", home) < 0 ? NULL : ret;
	return NULL;
}

/* --- sweeping --- */

struct found {
	char path[PATH_MAX_];
	uint64_t size;
	int64_t used;
};

struct sweep {
	VEC(struct found) files;
	uint64_t total;
};

static void note_file(struct sweep *s, int dir, const char *folder, const char *name)
{
	struct stat st;
	struct found f;
	if (strlen(name) > 34 || s->files.n == FILES_MAX || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !S_ISREG(st.st_mode))
		return;
	snprintf(f.path, sizeof f.path, "%.2s/%.34s", folder, name);
	f.size = ((uint64_t)st.st_size + BLOCK - 1) / BLOCK * BLOCK;
	f.used = (int64_t)st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
	struct found *at = VEC_PUSH(&s->files);
	if (!at)
		return;
	*at = f;
	s->total += f.size;
}

static void note_folder(struct cache_disk *d, struct sweep *s, unsigned i)
{
	char folder[3];
	snprintf(folder, sizeof folder, "%02x", i);
	int fd = openat(d->dir, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		closep(&fd);
		return;
	}
	for (struct dirent *e; (e = readdir(dir));)
		if (e->d_name[0] != '.')
			note_file(s, fd, folder, e->d_name);
	closedir(dir);
}

static int by_use(const void *a, const void *b)
{
	return CMP(((const struct found *)a)->used, ((const struct found *)b)->used);
}

/* Goes down to seven eighths of the limit, so that it is not done again at once. */
static void sweep(struct cache_disk *d)
{
	struct sweep s = { 0 };
	_close_ int lock = openat(d->dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (lock < 0 || flock(lock, LOCK_EX | LOCK_NB) < 0)
		return;
	for (unsigned i = 0; i < FOLDERS; i++)
		note_folder(d, &s, i);
	if (s.total > d->limit) {
		qsort(s.files.v, s.files.n, sizeof *s.files.v, by_use);
		for (size_t i = 0; i < s.files.n && s.total > d->limit - d->limit / 8; i++) {
			unlinkat(d->dir, s.files.v[i].path, 0);
			s.total -= s.files.v[i].size;
		}
	}
	VEC_DONE(&s.files);
}

static void count_written(struct cache_disk *d, uint64_t n)
{
	uint64_t now = __atomic_add_fetch(&d->written, n, __ATOMIC_RELAXED);
	if (now <= d->limit / 16)
		return;
	if (__atomic_compare_exchange_n(&d->written, &now, 0, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		sweep(d);
}

/* --- files --- */

static void touch(int fd, const struct stat *st)
{
	if (st->st_mtim.tv_sec < clock_now() / NS_PER_S - TOUCH_S)
		futimens(fd, NULL);
}

ssize_t cache_disk_get(struct cache_disk *d, struct chunk_id id, uint8_t *out, size_t size)
{
	char path[PATH_MAX_];
	struct header h;
	struct stat st;
	path_of(id, path);
	_close_ int fd = openat(d->dir, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -1;
	struct iovec parts[] = { { &h, sizeof h }, { out, size } };
	ssize_t n = readv(fd, parts, 2) - (ssize_t)sizeof h;
	if (n < 0 || h.magic != MAGIC || h.length != (uint64_t)n || st.st_size != n + (ssize_t)sizeof h ||
	    h.sum != sum_of(id, out, (size_t)n)) {
		unlinkat(d->dir, path, 0);
		return -1;
	}
	touch(fd, &st);
	return n;
}

static bool write_file(struct cache_disk *d, const char *path, struct chunk_id id, struct slice data)
{
	struct header h = { MAGIC, data.len, sum_of(id, data.data, data.len) };
	struct iovec parts[] = { { &h, sizeof h }, { (void *)data.data, data.len } };
	_close_ int fd = openat(d->dir, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	return fd >= 0 && writev(fd, parts, 2) == (ssize_t)(sizeof h + data.len);
}

void cache_disk_put(struct cache_disk *d, struct chunk_id id, struct slice data)
{
	char path[PATH_MAX_], temp[PATH_MAX_], folder[3];
	path_of(id, path);
	snprintf(folder, sizeof folder, "%.2s", path);
	snprintf(temp, sizeof temp, "%s/%x-%llx", folder, (unsigned)getpid(),
	         (unsigned long long)__atomic_fetch_add(&d->temps, 1, __ATOMIC_RELAXED));
	mkdirat(d->dir, folder, 0700);
	if (!write_file(d, temp, id, data) || renameat(d->dir, temp, d->dir, path) < 0)
		unlinkat(d->dir, temp, 0);
	else
		count_written(d, data.len + sizeof(struct header));
}

/* --- the directory --- */

static int make_dirs(const char *dir)
{
	_free_ char *path = strdup(dir);
	for (char *p = path ? path + 1 : NULL; p && *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
	mkdir(dir, 0700);
	return open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

struct cache_disk *cache_disk_new(const char *dir, uint64_t limit)
{
	_close_ int fd = make_dirs(dir);
	struct cache_disk *d = fd >= 0 && faccessat(fd, ".", W_OK, AT_EACCESS) == 0 ? calloc(1, sizeof *d) : NULL;
	if (!d)
		return NULL;
	d->dir = TAKE_FD(fd);
	d->limit = limit;
	d->written = limit / 16; /* the first write sweeps */
	return d;
}

void cache_disk_free(struct cache_disk *d)
{
	if (!d)
		return;
	close(d->dir);
	free(d);
}

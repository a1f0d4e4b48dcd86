/* SPDX-License-Identifier: MIT */
#include "spool.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

void spool_init(struct spool *s, size_t max)
{
	const char *dir = getenv("TMPDIR");
	*s = (struct spool){ .max = max, .dir = dir && *dir == '/' ? dir : "/tmp" };
}

/* Counts the growth of a file from one size to another; -ENOSPC where it does not fit. */
static int spool_charge(struct spool *s, uint64_t from, uint64_t to)
{
	size_t used = atomic_load(&s->used);
	if (to <= from) {
		atomic_fetch_sub(&s->used, from - to);
		return 0;
	}
	do {
		if (to - from > s->max || used > s->max - (to - from))
			return -ENOSPC;
	} while (!atomic_compare_exchange_weak(&s->used, &used, used + (to - from)));
	return 0;
}

static int spool_open(struct spool *s, struct spool_file *f)
{
	if (f->fd >= 0)
		return 0;
	f->fd = open(s->dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (f->fd < 0)
		f->fd = memfd_create("profilefs", MFD_CLOEXEC);
	return f->fd < 0 ? -errno : 0;
}

static int write_all(int fd, const uint8_t *data, size_t n, uint64_t offset)
{
	while (n) {
		ssize_t done = pwrite(fd, data, n, (off_t)offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -ENOSPC;
		data += done;
		n -= (size_t)done;
		offset += (size_t)done;
	}
	return 0;
}

int spool_write(struct spool *s, struct spool_file *f, const void *data, size_t n, uint64_t offset)
{
	uint64_t end;
	if (__builtin_add_overflow(offset, n, &end) || end > INT64_MAX)
		return -EFBIG;
	int e = spool_open(s, f);
	uint64_t size = MAX(f->size, end);
	if (!e)
		e = spool_charge(s, f->size, size);
	if (e)
		return e;
	e = write_all(f->fd, data, n, offset);
	if (e)
		spool_charge(s, size, f->size);
	else
		f->size = size;
	return e;
}

int spool_truncate(struct spool *s, struct spool_file *f, uint64_t size)
{
	int e = size ? spool_open(s, f) : 0;
	if (!e)
		e = spool_charge(s, f->size, size);
	if (e || f->fd < 0)
		return e;
	if (ftruncate(f->fd, (off_t)size)) {
		e = -errno;
		spool_charge(s, size, f->size);
		return e;
	}
	f->size = size;
	return 0;
}

ssize_t spool_read(const struct spool_file *f, void *data, size_t n, uint64_t offset)
{
	if (f->fd < 0 || offset >= f->size)
		return 0;
	ssize_t got = pread(f->fd, data, n, (off_t)offset);
	return got < 0 ? -errno : got;
}

void spool_close(struct spool *s, struct spool_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	spool_charge(s, f->size, 0);
	*f = SPOOL_FILE_INIT;
}

int spool_map(const struct spool_file *f, uint64_t from, struct spool_map *ret)
{
	*ret = (struct spool_map){ 0 };
	if (f->fd < 0 || from >= f->size)
		return 0;
	uint64_t start = from - from % (uint64_t)sysconf(_SC_PAGESIZE);
	size_t length = (size_t)(f->size - start);
	void *base = mmap(NULL, length, PROT_READ, MAP_SHARED, f->fd, (off_t)start);
	if (base == MAP_FAILED)
		return -errno;
	madvise(base, length, MADV_SEQUENTIAL);
	*ret = (struct spool_map){ { (const uint8_t *)base + (from - start), (size_t)(f->size - from) }, base, length };
	return 0;
}

void spool_unmap(struct spool_map *m)
{
	if (m->base)
		munmap(m->base, m->length);
	*m = (struct spool_map){ 0 };
}

/* SPDX-License-Identifier: MIT */
#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

#include "files.h"

int file_read(const char *path, struct buf *out, struct error *err)
{
	struct stat st;
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return error_set(err, -errno, "%s: %s", path, strerror(errno));
	buf_reset(out);
	uint8_t *at = buf_reserve(out, (size_t)st.st_size + 1);
	if (!at)
		return buf_err(out);
	for (ssize_t n; (n = read(fd, at + out->len, (size_t)st.st_size - out->len)) > 0;)
		out->len += (size_t)n;
	return out->len == (size_t)st.st_size ? 0 : error_set(err, -EIO, "%s: short read", path);
}

static void make_parents(const char *path)
{
	_free_ char *copy = strdup(path);
	for (char *p = copy ? copy + 1 : NULL; p && (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		mkdir(copy, 0755); /* a failure shows in open() */
	}
}

int file_write(const char *path, struct slice data, struct error *err)
{
	int fd_ = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd_ < 0) {
		make_parents(path);
		fd_ = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	}
	_close_ int fd = fd_;
	for (size_t done = 0; fd >= 0 && done < data.len;) {
		ssize_t n = write(fd, data.data + done, data.len - done);
		if (n < 0)
			return error_set(err, -errno, "%s: %s", path, strerror(errno));
		done += (size_t)n;
	}
	return fd < 0 ? error_set(err, -errno, "%s: %s", path, strerror(errno)) : 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path) ? -1 : 0;
}

void folder_remove(const char *path)
{
	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Errors are negative ints in one tree. A leaf names one cause, its parent a class, its root an errno:
 *
 *     ERR_CHECKSUM -> class CORRUPT -> EIO
 *
 * Front ends answer err_errno(e) and log err_name(e) with the sentence of struct error. Plain -errno values
 * are valid errors too (their own root). core/ returns and explains; only front ends print.
 */

#include <assert.h>
#include <errno.h>
#include <stdarg.h>

#include "macros.h"

/* name, number, root errno, sentence */
#define ERR_TREE(X)                                                                                \
	/* input that is no whole, sound profile */                                                \
	X(ERR_FORMAT, 1, EINVAL, "not a profile")                                                  \
	X(ERR_FORMAT_UNKNOWN, 2, EINVAL, "not recognised as a profile")                            \
	X(ERR_FORMAT_TRUNCATED, 3, EINVAL, "the profile is cut short")                             \
	X(ERR_FORMAT_MALFORMED, 4, EINVAL, "the profile is malformed")                             \
	X(ERR_FORMAT_REFERENCE, 5, EINVAL, "the profile refers to something it does not hold")     \
	X(ERR_FORMAT_NAMED, 6, EINVAL, "a format that is known and not taken")                     \
	X(ERR_FORMAT_LIMIT, 7, EFBIG, "the profile is larger than the limit")                      \
	X(ERR_FORMAT_SERVICE, 8, EINVAL, "neither the profile nor its sender names the service")   \
	/* damaged or foreign objects in the store */                                              \
	X(ERR_CORRUPT, 20, EIO, "an object is damaged")                                            \
	X(ERR_CORRUPT_CHECKSUM, 21, EIO, "a checksum does not match")                              \
	X(ERR_CORRUPT_LAYOUT, 22, EIO, "an object's layout is wrong")                              \
	X(ERR_CORRUPT_MISSING, 23, EIO, "an object that should be there is missing")               \
	X(ERR_NEWER, 24, EPROTONOSUPPORT, "written by a newer version")                            \
	/* the store */                                                                            \
	X(ERR_STORE, 40, EIO, "the store failed")                                                  \
	X(ERR_STORE_NOT_FOUND, 41, ENOENT, "no such object")                                       \
	X(ERR_STORE_EXISTS, 42, EEXIST, "the object exists already")                               \
	X(ERR_STORE_ACCESS, 43, EACCES, "the store denies access")                                 \
	X(ERR_STORE_TIMEOUT, 44, ETIMEDOUT, "the store did not answer in time")                    \
	X(ERR_STORE_UNKNOWN, 45, EIO, "the outcome of a write is unknown")                         \
	X(ERR_STORE_READONLY, 46, EROFS, "the store is read only")                                 \
	X(ERR_STORE_RANGE, 47, EIO, "a range is outside its object")                               \
	X(ERR_STORE_UNSUPPORTED, 48, EOPNOTSUPP, "the store has no such operation")                \
	/* paths */                                                                                \
	X(ERR_PATH, 60, EINVAL, "bad path component")                                              \
	X(ERR_PATH_ABSENT, 61, ENOENT, "no such file or directory")                                \
	X(ERR_PATH_DENIED, 62, EPERM, "not allowed here")                                          \
	/* limits and life */                                                                      \
	X(ERR_LIMIT, 80, EDQUOT, "over a limit")                                                   \
	X(ERR_LIMIT_MEMORY, 81, ENOMEM, "over the memory limit")                                   \
	X(ERR_LIMIT_BUFFER, 82, EFBIG, "over a buffer's limit")                                    \
	X(ERR_CANCELLED, 83, EINTR, "cancelled")                                                   \
	X(ERR_STALE, 84, ESTALE, "the view is gone")                                               \
	X(ERR_SHUTDOWN, 85, ESHUTDOWN, "stopping")

#define ERR_VALUE(number, root) (-(((number) << 8) | (root)))

enum {
#define X(name, number, root, text) name = ERR_VALUE(number, root),
	ERR_TREE(X)
#undef X
};

/* The positive errno at the root of an error (or of a plain -errno). */
static inline int err_errno(int e)
{
	return e < 0 ? (-e) & 0xff : 0;
}

/*
 * Whether an object cannot be read for what it is: its bytes are not what it says, it ends before they do, or it is not
 * there although the catalog has it. That costs its own data only; who meets it goes on without it and tells, but for
 * deletion (docs/architecture.md "Damage"). A store that does not answer is no damage.
 */
bool err_is_damage(int e);

const char *err_name(int e); /* "ERR_CHECKSUM"; "EIO" for a plain -errno; borrowed for ever */
const char *err_text(int e); /* a sentence; borrowed for ever */

/* Explains one failure. Zero-initialised is empty. Not thread safe. */
struct error {
	int code;
	char text[480];
};

/* Sets code and sentence (where err is not NULL) and returns code, so that callers can `return error_set(...)`. */
int error_set(struct error *err, int code, const char *fmt, ...) _printf_(3, 4);

/* Puts "WHERE: " before the sentence that is there. Returns err's code (or `code` where err is NULL). */
int error_at(struct error *err, int code, const char *fmt, ...) _printf_(3, 4);

/* The sentence, or err_text(code) where none was set. */
const char *error_text(const struct error *err, int code);

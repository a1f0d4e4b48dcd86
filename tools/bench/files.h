/* SPDX-License-Identifier: MIT */
#pragma once

/* Whole files, in and out. */

#include "../../core/base/buf.h"

/* Replaces what out holds. */
int file_read(const char *path, struct buf *out, struct error *err);
/* Makes missing directories. */
int file_write(const char *path, struct slice data, struct error *err);
/* Removes a directory and what is in it. */
void folder_remove(const char *path);

/* SPDX-License-Identifier: MIT */
#pragma once

/* Retention: deletes the days that are too old or too much, as the settings say. */

#include "db.h"

/* *ret is added to. */
int retain(struct db *db, int64_t settings_age, struct db_deleted *ret, struct error *err);

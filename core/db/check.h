/* SPDX-License-Identifier: MIT */
#pragma once

/* What the files of `check` share. */

#include "day.h"

struct checker {
	struct db *db;
	void (*report)(void *ctx, const char *key, const char *what);
	void *ctx;
	const char *key; /* being verified */
	int found;
	bool repair;
};

void check_found(struct checker *c, const char *key, const char *what);

/* Whether the catalog says of a block what the block says itself. */
int check_infos(struct checker *c, const struct live *l, struct block *b);
/* Blocks of a service that bear rollups never overlap in time. */
int check_bases(struct checker *c, struct view *v, struct error *err);
/* Blocks that no catalog names; repair condemns them. */
int check_orphans(struct checker *c, struct view *v, struct error *err);
int check_settings(struct checker *c);

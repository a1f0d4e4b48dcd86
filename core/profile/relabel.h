/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Relabelling as Prometheus does it (relabel_config): rules that change, keep or drop the labels of a profile before it
 * is stored, and profiles as a whole. docs/ingest.md has the rules for users.
 *
 * The service is the label `service_name`; no rule takes it away. Labels of the path stand for the sender's of the same
 * key. A profile's id is of what was sent, before relabelling, so that a retry counts once.
 */

#include "../base/arena.h"
#include "../base/buf.h"
#include "label.h"

#define RELABEL_SERVICE "service_name"
#define RELABEL_RULES_MAX 256

/* Compiled rules; immutable, shared by threads. */
struct relabel;

/*
 * An array of rules as JSON; an empty text or array has none. New. ERR_PATH with the number of the rule, or the place
 * in the text, and the reason.
 */
int relabel_parse(struct slice json, struct relabel **ret, struct error *err);
void relabel_free(struct relabel *r);
DEFINE_CLEANUP(struct relabel *, relabel_free);
size_t relabel_count(const struct relabel *r); /* of NULL: 0 */

enum relabel_outcome { RELABEL_SAME, RELABEL_CHANGED, RELABEL_DROPPED };

/* What became of one profile's labels. */
struct relabelled {
	enum relabel_outcome outcome;
	struct str service;         /* where changed, as what follows */
	const struct label *labels; /* keys unique and sorted; in the arena, or borrowed from the input */
	size_t n_labels;
	struct arena arena;
};

/*
 * r may be NULL. 0, -ENOMEM, -ENOTSUP (no MD5) or ERR_LIMIT (labels that take over 1 MiB). relabelled_done() is due
 * on 0.
 */
int relabel_apply(const struct relabel *r, struct str service, const struct label *sent, size_t n_sent,
                  const struct label *path, size_t n_path, struct relabelled *ret);
void relabelled_done(struct relabelled *r);

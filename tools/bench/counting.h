/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A layer that counts what calls would cost on S3, for store_counters(): ranges that lie near each other are one GET
 * and long ones several, a listing one LIST per thousand entries, a large object a PUT per part and two.
 */

#include "../../core/store/store.h"

/* inner is borrowed. */
int counting_new(struct store *inner, struct store **ret);

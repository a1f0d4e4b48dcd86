/* SPDX-License-Identifier: MIT */
#pragma once

/* What is known of profile types and units: how values behave over time, what converts to what, how it is shown. */

#include "../base/buf.h"
#include "label.h"

enum type_class {
	TYPE_EVENT,   /* adds up: cpu, samples, wall, and every type that is not known */
	TYPE_RUNNING, /* alloc_*, contentions, delay: running totals where the profile has no duration */
	TYPE_INSTANT, /* inuse_*, goroutine, threadcreate: a state at a moment */
};

enum type_class type_class_of(struct str type);

/* Units of one dimension convert; each other unit is a dimension of its own. */
enum unit_dim { UNIT_OTHER, UNIT_TIME, UNIT_BYTES, UNIT_COUNT };

struct unit {
	enum unit_dim dim;
	int64_t scale;         /* a value times this is in the dimension's base unit (nanoseconds, bytes, count) */
	const char *canonical; /* "nanoseconds", "bytes", "count"; NULL for UNIT_OTHER: the unit as it is written */
};

/* Knows ns, us, μs, ms, s, min, hour, B, kB, KiB, MB ..., count, in singular, plural and any case. */
struct unit unit_of(struct str unit);

/*
 * The name under which a type is listed and found: as `pprof -sample_index` names it, `kind.type` for delay and
 * contentions of a known kind, `type.unit` where its unit is of another dimension than is usual for the type
 * (`samples.nanoseconds`). Appends.
 */
void type_name(struct buf *out, struct str type, struct str unit, struct str kind);

/*
 * A value for people, as pprof prints it: "1.20s", "512kB", "3.50MB", "42". unit is canonical ("nanoseconds", "bytes",
 * "count" or other). Appends.
 */
void value_format(struct buf *out, int64_t value, struct str unit);

/* A share as pprof prints it: "12.34%", "100%", "0.5%". total 0 gives "0%". Appends. */
void share_format(struct buf *out, int64_t value, int64_t total);

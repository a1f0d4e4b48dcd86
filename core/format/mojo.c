/* SPDX-License-Identifier: MIT */

/*
 * Austin's binary format: "MOJ", a version, and events of one byte and their fields. A number has six bits and a sign
 * in its first byte, seven bits in those that follow; a text ends with a zero byte.
 *
 *     1  key, value          of the recording: mode, duration ...
 *     2  pid, interpreter (from version 3), thread    begins a sample
 *     3  key, file, function, line, and from version 2 end of line, column, end of column: defines a frame
 *     4  a frame that could not be read    5  key: a frame, outermost first    6  function: a frame of the kernel
 *     7  garbage was collected             8  the thread was idle
 *     9  microseconds                      10 bytes
 *     11 key, text: defines a text         12 key: one again
 *
 * Keys are of a process. Types and labels are those of Austin's text (austin.c), into which `mojo2austin` turns it.
 */

#include <string.h>

#include "../base/cursor.h"
#include "../base/hash.h"
#include "austin.h"
#include "internal.h"

#define VERSION_MAX 3
#define KEY_UNKNOWN 1 /* a text that need not be defined */

enum event {
	EVENT_METADATA = 1, EVENT_STACK, EVENT_FRAME, EVENT_INVALID, EVENT_FRAME_REF, EVENT_KERNEL, EVENT_GC,
	EVENT_IDLE, EVENT_TIME, EVENT_MEMORY, EVENT_STRING, EVENT_STRING_REF,
};

/* What a process has under a key: a string of the profile, or a location. */
struct defined {
	int64_t pid, key;
	uint32_t id;
};

struct table {
	VEC(struct defined) rows;
	struct idset set;
};

struct mojo {
	struct maker *m;
	struct cursor c;
	struct slice in;
	int64_t version;
	enum austin_mode mode;
	struct table strings, frames;
	VEC(uint32_t) stack; /* outermost first */
	int64_t pid, time, bytes;
	struct str thread;
	bool open, typed, idle, gc; /* of the sample; typed: of the profile */
	char thread_name[80];
};

static void mojo_done(struct mojo *j)
{
	VEC_DONE(&j->strings.rows);
	VEC_DONE(&j->frames.rows);
	VEC_DONE(&j->stack);
	idset_done(&j->strings.set);
	idset_done(&j->frames.set);
}

static void fail(struct mojo *j, int e, const char *what)
{
	make_fail(j->m, e, "Austin MOJO: %s at byte %zu", what, (size_t)(j->c.p - j->in.data));
}

/* ---- fields ---- */

static int64_t number(struct mojo *j)
{
	uint8_t b = cursor_u8(&j->c);
	bool negative = b & 0x40;
	uint64_t v = b & 0x3f;
	for (unsigned shift = 6; b & 0x80; shift += 7) {
		b = cursor_u8(&j->c);
		if (shift > 62 || (shift == 62 && (b & 0x7f) >> 2)) {
			fail(j, ERR_FORMAT_MALFORMED, "a number too large");
			return 0;
		}
		v |= (uint64_t)(b & 0x7f) << shift;
	}
	return (int64_t)(negative ? -v : v);
}

static struct str text(struct mojo *j)
{
	const uint8_t *from = j->c.p, *end = cursor_left(&j->c) ? memchr(from, 0, cursor_left(&j->c)) : NULL;
	if (!end) {
		cursor_fail(&j->c);
		return STR("");
	}
	j->c.p = end + 1;
	return (struct str){ (const char *)from, (size_t)(end - from) };
}

/* ---- keys ---- */

static struct defined *find(struct mojo *j, struct table *t, int64_t key, uint64_t *ret_hash)
{
	*ret_hash = hash_mix((uint64_t)key ^ j->m->seed, (uint64_t)j->pid);
	for (struct idset_probe p = idset_probe(&t->set, *ret_hash); idset_next(&t->set, &p);)
		if (t->rows.v[p.id].key == key && t->rows.v[p.id].pid == j->pid)
			return &t->rows.v[p.id];
	return NULL;
}

/* A later definition stands for an earlier one. */
static void define(struct mojo *j, struct table *t, int64_t key, uint32_t id)
{
	uint64_t hash;
	struct defined *row = find(j, t, key, &hash);
	if (!row && (t->rows.n + 1) * sizeof *row > j->m->max_model) {
		fail(j, ERR_FORMAT_LIMIT, "more definitions than memory allows");
		return;
	}
	if (!row) {
		row = VEC_PUSH(&t->rows);
		if (!row || idset_add(&t->set, hash, (uint32_t)t->rows.n - 1)) {
			fail(j, -ENOMEM, "no memory");
			return;
		}
	}
	*row = (struct defined){ j->pid, key, id };
}

static uint32_t look_up(struct mojo *j, struct table *t, int64_t key)
{
	uint64_t hash;
	const struct defined *row = find(j, t, key, &hash);
	if (row)
		return row->id;
	if (t == &j->strings && key == KEY_UNKNOWN)
		return make_string(j->m, STR("<unknown>"));
	fail(j, ERR_FORMAT_REFERENCE, t == &j->frames ? "a frame that is not defined" : "a text that is not defined");
	return 0;
}

/* ---- samples ---- */

static void push(struct mojo *j, uint32_t location)
{
	uint32_t *to = j->m->e ? NULL : VEC_PUSH(&j->stack);
	if (to)
		*to = location;
	else
		make_fail(j->m, -ENOMEM, "no memory for a stack");
}

static void finish_sample(struct mojo *j)
{
	int64_t values[AUSTIN_VALUES];
	if (!j->open)
		return;
	j->open = false;
	if (!j->typed)
		austin_types(j->m, j->mode);
	j->typed = true;
	if (j->gc)
		push(j, make_named(j->m, STR(":GC:"), NO_UNIT, 0));
	for (size_t i = j->stack.n; i; i--)
		make_frame(j->m, j->stack.v[i - 1]);
	austin_labels(j->m, j->pid, profile_str(j->m->p, make_copy(j->m, j->thread)), j->idle);
	austin_values(j->mode, j->time, j->idle, j->bytes, values);
	make_sample(j->m, values);
}

/* The thread as the text has it: "0:26034", the interpreter's number before it. */
static void begin_sample(struct mojo *j)
{
	finish_sample(j);
	j->pid = number(j);
	long long interpreter = j->version >= 3 ? number(j) : 0;
	struct str thread = text(j);
	j->thread = thread;
	if (j->version >= 3) {
		int n = snprintf(j->thread_name, sizeof j->thread_name, "%lld:%.*s", interpreter,
		                 (int)MIN(thread.len, (size_t)50), thread.s);
		j->thread = (struct str){ j->thread_name, (size_t)n };
	}
	j->open = !j->c.bad;
	j->idle = j->gc = false;
	j->time = j->bytes = 0;
	j->stack.n = 0;
}

static void define_frame(struct mojo *j)
{
	int64_t key = number(j), file = number(j), scope = number(j), place[4] = { 0 };
	for (size_t i = 0; i < (j->version >= 2 ? 4 : 1); i++)
		place[i] = number(j);
	if (j->c.bad)
		return;
	const struct profile_function f = { .filename = look_up(j, &j->strings, file),
		.name = look_up(j, &j->strings, scope) };
	const struct profile_line line = { make_function(j->m, &f), MAX(place[0], 0), MAX(place[2], 0) };
	define(j, &j->frames, key, make_location(j->m, &(struct frame){ PROFILE_NONE, 0, &line, 1 }));
}

static void read_metadata(struct mojo *j)
{
	char comment[300];
	struct str key = text(j), value = text(j);
	if (j->c.bad)
		return;
	finish_sample(j);
	int n = snprintf(comment, sizeof comment, "%.*s: %.*s", (int)MIN(key.len, (size_t)80), key.s,
	                 (int)MIN(value.len, (size_t)200), value.s);
	make_comment(j->m, profile_str(j->m->p, make_copy(j->m, (struct str){ comment, (size_t)n })));
	if (str_eq(key, STR("mode")) && !j->typed)
		j->mode = austin_mode_of(value);
	else if (str_eq(key, STR("duration")))
		austin_duration(j->m->p, value);
}

/* ---- events ---- */

/* What belongs to a sample. */
static void read_part(struct mojo *j, enum event event)
{
	switch (event) {
	case EVENT_INVALID:
		push(j, make_named(j->m, STR(":INVALID:"), NO_UNIT, 0));
		break;
	case EVENT_FRAME_REF:
		push(j, look_up(j, &j->frames, number(j)));
		break;
	case EVENT_KERNEL:
		push(j, make_named(j->m, text(j), STR("kernel"), 0));
		break;
	case EVENT_GC:
		j->gc = true;
		break;
	case EVENT_IDLE:
		j->idle = true;
		break;
	case EVENT_TIME:
		j->time = number(j);
		break;
	case EVENT_MEMORY:
		j->bytes = number(j);
		break;
	default:
		fail(j, ERR_FORMAT_MALFORMED, "an unknown event");
	}
}

static void read_event(struct mojo *j)
{
	enum event event = (enum event)cursor_u8(&j->c);
	if (event == EVENT_METADATA)
		read_metadata(j);
	else if (event == EVENT_STACK)
		begin_sample(j);
	else if (!j->open)
		fail(j, ERR_FORMAT_MALFORMED, "an event outside of a sample");
	else if (event == EVENT_FRAME)
		define_frame(j);
	else if (event == EVENT_STRING) {
		int64_t key = number(j);
		define(j, &j->strings, key, make_string(j->m, text(j)));
	} else if (event == EVENT_STRING_REF)
		look_up(j, &j->strings, number(j));
	else
		read_part(j, event);
}

static void read_events(struct mojo *j)
{
	while (!j->m->e && cursor_left(&j->c))
		read_event(j);
	if (j->c.bad)
		fail(j, ERR_FORMAT_TRUNCATED, "cut short");
	if (!j->m->e)
		finish_sample(j);
}

static int decode(struct slice in, const struct format_options *opts, struct profile *p, struct error *err)
{
	_maker_ struct maker m;
	maker_init(&m, p, opts, err);
	_cleanup_(mojo_done) struct mojo j = { .m = &m, .c = cursor_of(in), .in = in, .thread = STR("") };
	const uint8_t *magic = cursor_bytes(&j.c, 3);
	j.version = number(&j);
	if (j.c.bad || memcmp(magic, "MOJ", 3))
		fail(&j, ERR_FORMAT_MALFORMED, "no header");
	else if (j.version < 1 || j.version > VERSION_MAX)
		make_fail(&m, ERR_FORMAT_NAMED, "an Austin MOJO file of version %lld (1 to %d are taken): run "
		          "`mojo2austin` and write its output", (long long)j.version, VERSION_MAX);
	read_events(&j);
	if (!m.e && !p->n_samples)
		return make_fail(&m, ERR_FORMAT_UNKNOWN, "an Austin MOJO file without any sample");
	return make_end(&m);
}

static enum format_verdict sniff(struct slice head, bool whole)
{
	size_t n = MIN(head.len, (size_t)3);
	if (memcmp(head.data, "MOJ", n) || (head.len > 3 && (!head.data[3] || head.data[3] >= 0x20)))
		return FORMAT_NO;
	return head.len > 3 ? FORMAT_YES : whole ? FORMAT_NO : FORMAT_MAYBE;
}

const struct format format_mojo = { "mojo", sniff, decode };

/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the files of the JFR decoder share: jfr.c walks chunks and events, jfr_types.c reads what a chunk says of its
 * types and values, jfr_names.c resolves stacks, methods, classes and threads, jfr_kinds.c knows the events, jfr_heap.c
 * matches allocations and what frees them, jfr_fields.c reads events that nothing is known of.
 */

#include "../base/cursor.h"
#include "internal.h"
#include "make.h"

/* What a value is on the wire. */
enum jfr_base { JFR_CLASS, JFR_BOOLEAN, JFR_BYTE, JFR_INTEGER, JFR_FLOAT, JFR_DOUBLE, JFR_STRING };

struct jfr_field {
	struct str name;
	uint64_t class_id;
	uint32_t class;   /* place in classes; JFR_NONE */
	bool is_constant; /* a number that stands for a row of its class's pool */
	bool is_array;
};

struct jfr_kind;

struct jfr_class {
	uint64_t id;
	struct str name;
	enum jfr_base base;
	uint32_t field_at, n_fields;
	const struct jfr_kind *kind; /* what is known of an event of this name; NULL: nothing */
	bool has_stack;
	size_t pool_at; /* of its constants in `constants`, sorted by key */
	size_t n_pool;
};

struct jfr_constant {
	uint32_t class;
	uint64_t key;
	const uint8_t *at;
};

#define JFR_NONE UINT32_MAX

/* What profiles are made of the events of a chunk; of GROUP_MALLOC_LIVE, of the whole recording. */
enum jfr_group { GROUP_NONE, GROUP_CPU, GROUP_WALL, GROUP_NATIVE, GROUP_ALLOC, GROUP_MUTEX, GROUP_BLOCK, GROUP_LIVE,
	GROUP_MALLOC, GROUP_TRACE, GROUP_OTHER, GROUP_MALLOC_LIVE, JFR_GROUPS };

struct jfr_chunk {
	struct slice bytes;
	bool is_compressed; /* integers are LEB128 */
	int64_t start_ns, duration_ns, start_ticks, ticks_per_s;
	size_t metadata_at, checkpoint_at;
	VEC(struct jfr_class) classes; /* sorted by id */
	VEC(struct jfr_field) fields;
	VEC(struct str) strings;       /* of the metadata */
	VEC(struct jfr_constant) constants;
	struct arena *arena; /* texts that the chunk has in other encodings */
	int64_t rest[JFR_GROUPS]; /* of durations: ticks times 10^9 that are less than a ns */
	uint64_t steps;      /* left: what walking over values may take */
	size_t max_bytes;    /* of the tables above */
	struct error *err;
};

void jfr_chunk_done(struct jfr_chunk *c);
/* Reads the metadata: events can be walked over, and their numbers read. */
int jfr_read_types(struct jfr_chunk *c);
/* Reads the constant pools, after the types. */
int jfr_read_constants(struct jfr_chunk *c);

/* The class of an id; JFR_NONE. */
uint32_t jfr_class_of(const struct jfr_chunk *c, uint64_t id);

struct jfr_value {
	int64_t number; /* or the key of a constant */
	struct str text;
};

/* Numbers of the width of an int or long. */
int64_t jfr_integer(const struct jfr_chunk *c, struct cursor *in, uint32_t class);
/* How many elements an array has. */
uint64_t jfr_length(const struct jfr_chunk *c, struct cursor *in);
/* One value that is neither an array nor a class's fields: a number, a string, or a constant's key. */
void jfr_scalar(struct jfr_chunk *c, struct cursor *in, const struct jfr_field *f, struct jfr_value *ret);
static inline bool jfr_is_scalar(const struct jfr_chunk *c, const struct jfr_field *f)
{
	return !f->is_array && f->class != JFR_NONE && (f->is_constant || c->classes.v[f->class].base != JFR_CLASS);
}
/* Passes over one value. False (and in->bad) where it cannot be. */
bool jfr_skip(struct jfr_chunk *c, struct cursor *in, const struct jfr_field *f);

/* The fields of a constant of a class of this name; empty where it is not there. */
struct cursor jfr_constant(const struct jfr_chunk *c, uint32_t class, uint64_t key);
/*
 * The scalar field of a constant: false where there is none. *ret_class is the field's class, for what is a constant.
 */
bool jfr_constant_field(struct jfr_chunk *c, uint32_t class, uint64_t key, const char *name, struct jfr_value *ret,
                        uint32_t *ret_class);
/* The same, of a field that is a constant or a string: its text, through Symbols. "" where there is none. */
struct str jfr_constant_text(struct jfr_chunk *c, uint32_t class, uint64_t key, const char *name);

static inline int64_t jfr_ticks_to_ns(const struct jfr_chunk *c, int64_t ticks)
{
	return (int64_t)((__int128)ticks * 1000000000 / c->ticks_per_s);
}

/* ---- events ---- */

/* What is read of an event's fields. */
enum jfr_slot { SLOT_START, SLOT_DURATION, SLOT_EVENT_THREAD, SLOT_SAMPLED_THREAD, SLOT_STACK, SLOT_STATE, SLOT_SAMPLES,
	SLOT_WEIGHT, SLOT_OBJECT_CLASS, SLOT_ALLOCATION_SIZE, SLOT_TLAB_SIZE, SLOT_MONITOR_CLASS, SLOT_PARKED_CLASS,
	SLOT_OWNER, SLOT_ADDRESS, SLOT_SIZE, SLOT_OBJECT_SIZE, SLOT_OBJECT, SLOT_SAMPLING_PERIOD, SLOT_FAILED,
	SLOT_METHOD, SLOT_SPAN, SLOT_ROOT_SPAN, SLOT_TRACE, SLOT_CONTEXT, SLOT_ID, SLOT_NAME, SLOT_VALUE, SLOT_PID,
	SLOT_JVM_NAME, SLOT_JVM_VERSION, SLOT_JAVA_ARGUMENTS, SLOT_ALLOCATION_TIME, SLOT_CLASS, JFR_SLOTS };

struct jfr_event {
	struct jfr_value v[JFR_SLOTS];
	uint32_t class[JFR_SLOTS]; /* of the field */
	uint64_t present;          /* bits */
};

static inline bool jfr_has(const struct jfr_event *e, enum jfr_slot slot)
{
	return e->present >> slot & 1;
}

/* What the recording says of itself, from chunk to chunk. */
struct jfr_settings {
	bool is_async;     /* async-profiler's */
	bool is_wall;      /* ExecutionSamples are of wall time */
	int64_t cpu_ns, wall_ns; /* between two samples; 0: not said */
	int64_t pid;
	struct str jvm, arguments;
};

const struct jfr_kind *jfr_kind_of(struct str name);
enum jfr_group jfr_group_of(const struct jfr_kind *kind); /* GROUP_OTHER: of NULL */
enum jfr_slot jfr_slot_of(struct str field); /* JFR_SLOTS: not read */
/* Reads what events that are no samples say. */
void jfr_note_setting(struct jfr_settings *s, struct jfr_chunk *c, struct str event, const struct jfr_event *e);
/* The group of a sample and its values; a second group where it counts for two. */
struct jfr_counts {
	enum jfr_group group, also;
	int64_t values[2], also_values[2];
};
bool jfr_count(const struct jfr_kind *kind, const struct jfr_settings *s, struct jfr_chunk *c,
               const struct jfr_event *e, struct jfr_counts *ret);
/* Types, period and kind of a group's profile. */
void jfr_begin_group(enum jfr_group group, const struct jfr_settings *s, struct maker *m);
int64_t jfr_period(enum jfr_group group, const struct jfr_settings *s);

/* Labels of what an event that nothing is known of says; `in` is at its first field. */
void jfr_put_fields(struct jfr_chunk *c, struct maker *m, const struct jfr_class *class, struct cursor in);

/* ---- native memory ---- */

struct jfr_heap;
int jfr_heap_new(size_t max_bytes, struct jfr_heap **ret);
void jfr_heap_free(struct jfr_heap *h);
/* Notes an event that allocates or frees; time and its place in the recording order them. ERR_FORMAT_LIMIT, -ENOMEM. */
int jfr_heap_note(struct jfr_heap *h, const struct jfr_event *e, int64_t time, size_t at);
/* All are noted: finds what is live. */
int jfr_heap_settle(struct jfr_heap *h);
/* Whether what the event at this place allocated is never freed; false where the recording frees nothing at all. */
bool jfr_heap_is_live(const struct jfr_heap *h, size_t at);

/* ---- names ---- */

struct jfr_names;
int jfr_names_new(struct jfr_names **ret);
void jfr_names_free(struct jfr_names *n);
/* Forgets what it found in the chunk before, and what it made in makers. */
void jfr_names_reset(struct jfr_names *n);
/* Puts the frames of a stack, and a label where it was cut, into the maker of a group. */
void jfr_put_stack(struct jfr_names *n, struct jfr_chunk *c, struct maker *m, enum jfr_group group, uint32_t class,
                   uint64_t key);
/* Labels thread and tid. */
void jfr_put_thread(struct jfr_chunk *c, struct maker *m, uint32_t class, uint64_t key);
/* "int[]", "java.util.HashMap$Node[]". In the chunk's arena or borrowed. */
struct str jfr_class_name(struct jfr_chunk *c, uint32_t class, uint64_t key);
/* A class without what is different in each process: "W$$Lambda" of "W$$Lambda$5.0x00007f5750001c40". Borrowed. */
struct str jfr_stable_class(struct str name);
/* "java/lang/Thread.run". */
struct str jfr_method_name(struct jfr_chunk *c, uint32_t class, uint64_t key);

/* SPDX-License-Identifier: MIT */

/*
 * Java flight recordings: chunks one after the other, each whole in itself. Of a chunk, every group of events (cpu,
 * wall, allocations ...) that it has becomes a profile of the chunk's time, an event a sample with its time and thread.
 * Native memory that nothing freed is one profile of the whole recording, with the time of its last chunk.
 *
 * A recording that is cut, or that is still being written (its last chunk has no size yet), is refused.
 */

#include "jfr.h"

#define HEADER_BYTES 68
#define STEPS_PER_BYTE 64

struct recording {
	const struct format_options *opts;
	const struct format_sink *sink;
	struct error *err;
	struct arena arena; /* of the chunk; settings' texts are borrowed from the input, or here */
	struct arena kept;
	struct jfr_settings settings;
	struct jfr_chunk chunk;
	struct jfr_names *names;
	struct jfr_heap *heap;
	size_t at; /* of the chunk in the input */
	struct decoded decoded[JFR_GROUPS];
	struct maker makers[JFR_GROUPS];
	bool has[JFR_GROUPS];
};

static void recording_done(struct recording *r)
{
	arena_done(&r->arena);
	arena_done(&r->kept);
	jfr_chunk_done(&r->chunk);
	jfr_names_free(r->names);
	jfr_heap_free(r->heap);
	for (size_t i = 1; i < JFR_GROUPS; i++) {
		decoded_done(&r->decoded[i]);
		maker_done(&r->makers[i]);
	}
}

static int malformed(const struct recording *r, size_t at, const char *what)
{
	return error_set(r->err, ERR_FORMAT_MALFORMED, "%s at byte %zu of the recording", what, at);
}

/* ---- headers ---- */

static uint64_t read_big(const uint8_t *p, size_t n)
{
	uint64_t v = 0;
	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

static int read_header(struct recording *r, struct slice in, size_t at)
{
	const uint8_t *p = in.data + at;
	size_t left = in.len - at;
	if (left < HEADER_BYTES)
		return error_set(r->err, ERR_FORMAT_TRUNCATED, "the recording is cut short in the header at byte %zu",
		                 at);
	if (memcmp(p, "FLR\0", 4))
		return malformed(r, at, "no chunk");
	uint64_t version = read_big(p + 4, 2), size = read_big(p + 8, 8);
	if (version < 1 || version > 2)
		return error_set(r->err, ERR_FORMAT_NAMED, "a flight recording of version %llu: 1 and 2 are taken",
		                 (unsigned long long)version);
	if (!size)
		return error_set(r->err, ERR_FORMAT_TRUNCATED,
		                 "the chunk at byte %zu is still being written: dump or stop the recording first", at);
	if (size < HEADER_BYTES || (int64_t)size < 0)
		return malformed(r, at, "a chunk of impossible size");
	if (size > left)
		return error_set(r->err, ERR_FORMAT_TRUNCATED,
		                 "the recording is cut short: the chunk at byte %zu has %llu bytes, %zu are there", at,
		                 (unsigned long long)size, left);
	struct jfr_chunk *c = &r->chunk;
	r->at = at;
	c->bytes = (struct slice){ p, (size_t)size };
	c->checkpoint_at = (size_t)read_big(p + 16, 8);
	c->metadata_at = (size_t)read_big(p + 24, 8);
	c->start_ns = (int64_t)read_big(p + 32, 8);
	c->duration_ns = (int64_t)read_big(p + 40, 8);
	c->start_ticks = (int64_t)read_big(p + 48, 8);
	c->ticks_per_s = (int64_t)read_big(p + 56, 8);
	c->is_compressed = p[67] & 1;
	memset(c->rest, 0, sizeof c->rest);
	c->steps = (size + 4096) * STEPS_PER_BYTE;
	return c->ticks_per_s > 0 ? 0 : malformed(r, at, "a clock without ticks");
}

/* ---- events ---- */

static bool read_event(struct jfr_chunk *c, struct cursor *in, const struct jfr_class *class, struct jfr_event *e)
{
	*e = (struct jfr_event){ 0 };
	for (uint32_t i = 0; i < class->n_fields && !in->bad; i++) {
		const struct jfr_field *f = &c->fields.v[class->field_at + i];
		enum jfr_slot slot = jfr_is_scalar(c, f) ? jfr_slot_of(f->name) : JFR_SLOTS;
		if (slot == JFR_SLOTS) {
			jfr_skip(c, in, f);
			continue;
		}
		jfr_scalar(c, in, f, &e->v[slot]);
		e->class[slot] = f->class;
		e->present |= (uint64_t)1 << slot;
	}
	return !in->bad;
}

static void put_hex(struct maker *m, struct str key, uint64_t id)
{
	char text[20];
	int n = snprintf(text, sizeof text, "%016llx", (unsigned long long)id);
	if (id)
		make_label(m, key, profile_str(m->p, make_copy(m, (struct str){ text, (size_t)n })));
}

static void put_copied(struct maker *m, struct str key, struct str value)
{
	if (value.len)
		make_label(m, key, profile_str(m->p, make_copy(m, value)));
}

/* The class of what is allocated, waited for or held. */
static void put_class(struct recording *r, struct maker *m, const struct jfr_event *e)
{
	static const enum jfr_slot slots[] = { SLOT_OBJECT_CLASS, SLOT_MONITOR_CLASS, SLOT_PARKED_CLASS };
	for (size_t i = 0; i < ARRAY_SIZE(slots); i++)
		if (jfr_has(e, slots[i]))
			put_copied(m, STR("class"), jfr_class_name(&r->chunk, e->class[slots[i]],
			                                           (uint64_t)e->v[slots[i]].number));
	struct jfr_value type;
	uint32_t of;
	if (jfr_has(e, SLOT_OBJECT) && jfr_constant_field(&r->chunk, e->class[SLOT_OBJECT],
	                                                  (uint64_t)e->v[SLOT_OBJECT].number, "type", &type, &of))
		put_copied(m, STR("class"), jfr_class_name(&r->chunk, of, (uint64_t)type.number));
}

static void put_ids(struct maker *m, const struct jfr_event *e)
{
	put_hex(m, STR("span_id"), (uint64_t)e->v[SLOT_SPAN].number);
	put_hex(m, STR("trace_id"), (uint64_t)e->v[SLOT_TRACE].number);
	put_hex(m, STR("local_root_span_id"), (uint64_t)e->v[SLOT_ROOT_SPAN].number);
	if (e->v[SLOT_CONTEXT].number)
		make_number(m, STR("context_id"), e->v[SLOT_CONTEXT].number, NO_UNIT);
}

static int64_t event_time(const struct jfr_chunk *c, const struct jfr_event *e)
{
	return c->start_ns + jfr_ticks_to_ns(c, e->v[SLOT_START].number - c->start_ticks);
}

static void put_labels(struct recording *r, struct maker *m, const struct jfr_class *class, const struct jfr_event *e)
{
	struct jfr_chunk *c = &r->chunk;
	enum jfr_slot thread = jfr_has(e, SLOT_SAMPLED_THREAD) ? SLOT_SAMPLED_THREAD : SLOT_EVENT_THREAD;
	put_copied(m, STR("event"), class->name);
	if (jfr_has(e, thread))
		jfr_put_thread(c, m, e->class[thread], (uint64_t)e->v[thread].number);
	if (jfr_has(e, SLOT_STATE))
		put_copied(m, STR("state"), jfr_constant_text(c, e->class[SLOT_STATE],
		                                              (uint64_t)e->v[SLOT_STATE].number, "name"));
	put_class(r, m, e);
	if (jfr_has(e, SLOT_OWNER) && e->v[SLOT_OWNER].number)
		put_copied(m, STR("owner"), jfr_constant_text(c, e->class[SLOT_OWNER],
		                                              (uint64_t)e->v[SLOT_OWNER].number, "javaName"));
	if (jfr_has(e, SLOT_METHOD))
		put_copied(m, STR("method"), jfr_method_name(c, e->class[SLOT_METHOD],
		                                             (uint64_t)e->v[SLOT_METHOD].number));
	if (jfr_has(e, SLOT_TLAB_SIZE))
		make_number(m, STR("allocation_size"), e->v[SLOT_ALLOCATION_SIZE].number, STR("bytes"));
	if (jfr_has(e, SLOT_FAILED) && e->v[SLOT_FAILED].number)
		make_label(m, STR("failed"), STR("true"));
	put_ids(m, e);
	if (jfr_has(e, SLOT_START))
		make_number(m, LABEL_TIMESTAMP, event_time(c, e), UNIT_NS);
}

static struct maker *group_maker(struct recording *r, enum jfr_group group)
{
	struct maker *m = &r->makers[group];
	if (!r->has[group]) {
		r->has[group] = true;
		decoded_reset(&r->decoded[group]);
		maker_done(m);
		maker_init(m, &r->decoded[group].profile, r->opts, r->err);
		jfr_begin_group(group, &r->settings, m);
	}
	return m;
}

static int put_sample(struct recording *r, const struct jfr_class *class, const struct jfr_event *e,
                      enum jfr_group group, const int64_t *values)
{
	struct maker *m = group_maker(r, group);
	if (jfr_has(e, SLOT_STACK))
		jfr_put_stack(r->names, &r->chunk, m, group, e->class[SLOT_STACK], (uint64_t)e->v[SLOT_STACK].number);
	put_labels(r, m, class, e);
	make_sample(m, values);
	return m->e;
}

static int note_heap(struct recording *r, const struct jfr_event *e, size_t at)
{
	int error = jfr_heap_note(r->heap, e, event_time(&r->chunk, e), r->at + at);
	return error ? error_set(r->err, error, "the recording has more native allocations than memory allows") : 0;
}

/* An event of which fields is what follows its type. */
static int take_sample(struct recording *r, const struct jfr_class *class, const struct jfr_event *e,
                       struct cursor fields, size_t at)
{
	struct jfr_counts counts;
	if (!jfr_count(class->kind, &r->settings, &r->chunk, e, &counts) || counts.group == GROUP_NONE)
		return 0;
	if (counts.group == GROUP_MALLOC && jfr_heap_is_live(r->heap, r->at + at)) {
		counts.also = GROUP_MALLOC_LIVE;
		memcpy(counts.also_values, counts.values, sizeof counts.values);
	}
	if (counts.group == GROUP_OTHER)
		jfr_put_fields(&r->chunk, group_maker(r, GROUP_OTHER), class, fields);
	int error = put_sample(r, class, e, counts.group, counts.values);
	if (!error && counts.also != GROUP_NONE)
		error = put_sample(r, class, e, counts.also, counts.also_values);
	return error;
}

static bool is_setting(struct str name)
{
	return str_eq(name, STR("jdk.ActiveSetting")) || str_eq(name, STR("jdk.JVMInformation"));
}

/* What events are walked over for. */
enum walk { WALK_HEAP, WALK_SETTINGS, WALK_SAMPLES };

static bool is_wanted(const struct jfr_class *class, enum walk walk)
{
	if (walk == WALK_HEAP)
		return class->kind && jfr_group_of(class->kind) == GROUP_MALLOC;
	if (walk == WALK_SETTINGS)
		return is_setting(class->name);
	return class->kind || class->has_stack;
}

static int take_event(struct recording *r, const struct jfr_class *class, enum walk walk, struct cursor *in, size_t at)
{
	struct jfr_chunk *c = &r->chunk;
	const struct cursor fields = *in;
	struct jfr_event e;
	if (!read_event(c, in, class, &e))
		return malformed(r, at, "a malformed event");
	if (walk == WALK_HEAP)
		return note_heap(r, &e, at);
	if (walk == WALK_SAMPLES)
		return take_sample(r, class, &e, fields, at);
	jfr_note_setting(&r->settings, c, class->name, &e);
	return 0;
}

static int walk_events(struct recording *r, enum walk walk)
{
	struct jfr_chunk *c = &r->chunk;
	struct cursor in = cursor_of(c->bytes);
	in.p += HEADER_BYTES;
	int e = 0;
	while (!e && in.p < in.end) {
		const uint8_t *from = in.p;
		size_t at = (size_t)(from - c->bytes.data);
		const struct jfr_field wide = { .is_constant = true };
		struct jfr_value id;
		uint64_t size = jfr_length(c, &in);
		jfr_scalar(c, &in, &wide, &id);
		if (in.bad || size > c->bytes.len - at || from + size < in.p)
			return malformed(r, at, "an event of impossible size");
		if (!c->steps)
			return error_set(r->err, ERR_FORMAT_LIMIT,
			                 "the recording's events refer to more than the limit");
		uint32_t class = jfr_class_of(c, (uint64_t)id.number);
		struct cursor event = { in.p, from + size, false };
		if (class != JFR_NONE && is_wanted(&c->classes.v[class], walk))
			e = take_event(r, &c->classes.v[class], walk, &event, at);
		in.p = from + size;
	}
	return e;
}

/* ---- chunks ---- */

static int hand_over(struct recording *r, enum jfr_group group)
{
	struct decoded *d = &r->decoded[group];
	r->has[group] = false;
	int e = make_end(&r->makers[group]);
	d->profile.time_ns = r->chunk.start_ns;
	d->profile.duration_ns = r->chunk.duration_ns;
	char pid[24];
	snprintf(pid, sizeof pid, "%lld", (long long)r->settings.pid);
	if (!e && r->settings.pid)
		e = decoded_label(d, STR("process.pid"), str_of(pid));
	return e ? e : r->sink->take(r->sink->ctx, d, r->err);
}

/* Texts of settings outlive their chunk. */
static void keep_settings(struct recording *r)
{
	struct str *texts[] = { &r->settings.jvm, &r->settings.arguments };
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		char *copy = arena_strndup(&r->kept, texts[i]->s, texts[i]->len);
		*texts[i] = copy ? (struct str){ copy, texts[i]->len } : STR("");
	}
}

static void begin_chunk(struct recording *r)
{
	arena_done(&r->arena);
	r->arena = ARENA_INIT(format_max_model(r->opts));
	jfr_names_reset(r->names);
}

static int decode_chunk(struct recording *r)
{
	begin_chunk(r);
	int e = jfr_read_types(&r->chunk);
	e = e ? e : jfr_read_constants(&r->chunk);
	e = e ? e : walk_events(r, WALK_SETTINGS);
	e = e ? e : walk_events(r, WALK_SAMPLES);
	for (size_t i = 1; !e && i < JFR_GROUPS; i++)
		e = r->has[i] && i != GROUP_MALLOC_LIVE ? hand_over(r, (enum jfr_group)i) : 0;
	keep_settings(r);
	return e;
}

static int scan_chunk(struct recording *r)
{
	begin_chunk(r);
	int e = jfr_read_types(&r->chunk);
	return e ? e : walk_events(r, WALK_HEAP);
}

static int each_chunk(struct recording *r, struct slice in, int (*run)(struct recording *))
{
	int e = 0;
	for (size_t at = 0; !e && at < in.len; at += r->chunk.bytes.len) {
		e = read_header(r, in, at);
		e = e ? e : run(r);
		if (e && at)
			return error_at(r->err, e, "chunk at byte %zu", at);
	}
	return e;
}

static int decode_chunks(struct recording *r, struct slice in)
{
	int e = each_chunk(r, in, scan_chunk);
	e = e ? e : jfr_heap_settle(r->heap);
	e = e ? e : each_chunk(r, in, decode_chunk);
	return !e && r->has[GROUP_MALLOC_LIVE] ? hand_over(r, GROUP_MALLOC_LIVE) : e;
}

static int jfr_decode(struct slice in, const struct format_options *opts, const struct format_sink *sink,
                      struct error *err)
{
	struct error own = { 0 };
	size_t max = format_max_model(opts);
	_cleanup_(recording_done) struct recording r = { .opts = opts, .sink = sink, .err = err ? err : &own,
		.arena = ARENA_INIT(max), .kept = ARENA_INIT(max),
		.settings = { .jvm = STR(""), .arguments = STR("") } };
	r.chunk.arena = &r.arena;
	r.chunk.err = r.err;
	r.chunk.max_bytes = max;
	int e = jfr_names_new(&r.names);
	e = e ? e : jfr_heap_new(max, &r.heap);
	for (size_t i = 1; i < JFR_GROUPS; i++)
		e = decoded_init(&r.decoded[i], max) ?: e;
	return e ? error_set(r.err, e, "no memory for the recording") : decode_chunks(&r, in);
}

static enum format_verdict jfr_sniff(struct slice head, bool whole)
{
	size_t n = MIN(head.len, (size_t)4);
	if (memcmp(head.data, "FLR\0", n))
		return FORMAT_NO;
	return n == 4 ? FORMAT_YES : whole ? FORMAT_NO : FORMAT_MAYBE;
}

const struct format format_jfr = { "jfr", jfr_sniff, NULL, jfr_decode };

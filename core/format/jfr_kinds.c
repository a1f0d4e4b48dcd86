/* SPDX-License-Identifier: MIT */

/*
 * The events that become samples, by name, and what they count. docs/ingest.md has the table. What is free to choose:
 *
 *     ExecutionSamples of a wall recording    wall time, and cpu time where the thread ran
 *     those of a recording of cpu and wall    cpu time where the state is STATE_DEFAULT, else wall time
 *     those of other recordings               cpu time, or wall time where the thread slept
 *     WallClockSample                         wall time alone: the same recording may have ExecutionSamples of cpu time
 *     NativeMethodSample                      neither: a thread in native code most often waits there
 *     TLAB events                             the TLAB is what is counted, as it stands for all that was put into it
 *     allocations                             one each: how many an event stands for is not said
 *     other events that have a stack          one each, and what time they took; what else they say becomes labels
 *     durations                               in ns, where what is lost to rounding goes to the next: sums are exact
 */

#include "../profile/types.h"
#include "jfr.h"

struct jfr_kind {
	const char *name;
	enum jfr_group group;
};

static const struct jfr_kind kinds[] = {
	{ "jdk.ExecutionSample", GROUP_CPU },
	{ "jdk.CPUTimeSample", GROUP_CPU },
	{ "datadog.ExecutionSample", GROUP_CPU },
	{ "jdk.NativeMethodSample", GROUP_NATIVE },
	{ "profiler.WallClockSample", GROUP_WALL },
	{ "datadog.MethodSample", GROUP_WALL },
	{ "jdk.ObjectAllocationInNewTLAB", GROUP_ALLOC },
	{ "jdk.ObjectAllocationOutsideTLAB", GROUP_ALLOC },
	{ "jdk.ObjectAllocationSample", GROUP_ALLOC },
	{ "datadog.ObjectSample", GROUP_ALLOC },
	{ "jdk.JavaMonitorEnter", GROUP_MUTEX },
	{ "profiler.NativeLock", GROUP_MUTEX },
	{ "jdk.ThreadPark", GROUP_BLOCK },
	{ "jdk.JavaMonitorWait", GROUP_BLOCK },
	{ "profiler.LiveObject", GROUP_LIVE },
	{ "jdk.OldObjectSample", GROUP_LIVE },
	{ "datadog.HeapLiveObject", GROUP_LIVE },
	{ "profiler.Malloc", GROUP_MALLOC },
	{ "profiler.Free", GROUP_MALLOC },
	{ "jdk.MethodTrace", GROUP_TRACE },
	{ "profiler.MethodTrace", GROUP_TRACE },
};

const struct jfr_kind *jfr_kind_of(struct str name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (str_eq(name, str_of(kinds[i].name)))
			return &kinds[i];
	return NULL;
}

enum jfr_group jfr_group_of(const struct jfr_kind *kind)
{
	return kind ? kind->group : GROUP_OTHER;
}

enum jfr_slot jfr_slot_of(struct str field)
{
	static const char *const names[JFR_SLOTS] = {
		[SLOT_START] = "startTime", [SLOT_DURATION] = "duration", [SLOT_EVENT_THREAD] = "eventThread",
		[SLOT_SAMPLED_THREAD] = "sampledThread", [SLOT_STACK] = "stackTrace", [SLOT_STATE] = "state",
		[SLOT_SAMPLES] = "samples", [SLOT_WEIGHT] = "weight", [SLOT_OBJECT_CLASS] = "objectClass",
		[SLOT_ALLOCATION_SIZE] = "allocationSize", [SLOT_TLAB_SIZE] = "tlabSize",
		[SLOT_MONITOR_CLASS] = "monitorClass", [SLOT_PARKED_CLASS] = "parkedClass",
		[SLOT_OWNER] = "previousOwner",
		[SLOT_ADDRESS] = "address", [SLOT_SIZE] = "size", [SLOT_OBJECT_SIZE] = "objectSize",
		[SLOT_OBJECT] = "object", [SLOT_SAMPLING_PERIOD] = "samplingPeriod", [SLOT_FAILED] = "failed",
		[SLOT_METHOD] = "method", [SLOT_SPAN] = "spanId", [SLOT_ROOT_SPAN] = "localRootSpanId",
		[SLOT_TRACE] = "traceId", [SLOT_CONTEXT] = "contextId", [SLOT_ID] = "id", [SLOT_NAME] = "name",
		[SLOT_VALUE] = "value", [SLOT_PID] = "pid", [SLOT_JVM_NAME] = "jvmName",
		[SLOT_JVM_VERSION] = "jvmVersion", [SLOT_JAVA_ARGUMENTS] = "javaArguments",
		[SLOT_ALLOCATION_TIME] = "allocationTime", [SLOT_CLASS] = "class",
	};
	for (size_t i = 0; i < JFR_SLOTS; i++)
		if (names[i] && str_eq(field, str_of(names[i])))
			return (enum jfr_slot)i;
	return JFR_SLOTS;
}

/* ---- settings ---- */

/* "20 ms", "10000000" (ns), "everyChunk" (0). */
static int64_t parse_duration(struct str s)
{
	int64_t v = 0;
	size_t i = 0;
	for (; i < s.len && s.s[i] >= '0' && s.s[i] <= '9' && v < INT64_MAX / 100; i++)
		v = v * 10 + (s.s[i] - '0');
	while (i < s.len && s.s[i] == ' ')
		i++;
	struct unit u = unit_of((struct str){ s.s + i, s.len - i });
	int64_t scale = u.dim == UNIT_TIME ? u.scale : 1, ns;
	return __builtin_mul_overflow(v, scale, &ns) ? 0 : ns;
}

static bool is_execution_sample(const struct jfr_chunk *c, int64_t id)
{
	uint32_t class = jfr_class_of(c, (uint64_t)id);
	return class != JFR_NONE && str_eq(c->classes.v[class].name, STR("jdk.ExecutionSample"));
}

static void note_active_setting(struct jfr_settings *s, const struct jfr_chunk *c, const struct jfr_event *e)
{
	struct str name = e->v[SLOT_NAME].text, value = e->v[SLOT_VALUE].text;
	bool own = is_execution_sample(c, e->v[SLOT_ID].number);
	if (str_eq(name, STR("event"))) {
		s->is_async = true;
		s->is_wall = str_eq(value, STR("wall"));
	} else if (str_eq(name, STR("interval")) || (own && str_eq(name, STR("period")))) {
		s->cpu_ns = parse_duration(value) ?: s->cpu_ns;
	} else if (str_eq(name, STR("wall"))) {
		s->wall_ns = parse_duration(value) ?: s->wall_ns;
	}
}

void jfr_note_setting(struct jfr_settings *s, struct jfr_chunk *c, struct str event, const struct jfr_event *e)
{
	if (str_eq(event, STR("jdk.ActiveSetting")))
		note_active_setting(s, c, e);
	if (!str_eq(event, STR("jdk.JVMInformation")))
		return;
	s->pid = e->v[SLOT_PID].number;
	s->jvm = jfr_has(e, SLOT_JVM_VERSION) ? e->v[SLOT_JVM_VERSION].text : STR("");
	s->arguments = jfr_has(e, SLOT_JAVA_ARGUMENTS) ? e->v[SLOT_JAVA_ARGUMENTS].text : STR("");
}

int64_t jfr_period(enum jfr_group group, const struct jfr_settings *s)
{
	int64_t cpu = s->cpu_ns ? s->cpu_ns : s->is_async ? 10000000 : 20000000;
	if (group == GROUP_WALL)
		return s->wall_ns ? s->wall_ns : cpu;
	return group == GROUP_CPU || group == GROUP_NATIVE ? cpu : 0;
}

/* ---- counting ---- */

static int64_t times(int64_t a, int64_t b)
{
	int64_t v;
	return __builtin_mul_overflow(a, b, &v) ? INT64_MAX : v;
}

static int64_t exact_ns(const struct jfr_chunk *c, int64_t ticks, int64_t *rest)
{
	__int128 scaled = (__int128)ticks * 1000000000 + *rest;
	*rest = (int64_t)(scaled % c->ticks_per_s);
	return (int64_t)(scaled / c->ticks_per_s);
}

static bool is_state(struct jfr_chunk *c, const struct jfr_event *e, struct str state)
{
	return jfr_has(e, SLOT_STATE) && str_eq(state, jfr_constant_text(c, e->class[SLOT_STATE],
	                                                                 (uint64_t)e->v[SLOT_STATE].number, "name"));
}

static int64_t at_least_1(const struct jfr_event *e, enum jfr_slot slot)
{
	return jfr_has(e, slot) && e->v[slot].number > 0 ? e->v[slot].number : 1;
}

static bool count_cpu(const struct jfr_settings *s, struct jfr_chunk *c, const struct jfr_event *e,
                      struct jfr_counts *ret)
{
	int64_t n = at_least_1(e, SLOT_WEIGHT);
	int64_t period = jfr_has(e, SLOT_SAMPLING_PERIOD) ? jfr_ticks_to_ns(c, e->v[SLOT_SAMPLING_PERIOD].number) : 0;
	ret->values[0] = n;
	ret->values[1] = period > 0 ? period : times(n, jfr_period(GROUP_CPU, s));
	int64_t wall = times(n, jfr_period(GROUP_WALL, s));
	bool sleeps = is_state(c, e, STR("STATE_SLEEPING"));
	if (sleeps || (s->wall_ns && !s->is_wall && !is_state(c, e, STR("STATE_DEFAULT")))) {
		*ret = (struct jfr_counts){ .group = GROUP_WALL, .values = { wall } };
	} else if (s->is_wall) {
		ret->also = GROUP_WALL;
		ret->also_values[0] = wall;
	}
	return true;
}

static bool count_allocation(const struct jfr_event *e, struct jfr_counts *ret)
{
	ret->values[0] = 1;
	ret->values[1] = e->v[SLOT_ALLOCATION_SIZE].number;
	if (jfr_has(e, SLOT_TLAB_SIZE)) {
		ret->values[1] = e->v[SLOT_TLAB_SIZE].number;
	} else if (jfr_has(e, SLOT_WEIGHT) && jfr_has(e, SLOT_SIZE)) { /* datadog: so many objects of that size */
		ret->values[0] = at_least_1(e, SLOT_WEIGHT);
		ret->values[1] = times(ret->values[0], e->v[SLOT_SIZE].number);
	} else if (jfr_has(e, SLOT_WEIGHT)) { /* so many bytes since the sample before */
		ret->values[1] = e->v[SLOT_WEIGHT].number;
	}
	return true;
}

static bool count_live(const struct jfr_event *e, struct jfr_counts *ret)
{
	ret->values[0] = 1;
	if (jfr_has(e, SLOT_SIZE)) {
		ret->values[0] = at_least_1(e, SLOT_WEIGHT);
		ret->values[1] = times(ret->values[0], e->v[SLOT_SIZE].number);
	} else {
		ret->values[1] = jfr_has(e, SLOT_ALLOCATION_SIZE) ? e->v[SLOT_ALLOCATION_SIZE].number
		                                                  : e->v[SLOT_OBJECT_SIZE].number;
	}
	return true;
}

bool jfr_count(const struct jfr_kind *kind, const struct jfr_settings *s, struct jfr_chunk *c,
               const struct jfr_event *e, struct jfr_counts *ret)
{
	*ret = (struct jfr_counts){ .group = jfr_group_of(kind), .values = { 1 } };
	switch (ret->group) {
	case GROUP_CPU:
		return count_cpu(s, c, e, ret);
	case GROUP_WALL:
		ret->values[0] = times(at_least_1(e, jfr_has(e, SLOT_SAMPLES) ? SLOT_SAMPLES : SLOT_WEIGHT),
		                       jfr_period(GROUP_WALL, s));
		return true;
	case GROUP_NATIVE:
		ret->values[1] = jfr_period(GROUP_NATIVE, s);
		return true;
	case GROUP_ALLOC:
		return count_allocation(e, ret);
	case GROUP_LIVE:
		return count_live(e, ret);
	case GROUP_MALLOC:
		ret->values[1] = e->v[SLOT_SIZE].number;
		return jfr_has(e, SLOT_SIZE) && jfr_has(e, SLOT_STACK);
	case GROUP_OTHER:
		if (!jfr_has(e, SLOT_STACK) || !e->v[SLOT_STACK].number)
			return false;
		/* fall through */
	default:
		ret->values[1] = exact_ns(c, e->v[SLOT_DURATION].number, &c->rest[ret->group]);
		return true;
	}
}

void jfr_begin_group(enum jfr_group group, const struct jfr_settings *s, struct maker *m)
{
	static const struct { const char *types[2], *units[2], *kind; } rows[JFR_GROUPS] = {
		[GROUP_CPU] = { { "samples", "cpu" }, { "count", "nanoseconds" }, NULL },
		[GROUP_WALL] = { { "wall" }, { "nanoseconds" }, NULL },
		[GROUP_NATIVE] = { { "native_samples", "native" }, { "count", "nanoseconds" }, NULL },
		[GROUP_ALLOC] = { { "alloc_objects", "alloc_space" }, { "count", "bytes" }, NULL },
		[GROUP_MUTEX] = { { "contentions", "delay" }, { "count", "nanoseconds" }, "mutex" },
		[GROUP_BLOCK] = { { "contentions", "delay" }, { "count", "nanoseconds" }, "block" },
		[GROUP_LIVE] = { { "inuse_objects", "inuse_space" }, { "count", "bytes" }, NULL },
		[GROUP_MALLOC] = { { "malloc_objects", "malloc_space" }, { "count", "bytes" }, NULL },
		[GROUP_TRACE] = { { "calls", "latency" }, { "count", "nanoseconds" }, NULL },
		[GROUP_OTHER] = { { "events", "event_time" }, { "count", "nanoseconds" }, NULL },
		[GROUP_MALLOC_LIVE] = { { "inuse_malloc_objects", "inuse_malloc_space" }, { "count", "bytes" }, NULL },
	};
	for (size_t i = 0; i < 2 && rows[group].types[i]; i++)
		make_type(m, str_of(rows[group].types[i]), str_of(rows[group].units[i]));
	struct profile *p = m->p;
	p->temporality = TEMPORALITY_DELTA;
	p->period = jfr_period(group, s);
	if (p->period)
		p->period_type = (struct value_type){
			make_string(m, group == GROUP_WALL ? STR("wall") : STR("cpu")), make_string(m, UNIT_NS) };
	if (rows[group].kind)
		p->kind = make_string(m, str_of(rows[group].kind));
	if (s->jvm.len)
		make_comment(m, profile_str(p, make_copy(m, s->jvm)));
	if (s->arguments.len)
		make_comment(m, profile_str(p, make_copy(m, s->arguments)));
}

/* SPDX-License-Identifier: MIT */

/*
 * OTLP requests and flight recordings with the facts that other programs found: tests/data/format/documents.jsonl, and
 * of a corpus elsewhere (PROFILEFS_CORPUS) every file of these formats that its lists name. Facts of OTLP are by
 * protobuf's own reader, those of recordings by the JDK's `jfr summary` and async-profiler's jfrconv.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glob.h>
#include <libgen.h>
#include <string.h>

#include "core/base/hash.h"
#include "corpus.h"

static struct format_reader *reader;
static struct error err;
static const char *file;
static bool ok;

static int setup(void **state)
{
	return format_reader_new((struct slice){ 0 }, NULL, &reader, &err);
}

static int teardown(void **state)
{
	format_reader_free(reader);
	return 0;
}

static void same(const char *what, const json_t *expected, int64_t found, int64_t tolerance)
{
	int64_t wanted = json_integer_value(expected);
	if (!json_is_integer(expected) || (found - wanted <= tolerance && wanted - found <= tolerance))
		return;
	print_error("%s: %s is %lld, expected %lld\n", file, what, (long long)found, (long long)wanted);
	ok = false;
}

static const struct profile_label *find_label(const struct profile *p, size_t sample, const char *key)
{
	for (size_t i = p->label_at.n ? p->label_at.v[sample] : 0; p->label_at.n && i < p->label_at.v[sample + 1]; i++)
		if (str_eq(profile_str(p, p->labels.v[i].key), str_of(key)))
			return &p->labels.v[i];
	return NULL;
}

static struct str label_of(const struct profile *p, size_t sample, const char *key)
{
	const struct profile_label *l = find_label(p, sample, key);
	return l ? profile_str(p, l->str) : STR("");
}

/* ---- names as the other programs print them ---- */

typedef void namer(const struct profile *p, uint32_t location, size_t line, char *ret, size_t size);

/* A lambda's class is named as it came in the system name alone: `W$$Lambda$5.0x00007f26.run()V_[jit]`. */
static struct str name_that_came(const struct profile *p, const struct profile_function *f)
{
	struct str name = profile_str(p, f->name), system = profile_str(p, f->system_name);
	const char *end = system.len ? memchr(system.s, '(', system.len) : NULL;
	bool is_lambda = name.len && memmem(name.s, name.len, "$$Lambda.", 9);
	return end && is_lambda ? (struct str){ system.s, (size_t)(end - system.s) } : name;
}

/* The function, or FILE+0xADDRESS. */
static void plain_name(const struct profile *p, uint32_t location, size_t line, char *ret, size_t size)
{
	const struct profile_location *l = &p->locations.v[location];
	if (l->n_lines) {
		struct str s = name_that_came(p, &p->functions.v[p->lines.v[l->line_at + line].function]);
		snprintf(ret, size, "%.*s", (int)s.len, s.s);
		return;
	}
	const struct profile_mapping none = { 0 }, *m = l->mapping == PROFILE_NONE ? &none : &p->mappings.v[l->mapping];
	struct str s = profile_str(p, m->filename);
	snprintf(ret, size, "%.*s+0x%llx", (int)s.len, s.s, (unsigned long long)(l->address - m->start + m->offset));
}

/* jfrconv's: the type of a frame as a suffix. */
static void typed_name(const struct profile *p, uint32_t location, size_t line, char *ret, size_t size)
{
	static const char *const suffixes[][2] = { { "_[jit]", "_[j]" }, { "_[inlined]", "_[i]" },
		{ "_[interpreted]", "_[0]" }, { "_[c1]", "_[1]" }, { "_[kernel]", "_[k]" } };
	plain_name(p, location, line, ret, size);
	const struct profile_location *l = &p->locations.v[location];
	struct str system = profile_str(p, p->functions.v[p->lines.v[l->line_at + line].function].system_name);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		size_t n = strlen(suffixes[i][0]), at = strlen(ret);
		if (system.len > n && !memcmp(system.s + system.len - n, suffixes[i][0], n))
			snprintf(ret + at, size - at, "%s", suffixes[i][1]);
	}
}

/* jfrconv puts the class on top of the stack. */
static bool class_name(const struct profile *p, size_t sample, char *ret, size_t size)
{
	struct str class = label_of(p, sample, "class"), event = label_of(p, sample, "event");
	bool whole = str_eq(event, STR("jdk.ObjectAllocationOutsideTLAB")) ||
	             str_eq(event, STR("jdk.ObjectAllocationSample"));
	snprintf(ret, size, "%.*s_[%c]", (int)class.len, class.s, whole ? 'k' : 'i');
	return class.len != 0;
}

static bool is_flat(const struct profile *p, size_t sample, namer *name, const char *wanted)
{
	char text[4096];
	if (name == typed_name && class_name(p, sample, text, sizeof text))
		return !strcmp(text, wanted);
	if (p->loc_at.v[sample] == p->loc_at.v[sample + 1])
		return false;
	name(p, p->locs.v[p->loc_at.v[sample]], 0, text, sizeof text);
	return !strcmp(text, wanted);
}

static bool is_cum(const struct profile *p, size_t sample, namer *name, const char *wanted)
{
	char text[4096];
	if (name == typed_name && class_name(p, sample, text, sizeof text) && !strcmp(text, wanted))
		return true;
	for (size_t i = p->loc_at.v[sample]; i < p->loc_at.v[sample + 1]; i++) {
		for (size_t line = 0; line < MAX(p->locations.v[p->locs.v[i]].n_lines, 1u); line++) {
			name(p, p->locs.v[i], line, text, sizeof text);
			if (!strcmp(text, wanted))
				return true;
		}
	}
	return false;
}

/* ---- sums ---- */

struct wanted {
	const char *type;      /* NULL: the first one */
	const char *events[3]; /* of samples; NULL: all */
	bool with_stack;
	int64_t unit;          /* values are divided by it */
};

static bool is_wanted(const struct profile *p, size_t sample, const struct wanted *w)
{
	struct str event = label_of(p, sample, "event");
	bool any = !w->events[0];
	for (size_t i = 0; i < ARRAY_SIZE(w->events) && w->events[i]; i++)
		any |= str_eq(event, str_of(w->events[i]));
	return any && !(w->with_stack && p->loc_at.v[sample] == p->loc_at.v[sample + 1]);
}

static size_t type_of(const struct profile *p, const char *type)
{
	size_t i = 0;
	while (type && i < p->types.n && !str_eq(profile_str(p, p->types.v[i].type), str_of(type)))
		i++;
	return i;
}

static int64_t sum(const struct decoded_list *doc, const struct wanted *w, namer *name, const char *function, bool cum)
{
	int64_t total = 0;
	for (size_t k = 0; k < doc->n; k++) {
		const struct profile *p = &doc->v[k].profile;
		size_t type = type_of(p, w->type);
		for (size_t i = 0; type < p->types.n && i < p->n_samples; i++)
			if (is_wanted(p, i, w) && (!function || (cum ? is_cum : is_flat)(p, i, name, function)))
				total += p->values.v[i * p->types.n + type];
	}
	return w->unit ? total / w->unit : total;
}

static void check_range(const char *what, int64_t expected, int64_t least, int64_t most)
{
	if (expected >= least && expected <= most)
		return;
	print_error("%s: %s is %lld to %lld, expected %lld\n", file, what, (long long)least, (long long)most,
	            (long long)expected);
	ok = false;
}

/*
 * jfrconv gives all frames of one place in its tree the type that most of them have: what it counts under a name is at
 * least what ran just so, and at most what has the name.
 */
static int64_t sum_of_name(const struct decoded_list *doc, const struct wanted *w, const char *function, bool cum)
{
	char bare[4096];
	size_t n = strlen(function);
	snprintf(bare, sizeof bare, "%s", function);
	if (n > 4 && n < sizeof bare && function[n - 4] == '_' && function[n - 3] == '[')
		bare[n - 4] = '\0';
	return sum(doc, w, plain_name, bare, cum);
}

static void check_top(const struct decoded_list *doc, const struct wanted *w, namer *name, const json_t *facts)
{
	for (int cum = 0; cum < 2; cum++) {
		const json_t *top = json_object_get(facts, cum ? "top_cum" : "top_flat");
		for (size_t i = 0; i < json_array_size(top); i++) {
			const char *function = json_string_value(json_array_get(json_array_get(top, i), 0));
			int64_t expected = json_integer_value(json_array_get(json_array_get(top, i), 1));
			int64_t exact = sum(doc, w, name, function, cum);
			int64_t most = name == typed_name ? MAX(sum_of_name(doc, w, function, cum), exact) : exact;
			check_range(function, expected, exact, most);
		}
	}
}

/* ---- OTLP ---- */

static int compare_words(const void *a, const void *b)
{
	return CMP(*(const uint64_t *)a, *(const uint64_t *)b);
}

/* Samples that differ in more than their time. */
static size_t distinct_samples(const struct profile *p)
{
	_free_ uint64_t *words = calloc(p->n_samples + 1, sizeof *words);
	for (size_t i = 0; i < p->n_samples; i++) {
		uint64_t x = 0;
		for (size_t k = p->loc_at.v[i]; k < p->loc_at.v[i + 1]; k++)
			x = hash_mix(x + 1, p->locs.v[k]);
		for (size_t k = p->label_at.n ? p->label_at.v[i] : 0; p->label_at.n && k < p->label_at.v[i + 1]; k++) {
			const struct profile_label *l = &p->labels.v[k];
			struct str key = profile_str(p, l->key), value = profile_str(p, l->str);
			if (!str_eq(key, STR("timestamp")))
				x += hash_mix(hash_bytes(key.s, key.len), hash_bytes(value.s, value.len) + (uint64_t)l->num);
		}
		words[i] = x;
	}
	qsort(words, p->n_samples, sizeof *words, compare_words);
	size_t n = p->n_samples != 0;
	for (size_t i = 1; i < p->n_samples; i++)
		n += words[i] != words[i - 1];
	return n;
}

static void check_attributes(const struct profile *p, const json_t *attrs, bool merged)
{
	static const char *const names[][2] = { { "thread.name", "thread" }, { "thread.id", "tid" } };
	const char *key;
	json_t *count;
	json_object_foreach((json_t *)attrs, key, count) {
		int64_t n = 0;
		const char *own = key;
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			own = strcmp(key, names[i][0]) ? own : names[i][1];
		for (size_t i = 0; i < p->n_samples; i++)
			n += find_label(p, i, own) != NULL;
		if (n < json_integer_value(count) || (!merged && n != json_integer_value(count)))
			same(key, count, n, 0);
	}
}

static void check_type(const struct profile *p, const json_t *types)
{
	for (size_t i = 0; i < json_array_size(types); i++) {
		const char *type = json_string_value(json_array_get(json_array_get(types, i), 0));
		struct str found = i < p->types.n ? profile_str(p, p->types.v[i].type) : STR("");
		bool twice = json_array_size(types) > 1 && str_eq(found, STR("samples"));
		if (str_eq(found, str_of(type)) || twice)
			continue;
		print_error("%s: type %zu is %.*s, expected %s\n", file, i, (int)found.len, found.s, type);
		ok = false;
	}
}

static void check_otlp_profile(struct decoded *d, const json_t *facts)
{
	const struct profile *p = &d->profile;
	const struct decoded_list doc = { d, 1 };
	const struct wanted all = { 0 };
	size_t timed = 0;
	for (size_t i = 0; i < p->n_samples; i++)
		timed += find_label(p, i, "timestamp") != NULL;
	same("the number of times", json_object_get(facts, "timestamps"), (int64_t)timed, 0);
	/* One may have several times; some may differ in their times alone. */
	check_range("the number of samples", json_integer_value(json_object_get(facts, "samples")),
	            (int64_t)(timed ? distinct_samples(p) : p->n_samples), (int64_t)p->n_samples);
	same("the total", json_object_get(facts, "total"), sum(&doc, &all, NULL, NULL, false), 0);
	same("the time", json_object_get(facts, "time"), p->time_ns, 0);
	same("the duration", json_object_get(facts, "duration"), p->duration_ns, 0);
	same("the period", json_object_get(facts, "period"), p->period, 0);
	check_type(p, json_object_get(facts, "sample_types"));
	check_attributes(p, json_object_get(facts, "attrs"), timed != 0);
	check_top(&doc, &all, plain_name, facts);
}

static void check_otlp(const struct decoded_list *doc, const json_t *facts)
{
	const json_t *profiles = json_object_get(facts, "profiles");
	if (json_array_size(profiles) != doc->n) {
		print_error("%s: %zu profiles, expected %zu\n", file, doc->n, json_array_size(profiles));
		ok = false;
		return;
	}
	for (size_t i = 0; i < doc->n; i++)
		check_otlp_profile(&doc->v[i], json_array_get(profiles, i));
}

/* ---- flight recordings ---- */

static void check_events(const struct decoded_list *doc, const json_t *events)
{
	static const char *const types[] = { "alloc_objects", "contentions", "inuse_objects", "malloc_objects" };
	const char *event;
	json_t *count;
	json_object_foreach((json_t *)events, event, count) {
		for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
			const struct wanted w = { .type = types[i], .events = { event } };
			int64_t n = sum(doc, &w, NULL, NULL, false);
			if (n)
				same(event, count, n, 0);
		}
	}
}

/* Of those that have a stack and are nothing else. */
static void check_other_events(const struct decoded_list *doc, const json_t *events)
{
	const char *event;
	json_t *count;
	json_object_foreach((json_t *)events, event, count) {
		const struct wanted w = { .type = "events", .events = { event } };
		same(event, count, sum(doc, &w, NULL, NULL, false), 0);
	}
}

static int64_t period_of(const struct decoded_list *doc, const char *type)
{
	for (size_t i = 0; i < doc->n; i++)
		if (type_of(&doc->v[i].profile, type) < doc->v[i].profile.types.n)
			return doc->v[i].profile.period;
	return 1;
}

/* jfrconv's wall time is ours, or, where a recording has none, its samples of any state. */
static void check_wall(const struct decoded_list *doc, const json_t *facts)
{
	const struct wanted wall = { .type = "wall", .unit = period_of(doc, "wall") };
	const struct wanted cpu = { .type = "samples" }, native = { .type = "native_samples" };
	int64_t n = sum(doc, &wall, NULL, NULL, false);
	if (n) {
		same("wall samples", json_object_get(facts, "total"), n, 0);
		check_top(doc, &wall, typed_name, facts);
		return;
	}
	n = sum(doc, &cpu, NULL, NULL, false) + sum(doc, &native, NULL, NULL, false);
	same("samples", json_object_get(facts, "total"), n, 0);
}

static void check_jfr(const struct decoded_list *doc, const json_t *facts)
{
	static const struct { const char *name; struct wanted w; } rows[] = {
		{ "cpu --total", { .type = "samples" } },
		{ "alloc --total", { .type = "alloc_space", .with_stack = true } },
		{ "live --total", { .type = "inuse_space", .events = { "profiler.LiveObject" } } },
		{ "lock --total", { .type = "delay", .events = { "jdk.JavaMonitorEnter", "jdk.ThreadPark" } } },
		{ "nativemem --total", { .type = "malloc_space" } },
		{ "leak --total", { .type = "inuse_malloc_space" } },
	};
	const json_t *conv = json_object_get(facts, "conv");
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const json_t *row = json_object_get(conv, rows[i].name);
		/* Its durations are floating point, cut to whole ns stack by stack. */
		int64_t tolerance = i == 3 ? json_integer_value(json_object_get(row, "lines")) + 10 : 0;
		same(rows[i].name, json_object_get(row, "total"), sum(doc, &rows[i].w, NULL, NULL, false), tolerance);
		if (i != 3)
			check_top(doc, &rows[i].w, typed_name, row);
	}
	const json_t *wall = json_object_get(conv, "wall --total");
	if (json_is_object(wall))
		check_wall(doc, wall);
	check_events(doc, json_object_get(facts, "events"));
	check_other_events(doc, json_object_get(facts, "other_events"));
}

/* ---- files ---- */

static void check_document(struct slice in, const char *format, const json_t *facts)
{
	struct decoded_list doc = { 0 };
	assert_int_equal(format_reader_reset(reader, in, NULL), 0);
	int e = format_reader_next(reader, &doc, &err);
	if (e != 1) {
		print_error("%s: refused: %s\n", file, error_text(&err, e));
		ok = false;
		return;
	}
	for (size_t i = 0; i < doc.n; i++)
		assert_int_equal(profile_verify(&doc.v[i].profile, &err), 0);
	if (!strncmp(format, "otlp", 4))
		check_otlp(&doc, facts);
	else
		check_jfr(&doc, facts);
}

static size_t check_list(const char *path, size_t *ret_failed)
{
	_fclose_ FILE *f = fopen(path, "re");
	assert_non_null(f);
	_free_ char *dir = strdup(path), *line = NULL;
	dirname(dir);
	size_t size = 0, n = 0;
	while (getline(&line, &size, f) > 0) {
		json_t *row = json_loads(line, 0, NULL);
		const char *format = json_string_value(json_object_get(row, "format"));
		const json_t *facts = json_object_get(row, "expected");
		if (format && facts && (!strncmp(format, "otlp", 4) || !strcmp(format, "jfr"))) {
			file = json_string_value(json_object_get(row, "file"));
			struct slice in = corpus_read(dir, file);
			ok = true;
			check_document(in, format, facts);
			free((void *)in.data);
			*ret_failed += !ok;
			n++;
		}
		json_decref(row);
	}
	return n;
}

static void test_documents(void **state)
{
	char path[4096];
	size_t failed = 0;
	snprintf(path, sizeof path, "%s/tests/data/format/documents.jsonl", getenv("PROFILEFS_SOURCE"));
	assert_true(check_list(path, &failed) > 5);
	assert_int_equal(failed, 0);
}

static void test_corpus(void **state)
{
	const char *corpus = getenv("PROFILEFS_CORPUS");
	if (!corpus) {
		print_message("skipped: PROFILEFS_CORPUS names no corpus\n");
		skip();
	}
	static const char *const lists[] = { "%s/manifest.jsonl", "%s/*/manifest.jsonl", "%s/*/*/manifest.jsonl" };
	size_t failed = 0, n = 0;
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		char pattern[4096];
		glob_t found = { 0 };
		snprintf(pattern, sizeof pattern, lists[i], corpus);
		glob(pattern, 0, NULL, &found);
		for (size_t k = 0; k < found.gl_pathc; k++)
			n += check_list(found.gl_pathv[k], &failed);
		globfree(&found);
	}
	print_message("%zu files of the corpus checked\n", n);
	assert_true(n > 0);
	assert_int_equal(failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_documents),
		cmocka_unit_test(test_corpus),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

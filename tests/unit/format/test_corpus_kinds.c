/* SPDX-License-Identifier: MIT */

/*
 * Files of all formats but pprof and folded stacks, with what other programs found in them: tests/data/format/kinds.jsonl
 * and, where the environment names one, the corpus in PROFILEFS_CORPUS. Other programs have other words for the same, so
 * each format's facts are compared in their own way.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glob.h>
#include <libgen.h>
#include <math.h>
#include <string.h>

#include "core/format/text.h"
#include "core/profile/types.h"
#include "corpus.h"

static struct format_reader *reader;
static struct error err;
static const struct format_options defaults;

static int setup(void **state)
{
	return format_reader_new((struct slice){ 0 }, &defaults, &reader, &err);
}

static int teardown(void **state)
{
	format_reader_free(reader);
	return 0;
}

/* ---- names ---- */

static struct str function_name(const struct profile *p, uint32_t line)
{
	return profile_str(p, p->functions.v[p->lines.v[line].function].name);
}

static struct str base_name(struct str path)
{
	const char *slash = path.len ? memrchr(path.s, '/', path.len) : NULL;
	return slash ? str_from(path, (size_t)(slash + 1 - path.s)) : path;
}

/* As inferno shows a function: its arguments cut, and without quotes. */
static bool inferno_name(struct str name, struct str expected)
{
	if (str_eq(name, expected))
		return true;
	size_t i = 0, k = 0;
	for (; i < name.len && k < expected.len; i++) {
		char c = name.s[i] == ';' ? ':' : name.s[i];
		if (c == expected.s[k])
			k++;
		else if (c != '\'' && c != '"')
			break;
	}
	return k == expected.len && (i == name.len || name.s[i] == '(' || name.s[i] == '\'' || name.s[i] == '"');
}

static bool unknown_is(const struct profile *p, const struct profile_location *l, struct str expected)
{
	if (l->mapping == PROFILE_NONE)
		return str_eq(expected, STR("[unknown]"));
	struct str object = base_name(profile_str(p, p->mappings.v[l->mapping].filename));
	return expected.len == object.len + 2 && !memcmp(expected.s + 1, object.s, object.len);
}

/* Whether one of the frames of a location that are asked for has this name: all, or the innermost. */
static bool inferno_location(const struct profile *p, uint32_t location, bool all, struct str expected)
{
	const struct profile_location *l = &p->locations.v[location];
	if (!l->n_lines)
		return unknown_is(p, l, expected);
	for (uint32_t i = 0; i < (all ? l->n_lines : 1); i++)
		if (inferno_name(function_name(p, l->line_at + i), expected))
			return true;
	return false;
}

static struct str label_of(const struct profile *p, size_t sample, struct str key)
{
	for (uint32_t i = p->label_at.n ? p->label_at.v[sample] : 0; p->label_at.n && i < p->label_at.v[sample + 1]; i++)
		if (str_eq(profile_str(p, p->labels.v[i].key), key))
			return profile_str(p, p->labels.v[i].str);
	return STR("");
}

/* ---- perf script, by inferno: the command is the outermost frame; of several events the first counts ---- */

static bool inferno_sample(const struct profile *p, size_t i, bool cumulative, struct str name)
{
	if (!cumulative)
		return inferno_location(p, p->locs.v[p->loc_at.v[i]], false, name);
	for (size_t k = p->loc_at.v[i]; k < p->loc_at.v[i + 1]; k++)
		if (inferno_location(p, p->locs.v[k], true, name))
			return true;
	struct str comm = label_of(p, i, STR("thread"));
	for (size_t k = 0; k < comm.len; k++)
		if (name.len != comm.len || (comm.s[k] == ' ' ? '_' : comm.s[k]) != name.s[k])
			return false;
	return comm.len == name.len;
}

static size_t inferno_type(const struct profile *p)
{
	return p->types.n > 1 ? 1 : 0;
}

/* cycles:u and cycles are one event there. */
static struct str event_of(const struct profile *p, size_t sample)
{
	struct str event = label_of(p, sample, STR("event"));
	const char *colon = memchr(event.s, ':', event.len);
	return (struct str){ event.s, colon ? (size_t)(colon - event.s) : event.len };
}

static int64_t inferno_value(const struct profile *p, struct str name, bool cumulative)
{
	struct str first = p->n_samples ? event_of(p, 0) : STR("");
	int64_t sum = 0;
	for (size_t i = 0; i < p->n_samples; i++)
		if (str_eq(event_of(p, i), first) && (!name.len || inferno_sample(p, i, cumulative, name)))
			sum += p->values.v[i * p->types.n + inferno_type(p)];
	return sum;
}

static bool is_value(const char *file, const char *what, int64_t expected, int64_t found)
{
	if (expected != found)
		print_error("%s: %s is %lld, expected %lld\n", file, what, (long long)found, (long long)expected);
	return expected == found;
}

static bool check_inferno_top(const struct profile *p, const json_t *top, bool cumulative, const char *file)
{
	bool ok = true;
	for (size_t i = 0; i < json_array_size(top); i++) {
		const json_t *e = json_array_get(top, i);
		const char *name = json_string_value(json_array_get(e, 0));
		ok &= is_value(file, name, json_integer_value(json_array_get(e, 1)),
		               inferno_value(p, str_of(name), cumulative));
	}
	return ok;
}

static bool check_perf(const struct profile *p, const json_t *facts, const char *file)
{
	bool ok = is_value(file, "total", json_integer_value(json_object_get(facts, "total")),
	                   inferno_value(p, STR(""), false));
	ok &= check_inferno_top(p, json_object_get(facts, "top_flat"), false, file);
	return check_inferno_top(p, json_object_get(facts, "top_cum"), true, file) && ok;
}

/* ---- speedscope: profiles by name; numbers with a fraction ---- */

static bool in_sample(const struct profile *p, size_t i, const char *name, bool cumulative)
{
	size_t from = p->loc_at.v[i], to = p->loc_at.v[i + 1];
	for (size_t k = from; k < (cumulative ? to : MIN(from + 1, to)); k++)
		if (str_eq(function_name(p, p->locations.v[p->locs.v[k]].line_at), str_of(name)))
			return true;
	return false;
}

/* What the samples of a thread have in one type, of a function, or of all where name is NULL. */
static int64_t thread_value(const struct profile *p, size_t type, struct str thread, const char *name, bool cumulative)
{
	int64_t sum = 0;
	for (size_t i = 0; i < p->n_samples; i++)
		if (str_eq(label_of(p, i, STR("thread")), thread) && (!name || in_sample(p, i, name, cumulative)))
			sum += p->values.v[i * p->types.n + type];
	return sum;
}

/* In nanoseconds; 0 for what is no time. */
static double unit_scale(struct str unit)
{
	struct unit u = unit_of(unit);
	return u.dim == UNIT_TIME ? (double)u.scale : 0;
}

static double scale_between(struct str from, struct str to)
{
	return unit_scale(from) == 0 || unit_scale(to) == 0 ? 1 : unit_scale(from) / unit_scale(to);
}

/* Of profiles with one name, the facts are summed. */
static double sum_of(const json_t *profiles, const char *thread, const char *list, const char *name)
{
	double sum = 0;
	for (size_t i = 0; i < json_array_size(profiles); i++) {
		const json_t *profile = json_array_get(profiles, i);
		if (strcmp(json_string_value(json_object_get(profile, "name")), thread))
			continue;
		if (!name)
			sum += json_number_value(json_object_get(profile, "total"));
		for (size_t k = 0; name && k < json_array_size(json_object_get(profile, list)); k++) {
			const json_t *e = json_array_get(json_object_get(profile, list), k);
			if (!strcmp(json_string_value(json_array_get(e, 0)), name))
				sum += json_number_value(json_array_get(e, 1));
		}
	}
	return sum;
}

static bool is_near(const char *file, const char *what, double expected, int64_t found)
{
	bool ok = fabs(expected - (double)found) <= (expected > 1e6 ? 1000 : 0.5);
	if (!ok)
		print_error("%s: %s is %lld, expected %f\n", file, what, (long long)found, expected);
	return ok;
}

static size_t type_with(const struct profile *p, struct str unit)
{
	for (size_t i = 0; i < p->types.n; i++) {
		struct str u = profile_str(p, p->types.v[i].unit);
		if (str_eq(u, unit) || (unit_scale(u) && unit_scale(unit)))
			return i;
	}
	return 0;
}

static bool check_thread(const struct profile *p, const json_t *profiles, const json_t *profile, const char *file)
{
	const char *thread = json_string_value(json_object_get(profile, "name"));
	struct str unit = str_of(json_string_value(json_object_get(profile, "unit")));
	size_t type = type_with(p, unit);
	double scale = scale_between(unit, profile_str(p, p->types.v[type].unit));
	bool ok = is_near(file, thread, sum_of(profiles, thread, NULL, NULL) * scale,
	                  thread_value(p, type, str_of(thread), NULL, false));
	for (int cum = 0; cum < 2; cum++) {
		const char *list = cum ? "top_cum" : "top_flat";
		const json_t *top = json_object_get(profile, list);
		for (size_t i = 0; i < json_array_size(top); i++) {
			const char *name = json_string_value(json_array_get(json_array_get(top, i), 0));
			ok &= is_near(file, name, sum_of(profiles, thread, list, name) * scale,
			              thread_value(p, type, str_of(thread), name, cum));
		}
	}
	return ok;
}

static bool check_speedscope(const struct profile *p, const json_t *facts, const char *file)
{
	const json_t *profiles = json_object_get(facts, "profiles");
	bool ok = true;
	for (size_t i = 0; i < json_array_size(profiles); i++)
		ok &= check_thread(p, profiles, json_array_get(profiles, i), file);
	return profiles ? ok : corpus_check(p, facts, file);
}

/* ---- V8 ---- */

static int64_t type_total(const struct profile *p, size_t type)
{
	int64_t sum = 0;
	for (size_t i = 0; i < p->n_samples; i++)
		sum += p->values.v[i * p->types.n + type];
	return sum;
}

static bool check_names(const struct profile *p, size_t type, const json_t *top, bool cumulative, const char *file)
{
	bool ok = true;
	for (size_t i = 0; i < json_array_size(top); i++) {
		const json_t *e = json_array_get(top, i);
		const char *name = json_string_value(json_array_get(e, 0));
		int64_t sum = 0;
		for (size_t k = 0; k < p->n_samples; k++)
			sum += in_sample(p, k, name, cumulative) ? p->values.v[k * p->types.n + type] : 0;
		ok &= is_value(file, name, json_integer_value(json_array_get(e, 1)), sum);
	}
	return ok;
}

static bool check_v8(const struct profile *p, const json_t *facts, const char *file)
{
	const json_t *bytes = json_object_get(facts, "total_self_bytes"), *sum = json_object_get(facts, "sum_timeDeltas_us");
	if (bytes)
		return is_value(file, "bytes", json_integer_value(bytes), type_total(p, 0)) &
		       check_names(p, 0, json_object_get(facts, "top_flat_bytes"), false, file);
	if (!sum)
		return corpus_check(p, facts, file);
	int64_t span = json_integer_value(json_object_get(facts, "end_us")) -
	               json_integer_value(json_object_get(facts, "start_us"));
	bool ok = is_value(file, "samples", json_integer_value(json_object_get(facts, "samples")), type_total(p, 0));
	ok &= is_value(file, "duration", span * 1000, p->duration_ns);
	ok &= type_total(p, 1) <= span && type_total(p, 1) > span / 2;
	ok &= check_names(p, 0, json_object_get(facts, "top_flat_samples"), false, file);
	return check_names(p, 0, json_object_get(facts, "top_cum_samples"), true, file) && ok;
}

/* ---- text of gperftools, Go and jemalloc ---- */

/* The other reader gives addresses without a map a mapping of all memory, and does not read the names that Go writes. */
static bool check_legacy(const struct profile *p, json_t *facts, const char *file)
{
	const json_t *first = json_array_get(json_object_get(facts, "mappings_first3"), 0);
	if (first && !strcmp(json_string_value(first), " build_id= [0,ffffffffffffffff)")) {
		json_object_set_new(facts, "mappings", json_integer(0));
		json_object_del(facts, "mappings_first3");
	}
	if (p->functions.n && !json_integer_value(json_object_get(facts, "functions"))) {
		json_object_del(facts, "functions");
		json_object_del(facts, "unsymbolized_locations");
		json_object_del(facts, "inlined_locations");
	}
	return corpus_check(p, facts, file);
}

static bool check_jemalloc(const struct profile *p, const json_t *facts, const char *file)
{
	long long total = -1;
	sscanf(json_string_value(json_array_get(json_object_get(facts, "top"), 0)), "Total: %lld", &total);
	return is_value(file, "total", total, type_total(p, p->types.n - 1));
}

/*
 * ---- callgrind, by callgrind_annotate: `15,764,462 (100.0%) ...  PROGRAM TOTALS`, and `file:function`; what stands in
 * the list at _dl_runtime_resolve is the cost of a call ----
 */

static int64_t with_commas(const char *s, const char **ret_end)
{
	int64_t v = 0;
	while (is_digit(*s) || *s == ',')
		v = *s == ',' ? s++, v : v * 10 + (*s++ - '0');
	*ret_end = s;
	return v;
}

static bool check_totals(const struct profile *p, const char *line, const char *file)
{
	bool ok = true;
	for (size_t type = 0; type < p->types.n; type++) {
		while (*line == ' ' || (*line && !is_digit(*line)))
			line++;
		ok &= is_value(file, "total", with_commas(line, &line), type_total(p, type));
		const char *close = strchr(line, ')');
		line = close ? close + 1 : line + strlen(line);
	}
	return ok;
}

static int64_t placed_value(const struct profile *p, struct str where)
{
	int64_t sum = 0;
	for (size_t i = 0; i < p->n_samples; i++) {
		if (p->loc_at.v[i] == p->loc_at.v[i + 1])
			continue;
		const struct profile_location *l = &p->locations.v[p->locs.v[p->loc_at.v[i]]];
		const struct profile_function *f = &p->functions.v[p->lines.v[l->line_at].function];
		struct str name = profile_str(p, f->name), path = profile_str(p, f->filename);
		bool same = str_ends(where, name) && where.len > name.len && where.s[where.len - name.len - 1] == ':' &&
		            str_ends(path, (struct str){ where.s, where.len - name.len - 1 });
		sum += same ? p->values.v[i * p->types.n] : 0;
	}
	return sum;
}

static bool check_callgrind(const struct profile *p, const json_t *facts, const char *file)
{
	const json_t *totals = json_object_get(facts, "totals_line"), *top = json_object_get(facts, "top_flat");
	if (!totals)
		return corpus_check(p, facts, file);
	bool ok = check_totals(p, json_string_value(totals), file);
	for (size_t i = 0; i < json_array_size(top); i++) {
		const char *end, *value = json_string_value(json_array_get(json_array_get(top, i), 0));
		const char *where = json_string_value(json_array_get(json_array_get(top, i), 1));
		if (strchr(where, ':') && !strchr(where, '?') && !strstr(where, "_dl_runtime_resolve"))
			ok &= is_value(file, where, with_commas(value, &end), placed_value(p, str_of(where)));
	}
	return ok;
}

/* ---- Austin ---- */

static bool check_austin(const struct profile *p, const json_t *facts, const char *file)
{
	bool full = p->types.n > 2;
	bool ok = is_value(file, "lines", json_integer_value(json_object_get(facts, "lines")), (int64_t)p->n_samples);
	ok &= is_value(file, "time", json_integer_value(json_object_get(facts, "total_metric1")),
	               type_total(p, full ? 0 : p->types.n - 1));
	if (full)
		ok &= is_value(file, "memory", json_integer_value(json_object_get(facts, "metric3_mem_sum")),
		               type_total(p, 2) + type_total(p, 3));
	return ok;
}

/* ---- rows ---- */

static bool check(const struct profile *p, const char *format, json_t *facts, const char *file)
{
	if (!strcmp(format, "perf-script"))
		return check_perf(p, facts, file);
	if (!strcmp(format, "speedscope"))
		return check_speedscope(p, facts, file);
	if (!strcmp(format, "cpuprofile") || !strcmp(format, "heapprofile"))
		return check_v8(p, facts, file);
	if (!strcmp(format, "legacy"))
		return check_legacy(p, facts, file);
	if (!strcmp(format, "jeheap"))
		return check_jemalloc(p, facts, file);
	if (!strcmp(format, "callgrind"))
		return check_callgrind(p, facts, file);
	if (!strcmp(format, "austin") || !strcmp(format, "mojo"))
		return check_austin(p, facts, file);
	return corpus_check(p, facts, file);
}

static bool encodes(const struct profile *p, const char *file)
{
	_buf_ struct buf first = BUF_INIT(256 << 20), second = BUF_INIT(256 << 20);
	struct profile again;
	assert_int_equal(profile_init(&again, 256 << 20), 0);
	assert_int_equal(pprof_encode(p, &first), 0);
	int e = format_pprof.decode(buf_slice(&first), &defaults, &again, &err);
	e = e ? e : pprof_encode(&again, &second);
	bool same = !e && first.len == second.len && !memcmp(first.data, second.data, first.len);
	if (!same)
		print_error("%s: not the same when encoded again: %s\n", file, error_text(&err, e));
	profile_done(&again);
	return same;
}

static bool accepts(struct slice in, const char *format, json_t *facts, const char *file)
{
	bool ok = !format_judge((struct slice){ in.data, MIN(in.len, (size_t)4096) }, in.len <= 4096, &err);
	assert_int_equal(format_reader_reset(reader, in, &defaults), 0);
	struct decoded_list doc;
	int e = format_reader_next(reader, &doc, &err);
	if (e <= 0 || doc.n != 1) {
		print_error("%s: refused: %s\n", file, error_text(&err, e));
		return false;
	}
	const struct profile *p = &doc.v[0].profile;
	if (profile_verify(p, &err)) {
		print_error("%s: unsound: %s\n", file, err.text);
		return false;
	}
	ok &= encodes(p, file) & check(p, format, facts, file);
	return ok && !format_reader_next(reader, &doc, &err);
}

/*
 * What inferno finds nothing in, and what the other reader refuses too, is refused. inferno's sum of one file is one more
 * than the sum of its periods; the facts of another are those of a file whose mapping has another path; Java's variant of
 * gperftools' formats, which nobody writes any more, is not taken.
 */
static bool is_left_out(const char *file, const json_t *facts)
{
	const json_t *lines = json_object_get(facts, "lines");
	return json_object_get(facts, "parse_error") || (lines && !json_integer_value(lines)) ||
	       strstr(file, "upgrades/test.perf.gz") || strstr(file, "testdata/large.cpu");
}

static bool is_one_of(const char *format, const char *formats)
{
	char words[256];
	snprintf(words, sizeof words, "|%s|", format);
	return strstr(formats, words);
}

#define KINDS "|speedscope|cpuprofile|heapprofile|legacy|jeheap|callgrind|austin|mojo|perf-script|"

static bool check_row(const char *dir, const char *line, bool all, size_t *checked)
{
	json_t *row = json_loads(line, 0, NULL);
	const char *file = json_string_value(json_object_get(row, "file"));
	const char *format = json_string_value(json_object_get(row, "format"));
	json_t *facts = json_object_get(row, "expected");
	bool ok = true;
	if (format && (all || is_one_of(format, KINDS)) && facts && !is_left_out(file, facts)) {
		++*checked;
		struct slice in = corpus_read(dir, file);
		ok = accepts(in, format, facts, file);
		free((void *)in.data);
	}
	json_decref(row);
	return ok;
}

static size_t check_list(const char *path, bool all, size_t *checked)
{
	_fclose_ FILE *f = fopen(path, "re");
	if (!f)
		fail_msg("cannot open %s", path);
	_free_ char *dir = strdup(path), *line = NULL;
	dirname(dir);
	size_t size = 0, failed = 0;
	while (getline(&line, &size, f) > 0)
		failed += !check_row(dir, line, all, checked);
	return failed;
}

static void test_accept(void **state)
{
	const char *source = getenv("PROFILEFS_SOURCE");
	assert_non_null(source);
	char path[4096];
	snprintf(path, sizeof path, "%s/tests/data/format/kinds.jsonl", source);
	size_t checked = 0;
	assert_int_equal(check_list(path, true, &checked), 0);
	assert_true(checked > 30);
}

static void test_corpus(void **state)
{
	const char *corpus = getenv("PROFILEFS_CORPUS");
	if (!corpus) {
		print_message("skipped: PROFILEFS_CORPUS names no corpus\n");
		skip();
	}
	char pattern[4096];
	size_t checked = 0, failed = 0;
	static const char *const lists[] = { "%s/manifest.jsonl", "%s/*/manifest.jsonl", "%s/*/*/manifest.jsonl" };
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		snprintf(pattern, sizeof pattern, lists[i], corpus);
		glob_t found = { 0 };
		glob(pattern, 0, NULL, &found);
		for (size_t k = 0; k < found.gl_pathc; k++)
			failed += check_list(found.gl_pathv[k], false, &checked);
		globfree(&found);
	}
	print_message("%zu files of the corpus checked\n", checked);
	assert_true(checked > 0);
	assert_int_equal(failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_corpus),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

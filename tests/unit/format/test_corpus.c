/* SPDX-License-Identifier: MIT */

/*
 * Files with facts. tests/data/format/facts.jsonl lists what is to be taken (accept/, with what other readers found in
 * it) and what is to be refused (refuse/, with the error and its sentence). A larger corpus elsewhere is checked too
 * where the environment names it: PROFILEFS_CORPUS/ * /manifest.jsonl, of the same form.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <glob.h>
#include <libgen.h>
#include <string.h>

#include "corpus.h"

static struct profile again;
static struct format_reader *reader;
static struct error err;
static const struct format_options defaults;

static int setup(void **state)
{
	return profile_init(&again, 1 << 20) ||
	       format_reader_new((struct slice){ 0 }, &defaults, &reader, &err);
}

static int teardown(void **state)
{
	profile_done(&again);
	format_reader_free(reader);
	return 0;
}

/* What is encoded decodes to the same, and encodes to the same bytes. */
static bool encodes_and_decodes(const struct profile *p, const char *file)
{
	_buf_ struct buf first = BUF_INIT(256 << 20), second = BUF_INIT(256 << 20);
	assert_int_equal(pprof_encode(p, &first), 0);
	profile_reset(&again);
	int e = format_pprof.decode(buf_slice(&first), &defaults, &again, &err);
	if (e) {
		print_error("%s: not decoded again: %s\n", file, error_text(&err, e));
		return false;
	}
	assert_int_equal(pprof_encode(&again, &second), 0);
	bool same = first.len == second.len && !memcmp(first.data, second.data, first.len);
	if (!same)
		print_error("%s: not the same when encoded again\n", file);
	return same && again.n_samples == p->n_samples && again.locations.n == p->locations.n &&
	       again.functions.n == p->functions.n && again.mappings.n == p->mappings.n &&
	       again.locs.n == p->locs.n && again.labels.n == p->labels.n &&
	       (!p->locs.n || !memcmp(again.locs.v, p->locs.v, p->locs.n * sizeof *p->locs.v)) &&
	       (!p->values.n || !memcmp(again.values.v, p->values.v, p->values.n * sizeof *p->values.v));
}

static bool is_sound(const struct profile *p, const char *file)
{
	int e = profile_verify(p, &err);
	if (e)
		print_error("%s: unsound: %s\n", file, error_text(&err, e));
	return !e && encodes_and_decodes(p, file);
}

static bool accepts(struct slice in, const json_t *facts, const char *file)
{
	bool ok = !format_judge((struct slice){ in.data, MIN(in.len, (size_t)4096) }, in.len <= 4096, &err);
	assert_int_equal(format_reader_reset(reader, in, &defaults), 0);
	struct decoded_list doc;
	int e;
	size_t n = 0;
	while ((e = format_reader_next(reader, &doc, &err)) > 0)
		for (size_t i = 0; i < doc.n; i++, n++)
			ok &= is_sound(&doc.v[i].profile, file) && corpus_check(&doc.v[i].profile, facts, file);
	if (e < 0)
		print_error("%s: refused: %s\n", file, error_text(&err, e));
	const json_t *profiles = json_object_get(facts, "profiles");
	size_t expected = profiles ? (size_t)json_integer_value(profiles) : in.len != 0;
	if (n != expected)
		print_error("%s: %zu profiles, expected %zu\n", file, n, expected);
	return ok && !e && n == expected && format_reader_taken(reader) == in.len;
}

static bool refuses(struct slice in, const json_t *row, const char *file)
{
	assert_int_equal(format_reader_reset(reader, in, &defaults), 0);
	struct decoded_list doc;
	int e;
	while ((e = format_reader_next(reader, &doc, &err)) > 0)
		continue;
	const char *name = json_string_value(json_object_get(row, "error"));
	const char *says = json_string_value(json_object_get(row, "says"));
	if (e < 0 && !strcmp(err_name(e), name) && strstr(error_text(&err, e), says))
		return true;
	print_error("%s: %s: %s; expected %s: %s\n", file, e ? err_name(e) : "taken", error_text(&err, e), name, says);
	return false;
}

static bool check_row(const char *dir, const char *line)
{
	json_t *row = json_loads(line, 0, NULL);
	assert_non_null(row);
	const char *file = json_string_value(json_object_get(row, "file"));
	struct slice in = corpus_read(dir, file);
	bool ok = json_object_get(row, "error") ? refuses(in, row, file)
	                                         : accepts(in, json_object_get(row, "expected"), file);
	free((void *)in.data);
	json_decref(row);
	return ok;
}

/* Checks the rows of a list that `wanted` picks; returns how many failed. */
static size_t check_list(const char *path, bool (*wanted)(const char *line), size_t *ret_checked)
{
	_fclose_ FILE *f = fopen(path, "re");
	if (!f)
		fail_msg("cannot open %s", path);
	_free_ char *dir = strdup(path), *line = NULL;
	dirname(dir);
	size_t size = 0, failed = 0;
	while (getline(&line, &size, f) > 0) {
		if (!wanted(line))
			continue;
		++*ret_checked;
		failed += !check_row(dir, line);
	}
	return failed;
}

static bool any(const char *line)
{
	return true;
}

static void test_accept_and_refuse(void **state)
{
	const char *source = getenv("PROFILEFS_SOURCE");
	assert_non_null(source);
	char path[4096];
	snprintf(path, sizeof path, "%s/tests/data/format/facts.jsonl", source);
	size_t checked = 0;
	assert_int_equal(check_list(path, any, &checked), 0);
	assert_true(checked > 90);
}

/*
 * Of a corpus, what is pprof or folded and whole: bad lines, no lines, two counts and a format of its own under the name
 * of pprof are refused by choice. The facts of one file name a function otherwise than the file does.
 */
static bool is_taken(const char *line)
{
	json_t *row = json_loads(line, 0, NULL);
	const char *format = json_string_value(json_object_get(row, "format"));
	const char *file = json_string_value(json_object_get(row, "file"));
	const json_t *facts = json_object_get(row, "expected");
	bool pprof = format && !strcmp(format, "pprof") && json_object_get(facts, "sample_types");
	bool folded = format && !strcmp(format, "folded") && !json_integer_value(json_object_get(facts, "bad_lines")) &&
	              json_integer_value(json_object_get(facts, "lines"));
	bool differential = file && (strstr(file, "diff-folded/results") || strstr(file, "differential/"));
	bool gperftools = file && strstr(file, "fuzz/corpus/");
	bool renamed = file && strstr(file, "cpu_lock0_alloc0__0.jfr.gz.process_cpu_cpu");
	json_decref(row);
	return (pprof || folded) && !differential && !gperftools && !renamed;
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
			failed += check_list(found.gl_pathv[k], is_taken, &checked);
		globfree(&found);
	}
	print_message("%zu files of the corpus checked\n", checked);
	assert_true(checked > 0);
	assert_int_equal(failed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accept_and_refuse),
		cmocka_unit_test(test_corpus),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

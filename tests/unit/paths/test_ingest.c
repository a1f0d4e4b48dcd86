/* SPDX-License-Identifier: MIT */
#include "fixture.h"

#include "core/wire/gz.h"

static int setup(void **state)
{
	static struct fixture f;
	open_fixture(&f, NULL);
	assert_int_equal(tree_add_service(f.tree, "s", NULL), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	close_fixture(*state);
	return 0;
}

static const struct making cpu = { "cpu nanoseconds", "main;work 70", NULL, NOW - NS_PER_HOUR, NS_PER_S };
static const struct making timeless = { "cpu nanoseconds", "main;work 70", NULL, 0, NS_PER_S };

static void make_gz(const struct making *m, struct buf *out)
{
	_buf_ struct buf raw = BUF_INIT(1 << 20);
	make_pprof(m, &raw);
	assert_int_equal(gz_compress(buf_slice(&raw), 1, out), 0);
}

static struct ingest_result must_take(struct fixture *f, const char *dir, const char *name,
                                      const struct buf *b, const struct ingest_options *more)
{
	struct ingest_result res = { 0 };
	struct error err = { 0 };
	if (put_file(f, dir, name, buf_slice(b), more, &res, &err))
		fail_msg("%s: %s", name, err.text);
	return res;
}

static void a_profile_counts_once(void **state)
{
	_buf_ struct buf b = BUF_INIT(1 << 20);
	make_gz(&cpu, &b);
	struct ingest_result first = must_take(*state, "/s", "a.pb.gz", &b, NULL);
	struct ingest_result again = must_take(*state, "/s", "other.pb.gz", &b, NULL);
	assert_int_equal(first.taken, 1);
	assert_int_equal(first.duplicates, 0);
	assert_int_equal(first.samples, 1);
	assert_int_equal(first.consumed, b.len);
	assert_string_equal(first.format, "pprof");
	assert_int_equal(again.taken, 0);
	assert_int_equal(again.duplicates, 1);
	assert_memory_equal(&first.last, &again.last, sizeof first.last);
}

static void an_empty_file_is_no_profile_and_no_error(void **state)
{
	_buf_ struct buf b = BUF_INIT(1);
	struct ingest_result r = must_take(*state, "/s", "x", &b, NULL);
	assert_int_equal(r.taken + r.duplicates, 0);
}

static void many_members_are_many_profiles_or_none(void **state)
{
	_buf_ struct buf b = BUF_INIT(1 << 20);
	struct making m = cpu;
	for (int i = 0; i < 3; i++) {
		m.time = NOW - NS_PER_DAY + i * NS_PER_S;
		make_gz(&m, &b);
	}
	struct ingest_result r = must_take(*state, "/s", "many", &b, NULL);
	assert_int_equal(r.taken, 3);
	assert_int_equal(r.consumed, b.len);
	m.time = NOW - 2 * NS_PER_DAY;
	b.len = 0;
	make_gz(&m, &b);
	size_t whole = b.len;
	m.time += NS_PER_S;
	make_gz(&m, &b);
	b.len -= 12;
	struct ingest_result res = { 0 };
	struct error err = { 0 };
	assert_int_equal(err_errno(put_file(*state, "/s", "cut", buf_slice(&b), NULL, &res, &err)), EINVAL);
	assert_true(err.text[0] != '\0');
	/* Nothing of it was taken: its first profile is new. */
	b.len = whole;
	assert_int_equal(must_take(*state, "/s", "cut", &b, NULL).taken, 1);
}

static void junk_is_refused_with_a_sentence(void **state)
{
	struct ingest_result res;
	struct error err = { 0 };
	const uint8_t junk[] = "<html>\x01\x02 no profile";
	int e = put_file(*state, "/s", "x.pb.gz", (struct slice){ junk, sizeof junk }, NULL, &res, &err);
	assert_int_equal(err_errno(e), EINVAL);
	assert_true(err.text[0] != '\0');
}

static int64_t time_of(const struct ingest_result *r)
{
	return (int64_t)ulid_ms(&r->last) * NS_PER_MS;
}

static void a_time_is_the_profiles_then_the_files_then_now(void **state)
{
	_buf_ struct buf own = BUF_INIT(1 << 20), none = BUF_INIT(1 << 20);
	struct making m = cpu;
	m.time = NOW - 5 * NS_PER_HOUR;
	make_gz(&m, &own);
	make_gz(&timeless, &none);
	struct ingest_options file = { .mtime = NOW - 7 * NS_PER_HOUR };
	struct ingest_result r = must_take(*state, "/s", "t1", &own, &file);
	assert_int_equal(time_of(&r), m.time);
	r = must_take(*state, "/s", "t2", &none, &file);
	assert_int_equal(time_of(&r), file.mtime);
	r = must_take(*state, "/s", "t2", &none, NULL);
	assert_int_equal(time_of(&r), NOW);
}

static void without_a_time_the_same_name_counts_once_for_ten_minutes(void **state)
{
	_cleanup_(recent_freep) struct recent *recent = NULL;
	_buf_ struct buf b = BUF_INIT(1 << 20);
	assert_int_equal(recent_new(&recent), 0);
	make_gz(&timeless, &b);
	struct ingest_options o = { .recent = recent, .now = NOW + NS_PER_HOUR };
	assert_int_equal(must_take(*state, "/s/k=v", "n", &b, &o).taken, 1);
	o.now += 9 * NS_PER_MIN;
	assert_int_equal(must_take(*state, "/s/k=v", "n", &b, &o).duplicates, 1);
	assert_int_equal(must_take(*state, "/s/k=v", "other", &b, &o).taken, 1);
	assert_int_equal(must_take(*state, "/s/k=w", "n", &b, &o).taken, 1);
	o.now += 2 * NS_PER_MIN;
	assert_int_equal(must_take(*state, "/s/k=v", "n", &b, &o).taken, 1);
}

static bool has_type(struct fixture *f, const char *path)
{
	_cleanup_(node_unrefp) struct node *n = NULL;
	return !tree_walk(f->tree, path, true, NULL, &n, NULL);
}

static void text_takes_its_type_from_the_path(void **state)
{
	static const char text[] = "main;work 10\nmain;idle 3\n";
	struct slice in = { (const uint8_t *)text, sizeof text - 1 };
	struct ingest_result res = { 0 };
	struct error err = { 0 };
	struct ingest_options o = { .mtime = NOW - 9 * NS_PER_MIN };
	assert_int_equal(put_file(*state, "/s/@type=wall/@unit=nanoseconds", "x.txt", in, &o, &res, &err), 0);
	assert_int_equal(res.taken, 1);
	assert_int_equal(res.samples, 2);
	assert_true(has_type(*state, "/s/2026-11-22/wall"));
	assert_false(has_type(*state, "/s/2026-11-22/samples"));
	assert_int_equal(put_file(*state, "/s", "x.txt", in, &o, &res, &err), 0);
	assert_true(has_type(*state, "/s/2026-11-22/samples"));
}

static void a_format_keeps_its_own_type_unless_the_path_names_one(void **state)
{
	static const char text[] =
		"{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"shared\":{\"frames\":"
		"[{\"name\":\"main\"}]},\"profiles\":[{\"type\":\"sampled\",\"name\":\"t\",\"unit\":\"milliseconds\","
		"\"startValue\":0,\"endValue\":7,\"samples\":[[0]],\"weights\":[7]}]}";
	struct fixture *f = *state;
	struct slice in = { (const uint8_t *)text, sizeof text - 1 };
	struct ingest_result res = { 0 };
	struct error err = { 0 };
	assert_int_equal(tree_add_service(f->tree, "speed", NULL), 0);
	assert_int_equal(put_file(f, "/speed", "a.json", in, NULL, &res, &err), 0);
	assert_true(has_type(f, "/speed/2026-11-22/wall"));
	assert_false(has_type(f, "/speed/2026-11-22/samples.nanoseconds"));
	assert_int_equal(put_file(f, "/speed/@type=cpu", "b.json", in, NULL, &res, &err), 0);
	assert_true(has_type(f, "/speed/2026-11-22/cpu"));
}

static void the_kind_is_a_word_of_the_name(void **state)
{
	static const struct {
		const char *dir, *name, *type;
	} cases[] = {
		{ "/k1", "compile.mutex.1.pb.gz", "mutex.delay" },
		{ "/k2", "BLOCK-3", "block.delay" },
		{ "/k3", "blocks.pb.gz", "delay" },
		{ "/k4/@kind=block", "mutex.pb.gz", "block.delay" },
		{ "/k5", "heap.pb.gz", "delay" },
	};
	struct fixture *f = *state;
	struct making m = { "contentions count,delay nanoseconds", "main;lock 9", NULL, NOW - NS_PER_HOUR, NS_PER_S };
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char service[8], path[64];
		snprintf(service, sizeof service, "k%d", (int)i + 1);
		assert_int_equal(tree_add_service(f->tree, service, NULL), 0);
		must_put(f, cases[i].dir, cases[i].name, &m);
		snprintf(path, sizeof path, "/%s/2026-11-22/%s", service, cases[i].type);
		if (!has_type(f, path))
			fail_msg("no %s", path);
	}
}

static void a_probe_counts_whole_profiles(void **state)
{
	_buf_ struct buf b = BUF_INIT(1 << 20);
	struct ingest_result r = { 0 };
	struct error err = { 0 };
	make_gz(&cpu, &b);
	size_t first = b.len;
	make_gz(&timeless, &b);
	assert_int_equal(ingest_probe(buf_slice(&b), &r, &err), 0);
	assert_int_equal(r.taken, 2);
	assert_int_equal(r.consumed, b.len);
	assert_int_equal(ingest_probe((struct slice){ b.data, b.len - 9 }, &r, &err), 0);
	assert_int_equal(r.taken, 1);
	assert_int_equal(r.consumed, first);
	assert_true(r.warning[0] != '\0');
	assert_true(ingest_probe((struct slice){ b.data, first - 9 }, &r, &err) < 0);
	assert_int_equal(ingest_probe((struct slice){ b.data, 0 }, &r, &err), 0);
	assert_int_equal(r.taken, 0);
}

static void a_scratch_serves_many_files(void **state)
{
	_cleanup_(ingest_scratch_freep) struct ingest_scratch *scratch = NULL;
	assert_int_equal(ingest_scratch_new(&scratch), 0);
	struct ingest_options o = { .scratch = scratch };
	struct making m = cpu;
	for (int i = 0; i < 5; i++) {
		_buf_ struct buf b = BUF_INIT(1 << 20);
		m.time = NOW - 3 * NS_PER_DAY + i * NS_PER_S;
		make_gz(&m, &b);
		assert_int_equal(must_take(*state, "/s", "x", &b, &o).taken, 1);
	}
}

static void the_memory_of_recent_files_is_bounded(void **state)
{
	_cleanup_(recent_freep) struct recent *r = NULL;
	assert_int_equal(recent_new(&r), 0);
	for (uint64_t i = 0; i < 100000; i++)
		assert_int_equal(recent_time(r, i, 1000 + (int64_t)i), 1000 + (int64_t)i);
	assert_int_equal(recent_time(r, 99999, 200000), 1000 + 99999);
	assert_int_equal(recent_time(r, 0, 200000), 200000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_profile_counts_once),
		cmocka_unit_test(an_empty_file_is_no_profile_and_no_error),
		cmocka_unit_test(many_members_are_many_profiles_or_none),
		cmocka_unit_test(junk_is_refused_with_a_sentence),
		cmocka_unit_test(a_time_is_the_profiles_then_the_files_then_now),
		cmocka_unit_test(without_a_time_the_same_name_counts_once_for_ten_minutes),
		cmocka_unit_test(text_takes_its_type_from_the_path),
		cmocka_unit_test(a_format_keeps_its_own_type_unless_the_path_names_one),
		cmocka_unit_test(the_kind_is_a_word_of_the_name),
		cmocka_unit_test(a_probe_counts_whole_profiles),
		cmocka_unit_test(a_scratch_serves_many_files),
		cmocka_unit_test(the_memory_of_recent_files_is_bounded),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}

/* SPDX-License-Identifier: MIT */
/* Renderings of a database in memory: they agree with each other, with what was written, and with pprof. */
#include "../query/fixture.h"

#include "core/render/render.h"

static const char first[] =
	"main;work;hash 10 2000\nmain;work;hash;memmove 1 300\nmain;idle 4 50\n0x10@libc.so.6 1 7\n";
static const char second[] =
	"main;work;hash 5 1000\nmain;gc;mark 2 40\n0x20@libc.so.6 1 3\n0x10@libc.so.6 1 5\n";

static void write_two(struct fixture *f)
{
	setup(f);
	WRITE(f, .time = T0, .duration = 10 * SECOND, .types = "samples/count,cpu/nanoseconds", .labels = "pod=a",
	      .samples = first);
	WRITE(f, .time = T0 + 60 * SECOND, .duration = 10 * SECOND, .types = "samples/count,cpu/nanoseconds",
	      .labels = "pod=b", .samples = second);
}

static void render(struct query *q, const char *name, struct buf *out)
{
	struct error err = { 0 };
	buf_reset(out);
	int r = rendering_find(name)->render(q, NULL, out, &err);
	if (r < 0)
		print_error("%s: %s\n", name, err.text);
	assert_int_equal(r, 0);
	buf_putc(out, 0);
	out->len--;
}

static void renderings_agree_on_the_total(void **state)
{
	struct fixture f;
	struct buf out = BUF_INIT(LIMIT);
	write_two(&f);
	struct query *q = ask(&f, select_type("cpu"));
	int64_t total = 0;
	render(q, "folded.txt", &out);
	for (char *line = (char *)out.data, *end; (end = strchr(line, '\n')); line = end + 1) {
		*end = 0;
		total += atoll(strrchr(line, ' ') + 1);
	}
	assert_int_equal(total, 3405);
	render(q, "top.txt", &out);
	assert_non_null(strstr((char *)out.data, " of 3405ns total"));
	assert_non_null(strstr((char *)out.data, "Dropped 1 node (cum <= 17ns)\n"));
	render(q, "tree.txt", &out);
	assert_non_null(strstr((char *)out.data, "Total: 3.40us\n"));
	render(q, "flamegraph.svg", &out);
	assert_non_null(strstr((char *)out.data, "cpu: total 3.40us, 100%"));
	render(q, "info.json", &out);
	assert_non_null(strstr((char *)out.data, "\"2 profiles were merged by stack.\""));
	query_unref(q);
	buf_done(&out);
	teardown(&f);
}

/* Nothing covers the step of a lone running total: it has a sum and no rate. */
static void a_first_running_total_is_in_the_sums(void **state)
{
	struct fixture f;
	struct buf out = BUF_INIT(LIMIT);
	setup(&f);
	WRITE(&f, .time = T0, .types = "alloc_space/bytes", .labels = "pod=a", .samples = "a 512\n");
	struct selection *s = select_type("alloc_space");
	s->by = strdup("pod");
	struct query *q = ask(&f, s);
	render(q, "metrics.csv", &out);
	assert_string_equal((char *)out.data, "time,pod,sum,rate,profiles,unit\n2026-11-22T12:00:00Z,a,512,,1,bytes\n");
	render(q, "metrics.prom", &out);
	assert_non_null(strstr((char *)out.data, "sum_per_step_bytes{service=\"svc\",type=\"alloc_space\",pod=\"a\"} 512 "));
	assert_null(strstr((char *)out.data, "per_second{"));
	query_unref(q);
	buf_done(&out);
	teardown(&f);
}

static int64_t sum_of_profile(struct buf *gz, size_t *ret_samples)
{
	struct error err = { 0 };
	struct format_options opts = { 0 };
	struct format_reader *r;
	struct decoded_list doc;
	int64_t sum = 0;
	assert_int_equal(format_reader_new(buf_slice(gz), &opts, &r, &err), 0);
	assert_int_equal(format_reader_next(r, &doc, &err), 1);
	const struct profile *p = &doc.v[0].profile;
	assert_int_equal(profile_verify(p, &err), 0);
	for (size_t i = 0; i < p->n_samples; i++)
		sum += p->values.v[(i + 1) * p->types.n - 1];
	*ret_samples = p->n_samples;
	format_reader_free(r);
	return sum;
}

static void the_merged_pprof_reads_back(void **state)
{
	struct fixture f;
	struct buf out = BUF_INIT(LIMIT);
	size_t n;
	write_two(&f);
	struct query *q = ask(&f, select_type("cpu"));
	render(q, "profile.pb.gz", &out);
	assert_int_equal(sum_of_profile(&out, &n), 3405);
	assert_int_equal(n, 6);
	query_unref(q);
	buf_done(&out);
	teardown(&f);
}

static void single_profiles_come_back_as_they_came_in(void **state)
{
	struct fixture f;
	struct buf out = BUF_INIT(LIMIT);
	struct error err = { 0 };
	const struct point *points;
	size_t n, n_points;
	write_two(&f);
	struct query *q = ask(&f, select_type("cpu"));
	assert_int_equal(query_points(q, NULL, &points, &n_points, &err), 0);
	assert_int_equal(n_points, 2);
	assert_int_equal(render_original(q, &points[0].id, NULL, &out, &err), 0);
	assert_int_equal(sum_of_profile(&out, &n), 2357);
	assert_int_equal(n, 4);
	struct ulid none = { 0 };
	assert_int_equal(render_original(q, &none, NULL, &out, &err), ERR_PATH_ABSENT);
	query_unref(q);
	buf_done(&out);
	teardown(&f);
}

/* The lines from "Showing nodes" on; the head names the program's file, which a tree does not know. */
static const char *body_of(const char *top)
{
	const char *body = strstr(top, "Showing nodes");
	return body ? body : top;
}

static void top_is_what_pprof_prints_of_the_same(void **state)
{
	struct fixture f;
	struct buf out = BUF_INIT(LIMIT), theirs = BUF_INIT(LIMIT);
	if (system("command -v pprof >/dev/null")) {
		print_message("SKIPPED: pprof is not installed\n");
		skip();
	}
	char path[] = "/tmp/render-XXXXXX", command[200], chunk[4096];
	int fd = mkstemp(path);
	write_two(&f);
	struct query *q = ask(&f, select_type("cpu"));
	render(q, "profile.pb.gz", &out);
	assert_int_equal(write(fd, out.data, out.len), out.len);
	close(fd);
	snprintf(command, sizeof command, "TZ=UTC pprof -symbolize=none -top %s 2>/dev/null", path);
	FILE *pipe = popen(command, "r");
	for (size_t n; (n = fread(chunk, 1, sizeof chunk, pipe));)
		buf_put(&theirs, chunk, n);
	assert_int_equal(pclose(pipe), 0);
	unlink(path);
	buf_putc(&theirs, 0);
	render(q, "top.txt", &out);
	assert_string_equal(body_of((char *)out.data), body_of((char *)theirs.data));
	query_unref(q);
	buf_done(&out);
	buf_done(&theirs);
	teardown(&f);
}

static void an_empty_selection_renders_everywhere(void **state)
{
	struct fixture f;
	struct buf out = BUF_INIT(LIMIT);
	setup(&f);
	WRITE(&f, .time = T0, .types = "cpu/nanoseconds", .samples = "main 1\n");
	for (size_t i = 0; renderings[i]; i++) {
		struct selection *s = select_type(renderings[i]->where & ~RENDER_NO_TYPE ? "cpu" : NULL);
		match(s, "pod", MATCH_EQ, "nobody");
		if (renderings[i]->where & RENDER_VS)
			s->baseline = select_type("cpu");
		if (renderings[i]->where & RENDER_BY)
			s->by = strdup("region");
		struct query *q = ask(&f, s);
		render(q, renderings[i]->name, &out);
		if (strcmp(renderings[i]->name, "folded.txt"))
			assert_true(out.len > 0);
		query_unref(q);
	}
	buf_done(&out);
	teardown(&f);
}

static void grouped_renderings_have_a_row_per_value(void **state)
{
	struct fixture f;
	struct buf out = BUF_INIT(LIMIT);
	write_two(&f);
	struct selection *s = select_type("cpu");
	s->by = strdup("pod");
	struct query *q = ask(&f, s);
	render(q, "metrics.prom", &out);
	assert_non_null(strstr((char *)out.data, "{service=\"svc\",type=\"cpu\",pod=\"a\"} "));
	assert_non_null(strstr((char *)out.data, "{service=\"svc\",type=\"cpu\",pod=\"b\"} "));
	render(q, "heatmap.svg", &out);
	assert_non_null(strstr((char *)out.data, "1 profile, a: 2.36us, "));
	query_unref(q);
	buf_done(&out);
	teardown(&f);
}

static void equal_selections_give_equal_bytes(void **state)
{
	struct fixture one, other;
	struct buf a = BUF_INIT(LIMIT), b = BUF_INIT(LIMIT);
	write_two(&one);
	setup(&other); /* the same profiles, the later first, in one segment */
	const struct spec specs[] = {
		{ .time = T0 + 60 * SECOND,
		  .duration = 10 * SECOND,
		  .types = "samples/count,cpu/nanoseconds",
		  .labels = "pod=b",
		  .samples = second },
		{ .time = T0,
		  .duration = 10 * SECOND,
		  .types = "samples/count,cpu/nanoseconds",
		  .labels = "pod=a",
		  .samples = first },
	};
	write_specs(&other, (const struct spec *const[]){ &specs[0], &specs[1] }, 2);
	struct query *p = ask(&one, select_type("cpu")), *q = ask(&other, select_type("cpu"));
	for (size_t i = 0; renderings[i]; i++) {
		if (!(renderings[i]->where & RENDER_TYPE))
			continue;
		render(p, renderings[i]->name, &a);
		render(q, renderings[i]->name, &b);
		if (a.len != b.len || memcmp(a.data, b.data, a.len))
			fail_msg("%s differs", renderings[i]->name);
	}
	query_unref(p);
	query_unref(q);
	buf_done(&a);
	buf_done(&b);
	teardown(&one);
	teardown(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(renderings_agree_on_the_total),
		cmocka_unit_test(a_first_running_total_is_in_the_sums),
		cmocka_unit_test(the_merged_pprof_reads_back),
		cmocka_unit_test(single_profiles_come_back_as_they_came_in),
		cmocka_unit_test(top_is_what_pprof_prints_of_the_same),
		cmocka_unit_test(an_empty_selection_renders_everywhere),
		cmocka_unit_test(grouped_renderings_have_a_row_per_value),
		cmocka_unit_test(equal_selections_give_equal_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

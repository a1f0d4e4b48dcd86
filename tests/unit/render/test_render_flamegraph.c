/* SPDX-License-Identifier: MIT */
/*
 * The flame graph: complete without script, well-formed whatever the names, never wider than its parent,
 * bounded. With PROFILEFS_PICTURES=FOLDER it also writes the pictures that tests/browser opens.
 */
#include "xmllint.h"

#include <math.h>

#include "core/render/flamegraph.h"

static void every_frame_has_a_rectangle_and_a_title(void **state)
{
	struct query q;
	given(&q, "cpu", "nanoseconds");
	given_stacks(&q, "main.main;main.work;runtime.mallocgc "
	                 "1000000000\nmain.main;main.work;runtime.memmove 3000000000\n");
	char *out = rendered(&q, "flamegraph.svg");
	assert_well_formed(out);
	assert_contains(out, "<title>all (4s, 100%)</title>");
	assert_contains(out, "<title>runtime.mallocgc (1s, 25.00%, self 1s)</title>");
	assert_contains(out, ">runtime.memmove</text>");
	assert_contains(out, "cpu: total 4s, 100%");
	assert_lacks(out, "not drawn,");
	free(out);
	given_done(&q);
}

static void the_root_is_at_the_bottom(void **state)
{
	struct query q;
	given(&q, "samples", "count");
	given_stacks(&q, "a;b;c;d 1\n");
	char *out = rendered(&q, "flamegraph.svg");
	char *frames = strstr(out, "<g class=\"frames\">");
	double last = 1e9;
	for (char *p = frames; (p = strstr(p, " y=\"")) && p < strstr(out, "class=\"bar\""); p += 4) {
		if (strstr(p, "<rect") && strncmp(strchr(p + 4, '"'), "\" width", 7))
			continue;
		assert_true(atof(p + 4) < last);
		last = atof(p + 4);
	}
	assert_true(last < 1e9);
	free(out);
	given_done(&q);
}

static void hostile_names_are_text(void **state)
{
	static const char *const names[] = {
		"</title></rect></svg><script>alert(1)</script>",
		"]]><![CDATA[",
		"\" onclick=\"alert(1)",
		"a&b&lt;c;",
		"\xff\xfe\x80",
		"\x01\x1b[31m",
		"\xef\xbf\xbe",
		"\xed\xa0\x80",
		"back\\slash\nline",
		"\xe2\x80\xae"
		"gnp",
		"",
	};
	struct query q;
	given(&q, "cpu", "nanoseconds");
	given_stacks(&q, "a 1\nb 1\nc 1\nd 1\ne 1\nf 1\ng 1\nh 1\ni 1\nj 1\nk 1\n");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		q.frames[i].name = str_of(names[i]);
	q.selection.service = (char *)"</title><script>x";
	snprintf(q.info.type, sizeof q.info.type, "<cpu>&\x02");
	char *out = rendered(&q, "flamegraph.svg");
	assert_well_formed(out);
	assert_int_equal(count_of(out, "<script"), 1);
	assert_int_equal(count_of(out, "]]>"), 1);
	assert_lacks(out, "onclick=\"");
	assert_contains(out, "back\\\\slash\\nline");
	free(out);
	given_done(&q);
}

static void nothing_comes_from_elsewhere(void **state)
{
	struct query q;
	given(&q, "cpu", "nanoseconds");
	given_stacks(&q, "a;b 1\n");
	char *out = rendered(&q, "flamegraph.svg");
	assert_lacks(out, "eval(");
	assert_lacks(out, "innerHTML");
	assert_lacks(out, "href");
	assert_lacks(out, "url(");
	assert_lacks(out, "@import");
	/* Only the names of the two XML dialects look like addresses. */
	assert_int_equal(count_of(out, "://"), count_of(out, "http://www.w3.org/2000/svg") +
	                                               count_of(out, "http://www.w3.org/1999/xhtml"));
	free(out);
	given_done(&q);
}

static void an_empty_selection_says_so(void **state)
{
	struct query q;
	given(&q, "cpu", "nanoseconds");
	given_stacks(&q, "");
	q.info.profiles = 0;
	char *out = rendered(&q, "flamegraph.svg");
	assert_well_formed(out);
	assert_contains(out, "no profiles in this selection");
	free(out);
	given_done(&q);
}

static void negative_values_are_told(void **state)
{
	struct query q;
	given(&q, "inuse_space", "bytes");
	given_stacks(&q, "a;b 100\na;c -40\n");
	char *out = rendered(&q, "flamegraph.svg");
	assert_well_formed(out);
	assert_contains(out, "1 negative value not drawn");
	free(out);
	given_done(&q);
}

/* A root with n children of width 1 beside one that is as wide as all of them. */
static char *many(size_t n)
{
	size_t len;
	struct buf b = BUF_INIT(1 << 26);
	for (size_t i = 0; i < n; i++)
		buf_printf(&b, "main;f%07zu;leaf 1\n", i);
	buf_printf(&b, "main;wide %zu\n", n);
	buf_putc(&b, 0);
	return (char *)buf_take(&b, &len);
}

static void narrow_frames_are_gathered_and_told(void **state)
{
	struct query q;
	char *stacks = many(8000);
	given(&q, "samples", "count");
	given_stacks(&q, stacks);
	char *out = rendered(&q, "flamegraph.svg");
	assert_well_formed(out);
	assert_contains(out, "16,000 frames below 0.1 px not drawn, 50.00% of the total");
	assert_contains(out, "<title>16,000 frames, too narrow to draw (8000, 50.00%)</title>");
	assert_contains(out, "f0004711");
	free(out);
	given_done(&q);
	free(stacks);
}

static void elements_are_bounded(void **state)
{
	struct query q;
	char *stacks = many(5000);
	given(&q, "samples", "count");
	given_stacks(&q, stacks);
	char *out = rendered(&q, "flamegraph.svg");
	assert_true(count_of(out, "<rect") <= 8002);
	assert_contains(out, "px not drawn");
	free(out);
	given_done(&q);
	free(stacks);
}

static void deep_stacks_end_at_a_level(void **state)
{
	struct query q;
	size_t n = 5000;
	char *stack = malloc(2 * n + 8), *p = stack;
	for (size_t i = 0; i < n; i++)
		p = mempcpy(p, "f;", 2);
	strcpy(p - 1, " 7\n");
	given(&q, "samples", "count");
	given_stacks(&q, stack);
	char *out = rendered(&q, "flamegraph.svg");
	assert_well_formed(out);
	assert_contains(out, "4,001 frames below 0.1 px or above level 1000 not drawn");
	free(out);
	given_done(&q);
	free(stack);
}

static void sums_beyond_64_bits_are_drawn(void **state)
{
	struct query q;
	given(&q, "samples", "count");
	given_stacks(&q, "a 9223372036854775807\nb 9223372036854775807\nc 9223372036854775807\n");
	char *out = rendered(&q, "flamegraph.svg");
	assert_well_formed(out);
	assert_contains(out, "width=\"393.33\"");
	assert_contains(out, "data-shift=\"12\"");
	free(out);
	given_done(&q);
}

static struct str package(const char *name)
{
	return flame_package(str_of(name));
}

static void colours_go_by_package(void **state)
{
	assert_true(str_eq(package("github.com/foo/bar.(*T).Method"), STR("github.com/foo/bar")));
	assert_true(str_eq(package("runtime.gcBgMarkWorker.func1"), STR("runtime")));
	assert_true(str_eq(package("runtime.(*mcache).refill"), STR("runtime")));
	assert_true(str_eq(package("main.Map[go.shape.int]"), STR("main")));
	assert_true(str_eq(package("std::vector<int>::push_back"), STR("std")));
	assert_true(str_eq(package("tokio::runtime::task::poll"), STR("tokio")));
	assert_true(str_eq(package("java.util.HashMap.put"), STR("java.util")));
	assert_true(str_eq(package("java/lang/Thread.run"), STR("java/lang/Thread")));
	assert_true(str_eq(package("malloc"), STR("malloc")));
	assert_true(str_eq(package("operator new(unsigned long)"), STR("operator")));
	assert_true(str_eq(package("::x"), STR("::x")));
	assert_int_equal(package("").len, 0);
	assert_int_equal(flame_colour(&(struct frame){ .name = STR("0x12") }), FLAME_COLOURS);
}

/* Relative luminance of a colour written as #rrggbb (WCAG 2.1). */
static double luminance(const char *hex)
{
	static const double weights[] = { 0.2126, 0.7152, 0.0722 };
	double sum = 0;
	for (int i = 0; i < 3; i++) {
		char two[3] = { hex[1 + 2 * i], hex[2 + 2 * i], 0 };
		double c = (double)strtol(two, NULL, 16) / 255;
		sum += weights[i] * (c <= 0.04045 ? c / 12.92 : pow((c + 0.055) / 1.055, 2.4));
	}
	return sum;
}

static double contrast(const char *a, const char *b)
{
	double la = luminance(a), lb = luminance(b);
	return (MAX(la, lb) + 0.05) / (MIN(la, lb) + 0.05);
}

static void text_is_readable_on_every_colour(void **state)
{
	for (int compares = 0; compares < 2; compares++) {
		struct buf b = BUF_INIT(1 << 16);
		flame_palette(&b, compares);
		buf_putc(&b, 0);
		char *dark = strstr((char *)b.data, "@media");
		size_t n = 0;
		for (char *p = (char *)b.data; (p = strstr(p, "fill:#")); p += 5, n++)
			assert_true(contrast(p + 5, p < dark ? "#111111" : "#f4f4f4") >= 4.5);
		assert_int_equal(n, 2 * (compares ? FLAME_CHANGES : FLAME_COLOURS + 2));
		buf_done(&b);
	}
	assert_true(contrast("#e600e6", "#111111") >= 4.5);
}

/* ---- comparisons ---- */

static int frame_cmp(const void *a, const void *b, void *frames)
{
	const struct frame *f = frames;
	return str_cmp(f[*(const uint32_t *)a].name, f[*(const uint32_t *)b].name);
}

/* As query_tree() has them, which a comparison relies on. */
static void sort_frames(struct query *q)
{
	uint32_t n_frames = q->tree.n_frames;
	uint32_t *order = calloc(n_frames + 1, sizeof *order), *at = calloc(n_frames + 1, sizeof *at);
	struct frame *sorted = calloc(n_frames + 1, sizeof *sorted);
	for (uint32_t i = 0; i < n_frames; i++)
		order[i] = i;
	qsort_r(order, n_frames, sizeof *order, frame_cmp, q->frames);
	for (uint32_t i = 0; i < n_frames; i++) {
		sorted[i] = q->frames[order[i]];
		at[order[i]] = i;
	}
	for (uint32_t i = 1; i < q->tree.n_nodes; i++)
		q->nodes[i].frame = at[q->nodes[i].frame];
	free(q->frames);
	free(order);
	free(at);
	q->tree.frames = q->frames = sorted;
}

static void compare(struct query *q, struct query *base, const char *before, const char *after)
{
	given(q, "cpu", "nanoseconds");
	given_stacks(q, after);
	sort_frames(q);
	given(base, "cpu", "nanoseconds");
	given_stacks(base, before);
	sort_frames(base);
	q->baseline = base;
}

static void compare_done(struct query *q, struct query *base)
{
	given_done(q);
	given_done(base);
}

static void a_comparison_tells_what_changed_in_words(void **state)
{
	struct query q, base;
	compare(&q, &base, "main;grows 1000\nmain;moves 400\nmain;old 300\nmain;same 100\nmain;shrinks 200\n",
	        "main;grows 1500\nmain;new 100\nmain;other;moves 400\nmain;same 100\nmain;shrinks 100\n");
	char *out = rendered(&q, "flamegraph.svg");
	assert_well_formed(out);
	assert_contains(out, "cpu: total 2.20us against 2us (+10%)");
	assert_contains(out, "<title>grows (grew by 500ns, +50%: now 1.50us (68.18%), before 1us (50.00%))</title>");
	assert_contains(out, "<title>shrinks (shrank by 100ns, \xe2\x88\x92"
	                     "50%: now 100ns (4.55%), before 200ns (10.00%))</title>");
	assert_contains(out, "<title>same (equal: now 100ns");
	assert_contains(out, "<title>new (new: now 100ns (4.55%), before 0 (0%))</title>");
	assert_contains(out, "<title>old (gone: now 0 (0%), before 300ns (15.00%))</title>");
	assert_contains(out, "<title>moves (moved here: ");
	assert_contains(out, "<title>moves (moved away: ");
	assert_contains(out, ">+50% grows</text>");
	assert_contains(out, ">gone old</text>");
	assert_contains(out, "class=\"d8 n\"");
	assert_contains(out, "class=\"d0 g\"");
	free(out);
	compare_done(&q, &base);
}

static void a_normalised_comparison_says_by_how_much(void **state)
{
	struct query q, base;
	compare(&q, &base, "a 100\nb 100\n", "a 1000\nb 1000\n");
	q.selection.options.normalize = true;
	char *out = rendered(&q, "flamegraph.svg");
	assert_contains(out, "total 2us against 200ns (+900%), baseline scaled by 10");
	assert_contains(out, "<title>a (equal: now 1us (50.00%), before 1us (50.00%))</title>");
	assert_lacks(out, "class=\"d8 w");
	free(out);
	compare_done(&q, &base);
}

static void an_empty_comparison_says_so(void **state)
{
	struct query q, base;
	compare(&q, &base, "", "");
	q.info.profiles = 0;
	char *out = rendered(&q, "flamegraph.svg");
	assert_well_formed(out);
	assert_contains(out, "no profiles in this selection");
	free(out);
	compare_done(&q, &base);
}

static void changes_have_a_sign_and_a_class(void **state)
{
	struct buf b = BUF_INIT(1 << 10);
	put_change(&b, 1000, 1055);
	put_change(&b, 100, 30);
	put_change(&b, 100000, 100001);
	put_change(&b, 0, 5);
	buf_putc(&b, 0);
	assert_string_equal((char *)b.data, "+5.5%\xe2\x88\x92" "70%");
	buf_done(&b);
	assert_int_equal(flame_change(0, 0), 4);
	assert_int_equal(flame_change(100, 101), 4);
	assert_int_equal(flame_change(100, 150), 6);
	assert_int_equal(flame_change(0, 1), 8);
	assert_int_equal(flame_change(1, 0), 0);
}

/* ---- pictures for the browser ---- */

static void write_picture(struct query *q, const char *name)
{
	char path[4096];
	snprintf(path, sizeof path, "%s/%s", getenv("PROFILEFS_PICTURES"), name);
	struct buf out = BUF_INIT(OUT_MAX);
	assert_int_equal(rendering_find(strrchr(name, '-') + 1)->render(q, NULL, &out, NULL), 0);
	FILE *f = fopen(path, "w");
	assert_non_null(f);
	assert_int_equal(fwrite(out.data, 1, out.len, f), out.len);
	fclose(f);
	buf_done(&out);
}

/* A few wide frames and 3,000 narrow ones. */
static void given_small(struct query *q)
{
	struct buf b = BUF_INIT(1 << 24);
	buf_puts(&b, "main.main;main.fib;main.fib;main.fib 2000000000\nmain.main;main.parse;json.decode "
	             "1500000000\n");
	buf_puts(&b, "main.main;main.parse;json.scan 500000000\n");
	for (int i = 0; i < 3000; i++)
		buf_printf(&b, "main.main;main.tail;tail.f%04d 10000\n", i);
	buf_puts(&b, "main.main;zz 100000000\n");
	buf_putc(&b, 0);
	given(q, "cpu", "nanoseconds");
	given_stacks(q, (char *)b.data);
	q->frames[q->tree.n_frames - 1].name = STR("<img src=x onerror=alert(1)>\n\\ \"'&amp;]]></script>");
	buf_done(&b);
}

static void write_small(void)
{
	struct query q;
	given_small(&q);
	write_picture(&q, "small-flamegraph.svg");
	write_picture(&q, "small-flamegraph.html");
	given_done(&q);
}

static void write_compared(void)
{
	struct query q, base;
	compare(&q, &base,
	        "main.main;http.Serve;app.Handle;db.Query;net.Read 300000000\n"
	        "main.main;http.Serve;app.Handle;json.Encode 400000000\n"
	        "main.main;http.Serve;app.Handle;old.Render;old.Escape 200000000\n"
	        "main.main;runtime.gc;runtime.mark 250000000\n",
	        "main.main;http.Serve;app.Handle;cache.Get;db.Query;net.Read 100000000\n"
	        "main.main;http.Serve;app.Handle;json.Encode 500000000\n"
	        "main.main;http.Serve;app.Handle;new.Render;new.Escape 350000000\n"
	        "main.main;runtime.gc;runtime.mark 240000000\n");
	write_picture(&q, "compared-flamegraph.svg");
	write_picture(&q, "compared-flamegraph.html");
	compare_done(&q, &base);
}

#define BIG 100000

struct big {
	struct query *q;
	uint32_t n, seed;
};

static uint32_t next_random(struct big *b)
{
	b->seed = b->seed * 1664525u + 1013904223u;
	return b->seed >> 8;
}

static void grow(struct big *b, uint32_t parent, uint32_t frame, uint32_t depth)
{
	if (b->n >= BIG)
		return;
	uint32_t at = b->n++, child = next_random(b) % 50;
	b->q->nodes[at] = (struct call_node){ .frame = frame, .parent = parent, .depth = depth };
	b->q->nodes[at].self = 1000 + next_random(b) % 1000 * (next_random(b) % 64 ? 1 : 1000);
	uint32_t most = depth < 5 ? 9 : depth < 40 ? next_random(b) % 3 : 0;
	for (uint32_t i = 0; i < most && child < b->q->tree.n_frames; i++, child += 1 + next_random(b) % 300)
		grow(b, at, child, depth + 1);
}

/* 100,000 frames of 3,000 functions. */
static void write_big(void)
{
	struct query q;
	struct big b = { .q = &q, .seed = 7 };
	given(&q, "cpu", "nanoseconds");
	q.nodes = calloc(BIG, sizeof *q.nodes);
	q.frames = calloc(3000, sizeof *q.frames);
	q.text = malloc(3000 * 48);
	for (uint32_t i = 0; i < 3000; i++) {
		char *name = q.text + 48 * i;
		snprintf(name, 48, "github.com/org/p%04u.(*Type%u).Method%u", i / 8, i % 3, i);
		q.frames[i].name = str_of(name);
	}
	q.tree = (struct call_tree){ q.nodes, 0, q.frames, 3000, 0, q.info.type, q.info.unit };
	b.n = 1;
	q.nodes[0] = (struct call_node){ .frame = PROFILE_NONE, .parent = PROFILE_NONE };
	for (uint32_t i = 0; b.n < BIG; i++)
		grow(&b, 0, i % 3000, 1);
	for (uint32_t i = q.tree.n_nodes = b.n; i-- > 0;) {
		q.nodes[i].total += q.nodes[i].self;
		q.nodes[i].end = MAX(q.nodes[i].end, i + 1);
		struct call_node *up = i ? &q.nodes[q.nodes[i].parent] : NULL;
		if (up) {
			up->total += q.nodes[i].total;
			up->end = MAX(up->end, q.nodes[i].end);
		}
	}
	q.tree.total = q.nodes[0].total;
	write_picture(&q, "big-flamegraph.svg");
	write_picture(&q, "big-flamegraph.html");
	given_done(&q);
}

/* info.json has the numbers that the picture says. */
static void what_is_left_out_is_told(void **state)
{
	struct query q;
	given_small(&q);
	char *svg = rendered(&q, "flamegraph.svg"), *info = rendered(&q, "info.json");
	assert_contains(svg, "3,000 frames below 0.1 px not drawn");
	assert_contains(info, "\"left_out\": 3000,\n      \"least_width_px\": 0.1");
	assert_contains(info, "\"values_below_zero\": 0");
	const char *zoomed = strstr(info, "\"zoomed\"");
	assert_non_null(zoomed);
	assert_contains(zoomed, "\"left_out\": 0");
	free(svg);
	free(info);
	given_done(&q);
}

static void the_pictures_for_the_browser_are_written(void **state)
{
	if (!getenv("PROFILEFS_PICTURES")) {
		print_message("SKIPPED: PROFILEFS_PICTURES names no folder\n");
		skip();
	}
	write_small();
	write_compared();
	write_big();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_frame_has_a_rectangle_and_a_title),
		cmocka_unit_test(the_root_is_at_the_bottom),
		cmocka_unit_test(hostile_names_are_text),
		cmocka_unit_test(nothing_comes_from_elsewhere),
		cmocka_unit_test(an_empty_selection_says_so),
		cmocka_unit_test(negative_values_are_told),
		cmocka_unit_test(narrow_frames_are_gathered_and_told),
		cmocka_unit_test(elements_are_bounded),
		cmocka_unit_test(deep_stacks_end_at_a_level),
		cmocka_unit_test(sums_beyond_64_bits_are_drawn),
		cmocka_unit_test(colours_go_by_package),
		cmocka_unit_test(text_is_readable_on_every_colour),
		cmocka_unit_test(a_comparison_tells_what_changed_in_words),
		cmocka_unit_test(a_normalised_comparison_says_by_how_much),
		cmocka_unit_test(an_empty_comparison_says_so),
		cmocka_unit_test(changes_have_a_sign_and_a_class),
		cmocka_unit_test(what_is_left_out_is_told),
		cmocka_unit_test(the_pictures_for_the_browser_are_written),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */

/*
 * Latencies: each query runs in children of its own. The first answer, opening the store included, is the cold one
 * (files lie in the page cache); those after it are warm: tables are decoded, results are made anew each time.
 */

#include <string.h>

#include "../../core/paths/paths.h"
#include "bench.h"
#include "measure.h"
#include "phases.h"

enum query_kind { Q_RENDER, Q_ORIGINAL, Q_SERVICES, Q_VALUES, Q_OPEN, Q_DIRECTORY, Q_FILE };

struct spec {
	enum query_kind kind;
	const char *name;
	const struct rendering *rendering;
	const char *service; /* NULL: all */
	unsigned hours;
	const char *by;
};

struct asked {
	struct run *run;
	const struct spec *spec;
	bool last; /* goes on with the warm ones and prints */
	double *cold; /* shared; this child's */
	struct series_of colds;
	/* of this child */
	struct store *store;
	struct db *db;
	struct ulid id; /* of the profile for Q_ORIGINAL */
	bool has_id;
	size_t bytes;
	int64_t total;
	uint64_t profiles;
};

static int make_selection(const struct asked *a, struct selection **ret)
{
	struct selection *s = selection_new();
	if (!s)
		return -ENOMEM;
	s->service = a->spec->service ? strdup(a->spec->service) : NULL;
	s->to = a->run->data.end;
	s->from = s->to - (int64_t)a->spec->hours * NS_PER_HOUR;
	s->has_time = true;
	s->type = strdup("cpu");
	s->by = a->spec->by ? strdup(a->spec->by) : NULL;
	*ret = s;
	return 0;
}

/* The middle profile of the selection; found once, so that looking for it is not measured. */
static int pick_profile(struct asked *a, struct query *q, struct error *err)
{
	const struct point *points;
	size_t n;
	int e = query_points(q, NULL, &points, &n, err);
	if (e || !n)
		return e ?: error_set(err, -ENOENT, "no profile to restore");
	a->id = points[n / 2].id;
	a->has_id = true;
	return 0;
}

static int restore_one(struct asked *a, struct view *v, struct error *err)
{
	_cleanup_(selection_freep) struct selection *sel = NULL;
	_cleanup_(query_unrefp) struct query *q = NULL;
	_buf_ struct buf out = BUF_INIT((size_t)256 << 20);
	int e = make_selection(a, &sel);
	if (e)
		return e;
	sel->has_id = a->has_id;
	sel->id = a->id;
	e = query_new(v, sel, NULL, &q, err);
	if (!e && !a->has_id)
		e = pick_profile(a, q, err);
	if (!e)
		e = render_original(q, &a->id, NULL, &out, err);
	a->bytes = out.len;
	return e;
}

static int count_values(struct asked *a, struct query *q, struct error *err)
{
	const struct labels *labels;
	int e = query_labels(q, false, NULL, &labels, err);
	for (size_t i = 0; !e && i < labels->n; i++)
		a->bytes += labels->v[i].n;
	return e;
}

static int ask_query(struct asked *a, struct view *v, struct error *err)
{
	_cleanup_(selection_freep) struct selection *sel = NULL;
	_cleanup_(query_unrefp) struct query *q = NULL;
	_buf_ struct buf out = BUF_INIT((size_t)256 << 20);
	int e = make_selection(a, &sel);
	if (!e)
		e = query_new(v, sel, NULL, &q, err);
	if (e)
		return e;
	a->bytes = 0;
	if (a->spec->kind == Q_VALUES)
		return count_values(a, q, err);
	e = a->spec->rendering->render(q, NULL, &out, err);
	a->bytes = out.len;
	a->profiles = query_info(q)->profiles;
	return e ?: buf_err(&out);
}

static int list_services(struct asked *a, struct error *err)
{
	_names_ struct names names = { 0 };
	int e = db_services(a->db, 0, &names, err); /* age 0: a listing of the store each time */
	a->bytes = names.n;
	return e;
}

/* What `ls -l` of a directory asks for: its list, and each file's size, which is that of its bytes. */
static int render_each(struct asked *a, struct tree *t, struct node *dir, struct error *err)
{
	_cleanup_(listing_freep) struct listing *l = NULL;
	struct entry entry;
	int e = listing_new(t, dir, NULL, &l, err);
	a->bytes = 0;
	for (uint64_t i = 0; !e && listing_entry(l, i, &entry); i++) {
		_cleanup_(node_unrefp) struct node *file = NULL;
		_cleanup_(content_unrefp) struct content *c = NULL;
		if (entry.kind != NODE_FILE)
			continue;
		e = tree_lookup(t, dir, entry.name, NULL, &file, err);
		e = e ?: tree_render(t, file, NULL, &c, err);
		a->bytes += c ? c->len : 0;
	}
	return e;
}

static int render_file(struct asked *a, struct tree *t, struct node *file, struct error *err)
{
	_cleanup_(content_unrefp) struct content *c = NULL;
	int e = tree_render(t, file, NULL, &c, err);
	a->bytes = c ? c->len : 0;
	return e;
}

/* A directory, or a file named from there. */
static int read_path(struct asked *a, struct error *err)
{
	_cleanup_(tree_freep) struct tree *t = NULL; /* new each time: it keeps plans and bytes */
	_cleanup_(node_unrefp) struct node *n = NULL;
	char path[512], from[TIME_LEN], to[TIME_LEN];
	int64_t end = a->run->data.end;
	bool file = a->spec->kind == Q_FILE;
	snprintf(path, sizeof path, "%s/%s--%s/cpu%s%s", a->spec->service ?: "@all",
	         time_format_compact(end - (int64_t)a->spec->hours * NS_PER_HOUR, from), time_format_compact(end, to),
	         file ? "/" : "", file ? a->spec->name : "");
	int e = tree_new(a->db, &(struct tree_options){ 0 }, &t, err);
	e = e ?: tree_walk(t, file && a->spec->name[0] == '.' ? a->spec->name : path, true, NULL, &n, err);
	return e ?: file ? render_file(a, t, n, err) : render_each(a, t, n, err);
}

static int ask(struct asked *a, struct error *err)
{
	_cleanup_(view_unrefp) struct view *v = NULL;
	if (a->spec->kind == Q_SERVICES)
		return list_services(a, err);
	if (a->spec->kind == Q_DIRECTORY || a->spec->kind == Q_FILE)
		return read_path(a, err);
	int e = db_view(a->db, VIEW_MAX_AGE, &v, err);
	if (e || a->spec->kind == Q_OPEN)
		return e;
	return a->spec->kind == Q_ORIGINAL ? restore_one(a, v, err) : ask_query(a, v, err);
}

static int open_all(struct asked *a, struct error *err)
{
	int e = store_open(a->run->store, &(struct store_options){ .read_only = true }, &a->store, err);
	return e ?: db_open(a->store, &(struct db_options){ 0 }, &a->db, err);
}

/* What a file of a directory takes whose results are there: CPU ms of rendering it once more from the same query. */
static int render_again(struct asked *a, struct query *q, struct series_of *ret_cpu, struct error *err)
{
	_buf_ struct buf out = BUF_INIT((size_t)256 << 20);
	int e = 0;
	for (unsigned i = 0; !e && i <= a->run->runs; i++) {
		struct stopwatch start = stopwatch_start();
		buf_reset(&out);
		e = a->spec->rendering->render(q, NULL, &out, err) ?: buf_err(&out);
		if (i)
			series_add(ret_cpu, (double)stopwatch_read(&start).cpu / 1e6);
	}
	return e;
}

/* Outside the measurement: also the total of the call tree, for comparison with the data set's index. */
static int look_closer(struct asked *a, struct series_of *ret_cpu, struct error *err)
{
	_cleanup_(selection_freep) struct selection *sel = NULL;
	_cleanup_(query_unrefp) struct query *q = NULL;
	_cleanup_(view_unrefp) struct view *v = NULL;
	const struct call_tree *tree;
	int e = db_view(a->db, VIEW_MAX_AGE, &v, err);
	if (!e)
		e = make_selection(a, &sel);
	if (!e)
		e = query_new(v, sel, NULL, &q, err);
	if (!e)
		e = query_tree(q, NULL, &tree, err);
	if (!e)
		a->total = tree->total;
	return e ?: render_again(a, q, ret_cpu, err);
}

struct warm {
	struct series_of wall, cpu; /* of a query made anew */
	struct series_of again;     /* of rendering alone, CPU */
};

static void print_latency(struct asked *a, struct warm *warm, const struct store_counts *after_cold)
{
	struct store_counts none = { 0 };
	struct figure f;
	figure_begin(&f, "latency");
	figure_text(&f, "query", a->spec->name);
	figure_text(&f, "of", a->spec->service ?: "everything");
	if (a->spec->kind != Q_SERVICES && a->spec->kind != Q_OPEN)
		figure_count(&f, "hours", a->spec->hours);
	series_add(&a->colds, *a->cold);
	figure_number(&f, "cold_ms", series_median(&a->colds));
	figure_number(&f, "median_ms", series_median(&warm->wall));
	figure_number(&f, "min_ms", warm->wall.v[0]);
	figure_number(&f, "max_ms", warm->wall.n ? warm->wall.v[warm->wall.n - 1] : 0);
	figure_number(&f, "cpu_ms", series_median(&warm->cpu));
	figure_count(&f, "answer", a->bytes);
	if (a->spec->kind == Q_RENDER) {
		double ms = series_median(&warm->again);
		figure_number(&f, "again_cpu_ms", ms);
		figure_number(&f, "mb_per_s", ms > 0 ? (double)a->bytes / 1e3 / ms : 0);
	}
	figure_number(&f, "peak_mb", peak_mb());
	if (a->spec->kind == Q_RENDER) {
		uint64_t n;
		int64_t end = a->run->data.end;
		int64_t want = dataset_index_cpu_total(&a->run->data, a->spec->service,
		                                 end - (int64_t)a->spec->hours * NS_PER_HOUR, end, &n);
		figure_count(&f, "profiles", a->profiles);
		figure_bool(&f, "exact", want == a->total && n == a->profiles);
	}
	struct store cold = { .counts = *after_cold };
	figure_requests(&f, &none, &cold);
	figure_count(&f, "warm_requests", a->store->counts.get + a->store->counts.list - after_cold->get -
	                                         after_cold->list);
	figure_end(&f);
}

static int ask_warm(struct asked *a, struct error *err)
{
	struct warm warm = { 0 };
	struct store_counts after_cold = a->store->counts;
	int e = 0;
	for (unsigned i = 0; !e && i < a->run->runs; i++) {
		struct stopwatch start = stopwatch_start();
		e = ask(a, err);
		struct stopwatch t = stopwatch_read(&start);
		series_add(&warm.wall, (double)t.wall / 1e6);
		series_add(&warm.cpu, (double)t.cpu / 1e6);
	}
	if (!e && a->spec->kind == Q_RENDER)
		e = look_closer(a, &warm.again, err);
	if (!e)
		print_latency(a, &warm, &after_cold);
	return e;
}

static int ask_child(void *arg)
{
	struct asked *a = arg;
	struct error err = { 0 };
	struct stopwatch start = stopwatch_start();
	int e = open_all(a, &err);
	if (!e)
		e = ask(a, &err);
	*a->cold = (double)stopwatch_read(&start).wall / 1e6;
	if (!e && a->last)
		e = ask_warm(a, &err);
	db_closep(&a->db);
	store_freep(&a->store);
	if (e)
		complain("%s of %s: %s", a->spec->name, a->spec->service ?: "everything", error_text(&err, e));
	return e;
}

static bool is_wanted(const struct run *r, const struct spec *spec)
{
	char text[256];
	snprintf(text, sizeof text, "%s %s %u", spec->name, spec->service ?: "everything", spec->hours);
	return !r->match || strstr(text, r->match);
}

static int run_spec(struct run *r, const struct spec *spec)
{
	if (!is_wanted(r, spec))
		return 0;
	struct asked a = { .run = r, .spec = spec, .cold = &r->shared->cold };
	int e = 0;
	for (int i = 0; i < 2; i++) {
		e = e ?: in_child(ask_child, &a);
		series_add(&a.colds, r->shared->cold);
	}
	a.last = true;
	return e ?: in_child(ask_child, &a);
}

int query_renderings(struct run *r, const char *service, unsigned hours)
{
	int e = 0;
	for (const struct rendering *const *p = renderings; *p; p++) {
		struct spec s = { Q_RENDER, (*p)->name, *p, service, hours, NULL };
		if ((*p)->where & RENDER_TYPE)
			e = run_spec(r, &s) ?: e;
	}
	return e;
}

static int find_least_cpu(void *arg)
{
	struct asked *a = arg;
	struct error err = { 0 };
	struct series_of cpu = { 0 };
	int e = open_all(a, &err);
	for (unsigned i = 0; !e && i <= a->run->runs; i++) {
		struct stopwatch start = stopwatch_start();
		e = ask(a, &err);
		if (i)
			series_add(&cpu, (double)stopwatch_read(&start).cpu / 1e6);
	}
	series_median(&cpu);
	a->run->shared->least_cpu = cpu.v[0];
	db_closep(&a->db);
	store_freep(&a->store);
	if (e)
		complain("%s of %s: %s", a->spec->name, a->spec->service, error_text(&err, e));
	return e;
}

int query_least_cpu(struct run *r, const struct rendering *rendering, const char *service, double *ret_ms)
{
	struct spec s = { Q_RENDER, rendering->name, rendering, service, 1, NULL };
	int e = in_child(find_least_cpu, &(struct asked){ .run = r, .spec = &s });
	*ret_ms = r->shared->least_cpu;
	return e;
}

int phase_query(void *arg)
{
	struct run *r = arg;
	const struct spec specs[] = {
		{ Q_OPEN, "start to ready", NULL, NULL, 0, NULL },
		{ Q_SERVICES, "services", NULL, NULL, 0, NULL },
		{ Q_VALUES, "label values", NULL, r->service, 6, NULL },
		{ Q_ORIGINAL, "one profile by id", NULL, r->service, 6, NULL },
		{ Q_DIRECTORY, "all files of a directory", NULL, r->service, 1, NULL },
		{ Q_DIRECTORY, "all files of a directory", NULL, r->service, 6, NULL },
		{ Q_DIRECTORY, "all files of a directory", NULL, NULL, 6, NULL },
		{ Q_FILE, "functions/runtime.mallocgc/top.txt", NULL, r->service, 6, NULL },
		{ Q_FILE, "functions/runtime.mallocgc/top.txt", NULL, NULL, 6, NULL },
		{ Q_FILE, "functions/no.such.function/top.txt", NULL, NULL, 6, NULL },
		{ Q_FILE, ".profilefs/search/runtime.mallocgc.tsv", NULL, NULL, 6, NULL },
		{ Q_FILE, ".profilefs/search/main.main.tsv", NULL, NULL, 6, NULL },
		{ Q_FILE, ".profilefs/search/no.such.function.tsv", NULL, NULL, 6, NULL },
		{ Q_RENDER, "by-pod/metrics.csv", &render_metrics_csv, r->service, 6, "pod" },
		{ Q_RENDER, "by-service/metrics.csv", &render_metrics_csv, NULL, 6, "service" },
	};
	int e = 0;
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
		e = run_spec(r, &specs[i]) ?: e;
	e = query_renderings(r, r->service, 1) ?: e;
	e = query_renderings(r, r->service, 6) ?: e;
	return query_renderings(r, NULL, 6) ?: e;
}

/* SPDX-License-Identifier: MIT */

/*
 * bench gen: makes a data set as a fleet would have written it: SERVICE/POD/TIME.pb.gz, index.jsonl (one line a
 * profile, with its labels and the total of each type, so that answers can be checked) and dataset.json (the settings).
 */

#include <dirent.h>
#include <getopt.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "../../core/base/clock.h"
#include "../../core/format/format.h"
#include "../../core/wire/gz.h"
#include "../../core/wire/jsonw.h"
#include "bench.h"
#include "files.h"
#include "model.h"

struct preset {
	const char *name;
	unsigned services, pods, hours, cpu_every; /* seconds */
};

static const struct preset presets[] = {
	{ "small", 2, 2, 1, 30 }, /* about 500 profiles */
	{ "large", 6, 6, 6, 90 }, /* about 10,000 */
};

struct settings {
	struct preset preset;
	const char *base, *out;
	uint64_t seed;
	int64_t start, end;
	char *services; /* separated by commas; NULL: the first ones by name */
	unsigned workers;
};

struct job {
	const struct service *service;
	enum base_type type;
	unsigned pod;
	int64_t time, duration;
	char *path;
	char *line; /* of the index, once made */
	size_t gz_size, raw_size;
};

struct gen {
	struct settings set;
	struct service *services;
	VEC(struct job) jobs;
	atomic_size_t next;
	atomic_int failed;
};

static void gen_done(struct gen *g)
{
	for (size_t i = 0; i < g->jobs.n; i++) {
		free(g->jobs.v[i].path);
		free(g->jobs.v[i].line);
	}
	VEC_DONE(&g->jobs);
	for (unsigned i = 0; g->services && i < g->set.preset.services; i++)
		service_done(&g->services[i]);
	free(g->services);
	free(g->set.services);
}

/* ---- what is to be made ---- */

static int add_job(struct gen *g, const struct service *s, enum base_type type, unsigned pod, int64_t t,
                   int64_t duration)
{
	char name[128], time[TIME_LEN];
	struct job *j = VEC_PUSH(&g->jobs);
	if (!j)
		return -ENOMEM;
	pod_name(s, pod, name, sizeof name);
	*j = (struct job){ s, type, pod, t, duration, NULL, NULL, 0, 0 };
	return asprintf(&j->path, "%s/%s/%s.pb.gz", s->name, name, time_format_rfc3339(t, time)) < 0 ? -ENOMEM : 0;
}

static int plan_pod(struct gen *g, const struct service *s, unsigned pod)
{
	const int64_t every[] = { g->set.preset.cpu_every, 900, 1800, 3600 }, duration[] = { 10, 900, 0, 3600 };
	/* Pods do not start in step. */
	int64_t jitter = (int64_t)(service_hash(s, (uint64_t[]){ pod, 77 }, 2) % 15) * 4;
	for (int type = 0; type < N_BASE_TYPES; type++) {
		int64_t t = g->set.start + (jitter + type) * NS_PER_S;
		for (; s->has[type] && t < g->set.end; t += every[type] * NS_PER_S)
			if (add_job(g, s, type, pod, t, duration[type] * NS_PER_S))
				return -ENOMEM;
	}
	return 0;
}

static int cmp_job(const void *a_, const void *b_)
{
	const struct job *a = a_, *b = b_;
	return CMP(a->time, b->time) ?: strcmp(a->path, b->path);
}

static int plan(struct gen *g)
{
	int e = 0;
	for (unsigned s = 0; s < g->set.preset.services; s++)
		for (unsigned pod = 0; !e && pod < g->set.preset.pods; pod++)
			e = plan_pod(g, &g->services[s], pod);
	if (!e)
		qsort(g->jobs.v, g->jobs.n, sizeof *g->jobs.v, cmp_job);
	return e;
}

/* ---- making it ---- */

static void put_label(struct jsonw *w, const char *key, const char *value)
{
	jsonw_key(w, key);
	jsonw_str(w, value);
}

static void put_number(struct jsonw *w, const char *key, int64_t value)
{
	jsonw_key(w, key);
	jsonw_i64(w, value);
}

static void put_totals(struct jsonw *w, const struct profile *p)
{
	jsonw_key(w, "totals");
	jsonw_object(w);
	for (size_t t = 0; t < p->types.n; t++) {
		int64_t sum = 0;
		for (size_t i = 0; i < p->n_samples; i++)
			sum += p->values.v[i * p->types.n + t];
		jsonw_keyn(w, profile_str(p, p->types.v[t].type));
		jsonw_i64(w, sum);
	}
	jsonw_end_object(w);
}

static int describe(struct job *j, const struct profile *p)
{
	_buf_ struct buf out = BUF_INIT(1 << 16);
	struct jsonw w = { .out = &out, .compact = true };
	char pod[128];
	pod_name(j->service, j->pod, pod, sizeof pod);
	jsonw_object(&w);
	put_label(&w, "path", j->path);
	put_label(&w, "service", j->service->name);
	put_label(&w, "pod", pod);
	jsonw_key(&w, "labels");
	jsonw_object(&w);
	put_label(&w, "pod", pod);
	put_label(&w, "region", pod_region(j->pod));
	put_label(&w, "service_name", j->service->name);
	put_label(&w, "version", build_name(service_build(j->service, j->pod, j->time)));
	jsonw_end_object(&w);
	put_label(&w, "type", base_type_names[j->type]);
	put_number(&w, "start_ns", j->time);
	put_number(&w, "duration_ns", j->duration);
	put_number(&w, "gz_size", (int64_t)j->gz_size);
	put_number(&w, "raw_size", (int64_t)j->raw_size);
	put_number(&w, "samples", (int64_t)p->n_samples);
	put_totals(&w, p);
	jsonw_end_object(&w);
	buf_puts(&out, "\n");
	j->line = buf_err(&out) ? NULL : strndup((char *)out.data, out.len);
	return j->line ? 0 : -ENOMEM;
}

static int make(struct gen *g, struct job *j, struct subset *subset, struct buf *raw, struct buf *gz)
{
	_free_ char *path = NULL;
	struct error err = { 0 };
	buf_reset(raw);
	buf_reset(gz);
	int e = service_generate(j->service, j->type, j->pod, j->time, j->duration, subset);
	if (!e)
		e = pprof_encode(&subset->out, raw);
	if (!e)
		e = gz_compress(buf_slice(raw), 1, gz); /* as the Go runtime does: at the fastest level */
	if (!e && asprintf(&path, "%s/%s", g->set.out, j->path) < 0)
		e = -ENOMEM;
	if (!e)
		e = file_write(path, buf_slice(gz), &err);
	j->gz_size = gz->len;
	j->raw_size = raw->len;
	if (!e)
		e = describe(j, &subset->out);
	if (e)
		complain("%s: %s", j->path, error_text(&err, e));
	return e;
}

static void *work(void *arg)
{
	struct gen *g = arg;
	struct subset subset;
	_buf_ struct buf raw = BUF_INIT(PROFILE_BYTES_MAX), gz = BUF_INIT(PROFILE_BYTES_MAX);
	if (subset_init(&subset))
		return atomic_store(&g->failed, 1), NULL;
	for (size_t i; !atomic_load(&g->failed) && (i = atomic_fetch_add(&g->next, 1)) < g->jobs.n;)
		if (make(g, &g->jobs.v[i], &subset, &raw, &gz))
			atomic_store(&g->failed, 1);
	subset_done(&subset);
	return NULL;
}

static int make_all(struct gen *g)
{
	pthread_t threads[64];
	unsigned n = 0;
	while (n < MIN(g->set.workers, (unsigned)ARRAY_SIZE(threads)) && !pthread_create(&threads[n], NULL, work, g))
		n++;
	if (!n)
		work(g);
	while (n)
		pthread_join(threads[--n], NULL);
	return atomic_load(&g->failed) ? -EIO : 0;
}

static int write_index(struct gen *g, struct error *err)
{
	_buf_ struct buf lines = BUF_INIT((size_t)1 << 30), about = BUF_INIT(1 << 16);
	_free_ char *index = NULL, *dataset = NULL;
	char end[TIME_LEN];
	struct jsonw w = JSONW(&about);
	for (size_t i = 0; i < g->jobs.n; i++)
		buf_puts(&lines, g->jobs.v[i].line);
	jsonw_object(&w);
	put_label(&w, "preset", g->set.preset.name);
	put_number(&w, "seed", (int64_t)g->set.seed);
	put_label(&w, "end", time_format_rfc3339(g->set.end, end));
	put_number(&w, "hours", g->set.preset.hours);
	put_number(&w, "services", g->set.preset.services);
	put_number(&w, "pods", g->set.preset.pods);
	put_number(&w, "profiles", (int64_t)g->jobs.n);
	jsonw_end_object(&w);
	buf_puts(&about, "\n");
	if (buf_err(&lines) || asprintf(&index, "%s/index.jsonl", g->set.out) < 0 ||
	    asprintf(&dataset, "%s/dataset.json", g->set.out) < 0)
		return -ENOMEM;
	int e = file_write(index, buf_slice(&lines), err);
	return e ?: file_write(dataset, buf_slice(&about), err);
}

/* ---- settings ---- */

/* The programs that have CPU base profiles, by name: the first `want`, separated by commas. New. */
static char *list_programs(const char *dir, unsigned want)
{
	_buf_ struct buf out = BUF_INIT(1 << 16);
	struct dirent **files;
	char last[256] = "";
	int n = scandir(dir, &files, NULL, alphasort);
	for (int i = 0; i < n; i++) {
		const char *name = files[i]->d_name, *dot = strchr(name, '.');
		size_t len = dot ? (size_t)(dot - name) : 0;
		if (len && want && !strncmp(dot, ".cpu.", 5) && (strncmp(last, name, len) || last[len])) {
			snprintf(last, sizeof last, "%.*s", (int)len, name);
			buf_printf(&out, "%s%s", out.len ? "," : "", last);
			want--;
		}
		free(files[i]);
	}
	if (n >= 0)
		free(files);
	buf_putc(&out, '\0');
	return want ? NULL : (char *)buf_take(&out, &(size_t){ 0 });
}

static int load_services(struct gen *g, struct error *err)
{
	struct settings *set = &g->set;
	if (!set->services)
		set->services = list_programs(set->base, set->preset.services);
	if (!set->services)
		return error_set(err, -ENOENT, "%s: fewer than %u programs with CPU profiles", set->base,
		                 set->preset.services);
	set->preset.services = 1;
	for (const char *p = set->services; (p = strchr(p, ',')); p++)
		set->preset.services++;
	g->services = calloc(set->preset.services, sizeof *g->services);
	char *rest = set->services;
	int e = g->services ? 0 : -ENOMEM;
	for (unsigned i = 0; !e && i < set->preset.services; i++) {
		g->services[i] = (struct service){
			.seed = set->seed, .pods = set->preset.pods, .start = set->start, .end = set->end,
		};
		e = service_init(&g->services[i], set->base, strsep(&rest, ","), err);
	}
	return e;
}

static bool take_preset(struct settings *set, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(presets); i++)
		if (!strcmp(presets[i].name, name))
			return set->preset = presets[i], true;
	return false;
}

static bool take_count(unsigned *to)
{
	char *end;
	unsigned long v = strtoul(optarg, &end, 10);
	*to = (unsigned)v;
	return *optarg && !*end && v > 0 && v <= 100000;
}

static bool take_setting(struct settings *set, int c)
{
	char *end;
	switch (c) {
	case 'b':
		return set->base = optarg, true;
	case 'p':
		return take_preset(set, optarg);
	case 's':
		set->seed = strtoull(optarg, &end, 10);
		return *optarg && !*end;
	case 'e':
		return time_parse(optarg, &set->end);
	case 'S':
		free(set->services);
		return (set->services = strdup(optarg)) != NULL;
	case 'H':
		return take_count(&set->preset.hours);
	case 'P':
		return take_count(&set->preset.pods);
	case 'w':
		return take_count(&set->workers);
	default:
		return false;
	}
}

static const struct option options[] = {
	{ "base", required_argument, NULL, 'b' },     { "preset", required_argument, NULL, 'p' },
	{ "seed", required_argument, NULL, 's' },     { "end", required_argument, NULL, 'e' },
	{ "services", required_argument, NULL, 'S' }, { "hours", required_argument, NULL, 'H' },
	{ "pods", required_argument, NULL, 'P' },     { "workers", required_argument, NULL, 'w' },
	{ 0 },
};

static bool parse(struct settings *set, int argc, char **argv)
{
	*set = (struct settings){ .preset = presets[0], .base = BASE_PROFILES, .seed = 1 };
	set->workers = (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
	set->end = time_floor(clock_now() - 2 * NS_PER_MIN, NS_PER_MIN);
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;)
		if (!take_setting(set, c))
			return false;
	set->start = set->end - set->preset.hours * NS_PER_HOUR;
	set->out = argv[optind];
	return argc - optind == 1;
}

static void summarise(const struct gen *g, int64_t began)
{
	uint64_t gz = 0, raw = 0;
	for (size_t i = 0; i < g->jobs.n; i++) {
		gz += g->jobs.v[i].gz_size;
		raw += g->jobs.v[i].raw_size;
	}
	printf("%zu profiles, %.1f MB gz, %.1f MB raw, %.1f s\n", g->jobs.n, (double)gz / 1e6, (double)raw / 1e6,
	       (double)(clock_monotonic() - began) / NS_PER_S);
}

int bench_gen(int argc, char **argv)
{
	_cleanup_(gen_done) struct gen g = { 0 };
	struct error err = { 0 };
	int64_t began = clock_monotonic();
	if (!parse(&g.set, argc, argv)) {
		complain("usage: bench gen [--preset small|large] [--seed N] [--end TIME] [--services A,B] [--hours N] "
		         "[--pods N] [--base DIR] [--workers N] DIR");
		return 2;
	}
	int e = load_services(&g, &err);
	if (!e)
		e = plan(&g);
	if (!e)
		e = make_all(&g);
	if (!e)
		e = write_index(&g, &err);
	if (e) {
		complain("%s", error_text(&err, e));
		return 1;
	}
	summarise(&g, began);
	return 0;
}

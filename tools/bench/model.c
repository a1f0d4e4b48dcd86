/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <math.h>
#include <string.h>

#include "../../core/base/clock.h"
#include "model.h"

const char *const base_type_names[N_BASE_TYPES] = { "cpu", "heap", "goroutine", "mutex" };

/* ---- chance ---- */

/* The SplitMix64 finaliser. */
static uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15u;
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
	x = (x ^ x >> 27) * 0x94d049bb133111ebu;
	return x ^ x >> 31;
}

static double unit(uint64_t h)
{
	return (double)(h >> 11) / 9007199254740992.0;
}

/* A normal deviate out of one hash. */
static double gauss(uint64_t h)
{
	double u = unit(h), v = unit(mix(h));
	return sqrt(-2 * log(u > 0 ? u : 1e-300)) * cos(2 * M_PI * v);
}

struct chance {
	uint64_t state;
};

static uint64_t chance_next(struct chance *c)
{
	c->state += 0x9e3779b97f4a7c15u;
	return mix(c->state);
}

static double chance_unit(struct chance *c)
{
	return unit(chance_next(c));
}

static double chance_normal(struct chance *c)
{
	return gauss(chance_next(c));
}

static int64_t poisson(struct chance *c, double lambda)
{
	if (lambda <= 0)
		return 0;
	if (lambda > 40)
		return (int64_t)fmax(0, round(lambda + sqrt(lambda) * chance_normal(c)));
	double limit = exp(-lambda), product = chance_unit(c);
	int64_t n = 0;
	for (; product > limit; n++)
		product *= chance_unit(c);
	return n;
}

/* ---- the service ---- */

uint64_t service_hash(const struct service *s, const uint64_t *numbers, size_t n)
{
	uint64_t h = fnv1a(FNV_START, s->name, strlen(s->name));
	h = fnv1a(h, &s->seed, sizeof s->seed);
	return mix(fnv1a(h, numbers, n * sizeof *numbers));
}

#define HASH(s, ...) \
	service_hash(s, (uint64_t[]){ __VA_ARGS__ }, sizeof((uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

static uint64_t hash_text(const struct service *s, struct str text, uint64_t x)
{
	return HASH(s, fnv1a(FNV_START, text.s, text.len), x);
}

unsigned service_build(const struct service *s, unsigned pod, int64_t time)
{
	if (!pod && time - s->start > (s->end - s->start) / 3 * 2)
		return 2;
	return pod >= s->pods - s->pods / 3 ? 1 : 0;
}

const char *build_name(unsigned build)
{
	static const char *const names[N_BUILDS] = { "v1.4.0", "v1.4.1", "v1.5.0" };
	return names[build];
}

const char *pod_region(unsigned pod)
{
	static const char *const regions[] = { "eu-west-1", "us-east-1", "ap-south-1" };
	return regions[pod % ARRAY_SIZE(regions)];
}

void pod_name(const struct service *s, unsigned pod, char *ret, size_t size)
{
	unsigned deployment = (uint32_t)HASH(s, 9, 9), instance = (uint16_t)HASH(s, pod, 10);
	snprintf(ret, size, "%s-%08x-%04x", s->name, deployment, instance);
}

/* ---- builds ---- */

static uint32_t renamed(struct pool_set *pool, uint32_t name, unsigned build)
{
	struct str s = profile_str(&pool->p, name);
	_buf_ struct buf b = BUF_INIT(1 << 16);
	_free_ char *text = strndup(s.s, s.len);
	char *func = NULL;
	for (char *p = text; p && (p = strstr(p, ".func")); p++)
		func = p;
	if (func && func > text)
		buf_printf(&b, "%.*s.func%u", (int)(func - text), text, 10 + build);
	else
		buf_printf(&b, "%sV%u", text ?: "", build + 1);
	return pool_string(pool, (struct str){ (char *)b.data, b.len });
}

/* By how many lines a file is shifted in a build: one in eight was edited. */
static int64_t shift_of(const struct service *s, struct str filename, unsigned build)
{
	uint64_t h = hash_text(s, filename, build);
	return h % 100 < 12 ? (int64_t)(h >> 32) % 40 + 1 : 0;
}

/*
 * Changes a pool the way a new build changes a program. Decisions depend on names only, so that all types of a build
 * agree.
 */
static int rebuild(const struct service *s, struct pool_set *pool, unsigned build)
{
	struct profile *p = &pool->p;
	char id[40];
	snprintf(id, sizeof id, "%016llx%016llx", (unsigned long long)HASH(s, build, 1),
	         (unsigned long long)HASH(s, build, 2));
	for (size_t i = 0; i < p->mappings.n; i++)
		p->mappings.v[i].build_id = pool_string(pool, str_of(id));
	if (!build)
		return 0;
	for (size_t i = 0; i < p->lines.n; i++)
		if (p->lines.v[i].function != PROFILE_NONE)
			p->lines.v[i].line += shift_of(
				s, profile_str(p, p->functions.v[p->lines.v[i].function].filename), build);
	uint64_t delta = HASH(s, build, 3) % 64 << 5;
	for (size_t i = 0; i < p->locations.n; i++) {
		struct profile_location *l = &p->locations.v[i];
		if (l->mapping != PROFILE_NONE && l->address + delta < p->mappings.v[l->mapping].limit)
			l->address += delta;
	}
	for (size_t i = 0; i < p->functions.n; i++) {
		struct profile_function *f = &p->functions.v[i];
		if (f->start_line)
			f->start_line += shift_of(s, profile_str(p, f->filename), build);
		if (hash_text(s, profile_str(p, f->name), build + 100) % 1000 < 12)
			f->name = f->system_name = renamed(pool, f->name, build);
		if (f->name == PROFILE_NONE)
			return -ENOMEM;
	}
	return 0;
}

static int load_file(struct service *s, const char *dir, const char *file, enum base_type type, struct error *err)
{
	_free_ char *path = NULL;
	int e = asprintf(&path, "%s/%s", dir, file) < 0 ? -ENOMEM : 0;
	for (unsigned b = 0; !e && b < N_BUILDS; b++)
		e = pool_merge_file(&s->pools[b][type], path, err);
	return e;
}

/* The base type of NAME.TYPE.*.pb.gz, or N_BASE_TYPES. */
static enum base_type type_of_file(const char *file, const char *name)
{
	size_t n = strlen(name), len = strlen(file);
	enum base_type t = 0;
	if (strncmp(file, name, n) || file[n] != '.' || len < 6 || strcmp(file + len - 6, ".pb.gz"))
		return N_BASE_TYPES;
	for (; t < N_BASE_TYPES; t++) {
		size_t k = strlen(base_type_names[t]);
		if (!strncmp(file + n + 1, base_type_names[t], k) && file[n + 1 + k] == '.')
			break;
	}
	return t;
}

static int load_all(struct service *s, const char *dir, struct error *err)
{
	struct dirent **files;
	int n = scandir(dir, &files, NULL, alphasort), e = 0;
	if (n < 0)
		return error_set(err, -errno, "%s: %s", dir, strerror(errno));
	for (int i = 0; i < n; i++) {
		enum base_type t = type_of_file(files[i]->d_name, s->name);
		if (!e && t < N_BASE_TYPES)
			e = load_file(s, dir, files[i]->d_name, t, err);
		free(files[i]);
	}
	free(files);
	return e;
}

int service_init(struct service *s, const char *dir, const char *name, struct error *err)
{
	int e = 0;
	s->name = strdup(name);
	for (unsigned b = 0; !e && b < N_BUILDS; b++)
		for (unsigned t = 0; !e && t < N_BASE_TYPES; t++)
			e = pool_init(&s->pools[b][t]);
	if (!e)
		e = s->name ? load_all(s, dir, err) : -ENOMEM;
	for (unsigned t = 0; t < N_BASE_TYPES; t++)
		s->has[t] = s->pools[0][t].p.n_samples > 0;
	if (!e && !s->has[BASE_CPU])
		e = error_set(err, -ENOENT, "%s: no base profiles %s.cpu.*.pb.gz", dir, name);
	for (unsigned b = 0; b < N_BUILDS; b++)
		for (unsigned t = 0; !e && t < N_BASE_TYPES; t++)
			e = rebuild(s, &s->pools[b][t], b);
	return e;
}

void service_done(struct service *s)
{
	for (unsigned b = 0; b < N_BUILDS; b++)
		for (unsigned t = 0; t < N_BASE_TYPES; t++)
			pool_done(&s->pools[b][t]);
	free(s->name);
}

/* ---- one profile ---- */

struct draw {
	const struct service *s;
	unsigned pod;
	int64_t time;
	struct chance chance;
	struct subset *out;
};

static double hours_since_start(const struct draw *d)
{
	return (double)((d->time - d->s->start) / NS_PER_S) / 3600;
}

/* How much more or less than the base a stack shows in this pod at this time. */
static double weight(const struct draw *d, size_t stack)
{
	uint64_t h = HASH(d->s, d->pod, stack, 20);
	double period = 1.5 + 6 * unit(mix(h ^ 1)), phase = 2 * M_PI * unit(mix(h ^ 2));
	return exp(0.5 * gauss(h) + 0.35 * sin(2 * M_PI * hours_since_start(d) / period + phase));
}

/* The pod's load, between 0.3 and 1. */
static double load_of(struct draw *d)
{
	double base = 0.4 + 0.45 * unit(HASH(d->s, d->pod, 30));
	double day = 1 + 0.2 * sin(2 * M_PI * hours_since_start(d) / 8 + d->pod);
	return fmin(1, fmax(0.3, base * day * exp(0.12 * chance_normal(&d->chance))));
}

static void add_cpu(struct draw *d, size_t i, int64_t n, const struct label *labels, size_t n_labels)
{
	int64_t values[2] = { n, n * d->out->base->period };
	subset_add(d->out, i, values, labels, n_labels);
}

/*
 * Some samples are taken while a request is served and carry its labels; a quarter of those the span too. Returns how
 * many of the n.
 */
static int64_t add_request(struct draw *d, size_t i, int64_t n)
{
	static const char *const routes[] = { "/", "/api/v1/items", "/api/v1/items/{id}", "/api/v1/search",
		                              "/api/v1/orders", "/api/v1/orders/{id}", "/healthz", "/metrics" };
	struct chance *c = &d->chance;
	char span[17], trace[33];
	double a = chance_unit(c), b = chance_unit(c);
	struct label labels[3] = { { STR("http.route"), str_of(routes[(size_t)(a * b * ARRAY_SIZE(routes))]) } };
	size_t n_labels = 1;
	if (chance_unit(c) < 0.25) {
		snprintf(span, sizeof span, "%016llx", (unsigned long long)chance_next(c));
		snprintf(trace, sizeof trace, "%016llx", (unsigned long long)chance_next(c));
		snprintf(trace + 16, 17, "%016llx", (unsigned long long)chance_next(c));
		labels[n_labels++] = (struct label){ STR("span_id"), str_of(span) };
		labels[n_labels++] = (struct label){ STR("trace_id"), str_of(trace) };
	}
	int64_t k = 1 + (int64_t)(chance_next(c) % (uint64_t)n);
	add_cpu(d, i, k, labels, n_labels);
	return k;
}

static int draw_cpu(struct draw *d)
{
	const struct profile *b = d->out->base;
	_free_ double *w = calloc(b->n_samples + 1, sizeof *w);
	double sum = 0;
	if (!w)
		return -ENOMEM;
	for (size_t i = 0; i < b->n_samples; i++)
		sum += w[i] = (double)b->values.v[i * b->types.n] * weight(d, i);
	double want = 1000 * load_of(d);
	for (size_t i = 0; i < b->n_samples; i++) {
		int64_t n = poisson(&d->chance, want * w[i] / sum);
		if (n && chance_unit(&d->chance) < 0.04)
			n -= add_request(d, i, n);
		if (n)
			add_cpu(d, i, n, NULL, 0);
	}
	return 0;
}

/* Count and bytes of sampled allocations: about `lambda` events of the size that the base shows. */
static void draw_bytes(struct draw *d, double lambda, double events, int64_t objects, int64_t bytes, int64_t ret[2])
{
	double n = (double)poisson(&d->chance, lambda * events);
	if (objects <= 0 || n <= 0)
		return;
	ret[0] = MAX((int64_t)1, (int64_t)(n / events * (double)objects));
	ret[1] = ret[0] * MAX((int64_t)1, bytes / objects);
}

static int draw_heap(struct draw *d)
{
	const double rate = 512 << 10;
	const struct profile *b = d->out->base;
	double load = load_of(d);
	for (size_t i = 0; i < b->n_samples; i++) {
		const int64_t *v = b->values.v + i * b->types.n;
		int64_t to[4] = { 0 };
		double w = weight(d, i);
		draw_bytes(d, 0.35 * load * w, fmax(1, (double)v[1] / rate), v[0], v[1], to);
		draw_bytes(d, 1.2 * w, fmax(1, (double)v[3] / rate), v[2], v[3], to + 2);
		if (to[0] || to[2])
			subset_add(d->out, i, to, NULL, 0);
	}
	return 0;
}

static int draw_goroutine(struct draw *d)
{
	const struct profile *b = d->out->base;
	double load = load_of(d);
	for (size_t i = 0; i < b->n_samples; i++) {
		int64_t n = b->values.v[i];
		if (n > 3)
			n = poisson(&d->chance, (double)n * load * weight(d, i));
		else if (chance_unit(&d->chance) > 0.96)
			n = 0;
		if (n)
			subset_add(d->out, i, &n, NULL, 0);
	}
	return 0;
}

static int draw_mutex(struct draw *d)
{
	const struct profile *b = d->out->base;
	double load = load_of(d);
	for (size_t i = 0; i < b->n_samples; i++) {
		double c = fmax(1, (double)b->values.v[2 * i]), delay = (double)b->values.v[2 * i + 1];
		double n = (double)poisson(&d->chance, c * 0.8 * load * weight(d, i));
		delay = fmax(1, n * delay / c * exp(0.3 * chance_normal(&d->chance)));
		int64_t to[2] = { (int64_t)n, (int64_t)delay };
		if (to[0])
			subset_add(d->out, i, to, NULL, 0);
	}
	return 0;
}

int service_generate(const struct service *s, enum base_type type, unsigned pod, int64_t time, int64_t duration,
                     struct subset *out)
{
	static int (*const draws[N_BASE_TYPES])(struct draw *) = { draw_cpu, draw_heap, draw_goroutine, draw_mutex };
	static const size_t n_types[N_BASE_TYPES] = { 2, 4, 1, 2 };
	const struct profile *base = &s->pools[service_build(s, pod, time)][type].p;
	struct draw d = { s, pod, time, { HASH(s, pod, type + 1, (uint64_t)(time / NS_PER_S)) }, out };
	if (base->types.n != n_types[type])
		return -EINVAL;
	int e = subset_begin(out, base);
	if (!e)
		e = draws[type](&d);
	out->out.time_ns = time;
	out->out.duration_ns = duration;
	return e ?: subset_end(out);
}

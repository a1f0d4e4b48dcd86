/* SPDX-License-Identifier: MIT */
#include <jansson.h>
#include <string.h>

#include "../../core/base/clock.h"
#include "dataset.h"

static char *copy_text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));
	return s ? strdup(s) : NULL;
}

static int take_labels(struct recorded *e, json_t *labels)
{
	const char *key;
	json_t *value;
	e->labels = calloc(json_object_size(labels) + 1, sizeof *e->labels);
	if (!e->labels)
		return -ENOMEM;
	json_object_foreach(labels, key, value) {
		if (!strcmp(key, "service_name") || !json_is_string(value))
			continue;
		struct label *l = &e->labels[e->n_labels++];
		*l = (struct label){ str_of(strdup(key) ?: ""), str_of(strdup(json_string_value(value)) ?: "") };
	}
	return 0;
}

static int take_line(struct dataset_index *d, const char *line, struct error *err)
{
	json_error_t why;
	json_t *o = json_loads(line, 0, &why);
	if (!o)
		return error_set(err, -EINVAL, "%s/index.jsonl: %s", d->dir, why.text);
	struct recorded *e = &d->v[d->n++];
	*e = (struct recorded){ .path = copy_text(o, "path"), .service = copy_text(o, "service") };
	e->start = json_integer_value(json_object_get(o, "start_ns"));
	e->duration = json_integer_value(json_object_get(o, "duration_ns"));
	e->gz_size = (uint64_t)json_integer_value(json_object_get(o, "gz_size"));
	e->total_cpu = json_integer_value(json_object_get(json_object_get(o, "totals"), "cpu"));
	e->is_cpu = json_object_get(json_object_get(o, "totals"), "cpu") != NULL;
	int rc = take_labels(e, json_object_get(o, "labels"));
	json_decref(o);
	d->gz_bytes += e->gz_size;
	d->end = MAX(d->end, time_floor(e->start, NS_PER_MIN) + NS_PER_MIN);
	return e->path && e->service ? rc : error_set(err, -EINVAL, "%s/index.jsonl: no path or service", d->dir);
}

int dataset_index_load(const char *dir, struct dataset_index *ret, struct error *err)
{
	struct dataset_index d = { .dir = strdup(dir) };
	_free_ char *path = NULL, *line = NULL;
	size_t cap = 0, max = 0;
	int e = d.dir && asprintf(&path, "%s/index.jsonl", dir) >= 0 ? 0 : -ENOMEM;
	_fclose_ FILE *f = e ? NULL : fopen(path, "re");
	if (!e && !f)
		e = error_set(err, -errno, "%s: %s; `bench gen` makes a data set", path, strerror(errno));
	while (!e && getline(&line, &cap, f) > 0) {
		if (d.n == max) {
			max = 2 * max + 1024;
			struct recorded *v = realloc(d.v, max * sizeof *v);
			if (!v)
				e = -ENOMEM;
			d.v = v ?: d.v;
		}
		e = e ?: take_line(&d, line, err);
	}
	if (e)
		dataset_index_done(&d);
	else
		*ret = d;
	return e;
}

void dataset_index_done(struct dataset_index *d)
{
	for (size_t i = 0; i < d->n; i++) {
		struct recorded *e = &d->v[i];
		for (size_t k = 0; k < e->n_labels; k++) {
			free((char *)e->labels[k].key.s);
			free((char *)e->labels[k].value.s);
		}
		free(e->labels);
		free(e->path);
		free(e->service);
	}
	free(d->v);
	free(d->dir);
}

int64_t dataset_index_cpu_total(const struct dataset_index *d, const char *service, int64_t from, int64_t to,
                          uint64_t *ret_profiles)
{
	int64_t sum = 0;
	*ret_profiles = 0;
	for (size_t i = 0; i < d->n; i++) {
		const struct recorded *e = &d->v[i];
		if (!e->is_cpu || e->start < from || e->start >= to || (service && strcmp(service, e->service)))
			continue;
		sum += e->total_cpu;
		++*ret_profiles;
	}
	return sum;
}

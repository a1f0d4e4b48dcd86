/* SPDX-License-Identifier: MIT */
#include <math.h>
#include <string.h>
#include <sys/wait.h>

#include "bench.h"
#include "measure.h"

struct stopwatch stopwatch_start(void)
{
	return (struct stopwatch){ clock_monotonic(), clock_process_cpu() };
}

struct stopwatch stopwatch_read(const struct stopwatch *start)
{
	return (struct stopwatch){ clock_monotonic() - start->wall, clock_process_cpu() - start->cpu };
}

void series_add(struct series_of *s, double v)
{
	if (s->n < ARRAY_SIZE(s->v))
		s->v[s->n++] = v;
}

static int cmp_double(const void *a, const void *b)
{
	return CMP(*(const double *)a, *(const double *)b);
}

double series_median(struct series_of *s)
{
	qsort(s->v, s->n, sizeof *s->v, cmp_double);
	return s->n ? s->v[s->n / 2] : 0;
}

double peak_mb(void)
{
	char line[256];
	unsigned long kb = 0;
	_fclose_ FILE *f = fopen("/proc/self/status", "re");
	while (f && fgets(line, sizeof line, f))
		if (sscanf(line, "VmHWM: %lu kB", &kb) == 1)
			break;
	return (double)kb * 1024 / 1e6;
}

int in_child(int (*fn)(void *arg), void *arg)
{
	int status;
	fflush(NULL);
	pid_t pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid) {
		int e = fn(arg);
		fflush(NULL);
		_exit(e ? 1 : 0);
	}
	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	if (WIFSIGNALED(status))
		complain("a phase was killed by signal %d", WTERMSIG(status));
	return status ? -ECHILD : 0;
}

void figure_begin(struct figure *f, const char *name)
{
	f->out = BUF_INIT(1 << 16);
	f->w = (struct jsonw){ .out = &f->out, .compact = true };
	jsonw_object(&f->w);
	figure_text(f, "figure", name);
}

void figure_text(struct figure *f, const char *key, const char *value)
{
	jsonw_key(&f->w, key);
	jsonw_str(&f->w, value);
}

void figure_count(struct figure *f, const char *key, uint64_t value)
{
	jsonw_key(&f->w, key);
	jsonw_u64(&f->w, value);
}

void figure_number(struct figure *f, const char *key, double value)
{
	char text[32];
	snprintf(text, sizeof text, "%.4g", value);
	jsonw_key(&f->w, key);
	jsonw_double(&f->w, fabs(value) >= 1000 ? round(value) : strtod(text, NULL));
}

void figure_bool(struct figure *f, const char *key, bool value)
{
	jsonw_key(&f->w, key);
	jsonw_bool(&f->w, value);
}

void figure_requests(struct figure *f, const struct store_counts *since, const struct store *s)
{
	figure_count(f, "puts", s->counts.put - since->put);
	figure_count(f, "gets", s->counts.get - since->get);
	figure_count(f, "lists", s->counts.list - since->list);
	figure_count(f, "bytes_read", s->counts.bytes_out - since->bytes_out);
}

void figure_end(struct figure *f)
{
	jsonw_end_object(&f->w);
	buf_putc(&f->out, '\n');
	fwrite(f->out.data, 1, f->out.len, stdout);
	fflush(stdout);
	buf_done(&f->out);
}

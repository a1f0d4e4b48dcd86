/* SPDX-License-Identifier: MIT */

/*
 * bench beside: what other programs take for what we give, on the same data and in one run: CPU ms of whole processes,
 * their start included, the least of several. Ours is `profilefs cat`, and, since a mount has started once and for all,
 * the same query asked of a process that runs ("asked"). A program that is not found is named and left out.
 *
 * pprof gets the files of one service's last hour; flamegraph.pl and inferno-flamegraph get folded.txt, of that hour or
 * of one profile whose tree has a given number of nodes.
 */

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../../core/base/vec.h"
#include "bench.h"
#include "files.h"
#include "measure.h"
#include "phases.h"

#define NOT_FOUND 127
#define WORDS 8 /* of a command without its files */

/* A program and what we give for what it makes. */
struct other {
	const char *name;
	const char *commands[2]; /* the first that is found */
	const struct rendering *rendering;
	bool takes_stacks;       /* folded.txt, not the profiles */
};

#define PPROF(flag) { "pprof -symbolize=none " flag, "go tool pprof -symbolize=none " flag }
#define FLAMEGRAPH_PL { "flamegraph.pl", "perl /usr/share/perl5/Devel/NYTProf/flamegraph.pl" }

static const struct other others[] = {
	{ "pprof -top", PPROF("-top"), &render_top_txt, false },
	{ "pprof -proto", PPROF("-proto"), &render_pprof, false },
	{ "pprof -dot", PPROF("-dot"), &render_callgraph, false },
	{ "pprof -svg", PPROF("-svg"), &render_flamegraph_svg, false },
	{ "flamegraph.pl", FLAMEGRAPH_PL, &render_flamegraph_svg, true },
	{ "inferno-flamegraph", { "inferno-flamegraph" }, &render_flamegraph_svg, true },
};

struct beside {
	struct run run;
	char program[PATH_MAX];   /* profilefs */
	char folder[32];          /* of the store, and of what is written for the others */
	char store[48], stacks[48];
	char selection[256];      /* path of what is compared */
	VEC(char *) files;        /* its profiles */
};

static void beside_done(struct beside *b)
{
	for (size_t i = 0; i < b->files.n; i++)
		free(b->files.v[i]);
	VEC_DONE(&b->files);
	dataset_index_done(&b->run.data);
	if (b->folder[0])
		folder_remove(b->folder);
}

/* ---- other processes ---- */

struct spent {
	double cpu_s;
	int status; /* its exit code; NOT_FOUND: there is no such program */
};

static void become(char *const *argv, const char *output)
{
	int out = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0600), errors = open("/dev/null", O_WRONLY);
	if (out < 0 || errors < 0 || dup2(out, STDOUT_FILENO) < 0 || dup2(errors, STDERR_FILENO) < 0)
		_exit(1);
	execvp(argv[0], argv);
	_exit(errno == ENOENT ? NOT_FOUND : 1);
}

/* Its own time and that of its children. */
static int spend(char *const *argv, const char *output, struct spent *ret)
{
	struct rusage use;
	int status;
	fflush(NULL);
	pid_t pid = fork();
	if (!pid)
		become(argv, output);
	if (pid < 0 || wait4(pid, &status, 0, &use) != pid)
		return -errno;
	ret->status = WIFEXITED(status) ? WEXITSTATUS(status) : 1;
	ret->cpu_s = (double)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
	             (double)(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
	return 0;
}

/* The least of several runs. */
static int spend_least(const struct beside *b, char *const *argv, struct spent *ret)
{
	int e = 0;
	for (unsigned i = 0; !e && i < b->run.runs; i++) {
		struct spent one;
		e = spend(argv, "/dev/null", &one);
		if (!e && (!i || one.cpu_s < ret->cpu_s || one.status))
			*ret = one;
		if (!e && one.status)
			return 0;
	}
	return e;
}

static int spend_other(const struct beside *b, const struct other *o, const char *command, struct spent *ret)
{
	VEC(char *) argv = { 0 };
	_free_ char *words = strdup(command);
	char **to = words ? VEC_GROW(&argv, WORDS + b->files.n + 2) : NULL;
	if (!to)
		return -ENOMEM;
	for (char *save, *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
		to[argv.n++] = w;
	if (o->takes_stacks)
		to[argv.n++] = (char *)b->stacks;
	for (size_t i = 0; !o->takes_stacks && i < b->files.n; i++)
		to[argv.n++] = b->files.v[i];
	to[argv.n] = NULL;
	int e = spend_least(b, to, ret);
	VEC_DONE(&argv);
	return e;
}

static int spend_ours(const struct beside *b, const char *file, const char *output, struct spent *ret)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s", b->selection, file);
	char *argv[] = { (char *)b->program, "cat", (char *)b->store, path, NULL };
	int e = output ? spend(argv, output, ret) : spend_least(b, argv, ret);
	if (!e && ret->status)
		complain("%s cat %s: exit %d", b->program, path, ret->status);
	return e ?: ret->status ? -ECHILD : 0;
}

/* ---- the comparison ---- */

static double ratio(double theirs, double ours)
{
	return ours > 0 ? theirs / ours : 0;
}

static void print_beside(const struct beside *b, const struct other *o, double theirs, double ours, double asked)
{
	struct figure f;
	figure_begin(&f, "beside");
	figure_text(&f, "program", o->name);
	figure_text(&f, "file", o->rendering->name);
	figure_text(&f, "of", b->selection);
	figure_count(&f, "profiles", b->files.n);
	figure_number(&f, "cpu_ms", theirs * 1e3);
	figure_number(&f, "cat_cpu_ms", ours * 1e3);
	figure_number(&f, "cat_times", ratio(theirs, ours));
	figure_number(&f, "asked_cpu_ms", asked);
	figure_number(&f, "asked_times", ratio(theirs * 1e3, asked));
	figure_end(&f);
}

static int compare(struct beside *b, const struct other *o)
{
	struct spent theirs = { .status = NOT_FOUND }, ours;
	double asked;
	int e = 0;
	for (size_t i = 0; !e && theirs.status == NOT_FOUND && i < ARRAY_SIZE(o->commands) && o->commands[i]; i++)
		e = spend_other(b, o, o->commands[i], &theirs);
	if (e)
		return e;
	if (theirs.status == NOT_FOUND) {
		complain("%s is not installed: left out", o->name);
		return 0;
	}
	if (theirs.status) {
		complain("%s: exit %d: left out", o->name, theirs.status);
		return 0;
	}
	e = spend_ours(b, o->rendering->name, NULL, &ours);
	if (!e)
		e = query_least_cpu(&b->run, o->rendering, b->run.service, &asked);
	if (!e)
		print_beside(b, o, theirs.cpu_s, ours.cpu_s, asked);
	return e;
}

static int compare_all(struct beside *b)
{
	struct spent unused;
	int e = spend_ours(b, "folded.txt", b->stacks, &unused);
	for (size_t i = 0; !e && i < ARRAY_SIZE(others); i++)
		if (others[i].takes_stacks || b->files.n)
			e = compare(b, &others[i]);
	return e;
}

/* ---- what is compared ---- */

/* The CPU profiles of the first service in the last hour, and the path that selects them. */
static int choose_hour(struct beside *b)
{
	const struct dataset_index *d = &b->run.data;
	int64_t from = d->end - NS_PER_HOUR;
	char begin[TIME_LEN], end[TIME_LEN];
	b->run.service = d->v[0].service;
	for (size_t i = 0; i < d->n; i++) {
		const struct recorded *one = &d->v[i];
		if (!one->is_cpu || one->start < from || strcmp(one->service, b->run.service))
			continue;
		char **to = VEC_PUSH(&b->files);
		if (!to)
			return -ENOMEM;
		if (asprintf(to, "%s/%s", d->dir, one->path) < 0) {
			b->files.n--;
			return -ENOMEM;
		}
	}
	snprintf(b->selection, sizeof b->selection, "%.100s/%s--%s/cpu", b->run.service,
	         time_format_compact(from, begin), time_format_compact(d->end, end));
	return 0;
}

static int beside_hour(struct beside *b, const char *dir)
{
	struct error err = { 0 };
	int e = dataset_index_load(dir, &b->run.data, &err);
	if (!e && !b->run.data.n)
		e = error_set(&err, -ENOENT, "%s: no profiles", dir);
	if (e) {
		complain("%s", error_text(&err, e));
		return e;
	}
	e = choose_hour(b);
	if (!e)
		e = in_child(phase_ingest, &b->run);
	if (!e)
		e = in_child(phase_compact, &b->run);
	return e ?: compare_all(b);
}

static int beside_tree(struct beside *b, int64_t nodes)
{
	char service[] = "nodes";
	snprintf(b->selection, sizeof b->selection, "%s/all/cpu", service);
	b->run.service = service;
	b->run.data.end = nodes_end();
	int e = nodes_store(b->store, service, nodes);
	return e ?: compare_all(b);
}

/* ---- arguments ---- */

static int usage(void)
{
	complain("usage: bench beside [--runs N] DIR | bench beside [--runs N] --nodes N\n"
	         "DIR is a data set of `bench gen`; --nodes compares flame graphs of one tree of that size.");
	return 2;
}

static bool parse(struct beside *b, int argc, char **argv, int64_t *ret_nodes)
{
	static const struct option options[] = {
		{ "nodes", required_argument, NULL, 'n' }, { "runs", required_argument, NULL, 'r' }, { 0 },
	};
	for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
		if (c == 'n')
			*ret_nodes = atoll(optarg);
		else if (c == 'r')
			b->run.runs = (unsigned)MIN(MAX(atoi(optarg), 1), 64);
		else
			return false;
	}
	return *ret_nodes ? optind == argc && *ret_nodes > 0 && *ret_nodes <= NODES_MAX : optind + 1 == argc;
}

/* profilefs lies beside this program. */
static int prepare(struct beside *b)
{
	ssize_t n = readlink("/proc/self/exe", b->program, sizeof b->program - sizeof "profilefs");
	char *slash = n > 0 ? memrchr(b->program, '/', (size_t)n) : NULL;
	if (!slash)
		return -errno;
	strcpy(slash + 1, "profilefs");
	strcpy(b->folder, "/tmp/profilefs-bench.XXXXXX");
	if (!mkdtemp(b->folder)) {
		b->folder[0] = '\0';
		return -errno;
	}
	snprintf(b->store, sizeof b->store, "%s/store", b->folder);
	snprintf(b->stacks, sizeof b->stacks, "%s/folded.txt", b->folder);
	b->run.store = b->store;
	b->run.threads = (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L);
	b->run.shared = mmap(NULL, sizeof *b->run.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return b->run.shared == MAP_FAILED ? -errno : 0;
}

int bench_beside(int argc, char **argv)
{
	_cleanup_(beside_done) struct beside b = { .run = { .runs = 5 } };
	int64_t nodes = 0;
	if (!parse(&b, argc, argv, &nodes))
		return usage();
	int e = prepare(&b);
	if (e)
		complain("%s: %s", b.folder, strerror(-e));
	else
		e = nodes ? beside_tree(&b, nodes) : beside_hour(&b, argv[optind]);
	return e ? 1 : 0;
}

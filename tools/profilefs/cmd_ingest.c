/* SPDX-License-Identifier: MIT */

/* profilefs ingest: files, directories and standard input into the store. */

#include <inttypes.h>
#include <string.h>

#include "common.h"
#include "load.h"

enum { OPT_TIME = OPT_OF_COMMAND, OPT_KIND, OPT_UNIT, OPT_TEMPORALITY, OPT_LAYOUT, OPT_RELABEL };

struct ingest {
	struct common common;
	struct target target;
	struct layout layout;
	int64_t time;
	const char *rules;
	bool quiet;
};

static void ingest_done(struct ingest *in)
{
	target_done(&in->target);
	layout_done(&in->layout);
}

/* The options below return -1 to go on, else the exit code. */
static int take_text(const struct command *self, const char *what, char **field)
{
	if (!*optarg)
		return wrong_usage(self, "%s is empty", what);
	free(*field);
	*field = strdup(optarg);
	return *field ? -1 : fail(what, -ENOMEM, NULL);
}

static int take_label(const struct command *self, struct target *t)
{
	const char *eq = strchr(optarg, '=');
	if (!eq || eq == optarg)
		return wrong_usage(self, "a label is KEY=VALUE, not \"%s\"", optarg);
	struct str key = { optarg, (size_t)(eq - optarg) };
	for (size_t i = 0; i < t->n_labels; i++)
		if (str_eq(t->labels[i].key, key))
			return wrong_usage(self, "the label %.*s is given twice", (int)key.len, key.s);
	int e = target_add_label(t, key, str_of(eq + 1));
	return e ? fail("label", e, NULL) : -1;
}

static int take_time(const struct command *self, int64_t *ret)
{
	if (time_parse(optarg, ret))
		return -1;
	return wrong_usage(self, "--time is 2026-11-22T14:05:30Z or seconds since 1970, not \"%s\"", optarg);
}

static int take_temporality(const struct command *self, enum temporality *ret)
{
	if (!strcmp(optarg, "delta"))
		*ret = TEMPORALITY_DELTA;
	else if (!strcmp(optarg, "cumulative"))
		*ret = TEMPORALITY_CUMULATIVE;
	else
		return wrong_usage(self, "--temporality is delta or cumulative, not \"%s\"", optarg);
	return -1;
}

static int take_layout(const struct command *self, struct layout *l)
{
	struct error err = { 0 };
	layout_done(l);
	int e = layout_init(l, optarg, &err);
	return e ? wrong_usage(self, "%s", error_text(&err, e)) : -1;
}

static int take_option(const struct command *self, struct ingest *in, int c, char **argv)
{
	switch (c) {
	case 's':
		return take_text(self, "SERVICE", &in->target.service);
	case 'l':
		return take_label(self, &in->target);
	case 't':
		return take_text(self, "TYPE", &in->target.type);
	case OPT_KIND:
		return take_text(self, "--kind", &in->target.kind);
	case OPT_UNIT:
		return take_text(self, "--unit", &in->target.unit);
	case OPT_TIME:
		return take_time(self, &in->time);
	case OPT_TEMPORALITY:
		return take_temporality(self, &in->target.temporality);
	case OPT_LAYOUT:
		return take_layout(self, &in->layout);
	case OPT_RELABEL:
		in->rules = optarg;
		return -1;
	case 'q':
		in->quiet = true;
		return -1;
	default:
		return common_option(self, &in->common, c, argv);
	}
}

static const struct option options[] = {
	COMMON_LONG_OPTIONS,
	{ "service", required_argument, NULL, 's' },
	{ "label", required_argument, NULL, 'l' },
	{ "type", required_argument, NULL, 't' },
	{ "kind", required_argument, NULL, OPT_KIND },
	{ "unit", required_argument, NULL, OPT_UNIT },
	{ "time", required_argument, NULL, OPT_TIME },
	{ "temporality", required_argument, NULL, OPT_TEMPORALITY },
	{ "layout", required_argument, NULL, OPT_LAYOUT },
	{ "relabel", required_argument, NULL, OPT_RELABEL },
	{ "quiet", no_argument, NULL, 'q' },
	{ 0 },
};

/* What the options must agree on. -1 where they do. */
static int check_target(const struct command *self, const struct ingest *in)
{
	bool layout_service = false;
	for (size_t i = 0; i < in->layout.n; i++) {
		layout_service |= !strcmp(in->layout.parts[i], "SERVICE");
		for (size_t k = 0; k < in->target.n_labels; k++)
			if (str_eq(in->target.labels[k].key, str_of(in->layout.parts[i])))
				return wrong_usage(self, "the label %s is given by -l and by --layout",
				                   in->layout.parts[i]);
	}
	if (in->target.service && layout_service)
		return wrong_usage(self, "the service is given by -s and by --layout");
	return -1;
}

static int collect(const struct ingest *in, int argc, char **argv, struct inputs *ret)
{
	bool used_stdin = false;
	int rc = EXIT_DONE;
	for (int i = optind; i < argc; i++) {
		struct error err = { 0 };
		bool is_stdin = !strcmp(argv[i], "-");
		int e = is_stdin && used_stdin ? 0 : inputs_add(ret, argv[i], in->layout.n, &err);
		used_stdin |= is_stdin;
		if (e)
			rc = fail(argv[i], e, &err);
	}
	return ret->unread ? EXIT_FAILED : rc;
}

static void print_summary(const struct load_result *r, const struct inputs *inputs, int64_t ns)
{
	char bytes[24];
	printf("%" PRIu64 " taken, %" PRIu64 " duplicate, %zu refused; %s of %zu files in %.1f s\n", r->taken,
	       r->duplicates, r->refused, bytes_format(r->bytes, bytes), r->files, (double)ns / NS_PER_S);
	if (r->dropped)
		printf("  dropped %" PRIu64 ": by relabelling rules\n", r->dropped);
	for (size_t i = 0; i < ARRAY_SIZE(r->reasons) && r->reasons[i].code; i++)
		printf("  refused %zu: %s\n", r->reasons[i].files, err_text(r->reasons[i].code));
	if (inputs->skipped)
		printf("  skipped %zu: above the directories that --layout names\n", inputs->skipped);
	if (inputs->links)
		printf("  skipped %zu: symbolic links are followed only where they are named\n", inputs->links);
}

static int run_load(const struct ingest *in, const struct inputs *inputs)
{
	_cleanup_(session_done) struct session s = { 0 };
	struct load_options lo = {
		.inputs = inputs,
		.layout = &in->layout,
		.target = &in->target,
		.time = in->time,
		.progress = !in->quiet && inputs->files.n > 1 && isatty(STDERR_FILENO),
	};
	_cleanup_(relabel_freep) struct relabel *rules = NULL;
	struct load_result result;
	struct error err = { 0 };
	int64_t began = clock_monotonic();

	if (in->rules && read_rules(in->rules, &rules))
		return EXIT_FAILED;
	lo.relabel = rules;
	if (session_open(&s, &in->common, SESSION_CREATE))
		return EXIT_FAILED;
	int e = load(s.db, &lo, &result, &err);
	if (e) {
		complain(in->common.store, "%s; some profiles may be stored: run it again, none will count twice",
		         error_text(&err, e));
		return EXIT_FAILED;
	}
	if (!in->quiet)
		print_summary(&result, inputs, clock_monotonic() - began);
	return result.refused || fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
}

static int run_ingest(const struct command *self, int argc, char **argv)
{
	_cleanup_(ingest_done) struct ingest in = { 0 };
	_cleanup_(inputs_done) struct inputs inputs = { 0 };
	int rc;

	for (int c; (c = getopt_long(argc, argv, ":s:l:t:qvh", options, NULL)) != -1;)
		if ((rc = take_option(self, &in, c, argv)) >= 0)
			return rc;
	if ((rc = store_operand(self, &in.common, argc, argv)) >= 0)
		return rc;
	if ((rc = check_target(self, &in)) >= 0)
		return rc;
	if (optind == argc)
		return wrong_usage(self, "nothing to ingest: name files, directories, or - for standard input");
	if (!in.target.service && !(in.target.service = strdup(""))) /* each file, or its path, says it */
		return fail("ingest", -ENOMEM, NULL);
	rc = collect(&in, argc, argv, &inputs);
	return run_load(&in, &inputs) | rc;
}

const struct command cmd_ingest = {
	.name = "ingest",
	.synopsis = "[-s SERVICE] [options] STORE FILE|DIR|-...",
	.summary = "Writes profiles into the store",
	.help = "  -s, --service NAME   the profiled program (default: what the file says, as OTLP does)\n"
	        "  -l, --label K=V      a label of every profile; may be repeated\n"
	        "  -t, --type TYPE      what is counted, for formats that do not say (default: samples)\n"
	        "      --unit UNIT      its unit (default: count)\n"
	        "      --kind KIND      what delays and contentions are of: mutex, block\n"
	        "      --temporality T  delta or cumulative, for running totals\n"
	        "      --time TIME      of profiles that do not say (default: the file's, or now)\n"
	        "      --layout L       SERVICE/KEY/...: what the directories below DIR mean: the service, a\n"
	        "                       label's key, or - for nothing; deeper ones mean nothing\n"
	        "      --relabel FILE   relabelling rules (JSON) instead of the store's\n"
	        "  -q, --quiet          no progress, no summary; what is refused is still told\n",
	.run = run_ingest,
};

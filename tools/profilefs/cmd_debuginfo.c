/* SPDX-License-Identifier: MIT */

/* profilefs debuginfo: symbols of native code, stored, listed and removed. */

#include <fcntl.h>
#include <string.h>

#include "../../core/db/debuginfo.h"
#include "common.h"

static int add_file(struct session *s, const char *file)
{
	struct error err = { 0 };
	struct debuginfo info;
	_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return fail(file, -errno, NULL);
	int e = debuginfo_add(s->db, fd, &info, &err);
	if (e)
		return fail(file, e, &err);
	const struct debug_facts *f = &info.facts;
	printf("%s\t%s\t%llu\t%s\n", f->build_id, f->dwarf ? "lines" : "names", (unsigned long long)f->functions,
	       info.known ? "known" : file);
	return EXIT_DONE;
}

/* Each by itself: one that is refused does not keep the others out. */
static int add(struct session *s, int argc, char **argv)
{
	int rc = EXIT_DONE;
	for (int i = optind; i < argc; i++)
		if (add_file(s, argv[i]) != EXIT_DONE)
			rc = EXIT_FAILED;
	return fflush(stdout) ? EXIT_FAILED : rc;
}

static int take_away(struct session *s, int argc, char **argv)
{
	int rc = EXIT_DONE;
	for (int i = optind; i < argc; i++) {
		struct error err = { 0 };
		int e = debuginfo_remove(s->db, argv[i], &err);
		if (e)
			rc = fail(argv[i], e, &err);
	}
	return rc;
}

static int on_listed(void *ctx, const char *build_id, bool dwarf, const struct store_stat *st)
{
	(void)ctx;
	printf("%s\t%s\t%llu\n", build_id, dwarf ? "lines" : "names", (unsigned long long)st->size);
	return 0;
}

static int list(struct session *s, const char *store)
{
	struct error err = { 0 };
	int e = debuginfo_list(s->db, on_listed, NULL, &err);
	if (e)
		return fail(store, e, &err);
	return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
}

static int run_debuginfo(const struct command *self, int argc, char **argv)
{
	_cleanup_(session_done) struct session s = { 0 };
	static const struct option options[] = { COMMON_LONG_OPTIONS, { 0 } };
	struct common common = { 0 };
	int rc;
	for (int c; (c = getopt_long(argc, argv, ":h", options, NULL)) != -1;)
		if ((rc = common_option(self, &common, c, argv)) >= 0)
			return rc;
	const char *verb = optind < argc ? argv[optind] : "";
	bool adds = !strcmp(verb, "add"), lists = !strcmp(verb, "ls"), removes = !strcmp(verb, "rm");
	optind += adds || lists || removes;
	if ((rc = store_operand(self, &common, argc, argv)) >= 0)
		return rc;
	if (!adds && !lists && !removes)
		return wrong_usage(self, "say add, ls or rm before STORE");
	if (!lists && optind == argc)
		return wrong_usage(self, adds ? "which FILE is to be added?" : "which BUILDID is to be removed?");
	if (lists && optind < argc)
		return wrong_usage(self, "\"%s\" is one operand too many", argv[optind]);
	if (session_open(&s, &common, adds ? SESSION_CREATE : removes ? SESSION_WRITE : SESSION_READ))
		return EXIT_FAILED;
	return adds ? add(&s, argc, argv) : removes ? take_away(&s, argc, argv) : list(&s, common.store);
}

const struct command cmd_debuginfo = {
	.name = "debuginfo",
	.synopsis = "add STORE FILE... | ls STORE | rm STORE BUILDID...",
	.summary = "Stores the symbols of native code; lists and removes them",
	.help = "  FILE is an ELF file with a build id: a program or library as it was built, or\n"
	        "  what objcopy --only-keep-debug made of it. Frames that came without symbols, of\n"
	        "  profiles that are stored already too, have names, lines (where there is DWARF)\n"
	        "  and inlined calls from then on, in running mounts within a minute.\n"
	        "  rm takes the symbols of a build id away again: frames are what they came as.\n\n",
	.run = run_debuginfo,
};

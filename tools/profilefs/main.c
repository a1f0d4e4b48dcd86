/* SPDX-License-Identifier: MIT */

/* profilefs: the table of commands. */

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../core/debug/debug.h"
#include "common.h"

static const struct command *const commands[] = {
	&cmd_mount, &cmd_ls, &cmd_cat, &cmd_ingest, &cmd_receive,
	&cmd_relabel, &cmd_rules, &cmd_debuginfo, &cmd_check, &cmd_stat, &cmd_compact, &cmd_rm,
};

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static void print_usage(FILE *to)
{
	fprintf(to, "usage: profilefs COMMAND [options] STORE ...\n\n"
	            "A continuous-profiling database as a directory tree.\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(to, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(to, "\nSTORE is a directory: a path, or file:///path.\n"
	            "profilefs COMMAND --help tells the options; profilefs --version the version.\n");
}

static int unknown(const char *word)
{
	complain(word, "no such command; see profilefs help");
	return EXIT_USAGE;
}

static int help(int argc, char **argv)
{
	if (argc > 2) {
		const struct command *c = find_command(argv[2]);
		if (c)
			return c->run(c, 2, (char *[]){ argv[2], "--help", NULL });
		return unknown(argv[2]);
	}
	print_usage(stdout);
	return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
}

/* mount(8) calls its helper with `STORE DIR -o OPTIONS`; the first word is no command there. */
static bool is_mount_helper(int argc, char **argv)
{
	struct stat st;
	if (argc < 3 || argv[1][0] == '-' || argv[2][0] == '-')
		return false;
	bool store = strchr(argv[1], '/') || (!stat(argv[1], &st) && S_ISDIR(st.st_mode));
	return store && (argv[2][0] == '/' || (!stat(argv[2], &st) && S_ISDIR(st.st_mode)));
}

/* Called by the name mount.profilefs, as mount(8) looks for in /sbin. */
static bool is_named_mount(const char *name)
{
	const char *slash = strrchr(name, '/');
	return !strncmp(slash ? slash + 1 : name, "mount.", 6);
}

/* With standard streams closed, a store's file would become stdout and take the output. */
static void hold_standard_streams(void)
{
	struct stat st;
	for (int fd = 0; fd <= 2; fd++)
		if (fstat(fd, &st) && open("/dev/null", fd ? O_WRONLY : O_RDONLY) != fd)
			_exit(EXIT_FAILED);
}

/* Queries take and free some megabytes each: given back to the system at once, a quarter of the time is page faults. */
static void keep_freed_memory(void)
{
	mallopt(M_MMAP_THRESHOLD, 16 << 20);
	mallopt(M_TRIM_THRESHOLD, 16 << 20);
}

int main(int argc, char **argv)
{
	hold_standard_streams();
	signal(SIGPIPE, SIG_IGN);
	keep_freed_memory();
	if (argc < 2) {
		print_usage(stderr);
		return EXIT_USAGE;
	}
	const char *word = argv[1];
	if (!strcmp(word, DEBUG_READ_COMMAND) && argc == 2)
		return debug_read_child(STDIN_FILENO, STDOUT_FILENO);
	if (!strcmp(word, "help") || !strcmp(word, "--help") || !strcmp(word, "-h"))
		return help(argc, argv);
	if (!strcmp(word, "--version") || !strcmp(word, "-V")) {
		puts("profilefs " PROFILEFS_VERSION);
		return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
	}
	opterr = 0;
	if (is_named_mount(argv[0]))
		return cmd_mount.run(&cmd_mount, argc, argv);
	const struct command *c = find_command(word);
	if (c)
		return c->run(c, argc - 1, argv + 1);
	if (is_mount_helper(argc, argv))
		return cmd_mount.run(&cmd_mount, argc, argv);
	return unknown(word);
}

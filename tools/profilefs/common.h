/* SPDX-License-Identifier: MIT */
#pragma once

/* What the commands share: messages, exit codes, common options, opening a store. Only the tools print. */

#include <getopt.h>

#include "../../core/paths/paths.h"
#include "../../core/profile/relabel.h"

enum { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

struct command {
	const char *name;
	const char *synopsis; /* what follows "profilefs NAME" */
	const char *summary;  /* one line of `profilefs help` */
	const char *help;     /* the options, one a line; ends in a newline */
	int (*run)(const struct command *self, int argc, char **argv);
};

extern const struct command cmd_mount, cmd_ls, cmd_cat, cmd_ingest, cmd_check, cmd_stat,
	cmd_receive, cmd_relabel, cmd_debuginfo, cmd_compact, cmd_rm, cmd_rules;

/* "profilefs: LINE" on stderr, control characters (of file names, of the store's words) made harmless. */
void complain_line(const char *line);
/* "profilefs: WHAT: WHY". */
void complain(const char *what, const char *fmt, ...) _printf_(2, 3);
/* The same with an error's sentence and what to do about it. Returns EXIT_FAILED. */
int fail(const char *what, int code, const struct error *err);
/* What the user can do about an error, as the end of its sentence; "" where the error says it all. */
const char *advice(int code);
/* Of a store that only a writer would make. */
#define ELF_READER "/proc/self/exe" /* reads ELF files in a process of its own */
#define NO_STORE "there is no store; `profilefs ingest` and `profilefs mount` make one"
#define NO_SECRET "a secret is not taken on the command line, where others can read it; credentials come from the " \
	"environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY) or from ~/.aws/credentials"
/* Whether a sentence begins with "WHAT:", so that it need not be said again. */
bool is_about(const char *sentence, const char *what);
/* "profilefs: NAME: WHY" and where the usage is told. Returns EXIT_USAGE. */
int wrong_usage(const struct command *self, const char *fmt, ...) _printf_(2, 3);

/* ---- options ---- */

enum { OPT_TENANT = 256, OPT_QUERY_MEMORY, OPT_OF_COMMAND };

#define COMMON_LONG_OPTIONS \
	{ "tenant", required_argument, NULL, OPT_TENANT }, \
	{ "verbose", no_argument, NULL, 'v' }, \
	{ "help", no_argument, NULL, 'h' }

/* Of the commands that query, beside the common ones. */
#define QUERY_LONG_OPTIONS { "query-memory", required_argument, NULL, OPT_QUERY_MEMORY }
#define QUERY_HELP "      --query-memory SIZE  at most for one query (default: 1G); else it fails\n"

struct common {
	const char *tenant; /* NULL: the default */
	size_t query_memory; /* 0: the default */
	const char *store;  /* as the user wrote it */
	bool sole_compactor;
	bool verbose;       /* says which store, settings and credentials are used */
	bool uncached;      /* reads what is in the store, not what a cache has of it */
};

/*
 * Takes what getopt_long() (with short options that begin with ':') returned and the command does not know itself: -1
 * to go on, else the exit code.
 */
int common_option(const struct command *self, struct common *c, int opt, char **argv);
/* Takes STORE from the operands: -1 to go on, else the exit code. */
int store_operand(const struct command *self, struct common *c, int argc, char **argv);
/* "15m", "90s", "2h", "7d", "0": ns, at least 1. */
bool duration_parse(const char *s, int64_t *ret);
/* Whether -o options carry a secret: it would show in ps and in the shell's history. */
bool options_have_secret(const char *options);

/* ---- a store, open ---- */

enum session_mode {
	SESSION_READ,
	SESSION_WRITE,  /* the store must be there */
	SESSION_CREATE, /* makes a directory store that is missing */
};

struct session {
	struct store *store;
	struct db *db;
	struct tree *tree; /* NULL until session_tree() */
};

/* Opens what STORE names, with the options that the commands share, and tells the log so where that is wanted. */
int open_store(const struct common *c, const struct store_options *opts, const struct log *log, struct store **ret,
               struct error *err);
/* Complains and returns EXIT_FAILED, or 0. session_done() may follow in either case. */
int session_open(struct session *s, const struct common *c, enum session_mode mode);
int session_tree(struct session *s, const struct common *c);
void session_done(struct session *s);

/* Warnings of background work, on stderr. */
extern const struct log stderr_log;

/* Appends a file, or standard input for "-". 0 or a negative error. */
int read_text(const char *file, struct buf *out);
/* Relabelling rules of a file. New. Complains and returns EXIT_FAILED, or 0. */
int read_rules(const char *file, struct relabel **ret);

/* ---- output ---- */

/*
 * Writes all of it to stdout; complains and returns EXIT_FAILED where that fails. A reader that has gone ends the
 * process by SIGPIPE, as for any filter.
 */
int put_out(const void *data, size_t n);
int put_buf(const struct buf *b);

/* "437.1 MB": powers of 1000, as disks and transfers are counted. */
const char *bytes_format(uint64_t n, char ret[24]);

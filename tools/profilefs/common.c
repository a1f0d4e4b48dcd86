/* SPDX-License-Identifier: MIT */
#include <ctype.h>
#include <signal.h>
#include <string.h>
#include <strings.h>

#include "../../core/base/size.h"
#include "common.h"

#define RULES_MAX ((size_t)1 << 20)

void complain_line(const char *line)
{
	fflush(stdout);
	flockfile(stderr);
	fputs("profilefs: ", stderr);
	for (const char *p = line; *p; p++)
		putc(iscntrl((unsigned char)*p) ? '?' : *p, stderr);
	putc('\n', stderr);
	funlockfile(stderr);
}

void complain(const char *what, const char *fmt, ...)
{
	char why[1024];
	_free_ char *line = NULL;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	complain_line(asprintf(&line, "%s: %s", what, why) < 0 ? why : line);
}

const char *advice(int code)
{
	switch (code) {
	case ERR_NEWER:
		return "; install that version or a later one";
	case ERR_CORRUPT_CHECKSUM:
	case ERR_CORRUPT_LAYOUT:
	case ERR_CORRUPT_MISSING:
		return "; `profilefs check` names what is damaged";
	case ERR_STORE_ACCESS:
		return "; check permissions or credentials";
	case ERR_STORE_TIMEOUT:
		return "; check that the store is reachable and try again";
	default:
		return "";
	}
}

bool is_about(const char *sentence, const char *what)
{
	size_t n = strlen(what);
	return !strncmp(sentence, what, n) && sentence[n] == ':';
}

int fail(const char *what, int code, const struct error *err)
{
	const char *why = error_text(err, code);
	if (is_about(why, what))
		why += strlen(what) + 1 + strspn(why + strlen(what) + 1, " ");
	complain(what, "%s%s", why, advice(code));
	return EXIT_FAILED;
}

int wrong_usage(const struct command *self, const char *fmt, ...)
{
	char why[512];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(why, sizeof why, fmt, ap);
	va_end(ap);
	complain(self->name, "%s; usage: profilefs %s %s", why, self->name, self->synopsis);
	return EXIT_USAGE;
}

static int print_help(const struct command *self)
{
	printf("usage: profilefs %s %s\n\n%s.\n\n%s"
	       "      --tenant NAME    whose profiles (default: default)\n"
	       "  -v, --verbose        says which store, settings and credentials are used\n"
	       "  -h, --help           this text\n",
	       self->name, self->synopsis, self->summary, self->help);
	return fflush(stdout) ? EXIT_FAILED : EXIT_DONE;
}

static int take_query_memory(const struct command *self, struct common *c)
{
	uint64_t n;
	if (!size_parse(optarg, &n) || !n || n > SIZE_MAX >> 1)
		return wrong_usage(self, "--query-memory is a size above 0, as 64M or 2G, not \"%s\"", optarg);
	c->query_memory = (size_t)n;
	return -1;
}

int common_option(const struct command *self, struct common *c, int opt, char **argv)
{
	switch (opt) {
	case OPT_TENANT:
		c->tenant = optarg;
		return *optarg ? -1 : wrong_usage(self, "the tenant's name is empty");
	case OPT_QUERY_MEMORY:
		return take_query_memory(self, c);
	case 'v':
		c->verbose = true;
		return -1;
	case 'h':
		return print_help(self);
	case ':':
		return wrong_usage(self, "%s needs a value", argv[optind - 1]);
	default:
		if (!strncmp(argv[optind - 1], "--", 2))
			return wrong_usage(self, "%s %s", argv[optind - 1], optopt ? "takes no value" : "is no option");
		return wrong_usage(self, "-%c is no option", optopt);
	}
}

bool duration_parse(const char *s, int64_t *ret)
{
	static const struct { char unit; int64_t ns; } units[] = {
		{ 's', NS_PER_S }, { 'm', NS_PER_MIN }, { 'h', NS_PER_HOUR }, { 'd', NS_PER_DAY },
	};
	char *end;
	errno = 0;
	long long n = strtoll(s, &end, 10);
	if (errno || end == s || n < 0 || n > 100000)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++)
		if (*end == units[i].unit && !end[1]) {
			*ret = MAX(n * units[i].ns, INT64_C(1));
			return true;
		}
	*ret = 1;
	return n == 0 && !*end;
}

static bool is_secret_name(const char *s, size_t n)
{
	static const char *const words[] = {
		"secret", "password", "passwd", "token", "access_key", "accesskey", "credential",
	};
	for (size_t w = 0; w < ARRAY_SIZE(words); w++) {
		size_t len = strlen(words[w]);
		for (size_t i = 0; i + len <= n; i++)
			if (!strncasecmp(s + i, words[w], len))
				return true;
	}
	return false;
}

bool options_have_secret(const char *options)
{
	for (const char *p = options; *p; p += strcspn(p, "?&,")) {
		p += strspn(p, "?&,");
		size_t n = strcspn(p, "=?&,");
		if (p[n] == '=' && is_secret_name(p, n))
			return true;
	}
	return false;
}

/* scheme://USER:SECRET@host, or a query parameter. */
static bool store_has_secret(const char *word)
{
	const char *rest = strstr(word, "://");
	if (!rest || !strncmp(word, "file:", 5))
		return false;
	rest += 3;
	const char *query = strchr(rest, '?'), *at = memchr(rest, '@', strcspn(rest, "/?"));
	return (query && options_have_secret(query)) || (at && memchr(rest, ':', (size_t)(at - rest)));
}

int store_operand(const struct command *self, struct common *c, int argc, char **argv)
{
	if (optind >= argc)
		return wrong_usage(self, "STORE is missing");
	c->store = argv[optind++];
	if (!*c->store)
		return wrong_usage(self, "STORE is empty");
	if (store_has_secret(c->store)) {
		complain(self->name, NO_SECRET);
		return EXIT_USAGE;
	}
	return -1;
}

static void stderr_sink(void *ctx, enum log_level level, const char *line)
{
	complain_line(line);
}

const struct log stderr_log = { .sink = stderr_sink, .level = LOG_LEVEL_WARNING };

int open_store(const struct common *c, const struct store_options *opts, const struct log *log, struct store **ret,
               struct error *err)
{
	_buf_ struct buf about = BUF_INIT(4096);
	struct store_options so = *opts;
	if (!c->uncached)
		so.immutable = db_key_immutable;
	int e = store_open(c->store, &so, ret, err);
	if (e || !c->verbose)
		return e;
	store_describe(*ret, &about);
	log_msg(log, LOG_LEVEL_WARNING, "%s: %.*s", c->store, (int)about.len, (const char *)about.data);
	return 0;
}

int session_open(struct session *s, const struct common *c, enum session_mode mode)
{
	struct error err = { 0 };
	struct store_options so = { .read_only = mode == SESSION_READ, .create = mode == SESSION_CREATE };
	struct db_options dbo = {
		.tenant = c->tenant,
		.query_memory = c->query_memory,
		.log = &stderr_log,
		.sole_compactor = c->sole_compactor,
		.elf_reader = ELF_READER,
	};

	*s = (struct session){ 0 };
	int e = open_store(c, &so, &stderr_log, &s->store, &err);
	if (!e)
		e = db_open(s->store, &dbo, &s->db, &err);
	if (e && mode != SESSION_CREATE && err_errno(e) == ENOENT) {
		complain(c->store, NO_STORE);
		return EXIT_FAILED;
	}
	return e ? fail(c->store, e, &err) : 0;
}

int session_tree(struct session *s, const struct common *c)
{
	struct error err = { 0 };
	struct tree_options opts = { .read_only = true };
	int e = tree_new(s->db, &opts, &s->tree, &err);
	return e ? fail(c->store, e, &err) : 0;
}

void session_done(struct session *s)
{
	tree_freep(&s->tree);
	db_closep(&s->db);
	store_freep(&s->store);
	*s = (struct session){ 0 };
}

int read_text(const char *file, struct buf *out)
{
	bool is_stdin = !strcmp(file, "-");
	_fclose_ FILE *opened = is_stdin ? NULL : fopen(file, "re");
	FILE *f = is_stdin ? stdin : opened;
	char chunk[4096];
	if (!f)
		return -errno;
	for (size_t n; (n = fread(chunk, 1, sizeof chunk, f)) > 0;)
		buf_put(out, chunk, n);
	return ferror(f) ? -EIO : buf_err(out);
}

int read_rules(const char *file, struct relabel **ret)
{
	_buf_ struct buf text = BUF_INIT(RULES_MAX);
	struct error err = { 0 };
	int e = read_text(file, &text);
	if (!e)
		e = relabel_parse(buf_slice(&text), ret, &err);
	return e ? fail(file, e, &err) : 0;
}

int put_out(const void *data, size_t n)
{
	for (const char *p = data; n;) {
		ssize_t done = write(STDOUT_FILENO, p, n);
		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0 && errno == EPIPE) {
			signal(SIGPIPE, SIG_DFL);
			raise(SIGPIPE);
		}
		if (done < 0)
			return fail("standard output", -errno, NULL);
		p += done;
		n -= (size_t)done;
	}
	return EXIT_DONE;
}

int put_buf(const struct buf *b)
{
	if (buf_err(b))
		return fail("standard output", buf_err(b), NULL);
	return put_out(b->data, b->len);
}

const char *bytes_format(uint64_t n, char ret[24])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB", "EB" };
	double v = (double)n;
	size_t u = 0;
	for (; v >= 999.95 && u + 1 < ARRAY_SIZE(units); u++)
		v /= 1000;
	snprintf(ret, 24, u ? "%.1f %s" : "%.0f %s", v, units[u]);
	return ret;
}

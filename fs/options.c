/* SPDX-License-Identifier: MIT */

/* The words after -o: one table of those that profilefs takes, one of those that mount(8) and fstab may bring along. */

#include <string.h>

#include "../core/base/size.h"
#include "fs.h"

#define OPTION_MAX 4096 /* bytes of one -o argument */

enum option_kind {
	OPT_FLAG,     /* word */
	OPT_UNFLAG,   /* word that takes back a flag */
	OPT_YES_NO,   /* word=yes|no; stored negated */
	OPT_STRING,   /* word=text */
	OPT_SIZE,     /* word=bytes, with K, M, G */
	OPT_DURATION, /* word=0.25, 250ms, 1s, -1 */
	OPT_ID,       /* word=number */
	OPT_OCTAL,    /* word=octal */
};

struct option_row {
	const char *name;
	enum option_kind kind;
	size_t offset, has_offset; /* has_offset: a bool to set, 0 for none */
};

#define FIELD(f) offsetof(struct mount_options, f)

static const struct option_row option_rows[] = {
	{ "ro", OPT_FLAG, FIELD(read_only), 0 },
	{ "rw", OPT_UNFLAG, FIELD(read_only), 0 },
	{ "tenant", OPT_STRING, FIELD(tenant), 0 },
	{ "compact", OPT_YES_NO, FIELD(no_compact), 0 },
	{ "delete", OPT_FLAG, FIELD(may_delete), 0 },
	{ "stat_wait", OPT_DURATION, FIELD(stat_wait_ns), 0 },
	{ "cache_size", OPT_SIZE, FIELD(cache_size), 0 },
	{ "mem", OPT_SIZE, FIELD(mem), 0 },
	{ "query_memory", OPT_SIZE, FIELD(query_memory), 0 },
	{ "spool_size", OPT_SIZE, FIELD(spool_size), 0 },
	{ "log", OPT_STRING, FIELD(log_file), 0 },
	{ "fsname", OPT_STRING, FIELD(fsname), 0 },
	{ "allow_other", OPT_FLAG, FIELD(allow_other), 0 },
	{ "auto_unmount", OPT_FLAG, FIELD(auto_unmount), 0 },
	{ "nonempty", OPT_FLAG, FIELD(nonempty), 0 },
	{ "debug", OPT_FLAG, FIELD(debug), 0 },
	{ "uid", OPT_ID, FIELD(uid), FIELD(has_uid) },
	{ "gid", OPT_ID, FIELD(gid), FIELD(has_gid) },
	{ "umask", OPT_OCTAL, FIELD(umask), 0 },
};

/* For the kernel: it knows them for every filesystem. */
static const char *const kernel_words[] = { "nodev", "nosuid", "noexec", "noatime", "sync", "dirsync", "dev",
	                                    "suid",  "exec",   "async",  "atime",   NULL };

/* For mount(8), systemd and fstab; without meaning here. A trailing '*' stands for any ending. */
static const char *const ignored_words[] = {
	"defaults", "_netdev", "nofail", "auto", "noauto", "user", "nouser", "users", "owner", "group", "_rnetdev",
	"relatime", "norelatime", "strictatime", "nostrictatime", "nodiratime", "diratime", "lazytime", "nolazytime",
	"mand", "nomand", "silent", "loud", "default_permissions", "subtype=*", "x-*", "comment=*", "user=*",
	"fscontext=*", "defcontext=*", "rootcontext=*", "context=*", NULL,
};

static bool word_listed(const char *const *words, const char *word)
{
	for (; *words; words++) {
		size_t n = strlen(*words);
		if ((*words)[n - 1] == '*' ? !strncmp(word, *words, n - 1) : !strcmp(word, *words))
			return true;
	}
	return false;
}

void fs_options_init(struct mount_options *opts)
{
	*opts = (struct mount_options){ .stat_wait_ns = FS_STAT_WAIT_DEFAULT };
}

void fs_options_done(struct mount_options *opts)
{
	free(opts->tenant);
	free(opts->log_file);
	free(opts->fsname);
	free(opts->fuse_opts);
	*opts = (struct mount_options){ 0 };
}

static int bad_value(const char *word, const char *value, const char *want, struct error *err)
{
	return error_set(err, -EINVAL, "mount option %s=%s: expected %s", word, value, want);
}

static int parse_size(const char *word, const char *value, size_t *ret, struct error *err)
{
	uint64_t n;
	if (!size_parse(value, &n) || n > SIZE_MAX >> 1)
		return bad_value(word, value, "a size such as 64M", err);
	*ret = (size_t)n;
	return 0;
}

static int parse_duration(const char *word, const char *value, int64_t *ret, struct error *err)
{
	if (!strcmp(value, "-1")) {
		*ret = FS_STAT_WAIT_EVER;
		return 0;
	}
	char *end;
	double n = strtod(value, &end);
	int64_t unit = !*end || !strcmp(end, "s") ? NS_PER_S : !strcmp(end, "ms") ? NS_PER_MS : 0;
	if (end == value || !unit || !(n >= 0) || n > 3600)
		return bad_value(word, value, "a duration such as 250ms or 1s, or -1 for no limit", err);
	*ret = (int64_t)(n * (double)unit);
	return 0;
}

static int parse_number(const char *word, const char *value, int base, unsigned long max, const char *want,
                        unsigned long *ret, struct error *err)
{
	char *end;
	errno = 0;
	unsigned long n = strtoul(value, &end, base);
	if (errno || end == value || *end || *value == '-' || n > max)
		return bad_value(word, value, want, err);
	*ret = n;
	return 0;
}

static int set_string(char **field, const char *value)
{
	char *copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(*field);
	*field = copy;
	return 0;
}

static int set_yes_no(const char *word, const char *value, bool *negated, struct error *err)
{
	if (strcmp(value, "yes") && strcmp(value, "no"))
		return bad_value(word, value, "yes or no", err);
	*negated = !strcmp(value, "no");
	return 0;
}

static int set_number(const struct option_row *row, const char *value, void *field, struct error *err)
{
	unsigned long n = 0;
	bool octal = row->kind == OPT_OCTAL;
	int e = parse_number(row->name, value, octal ? 8 : 10, octal ? 07777 : UINT32_MAX - 1,
	                     octal ? "an octal mask such as 022" : "a number", &n, err);
	if (!e)
		*(uint32_t *)field = (uint32_t)n;
	return e;
}

_Static_assert(sizeof(uid_t) == 4 && sizeof(gid_t) == 4 && sizeof(mode_t) == 4, "set_number() stores 32 bits");

static int set_value(struct mount_options *opts, const struct option_row *row, const char *value, struct error *err)
{
	void *field = (char *)opts + row->offset;
	switch (row->kind) {
	case OPT_STRING:
		return set_string(field, value);
	case OPT_SIZE:
		return parse_size(row->name, value, field, err);
	case OPT_DURATION:
		return parse_duration(row->name, value, field, err);
	case OPT_YES_NO:
		return set_yes_no(row->name, value, field, err);
	case OPT_ID:
	case OPT_OCTAL:
		return set_number(row, value, field, err);
	default:
		return bad_value(row->name, value, "no value", err);
	}
}

static int take_row(struct mount_options *opts, const struct option_row *row, const char *value, struct error *err)
{
	bool flag = row->kind == OPT_FLAG || row->kind == OPT_UNFLAG;
	if (flag == !!value)
		return value ? bad_value(row->name, value, "no value", err)
		             : error_set(err, -EINVAL, "mount option %s needs a value: %s=...", row->name, row->name);
	if (flag)
		*(bool *)((char *)opts + row->offset) = row->kind == OPT_FLAG;
	int e = flag ? 0 : set_value(opts, row, value, err);
	if (!e && row->has_offset)
		*(bool *)((char *)opts + row->has_offset) = true;
	return e;
}

static int unknown_option(const char *word, struct error *err)
{
	char known[360] = "";
	size_t at = 0;
	for (size_t i = 0; i < ARRAY_SIZE(option_rows) && at < sizeof known - 24; i++) {
		bool value = option_rows[i].kind != OPT_FLAG && option_rows[i].kind != OPT_UNFLAG;
		at += (size_t)snprintf(known + at, sizeof known - at, "%s%s%s", i ? ", " : "", option_rows[i].name,
		                       value ? "=" : "");
	}
	return error_set(err, -EINVAL, "unknown mount option '%.60s'; known are %s", word, known);
}

static int pass_to_kernel(struct mount_options *opts, const char *word)
{
	char *joined = NULL;
	if (asprintf(&joined, "%s%s%s", opts->fuse_opts ? opts->fuse_opts : "", opts->fuse_opts ? "," : "", word) < 0)
		return -ENOMEM;
	free(opts->fuse_opts);
	opts->fuse_opts = joined;
	return 0;
}

static int take_word(struct mount_options *opts, char *word, struct error *err)
{
	if (!*word || word_listed(ignored_words, word))
		return 0;
	if (word_listed(kernel_words, word))
		return pass_to_kernel(opts, word);
	char *eq = strchr(word, '=');
	if (eq)
		*eq = 0;
	for (size_t i = 0; i < ARRAY_SIZE(option_rows); i++)
		if (!strcmp(option_rows[i].name, word))
			return take_row(opts, &option_rows[i], eq ? eq + 1 : NULL, err);
	return unknown_option(word, err);
}

int fs_parse_options(struct mount_options *opts, const char *o, struct error *err)
{
	if (strlen(o) > OPTION_MAX)
		return error_set(err, -EINVAL, "the mount options are longer than %d bytes", OPTION_MAX);
	_free_ char *copy = strdup(o);
	if (!copy)
		return -ENOMEM;
	int e = 0;
	for (char *next = copy, *word; !e && (word = strsep(&next, ","));)
		e = take_word(opts, word, err);
	return e;
}

/* SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "common.h"
#include "inputs.h"

void inputs_done(struct inputs *in)
{
	for (size_t i = 0; i < in->files.n; i++)
		free(in->files.v[i].path);
	VEC_DONE(&in->files);
}

/* Takes path, also on failure. */
static int add_file(struct inputs *in, char *path, size_t below_at)
{
	struct input *e = VEC_PUSH(&in->files);
	if (!e) {
		free(path);
		return -ENOMEM;
	}
	*e = (struct input){ path, below_at };
	return 0;
}

static size_t count_slashes(const char *s)
{
	size_t n = 0;
	for (; *s; s++)
		n += *s == '/';
	return n;
}

/* Directories that remain to be read: a stack instead of recursion, so that depth costs memory and no calls. */
struct walk {
	VEC(char *) dirs;
	size_t below_at, depth;
	struct inputs *in;
};

static void walk_done(struct walk *w)
{
	while (w->dirs.n)
		free(w->dirs.v[--w->dirs.n]);
	VEC_DONE(&w->dirs);
}

static int walk_entry(struct walk *w, const char *dir, const struct dirent *d)
{
	struct stat st = { 0 };
	char *path;
	if (d->d_name[0] == '.')
		return 0;
	if (asprintf(&path, "%s%s%s", dir, dir[strlen(dir) - 1] == '/' ? "" : "/", d->d_name) < 0)
		return -ENOMEM;
	if (lstat(path, &st) || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) {
		w->in->links += S_ISLNK(st.st_mode);
		free(path);
		return 0;
	}
	if (S_ISREG(st.st_mode) && count_slashes(path + w->below_at) < w->depth) {
		w->in->skipped++;
		free(path);
		return 0;
	}
	if (S_ISREG(st.st_mode))
		return add_file(w->in, path, w->below_at);
	char **at = VEC_PUSH(&w->dirs);
	if (at)
		*at = path;
	else
		free(path);
	return at ? 0 : -ENOMEM;
}

static int walk_dir(struct walk *w, const char *dir)
{
	struct dirent **names = NULL;
	int n = scandir(dir, &names, NULL, NULL), e = 0;
	if (n < 0) {
		complain(dir, "%s", strerror(errno));
		w->in->unread++;
		return 0;
	}
	for (int i = 0; i < n; i++) {
		e = e ?: walk_entry(w, dir, names[i]);
		free(names[i]);
	}
	free(names);
	return e;
}

static int cmp_input(const void *a, const void *b)
{
	return strcmp(((const struct input *)a)->path, ((const struct input *)b)->path);
}

static int add_dir(struct inputs *in, const char *dir, size_t depth)
{
	size_t len = strlen(dir), first = in->files.n;
	_cleanup_(walk_done) struct walk w = { .in = in, .depth = depth };
	w.below_at = dir[len - 1] == '/' ? len : len + 1;
	char **at = VEC_PUSH(&w.dirs);
	if (!at || !(*at = strdup(dir)))
		return -ENOMEM;
	for (int e; w.dirs.n;) {
		_free_ char *next = w.dirs.v[--w.dirs.n];
		if ((e = walk_dir(&w, next)))
			return e;
	}
	if (in->files.n > first)
		qsort(in->files.v + first, in->files.n - first, sizeof *in->files.v, cmp_input);
	return 0;
}

int inputs_add(struct inputs *in, const char *operand, size_t depth, struct error *err)
{
	struct stat st = { 0 };
	if (strcmp(operand, "-") && stat(operand, &st))
		return error_set(err, -errno, "%s", strerror(errno));
	if (S_ISDIR(st.st_mode))
		return add_dir(in, operand, depth);
	char *path = strdup(operand);
	return path ? add_file(in, path, 0) : -ENOMEM;
}

static int read_all(int fd, struct buf *out, struct error *err)
{
	for (;;) {
		uint8_t *at = buf_reserve(out, 1 << 16);
		if (!at)
			return error_set(err, ERR_FORMAT_LIMIT, "larger than %zu MiB", INPUT_MAX_BYTES >> 20);
		ssize_t n = read(fd, at, MAX((size_t)1 << 16, MIN(out->cap, out->max) - out->len));
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_set(err, -errno, "%s", strerror(errno));
		if (!n)
			return 0;
		out->len += (size_t)n;
	}
}

int input_read(const struct input *in, struct buf *out, int64_t *ret_mtime, struct error *err)
{
	bool is_stdin = !strcmp(in->path, "-");
	struct stat st = { 0 };
	_close_ int fd = is_stdin ? dup(STDIN_FILENO) : open(in->path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st))
		return error_set(err, -errno, "%s", strerror(errno));
	*out = (struct buf){ out->data, 0, out->cap, INPUT_MAX_BYTES + (1 << 17), 0 };
	if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > INPUT_MAX_BYTES)
		return error_set(err, ERR_FORMAT_LIMIT, "larger than %zu MiB", INPUT_MAX_BYTES >> 20);
	if (S_ISREG(st.st_mode) && !is_stdin)
		*ret_mtime = (int64_t)st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
	else
		*ret_mtime = 0;
	return read_all(fd, out, err);
}

int layout_init(struct layout *l, const char *text, struct error *err)
{
	*l = (struct layout){ .text = strdup(text) };
	if (!l->text)
		return -ENOMEM;
	char *rest = l->text;
	for (char *part; (part = strsep(&rest, "/"));) {
		if (!*part || l->n == ARRAY_SIZE(l->parts))
			return error_set(err, ERR_PATH, "--layout is SERVICE/KEY/...: up to %zu names",
			                 ARRAY_SIZE(l->parts));
		for (size_t i = 0; i < l->n; i++)
			if (strcmp(part, "-") && !strcmp(part, l->parts[i]))
				return error_set(err, ERR_PATH, "--layout names %s twice", part);
		l->parts[l->n++] = part;
	}
	return 0;
}

void layout_done(struct layout *l)
{
	free(l->text);
	*l = (struct layout){ 0 };
}

int target_add_label(struct target *t, struct str key, struct str value)
{
	struct label *v = realloc(t->labels, (t->n_labels + 1) * sizeof *v);
	if (!v)
		return -ENOMEM;
	t->labels = v;
	char *k = strndup(key.s, key.len), *s = strndup(value.s, value.len);
	if (!k || !s) {
		free(k);
		free(s);
		return -ENOMEM;
	}
	v[t->n_labels++] = (struct label){ { k, key.len }, { s, value.len } };
	return 0;
}

static int apply_part(const char *part, struct str value, struct target *t)
{
	if (!strcmp(part, "-"))
		return 0;
	if (strcmp(part, "SERVICE"))
		return target_add_label(t, str_of(part), value);
	free(t->service);
	t->service = strndup(value.s, value.len);
	return t->service ? 0 : -ENOMEM;
}

int layout_apply(const struct layout *l, const struct input *in, struct target *t, struct error *err)
{
	const char *p = in->path + in->below_at;
	if (l->n && !in->below_at)
		return error_set(err, ERR_PATH, "stands below no directory that --layout could take apart");
	for (size_t i = 0; i < l->n; i++) {
		size_t n = strcspn(p, "/");
		int e = apply_part(l->parts[i], (struct str){ p, n }, t);
		if (e)
			return e;
		p += n + (p[n] == '/');
	}
	return 0;
}

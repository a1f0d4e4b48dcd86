/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "names.h"
#include "recording.h"
#include "tree.h"

/*
 * .profilefs/: what the program says of itself. Each file is made when it is looked up, is small, and costs
 * no request, but for rules.json and rules.prom.
 */

#define ERRORS_MAX 1000
#define QUERIES_MAX 200
#define STATUS_MAX 32
#define FILE_BYTES_MAX ((size_t)4 << 20)
#define ASKED_BYTES_MAX ((size_t)64 << 20)
#define LINE_MAX_BYTES 2048

/* The newest lines of something; older ones go. */
struct lines {
	char **v;
	size_t max, n, next; /* v[next] is the oldest where n == max */
};

struct status {
	const char *name;
	void (*fn)(void *ctx, struct buf *out);
	void *ctx;
};

struct control {
	pthread_mutex_t lock; /* guards all below */
	struct lines errors, queries;
	struct status status[STATUS_MAX];
	size_t n_status;
};

static int lines_init(struct lines *l, size_t max)
{
	l->v = calloc(max, sizeof *l->v);
	l->max = max;
	return l->v ? 0 : -ENOMEM;
}

static void lines_done(struct lines *l)
{
	for (size_t i = 0; l->v && i < l->max; i++)
		free(l->v[i]);
	free(l->v);
}

/* Takes line (may be NULL). */
static void lines_add(struct lines *l, char *line)
{
	if (!line)
		return;
	free(l->v[l->next]);
	l->v[l->next] = line;
	l->next = (l->next + 1) % l->max;
	l->n = MIN(l->n + 1, l->max);
}

static void lines_put(const struct lines *l, struct buf *out)
{
	size_t first = l->n == l->max ? l->next : 0;
	for (size_t i = 0; i < l->n; i++)
		buf_puts(out, l->v[(first + i) % l->max]);
}

int control_new(struct control **ret)
{
	struct control *c = calloc(1, sizeof *c);
	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	if (lines_init(&c->errors, ERRORS_MAX) || lines_init(&c->queries, QUERIES_MAX)) {
		control_free(c);
		return -ENOMEM;
	}
	*ret = c;
	return 0;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	lines_done(&c->errors);
	lines_done(&c->queries);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* ---- what is written down ---- */

/* One line: what would break it is shown as '?'. */
static void put_line_text(struct buf *b, const char *s)
{
	for (; *s; s++)
		buf_putc(b, (unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s);
}

static char *line_take(struct buf *b)
{
	size_t len;
	buf_puts(b, "\n");
	if (buf_err(b)) {
		/* Cut to what fits. */
		b->err = 0;
		b->len = MIN(b->len, b->max - 2);
		buf_puts(b, "\n");
	}
	buf_putc(b, '\0');
	return buf_err(b) ? NULL : (char *)buf_take(b, &len);
}

void tree_report(struct tree *t, const char *path, int pid, int code, const char *sentence)
{
	_buf_ struct buf b = BUF_INIT(LINE_MAX_BYTES);
	char when[TIME_LEN];
	buf_printf(&b, "%s pid %d ", time_format_rfc3339(time_floor(tree_now(t), NS_PER_MS), when), pid);
	put_line_text(&b, path);
	buf_puts(&b, ": ");
	put_line_text(&b, sentence ? sentence : err_text(code));
	buf_printf(&b, " (%s)", err_name(code));
	pthread_mutex_lock(&t->control->lock);
	lines_add(&t->control->errors, line_take(&b));
	pthread_mutex_unlock(&t->control->lock);
}

void control_rendered(struct tree *t, struct node *file, int64_t took, size_t bytes, int result)
{
	_buf_ struct buf b = BUF_INIT(LINE_MAX_BYTES), path = BUF_INIT(COMPONENT_MAX);
	char when[TIME_LEN];
	node_path(file, &path);
	buf_putc(&path, '\0');
	time_format_rfc3339(time_floor(tree_now(t), NS_PER_MS), when);
	buf_printf(&b, "%s %.3f ms %zu bytes %s ", when, (double)took / 1e6, bytes, result ? err_name(result) : "ok");
	put_line_text(&b, buf_err(&path) ? file->name : (char *)path.data);
	pthread_mutex_lock(&t->control->lock);
	lines_add(&t->control->queries, line_take(&b));
	pthread_mutex_unlock(&t->control->lock);
}

int tree_add_status(struct tree *t, const char *name, void (*fn)(void *ctx, struct buf *out), void *ctx)
{
	struct control *c = t->control;
	pthread_mutex_lock(&c->lock);
	bool room = c->n_status < STATUS_MAX;
	if (room) {
		size_t i = c->n_status++;
		for (; i > 0 && strcmp(c->status[i - 1].name, name) > 0; i--)
			c->status[i] = c->status[i - 1];
		c->status[i] = (struct status){ name, fn, ctx };
	}
	pthread_mutex_unlock(&c->lock);
	return room ? 0 : ERR_LIMIT;
}

/* ---- the files ---- */

static void put_readme(struct tree *t, struct buf *out)
{
	buf_puts(out, "What profilefs says of itself. Times are UTC; a file is made when it is looked at.\n\n"
	              "version       of the program and of the store's format\n"
	              "config        how this was mounted\n"
	              "status        the store and what is kept in memory\n"
	              "errors        why something was refused or failed, newest last\n"
	              "queries       what was rendered and what it cost, newest last\n"
	              "debuginfo/    ELF files copied here give names and lines to frames without symbols\n"
	              "rules.json    the rules by which metrics are made from profiles; to be written\n"
	              "rules.prom    their newest values\n"
	              "search/       NAME.tsv: which services call the function NAME, over the last 7 days\n"
	              "metrics.prom  the same counts for a monitoring system (OpenMetrics)\n");
}

static void put_version(struct tree *t, struct buf *out)
{
	buf_printf(out, "profilefs %s\nstore format %d\n", PROFILEFS_VERSION, DB_FORMAT);
}

static void put_config(struct tree *t, struct buf *out)
{
	buf_printf(out, "store = %s\ntenant = %s\nread_only = %s\ndelete = %s\ncache_size = %zu\n",
	           db_store(t->db)->name ? db_store(t->db)->name : "", db_tenant(t->db),
	           t->opts.read_only ? "yes" : "no", t->opts.may_delete ? "yes" : "no", t->opts.cache_bytes);
}

struct fact {
	const char *name, *help;
	uint64_t value;
	bool gauge;
};

#define FACTS 16

static void facts_of(struct tree *t, struct fact ret[FACTS])
{
	struct store_counts s;
	struct files_counts f;
	store_counters(db_store(t->db), &s);
	files_counts(t, &f);
	const struct fact facts[FACTS] = {
		{ "store_puts", "Objects written", s.put, false },
		{ "store_gets", "Reads of objects", s.get, false },
		{ "store_lists", "Listings of objects", s.list, false },
		{ "store_removes", "Objects removed", s.remove, false },
		{ "store_bytes_in", "Bytes written to the store", s.bytes_in, false },
		{ "store_bytes_out", "Bytes read from the store", s.bytes_out, false },
		{ "store_errors", "Failed requests", s.errors, false },
		{ "store_retries", "Requests that were repeated", s.retries, false },
		{ "store_cache_hits", "Pieces of objects that the local cache had", s.cache_hits, false },
		{ "store_cache_misses", "Pieces of objects that it had not", s.cache_misses, false },
		{ "renders", "Files rendered", f.renders, false },
		{ "render_failures", "Renderings that failed", f.failures, false },
		{ "renders_cancelled", "Renderings that nobody waited for", f.cancelled, false },
		{ "render_hits", "Files that were there already", f.hits, false },
		{ "rendered_bytes", "Rendered bytes that are kept", f.cached_bytes, true },
		{ "rendered_files", "Rendered files that are kept", f.cached_files, true },
	};
	memcpy(ret, facts, sizeof facts);
}

static void put_status(struct tree *t, struct buf *out)
{
	struct fact facts[FACTS];
	char since[TIME_LEN];
	buf_printf(out, "store %s\ntenant %s\nsince %s\n", db_store(t->db)->name ? db_store(t->db)->name : "",
	           db_tenant(t->db), time_format_rfc3339(time_floor(t->started, NS_PER_S), since));
	facts_of(t, facts);
	for (size_t i = 0; i < FACTS; i++)
		buf_printf(out, "%s %llu\n", facts[i].name, (unsigned long long)facts[i].value);
}

static void put_metrics(struct tree *t, struct buf *out)
{
	struct fact facts[FACTS];
	facts_of(t, facts);
	for (const struct fact *f = facts; f < facts + FACTS; f++) {
		buf_printf(out, "# HELP profilefs_%s %s.\n", f->name, f->help);
		buf_printf(out, "# TYPE profilefs_%s %s\n", f->name, f->gauge ? "gauge" : "counter");
		buf_printf(out, "profilefs_%s%s %llu\n", f->name, f->gauge ? "" : "_total",
		           (unsigned long long)f->value);
	}
	buf_puts(out, "# EOF\n");
}

static void put_errors(struct tree *t, struct buf *out)
{
	pthread_mutex_lock(&t->control->lock);
	lines_put(&t->control->errors, out);
	pthread_mutex_unlock(&t->control->lock);
}

static void put_queries(struct tree *t, struct buf *out)
{
	pthread_mutex_lock(&t->control->lock);
	lines_put(&t->control->queries, out);
	pthread_mutex_unlock(&t->control->lock);
}

static int put_rules(struct tree *t, struct buf *out, struct error *err)
{
	return recordings_text(t->db, out, err);
}

static int put_recorded(struct tree *t, struct buf *out, struct error *err)
{
	return recordings_render(t, NULL, out, err);
}

static const struct {
	const char *name;
	void (*put)(struct tree *t, struct buf *out);
} own[] = {
	{ "README.md", put_readme },     { "config", put_config },   { "errors", put_errors },
	{ "metrics.prom", put_metrics }, { "queries", put_queries }, { "status", put_status },
	{ "version", put_version },
};

/* Files that ask the store, and may fail. */
static const struct {
	const char *name;
	int (*put)(struct tree *t, struct buf *out, struct error *err);
} asking[] = {
	{ RULES_NAME, put_rules },
	{ "rules.prom", put_recorded },
};

const char *control_name(struct tree *t, size_t i)
{
	if (i < ARRAY_SIZE(own))
		return own[i].name;
	i -= ARRAY_SIZE(own);
	if (i < ARRAY_SIZE(asking))
		return asking[i].name;
	i -= ARRAY_SIZE(asking);
	pthread_mutex_lock(&t->control->lock);
	const char *name = i < t->control->n_status ? t->control->status[i].name : NULL;
	pthread_mutex_unlock(&t->control->lock);
	return name;
}

int control_file(struct node *dir, const char *name, struct buf *bytes, struct node **ret, struct error *err)
{
	_cleanup_(node_unrefp) struct node *n = NULL;
	int e = buf_err(bytes);
	if (!e)
		e = node_new(dir, name, NODE_FILE, &n, err);
	if (e)
		return e;
	n->file = FILE_FIXED;
	n->mtime = dir->mtime;
	n->blocks = 1;
	n->ino = node_ino_of(dir->parent ? STR(".profilefs") : STR("/"), str_of(name),
	                     (struct str){ bytes->data ? (const char *)bytes->data : "", bytes->len });
	e = content_new(bytes, &n->content);
	if (e)
		return e;
	*ret = TAKE_PTR(n);
	return 0;
}

/* A status file of the front end; false where there is none. */
static bool find_status(struct control *c, const char *name, struct status *ret)
{
	bool found = false;
	pthread_mutex_lock(&c->lock);
	for (size_t i = 0; i < c->n_status && !found; i++) {
		found = !strcmp(c->status[i].name, name);
		if (found)
			*ret = c->status[i];
	}
	pthread_mutex_unlock(&c->lock);
	return found;
}

int control_lookup(struct node *dir, const char *name, struct node **ret, struct error *err)
{
	_buf_ struct buf out = BUF_INIT(FILE_BYTES_MAX);
	struct tree *t = dir->tree;
	struct status status;
	for (size_t i = 0; i < ARRAY_SIZE(own); i++) {
		if (strcmp(own[i].name, name))
			continue;
		own[i].put(t, &out);
		return control_file(dir, name, &out, ret, err);
	}
	for (size_t i = 0; i < ARRAY_SIZE(asking); i++) {
		if (strcmp(asking[i].name, name))
			continue;
		out.max = ASKED_BYTES_MAX;
		int e = asking[i].put(t, &out, err);
		if (!e)
			e = control_file(dir, name, &out, ret, err);
		if (!e)
			(*ret)->editable = !t->opts.read_only && !strcmp(name, RULES_NAME);
		return e;
	}
	if (!find_status(t->control, name, &status))
		return error_set(err, ERR_PATH_ABSENT, "there is no '%.100s' here", name);
	status.fn(status.ctx, &out);
	return control_file(dir, name, &out, ret, err);
}

int control_readme(struct node *root, struct node **ret, struct error *err)
{
	struct tree *t = root->tree;
	_buf_ struct buf out = BUF_INIT(FILE_BYTES_MAX);
	_names_ struct names services = { 0 };
	int e = db_services(t->db, VIEW_MAX_AGE, &services, err);
	if (e)
		return e;
	render_readme(&(struct readme_facts){ .services = &services, .writable = !t->opts.read_only }, &out);
	return control_file(root, "README.md", &out, ret, err);
}

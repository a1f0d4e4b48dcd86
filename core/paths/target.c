/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "../base/pct.h"
#include "tree.h"

/*
 * Where files are taken, the path says what they are: each LABEL=VALUE above a time is a label, @type, @unit,
 * @kind and @temporality fill in what the file does not say.
 */

static void free_label(struct label *l)
{
	free((char *)l->key.s);
	free((char *)l->value.s);
}

void target_done(struct target *t)
{
	for (size_t i = 0; i < t->n_labels; i++)
		free_label(&t->labels[i]);
	free(t->labels);
	free(t->service);
	free(t->type);
	free(t->unit);
	free(t->kind);
	*t = (struct target){ 0 };
}

static bool copy_str(struct str s, struct str *ret)
{
	char *p = malloc(s.len + 1);
	if (!p)
		return false;
	if (s.len)
		memcpy(p, s.s, s.len);
	p[s.len] = '\0';
	*ret = (struct str){ p, s.len };
	return true;
}

static int new_label(struct str key, struct str value, struct label *ret)
{
	struct label l = { 0 };
	if (!copy_str(key, &l.key) || !copy_str(value, &l.value)) {
		free_label(&l);
		return -ENOMEM;
	}
	*ret = l;
	return 0;
}

static void remove_label(struct target *t, size_t i)
{
	free_label(&t->labels[i]);
	memmove(t->labels + i, t->labels + i + 1, (t->n_labels - i - 1) * sizeof *t->labels);
	t->n_labels--;
}

/* The component nearer to the file wins; an empty value takes the label away. */
static int set_label(struct target *t, struct str key, struct str value)
{
	for (size_t i = 0; i < t->n_labels; i++) {
		if (str_eq(t->labels[i].key, key)) {
			remove_label(t, i);
			break;
		}
	}
	if (!value.len)
		return 0;
	struct label *v = reallocarray(t->labels, t->n_labels + 1, sizeof *v);
	if (!v)
		return -ENOMEM;
	t->labels = v;
	int e = new_label(key, value, &v[t->n_labels]);
	if (!e)
		t->n_labels++;
	return e;
}

static int set_string(char **at, struct str s)
{
	char *copy = strndup(s.s, s.len);
	if (!copy)
		return -ENOMEM;
	free(*at);
	*at = copy;
	return 0;
}

static int set_option(struct target *t, enum option option, struct str value)
{
	switch (option) {
	case OPTION_TYPE:
		return set_string(&t->type, value);
	case OPTION_UNIT:
		return set_string(&t->unit, value);
	case OPTION_KIND:
		return set_string(&t->kind, value);
	case OPTION_TEMPORALITY:
		t->temporality = str_eq(value, STR("delta")) ? TEMPORALITY_DELTA : TEMPORALITY_CUMULATIVE;
		return 0;
	default:
		return 0;
	}
}

static int set_component(struct target *t, const struct component *c)
{
	struct str key = { (const char *)c->key.data, c->key.len };
	struct str value = { c->value.data ? (const char *)c->value.data : "", c->value.len };
	if (c->kind == COMPONENT_MATCHER)
		return set_label(t, key, value);
	return c->kind == COMPONENT_OPTION ? set_option(t, c->option, value) : 0;
}

/* Why a directory takes no files. */
static int denied(const struct node *dir, struct error *err)
{
	const struct node *service = node_service(dir);
	if (dir->tree->opts.read_only)
		return error_set(err, ERR_STORE_READONLY, "mounted read only");
	if (dir->place == PLACE_ROOT)
		return error_set(err, ERR_PATH_DENIED,
		                 "files are written into a service: mkdir SERVICE, then cp FILE SERVICE/");
	if (!service)
		return error_set(err, ERR_PATH_DENIED, "no files are taken here; .profilefs/ takes rules.json and "
		                 "debuginfo/");
	if (node_is_all(service))
		return error_set(err, ERR_PATH_DENIED, "files are written into one service, not into @all");
	if (dir->place == PLACE_SERVICE)
		return error_set(err, ERR_PATH_DENIED,
		                 "files are written below LABEL=VALUE, @type=, @kind=, @unit= and @temporality= alone");
	return error_set(err, ERR_PATH_DENIED, "files are written above a time: into /%s/", service->name);
}

int target_of(struct node *dir, struct target *ret, struct error *err)
{
	if (!dir->takes_files)
		return denied(dir, err);
	const struct node *chain[NODE_DEPTH_MAX];
	size_t n = 0;
	for (const struct node *p = dir; p->depth > 1; p = p->parent)
		chain[n++] = p;
	struct target t = { .takes = dir->place == PLACE_DEBUGINFO ? TAKES_DEBUGINFO
		                     : dir->place == PLACE_CONTROL ? TAKES_RULES : TAKES_PROFILES };
	const struct node *service = node_service(dir);
	int e = service ? set_string(&t.service, str_of(node_selection(service)->service)) : 0;
	while (!e && n > 0)
		e = set_component(&t, &chain[--n]->component);
	if (e)
		target_done(&t);
	else
		*ret = t;
	return e;
}

/* One component above the file: the service first, then what is said of it. */
static int take_component(struct target *t, const char *text, struct error *err)
{
	_component_ struct component c = { 0 };
	_buf_ struct buf service = BUF_INIT(COMPONENT_MAX);
	if (!t->service) {
		pct_decode(&service, str_of(text));
		if (!strcmp(text, "@all") || *text == '.' || !service.len)
			return error_set(err, ERR_PATH_DENIED, "files are written into one service: /SERVICE/%s", text);
		return set_string(&t->service, (struct str){ (const char *)service.data, service.len });
	}
	int e = component_read(text, &c, err);
	if (e < 0)
		return e;
	if (component_takes_files(&c))
		return set_component(t, &c);
	return error_set(err, ERR_PATH_DENIED, "'%.100s': files are written below LABEL=VALUE, @type=, @kind=, @unit= "
	                 "and @temporality= alone", text);
}

int target_of_path(const char *path, struct target *ret, const char **ret_name, struct error *err)
{
	struct target t = { 0 };
	int e = 0;
	const char *at = path + strspn(path, "/"), *slash;
	for (; !e && (slash = strchr(at, '/')); at = slash + strspn(slash, "/")) {
		char text[COMPONENT_MAX];
		size_t n = (size_t)(slash - at);
		if (n >= sizeof text) {
			e = error_set(err, ERR_PATH, "a name of %zu bytes is too long", n);
			break;
		}
		memcpy(text, at, n);
		text[n] = '\0';
		e = take_component(&t, text, err);
	}
	if (!e && (!t.service || !*at))
		e = error_set(err, ERR_PATH_DENIED, "files are written to /SERVICE/cpu.pb.gz or "
		              "/SERVICE/LABEL=VALUE/cpu.pb.gz");
	if (!e)
		e = tree_name_allowed(at, err);
	if (e) {
		target_done(&t);
		return e;
	}
	*ret = t;
	*ret_name = at;
	return 0;
}

static int copy_optional(const char *s, char **ret)
{
	return s ? set_string(ret, str_of(s)) : 0;
}

int target_copy(const struct target *t, struct target *ret)
{
	struct target c = { .temporality = t->temporality, .takes = t->takes };
	int e = copy_optional(t->service, &c.service);
	if (!e)
		e = copy_optional(t->type, &c.type);
	if (!e)
		e = copy_optional(t->unit, &c.unit);
	if (!e)
		e = copy_optional(t->kind, &c.kind);
	for (size_t i = 0; !e && i < t->n_labels; i++)
		e = set_label(&c, t->labels[i].key, t->labels[i].value);
	if (e)
		target_done(&c);
	else
		*ret = c;
	return e;
}

int tree_name_allowed(const char *name, struct error *err)
{
	_component_ struct component c = { 0 };
	if (*name == '.' || grammar_never(name))
		return 0;
	if (component_read(name, &c, NULL) < 0)
		return error_set(err, -EISDIR, "'%.100s' reads as part of a path; name it cpu.pb.gz", name);
	if (c.kind == COMPONENT_NAME || c.kind == COMPONENT_RENDERING)
		return 0;
	return error_set(err, -EISDIR, "'%.100s' reads as %s; name it cpu.pb.gz", name, component_word(c.kind));
}

bool target_takes_name(const struct target *t, const char *name)
{
	return t->takes != TAKES_RULES || !strcmp(name, RULES_NAME);
}

/* As sed -i, and whoever appends to the name, write a file before it gets its name. */
static bool is_staged(const char *name)
{
	static const char sed[] = "sed";
	bool of_sed = !strncmp(name, sed, strlen(sed)) && strlen(name) == strlen(sed) + 6;
	return of_sed || !strncmp(name, RULES_NAME, strlen(RULES_NAME));
}

int target_allows(const struct target *t, const char *name, struct error *err)
{
	if (t->takes != TAKES_RULES)
		return tree_name_allowed(name, err);
	if (target_takes_name(t, name) || is_staged(name))
		return 0;
	return error_set(err, ERR_PATH_DENIED, ".profilefs/ takes " RULES_NAME " alone");
}

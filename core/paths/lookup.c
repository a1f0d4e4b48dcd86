/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "../db/debuginfo.h"
#include "names.h"
#include "narrow.h"
#include "tree.h"

/*
 * One name in one directory. The grammar says what the name is; the store is asked only for what the grammar
 * cannot know: services, types, labels, values, profiles.
 */

#define LINKS_MAX 40
#define PATH_BYTES_MAX ((size_t)64 << 10)

struct lookup {
	struct tree *tree;
	struct node *dir;
	const char *name;
	const struct cancel *cancel;
	struct component c;
};

static int absent(const struct lookup *l, struct error *err)
{
	return error_set(err, ERR_PATH_ABSENT, "there is no '%.100s' here", l->name);
}

static struct str raw_of(const struct buf *b)
{
	return (struct str){ b->data ? (const char *)b->data : "", b->len };
}

static int new_link(struct lookup *l, struct buf *target, struct node **ret, struct error *err)
{
	_cleanup_(node_unrefp) struct node *n = NULL;
	buf_putc(target, '\0');
	int e = buf_err(target);
	if (!e)
		e = node_new(l->dir, l->name, NODE_LINK, &n, err);
	if (e)
		return e;
	n->target = strdup((char *)target->data);
	if (!n->target)
		return -ENOMEM;
	n->mtime = l->dir->mtime;
	*ret = TAKE_PTR(n);
	return 0;
}

static int64_t selection_mtime(const struct tree *t, const struct selection *sel)
{
	const struct selection *s = sel && sel->baseline ? sel->baseline : sel;
	return s && s->has_time && s->from != TIME_MIN ? s->from : t->started;
}

/* A directory with a selection of its own (taken; may be NULL: the parent's). */
static int new_dir(struct lookup *l, enum place place, enum node_life life, struct selection *sel,
                   struct node **ret, struct error *err)
{
	_cleanup_(selection_freep) struct selection *s = sel;
	_cleanup_(node_unrefp) struct node *n = NULL;
	int e = node_new(l->dir, l->name, NODE_DIR, &n, err);
	if (e)
		return e;
	n->place = place;
	n->life = life;
	n->component = l->c;
	n->component.typed_key = n->component.typed_value = (struct str){ 0 };
	l->c.key = l->c.value = (struct buf){ 0 };
	n->sel = TAKE_PTR(s);
	n->mtime = selection_mtime(l->tree, node_selection(n));
	*ret = TAKE_PTR(n);
	return 0;
}

/* Of a selection of its own (taken; may be NULL: the directory's). */
static int new_rendering(struct lookup *l, const struct rendering *r, struct selection *sel, struct node **ret,
                         struct error *err)
{
	_cleanup_(selection_freep) struct selection *s = sel;
	_cleanup_(node_unrefp) struct node *n = NULL;
	int e = node_new(l->dir, l->name, NODE_FILE, &n, err);
	if (e)
		return e;
	n->sel = TAKE_PTR(s);
	n->file = FILE_RENDERING;
	n->rendering = r;
	e = file_plan(n, l->cancel, err);
	if (e)
		return e;
	*ret = TAKE_PTR(n);
	return 0;
}

/* One below .profilefs/ that takes files, and says nothing of them. */
static int new_open_dir(struct lookup *l, enum place place, enum node_life life, struct node **ret, struct error *err)
{
	int e = new_dir(l, place, life, NULL, ret, err);
	if (!e)
		(*ret)->takes_files = !l->tree->opts.read_only;
	return e;
}

/* ---- the root ---- */

static int new_service(struct lookup *l, const char *service, struct node **ret, struct error *err)
{
	_cleanup_(selection_freep) struct selection *sel = selection_new();
	if (!sel || (service && !(sel->service = strdup(service))))
		return -ENOMEM;
	int e = new_dir(l, PLACE_SERVICE, service ? LIFE_DATA : LIFE_GRAMMAR, TAKE_PTR(sel), ret, err);
	if (!e)
		(*ret)->takes_files = service && !l->tree->opts.read_only;
	return e;
}

static const char *find_name(const struct names *names, const struct typed *typed)
{
	for (size_t i = 0; i < names->n; i++)
		if (typed_is(typed, str_of(names->v[i])))
			return names->v[i];
	return NULL;
}

/* A long service's name is listed cut: found among the candidates. */
static int cut_service(struct lookup *l, const struct typed *typed, struct node **ret, struct error *err)
{
	_names_ struct names stored = { 0 }, added = { 0 };
	int e = db_services(l->tree->db, VIEW_MAX_AGE, &stored, err);
	if (!e)
		e = tree_added(l->tree, &added);
	if (e)
		return e;
	const char *found = find_name(&stored, typed);
	found = found ? found : find_name(&added, typed);
	return found ? new_service(l, found, ret, err) : absent(l, err);
}

static int lookup_service(struct lookup *l, struct node **ret, struct error *err)
{
	_typed_ struct typed typed = { 0 };
	int e = typed_init(&typed, str_of(l->name));
	if (e)
		return e;
	struct str raw = raw_of(&typed.raw);
	if (memchr(raw.s, '\0', raw.len))
		return absent(l, err);
	if (!db_has_service(l->tree->db, raw, VIEW_MAX_AGE) && !tree_has_added(l->tree, raw))
		return typed.cut ? cut_service(l, &typed, ret, err) : absent(l, err);
	_free_ char *service = strndup(raw.s, raw.len);
	return service ? new_service(l, service, ret, err) : -ENOMEM;
}

static int lookup_root(struct lookup *l, struct node **ret, struct error *err)
{
	if (!strcmp(l->name, ".profilefs"))
		return new_open_dir(l, PLACE_CONTROL, LIFE_DATA, ret, err);
	if (!strcmp(l->name, "README.md"))
		return control_readme(l->dir, ret, err);
	if (!strcmp(l->name, "@all"))
		return new_service(l, NULL, ret, err);
	return grammar_never(l->name) ? absent(l, err) : lookup_service(l, ret, err);
}

/* ---- below a service ---- */

static int set_raw(struct buf *b, struct buf *found)
{
	buf_done(b);
	*b = *found;
	*found = (struct buf){ 0 };
	return 0;
}

/* Puts full names for those typed in the form of long ones. */
static int resolve_matcher(struct lookup *l, struct error *err)
{
	const struct selection *sel = node_selection(l->dir);
	struct component *c = &l->c;
	int e = 0;
	if (c->key_cut) {
		_buf_ struct buf key = BUF_INIT(COMPONENT_MAX);
		e = facts_label(l->tree, sel, c->typed_key, l->cancel, &key, err);
		e = e ? e : set_raw(&c->key, &key);
	}
	if (!e && c->value_cut) {
		_buf_ struct buf value = BUF_INIT(COMPONENT_MAX);
		e = facts_value(l->tree, sel, raw_of(&c->key), c->typed_value, l->cancel, &value, err);
		e = e ? e : set_raw(&c->value, &value);
	}
	return e;
}

static int resolve_option(struct lookup *l, struct error *err)
{
	struct component *c = &l->c;
	if (c->option != OPTION_FUNCTION || !c->value_cut)
		return 0;
	_buf_ struct buf name = BUF_INIT(COMPONENT_MAX);
	int e = facts_function(l->tree, node_selection(l->dir), c->typed_value, l->cancel, &name, err);
	return e ? e : set_raw(&c->value, &name);
}

static int lookup_narrower(struct lookup *l, enum place to, struct node **ret, struct error *err)
{
	int e = l->c.kind == COMPONENT_MATCHER ? resolve_matcher(l, err) : 0;
	if (!e && l->c.kind == COMPONENT_OPTION)
		e = resolve_option(l, err);
	if (e)
		return e;
	_cleanup_(selection_freep) struct selection *sel = selection_copy(node_selection(l->dir));
	if (!sel)
		return -ENOMEM;
	if (to == PLACE_BASE)
		e = narrow_baseline(sel, &l->c, err);
	else
		e = narrow(sel, &l->c, to == PLACE_SERVICE, err);
	if (e)
		return e;
	bool takes = to == PLACE_SERVICE && l->dir->takes_files && component_takes_files(&l->c);
	e = new_dir(l, to, LIFE_GRAMMAR, TAKE_PTR(sel), ret, err);
	if (!e)
		(*ret)->takes_files = takes;
	return e;
}

static bool label_is_known(const struct selection *sel, struct str label)
{
	return selection_fixes(sel, label) || (!sel->service && str_eq(label, STR("service")));
}

static int lookup_by(struct lookup *l, struct node **ret, struct error *err)
{
	const struct selection *have = node_selection(l->dir);
	struct component *c = &l->c;
	if (c->key_cut || !label_is_known(have, raw_of(&c->key))) {
		_buf_ struct buf key = BUF_INIT(COMPONENT_MAX);
		int e = facts_label(l->tree, have, c->typed_key, l->cancel, &key, err);
		if (e)
			return e == ERR_PATH_ABSENT ? absent(l, err) : e;
		set_raw(&c->key, &key);
	}
	struct str label = raw_of(&c->key);
	if (memchr(label.s, '\0', label.len))
		return absent(l, err);
	_cleanup_(selection_freep) struct selection *sel = selection_copy(have);
	if (!sel || !(sel->by = strndup(label.s, label.len)))
		return -ENOMEM;
	return new_dir(l, PLACE_BY, LIFE_DATA, TAKE_PTR(sel), ret, err);
}

static int lookup_vs(struct lookup *l, struct node **ret, struct error *err)
{
	_cleanup_(selection_freep) struct selection *sel = selection_copy(node_selection(l->dir));
	if (!sel || !(sel->baseline = selection_copy(node_selection(l->dir))))
		return -ENOMEM;
	return new_dir(l, PLACE_VS, LIFE_GRAMMAR, TAKE_PTR(sel), ret, err);
}

static int lookup_dir(struct lookup *l, enum place to, struct node **ret, struct error *err)
{
	switch (to) {
	case PLACE_BY:
		return lookup_by(l, ret, err);
	case PLACE_VS:
		return lookup_vs(l, ret, err);
	case PLACE_PROFILES:
	case PLACE_FUNCTIONS:
		return new_dir(l, to, LIFE_GRAMMAR, NULL, ret, err);
	default:
		return lookup_narrower(l, to, ret, err);
	}
}

static int lookup_time_link(struct lookup *l, struct node **ret, struct error *err)
{
	_buf_ struct buf target = BUF_INIT(COMPONENT_MAX);
	int e = link_time(l->dir, &l->c, &target, err);
	if (e == ERR_PATH_ABSENT)
		return absent(l, err);
	return e ? e : new_link(l, &target, ret, err);
}

static int lookup_type(struct lookup *l, struct node **ret, struct error *err)
{
	_free_ char *type = NULL;
	int e = facts_type(l->tree, node_selection(l->dir), l->name, l->cancel, &type, err);
	if (e)
		return e;
	_cleanup_(selection_freep) struct selection *sel = selection_copy(node_selection(l->dir));
	if (!sel)
		return -ENOMEM;
	sel->type = TAKE_PTR(type);
	return new_dir(l, PLACE_TYPE, LIFE_DATA, TAKE_PTR(sel), ret, err);
}

/* `heap` and `allocs`, where no type has that very name. */
static int lookup_alias(struct lookup *l, struct node **ret, struct error *err)
{
	const char *target = link_alias(l->name);
	_free_ char *type = NULL;
	if (!target)
		return absent(l, err);
	int e = facts_type(l->tree, node_selection(l->dir), target, l->cancel, &type, err);
	if (e)
		return e == ERR_PATH_ABSENT ? absent(l, err) : e;
	_buf_ struct buf text = BUF_INIT(COMPONENT_MAX);
	buf_puts(&text, target);
	return new_link(l, &text, ret, err);
}

static int lookup_file(struct lookup *l, const struct rendering *r, struct node **ret, struct error *err)
{
	const struct selection *sel = node_selection(l->dir);
	if (!grammar_renders(l->dir->place, sel, r))
		return absent(l, err);
	return new_rendering(l, r, NULL, ret, err);
}

/* A whole day in vs/ is listed as a link. */
static bool is_vs_day(const struct lookup *l)
{
	int32_t day;
	return l->dir->place == PLACE_VS && l->c.kind == COMPONENT_TIME &&
	       day_parse(l->name, strlen(l->name), &day);
}

static int lookup_component(struct lookup *l, struct node **ret, struct error *err)
{
	struct step_to to;
	int e = component_read(l->name, &l->c, err);
	if (!e)
		e = grammar_step(l->dir->place, &l->c, &to, err);
	if (e)
		return e;
	if (is_vs_day(l))
		return lookup_time_link(l, ret, err);
	switch (to.kind) {
	case STEP_DIR:
		return lookup_dir(l, to.to, ret, err);
	case STEP_LINK:
		return lookup_time_link(l, ret, err);
	case STEP_FILE:
		return lookup_file(l, l->c.rendering, ret, err);
	case STEP_NAME:
		e = lookup_type(l, ret, err);
		return e == ERR_PATH_ABSENT ? lookup_alias(l, ret, err) : e;
	default:
		return absent(l, err);
	}
}

/* ---- directories of plain names ---- */

static int lookup_value(struct lookup *l, struct node **ret, struct error *err)
{
	const struct rendering *r = rendering_find(l->name);
	if (r)
		return lookup_file(l, r, ret, err);
	if (grammar_never(l->name))
		return absent(l, err);
	struct str label = raw_of(&l->dir->component.key);
	_buf_ struct buf value = BUF_INIT(COMPONENT_MAX), target = BUF_INIT(COMPONENT_MAX);
	int e = 0;
	if (strcmp(l->name, "%none"))
		e = facts_value(l->tree, node_selection(l->dir), label, str_of(l->name), l->cancel, &value,
		                err);
	if (e)
		return e == ERR_PATH_ABSENT ? absent(l, err) : e;
	link_value(label, raw_of(&value), &target);
	return new_link(l, &target, ret, err);
}

/* One profile among those of a query. */
struct sought {
	int64_t time;
	struct ulid id;
	struct query *query; /* a reference */
	size_t at;           /* of its points */
	struct found_profile found;
};

/* The service of a profile, for paths below @all. */
static int profile_service(struct lookup *l, const struct sought *s, struct str *ret, struct error *err)
{
	const struct point *points;
	size_t n, n_labels;
	*ret = (struct str){ "", 0 };
	int e = query_points(s->query, l->cancel, &points, &n, err);
	if (e)
		return e;
	const struct label *labels = query_series_labels(s->query, points[s->at].series, &n_labels);
	for (size_t i = 0; i < n_labels; i++)
		if (str_eq(labels[i].key, STR("service")))
			*ret = labels[i].value;
	return ret->len ? 0 : absent(l, err);
}

static int new_profile_link(struct lookup *l, const struct sought *s, struct node **ret, struct error *err)
{
	_buf_ struct buf target = BUF_INIT(COMPONENT_MAX);
	struct str service = { "", 0 };
	int e = node_is_all(node_service(l->dir)) ? profile_service(l, s, &service, err) : 0;
	if (e)
		return e;
	link_profile(l->dir, service, s->found.day, l->name, &target);
	return new_link(l, &target, ret, err);
}

static struct selection *with_id(const struct selection *sel, const struct ulid *id)
{
	struct selection *s = selection_copy(sel);
	if (s) {
		s->has_id = true;
		s->id = *id;
	}
	return s;
}

static int new_profile_file(struct lookup *l, const struct sought *s, struct node **ret, struct error *err)
{
	_cleanup_(node_unrefp) struct node *n = NULL;
	int e = node_new(l->dir, l->name, NODE_FILE, &n, err);
	if (e)
		return e;
	n->sel = with_id(node_selection(l->dir), &s->id);
	if (!n->sel)
		return -ENOMEM;
	n->file = FILE_ORIGINAL;
	n->id = s->id;
	n->mtime = s->time;
	n->blocks = (s->found.stored_bytes + 511) / 512;
	struct str id = { (const char *)s->id.b, sizeof s->id.b };
	n->ino = node_ino_of(STR("profile"), str_of(n->sel->service), id);
	*ret = TAKE_PTR(n);
	return 0;
}

static int point_cmp(const struct point *p, const struct sought *s)
{
	return p->time != s->time ? CMP(p->time, s->time) : memcmp(&p->id, &s->id, sizeof p->id);
}

/* Points are in order of time and id. */
static int seek_profile(struct lookup *l, struct sought *s, struct error *err)
{
	const struct point *points;
	size_t n, lo = 0;
	int e = query_points(s->query, l->cancel, &points, &n, err);
	if (e)
		return e;
	for (size_t hi = n; lo < hi;) {
		size_t mid = lo + (hi - lo) / 2;
		if (point_cmp(&points[mid], s) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == n || point_cmp(&points[lo], s) != 0)
		return absent(l, err);
	s->at = lo;
	return query_found(s->query, lo, &s->found, err);
}

/*
 * Where the directory was listed, its plan is there and answers for each of its files; else the one profile
 * is planned.
 */
static int plan_profile(struct lookup *l, struct sought *s, struct error *err)
{
	const struct selection *dir = node_selection(l->dir);
	int e = plan_peek(l->tree, dir, &s->query, err);
	if (e != ERR_PATH_ABSENT)
		return e;
	if (dir->has_id && memcmp(&dir->id, &s->id, sizeof s->id) != 0)
		return absent(l, err);
	_cleanup_(selection_freep) struct selection *sel = with_id(dir, &s->id);
	return sel ? plan_once(l->tree, sel, l->cancel, &s->query, err) : -ENOMEM;
}

static int lookup_profile(struct lookup *l, struct node **ret, struct error *err)
{
	struct sought s = { 0 };
	int32_t day;
	if (!profile_name_parse(l->name, &s.time, &s.id))
		return absent(l, err);
	int e = plan_profile(l, &s, err);
	if (!e)
		e = seek_profile(l, &s, err);
	if (!e && node_is_day(l->dir->parent, &day))
		e = new_profile_file(l, &s, ret, err);
	else if (!e)
		e = new_profile_link(l, &s, ret, err);
	if (s.query)
		query_unref(s.query);
	return e;
}

static int lookup_function(struct lookup *l, struct node **ret, struct error *err)
{
	_typed_ struct typed typed = { 0 };
	_buf_ struct buf target = BUF_INIT(COMPONENT_MAX);
	if (grammar_never(l->name))
		return absent(l, err);
	int e = typed_init(&typed, str_of(l->name));
	if (e)
		return e;
	buf_puts(&target, "../@function=");
	if (typed.cut)
		buf_puts(&target, l->name);
	else
		pct_encode(&target, raw_of(&typed.raw), false);
	return new_link(l, &target, ret, err);
}

/* ---- .profilefs/search/ ---- */

#define SEARCH_DAYS 7

/* NAME.tsv: the calls of a function by all services, today and on the six days before. */
static int lookup_search(struct lookup *l, struct node **ret, struct error *err)
{
	_buf_ struct buf name = BUF_INIT(COMPONENT_MAX);
	size_t len = strlen(l->name), end = strlen(".tsv");
	if (len <= end || strcmp(l->name + len - end, ".tsv") != 0)
		return absent(l, err);
	pct_decode(&name, (struct str){ l->name, len - end });
	if (buf_err(&name) || memchr(name.data, '\0', name.len))
		return absent(l, err);
	_cleanup_(selection_freep) struct selection *sel = selection_new();
	if (!sel)
		return -ENOMEM;
	int32_t today = time_day(tree_now(l->tree));
	sel->from = times_day_span(today - SEARCH_DAYS + 1).from;
	sel->to = times_day_span(today).to;
	sel->has_time = true;
	int e = selection_add_filter(sel, FILTER_FUNCTION, raw_of(&name), err);
	return e ? e : new_rendering(l, &render_search, TAKE_PTR(sel), ret, err);
}

/* ---- debug information ---- */

struct stored_symbols {
	const char *id;
	struct buf text;
};

static int on_symbols(void *ctx, const char *id, bool dwarf, const struct store_stat *st)
{
	struct stored_symbols *s = ctx;
	if (!strcmp(s->id, id))
		buf_printf(&s->text, "%s\t%llu\n", dwarf ? "lines" : "names", (unsigned long long)st->size);
	return 0;
}

/* Only what may be a build id asks the store: others are looked up whenever a file is copied here. */
static bool is_build_id(const char *name)
{
	size_t n = strlen(name);
	return n >= 8 && n % 2 == 0 && strspn(name, "0123456789abcdef") == n;
}

/* What is written there is not listed (`profilefs debuginfo ls` does), and found under its build id. */
static int lookup_symbols(struct lookup *l, struct node **ret, struct error *err)
{
	struct stored_symbols s = { l->name, BUF_INIT(4096) };
	int e = is_build_id(l->name) ? debuginfo_list(l->tree->db, on_symbols, &s, err) : 0;
	if (!e)
		e = s.text.len ? control_file(l->dir, l->name, &s.text, ret, err) : absent(l, err);
	buf_done(&s.text);
	return e;
}

static int lookup_at(struct lookup *l, struct node **ret, struct error *err)
{
	switch (l->dir->place) {
	case PLACE_ROOT:
		return lookup_root(l, ret, err);
	case PLACE_CONTROL:
		if (!strcmp(l->name, "search"))
			return new_dir(l, PLACE_SEARCH, LIFE_GRAMMAR, NULL, ret, err);
		if (!strcmp(l->name, "debuginfo"))
			return new_open_dir(l, PLACE_DEBUGINFO, LIFE_GRAMMAR, ret, err);
		return control_lookup(l->dir, l->name, ret, err);
	case PLACE_SEARCH:
		return lookup_search(l, ret, err);
	case PLACE_DEBUGINFO:
		return lookup_symbols(l, ret, err);
	case PLACE_BY:
		return lookup_value(l, ret, err);
	case PLACE_PROFILES:
		return lookup_profile(l, ret, err);
	case PLACE_FUNCTIONS:
		return lookup_function(l, ret, err);
	default:
		return lookup_component(l, ret, err);
	}
}

int tree_lookup(struct tree *t, struct node *dir, const char *name, const struct cancel *cancel,
                struct node **ret, struct error *err)
{
	struct lookup l = { .tree = t, .dir = dir, .name = name, .cancel = cancel };
	if (dir->kind != NODE_DIR)
		return error_set(err, -ENOTDIR, "'%.100s' is no directory", dir->name);
	if (strlen(name) > NAME_TYPED_MAX)
		return error_set(err, -ENAMETOOLONG, "a name of %zu bytes is too long", strlen(name));
	if (!*name || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
		return absent(&l, err);
	int e = lookup_at(&l, ret, err);
	component_done(&l.c);
	return e;
}

/* ---- whole paths ---- */

struct walk {
	struct tree *tree;
	const struct cancel *cancel;
	struct buf rest; /* what is still to be walked, NUL-terminated */
	size_t at;
	unsigned links;
	bool follow;
	struct node *node; /* where the walk stands; a reference */
};

static void walk_to(struct walk *w, struct node *n)
{
	node_unref(w->node);
	w->node = n;
}

/* Puts the link's target before what is left. */
static int walk_link(struct walk *w, struct node *link, struct error *err)
{
	if (++w->links > LINKS_MAX)
		return error_set(err, -ELOOP, "too many links");
	struct buf rest = BUF_INIT(PATH_BYTES_MAX);
	int e = node_link(link, &rest);
	buf_putc(&rest, '/');
	buf_puts(&rest, (char *)w->rest.data + w->at);
	buf_putc(&rest, '\0');
	e = e ? e : buf_err(&rest);
	if (e) {
		buf_done(&rest);
		return e;
	}
	buf_done(&w->rest);
	w->rest = rest;
	w->at = 0;
	return 0;
}

static int walk_name(struct walk *w, const char *name, bool last, struct error *err)
{
	_cleanup_(node_unrefp) struct node *n = NULL;
	int e = tree_lookup(w->tree, w->node, name, w->cancel, &n, err);
	if (e)
		return e;
	if (n->kind == NODE_LINK && (!last || w->follow))
		return walk_link(w, n, err);
	walk_to(w, TAKE_PTR(n));
	return 0;
}

/* The next component, cut off in place; NULL at the end. */
static char *walk_next(struct walk *w, bool *ret_last)
{
	char *s = (char *)w->rest.data + w->at;
	s += strspn(s, "/");
	if (!*s)
		return NULL;
	char *end = strchrnul(s, '/');
	*ret_last = !*(end + strspn(end, "/"));
	w->at = (size_t)(end - (char *)w->rest.data) + (*end != '\0');
	*end = '\0';
	return s;
}

static int walk_all(struct walk *w, struct error *err)
{
	bool last = false;
	for (char *name; (name = walk_next(w, &last));) {
		int e = 0;
		if (w->node->kind != NODE_DIR)
			return error_set(err, -ENOTDIR, "'%.100s' is no directory", w->node->name);
		if (!strcmp(name, "..")) {
			if (w->node->parent)
				walk_to(w, node_ref(w->node->parent));
		} else if (strcmp(name, ".")) {
			_free_ char *copy = strdup(name);
			e = copy ? walk_name(w, copy, last, err) : -ENOMEM;
		}
		if (e)
			return e;
	}
	return 0;
}

int tree_walk(struct tree *t, const char *path, bool follow, const struct cancel *cancel, struct node **ret,
              struct error *err)
{
	struct walk w = { .tree = t, .cancel = cancel, .follow = follow, .rest = BUF_INIT(PATH_BYTES_MAX) };
	size_t len = strlen(path);
	if (len && path[len - 1] == '/')
		w.follow = true;
	buf_puts(&w.rest, path);
	buf_putc(&w.rest, '\0');
	int e = buf_err(&w.rest);
	if (e == ERR_LIMIT_BUFFER)
		e = error_set(err, -ENAMETOOLONG, "the path is too long");
	w.node = node_ref(t->root);
	if (!e)
		e = walk_all(&w, err);
	buf_done(&w.rest);
	if (e)
		node_unref(w.node);
	else
		*ret = w.node;
	return e;
}

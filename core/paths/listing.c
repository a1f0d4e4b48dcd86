/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "../query/moments.h"
#include "names.h"
#include "narrow.h"
#include "tree.h"

/*
 * A listing is made at once and read by index. Names are kept in an arena; profiles/ alone, which may hold
 * any number, keeps the query instead and makes each name when it is asked for.
 */

#define NAMES_BYTES_MAX ((size_t)64 << 20)
#define VALUES_MAX 10000
#define FUNCTIONS_MAX 10000

struct item {
	const char *name;
	enum node_kind kind;
};

struct listing {
	struct arena names;
	VEC(struct item) items;
	struct query *query;        /* of profiles/ */
	const struct point *points; /* borrowed from query */
	size_t n_points;
	enum node_kind points_kind;
};

struct lister {
	struct tree *tree;
	struct node *dir;
	const struct selection *sel; /* the directory's; NULL in the root and .profilefs */
	const struct cancel *cancel;
	struct listing *l;
};

void listing_free(struct listing *l)
{
	if (!l)
		return;
	query_unref(l->query);
	VEC_DONE(&l->items);
	arena_done(&l->names);
	free(l);
}

static int add(struct lister *s, enum node_kind kind, const void *name, size_t len)
{
	if (!len || len > sizeof((struct entry *)0)->name - 1)
		return 0;
	char *copy = arena_strndup(&s->l->names, name, len);
	struct item *item = copy ? VEC_PUSH(&s->l->items) : NULL;
	if (!item)
		return -ENOMEM;
	*item = (struct item){ copy, kind };
	return 0;
}

static int add_str(struct lister *s, enum node_kind kind, const char *name)
{
	return add(s, kind, name, strlen(name));
}

static int add_buf(struct lister *s, enum node_kind kind, const struct buf *name)
{
	return buf_err(name) ? buf_err(name) : add(s, kind, name->data, name->len);
}

static int item_cmp(const void *a, const void *b)
{
	return strcmp(((const struct item *)a)->name, ((const struct item *)b)->name);
}

/* Sorts what was added from the first-th on, and drops repetitions. */
static void sort_from(struct lister *s, size_t first)
{
	struct item *v = s->l->items.v;
	size_t n = s->l->items.n, kept = first;
	if (n <= first)
		return;
	qsort(v + first, n - first, sizeof *v, item_cmp);
	for (size_t i = first; i < n; i++)
		if (kept == first || strcmp(v[kept - 1].name, v[i].name) != 0)
			v[kept++] = v[i];
	s->l->items.n = kept;
}

/* ---- the root and services ---- */

static int add_services(struct lister *s, const struct names *names)
{
	int e = 0;
	for (size_t i = 0; !e && i < names->n; i++) {
		_buf_ struct buf name = BUF_INIT(COMPONENT_MAX);
		name_put_service(&name, str_of(names->v[i]));
		e = add_buf(s, NODE_DIR, &name);
	}
	return e;
}

static int list_root(struct lister *s, struct error *err)
{
	_names_ struct names stored = { 0 }, added = { 0 };
	int e = db_services(s->tree->db, VIEW_MAX_AGE, &stored, err);
	if (!e)
		e = tree_added(s->tree, &added);
	if (!e)
		e = add_services(s, &stored);
	if (!e)
		e = add_services(s, &added);
	if (!e)
		e = add_str(s, NODE_DIR, ".profilefs");
	return e ? e : add_str(s, NODE_FILE, "README.md");
}

static int list_control(struct lister *s)
{
	int e = add_str(s, NODE_DIR, "search");
	if (!e)
		e = add_str(s, NODE_DIR, "debuginfo");
	const char *name;
	for (size_t i = 0; !e && (name = control_name(s->tree, i)); i++)
		e = add_str(s, NODE_FILE, name);
	return e;
}

/* Days that names can tell. */
static int add_days(struct lister *s, enum node_kind kind, struct error *err)
{
	_days_ struct days days = { 0 };
	int e = facts_days(s->tree, s->sel->service, &days, err);
	for (size_t i = 0; !e && i < days.n; i++) {
		char name[DAY_LEN];
		struct span span;
		int32_t day;
		day_format(days.v[i], name);
		if (times_absolute(str_of(name), &span) == TIMES_OK && day_parse(name, strlen(name), &day) &&
		    day == days.v[i])
			e = add_str(s, kind, name);
	}
	return e;
}

static int add_latest(struct lister *s, struct error *err)
{
	int32_t day;
	int e = facts_latest(s->tree, s->sel->service, &day, err);
	if (e)
		return e == ERR_PATH_ABSENT ? 0 : e;
	return add_str(s, NODE_LINK, "latest");
}

static int list_service(struct lister *s, struct error *err)
{
	static const char *const links[] = { "last-15m", "last-1h", "last-24h", "today", "yesterday" };
	int e = add_days(s, NODE_DIR, err);
	if (!e)
		e = add_latest(s, err);
	for (size_t i = 0; !e && i < ARRAY_SIZE(links); i++)
		e = add_str(s, NODE_LINK, links[i]);
	return e;
}

/* ---- below a time ---- */

/* q: NULL where no rendering depends on it. */
static int add_renderings(struct lister *s, const struct query *q)
{
	bool timed = q && query_has_moments(q);
	int e = 0;
	for (size_t i = 0; !e && renderings[i]; i++)
		if (grammar_renders(s->dir->place, s->sel, renderings[i]) &&
		    (timed || !(renderings[i]->where & RENDER_MOMENTS)))
			e = add_str(s, NODE_FILE, renderings[i]->name);
	return e;
}

/* by-LABEL is found everywhere and listed only where it leads on, so that following links ends. */
static bool lists_labels(const struct lister *s)
{
	return s->dir->place != PLACE_BASE && !s->sel->has_id && !selection_has_filter(s->sel, FILTER_FUNCTION);
}

static int add_label(void *ctx, struct str key)
{
	struct lister *s = ctx;
	_buf_ struct buf name = BUF_INIT(COMPONENT_MAX);
	if (!key.len || memchr(key.s, '\0', key.len) ||
	    (s->dir->place != PLACE_VS && selection_fixes(s->sel, key)))
		return 0;
	name_put_by(&name, key);
	return add_buf(s, NODE_DIR, &name);
}

static int add_labels(struct lister *s, struct query *q, struct error *err)
{
	return lists_labels(s) ? facts_each_label(s->tree, q, s->cancel, add_label, s, err) : 0;
}

static bool has_type(const known_names_t *types, const char *name)
{
	for (size_t i = 0; i < types->n; i++)
		if (str_eq(types->v[i], str_of(name)))
			return true;
	return false;
}

static int add_type(struct lister *s, struct str type)
{
	_buf_ struct buf name = BUF_INIT(COMPONENT_MAX);
	if (!type.len || memchr(type.s, '\0', type.len))
		return 0;
	name_put(&name, type);
	return add_buf(s, NODE_DIR, &name);
}

static int add_types(struct lister *s, const known_names_t *types)
{
	int e = 0;
	for (size_t i = 0; !e && i < types->n; i++)
		e = add_type(s, types->v[i]);
	for (size_t i = 0; !e && i < ARRAY_SIZE(link_aliases); i++)
		if (has_type(types, link_alias(link_aliases[i])) && !has_type(types, link_aliases[i]))
			e = add_str(s, NODE_LINK, link_aliases[i]);
	return e;
}

/* In a day, links to its hours. */
static int add_hours(struct lister *s, const int32_t *hours, size_t n)
{
	struct span span = { s->sel->from, s->sel->to };
	int32_t day;
	int e = 0;
	if (!times_one_day(&span, &day) || span.to - span.from != NS_PER_DAY)
		return 0;
	for (size_t i = 0; !e && i < n; i++) {
		char name[8];
		int64_t of_day = (int64_t)hours[i] - (int64_t)day * 24;
		if (of_day < 0 || of_day > 23)
			continue;
		snprintf(name, sizeof name, "T%02d", (int)of_day % 24);
		e = add_str(s, NODE_LINK, name);
	}
	return e;
}

/* Types and hours, as the plan says. */
static int add_planned(struct lister *s, struct query *q, struct error *err)
{
	const struct type_count *types;
	const int32_t *hours;
	known_names_t names = { 0 };
	size_t n_types, n_hours;
	int e = query_types(q, &types, &n_types, err);
	if (!e)
		e = query_hours(q, &hours, &n_hours, err);
	for (size_t i = 0; !e && i < n_types; i++) {
		struct str *to = VEC_PUSH(&names);
		if (to)
			*to = types[i].name;
		else
			e = -ENOMEM;
	}
	if (!e)
		e = add_types(s, &names);
	if (!e)
		e = add_hours(s, hours, n_hours);
	VEC_DONE(&names);
	return e;
}

static int list_below_time(struct lister *s, struct error *err)
{
	_cleanup_(query_unrefp) struct query *q = NULL;
	int e = plan_get(s->tree, s->sel, s->cancel, &q, err);
	if (!e) {
		query_expect_all(q); /* who lists files, mostly stats them all */
		e = add_renderings(s, q);
	}
	if (!e)
		e = add_labels(s, q, err);
	if (!e)
		e = add_str(s, NODE_DIR, "profiles");
	return e || s->dir->place != PLACE_TIME ? e : add_planned(s, q, err);
}

static int list_time(struct lister *s, struct error *err)
{
	_known_ struct known known = { 0 };
	int e = known_of(s->tree, s->sel, &known, err);
	if (e)
		return e == ERR_PATH_ABSENT ? list_below_time(s, err) : e;
	e = add_renderings(s, NULL);
	for (size_t i = 0; !e && lists_labels(s) && i < known.labels.n; i++)
		e = add_label(s, known.labels.v[i]);
	if (!e)
		e = add_str(s, NODE_DIR, "profiles");
	if (!e)
		e = add_types(s, &known.types);
	return e ? e : add_hours(s, known.hours.v, known.hours.n);
}

static int list_vs(struct lister *s, struct error *err)
{
	_cleanup_(selection_freep) struct selection *base = facts_for_label(s->sel, (struct str){ "", 0 });
	_cleanup_(query_unrefp) struct query *q = NULL;
	int e = base ? plan_get(s->tree, base, s->cancel, &q, err) : -ENOMEM;
	if (!e)
		e = add_days(s, NODE_LINK, err);
	if (!e)
		e = add_latest(s, err);
	return e ? e : add_labels(s, q, err);
}

/* ---- by-LABEL/ ---- */

/* Whether profiles without the label are among those selected and the values do not tell. */
static bool lacks_absent(struct query *q, const struct label_values *v)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < v->n; i++) {
		if (!v->values[i].value.len)
			return false;
		sum += v->values[i].profiles;
	}
	return !v->of_samples && !v->rest && sum < query_info(q)->profiles;
}

static int add_value(struct lister *s, struct str value)
{
	_buf_ struct buf name = BUF_INIT(COMPONENT_MAX);
	name_put_value(&name, value);
	return add_buf(s, NODE_LINK, &name);
}

static int add_values(struct lister *s, struct query *q, struct str label, struct error *err)
{
	const struct label_values *v;
	int e = facts_values(q, label, s->cancel, &v, err);
	if (e || !v)
		return e;
	for (size_t i = 0; !e && i < v->n && i < VALUES_MAX; i++)
		e = add_value(s, v->values[i].value);
	if (!e && lacks_absent(q, v))
		e = add_value(s, (struct str){ "", 0 });
	return e;
}

static int list_by(struct lister *s, struct error *err)
{
	const struct buf *key = &s->dir->component.key;
	struct str label = { (const char *)key->data, key->len };
	_cleanup_(selection_freep) struct selection *sel = facts_for_label(s->sel, label);
	_cleanup_(query_unrefp) struct query *q = NULL;
	int e = sel ? plan_get(s->tree, sel, s->cancel, &q, err) : -ENOMEM;
	if (!e)
		e = add_renderings(s, NULL);
	return e ? e : add_values(s, q, label, err);
}

/* ---- profiles/ and functions/ ---- */

static int list_profiles(struct lister *s, struct error *err)
{
	struct listing *l = s->l;
	int32_t day;
	int e = plan_get(s->tree, s->sel, s->cancel, &l->query, err);
	if (e)
		return e;
	l->points_kind = node_is_day(s->dir->parent, &day) ? NODE_FILE : NODE_LINK;
	return query_points(l->query, s->cancel, &l->points, &l->n_points, err);
}

struct ranked {
	uint32_t frame;
	int64_t self;
};

static int ranked_cmp(const void *a, const void *b)
{
	const struct ranked *x = a, *y = b;
	return x->self != y->self ? CMP(y->self, x->self) : CMP(x->frame, y->frame);
}

/* Frames by what they themselves count, the greatest first; new. */
static struct ranked *rank_frames(const struct call_tree *tree)
{
	struct ranked *r = calloc((size_t)tree->n_frames + 1, sizeof *r);
	for (uint32_t i = 0; r && i < tree->n_frames; i++)
		r[i].frame = i;
	for (uint32_t i = 0; r && i < tree->n_nodes; i++) {
		const struct call_node *n = &tree->nodes[i];
		int64_t size = n->self < 0 ? -(n->self + 1) : n->self;
		int64_t *self = n->frame < tree->n_frames ? &r[n->frame].self : NULL;
		if (self && __builtin_add_overflow(*self, size, self))
			*self = INT64_MAX;
	}
	if (r)
		qsort(r, tree->n_frames, sizeof *r, ranked_cmp);
	return r;
}

static int list_functions(struct lister *s, struct error *err)
{
	_cleanup_(query_unrefp) struct query *q = NULL;
	const struct call_tree *tree;
	int e = plan_get(s->tree, s->sel, s->cancel, &q, err);
	if (!e)
		e = query_tree(q, s->cancel, &tree, err);
	if (e)
		return e;
	_free_ struct ranked *r = rank_frames(tree);
	if (!r)
		return -ENOMEM;
	for (uint32_t i = 0; !e && i < tree->n_frames && i < FUNCTIONS_MAX; i++) {
		struct str function = tree->frames[r[i].frame].name;
		_buf_ struct buf name = BUF_INIT(COMPONENT_MAX);
		if (memchr(function.s, '\0', function.len))
			continue;
		pct_encode(&name, function, false);
		/* What desktops look for would not be found under its plain name. */
		buf_putc(&name, '\0');
		bool never = grammar_never((const char *)name.data);
		name.len--;
		e = never ? 0 : add_buf(s, NODE_LINK, &name);
	}
	return e;
}

/* ---- all ---- */

static int list(struct lister *s, struct error *err)
{
	switch (s->dir->place) {
	case PLACE_ROOT:
		return list_root(s, err);
	case PLACE_CONTROL:
		return list_control(s);
	case PLACE_SERVICE:
		return list_service(s, err);
	case PLACE_TIME:
		return list_time(s, err);
	case PLACE_TYPE:
		return list_below_time(s, err);
	case PLACE_VS:
		return list_vs(s, err);
	case PLACE_BASE:
		return add_renderings(s, NULL);
	case PLACE_SEARCH:
	case PLACE_DEBUGINFO:
		return 0;
	case PLACE_BY:
		return list_by(s, err);
	case PLACE_PROFILES:
		return list_profiles(s, err);
	case PLACE_FUNCTIONS:
		return list_functions(s, err);
	}
	return -ENOTDIR;
}

int listing_new(struct tree *t, struct node *dir, const struct cancel *cancel, struct listing **ret,
                struct error *err)
{
	if (dir->kind != NODE_DIR)
		return error_set(err, -ENOTDIR, "'%.100s' is no directory", dir->name);
	_cleanup_(listing_freep) struct listing *l = calloc(1, sizeof *l);
	if (!l)
		return -ENOMEM;
	l->names = ARENA_INIT(NAMES_BYTES_MAX);
	struct lister s = { t, dir, node_selection(dir), cancel, l };
	int e = list(&s, err);
	if (e)
		return e;
	/* Values keep their order: the greatest first. */
	if (dir->place != PLACE_BY)
		sort_from(&s, 0);
	*ret = TAKE_PTR(l);
	return 0;
}

int listing_entry(struct listing *l, uint64_t i, struct entry *ret)
{
	if (i < l->items.n) {
		snprintf(ret->name, sizeof ret->name, "%s", l->items.v[i].name);
		ret->kind = l->items.v[i].kind;
		return 1;
	}
	i -= l->items.n;
	if (i >= l->n_points)
		return 0;
	char name[PROFILE_NAME_LEN];
	snprintf(ret->name, sizeof ret->name, "%s", profile_name(l->points[i].time, &l->points[i].id, name));
	ret->kind = l->points_kind;
	return 1;
}

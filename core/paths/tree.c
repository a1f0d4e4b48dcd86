/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include <string.h>

#include "names.h"

#define CACHE_DEFAULT ((size_t)24 << 20)
#define ADDED_MAX 10000
#define SERVICE_MAX 200

int64_t tree_now(const struct tree *t)
{
	return t->opts.now ? t->opts.now() : clock_now();
}

static int tree_parts(struct tree *t, struct error *err)
{
	int e = plans_new(&t->plans);
	if (!e)
		e = files_new(t->opts.cache_bytes ? t->opts.cache_bytes : CACHE_DEFAULT, &t->files);
	if (!e)
		e = control_new(&t->control);
	if (!e)
		e = recorder_new(&t->recorder);
	if (!e)
		e = node_new(NULL, "", NODE_DIR, &t->root, err);
	if (e)
		return e;
	t->root->tree = t;
	t->root->place = PLACE_ROOT;
	t->root->life = LIFE_GRAMMAR;
	t->root->mtime = t->started;
	return 0;
}

int tree_new(struct db *db, const struct tree_options *opts, struct tree **ret, struct error *err)
{
	_cleanup_(tree_freep) struct tree *t = calloc(1, sizeof *t);
	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	t->db = db;
	t->opts = *opts;
	t->started = tree_now(t);
	int e = tree_parts(t, err);
	if (e)
		return e;
	*ret = TAKE_PTR(t);
	return 0;
}

void tree_free(struct tree *t)
{
	if (!t)
		return;
	node_unref(t->root);
	plans_free(t->plans);
	files_free(t->files);
	control_free(t->control);
	recorder_free(t->recorder);
	for (size_t i = 0; i < t->added.n; i++)
		free(t->added.v[i]);
	VEC_DONE(&t->added);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

int tree_root(struct tree *t, struct node **ret, struct error *err)
{
	*ret = node_ref(t->root);
	return 0;
}

/* ---- services made by mkdir ---- */

/* Where name is or belongs; under the lock. */
static size_t added_find(struct tree *t, const char *name, bool *ret_found)
{
	size_t i = 0;
	int r = 1;
	while (i < t->added.n && (r = strcmp(t->added.v[i], name)) < 0)
		i++;
	*ret_found = i < t->added.n && r == 0;
	return i;
}

static int added_insert(struct tree *t, const char *name, struct error *err)
{
	bool found;
	size_t i = added_find(t, name, &found);
	if (found)
		return error_set(err, -EEXIST, "the service exists already");
	if (t->added.n >= ADDED_MAX)
		return error_set(err, ERR_LIMIT, "%d services without data are enough", ADDED_MAX);
	char *copy = strdup(name);
	if (!copy || !VEC_PUSH(&t->added)) {
		free(copy);
		return -ENOMEM;
	}
	memmove(t->added.v + i + 1, t->added.v + i, (t->added.n - 1 - i) * sizeof *t->added.v);
	t->added.v[i] = copy;
	return 0;
}

int tree_add_service(struct tree *t, const char *name, struct error *err)
{
	if (!*name || strlen(name) > SERVICE_MAX)
		return error_set(err, ERR_PATH, "a service's name has 1 to %d bytes", SERVICE_MAX);
	if ((*name != '.' && grammar_never(name)) || !strcmp(name, "@all") || !strcmp(name, "README.md"))
		return error_set(err, ERR_PATH, "'%s' cannot be a service's name", name);
	if (t->opts.read_only)
		return error_set(err, ERR_STORE_READONLY, "mounted read only");
	if (db_has_service(t->db, str_of(name), VIEW_MAX_AGE))
		return error_set(err, -EEXIST, "the service exists already");
	pthread_mutex_lock(&t->lock);
	int e = added_insert(t, name, err);
	pthread_mutex_unlock(&t->lock);
	return e;
}

int tree_forget_service(struct tree *t, const char *name)
{
	bool found;
	pthread_mutex_lock(&t->lock);
	size_t i = added_find(t, name, &found);
	if (found) {
		free(t->added.v[i]);
		t->added.n--;
		memmove(t->added.v + i, t->added.v + i + 1, (t->added.n - i) * sizeof *t->added.v);
	}
	pthread_mutex_unlock(&t->lock);
	return found ? 0 : ERR_PATH_ABSENT;
}

bool tree_has_added(struct tree *t, struct str name)
{
	_free_ char *s = strndup(name.s, name.len);
	bool found = false;
	if (!s)
		return false;
	pthread_mutex_lock(&t->lock);
	added_find(t, s, &found);
	pthread_mutex_unlock(&t->lock);
	return found;
}

int tree_added(struct tree *t, struct names *ret)
{
	struct names n = { 0 };
	int e = 0;
	pthread_mutex_lock(&t->lock);
	n.v = calloc(t->added.n + 1, sizeof *n.v);
	if (!n.v)
		e = -ENOMEM;
	for (size_t i = 0; !e && i < t->added.n; i++) {
		n.v[i] = strdup(t->added.v[i]);
		if (n.v[i])
			n.n++;
		else
			e = -ENOMEM;
	}
	pthread_mutex_unlock(&t->lock);
	if (e)
		names_done(&n);
	else
		*ret = n;
	return e;
}

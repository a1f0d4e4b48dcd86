/* SPDX-License-Identifier: MIT */
#include "tree.h"

#include <assert.h>
#include <string.h>

#include "../base/hash.h"

/*
 * A node is made by one lookup and never changes afterwards (but for the count of its references). It holds
 * its parent, so a path can always be told, and its own selection only where its component changed the
 * parent's.
 */

#define INO_BITS 53

struct node *node_ref(struct node *n)
{
	atomic_fetch_add_explicit(&n->refs, 1, memory_order_relaxed);
	return n;
}

static void node_free(struct node *n)
{
	component_done(&n->component);
	selection_free(n->sel);
	content_unref(n->content);
	free(n->target);
	free(n->name);
	free(n);
}

void node_unref(struct node *n)
{
	while (n && atomic_fetch_sub_explicit(&n->refs, 1, memory_order_acq_rel) == 1) {
		struct node *parent = n->parent;
		node_free(n);
		n = parent;
	}
}

int node_new(struct node *dir, const char *name, enum node_kind kind, struct node **ret, struct error *err)
{
	if (dir && dir->depth >= NODE_DEPTH_MAX)
		return error_set(err, ERR_PATH, "a path has at most %d components", NODE_DEPTH_MAX);
	_free_ struct node *n = calloc(1, sizeof *n);
	if (!n || !(n->name = strdup(name)))
		return -ENOMEM;
	atomic_init(&n->refs, 1);
	n->kind = kind;
	n->life = LIFE_DATA;
	if (dir) {
		n->tree = dir->tree;
		n->depth = dir->depth + 1;
		n->parent = node_ref(dir);
	}
	*ret = TAKE_PTR(n);
	return 0;
}

const struct selection *node_selection(const struct node *n)
{
	while (n && !n->sel)
		n = n->parent;
	return n ? n->sel : NULL;
}

const struct node *node_service(const struct node *n)
{
	while (n && n->depth > 1)
		n = n->parent;
	return n && n->depth == 1 && n->kind == NODE_DIR && n->place == PLACE_SERVICE ? n : NULL;
}

bool node_is_all(const struct node *service)
{
	return service->depth == 1 && service->sel && !service->sel->service;
}

bool node_is_day(const struct node *n, int32_t *ret_day)
{
	if (n->depth != 2 || n->place != PLACE_TIME || node_is_all(n->parent))
		return false;
	return day_parse(n->name, strlen(n->name), ret_day);
}

uint64_t node_ino_of(struct str a, struct str b, struct str c)
{
	const struct str parts[] = { a, b, c };
	uint64_t hash = 0;
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		hash = XXH3_64bits_withSeed(parts[i].s, parts[i].len, hash + parts[i].len);
	uint64_t ino = hash & (((uint64_t)1 << INO_BITS) - 1);
	return ino ? ino : 1;
}

void node_attr(struct node *n, struct node_attr *ret)
{
	*ret = (struct node_attr){ .kind = n->kind, .life = n->life, .mtime = n->mtime };
	if (n->kind == NODE_DIR) {
		ret->takes_files = n->takes_files;
	} else if (n->kind == NODE_LINK) {
		ret->size = strlen(n->target);
		ret->size_known = true;
	} else {
		ret->ino = n->ino;
		ret->blocks = n->blocks;
		ret->editable = n->editable;
		ret->size_known = n->content || files_size(n->tree, n->ino, &ret->size);
		if (n->content)
			ret->size = n->content->len;
	}
}

int node_link(struct node *n, struct buf *ret)
{
	if (n->kind != NODE_LINK)
		return -EINVAL;
	buf_puts(ret, n->target);
	return buf_err(ret);
}

const char *node_name(const struct node *n)
{
	return n->name;
}

struct node *node_parent(struct node *n)
{
	return n->parent;
}

void node_path(struct node *n, struct buf *ret)
{
	const struct node *chain[NODE_DEPTH_MAX + 1];
	size_t depth = 0;
	for (const struct node *p = n; p->parent; p = p->parent) {
		assert(depth < ARRAY_SIZE(chain));
		chain[depth++] = p;
	}
	if (!depth)
		buf_putc(ret, '/');
	while (depth > 0) {
		buf_putc(ret, '/');
		buf_puts(ret, chain[--depth]->name);
	}
}

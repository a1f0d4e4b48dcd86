/* SPDX-License-Identifier: MIT */

/* What removing a name deletes: a service, a day of it, a type of a day, a profile. */

#include <string.h>

#include "../db/debuginfo.h"
#include "tree.h"

#define WHAT_CAN_BE_DELETED \
	"only a service, a day of it, a type of a day and a file of a day's profiles/ can be deleted"

/* What stands at the node. The texts are the node's. */
struct removal {
	struct str service, type;
	bool has_type, has_id;
	int32_t from, to;
	struct ulid id;
};

static bool is_service(const struct node *n)
{
	return n->depth == 1 && n->kind == NODE_DIR && n->place == PLACE_SERVICE && !node_is_all(n);
}

static bool is_type_of_day(const struct node *n, int32_t *ret_day)
{
	return n->kind == NODE_DIR && n->place == PLACE_TYPE && n->parent && node_is_day(n->parent, ret_day);
}

static bool is_profile_of_day(const struct node *n, int32_t *ret_day)
{
	return n->kind == NODE_FILE && n->file == FILE_ORIGINAL && n->parent && n->parent->place == PLACE_PROFILES &&
	       n->parent->parent && node_is_day(n->parent->parent, ret_day);
}

static bool find_target(const struct node *n, struct removal *t)
{
	const struct node *service = node_service(n);
	const struct selection *sel = node_selection(n);
	if (!service || node_is_all(service) || !sel || !sel->service)
		return false;
	*t = (struct removal){ .service = str_of(sel->service), .from = INT32_MIN, .to = INT32_MAX };
	if (is_service(n))
		return true;
	int32_t day;
	if (is_type_of_day(n, &day)) {
		t->type = str_of(sel->type);
		t->has_type = true;
	} else if (is_profile_of_day(n, &day)) {
		t->id = n->id;
		t->has_id = true;
	} else if (!node_is_day(n, &day)) {
		return false;
	}
	t->from = t->to = day;
	return true;
}

static const char *sel_service(const struct node *n)
{
	return node_selection(n)->service;
}

/* By-LABEL folders, profiles/ and what is rendered are made anew from the data: removing one deletes nothing. */
static bool is_made_anew(const struct node *n)
{
	return n->kind != NODE_DIR || n->place == PLACE_BY || n->place == PLACE_PROFILES;
}

/* A file below .profilefs/debuginfo/ is what is stored of its build id. */
static bool is_symbols(const struct node *n)
{
	return n->kind == NODE_FILE && n->parent && n->parent->place == PLACE_DEBUGINFO;
}

int tree_delete(struct tree *t, struct node *n, bool dry_run, struct db_deleted *ret, struct error *err)
{
	struct removal target;
	if (is_symbols(n)) {
		*ret = (struct db_deleted){ 0 };
		return dry_run ? 0 : debuginfo_remove(t->db, n->name, err);
	}
	if (find_target(n, &target)) {
		struct db_which which = {
			.service = &target.service,
			.from_day = target.from,
			.to_day = target.to,
			.type = target.has_type ? &target.type : NULL,
			.id = target.has_id ? &target.id : NULL,
		};
		int r = db_delete(t->db, &which, dry_run, ret, err);
		if (r == 0 && !dry_run && is_service(n))
			(void)tree_forget_service(t, sel_service(n)); /* it may have been made by mkdir too */
		return r;
	}
	if (!is_made_anew(n))
		return error_set(err, ERR_PATH_DENIED, WHAT_CAN_BE_DELETED);
	*ret = (struct db_deleted){ 0 };
	return 0;
}

bool tree_holds_data(const struct node *n)
{
	struct removal t;
	return find_target(n, &t);
}

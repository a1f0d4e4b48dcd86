/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "names.h"
#include "tree.h"

/*
 * Targets are relative and name what lookup finds beside the link, so that they hold under matchers and vs. A
 * time of a day is the one that may step up: from /SERVICE/DAY/T14 to /SERVICE/DAYT14, where the hour is at
 * its canonical place.
 */

const char *const link_aliases[2] = { "allocs", "heap" };

const char *link_alias(const char *name)
{
	if (!strcmp(name, "heap"))
		return "inuse_space";
	return !strcmp(name, "allocs") ? "alloc_space" : NULL;
}

static const struct selection *time_selection(const struct node *dir)
{
	const struct selection *sel = node_selection(dir);
	return sel->baseline ? sel->baseline : sel;
}

static int link_of_day(struct node *dir, const struct component *c, struct buf *out, struct error *err)
{
	const struct selection *sel = time_selection(dir);
	struct span all = { sel->from, sel->to };
	int32_t day;
	char name[DAY_LEN];
	if (!times_one_day(&all, &day))
		return error_set(err, ERR_PATH_ABSENT, "a time of the day stands below a day");
	struct span whole = times_day_span(day);
	bool at_day = dir->component.kind == COMPONENT_TIME && dir->place == PLACE_TIME &&
	              whole.from == all.from && whole.to == all.to;
	struct civil from = civil_of(c->span.from);
	int64_t length = c->span.to - c->span.from;
	buf_printf(out, "%s%sT%02d", at_day ? "../" : "", day_format(day, name), from.hour);
	if (length < NS_PER_HOUR)
		buf_printf(out, "%02d", from.minute);
	if (length < NS_PER_MIN)
		buf_printf(out, "%02d", from.second);
	return 0;
}

static int link_last(struct node *dir, const struct component *c, struct buf *out, struct error *err)
{
	struct span s;
	char name[SPAN_NAME_LEN];
	if (!times_last_span(tree_now(dir->tree), c->length, &s))
		return error_set(err, ERR_PATH, "that is longer ago than times can tell");
	buf_puts(out, times_span_name(&s, name));
	return 0;
}

/* A day is a directory of its own, but in vs/, where days are listed as links: there it is an interval. */
static void put_day(struct node *dir, int32_t day, struct buf *out)
{
	char from[DAY_LEN], to[DAY_LEN];
	buf_puts(out, day_format(day, from));
	if (dir->place == PLACE_VS)
		buf_printf(out, "--%s", day_format(day + 1, to));
}

static int link_latest(struct node *dir, struct buf *out, struct error *err)
{
	int32_t day;
	int e = facts_latest(dir->tree, node_selection(dir)->service, &day, err);
	if (!e)
		put_day(dir, day, out);
	return e;
}

int link_time(struct node *dir, const struct component *c, struct buf *out, struct error *err)
{
	int32_t today = time_day(tree_now(dir->tree));
	switch (c->kind) {
	case COMPONENT_OF_DAY:
		return link_of_day(dir, c, out, err);
	case COMPONENT_LAST:
		return link_last(dir, c, out, err);
	case COMPONENT_LATEST:
		return link_latest(dir, out, err);
	case COMPONENT_TODAY:
		put_day(dir, today, out);
		return 0;
	case COMPONENT_YESTERDAY:
		put_day(dir, today - 1, out);
		return 0;
	case COMPONENT_TIME:
		put_day(dir, time_day(c->span.from), out);
		return 0;
	default:
		return ERR_PATH_ABSENT;
	}
}

void link_profile(struct node *dir, struct str service, int32_t day, const char *name, struct buf *out)
{
	char date[DAY_LEN];
	bool all = node_is_all(node_service(dir));
	for (unsigned i = all ? 0 : 1; i < dir->depth; i++)
		buf_puts(out, "../");
	if (all) {
		name_put_service(out, service);
		buf_putc(out, '/');
	}
	buf_printf(out, "%s/profiles/%s", day_format(day, date), name);
}

void link_value(struct str label, struct str value, struct buf *out)
{
	buf_puts(out, "../");
	name_put_matcher(out, label, value);
}

const char *profile_name(int64_t time, const struct ulid *id, char ret[PROFILE_NAME_LEN])
{
	char when[TIME_LEN], text[ULID_LEN + 1];
	time_format_compact(time, when);
	snprintf(ret, PROFILE_NAME_LEN, "%s_%s.pb.gz", when, ulid_format(id, text));
	return ret;
}

/* "2026-11-22T140530.25", as time_format_compact() writes it. */
static bool parse_time(struct str s, int64_t *ret)
{
	static const size_t whole = sizeof "2026-11-22T140530" - 1;
	struct span second;
	int64_t nanos = 0, unit = NS_PER_S / 10;
	if (s.len < whole || times_absolute((struct str){ s.s, whole }, &second) != TIMES_OK)
		return false;
	for (size_t i = whole + 1; i < s.len; i++, unit /= 10) {
		if (s.s[i] < '0' || s.s[i] > '9' || !unit)
			return false;
		nanos += (s.s[i] - '0') * unit;
	}
	*ret = second.from + nanos;
	return true;
}

bool profile_name_parse(const char *name, int64_t *ret_time, struct ulid *ret)
{
	static const char tail[] = ".pb.gz";
	size_t n = strlen(name), skip = sizeof tail - 1;
	char again[PROFILE_NAME_LEN];
	if (n < ULID_LEN + skip + 2 || strcmp(name + n - skip, tail) != 0)
		return false;
	const char *id = name + n - skip - ULID_LEN;
	struct str time = { name, (size_t)(id - 1 - name) };
	return ulid_parse(id, ULID_LEN, ret) && parse_time(time, ret_time) &&
	       !strcmp(name, profile_name(*ret_time, ret, again));
}

/* SPDX-License-Identifier: MIT */
#include "header.h"

#include "../profile/types.h"

static bool has_type(const struct header *h, const struct str *strings, struct str type)
{
	for (uint32_t i = 0; i < h->n_types; i++)
		if (str_eq(strings[h->types[i].type], type))
			return true;
	return false;
}

/* heap and allocs have the same types; what is shown first tells them apart where no kind is known. */
static void tell_heap(const struct header *h, const struct str *strings, struct header_class *c)
{
	if (!has_type(h, strings, STR("alloc_space")) || !has_type(h, strings, STR("inuse_space")))
		return;
	struct str kind = strings[h->kind];
	bool shows_allocs = str_eq(strings[h->default_type], STR("alloc_space"));
	c->allocs = str_eq(kind, STR("allocs")) || (shows_allocs && !str_eq(kind, STR("heap")));
	c->heap = !c->allocs;
}

struct header_class header_class_of(const struct header *h, const struct str *strings)
{
	struct header_class c = {
		.cumulative = h->temporality == TEMPORALITY_CUMULATIVE,
		.delta = h->temporality == TEMPORALITY_DELTA,
	};
	for (uint32_t i = 0; i < h->n_types; i++) {
		enum type_class class = type_class_of(strings[h->types[i].type]);
		c.has_instant |= class == TYPE_INSTANT;
		c.has_running |= class == TYPE_RUNNING || (class == TYPE_EVENT && c.cumulative);
	}
	tell_heap(h, strings, &c);
	return c;
}

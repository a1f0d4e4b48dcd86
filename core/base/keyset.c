/* SPDX-License-Identifier: MIT */
#include "keyset.h"

#include <string.h>

void keyset_done(struct keyset *s)
{
	free(s->slots);
	*s = (struct keyset){ 0 };
}

void keyset_clear(struct keyset *s)
{
	if (s->slots)
		memset(s->slots, 0xff, (s->mask + 1) * sizeof *s->slots);
	s->count = 0;
}

static void place(struct keyset *s, struct keyset_slot slot)
{
	size_t at = slot.hash & s->mask;
	while (s->slots[at].id != KEYSET_NONE)
		at = (at + 1) & s->mask;
	s->slots[at] = slot;
}

static int grow(struct keyset *s)
{
	size_t n = s->slots ? (s->mask + 1) * 2 : 64, bytes;
	if (!size_mul(n, sizeof *s->slots, &bytes))
		return -ENOMEM;
	struct keyset_slot *slots = malloc(bytes);
	if (!slots)
		return -ENOMEM;
	memset(slots, 0xff, bytes);
	struct keyset old = *s;
	*s = (struct keyset){ slots, n - 1, old.count };
	for (size_t i = 0; old.slots && i <= old.mask; i++)
		if (old.slots[i].id != KEYSET_NONE)
			place(s, old.slots[i]);
	free(old.slots);
	return 0;
}

int keyset_add(struct keyset *s, struct hash_key key, uint32_t id)
{
	assert(id != KEYSET_NONE);
	if (!s->slots || (s->count + 1) * 4 > (s->mask + 1) * 3) {
		int r = grow(s);
		if (r < 0)
			return r;
	}
	place(s, (struct keyset_slot){ key.hash, key.check, id });
	s->count++;
	return 0;
}

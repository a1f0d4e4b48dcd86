/* SPDX-License-Identifier: MIT */
#include "idset.h"

#include <string.h>

void idset_done(struct idset *s)
{
	free(s->slots);
	*s = (struct idset){ 0 };
}

void idset_clear(struct idset *s)
{
	if (s->slots)
		memset(s->slots, 0xff, (s->mask + 1) * sizeof *s->slots);
	s->count = 0;
}

static void place(struct idset *s, uint32_t hash, uint32_t id)
{
	size_t at = hash & s->mask;
	while (s->slots[at].id != IDSET_NONE)
		at = (at + 1) & s->mask;
	s->slots[at] = (struct idset_slot){ hash, id };
}

static int grow(struct idset *s)
{
	size_t n = s->slots ? (s->mask + 1) * 2 : 64, bytes;
	if (!size_mul(n, sizeof *s->slots, &bytes))
		return -ENOMEM;
	struct idset_slot *slots = malloc(bytes);
	if (!slots)
		return -ENOMEM;
	memset(slots, 0xff, bytes);
	struct idset old = *s;
	*s = (struct idset){ slots, n - 1, old.count };
	for (size_t i = 0; old.slots && i <= old.mask; i++)
		if (old.slots[i].id != IDSET_NONE)
			place(s, old.slots[i].hash, old.slots[i].id);
	free(old.slots);
	return 0;
}

int idset_add(struct idset *s, uint64_t hash, uint32_t id)
{
	if (!s->slots || (s->count + 1) * 4 > (s->mask + 1) * 3) {
		int r = grow(s);
		if (r < 0)
			return r;
	}
	place(s, idset_fold(hash), id);
	s->count++;
	return 0;
}

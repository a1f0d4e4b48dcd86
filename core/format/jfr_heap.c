/* SPDX-License-Identifier: MIT */

/*
 * Native memory that is still allocated when a recording ends. An allocation and what frees it have the address alone
 * in common; they may lie in different chunks, and events stand in the order in which threads filled their buffers. So
 * all are noted first, before any sample is made, and put in order by address and time: an allocation is live where
 * nothing follows it at its address. A later allocation there tells that it was freed, too.
 */

#include "jfr.h"

#define NOTE_FREES ((uint64_t)1 << 63)

struct note {
	uint64_t address;
	int64_t time;
	uint64_t at; /* of the event in the recording; NOTE_FREES: it frees */
};

struct jfr_heap {
	VEC(struct note) notes;
	VEC(uint64_t) live; /* places of events, ascending */
	bool has_frees;
	size_t max_bytes;
};

int jfr_heap_new(size_t max_bytes, struct jfr_heap **ret)
{
	struct jfr_heap *h = calloc(1, sizeof *h);
	if (!h)
		return -ENOMEM;
	h->max_bytes = max_bytes;
	*ret = h;
	return 0;
}

void jfr_heap_free(struct jfr_heap *h)
{
	if (!h)
		return;
	VEC_DONE(&h->notes);
	VEC_DONE(&h->live);
	free(h);
}

int jfr_heap_note(struct jfr_heap *h, const struct jfr_event *e, int64_t time, size_t at)
{
	bool frees = !jfr_has(e, SLOT_SIZE);
	if (h->notes.cap * sizeof *h->notes.v > h->max_bytes)
		return ERR_FORMAT_LIMIT;
	struct note *to = VEC_PUSH(&h->notes);
	if (!to)
		return -ENOMEM;
	*to = (struct note){ (uint64_t)e->v[SLOT_ADDRESS].number, time, at | (frees ? NOTE_FREES : 0) };
	h->has_frees |= frees;
	return 0;
}

static int note_cmp(const void *a, const void *b)
{
	const struct note *x = a, *y = b;
	if (x->address != y->address)
		return CMP(x->address, y->address);
	return x->time != y->time ? CMP(x->time, y->time) : CMP(x->at & ~NOTE_FREES, y->at & ~NOTE_FREES);
}

static int place_cmp(const void *a, const void *b)
{
	return CMP(*(const uint64_t *)a, *(const uint64_t *)b);
}

int jfr_heap_settle(struct jfr_heap *h)
{
	size_t n = h->has_frees ? h->notes.n : 0;
	if (n)
		qsort(h->notes.v, n, sizeof *h->notes.v, note_cmp);
	for (size_t i = 0; i < n; i++) {
		const struct note *last = &h->notes.v[i];
		if ((i + 1 < n && last[1].address == last->address) || last->at & NOTE_FREES)
			continue;
		uint64_t *to = VEC_PUSH(&h->live);
		if (!to)
			return -ENOMEM;
		*to = last->at;
	}
	VEC_DONE(&h->notes);
	if (h->live.n)
		qsort(h->live.v, h->live.n, sizeof *h->live.v, place_cmp);
	return 0;
}

bool jfr_heap_is_live(const struct jfr_heap *h, size_t at)
{
	const uint64_t key = at;
	return h->live.n && bsearch(&key, h->live.v, h->live.n, sizeof key, place_cmp);
}

/* SPDX-License-Identifier: MIT */
#include "arena.h"

#include <string.h>

#define CHUNK_MIN ((size_t)16 << 10)
#define CHUNK_MAX ((size_t)1 << 20)

struct arena_chunk {
	struct arena_chunk *next;
	size_t size, used;
	_Alignas(16) uint8_t data[];
};

void arena_done(struct arena *a)
{
	while (a->head) {
		struct arena_chunk *next = a->head->next;
		free(a->head);
		a->head = next;
	}
	a->used = 0;
}

static struct arena_chunk *chunk_new(struct arena *a, size_t n)
{
	size_t size = a->head ? MIN(a->head->size * 2, CHUNK_MAX) : CHUNK_MIN;
	size = MAX(size, n);
	if (a->used + size > a->max || a->used + size < size)
		size = n;
	size_t total;
	if (!size_add(size, sizeof(struct arena_chunk), &total) || total > a->max - MIN(a->used, a->max))
		return NULL;
	struct arena_chunk *c = malloc(total);
	if (!c)
		return NULL;
	*c = (struct arena_chunk){ .next = a->head, .size = size };
	a->used += total;
	return a->head = c;
}

void *arena_alloc(struct arena *a, size_t n)
{
	if (n > SIZE_MAX - 15)
		return NULL;
	n = (n + 15) & ~(size_t)15;
	struct arena_chunk *c = a->head;
	if (!c || c->size - c->used < n)
		c = chunk_new(a, n);
	if (!c)
		return NULL;
	void *p = c->data + c->used;
	c->used += n;
	return p;
}

void *arena_calloc(struct arena *a, size_t count, size_t size)
{
	size_t n;
	if (!size_mul(count, size, &n))
		return NULL;
	void *p = arena_alloc(a, n);
	return p ? memset(p, 0, n) : NULL;
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
	char *p = n < SIZE_MAX ? arena_alloc(a, n + 1) : NULL;
	if (!p)
		return NULL;
	if (n)
		memcpy(p, s, n);
	p[n] = '\0';
	return p;
}

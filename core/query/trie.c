/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include "../base/hash.h"

/*
 * Most nodes have few children, and who was asked for last is often asked for next: the first children of a node are a
 * list, the last one found in front; where there are more, these are found by parent and key together.
 */

#define LISTED 8

/* Spread by a bijection: equal keys of the set are equal pairs. */
static struct hash_key pair_key(uint32_t parent, uint32_t key)
{
	uint64_t x = (uint64_t)parent << 32 | key;
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	x ^= x >> 32;
	x *= UINT64_C(0xd6e8feb86659fd93);
	return (struct hash_key){ x ^ x >> 32, 0 };
}

int trie_new(struct trie **ret)
{
	struct trie *t = calloc(1, sizeof *t);
	struct trie_node *root = t ? VEC_PUSH(&t->nodes) : NULL;
	if (!root) {
		free(t);
		return -ENOMEM;
	}
	*root = (struct trie_node){ .key = NONE, .called = true };
	*ret = t;
	return 0;
}

void trie_free(struct trie *t)
{
	if (!t)
		return;
	VEC_DONE(&t->nodes);
	keyset_done(&t->set);
	free(t);
}

/* The listed child, or 0; *ret_listed: how many there are where it is not. */
static uint32_t find_listed(struct trie *t, uint32_t parent, uint32_t key, uint32_t *ret_listed)
{
	struct trie_node *v = t->nodes.v;
	uint32_t before = 0, n = 0;
	for (uint32_t at = v[parent].child; at; before = at, at = v[at].next, n++) {
		if (v[at].key != key)
			continue;
		if (before) {
			v[before].next = v[at].next;
			v[at].next = v[parent].child;
			v[parent].child = at;
		}
		return at;
	}
	*ret_listed = n;
	return 0;
}

static uint32_t add_child(struct trie *t, uint32_t parent, uint32_t key, bool listed)
{
	uint32_t number = (uint32_t)t->nodes.n;
	struct trie_node *node = t->nodes.n < NONE ? VEC_PUSH(&t->nodes) : NULL;
	if (!node || (!listed && keyset_add(&t->set, pair_key(parent, key), number) < 0))
		return NONE;
	*node = (struct trie_node){ .parent = parent, .key = key };
	if (listed) {
		node->next = t->nodes.v[parent].child;
		t->nodes.v[parent].child = number;
	}
	return number;
}

uint32_t trie_child(struct trie *t, uint32_t parent, uint32_t key)
{
	uint32_t listed = 0, known = find_listed(t, parent, key, &listed);
	if (known)
		return known;
	if (listed < LISTED)
		return add_child(t, parent, key, true);
	known = keyset_find(&t->set, pair_key(parent, key));
	return known != KEYSET_NONE ? known : add_child(t, parent, key, false);
}

size_t trie_bytes(const struct trie *t)
{
	return t->nodes.cap * sizeof *t->nodes.v + keyset_bytes(&t->set);
}

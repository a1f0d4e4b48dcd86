/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include "../base/hash.h"

/* A child is found by parent and key together, spread by a bijection: equal keys of the set are equal pairs. */
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
	*root = (struct trie_node){ 0, NONE, true };
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

uint32_t trie_child(struct trie *t, uint32_t parent, uint32_t key)
{
	struct hash_key pair = pair_key(parent, key);
	uint32_t known = keyset_find(&t->set, pair);
	if (known != KEYSET_NONE)
		return known;
	struct trie_node *node = t->nodes.n < NONE ? VEC_PUSH(&t->nodes) : NULL;
	if (!node || keyset_add(&t->set, pair, (uint32_t)t->nodes.n - 1) < 0)
		return NONE;
	*node = (struct trie_node){ parent, key, false };
	return (uint32_t)t->nodes.n - 1;
}

/* SPDX-License-Identifier: MIT */
#include "inode.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "upload.h"

#define INO_MASK ((UINT64_C(1) << 53) - 1)
#define BUCKETS_MIN ((size_t)256)

struct inodes {
	pthread_mutex_t lock;
	/* under lock; buckets are as many by number as by name, a power of two */
	struct inode **by_ino, **by_name;
	size_t mask, count;
	uint64_t serial;
};

static uint64_t mix(uint64_t h)
{
	h ^= h >> 33;
	h *= UINT64_C(0xff51afd7ed558ccd);
	h ^= h >> 33;
	h *= UINT64_C(0xc4ceb9fe1a85ec53);
	return h ^ h >> 33;
}

static uint64_t hash_name(uint64_t parent, const char *name, uint64_t salt)
{
	uint64_t h = mix(parent + UINT64_C(0x9e3779b97f4a7c15) * (salt + 1));
	for (; *name; name++)
		h = (h ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
	return mix(h);
}

/* 0 is none and 1 the root. */
static uint64_t ino_of_hash(uint64_t h)
{
	uint64_t ino = h & INO_MASK;
	return ino < 2 ? ino + 2 : ino;
}

static uint64_t ino_after(uint64_t ino)
{
	return ino_of_hash(ino + 1);
}

static struct inode **ino_bucket(struct inodes *t, uint64_t ino)
{
	return &t->by_ino[mix(ino) & t->mask];
}

static struct inode **name_bucket(struct inodes *t, uint64_t parent, const char *name)
{
	return &t->by_name[hash_name(parent, name, 0) & t->mask];
}

/* ---- the two indexes, under lock ---- */

static struct inode *find(struct inodes *t, uint64_t ino)
{
	struct inode *in = *ino_bucket(t, ino);
	while (in && in->ino != ino)
		in = in->next_ino;
	return in;
}

static bool same_name(const struct inode *in, uint64_t parent, const char *name)
{
	return in->parent == parent && !strcmp(in->name, name);
}

static struct inode *find_name(struct inodes *t, uint64_t parent, const char *name)
{
	struct inode *in = *name_bucket(t, parent, name);
	while (in && !same_name(in, parent, name))
		in = in->next_name;
	return in;
}

static void link_in(struct inodes *t, struct inode *in)
{
	struct inode **by_ino = ino_bucket(t, in->ino), **by_name = name_bucket(t, in->parent, in->name);
	in->next_ino = *by_ino;
	*by_ino = in;
	in->next_name = *by_name;
	*by_name = in;
}

static void link_out(struct inodes *t, struct inode *in)
{
	struct inode **at = ino_bucket(t, in->ino);
	while (*at != in)
		at = &(*at)->next_ino;
	*at = in->next_ino;
	at = name_bucket(t, in->parent, in->name);
	while (*at != in)
		at = &(*at)->next_name;
	*at = in->next_name;
}

/* Chains keep their order, so that the newest of a name stays first. */
static void rehash(struct inodes *t, size_t buckets)
{
	struct inode **by_ino = calloc(buckets, sizeof(struct inode *));
	struct inode **by_name = calloc(buckets, sizeof(struct inode *));
	if (!by_ino || !by_name) {
		free(by_ino);
		free(by_name);
		return;
	}
	struct inode **old_ino = t->by_ino, **old_name = t->by_name;
	size_t n = old_ino ? t->mask + 1 : 0;
	t->by_ino = by_ino;
	t->by_name = by_name;
	t->mask = buckets - 1;
	for (size_t i = 0; i < n; i++) {
		for (struct inode *in = old_ino[i], *next; in; in = next) {
			next = in->next_ino;
			struct inode **b = ino_bucket(t, in->ino);
			in->next_ino = *b;
			*b = in;
		}
		for (struct inode *in = old_name[i], *next; in; in = next) {
			next = in->next_name;
			struct inode **b = name_bucket(t, in->parent, in->name);
			while (*b && same_name(*b, in->parent, in->name))
				b = &(*b)->next_name;
			in->next_name = *b;
			*b = in;
		}
	}
	free(old_ino);
	free(old_name);
}

static void resize(struct inodes *t)
{
	if (t->count > t->mask)
		rehash(t, (t->mask + 1) * 2);
	else if (t->mask + 1 > BUCKETS_MIN && t->count < (t->mask + 1) / 8)
		rehash(t, (t->mask + 1) / 2);
}

/* ---- life ---- */

/* Outside the lock: releasing a node or an upload may end in other locks. */
static void destroy(struct inode *in)
{
	if (!in)
		return;
	node_unref(in->node);
	node_unref(in->found_in);
	if (in->upload)
		upload_unref(in->upload);
	free(in->name);
	free(in);
}

/* Takes an inode out that nobody needs; the caller destroys it. */
static struct inode *reap(struct inodes *t, struct inode *in)
{
	if (in->refs || in->lookups)
		return NULL;
	link_out(t, in);
	t->count--;
	resize(t);
	return in;
}

static struct inode *create(struct inodes *t, const struct inode_want *want, uint64_t ino)
{
	struct inode *in = calloc(1, sizeof *in);
	char *name = strdup(want->name);
	if (!in || !name) {
		free(in);
		free(name);
		return NULL;
	}
	*in = (struct inode){ .ino = ino, .kind = want->kind, .parent = want->parent, .name = name,
		              .made_at = clock_monotonic() };
	if (want->upload)
		in->upload = upload_ref(want->upload);
	link_in(t, in);
	t->count++;
	resize(t);
	return in;
}

int inodes_new(struct node *root, struct inodes **ret)
{
	struct inodes *t = calloc(1, sizeof *t);
	struct inode *in = NULL;
	if (t) {
		rehash(t, BUCKETS_MIN);
		pthread_mutex_init(&t->lock, NULL);
		in = t->by_ino ? create(t, &(struct inode_want){ .kind = INODE_DIR, .name = "" }, FUSE_ROOT_ID) : NULL;
	}
	if (!in) {
		node_unref(root);
		inodes_free(t);
		return -ENOMEM;
	}
	in->node = root;
	in->lookups = 1; /* for ever: the kernel does not count it */
	*ret = t;
	return 0;
}

void inodes_free(struct inodes *t)
{
	if (!t)
		return;
	for (size_t i = 0; t->by_ino && i <= t->mask; i++)
		for (struct inode *in = t->by_ino[i], *next; in; in = next) {
			next = in->next_ino;
			destroy(in);
		}
	free(t->by_ino);
	free(t->by_name);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

struct inode *inode_get(struct inodes *t, uint64_t ino)
{
	pthread_mutex_lock(&t->lock);
	struct inode *in = find(t, ino);
	if (in)
		in->refs++;
	pthread_mutex_unlock(&t->lock);
	return in;
}

struct inode *inode_ref(struct inodes *t, struct inode *in)
{
	pthread_mutex_lock(&t->lock);
	in->refs++;
	pthread_mutex_unlock(&t->lock);
	return in;
}

void inode_put(struct inodes *t, struct inode *in)
{
	if (!in)
		return;
	pthread_mutex_lock(&t->lock);
	assert(in->refs);
	in->refs--;
	struct inode *dead = reap(t, in);
	pthread_mutex_unlock(&t->lock);
	destroy(dead);
}

void inode_known(struct inodes *t, struct inode *in)
{
	pthread_mutex_lock(&t->lock);
	in->lookups++;
	pthread_mutex_unlock(&t->lock);
}

void inode_forget(struct inodes *t, uint64_t ino, uint64_t n)
{
	pthread_mutex_lock(&t->lock);
	struct inode *in = ino == FUSE_ROOT_ID ? NULL : find(t, ino), *dead = NULL;
	if (in) {
		in->lookups -= MIN(n, in->lookups);
		dead = reap(t, in);
	}
	pthread_mutex_unlock(&t->lock);
	destroy(dead);
}

/* ---- finding ---- */

static uint64_t wanted_ino(const struct inode_want *want)
{
	return want->ino ? ino_of_hash(want->ino) : ino_of_hash(hash_name(want->parent, want->name, 1));
}

/* Whether it is the same thing found again. A written name may have been renamed. */
static bool is_wanted(const struct inode *in, const struct inode_want *want)
{
	if (in->kind != want->kind || in->upload != want->upload)
		return false;
	return in->upload || same_name(in, want->parent, want->name);
}

struct inode *inode_enter(struct inodes *t, const struct inode_want *want)
{
	struct node *unused = want->node;
	pthread_mutex_lock(&t->lock);
	uint64_t ino = wanted_ino(want);
	struct inode *in;
	while ((in = find(t, ino)) && !is_wanted(in, want))
		ino = ino_after(ino);
	if (!in)
		in = create(t, want, ino);
	if (in) {
		in->refs++;
		if (want->node) {
			unused = in->node;
			in->node = want->node;
		}
	}
	pthread_mutex_unlock(&t->lock);
	if (unused)
		node_unref(unused);
	return in;
}

struct node *inode_node(struct inodes *t, struct inode *in)
{
	pthread_mutex_lock(&t->lock);
	struct node *node = in->node ? node_ref(in->node) : NULL;
	pthread_mutex_unlock(&t->lock);
	return node;
}

struct inode *inode_unplanned(struct inodes *t, uint64_t parent, const char *name, struct node *dir)
{
	struct inode_want want = { .kind = INODE_FILE, .parent = parent, .name = name };
	want.ino = inode_unique(t, parent, name);
	struct inode *in = inode_enter(t, &want);
	pthread_mutex_lock(&t->lock);
	if (in && !in->found_in && !in->node)
		in->found_in = TAKE_PTR(dir);
	pthread_mutex_unlock(&t->lock);
	node_unref(dir);
	return in;
}

struct node *inode_plan_in(struct inodes *t, struct inode *in)
{
	pthread_mutex_lock(&t->lock);
	struct node *dir = in->node || !in->found_in ? NULL : node_ref(in->found_in);
	pthread_mutex_unlock(&t->lock);
	return dir;
}

void inode_planned(struct inodes *t, struct inode *in, struct node *node)
{
	pthread_mutex_lock(&t->lock);
	if (!in->node)
		in->node = TAKE_PTR(node);
	pthread_mutex_unlock(&t->lock);
	node_unref(node);
}

struct inode *inode_recent(struct inodes *t, uint64_t parent, const char *name, int64_t max_age)
{
	int64_t since = clock_monotonic() - max_age;
	pthread_mutex_lock(&t->lock);
	struct inode *in = find_name(t, parent, name);
	if (in && in->made_at < since)
		in = NULL;
	if (in)
		in->refs++;
	pthread_mutex_unlock(&t->lock);
	return in;
}

uint64_t inode_number(struct inodes *t, uint64_t parent, const char *name)
{
	pthread_mutex_lock(&t->lock);
	struct inode *in = find_name(t, parent, name);
	uint64_t ino = in ? in->ino : ino_of_hash(hash_name(parent, name, 1));
	pthread_mutex_unlock(&t->lock);
	return ino;
}

bool inode_is_file(struct inodes *t, uint64_t parent, const char *name)
{
	pthread_mutex_lock(&t->lock);
	struct inode *in = find_name(t, parent, name);
	bool file = in && in->kind == INODE_FILE;
	pthread_mutex_unlock(&t->lock);
	return file;
}

uint64_t inode_unique(struct inodes *t, uint64_t parent, const char *name)
{
	pthread_mutex_lock(&t->lock);
	uint64_t ino = ino_of_hash(hash_name(parent, name, 2 + ++t->serial) ^ (uint64_t)clock_now());
	while (find(t, ino))
		ino = ino_after(ino);
	pthread_mutex_unlock(&t->lock);
	return ino;
}

/* ---- sizes ---- */

bool inode_announce(struct inodes *t, struct inode *in, uint64_t *ret)
{
	pthread_mutex_lock(&t->lock);
	bool known = in->size_known;
	*ret = known ? in->size : 0;
	in->announced_empty |= !known;
	pthread_mutex_unlock(&t->lock);
	return known;
}

bool inode_size_known(struct inodes *t, struct inode *in)
{
	pthread_mutex_lock(&t->lock);
	bool known = in->size_known;
	pthread_mutex_unlock(&t->lock);
	return known;
}

bool inode_sized(struct inodes *t, struct inode *in, uint64_t size)
{
	pthread_mutex_lock(&t->lock);
	bool announced = in->announced_empty;
	in->size = size;
	in->size_known = true;
	in->announced_empty = false;
	pthread_mutex_unlock(&t->lock);
	return announced;
}

int64_t inode_stat_wait(struct inodes *t, struct inode *dir, int64_t wait, int64_t now)
{
	pthread_mutex_lock(&t->lock);
	if (!dir->stat_window || now - dir->stat_window >= NS_PER_S)
		dir->stat_window = now;
	int64_t left = dir->stat_window + wait - now;
	pthread_mutex_unlock(&t->lock);
	return MAX(left, 0);
}

size_t inodes_count(struct inodes *t)
{
	pthread_mutex_lock(&t->lock);
	size_t n = t->count;
	pthread_mutex_unlock(&t->lock);
	return n;
}

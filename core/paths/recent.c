/* SPDX-License-Identifier: MIT */
#include <pthread.h>

#include "ingest.h"

#define RECENT_WINDOW (10 * NS_PER_MIN)
#define RECENT_SETS 1024
#define RECENT_WAYS 8

/* A small table: a key lies in one of the eight places of its set; the oldest of them goes. */
struct seen {
	uint64_t key;
	int64_t time;
	bool used;
};

struct recent {
	pthread_mutex_t lock; /* guards v */
	struct seen v[RECENT_SETS][RECENT_WAYS];
};

int recent_new(struct recent **ret)
{
	struct recent *r = calloc(1, sizeof *r);
	if (!r)
		return -ENOMEM;
	pthread_mutex_init(&r->lock, NULL);
	*ret = r;
	return 0;
}

void recent_free(struct recent *r)
{
	if (!r)
		return;
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static bool in_window(int64_t time, int64_t now)
{
	int64_t age;
	return !__builtin_sub_overflow(now, time, &age) && age >= -RECENT_WINDOW && age <= RECENT_WINDOW;
}

/* The key's place, or the one to be given to it. */
static struct seen *place_of(struct seen *set, uint64_t key)
{
	struct seen *oldest = set;
	for (size_t i = 0; i < RECENT_WAYS; i++) {
		if (!set[i].used || set[i].key == key)
			return &set[i];
		if (set[i].time < oldest->time)
			oldest = &set[i];
	}
	return oldest;
}

int64_t recent_time(struct recent *r, uint64_t key, int64_t now)
{
	pthread_mutex_lock(&r->lock);
	struct seen *s = place_of(r->v[key % RECENT_SETS], key);
	if (!s->used || s->key != key || !in_window(s->time, now))
		*s = (struct seen){ key, now, true };
	int64_t time = s->time;
	pthread_mutex_unlock(&r->lock);
	return time;
}

/* SPDX-License-Identifier: MIT */
#include "internal.h"

void quota_init(struct quota *b, size_t max)
{
	*b = (struct quota){ .max = max };
	pthread_mutex_init(&b->lock, NULL);
	pthread_cond_init(&b->freed, NULL);
}

void quota_done(struct quota *b)
{
	pthread_cond_destroy(&b->freed);
	pthread_mutex_destroy(&b->lock);
}

bool quota_try(struct quota *b, size_t n)
{
	pthread_mutex_lock(&b->lock);
	bool fits = n <= b->max - b->used;
	if (fits)
		b->used += n;
	pthread_mutex_unlock(&b->lock);
	return fits;
}

void quota_wait(struct quota *b, size_t n)
{
	pthread_mutex_lock(&b->lock);
	while (n > b->max - b->used)
		pthread_cond_wait(&b->freed, &b->lock);
	b->used += n;
	pthread_mutex_unlock(&b->lock);
}

void quota_give(struct quota *b, size_t n)
{
	pthread_mutex_lock(&b->lock);
	b->used -= n;
	pthread_cond_broadcast(&b->freed);
	pthread_mutex_unlock(&b->lock);
}

size_t quota_used(struct quota *b)
{
	pthread_mutex_lock(&b->lock);
	size_t used = b->used;
	pthread_mutex_unlock(&b->lock);
	return used;
}

/* SPDX-License-Identifier: MIT */
#include <pthread.h>
#include <string.h>

#include "../base/clock.h"
#include "s3_keys.h"

#define PAUSE_NS (2 * NS_PER_S) /* between attempts to renew, and at random up to as much more */

struct s3_keyring {
	const struct s3_settings *settings;
	pthread_mutex_t lock;
	pthread_cond_t renewed;
	struct s3_keys *keys;  /* under lock */
	bool renewing;         /* under lock: one thread looks for new ones */
	int64_t not_before;    /* under lock: the next attempt, on the monotonic clock */
	struct error why;      /* under lock: of the last attempt */
};

int s3_keyring_new(const struct s3_settings *s, struct s3_keyring **ret, struct error *err)
{
	struct s3_keyring *r = calloc(1, sizeof *r);
	if (!r)
		return -ENOMEM;
	r->settings = s;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->renewed, NULL);
	int e = s3_keys_find(s, &r->keys, err);
	if (e < 0) {
		s3_keyring_free(r);
		return e;
	}
	*ret = r;
	return 0;
}

void s3_keyring_free(struct s3_keyring *r)
{
	if (!r)
		return;
	s3_keys_unref(r->keys);
	pthread_cond_destroy(&r->renewed);
	pthread_mutex_destroy(&r->lock);
	free(r);
}

static bool is_over(int64_t t)
{
	return t && clock_now() >= t;
}

/* Under the lock, which is let go meanwhile. */
static int renew(struct s3_keyring *r)
{
	struct s3_keys *fresh = NULL;
	struct error why = { 0 };
	r->renewing = true;
	pthread_mutex_unlock(&r->lock);
	int e = s3_keys_find(r->settings, &fresh, &why);
	pthread_mutex_lock(&r->lock);
	r->renewing = false;
	r->why = why;
	r->why.code = e;
	if (e == 0) {
		s3_keys_unref(r->keys);
		r->keys = fresh;
	}
	/* Also those that came may be old already, where somebody's clock is wrong. */
	bool good = e == 0 && !is_over(fresh->renew_at);
	r->not_before = good ? 0 : clock_monotonic() + PAUSE_NS + clock_monotonic() % PAUSE_NS;
	pthread_cond_broadcast(&r->renewed);
	return e;
}

static bool may_renew(const struct s3_keyring *r)
{
	return !r->renewing && clock_monotonic() >= r->not_before;
}

int s3_keyring_get(struct s3_keyring *r, struct s3_keys **ret, struct error *err)
{
	int e = 0;
	pthread_mutex_lock(&r->lock);
	while (r->renewing && is_over(r->keys->expires))
		pthread_cond_wait(&r->renewed, &r->lock);
	if (is_over(r->keys->renew_at) && may_renew(r))
		renew(r);
	if (is_over(r->keys->expires) && r->why.code < 0)
		e = error_set(err, r->why.code, "the credentials of %s have expired, and new ones did not come: %s",
		              r->keys->source, error_text(&r->why, r->why.code));
	else
		*ret = s3_keys_ref(r->keys);
	pthread_mutex_unlock(&r->lock);
	return e;
}

bool s3_keyring_replace(struct s3_keyring *r, const struct s3_keys *used)
{
	pthread_mutex_lock(&r->lock);
	while (r->renewing)
		pthread_cond_wait(&r->renewed, &r->lock);
	if (r->keys == used && may_renew(r))
		renew(r);
	bool others = r->keys != used;
	pthread_mutex_unlock(&r->lock);
	return others;
}

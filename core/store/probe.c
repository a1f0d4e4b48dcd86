/* SPDX-License-Identifier: MIT */
#include "store.h"

#include <pthread.h>
#include <string.h>

#include "../base/ulid.h"

/*
 * One after the other would show a store that ignores the precondition, not one that checks and writes in two steps: so
 * all contestants of a round begin at once.
 */

#define CONTESTANTS 16
#define ROUNDS 5

struct round {
	struct store *store;
	char key[700];
	pthread_rwlock_t gate; /* held for writing until all stand at it */
};

struct contestant {
	struct round *round;
	pthread_t thread;
	char says[16];
	int result;
	struct error err;
};

static void *contend(void *arg)
{
	struct contestant *c = arg;
	pthread_rwlock_rdlock(&c->round->gate);
	c->result = store_put_if_absent(c->round->store, c->round->key,
	                                (struct slice){ (const uint8_t *)c->says, strlen(c->says) }, &c->err);
	pthread_rwlock_unlock(&c->round->gate);
	return NULL;
}

/* The first failure that is no answer to the question. */
static int failure(const struct contestant *all, struct error *err)
{
	for (size_t i = 0; i < CONTESTANTS; i++)
		if (all[i].result < 0 && all[i].result != ERR_STORE_EXISTS) {
			if (err)
				*err = all[i].err;
			return all[i].result;
		}
	return 0;
}

/* Whether there was one winner, and its content is what stays. */
static int judge(struct round *r, const struct contestant *all, bool *ret, struct error *err)
{
	_buf_ struct buf there = BUF_INIT(64);
	const struct contestant *winner = NULL;
	size_t winners = 0;
	for (size_t i = 0; i < CONTESTANTS; i++)
		if (all[i].result == 0) {
			winner = &all[i];
			winners++;
		}
	*ret = false;
	if (winners != 1)
		return 0;
	int e = store_get(r->store, r->key, 64, &there, err);
	*ret = e == 0 && there.len == strlen(winner->says) && memcmp(there.data, winner->says, there.len) == 0;
	return e;
}

static int run_round(struct round *r, bool *ret, struct error *err)
{
	struct contestant all[CONTESTANTS] = { 0 };
	int e = 0;
	size_t n = 0;
	pthread_rwlock_init(&r->gate, NULL);
	pthread_rwlock_wrlock(&r->gate);
	for (; n < CONTESTANTS && e == 0; n += e == 0) {
		all[n].round = r;
		snprintf(all[n].says, sizeof all[n].says, "contestant %zu", n);
		e = -pthread_create(&all[n].thread, NULL, contend, &all[n]);
	}
	pthread_rwlock_unlock(&r->gate);
	while (n)
		pthread_join(all[--n].thread, NULL);
	pthread_rwlock_destroy(&r->gate);
	if (e < 0)
		return error_set(err, e, "no threads to probe the store with: %s", strerrordesc_np(-e));
	e = failure(all, err);
	return e < 0 ? e : judge(r, all, ret, err);
}

int store_probe_exclusive(struct store *s, const char *prefix, bool *ret, struct error *err)
{
	char id[ULID_LEN + 1];
	struct ulid u;
	bool exclusive = true;
	int e = ulid_new(&u);
	ulid_format(&u, id);
	for (int i = 0; i < ROUNDS && e == 0 && exclusive; i++) {
		struct round r = { .store = s };
		snprintf(r.key, sizeof r.key, "%s%s-%d", prefix, id, i);
		e = run_round(&r, &exclusive, err);
		int removed = store_remove(s, r.key, e ? NULL : err);
		e = e ?: removed;
	}
	if (e == ERR_STORE_UNSUPPORTED)
		exclusive = false;
	else if (e < 0)
		return e;
	*ret = exclusive;
	return 0;
}

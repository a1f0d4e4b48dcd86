/* SPDX-License-Identifier: MIT */
#include "format.h"

#define LABELS_MAX 1024

int decoded_init(struct decoded *d, size_t max_bytes)
{
	*d = (struct decoded){ .service = STR("") };
	return profile_init(&d->profile, max_bytes);
}

void decoded_done(struct decoded *d)
{
	profile_done(&d->profile);
	VEC_DONE(&d->labels);
}

void decoded_reset(struct decoded *d)
{
	profile_reset(&d->profile);
	d->service = STR("");
	d->labels.n = 0;
}

static int copy(struct decoded *d, struct str s, struct str *ret)
{
	char *text = arena_strndup(&d->profile.arena, s.s, s.len);
	if (!text)
		return -ENOMEM;
	*ret = (struct str){ text, s.len };
	return 0;
}

static struct label *find_label(struct decoded *d, struct str key)
{
	for (size_t i = 0; i < d->labels.n; i++)
		if (str_eq(d->labels.v[i].key, key))
			return &d->labels.v[i];
	return NULL;
}

int decoded_label(struct decoded *d, struct str key, struct str value)
{
	struct label *l = find_label(d, key);
	if (!value.len) {
		if (l)
			*l = d->labels.v[--d->labels.n];
		return 0;
	}
	if (l)
		return copy(d, value, &l->value);
	if (d->labels.n >= LABELS_MAX)
		return ERR_FORMAT_LIMIT;
	struct label new;
	if (copy(d, key, &new.key) || copy(d, value, &new.value) || !(l = VEC_PUSH(&d->labels)))
		return -ENOMEM;
	*l = new;
	return 0;
}

int decoded_service(struct decoded *d, struct str service)
{
	return copy(d, service, &d->service);
}

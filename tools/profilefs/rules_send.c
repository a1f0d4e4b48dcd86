/* SPDX-License-Identifier: MIT */

/*
 * Each rule has a place: the time before which every step is done with. A step is sent once, when it ended `delay` ago;
 * the place moves as the server acknowledges, and where there is a state file, is written there (a new file, renamed)
 * each time. So who is killed resends at most one request's samples, and sends everything else once.
 *
 * All rules go forward together, an hour at a time: a server that takes nothing older than an hour before the newest
 * takes the history of all.
 *
 * A profile that comes later than that changes steps that were sent. With `late`, steps of so long before the place are
 * computed again with each new one; of what they have, what was not sent as it is now goes too. What was sent is kept
 * in memory: the first time it is all sent again.
 */

#include "rules_send.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#include "../../core/base/hash.h"
#include "../../core/base/idset.h"
#include "../../core/paths/recording.h"
#include "../../core/wire/json.h"
#include "../../core/wire/jsonw.h"

#define STATE_MAX ((size_t)4 << 20)
#define WINDOW NS_PER_HOUR
#define SENT_MAX ((size_t)4 << 20)
#define WAIT_MAX (15 * NS_PER_S) /* for rules that somebody sets */
#define WAIT_MIN NS_PER_S

/* Values of steps that may still change. */
struct sent {
	VEC(struct sent_value {
		uint64_t key; /* of series and time */
		double value;
	}) v;
	struct idset ids;
};

struct place {
	char *rule;
	int64_t at, first; /* nothing before `first` is sent */
	struct sent sent;
};

struct sending {
	struct session *s;
	const struct rules_send *o;
	struct remote *remote;
	VEC(struct place) places;
	struct recordings rules;
	struct place *moving; /* of the rule that is sent */
	struct sent now;      /* what its steps have now */
};

static void sent_done(struct sent *s)
{
	VEC_DONE(&s->v);
	idset_done(&s->ids);
}

static void sending_done(struct sending *d)
{
	for (size_t i = 0; i < d->places.n; i++) {
		free(d->places.v[i].rule);
		sent_done(&d->places.v[i].sent);
	}
	VEC_DONE(&d->places);
	sent_done(&d->now);
	recordings_done(&d->rules);
	remote_free(d->remote);
}

#define _sending_ _cleanup_(sending_done)

/* ---- the state file ---- */

static struct place *place_of(struct sending *d, struct str rule)
{
	for (size_t i = 0; i < d->places.n; i++)
		if (str_eq(str_of(d->places.v[i].rule), rule))
			return &d->places.v[i];
	struct place *to = VEC_PUSH(&d->places);
	if (!to)
		return NULL;
	*to = (struct place){ .rule = strndup(rule.s, rule.len), .at = d->o->since, .first = d->o->since };
	if (to->rule)
		return to;
	d->places.n--;
	return NULL;
}

static int take_state(struct sending *d, const struct json *json)
{
	uint32_t root = json_root(json), rules = json_get(json, root, "rules");
	char text[TIME_LEN];
	if (json_kind(json, rules) != JSON_OBJECT)
		return -EINVAL;
	if (!json_is(json, json_get(json, root, "url"), d->o->remote.url)) {
		complain(d->o->state, "it is the state of sending to another address");
		return -EINVAL;
	}
	for (uint32_t k = json_first_key(json, rules); k; k = json_next_key(json, rules, k)) {
		struct str at = json_str(json, k + 1);
		struct place *p = place_of(d, json_str(json, k));
		snprintf(text, sizeof text, "%.*s", (int)MIN(at.len, sizeof text - 1), at.s);
		if (!p)
			return -ENOMEM;
		if (!time_parse(text, &p->at))
			return -EINVAL;
		p->first = TIME_MIN;
	}
	return 0;
}

/* 0 also where there is no file yet. */
static int read_state(struct sending *d)
{
	_buf_ struct buf text = BUF_INIT(STATE_MAX);
	_arena_ struct arena arena = ARENA_INIT(STATE_MAX);
	_json_ struct json json = { 0 };
	struct json_limits limits = { .max_bytes = STATE_MAX };
	int e = read_text(d->o->state, &text);
	if (e == -ENOENT)
		return 0;
	if (!e)
		e = json_read(&json, buf_slice(&text), &arena, &limits, NULL);
	if (!e)
		e = take_state(d, &json);
	return e ? fail(d->o->state, e, NULL) : 0;
}

static int write_file(const char *path, const struct buf *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd < 0)
		return -errno;
	ssize_t n = write(fd, text->data, text->len);
	int e = n == (ssize_t)text->len && !fsync(fd) ? 0 : n < 0 || !errno ? -EIO : -errno;
	return close(fd) && !e ? -errno : e;
}

static int put_state(struct sending *d)
{
	_buf_ struct buf text = BUF_INIT(STATE_MAX), path = BUF_INIT(1 << 16);
	struct jsonw w = JSONW(&text);
	char at[TIME_LEN];
	jsonw_object(&w);
	jsonw_key(&w, "url");
	jsonw_str(&w, d->o->remote.url);
	jsonw_key(&w, "rules");
	jsonw_object(&w);
	for (size_t i = 0; i < d->places.n; i++) {
		jsonw_key(&w, d->places.v[i].rule);
		jsonw_str(&w, time_format_rfc3339(d->places.v[i].at, at));
	}
	jsonw_end_object(&w);
	jsonw_end_object(&w);
	buf_putc(&text, '\n');
	buf_printf(&path, "%s.new", d->o->state);
	buf_putc(&path, '\0');
	int e = buf_err(&text) ? buf_err(&text) : buf_err(&path);
	if (!e)
		e = write_file((const char *)path.data, &text);
	return !e && rename((const char *)path.data, d->o->state) ? -errno : e;
}

/* ---- what was sent ---- */

static bool sent_has(const struct sent *s, uint64_t key, double value)
{
	for (struct idset_probe p = idset_probe(&s->ids, key); idset_next(&s->ids, &p);)
		if (s->v.v[p.id].key == key)
			return !memcmp(&s->v.v[p.id].value, &value, sizeof value);
	return false;
}

static int sent_add(struct sent *s, uint64_t key, double value)
{
	struct sent_value *to = s->v.n < SENT_MAX ? VEC_PUSH(&s->v) : NULL;
	if (!to)
		return s->v.n < SENT_MAX ? -ENOMEM : ERR_LIMIT;
	*to = (struct sent_value){ key, value };
	return idset_add(&s->ids, key, (uint32_t)(s->v.n - 1));
}

static void swap(struct sent *a, struct sent *b)
{
	struct sent c = *a;
	*a = *b;
	*b = c;
}

static uint64_t series_key(const struct metric_series *s)
{
	uint64_t key = hash_bytes(s->name.s, s->name.len);
	for (size_t i = 0; i < s->n_labels; i++) {
		key = hash_mix(key, hash_bytes(s->labels[i].key.s, s->labels[i].key.len));
		key = hash_mix(key, hash_bytes(s->labels[i].value.s, s->labels[i].value.len));
	}
	return key;
}

/* As remote_gather(), but for what was sent as it is. */
static int gather_changed(void *ctx, const struct metric_series *s)
{
	struct sending *d = ctx;
	_free_ struct metric_sample *fresh = calloc(s->n_samples, sizeof *fresh);
	struct metric_series rest = *s;
	uint64_t series = series_key(s);
	int e = fresh ? 0 : -ENOMEM;
	rest.samples = fresh;
	rest.n_samples = 0;
	for (size_t i = 0; !e && i < s->n_samples; i++) {
		uint64_t key = hash_mix(series, (uint64_t)s->samples[i].time);
		if (!sent_has(&d->moving->sent, key, s->samples[i].value))
			fresh[rest.n_samples++] = s->samples[i];
		e = sent_add(&d->now, key, s->samples[i].value);
	}
	return e || !rest.n_samples ? e : remote_gather(d->remote, &rest);
}

/* ---- one rule ---- */

static int on_taken(void *ctx, int64_t before)
{
	struct sending *d = ctx;
	d->moving->at = MAX(d->moving->at, before);
	int e = d->o->state ? put_state(d) : 0;
	if (e)
		fail(d->o->state, e, NULL);
	return e;
}

static int64_t round_up(int64_t t, int64_t step)
{
	return -time_floor(-t, step);
}

static int send_steps(struct sending *d, const struct recording *r, int64_t from, int64_t to, struct error *err)
{
	int e = d->o->late ? recording_series(d->s->tree, r, from, to, NULL, gather_changed, d, err)
	                   : recording_series(d->s->tree, r, from, to, NULL, remote_gather, d->remote, err);
	if (e) {
		remote_drop(d->remote);
		return e;
	}
	e = remote_flush(d->remote, on_taken, d, err);
	return e ? e : on_taken(d, to);
}

/* From its place until `until`; in parts where that is too much at once. */
static int send_rule(struct sending *d, const struct recording *r, int64_t until, struct error *err)
{
	d->moving = place_of(d, str_of(r->name));
	if (!d->moving)
		return -ENOMEM;
	bool due = round_up(d->moving->at, r->step) < until;
	if (!due && (d->o->watch || !d->o->late))
		return 0;
	int64_t from = round_up(MAX(d->moving->at - d->o->late, d->moving->first), r->step);
	int64_t steps = (until - from) / r->step;
	int e = 0;
	d->now.v.n = 0;
	idset_clear(&d->now.ids);
	while (!e && from < until) {
		int64_t to = MIN(from + steps * r->step, until);
		e = send_steps(d, r, from, to, err);
		if (e == ERR_LIMIT && steps > 1) {
			steps /= 2;
			e = 0;
		} else {
			from = to;
		}
	}
	if (!e && d->o->late)
		swap(&d->now, &d->moving->sent);
	return e;
}

/* ---- all of them ---- */

static int read_rules_of_store(struct sending *d, struct error *err)
{
	_buf_ struct buf text = BUF_INIT(RECORDING_MAX_BYTES + 1);
	int e = recordings_text(d->s->db, &text, err);
	recordings_done(&d->rules);
	return e ? e : recordings_parse(buf_slice(&text), &d->rules, err);
}

/* Not of the store or the server. */
static bool is_of_rule(int e)
{
	return e == ERR_PATH || e == ERR_LIMIT || e == ERR_LIMIT_MEMORY;
}

static int64_t until_of(const struct sending *d, const struct recording *r)
{
	return time_floor(clock_now() - d->o->delay, r->step);
}

/* Moves places to the first data, and finds the first of them. */
static int begin(struct sending *d, int64_t *ret, struct error *err)
{
	int64_t first = TIME_MAX;
	*ret = TIME_MAX;
	int e = recording_first(d->s->tree, &first, err);
	for (size_t i = 0; !e && i < d->rules.n && first < TIME_MAX; i++) {
		struct place *p = place_of(d, str_of(d->rules.v[i].name));
		if (!p)
			return -ENOMEM;
		p->at = MAX(p->at, first);
		*ret = MIN(*ret, p->at);
	}
	return e;
}

/* Until `to`, or until what has ended. */
static int send_window(struct sending *d, int64_t to, bool *failed, struct error *err)
{
	for (size_t i = 0; i < d->rules.n; i++) {
		const struct recording *r = &d->rules.v[i];
		int e = failed[i] ? 0 : send_rule(d, r, MIN(time_floor(to, r->step), until_of(d, r)), err);
		failed[i] |= is_of_rule(e);
		if (is_of_rule(e))
			complain(r->name, "%s", error_text(err, e));
		else if (e)
			return e;
	}
	return 0;
}

static int send_all(struct sending *d, bool *ret_failed, struct error *err)
{
	int64_t at = TIME_MAX;
	int e = read_rules_of_store(d, err);
	if (!e)
		e = begin(d, &at, err);
	_free_ bool *failed = calloc(d->rules.n + 1, sizeof *failed);
	if (!failed)
		return -ENOMEM;
	for (; !e && at < clock_now(); at = time_floor(at, WINDOW) + WINDOW)
		e = send_window(d, time_floor(at, WINDOW) + WINDOW, failed, err);
	for (size_t i = 0; i < d->rules.n; i++)
		*ret_failed |= failed[i];
	return e;
}

static void say_counts(const struct sending *d)
{
	const struct remote_counts *c = remote_counts(d->remote);
	printf("%" PRIu64 " samples sent, %" PRIu64 " refused, in %" PRIu64 " requests, %" PRIu64 " of them again\n",
	       c->samples, c->refused, c->requests, c->retries);
	fflush(stdout);
	if (c->refused)
		complain(d->o->remote.url, "%" PRIu64 " samples were refused, the first with %s", c->refused,
		         c->why);
}

/* Until the next step of any rule is due. */
static void wait_for_step(const struct sending *d)
{
	int64_t now = clock_now(), wait = WAIT_MAX;
	for (size_t i = 0; i < d->rules.n; i++) {
		int64_t step = d->rules.v[i].step;
		wait = MIN(wait, time_floor(now - d->o->delay, step) + step + d->o->delay - now);
	}
	wait = MAX(wait, WAIT_MIN);
	nanosleep(&(struct timespec){ wait / NS_PER_S, wait % NS_PER_S }, NULL);
}

/* The server's word ends it; what the store has trouble with may pass. */
static int send_for_ever(struct sending *d)
{
	uint64_t refused = 0;
	for (;;) {
		struct error err = { 0 };
		bool failed = false;
		int e = send_all(d, &failed, &err);
		if (e == -EACCES || e == -EINVAL)
			return fail(d->o->remote.url, e, &err);
		if (e)
			fail("rules", e, &err);
		if (remote_counts(d->remote)->refused > refused)
			say_counts(d);
		refused = remote_counts(d->remote)->refused;
		wait_for_step(d);
	}
}

static int send_once(struct sending *d)
{
	struct error err = { 0 };
	bool failed = false;
	int e = send_all(d, &failed, &err);
	say_counts(d);
	if (e)
		return fail(d->o->remote.url, e, &err);
	return failed || remote_counts(d->remote)->refused ? EXIT_FAILED : EXIT_DONE;
}

int rules_send(struct session *s, const struct rules_send *o)
{
	_sending_ struct sending d = { .s = s, .o = o };
	struct error err = { 0 };
	if (o->state && read_state(&d))
		return EXIT_FAILED;
	int r = o->state ? put_state(&d) : 0; /* before anything is sent: what cannot be kept would be sent again */
	if (r)
		return fail(o->state, r, NULL);
	int e = remote_new(&o->remote, &d.remote, &err);
	if (e)
		return fail(o->remote.url, e, &err);
	return o->watch ? send_for_ever(&d) : send_once(&d);
}

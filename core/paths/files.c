/* SPDX-License-Identifier: MIT */
#include <assert.h>
#include <string.h>
#include <time.h>

#include "tree.h"

/*
 * The bytes of files. Content never changes under one inode, so everything here is keyed by it:
 *
 * - the cache holds what was rendered, the least recently used leaving first when its bytes exceed the limit;
 *   what is in use lives on by its references;
 * - a flight is a rendering under way: who comes second waits for it. Where the first gives up (its own
 *   cancel token), the next one who waits begins again;
 * - sizes are remembered longer than the bytes;
 * - a slow name keeps its inode, though its selection goes on changing, while it is being rendered and for
 *   twice the time that this took: else a steady stream of profiles would let nobody read it.
 */

#define BUCKETS 1024
#define SIZES 4096
#define SLOW 256
#define SLOW_NS (250 * NS_PER_MS)
#define WAIT_NS (20 * NS_PER_MS)
#define RENDER_MAX ((size_t)512 << 20)
#define KEY_MAX ((size_t)1 << 20)

struct cached {
	struct content content; /* first: what users hold */
	atomic_uint refs;
	uint64_t ino;
	struct cached *chain;       /* of its bucket */
	struct cached *newer, *older;
};

struct flight {
	uint64_t ino;
	struct flight *next;
	unsigned users; /* who renders and who waits */
	bool done;
	int result;
	struct error err;
	struct content *content; /* a reference */
};

struct size_known {
	uint64_t ino, size;
};

struct slow {
	uint64_t name; /* hash of selection and rendering; 0: free */
	uint64_t ino;
	uint8_t print[PRINT_LEN];
	int64_t mtime;
	int64_t until; /* clock_monotonic(); INT64_MAX while it is rendered */
};

struct files {
	pthread_mutex_t lock; /* guards all below */
	pthread_cond_t landed;
	size_t bytes, max_bytes, count;
	struct cached *buckets[BUCKETS];
	struct cached *newest, *oldest;
	struct flight *flights;
	struct size_known sizes[SIZES];
	struct slow slow[SLOW];
	struct files_counts counts;
};

/* ---- contents ---- */

static struct cached *cached_of(struct content *c)
{
	return (struct cached *)c;
}

int content_new(struct buf *bytes, struct content **ret)
{
	struct cached *c = calloc(1, sizeof *c);
	if (!c)
		return -ENOMEM;
	atomic_init(&c->refs, 1);
	c->content.data = buf_take(bytes, &c->content.len);
	*ret = &c->content;
	return 0;
}

struct content *content_ref(struct content *c)
{
	atomic_fetch_add_explicit(&cached_of(c)->refs, 1, memory_order_relaxed);
	return c;
}

void content_unref(struct content *c)
{
	if (!c || atomic_fetch_sub_explicit(&cached_of(c)->refs, 1, memory_order_acq_rel) != 1)
		return;
	free((uint8_t *)c->data);
	free(cached_of(c));
}

/* ---- the cache; under the lock ---- */

static size_t cached_cost(const struct cached *c)
{
	return sizeof *c + c->content.len;
}

static struct cached **cache_slot(struct files *f, uint64_t ino)
{
	struct cached **at = &f->buckets[ino % BUCKETS];
	while (*at && (*at)->ino != ino)
		at = &(*at)->chain;
	return at;
}

static void lru_remove(struct files *f, struct cached *c)
{
	*(c->newer ? &c->newer->older : &f->newest) = c->older;
	*(c->older ? &c->older->newer : &f->oldest) = c->newer;
}

static void lru_insert(struct files *f, struct cached *c)
{
	c->newer = NULL;
	c->older = f->newest;
	*(f->newest ? &f->newest->newer : &f->oldest) = c;
	f->newest = c;
}

static struct content *cache_take(struct files *f, uint64_t ino)
{
	struct cached *c = *cache_slot(f, ino);
	if (!c)
		return NULL;
	lru_remove(f, c);
	lru_insert(f, c);
	return content_ref(&c->content);
}

static void cache_evict(struct files *f)
{
	struct cached *c = f->oldest;
	*cache_slot(f, c->ino) = c->chain;
	lru_remove(f, c);
	f->bytes -= cached_cost(c);
	f->count--;
	content_unref(&c->content);
}

static void cache_put(struct files *f, uint64_t ino, struct content *content)
{
	struct cached *c = cached_of(content);
	if (*cache_slot(f, ino) || cached_cost(c) > f->max_bytes)
		return;
	c->ino = ino;
	c->chain = f->buckets[ino % BUCKETS];
	f->buckets[ino % BUCKETS] = c;
	lru_insert(f, cached_of(content_ref(content)));
	f->bytes += cached_cost(c);
	f->count++;
	while (f->bytes > f->max_bytes)
		cache_evict(f);
}

static void size_put(struct files *f, uint64_t ino, uint64_t size)
{
	f->sizes[ino % SIZES] = (struct size_known){ ino, size };
}

bool files_size(struct tree *t, uint64_t ino, uint64_t *ret)
{
	struct files *f = t->files;
	pthread_mutex_lock(&f->lock);
	struct size_known *s = &f->sizes[ino % SIZES];
	struct cached *c = *cache_slot(f, ino);
	bool known = c || s->ino == ino;
	if (known)
		*ret = c ? c->content.len : s->size;
	pthread_mutex_unlock(&f->lock);
	return known;
}

int files_new(size_t max_bytes, struct files **ret)
{
	struct files *f = calloc(1, sizeof *f);
	pthread_condattr_t attr;
	if (!f)
		return -ENOMEM;
	f->max_bytes = max_bytes;
	pthread_mutex_init(&f->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&f->landed, &attr);
	pthread_condattr_destroy(&attr);
	*ret = f;
	return 0;
}

void files_free(struct files *f)
{
	if (!f)
		return;
	assert(!f->flights);
	while (f->oldest)
		cache_evict(f);
	pthread_cond_destroy(&f->landed);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void files_counts(struct tree *t, struct files_counts *ret)
{
	pthread_mutex_lock(&t->files->lock);
	*ret = t->files->counts;
	ret->cached_bytes = t->files->bytes;
	ret->cached_files = t->files->count;
	pthread_mutex_unlock(&t->files->lock);
}

/* ---- planning a file ---- */

/* What a rendering's name stands for; under no lock. */
static int name_of(const struct node *file, struct buf *key, uint64_t *ret)
{
	selection_key(node_selection(file), key);
	struct str selection = { (const char *)key->data, key->len };
	*ret = node_ino_of(STR("name"), selection, str_of(file->rendering->name));
	return buf_err(key);
}

/* Gives the file the inode that its slow name has; false where it has none. */
static bool take_slow(struct files *f, uint64_t name, struct node *file)
{
	pthread_mutex_lock(&f->lock);
	const struct slow *s = &f->slow[name % SLOW];
	bool use = s->name == name && s->until > clock_monotonic() &&
	           (s->until == INT64_MAX || *cache_slot(f, s->ino));
	if (use) {
		file->ino = s->ino;
		file->mtime = s->mtime;
		memcpy(file->print, s->print, PRINT_LEN);
	}
	pthread_mutex_unlock(&f->lock);
	return use;
}

static int64_t query_mtime(struct query *q, int64_t none)
{
	const struct query_info *info = query_info(q);
	struct query *base = query_baseline(q);
	int64_t t = info->profiles ? info->last : none;
	if (base && query_info(base)->profiles)
		t = MAX(t, query_info(base)->last);
	return t;
}

int file_plan(struct node *file, const struct cancel *cancel, struct error *err)
{
	_buf_ struct buf key = BUF_INIT(KEY_MAX);
	_cleanup_(query_unrefp) struct query *q = NULL;
	uint64_t name;
	int e = name_of(file, &key, &name);
	if (e)
		return e;
	file->blocks = 1;
	if (take_slow(file->tree->files, name, file))
		return 0;
	e = plan_get(file->tree, node_selection(file), cancel, &q, err);
	if (e)
		return e;
	plan_print(q, file->print);
	file->mtime = query_mtime(q, file->parent->mtime);
	struct str selection = { (const char *)key.data, key.len }, print = { (const char *)file->print, PRINT_LEN };
	file->ino = node_ino_of(selection, str_of(file->rendering->name), print);
	return 0;
}

/* ---- rendering ---- */

static void slow_begin(struct node *file, uint64_t name)
{
	struct files *f = file->tree->files;
	struct slow *s = &f->slow[name % SLOW];
	pthread_mutex_lock(&f->lock);
	*s = (struct slow){ .name = name, .ino = file->ino, .mtime = file->mtime, .until = INT64_MAX };
	memcpy(s->print, file->print, PRINT_LEN);
	pthread_mutex_unlock(&f->lock);
}

/* Under the lock. */
static void slow_end(struct files *f, uint64_t name, uint64_t ino, int result, int64_t took)
{
	struct slow *s = &f->slow[name % SLOW];
	if (s->name != name || s->ino != ino)
		return;
	if (result || took < SLOW_NS)
		*s = (struct slow){ 0 };
	else
		s->until = clock_monotonic() + 2 * took;
}

/* The directory's plan, where it is there, knows each of its profiles. */
static int render_profile(struct node *file, const struct cancel *cancel, struct buf *out, struct error *err)
{
	_cleanup_(query_unrefp) struct query *q = NULL;
	int e = plan_peek(file->tree, node_selection(file->parent), &q, err);
	if (e == ERR_PATH_ABSENT)
		e = plan_once(file->tree, file->sel, cancel, &q, err);
	e = e ? e : render_original(q, &file->id, cancel, out, err);
	return e == ERR_PATH_ABSENT ? error_set(err, ERR_STALE, "the profile is gone") : e;
}

void node_hold(struct node *file)
{
	struct files *f = file->tree->files;
	struct query *q = NULL;
	if (file->kind == NODE_FILE && file->file == FILE_RENDERING)
		q = plan_kept(file->tree, node_selection(file), file->print);
	pthread_mutex_lock(&f->lock);
	file->holds++;
	if (!file->held)
		file->held = TAKE_PTR(q);
	pthread_mutex_unlock(&f->lock);
	query_unref(q);
}

void node_release(struct node *file)
{
	struct files *f = file->tree->files;
	pthread_mutex_lock(&f->lock);
	struct query *q = --file->holds ? NULL : TAKE_PTR(file->held);
	pthread_mutex_unlock(&f->lock);
	query_unref(q);
}

static struct query *query_held(struct node *file)
{
	struct files *f = file->tree->files;
	pthread_mutex_lock(&f->lock);
	struct query *q = file->held ? query_ref(file->held) : NULL;
	pthread_mutex_unlock(&f->lock);
	return q;
}

static int render_once(struct node *file, bool fresh, const struct cancel *cancel, struct buf *out,
                       struct error *err)
{
	if (file->file == FILE_ORIGINAL)
		return render_profile(file, cancel, out, err);
	_cleanup_(query_unrefp) struct query *q = fresh ? NULL : query_held(file);
	int e = q ? 0 : plan_get_print(file->tree, node_selection(file), file->print, fresh, cancel, &q, err);
	e = e ? e : file->rendering->render(q, cancel, out, err);
	return e ? e : buf_err(out);
}

static int render_bytes(struct node *file, const struct cancel *cancel, struct content **ret,
                        struct error *err)
{
	_buf_ struct buf out = BUF_INIT(RENDER_MAX);
	int e = render_once(file, false, cancel, &out, err);
	/* What a kept query would read may be gone from the store: once more on a new view. */
	if (plan_is_stale(e)) {
		buf_reset(&out);
		e = render_once(file, true, cancel, &out, err);
	}
	return e ? e : content_new(&out, ret);
}

/* The flight's reference goes; under the lock. */
static void flight_leave(struct flight *fl)
{
	if (--fl->users)
		return;
	content_unref(fl->content);
	free(fl);
}

static void flight_land(struct files *f, struct flight *fl)
{
	struct flight **at = &f->flights;
	while (*at != fl)
		at = &(*at)->next;
	*at = fl->next;
	fl->done = true;
	pthread_cond_broadcast(&f->landed);
}

static bool given_up(int e)
{
	return e == ERR_CANCELLED || e == -ETIMEDOUT;
}

/* Renders for all who wait. */
static int flight_lead(struct node *file, struct flight *fl, const struct cancel *cancel,
                       struct content **ret)
{
	struct files *f = file->tree->files;
	_buf_ struct buf key = BUF_INIT(KEY_MAX);
	uint64_t name = 0;
	if (file->file == FILE_RENDERING && !name_of(file, &key, &name))
		slow_begin(file, name);
	struct content *content = NULL;
	int64_t begin = clock_monotonic();
	int e = render_bytes(file, cancel, &content, &fl->err);
	int64_t took = clock_monotonic() - begin;
	size_t len = content ? content->len : 0;

	pthread_mutex_lock(&f->lock);
	fl->result = e;
	fl->content = content;
	f->counts.renders++;
	f->counts.failures += e && !given_up(e);
	f->counts.cancelled += given_up(e);
	if (content) {
		cache_put(f, file->ino, content);
		size_put(f, file->ino, len);
		*ret = content_ref(content);
	}
	if (name)
		slow_end(f, name, file->ino, e, took);
	flight_land(f, fl);
	pthread_mutex_unlock(&f->lock);
	control_rendered(file->tree, file, took, len, e);
	return e;
}

static void wait_a_little(struct files *f)
{
	int64_t until = clock_monotonic() + WAIT_NS;
	struct timespec ts = { .tv_sec = until / NS_PER_S, .tv_nsec = until % NS_PER_S };
	pthread_cond_timedwait(&f->landed, &f->lock, &ts);
}

/* Waits under the lock. 0 also where the one who rendered gave up: *ret is NULL then. */
static int flight_follow(struct files *f, struct flight *fl, const struct cancel *cancel,
                         struct content **ret, struct error *err)
{
	int e = 0;
	while (!fl->done && !(e = cancel_check(cancel)))
		wait_a_little(f);
	if (e || given_up(fl->result))
		return e;
	if (fl->result && err)
		*err = fl->err;
	if (!fl->result)
		*ret = content_ref(fl->content);
	return fl->result;
}

static struct flight *flight_find(struct files *f, uint64_t ino)
{
	struct flight *fl = f->flights;
	while (fl && fl->ino != ino)
		fl = fl->next;
	return fl;
}

/* A new flight, led by the caller; under the lock. */
static struct flight *flight_new(struct files *f, uint64_t ino)
{
	struct flight *fl = calloc(1, sizeof *fl);
	if (!fl)
		return NULL;
	fl->ino = ino;
	fl->users = 1;
	fl->next = f->flights;
	f->flights = fl;
	return fl;
}

static int render_alone(struct node *file, struct flight *fl, const struct cancel *cancel,
                        struct content **ret, struct error *err)
{
	struct files *f = file->tree->files;
	int e = flight_lead(file, fl, cancel, ret);
	if (e && err)
		*err = fl->err;
	pthread_mutex_lock(&f->lock);
	flight_leave(fl);
	pthread_mutex_unlock(&f->lock);
	return e;
}

/* One attempt: *ret, an error, or neither where it has to be tried again. */
static int render_try(struct node *file, const struct cancel *cancel, struct content **ret, struct error *err)
{
	struct files *f = file->tree->files;
	int e = 0;
	pthread_mutex_lock(&f->lock);
	*ret = cache_take(f, file->ino);
	f->counts.hits += *ret != NULL;
	struct flight *fl = *ret ? NULL : flight_find(f, file->ino);
	if (fl) {
		fl->users++;
		e = flight_follow(f, fl, cancel, ret, err);
		flight_leave(fl);
	} else if (!*ret) {
		fl = flight_new(f, file->ino);
		pthread_mutex_unlock(&f->lock);
		return fl ? render_alone(file, fl, cancel, ret, err) : -ENOMEM;
	}
	pthread_mutex_unlock(&f->lock);
	return e;
}

int tree_render(struct tree *t, struct node *file, const struct cancel *cancel, struct content **ret,
                struct error *err)
{
	if (file->kind != NODE_FILE)
		return error_set(err, file->kind == NODE_DIR ? -EISDIR : -EINVAL, "'%.100s' is no file",
		                 file->name);
	struct content *c = file->content ? content_ref(file->content) : NULL;
	int e = 0;
	while (!c && !e)
		e = render_try(file, cancel, &c, err);
	if (!e)
		*ret = c;
	return e;
}

struct content *node_content(struct tree *t, struct node *file)
{
	if (file->kind != NODE_FILE)
		return NULL;
	if (file->content)
		return content_ref(file->content);
	pthread_mutex_lock(&t->files->lock);
	struct content *c = cache_take(t->files, file->ino);
	pthread_mutex_unlock(&t->files->lock);
	return c;
}

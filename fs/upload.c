/* SPDX-License-Identifier: MIT */

/*
 * A written file's way into the database.
 *
 *     write    spooled; what cannot become a profile is refused at once
 *     flush    of the process that opened it: everything since the last boundary is validated and taken in, durably, or
 *              the close fails with the reason. Of another process (a child of a shell's group), while the opener
 *              has it open: taken in if it is whole, else left for the opener. Of a process that a signal is
 *              ending: never taken in.
 *     fsync    as a flush of the opener
 *     release  the last attempt at what was left; its error reaches only the log and /.profilefs/errors
 *     rename   of a temporary name to a visible one: as a flush, before the name changes
 *
 * Bytes up to `taken` are in the database and cannot be written again; a truncation to nothing starts anew. A
 * temporary name is spooled and never taken in. Nothing taken in twice: a flush without new bytes does
 * nothing.
 */

#include "upload.h"

#include <assert.h>
#include <string.h>

#include "../core/db/debuginfo.h"
#include "../core/paths/recording.h"
#include "upload_state.h"
#include "writer.h"

#define UPLOAD_MAX ((uint64_t)256 << 20) /* bytes between two boundaries */
#define JUDGE_BYTES 4096                 /* enough to judge a format by */
#define PATH_SHOWN 1024
#define STALE_TRIES 3

/* ---- turns ---- */

bool upload_take_turn(struct upload *up)
{
	pthread_mutex_lock(&up->table->lock);
	bool mine = !up->busy;
	up->busy = true;
	pthread_mutex_unlock(&up->table->lock);
	return mine;
}

void upload_end_turn(struct upload *up)
{
	struct uploads *us = up->table;
	pthread_mutex_lock(&us->lock);
	struct call *c = up->queue;
	if (c) {
		up->queue = c->next;
		if (!up->queue)
			up->queue_last = &up->queue;
	} else {
		up->busy = false;
		pthread_cond_broadcast(&us->free_strand);
	}
	pthread_mutex_unlock(&us->lock);
	if (c)
		call_submit(c, us->fs->writes);
}

/* Runs c with the turn, now or later, on the pool. */
static void upload_queue(struct upload *up, struct call *c)
{
	struct uploads *us = up->table;
	c->next = NULL;
	pthread_mutex_lock(&us->lock);
	bool mine = !up->busy;
	up->busy = true;
	if (!mine) {
		*up->queue_last = c;
		up->queue_last = &c->next;
	}
	pthread_mutex_unlock(&us->lock);
	if (mine)
		call_submit(c, us->fs->writes);
}

/* One queued operation. The turn ends when it has run. */
struct upload_call {
	struct call call;
	struct upload *up;
	struct upload_open open;
	pid_t pid;
	uint64_t offset; /* or the size to set */
	size_t n;
	uint8_t *data;
	void (*reply)(struct fs *fs, fuse_req_t req, struct upload *up, void *arg);
	void *reply_arg;
	struct upload_place to;
	char *to_name;
	unsigned flags;
};

static void upload_call_done(struct call *c)
{
	struct upload_call *uc = (struct upload_call *)c;
	free(uc->data);
	free(uc->to_name);
	if (uc->to.folder)
		upload_unref(uc->to.folder);
	if (uc->to.node)
		node_unref(uc->to.node);
	upload_unref(uc->up);
}

static struct upload_call *upload_call_new(struct upload *up, fuse_req_t req, void (*run)(struct call *c))
{
	struct upload_call *uc = call_new(up->table->fs, req, sizeof *uc, CALL_PATIENT, 0);
	if (!uc)
		return NULL;
	uc->call.run = run;
	uc->call.done = upload_call_done;
	uc->up = upload_ref(up);
	uc->pid = fuse_req_ctx(req)->pid;
	return uc;
}

/* Ends an operation that ran on the pool: the turn first, so that the next one may begin. */
static void upload_call_end(struct upload_call *uc, int e)
{
	upload_end_turn(uc->up);
	call_reply(&uc->call, e);
	call_unref(&uc->call);
}

/* ---- messages ---- */

static void complain(struct upload *up, pid_t pid, int e, const char *sentence)
{
	struct fs *fs = up->table->fs;
	char path[PATH_SHOWN];
	upload_path(up, path, sizeof path);
	tree_report(fs->tree, path, (int)pid, e, sentence);
	log_msg(fs->log, LOG_LEVEL_WARNING, "%s: %s (process %d)", path, sentence, (int)pid);
}

static void set_size(struct upload *up)
{
	pthread_mutex_lock(&up->table->lock);
	up->size = up->file.size;
	clock_gettime(CLOCK_REALTIME, &up->mtime);
	up->mtime_set = false;
	pthread_mutex_unlock(&up->table->lock);
}

/* ---- writing, with the turn ---- */

/* What may be judged so far, where that is more than before. */
static struct slice judge_head(struct upload *up, const void *data, size_t n, uint64_t offset, uint8_t buf[JUDGE_BYTES])
{
	size_t want = (size_t)MIN(up->prefix, (uint64_t)JUDGE_BYTES);
	if (up->judged >= want)
		return (struct slice){ 0 };
	if (offset == up->taken && n >= want)
		return (struct slice){ data, want };
	ssize_t got = spool_read(&up->file, buf, want, up->taken);
	return (struct slice){ buf, got < 0 ? 0 : (size_t)got };
}

static int judge(struct upload *up, const void *data, size_t n, uint64_t offset, struct error *err)
{
	uint8_t buf[JUDGE_BYTES];
	struct slice head = judge_head(up, data, n, offset, buf);
	if (!head.len)
		return 0;
	up->judged = head.len;
	return up->target.takes == TAKES_PROFILES ? format_judge(head, false, err) : 0;
}

static bool is_temporary(struct upload *up)
{
	pthread_mutex_lock(&up->table->lock);
	bool temporary = upload_temporary(up);
	pthread_mutex_unlock(&up->table->lock);
	return temporary;
}

static uint64_t size_max(const struct upload *up)
{
	return up->target.takes == TAKES_RULES ? RECORDING_MAX_BYTES : UPLOAD_MAX;
}

static int write_bounds(struct upload *up, size_t n, uint64_t offset, struct error *err)
{
	uint64_t end;
	if (__builtin_add_overflow(offset, n, &end) || end - MIN(end, up->taken) > size_max(up))
		return error_set(err, -EFBIG, "a file may hold %llu MiB", (unsigned long long)(size_max(up) >> 20));
	if (offset < up->taken)
		return error_set(err, -EINVAL, "the first %llu bytes are in the database already: "
		                               "append, or write a new file", (unsigned long long)up->taken);
	return 0;
}

static int spool(struct upload *up, const void *data, size_t n, uint64_t offset, struct error *err)
{
	struct spool *s = &up->table->spool;
	int e = spool_write(s, &up->file, data, n, offset);
	bool room = e == -ENOSPC ? uploads_make_room(up->table, n) : e == -EMFILE && uploads_drop_one(up->table);
	if (room)
		e = spool_write(s, &up->file, data, n, offset);
	return e ? error_set(err, e, "cannot spool what is written: %s", strerror(err_errno(e))) : 0;
}

static int upload_put(struct upload *up, const void *data, size_t n, uint64_t offset, struct error *err)
{
	if (atomic_load(&up->table->fs->stopping))
		return ERR_SHUTDOWN;
	int e = write_bounds(up, n, offset, err);
	if (!e)
		e = spool(up, data, n, offset, err);
	if (e)
		return e;
	up->dirty = true;
	up->refused = 0;
	if (offset == up->taken)
		up->broken = 0;
	if (offset <= up->taken + up->prefix)
		up->prefix = MAX(up->prefix, offset + n - up->taken);
	set_size(up);
	return is_temporary(up) ? 0 : judge(up, data, n, offset, err);
}

static void write_and_reply(struct upload *up, fuse_req_t req, struct call *c, const void *data, size_t n,
                            uint64_t offset)
{
	struct error err = { 0 };
	pid_t pid = fuse_req_ctx(req)->pid;
	int e = upload_put(up, data, n, offset, &err);
	if (e) {
		up->broken = e;
		complain(up, pid, e, error_text(&err, e));
	}
	upload_end_turn(up);
	if (c && !call_claim(c))
		return;
	if (e)
		fuse_reply_err(req, err_errno(e));
	else
		fuse_reply_write(req, n);
}

static void run_write(struct call *c)
{
	struct upload_call *uc = (struct upload_call *)c;
	write_and_reply(uc->up, c->req, c, uc->data, uc->n, uc->offset);
	call_unref(c);
}

void upload_write(struct upload *up, fuse_req_t req, const void *data, size_t n, uint64_t offset)
{
	if (upload_take_turn(up)) {
		write_and_reply(up, req, NULL, data, n, offset);
		return;
	}
	struct upload_call *uc = upload_call_new(up, req, run_write);
	if (!uc)
		return;
	uc->data = malloc(n ? n : 1);
	if (!uc->data) {
		call_reply(&uc->call, -ENOMEM);
		call_unref(&uc->call);
		return;
	}
	memcpy(uc->data, data, n);
	uc->n = n;
	uc->offset = offset;
	upload_queue(up, &uc->call);
}

/* ---- reading back ---- */

static void read_and_reply(struct upload *up, fuse_req_t req, struct call *c, size_t n, uint64_t offset)
{
	uint64_t left = up->file.size - MIN(offset, up->file.size);
	n = (size_t)MIN((uint64_t)n, left);
	_free_ uint8_t *data = malloc(n ? n : 1);
	ssize_t got = data ? spool_read(&up->file, data, n, offset) : -ENOMEM;
	upload_end_turn(up);
	if (c && !call_claim(c))
		return;
	if (got < 0)
		fuse_reply_err(req, err_errno((int)got));
	else
		fuse_reply_buf(req, (const char *)data, (size_t)got);
}

static void run_read(struct call *c)
{
	struct upload_call *uc = (struct upload_call *)c;
	read_and_reply(uc->up, c->req, c, uc->n, uc->offset);
	call_unref(c);
}

void upload_read(struct upload *up, fuse_req_t req, size_t n, uint64_t offset)
{
	if (upload_take_turn(up)) {
		read_and_reply(up, req, NULL, n, offset);
		return;
	}
	struct upload_call *uc = upload_call_new(up, req, run_read);
	if (!uc)
		return;
	uc->n = n;
	uc->offset = offset;
	upload_queue(up, &uc->call);
}

/* ---- taking in, with the turn ---- */

static int64_t writer_mtime(struct upload *up)
{
	pthread_mutex_lock(&up->table->lock);
	struct timespec t = up->mtime;
	bool set = up->mtime_set;
	pthread_mutex_unlock(&up->table->lock);
	int64_t ns;
	bool fits = !__builtin_mul_overflow((int64_t)t.tv_sec, NS_PER_S, &ns);
	fits = fits && !__builtin_add_overflow(ns, t.tv_nsec, &ns);
	return set && fits ? ns : 0;
}

/* A view that went away under the search for duplicates says nothing of the file: once more, on a new one. */
static int ingest(struct upload *up, struct slice bytes, const struct ingest_options *opts, struct error *err)
{
	int e = ERR_STALE;
	for (int i = 0; i < STALE_TRIES && e == ERR_STALE; i++) {
		struct ingest_result result = { 0 };
		e = ingest_bytes(up->table->fs->db, bytes, opts, &result, err);
	}
	return e == ERR_STALE ? -EIO : e;
}

/* An ELF file is taken whole: sections lie anywhere in it. */
static int take_debuginfo(struct upload *up, struct error *err)
{
	struct debuginfo info;
	return up->file.size ? debuginfo_add(up->table->fs->db, up->file.fd, &info, err) : 0;
}

static int take_profiles(struct upload *up, const char *name, struct error *err)
{
	_spool_map_ struct spool_map map;
	int e = spool_map(&up->file, up->taken, &map);
	if (e)
		return error_set(err, e, "cannot read the spooled bytes: %s", strerror(err_errno(e)));
	struct ingest_options opts = { .target = &up->target, .name = name, .mtime = writer_mtime(up),
		                       .recent = up->table->recent };
	return map.bytes.len ? ingest(up, map.bytes, &opts, err) : 0;
}

static int take_rules(struct upload *up, struct error *err)
{
	_spool_map_ struct spool_map map;
	int e = spool_map(&up->file, 0, &map);
	if (e)
		return error_set(err, e, "cannot read the spooled bytes: %s", strerror(err_errno(e)));
	struct str text = { (const char *)map.bytes.data, map.bytes.len };
	return text.len ? recordings_set(up->table->fs->db, text, err) : 0;
}

static int take(struct upload *up, const char *name, struct error *err)
{
	switch (up->target.takes) {
	case TAKES_DEBUGINFO:
		return take_debuginfo(up, err);
	case TAKES_RULES:
		return take_rules(up, err);
	default:
		return take_profiles(up, name, err);
	}
}

/* Validates everything behind `taken` and writes it to the database; durable on 0. */
static int take_in(struct upload *up, const char *name, struct error *err)
{
	int e = take(up, name, err);
	if (e) {
		up->refused = err_errno(e) == EINVAL || err_errno(e) == EFBIG ? e : 0;
		return e;
	}
	up->taken = up->target.takes == TAKES_RULES ? 0 : up->file.size; /* rules may be written over */
	up->prefix = up->judged = 0;
	up->dirty = false;
	fs_count(&up->table->fs->counts.files_written);
	return 0;
}

/* As take_in(), under its own name, with a complaint where it fails. */
static int take_in_or_complain(struct upload *up, pid_t pid)
{
	char path[PATH_SHOWN];
	upload_path(up, path, sizeof path);
	struct error err = { 0 };
	if (up->broken || up->refused)
		return up->broken ? up->broken : up->refused; /* said before */
	int e = take_in(up, strrchr(path, '/') + 1, &err);
	if (e) {
		fs_count(&up->table->fs->counts.files_refused);
		complain(up, pid, e, error_text(&err, e));
	}
	return e;
}

/* A child's close: whole profiles now, anything else is the opener's business. */
static void take_in_if_whole(struct upload *up)
{
	char path[PATH_SHOWN];
	upload_path(up, path, sizeof path);
	if (!up->broken && take_in(up, strrchr(path, '/') + 1, NULL))
		up->refused = 0; /* not said yet */
}

/* Whether there is anything to take in under this name. */
static bool wants_in(struct upload *up)
{
	pthread_mutex_lock(&up->table->lock);
	bool visible = up->linked && !upload_temporary(up) && !up->killed;
	pthread_mutex_unlock(&up->table->lock);
	return up->dirty && visible;
}

/* Until somebody opens it for writing again. */
static void set_killed(struct upload *up, bool killed)
{
	pthread_mutex_lock(&up->table->lock);
	up->killed = killed;
	pthread_mutex_unlock(&up->table->lock);
}

/* Whether this close comes from another process than opened the file, which itself goes on with it. */
static bool is_heir(struct upload *up, const struct upload_open *open, pid_t pid)
{
	char path[PATH_SHOWN];
	pid_t process = !open->process || open->process == pid ? 0 : writer_process(pid);
	if (!process || process == open->process)
		return false;
	upload_path(up, path, sizeof path);
	return writer_holds(open->process, path);
}

static int flush(struct upload *up, const struct upload_open *open, pid_t pid)
{
	if (!wants_in(up))
		return 0;
	if (writer_was_killed(pid)) {
		set_killed(up, true);
		complain(up, pid, -EINTR, "its writer was killed: nothing of it was taken");
		return 0;
	}
	if (is_heir(up, open, pid)) {
		take_in_if_whole(up);
		return 0;
	}
	return take_in_or_complain(up, pid);
}

static void run_flush(struct call *c)
{
	struct upload_call *uc = (struct upload_call *)c;
	upload_call_end(uc, flush(uc->up, &uc->open, uc->pid));
}

void upload_flush(struct upload *up, fuse_req_t req, const struct upload_open *open)
{
	if (!open->writes) {
		fuse_reply_err(req, 0);
		return;
	}
	if (upload_take_turn(up)) {
		bool nothing = !wants_in(up);
		upload_end_turn(up);
		if (nothing) {
			fuse_reply_err(req, 0);
			return;
		}
	}
	struct upload_call *uc = upload_call_new(up, req, run_flush);
	if (!uc)
		return;
	uc->open = *open;
	upload_queue(up, &uc->call);
}

static void run_fsync(struct call *c)
{
	struct upload_call *uc = (struct upload_call *)c;
	upload_call_end(uc, wants_in(uc->up) ? take_in_or_complain(uc->up, uc->pid) : 0);
}

void upload_fsync(struct upload *up, fuse_req_t req)
{
	struct upload_call *uc = upload_call_new(up, req, run_fsync);
	if (uc)
		upload_queue(up, &uc->call);
}

/* ---- open and release ---- */

static void count_open(struct upload *up, bool writes, int by)
{
	up->opens += (unsigned)by;
	up->writers += writes ? (unsigned)by : 0;
}

int upload_opened(struct upload *up, fuse_req_t req, bool writes, struct upload_open *ret)
{
	*ret = (struct upload_open){ .process = writes ? writer_process(fuse_req_ctx(req)->pid) : 0, .writes = writes };
	pthread_mutex_lock(&up->table->lock);
	bool gone = up->gone;
	if (!gone) {
		upload_not_idle(up);
		count_open(up, writes, 1);
		up->killed &= !writes;
	}
	pthread_mutex_unlock(&up->table->lock);
	return gone ? -ESTALE : 0;
}

void upload_dropped(struct upload *up, const struct upload_open *open)
{
	pthread_mutex_lock(&up->table->lock);
	count_open(up, open->writes, -1);
	if (!up->opens)
		upload_idle(up);
	pthread_mutex_unlock(&up->table->lock);
	uploads_trim(up->table);
}

static void run_release(struct call *c)
{
	struct upload_call *uc = (struct upload_call *)c;
	struct upload *up = uc->up;
	if (wants_in(up) && up->file.size > up->taken)
		take_in_or_complain(up, uc->pid);
	upload_dropped(up, &uc->open);
	upload_call_end(uc, 0);
}

void upload_closed(struct upload *up, fuse_req_t req, const struct upload_open *open)
{
	struct upload_call *uc = open->writes ? upload_call_new(up, req, run_release) : NULL;
	if (uc) {
		uc->open = *open;
		upload_queue(up, &uc->call);
		return;
	}
	upload_dropped(up, open);
	if (!open->writes)
		fuse_reply_err(req, 0);
}

/* ---- size ---- */

static int resize(struct upload *up, uint64_t size, struct error *err)
{
	if (size == up->file.size && size)
		return 0;
	if (size && size < up->taken)
		return error_set(err, -EINVAL, "the first %llu bytes are in the database already",
		                 (unsigned long long)up->taken);
	int e = size > up->taken && size - up->taken > size_max(up) ? -EFBIG : 0;
	if (!e)
		e = spool_truncate(&up->table->spool, &up->file, size);
	if (e)
		return error_set(err, e, "cannot be made %llu bytes long: %s", (unsigned long long)size,
		                 strerror(err_errno(e)));
	if (!size) {
		up->taken = 0;
		set_killed(up, false);
	}
	up->prefix = size ? MIN(up->prefix, size - up->taken) : 0;
	up->judged = MIN(up->judged, up->prefix);
	up->dirty &= size > up->taken;
	up->refused = 0;
	if (size <= up->taken)
		up->broken = 0;
	set_size(up);
	return 0;
}

static void run_resize(struct call *c)
{
	struct upload_call *uc = (struct upload_call *)c;
	struct error err = { 0 };
	int e = resize(uc->up, uc->offset, &err);
	if (e)
		complain(uc->up, uc->pid, e, error_text(&err, e));
	upload_end_turn(uc->up);
	if (e)
		call_reply(c, e);
	else if (call_claim(c))
		uc->reply(c->fs, c->req, uc->up, uc->reply_arg);
	call_unref(c);
}

void upload_resize(struct upload *up, fuse_req_t req, uint64_t size,
                   void (*reply)(struct fs *fs, fuse_req_t req, struct upload *up, void *arg), void *arg)
{
	struct upload_call *uc = upload_call_new(up, req, run_resize);
	if (!uc)
		return;
	uc->offset = size;
	uc->reply = reply;
	uc->reply_arg = arg;
	upload_queue(up, &uc->call);
}

/* ---- rename ---- */

static bool becomes_visible(struct upload *up, const struct upload_place *to)
{
	pthread_mutex_lock(&up->table->lock);
	bool was = upload_temporary(up) && !up->writers && !up->killed;
	pthread_mutex_unlock(&up->table->lock);
	return was && !to->folder && !upload_name_waits(up, to->name);
}

static int rename_to(struct upload *up, const struct upload_place *to, bool no_replace, struct error *err)
{
	int e = uploads_move(up->table, up, to, no_replace, true, err);
	if (!e && up->kind == UPLOAD_FILE && up->dirty && becomes_visible(up, to)) {
		e = up->broken ? up->broken : take_in(up, to->name, err);
		if (e)
			fs_count(&up->table->fs->counts.files_refused);
	}
	if (!e)
		e = uploads_move(up->table, up, to, no_replace, false, err);
	if (!e && !target_takes_name(&up->target, to->name))
		up->dirty = true; /* a backup of rules is set once more, should it get their name again */
	return e;
}

static void run_rename(struct call *c)
{
	struct upload_call *uc = (struct upload_call *)c;
	struct error err = { 0 };
	int e = rename_to(uc->up, &uc->to, uc->flags, &err);
	if (e && e != -EXDEV && e != -EEXIST)
		complain(uc->up, uc->pid, e, error_text(&err, e));
	upload_call_end(uc, e);
}

void upload_rename(struct upload *up, fuse_req_t req, const struct upload_place *to, unsigned flags)
{
	struct upload_call *uc = upload_call_new(up, req, run_rename);
	if (!uc)
		return;
	uc->flags = flags;
	uc->to_name = strdup(to->name);
	uc->to = (struct upload_place){ .dir = to->dir, .name = uc->to_name };
	uc->to.node = to->node ? node_ref(to->node) : NULL;
	uc->to.folder = to->folder ? upload_ref(to->folder) : NULL;
	if (!uc->to_name) {
		call_reply(&uc->call, -ENOMEM);
		call_unref(&uc->call);
		return;
	}
	upload_queue(up, &uc->call);
}

/* ---- the end ---- */

/* The next open file that may hold something new, after `from` buckets. New reference. */
static struct upload *next_open(struct uploads *us, size_t *bucket)
{
	struct upload *found = NULL;
	pthread_mutex_lock(&us->lock);
	for (; !found && *bucket < UPLOAD_BUCKETS; ++*bucket)
		for (struct upload *up = us->names[*bucket]; up && !found; up = up->next_name)
			if (up->writers && !up->gone) {
				found = upload_ref(up);
				up->gone = true; /* visited; nothing new is opened any more */
				--*bucket;
			}
	pthread_mutex_unlock(&us->lock);
	return found;
}

void uploads_finish(struct uploads *us)
{
	size_t bucket = 0;
	for (struct upload *up; (up = next_open(us, &bucket)); upload_unref(up)) {
		pthread_mutex_lock(&us->lock);
		while (up->busy)
			pthread_cond_wait(&us->free_strand, &us->lock);
		up->busy = true;
		pthread_mutex_unlock(&us->lock);
		if (wants_in(up))
			take_in_or_complain(up, 0);
		upload_end_turn(up);
	}
}

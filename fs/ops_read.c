/* SPDX-License-Identifier: MIT */

/*
 * Looking and reading. What the kernel waits for is found on fs->names; what takes long is rendered by
 * render_jobs.c. No FUSE thread blocks.
 *
 * A stat (LOOKUP, GETATTR) of a file whose size is not known begins its rendering and waits a little, once
 * per directory and second; then the answer is size 0, which holds for no time. An OPEN waits until it is
 * rendered.
 */

#include "ops.h"

#include <fcntl.h>
#include <string.h>

#include "render_jobs.h"

/* ---- stat: LOOKUP and GETATTR ---- */

struct stat_call {
	struct call call;
	struct inode *dir; /* LOOKUP: where; GETATTR: the directory above, or NULL */
	struct inode *in;  /* what is answered */
	char *name;        /* LOOKUP */
	pid_t thread;
};

static void stat_done(struct call *c)
{
	struct stat_call *sc = (struct stat_call *)c;
	inode_put(c->fs->inodes, sc->dir);
	inode_put(c->fs->inodes, sc->in);
	free(sc->name);
}

/* The call is claimed. */
static void stat_answer(struct stat_call *sc)
{
	if (sc->name)
		fs_reply_entry(sc->call.fs, sc->call.req, sc->in);
	else
		fs_reply_attr(sc->call.fs, sc->call.req, sc->in);
}

static void stat_expire(struct call *c)
{
	render_leave(c);
	stat_answer((struct stat_call *)c);
}

static void stat_ready(struct call *c, const struct rendered *result)
{
	if (call_claim(c))
		stat_answer((struct stat_call *)c);
}

/* Whether the answer needs no rendering: it is there, or this is no file. */
static bool stat_known(struct fs *fs, struct inode *in)
{
	if (in->kind != INODE_FILE)
		return true;
	if (inode_size_known(fs->inodes, in))
		return true;
	_cleanup_(node_unrefp) struct node *node = inode_node(fs->inodes, in);
	struct node_attr attr = { 0 };
	if (node)
		node_attr(node, &attr);
	if (!node || attr.size_known)
		return node;
	struct content *content = node_content(fs->tree, node);
	if (!content)
		return false;
	fs_push_size(fs, in, content);
	content_unref(content);
	return true;
}

static int64_t stat_patience(struct fs *fs, struct stat_call *sc)
{
	int64_t wait = fs->opts->stat_wait_ns;
	if (wait == FS_STAT_WAIT_EVER)
		return wait;
	struct inode *dir = sc->dir ? sc->dir : sc->in;
	return inode_stat_wait(fs->inodes, dir, MIN(wait, CALL_DEADLINE), clock_monotonic());
}

/* Answers for sc->in, now or when it is rendered; takes the caller's reference to the call. */
static void stat_finish(struct stat_call *sc)
{
	struct call *c = &sc->call;
	struct fs *fs = c->fs;
	if (call_answered(c)) {
		call_unref(c);
		return;
	}
	bool known = stat_known(fs, sc->in);
	int64_t wait = known ? 0 : stat_patience(fs, sc);
	if (!known && !wait)
		render_begin(fs->renders, sc->in, sc->thread);
	if (wait) {
		call_set_deadline(c, wait == FS_STAT_WAIT_EVER ? 0 : wait, stat_expire);
		if (!render_wait_stat(fs->renders, sc->in, c, sc->thread, stat_ready)) {
			call_unref(c);
			return;
		}
	}
	if (call_claim(c))
		stat_answer(sc);
	call_unref(c);
}

/* ---- LOOKUP ---- */

static void lookup_failed(struct stat_call *sc, struct node *dir, int e, const struct error *err)
{
	struct fs *fs = sc->call.fs;
	if (err_errno(e) != ENOENT && e != ERR_CANCELLED && e != -ENAMETOOLONG)
		fs_complain(fs, dir, sc->name, sc->thread, e, error_text(err, e));
	call_reply(&sc->call, e);
	call_unref(&sc->call);
}

/* Takes the node. */
static int enter(struct stat_call *sc, struct node *dir, struct node *node, struct error *err)
{
	struct fs *fs = sc->call.fs;
	struct node_attr attr;
	node_attr(node, &attr);
	if (!attr.editable) {
		sc->in = fs_enter(fs, sc->dir->ino, sc->name, node);
		return sc->in ? 0 : -ENOMEM;
	}
	_upload_ struct upload *up = NULL;
	_cleanup_(content_unrefp) struct content *c = node_content(fs->tree, node);
	struct upload_place place = { .dir = sc->dir->ino, .node = dir, .name = sc->name };
	struct stat st = { .st_mode = 0644 & ~fs->opts->umask, .st_uid = fs->uid, .st_gid = fs->gid };
	int e = upload_of_text(fs->uploads, &place, &st, (struct slice){ c->data, c->len }, &up, err);
	node_unref(node);
	if (!e && !(sc->in = fs_enter_upload(fs, sc->dir->ino, sc->name, up)))
		e = -ENOMEM;
	return e;
}

static void run_lookup(struct call *c)
{
	struct stat_call *sc = (struct stat_call *)c;
	struct fs *fs = c->fs;
	_cleanup_(node_unrefp) struct node *dir = inode_node(fs->inodes, sc->dir);
	struct node *found = NULL;
	struct error err = { 0 };
	int e = call_answered(c) ? ERR_CANCELLED : tree_lookup(fs->tree, dir, sc->name, &c->cancel, &found, &err);
	if (e) {
		lookup_failed(sc, dir, e, &err);
		return;
	}
	e = enter(sc, dir, found, &err);
	if (e)
		lookup_failed(sc, dir, e, &err);
	else
		stat_finish(sc);
}

/*
 * The store is slow: a rendering is answered without a plan, which its open waits for; of anything else we
 * cannot say whether it is there. The work goes on, so that the next lookup finds it done.
 */
static void lookup_expire(struct call *c)
{
	struct stat_call *sc = (struct stat_call *)c;
	struct fs *fs = c->fs;
	struct inode *in = NULL;
	if (rendering_find(sc->name))
		in = inode_unplanned(fs->inodes, sc->dir->ino, sc->name, inode_node(fs->inodes, sc->dir));
	fs_count(&fs->counts.timeouts);
	if (in)
		fs_reply_entry(fs, c->req, in);
	else
		fuse_reply_err(c->req, ETIMEDOUT);
	inode_put(fs->inodes, in);
}

/* A name that somebody wrote. */
static bool lookup_upload(struct fs *fs, fuse_req_t req, struct inode *dir, const char *name)
{
	_upload_ struct upload *up = upload_find(fs->uploads, dir->ino, name);
	struct inode *in = up && !upload_follows_store(up) ? fs_enter_upload(fs, dir->ino, name, up) : NULL;
	if (in)
		fs_reply_entry(fs, req, in);
	else if (dir->kind == INODE_UPLOAD)
		fuse_reply_err(req, ENOENT);
	inode_put(fs->inodes, in);
	return in || dir->kind == INODE_UPLOAD;
}

/*
 * The counts in /.profilefs/ change at each look, and a new content is a new inode; but programs that copy
 * look twice and want to meet the same file. So a name there keeps its inode for a second; `errors`, which
 * people read at once, does not, nor what can be written.
 */
static bool lookup_counts(struct fs *fs, fuse_req_t req, struct inode *dir, const char *name)
{
	if (dir->parent != FUSE_ROOT_ID || strcmp(dir->name, ".profilefs") || !strcmp(name, "errors"))
		return false;
	struct inode *in = inode_recent(fs->inodes, dir->ino, name, NS_PER_S);
	bool made = in && in->kind != INODE_UPLOAD;
	if (made)
		fs_reply_entry(fs, req, in);
	inode_put(fs->inodes, in);
	return made;
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	fs_count(&fs->counts.lookups);
	struct inode *dir = inode_get(fs->inodes, parent);
	if (!dir || lookup_upload(fs, req, dir, name) || lookup_counts(fs, req, dir, name)) {
		if (!dir)
			fuse_reply_err(req, ESTALE);
		inode_put(fs->inodes, dir);
		return;
	}
	struct stat_call *sc = call_new(fs, req, sizeof *sc, 0, CALL_DEADLINE);
	if (!sc) {
		inode_put(fs->inodes, dir);
		return;
	}
	sc->call.done = stat_done;
	sc->call.run = run_lookup;
	sc->call.expire = lookup_expire;
	sc->thread = fuse_req_ctx(req)->pid;
	sc->dir = dir;
	sc->name = strdup(name);
	if (!sc->name) {
		call_reply(&sc->call, -ENOMEM);
		call_unref(&sc->call);
	} else {
		call_submit(&sc->call, fs->names);
	}
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	inode_forget(fs_of(req)->inodes, ino, n);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		inode_forget(fs_of(req)->inodes, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

/* ---- GETATTR ---- */

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct inode *in = inode_get(fs->inodes, ino);
	if (!in || stat_known(fs, in)) {
		if (in)
			fs_reply_attr(fs, req, in);
		else
			fuse_reply_err(req, ESTALE);
		inode_put(fs->inodes, in);
		return;
	}
	struct stat_call *sc = call_new(fs, req, sizeof *sc, 0, CALL_DEADLINE);
	if (!sc) {
		inode_put(fs->inodes, in);
		return;
	}
	sc->call.done = stat_done;
	sc->thread = fuse_req_ctx(req)->pid;
	sc->in = in;
	sc->dir = inode_get(fs->inodes, in->parent);
	stat_finish(sc);
}

/* ---- READLINK ---- */

struct link_call {
	struct call call;
	struct inode *in;
};

static void link_done(struct call *c)
{
	inode_put(c->fs->inodes, ((struct link_call *)c)->in);
}

static void run_readlink(struct call *c)
{
	_cleanup_(node_unrefp) struct node *node = inode_node(c->fs->inodes, ((struct link_call *)c)->in);
	_buf_ struct buf target = BUF_INIT(1 << 16);
	int e = node_link(node, &target);
	buf_putc(&target, 0);
	if (!e)
		e = buf_err(&target);
	if (e)
		call_reply(c, e);
	else if (call_claim(c))
		fuse_reply_readlink(c->req, (const char *)target.data);
	call_unref(c);
}

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_of(req);
	struct inode *in = inode_get(fs->inodes, ino);
	const char *written = in && in->kind == INODE_UPLOAD ? upload_link(in->upload) : NULL;
	if (!in || in->kind != INODE_LINK) {
		if (written)
			fuse_reply_readlink(req, written);
		else
			fuse_reply_err(req, in ? EINVAL : ESTALE);
		inode_put(fs->inodes, in);
		return;
	}
	struct link_call *lc = call_new(fs, req, sizeof *lc, 0, CALL_DEADLINE);
	if (!lc) {
		inode_put(fs->inodes, in);
		return;
	}
	lc->call.done = link_done;
	lc->call.run = run_readlink;
	lc->in = in;
	call_submit(&lc->call, fs->names);
}

/* ---- OPEN, READ ---- */

struct open_call {
	struct call call;
	struct inode *in;
	struct fuse_file_info fi;
};

static void open_done(struct call *c)
{
	inode_put(c->fs->inodes, ((struct open_call *)c)->in);
}

/* Takes neither. */
static void open_answer(struct fs *fs, fuse_req_t req, struct inode *in, struct fuse_file_info *fi,
                        struct content *content)
{
	struct handle *h = handle_new(fs, HANDLE_FILE, inode_ref(fs->inodes, in));
	if (!h) {
		inode_put(fs->inodes, in);
		fuse_reply_err(req, ENOMEM);
		return;
	}
	h->content = content_ref(content);
	fi->fh = (uintptr_t)h;
	fi->keep_cache = 1;
	fi->noflush = 1;
	if (fuse_reply_open(req, fi))
		handle_unref(fs, h);
}

static void open_ready(struct call *c, const struct rendered *result)
{
	struct open_call *oc = (struct open_call *)c;
	if (!call_claim(c))
		return;
	if (result->e)
		fuse_reply_err(c->req, err_errno(result->e));
	else
		open_answer(c->fs, c->req, oc->in, &oc->fi, result->content);
}

static void open_wait(struct fs *fs, fuse_req_t req, struct inode *in, struct fuse_file_info *fi)
{
	struct open_call *oc = call_new(fs, req, sizeof *oc, 0, 0);
	if (!oc)
		return;
	oc->call.done = open_done;
	oc->in = inode_ref(fs->inodes, in);
	oc->fi = *fi;
	int e = render_wait_open(fs->renders, in, &oc->call, open_ready);
	if (e)
		call_reply(&oc->call, e);
	call_unref(&oc->call);
}

static void open_file(struct fs *fs, fuse_req_t req, struct inode *in, struct fuse_file_info *fi)
{
	if ((fi->flags & O_ACCMODE) != O_RDONLY) {
		fs_deny(fs, req, in, NULL, -EPERM, "this file is made from the data: it cannot be written");
		return;
	}
	render_opened(fs->renders, fuse_req_ctx(req)->pid);
	_cleanup_(node_unrefp) struct node *node = inode_node(fs->inodes, in);
	struct content *content = node ? node_content(fs->tree, node) : NULL;
	if (!content) {
		open_wait(fs, req, in, fi);
		return;
	}
	fs_push_size(fs, in, content);
	open_answer(fs, req, in, fi, content);
	content_unref(content);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct inode *in = inode_get(fs->inodes, ino);
	if (!in || atomic_load(&fs->stopping))
		fuse_reply_err(req, in ? ESHUTDOWN : ESTALE);
	else if (in->kind == INODE_FILE)
		open_file(fs, req, in, fi);
	else if (in->kind == INODE_UPLOAD && upload_kind(in->upload) == UPLOAD_FILE)
		op_open_upload(fs, req, inode_ref(fs->inodes, in), fi);
	else
		fuse_reply_err(req, EISDIR);
	inode_put(fs->inodes, in);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi, HANDLE_FILE), *written = handle_of(fi, HANDLE_UPLOAD);
	if (written) {
		upload_read(written->in->upload, req, size, (uint64_t)off);
		return;
	}
	if (!h || off < 0) {
		fuse_reply_err(req, h ? EINVAL : EBADF);
		return;
	}
	size_t begin = MIN((size_t)off, h->content->len);
	fuse_reply_buf(req, (const char *)h->content->data + begin, MIN(size, h->content->len - begin));
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fs_of(req);
	uint64_t max, used;
	uploads_space(fs->uploads, &max, &used);
	uint64_t left = max - MIN(used, max), stored = db_bytes_known(fs->db);
	/* What is used is the store's; what is free is where files wait until they are in it. */
	struct statvfs st = { .f_bsize = 4096, .f_frsize = 4096,
		              .f_blocks = (stored + left) / 4096, .f_bfree = left / 4096,
		              .f_bavail = left / 4096, .f_files = inodes_count(fs->inodes), .f_namemax = 255 };
	fuse_reply_statfs(req, &st);
}

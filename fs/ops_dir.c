/* SPDX-License-Identifier: MIT */

/*
 * Listing. A handle holds a snapshot of the directory, made at the first READDIR and again at each return to
 * the start; an offset is an index into it, so that a listing of any length costs no memory here.
 */

#include "ops.h"

#include <string.h>

#include "../core/base/vec.h"

#define READ_MAX ((size_t)1 << 20)

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct inode *in = inode_get(fs->inodes, ino);
	struct handle *h = in ? handle_new(fs, HANDLE_DIR, in) : NULL;
	if (!h) {
		fuse_reply_err(req, in ? ENOMEM : ESTALE);
		inode_put(fs->inodes, in);
		return;
	}
	fi->fh = (uintptr_t)h;
	if (fuse_reply_open(req, fi))
		handle_unref(fs, h);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi, HANDLE_DIR);
	if (h)
		handle_unref(fs_of(req), h);
	fuse_reply_err(req, 0);
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0); /* what was closed is durable */
}

/* ---- READDIR ---- */

struct dir_call {
	struct call call;
	struct handle *h;
	uint64_t offset;
	size_t size, used;
	char *buf;
	bool plus;             /* READDIRPLUS: with attributes where the grammar alone makes the entries */
	bool resolve;
	VEC(uint64_t) known;   /* READDIRPLUS: what the kernel learns by the answer */
};

static void dir_done(struct call *c)
{
	struct dir_call *dc = (struct dir_call *)c;
	handle_unref(c->fs, dc->h);
	VEC_DONE(&dc->known);
	free(dc->buf);
}

/* READDIRPLUS: what lookup would say of a directory; otherwise no inode, and the kernel looks the entry up itself. */
static void resolve_entry(struct dir_call *dc, const char *name, struct fuse_entry_param *ret)
{
	struct fs *fs = dc->call.fs;
	_cleanup_(node_unrefp) struct node *dir = inode_node(fs->inodes, dc->h->in);
	struct node *found = NULL;
	if (tree_lookup(fs->tree, dir, name, &dc->call.cancel, &found, NULL))
		return;
	struct node_attr attr;
	node_attr(found, &attr);
	struct inode *in = attr.life == LIFE_GRAMMAR ? fs_enter(fs, dc->h->in->ino, name, node_ref(found)) : NULL;
	node_unref(found);
	uint64_t *known = in ? VEC_PUSH(&dc->known) : NULL;
	if (known) {
		*known = in->ino;
		inode_known(fs->inodes, in);
		ret->ino = in->ino;
		ret->entry_timeout = GRAMMAR_TIMEOUT;
		fs_stat(fs, in, &ret->attr, &ret->attr_timeout);
	}
	inode_put(fs->inodes, in);
}

/* One more entry; false where it does not fit. */
static bool dir_add(struct dir_call *dc, const char *name, uint64_t ino, mode_t type)
{
	fuse_req_t req = dc->call.req;
	struct fuse_entry_param entry = { .attr = { .st_ino = ino, .st_mode = type } };
	char *at = dc->buf + dc->used;
	size_t left = dc->size - dc->used, need, known = dc->known.n;
	if (dc->plus) {
		if (dc->resolve && type == S_IFDIR && name[0] != '.')
			resolve_entry(dc, name, &entry);
		need = fuse_add_direntry_plus(req, at, left, name, &entry, (off_t)dc->offset + 1);
	} else {
		need = fuse_add_direntry(req, at, left, name, &entry.attr, (off_t)dc->offset + 1);
	}
	if (need > left) {
		if (dc->known.n > known)
			inode_forget(dc->call.fs->inodes, dc->known.v[--dc->known.n], 1);
		return false;
	}
	dc->used += need;
	dc->offset++;
	return true;
}

static bool dir_add_dots(struct dir_call *dc)
{
	struct inode *in = dc->h->in;
	if (dc->offset == 0 && !dir_add(dc, ".", in->ino, S_IFDIR))
		return false;
	return dc->offset != 1 || dir_add(dc, "..", in->parent ? in->parent : FUSE_ROOT_ID, S_IFDIR);
}

static int dir_open_listing(struct dir_call *dc, struct error *err)
{
	struct fs *fs = dc->call.fs;
	if (dc->h->listing && dc->offset)
		return 0;
	if (dc->h->listing)
		listing_free(TAKE_PTR(dc->h->listing));
	_cleanup_(node_unrefp) struct node *node = inode_node(fs->inodes, dc->h->in);
	return listing_new(fs->tree, node, &dc->call.cancel, &dc->h->listing, err);
}

static int dir_fill_tree(struct dir_call *dc, struct error *err)
{
	static const mode_t types[] = { [NODE_DIR] = S_IFDIR, [NODE_FILE] = S_IFREG, [NODE_LINK] = S_IFLNK };
	struct fs *fs = dc->call.fs;
	int e = dir_open_listing(dc, err);
	if (e || !dir_add_dots(dc))
		return e;
	struct entry entry;
	dc->resolve = dc->plus && fs_takes_files(fs, dc->h->in);
	while ((e = listing_entry(dc->h->listing, dc->offset - 2, &entry)) > 0)
		if (!dir_add(dc, entry.name, inode_number(fs->inodes, dc->h->in->ino, entry.name), types[entry.kind]))
			return 0;
	return e;
}

static int dir_fill_folder(struct dir_call *dc)
{
	char name[256];
	uint64_t ino;
	if (!dir_add_dots(dc))
		return 0;
	while (upload_entry(dc->call.fs->uploads, dc->h->in->ino, dc->offset - 2, name, &ino))
		if (!dir_add(dc, name, ino, S_IFREG))
			break;
	return 0;
}

static void dir_answer(struct dir_call *dc, int e)
{
	struct fs *fs = dc->call.fs;
	bool reached = false;
	if (call_claim(&dc->call)) {
		if (e && !dc->used)
			fuse_reply_err(dc->call.req, err_errno(e));
		else
			reached = !fuse_reply_buf(dc->call.req, dc->buf, dc->used);
	}
	for (size_t i = 0; !reached && i < dc->known.n; i++)
		inode_forget(fs->inodes, dc->known.v[i], 1);
}

static void run_readdir(struct call *c)
{
	struct dir_call *dc = (struct dir_call *)c;
	struct handle *h = dc->h;
	struct error err = { 0 };
	pthread_mutex_lock(&h->lock);
	int e = ERR_CANCELLED;
	if (!call_answered(c))
		e = h->in->kind == INODE_DIR ? dir_fill_tree(dc, &err) : dir_fill_folder(dc);
	pthread_mutex_unlock(&h->lock);
	if (e && e != ERR_CANCELLED && h->in->kind == INODE_DIR) {
		_cleanup_(node_unrefp) struct node *node = inode_node(c->fs->inodes, h->in);
		fs_complain(c->fs, node, NULL, 0, e, error_text(&err, e));
	}
	dir_answer(dc, e);
	call_unref(c);
}

static void readdir(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi, bool plus)
{
	struct fs *fs = fs_of(req);
	struct handle *h = handle_of(fi, HANDLE_DIR);
	if (!h || off < 0) {
		fuse_reply_err(req, h ? EINVAL : EBADF);
		return;
	}
	struct dir_call *dc = call_new(fs, req, sizeof *dc, 0, 0);
	if (!dc)
		return;
	handle_ref(h);
	dc->call.done = dir_done;
	dc->call.run = run_readdir;
	dc->h = h;
	dc->offset = (uint64_t)off;
	dc->size = MIN(size, READ_MAX);
	dc->plus = plus;
	dc->buf = malloc(dc->size);
	if (dc->buf) {
		call_submit(&dc->call, fs->names);
	} else {
		call_reply(&dc->call, -ENOMEM);
		call_unref(&dc->call);
	}
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	readdir(req, size, off, fi, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	readdir(req, size, off, fi, true);
}

/* SPDX-License-Identifier: MIT */

/*
 * Names that are made, moved and removed, and open files that are written. Only directories above a TIME take
 * files; all else is made from the data and says so.
 */

#include "ops.h"

#include <fcntl.h>
#include <string.h>

#include "../core/base/pct.h"

#define READ_ONLY_PLACE "nothing can be written here: write into /SERVICE/ or /SERVICE/LABEL=VALUE/"

/* ---- places ---- */

/* A directory and what a name in it would be made from. */
struct place {
	struct fs *fs;
	struct inode *in;
	struct node *node; /* of the tree's directory */
	struct upload_place at;
};

static void place_done(struct place *p)
{
	node_unref(p->node);
	inode_put(p->fs->inodes, p->in);
}

#define _place_ _cleanup_(place_done)

/* false, and answered: the directory is not known. */
static bool place_of(struct fs *fs, fuse_req_t req, fuse_ino_t parent, const char *name, struct place *ret)
{
	*ret = (struct place){ .fs = fs, .in = inode_get(fs->inodes, parent) };
	if (atomic_load(&fs->stopping)) {
		fuse_reply_err(req, ESHUTDOWN);
		return false;
	}
	if (!ret->in || (ret->in->kind == INODE_UPLOAD && upload_kind(ret->in->upload) != UPLOAD_DIR)) {
		fuse_reply_err(req, ret->in ? ENOTDIR : ESTALE);
		return false;
	}
	if (ret->in->kind == INODE_DIR)
		ret->node = inode_node(fs->inodes, ret->in);
	ret->at = (struct upload_place){ .dir = parent, .node = ret->node, .name = name };
	if (ret->in->kind == INODE_UPLOAD)
		ret->at.folder = ret->in->upload;
	return true;
}

static bool place_takes_files(const struct place *p)
{
	return fs_takes_files(p->fs, p->in);
}

static void deny_error(struct fs *fs, fuse_req_t req, struct place *p, int e, const struct error *err)
{
	fs_deny(fs, req, p->in, p->at.name, e, "%s", error_text(err, e));
}

static struct stat caller_stat(fuse_req_t req, mode_t mode)
{
	struct fs *fs = fs_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	return (struct stat){ .st_mode = mode, .st_uid = fs->opts->has_uid ? fs->uid : ctx->uid,
		              .st_gid = fs->opts->has_gid ? fs->gid : ctx->gid };
}

/* ---- CREATE, OPEN ---- */

static void drop_handle(struct fs *fs, struct handle *h)
{
	upload_dropped(h->in->upload, &h->open);
	handle_unref(fs, h);
}

/* Takes the reference to in. NULL, and answered, where it cannot be. */
static struct handle *open_upload(struct fs *fs, fuse_req_t req, struct inode *in, struct fuse_file_info *fi)
{
	struct handle *h = handle_new(fs, HANDLE_UPLOAD, in);
	if (!h) {
		inode_put(fs->inodes, in);
		fuse_reply_err(req, ENOMEM);
		return NULL;
	}
	int e = upload_opened(in->upload, req, (fi->flags & O_ACCMODE) != O_RDONLY, &h->open);
	if (e) {
		handle_unref(fs, h);
		fuse_reply_err(req, err_errno(e));
		return NULL;
	}
	fi->fh = (uintptr_t)h;
	fi->direct_io = 1;
	fi->noflush = !h->open.writes;
	return h;
}

static void reply_open(struct fs *fs, fuse_req_t req, struct upload *up, void *arg)
{
	struct fuse_file_info fi = *(struct fuse_file_info *)arg;
	free(arg);
	if (fuse_reply_open(req, &fi))
		drop_handle(fs, handle_of(&fi, HANDLE_UPLOAD));
}

void op_open_upload(struct fs *fs, fuse_req_t req, struct inode *in, struct fuse_file_info *fi)
{
	struct handle *h = open_upload(fs, req, in, fi);
	if (!h)
		return;
	struct fuse_file_info *copy = malloc(sizeof *copy);
	if (!copy) {
		fuse_reply_err(req, ENOMEM);
		drop_handle(fs, h);
		return;
	}
	*copy = *fi;
	if (h->open.writes && fi->flags & O_TRUNC)
		upload_resize(in->upload, req, 0, reply_open, copy);
	else
		reply_open(fs, req, in->upload, copy);
}

/* Somebody else made it between the kernel's lookup and now. */
static int make_or_find(struct fs *fs, const struct place *p, const struct stat *st, int flags, struct upload **ret,
                        struct error *err)
{
	int e = upload_make(fs->uploads, &p->at, UPLOAD_FILE, st, NULL, ret, err);
	if (e != -EEXIST || flags & O_EXCL)
		return e;
	*ret = upload_find(fs->uploads, p->at.dir, p->at.name);
	return *ret && upload_kind(*ret) == UPLOAD_FILE ? 0 : -EEXIST;
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	_place_ struct place p = { .fs = fs };
	if (!place_of(fs, req, parent, name, &p))
		return;
	if (!place_takes_files(&p)) {
		fs_deny(fs, req, p.in, name, -EPERM, READ_ONLY_PLACE);
		return;
	}
	struct error err = { 0 };
	struct stat st = caller_stat(req, mode);
	_upload_ struct upload *up = NULL;
	int e = make_or_find(fs, &p, &st, fi->flags, &up, &err);
	if (e) {
		deny_error(fs, req, &p, e, &err);
		return;
	}
	struct inode *in = fs_enter_upload(fs, parent, name, up);
	struct handle *h = in ? open_upload(fs, req, in, fi) : NULL;
	if (!in)
		fuse_reply_err(req, ENOMEM);
	if (h && !fs_reply_create(fs, req, in, fi))
		drop_handle(fs, h);
}

/* ---- open files ---- */

void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi, HANDLE_UPLOAD);
	if (h && off >= 0)
		upload_write(h->in->upload, req, data, size, (uint64_t)off);
	else
		fuse_reply_err(req, h ? EINVAL : EBADF);
}

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi, HANDLE_UPLOAD);
	if (h)
		upload_flush(h->in->upload, req, &h->open);
	else
		fuse_reply_err(req, 0);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct handle *h = handle_of(fi, HANDLE_UPLOAD);
	if (h)
		upload_fsync(h->in->upload, req);
	else
		fuse_reply_err(req, 0);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct handle *h = handle_of(fi, HANDLE_UPLOAD), *file = handle_of(fi, HANDLE_FILE);
	if (h) {
		upload_closed(h->in->upload, req, &h->open);
		handle_unref(fs, h);
		return;
	}
	fuse_reply_err(req, 0);
	if (file)
		handle_unref(fs, file);
}

/* ---- attributes ---- */

static void reply_attr(struct fs *fs, fuse_req_t req, struct upload *up, void *arg)
{
	struct stat st;
	upload_stat(up, &st);
	fuse_reply_attr(req, &st, 0);
}

static void setattr_upload(fuse_req_t req, struct upload *up, const struct stat *st, int to_set)
{
	upload_setattr(up, st, to_set);
	if (!(to_set & FUSE_SET_ATTR_SIZE))
		reply_attr(fs_of(req), req, up, NULL);
	else if (upload_kind(up) == UPLOAD_FILE)
		upload_resize(up, req, (uint64_t)st->st_size, reply_attr, NULL);
	else
		fuse_reply_err(req, EISDIR);
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct inode *in = inode_get(fs->inodes, ino);
	if (!in)
		fuse_reply_err(req, ESTALE);
	else if (in->kind == INODE_UPLOAD)
		setattr_upload(req, in->upload, st, to_set);
	else if (in->kind == INODE_DIR && (fs_takes_files(fs, in) || ino == FUSE_ROOT_ID))
		fs_reply_attr(fs, req, in); /* copying programs set a directory's times and mode: nothing comes of it */
	else
		fs_deny(fs, req, in, NULL, -EPERM, "this is made from the data: its attributes cannot be set");
	inode_put(fs->inodes, in);
}

/* ---- folders and services ---- */

static void make_folder(struct fs *fs, fuse_req_t req, struct place *p, enum upload_kind kind, mode_t mode,
                        const char *target)
{
	struct error err = { 0 };
	struct stat st = caller_stat(req, mode);
	_upload_ struct upload *up = NULL;
	int e = place_takes_files(p) ? upload_make(fs->uploads, &p->at, kind, &st, target, &up, &err)
	                             : error_set(&err, ERR_PATH_DENIED, READ_ONLY_PLACE);
	struct inode *in = e ? NULL : fs_enter_upload(fs, p->at.dir, p->at.name, up);
	if (in)
		fs_reply_entry(fs, req, in);
	else
		deny_error(fs, req, p, e ? e : -ENOMEM, &err);
	inode_put(fs->inodes, in);
}

static int raw_name(const char *name, struct buf *ret)
{
	pct_decode(ret, (struct str){ name, strlen(name) });
	buf_putc(ret, 0);
	return buf_err(ret);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fs *fs = fs_of(req);
	_place_ struct place p = { .fs = fs };
	if (!place_of(fs, req, parent, name, &p))
		return;
	if (parent != FUSE_ROOT_ID) {
		make_folder(fs, req, &p, UPLOAD_DIR, mode, NULL);
		return;
	}
	struct error err = { 0 };
	_buf_ struct buf raw = BUF_INIT(4096);
	int e = raw_name(name, &raw);
	if (!e && raw.data[0] == '.')
		e = error_set(&err, ERR_PATH_DENIED, "a service's name begins with no '.': write %%2E");
	if (!e)
		e = tree_add_service(fs->tree, (const char *)raw.data, &err);
	if (e)
		deny_error(fs, req, &p, e, &err);
	else
		op_lookup(req, parent, name);
}

#define NEEDS_DELETE "removing needs the mount option 'delete'"

struct remove_call {
	struct call call;
	struct place place;
	char *name;
	struct buf raw;
	bool folder;
};

static void remove_done(struct call *c)
{
	struct remove_call *rc = (struct remove_call *)c;
	place_done(&rc->place);
	free(rc->name);
	buf_done(&rc->raw);
}

/* A service that was made by mkdir and has no data yet is only a name. */
static bool forget_service(struct remove_call *rc)
{
	struct fs *fs = rc->call.fs;
	struct str raw = { (const char *)rc->raw.data, rc->raw.len - 1 };
	if (!rc->folder || rc->place.in->ino != FUSE_ROOT_ID || db_has_service(fs->db, raw, VIEW_MAX_AGE))
		return false;
	return !tree_forget_service(fs->tree, raw.s);
}

/* What is made anew from the data is removed without effect, so that rm -r goes on. */
static int remove_data(struct remove_call *rc, struct error *err)
{
	struct fs *fs = rc->call.fs;
	struct db_deleted deleted;
	struct node *node = NULL;
	if (!fs->opts->may_delete)
		return error_set(err, -EPERM, NEEDS_DELETE);
	if (!rc->place.node)
		return error_set(err, -ENOENT, "no such name");
	int e = tree_lookup(fs->tree, rc->place.node, rc->name, NULL, &node, err);
	if (!e)
		e = tree_delete(fs->tree, node, false, &deleted, err);
	node_unref(node);
	return e;
}

static void run_remove(struct call *c)
{
	struct remove_call *rc = (struct remove_call *)c;
	struct error err = { 0 };
	int e = forget_service(rc) ? 0 : remove_data(rc, &err);
	if (call_claim(c)) {
		if (e)
			deny_error(c->fs, c->req, &rc->place, e, &err);
		else
			fuse_reply_err(c->req, 0);
	}
	call_unref(c);
}

/* Deleting waits for the store as long as it takes: it is one commit, and no half of it is of use. */
static void remove_in_tree(struct fs *fs, fuse_req_t req, struct place *p, bool folder)
{
	bool deletes = fs->opts->may_delete;
	struct remove_call *rc = call_new(fs, req, sizeof *rc, 0, deletes ? 0 : CALL_DEADLINE);
	if (!rc)
		return;
	rc->call.run = run_remove;
	rc->call.done = remove_done;
	rc->place = *p;
	rc->raw = BUF_INIT(4096);
	rc->folder = folder;
	rc->name = strdup(p->at.name);
	*p = (struct place){ .fs = fs };
	if (rc->name && !raw_name(rc->name, &rc->raw)) {
		rc->place.at.name = rc->name;
		call_submit(&rc->call, deletes ? fs->writes : fs->names);
		return;
	}
	call_reply(&rc->call, -ENOMEM);
	call_unref(&rc->call);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	_place_ struct place p = { .fs = fs };
	if (!place_of(fs, req, parent, name, &p))
		return;
	int e = upload_unlink(fs->uploads, parent, name);
	if (e == -ENOENT)
		remove_in_tree(fs, req, &p, true);
	else
		fuse_reply_err(req, err_errno(e));
}

/* Whether a name is a profile itself, not a rendering or a link to one, or symbols. */
static bool is_data(struct place *p)
{
	const char *folder = p->node ? node_name(p->node) : "";
	return (!strcmp(folder, "profiles") || !strcmp(folder, "debuginfo")) &&
	       inode_is_file(p->fs->inodes, p->in->ino, p->at.name);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	_place_ struct place p = { .fs = fs };
	if (!place_of(fs, req, parent, name, &p))
		return;
	int e = upload_unlink(fs->uploads, parent, name);
	if (e != -ENOENT)
		fuse_reply_err(req, err_errno(e));
	else if (!fs->opts->may_delete)
		fs_deny(fs, req, p.in, name, -EPERM, NEEDS_DELETE);
	else if (is_data(&p))
		remove_in_tree(fs, req, &p, false);
	else
		fuse_reply_err(req, 0);
}

/* ---- rename and links ---- */

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent, const char *new_name,
               unsigned flags)
{
	struct fs *fs = fs_of(req);
	_place_ struct place from = { .fs = fs }, to = { .fs = fs };
	if (!place_of(fs, req, parent, name, &from) || !place_of(fs, req, new_parent, new_name, &to))
		return;
	_upload_ struct upload *up = upload_find(fs->uploads, parent, name);
	if (!up)
		fs_deny(fs, req, from.in, name, -EPERM, "this is made from the data: it cannot be renamed");
	else if (flags & ~(unsigned)RENAME_NOREPLACE)
		fuse_reply_err(req, EINVAL);
	else if (!place_takes_files(&to))
		fuse_reply_err(req, EXDEV);
	else
		upload_rename(up, req, &to.at, flags);
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	_place_ struct place p = { .fs = fs };
	if (place_of(fs, req, parent, name, &p))
		make_folder(fs, req, &p, UPLOAD_LINK, 0777, target);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
	fuse_reply_err(req, EPERM);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	fuse_reply_err(req, EPERM);
}

/* getxattr and its like stay unset: the kernel then stops asking before every write. */
const struct fuse_lowlevel_ops fs_ops = {
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.readlink = op_readlink,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_rmdir,
	.symlink = op_symlink,
	.rename = op_rename,
	.link = op_link,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.readdir = op_readdir,
	.readdirplus = op_readdirplus,
	.releasedir = op_releasedir,
	.fsyncdir = op_fsyncdir,
	.statfs = op_statfs,
	.create = op_create,
};

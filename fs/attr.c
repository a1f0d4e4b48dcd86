/* SPDX-License-Identifier: MIT */

/* What the operations share: see ops.h. */

#include <string.h>

#include "ops.h"
#include "render_jobs.h"

#define FILE_BLKSIZE (1 << 17)

/* ---- handles ---- */

struct handle *handle_new(struct fs *fs, enum handle_kind kind, struct inode *in)
{
	struct handle *h = calloc(1, sizeof *h);
	if (!h)
		return NULL;
	h->kind = kind;
	h->refs = 1;
	h->in = in;
	pthread_mutex_init(&h->lock, NULL);
	pthread_mutex_lock(&fs->handles_lock);
	h->next = fs->handles;
	h->link = &fs->handles;
	if (h->next)
		h->next->link = &h->next;
	fs->handles = h;
	pthread_mutex_unlock(&fs->handles_lock);
	return h;
}

struct handle *handle_of(const struct fuse_file_info *fi, enum handle_kind kind)
{
	struct handle *h = fi ? (struct handle *)(uintptr_t)fi->fh : NULL;
	return h && h->kind == kind ? h : NULL;
}

void handle_ref(struct handle *h)
{
	atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
}

void handle_unref(struct fs *fs, struct handle *h)
{
	if (atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) > 1)
		return;
	pthread_mutex_lock(&fs->handles_lock);
	*h->link = h->next;
	if (h->next)
		h->next->link = h->link;
	pthread_mutex_unlock(&fs->handles_lock);
	if (h->content)
		content_unref(h->content);
	if (h->listing)
		listing_free(h->listing);
	inode_put(fs->inodes, h->in);
	pthread_mutex_destroy(&h->lock);
	free(h);
}

void handles_free(struct fs *fs)
{
	while (fs->handles)
		handle_unref(fs, fs->handles);
}

/* ---- attributes ---- */

static struct timespec timespec_of(int64_t ns)
{
	return (struct timespec){ .tv_sec = time_floor_div(ns, NS_PER_S), .tv_nsec = ns - time_floor(ns, NS_PER_S) };
}

bool fs_takes_files(struct fs *fs, struct inode *dir)
{
	if (dir->kind != INODE_DIR)
		return dir->kind == INODE_UPLOAD && upload_kind(dir->upload) == UPLOAD_DIR;
	_cleanup_(node_unrefp) struct node *node = inode_node(fs->inodes, dir);
	struct node_attr attr;
	node_attr(node, &attr);
	return attr.takes_files;
}

static mode_t node_mode(struct fs *fs, const struct inode *in, const struct node_attr *attr)
{
	if (attr->kind == NODE_LINK)
		return S_IFLNK | 0777;
	mode_t mask = ~fs->opts->umask;
	if (attr->kind == NODE_FILE)
		return S_IFREG | (0444 & mask);
	bool writable = (attr->takes_files || in->ino == FUSE_ROOT_ID) && !fs->opts->read_only;
	return S_IFDIR | ((writable ? 0755 : 0555) & mask);
}

static double node_timeout(const struct node_attr *attr, bool known)
{
	if (attr->kind == NODE_FILE)
		return known ? CONTENT_TIMEOUT : 0;
	if (attr->kind == NODE_LINK)
		return 0;
	return attr->life == LIFE_GRAMMAR ? GRAMMAR_TIMEOUT : DIR_TIMEOUT;
}

/* What can be said of a file before it is planned. */
static void unplanned_attr(struct fs *fs, struct inode *in, struct node_attr *ret)
{
	_cleanup_(node_unrefp) struct node *dir = inode_plan_in(fs->inodes, in);
	struct node_attr attr = { 0 };
	if (dir)
		node_attr(dir, &attr);
	*ret = (struct node_attr){ .kind = NODE_FILE, .life = LIFE_DATA, .mtime = attr.mtime, .blocks = 1 };
}

static void stat_node(struct fs *fs, struct inode *in, struct stat *ret, double *ret_timeout, enum node_life *ret_life)
{
	_cleanup_(node_unrefp) struct node *node = inode_node(fs->inodes, in);
	struct node_attr attr;
	if (node)
		node_attr(node, &attr);
	else
		unplanned_attr(fs, in, &attr);
	if (attr.kind == NODE_FILE && attr.size_known)
		inode_sized(fs->inodes, in, attr.size);
	uint64_t size = attr.kind == NODE_LINK ? attr.size : 0;
	bool known = attr.kind == NODE_FILE && inode_announce(fs->inodes, in, &size);
	struct timespec mtime = timespec_of(attr.mtime);
	*ret = (struct stat){ .st_ino = in->ino, .st_mode = node_mode(fs, in, &attr), .st_nlink = 1,
		              .st_uid = fs->uid, .st_gid = fs->gid, .st_size = (off_t)size,
		              .st_blksize = FILE_BLKSIZE, .st_blocks = (blkcnt_t)attr.blocks,
		              .st_mtim = mtime, .st_ctim = mtime, .st_atim = mtime };
	*ret_timeout = node_timeout(&attr, known);
	*ret_life = attr.life;
}

static void stat_inode(struct fs *fs, struct inode *in, struct stat *ret, double *ret_timeout, enum node_life *ret_life)
{
	if (in->kind != INODE_UPLOAD) {
		stat_node(fs, in, ret, ret_timeout, ret_life);
		return;
	}
	upload_stat(in->upload, ret);
	ret->st_ino = in->ino;
	*ret_timeout = 0;
	*ret_life = LIFE_DATA;
}

void fs_stat(struct fs *fs, struct inode *in, struct stat *ret, double *ret_timeout)
{
	enum node_life life;
	stat_inode(fs, in, ret, ret_timeout, &life);
}

void fs_push_size(struct fs *fs, struct inode *in, struct content *content)
{
	if (!inode_sized(fs->inodes, in, content->len) || !content->len)
		return;
	struct fuse_bufvec last = FUSE_BUFVEC_INIT(1);
	last.buf[0].mem = (void *)(uintptr_t)(content->data + content->len - 1);
	fuse_lowlevel_notify_store(fs->se, in->ino, (off_t)content->len - 1, &last, 0);
}

struct inode *fs_enter(struct fs *fs, uint64_t parent, const char *name, struct node *node)
{
	static const enum inode_kind kinds[] = {
		[NODE_DIR] = INODE_DIR, [NODE_FILE] = INODE_FILE, [NODE_LINK] = INODE_LINK,
	};
	struct node_attr attr;
	node_attr(node, &attr);
	struct inode_want want = { .kind = kinds[attr.kind], .parent = parent, .name = name, .node = node,
		                   .ino = attr.kind == NODE_FILE ? attr.ino : 0 };
	return inode_enter(fs->inodes, &want);
}

struct inode *fs_enter_upload(struct fs *fs, uint64_t parent, const char *name, struct upload *up)
{
	struct inode_want want = { .kind = INODE_UPLOAD, .parent = parent, .name = name, .upload = up,
		                   .ino = upload_ino(up) };
	return inode_enter(fs->inodes, &want);
}

/* ---- answers ---- */

static void entry_of(struct fs *fs, struct inode *in, struct fuse_entry_param *ret)
{
	enum node_life life;
	*ret = (struct fuse_entry_param){ .ino = in->ino };
	stat_inode(fs, in, &ret->attr, &ret->attr_timeout, &life);
	ret->entry_timeout = life == LIFE_GRAMMAR ? GRAMMAR_TIMEOUT : 0;
}

void fs_reply_entry(struct fs *fs, fuse_req_t req, struct inode *in)
{
	struct fuse_entry_param entry;
	entry_of(fs, in, &entry);
	inode_known(fs->inodes, in);
	if (fuse_reply_entry(req, &entry))
		inode_forget(fs->inodes, in->ino, 1); /* the caller is gone */
}

void fs_reply_attr(struct fs *fs, fuse_req_t req, struct inode *in)
{
	struct stat st;
	double timeout;
	fs_stat(fs, in, &st, &timeout);
	fuse_reply_attr(req, &st, timeout);
}

bool fs_reply_create(struct fs *fs, fuse_req_t req, struct inode *in, struct fuse_file_info *fi)
{
	struct fuse_entry_param entry;
	entry_of(fs, in, &entry);
	inode_known(fs->inodes, in);
	bool reached = !fuse_reply_create(req, &entry, fi);
	if (!reached)
		inode_forget(fs->inodes, in->ino, 1);
	return reached;
}

/* ---- complaints ---- */

void fs_complain(struct fs *fs, struct node *node, const char *name, pid_t pid, int e, const char *sentence)
{
	_buf_ struct buf path = BUF_INIT(1 << 16);
	node_path(node, &path);
	if (name && path.len > 1)
		buf_putc(&path, '/');
	if (name)
		buf_puts(&path, name);
	buf_putc(&path, 0);
	const char *shown = buf_err(&path) ? "(a long path)" : (const char *)path.data;
	tree_report(fs->tree, shown, (int)pid, e, sentence);
	log_msg(fs->log, LOG_LEVEL_WARNING, "%s: %s", shown, sentence);
}

void fs_deny(struct fs *fs, fuse_req_t req, struct inode *dir, const char *name, int e, const char *fmt, ...)
{
	char sentence[400];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(sentence, sizeof sentence, fmt, ap);
	va_end(ap);
	pid_t pid = fuse_req_ctx(req)->pid;
	bool of_tree = dir && dir->kind != INODE_UPLOAD;
	_cleanup_(node_unrefp) struct node *node = of_tree ? inode_node(fs->inodes, dir) : NULL;
	if (node)
		fs_complain(fs, node, name, pid, e, sentence);
	else
		tree_report(fs->tree, name ? name : dir ? dir->name : "", (int)pid, e, sentence);
	fuse_reply_err(req, err_errno(e));
}

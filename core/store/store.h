/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Objects under keys. A store is a table of methods; layers (fault injection, later cache and retry) wrap another
 * store and have the same table. Every method is thread safe and blocks; each says what it promises.
 *
 * Keys are non-empty, relative, of [A-Za-z0-9_.%~/-], without empty, "." or ".." components, at most 900 bytes.
 * Listing order is the byte order of keys.
 */

#include "../base/buf.h"

struct store;
struct store_counts;

struct store_stat {
	uint64_t size;
	int64_t mtime_ns; /* the store's own clock */
};

struct store_range {
	uint64_t off;
	size_t len;
	uint8_t *out; /* the caller's, len bytes */
};

/*
 * The bytes of an object that need not be in memory at once. read() fills out with the n bytes from off, which lie
 * within size, or fails; it is called from one thread at a time, for any range any number of times (retries).
 */
struct store_body {
	int (*read)(void *ctx, uint64_t off, uint8_t *out, size_t n, struct error *err);
	void *ctx;
	uint64_t size;
};

/* One listed object. key is borrowed for the call. A negative return stops the listing and is its result. */
typedef int (*store_list_fn)(void *ctx, const char *key, const struct store_stat *st);

struct store_ops {
	/* Durable on return. Replaces nothing of another content: an object is put once (or again with equal bytes). */
	int (*put)(struct store *s, const char *key, struct slice data, struct error *err);
	/* As put, with memory bounded whatever the size. A failure of the body's is returned as it is. */
	int (*put_body)(struct store *s, const char *key, const struct store_body *body, struct error *err);
	/*
	 * Creates, atomically: of any number of callers, on any machine, one gets 0 and the others ERR_STORE_EXISTS.
	 * ERR_STORE_UNKNOWN: it may or may not be there; the caller reads it back. ERR_STORE_UNSUPPORTED: never works
	 * here. Durable on 0. A store may promise it and not keep it: store_probe_exclusive().
	 */
	int (*put_if_absent)(struct store *s, const char *key, struct slice data, struct error *err);
	/* Reads all ranges or fails. ERR_STORE_NOT_FOUND; ERR_STORE_RANGE past the end. */
	int (*read)(struct store *s, const char *key, const struct store_range *ranges, size_t n, struct error *err);
	/* Appends the last n bytes (or all) to out and tells the object's size: one request. */
	int (*tail)(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size,
	            struct error *err);
	/*
	 * Lists keys that begin with prefix and come after `after` (may be NULL), in order. With a delimiter ('/' or
	 * 0), keys that have it behind the prefix are rolled up: key is the part up to and with it, st is NULL. A part
	 * is given where any key of it comes after `after`: to go on behind "a/", say after "a0", not "a/".
	 * A prefix without objects lists nothing and is no error. Objects put before the call are listed.
	 */
	int (*list)(struct store *s, const char *prefix, const char *after, char delimiter, store_list_fn fn, void *ctx,
	            struct error *err);
	/* 0 also where it was not there. */
	int (*remove)(struct store *s, const char *key, struct error *err);
	/* Each as remove does; where it fails, any of them may be gone. NULL: by remove. */
	int (*remove_many)(struct store *s, const char *const *keys, size_t n, struct error *err);
	/* The store's own time now; where it tells only seconds, at most two behind and never ahead. */
	int (*now)(struct store *s, int64_t *ret, struct error *err);
	/* Where and how, for people, without secrets; ends without a line break. NULL: its name says it all. */
	void (*describe)(struct store *s, struct buf *out);
	/* Adds what was sent; NULL: calls are requests. */
	void (*counters)(struct store *s, struct store_counts *ret);
	/* What tells this store from all others, whoever asks and where; NULL: reads are as fast as a cache's. */
	void (*identity)(struct store *s, struct buf *out);
	void (*free)(struct store *s);
};

/* Counts since the store was made; kept by the wrappers below. Each call counts once, whatever it sends. */
struct store_counts {
	uint64_t put, get, list, remove, bytes_in, bytes_out, errors, retries, cache_hits, cache_misses;
};

struct store {
	const struct store_ops *ops;
	struct store_counts counts; /* atomic adds */
	char *name;                 /* as the user wrote it; for messages */
	bool read_only;             /* puts and removes answer ERR_STORE_READONLY */
};

/* The methods, counted, with read_only and key syntax checked. */
int store_put(struct store *s, const char *key, struct slice data, struct error *err);
int store_put_body(struct store *s, const char *key, const struct store_body *body, struct error *err);
int store_put_if_absent(struct store *s, const char *key, struct slice data, struct error *err);
int store_read(struct store *s, const char *key, const struct store_range *ranges, size_t n, struct error *err);
int store_tail(struct store *s, const char *key, size_t n, struct buf *out, uint64_t *ret_size, struct error *err);
int store_get(struct store *s, const char *key, size_t max, struct buf *out, struct error *err); /* whole object */
int store_list(struct store *s, const char *prefix, const char *after, char delimiter, store_list_fn fn, void *ctx,
               struct error *err);
int store_remove(struct store *s, const char *key, struct error *err);
int store_remove_many(struct store *s, const char *const *keys, size_t n, struct error *err);
int store_now(struct store *s, int64_t *ret, struct error *err);
void store_describe(struct store *s, struct buf *out);
/* What went to the store: requests, their repetitions, bytes. Layers that keep things away from it do not count. */
void store_counters(struct store *s, struct store_counts *ret);
/*
 * Whether put_if_absent() is what it promises: in five rounds 16 create one object below `prefix` at the same time, and
 * one wins. What is put there is removed. The answer is the caller's to remember.
 */
int store_probe_exclusive(struct store *s, const char *prefix, bool *ret, struct error *err);
void store_free(struct store *s);
DEFINE_CLEANUP(struct store *, store_free);

/* Whether `key` can be one. */
bool store_key_ok(const char *key);

/* How a store is opened from a STORE word of the command line. */
struct store_options {
	bool read_only;
	bool create; /* make a missing directory */
	/* Whether an object never changes under its key: ranges of it may be kept on this machine. NULL: no cache. */
	bool (*immutable)(const char *key);
};

/* "path", "file:///path", "s3://bucket/prefix?...": new. The one function that knows all back ends. */
int store_open(const char *word, const struct store_options *opts, struct store **ret, struct error *err);

/* url: "s3://bucket[/prefix][?...]" (s3_settings.h). Sends nothing. */
int store_s3_new(const char *url, const struct store_options *opts, struct store **ret, struct error *err);
int store_dir_new(const char *path, const struct store_options *opts, struct store **ret, struct error *err);
int store_mem_new(struct store **ret);
/* Its own clock goes ahead of the machine's by so much more. */
void store_mem_advance(struct store *s, int64_t ns);

/* Keeps what is read of immutable objects, in memory and on the local disk. */
struct cache_options {
	bool (*immutable)(const char *key);
	const char *dir; /* NULL: $XDG_CACHE_HOME/profilefs, else ~/.cache/profilefs; if that cannot be, memory only */
	uint64_t disk;   /* bytes; 0: 1 GiB */
	size_t memory;   /* bytes; 0: 32 MiB */
	bool no_disk;
};

/* Wraps a store that has an identity; owns it where this succeeds. */
int store_cache_new(struct store *inner, const struct cache_options *opts, struct store **ret);

/*
 * The fault layer (tests): counts every call and, at the n-th, does as told. Wraps and owns `inner`, unless borrowed.
 */
enum fault {
	FAULT_NONE,
	FAULT_BEFORE,  /* fails without effect: ERR_STORE */
	FAULT_AFTER,   /* has its effect and fails: ERR_STORE_UNKNOWN */
	FAULT_TORN,    /* a put leaves half of the object and fails (a read gives wrong bytes) */
	FAULT_TIMEOUT, /* fails without effect: ERR_STORE_TIMEOUT */
	FAULT_DENIED,  /* ERR_STORE_ACCESS */
	FAULT_SLOW,    /* sleeps delay_ns, then works */
	FAULT_BLIND,   /* put_if_absent puts, whatever is there */
	FAULT_UNSUPPORTED,
};

struct fault_plan {
	enum fault fault;
	uint64_t at;     /* the at-th call from now (1 is the next) that is of a kind in `kinds` */
	bool from_then_on;
	unsigned kinds;  /* 1 put (put_body too), 2 put_if_absent, 4 read and tail, 8 list, 16 remove (remove_many
	                    is one), 32 now; 0 all */
	int64_t delay_ns;
};

int store_fault_new(struct store *inner, bool borrowed, struct store **ret);
void store_fault_set(struct store *s, const struct fault_plan *plan);
uint64_t store_fault_calls(struct store *s);
/*
 * Called before every call's effect, on the calling thread (NULL to remove): tests pause or interleave there.
 */
void store_fault_hook(struct store *s, void (*hook)(void *ctx, const char *what, const char *key), void *ctx);

/* SPDX-License-Identifier: MIT */
#include "zst.h"

#include <pthread.h>
#include <zstd.h>

/*
 * Contexts are dear to make (a megabyte of tables) and cheap to use again. Each thread keeps one of each kind, under
 * a thread-specific key whose destructor frees them when the thread ends.
 */
struct contexts {
	ZSTD_CCtx *c;
	ZSTD_DCtx *d;
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static bool key_made;

static void contexts_free(void *arg)
{
	struct contexts *x = arg;
	ZSTD_freeCCtx(x->c);
	ZSTD_freeDCtx(x->d);
	free(x);
}

static void make_key(void)
{
	key_made = !pthread_key_create(&key, contexts_free);
}

static struct contexts *contexts(void)
{
	pthread_once(&once, make_key);
	if (!key_made)
		return NULL;
	struct contexts *x = pthread_getspecific(key);
	if (x)
		return x;
	x = calloc(1, sizeof *x);
	if (x && pthread_setspecific(key, x)) {
		free(x);
		return NULL;
	}
	return x;
}

static ZSTD_CCtx *compressor(void)
{
	struct contexts *x = contexts();
	if (x && !x->c)
		x->c = ZSTD_createCCtx();
	return x ? x->c : NULL;
}

static ZSTD_DCtx *decompressor(void)
{
	struct contexts *x = contexts();
	if (x && !x->d)
		x->d = ZSTD_createDCtx();
	return x ? x->d : NULL;
}

int zst_compress(struct slice in, int level, struct buf *out)
{
	ZSTD_CCtx *c = compressor();
	if (!c)
		return -ENOMEM;
	size_t bound = ZSTD_compressBound(in.len);
	uint8_t *dst = buf_reserve(out, bound);
	if (!dst)
		return buf_err(out);
	size_t n = ZSTD_compressCCtx(c, dst, bound, in.data, in.len, level);
	if (ZSTD_isError(n))
		return -ENOMEM;
	out->len += n;
	return 0;
}

int zst_decompress(struct slice in, uint8_t *dst, size_t raw_len)
{
	ZSTD_DCtx *d = decompressor();
	if (!d)
		return -ENOMEM;
	if (!zst_magic(in) || ZSTD_findFrameCompressedSize(in.data, in.len) != in.len)
		return ERR_CORRUPT_LAYOUT;
	size_t n = ZSTD_decompressDCtx(d, dst, raw_len, in.data, in.len);
	return n == raw_len ? 0 : ERR_CORRUPT_LAYOUT;
}

static int window_log(size_t n)
{
	int log = 10;
	while (log < 26 && (size_t)1 << log < n)
		log++;
	return log;
}

int zst_compress_after(struct slice prefix, struct slice in, int level, struct buf *out)
{
	ZSTD_CCtx *c = compressor();
	if (!c)
		return -ENOMEM;
	size_t bound = ZSTD_compressBound(in.len);
	uint8_t *dst = buf_reserve(out, bound);
	if (!dst)
		return buf_err(out);
	ZSTD_CCtx_reset(c, ZSTD_reset_session_and_parameters);
	ZSTD_CCtx_setParameter(c, ZSTD_c_compressionLevel, level);
	ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1); /* another prefix would give other bytes, not an error */
	ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window_log(prefix.len + in.len));
	ZSTD_CCtx_refPrefix(c, prefix.data, prefix.len);
	size_t n = ZSTD_compress2(c, dst, bound, in.data, in.len);
	ZSTD_CCtx_reset(c, ZSTD_reset_session_and_parameters);
	if (ZSTD_isError(n))
		return -ENOMEM;
	out->len += n;
	return 0;
}

int zst_decompress_after(struct slice prefix, struct slice in, uint8_t *dst, size_t raw_len)
{
	ZSTD_DCtx *d = decompressor();
	if (!d)
		return -ENOMEM;
	if (!zst_magic(in) || ZSTD_findFrameCompressedSize(in.data, in.len) != in.len)
		return ERR_CORRUPT_LAYOUT;
	ZSTD_DCtx_refPrefix(d, prefix.data, prefix.len);
	size_t n = ZSTD_decompressDCtx(d, dst, raw_len, in.data, in.len);
	ZSTD_DCtx_reset(d, ZSTD_reset_session_and_parameters);
	return n == raw_len ? 0 : ERR_CORRUPT_LAYOUT;
}

static int decompress_chunk(ZSTD_DCtx *d, ZSTD_inBuffer *in, struct buf *out, size_t *ret_hint, struct error *err)
{
	size_t room = MIN(ZSTD_DStreamOutSize(), out->max - MIN(out->len, out->max));
	uint8_t spare, *dst = &spare; /* at the limit, one byte too many is seen by trying to write it */
	if (room && !(dst = buf_reserve(out, room)))
		return error_set(err, buf_err(out), "no memory for the zstd contents");
	ZSTD_outBuffer o = { dst, room ? room : 1, 0 };
	*ret_hint = ZSTD_decompressStream(d, &o, in);
	if (ZSTD_isError(*ret_hint))
		return error_set(err, ERR_FORMAT_MALFORMED, "the zstd data is damaged at byte %zu: %s", in->pos,
		                 ZSTD_getErrorName(*ret_hint));
	if (!room && o.pos)
		return error_set(err, ERR_FORMAT_LIMIT, "over the limit of %zu bytes when decompressed", out->max);
	if (room)
		out->len += o.pos;
	return o.pos == o.size; /* 1: there may be more to come without further input */
}

int zst_decompress_all(struct slice in, struct buf *out, struct error *err)
{
	ZSTD_DCtx *d = decompressor();
	if (!d)
		return -ENOMEM;
	ZSTD_DCtx_reset(d, ZSTD_reset_session_and_parameters);
	ZSTD_inBuffer i = { in.data, in.len, 0 };
	size_t hint = 0;
	int more = 0;
	while (i.pos < i.size || more) {
		more = decompress_chunk(d, &i, out, &hint, err);
		if (more < 0)
			return more;
		more = more && hint; /* a frame that has ended has nothing more */
	}
	return hint ? error_set(err, ERR_FORMAT_TRUNCATED, "the zstd data is cut short") : 0;
}

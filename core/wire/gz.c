/* SPDX-License-Identifier: MIT */
#include "gz.h"

#include <libdeflate.h>

#include "../base/cursor.h"

/*
 * libdeflate inflates whole members into a buffer of sufficient size, and nothing tells that size for certain. The
 * first attempt takes ISIZE (the last four bytes of the input, right where it is one honest member) as far as it is
 * plausible, the following ones double. What a member claims costs nothing: only its real contents are ever written.
 */
#define GUESS_RATIO 64
#define GUESS_MIN ((size_t)64 << 10)
#define SLACK 512 /* lets libdeflate's fast loop run to the end of the output */

enum { FHCRC = 2, FEXTRA = 4, FNAME = 8, FCOMMENT = 16, FRESERVED = 0xe0 };
enum { HEADER_LEN = 10, TRAILER_LEN = 8 };

struct gz {
	struct libdeflate_decompressor *d;
};

int gz_new(struct gz **ret)
{
	struct gz *z = malloc(sizeof *z);
	if (!z)
		return -ENOMEM;
	z->d = libdeflate_alloc_decompressor();
	if (!z->d) {
		free(z);
		return -ENOMEM;
	}
	*ret = z;
	return 0;
}

void gz_free(struct gz *z)
{
	if (!z)
		return;
	libdeflate_free_decompressor(z->d);
	free(z);
}

static bool skip_string(struct cursor *c)
{
	while (c->p < c->end)
		if (!*c->p++)
			return true;
	return false;
}

/* Moves past the member's header: false where it is cut short. The fixed part is there and sound. */
static bool skip_header(struct cursor *c)
{
	uint8_t flags = c->p[3];
	c->p += HEADER_LEN;
	if (flags & FEXTRA) {
		size_t n = cursor_u8(c);
		n |= (size_t)cursor_u8(c) << 8;
		cursor_bytes(c, n);
	}
	if (flags & FNAME && !skip_string(c))
		return false;
	if (flags & FCOMMENT && !skip_string(c))
		return false;
	if (flags & FHCRC)
		cursor_bytes(c, 2);
	return !c->bad;
}

static int judge_header(struct slice in, struct error *err)
{
	static const uint8_t magic[2] = { 0x1f, 0x8b };
	if (memcmp(in.data, magic, MIN(in.len, sizeof magic)) != 0)
		return error_set(err, ERR_FORMAT_MALFORMED, "no gzip magic number");
	if (in.len > 2 && in.data[2] != 8)
		return error_set(err, ERR_FORMAT_MALFORMED, "gzip method %u, which does not exist", in.data[2]);
	if (in.len > 3 && in.data[3] & FRESERVED)
		return error_set(err, ERR_FORMAT_MALFORMED, "reserved gzip flags 0x%02x", in.data[3]);
	if (in.len < HEADER_LEN + TRAILER_LEN)
		return error_set(err, ERR_FORMAT_TRUNCATED, "the gzip member is cut short in its header");
	return 0;
}

static size_t first_guess(struct slice in, size_t room)
{
	struct cursor c = cursor_of((struct slice){ in.data + in.len - 4, 4 });
	size_t isize = cursor_u32(&c), plausible;
	if (!size_mul(in.len, GUESS_RATIO, &plausible))
		plausible = SIZE_MAX / 2;
	plausible = MAX(plausible, GUESS_MIN);
	return MIN(isize <= plausible ? MAX(isize, (size_t)64) : GUESS_MIN, room);
}

/*
 * libdeflate says only "bad data". Inflating the bare deflate stream again, into the room that sufficed or failed
 * before, tells whether the trailer is at fault; a bad stream itself may be cut short as well as damaged.
 */
static int explain(struct gz *z, struct slice in, uint8_t *dst, size_t room, struct error *err)
{
	struct cursor c = cursor_of(in);
	if (!skip_header(&c))
		return error_set(err, ERR_FORMAT_TRUNCATED, "the gzip member is cut short in its header");
	size_t used, len;
	if (libdeflate_deflate_decompress_ex(z->d, c.p, cursor_left(&c), dst, room, &used, &len) !=
	    LIBDEFLATE_SUCCESS)
		return error_set(err, ERR_FORMAT_TRUNCATED, "the gzip data is cut short or damaged");
	cursor_bytes(&c, used);
	if (cursor_left(&c) < TRAILER_LEN)
		return error_set(err, ERR_FORMAT_TRUNCATED, "the gzip member is cut short in its checksum");
	uint32_t crc = cursor_u32(&c), isize = cursor_u32(&c);
	if (crc != libdeflate_crc32(0, dst, len))
		return error_set(err, ERR_FORMAT_MALFORMED, "the gzip checksum does not match");
	return error_set(err, ERR_FORMAT_MALFORMED,
	                 "the gzip length does not match: %u said, %zu found", isize, len);
}

int gz_member(struct gz *z, struct slice in, struct buf *out, size_t *ret_used, struct error *err)
{
	int e = judge_header(in, err);
	if (e)
		return e;
	size_t most = out->max - MIN(out->len, out->max), room = first_guess(in, most);
	for (;;) {
		size_t slack = MIN((size_t)SLACK, most - room), used, len;
		uint8_t *dst = buf_reserve(out, room + slack);
		if (!dst)
			return error_set(err, buf_err(out), "no memory for the gzip contents");
		enum libdeflate_result r = libdeflate_gzip_decompress_ex(z->d, in.data, in.len, dst, room + slack,
		                                                         &used, &len);
		if (r == LIBDEFLATE_SUCCESS) {
			out->len += len;
			*ret_used = used;
			return 0;
		}
		if (r != LIBDEFLATE_INSUFFICIENT_SPACE)
			return explain(z, in, dst, room + slack, err);
		if (room + slack >= most)
			return error_set(err, ERR_FORMAT_LIMIT,
			                 "over the limit of %zu bytes when decompressed", out->max);
		room = room > most / 2 ? most : room * 2;
	}
}

int gz_compress(struct slice in, int level, struct buf *out)
{
	struct libdeflate_compressor *c = libdeflate_alloc_compressor(level);
	if (!c)
		return -ENOMEM;
	uint8_t *dst = buf_reserve(out, libdeflate_gzip_compress_bound(c, in.len));
	size_t n = dst ? libdeflate_gzip_compress(c, in.data, in.len, dst, out->cap - out->len) : 0;
	libdeflate_free_compressor(c);
	out->len += n;
	return buf_err(out);
}

/* SPDX-License-Identifier: MIT */

/* reencode: the profile on standard input, decoded and written as pprof on standard output. For reencode.sh. */

#include "core/format/format.h"

static void read_all(struct buf *in)
{
	size_t n = 1;
	while (n) {
		uint8_t *room = buf_reserve(in, 64 << 10);
		n = room ? fread(room, 1, 64 << 10, stdin) : 0;
		in->len += n;
	}
}

int main(void)
{
	_buf_ struct buf in = BUF_INIT(256 << 20), out = BUF_INIT(256 << 20);
	struct error err = { 0 };
	struct decoded_list doc = { 0 };
	_cleanup_(format_reader_freep) struct format_reader *r = NULL;
	read_all(&in);
	int e = format_reader_new(buf_slice(&in), NULL, &r, &err);
	e = e ? e : format_reader_next(r, &doc, &err);
	e = e < 0 || !doc.n ? e : pprof_encode(&doc.v[0].profile, &out);
	if (e)
		fprintf(stderr, "reencode: %s\n", error_text(&err, e));
	return e || fwrite(out.data, 1, out.len, stdout) != out.len;
}

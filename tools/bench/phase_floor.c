/* SPDX-License-Identifier: MIT */
#include "../../core/wire/gz.h"
#include "../../core/wire/pb.h"
#include "bench.h"
#include "files.h"
#include "measure.h"
#include "phases.h"

/* Every varint of a message whose fields are numbers or packed numbers. */
static uint64_t walk_flat(struct slice message)
{
	struct cursor c = cursor_of(message);
	struct pb_field f = { 0 };
	uint64_t sum = 0;
	while (pb_next(&c, &f)) {
		if (f.wire != PB_LEN) {
			sum += f.value;
			continue;
		}
		struct cursor packed = cursor_of(f.bytes);
		while (cursor_left(&packed))
			sum += cursor_varint(&packed);
	}
	return sum;
}

/* profile.proto: 2 sample, 3 mapping, 4 location, 5 function; lines and labels are walked as if packed. */
static uint64_t walk(struct slice profile)
{
	struct cursor c = cursor_of(profile);
	struct pb_field f = { 0 };
	uint64_t sum = 0;
	while (pb_next(&c, &f))
		sum += f.wire == PB_LEN && f.number >= 2 && f.number <= 5 ? walk_flat(f.bytes) : f.bytes.len;
	return sum;
}

int phase_floor(void *arg)
{
	struct run *r = arg;
	_cleanup_(gz_freep) struct gz *gz = NULL;
	_buf_ struct buf in = BUF_INIT((size_t)256 << 20), raw = BUF_INIT((size_t)256 << 20);
	_free_ char *path = NULL;
	struct error err = { 0 };
	uint64_t sum = 0, raw_bytes = 0;
	size_t used;
	int e = gz_new(&gz);
	struct stopwatch start = stopwatch_start();
	for (size_t i = 0; !e && i < r->data.n; i++) {
		free(path);
		if (asprintf(&path, "%s/%s", r->data.dir, r->data.v[i].path) < 0)
			return -ENOMEM;
		buf_reset(&raw);
		e = file_read(path, &in, &err);
		if (!e)
			e = gz_member(gz, buf_slice(&in), &raw, &used, &err);
		sum += walk(buf_slice(&raw));
		raw_bytes += raw.len;
	}
	struct stopwatch t = stopwatch_read(&start);
	if (e) {
		complain("%s", error_text(&err, e));
		return e;
	}
	struct figure f;
	r->shared->floor_rate = (double)r->data.n * 1e9 / (double)t.cpu;
	figure_begin(&f, "floor");
	figure_count(&f, "profiles", r->data.n);
	figure_number(&f, "cpu_s", (double)t.cpu / 1e9);
	figure_number(&f, "profiles_per_cpu_s", r->shared->floor_rate);
	figure_number(&f, "mb_gz_per_s", (double)r->data.gz_bytes * 1e3 / (double)t.wall);
	figure_number(&f, "mb_raw", (double)raw_bytes / 1e6);
	figure_count(&f, "checksum", sum & 0xffff);
	figure_end(&f);
	return 0;
}

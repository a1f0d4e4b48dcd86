/* SPDX-License-Identifier: MIT */

/*
 * Runs a fuzz target over all files below the directories that are named: each whole, cut in several places, and with
 * some of its bytes changed. The changes are the same in every run.
 */

#include <ftw.h>
#include <string.h>

#include "fuzz.h"

#define SMALL ((size_t)256 << 10) /* larger files are run whole only */

static size_t files;

static void run_changed(const struct buf *b)
{
	uint32_t x = (uint32_t)b->len * 2654435761u + 1;
	_free_ uint8_t *copy = malloc(b->len);
	if (!copy)
		abort();
	for (size_t round = 0; round < 20; round++) {
		memcpy(copy, b->data, b->len);
		for (size_t i = 0; i < 1 + round / 4; i++) {
			x = x * 1664525 + 1013904223;
			copy[x % b->len] ^= 1 << (x >> 29);
		}
		LLVMFuzzerTestOneInput(copy, b->len);
		LLVMFuzzerTestOneInput(copy, x % b->len);
	}
}

static int run_file(const char *path, const struct stat *st, int type)
{
	if (type != FTW_F)
		return 0;
	_fclose_ FILE *f = fopen(path, "rbe");
	_buf_ struct buf b = BUF_INIT(64 << 20);
	for (size_t n = f != NULL; n;) {
		uint8_t *room = buf_reserve(&b, 64 << 10);
		n = room ? fread(room, 1, 64 << 10, f) : 0;
		b.len += n;
	}
	LLVMFuzzerTestOneInput(b.data, b.len);
	if (b.len && b.len <= SMALL)
		run_changed(&b);
	files++;
	return 0;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (ftw(argv[i], run_file, 16))
			return 1;
	printf("%zu files\n", files);
	return files == 0;
}

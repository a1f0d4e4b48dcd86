/* SPDX-License-Identifier: MIT */
#include <malloc.h>
#include <stdarg.h>
#include <string.h>

#include "bench.h"

void complain(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("bench: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

int main(int argc, char **argv)
{
	mallopt(M_MMAP_THRESHOLD, 16 << 20); /* as profilefs does */
	mallopt(M_TRIM_THRESHOLD, 16 << 20);
	if (argc > 1 && !strcmp(argv[1], "gen"))
		return bench_gen(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "run"))
		return bench_run(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "render"))
		return bench_render(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "ranges"))
		return bench_ranges(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "scale"))
		return bench_scale(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "receive"))
		return bench_receive(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[1], "beside"))
		return bench_beside(argc - 1, argv + 1);
	complain("usage: bench gen [options] DIR | bench run [options] DIR | bench render [--nodes N] | "
	         "bench ranges [options] | bench scale [options] | bench receive [options] DIR | "
	         "bench beside [options] DIR");
	return 2;
}

/* SPDX-License-Identifier: MIT */
#pragma once

/* The benchmarks: data sets, and figures on them, one JSON object a line. */

#include "../../core/base/macros.h"

int bench_gen(int argc, char **argv);
int bench_run(int argc, char **argv);
int bench_render(int argc, char **argv);
int bench_ranges(int argc, char **argv);
int bench_receive(int argc, char **argv);
int bench_scale(int argc, char **argv);
int bench_beside(int argc, char **argv);

/* "bench: ..." on stderr. */
void complain(const char *fmt, ...) _printf_(1, 2);

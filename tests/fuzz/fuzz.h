/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * A fuzz target is LLVMFuzzerTestOneInput() in a file of its own. With clang each is linked with libFuzzer
 * (`fuzz_pprof CORPUS_DIR`); with any compiler each is linked with run_corpus.c, which runs it over files as a test.
 */

#include "core/format/format.h"

#define FUZZ_MAX_BYTES ((size_t)16 << 20) /* keeps one input cheap */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Ends the process where an accepted profile is unsound, or not the same after encoding and decoding. */
void fuzz_check_profile(const struct profile *p);

/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Bytes as people write them: "1000", "64K", "64M", "2G", "1T", of powers of 1024, with "B" or "iB" behind the letter
 * where they like. Nothing before or after it; below 2^63.
 */
bool size_parse(const char *text, uint64_t *ret);

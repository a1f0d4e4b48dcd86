/* SPDX-License-Identifier: MIT */
#pragma once

/* The digests that S3 asks for, from libcrypto. They fail only where libcrypto cannot work at all: ERR_STORE. */

#include "../base/err.h"

#define SHA256_LEN 32
#define SHA256_HEX (2 * SHA256_LEN + 1) /* with NUL */
#define MD5_BASE64 25                   /* with NUL */

int digest_sha256_hex(struct slice data, char ret[SHA256_HEX]);
int digest_hmac_sha256(struct slice key, struct slice data, uint8_t ret[SHA256_LEN]);
int digest_md5_base64(struct slice data, char ret[MD5_BASE64]);

/* Lower-case hex of n bytes, with NUL. */
void digest_hex(const uint8_t *data, size_t n, char *ret);

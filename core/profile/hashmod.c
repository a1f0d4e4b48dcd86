/* SPDX-License-Identifier: MIT */
#include <openssl/evp.h>

#include "relabel_rule.h"

int hashmod(struct str s, uint64_t modulus, uint64_t *ret)
{
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	if (!EVP_Digest(s.s, s.len, md, &n, EVP_md5(), NULL) || n != 16)
		return -ENOTSUP;
	uint64_t v = 0;
	for (size_t i = 8; i < 16; i++)
		v = v << 8 | md[i];
	*ret = v % modulus;
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

void digest_hex(const uint8_t *data, size_t n, char *ret)
{
	static const char hex[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		ret[2 * i] = hex[data[i] >> 4];
		ret[2 * i + 1] = hex[data[i] & 15];
	}
	ret[2 * n] = '\0';
}

int digest_sha256_hex(struct slice data, char ret[SHA256_HEX])
{
	uint8_t md[SHA256_LEN];
	if (!EVP_Digest(data.data, data.len, md, NULL, EVP_sha256(), NULL))
		return ERR_STORE;
	digest_hex(md, sizeof md, ret);
	return 0;
}

int digest_hmac_sha256(struct slice key, struct slice data, uint8_t ret[SHA256_LEN])
{
	return HMAC(EVP_sha256(), key.data, (int)key.len, data.data, data.len, ret, NULL) ? 0 : ERR_STORE;
}

int digest_md5_base64(struct slice data, char ret[MD5_BASE64])
{
	uint8_t md[EVP_MAX_MD_SIZE];
	unsigned n;
	if (!EVP_Digest(data.data, data.len, md, &n, EVP_md5(), NULL))
		return ERR_STORE;
	EVP_EncodeBlock((unsigned char *)ret, md, (int)n);
	return 0;
}

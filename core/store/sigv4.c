/* SPDX-License-Identifier: MIT */
#include "sigv4.h"

#include <string.h>

#include "../base/clock.h"
#include "digest.h"

#define CANONICAL_MAX ((size_t)32768)
#define SECRET_MAX ((size_t)1024)

void sigv4_time(int64_t t, char ret[SIGV4_TIME])
{
	struct civil c = civil_of(t);
	char all[64];
	snprintf(all, sizeof all, "%04d%02d%02dT%02d%02d%02dZ", c.year, c.month, c.day, c.hour, c.minute, c.second);
	memcpy(ret, all, SIGV4_TIME);
	ret[SIGV4_TIME - 1] = '\0';
}

void sigv4_encode(struct buf *out, struct str s, bool keep_slash)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.s[i];
		bool stays = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		             c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash);
		if (stays)
			buf_putc(out, c);
		else
			buf_printf(out, "%%%02X", (uint8_t)c);
	}
}

static void put_signed_names(const struct sigv4_request *r, struct buf *out)
{
	for (size_t i = 0; i < r->n_headers; i++) {
		if (i)
			buf_putc(out, ';');
		buf_puts(out, r->headers[i].name);
	}
}

static void put_canonical(const struct sigv4_request *r, struct buf *out)
{
	buf_printf(out, "%s\n%s\n%s\n", r->method, r->path, r->query);
	for (size_t i = 0; i < r->n_headers; i++)
		buf_printf(out, "%s:%s\n", r->headers[i].name, r->headers[i].value);
	buf_putc(out, '\n');
	put_signed_names(r, out);
	buf_printf(out, "\n%s", r->payload);
}

static void put_scope(const struct sigv4_request *r, struct buf *out)
{
	buf_printf(out, "%.8s/%s/%s/aws4_request", r->time, r->region, r->service);
}

static struct slice bytes_of(const char *s)
{
	return (struct slice){ (const uint8_t *)s, strlen(s) };
}

/* The key of a day, region and service, which the secret cannot be told from. */
static int signing_key(const struct sigv4_request *r, const char *secret, uint8_t ret[SHA256_LEN])
{
	_buf_ struct buf first = BUF_INIT(SECRET_MAX);
	buf_printf(&first, "AWS4%s", secret);
	if (buf_err(&first))
		return buf_err(&first);
	struct slice parts[] = { { (const uint8_t *)r->time, 8 }, bytes_of(r->region), bytes_of(r->service),
		                 bytes_of("aws4_request") };
	int e = digest_hmac_sha256(buf_slice(&first), parts[0], ret);
	explicit_bzero(first.data, first.len);
	for (size_t i = 1; i < ARRAY_SIZE(parts) && e == 0; i++) {
		uint8_t key[SHA256_LEN];
		memcpy(key, ret, sizeof key);
		e = digest_hmac_sha256((struct slice){ key, sizeof key }, parts[i], ret);
	}
	return e;
}

static int sign(const struct sigv4_request *r, const char *secret, char ret[SHA256_HEX])
{
	_buf_ struct buf text = BUF_INIT(CANONICAL_MAX);
	uint8_t key[SHA256_LEN], mac[SHA256_LEN];
	char hash[SHA256_HEX];
	put_canonical(r, &text);
	int e = buf_err(&text) ?: digest_sha256_hex(buf_slice(&text), hash);
	if (e < 0)
		return e;
	buf_reset(&text);
	buf_printf(&text, "AWS4-HMAC-SHA256\n%s\n", r->time);
	put_scope(r, &text);
	buf_printf(&text, "\n%s", hash);
	e = buf_err(&text) ?: signing_key(r, secret, key);
	if (e == 0)
		e = digest_hmac_sha256((struct slice){ key, sizeof key }, buf_slice(&text), mac);
	if (e == 0)
		digest_hex(mac, sizeof mac, ret);
	return e;
}

int sigv4_authorization(const struct sigv4_request *r, const struct sigv4_keys *keys, struct buf *out)
{
	char signature[SHA256_HEX];
	int e = sign(r, keys->secret, signature);
	if (e < 0)
		return e;
	buf_printf(out, "AWS4-HMAC-SHA256 Credential=%s/", keys->id);
	put_scope(r, out);
	buf_puts(out, ", SignedHeaders=");
	put_signed_names(r, out);
	buf_printf(out, ", Signature=%s", signature);
	return buf_err(out);
}

/* SPDX-License-Identifier: MIT */
#include "keys.h"

#include <string.h>

#include "../base/hash.h"
#include "../base/pct.h"
#include "../debug/debug.h"
#include "db.h"

static char *finish(struct buf *b)
{
	buf_u8(b, 0);
	size_t len;
	if (buf_err(b)) {
		buf_done(b);
		return NULL;
	}
	return (char *)buf_take(b, &len);
}

#define COMPONENT_MAX 200 /* file systems allow 255 */

/* A component of the encoded name: only a cut one has a '~' in it. */
static void put_name(struct buf *b, struct str name)
{
	size_t at = b->len;
	b->max = KEY_MAX + 3 * name.len;
	pct_encode_key(b, name);
	if (!buf_err(b) && b->len - at > COMPONENT_MAX) {
		b->len = at + COMPONENT_MAX;
		buf_printf(b, "~%016llx", (unsigned long long)hash_bytes(name.s, name.len));
	}
	b->max = KEY_MAX;
	if (b->len > KEY_MAX)
		b->err = ERR_LIMIT_BUFFER;
}

static struct buf begin(const char *tenant, const char *folder)
{
	struct buf b = BUF_INIT(KEY_MAX);
	put_name(&b, str_of(tenant));
	buf_printf(&b, "/%s/", folder);
	return b;
}

static void put_day(struct buf *b, int32_t day)
{
	char text[DAY_LEN];
	buf_puts(b, day_format(day, text));
}

char *key_segment(const char *tenant, int32_t day, const struct ulid *ulid, const char *filter)
{
	char id[ULID_LEN + 1];
	struct buf b = begin(tenant, "seg");
	put_day(&b, day);
	buf_printf(&b, "/%s.%s", ulid_format(ulid, id), filter);
	return finish(&b);
}

char *key_block(const char *tenant, int32_t day, const struct ulid *ulid)
{
	char id[ULID_LEN + 1];
	struct buf b = begin(tenant, "blk");
	put_day(&b, day);
	buf_printf(&b, "/%s", ulid_format(ulid, id));
	return finish(&b);
}

char *key_catalog(const char *tenant, int32_t day, uint64_t version)
{
	struct buf b = begin(tenant, "cat");
	put_day(&b, day);
	buf_printf(&b, "/%012llx", (unsigned long long)(CATALOG_LAST - version));
	return finish(&b);
}

char *key_settings(const char *tenant, uint64_t version)
{
	struct buf b = begin(tenant, "set");
	buf_printf(&b, "%012llx", (unsigned long long)(CATALOG_LAST - version));
	return finish(&b);
}

char *key_debug(const char *tenant, const char *build_id, bool dwarf)
{
	struct buf b = begin(tenant, "dbg");
	buf_printf(&b, "%s.%c", build_id, dwarf ? 'd' : 's');
	return finish(&b);
}

char *key_marker(const char *tenant, struct str service, int32_t day)
{
	struct buf b = begin(tenant, "svc");
	put_name(&b, service);
	buf_u8(&b, '/');
	put_day(&b, day);
	return finish(&b);
}

char *key_under(const char *tenant, const char *folder)
{
	struct buf b = begin(tenant, folder);
	return finish(&b);
}

char *key_day(const char *tenant, const char *folder, int32_t day)
{
	struct buf b = begin(tenant, folder);
	put_day(&b, day);
	buf_u8(&b, '/');
	return finish(&b);
}

char *key_service(const char *tenant, struct str service)
{
	struct buf b = begin(tenant, "svc");
	put_name(&b, service);
	buf_u8(&b, '/');
	return finish(&b);
}

/* "DAY/": the position behind it, or NULL. */
static const char *parse_day(const char *rest, int32_t *ret)
{
	const char *slash = strchr(rest, '/');
	if (!slash || !day_parse(rest, (size_t)(slash - rest), ret))
		return NULL;
	return slash + 1;
}

bool key_parse_segment(const char *rest, int32_t *ret_day, struct ulid *ret_ulid, const char **ret_filter)
{
	const char *name = parse_day(rest, ret_day);
	if (!name)
		return false;
	const char *dot = strchr(name, '.');
	if (!dot || !ulid_parse(name, (size_t)(dot - name), ret_ulid))
		return false;
	*ret_filter = dot + 1;
	return true;
}

bool key_parse_block(const char *rest, int32_t *ret_day, struct ulid *ret_ulid)
{
	const char *name = parse_day(rest, ret_day);
	return name && ulid_parse(name, strlen(name), ret_ulid);
}

bool key_parse_version(const char *name, uint64_t *ret)
{
	if (strlen(name) != 12 || strspn(name, "0123456789abcdef") != 12)
		return false;
	*ret = CATALOG_LAST - strtoull(name, NULL, 16);
	return true;
}

bool key_parse_catalog(const char *rest, int32_t *ret_day, uint64_t *ret_version)
{
	const char *name = parse_day(rest, ret_day);
	return name && key_parse_version(name, ret_version);
}

bool key_parse_debug(const char *rest, char *ret_id, bool *ret_dwarf)
{
	size_t n = strspn(rest, "0123456789abcdef");
	if (n == 0 || n > 2 * BUILD_ID_MAX || (strcmp(rest + n, ".d") && strcmp(rest + n, ".s")))
		return false;
	memcpy(ret_id, rest, n);
	ret_id[n] = '\0';
	*ret_dwarf = rest[n + 1] == 'd';
	return true;
}

/* ---- the filter ---- */

#define FILTER_MAX_BYTES 64
#define FILTER_PROBES 4

static uint32_t probe(uint64_t hash, unsigned i, uint32_t bits)
{
	return (uint32_t)(hash >> (16 * i)) % bits;
}

void filter_make(const struct str *services, size_t n, char ret[FILTER_LEN])
{
	static const char hex[] = "0123456789abcdef";
	uint8_t bits[FILTER_MAX_BYTES] = { 0 };
	uint32_t bytes = 4;
	while (bytes < 2 * n && bytes < FILTER_MAX_BYTES)
		bytes *= 2;
	if (n > 2 * FILTER_MAX_BYTES) {
		strcpy(ret, "x");
		return;
	}
	for (size_t s = 0; s < n; s++) {
		uint64_t hash = hash_bytes(services[s].s, services[s].len);
		for (unsigned i = 0; i < FILTER_PROBES; i++) {
			uint32_t bit = probe(hash, i, bytes * 8);
			bits[bit / 8] |= (uint8_t)(1u << (bit % 8));
		}
	}
	for (uint32_t i = 0; i < bytes; i++) {
		ret[2 * i] = hex[bits[i] >> 4];
		ret[2 * i + 1] = hex[bits[i] & 15];
	}
	ret[2 * bytes] = '\0';
}

static int hex_value(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool filter_may_hold(const char *filter, struct str service)
{
	size_t len = strlen(filter);
	if (len < 8 || len % 2 || strspn(filter, "0123456789abcdef") != len)
		return true;
	uint64_t hash = hash_bytes(service.s, service.len);
	for (unsigned i = 0; i < FILTER_PROBES; i++) {
		uint32_t bit = probe(hash, i, (uint32_t)len * 4);
		int high = hex_value(filter[bit / 8 * 2]), low = hex_value(filter[bit / 8 * 2 + 1]);
		if (!((high << 4 | low) >> (bit % 8) & 1))
			return false;
	}
	return true;
}

bool db_key_immutable(const char *key)
{
	const char *folder = strchr(key, '/');
	return folder && (strncmp(folder, "/seg/", 5) == 0 || strncmp(folder, "/blk/", 5) == 0 ||
	                  strncmp(folder, "/dbg/", 5) == 0);
}

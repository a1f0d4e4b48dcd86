/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Keys of the store (docs/format.md "Objects").
 *
 *     FORMAT
 *     TENANT/seg/DAY/ULID.F     F: which services may be inside, as a Bloom filter
 *     TENANT/blk/DAY/ULID
 *     TENANT/cat/DAY/N          N: 12 hex digits, falling: a LIST shows the newest version first
 *     TENANT/set/N
 *     TENANT/svc/SERVICE/DAY
 *     TENANT/dbg/ID.K         K: d with lines, s names alone
 *
 * A tenant or service whose encoded name is over 200 bytes is cut there and completed by '~' and 16 hex digits of
 * its hash; a marker's contents are the service's name, so it is known all the same.
 */

#include "../base/clock.h"
#include "../base/ulid.h"
#include "../profile/label.h"

#define KEY_MAX 1024
#define KEY_FORMAT "FORMAT"
#define CATALOG_LAST UINT64_C(0xffffffffffff)

/* Each returns a new string, or NULL out of memory or over KEY_MAX. */
char *key_segment(const char *tenant, int32_t day, const struct ulid *ulid, const char *filter);
char *key_block(const char *tenant, int32_t day, const struct ulid *ulid);
char *key_catalog(const char *tenant, int32_t day, uint64_t version);
char *key_settings(const char *tenant, uint64_t version);
char *key_debug(const char *tenant, const char *build_id, bool dwarf);
char *key_marker(const char *tenant, struct str service, int32_t day);
char *key_under(const char *tenant, const char *folder); /* "TENANT/folder/" */
char *key_day(const char *tenant, const char *folder, int32_t day); /* "TENANT/folder/DAY/" */
char *key_service(const char *tenant, struct str service); /* "TENANT/svc/SERVICE/" */

/* What is behind the folder's prefix: "DAY/ULID.F". */
bool key_parse_segment(const char *rest, int32_t *ret_day, struct ulid *ret_ulid, const char **ret_filter);
bool key_parse_block(const char *rest, int32_t *ret_day, struct ulid *ret_ulid);
bool key_parse_version(const char *name, uint64_t *ret); /* N, of catalogs and settings */
bool key_parse_catalog(const char *rest, int32_t *ret_day, uint64_t *ret_version);

/* "ID.K": ret_id has room for 2 * BUILD_ID_MAX + 1 bytes. */
bool key_parse_debug(const char *rest, char *ret_id, bool *ret_dwarf);

/*
 * The filter of a segment's services: 16 bits a service and four probes, at most 64 bytes, in lower-case hex; "x" (any
 * service) beyond 128 services.
 */
#define FILTER_LEN 129
void filter_make(const struct str *services, size_t n, char ret[FILTER_LEN]);
bool filter_may_hold(const char *filter, struct str service); /* true also for what it cannot read */

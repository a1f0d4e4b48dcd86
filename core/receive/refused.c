/* SPDX-License-Identifier: MIT */
#include "internal.h"

/*
 * The codes of a refusal. 413 is for what is too large by itself, whenever it is sent; 429 and 503 for what may be
 * taken later. gRPC's are the numbers of google.rpc.Code; a client of OTLP tries RESOURCE_EXHAUSTED (8) again only
 * where a delay is given.
 */
const struct refused_kind refused_kinds[REFUSED_N] = {
	[REFUSED_NOT] = { "none", 200, 0, "", 0 },
	[REFUSED_MALFORMED] = { "malformed", 400, 3, "invalid_argument", 0 },
	[REFUSED_AUTH] = { "unauthorized", 401, 16, "unauthenticated", 0 },
	[REFUSED_TENANT] = { "tenant", 400, 3, "invalid_argument", 0 },
	[REFUSED_PATH] = { "path", 404, 12, "not_found", 0 },
	[REFUSED_METHOD] = { "method", 405, 12, "not_found", 0 },
	[REFUSED_BODY] = { "body_bytes", 413, 8, "resource_exhausted", 0 },
	[REFUSED_SIZE] = { "profile_bytes", 413, 8, "resource_exhausted", 0 },
	[REFUSED_LABELS] = { "labels", 413, 8, "resource_exhausted", 0 },
	[REFUSED_SERIES] = { "series", 429, 8, "resource_exhausted", 60 },
	[REFUSED_RATE] = { "rate", 429, 8, "resource_exhausted", 1 },
	[REFUSED_FLIGHT] = { "in_flight", 429, 8, "resource_exhausted", 1 },
	[REFUSED_MEMORY] = { "memory", 429, 8, "resource_exhausted", 1 },
	[REFUSED_STORE] = { "store", 503, 14, "unavailable", 2 },
	[REFUSED_STOPPING] = { "stopping", 503, 14, "unavailable", 1 },
};

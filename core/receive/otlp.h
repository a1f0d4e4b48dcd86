/* SPDX-License-Identifier: MIT */
#pragma once

#include "internal.h"

#define OTLP_GRPC_PATH "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export"

/* Why a request was refused as a google.rpc.Status in base64, with the delay after which it may be tried again. */
void otlp_status_text(const struct request *rq, struct buf *out);

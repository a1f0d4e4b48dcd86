/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * libs3, loaded when the first store of signature version 2 is opened. It comes with a libcurl, a TLS library and an
 * ICU of its own, whose loading would take longer than most commands of ours do.
 */

#include <libs3.h>

struct libs3 {
	typeof(&S3_initialize) initialize;
	typeof(&S3_get_status_name) get_status_name;
	typeof(&S3_status_is_retryable) status_is_retryable;
	typeof(&S3_put_object) put_object;
	typeof(&S3_get_object) get_object;
	typeof(&S3_head_object) head_object;
	typeof(&S3_delete_object) delete_object;
	typeof(&S3_list_bucket) list_bucket;
};

/* Once s3_v2_load() has returned 0; for ever. */
const struct libs3 *libs3(void);

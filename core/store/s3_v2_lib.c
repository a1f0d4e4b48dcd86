/* SPDX-License-Identifier: MIT */
#include "s3_v2_lib.h"

#include <dlfcn.h>
#include <pthread.h>
#include <string.h>

#include "s3.h"

#define FILE_NAME "libs3.so.2" /* of the version whose header this is compiled with */

static struct libs3 lib;
static struct error why; /* of what could not be loaded; code 0: nothing */

static void *find(void *from, const char *name)
{
	void *f = dlsym(from, name);
	if (!f && !why.code)
		error_set(&why, -ENOSYS, FILE_NAME " has no %s", name);
	return f;
}

/* By memcpy, as C knows no conversion of an object's pointer to a function's. */
#define FIND(from, name)                                \
	do {                                            \
		void *f = find(from, "S3_" #name);      \
		memcpy(&lib.name, &f, sizeof f);        \
	} while (0)

static void load(void)
{
	void *from = dlopen(FILE_NAME, RTLD_NOW | RTLD_LOCAL);
	if (!from) {
		error_set(&why, -ENOENT, "signature=v2 needs libs3: %s", dlerror());
		return;
	}
	FIND(from, initialize);
	FIND(from, get_status_name);
	FIND(from, status_is_retryable);
	FIND(from, put_object);
	FIND(from, get_object);
	FIND(from, head_object);
	FIND(from, delete_object);
	FIND(from, list_bucket);
}

int s3_v2_load(struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, load);
	return why.code ? error_set(err, why.code, "%s", why.text) : 0;
}

const struct libs3 *libs3(void)
{
	return &lib;
}

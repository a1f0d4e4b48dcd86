/* SPDX-License-Identifier: MIT */
#include "err.h"

#include <string.h>

static const struct {
	int code;
	const char *name, *text;
} tree[] = {
#define X(name, number, root, text) { name, #name, text },
	ERR_TREE(X)
#undef X
};

bool err_is_damage(int e)
{
	return e == ERR_CORRUPT || e == ERR_CORRUPT_CHECKSUM || e == ERR_CORRUPT_LAYOUT || e == ERR_CORRUPT_MISSING ||
	       e == ERR_STORE_RANGE;
}

const char *err_name(int e)
{
	for (size_t i = 0; i < ARRAY_SIZE(tree); i++)
		if (tree[i].code == e)
			return tree[i].name;
	const char *name = strerrorname_np(err_errno(e));
	return name ? name : "unknown error";
}

const char *err_text(int e)
{
	for (size_t i = 0; i < ARRAY_SIZE(tree); i++)
		if (tree[i].code == e)
			return tree[i].text;
	const char *text = strerrordesc_np(err_errno(e));
	return text ? text : "unknown error";
}

int error_set(struct error *err, int code, const char *fmt, ...)
{
	if (!err)
		return code;
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof err->text, fmt, ap);
	va_end(ap);
	err->code = code;
	return code;
}

int error_at(struct error *err, int code, const char *fmt, ...)
{
	if (!err)
		return code;
	char where[sizeof err->text], why[sizeof err->text];
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(where, sizeof where, fmt, ap);
	va_end(ap);
	snprintf(why, sizeof why, "%s", error_text(err, code));
	int n = snprintf(err->text, sizeof err->text, "%s: ", where);
	size_t at = MIN((size_t)MAX(n, 0), sizeof err->text - 1);
	size_t len = MIN(strlen(why), sizeof err->text - 1 - at);
	memcpy(err->text + at, why, len);
	err->text[at + len] = '\0';
	if (!err->code)
		err->code = code;
	return err->code;
}

const char *error_text(const struct error *err, int code)
{
	return err && err->text[0] ? err->text : err_text(code);
}

/* SPDX-License-Identifier: MIT */
#pragma once

/* Asks xmllint whether a text is well-formed XML. */

#include "given.h"

#define NO_XMLLINT 127

/* 0: well-formed; NO_XMLLINT: there is none. */
static int xmllint_verdict(const char *xml)
{
	char path[] = "/tmp/render-XXXXXX";
	int fd = mkstemp(path);
	assert_true(fd >= 0);
	size_t n = strlen(xml);
	assert_int_equal(write(fd, xml, n), n);
	close(fd);
	char command[200];
	snprintf(command, sizeof command,
	         "command -v xmllint >/dev/null || exit %d; xmllint --huge --noout %s", NO_XMLLINT, path);
	int status = system(command);
	unlink(path);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#define assert_well_formed(xml)                                                                    \
	do {                                                                                       \
		int _verdict = xmllint_verdict(xml);                                               \
		if (_verdict == NO_XMLLINT) {                                                      \
			print_message("SKIPPED: xmllint is not installed\n");                      \
			skip();                                                                    \
		}                                                                                  \
		assert_int_equal(_verdict, 0);                                                     \
	} while (0)

/* SPDX-License-Identifier: MIT */
#pragma once

/* profilefs rules --remote-write: the values of the store's rules to a server, history included. */

#include "../../core/paths/remote_write.h"
#include "common.h"

struct rules_send {
	struct remote_options remote;
	const char *state; /* a file that keeps until when each rule's values were sent; NULL */
	int64_t since;     /* for rules that it does not have */
	int64_t delay;     /* ns that a step waits for late profiles */
	int64_t late;      /* ns before what was sent that is looked at again; 0 */
	bool watch;
};

/* Sends what has ended, or goes on for ever. The exit code. */
int rules_send(struct session *s, const struct rules_send *o);

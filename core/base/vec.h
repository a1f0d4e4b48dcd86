/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Growing arrays of any type: VEC(struct thing) things = { 0 };  *VEC_PUSH(&things) = thing;  ...  VEC_DONE(&things).
 * VEC_PUSH and VEC_GROW yield NULL when out of memory or over VEC_MAX_BYTES.
 */

#include "macros.h"

#define VEC_MAX_BYTES ((size_t)4 << 30)

#define VEC(type)                                                                                  \
	struct {                                                                                   \
		type *v;                                                                           \
		size_t n, cap;                                                                     \
	}

void *vec_grow(void *v, size_t *cap, size_t need, size_t size);

/* Room for `more` further elements: the address of the first (n is not moved), or NULL. */
#define VEC_GROW(vec, more)                                                                        \
	({                                                                                         \
		__typeof__((vec)->v) _at = NULL;                                                   \
		size_t _need = (vec)->n + (more);                                                  \
		void *_v = _need <= (vec)->cap && (vec)->v                                         \
		                   ? (vec)->v                                                      \
		                   : vec_grow((vec)->v, &(vec)->cap, _need, sizeof *(vec)->v);     \
		if (_v) {                                                                          \
			(vec)->v = _v;                                                             \
			_at = (vec)->v + (vec)->n;                                                 \
		}                                                                                  \
		_at;                                                                               \
	})

/* One more element, uninitialised: its address, or NULL. */
#define VEC_PUSH(vec)                                                                              \
	({                                                                                         \
		__typeof__((vec)->v) _e = VEC_GROW(vec, 1);                                        \
		if (_e)                                                                            \
			(vec)->n++;                                                                \
		_e;                                                                                \
	})

#define VEC_DONE(vec)                                                                              \
	do {                                                                                       \
		free((vec)->v);                                                                    \
		(vec)->v = NULL;                                                                   \
		(vec)->n = (vec)->cap = 0;                                                         \
	} while (0)

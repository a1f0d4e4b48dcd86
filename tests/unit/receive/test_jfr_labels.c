/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "core/receive/internal.h"
#include "core/wire/pb.h"

static void put_entry(struct buf *out, uint32_t field, uint64_t key, const struct buf *message, uint64_t number)
{
	struct buf entry = BUF_INIT(1024);
	pb_put_varint(&entry, 1, key);
	if (message)
		pb_put_buf(&entry, 2, message);
	else
		pb_put_varint(&entry, 2, number);
	pb_put_buf(out, field, &entry);
	buf_done(&entry);
}

static void put_text(struct buf *out, uint64_t id, const char *s)
{
	struct buf text = BUF_INIT(64);
	buf_puts(&text, s);
	put_entry(out, 2, id, &text, 0);
	buf_done(&text);
}

/* Context 7 is {route: /cart}, context 9 {route: /pay, user: eve}. */
static void snapshot(struct buf *out)
{
	struct buf seven = BUF_INIT(256), nine = BUF_INIT(256);
	put_entry(&seven, 1, 1, NULL, 2);
	put_entry(&nine, 1, 1, NULL, 3);
	put_entry(&nine, 1, 4, NULL, 5);
	put_entry(out, 1, 9, &nine, 0);
	put_entry(out, 1, 7, &seven, 0);
	put_text(out, 5, "eve");
	put_text(out, 1, "route");
	put_text(out, 2, "/cart");
	put_text(out, 3, "/pay");
	put_text(out, 4, "user");
	buf_done(&seven);
	buf_done(&nine);
}

/* A profile of n samples, each with its context. */
static void make_profile(struct profile *p, const int64_t *contexts, size_t n)
{
	assert_int_equal(profile_init(p, 1 << 20), 0);
	uint32_t key = profile_string(p, "context_id", 10);
	*VEC_PUSH(&p->label_at) = 0;
	for (size_t i = 0; i < n; i++) {
		if (contexts[i])
			*VEC_PUSH(&p->labels) = (struct profile_label){ .key = key, .num = contexts[i], .is_num = true };
		*VEC_PUSH(&p->label_at) = (uint32_t)p->labels.n;
	}
	p->n_samples = n;
}

static void assert_labels(const struct profile *p, size_t sample, const char *want)
{
	char got[256] = "";
	size_t at = 0;
	for (size_t i = p->label_at.v[sample]; i < p->label_at.v[sample + 1]; i++) {
		const struct profile_label *l = &p->labels.v[i];
		struct str k = profile_str(p, l->key), v = profile_str(p, l->str);
		at += (size_t)snprintf(got + at, sizeof got - at, "%.*s=%.*s ", (int)k.len, k.s, (int)v.len, v.s);
	}
	assert_string_equal(got, want);
}

static void test_samples_get_the_labels_of_their_context(void **state)
{
	_buf_ struct buf bytes = BUF_INIT(4096);
	_cleanup_(jfr_labels_freep) struct jfr_labels *l = NULL;
	const int64_t contexts[] = { 7, 0, 9, 8, 7 };
	struct profile p;
	snapshot(&bytes);
	assert_int_equal(jfr_labels_read(buf_slice(&bytes), &l, NULL), 0);
	make_profile(&p, contexts, ARRAY_SIZE(contexts));
	assert_int_equal(jfr_labels_apply(l, &p, 1 << 20), 0);
	assert_labels(&p, 0, "context_id= route=/cart ");
	assert_labels(&p, 1, "");
	assert_labels(&p, 2, "context_id= route=/pay user=eve ");
	assert_labels(&p, 3, "context_id= ");
	assert_labels(&p, 4, "context_id= route=/cart ");
	profile_done(&p);
}

static void test_too_many_labels_are_refused(void **state)
{
	_buf_ struct buf bytes = BUF_INIT(4096);
	_cleanup_(jfr_labels_freep) struct jfr_labels *l = NULL;
	const int64_t contexts[] = { 9, 9 };
	struct profile p;
	snapshot(&bytes);
	assert_int_equal(jfr_labels_read(buf_slice(&bytes), &l, NULL), 0);
	make_profile(&p, contexts, ARRAY_SIZE(contexts));
	assert_int_equal(jfr_labels_apply(l, &p, 4 * sizeof(struct profile_label)), ERR_FORMAT_LIMIT);
	profile_done(&p);
}

static void test_damage_is_refused_wherever_it_is(void **state)
{
	_buf_ struct buf bytes = BUF_INIT(4096);
	snapshot(&bytes);
	for (size_t n = 1; n < bytes.len; n++) {
		struct jfr_labels *l = NULL;
		struct error err = { 0 };
		if (jfr_labels_read((struct slice){ bytes.data, n }, &l, &err))
			assert_non_null(strstr(err.text, "LabelsSnapshot"));
		jfr_labels_free(l);
	}
	for (size_t i = 0; i < bytes.len; i++) {
		struct jfr_labels *l = NULL;
		bytes.data[i] ^= 0xff;
		jfr_labels_read(buf_slice(&bytes), &l, NULL);
		jfr_labels_free(l);
		bytes.data[i] ^= 0xff;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_samples_get_the_labels_of_their_context),
		cmocka_unit_test(test_too_many_labels_are_refused),
		cmocka_unit_test(test_damage_is_refused_wherever_it_is),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

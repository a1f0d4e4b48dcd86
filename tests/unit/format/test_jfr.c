/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/format/jfr.h"

/*
 * A recording is put together here: one class of events, jdk.ExecutionSample, with a stack of one frame. Strings of
 * the metadata are numbered by their order.
 */

static struct buf chunk;
static struct error err;
static struct decoded taken[8];
static size_t n_taken;

static int take(void *ctx, struct decoded *d, struct error *e)
{
	assert_true(n_taken < ARRAY_SIZE(taken));
	assert_int_equal(profile_verify(&d->profile, e), 0);
	struct decoded empty = taken[n_taken];
	taken[n_taken++] = *d;
	*d = empty;
	return 0;
}

static int setup(void **state)
{
	chunk = BUF_INIT(16 << 20);
	n_taken = 0;
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		assert_int_equal(decoded_init(&taken[i], 16 << 20), 0);
	return 0;
}

static int teardown(void **state)
{
	buf_done(&chunk);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		decoded_done(&taken[i]);
	return 0;
}

static int decode(struct slice in)
{
	const struct format_sink sink = { .take = take };
	static const struct format_options opts;
	n_taken = 0;
	return format_jfr.decode_all(in, &opts, &sink, &err);
}

/* ---- putting together ---- */

static void set_big(size_t at, uint64_t v)
{
	for (size_t i = 0; i < 8; i++)
		chunk.data[at + i] = (uint8_t)(v >> (56 - 8 * i));
}

/* Size (in five bytes), type and body. Returns where it begins. */
static size_t put_event(uint64_t type, const struct buf *body)
{
	size_t at = chunk.len;
	buf_put(&chunk, "\x80\x80\x80\x80\0", 5);
	buf_varint(&chunk, type);
	buf_put(&chunk, body->data, body->len);
	size_t size = chunk.len - at;
	for (size_t i = 0; i < 5; i++)
		chunk.data[at + i] = (uint8_t)((size >> 7 * i & 0x7f) | (i < 4 ? 0x80 : 0));
	return at;
}

static void put_text(struct buf *b, const char *s)
{
	buf_u8(b, 3);
	buf_varint(b, strlen(s));
	buf_puts(b, s);
}

static const char *const strings[] = { "root", "metadata", "class", "field", "name", "id", "constantPool", "dimension",
	"true", "1", "jdk.ExecutionSample", "startTime", "stackTrace", "long", "10", "11", "12", "13", "14", "15", "16", "17",
	"jdk.types.StackTrace", "frames", "jdk.types.StackFrame", "method", "lineNumber", "jdk.types.Method",
	"java.lang.String", "int", "self" };

static uint64_t word(const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		if (!strcmp(strings[i], s))
			return i;
	fail_msg("%s is no string", s);
	return 0;
}

static void put_element(struct buf *b, const char *name, const char *const *attributes, uint64_t n, uint64_t children)
{
	buf_varint(b, word(name));
	buf_varint(b, n);
	for (uint64_t i = 0; i < 2 * n; i++)
		buf_varint(b, word(attributes[i]));
	buf_varint(b, children);
}

static void put_class(struct buf *b, const char *name, const char *id, uint64_t fields)
{
	put_element(b, "class", (const char *const[]){ "name", name, "id", id }, 2, fields);
}

/* how: NULL, "constantPool" or "dimension" */
static void put_field(struct buf *b, const char *name, const char *class, const char *how)
{
	const char *value = how && !strcmp(how, "constantPool") ? "true" : "1";
	put_element(b, "field", (const char *const[]){ "name", name, "class", class, how, value }, how ? 3 : 2, 0);
}

/* extra: a class whose only field is itself, in place of int. */
static size_t put_metadata(bool endless)
{
	_buf_ struct buf b = BUF_INIT(1 << 16);
	buf_put(&b, "\0\0\0", 3);
	buf_varint(&b, ARRAY_SIZE(strings));
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++)
		put_text(&b, strings[i]);
	put_element(&b, "root", NULL, 0, 1);
	put_element(&b, "metadata", NULL, 0, 7);
	put_class(&b, "jdk.ExecutionSample", "10", 2);
	put_field(&b, "startTime", "11", NULL);
	put_field(&b, "stackTrace", "12", "constantPool");
	put_class(&b, "long", "11", 0);
	put_class(&b, "jdk.types.StackTrace", "12", 1);
	put_field(&b, "frames", "13", "dimension");
	put_class(&b, "jdk.types.StackFrame", "13", 2);
	put_field(&b, "method", "14", "constantPool");
	put_field(&b, "lineNumber", "16", NULL);
	put_class(&b, "jdk.types.Method", "14", 1);
	put_field(&b, "name", "15", NULL);
	put_class(&b, "java.lang.String", "15", 0);
	put_class(&b, endless ? "self" : "int", "16", endless);
	if (endless)
		put_field(&b, "self", "16", NULL);
	return put_event(0, &b);
}

/* encoding and bytes of the method's name */
static size_t put_constants(const char *name, size_t n, int64_t delta)
{
	_buf_ struct buf b = BUF_INIT(1 << 16);
	buf_put(&b, "\0\0", 2);
	for (unsigned i = 0; i < 8; i++) /* as nine bytes, as negative numbers are */
		buf_u8(&b, (uint8_t)(0x80 | (delta >> 7 * i & 0x7f)));
	buf_u8(&b, (uint8_t)(delta >> 56));
	buf_put(&b, "\0\2", 2);
	buf_put(&b, "\x0c\1\7\1\x05\x2a", 6); /* StackTrace 7: a frame of method 5, line 42 */
	buf_put(&b, "\x0e\1\5", 3);           /* Method 5 */
	buf_put(&b, name, n);
	return put_event(1, &b);
}

static void put_sample(uint64_t ticks)
{
	_buf_ struct buf b = BUF_INIT(64);
	buf_varint(&b, ticks);
	buf_varint(&b, 7);
	put_event(10, &b);
}

static void make_chunk(const char *name, size_t n, int64_t delta, bool endless)
{
	buf_reset(&chunk);
	buf_put(&chunk, "FLR\0\0\2\0\1", 8);
	for (size_t i = 8; i < 68; i++)
		buf_u8(&chunk, 0);
	chunk.data[67] = 1;
	put_sample(1500);
	put_sample(2500);
	set_big(24, put_metadata(endless));
	set_big(16, put_constants(name, n, delta));
	set_big(8, chunk.len);
	set_big(32, 1000000);
	set_big(40, 5000);
	set_big(48, 500);
	set_big(56, 1000000); /* ticks a second */
}

static struct str leaf(const struct profile *p)
{
	const struct profile_location *l = &p->locations.v[p->locs.v[0]];
	return profile_str(p, p->functions.v[p->lines.v[l->line_at].function].name);
}

/* ---- tests ---- */

static void test_samples_have_time_and_stack(void **state)
{
	make_chunk("\3\4work", 6, 0, false);
	assert_int_equal(decode(buf_slice(&chunk)), 0);
	assert_int_equal(n_taken, 1);
	const struct profile *p = &taken[0].profile;
	assert_int_equal(p->n_samples, 2);
	assert_int_equal(p->time_ns, 1000000);
	assert_int_equal(p->duration_ns, 5000);
	assert_int_equal(p->temporality, TEMPORALITY_DELTA);
	assert_int_equal(p->values.v[1], 20000000);
	assert_true(str_eq(leaf(p), STR("work")));
	assert_int_equal(p->lines.v[0].line, 42);
	size_t last = p->label_at.v[1] - 1;
	assert_true(str_eq(profile_str(p, p->labels.v[last].key), STR("timestamp")));
	assert_int_equal(p->labels.v[last].num, 1000000 + 1000000);
}

static void test_texts_of_all_encodings(void **state)
{
	static const struct { const char *bytes; size_t n; const char *text; } cases[] = {
		{ "\3\4w\303\266r", 6, "w\u00f6r" },
		{ "\5\3w\366r", 5, "w\u00f6r" },
		{ "\4\3w\366\1r", 6, "w\u00f6r" },
		{ "\4\2\275\260\3\200\274\3", 8, "\U0001F600" },
		{ "\1", 1, "[unknown]" },
		{ "\0", 1, "[unknown]" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		make_chunk(cases[i].bytes, cases[i].n, 0, false);
		assert_int_equal(decode(buf_slice(&chunk)), 0);
		struct str s = leaf(&taken[0].profile);
		if (!str_eq(s, str_of(cases[i].text)))
			fail_msg("case %zu: %.*s", i, (int)s.len, s.s);
	}
}

static void test_every_chunk_is_a_profile(void **state)
{
	make_chunk("\3\4work", 6, 0, false);
	_buf_ struct buf twice = BUF_INIT(16 << 20);
	buf_put(&twice, chunk.data, chunk.len);
	buf_put(&twice, chunk.data, chunk.len);
	assert_int_equal(decode(buf_slice(&twice)), 0);
	assert_int_equal(n_taken, 2);
	assert_int_equal(taken[1].profile.n_samples, 2);
}

static void test_every_cut_is_refused(void **state)
{
	make_chunk("\3\4work", 6, 0, false);
	for (size_t n = 4; n < chunk.len; n++)
		assert_int_equal(decode((struct slice){ chunk.data, n }), ERR_FORMAT_TRUNCATED);
}

static void test_a_recording_that_is_still_written_is_refused(void **state)
{
	make_chunk("\3\4work", 6, 0, false);
	set_big(8, 0);
	assert_int_equal(decode(buf_slice(&chunk)), ERR_FORMAT_TRUNCATED);
	assert_non_null(strstr(err.text, "still being written"));
}

static void test_endless_types_and_chains_are_refused(void **state)
{
	make_chunk("\3\4work", 6, 0, true);
	assert_int_equal(decode(buf_slice(&chunk)), ERR_FORMAT_MALFORMED);
	make_chunk("\3\4work", 6, 5, false);
	assert_int_equal(decode(buf_slice(&chunk)), ERR_FORMAT_MALFORMED);
	make_chunk("\3\4work", 6, -1000000, false);
	assert_int_equal(decode(buf_slice(&chunk)), ERR_FORMAT_MALFORMED);
}

/* Whatever bit is wrong, it is refused with a reason, or what comes out is sound (take() verifies it). */
static void test_every_flipped_bit_is_survived(void **state)
{
	make_chunk("\3\4work", 6, 0, false);
	for (size_t i = 4; i < chunk.len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			chunk.data[i] ^= 1 << bit;
			err.text[0] = '\0';
			int e = decode(buf_slice(&chunk));
			assert_true(!e || err.text[0]);
			chunk.data[i] ^= 1 << bit;
		}
	}
}

static void test_classes_made_up_by_the_jvm_have_one_name(void **state)
{
	static const struct { const char *name, *stable; } cases[] = {
		{ "W$$Lambda$5.0x00007f5750001c40", "W$$Lambda" },
		{ "a/b/W$$Lambda/0x0000000800c03000", "a/b/W$$Lambda" },
		{ "a/W$$Lambda$93+0x00007f479400ed90/446691317", "a/W$$Lambda" },
		{ "a/W$$Lambda+0x00007f479400ed90/446691317", "a/W$$Lambda" },
		{ "a/W$$Lambda$613/672746064", "a/W$$Lambda" },
		{ "java/lang/invoke/LambdaForm$MH.0x00007f5750001c40", "java/lang/invoke/LambdaForm$MH" },
		{ "java/util/HashMap$Node", "java/util/HashMap$Node" },
		{ "java/util/Foo$1", "java/util/Foo$1" },
		{ "jdk/internal/reflect/GeneratedMethodAccessor12", "jdk/internal/reflect/GeneratedMethodAccessor12" },
		{ "W.0xnothex", "W.0xnothex" },
		{ "W.0x", "W.0x" },
		{ ".0x12", ".0x12" },
		{ "$$Lambda$5", "$$Lambda$5" },
		{ "0x12", "0x12" },
		{ "", "" },
	};
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct str s = jfr_stable_class(str_of(cases[i].name));
		if (!str_eq(s, str_of(cases[i].stable)))
			fail_msg("%s becomes %.*s", cases[i].name, (int)s.len, s.s);
	}
}

/* Whether what each event allocates is live, as letters; "+A1" allocates at A at the time 1, "-A2" frees it. */
static void assert_live(const char *events, const char *expected)
{
	struct jfr_heap *h;
	char found[32];
	size_t n = strlen(events) / 3;
	assert_int_equal(jfr_heap_new(1 << 20, &h), 0);
	for (size_t i = 0; i < n; i++) {
		struct jfr_event e = { .present = (uint64_t)1 << SLOT_ADDRESS };
		e.present |= (uint64_t)(events[3 * i] == '+') << SLOT_SIZE;
		e.v[SLOT_ADDRESS].number = events[3 * i + 1];
		assert_int_equal(jfr_heap_note(h, &e, events[3 * i + 2], 100 * i), 0);
	}
	assert_int_equal(jfr_heap_settle(h), 0);
	for (size_t i = 0; i < n; i++)
		found[i] = jfr_heap_is_live(h, 100 * i) ? 'L' : '.';
	found[n] = '\0';
	jfr_heap_free(h);
	assert_string_equal(found, expected);
}

static void test_memory_is_live_that_nothing_follows_at_its_address(void **state)
{
	assert_live("+A1+B2-A3", ".L.");
	assert_live("+A1-A2+A3", "..L");
	assert_live("-A2+A3+A1", ".L.");     /* as threads wrote them */
	assert_live("+A1+A2-B3", ".L.");     /* who freed the first was not seen */
	assert_live("+A1-A1+A1", "..L");     /* at one time: in the order of the recording */
	assert_live("+A1+B2", "..");         /* nothing is ever freed: not recorded */
	assert_live("-A1", ".");
	assert_live("", "");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_samples_have_time_and_stack),
		TEST(test_texts_of_all_encodings),
		TEST(test_every_chunk_is_a_profile),
		TEST(test_every_cut_is_refused),
		TEST(test_a_recording_that_is_still_written_is_refused),
		TEST(test_endless_types_and_chains_are_refused),
		TEST(test_every_flipped_bit_is_survived),
		TEST(test_classes_made_up_by_the_jvm_have_one_name),
		TEST(test_memory_is_live_that_nothing_follows_at_its_address),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

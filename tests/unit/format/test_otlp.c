/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "core/format/format.h"
#include "core/wire/gz.h"
#include "core/wire/pb.h"

/*
 * Requests are put together here, a dictionary and one resource with one scope. Strings are numbered by their order;
 * location n is a frame of function n, which is named by string n.
 */

static struct buf profiles, dictionary, resource, request;
static struct error err;
static struct decoded taken[16];
static size_t n_taken, n_refused;
static struct error refusal;
static int64_t sample_number; /* where values stand in a sample: 4 from 1.10 on */

static int take(void *ctx, struct decoded *d, struct error *e)
{
	assert_true(n_taken < ARRAY_SIZE(taken));
	assert_int_equal(profile_verify(&d->profile, e), 0);
	struct decoded empty = taken[n_taken];
	taken[n_taken++] = *d;
	*d = empty;
	return 0;
}

static int refuse(void *ctx, int e, const struct error *why)
{
	n_refused++;
	refusal = *why;
	return 0;
}

static int setup(void **state)
{
	profiles = dictionary = resource = request = BUF_INIT(1 << 20);
	sample_number = 4;
	n_taken = n_refused = 0;
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		assert_int_equal(decoded_init(&taken[i], 1 << 20), 0);
	return 0;
}

static int teardown(void **state)
{
	buf_done(&profiles);
	buf_done(&dictionary);
	buf_done(&resource);
	buf_done(&request);
	for (size_t i = 0; i < ARRAY_SIZE(taken); i++)
		decoded_done(&taken[i]);
	return 0;
}

/* ---- putting together ---- */

static void put_numbers(struct buf *b, uint32_t number, const uint64_t *v, size_t n)
{
	_buf_ struct buf run = BUF_INIT(1 << 16);
	for (size_t i = 0; i < n; i++)
		buf_varint(&run, v[i]);
	if (n)
		pb_put_buf(b, number, &run);
}

static void put_times(struct buf *b, uint32_t number, const uint64_t *v, size_t n)
{
	_buf_ struct buf run = BUF_INIT(1 << 16);
	for (size_t i = 0; i < n; i++)
		buf_u64(&run, v[i]);
	if (n)
		pb_put_buf(b, number, &run);
}

#define LIST(...) ((const uint64_t[]){ __VA_ARGS__ }), sizeof((const uint64_t[]){ __VA_ARGS__ }) / 8
#define NO_LIST NULL, 0

static void add_sample(struct buf *profile, uint64_t stack, const uint64_t *values, size_t n_values,
                       const uint64_t *times, size_t n_times, const uint64_t *attributes, size_t n_attributes)
{
	_buf_ struct buf s = BUF_INIT(1 << 16);
	pb_put_varint(&s, 1, stack);
	put_numbers(&s, sample_number == 4 ? 2 : 3, attributes, n_attributes);
	put_numbers(&s, (uint32_t)sample_number, values, n_values);
	put_times(&s, 5, times, n_times);
	pb_put_buf(profile, 2, &s);
}

static void begin_profile(struct buf *profile, uint64_t type, uint64_t unit)
{
	_buf_ struct buf t = BUF_INIT(64);
	*profile = BUF_INIT(1 << 16);
	pb_put_varint(&t, 1, type);
	pb_put_varint(&t, 2, unit);
	pb_put_buf(profile, 1, &t);
}

static void set_cpu_period(struct buf *profile, uint64_t type, uint64_t unit, uint64_t period)
{
	_buf_ struct buf t = BUF_INIT(64);
	pb_put_varint(&t, 1, type);
	pb_put_varint(&t, 2, unit);
	pb_put_buf(profile, 5, &t);
	pb_put_varint(profile, 6, period);
}

static void end_profile(struct buf *profile)
{
	pb_put_buf(&profiles, 2, profile);
	buf_done(profile);
}

enum { NOTHING, SAMPLES, COUNT, CPU, NANOSECONDS, MAIN, WORK, SERVICE, KEY, STRINGS };

/* Stack 1 is WORK called by MAIN, stack 2 is MAIN. */
static void put_dictionary(void)
{
	static const char *const strings[STRINGS] = { "", "samples", "count", "cpu", "nanoseconds", "main", "work",
		"service.name", "key" };
	for (size_t i = 0; i < STRINGS; i++) {
		_buf_ struct buf function = BUF_INIT(64), line = BUF_INIT(64), location = BUF_INIT(64);
		pb_put_varint(&function, 1, i);
		pb_put_varint(&line, 1, i);
		pb_put_buf(&location, 3, &line);
		pb_put_buf(&dictionary, 2, &location);
		pb_put_buf(&dictionary, 3, &function);
		pb_put_bytes(&dictionary, 5, strings[i], strlen(strings[i]));
	}
	pb_put_bytes(&dictionary, 6, "", 0);
	static const uint64_t stacks[][2] = { { WORK, MAIN }, { MAIN } };
	pb_put_bytes(&dictionary, 7, "", 0);
	for (size_t i = 0; i < ARRAY_SIZE(stacks); i++) {
		_buf_ struct buf stack = BUF_INIT(64);
		put_numbers(&stack, 1, stacks[i], 2 - i);
		pb_put_buf(&dictionary, 7, &stack);
	}
}

/* The attribute of this key (a string's number) and AnyValue. */
static void add_attribute(uint64_t key, const struct buf *any)
{
	_buf_ struct buf a = BUF_INIT(1 << 16);
	pb_put_varint(&a, 1, key);
	pb_put_buf(&a, 2, any);
	pb_put_buf(&dictionary, 6, &a);
}

static void add_text_attribute(uint64_t key, const char *text)
{
	_buf_ struct buf any = BUF_INIT(1 << 10);
	pb_put_bytes(&any, 1, text, strlen(text));
	add_attribute(key, &any);
}

static int decode(bool may_refuse)
{
	_buf_ struct buf scopes = BUF_INIT(1 << 20);
	pb_put_buf(&scopes, 1, &resource);
	pb_put_buf(&scopes, 2, &profiles);
	pb_put_buf(&request, 1, &scopes);
	pb_put_buf(&request, 2, &dictionary);
	const struct format_sink sink = { .take = take, .refuse = may_refuse ? refuse : NULL };
	static const struct format_options opts;
	return otlp_decode(buf_slice(&request), false, &opts, &sink, &err);
}

static const struct profile_label *label(const struct profile *p, size_t sample, const char *key)
{
	for (size_t i = p->label_at.n ? p->label_at.v[sample] : 0; p->label_at.n && i < p->label_at.v[sample + 1]; i++)
		if (str_eq(profile_str(p, p->labels.v[i].key), str_of(key)))
			return &p->labels.v[i];
	return NULL;
}

static void assert_text(struct str s, const char *text)
{
	if (!str_eq(s, str_of(text)))
		fail_msg("\"%.*s\" is not \"%s\"", (int)s.len, s.s, text);
}

/* ---- tests ---- */

static void test_values_without_times_add_up(void **state)
{
	struct buf p;
	put_dictionary();
	begin_profile(&p, CPU, NANOSECONDS);
	add_sample(&p, 1, LIST(3, 4, 5), NO_LIST, NO_LIST);
	end_profile(&p);
	assert_int_equal(decode(false), 0);
	assert_int_equal(n_taken, 1);
	assert_int_equal(taken[0].profile.n_samples, 1);
	assert_int_equal(taken[0].profile.values.v[0], 12);
	assert_int_equal(taken[0].profile.locs.n, 2);
	assert_int_equal(taken[0].profile.temporality, TEMPORALITY_DELTA);
}

static void test_times_make_samples(void **state)
{
	struct buf p;
	put_dictionary();
	begin_profile(&p, CPU, NANOSECONDS);
	add_sample(&p, 1, LIST(3, 4), LIST(1000, 2000), NO_LIST);
	add_sample(&p, 2, NO_LIST, LIST(3000, 4000, 5000), NO_LIST);
	end_profile(&p);
	assert_int_equal(decode(false), 0);
	const struct profile *got = &taken[0].profile;
	assert_int_equal(got->n_samples, 5);
	static const int64_t values[] = { 3, 4, 1, 1, 1 };
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(got->values.v[i], values[i]);
		assert_int_equal(label(got, i, "timestamp")->num, 1000 * (i + 1));
	}
}

static void test_one_bad_profile_does_not_cost_the_others(void **state)
{
	struct buf p;
	put_dictionary();
	begin_profile(&p, CPU, NANOSECONDS);
	add_sample(&p, 1, LIST(3, 4), LIST(1000), NO_LIST);
	end_profile(&p);
	begin_profile(&p, CPU, NANOSECONDS);
	add_sample(&p, 1, LIST(7), NO_LIST, NO_LIST);
	end_profile(&p);
	begin_profile(&p, CPU, NANOSECONDS);
	add_sample(&p, 99, LIST(7), NO_LIST, NO_LIST);
	end_profile(&p);
	assert_int_equal(decode(true), 0);
	assert_int_equal(n_taken, 1);
	assert_int_equal(n_refused, 2);
	assert_non_null(strstr(refusal.text, "stack is row 99"));
	n_taken = 0;
	buf_reset(&request);
	assert_int_equal(decode(false), ERR_FORMAT_MALFORMED);
}

static void test_counts_of_a_cpu_period_are_cpu_time(void **state)
{
	struct buf p;
	put_dictionary();
	begin_profile(&p, SAMPLES, COUNT);
	set_cpu_period(&p, CPU, NANOSECONDS, 10);
	add_sample(&p, 1, LIST(3), NO_LIST, NO_LIST);
	end_profile(&p);
	assert_int_equal(decode(false), 0);
	const struct profile *got = &taken[0].profile;
	assert_int_equal(got->types.n, 2);
	assert_text(profile_str(got, got->types.v[1].type), "cpu");
	assert_int_equal(got->values.v[1], 30);
}

/* A pprof of both types that became two profiles must not count twice. */
static void test_cpu_beside_counts_is_not_made_again(void **state)
{
	struct buf p;
	put_dictionary();
	for (int i = 0; i < 2; i++) {
		begin_profile(&p, i ? CPU : SAMPLES, i ? NANOSECONDS : COUNT);
		set_cpu_period(&p, CPU, NANOSECONDS, 10);
		add_sample(&p, 1, LIST(3), NO_LIST, NO_LIST);
		end_profile(&p);
	}
	assert_int_equal(decode(false), 0);
	assert_int_equal(n_taken, 2);
	assert_int_equal(taken[0].profile.types.n, 1);
	assert_int_equal(taken[1].profile.types.n, 1);
}

static void test_samples_of_several_services_are_profiles(void **state)
{
	struct buf p;
	put_dictionary();
	add_text_attribute(SERVICE, "a");
	add_text_attribute(SERVICE, "b");
	begin_profile(&p, CPU, NANOSECONDS);
	add_sample(&p, 1, LIST(1), NO_LIST, LIST(2));
	add_sample(&p, 1, LIST(2), NO_LIST, LIST(1));
	add_sample(&p, 2, LIST(4), NO_LIST, LIST(2));
	add_sample(&p, 2, LIST(8), NO_LIST, NO_LIST);
	end_profile(&p);
	assert_int_equal(decode(false), 0);
	assert_int_equal(n_taken, 3);
	assert_text(taken[0].service, "");
	assert_int_equal(taken[0].profile.values.v[0], 8);
	assert_text(taken[1].service, "b");
	assert_int_equal(taken[1].profile.n_samples, 2);
	assert_null(label(&taken[1].profile, 0, "service.name"));
	assert_text(taken[2].service, "a");
}

/* A pprof of the stack main;work. */
static void put_pprof(struct buf *out)
{
	static const char text[] = "main;work 12\n";
	static const struct format_options opts;
	struct profile p;
	assert_int_equal(profile_init(&p, 1 << 20), 0);
	assert_int_equal(format_folded.decode((struct slice){ (const uint8_t *)text, sizeof text - 1 }, &opts, &p, &err), 0);
	assert_int_equal(pprof_encode(&p, out), 0);
	profile_done(&p);
}

/* A profile of a service, that has samples or not, and this payload. */
static int decode_with_payload(struct slice payload, bool samples)
{
	_buf_ struct buf name = BUF_INIT(64), value = BUF_INIT(64);
	struct buf p;
	put_dictionary();
	pb_put_bytes(&value, 1, "cart", 4);
	pb_put_bytes(&name, 1, "service.name", 12);
	pb_put_buf(&name, 2, &value);
	pb_put_buf(&resource, 1, &name);
	begin_profile(&p, CPU, NANOSECONDS);
	pb_put_bytes(&p, 9, "pprof", 5);
	pb_put_bytes(&p, 10, (const char *)payload.data, payload.len);
	if (samples)
		add_sample(&p, 1, LIST(3), NO_LIST, NO_LIST);
	end_profile(&p);
	return decode(true);
}

static void test_a_payload_without_samples_is_the_profile(void **state)
{
	for (int packed = 0; packed < 2; packed++) {
		_buf_ struct buf plain = BUF_INIT(1 << 16), gz = BUF_INIT(1 << 16);
		put_pprof(&plain);
		assert_int_equal(gz_compress(buf_slice(&plain), 6, &gz), 0);
		teardown(state);
		setup(state);
		assert_int_equal(decode_with_payload(buf_slice(packed ? &gz : &plain), false), 0);
		assert_int_equal(n_taken, 1);
		assert_int_equal(taken[0].profile.n_samples, 1);
		assert_int_equal(taken[0].profile.values.v[0], 12);
		assert_text(taken[0].service, "cart");
	}
}

static void test_samples_win_over_a_payload(void **state)
{
	_buf_ struct buf plain = BUF_INIT(1 << 16);
	put_pprof(&plain);
	assert_int_equal(decode_with_payload(buf_slice(&plain), true), 0);
	assert_int_equal(n_taken, 1);
	assert_int_equal(taken[0].profile.values.v[0], 3);
	assert_int_equal(taken[0].profile.n_warnings, 1);
}

static void test_a_payload_that_is_no_profile_is_refused(void **state)
{
	static const char *const junk[] = { "PERFILE2 and so on", "\x1f\x8b", "FLR\1", "\x08" };
	for (size_t i = 0; i < ARRAY_SIZE(junk); i++) {
		teardown(state);
		setup(state);
		assert_int_equal(decode_with_payload((struct slice){ (const uint8_t *)junk[i], strlen(junk[i]) }, false), 0);
		assert_int_equal(n_taken, 0);
		assert_int_equal(n_refused, 1);
		if (!strstr(refusal.text, "original payload"))
			fail_msg("case %zu: %s", i, refusal.text);
	}
}

static void put_any(struct buf *any, int kind)
{
	_buf_ struct buf inner = BUF_INIT(1 << 10), item = BUF_INIT(1 << 10);
	double half = -0.5;
	uint64_t bits;
	memcpy(&bits, &half, sizeof bits);
	*any = BUF_INIT(1 << 10);
	switch (kind) {
	case 0:
		pb_put_varint(any, 2, 1);
		break;
	case 1:
		buf_varint(any, 4 << 3 | PB_I64);
		buf_u64(any, bits);
		break;
	case 2:
		pb_put_bytes(any, 7, "\0\377a", 3);
		break;
	case 3:
		pb_put_varint(any, 8, MAIN);
		break;
	case 4: /* ["x", 5] */
		pb_put_bytes(&item, 1, "x", 1);
		pb_put_buf(&inner, 1, &item);
		buf_reset(&item);
		pb_put_varint(&item, 3, 5);
		pb_put_buf(&inner, 1, &item);
		pb_put_buf(any, 5, &inner);
		break;
	default: /* {"work": true} */
		pb_put_bytes(&inner, 2, "\x10\1", 2);
		pb_put_varint(&inner, 3, WORK);
		pb_put_buf(&item, 1, &inner);
		pb_put_buf(any, 6, &item);
	}
}

static void test_attributes_of_all_types_are_labels(void **state)
{
	static const char *const texts[] = { "true", "-0.5", "AP9h", "main", "[\"x\",5]", "{\"work\":true}" };
	struct buf p;
	put_dictionary();
	begin_profile(&p, CPU, NANOSECONDS);
	for (uint64_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct buf any;
		put_any(&any, (int)i);
		add_attribute(KEY, &any);
		buf_done(&any);
		add_sample(&p, 1, LIST(1), NO_LIST, LIST(i + 1));
	}
	end_profile(&p);
	assert_int_equal(decode(false), 0);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		const struct profile_label *l = label(&taken[0].profile, i, "key");
		assert_non_null(l);
		assert_text(profile_str(&taken[0].profile, l->str), texts[i]);
	}
}

static void test_integers_are_numbers_with_their_unit(void **state)
{
	_buf_ struct buf a = BUF_INIT(64);
	struct buf p;
	put_dictionary();
	pb_put_varint(&a, 1, KEY);
	pb_put_bytes(&a, 2, "\x18\x05", 2);
	pb_put_varint(&a, 3, NANOSECONDS);
	pb_put_buf(&dictionary, 6, &a);
	begin_profile(&p, CPU, NANOSECONDS);
	add_sample(&p, 1, LIST(1), NO_LIST, LIST(1));
	end_profile(&p);
	assert_int_equal(decode(false), 0);
	const struct profile_label *l = label(&taken[0].profile, 0, "key");
	assert_true(l->is_num && l->num == 5);
	assert_text(profile_str(&taken[0].profile, l->num_unit), "nanoseconds");
}

/* The same samples as 1.9 writes them: attributes are 3 and values 2. */
static void test_the_older_layout_is_told_apart(void **state)
{
	struct buf p;
	put_dictionary();
	add_text_attribute(KEY, "x");
	sample_number = 2;
	begin_profile(&p, CPU, NANOSECONDS);
	add_sample(&p, 1, LIST(500), NO_LIST, LIST(1));
	end_profile(&p);
	assert_int_equal(decode(false), 0);
	assert_int_equal(taken[0].profile.values.v[0], 500);
	assert_non_null(label(&taken[0].profile, 0, "key"));
}

static void test_a_layout_that_cannot_be_told_is_refused(void **state)
{
	struct buf p;
	put_dictionary();
	begin_profile(&p, CPU, NANOSECONDS);
	add_sample(&p, 1, LIST(500), NO_LIST, LIST(77));
	end_profile(&p);
	assert_int_equal(decode(true), ERR_FORMAT_MALFORMED);
	assert_non_null(strstr(err.text, "cannot be told"));
	assert_int_equal(n_taken + n_refused, 0);
}

static void test_every_cut_is_refused_or_sound(void **state)
{
	struct buf p;
	put_dictionary();
	begin_profile(&p, CPU, NANOSECONDS);
	add_sample(&p, 1, LIST(3), LIST(1000), NO_LIST);
	end_profile(&p);
	assert_int_equal(decode(false), 0);
	const struct format_sink sink = { .take = take };
	static const struct format_options opts;
	size_t whole = 0;
	for (size_t n = 1; n < request.len; n++) {
		n_taken = 0;
		err.text[0] = '\0';
		whole += !otlp_decode((struct slice){ request.data, n }, false, &opts, &sink, &err);
		assert_true(!n_taken || n_taken == 1);
	}
	assert_int_equal(whole, 0);
}

static void test_json_says_the_same(void **state)
{
	static const char json[] =
		"{\"resourceProfiles\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{\"stringValue\":\"s\"}},"
		"{\"key\":\"n\",\"value\":{\"intValue\":\"-9223372036854775808\"}},{\"keyStrindex\":6,\"value\":{\"kvlistValue\":"
		"{\"values\":[{\"key\":\"a\",\"value\":{\"bytesValue\":\"AP9h\"}}]}}}]},\"scopeProfiles\":[{\"profiles\":[{"
		"\"sampleType\":{\"typeStrindex\":3,\"unitStrindex\":4},\"timeUnixNano\":\"5\",\"profileId\":\"0aFF\",\"unknown\":[{}],"
		"\"samples\":[{\"stackIndex\":1,\"values\":[\"9007199254740993\",0]}]}]}]}],\"dictionary\":{\"stringTable\":["
		"\"\",\"samples\",\"count\",\"cpu\",\"nanoseconds\",\"main\",\"w\\u00f6rk\"],\"functionTable\":[{},{\"nameStrindex\":6}],"
		"\"locationTable\":[{},{\"address\":\"18446744073709551615\",\"lines\":[{\"functionIndex\":1,\"line\":7}]}],"
		"\"stackTable\":[{},{\"locationIndices\":[1]}]}}";
	const struct format_sink sink = { .take = take };
	static const struct format_options opts;
	assert_int_equal(otlp_decode((struct slice){ (const uint8_t *)json, sizeof json - 1 }, true, &opts, &sink, &err), 0);
	const struct decoded *d = &taken[0];
	const struct profile *p = &d->profile;
	assert_text(d->service, "s");
	assert_int_equal(d->labels.n, 2);
	assert_text(d->labels.v[0].value, "-9223372036854775808");
	assert_text(d->labels.v[1].key, "w\u00f6rk");
	assert_text(d->labels.v[1].value, "{\"a\":\"AP9h\"}");
	assert_int_equal(p->time_ns, 5);
	assert_int_equal(p->values.v[0], INT64_C(9007199254740993));
	assert_true(p->locations.v[p->locs.v[0]].address == UINT64_MAX);
	assert_text(profile_str(p, label(p, 0, "otel.profile_id")->str), "0aff");
	assert_text(profile_str(p, p->functions.v[0].name), "w\u00f6rk");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_values_without_times_add_up),
		TEST(test_times_make_samples),
		TEST(test_one_bad_profile_does_not_cost_the_others),
		TEST(test_counts_of_a_cpu_period_are_cpu_time),
		TEST(test_cpu_beside_counts_is_not_made_again),
		TEST(test_samples_of_several_services_are_profiles),
		TEST(test_a_payload_without_samples_is_the_profile),
		TEST(test_samples_win_over_a_payload),
		TEST(test_a_payload_that_is_no_profile_is_refused),
		TEST(test_attributes_of_all_types_are_labels),
		TEST(test_integers_are_numbers_with_their_unit),
		TEST(test_the_older_layout_is_told_apart),
		TEST(test_a_layout_that_cannot_be_told_is_refused),
		TEST(test_every_cut_is_refused_or_sound),
		TEST(test_json_says_the_same),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */

/* Symbols that blocks share: the same profiles with them and without, whatever the shared ones lack. */

#include "merge_fixture.h"

#include "../../../core/block/layout.h"

enum { N = 150, DAYS = 3, SERVICES = 2 };

static const char *const services[SERVICES] = { "a", "b" };

/* A segment a day; profiles of a day are alike, and of several days not quite. */
struct world {
	struct buf told[DAYS][N], segments[DAYS], plain[DAYS];
	struct buf shared[SERVICES];
	struct block *open[SERVICES]; /* of `shared` */
};

static void write_day(struct world *w, int day)
{
	struct block_writer *writer;
	assert_int_equal(block_writer_new(0, &writer), 0);
	for (int i = 0; i < N; i++) {
		struct profile p;
		struct rng r = { (uint64_t)(i % 5 == 0 ? 1000 + day * N + i : i + 1) }; /* a fifth is of this day alone */
		assert_int_equal(profile_init(&p, LIMIT), 0);
		random_profile(&p, &r);
		p.time_ns = (day + 1) * NS_PER_DAY + i * NS_PER_MIN + 1;
		w->told[day][i] = BUF_INIT(LIMIT);
		tell_profile(&p, &w->told[day][i]);
		add(writer, &p, services[i % SERVICES], "x");
		profile_done(&p);
	}
	w->segments[day] = BUF_INIT(LIMIT);
	assert_int_equal(block_writer_finish(writer, &w->segments[day], NULL), 0);
	block_writer_free(writer);
}

static void make_shared(struct world *w, struct block *from)
{
	for (int i = 0; i < SERVICES; i++) {
		struct dataset *d = block_dataset(from, block_find(from, str_of(services[i])));
		w->shared[i] = BUF_INIT(LIMIT);
		assert_int_equal(shared_make(d, NS_PER_DAY, &w->shared[i], NULL), 0);
		w->open[i] = open_buf(&w->shared[i]);
		assert_int_equal(block_verify(w->open[i], NULL, NULL, NULL), 0);
	}
}

static void world_init(struct world *w)
{
	struct merge_result result;
	struct merge_options o = { .level = 3, .rollup = roll_all };
	for (int day = 0; day < DAYS; day++) {
		write_day(w, day);
		w->plain[day] = BUF_INIT(LIMIT);
		struct block *b = merge_bufs(&w->segments[day], 1, &o, &w->plain[day], &result);
		assert_int_equal(result.profiles, N);
		if (!day)
			make_shared(w, b);
		block_free(b);
	}
}

static void world_done(struct world *w)
{
	for (int day = 0; day < DAYS; day++) {
		for (int i = 0; i < N; i++)
			buf_done(&w->told[day][i]);
		buf_done(&w->segments[day]);
		buf_done(&w->plain[day]);
	}
	for (int i = 0; i < SERVICES; i++) {
		block_free(w->open[i]);
		buf_done(&w->shared[i]);
	}
}

static int number_of(struct str service)
{
	return service.s[0] - 'a';
}

static int give_shared(void *ctx, struct str service, struct dataset **ret, struct shared_name *ret_name,
                       struct error *err)
{
	struct world *w = ctx;
	int i = number_of(service);
	*ret = block_dataset(w->open[i], 0);
	*ret_name = (struct shared_name){ { { (uint8_t)(i + 1) } }, w->shared[i].len };
	return 0;
}

static int give_some(void *ctx, struct str service, struct dataset **ret, struct shared_name *ret_name,
                     struct error *err)
{
	return number_of(service) ? 0 : give_shared(ctx, service, ret, ret_name, err);
}

/* A block whose source knows the world's shared symbols. */
struct source_ctx {
	struct buf *bytes;
	struct world *world; /* NULL: they are lost */
};

static int read_source(void *ctx, const struct source_range *ranges, size_t n, struct error *err)
{
	return read_memory(((struct source_ctx *)ctx)->bytes, ranges, n, err);
}

static int find_shared(void *ctx, const struct shared_name *name, struct str service,
                       int (*fn)(void *arg, struct dataset *shared, struct error *err), void *arg, struct error *err)
{
	struct source_ctx *s = ctx;
	if (!s->world)
		return error_set(err, ERR_CORRUPT_MISSING, "shared symbols are missing");
	int i = number_of(service);
	assert_int_equal(name->ulid.b[0], i + 1);
	assert_int_equal(name->size, s->world->shared[i].len);
	return fn(arg, block_dataset(s->world->open[i], 0), err);
}

static struct block *open_shared(struct source_ctx *s)
{
	struct source src = { .read = read_source, .shared = find_shared, .ctx = s, .size = s->bytes->len };
	struct block *b;
	assert_int_equal(block_open(&src, "test", &b, NULL), 0);
	return b;
}

static void merge_shared(struct world *w, struct block *in, int (*give)(void *, struct str, struct dataset **,
                         struct shared_name *, struct error *), struct buf *out)
{
	struct merge_input input = { in };
	struct merge_options o = { .level = 3, .rollup = roll_all, .shared = give, .ctx = w };
	struct merge_sink sink = { sink_buf, out };
	struct merge_result result;
	struct error err = { 0 };
	*out = BUF_INIT(LIMIT);
	int r = block_merge(&input, 1, &o, &sink, &result, &err);
	if (r < 0)
		fail_msg("%s", err.text);
	assert_int_equal(result.profiles, N);
}

/* Every profile of the day is there once and whole. */
static void assert_whole(struct block *b, const struct world *w, int day)
{
	struct buf back = BUF_INIT(LIMIT);
	struct error err = { 0 };
	size_t found = 0;
	assert_int_equal(block_verify(b, NULL, NULL, &err), 0);
	for (size_t at = 0; at < block_datasets(b); at++) {
		const struct profiles *p;
		assert_int_equal(dataset_profiles(block_dataset(b, at), &p, NULL), 0);
		for (uint32_t k = 0; k < p->n; k++, found++) {
			int64_t i = p->rows[k].time % NS_PER_DAY / NS_PER_MIN;
			restored(b, at, k, &back);
			assert_string_equal((char *)back.data, (char *)w->told[day][i].data);
		}
	}
	assert_int_equal(found, N);
	buf_done(&back);
}

static uint64_t symbol_bytes(struct block *b)
{
	uint64_t n = 0;
	for (size_t i = 0; i < block_datasets(b); i++)
		n += block_info(b, i)->bytes[BYTES_SYMBOLS];
	return n;
}

static void each_day_is_whole_and_smaller(void **state)
{
	(void)state;
	static int (*const gives[])(void *, struct str, struct dataset **, struct shared_name *,
	                            struct error *) = { give_shared, give_some };
	struct world w;
	world_init(&w);
	for (size_t g = 0; g < ARRAY_SIZE(gives); g++)
		for (int day = 0; day < DAYS; day++) {
			struct buf out, again, plain = BUF_INIT(LIMIT);
			struct block *in = open_buf(&w.plain[day]);
			merge_shared(&w, in, gives[g], &out);
			struct source_ctx ctx = { &out, &w };
			struct block *b = open_shared(&ctx);
			assert_whole(b, &w, day);
			for (size_t i = 0; i < block_datasets(b); i++)
				assert_int_equal(block_info(b, i)->shared.size != 0, !g || !i);
			assert_true(symbol_bytes(b) * 4 < symbol_bytes(in) * (g ? 4 : 3));
			/* what was merged with shared symbols merges again, with and without */
			merge_shared(&w, b, give_shared, &again);
			assert_true(again.len < w.plain[day].len);
			struct source_ctx ctx2 = { &again, &w };
			struct block *c = open_shared(&ctx2);
			assert_whole(c, &w, day);
			struct merge_input input = { c };
			struct merge_options o = { .level = 3 };
			struct merge_result result;
			assert_int_equal(block_merge(&input, 1, &o, &(struct merge_sink){ sink_buf, &plain }, &result,
			                             NULL), 0);
			struct block *d = open_buf(&plain);
			assert_whole(d, &w, day);
			block_free(in);
			block_free(b);
			block_free(c);
			block_free(d);
			buf_done(&out);
			buf_done(&again);
			buf_done(&plain);
		}
	world_done(&w);
}

/* Without them, or with others in their place, there is an error and no wrong name. */
static void lost_or_exchanged_symbols_are_told(void **state)
{
	(void)state;
	struct world w;
	struct buf out;
	const struct symbols *symbols;
	world_init(&w);
	struct block *in = open_buf(&w.plain[1]);
	merge_shared(&w, in, give_shared, &out);
	struct source_ctx lost = { &out, NULL };
	struct block *b = open_shared(&lost);
	struct error err = { 0 };
	assert_int_equal(dataset_symbols(block_dataset(b, 0), &symbols, &err), ERR_CORRUPT_MISSING);
	assert_int_equal(block_verify(b, NULL, NULL, &err), SERVICES);
	block_free(b);
	b = open_buf(&out); /* a source that knows of none */
	assert_int_equal(dataset_symbols(block_dataset(b, 0), &symbols, &err), ERR_CORRUPT_LAYOUT);
	block_free(b);
	struct block *own = w.open[0];
	w.open[0] = w.open[1];
	struct source_ctx exchanged = { &out, &w };
	b = open_shared(&exchanged);
	assert_int_equal(dataset_symbols(block_dataset(b, 0), &symbols, &err), ERR_CORRUPT_LAYOUT);
	assert_int_equal(dataset_symbols(block_dataset(b, 1), &symbols, &err), 0);
	block_free(b);
	w.open[0] = own;
	block_free(in);
	buf_done(&out);
	world_done(&w);
}

static int find_itself(void *ctx, const struct shared_name *name, struct str service,
                       int (*fn)(void *arg, struct dataset *shared, struct error *err), void *arg, struct error *err)
{
	struct block **self = ((struct source_ctx *)ctx)->world->open;
	return fn(arg, block_dataset(*self, block_find(*self, service)), err);
}

/* Whoever makes such a thing up gets an error. */
static void symbols_that_need_themselves_are_refused(void **state)
{
	(void)state;
	struct world w;
	struct buf out;
	const struct symbols *symbols;
	world_init(&w);
	struct block *in = open_buf(&w.plain[1]), *own = w.open[0], *b;
	merge_shared(&w, in, give_shared, &out);
	struct source_ctx ctx = { &out, &w };
	struct source src = { .read = read_source, .shared = find_itself, .ctx = &ctx, .size = out.len };
	assert_int_equal(block_open(&src, "test", &b, NULL), 0);
	w.open[0] = b;
	assert_int_equal(dataset_symbols(block_dataset(b, 0), &symbols, NULL), ERR_CORRUPT_LAYOUT);
	w.open[0] = own;
	block_free(b);
	block_free(in);
	buf_done(&out);
	world_done(&w);
}

/* A flipped bit, in the block or in the shared symbols, is found, and crashes nothing. */
static void flipped_bits_are_found(void **state)
{
	(void)state;
	struct world w;
	struct buf out;
	world_init(&w);
	struct block *in = open_buf(&w.plain[1]);
	merge_shared(&w, in, give_shared, &out);
	for (int of_shared = 0; of_shared < 2; of_shared++) {
		struct buf *bytes = of_shared ? &w.shared[0] : &out;
		for (size_t at = 0; at < bytes->len; at += 1 + bytes->len / 400) {
			struct source_ctx ctx = { &out, &w };
			struct source src = { .read = read_source, .shared = find_shared, .ctx = &ctx, .size = out.len };
			struct block *b, *whole = w.open[0];
			bytes->data[at] ^= (uint8_t)(1u << at % 8);
			struct source of = source_of(&w.shared[0]);
			if (block_open(&of, "shared", &w.open[0], NULL) == 0) {
				struct error err = { 0 };
				if (block_open(&src, "test", &b, NULL) == 0) {
					int found = block_verify(b, NULL, NULL, &err);
					int in_shared = block_verify(w.open[0], NULL, NULL, &err);
					assert_true(found > 0 || in_shared > 0);
					block_free(b);
				}
				block_free(w.open[0]);
			}
			w.open[0] = whole;
			bytes->data[at] ^= (uint8_t)(1u << at % 8);
		}
	}
	block_free(in);
	buf_done(&out);
	world_done(&w);
}

/* Blocks without shared symbols are what they always were; a later version is refused by name. */
static void versions_are_told(void **state)
{
	(void)state;
	struct world w;
	struct buf out;
	world_init(&w);
	struct block *in = open_buf(&w.plain[1]), *b;
	merge_shared(&w, in, give_shared, &out);
	assert_int_equal(w.plain[1].data[w.plain[1].len - 16], BLOCK_VERSION_PLAIN);
	assert_int_equal(out.data[out.len - 16], BLOCK_VERSION);
	assert_int_equal(w.shared[0].data[w.shared[0].len - 16], BLOCK_VERSION_PLAIN);
	out.data[out.len - 16]++;
	struct source src = source_of(&out);
	struct error err = { 0 };
	assert_int_equal(block_open(&src, "test", &b, &err), ERR_NEWER);
	block_free(in);
	buf_done(&out);
	world_done(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_day_is_whole_and_smaller),
		cmocka_unit_test(lost_or_exchanged_symbols_are_told),
		cmocka_unit_test(symbols_that_need_themselves_are_refused),
		cmocka_unit_test(flipped_bits_are_found),
		cmocka_unit_test(versions_are_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

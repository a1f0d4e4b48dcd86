/* SPDX-License-Identifier: MIT */

/*
 * Decodes a dataset's tables. Every index is checked here against the table it points into, so that queries use them
 * without checks.
 */

#include <string.h>

#include "../base/clock.h"
#include "reader.h"
#include "rollup.h"

static void *table_alloc(struct dataset *d, size_t n, size_t size)
{
	return arena_calloc(&d->arena, n + 1, size);
}

/* How many rows a table of `left` bytes can have: every row takes at least one byte. */
static uint64_t get_count(struct cursor *c)
{
	return cursor_varint_max(c, MIN((uint64_t)cursor_left(c), (uint64_t)UINT32_MAX - 1));
}

static int load_strings(struct dataset *d, struct slice in)
{
	struct cursor c = cursor_of(in);
	uint64_t n = get_count(&c);
	struct cursor lengths = column_get(&c);
	struct str *strings = table_alloc(d, n, sizeof *strings);
	if (!strings)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++) {
		size_t len = cursor_varint_max(&lengths, cursor_left(&c));
		strings[i] = (struct str){ (const char *)cursor_bytes(&c, len), len };
	}
	if (c.bad || lengths.bad || cursor_left(&c) || !n || strings[0].len)
		return ERR_CORRUPT_LAYOUT;
	d->symbols.strings = strings;
	d->symbols.n_strings = (uint32_t)n;
	return 0;
}

static uint32_t get_delta(struct cursor *c, uint64_t *last, uint64_t limit)
{
	*last += (uint64_t)cursor_svarint(c);
	if (*last >= limit)
		cursor_fail(c);
	return (uint32_t)*last;
}

static int load_functions(struct dataset *d, struct slice in)
{
	struct cursor c = cursor_of(in);
	uint64_t n = get_count(&c), limit = d->symbols.n_strings, last_name = 0, last_file = 0;
	struct cursor name = column_get(&c), system = column_get(&c), file = column_get(&c), line = column_get(&c);
	struct sym_function *functions = table_alloc(d, n, sizeof *functions);
	if (!functions)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++) {
		struct sym_function *f = &functions[i];
		f->name = get_delta(&name, &last_name, limit);
		uint64_t s = cursor_varint_max(&system, limit);
		f->system_name = s ? (uint32_t)(s - 1) : f->name;
		f->filename = get_delta(&file, &last_file, limit);
		f->start_line = cursor_svarint(&line);
	}
	if (c.bad || name.bad || system.bad || file.bad || line.bad)
		return ERR_CORRUPT_LAYOUT;
	d->symbols.functions = functions;
	d->symbols.n_functions = (uint32_t)n;
	return 0;
}

static int load_files(struct dataset *d, struct slice in)
{
	struct cursor c = cursor_of(in);
	uint64_t n = get_count(&c), limit = d->symbols.n_strings - 1;
	struct sym_file *files = table_alloc(d, n, sizeof *files);
	if (!files)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++) {
		files[i].filename = (uint32_t)cursor_varint_max(&c, limit);
		files[i].build_id = (uint32_t)cursor_varint_max(&c, limit);
		files[i].flags = cursor_u8(&c);
	}
	if (c.bad || cursor_left(&c))
		return ERR_CORRUPT_LAYOUT;
	d->symbols.files = files;
	d->symbols.n_files = (uint32_t)n;
	return 0;
}

static bool get_location(struct dataset *d, struct cursor col[8], struct sym_location *l, uint64_t *last_address,
                         uint64_t lines_left)
{
	l->file = (uint32_t)cursor_varint_max(&col[0], d->symbols.n_files) - 1;
	*last_address += (uint64_t)cursor_svarint(&col[1]);
	l->address = *last_address;
	l->flags = cursor_u8(&col[2]);
	l->ordinal = (uint32_t)cursor_varint_max(&col[3], UINT32_MAX);
	l->n_lines = (uint32_t)cursor_varint_max(&col[4], lines_left);
	return !(col[0].bad || col[1].bad || col[2].bad || col[3].bad || col[4].bad);
}

static int load_locations(struct dataset *d, struct slice in)
{
	struct cursor c = cursor_of(in), col[8];
	uint64_t n = get_count(&c), n_lines = get_count(&c), at = 0;
	for (size_t i = 0; i < ARRAY_SIZE(col); i++)
		col[i] = column_get(&c);
	struct sym_location *locations = table_alloc(d, n, sizeof *locations);
	struct sym_line *lines = table_alloc(d, n_lines, sizeof *lines);
	if (!locations || !lines)
		return -ENOMEM;
	uint64_t last_address = 0, last_function = 0, last_line = 0;
	for (uint64_t i = 0; i < n; i++) {
		if (!get_location(d, col, &locations[i], &last_address, n_lines - at))
			return ERR_CORRUPT_LAYOUT;
		locations[i].line_at = (uint32_t)at;
		at += locations[i].n_lines;
	}
	for (uint64_t i = 0; i < n_lines; i++) {
		lines[i].function = get_delta(&col[5], &last_function, (uint64_t)d->symbols.n_functions + 1) - 1;
		last_line += (uint64_t)cursor_svarint(&col[6]);
		lines[i].line = (int64_t)last_line;
		lines[i].column = cursor_svarint(&col[7]);
	}
	if (c.bad || col[5].bad || col[6].bad || col[7].bad || at != n_lines)
		return ERR_CORRUPT_LAYOUT;
	d->symbols.locations = locations;
	d->symbols.n_locations = (uint32_t)n;
	d->symbols.lines = lines;
	d->symbols.n_lines = (uint32_t)n_lines;
	return 0;
}

static int load_stacks(struct dataset *d, struct slice in)
{
	struct cursor c = cursor_of(in);
	uint64_t n = get_count(&c), last = 0;
	struct cursor parents = column_get(&c), locations = column_get(&c);
	uint32_t *parent = table_alloc(d, n, sizeof *parent), *location = table_alloc(d, n, sizeof *location);
	if (!parent || !location)
		return -ENOMEM;
	location[0] = PROFILE_NONE;
	for (uint64_t i = 1; i < n; i++) {
		parent[i] = (uint32_t)(i - 1 - cursor_varint_max(&parents, i - 1));
		location[i] = get_delta(&locations, &last, d->symbols.n_locations);
	}
	if (c.bad || parents.bad || locations.bad || !n)
		return ERR_CORRUPT_LAYOUT;
	d->symbols.stack_parent = parent;
	d->symbols.stack_location = location;
	d->symbols.n_stacks = (uint32_t)n;
	return 0;
}

/* The records of an interned table: *ret[i] is the i-th. */
static int get_records(struct dataset *d, struct slice in, struct slice **ret, uint32_t *ret_n)
{
	struct cursor c = cursor_of(in);
	uint64_t n = get_count(&c);
	struct cursor lengths = column_get(&c);
	struct slice *records = table_alloc(d, n, sizeof *records);
	if (!records)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++) {
		size_t len = cursor_varint_max(&lengths, cursor_left(&c));
		records[i] = (struct slice){ cursor_bytes(&c, len), len };
	}
	if (c.bad || lengths.bad || cursor_left(&c))
		return ERR_CORRUPT_LAYOUT;
	*ret = records;
	*ret_n = (uint32_t)n;
	return 0;
}

static uint32_t get_string(struct dataset *d, struct cursor *c)
{
	return (uint32_t)cursor_varint_max(c, d->symbols.n_strings - 1);
}

static size_t count_sample_labels(struct dataset *d, const struct slice *records, uint32_t n, bool *bad)
{
	size_t total = 0;
	for (uint32_t i = 0; i < n; i++)
		for (struct cursor c = cursor_of(records[i]); cursor_left(&c) || c.bad; total++) {
			get_string(d, &c);
			if (cursor_u8(&c))
				cursor_svarint(&c);
			get_string(d, &c);
			if (c.bad) {
				*bad = true;
				return 0;
			}
		}
	return total;
}

static int load_labelsets(struct dataset *d, struct slice in)
{
	struct slice *records;
	uint32_t n, at = 0;
	bool bad = false;
	int r = get_records(d, in, &records, &n);
	if (r < 0)
		return r;
	size_t total = count_sample_labels(d, records, n, &bad);
	uint32_t *ends = table_alloc(d, (size_t)n + 1, sizeof *ends);
	struct sample_label *labels = table_alloc(d, total, sizeof *labels);
	if (bad || !n || records[0].len || total > UINT32_MAX)
		return ERR_CORRUPT_LAYOUT;
	if (!ends || !labels)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		ends[i] = at;
		for (struct cursor c = cursor_of(records[i]); cursor_left(&c); at++) {
			struct sample_label *l = &labels[at];
			l->key = get_string(d, &c);
			l->is_num = cursor_u8(&c) != 0;
			l->num = l->is_num ? cursor_svarint(&c) : 0;
			uint32_t s = get_string(d, &c);
			l->str = l->is_num ? 0 : s;
			l->num_unit = l->is_num ? s : 0;
		}
	}
	ends[n] = at;
	d->labelsets = (struct labelsets){ ends, labels, n };
	return 0;
}

static int get_header(struct dataset *d, struct slice record, struct header *h)
{
	struct cursor c = cursor_of(record);
	h->n_types = (uint32_t)cursor_varint_max(&c, LAYOUT_MAX_TYPES);
	struct value_type *types = table_alloc(d, h->n_types, sizeof *types);
	if (!types)
		return -ENOMEM;
	for (uint32_t t = 0; t < h->n_types; t++) {
		types[t].type = get_string(d, &c);
		types[t].unit = get_string(d, &c);
	}
	h->types = types;
	h->period_type.type = get_string(d, &c);
	h->period_type.unit = get_string(d, &c);
	h->period = cursor_svarint(&c);
	h->drop_frames = get_string(d, &c);
	h->keep_frames = get_string(d, &c);
	h->default_type = get_string(d, &c);
	h->doc_url = get_string(d, &c);
	h->kind = get_string(d, &c);
	h->temporality = (enum temporality)cursor_u8(&c);
	h->n_comments = (uint32_t)cursor_varint_max(&c, cursor_left(&c));
	uint32_t *comments = table_alloc(d, h->n_comments, sizeof *comments);
	if (!comments)
		return -ENOMEM;
	for (uint32_t i = 0; i < h->n_comments; i++)
		comments[i] = get_string(d, &c);
	h->comments = comments;
	return c.bad || cursor_left(&c) || h->temporality > TEMPORALITY_CUMULATIVE ? ERR_CORRUPT_LAYOUT : 0;
}

static int load_headers(struct dataset *d, struct slice in)
{
	struct slice *records;
	uint32_t n;
	int r = get_records(d, in, &records, &n);
	if (r < 0)
		return r;
	struct header *headers = table_alloc(d, n, sizeof *headers);
	if (!headers)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && r == 0; i++)
		r = get_header(d, records[i], &headers[i]);
	d->profiles.headers = headers;
	d->profiles.n_headers = n;
	return r;
}

static int get_mapset(struct dataset *d, struct slice record, struct mapset *m)
{
	struct cursor c = cursor_of(record);
	struct mapset_entry *entries = table_alloc(d, record.len / 4, sizeof *entries);
	if (!entries)
		return -ENOMEM;
	while (cursor_left(&c)) {
		struct mapset_entry *e = &entries[m->n++];
		e->file = (uint32_t)cursor_varint_max(&c, UINT32_MAX - 1);
		e->start = cursor_varint(&c);
		e->limit = cursor_varint(&c);
		e->offset = cursor_varint(&c);
		if (c.bad)
			return ERR_CORRUPT_LAYOUT;
	}
	m->entries = entries;
	return 0;
}

static int load_mapsets(struct dataset *d, struct slice in)
{
	struct slice *records;
	uint32_t n;
	int r = get_records(d, in, &records, &n);
	if (r < 0)
		return r;
	struct mapset *mapsets = table_alloc(d, n, sizeof *mapsets);
	if (!mapsets)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && r == 0; i++)
		r = get_mapset(d, records[i], &mapsets[i]);
	d->profiles.mapsets = mapsets;
	d->profiles.n_mapsets = n;
	return r;
}

static int compare_labels(const void *a, const void *b)
{
	return str_cmp(((const struct label *)a)->key, ((const struct label *)b)->key);
}

/* Keys once each, sorted; of equal keys the path's value wins, then the last. */
static uint32_t effective_labels(const struct series *s, struct label *ret)
{
	uint32_t n = 0;
	for (int of_path = 0; of_path < 2; of_path++)
		for (uint32_t i = 0; i < s->n_labels; i++) {
			if (s->labels[i].of_path != of_path)
				continue;
			uint32_t k = 0;
			while (k < n && !str_eq(ret[k].key, s->labels[i].key))
				k++;
			ret[k] = (struct label){ s->labels[i].key, s->labels[i].value };
			n = MAX(n, k + 1);
		}
	qsort(ret, n, sizeof *ret, compare_labels);
	return n;
}

static int get_series(struct dataset *d, struct slice record, struct series *s)
{
	struct cursor c = cursor_of(record);
	size_t most = record.len / 3;
	struct series_label *labels = table_alloc(d, most, sizeof *labels);
	struct label *effective = table_alloc(d, most, sizeof *effective);
	if (!labels || !effective)
		return -ENOMEM;
	while (cursor_left(&c)) {
		uint32_t key = get_string(d, &c), value = get_string(d, &c);
		uint8_t of_path = cursor_u8(&c);
		if (c.bad)
			return ERR_CORRUPT_LAYOUT;
		labels[s->n_labels++] = (struct series_label){ d->symbols.strings[key], d->symbols.strings[value],
			                                       of_path != 0 };
	}
	s->labels = labels;
	s->n_effective = effective_labels(s, effective);
	s->effective = effective;
	return 0;
}

static int load_series(struct dataset *d, struct slice in)
{
	struct slice *records;
	uint32_t n;
	int r = get_records(d, in, &records, &n);
	if (r < 0)
		return r;
	struct series *series = table_alloc(d, n, sizeof *series);
	if (!series)
		return -ENOMEM;
	for (uint32_t i = 0; i < n && r == 0; i++)
		r = get_series(d, records[i], &series[i]);
	d->profiles.series = series;
	d->profiles.n_series = n;
	return r;
}

enum { COL_TIME, COL_DURATION, COL_SERIES, COL_HEADER, COL_MAPSET, COL_SAMPLES, COL_GROUP, COL_SOURCE, COL_TOTALS,
       COL_DIVISORS, COLUMNS };

static int get_row(struct dataset *d, struct cursor col[COLUMNS], struct profile_row *row, int64_t *time)
{
	const struct profiles *p = &d->profiles;
	*time = (int64_t)((uint64_t)*time + (uint64_t)cursor_svarint(&col[COL_TIME]));
	row->time = *time;
	row->duration = cursor_svarint(&col[COL_DURATION]);
	row->series = (uint32_t)cursor_varint(&col[COL_SERIES]);
	row->header = (uint32_t)cursor_varint(&col[COL_HEADER]);
	row->mapset = (uint32_t)cursor_varint(&col[COL_MAPSET]);
	row->n_samples = (uint32_t)cursor_varint_max(&col[COL_SAMPLES], UINT32_MAX - 1);
	row->group = (uint32_t)cursor_varint(&col[COL_GROUP]);
	row->time_source = cursor_u8(&col[COL_SOURCE]);
	for (size_t i = 0; i <= COL_SOURCE; i++)
		if (col[i].bad)
			return ERR_CORRUPT_LAYOUT;
	if (row->series >= p->n_series || row->header >= p->n_headers || row->mapset >= p->n_mapsets ||
	    row->group >= d->n_groups || d->groups[row->group].header != row->header)
		return ERR_CORRUPT_LAYOUT;
	return 0;
}

static int count_totals(struct dataset *d, const struct profile_row *rows, uint64_t n, size_t *ret)
{
	size_t total = 0;
	for (uint64_t i = 0; i < n; i++)
		total += d->profiles.headers[rows[i].header].n_types;
	*ret = total;
	return total > UINT32_MAX ? ERR_CORRUPT_LAYOUT : 0;
}

static int load_totals(struct dataset *d, struct cursor col[COLUMNS], struct profile_row *rows, uint64_t n)
{
	size_t total, at = 0;
	int r = count_totals(d, rows, n, &total);
	if (r < 0)
		return r;
	int64_t *totals = table_alloc(d, total, sizeof *totals), *divisors = table_alloc(d, total, sizeof *divisors);
	if (!totals || !divisors)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++) {
		rows[i].totals_at = (uint32_t)at;
		at += d->profiles.headers[rows[i].header].n_types;
	}
	for (size_t i = 0; i < total; i++) {
		totals[i] = cursor_svarint(&col[COL_TOTALS]);
		divisors[i] = (int64_t)cursor_varint_max(&col[COL_DIVISORS], INT64_MAX);
		if (divisors[i] < 1)
			return ERR_CORRUPT_LAYOUT;
	}
	d->profiles.totals = totals;
	d->profiles.divisors = divisors;
	return col[COL_TOTALS].bad || col[COL_DIVISORS].bad ? ERR_CORRUPT_LAYOUT : 0;
}

static int load_rows(struct dataset *d, struct slice in, struct slice ids)
{
	struct cursor c = cursor_of(in), col[COLUMNS];
	uint64_t n = get_count(&c);
	for (size_t i = 0; i < COLUMNS; i++)
		col[i] = column_get(&c);
	if (c.bad || ids.len != n * PROFILE_HASH_LEN || n != d->info.profiles)
		return ERR_CORRUPT_LAYOUT;
	struct profile_row *rows = table_alloc(d, n, sizeof *rows);
	uint32_t *filled = calloc((size_t)d->n_groups + 1, sizeof *filled);
	int r = rows && filled ? 0 : -ENOMEM;
	int64_t time = 0;
	for (uint64_t i = 0; i < n && r == 0; i++) {
		r = get_row(d, col, &rows[i], &time);
		if (r < 0)
			break;
		rows[i].in_group = filled[rows[i].group]++;
		memcpy(rows[i].hash, ids.data + i * PROFILE_HASH_LEN, PROFILE_HASH_LEN);
	}
	for (uint32_t g = 0; g < d->n_groups && r == 0; g++)
		r = filled[g] == d->groups[g].n_profiles ? 0 : ERR_CORRUPT_LAYOUT;
	free(filled);
	if (r < 0)
		return r;
	d->profiles.rows = rows;
	d->profiles.n = (uint32_t)n;
	return load_totals(d, col, rows, n);
}

/* Which rows make up each group, so that a group is found without a look at all rows. */
static int index_groups(struct dataset *d)
{
	const struct profiles *p = &d->profiles;
	uint32_t *at = table_alloc(d, (size_t)d->n_groups + 1, sizeof *at);
	uint32_t *rows = table_alloc(d, p->n, sizeof *rows);
	if (!at || !rows)
		return -ENOMEM;
	for (uint32_t g = 0; g < d->n_groups; g++)
		at[g + 1] = at[g] + d->groups[g].n_profiles;
	for (uint32_t i = 0; i < p->n; i++)
		rows[at[p->rows[i].group] + p->rows[i].in_group] = i;
	d->group_at = at;
	d->group_rows = rows;
	return 0;
}

/* ---- loading on first use ---- */

struct step {
	uint8_t kind;
	int (*load)(struct dataset *, struct slice);
};

/* Loads tables in order; their raw bytes stay where tables point into them. */
static int load_tables(struct dataset *d, const struct step *steps, size_t n, struct error *err)
{
	uint8_t kinds[SECTION_KINDS] = { 0 };
	struct loaded loaded[SECTION_KINDS];
	for (size_t i = 0; i < n; i++)
		kinds[i] = steps[i].kind;
	int r = dataset_load(d, kinds, n, loaded, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (r == 0)
			r = steps[i].load(d, (struct slice){ loaded[i].data, loaded[i].len });
		if (r < 0 && err && !err->text[0])
			error_set(err, r, "%s: service %.*s: table %u: %s", d->block->name, (int)d->info.service.len,
			          d->info.service.s, steps[i].kind, err_text(r));
		if (r == 0 && kinds[i] == SECTION_STRINGS) { /* stays, even if a later table fails */
			d->kept[kinds[i]] = loaded[i];
			d->has_strings = true;
		} else {
			free(loaded[i].data);
		}
	}
	return r;
}

static int need_strings(struct dataset *d, struct error *err)
{
	static const struct step steps[] = { { SECTION_STRINGS, load_strings } };
	return d->has_strings ? 0 : load_tables(d, steps, ARRAY_SIZE(steps), err);
}

static int need_symbols(struct dataset *d, struct error *err)
{
	static const struct step steps[] = {
		{ SECTION_STRINGS, load_strings },     { SECTION_FUNCTIONS, load_functions },
		{ SECTION_FILES, load_files },         { SECTION_LOCATIONS, load_locations },
		{ SECTION_STACKS, load_stacks },
	};
	if (d->has_symbols)
		return 0;
	size_t skip = d->has_strings ? 1 : 0;
	int r = load_tables(d, steps + skip, ARRAY_SIZE(steps) - skip, err);
	d->has_symbols |= r == 0;
	return r;
}

static int need_labelsets(struct dataset *d, struct error *err)
{
	static const struct step steps[] = { { SECTION_LABELSETS, load_labelsets } };
	int r = need_strings(d, err);
	if (r == 0 && !d->has_labelsets) {
		r = load_tables(d, steps, ARRAY_SIZE(steps), err);
		d->has_labelsets |= r == 0;
	}
	return r;
}

/* A group has its stacks and the values of every type of its header, each once. */
static bool group_is_whole(const struct dataset *d, const struct group_entry *g)
{
	if (g->header >= d->profiles.n_headers)
		return false;
	uint32_t n_types = d->profiles.headers[g->header].n_types, types = 0, seen = 0;
	uint64_t have = 0;
	for (uint32_t i = 0; i < g->n_streams; i++) {
		uint8_t kind = g->streams[i].kind;
		if (kind < STREAM_VALUES) {
			if (seen >> kind & 1)
				return false;
			seen |= 1u << kind;
			continue;
		}
		if (kind - STREAM_VALUES >= (int)n_types || have >> (kind - STREAM_VALUES) & 1)
			return false;
		have |= UINT64_C(1) << (kind - STREAM_VALUES);
		types++;
	}
	return seen & 1u << STREAM_STACKS && types == n_types;
}

static int load_groups(struct dataset *d, struct slice in)
{
	int r = rowgroup_index_decode(in, d->sections[SECTION_SAMPLES].stored, &d->arena, &d->groups, &d->n_groups);
	for (uint32_t i = 0; r == 0 && i < d->n_groups; i++)
		if (!group_is_whole(d, &d->groups[i]))
			r = ERR_CORRUPT_LAYOUT;
	return r;
}

static int need_tables(struct dataset *d, struct error *err)
{
	static const struct step steps[] = {
		{ SECTION_HEADERS, load_headers }, { SECTION_MAPSETS, load_mapsets }, { SECTION_SERIES, load_series },
	};
	if (d->has_tables)
		return 0;
	int r = need_strings(d, err);
	if (r == 0)
		r = load_tables(d, steps, ARRAY_SIZE(steps), err);
	d->has_tables |= r == 0;
	return r;
}

static int need_profiles(struct dataset *d, struct error *err)
{
	static const struct step steps[] = { { SECTION_GROUPS, load_groups } };
	static const uint8_t kinds[] = { SECTION_PROFILES, SECTION_IDS };
	if (d->has_profiles)
		return 0;
	int r = need_tables(d, err);
	if (r == 0)
		r = load_tables(d, steps, ARRAY_SIZE(steps), err);
	struct loaded rows[2] = { 0 };
	if (r == 0)
		r = dataset_load(d, kinds, 2, rows, err);
	if (r < 0)
		return r;
	r = load_rows(d, (struct slice){ rows[0].data, rows[0].len }, (struct slice){ rows[1].data, rows[1].len });
	free(rows[0].data);
	free(rows[1].data);
	if (r == 0)
		r = index_groups(d);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return corrupt(d, err, "the table of profiles does not fit the others");
	d->has_profiles = true;
	return 0;
}

static int need_rollups(struct dataset *d, struct error *err)
{
	static const struct step steps[] = { { SECTION_ROLLUPS, rollups_load } };
	int r = need_tables(d, err);
	if (r == 0 && !d->has_rollups) {
		r = d->info.has_rollups ? load_tables(d, steps, ARRAY_SIZE(steps), err) : 0;
		d->has_rollups |= r == 0;
	}
	return r;
}

int dataset_symbols(struct dataset *d, const struct symbols **ret, struct error *err)
{
	pthread_mutex_lock(&d->lock);
	int r = need_symbols(d, err);
	pthread_mutex_unlock(&d->lock);
	if (r == 0)
		*ret = &d->symbols;
	return r;
}

int dataset_strings(struct dataset *d, const struct str **ret, uint32_t *ret_n, struct error *err)
{
	pthread_mutex_lock(&d->lock);
	int r = need_strings(d, err);
	pthread_mutex_unlock(&d->lock);
	if (r < 0)
		return r;
	*ret = d->symbols.strings;
	*ret_n = d->symbols.n_strings;
	return 0;
}

int dataset_labelsets(struct dataset *d, const struct labelsets **ret, struct error *err)
{
	pthread_mutex_lock(&d->lock);
	int r = need_labelsets(d, err);
	pthread_mutex_unlock(&d->lock);
	if (r == 0)
		*ret = &d->labelsets;
	return r;
}

int dataset_profiles(struct dataset *d, const struct profiles **ret, struct error *err)
{
	pthread_mutex_lock(&d->lock);
	int r = need_profiles(d, err);
	pthread_mutex_unlock(&d->lock);
	if (r == 0)
		*ret = &d->profiles;
	return r;
}

/* A column of times, and the hashes beside it. */
static int decode_ids(struct slice in, struct slice hashes, uint64_t expected, struct ulid **ret)
{
	struct cursor c = cursor_of(in);
	uint64_t n = get_count(&c), time = 0;
	struct cursor times = column_get(&c);
	if (c.bad || n != expected || hashes.len != n * PROFILE_HASH_LEN)
		return ERR_CORRUPT_LAYOUT;
	_free_ struct ulid *ids = malloc((n + 1) * sizeof *ids);
	if (!ids)
		return -ENOMEM;
	for (uint64_t i = 0; i < n; i++) {
		time += (uint64_t)cursor_svarint(&times);
		ids[i] = ulid_make((int64_t)time, hashes.data + i * PROFILE_HASH_LEN);
	}
	if (times.bad)
		return ERR_CORRUPT_LAYOUT;
	*ret = TAKE_PTR(ids);
	return 0;
}

int dataset_ids(struct dataset *d, struct ulid **ret, uint32_t *ret_n, struct error *err)
{
	static const uint8_t kinds[] = { SECTION_PROFILES, SECTION_IDS };
	struct loaded in[2];
	int r = dataset_load(d, kinds, 2, in, err);
	if (r < 0)
		return r;
	r = decode_ids((struct slice){ in[0].data, in[0].len }, (struct slice){ in[1].data, in[1].len },
	               d->info.profiles, ret);
	free(in[0].data);
	free(in[1].data);
	if (r == ERR_CORRUPT_LAYOUT)
		return corrupt(d, err, "the table of profiles is not whole");
	if (r == 0)
		*ret_n = (uint32_t)d->info.profiles;
	return r;
}

int dataset_tables(struct dataset *d, const struct profiles **ret, struct error *err)
{
	pthread_mutex_lock(&d->lock);
	int r = need_tables(d, err);
	pthread_mutex_unlock(&d->lock);
	if (r == 0)
		*ret = &d->profiles;
	return r;
}

int dataset_rollups(struct dataset *d, const struct rollups **ret, struct error *err)
{
	pthread_mutex_lock(&d->lock);
	int r = need_rollups(d, err);
	pthread_mutex_unlock(&d->lock);
	if (r == 0)
		*ret = &d->rollups;
	return r;
}

struct ulid profile_row_id(const struct profile_row *row)
{
	return ulid_make(row->time, row->hash);
}

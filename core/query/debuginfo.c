/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "../base/hash.h"
#include "../db/debuginfo.h"
#include "internal.h"

/*
 * A part's symbols with lines where the sender gave none: locations without lines, of files whose symbols are known,
 * get theirs when the part's symbols are loaded, so that whatever works on them sees no difference. Stacks stay as they
 * are; what is added comes behind what is there. Strings are the tables', which are held as long as the query.
 */

struct symbolised {
	atomic_uint refs;
	struct symbols symbols;
	struct debug_shared **tables; /* by file; NULL: none */
	struct sym_file *files;
	struct sym_location *locations;
	VEC(struct str) strings;
	VEC(struct sym_function) functions;
	VEC(struct sym_line) lines;
	struct idset string_set, function_set; /* of what is added */
};

void symbolised_unref(struct symbolised *s)
{
	if (!s || atomic_fetch_sub(&s->refs, 1) != 1)
		return;
	for (uint32_t i = 0; s->tables && i < s->symbols.n_files; i++)
		debug_shared_unref(s->tables[i]);
	free(s->tables);
	free(s->files);
	free(s->locations);
	VEC_DONE(&s->strings);
	VEC_DONE(&s->functions);
	VEC_DONE(&s->lines);
	idset_done(&s->string_set);
	idset_done(&s->function_set);
	free(s);
}
DEFINE_CLEANUP(struct symbolised *, symbolised_unref);

static bool is_bare(const struct sym_location *l)
{
	return !l->n_lines && l->file != PROFILE_NONE && !(l->flags & LOCATION_EXPLICIT);
}

/* The tables of files that have bare locations. *ret: whether there are any. */
static int find_tables(struct view *v, const struct symbols *sym, struct symbolised *s, bool *ret, struct error *err)
{
	_free_ bool *asked = calloc((size_t)sym->n_files + 1, sizeof *asked);
	s->tables = calloc((size_t)sym->n_files + 1, sizeof(struct debug_shared *));
	if (!asked || !s->tables)
		return -ENOMEM;
	int r = 0;
	for (uint32_t i = 0; i < sym->n_locations && r == 0; i++) {
		const struct sym_location *l = &sym->locations[i];
		if (!is_bare(l) || asked[l->file])
			continue;
		asked[l->file] = true;
		r = view_debug_table(v, sym->strings[sym->files[l->file].build_id], &s->tables[l->file], err);
		*ret |= s->tables[l->file] != NULL;
	}
	return r;
}

/* ---- what is added ---- */

static int copy_symbols(const struct symbols *sym, struct symbolised *s)
{
	s->files = malloc(((size_t)sym->n_files + 1) * sizeof *s->files);
	s->locations = malloc(((size_t)sym->n_locations + 1) * sizeof *s->locations);
	struct str *strings = VEC_GROW(&s->strings, sym->n_strings + 1);
	struct sym_function *functions = VEC_GROW(&s->functions, sym->n_functions + 1);
	struct sym_line *lines = VEC_GROW(&s->lines, sym->n_lines + 1);
	if (!s->files || !s->locations || !strings || !functions || !lines)
		return -ENOMEM;
	memcpy(s->files, sym->files, sym->n_files * sizeof *s->files);
	memcpy(s->locations, sym->locations, sym->n_locations * sizeof *s->locations);
	memcpy(strings, sym->strings, sym->n_strings * sizeof *strings);
	memcpy(functions, sym->functions, sym->n_functions * sizeof *functions);
	memcpy(lines, sym->lines, sym->n_lines * sizeof *lines);
	s->strings.n = sym->n_strings;
	s->functions.n = sym->n_functions;
	s->lines.n = sym->n_lines;
	return 0;
}

/* By address: a table has a string once. The empty one is 0 everywhere. */
static uint32_t add_string(struct symbolised *s, struct str text)
{
	uint64_t hash = hash_mix((uintptr_t)text.s, text.len);
	if (!text.len)
		return 0;
	for (struct idset_probe at = idset_probe(&s->string_set, hash); idset_next(&s->string_set, &at);)
		if (s->strings.v[at.id].s == text.s && s->strings.v[at.id].len == text.len)
			return at.id;
	struct str *to = VEC_PUSH(&s->strings);
	if (!to || idset_add(&s->string_set, hash, (uint32_t)s->strings.n - 1) < 0)
		return NONE;
	*to = text;
	return (uint32_t)s->strings.n - 1;
}

static uint32_t add_function(struct symbolised *s, const struct debug_frame *frame)
{
	const struct sym_function f = { add_string(s, frame->name), add_string(s, frame->system_name),
		                        add_string(s, frame->file), frame->start_line };
	if (f.name == NONE || f.system_name == NONE || f.filename == NONE)
		return NONE;
	uint64_t hash = hash_mix(hash_mix(f.name, f.system_name), hash_mix(f.filename, (uint64_t)f.start_line));
	for (struct idset_probe at = idset_probe(&s->function_set, hash); idset_next(&s->function_set, &at);) {
		const struct sym_function *o = &s->functions.v[at.id];
		if (o->name == f.name && o->system_name == f.system_name && o->filename == f.filename &&
		    o->start_line == f.start_line)
			return at.id;
	}
	struct sym_function *to = VEC_PUSH(&s->functions);
	if (!to || idset_add(&s->function_set, hash, (uint32_t)s->functions.n - 1) < 0)
		return NONE;
	*to = f;
	return (uint32_t)s->functions.n - 1;
}

static int add_lines(struct symbolised *s, struct sym_location *l)
{
	struct debug_frame frames[DEBUG_FRAMES_MAX];
	uint32_t n = debug_table_find(debug_shared_table(s->tables[l->file]), l->address, frames);
	l->line_at = (uint32_t)s->lines.n;
	for (; l->n_lines < n; l->n_lines++) {
		uint32_t function = add_function(s, &frames[l->n_lines]);
		struct sym_line *to = function == NONE ? NULL : VEC_PUSH(&s->lines);
		if (!to)
			return -ENOMEM;
		*to = (struct sym_line){ .function = function, .line = frames[l->n_lines].line };
	}
	if (n)
		s->files[l->file].flags |= MAPPING_HAS_FUNCTIONS | MAPPING_HAS_FILENAMES | MAPPING_HAS_LINE_NUMBERS |
		                           MAPPING_HAS_INLINE_FRAMES;
	return 0;
}

static int symbolise(const struct symbols *sym, struct symbolised *s)
{
	int r = copy_symbols(sym, s);
	for (uint32_t i = 0; i < sym->n_locations && r == 0; i++)
		if (is_bare(&s->locations[i]) && s->tables[s->locations[i].file])
			r = add_lines(s, &s->locations[i]);
	s->symbols.strings = s->strings.v;
	s->symbols.n_strings = (uint32_t)s->strings.n;
	s->symbols.functions = s->functions.v;
	s->symbols.n_functions = (uint32_t)s->functions.n;
	s->symbols.lines = s->lines.v;
	s->symbols.n_lines = (uint32_t)s->lines.n;
	s->symbols.files = s->files;
	s->symbols.locations = s->locations;
	return r;
}

void part_share_symbols(struct qpart *to, const struct qpart *from)
{
	if (to->symbols)
		return;
	if (from->symbolised)
		atomic_fetch_add(&from->symbolised->refs, 1);
	to->symbols = from->symbols;
	to->symbolised = from->symbolised;
	to->ordinals = from->ordinals;
}

int part_load_symbols(struct query *q, struct qpart *p, struct error *err)
{
	const struct symbols *sym;
	bool any = false;
	int r = dataset_symbols(p->dataset, &sym, err);
	if (r < 0 || !view_debug_print(q->view)) {
		p->symbols = r < 0 ? NULL : sym;
		return r;
	}
	_cleanup_(symbolised_unrefp) struct symbolised *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	atomic_init(&s->refs, 1);
	s->symbols = *sym;
	r = find_tables(q->view, sym, s, &any, err);
	if (r == 0 && any)
		r = symbolise(sym, s);
	if (r < 0)
		return r;
	p->symbols = any ? &s->symbols : sym;
	p->symbolised = any ? TAKE_PTR(s) : NULL;
	return 0;
}

/* Build ids are among the part's strings. */
int part_debug_names(struct query *q, const struct qpart *p, struct str name, struct error *err)
{
	bool found = false;
	int r = 0;
	for (uint32_t i = 0; view_debug_print(q->view) && i < p->n_strings && r == 0 && !found; i++) {
		struct debug_shared *s;
		r = view_debug_table(q->view, p->strings[i], &s, err);
		found = r == 0 && s && debug_table_may_name(debug_shared_table(s), name);
		debug_shared_unref(r == 0 ? s : NULL);
	}
	return r < 0 ? r : found;
}

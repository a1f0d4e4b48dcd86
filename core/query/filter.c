/* SPDX-License-Identifier: MIT */
#include "internal.h"

#include <string.h>

/*
 * Filters on stacks, applied in order to a stack's lines, root first. Names are judged as pprof's flags judge them: by
 * the function's name, its file's and the mapping's, unanchored; each name once.
 *
 *     focus     keeps stacks with a match                                     -focus
 *     ignore    drops stacks with a match                                     -ignore
 *     root      begins at the first match from the root; as pprof does, a     -show_from
 *               later location that matches loses the callers inlined
 *               into it that do not, since it is one location everywhere
 *     callers   keeps the match nearest the leaf and what called it, and
 *               turns them over: the match becomes the root
 *     function  keeps stacks with a frame of exactly this name, or of a name that matches
 *     self      keeps stacks that end in such a frame
 */

int filters_init(struct filters *f, const struct selection *sel, struct symtab *t)
{
	*f = (struct filters){ .sel = sel, .symtab = t };
	f->verdicts = calloc(sel->n_filters + 1, sizeof *f->verdicts);
	f->n_verdicts = calloc(sel->n_filters + 1, sizeof *f->n_verdicts);
	return f->verdicts && f->n_verdicts ? 0 : -ENOMEM;
}

void filters_done(struct filters *f)
{
	for (size_t i = 0; f->verdicts && i < f->sel->n_filters; i++)
		free(f->verdicts[i]);
	free(f->verdicts);
	free(f->n_verdicts);
	VEC_DONE(&f->items);
}

static bool judge(const struct filter *filter, struct str s)
{
	return filter->re ? regex_match(filter->re, s) : str_eq(s, str_of(filter->text));
}

/* Whether a filter matches a string of the symtab. Without memory the answer is right, and asked again next time. */
static bool verdict(struct filters *f, size_t filter, uint32_t string)
{
	if (string >= f->n_verdicts[filter]) {
		size_t n = f->symtab->strings.n + f->symtab->strings.n / 2 + 16;
		uint8_t *grown = realloc(f->verdicts[filter], n);
		if (!grown)
			return judge(&f->sel->filters[filter], symtab_str(f->symtab, string));
		memset(grown + f->n_verdicts[filter], 0, n - f->n_verdicts[filter]);
		f->verdicts[filter] = grown;
		f->n_verdicts[filter] = n;
	}
	uint8_t *v = &f->verdicts[filter][string];
	if (!*v)
		*v = judge(&f->sel->filters[filter], symtab_str(f->symtab, string)) ? 2 : 1;
	return *v == 2;
}

static bool string_matches(struct filters *f, size_t filter, uint32_t part, uint32_t string)
{
	uint32_t s = symtab_string(f->symtab, part, string);
	return s != NONE && verdict(f, filter, s);
}

static bool mapping_matches(struct filters *f, size_t filter, uint32_t part, const struct item *item)
{
	const struct symbols *sym = f->symtab->q->parts.v[part].symbols;
	uint32_t file = sym->locations[item->location].file;
	return file != PROFILE_NONE && string_matches(f, filter, part, sym->files[file].filename);
}

static bool line_matches(struct filters *f, size_t filter, uint32_t part, const struct item *item)
{
	const struct symbols *sym = f->symtab->q->parts.v[part].symbols;
	if (item->line == NONE || sym->lines[item->line].function == PROFILE_NONE)
		return false;
	const struct sym_function *fn = &sym->functions[sym->lines[item->line].function];
	return string_matches(f, filter, part, fn->name) || string_matches(f, filter, part, fn->filename);
}

static bool item_matches(struct filters *f, size_t filter, uint32_t part, const struct item *item)
{
	if (f->sel->filters[filter].kind < FILTER_FUNCTION)
		return line_matches(f, filter, part, item) || mapping_matches(f, filter, part, item);
	uint32_t name = symtab_name(f->symtab, part, item->location, item->line);
	return name != NONE && verdict(f, filter, name);
}

static bool any_matches(struct filters *f, size_t filter, uint32_t part)
{
	for (size_t i = 0; i < f->items.n; i++)
		if (item_matches(f, filter, part, &f->items.v[i]))
			return true;
	return false;
}

/* The end of the call that begins at item `at`. */
static size_t call_end(const struct filters *f, size_t at)
{
	size_t end = at + 1;
	while (end < f->items.n && f->items.v[end].call == f->items.v[at].call)
		end++;
	return end;
}

/* Where a call's lines begin after @root; its end where none of them matches. */
static size_t call_root(struct filters *f, size_t filter, uint32_t part, size_t at, size_t end)
{
	if (mapping_matches(f, filter, part, &f->items.v[at]))
		return at;
	while (at < end && !line_matches(f, filter, part, &f->items.v[at]))
		at++;
	return at;
}

static bool apply_root(struct filters *f, size_t filter, uint32_t part)
{
	size_t n = 0;
	for (size_t at = 0, end; at < f->items.n; at = end) {
		end = call_end(f, at);
		size_t from = call_root(f, filter, part, at, end);
		if (from == end && n)
			from = at;
		while (from < end)
			f->items.v[n++] = f->items.v[from++];
	}
	f->items.n = n;
	return n > 0;
}

static void reverse_items(struct filters *f)
{
	for (size_t i = 0, n = f->items.n; i < n / 2; i++) {
		struct item swap = f->items.v[i];
		f->items.v[i] = f->items.v[n - 1 - i];
		f->items.v[n - 1 - i] = swap;
	}
}

static bool apply_callers(struct filters *f, size_t filter, uint32_t part)
{
	size_t n = f->items.n;
	while (n && !item_matches(f, filter, part, &f->items.v[n - 1]))
		n--;
	f->items.n = n;
	reverse_items(f);
	return n > 0;
}

static bool apply(struct filters *f, size_t filter, uint32_t part)
{
	switch (f->sel->filters[filter].kind) {
	case FILTER_IGNORE:
		return !any_matches(f, filter, part);
	case FILTER_ROOT:
		return apply_root(f, filter, part);
	case FILTER_CALLERS:
		return apply_callers(f, filter, part);
	case FILTER_SELF:
	case FILTER_SELF_RE:
		return f->items.n && item_matches(f, filter, part, &f->items.v[f->items.n - 1]);
	default:
		return any_matches(f, filter, part);
	}
}

static int push_call(struct filters *f, const struct symbols *sym, uint32_t location, uint32_t call)
{
	const struct sym_location *l = &sym->locations[location];
	struct item *to = VEC_GROW(&f->items, MAX(l->n_lines, 1u));
	if (!to)
		return -ENOMEM;
	f->items.n += MAX(l->n_lines, 1u);
	if (!l->n_lines)
		*to = (struct item){ location, NONE, call };
	for (uint32_t i = 0; i < l->n_lines; i++) /* innermost first: turned by the caller */
		to[i] = (struct item){ location, l->line_at + i, call };
	return 0;
}

int filters_stack(struct filters *f, uint32_t part, uint32_t stack)
{
	const struct symbols *sym = f->symtab->q->parts.v[part].symbols;
	f->items.n = 0;
	for (uint32_t s = stack, call = 0; s != 0; s = sym->stack_parent[s], call++)
		if (push_call(f, sym, sym->stack_location[s], call) < 0)
			return -ENOMEM;
	reverse_items(f);
	for (size_t i = 0; i < f->sel->n_filters; i++)
		if (!apply(f, i, part))
			return 0;
	return 1;
}

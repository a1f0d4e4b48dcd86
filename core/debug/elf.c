/* SPDX-License-Identifier: MIT */

/*
 * ELF and DWARF by elfutils, whose headers are included here alone. What a file says is not to be trusted: a walk is
 * bounded by the size of the sections, which is bounded by their headers before anything is decompressed; strings must
 * end within their section, where libdw only looks for their end; what lies outside the code is left out.
 */

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <elfutils/libdwelf.h>
#include <gelf.h>
#include <libelf.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include "build.h"

#define DEPTH_MAX 200                    /* of entries in each other */
#define SECTIONS_MAX ((uint64_t)4 << 30) /* bytes of all, decompressed */
#define LINES_MAX ((uint64_t)128 << 20)  /* of .debug_line: a byte of it may be a row */
#define QUALIFIED_MAX 1024
#define LEVEL_SYMBOL 0 /* what DWARF tells of the same place is inside */
#define LEVEL_DWARF 1

/* One stretch of code: where it is mapped and where it stands in the file. */
struct segment {
	uint64_t start, end, offset;
};

/* What a class or namespace puts before the name of a function that is declared in it. */
struct declared {
	uint64_t at; /* of the entry */
	uint32_t prefix;
};

struct reader {
	struct builder b;
	Elf *elf;
	Dwarf *dwarf;
	VEC(struct segment) segments;
	VEC(struct declared) declared; /* ascending */
	uint64_t entries, entries_max; /* visited */
	bool has_split;                /* units whose entries are in other files */
	Dwarf_Files *files;            /* these of the current unit */
	size_t n_files;
	const char *directory;
};

static void reader_done(struct reader *r)
{
	builder_done(&r->b);
	dwarf_end(r->dwarf);
	elf_end(r->elf);
	VEC_DONE(&r->segments);
	VEC_DONE(&r->declared);
}

static void out_of_memory(struct reader *r)
{
	r->b.error = r->b.error ? r->b.error : -ENOMEM;
}

/* ---- where code is ---- */

/*
 * `objcopy --only-keep-debug` empties the segments and forgets where they were in the file: then they stand in it as
 * they are mapped, as linkers place them unless told otherwise.
 */
static void add_segment(struct reader *r, const GElf_Phdr *p, uint64_t base)
{
	struct segment *to = p->p_vaddr + p->p_memsz > p->p_vaddr ? VEC_PUSH(&r->segments) : NULL;
	if (to)
		*to = (struct segment){ p->p_vaddr, p->p_vaddr + p->p_memsz,
			                p->p_filesz ? p->p_offset : p->p_vaddr - base };
	else if (p->p_memsz)
		out_of_memory(r);
}

static void find_segments(struct reader *r)
{
	size_t n = 0;
	uint64_t base = UINT64_MAX;
	GElf_Phdr p;
	if (elf_getphdrnum(r->elf, &n))
		return;
	for (size_t i = 0; i < n; i++)
		if (gelf_getphdr(r->elf, (int)i, &p) && p.p_type == PT_LOAD)
			base = MIN(base, p.p_vaddr & ~(p.p_align ? p.p_align - 1 : 0));
	for (size_t i = 0; i < n; i++)
		if (gelf_getphdr(r->elf, (int)i, &p) && p.p_type == PT_LOAD && p.p_flags & PF_X)
			add_segment(r, &p, base);
}

/* Cuts [*start, *end) to the code and moves it to its place in the file. What a linker dropped stands at 0. */
static bool to_file(const struct reader *r, uint64_t *start, uint64_t *end)
{
	for (size_t i = 0; *start && i < r->segments.n; i++) {
		const struct segment *s = &r->segments.v[i];
		if (*start < s->start || *start >= s->end)
			continue;
		*end = MIN(*end, s->end) - s->start + s->offset;
		*start = *start - s->start + s->offset;
		return true;
	}
	return false;
}

static void add_range(struct reader *r, uint64_t start, uint64_t end, uint32_t scope, uint32_t level)
{
	if (start < end && to_file(r, &start, &end))
		builder_range(&r->b, &(struct found_range){ start, end, scope, level });
}

/* ---- .symtab ---- */

struct symbol {
	uint64_t start, size;
	const char *name;
};

static int symbol_order(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;
	return x->start != y->start ? CMP(x->start, y->start) : x->size != y->size ? CMP(y->size, x->size)
	                                                                           : strcmp(x->name, y->name);
}

typedef VEC(struct symbol) symbols_t;

static void list_symbols(struct reader *r, Elf_Scn *section, const GElf_Shdr *header, symbols_t *ret)
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t n = data && header->sh_entsize ? MIN(data->d_size, header->sh_size) / header->sh_entsize : 0;
	for (size_t i = 0; i < n && i < INT32_MAX; i++) {
		GElf_Sym sym;
		if (!gelf_getsym(data, (int)i, &sym) || sym.st_shndx == SHN_UNDEF ||
		    (GELF_ST_TYPE(sym.st_info) != STT_FUNC && GELF_ST_TYPE(sym.st_info) != STT_GNU_IFUNC))
			continue;
		const char *name = elf_strptr(r->elf, header->sh_link, sym.st_name);
		struct symbol *to = name && *name ? VEC_PUSH(ret) : NULL;
		if (to)
			*to = (struct symbol){ sym.st_value, sym.st_size, name };
	}
}

/* Of several names of one place the first is taken. One without a size ends where the next begins. */
static void add_symbols(struct reader *r, symbols_t *symbols)
{
	if (symbols->n)
		qsort(symbols->v, symbols->n, sizeof *symbols->v, symbol_order);
	for (size_t i = 0; i < symbols->n; i++) {
		const struct symbol *s = &symbols->v[i];
		if (i && s->start == s[-1].start)
			continue;
		uint64_t end = s->start + s->size;
		if (!s->size)
			end = i + 1 < symbols->n ? s[1].start : UINT64_MAX;
		uint32_t name = builder_string(&r->b, s->name);
		struct debug_scope scope = { .name = name, .linkage = name, .parent = DEBUG_NONE };
		add_range(r, s->start, end, builder_scope(&r->b, &scope), LEVEL_SYMBOL);
	}
}

/* .dynsym has what other files see; .symtab has all, where it was kept. */
static void read_symbols(struct reader *r)
{
	symbols_t symbols = { 0 };
	for (Elf_Scn *s = NULL; (s = elf_nextscn(r->elf, s));) {
		GElf_Shdr header;
		if (gelf_getshdr(s, &header) && (header.sh_type == SHT_SYMTAB || header.sh_type == SHT_DYNSYM))
			list_symbols(r, s, &header, &symbols);
	}
	add_symbols(r, &symbols);
	VEC_DONE(&symbols);
}

/* ---- names of entries ---- */

static const char *unnamed(int tag)
{
	return tag == DW_TAG_namespace ? "(anonymous namespace)" : NULL;
}

static bool holds_declarations(int tag)
{
	return tag == DW_TAG_namespace || tag == DW_TAG_class_type || tag == DW_TAG_structure_type ||
	       tag == DW_TAG_union_type || tag == DW_TAG_module || tag == DW_TAG_interface_type ||
	       tag == DW_TAG_enumeration_type;
}

/* "outer::inner" */
static uint32_t join_names(struct reader *r, uint32_t prefix, const char *name)
{
	struct str before = r->b.strings.v[prefix];
	char text[QUALIFIED_MAX];
	if (!before.len || !name)
		return name ? builder_string(&r->b, name) : prefix;
	if ((size_t)snprintf(text, sizeof text, "%s::%s", before.s, name) >= sizeof text)
		return builder_string(&r->b, name);
	return builder_string(&r->b, text);
}

static bool may_visit(struct reader *r, unsigned depth)
{
	if (!r->b.error && r->entries++ > r->entries_max)
		r->b.error = ERR_FORMAT_MALFORMED;
	return !r->b.error && depth < DEPTH_MAX;
}

static void declare(struct reader *r, Dwarf_Die *die, uint32_t prefix)
{
	struct declared *to = prefix ? VEC_PUSH(&r->declared) : NULL;
	if (to)
		*to = (struct declared){ dwarf_dieoffset(die), prefix };
	else if (prefix)
		out_of_memory(r);
}

/* Notes what functions are declared in. */
static void find_declared(struct reader *r, Dwarf_Die *parent, uint32_t prefix, unsigned depth)
{
	Dwarf_Die die;
	for (int e = dwarf_child(parent, &die); e == 0 && may_visit(r, depth); e = dwarf_siblingof(&die, &die)) {
		int tag = dwarf_tag(&die);
		if (tag == DW_TAG_subprogram)
			declare(r, &die, prefix);
		if (holds_declarations(tag)) {
			const char *name = dwarf_diename(&die);
			find_declared(r, &die, join_names(r, prefix, name ? name : unnamed(tag)), depth + 1);
		} else if (dwarf_haschildren(&die) > 0) {
			find_declared(r, &die, prefix, depth + 1);
		}
	}
}

static int declared_order(const void *a, const void *b)
{
	return CMP(((const struct declared *)a)->at, ((const struct declared *)b)->at);
}

/* The entry that declares it: what an instance is of, and what a definition completes. */
static uint32_t prefix_of(struct reader *r, Dwarf_Die *die)
{
	Dwarf_Die at = *die;
	for (int i = 0; i < 4; i++) {
		Dwarf_Attribute attr;
		struct declared key = { .at = dwarf_dieoffset(&at) };
		const struct declared *found = r->declared.n ? bsearch(&key, r->declared.v, r->declared.n,
		                                                       sizeof key, declared_order) : NULL;
		if (found)
			return found->prefix;
		if ((!dwarf_attr(&at, DW_AT_abstract_origin, &attr) && !dwarf_attr(&at, DW_AT_specification, &attr)) ||
		    !dwarf_formref_die(&attr, &at))
			return 0;
	}
	return 0;
}

static const char *linkage_name(Dwarf_Die *die)
{
	Dwarf_Attribute attr;
	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attr) ||
	    dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attr))
		return dwarf_formstring(&attr);
	return NULL;
}

/* Relative ones begin where the compiler ran. */
static uint32_t file_string(struct reader *r, const char *path)
{
	char text[PATH_MAX];
	if (!path || *path == '/' || !r->directory ||
	    (size_t)snprintf(text, sizeof text, "%s/%s", r->directory, path) >= sizeof text)
		return builder_string(&r->b, path);
	return builder_string(&r->b, text);
}

/* ---- functions and what is inlined into them ---- */

static uint32_t number_of(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attr;
	Dwarf_Word v;
	if (!dwarf_attr(die, name, &attr) || dwarf_formudata(&attr, &v) || v > UINT32_MAX)
		return 0;
	return (uint32_t)v;
}

static uint32_t add_scope(struct reader *r, Dwarf_Die *die, uint32_t parent)
{
	int line = 0;
	const char *name = dwarf_diename(die), *linkage = linkage_name(die);
	dwarf_decl_line(die, &line);
	struct debug_scope s = {
		.name = name ? join_names(r, prefix_of(r, die), name) : builder_string(&r->b, linkage),
		.linkage = builder_string(&r->b, linkage ? linkage : name),
		.file = file_string(r, dwarf_decl_file(die)),
		.line = (uint32_t)MAX(line, 0),
		.parent = parent,
	};
	if (parent != DEBUG_NONE) {
		uint32_t file = number_of(die, DW_AT_call_file);
		if (file && file < r->n_files)
			s.call_file = file_string(r, dwarf_filesrc(r->files, file, NULL, NULL));
		s.call_line = number_of(die, DW_AT_call_line);
	}
	return builder_scope(&r->b, &s);
}

/* Its ranges, if it has code: *ret the new scope. */
static bool add_code(struct reader *r, Dwarf_Die *die, uint32_t parent, uint32_t level, uint32_t *ret)
{
	Dwarf_Addr base, start, end;
	bool any = false;
	ptrdiff_t at = 0;
	while ((at = dwarf_ranges(die, at, &base, &start, &end)) > 0 && may_visit(r, 0)) {
		if (!any)
			*ret = add_scope(r, die, parent);
		any = true;
		add_range(r, start, end, *ret, level);
	}
	return any;
}

/* A function in a function is one by itself: it is called, not inlined. */
static void read_entries(struct reader *r, Dwarf_Die *parent, uint32_t scope, unsigned depth)
{
	Dwarf_Die die;
	for (int e = dwarf_child(parent, &die); e == 0 && may_visit(r, depth); e = dwarf_siblingof(&die, &die)) {
		int tag = dwarf_tag(&die);
		uint32_t inner = scope;
		if (tag == DW_TAG_subprogram && !add_code(r, &die, DEBUG_NONE, LEVEL_DWARF, &inner))
			continue;
		if (tag == DW_TAG_inlined_subroutine && scope != DEBUG_NONE)
			add_code(r, &die, scope, LEVEL_DWARF + 1 + depth, &inner);
		if (dwarf_haschildren(&die) > 0)
			read_entries(r, &die, inner, depth + 1);
	}
}

/* ---- lines ---- */

/* Sequences that begin at 0 were dropped by the linker. */
static void read_lines(struct reader *r, Dwarf_Die *unit)
{
	Dwarf_Lines *lines;
	size_t n;
	bool begins = true, skipped = false;
	if (dwarf_getsrclines(unit, &lines, &n))
		return;
	for (size_t i = 0; i < n && !r->b.error; i++) {
		Dwarf_Line *l = dwarf_onesrcline(lines, i);
		Dwarf_Addr at, none = UINT64_MAX;
		int line = 0;
		bool ends = false;
		if (dwarf_lineaddr(l, &at) || dwarf_lineendsequence(l, &ends) || dwarf_lineno(l, &line))
			continue;
		skipped = begins ? at == 0 : skipped;
		begins = ends;
		if (skipped)
			continue;
		if (ends && at && at-- && to_file(r, &at, &none))
			builder_row(&r->b, at + 1, 0, 0);
		else if (!ends && to_file(r, &at, &none))
			builder_row(&r->b, at, file_string(r, dwarf_linesrc(l, NULL, NULL)), (uint32_t)MAX(line, 0));
	}
}

static bool is_split(uint8_t type)
{
	return type == DW_UT_skeleton || type == DW_UT_split_compile;
}

static void each_unit(struct reader *r, void (*fn)(struct reader *r, Dwarf_Die *unit))
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die unit;
	uint8_t type;
	while (!r->b.error && dwarf_get_units(r->dwarf, cu, &cu, NULL, &type, &unit, NULL) == 0)
		if (type == DW_UT_compile || type == DW_UT_partial)
			fn(r, &unit);
		else if (is_split(type))
			r->has_split = true;
}

static void unit_declared(struct reader *r, Dwarf_Die *unit)
{
	find_declared(r, unit, 0, 0);
}

static void unit_code(struct reader *r, Dwarf_Die *unit)
{
	Dwarf_Attribute attr;
	r->directory = dwarf_attr(unit, DW_AT_comp_dir, &attr) ? dwarf_formstring(&attr) : NULL;
	r->files = NULL;
	r->n_files = 0;
	if (dwarf_getsrcfiles(unit, &r->files, &r->n_files))
		r->n_files = 0;
	read_entries(r, unit, DEBUG_NONE, 0);
	read_lines(r, unit);
}

static void read_dwarf(struct reader *r)
{
	size_t symbols = r->b.scopes.n;
	each_unit(r, unit_declared);
	if (r->declared.n)
		qsort(r->declared.v, r->declared.n, sizeof *r->declared.v, declared_order);
	r->entries = 0;
	each_unit(r, unit_code);
	if (r->b.scopes.n == symbols && !r->b.rows.n) {
		dwarf_end(r->dwarf);
		r->dwarf = NULL;
	}
}

/* ---- DWARF in other files ---- */

/* What `dwz -m` put into a file for several: libdw finds it beside a file that has a name. */
static bool lacks_common_file(struct reader *r, struct debug_facts *facts)
{
	const char *name;
	const void *id;
	if (!r->dwarf || dwelf_dwarf_gnu_debugaltlink(r->dwarf, &name, &id) <= 0 || dwarf_getalt(r->dwarf))
		return false;
	snprintf(facts->note, sizeof facts->note, "its DWARF is partly in %.60s (by dwz), which is not there: "
	         "names of .symtab alone; add it where both are", name);
	return true;
}

static void note_split(const struct reader *r, struct debug_facts *facts)
{
	if (r->has_split)
		snprintf(facts->note, sizeof facts->note, "its DWARF is split into .dwo files, which are not read: "
		         "names of .symtab alone for what is there; build it with -gno-split-dwarf");
}

/* ---- the file ---- */

static int read_build_id(struct reader *r, struct debug_facts *facts, struct error *err)
{
	const void *bits;
	ssize_t n = dwelf_elf_gnu_build_id(r->elf, &bits);
	if (n <= 0 || n > BUILD_ID_MAX)
		return error_set(err, ERR_FORMAT, "it has no build id: link with -Wl,--build-id");
	for (ssize_t i = 0; i < n; i++)
		snprintf(facts->build_id + 2 * i, 3, "%02x", ((const uint8_t *)bits)[i]);
	return 0;
}

static uint64_t big_endian(const uint8_t *p)
{
	uint64_t v = 0;
	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

/* What a section takes in memory. Compressed ones say so, those of old linkers (.zdebug_) in their first bytes. */
static uint64_t section_bytes(Elf_Scn *section, const GElf_Shdr *header, const char *name)
{
	GElf_Chdr compressed;
	if (header->sh_type == SHT_NOBITS)
		return 0;
	if (header->sh_flags & SHF_COMPRESSED)
		return gelf_getchdr(section, &compressed) ? compressed.ch_size : 0;
	Elf_Data *data = !strncmp(name, ".zdebug", 7) ? elf_rawdata(section, NULL) : NULL;
	if (data && data->d_size >= 12 && !memcmp(data->d_buf, "ZLIB", 4))
		return big_endian((const uint8_t *)data->d_buf + 4);
	return header->sh_size;
}

/* Before anything of them is decompressed. */
static int measure_sections(struct reader *r, struct error *err)
{
	size_t names;
	uint64_t all = 0;
	if (elf_getshdrstrndx(r->elf, &names))
		return 0;
	for (Elf_Scn *s = NULL; (s = elf_nextscn(r->elf, s));) {
		GElf_Shdr header;
		const char *name = gelf_getshdr(s, &header) ? elf_strptr(r->elf, names, header.sh_name) : NULL;
		uint64_t n = name ? section_bytes(s, &header, name) : 0;
		bool lines = name && (!strcmp(name, ".debug_line") || !strcmp(name, ".zdebug_line"));
		if (n > SECTIONS_MAX - all || (lines && n > LINES_MAX))
			return error_set(err, ERR_FORMAT_LIMIT, "its section %.40s is too large", name);
		all += n;
	}
	r->entries_max = all;
	return 0;
}

/* Whether the last string of a section of strings ends. Decompresses it, as libdw would. */
static bool strings_end(Elf_Scn *section, const GElf_Shdr *header, const char *name)
{
	bool strings = header->sh_type == SHT_STRTAB || strstr(name, "debug_str") || strstr(name, "debug_line_str");
	if (!strings || header->sh_type == SHT_NOBITS)
		return true;
	if (header->sh_flags & SHF_COMPRESSED ? elf_compress(section, 0, 0) < 0
	                                      : !strncmp(name, ".zdebug", 7) && elf_compress_gnu(section, 0, 0) < 0)
		return false;
	Elf_Data *data = elf_rawdata(section, NULL);
	return data && (!data->d_size || !((const char *)data->d_buf)[data->d_size - 1]);
}

static int check_strings(struct reader *r, struct error *err)
{
	size_t names;
	if (elf_getshdrstrndx(r->elf, &names))
		return 0;
	for (Elf_Scn *s = NULL; (s = elf_nextscn(r->elf, s));) {
		GElf_Shdr header;
		const char *name = gelf_getshdr(s, &header) ? elf_strptr(r->elf, names, header.sh_name) : NULL;
		if (name && !strings_end(s, &header, name))
			return error_set(err, ERR_FORMAT_MALFORMED, "its section %.40s is cut short", name);
	}
	return 0;
}

static int open_elf(struct reader *r, int fd, struct error *err)
{
	r->elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!r->elf || elf_kind(r->elf) != ELF_K_ELF)
		return error_set(err, ERR_FORMAT, "it is no ELF file");
	int e = measure_sections(r, err);
	return e ? e : check_strings(r, err);
}

static void init_libelf(void)
{
	elf_version(EV_CURRENT);
}

static int read_all(struct reader *r, struct debug_facts *facts, struct error *err)
{
	find_segments(r);
	read_symbols(r);
	r->dwarf = dwarf_begin_elf(r->elf, DWARF_C_READ, NULL);
	if (lacks_common_file(r, facts)) {
		dwarf_end(r->dwarf);
		r->dwarf = NULL;
	}
	if (r->dwarf)
		read_dwarf(r);
	note_split(r, facts);
	facts->dwarf = r->dwarf != NULL;
	if (r->b.error == ERR_FORMAT_MALFORMED)
		return error_set(err, r->b.error, "its DWARF is malformed");
	if (!r->b.error && !r->b.found.n && facts->note[0])
		return error_set(err, ERR_FORMAT, "it has no .symtab, and %s", facts->note);
	if (!r->b.error && !r->b.found.n)
		return error_set(err, ERR_FORMAT, "it has no symbols: neither DWARF nor .symtab (was it stripped?)");
	return 0;
}

int debug_read(int fd, struct debug_facts *ret, struct buf *out, struct error *err)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, init_libelf);
	_cleanup_(reader_done) struct reader r = { 0 };
	struct debug_facts facts = { 0 };
	builder_init(&r.b);
	int e = open_elf(&r, fd, err);
	if (e == 0)
		e = read_build_id(&r, &facts, err);
	if (e == 0)
		e = read_all(&r, &facts, err);
	if (e == 0)
		e = builder_finish(&r.b, &facts, out, err);
	if (e == 0)
		*ret = facts;
	return e;
}

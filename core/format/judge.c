/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "../wire/pb.h"
#include "internal.h"

/* What else than a profile is written to a profiling database, and what its owner should do. */

#define PSTATS "Python's cProfile statistics: they hold who called whom and no stacks; profile by py-spy or Austin, " \
               "or convert them by `pyprof2calltree`"
#define GO_TRACE "a Go execution trace: run `go tool trace -pprof=sched TRACE` and write its output"

struct magic {
	const char *bytes;
	size_t len, at;
	const char *what;
};

#define MAGIC(bytes_, what_) { bytes_, sizeof(bytes_) - 1, 0, what_ }

static const struct magic magics[] = {
	/* profiles of other kinds */
	MAGIC("PERFILE2", "perf data: run `perf script` and write its output"),
	MAGIC("2ELIFREP", "perf data of the other byte order: run `perf script` and write its output"),
	{ " trace\0", 7, 7, GO_TRACE }, /* "go 1.22 trace" */
	{ " trace\0", 7, 6, GO_TRACE },
	MAGIC("JAVA PROFILE", "a Java heap dump: it holds objects, no stacks over time; record them by "
	                      "`jcmd PID JFR.start`, or by async-profiler"),
	MAGIC("Nettrace\x14", ".NET nettrace: run `dotnet-trace convert --format speedscope`"),
	MAGIC("memray\0", "a memray capture: memray cannot write its stacks for others; profile by py-spy or Austin"),
	MAGIC("v8-version,", "a V8 log: run `node --prof-process`, or profile by --cpu-prof"),
	MAGIC("desc: ", "a massif file: it holds snapshots of the heap, not samples; profile by callgrind, heaptrack "
	                "or gperftools"),
	MAGIC("--- Execution profile ---", "async-profiler's text for people: profile with -o collapsed or -o pprof"),
	MAGIC("goroutine 1 [", "a Go goroutine dump (debug=2): fetch it without debug=2"),
	MAGIC("rbspy0", "an rbspy recording: run `rbspy report -f collapsed`"),
	/* compressed and packed files */
	{ "1AY&SY", 6, 4, "a bzip2 file: decompress it first" },
	MAGIC("\xfd" "7zXZ\0", "an xz file: decompress it first"),
	MAGIC("\x04\"M\x18", "an lz4 file: decompress it first"),
	MAGIC("x\x9c", "a zlib stream, not gzip: compress it by gzip"),
	MAGIC("x\x01", "a zlib stream, not gzip: compress it by gzip"),
	MAGIC("x\xda", "a zlib stream, not gzip: compress it by gzip"),
	MAGIC("PK\3\4", "a zip archive: unpack it first"),
	MAGIC("7z\xbc\xaf", "a 7-zip archive: unpack it first"),
	{ "ustar", 5, 257, "a tar archive: unpack it first" },
	/* what is no profile at all */
	MAGIC("\x7f" "ELF", "an ELF file (a program or core dump)"),
	MAGIC("\x89PNG", "a PNG image"),
	MAGIC("\xff\xd8\xff", "a JPEG image"),
	MAGIC("GIF8", "a GIF image"),
	MAGIC("%PDF-", "a PDF document"),
	MAGIC("SQLite format 3", "an SQLite database"),
	MAGIC("\xca\xfe\xba\xbe", "a Java class"),
	MAGIC("\xff\xfe", "UTF-16 text: write it as UTF-8"),
	MAGIC("\xfe\xff", "UTF-16 text: write it as UTF-8"),
	MAGIC("#!", "a script"),
	MAGIC("HTTP/1.", "an HTTP answer with its headers: write the body alone"),
};

static int named(struct error *err, const char *what)
{
	return error_set(err, ERR_FORMAT_NAMED, "%s", what);
}

static struct str skip_space(struct slice s)
{
	struct str t = { (const char *)s.data, s.len };
	if (t.len >= 3 && !memcmp(t.s, "\xef\xbb\xbf", 3))
		t = (struct str){ t.s + 3, t.len - 3 };
	while (t.len && strchr(" \t\r\n", *t.s) && *t.s)
		t = (struct str){ t.s + 1, t.len - 1 };
	return t;
}

static bool begins(struct str s, const char *prefix)
{
	size_t n = strlen(prefix);
	return s.len >= n && !strncasecmp(s.s, prefix, n);
}

static bool holds(struct str s, const char *text)
{
	return s.len && memmem(s.s, s.len, text, strlen(text));
}

/* JSON that some profiler or viewer writes and that is no profile of stacks. */
static int judge_json(struct str s, struct error *err)
{
	if (holds(s, "\"root_frame\"") && holds(s, "\"sample_count\""))
		return named(err, "a pyinstrument session: write it with `pyinstrument -r speedscope`");
	if (holds(s, "\"gc_samples\"") && holds(s, "\"missed_samples\""))
		return named(err, "a stackprof profile: run `stackprof --stackcollapse` and write its output");
	bool raw_threads = holds(s, "\"stackTable\"") && holds(s, "\"schema\"");
	bool raw_libraries = holds(s, "\"libs\":[{\"start\"") && holds(s, "\"breakpadId\"");
	if ((raw_threads || raw_libraries) && !holds(s, "\"preprocessedProfileVersion\""))
		return named(err, "a profile as Firefox itself writes it: open it at "
		                  "profiler.firefox.com and save it there");
	if (holds(s, "\"dhatFileVersion\""))
		return named(err, "a DHAT file: it holds counts of allocations by place, not samples");
	return 0;
}

/* `{` or `[{` and what follows in JSON; "{closure};f 1" and "[unknown];f 1" are stacks. */
static bool is_json(struct str s)
{
	if (!s.len || (*s.s != '{' && *s.s != '['))
		return false;
	char open = *s.s;
	struct str t = skip_space((struct slice){ (const uint8_t *)s.s + 1, s.len - 1 });
	return t.len && (open == '{' ? *t.s == '"' || *t.s == '}' : *t.s == '{' || *t.s == '[' || *t.s == '"');
}

bool judge_is_json(struct slice head)
{
	return is_json(skip_space(head));
}

static int judge_text(struct str s, struct error *err)
{
	if (begins(s, "<!doctype html") || begins(s, "<html"))
		return named(err, "an HTML page (an error page of a server?)");
	if (begins(s, "<svg") || (begins(s, "<?xml") && holds(s, "<svg")))
		return named(err, "an SVG image: a rendering, not a profile");
	if (begins(s, "<?xml") || begins(s, "<!--"))
		return named(err, "XML");
	if (is_json(s))
		return judge_json(s, err);
	return 0;
}

/*
 * A Perfetto trace is a row of messages, all of field 1, that begin with fields which neither a pprof's types nor an
 * OTLP resource have.
 */
static bool is_perfetto(struct slice head)
{
	struct cursor c = cursor_of(head);
	struct pb_field packet = { 0 }, first = { 0 };
	size_t n = 0;
	for (; n < 3 && pb_next(&c, &packet); n++) {
		struct cursor inner = cursor_of(packet.bytes);
		if (packet.number != 1 || packet.wire != PB_LEN || !pb_next(&inner, &first) || first.number <= 3)
			return false;
	}
	return n == 3;
}

/*
 * Python's marshalled dictionary of which the first key is a tuple of three: a small one, or one whose size takes four
 * bytes. The highest bit says that something may refer to it.
 */
static bool is_pstats(struct slice head)
{
	const uint8_t *p = head.data;
	if (head.len < 6 || (p[0] & 0x7f) != '{')
		return false;
	return ((p[1] & 0x7f) == ')' && p[2] == 3) || ((p[1] & 0x7f) == '(' && !memcmp(p + 2, "\3\0\0", 4));
}

/* What /debug/pprof/cmdline answers: words with a zero byte between them. */
static bool is_command_line(struct slice head)
{
	size_t zeros = 0, first = strnlen((const char *)head.data, head.len);
	for (size_t i = 0; i < head.len; i++) {
		if (head.data[i] && (head.data[i] < 0x20 || head.data[i] == 0x7f))
			return false;
		zeros += !head.data[i];
		if (!head.data[i] && (!i || !head.data[i - 1]))
			return false;
	}
	return zeros && first >= 4;
}

int judge_named(struct slice head, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(magics); i++) {
		const struct magic *m = &magics[i];
		if (head.len >= m->at + m->len && !memcmp(head.data + m->at, m->bytes, m->len))
			return named(err, m->what);
	}
	if (is_perfetto(head))
		return named(err, "a Perfetto trace: open it at ui.perfetto.dev, or convert it by `traceconv profile`");
	if (is_pstats(head))
		return named(err, PSTATS);
	if (is_command_line(head))
		return named(err, "a command line (/debug/pprof/cmdline), not a profile");
	return judge_text(skip_space(head), err);
}

bool judge_is_text(struct slice head)
{
	for (size_t i = 0; i < MIN(head.len, (size_t)4096); i++) {
		uint8_t c = head.data[i];
		if ((c < 0x20 && !(c >= '\t' && c <= '\r') && c != 0x1b) || c == 0x7f)
			return false;
	}
	return true;
}

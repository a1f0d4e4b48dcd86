/* SPDX-License-Identifier: MIT */
#include "render.h"

#include <string.h>

#include "../base/pct.h"

/* The README.md of the root: what to type first. Six lines open it; each is a command that works from here.
 */

static void put_service(struct buf *out, const struct readme_facts *f)
{
	if (f->services && f->services->n)
		pct_encode(out, str_of(f->services->v[0]), false);
	else
		buf_puts(out, "SERVICE");
}

static void put_line(struct buf *out, const char *what, const char *before, const struct buf *service,
                     const char *after)
{
	buf_printf(out, "- %s: `%s", what, before);
	buf_put(out, service->data, service->len);
	buf_printf(out, "%s`\n", after);
}

static void put_write_line(struct buf *out, const struct readme_facts *f, const struct buf *service)
{
	if (!f->writable)
		buf_puts(out, "- write: not here, this is read-only\n");
	else if (f->services && f->services->n)
		put_line(out, "write", "cp cpu.pb.gz ", service, "/region=eu/");
	else
		put_line(out, "write", "mkdir SERVICE && cp cpu.pb.gz ", service, "/region=eu/");
}

static const char body[] =
	"\n"
	"Times are UTC. Each name in a path narrows what stands before it:\n"
	"\n"
	"    SERVICE / LABEL=VALUE / TIME / TYPE / LABEL=VALUE / FILE\n"
	"\n"
	"- TIME: `2026-11-22`, `2026-11-22T14`, `2026-11-22T1405`, `2026-11-22T1000--2026-11-22T1230`, "
	"`last-15m`, `last-1h`,\n"
	"  `today`, `yesterday`, `latest`, `all`\n"
	"- TYPE: as listed below a time: `cpu`, `inuse_space`, `goroutine` ...; `heap` and `allocs` are "
	"links\n"
	"- LABEL: `region=eu`, `region!=eu`, `'pod=~web-.*'`, `'pod!~canary.*'`; `by-region` lists the "
	"values\n"
	"- filters: `@focus=REGEX`, `@ignore=REGEX`, `@root=REGEX`, `@callers=REGEX`, `@function=NAME`\n"
	"- options: `@step=15s`, `@granularity=lines`, `@limit=50`, `@unit=ms`, `@scale=log`, "
	"`@weight=value`\n"
	"- `A/vs/B`: A against the baseline B; what there is of both so far is `info.json`\n"
	"\n"
	"Files below a TYPE: `flamegraph.svg` (open it in a browser), `top.txt`, `top.tsv`, `tree.txt`, "
	"`folded.txt`,\n"
	"`profile.pb.gz` (for `go tool pprof`), `heatmap.svg`, `heatmap.csv`, `metrics.prom`, `metrics.csv`, "
	"`labels.json`,\n"
	"`info.json` (what was merged, averaged and left out). `profiles/` holds the single profiles as they "
	"came in.\n"
	"\n"
	"What narrows or repeats is listed as a symbolic link: `find`, `grep -r`, `du` and `rsync -a` see "
	"each profile once.\n";

static const char writing[] = "\n"
			      "Writing: any profile that is copied into `SERVICE/` or `SERVICE/LABEL=VALUE/` "
			      "is taken in; the format is recognised by\n"
			      "content. `mkdir SERVICE` makes a new service. When the copy is done, the "
			      "profile is in the store and in every view.\n";

void render_readme(const struct readme_facts *facts, struct buf *out)
{
	_buf_ struct buf service = BUF_INIT(4096);
	put_service(&service, facts);
	put_line(out, "newest", "cat ", &service, "/latest/cpu/top.txt");
	put_line(out, "last 15 minutes", "firefox ", &service, "/last-15m/cpu/flamegraph.svg");
	put_line(out, "heap", "go tool pprof ", &service, "/latest/heap/profile.pb.gz");
	put_line(out, "two versions", "cat ", &service, "/latest/cpu/version=2/vs/version=1/info.json");
	put_write_line(out, facts, &service);
	buf_puts(out, "- where errors are: `cat .profilefs/errors`\n");
	buf_put(out, body, sizeof body - 1);
	if (facts->writable)
		buf_put(out, writing, sizeof writing - 1);
}

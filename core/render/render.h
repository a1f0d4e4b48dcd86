/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * The table of renderings: query results to bytes, one file per rendering. Bytes are a function of the query's results
 * alone: no clock, no order of storage.
 */

#include "../query/query.h"

enum render_where {
	RENDER_TYPE = 1,      /* at or below a TYPE */
	RENDER_NO_TYPE = 2,   /* below a TIME without a TYPE */
	RENDER_BY = 4,        /* inside by-LABEL below a TYPE */
	RENDER_VS = 8,        /* below vs */
	RENDER_MOMENTS = 16,  /* beside these: listed only where samples say when they were taken */
	RENDER_FUNCTION = 32, /* below a TYPE, where @function= stands */
};

struct rendering {
	const char *name;  /* the file's */
	unsigned where;    /* enum render_where */
	bool reads_samples; /* else totals and labels alone: cheap */
	int (*render)(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err);
};

extern const struct rendering *const renderings[]; /* by name; NULL-terminated */
const struct rendering *rendering_find(const char *name);

extern const struct rendering render_callees_txt, render_callers_txt, render_callgraph, render_callgrind,
	render_default_pgo, render_diff_folded, render_diff_json, render_diff_tsv, render_diff_txt, render_firefox,
	render_flamegraph_html, render_flamegraph_svg, render_folded, render_functions_tsv, render_heatmap_csv,
	render_heatmap_svg, render_info_json, render_labels_json, render_lines_tsv, render_metrics_csv,
	render_metrics_prom, render_otlp, render_pprof, render_speedscope, render_subsecond_svg, render_timeline_svg,
	render_top_tsv, render_top_txt, render_tree_txt;
/* Of .profilefs/search/: not in the table. */
extern const struct rendering render_search;

/* One profile as it came in, gzipped: what a file in profiles/ holds. */
int render_original(struct query *q, const struct ulid *id, const struct cancel *cancel, struct buf *out,
                    struct error *err);

/*
 * The newest step of each series that begins at `since` or later, without timestamps: what metrics.prom has, with names
 * that begin with `name` (a metric's). Nothing where nothing is selected. Appends.
 */
int render_newest(struct query *q, const char *name, int64_t since, const struct cancel *cancel, struct buf *out,
                  struct error *err);

#define RULE_BY_MAX 8 /* labels that a rule groups by */

struct metric_sample {
	int64_t time; /* at which its step begins */
	double value;
};

/* One series of what metrics.prom has. Borrowed for the call. */
struct metric_series {
	struct str name;                     /* of the metric */
	const struct label *labels;          /* valid names, once each; values in UTF-8, which may be "" */
	size_t n_labels;
	const struct metric_sample *samples; /* ascending; never none */
	size_t n_samples;
};

/* Calls fn for each series, with names as above, until it gives not 0: returns that, 0, or an error. */
typedef int (*metric_fn)(void *ctx, const struct metric_series *s);
int render_series(struct query *q, const char *name, const struct cancel *cancel, metric_fn fn, void *ctx,
                  struct error *err);

/* The generated README.md of the root. */
struct readme_facts {
	const struct names *services;
	bool writable;
};
void render_readme(const struct readme_facts *facts, struct buf *out);

/* Text inside XML: escaped, invalid UTF-8 and forbidden characters replaced by U+FFFD. Appends. */
void xml_escape(struct buf *out, struct str s);

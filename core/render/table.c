/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "render.h"

const struct rendering *const renderings[] = {
	&render_callees_txt,
	&render_callers_txt,
	&render_callgraph,
	&render_callgrind,
	&render_default_pgo,
	&render_diff_folded,
	&render_diff_json,
	&render_diff_tsv,
	&render_diff_txt,
	&render_firefox,
	&render_flamegraph_html,
	&render_flamegraph_svg,
	&render_folded,
	&render_functions_tsv,
	&render_heatmap_csv,
	&render_heatmap_svg,
	&render_info_json,
	&render_labels_json,
	&render_lines_tsv,
	&render_metrics_csv,
	&render_metrics_prom,
	&render_otlp,
	&render_pprof,
	&render_speedscope,
	&render_subsecond_svg,
	&render_timeline_svg,
	&render_top_tsv,
	&render_top_txt,
	&render_tree_txt,
	NULL,
};

const struct rendering *rendering_find(const char *name)
{
	for (const struct rendering *const *r = renderings; *r; r++)
		if (!strcmp((*r)->name, name))
			return *r;
	return NULL;
}

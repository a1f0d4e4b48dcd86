/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * What the pictures share: their head, their title, the policy that lets nothing in from elsewhere, their scripts.
 *
 * A picture is complete without its script. The script is the program's own, known by its hash: nothing that names or
 * labels say can become one. Names are always text.
 */

#include "text.h"

#define FONT_FACE "ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',monospace"

/* A script or style sheet of core/render/web, as the build embeds it. */
struct embedded {
	const char *text;
	unsigned len;
	const char *sha256; /* base64 */
};

extern const struct embedded web_flamegraph_svg_js, web_flamegraph_html_js, web_flamegraph_html_css, web_grid_js;

/*
 * What an SVG begins with: root, policy (script: NULL for none), <title> and <desc>. Then its <style>.
 */
struct svg_head {
	int width, height;
	const struct embedded *script;
};
void put_svg_head(struct buf *out, const struct svg_head *head, struct query *q, const char *kind, struct str desc);
void put_svg_script(struct buf *out, const struct embedded *script);

/*
 * The policy's text: no request to anywhere, no script but this one, no style
 * sheet but this one (NULL: those in the file). HTML carries it as <meta>, which browsers enforce;
 * from within an SVG they take none: there it is told for who serves the file, and the file works under it.
 */
void put_policy(struct buf *out, const struct embedded *script, const struct embedded *style);

/* "checkout · cpu · region=eu", under vs also "vs region=us": escaped. */
void put_picture_title(struct buf *out, struct query *q);
/* "2026-11-22 14:00:00 UTC to ...", and under vs where it differs that of the baseline. */
void put_picture_range(struct buf *out, struct query *q);

/* Shared style of all SVG pictures: fonts, text and grounds for light, dark and forced colours, and print. */
extern const char picture_style[];

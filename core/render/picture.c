/* SPDX-License-Identifier: MIT */
#include "picture.h"

#include <string.h>

const char picture_style[] =
	"text{font:12px " FONT_FACE ";fill:#16181c}\n"
	"svg{background:#fff}.bg{fill:#fff}.m{text-anchor:middle}.e{text-anchor:end}\n"
	".t{font-size:16px;font-weight:600}.q{fill:#5a6068}\n"
	"@media (prefers-color-scheme:dark){\n"
	"svg{background:#16181c}text{fill:#f0f2f4}.bg{fill:#16181c}.q{fill:#a4abb5}}\n"
	"@media (forced-colors:active){svg{background:Canvas}text{fill:CanvasText;forced-color-adjust:none}"
	".bg{fill:Canvas;forced-color-adjust:none}}\n";

/* ---- what is shown ---- */

static void put_matchers(struct buf *out, const struct selection *s, const char *before)
{
	static const char *const ops[] = { "=", "!=", "=~", "!~" };
	for (size_t i = 0; i < s->n_matchers; i++, before = " · ") {
		const struct matcher *m = &s->matchers[i];
		buf_puts(out, before);
		xml_escape(out, (struct str){ m->key, m->key_len });
		buf_puts(out, ops[m->op]);
		xml_escape(out, (struct str){ m->value, m->value_len });
	}
}

static void put_filters(struct buf *out, const struct selection *s)
{
	for (size_t i = 0; i < s->n_filters; i++) {
		buf_printf(out, " · %s ", filter_name(s->filters[i].kind));
		xml_escape(out, str_of(s->filters[i].text));
	}
}

static bool same_matchers(const struct selection *a, const struct selection *b)
{
	_buf_ struct buf x = BUF_INIT((size_t)1 << 20), y = BUF_INIT((size_t)1 << 20);
	put_matchers(&x, a, "");
	put_matchers(&y, b, "");
	return x.len == y.len && (!x.len || !memcmp(x.data, y.data, x.len));
}

void put_picture_title(struct buf *out, struct query *q)
{
	const struct selection *s = query_selection(q);
	struct query *base = query_baseline(q);
	xml_escape(out, service_title(s));
	buf_puts(out, " · ");
	xml_escape(out, str_of(query_info(q)->type));
	if (s->by) {
		buf_puts(out, " by ");
		xml_escape(out, str_of(s->by));
	}
	put_matchers(out, s, " · ");
	put_filters(out, s);
	if (base && !same_matchers(s, query_selection(base))) {
		buf_puts(out, query_selection(base)->n_matchers ? " vs " : " vs all");
		put_matchers(out, query_selection(base), "");
	}
}

void put_picture_range(struct buf *out, struct query *q)
{
	struct query *base = query_baseline(q);
	put_range(out, q);
	if (!base || (query_selection(q)->from == query_selection(base)->from &&
	              query_selection(q)->to == query_selection(base)->to))
		return;
	buf_puts(out, " vs ");
	put_range(out, base);
}

/* ---- documents ---- */

void put_policy(struct buf *out, const struct embedded *script, const struct embedded *style)
{
	buf_puts(out, "default-src 'none'; style-src ");
	if (style)
		buf_printf(out, "'sha256-%s'", style->sha256);
	else
		buf_puts(out, "'unsafe-inline'");
	if (script)
		buf_printf(out, "; script-src 'sha256-%s'", script->sha256);
	buf_puts(out, "; base-uri 'none'; form-action 'none'");
}

void put_svg_head(struct buf *out, const struct svg_head *head, struct query *q, const char *kind, struct str desc)
{
	buf_puts(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
	              "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"100%\"");
	buf_printf(out, " height=\"%d\" viewBox=\"0 0 %d %d\" preserveAspectRatio=\"xMidYMin\"", head->height,
	           head->width, head->height);
	buf_puts(out, " role=\"img\" aria-labelledby=\"title desc\">\n<title id=\"title\">");
	put_picture_title(out, q);
	buf_printf(out, " · %s</title>\n<desc id=\"desc\">", kind);
	buf_put(out, desc.s, desc.len);
	buf_puts(out, "</desc>\n<!-- Content-Security-Policy: ");
	put_policy(out, head->script, NULL);
	buf_puts(out, " -->\n");
}

void put_svg_script(struct buf *out, const struct embedded *script)
{
	buf_puts(out, "<script><![CDATA[");
	buf_put(out, script->text, script->len);
	buf_puts(out, "]]></script>\n");
}

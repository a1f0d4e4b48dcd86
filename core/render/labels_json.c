/* SPDX-License-Identifier: MIT */
#include "../wire/jsonw.h"
#include "render.h"

/* Label names and values with the number of profiles, the greatest first; at most 10,000 values each. */

static void put_values(struct jsonw *w, const struct label_values *v)
{
	jsonw_key(w, "values");
	jsonw_array(w);
	for (size_t i = 0; i < v->n; i++) {
		jsonw_object(w);
		jsonw_key(w, "value");
		jsonw_strn(w, v->values[i].value);
		jsonw_key(w, "profiles");
		jsonw_u64(w, v->values[i].profiles);
		jsonw_end_object(w);
	}
	jsonw_end_array(w);
}

static void put_label(struct jsonw *w, const struct label_values *v)
{
	jsonw_object(w);
	jsonw_key(w, "name");
	jsonw_strn(w, v->key);
	jsonw_key(w, "of");
	jsonw_str(w, v->of_samples ? "samples" : "profiles");
	jsonw_key(w, "distinct");
	jsonw_u64(w, v->n + v->rest);
	jsonw_key(w, "not_listed");
	jsonw_u64(w, v->rest);
	put_values(w, v);
	jsonw_end_object(w);
}

static int labels_render(struct query *q, const struct cancel *cancel, struct buf *out, struct error *err)
{
	const struct labels *labels;
	int e = query_labels(q, true, cancel, &labels, err);
	if (e < 0)
		return e;
	struct jsonw w = JSONW(out);
	jsonw_object(&w);
	jsonw_key(&w, "profiles");
	jsonw_u64(&w, query_info(q)->profiles);
	jsonw_key(&w, "labels");
	jsonw_array(&w);
	for (size_t i = 0; i < labels->n; i++)
		put_label(&w, &labels->v[i]);
	jsonw_end_array(&w);
	jsonw_end_object(&w);
	buf_putc(out, '\n');
	return buf_err(out);
}

const struct rendering render_labels_json = { "labels.json", RENDER_TYPE | RENDER_NO_TYPE, false,
                                              labels_render };

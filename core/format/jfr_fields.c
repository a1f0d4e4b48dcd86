/* SPDX-License-Identifier: MIT */

/*
 * What events say that nothing special is known of (files read, exceptions thrown, an application's own events): each
 * field is a label of its name. Fields that every event may have are labels already, or the sample itself.
 */

#include "jfr.h"

static bool is_told(enum jfr_slot slot)
{
	static const bool told[JFR_SLOTS + 1] = {
		[SLOT_START] = true, [SLOT_DURATION] = true, [SLOT_EVENT_THREAD] = true, [SLOT_SAMPLED_THREAD] = true,
		[SLOT_STACK] = true, [SLOT_STATE] = true, [SLOT_OBJECT_CLASS] = true, [SLOT_MONITOR_CLASS] = true,
		[SLOT_PARKED_CLASS] = true, [SLOT_OWNER] = true, [SLOT_OBJECT] = true, [SLOT_FAILED] = true,
		[SLOT_METHOD] = true, [SLOT_SPAN] = true, [SLOT_ROOT_SPAN] = true, [SLOT_TRACE] = true,
		[SLOT_CONTEXT] = true,
	};
	return told[slot];
}

/* The name of a class, a thread, a module, or whatever else has one. */
static struct str name_of(struct jfr_chunk *c, uint32_t class, uint64_t key)
{
	static const char *const fields[] = { "name", "javaName", "osName", "string" };
	struct str name = STR("");
	if (str_eq(c->classes.v[class].name, STR("java.lang.Class")))
		return jfr_class_name(c, class, key);
	for (size_t i = 0; !name.len && i < ARRAY_SIZE(fields); i++)
		name = jfr_constant_text(c, class, key, fields[i]);
	return name;
}

static void put_text(struct maker *m, struct str key, struct str value)
{
	if (value.len)
		make_label(m, key, profile_str(m->p, make_copy(m, value)));
}

static void put_field(struct jfr_chunk *c, struct maker *m, const struct jfr_field *f, const struct jfr_value *v)
{
	struct str key = profile_str(m->p, make_copy(m, f->name));
	if (f->is_constant) {
		put_text(m, key, name_of(c, f->class, (uint64_t)v->number));
		return;
	}
	switch (c->classes.v[f->class].base) {
	case JFR_BOOLEAN:
		put_text(m, key, v->number ? STR("true") : STR("false"));
		break;
	case JFR_BYTE:
	case JFR_INTEGER:
		make_number(m, key, v->number, NO_UNIT);
		break;
	case JFR_STRING:
		put_text(m, key, v->text);
		break;
	case JFR_FLOAT:
	case JFR_DOUBLE:
	case JFR_CLASS:
		break;
	}
}

void jfr_put_fields(struct jfr_chunk *c, struct maker *m, const struct jfr_class *class, struct cursor in)
{
	for (uint32_t i = 0; i < class->n_fields && !in.bad && !m->e; i++) {
		const struct jfr_field *f = &c->fields.v[class->field_at + i];
		struct jfr_value v;
		if (!jfr_is_scalar(c, f)) {
			jfr_skip(c, &in, f);
			continue;
		}
		jfr_scalar(c, &in, f, &v);
		if (f->name.len && !is_told(jfr_slot_of(f->name)))
			put_field(c, m, f, &v);
	}
}

/* SPDX-License-Identifier: MIT */
#include "awsfile.h"

#include <fcntl.h>
#include <string.h>

int aws_file_read(const char *path, struct buf *ret, struct error *err)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT || errno == ENOTDIR
		               ? 0
		               : error_set(err, -errno, "cannot read %s: %s", path, strerrordesc_np(errno));
	for (ssize_t n = 1; n;) {
		uint8_t *to = buf_reserve(ret, 4096);
		if (!to)
			return error_set(err, buf_err(ret), "%s is larger than the %zu bytes allowed", path, ret->max);
		n = read(fd, to, 4096);
		if (n < 0 && errno != EINTR)
			return error_set(err, -errno, "cannot read %s: %s", path, strerrordesc_np(errno));
		ret->len += (size_t)MAX(n, (ssize_t)0);
	}
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct str trim(struct str s)
{
	while (s.len && is_blank(s.s[0]))
		s = (struct str){ s.s + 1, s.len - 1 };
	while (s.len && is_blank(s.s[s.len - 1]))
		s.len--;
	return s;
}

static bool equals(struct str s, const char *word)
{
	return s.len == strlen(word) && memcmp(s.s, word, s.len) == 0;
}

/* A comment is the whole line, or follows a blank. */
static struct str without_comment(struct str line)
{
	for (size_t i = 0; i < line.len; i++)
		if ((line.s[i] == '#' || line.s[i] == ';') && (i == 0 || is_blank(line.s[i - 1])))
			line.len = i;
	return line;
}

struct line {
	bool indented, header;
	struct str name, value; /* of a header: name */
};

/* Takes the next line off the text; false at its end. Lines that say nothing have an empty name. */
static bool next_line(struct str *text, struct line *ret)
{
	if (!text->len)
		return false;
	const char *end = memchr(text->s, '\n', text->len);
	struct str s = { text->s, end ? (size_t)(end - text->s) : text->len };
	size_t taken = s.len + (end != NULL);
	*text = (struct str){ text->s + taken, text->len - taken };
	*ret = (struct line){ .indented = s.len && is_blank(s.s[0]) };
	s = trim(without_comment(s));
	if (s.len > 1 && s.s[0] == '[' && s.s[s.len - 1] == ']') {
		ret->header = true;
		ret->name = trim((struct str){ s.s + 1, s.len - 2 });
		return true;
	}
	const char *eq = s.len ? memchr(s.s, '=', s.len) : NULL;
	if (eq) {
		ret->name = trim((struct str){ s.s, (size_t)(eq - s.s) });
		ret->value = trim((struct str){ eq + 1, s.len - (size_t)(eq + 1 - s.s) });
	}
	return true;
}

int aws_file_get(struct str text, const char *section, const char *parent, const char *key, char **ret)
{
	bool inside = false, below = false;
	struct str found = { 0 };
	for (struct line l; next_line(&text, &l);) {
		if (l.header)
			inside = equals(l.name, section);
		else if (!l.indented && l.name.len)
			below = parent && equals(l.name, parent) && !l.value.len;
		if (!l.header && inside && l.indented == (parent != NULL) && below == l.indented &&
		    equals(l.name, key) && l.value.len)
			found = l.value;
	}
	*ret = found.len ? strndup(found.s, found.len) : NULL;
	return found.len && !*ret ? -ENOMEM : 0;
}

static int section_open(const char *path, const char *before, const char *name, struct aws_section *ret,
                        struct error *err)
{
	*ret = (struct aws_section){ .path = path, .text = BUF_INIT(AWS_FILE_MAX) };
	if (asprintf(&ret->name, "%s%s", before, name) < 0) {
		ret->name = NULL;
		return -ENOMEM;
	}
	return aws_file_read(path, &ret->text, err);
}

static void section_done(struct aws_section *s)
{
	if (s->text.data)
		explicit_bzero(s->text.data, s->text.len);
	buf_done(&s->text);
	free(s->name);
}

int aws_section_get(const struct aws_section *s, const char *key, char **ret)
{
	return aws_file_get((struct str){ (char *)s->text.data, s->text.len }, s->name, NULL, key, ret);
}

int aws_profile_open(const char *credentials, const char *config, const char *name, struct aws_profile *ret,
                     struct error *err)
{
	*ret = (struct aws_profile){ .name = name };
	int r = section_open(credentials, "", name, &ret->credentials, err);
	return r < 0 ? r : section_open(config, strcmp(name, "default") ? "profile " : "", name, &ret->config, err);
}

void aws_profile_done(struct aws_profile *p)
{
	section_done(&p->credentials);
	section_done(&p->config);
}

int aws_profile_get(const struct aws_profile *p, const char *key, char **ret)
{
	int r = aws_section_get(&p->credentials, key, ret);
	return r < 0 || *ret ? r : aws_section_get(&p->config, key, ret);
}

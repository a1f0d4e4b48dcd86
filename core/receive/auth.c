/* SPDX-License-Identifier: MIT */

/*
 * Bearer tokens, one a line; `#` begins a comment. The file is looked at again at most once a second. Where it
 * cannot be read any more, the tokens that were there stay: a file that is being replaced locks nobody out.
 */

#include <string.h>
#include <sys/stat.h>

#include "internal.h"

#define FILE_MAX ((size_t)1 << 20)
#define LOOK_EVERY NS_PER_S

struct tokens {
	char *file;
	pthread_mutex_t lock; /* guards what follows */
	VEC(struct str) v;    /* in `text` */
	char *text;
	struct timespec mtime;
	int64_t looked;
};

static int read_text(const char *file, char **ret, struct error *err)
{
	_fclose_ FILE *f = fopen(file, "re");
	_free_ char *text = calloc(1, FILE_MAX + 1);
	if (!text)
		return -ENOMEM;
	if (!f)
		return error_set(err, -errno, "%s: %s", file, strerror(errno));
	size_t n = fread(text, 1, FILE_MAX + 1, f);
	if (n > FILE_MAX)
		return error_set(err, ERR_LIMIT_BUFFER, "%s: too large for a list of tokens", file);
	text[n] = '\0';
	*ret = TAKE_PTR(text);
	return 0;
}

static int split(struct tokens *t)
{
	t->v.n = 0;
	for (char *line = t->text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		const char *begin = line + strspn(line, " \t");
		size_t n = strcspn(begin, " \t\r\n");
		struct str *to = n && *begin != '#' ? VEC_PUSH(&t->v) : NULL;
		if (n && *begin != '#' && !to)
			return -ENOMEM;
		if (to)
			*to = (struct str){ begin, n };
	}
	return 0;
}

static int load(struct tokens *t, struct error *err)
{
	struct stat st;
	_free_ char *text = NULL;
	if (stat(t->file, &st))
		return error_set(err, -errno, "%s: %s", t->file, strerror(errno));
	if (t->text && st.st_mtim.tv_sec == t->mtime.tv_sec && st.st_mtim.tv_nsec == t->mtime.tv_nsec)
		return 0;
	int e = read_text(t->file, &text, err);
	if (e)
		return e;
	free(t->text);
	t->text = TAKE_PTR(text);
	t->mtime = st.st_mtim;
	return split(t);
}

int tokens_open(const char *file, struct tokens **ret, struct error *err)
{
	_cleanup_(freep) struct tokens *t = calloc(1, sizeof *t);
	if (!t || !(t->file = strdup(file)))
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	int e = load(t, err);
	if (!e && !t->v.n)
		e = error_set(err, -EINVAL, "%s: holds no token, so that nobody could send", file);
	if (e) {
		tokens_free(TAKE_PTR(t));
		return e;
	}
	*ret = TAKE_PTR(t);
	return 0;
}

void tokens_free(struct tokens *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	VEC_DONE(&t->v);
	free(t->text);
	free(t->file);
	free(t);
}

/* In a time that does not tell how much of it is right. */
static bool same(struct str a, struct str b)
{
	unsigned char differ = a.len != b.len;
	for (size_t i = 0; i < b.len && a.len; i++)
		differ |= (unsigned char)(a.s[i % a.len] ^ b.s[i]);
	return !differ;
}

bool tokens_allow(struct tokens *t, const char *authorization)
{
	struct str given = str_of(authorization ? authorization : "");
	bool found = false;
	if (given.len < 7 || strncasecmp(given.s, "Bearer ", 7))
		return false;
	given = (struct str){ given.s + 7, given.len - 7 };
	pthread_mutex_lock(&t->lock);
	if (clock_monotonic() - t->looked > LOOK_EVERY) {
		load(t, NULL);
		t->looked = clock_monotonic();
	}
	for (size_t i = 0; i < t->v.n; i++)
		found |= same(t->v.v[i], given);
	pthread_mutex_unlock(&t->lock);
	return found;
}

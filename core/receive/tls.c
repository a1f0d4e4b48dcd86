/* SPDX-License-Identifier: MIT */

/*
 * Certificates by GnuTLS, which libmicrohttpd uses too. The files are looked at again at most once a second, at a
 * handshake; where they are no good, what was there before goes on. Replaced ones stay for the handshakes under way:
 * until ten minutes later, and a further replacement.
 */

#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <string.h>
#include <sys/stat.h>

#include "pyroscope.h"

#define CHAIN_MAX 16
#define LOOK_EVERY NS_PER_S
#define KEEP_OLD (10 * NS_PER_MIN)

struct pair {
	struct pair *older;
	gnutls_pcert_st chain[CHAIN_MAX];
	unsigned n;
	gnutls_privkey_t key;
	int64_t made;
};

struct tls {
	char *cert_file, *key_file;
	gnutls_certificate_credentials_t credentials;
	const struct log *log;
	pthread_mutex_t lock; /* guards what follows */
	struct pair *pair;
	struct timespec cert_time, key_time;
	int64_t looked;
};

struct tls_session {
	gnutls_session_t s;
};

static void pairs_free(struct pair *p)
{
	for (struct pair *older; p; p = older) {
		older = p->older;
		for (unsigned i = 0; i < p->n; i++)
			gnutls_pcert_deinit(&p->chain[i]);
		if (p->key)
			gnutls_privkey_deinit(p->key);
		free(p);
	}
}

static int bad(const char *file, int code, struct error *err)
{
	return error_set(err, -EINVAL, "%s: %s", file, gnutls_strerror(code));
}

static int load_pair(const struct tls *t, struct pair *p, struct error *err)
{
	gnutls_datum_t cert = { 0 }, key = { 0 };
	unsigned n = CHAIN_MAX;
	int r = gnutls_load_file(t->cert_file, &cert);
	if (r < 0)
		return bad(t->cert_file, r, err);
	r = gnutls_pcert_list_import_x509_raw(p->chain, &n, &cert, GNUTLS_X509_FMT_PEM, 0);
	gnutls_free(cert.data);
	if (r < 0)
		return bad(t->cert_file, r, err);
	p->n = n;
	r = gnutls_load_file(t->key_file, &key);
	if (r >= 0)
		r = gnutls_privkey_init(&p->key);
	if (r >= 0)
		r = gnutls_privkey_import_x509_raw(p->key, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
	if (key.data)
		gnutls_memset(key.data, 0, key.size);
	gnutls_free(key.data);
	return r < 0 ? bad(t->key_file, r, err) : 0;
}

static bool is_new(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec || a->tv_nsec != b->tv_nsec;
}

/* Reads the files where they have changed. */
static int look(struct tls *t, struct error *err)
{
	struct stat cert, key;
	if (stat(t->cert_file, &cert))
		return error_set(err, -errno, "%s: %s", t->cert_file, strerror(errno));
	if (stat(t->key_file, &key))
		return error_set(err, -errno, "%s: %s", t->key_file, strerror(errno));
	if (t->pair && !is_new(&cert.st_mtim, &t->cert_time) && !is_new(&key.st_mtim, &t->key_time))
		return 0;
	struct pair *p = calloc(1, sizeof *p);
	int e = p ? load_pair(t, p, err) : -ENOMEM;
	if (e) {
		pairs_free(p);
		return e;
	}
	p->made = clock_monotonic();
	if (t->pair && p->made - t->pair->made > KEEP_OLD) {
		pairs_free(t->pair->older);
		t->pair->older = NULL;
	}
	p->older = t->pair;
	t->pair = p;
	t->cert_time = cert.st_mtim;
	t->key_time = key.st_mtim;
	return 0;
}

int tls_pick(struct tls *t, void **ret_chain, unsigned *ret_n, void **ret_key)
{
	struct error err = { 0 };
	pthread_mutex_lock(&t->lock);
	if (clock_monotonic() - t->looked > LOOK_EVERY) {
		t->looked = clock_monotonic();
		if (look(t, &err))
			log_msg(t->log, LOG_LEVEL_WARNING, "the certificate stays as it was: %s", err.text);
	}
	struct pair *p = t->pair;
	pthread_mutex_unlock(&t->lock);
	*ret_chain = p->chain;
	*ret_n = p->n;
	*ret_key = p->key;
	return 0;
}

/* Of our own sessions, which carry their struct tls. */
static int retrieve(gnutls_session_t session, const gnutls_datum_t *authorities, int n_authorities,
                    const gnutls_pk_algorithm_t *algorithms, int n_algorithms, gnutls_pcert_st **pcert,
                    unsigned int *pcert_length, gnutls_privkey_t *key)
{
	void *chain, *private_key;
	int r = tls_pick(gnutls_session_get_ptr(session), &chain, pcert_length, &private_key);
	*pcert = chain;
	*key = private_key;
	return r;
}

int tls_open(const char *cert, const char *key, const struct log *log, struct tls **ret, struct error *err)
{
	struct tls *t = calloc(1, sizeof *t);
	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	t->log = log;
	t->cert_file = strdup(cert);
	t->key_file = strdup(key);
	int e = t->cert_file && t->key_file ? look(t, err) : -ENOMEM;
	if (!e && gnutls_certificate_allocate_credentials(&t->credentials))
		e = -ENOMEM;
	if (e) {
		tls_free(t);
		return e;
	}
	gnutls_certificate_set_retrieve_function2(t->credentials, retrieve);
	*ret = t;
	return 0;
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	if (t->credentials)
		gnutls_certificate_free_credentials(t->credentials);
	pairs_free(t->pair);
	pthread_mutex_destroy(&t->lock);
	free(t->cert_file);
	free(t->key_file);
	free(t);
}

void *tls_context(void *session)
{
	return gnutls_session_get_ptr(session);
}

/* ---- sessions ---- */

int tls_session_new(struct tls *t, int fd, struct tls_session **ret)
{
	gnutls_datum_t h2 = { (unsigned char *)"h2", 2 };
	struct tls_session *s = calloc(1, sizeof *s);
	if (!s)
		return -ENOMEM;
	if (gnutls_init(&s->s, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL) < 0) {
		free(s);
		return -ENOMEM;
	}
	gnutls_session_set_ptr(s->s, t);
	gnutls_transport_set_int(s->s, fd);
	if (gnutls_set_default_priority(s->s) < 0 || gnutls_alpn_set_protocols(s->s, &h2, 1, 0) < 0 ||
	    gnutls_credentials_set(s->s, GNUTLS_CRD_CERTIFICATE, t->credentials) < 0) {
		tls_session_free(s);
		return -EIO;
	}
	*ret = s;
	return 0;
}

void tls_session_free(struct tls_session *s)
{
	if (!s)
		return;
	gnutls_deinit(s->s);
	free(s);
}

int tls_handshake(struct tls_session *s)
{
	int r = gnutls_handshake(s->s);
	if (r == GNUTLS_E_SUCCESS)
		return 1;
	return r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED || !gnutls_error_is_fatal(r) ? 0 : -EPROTO;
}

static ssize_t result_of(ssize_t r)
{
	if (r >= 0)
		return r;
	return r == GNUTLS_E_AGAIN || r == GNUTLS_E_INTERRUPTED ? -EAGAIN : -EPROTO;
}

ssize_t tls_recv(struct tls_session *s, void *data, size_t n)
{
	return result_of(gnutls_record_recv(s->s, data, n));
}

ssize_t tls_send(struct tls_session *s, const void *data, size_t n)
{
	return result_of(gnutls_record_send(s->s, data, n));
}

bool tls_pending(struct tls_session *s)
{
	return gnutls_record_check_pending(s->s) > 0;
}

/* ---- base64 ---- */

int base64_decode(struct str s, struct buf *out)
{
	gnutls_datum_t in = { (unsigned char *)s.s, (unsigned)s.len }, raw = { 0 };
	if (!s.len)
		return 0;
	if (s.len > UINT32_MAX || gnutls_base64_decode2(&in, &raw) < 0)
		return ERR_FORMAT_MALFORMED;
	buf_put(out, raw.data, raw.size);
	gnutls_free(raw.data);
	return buf_err(out);
}

void base64_encode(struct slice s, struct buf *out)
{
	gnutls_datum_t in = { (unsigned char *)s.data, (unsigned)s.len }, text = { 0 };
	if (gnutls_base64_encode2(&in, &text) >= 0)
		buf_put(out, text.data, text.size);
	gnutls_free(text.data);
}

/* SPDX-License-Identifier: MIT */
#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "internal.h"

#define BACKLOG 512

/* "127.0.0.1:4040", "[::1]:4040", "host:4040". */
static int split(const char *addr, char host[256], char port[16], struct error *err)
{
	const char *colon = strrchr(addr, ':'), *begin = addr;
	size_t n = colon ? (size_t)(colon - addr) : 0;
	if (colon && *addr == '[' && n > 2 && colon[-1] == ']') {
		begin++;
		n -= 2;
	}
	if (!n || n >= 256 || !colon[1] || strlen(colon + 1) >= 16)
		return error_set(err, -EINVAL, "%s is no ADDRESS:PORT, as 127.0.0.1:4040", addr);
	memcpy(host, begin, n);
	host[n] = '\0';
	strcpy(port, colon + 1);
	return 0;
}

static unsigned port_of(int fd)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof a;
	if (getsockname(fd, (struct sockaddr *)&a, &n))
		return 0;
	if (a.ss_family == AF_INET6)
		return ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
	return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

static int listen_one(const struct addrinfo *ai)
{
	int one = 1;
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (!bind(fd, ai->ai_addr, ai->ai_addrlen) && !listen(fd, BACKLOG))
		return fd;
	int e = -errno;
	close(fd);
	return e;
}

int listen_on(const char *addr, int *ret_fd, unsigned *ret_port, struct error *err)
{
	char host[256], port[16];
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *list;
	int e = split(addr, host, port, err);
	if (e)
		return e;
	int why = getaddrinfo(host, port, &hints, &list);
	if (why)
		return error_set(err, -EINVAL, "%s: %s", addr, gai_strerror(why));
	int fd = -EADDRNOTAVAIL;
	for (struct addrinfo *ai = list; ai && fd < 0; ai = ai->ai_next)
		fd = listen_one(ai);
	freeaddrinfo(list);
	if (fd < 0)
		return error_set(err, fd, "cannot listen on %s: %s", addr, strerror(-fd));
	*ret_fd = fd;
	*ret_port = port_of(fd);
	return 0;
}

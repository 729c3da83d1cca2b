/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSocket, the server's side (RFC 6455): browsers speak RFB through it. The handshake is one HTTP
 * request of at most 4 KiB; then masked frames in, unmasked binary frames out.
 *
 * A page from anywhere may open a WebSocket to the loopback address, so a request that names an
 * Origin is taken only if that is the host it was sent to, or a page of this machine itself (RFC
 * 6455, 10.2).
 *
 * UNMODELLED: extensions (compression), subprotocols other than "binary", answers to pings (no
 * browser sends them).
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "display/rfb_impl.h"

enum { HTTP_MAX = 4096 };
enum { OP_CONTINUE = 0, OP_TEXT = 1, OP_BINARY = 2, OP_CLOSE = 8, OP_PING = 9, OP_PONG = 10 };

/* The value of header @name in the request, copied to @ret; false when it is not there. */
static bool header(const char *http, const char *name, char *ret, size_t size)
{
	size_t n = strlen(name);

	for (const char *line = strstr(http, "\r\n"); line; line = strstr(line, "\r\n")) {
		const char *end;
		size_t len;

		line += 2;
		if (strncasecmp(line, name, n) || line[n] != ':')
			continue;
		line += n + 1;
		while (*line == ' ' || *line == '\t')
			line++;
		end = strstr(line, "\r\n");
		len = end ? (size_t)(end - line) : strlen(line);
		while (len && isspace((unsigned char)line[len - 1]))
			len--;
		if (len >= size)
			return false;
		memcpy(ret, line, len);
		ret[len] = 0;
		return true;
	}
	return false;
}

/* Host part of "host:port", or "[v6]:port"; its length. */
static size_t host_len(const char *host)
{
	const char *end = host[0] == '[' ? strchr(host, ']') : NULL;

	return end ? (size_t)(end + 1 - host) : strcspn(host, ":/");
}

static bool origin_ok(const char *http)
{
	static const char *const local[] = {"localhost", "127.0.0.1", "[::1]"};
	char origin[256], host[256], *at;

	if (!header(http, "Origin", origin, sizeof(origin)))
		return !strcasestr(http, "\r\nOrigin:"); /* no browser, or too long to believe */
	at = strstr(origin, "://");
	if (!at)
		return false;
	at += 3;
	for (unsigned i = 0; i < ARRAY_SIZE(local); i++)
		if (strlen(local[i]) == host_len(at) && !strncasecmp(at, local[i], host_len(at)))
			return true;
	return header(http, "Host", host, sizeof(host)) && !strcasecmp(at, host);
}

static int refuse(struct rfb *c, const char *status)
{
	char text[200];
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", status);

	rfb_put(c, text, (size_t)n);
	return -EPROTO;
}

static int accept_http(struct rfb *c)
{
	char key[64], up[64], proto[128], all[128], hash[32], text[400];
	uint8_t sha[20];
	int n;

	if (!header(c->http, "Upgrade", up, sizeof(up)) || strcasecmp(up, "websocket") ||
	    !header(c->http, "Sec-WebSocket-Key", key, sizeof(key)))
		return refuse(c, "426 Upgrade Required");
	if (!origin_ok(c->http))
		return refuse(c, "403 Forbidden");
	n = snprintf(all, sizeof(all), "%s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key);
	rfb_sha1(all, (size_t)n, sha);
	rfb_base64(sha, sizeof(sha), hash);
	n = snprintf(text, sizeof(text),
		     "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
		     "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n%s\r\n",
		     hash,
		     header(c->http, "Sec-WebSocket-Protocol", proto, sizeof(proto)) &&
				     strstr(proto, "binary")
			     ? "Sec-WebSocket-Protocol: binary\r\n"
			     : "");
	rfb_put(c, text, (size_t)n);
	return 0;
}

int rfb_ws_http(struct rfb *c, const uint8_t *p, size_t len)
{
	size_t before = c->http_len, take;
	char *end;
	int r;

	if (!c->http) {
		c->http = xtry_calloc(1, HTTP_MAX + 1);
		if (!c->http)
			return -ENOMEM;
	}
	take = MIN(len, HTTP_MAX - c->http_len);
	memcpy(c->http + c->http_len, p, take);
	c->http_len += take;
	c->http[c->http_len] = 0;
	if (memchr(c->http, 0, c->http_len))
		return -EPROTO;
	end = strstr(c->http, "\r\n\r\n");
	if (!end)
		return c->http_len < HTTP_MAX ? 0
					      : refuse(c, "431 Request Header Fields Too Large");
	take = (size_t)(end + 4 - c->http) - before; /* bytes of @p that belong to it */
	end[2] = 0;
	r = accept_http(c);
	free(c->http);
	c->http = NULL;
	if (r < 0)
		return r;
	c->ws = true;
	/* The answer itself is not framed: it counts as payload without a header. */
	c->ws_out_left = c->out_len;
	rfb_start(c);
	return rfb_ws_input(c, p + take, len - take);
}

/* Length of the header in ws_head, as far as it tells. */
static unsigned head_length(const struct rfb *c)
{
	unsigned len7 = c->ws_head[1] & 0x7f;

	if (c->ws_head_len < 2)
		return 2;
	return 2 + (len7 == 126 ? 2 : len7 == 127 ? 8 : 0) + 4;
}

static int head_complete(struct rfb *c)
{
	unsigned len7 = c->ws_head[1] & 0x7f;
	uint64_t len = len7;

	/* Clients must mask (5.1); nobody has negotiated the reserved bits. */
	if (!(c->ws_head[1] & 0x80) || (c->ws_head[0] & 0x70))
		return -EPROTO;
	if (len7 == 126)
		len = ld_be16(c->ws_head + 2);
	else if (len7 == 127)
		len = ld_be64(c->ws_head + 2);
	c->ws_op = c->ws_head[0] & 15;
	if (len >> 63 || (c->ws_op >= OP_CLOSE && (len > 125 || !(c->ws_head[0] & 0x80))))
		return -EPROTO;
	if (c->ws_op > OP_BINARY && (c->ws_op < OP_CLOSE || c->ws_op > OP_PONG))
		return -EPROTO;
	memcpy(c->ws_mask, c->ws_head + c->ws_head_len - 4, 4);
	c->ws_left = len;
	c->ws_at = 0;
	return 0;
}

int rfb_ws_input(struct rfb *c, const uint8_t *p, size_t len)
{
	uint8_t plain[512];
	int r = 0;

	while (len && r == 0) {
		size_t n;

		if (!c->ws_left) {
			c->ws_head[c->ws_head_len++] = *p++;
			len--;
			if (c->ws_head_len < head_length(c))
				continue;
			r = head_complete(c);
			c->ws_head_len = 0;
			if (r == 0 && c->ws_op == OP_CLOSE)
				return -ECONNRESET;
			continue;
		}
		n = MIN(len, sizeof(plain));
		if (n > c->ws_left)
			n = (size_t)c->ws_left;
		for (size_t i = 0; i < n; i++)
			plain[i] = p[i] ^ c->ws_mask[c->ws_at++ & 3];
		p += n;
		len -= n;
		c->ws_left -= n;
		if (c->ws_op <= OP_BINARY)
			r = rfb_protocol(c, plain, n);
	}
	return r;
}

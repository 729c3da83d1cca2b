/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the RFB server needs of cryptography, all of it old: DES (FIPS 46-3) for "VNC
 * Authentication" (RFC 6143, 7.2.2), SHA-1 (FIPS 180-4) and Base64 (RFC 4648) for the WebSocket
 * handshake (RFC 6455, 4.2.2). None of it protects anything from somebody on the wire: VNC
 * authentication is for loopback, or for a wire that is protected otherwise.
 */
#include <string.h>

#include "base/bits.h"
#include "display/rfb_impl.h"

/* Bit numbers as FIPS 46-3 prints them: 1 is the most significant. */
/* clang-format off */
static const uint8_t des_ip[64] = {
	58,50,42,34,26,18,10,2, 60,52,44,36,28,20,12,4, 62,54,46,38,30,22,14,6, 64,56,48,40,32,24,16,8,
	57,49,41,33,25,17,9,1,  59,51,43,35,27,19,11,3, 61,53,45,37,29,21,13,5, 63,55,47,39,31,23,15,7};
static const uint8_t des_fp[64] = {
	40,8,48,16,56,24,64,32, 39,7,47,15,55,23,63,31, 38,6,46,14,54,22,62,30, 37,5,45,13,53,21,61,29,
	36,4,44,12,52,20,60,28, 35,3,43,11,51,19,59,27, 34,2,42,10,50,18,58,26, 33,1,41,9,49,17,57,25};
static const uint8_t des_e[48] = {
	32,1,2,3,4,5, 4,5,6,7,8,9, 8,9,10,11,12,13, 12,13,14,15,16,17,
	16,17,18,19,20,21, 20,21,22,23,24,25, 24,25,26,27,28,29, 28,29,30,31,32,1};
static const uint8_t des_p[32] = {
	16,7,20,21,29,12,28,17, 1,15,23,26,5,18,31,10, 2,8,24,14,32,27,3,9, 19,13,30,6,22,11,4,25};
static const uint8_t des_pc1[56] = {
	57,49,41,33,25,17,9, 1,58,50,42,34,26,18, 10,2,59,51,43,35,27, 19,11,3,60,52,44,36,
	63,55,47,39,31,23,15, 7,62,54,46,38,30,22, 14,6,61,53,45,37,29, 21,13,5,28,20,12,4};
static const uint8_t des_pc2[48] = {
	14,17,11,24,1,5, 3,28,15,6,21,10, 23,19,12,4,26,8, 16,7,27,20,13,2,
	41,52,31,37,47,55, 30,40,51,45,33,48, 44,49,39,56,34,53, 46,42,50,36,29,32};
static const uint8_t des_shift[16] = {1,1,2,2,2,2,2,2,1,2,2,2,2,2,2,1};
static const uint8_t des_s[8][64] = {
	{14,4,13,1,2,15,11,8,3,10,6,12,5,9,0,7, 0,15,7,4,14,2,13,1,10,6,12,11,9,5,3,8,
	 4,1,14,8,13,6,2,11,15,12,9,7,3,10,5,0, 15,12,8,2,4,9,1,7,5,11,3,14,10,0,6,13},
	{15,1,8,14,6,11,3,4,9,7,2,13,12,0,5,10, 3,13,4,7,15,2,8,14,12,0,1,10,6,9,11,5,
	 0,14,7,11,10,4,13,1,5,8,12,6,9,3,2,15, 13,8,10,1,3,15,4,2,11,6,7,12,0,5,14,9},
	{10,0,9,14,6,3,15,5,1,13,12,7,11,4,2,8, 13,7,0,9,3,4,6,10,2,8,5,14,12,11,15,1,
	 13,6,4,9,8,15,3,0,11,1,2,12,5,10,14,7, 1,10,13,0,6,9,8,7,4,15,14,3,11,5,2,12},
	{7,13,14,3,0,6,9,10,1,2,8,5,11,12,4,15, 13,8,11,5,6,15,0,3,4,7,2,12,1,10,14,9,
	 10,6,9,0,12,11,7,13,15,1,3,14,5,2,8,4, 3,15,0,6,10,1,13,8,9,4,5,11,12,7,2,14},
	{2,12,4,1,7,10,11,6,8,5,3,15,13,0,14,9, 14,11,2,12,4,7,13,1,5,0,15,10,3,9,8,6,
	 4,2,1,11,10,13,7,8,15,9,12,5,6,3,0,14, 11,8,12,7,1,14,2,13,6,15,0,9,10,4,5,3},
	{12,1,10,15,9,2,6,8,0,13,3,4,14,7,5,11, 10,15,4,2,7,12,9,5,6,1,13,14,0,11,3,8,
	 9,14,15,5,2,8,12,3,7,0,4,10,1,13,11,6, 4,3,2,12,9,5,15,10,11,14,1,7,6,0,8,13},
	{4,11,2,14,15,0,8,13,3,12,9,7,5,10,6,1, 13,0,11,7,4,9,1,10,14,3,5,12,2,15,8,6,
	 1,4,11,13,12,3,7,14,10,15,6,8,0,5,9,2, 6,11,13,8,1,4,10,7,9,5,0,15,14,2,3,12},
	{13,2,8,4,6,15,11,1,10,9,3,14,5,0,12,7, 1,15,13,8,10,3,7,4,12,5,6,11,0,14,9,2,
	 7,11,4,1,9,12,14,2,0,6,10,13,15,3,5,8, 2,1,14,7,4,10,8,13,15,12,9,0,3,5,6,11}};
/* clang-format on */

static uint64_t permute(uint64_t v, unsigned bits, const uint8_t *table, unsigned n)
{
	uint64_t out = 0;

	for (unsigned i = 0; i < n; i++)
		out = out << 1 | (v >> (bits - table[i]) & 1);
	return out;
}

uint64_t rfb_des(uint64_t key, uint64_t block)
{
	uint64_t cd = permute(key, 64, des_pc1, 56), v = permute(block, 64, des_ip, 64);
	uint32_t c = (uint32_t)(cd >> 28), d = (uint32_t)cd & 0xfffffff;
	uint32_t l = (uint32_t)(v >> 32), r = (uint32_t)v;

	for (unsigned round = 0; round < 16; round++) {
		unsigned n = des_shift[round];
		uint64_t x, k;
		uint32_t f = 0;

		c = (c << n | c >> (28 - n)) & 0xfffffff;
		d = (d << n | d >> (28 - n)) & 0xfffffff;
		k = permute((uint64_t)c << 28 | d, 56, des_pc2, 48);
		x = permute(r, 32, des_e, 48) ^ k;
		for (unsigned i = 0; i < 8; i++) {
			unsigned six = x >> (42 - 6 * i) & 63;

			f = f << 4 | des_s[i][((six >> 4 & 2) | (six & 1)) * 16 + (six >> 1 & 15)];
		}
		f = (uint32_t)permute(f, 32, des_p, 32);
		f ^= l;
		l = r;
		r = f;
	}
	return permute((uint64_t)r << 32 | l, 64, des_fp, 64);
}

void rfb_vnc_response(const char *password, const uint8_t challenge[16], uint8_t ret[16])
{
	uint64_t key = 0;

	/* Eight characters, each with its bits turned round. */
	for (unsigned i = 0, end = 0; i < 8; i++) {
		uint8_t c = 0, turned = 0;

		if (!end && !(c = (uint8_t)password[i]))
			end = 1;
		for (unsigned bit = 0; bit < 8; bit++)
			turned |= (uint8_t)((c >> bit & 1) << (7 - bit));
		key = key << 8 | turned;
	}
	for (unsigned i = 0; i < 2; i++)
		st_be64(ret + 8 * i, rfb_des(key, ld_be64(challenge + 8 * i)));
}

/* ------------------------------------------------------------------ WebSocket */

static uint32_t rol(uint32_t v, unsigned n)
{
	return v << n | v >> (32 - n);
}

static void sha1_block(uint32_t h[5], const uint8_t *p)
{
	uint32_t w[80], a = h[0], b = h[1], c = h[2], d = h[3], e = h[4];

	for (unsigned i = 0; i < 80; i++)
		w[i] = i < 16 ? ld_be32(p + 4 * i)
			      : rol(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
	for (unsigned i = 0; i < 80; i++) {
		uint32_t f, k, t;

		if (i < 20)
			f = (b & c) | (~b & d), k = 0x5a827999;
		else if (i < 40)
			f = b ^ c ^ d, k = 0x6ed9eba1;
		else if (i < 60)
			f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
		else
			f = b ^ c ^ d, k = 0xca62c1d6;
		t = rol(a, 5) + f + e + k + w[i];
		e = d, d = c, c = rol(b, 30), b = a, a = t;
	}
	h[0] += a, h[1] += b, h[2] += c, h[3] += d, h[4] += e;
}

void rfb_sha1(const void *bytes, size_t len, uint8_t ret[20])
{
	uint32_t h[5] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
	uint8_t last[128] = {0};
	size_t full = len / 64 * 64, rest = len - full, end = rest < 56 ? 64 : 128;

	for (size_t i = 0; i < full; i += 64)
		sha1_block(h, (const uint8_t *)bytes + i);
	memcpy(last, (const uint8_t *)bytes + full, rest);
	last[rest] = 0x80;
	st_be64(last + end - 8, (uint64_t)len * 8);
	for (size_t i = 0; i < end; i += 64)
		sha1_block(h, last + i);
	for (unsigned i = 0; i < 5; i++)
		st_be32(ret + 4 * i, h[i]);
}

void rfb_base64(const uint8_t *p, size_t len, char *ret)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

	for (size_t i = 0; i < len; i += 3) {
		uint32_t v = (uint32_t)p[i] << 16 | (i + 1 < len ? (uint32_t)p[i + 1] << 8 : 0) |
			     (i + 2 < len ? p[i + 2] : 0);

		*ret++ = digits[v >> 18];
		*ret++ = digits[v >> 12 & 63];
		*ret++ = i + 1 < len ? digits[v >> 6 & 63] : '=';
		*ret++ = i + 2 < len ? digits[v & 63] : '=';
	}
	*ret = 0;
}

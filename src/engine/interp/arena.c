/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arena of instruction thunks, in a code map (engine/emit/codemap.h). Thunks are position
 * independent and identical ones are stored once, so a whole Linux boot needs a few thousand.
 *
 * Most instructions are like one that has a thunk already: a table by their bytes (struct
 * thunk_memo) finds it without making it again to see.
 *
 * Bounded: when the arena is full the engine drops all blocks and starts it afresh as soon as it is
 * back in the run loop; until then thunks share one place at the end. One per vCPU,
 * used by the vCPU's thread only; thunk_at() is for that thread's signal handler.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/interp/interp.h"

/* For a thunk that runs once, when there is no room for one that stays. */
#define THUNK_ROOM 512u

int thunk_arena_init(struct thunk_arena *a, size_t size, struct error *err)
{
	int r;

	*a = (struct thunk_arena){.size = size};
	r = code_map_init(&a->map, size, NULL, err);
	if (r)
		return r;
	a->rw = a->map.rw;
	a->rx = a->map.rx;
	a->unit = xnew_n(uint8_t, size / THUNK_UNIT);
	a->len = xnew_n(uint32_t, size / THUNK_UNIT);
	a->n_hash = (uint32_t)(size / THUNK_UNIT) * 2; /* at most half full */
	a->hash = xnew_n(uint32_t, a->n_hash);
	a->memo = xnew_n(struct thunk_memo, THUNK_MEMOS);
	return 0;
}

void thunk_arena_done(struct thunk_arena *a)
{
	code_map_done(&a->map);
	free(a->unit);
	free(a->len);
	free(a->hash);
	free(a->memo);
	*a = (struct thunk_arena){0};
}

void thunk_arena_reset(struct thunk_arena *a)
{
	memset(a->unit, 0, a->size / THUNK_UNIT);
	memset(a->hash, 0, a->n_hash * sizeof(a->hash[0]));
	memset(a->memo, 0, THUNK_MEMOS * sizeof(a->memo[0]));
	memset(a->rw, 0xcc, a->used); /* INT3: nothing old can run on */
	memset(a->rw + a->size - THUNK_ROOM, 0xcc, THUNK_ROOM);
	a->used = 0;
	a->n_used = 0;
}

static uint32_t hash_bytes(const uint8_t *p, unsigned len)
{
	uint64_t h = len;

	for (; len >= 8; p += 8, len -= 8)
		h = (h ^ ld_le64(p)) * 0x9e3779b97f4a7c15ull, h ^= h >> 29;
	for (unsigned i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3ull;
	return (uint32_t)(h ^ h >> 32);
}

static void *put(struct thunk_arena *a, size_t at, const uint8_t *code, unsigned len, uint8_t flags)
{
	memcpy(a->rw + at, code, len);
	a->unit[at / THUNK_UNIT] = flags | THUNK_START;
	a->len[at / THUNK_UNIT] = len;
	return a->rx + at;
}

void *thunk_add(struct thunk_arena *a, const uint8_t *code, unsigned len, uint8_t flags,
		bool *ret_lasting)
{
	uint32_t i = hash_bytes(code, len) & (a->n_hash - 1);
	unsigned units = (len + THUNK_UNIT - 1) / THUNK_UNIT;
	uint32_t first = (uint32_t)(a->used / THUNK_UNIT);

	*ret_lasting = true;
	for (; a->hash[i]; i = (i + 1) & (a->n_hash - 1)) {
		uint32_t n = a->hash[i] - 1;

		if (a->len[n] == len && !memcmp(a->rw + n * THUNK_UNIT, code, len))
			return a->rx + n * THUNK_UNIT;
	}
	*ret_lasting = a->used + units * THUNK_UNIT + THUNK_ROOM <= a->size;
	if (!*ret_lasting)
		return put(a, a->size - THUNK_ROOM, code, len, flags);
	a->used += units * THUNK_UNIT;
	a->hash[i] = first + 1;
	a->n_used++;
	return put(a, first * THUNK_UNIT, code, len, flags);
}

/* ---- thunks by instruction ---- */

/* What the thunk of @in follows from: not the address of its memory operand. */
static void memo_key(const struct insn *in, uint64_t key[2])
{
	uint8_t b[16];

	static_assert(INSN_MAX < sizeof(b), "the last byte is free");
	memcpy(b, in->bytes, sizeof(b));
	if (in->flags & INSN_MEM && in->flags & INSN_MODRM && in->modrm < 0xc0) {
		unsigned end = in->imm_len ? in->off_imm : in->len;

		b[in->off_modrm] &= 0x38;
		for (unsigned i = in->off_modrm + 1u; i < end; i++)
			b[i] = 0;
		if (in->enc == ENC_LEGACY && in->rex) /* its X and B */
			b[in->off_opcode - (in->map == MAP_1    ? 1u
					    : in->map == MAP_0F ? 2u
								: 3u)] &= 0xfc;
	}
	/* the length: else an immediate could stand for a displacement and another immediate */
	b[15] = in->code_bits | in->len;
	memcpy(key, b, sizeof(b));
}

static struct thunk_memo *memo_of(const struct thunk_arena *a, const uint64_t key[2])
{
	uint64_t h = (key[0] ^ (key[1] << 29 | key[1] >> 35)) * 0x9e3779b97f4a7c15ull;

	static_assert(THUNK_MEMOS == 1u << 13, "the hash's upper bits");
	return &a->memo[h >> 51];
}

void *thunk_known(const struct thunk_arena *a, const struct insn *in)
{
	const struct thunk_memo *memo;
	uint64_t key[2];

	memo_key(in, key);
	memo = memo_of(a, key);
	return memo->key[0] == key[0] && memo->key[1] == key[1] ? memo->thunk : NULL;
}

void thunk_note(struct thunk_arena *a, const struct insn *in, void *thunk)
{
	struct thunk_memo *memo;
	uint64_t key[2];

	memo_key(in, key);
	memo = memo_of(a, key);
	*memo = (struct thunk_memo){{key[0], key[1]}, thunk};
}

uint8_t thunk_at(const struct thunk_arena *a, uintptr_t pc)
{
	uintptr_t n = (pc - (uintptr_t)a->rx) / THUNK_UNIT;

	if (pc < (uintptr_t)a->rx || pc >= (uintptr_t)a->rx + a->size)
		return 0;
	while (!a->unit[n] && n)
		n--;
	return a->unit[n];
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The few host instructions that native code needs besides re-encoded guest ones. Intel SDM vol. 2,
 * chapter 2.
 */
#include "engine/translate/translate.h"

/* clang-format off */
const uint8_t tr_host[16] = {
	RAX, RCX, RDX, RBX, R15, RBP, RSI, RDI,
	R8, R9, NO_REG, NO_REG, R12, R13, R14, NO_REG,
};
/* clang-format on */

void tr_field(struct emit *m, const uint8_t *op, unsigned n, size_t off, unsigned imm)
{
	if (!m->home) {
		emit8(m, 0x65);
		emit_bytes(m, op, n);
		emit8(m, 0x25); /* absolute disp32 */
		emit32(m, (uint32_t)off);
		return;
	}
	emit_bytes(m, op, n - 1);
	emit8(m, op[n - 1] | 1); /* rm 5: relative to RIP */
	emit32(m, (uint32_t)(m->home + off - ((uintptr_t)m->buf + m->n + 4 + imm)));
}

void tr_gs(struct emit *m, bool w, uint8_t op, unsigned reg, size_t off)
{
	uint8_t rex = (uint8_t)(0x40 | (w ? 8 : 0) | (reg >> 3) << 2),
		modrm = (uint8_t)((reg & 7) << 3 | 4);

	if (rex != 0x40)
		TR_FIELD(m, off, 0, rex, op, modrm);
	else
		TR_FIELD(m, off, 0, op, modrm);
}

void tr_mem(struct emit *m, bool w, uint8_t op, unsigned reg, unsigned base, unsigned index,
	    unsigned scale, int32_t disp)
{
	bool b = base != NO_REG, i = index != NO_REG;
	uint8_t rex = (uint8_t)(0x40 | (w ? 8 : 0) | (reg >> 3) << 2 | (i ? (index >> 3) << 1 : 0) |
				(b ? base >> 3 : 0));
	unsigned mod = !b ? 0 : disp == 0 && (base & 7) != 5 ? 0 : disp == (int8_t)disp ? 1 : 2;

	if (rex != 0x40)
		emit8(m, rex);
	emit8(m, op);
	if (b && !i && (base & 7) != 4) {
		emit8(m, (uint8_t)(mod << 6 | (reg & 7) << 3 | (base & 7)));
	} else {
		emit8(m, (uint8_t)(mod << 6 | (reg & 7) << 3 | 4));
		emit8(m,
		      (uint8_t)(scale << 6 | (i ? (index & 7) << 3 : 4 << 3) | (b ? base & 7 : 5)));
	}
	if (!b || mod == 2)
		emit32(m, (uint32_t)disp);
	else if (mod == 1)
		emit8(m, (uint8_t)disp);
}

void tr_rr(struct emit *m, bool w, uint8_t op, unsigned reg, unsigned rm)
{
	uint8_t rex = (uint8_t)(0x40 | (w ? 8 : 0) | (reg >> 3) << 2 | rm >> 3);

	if (rex != 0x40)
		emit8(m, rex);
	EMIT(m, op, (uint8_t)(0xc0 | (reg & 7) << 3 | (rm & 7)));
}

void tr_imm64(struct emit *m, unsigned reg, uint64_t imm)
{
	if (imm <= 0xffffffff) { /* mov r32, imm32 */
		if (reg >= 8)
			emit8(m, 0x41);
		emit8(m, (uint8_t)(0xb8 | (reg & 7)));
		emit32(m, (uint32_t)imm);
	} else if ((int64_t)imm == (int32_t)imm) { /* mov r64, simm32 */
		EMIT(m, (uint8_t)(0x48 | reg >> 3), 0xc7, (uint8_t)(0xc0 | (reg & 7)));
		emit32(m, (uint32_t)imm);
	} else {
		EMIT(m, (uint8_t)(0x48 | reg >> 3), (uint8_t)(0xb8 | (reg & 7)));
		emit64(m, imm);
	}
}

/* PUSHFQ and POP are shorter, but hold up what comes after them until the flags are there. */
void tr_flags_save(struct emit *m)
{
	tr_rr(m, true, 0x89, RAX, S1);
	EMIT(m, 0x9f, 0x0f, 0x90, 0xc0); /* lahf; seto al */
	tr_gs(m, false, 0x89, RAX, tr_word(W_FL));
	tr_rr(m, true, 0x89, S1, RAX);
}

void tr_flags_restore(struct emit *m)
{
	tr_gs(m, true, 0x89, RAX, tr_word(W_TMP));
	tr_gs(m, false, 0x8b, RAX, tr_word(W_FL));
	EMIT(m, 0x04, 0x7f, 0x9e); /* add al, 0x7f: OF = old bit 0; sahf */
	tr_gs(m, true, 0x8b, RAX, tr_word(W_TMP));
}

void tr_flags_fetch(struct emit *m, const uint8_t *rx, const uint8_t *fetch)
{
	TR_FIELD(m, tr_word(W_FL) + 1, 1, 0xf6, 4); /* test byte [W_FL + 1], ; jne over */
	EMIT(m, TR_FL_HERE >> 8, 0x75, 5);
	tr_jump_to(m, 0xe8, rx, fetch);
}

void tr_jump_to(struct emit *m, uint8_t op, const uint8_t *rx, const uint8_t *to)
{
	emit8(m, op);
	emit32(m, (uint32_t)(to - (rx + m->n + 4)));
}

void tr_cmp_request(struct emit *m)
{
	EMIT(m, 0x65, 0x83, 0x3c, 0x25); /* cmp dword gs:[], imm8 */
	emit32(m, (uint32_t)offsetof(struct vcpu, request));
	emit8(m, 0);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * System management mode: what an SMI saves and how the processor starts in SMRAM, and RSM. Intel
 * SDM vol. 3, chapter 32; the layout of the state save area is AMD's (AMD64 APM vol. 2, 10.2.3,
 * table 10-1, revision 64h), which the firmware of virtual machines knows for every processor with
 * 64-bit mode: SeaBIOS and EDK2 look at the revision identifier.
 *
 * What SMRAM is the chip set says (mem_smram_set()); x86_lookup() shows it while v->s.smm is set.
 * So the whole TLB goes at both ends.
 *
 * RSM takes nothing on trust: the area is checked like a state from a file, and what cannot be
 * leads to shutdown (SDM vol. 3, 32.3.2).
 *
 * UNMODELLED: SMM save of the x87 and SIMD state (software's task), SMRR,
 * dual-monitor treatment; the save area of processors without 64-bit mode.
 */
#include "cpu/x86/internal.h"

#include "mem/guest.h"

#define AREA     0xfe00u /* from SMBASE */
#define AREA_LEN 0x200u

/* offsets in the area; APM: from FE00h */
enum {
	A_SEG = 0x00, /* ES, CS, SS, DS, FS, GS: 16 bytes each: selector, attributes, limit, base */
	A_GDTR = 0x60,
	A_LDTR = 0x70,
	A_IDTR = 0x80,
	A_TR = 0x90,
	A_IO_RIP = 0xa0, /* of the instruction; then RCX, RSI, RDI before it */
	A_IO_TRAP = 0xc0,
	A_IO_RESTART = 0xc8, /* FFh: RSM goes back to it */
	A_AUTO_HALT = 0xc9,
	A_EFER = 0xd0,
	A_REVISION = 0xfc,
	A_SMBASE = 0x100,
	A_CR4 = 0x148,
	A_CR3 = 0x150,
	A_CR0 = 0x158,
	A_DR7 = 0x160,
	A_DR6 = 0x168,
	A_RFLAGS = 0x170,
	A_RIP = 0x178,
	A_R15 = 0x180, /* then down to RAX at 1f8h */
};
#define REVISION 0x00030064u /* SMBASE can be moved, I/O instructions done again */

static void save_seg(uint8_t *p, const struct x86_seg *s)
{
	unsigned attr = (s->attr & 0xff) | (s->attr >> 4 & 0xf00);

	if (s->attr & X86_ATTR_NULL)
		attr = s->attr & X86_ATTR_DPL; /* of SS: the privilege level */
	st_le16(p, s->sel);
	st_le16(p + 2, (uint16_t)attr);
	st_le32(p + 4, s->limit);
	st_le64(p + 8, s->base);
}

static void load_seg(struct x86_seg *s, const uint8_t *p)
{
	uint32_t attr = ld_le16(p + 2);

	s->sel = ld_le16(p);
	s->attr = (attr & 0xff) | (attr & 0xf00) << 4;
	if (!(attr & X86_ATTR_P))
		s->attr |= X86_ATTR_NULL;
	s->limit = ld_le32(p + 4);
	s->base = ld_le64(p + 8);
}

/* What A_IO_TRAP says (APM vol. 2, 10.2.6). */
enum { TRAP_VALID = 0x2, TRAP_SIZE_SHIFT = 4, TRAP_TF = 0x800, TRAP_PORT_SHIFT = 16 };

void x86_io_smi(struct vcpu *v, uint16_t port, unsigned size, unsigned how)
{
	const struct x86_state *s = &v->s;

	if (s->smm)
		return; /* it waits for RSM */
	v->s.io_smi.rip = s->rip;
	v->s.io_smi.next = v->next_rip;
	v->s.io_smi.rcx = s->gpr[X86_RCX];
	v->s.io_smi.rsi = s->gpr[X86_RSI];
	v->s.io_smi.rdi = s->gpr[X86_RDI];
	v->s.io_smi.trap = TRAP_VALID | how | size << TRAP_SIZE_SHIFT |
			   (s->rflags & X86_TF ? TRAP_TF : 0) | (uint32_t)port << TRAP_PORT_SHIFT;
}

/* An SMI that came with a port access is taken right behind it, or between two iterations. */
static void save_io(const struct vcpu *v, uint8_t *p)
{
	if (!v->s.io_smi.trap || (v->s.rip != v->s.io_smi.next && v->s.rip != v->s.io_smi.rip))
		return;
	st_le64(p + A_IO_RIP, v->s.io_smi.rip);
	st_le64(p + A_IO_RIP + 8, v->s.io_smi.rcx);
	st_le64(p + A_IO_RIP + 16, v->s.io_smi.rsi);
	st_le64(p + A_IO_RIP + 24, v->s.io_smi.rdi);
	st_le32(p + A_IO_TRAP, v->s.io_smi.trap);
}

static void save(const struct x86_state *s, uint8_t *p)
{
	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		save_seg(p + A_SEG + 16 * i, &s->seg[i]);
	save_seg(p + A_LDTR, &s->ldtr);
	save_seg(p + A_TR, &s->tr);
	st_le16(p + A_GDTR + 4, s->gdtr.limit);
	st_le64(p + A_GDTR + 8, s->gdtr.base);
	st_le16(p + A_IDTR + 4, s->idtr.limit);
	st_le64(p + A_IDTR + 8, s->idtr.base);
	p[A_AUTO_HALT] = s->activity == X86_ACT_HALT;
	st_le64(p + A_EFER, s->efer);
	st_le32(p + A_REVISION, REVISION);
	st_le32(p + A_SMBASE, s->smbase);
	st_le64(p + A_CR4, s->cr4);
	st_le64(p + A_CR3, s->cr3);
	st_le64(p + A_CR0, s->cr0);
	st_le64(p + A_DR7, s->dr7);
	st_le64(p + A_DR6, s->dr6);
	st_le64(p + A_RFLAGS, s->rflags);
	st_le64(p + A_RIP, s->rip);
	for (unsigned i = 0; i < 16; i++)
		st_le64(p + A_R15 + 8 * (15 - i), s->gpr[i]);
}

static void load(struct x86_state *s, const uint8_t *p)
{
	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		load_seg(&s->seg[i], p + A_SEG + 16 * i);
	load_seg(&s->ldtr, p + A_LDTR);
	load_seg(&s->tr, p + A_TR);
	s->gdtr.limit = ld_le16(p + A_GDTR + 4);
	s->gdtr.base = ld_le64(p + A_GDTR + 8);
	s->idtr.limit = ld_le16(p + A_IDTR + 4);
	s->idtr.base = ld_le64(p + A_IDTR + 8);
	s->activity = p[A_AUTO_HALT] & 1 ? X86_ACT_HALT : X86_ACT_RUN;
	s->efer = ld_le64(p + A_EFER);
	s->smbase = ld_le32(p + A_SMBASE);
	s->cr4 = ld_le64(p + A_CR4);
	s->cr3 = ld_le64(p + A_CR3);
	s->cr0 = ld_le64(p + A_CR0) | X86_CR0_ET;
	s->dr7 = (ld_le64(p + A_DR7) & 0xffff23ff) | 0x400;
	s->dr6 = (ld_le64(p + A_DR6) & 0xe00f) | 0xffff0ff0;
	s->rflags = (ld_le64(p + A_RFLAGS) & 0x3f7fd5) | 2;
	s->rip = ld_le64(p + A_RIP);
	for (unsigned i = 0; i < 16; i++)
		s->gpr[i] = ld_le64(p + A_R15 + 8 * (15 - i));
	/* SDM vol. 3, 32.12: without an access to do again the outcome is unpredictable: none. */
	if (p[A_IO_RESTART] != 0xff || !(ld_le32(p + A_IO_TRAP) & TRAP_VALID))
		return;
	s->activity = X86_ACT_RUN;
	s->rip = ld_le64(p + A_IO_RIP);
	s->gpr[X86_RCX] = ld_le64(p + A_IO_RIP + 8);
	s->gpr[X86_RSI] = ld_le64(p + A_IO_RIP + 16);
	s->gpr[X86_RDI] = ld_le64(p + A_IO_RIP + 24);
}

/* The area is RAM in one piece, or writes to it are lost and it reads as ones. */
static void area_copy(struct vcpu *v, uint8_t *buf, bool write)
{
	gpa_t gpa = (gpa_t)v->s.smbase + AREA;
	struct mem_ref ref;

	for (unsigned done = 0; done < AREA_LEN;) {
		unsigned n;

		x86_lookup(v, gpa + done, &ref);
		n = (unsigned)MIN((uint64_t)(AREA_LEN - done), 0x1000 - ((gpa + done) & 0xfff));
		if (ref.kind == MEM_RAM && write) {
			guest_copy(ref.block->host + ref.block_off, buf + done, n);
			mem_block_written(v->mem, ref.block, ref.block_off, n);
		} else if (ref.kind == MEM_RAM || ref.kind == MEM_ROM) {
			guest_copy(buf + done, ref.block->host + ref.block_off, n);
		} else if (!write) {
			memset(buf + done, 0xff, n);
		}
		done += n;
	}
}

/* Everything that is derived from what either end changes. */
static void changed(struct vcpu *v)
{
	v->next_rip = v->s.rip;
	x86_update_mode(v);
	x86_debug_changed(v); /* and the TLB */
	v->irq_waiting = false;
	atomic_fetch_or(&v->request, (uint32_t)VCPU_REQ_EVENT);
}

void x86_smi(struct vcpu *v)
{
	struct x86_state *s = &v->s;
	uint8_t area[AREA_LEN] = {0};

	x86_side_effect(v);
	save(s, area);
	save_io(v, area);
	v->s.io_smi = (struct x86_io_smi){0};
	s->smm = X86_SMM_IN | (s->shadow & X86_SHADOW_NMI ? X86_SMM_NMI : 0);
	x86_tlb_flush(v);
	area_copy(v, area, true);
	/* SDM vol. 3, table 32-4. */
	s->activity = X86_ACT_RUN;
	s->shadow = X86_SHADOW_NMI;
	for (unsigned i = 0; i < X86_SREG_COUNT; i++)
		s->seg[i] = (struct x86_seg){.limit = 0xffffffff, .attr = X86_ATTR_G | 0x93};
	s->seg[X86_CS].sel = (uint16_t)(s->smbase >> 4);
	s->seg[X86_CS].base = s->smbase;
	s->rip = 0x8000;
	s->rflags = 2;
	s->cr0 &= ~(uint64_t)(X86_CR0_PE | X86_CR0_EM | X86_CR0_TS | X86_CR0_PG);
	s->cr4 = 0;
	s->efer = 0;
	s->dr7 = 0x400;
	changed(v);
}

int x86_rsm(struct vcpu *v)
{
	struct x86_state *s = &v->s, want = {0};
	uint8_t area[AREA_LEN];
	struct error err = {0};
	bool pae;

	if (!s->smm)
		return x86_ud(v);
	x86_side_effect(v);
	area_copy(v, area, false);
	want.xcr0 = s->xcr0;
	load(&want, area);
	s->shadow = s->smm & X86_SMM_NMI ? X86_SHADOW_NMI : 0;
	s->smm = 0;
	x86_tlb_flush(v);
	s->efer = want.efer;
	pae = (want.cr0 & X86_CR0_PG) && (want.cr4 & X86_CR4_PAE) && !(want.efer & X86_EFER_LMA);
	if (x86_state_check(&want, &err) ||
	    (pae && x86_load_pdptes(v, want.cr3, want.cr0, want.cr4))) {
		s->activity = X86_ACT_SHUTDOWN;
		changed(v);
		return X86_OK;
	}
	load(s, area);
	changed(v);
	return X86_OK;
}

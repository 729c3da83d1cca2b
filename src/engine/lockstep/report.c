/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is compared of two vCPU states, and how a difference is printed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "engine/lockstep/lockstep.h"

#define F(name)                                                                                    \
	{                                                                                          \
#name, offsetof(struct x86_state, name), sizeof(((struct x86_state *)0)->name)     \
	}

/* without the padding behind the selector and the limit */
#define SEG(name)                                                                                  \
	{                                                                                          \
#name, offsetof(struct x86_state, name), offsetof(struct x86_seg, pad_)            \
	}
#define TABLE(name)                                                                                \
	{                                                                                          \
#name, offsetof(struct x86_state, name), offsetof(struct x86_dtable, pad_)         \
	}

static const struct field {
	const char *name;
	size_t off, size;
} fields[] = {
	/* clang-format off */
	F(gpr[0]), F(gpr[1]), F(gpr[2]), F(gpr[3]), F(gpr[4]), F(gpr[5]), F(gpr[6]), F(gpr[7]),
	F(gpr[8]), F(gpr[9]), F(gpr[10]), F(gpr[11]), F(gpr[12]), F(gpr[13]), F(gpr[14]), F(gpr[15]),
	F(rip), F(rflags), SEG(seg[0]), SEG(seg[1]), SEG(seg[2]), SEG(seg[3]), SEG(seg[4]), SEG(seg[5]), SEG(ldtr),
	SEG(tr), TABLE(gdtr), TABLE(idtr), F(cr0), F(cr2), F(cr3), F(cr4), F(xcr0), F(dr), F(dr6), F(dr7),
	F(pdpte), F(efer), F(star), F(lstar), F(cstar), F(sfmask), F(kernel_gs_base), F(sysenter_cs),
	F(sysenter_esp), F(sysenter_eip), F(tsc_adjust), F(tsc_aux), F(pat), F(misc_enable),
	F(spec_ctrl), F(xss), F(fpu.fcw), F(fpu.fsw), F(fpu.ftw), F(fpu.fop), F(fpu.fip), F(fpu.fdp),
	F(fpu.fcs), F(fpu.fds), F(fpu.mxcsr), F(fpu.st[0]), F(fpu.st[1]), F(fpu.st[2]), F(fpu.st[3]),
	F(fpu.st[4]), F(fpu.st[5]), F(fpu.st[6]), F(fpu.st[7]), F(fpu.ymm[0]), F(fpu.ymm[1]),
	F(fpu.ymm[2]), F(fpu.ymm[3]), F(fpu.ymm[4]), F(fpu.ymm[5]), F(fpu.ymm[6]), F(fpu.ymm[7]),
	F(fpu.ymm[8]), F(fpu.ymm[9]), F(fpu.ymm[10]), F(fpu.ymm[11]), F(fpu.ymm[12]), F(fpu.ymm[13]),
	F(fpu.ymm[14]), F(fpu.ymm[15]), F(lapic), F(activity), F(shadow), F(pending_dbg),
	/* clang-format on */
};

bool ls_states_differ(const struct ls_snap *a, const struct ls_snap *b)
{
	if (a->r != b->r || a->mode != b->mode || a->cpl != b->cpl)
		return true;
	if (!memcmp(&a->s, &b->s, sizeof(a->s)))
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
		if (memcmp((const uint8_t *)&a->s + fields[i].off,
			   (const uint8_t *)&b->s + fields[i].off, fields[i].size))
			return true;
	return false;
}

static void hex(char *to, size_t room, const uint8_t *p, size_t n)
{
	size_t at = 0;

	for (size_t i = n; i-- && at + 3 < room;)
		at += (size_t)snprintf(to + at, room - at, "%02x", p[i]);
}

static void print_states(const struct ls_snap *start, const struct ls_snap *want,
			 const struct ls_snap *got)
{
	char a[80], b[80], c[80];

	if (want->r != got->r)
		log_err("  ends: interpreter %d, translator %d", want->r, got->r);
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		const uint8_t *w = (const uint8_t *)&want->s + fields[i].off;
		const uint8_t *g = (const uint8_t *)&got->s + fields[i].off;

		if (!memcmp(w, g, fields[i].size))
			continue;
		hex(a, sizeof(a), (const uint8_t *)&start->s + fields[i].off, fields[i].size);
		hex(b, sizeof(b), w, fields[i].size);
		hex(c, sizeof(c), g, fields[i].size);
		log_err("  %s: was %s, interpreter %s, translator %s", fields[i].name, a, b, c);
	}
}

static void print_pages(const struct ls_pages *p)
{
	unsigned told = 0;

	for (unsigned i = 0; i < p->n; i++) {
		const struct ls_page *g = &p->page[i];
		const uint8_t *now = g->block->host + g->off;

		for (unsigned k = 0; k < MEM_PAGE_SIZE && told < 16; k++)
			if (now[k] != g->after[k]) {
				log_err("  RAM %s+0x%" PRIx64 ": was %02x, interpreter %02x, "
					"translator %02x",
					g->block->name, g->off + k, g->before[k], g->after[k],
					now[k]);
				told++;
			}
	}
}

static void print_code(const struct block *b)
{
	unsigned bits = b->key & X86_MODE_CS64 ? 64 : b->key & X86_MODE_CS32 ? 32 : 16;
	struct insn in;
	char text[128];

	for (unsigned off = 0; off < b->n_bytes; off += in.len) {
		if (insn_decode(b->bytes + off, b->n_bytes - off, bits, &in) || !in.len)
			break;
		insn_format(&in, b->rip + off, text, sizeof(text));
		log_err("  %" PRIx64 ": %s", b->rip + off, text);
	}
}

void ls_report(struct vcpu *v, const struct block *b, const struct ls_snap *start,
	       const struct ls_snap *want, const struct ls_snap *got, const struct ls_pages *p)
{
	const uint64_t *g = start->s.gpr;

	log_err("lockstep: the translator differs from the interpreter in the block at %" PRIx64
		", mode %x, CPL %u, after %" PRIu64 " instructions of vCPU %u",
		start->s.rip, start->mode, start->cpl, start->count.insns, v->index);
	print_code(b);
	for (unsigned i = 0; i < 16; i += 4)
		log_err("  at the start: r%u %016" PRIx64 " %016" PRIx64 " %016" PRIx64
			" %016" PRIx64,
			i, g[i], g[i + 1], g[i + 2], g[i + 3]);
	log_err("  at the start: rflags %" PRIx64 " fcw %x fsw %x mxcsr %x cr0 %" PRIx64
		" cr3 %" PRIx64 " cr4 %" PRIx64,
		start->s.rflags, start->s.fpu.fcw, start->s.fpu.fsw, start->s.fpu.mxcsr,
		start->s.cr0, start->s.cr3, start->s.cr4);
	log_err("  instructions run: interpreter %" PRIu64 ", translator %" PRIu64,
		want->count.insns - start->count.insns, got->count.insns - start->count.insns);
	print_states(start, want, got);
	print_pages(p);
}

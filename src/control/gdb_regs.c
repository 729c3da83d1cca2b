/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gdb register tables. Order and names are those gdb requires of the features
 * org.gnu.gdb.i386.core, .sse, .avx and .segments (GDB manual, appendix G.5.7, "i386 Features");
 * the control registers follow in a feature of our own, which gdb shows as they are.
 */
#include "control/gdb_regs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"

enum reg_kind {
	REG_GPR,
	REG_RIP,
	REG_FLAGS,
	REG_SEG,
	REG_ST,
	REG_FCTRL,
	REG_XMM,
	REG_MXCSR,
	REG_YMMH,
	REG_SEG_BASE,
	REG_KGS_BASE,
	REG_CR,
	REG_EFER
};

struct reg_row {
	const char *name;
	uint8_t kind, index;
	uint8_t bits64, bits32; /* 0: not in that description */
	const char *type;       /* gdb type; "int" means by size */
	const char *group;
};

/* x87 control registers in gdb's order. */
enum { FC_CTRL, FC_STAT, FC_TAG, FC_ISEG, FC_IOFF, FC_OSEG, FC_OOFF, FC_OP };

#define GPR(n64, i)                                                                                \
	{                                                                                          \
		n64, REG_GPR, i, 64, 0, "int64", NULL                                              \
	}
#define GPR32(n32, i)                                                                              \
	{                                                                                          \
		n32, REG_GPR, i, 0, 32, "int32", NULL                                              \
	}
#define SEG(n, i)                                                                                  \
	{                                                                                          \
		n, REG_SEG, i, 32, 32, "int32", NULL                                               \
	}
#define ST(i)                                                                                      \
	{                                                                                          \
		"st" #i, REG_ST, i, 80, 80, "i387_ext", "float"                                    \
	}
#define FC(n, i)                                                                                   \
	{                                                                                          \
		n, REG_FCTRL, i, 32, 32, "int", "float"                                            \
	}
#define XMM(i)                                                                                     \
	{                                                                                          \
		"xmm" #i, REG_XMM, i, 128, 128, "vec128", "vector"                                 \
	}
#define XMM64(i)                                                                                   \
	{                                                                                          \
		"xmm" #i, REG_XMM, i, 128, 0, "vec128", "vector"                                   \
	}
#define YMMH(i)                                                                                    \
	{                                                                                          \
		"ymm" #i "h", REG_YMMH, i, 128, 128, "uint128", "vector"                           \
	}
#define YMMH64(i)                                                                                  \
	{                                                                                          \
		"ymm" #i "h", REG_YMMH, i, 128, 0, "uint128", "vector"                             \
	}

/* clang-format off */
static const struct reg_row rows[] = {
	GPR("rax", X86_RAX), GPR("rbx", X86_RBX), GPR("rcx", X86_RCX), GPR("rdx", X86_RDX),
	GPR("rsi", X86_RSI), GPR("rdi", X86_RDI),
	{"rbp", REG_GPR, X86_RBP, 64, 0, "data_ptr", NULL}, {"rsp", REG_GPR, X86_RSP, 64, 0, "data_ptr", NULL},
	GPR("r8", 8), GPR("r9", 9), GPR("r10", 10), GPR("r11", 11),
	GPR("r12", 12), GPR("r13", 13), GPR("r14", 14), GPR("r15", 15),
	GPR32("eax", X86_RAX), GPR32("ecx", X86_RCX), GPR32("edx", X86_RDX), GPR32("ebx", X86_RBX),
	{"esp", REG_GPR, X86_RSP, 0, 32, "data_ptr", NULL}, {"ebp", REG_GPR, X86_RBP, 0, 32, "data_ptr", NULL},
	GPR32("esi", X86_RSI), GPR32("edi", X86_RDI),
	{"rip", REG_RIP, 0, 64, 0, "code_ptr", NULL}, {"eip", REG_RIP, 0, 0, 32, "code_ptr", NULL},
	{"eflags", REG_FLAGS, 0, 32, 32, "i386_eflags", NULL},
	SEG("cs", X86_CS), SEG("ss", X86_SS), SEG("ds", X86_DS), SEG("es", X86_ES), SEG("fs", X86_FS), SEG("gs", X86_GS),
	ST(0), ST(1), ST(2), ST(3), ST(4), ST(5), ST(6), ST(7),
	FC("fctrl", FC_CTRL), FC("fstat", FC_STAT), FC("ftag", FC_TAG), FC("fiseg", FC_ISEG),
	FC("fioff", FC_IOFF), FC("foseg", FC_OSEG), FC("fooff", FC_OOFF), FC("fop", FC_OP),
	XMM(0), XMM(1), XMM(2), XMM(3), XMM(4), XMM(5), XMM(6), XMM(7),
	XMM64(8), XMM64(9), XMM64(10), XMM64(11), XMM64(12), XMM64(13), XMM64(14), XMM64(15),
	{"mxcsr", REG_MXCSR, 0, 32, 32, "i386_mxcsr", "vector"},
	YMMH(0), YMMH(1), YMMH(2), YMMH(3), YMMH(4), YMMH(5), YMMH(6), YMMH(7),
	YMMH64(8), YMMH64(9), YMMH64(10), YMMH64(11), YMMH64(12), YMMH64(13), YMMH64(14), YMMH64(15),
	{"fs_base", REG_SEG_BASE, X86_FS, 64, 0, "int", NULL}, {"gs_base", REG_SEG_BASE, X86_GS, 64, 0, "int", NULL},
	{"k_gs_base", REG_KGS_BASE, 0, 64, 0, "int64", "system"},
	{"cr0", REG_CR, 0, 64, 32, "int", "system"}, {"cr2", REG_CR, 2, 64, 32, "int", "system"},
	{"cr3", REG_CR, 3, 64, 32, "int", "system"}, {"cr4", REG_CR, 4, 64, 32, "int", "system"},
	{"efer", REG_EFER, 0, 64, 0, "int64", "system"},
};

/* Which feature of target.xml a row opens. */
static const struct { enum reg_kind first; const char *feature; } features[] = {
	{REG_GPR, "org.gnu.gdb.i386.core"}, {REG_XMM, "org.gnu.gdb.i386.sse"},
	{REG_YMMH, "org.gnu.gdb.i386.avx"}, {REG_SEG_BASE, "org.gnu.gdb.i386.segments"},
	{REG_KGS_BASE, "org.bothy.x86.system"}, {REG_CR, "org.bothy.x86.system"},
};
/* clang-format on */

static const struct reg_row *reg_row(bool is64, unsigned n)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		if (!(is64 ? rows[i].bits64 : rows[i].bits32))
			continue;
		if (n-- == 0)
			return &rows[i];
	}
	return NULL;
}

unsigned gdb_reg_count(bool is64)
{
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		n += (is64 ? rows[i].bits64 : rows[i].bits32) != 0;
	return n;
}

/* The 16-bit tag word from FXSAVE's abridged tags: gdb wants 11b for empty; a valid register's
 * exact class (zero, special) is derived from its contents. SDM vol. 1, 8.1.7 and 10.5.1.1. */
static uint16_t full_tags(const struct x86_fpu *f)
{
	unsigned top = (f->fsw >> 11) & 7, tags = 0;

	for (unsigned phys = 0; phys < 8; phys++) {
		const uint8_t *st = f->st[(phys - top) & 7];
		uint64_t mant = ld_le64(st);
		unsigned exp = ld_le16(st + 8) & 0x7fff, tag;

		if (!(f->ftw & (1u << phys)))
			tag = 3;
		else if (exp == 0 && mant == 0)
			tag = 1;
		else if (exp == 0 || exp == 0x7fff || !(mant >> 63))
			tag = 2;
		else
			tag = 0;
		tags |= tag << (phys * 2);
	}
	return (uint16_t)tags;
}

static uint64_t fctrl_get(const struct x86_fpu *f, unsigned i)
{
	switch (i) {
	case FC_CTRL: return f->fcw;
	case FC_STAT: return f->fsw;
	case FC_TAG: return full_tags(f);
	case FC_ISEG: return f->fcs;
	case FC_IOFF: return f->fip;
	case FC_OSEG: return f->fds;
	case FC_OOFF: return f->fdp;
	default: return f->fop;
	}
}

static void fctrl_set(struct x86_fpu *f, unsigned i, uint32_t val)
{
	uint8_t abridged = 0;

	switch (i) {
	case FC_CTRL: f->fcw = (uint16_t)val; break;
	case FC_STAT: f->fsw = (uint16_t)val; break;
	case FC_TAG:
		for (unsigned p = 0; p < 8; p++)
			abridged |= (uint8_t)((((val >> (p * 2)) & 3) != 3) << p);
		f->ftw = abridged;
		break;
	case FC_ISEG: f->fcs = (uint16_t)val; break;
	case FC_IOFF: f->fip = val; break;
	case FC_OSEG: f->fds = (uint16_t)val; break;
	case FC_OOFF: f->fdp = val; break;
	default: f->fop = (uint16_t)val & 0x7ff; break;
	}
}

static uint64_t cr_get(const struct x86_state *s, unsigned i)
{
	return i == 0 ? s->cr0 : i == 2 ? s->cr2 : i == 3 ? s->cr3 : s->cr4;
}

unsigned gdb_reg_get(const struct vcpu *v, bool is64, unsigned n, uint8_t buf[GDB_REG_MAX])
{
	const struct reg_row *row = reg_row(is64, n);
	const struct x86_state *s = &v->s;
	unsigned size;
	uint64_t val = 0;

	if (!row)
		return 0;
	size = (is64 ? row->bits64 : row->bits32) / 8u;
	memset(buf, 0, GDB_REG_MAX);
	switch ((enum reg_kind)row->kind) {
	case REG_ST: memcpy(buf, s->fpu.st[row->index], 10); return size;
	case REG_XMM: memcpy(buf, s->fpu.ymm[row->index], 16); return size;
	case REG_YMMH: memcpy(buf, s->fpu.ymm[row->index] + 16, 16); return size;
	case REG_GPR: val = s->gpr[row->index]; break;
	case REG_RIP: val = s->rip; break;
	case REG_FLAGS: val = s->rflags; break;
	case REG_SEG: val = s->seg[row->index].sel; break;
	case REG_FCTRL: val = fctrl_get(&s->fpu, row->index); break;
	case REG_MXCSR: val = s->fpu.mxcsr; break;
	case REG_SEG_BASE: val = s->seg[row->index].base; break;
	case REG_KGS_BASE: val = s->kernel_gs_base; break;
	case REG_CR: val = cr_get(s, row->index); break;
	case REG_EFER: val = s->efer; break;
	}
	st_le64(buf, val);
	return size;
}

bool gdb_reg_set(struct vcpu *v, bool is64, unsigned n, const uint8_t *buf, unsigned len)
{
	const struct reg_row *row = reg_row(is64, n);
	struct x86_state *s = &v->s;
	const uint64_t flags_mask =
		X86_ARITH | X86_TF | X86_IF | X86_DF | X86_IOPL | X86_NT | X86_RF | X86_AC | X86_ID;
	uint64_t val;

	if (!row || len < (is64 ? row->bits64 : row->bits32) / 8u)
		return false;
	val = ld_le(buf, MIN(len, 8u));
	switch ((enum reg_kind)row->kind) {
	case REG_ST: memcpy(s->fpu.st[row->index], buf, 10); return true;
	case REG_XMM: memcpy(s->fpu.ymm[row->index], buf, 16); return true;
	case REG_YMMH: memcpy(s->fpu.ymm[row->index] + 16, buf, 16); return true;
	case REG_GPR: s->gpr[row->index] = val; return true;
	case REG_RIP: s->rip = val; return true;
	case REG_FLAGS: s->rflags = (s->rflags & ~flags_mask) | (val & flags_mask) | 2; return true;
	case REG_SEG: s->seg[row->index].sel = (uint16_t)val; return true;
	case REG_FCTRL: fctrl_set(&s->fpu, row->index, (uint32_t)val); return true;
	/* Reserved bits would make the next SSE instruction of the host fault. */
	case REG_MXCSR: s->fpu.mxcsr = (uint32_t)val & 0xffff; return true;
	case REG_SEG_BASE:
		if (!x86_canonical(val))
			return false;
		s->seg[row->index].base = val;
		return true;
	case REG_KGS_BASE:
		if (!x86_canonical(val))
			return false;
		s->kernel_gs_base = val;
		return true;
	case REG_CR:
	case REG_EFER: return false; /* mode changes go through guest instructions */
	}
	return false;
}

static const char *type_of(const struct reg_row *row, bool is64)
{
	unsigned bits = is64 ? row->bits64 : row->bits32;

	if (strcmp(row->type, "int") != 0 && strcmp(row->type, "int64") != 0)
		return row->type;
	return row->kind == REG_FCTRL ? "int" : bits == 64 ? "int64" : "int32";
}

char *gdb_target_xml(bool is64)
{
	char *xml = NULL;
	const char *open = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&xml, &len);

	check(f != NULL);
	fprintf(f,
		"<?xml version=\"1.0\"?><!DOCTYPE target SYSTEM \"gdb-target.dtd\"><target>"
		"<architecture>%s</architecture>",
		is64 ? "i386:x86-64" : "i386");
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct reg_row *row = &rows[i];
		unsigned bits = is64 ? row->bits64 : row->bits32;

		if (!bits)
			continue;
		for (unsigned k = 0; k < ARRAY_SIZE(features); k++) {
			const char *name = features[k].feature;

			if (features[k].first != row->kind || (open && strcmp(open, name) == 0) ||
			    (row->kind == REG_GPR && open))
				continue;
			/* the GPR rows come first only; ST and segments stay in core */
			fprintf(f, "%s<feature name=\"%s\">", open ? "</feature>" : "", name);
			if (row->kind == REG_GPR)
				fprintf(f, "<flags id=\"i386_eflags\" size=\"4\">"
					   "<field name=\"CF\" start=\"0\" end=\"0\"/>"
					   "<field name=\"PF\" start=\"2\" end=\"2\"/>"
					   "<field name=\"AF\" start=\"4\" end=\"4\"/>"
					   "<field name=\"ZF\" start=\"6\" end=\"6\"/>"
					   "<field name=\"SF\" start=\"7\" end=\"7\"/>"
					   "<field name=\"TF\" start=\"8\" end=\"8\"/>"
					   "<field name=\"IF\" start=\"9\" end=\"9\"/>"
					   "<field name=\"DF\" start=\"10\" end=\"10\"/>"
					   "<field name=\"OF\" start=\"11\" end=\"11\"/>"
					   "<field name=\"NT\" start=\"14\" end=\"14\"/>"
					   "<field name=\"RF\" start=\"16\" end=\"16\"/>"
					   "<field name=\"VM\" start=\"17\" end=\"17\"/>"
					   "<field name=\"AC\" start=\"18\" end=\"18\"/>"
					   "<field name=\"ID\" start=\"21\" end=\"21\"/></flags>");
			else if (row->kind == REG_XMM)
				fprintf(f, "<vector id=\"v4f\" type=\"ieee_single\" count=\"4\"/>"
					   "<vector id=\"v2d\" type=\"ieee_double\" count=\"2\"/>"
					   "<vector id=\"v16i8\" type=\"int8\" count=\"16\"/>"
					   "<vector id=\"v4i32\" type=\"int32\" count=\"4\"/>"
					   "<vector id=\"v2i64\" type=\"int64\" count=\"2\"/>"
					   "<union id=\"vec128\"><field name=\"v4_float\" "
					   "type=\"v4f\"/>"
					   "<field name=\"v2_double\" type=\"v2d\"/>"
					   "<field name=\"v16_int8\" type=\"v16i8\"/>"
					   "<field name=\"v4_int32\" type=\"v4i32\"/>"
					   "<field name=\"v2_int64\" type=\"v2i64\"/>"
					   "<field name=\"uint128\" type=\"uint128\"/></union>"
					   "<flags id=\"i386_mxcsr\" size=\"4\">"
					   "<field name=\"IE\" start=\"0\" end=\"0\"/>"
					   "<field name=\"DAZ\" start=\"6\" end=\"6\"/>"
					   "<field name=\"FZ\" start=\"15\" end=\"15\"/></flags>");
			open = name;
		}
		fprintf(f, "<reg name=\"%s\" bitsize=\"%u\" type=\"%s\"", row->name, bits,
			type_of(row, is64));
		if (row->group)
			fprintf(f, " group=\"%s\"", row->group);
		fprintf(f, "/>");
	}
	fprintf(f, "</feature></target>");
	check(fclose(f) == 0);
	return xml;
}

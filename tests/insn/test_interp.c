/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interpreter engine on small programs: a table of byte code with the registers, flags, memory
 * and fault that the Intel SDM (volumes and sections in the rows) says must come out, then tests of
 * what needs more than one run: interrupts and their shadow, single step, debugger, code caches.
 *
 * Memory of a row: pages from IM_DATA on: 0 there, 1 missing, 2 there, 3 read-only, 4 and 5 there
 * but apart in physical memory.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>

#include "../unit/cm.h"
#include "machine.h"

/* Registers in rows: 0 ends a list. */
enum {
	G_END,
	G_RAX,
	G_RCX,
	G_RDX,
	G_RBX,
	G_RSP,
	G_RBP,
	G_RSI,
	G_RDI,
	G_R8,
	G_R9,
	G_R10,
	G_R11,
	G_R12,
	G_R13,
	G_R14,
	G_R15
};

#define BYTES(s) s, sizeof(s) - 1
#define VEC(n)   ((n) + 1)

struct pair {
	uint64_t at, val;
};

struct row {
	const char *what, *cite;
	unsigned bits, cpl; /* 0 = 64; CPL */
	const char *code;
	unsigned len;
	struct {
		uint64_t reg, val;
	} in[8], out[10];
	uint32_t fl_mask, fl;
	struct pair pre[4], mem[6]; /* 8 bytes each */
	int vec;                    /* VEC(n), 0 = ends with HLT */
	uint32_t err;
	unsigned at;  /* offset of the faulting instruction */
	uint64_t cr2; /* 0 = do not look */
	uint32_t mxcsr;
	uint64_t ymm0, ymm2; /* low quadwords, if the row says `look_ymm` */
	bool look_ymm;
	bool am; /* run with CR0.AM */
};

/* clang-format off */
static const struct row rows[] = {
	{.what = "mov eax, 0x80000000; add eax, ebx",
	 .cite = "vol. 1, 3.4.1.1: 32-bit results zero-extend",
	 .code = BYTES("\xb8\x00\x00\x00\x80\x01\xd8"),
	 .in = {{G_RAX, 0xffffffffffffffff}, {G_RBX, 0x1}},
	 .out = {{G_RAX, 0x80000001}},
	 .fl_mask = X86_ARITH, .fl = X86_SF | X86_PF*0},
	{.what = "mov ah, bl; mov cx, bx; mov dil, bl",
	 .cite = "vol. 1, 3.4.1.1: 8 and 16 bits keep the rest",
	 .code = BYTES("\x88\xdc\x66\x89\xd9\x40\x88\xdf"),
	 .in = {{G_RAX, 0x1111111111111111}, {G_RCX, 0x2222222222222222}, {G_RBX, 0x55aa}, {G_RDI, 0x3333}},
	 .out = {{G_RAX, 0x111111111111aa11}, {G_RCX, 0x22222222222255aa}, {G_RDI, 0x33aa}}},
	{.what = "cmovc eax, ebx",
	 .cite = "vol. 2, CMOVcc: a false condition still zero-extends",
	 .code = BYTES("\x0f\x42\xc3"),
	 .in = {{G_RAX, 0xffffffff00000001}, {G_RBX, 0x7}},
	 .out = {{G_RAX, 0x1}}},
	{.what = "stc; adc rax, rbx; sbb rcx, rcx",
	 .cite = "vol. 2, ADC SBB: carry in and out",
	 .code = BYTES("\xf9\x48\x11\xd8\x48\x19\xc9"),
	 .in = {{G_RAX, 0xffffffffffffffff}, {G_RBX, 0x0}, {G_RCX, 0x5}},
	 .out = {{G_RAX, 0x0}, {G_RCX, 0xffffffffffffffff}},
	 .fl_mask = X86_CF, .fl = X86_CF},
	{.what = "stc; inc eax; setc bl; dec ecx; setc dl",
	 .cite = "vol. 2, INC: CF is not touched",
	 .code = BYTES("\xf9\xff\xc0\x0f\x92\xc3\xff\xc9\x0f\x92\xc2"),
	 .in = {{G_RAX, 0xffffffff}, {G_RCX, 0x0}},
	 .out = {{G_RAX, 0x0}, {G_RBX, 0x1}, {G_RCX, 0xffffffff}, {G_RDX, 0x1}}},
	{.what = "cmp eax, eax; mov ecx, 32; shl ebx, cl; setz al",
	 .cite = "vol. 2, SAL/SAR: a count of 0 changes no flag",
	 .code = BYTES("\x39\xc0\xb9\x20\x00\x00\x00\xd3\xe3\x0f\x94\xc0"),
	 .in = {{G_RBX, 0x5}},
	 .out = {{G_RAX, 0x1}, {G_RBX, 0x5}},
	 .fl_mask = X86_ZF, .fl = X86_ZF},
	{.what = "stc; mov cl, 9; rcl bl, cl",
	 .cite = "vol. 2, RCL: count modulo 9 for bytes",
	 .code = BYTES("\xf9\xb1\x09\xd2\xd3"),
	 .in = {{G_RBX, 0x5a}},
	 .out = {{G_RBX, 0x5a}, {G_RCX, 0x9}},
	 .fl_mask = X86_CF, .fl = X86_CF},
	{.what = "shld [rdi], rax, 8",
	 .cite = "vol. 2, SHLD: into memory",
	 .code = BYTES("\x48\x0f\xa4\x07\x08"),
	 .in = {{G_RAX, 0xab00000000000000}, {G_RDI, 0x200000}},
	 .pre = {{0x200000, 0x1122334455667788}},
	 .mem = {{0x200000, 0x22334455667788ab}}},
	{.what = "xadd [rdi], rax",
	 .cite = "vol. 2, XADD: old value to the register",
	 .code = BYTES("\x48\x0f\xc1\x07"),
	 .in = {{G_RAX, 0x3}, {G_RDI, 0x200000}},
	 .out = {{G_RAX, 0x1000}},
	 .pre = {{0x200000, 0x1000}},
	 .mem = {{0x200000, 0x1003}}},
	{.what = "mul qword [rdi]",
	 .cite = "vol. 2, MUL: RDX:RAX",
	 .code = BYTES("\x48\xf7\x27"),
	 .in = {{G_RAX, 0x8000000000000000}, {G_RDI, 0x200000}},
	 .out = {{G_RAX, 0x0}, {G_RDX, 0x2}},
	 .fl_mask = X86_CF | X86_OF, .fl = X86_CF | X86_OF,
	 .pre = {{0x200000, 0x4}}},
	{.what = "imul rax, [rdi], -3",
	 .cite = "vol. 2, IMUL three operands",
	 .code = BYTES("\x48\x6b\x07\xfd"),
	 .in = {{G_RDI, 0x200000}},
	 .out = {{G_RAX, 0xffffffffffffffeb}},
	 .pre = {{0x200000, 0x7}}},
	{.what = "div dword [rdi]",
	 .cite = "vol. 2, DIV",
	 .code = BYTES("\xf7\x37"),
	 .in = {{G_RAX, 0x64}, {G_RDI, 0x200000}},
	 .out = {{G_RAX, 0xe}, {G_RDX, 0x2}},
	 .pre = {{0x200000, 0x7}}},
	{.what = "cqo; mov rbx, rdx; cdq; cbw",
	 .cite = "vol. 2, CWD CDQ CQO",
	 .code = BYTES("\x48\x99\x48\x89\xd3\x99\x66\x98"),
	 .in = {{G_RAX, 0x80000000000000f0}},
	 .out = {{G_RBX, 0xffffffffffffffff}, {G_RDX, 0x0}, {G_RAX, 0x800000000000fff0}}},
	{.what = "movzx edi, bh; movsx rsi, byte [r9]; movsx ecx, ah",
	 .cite = "vol. 2, MOVZX MOVSX: high byte sources",
	 .code = BYTES("\x0f\xb6\xff\x49\x0f\xbe\x31\x0f\xbe\xcc"),
	 .in = {{G_RAX, 0x8100}, {G_RBX, 0xee00}, {G_R9, 0x200000}},
	 .out = {{G_RDI, 0xee}, {G_RSI, 0xffffffffffffff80}, {G_RCX, 0xffffff81}},
	 .pre = {{0x200000, 0x80}}},
	{.what = "mov [rdi], ch; add bh, [rdi]; cmpxchg [rdi], dh",
	 .cite = "vol. 2, high byte and memory",
	 .code = BYTES("\x88\x2f\x02\x3f\x0f\xb0\x37"),
	 .in = {{G_RAX, 0x12}, {G_RCX, 0x1200}, {G_RBX, 0x100}, {G_RDX, 0x7700}, {G_RDI, 0x200000}},
	 .out = {{G_RBX, 0x1300}, {G_RAX, 0x12}},
	 .fl_mask = X86_ZF, .fl = X86_ZF,
	 .pre = {{0x200000, 0x0}},
	 .mem = {{0x200000, 0x77}}},
	{.what = "mov ah, 0xd5; sahf; lahf; mov bl, ah; seto cl",
	 .cite = "vol. 2, LAHF SAHF",
	 .code = BYTES("\xb4\xd5\x9e\x9f\x88\xe3\x0f\x90\xc1"),
	 .out = {{G_RBX, 0xd7}, {G_RCX, 0x0}}},
	{.what = "lea eax, [rbx+rcx*8-4]; lea rdx, [rel $]",
	 .cite = "vol. 2, LEA: 32-bit operand, scaled index, RIP",
	 .code = BYTES("\x8d\x44\xcb\xfc\x48\x8d\x15\xf9\xff\xff\xff"),
	 .in = {{G_RBX, 0x100000000}, {G_RCX, 0x2}},
	 .out = {{G_RAX, 0xc}, {G_RDX, 0x100004}}},
	{.what = "lea rax, [ebx+ecx]",
	 .cite = "vol. 2, LEA: address size 32",
	 .code = BYTES("\x67\x48\x8d\x04\x0b"),
	 .in = {{G_RBX, 0xffffffff}, {G_RCX, 0x2}},
	 .out = {{G_RAX, 0x1}}},
	{.what = "andn rax, rbx, rcx; shlx rdx, rcx, rbx; rorx rsi, rcx, 4; mov edx, 3; mulx r8, r9, rcx; pdep r10, rbx, rcx; blsr r11, rcx",
	 .cite = "vol. 2, ANDN BEXTR SHLX MULX RORX PDEP (VEX)",
	 .code = BYTES("\xc4\xe2\xe0\xf2\xc1\xc4\xe2\xe1\xf7\xd1\xc4\xe3\xfb\xf0\xf1\x04\xba\x03\x00\x00\x00\xc4\x62\xb3\xf6\xc1\xc4\x62\xe3\xf5\xd1\xc4\xe2\xa0\xf3\xc9"),
	 .in = {{G_RBX, 0x4}, {G_RCX, 0xff}},
	 .out = {{G_RAX, 0xfb}, {G_RSI, 0xf00000000000000f}, {G_R8, 0x0}, {G_R9, 0x2fd}, {G_R10, 0x4}, {G_R11, 0xfe}}},
	{.what = "popcnt rax, rbx; lzcnt ecx, ebx; tzcnt dx, bx",
	 .cite = "vol. 2, POPCNT LZCNT TZCNT",
	 .code = BYTES("\xf3\x48\x0f\xb8\xc3\xf3\x0f\xbd\xcb\x66\xf3\x0f\xbc\xd3"),
	 .in = {{G_RBX, 0xf00}},
	 .out = {{G_RAX, 0x4}, {G_RCX, 0x14}, {G_RDX, 0x8}}},
	{.what = "crc32 eax, byte [rdi]; movbe rbx, [rdi]",
	 .cite = "vol. 2, CRC32, MOVBE",
	 .code = BYTES("\xf2\x0f\x38\xf0\x07\x48\x0f\x38\xf0\x1f"),
	 .in = {{G_RAX, 0x0}, {G_RDI, 0x200000}},
	 .out = {{G_RBX, 0x807060504030201}},
	 .pre = {{0x200000, 0x102030405060708}}},
	{.what = "mov rax, [abs qword 0x200000]; mov [abs qword 0x200008], al",
	 .cite = "vol. 2, MOV moffs",
	 .code = BYTES("\x48\xa1\x00\x00\x20\x00\x00\x00\x00\x00\xa2\x08\x00\x20\x00\x00\x00\x00\x00"),
	 .out = {{G_RAX, 0x1122334455667788}},
	 .pre = {{0x200000, 0x1122334455667788}, {0x200008, 0x0}},
	 .mem = {{0x200008, 0x88}}},
	{.what = "xchg r8, rax; nop; xchg ebx, eax",
	 .cite = "vol. 2, XCHG r8, rAX is not NOP",
	 .code = BYTES("\x49\x90\x90\x93"),
	 .in = {{G_RAX, 0x1}, {G_R8, 0x2}, {G_RBX, 0x100000003}},
	 .out = {{G_RAX, 0x3}, {G_R8, 0x1}, {G_RBX, 0x2}}},
	{.what = "cmp eax, 1; setb [rdi]; seta sil",
	 .cite = "vol. 2, SETcc to memory and a REX byte register",
	 .code = BYTES("\x83\xf8\x01\x0f\x92\x07\x40\x0f\x97\xc6"),
	 .in = {{G_RAX, 0x0}, {G_RDI, 0x200000}, {G_RSI, 0xff}},
	 .out = {{G_RSI, 0x0}},
	 .pre = {{0x200000, 0xff}},
	 .mem = {{0x200000, 0x1}}},
	{.what = "mov rax, [rdi]",
	 .cite = "vol. 3, 4.7: read of a page that is not there",
	 .code = BYTES("\x48\x8b\x07"),
	 .in = {{G_RDI, 0x201000}, {G_RAX, 0x9}},
	 .out = {{G_RAX, 0x9}},
	 .vec = VEC(14),
	 .cr2 = 0x201000},
	{.what = "mov rax, [rdi]",
	 .cite = "vol. 3, 4.7: user access",
	 .cpl = 3,
	 .code = BYTES("\x48\x8b\x07"),
	 .in = {{G_RDI, 0x201000}},
	 .vec = VEC(14),
	 .err = 0x4,
	 .cr2 = 0x201000},
	{.what = "mov [rdi], rax",
	 .cite = "vol. 3, 4.7: store across into a missing page: nothing is written",
	 .code = BYTES("\x48\x89\x07"),
	 .in = {{G_RDI, 0x200ffc}, {G_RAX, 0xffffffffffffffff}},
	 .pre = {{0x200ff8, 0x55}},
	 .mem = {{0x200ff8, 0x55}},
	 .vec = VEC(14),
	 .err = 0x2,
	 .cr2 = 0x201000},
	{.what = "add rax, [rdi]",
	 .cite = "vol. 3, 4.7: load across into a missing page",
	 .code = BYTES("\x48\x03\x07"),
	 .in = {{G_RDI, 0x200ffd}, {G_RAX, 0x1}},
	 .out = {{G_RAX, 0x1}},
	 .fl_mask = X86_ARITH, .fl = 0,
	 .vec = VEC(14),
	 .cr2 = 0x201000},
	{.what = "add dword [rdi], 1",
	 .cite = "vol. 3, 4.7: a read-modify-write faults as a write",
	 .code = BYTES("\x83\x07\x01"),
	 .in = {{G_RDI, 0x203000}},
	 .vec = VEC(14),
	 .err = 0x3,
	 .cr2 = 0x203000},
	{.what = "lock add dword [rdi], 1",
	 .cite = "vol. 3, 4.7: read-modify-write across into a read-only page",
	 .code = BYTES("\xf0\x83\x07\x01"),
	 .in = {{G_RDI, 0x202ffe}},
	 .pre = {{0x202ff8, 0x7}},
	 .mem = {{0x202ff8, 0x7}},
	 .vec = VEC(14),
	 .err = 0x3,
	 .cr2 = 0x203000},
	{.what = "mov [rdi], rax; mov rbx, [rdi]; lock inc qword [rdi]",
	 .cite = "vol. 1, 4.1.1: access across two pages that lie apart",
	 .code = BYTES("\x48\x89\x07\x48\x8b\x1f\xf0\x48\xff\x07"),
	 .in = {{G_RDI, 0x204ffb}, {G_RAX, 0x1122334455667788}},
	 .out = {{G_RBX, 0x1122334455667788}},
	 .mem = {{0x204ffb, 0x1122334455667789}}},
	{.what = "cmpxchg [rdi], rbx",
	 .cite = "vol. 2, CMPXCHG: a fault leaves the accumulator",
	 .code = BYTES("\x48\x0f\xb1\x1f"),
	 .in = {{G_RDI, 0x203000}, {G_RAX, 0x5}, {G_RBX, 0x6}},
	 .out = {{G_RAX, 0x5}},
	 .vec = VEC(14),
	 .err = 0x3,
	 .cr2 = 0x203000},
	{.what = "cmpxchg [rdi], ebx",
	 .cite = "vol. 2, CMPXCHG: writes also when not equal",
	 .code = BYTES("\x0f\xb1\x1f"),
	 .in = {{G_RDI, 0x200000}, {G_RAX, 0x5}, {G_RBX, 0x6}},
	 .out = {{G_RAX, 0x7}},
	 .fl_mask = X86_ZF, .fl = 0,
	 .pre = {{0x200000, 0x7}},
	 .mem = {{0x200000, 0x7}}},
	{.what = "xchg [rdi], rax",
	 .cite = "vol. 2, XCHG: the register stays when the store faults",
	 .code = BYTES("\x48\x87\x07"),
	 .in = {{G_RDI, 0x203000}, {G_RAX, 0x5}},
	 .out = {{G_RAX, 0x5}},
	 .vec = VEC(14),
	 .err = 0x3,
	 .cr2 = 0x203000},
	{.what = "mov rax, [rdi]",
	 .cite = "vol. 1, 3.3.7.1: non-canonical data address: #GP(0)",
	 .code = BYTES("\x48\x8b\x07"),
	 .in = {{G_RDI, 0x8000000000000000}},
	 .vec = VEC(13)},
	{.what = "mov rax, [rbp]",
	 .cite = "vol. 1, 3.3.7.1: non-canonical stack address: #SS(0)",
	 .code = BYTES("\x48\x8b\x45\x00"),
	 .in = {{G_RBP, 0x8000000000000000}},
	 .vec = VEC(12)},
	{.what = "movaps xmm0, [rdi]",
	 .cite = "vol. 1, 10.4.1.1: misaligned MOVAPS: #GP(0)",
	 .code = BYTES("\x0f\x28\x07"),
	 .in = {{G_RDI, 0x200008}},
	 .vec = VEC(13)},
	{.what = "movaps xmm0, [rdi]",
	 .cite = "vol. 3, 6.9: misaligned and missing: #GP comes first",
	 .code = BYTES("\x0f\x28\x07"),
	 .in = {{G_RDI, 0x201008}},
	 .vec = VEC(13)},
	{.what = "vaddps xmm0, xmm1, [rdi]; addps xmm0, [rdi]",
	 .cite = "vol. 1, 10.4.1.1: SSE operands are aligned, AVX operands need not be",
	 .code = BYTES("\xc5\xf0\x58\x07\x0f\x58\x07"),
	 .in = {{G_RDI, 0x200004}},
	 .vec = VEC(13),
	 .at = 4},
	{.what = "div ebx",
	 .cite = "vol. 2, DIV: #DE leaves everything",
	 .code = BYTES("\xf7\xf3"),
	 .in = {{G_RAX, 0x1}, {G_RDX, 0x0}},
	 .out = {{G_RAX, 0x1}, {G_RDX, 0x0}},
	 .fl_mask = X86_ARITH, .fl = 0,
	 .vec = VEC(0)},
	{.what = "idiv rbx",
	 .cite = "vol. 2, IDIV: quotient overflow",
	 .code = BYTES("\x48\xf7\xfb"),
	 .in = {{G_RAX, 0x8000000000000000}, {G_RDX, 0xffffffffffffffff}, {G_RBX, 0xffffffffffffffff}},
	 .vec = VEC(0)},
	{.what = "ud2",
	 .cite = "vol. 2, UD2",
	 .code = BYTES("\x0f\x0b"),
	 .vec = VEC(6)},
	{.what = "jmp rax",
	 .cite = "vol. 2, JMP: #GP(0) on the jump",
	 .code = BYTES("\xff\xe0"),
	 .in = {{G_RAX, 0x123456789abcdef}},
	 .vec = VEC(13)},
	{.what = "ret",
	 .cite = "vol. 2, RET: a non-canonical target leaves RSP",
	 .code = BYTES("\xc3"),
	 .in = {{G_RSP, 0x200000}},
	 .out = {{G_RSP, 0x200000}},
	 .pre = {{0x200000, 0x123456789abcdef}},
	 .vec = VEC(13)},
	{.what = "push rsp; pop rax; push 0x200100; pop rsp; mov rbx, rsp",
	 .cite = "vol. 2, PUSH RSP pushes the old value; POP RSP gets the popped one",
	 .code = BYTES("\x54\x58\x68\x00\x01\x20\x00\x5c\x48\x89\xe3"),
	 .in = {{G_RSP, 0x200800}},
	 .out = {{G_RAX, 0x200800}, {G_RBX, 0x200100}}},
	{.what = "push 0x77; pop qword [rsp+8]",
	 .cite = "vol. 2, POP: the address uses the new RSP",
	 .code = BYTES("\x6a\x77\x8f\x44\x24\x08"),
	 .in = {{G_RSP, 0x200800}},
	 .out = {{G_RSP, 0x200800}},
	 .mem = {{0x200808, 0x77}}},
	{.what = "call f; jmp e; f: mov eax, 5; ret; e: nop",
	 .cite = "vol. 2, CALL RET",
	 .code = BYTES("\xe8\x02\x00\x00\x00\xeb\x06\xb8\x05\x00\x00\x00\xc3\x90"),
	 .out = {{G_RAX, 0x5}}},
	{.what = "push 1; push 2; mov rax, f; mov [rdi], rax; call [rdi]; jmp e; f: mov rbx, [rsp+8]; ret 16; e: nop",
	 .cite = "vol. 2, CALL through memory, RET imm16",
	 .code = BYTES("\x6a\x01\x6a\x02\x48\xb8\x15\x00\x10\x00\x00\x00\x00\x00\x48\x89\x07\xff\x17\xeb\x08\x48\x8b\x5c\x24\x08\xc2\x10\x00\x90"),
	 .in = {{G_RDI, 0x200000}, {G_RSP, 0x200800}},
	 .out = {{G_RBX, 0x2}, {G_RSP, 0x200800}}},
	{.what = "enter 16, 1; mov rax, rsp; leave",
	 .cite = "vol. 2, ENTER LEAVE",
	 .code = BYTES("\xc8\x10\x00\x01\x48\x89\xe0\xc9"),
	 .in = {{G_RSP, 0x200800}, {G_RBP, 0x99}},
	 .out = {{G_RAX, 0x2007e0}, {G_RSP, 0x200800}, {G_RBP, 0x99}},
	 .mem = {{0x2007f8, 0x99}, {0x2007f0, 0x2007f8}}},
	{.what = "push word 0x1234; push byte -2; pop rax; pop bx",
	 .cite = "vol. 2, PUSH: 16-bit operand and immediates",
	 .code = BYTES("\x66\x68\x34\x12\x6a\xfe\x58\x66\x5b"),
	 .in = {{G_RSP, 0x200800}, {G_RBX, 0x0}},
	 .out = {{G_RAX, 0xfffffffffffffffe}, {G_RBX, 0x1234}, {G_RSP, 0x200800}}},
	{.what = "pushf; pop rax",
	 .cite = "vol. 2, PUSHF: RF and VM read as 0",
	 .code = BYTES("\x9c\x58"),
	 .out = {{G_RAX, 0x2}}},
	{.what = "push 0x3cd7; popf; pushf; pop rax",
	 .cite = "vol. 2, POPF at CPL 3: IF and IOPL stay",
	 .cpl = 3,
	 .code = BYTES("\x68\xd7\x3c\x00\x00\x9d\x9c\x58"),
	 .out = {{G_RAX, 0xcd7}}},
	{.what = "push 0x3202; popf; pushf; pop rax",
	 .cite = "vol. 2, POPF at CPL 0: IF and IOPL",
	 .code = BYTES("\x68\x02\x32\x00\x00\x9d\x9c\x58"),
	 .out = {{G_RAX, 0x3202}}},
	{.what = "bt dword [rdi], eax; setc bl; bts dword [rdi], ecx; btr qword [rdi], rdx; setc sil",
	 .cite = "vol. 2, BT with a register offset reaches outside the operand",
	 .code = BYTES("\x0f\xa3\x07\x0f\x92\xc3\x0f\xab\x0f\x48\x0f\xb3\x17\x40\x0f\x92\xc6"),
	 .in = {{G_RDI, 0x200100}, {G_RAX, 0xffffffff}, {G_RCX, 0x46}, {G_RDX, 0x40}},
	 .out = {{G_RBX, 0x1}, {G_RSI, 0x1}},
	 .pre = {{0x2000f8, 0x8000000000000000}, {0x200108, 0x1}},
	 .mem = {{0x200108, 0x40}}},
	{.what = "rep movsb",
	 .cite = "vol. 2, REP with a count of 0",
	 .code = BYTES("\xf3\xa4"),
	 .in = {{G_RSI, 0x201000}, {G_RDI, 0x201000}, {G_RCX, 0x0}},
	 .out = {{G_RSI, 0x201000}, {G_RCX, 0x0}}},
	{.what = "rep movsb",
	 .cite = "vol. 2, REP MOVSB: fault in the middle, source",
	 .code = BYTES("\xf3\xa4"),
	 .in = {{G_RSI, 0x200ffa}, {G_RDI, 0x200000}, {G_RCX, 0x10}},
	 .out = {{G_RSI, 0x201000}, {G_RDI, 0x200006}, {G_RCX, 0xa}},
	 .pre = {{0x200ff8, 0x8877665544332211}, {0x200000, 0x0}},
	 .mem = {{0x200000, 0x887766554433}},
	 .vec = VEC(14),
	 .cr2 = 0x201000},
	{.what = "rep stosq",
	 .cite = "vol. 2, REP STOSQ: fault in the middle, an element is never split",
	 .code = BYTES("\xf3\x48\xab"),
	 .in = {{G_RDI, 0x200ff4}, {G_RCX, 0x4}, {G_RAX, 0xffffffffffffffff}},
	 .out = {{G_RDI, 0x200ffc}, {G_RCX, 0x3}},
	 .pre = {{0x200ff0, 0x0}},
	 .vec = VEC(14),
	 .err = 0x2,
	 .cr2 = 0x201000},
	{.what = "rep movsw",
	 .cite = "vol. 2, MOVS: an overlapping copy upwards repeats the pattern",
	 .code = BYTES("\xf3\x66\xa5"),
	 .in = {{G_RSI, 0x200000}, {G_RDI, 0x200002}, {G_RCX, 0x6}},
	 .out = {{G_RCX, 0x0}, {G_RSI, 0x20000c}, {G_RDI, 0x20000e}},
	 .pre = {{0x200000, 0xdddd1111bbbbaaaa}, {0x200008, 0x0}},
	 .mem = {{0x200000, 0xaaaaaaaaaaaaaaaa}}},
	{.what = "std; rep movsb; cld",
	 .cite = "vol. 2, MOVS: downwards",
	 .code = BYTES("\xfd\xf3\xa4\xfc"),
	 .in = {{G_RSI, 0x200007}, {G_RDI, 0x20000f}, {G_RCX, 0x8}},
	 .out = {{G_RCX, 0x0}, {G_RSI, 0x1fffff}, {G_RDI, 0x200007}},
	 .pre = {{0x200000, 0x8877665544332211}, {0x200008, 0x0}},
	 .mem = {{0x200008, 0x8877665544332211}}},
	{.what = "repe cmpsb",
	 .cite = "vol. 2, REPE CMPSB stops at the difference",
	 .code = BYTES("\xf3\xa6"),
	 .in = {{G_RSI, 0x200000}, {G_RDI, 0x200008}, {G_RCX, 0x8}},
	 .out = {{G_RCX, 0x3}, {G_RSI, 0x200005}},
	 .fl_mask = X86_ZF | X86_CF, .fl = X86_CF,
	 .pre = {{0x200000, 0x807060504030201}, {0x200008, 0x807069904030201}}},
	{.what = "repne scasb",
	 .cite = "vol. 2, REPNE SCASB finds",
	 .code = BYTES("\xf2\xae"),
	 .in = {{G_RDI, 0x200000}, {G_RCX, 0x64}, {G_RAX, 0x5}},
	 .out = {{G_RCX, 0x5f}, {G_RDI, 0x200005}},
	 .fl_mask = X86_ZF, .fl = X86_ZF,
	 .pre = {{0x200000, 0x807060504030201}}},
	{.what = "db 0x67; lodsd",
	 .cite = "vol. 2, LODS; address size 32 wraps and clears the upper half",
	 .code = BYTES("\x67\xad"),
	 .in = {{G_RSI, 0xffffffff00200000}},
	 .out = {{G_RAX, 0x11223344}, {G_RSI, 0x200004}},
	 .pre = {{0x200000, 0x11223344}}},
	{.what = "rep movsq",
	 .cite = "vol. 2, REP MOVSQ across many pages",
	 .code = BYTES("\xf3\x48\xa5"),
	 .in = {{G_RSI, 0x400000}, {G_RDI, 0x500800}, {G_RCX, 0x2000}},
	 .out = {{G_RCX, 0x0}, {G_RSI, 0x410000}, {G_RDI, 0x510800}}},
	{.what = "lock cmpxchg16b [rdi]; setz sil; cmpxchg16b [rdi]; setz bpl",
	 .cite = "vol. 2, CMPXCHG16B",
	 .code = BYTES("\xf0\x48\x0f\xc7\x0f\x40\x0f\x94\xc6\x48\x0f\xc7\x0f\x40\x0f\x94\xc5"),
	 .in = {{G_RDI, 0x200010}, {G_RAX, 0x1}, {G_RDX, 0x2}, {G_RBX, 0x3}, {G_RCX, 0x4}, {G_RSI, 0x0}, {G_RBP, 0x0}},
	 .out = {{G_RSI, 0x1}, {G_RBP, 0x0}, {G_RAX, 0x3}, {G_RDX, 0x4}},
	 .pre = {{0x200010, 0x1}, {0x200018, 0x2}},
	 .mem = {{0x200010, 0x3}, {0x200018, 0x4}}},
	{.what = "cmpxchg16b [rdi]",
	 .cite = "vol. 2, CMPXCHG16B: alignment",
	 .code = BYTES("\x48\x0f\xc7\x0f"),
	 .in = {{G_RDI, 0x200008}},
	 .vec = VEC(13)},
	{.what = "cmpxchg8b [rdi]; setz sil",
	 .cite = "vol. 2, CMPXCHG8B across pages",
	 .code = BYTES("\x0f\xc7\x0f\x40\x0f\x94\xc6"),
	 .in = {{G_RDI, 0x204ffc}, {G_RAX, 0x0}, {G_RDX, 0x0}, {G_RBX, 0x3}, {G_RCX, 0x4}, {G_RSI, 0x0}},
	 .out = {{G_RSI, 0x1}},
	 .pre = {{0x204ffc, 0x0}},
	 .mem = {{0x204ffc, 0x400000003}}},
	{.what = "mov eax, 1; inc eax; dec edi; pusha; xor eax, eax; popa",
	 .cite = "vol. 2, INC r32 (40-4F), PUSHA, POPA",
	 .bits = 32,
	 .code = BYTES("\xb8\x01\x00\x00\x00\x40\x4f\x60\x31\xc0\x61"),
	 .in = {{G_RDI, 0x0}},
	 .out = {{G_RAX, 0x2}, {G_RDI, 0xffffffff}}},
	{.what = "bound eax, [edi]",
	 .cite = "vol. 2, BOUND",
	 .bits = 32,
	 .code = BYTES("\x62\x07"),
	 .in = {{G_RAX, 0xb}, {G_RDI, 0x200000}},
	 .pre = {{0x200000, 0xa00000000}},
	 .vec = VEC(5)},
	{.what = "mov al, 0x1f; aaa; mov bx, ax; mov al, 0x9c; add al, 0; daa; mov cl, al; mov al, 57; aam; mov dx, ax; aad; stc; db 0xd6",
	 .cite = "vol. 2, AAA DAA AAM AAD SALC",
	 .bits = 32,
	 .code = BYTES("\xb0\x1f\x37\x66\x89\xc3\xb0\x9c\x04\x00\x27\x88\xc1\xb0\x39\xd4\x0a\x66\x89\xc2\xd5\x0a\xf9\xd6"),
	 .in = {{G_RAX, 0x0}, {G_RBX, 0x0}, {G_RCX, 0x0}, {G_RDX, 0x0}},
	 .out = {{G_RBX, 0x105}, {G_RCX, 0x2}, {G_RDX, 0x507}, {G_RAX, 0xff}}},
	{.what = "mov eax, [ebx+esi*4]",
	 .cite = "vol. 1, 3.7.5: 32-bit addresses wrap at 4 GiB",
	 .bits = 32,
	 .code = BYTES("\x8b\x04\xb3"),
	 .in = {{G_RBX, 0xfffff000}, {G_RSI, 0x80400}},
	 .out = {{G_RAX, 0x1234}},
	 .pre = {{0x200000, 0x1234}}},
	{.what = "push 5; call f; jmp e; f: push ebp; mov ebp, esp; mov eax, [ebp+8]; leave; ret 4; e: nop",
	 .cite = "vol. 2, 32-bit CALL RET PUSH POP LEAVE",
	 .bits = 32,
	 .code = BYTES("\x6a\x05\xe8\x02\x00\x00\x00\xeb\x0a\x55\x89\xe5\x8b\x45\x08\xc9\xc2\x04\x00\x90"),
	 .in = {{G_RSP, 0x200800}},
	 .out = {{G_RAX, 0x5}, {G_RSP, 0x200800}}},
	{.what = "mov ecx, 5; a: add eax, ecx; loop a; jecxz e; mov eax, 0; e: nop",
	 .cite = "vol. 2, LOOP, JECXZ",
	 .bits = 32,
	 .code = BYTES("\xb9\x05\x00\x00\x00\x01\xc8\xe2\xfc\xe3\x05\xb8\x00\x00\x00\x00\x90"),
	 .in = {{G_RAX, 0x0}},
	 .out = {{G_RAX, 0xf}, {G_RCX, 0x0}}},
	{.what = "mov ax, 0x8000; add ax, ax; adc bx, 1; movzx ecx, word [edi]; imul cx, cx, 3",
	 .cite = "vol. 2, 16-bit operands in 32-bit code",
	 .bits = 32,
	 .code = BYTES("\x66\xb8\x00\x80\x66\x01\xc0\x66\x83\xd3\x01\x0f\xb7\x0f\x66\x6b\xc9\x03"),
	 .in = {{G_RAX, 0x0}, {G_RBX, 0x0}, {G_RDI, 0x200000}},
	 .out = {{G_RBX, 0x2}, {G_RCX, 0x15}},
	 .pre = {{0x200000, 0x7}}},
	{.what = "mov eax, [bx+si]; lea ecx, [bp-1]",
	 .cite = "vol. 2, 16-bit addressing in 32-bit code",
	 .bits = 32,
	 .code = BYTES("\x67\x8b\x00\x67\x8d\x4e\xff"),
	 .in = {{G_RBX, 0xffff0008}, {G_RSI, 0x12340008}, {G_RBP, 0x0}},
	 .out = {{G_RCX, 0xffff}}},
	{.what = "mov ax, [bx]",
	 .cite = "vol. 3, 20.1: real mode addressing and the segment limit",
	 .bits = 16,
	 .code = BYTES("\x8b\x07"),
	 .in = {{G_RBX, 0xffff}},
	 .vec = VEC(13)},
	{.what = "mov cx, 4; mov di, 0x10; mov al, 0x5a; rep stosb; call f; jmp e; f: mov bx, sp; ret; e: nop",
	 .cite = "vol. 2, real mode strings and calls",
	 .bits = 16,
	 .code = BYTES("\xb9\x04\x00\xbf\x10\x00\xb0\x5a\xf3\xaa\xe8\x02\x00\xeb\x03\x89\xe3\xc3\x90"),
	 .out = {{G_RCX, 0x0}, {G_RDI, 0x14}, {G_RBX, 0xeffe}},
	 .mem = {{0x30010, 0x5a5a5a5a}}},
	{.what = "inc ax; mov ebx, 0x12345678; add ebx, eax; push ebx; pop cx",
	 .cite = "vol. 2, INC r16 and 32-bit operands in 16-bit code",
	 .bits = 16,
	 .code = BYTES("\x40\x66\xbb\x78\x56\x34\x12\x66\x01\xc3\x66\x53\x59"),
	 .in = {{G_RAX, 0xffff}, {G_RCX, 0x0}},
	 .out = {{G_RAX, 0x0}, {G_RBX, 0x12345678}, {G_RCX, 0x5678}}},
	{.what = "mov cx, 3; a: inc ax; loop a; jcxz e; mov ax, 0; e: nop",
	 .cite = "vol. 2, LOOP uses CX, JCXZ",
	 .bits = 16,
	 .code = BYTES("\xb9\x03\x00\x40\xe2\xfd\xe3\x03\xb8\x00\x00\x90"),
	 .in = {{G_RAX, 0x0}, {G_RCX, 0x10000}},
	 .out = {{G_RAX, 0x3}, {G_RCX, 0x10000}}},
	{.what = "fninit; fld1; fldpi; faddp st1; fistp dword [rdi]; fnstsw ax",
	 .cite = "vol. 1, 8.3: x87 arithmetic",
	 .code = BYTES("\xdb\xe3\xd9\xe8\xd9\xeb\xde\xc1\xdb\x1f\xdf\xe0"),
	 .in = {{G_RDI, 0x200000}, {G_RAX, 0x0}},
	 .mem = {{0x200000, 0x4}}},
	{.what = "fninit; fld qword [rdi]; fnstenv [rdi+64]; mov eax, [rdi+64+12]",
	 .cite = "vol. 1, 8.1.8: FNSTENV shows the guest's addresses",
	 .code = BYTES("\xdb\xe3\xdd\x07\xd9\x77\x40\x8b\x47\x4c"),
	 .in = {{G_RDI, 0x200000}},
	 .out = {{G_RAX, 0x100002}}},
	{.what = "fninit; fld1; fldz; faddp st1; mov eax, 1; fnstenv [rdi+64]; mov eax, [rdi+76]; movzx ecx, word [rdi+82]",
	 .cite = "vol. 1, 8.1.8, 8.1.9: FIP and FOP are the last instruction's of several",
	 .code = BYTES("\xdb\xe3\xd9\xe8\xd9\xee\xde\xc1\xb8\x01\x00\x00\x00\xd9\x77\x40\x8b\x47\x4c\x0f\xb7\x4f\x52"),
	 .in = {{G_RDI, 0x200000}},
	 .out = {{G_RAX, 0x100006}, {G_RCX, 0x6c1}}},
	{.what = "fninit; fld1; fst qword [rbx]; fnstenv [rdi+64]; mov eax, [rdi+76]",
	 .cite = "vol. 1, 8.1.8: also of one whose operand lies in two pages",
	 .code = BYTES("\xdb\xe3\xd9\xe8\xdd\x13\xd9\x77\x40\x8b\x47\x4c"),
	 .in = {{G_RDI, 0x200000}, {G_RBX, 0x204ffc}},
	 .out = {{G_RAX, 0x100004}},
	 .mem = {{0x204ffc, 0x3ff0000000000000}}},
	{.what = "fninit; mov word [rdi], 0x37b; fldcw [rdi]; fldz; fld1; fdivrp st1; fnstenv [rdi+64]; mov eax, [rdi+76]",
	 .cite = "vol. 1, 8.6: a pending exception keeps the pointers of the instruction that raised it",
	 .code = BYTES("\xdb\xe3\x66\xc7\x07\x7b\x03\xd9\x2f\xd9\xee\xd9\xe8\xde\xf1\xd9\x77\x40\x8b\x47\x4c"),
	 .in = {{G_RDI, 0x200000}},
	 .out = {{G_RAX, 0x10000d}}},
	{.what = "fninit; mov word [rdi], 0x37b; fldcw [rdi]; fld1; fdiv dword [rdi+8]; fnstenv [rdi+64]; mov eax, [rdi+84]",
	 .cite = "vol. 1, 8.1.8: FDP of an unmasked exception, on every processor",
	 .code = BYTES("\xdb\xe3\x66\xc7\x07\x7b\x03\xd9\x2f\xd9\xe8\xd8\x77\x08\xd9\x77\x40\x8b\x47\x54"),
	 .in = {{G_RDI, 0x200000}},
	 .pre = {{0x200008, 0x0}},
	 .out = {{G_RAX, 0x200008}}},
	{.what = "fninit; mov word [rdi], 0x37b; fldcw [rdi]; fldz; fld1; fdivrp st1; nop; fnstsw ax; fwait",
	 .cite = "vol. 1, 8.6: an unmasked x87 exception comes with the next waiting instruction",
	 .code = BYTES("\xdb\xe3\x66\xc7\x07\x7b\x03\xd9\x2f\xd9\xee\xd9\xe8\xde\xf1\x90\xdf\xe0\x9b"),
	 .in = {{G_RDI, 0x200000}, {G_RAX, 0x0}},
	 .vec = VEC(16),
	 .at = 18},
	{.what = "mov rax, cr0; or al, 8; mov cr0, rax; addps xmm0, xmm0",
	 .cite = "vol. 3, 2.5: CR0.TS makes x87 and SSE raise #NM",
	 .code = BYTES("\x0f\x20\xc0\x0c\x08\x0f\x22\xc0\x0f\x58\xc0"),
	 .vec = VEC(7),
	 .at = 8},
	{.what = "mov rax, cr0; or al, 8; mov cr0, rax; clts; addps xmm0, xmm0",
	 .cite = "vol. 2, CLTS ends that",
	 .code = BYTES("\x0f\x20\xc0\x0c\x08\x0f\x22\xc0\x0f\x06\x0f\x58\xc0")},
	{.what = "mov rax, cr0; or al, 4; mov cr0, rax; addps xmm0, xmm0",
	 .cite = "vol. 3, 2.5: CR0.EM makes SSE raise #UD",
	 .code = BYTES("\x0f\x20\xc0\x0c\x04\x0f\x22\xc0\x0f\x58\xc0"),
	 .vec = VEC(6),
	 .at = 8},
	{.what = "mov dword [rdi], 0x1f00; ldmxcsr [rdi]; pxor xmm0, xmm0; divss xmm1, xmm0",
	 .cite = "vol. 1, 11.5.2: unmasked SSE exception: #XM; flags are in MXCSR",
	 .code = BYTES("\xc7\x07\x00\x1f\x00\x00\x0f\xae\x17\x66\x0f\xef\xc0\xf3\x0f\x5e\xc8"),
	 .in = {{G_RDI, 0x200000}},
	 .vec = VEC(19),
	 .at = 13,
	 .mxcsr = 7937},
	{.what = "mov dword [rdi], 0x80000000; ldmxcsr [rdi]",
	 .cite = "vol. 2, LDMXCSR: reserved bits",
	 .code = BYTES("\xc7\x07\x00\x00\x00\x80\x0f\xae\x17"),
	 .in = {{G_RDI, 0x200000}},
	 .vec = VEC(13),
	 .at = 6},
	{.what = "movq xmm0, rax; movq xmm1, rbx; paddd xmm0, xmm1; movq [rdi], xmm0; pextrw ecx, xmm0, 1; pmovmskb edx, xmm1; movd esi, xmm0",
	 .cite = "vol. 1, 11.3: SSE integer and moves",
	 .code = BYTES("\x66\x48\x0f\x6e\xc0\x66\x48\x0f\x6e\xcb\x66\x0f\xfe\xc1\x66\x0f\xd6\x07\x66\x0f\xc5\xc8\x01\x66\x0f\xd7\xd1\x66\x0f\x7e\xc6"),
	 .in = {{G_RAX, 0x100000002}, {G_RBX, 0x8000000300000004}, {G_RDI, 0x200000}},
	 .out = {{G_RCX, 0x0}, {G_RDX, 0x80}, {G_RSI, 0x6}},
	 .mem = {{0x200000, 0x8000000400000006}}},
	{.what = "vpcmpeqd ymm1, ymm1, ymm1; vmovdqa ymm2, ymm1; pxor xmm1, xmm1; vpxor xmm2, xmm2, xmm2; vmovdqu [rdi], ymm1; vmovdqu [rdi+32], ymm2",
	 .cite = "vol. 1, 14.1: VEX.128 clears the upper half, legacy SSE keeps it",
	 .code = BYTES("\xc5\xf5\x76\xc9\xc5\xfd\x6f\xd1\x66\x0f\xef\xc9\xc5\xe9\xef\xd2\xc5\xfe\x7f\x0f\xc5\xfe\x7f\x57\x20"),
	 .in = {{G_RDI, 0x200000}},
	 .mem = {{0x200000, 0x0}, {0x200010, 0xffffffffffffffff}, {0x200020, 0x0}, {0x200030, 0x0}}},
	{.what = "vbroadcastss ymm8, [rdi]; vzeroupper; vextractf128 [rdi+16], ymm8, 1; vmovd eax, xmm8",
	 .cite = "vol. 2, VZEROUPPER, VBROADCASTSS, VPERM2F128",
	 .code = BYTES("\xc4\x62\x7d\x18\x07\xc5\xf8\x77\xc4\x63\x7d\x19\x47\x10\x01\xc5\x79\x7e\xc0"),
	 .in = {{G_RDI, 0x200000}},
	 .out = {{G_RAX, 0x42}},
	 .pre = {{0x200000, 0x42}, {0x200010, 0x1}},
	 .mem = {{0x200010, 0x0}}},
	{.what = "pcmpeqd xmm0, xmm0; ptest xmm0, xmm0; setc al; comisd xmm1, xmm1; setz bl",
	 .cite = "vol. 2, PTEST, COMISD set flags",
	 .code = BYTES("\x66\x0f\x76\xc0\x66\x0f\x38\x17\xc0\x0f\x92\xc0\x66\x0f\x2f\xc9\x0f\x94\xc3"),
	 .in = {{G_RAX, 0x0}, {G_RBX, 0x0}},
	 .out = {{G_RAX, 0x1}, {G_RBX, 0x1}}},
	{.what = "pxor xmm1, xmm1; pcmpistri xmm1, xmm1, 0x18; pcmpeqd xmm0, xmm0; pcmpeqd xmm3, xmm3; blendvps xmm2, xmm3, xmm0; movd eax, xmm2",
	 .cite = "vol. 2, PCMPISTRI, BLENDVPS (implicit registers)",
	 .code = BYTES("\x66\x0f\xef\xc9\x66\x0f\x3a\x63\xc9\x18\x66\x0f\x76\xc0\x66\x0f\x76\xdb\x66\x0f\x38\x14\xd3\x66\x0f\x7e\xd0"),
	 .in = {{G_RCX, 0x0}},
	 .out = {{G_RAX, 0xffffffff}}},
	{.what = "fninit; movq mm3, rax; paddb mm3, mm3; movq rbx, mm3; fnstenv [rdi]; movzx ecx, word [rdi+8]; emms",
	 .cite = "vol. 1, 9.2: MMX aliases x87",
	 .code = BYTES("\xdb\xe3\x48\x0f\x6e\xd8\x0f\xfc\xdb\x48\x0f\x7e\xdb\xd9\x37\x0f\xb7\x4f\x08\x0f\x77"),
	 .in = {{G_RAX, 0x102030405060708}, {G_RDI, 0x200000}},
	 .out = {{G_RBX, 0x20406080a0c0e10}}},
	{.what = "cvtsi2sd xmm3, rcx; mulsd xmm3, xmm3; cvttsd2si rcx, xmm3",
	 .cite = "vol. 2, CVTSI2SD, CVTTSD2SI with GPRs",
	 .code = BYTES("\xf2\x48\x0f\x2a\xd9\xf2\x0f\x59\xdb\xf2\x48\x0f\x2c\xcb"),
	 .in = {{G_RCX, 0xc}},
	 .out = {{G_RCX, 0x90}}},
	{.what = "vpcmpeqd xmm2, xmm2, xmm2; vmovdqu xmm1, [rsi]; vpgatherdd xmm0, [rdi+xmm1], xmm2",
	 .cite = "vol. 2, VGATHERDD: a fault leaves the elements before it done",
	 .code = BYTES("\xc5\xe9\x76\xd2\xc5\xfa\x6f\x0e\xc4\xe2\x69\x90\x04\x0f"),
	 .in = {{G_RSI, 0x200000}, {G_RDI, 0x200100}},
	 .pre = {{0x200000, 0x400000000}, {0x200008, 0xc00001000}, {0x200100, 0x2222222211111111}},
	 .vec = VEC(14),
	 .at = 8,
	 .cr2 = 0x201100,
	 .ymm0 = 0x2222222211111111,
	 .ymm2 = 0,
	 .look_ymm = true},
	{.what = "vpxor xmm2, xmm2, xmm2; vmaskmovps xmm0, xmm2, [rdi]; vmaskmovps [rdi], xmm2, xmm0; vmovd eax, xmm0",
	 .cite = "vol. 2, VMASKMOVPS: masked elements do not fault",
	 .code = BYTES("\xc5\xe9\xef\xd2\xc4\xe2\x69\x2c\x07\xc4\xe2\x69\x2e\x07\xc5\xf9\x7e\xc0"),
	 .in = {{G_RDI, 0x201000}, {G_RAX, 0x5}},
	 .out = {{G_RAX, 0x0}}},
	{.what = "movq xmm0, rax; movq xmm1, rbx; maskmovdqu xmm0, xmm1",
	 .cite = "vol. 2, MASKMOVDQU writes selected bytes",
	 .code = BYTES("\x66\x48\x0f\x6e\xc0\x66\x48\x0f\x6e\xcb\x66\x0f\xf7\xc1"),
	 .in = {{G_RAX, 0x8877665544332211}, {G_RBX, 0x8000800080008000}, {G_RDI, 0x200000}},
	 .pre = {{0x200000, 0x0}},
	 .mem = {{0x200000, 0x8800660044002200}}},
	{.what = "fninit; fld1; movq xmm3, rax; fxsave64 [rdi]; mov ebx, [rdi]; movzx ecx, byte [rdi+4]; mov rdx, [rdi+160+48]; mov esi, [rdi+24]",
	 .cite = "vol. 1, 10.5.1: FXSAVE image",
	 .code = BYTES("\xdb\xe3\xd9\xe8\x66\x48\x0f\x6e\xd8\x48\x0f\xae\x07\x8b\x1f\x0f\xb6\x4f\x04\x48\x8b\x97\xd0\x00\x00\x00\x8b\x77\x18"),
	 .in = {{G_RDI, 0x200100}, {G_RAX, 0x55}},
	 .out = {{G_RBX, 0x3800037f}, {G_RCX, 0x80}, {G_RDX, 0x55}, {G_RSI, 0x1f80}}},
	{.what = "fxsave [rdi]",
	 .cite = "vol. 2, FXSAVE: alignment",
	 .code = BYTES("\x0f\xae\x07"),
	 .in = {{G_RDI, 0x200008}},
	 .vec = VEC(13)},
	{.what = "fninit; mov eax, 7; xor edx, edx; vpcmpeqd ymm4, ymm4, ymm4; xsave64 [rdi]; mov rbx, [rdi+512]; vpxor ymm4, ymm4, ymm4; xrstor64 [rdi]; vmovdqu [rdi+0x400], ymm4; mov qword [rdi+512], 0; xrstor64 [rdi]; vmovdqu [rdi+0x440], ymm4",
	 .cite = "vol. 1, 13.7 and 13.8: XSAVE, XRSTOR bring components back, others to their initial state",
	 .code = BYTES("\xdb\xe3\xb8\x07\x00\x00\x00\x31\xd2\xc5\xdd\x76\xe4\x48\x0f\xae\x27\x48\x8b\x9f\x00\x02\x00\x00\xc5\xdd\xef\xe4\x48\x0f\xae\x2f\xc5\xfe\x7f\xa7\x00\x04\x00\x00\x48\xc7\x87\x00\x02\x00\x00\x00\x00\x00\x00\x48\x0f\xae\x2f\xc5\xfe\x7f\xa7\x40\x04\x00\x00"),
	 .in = {{G_RDI, 0x200100}},
	 .out = {{G_RBX, 0x6}},
	 .mem = {{0x200510, 0xffffffffffffffff}, {0x200550, 0x0}, {0x200540, 0x0}}},
	{.what = "fninit; mov eax, 7; xor edx, edx; movq xmm0, rax; xsavec64 [rdi]; mov rbx, [rdi+512]; mov rcx, [rdi+520]",
	 .cite = "vol. 1, 13.10: XSAVEC is compacted",
	 .code = BYTES("\xdb\xe3\xb8\x07\x00\x00\x00\x31\xd2\x66\x48\x0f\x6e\xc0\x48\x0f\xc7\x27\x48\x8b\x9f\x00\x02\x00\x00\x48\x8b\x8f\x08\x02\x00\x00"),
	 .in = {{G_RDI, 0x200100}},
	 .out = {{G_RBX, 0x2}, {G_RCX, 0x8000000000000007}}},
	{.what = "mov eax, 7; xor edx, edx; xsave [rdi]",
	 .cite = "vol. 2, XSAVE: alignment 64",
	 .code = BYTES("\xb8\x07\x00\x00\x00\x31\xd2\x0f\xae\x27"),
	 .in = {{G_RDI, 0x200120}},
	 .vec = VEC(13),
	 .at = 7},
	{.what = "mov byte [rel x+1], 7; x: mov al, 1",
	 .cite = "vol. 3, 8.1.3: the next instruction is rewritten",
	 .code = BYTES("\xc6\x05\x01\x00\x00\x00\x07\xb0\x01"),
	 .in = {{G_RAX, 0x0}},
	 .out = {{G_RAX, 0x7}}},
	{.what = "mov ebx, 1; mov byte [rel x+1], 9; add ebx, 2; add ebx, 3; x: mov al, 1",
	 .cite = "vol. 3, 8.1.3: an instruction further on in the same block",
	 .code = BYTES("\xbb\x01\x00\x00\x00\xc6\x05\x07\x00\x00\x00\x09\x83\xc3\x02\x83\xc3\x03\xb0\x01"),
	 .in = {{G_RAX, 0x0}},
	 .out = {{G_RAX, 0x9}, {G_RBX, 0x6}}},
	{.what = "mov ecx, 100; xor eax, eax; l: add eax, 0x01020304; inc byte [rel l+1]; dec ecx; jnz l",
	 .cite = "vol. 3, 8.1.3: a loop rewrites its own immediate",
	 .code = BYTES("\xb9\x64\x00\x00\x00\x31\xc0\x05\x04\x03\x02\x01\xfe\x05\xf6\xff\xff\xff\xff\xc9\x75\xf1"),
	 .out = {{G_RAX, 0x64c940e6}}},
	{.what = "lea rsp, [rel x+8]; push rax; x: ud2; ud2; ud2; ud2; mov ebx, 5",
	 .cite = "vol. 3, 8.1.3: PUSH into the code after it",
	 .code = BYTES("\x48\x8d\x25\x09\x00\x00\x00\x50\x0f\x0b\x0f\x0b\x0f\x0b\x0f\x0b\xbb\x05\x00\x00\x00"),
	 .in = {{G_RAX, 0x9090909090909090}},
	 .out = {{G_RBX, 0x5}}},
	{.what = "db 0xf0, 0x89, 0x07",
	 .cite = "vol. 2, LOCK: #UD on an instruction or form that cannot be locked",
	 .code = BYTES("\xf0\x89\x07"),
	 .in = {{G_RDI, 0x200000}},
	 .vec = VEC(6)},
	{.what = "db 0xf0, 0x01, 0xc0",
	 .cite = "vol. 2, LOCK: #UD with a register destination",
	 .code = BYTES("\xf0\x01\xc0"),
	 .vec = VEC(6)},
	{.what = "db 0x66, 0xc5, 0xf4, 0x58, 0xc1",
	 .cite = "vol. 2, 2.3.11: LOCK, 66, REX before VEX",
	 .code = BYTES("\x66\xc5\xf4\x58\xc1"),
	 .vec = VEC(6)},
	{.what = "times 14 db 0x2e; add eax, ecx",
	 .cite = "vol. 2, 2.1: more than 15 bytes: #GP(0)",
	 .code = BYTES("\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x2e\x01\xc8"),
	 .vec = VEC(13)},
	{.what = "mov eax, [rdi]",
	 .cite = "vol. 3, 4.6: supervisor reads through CPL 3 rights: a user page is needed",
	 .cpl = 3,
	 .code = BYTES("\x8b\x07"),
	 .in = {{G_RDI, 0x201000}},
	 .vec = VEC(14),
	 .err = 0x4,
	 .cr2 = 0x201000},
	{.what = "pushf; or dword [rsp], 0x40000; popf; mov eax, [rdi+1]",
	 .cite = "vol. 3, 6.15, #AC: misaligned access at CPL 3 with AM and AC",
	 .cpl = 3,
	 .code = BYTES("\x9c\x81\x0c\x24\x00\x00\x04\x00\x9d\x8b\x47\x01"),
	 .in = {{G_RDI, 0x200000}},
	 .vec = VEC(17),
	 .at = 9,
	 .am = true},
};
/* clang-format on */

static void map_holes(struct im *m)
{
	if (m->bits == 16)
		return;
	im_map(m, IM_DATA + 0x1000, 0, 0);
	im_map(m, IM_DATA + 0x3000, IM_DATA + 0x3000, IM_PRESENT | IM_USER);
	im_map(m, IM_DATA + 0x5000, 0x380000, IM_RWU);
}

/* By linear address, across the page that lies apart. */
static uint8_t *at_lin(struct im *m, uint64_t lin)
{
	if (m->bits != 16 && (lin & ~0xfffull) == IM_DATA + 0x5000)
		lin = 0x380000 + (lin & 0xfff);
	return im_host(m, lin);
}

static uint64_t peek(struct im *m, uint64_t lin)
{
	uint64_t val = 0;

	for (unsigned i = 0; i < 8; i++)
		val |= (uint64_t)*at_lin(m, lin + i) << i * 8;
	return val;
}

static void poke(struct im *m, uint64_t lin, uint64_t val)
{
	for (unsigned i = 0; i < 8; i++)
		*at_lin(m, lin + i) = (uint8_t)(val >> i * 8);
}

static int compare_row(struct im *m, const struct row *r, const struct im_end *end)
{
	struct x86_state *s = &m->v->s;
	int want = r->vec ? r->vec - 1 : -1, bad = 0;

#define BAD(...) (bad++, printf("  %s\n    (%s)\n    ", r->what, r->cite), printf(__VA_ARGS__))
	if (end->vector != want)
		BAD("vector %d, not %d (error %x rip %" PRIx64 ", exit %d)\n", end->vector, want,
		    end->error, end->rip, end->reason);
	if (r->vec && end->vector == want && (end->rip != m->entry + r->at || end->error != r->err))
		BAD("fault at %" PRIx64 " error %x, not %" PRIx64 " %x\n", end->rip, end->error,
		    m->entry + r->at, r->err);
	if (r->cr2 && s->cr2 != r->cr2)
		BAD("CR2 %" PRIx64 ", not %" PRIx64 "\n", s->cr2, r->cr2);
	for (unsigned i = 0; i < ARRAY_SIZE(r->out) && r->out[i].reg; i++)
		if (s->gpr[r->out[i].reg - 1] != r->out[i].val)
			BAD("register %u = %" PRIx64 ", not %" PRIx64 "\n",
			    (unsigned)r->out[i].reg - 1, s->gpr[r->out[i].reg - 1], r->out[i].val);
	if ((s->rflags & r->fl_mask) != r->fl)
		BAD("flags %x, not %x\n", (unsigned)(s->rflags & r->fl_mask), r->fl);
	for (unsigned i = 0; i < ARRAY_SIZE(r->mem) && r->mem[i].at; i++)
		if (peek(m, r->mem[i].at) != r->mem[i].val)
			BAD("[%" PRIx64 "] = %" PRIx64 ", not %" PRIx64 "\n", r->mem[i].at,
			    peek(m, r->mem[i].at), r->mem[i].val);
	if (r->mxcsr && s->fpu.mxcsr != r->mxcsr)
		BAD("MXCSR %x, not %x\n", s->fpu.mxcsr, r->mxcsr);
	if (r->look_ymm && (ld_le64(s->fpu.ymm[0]) != r->ymm0 || ld_le64(s->fpu.ymm[2]) != r->ymm2))
		BAD("ymm0 %" PRIx64 " ymm2 %" PRIx64 "\n", ld_le64(s->fpu.ymm[0]),
		    ld_le64(s->fpu.ymm[2]));
#undef BAD
	return bad;
}

/* Runs one row; @single: with TF set, so that each instruction is a block of its own. */
static int run_row(const struct row *r, bool single)
{
	struct im *m = im_new(r->bits ? r->bits : 64, r->cpl, NULL);
	struct im_end end;
	unsigned steps = 0;
	int bad;

	map_holes(m);
	for (unsigned i = 0; i < ARRAY_SIZE(r->pre) && r->pre[i].at; i++)
		poke(m, r->pre[i].at, r->pre[i].val);
	im_code(m, r->code, r->len);
	if (r->am)
		m->v->s.cr0 |= X86_CR0_AM;
	for (unsigned i = 0; i < ARRAY_SIZE(r->in) && r->in[i].reg; i++)
		m->v->s.gpr[r->in[i].reg - 1] = r->in[i].val;
	if (!single) {
		end = im_run(m);
	} else {
		m->v->debug.single_step = true;
		x86_debug_changed(m->v);
		do
			end = im_run(m);
		while (end.reason == VCPU_EXIT_DEBUG && ++steps < 200000);
	}
	bad = compare_row(m, r, &end);
	im_free(m);
	return bad;
}

static void test_rows(void **state)
{
	int bad = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		bad += run_row(&rows[i], false);
	assert_int_equal(bad, 0);
}

static void test_rows_stepped(void **state)
{
	int bad = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		bad += run_row(&rows[i], true);
	assert_int_equal(bad, 0);
}

/* ---- traps, interrupts ---- */

#define CODE(m, s) im_code((m), (s), sizeof(s) - 1)

/* SDM vol. 3, 17.3.1.4: the trap comes after the instruction that began with TF set; the one that
 * sets TF is not trapped. */
static void test_single_step(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct im_end e;

	/* pushf; or dword [rsp], 0x100; popf; inc eax; inc eax */
	CODE(m, "\x9c\x81\x0c\x24\x00\x01\x00\x00\x9d\xff\xc0\xff\xc0");
	e = im_run(m);
	assert_int_equal(e.vector, X86_DB);
	assert_int_equal(e.rip, m->entry + 11);
	assert_int_equal(m->v->s.gpr[X86_RAX], 1);
	assert_int_equal(m->v->s.dr6 & 0x4000, 0x4000);
	assert_true(m->v->s.rflags & X86_TF);
	im_free(m);
}

/* SDM vol. 3, 6.8.3: a load of SS holds back the trap for one instruction. */
static void test_step_after_mov_ss(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct im_end e;

	/* mov ecx, ss; pushf; or dword [rsp], 0x100; popf; mov ss, ecx; inc eax; inc eax */
	CODE(m, "\x8c\xd1\x9c\x81\x0c\x24\x00\x01\x00\x00\x9d\x8e\xd1\xff\xc0\xff\xc0");
	e = im_run(m);
	assert_int_equal(e.vector, X86_DB);
	assert_int_equal(m->v->s.gpr[X86_RAX], 1);
	im_free(m);
}

/* SDM vol. 2, REP: with TF the trap comes after each iteration. */
static void test_step_rep(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct im_end e;

	CODE(m, "\x9c\x81\x0c\x24\x00\x01\x00\x00\x9d\xf3\xaa"); /* ...; popf; rep stosb */
	m->v->s.gpr[X86_RDI] = IM_DATA;
	m->v->s.gpr[X86_RCX] = 5;
	e = im_run(m);
	assert_int_equal(e.vector, X86_DB);
	assert_int_equal(e.rip, m->entry + 9);
	assert_int_equal(m->v->s.gpr[X86_RCX], 4);
	im_free(m);
}

/* Post external interrupt @vector as the bus would. */
static void post(struct im *m, uint8_t vector)
{
	m->v->s.lapic.svr = 0x1ff;
	m->v->s.lapic.irr[vector >> 5] |= 1u << (vector & 31);
	vcpu_request(m->v, VCPU_REQ_EVENT);
}

/* SDM vol. 2, STI: interrupts are taken after the instruction that follows it, not before. */
static void test_sti_shadow(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct im_end e;

	CODE(m, "\xfb\xff\xc0\xff\xc0\xff\xc0"); /* sti; inc eax; inc eax; inc eax */
	post(m, 0x41);
	e = im_run(m);
	assert_int_equal(e.vector, 0x41);
	assert_int_equal(m->v->s.gpr[X86_RAX], 1);
	assert_int_equal(e.rip, m->entry + 3);
	/* sti; nop; cli must open a window */
	im_reset(m);
	CODE(m, "\xfb\x90\xfa\xff\xc0");
	post(m, 0x42);
	e = im_run(m);
	assert_int_equal(e.vector, 0x42);
	assert_int_equal(e.rip, m->entry + 2);
	/* the instruction after STI turns interrupts off again: no window (SDM vol. 2, STI) */
	im_reset(m);
	CODE(m, "\xfb\xfa\xff\xc0");
	post(m, 0x43);
	e = im_run(m);
	assert_int_equal(e.vector, -1);
	im_free(m);
}

static void test_popf_window(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct im_end e;

	/* push 0x202; popf; inc eax: no shadow */
	CODE(m, "\x68\x02\x02\x00\x00\x9d\xff\xc0");
	post(m, 0x41);
	e = im_run(m);
	assert_int_equal(e.vector, 0x41);
	assert_int_equal(m->v->s.gpr[X86_RAX], 0);
	im_free(m);
}

static void *kick_later(void *arg)
{
	struct im *m = arg;
	struct timespec t = {.tv_nsec = 20000000};

	nanosleep(&t, NULL);
	m->vm.ops->kick(m->v);
	return NULL;
}

/* An endless loop sees requests. */
static void test_kick(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	pthread_t t;
	struct im_end e;

	CODE(m, "\xeb\xfe"); /* jmp $ */
	pthread_create(&t, NULL, kick_later, m);
	e = im_run(m);
	pthread_join(t, NULL);
	assert_int_equal(e.reason, VCPU_EXIT_KICK);
	assert_int_equal(m->v->s.rip, m->entry);
	im_free(m);
}

static void test_debugger(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct im_end e;

	CODE(m, "\xff\xc0\xff\xc0\x89\x07\xff\xc0"); /* inc eax; inc eax; mov [rdi], eax; inc eax */
	m->v->s.gpr[X86_RDI] = IM_DATA;
	m->v->debug.brk[0] = m->entry + 2;
	m->v->debug.n_break = 1;
	m->v->debug.n_watch = 1;
	m->v->debug.watch[0].addr = IM_DATA + 2;
	m->v->debug.watch[0].len = 1;
	m->v->debug.watch[0].access = 2;
	x86_debug_changed(m->v);
	e = im_run(m);
	assert_int_equal(e.reason, VCPU_EXIT_DEBUG);
	assert_int_equal(m->v->s.rip, m->entry + 2);
	assert_int_equal(m->v->debug.hit_access, 1);
	e = im_run(m); /* from the break point on, to the watched store */
	assert_int_equal(e.reason, VCPU_EXIT_DEBUG);
	assert_int_equal(m->v->debug.hit_access, 2);
	assert_int_equal(m->v->s.rip, m->entry + 6);
	e = im_run(m);
	assert_int_equal(e.vector, -1);
	assert_int_equal(m->v->s.gpr[X86_RAX], 3);
	im_free(m);
}

/* SDM vol. 3, 17.3.1.1: an instruction break point is a fault; RF lets it pass once. */
static void test_debug_registers(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct im_end e;

	CODE(m, "\xff\xc0\xff\xc0\x89\x07\xff\xc0");
	m->v->s.gpr[X86_RDI] = IM_DATA;
	m->v->s.dr[0] = m->entry + 2;
	m->v->s.dr[1] = IM_DATA;
	m->v->s.dr7 = 0x402 | 0x8 | 1u << 20 | 3u << 22; /* DR0 execute, DR1 write 4 bytes */
	x86_tlb_flush(m->v);
	e = im_run(m);
	assert_int_equal(e.vector, X86_DB);
	assert_int_equal(e.rip, m->entry + 2);
	assert_int_equal(m->v->s.dr6 & 15, 1);
	/* the one fault that pushes RF = 0: the handler sets it to get past */
	assert_false(m->v->s.rflags & X86_RF);
	m->v->s.rflags |= X86_RF;
	m->v->s.dr6 = 0xffff0ff0;
	e = im_run(m); /* continues past it: RF is set; then the data break point traps */
	assert_int_equal(e.vector, X86_DB);
	assert_int_equal(e.rip, m->entry + 6);
	assert_int_equal(m->v->s.dr6 & 15, 2);
	im_free(m);
}

/* ---- code ---- */

/* An instruction across two pages that lie apart; then its second half is rewritten, remapped,
 * made non-executable. SDM vol. 3, 4.6 and 4.10.4. */
static void test_crossing_code(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	uint64_t rip = 0x101ffd;
	struct im_end e;

	im_map(m, 0x102000, 0x390000, IM_RWU);
	memcpy(im_host(m, rip), "\xb8\x11\x22", 3); /* mov eax, 0x44332211 */
	memcpy(im_host(m, 0x390000), "\x33\x44\xf4", 3);
	m->v->s.rip = rip;
	e = im_run(m);
	assert_int_equal(e.vector, -1);
	assert_int_equal(m->v->s.gpr[X86_RAX], 0x44332211);
	assert_int_equal(mem_write(m->mem, 0x390000, "\x55", 1), 0); /* as DMA */
	m->v->s.rip = rip;
	(void)im_run(m);
	assert_int_equal(m->v->s.gpr[X86_RAX], 0x44552211);
	memcpy(im_host(m, 0x3a0000), "\x66\x77\xf4", 3);
	im_map(m, 0x102000, 0x3a0000, IM_RWU);
	m->v->s.rip = rip;
	(void)im_run(m);
	assert_int_equal(m->v->s.gpr[X86_RAX], 0x77662211);
	im_map(m, 0x102000, 0x3a0000, IM_RWU | IM_NX);
	m->v->s.rip = rip;
	e = im_run(m);
	assert_int_equal(e.vector, X86_PFV);
	assert_int_equal(e.error, 0x11); /* fetch, present */
	assert_int_equal(e.rip, rip);
	assert_int_equal(m->v->s.cr2, 0x102000);
	im_free(m);
}

/* The same page at two addresses, and the same address with two pages. */
static void test_remapped_code(void **state)
{
	struct im *m = im_new(64, 0, NULL);

	memcpy(im_host(m, 0x110000), "\x48\x8d\x05\x00\x00\x00\x00\xf4", 8); /* lea rax, [rip] */
	memcpy(im_host(m, 0x111000), "\xb8\x05\x00\x00\x00\xf4", 6);
	im_map(m, 0x120000, 0x110000, IM_RWU);
	m->v->s.rip = 0x110000;
	(void)im_run(m);
	assert_int_equal(m->v->s.gpr[X86_RAX], 0x110007);
	m->v->s.rip = 0x120000;
	(void)im_run(m);
	assert_int_equal(m->v->s.gpr[X86_RAX], 0x120007);
	im_map(m, 0x120000, 0x111000, IM_RWU);
	m->v->s.rip = 0x120000;
	(void)im_run(m);
	assert_int_equal(m->v->s.gpr[X86_RAX], 5);
	im_free(m);
}

/* Many different programs at one place: the caches fill up and are dropped, results stay right. */
static void test_cache_overflow(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	uint8_t code[4 * 16 + 1];

	for (uint32_t i = 0; i < 60000; i++) {
		uint64_t want = 0;

		for (unsigned j = 0; j < 16; j++) {
			/* add al/r8b..., imm8 would repeat; 83 /0 with changing immediates */
			uint8_t imm = (uint8_t)(i * 7 + j * (i >> 8)) & 0x7f;

			memcpy(code + j * 4, "\x48\x83\xc0", 3);
			code[j * 4 + 3] = imm;
			want += imm;
		}
		im_code(m, code, 64);
		m->v->s.gpr[X86_RAX] = 0;
		(void)im_run(m);
		assert_int_equal(m->v->s.gpr[X86_RAX], want);
	}
	im_free(m);
}

/* Blocks full of the instructions that take most host code. */
static void test_full_blocks(void **state)
{
	static const struct {
		const char *what, *code;
		unsigned len;
	} most[] = {
		{"rep movsb", BYTES("\xf3\xa4")},
		{"rep stosq", BYTES("\xf3\x48\xab")},
		{"repne scasw", BYTES("\x66\xf2\xaf")},
		{"movsd", BYTES("\xa5")},
		{"cmpsb", BYTES("\xa6")},
		{"push qword gs:[r10+r11*8+0x12345678]",
		 BYTES("\x65\x43\xff\xb4\xda\x78\x56\x34\x12")},
		{"pop qword [rsp+0x12]", BYTES("\x8f\x44\x24\x12")},
		{"lock bts gs:[r10+r11*8], r15", BYTES("\xf0\x65\x4f\x0f\xab\x3c\xda")},
		{"lock cmpxchg16b gs:[r10+r11*8]", BYTES("\xf0\x65\x4b\x0f\xc7\x0c\xda")},
		{"fst dword gs:[r10+r11*8+0x12345678]",
		 BYTES("\x65\x43\xd9\x94\xda\x78\x56\x34\x12")},
		{"fldcw [rdi]", BYTES("\xd9\x2f")},
		{"ldmxcsr gs:[r10+r11*8]", BYTES("\x65\x43\x0f\xae\x14\xda")},
		{"lock xadd gs:[r10+r11*8], r15", BYTES("\xf0\x65\x4f\x0f\xc1\x3c\xda")},
		{"vfmadd231pd ymm9, ymm10, gs:[r10+r11*8]", BYTES("\x65\xc4\x02\xad\xb8\x0c\xda")},
		{"div qword gs:[r10+r11*8]", BYTES("\x65\x4b\xf7\x34\xda")},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(most); i++) {
		struct im *m = im_new(64, 0, NULL);
		uint8_t code[80 * 12];
		unsigned n = 0;

		for (unsigned j = 0; j < 80; j++, n += most[i].len)
			memcpy(code + n, most[i].code, most[i].len);
		im_code(m, code, n);
		m->v->s.gpr[X86_RSI] = m->v->s.gpr[X86_RDI] = IM_DATA;
		m->v->s.gpr[X86_R10] = IM_DATA;
		if (im_run(m).reason != VCPU_EXIT_HALT)
			fail_msg("%s", most[i].what);
		im_free(m);
	}
}

/* 16, 32 and 64-bit meaning of the same bytes: 48 ff c0. */
static void test_modes_of_bytes(void **state)
{
	static const struct {
		unsigned bits;
		uint64_t rax;
	} t[] = {{16, 0xffffffffffff0000}, {32, 0xffffffff}, {64, 0}};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		struct im *m = im_new(t[i].bits, 0, NULL);

		CODE(m, "\x48\xff\xc0"); /* dec (e)ax, inc (e)ax; inc rax */
		m->v->s.gpr[X86_RAX] = t[i].bits == 64   ? ~0ull
				       : t[i].bits == 32 ? 0xffffffff
							 : 0xffffffffffff0000;
		(void)im_run(m);
		assert_int_equal(m->v->s.gpr[X86_RAX], t[i].rax);
		im_free(m);
	}
}

/* CPU models without a feature: #UD, LZCNT executes as BSR. SDM vol. 2, LZCNT. */
static void test_models(void **state)
{
	struct im *m = im_new(64, 0, "x86-64-v2");
	struct im_end e;

	CODE(m, "\xf3\x0f\xbd\xc3"); /* lzcnt eax, ebx */
	m->v->s.gpr[X86_RBX] = 0x100;
	(void)im_run(m);
	assert_int_equal(m->v->s.gpr[X86_RAX], 8);
	im_reset(m);
	CODE(m, "\xc5\xf4\x58\xc1"); /* vaddps ymm0, ymm1, ymm1 */
	e = im_run(m);
	assert_int_equal(e.vector, X86_UD);
	im_free(m);
}

/* ---- two processors ---- */

struct second {
	struct im *m;
	struct vcpu *v;
	_Atomic int ready;
	struct vcpu_exit exit;
};

static void *run_second(void *arg)
{
	struct second *s = arg;

	s->v = im_second(s->m);
	s->ready = 1;
	while (s->ready != 2)
		;
	s->m->vm.ops->run(&s->m->vm, s->v, &s->exit);
	return NULL;
}

static void run_both(struct im *m, struct second *s)
{
	pthread_t t;

	*s = (struct second){.m = m};
	pthread_create(&t, NULL, run_second, s);
	while (!s->ready)
		;
	s->ready = 2;
	(void)im_run(m);
	pthread_join(t, NULL);
	im_second_done(m, s->v);
}

/* SDM vol. 3, 8.1.2: LOCKed operations are atomic, aligned, split over cache lines (host access)
 * or over pages that lie apart (through the engine's lock). */
static void test_locked(void **state)
{
	/* Hosts make accesses split over cache lines expensive on purpose. */
	static const struct {
		uint64_t at;
		unsigned n;
	} t[] = {{IM_DATA + 8, 100000}, {IM_DATA + 0x3e, 200}, {IM_DATA + 0x4ffd, 50000}};

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++) {
		struct im *m = im_new(64, 0, NULL);
		struct second s;

		map_holes(m);
		/* l: lock inc dword [rdi]; dec ecx; jnz l */
		CODE(m, "\xf0\xff\x07\xff\xc9\x75\xf9");
		m->v->s.gpr[X86_RDI] = t[i].at;
		m->v->s.gpr[X86_RCX] = t[i].n;
		run_both(m, &s);
		assert_int_equal(peek(m, t[i].at) & 0xffffffff, 2 * t[i].n);
		im_free(m);
	}
}

/* SDM vol. 3, 8.1.3: code written by another processor is seen after it synchronizes; here by one
 * that runs the code all the time. */
static void test_cross_modify(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct second s = {.m = m};
	pthread_t t;

	/* l: mov eax, 1; cmp eax, 2; jne l */
	CODE(m, "\xb8\x01\x00\x00\x00\x83\xf8\x02\x75\xf6");
	pthread_create(&t, NULL, run_second, &s);
	while (!s.ready)
		;
	s.ready = 2;
	for (volatile unsigned i = 0; i < 20000000; i++)
		;
	/* mov byte [rdi], 2: from another page */
	memcpy(im_host(m, 0x110000), "\xc6\x07\x02\xf4", 4);
	m->v->s.rip = 0x110000;
	m->v->s.gpr[X86_RDI] = m->code + 1;
	(void)im_run(m);
	pthread_join(t, NULL);
	assert_int_equal(s.exit.reason, VCPU_EXIT_HALT);
	assert_int_equal(s.v->s.gpr[X86_RAX], 2);
	im_second_done(m, s.v);
	im_free(m);
}

/* Calls nested deeper than the translator's stack of return addresses has room, and back. */
static void test_deep_calls(void **state)
{
	struct im *m = im_new(64, 0, NULL);

	/* mov ecx, 100000; call f; jmp end; f: dec ecx; jz done; call f; inc rbx; done: ret */
	CODE(m, "\xb9\xa0\x86\x01\x00\xe8\x02\x00\x00\x00\xeb\x0d\xff\xc9\x74\x08\xe8\xf7\xff"
		"\xff\xff\x48\xff\xc3\xc3");
	m->v->s.gpr[X86_RBX] = 0;
	assert_int_equal(im_run(m).vector, -1);
	assert_int_equal(m->v->s.gpr[X86_RBX], 99999);
	assert_int_equal(m->v->s.gpr[X86_RCX], 0);
	im_free(m);
}

/* ---- requests at every place ---- */

static struct vcpu *storm_vcpu; /* a signal handler has no argument of ours */

static void on_alarm(int sig)
{
	static const uint32_t req[] = {VCPU_REQ_KICK, VCPU_REQ_EVENT, VCPU_REQ_FLUSH};
	static unsigned n;

	atomic_fetch_or(&storm_vcpu->request, req[n++ % ARRAY_SIZE(req)]);
}

/*
 * Requests out of a signal handler on the vCPU's own thread, at any host instruction: recursion,
 * calls through a register and code that rewrites itself come out the same.
 *
 *	mov ecx, 2000; xor ebx, ebx
 * l:	push rcx; mov edi, 9; call fib; add rbx, rax; mov [g + 3], cl; call g; lea rdx, [f]
 *	call rdx; pop rcx; dec ecx; jnz l; jmp end
 * fib:	cmp edi, 2; jb base; push rdi; dec edi; call fib; pop rdi; push rax; sub edi, 2
 *	call fib; pop rdx; add eax, edx; ret
 * base:	mov eax, edi; ret
 * g:	add rbx, byte 1; ret
 * f:	mov [rsi], rbx; rol rbx, 1; adc rbx, [rsi]; ret
 */
static void test_request_storm(void **state)
{
	const struct itimerval often = {{0, 50}, {0, 50}}, never = {{0, 0}, {0, 0}};
	struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_ONSTACK | SA_RESTART}, old;
	struct im *m = im_new(64, 0, NULL);
	uint64_t want = 0;
	unsigned kicks = 0;
	struct im_end e;

	for (unsigned i = 2000; i; i--) {
		uint64_t x = want + 34 + (uint64_t)(int8_t)i, r = x << 1 | x >> 63;

		want = r + x + (r & 1);
	}
	CODE(m, "\xb9\xd0\x07\x00\x00\x31\xdb\x51\xbf\x09\x00\x00\x00\xe8\x1e\x00\x00\x00\x48\x01"
		"\xc3\x88\x0d\x36\x00\x00\x00\xe8\x2e\x00\x00\x00\x48\x8d\x15\x2c\x00\x00\x00\xff"
		"\xd2\x59\xff\xc9\x75\xd9\xeb\x2d\x83\xff\x02\x72\x16\x57\xff\xcf\xe8\xf3\xff\xff"
		"\xff\x5f\x50\x83\xef\x02\xe8\xe9\xff\xff\xff\x5a\x01\xd0\xc3\x89\xf8\xc3\x48\x83"
		"\xc3\x01\xc3\x48\x89\x1e\x48\xd1\xc3\x48\x13\x1e\xc3");
	m->v->s.gpr[X86_RSI] = IM_DATA;
	storm_vcpu = m->v;
	sigaction(SIGALRM, &sa, &old);
	setitimer(ITIMER_REAL, &often, NULL);
	while ((e = im_run(m)).reason == VCPU_EXIT_KICK)
		kicks++;
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &old, NULL);
	print_message("%u kicks\n", kicks);
	assert_int_equal(e.reason, VCPU_EXIT_HALT);
	assert_int_equal(e.vector, -1);
	assert_int_equal(m->v->s.gpr[X86_RBX], want);
	assert_int_equal(m->v->s.gpr[X86_RCX], 0);
	im_free(m);
}

/* A bare loop; the rate is printed, and only absurd slowness fails. */
static void test_speed(void **state)
{
	struct im *m = im_new(64, 0, NULL);
	struct timespec a, b;
	double s;

	/* mov ecx, 10000000; mov esi, IM_DATA; l: add rax, 3; mov rdx, [rsi]; add rdx, rax;
	 * mov [rsi+8], rdx; dec rcx; jnz l */
	CODE(m, "\xb9\x80\x96\x98\x00\xbe\x00\x00\x20\x00\x48\x83\xc0\x03\x48\x8b\x16\x48\x01\xc2"
		"\x48\x89\x56\x08\x48\xff\xc9\x75\xed");
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &a);
	(void)im_run(m);
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &b);
	s = (double)(b.tv_sec - a.tv_sec) + (double)(b.tv_nsec - a.tv_nsec) / 1e9;
	print_message("%.0f million instructions/s\n", 60.0 / s);
	assert_int_equal(m->v->s.gpr[X86_RAX], 30000000);
	assert_int_equal(m->v->s.gpr[X86_RCX], 0);
	assert_true(s < 60);
	im_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),           cmocka_unit_test(test_rows_stepped),
		cmocka_unit_test(test_single_step),    cmocka_unit_test(test_step_after_mov_ss),
		cmocka_unit_test(test_step_rep),       cmocka_unit_test(test_sti_shadow),
		cmocka_unit_test(test_popf_window),    cmocka_unit_test(test_kick),
		cmocka_unit_test(test_debugger),       cmocka_unit_test(test_debug_registers),
		cmocka_unit_test(test_crossing_code),  cmocka_unit_test(test_remapped_code),
		cmocka_unit_test(test_cache_overflow), cmocka_unit_test(test_full_blocks),
		cmocka_unit_test(test_modes_of_bytes), cmocka_unit_test(test_models),
		cmocka_unit_test(test_locked),         cmocka_unit_test(test_cross_modify),
		cmocka_unit_test(test_deep_calls),     cmocka_unit_test(test_request_storm),
		cmocka_unit_test(test_speed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

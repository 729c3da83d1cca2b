; SPDX-License-Identifier: Apache-2.0
;
; Privilege and exceptions in long mode: a table of code pieces, each with the privilege it runs at and
; the vector and error code that must come out of it (NONE: it must run through). After each piece the
; kernel puts control registers, descriptor tables and segments back.
;
; Sources: Intel SDM vol. 2 (exception sections of each instruction), vol. 3, chapters 2, 4, 5, 6, 17; AMD
; APM vol. 2 and 3 where the vendors differ: rows of one vendor alone are left out on the other's processor.
; Status through port F4h: 10h = all passed, 11h = failures (listed on the serial port). QEMU runs it
; too (-kernel, -device isa-debug-exit,iobase=0xf4), but its TCG has no segment limits and no VME.
; run: --machine pc --cpu max-intel
; run: --machine pc --cpu max-amd
; run: --machine microvm --cpu max-intel
; run: --machine microvm --cpu max-amd
; expect: 00000000 failed
%include "privilege.inc"

section .text
section .rodata follows=.text align=16
section .rows follows=.rodata align=8
section .rowsend follows=.rows align=4
section .data follows=.rowsend align=16
section .bss follows=.data align=4096 nobits
section .rows
rows:
section .text
MULTIBOOT entry

NONE equ 0xff
ANY equ 0xffffffff

; row flags
USER equ 1      ; CPL 3, 64-bit
COMPAT equ 2    ; CPL 3, 32-bit
IOPL3 equ 4
F_AC equ 8
F_TF equ 0x10
F_IF equ 0x20
F_TS equ 0x100  ; CR0
F_AM equ 0x200
F_EM equ 0x400
F_TSD equ 0x1000 ; CR4
F_DE equ 0x2000
F_UMIP equ 0x4000
F_SMEP equ 0x8000
F_SMAP equ 0x10000
F_NOFX equ 0x20000 ; OSFXSR off
F_NOXS equ 0x40000 ; OSXSAVE off
F_FSGS equ 0x80000
F_NOSCE equ 0x100000 ; EFER
F_NOXMM equ 0x200000 ; OSXMMEXCPT off
F_INTEL equ 0x400000 ; this vendor's processors alone
F_AMD equ 0x800000

; memory of the tests; each page has one kind of rights (table below)
P_RW equ 0x600000  ; user, writable
P_RO equ 0x601000  ; user, read-only
P_SUP equ 0x602000 ; supervisor, writable
P_NX equ 0x603000  ; user, no execute
P_NONE equ 0x604000 ; not present
P_RSVD equ 0x605000 ; reserved bit set
P_SRO equ 0x606000 ; supervisor, read-only
U_STACK equ 0x608000 ; top; pages below are P_ up to 607000h
NONCAN equ 0x0000800000000000

; selectors
K64 equ 0x08
K_DS equ 0x10
U32 equ 0x1b
U_DS equ 0x23
U64 equ 0x2b
TSS_SEL equ 0x30
K32 equ 0x40
DS_NP equ 0x48
CS_NP equ 0x50
CONF64 equ 0x58
DS_RO equ 0x60
GATE equ 0x68 ; call gate to K64, DPL 3 (16 bytes)
GDT_LIMIT equ 0x7f

%macro CASE 4 ; name, flags, vector, error
	%push case
	section .rodata
%$name:	db %1, 0
	section .rows
	dd %$name, %$code, %2, %3, %4
	section .text
	%if (%2) & COMPAT
	bits 32
	%else
	bits 64
	%endif
%$code:
%endmacro
; %1: offset of the saved RIP in the piece (%$trap - %$code), default any.
%macro END 0-1 ANY
	int 0x81
	section .rows
	dd %1
	section .text
	bits 64
	%pop
%endmacro
; One instruction; a fault must be reported at its first byte.
%macro AT 5+ ; name, flags, vector, error, instruction
	CASE {%1}, %2, %3, %4
	%5
	%if %3 = NONE || %3 = 1 || %3 = 3 || %3 = 4 || %3 >= 0x20
	END
	%else
	END 0
	%endif
%endmacro

bits 32
entry:
	cli
	cld
	mov esp, stack_top
	; tables: PML4 at 200000h, PDPT, PD, PT for 6 MiB
	mov edi, 0x200000
	mov ecx, 0x4000 / 4
	xor eax, eax
	rep stosd
	mov dword [0x200000], 0x201007
	mov dword [0x201000], 0x202007
	mov edi, 0x202000
	mov eax, 0x87
	mov ecx, 64
.pd:	mov [edi], eax
	add edi, 8
	add eax, 0x200000
	loop .pd
	; supervisor: everything but 4 MiB to 8 MiB (user code is copied nowhere: the text is at 1 MiB,
	; so the first 2 MiB are user too)
	mov dword [0x202000 + 1 * 8], 0x200083
	mov dword [0x202000 + 3 * 8], 0x203007
	mov edi, 0x203000
	mov eax, 0x600007
	mov ecx, 512
.pt:	mov [edi], eax
	add edi, 8
	add eax, 0x1000
	loop .pt
	mov dword [0x203000 + 1 * 8], P_RO | 5
	mov dword [0x203000 + 2 * 8], P_SUP | 3
	mov dword [0x203000 + 3 * 8 + 4], 0x80000000
	mov dword [0x203000 + 4 * 8], 0
	mov dword [0x203000 + 5 * 8 + 4], 0x00080000
	mov dword [0x203000 + 6 * 8], P_SRO | 1
	mov eax, 0x20 | 0x200 | 0x400 ; PAE, OSFXSR, OSXMMEXCPT
	mov cr4, eax
	mov eax, 0x200000
	mov cr3, eax
	mov ecx, 0xc0000080
	xor edx, edx
	mov eax, 0x901 ; NXE, LME, SCE
	wrmsr
	mov eax, 0x80010033 ; PG, WP, NE, ET, MP, PE
	mov cr0, eax
	lgdt [gdt_ptr]
	jmp K64:long_entry

bits 64
long_entry:
	mov eax, K_DS
	mov ds, eax
	mov es, eax
	mov ss, eax
	mov esp, stack_top
	; IDT: 256 gates to stubs of 16 bytes
	mov edi, idt
	mov eax, stubs
	xor ecx, ecx
.gate:
	mov [rdi], ax
	mov word [rdi + 2], K64
	mov word [rdi + 4], 0x8e00
	mov edx, eax
	shr edx, 16
	mov [rdi + 6], dx
	mov qword [rdi + 8], 0
	add rdi, 16
	add eax, 16
	inc ecx
	cmp ecx, 256
	jb .gate
	mov byte [idt + 3 * 16 + 5], 0xee    ; #BP, #OF, 81h: from CPL 3
	mov byte [idt + 4 * 16 + 5], 0xee
	mov byte [idt + 0x81 * 16 + 5], 0xee
	mov byte [idt + 0x82 * 16 + 5], 0x6e ; not present
	mov byte [idt + 0x83 * 16 + 5], 0xec ; call gate type
	mov word [idt + 0x84 * 16 + 2], K_DS ; no code segment
	mov byte [idt + 0x84 * 16 + 5], 0xee
	mov byte [idt + 0x85 * 16 + 5], 0xef ; trap gate
	mov byte [idt + 0x86 * 16 + 8 + 1], 0x80 ; non-canonical offset
	mov byte [idt + 0x86 * 16 + 8 + 2], 0
	mov byte [idt + 0x86 * 16 + 5], 0xee
	mov byte [idt + 1 * 16 + 4], 1 ; IST1 where the stack may be bad
	mov byte [idt + 8 * 16 + 4], 1
	mov byte [idt + 12 * 16 + 4], 1
	mov byte [idt + 14 * 16 + 4], 1
	mov esi, idt
	mov edi, idt2
	mov ecx, 4096 / 8
	rep movsq
	mov byte [idt2 + 13 * 16 + 5], 0x0e ; #GP absent: for the double fault
	lidt [idt_ptr]
	mov qword [tss + 4], stack0_top
	mov qword [tss + 36], ist_top
	mov word [tss + 0x66], 0x68 ; no I/O map
	mov eax, tss
	mov [gdt + TSS_SEL + 2], ax
	shr eax, 16
	mov [gdt + TSS_SEL + 4], al
	mov [gdt + TSS_SEL + 7], ah
	mov eax, TSS_SEL
	ltr ax
	mov eax, gate_target
	mov [gdt + GATE], ax
	shr eax, 16
	mov [gdt + GATE + 6], ax
	mov ecx, 0xc0000081 ; STAR: SYSCALL K64, SYSRET U32 base
	xor eax, eax
	mov edx, (0x18 | 3) << 16 | K64
	wrmsr
	mov ecx, 0xc0000082
	mov eax, syscall_target
	xor edx, edx
	wrmsr
	mov ecx, 0xc0000083
	mov eax, compat_target
	wrmsr
	mov ecx, 0xc0000084
	mov eax, 0x700
	wrmsr
	mov dword [0x200008], 0x201107 ; the second 512 GiB as the first, with bit 8 in the PML4E
	; which features are there
	xor eax, eax
	cpuid
	mov dword [other_vendor], F_INTEL
	cmp ebx, "Auth"
	je .amd
	mov dword [other_vendor], F_AMD
.amd:	mov eax, 1
	cpuid
	mov [cpuid1_ecx], ecx
	mov eax, 7
	xor ecx, ecx
	cpuid
	mov [cpuid7_ebx], ebx
	mov [cpuid7_ecx], ecx
	mov ebp, rows
	jmp run_case

align 16
; ---- one case: rbp = row ----
run_case:
	cmp ebp, rows_end
	jae all_done
	mov ebx, [rbp + 8] ; flags
	test ebx, [other_vendor]
	jnz next_case
	; rows that need what the processor has not
	test ebx, F_SMEP
	jz .smep_ok
	test dword [cpuid7_ebx], 1 << 7
	jz next_case
.smep_ok:
	test ebx, F_SMAP
	jz .smap_ok
	test dword [cpuid7_ebx], 1 << 20
	jz next_case
.smap_ok:
	test ebx, F_UMIP
	jz .umip_ok
	test dword [cpuid7_ecx], 1 << 2
	jz next_case
.umip_ok:
	test ebx, F_FSGS
	jz .fsgs_ok
	test dword [cpuid7_ebx], 1
	jz next_case
.fsgs_ok:
	inc dword [n_run]
	mov [saved_row], rbp
	mov dword [got_vec], NONE
	mov dword [got_err], 0
	mov qword [P_RW], 0
	fninit
	mov dword [mxcsr_tmp], 0x1f80
	ldmxcsr [mxcsr_tmp]
	mov eax, 0x80010033
	test ebx, F_TS
	jz .a
	or eax, 8
.a:	test ebx, F_AM
	jz .b
	or eax, 0x40000
.b:	test ebx, F_EM
	jz .c
	or eax, 4
.c:	mov ecx, 0x620
	test ebx, F_TSD
	jz .d
	or ecx, 4
.d:	test ebx, F_DE
	jz .e
	or ecx, 8
.e:	test ebx, F_UMIP
	jz .f
	or ecx, 0x800
.f:	test ebx, F_NOFX
	jz .g
	and ecx, ~0x200
.g:	test ebx, F_NOXMM
	jz .h
	and ecx, ~0x400
.h:	test ebx, F_FSGS
	jz .i
	or ecx, 0x10000
.i:	test ebx, F_NOXS
	jnz .j
	test dword [cpuid1_ecx], 1 << 26
	jz .j
	or ecx, 0x40000
.j:	mov cr0, rax
	mov cr4, rcx
	test ebx, F_NOSCE
	jz .k
	mov ecx, 0xc0000080
	rdmsr
	and eax, ~1
	wrmsr
.k:	; SMEP and SMAP last: text and data are user pages, so only a jump to the piece may follow
	mov rcx, cr4
	test ebx, F_SMEP
	jz .l
	or ecx, 0x100000
	mov dword [0x202000], 0x83 ; text becomes supervisor
	mov rax, cr3
	mov cr3, rax
	mov cr4, rcx
.l:	test ebx, F_SMAP
	jz .m
	or ecx, 0x200000
	mov dword [0x202000], 0x83
	mov rax, cr3
	mov cr3, rax
	mov cr4, rcx
.m:	mov edx, 2 ; RFLAGS
	test ebx, IOPL3
	jz .n
	or edx, 0x3000
.n:	test ebx, F_AC
	jz .o
	or edx, 0x40000
.o:	test ebx, F_TF
	jz .p
	or edx, 0x100
.p:	test ebx, F_IF
	jz .q
	or edx, 0x200
.q:	mov eax, [rbp + 4]
	test ebx, USER | COMPAT
	jnz .user
	mov esp, stack_top
	push rdx
	xor ebx, ebx
	xor ecx, ecx
	mov esi, P_RW
	mov edi, P_RW
	popfq
	jmp rax
.user:
	push U_DS
	push U_STACK
	push rdx
	mov ecx, U64
	test ebx, COMPAT
	jz .cs
	mov ecx, U32
.cs:	push rcx
	push rax
	mov eax, U_DS
	mov ds, eax
	mov es, eax
	xor ebx, ebx
	xor ecx, ecx
	mov esi, P_RW
	mov edi, P_RW
	iretq

; A piece ended: from exception stubs, with vector and error code stored.
after_case:
	mov rbp, [saved_row]
	; put everything back
	mov eax, 0x80010033
	mov cr0, rax
	mov eax, 0x620 ; SMEP off before the text is a user page again
	mov cr4, rax
	mov dword [0x202000], 0x87
	mov rax, 0x200000
	mov cr3, rax
	xor eax, eax
	mov dr7, rax
	mov rax, 0xffff0ff0
	mov dr6, rax
	mov ecx, 0xc0000080
	rdmsr
	or eax, 0x901
	wrmsr
	lgdt [gdt_ptr]
	lidt [idt_ptr]
	xor eax, eax
	lldt ax
	mov eax, K_DS
	mov ds, eax
	mov es, eax
	mov fs, eax
	mov gs, eax
	mov eax, K_DS
	mov ss, eax
	push 2
	popfq
	; compare
	mov eax, [got_vec]
	cmp eax, [rbp + 12]
	jne .bad
	mov eax, [got_err]
	cmp eax, [rbp + 16]
	jne .bad
	cmp dword [rbp + 20], ANY
	je next_case
	mov eax, [got_rip]
	sub eax, [rbp + 4]
	cmp eax, [rbp + 20]
	je next_case
.bad:
	inc dword [n_bad]
	mov esi, [rbp]
	call put_str
	mov esi, s_got
	call put_str
	mov eax, [got_vec]
	call put_hex
	mov eax, [got_err]
	call put_hex
	mov esi, s_want
	call put_str
	mov eax, [rbp + 12]
	call put_hex
	mov eax, [rbp + 16]
	call put_hex
	mov esi, s_rip
	call put_str
	mov eax, [got_rip]
	sub eax, [rbp + 4]
	call put_hex
	mov esi, s_nl
	call put_str
next_case:
	add ebp, 24
	jmp run_case

all_done:
	mov eax, [n_run]
	call put_hex
	mov esi, s_run
	call put_str
	mov eax, [n_bad]
	call put_hex
	mov esi, s_bad
	call put_str
	mov al, 0x10
	cmp dword [n_bad], 0
	je .out
	mov al, 0x11
.out:	out 0xf4, al
	cli
	hlt
	jmp .out

; Stubs: 16 bytes each: push a zero error code where the processor pushes none.
align 16
stubs:
%assign i 0
%rep 256
	align 16
	%if !(i == 8 || (i >= 10 && i <= 14) || i == 17)
	push 0
	%endif
	push i
	jmp near stub_common
	%assign i i + 1
%endrep

align 16
stub_common: ; [rsp] vector, error, rip, cs, rflags, rsp, ss
	push rax
	; data is on user pages: with SMAP on, allow it
	mov rax, cr4
	test eax, 0x200000
	jz .nosmap
	and eax, ~0x200000
	mov cr4, rax
.nosmap:
	mov eax, [rsp + 8]
	cmp eax, 0x81
	je .end
	mov [got_vec], eax
	mov eax, [rsp + 16]
	mov [got_err], eax
	mov rax, [rsp + 24]
	mov [got_rip], rax
	mov rax, [rsp + 40]
	mov [got_flags], rax
	mov rax, cr2
	mov [got_cr2], rax
.end:
	mov esp, stack_top
	mov eax, K_DS
	mov ss, eax
	jmp after_case

gate_target:
	mov dword [got_vec], 0x100
	mov dword [got_err], 0
	mov esp, stack_top
	jmp after_case
syscall_target:
	mov esp, stack_top
	pushfq
	pop rax
	mov dword [got_vec], 0x101
	and eax, 0x700
	mov [got_err], eax
	jmp after_case
compat_target: ; SYSCALL in compatibility mode
	mov esp, stack_top
	mov dword [got_vec], 0x102
	sub ecx, [rbp + 4]
	sub ecx, 2
	mov [got_err], ecx ; 0: RCX was the address behind SYSCALL
	jmp after_case

	OUTPUT 64

; ================= the cases =================

; --- privileged instructions, vol. 3, 5.9: #GP(0) outside CPL 0 ---
%macro PRIV 2+ ; name, instruction (CPL 0 must run it)
	AT %1, 0, NONE, 0, %2
	AT {%1, " cpl3"}, USER | IOPL3, 13, 0, %2
	AT {%1, " compat"}, COMPAT | IOPL3, 13, 0, %2
%endmacro
PRIV "clts", clts
PRIV "invd", wbinvd
PRIV "lmsw", lmsw cx
PRIV "lldt 0", lldt cx
PRIV "lgdt", lgdt [dword gdt_ptr]
PRIV "lidt", lidt [dword idt_ptr]
PRIV "invlpg", invlpg [dword P_RW]
AT "hlt cpl3", USER | IOPL3, 13, 0, hlt
AT "hlt compat", COMPAT, 13, 0, hlt
CASE "mov from cr", 0, NONE, 0
	mov rax, cr0
	mov rax, cr2
	mov rax, cr3
	mov rax, cr4
	mov rax, cr8
END
AT "mov rax, cr0 cpl3", USER, 13, 0, mov rax, cr0
AT "mov cr0, rax cpl3", USER, 13, 0, mov cr0, rax
AT "mov cr2, rax cpl3", USER, 13, 0, mov cr2, rax
AT "mov rax, cr3 cpl3", USER, 13, 0, mov rax, cr3
AT "mov cr8, rax cpl3", USER, 13, 0, mov cr8, rax
AT "mov eax, cr0 compat", COMPAT, 13, 0, mov eax, cr0
AT "mov rax, dr0 cpl3", USER, 13, 0, mov rax, dr0
AT "mov dr7, rax cpl3", USER, 13, 0, mov dr7, rax
AT "mov rax, dr7", 0, NONE, 0, mov rax, dr7
AT "mov cr1", 0, 6, 0, {db 0x0f, 0x20, 0xc8}
AT "mov cr5", 0, 6, 0, {db 0x0f, 0x22, 0xe8}
AT "mov dr4, DE", F_DE, 6, 0, {db 0x0f, 0x21, 0xe0}
AT "mov dr4, no DE", 0, NONE, 0, {db 0x0f, 0x21, 0xe0}
CASE "cr0 PG without PE", 0, 13, 0
	mov rax, cr0
	and eax, ~1
	mov cr0, rax
END
CASE "cr0 NW without CD", 0, 13, 0
	mov rax, cr0
	or eax, 1 << 29
	mov cr0, rax
END
CASE "cr0 PG off in 64-bit mode", 0, 13, 0
	mov rax, cr0
	btr rax, 31
	mov cr0, rax
END
CASE "cr0 upper half", 0, 13, 0
	mov rax, cr0
	bts rax, 32
	mov cr0, rax
END
CASE "cr4 PAE off in long mode", 0, 13, 0
	mov rax, cr4
	and eax, ~0x20
	mov cr4, rax
END
CASE "cr4 reserved bit", 0, 13, 0
	mov rax, cr4
	bts rax, 31
	mov cr4, rax
END
CASE "cr3 beyond MAXPHYADDR", 0, 13, 0
	mov rax, 0x8010000000200000
	btr rax, 63
	mov cr3, rax
END
CASE "cr8 reserved", 0, 13, 0
	mov eax, 16
	mov cr8, rax
END
CASE "dr7 upper half", 0, 13, 0
	mov rax, 0x100000400
	mov dr7, rax
END
; --- MSRs ---
CASE "rdmsr", 0, NONE, 0
	mov ecx, 0xc0000080
	rdmsr
END
CASE "rdmsr cpl3", USER, 13, 0
	mov ecx, 0xc0000080
	rdmsr
END
CASE "rdmsr unknown", 0, 13, 0
	mov ecx, 0x6fffffff
	rdmsr
END
CASE "wrmsr unknown", 0, 13, 0
	mov ecx, 0x6fffffff
	wrmsr
END
CASE "wrmsr cpl3", USER, 13, 0
	wrmsr
END
CASE "wrmsr LSTAR non-canonical", 0, 13, 0
	mov ecx, 0xc0000082
	mov edx, 0x8000
	wrmsr
END
CASE "wrmsr EFER reserved", 0, 13, 0
	mov ecx, 0xc0000080
	rdmsr
	or eax, 2
	wrmsr
END
CASE "wrmsr EFER.LME off with PG", 0, 13, 0
	mov ecx, 0xc0000080
	rdmsr
	and eax, ~0x100
	wrmsr
END
CASE "wrmsr PAT reserved type", 0, 13, 0
	mov ecx, 0x277
	mov eax, 2
	xor edx, edx
	wrmsr
END
AT "rdtsc cpl3", USER, NONE, 0, rdtsc
AT "rdtsc TSD cpl3", USER | F_TSD, 13, 0, rdtsc
AT "rdtsc TSD cpl0", F_TSD, NONE, 0, rdtsc
AT "rdtscp TSD cpl3", USER | F_TSD, 13, 0, rdtscp
AT "rdpmc cpl3", USER, 13, 0, rdpmc
AT "swapgs cpl3", USER, 13, 0, swapgs
CASE "swapgs", 0, NONE, 0
	swapgs
	swapgs
END
AT "swapgs compat", COMPAT, 6, 0, {db 0x0f, 0x01, 0xf8}
AT "sysret cpl3", USER, 13, 0, {db 0x48, 0x0f, 0x07}
AT "sysexit cpl3", USER | F_INTEL, 13, 0, sysexit
AT "sysexit cpl3, AMD", USER | F_AMD, 6, 0, sysexit
AT "sysexit compat", COMPAT | F_INTEL, 13, 0, sysexit
AT "sysexit compat, AMD", COMPAT | F_AMD, 6, 0, sysexit
AT "sysenter CS 0", F_INTEL, 13, 0, sysenter
AT "sysenter, AMD", F_AMD, 6, 0, sysenter
AT "sysenter compat CS 0", COMPAT | F_INTEL, 13, 0, sysenter
AT "sysenter compat, AMD", COMPAT | F_AMD, 6, 0, sysenter
AT "syscall", USER, 0x101, 0, syscall
CASE "syscall with TF masked: no trap", USER, 0x101, 0
	pushfq
	or dword [rsp], 0x100
	popfq
	syscall
END
AT "syscall off", USER | F_NOSCE, 6, 0, syscall
AT "syscall compat", COMPAT | F_INTEL, 6, 0, syscall
AT "syscall compat, AMD", COMPAT | F_AMD, 0x102, 0, syscall
; RCX is looked at by SYSRET, or by the fetch after it, whose RIP is in the frame then
CASE "sysret non-canonical rcx", F_INTEL, 13, 0
	mov rcx, NONCAN + %$code
%$trap:	db 0x48, 0x0f, 0x07
END %$trap - %$code
CASE "sysret non-canonical rcx, AMD", F_AMD, 13, 0
	mov rcx, NONCAN + %$code
	db 0x48, 0x0f, 0x07
END 0
; a null SS of the kernel's is replaced by SYSRET, or stays
%macro SYSRET32 3 ; name, flags, vector
CASE %1, %2, %3, 0
	mov ecx, %$user
	mov r11d, 2
	xor eax, eax
	mov ss, eax
	db 0x0f, 0x07
	bits 32
%$user:	push eax
END
%endmacro
SYSRET32 "sysret loads SS", F_INTEL, NONE
SYSRET32 "sysret keeps SS, AMD", F_AMD, 12
; in compatibility mode: RFLAGS is not loaded, but for IF
%macro COMPAT_SYSRET 3 ; name, flags, vector
CASE %1, %2, %3, 0
	mov r11d, 0x3002
	push K32
	push %$k32
	db 0x48
	retf
	bits 32
%$k32:	mov ecx, %$user
	sysret
%$user:	pushfd
	pop eax
	and eax, 0x3200
	cmp eax, 0x200
	je %$ok
	ud2
%$ok:
END
%endmacro
COMPAT_SYSRET "sysret in compatibility mode", F_INTEL, 6
COMPAT_SYSRET "sysret in compatibility mode, AMD", F_AMD, NONE
CASE "wrmsr SYSENTER_EIP non-canonical", F_INTEL, 13, 0
	mov ecx, 0x176
	mov edx, 0x8000
	wrmsr
END
CASE "wrmsr SYSENTER_EIP, AMD: 32 bits", F_AMD, NONE, 0
	mov ecx, 0x176
	mov eax, 0x1234
	mov edx, 0x8000
	wrmsr
	rdmsr
	test edx, edx
	jnz %$bad
	cmp eax, 0x1234
	je %$ok
%$bad:	ud2
%$ok:
END
%macro EFER_LMA 3 ; name, flags, vector
CASE %1, %2, %3, 0
	mov ecx, 0xc0000080
	rdmsr
	btr eax, 10
	wrmsr
END
%endmacro
EFER_LMA "wrmsr EFER without LMA", F_INTEL, NONE
EFER_LMA "wrmsr EFER without LMA, AMD", F_AMD, 13
; far pointers of 64 bits are Intel's alone
CASE "lfs with REX.W", F_INTEL, NONE, 0
	db 0x48
	lfs eax, [dword far_lfs]
	mov rcx, 0x0807001004030201
	cmp rax, rcx
	jne %$bad
	mov eax, fs
	test eax, eax
	jz %$ok
%$bad:	ud2
%$ok:
END
CASE "lfs with REX.W, AMD", F_AMD, NONE, 0
	mov rax, -1
	db 0x48
	lfs eax, [dword far_lfs]
	mov ecx, 0x04030201
	cmp rax, rcx
	jne %$bad
	mov eax, fs
	cmp eax, K_DS
	je %$ok
%$bad:	ud2
%$ok:
END
CASE "jmp far with REX.W", F_INTEL, NONE, 0
	mov dword [P_RW], %$ok
	mov dword [P_RW + 4], 0
	mov dword [P_RW + 8], K64
	db 0x48
	jmp far dword [dword P_RW]
%$ok:
END
CASE "jmp far with REX.W, AMD", F_AMD, 13, 0
	mov dword [P_RW], %$ok
	mov dword [P_RW + 4], 0
	mov dword [P_RW + 8], K64
	db 0x48
	jmp far dword [dword P_RW]
%$ok:
END
; a selector on the stack: two bytes, or four
%macro PUSH_SEG 3 ; name, flags, value
CASE %1, %2, NONE, 0
	mov dword [esp - 4], -1
	push ds
	pop eax
	cmp eax, %3
	je %$ok
	ud2
%$ok:
END
%endmacro
PUSH_SEG "push ds compat", COMPAT | F_INTEL, 0xffff0000 | U_DS
PUSH_SEG "push ds compat, AMD", COMPAT | F_AMD, U_DS
; bit 8 of a PML4E
AT "bit 8 of a PML4E", F_INTEL, NONE, 0, {mov rax, [qword 0x8000600000]}
AT "bit 8 of a PML4E, AMD", F_AMD, 14, 9, {mov rax, [qword 0x8000600000]}
%macro PML4_BIT8 3 ; name, flags, vector, error
CASE %1, %2, %3, 9 * (%3 == 14)
	and dword [0x200008], ~0x100
	mov rax, [qword 0x8000600000]
	or dword [0x200008], 0x100
	mov rax, cr3
	mov cr3, rax
	mov rax, [qword 0x8000600000]
END
%endmacro
PML4_BIT8 "bit 8 of a PML4E that was used", F_INTEL, NONE
PML4_BIT8 "bit 8 of a PML4E that was used, AMD", F_AMD, 14
; --- IOPL ---
AT "cli cpl3", USER, 13, 0, cli
AT "sti cpl3", USER, 13, 0, sti
AT "cli cpl3 IOPL 3", USER | IOPL3, NONE, 0, cli
AT "cli compat IOPL 3", COMPAT | IOPL3, NONE, 0, cli
AT "in cpl3", USER, 13, 0, {in al, 0x61}
AT "out dx cpl3", USER, 13, 0, {out dx, al}
AT "insb cpl3", USER, 13, 0, insb
AT "in cpl3 IOPL 3", USER | IOPL3, NONE, 0, {in al, 0x61}
CASE "popf cpl3 keeps IF and IOPL", USER | F_IF, NONE, 0
	pushfq
	pop rax
	xor eax, 0x3200
	push rax
	popfq
	pushfq
	pop rax
	and eax, 0x3200
	cmp eax, 0x200
	je %$ok
	ud2
%$ok:
END
CASE "popf cpl3 IOPL 3 changes IF, not IOPL", USER | IOPL3, NONE, 0
	push 0x202
	popfq
	pushfq
	pop rax
	and eax, 0x3200
	cmp eax, 0x3200
	je %$ok
	ud2
%$ok:	cli
END
CASE "pushf hides RF, VM", 0, NONE, 0
	pushfq
	pop rax
	or eax, 0x30000
	push rax
	popfq
	pushfq
	pop rax
	test eax, 0x30000
	jz %$ok
	ud2
%$ok:
END
; --- UMIP ---
%macro UMIP 2+
	AT {%1, " cpl3"}, USER, NONE, 0, %2
	AT {%1, " UMIP"}, USER | F_UMIP, 13, 0, %2
	AT {%1, " UMIP cpl0"}, F_UMIP, NONE, 0, %2
%endmacro
UMIP "sgdt", sgdt [rsi]
UMIP "sidt", sidt [rsi]
UMIP "sldt", sldt eax
UMIP "str", str eax
UMIP "smsw", smsw eax
; --- undefined opcodes ---
AT "ud2", USER, 6, 0, ud2
AT "ud1", USER, 6, 0, {db 0x0f, 0xb9, 0xc0}
AT "ud0", USER, 6, 0, {db 0x0f, 0xff, 0xc0}
AT "push es", USER, 6, 0, {db 0x06}
AT "into in 64-bit", USER, 6, 0, {db 0xce}
AT "aam in 64-bit", USER, 6, 0, {db 0xd4, 10}
AT "pusha in 64-bit", USER, 6, 0, {db 0x60}
AT "far jmp ptr in 64-bit", USER, 6, 0, {db 0xea, 0, 0, 0, 0, 8, 0}
AT "salc in 64-bit", USER, 6, 0, {db 0xd6}
AT "daa in 64-bit", USER, 6, 0, {db 0x27}
AT "lds in 64-bit", USER, 6, 0, {db 0xc5, 0xc5, 0xff}
AT "vmcall", 0, 6, 0, {db 0x0f, 0x01, 0xc1}
AT "rsm", 0, 6, 0, rsm
AT "lock mov", USER, 6, 0, {db 0xf0, 0x89, 0x06}
AT "lock add reg", USER, 6, 0, {db 0xf0, 0x01, 0xc0}
AT "lock cmp mem", USER, 6, 0, {db 0xf0, 0x39, 0x06}
AT "lock add mem", USER, NONE, 0, {db 0xf0, 0x01, 0x06}
AT "lgdt reg", 0, 6, 0, {db 0x0f, 0x01, 0xd0 | 8} ; 0f 01 d8: vmrun
AT "mov cs", USER, 6, 0, {db 0x8e, 0xc8}
AT "mov sreg 6", USER, 6, 0, {db 0x8c, 0xf0}
AT "lea reg", USER, 6, 0, {db 0x8d, 0xc0}
AT "8f /1", USER, 6, 0, {db 0x8f, 0x08}
AT "c6 /1", USER, 6, 0, {db 0xc6, 0x08, 0}
AT "ff /7", USER, 6, 0, {db 0xff, 0xf8}
AT "bound/evex 62 compat reg", COMPAT, 6, 0, {db 0x62, 0xc0}
AT "16 bytes", USER, 13, 0, {times 15 db 0x66}
CASE "15 bytes", USER, NONE, 0
	times 14 db 0x66
	nop
END
AT "clac cpl3", USER, 6, 0, {db 0x0f, 0x01, 0xca}
AT "rdfsbase off", USER, 6, 0, {db 0xf3, 0x0f, 0xae, 0xc0}
AT "rdfsbase", USER | F_FSGS, NONE, 0, {db 0xf3, 0x0f, 0xae, 0xc0}
CASE "wrfsbase non-canonical", USER | F_FSGS, 13, 0
	mov rax, NONCAN
	db 0xf3, 0x48, 0x0f, 0xae, 0xd0
END
AT "xgetbv off", USER | F_NOXS, 6, 0, xgetbv
AT "xgetbv", USER, NONE, 0, xgetbv
CASE "xgetbv index", USER, 13, 0
	mov ecx, 77
	xgetbv
END
AT "xsetbv cpl3", USER, 13, 0, xsetbv
CASE "xsetbv without x87", 0, 13, 0
	xor edx, edx
	mov eax, 6
	xsetbv
END
CASE "xsetbv AVX without SSE", 0, 13, 0
	xor edx, edx
	mov eax, 5
	xsetbv
END
CASE "xsetbv index", 0, 13, 0
	mov ecx, 1
	mov eax, 3
	xsetbv
END
; --- arithmetic and bounds ---
CASE "div 0", USER, 0, 0
	xor edx, edx
	div ecx
END
CASE "idiv overflow", USER, 0, 0
	mov rax, 0x8000000000000000
	cqo
	mov rcx, -1
	idiv rcx
END
CASE "div8 overflow", USER, 0, 0
	mov eax, 0x1000
	mov cl, 1
	div cl
END
AT "aam 0 compat", COMPAT, 0, 0, {db 0xd4, 0}
CASE "bound compat", COMPAT, 5, 0
	mov dword [esi], 1
	mov dword [esi + 4], 3
	mov eax, 2
	bound eax, [esi]
	mov eax, 4
	bound eax, [esi]
END
CASE "into compat", COMPAT, 4, 0
	mov al, 0x7f
	add al, 1
	into
END
CASE "into compat, no overflow", COMPAT, NONE, 0
	xor eax, eax
	into
END
; --- interrupts by instruction ---
AT "int3", USER, 3, 0, int3
AT "int1", USER, 1, 0, {db 0xf1}
AT "int 3", USER, 3, 0, {db 0xcd, 3}
AT "int 20h DPL 0", USER, 13, 0x20 * 8 + 2, int 0x20
AT "int 20h cpl0", 0, 0x20, 0, int 0x20
AT "int 82h not present", USER, 11, 0x82 * 8 + 2, int 0x82
AT "int 83h bad gate type", USER, 13, 0x83 * 8 + 2, int 0x83
AT "int 84h data selector", USER, 13, K_DS, int 0x84
AT "int 85h trap gate", USER, 0x85, 0, int 0x85
AT "int 86h non-canonical", USER, 13, 0, int 0x86
CASE "int beyond IDT", 0, 13, 0x50 * 8 + 2
	lidt [idt_short]
	int 0x50
END
; --- addresses ---
CASE "read non-canonical", USER, 13, 0
	mov rax, NONCAN
	mov eax, [rax]
END
CASE "write non-canonical", 0, 13, 0
	mov rax, NONCAN
	mov [rax], eax
END
CASE "rbp non-canonical", USER, 12, 0
	mov rbp, NONCAN
	mov eax, [rbp]
END
CASE "push non-canonical", USER, 12, 0
	mov rsp, NONCAN + 8
	push rax
END
CASE "push just above the hole", USER, 12, 0
	mov rsp, 0xffff800000000000
	push rax
END
CASE "jmp non-canonical", USER, 13, 0
	mov rax, NONCAN
	jmp rax
END
CASE "ret non-canonical", USER, 13, 0
	mov rax, NONCAN
	push rax
	ret
END
CASE "movaps misaligned", USER, 13, 0
	movaps xmm0, [rsi + 1]
END
CASE "movups misaligned", USER, NONE, 0
	movups xmm0, [rsi + 1]
END
CASE "cmpxchg16b misaligned", USER, 13, 0
	cmpxchg16b [rsi + 8]
END
CASE "fxsave misaligned", USER, 13, 0
	fxsave [rsi + 8]
END
; --- page faults: error code bits P=1 W=2 U=4 RSVD=8 I=10h ---
AT "read absent", 0, 14, 0, {mov eax, [dword P_NONE]}
AT "read absent cpl3", USER, 14, 4, {mov eax, [dword P_NONE]}
AT "write absent cpl3", USER, 14, 6, {mov [dword P_NONE], eax}
AT "rmw absent cpl3", USER, 14, 6, {add [dword P_NONE], eax}
AT "rmw read-only cpl3", USER, 14, 7, {add [dword P_RO], eax}
AT "cmpxchg read-only, not equal", USER, 14, 7, {cmpxchg [dword P_RO], ecx}
AT "read read-only cpl3", USER, NONE, 0, {mov eax, [dword P_RO]}
AT "write read-only cpl3", USER, 14, 7, {mov [dword P_RO], eax}
AT "write read-only cpl0 WP", 0, 14, 3, {mov [dword P_SRO], eax}
CASE "write read-only cpl0 no WP", 0, NONE, 0
	mov rax, cr0
	btr eax, 16
	mov cr0, rax
	mov [dword P_SRO], eax
END
AT "read supervisor cpl3", USER, 14, 5, {mov eax, [dword P_SUP]}
AT "write supervisor cpl3", USER, 14, 7, {mov [dword P_SUP], eax}
AT "read supervisor compat", COMPAT, 14, 5, {mov eax, [dword P_SUP]}
AT "reserved bit", 0, 14, 9, {mov eax, [dword P_RSVD]}
AT "reserved bit write cpl3", USER, 14, 0xf, {mov [dword P_RSVD], eax}
CASE "execute NX cpl3", USER, 14, 0x15
	mov byte [dword P_NX], 0xc3
	mov eax, P_NX
	call rax
END
CASE "execute NX cpl0", 0, 14, 0x11
	mov eax, P_NX
	call rax
END
CASE "execute absent cpl3", USER, 14, 0x14
	mov eax, P_NONE
	jmp rax
END
CASE "execute supervisor cpl3", USER, 14, 0x15
	mov eax, P_SUP
	jmp rax
END
CASE "execute user page cpl0, SMEP", F_SMEP, 14, 0x11
	mov byte [dword P_RW], 0xc3
	mov eax, P_RW
	call rax
END
CASE "SMAP read", F_SMAP, 14, 1
	mov eax, [dword P_RW]
END
CASE "SMAP write", F_SMAP, 14, 3
	mov [dword P_RW], eax
END
CASE "SMAP stac", F_SMAP, NONE, 0
	stac
	mov [dword P_RW], eax
	clac
END
CASE "SMAP supervisor page", F_SMAP, NONE, 0
	mov [dword P_SUP], eax
END
CASE "crossing into absent: CR2 and no partial write", USER, 14, 6
	mov rax, -1
	mov [dword P_NONE - 4], rax
END
CASE "no partial write happened", USER, NONE, 0
	cmp dword [dword P_NONE - 4], 0xffffffff
	jne %$ok
	ud2
%$ok:
END
CASE "rep movsb stops at the absent page", USER, 14, 6
	mov edi, P_NONE - 16
	mov ecx, 64
	rep movsb
END
CASE "push into supervisor page", USER, 14, 7
	mov esp, P_SUP + 8
	push rax
END
CASE "call into absent stack leaves rsp", USER, 14, 6
	mov esp, P_NONE + 8
	call %$x
%$x:
END
; --- segments ---
AT "mov ds, null", USER, NONE, 0, {mov ds, ecx}
AT "mov ss, null cpl0", 0, NONE, 0, {mov ss, ecx}
AT "mov ss, null cpl3", USER, 13, 0, {mov ss, ecx}
CASE "mov ss, 3 cpl3", USER, 13, 0
	mov eax, 3
	mov ss, eax
END
CASE "mov ds, beyond GDT", 0, 13, 0x100
	mov eax, 0x100
	mov ds, eax
END
CASE "mov ds, LDT selector", USER, 13, 0x1c
	mov eax, 0x1f
	mov ds, eax
END
CASE "mov ds, DPL 0 cpl3", USER, 13, K_DS
	mov eax, K_DS
	mov ds, eax
END
CASE "mov ds, absent", 0, 11, DS_NP
	mov eax, DS_NP
	mov ds, eax
END
CASE "mov ss, absent", 0, 12, DS_NP
	mov eax, DS_NP
	mov ss, eax
END
CASE "mov ss, read-only", 0, 13, DS_RO
	mov eax, DS_RO
	mov ss, eax
END
CASE "mov ss, RPL != CPL", 0, 13, U_DS & ~3
	mov eax, U_DS
	mov ss, eax
END
CASE "mov es, TSS", 0, 13, TSS_SEL
	mov eax, TSS_SEL
	mov es, eax
END
CASE "mov fs, code", USER, NONE, 0
	mov eax, U64
	mov fs, eax
END
CASE "ltr busy", 0, 13, TSS_SEL
	mov eax, TSS_SEL
	ltr ax
END
AT "ltr null", 0, 13, 0, ltr cx
CASE "ltr data", 0, 13, K_DS
	mov eax, K_DS
	ltr ax
END
CASE "lldt TSS", 0, 13, TSS_SEL
	mov eax, TSS_SEL
	lldt ax
END
CASE "lar, lsl, verr, verw", USER, NONE, 0
	mov eax, U_DS
	lar ecx, eax
	jnz %$bad
	and ecx, 0x00f0ff00 ; bits 19:16 are undefined
	cmp ecx, 0x00c0f300
	jne %$bad
	lsl ecx, eax
	jnz %$bad
	cmp ecx, -1
	jne %$bad
	verr ax
	jnz %$bad
	verw ax
	jnz %$bad
	mov eax, K_DS
	lar ecx, eax
	jz %$bad
	verr ax
	jz %$bad
	mov eax, U64
	verw ax
	jz %$bad
	jmp %$ok
%$bad:	ud2
%$ok:
END
; --- far transfers ---
CASE "far jmp to compatibility code cpl0", 0, NONE, 0
	jmp far dword [dword far_k32]
	bits 32
far_k32_target:
	jmp K64:%$back
	bits 64
%$back:
END
CASE "far jmp null", 0, 13, 0
	jmp far dword [dword far_null]
END
CASE "far jmp data", 0, 13, K_DS
	jmp far dword [dword far_data]
END
CASE "far jmp absent", 0, 11, CS_NP
	jmp far dword [dword far_np]
END
CASE "far jmp inner cpl3", USER, 13, K64
	jmp far dword [dword far_k64]
END
CASE "far jmp TSS in long mode", 0, 13, TSS_SEL
	jmp far dword [dword far_tss]
END
CASE "call gate", USER, 0x100, 0
	call far dword [dword far_gate]
END
CASE "jmp through gate to inner code", USER, 13, K64
	jmp far dword [dword far_gate]
END
CASE "call gate compat", COMPAT, 0x100, 0
	call (GATE | 3):0
END
CASE "retf to outer with bad SS", 0, 13, K_DS
	push K_DS
	push U_STACK
	push U64
	push 0x1234
	db 0x48
	retf
END
CASE "iretq NT", 0, 13, 0
	push 0x4002
	popfq
	iretq
END
CASE "iretq null CS", 0, 13, 0
	push K_DS
	push rsp
	push 2
	push 0
	push 0
	iretq
END
CASE "iretq non-canonical", 0, 13, 0
	mov rax, NONCAN
	push K_DS
	push rsp
	push 2
	push K64
	push rax
	iretq
END
CASE "iretq inner cpl3", USER, 13, K64
	push K_DS
	push rsp
	push 2
	push K64
	push 0
	iretq
END
CASE "iretq null SS to cpl0", 0, NONE, 0
	mov rax, rsp
	push 0
	push rax
	push 2
	push K64
	lea rax, [rel %$here]
	push rax
	iretq
%$here:
	mov eax, K_DS
	mov ss, eax
END
CASE "iretq null SS to cpl3", 0, 13, 0
	push 3
	push U_STACK
	push 2
	push U64
	push 0
	iretq
END
CASE "iretq cannot raise IOPL from cpl3", USER, NONE, 0
	mov rax, rsp
	push U_DS
	push rax
	push 0x3202
	push U64
	lea rax, [rel %$here]
	push rax
	iretq
%$here:
	pushfq
	pop rax
	test eax, 0x3200
	jz %$ok
	ud2
%$ok:
END
; --- FPU and SSE availability ---
AT "fpu TS", USER | F_TS, 7, 0, fld1
AT "fpu EM", USER | F_EM, 7, 0, fld1
AT "fwait TS MP", USER | F_TS, 7, 0, fwait
AT "fwait EM", USER | F_EM, NONE, 0, fwait
AT "sse TS", USER | F_TS, 7, 0, {addps xmm0, xmm1}
AT "sse EM", USER | F_EM, 6, 0, {addps xmm0, xmm1}
AT "sse no OSFXSR", USER | F_NOFX, 6, 0, {addps xmm0, xmm1}
AT "mmx EM", USER | F_EM, 6, 0, {paddb mm0, mm1}
AT "mmx TS", USER | F_TS, 7, 0, {paddb mm0, mm1}
CASE "x87 unmasked zero divide", USER, 16, 0
	mov word [rsi], 0x037b
	fldcw [rsi]
	fld1
	fldz
	fdivp
	fwait
END
CASE "sse unmasked zero divide", USER, 19, 0
	mov dword [rsi], 0x1d80
	ldmxcsr [rsi]
	mov dword [rsi], 0x3f800000
	movss xmm0, [rsi]
	xorps xmm1, xmm1
	divss xmm0, xmm1
END
CASE "sse unmasked without OSXMMEXCPT", USER | F_NOXMM, 6, 0
	mov dword [rsi], 0x1d80
	ldmxcsr [rsi]
	mov dword [rsi], 0x3f800000
	movss xmm0, [rsi]
	xorps xmm1, xmm1
	divss xmm0, xmm1
END
CASE "ldmxcsr reserved", USER, 13, 0
	mov dword [rsi], 0x10000
	ldmxcsr [rsi]
END
; --- alignment checks ---
AT "AC misaligned cpl3", USER | F_AC | F_AM, 17, 0, {mov eax, [rsi + 1]}
CASE "AC misaligned push", USER | F_AC | F_AM, 17, 0
	dec rsp
	push rax
END
AT "AC aligned cpl3", USER | F_AC | F_AM, NONE, 0, {mov eax, [rsi + 4]}
AT "AC without AM", USER | F_AC, NONE, 0, {mov eax, [rsi + 1]}
AT "AC cpl0", F_AC | F_AM, NONE, 0, {mov eax, [rsi + 1]}
; --- debug exceptions ---
AT "TF", USER | F_TF, 1, 0, nop
CASE "TF set by popf: trap after the next instruction", USER, 1, 0
	pushfq
	or dword [rsp], 0x100
	popfq
	nop
%$trap:	ud2
END %$trap - %$code
CASE "MOV SS holds the trap", 0, 1, 0
	mov eax, K_DS
	pushfq
	or dword [rsp], 0x100
	popfq
	mov ss, eax
	nop
%$trap:	ud2
END %$trap - %$code
CASE "int n under TF: no trap before the handler", USER | F_TF, 0x85, 0
	int 0x85
END
CASE "general detect", 0, 1, 0
	mov eax, 0x2400
	mov dr7, rax
	mov rax, dr0
END
CASE "data write break point", 0, 1, 0
	mov eax, P_RW + 8
	mov dr0, rax
	mov eax, 0x000d0401
	mov dr7, rax
	mov eax, [rsi + 8]
	mov [rsi + 10], al
%$trap:	ud2
END %$trap - %$code
CASE "instruction break point", 0, 1, 0
	lea rax, [rel %$trap]
	mov dr1, rax
	mov eax, 0x404
	mov dr7, rax
%$trap:	ud2
END %$trap - %$code
; --- delivery ---
CASE "fault on a fault: #DF", 0, 8, 0
	; #GP and #PF gates made absent: #GP -> #NP -> #DF (contributory twice)
	lidt [idt_nogp]
	mov rax, NONCAN
	mov eax, [rax]
END
section .text
bits 64

section .rodata
s_got: db ": got ", 0
s_want: db "want ", 0
s_rip: db "at +", 0
s_nl: db 10, 0
s_run: db "cases, ", 0
s_bad: db "failed", 10, 0
align 8
gdt_ptr: dw GDT_LIMIT
	dq gdt
idt_ptr: dw 0xfff
	dq idt
idt_short: dw 0x4ff
	dq idt
idt_nogp: dw 0xfff
	dq idt2
far_lfs: db 1, 2, 3, 4, K_DS, 0, 7, 8, 0, 0
far_k32: dd far_k32_target
	dw K32
far_null: dd 0
	dw 0
far_data: dd 0
	dw K_DS
far_np: dd 0
	dw CS_NP
far_k64: dd 0
	dw K64
far_tss: dd 0
	dw TSS_SEL
far_gate: dd 0
	dw GATE | 3

section .rows

section .rowsend
rows_end:

section .data
gdt:	dq 0
	dq 0x00af9b000000ffff ; 08 K64
	dq 0x00cf93000000ffff ; 10 K_DS
	dq 0x00cffb000000ffff ; 18 U32
	dq 0x00cff3000000ffff ; 20 U_DS
	dq 0x00affb000000ffff ; 28 U64
	dq 0x0000890000000067, 0 ; 30 TSS
	dq 0x00cf9b000000ffff ; 40 K32
	dq 0x00cf13000000ffff ; 48 absent data
	dq 0x00af1b000000ffff ; 50 absent code
	dq 0x00af9f000000ffff ; 58 conforming
	dq 0x00cf91000000ffff ; 60 read-only
	dq 0x0000ec0000080000, 0 ; 68 call gate
	dq 0
image_end:

section .bss
idt:	resb 4096
idt2:	resb 4096
tss:	resb 128
saved_row: resq 1
got_rip: resq 1
got_cr2: resq 1
got_flags: resq 1
got_vec: resd 1
got_err: resd 1
n_run:	resd 1
n_bad:	resd 1
cpuid1_ecx: resd 1
other_vendor: resd 1
cpuid7_ebx: resd 1
cpuid7_ecx: resd 1
mxcsr_tmp: resd 1
	resb 8192
stack_top:
	resb 8192
stack0_top:
	resb 8192
ist_top:
bss_end:

; SPDX-License-Identifier: Apache-2.0
;
; The legacy half of the processor: segment limits, call gates, task switches, virtual-8086 mode with
; and without VME, protected-mode virtual interrupts, 16-bit code and stacks, real mode and "unreal"
; mode. Code pieces with the mode they run in and the vector and error code that must come out
; (NONE: the piece must run through), as in privilege64.asm.
;
; Sources: Intel SDM vol. 3, chapters 5, 6, 7, 21; vol. 2.
; Status through port F4h: 10h = all passed, 11h = failures (listed on the serial port). QEMU runs it
; too (-kernel, -device isa-debug-exit,iobase=0xf4), but its TCG has no segment limits and no VME.
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

; row flags: mode in bits 2:0
KERN equ 0
USER equ 1
V86 equ 2
C16 equ 3 ; CPL 0, 16-bit code and stack segments
REAL equ 4
MODE equ 7
IOPL3 equ 0x10
F_VME equ 0x20
F_PVI equ 0x40
F_VIP equ 0x80
F_VIF equ 0x100
F_TF equ 0x200
F_PAGE equ 0x400 ; 32-bit paging, 4 MiB pages and one page table

LOW equ 0x20000 ; where pieces in V86 and REAL run, segment 2000h
LOWSEG equ LOW >> 4
REALBLOB equ 0x3000
V_NONE equ 0xc00000 ; not present with F_PAGE
V_RO equ 0xc01000
V_SUP equ 0xc02000

K_CS equ 0x08
K_DS equ 0x10
U_CS equ 0x1b
U_DS equ 0x23
TSS1 equ 0x28
TSS2 equ 0x30
CS16 equ 0x38
DS16 equ 0x40
SMALL equ 0x48 ; data, limit fffh
DOWN equ 0x50  ; expand-down data, limit fffh, B
XONLY equ 0x58
GATE32 equ 0x60 ; call gate, DPL 3, two parameters
GATE16 equ 0x68
TASKG equ 0x70 ; task gate to TSS2, DPL 3
TSS3 equ 0x78  ; TSS whose SS is bad
R1_CS equ 0x81
R1_DS equ 0x89
GATE1 equ 0x90 ; call gate to ring 1
LDTSEL equ 0x98
DS_RO equ 0xa0
LOW16 equ 0xa8 ; 16-bit code with base LOW
TSS4 equ 0xb0  ; TSS with the T flag
TSS5 equ 0xb8  ; task of the #SS handler: the stack may be bad
TSS6 equ 0xc0  ; likewise of #TS
GDT_LIMIT equ 0xc7

%macro CASE 4 ; name, flags, vector, error
	%push case
	section .rodata
%$name:	db %1, 0
	section .rows
	dd %$name, %$code, %2, %3, %4
	section .text
	%if ((%2) & MODE) < V86
	bits 32
	%else
	bits 16
	%endif
	%define %$mode ((%2) & MODE)
%$code:
%endmacro
; Pieces end by INT 81h, in v8086 mode by INT3 (the one that IOPL does not touch).
%macro END 0-1 ANY
	%if %$mode = V86
	int3
	%else
	int 0x81
	%endif
	times 16 nop
	section .rows
	dd %1
	section .text
	bits 32
	%pop
%endmacro
%macro AT 5+
	CASE {%1}, %2, %3, %4
	%5
	%if %3 = NONE || %3 = 1 || %3 = 3 || %3 = 4 || %3 >= 0x20 || ((%2) & MODE) = REAL
	END
	%else
	END 0
	%endif
%endmacro

bits 32
entry:
	cli
	cld
	lgdt [gdt_ptr]
	jmp K_CS:.cs
.cs:	mov eax, K_DS
	mov ds, eax
	mov es, eax
	mov fs, eax
	mov gs, eax
	mov ss, eax
	mov esp, stack_top
	mov edi, idt
	mov eax, stubs
	mov ecx, 256
.gate:	mov [edi], ax
	mov word [edi + 2], K_CS
	mov word [edi + 4], 0x8e00
	mov edx, eax
	shr edx, 16
	mov [edi + 6], dx
	add edi, 8
	add eax, 16
	loop .gate
	mov byte [idt + 3 * 8 + 5], 0xee
	mov byte [idt + 4 * 8 + 5], 0xee
	mov byte [idt + 0x21 * 8 + 5], 0xee
	mov byte [idt + 0x81 * 8 + 5], 0xee
	mov dword [idt + 0x40 * 8], TSS2 << 16 ; task gates
	mov dword [idt + 0x40 * 8 + 4], 0xe500
	mov dword [idt + 12 * 8], TSS5 << 16
	mov dword [idt + 12 * 8 + 4], 0x8500
	mov dword [idt + 10 * 8], TSS6 << 16
	mov dword [idt + 10 * 8 + 4], 0x8500
	mov esi, idt
	mov edi, idt_df
	mov ecx, 256 * 2
	rep movsd
	mov dword [idt_df + 8 * 8], TSS2 << 16
	mov dword [idt_df + 8 * 8 + 4], 0x8500
	mov byte [idt_df + 13 * 8 + 5], 0x0e ; #GP absent
	lidt [idt_ptr]
	; TSS descriptors
	mov ebx, gdt + TSS1
	mov eax, tss1
	call set_base
	mov ebx, gdt + TSS2
	mov eax, tss2
	call set_base
	mov ebx, gdt + TSS3
	mov eax, tss3
	call set_base
	mov ebx, gdt + TSS4
	mov eax, tss4
	call set_base
	mov ebx, gdt + TSS5
	mov eax, tss5
	call set_base
	mov ebx, gdt + TSS6
	mov eax, tss6
	call set_base
	mov ebx, gdt + LDTSEL
	mov eax, ldt
	call set_base
	mov eax, gate_target
	mov [gdt + GATE32], ax
	mov [gdt + GATE16], ax
	mov [gdt + GATE1], ax
	shr eax, 16
	mov [gdt + GATE32 + 6], ax
	mov [gdt + GATE1 + 6], ax
	; the 16-bit gate can only reach 64 KiB: a stub at REALBLOB jumps on
	mov word [gdt + GATE16], gate16_stub - realblob + REALBLOB
	mov esi, realblob
	mov edi, REALBLOB
	mov ecx, realblob_end - realblob
	rep movsb
	; real-mode vectors
	xor edi, edi
	mov eax, REALBLOB + rstubs - realblob
	mov ecx, 256
.ivt:	mov [edi], eax
	add edi, 4
	add eax, 6
	loop .ivt
	; paging structures
	mov edi, page_dir
	mov eax, 0x87
	mov ecx, 1024
.pd:	mov [edi], eax
	add edi, 4
	add eax, 0x400000
	loop .pd
	mov dword [page_dir + 3 * 4], page_tab + 7
	mov dword [page_tab + 4], 0xc01005
	mov dword [page_tab + 8], 0xc02003
	call init_tss
	mov eax, TSS1
	ltr ax
	mov ebp, rows
	jmp run_case

set_base: ; ebx descriptor, eax base
	mov [ebx + 2], ax
	shr eax, 16
	mov [ebx + 4], al
	mov [ebx + 7], ah
	ret

init_tss:
	mov edi, tss1
	xor eax, eax
	mov ecx, (tss_end - tss1) / 4
	rep stosd
	mov dword [tss1 + 4], stack0_top
	mov dword [tss1 + 8], K_DS
	mov dword [tss1 + 12], stack1_top
	mov dword [tss1 + 16], R1_DS
	mov word [tss1 + 0x66], 0x88 ; redirection map at 68h, no I/O map
	mov byte [tss1 + 0x68 + 0x22 / 8], 1 << (0x22 & 7) ; INT 22h is not redirected
	mov esi, tss2
	call .task
	mov dword [tss2 + 0x20], task2_entry
	mov esi, tss3
	call .task
	mov dword [tss3 + 0x50], DS_RO
	mov dword [tss3 + 0x20], task2_entry
	mov esi, tss4
	call .task
	mov dword [tss4 + 0x20], task2_entry
	mov byte [tss4 + 0x64], 1
	mov esi, tss5
	call .task
	mov dword [tss5 + 0x20], task5_entry
	and byte [gdt + TSS5 + 5], ~2
	mov esi, tss6
	call .task
	mov dword [tss6 + 0x20], task6_entry
	and byte [gdt + TSS6 + 5], ~2
	and byte [gdt + TSS1 + 5], ~2
	and byte [gdt + TSS2 + 5], ~2
	and byte [gdt + TSS3 + 5], ~2
	and byte [gdt + TSS4 + 5], ~2
	ret
.task:	mov dword [esi + 4], stack0_top
	mov dword [esi + 8], K_DS
	mov eax, cr3
	mov [esi + 0x1c], eax
	mov dword [esi + 0x24], 2
	mov dword [esi + 0x38], stack2_top
	mov dword [esi + 0x48], K_DS
	mov dword [esi + 0x4c], K_CS
	mov dword [esi + 0x50], K_DS
	mov dword [esi + 0x54], K_DS
	mov dword [esi + 0x58], K_DS
	mov dword [esi + 0x5c], K_DS
	mov word [esi + 0x66], 0x88
	ret

run_case:
	cmp ebp, rows_end
	jae all_done
	mov ebx, [ebp + 8]
	inc dword [n_run]
	mov [saved_row], ebp
	mov dword [got_vec], NONE
	mov dword [got_err], 0
	mov dword [scratch], 0
	mov dword [hook], after_case
	mov dword [0x21 * 4], REALBLOB + rstubs - realblob + 0x21 * 6
	; copy the piece for the modes that live below 1 MiB
	mov esi, [ebp + 4]
	mov edi, LOW
	mov ecx, 256
	rep movsb
	xor eax, eax
	test ebx, F_VME
	jz .a
	or eax, 1
.a:	test ebx, F_PVI
	jz .b
	or eax, 2
.b:	test ebx, F_PAGE
	jz .c
	or eax, 0x10
	mov cr4, eax
	mov eax, page_dir
	mov cr3, eax
	mov eax, cr0
	or eax, 0x80010000
	mov cr0, eax
	jmp .d
.c:	mov cr4, eax
.d:	mov edx, 2
	test ebx, IOPL3
	jz .e
	or edx, 0x3000
.e:	test ebx, F_VIP
	jz .f
	or edx, 1 << 20
.f:	test ebx, F_VIF
	jz .g
	or edx, 1 << 19
.g:	test ebx, F_TF
	jz .h
	or edx, 0x100
.h:	mov eax, [ebp + 4]
	mov esi, scratch
	mov edi, scratch
	xor ecx, ecx
	and ebx, MODE
	jmp [.table + ebx * 4]
	align 4
.table:	dd .kern, .user, .v86, .c16, .real
.kern:	mov esp, stack_top
	push edx
	popfd
	jmp eax
.user:	push U_DS
	push user_stack_top
	push edx
	push U_CS
	push eax
	mov eax, U_DS
	mov ds, eax
	mov es, eax
	mov fs, eax
	mov gs, eax
	iretd
.v86:	or edx, 1 << 17
	push 0 ; GS, FS, DS, ES
	push 0
	push LOWSEG
	push LOWSEG
	push LOWSEG ; SS
	push 0x8000
	push edx
	push LOWSEG
	push 0
	iretd
.c16:	mov eax, DS16
	mov ss, eax
	mov esp, 0x8000 ; the handler addresses its frame with ESP
	mov ds, eax
	mov es, eax
	push dx
	popfw
	jmp LOW16:0
.real:	mov [real_flags], edx
	jmp LOW16R:REALBLOB + real_enter - realblob

after_case:
	cld
	mov eax, K_DS
	mov ds, eax
	mov es, eax
	mov fs, eax
	mov gs, eax
	mov ss, eax
	mov esp, stack_top
	push 2
	popfd
	mov eax, 0x33
	mov cr0, eax
	xor eax, eax
	mov cr4, eax
	mov cr3, eax
	mov dr7, eax
	lldt ax
	lgdt [gdt_ptr]
	lidt [idt_ptr]
	call init_tss
	mov eax, TSS1
	ltr ax
	mov ebp, [saved_row]
	mov eax, [got_vec]
	cmp eax, [ebp + 12]
	jne .bad
	mov eax, [got_err]
	cmp eax, [ebp + 16]
	jne .bad
	cmp dword [ebp + 20], ANY
	je .next
	mov eax, [got_off]
	cmp eax, [ebp + 20]
	je .next
.bad:	inc dword [n_bad]
	mov esi, [ebp]
	call put_str
	mov esi, s_got
	call put_str
	mov eax, [got_vec]
	call put_hex
	mov eax, [got_err]
	call put_hex
	mov esi, s_want
	call put_str
	mov eax, [ebp + 12]
	call put_hex
	mov eax, [ebp + 16]
	call put_hex
	mov esi, s_rip
	call put_str
	mov eax, [got_off]
	call put_hex
	mov esi, s_nl
	call put_str
.next:	add ebp, 24
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
stub_common: ; [esp] vector, error, eip, cs, eflags
	push eax
	push ebx
	mov eax, K_DS
	mov ds, eax
	mov eax, [esp + 8]
	mov ebx, [saved_row]
	cmp eax, 0x81
	je .end
	cmp eax, 3
	jne .real
	mov ecx, [ebx + 8] ; INT3 ends a v8086 piece
	and ecx, MODE
	cmp ecx, V86
	je .end
.real:	mov [got_vec], eax
	mov eax, [esp + 12]
	mov [got_err], eax
	mov eax, [esp + 16]
	mov ecx, [ebx + 8]
	and ecx, MODE
	cmp ecx, V86
	jae .off
	sub eax, [ebx + 4]
.off:	mov [got_off], eax
	mov eax, [esp + 24]
	mov [got_flags], eax
.end:	jmp [hook]

gate_target: ; EIP, CS, parameters, ESP, SS
	mov eax, K_DS
	mov ecx, cs
	test cl, 3
	jnz .ring1
	mov ds, eax
	mov dword [got_vec], 0x100
	mov eax, [esp + 8]
	add eax, [esp + 12]
	mov [got_err], eax
	jmp after_case
.ring1:	mov eax, R1_DS
	mov ds, eax
	mov dword [got_vec], 0x104
	mov eax, ss
	mov [got_err], eax
	int 0x81
task5_entry: ; #SS; the error code is on the stack, EIP in the interrupted task's TSS
	pop dword [got_err]
	mov dword [got_vec], 12
	mov ebx, [saved_row]
	mov eax, [tss1 + 0x20]
	mov ecx, [ebx + 8]
	and ecx, MODE
	cmp ecx, V86
	jae .off
	sub eax, [ebx + 4]
.off:	mov [got_off], eax
	jmp [hook]
task6_entry:
	pop dword [got_err]
	mov dword [got_vec], 10
	jmp [hook]
task2_entry:
	str ax
	movzx eax, ax
	mov dword [got_vec], 0x102
	mov [got_err], eax
	pushfd
	test dword [esp], 0x4000
	jz .jmp
	mov dword [got_vec], 0x103 ; nested
	cmp dword [task_return], 0
	je .jmp
	mov dword [task_return], 0
	mov dword [got_vec], NONE
	mov dword [got_err], 0
	add esp, 4
	iretd
.jmp:	jmp after_case

; ---- below 64 KiB: the way to real mode and back ----
LOW16R equ CS16
realblob:
bits 16
real_enter: ; 16-bit protected mode, flat base 0
	mov ax, DS16
	mov ds, ax
	mov es, ax
	mov fs, ax
	mov gs, ax
	mov ss, ax
	o32 lidt [real_idt - realblob + REALBLOB]
	mov eax, cr0
	and al, ~1
	mov cr0, eax
	jmp 0:real_cs - realblob + REALBLOB
real_cs:
	mov ax, LOWSEG
	mov ds, ax
	mov es, ax
	mov ss, ax
	xor ax, ax
	mov fs, ax
	mov gs, ax
	mov sp, 0x8000
	jmp LOWSEG:0
rstubs:
%assign i 0
%rep 256
	push strict word i
	jmp near real_common
	%assign i i + 1
%endrep
real_common: ; vector, IP, CS, FLAGS; the stack may be anything that took the frame
	cli
	pop ax
	o32 lgdt [cs:low_gdt - realblob + REALBLOB]
	mov bx, ax
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp dword K_CS:real_back
gate16_stub:
	db 0xea ; jmp CS16:... is 16-bit already; go on to 32-bit code
	dw gate16_low - realblob + REALBLOB, CS16
gate16_low:
	jmp dword K_CS:gate16_target
real_idt:
	dw 0x3ff
	dd 0
low_gdt:
	dw GDT_LIMIT
	dd gdt
realblob_end:
bits 32
real_back:
	mov eax, K_DS
	mov ds, eax
	mov ss, eax
	mov esp, stack_top
	movzx eax, bx
	cmp eax, 0x81
	je after_case
	mov [got_vec], eax
	jmp after_case
gate16_target: ; words: IP, CS, parameters, SP, SS
	mov eax, K_DS
	mov ds, eax
	mov dword [got_vec], 0x105
	movzx eax, word [esp + 4]
	mov [got_err], eax
	jmp after_case

	OUTPUT 32

; ================= the cases =================

; --- segment limits and types: vol. 3, 5.3, 5.5 ---
%macro WITH 2 ; segment register, selector
	mov eax, %2
	mov %1, eax
%endmacro
CASE "read up to the limit", KERN, NONE, 0
	WITH fs, SMALL
	mov eax, [fs:0xffc]
END
CASE "read beyond the limit", KERN, 13, 0
	WITH fs, SMALL
	mov eax, [fs:0xffd]
END
CASE "calls and jumps by a pointer in a segment, up to the limit", KERN, NONE, 0
	WITH fs, SMALL
	mov dword [fs:0xff8], %$called
	mov dword [fs:0xffc], %$jumped
	mov ecx, 5000
	xor edi, edi
%$again:
	mov ebx, 0xffc
	call [fs:ebx - 4]
	dec ecx
	jnz %$again
	cmp edi, 5000
	je %$all
	ud2
%$called:
	jmp [fs:ebx]
%$jumped:
	inc edi
	ret
%$all:
END
CASE "the last of many calls by a pointer beyond it", KERN, 13, 0
	WITH fs, SMALL
	mov dword [fs:0xff8], %$called
	mov ecx, 5000
	mov ebx, 0xff8
%$again:
	call [fs:ebx]
	dec ecx
	jnz %$again
	mov ebx, 0xffd
	mov ecx, 2
	jmp %$again
%$called:
	ret
END
CASE "stack beyond the limit", KERN, 12, 0
	WITH ss, SMALL
	mov esp, 0x2000
	push eax
END
CASE "ebp uses ss", KERN, 12, 0
	WITH ss, SMALL
	mov ebp, 0x1000
	mov eax, [ebp]
END
CASE "expand-down inside", KERN, NONE, 0
	WITH fs, DOWN
	mov eax, [fs:0x1000]
END
CASE "expand-down below", KERN, 13, 0
	WITH fs, DOWN
	mov eax, [fs:0xffe]
END
CASE "write through CS", KERN, 13, 0
	mov [cs:scratch], eax
END
CASE "read execute-only", KERN, 13, XONLY
	WITH fs, XONLY
END
CASE "write read-only data", KERN, 13, 0
	WITH fs, DS_RO
	mov [fs:scratch], eax
END
CASE "null segment", KERN, 13, 0
	WITH fs, 0
	mov eax, [fs:0]
END
CASE "null segment, RPL 3", USER, 13, 0
	WITH fs, 3
	mov eax, [fs:0]
END
CASE "popa wraps nothing: limit fault", KERN, 12, 0
	WITH ss, SMALL
	mov esp, 0xff0
	popa
END
CASE "LDT segment", KERN, NONE, 0
	mov eax, LDTSEL
	lldt ax
	WITH fs, 4
	mov dword [fs:scratch], 5
	cmp dword [scratch], 5
	je %$ok
	ud2
%$ok:
END
CASE "les checks the segment", USER, 13, K_DS
	mov dword [esi], 0x1234
	mov word [esi + 4], K_DS
	les eax, [esi]
END
CASE "arpl", KERN, NONE, 0
	mov eax, 0x10
	mov ecx, 3
	arpl ax, cx
	jnz %$bad
	cmp eax, 0x13
	jne %$bad
	arpl ax, cx
	jnz %$ok
%$bad:	ud2
%$ok:
END

; --- privilege ---
AT "cli cpl3", USER, 13, 0, cli
AT "hlt cpl3", USER, 13, 0, hlt
AT "mov cr0 cpl3", USER, 13, 0, {mov cr0, eax}
AT "lgdt cpl3", USER, 13, 0, {lgdt [gdt_ptr]}
AT "in cpl3", USER, 13, 0, {in al, 0x61}
CASE "in cpl3 allowed by the I/O map", KERN, NONE, 0
	; grow the TSS: map at 88h, ports 60h-67h open
	mov word [tss1 + 0x66], 0x88
	mov byte [tss1 + 0x88 + 0x60 / 8], 0
	mov byte [tss1 + 0x88 + 0x60 / 8 + 1], 0xff
	mov dword [hook], %$back
	push U_DS
	push user_stack_top
	push 2
	push U_CS
	push %$user
	mov byte [gdt + TSS1], 0xff ; limit
	and byte [gdt + TSS1 + 5], ~2
	mov eax, TSS1
	ltr ax
	mov eax, U_DS
	mov ds, eax
	iretd
%$user:	in al, 0x61
	int 0x81
%$back:
	mov byte [gdt + TSS1], 0x87
	mov dword [hook], after_case
	cmp dword [got_vec], NONE
	jne after_case
END
CASE "sti cpl3 PVI sets VIF", USER | F_PVI, NONE, 0
	sti
	pushfd
	pop eax
	test eax, 1 << 19
	jnz %$ok
	ud2
%$ok:
END
CASE "cli cpl3 PVI clears VIF", USER | F_PVI | F_VIF, NONE, 0
	cli
	pushfd
	pop eax
	test eax, 1 << 19
	jz %$ok
	ud2
%$ok:
END
AT "sti cpl3 PVI with VIP", USER | F_PVI | F_VIP, 13, 0, sti

; --- gates ---
CASE "call gate with parameters", USER, 0x100, 0x33
	push 0x11
	push 0x22
	call (GATE32 | 3):0
END
CASE "16-bit call gate", USER, 0x105, 0x22
	push word 0x11
	push word 0x22
	call (GATE16 | 3):0
END
CASE "call gate to ring 1", USER, 0x104, R1_DS
	call (GATE1 | 3):0
END
CASE "call gate from ring 0 to ring 1 code", KERN, 13, R1_CS & ~3
	call GATE1:0
END
CASE "retf to ring 3", KERN, 6, 0
	push U_DS
	push user_stack_top
	push U_CS
	push %$user
	retf
%$user:	mov ax, cs
	and al, 3
	cmp al, 3
	jne %$x
	ud2
%$x:
END %$x - %$code - 2

; --- tasks: vol. 3, 7.3 ---
CASE "jmp TSS", KERN, 0x102, TSS2
	jmp TSS2:0
END
CASE "jmp task gate from ring 3", USER, 0x102, TSS2
	jmp (TASKG | 3):0
END
CASE "call TSS and iret back", KERN, NONE, 0
	mov dword [task_return], 1
	mov ebx, 0x12345678
	call TSS2:0
	cmp ebx, 0x12345678
	jne %$bad
	str ax
	cmp ax, TSS1
	jne %$bad
	mov eax, cr0
	test al, 8 ; TS
	jnz %$ok
%$bad:	ud2
%$ok:
END
CASE "int through a task gate", USER, 0x103, TSS2
	int 0x40
END
CASE "double fault through a task gate", KERN, 0x103, TSS2
	lidt [idt_df_ptr]
	WITH fs, 0xfff8
END
CASE "jmp busy TSS", KERN, 13, TSS1
	jmp TSS1:0
END
CASE "jmp TSS cpl3", USER, 13, TSS2
	jmp (TSS2 | 3):0
END
CASE "TSS with a read-only SS: #TS in the new task", KERN, 10, DS_RO
	jmp TSS3:0
END
CASE "T flag: #DB in the new task", KERN, 1, 0
	jmp TSS4:0
END
CASE "iret with NT and a null link", KERN, 10, 0
	push 0x4002
	popfd
	iretd
END

; --- paging, 32-bit ---
AT "read absent", USER | F_PAGE, 14, 4, {mov eax, [V_NONE]}
AT "write read-only cpl3", USER | F_PAGE, 14, 7, {mov [V_RO], eax}
AT "write read-only cpl0 WP", F_PAGE, 14, 3, {mov [V_RO], eax}
AT "supervisor page cpl3", USER | F_PAGE, 14, 5, {mov eax, [V_SUP]}
AT "supervisor page cpl0", F_PAGE, NONE, 0, {mov eax, [V_SUP]}

; --- virtual-8086 mode: vol. 3, 21.2 ---
AT "v86 cli", V86, 13, 0, cli
AT "v86 sti", V86, 13, 0, sti
AT "v86 pushf", V86, 13, 0, pushf
AT "v86 popf", V86, 13, 0, popf
AT "v86 iret", V86, 13, 0, iret
AT "v86 int 21h", V86, 13, 0, int 0x21
AT "v86 int 21h IOPL 3", V86 | IOPL3, 0x21, 0, int 0x21
AT "v86 int 22h IOPL 3, gate DPL 0", V86 | IOPL3, 13, 0x22 * 8 + 2, int 0x22
AT "v86 cli IOPL 3", V86 | IOPL3, NONE, 0, cli
AT "v86 in", V86 | IOPL3, 13, 0, {in al, 0x61}
AT "v86 hlt", V86 | IOPL3, 13, 0, hlt
AT "v86 lgdt", V86, 13, 0, {lgdt [0]}
AT "v86 lldt", V86, 6, 0, lldt ax
AT "v86 str", V86, 6, 0, str ax
AT "v86 arpl", V86, 6, 0, {db 0x63, 0xc0}
AT "v86 verr", V86, 6, 0, verr ax
AT "v86 mov cr0", V86, 13, 0, {mov eax, cr0}
AT "v86 clts", V86, 13, 0, clts
AT "v86 sysexit", V86, 13, 0, sysexit
AT "v86 limit", V86, 13, 0, {mov eax, [0xfffe]}
AT "v86 div 0", V86, 0, 0, {aam 0}
AT "v86 bound", V86, 5, 0, {bound ax, [4]}
CASE "v86 ud2", V86, 6, 0
	ud2
END 0
CASE "v86 far call and ret", V86, NONE, 0
	call LOWSEG:%$sub - %$code
	jmp short %$over
%$sub:	retf
%$over:
END
CASE "v86 segment load", V86, NONE, 0
	mov ax, 0x1234
	mov ds, ax
	mov ax, ds
	cmp ax, 0x1234
	je %$ok
	ud2
%$ok:
END
CASE "v86 stack wrap", V86, 12, 0
	mov sp, 1
	push ax
END
AT "v86 TF", V86 | F_TF, 1, 0, nop

; --- VME: 21.3 ---
CASE "vme cli clears VIF, pushf shows it as IF and IOPL 3", V86 | F_VME | F_VIF, NONE, 0
	pushf
	pop ax
	and ax, 0x3200
	cmp ax, 0x3200
	jne %$bad
	cli
	pushf
	pop ax
	and ax, 0x3200
	cmp ax, 0x3000
	je %$ok
%$bad:	ud2
%$ok:
END
CASE "vme sti", V86 | F_VME, NONE, 0
	sti
	pushf
	pop ax
	test ax, 0x200
	jnz %$ok
	ud2
%$ok:
END
AT "vme sti with VIP", V86 | F_VME | F_VIP, 13, 0, sti
CASE "vme popf IF with VIP", V86 | F_VME | F_VIP, 13, 0
	push word 0x202
	popf
END
CASE "vme popf TF", V86 | F_VME, 13, 0
	push word 0x102
	popf
END
AT "vme pushfd", V86 | F_VME, 13, 0, pushfd
AT "vme popfd", V86 | F_VME, 13, 0, popfd
CASE "vme int 21h is redirected and comes back", V86 | F_VME | F_VIF, NONE, 0
	xor ax, ax
	mov ds, ax
	mov word [0x21 * 4], %$handler - %$code
	mov word [0x21 * 4 + 2], LOWSEG
	int 0x21
	pushf
	pop bx
	test bx, 0x200 ; VIF restored by the IRET
	jz %$bad
	cmp ax, 0x5678
	je %$ok
%$bad:	ud2
%$handler:
	pushf
	pop ax
	test ax, 0x200 ; off in the handler
	jnz %$bad
	mov ax, 0x5678
	iret
%$ok:
END
AT "vme int 22h not redirected", V86 | F_VME, 13, 0, int 0x22
CASE "vme int 21h IOPL 3 is redirected", V86 | F_VME | IOPL3, 6, 0
	xor ax, ax
	mov ds, ax
	mov word [0x21 * 4], %$handler - %$code
	mov word [0x21 * 4 + 2], LOWSEG
	int 0x21
%$handler:
	ud2
END %$handler - %$code

; --- 16-bit protected mode ---
CASE "16-bit stack wraps at 64 KiB", C16, NONE, 0
	xor sp, sp
	push ax
	cmp sp, 0xfffe
	je %$ok
	ud2
%$ok:
END
CASE "16-bit stack: ESP upper half stays", C16, NONE, 0
	mov esp, 0x12348000
	push ax
	cmp esp, 0x12347ffe
	je %$ok
	ud2
%$ok:	mov esp, 0x8000
END
CASE "word across the end of the stack", C16, 12, 0
	mov sp, 1
	push ax
END
CASE "data beyond 64 KiB", C16, 13, 0
	mov eax, [dword 0x10000]
END
CASE "jump beyond the limit", C16, 13, 0
	db 0x66, 0xe9
	dd 0x20000
END
CASE "loop uses CX", C16, NONE, 0
	mov ecx, 0xffff0001
	loop %$bad
	cmp ecx, 0xffff0000
	je %$ok
%$bad:	ud2
%$ok:
END
CASE "effective address wraps at 64 KiB", C16, NONE, 0
	mov bx, 0xfff0
	mov ax, [bx + 0x20]
END
CASE "enter and leave", C16, NONE, 0
	mov bp, 0x4444
	enter 8, 3
	leave
	cmp sp, 0x8000
	jne %$bad
	cmp bp, 0x4444
	je %$ok
%$bad:	ud2
%$ok:
END
CASE "pushad, popad", C16, NONE, 0
	mov edi, 0x87654321
	pushad
	xor edi, edi
	popad
	cmp edi, 0x87654321
	je %$ok
	ud2
%$ok:
END

; --- real mode: no error codes; vol. 3, 21.1 ---
AT "real ud2", REAL, 6, 0, ud2
AT "real div 0", REAL, 0, 0, {aam 0}
AT "real int 21h", REAL, 0x21, 0, int 0x21
AT "real int3", REAL, 3, 0, int3
AT "real limit", REAL, 13, 0, {mov eax, [0xfffe]}
AT "real lldt", REAL, 6, 0, lldt ax
AT "real arpl", REAL, 6, 0, {db 0x63, 0xc0}
AT "real lar", REAL, 6, 0, lar ax, ax
AT "real cli, sti", REAL, NONE, 0, {cli}
CASE "real bound", REAL, 5, 0
	mov word [0x100], 1
	mov word [0x102], 2
	mov ax, 3
	bound ax, [0x100]
END
CASE "real stack wrap in a push", REAL, NONE, 0
	xor sp, sp
	push ax
	cmp sp, 0xfffe
	je %$ok
	ud2
%$ok:	mov sp, 0x8000
END
CASE "real iret", REAL, NONE, 0
	pushf
	push cs
	push word %$here - %$code
	iret
%$here:
END
CASE "real single step", REAL, 1, 0
	pushf
	pop ax
	or ax, 0x100
	push ax
	popf
	nop
	ud2
END
CASE "real pushf, popf keep IOPL and NT", REAL, NONE, 0
	push word 0x7002
	popf
	pushf
	pop ax
	and ax, 0xf000
	push word 2
	popf
	cmp ax, 0x7000
	je %$ok
	ud2
%$ok:
END
CASE "unreal: the limit survives", REAL, NONE, 0
	o32 lgdt [cs:%$ptr - %$code]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp short %$pm
%$pm:	mov bx, K_DS
	mov ds, bx
	and al, ~1
	mov cr0, eax
	jmp short %$rm
%$rm:	xor bx, bx
	mov ds, bx
	mov dword [dword scratch], 0x11223344
	cmp dword [dword scratch], 0x11223344
	je %$ok
	ud2
%$ptr:	dw GDT_LIMIT
	dd gdt
%$ok:
END

section .rodata
s_got: db ": got ", 0
s_want: db "want ", 0
s_rip: db "at +", 0
s_nl: db 10, 0
s_run: db "cases, ", 0
s_bad: db "failed", 10, 0
align 8
gdt_ptr: dw GDT_LIMIT
	dd gdt
idt_ptr: dw 0x7ff
	dd idt
idt_df_ptr: dw 0x7ff
	dd idt_df
section .rowsend
rows_end:
section .data
gdt:	dq 0
	dq 0x00cf9b000000ffff ; 08
	dq 0x00cf93000000ffff ; 10
	dq 0x00cffb000000ffff ; 18
	dq 0x00cff3000000ffff ; 20
	dq 0x0000890000000087 ; 28 TSS1, with the redirection map
	dq 0x0000890000000087 ; 30 TSS2
	dq 0x00009b000000ffff ; 38 CS16
	dq 0x000093000000ffff ; 40 DS16
	dq 0x0040930000000fff ; 48 SMALL
	dq 0x0040970000000fff ; 50 DOWN
	dq 0x00cf99000000ffff ; 58 XONLY
	dq 0x0000ec0200080000 ; 60 GATE32
	dq 0x0000e40200380000 ; 68 GATE16
	dq 0x0000e50000300000 ; 70 TASKG
	dq 0x0000890000000087 ; 78 TSS3
	dq 0x00cfbb000000ffff ; 80 R1_CS
	dq 0x00cfb3000000ffff ; 88 R1_DS
	dq 0x0000ec0000800000 ; 90 GATE1
	dq 0x0000820000000007 ; 98 LDT
	dq 0x00cf91000000ffff ; a0 DS_RO
	dq 0x00009b020000ffff ; a8 LOW16
	dq 0x0000890000000087 ; b0 TSS4
	dq 0x0000890000000087 ; b8 TSS5
	dq 0x0000890000000087 ; c0 TSS6
ldt:	dq 0x00cf93000000ffff
image_end:

section .bss
page_dir: resb 4096
page_tab: resb 4096
idt:	resb 2048
idt_df:	resb 2048
tss1:	resb 256
tss2:	resb 256
tss3:	resb 256
tss4:	resb 256
tss5:	resb 256
tss6:	resb 256
tss_end:
saved_row: resd 1
got_vec: resd 1
got_err: resd 1
got_off: resd 1
got_flags: resd 1
hook:	resd 1
scratch: resd 4
task_return: resd 1
real_flags: resd 1
n_run:	resd 1
n_bad:	resd 1
	resb 4096
stack_top:
	resb 4096
stack0_top:
	resb 4096
stack1_top:
	resb 4096
stack2_top:
	resb 4096
user_stack_top:
bss_end:

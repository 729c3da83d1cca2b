; SPDX-License-Identifier: Apache-2.0
;
; What single system events cost: a kernel without an operating system that repeats each of them for a
; millisecond, thirty times, and prints the nanoseconds of one. Its clock is the time stamp counter, whose frequency
; it measures against channel 2 of the 8254 (1,193,182 Hz). Runs anywhere a Multiboot kernel does.
;
; With #NN on its command line it repeats the test of that number for ever (for profiles).
;
; Memory: 1 GiB mapped one to one with 2 MiB pages, for the kernel; WINDOW has 4 KiB pages of the
; kernel's, and from USER on this program once more, for user mode. SMAP is on.
; Intel SDM vol. 3: 6.14 (64-bit interrupts), 5.8.8 (SYSCALL), 4.5 (paging), 11.8.5 (EOI); 8254 231164.

	bits 32
	org 0x100000
image:	dd 0x1badb002, 1 << 16, -(0x1badb002 + (1 << 16))
	dd image, image, 0, bss_end, entry

PML4	equ 0x200000
PDPT	equ PML4 + 0x1000
PD	equ PML4 + 0x2000
PD2	equ PML4 + 0x3000	; of WINDOW
PT	equ PML4 + 0x4000
PD3	equ PML4 + 0x5000	; 3-4 GiB: devices
WINDOW	equ 0x40000000
PAGES	equ 0x300000		; what WINDOW shows
STACK	equ 0x280000
USER	equ WINDOW + 0x180000	; user mode's view of 100000h
USTACK	equ USER + 0x70000
GAP	equ WINDOW + 0x101000	; nothing is mapped here
%define IN_USER(label) (label - image + USER)
LAPIC	equ 0xfee00000
IOAPIC	equ 0xfec00000
K64	equ 0x08
KDS	equ 0x10
UDS	equ 0x1b
U64	equ 0x23
TSS	equ 0x28

entry:	cli
	cld
	mov esi, [ebx + 16] ; Multiboot: the command line
.find:	lodsb
	cmp al, '#'
	je .only
	test al, al
	jnz .find
	jmp .masks
.only:	lodsb ; two digits: this test alone, again and again
	sub al, '0'
	movzx eax, al
	imul ecx, eax, 10
	lodsb
	sub al, '0'
	add al, cl
	mov [only], al
.masks:	mov al, 0xff ; the PICs are not used
	out 0x21, al
	out 0xa1, al
	mov edi, PML4
	mov ecx, 0x6000 / 4
	xor eax, eax
	rep stosd
	mov dword [PML4], PDPT | 7
	mov dword [PDPT], PD | 7
	mov dword [PDPT + 8], PD2 | 7
	mov dword [PDPT + 24], PD3 | 7
	mov dword [PD2], PT | 7
	mov edi, PD
	mov eax, 0x83
.pd:	mov [edi], eax
	add eax, 0x200000
	add edi, 8
	cmp edi, PD + 0x1000
	jb .pd
	mov edi, PD3
	mov eax, 0xc0000083
.pd3:	mov [edi], eax
	add eax, 0x200000
	add edi, 8
	cmp edi, PD3 + 0x1000
	jb .pd3
	mov edi, PT
	mov eax, PAGES | 3
.pt:	mov [edi], eax
	add eax, 0x1000
	add edi, 8
	cmp edi, PT + 256 * 8
	jb .pt
	mov edi, PT + 384 * 8
	mov eax, 0x100007
.user:	mov [edi], eax
	add eax, 0x1000
	add edi, 8
	cmp edi, PT + 512 * 8
	jb .user
	; PAE, PGE, OSFXSR, SMAP
	mov eax, 0x2002a0
	mov cr4, eax
	mov eax, PML4
	mov cr3, eax
	mov ecx, 0xc0000080
	mov eax, 0x101 ; LME, SCE
	xor edx, edx
	wrmsr
	mov eax, 0x80000011
	mov cr0, eax
	lgdt [gdt_ptr]
	jmp K64:long_mode

	bits 64
	default rel
%macro GATE 3 ; vector, DPL, handler
	mov rax, %3
	lea rdi, [idt + %1 * 16]
	mov [rdi], ax
	mov word [rdi + 2], K64
	mov word [rdi + 4], 0x8e00 | %2 << 13
	shr rax, 16
	mov [rdi + 6], ax
	shr rax, 16
	mov [rdi + 8], eax
%endmacro
%macro MSR 2
	mov ecx, %1
	mov rax, %2
	mov rdx, rax
	shr rdx, 32
	wrmsr
%endmacro

long_mode:
	mov ax, KDS
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov esp, STACK
	mov rax, tss
	mov [gdt + TSS + 2], ax
	shr eax, 16
	mov [gdt + TSS + 4], al
	mov [gdt + TSS + 7], ah
	mov ax, TSS
	ltr ax
	GATE 13, 0, on_gp
	GATE 14, 0, on_fault
	GATE 0x80, 3, on_int
	GATE 0x81, 3, on_back
	GATE 0x82, 0, on_ipi
	lidt [idt_ptr]
	MSR 0xc0000081, 0x0010000800000000 ; STAR: SYSRET to 23h and 1bh
	MSR 0xc0000082, on_syscall
	MSR 0xc0000084, 0x700
	mov ebx, LAPIC
	mov dword [rbx + 0xf0], 0x1ff
	call calibrate
	mov ebp, tests
.next:	movsx eax, byte [only]
	test eax, eax
	js .all
	shl eax, 4
	lea ebp, [tests + rax]
.all:	mov rax, [rbp]
	test rax, rax
	jz .done
	mov esi, [rbp + 8]
	call measure
	add ebp, 16
	jmp .next
.done:	mov al, 0x10
	out 0xf4, al
	mov dx, 0x604 ; QEMU's ACPI: soft off
	mov ax, 0x2000
	out dx, ax
	hlt

; rax = function that does it ecx times, esi = name. A run lasts a millisecond or more, so that most
; runs are not disturbed by whatever else the host does; the best of 30 counts.
measure:
	mov [what], rax
	call puts
	mov dword [count], 8
.grow:	shl dword [count], 1
	call once
	mov rbx, [ticks_20ms]
	shr rbx, 4
	cmp rax, rbx
	jb .grow
	mov [best], rax
	mov dword [left], 30
.again:	call once
	cmp byte [only], 0
	jge .again
	cmp rax, [best]
	cmova rax, [best]
	mov [best], rax
	dec dword [left]
	jnz .again
	; ns = ticks * 20,000,000 / ticks in 20 ms / count, here in hundredths
	mov ecx, 2000000000
	mul rcx
	div qword [ticks_20ms]
	xor edx, edx
	mov ecx, [count]
	div rcx
	mov ebx, LAPIC
	jmp putnum
once:	push rbp
	rdtsc
	shl rdx, 32
	or rax, rdx
	mov [began], rax
	mov ecx, [count]
	call [what]
	rdtsc
	shl rdx, 32
	or rax, rdx
	sub rax, [began]
	pop rbp
	ret

calibrate: ; the least of eight tries: a late look makes it more
	mov qword [ticks_20ms], -1
	mov ebp, 8
.try:	call ticks
	cmp rax, [ticks_20ms]
	cmova rax, [ticks_20ms]
	mov [ticks_20ms], rax
	dec ebp
	jnz .try
	ret
ticks:	; of the TSC in 20 ms
	in al, 0x61
	and al, 0xfc
	out 0x61, al
	mov al, 0xb0 ; channel 2, mode 0
	out 0x43, al
	mov al, 23864 & 255
	out 0x42, al
	mov al, 23864 >> 8
	out 0x42, al
	in al, 0x61
	or al, 1
	out 0x61, al
	rdtsc
	shl rdx, 32
	or rax, rdx
	mov rbx, rax
.wait:	in al, 0x61
	test al, 0x20
	jz .wait
	rdtsc
	shl rdx, 32
	or rax, rdx
	sub rax, rbx
	ret

puts:	lodsb
	test al, al
	jz .done
	call putc
	jmp puts
.done:	ret
putc:	mov ah, al
	mov dx, 0x3fd
.wait:	in al, dx
	test al, 0x20
	jz .wait
	mov al, ah
	mov dx, 0x3f8
	out dx, al
	ret
putnum:	; rax / 100 with two places, and a newline
	mov edi, number_end
	mov ecx, 10
	mov byte [rdi], 10
	mov ebx, 0
.digit:	xor edx, edx
	div rcx
	add dl, '0'
	dec edi
	mov [rdi], dl
	inc ebx
	cmp ebx, 2
	jne .nodot
	dec edi
	mov byte [rdi], '.'
.nodot:	cmp ebx, 3
	jb .digit
	test rax, rax
	jnz .digit
	mov esi, edi
	jmp puts

; ---- handlers ----
on_gp:	mov esi, text_gp
	call puts
	mov al, 1
	out 0xf4, al
	hlt
on_fault:
	add rsp, 8
	mov [rsp], r12 ; where to go on
	iretq
on_int:	iretq
on_ipi:	mov dword [rbx + 0xb0], 0
	iretq
on_back: ; from user mode to the kernel's stack as to_user left it
	mov rsp, [kernel_rsp]
	mov ax, KDS
	mov ss, ax
	ret
on_syscall:
	o64 sysret
to_user: ; rax = where
	mov [kernel_rsp], rsp
	push UDS
	push USTACK
	push 2
	push U64
	push rax
	iretq

; ---- what is measured: ecx times ----
%macro LOOP 0
	dec ecx
	jnz .loop
	ret
%endmacro
t_nothing:
.loop:	LOOP
t_int:
.loop:	int 0x80
	LOOP
t_fault:
	mov r12, .on
	mov eax, GAP
.loop:	mov edx, [rax]
.on:	LOOP
t_user_int:
	mov eax, IN_USER(.user)
	jmp to_user
.user:
.loop:	int 0x80
	dec ecx
	jnz .loop
	int 0x81
t_user_fault:
	mov r12, IN_USER(.on)
	mov eax, IN_USER(.user)
	jmp to_user
.user:	mov eax, GAP
.loop:	mov edx, [rax]
.on:	dec ecx
	jnz .loop
	int 0x81
t_syscall:
	mov r8d, ecx
	mov eax, IN_USER(.user)
	jmp to_user
.user:
.loop:	syscall
	dec r8d
	jnz .loop
	int 0x81
t_demand: ; #PF whose handler maps the page, the access again, unmap
	mov r12, .map
	mov eax, WINDOW + 0x100000
.loop:	mov edx, [rax]
	mov qword [abs PT + 256 * 8], 0
	invlpg [rax]
	LOOP
.map:	mov qword [abs PT + 256 * 8], PAGES | 3
	jmp .loop
t_cr3:	mov rax, cr3
.loop:	mov cr3, rax
	LOOP
t_cr3_64:
	mov rax, cr3
.loop:	mov cr3, rax
	mov edi, WINDOW
	%assign i 0
	%rep 64
	mov edx, [rdi + i * 4096]
	%assign i i + 1
	%endrep
	LOOP
t_invlpg:
	mov edi, WINDOW
.loop:	invlpg [rdi]
	LOOP
t_invlpg_touch:
	mov edi, WINDOW
.loop:	invlpg [rdi]
	mov edx, [rdi]
	LOOP
t_in:	mov dx, 0x3fd
.loop:	in al, dx
	LOOP
t_out:	mov dx, 0x3ff
.loop:	out dx, al
	LOOP
t_mmio:	mov edi, IOAPIC
.loop:	mov eax, [rdi]
	LOOP
t_lapic:
	mov edi, LAPIC
.loop:	mov eax, [rdi + 0x30]
	LOOP
t_ipi:	; to itself, with interrupts on: request, delivery, EOI, IRET
	mov ebx, LAPIC
	sti
.loop:	mov dword [rbx + 0x300], 0x40082
	dec ecx
	jnz .loop
	cli
	ret
t_code:	mov edi, PAGES + 0x10000
	mov word [rdi], 0xc3c0 ; the last bytes of MOV EAX, imm32 and RET
	mov dword [rdi], 0x000000b8
	mov word [rdi + 4], 0xc300
.loop:	mov [rdi + 1], ecx
	call rdi
	LOOP
t_near_code: ; a store to data next to code that runs
	mov edi, PAGES + 0x11000
	mov byte [rdi], 0xc3
.loop:	mov [rdi + 2048], ecx
	call rdi
	LOOP
t_wrmsr:
	push rcx
	mov r8d, ecx
	mov ecx, 0xc0000101
	xor eax, eax
	xor edx, edx
.loop:	wrmsr
	dec r8d
	jnz .loop
	pop rcx
	ret
t_rdmsr:
	mov r8d, ecx
	mov ecx, 0xc0000101
.loop:	rdmsr
	dec r8d
	jnz .loop
	ret
t_swapgs:
.loop:	swapgs
	LOOP
t_cli:
.loop:	cli
	sti
	dec ecx
	jnz .loop
	cli
	ret
t_popf:
.loop:	pushfq
	popfq
	LOOP
t_stac:
.loop:	stac
	clac
	LOOP
t_user_access:
	mov edi, USER
.loop:	stac
	mov edx, [rdi]
	clac
	LOOP
t_rdtsc:
.loop:	rdtsc
	LOOP
t_cpuid:
	mov r8d, ecx
	mov r9, rbx
.loop:	xor eax, eax
	cpuid
	dec r8d
	jnz .loop
	mov rbx, r9
	ret
t_rcr:
.loop:	mov rax, cr0
	mov rax, cr2
	LOOP
t_seg:	mov eax, KDS
.loop:	mov es, eax
	LOOP
t_retf:	mov eax, .loop
.loop:	dec ecx
	jz .done
	push K64
	push rax
	o64 retf
.done:	ret

%macro TEST 2
	section .names
%%name:	db %2, ": ", 0
	section .tests
	dq %1, %%name
	section .text
%endmacro
	section .tests align=16
tests:
	section .names
	section .text
	TEST t_nothing, "loop"
	TEST t_int, "int+iret"
	TEST t_fault, "#PF+iret"
	TEST t_user_int, "user int+iret"
	TEST t_user_fault, "user #PF+iret"
	TEST t_syscall, "syscall+sysret"
	TEST t_demand, "#PF+map+touch+invlpg"
	TEST t_cr3, "CR3 write"
	TEST t_cr3_64, "CR3 write+64 pages"
	TEST t_invlpg, "invlpg"
	TEST t_invlpg_touch, "invlpg+touch"
	TEST t_in, "port in"
	TEST t_out, "port out"
	TEST t_mmio, "MMIO read"
	TEST t_lapic, "LAPIC read"
	TEST t_ipi, "IPI to itself"
	TEST t_code, "store-to-code+call"
	TEST t_near_code, "store near code+call"
	TEST t_wrmsr, "wrmsr gs base"
	TEST t_rdmsr, "rdmsr gs base"
	TEST t_swapgs, "swapgs"
	TEST t_cli, "cli+sti"
	TEST t_popf, "pushf+popf"
	TEST t_stac, "stac+clac"
	TEST t_user_access, "stac+user access+clac"
	TEST t_rdtsc, "rdtsc"
	TEST t_cpuid, "cpuid"
	TEST t_rcr, "read CR0+CR2"
	TEST t_seg, "mov es"
	TEST t_retf, "push+push+retf"
	section .tests
	dq 0

	section .vars align=16
gdt:	dq 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00cff3000000ffff, 0x00affb000000ffff
	dw 103, 0
	db 0, 0x89, 0, 0
	dq 0
gdt_ptr: dw gdt_ptr - gdt - 1
	dd gdt
	dd 0
	align 16
tss:	dd 0
	dq STACK - 0x1000
	times 92 db 0
idt_ptr: dw 0x83 * 16 - 1
	dq idt
	align 16
idt:	times 0x83 * 16 db 0
	align 16
what:	dq 0
began:	dq 0
best:	dq 0
ticks_20ms: dq 0
kernel_rsp: dq 0
count:	dd 0
left:	dd 0
only:	db -1
number:	times 32 db 0
number_end: db 0, 0
text_gp: db "general protection", 10, 0
	align 16
	section .bss
	resb 16
bss_end:

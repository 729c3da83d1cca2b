; SPDX-License-Identifier: Apache-2.0
; Wakes every processor of the MADT with INIT and SIPI (MultiProcessor Specification 1.4, B.4), each
; one counts itself under a lock, then takes an IPI and counts again.
; run: --machine pc -c 1
; run: --machine pc -c 4
; run: --machine microvm -c 16
; expect: awake
; expect: all have answered
%include "rt.inc"
LAPIC	equ 0xfee00000
TRAMPOLINE equ 0x8000
	MULTIBOOT
start:	mov esp, stack_top
	call count_cpus
	; the trampoline to its page
	mov esi, trampoline
	mov edi, TRAMPOLINE
	mov ecx, trampoline_end - trampoline
	rep movsb
	lidt [idt_ptr]
	mov eax, on_ipi
	mov [idt + 0x40 * 8], ax
	mov word [idt + 0x40 * 8 + 2], 0x08
	mov word [idt + 0x40 * 8 + 4], 0x8e00
	shr eax, 16
	mov [idt + 0x40 * 8 + 6], ax
	mov dword [LAPIC + 0xf0], 0x1ff
	; INIT, SIPI, SIPI to all but self
	mov dword [LAPIC + 0x300], 0x000c4500
	call short_wait
	mov dword [LAPIC + 0x300], 0x000c4600 | TRAMPOLINE >> 12
	call short_wait
	mov dword [LAPIC + 0x300], 0x000c4600 | TRAMPOLINE >> 12
	mov ebx, [n_cpus]
	dec ebx
.wake:	pause
	cmp [awake], ebx
	jb .wake
	PUTS "awake"
	mov eax, [n_cpus]
	call putdec
	; fixed IPI, vector 40h, to all but self
	mov dword [LAPIC + 0x300], 0x000c4040
.answer: pause
	cmp [answered], ebx
	jb .answer
	PUTS "all have answered"
	EXIT 16
short_wait:
	mov ecx, 100000
.loop:	pause
	loop .loop
	ret
; processors of the MADT: RSDP at e0000h, XSDT
count_cpus:
	mov esi, [0xe0000 + 24]
	mov ecx, [esi + 4]
	add ecx, esi
	add esi, 36
.table:	cmp esi, ecx
	FAIL_IF ae, "no MADT"
	mov edi, [esi]
	add esi, 8
	cmp dword [edi], "APIC"
	jne .table
	mov ecx, [edi + 4]
	add ecx, edi
	add edi, 44
.entry:	cmp edi, ecx
	jae .done
	cmp byte [edi], 0
	jne .next
	inc dword [n_cpus]
.next:	movzx eax, byte [edi + 1]
	add edi, eax
	jmp .entry
.done:	ret
on_ipi:	lock inc dword [answered]
	mov dword [LAPIC + 0xb0], 0
	iret
ap32:	mov ax, 0x18
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov eax, 4096
	lock xadd [ap_stack], eax
	lea esp, [eax + 4096]
	lidt [idt_ptr]
	mov dword [LAPIC + 0xf0], 0x1ff
	sti
	lock inc dword [awake]
.idle:	hlt
	jmp .idle
trampoline:
	bits 16
	cli
	xor ax, ax
	mov ds, ax
	o32 lgdt [cs:gdt_ptr - trampoline]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp dword 0x08:ap32
	align 4
gdt_ptr: dw 31
	dd TRAMPOLINE + gdt - trampoline
	align 8
gdt:	dq 0, 0x00cf9b000000ffff, 0x00cf9b000000ffff, 0x00cf93000000ffff
trampoline_end:
	bits 32
	RUNTIME
	align 8
idt_ptr: dw 0x41 * 8 - 1
	dd idt
n_cpus:	dd 0
awake:	dd 0
answered: dd 0
ap_stack: dd 0x200000
	align 8
idt:	times 0x41 * 8 db 0
	BSS

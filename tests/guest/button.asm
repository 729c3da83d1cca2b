; SPDX-License-Identifier: Apache-2.0
; SIGTERM to bothy is the power button to the guest: PWRBTN_STS with an SCI on IRQ 9, level-triggered
; through the IOAPIC (ACPI 6.4, 4.8.3.2.2.1). The guest answers with soft-off.
; signal: TERM
; status: 0
; expect: waiting
; expect: button
%include "rt.inc"
LAPIC	equ 0xfee00000
IOAPIC	equ 0xfec00000
	MULTIBOOT
start:	mov esp, stack_top
	mov eax, on_sci
	mov [idt + 0x30 * 8], ax
	mov word [idt + 0x30 * 8 + 2], 0x10
	mov word [idt + 0x30 * 8 + 4], 0x8e00
	shr eax, 16
	mov [idt + 0x30 * 8 + 6], ax
	lidt [idt_ptr]
	mov esi, [0xe0000 + 24]
	add esi, 36
.table:	mov edi, [esi]
	add esi, 8
	cmp dword [edi], "FACP"
	jne .table
	mov eax, [edi + 56]
	mov [pm1_evt], eax
	mov eax, [edi + 64]
	mov [pm1_cnt], eax
	mov dword [LAPIC + 0xf0], 0x1ff
	mov dword [IOAPIC], 0x10 + 9 * 2 + 1
	mov dword [IOAPIC + 0x10], 0
	mov dword [IOAPIC], 0x10 + 9 * 2
	mov dword [IOAPIC + 0x10], 0x8030 ; level, high, vector 30h
	mov dx, [pm1_evt]
	add dx, 2
	mov ax, 0x100 ; PWRBTN_EN
	out dx, ax
	PUTS "waiting"
	sti
.idle:	hlt
	jmp .idle
on_sci:	mov dx, [pm1_evt]
	in ax, dx
	test ax, 0x100
	FAIL_IF z, "SCI without PWRBTN_STS"
	mov ax, 0x100
	out dx, ax
	PUTS "button"
	mov dx, [pm1_cnt]
	mov ax, 1 << 13 | 1
	out dx, ax
	jmp $
	RUNTIME
	align 8
idt_ptr: dw 0x31 * 8 - 1
	dd idt
pm1_evt: dd 0
pm1_cnt: dd 0
	align 8
idt:	times 0x31 * 8 db 0
	BSS

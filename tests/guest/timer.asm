; SPDX-License-Identifier: Apache-2.0
; Ten ticks of the PIT through the 8259s and LINT0 (virtual wire), then five of the LAPIC timer, then
; five of the PIT through the IOAPIC. 8254 231164, 8259A 231468, SDM vol. 3, 11.5.4, 82093AA 290566.
; expect: 8259
; expect: lapic timer
; expect: ioapic
%include "rt.inc"
LAPIC	equ 0xfee00000
IOAPIC	equ 0xfec00000
	MULTIBOOT
%macro GATE 2
	mov eax, %2
	mov [idt + %1 * 8], ax
	mov word [idt + %1 * 8 + 2], 0x10
	mov word [idt + %1 * 8 + 4], 0x8e00
	shr eax, 16
	mov [idt + %1 * 8 + 6], ax
%endmacro
start:	mov esp, stack_top
	GATE 0x20, on_pic
	GATE 0x41, on_lapic
	GATE 0x42, on_ioapic
	lidt [idt_ptr]
	mov al, 0x11
	out 0x20, al
	out 0xa0, al
	mov al, 0x20
	out 0x21, al
	mov al, 0x28
	out 0xa1, al
	mov al, 4
	out 0x21, al
	mov al, 2
	out 0xa1, al
	mov al, 1
	out 0x21, al
	out 0xa1, al
	mov al, 0xfe
	out 0x21, al
	mov al, 0xff
	out 0xa1, al
	mov al, 0x34 ; channel 0, mode 2: 1 kHz
	out 0x43, al
	mov al, 0xa9
	out 0x40, al
	mov al, 0x04
	out 0x40, al
	sti
	WAIT ticks, 10
	PUTS "8259"
	mov al, 0xff
	out 0x21, al
	mov dword [LAPIC + 0xf0], 0x1ff
	mov dword [LAPIC + 0x3e0], 0x0b ; divide by 1
	mov dword [LAPIC + 0x320], 0x20041 ; periodic
	mov dword [LAPIC + 0x380], 100000
	WAIT lapic_ticks, 5
	PUTS "lapic timer"
	mov dword [LAPIC + 0x320], 0x10000
	mov dword [IOAPIC], 0x15 ; pin 2, high
	mov dword [IOAPIC + 0x10], 0
	mov dword [IOAPIC], 0x14
	mov dword [IOAPIC + 0x10], 0x42
	WAIT io_ticks, 5
	PUTS "ioapic"
	EXIT 16
on_pic:	push eax
	inc dword [ticks]
	mov al, 0x20
	out 0x20, al
	pop eax
	iret
on_lapic:
	inc dword [lapic_ticks]
	mov dword [LAPIC + 0xb0], 0
	iret
on_ioapic:
	inc dword [io_ticks]
	mov dword [LAPIC + 0xb0], 0
	iret
	RUNTIME
	align 8
idt_ptr: dw 0x43 * 8 - 1
	dd idt
ticks:	dd 0
lapic_ticks: dd 0
io_ticks: dd 0
	align 8
idt:	times 0x43 * 8 db 0
	BSS

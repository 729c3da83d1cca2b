; SPDX-License-Identifier: Apache-2.0
; The AT's timer, clock and interrupt controllers as DOS programs use them, with interrupts that reach a processor:
; 8254 231164 (modes 0, 2 and 3, latch, read-back), 8259A 231468 (automatic EOI, special mask, poll), MC146818A
; (periodic, update-ended and alarm interrupts, UIP, BCD and binary).
; run: --machine pc
; run: --machine q35
; expect: automatic end of interrupt
; expect: nested without special mask: none
; expect: special mask
; expect: poll
; expect: one-shot
; expect: latch
; expect: read-back
; expect: speaker gate
; expect: periodic
; expect: update-ended
; expect: alarm
; expect: formats
%include "rt.inc"
	MULTIBOOT
%macro GATE 2
	mov eax, %2
	mov [idt + %1 * 8], ax
	mov word [idt + %1 * 8 + 2], 0x10
	mov word [idt + %1 * 8 + 4], 0x8e00
	shr eax, 16
	mov [idt + %1 * 8 + 6], ax
%endmacro
%macro OUT8 2
	mov al, %2
	out %1, al
%endmacro
%macro CMOS 2 ; register, value
	OUT8 0x70, %1
	OUT8 0x71, %2
%endmacro
%macro CMOS_GET 1
	OUT8 0x70, %1
	in al, 0x71
%endmacro
%macro PIC 1 ; ICW4 of the first one
	OUT8 0x20, 0x11
	OUT8 0xa0, 0x11
	OUT8 0x21, 0x20
	OUT8 0xa1, 0x28
	OUT8 0x21, 4
	OUT8 0xa1, 2
	OUT8 0x21, %1
	OUT8 0xa1, 1
%endmacro
%macro PIT 2 ; control word of channel 0, count
	OUT8 0x43, %1
	OUT8 0x40, (%2) & 0xff
	OUT8 0x40, (%2) >> 8
%endmacro
start:	mov esp, stack_top
	GATE 0x20, on_timer
	GATE 0x28, on_clock
	lidt [idt_ptr]
	; automatic EOI: interrupts go on although nobody ends one
	PIC 3
	OUT8 0x21, 0xfe
	OUT8 0xa1, 0xff
	PIT 0x34, 2000
	sti
	WAIT ticks, 5
	cli
	PUTS "automatic end of interrupt"
	; one interrupt of line 0 stays in service: line 8, which is lower, has to wait
	PIC 1
	OUT8 0x21, 0xfa
	OUT8 0xa1, 0xfe
	CMOS 0x0a, 0x26
	CMOS 0x0b, 0x42	; periodic, 1024 Hz, BCD, 24 hours
	CMOS_GET 0x0c
	mov dword [ticks], 0
	sti
	WAIT ticks, 1
	mov dword [clocks], 0	; some may have come before
	call pause
	cmp dword [clocks], 0
	FAIL_IF ne, "FAILED: line 8 while line 0 is in service"
	PUTS "nested without special mask: none"
	; special mask: line 0, masked, holds nobody back
	cli
	OUT8 0x21, 0xfb
	OUT8 0x20, 0x68
	sti
	WAIT clocks, 3
	cli
	PUTS "special mask"
	OUT8 0x20, 0x48
	; poll: the first controller tells of line 0 and takes it into service
	PIC 1
	OUT8 0x21, 0xfe
	OUT8 0xa1, 0xff
	PIT 0x34, 2000
	call pause
	mov ecx, 100000	; mode 2 takes its request away for the last clock of each period
.poll:	OUT8 0x20, 0x0c
	in al, 0x20
	test al, 0x80
	loopz .poll
	cmp al, 0x80
	FAIL_IF ne, "FAILED: poll"
	OUT8 0x20, 0x0b	; in-service register
	in al, 0x20
	cmp al, 1
	FAIL_IF ne, "FAILED: in service after a poll"
	OUT8 0x20, 0x60	; specific EOI
	in al, 0x20
	test al, al
	FAIL_IF ne, "FAILED: in service after its end"
	PUTS "poll"
	; mode 0: one interrupt, and no more
	PIT 0x30, 3000
	OUT8 0x20, 0x20
	PIC 3
	OUT8 0x21, 0xfe
	mov dword [ticks], 0
	sti
	WAIT ticks, 1
	call pause
	cli
	cmp dword [ticks], 1
	FAIL_IF ne, "FAILED: mode 0 interrupts again"
	PUTS "one-shot"
	; a latched count stays until it has been read; the next is lower
	PIT 0x34, 0xffff
	OUT8 0x43, 0
	call count
	mov ebx, eax
	OUT8 0x43, 0
	call short_pause
	OUT8 0x43, 0	; without effect
	call count
	mov esi, eax
	OUT8 0x43, 0
	call count
	cmp ebx, esi
	FAIL_IF b, "FAILED: counts upward"
	cmp esi, eax
	FAIL_IF b, "FAILED: a latched count changed"
	PUTS "latch"
	; read-back of status: mode 2, both bytes, count loaded; then of the count as well, status first
	OUT8 0x43, 0xe2
	in al, 0x40
	and al, 0x7f
	cmp al, 0x34
	FAIL_IF ne, "FAILED: status"
	OUT8 0x43, 0xc2
	in al, 0x40
	and al, 0x7f
	cmp al, 0x34
	FAIL_IF ne, "FAILED: status before count"
	call count
	PUTS "read-back"
	; channel 2 counts while its gate (port 61h bit 0) is open; its output is bit 5
	OUT8 0x43, 0xb6
	OUT8 0x42, 0
	OUT8 0x42, 1
	in al, 0x61
	and al, 0xfc
	out 0x61, al
	mov ecx, 20000
.closed: in al, 0x61
	test al, 0x20
	FAIL_IF e, "FAILED: output moves with the gate closed"
	loop .closed
	in al, 0x61
	or al, 1
	out 0x61, al
.high:	in al, 0x61
	test al, 0x20
	jnz .high
.low:	in al, 0x61
	test al, 0x20
	jz .low
	PUTS "speaker gate"
	; the clock's interrupts; each is taken by reading register C
	PIC 1
	OUT8 0x21, 0xfb
	OUT8 0xa1, 0xfe
	CMOS_GET 0x0c
	mov dword [clocks], 0
	mov byte [causes], 0
	sti
	WAIT clocks, 20
	cli
	test byte [causes], 0x40
	FAIL_IF e, "FAILED: cause of periodic interrupts"
	PUTS "periodic"
	CMOS 0x0b, 0x12
	CMOS_GET 0x0c
	mov dword [clocks], 0
	mov byte [causes], 0
	sti
	WAIT clocks, 1
	cli
	test byte [causes], 0x10
	FAIL_IF e, "FAILED: cause of the update-ended interrupt"
.uip:	CMOS_GET 0x0a	; UIP comes before the next update, and goes
	test al, 0x80
	jz .uip
.no_uip: CMOS_GET 0x0a
	test al, 0x80
	jnz .no_uip
	PUTS "update-ended"
	CMOS 0x01, 0xff	; every second
	CMOS 0x03, 0xff
	CMOS 0x05, 0xff
	CMOS 0x0b, 0x22
	CMOS_GET 0x0c
	mov dword [clocks], 0
	mov byte [causes], 0
	sti
	WAIT clocks, 1
	cli
	test byte [causes], 0x20
	FAIL_IF e, "FAILED: cause of the alarm"
	PUTS "alarm"
	; 15:59 in BCD and 24 hours; 3:10 in the afternoon in binary and 12 hours
	CMOS 0x0b, 0x82
	CMOS 0x04, 0x15
	CMOS 0x02, 0x59
	CMOS 0x0b, 0x02
	CMOS_GET 0x04
	cmp al, 0x15
	FAIL_IF ne, "FAILED: hours in BCD"
	CMOS 0x0b, 0x84	; a new format: all bytes anew
	CMOS 0x04, 0x83
	CMOS 0x02, 10
	CMOS 0x00, 0
	CMOS 0x06, 5
	CMOS 0x07, 1
	CMOS 0x08, 1
	CMOS 0x09, 26
	CMOS 0x32, 20
	CMOS 0x0b, 0x04
	CMOS_GET 0x04
	cmp al, 0x83
	FAIL_IF ne, "FAILED: afternoon in binary, 12 hours"
	CMOS_GET 0x02
	cmp al, 10
	FAIL_IF ne, "FAILED: minutes in binary"
	PUTS "formats"
	EXIT 16

; EAX: the count of channel 0
count:	in al, 0x40
	mov ah, al
	in al, 0x40
	xchg al, ah
	movzx eax, ax
	ret
; 11 ms, or 0.4 ms
pause:	mov edx, 13000
	jmp short_pause.edx
short_pause:
	mov edx, 500
.edx:	OUT8 0x43, 0xb0	; mode 0, channel 2: its output rises at the end
	mov al, dl
	out 0x42, al
	mov al, dh
	out 0x42, al
	in al, 0x61
	and al, 0xfd
	or al, 1
	out 0x61, al
.wait:	in al, 0x61
	test al, 0x20
	jz .wait
	ret
on_timer:
	inc dword [ticks] ; no end of interrupt
	iret
on_clock:
	push eax
	inc dword [clocks]
	OUT8 0x70, 0x0c
	in al, 0x71
	or [causes], al
	OUT8 0xa0, 0x20
	OUT8 0x20, 0x62	; line 2 alone
	pop eax
	iret
	RUNTIME
	align 8
idt_ptr: dw 0x29 * 8 - 1
	dd idt
ticks:	dd 0
clocks:	dd 0
causes:	dd 0
	align 8
idt:	times 0x29 * 8 db 0
	BSS

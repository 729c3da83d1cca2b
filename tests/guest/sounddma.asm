; SPDX-License-Identifier: Apache-2.0
; A Sound Blaster 16's DMA as games use it: where the DMA controller's count shows how far the card has
; played, both controllers' addressing, automatic initialization and interrupts. 8237A 231466-005; IBM
; PC/AT Technical Reference (word channels: address bits 16:1, page bits 7:1); Creative's Hardware
; Programming Guide 1996 ("HPG").
; run: --machine pc --sound sb16
; run: --machine q35 --sound sb16
; expect: card
; expect: count moves
; expect: blocks
; expect: bytes
; expect: downwards
; expect: words
%include "rt.inc"
	MULTIBOOT
BUFFER	equ 0x400000	; in the first 16 MiB, starts a 128 KiB page
%macro OUT8 2
	mov al, %2
%if %1 < 256
	out %1, al
%else
	mov dx, %1
	out dx, al
%endif
%endmacro
%macro DSP 1-*
%rep %0
	OUT8 0x22c, %1
%rotate 1
%endrep
%endmacro
%macro DMA1 3 ; mode, address in its page, bytes
	OUT8 0x0a, 5
	out 0x0c, al
	OUT8 0x0b, %1 | 1
	OUT8 0x02, (%2) & 0xff
	OUT8 0x02, (%2) >> 8
	OUT8 0x83, BUFFER >> 16
	OUT8 0x03, ((%3) - 1) & 0xff
	OUT8 0x03, ((%3) - 1) >> 8
	OUT8 0x0a, 1
%endmacro
%macro FILLED 4 ; address, bytes, value, text
	mov edi, BUFFER + (%1)
	mov ecx, %2
	mov al, %3
	repe scasb
	FAIL_IF ne, %4
%endmacro
start:	mov esp, stack_top
	mov eax, on_card
	mov [idt + 0x25 * 8], ax
	mov word [idt + 0x25 * 8 + 2], 0x10
	mov word [idt + 0x25 * 8 + 4], 0x8e00
	shr eax, 16
	mov [idt + 0x25 * 8 + 6], ax
	lidt [idt_ptr]
	OUT8 0x20, 0x11
	OUT8 0x21, 0x20
	OUT8 0x21, 4
	OUT8 0x21, 1
	OUT8 0x21, 0xdf	; line 5
	sti
	; HPG, 2: reset, and what it answers
	OUT8 0x226, 1
	OUT8 0x226, 0
	mov dx, 0x22e
.ready:	in al, dx
	test al, 0x80
	jz .ready
	mov dx, 0x22a
	in al, dx
	cmp al, 0xaa
	FAIL_IF ne, "FAILED: answer to a reset"
	OUT8 0xd6, 0xc0	; channel 4: cascade
	OUT8 0xd4, 0
	PUTS "card"
	; 11,025 Hz, four blocks of 1 KiB round and round: the count falls between interrupts, too
	DMA1 0x58, 0, 4096
	DSP 0x41, 0x2b, 0x11, 0x48, 0xff, 0x03, 0x1c
	call count
	mov ebx, eax
	mov esi, 0	; different counts in the first block
.look:	call count
	cmp eax, ebx
	je .same
	FAIL_IF a, "FAILED: the count goes up"
	inc esi
	mov ebx, eax
.same:	cmp dword [blocks], 0
	je .look
	cmp esi, 64
	FAIL_IF b, "FAILED: the count stands still within a block"
	PUTS "count moves"
	; more than a whole buffer: the count starts again, and terminal count is shown
	in al, 0x08
	WAIT blocks, 5
	in al, 0x08
	test al, 2
	FAIL_IF e, "FAILED: terminal count with automatic initialization"
	call count
	cmp eax, 4096
	FAIL_IF ae, "FAILED: a count beyond the buffer"
	in al, 0x0f
	test al, 2
	FAIL_IF ne, "FAILED: automatic initialization masks"
	DSP 0xda	; ends with this block
	mov ebx, [blocks]
	inc ebx
	WAIT blocks, ebx
	PUTS "blocks"
	; recording nothing: silence in memory, and nowhere else
	call clear
	DMA1 0x44, 0x1000, 1000
	mov dword [blocks], 0
	DSP 0x24, 0xe7, 0x03
	WAIT blocks, 1
	FILLED 0x1000 - 64, 64, 0xcc, "FAILED: before recorded bytes"
	FILLED 0x1000, 1000, 0x80, "FAILED: recorded bytes"
	FILLED 0x1000 + 1000, 64, 0xcc, "FAILED: behind recorded bytes"
	call count
	cmp eax, 0xffff
	FAIL_IF ne, "FAILED: count at the end"
	PUTS "bytes"
	call clear
	DMA1 0x64, 0x2fff, 1000
	mov dword [blocks], 0
	DSP 0x24, 0xe7, 0x03
	WAIT blocks, 1
	FILLED 0x3000, 64, 0xcc, "FAILED: behind bytes recorded downwards"
	FILLED 0x3000 - 1000, 1000, 0x80, "FAILED: bytes recorded downwards"
	FILLED 0x3000 - 1064, 64, 0xcc, "FAILED: before bytes recorded downwards"
	PUTS "downwards"
	; channel 5: words, over the middle of a 128 KiB page, whose lowest page bit does not count
	call clear
	OUT8 0xd4, 5
	out 0xd8, al
	OUT8 0xd6, 0x45
	OUT8 0xc4, 0x80	; word 7f80h: byte ff00h
	OUT8 0xc4, 0x7f
	OUT8 0x8b, (BUFFER >> 16) | 1
	OUT8 0xc6, 0xf3	; 500 words
	OUT8 0xc6, 0x01
	OUT8 0xd4, 1
	mov dword [blocks], 0
	DSP 0xb8, 0x10, 0xf3, 0x01
	WAIT blocks, 1
	FILLED 0xff00 - 64, 64, 0xcc, "FAILED: before recorded words"
	FILLED 0xff00, 1000, 0, "FAILED: recorded words"
	FILLED 0xff00 + 1000, 64, 0xcc, "FAILED: behind recorded words"
	in al, 0xd0
	test al, 2
	FAIL_IF e, "FAILED: terminal count of channel 5"
	out 0xd8, al
	in al, 0xc4
	mov ah, al
	in al, 0xc4
	xchg al, ah
	cmp ax, 0x7f80 + 500
	FAIL_IF ne, "FAILED: word address at the end"
	PUTS "words"
	EXIT 16

; EAX: the count of channel 1, which may go on between both its bytes: read until two agree
count:	push edx
.again:	call .read
	mov edx, eax
	call .read
	sub edx, eax
	cmp edx, 16
	ja .again
	pop edx
	ret
.read:	out 0x0c, al
	in al, 0x03
	mov ah, al
	in al, 0x03
	xchg al, ah
	movzx eax, ax
	ret
clear:	mov edi, BUFFER
	mov ecx, 0x20000
	mov al, 0xcc
	rep stosb
	ret
on_card:
	pusha
	mov dx, 0x224	; HPG, 3: which of both it was
	mov al, 0x82
	out dx, al
	inc dx
	in al, dx
	mov dx, 0x22e
	test al, 1
	jnz .taken
	inc dx
.taken:	in al, dx
	inc dword [blocks]
	OUT8 0x20, 0x20
	popa
	iret
	RUNTIME
	align 8
idt_ptr: dw 0x26 * 8 - 1
	dd idt
blocks:	dd 0
	align 8
idt:	times 0x26 * 8 db 0
	BSS

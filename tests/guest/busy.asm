; SPDX-License-Identifier: Apache-2.0
; A guest that computes and writes to its screen all the time; each round is one byte on COM1 (screen.py crowd_pace).
%include "rt.inc"
	MULTIBOOT
start:	mov esp, stack_top
	PUTS "waiting"
	xor ebx, ebx
round:	mov ecx, 2000000
.work:	imul ebx, ebx, 1664525
	add ebx, 1013904223
	dec ecx
	jnz .work
	mov edi, 0xb8000
	mov ecx, 2000
	mov ax, bx
	and ah, 0x7f
.cell:	stosw
	inc al
	loop .cell
	mov dx, 0x3f8
	mov al, '.'
	out dx, al
	jmp round
	RUNTIME
	BSS

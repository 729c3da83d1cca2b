; SPDX-License-Identifier: Apache-2.0
; For screen.py: text on the screen, and each byte of keyboard and mouse as two hex digits after it.
; A key F10 (44h) turns to 640 x 480 in 32 bits through the DISPI ports and draws a ramp.
; run: --machine pc --name screen-asm
; signal: TERM TERM
; status: 143
; expect: waiting
%include "rt.inc"
	MULTIBOOT
start:	mov esp, stack_top
	mov dx, 0x3d4	; no cursor: pictures are compared
	mov ax, 0x200a
	out dx, ax
	mov esi, text
	mov edi, 0xb8000
.next:	lodsb
	test al, al
	jz .keys
	mov ah, 0x1f
	stosw
	jmp .next
.keys:	mov edi, 0xb8000 + 160
	; mouse on: enable the port, then streaming
	mov al, 0xa8
	out 0x64, al
	mov al, 0xd4
	out 0x64, al
	mov al, 0xf4
	out 0x60, al
	PUTS "waiting"
.poll:	pause
	in al, 0x64
	test al, 1
	jz .poll
	mov ah, al
	in al, 0x60
	test ah, 0x20	; the mouse's byte
	jnz .show
	cmp al, 0x44
	je .graphics
.show:
	mov ah, al
	shr al, 4
	call .digit
	mov al, ah
	and al, 15
	call .digit
	add edi, 2
	jmp .poll
.digit:	add al, '0'
	cmp al, '9'
	jbe .put
	add al, 'a' - '9' - 1
.put:	mov [edi], al
	mov byte [edi + 1], 0x07
	add edi, 2
	ret
.graphics:
	mov esi, modes
.mode:	lodsw
	cmp ax, 0xffff
	je .draw
	mov dx, 0x1ce
	out dx, ax
	inc dx
	lodsw
	out dx, ax
	jmp .mode
	; BAR 0 of the device in slot 2
.draw:	mov dx, 0xcf8
	mov eax, 0x80001010
	out dx, eax
	mov dx, 0xcfc
	in eax, dx
	and eax, ~15
	mov edi, eax
	xor ebx, ebx ; y
.line:	xor ecx, ecx ; x
.pixel:	mov eax, ebx
	shl eax, 16
	mov ah, cl
	mov al, ch
	stosd
	inc ecx
	cmp ecx, 640
	jb .pixel
	inc ebx
	cmp ebx, 480
	jb .line
	jmp .poll
text:	db "bothy screen test", 0
modes:	dw 4, 0, 1, 640, 2, 480, 3, 32, 4, 0x41, 0xffff
	RUNTIME
	BSS

; SPDX-License-Identifier: Apache-2.0
; A disk for tests whose steps Python writes (script.py): the BIOS starts it at 07c0:0000, it reads its
; second part and the script behind that, and then carries out the script's steps in real mode, as a DOS
; program would: IN, OUT, string instructions, BIOS calls. What the steps read goes to COM2 as it is.
;
; A step is a byte that picks a row of `steps` and the operands that row reads, little-endian. The
; script's address is FS:SI, moved on between steps; no step is longer than 16 KiB.
	bits 16
	cpu 386
	org 0x7c00
SECTOR	equ 512
CODE	equ 8		; sectors of this program
SCRIPT	equ 0x1000	; segment
	jmp 0:start
start:	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 0x7c00
	mov [drive], dl
	mov word [packet + 2], CODE - 1
	mov word [packet + 4], main
	call load
	mov bp, [sectors]
	mov dword [packet + 8], CODE
	mov word [packet + 4], 0
	mov word [packet + 6], SCRIPT
.more:	mov ax, 64
	cmp bp, ax
	ja .part
	mov ax, bp
.part:	mov [packet + 2], ax
	call load
	mov ax, [packet + 2]
	sub bp, ax
	movzx eax, ax
	add [packet + 8], eax
	shl ax, 5
	add [packet + 6], ax
	test bp, bp
	jnz .more
	jmp main
load:	mov ah, 0x42
	mov dl, [drive]
	mov si, packet
	int 0x13
	jc $
	ret
drive:	db 0
packet:	db 16, 0
	dw 0, 0, 0
	dq 1
	times 506 - ($ - $$) db 0
sectors: dw 0		; of the script; the test fills it in
	dw 0
	dw 0xaa55

main:	lgdt [gdtr]	; a data segment without a limit for ES of `flat`
	mov ax, SCRIPT
	mov fs, ax
	xor si, si
	cld
next:	cmp si, 0x4000
	jb .near
	sub si, 0x4000
	mov ax, fs
	add ax, 0x400
	mov fs, ax
.near:	xor bx, bx
	call byte_
	mov bl, al
	cmp bl, (steps_end - steps) / 2
	jae $
	add bx, bx
	mov ax, next
	push ax
	jmp [steps + bx]

steps:	dw quit, outb_, outw_, outs_, inb_, fill, bytes, read, rmw, copy, logic, dump, int_, sync, flat, set
	dw waitb
steps_end:

byte_:	mov al, [fs:si]
	inc si
	ret
word_:	mov ax, [fs:si]
	add si, 2
	ret
dword_:	mov eax, [fs:si]
	add si, 4
	ret
send:	push ax		; AL to COM2
	push dx
	mov ah, al
	mov dx, 0x2fd
.wait:	in al, dx
	test al, 0x20
	jz .wait
	mov al, ah
	mov dx, 0x2f8
	out dx, al
	pop dx
	pop ax
	ret

quit:	mov al, 16
	mov dx, 0xf4
	out dx, al
	jmp $
outb_:	call word_	; port, value
	mov dx, ax
	call byte_
	out dx, al
	ret
outw_:	call word_
	mov dx, ax
	call word_
	out dx, ax
	ret
outs_:	call word_	; port, count, bytes
	mov dx, ax
	call word_
	mov cx, ax
	fs rep outsb
	ret
inb_:	call word_	; port
	mov dx, ax
	in al, dx
	jmp send
sync:	mov al, 'S'
	call send
	mov dx, 0x2fd
.wait:	in al, dx
	test al, 1
	jz .wait
	mov dx, 0x2f8
	in al, dx
	ret

; ES:DI and CX from the script
place:	call word_
	mov es, ax
	call word_
	mov di, ax
	call word_
	mov cx, ax
	ret
; EAX = EAX * 1664525 + 1013904223 (Numerical Recipes, "Quick and Dirty Generators")
random:	imul eax, eax, 1664525
	add eax, 1013904223
	ret
fill:	call place	; segment, offset, count, step, seed: bytes from the generator's top
	call word_
	mov bx, ax
	call dword_
.byte:	call random
	rol eax, 8
	mov [es:di], al
	ror eax, 8
	add di, bx
	loop .byte
	ret
set:	call place	; segment, offset, count, word: REP STOSW
	call word_
	rep stosw
	ret
bytes:	call place	; segment, offset, count, bytes: REP MOVSB
	fs rep movsb
	ret
read:	call place	; segment, offset, count: to COM2
.byte:	mov al, [es:di]
	call send
	inc di
	loop .byte
	ret
rmw:	call place	; segment, offset, value: load the latches, then write
	mov al, [es:di]
	mov [es:di], cl
	ret
copy:	call place	; segment, offset, count, offset of the source: REP MOVSB in one segment
	call word_
	push ds
	push si
	push es
	pop ds
	mov si, ax
	rep movsb
	pop si
	pop ds
	ret
logic:	call place	; segment, offset, value, which: one instruction that reads and writes
	call byte_
	cmp al, 1
	jb .and
	je .or
	cmp al, 3
	jb .xor
	xchg [es:di], cl
	ret
.and:	and [es:di], cl
	ret
.or:	or [es:di], cl
	ret
.xor:	xor [es:di], cl
	ret
dump:	call place	; segment, offset, count: to COM2 as runs (length, byte)
	mov dx, cx
.run:	mov ah, [es:di]
	xor bx, bx
.same:	inc di
	inc bx
	dec dx
	jz .end
	cmp bx, 255
	je .end
	cmp [es:di], ah
	je .same
.end:	mov al, bl
	call send
	mov al, ah
	call send
	test dx, dx
	jnz .run
	ret
int_:	call byte_	; number, AX, BX, CX, DX, BP; ES is 0. Leaves AX, BX, CX, DX in `regs`
	mov [.number], al
	call word_
	push ax
	call word_
	mov bx, ax
	call word_
	mov cx, ax
	call word_
	mov dx, ax
	call word_
	mov bp, ax
	pop ax
	push fs
	push si
	push word 0
	pop es
	db 0xcd
.number: db 0
	pop si
	pop fs
	ret
waitb:	call word_	; port, mask, value: until (port & mask) == value
	mov dx, ax
	call byte_
	mov cl, al
	call byte_
	mov bl, al
.look:	in al, dx
	and al, cl
	cmp al, bl
	jne .look
	ret

; A linear frame buffer at BAR 0 of the display adapter in slot 2: offset, count, step, seed: bytes
flat:	mov dx, 0xcf8
	mov eax, 0x80001010
	out dx, eax
	mov dx, 0xcfc
	in eax, dx
	and al, 0xf0
	mov edi, eax
	call dword_
	add edi, eax
	call dword_
	mov ecx, eax
	call dword_
	mov ebx, eax
	call dword_
	push eax
	cli
	mov eax, cr0
	or al, 1
	mov cr0, eax
	mov dx, 8
	mov es, dx
	and al, 0xfe
	mov cr0, eax
	pop eax
.byte:	call random
	rol eax, 8
	mov [es:edi], al
	ror eax, 8
	add edi, ebx
	dec ecx
	jnz .byte
	sti		; not before: the BIOS's handlers may leave ES with a limit
	ret

	align 4
gdt:	dq 0
	dw 0xffff, 0, 0x9200, 0xcf
gdtr:	dw gdtr - gdt - 1
	dd gdt
	times CODE * SECTOR - ($ - $$) db 0

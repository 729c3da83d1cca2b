; SPDX-License-Identifier: Apache-2.0
; Every way to reset a PC, one after the other; RAM keeps a counter across them. CF9: PIIX3 290550,
; 2.5.4; keyboard controller command FEh; triple fault: Intel SDM vol. 3, 6.15 (shutdown).
; expect: boot 0
; expect: boot 1
; expect: boot 2
; expect: boot 3
%include "rt.inc"
COUNT	equ 0x300000
MAGIC	equ 0x60075e7
	MULTIBOOT
start:	mov esp, stack_top
	cmp dword [COUNT + 4], MAGIC
	je .again
	mov dword [COUNT], 0
	mov dword [COUNT + 4], MAGIC
.again:	mov esi, text
	call puts
	mov eax, [COUNT]
	call putdec
	inc dword [COUNT]
	cmp eax, 0
	je by_cf9
	cmp eax, 1
	je by_kbc
	cmp eax, 2
	je by_triple
	EXIT 16
by_cf9:	mov dx, 0xcf9
	mov al, 2
	out dx, al
	mov al, 6
	out dx, al
	jmp $
by_kbc:	in al, 0x64
	test al, 2
	jnz by_kbc
	mov al, 0xfe
	out 0x64, al
	jmp $
by_triple:
	lidt [no_idt]
	int3
	jmp $
no_idt:	dw 0
	dd 0
text:	db "boot ", 0
	RUNTIME
	BSS

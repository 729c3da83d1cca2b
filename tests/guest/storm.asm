; SPDX-License-Identifier: Apache-2.0
; Random reads and writes of ports, PCI configuration space and device memory, with interrupts on:
; whatever they do to the machine, bothy must stay up until it is told to stop. Resets start the storm
; again with the seed it had got to; a lucky write may switch the machine off.
; run: --machine pc -c 2 --testdev
; run: --machine microvm -c 2
; signal: TERM TERM
; exit port: no
; seconds: 4
; status: 0|143
; expect: waiting
%include "rt.inc"
SEED	equ 0x300000
MAGIC	equ 0x5702a1
	MULTIBOOT
start:	mov esp, stack_top
	inc dword [SEED + 8]
	cmp dword [SEED + 4], MAGIC
	je .again
	rdtsc
	or eax, 1
	mov [SEED], eax
	mov dword [SEED + 4], MAGIC
	PUTS "waiting"
.again:	mov ecx, 256
	mov edi, idt
	mov eax, on_any
	mov ebx, eax
	and ebx, 0xffff0000
	or ebx, 0x8e00
	and eax, 0xffff
	or eax, 0x100000
.gate:	mov [edi], eax
	mov [edi + 4], ebx
	add edi, 8
	loop .gate
	lidt [idt_ptr]
	sti
storm:	mov esp, stack_top
	call random
	mov ebp, eax
	call random
	mov ecx, ebp
	and ecx, 7
	jmp [table + ecx * 4]
table:	dd port_out, port_in, port_out, port_in, pci, mem_write, mem_read, known
port_out:
	mov edx, ebp
	shr edx, 16
	test ebp, 0x100 ; half of them where devices are
	jz .any
	and edx, 0x7ff
.any:	call risky
	jc storm
	test ebp, 0x10
	jz .word
	out dx, al
	jmp storm
.word:	test ebp, 0x20
	jz .dword
	out dx, ax
	jmp storm
.dword:	out dx, eax
	jmp storm
port_in:
	mov edx, ebp
	shr edx, 16
	test ebp, 0x100
	jz .any
	and edx, 0x7ff
.any:	test ebp, 0x10
	jz .word
	in al, dx
	jmp storm
.word:	test ebp, 0x20
	jz .dword
	in ax, dx
	jmp storm
.dword:	in eax, dx
	jmp storm
pci:	mov ebx, eax
	mov eax, ebp
	shr eax, 8
	and eax, 0x3ffc ; devices 0 to 7
	or eax, 0x80000000
	mov dx, 0xcf8
	out dx, eax
	mov dx, 0xcfc
	test ebp, 0x40
	jz .read
	mov edx, ebp
	shr edx, 8
	and edx, 0x3f00
	cmp edx, 0x0b00 ; 01.3: it would move the soft-off register
	je storm
	mov edx, 0xcfc
	mov eax, ebx
	out dx, eax
	jmp storm
.read:	in eax, dx
	jmp storm
; Carry: leave port DX alone. Soft-off always, what resets the machine 63 times of 64.
risky:	mov ecx, edx
	and ecx, 0xffc0
	cmp ecx, 0x5c0
	je .skip
	cmp ecx, 0x600
	je .skip
	test ebp, 0x3f000
	jz .go
	cmp edx, 0x60
	jb .go
	cmp edx, 0x64
	jbe .skip
	cmp edx, 0x8f
	jb .go
	cmp edx, 0x92
	jbe .skip
	cmp edx, 0xcf5
	jb .go
	cmp edx, 0xcff
	jbe .skip
.go:	clc
	ret
.skip:	stc
	ret
region:	; EDI = an address among the devices
	mov ebx, ebp
	shr ebx, 8
	mov edi, ebx
	and edi, 7
	mov edi, [bases + edi * 4]
	shr ebx, 3
	and ebx, 0x7fff
	add edi, ebx
	ret
bases:	dd 0xfec00000, 0xfed00000, 0xfeb00000, 0xfeb08000, 0xc0000000, 0xc0008000, 0xc0010000, 0xa0000
mem_write:
	call region
	test ebp, 0x40
	jz .byte
	mov [edi], eax
	jmp storm
.byte:	mov [edi], al
	jmp storm
mem_read:
	call region
	test ebp, 0x40
	jz .byte
	mov eax, [edi]
	jmp storm
.byte:	mov al, [edi]
	jmp storm
known:	; ports that matter most
	mov ecx, ebp
	shr ecx, 8
	and ecx, 15
	movzx edx, word [ports + ecx * 2]
	out dx, al
	jmp storm
ports:	dw 0x20, 0x21, 0xa0, 0xa1, 0x40, 0x43, 0x61, 0x70, 0x71, 0x60, 0x3f8, 0x3f9, 0x510, 0xe9, 0x80, 0x4d1
random:	mov eax, [SEED]
	mov ecx, eax
	shl ecx, 13
	xor eax, ecx
	mov ecx, eax
	shr ecx, 17
	xor eax, ecx
	mov ecx, eax
	shl ecx, 5
	xor eax, ecx
	mov [SEED], eax
	ret
on_any:	mov al, 0x20
	out 0x20, al
	out 0xa0, al
	mov dword [0xfee000b0], 0
	sti
	jmp storm
	RUNTIME
	align 8
idt_ptr: dw 256 * 8 - 1
	dd idt
	align 8
idt:	times 256 * 8 db 0
	BSS

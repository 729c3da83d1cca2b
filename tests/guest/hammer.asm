; SPDX-License-Identifier: Apache-2.0
; A guest that uses ports and memory-mapped registers by chance, for ever (hammer.py): IN and OUT of all widths
; anywhere, with every fourth on a PC's usual ports, string forms too; loads and stores of all widths in the
; ISA window, in the BARs it finds through configuration space and right below 4 GiB; configuration space itself.
; The sleep register that turns the machine off is spared, and in most lives what resets it: ports 64h and 92h,
; and CF9h.
%include "rt.inc"
	MULTIBOOT
PM_FIRST equ 0x600	; ACPI: PM1 and its neighbours
PM_LAST	equ 0x60f
start:	mov esp, stack_top
	rdtsc
	or eax, 1
	mov [seed], eax
	shr eax, 1
	mov [wild], eax
	PUTS "hammering"
	; let devices answer: I/O, memory and bus master in each function of bus 0
	xor ebx, ebx
.enable: mov eax, ebx
	shl eax, 8
	or eax, 0x80000000
	mov dx, 0xcf8
	out dx, eax
	mov dx, 0xcfc
	in eax, dx
	inc eax
	jz .none
	mov eax, ebx
	shl eax, 8
	or eax, 0x80000004
	mov dx, 0xcf8
	out dx, eax
	mov dx, 0xcfc
	mov ax, 7
	out dx, ax
	mov ecx, 6	; its BARs
	mov esi, 0x10
.bar:	mov eax, ebx
	shl eax, 8
	lea eax, [eax + esi + 0x80000000]
	mov dx, 0xcf8
	out dx, eax
	mov dx, 0xcfc
	in eax, dx
	add esi, 4
	test eax, eax
	jz .no_bar
	mov edi, [bars]
	cmp edi, 60
	jae .no_bar
	mov [bar + edi * 4], eax
	inc dword [bars]
.no_bar: loop .bar
.none:	inc ebx
	cmp ebx, 256
	jb .enable

next:	call random
	mov ebp, eax
	and eax, 15
	jmp [what + eax * 4]
what:	dd port, port, port, usual, usual, usual, in_bar, in_bar, in_bar, in_bar, window, window, high, config
	dd strings, index

random:	mov eax, [seed]	; xorshift32 (Marsaglia, 2003)
	mov edx, eax
	shl edx, 13
	xor eax, edx
	mov edx, eax
	shr edx, 17
	xor eax, edx
	mov edx, eax
	shl edx, 5
	xor eax, edx
	mov [seed], eax
	ret

; carry: port ECX is not to be touched
spared:	cmp ecx, PM_FIRST - 3
	jb .low
	cmp ecx, PM_LAST
	jbe .yes
.low:	test byte [wild], 7	; one life in eight
	jz .no
	cmp ecx, 0x61
	jb .no
	cmp ecx, 0x64
	jbe .yes
	cmp ecx, 0x8f
	jb .no
	cmp ecx, 0x92
	jbe .yes
	cmp ecx, 0xcf6
	jb .no
	cmp ecx, 0xcf9
	jbe .yes
.no:	clc
	ret
.yes:	stc
	ret

usual:	call random	; below 400h
	and eax, 0x3ff
	jmp at_port
index:	mov eax, ebp	; index and data of the VGA, the RTC, configuration space and so on
	shr eax, 8
	and eax, 15
	movzx eax, word [indexed + eax * 2]
	jmp at_port
indexed: dw 0x3c4, 0x3c5, 0x3ce, 0x3cf, 0x3d4, 0x3d5, 0x3c0, 0x1ce, 0x1cf, 0x70, 0x71, 0x1d0, 0xcfc, 0x43, 0x40, 0x60
port:	call random
at_port: movzx ecx, ax
	call spared
	jc next
.free:	call random
	mov edx, ecx
	mov ecx, ebp
	shr ecx, 16
	and ecx, 7
	jmp [.how + ecx * 4]
.how:	dd .outb, .outb, .outw, .outl, .inb, .inb, .inw, .inl
.outb:	out dx, al
	jmp next
.outw:	out dx, ax
	jmp next
.outl:	out dx, eax
	jmp next
.inb:	in al, dx
	jmp next
.inw:	in ax, dx
	jmp next
.inl:	in eax, dx
	jmp next
config:	call random	; a word of some function's configuration space
	and eax, 0x00fffffc
	or eax, 0x80000000
	test ebp, 0x100
	jz .any
	and eax, 0x8000fffc
.any:	mov dx, 0xcf8
	out dx, eax
	mov ecx, 0xcfc
	jmp at_port.free
strings: call random	; 256 at most
	movzx ecx, ax
	call spared
	jc next
	mov edx, ecx
	movzx ecx, byte [seed + 2]
	mov esi, buffer
	mov edi, buffer
	test ebp, 0x10000
	jz .ins
	rep outsd
	jmp next
.ins:	rep insb
	jmp next

in_bar:	mov eax, ebp
	shr eax, 8
	xor edx, edx
	cmp dword [bars], 0
	je next
	div dword [bars]
	mov ecx, [bar + edx * 4]
	call random
	test ecx, 1
	jnz .ports
	and ecx, ~15
	; near the start three times of four
	test ebp, 0xc00000
	jz .far
	and eax, 0xfff
.far:	and eax, 0xfffff
	add ecx, eax
	jmp access
.ports:	and ecx, 0xfffc
	and eax, 0x3f
	add eax, ecx
	jmp at_port
window:	call random
	and eax, 0x3ffff
	lea ecx, [eax + 0xa0000]
	jmp access
high:	call random
	and eax, 0x01ffffff
	lea ecx, [eax + 0xfe000000]
access:	call random
	mov edi, ecx
	mov ecx, ebp
	shr ecx, 16
	and ecx, 7
	jmp [.how + ecx * 4]
.how:	dd .stb, .stw, .stl, .stl, .ldb, .ldw, .ldl, .xchg
.stb:	mov [edi], al
	jmp next
.stw:	mov [edi], ax
	jmp next
.stl:	mov [edi], eax
	jmp next
.ldb:	mov al, [edi]
	jmp next
.ldw:	mov ax, [edi]
	jmp next
.ldl:	mov eax, [edi]
	jmp next
.xchg:	xchg [edi], eax
	jmp next
	RUNTIME
seed:	dd 0
wild:	dd 0
bars:	dd 0
bar:	times 64 dd 0
buffer:	times 1024 db 0x5a
	BSS

; SPDX-License-Identifier: Apache-2.0
; A 64-bit ELF file with a PVH entry note (x86/HVM direct boot ABI): 32-bit entry, EBX = start info.
; expect: PVH start info is right
%include "rt.inc"
	bits 32
	org 0x100000
image:	db 0x7f, "ELF", 2, 1, 1
	times 9 db 0
	dw 2, 62
	dd 1
	dq start, phdrs - image, 0
	dd 0
	dw 64, 56, 2, 0, 0, 0
phdrs:	dd 1, 7
	dq 0, image, image, file_end - image, file_end - image + 65536, 4096
	dd 4, 4
	dq note - image, note, note, note_end - note, note_end - note, 4
note:	dd 4, 4, 18
	db "Xen", 0
	dd start
note_end:
start:	mov esp, file_end + 65536 - 16
	cmp dword [ebx], 0x336ec578
	FAIL_IF ne, "magic is wrong"
	cmp dword [ebx + 4], 1
	FAIL_IF ne, "version is wrong"
	mov eax, [ebx + 32] ; RSDP
	cmp dword [eax], "RSD "
	FAIL_IF ne, "no RSDP"
	mov ecx, [ebx + 48]
	test ecx, ecx
	FAIL_IF z, "no memory map"
	PUTS "PVH start info is right"
	EXIT 16
	RUNTIME
	align 16
file_end:

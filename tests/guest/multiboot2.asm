; SPDX-License-Identifier: Apache-2.0
; Multiboot 2 with address and entry tags; walks the boot information's tags (3.6).
; expect: tags are right
%include "rt.inc"
	bits 32
	org 0x100000
image:	dd 0xe85250d6, 0, header_end - image, -(0xe85250d6 + header_end - image)
	dw 2, 0
	dd 24, image, image, 0, bss_end
	dw 3, 0
	dd 12, start
	align 8
	dw 0, 0
	dd 8
header_end:
start:	mov esp, stack_top
	cmp eax, 0x36d76289
	FAIL_IF ne, "EAX is wrong"
	xor ebp, ebp ; tags seen
	mov ecx, [ebx] ; total size
	lea edx, [ebx + ecx]
	add ebx, 8
.tag:	cmp ebx, edx
	FAIL_IF ae, "the tags run past the end"
	mov ecx, [ebx]
	bts ebp, ecx
	test ecx, ecx
	jz .end
	mov ecx, [ebx + 4]
	add ecx, 7
	and ecx, -8
	add ebx, ecx
	jmp .tag
.end:	mov eax, ebp
	and eax, 1 << 0 | 1 << 1 | 1 << 2 | 1 << 4 | 1 << 6 | 1 << 15
	cmp eax, 1 << 0 | 1 << 1 | 1 << 2 | 1 << 4 | 1 << 6 | 1 << 15
	FAIL_IF ne, "a tag is missing"
	PUTS "tags are right"
	EXIT 16
	RUNTIME
	BSS

; SPDX-License-Identifier: Apache-2.0
; Multiboot 1: the processor's state and the boot information, as 3.2 and 3.3 of the specification.
; run: --machine pc --append one
; run: --machine microvm --append one
; expect: hello from the guest
; expect: memory is right
; expect: command line: one
%include "rt.inc"
	MULTIBOOT
start:	mov esp, stack_top
	cmp eax, 0x2badb002
	FAIL_IF ne, "EAX is wrong"
	mov edi, ebx
	PUTS "hello from the guest"
	mov eax, cr0
	and eax, 0x80000001
	cmp eax, 1
	FAIL_IF ne, "CR0 is wrong"
	pushfd
	pop eax
	test eax, 0x20200 ; VM, IF
	FAIL_IF nz, "EFLAGS are wrong"
	cmp dword [edi + 8], 63 * 1024
	FAIL_IF ne, "mem_upper is wrong"
	cmp dword [edi + 4], 639
	FAIL_IF ne, "mem_lower is wrong"
	PUTS "memory is right"
	mov esi, text
	call puts
	mov esi, [edi + 16]
	call puts
	EXIT 16
text:	db "command line: ", 0
	RUNTIME
	BSS

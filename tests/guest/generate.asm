; SPDX-License-Identifier: Apache-2.0
; Code without end: 20,000 functions of random arithmetic are generated over those of the round before,
; each is called often enough to be translated, and must give what the generator computed. The number
; of rounds is the last word of the command line.
; run: --machine pc --append 2
; run: --machine microvm --append 2
; expect: every function is right
%include "rt.inc"
FUNCTIONS equ 20000
STRIDE equ 224 ; OPS of at most 9 bytes, RET
OPS equ 24
CALLS equ 24
CODE equ 0x800000
RESULTS equ 0x400000
	MULTIBOOT
start:	mov esp, stack_top
	call rounds_wanted
	mov [rounds], eax
	mov dword [seed], 12345
next_round:
	mov edi, CODE
	xor ebx, ebx ; number of the function
.make:	mov ebp, ebx ; its value
	mov ecx, OPS
	push edi
.op:	call random
	mov edx, eax
	shr edx, 28
	and edx, 7
	jmp [kinds + edx * 4]
.add:	mov byte [edi], 0x05
	add ebp, eax
	jmp .imm
.xor:	mov byte [edi], 0x35
	xor ebp, eax
	jmp .imm
.sub:	mov byte [edi], 0x2d
	sub ebp, eax
.imm:	mov [edi + 1], eax
	add edi, 5
	jmp .done
.imul:	mov word [edi], 0xc069
	mov [edi + 2], eax
	imul ebp, eax
	add edi, 6
	jmp .done
.rol:	mov word [edi], 0xc0c1
	mov [edi + 2], al
	xchg ecx, eax
	rol ebp, cl
	xchg ecx, eax
	add edi, 3
	jmp .done
.jump:	; jc over a NOT that the generator does in the same way: the flags of an addition
	mov byte [edi], 0x05
	mov [edi + 1], eax
	mov dword [edi + 5], 0xd0f70272
	add edi, 9
	add ebp, eax
	jc .done
	not ebp
.done:	dec ecx
	jnz .op
	mov byte [edi], 0xc3
	pop edi
	add edi, STRIDE
	mov [RESULTS + ebx * 4], ebp
	inc ebx
	cmp ebx, FUNCTIONS
	jb .make

	mov edi, CODE
	xor ebx, ebx
.test:	mov ecx, CALLS
.call:	mov eax, ebx
	call edi
	cmp eax, [RESULTS + ebx * 4]
	FAIL_IF ne, "a function is wrong"
	dec ecx
	jnz .call
	add edi, STRIDE
	inc ebx
	cmp ebx, FUNCTIONS
	jb .test
	PUTS "round"
	dec dword [rounds]
	jnz next_round
	PUTS "every function is right"
	EXIT 16

random:	imul eax, [seed], 1103515245
	add eax, 12345
	mov [seed], eax
	bswap eax
	ret

; EAX: the last decimal number of the command line, at least 1. Multiboot 3.3.
rounds_wanted:
	xor eax, eax
	test dword [ebx], 4
	jz .none
	mov esi, [ebx + 16]
.char:	movzx ecx, byte [esi]
	inc esi
	test ecx, ecx
	jz .none
	sub ecx, '0'
	cmp ecx, 9
	ja .other
	imul eax, eax, 10
	add eax, ecx
	jmp .char
.other:	xor eax, eax
	jmp .char
.none:	test eax, eax
	jnz .some
	inc eax
.some:	ret

	align 4
kinds:	dd next_round.add, next_round.xor, next_round.sub, next_round.imul
	dd next_round.rol, next_round.jump, next_round.add, next_round.imul
rounds:	dd 0
seed:	dd 0
	RUNTIME
	BSS

; SPDX-License-Identifier: Apache-2.0
; Code without end: 20,000 functions of random arithmetic are generated over those of the round before,
; each is called often enough to be translated, and must give what the generator computed. The number
; of rounds is the last word of the command line. All processors do it, up to eight, each in its own
; place and with its own numbers; the first one's rounds count. Starting them: Intel SDM vol. 3, 9.4.
; run: --machine pc --append 2
; run: --machine microvm --append 2
; run: --machine pc -c 3 --append 1
; expect: every function is right
%include "rt.inc"
FUNCTIONS equ 20000
STRIDE equ 224 ; OPS of at most 9 bytes, RET
OPS equ 24
CALLS equ 24
CODE equ 0x800000
RESULTS equ 0x400000
CODE_EACH equ 0x480000
RESULTS_EACH equ 0x20000
CPUS equ 8
LAPIC equ 0xfee00000
TRAMPOLINE equ 0x8000
; what ESI points to
ROUNDS equ 0
SEED equ 4
MY_CODE equ 8
MY_RESULTS equ 12
	MULTIBOOT
start:	mov esp, stack_top
	call rounds_wanted
	push eax
	mov esi, trampoline
	mov edi, TRAMPOLINE
	mov ecx, trampoline_end - trampoline
	rep movsb
	call take_place
	pop dword [esi + ROUNDS]
	or dword [LAPIC + 0xf0], 0x100
	mov dword [LAPIC + 0x300], 0x000c4500 ; INIT to all but self
	call wait_a_bit
	mov dword [LAPIC + 0x300], 0x000c4600 | TRAMPOLINE >> 12
	call wait_a_bit
	mov dword [LAPIC + 0x300], 0x000c4600 | TRAMPOLINE >> 12
next_round:
	mov edi, [esi + MY_CODE]
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
	mov eax, [esi + MY_RESULTS]
	mov [eax + ebx * 4], ebp
	inc ebx
	cmp ebx, FUNCTIONS
	jb .make

	mov edi, [esi + MY_CODE]
	xor ebx, ebx
.test:	mov ecx, CALLS
	mov edx, [esi + MY_RESULTS]
.call:	mov eax, ebx
	call edi
	cmp eax, [edx + ebx * 4]
	FAIL_IF ne, "a function is wrong"
	dec ecx
	jnz .call
	add edi, STRIDE
	inc ebx
	cmp ebx, FUNCTIONS
	jb .test
	cmp esi, places
	jne next_round
	PUTS "round"
	dec dword [esi + ROUNDS]
	jnz next_round
	PUTS "every function is right"
	EXIT 16

random:	imul eax, [esi + SEED], 1103515245
	add eax, 12345
	mov [esi + SEED], eax
	bswap eax
	ret

; ESI = this processor's place, EBX = its number
take_place:
	mov ebx, 1
	lock xadd [n_cpus], ebx
	cmp ebx, CPUS
	jae .none
	mov esi, ebx
	shl esi, 4
	add esi, places
	lea eax, [ebx + 12345]
	mov [esi + SEED], eax
	imul eax, ebx, CODE_EACH
	add eax, CODE
	mov [esi + MY_CODE], eax
	imul eax, ebx, RESULTS_EACH
	add eax, RESULTS
	mov [esi + MY_RESULTS], eax
	ret
.none:	cli
	hlt
	jmp .none

wait_a_bit:
	mov ecx, 20000
.turn:	pause
	dec ecx
	jnz .turn
	ret

	bits 16
trampoline:
	cli
	o32 lgdt [cs:gdt_ptr - trampoline]
	mov eax, cr0
	or al, 1
	mov cr0, eax
	jmp dword 8:other
	align 8
gdt:	dq 0, 0x00cf9b000000ffff, 0x00cf93000000ffff
gdt_ptr: dw 23
	dd TRAMPOLINE + gdt - trampoline
trampoline_end:
	bits 32
other:	mov ax, 16
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov esp, first_stack ; until it has its own: nothing is pushed but a return address
	mov edx, 1
.lock:	xchg edx, [starting]
	test edx, edx
	jnz .lock
	call take_place
	mov dword [starting], 0
	shl ebx, 12
	mov esp, stack_top
	sub esp, ebx
	jmp next_round

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
n_cpus:	dd 0
starting: dd 0
	align 16
places:	times 4 * CPUS dd 0
	times 16 dd 0
first_stack:
	RUNTIME
	BSS

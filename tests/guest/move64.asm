; SPDX-License-Identifier: Apache-2.0
;
; The same pages of code at many linear addresses: in turn, in two address spaces, several at a time in
; one, in 64-bit and in compatibility mode, at CPL 0 and 3, rewritten in between. The code adds up what
; it finds out about its addresses (operands relative to RIP, return addresses, FIP) less the base that
; it was told, so the sum is the same wherever it runs. At last addresses of 32-bit code that wrap at
; 4 GiB, where 64-bit code has used what they would be without. Intel SDM vol. 1, 3.5.1 (RIP), 3.3.7.1
; (32-bit addresses); vol. 2 (CALL, LEA, FXSAVE); vol. 3, 4.10 (TLBs), 9.1.3 (self-modifying code).
; expect: moved, 64 bits: ok
; expect: moved, 32 bits: ok
; expect: wrapped at 4 GiB: ok
; expect: all passed
%include "rt.inc"
	MULTIBOOT

PML4 equ 0x200000 ; of space 0, of space 1
PD0 equ 0x202000  ; identity: PDPT, PD of the first GiB
POOL equ 0x210000 ; page tables
POOL_END equ 0x300000
STACK0 equ 0x310000
STACK3 equ 0x320000
SCRATCH equ 0x400000 ; the blob's pages, not in order
SCRATCH32 equ 0x410000
STAIRS equ 0x420000
ONE equ 0x430000 ; three pages
OFTEN equ 0x440000 ; two pages for each round
PLACES equ 0x460000 ; 16 pages
WRAP equ 0x470000 ; three pages
WRAP_TURNS equ 6000
N_PAGES equ 4

K64 equ 0x08
K_DS equ 0x10
U32 equ 0x1b
U_DS equ 0x23
U64 equ 0x2b
TSS equ 0x30
K32 equ 0x40

%macro SAY 1
	mov esi, %%text
	call say
	jmp %%over
%%text:	db %1, 10, 0
%%over:
%endmacro
%macro CHECK 1.nolist
	j%1 %%ok
	mov ecx, __LINE__
	jmp failed
%%ok:
%endmacro

start:	cli
	cld
	mov esp, STACK0
	mov edi, PML4
	xor eax, eax
.zero:	mov [edi], eax
	add edi, 4
	cmp edi, POOL_END
	jb .zero
	mov dword [PML4], PD0 | 7
	mov dword [PML4 + 0x1000], PD0 | 7
	mov dword [PD0], (PD0 + 0x1000) | 7
	mov edi, PD0 + 0x1000
	mov eax, 0x87
.big:	mov [edi], eax
	add edi, 8
	add eax, 0x200000
	cmp eax, 0x40000000
	jb .big
	lgdt [gdt_ptr]
	mov eax, 0x620 ; PAE, OSFXSR, OSXMMEXCPT
	mov cr4, eax
	mov eax, PML4
	mov cr3, eax
	mov ecx, 0xc0000080
	xor edx, edx
	mov eax, 0x100
	wrmsr
	mov eax, 0x80010033
	mov cr0, eax
	jmp K64:in64

	bits 64
	default abs
in64:	mov ax, U_DS
	mov ds, ax ; good at CPL 3, too
	mov es, ax
	mov ax, K_DS
	mov ss, ax
	mov ax, TSS
	ltr ax
	mov eax, user_done ; IDT: all vectors stop, 80h comes back from CPL 3
	mov edi, idt + 0x80 * 16
	mov dx, 0xee00
	call gate
	xor ebx, ebx
.vec:	cmp ebx, 0x80
	je .next
	mov eax, unexpected
	mov edi, ebx
	shl edi, 4
	add edi, idt
	mov dx, 0x8e00
	call gate
.next:	inc ebx
	cmp ebx, 256
	jb .vec
	lidt [idt_ptr]
	fninit
	call copy_blobs

	; what is to come out
	xor edi, edi
	mov rbx, 0x555512340000
	call bring
	mov [want], rax
	cmp rax, [first_want]
	CHECK e
	call t_in_turn
	call t_spaces
	call t_together
	call t_across
	call t_rewritten
	call t_other_code
	call t_fip
	call t_next_page
	call t_often
	call t_places
	call t_frames
	mov dword [cpl], 3
	call t_in_turn
	call t_spaces
	call t_together
	call t_rewritten
	call t_many
	SAY "moved, 64 bits: ok"
	mov dword [cpl], 0
	call t_32
	mov dword [cpl], 3
	call t_32
	SAY "moved, 32 bits: ok"
	mov dword [cpl], 0
	call t_wrap
	mov dword [cpl], 3
	call t_wrap
	SAY "wrapped at 4 GiB: ok"
	SAY "all passed"
	mov al, 16
	out 0xf4, al
	jmp $

gate:	mov [rdi], ax
	mov word [rdi + 2], K64
	mov [rdi + 4], dx
	shr eax, 16
	mov [rdi + 6], ax
	ret

say:	lodsb
	test al, al
	jz .done
	mov dx, 0x3f8
	out dx, al
	jmp say
.done:	ret
put_hex: ; rax
	mov ecx, 16
.digit:	rol rax, 4
	push rax
	and eax, 15
	mov al, [digits + rax]
	mov dx, 0x3f8
	out dx, al
	pop rax
	dec ecx
	jnz .digit
	mov al, 10
	mov dx, 0x3f8
	out dx, al
	ret
digits:	db "0123456789abcdef"
failed:	mov [last], rax
	mov eax, ecx
	mov esi, m_failed
	push rax
	call say
	pop rax
	call put_hex
	mov rax, [last]
	call put_hex
	mov al, 1
	out 0xf4, al
	jmp $
unexpected:
	mov esi, m_vector
	call say
	pop rax
	call put_hex
	pop rax
	call put_hex
	mov rax, cr2
	call put_hex
	mov al, 2
	out 0xf4, al
	jmp $
m_failed: db "FAILED at line (hex), sum: ", 0
m_vector: db "unexpected vector, error or RIP, RIP, CR2: ", 0

; the pages of the blobs to where they lie: k to page (k * 3 + 1) % 4
copy_blobs:
	mov esi, blob
	mov ebp, SCRATCH
	call .all
	mov esi, blob32
	mov ebp, SCRATCH32
.all:	xor ebx, ebx
.page:	call phys_of
	mov edi, eax
	mov ecx, 1024
	rep movsd
	inc ebx
	cmp ebx, N_PAGES
	jb .page
	ret
; rax = physical page ebx of the blob at ebp
phys_of:
	lea eax, [rbx + rbx * 2 + 1]
	and eax, 3
	shl eax, 12
	add eax, ebp
	ret

; map the blob at ebp to rbx in space edi; keeps all but rax, rcx, rdx, r8 to r11
map_blob:
	push rbx
	mov r9, rbx
	xor ebx, ebx
.page:	call phys_of
	or eax, 7
	mov r10, rax
	mov r8, r9
	call map
	add r9, 0x1000
	inc ebx
	cmp ebx, N_PAGES
	jb .page
	pop rbx
	ret
; page table entry of r8 in space edi = r10
map:	mov r11d, edi
	shl r11d, 12
	add r11d, PML4
	mov ecx, 39
.level:	mov rax, r8
	shr rax, cl
	and eax, 511
	lea r11, [r11 + rax * 8]
	cmp ecx, 12
	je .last
	mov rax, [r11]
	test al, al
	jnz .there
	mov eax, [pool]
	cmp eax, POOL_END
	CHECK b
	add dword [pool], 0x1000
	or eax, 7
	mov [r11], rax
.there:	and rax, ~0xfff
	mov r11, rax
	sub ecx, 9
	jmp .level
.last:	mov [r11], r10
	invlpg [r8]
	ret
unmap_blob: ; rbx, space edi
	push rbx
	mov r9, rbx
	mov ebx, N_PAGES
.page:	mov r8, r9
	xor r10d, r10d
	call map
	add r9, 0x1000
	dec ebx
	jnz .page
	pop rbx
	ret

space:	; switch to space edi
	mov eax, edi
	shl eax, 12
	add eax, PML4
	mov cr3, rax
	ret

; map at rbx in space edi, run there: rax = sum
bring:	mov ebp, SCRATCH
	call map_blob
	call space
; run the code at rbx: rax = sum, r10 = that of the number at `patched`
run:	mov qword [SCRATCH + ((3 * 3 + 1) & 3) * 0x1000 + (d1 - blob) - 0x3000], 0 ; d1
	cmp dword [cpl], 3
	je .user
	push rbp
	push rdi
	mov rdi, rbx
	mov rax, rbx
	call rax
	pop rdi
	pop rbp
	ret
.user:	push rbx
	push rbp
	push rdi
	mov [kernel_sp], rsp
	mov [tss + 4], rsp
	push U_DS
	push STACK3
	push 0x202
	push U64
	mov rdi, rbx
	push user_start
	iretq
user_start:
	mov rax, rdi
	call rax
	int 0x80
user_done: ; from CPL 3: rax
	mov rsp, [kernel_sp]
	pop rdi
	pop rbp
	pop rbx
	ret

; ---- one address after the other ----

t_in_turn:
	mov r12d, 60
	xor edi, edi
.again:	call random_base
	call bring
	cmp rax, [want]
	CHECK e
	call run
	cmp rax, [want]
	CHECK e
	call unmap_blob
	dec r12d
	jnz .again
	ret

; rbx = a page in the lower half above 4 GiB, far from its end; the tables start anew now and then
random_base:
	imul r13, r13, 0x5851f42d
	add r13, 12345
	mov rbx, r13
	shr rbx, 20
	and ebx, 0xff ; 4 of the 16 pages can be one of the last base's
	shl ebx, 12
	mov rax, r13
	shr rax, 40
	and eax, 7
	inc eax
	shl rax, 40
	add rbx, rax
	ret

; ---- two address spaces, each with its own address ----

t_spaces:
	mov r12d, 40
	mov rbx, 0x7f1234560000
	xor edi, edi
	mov ebp, SCRATCH
	call map_blob
	mov rbx, 0x7e6543211000
	mov edi, 1
	call map_blob
.again:	mov rbx, 0x7f1234560000
	xor edi, edi
	call space
	call run
	cmp rax, [want]
	CHECK e
	mov rbx, 0x7e6543211000
	mov edi, 1
	call space
	call run
	cmp rax, [want]
	CHECK e
	; a third one comes and goes
	mov eax, r12d
	and eax, 3
	jnz .next
	call random_base
	call bring
	cmp rax, [want]
	CHECK e
	call unmap_blob
.next:	dec r12d
	jnz .again
	ret

; ---- six addresses at a time in one space, near and far ----

t_together:
	xor edi, edi
	call space
	mov ebp, SCRATCH
	xor r12d, r12d
.map:	mov rbx, [bases + r12 * 8]
	call map_blob
	inc r12d
	cmp r12d, N_BASES
	jb .map
	mov r14d, 200
.again:	imul r13, r13, 0x5851f42d
	add r13, 12345
	mov rax, r13
	shr rax, 33
	xor edx, edx
	mov ecx, N_BASES
	div rcx
	mov rbx, [bases + rdx * 8]
	call run
	cmp rax, [want]
	CHECK e
	dec r14d
	jnz .again
	ret

; ---- code at one address calls itself at another, down and back up ----

t_across:
	mov r14d, 60
.again:	mov rbx, [bases]
	mov rdi, rbx
	mov rsi, [bases + 8]
	mov rdx, [bases + 32]
	lea rax, [rbx + hop - blob]
	mov ecx, 9
	call rax
	cmp rax, [hop_want]
	je .same
	cmp qword [hop_want], 0
	CHECK e
	mov [hop_want], rax
.same:	mov rbx, [bases + 16]
	call run
	cmp rax, [want]
	CHECK e
	dec r14d
	jnz .again
	ret

; ---- rewritten between the moves: another constant, then the old one ----

PATCH equ SCRATCH + ((1 * 3 + 1) & 3) * 0x1000 + (patched - blob) - 0x1000 + 1
t_rewritten:
	mov r12d, 40
	xor edi, edi
	mov r15d, [PATCH]
.again:	call random_base
	lea eax, [r15 + r12]
	mov [PATCH], eax
	call bring
	cmp rax, [want]
	CHECK e
	lea ecx, [r15 + r12]
	imul rcx, rcx, TURNS ; it is added in each of the turns
	cmp r10, rcx
	CHECK e
	mov [PATCH], r15d
	call run
	cmp rax, [want]
	CHECK e
	imul rcx, r15, TURNS
	cmp r10, rcx
	CHECK e
	call unmap_blob
	dec r12d
	jnz .again
	ret

; ---- the pages get other code, and then the first one again ----

t_other_code:
	mov r12d, 12
	xor edi, edi
.again:	push rdi
	mov edi, SCRATCH
	mov esi, other
	mov ecx, other_end - other
	rep movsb
	mov edi, SCRATCH + 0x1000
	mov esi, other
	mov ecx, other_end - other
	rep movsb
	pop rdi
	call random_base
	call bring
	cmp rax, 0x1234
	CHECK e
	call copy_blobs
	xor edi, edi
	call random_base
	call bring
	cmp rax, [want]
	CHECK e
	dec r12d
	jnz .again
	ret
other:	lea rax, [rel other_end]
	sub rax, rdi
	sub rax, other_end - other
	add rax, 0x1234
	ret
other_end:

; ---- the place of the last x87 instruction, after its code has gone elsewhere ----

t_fip:	mov r12d, 20
	xor edi, edi
.again:	call random_base
	call bring
	cmp rax, [want]
	CHECK e
	call unmap_blob
	mov r14, rbx
	mov r15d, 6 ; more than are kept
.away:	add rbx, [far_away]
	call map_blob
	lea rax, [rbx + g0 - blob] ; in the page of the last FISTP
	call rax
	call unmap_blob
	dec r15d
	jnz .away
	fldcw [d_pending]
	fxsave64 [fx]
	fnclex
	fldcw [d_masked]
	mov rax, [fx + 8]
	sub rax, r14
	cmp rax, blob.fistp - blob
	CHECK e
	dec r12d
	jnz .again
	ret

; ---- a page that calls into the next one, which is itself ----

t_next_page:
	mov esi, stairs
	mov edi, STAIRS
	mov ecx, stairs_end - stairs
	rep movsb
	mov r12d, 30
	xor edi, edi
	mov rbx, 0x3000000000
.map:	mov r8, rbx
	mov r10, STAIRS | 7
	call map
	add rbx, 0x1000
	dec r12d
	jnz .map
	mov r12d, 28
	mov rbx, 0x3000000000
.again:	call rbx
	sub rax, rbx
	cmp rax, 0x1000 + stairs.up - stairs
	CHECK e
	add rbx, 0x1000
	dec r12d
	jnz .again
	ret
stairs:	call .up + 0x1000
	ret
.up:	lea rax, [rel .up]
	ret
stairs_end:

; ---- called from the page before it, then often at another address, then from that page again ----

ROUNDS equ 4
t_often:
	xor edi, edi
	xor r12d, r12d
.round:	mov r14d, r12d
	shl r14d, 13
	add r14d, OFTEN
	push rdi
	mov edi, r14d
	mov esi, before
	mov ecx, before_end - before
	rep movsb
	lea edi, [r14 + 0x1000]
	mov esi, called
	mov ecx, called_end - called
	rep movsb
	pop rdi
	mov r15, 0x3100000000
	mov r8, r15
	lea r10, [r14 + 7]
	call map
	lea r8, [r15 + 0x1000]
	lea r10, [r14 + 0x1007]
	call map
	lea r8, [r15 + r15]
	lea r10, [r14 + 0x1007]
	call map
	mov ebx, 40
	mov ebp, d0
.near:	call r15
	sub rax, r15
	cmp rax, 0x1000 + called.here - called
	CHECK e
	dec ebx
	jnz .near
	mov ebx, 12000
	lea rsi, [r15 + r15]
.far:	call rsi
	sub rax, rsi
	cmp rax, called.here - called
	CHECK e
	dec ebx
	jnz .far
	mov ebx, 40
.back:	call r15
	sub rax, r15
	cmp rax, 0x1000 + called.here - called
	CHECK e
	dec ebx
	jnz .back
	inc r12d
	cmp r12d, ROUNDS
	jb .round
	ret
before:	call before + 0x1000
	ret
before_end:
called:	mov rax, [rbp]
	lea rax, [rel .here]
.here:	ret
called_end:

; ---- loops whose places go from page to page, none of which follows the one before it in RAM ----

t_places:
	mov edi, PLACES
	mov eax, 0x1234567
.fill:	imul eax, eax, 0x5851f42d
	add eax, 12345
	mov [rdi], eax
	add edi, 4
	cmp edi, PLACES + 0x10000
	jb .fill
	xor edi, edi
	xor r12d, r12d
	mov rsi, 0x3200000000
.map:	mov eax, r12d
	imul eax, 7
	and eax, 15
	shl eax, 12
	lea r10d, [rax + PLACES + 7]
	mov r8d, r12d
	shl r8, 12
	add r8, rsi
	call map
	inc r12d
	cmp r12d, 16
	jb .map
	mov r14d, 2
.again:	mov ecx, 10000
	xor ebx, ebx
.load:	mov rax, [rsi + rbx]
	mov edi, ebx
	shr edi, 12
	imul edi, edi, 7
	and edi, 15
	shl edi, 12
	mov edx, ebx
	and edx, 0xfff
	cmp rax, [rdi + rdx + PLACES]
	CHECK e
	add ebx, 0x3008
	and ebx, 0xffff
	dec ecx
	jnz .load
	mov ecx, 10000
	xor ebx, ebx
.store:	inc qword [rsi + rbx]
	push rbx
	and ebx, 0xf000
	imul ebx, ebx, 7
	and ebx, 0xf000
	mov rax, [rsp]
	and eax, 0xfff
	dec qword [rbx + rax + PLACES]
	pop rbx
	add ebx, 0x5008
	and ebx, 0xffff
	dec ecx
	jnz .store
	dec r14d
	jnz .again
	mov edi, PLACES
	mov eax, 0x1234567
.same:	imul eax, eax, 0x5851f42d
	add eax, 12345
	cmp eax, [rdi]
	CHECK e
	add edi, 4
	cmp edi, PLACES + 0x10000
	jb .same
	ret

; ---- stack frames on two of these pages: each of their words where it belongs ----

t_frames:
	mov [kernel_sp], rsp
	mov rsi, 0x3200000000
	mov r14d, 5
.round:	mov r12d, 0x5300
.next:	lea rsp, [rsi + r12]
	mov eax, r12d
	call frame
	lea ecx, [r12 + r12 * 2]
	cmp rax, rcx
	CHECK e
	lea ebx, [r12 - 208]
	call place
	lea ebx, [r12 - 208 + 96]
	call place
	lea ebx, [r12 - 208 + 192]
	call place
	sub r12d, 8
	cmp r12d, 0x4e00
	jae .next
	dec r14d
	jnz .round
	mov rsp, [kernel_sp]
	ret
place:	mov edi, ebx
	shr edi, 12
	imul edi, edi, 7
	and edi, 15
	shl edi, 12
	and ebx, 0xfff
	cmp [rdi + rbx + PLACES], r12
	CHECK e
	ret
frame:	sub rsp, 200
	mov [rsp], rax
	mov [rsp + 96], rax
	mov [rsp + 192], rax
	mov rax, [rsp]
	add rax, [rsp + 96]
	add rax, [rsp + 192]
	add rsp, 200
	ret

; ---- more pages of user code than anybody keeps count of; then INVLPG must still be seen ----

MANY equ 2200
t_many:	mov dword [ONE], 0x000001b8  ; mov eax, 1; ret
	mov dword [ONE + 4], 0xc300
	mov dword [ONE + 0x1000], 0x000002b8
	mov dword [ONE + 0x1004], 0xc300
	mov dword [ONE + 0x2000], 0x000ffbe8 ; call to the next page's start; ret
	mov dword [ONE + 0x2004], 0xc300
	xor edi, edi
	mov rbx, 0x6000000000
	mov r12d, MANY
.page:	mov r8, rbx
	mov r10d, ONE | 7
	call map
	call run
	cmp rax, 1
	CHECK e
	add rbx, 0x1000
	dec r12d
	jnz .page
	call space
	mov r8, rbx ; the caller, then one of two pages
	mov r10d, (ONE + 0x2000) | 7
	call map
	mov r12d, 60
.swap:	lea r8, [rbx + 0x1000]
	mov r10d, r12d
	and r10d, 1
	shl r10d, 12
	add r10d, ONE | 7
	call map
	call run
	mov ecx, r12d
	and ecx, 1
	inc ecx
	cmp rax, rcx
	CHECK e
	dec r12d
	jnz .swap
	ret

; ---- compatibility mode ----

t_32:	mov r12d, 60
	xor edi, edi
	call space
.again:	imul r13, r13, 0x5851f42d
	add r13, 12345
	mov rbx, r13
	shr rbx, 20
	and ebx, 0xff
	shl ebx, 12
	mov rax, r13
	shr rax, 45
	and eax, 7
	add eax, 4
	shl eax, 28
	add ebx, eax ; 1 GiB to 3 GiB
	cmp r12d, 1
	jne .map
	mov ebx, 0xffffc000 ; the last pages: targets wrap
.map:	mov ebp, SCRATCH32
	call map_blob
	call run32
	cmp qword [want32], 0
	jne .known
	mov [want32], rax
.known:	cmp rax, [want32]
	CHECK e
	call run32
	cmp rax, [want32]
	CHECK e
	dec r12d
	jnz .again
	ret
run32:	push rbx
	push rbp
	push rdi
	mov [kernel_sp], rsp
	mov [tss + 4], rsp
	cmp dword [cpl], 3
	je .user
	push K_DS
	push STACK3
	push 0x2
	push K32
	push rbx
	iretq
.user:	push U_DS
	push STACK3
	push 0x202
	push U32
	push rbx
	iretq

; ---- addresses that wrap in 32-bit code, and those that they would be in 64-bit code ----

%macro WRAP_PAGE 3 ; number, where, its mark
	mov r8, %2
	mov r10d, (WRAP + %1 * 0x1000) | 7
	call map
	mov dword [WRAP + %1 * 0x1000], %3
	mov dword [WRAP + %1 * 0x1000 + 4], 0
%endmacro
t_wrap:	xor edi, edi
	call space
	WRAP_PAGE 0, 0x100008000, 0x11111111
	WRAP_PAGE 1, 0xfffffffffffff000, 0x22222222
	WRAP_PAGE 2, 0xfffff000, 0x33333333
	mov dword [0x8000], 0x44444444
	mov rbx, beyond
	call run
	mov ebx, wrap32
	call run32
	test eax, eax
	CHECK z
	cmp dword [WRAP + 0x1004], 0
	CHECK e
	cmp dword [WRAP + 0x2004], WRAP_TURNS
	CHECK e
	ret

; many places, each a few times: whatever slots there are have pages beyond 4 GiB
beyond:
%assign place 0
%rep 16
	mov ecx, 40
beyond_%[place]:
%rep 12
	mov rax, 0x100008000
	mov edx, [rax]
	mov rax, 0xfffffffffffff000
	or dword [rax + 8], 1
%endrep
	dec ecx
	jnz beyond_%[place]
%assign place place + 1
%endrep
	ret

	bits 32
wrap32:	mov ecx, WRAP_TURNS
	xor ebp, ebp
.turn:	mov ebx, 0xfffff000
	mov eax, [ebx + 0x9000] ; 8000h
	xor eax, 0x44444444
	or ebp, eax
	mov esi, 0x10
	mov eax, [esi - 0x1010] ; fffff000h
	xor eax, 0x33333333
	or ebp, eax
	mov edi, 0x10
	add dword [edi - 0x100c], 1
	times 30 nop ; too long for what short loops have
	dec ecx
	jnz .turn
	mov eax, ebp
	int 0x80
	bits 64

; ---- the code: rdi = where it is ----

TURNS equ 50
	align 4096, db 0xcc
	default rel
blob:
	push rbx
	push rbp
	mov rbx, rdi
	xor eax, eax
	xor r10d, r10d
	mov ebp, TURNS
.loop:	mov rcx, [d0]
	add [d1], rcx
	add rax, [d1]
	lea rdx, [d2]
	sub rdx, rbx
	lea rax, [rax + rax * 4]
	add rax, rdx
	lea edx, [d2] ; the lower half
	sub edx, ebx
	add rax, rdx
	cmp dword [d2], 7
	jne .bad
	cmp dword [d2], 8
	je .bad
	push qword [d0]
	pop rdx
	add rax, rdx
	cvttsd2si rdx, [d3]
	add rax, rdx
	fld qword [d3]
.fistp:	fistp qword [d4]
	add rax, [d4]
	test ebp, 15
	jnz .no_fip
	fldcw [d_pending]
	fxsave64 [d_fx]
	fnclex
	fldcw [d_masked]
	mov rdx, [d_fx + 8]
	sub rdx, rbx
	add rax, rdx
	sub rdx, .fistp - blob
	jnz .bad
.no_fip:
	call g0
	call .here
.here:	pop rdx
	sub rdx, rbx
	add rax, rdx
	call g1
	lea rdx, [g2]
	call rdx
	lea rdx, [g3]
	mov [d5], rdx
	call [d5]
	lea rdx, [.back]
	mov [d6], rdx
	jmp there
	hlt
.back:	bt [d0], ebp
	adc rax, 0
	lock xadd [d7], rax
	xor ecx, ecx
	xchg [d7], rcx
	add rax, rcx
	lea rsi, [d0]
	lea rdi, [d8]
	movsq
	mov ecx, 5
	rep movsb
	mov rdx, [d8]
	add rax, rdx
	dec ebp
	jnz .loop
	pop rbp
	pop rbx
	ret
.bad:	hlt
g0:	mov rdx, [rsp] ; the return address
	sub rdx, rbx
	lea rax, [rax + rdx * 2]
	ret
; calls down from one copy to the others: rdi, rsi, rdx = bases, ecx = how deep; rax = sum
hop:	push rdi
	lea rax, [hop]
	sub rax, rdi
	dec ecx
	jz .up
	push rdx
	xchg rdi, rsi ; the next one
	xchg rsi, rdx
	lea r8, [rdi + hop - blob]
	call r8
	pop rdx
.up:	pop rdi
	lea r8, [.up]
	sub r8, rdi
	lea rax, [rax + rax * 2]
	add rax, r8
	lea r8, [rdi + leaf - blob]
	call r8
	call leaf
	ret
	times 0x1000 - 3 - ($ - blob) nop
over1:	add rax, [d0] ; across pages 0 and 1
	ret
g1:	mov rdx, [rsp]
	sub rdx, rbx
	add rax, rdx
	call over1
	call g0
	call g2
	mov rdx, [d0]
	sub rax, rdx
patched: mov edx, 0x01020304
	add r10, rdx
	ret
there:	inc rax
	jmp there2
	times 0x2000 - 2 - ($ - blob) nop
over2:	call g3 ; the return address is in page 2
	ret
g2:	mov rdx, [rsp]
	sub rdx, rbx
	add rax, rdx
	cmp rax, 0
	je .never
	call over2
	ret
.never:	hlt
g3:	mov rdx, [rsp]
	sub rdx, rbx
	add rax, rdx
	lea rdx, [over2]
	sub rdx, rbx
	xor rax, rdx
	ret
there2:	add rax, 3
	jmp [d6]
leaf:	add rax, [d0]
	ret
	times 0x3000 - ($ - blob) nop
d0:	dq 0x0123456789abcdef
d1:	dq 0
d2:	dd 7, 0
d3:	dq 12345.25 ; an integer it is not: FISTP sets PE
d4:	dq 0
d5:	dq 0
d6:	dq 0
d7:	dq 0
d8:	dq 0, 0
d_pending: dw 0x35f ; unmasks PE: AMD's FXSAVE has FIP only while an exception is pending
d_masked: dw 0x37f
	align 16
d_fx:	times 512 db 0
	times 0x4000 - ($ - blob) db 0

; ---- the same in 32 bits: runs to INT 80h, EAX = sum ----

	bits 32
	default abs
blob32:	call .here
.here:	pop ebx
	sub ebx, .here - blob32
	xor eax, eax
	mov ebp, TURNS
.loop:	call h0
	lea edx, [ebx + h1 - blob32]
	call edx
	lea edx, [ebx + h2 - blob32]
	mov [ebx + 0x3000], edx
	call [ebx + 0x3000]
	lea edx, [ebx + .back - blob32]
	mov [ebx + 0x3004], edx
	jmp there32
	hlt
.back:	lea eax, [eax + eax * 2 + 1]
	fld1
	fstp dword [ebx + 0x3008]
	test ebp, 7
	jnz .no_fip
	fld1
.fst:	fstp dword [ebx + 0x3008]
	fnstenv [ebx + 0x3010]
	fldenv [ebx + 0x3010]
	mov edx, [ebx + 0x3010 + 12]
	sub edx, ebx
	add eax, edx
	sub edx, .fst - blob32
	jnz .bad
.no_fip:
	mov ecx, 3
.l:	add eax, ecx
	loop .l
	dec ebp
	jnz .loop
	int 0x80
.bad:	hlt
h0:	mov edx, [esp]
	sub edx, ebx
	add eax, edx
	ret
	times 0x1000 - 3 - ($ - blob32) nop
	add eax, 0x11223344
	ret
h1:	mov edx, [esp]
	sub edx, ebx
	add eax, edx
	call blob32 + 0x1000 - 3
	call h0
	call h2
	ret
there32:
	inc eax
	jmp there32b
	times 0x2000 - 2 - ($ - blob32) nop
over32:	call h0
	ret
h2:	mov edx, [esp]
	sub edx, ebx
	xor eax, edx
	call over32
	ret
there32b:
	jmp [ebx + 0x3004]
	times 0x4000 - ($ - blob32) db 0

; ---- data ----

	align 16
gdt:	dq 0
	dq 0x00af9b000000ffff
	dq 0x00cf93000000ffff
	dq 0x00cffb000000ffff ; 18h: 32 bits, CPL 3
	dq 0x00cff3000000ffff
	dq 0x00affb000000ffff ; 28h: 64 bits, CPL 3
	dq ((tss - image + 0x100000) & 0xffff) << 16 | ((tss - image + 0x100000) >> 16) << 32 | 0x890000000067
	dq 0
	dq 0x00cf9b000000ffff ; 40h: 32 bits, CPL 0
gdt_ptr: dw $ - gdt - 1
	dd gdt
	dd 0
idt_ptr: dw 4095
	dq idt
	align 8
tss:	times 0x66 db 0
	dw 0x68
	align 8
bases:	dq 0x7f0000001000, 0x7f0000005000, 0x5577aabb2000, 0x100000000, 0x7f0040002000, 0x2000000000
N_BASES equ ($ - bases) / 8
far_away: dq 0x11000000000
first_want: dq WANT
want:	dq 0
want32:	dq 0
hop_want: dq 0
last:	dq 0
kernel_sp: dq 0
pool:	dd POOL
cpl:	dd 0
WANT equ 0xce8d62df9648e05c
	align 16
fx:	times 512 db 0
idt:	times 4096 db 0
	BSS

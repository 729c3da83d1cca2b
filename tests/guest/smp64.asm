; SPDX-License-Identifier: Apache-2.0
;
; What several processors may see of each other. Every processor runs every test; a test returns when
; its own part is done, and processor 0 checks. Intel SDM vol. 3: 9.1 (locked atomic operations),
; 9.1.3 (cross-modifying code), 9.2 (memory ordering), 9.3 (serializing instructions), 9.4 (INIT, SIPI),
; 4.10.5 (propagation of paging-structure changes), 6.7 (NMI), 11.6 (interprocessor interrupts).
; run: --machine pc -c 1
; run: --machine pc -c 2
; run: --machine pc -c 4
; run: --machine microvm -c 5
; expect: split locks: ok
; expect: processors, all passed
%include "privilege.inc"
%include "smp64.inc"
section .text
section .data follows=.text align=64
section .bss follows=.data align=4096 nobits
section .text
MULTIBOOT entry
SMP_RUNTIME

; count every processor's turns: r9 = value times the number of processors
%macro TIMES_ALL 1
	mov r9d, %1
	imul r9, r14
%endmacro

; ---- locked read-modify-write ----

N_LOCKED equ 3000
t_locked:
	mov ebx, N_LOCKED
.loop:	lock inc qword [cnt]
	lock add dword [cnt + 64], 3
	mov eax, 1
	lock xadd [cnt + 128], ax
	lock dec qword [cnt + 192]
	lock sub byte [cnt + 256], 1
	mov rax, [cnt + 320]
.cas:	lea rdx, [rax + 1]
	lock cmpxchg [cnt + 320], rdx
	jne .cas
	lock inc qword [cnt + 384 + 61] ; crosses a cache line
.xchg:	mov eax, 1
	xchg eax, [lock1]
	test eax, eax
	jz .got
	pause
	jmp .xchg
.got:	inc qword [cnt + 512]
	mov dword [lock1], 0
	mov edx, 1000 ; the bit lies 125 bytes on
.bts:	lock bts [lock2], edx
	jnc .got2
	pause
	jmp .bts
.got2:	inc qword [cnt + 576]
	lock btr [lock2], edx
	lock not qword [cnt + 640]
	lock neg qword [cnt + 704]
	dec ebx
	jnz .loop
	call barrier
	ONLY_CPU0
	jnz .end
	TIMES_ALL N_LOCKED
	cmp [cnt], r9
	CHECK e
	lea eax, [r9 + r9 * 2]
	cmp [cnt + 64], eax
	CHECK e
	cmp [cnt + 128], r9w
	CHECK e
	mov rax, r9
	neg rax
	cmp [cnt + 192], rax
	CHECK e
	cmp [cnt + 256], al
	CHECK e
	cmp [cnt + 320], r9
	CHECK e
	cmp [cnt + 384 + 61], r9
	CHECK e
	cmp [cnt + 512], r9
	CHECK e
	cmp [cnt + 576], r9
	CHECK e
	cmp qword [cnt + 640], 0 ; an even number of times
	CHECK e
	cmp qword [cnt + 704], 5
	CHECK e
.end:	ret

; ---- CMPXCHG8B, CMPXCHG16B: two counters that move together ----

N_CX equ 3000
t_cmpxchg:
	mov edi, N_CX
.loop:	mov rax, [pair16]
	mov rdx, [pair16 + 8]
.cx16:	lea rbx, [rax + 1]
	lea rcx, [rdx + 3]
	lock cmpxchg16b [pair16]
	jne .cx16
	mov eax, [pair8]
	mov edx, [pair8 + 4]
.cx8:	lea ebx, [eax + 1]
	lea ecx, [edx + 5]
	lock cmpxchg8b [pair8]
	jne .cx8
	dec edi
	jnz .loop
	call barrier
	ONLY_CPU0
	jnz .end
	TIMES_ALL N_CX
	cmp [pair16], r9
	CHECK e
	lea rax, [r9 + r9 * 2]
	cmp [pair16 + 8], rax
	CHECK e
	cmp [pair8], r9d
	CHECK e
	lea eax, [r9 + r9 * 4]
	cmp [pair8 + 4], eax
	CHECK e
.end:	ret

; ---- locked accesses across a page: the two pages are not neighbours in memory ----

; few: each has to wait until a busy host has run every other processor for a moment
N_SPLIT equ 240
SPLIT_A equ 0x500000
SPLIT_B equ 0x480000
Q equ WINDOW + 0xffc
t_split:
	ONLY_CPU0
	jnz .mapped
	mov dword [PT], SPLIT_A | 7
	mov dword [PT + 8], SPLIT_B | 7
	mov qword [SPLIT_A + 0xff8], 0
	mov qword [SPLIT_B], 0
.mapped: call barrier
	; even: both halves in one go; odd: the high half alone, which is a plain locked access
	mov rbp, Q
	mov ebx, N_SPLIT
	mov rdx, 0x100000001
.add:	test r15b, 1
	jnz .odd
	lock add [rbp], rdx
	mov rax, rdx
	lock xadd [rbp], rax
	jmp .added
.odd:	lock inc dword [rbp + 4]
	lock inc dword [rbp + 4]
.added:	dec ebx
	jnz .add
	call barrier
	ONLY_CPU0
	jnz .bytes
	lea eax, [r14 + 1]
	shr eax, 1
	imul eax, 2 * N_SPLIT
	cmp [SPLIT_A + 0xffc], eax
	CHECK e
	TIMES_ALL 2 * N_SPLIT
	cmp [SPLIT_B], r9d
	CHECK e
	; processors 1, 3: plain byte stores, one byte each, that nobody may undo; others: locked
	; accesses that change nothing
.bytes:	call barrier
	mov ebx, N_SPLIT
.store:	cmp r15d, 1
	je .own1
	cmp r15d, 3
	je .own3
	lock or qword [rbp], byte 0
	mov eax, 0x11111111 ; mostly unequal: what is there is written back
	mov edx, eax
	push rbx
	mov ebx, eax
	mov ecx, eax
	lock cmpxchg8b [rbp]
	pop rbx
	jmp .stored
.own1:	mov [rbp + 1], bl
	mfence
	cmp [rbp + 1], bl
	CHECK e
	jmp .stored
.own3:	mov [rbp + 6], bl
	mfence
	cmp [rbp + 6], bl
	CHECK e
.stored: dec ebx
	jnz .store
	call barrier
	; an exchange and a bit test as locks
	ONLY_CPU0
	jnz .locks
	mov qword [rbp], 0
	mov qword [cnt], 0
.locks:	call barrier
	mov ebx, N_SPLIT / 4
.xchg:	mov rax, -1
	xchg rax, [rbp]
	test rax, rax
	jz .got
	pause
	jmp .xchg
.got:	inc qword [cnt]
	; not by a plain store: across a line its halves are two (SDM vol. 3, 9.1.1), and what an
	; exchange between them has stored would stay
	xor eax, eax
	xchg rax, [rbp]
	dec ebx
	jnz .xchg
	call barrier
	ONLY_CPU0
	jnz .bts0
	mov qword [rbp], 0
.bts0:	call barrier
	mov ebx, N_SPLIT / 4
	mov edx, 32 + 7
.bts:	lock bts [rbp - 3], edx ; the operand starts at ffdh
	jnc .got2
	pause
	jmp .bts
.got2:	inc qword [cnt]
	lock btr [rbp - 3], edx
	dec ebx
	jnz .bts
	call barrier
	ONLY_CPU0
	jnz .end
	TIMES_ALL N_SPLIT / 4 * 2
	cmp [cnt], r9
	CHECK e
	cmp dword [SPLIT_A + 0xffc], 0
	CHECK e
	cmp dword [SPLIT_B], 0
	CHECK e
.end:	ret

; ---- interrupts between two: each waits in HLT for the other ----

N_PING equ 300
t_ping:
	mov ebx, r15d
	xor ebx, 1 ; the partner
	cmp ebx, r14d
	jae .end
	xor edx, edx
	mov eax, r15d
	shl eax, 6
	lea rdi, [rax + pings]
.round:	inc edx
	test r15b, 1
	jnz .answer
	call .send
	call .wait
	jmp .next
.answer: call .wait
	call .send
.next:	cmp edx, N_PING
	jb .round
.end:	ret
.send:	mov eax, V_PING
	mov ecx, ebx
	jmp ipi_to
.wait:	cli
	cmp [rdi], edx
	jae .there
	sti
	hlt
	jmp .wait
.there:	sti
	ret
on_ping:
	push rax
	mov eax, r15d
	shl eax, 6
	inc dword [rax + pings]
	pop rax
	jmp eoi_only

; ---- everybody to all others, all at once: none may be lost that has a vector of its own ----

N_STORM equ 60
t_storm:
	cmp r14d, 2
	jb .end
	xor ebx, ebx
	xor edx, edx
.round:	inc ebx
	add edx, r14d
	dec edx
	lea eax, [r15 + V_STORM]
	call ipi_others
	SPIN_UNTIL e, cmp [storm_acks + r15 * 4], edx
	cmp ebx, N_STORM
	jb .round
.end:	ret

; ---- NMI reaches those who have interrupts off ----

N_NMI equ 100
t_nmi:
	cli
	ONLY_CPU0
	jnz .others
	xor ebx, ebx
	xor edx, edx
	cmp r14d, 2
	jb .stop
.round:	inc ebx
	add edx, r14d
	dec edx
	mov r8d, LAPIC
	mov dword [r8 + 0x300], 0x000c4400
	SPIN_UNTIL e, cmp [nmis], edx
	cmp ebx, N_NMI
	jb .round
.stop:	lock inc dword [stop_nmi]
.others: SPIN_UNTIL ne, cmp dword [stop_nmi], 0
	sti
	ret
on_nmi:	lock inc dword [nmis]
	iretq

; ---- cross-modifying code ----

N_CODE equ 150
CODE equ 0x410003 ; mov eax, imm32 (aligned); ret
t_code:
	ONLY_CPU0
	jnz .call
	mov byte [CODE], 0xb8
	mov dword [CODE + 1], 0
	mov byte [CODE + 5], 0xc3
	mov dword [code_ready], 1
	xor ebx, ebx
.round:	inc ebx
	mov dword [acks], 0
	imul eax, ebx, 0x10001
	mov [code_now], eax
	mov [CODE + 1], eax
	mov [CODE + 0x800], ebx ; data in the same page
	mov eax, V_CODE
	call ipi_others
	mov edx, r14d
	dec edx
	SPIN_UNTIL e, cmp [acks], edx
	cpuid_here
	call CODE
	cmp eax, [code_now]
	CHECK e
	cmp ebx, N_CODE
	jb .round
	mov dword [code_ready], 2
	ret
.call:	SPIN_UNTIL ne, cmp dword [code_ready], 0
.again:	mov edi, 50
.many:	call CODE ; old or new, never half of each
	mov edx, eax
	rol edx, 16
	cmp eax, edx
	CHECK e
	dec edi
	jnz .many
	pause
	cmp dword [code_ready], 2
	jne .again
	ret
on_code:
	push rax
	push rbx
	push rcx
	push rdx
	cpuid_here
	call CODE
	cmp eax, [code_now]
	CHECK e
	lock inc dword [acks]
	pop rdx
	pop rcx
	pop rbx
	pop rax
	jmp eoi_only

; changed while nobody runs it, an instruction across two pages; a flag and CPUID make it known
CODE2 equ WINDOW + 0x3ffd
t_code2:
	ONLY_CPU0
	jnz .mapped
	mov dword [PT + 3 * 8], 0x414000 | 7
	mov dword [PT + 4 * 8], 0x412000 | 7
	mov byte [0x414ffd], 0xb8
	mov byte [0x412002], 0xc3
.mapped: xor ebx, ebx
	mov rbp, CODE2
.round:	inc ebx
	ONLY_CPU0
	jnz .wait
	mov [rbp + 1], ebx
.wait:	call barrier
	cpuid_here
	call rbp
	cmp eax, ebx
	CHECK e
	; the same bytes by way of the physical pages
	call barrier
	ONLY_CPU0
	jnz .wait2
	mov byte [0x412000], 0x5a
	lea eax, [rbx + 0x7700]
	mov [0x414ffe], ax
.wait2:	call barrier
	cpuid_here
	call rbp
	lea edx, [rbx + 0x5a7700]
	cmp eax, edx
	CHECK e
	call barrier
	cmp ebx, 100
	jb .round
	ret

; pages that processor 0 keeps storing to become code of the others; a flag and CPUID make each of
; its versions known
N_FRESH equ 16
FRESH equ 0x420000
t_fresh:
	ONLY_CPU0
	jnz .call
	xor ebx, ebx
	mov ebp, FRESH
.page:	mov edi, 24
	mov byte [rbp], 0xb8
	mov byte [rbp + 5], 0xc3
.version:
	inc ebx
	mov dword [acks], 0
	mov [rbp + 1], ebx
	mov [fresh_at], rbp
	mov [fresh_now], ebx
	mov edx, r14d
	dec edx
.wait:	inc dword [rbp + 0x800] ; data in the same page
	pause
	cmp [acks], edx
	jne .wait
	dec edi
	jnz .version
	add ebp, 4096
	cmp ebp, FRESH + N_FRESH * 4096
	jb .page
	mov dword [fresh_now], -1
	ret
.call:	xor ebx, ebx
.next:	inc ebx
.look:	mov eax, [fresh_now]
	cmp eax, -1
	je .done
	pause
	cmp eax, ebx
	jne .look
	cpuid_here
	mov rbp, [fresh_at]
	call rbp
	cmp eax, ebx
	CHECK e
	lock inc dword [acks]
	jmp .next
.done:	ret

; ---- TLB shoot-down ----

N_TLB equ 100
VIEW equ WINDOW + 0x2000
VIEW_PTE equ PT + 2 * 8
t_tlb:
	mov rbp, VIEW
	ONLY_CPU0
	jnz .readers
	mov dword [0x420000], 0xaaaa
	mov dword [0x430000], 0xbbbb
	mov dword [VIEW_PTE], 0x420007
	mov dword [epoch], 2
	mov ebx, N_TLB
.round:	xor eax, eax
	xchg [VIEW_PTE], rax
	invlpg [rbp]
	call shoot_down
	lock inc dword [epoch] ; odd: it can't be read
	mov ecx, 300
.unmapped: pause
	loop .unmapped
	lock inc dword [epoch] ; even: one page or the other
	mov eax, 0x420007
	test dword [epoch], 2
	jnz .map
	mov eax, 0x430007
.map:	mov [VIEW_PTE], rax
	mov ecx, 300
.mapped: pause
	loop .mapped
	dec ebx
	jnz .round
	mov dword [epoch], 0
	ret
.readers: mov r13d, .fault
	SPIN_UNTIL ne, cmp dword [epoch], 0
.read:	mov ecx, [epoch]
	mov eax, [rbp]
	mov edx, [epoch]
	cmp ecx, edx
	jne .next
	test ecx, ecx
	jz .end
	test ecx, 1
	CHECK z
	mov edi, 0xaaaa
	mov esi, 0xbbbb
	test ecx, 2
	cmovz edi, esi
	cmp eax, edi
	CHECK e
.next:	jmp .read
.fault:	pause
	cmp dword [epoch], 0
	jne .read
.end:	ret
; all others drop VIEW and DIRTY; clobbers rax, rcx, rdx, r8
shoot_down:
	mov dword [acks], 0
	mov eax, V_SHOOT
	call ipi_others
	mov edx, r14d
	dec edx
	SPIN_UNTIL e, cmp [acks], edx
	ret
on_shoot:
	push rax
	test dword [epoch], 4
	jnz .cr3
	mov rax, VIEW
	invlpg [rax]
	mov rax, DIRTY
	invlpg [rax]
	jmp .done
.cr3:	mov rax, cr3
	mov cr3, rax
.done:	lock inc dword [acks]
	pop rax
	jmp eoi_only
on_fault: ; #PF: continue at r13
	add rsp, 8
	mov [rsp], r13
	iretq

; ---- a store through a page whose entry is being taken away sets its dirty bit first ----

DIRTY equ WINDOW + 0x5000
DIRTY_PTE equ PT + 5 * 8
DIRTY_AT equ 0x440000
t_dirty:
	mov rbp, DIRTY
	ONLY_CPU0
	jnz .writers
	mov ebx, N_TLB
.round:	mov eax, DIRTY_AT | 3
	mov [DIRTY_PTE], rax
	mov ecx, 200
.mapped: pause
	loop .mapped
	xor edi, edi
	xchg [DIRTY_PTE], rdi
	invlpg [rbp]
	call shoot_down
	xor esi, esi
.sum:	mov rax, [DIRTY_AT + rsi * 8]
	cmp rax, [dirty_seen + rsi * 8]
	mov [dirty_seen + rsi * 8], rax
	je .same
	test edi, 0x40
	CHECK nz
	test edi, 0x20
	CHECK nz
.same:	inc esi
	cmp esi, r14d
	jb .sum
	dec ebx
	jnz .round
	mov dword [dirty_stop], 1
	ret
.writers: mov r13d, .fault
	xor ebx, ebx
.write:	inc ebx
	mov [rbp + r15 * 8], rbx
	jmp .next
.fault:	pause
.next:	cmp dword [dirty_stop], 0
	je .write
	ret

; ---- memory ordering: pairs of processors run through arrays of cells ----

N_CELLS equ 512
N_LITMUS equ 6
XS equ 0x1000000 ; per pair 2 x 32 KiB
; rdi = cells of x, rsi = of y, rbp = results of this processor, rbx = of the partner; r10 = stride
%macro LITMUS 4 ; name, even, odd, check (eax even's, edx odd's result; jumps to .bad)
%1:	mov r11d, N_LITMUS
.rep:	call litmus_cells
	jnc .idle
	call barrier
	test r15b, 1
	jnz .odd
.e:	%2
	mov [rbp], eax
	add rdi, 64
	add rsi, 64
	add rbp, 4
	dec r10d
	jnz .e
	jmp .ran
.odd:	%3
	mov [rbp], eax
	add rdi, 64
	add rsi, 64
	add rbp, 4
	dec r10d
	jnz .odd
.ran:	call barrier
	call litmus_results
	test r15b, 1
	jnz .end
.check:	mov eax, [rbp]
	mov edx, [rbx]
	%4
	jmp .good
.bad:	FAIL
.good:	add rbp, 4
	add rbx, 4
	dec r10d
	jnz .check
	jmp .end
.idle:	call barrier
	call barrier
.end:	call barrier
	dec r11d
	jnz .rep
	ret
%endmacro
litmus_cells: ; own variable cleared; CF: has a partner
	mov eax, r15d
	xor eax, 1
	cmp eax, r14d
	jae .none
	call litmus_results
	mov eax, r15d
	shl eax, 15
	lea r9, [rax + XS]
	and eax, ~0xffff
	lea rdi, [rax + XS]
	lea rsi, [rdi + 0x8000]
	mov ecx, N_CELLS
.clear:	mov qword [r9], 0
	add r9, 64
	loop .clear
	stc
	ret
.none:	clc
	ret
litmus_results:
	mov eax, r15d
	shl eax, 12
	lea rbp, [rax + results]
	xor eax, 0x1000
	lea rbx, [rax + results]
	mov r10d, N_CELLS
	ret

%macro SB_EVEN 1+
	mov dword [rdi], 1
	%1
	mov eax, [rsi]
%endmacro
%macro SB_ODD 1+
	mov dword [rsi], 1
	%1
	mov eax, [rdi]
%endmacro
%macro SB_CHECK 0
	or eax, edx
	jz .bad
%endmacro
%macro SB_COUNT 0
	or eax, edx
	jnz .good
	lock inc dword [sb_seen]
%endmacro
%macro MP_EVEN 0
	mov dword [rdi], 1
	mov dword [rsi], 1
%endmacro
%macro MP_ODD 0
	mov eax, [rsi]
	mov ecx, [rdi]
	lea eax, [rax * 2 + rcx]
%endmacro
%macro MP_CHECK 0 ; saw y, not x
	cmp edx, 2
	je .bad
%endmacro
%macro MP2_EVEN 0 ; by way of the stack
	cli
	mov r8, rsp
	lea rsp, [rdi + 8]
	push 1
	lea rsp, [rsi + 8]
	push 1
	mov rsp, r8
	sti
%endmacro
%macro MP2_ODD 0
	cli
	mov r8, rsp
	mov rsp, rsi
	pop rax
	mov rsp, rdi
	pop rcx
	mov rsp, r8
	sti
	lea eax, [rax * 2 + rcx]
%endmacro
%macro MP3_EVEN 0 ; string instructions, one element each
	mov eax, 1
	stosd
	xchg rdi, rsi
	stosd
	xchg rdi, rsi
	sub rdi, 4
	sub rsi, 4
%endmacro
%macro MP3_ODD 0
	lodsd
	mov ecx, eax
	xchg rdi, rsi
	lodsd
	xchg rdi, rsi
	sub rdi, 4
	sub rsi, 4
	lea eax, [rcx * 2 + rax]
%endmacro
%macro LB_EVEN 0
	mov eax, [rdi]
	mov dword [rsi], 1
%endmacro
%macro LB_ODD 0
	mov eax, [rsi]
	mov dword [rdi], 1
%endmacro
%macro LB_CHECK 0
	and eax, edx
	jnz .bad
%endmacro
LITMUS t_sb, SB_EVEN nop, SB_ODD nop, SB_COUNT
LITMUS t_sb_fence, SB_EVEN mfence, SB_ODD mfence, SB_CHECK
%macro LOCKED 0
	lock add dword [rsp], 0
%endmacro
LITMUS t_sb_lock, SB_EVEN LOCKED, SB_ODD LOCKED, SB_CHECK
%macro CPUID_EBX 0
	mov r8, rbx
	cpuid_here
	mov rbx, r8
%endmacro
LITMUS t_sb_cpuid, SB_EVEN CPUID_EBX, SB_ODD CPUID_EBX, SB_CHECK
LITMUS t_mp, MP_EVEN, MP_ODD, MP_CHECK
LITMUS t_mp_stack, MP2_EVEN, MP2_ODD, MP_CHECK
LITMUS t_mp_string, MP3_EVEN, MP3_ODD, MP_CHECK
LITMUS t_lb, LB_EVEN, LB_ODD, LB_CHECK

; ---- the time-stamp counters agree ----

t_tsc:
	mov ebx, 2000
.loop:	mov eax, 1
	xchg eax, [lock1]
	test eax, eax
	jz .got
	pause
	jmp .loop
.got:	rdtsc
	shl rdx, 32
	or rax, rdx
	cmp rax, [tsc_last]
	CHECK ae
	mov [tsc_last], rax
	mov dword [lock1], 0
	dec ebx
	jnz .loop
	ret

; ---- everybody's own timer ----

t_timer:
	mov r8d, LAPIC
	mov dword [r8 + 0x3e0], 0xb
	mov dword [r8 + 0x320], 0x20000 | V_TICK
	mov dword [r8 + 0x380], 1300000
	mov eax, r15d
	shl eax, 6
	lea rdi, [rax + ticks]
.wait:	cli
	cmp dword [rdi], 20
	jae .there
	sti
	hlt
	jmp .wait
.there:	sti
	mov dword [r8 + 0x320], 0x10000
	ret
on_tick:
	push rax
	mov eax, r15d
	shl eax, 6
	inc dword [rax + ticks]
	pop rax
	jmp eoi_only

; ---- INIT and at once SIPI, again and again; nobody returns from here but processor 0 ----

t_restart:
	call barrier
	ONLY_CPU0
	jnz park
	mov dword [restarting], 1
	mov edi, 20
.round:	mov ebx, 1
.cpu:	cmp ebx, r14d
	jae .next
	mov dword [awake], 0
	mov ecx, ebx
	mov eax, 0x500
	call ipi_to
	mov ecx, ebx
	mov eax, 0x600 | TRAMPOLINE >> 12
	call ipi_to
	SPIN_UNTIL ne, cmp dword [awake], 0
	inc ebx
	jmp .cpu
.next:	dec edi
	jnz .round
	PUTS {"restart: ok", 10, "plain store buffering seen: "}
	mov eax, [sb_seen]
	call put_hex
	PUTS {10}
	jmp all_done

section .data
%macro TEST 2
	section .text
%%name:	db %2, 0
	section .data
	dd %1, %%name
%endmacro
	align 8
tests:
TEST t_locked, "locked arithmetic"
TEST t_cmpxchg, "cmpxchg8b and 16b"
TEST t_split, "split locks"
TEST t_ping, "ping-pong"
TEST t_storm, "storm of interrupts"
TEST t_nmi, "nmi"
TEST t_code, "changing code"
TEST t_code2, "code across pages"
TEST t_fresh, "data that becomes code"
TEST t_tlb, "shoot-down"
TEST t_dirty, "dirty bits"
TEST t_sb, "store buffering"
TEST t_sb_fence, "with mfence"
TEST t_sb_lock, "with lock"
TEST t_sb_cpuid, "with cpuid"
TEST t_mp, "message passing"
TEST t_mp_stack, "by push and pop"
TEST t_mp_string, "by strings"
TEST t_lb, "load buffering"
TEST t_tsc, "time-stamp counter"
TEST t_timer, "timers"
TEST t_restart, "restart"
	dd 0, 0
handlers:
	HANDLER 2, on_nmi
	HANDLER 14, on_fault
	HANDLER V_TICK, on_tick
	HANDLER V_PING, on_ping
	HANDLER V_CODE, on_code
	HANDLER V_SHOOT, on_shoot
	dd 0, 0
	align 64
pair16:	dq 0, 0
	align 64
pair8:	dq 0
	align 64
lock1:	dd 0
	align 64
lock2:	times 256 db 0
	align 64
acks:	dd 0
nmis:	dd 0
stop_nmi: dd 0
code_ready: dd 0
code_now: dd 0
fresh_now: dd 0
	align 8
fresh_at: dq 0
	align 64
epoch:	dd 0
dirty_stop: dd 0
sb_seen: dd 0
tsc_last: dq 0
	align 64
cnt:	times 704 db 0
	dq 5
	align 64
image_end:

section .bss
idt:	resb 4096
pings:	resb 64 * 16
ticks:	resb 64 * 16
dirty_seen: resb 8 * 16
	align 4096, resb 1
results: resb 16 * 4096
bss_end:

; SPDX-License-Identifier: Apache-2.0
; A disk's first sectors, started by the BIOS at 07c0:0000 as the BIOS Boot Specification 1.01, 6.5
; says: BIOS calls, the memory map, and the return to real mode through a reset of the processor
; with CMOS shutdown code 0Ah (IBM PC/AT Technical Reference, "Shutdown" in the BIOS listing).
; boot: disk
; run: --machine pc
; run: --machine pc -c 2
; expect: hello from the boot sector
; expect: second sector
; expect: memory map
; expect: back after port 92h
; expect: back after the keyboard controller
	bits 16
	org 0x7c00
	jmp 0:start
start:	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 0x7c00
	mov [drive], dl
	mov si, hello
	call puts
	; int 13h, 42h: read sectors 1 to 3 to 7e00h
	mov si, packet
	mov ah, 0x42
	mov dl, [drive]
	int 0x13
	jc fail
	jmp second

fail:	mov si, bad
	call puts
	mov al, 1
	out 0xf4, al
	hlt

puts:	lodsb
	test al, al
	jz .end
	mov ah, al
	mov dx, 0x3fd
.wait:	in al, dx
	test al, 0x20
	jz .wait
	mov al, ah
	mov dx, 0x3f8
	out dx, al
	jmp puts
.end:	ret

drive:	db 0
packet:	db 16, 0
	dw 3, 0x7e00, 0
	dq 1
hello:	db "hello from the boot sector", 13, 10, 0
bad:	db "FAILED", 13, 10, 0
	times 510 - ($ - $$) db 0
	dw 0xaa55

second:	mov si, text2
	call puts
	; int 15h, e820h: the last entry of RAM below 4 GiB ends near 64 MiB
	xor ebx, ebx
	xor ebp, ebp
.next:	mov eax, 0xe820
	mov edx, 0x534d4150
	mov ecx, 20
	mov di, entry
	int 0x15
	jc fail
	cmp eax, 0x534d4150
	jne fail
	cmp dword [entry + 16], 1
	jne .skip
	add ebp, [entry + 8]
.skip:	test ebx, ebx
	jnz .next
	cmp ebp, 60 << 20
	jb fail
	cmp ebp, 64 << 20
	ja fail
	mov si, text3
	call puts
	; shutdown code 0Ah: jump to the address at 40:67 without an end-of-interrupt
	mov word [0x467], after92
	mov word [0x469], 0
	call shutdown_code
	mov al, 1
	out 0x92, al
	hlt
after92:
	cli
	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 0x7c00
	in al, 0x92
	and al, 0xfe
	out 0x92, al
	mov si, text4
	call puts
	mov word [0x467], after64
	call shutdown_code
	mov al, 0xfe
	out 0x64, al
	hlt
after64:
	cli
	xor ax, ax
	mov ds, ax
	mov ss, ax
	mov sp, 0x7c00
	mov si, text5
	call puts
	mov al, 16
	out 0xf4, al
	hlt

shutdown_code:
	mov al, 0x0f
	out 0x70, al
	mov al, 0x0a
	out 0x71, al
	ret

entry:	times 24 db 0
text2:	db "second sector", 13, 10, 0
text3:	db "memory map", 13, 10, 0
text4:	db "back after port 92h", 13, 10, 0
text5:	db "back after the keyboard controller", 13, 10, 0
	times 1024 * 1024 - ($ - $$) db 0

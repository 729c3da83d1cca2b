; SPDX-License-Identifier: Apache-2.0
; A bzImage with 64-bit entry ("The Linux/x86 Boot Protocol"): long mode, RSI = boot_params.
; expect: long mode
; expect: boot_params are right
%include "rt.inc"
	bits 64
	org 0
	times 0x1f1 db 0
	db 1            ; setup_sects
	dw 0
	dd (payload_end - payload + 15) / 16
	dw 0, 0, 0
	dw 0xaa55
	db 0xeb, 0x6a
	db "HdrS"
	dw 0x20f
	times 0x211 - ($ - $$) db 0
	db 1            ; LOADED_HIGH
	times 0x22c - ($ - $$) db 0
	dd 0x7fffffff, 0x200000
	db 1, 21        ; relocatable
	dw 1            ; XLF_KERNEL_64
	dd 255
	times 0x258 - ($ - $$) db 0
	dq 0x1000000
	dd 0x100000     ; init_size
	times 0x400 - ($ - $$) db 0
payload:
	ud2             ; 32-bit entry: not ours
	times 0x600 - ($ - $$) db 0
entry:	lea rsp, [rel payload + 0x80000]
	mov ecx, 0xc0000080
	rdmsr
	and eax, 0x500  ; LME, LMA
	cmp eax, 0x500
	jne .bad
	lea rdi, [rel m_long]
	call puts64
	cmp dword [rsi + 0x202], "HdrS"
	jne .bad
	cmp byte [rsi + 0x1e8], 3 ; memory map entries
	jb .bad
	mov rax, [rsi + 0x70]
	mov rcx, "RSD PTR "
	cmp [rax], rcx
	jne .bad
	lea rdi, [rel m_params]
	call puts64
	mov al, 16
	out 0xf4, al
	jmp $
.bad:	mov al, 1
	out 0xf4, al
	jmp $
puts64:	mov al, [rdi]
	inc rdi
	test al, al
	jz .done
	mov dx, 0x3f8
	out dx, al
	jmp puts64
.done:	ret
m_long:	db "long mode", 10, 0
m_params: db "boot_params are right", 10, 0
payload_end:

; SPDX-License-Identifier: Apache-2.0
; A triple fault with --no-reboot is a crash.
; run: --machine pc --no-reboot
; run: --machine microvm --no-reboot -c 4
; status: 128
; expect: falling
%include "rt.inc"
	MULTIBOOT
start:	mov esp, stack_top
	PUTS "falling"
	lidt [no_idt]
	ud2
no_idt:	dw 0
	dd 0
	RUNTIME
	BSS

; SPDX-License-Identifier: Apache-2.0
; A guest that listens to nothing: the second SIGTERM ends bothy at once.
; run: --machine pc
; run: --machine microvm -c 2
; signal: TERM TERM
; status: 143
; expect: waiting
%include "rt.inc"
	MULTIBOOT
start:	mov esp, stack_top
	PUTS "waiting"
	cli
.stop:	hlt
	jmp .stop
	RUNTIME
	BSS

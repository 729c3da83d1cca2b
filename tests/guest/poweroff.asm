; SPDX-License-Identifier: Apache-2.0
; Soft-off as an ACPI OS does it: PM1a_CNT from the FADT, SLP_TYP of \_S5, SLP_EN (ACPI 6.4, 4.8.3.2,
; 7.4.2). The tables are found through the RSDP.
; status: 0
; expect: good night
%include "rt.inc"
	MULTIBOOT
start:	mov esp, stack_top
	mov esi, [0xe0000 + 24]
	add esi, 36
.table:	mov edi, [esi]
	add esi, 8
	cmp dword [edi], "FACP"
	jne .table
	PUTS "good night"
	mov dx, [edi + 64]
	in ax, dx
	test al, 1 ; SCI_EN
	FAIL_IF z, "not in ACPI mode"
	mov ax, 1 << 13 | 1
	out dx, ax
	hlt
	jmp $
	RUNTIME
	BSS

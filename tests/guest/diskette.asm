; SPDX-License-Identifier: Apache-2.0
; A diskette (made by diskette.py) that the BIOS starts, and which then uses the diskette controller
; and the DMA controller at their registers, as DOS programs and disk copiers do: 82077AA 290166-007,
; 8237A 231466-005, IBM PC/AT Technical Reference (channel 2, page register 81h, interrupt 6).
;
; Sectors hold words that follow from their number (diskette.py: pattern), except those of this
; program: 8 sectors on each of the first tracks of head 0.
	bits 16
	cpu 386
	org 0x7c00
TRACKS	equ 4		; with this program
BUFFER	equ 0x2000	; segment, starts a 64 KiB page
DOR	equ 0x3f2
MSR	equ 0x3f4
FIFO	equ 0x3f5
DIR	equ 0x3f7
	jmp 0:start
	times 16 - ($ - $$) db 0
; What diskette.py fills in.
heads:	db 2
spt:	db 18
cyls:	db 80
rate:	db 0		; as the data rate register has it
other:	db 0		; a rate at which nothing can be read
second:	db 0		; there is a diskette in B:, write-protected
change:	db 0		; diskettes are changed
	db 0
start:	cli
	xor ax, ax
	mov ds, ax
	mov es, ax
	mov ss, ax
	mov sp, 0x7c00
	sti
	mov bx, 0x7c00
	mov cx, 1	; cylinder 0, sector 1
.load:	mov ax, 0x0208
	mov dx, 0
	int 0x13
	jc .bad
	add bx, 0x1000
	inc ch
	cmp ch, TRACKS
	jb .load
	jmp main
.bad:	mov al, 2
	out 0xf4, al
	jmp $
	times 510 - ($ - $$) db 0
	dw 0xaa55

%include "diskette.inc"

main:	mov ax, BUFFER
	mov es, ax
	cli
	mov eax, [0x0e * 4]
	mov [old_irq], eax
	mov word [0x0e * 4], on_irq
	mov word [0x0e * 4 + 2], 0
	mov byte [0x440], 0	; the BIOS leaves the motor alone
	in al, 0x21
	and al, 0xbf
	out 0x21, al
	sti

	; ---- reset (DS 2.1.2, 4.1): interrupt 6, and four drives that report
	OUT8 DOR, 0x00
	mov dx, MSR
	in al, dx
	test al, al
	FAIL_IF nz, "main status during a reset"
	mov byte [irqs], 0
	OUT8 DOR, 0x1c
	call wait_irq
	SENSE "first drive after a reset", 0xc0, 0
	SENSE "second drive after a reset", 0xc1, 0
	SENSE "third drive after a reset", 0xc2, 0
	SENSE "fourth drive after a reset", 0xc3, 0
	CMD 0x08
	RESULT "nothing more to report", 0x80
	cmp byte [irqs], 0
	FAIL_IF ne, "interrupts of one reset"
	; by the data rate register, as the 82077 can
	mov byte [irqs], 0
	mov al, [rate]
	or al, 0x80
	mov dx, MSR
	out dx, al
	call wait_irq
	SENSE "a drive after the other reset", 0xc0, 0
	; a program that asks once only, then seeks (IBM PC BIOS)
	mov byte [irqs], 0
	CMD 0x0f, 0, 2
	call wait_irq
	SENSE "a seek after a reset that was half asked about", 0x20, 2
	call fresh
	PUTS "reset"

	; ---- without DMA gate there is no interrupt (DS 2.1.2)
	OUT8 DOR, 0x14
	mov byte [irqs], 0
	CMD 0x07, 0
	call pause
	cmp byte [irqs], 0
	FAIL_IF ne, "interrupt with the gate closed"
	OUT8 DOR, 0x1c
	call wait_irq
	SENSE "seek with the gate closed", 0x20, 0
	PUTS "gate"

	; ---- parameters (DS 5.2)
	CMD 0x10
	RESULT "version", 0x90
	CMD 0x1e
	RESULT "invalid command", 0x80
	CMD 0x03, 0xaf, 0x02
	CMD 0x13, 0x00, 0x57, 0x00
	CMD 0x94
	RESULT "lock", 0x10
	CMD 0x0e
	RESULT "dumpreg", 0, 0, 0, 0, 0xaf, 0x02, [bytes + 6], 0x80, 0x57, 0
	OUT8 DOR, 0x18
	call fresh
	CMD 0x0e
	RESULT "locked over a reset", 0, 0, 0, 0, 0xaf, 0x02, [bytes + 6], 0x80, 0x07, 0
	CMD 0x14
	RESULT "unlock", 0
	call fresh
	CMD 0x0e
	RESULT "not locked", 0, 0, 0, 0, 0xaf, 0x02, [bytes + 6], 0, 0x20, 0
	PUTS "parameters"

	; ---- seeks (DS 5.2.1, 5.2.3)
	mov byte [irqs], 0
	CMD 0x0f, 0, 10
	mov dx, MSR
	in al, dx
	and al, 0xd1
	cmp al, 0x81	; ready for a command, or there already
	je .busy
	cmp al, 0x80
	FAIL_IF ne, "main status during a seek"
.busy:	call wait_irq
	SENSE "seek", 0x20, 10
	CMD 0x04, 0
	RESULT "drive status on cylinder 10", 0x28
	CMD 0x8f, 0, 3		; relative, outwards
	call wait_irq
	SENSE "relative seek outwards", 0x20, 7
	mov byte [irqs], 0
	CMD 0xcf, 0, 5
	call wait_irq
	SENSE "relative seek inwards", 0x20, 12
	mov byte [irqs], 0
	CMD 0x07, 0
	call wait_irq
	SENSE "recalibrate", 0x20, 0
	CMD 0x04, 0
	RESULT "drive status on cylinder 0", 0x38
	mov byte [irqs], 0
	CMD 0x07, 3
	call wait_irq
	SENSE "recalibrate of no drive", 0x73, 0
	; 79 steps and no more: from beyond cylinder 79 it takes two
	SEEK "seek to the last cylinder the drive goes to", 0, 82
	mov byte [irqs], 0
	CMD 0x07, 0
	call wait_irq
	SENSE "recalibrate from cylinder 82", 0x70, 0
	mov byte [irqs], 0
	CMD 0x07, 0
	call wait_irq
	SENSE "recalibrate again", 0x20, 0
	CMD 0x04, 0
	RESULT "drive status after two", 0x38
	cmp byte [second], 0
	je .seeks
	; two drives at once: an interrupt for each
	mov byte [irqs], 0
	CMD 0x0f, 0, 5
	CMD 0x0f, 1, 6
.both:	mov dx, MSR
	in al, dx
	test al, 3
	jnz .both
	call wait_irq
	CMD 0x08
	call result
	mov al, [bytes]
	mov ah, [bytes + 1]
	mov [first], ax
	call wait_irq
	CMD 0x08
	call result
	mov al, [bytes]
	xor al, [first]
	cmp al, 1
	FAIL_IF ne, "drives of two seeks"
	mov al, [bytes + 1]
	add al, [first + 1]
	cmp al, 11
	FAIL_IF ne, "cylinders of two seeks"
.seeks:	PUTS "seeks"

	; ---- READ ID (DS 5.1.7)
	call fresh
	CMD 0x03, 0xaf, 0x02
	SEEK "seek", 0, 9
	mov byte [irqs], 0
	CMD 0x4a, 0
	call wait_irq
	RESULT "read id", 0, 0, 0, 9, 0, [bytes + 5], 2
	mov al, [bytes + 5]
	cmp al, [spt]
	FAIL_IF a, "sector of read id"
	cmp byte [heads], 1
	je .one
	CMD 0x4a, 4
	call wait_irq
	RESULT "read id of head 1", 4, 0, 0, 9, 1, [bytes + 5], 2
.one:	mov al, [other]
	mov dx, DIR
	out dx, al
	mov byte [irqs], 0
	CMD 0x4a, 0
	call wait_irq
	call result
	cmp word [bytes], 0x0140
	FAIL_IF ne, "read id at another data rate"
	mov al, [rate]
	mov dx, DIR
	out dx, al
	CMD 0x0a, 0
	call wait_irq
	call result
	cmp word [bytes], 0x0140
	FAIL_IF ne, "read id of FM"
	PUTS "read id"

	; ---- READ DATA by DMA
	call clear
	DMA 0x44, 0, 512
	RW 0x46, 0, 9, 0, 3, 8, 0xff
	call wait_irq
	RESULT "read one sector", 0, 0, 0, 9, 0, 4, 2
	SAME "one sector", 0, 9, 0, 3
	FILLED "behind one sector", 512, 512, 0xcc
	COUNTED "count after one sector", 0x200, 0xffff
	in al, 0x08
	and al, 0x0f
	cmp al, 4
	FAIL_IF ne, "terminal count in the status"
	in al, 0x08
	test al, 4
	FAIL_IF nz, "terminal count is shown once"
	; a whole track, with TC at its end: the next cylinder (DS table 5-6)
	movzx cx, [spt]
	shl cx, 9
	mov [track], cx
	DMA 0x44, 0, [track]
	RW 0x46, 0, 9, 0, 1, [spt], 0xff
	call wait_irq
	RESULT "read a track", 0, 0, 0, 10, 0, 1, 2
	mov di, 0
	mov ax, 0x0900
	call same_track
	FAIL_IF ne, "a track"
	; and with bytes to spare: end of cylinder
	mov cx, [track]
	add cx, 512
	mov [spare], cx
	DMA 0x44, 0, [spare]
	RW 0x46, 0, 9, 0, 1, [spt], 0xff
	call wait_irq
	RESULT "beyond a track", 0x40, 0x80, 0, 10, 0, 1, 2
	COUNTED "count after that", [track], 511
	; TC inside a sector
	call clear
	DMA 0x44, 0x100, 700
	RW 0x46, 0, 9, 0, 2, 8, 0xff
	call wait_irq
	RESULT "read 700 bytes", 0, 0, 0, 9, 0, 4, 2
	SAME "their first sector", 0x100, 9, 0, 2
	FILLED "behind 700 bytes", 0x100 + 700, 64, 0xcc
	cmp byte [heads], 1
	je .errors
	; multi-track: both heads as one track
	call clear
	mov cx, [track]
	mov [spare], cx
	add [spare], cx
	DMA 0x44, 0, [spare]
	RW 0xe6, 0, 9, 0, 1, [spt], 0xff
	call wait_irq
	RESULT "read a cylinder", 4, 0, 0, 10, 0, 1, 2
	mov di, 0
	mov ax, 0x0900
	call same_track
	FAIL_IF ne, "head 0 of a cylinder"
	mov di, [track]
	mov ax, 0x0901
	call same_track
	FAIL_IF ne, "head 1 of a cylinder"
	DMA 0x44, 0, 1024
	RW 0xe6, 0, 9, 0, [spt], [spt], 0xff
	call wait_irq
	RESULT "read over the heads", 4, 0, 0, 9, 1, 2, 2
	SAME "sector 1 of head 1", 512, 9, 1, 1
	DMA 0x44, 0, 512
	RW 0x46, 4, 9, 1, [spt], [spt], 0xff
	call wait_irq
	RESULT "the last sector of a cylinder", 4, 0, 0, 10, 1, 1, 2
.errors:
	; ---- what isn't there (DS 6)
	call clear
	DMA 0x44, 0, 512
	RW 0x46, 0, 8, 0, 1, 8, 0xff
	call wait_irq
	call result
	cmp word [bytes], 0x0440
	FAIL_IF ne, "another cylinder"
	cmp byte [bytes + 2], 0x10
	FAIL_IF ne, "wrong cylinder"
	mov al, [spt]
	inc al
	mov [beyond], al
	DMA 0x44, 0, 512
	RW 0x46, 0, 9, 0, [beyond], [beyond], 0xff
	call wait_irq
	call result
	cmp word [bytes], 0x0440
	FAIL_IF ne, "a sector beyond the track"
	DMA 0x44, 0, 512
	RW 0x46, 2, 9, 0, 1, 8, 0xff
	call wait_irq
	call result
	cmp byte [bytes], 0x42
	FAIL_IF ne, "no drive"
	FILLED "nothing was read", 0, 512, 0xcc
	PUTS "read"

	; ---- implied seek (DS 5.2.7, EIS)
	CMD 0x13, 0x00, 0x60, 0x00
	DMA 0x44, 0, 512
	RW 0x46, 0, 20, 0, 1, 8, 0xff
	call wait_irq
	RESULT "read with an implied seek", 0, 0, 0, 20, 0, 2, 2
	SAME "after an implied seek", 0, 20, 0, 1
	CMD 0x0e
	call result
	cmp byte [bytes], 20
	FAIL_IF ne, "cylinder after an implied seek"
	CMD 0x13, 0x00, 0x20, 0x00
	PUTS "implied seek"

	call dma_tests
	call write_tests
	call fifo_tests
	call more_tests
	call bios_tests
	mov al, 16
	out 0xf4, al
	jmp $

; ---- 8237A

dma_tests:
	call fresh
	CMD 0x03, 0xaf, 0x02
	SEEK "seek", 0, 9
	; verify: counts, and leaves memory alone
	call clear
	DMA 0x40, 0, 512
	RW 0x46, 0, 9, 0, 1, 8, 0xff
	call wait_irq
	RESULT "read by a verify transfer", 0, 0, 0, 9, 0, 2, 2
	FILLED "memory after a verify transfer", 0, 512, 0xcc
	COUNTED "count after a verify transfer", 0x200, 0xffff
	; downwards
	DMA 0x64, 0x3ff, 512
	RW 0x46, 0, 9, 0, 4, 8, 0xff
	call wait_irq
	RESULT "read downwards", 0, 0, 0, 9, 0, 5, 2
	COUNTED "count after that", 0x1ff, 0xffff
	mov si, 0x3ff
	mov di, 0x1000
	mov cx, 512
.turn:	mov al, [es:si]
	dec si
	stosb
	loop .turn
	SAME "downwards", 0x1000, 9, 0, 4
	; automatic initialization: the same again, without being told
	call clear
	in al, 0x08
	DMA 0x54, 0x80, 512
	RW 0x46, 0, 9, 0, 5, 8, 0xff
	call wait_irq
	RESULT "read, automatic initialization", 0, 0, 0, 9, 0, 6, 2
	COUNTED "address and count are back", 0x80, 511
	in al, 0x08
	test al, 4
	FAIL_IF z, "terminal count with automatic initialization"
	SAME "the first time", 0x80, 9, 0, 5
	RW 0x46, 0, 9, 0, 6, 8, 0xff
	call wait_irq
	RESULT "read once more", 0, 0, 0, 9, 0, 7, 2
	SAME "the second time", 0x80, 9, 0, 6
	; without, the channel is masked: overrun
	DMA 0x44, 0, 512
	RW 0x46, 0, 9, 0, 1, 8, 0xff
	call wait_irq
	call result
	call clear
	RW 0x46, 0, 9, 0, 2, 8, 0xff
	call wait_irq
	call result
	cmp word [bytes], 0x1040
	FAIL_IF ne, "overrun with a masked channel"
	FILLED "memory after an overrun", 0, 512, 0xcc
	; the first controller works through channel 4 only
	DMA 0x44, 0, 512
	OUT8 0xd4, 4
	RW 0x46, 0, 9, 0, 2, 8, 0xff
	call pause
	OUT8 0xd4, 0
	call wait_irq
	RESULT "held up by channel 4", 0, 0, 0, 9, 0, 3, 2
	SAME "after it was held up", 0, 9, 0, 2
	; a controller that is switched off
	DMA 0x44, 0, 512
	OUT8 0x08, 4
	RW 0x46, 0, 9, 0, 3, 8, 0xff
	call pause
	cmp byte [irqs], 0
	FAIL_IF ne, "a transfer by a controller that is off"
	OUT8 0x08, 0
	call wait_irq
	RESULT "held up by the command register", 0, 0, 0, 9, 0, 4, 2
	; the address counter has 16 bits: the page register stays
	call clear
	DMA 0x44, 0xff00, 512
	RW 0x46, 0, 9, 0, 7, 8, 0xff
	call wait_irq
	RESULT "read over 64 KiB", 0, 0, 0, 9, 0, 8, 2
	COUNTED "address over 64 KiB", 0x0100, 0xffff
	push es
	push ds
	mov ax, BUFFER
	mov ds, ax
	mov es, ax
	mov si, 0xff00
	mov di, 0x1000
	mov cx, 128
	rep movsw
	mov si, 0
	mov cx, 128
	rep movsw
	pop ds
	pop es
	SAME "over 64 KiB", 0x1000, 9, 0, 7
	FILLED "behind it", 0x100, 64, 0xcc
	; base and current registers are written a byte at a time
	DMA 0x54, 0x1234, 1024
	RW 0x46, 0, 9, 0, [spt], [spt], 0xff
	call wait_irq
	call result
	COUNTED "half of a transfer", 0x1434, 511
	OUT8 0x0a, 6
	out 0x0c, al
	OUT8 0x04, 0x78
	COUNTED "low byte of the address", 0x1478, 511
	out 0x0c, al
	OUT8 0x05, 0x02
	COUNTED "low byte of the count", 0x1478, 0x102
	; flip-flop, masks, pages, master clear
	out 0x0c, al
	in al, 0x04
	cmp al, 0x78
	FAIL_IF ne, "low byte first"
	in al, 0x05
	cmp al, 0x01
	FAIL_IF ne, "one flip-flop for all channels"
	OUT8 0x0a, 6
	in al, 0x0f
	test al, 4
	FAIL_IF z, "mask of channel 2"
	mov si, pages
.page:	lodsw
	movzx dx, al
	mov al, ah
	out dx, al
	in al, dx
	cmp al, ah
	FAIL_IF ne, "page register"
	cmp si, pages_end
	jb .page
.pages:	OUT8 0x81, BUFFER >> 12
	in al, 0x0f
	mov bl, al
	in al, 0x04
	in al, 0x04
	in al, 0x04	; leaves the flip-flop at the high byte
	out 0x0d, al
	in al, 0x0f
	and al, 0x0f
	cmp al, 0x0f
	FAIL_IF ne, "master clear masks all"
	in al, 0x04
	cmp al, 0x78
	FAIL_IF ne, "master clear and the flip-flop"
	mov al, bl
	out 0x0f, al
	PUTS "dma"
	ret
pages:	db 0x81, 0x55, 0x82, 0xaa, 0x83, 0x12, 0x87, 0x00, 0x89, 0x34, 0x8a, 0x56, 0x8b, 0x78
pages_end:

; C, H, R and N of each sector of track [next], head 0, at ES:0; DI: bytes
track_ids:
	mov di, 0
	mov bl, 1
.ids:	mov al, [next]
	mov ah, 0
	stosw
	mov al, bl
	mov ah, 2
	stosw
	inc bl
	cmp bl, [spt]
	jbe .ids
	ret

; ---- WRITE DATA, FORMAT TRACK

write_tests:
	call fresh
	CMD 0x03, 0xaf, 0x02
	mov al, [cyls]
	dec al
	mov [last], al
	mov byte [irqs], 0
	CMD 0x0f, 0, [last]
	call wait_irq
	SENSE "seek to the last cylinder", 0x20, [last]
	; a track at a time, from memory that holds what the next cylinder less one would
	mov al, [last]
	mov ah, al
	sub ah, 1
	mov [like], ah
	mov al, 0
	mov di, 0
	call make_track
	DMA 0x48, 0, [track]
	RW 0x45, 0, [last], 0, 1, [spt], 0xff
	call wait_irq
	mov al, [last]
	inc al
	mov [next], al
	RESULT "write a track", 0, 0, 0, [next], 0, 1, 2
	call clear
	DMA 0x44, 0, [track]
	RW 0x46, 0, [last], 0, 1, [spt], 0xff
	call wait_irq
	call result
	mov ah, [like]
	mov al, 0
	mov di, 0
	call same_track
	FAIL_IF ne, "a track that was written"
	; TC inside a sector: zeros to its end (DS 5.1.3)
	mov di, 0
	mov cx, 2048
	mov al, 0x3c
	rep stosb
	DMA 0x48, 0, 700
	RW 0x45, 0, [last], 0, 5, 8, 0xff
	call wait_irq
	RESULT "write 700 bytes", 0, 0, 0, [last], 0, 7, 2
	call clear
	DMA 0x44, 0, 1024
	RW 0x46, 0, [last], 0, 5, 8, 0xff
	call wait_irq
	call result
	FILLED "700 bytes", 0, 700, 0x3c
	FILLED "zeros behind them", 700, 324, 0
	; FORMAT TRACK, and sectors with its filler (DS 5.1.8)
	mov al, [last]
	dec al
	mov [next], al
	mov byte [irqs], 0
	CMD 0x0f, 0, [next]
	call wait_irq
	SENSE "seek", 0x20, [next]
	call track_ids
	mov [spare], di
	DMA 0x48, 0, [spare]
	mov byte [irqs], 0
	CMD 0x4d, 0, 2, [spt], 0x50, 0xf6
	call wait_irq
	call result
	cmp word [bytes], 0
	FAIL_IF ne, "format a track"
	COUNTED "bytes of format", [spare], 0xffff
	call clear
	DMA 0x44, 0, [track]
	RW 0x46, 0, [next], 0, 1, [spt], 0xff
	call wait_irq
	call result
	FILLED "a formatted track", 0, [track], 0xf6
	; VERIFY without and with a count (DS 5.1.5)
	RW 0x56, 0, [next], 0, 1, [spt], 0xff
	call wait_irq
	call result
	cmp word [bytes], 0
	FAIL_IF ne, "verify"
	RW 0x56, 0x80, [next], 0, 1, [spt], 3
	call wait_irq
	RESULT "verify three sectors", 0, 0, 0, [next], 0, 4, 2
	PUTS "write"
	cmp byte [second], 0
	je .no
	; write-protected
	CMD 0x04, 1
	call result
	test byte [bytes], 0x40
	FAIL_IF z, "write protection in the drive's status"
	CMD 0x04, 0
	call result
	test byte [bytes], 0x40
	FAIL_IF nz, "no write protection in the drive's status"
	SEEK "seek of B:", 1, 1
	DMA 0x48, 0, 512
	RW 0x45, 1, 1, 0, 1, 8, 0xff
	call wait_irq
	call result
	cmp word [bytes], 0x0241
	FAIL_IF ne, "write to a protected diskette"
	DMA 0x48, 0, 512
	mov byte [irqs], 0
	CMD 0x4d, 1, 2, [spt], 0x50, 0xf6
	call wait_irq
	call result
	cmp word [bytes], 0x0241
	FAIL_IF ne, "format of a protected diskette"
	PUTS "write protection"
.no:	ret

; ---- without DMA (DS 5.2.2, ND)

fifo_tests:
	call fresh
	CMD 0x03, 0xaf, 0x03
	SEEK "seek", 0, 9
	; polling: RQM, DIO, NDM and CB while bytes come
	call clear
	RW 0x46, 0, 9, 0, 3, 4, 0xff
	mov di, 0
	mov cx, 1024
	call fifo_in
	call wait_result
	RESULT "read without DMA", 0x40, 0x80, 0, 10, 0, 1, 2
	SAME "first sector without DMA", 0, 9, 0, 3
	SAME "second sector without DMA", 512, 9, 0, 4
	; an interrupt a byte: the buffer is off after a reset
	call clear
	mov word [got_at], 0
	mov byte [by_irq], 1
	RW 0x46, 0, 9, 0, 5, 5, 0xff
	call wait_irq
	mov byte [by_irq], 0
	RESULT "read by interrupts", 0x40, 0x80, 0, 10, 0, 1, 2
	cmp word [got_at], 512
	FAIL_IF ne, "bytes by interrupts"
	SAME "a sector by interrupts", 0, 9, 0, 5
	; writing
	mov byte [irqs], 0
	CMD 0x0f, 0, [last]
	call wait_irq
	SENSE "seek", 0x20, [last]
	mov ah, [like]
	mov al, 0
	mov di, 0
	call make_track
	RW 0x45, 0, [last], 0, 5, 6, 0xff
	mov si, 4 * 512
	mov cx, 1024
	call fifo_out
	call wait_result
	call result
	cmp word [bytes], 0x8040
	FAIL_IF ne, "write without DMA"
	call clear
	RW 0x46, 0, [last], 0, 5, 6, 0xff
	mov di, 0
	mov cx, 1024
	call fifo_in
	call wait_result
	call result
	mov ah, [like]
	mov bx, 0x0500
	mov di, 0
	call same
	FAIL_IF ne, "written without DMA"
	; formatting
	mov byte [irqs], 0
	CMD 0x0f, 0, [next]
	call wait_irq
	SENSE "seek", 0x20, [next]
	call track_ids
	mov byte [irqs], 0
	CMD 0x4d, 0, 2, [spt], 0x50, 0x99
	mov cx, di
	mov si, 0
	call fifo_out
	call wait_result
	call result
	cmp word [bytes], 0
	FAIL_IF ne, "format without DMA"
	call clear
	RW 0x46, 0, [next], 0, 1, [spt], 0xff
	mov di, 0
	mov cx, [track]
	call fifo_in
	call wait_result
	call result
	FILLED "formatted without DMA", 0, [track], 0x99
	call fresh
	CMD 0x03, 0xaf, 0x02
	PUTS "without dma"
	ret

; ---- diskettes that change (DS 2.1.7)

more_tests:
	cmp byte [change], 0
	je .no
	SEEK "seek", 0, 3
	mov dx, DIR
	in al, dx
	test al, 0x80
	FAIL_IF nz, "changed, after steps with a diskette"
	PUTS "take it out"
.out:	mov dx, DIR
	in al, dx
	test al, 0x80
	jz .out
	SEEK "seek without a diskette", 0, 5
	mov dx, DIR
	in al, dx
	test al, 0x80
	FAIL_IF z, "changed, although there is no diskette"
	DMA 0x44, 0, 512
	RW 0x46, 0, 5, 0, 1, 8, 0xff
	call wait_irq
	call result
	test byte [bytes], 0x40
	FAIL_IF z, "read without a diskette"
	PUTS "put one in"
.in:	; steps, as DOS makes them, until the line falls
	mov byte [irqs], 0
	CMD 0x0f, 0, 4
	call wait_irq
	CMD 0x08
	call result
	mov byte [irqs], 0
	CMD 0x0f, 0, 5
	call wait_irq
	CMD 0x08
	call result
	mov dx, DIR
	in al, dx
	test al, 0x80
	jnz .in
	DMA 0x44, 0, 512
	RW 0x46, 0, 5, 0, 1, 8, 0xff
	call wait_irq
	RESULT "read of another diskette", 0, 0, 0, 5, 0, 2, 2
	FILLED "another diskette", 0, 512, 0xa5
	PUTS "change"
.no:	ret

; ---- through the BIOS (int 13h)

bios_tests:
	cmp byte [change], 0
	jne .no
	cli	; interrupt 6 is the BIOS's again
	mov eax, [old_irq]
	mov [0x0e * 4], eax
	sti
	mov ax, 0
	mov dx, 0
	int 0x13
	FAIL_IF c, "int 13h, 0"
	call clear
	mov ax, 0x0203
	mov cx, 0x0a02	; cylinder 10, sectors 2 to 4
	mov dx, 0
	mov bx, 0
	int 0x13
	FAIL_IF c, "int 13h, 2"
	SAME "the first sector by the BIOS", 0, 10, 0, 2
	SAME "the third sector by the BIOS", 1024, 10, 0, 4
	FILLED "behind them", 1536, 64, 0xcc
	mov ax, 0x0403
	mov cx, 0x0a02
	mov dx, 0
	int 0x13
	FAIL_IF c, "int 13h, 4"
	mov di, 0
	mov cx, 256
	mov ax, 0x5aa5
	rep stosw
	mov ax, 0x0301
	mov cx, 0x0c08
	mov dx, 0
	mov bx, 0
	int 0x13
	FAIL_IF c, "int 13h, 3"
	call clear
	mov ax, 0x0201
	mov cx, 0x0c08
	mov dx, 0
	mov bx, 0
	int 0x13
	FAIL_IF c, "int 13h, 2 of what was written"
	cmp word [es:510], 0x5aa5
	FAIL_IF ne, "what was written"
	PUTS "bios"
.no:	ret

	SUBROUTINES
	times TRACKS * 4096 - ($ - $$) db 0

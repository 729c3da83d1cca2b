/* SPDX-License-Identifier: Apache-2.0 */
/*
 * 16550A serial port; see uart16550.c.
 */
#ifndef DEVICE_CHAR_UART16550_H
#define DEVICE_CHAR_UART16550_H

#include "chr/chr.h"
#include "device/dev.h"

#define UART16550_FIFO 16u

struct uart16550_regs {
	uint8_t rx[UART16550_FIFO];     /* received bytes, oldest first */
	uint8_t rx_err[UART16550_FIFO]; /* LSR bits PE, FE, BI that belong to them */
	uint8_t tx[UART16550_FIFO];     /* bytes that the back end has not taken, oldest first */
	uint8_t rx_n, tx_n;
	uint8_t ier, lcr, mcr, scr;
	uint8_t fcr;       /* FIFO enable and trigger level as in effect */
	uint8_t lsr_err;   /* OE, PE, FE, BI not read yet */
	uint8_t msr;       /* delta bits, and the modem inputs in bits 7:4 */
	uint8_t rbr;       /* last byte read: what an empty receiver gives */
	uint16_t divisor;  /* DLM:DLL */
	bool thre_pending; /* the transmitter-empty interrupt has not been acknowledged */
	bool timeout;      /* character timeout indication */
	uint8_t pad_[2];
	uint64_t timeout_at; /* guest ns at which the timeout comes; 0 = not running */
};

struct uart16550 {
	struct dev dev; /* .base: first of the 8 ports (3f8h, 2f8h, 3e8h, 2e8h) */
	struct uart16550_regs s;
	struct irq irq;  /* out: INTR, gated by OUT2 as on a PC */
	struct chr *chr; /* borrowed; NULL: output is dropped */
	/* private */
	struct vtimer timer; /* character timeout */
	struct vtimer flush; /* output that waited when the state was saved */
};

extern const struct dev_class uart16550_class;

/** uart16550_receive_break() - the line is held spacing for one character (menu: send break).
 * Bus lock held. */
void uart16550_receive_break(struct uart16550 *u);

#endif

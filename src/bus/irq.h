/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupt lines and message-signalled interrupts. A line is a value: a function, a context and a
 * pin number; it remembers its level and calls its sink on changes only. Sharing (PCI INTx) is the
 * sink's business. Everything here runs with the bus lock held.
 */
#ifndef BUS_IRQ_H
#define BUS_IRQ_H

#include "base/base.h"
#include "base/list.h"

struct irq {
	void (*fn)(void *ctx, unsigned pin, bool level);
	void *ctx;
	unsigned pin;
	bool level;
};

/** irq_init() - connect @line to pin @pin of a sink; level low. fn NULL = unconnected. */
void irq_init(struct irq *line, void (*fn)(void *ctx, unsigned pin, bool level), void *ctx,
	      unsigned pin);
/** irq_set() - drive the level; nothing happens when it does not change. NULL line is fine. */
void irq_set(struct irq *line, bool level);
/** irq_pulse() - high then low (edge). */
void irq_pulse(struct irq *line);

/* The platform's MSI target (LAPICs) and the way back of EOIs to IOAPICs. Wired by vm/. */
struct msi_eoi_listener {
	struct list node;
	void (*eoi)(struct msi_eoi_listener *l, uint8_t vector);
};

struct msi_bus {
	void (*deliver)(void *ctx, uint64_t addr, uint32_t data);
	void *ctx;
	struct list eoi_listeners;
};

void msi_bus_init(struct msi_bus *bus);
/** msi_send() - one message write (addr 0xfeexxxxx); ignored while no target is wired. */
void msi_send(struct msi_bus *bus, uint64_t addr, uint32_t data);
/** msi_eoi() - a LAPIC broadcasts EOI of a level-triggered @vector. */
void msi_eoi(struct msi_bus *bus, uint8_t vector);

/* The PIC-to-CPU side: INTR level out, INTA cycle in. Wired by machine/ and vm/. */
struct intr_source {
	uint8_t (*ack)(void *ctx); /* INTA: returns the vector; bus lock held */
	void *ctx;
};

#endif

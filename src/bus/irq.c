/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Interrupt lines and MSI fan-out (bus/irq.h). Bus lock held throughout.
 */
#include "bus/irq.h"

void irq_init(struct irq *line, void (*fn)(void *ctx, unsigned pin, bool level), void *ctx,
	      unsigned pin)
{
	*line = (struct irq){.fn = fn, .ctx = ctx, .pin = pin};
}

void irq_set(struct irq *line, bool level)
{
	if (!line || line->level == level)
		return;
	/* The level is stored first: a sink may look at the line while it is called. */
	line->level = level;
	if (line->fn)
		line->fn(line->ctx, line->pin, level);
}

void irq_pulse(struct irq *line)
{
	irq_set(line, true);
	irq_set(line, false);
}

void msi_bus_init(struct msi_bus *bus)
{
	*bus = (struct msi_bus){0};
	list_init(&bus->eoi_listeners);
}

void msi_send(struct msi_bus *bus, uint64_t addr, uint32_t data)
{
	if (bus->deliver)
		bus->deliver(bus->ctx, addr, data);
}

void msi_eoi(struct msi_bus *bus, uint8_t vector)
{
	LIST_FOR_EACH_SAFE(it, &bus->eoi_listeners)
	{
		struct msi_eoi_listener *l = LIST_ENTRY(it, struct msi_eoi_listener, node);

		l->eoi(l, vector);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port and MMIO dispatch. A region says which access widths are valid to the guest and which its
 * callbacks implement; the bus splits wide accesses and widens narrow ones. Unclaimed reads give
 * all ones, unclaimed writes go nowhere (as on a PC with pull-ups); both are counted.
 *
 * One lock, the bus lock, guards every device, interrupt controller, timer and back end of a VM.
 * The dispatch functions take it themselves; device code always runs with it held.
 */
#ifndef BUS_BUS_H
#define BUS_BUS_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/err.h"
#include "bus/irq.h"
#include "host/loop.h"
#include "mem/space.h"

enum { WIDTH_1 = 1, WIDTH_2 = 2, WIDTH_4 = 4, WIDTH_8 = 8, WIDTH_ANY = 15, WIDTH_124 = 7 };

/* One claimed range. Embedded in the device that owns it; borrowed while mapped. */
struct bus_region {
	const char *name;
	uint64_t size;       /* bytes */
	uint8_t valid, impl; /* WIDTH_ masks; 0 = WIDTH_124 / same as valid */
	bool unaligned;      /* accesses of an implemented width arrive whole at any offset */
	uint64_t (*read)(void *ctx, uint64_t off, unsigned size);
	void (*write)(void *ctx, uint64_t off, unsigned size, uint64_t val);
	void *ctx;
	/* filled by the bus */
	struct mem_io io;
	struct mem_mapping *map;
	uint32_t port; /* base port while mapped as PIO */
	bool mapped;
};

struct bus_counters {
	_Atomic uint64_t pio_reads, pio_writes, mmio_reads, mmio_writes, unclaimed;
};

struct bus {
	pthread_mutex_t lock;
	struct loop_gate gate; /* for the main loop, which would starve otherwise */
	struct mem_space *mem; /* borrowed */
	bool by_smm; /* the write that is being done comes from system management mode; bus lock */
	struct msi_bus msi;
	struct bus_region **ports; /* [65536], NULL = unclaimed */
	struct bus_counters count;
	/* Print each access; each odd thing a guest does to a device. Set before vCPUs run. */
	bool trace_io, trace_errors;
};

int bus_init(struct bus *bus, struct mem_space *mem, struct error *err) MUST_CHECK;
void bus_done(struct bus *bus);

/** bus_lock_nests() - a thread that holds the lock may take it again. Before anybody uses it. */
void bus_lock_nests(struct bus *bus);
static inline void bus_lock(struct bus *bus)
{
	if (UNLIKELY(atomic_load_explicit(&bus->gate.wanted, memory_order_relaxed)))
		loop_gate_wait(&bus->gate);
	pthread_mutex_lock(&bus->lock);
}
static inline void bus_unlock(struct bus *bus)
{
	pthread_mutex_unlock(&bus->lock);
}

/** bus_map_pio() - claim [port, port+size). -EEXIST names both owners. Bus lock held. */
int bus_map_pio(struct bus *bus, struct bus_region *r, uint32_t port, struct error *err) MUST_CHECK;
void bus_unmap_pio(struct bus *bus, struct bus_region *r);
/** bus_map_mmio() - claim at @gpa with mem priority @prio. Bus lock held. */
int bus_map_mmio(struct bus *bus, struct bus_region *r, gpa_t gpa, int prio,
		 struct error *err) MUST_CHECK;
/** bus_map_rom() - reads of [@gpa, @gpa + r->size) find @block from @off on as ROM, writes come to
 * the region's callback. Page-aligned. Undone by bus_unmap_mmio(). Bus lock held. */
int bus_map_rom(struct bus *bus, struct bus_region *r, struct ram_block *block, uint64_t off,
		gpa_t gpa, int prio, struct error *err) MUST_CHECK;
void bus_unmap_mmio(struct bus *bus, struct bus_region *r);

/** bus_pio_read/write() - guest port access, @size 1, 2 or 4. Takes the bus lock. Any vCPU thread.
 * An access that crosses regions is split into bytes. */
uint32_t bus_pio_read(struct bus *bus, uint16_t port, unsigned size);
void bus_pio_write(struct bus *bus, uint16_t port, unsigned size, uint32_t val);
/** bus_mmio_read/write() - guest MMIO access to a MEM_IO or hole, @size 1, 2, 4 or 8. Takes the bus
 * lock and looks the address up again under it. Any vCPU thread. */
uint64_t bus_mmio_read(struct bus *bus, gpa_t gpa, unsigned size);
void bus_mmio_write(struct bus *bus, gpa_t gpa, unsigned size, uint64_t val);

/** bus_mmio_write_smm() - bus_mmio_write() by a processor in system management mode: meanwhile
 * bus.by_smm is set. */
void bus_mmio_write_smm(struct bus *bus, gpa_t gpa, unsigned size, uint64_t val);

/** bus_region_read/write() - width splitting and widening alone, for tests and PCI config space. */
uint64_t bus_region_read(const struct bus_region *r, uint64_t off, unsigned size);
void bus_region_write(const struct bus_region *r, uint64_t off, unsigned size, uint64_t val);

#endif

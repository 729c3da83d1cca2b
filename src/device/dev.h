/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The device contract. One data sheet, one file: a device is a struct that starts with `struct
 * dev`, a const `struct dev_class`, and a `*_regs` struct with everything that outlives one access,
 * named by the class's state table. A device never sees an engine or the VM: it sees its interrupt
 * lines, clock, DMA and back end. Only machine/ knows which devices exist.
 *
 * Every callback runs with the bus lock held. The dev_*() functions below take no lock: call them
 * with the bus lock held, or while nothing else of the VM runs yet.
 */
#ifndef DEVICE_DEV_H
#define DEVICE_DEV_H

#include "base/err.h"
#include "base/list.h"
#include "bus/bus.h"
#include "bus/clock.h"
#include "bus/irq.h"
#include "state/state.h"

struct dev;

enum dev_reset { DEV_RESET_COLD, DEV_RESET_WARM, DEV_RESET_FUNCTION };

enum dev_space { DEV_PIO, DEV_MMIO };

/* Fixed ranges a class claims at realize; `base` is absolute, or relative to dev->base if
 * relocatable (see struct dev). PCI BARs are declared with device/pci/pci.h. */
struct dev_region {
	const char *name;
	enum dev_space space;
	uint64_t base, size; /* bytes */
	uint8_t valid, impl; /* WIDTH_ masks */
	uint64_t (*read)(struct dev *d, uint64_t off, unsigned size);
	void (*write)(struct dev *d, uint64_t off, unsigned size, uint64_t val);
};

struct dev_class {
	const char *name, *summary, *spec; /* "i8254", one line, document + revision */
	size_t size;                       /* of the device struct; starts with struct dev */
	size_t regs_offset;                /* of the *_regs struct inside it */
	const struct dev_region *regions;  /* ends with .name = NULL; may be NULL */
	const struct state_desc *state;
	int (*realize)(struct dev *d, struct error *err); /* 0 or -errno; may be NULL */
	void (*unrealize)(struct dev *d);                 /* copes with half-realized */
	void (*reset)(struct dev *d, enum dev_reset kind);
	int (*quiesce)(struct dev *d); /* stop workers at a request boundary */
	void (*resume)(struct dev *d);
	int (*loaded)(struct dev *d,
		      struct error *err); /* check and re-derive; state is untrusted */
};

/* What a machine lends to each of its devices. */
struct dev_services {
	struct bus *bus;
	struct clock *clock;
	struct mem_space *mem;
	struct loop *loop;
};

struct dev {
	const struct dev_class *cls;
	char *id;                      /* owned; unique in the machine */
	const struct dev_services *sv; /* borrowed from the machine */
	uint64_t base;                 /* added to every region's base */
	struct bus_region *regions;    /* owned; one per class region */
	struct list node;              /* in the machine's list, build order */
	_Atomic uint64_t guest_errors; /* odd things the guest did */
	bool realized;
};

/**
 * dev_new() - allocate a device of @cls named @id; not yet realized
 * The caller sets properties and wires lines in the returned struct, then calls dev_realize().
 */
struct dev *dev_new(const struct dev_class *cls, const char *id, const struct dev_services *sv);
/** dev_realize() - map regions, call realize, then a cold reset. On failure everything is undone.
 */
int dev_realize(struct dev *d, struct error *err) MUST_CHECK;
/** dev_free() - unrealize, unmap, free. NULL is fine. */
void dev_free(struct dev *d);
void dev_reset(struct dev *d, enum dev_reset kind);

/** dev_regs() - the *_regs struct that cls->state describes. */
void *dev_regs(struct dev *d);
/** dev_save() - append the device's state object. dev_load() - load it, range-check, loaded(). */
void dev_save(struct dev *d, struct state_writer *w);
int dev_load(struct dev *d, struct state_reader *r, struct error *err) MUST_CHECK;

/** guest_error() - the guest did something odd: count it, log it rate-limited (level info: the
 * first few of a device, then each time their number doubles). Any thread. */
void guest_error(struct dev *d, const char *fmt, ...) PRINTF_LIKE(2, 3);

/** dma_read/dma_write() - guest RAM only; 0 or -EFAULT. */
static inline int MUST_CHECK dma_read(struct dev *d, gpa_t from, void *to, size_t len)
{
	return mem_read(d->sv->mem, from, to, len);
}
static inline int MUST_CHECK dma_write(struct dev *d, gpa_t to, const void *from, size_t len)
{
	return mem_write(d->sv->mem, to, from, len);
}

#endif

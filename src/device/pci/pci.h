/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PCI buses: functions with their 256-byte configuration space, base address registers, INTx, MSI
 * and MSI-X, and bridges to further buses. Source: PCI Local Bus Specification rev. 3.0 (chapter 6
 * for configuration space, 6.8 for MSI and MSI-X), PCI-to-PCI Bridge Architecture Specification
 * rev. 1.2, PCI Firmware Specification for mechanism #1.
 *
 * A PCI device is a `struct dev` whose *_regs struct has a `struct pci_regs` (and, if it has the
 * capability, a `struct pci_msix_regs`) in it, and which embeds a `struct pci_func`:
 *
 *   realize:   pci_func_init(), pci_bar_add(), pci_cap_add(), pci_msix_init(), pci_func_add()
 *   reset:     pci_func_reset()
 *   loaded:    pci_func_loaded()
 *   unrealize: pci_func_done()
 *
 * What is guest-writable and what a reset gives is fixed between init and add; both are tables of
 * the function, not state. Everything here runs with the bus lock held.
 */
#ifndef DEVICE_PCI_PCI_H
#define DEVICE_PCI_PCI_H

#include "device/dev.h"

#define PCI_CONFIG_SIZE    256u
#define PCI_DEVFN_COUNT    256u
#define PCI_BARS           6u
#define PCI_MSIX_MAX       64u /* vectors a function may have here (PCI allows 2048) */
#define PCI_DEVFN(dev, fn) ((uint8_t)(((dev) << 3) | (fn)))

/* Configuration header, type 0 (PCI 3.0, figure 6-1). */
enum {
	PCI_VENDOR_ID = 0x00,
	PCI_DEVICE_ID = 0x02,
	PCI_COMMAND = 0x04,
	PCI_STATUS = 0x06,
	PCI_REVISION_ID = 0x08,
	PCI_CLASS_PROG = 0x09,
	PCI_CLASS_DEVICE = 0x0a,
	PCI_CACHE_LINE_SIZE = 0x0c,
	PCI_LATENCY_TIMER = 0x0d,
	PCI_HEADER_TYPE = 0x0e,
	PCI_BIST = 0x0f,
	PCI_BAR0 = 0x10,
	PCI_SUBSYSTEM_VENDOR_ID = 0x2c,
	PCI_SUBSYSTEM_ID = 0x2e,
	PCI_ROM_ADDRESS = 0x30,
	PCI_CAP_POINTER = 0x34,
	PCI_INTERRUPT_LINE = 0x3c,
	PCI_INTERRUPT_PIN = 0x3d,
};

/* Command and status bits (PCI 3.0, tables 6-1 and 6-2). */
enum {
	PCI_COMMAND_IO = 0x0001,
	PCI_COMMAND_MEMORY = 0x0002,
	PCI_COMMAND_MASTER = 0x0004,
	PCI_COMMAND_PARITY = 0x0040,
	PCI_COMMAND_SERR = 0x0100,
	PCI_COMMAND_INTX_DISABLE = 0x0400,
	PCI_STATUS_INTERRUPT = 0x0008,
	PCI_STATUS_CAP_LIST = 0x0010,
};

/* Configuration header, type 1 (PCI-to-PCI Bridge 1.2, figure 3-2). */
enum {
	PCI_PRIMARY_BUS = 0x18,
	PCI_SECONDARY_BUS = 0x19,
	PCI_SUBORDINATE_BUS = 0x1a,
	PCI_IO_BASE = 0x1c, /* base, limit; a byte each */
	PCI_SECONDARY_STATUS = 0x1e,
	PCI_MEMORY_BASE = 0x20, /* base, limit; two bytes each */
	PCI_PREF_BASE = 0x24,
	PCI_PREF_BASE_HI = 0x28,
	PCI_PREF_LIMIT_HI = 0x2c,
	PCI_IO_BASE_HI = 0x30,
	PCI_BRIDGE_CONTROL = 0x3e,
	PCI_BRIDGE_RESET = 0x40, /* bit of it: secondary bus reset */
};

enum { PCI_CAP_MSI = 0x05, PCI_CAP_VENDOR = 0x09, PCI_CAP_MSIX = 0x11 };

struct pci_bus;
struct pci_bridge;
struct pci_func;

/* State of one function; goes into the device's *_regs struct. */
struct pci_regs {
	uint8_t cfg[PCI_CONFIG_SIZE];
	bool intx;   /* the device asserts its INTx (before COMMAND.INTX_DISABLE) */
	bool hidden; /* pulled out: pci_func_hide(); until the function goes */
	uint8_t pad_[6];
};
extern const struct state_field pci_regs_fields[];

/* One MSI-X table entry (PCI 3.0, 6.8.2) and the pending bits. */
struct pci_msix_vector {
	uint32_t addr_lo, addr_hi, data, ctrl; /* ctrl bit 0: masked */
};
struct pci_msix_regs {
	struct pci_msix_vector vec[PCI_MSIX_MAX];
	uint64_t pba; /* bit n: vector n pending */
};
extern const struct state_field pci_msix_regs_fields[];

enum pci_bar_kind {
	PCI_BAR_NONE,
	PCI_BAR_IO,
	PCI_BAR_MEM32,
	PCI_BAR_MEM32_PREF,
	PCI_BAR_MEM64,
	PCI_BAR_MEM64_PREF,
};

struct pci_bar {
	enum pci_bar_kind kind;
	uint64_t size;             /* bytes, power of two; >= 4 (I/O), >= 16 (memory) */
	struct bus_region *region; /* borrowed from the device; NULL: memory */
	struct ram_block *block;   /* borrowed; memory behind the BAR when region is NULL */
	struct mem_mapping *map;   /* of it, while mapped */
	uint64_t at;               /* where it is mapped now */
	bool mapped;
};

/* The expansion ROM base address register (PCI 3.0, 6.2.5.2). */
struct pci_rom {
	struct ram_block *block; /* contents; NULL = no ROM. Lives as long as the memory space */
	struct mem_mapping *map; /* NULL = not on the bus now */
	uint64_t at;
};

struct pci_ids {
	uint16_t vendor, device, subsystem_vendor, subsystem;
	uint8_t revision, prog_if;
	uint16_t cls;          /* base class << 8 | sub-class */
	uint8_t header_type;   /* 0x80: more functions in this device */
	uint8_t interrupt_pin; /* 0 none, 1 INTA# .. 4 INTD# */
};

struct pci_msix {
	struct pci_msix_regs *r; /* borrowed: inside the device's *_regs; NULL = no MSI-X */
	unsigned n;              /* vectors */
	uint8_t cap;             /* offset of the capability */
};

struct pci_func {
	struct dev *dev;     /* borrowed: the device this is part of */
	struct pci_bus *bus; /* borrowed */
	struct pci_regs *r;  /* borrowed: inside the device's *_regs */
	uint8_t devfn;
	uint8_t wmask[PCI_CONFIG_SIZE]; /* bits a guest can write */
	uint8_t w1c[PCI_CONFIG_SIZE];   /* bits a guest clears by writing 1 */
	uint8_t reset[PCI_CONFIG_SIZE]; /* contents after reset */
	struct pci_bar bar[PCI_BARS];
	struct pci_rom rom;
	struct pci_msix msix;
	uint8_t msi_cap;           /* offset of the MSI capability; 0 = none */
	uint8_t cap_last;          /* offset of the last capability added; 0 = none */
	unsigned cap_end;          /* first byte after it */
	bool intx_driven;          /* level this function contributes to its PIRQ now */
	uint8_t intx_pirq;         /* which, while it is high */
	struct pci_bridge *bridge; /* this function is one; NULL = it isn't */
	bool added;                /* on the bus */
	/* Called after a guest write changed [off, off+size); may be NULL. */
	void (*config_written)(struct pci_func *f, unsigned off, unsigned size);
	/* A window inside configuration space with side effects (virtio's pci-cfg capability):
	 * called instead of plain access when it returns true. May be NULL. */
	bool (*config_read_hook)(struct pci_func *f, unsigned off, unsigned size, uint32_t *ret);
	bool (*config_write_hook)(struct pci_func *f, unsigned off, unsigned size, uint32_t val);
};

#define PCI_PIRQS 8u

/* One bus: bus 0 lives in the host bridge (struct i440fx, struct q35_mch), others in bridges. */
struct pci_bus {
	struct bus *bus; /* borrowed */
	struct pci_func *func[PCI_DEVFN_COUNT];
	bool dark;                 /* its slot has no power: nobody answers */
	struct pci_bridge *bridge; /* to the next bus up; NULL: bus 0. The rest is bus 0's only: */
	unsigned (*route)(void *ctx, uint8_t devfn, unsigned pin); /* pin 0..3 -> PIRQ */
	void *route_ctx;
	void (*pirq)(void *ctx, unsigned n,
		     bool level); /* PIRQ[A-H]# changed; wired by the ISA bridge */
	void *pirq_ctx;
	unsigned pirq_count[PCI_PIRQS]; /* functions asserting each PIRQ; derived */
};

/* A PCI-to-PCI bridge, part of a device whose function @f it is. */
struct pci_bridge {
	struct pci_func *f; /* borrowed */
	struct pci_bus bus; /* secondary */
	unsigned rotate;    /* added to the pin number of an INTx that comes through */
	/* A function came or went; may be NULL. */
	void (*changed)(struct pci_bridge *br);
	/* What is in a slot was loaded: no event, the state has that; may be NULL. */
	void (*loaded)(struct pci_bridge *br);
};

void pci_bus_init(struct pci_bus *pb, struct bus *bus,
		  unsigned (*route)(void *ctx, uint8_t devfn, unsigned pin), void *ctx);
/** pci_bus_set_pirq() - connect the interrupt router; it hears the present levels at once. */
void pci_bus_set_pirq(struct pci_bus *pb, void (*pirq)(void *ctx, unsigned n, bool level),
		      void *ctx);
/** pci_bus_reroute() - ask `route` again for what is asserted: routing registers changed. */
void pci_bus_reroute(struct pci_bus *pb);
/** pci_bus_free_slot() - lowest device number from @first on with no function, or -ENOSPC. */
int pci_bus_free_slot(const struct pci_bus *pb, unsigned first) MUST_CHECK;

/** pci_bus_find() - bus number @number as bridges below @root (bus 0) are programmed now; NULL. */
struct pci_bus *pci_bus_find(struct pci_bus *root, unsigned number);
/** pci_bridge_init() - make @f, between init and add, a bridge: header type 1. */
void pci_bridge_init(struct pci_bridge *br, struct pci_func *f);
/** pci_bridge_attach() - after pci_func_add(): its secondary bus can be used. */
void pci_bridge_attach(struct pci_bridge *br);
/** pci_bridge_written() - call in config_written(): windows and numbers take effect. */
void pci_bridge_written(struct pci_bridge *br, unsigned off, unsigned size);

/** pci_bus_config_read/write() - configuration cycle on @pb; @size 1, 2 or 4 inside a dword.
 * Absent function: all ones, nothing. */
uint32_t pci_bus_config_read(struct pci_bus *pb, uint8_t devfn, unsigned off, unsigned size);
void pci_bus_config_write(struct pci_bus *pb, uint8_t devfn, unsigned off, unsigned size,
			  uint32_t val);

/** pci_func_init() - set the header up from @ids; nothing is visible before pci_func_add(). */
void pci_func_init(struct pci_func *f, struct dev *dev, struct pci_regs *r,
		   const struct pci_ids *ids);
/**
 * pci_bar_add() - declare base address register @n
 * @region: size is taken from it and must be a power of two; borrowed while @f lives.
 */
void pci_bar_add(struct pci_func *f, unsigned n, enum pci_bar_kind kind, struct bus_region *region);
/** pci_bar_add_ram() - a memory BAR behind which stands all of @block (a frame buffer): guests
 * access it as they do RAM. Its size must be a power of two. @block is borrowed. */
void pci_bar_add_ram(struct pci_func *f, unsigned n, enum pci_bar_kind kind,
		     struct ram_block *block);
/**
 * pci_rom_add() - give the function an expansion ROM of @len bytes, copied
 * The register decodes the next power of two, at least 4 KiB; what lies past @len reads as zeros.
 * Between init and add. -E2BIG above 16 MiB, -ENOMEM.
 */
int pci_rom_add(struct pci_func *f, const uint8_t *bytes, size_t len, struct error *err) MUST_CHECK;
/**
 * pci_cap_add() - append a capability of @len bytes (incl. id and next pointer), dword aligned
 * Return: its offset, or -ENOSPC when configuration space is full.
 */
int pci_cap_add(struct pci_func *f, uint8_t id, unsigned len) MUST_CHECK;
/** pci_config_def() - reset contents and writable bits of @size (1, 2, 4) bytes at @off. */
void pci_config_def(struct pci_func *f, unsigned off, unsigned size, uint32_t reset,
		    uint32_t wmask);
/**
 * pci_func_add() - put @f on @pb at @devfn
 * -EEXIST when the slot is taken. Call last in realize; the reset that follows sets config space.
 */
int pci_func_add(struct pci_func *f, struct pci_bus *pb, uint8_t devfn,
		 struct error *err) MUST_CHECK;
/** pci_func_done() - off the bus, BARs unmapped. Harmless when not added. */
void pci_func_done(struct pci_func *f);
/** pci_func_reset() - configuration space to reset contents, BARs unmapped, INTx low. */
void pci_func_reset(struct pci_func *f, enum dev_reset kind);
/** pci_func_loaded() - after state load: refuse changed read-only bits, remap, drive INTx. */
int pci_func_loaded(struct pci_func *f, struct error *err) MUST_CHECK;

static inline uint16_t pci_command(const struct pci_func *f)
{
	return (uint16_t)(f->r->cfg[PCI_COMMAND] | (f->r->cfg[PCI_COMMAND + 1] << 8));
}
/** pci_bus_master() - may the function do DMA and send messages? */
static inline bool pci_bus_master(const struct pci_func *f)
{
	return pci_command(f) & PCI_COMMAND_MASTER;
}

/** pci_func_hide() - the card has been pulled out: configuration space doesn't answer any more, and
 * the slot is empty. Base addresses and interrupts go on until pci_func_done(): what they do is the
 * device's business, for drivers that wait for an answer. */
void pci_func_hide(struct pci_func *f);
/** pci_func_pirq() - which PIRQ (0 = A) its INTx is, as routing registers and bridges are now. */
unsigned pci_func_pirq(const struct pci_func *f);

/** pci_intx_set() - drive the function's INTx (level). */
void pci_intx_set(struct pci_func *f, bool level);

/**
 * pci_msix_init() - add the MSI-X capability with @n vectors (<= PCI_MSIX_MAX)
 * @bar: BAR that holds table (at @table_off) and PBA (at @pba_off). The device's BAR callbacks call
 * pci_msix_table_read/write() and pci_msix_pba_read() for these parts. 0 or -errno.
 */
int pci_msix_init(struct pci_func *f, struct pci_msix_regs *r, unsigned n, unsigned bar,
		  uint32_t table_off, uint32_t pba_off) MUST_CHECK;
/** pci_msix_table_read/write() - @size 4 (8 is split by the bus), @off from the table's start. */
uint32_t pci_msix_table_read(const struct pci_func *f, uint32_t off);
void pci_msix_table_write(struct pci_func *f, uint32_t off, uint32_t val);
uint32_t pci_msix_pba_read(const struct pci_func *f, uint32_t off);
bool pci_msix_enabled(const struct pci_func *f);
/** pci_msix_notify() - vector @n: send, or set pending while masked. Bad @n is ignored. */
void pci_msix_notify(struct pci_func *f, unsigned n);
/** pci_msix_flush() - send pending vectors that nothing holds back any more. */
void pci_msix_flush(struct pci_func *f);

/** pci_msi_init() - add a 64-bit MSI capability for one message. 0 or -errno. */
int pci_msi_init(struct pci_func *f) MUST_CHECK;
bool pci_msi_enabled(const struct pci_func *f);
/** pci_msi_notify() - send the message if MSI is enabled. */
void pci_msi_notify(struct pci_func *f);

#endif

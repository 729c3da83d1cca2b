/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the Q35 host bridge, the ICH9 LPC bridge, root ports and what stands behind
 * them. "MCH": Intel 316966-002. "ICH9": Intel 316972-004. "P2P": PCI-to-PCI Bridge 1.2. "PCIe":
 * PCI Express Base 3.0.
 */
#include <stdlib.h>
#include <string.h>

#include "device/acpi/acpi_pm.h"
#include "device/pci/ich9_lpc.h"
#include "device/pci/q35_mch.h"
#include "device/pci/root_port.h"
#include "harness.h"

#define ECAM 0xb0000000u
#define RCBA 0xfed1c000u
/* Where a register of bus, device, function stands in configuration space. */
#define AT(bus, dev, fn, reg) (ECAM + ((bus) << 20 | (dev) << 15 | (fn) << 12 | (reg)))
#define PORT(n, reg)          AT(0, 0x1c, n, reg)
#define LPC(reg)              AT(0, 0x1f, 0, reg)

/* Recorder pins: 8259 inputs from 0, IOAPIC inputs from 16. */
enum { APIC = 16, POWER_OFF = 40, SCI, SMI };

/* A function with a memory BAR and INTA#. */
struct leaf_regs {
	struct pci_regs pci;
};
struct leaf {
	struct dev dev;
	struct leaf_regs s;
	struct pci_func f;
	struct pci_bus *bus;
	uint8_t devfn;
	struct bus_region mem;
	unsigned resets;
};

static uint64_t leaf_read(void *ctx, uint64_t off, unsigned size)
{
	return 0x1eaf;
}

static int leaf_realize(struct dev *d, struct error *err)
{
	struct leaf *l = CONTAINER_OF(d, struct leaf, dev);
	static const struct pci_ids ids = {
		.vendor = 0x1234, .device = 0x1eaf, .cls = 0xff00, .interrupt_pin = 1};

	pci_func_init(&l->f, d, &l->s.pci, &ids);
	l->mem = (struct bus_region){.name = "leaf", .size = 4096, .read = leaf_read, .ctx = l};
	pci_bar_add(&l->f, 0, PCI_BAR_MEM32, &l->mem);
	return pci_func_add(&l->f, l->bus, l->devfn, err);
}

static void leaf_unrealize(struct dev *d)
{
	pci_func_done(&CONTAINER_OF(d, struct leaf, dev)->f);
}

static void leaf_reset(struct dev *d, enum dev_reset kind)
{
	struct leaf *l = CONTAINER_OF(d, struct leaf, dev);

	l->resets++;
	pci_func_reset(&l->f, kind);
}

static const struct state_field leaf_fields[] = {
	STATE_STRUCT(struct leaf_regs, pci, pci_regs_fields), STATE_END};
static const struct state_desc leaf_state = STATE_DESC("leaf", 1, struct leaf_regs, leaf_fields);
static const struct dev_class leaf_class = {.name = "leaf",
					    .summary = "test",
					    .spec = "none",
					    .size = sizeof(struct leaf),
					    .regs_offset = offsetof(struct leaf, s),
					    .state = &leaf_state,
					    .realize = leaf_realize,
					    .unrealize = leaf_unrealize,
					    .reset = leaf_reset};

struct board {
	struct harness *h;
	struct q35_mch *hb;
	struct ich9_lpc *lpc;
	struct acpi_pm *pm;
	struct root_port *port[2];
};

static struct board *board_with(bool smm)
{
	struct board *b = xnew(struct board);
	struct mem_mapping *map;
	struct error err = {0};

	b->h = harness_new();
	bus_lock(&b->h->bus);
	mem_unmap(b->h->mem, b->h->ram_map);
	assert_int_equal(mem_map_ram(b->h->mem, "low", 0, b->h->ram, 0, 0xa0000, false,
				     MEM_PRIO_RAM, &map, &err),
			 0);
	bus_unlock(&b->h->bus);
	b->pm = (struct acpi_pm *)dev_new(&acpi_pm_class, "pm", &b->h->sv);
	b->pm->ich9 = b->pm->no_smi_cmd = true;
	b->pm->smm = smm;
	harness_irq(b->h, &b->pm->smi, SMI);
	harness_irq(b->h, &b->pm->power_off, POWER_OFF);
	harness_irq(b->h, &b->pm->sci, SCI);
	harness_realize(b->h, &b->pm->dev);
	b->hb = (struct q35_mch *)dev_new(&q35_mch_class, "mch", &b->h->sv);
	b->hb->pam.ram = b->h->ram;
	b->hb->smm = smm;
	b->hb->low_end = HARNESS_RAM;
	harness_realize(b->h, &b->hb->dev);
	b->lpc = (struct ich9_lpc *)dev_new(&ich9_lpc_class, "lpc", &b->h->sv);
	b->lpc->bus = &b->hb->bus;
	b->lpc->pm_moved = acpi_pm_moved;
	b->lpc->pm_ctx = b->pm;
	b->lpc->smi_locked = acpi_pm_lock_smi;
	for (unsigned i = 0; i < 16; i++)
		harness_irq(b->h, &b->lpc->pic[i], i);
	for (unsigned i = 0; i < 8; i++)
		harness_irq(b->h, &b->lpc->apic[i], APIC + i);
	harness_realize(b->h, &b->lpc->dev);
	for (unsigned i = 0; i < 2; i++) {
		b->port[i] =
			(struct root_port *)dev_new(&root_port_class, i ? "rp1" : "rp0", &b->h->sv);
		b->port[i]->bus = &b->hb->bus;
		b->port[i]->number = i;
		harness_realize(b->h, &b->port[i]->dev);
	}
	outl(b->h, 0xcf8, 0x80000060);
	outl(b->h, 0xcfc, ECAM | 1);
	return b;
}

static struct board *board_new(void)
{
	return board_with(false);
}

static void board_free(struct board *b)
{
	harness_free(b->h);
	free(b);
}

static struct leaf *leaf_new(struct board *b, struct pci_bus *bus, uint8_t devfn)
{
	struct leaf *l = (struct leaf *)dev_new(&leaf_class, "leaf", &b->h->sv);

	l->bus = bus;
	l->devfn = devfn;
	harness_realize(b->h, &l->dev);
	return l;
}

static void intx(struct board *b, struct leaf *l, bool level)
{
	bus_lock(&b->h->bus);
	pci_intx_set(&l->f, level);
	bus_unlock(&b->h->bus);
}

/* Bus 1 behind port 0, bus 2 behind port 1; the leaf's BAR and the windows around it. */
static void set_up(struct board *b, unsigned port)
{
	writel(b->h, PORT(port, 0x18), (port + 1) << 16 | (port + 1) << 8);
	writel(b->h, PORT(port, 0x20), 0xc010c010);
	writel(b->h, AT(port + 1, 0, 0, 0x10), 0xc0100000);
	writew(b->h, AT(port + 1, 0, 0, 4), 2);
	writew(b->h, PORT(port, 4), 6);
}

/* clang-format off */
static void test_host_bridge(void **state)
{
	static const struct reg_row rows[] = {
		{READ32, ECAM, 0x29c08086, .cite = "MCH 5.1.1, 5.1.2"}, {READ32, ECAM + 8, 0x06000002},
		{READ32, ECAM + 0x60, ECAM | 1, .cite = "MCH 5.1.12: PCIEXBAR"},
		{READ32, ECAM + 0x100, 0, .cite = "PCIe 7.9.1: no extended capability"}, {READ32, AT(0, 3, 0, 0), 0xffffffff},
		{READ32, AT(9, 0, 0, 0), 0xffffffff, .cite = "P2P 3.2.5.4: no bridge has this number"},
		{READ16, ECAM + 0x02, 0x29c0}, {READ8, ECAM + 0x0b, 0x06}, {READ64, ECAM, 0x0090000629c08086},
		/* it moves, and the old place is empty */
		{WRITE32, ECAM + 0x60, 0xc0000003}, {READ32, 0xc0000000, 0x29c08086}, {READ32, ECAM, 0xffffffff},
		{READ32, 0xc0000000 + (128 << 20), 0xffffffff, .cite = "MCH 5.1.12: length 01b, 128 MiB"},
		{WRITE32, 0xc0000060, 0xb0000000}, {READ32, 0xc0000000, 0xffffffff, .cite = "MCH 5.1.12: PCIEXBAREN"},
		{OUT32, 0xcf8, 0x80000060}, {IN32, 0xcfc, 0xb0000000}, {OUT32, 0xcfc, 0xb0000001},
		/* PAM and SMRAM as in the 440FX */
		{READ8, 0xc0000, 0xff}, {WRITE8, ECAM + 0x91, 0x03}, {WRITE32, 0xc0000, 0x12345678, .cite = "MCH 5.1.16: PAM1"}, {READ32, 0xc0000, 0x12345678},
		{WRITE8, ECAM + 0x91, 0x01}, {WRITE32, 0xc0000, 0}, {READ32, 0xc0000, 0x12345678},
		{READ8, 0xa0000, 0xff}, {WRITE8, ECAM + 0x9d, 0x4a}, {WRITE8, 0xa0000, 0x5a}, {READ8, 0xa0000, 0x5a, .cite = "MCH 5.1.26: D_OPEN"},
		{WRITE8, ECAM + 0x9d, 0x1a}, {READ8, 0xa0000, 0xff}, {WRITE8, ECAM + 0x9d, 0x4a}, {READ8, ECAM + 0x9d, 0x1a, .cite = "MCH 5.1.26: D_LCK"},
	};
	struct board *b = board_new();

	harness_run(b->h, rows, ARRAY_SIZE(rows));
	harness_check_state_roundtrip(&b->hb->dev);
	board_free(b);
}

static void test_lpc(void **state)
{
	static const struct reg_row rows[] = {
		{READ32, LPC(0), 0x29188086, .cite = "ICH9 13.1.1, 13.1.2"}, {READ32, LPC(0x60), 0x80808080, .cite = "ICH9 13.1.14: not routed"},
		{READ32, LPC(0x68), 0x80808080},
		/* PM block */
		{IN32, 0x600, 0xffffffff}, {WRITE32, LPC(0x40), 0x601}, {WRITE8, LPC(0x44), 0x80}, {IN16, 0x604, 0x0001, .cite = "ICH9 13.1.4: ACPI_EN"},
		{OUT16, 0x628, 0xffff}, {IN32, 0x628, 0x0000ffff, .cite = "ICH9 13.8.3.9: GPE0_EN at 28h"}, {OUT16, 0x628, 0}, {IN32, 0x60c, 0},
		{IN32, 0x630, 0x20}, {OUT16, 0x604, 0x2000 | 5 << 10}, {RISES, POWER_OFF, 0}, {OUT16, 0x604, 0x2000 | 7 << 10}, {RISES, POWER_OFF, 1, .cite = "ICH9 13.8.3.3: 111b, S5"},
		{WRITE8, LPC(0x44), 0}, {IN32, 0x600, 0xffffffff},
		/* chip set registers */
		{READ32, RCBA + 0x3404, 0xffffffff}, {WRITE32, LPC(0xf0), RCBA | 1}, {READ32, RCBA + 0x3404, 0x80, .cite = "ICH9 10.1.54: HPTC"},
		{READ16, RCBA + 0x3146, 0x3210, .cite = "ICH9 10.1.43: D28IR"}, {WRITE16, RCBA + 0x3146, 0xffff}, {READ32, RCBA + 0x3144, 0x77773210}, {WRITE16, RCBA + 0x3146, 0x3210},
		{WRITE32, RCBA, 0xffffffff}, {READ32, RCBA, 0}, {READ32, RCBA + 0x3ffc, 0},
	};
	struct board *b = board_new();

	harness_run(b->h, rows, ARRAY_SIZE(rows));
	harness_check_state_roundtrip(&b->lpc->dev);
	harness_check_state_roundtrip(&b->pm->dev);
	board_free(b);
}

/* Only with firmware that needs it: SMI_EN, its lock, port b2h, TSEG. */
static void test_smm(void **state)
{
	static const struct reg_row rows[] = {
		{WRITE32, LPC(0x40), 0x601}, {WRITE8, LPC(0x44), 0x80},
		{IN32, 0x630, 0, .cite = "ICH9 13.8.3.10: SMI_EN"}, {OUT8, 0xb2, 0x12}, {RISES, SMI, 0},
		{OUT32, 0x630, 0x20}, {OUT8, 0xb2, 0x12}, {RISES, SMI, 0}, {OUT32, 0x630, 0x21}, {OUT8, 0xb3, 1}, {RISES, SMI, 0},
		{OUT8, 0xb2, 0x12}, {RISES, SMI, 1, .cite = "ICH9 13.8.3.10: APMC_EN"}, {IN8, 0xb2, 0x12},
		{OUT32, 0x630, 0x20}, {IN32, 0x630, 0x20}, {OUT32, 0x630, 0x21},
		{WRITE16, LPC(0xa0), 0x10}, {OUT32, 0x630, 0}, {IN32, 0x630, 0x01, .cite = "ICH9 13.8.1.1: SMI_LOCK"},
		{WRITE16, LPC(0xa0), 0}, {READ16, LPC(0xa0), 0x10},
		/* TSEG: the last MiB, or 2, 8, 16 */
		{WRITE16, ECAM + 0x50, 0xffff}, {READ16, ECAM + 0x50, 16, .cite = "EDK2 Q35MchIch9.h: extended TSEG"},
		{WRITE8, ECAM + 0x9e, 0x01}, {READ32, HARNESS_RAM - 4, 0, .cite = "MCH 5.1.27: G_SMRAME is clear"},
		{WRITE8, ECAM + 0x9d, 0x0a}, {READ32, HARNESS_RAM - 4, 0xffffffff}, {READ32, HARNESS_RAM - (1 << 20), 0xffffffff}, {READ32, HARNESS_RAM - (1 << 20) - 4, 0},
		{WRITE8, ECAM + 0x9e, 0x03}, {READ32, HARNESS_RAM - (1 << 20) - 4, 0xffffffff, .cite = "MCH 5.1.27: TSEG_SZ 01b, 2 MiB"}, {READ32, HARNESS_RAM - (2 << 20) - 4, 0},
		{WRITE8, ECAM + 0x9d, 0x1a}, {WRITE8, ECAM + 0x9e, 0}, {READ8, ECAM + 0x9e, 0x3b, .cite = "MCH 5.1.26: D_LCK locks ESMRAMC"}, {READ32, HARNESS_RAM - 4, 0xffffffff},
	};
	struct board *b = board_with(true);
	struct mem_mapping *map;
	struct mem_ref ref;
	struct error err = {0};

	bus_lock(&b->h->bus);
	assert_int_equal(mem_map_ram(b->h->mem, "rest", MIB, b->h->ram, MIB, HARNESS_RAM - MIB, false, MEM_PRIO_RAM, &map, &err), 0);
	bus_unlock(&b->h->bus);
	harness_run(b->h, rows, ARRAY_SIZE(rows));
	mem_lookup_smm(b->h->mem, HARNESS_RAM - 4, &ref);
	assert_int_equal(ref.kind, MEM_RAM);
	assert_int_equal(ref.start, HARNESS_RAM - 2 * MIB);
	mem_lookup_smm(b->h->mem, 0xb1234, &ref);
	assert_int_equal(ref.kind, MEM_RAM);
	assert_int_equal(ref.block_off, 0xb1234);
	mem_lookup_smm(b->h->mem, HARNESS_RAM - 2 * MIB - 1, &ref);
	assert_int_equal(ref.start + ref.len, HARNESS_RAM - 2 * MIB);
	harness_check_state_roundtrip(&b->hb->dev);
	harness_check_state_roundtrip(&b->pm->dev);
	board_free(b);
}
/* clang-format on */

static void test_gpe(void **state)
{
	struct board *b = board_new();

	writel(b->h, LPC(0x40), 0x601);
	writeb(b->h, LPC(0x44), 0x80);
	bus_lock(&b->h->bus);
	acpi_pm_set_gpe(b->pm, 1, true);
	acpi_pm_set_gpe(b->pm, 1, false);
	bus_unlock(&b->h->bus);
	assert_int_equal(inl(b->h, 0x620), 2);
	assert_false(b->h->pins[SCI].level);
	outb(b->h, 0x628, 2);
	assert_true(b->h->pins[SCI].level);
	outb(b->h, 0x620, 2);
	assert_int_equal(inl(b->h, 0x620), 0);
	assert_false(b->h->pins[SCI].level);
	board_free(b);
}

/* Devices of the chip set by their DnnIR register, others on PIRQE to H. */
static void test_routing(void **state)
{
	static const struct {
		uint8_t device, pirq;
	} rows[] = {{1, 5}, {2, 6}, {7, 7}, {8, 4}, {24, 4}, {26, 0}, {30, 6}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct board *b = board_new();
		struct leaf *l = leaf_new(b, &b->hb->bus, PCI_DEVFN(rows[i].device, 0));
		unsigned n = rows[i].pirq;

		intx(b, l, true);
		for (unsigned k = 0; k < 8; k++)
			assert_int_equal(b->h->pins[APIC + k].level, k == n);
		for (unsigned k = 0; k < 16; k++)
			assert_false(b->h->pins[k].level);
		writeb(b->h, LPC(n < 4 ? 0x60 + n : 0x64 + n), 11);
		assert_true(b->h->pins[11].level);
		writeb(b->h, LPC(n < 4 ? 0x60 + n : 0x64 + n), 13); /* reserved: ICH9 13.1.14 */
		assert_false(b->h->pins[11].level);
		intx(b, l, false);
		assert_false(b->h->pins[APIC + n].level);
		board_free(b);
	}
}

/* A route that changes while a line is high takes the line with it. */
static void test_reroute(void **state)
{
	struct board *b = board_new();
	struct leaf *l = leaf_new(b, &b->hb->bus, PCI_DEVFN(26, 0));

	writel(b->h, LPC(0xf0), RCBA | 1);
	intx(b, l, true);
	assert_true(b->h->pins[APIC].level);
	writew(b->h, RCBA + 0x314c, 0x3217);
	assert_false(b->h->pins[APIC].level);
	assert_true(b->h->pins[APIC + 7].level);
	intx(b, l, false);
	for (unsigned k = 0; k < 8; k++)
		assert_false(b->h->pins[APIC + k].level);
	board_free(b);
}

static void test_bridge(void **state)
{
	struct board *b = board_new();
	struct leaf *l = leaf_new(b, &b->port[1]->bridge.bus, 0);

	assert_int_equal(readl(b->h, PORT(1, 0)), 0x29428086); /* ICH9 20.1.1, 20.1.2 */
	assert_int_equal(readb(b->h, PORT(1, 0x0e)), 0x81);
	assert_int_equal(readl(b->h, AT(2, 0, 0, 0)), 0xffffffff);
	set_up(b, 1);
	assert_int_equal(readl(b->h, AT(2, 0, 0, 0)), 0x1eaf1234);
	assert_int_equal(readl(b->h, AT(2, 1, 0, 0)), 0xffffffff);
	outl(b->h, 0xcf8, 0x80020000); /* the same by ports */
	assert_int_equal(inl(b->h, 0xcfc), 0x1eaf1234);
	/* P2P 3.2.5.8: inside the window, with memory decode on */
	assert_int_equal(readw(b->h, 0xc0100000), 0x1eaf);
	writel(b->h, PORT(1, 0x20), 0xc020c020);
	assert_int_equal(readw(b->h, 0xc0100000), 0xffff);
	writel(b->h, PORT(1, 0x20), 0x0000fff0);
	writel(b->h, PORT(1, 0x24), 0xc010c010); /* ... or the prefetchable one */
	assert_int_equal(readw(b->h, 0xc0100000), 0x1eaf);
	writel(b->h, PORT(1, 0x28), 1);
	assert_int_equal(readw(b->h, 0xc0100000), 0xffff);
	set_up(b, 1);
	writew(b->h, PORT(1, 4), 0);
	assert_int_equal(readw(b->h, 0xc0100000), 0xffff);
	writew(b->h, PORT(1, 4), 6);
	/* INTA# behind port 1 arrives as INTB# of device 1ch: PIRQB */
	intx(b, l, true);
	assert_true(b->h->pins[APIC + 1].level);
	intx(b, l, false);
	/* P2P 3.2.5.17: secondary bus reset */
	l->resets = 0;
	writew(b->h, PORT(1, 0x3e), 0x40);
	assert_int_equal(l->resets, 1);
	writew(b->h, PORT(1, 0x3e), 0);
	assert_int_equal(readw(b->h, 0xc0100000), 0xffff);
	set_up(b, 1);
	assert_int_equal(readw(b->h, 0xc0100000), 0x1eaf);
	harness_check_state_roundtrip(&b->port[1]->dev);
	harness_check_state_roundtrip(&l->dev);
	/* a bridge that is reset lets nothing through */
	bus_lock(&b->h->bus);
	dev_reset(&b->port[1]->dev, DEV_RESET_WARM);
	bus_unlock(&b->h->bus);
	assert_int_equal(readw(b->h, 0xc0100000), 0xffff);
	board_free(b);
}

static void test_hotplug(void **state)
{
	struct board *b = board_new();
	struct harness *h = b->h;
	unsigned cap = readb(h, PORT(0, 0x34));
	struct leaf *l;

	assert_int_equal(cap, 0x40); /* ICH9 20.1.23 */
	/* PCI-to-PCI Bridge 1.2, 3.2.5.6: base and limit are 0 where there is no I/O window */
	writew(h, PORT(0, 0x1c), 0xb0b0);
	assert_int_equal(readw(h, PORT(0, 0x1c)), 0);
	assert_int_equal(readl(h, PORT(0, cap)) & 0x01ffff00,
			 0x01428000); /* next 80h, root port, slot */
	/* slot 1: button, power controller, both indicators, surprise, hot plug */
	assert_int_equal(readl(h, PORT(0, cap + 0x14)), 1 << 19 | 0x7b);
	assert_int_equal(readw(h, PORT(0, cap + 0x1a)), 0); /* nothing there */
	writel(h, PORT(0, 0x84), 0xfee01000);               /* MSI */
	writew(h, PORT(0, 0x8c), 0x55);
	writew(h, PORT(0, 0x82), 1);
	writew(h, PORT(0, 4), 6);
	writew(h, PORT(0, cap + 0x18), 0x1028);
	assert_int_equal(readw(h, PORT(0, cap + 0x1a)), 0x0010); /* 6.7.3.2: command completed */
	writew(h, PORT(0, cap + 0x1a), 0x0010);
	harness_clear(h);
	/* PCIe 6.7.3.1: a card is put in */
	l = leaf_new(b, &b->port[0]->bridge.bus, 0);
	assert_int_equal(readw(h, PORT(0, cap + 0x1a)), 0x0148);
	assert_int_equal(readw(h, PORT(0, cap + 0x12)), 0x2011);
	assert_int_equal(h->n_msis, 1);
	assert_int_equal(h->msis[0].addr, 0xfee01000);
	assert_int_equal(h->msis[0].data, 0x55);
	harness_check_state_roundtrip(&b->port[0]->dev);
	writew(h, PORT(0, cap + 0x1a), 0x0108); /* write 1 to clear */
	assert_int_equal(readw(h, PORT(0, cap + 0x1a)), 0x0040);
	/* ... and taken out, with INTx this time */
	writew(h, PORT(0, 0x82), 0);
	bus_lock(&h->bus);
	check(h->devs[h->n_devs - 1] == &l->dev);
	h->n_devs--;
	dev_free(&l->dev);
	bus_unlock(&h->bus);
	assert_int_equal(readw(h, PORT(0, cap + 0x1a)), 0x0108);
	assert_int_equal(readw(h, PORT(0, cap + 0x12)), 0x0001);
	assert_true(h->pins[APIC].level);
	assert_int_equal(h->n_msis, 1);
	writew(h, PORT(0, cap + 0x1a), 0x0108);
	assert_false(h->pins[APIC].level);
	board_free(b);
}

/* PCIe 6.7.3.2: a card that is pulled out with its driver at work; PCI 3.0, 6.1: nobody answers
 * configuration cycles. What it decodes stays until it is freed. */
static void test_pulled(void **state)
{
	struct board *b = board_new();
	struct harness *h = b->h;
	unsigned cap = readb(h, PORT(1, 0x34));
	struct leaf *l = leaf_new(b, &b->port[1]->bridge.bus, 0);
	uint16_t answer;

	set_up(b, 1);
	answer = readw(h, 0xc0100000);
	assert_int_not_equal(answer, 0xffff);
	writew(h, PORT(1, cap + 0x1a), 0xffff);
	bus_lock(&h->bus);
	pci_func_hide(&l->f);
	bus_unlock(&h->bus);
	assert_int_equal(readw(h, PORT(1, cap + 0x1a)),
			 0x0108); /* presence, link changed: absent */
	assert_int_equal(readw(h, PORT(1, cap + 0x12)), 0x0001);
	assert_int_equal(readl(h, AT(2, 0, 0, 0)), 0xffffffff);
	writew(h, AT(2, 0, 0, 4), 0);
	outl(h, 0xcf8, 0x80020000);
	assert_int_equal(inl(h, 0xcfc), 0xffffffff);
	assert_int_equal(readw(h, 0xc0100000), answer);
	harness_check_state_roundtrip(&b->port[1]->dev);
	writew(h, PORT(1, cap + 0x1a), 0x0108);
	board_free(b);
}

static void ejected(void *ctx, unsigned number)
{
	*(unsigned *)ctx += 1 + number;
}

/* PCIe 6.7.1, 6.7.3: the attention button, power, and what a driver does to let a card go. */
static void test_slot_power(void **state)
{
	struct board *b = board_new();
	struct harness *h = b->h;
	unsigned cap = readb(h, PORT(1, 0x34)), gone = 0;

	b->port[1]->eject = ejected;
	b->port[1]->eject_ctx = &gone;
	leaf_new(b, &b->port[1]->bridge.bus, 0);
	set_up(b, 1);
	writew(h, PORT(1, cap + 0x1a), 0xffff);
	writew(h, PORT(1, cap + 0x18), 0x11f1); /* button, command completed, both on, links */
	writew(h, PORT(1, cap + 0x1a), 0xffff);
	assert_int_equal(readw(h, PORT(1, cap + 0x1a)), 0x0040);
	writew(h, PORT(1, cap + 0x18), 0x11e1); /* interrupts: the button's */
	writew(h, PORT(1, cap + 0x1a), 0xffff);
	assert_false(h->pins[APIC + 1].level);
	bus_lock(&h->bus);
	root_port_press(b->port[1]);
	bus_unlock(&h->bus);
	assert_int_equal(readw(h, PORT(1, cap + 0x1a)), 0x0041);
	assert_true(h->pins[APIC + 1].level);
	harness_check_state_roundtrip(&b->port[1]->dev);
	writew(h, PORT(1, cap + 0x1a), 0x0001);
	assert_false(h->pins[APIC + 1].level);
	/* power off, the indicator still on: the card stays, and answers nothing */
	writew(h, PORT(1, cap + 0x18), 0x15e1);
	assert_int_equal(gone, 0);
	assert_int_equal(readw(h, PORT(1, cap + 0x1a)), 0x0150); /* link gone, command done */
	assert_int_equal(readw(h, PORT(1, cap + 0x12)), 0x0001);
	assert_int_equal(readl(h, AT(2, 0, 0, 0)), 0xffffffff);
	assert_int_equal(readw(h, 0xc0100000), 0xffff);
	harness_check_state_roundtrip(&b->port[1]->dev);
	/* and on again: it starts from a reset */
	writew(h, PORT(1, cap + 0x18), 0x11e1);
	assert_int_equal(readw(h, PORT(1, cap + 0x12)), 0x2011);
	assert_int_not_equal(readl(h, AT(2, 0, 0, 0)), 0xffffffff);
	assert_int_equal(readl(h, AT(2, 0, 0, 0x10)) & ~15u, 0);
	/* off with the indicator off: it may go */
	writew(h, PORT(1, cap + 0x18), 0x17e1);
	assert_int_equal(gone, 2);
	board_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host_bridge), cmocka_unit_test(test_lpc),
		cmocka_unit_test(test_gpe),         cmocka_unit_test(test_routing),
		cmocka_unit_test(test_reroute),     cmocka_unit_test(test_bridge),
		cmocka_unit_test(test_hotplug),     cmocka_unit_test(test_slot_power),
		cmocka_unit_test(test_pulled),      cmocka_unit_test(test_smm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

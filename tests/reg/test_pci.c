/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Register tests of the PCI bus, the 440FX, the PIIX3 and the PIIX4 power management function.
 * "PCI": PCI Local Bus Specification 3.0. "FX": Intel 290549-001. "SB": Intel 290550-002. "AB":
 * Intel 290562-001.
 */
#include "device/misc/cf9.h"
#include "device/pci/i440fx.h"
#include "device/pci/piix3.h"
#include "harness.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A function with an I/O BAR, a 32-bit and a 64-bit memory BAR, MSI and MSI-X. */
struct probe_regs {
	struct pci_regs pci;
	struct pci_msix_regs msix;
};
struct probe {
	struct dev dev;
	struct probe_regs s;
	struct pci_func f;
	struct pci_bus *bus;
	uint8_t devfn;
	bool rom;
	struct bus_region io, mem, wide;
	uint8_t last; /* last byte written to any of them */
};

static uint64_t probe_read(void *ctx, uint64_t off, unsigned size)
{
	struct probe *p = ctx;

	if (off >= 0x800)
		return pci_msix_table_read(&p->f, (uint32_t)off - 0x800);
	return 0x5a ^ off;
}

static void probe_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct probe *p = ctx;

	if (off >= 0x800)
		pci_msix_table_write(&p->f, (uint32_t)off - 0x800, (uint32_t)val);
	else
		p->last = (uint8_t)val;
}

/* An option ROM's signature, and something at its end. */
static const uint8_t probe_rom[5000] = {0x55, 0xaa, [4999] = 0x77};

static int probe_realize(struct dev *d, struct error *err)
{
	struct probe *p = CONTAINER_OF(d, struct probe, dev);
	static const struct pci_ids ids = {.vendor = 0x1234,
					   .device = 0x5678,
					   .subsystem_vendor = 0x9abc,
					   .subsystem = 0xdef0,
					   .revision = 7,
					   .cls = 0x0c03,
					   .prog_if = 0x30,
					   .interrupt_pin = 2};
	struct bus_region r = {.name = "probe", .read = probe_read, .write = probe_write, .ctx = p};

	pci_func_init(&p->f, d, &p->s.pci, &ids);
	p->io = p->mem = p->wide = r;
	p->io.size = 0x20;
	p->mem.size = 0x1000;
	p->wide.size = 0x4000;
	pci_bar_add(&p->f, 0, PCI_BAR_IO, &p->io);
	pci_bar_add(&p->f, 1, PCI_BAR_MEM32, &p->mem);
	pci_bar_add(&p->f, 2, PCI_BAR_MEM64_PREF, &p->wide);
	if (pci_msi_init(&p->f) < 0 || pci_msix_init(&p->f, &p->s.msix, 3, 1, 0x800, 0xc00) < 0)
		return error_set(err, -1, "no room");
	if (p->rom && pci_rom_add(&p->f, probe_rom, sizeof(probe_rom), err) < 0)
		return err->code;
	return pci_func_add(&p->f, p->bus, p->devfn, err);
}

static void probe_unrealize(struct dev *d)
{
	pci_func_done(&CONTAINER_OF(d, struct probe, dev)->f);
}

static void probe_reset(struct dev *d, enum dev_reset kind)
{
	pci_func_reset(&CONTAINER_OF(d, struct probe, dev)->f, kind);
}

static int probe_loaded(struct dev *d, struct error *err)
{
	return pci_func_loaded(&CONTAINER_OF(d, struct probe, dev)->f, err);
}

static const struct state_field probe_fields[] = {
	STATE_STRUCT(struct probe_regs, pci, pci_regs_fields),
	STATE_STRUCT(struct probe_regs, msix, pci_msix_regs_fields),
	STATE_END,
};
static const struct state_desc probe_state =
	STATE_DESC("probe", 1, struct probe_regs, probe_fields);
static const struct dev_class probe_class = {.name = "probe",
					     .summary = "test function",
					     .spec = "none",
					     .size = sizeof(struct probe),
					     .regs_offset = offsetof(struct probe, s),
					     .state = &probe_state,
					     .realize = probe_realize,
					     .unrealize = probe_unrealize,
					     .reset = probe_reset,
					     .loaded = probe_loaded};

/* The bridge and its neighbours, wired as on the board. */
struct board {
	struct harness *h;
	struct i440fx *hb;
	struct piix3 *isa;
	struct piix4_pm *pm;
	struct cf9 *cf9;
	struct ram_block *rom;
	bool pm_on;
	uint16_t pm_base;
};

static void pm_moved(void *ctx, bool enabled, uint16_t base)
{
	struct board *b = ctx;

	b->pm_on = enabled;
	b->pm_base = base;
}

static struct board *board_new(void)
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
	assert_int_equal(mem_map_ram(b->h->mem, "high", MIB, b->h->ram, MIB, HARNESS_RAM - MIB,
				     false, MEM_PRIO_RAM, &map, &err),
			 0);
	assert_int_equal(mem_ram_new(b->h->mem, "bios", 0x20000, &b->rom, &err), 0);
	bus_unlock(&b->h->bus);
	memset(b->rom->host, 0xb1, b->rom->size);

	b->hb = (struct i440fx *)dev_new(&i440fx_class, "i440fx", &b->h->sv);
	b->hb->pam.ram = b->h->ram;
	b->hb->pam.rom[0] = (struct pam_rom){b->rom, 0xe0000, 0, 0x20000};
	harness_realize(b->h, &b->hb->dev);
	b->cf9 = (struct cf9 *)dev_new(&cf9_class, "cf9", &b->h->sv);
	b->cf9->behind_pci_host = true;
	harness_irq(b->h, &b->cf9->hard, 32);
	harness_realize(b->h, &b->cf9->dev);
	b->hb->host.cf9 = &b->cf9->region;
	b->isa = (struct piix3 *)dev_new(&piix3_class, "piix3", &b->h->sv);
	b->isa->bus = &b->hb->bus;
	for (unsigned i = 0; i < 16; i++)
		harness_irq(b->h, &b->isa->isa[i], i);
	harness_realize(b->h, &b->isa->dev);
	b->pm = (struct piix4_pm *)dev_new(&piix4_pm_class, "piix4-pm", &b->h->sv);
	b->pm->bus = &b->hb->bus;
	b->pm->pm_moved = pm_moved;
	b->pm->pm_ctx = b;
	harness_realize(b->h, &b->pm->dev);
	return b;
}

static void board_free(struct board *b)
{
	harness_free(b->h);
	free(b);
}

static struct probe *probe_new(struct board *b, uint8_t devfn)
{
	struct probe *p = (struct probe *)dev_new(&probe_class, "probe", &b->h->sv);

	p->bus = &b->hb->bus;
	p->devfn = devfn;
	harness_realize(b->h, &p->dev);
	return p;
}

#define CFG(dev, fn, reg) (0x80000000u | (dev) << 11 | (fn) << 8 | ((reg)&0xfc))
/* Address, then data port of the right byte. */
#define SEL(dev, fn, reg)                                                                          \
	{                                                                                          \
		OUT32, 0xcf8, CFG(dev, fn, reg)                                                    \
	}
#define PORT(reg) (0xcfc + ((reg)&3))

static uint32_t cfg_get(struct harness *h, unsigned dev, unsigned fn, unsigned reg)
{
	outl(h, 0xcf8, CFG(dev, fn, reg));
	return inl(h, 0xcfc);
}

static void cfg_put(struct harness *h, unsigned dev, unsigned fn, unsigned reg, uint32_t val)
{
	outl(h, 0xcf8, CFG(dev, fn, reg));
	outl(h, 0xcfc, val);
}

static void test_mechanism(void **state)
{
	struct board *b = board_new();
	/* clang-format off */
	static const struct reg_row rows[] = {
		{IN32, 0xcf8, 0, .cite = "FX 3.1.1: CONFADD is 0 after reset"},
		{OUT32, 0xcf8, 0xffffffff}, {IN32, 0xcf8, 0x80fffffc, .cite = "FX 3.1.1: reserved bits read 0"},
		{OUT32, 0xcf8, CFG(0, 0, 0)},
		{OUT8, 0xcf8, 0x11}, {OUT16, 0xcf8, 0x2222}, {OUT8, 0xcfa, 0x33},
		{IN32, 0xcf8, CFG(0, 0, 0), .cite = "PCI 3.2.2.3.2: only dword accesses are for CONFADD"},
		{IN8, 0xcf8, 0xff, .cite = "PCI 3.2.2.3.2: a byte read is an I/O cycle; nobody is there"},
		{IN32, 0xcfc, 0x12378086, .cite = "FX 3.2.1, 3.2.2: VID, DID"},
		{IN16, 0xcfe, 0x1237}, {IN8, 0xcfd, 0x80}, {IN8, 0xcff, 0x12},
		{OUT32, 0xcfc, 0xdeadbeef}, {IN32, 0xcfc, 0x12378086, .cite = "FX 3.2.1: read-only"},
		{OUT32, 0xcf8, 0x00000000}, {IN32, 0xcfc, 0xffffffff, .cite = "FX 3.1.1: CONE = 0: no configuration cycle"},
		{OUT32, 0xcf8, 0x80010000}, {IN32, 0xcfc, 0xffffffff, .cite = "bus 1 isn't there"},
		SEL(31, 7, 0), {IN32, 0xcfc, 0xffffffff, .cite = "PCI 3.2.2.3.4: master abort reads all ones"},
		{OUT32, 0xcfc, 0},
		/* The reset control register lies inside (SB 2.1.11). */
		{IN8, 0xcf9, 0x00}, {OUT8, 0xcf9, 0x02}, {IN8, 0xcf9, 0x02, .cite = "SB 2.1.11: SRST reads back"},
		{IN32, 0xcf8, CFG(31, 7, 0)}, {OUT8, 0xcf9, 0x06}, {RISES, 32, 1, .cite = "SB 2.1.11: RCPU 0 to 1 resets"},
	};
	/* clang-format on */
	(void)state;
	harness_run(b->h, rows, ARRAY_SIZE(rows));
	board_free(b);
}

static void test_i440fx_registers(void **state)
{
	struct board *b = board_new();
	/* clang-format off */
	static const struct reg_row rows[] = {
		SEL(0, 0, 4), {IN32, 0xcfc, 0x02800006, .cite = "FX 3.2.3, 3.2.4: PCICMD, PCISTS defaults"},
		{OUT16, 0xcfc, 0xffff}, {IN16, 0xcfc, 0x0146, .cite = "FX 3.2.3: only SERRE and PERRE change"},
		SEL(0, 0, 8), {IN32, 0xcfc, 0x06000000, 0xffffff00, .cite = "FX 3.2.6: host bridge class"},
		SEL(0, 0, 0xc), {OUT32, 0xcfc, 0xffffffff}, {IN32, 0xcfc, 0x0000f800, .cite = "FX 3.2.8: MLT 7:3"},
		SEL(0, 0, 0x10), {OUT32, 0xcfc, 0xffffffff}, {IN32, 0xcfc, 0, .cite = "no BARs"},
		SEL(0, 0, 0x3c), {IN32, 0xcfc, 0, .cite = "no interrupt pin"},
		SEL(0, 0, 0x58), {IN32, 0xcfc, 0x00000010, .cite = "FX 3.2.17, 3.2.18: DRAMT 10h, PAM0-2 00h"},
		{OUT32, 0xcfc, 0xffffffff}, {IN32, 0xcfc, 0x3333307f, .cite = "FX 3.2.18: RE and WE of each nibble"},
		SEL(0, 0, 0x60), {IN32, 0xcfc, 0x01010101, .cite = "FX 3.2.19: DRB defaults"},
		SEL(0, 0, 0x70), {IN32, 0xcfc, 0x00021020, .cite = "FX: MTT, CLT, SMRAM defaults"},
		{OUT8, 0xcfe, 0x7f}, {IN8, 0xcfe, 0x3a, .cite = "FX 3.2.24: DLCK clears DOPEN"},
		{OUT8, 0xcfe, 0x4a}, {IN8, 0xcfe, 0x1a, .cite = "FX 3.2.24: DLCK holds until reset, DOPEN read-only"},
	};
	/* clang-format on */
	(void)state;
	harness_run(b->h, rows, ARRAY_SIZE(rows));
	harness_check_state_roundtrip(&b->hb->dev);
	dev_reset(&b->hb->dev, DEV_RESET_WARM);
	cfg_put(b->h, 0, 0, 0x70, 0x004a0000);
	assert_int_equal(cfg_get(b->h, 0, 0, 0x70) >> 16, 0x4a);
	board_free(b);
}

/* FX 3.2.18, table 3-4: which register nibble is which segment, and what the four modes do. */
static void test_pam(void **state)
{
	struct board *b = board_new();
	struct harness *h = b->h;
	static const struct {
		unsigned reg, shift;
		gpa_t first, last;
		bool rom;
	} seg[] = {
		{0x59, 4, 0xf0000, 0xfffff, true},  {0x5a, 0, 0xc0000, 0xc3fff, false},
		{0x5a, 4, 0xc4000, 0xc7fff, false}, {0x5b, 0, 0xc8000, 0xcbfff, false},
		{0x5b, 4, 0xcc000, 0xcffff, false}, {0x5c, 0, 0xd0000, 0xd3fff, false},
		{0x5c, 4, 0xd4000, 0xd7fff, false}, {0x5d, 0, 0xd8000, 0xdbfff, false},
		{0x5d, 4, 0xdc000, 0xdffff, false}, {0x5e, 0, 0xe0000, 0xe3fff, true},
		{0x5e, 4, 0xe4000, 0xe7fff, true},  {0x5f, 0, 0xe8000, 0xebfff, true},
		{0x5f, 4, 0xec000, 0xeffff, true},
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(seg); i++) {
		uint8_t pci = seg[i].rom ? 0xb1 : 0xff;
		for (unsigned end = 0; end < 2; end++) {
			gpa_t at = end ? seg[i].last : seg[i].first;
			unsigned port = PORT(seg[i].reg);
			h->ram->host[at] = 0x11;
			for (unsigned mode = 0; mode < 4; mode++) {
				outl(h, 0xcf8, CFG(0, 0, seg[i].reg));
				outb(h, (uint16_t)port, (uint8_t)(mode << seg[i].shift));
				uint8_t was = h->ram->host[at];
				assert_int_equal(readb(h, at), mode & 1 ? was : pci);
				writeb(h, at, (uint8_t)(0x20 + mode));
				assert_int_equal(h->ram->host[at], mode & 2 ? 0x20 + mode : was);
				assert_int_equal(b->rom->host[0x1ffff], 0xb1);
				/* The neighbours are untouched: still PCI. */
				if (at == seg[i].last && at != 0xfffff)
					assert_int_equal(readb(h, at + 1),
							 at + 1 >= 0xe0000 ? 0xb1 : 0xff);
			}
			outb(h, (uint16_t)port, 0);
		}
	}
	/* Wide accesses in "read ROM, write RAM" mode. */
	outl(h, 0xcf8, CFG(0, 0, 0x59));
	outb(h, 0xcfd, 0x20);
	writel(h, 0xf0010, 0x01020304);
	assert_int_equal(readl(h, 0xf0010), 0xb1b1b1b1);
	assert_int_equal(ld_le32(h->ram->host + 0xf0010), 0x01020304);
	harness_check_state_roundtrip(&b->hb->dev);
	assert_int_equal(readl(h, 0xf0010), 0xb1b1b1b1);
	outb(h, 0xcfd, 0x10);
	harness_check_state_roundtrip(&b->hb->dev);
	assert_int_equal(readl(h, 0xf0010), 0x01020304);
	dev_reset(&b->hb->dev, DEV_RESET_COLD);
	assert_int_equal(readl(h, 0xf0010), 0xb1b1b1b1);
	/* FX 3.2.24: SMRAM opens A0000h-BFFFFh. */
	h->ram->host[0xa0000] = 0x77;
	assert_int_equal(readb(h, 0xa0000), 0xff);
	cfg_put(h, 0, 0, 0x70, 0x004a0000);
	assert_int_equal(readb(h, 0xa0000), 0x77);
	writeb(h, 0xbffff, 0x78);
	assert_int_equal(h->ram->host[0xbffff], 0x78);
	cfg_put(h, 0, 0, 0x70, 0x001a0000);
	assert_int_equal(readb(h, 0xa0000), 0xff);
	board_free(b);
}

static void test_piix3_registers(void **state)
{
	struct board *b = board_new();
	/* clang-format off */
	static const struct reg_row rows[] = {
		SEL(1, 0, 0), {IN32, 0xcfc, 0x70008086, .cite = "SB 2.2.1, 2.2.2"},
		SEL(1, 0, 4), {IN32, 0xcfc, 0x02000007, .cite = "SB 2.2.3, 2.2.4"},
		SEL(1, 0, 8), {IN32, 0xcfc, 0x06010000, .cite = "SB 2.2.6: ISA bridge"},
		SEL(1, 0, 0xc), {IN32, 0xcfc, 0x00800000, .cite = "SB 2.2.7: multi-function"},
		SEL(1, 0, 0x4c), {IN32, 0xcfc, 0x0003004d, .cite = "SB 2.2.8, 2.2.9: IORT, XBCS"},
		SEL(1, 0, 0x60), {IN32, 0xcfc, 0x80808080, .cite = "SB 2.2.10: not routed"},
		{OUT32, 0xcfc, 0xffffffff}, {IN32, 0xcfc, 0x8f8f8f8f, .cite = "SB 2.2.10: bits 6:4 reserved"},
		SEL(1, 3, 0), {IN32, 0xcfc, 0x71138086, .cite = "AB 7.1.1, 7.1.2"},
		SEL(1, 3, 8), {IN32, 0xcfc, 0x06800000, 0xffffff00, .cite = "AB 7.1.6: bridge, other"},
		SEL(1, 3, 0x3c), {IN32, 0xcfc, 0x00000100, .cite = "AB 7.1.9: INTA#"},
		SEL(1, 3, 0x40), {IN32, 0xcfc, 0x00000001, .cite = "AB 7.1.10: PMBA"},
		{OUT32, 0xcfc, 0xffffffff}, {IN32, 0xcfc, 0x0000ffc1, .cite = "AB 7.1.10: 64 bytes of I/O"},
		SEL(1, 3, 0x90), {OUT32, 0xcfc, 0xffffffff}, {IN32, 0xcfc, 0x0000fff1, .cite = "AB 7.1.27: SMBBA"},
		SEL(1, 3, 0x80), {IN8, 0xcfc, 0}, {OUT8, 0xcfc, 0xff}, {IN8, 0xcfc, 1, .cite = "AB 7.1.26: PMIOSE"},
	};
	/* clang-format on */
	(void)state;
	assert_false(b->pm_on);
	harness_run(b->h, rows, ARRAY_SIZE(rows));
	assert_true(b->pm_on);
	assert_int_equal(b->pm_base, 0xffc0);
	cfg_put(b->h, 1, 3, 0x40, 0x00000600);
	assert_int_equal(b->pm_base, 0x600);
	harness_check_state_roundtrip(&b->pm->dev);
	harness_check_state_roundtrip(&b->isa->dev);
	assert_int_equal(b->pm_base, 0x600);
	dev_reset(&b->pm->dev, DEV_RESET_WARM);
	assert_false(b->pm_on);
	board_free(b);
}

/* SB 2.2.10 and the board's swizzle: device 2 pin B is PIRQ (1 + 2 - 1) mod 4 = C. */
static void test_routing(void **state)
{
	struct board *b = board_new();
	struct probe *p = probe_new(b, PCI_DEVFN(2, 0)), *q = probe_new(b, PCI_DEVFN(6, 0));
	struct harness *h = b->h;

	(void)state;
	pci_intx_set(&p->f, true);
	for (unsigned i = 0; i < 16; i++)
		assert_false(h->pins[i].level);
	cfg_put(h, 1, 0, 0x60, 0x800b8080); /* PIRQC -> 11 */
	assert_true(h->pins[11].level);
	cfg_put(h, 1, 0, 0x60, 0x800a8080);
	assert_false(h->pins[11].level);
	assert_true(h->pins[10].level);
	/* Device 6 shares PIRQC: a wired OR. */
	pci_intx_set(&q->f, true);
	pci_intx_set(&p->f, false);
	assert_true(h->pins[10].level);
	assert_int_equal(h->pins[10].falls, 0);
	/* PCI 6.2.2: INTX_DISABLE; 6.2.3: Interrupt Status is what the device wants. */
	cfg_put(h, 6, 0, 4, PCI_COMMAND_INTX_DISABLE);
	assert_false(h->pins[10].level);
	assert_int_equal(cfg_get(h, 6, 0, 4) & 0x00080000, 0x00080000);
	cfg_put(h, 6, 0, 4, 0);
	assert_true(h->pins[10].level);
	harness_check_state_roundtrip(&b->isa->dev);
	harness_check_state_roundtrip(&q->dev);
	assert_true(h->pins[10].level);
	/* Reserved interrupts aren't driven (SB 2.2.10). */
	static const uint8_t reserved[] = {0, 1, 2, 8, 13};
	for (unsigned i = 0; i < ARRAY_SIZE(reserved); i++) {
		cfg_put(h, 1, 0, 0x60, 0x80008080u | (uint32_t)reserved[i] << 16);
		assert_false(h->pins[reserved[i]].level);
	}
	cfg_put(h, 1, 0, 0x60, 0x80058080);
	assert_true(h->pins[5].level);
	dev_reset(&q->dev, DEV_RESET_FUNCTION);
	assert_false(h->pins[5].level);
	board_free(b);
}

static void test_header_and_bars(void **state)
{
	struct board *b = board_new();
	struct probe *p = probe_new(b, PCI_DEVFN(3, 0));
	struct harness *h = b->h;
	/* clang-format off */
	static const struct reg_row rows[] = {
		SEL(3, 0, 0x00), {IN32, 0xcfc, 0x56781234}, SEL(3, 0, 0x08), {IN32, 0xcfc, 0x0c033007},
		SEL(3, 0, 0x2c), {IN32, 0xcfc, 0xdef09abc},
		SEL(3, 0, 0x04), {IN32, 0xcfc, 0x00100000, .cite = "PCI 6.2.3: capabilities list"},
		{OUT32, 0xcfc, 0xffffffff}, {IN32, 0xcfc, 0x00100547, .cite = "PCI 6.2.2"},
		{OUT32, 0xcfc, 0},
		SEL(3, 0, 0x3c), {OUT32, 0xcfc, 0xffffffff}, {IN32, 0xcfc, 0x000002ff, .cite = "PCI 6.2.4: pin is read-only"},
		SEL(3, 0, 0x10), {IN32, 0xcfc, 1}, {OUT32, 0xcfc, 0xffffffff}, {IN32, 0xcfc, 0xffffffe1, .cite = "PCI 6.2.5.1: I/O, 32 bytes"},
		SEL(3, 0, 0x14), {OUT32, 0xcfc, 0xffffffff}, {IN32, 0xcfc, 0xfffff000, .cite = "PCI 6.2.5.1: memory, 4 KiB"},
		SEL(3, 0, 0x18), {OUT32, 0xcfc, 0xffffffff}, {IN32, 0xcfc, 0xffffc00c, .cite = "PCI 6.2.5.1: 64-bit, prefetchable"},
		SEL(3, 0, 0x1c), {OUT32, 0xcfc, 0xffffffff}, {IN32, 0xcfc, 0xffffffff},
		SEL(3, 0, 0x20), {OUT32, 0xcfc, 0xffffffff}, {IN32, 0xcfc, 0, .cite = "PCI 6.2.5.1: unused BAR reads 0"},
		/* Decode follows COMMAND and address. */
		SEL(3, 0, 0x10), {OUT32, 0xcfc, 0x0000c000}, SEL(3, 0, 0x14), {OUT32, 0xcfc, 0xfebf1000},
		{READ8, 0xfebf1000, 0xff}, {IN8, 0xc000, 0xff, .cite = "PCI 6.2.2: COMMAND is 0"},
		SEL(3, 0, 0x04), {OUT16, 0xcfc, 1}, {IN8, 0xc001, 0x5b}, {READ8, 0xfebf1000, 0xff},
		{OUT16, 0xcfc, 2}, {IN8, 0xc001, 0xff}, {READ8, 0xfebf1002, 0x58},
		SEL(3, 0, 0x14), {OUT32, 0xcfc, 0xfebf2000}, {READ8, 0xfebf1002, 0xff}, {READ8, 0xfebf2002, 0x58},
		/* Above 4 GiB. */
		SEL(3, 0, 0x18), {OUT32, 0xcfc, 0x00004000}, SEL(3, 0, 0x1c), {OUT32, 0xcfc, 0x00000010},
		{READ8, 0x1000004000, 0x5a}, {READ8, 0x1000007ffc, 0, .cite = "end of the BAR"},
		SEL(3, 0, 0x1c), {OUT32, 0xcfc, 0x00100000}, {READ8, 0x10000000004000, 0xff, .cite = "beyond the 52 address bits of the machine"},
		{OUT32, 0xcfc, 0x00000010}, {READ8, 0x1000004000, 0x5a},
		/* RAM wins: the bridge never forwards accesses to it. */
		SEL(3, 0, 0x14), {OUT32, 0xcfc, 0x00200000}, {WRITE8, 0x200000, 0x99}, {READ8, 0x200000, 0x99},
		/* The end of the spaces. */
		SEL(3, 0, 0x10), {OUT32, 0xcfc, 0x12340000}, SEL(3, 0, 0x04), {OUT16, 0xcfc, 3}, {IN8, 0x0000, 0xff, .cite = "I/O above 64 KiB isn't decoded"},
	};
	/* clang-format on */

	(void)state;
	harness_run(h, rows, ARRAY_SIZE(rows));
	harness_check_state_roundtrip(&p->dev);
	assert_int_equal(readb(h, 0x1000004000), 0x5a);
	dev_reset(&p->dev, DEV_RESET_WARM);
	assert_int_equal(readb(h, 0x1000004000), 0xff);
	board_free(b);
}

/* Two functions at one address: the first keeps it, the second gets it when the first moves. */
static void test_bar_conflict(void **state)
{
	struct board *b = board_new();
	struct probe *p = probe_new(b, PCI_DEVFN(3, 0)), *q = probe_new(b, PCI_DEVFN(4, 0));
	struct harness *h = b->h;

	(void)state;
	for (unsigned dev = 3; dev < 5; dev++) {
		cfg_put(h, dev, 0, 0x10, 0xc000);
		cfg_put(h, dev, 0, 0x14, 0xfebf0000);
		cfg_put(h, dev, 0, 4, 3);
	}
	outb(h, 0xc000, 0x31);
	writeb(h, 0xfebf0000, 0x31);
	assert_int_equal(p->last, 0x31);
	assert_int_equal(q->last, 0);
	cfg_put(h, 3, 0, 4, 0);
	outb(h, 0xc000, 0x32);
	assert_int_equal(q->last, 0x32);
	writeb(h, 0xfebf0000, 0x33);
	assert_int_equal(q->last, 0x33);
	/* A port that a fixed device owns can't be taken. */
	cfg_put(h, 3, 0, 0x10, 0xcf8 & ~0x1fu);
	cfg_put(h, 3, 0, 4, 1);
	cfg_put(h, 0, 0, 0, 0);
	assert_int_equal(inl(h, 0xcfc), 0x12378086);
	board_free(b);
}

/* PCI 6.2.5.2: the expansion ROM base address register. */
static void test_rom(void **state)
{
	struct board *b = board_new();
	struct probe *p = (struct probe *)dev_new(&probe_class, "probe", &b->h->sv);
	struct harness *h = b->h;

	p->bus = &b->hb->bus;
	p->devfn = PCI_DEVFN(4, 0);
	p->rom = true;
	harness_realize(h, &p->dev);
	cfg_put(h, 4, 0, 0x30, 0xfffff800); /* sizing, with the enable bit off: 8 KiB */
	assert_int_equal(cfg_get(h, 4, 0, 0x30), 0xffffe000);
	cfg_put(h, 4, 0, 0x30, 0xe0000001);
	assert_int_equal(readl(h, 0xe0000000), 0xffffffff); /* COMMAND: no memory space */
	cfg_put(h, 4, 0, 0x04, PCI_COMMAND_MEMORY);
	assert_int_equal(readw(h, 0xe0000000), 0xaa55);
	assert_int_equal(readb(h, 0xe0000000 + 4999), 0x77);
	assert_int_equal(readb(h, 0xe0000000 + 5000), 0);
	writew(h, 0xe0000000, 0); /* read-only */
	assert_int_equal(readw(h, 0xe0000000), 0xaa55);
	cfg_put(h, 4, 0, 0x30, 0xe0002001);
	assert_int_equal(readw(h, 0xe0000000), 0xffff);
	assert_int_equal(readw(h, 0xe0002000), 0xaa55);
	harness_check_state_roundtrip(&p->dev);
	assert_int_equal(readw(h, 0xe0002000), 0xaa55);
	cfg_put(h, 4, 0, 0x30, 0xe0002000); /* disabled */
	assert_int_equal(readw(h, 0xe0002000), 0xffff);
	cfg_put(h, 4, 0, 0x30, 0xe0002001);
	bus_lock(&h->bus);
	dev_reset(&p->dev, DEV_RESET_COLD);
	bus_unlock(&h->bus);
	assert_int_equal(readw(h, 0xe0002000), 0xffff);
	assert_int_equal(cfg_get(h, 4, 0, 0x30), 0);
	board_free(b);
}

static void test_capabilities(void **state)
{
	struct board *b = board_new();
	struct probe *p = probe_new(b, PCI_DEVFN(3, 0));
	struct harness *h = b->h;
	unsigned off = cfg_get(h, 3, 0, 0x34) & 0xff;

	(void)state;
	assert_int_equal(off, 0x40);
	uint32_t msi = cfg_get(h, 3, 0, off);
	assert_int_equal(msi & 0xff, PCI_CAP_MSI);
	assert_int_equal(msi >> 16, 0x0080); /* PCI 6.8.1.3: 64-bit, one message, off */
	unsigned x = msi >> 8 & 0xff;
	uint32_t msix = cfg_get(h, 3, 0, x);
	assert_int_equal(msix & 0xffff, PCI_CAP_MSIX); /* last: next is 0 */
	assert_int_equal(msix >> 16, 2);               /* PCI 6.8.2.3: N - 1 */
	assert_int_equal(cfg_get(h, 3, 0, x + 4), 0x801);
	assert_int_equal(cfg_get(h, 3, 0, x + 8), 0xc01);

	/* MSI */
	cfg_put(h, 3, 0, 4, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	cfg_put(h, 3, 0, off + 4, 0xfee01003);
	cfg_put(h, 3, 0, off + 8, 1);
	cfg_put(h, 3, 0, off + 12, 0xffff4041);
	pci_msi_notify(&p->f);
	assert_int_equal(h->n_msis, 0);
	cfg_put(h, 3, 0, off, 0x00010000);
	pci_msi_notify(&p->f);
	assert_int_equal(h->n_msis, 1);
	assert_int_equal(h->msis[0].addr, 0x1fee01000);
	assert_int_equal(h->msis[0].data, 0x4041);
	cfg_put(h, 3, 0, off, 0);

	/* MSI-X table, PCI 6.8.2.6-6.8.2.9 */
	gpa_t table = 0xfebf0800;
	cfg_put(h, 3, 0, 0x14, 0xfebf0000);
	assert_int_equal(readl(h, table + 12), 1);
	writel(h, table + 16, 0xfee00003);
	assert_int_equal(readl(h, table + 16), 0xfee00000);
	writel(h, table + 24, 0x55);
	writel(h, table + 28, 0xffffffff);
	assert_int_equal(readl(h, table + 28), 1);
	assert_int_equal(readl(h, table + 48), 0); /* past the table */
	harness_clear(h);
	pci_msix_notify(&p->f, 1);
	assert_int_equal(h->n_msis, 0); /* off: lost */
	cfg_put(h, 3, 0, x, 0x80000000);
	assert_int_equal(h->n_msis, 0);
	pci_msix_notify(&p->f, 1);
	assert_int_equal(pci_msix_pba_read(&p->f, 0), 2); /* masked: pending */
	harness_check_state_roundtrip(&p->dev);
	cfg_put(h, 3, 0, x, 0xc0000000); /* function mask */
	writel(h, table + 28, 0);
	assert_int_equal(h->n_msis, 0);
	cfg_put(h, 3, 0, x, 0x80000000);
	assert_int_equal(h->n_msis, 1);
	assert_int_equal(h->msis[0].data, 0x55);
	assert_int_equal(pci_msix_pba_read(&p->f, 0), 0);
	/* A message is a memory write: it waits for bus mastering (PCI 6.2.2). */
	cfg_put(h, 3, 0, 4, PCI_COMMAND_MEMORY);
	pci_msix_notify(&p->f, 1);
	assert_int_equal(h->n_msis, 1);
	cfg_put(h, 3, 0, 4, PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
	assert_int_equal(h->n_msis, 2);
	pci_msix_notify(&p->f, 99);
	assert_int_equal(h->n_msis, 2);
	board_free(b);
}

/* A snapshot can't change what hardware fixes. */
static void test_hostile_state(void **state)
{
	struct board *b = board_new();
	struct probe *p = probe_new(b, PCI_DEVFN(3, 0));
	struct error err = {0};

	(void)state;
	bus_lock(&b->h->bus);
	p->s.pci.cfg[PCI_HEADER_TYPE] = 1;
	assert_int_equal(probe_loaded(&p->dev, &err), -EINVAL);
	assert_non_null(strstr(err.text, "0x0e"));
	p->s.pci.cfg[PCI_HEADER_TYPE] = 0;
	p->s.pci.cfg[PCI_BAR0] = 0x04; /* not an I/O BAR any more */
	assert_int_equal(probe_loaded(&p->dev, &err), -EINVAL);
	p->s.pci.cfg[PCI_BAR0] = 0x01;
	p->s.msix.pba = ~0ull;
	assert_int_equal(probe_loaded(&p->dev, &err), 0);
	assert_int_equal(p->s.msix.pba, 7);
	bus_unlock(&b->h->bus);
	board_free(b);
}

static void test_slots(void **state)
{
	struct board *b = board_new();
	struct probe *p = (struct probe *)dev_new(&probe_class, "twice", &b->h->sv);
	struct error err = {0};

	(void)state;
	assert_int_equal(pci_bus_free_slot(&b->hb->bus, 0), 2);
	p->bus = &b->hb->bus;
	p->devfn = PCI_DEVFN(1, 3);
	assert_int_equal(dev_realize(&p->dev, &err), -EEXIST);
	assert_non_null(strstr(err.text, "piix4-pm"));
	dev_free(&p->dev);
	board_free(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mechanism),    cmocka_unit_test(test_i440fx_registers),
		cmocka_unit_test(test_pam),          cmocka_unit_test(test_piix3_registers),
		cmocka_unit_test(test_routing),      cmocka_unit_test(test_header_and_bars),
		cmocka_unit_test(test_bar_conflict), cmocka_unit_test(test_rom),
		cmocka_unit_test(test_capabilities), cmocka_unit_test(test_hostile_state),
		cmocka_unit_test(test_slots),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every device of a PC that needs no bus of its own, against a hostile guest and hostile state.
 *
 * The first byte picks a device; the rest is a program of register accesses (any port or address of
 * the device, any width), time, interrupt inputs and input events, resets, and state: saved and
 * loaded again, or changed as in an edited snapshot. After each step the state must be in range.
 * A device is reset before each input; every 64 a fresh one must accept its state and save it again
 * unchanged. What a device does to lines and messages goes nowhere; guest RAM holds the input, so
 * that descriptors in it are hostile, too. BOTHY_FUZZ_DEVICES in the environment names the only
 * ones to run ("ehci sb16").
 */
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/log.h"
#include "device/acpi/acpi_pm.h"
#include "device/acpi/pci_hotplug.h"
#include "device/char/uart16550.h"
#include "device/firmware/fw_cfg.h"
#include "device/firmware/pflash.h"
#include "device/input/i8042.h"
#include "device/intc/i8259.h"
#include "device/intc/ioapic.h"
#include "device/misc/cf9.h"
#include "device/misc/debugcon.h"
#include "device/misc/debugexit.h"
#include "device/misc/i8237.h"
#include "device/misc/port92.h"
#include "device/misc/postcode.h"
#include "device/misc/ich9_smbus.h"
#include "device/misc/smbus.h"
#include "device/misc/testdev.h"
#include "device/sound/ac97.h"
#include "device/sound/hda.h"
#include "device/sound/mpu401.h"
#include "device/sound/opl3.h"
#include "device/sound/sb16.h"
#include "device/timer/hpet.h"
#include "device/timer/i8254.h"
#include "device/timer/mc146818.h"
#include "device/tpm/tpm_crb.h"
#include "device/tpm/tpm_tis.h"
#include "device/usb/ehci.h"
#include "device/usb/uhci.h"
#include "device/video/vga.h"
#include "checked.h"
#include "fake_tpm.h"
#include "hostile.h"
#include "usb_setup.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
	RAM_BYTES = 1 << 20,
	STEP_MAX_NS = 20000000,
	RANGES = 3,
	OPS = 400,
	RIG_INPUTS = 64 /* until the device is made anew */
};

/* What outlives one input: guest memory and the bus, and which devices take part. */
struct env {
	struct mem_space *mem;
	struct ram_block *ram;
	struct bus bus;
	struct display *display;
	uint8_t part[256];
	unsigned n_parts;
};

struct world {
	struct env *env;
	struct dev_services sv;
	const struct target *target;
	struct dev *dev;
	unsigned calls; /* of interrupt sinks */
	struct pci_bus pci;
	struct audio *audio;
	struct tpm tpm;
	struct i8237 *dma; /* of a device that is not one itself */
	struct fuzz_input in;
	struct checked seen;
	unsigned inputs; /* this device has had */
};

/* Ports, or an address range with mmio set. */
struct range {
	uint64_t base, size;
	bool mmio;
};

struct target {
	const struct dev_class *cls;
	struct range range[RANGES];
	void (*wire)(struct world *w, struct dev *d); /* before realize; may be NULL */
	void (*poke)(struct world *w, unsigned what); /* the device's other side; may be NULL */
};

static uint64_t take(struct world *w, unsigned bytes)
{
	uint64_t v = 0;

	for (unsigned i = 0; i < bytes; i++)
		v |= (uint64_t)fuzz_u8(&w->in) << i * 8;
	return v;
}

static void sink(void *ctx, unsigned pin, bool level)
{
	struct world *w = ctx;

	w->calls++;
}

#define DEV(T) ((struct T *)w->dev)

/* ------------------------------------------------------------------ devices */

static void wire_pic(struct world *w, struct dev *d)
{
	irq_init(&((struct i8259 *)d)->intr, sink, w, 0);
}

static void poke_pic(struct world *w, unsigned what)
{
	if (what & 1)
		i8259_set_line(w->dev, (unsigned)take(w, 1) & 31, what & 2);
	else
		(void)i8259_ack(w->dev);
}

static void poke_ioapic(struct world *w, unsigned what)
{
	if (what & 1)
		ioapic_set_line(w->dev, (unsigned)take(w, 1) & 63, what & 2);
	else
		msi_eoi(&w->env->bus.msi, (uint8_t)take(w, 1));
}

static void wire_pit(struct world *w, struct dev *d)
{
	((struct i8254 *)d)->audio = w->audio;
	irq_init(&((struct i8254 *)d)->irq, sink, w, 0);
}

static void poke_pit(struct world *w, unsigned what)
{
	i8254_set_legacy(w->dev, 0, what & 1);
}

static void wire_rtc(struct world *w, struct dev *d)
{
	irq_init(&((struct mc146818 *)d)->irq, sink, w, 0);
}

static void poke_rtc(struct world *w, unsigned what)
{
	mc146818_set_legacy(w->dev, 0, what & 1);
}

static void wire_hpet(struct world *w, struct dev *d)
{
	struct hpet *hp = (struct hpet *)d;

	for (unsigned i = 0; i < HPET_ROUTES; i++)
		irq_init(&hp->irq[i], sink, w, i);
	irq_init(&hp->legacy, sink, w, 0);
}

static void wire_uart(struct world *w, struct dev *d)
{
	d->base = 0x3f8;
	irq_init(&((struct uart16550 *)d)->irq, sink, w, 0);
}

static void poke_uart(struct world *w, unsigned what)
{
	uart16550_receive_break(DEV(uart16550));
}

static void poke_kbc(struct world *w, unsigned what)
{
	if (what & 4) { /* a byte for the mouse */
		bus_unlock(&w->env->bus);
		bus_pio_write(&w->env->bus, 0x64, 1, 0xd4);
		bus_pio_write(&w->env->bus, 0x60, 1,
			      (what & 8 ? 0xe6 : 0) + (uint32_t)take(w, 1) % 0x1a);
		bus_lock(&w->env->bus);
	} else if (what & 1)
		i8042_key(DEV(i8042), (uint8_t)take(w, 1), what & 2);
	else
		i8042_mouse(DEV(i8042), (int)take(w, 4), (int8_t)take(w, 1), (int8_t)take(w, 1),
			    (unsigned)take(w, 1));
}

static void wire_pm(struct world *w, struct dev *d)
{
	((struct acpi_pm *)d)->base = 0x600;
}

static void poke_pm(struct world *w, unsigned what)
{
	if (what & 1)
		acpi_pm_set_gpe(w->dev, (unsigned)take(w, 1) & 31, what & 2);
	else if (what & 2)
		acpi_power_button(DEV(acpi_pm));
	else
		acpi_pm_moved(w->dev, what & 4, (uint16_t)take(w, 2));
}

static void poke_dma(struct world *w, unsigned what)
{
	uint8_t buf[256] = {0};
	size_t len = take(w, 1), done;
	bool tc;

	if (what & 1)
		done = dma8237_read(DEV(i8237), what >> 1 & 15, buf, len, &tc);
	else
		done = dma8237_write(DEV(i8237), what >> 1 & 15, buf, len, &tc);
	check(done <= len);
}

static void note_exit(void *ctx, unsigned code)
{
	check(code & 1);
}

static void wire_exit(struct world *w, struct dev *d)
{
	((struct debugexit *)d)->exit = note_exit;
}

static void wire_fw(struct world *w, struct dev *d)
{
	struct fw_cfg *fw = (struct fw_cfg *)d;
	struct error err;

	if (d->cls == &fw_cfg_mmio_class)
		d->base = 0x9000000;
	check(fw_cfg_add_file(fw, "etc/a", "some contents", 13, &err) == 0);
	check(fw_cfg_add_file(fw, "etc/b", w->env, sizeof(*w->env), &err) == 0);
	check(fw_cfg_add_i16(fw, FW_CFG_NB_CPUS, 2, &err) == 0);
}

/* A DMA request that at least begins right, at 0. */
static void poke_fw(struct world *w, unsigned what)
{
	uint8_t *req = w->env->ram->host;

	st_be32(req, (uint32_t)take(w, 1) << 16 | (uint32_t)take(w, 1));
	st_be32(req + 4, (uint32_t)(what & 8 ? take(w, 4) : take(w, 2)));
	st_be64(req + 8, take(w, what & 4 ? 8 : 2));
	bus_unlock(&w->env->bus);
	if (w->dev->cls == &fw_cfg_mmio_class)
		bus_mmio_write(&w->env->bus, 0x9000010, 8, 0);
	else
		bus_pio_write(&w->env->bus, 0x518, 4, 0);
	bus_lock(&w->env->bus);
}

static void wire_flash(struct world *w, struct dev *d)
{
	struct pflash *p = (struct pflash *)d;

	p->gpa = 0xffc00000;
	p->len = 4 * PFLASH_BLOCK;
}

/* The commands that take more than one byte, with what makes sense. */
static void poke_flash(struct world *w, unsigned what)
{
	static const uint8_t cmd[] = {0x40, 0x20, 0x60, 0xe8};
	struct bus *bus = &w->env->bus;
	gpa_t at = 0xffc00000 + take(w, 2) % (4 * PFLASH_BLOCK);
	unsigned n = 1;

	bus_unlock(bus);
	bus_mmio_write(bus, at, 1, cmd[what & 3]);
	if ((what & 3) == 3) {
		n = (unsigned)take(w, 1) % (PFLASH_BUFFER + 2);
		bus_mmio_write(bus, at, 1, n);
	}
	for (unsigned i = 0; i < n + 1; i++)
		bus_mmio_write(bus, at + i, 1, what & 3 ? take(w, 1) : 0xd0);
	bus_mmio_write(bus, at, 1, what & 4 ? 0xd0 : 0xff);
	bus_lock(bus);
}

static void wire_con(struct world *w, struct dev *d)
{
	d->base = DEBUGCON_PORT;
}

static unsigned route(void *ctx, uint8_t devfn, unsigned pin)
{
	return 0;
}

/* A small one: a device is made anew for each input. */
static void wire_vga(struct world *w, struct dev *d)
{
	struct vga *v = (struct vga *)d;

	pci_bus_init(&w->pci, &w->env->bus, route, w);
	v->bus = &w->pci;
	v->vram_size = MIB;
	v->display = w->env->display;
}

/* Configuration cycles, the window, and somebody who looks. */
static void poke_vga(struct world *w, unsigned what)
{
	static const uint8_t config[] = {PCI_COMMAND, PCI_BAR0, PCI_BAR0 + 8, PCI_ROM_ADDRESS};
	struct bus *bus = &w->env->bus;
	const struct pci_bar *regs = &DEV(vga)->f.bar[2];
	uint64_t at = 0xa0000 + take(w, 3) % 0x20000;
	char *text;

	if ((what & 8) && regs->mapped)
		at = regs->at + (at & 0x7ff);
	switch (what & 3) {
	case 0:
		pci_bus_config_write(&w->pci, PCI_DEVFN(2, 0), config[what >> 2 & 3],
				     what >> 2 & 3 ? 4 : 2,
				     what >> 2 & 3 ? (uint32_t)take(w, 2) << 16 : 3);
		break;
	case 1:
		display_update(w->env->display);
		text = display_text(w->env->display);
		free(text);
		break;
	case 2:
		bus_unlock(bus);
		bus_mmio_write(bus, at, what & 4 ? 4 : 1, take(w, 4));
		bus_lock(bus);
		break;
	default:
		bus_unlock(bus);
		(void)bus_mmio_read(bus, at, what & 4 ? 4 : 1);
		bus_lock(bus);
	}
}

static void wire_uhci(struct world *w, struct dev *d)
{
	pci_bus_init(&w->pci, &w->env->bus, route, w);
	((struct uhci *)d)->bus = &w->pci;
}

/* Viewers, a controller that gets to run quickly, and a schedule in memory that makes some sense.
 */
static void poke_uhci(struct world *w, unsigned what)
{
	uint8_t *qh = w->env->ram->host + 0x4000;
	struct display_pointer p = {.w = 640, .h = 480, .dz = what & 1};
	struct uhci *u = DEV(uhci);

	switch (what & 3) {
	case 0:
		pci_bus_config_write(&w->pci, PCI_DEVFN(2, 0), PCI_BAR0 + 16, 4, 0xc000);
		pci_bus_config_write(&w->pci, PCI_DEVFN(2, 0), PCI_COMMAND, 2, what & 4 ? 5 : 7);
		break;
	case 1:
		p.x = (unsigned)take(w, 1);
		p.buttons = (unsigned)take(w, 1);
		usb_hid_pointer(&u->hid[1], &p);
		usb_hid_key(&u->hid[0], (uint8_t)take(w, 1), what & 4);
		if (what & 8) {
			uhci_plug(u, 1, NULL);
			uhci_plug(u, 1, &u->hid[1].dev);
		}
		break;
	case 2:
		bus_unlock(&w->env->bus);
		bus_pio_write(&w->env->bus, 0xc010, 2, 4);
		bus_pio_write(&w->env->bus, 0xc012, 2, what & 4);
		bus_pio_write(&w->env->bus, 0xc008, 4, 0x5000);
		bus_pio_write(&w->env->bus, 0xc000, 2, 1);
		bus_lock(&w->env->bus);
		break;
	default:
		for (unsigned i = 0; i < 1024; i++)
			st_le32(w->env->ram->host + 0x5000 + 4 * i, 0x4000 | 2);
		st_le32(qh, what & 4 ? 0x4002 : 1);
		st_le32(qh + 4, 0x4010);
		for (unsigned i = 0; i < 4; i++) {
			static const uint8_t pids[4] = {0x2d, 0x69, 0xe1, 0x69};
			uint8_t *td = qh + 16 + 16 * i;

			if (what & 8) { /* one after the other, on endpoint 0 */
				st_le32(td, i == 3 ? 1 : 0x4000 + 16 * (i + 2) + 4);
				st_le32(td + 4, 0x18800000);
				st_le32(td + 8, (i ? i == 2 ? 0x7ff : 0x3f : 7) << 21 | !!i << 19 |
							(uint32_t)(take(w, 1) & 1) << 8 | pids[i]);
				st_le32(td + 12, i ? 0x4200 : 0x4100);
				continue;
			}
			st_le32(td, (uint32_t)take(w, 1) & 1 ? 1 : 0x4000 + 16 * (i + 2) + 4);
			st_le32(td + 4, 0x18800000 | (uint32_t)take(w, 1) << 24);
			st_le32(td + 8, (uint32_t)take(w, 2) << 15 |
						(uint32_t)(take(w, 1) & 1) << 8 | pids[i]);
			st_le32(td + 12, 0x4100 + (uint32_t)take(w, 1));
		}
		fuzz_setup(&w->in, qh + 0x100);
	}
}

static void wire_ac97(struct world *w, struct dev *d)
{
	pci_bus_init(&w->pci, &w->env->bus, route, w);
	((struct ac97 *)d)->bus = &w->pci;
	((struct ac97 *)d)->audio = w->audio;
}

static void wire_hda(struct world *w, struct dev *d)
{
	pci_bus_init(&w->pci, &w->env->bus, route, w);
	((struct hda *)d)->bus = &w->pci;
	((struct hda *)d)->audio = w->audio;
}

/* Where the ranges say, and a bus master most of the time. */
static void place_sound(struct world *w, unsigned what)
{
	pci_bus_config_write(&w->pci, PCI_DEVFN(2, 0), PCI_BAR0, 4,
			     w->target->cls == &hda_class ? 0xe0000000 : 0xc000);
	pci_bus_config_write(&w->pci, PCI_DEVFN(2, 0), PCI_BAR0 + 4, 4,
			     w->target->cls == &hda_class ? 0 : 0xc400);
	pci_bus_config_write(&w->pci, PCI_DEVFN(2, 0), PCI_COMMAND, 2, what & 8 ? 3 : 7);
}

/* A ring of short buffers in memory, and a bus master that works on it. */
static void poke_ac97(struct world *w, unsigned what)
{
	struct bus *bus = &w->env->bus;
	uint16_t box = (uint16_t)(0xc400 + 0x10 * (what & 1));

	place_sound(w, what);
	for (unsigned i = 0; i < 32; i++) {
		st_le32(w->env->ram->host + 0x6000 + 8 * i, (uint32_t)take(w, 1) << 8);
		st_le32(w->env->ram->host + 0x6004 + 8 * i, (uint32_t)take(w, 1) | 1u << 31);
	}
	bus_unlock(bus);
	bus_pio_write(bus, 0xc42c, 4, what & 2 ? 2 : 0);
	bus_pio_write(bus, box, 4, 0x6000);
	bus_pio_write(bus, (uint16_t)(box + 5), 1, (uint32_t)take(w, 1));
	bus_pio_write(bus, (uint16_t)(box + 11), 1, what & 4 ? 0x1d : 0x19);
	bus_lock(bus);
}

static void hda_write_at(struct world *w, unsigned off, unsigned size, uint64_t val)
{
	bus_mmio_write(&w->env->bus, 0xe0000000 + off, size, val);
}

/* Out of reset with rings; a verb; or a stream that runs. */
static void poke_hda(struct world *w, unsigned what)
{
	unsigned s = 0x80 + 0x20 * ((unsigned)take(w, 1) & 7);

	place_sound(w, what & 7);
	for (unsigned i = 0; i < 8; i++) {
		st_le64(w->env->ram->host + 0x6000 + 16 * i, take(w, 1) << 8);
		st_le32(w->env->ram->host + 0x6008 + 16 * i, (uint32_t)take(w, 1));
		st_le32(w->env->ram->host + 0x600c + 16 * i, i & 1);
	}
	bus_unlock(&w->env->bus);
	hda_write_at(w, 0x08, 4, 1);
	hda_write_at(w, 0x20, 4, 0xc00000ff);
	if ((what & 3) == 0) {
		hda_write_at(w, 0x40, 4, 0x1000);
		hda_write_at(w, 0x50, 4, 0x2000);
		hda_write_at(w, 0x5c, 1, 3);
		hda_write_at(w, 0x4c, 1, 2);
		hda_write_at(w, 0x48, 2, take(w, 1));
	} else if ((what & 3) == 1) {
		hda_write_at(w, 0x60, 4, take(w, 3) & 0x07ffffff);
		hda_write_at(w, 0x68, 2, 1);
	} else {
		hda_write_at(w, s + 0x08, 4, take(w, 2));
		hda_write_at(w, s + 0x0c, 2, take(w, 1) & 7);
		hda_write_at(w, s + 0x12, 2, what & 4 ? take(w, 2) : 0x11);
		hda_write_at(w, s + 0x18, 4, 0x6000);
		hda_write_at(w, s, 4, 0x00100006);
	}
	bus_lock(&w->env->bus);
}

static void wire_sb16(struct world *w, struct dev *d)
{
	struct error err = {0};

	if (!w->dma) {
		w->dma = (struct i8237 *)dev_new(&i8237_class, "dma", &w->sv);
		check(dev_realize(&w->dma->dev, &err) == 0);
	}
	((struct sb16 *)d)->dma = w->dma;
	((struct sb16 *)d)->audio = w->audio;
	for (unsigned i = 0; i < SB16_IRQS; i++)
		irq_init(&((struct sb16 *)d)->irq[i], sink, w, i);
}

static void wire_opl3(struct world *w, struct dev *d)
{
	((struct opl3 *)d)->audio = w->audio;
}

/* A register that matters. */
static void poke_opl3(struct world *w, unsigned what)
{
	static const uint8_t base[] = {0x20, 0x40, 0x60, 0x80, 0xe0, 0xa0,
				       0xb0, 0xc0, 0xbd, 0x04, 0x05, 0x08};
	uint8_t r = (uint8_t)(base[take(w, 1) % sizeof(base)] + take(w, 1) % 0x16);
	uint16_t port = what & 1 ? 0x38a : 0x388;

	bus_unlock(&w->env->bus);
	bus_pio_write(&w->env->bus, port, 1, r);
	bus_pio_write(&w->env->bus, (uint16_t)(port + 1), 1, (uint32_t)take(w, 1));
	if (what & 2) {
		bus_pio_write(&w->env->bus, 0x38a, 1, 5);
		bus_pio_write(&w->env->bus, 0x38b, 1, what >> 2 & 1);
	}
	bus_lock(&w->env->bus);
}

/* A command with its arguments, the channels ready for it. */
static void poke_sb16(struct world *w, unsigned what)
{
	static const uint8_t dma[][2] = {{0xd6, 0xc0}, {0xd4, 0}, {0x0b, 0x59}, {0x02, 0},
					 {0x03, 1},    {0x03, 2}, {0x0a, 1},    {0xd6, 0x59},
					 {0xc6, 9},    {0xc6, 0}, {0xd4, 1}};
	uint8_t cmd = (uint8_t)take(w, 1);

	bus_unlock(&w->env->bus);
	for (unsigned i = 0; i < ARRAY_SIZE(dma) && (what & 1); i++)
		bus_pio_write(&w->env->bus, dma[i][0], 1, dma[i][1]);
	bus_pio_write(&w->env->bus, 0x22c, 1, what & 2 ? 0xb0 | (cmd & 0x1f) : cmd);
	for (unsigned i = 0; i < 3; i++)
		bus_pio_write(&w->env->bus, 0x22c, 1, (uint32_t)take(w, 1));
	bus_lock(&w->env->bus);
}

static void wire_ehci(struct world *w, struct dev *d)
{
	pci_bus_init(&w->pci, &w->env->bus, route, w);
	((struct ehci *)d)->bus = &w->pci;
	((struct ehci *)d)->hid_present = true;
}

/* Likewise: queue heads at 4000h, descriptors behind them. */
static void poke_ehci(struct world *w, unsigned what)
{
	uint8_t *qh = w->env->ram->host + 0x4000;

	switch (what & 3) {
	case 0:
		pci_bus_config_write(&w->pci, PCI_DEVFN(2, 0), PCI_BAR0, 4, 0xe0000000);
		pci_bus_config_write(&w->pci, PCI_DEVFN(2, 0), PCI_COMMAND, 2, what & 4 ? 2 : 6);
		break;
	case 1:
		usb_hid_key(&DEV(ehci)->hid[0], (uint8_t)take(w, 1), what & 4);
		if (what & 8)
			ehci_plug(DEV(ehci), 1, DEV(ehci)->port[1] ? NULL : &DEV(ehci)->hid[1].dev);
		break;
	case 2:
		bus_unlock(&w->env->bus);
		for (unsigned at = 0x64; at < 0x6c; at += 4) {
			bus_mmio_write(&w->env->bus, 0xe0000000 + at, 4, 0x1100);
			bus_mmio_write(&w->env->bus, 0xe0000000 + at, 4, 0x1000 | (what & 4));
		}
		bus_mmio_write(&w->env->bus, 0xe0000034, 4, 0x5000);
		bus_mmio_write(&w->env->bus, 0xe0000038, 4, 0x4000);
		bus_mmio_write(&w->env->bus, 0xe0000020, 4, 0x80031);
		bus_lock(&w->env->bus);
		break;
	default:
		for (unsigned i = 0; i < 1024; i++)
			st_le32(w->env->ram->host + 0x5000 + 4 * i, 0x4002);
		st_le32(qh, what & 4 ? 0x4002 : 0x4042);
		st_le32(qh + 0x40, 0x4002);
		st_le32(qh + 4, what & 8 ? 0x406000u | ((uint32_t)take(w, 1) & 1)
					 : 0x400000 | 0x2000 | (uint32_t)take(w, 1) << 7);
		st_le32(qh + 16, 0x4080);
		st_le32(qh + 20, 1);
		st_le32(qh + 24, 0);
		for (unsigned i = 0; i < 4; i++) {
			uint8_t *td = qh + 0x80 + 32 * i;

			if (what & 8) { /* SETUP, IN or OUT, and the other with nothing */
				static const uint32_t token[4] = {8u << 16 | 2u << 8,
								  1u << 31 | 64u << 16 | 1u << 8,
								  1u << 31, 1u << 31 | 1u << 8};

				st_le32(td, i == 3 ? 1 : 0x4080 + 32 * (i + 1));
				st_le32(td + 4, 1);
				st_le32(td + 8, 0x8c80 | token[i]);
				st_le32(td + 12, i ? 0x4200 : 0x4100);
				st_le32(td + 16, 0x6000);
				continue;
			}
			st_le32(td, 0x4080 + 32 * ((uint32_t)take(w, 1) & 3));
			st_le32(td + 4, 1);
			st_le32(td + 8, 0x80 | (uint32_t)take(w, 2) << 15 |
						((uint32_t)take(w, 1) & 0xb) << 8);
			st_le32(td + 12, 0x4100 + (uint32_t)take(w, 1));
			st_le32(td + 16, 0x6000);
		}
		fuzz_setup(&w->in, qh + 0x100);
	}
}

static void wire_smbus(struct world *w, struct dev *d)
{
	((struct smbus *)d)->ram_size = 1536 * MIB;
}

static void poke_smbus(struct world *w, unsigned what)
{
	smbus_moved(w->dev, what & 7, 0xb100);
}

static void wire_ich9_smbus(struct world *w, struct dev *d)
{
	pci_bus_init(&w->pci, &w->env->bus, route, w);
	((struct ich9_smbus *)d)->bus = &w->pci;
	((struct ich9_smbus *)d)->ram_size = 1536 * MIB;
}

/* Where it decodes and what it may do; or a command as a driver would give it, and its bytes. */
static void poke_ich9_smbus(struct world *w, unsigned what)
{
	static const uint8_t address[4] = {0xa0, 0xa1, 0xa2, 0xa5};
	struct bus *bus = &w->env->bus;

	if (what & 1) {
		pci_bus_config_write(&w->pci, PCI_DEVFN(0x1f, 3), PCI_BAR0, 4, 0xe0000000);
		pci_bus_config_write(&w->pci, PCI_DEVFN(0x1f, 3), PCI_BAR0 + 16, 4, 0xb100);
		pci_bus_config_write(&w->pci, PCI_DEVFN(0x1f, 3), PCI_COMMAND, 2, 3);
		pci_bus_config_write(&w->pci, PCI_DEVFN(0x1f, 3), 0x40, 1,
				     what & 6 ? 1 : (uint32_t)take(w, 1));
		return;
	}
	bus_unlock(bus);
	bus_pio_write(bus, 0xb10d, 1, what >> 1 & 3);
	bus_pio_write(bus, 0xb104, 1, address[what >> 3 & 3]);
	bus_pio_write(bus, 0xb103, 1, (uint32_t)take(w, 1));
	bus_pio_write(bus, 0xb102, 1, 0x40 | (uint32_t)take(w, 1));
	for (unsigned i = (unsigned)take(w, 1) % 40; i; i--)
		bus_pio_write(bus, 0xb100, 1, 0x80);
	bus_lock(bus);
}

static void poke_hotplug(struct world *w, unsigned what)
{
	pci_hotplug_tell(DEV(pci_hotplug), (unsigned)take(w, 1) & 31, what & 1);
}

static void wire_tis(struct world *w, struct dev *d)
{
	w->tpm.busy = false;
	((struct tpm_tis *)d)->tpm = &w->tpm;
	for (unsigned i = 0; i < TPM_TIS_IRQS; i++)
		irq_init(&((struct tpm_tis *)d)->irq[i], sink, w, i);
}

static void wire_crb(struct world *w, struct dev *d)
{
	w->tpm.busy = false;
	((struct tpm_crb *)d)->tpm = &w->tpm;
}

/* The module answers; or a command as a driver would give it. */
static void poke_tpm(struct world *w, unsigned what)
{
	uint8_t buf[64] = {0x80, 0x01, 0, 0, 0, (uint8_t)(TPM_HEADER + take(w, 1) % 50)};
	bool crb = w->target->cls == &tpm_crb_class;
	gpa_t at = TPM_BASE + (crb ? 0 : (gpa_t)((what >> 1 & 7) % TPM_LOCALITIES) << 12);
	struct bus *bus = &w->env->bus;

	if (what & 1) {
		fake_tpm_answer(&w->tpm, buf, buf[5]);
		return;
	}
	bus_unlock(bus);
	bus_mmio_write(bus, at + (crb ? 0x08 : 0x00), 1, crb ? 1 : 2);
	bus_mmio_write(bus, at + (crb ? 0x40 : 0x18), 1, crb ? 1 : 0x40);
	for (unsigned i = 0; i < buf[5]; i++)
		bus_mmio_write(bus, at + (crb ? 0x80 + i : 0x24), 1, buf[i]);
	bus_mmio_write(bus, at + (crb ? 0x4c : 0x18), 1, crb ? 1 : 0x20);
	bus_lock(bus);
}

/* clang-format off */
static const struct target targets[] = {
	{&i8259_class,       {{0x20, 2}, {0xa0, 2}, {0x4d0, 2}}, wire_pic, poke_pic},
	{&ioapic_class,      {{IOAPIC_BASE, 0x44, true}}, NULL, poke_ioapic},
	{&i8254_class,       {{0x40, 4}, {0x61, 1}}, wire_pit, poke_pit},
	{&mc146818_class,    {{0x70, 2}}, wire_rtc, poke_rtc},
	{&hpet_class,        {{HPET_BASE, 0x160, true}}, wire_hpet, NULL},
	{&uart16550_class,   {{0x3f8, 8}}, wire_uart, poke_uart},
	{&i8042_class,       {{0x60, 1}, {0x64, 1}}, NULL, poke_kbc},
	{&acpi_pm_class,     {{0x600, 0x10}, {0xb2, 2}}, wire_pm, poke_pm},
	{&pci_hotplug_class, {{PCI_HOTPLUG_PORT, PCI_HOTPLUG_SIZE}}, NULL, poke_hotplug},
	{&smbus_class,       {{0xb100, SMBUS_SIZE}}, wire_smbus, poke_smbus},
	{&ich9_smbus_class,  {{0xb100, ICH9_SMBUS_IO}, {0xe0000000, 0x20, true}}, wire_ich9_smbus, poke_ich9_smbus},
	{&cf9_class,         {{0xcf9, 1}}, NULL, NULL},
	{&port92_class,      {{0x92, 1}}, NULL, NULL},
	{&postcode_class,    {{0x80, 1}}, NULL, NULL},
	{&debugcon_class,    {{0xe9, 1}}, wire_con, NULL},
	{&debugexit_class,   {{0xf4, 4}}, wire_exit, NULL},
	{&testdev_class,     {{0xe0, 9}, {0x2000, 24}, {TESTDEV_MMIO, 0x10000, true}}, NULL, NULL},
	{&i8237_class,       {{0x00, 16}, {0xc0, 32}, {0x81, 15}}, NULL, poke_dma},
	{&fw_cfg_class,      {{0x510, 2}, {0x514, 8}}, wire_fw, poke_fw},
	{&fw_cfg_mmio_class, {{0x9000000, 24, true}}, wire_fw, poke_fw},
	{&pflash_class,      {{0xffc00000, 4 * PFLASH_BLOCK, true}}, wire_flash, poke_flash},
	{&ac97_class,        {{0xc000, 0x100}, {0xc400, 0x40}}, wire_ac97, poke_ac97},
	{&hda_class,         {{0xe0000000, 0x180, true}, {0xe0000000, 0x2200, true}}, wire_hda, poke_hda},
	{&sb16_class,        {{0x224, 12}, {0x00, 16}, {0xd0, 16}}, wire_sb16, poke_sb16},
	{&opl3_class,        {{0x388, 4}, {0x220, 4}}, wire_opl3, poke_opl3},
	{&mpu401_class,      {{0x330, 2}}, NULL, NULL},
	{&uhci_class,        {{0xc000, 0x20}}, wire_uhci, poke_uhci},
	{&ehci_class,        {{0xe0000000, 0x80, true}}, wire_ehci, poke_ehci},
	{&tpm_tis_class,     {{TPM_BASE, TPM_TIS_SIZE, true}, {TPM_BASE, 0x40, true}}, wire_tis, poke_tpm},
	{&tpm_crb_class,     {{TPM_BASE, TPM_CRB_SIZE, true}, {TPM_BASE, 0x90, true}}, wire_crb, poke_tpm},
	{&vga_class,         {{0x3b0, 0x30}, {0x1ce, 4}, {0x3c0, 16}}, wire_vga, poke_vga},
};
/* clang-format on */

/* ------------------------------------------------------------------ the program */

static struct dev *device_new(struct world *w)
{
	struct dev *d = dev_new(w->target->cls, "d", &w->sv);
	struct error err = {0};

	if (w->target->wire)
		w->target->wire(w, d);
	check(dev_realize(d, &err) == 0);
	return d;
}

/* Snapshots: of the device loaded into itself, and edited ones. */
static void state_op(struct world *w)
{
	uint8_t how = fuzz_u8(&w->in);

	if (how >= 0xf0)
		round_trip(w->dev);
	(void)hostile_state(w->dev, &w->in, how & 7);
}

static void access_range(struct world *w, bool write)
{
	static const unsigned pio_width[4] = {1, 1, 2, 4}, mmio_width[4] = {1, 2, 4, 8};
	unsigned how = (unsigned)take(w, 1);
	const struct range *r = &w->target->range[how % RANGES];
	uint64_t at;

	if (!r->size)
		r = &w->target->range[0];
	at = r->base + take(w, r->size > 256 ? 2 : 1) % r->size;
	if (r->mmio && !(how & 0x30)) /* most registers are wide ones */
		at = align_down(at, mmio_width[how >> 6]);
	bus_unlock(&w->env->bus);
	if (r->mmio && write)
		bus_mmio_write(&w->env->bus, at, mmio_width[how >> 6],
			       take(w, mmio_width[how >> 6]));
	else if (r->mmio)
		(void)bus_mmio_read(&w->env->bus, at, mmio_width[how >> 6]);
	else if (write)
		bus_pio_write(&w->env->bus, (uint16_t)at, pio_width[how >> 6],
			      (uint32_t)take(w, pio_width[how >> 6]));
	else
		(void)bus_pio_read(&w->env->bus, (uint16_t)at, pio_width[how >> 6]);
	bus_lock(&w->env->bus);
}

static void step_time(struct world *w)
{
	unsigned how = (unsigned)take(w, 1);
	uint64_t ns = take(w, 2) << how % 24;

	/* Long stretches once in a while: timers in the far future, wrapping counters. */
	clock_step(w->sv.clock, how >= 0xfc ? ns : MIN(ns, (uint64_t)STEP_MAX_NS));
}

static void run_op(struct world *w)
{
	unsigned op = (unsigned)take(w, 1);

	switch (op & 15) {
	case 0 ... 6: access_range(w, true); break;
	case 7 ... 9: access_range(w, false); break;
	case 10 ... 11: step_time(w); break;
	case 12 ... 13:
		if (w->target->poke)
			w->target->poke(w, op >> 4);
		break;
	case 14: dev_reset(w->dev, op & 0x40 ? DEV_RESET_WARM : DEV_RESET_COLD); break;
	default: state_op(w); break;
	}
}

static void count_msi(void *ctx, uint64_t addr, uint32_t data)
{
	check((addr & ~0xfffffull) == 0xfee00000ull);
}

/* Is @name one of the words of @list? */
static bool named(const char *list, const char *name)
{
	size_t n = strlen(name);

	for (const char *at = list; (at = strstr(at, name)); at += n)
		if ((at == list || at[-1] == ' ') && (!at[n] || at[n] == ' '))
			return true;
	return false;
}

static struct env *env_new(void)
{
	struct env *e = xnew(struct env);
	const char *only = getenv("BOTHY_FUZZ_DEVICES");
	struct mem_mapping *map;
	struct error err = {0};

	log_set_level(LOG_ERR);
	check(mem_space_new(&e->mem, &err) == 0);
	check(mem_ram_new(e->mem, "ram", RAM_BYTES, &e->ram, &err) == 0);
	check(mem_map_ram(e->mem, "ram", 0, e->ram, 0, RAM_BYTES, false, MEM_PRIO_RAM, &map,
			  &err) == 0);
	check(bus_init(&e->bus, e->mem, &err) == 0);
	e->bus.msi.deliver = count_msi;
	check(display_new(NULL, &e->display, &err) == 0);
	for (uint8_t i = 0; i < ARRAY_SIZE(targets); i++) {
		check(state_unnamed_bytes(targets[i].cls->state, NULL) == 0);
		if (!only || named(only, targets[i].cls->name))
			e->part[e->n_parts++] = i;
	}
	check(e->n_parts);
	return e;
}

/* Something to record, too: an eighth of a second of one channel, then silence. */
static void open_audio(struct world *w)
{
	enum { FRAMES = 1000, HEAD = 44 };
	uint8_t wave[HEAD + FRAMES] = "RIFF\0\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0";
	int fd = memfd_create("wave", MFD_CLOEXEC);
	struct error err = {0};
	char spec[64];

	st_le32(wave + 24, 8000);
	st_le16(wave + 34, 8);
	memcpy(wave + 36, "data", 4);
	st_le32(wave + 40, FRAMES);
	for (unsigned i = 0; i < FRAMES; i++)
		wave[HEAD + i] = (uint8_t)(i * 37);
	check(fd >= 0 && write(fd, wave, sizeof(wave)) == (ssize_t)sizeof(wave));
	snprintf(spec, sizeof(spec), "wav:/dev/null,in=wav:/proc/self/fd/%d", fd);
	check(audio_open(w->sv.clock, spec, &w->audio, &err) == 0);
	close(fd);
}

static struct world *world_new(struct env *env, const struct target *t)
{
	struct world *w = xnew(struct world);

	w->env = env;
	w->target = t;
	w->sv = (struct dev_services){.bus = &env->bus, .clock = clock_new(NULL), .mem = env->mem};
	clock_set_wall_base(w->sv.clock, 1700000000ull * NS_PER_SEC);
	clock_start(w->sv.clock);
	open_audio(w);
	w->dev = device_new(w);
	return w;
}

/* What this device came to, a new one accepts. */
static void world_free(struct world *w)
{
	size_t n1, n2;
	uint8_t *b1 = saved(w->dev, &n1), *b2;
	struct state_reader *r;
	struct error err = {0};

	dev_free(w->dev);
	w->dev = device_new(w);
	check(state_reader_new(b1, n1, &r, &err) == 0 && dev_load(w->dev, r, &err) == 0);
	state_reader_free(r);
	b2 = saved(w->dev, &n2);
	check(n1 == n2 && !memcmp(b1, b2, n1));
	free(b1);
	free(b2);
	clock_step(w->sv.clock, NS_PER_MS);
	dev_free(w->dev);
	if (w->dma)
		dev_free(&w->dma->dev);
	audio_close(w->audio);
	clock_free(w->sv.clock);
	checked_done(&w->seen);
	free(w);
}

/* The device as it is after a reset: most often the one of the last input. */
static struct world *machine(const struct target *t, struct env *env)
{
	static struct world *w;

	if (w && w->target == t && ++w->inputs % RIG_INPUTS) {
		dev_reset(w->dev, DEV_RESET_COLD);
		return w;
	}
	if (w)
		world_free(w);
	w = world_new(env, t);
	return w;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, size};
	const struct target *t;
	static struct env *env;
	struct world *w;

	if (!env)
		env = env_new();
	t = &targets[env->part[fuzz_u8(&in) % env->n_parts]];
	memset(env->ram->host, 0, 4096);
	memcpy(env->ram->host, data, MIN(size, (size_t)4096));
	bus_lock(&env->bus);
	w = machine(t, env);
	w->in = in;
	for (unsigned i = 0; i < OPS && w->in.left; i++) {
		run_op(w);
		checked(&w->seen, t->cls->state, dev_regs(w->dev));
	}
	bus_unlock(&env->bus);
	return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building blocks shared by the machines (parts.h). Interrupt and port assignments of the PC/AT:
 * IBM PC/AT Technical Reference; IRQ0 on IOAPIC input 2: MultiProcessor Specification 1.4, 3.6.2.3.
 */
#include "machine/parts.h"

#include "base/bits.h"
#include "device/acpi/acpi_pm.h"
#include "device/char/uart16550.h"
#include "device/firmware/fw_cfg.h"
#include "device/input/i8042.h"
#include "device/intc/i8259.h"
#include "device/intc/ioapic.h"
#include "device/misc/cf9.h"
#include "device/misc/debugcon.h"
#include "device/misc/debugexit.h"
#include "device/misc/i8237.h"
#include "device/misc/port92.h"
#include "device/misc/postcode.h"
#include "device/misc/testdev.h"
#include "device/pci/host.h"
#include "device/pci/pam.h"
#include "device/timer/hpet.h"
#include "device/timer/i8254.h"
#include "device/timer/mc146818.h"
#include "machine/firmware.h"

#define FIRMWARE_LOG_PORT 0x402 /* SeaBIOS and OVMF write their messages there */

int parts_add(struct machine *m, struct dev *d, struct error *err)
{
	int r = dev_realize(d, err);

	if (r < 0) {
		dev_free(d);
		return r;
	}
	list_append(&m->devs, &d->node);
	return 0;
}

void parts_isa_drive(struct machine *m, unsigned irq)
{
	if (m->i8259)
		i8259_set_line(m->i8259, irq, m->isa_count[irq] || (m->pirq_pic >> irq & 1));
}

void parts_isa_set(void *ctx, unsigned irq, bool level)
{
	struct machine *m = ctx;
	unsigned *count = &m->isa_count[irq & 15];
	bool was = *count > 0, now;

	if (level)
		(*count)++;
	else if (*count)
		(*count)--;
	now = *count > 0;
	if (was == now)
		return;
	parts_isa_drive(m, irq & 15);
	if (m->ioapic)
		ioapic_set_line(m->ioapic, irq == ISA_IRQ_TIMER ? 2 : irq, now);
}

void parts_isa(struct machine *m, struct irq *line, unsigned irq)
{
	irq_init(line, parts_isa_set, m, irq);
}

void parts_reset_request(void *ctx, unsigned pin, bool level)
{
	struct machine *m = ctx;

	(void)pin;
	if (level)
		m->calls.reset(m->calls.ctx);
}

void parts_cpu_reset(void *ctx, unsigned pin, bool level)
{
	struct machine *m = ctx;

	(void)pin;
	if (!level)
		return;
	/* Firmware in system management mode has locked SMRAM and its place, which only a reset of
	 * the chip set opens again; EDK2 expects that of every reset. */
	if (m->cfg.firmware.bios && !m->cfg.firmware.smm)
		m->calls.cpu_init(m->calls.ctx);
	else
		m->calls.reset(m->calls.ctx);
}

void parts_power_off(void *ctx, unsigned pin, bool level)
{
	struct machine *m = ctx;

	(void)pin;
	if (level)
		m->calls.power_off(m->calls.ctx);
}

int parts_map_ram(struct machine *m, const char *name, uint64_t gpa, uint64_t off, uint64_t size,
		  struct error *err)
{
	int r;

	if (!size)
		return 0;
	check(m->n_maps < ARRAY_SIZE(m->map));
	r = mem_map_ram(m->sv.mem, name, gpa, m->ram, off, size, false, MEM_PRIO_RAM,
			&m->map[m->n_maps], err);
	if (r == 0)
		m->n_maps++;
	return r;
}

static void pic_intr(void *ctx, unsigned pin, bool level)
{
	struct machine *m = ctx;

	(void)pin;
	m->calls.intr(m->calls.ctx, level);
}

int parts_interrupts(struct machine *m, struct error *err)
{
	struct i8259 *pic = (struct i8259 *)dev_new(&i8259_class, "pic", &m->sv);
	struct ioapic *ioapic;
	int r;

	irq_init(&pic->intr, pic_intr, m, 0);
	r = parts_add(m, &pic->dev, err);
	if (r < 0)
		return r;
	m->i8259 = pic;
	m->pic = pic->source;
	ioapic = (struct ioapic *)dev_new(&ioapic_class, "ioapic", &m->sv);
	r = parts_add(m, &ioapic->dev, err);
	if (r == 0)
		m->ioapic = ioapic;
	return r;
}

/* KiB of RAM where a PC's firmware notes it in CMOS: below 640 KiB, from 1 MiB, and in units of
 * 64 KiB from 16 MiB. */
static void cmos_memory(const struct machine *m, struct mc146818 *rtc)
{
	uint64_t ext = m->low_end / KIB - 1024, high;

	mc146818_set_cmos(rtc, CMOS_BASE_LO, 640 & 0xff);
	mc146818_set_cmos(rtc, CMOS_BASE_HI, 640 >> 8);
	ext = MIN(ext, (uint64_t)0xffff);
	mc146818_set_cmos(rtc, CMOS_EXT_LO, (uint8_t)ext);
	mc146818_set_cmos(rtc, CMOS_EXT_HI, (uint8_t)(ext >> 8));
	mc146818_set_cmos(rtc, 0x30, (uint8_t)ext);
	mc146818_set_cmos(rtc, 0x31, (uint8_t)(ext >> 8));
	high = m->low_end > 16 * MIB ? (m->low_end - 16 * MIB) / (64 * KIB) : 0;
	high = MIN(high, (uint64_t)0xffff);
	mc146818_set_cmos(rtc, 0x34, (uint8_t)high);
	mc146818_set_cmos(rtc, 0x35, (uint8_t)(high >> 8));
	/* ... and from 4 GiB, as firmware for virtual machines looks for it. */
	high = (m->high_end - 4 * GIB) / (64 * KIB);
	for (unsigned i = 0; i < 3; i++)
		mc146818_set_cmos(rtc, 0x5b + i, (uint8_t)(high >> 8 * i));
}

int parts_timers(struct machine *m, struct error *err)
{
	struct i8254 *pit = (struct i8254 *)dev_new(&i8254_class, "pit", &m->sv);
	struct mc146818 *rtc;
	int r;

	pit->audio = m->cfg.audio;
	parts_isa(m, &pit->irq, ISA_IRQ_TIMER);
	r = parts_add(m, &pit->dev, err);
	if (r < 0)
		return r;
	m->pit = pit;
	rtc = (struct mc146818 *)dev_new(&mc146818_class, "rtc", &m->sv);
	parts_isa(m, &rtc->irq, ISA_IRQ_RTC);
	cmos_memory(m, rtc);
	r = parts_add(m, &rtc->dev, err);
	if (r == 0)
		m->rtc = rtc;
	return r;
}

int parts_serial(struct machine *m, struct error *err)
{
	static const struct {
		const char *id;
		uint16_t port;
		uint8_t irq;
	} com[MACHINE_SERIALS] = {{"com1", 0x3f8, ISA_IRQ_COM1}, {"com2", 0x2f8, ISA_IRQ_COM2}};

	for (unsigned i = 0; i < MACHINE_SERIALS; i++) {
		struct uart16550 *u;
		int r;

		u = (struct uart16550 *)dev_new(&uart16550_class, com[i].id, &m->sv);
		u->dev.base = com[i].port;
		u->chr = m->cfg.serial[i];
		parts_isa(m, &u->irq, com[i].irq);
		r = parts_add(m, &u->dev, err);
		if (r < 0)
			return r;
		m->com[i] = u;
	}
	return 0;
}

/* SMI# goes to all processors (ICH9 13.8.3.10), here as a message: SDM vol. 3, 11.11.2, delivery
 * mode 010b, to everyone. */
static void parts_smi(void *ctx, unsigned pin, bool level)
{
	struct machine *m = ctx;

	if (level && m->sv.bus->msi.deliver)
		m->sv.bus->msi.deliver(m->sv.bus->msi.ctx, 0xfeeff000, 0x200);
}

int parts_power(struct machine *m, bool fixed, struct error *err)
{
	struct acpi_pm *pm = (struct acpi_pm *)dev_new(&acpi_pm_class, "acpi-pm", &m->sv);
	int r;

	pm->base = fixed ? MACHINE_PM_BASE : 0;
	pm->ich9 = m->cfg.kind == MACHINE_Q35;
	pm->timer_32 = true;
	pm->smm = m->cfg.firmware.smm;
	irq_init(&pm->smi, parts_smi, m, 0);
	pm->no_smi_cmd = true; /* no firmware, no SMM: always in ACPI mode */
	parts_isa(m, &pm->sci, ISA_IRQ_SCI);
	irq_init(&pm->power_off, parts_power_off, m, 0);
	r = parts_add(m, &pm->dev, err);
	if (r == 0)
		m->pm = pm;
	return r;
}

static void debug_exit(void *ctx, unsigned code)
{
	struct machine *m = ctx;

	m->calls.debug_exit(m->calls.ctx, code);
}

static int add_testdev(struct machine *m, struct error *err)
{
	struct testdev *t = (struct testdev *)dev_new(&testdev_class, "testdev", &m->sv);

	for (unsigned i = 0; i < 16; i++)
		parts_isa(m, &t->line[i], i);
	for (unsigned i = 16; i < TESTDEV_LINES; i++)
		irq_init(&t->line[i], ioapic_set_line, m->ioapic, i);
	return parts_add(m, &t->dev, err);
}

int parts_debug(struct machine *m, struct error *err)
{
	struct debugexit *x;
	struct debugcon *con;
	int r = 0;

	if (m->cfg.debug_exit) {
		x = (struct debugexit *)dev_new(&debugexit_class, "debug-exit", &m->sv);
		x->exit = debug_exit;
		x->exit_ctx = m;
		r = parts_add(m, &x->dev, err);
	}
	if (r == 0 && m->cfg.debugcon) {
		con = (struct debugcon *)dev_new(&debugcon_class, "debugcon", &m->sv);
		con->dev.base = DEBUGCON_PORT;
		con->chr = m->cfg.debugcon;
		r = parts_add(m, &con->dev, err);
	}
	if (r == 0 && m->cfg.firmware.log) {
		con = (struct debugcon *)dev_new(&debugcon_class, "firmware-log", &m->sv);
		con->dev.base = FIRMWARE_LOG_PORT;
		con->chr = m->cfg.firmware.log;
		r = parts_add(m, &con->dev, err);
	}
	if (r == 0 && m->cfg.testdev)
		r = add_testdev(m, err);
	return r;
}

/* HPET legacy replacement: its timers 0 and 1 take IRQ0 and IRQ8 from PIT and RTC. */
static void hpet_legacy(void *ctx, unsigned pin, bool level)
{
	struct machine *m = ctx;

	i8254_set_legacy(m->pit, pin, level);
	mc146818_set_legacy(m->rtc, pin, level);
}

static int shadow(struct machine *m, struct pam *ret_pam, struct error *err)
{
	struct firmware_low low = {0};
	int r;

	ret_pam->ram = m->ram;
	if (!m->cfg.firmware.bios)
		return 0;
	r = firmware_map(m, &low, err);
	if (r < 0)
		return r;
	ret_pam->rom[0] = (struct pam_rom){
		.block = low.block, .gpa = low.gpa, .off = low.off, .size = low.size};
	return 0;
}

static int cf9_of(struct machine *m, struct pci_host *host, struct error *err)
{
	struct cf9 *cf9 = (struct cf9 *)dev_new(&cf9_class, "cf9", &m->sv);
	int r;

	cf9->behind_pci_host = true;
	irq_init(&cf9->hard, parts_reset_request, m, 0);
	irq_init(&cf9->soft, parts_cpu_reset, m, 0);
	r = parts_add(m, &cf9->dev, err);
	if (r < 0)
		return r;
	host->cf9 = &cf9->region;
	return 0;
}

/* Firmware for virtual machines tells by this subsystem of the host bridge that fw_cfg is there. */
enum { SUBSYSTEM_VENDOR = 0x1af4, SUBSYSTEM = 0x1100 };

int parts_host(struct machine *m, const struct parts_host *hb, struct error *err)
{
	int r = shadow(m, hb->pam, err);

	if (r < 0) {
		dev_free(hb->dev);
		return r;
	}
	*hb->shadow_at_reset = !m->cfg.firmware.bios;
	if (m->cfg.firmware.bios) {
		*hb->subsystem_vendor = SUBSYSTEM_VENDOR;
		*hb->subsystem = SUBSYSTEM;
	}
	r = parts_add(m, hb->dev, err);
	if (r < 0)
		return r;
	m->pci = hb->bus;
	return cf9_of(m, hb->host, err);
}

int parts_hpet(struct machine *m, struct error *err)
{
	struct hpet *hp = (struct hpet *)dev_new(&hpet_class, "hpet", &m->sv);

	for (unsigned i = 0; i < HPET_ROUTES; i++)
		irq_init(&hp->irq[i], ioapic_set_line, m->ioapic, i);
	irq_init(&hp->legacy, hpet_legacy, m, 0);
	parts_isa(m, &hp->legacy_irq0, ISA_IRQ_TIMER);
	parts_isa(m, &hp->legacy_irq8, ISA_IRQ_RTC);
	m->acpi.hpet_addr = HPET_BASE;
	m->acpi.hpet_id = HPET_ID;
	return parts_add(m, &hp->dev, err);
}

/*
 * The A20 gate is one latch behind both the keyboard controller's output port and port 92h, as in
 * chip sets that watch the keyboard controller's commands: who writes last decides, and both read
 * what is. ERRATUM: PIIX3 and ICH9 OR the two instead (290550-002, A20M#; 316972-004, 5.14.2.2).
 * Their own BIOS leaves bit 1 of port 92h clear; SeaBIOS, made for such a latch, leaves it set, and
 * with an OR no program could ever close the gate by the keyboard controller.
 */
static void a20_kbc(void *ctx, unsigned pin, bool level)
{
	struct machine *m = ctx;

	(void)pin;
	if (m->port92)
		port92_follow_a20(m->port92, level);
	mem_set_a20(m->sv.mem, level);
}

static void a20_fast(void *ctx, unsigned pin, bool level)
{
	struct machine *m = ctx;

	(void)pin;
	if (m->kbc)
		i8042_follow_a20(m->kbc, level);
	mem_set_a20(m->sv.mem, level);
}

int parts_isa_glue(struct machine *m, struct error *err)
{
	struct port92 *p92 = (struct port92 *)dev_new(&port92_class, "port92", &m->sv);
	struct i8237 *dma = (struct i8237 *)dev_new(&i8237_class, "dma", &m->sv);
	int r;

	p92->a20_at_reset = true; /* the processor starts below 4 GiB */
	irq_init(&p92->a20, a20_fast, m, 0);
	irq_init(&p92->reset, parts_cpu_reset, m, 0);
	r = parts_add(m, &p92->dev, err);
	m->port92 = r == 0 ? p92 : NULL;
	if (r == 0)
		r = parts_add(m, &dma->dev, err);
	else
		dev_free(&dma->dev);
	if (r == 0)
		r = parts_add(m, dev_new(&postcode_class, "post", &m->sv), err);
	if (r < 0)
		return r;
	m->dma = dma;
	m->acpi.dma = true;
	return r;
}

int parts_input(struct machine *m, struct error *err)
{
	struct i8042 *kbc = (struct i8042 *)dev_new(&i8042_class, "kbc", &m->sv);
	int r;

	parts_isa(m, &kbc->irq_kbd, ISA_IRQ_KBD);
	parts_isa(m, &kbc->irq_mouse, ISA_IRQ_MOUSE);
	irq_init(&kbc->a20, a20_kbc, m, 0);
	irq_init(&kbc->reset, parts_cpu_reset, m, 0);
	m->acpi.i8042 = true;
	r = parts_add(m, &kbc->dev, err);
	m->kbc = r == 0 ? kbc : NULL;
	if (r == 0)
		parts_viewer_input(m, kbc);
	return r;
}

int parts_fw_cfg(struct machine *m, struct error *err)
{
	struct fw_cfg *fw = (struct fw_cfg *)dev_new(&fw_cfg_class, "fw-cfg", &m->sv);
	int r = parts_add(m, &fw->dev, err);

	m->acpi.fw_cfg = true;
	if (r == 0)
		m->fw_cfg = fw;
	return r;
}

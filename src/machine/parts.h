/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building blocks that the machines share: device bookkeeping, the ISA interrupt lines, and the
 * chips both kinds have.
 */
#ifndef MACHINE_PARTS_H
#define MACHINE_PARTS_H

#include "machine/machine.h"

struct i8042;
struct pam;
struct pci_host;

#define ISA_IRQ_TIMER   0u
#define ISA_IRQ_KBD     1u
#define ISA_IRQ_COM2    3u
#define ISA_IRQ_COM1    4u
#define ISA_IRQ_RTC     8u
#define ISA_IRQ_SCI     9u
#define ISA_IRQ_FLOPPY  6u
#define ISA_IRQ_MOUSE   12u
#define ISA_IRQ_IDE0    14u
#define ISA_IRQ_IDE1    15u
#define MACHINE_PM_BASE 0x600u

/** parts_add() - realize @d, made by dev_new(), and take it into the machine; freed on failure. */
int parts_add(struct machine *m, struct dev *d, struct error *err) MUST_CHECK;
/** parts_isa() - connect @line to ISA interrupt @irq: the 8259s' input and the IOAPIC's pin of that
 * number (IRQ0: pin 2). Several drivers of one line are ORed. */
void parts_isa(struct machine *m, struct irq *line, unsigned irq);
/** parts_isa_set() - irq sink behind parts_isa(); @ctx: the machine. */
void parts_isa_set(void *ctx, unsigned irq, bool level);
/** parts_isa_drive() - bring the 8259s' input @irq in line with its drivers. */
void parts_isa_drive(struct machine *m, unsigned irq);
/** parts_reset_request() - irq sink: a rising edge asks for a reset; parts_power_off(): likewise.
 */
void parts_reset_request(void *ctx, unsigned pin, bool level);
void parts_power_off(void *ctx, unsigned pin, bool level);

/** parts_cpu_reset() - irq sink: a rising edge resets the processors alone. Without firmware
 * nothing stands at the reset vector, so the whole machine restarts. */
void parts_cpu_reset(void *ctx, unsigned pin, bool level);

/** parts_map_ram() - map [@off, @off+@size) of the RAM block at @gpa. */
int parts_map_ram(struct machine *m, const char *name, uint64_t gpa, uint64_t off, uint64_t size,
		  struct error *err) MUST_CHECK;
int parts_interrupts(struct machine *m, struct error *err) MUST_CHECK; /* 8259s, IOAPIC */
int parts_timers(struct machine *m, struct error *err) MUST_CHECK;     /* PIT, RTC */
int parts_serial(struct machine *m, struct error *err) MUST_CHECK;     /* COM1, COM2 */
/** parts_power() - ACPI PM block; @fixed: at MACHINE_PM_BASE, else moved by a PCI function. */
int parts_power(struct machine *m, bool fixed, struct error *err) MUST_CHECK;
/* What the host bridges of both machines have. */
struct parts_host {
	struct dev *dev;
	struct pci_bus *bus;
	struct pci_host *host;
	struct pam *pam;
	bool *shadow_at_reset;
	uint16_t *subsystem_vendor, *subsystem;
};
/** parts_host() - wire and add a host bridge, with what lies behind its shadow segments (RAM, and
 * the firmware's image where there is one, which is mapped) and the reset control register among
 * its ports. It is freed when that fails. */
int parts_host(struct machine *m, const struct parts_host *hb, struct error *err) MUST_CHECK;
int parts_hpet(struct machine *m, struct error *err) MUST_CHECK;
/** parts_isa_glue() - port 92h, the DMA controllers, port 80h. */
int parts_isa_glue(struct machine *m, struct error *err) MUST_CHECK;
int parts_debug(struct machine *m, struct error *err) MUST_CHECK; /* exit port, debugcon, test */

/** parts_input() - keyboard controller with A20 gate and CPU reset line. */
int parts_input(struct machine *m, struct error *err) MUST_CHECK;
/** parts_fw_cfg() - the device; firmware_files() fills it. */
/** parts_viewer_input() - let viewers type and point through @kbc. */
void parts_viewer_input(struct machine *m, struct i8042 *kbc);
int parts_usb(struct machine *m, struct error *err) MUST_CHECK;   /* usb.c */
int parts_sound(struct machine *m, struct error *err) MUST_CHECK; /* sound.c */
int parts_tpm(struct machine *m, struct error *err) MUST_CHECK;   /* tpm.c */
int parts_vga(struct machine *m, struct error *err) MUST_CHECK;   /* video.c */
int parts_fw_cfg(struct machine *m, struct error *err) MUST_CHECK;
/** parts_storage() - IDE and diskette drives; after timers, DMA controller and PCI bus. */
int parts_storage(struct machine *m, struct error *err) MUST_CHECK;
int parts_nic(struct machine *m, struct error *err) MUST_CHECK; /* nic.c */
/** parts_net_rom() - a copy of the network card's option ROM for a function with these ids, freed
 * by the caller; NULL when there is none. */
int parts_net_rom(struct machine *m, uint16_t vendor, uint16_t device, uint8_t **ret_rom,
		  struct error *err) MUST_CHECK;
/** parts_net_boot_path() - firmware may start from the card in PCI slot @slot. */
void parts_net_boot_path(struct machine *m, unsigned slot);
/** parts_hotplug() - ACPI hot plug of a machine without root ports; after all PCI devices.
 * parts_eject() - root_port.eject and pci_hotplug.eject. */
int parts_hotplug(struct machine *m, struct error *err) MUST_CHECK;
void parts_eject_port(void *ctx, unsigned number);
/** parts_virtio_pci() - realize @vd, its properties set, and a transport for it on @bus at @devfn
 * (0: the lowest free). */
struct virtio_dev;
int parts_virtio_pci(struct machine *m, struct virtio_dev *vd, struct pci_bus *bus, uint8_t devfn,
		     struct dev **ret_transport, struct error *err) MUST_CHECK;
/** parts_serial_of() - what the guest sees as serial number of disk @i. */
void parts_serial_of(const struct machine *m, unsigned i, char *to, size_t size);
/** parts_plug() - note what was there from the start and can go: SCSI, Serial ATA, USB; see
 * struct machine_plug. */
void parts_plug(struct machine *m, const char *id, enum machine_plug_how how, unsigned unit,
		int disk, struct dev *part);
/** parts_plug_save() - what is under way of things that leave; parts_plug_load() - behind the
 * devices, of a machine with the same ones. -EINVAL with text. */
void parts_plug_save(const struct machine *m, struct state_writer *w);
int parts_plug_load(struct machine *m, struct state_reader *r, struct error *err) MUST_CHECK;
/** parts_plug_init() - no devices yet. parts_plug_reset() - what was pulled out goes at last. */
void parts_plug_init(struct machine *m);
void parts_plug_reset(struct machine *m);
/** parts_plug_done() - pull everything out: the machine goes. */
void parts_plug_done(struct machine *m);
/** parts_disks() - disks on PCI controllers of their own: disks.c; after the PCI bus. */
int parts_disks(struct machine *m, struct error *err) MUST_CHECK;
int parts_virtio(struct machine *m, struct error *err) MUST_CHECK; /* virtio.c */

/* The machine kinds: build (RAM is there), and what firmware would do before a kernel. */
int pc_build(struct machine *m, struct error *err) MUST_CHECK;
int pc_firmware(struct machine *m, struct error *err) MUST_CHECK;
/** pc_parts() - every part of a PC, around a chip set that @bridges builds. */
int pc_parts(struct machine *m, int (*bridges)(struct machine *m, struct error *err),
	     struct error *err) MUST_CHECK;
int q35_build(struct machine *m, struct error *err) MUST_CHECK;
int q35_firmware(struct machine *m, struct error *err) MUST_CHECK;
int microvm_build(struct machine *m, struct error *err) MUST_CHECK;

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A whole machine without its processors: RAM, devices and the wires between them. Only this floor
 * knows which devices exist. The processors live one floor up and are wired by the callbacks of
 * `struct machine_calls` (INTR line, requests) and by `intr_source` (INTA cycles); local APICs are
 * reached through the bus's MSI target.
 *
 * Three kinds: "pc" (440FX and PIIX3 with virtio on PCI), "q35" (3 Series and ICH9: the same
 * devices on PCI Express, AHCI instead of IDE) and "microvm" (no PCI, no firmware: virtio-mmio,
 * announced by ACPI). All boot kernels directly; see boot/boot.h.
 *
 * Physical memory: RAM from 0 up to MACHINE_LOW_MAX, the rest from 4 GiB up; one RAM block "ram".
 * The window between is for PCI, IOAPIC, HPET, LAPIC and virtio-mmio.
 *
 * Every function here runs with the bus lock held. Devices are built in a fixed order (machine.c);
 * reset, save and load go in that order, teardown in reverse.
 */
#ifndef MACHINE_MACHINE_H
#define MACHINE_MACHINE_H

#include "bus/bus.h"
#include "bus/clock.h"
#include "device/dev.h"
#include "device/usb/usb_dev.h"
#include "display/display.h"
#include "machine/acpi.h"
#include "machine/boot/boot.h"

struct audio;
struct block;
struct chr;
struct net;
struct tpm;
struct pci_hotplug;
struct usb_hid;
struct vga;
struct virtio_scsi;
struct ahci;

enum machine_kind { MACHINE_PC, MACHINE_MICROVM, MACHINE_Q35, MACHINE_KIND_COUNT };
/** machine_is_pc() - PCI, firmware, the devices of a PC. */
static inline bool machine_is_pc(enum machine_kind kind)
{
	return kind == MACHINE_PC || kind == MACHINE_Q35;
}

#define MACHINE_LOW_MAX      (3 * GIB)
#define MACHINE_Q35_LOW_MAX  (2 * GIB) /* PCI Express configuration space follows */
#define MACHINE_PORTS        6u        /* PCI Express root ports of a q35 */
#define MACHINE_RAM_MIN      (1 * MIB)
#define MACHINE_RAM_MAX      (64 * GIB)
#define MACHINE_CPUS_MAX     64u
#define MACHINE_DISKS_MAX    16u
#define MACHINE_CONSOLES_MAX 4u
#define MACHINE_SERIALS      2u

/* What a disk is to the guest. All but virtio and SCSI need the "pc" machine. */
enum machine_disk_kind {
	MACHINE_DISK_VIRTIO,
	MACHINE_DISK_IDE,
	MACHINE_DISK_CDROM, /* IDE, removable */
	MACHINE_DISK_FLOPPY,
	MACHINE_DISK_NVME,
	MACHINE_DISK_AHCI,
	MACHINE_DISK_AHCI_CDROM,
	MACHINE_DISK_SCSI, /* virtio-scsi */
	MACHINE_DISK_SCSI_CDROM,
	MACHINE_DISK_USB,
	MACHINE_DISK_KIND_COUNT
};

enum machine_usb {
	MACHINE_USB_NONE,
	MACHINE_USB_UHCI,
	MACHINE_USB_EHCI,
	MACHINE_USB_XHCI,
	MACHINE_USB_COUNT
};

/* What the network card is to the guest. All but virtio need the "pc" machine. */
enum machine_nic_model {
	MACHINE_NIC_VIRTIO,
	MACHINE_NIC_E1000,
	MACHINE_NIC_RTL8139,  /* RTL8139C+ */
	MACHINE_NIC_RTL8139C, /* the chip before it */
	MACHINE_NIC_NE2K_PCI,
	MACHINE_NIC_NE2K_ISA,
	MACHINE_NIC_COUNT
};

/* The sound card; all but none need the "pc" machine. The loudspeaker is there without. */
enum machine_sound {
	MACHINE_SOUND_NONE,
	MACHINE_SOUND_AC97,
	MACHINE_SOUND_HDA,
	MACHINE_SOUND_SB16,
	MACHINE_SOUND_COUNT
};

static inline bool machine_disk_is_cdrom(enum machine_disk_kind kind)
{
	return kind == MACHINE_DISK_CDROM || kind == MACHINE_DISK_AHCI_CDROM ||
	       kind == MACHINE_DISK_SCSI_CDROM;
}

struct machine_disk {
	enum machine_disk_kind kind;
	struct block *block; /* borrowed, like every back end; NULL: a CD drive without a disc */
	char serial[21];     /* "" = derived from the slot */
};

/* A BIOS or EFI firmware to start with instead of a kernel. Bytes and strings are borrowed and
 * outlive the machine.
 */
struct machine_firmware {
	const uint8_t *bios; /* NULL = the machine boots a kernel directly */
	size_t bios_len;
	bool efi; /* the image is EFI firmware, and has a flash chip with variables right below it
		   */
	bool smm; /* it needs system management mode (MACHINE_Q35 only), and only that writes
		     variables */
	const uint8_t *vars; /* what that holds at first */
	size_t vars_len;
	/* keeps changes of it: pflash.store; NULL = they are gone at the end */
	int (*vars_store)(void *ctx, uint64_t off, const void *bytes, size_t len);
	void *vars_ctx;
	const uint8_t *net_rom; /* option ROM of the network card; NULL = none */
	size_t net_rom_len;
	const char
		*boot_order; /* letters: a floppy, c disk, d CD-ROM, n network; "" = firmware's */
	bool menu;           /* offer a boot menu */
	unsigned menu_wait_ms;
	uint16_t text_port; /* serial port that repeats the BIOS's text output; 0 = none */
	struct chr *log;    /* what firmware writes to port 402h; NULL = the port isn't there */
};

/* How the medium of a disk is changed while the machine runs; media.c. */
enum machine_drive_how {
	MACHINE_DRIVE_FIXED,
	MACHINE_DRIVE_ATAPI,  /* of: struct ide_channel */
	MACHINE_DRIVE_SCSI,   /* of: struct virtio_scsi */
	MACHINE_DRIVE_FLOPPY, /* of: struct i82077 */
};
struct machine_drive {
	enum machine_drive_how how;
	void *of; /* borrowed */
	unsigned unit;
};
struct machine_medium {
	bool tray; /* a CD drive */
	bool tray_open, locked;
};

/* What can come and go while the machine runs, and how it is reached; plug.c. */
#define MACHINE_PLUGS       32u
#define MACHINE_PLUG_ID_MAX 32u
enum machine_plug_how {
	MACHINE_PLUG_NONE, /* this entry is free */
	MACHINE_PLUG_PORT, /* `unit`: root port */
	MACHINE_PLUG_SLOT, /* device number on PCI bus 0 */
	MACHINE_PLUG_SCSI, /* target */
	MACHINE_PLUG_SATA, /* port of the AHCI */
	MACHINE_PLUG_USB,  /* port of the controller, from 0 */
};
struct machine_plug {
	char id[MACHINE_PLUG_ID_MAX];
	enum machine_plug_how how;
	unsigned unit;
	int disk;            /* of cfg.disk; -1: an input device */
	bool tablet;         /* of those */
	struct dev *part[2]; /* in the machine's list, in build order; NULL: none */
	bool leaving;        /* the guest has been asked */
	bool pulled;         /* it has not; its driver is still at it */
	bool gone;           /* and has let go: machine_take_out() */
};
/* The ports of the machine's USB controller. */
struct machine_usb_host {
	void *of; /* borrowed; NULL: there is none */
	void (*plug)(void *of, unsigned port, struct usb_dev *u);
	struct usb_dev *const *port; /* what is in them now */
	unsigned first, end;         /* those for disks */
	enum usb_speed speed;        /* of disks */
	struct usb_hid *hid;         /* keyboard and tablet, for ports 0 and 1 */
	struct display_input *input;
};

#define MACHINE_BOOT_PATHS (MACHINE_DISKS_MAX + 8u)
struct machine_boot_path {
	char kind; /* as in boot_order */
	char path[96];
};

struct machine_config {
	enum machine_kind kind;
	uint64_t ram_size; /* bytes, multiple of 1 MiB */
	unsigned n_cpus;
	struct machine_disk disk[MACHINE_DISKS_MAX];
	unsigned n_disks;
	struct net *net; /* NULL = no network card */
	enum machine_nic_model nic;
	uint16_t nic_io; /* MACHINE_NIC_NE2K_ISA: its ports */
	uint8_t nic_irq;
	uint8_t mac[6];
	struct chr *serial[MACHINE_SERIALS]; /* NULL = port without a back end */
	struct chr *console[MACHINE_CONSOLES_MAX];
	unsigned n_consoles;
	struct chr *debugcon; /* port e9h; NULL = none */
	struct chr *midi;     /* of the Sound Blaster; NULL = nobody plays or listens */
	bool debug_exit, testdev, rng, balloon;
	bool viewer_input;    /* virtio keyboard and tablet for `display` */
	enum machine_usb usb; /* pc only */
	bool usb_hid;         /* with keyboard and tablet for `display`; UHCI always has them */
	bool virtio_gpu;      /* a virtio graphics adapter for `display` */
	bool vga;             /* pc only */
	const void *vga_rom;  /* borrowed by machine_new(): the video BIOS; NULL = none */
	size_t vga_rom_size;
	enum machine_sound sound;
	struct audio *audio;      /* NULL = nobody hears it */
	struct tpm *tpm;          /* NULL = none */
	bool tpm_crb;             /* with the CRB interface, not the FIFO */
	struct display *display;  /* NULL = no screen to look at, no keys from a viewer */
	struct boot_source *boot; /* borrowed */
	struct machine_firmware firmware;
};

/* What a machine asks of its owner; all come with the bus lock held, from any thread. The requests
 * only note what is wanted: the owner acts later, on its main thread. */
struct machine_calls {
	void (*intr)(void *ctx, bool level); /* INTR of the 8259s */
	void (*nmi)(void *ctx);
	void (*power_off)(void *ctx);
	void (*reset)(void *ctx);
	/* INIT# of all processors: what the chip set gives for a reset of the processor alone */
	void (*cpu_init)(void *ctx);
	void (*debug_exit)(void *ctx, uint32_t value); /* the value written by the guest */
	/* the guest has let a device go: call machine_take_out() soon; may be NULL */
	void (*unplug)(void *ctx);
	void *ctx;
};

struct machine {
	struct machine_config cfg;
	struct dev_services sv;
	struct machine_calls calls;
	struct intr_source pic; /* .ack NULL when the machine has no 8259 */
	struct list devs;       /* build order */
	struct ram_block *ram, *bios;
	struct mem_mapping *map[8]; /* RAM mappings, owned */
	unsigned n_maps;
	uint64_t low_end;  /* end of RAM below 4 GiB */
	uint64_t high_end; /* end of RAM above it; 4 GiB when there is none */
	struct acpi_config acpi;
	uint16_t pirq_pic;      /* 8259 inputs that PIRQs drive past the ISA lines */
	unsigned isa_count[16]; /* how many drivers of each ISA line are high now */
	struct i8042 *kbc;      /* the two that drive the A20 gate */
	struct port92 *port92;
	/* devices that are wired or asked by name; NULL when not there */
	struct i8259 *i8259;
	struct ioapic *ioapic;
	struct i8254 *pit;
	struct mc146818 *rtc;
	struct acpi_pm *pm;
	struct pci_bus *pci;
	struct root_port *port[MACHINE_PORTS];
	unsigned ports_used;
	struct fw_cfg *fw_cfg;
	struct piix3_ide *ide;
	struct i8237 *dma;
	struct i82077 *fdc;
	struct uart16550 *com[MACHINE_SERIALS];
	struct machine_drive drive[MACHINE_DISKS_MAX]; /* of cfg.disk[] */
	/* what firmware may start from */
	struct machine_boot_path boot_path[MACHINE_BOOT_PATHS];
	unsigned n_boot_paths;
	struct pci_hotplug *hotplug; /* pc */
	struct virtio_scsi *scsi;
	struct ahci *ahci;
	struct machine_usb_host usb;
	struct machine_plug plug[MACHINE_PLUGS];
	struct vtimer pulled; /* until drivers have had their time */
	ns_t pulled_until;
	struct vga *vga;
	struct display_input kbc_input; /* in cfg.display, when there is one */
};

/**
 * machine_new() - build and realize a machine
 * @sv, @calls and @cfg are copied; what they point to must outlive the machine.
 * Return: 0 or -errno with text; on failure nothing is left.
 */
int machine_new(const struct machine_config *cfg, const struct dev_services *sv,
		const struct machine_calls *calls, struct machine **ret_m,
		struct error *err) MUST_CHECK;
void machine_free(struct machine *m);

/** machine_reset() - every device; cold = power-on. RAM keeps its contents. */
void machine_reset(struct machine *m, enum dev_reset kind);

/**
 * machine_boot() - after a reset: do what firmware would (PCI resources, ACPI tables) and load the
 * kernel; with a BIOS leave all that to it
 * Return: 0 with the boot processor's start state, or -errno with text.
 */
int machine_boot(struct machine *m, struct boot_cpu *ret_cpu, struct error *err) MUST_CHECK;

/** machine_power_button() - press it: the guest's ACPI driver hears of it. */
void machine_power_button(struct machine *m);

/** machine_get_medium() - state of the drive of cfg.disk[@i]; false: its medium is fixed. */
bool machine_get_medium(const struct machine *m, unsigned i, struct machine_medium *ret);
/**
 * machine_set_medium() - change the medium of cfg.disk[@i] and close its tray; NULL = leave it
 * empty The guest hears of it. What is under way on the old one ends; the caller may close it then.
 * -EINVAL with text: fixed, or of no size a diskette has.
 */
int machine_set_medium(struct machine *m, unsigned i, struct block *block,
		       struct error *err) MUST_CHECK;
/** machine_open_tray() - of a CD drive, locked or not. machine_ask_eject() - press its button. */
void machine_open_tray(struct machine *m, unsigned i);
void machine_ask_eject(struct machine *m, unsigned i);

/**
 * machine_plug_disk() - a disk comes while the machine runs: cfg.disk[@i] is filled in by this
 * @kind: virtio or NVMe (a root port of a q35, a slot of a pc), SCSI (there is a host already),
 * USB. The guest is told. -ENOSPC, -EINVAL with text.
 */
int machine_plug_disk(struct machine *m, const char *id, unsigned i, const struct machine_disk *d,
		      struct error *err) MUST_CHECK;
/** machine_plug_hid() - likewise a USB keyboard or @tablet: one of each at most. */
int machine_plug_hid(struct machine *m, const char *id, bool tablet, struct error *err) MUST_CHECK;
/** machine_unplug() - ask the guest to let plug @n go; @force: it goes at once, as SCSI and USB
 * devices always do. What went is for machine_take_out(). */
int machine_unplug(struct machine *m, unsigned n, bool force, struct error *err) MUST_CHECK;
/** machine_find_plug() - its number, or -ENODEV. */
int machine_find_plug(const struct machine *m, const char *id) MUST_CHECK;
/** machine_take_out() - free what the guest let go; @out hears of each, disks may be closed then.
 * Not from device code. */
void machine_take_out(struct machine *m, void (*out)(void *ctx, const struct machine_plug *p),
		      void *ctx);

/** machine_quiesce/resume() - stop device workers at a request boundary, and start them again. */
int machine_quiesce(struct machine *m) MUST_CHECK;
void machine_resume(struct machine *m);

/** machine_save() - append every device and RAM layout; machine_load() - into a machine built from
 * the same configuration, freshly reset. RAM contents are the caller's business. */
void machine_save(struct machine *m, struct state_writer *w);
int machine_load(struct machine *m, struct state_reader *r, struct error *err) MUST_CHECK;

/** machine_memory_map() - what firmware would report. */
void machine_memory_map(const struct machine *m, struct e820 *ret_map);
/** machine_usb_name() - "xhci". */
const char *machine_usb_name(enum machine_usb kind);
/** machine_nic_name() - "virtio", "e1000". machine_nic_rom() - the model in the name of its option
 * ROM's file; NULL: it has none. */
const char *machine_nic_name(enum machine_nic_model model);
const char *machine_nic_rom(enum machine_nic_model model);
/** machine_kind_name() - "pc", "microvm". */
const char *machine_kind_name(enum machine_kind kind);
/** machine_sound_name() - "none", "ac97", "hda", "sb16". */
const char *machine_sound_name(enum machine_sound sound);

#endif

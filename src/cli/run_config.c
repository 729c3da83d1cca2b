/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options of `bothy run`. Everything that can be judged without touching the host is judged here
 * and ends with status 2; what the host or a file decides is for vm_new().
 */
#include "cli/run_config.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audio/audio.h"
#include "base/bits.h"
#include "cli/image.h"
#include "host/meminfo.h"
#include "tpm/tpm.h"

enum {
	O_KERNEL,
	O_INITRD,
	O_APPEND,
	O_MODULE,
	O_FIRMWARE,
	O_EFI_VARS,
	O_BOOT,
	O_FIRMWARE_LOG,
	O_DISK,
	O_CDROM,
	O_FLOPPY,
	O_IN_PLACE,
	O_MEMORY,
	O_CPUS,
	O_NET,
	O_PUBLISH,
	O_MACHINE,
	O_ENGINE,
	O_ENGINE_MEMORY,
	O_CPU,
	O_SERIAL,
	O_CONSOLE,
	O_DEBUGCON,
	O_DEBUG_EXIT,
	O_TESTDEV,
	O_NO_REBOOT,
	O_DETERMINISTIC,
	O_RECORD,
	O_REPLAY,
	O_NAME,
	O_DISPLAY,
	O_GPU,
	O_USB,
	O_SOUND,
	O_AUDIO,
	O_MIDI,
	O_TPM,
	O_TPM_STATE,
	O_GDB,
	O_DEBUG,
	O_STATS,
	O_VERBOSE,
	O_HELP,
	O_COUNT
};

/* clang-format off */
static const struct cli_option options[O_COUNT + 1] = {
	[O_KERNEL]     = {"kernel", 0, "FILE", "Linux bzImage or vmlinux, PVH or Multiboot 1/2 kernel"},
	[O_INITRD]     = {"initrd", 0, "FILE", "initial RAM disk"},
	[O_APPEND]     = {"append", 0, "TEXT", "kernel command line"},
	[O_MODULE]     = {"module", 0, "FILE[,ARGS]", "Multiboot module; may be repeated"},
	[O_FIRMWARE]   = {"firmware", 0, "KIND", "auto (default: what the FILEs need), bios, efi, efi-secure (Secure Boot, on a q35), none, or the FILE of a firmware image"},
	[O_EFI_VARS]   = {"efi-vars", 0, "FILE", "where EFI variables are kept; made if it isn't there. Default: beside a disk that is written to, else they are gone at the end"},
	[O_BOOT]       = {"boot", 0, "ORDER", "what to start from: floppy, cdrom, disk, net, in that order; and menu, to ask"},
	[O_FIRMWARE_LOG] = {"firmware-log", 0, "WHERE", "the firmware's own messages (port 0x402)"},
	[O_DISK]       = {"disk", 0, "FILE[,ro][,overlay][,unsafe][,if=KIND]", "raw disk image, written to unless ro or overlay; if=virtio (default), ahci, ide, nvme, scsi or usb; may be repeated"},
	[O_CDROM]      = {"cdrom", 0, "FILE[,if=KIND]", "image as the disc of a CD drive, or none; if=ide (default), ahci or scsi"},
	[O_FLOPPY]     = {"floppy", 0, "FILE[,ro]", "image of a diskette, 160K to 2.88M, or none; may be repeated once"},
	[O_IN_PLACE]   = {"in-place", 0, NULL, "let the guest write to the FILEs themselves; otherwise its changes are gone at the end"},
	[O_MEMORY]     = {"memory", 'm', "SIZE", "guest memory, e.g. 512M or 2G; default a quarter of the free, at most 2G"},
	[O_CPUS]       = {"cpus", 'c', "N", "number of processors; default 1"},
	[O_NET]        = {"net", 0, "KIND", "nat (default; nat,host: may reach this host's loopback; nat,tftp=DIR,bootfile=NAME: network boot), none, tap:INTERFACE, stream:SOCKET; then perhaps ,model=CARD: virtio (default), e1000, rtl8139, rtl8139c, ne2k_pci, ne2k_isa (with ,io=0x300 and ,irq=9)"},
	[O_PUBLISH]    = {"publish", 'p', "[ADDR:]HOST:GUEST[/udp]", "forward a host port (127.0.0.1) to the guest; nat only"},
	[O_MACHINE]    = {"machine", 0, "KIND", "pc (default), q35 or microvm"},
	[O_ENGINE]     = {"engine", 0, "NAME", "auto (default: the fastest usable), or one that 'bothy doctor' lists"},
	[O_ENGINE_MEMORY] = {"engine-memory", 0, "SIZE", "memory for decoded and translated code of all processors; default by guest memory and at most 768M"},
	[O_CPU]        = {"cpu", 0, "MODEL", "CPU model the guest sees; default max"},
	[O_SERIAL]     = {"serial", 0, "WHERE", "first serial port: stdio (default), file:PATH, pty, unix:PATH, null; again: second"},
	[O_CONSOLE]    = {"console", 0, "WHERE", "virtio console, likewise; may be repeated"},
	[O_DEBUGCON]   = {"debugcon", 0, "WHERE", "bytes written to port 0xe9"},
	[O_DEBUG_EXIT] = {"debug-exit", 0, NULL, "a write of V to port 0xf4 ends bothy with status V*2+1"},
	[O_TESTDEV]    = {"testdev", 0, NULL, "device for test kernels (IRQ and memory probes)"},
	[O_NO_REBOOT]  = {"no-reboot", 0, NULL, "end where the guest would restart"},
	[O_DISPLAY]    = {"display", 0, "WHERE", "the screen: sdl or sdl,full-screen (a window here), vnc:127.0.0.1:PORT or vnc:unix:PATH (VNC clients and browsers), then perhaps ,password-file=PATH; none (default)"},
	[O_GPU]        = {"gpu", 0, "KIND", "graphics adapter: vga (default on a pc), virtio, none"},
	[O_USB]        = {"usb", 0, "[xhci|ehci|uhci]", "a pc with a USB keyboard and tablet, on that controller (default uhci; xhci for disks with if=usb)"},
	[O_SOUND]      = {"sound", 0, "CARD", "sound card of a pc: hda (default with --audio), ac97, sb16, none"},
	[O_AUDIO]      = {"audio", 0, "WHERE", "where sound goes: none (default), wav:PATH, alsa, alsa:DEVICE; and where recordings come from: ,in=wav:PATH, ,in=alsa, ,in=alsa:DEVICE"},
	[O_MIDI]       = {"midi", 0, "WHERE", "MIDI port of an sb16: unix:PATH, file:PATH, pty"},
	[O_TPM]        = {"tpm", 0, "[tis|crb]", "a TPM 2.0 (swtpm's), with the FIFO (default) or the CRB interface"},
	[O_TPM_STATE]  = {"tpm-state", 0, "WHERE", "folder of the TPM's state, made if it isn't there; or unix:SOCKET, the control socket of an swtpm that runs. Default: beside a disk that is written to, else it is gone at the end"},
	[O_NAME]       = {"name", 0, "NAME", "name of the VM: other bothy commands reach it by this"},
	[O_DETERMINISTIC] = {"deterministic", 0, NULL, "runs that can be repeated to the bit: time counts instructions; one processor, no network"},
	[O_RECORD]     = {"record", 0, "FILE", "with --deterministic: write inputs (keys, power button) there"},
	[O_REPLAY]     = {"replay", 0, "FILE", "with --deterministic: take inputs from there"},
	[O_GDB]        = {"gdb", 0, "WHERE[,wait]", "listen for gdb on unix:PATH or tcp:127.0.0.1:PORT; wait: stop at the first instruction"},
	[O_DEBUG]      = {"debug", 'd', "MASKS", "trace in_asm, exec, int, mmu, io, guest_errors to stderr"},
	[O_STATS]      = {"stats", 0, NULL, "print counters at the end"},
	[O_VERBOSE]    = {"verbose", 'v', NULL, "say more; twice: much more"},
	[O_HELP]       = {"help", 'h', NULL, "this text"},
	[O_COUNT]      = {0},
};
/* clang-format on */

static int run_main(int argc, char **argv);
int run_execute(struct run_config *rc); /* run.c */

const struct cli_command cli_run = {
	.name = "run",
	.summary = "Start a virtual machine and stay with it until it ends.",
	.usage = "[FILE...] [options]",
	.options = options,
	.run = run_main,
};

static char *own(struct run_config *rc, char *s)
{
	check(rc->n_owned < ARRAY_SIZE(rc->owned));
	rc->owned[rc->n_owned++] = s;
	return s;
}

void run_config_done(struct run_config *rc)
{
	while (rc->n_fds)
		close(rc->fd[--rc->n_fds]);
	while (rc->n_owned)
		free(rc->owned[--rc->n_owned]);
}

static int bad_word(const char *what, const char *value, const char *const *names)
{
	const char *close = cli_closest(value, names);
	char list[200] = "";

	for (; *names; names++) {
		size_t n = strlen(list);

		snprintf(list + n, sizeof(list) - n, "%s%s", n ? ", " : "", *names);
	}
	return cli_die(EXIT_USAGE, "unknown %s '%s'%s%s%s; there is: %s", what, value,
		       close ? "; did you mean '" : "", close ? close : "", close ? "'?" : "",
		       list);
}

/* "if=WORD": what a disk or CD drive is to the guest. 0 or an exit status. */
static int set_disk_bus(const char *word, enum machine_disk_kind *kind)
{
	static const struct {
		const char *word;
		enum machine_disk_kind disk, cdrom;
	} buses[] = {
		{"virtio", MACHINE_DISK_VIRTIO, MACHINE_DISK_KIND_COUNT},
		{"ahci", MACHINE_DISK_AHCI, MACHINE_DISK_AHCI_CDROM},
		{"ide", MACHINE_DISK_IDE, MACHINE_DISK_CDROM},
		{"nvme", MACHINE_DISK_NVME, MACHINE_DISK_KIND_COUNT},
		{"scsi", MACHINE_DISK_SCSI, MACHINE_DISK_SCSI_CDROM},
		{"usb", MACHINE_DISK_USB, MACHINE_DISK_KIND_COUNT},
	};
	const char *names[ARRAY_SIZE(buses) + 1];
	bool cdrom = machine_disk_is_cdrom(*kind);
	unsigned n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(buses); i++) {
		enum machine_disk_kind k = cdrom ? buses[i].cdrom : buses[i].disk;

		if (k == MACHINE_DISK_KIND_COUNT)
			continue;
		names[n++] = buses[i].word;
		if (strcmp(word, buses[i].word))
			continue;
		*kind = k;
		return 0;
	}
	names[n] = NULL;
	return bad_word(cdrom ? "kind of CD drive" : "kind of disk", word, names);
}

/* One option behind the path: true; an error is noted in @ret_status. */
static bool disk_option(const char *word, struct vm_disk *d, int *ret_status)
{
	bool cdrom = machine_disk_is_cdrom(d->kind), floppy = d->kind == MACHINE_DISK_FLOPPY;

	if (!floppy && !strncmp(word, "if=", 3))
		*ret_status = set_disk_bus(word + 3, &d->kind);
	else if (cdrom) /* a disc has no other options */
		return false;
	else if (!strcmp(word, "ro"))
		d->read_only = true;
	else if (!strcmp(word, "unsafe"))
		d->unsafe = true;
	else if (!strcmp(word, "overlay"))
		d->overlay = true;
	else
		return false;
	return true;
}

static int add_disk(struct run_config *rc, const char *value, enum machine_disk_kind kind)
{
	bool cdrom = kind == MACHINE_DISK_CDROM, floppy = kind == MACHINE_DISK_FLOPPY;
	struct vm_disk d = {.read_only = cdrom, .kind = kind};
	char *path;
	int r = 0;

	if (rc->vm.n_disks == MACHINE_DISKS_MAX)
		return cli_die(EXIT_USAGE, "too many disks: at most %u", MACHINE_DISKS_MAX);
	path = own(rc, xstrdup(value));
	/* Options are taken from the end, so that a path may have commas. */
	for (char *comma; (comma = strrchr(path, ',')) && disk_option(comma + 1, &d, &r);) {
		if (r)
			return r;
		*comma = 0;
	}
	if (!*path)
		return cli_die(EXIT_USAGE, "--%s needs the path of an image",
			       cdrom    ? "cdrom"
			       : floppy ? "floppy"
					: "disk");
	/* An empty drive; a file of that name is ./none. */
	d.path = (machine_disk_is_cdrom(d.kind) || floppy) && !strcmp(path, "none") ? NULL : path;
	rc->vm.disk[rc->vm.n_disks++] = d;
	return 0;
}

static int add_module(struct run_config *rc, const char *value)
{
	char *path = own(rc, xstrdup(value)), *comma = strchr(path, ',');
	struct vm_module m = {.path = path};

	if (rc->vm.n_modules == BOOT_MODULES_MAX)
		return cli_die(EXIT_USAGE, "too many modules: at most %u", BOOT_MODULES_MAX);
	if (comma) {
		*comma = 0;
		m.args = comma + 1;
	}
	if (!*path)
		return cli_die(EXIT_USAGE, "--module needs the path of a file");
	rc->vm.module[rc->vm.n_modules++] = m;
	return 0;
}

static int bad_forward(const char *value)
{
	return cli_die(EXIT_USAGE,
		       "cannot read port forward '%s'; write HOST:GUEST, e.g. 2222:22, 5353:53/udp "
		       "or 127.0.0.1:8080:80",
		       value);
}

static int add_forward(struct run_config *rc, const char *value)
{
	struct net_forward f = {.host_addr = "127.0.0.1"};
	char buf[64], *host, *guest, *slash;
	struct in_addr addr;
	uint64_t port;

	if (rc->vm.n_forwards == ARRAY_SIZE(rc->vm.forward))
		return cli_die(EXIT_USAGE, "too many port forwards: at most %zu",
			       ARRAY_SIZE(rc->vm.forward));
	if ((size_t)snprintf(buf, sizeof(buf), "%s", value) >= sizeof(buf))
		return bad_forward(value);
	slash = strchr(buf, '/');
	if (slash) {
		*slash = 0;
		f.udp = !strcmp(slash + 1, "udp");
		if (!f.udp && strcmp(slash + 1, "tcp"))
			return bad_forward(value);
	}
	guest = strrchr(buf, ':');
	if (!guest)
		return bad_forward(value);
	*guest++ = 0;
	host = strrchr(buf, ':');
	if (host) {
		*host++ = 0;
		if (inet_pton(AF_INET, buf, &addr) != 1)
			return bad_forward(value);
		snprintf(f.host_addr, sizeof(f.host_addr), "%.15s", buf);
	} else {
		host = buf;
	}
	if (cli_parse_uint(host, 1, 65535, &port) < 0)
		return bad_forward(value);
	f.host_port = (uint16_t)port;
	if (cli_parse_uint(guest, 1, 65535, &port) < 0)
		return bad_forward(value);
	f.guest_port = (uint16_t)port;
	rc->vm.forward[rc->vm.n_forwards++] = f;
	return 0;
}

static int set_machine(struct run_config *rc, const char *value)
{
	const char *names[MACHINE_KIND_COUNT + 1] = {0};

	for (unsigned i = 0; i < MACHINE_KIND_COUNT; i++) {
		names[i] = machine_kind_name((enum machine_kind)i);
		if (!strcmp(names[i], value)) {
			rc->vm.machine = (enum machine_kind)i;
			rc->machine_given = true;
			return 0;
		}
	}
	return bad_word("machine", value, names);
}

static int set_masks(struct run_config *rc, const char *value)
{
	static const struct {
		const char *name;
		uint32_t mask;
	} masks[] = {
		{"in_asm", TRACE_IN_ASM},
		{"int", TRACE_INT},
		{"mmu", TRACE_MMU},
		{"io", TRACE_IO},
		{"guest_errors", TRACE_GUEST_ERRORS},
		{"exec", TRACE_EXEC},
	};
	const char *names[ARRAY_SIZE(masks) + 1] = {0};
	char *copy = own(rc, xstrdup(value)), *save = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(masks); i++)
		names[i] = masks[i].name;
	for (char *w = strtok_r(copy, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		size_t i = 0;

		while (i < ARRAY_SIZE(masks) && strcmp(masks[i].name, w))
			i++;
		if (i == ARRAY_SIZE(masks))
			return bad_word("trace mask", w, names);
		rc->vm.trace |= masks[i].mask;
	}
	return 0;
}

static bool chr_spec_ok(const char *s)
{
	return !strcmp(s, "stdio") || !strcmp(s, "null") || !strcmp(s, "pty") ||
	       (!strncmp(s, "file:", 5) && s[5]) || (!strncmp(s, "unix:", 5) && s[5]);
}

static int check_chr(const char *option, const char *value)
{
	if (chr_spec_ok(value))
		return 0;
	return cli_die(EXIT_USAGE,
		       "--%s: unknown place '%s'; use stdio, file:PATH, pty, unix:PATH or null",
		       option, value);
}

static int add_serial(struct run_config *rc, const char *value)
{
	unsigned i = 0;
	int r = check_chr("serial", value);

	while (i < MACHINE_SERIALS && rc->vm.serial[i])
		i++;
	if (r == 0 && i == MACHINE_SERIALS)
		return cli_die(EXIT_USAGE, "too many --serial: the machine has %u ports",
			       MACHINE_SERIALS);
	if (r == 0)
		rc->vm.serial[i] = value;
	return r;
}

static int add_console(struct run_config *rc, const char *value)
{
	int r = check_chr("console", value);

	if (r == 0 && rc->vm.n_consoles == MACHINE_CONSOLES_MAX)
		return cli_die(EXIT_USAGE, "too many --console: at most %u", MACHINE_CONSOLES_MAX);
	if (r == 0)
		rc->vm.console[rc->vm.n_consoles++] = value;
	return r;
}

static int set_nic(struct run_config *rc, const char *name)
{
	const char *names[MACHINE_NIC_COUNT + 1] = {0};

	for (unsigned i = 0; i < MACHINE_NIC_COUNT; i++) {
		names[i] = machine_nic_name((enum machine_nic_model)i);
		if (!strcmp(names[i], name)) {
			rc->vm.nic = (enum machine_nic_model)i;
			return 0;
		}
	}
	return bad_word("network card", name, names);
}

/* "io=0x300" or "irq=5": of an ISA card. */
static int set_nic_place(struct run_config *rc, const char *value)
{
	bool io = value[1] == 'o';
	unsigned long v;
	char *end;

	v = strtoul(value + (io ? 3 : 4), &end, 0);
	if (!*end && io && v >= 0x100 && v <= 0x3e0 && v % 32 == 0)
		rc->vm.nic_io = (uint16_t)v;
	else if (!*end && !io && v >= 2 && v <= 15)
		rc->vm.nic_irq = (uint8_t)v;
	else
		return cli_die(EXIT_USAGE,
			       "network card at '%s': use io=0x100 to io=0x3e0 in steps of 0x20, "
			       "irq=2 to irq=15",
			       value);
	return 0;
}

static int set_net(struct run_config *rc, const char *value)
{
	static const char *const names[] = {"nat", "none", "tap:INTERFACE", "stream:SOCKET", NULL};
	char *kind = own(rc, xstrdup(value));
	int r = 0;

	/* Options are taken from the end, so that a path may have commas. */
	rc->vm.net_host = false;
	for (char *comma; r == 0 && (comma = strrchr(kind, ','));) {
		if (!strncmp(comma, ",model=", 7))
			r = set_nic(rc, comma + 7);
		else if (!strncmp(comma, ",io=", 4) || !strncmp(comma, ",irq=", 5))
			r = set_nic_place(rc, comma + 1);
		else if (!strncmp(comma, ",tftp=", 6) && comma[6])
			rc->vm.tftp = comma + 6;
		else if (!strncmp(comma, ",bootfile=", 10) && comma[10])
			rc->vm.bootfile = comma + 10;
		else if (!strcmp(comma, ",host"))
			rc->vm.net_host = true;
		else
			break;
		*comma = 0;
	}
	if (r)
		return r;
	rc->vm.net = strcmp(kind, "user") ? kind : "nat"; /* as others call it */
	if (!strcmp(rc->vm.net, "nat"))
		return 0;
	if (!rc->vm.net_host && !rc->vm.tftp && !rc->vm.bootfile &&
	    (!strcmp(kind, "none") || (!strncmp(kind, "tap:", 4) && kind[4]) ||
	     (!strncmp(kind, "stream:", 7) && kind[7])))
		return 0;
	return bad_word("network", value, names);
}

static int set_number(struct run_config *rc, int option, const char *value)
{
	uint64_t v;

	if (option == O_MEMORY) {
		if (cli_parse_size(value, &v) < 0 || v < MACHINE_RAM_MIN || v > MACHINE_RAM_MAX)
			return cli_die(EXIT_USAGE,
				       "memory size '%s': write e.g. 512M or 2G, from 1M to %lluG",
				       value, (unsigned long long)(MACHINE_RAM_MAX / GIB));
		rc->vm.ram_size = align_up(v, MIB);
		return 0;
	}
	if (option == O_ENGINE_MEMORY) {
		if (cli_parse_size(value, &v) < 0 || v < ENGINE_MEMORY_LEAST || v > MACHINE_RAM_MAX)
			return cli_die(EXIT_USAGE,
				       "engine memory '%s': write e.g. 256M, at least %lluM for "
				       "each processor",
				       value, ENGINE_MEMORY_LEAST / MIB);
		rc->vm.engine_memory = align_up(v, MIB);
		return 0;
	}
	if (cli_parse_uint(value, 1, MACHINE_CPUS_MAX, &v) < 0)
		return cli_die(EXIT_USAGE, "number of CPUs '%s': use 1 to %u", value,
			       MACHINE_CPUS_MAX);
	rc->vm.n_cpus = (unsigned)v;
	return 0;
}

/* "disk,net,menu" to the letters machine_firmware.boot_order has. */
static int set_boot(struct run_config *rc, const char *value)
{
	static const char *const names[] = {"floppy", "disk", "cdrom", "net", "menu", NULL};
	static const char letters[] = "acdn";
	char *copy = own(rc, xstrdup(value)), *save = NULL, *order = own(rc, xnew_n(char, 8));
	size_t n = 0;

	for (char *w = strtok_r(copy, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		unsigned i = 0;

		while (names[i] && strcmp(names[i], w))
			i++;
		if (!names[i])
			return bad_word("boot device", w, names);
		if (i == 4)
			rc->vm.boot_menu = true;
		else if (!memchr(order, letters[i], n))
			order[n++] = letters[i];
	}
	if (n)
		rc->vm.boot_order = order;
	return 0;
}

static int set_gdb(struct run_config *rc, const char *value)
{
	char *where = own(rc, xstrdup(value)), *comma = strrchr(where, ',');

	if (comma && !strcmp(comma, ",wait")) {
		*comma = 0;
		rc->gdb_wait = true;
	}
	rc->gdb = where;
	if ((!strncmp(where, "unix:", 5) && where[5]) || (!strncmp(where, "tcp:", 4) && where[4]))
		return 0;
	return cli_die(EXIT_USAGE, "--gdb: unknown place '%s'; use unix:PATH or tcp:127.0.0.1:PORT",
		       where);
}

static int set_sound(struct run_config *rc, const char *value)
{
	const char *names[MACHINE_SOUND_COUNT + 1] = {0};

	for (unsigned i = 0; i < MACHINE_SOUND_COUNT; i++) {
		names[i] = machine_sound_name((enum machine_sound)i);
		if (!strcmp(names[i], value)) {
			rc->vm.sound = (enum machine_sound)i;
			rc->sound_given = true;
			return 0;
		}
	}
	return bad_word("sound card", value, names);
}

static int set_audio(struct run_config *rc, const char *value)
{
	rc->vm.audio = value;
	if (audio_spec_ok(value))
		return 0;
	return cli_die(EXIT_USAGE,
		       "--audio: unknown place '%s'; use none, wav:PATH, alsa or alsa:DEVICE, and "
		       "perhaps ,in=wav:PATH or ,in=alsa",
		       value);
}

/* Who wants to hear something has a card, unless none was asked for. */
static int settle_sound(struct run_config *rc)
{
	struct vm_config *c = &rc->vm;

	if (c->machine == MACHINE_MICROVM && c->sound != MACHINE_SOUND_NONE)
		return cli_die(EXIT_USAGE, "a microvm has no sound card: use --machine pc");
	if (c->midi && c->sound != MACHINE_SOUND_SB16)
		return cli_die(EXIT_USAGE,
			       "--midi is the port of a Sound Blaster: add --sound sb16");
	if (!rc->sound_given && machine_is_pc(c->machine) && c->audio && strcmp(c->audio, "none"))
		c->sound = MACHINE_SOUND_HDA;
	return 0;
}

static int set_tpm_state(struct run_config *rc, const char *value)
{
	rc->vm.tpm = true;
	rc->vm.tpm_at = value;
	if (tpm_spec_ok(value))
		return 0;
	return cli_die(EXIT_USAGE, "--tpm-state: unknown place '%s'; use a folder or unix:SOCKET",
		       value);
}

static int set_display(struct run_config *rc, const char *value)
{
	rc->vm.display = value;
	if (!strcmp(value, "none") || !strcmp(value, "sdl") || !strcmp(value, "sdl,full-screen") ||
	    (!strncmp(value, "vnc:", 4) && value[4]))
		return 0;
	return cli_die(
		EXIT_USAGE,
		"--display: unknown place '%s'; use sdl, vnc:127.0.0.1:5901, vnc:unix:PATH or "
		"none",
		value);
}

static int set_gpu(struct run_config *rc, const char *value)
{
	static const char *const names[] = {"vga", "virtio", "none", NULL};

	rc->vm.no_vga = strcmp(value, "vga") != 0;
	rc->vm.virtio_gpu = !strcmp(value, "virtio");
	if (!rc->vm.no_vga || rc->vm.virtio_gpu || !strcmp(value, "none"))
		return 0;
	return bad_word("graphics adapter", value, names);
}

/* Without a controller's name it is settled at the end. */
static int set_usb(struct run_config *rc, const char *value)
{
	rc->vm.usb_hid = true;
	for (unsigned i = MACHINE_USB_NONE + 1; value && i < MACHINE_USB_COUNT; i++)
		if (!strcmp(value, machine_usb_name((enum machine_usb)i)))
			rc->vm.usb = (enum machine_usb)i;
	return 0;
}

static int settle_usb(struct vm_config *c)
{
	bool disks = false;

	for (unsigned i = 0; i < c->n_disks; i++)
		disks = disks || c->disk[i].kind == MACHINE_DISK_USB;
	if (disks && c->usb == MACHINE_USB_UHCI)
		return cli_die(EXIT_USAGE, "USB disks need --usb xhci or ehci");
	if (c->usb == MACHINE_USB_NONE && (disks || c->usb_hid))
		c->usb = disks ? MACHINE_USB_XHCI : MACHINE_USB_UHCI;
	return 0;
}

static int set_engine(struct run_config *rc, const char *value)
{
	const char *names[16] = {"auto"};

	rc->vm.engine = value;
	if (engine_known(value))
		return 0;
	for (unsigned i = 0; engine_list()[i] && i + 2 < ARRAY_SIZE(names); i++)
		names[i + 1] = engine_list()[i]->name;
	return bad_word("engine", value, names);
}

static int set_cpu(struct run_config *rc, const char *value)
{
	rc->vm.cpu = value;
	for (const char *const *name = cpu_model_names(); *name; name++)
		if (!strcmp(*name, value))
			return 0;
	return bad_word("CPU model", value, cpu_model_names());
}

static int set_flag(struct run_config *rc, int option)
{
	switch (option) {
	case O_DEBUG_EXIT: rc->vm.debug_exit = true; break;
	case O_TESTDEV: rc->vm.testdev = true; break;
	case O_NO_REBOOT: rc->vm.no_reboot = true; break;
	case O_DETERMINISTIC: rc->vm.deterministic = true; break;
	case O_STATS: rc->stats = true; break;
	case O_VERBOSE: rc->verbose++; break;
	case O_HELP: rc->help = true; break;
	}
	return 0;
}

static int set_option(struct run_config *rc, int option, const char *value)
{
	switch (option) {
	case O_KERNEL: rc->vm.kernel = value; return 0;
	case O_INITRD: rc->vm.initrd = value; return 0;
	case O_APPEND: rc->vm.append = value; return 0;
	case O_MODULE: return add_module(rc, value);
	case O_USB: return set_usb(rc, value);
	case O_DISK: return add_disk(rc, value, MACHINE_DISK_VIRTIO);
	case O_CDROM: return add_disk(rc, value, MACHINE_DISK_CDROM);
	case O_FLOPPY: return add_disk(rc, value, MACHINE_DISK_FLOPPY);
	case O_MEMORY:
	case O_ENGINE_MEMORY:
	case O_CPUS: return set_number(rc, option, value);
	case O_NET: return set_net(rc, value);
	case O_PUBLISH: return add_forward(rc, value);
	case O_MACHINE: return set_machine(rc, value);
	case O_ENGINE: return set_engine(rc, value);
	case O_CPU: return set_cpu(rc, value);
	case O_SERIAL: return add_serial(rc, value);
	case O_CONSOLE: return add_console(rc, value);
	case O_DEBUGCON: rc->vm.debugcon = value; return check_chr("debugcon", value);
	case O_FIRMWARE: rc->firmware = value; return 0;
	case O_EFI_VARS: rc->vm.efi_vars = value; return 0;
	case O_BOOT: return set_boot(rc, value);
	case O_FIRMWARE_LOG: rc->vm.firmware_log = value; return check_chr("firmware-log", value);
	case O_NAME: rc->name = rc->vm.name = value; return 0;
	case O_DISPLAY: return set_display(rc, value);
	case O_RECORD: rc->vm.record = value; return 0;
	case O_REPLAY: rc->vm.replay = value; return 0;
	case O_GPU: return set_gpu(rc, value);
	case O_SOUND: return set_sound(rc, value);
	case O_AUDIO: return set_audio(rc, value);
	case O_MIDI: rc->vm.midi = value; return check_chr("midi", value);
	case O_TPM:
		rc->vm.tpm = true;
		rc->vm.tpm_crb = value && !strcmp(value, "crb");
		return 0;
	case O_TPM_STATE: return set_tpm_state(rc, value);
	case O_GDB: return set_gdb(rc, value);
	case O_DEBUG: return set_masks(rc, value);
	case O_IN_PLACE: rc->in_place = true; return 0;
	default: return set_flag(rc, option);
	}
}

static unsigned count_stdio(const struct vm_config *c)
{
	unsigned n = c->debugcon && !strcmp(c->debugcon, "stdio");

	n += c->firmware_log && !strcmp(c->firmware_log, "stdio");
	n += c->midi && !strcmp(c->midi, "stdio");

	for (unsigned i = 0; i < MACHINE_SERIALS; i++)
		n += c->serial[i] && !strcmp(c->serial[i], "stdio");
	for (unsigned i = 0; i < c->n_consoles; i++)
		n += !strcmp(c->console[i], "stdio");
	return n;
}

static uint64_t default_memory(void)
{
	uint64_t quarter = host_mem_available() / 4;

	return align_down(MAX(MIN(quarter, 2 * GIB), 128 * MIB), MIB);
}

/* A disk that keeps what is written to it; NULL: there is none. */
static const char *kept_disk(const struct vm_config *c)
{
	for (unsigned i = 0; i < c->n_disks; i++) {
		const struct vm_disk *d = &c->disk[i];

		if (d->path && !d->read_only && !d->overlay && d->kind != MACHINE_DISK_FLOPPY &&
		    strncmp(d->path, "/dev/", 5) && strncmp(d->path, "/proc/", 6))
			return d->path;
	}
	return NULL;
}

/* The guest's changes of EFI variables, such as what an installer wants started, belong to the disk
 * they are made on, and so do the keys a TPM has for it: a disk that keeps what is written to it
 * has them in a file, and in a folder, beside it. */
static void default_efi_vars(struct run_config *rc)
{
	const char *disk = kept_disk(&rc->vm);

	if (!disk)
		return;
	rc->vm.efi_vars = own(rc, xasprintf("%s.efi-vars", disk));
	cli_die(0, "EFI variables are kept in %s", rc->vm.efi_vars);
}

static int settle_tpm(struct run_config *rc)
{
	const char *disk = kept_disk(&rc->vm);

	if (!rc->vm.tpm)
		return 0;
	if (rc->vm.deterministic)
		return cli_die(EXIT_USAGE,
			       "--deterministic: a TPM has random numbers; leave --tpm out");
	if (rc->vm.tpm_at || !disk)
		return 0;
	rc->vm.tpm_at = own(rc, xasprintf("%s.tpm", disk));
	cli_die(0, "the TPM's state is kept in %s", rc->vm.tpm_at);
	return 0;
}

/* A kernel needs no firmware, everything else does. */
static int settle_firmware(struct run_config *rc)
{
	struct vm_config *c = &rc->vm;
	const char *fw = rc->firmware ? rc->firmware : "auto";

	if (!strcmp(fw, "auto"))
		c->firmware = c->kernel ? NULL : rc->needs_efi ? "efi" : "bios";
	else if (strcmp(fw, "none"))
		c->firmware = fw;
	if (c->kernel && c->firmware)
		return cli_die(EXIT_USAGE,
			       "--kernel starts a kernel directly; leave --firmware out, "
			       "or --kernel");
	/* a firmware that was asked for is something to start: its menu, set-up or shell */
	if (!c->kernel && !c->n_disks && !strcmp(fw, "auto") &&
	    !(c->boot_order && strchr(c->boot_order, 'n')))
		return cli_die(EXIT_USAGE,
			       "nothing to start: name the FILE of a disk, CD or diskette image, "
			       "or a kernel with --kernel FILE");
	if (!c->kernel && !c->firmware)
		return cli_die(EXIT_USAGE, "nothing to start: --firmware none needs --kernel FILE");
	if (c->firmware && !strcmp(c->firmware, "efi-secure") && !rc->machine_given)
		c->machine = MACHINE_Q35;
	if (c->firmware && !machine_is_pc(c->machine))
		return cli_die(EXIT_USAGE,
			       "a %s has no firmware: give a kernel with --kernel FILE, "
			       "or use --machine pc",
			       machine_kind_name(c->machine));
	if (c->firmware && (!strcmp(c->firmware, "efi") || !strcmp(c->firmware, "efi-secure")) &&
	    !c->efi_vars)
		default_efi_vars(rc);
	if (c->efi_vars && (!c->firmware || !strcmp(c->firmware, "bios")))
		return cli_die(EXIT_USAGE, "--efi-vars is for EFI firmware: add --firmware efi");
	return 0;
}

static int add_file_disk(struct run_config *rc, const char *path, const struct image *img)
{
	static const enum machine_disk_kind kinds[] = {[IMAGE_CDROM] = MACHINE_DISK_CDROM,
						       [IMAGE_FLOPPY] = MACHINE_DISK_FLOPPY,
						       [IMAGE_DISK] = MACHINE_DISK_IDE};
	bool cdrom = img->role == IMAGE_CDROM, own_copy = img->fd >= 0;

	if (rc->vm.n_disks == MACHINE_DISKS_MAX)
		return cli_die(EXIT_USAGE, "too many disks: at most %u", MACHINE_DISKS_MAX);
	if (rc->in_place && own_copy)
		return cli_die(EXIT_USAGE,
			       "'%s' is packed: unpack it first, or leave --in-place out", path);
	rc->vm.disk[rc->vm.n_disks++] =
		(struct vm_disk){.path = path,
				 .read_only = cdrom,
				 .overlay = !cdrom && !rc->in_place && !own_copy,
				 .unsafe = own_copy,
				 .kind = kinds[img->role]};
	return 0;
}

/* Operands: the contents decide what each one is. */
static int add_file(struct run_config *rc, const char *file)
{
	struct error err = {0};
	struct image img;
	const char *path = file;
	int r = image_detect(file, &img, &err);

	if (r < 0)
		return cli_die(EXIT_HOST, "%s", err.text);
	if (img.fd >= 0) {
		rc->fd[rc->n_fds++] = img.fd;
		path = own(rc, xstrdup(img.path));
	}
	cli_die(0, "%s: %s%s", file, img.what,
		img.role == IMAGE_KERNEL || img.role == IMAGE_CDROM ? ""
		: rc->in_place
			? "; the guest writes to it"
			: "; what the guest writes is gone at the end (--in-place keeps it)");
	rc->needs_efi = rc->needs_efi || img.efi;
	if (img.role != IMAGE_KERNEL)
		return add_file_disk(rc, path, &img);
	if (rc->vm.kernel)
		return cli_die(EXIT_USAGE, "'%s' is a second kernel; one can be started", file);
	rc->vm.kernel = path;
	return 0;
}

static int add_files(struct run_config *rc)
{
	int r = 0;

	for (unsigned i = 0; i < rc->n_files && r == 0; i++)
		r = add_file(rc, rc->file[i]);
	return r;
}

/* What the options mean together. */
static int settle(struct run_config *rc)
{
	struct vm_config *c = &rc->vm;
	bool nat;

	if (settle_firmware(rc) || settle_sound(rc))
		return EXIT_USAGE;
	if (!c->n_cpus)
		c->n_cpus = 1;
	if (!c->ram_size)
		c->ram_size = c->deterministic ? 512 * MIB : default_memory();
	if (!c->engine)
		c->engine = "auto";
	if (c->engine_memory && c->engine_memory < c->n_cpus * ENGINE_MEMORY_LEAST)
		return cli_die(EXIT_USAGE,
			       "--engine-memory %lluM is too little for %u processors: %lluM at "
			       "least, or fewer (-c)",
			       (unsigned long long)(c->engine_memory / MIB), c->n_cpus,
			       (unsigned long long)(c->n_cpus * ENGINE_MEMORY_LEAST / MIB));
	if ((c->record || c->replay) && !c->deterministic)
		return cli_die(EXIT_USAGE, "--record and --replay need --deterministic");
	if (settle_usb(c) || settle_tpm(rc))
		return EXIT_USAGE;
	if ((c->nic_io || c->nic_irq) && c->nic != MACHINE_NIC_NE2K_ISA)
		return cli_die(EXIT_USAGE, "io= and irq= are for --net ...,model=ne2k_isa");
	if (c->nic != MACHINE_NIC_VIRTIO && !machine_is_pc(c->machine))
		return cli_die(EXIT_USAGE, "a %s has a virtio network card only; use --machine pc",
			       machine_kind_name(c->machine));
	nat = !c->net || !strcmp(c->net, "nat");
	if (c->n_forwards && !nat)
		return cli_die(EXIT_USAGE, "-p needs --net nat; '%s' has its own addresses",
			       c->net);
	if (!c->net)
		c->net = c->deterministic ? "none" : "nat";
	if (!c->serial[0] && !count_stdio(c))
		c->serial[0] = "stdio";
	c->firmware_text = c->firmware && c->serial[0];
	if (count_stdio(c) > 1)
		return cli_die(EXIT_USAGE, "only one of --serial, --console and --debugcon can use "
					   "stdio; give the others file:, pty or unix:");
	return 0;
}

static int add_operand(struct run_config *rc, const char *file)
{
	if (rc->n_files == ARRAY_SIZE(rc->file))
		return cli_die(EXIT_USAGE, "too many files: at most %zu", ARRAY_SIZE(rc->file));
	rc->file[rc->n_files++] = file;
	return 0;
}

int run_parse(struct run_config *rc, int argc, char **argv)
{
	struct cli_args a = {.cmd = &cli_run, .argc = argc, .argv = argv, .at = 1};
	int r;

	for (;;) {
		int o = cli_next(&a);

		if (o == CLI_END)
			break;
		if (o == CLI_BAD)
			return EXIT_USAGE;
		if (o == CLI_OPERAND)
			r = add_operand(rc, a.value);
		else
			r = set_option(rc, o, a.value);
		if (r)
			return r;
		if (rc->help)
			return 0;
	}
	r = add_files(rc);
	return r ? r : settle(rc);
}

static int run_main(int argc, char **argv)
{
	struct run_config *rc = xnew(struct run_config);
	int r = run_parse(rc, argc, argv);

	if (r == 0 && rc->help)
		cli_help(&cli_run);
	else if (r == 0)
		r = run_execute(rc);
	run_config_done(rc);
	free(rc);
	return r;
}

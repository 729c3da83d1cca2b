/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all machines have in common (machine.h): RAM and its map, life cycle, state, ACPI tables and
 * direct boot.
 */
#include "machine/machine.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/acpi/acpi_pm.h"
#include "device/video/vga.h"
#include "host/meminfo.h"
#include "machine/parts.h"

#define EBDA     0x9fc00u /* end of conventional memory in the map */
#define ACPI_AT  0xe0000u
#define ACPI_MAX 0x20000u

/* What the map must be the same for, saved in front of the devices. */
struct machine_layout {
	uint64_t ram_size;
	uint32_t kind, n_cpus;
};
static const struct state_field layout_fields[] = {
	STATE_VAL(struct machine_layout, ram_size), STATE_VAL(struct machine_layout, kind),
	STATE_VAL(struct machine_layout, n_cpus), STATE_END};
static const struct state_desc layout_state =
	STATE_DESC("machine", 1, struct machine_layout, layout_fields);

static const struct {
	const char *name;
	int (*build)(struct machine *m, struct error *err);
	int (*firmware)(struct machine *m, struct error *err);
} kinds[MACHINE_KIND_COUNT] = {
	[MACHINE_PC] = {"pc", pc_build, pc_firmware},
	[MACHINE_MICROVM] = {"microvm", microvm_build, NULL},
	[MACHINE_Q35] = {"q35", q35_build, q35_firmware},
};

const char *machine_kind_name(enum machine_kind kind)
{
	return kind < MACHINE_KIND_COUNT ? kinds[kind].name : "?";
}

static int check_config(const struct machine_config *cfg, struct error *err)
{
	uint64_t available = host_mem_available();

	if (cfg->ram_size < MACHINE_RAM_MIN || cfg->ram_size > MACHINE_RAM_MAX ||
	    cfg->ram_size % MIB)
		return error_set(err, -EINVAL,
				 "memory size %llu bytes: use whole MiB from 1M to %lluG",
				 (unsigned long long)cfg->ram_size,
				 (unsigned long long)(MACHINE_RAM_MAX / GIB));
	if (cfg->ram_size > available)
		return error_set(err, -ENOMEM,
				 "the guest's %llu MiB of memory are more than this host can give "
				 "now (%llu MiB); use a smaller -m",
				 (unsigned long long)(cfg->ram_size / MIB),
				 (unsigned long long)(available / MIB));
	for (unsigned i = 0; i < cfg->n_disks; i++)
		if (!machine_is_pc(cfg->kind) && cfg->disk[i].kind != MACHINE_DISK_VIRTIO &&
		    cfg->disk[i].kind != MACHINE_DISK_SCSI &&
		    cfg->disk[i].kind != MACHINE_DISK_SCSI_CDROM)
			return error_set(err, -EINVAL,
					 "a %s has virtio disks (if=virtio, if=scsi) only",
					 machine_kind_name(cfg->kind));
	if (!machine_is_pc(cfg->kind) && cfg->nic != MACHINE_NIC_VIRTIO)
		return error_set(err, -EINVAL, "a %s has a virtio network card only",
				 machine_kind_name(cfg->kind));
	if (cfg->n_cpus < 1 || cfg->n_cpus > MACHINE_CPUS_MAX)
		return error_set(err, -EINVAL, "%u CPUs: use 1 to %u", cfg->n_cpus,
				 MACHINE_CPUS_MAX);
	return 0;
}

int machine_new(const struct machine_config *cfg, const struct dev_services *sv,
		const struct machine_calls *calls, struct machine **ret_m, struct error *err)
{
	struct machine *m;
	int r = check_config(cfg, err);

	if (r < 0)
		return r;
	m = xnew(struct machine);
	m->cfg = *cfg;
	m->sv = *sv;
	m->calls = *calls;
	list_init(&m->devs);
	parts_plug_init(m);
	m->low_end = MIN(cfg->ram_size,
			 cfg->kind == MACHINE_Q35 ? MACHINE_Q35_LOW_MAX : MACHINE_LOW_MAX);
	/* The ICH9 has AHCI for what the PIIX3 has IDE for. */
	for (unsigned i = 0; i < cfg->n_disks && cfg->kind == MACHINE_Q35; i++)
		if (m->cfg.disk[i].kind == MACHINE_DISK_IDE)
			m->cfg.disk[i].kind = MACHINE_DISK_AHCI;
		else if (m->cfg.disk[i].kind == MACHINE_DISK_CDROM)
			m->cfg.disk[i].kind = MACHINE_DISK_AHCI_CDROM;
	m->high_end = 4 * GIB + (cfg->ram_size - m->low_end);
	m->acpi.n_cpus = cfg->n_cpus;
	m->acpi.lapic_addr = 0xfee00000;
	mem_map_begin(sv->mem);
	r = mem_ram_new(sv->mem, "ram", cfg->ram_size, &m->ram, err);
	if (r == 0)
		r = parts_map_ram(m, "ram-high", 4 * GIB, m->low_end, cfg->ram_size - m->low_end,
				  err);
	if (r == 0)
		r = kinds[cfg->kind].build(m, err);
	mem_map_commit(sv->mem);
	if (r < 0) {
		machine_free(m);
		return r;
	}
	*ret_m = m;
	return 0;
}

void machine_free(struct machine *m)
{
	if (!m)
		return;
	parts_plug_done(m);
	if (m->kbc_input.ctx)
		display_del_input(m->cfg.display, &m->kbc_input);
	while (!list_empty(&m->devs)) {
		struct dev *d = LIST_ENTRY(m->devs.prev, struct dev, node);

		list_remove(&d->node);
		dev_free(d);
	}
	while (m->n_maps)
		mem_unmap(m->sv.mem, m->map[--m->n_maps]);
	free(m);
}

void machine_reset(struct machine *m, enum dev_reset kind)
{
	parts_plug_reset(m);
	LIST_FOR_EACH(it, &m->devs)
	dev_reset(LIST_ENTRY(it, struct dev, node), kind);
}

void machine_memory_map(const struct machine *m, struct e820 *ret_map)
{
	ret_map->n = 0;
	e820_add(ret_map, 0, EBDA, E820_RAM);
	e820_add(ret_map, EBDA, 0xa0000 - EBDA, E820_RESERVED);
	e820_add(ret_map, ACPI_AT, MIB - ACPI_AT, E820_RESERVED);
	e820_add(ret_map, MIB, m->low_end - MIB, E820_RAM);
	e820_add(ret_map, m->acpi.mcfg_base, m->acpi.mcfg_size, E820_RESERVED);
	e820_add(ret_map, 4 * GIB, m->high_end - 4 * GIB, E820_RAM);
}

/* A copy of the boot source with the command line for this boot. */
static char *boot_cmdline(const struct machine *m)
{
	const char *s = m->cfg.boot->cmdline;
	char *out = xstrdup(s);

	/* Without ACPI a guest can't find virtio-mmio devices. With it, telling twice would make
	 * each device's second driver instance fail. */
	if (!strstr(s, "acpi=off"))
		return out;
	for (unsigned i = 0; i < m->acpi.n_virtio; i++) {
		const struct acpi_virtio *v = &m->acpi.virtio[i];
		char *next = xasprintf("%s virtio_mmio.device=%u@0x%x:%u", out, v->size, v->base,
				       v->gsi);

		free(out);
		out = next;
	}
	return out;
}

int machine_boot(struct machine *m, struct boot_cpu *ret_cpu, struct error *err)
{
	struct boot_env env = {.mem = m->sv.mem, .low_end = m->low_end};
	struct boot_source src = *m->cfg.boot;
	struct acpi_tables t;
	int r = 0;

	if (m->cfg.firmware.bios) {
		*ret_cpu = (struct boot_cpu){.mode = BOOT_RESET,
					     .protocol = m->cfg.firmware.efi ? "EFI" : "BIOS"};
		return 0;
	}
	machine_memory_map(m, &env.map);
	if (kinds[m->cfg.kind].firmware)
		r = kinds[m->cfg.kind].firmware(m, err);
	/* As a video BIOS would leave it. */
	if (m->vga)
		vga_text_mode(m->vga);
	env.text_screen = m->vga != NULL;
	if (r == 0)
		r = acpi_build(&m->acpi, ACPI_AT, ACPI_MAX, &t, err);
	if (r < 0)
		return r;
	env.rsdp = t.rsdp;
	r = mem_write(m->sv.mem, ACPI_AT, t.bytes, t.len);
	acpi_done(&t);
	if (r < 0)
		return error_set(err, r, "cannot place the ACPI tables at 0x%x", ACPI_AT);
	src.cmdline = boot_cmdline(m);
	r = boot_load(&src, &env, ret_cpu, err);
	free(src.cmdline);
	return r;
}

void machine_power_button(struct machine *m)
{
	if (m->pm)
		acpi_power_button(m->pm);
}

int machine_quiesce(struct machine *m)
{
	LIST_FOR_EACH(it, &m->devs)
	{
		struct dev *d = LIST_ENTRY(it, struct dev, node);
		int r = d->cls->quiesce ? d->cls->quiesce(d) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

void machine_resume(struct machine *m)
{
	LIST_FOR_EACH(it, &m->devs)
	{
		struct dev *d = LIST_ENTRY(it, struct dev, node);

		if (d->cls->resume)
			d->cls->resume(d);
	}
}

static void get_layout(const struct machine *m, struct machine_layout *l)
{
	*l = (struct machine_layout){
		.ram_size = m->cfg.ram_size, .kind = m->cfg.kind, .n_cpus = m->cfg.n_cpus};
}

void machine_save(struct machine *m, struct state_writer *w)
{
	struct machine_layout l;

	get_layout(m, &l);
	state_save(w, "machine", &layout_state, &l);
	LIST_FOR_EACH(it, &m->devs)
	dev_save(LIST_ENTRY(it, struct dev, node), w);
	parts_plug_save(m, w);
}

int machine_load(struct machine *m, struct state_reader *r, struct error *err)
{
	struct machine_layout have, want;
	int res;

	get_layout(m, &want);
	have = want;
	res = state_load(r, "machine", &layout_state, &have, err);
	if (res < 0)
		return res;
	if (memcmp(&have, &want, sizeof(have)))
		return error_set(
			err, -EINVAL,
			"the state is of a %s with %llu MiB and %u CPUs, this is a %s with "
			"%llu MiB and %u CPUs",
			machine_kind_name(have.kind), (unsigned long long)(have.ram_size / MIB),
			have.n_cpus, machine_kind_name(want.kind),
			(unsigned long long)(want.ram_size / MIB), want.n_cpus);
	LIST_FOR_EACH(it, &m->devs)
	{
		res = dev_load(LIST_ENTRY(it, struct dev, node), r, err);
		if (res < 0)
			return res;
	}
	return parts_plug_load(m, r, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whole machines without processors: they build, boot a kernel image into RAM, come up with what
 * firmware leaves behind, survive resets, and two live side by side. State goes round.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <unistd.h>

#include "base/bits.h"
#include "block/block.h"
#include "device/pci/pci.h"
#include "device/pci/root_port.h"
#include "device/virtio/virtio.h"
#include "device/virtio/virtio_blk.h"
#include "host/loop.h"
#include "machine/machine.h"

struct box {
	struct mem_space *mem;
	struct bus bus;
	struct loop *loop;
	struct clock *clock;
	struct boot_source src;
	struct machine *m;
	struct boot_cpu cpu;
	uint8_t kernel[4096];
	unsigned resets, inits, offs, exit_code, unplugs;
	bool intr;
};

static void on_intr(void *ctx, bool level)
{
	((struct box *)ctx)->intr = level;
}

static void on_nmi(void *ctx)
{
	(void)ctx;
}

static void on_off(void *ctx)
{
	((struct box *)ctx)->offs++;
}

static void on_reset(void *ctx)
{
	((struct box *)ctx)->resets++;
}

static void on_cpu_init(void *ctx)
{
	((struct box *)ctx)->inits++;
}

static void on_unplug(void *ctx)
{
	((struct box *)ctx)->unplugs++;
}

static void on_exit_code(void *ctx, uint32_t code)
{
	((struct box *)ctx)->exit_code = code;
}

/* A flat Multiboot kernel at 1 MiB. */
static void kernel_new(uint8_t *p)
{
	st_le32(p, 0x1badb002);
	st_le32(p + 4, 1 << 16);
	st_le32(p + 8, 0u - 0x1badb002u - (1 << 16));
	st_le32(p + 12, 0x100000);
	st_le32(p + 16, 0x100000);
	st_le32(p + 28, 0x100020);
}

static int box_new_bios(struct box *b, enum machine_kind kind, uint64_t ram,
			const struct machine_firmware *fw, struct error *err)
{
	struct machine_config cfg = {.kind = kind,
				     .ram_size = ram,
				     .n_cpus = 2,
				     .debug_exit = true,
				     .rng = true,
				     .balloon = true,
				     .boot = &b->src,
				     .firmware = *fw};
	struct machine_calls calls = {.intr = on_intr,
				      .nmi = on_nmi,
				      .power_off = on_off,
				      .reset = on_reset,
				      .cpu_init = on_cpu_init,
				      .debug_exit = on_exit_code,
				      .unplug = on_unplug,
				      .ctx = b};
	struct dev_services sv;
	int r;

	memset(b, 0, sizeof(*b));
	kernel_new(b->kernel);
	b->src.kernel = (struct boot_file){
		.name = xstrdup("k"), .fd = -1, .bytes = b->kernel, .size = sizeof(b->kernel)};
	b->src.cmdline = xstrdup("x");
	assert_int_equal(mem_space_new(&b->mem, err), 0);
	assert_int_equal(bus_init(&b->bus, b->mem, err), 0);
	assert_int_equal(loop_new(&b->bus.lock, &b->loop, err), 0);
	b->clock = clock_new(NULL);
	sv = (struct dev_services){
		.bus = &b->bus, .clock = b->clock, .mem = b->mem, .loop = b->loop};
	bus_lock(&b->bus);
	r = machine_new(&cfg, &sv, &calls, &b->m, err);
	if (r == 0) {
		machine_reset(b->m, DEV_RESET_COLD);
		r = machine_boot(b->m, &b->cpu, err);
	}
	bus_unlock(&b->bus);
	return r;
}

static int box_new(struct box *b, enum machine_kind kind, uint64_t ram, struct error *err)
{
	return box_new_bios(b, kind, ram, &(struct machine_firmware){0}, err);
}

static void box_done(struct box *b)
{
	bus_lock(&b->bus);
	machine_free(b->m);
	bus_unlock(&b->bus);
	clock_free(b->clock);
	loop_free(b->loop);
	bus_done(&b->bus);
	mem_space_free(b->mem);
	boot_source_done(&b->src);
}

static uint8_t peek(struct box *b, gpa_t at)
{
	uint8_t v = 0;

	assert_int_equal(mem_read(b->mem, at, &v, 1), 0);
	return v;
}

static void test_boot(void **state)
{
	static const enum machine_kind kinds[] = {MACHINE_PC, MACHINE_MICROVM, MACHINE_Q35};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct box b;
		struct error err = {0};

		if (box_new(&b, kinds[i], 64 * MIB, &err) != 0)
			fail_msg("%s", err.text);
		assert_int_equal(b.cpu.rip, 0x100020);
		assert_int_equal(peek(&b, 0x100000), 0x02);
		assert_int_equal(peek(&b, 0xe0000), 'R'); /* RSDP */
		bus_pio_write(&b.bus, 0xf4, 1, 0x10);
		assert_int_equal(b.exit_code, 0x21);
		/* soft-off as the FADT and \_S5 describe it: SLP_TYP 0, SLP_EN (ACPI 6.4, 4.8.3.2)
		 */
		bus_pio_write(&b.bus, b.m->acpi.pm_base + 4, 2,
			      (uint32_t)b.m->acpi.s5_typ << 10 | 1 << 13);
		assert_int_equal(b.offs, 1);
		/* the FADT's reset register */
		bus_pio_write(&b.bus, b.m->acpi.reset_port, 1, b.m->acpi.reset_value);
		assert_int_equal(b.resets, 1);
		box_done(&b);
	}
}

/* The same with RAM beyond 3 GiB: the rest stands at 4 GiB. Needs no real memory. */
static void test_big_memory(void **state)
{
	struct box b;
	struct error err = {0};
	struct e820 map;
	int r = box_new(&b, MACHINE_PC, 5 * GIB, &err);

	if (r == -ENOMEM) {
		print_message("%s\n", err.text);
		box_done(&b);
		skip();
	}
	assert_int_equal(r, 0);
	assert_int_equal(mem_write(b.mem, 6 * GIB - 1, "x", 1), 0);
	assert_int_equal(mem_write(b.mem, 6 * GIB, "x", 1), -EFAULT);
	assert_int_equal(mem_write(b.mem, 3 * GIB, "x", 1), -EFAULT);
	machine_memory_map(b.m, &map);
	assert_int_equal(map.e[map.n - 1].addr, 4 * GIB);
	assert_int_equal(map.e[map.n - 1].len, 2 * GIB);
	box_done(&b);
}

/* PIIX3 2.2.15, 440FX: INTx of PCI devices arrives at 8259 and IOAPIC as level-triggered IRQ. */
static void test_pc_firmware(void **state)
{
	struct box b;
	struct error err = {0};

	assert_int_equal(box_new(&b, MACHINE_PC, 64 * MIB, &err), 0);
	bus_lock(&b.bus);
	assert_int_equal(pci_bus_config_read(b.m->pci, PCI_DEVFN(0, 0), 0, 4), 0x12378086);
	assert_int_equal(pci_bus_config_read(b.m->pci, PCI_DEVFN(1, 0), 0, 4), 0x70008086);
	assert_int_equal(pci_bus_config_read(b.m->pci, PCI_DEVFN(1, 0), 0x60, 4), 0x0b0b0a0a);
	assert_int_equal(pci_bus_config_read(b.m->pci, PCI_DEVFN(1, 3), 0x40, 4), 0x601);
	/* virtio: memory BAR assigned in the window and decoded, interrupt line as routed */
	for (unsigned dev = 2; dev <= 3; dev++) {
		uint8_t devfn = PCI_DEVFN(dev, 0);
		uint32_t bar = pci_bus_config_read(b.m->pci, devfn, 0x10, 4) & ~15u;

		assert_int_equal(pci_bus_config_read(b.m->pci, devfn, 0, 2), 0x1af4);
		assert_in_range(bar, 0xc0000000, 0xfebf0000);
		assert_int_equal(pci_bus_config_read(b.m->pci, devfn, 4, 2) & 3, 3);
		assert_int_equal(pci_bus_config_read(b.m->pci, devfn, 0x3c, 1), dev == 2 ? 10 : 11);
	}
	bus_unlock(&b.bus);
	assert_int_equal(bus_pio_read(&b.bus, 0x4d1, 1), 0x0e); /* ELCR: 9, 10, 11 */
	assert_int_equal(bus_pio_read(&b.bus, 0x4d0, 1), 0);
	/* 0cf9h goes through the host bridge */
	bus_pio_write(&b.bus, 0xcf9, 1, 0x02);
	bus_pio_write(&b.bus, 0xcf9, 1, 0x06);
	assert_int_equal(b.resets, 1);
	box_done(&b);
}

/* An ISA line with two drivers stays high until both are low. */
static void test_shared_line(void **state)
{
	struct box b;
	struct error err = {0};

	assert_int_equal(box_new(&b, MACHINE_PC, 64 * MIB, &err), 0);
	/* 8259 data sheet: ICW1-4, master vector 20h, all inputs on */
	bus_pio_write(&b.bus, 0x20, 1, 0x11);
	bus_pio_write(&b.bus, 0x21, 1, 0x20);
	bus_pio_write(&b.bus, 0x21, 1, 0x04);
	bus_pio_write(&b.bus, 0x21, 1, 0x01);
	bus_pio_write(&b.bus, 0x21, 1, 0x00);
	assert_false(b.intr);
	/* COM1: IER = transmitter empty, OUT2 on: IRQ4 */
	bus_pio_write(&b.bus, 0x3fc, 1, 0x08);
	bus_pio_write(&b.bus, 0x3f9, 1, 0x02);
	assert_true(b.intr);
	bus_lock(&b.bus);
	assert_int_equal(b.m->pic.ack(b.m->pic.ctx), 0x24);
	bus_unlock(&b.bus);
	box_done(&b);
}

/* One A20 latch behind the keyboard controller (8042: DDh closes, DFh opens) and port 92h bit 1;
 * who writes last decides. */
static void test_a20(void **state)
{
	static const struct {
		uint16_t port;
		uint8_t val;
		bool open;
	} rows[] = {{0x64, 0xdd, false}, {0x92, 0x02, true}, {0x64, 0xdd, false},
		    {0x92, 0x00, false}, {0x64, 0xdf, true}, {0x92, 0x00, false},
		    {0x64, 0xdf, true},  {0x92, 0x02, true}};
	struct box b;
	struct error err = {0};

	assert_int_equal(box_new(&b, MACHINE_PC, 64 * MIB, &err), 0);
	assert_true(mem_get_a20(b.mem));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		bus_pio_write(&b.bus, rows[i].port, 1, rows[i].val);
		assert_int_equal(mem_get_a20(b.mem), rows[i].open);
		assert_int_equal(bus_pio_read(&b.bus, 0x92, 1), rows[i].open ? 2 : 0);
	}
	bus_pio_write(&b.bus, 0x92, 1, 0);
	bus_lock(&b.bus);
	machine_reset(b.m, DEV_RESET_WARM);
	bus_unlock(&b.bus);
	assert_true(mem_get_a20(b.mem));
	box_done(&b);
}

static void test_reset_and_state(void **state)
{
	static const enum machine_kind kinds[] = {MACHINE_PC, MACHINE_MICROVM, MACHINE_Q35};

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct box b, c;
		struct error err = {0};
		struct state_writer *w = state_writer_new();
		struct state_reader *r;
		const uint8_t *bytes;
		size_t n;

		/* two machines at once; the second gets the first one's state */
		assert_int_equal(box_new(&b, kinds[i], 64 * MIB, &err), 0);
		assert_int_equal(box_new(&c, kinds[i], 64 * MIB, &err), 0);
		bus_pio_write(&b.bus, 0x3ff, 1, 0x5a); /* scratch register of COM1 */
		bus_lock(&b.bus);
		machine_save(b.m, w);
		bus_unlock(&b.bus);
		bytes = state_writer_finish(w, &n);
		assert_int_equal(state_reader_new(bytes, n, &r, &err), 0);
		bus_lock(&c.bus);
		if (machine_load(c.m, r, &err) != 0)
			fail_msg("%s", err.text);
		assert_int_equal(state_reader_end(r, &err), 0);
		bus_unlock(&c.bus);
		assert_int_equal(bus_pio_read(&c.bus, 0x3ff, 1), 0x5a);
		state_reader_free(r);
		state_writer_free(w);
		for (unsigned k = 0; k < 100; k++) {
			bus_lock(&b.bus);
			machine_reset(b.m, DEV_RESET_WARM);
			assert_int_equal(machine_boot(b.m, &b.cpu, &err), 0);
			bus_unlock(&b.bus);
		}
		box_done(&b);
		/* a machine of another shape refuses it */
		box_done(&c);
	}
}

/* ---- what leaves ---- */

/* A disk "d1" of virtio, as attached while the machine runs. */
static struct virtio_blk *attach(struct box *b, struct block **ret_block, const char *path)
{
	struct block_options opt = {
		.path = path, .format = "raw", .read_only = true, .aio = BLOCK_AIO_SYNC};
	struct machine_disk d = {.kind = MACHINE_DISK_VIRTIO};
	struct error err = {0};
	struct virtio_blk *blk;
	int n;

	bus_lock(&b->bus);
	assert_int_equal(block_open(b->loop, &opt, ret_block, &err), 0);
	d.block = *ret_block;
	if (machine_plug_disk(b->m, "d1", 0, &d, &err) != 0)
		fail_msg("%s", err.text);
	n = machine_find_plug(b->m, "d1");
	assert_true(n >= 0);
	blk = (struct virtio_blk *)b->m->plug[n].part[0];
	bus_unlock(&b->bus);
	return blk;
}

static void on_out(void *ctx, const struct machine_plug *p)
{
	assert_string_equal(p->id, "d1");
	++*(unsigned *)ctx;
}

static unsigned taken_out(struct box *b)
{
	unsigned n = 0;

	bus_lock(&b->bus);
	machine_take_out(b->m, on_out, &n);
	bus_unlock(&b->bus);
	return n;
}

static uint32_t id_of(struct box *b)
{
	const struct machine_plug *p = &b->m->plug[machine_find_plug(b->m, "d1")];
	uint32_t v;

	bus_lock(&b->bus);
	v = p->how == MACHINE_PLUG_PORT
		    ? pci_bus_config_read(&b->m->port[p->unit]->bridge.bus, 0, 0, 4)
		    : pci_bus_config_read(b->m->pci, PCI_DEVFN(p->unit, 0), 0, 4);
	bus_unlock(&b->bus);
	return v;
}

static int load_into(struct box *b, struct state_writer *w, struct error *err)
{
	struct state_reader *r;
	const uint8_t *bytes;
	size_t n;
	int res;

	bytes = state_writer_finish(w, &n);
	assert_int_equal(state_reader_new(bytes, n, &r, err), 0);
	bus_lock(&b->bus);
	res = machine_load(b->m, r, err);
	bus_unlock(&b->bus);
	if (res == 0)
		assert_int_equal(state_reader_end(r, err), 0);
	state_reader_free(r);
	return res;
}

static struct state_writer *saved(struct box *b)
{
	struct state_writer *w = state_writer_new();

	bus_lock(&b->bus);
	machine_save(b->m, w);
	bus_unlock(&b->bus);
	return w;
}

/* A disk that was pulled out, and that its driver still uses: the restored machine's is as far on
 * its way, with an empty slot in front of it, and goes when its time is over. */
static void test_pulled_state(void **state)
{
	static const enum machine_kind kinds[] = {MACHINE_PC, MACHINE_Q35};
	char path[] = "/tmp/bothy-test-machine.XXXXXX";
	int fd = mkstemp(path);

	assert_true(fd >= 0 && ftruncate(fd, (off_t)MIB) == 0);
	close(fd);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct block *blocks[3];
		struct box b[3];
		struct virtio_blk *blk[2];
		struct error err = {0};
		struct state_writer *w, *w2;
		const uint8_t *x, *y;
		size_t n, k;

		for (unsigned j = 0; j < 3; j++)
			assert_int_equal(box_new(&b[j], kinds[i], 64 * MIB, &err), 0);
		for (unsigned j = 0; j < 2; j++)
			blk[j] = attach(&b[j], &blocks[j], path);
		assert_int_equal(id_of(&b[1]), 0x10421af4);
		for (unsigned j = 0; j < 2; j++) {
			bus_lock(&b[j].bus);
			clock_start(b[j].clock);
			clock_step(b[j].clock, 5 * NS_PER_SEC);
			bus_unlock(&b[j].bus);
		}
		bus_lock(&b[0].bus);
		blk[0]->vd.r->status = VIRTIO_STATUS_DRIVER_OK;
		assert_int_equal(machine_unplug(b[0].m, (unsigned)machine_find_plug(b[0].m, "d1"),
						true, &err),
				 0);
		bus_unlock(&b[0].bus);
		assert_int_equal(id_of(&b[0]), 0xffffffff);
		assert_int_equal(taken_out(&b[0]), 0);

		w = saved(&b[0]);
		/* a machine without that disk refuses it */
		assert_int_not_equal(load_into(&b[2], w, &err), 0);
		assert_int_equal(load_into(&b[1], w, &err), 0);
		assert_true(blk[1]->s.pulled);
		assert_int_equal(id_of(&b[1]), 0xffffffff);
		w2 = saved(&b[1]);
		x = state_writer_finish(w, &n);
		y = state_writer_finish(w2, &k);
		assert_int_equal(n, k);
		assert_memory_equal(x, y, n);
		assert_int_equal(b[1].unplugs, 0);
		bus_lock(&b[1].bus);
		clock_step(b[1].clock, 11 * NS_PER_SEC);
		bus_unlock(&b[1].bus);
		assert_int_equal(b[1].unplugs, 1);
		assert_int_equal(taken_out(&b[1]), 1);
		state_writer_free(w);
		state_writer_free(w2);
		for (unsigned j = 0; j < 3; j++) {
			bus_lock(&b[j].bus);
			machine_free(b[j].m);
			b[j].m = NULL;
			if (j < 2)
				block_close(blocks[j]);
			bus_unlock(&b[j].bus);
			box_done(&b[j]);
		}
	}
	unlink(path);
}

static void test_refused(void **state)
{
	static const struct {
		uint64_t ram;
		int code;
		const char *text;
	} rows[] = {
		{0, -EINVAL, "use whole MiB"},
		{65 * GIB, -EINVAL, "use whole MiB"},
		{MIB + 1, -EINVAL, "use whole MiB"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct box b;
		struct error err = {0};

		assert_int_equal(box_new(&b, MACHINE_PC, rows[i].ram, &err), rows[i].code);
		assert_non_null(strstr(err.text, rows[i].text));
		box_done(&b);
	}
}

/* ---- BIOS ---- */

/* Read file @name of fw_cfg through its ports, as firmware does; returns its length. */
static uint32_t fw_file(struct box *b, const char *name, uint8_t *buf, uint32_t max)
{
	uint8_t e[64];
	uint32_t n = 0, len = 0;
	uint16_t key = 0;

	bus_pio_write(&b->bus, 0x510, 2, 0x19);
	for (unsigned i = 0; i < 4; i++)
		n = n << 8 | bus_pio_read(&b->bus, 0x511, 1);
	for (; n && !key; n--) {
		for (unsigned i = 0; i < sizeof(e); i++)
			e[i] = (uint8_t)bus_pio_read(&b->bus, 0x511, 1);
		if (!strcmp((char *)e + 8, name)) {
			len = ld_be32(e);
			key = ld_be16(e + 4);
		}
	}
	assert_in_range(len, key ? 1 : 0, max);
	bus_pio_write(&b->bus, 0x510, 2, key);
	for (uint32_t i = 0; i < len; i++)
		buf[i] = (uint8_t)bus_pio_read(&b->bus, 0x511, 1);
	return len;
}

static uint8_t sum_of(const uint8_t *p, size_t n)
{
	uint8_t sum = 0;

	while (n--)
		sum = (uint8_t)(sum + *p++);
	return sum;
}

/* Carry the loader's commands out as firmware does (ACPI linker/loader, 128 bytes each): two files,
 * placed at rsdp_at and tables_at. */
static void run_loader(const uint8_t *cmd, uint32_t len, uint8_t *rsdp, uint32_t rsdp_at,
		       uint8_t *tables, uint32_t tables_at)
{
	unsigned allocated = 0;

	for (; len; len -= 128, cmd += 128) {
		bool is_rsdp = !strcmp((const char *)cmd + 4, "etc/acpi/rsdp");
		uint8_t *file = is_rsdp ? rsdp : tables;
		uint32_t at;

		switch (ld_le32(cmd)) {
		case 1:
			allocated++;
			assert_int_equal(cmd[64], is_rsdp ? 2 : 1);
			break;
		case 2: /* the source is always the tables file */
			at = ld_le32(cmd + 116);
			if (cmd[120] == 4)
				st_le32(file + at, ld_le32(file + at) + tables_at);
			else
				st_le64(file + at, ld_le64(file + at) + tables_at);
			break;
		case 3:
			at = ld_le32(cmd + 60);
			file[at] = (uint8_t)(file[at] -
					     sum_of(file + ld_le32(cmd + 64), ld_le32(cmd + 68)));
			break;
		default: fail_msg("loader command %u", ld_le32(cmd));
		}
	}
	assert_int_equal(allocated, 2);
	assert_true(rsdp_at < MIB);
}

static void check_tables(struct box *b)
{
	static const char *const want[] = {"FACP", "APIC", "HPET", "WAET"};
	enum { AT = 0x3f00000, RSDP_AT = 0xf5000 };
	static uint8_t cmds[16384], rsdp[64], tables[131072];
	uint32_t n = fw_file(b, "etc/table-loader", cmds, sizeof(cmds));
	uint32_t n_rsdp = fw_file(b, "etc/acpi/rsdp", rsdp, sizeof(rsdp));
	uint32_t n_tables = fw_file(b, "etc/acpi/tables", tables, sizeof(tables));
	const uint8_t *xsdt, *facp;

	assert_int_equal(n % 128, 0);
	assert_int_equal(n_rsdp, 36);
	run_loader(cmds, n, rsdp, RSDP_AT, tables, AT);
	assert_int_equal(sum_of(rsdp, 20), 0);
	assert_int_equal(sum_of(rsdp, 36), 0);
	assert_in_range(ld_le64(rsdp + 24), AT, AT + n_tables - 36);
	xsdt = tables + (ld_le64(rsdp + 24) - AT);
	assert_memory_equal(xsdt, "XSDT", 4);
	assert_int_equal(sum_of(xsdt, ld_le32(xsdt + 4)), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		const uint8_t *t = tables + (ld_le64(xsdt + 36 + 8 * i) - AT);

		assert_memory_equal(t, want[i], 4);
		assert_int_equal(sum_of(t, ld_le32(t + 4)), 0);
	}
	facp = tables + (ld_le64(xsdt + 36) - AT);
	assert_memory_equal(tables + (ld_le64(facp + 140) - AT), "DSDT", 4);
	assert_int_equal(ld_le32(facp + 40), (uint32_t)ld_le64(facp + 140));
	assert_memory_equal(tables + (ld_le32(facp + 36) - AT), "FACS", 4);
}

/* DSP0134 2.8, 5.2.1 and 6.1: walk the structures. */
static void check_smbios(struct box *b)
{
	static const uint8_t want[] = {0, 1, 3, 4, 4, 16, 17, 19, 32, 127};
	uint8_t anchor[31], t[4096], *p = t;
	uint32_t n;

	assert_int_equal(fw_file(b, "etc/smbios/smbios-anchor", anchor, 31), 31);
	n = fw_file(b, "etc/smbios/smbios-tables", t, sizeof(t));
	assert_memory_equal(anchor, "_SM_", 4);
	assert_int_equal(sum_of(anchor, 31), 0);
	assert_int_equal(sum_of(anchor + 16, 15), 0);
	assert_int_equal(ld_le16(anchor + 22), n);
	assert_int_equal(ld_le16(anchor + 28), ARRAY_SIZE(want));
	for (unsigned i = 0; i < ARRAY_SIZE(want); i++) {
		uint8_t *from = p;

		assert_int_equal(p[0], want[i]);
		for (p += p[1]; p[0] || p[1]; p++)
			assert_in_range(p - t, 0, n);
		p += 2;
		assert_in_range(p - from, 4, ld_le16(anchor + 8));
	}
	assert_int_equal(p - t, n);
}

static void test_bios(void **state)
{
	static uint8_t bios[256 * KIB];
	struct machine_firmware fw = {
		.bios = bios, .bios_len = sizeof(bios), .boot_order = "c", .menu_wait_ms = 7};
	struct box b;
	struct error err = {0};
	uint8_t buf[256];
	uint32_t v;

	memcpy(bios, "first", 5);
	memcpy(bios + sizeof(bios) - 16, "reset vector", 12);
	memcpy(bios + sizeof(bios) - 128 * KIB, "low", 3);
	if (box_new_bios(&b, MACHINE_PC, 64 * MIB, &fw, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(b.cpu.mode, BOOT_RESET);
	assert_int_equal(peek(&b, 0xfffc0000), 'f');
	assert_int_equal(peek(&b, 0xfffffff0), 'r');
	assert_int_equal(peek(&b, 0xffeffff0), 'r'); /* 290550-002, 2.2.7: with A20 masked */
	assert_int_equal(peek(&b, 0xffff0), 'r');
	assert_int_equal(peek(&b, 0xe0000), 'l');
	assert_int_equal(mem_write(b.mem, 0xfffffff0, "x", 1), -EFAULT);
	/* firmware knows the machine by the host bridge's subsystem id */
	bus_pio_write(&b.bus, 0xcf8, 4, 0x8000002c);
	assert_int_equal(bus_pio_read(&b.bus, 0xcfc, 4), 0x11001af4);
	assert_int_equal(fw_file(&b, "etc/e820", buf, sizeof(buf)), 20);
	assert_int_equal(ld_le64(buf + 8), 64 * MIB);
	assert_int_equal(fw_file(&b, "etc/boot-menu-wait", buf, sizeof(buf)), 2);
	assert_int_equal(ld_le16(buf), 7);
	check_tables(&b);
	check_smbios(&b);
	/* CPU resets leave the chips alone; RST_CPU with SRST is for all. */
	bus_pio_write(&b.bus, 0x92, 1, 1);
	bus_pio_write(&b.bus, 0x64, 1, 0xfe);
	assert_int_equal(b.inits, 2);
	assert_int_equal(b.resets, 0);
	bus_pio_write(&b.bus, 0xcf9, 1, 0x04);
	assert_int_equal(b.inits, 3);
	bus_pio_write(&b.bus, 0xcf9, 1, 0x06);
	assert_int_equal(b.resets, 1);
	/* PAM: RAM over the ROM, gone after a reset (290549-001, 3.2.18) */
	bus_pio_write(&b.bus, 0xcf8, 4, 0x80000058);
	v = bus_pio_read(&b.bus, 0xcfc, 4);
	bus_pio_write(&b.bus, 0xcfc, 4, v | 0x3000);
	assert_int_equal(peek(&b, 0xffff0), 0);
	bus_lock(&b.bus);
	machine_reset(b.m, DEV_RESET_WARM);
	bus_unlock(&b.bus);
	assert_int_equal(peek(&b, 0xffff0), 'r');
	box_done(&b);

	fw.bios_len = 1000;
	assert_int_equal(box_new_bios(&b, MACHINE_PC, 64 * MIB, &fw, &err), -EINVAL);
	assert_non_null(strstr(err.text, "1000 bytes"));
	box_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_boot),         cmocka_unit_test(test_big_memory),
		cmocka_unit_test(test_pc_firmware),  cmocka_unit_test(test_shared_line),
		cmocka_unit_test(test_bios),         cmocka_unit_test(test_refused),
		cmocka_unit_test(test_pulled_state), cmocka_unit_test(test_reset_and_state),
		cmocka_unit_test(test_a20),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

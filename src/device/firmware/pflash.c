/* SPDX-License-Identifier: Apache-2.0 */
/*
 * NOR flash, 8 bits wide, with the Intel basic and extended command set (id 0001h).
 *
 * Documents: Intel 3 Volt StrataFlash Memory 28F320J3/640J3/128J3 data sheet 290667-009 ("J3"):
 * table 4 (commands), table 17 (status register), appendix A (write buffer); Common Flash Memory
 * Interface, JESD68.01 (query); Intel AP-646 292204 (the command set's own query table).
 *
 *   FFh             read array            E8h n-1 data.. D0h  program through the buffer
 *   90h             read identifier       20h D0h             erase a block
 *   98h             CFI query             60h 01h             lock a block
 *   70h, 50h        read, clear status    60h D0h             unlock all blocks
 *   40h/10h data    program a byte        B0h, D0h            suspend, resume
 *
 * In array mode the chip is ROM to the processors: they read and run it at full speed, and only
 * writes come here. In every other mode reads come here, too; each change between the two remaps
 * the chip. A program can only clear bits, an erase sets those of a block.
 *
 * What was programmed goes to `store` when the guest can learn that it is done: at the next command
 * that is not another program, so that a block's worth of bytes is one write to the host's file.
 *
 * Programming and erasing take no time: the write state machine is ready again at the next access.
 * So there is nothing to suspend; B0h and D0h leave the chip showing its status.
 *
 * One thing is not the data sheet's: Clear Status Register clears bit 7 ("ready"), too, until the
 * next program or erase. EDK2's driver for virtual machines tells flash from RAM and ROM by reading
 * 00h as the status then (QemuFlashDetected() in OvmfPkg), and wants no bit after a clear.
 *
 * UNMODELLED: lock bits outliving power; the protection register (C0h: a command sequence error);
 * x16 mode.
 */
#include "device/firmware/pflash.h"

#include <errno.h>
#include <string.h>

#include "base/bits.h"

enum mode {
	MODE_ARRAY,
	MODE_STATUS,
	MODE_ID,
	MODE_QUERY,
	/* between the bytes of a command; reads give the status */
	MODE_PROGRAM,
	MODE_ERASE,
	MODE_LOCK,
	MODE_BUF_COUNT,
	MODE_BUF_DATA,
	MODE_BUF_CONFIRM,
	MODE_MAX = MODE_BUF_CONFIRM
};

/* J3, table 4 */
enum {
	CMD_LOCK_SET = 0x01,
	CMD_PROGRAM_ALT = 0x10,
	CMD_ERASE = 0x20,
	CMD_PROGRAM = 0x40,
	CMD_CLEAR_STATUS = 0x50,
	CMD_LOCK = 0x60,
	CMD_STATUS = 0x70,
	CMD_ID = 0x90,
	CMD_QUERY = 0x98,
	CMD_SUSPEND = 0xb0,
	CMD_CONFIRM = 0xd0,
	CMD_BUFFER = 0xe8,
	CMD_ARRAY = 0xff
};

/* J3, table 17 */
enum {
	SR_READY = 0x80,
	SR_ERASE_ERROR = 0x20,
	SR_PROGRAM_ERROR = 0x10,
	SR_LOCKED = 0x02,
	SR_SEQUENCE_ERROR = SR_ERASE_ERROR | SR_PROGRAM_ERROR,
	SR_ALL = SR_READY | SR_ERASE_ERROR | SR_PROGRAM_ERROR | SR_LOCKED
};

enum { ID_MANUFACTURER = 0x89, ID_DEVICE = 0x18 }; /* Intel; the number of the 28F128J3 */
enum { QUERY_LEN = 0x3a };

static struct pflash *to_pflash(struct dev *d)
{
	return CONTAINER_OF(d, struct pflash, dev);
}

/* ---- where it stands in memory ---- */

static void map(struct pflash *p)
{
	bool array = p->s.mode == MODE_ARRAY;
	struct bus *bus = p->dev.sv->bus;
	struct error err = {0};
	int r;

	if (p->region.mapped && array == p->as_array)
		return;
	mem_map_begin(p->dev.sv->mem);
	bus_unmap_mmio(bus, &p->region);
	r = array ? bus_map_rom(bus, &p->region, p->block, 0, p->gpa, MEM_PRIO_ROM, &err)
		  : bus_map_mmio(bus, &p->region, p->gpa, MEM_PRIO_ROM, &err);
	mem_map_commit(p->dev.sv->mem);
	if (r < 0)
		guest_error(&p->dev, "%s", err.text);
	p->as_array = array;
}

static void set_mode(struct pflash *p, enum mode mode)
{
	p->s.mode = (uint8_t)mode;
	map(p);
}

/* ---- contents ---- */

static void flush(struct pflash *p)
{
	int r;

	if (p->dirty_lo >= p->dirty_hi)
		return;
	r = p->store ? p->store(p->store_ctx, p->dirty_lo, p->block->host + p->dirty_lo,
				p->dirty_hi - p->dirty_lo)
		     : 0;
	p->dirty_lo = p->dirty_hi = 0;
	if (r < 0) {
		guest_error(&p->dev, "contents cannot be kept: %s", strerror(-r));
		p->s.status |= SR_PROGRAM_ERROR;
	}
}

static void changed(struct pflash *p, uint64_t off, uint64_t len)
{
	mem_block_written(p->dev.sv->mem, p->block, off, len);
	if (p->dirty_lo >= p->dirty_hi) {
		p->dirty_lo = off;
		p->dirty_hi = off + len;
	} else {
		p->dirty_lo = MIN(p->dirty_lo, off);
		p->dirty_hi = MAX(p->dirty_hi, off + len);
	}
}

static bool is_locked(struct pflash *p, uint64_t off)
{
	unsigned n = (unsigned)(off / PFLASH_BLOCK);

	return p->s.locked[n / 8] >> n % 8 & 1;
}

static void program(struct pflash *p, uint64_t off, uint8_t val)
{
	p->s.status |= SR_READY;
	if (is_locked(p, off)) {
		p->s.status |= SR_PROGRAM_ERROR | SR_LOCKED;
		return;
	}
	p->block->host[off] &= val;
	changed(p, off, 1);
}

static void erase(struct pflash *p, uint64_t off)
{
	uint64_t first = align_down(off, PFLASH_BLOCK);

	p->s.status |= SR_READY;
	if (is_locked(p, off)) {
		p->s.status |= SR_ERASE_ERROR | SR_LOCKED;
		return;
	}
	memset(p->block->host + first, 0xff, PFLASH_BLOCK);
	changed(p, first, PFLASH_BLOCK);
}

static void sequence_error(struct pflash *p)
{
	p->s.status |= SR_READY | SR_SEQUENCE_ERROR;
	set_mode(p, MODE_STATUS);
}

/* ---- the write buffer: J3, appendix A ---- */

static void buffer_begin(struct pflash *p, uint64_t off, uint8_t count)
{
	if (count >= PFLASH_BUFFER || align_down(off, PFLASH_BLOCK) != p->s.buf_block) {
		sequence_error(p);
		return;
	}
	p->s.buf_len = (uint8_t)(count + 1);
	p->s.buf_n = 0;
	set_mode(p, MODE_BUF_DATA);
}

/* The first byte's address is where the buffer begins; all must lie inside count + 1 bytes. */
static void buffer_byte(struct pflash *p, uint64_t off, uint8_t val)
{
	if (p->s.buf_n == 0) {
		p->s.buf_first = (uint32_t)off;
		memset(p->s.buf_set, 0, sizeof(p->s.buf_set));
	}
	if (off - p->s.buf_first >= p->s.buf_len ||
	    align_down(off, PFLASH_BLOCK) != p->s.buf_block) {
		sequence_error(p);
		return;
	}
	p->s.buf[off - p->s.buf_first] = val;
	p->s.buf_set[off - p->s.buf_first] = 1;
	if (++p->s.buf_n == p->s.buf_len)
		set_mode(p, MODE_BUF_CONFIRM);
}

static void buffer_confirm(struct pflash *p, uint8_t cmd)
{
	if (cmd != CMD_CONFIRM) {
		sequence_error(p);
		return;
	}
	for (unsigned i = 0; i < p->s.buf_len; i++)
		if (p->s.buf_set[i])
			program(p, p->s.buf_first + i, p->s.buf[i]);
	set_mode(p, MODE_STATUS);
}

/* ---- commands ---- */

static void command(struct pflash *p, uint64_t off, uint8_t cmd)
{
	if (cmd != CMD_PROGRAM && cmd != CMD_PROGRAM_ALT && cmd != CMD_BUFFER)
		flush(p);
	switch (cmd) {
	case CMD_ARRAY: set_mode(p, MODE_ARRAY); break;
	case CMD_ID: set_mode(p, MODE_ID); break;
	case CMD_QUERY: set_mode(p, MODE_QUERY); break;
	case CMD_CLEAR_STATUS: /* the chip shows its array again */
		p->s.status = 0;
		set_mode(p, MODE_ARRAY);
		break;
	case CMD_PROGRAM:
	case CMD_PROGRAM_ALT: set_mode(p, MODE_PROGRAM); break;
	case CMD_ERASE: set_mode(p, MODE_ERASE); break;
	case CMD_LOCK: set_mode(p, MODE_LOCK); break;
	case CMD_BUFFER:
		p->s.buf_block = (uint32_t)align_down(off, PFLASH_BLOCK);
		p->s.status |= SR_READY; /* the buffer is free */
		set_mode(p, MODE_BUF_COUNT);
		break;
	case CMD_STATUS:
	case CMD_SUSPEND:
	case CMD_CONFIRM: set_mode(p, MODE_STATUS); break;
	default: guest_error(&p->dev, "unknown flash command %02x", cmd); sequence_error(p);
	}
}

static void lock_confirm(struct pflash *p, uint64_t off, uint8_t cmd)
{
	unsigned n = (unsigned)(off / PFLASH_BLOCK);

	if (cmd == CMD_LOCK_SET) {
		p->s.locked[n / 8] |= (uint8_t)(1u << n % 8);
	} else if (cmd == CMD_CONFIRM) {
		memset(p->s.locked, 0, sizeof(p->s.locked));
	} else {
		sequence_error(p);
		return;
	}
	p->s.status |= SR_READY;
	set_mode(p, MODE_STATUS);
}

static void pflash_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	struct pflash *p = ctx;
	uint8_t byte = (uint8_t)val;

	if (p->smm_only && !p->dev.sv->bus->by_smm)
		return;
	switch (p->s.mode) {
	case MODE_PROGRAM:
		program(p, off, byte);
		set_mode(p, MODE_STATUS);
		break;
	case MODE_ERASE:
		if (byte != CMD_CONFIRM) {
			sequence_error(p);
			break;
		}
		erase(p, off);
		set_mode(p, MODE_STATUS);
		break;
	case MODE_LOCK: lock_confirm(p, off, byte); break;
	case MODE_BUF_COUNT: buffer_begin(p, off, byte); break;
	case MODE_BUF_DATA: buffer_byte(p, off, byte); break;
	case MODE_BUF_CONFIRM: buffer_confirm(p, byte); break;
	default: command(p, off, byte);
	}
}

/* ---- reading ---- */

/* J3, table 5: manufacturer, device, and in each block its lock bit. */
static uint8_t identifier(struct pflash *p, uint64_t off)
{
	switch (off % PFLASH_BLOCK) {
	case 0: return ID_MANUFACTURER;
	case 1: return ID_DEVICE;
	case 2: return is_locked(p, off);
	default: return 0;
	}
}

/* JESD68.01, 4.3; AP-646, table 5 from 31h on. An 8-bit chip shows one byte an address. */
static uint8_t query(const struct pflash *p, uint64_t off)
{
	unsigned blocks = (unsigned)(p->len / PFLASH_BLOCK), log = 0;
	uint8_t q[QUERY_LEN] = {
		[0x10] = 'Q',  [0x11] = 'R',  [0x12] = 'Y',  [0x13] = 0x01, /* command set 0001h */
		[0x15] = 0x31,                                              /* its own table */
		[0x1b] = 0x27, [0x1c] = 0x36,                               /* VCC 2.7 to 3.6 V */
		[0x1f] = 0x07, [0x20] = 0x07,                /* typical 128 us a byte, a buffer */
		[0x21] = 0x0a,                               /* 1024 ms an erase */
		[0x23] = 0x04, [0x24] = 0x04, [0x25] = 0x04, /* at most 16 times as long */
		[0x2a] = 5,                                  /* 32 bytes of write buffer */
		[0x2c] = 1,                                  /* one region of equal blocks */
		[0x31] = 'P',  [0x32] = 'R',  [0x33] = 'I',  [0x34] = '1',  [0x35] = '0',
	};

	while ((size_t)1 << log < p->len)
		log++;
	q[0x27] = (uint8_t)log; /* bytes, rounded up to a power of two */
	st_le16(q + 0x2d, (uint16_t)(blocks - 1));
	st_le16(q + 0x2f, PFLASH_BLOCK / 256);
	return off < QUERY_LEN ? q[off] : 0;
}

static uint64_t pflash_read(void *ctx, uint64_t off, unsigned size)
{
	struct pflash *p = ctx;

	switch (p->s.mode) {
	case MODE_ARRAY: return p->block->host[off]; /* the access raced with the change */
	case MODE_ID: return identifier(p, off);
	case MODE_QUERY: return query(p, off);
	default: return p->s.status;
	}
}

/* ---- life ---- */

static int pflash_realize(struct dev *d, struct error *err)
{
	struct pflash *p = to_pflash(d);
	int r;

	if (!p->len || p->len % PFLASH_BLOCK || p->len / PFLASH_BLOCK > PFLASH_BLOCKS_MAX)
		return error_set(err, -EINVAL,
				 "a flash chip of %zu bytes: use a multiple of 4 KiB, up to %u MiB",
				 p->len, PFLASH_BLOCKS_MAX * PFLASH_BLOCK / (1u << 20));
	/* Blocks live as long as the space: a second device of this name takes the first one's. */
	p->block = mem_block_find(d->sv->mem, d->id);
	if (p->block && p->block->size != p->len)
		return error_set(err, -EEXIST, "'%s': memory of that name is there already", d->id);
	r = p->block ? 0 : mem_ram_new(d->sv->mem, d->id, p->len, &p->block, err);
	if (r < 0)
		return r;
	if (p->contents)
		memcpy(p->block->host, p->contents, p->len);
	else
		memset(p->block->host, 0xff, p->len);
	p->region = (struct bus_region){.name = d->id,
					.size = p->len,
					.valid = WIDTH_ANY,
					.impl = WIDTH_1,
					.read = pflash_read,
					.write = pflash_write,
					.ctx = p};
	r = bus_map_rom(d->sv->bus, &p->region, p->block, 0, p->gpa, MEM_PRIO_ROM, err);
	p->as_array = true;
	return r;
}

static int pflash_quiesce(struct dev *d)
{
	flush(to_pflash(d));
	return 0;
}

static void pflash_unrealize(struct dev *d)
{
	struct pflash *p = to_pflash(d);

	if (!p->block)
		return;
	flush(p);
	bus_unmap_mmio(d->sv->bus, &p->region);
}

/* RP# low: J3, 3.6. */
static void pflash_reset(struct dev *d, enum dev_reset kind)
{
	struct pflash *p = to_pflash(d);

	flush(p);
	memset(&p->s, 0, sizeof(p->s));
	p->s.status = SR_READY;
	map(p);
}

static int pflash_loaded(struct dev *d, struct error *err)
{
	struct pflash *p = to_pflash(d);

	p->s.status &= SR_ALL;
	if (p->s.buf_block >= p->len || p->s.buf_block % PFLASH_BLOCK || p->s.buf_first >= p->len ||
	    p->s.buf_n > p->s.buf_len)
		return error_set(err, -EINVAL, "'%s': the write buffer is not inside the chip",
				 d->id);
	/* The whole buffer lies in its block, or bytes of it would be written past the chip. */
	if (p->s.mode >= MODE_BUF_DATA &&
	    (!p->s.buf_len || (p->s.mode == MODE_BUF_CONFIRM) != (p->s.buf_n == p->s.buf_len)))
		return error_set(err, -EINVAL, "'%s': the write buffer's count is wrong", d->id);
	for (unsigned i = 0; i < PFLASH_BUFFER && p->s.mode >= MODE_BUF_DATA && p->s.buf_n; i++)
		if (p->s.buf_set[i] &&
		    (i >= p->s.buf_len ||
		     align_down(p->s.buf_first + i, PFLASH_BLOCK) != p->s.buf_block))
			return error_set(err, -EINVAL,
					 "'%s': the write buffer is not inside its block", d->id);
	map(p);
	/* The contents came with the state: the file has others. */
	p->dirty_lo = 0;
	p->dirty_hi = p->len;
	flush(p);
	return 0;
}

/* clang-format off */
static const struct state_field pflash_fields[] = {
	STATE_VAL(struct pflash_regs, mode, .max = MODE_MAX),
	STATE_VAL(struct pflash_regs, status),
	STATE_VAL(struct pflash_regs, buf_len, .max = PFLASH_BUFFER),
	STATE_VAL(struct pflash_regs, buf_n, .max = PFLASH_BUFFER),
	STATE_VAL(struct pflash_regs, buf_block),
	STATE_VAL(struct pflash_regs, buf_first),
	STATE_BYTES_OF(struct pflash_regs, buf),
	STATE_ARRAY(struct pflash_regs, buf_set, .max = 1),
	STATE_BYTES_OF(struct pflash_regs, locked),
	STATE_END};
/* clang-format on */

static const struct state_desc pflash_state =
	STATE_DESC("pflash", 1, struct pflash_regs, pflash_fields);

const struct dev_class pflash_class = {
	.name = "pflash",
	.summary = "NOR flash for EFI variables",
	.spec = "Intel 28F128J3 data sheet 290667-009; JESD68.01 (CFI)",
	.size = sizeof(struct pflash),
	.regs_offset = offsetof(struct pflash, s),
	.state = &pflash_state,
	.realize = pflash_realize,
	.unrealize = pflash_unrealize,
	.reset = pflash_reset,
	.quiesce = pflash_quiesce,
	.loaded = pflash_loaded,
};

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Port and MMIO dispatch (bus/bus.h).
 *
 * Width rules. A device callback only ever sees an access that its `impl` mask names, naturally
 * aligned within its region and wholly inside it; everything else is made out of those:
 *  - wider than implemented: split into the widest implemented pieces, low address first, which is
 *    what bus bridges do with byte enables;
 *  - narrower than implemented: the enclosing implemented access, the bytes picked out of it; a
 *    write reads the rest first. A region with write-1-to-clear bits or reads with side effects
 *    must therefore implement the narrow widths itself;
 *  - a width that is not valid: reads give all ones, writes go nowhere. The exception is 8 bytes on
 *    a region that takes 4: two 4-byte accesses, as on PCI;
 *  - bytes outside the region: all ones, dropped.
 *
 * Locks: bus->lock is taken by the four dispatch functions; the caller holds it elsewhere.
 */
#include "bus/bus.h"

#include <errno.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/log.h"

enum { PORT_COUNT = 65536 };

int bus_init(struct bus *bus, struct mem_space *mem, struct error *err)
{
	*bus = (struct bus){.mem = mem};
	bus->ports = xtry_calloc(PORT_COUNT, sizeof(struct bus_region *));
	if (!bus->ports)
		return error_set(err, -ENOMEM, "no memory for the port table (%zu bytes)",
				 PORT_COUNT * sizeof(struct bus_region *));
	pthread_mutex_init(&bus->lock, NULL);
	loop_gate_init(&bus->gate);
	msi_bus_init(&bus->msi);
	return 0;
}

void bus_lock_nests(struct bus *bus)
{
	pthread_mutexattr_t attr;

	pthread_mutex_destroy(&bus->lock);
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_RECURSIVE);
	pthread_mutex_init(&bus->lock, &attr);
	pthread_mutexattr_destroy(&attr);
}

void bus_done(struct bus *bus)
{
	if (!bus->ports)
		return;
	free(bus->ports);
	bus->ports = NULL;
	pthread_mutex_destroy(&bus->lock);
	loop_gate_done(&bus->gate);
}

static unsigned valid_of(const struct bus_region *r)
{
	return r->valid ? r->valid : WIDTH_124;
}

static unsigned impl_of(const struct bus_region *r)
{
	return r->impl ? r->impl : valid_of(r);
}

/* The widest implemented access that is aligned at @off and no longer than @size; 0 if none. */
static unsigned piece(const struct bus_region *r, uint64_t off, unsigned size)
{
	for (unsigned w = 8; w; w >>= 1)
		if ((impl_of(r) & w) && w <= size && (r->unaligned || !(off & (w - 1))))
			return w;
	return 0;
}

/* The narrowest implemented access that holds the byte at @off and fits in the region; 0 if none.
 */
static unsigned enclosing(const struct bus_region *r, uint64_t off)
{
	for (unsigned w = 1; w <= 8; w <<= 1)
		if ((impl_of(r) & w) && align_down(off, w) + w <= r->size)
			return w;
	return 0;
}

static bool width_valid(const struct bus_region *r, unsigned size)
{
	unsigned valid = valid_of(r);

	return (valid & size) || (size == 8 && (valid & WIDTH_4));
}

uint64_t bus_region_read(const struct bus_region *r, uint64_t off, unsigned size)
{
	uint64_t val = 0;
	unsigned w;

	if (!r->read || !width_valid(r, size))
		return mask_bytes(size);
	for (unsigned done = 0; done < size; done += w) {
		uint64_t at = off + done, part;

		if (at >= r->size || at < off) {
			w = 1;
			part = 0xff;
		} else if ((w = piece(r, at, (unsigned)MIN(size - done, r->size - at)))) {
			part = r->read(r->ctx, at, w) & mask_bytes(w);
		} else {
			unsigned big = enclosing(r, at);
			uint64_t base = align_down(at, big ? big : 1);

			/* As many bytes of the enclosing access as this one wants. */
			w = big ? (unsigned)MIN(size - done, base + big - at) : 1;
			part = big ? r->read(r->ctx, base, big) >> ((at - base) * 8) : 0xff;
			part &= mask_bytes(w);
		}
		val |= part << (done * 8);
	}
	return val;
}

void bus_region_write(const struct bus_region *r, uint64_t off, unsigned size, uint64_t val)
{
	unsigned w;

	if (!r->write || !width_valid(r, size))
		return;
	for (unsigned done = 0; done < size; done += w) {
		uint64_t at = off + done, part = val >> (done * 8);

		if (at >= r->size || at < off) {
			w = 1;
		} else if ((w = piece(r, at, (unsigned)MIN(size - done, r->size - at)))) {
			r->write(r->ctx, at, w, part & mask_bytes(w));
		} else {
			unsigned big = enclosing(r, at);
			uint64_t base = align_down(at, big ? big : 1), old;

			w = big ? (unsigned)MIN(size - done, base + big - at) : 1;
			if (!big)
				continue;
			old = r->read ? r->read(r->ctx, base, big) : 0;
			old = field_set(old, (unsigned)(at - base) * 8, w * 8, part);
			r->write(r->ctx, base, big, old & mask_bytes(big));
		}
	}
}

int bus_map_pio(struct bus *bus, struct bus_region *r, uint32_t port, struct error *err)
{
	if (!r->size || port >= PORT_COUNT || r->size > PORT_COUNT - port)
		return error_set(err, -EINVAL,
				 "ports of '%s' do not fit: %llu ports from 0x%x, but ports end at "
				 "0xffff",
				 r->name, (unsigned long long)r->size, port);
	if (r->mapped)
		return error_set(err, -EINVAL, "region '%s' is mapped already", r->name);
	for (uint32_t i = 0; i < r->size; i++)
		if (bus->ports[port + i])
			return error_set(err, -EEXIST,
					 "port 0x%x is claimed by both '%s' and '%s'; give one of "
					 "them another address",
					 port + i, bus->ports[port + i]->name, r->name);
	for (uint32_t i = 0; i < r->size; i++)
		bus->ports[port + i] = r;
	r->port = port;
	r->mapped = true;
	return 0;
}

void bus_unmap_pio(struct bus *bus, struct bus_region *r)
{
	if (!r->mapped || r->map)
		return;
	for (uint32_t i = 0; i < r->size; i++)
		if (bus->ports[r->port + i] == r)
			bus->ports[r->port + i] = NULL;
	r->mapped = false;
}

static uint64_t region_mmio_read(void *ctx, uint64_t off, unsigned size)
{
	return bus_region_read(ctx, off, size);
}

static void region_mmio_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	bus_region_write(ctx, off, size, val);
}

int bus_map_mmio(struct bus *bus, struct bus_region *r, gpa_t gpa, int prio, struct error *err)
{
	int ret;

	if (r->mapped)
		return error_set(err, -EINVAL, "region '%s' is mapped already", r->name);
	r->io = (struct mem_io){r->name, region_mmio_read, region_mmio_write, r};
	ret = mem_map_io(bus->mem, gpa, r->size, &r->io, prio, &r->map, err);
	if (ret)
		return ret;
	r->mapped = true;
	return 0;
}

int bus_map_rom(struct bus *bus, struct bus_region *r, struct ram_block *block, uint64_t off,
		gpa_t gpa, int prio, struct error *err)
{
	int ret;

	if (r->mapped)
		return error_set(err, -EINVAL, "region '%s' is mapped already", r->name);
	r->io = (struct mem_io){r->name, region_mmio_read, region_mmio_write, r};
	ret = mem_map_rom(bus->mem, r->name, gpa, block, off, r->size, &r->io, prio, &r->map, err);
	if (ret == 0)
		r->mapped = true;
	return ret;
}

void bus_unmap_mmio(struct bus *bus, struct bus_region *r)
{
	if (!r->mapped || !r->map)
		return;
	mem_unmap(bus->mem, r->map);
	r->map = NULL;
	r->mapped = false;
}

static struct bus_region *port_owner(struct bus *bus, uint32_t port)
{
	/* A 16- or 32-bit access at 0xffff reaches past the last port; nobody decodes those. */
	return port < PORT_COUNT ? bus->ports[port] : NULL;
}

/* True when one region owns all @size ports from @port. */
static bool one_owner(struct bus *bus, uint32_t port, unsigned size)
{
	struct bus_region *r = port_owner(bus, port);

	return r && port + size <= r->port + r->size;
}

/* Who claims a port or an address; "-": nobody. Bus lock held. */
static const char *claimant(struct bus *bus, bool pio, uint64_t at)
{
	struct mem_ref ref;

	if (pio)
		return bus->ports[at] ? bus->ports[at]->name : "-";
	mem_lookup(bus->mem, at, &ref);
	return ref.kind == MEM_IO ? ref.io->name : ref.kind == MEM_NONE ? "-" : "memory";
}

static void trace(struct bus *bus, bool pio, const char *what, uint64_t at, unsigned size,
		  uint64_t val, const char *who)
{
	log_trace("io: %s %s %0*llx %0*llx (%s)", pio ? "port" : "mmio", what, pio ? 4 : 8,
		  (unsigned long long)at, (int)size * 2,
		  (unsigned long long)(val & mask_bytes(size)), who);
}

static uint32_t pio_read_locked(struct bus *bus, uint32_t port, unsigned size)
{
	struct bus_region *r = port_owner(bus, port);

	if (!r || !r->read) {
		bus->count.unclaimed++;
		return (uint32_t)mask_bytes(size);
	}
	return (uint32_t)bus_region_read(r, port - r->port, size);
}

uint32_t bus_pio_read(struct bus *bus, uint16_t port, unsigned size)
{
	uint32_t val = 0;

	bus_lock(bus);
	bus->count.pio_reads++;
	if (size == 1 || one_owner(bus, port, size)) {
		val = pio_read_locked(bus, port, size);
	} else {
		for (unsigned i = 0; i < size; i++)
			val |= pio_read_locked(bus, port + i, 1) << (i * 8);
	}
	if (UNLIKELY(bus->trace_io))
		trace(bus, true, "read", port, size, val, claimant(bus, true, port));
	bus_unlock(bus);
	return val;
}

static void pio_write_locked(struct bus *bus, uint32_t port, unsigned size, uint32_t val)
{
	struct bus_region *r = port_owner(bus, port);

	if (!r || !r->write)
		bus->count.unclaimed++;
	else
		bus_region_write(r, port - r->port, size, val & mask_bytes(size));
}

void bus_pio_write(struct bus *bus, uint16_t port, unsigned size, uint32_t val)
{
	bus_lock(bus);
	bus->count.pio_writes++;
	if (UNLIKELY(bus->trace_io))
		trace(bus, true, "write", port, size, val, claimant(bus, true, port));
	if (size == 1 || one_owner(bus, port, size)) {
		pio_write_locked(bus, port, size, val);
	} else {
		/* The owner is looked up again for each byte: the write of one may unmap the next.
		 */
		for (unsigned i = 0; i < size; i++)
			pio_write_locked(bus, port + i, 1, (val >> (i * 8)) & 0xff);
	}
	bus_unlock(bus);
}

static uint64_t mmio_read_locked(struct bus *bus, gpa_t gpa, unsigned size)
{
	struct mem_ref ref;
	uint64_t val = 0;
	uint8_t bytes[8];

	mem_lookup(bus->mem, gpa, &ref);
	if (size > 1 && (ref.kind == MEM_NONE || gpa - ref.start + size > ref.len)) {
		for (unsigned i = 0; i < size; i++)
			val |= mmio_read_locked(bus, gpa + i, 1) << (i * 8);
		return val;
	}
	switch (ref.kind) {
	case MEM_IO:
		if (ref.io->read)
			return ref.io->read(ref.io->ctx, ref.io_off, size) & mask_bytes(size);
		break;
	case MEM_RAM:
	case MEM_ROM:
		if (mem_read(bus->mem, gpa, bytes, size) == 0)
			return ld_le(bytes, size);
		break;
	case MEM_NONE: break;
	}
	bus->count.unclaimed++;
	return mask_bytes(size);
}

uint64_t bus_mmio_read(struct bus *bus, gpa_t gpa, unsigned size)
{
	uint64_t val;

	bus_lock(bus);
	bus->count.mmio_reads++;
	val = mmio_read_locked(bus, gpa, size);
	if (UNLIKELY(bus->trace_io))
		trace(bus, false, "read", gpa, size, val, claimant(bus, false, gpa));
	bus_unlock(bus);
	return val;
}

static void mmio_write_locked(struct bus *bus, gpa_t gpa, unsigned size, uint64_t val)
{
	struct mem_ref ref;
	uint8_t bytes[8];

	mem_lookup(bus->mem, gpa, &ref);
	if (size > 1 && (ref.kind == MEM_NONE || gpa - ref.start + size > ref.len)) {
		for (unsigned i = 0; i < size; i++)
			mmio_write_locked(bus, gpa + i, 1, (val >> (i * 8)) & 0xff);
		return;
	}
	switch (ref.kind) {
	case MEM_IO:
		if (ref.io->write) {
			ref.io->write(ref.io->ctx, ref.io_off, size, val & mask_bytes(size));
			return;
		}
		break;
	case MEM_RAM:
		/* The map changed between the CPU's lookup and this one. */
		st_le(bytes, size, val);
		if (mem_write(bus->mem, gpa, bytes, size) == 0)
			return;
		break;
	case MEM_ROM: /* without a callback writes are lost */
		if (ref.io && ref.io->write)
			ref.io->write(ref.io->ctx, ref.io_off, size, val & mask_bytes(size));
		return;
	case MEM_NONE: break;
	}
	bus->count.unclaimed++;
}

static void mmio_write(struct bus *bus, gpa_t gpa, unsigned size, uint64_t val, bool by_smm)
{
	bus_lock(bus);
	bus->by_smm = by_smm;
	bus->count.mmio_writes++;
	if (UNLIKELY(bus->trace_io))
		trace(bus, false, "write", gpa, size, val, claimant(bus, false, gpa));
	mmio_write_locked(bus, gpa, size, val);
	bus->by_smm = false;
	bus_unlock(bus);
}

void bus_mmio_write(struct bus *bus, gpa_t gpa, unsigned size, uint64_t val)
{
	mmio_write(bus, gpa, size, val, false);
}

void bus_mmio_write_smm(struct bus *bus, gpa_t gpa, unsigned size, uint64_t val)
{
	mmio_write(bus, gpa, size, val, true);
}

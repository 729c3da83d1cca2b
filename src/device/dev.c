/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a device (device/dev.h): regions, realize, reset, state, guest errors.
 */
#include "device/dev.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"

/* What a region's callbacks get as context. Lives behind the array of bus regions, in one piece of
 * memory with it. */
struct claim {
	struct dev *d;
	const struct dev_region *def;
};

static uint64_t claim_read(void *ctx, uint64_t off, unsigned size)
{
	const struct claim *c = ctx;

	return c->def->read(c->d, off, size);
}

static void claim_write(void *ctx, uint64_t off, unsigned size, uint64_t val)
{
	const struct claim *c = ctx;

	c->def->write(c->d, off, size, val);
}

static unsigned region_count(const struct dev_class *cls)
{
	unsigned n = 0;

	while (cls->regions && cls->regions[n].name)
		n++;
	return n;
}

struct dev *dev_new(const struct dev_class *cls, const char *id, const struct dev_services *sv)
{
	struct dev *d = xcalloc(1, cls->size);
	unsigned n = region_count(cls);
	struct claim *claims;

	d->cls = cls;
	d->id = xstrdup(id);
	d->sv = sv;
	list_init(&d->node);
	if (!n)
		return d;
	d->regions = xcalloc(n, sizeof(struct bus_region) + sizeof(struct claim));
	claims = (struct claim *)(d->regions + n);
	for (unsigned i = 0; i < n; i++) {
		const struct dev_region *def = &cls->regions[i];

		claims[i] = (struct claim){d, def};
		d->regions[i] = (struct bus_region){.name = def->name,
						    .size = def->size,
						    .valid = def->valid,
						    .impl = def->impl,
						    .read = def->read ? claim_read : NULL,
						    .write = def->write ? claim_write : NULL,
						    .ctx = &claims[i]};
	}
	return d;
}

static void unmap_regions(struct dev *d)
{
	for (unsigned i = region_count(d->cls); i-- > 0;) {
		if (d->cls->regions[i].space == DEV_PIO)
			bus_unmap_pio(d->sv->bus, &d->regions[i]);
		else
			bus_unmap_mmio(d->sv->bus, &d->regions[i]);
	}
}

static int map_regions(struct dev *d, struct error *err)
{
	unsigned n = region_count(d->cls);
	int r = 0;

	for (unsigned i = 0; i < n && !r; i++) {
		const struct dev_region *def = &d->cls->regions[i];
		uint64_t base = d->base + def->base;

		if (def->space == DEV_MMIO)
			r = bus_map_mmio(d->sv->bus, &d->regions[i], base, MEM_PRIO_IO, err);
		else if (base > UINT16_MAX)
			r = error_set(err, -EINVAL, "port 0x%llx is beyond 0xffff",
				      (unsigned long long)base);
		else
			r = bus_map_pio(d->sv->bus, &d->regions[i], (uint32_t)base, err);
	}
	return r;
}

int dev_realize(struct dev *d, struct error *err)
{
	int r = map_regions(d, err);

	if (!r && d->cls->realize) {
		r = d->cls->realize(d, err);
		if (r && d->cls->unrealize)
			d->cls->unrealize(d);
	}
	if (r) {
		unmap_regions(d);
		error_add(err, "device '%s' (%s): ", d->id, d->cls->name);
		return r;
	}
	d->realized = true;
	dev_reset(d, DEV_RESET_COLD);
	return 0;
}

void dev_free(struct dev *d)
{
	if (!d)
		return;
	if (d->realized) {
		if (d->cls->unrealize)
			d->cls->unrealize(d);
		unmap_regions(d);
	}
	list_remove(&d->node);
	free(d->regions);
	free(d->id);
	free(d);
}

void dev_reset(struct dev *d, enum dev_reset kind)
{
	if (d->cls->reset)
		d->cls->reset(d, kind);
}

void *dev_regs(struct dev *d)
{
	return (char *)d + d->cls->regs_offset;
}

void dev_save(struct dev *d, struct state_writer *w)
{
	state_save(w, d->id, d->cls->state, dev_regs(d));
}

int dev_load(struct dev *d, struct state_reader *r, struct error *err)
{
	int ret = state_load(r, d->id, d->cls->state, dev_regs(d), err);

	if (ret || !d->cls->loaded)
		return ret;
	ret = d->cls->loaded(d, err);
	if (ret)
		error_add(err, "state of '%s' (%s): ", d->id, d->cls->name);
	return ret;
}

enum { GUEST_ERRORS_SHOWN = 5 };

void guest_error(struct dev *d, const char *fmt, ...)
{
	uint64_t n = atomic_fetch_add(&d->guest_errors, 1) + 1;
	char text[200];
	va_list ap;

	bool all = d->sv->bus && d->sv->bus->trace_errors;

	/* A guest can do odd things millions of times a second; the log must not grow with it. */
	if (!all && n > GUEST_ERRORS_SHOWN && (n & (n - 1)))
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (all)
		log_trace("%s/%s: guest error %llu: %s", d->cls->name, d->id, (unsigned long long)n,
			  text);
	else
		log_info("%s/%s: guest error %llu: %s", d->cls->name, d->id, (unsigned long long)n,
			 text);
}

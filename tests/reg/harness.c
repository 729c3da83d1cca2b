/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The register test machine (harness.h).
 */
#include "harness.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static void record_irq(void *ctx, unsigned pin, bool level)
{
	struct harness *h = ctx;

	h->pins[pin].level = level;
	h->pins[pin].rises += level;
	h->pins[pin].falls += !level;
}

static void record_msi(void *ctx, uint64_t addr, uint32_t data)
{
	struct harness *h = ctx;

	h->msis[h->n_msis++ % HARNESS_MSIS] = (struct harness_msi){addr, data};
}

struct harness *harness_new(void)
{
	struct harness *h = xnew(struct harness);
	struct error err = {0};

	if (mem_space_new(&h->mem, &err) ||
	    mem_ram_new(h->mem, "ram", HARNESS_RAM, &h->ram, &err) ||
	    mem_map_ram(h->mem, "ram", 0, h->ram, 0, HARNESS_RAM, false, MEM_PRIO_RAM, &h->ram_map,
			&err) ||
	    bus_init(&h->bus, h->mem, &err) || loop_new(&h->bus.lock, &h->loop, &err))
		fail_msg("harness: %s", err.text);
	h->bus.msi.deliver = record_msi;
	h->bus.msi.ctx = h;
	h->clock = clock_new(NULL);
	clock_set_wall_base(h->clock, HARNESS_WALL_S * NS_PER_SEC);
	clock_start(h->clock);
	h->sv = (struct dev_services){
		.bus = &h->bus, .clock = h->clock, .mem = h->mem, .loop = h->loop};
	return h;
}

void harness_free(struct harness *h)
{
	while (h->n_devs)
		dev_free(h->devs[--h->n_devs]);
	loop_free(h->loop);
	clock_free(h->clock);
	bus_done(&h->bus);
	mem_space_free(h->mem);
	free(h);
}

void harness_irq(struct harness *h, struct irq *line, unsigned pin)
{
	assert_true(pin < HARNESS_PINS);
	irq_init(line, record_irq, h, pin);
}

void harness_realize(struct harness *h, struct dev *d)
{
	struct error err = {0};
	int r;

	assert_true(h->n_devs < HARNESS_DEVS);
	bus_lock(&h->bus);
	r = dev_realize(d, &err);
	bus_unlock(&h->bus);
	if (r)
		fail_msg("%s", err.text);
	h->devs[h->n_devs++] = d;
}

void harness_step(struct harness *h, ns_t ns)
{
	bus_lock(&h->bus);
	clock_step(h->clock, ns);
	bus_unlock(&h->bus);
}

void harness_loop(struct harness *h, int timeout_ms)
{
	assert_int_equal(loop_run_once(h->loop, timeout_ms), 0);
}

void harness_clear(struct harness *h)
{
	for (unsigned i = 0; i < HARNESS_PINS; i++)
		h->pins[i].rises = h->pins[i].falls = 0;
	h->n_msis = 0;
}

void harness_check_state_roundtrip(struct dev *d)
{
	struct state_writer *w1 = state_writer_new(), *w2 = state_writer_new();
	const char *gap = "";
	const uint8_t *b1, *b2;
	struct state_reader *r;
	struct error err = {0};
	size_t n1, n2, unnamed;
	uint8_t *bad;

	assert_non_null(d->cls->state);
	unnamed = state_unnamed_bytes(d->cls->state, &gap);
	if (unnamed)
		fail_msg("%s: %zu bytes are not named by the state table, near '%s'", d->cls->name,
			 unnamed, gap);
	if (state_check(d->cls->state, dev_regs(d), &err))
		fail_msg("%s", err.text);
	pthread_mutex_lock(&d->sv->bus->lock);
	dev_save(d, w1);
	b1 = state_writer_finish(w1, &n1);
	if (state_reader_new(b1, n1, &r, &err) || dev_load(d, r, &err) || state_reader_end(r, &err))
		fail_msg("%s", err.text);
	state_reader_free(r);
	dev_save(d, w2);
	pthread_mutex_unlock(&d->sv->bus->lock);
	b2 = state_writer_finish(w2, &n2);
	assert_int_equal(n1, n2);
	assert_memory_equal(b1, b2, n1);
	bad = xcalloc(n1, 1);
	memcpy(bad, b1, n1);
	bad[n1 / 2] ^= 0x10;
	assert_int_not_equal(state_reader_new(bad, n1, &r, &err), 0);
	free(bad);
	state_writer_free(w1);
	state_writer_free(w2);
}

uint8_t inb(struct harness *h, uint16_t port)
{
	return (uint8_t)bus_pio_read(&h->bus, port, 1);
}

uint16_t inw(struct harness *h, uint16_t port)
{
	return (uint16_t)bus_pio_read(&h->bus, port, 2);
}

uint32_t inl(struct harness *h, uint16_t port)
{
	return bus_pio_read(&h->bus, port, 4);
}

void outb(struct harness *h, uint16_t port, uint8_t v)
{
	bus_pio_write(&h->bus, port, 1, v);
}

void outw(struct harness *h, uint16_t port, uint16_t v)
{
	bus_pio_write(&h->bus, port, 2, v);
}

void outl(struct harness *h, uint16_t port, uint32_t v)
{
	bus_pio_write(&h->bus, port, 4, v);
}

uint8_t readb(struct harness *h, gpa_t gpa)
{
	return (uint8_t)bus_mmio_read(&h->bus, gpa, 1);
}

uint16_t readw(struct harness *h, gpa_t gpa)
{
	return (uint16_t)bus_mmio_read(&h->bus, gpa, 2);
}

uint32_t readl(struct harness *h, gpa_t gpa)
{
	return (uint32_t)bus_mmio_read(&h->bus, gpa, 4);
}

uint64_t readq(struct harness *h, gpa_t gpa)
{
	return bus_mmio_read(&h->bus, gpa, 8);
}

void writeb(struct harness *h, gpa_t gpa, uint8_t v)
{
	bus_mmio_write(&h->bus, gpa, 1, v);
}

void writew(struct harness *h, gpa_t gpa, uint16_t v)
{
	bus_mmio_write(&h->bus, gpa, 2, v);
}

void writel(struct harness *h, gpa_t gpa, uint32_t v)
{
	bus_mmio_write(&h->bus, gpa, 4, v);
}

void writeq(struct harness *h, gpa_t gpa, uint64_t v)
{
	bus_mmio_write(&h->bus, gpa, 8, v);
}

uint8_t *ram(struct harness *h, gpa_t gpa)
{
	assert_true(gpa < HARNESS_RAM);
	return h->ram->host + gpa;
}

static void expect(const struct reg_row *row, size_t index, const char *what, uint64_t got)
{
	uint64_t mask = row->mask ? row->mask : UINT64_MAX;

	if ((got & mask) == (row->val & mask))
		return;
	fail_msg("row %zu: %s 0x%" PRIx64 ": got 0x%" PRIx64 ", want 0x%" PRIx64 " (mask 0x%" PRIx64
		 ") [%s]",
		 index, what, row->at, got, row->val, mask, row->cite ? row->cite : "");
}

static struct harness_pin *pin_of(struct harness *h, const struct reg_row *row)
{
	assert_true(row->at < HARNESS_PINS);
	return &h->pins[row->at];
}

static void run_row(struct harness *h, const struct reg_row *row, size_t i)
{
	static const unsigned widths[4] = {1, 2, 4, 8};

	switch (row->op) {
	case IN8:
	case IN16:
	case IN32:
		expect(row, i, "port",
		       bus_pio_read(&h->bus, (uint16_t)row->at, widths[row->op - IN8]));
		break;
	case OUT8:
	case OUT16:
	case OUT32:
		bus_pio_write(&h->bus, (uint16_t)row->at, widths[row->op - OUT8],
			      (uint32_t)row->val);
		break;
	case READ8:
	case READ16:
	case READ32:
	case READ64:
		expect(row, i, "address", bus_mmio_read(&h->bus, row->at, widths[row->op - READ8]));
		break;
	case WRITE8:
	case WRITE16:
	case WRITE32:
	case WRITE64: bus_mmio_write(&h->bus, row->at, widths[row->op - WRITE8], row->val); break;
	case STEP: harness_step(h, row->val); break;
	case LEVEL: expect(row, i, "level of pin", pin_of(h, row)->level); break;
	case RISES:
		expect(row, i, "rises of pin", pin_of(h, row)->rises);
		pin_of(h, row)->rises = 0;
		break;
	case FALLS:
		expect(row, i, "falls of pin", pin_of(h, row)->falls);
		pin_of(h, row)->falls = 0;
		break;
	case MSIS:
		expect(row, i, "MSIs", h->n_msis);
		h->n_msis = 0;
		break;
	case CLEAR: harness_clear(h); break;
	}
}

void harness_run(struct harness *h, const struct reg_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		run_row(h, &rows[i], i);
}

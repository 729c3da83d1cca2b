/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A machine for register tests: the test is the CPU. 16 MiB of RAM at 0, a bus, a manual clock, a
 * loop, and recorders for interrupt lines and MSIs. Everything runs on the test's thread; the
 * accessors take the bus lock as a vCPU would, so call device functions directly only between them.
 *
 *   static const struct reg_row rows[] = {
 *           {OUT8, 0x43, 0x34, .cite = "8254 231164 p. 8: control word"},
 *           {STEP, .val = 1000000},
 *           {IN8, 0x61, 0x20, .mask = 0x20, .cite = "..."},
 *           {RISES, 0, 3, .cite = "..."},
 *   };
 *   struct harness *h = harness_new();
 *   struct my_dev *d = (struct my_dev *)dev_new(&my_class, "my0", &h->sv);
 *   harness_irq(h, &d->irq, 0);
 *   harness_realize(h, &d->dev);
 *   harness_run(h, rows, ARRAY_SIZE(rows));
 *   harness_check_state_roundtrip(&d->dev);
 *   harness_free(h);             // frees realized devices too
 */
#ifndef TESTS_REG_HARNESS_H
#define TESTS_REG_HARNESS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bits.h"
#include "device/dev.h"
#include "host/loop.h"

enum { HARNESS_PINS = 64, HARNESS_MSIS = 64, HARNESS_DEVS = 16 };
#define HARNESS_RAM (16 * MIB)

struct harness_pin {
	bool level;
	unsigned rises, falls;
};

struct harness_msi {
	uint64_t addr;
	uint32_t data;
};

struct harness {
	struct mem_space *mem;
	struct ram_block *ram;
	struct mem_mapping *ram_map; /* of all of `ram` at 0 */
	struct bus bus;
	struct loop *loop;   /* outer lock = bus lock; turn it with harness_loop() */
	struct clock *clock; /* manual, started, guest time 0, wall clock 2024-02-28 23:59:00 UTC */
	struct dev_services sv;
	struct harness_pin pins[HARNESS_PINS];
	struct harness_msi msis[HARNESS_MSIS]; /* the last ones: msis[n % HARNESS_MSIS] */
	unsigned n_msis;
	struct dev *devs[HARNESS_DEVS]; /* owned */
	unsigned n_devs;
};

/* Seconds since 1970 of the harness's wall clock at guest time 0. */
#define HARNESS_WALL_S 1709164740ull

struct harness *harness_new(void);
void harness_free(struct harness *h);

/** harness_irq() - connect @line to recorder pin @pin. */
void harness_irq(struct harness *h, struct irq *line, unsigned pin);
/** harness_realize() - realize (must succeed); the harness frees the device at the end. */
void harness_realize(struct harness *h, struct dev *d);
/** harness_step() - advance guest time by @ns under the bus lock. */
void harness_step(struct harness *h, ns_t ns);
/** harness_loop() - one turn of the loop, waiting at most @timeout_ms. */
void harness_loop(struct harness *h, int timeout_ms);
/** harness_clear() - forget edges and MSIs seen so far. */
void harness_clear(struct harness *h);

/** harness_check_state_roundtrip() - save, load, save: bytes equal; table complete; values in
 * range; a stream with a flipped byte is refused. Fails the test otherwise. */
void harness_check_state_roundtrip(struct dev *d);

uint8_t inb(struct harness *h, uint16_t port);
uint16_t inw(struct harness *h, uint16_t port);
uint32_t inl(struct harness *h, uint16_t port);
void outb(struct harness *h, uint16_t port, uint8_t v);
void outw(struct harness *h, uint16_t port, uint16_t v);
void outl(struct harness *h, uint16_t port, uint32_t v);
uint8_t readb(struct harness *h, gpa_t gpa);
uint16_t readw(struct harness *h, gpa_t gpa);
uint32_t readl(struct harness *h, gpa_t gpa);
uint64_t readq(struct harness *h, gpa_t gpa);
void writeb(struct harness *h, gpa_t gpa, uint8_t v);
void writew(struct harness *h, gpa_t gpa, uint16_t v);
void writel(struct harness *h, gpa_t gpa, uint32_t v);
void writeq(struct harness *h, gpa_t gpa, uint64_t v);
/** ram() - host pointer to guest RAM at @gpa. */
uint8_t *ram(struct harness *h, gpa_t gpa);

enum reg_op {
	IN8,
	IN16,
	IN32, /* read port @at; (value & mask) must equal val; mask 0 = all bits */
	OUT8,
	OUT16,
	OUT32, /* write val to port @at */
	READ8,
	READ16,
	READ32,
	READ64, /* likewise MMIO */
	WRITE8,
	WRITE16,
	WRITE32,
	WRITE64,
	STEP,  /* advance time by val ns */
	LEVEL, /* pin @at must be at level val */
	RISES, /* pin @at must have risen val times since the last RISES of that pin */
	FALLS,
	MSIS, /* val MSIs must have arrived since the last MSIS */
	CLEAR /* forget edges and MSIs */
};

struct reg_row {
	enum reg_op op;
	uint64_t at, val, mask;
	const char *cite; /* document, page or section, what it says */
};

/** harness_run() - run rows in order; the first that does not hold fails the test, naming it. */
void harness_run(struct harness *h, const struct reg_row *rows, size_t n);

#endif

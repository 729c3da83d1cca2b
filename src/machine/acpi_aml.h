/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small builder of ACPI Machine Language: enough for the DSDT of our machines. ACPI
 * Specification 6.4, chapter 20 (AML grammar) and 6.4 (resource data types).
 *
 * Objects that carry a PkgLength (scopes, devices, methods, packages, buffers, fields, If) are
 * opened and closed; the length is written in its shortest form when the object closes. The input
 * is our own code and configuration, so misuse (unbalanced close, a bad name) is a check().
 */
#ifndef MACHINE_ACPI_AML_H
#define MACHINE_ACPI_AML_H

#include "base/base.h"

#define AML_DEPTH 16

struct aml {
	uint8_t *buf; /* owned */
	size_t len, cap;
	struct {
		size_t at;    /* where the PkgLength goes */
		bool is_res;  /* a resource template: end tag and buffer size on close */
		size_t count; /* packages: where the element count stands; else 0 */
	} open[AML_DEPTH];
	unsigned depth;
};

void aml_init(struct aml *a);
void aml_done(struct aml *a);

/* Opcodes that callers combine with the term helpers below. ACPI 6.4, table 20.1 */
enum {
	AML_ZERO = 0x00,
	AML_ONE = 0x01,
	AML_STORE = 0x70,
	AML_AND = 0x7b,
	AML_OR = 0x7d,
	AML_LAND = 0x90,
	AML_LEQUAL = 0x93,
	AML_RETURN = 0xa4,
	AML_LOCAL0 = 0x60,
	AML_ARG0 = 0x68,
	AML_CREATE_DWORD_FIELD = 0x8a,
	AML_NOTIFY = 0x86,
};

/** aml_op() - one raw opcode byte. */
void aml_op(struct aml *a, uint8_t op);
/** aml_path() - a NameString: "\\_SB.PCI0", "^LNKA", "FOO"; segments are padded with '_'. */
void aml_path(struct aml *a, const char *path);
/** aml_int() - integer constant in the shortest encoding. */
void aml_int(struct aml *a, uint64_t v);
void aml_string(struct aml *a, const char *s);
/** aml_eisaid() - "PNP0A03" as the compressed 32-bit integer. ACPI 6.4, 19.3.4 */
void aml_eisaid(struct aml *a, const char *id);

/* Name (path, value) */
void aml_name(struct aml *a, const char *path); /* the value follows */
void aml_name_int(struct aml *a, const char *path, uint64_t v);
void aml_name_string(struct aml *a, const char *path, const char *s);
void aml_name_eisaid(struct aml *a, const char *path, const char *id);

void aml_open_scope(struct aml *a, const char *path);
void aml_open_device(struct aml *a, const char *name);
void aml_open_method(struct aml *a, const char *name, unsigned n_args, bool serialized);
/** aml_open_if() - the predicate follows, then the body. */
void aml_open_if(struct aml *a);
/** aml_open_package() - elements follow; @n of them. */
void aml_open_package(struct aml *a, uint8_t n);
/** aml_open_resources() - Buffer holding a resource template; descriptors follow. */
void aml_open_resources(struct aml *a);
void aml_close(struct aml *a);

enum { AML_SPACE_MEMORY = 0, AML_SPACE_IO = 1, AML_SPACE_PCI = 2 };
void aml_region(struct aml *a, const char *name, uint8_t space, uint64_t off, uint64_t len);
/** aml_open_field() - byte access, no lock, preserve; units follow (aml_field_unit). */
void aml_open_field(struct aml *a, const char *region);
void aml_field_unit(struct aml *a, const char *name, unsigned bits);

/* Resource descriptors, ACPI 6.4, 6.4.2 and 6.4.3. Sizes in bytes. */
void aml_res_io(struct aml *a, uint16_t base, uint8_t align, uint8_t len);
void aml_res_irq(struct aml *a, uint16_t mask); /* edge, high, exclusive */
/** aml_res_dma() - one 8-bit channel in compatibility mode. ACPI 6.4, 6.4.2.2 */
void aml_res_dma(struct aml *a, unsigned channel);
/** aml_res_interrupt() - extended interrupt descriptor with @n GSIs. */
void aml_res_interrupt(struct aml *a, bool level, bool shared, const uint32_t *gsi, unsigned n);
void aml_res_memory32(struct aml *a, uint32_t base, uint32_t len, bool writable);
void aml_res_bus(struct aml *a, uint16_t min, uint16_t max);
void aml_res_window_io(struct aml *a, uint16_t min, uint16_t max);
void aml_res_window_mem32(struct aml *a, uint32_t min, uint32_t max, bool cacheable);
void aml_res_window_mem64(struct aml *a, uint64_t min, uint64_t max);

#endif

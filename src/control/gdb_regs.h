/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers as gdb numbers them: one table for 64-bit and one for 32-bit targets, from which come
 * target.xml, the g/G/p/P packets and the sizes.
 */
#ifndef CONTROL_GDB_REGS_H
#define CONTROL_GDB_REGS_H

#include "cpu/x86/vcpu.h"

#define GDB_REG_MAX 32 /* bytes of the widest register */

/** gdb_reg_count() - registers of the 64-bit (@is64) or the 32-bit description. */
unsigned gdb_reg_count(bool is64);
/** gdb_reg_get() - copy register @n (target byte order) to @buf; returns its size in bytes, 0 when
 * there is no such register. vCPU paused. */
unsigned gdb_reg_get(const struct vcpu *v, bool is64, unsigned n, uint8_t buf[GDB_REG_MAX]);
/** gdb_reg_set() - write register @n from @buf; false when it is read-only or unknown. Selectors
 * are written without a descriptor load. vCPU paused; the caller recomputes derived state
 * afterwards. */
bool gdb_reg_set(struct vcpu *v, bool is64, unsigned n, const uint8_t *buf, unsigned len);
/** gdb_target_xml() - new string, the target description. Caller frees. */
char *gdb_target_xml(bool is64);

#endif

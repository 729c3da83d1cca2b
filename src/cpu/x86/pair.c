/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LOCKed accesses that cross a page ("split locks"). Intel SDM vol. 3, 9.1.2.2: they are atomic
 * like any other, against every access of every processor to any of the bytes.
 *
 * The two pages need not be neighbours in memory, and a host may make split locks of its own very
 * slow (Linux' split_lock_mitigate has the thread sleep for 10 ms, and a bus lock stalls everybody
 * else's work too). So the other vCPUs stop (stop.c), the operand is worked on in a copy, and they
 * go on: some 20 us.
 *
 * UNMODELLED: LOCKed accesses across a cache line inside a page are split locks of the host: exact,
 * but as slow as it makes them.
 *
 * Only pages that the TLB lets this vCPU write directly get here. MMIO, ROM and pages with watch
 * points do not. Nothing between begin and end may take a lock.
 */
#include "cpu/x86/internal.h"

#define PAGE 4096u

static gva_t second_page(const struct vcpu *v, gva_t lin)
{
	gva_t next = (lin | 0xfff) + 1;

	return x86_is_64(v) ? next : (uint32_t)next;
}

static unsigned first_bytes(gva_t lin)
{
	return PAGE - (unsigned)(lin & 0xfff);
}

int x86_split_begin(struct vcpu *v, gva_t lin, unsigned size, uint8_t *buf, bool *ret_begun)
{
	struct x86_tlb_entry *a, *b;
	unsigned first = first_bytes(lin);

	*ret_begun = false;
	if (size <= first)
		return X86_OK;
	if (x86_probe(v, lin, size, X86_ACC_WRITE))
		return X86_FAULT;
	a = x86_tlb_hit(v, lin, 1, X86_ACC_WRITE);
	b = x86_tlb_hit(v, second_page(v, lin), 1, X86_ACC_WRITE);
	if (!a || !b)
		return X86_OK;
	x86_stop_others(v);
	memcpy(buf, a->host + (lin & 0xfff), first);
	memcpy(buf + first, b->host, size - first);
	*ret_begun = true;
	return X86_OK;
}

void x86_split_end(struct vcpu *v, gva_t lin, unsigned size, const uint8_t *buf)
{
	gva_t next = second_page(v, lin);
	struct x86_tlb_entry *a = x86_tlb_hit(v, lin, 1, X86_ACC_WRITE);
	struct x86_tlb_entry *b = x86_tlb_hit(v, next, 1, X86_ACC_WRITE);
	unsigned first = first_bytes(lin);

	/* Nothing between the two calls flushes the TLB. */
	check(a && b);
	if (buf) {
		memcpy(a->host + (lin & 0xfff), buf, first);
		memcpy(b->host, buf + first, size - first);
	}
	x86_stop_end(v);
	if (buf) {
		x86_stored(v, a, lin, first);
		x86_stored(v, b, next, size - first);
	}
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The lockstep engine from the inside: snapshots of a vCPU (lockstep.c), of the pages that a block
 * stores to (pages.c), and the report of a difference (report.c).
 */
#ifndef ENGINE_LOCKSTEP_LOCKSTEP_H
#define ENGINE_LOCKSTEP_LOCKSTEP_H

#include "engine/interp/interp.h"

/* Everything of a vCPU that a block may change, memory aside. */
struct ls_snap {
	struct x86_state s;
	uint64_t next_rip;
	uint32_t mode, request;
	uint8_t cpl, tlb_table;
	bool irq_waiting, no_step;
	uint64_t tlb_gen;
	uint32_t tlb_next_gen;
	struct vcpu_counters count;
	int r; /* what running came to */
};

#define LS_PAGES   256u  /* a block that stores to more is not compared */
#define LS_ENTRIES 1024u /* TLB entries with a write tag that are remembered one by one */

/* A page some block stored to. */
struct ls_page {
	struct ram_block *block;
	uint64_t off; /* of the page in the block */
	uint64_t granules;
	uint8_t code; /* the page's code byte before */
	uint8_t *before, *after;
};

struct ls_pages {
	bool active;   /* a comparison is under way */
	bool overflow; /* too many pages */
	unsigned n;
	struct ls_page page[LS_PAGES];
	unsigned n_entries;
	bool all_entries; /* more than LS_ENTRIES */
	struct x86_tlb_entry *entry[LS_ENTRIES];
	uint8_t *memory; /* LS_PAGES * 2 pages */
};

/* pages.c */
int ls_pages_init(struct ls_pages *p, struct error *err) MUST_CHECK;
void ls_pages_done(struct ls_pages *p);
/** ls_pages_store() - the write tag of @e has been set for a store. */
void ls_pages_store(struct ls_pages *p, const struct interp_vm *ivm, struct x86_tlb_entry *e);
/** ls_pages_begin/end() - around a comparison. Afterwards no TLB entry has a write tag. */
void ls_pages_begin(struct ls_pages *p, struct vcpu *v);
void ls_pages_end(struct ls_pages *p, struct vcpu *v);
/** ls_pages_undo() - put back what the pages held; @keep: what they hold now goes to page.after. */
void ls_pages_undo(struct ls_pages *p, struct interp_vm *ivm, bool keep);
/** ls_pages_differ() - the first page that does not hold page.after now, -1 if all do. */
int ls_pages_differ(const struct ls_pages *p);

/* report.c */
/** ls_states_differ() - is there a difference that a guest could see? */
bool ls_states_differ(const struct ls_snap *a, const struct ls_snap *b);
/** ls_report() - print a difference in full. @b: the block; @want, @got: interpreter, translator.
 */
void ls_report(struct vcpu *v, const struct block *b, const struct ls_snap *start,
	       const struct ls_snap *want, const struct ls_snap *got, const struct ls_pages *p);

#endif

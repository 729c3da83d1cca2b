/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verifier of translated code from the inside: verify.c walks the code, verify_value.c knows
 * what registers hold.
 */
#ifndef ENGINE_TRANSLATE_VERIFY_H
#define ENGINE_TRANSLATE_VERIFY_H

#include "engine/translate/xlat.h"

/* What is known of a register. */
enum value_kind {
	V_ANY,
	V_CONST,   /* n */
	V_BELOW,   /* at most n, zero-extended */
	V_INDEX,   /* 32 times the number of a slot found by page number */
	V_TABLE,   /* that, plus the offset n of its table in the array of slots */
	V_FILL,    /* the same << 8 | size - 1; n = table << 8 | size - 1 */
	V_SUB,     /* a linear address (plus add) minus the base of slot n */
	V_SLOT,    /* slot n's host address; the check has passed for room bytes */
	V_HOST,    /* leads to guest memory that was checked: alone if exact, or with an index */
	V_PAGE,    /* the start of a page of it */
	V_GAP,     /* the distance of two of them */
	V_FLUSHES, /* x86_slots.flushes */
};

struct value {
	uint8_t kind;
	bool write, exact;
	uint16_t room; /* V_HOST, V_SLOT: bytes the check was for; VERIFY_RANGE: a string's */
	int32_t add;   /* V_SUB */
	uint64_t n;
};
#define VERIFY_RANGE 0xffffu

/* Registers and words of struct vcpu that are followed. */
enum { T_S1, T_S2, T_RSI, T_RDI, T_STR_A, T_LIN, T_ENTRY, T_COUNT };

/* What the flags say, for the next conditional jump. */
enum pending {
	P_NONE,
	P_BELOW,  /* below: slot pending_n has room for pending_room bytes */
	P_MISS,   /* no carry: the same */
	P_FRESH,  /* equal: no slot was emptied meanwhile */
	P_ATMOST, /* not above: register pending_n is at most pending_room */
};

/* A slot is named by its number over all sets, or VERIFY_PAGED | offset of the table that it was
 * looked up in. */
#define VERIFY_PAGED (1ull << 32)
#define VERIFY_NO    ~0ull

struct state {
	struct value v[T_COUNT];
	struct value group[X86_GROUPS]; /* V_ANY: not stored on every way here */
	uint64_t passed;                /* the slot that the last check has passed */
	uint16_t passed_room;
	uint8_t pending; /* enum pending */
	uint16_t pending_room;
	uint64_t pending_n;
	bool stale; /* C code ran: groups count only if no slot was emptied */
	bool seen;  /* that can be found out afterwards */
};

/* Where jumps lead that are not inside the block. */
enum target_kind {
	TARGET_BAD,
	TARGET_INSIDE,
	TARGET_EXIT, /* another block, or the stub of an exit */
	TARGET_TAIL,
	TARGET_RAS,
	TARGET_CALL, /* call, call_plain */
	TARGET_LIGHT,
	TARGET_BY_PAGE,
	TARGET_VEC,   /* vec_load */
	TARGET_FETCH, /* fetch */
	TARGET_MAPPED,
	TARGET_STRING,
	TARGET_REFILL,
	TARGET_MISS,
	TARGET_MISS_PAGE,
};

struct target {
	uint8_t kind; /* enum target_kind */
	uint8_t miss_kind, set;
	bool write;
	const uint8_t *to;
};

struct verifier {
	struct translator *t;
	struct interp_cpu *ic;
	const struct tr_block *tb;
	bool user;                           /* the block's mode */
	const uint8_t *place, *after, *slow; /* of code by page number: what it comes back to */
	uint8_t want;
	struct {
		const uint8_t *rx;
		uint32_t size;
	} region[2];
	/* by offset in both regions: */
	uint8_t *kind;   /* 0, or enum byte_kind */
	uint16_t *index; /* + 1, of what is known before the instruction there */
	struct state *state;
	unsigned n_states, room_states;
	uint32_t *todo;
	unsigned n_todo, room_todo;
	uint64_t visits;
	const uint8_t *at; /* the instruction looked at */
	char *text;        /* the first report */
	size_t text_size;
	bool bad;
};

/** verify_report() - the instruction looked at is bad. Returns false. */
bool verify_report(struct verifier *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** verify_home() - @in at f->at has an operand in struct vcpu relative to RIP: make it one by GS.
 */
void verify_home(const struct verifier *f, struct insn *in);
/** verify_start() - what is known where a block is entered. */
void verify_start(struct state *s);
/** verify_forget() - all registers may be anything; @s keeps groups. */
void verify_forget(struct state *s);
/** verify_join() - @into is what both it and @s know. Return: it has changed. */
bool verify_join(struct state *into, const struct state *s);
/** verify_insn() - an instruction that goes on to the next: operands, and @s afterwards. */
bool verify_insn(struct verifier *f, struct state *s, const struct insn *in);
/** verify_mask() - the instructions of string.c that the decoder does not have. Return: length, 0 =
 * not one of them; *ret_bad: its operand is bad. */
unsigned verify_masked(struct verifier *f, struct state *s, const uint8_t *p, unsigned n);
/** verify_call() - before a call of or jump to a common routine, and @s after it. */
bool verify_call(struct verifier *f, struct state *s, const struct target *to);
/** verify_branch() - @s where a conditional jump with code @cc goes, is not taken. */
void verify_branch(const struct state *s, unsigned cc, struct state *ret_taken,
		   struct state *ret_next);
/** verify_indirect() - jmp or call with a memory operand. */
bool verify_indirect(struct verifier *f, const struct state *s, const struct insn *in);
/** verify_returns() - does the handler in S2 come back to its caller? */
bool verify_returns(const struct state *s);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decoder against Zydis, an independent x86 decoder: validity, length, memory operand, masks of
 * registers read and written, flags, immediates, encoding offsets, feature and privilege, for
 *  - every opcode of every map x prefix combinations x ModRM classes in 16-, 32-, 64-bit mode, VEX
 *    included (without -full with eight of the 32 rm/mod combinations rotating through);
 *  - N random byte strings: `decode_zydis -n N -seed S` (the seed is printed, runs repeat).
 *
 * What may differ is listed in accepted[], each with the reason. Anything else fails the test.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <Zydis/Zydis.h>

#include "base/base.h"
#include "base/bits.h"
#include "engine/decode/insn.h"

enum {
	D_VALID = 1 << 0, /* one decodes, the other does not */
	D_LENGTH = 1 << 1,
	D_EA = 1 << 2, /* base, index, scale, displacement, segment */
	D_MEMSIZE = 1 << 3,
	D_MEMRW = 1 << 4,
	D_GPR_R = 1 << 5,
	D_GPR_W = 1 << 6,
	D_VEC_R = 1 << 7,
	D_VEC_W = 1 << 8,
	D_FL_R = 1 << 9,
	D_FL_W = 1 << 10,
	D_FL_U = 1 << 11,
	D_IMM = 1 << 12,
	D_OFFSETS = 1 << 13,
	D_PREFIX = 1 << 14, /* effective lock, rep, repne */
	D_PRIV = 1 << 15,
	D_FEATURE = 1 << 16,
	D_OPSIZE = 1 << 17,
	D_COUNT = 18,
	D_FLAGS = D_FL_R | D_FL_W | D_FL_U,
	D_MEM = D_EA | D_MEMSIZE | D_MEMRW,
	D_ANY = (1 << D_COUNT) - 1,
};

static const char *const field_names[D_COUNT] = {
	"valid",       "length",   "ea",          "memsize",    "memrw",         "gpr-read",
	"gpr-written", "vec-read", "vec-written", "flags-read", "flags-written", "flags-undef",
	"imm",         "offsets",  "prefix",      "privilege",  "feature",       "opsize",
};

struct pair {
	unsigned bits;
	bool zok;
	enum decode_result res;
	struct insn in;
	ZydisDecodedInstruction z;
	ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
	/* of Zydis, in our terms */
	uint16_t gpr_r, gpr_w, vec_r, vec_w;
	bool has_mem;
	ZydisDecodedOperand mem;
};

#include "decode_zydis_accepted.h"

static uint64_t accepted_count[ARRAY_SIZE(accepted)];

/* First example and number of each kind of unexplained difference. */
struct finding {
	uint64_t count;
	struct pair first;
};
static struct finding *findings[ZYDIS_MNEMONIC_MAX_VALUE + 1][D_COUNT]; /* by Zydis' mnemonic */
static struct finding *findings_invalid[2][MAP_COUNT][256];             /* only we decode it */
static unsigned n_findings;

static void print_pair(const struct pair *p)
{
	char text[128];

	printf(" %u-bit:", p->bits);
	for (unsigned i = 0; i < 15; i++)
		printf(" %02x", p->in.bytes[i]);
	insn_format(&p->in, 0, text, sizeof(text));
	printf("  ours: result %d len %u \"%s\"", p->res, p->in.len, text);
	if (p->res == DECODE_OK)
		printf(" gpr r=%x w=%x vec r=%x w=%x fl r=%x w=%x u=%x mem=%u flags=%x feat=%u "
		       "opsize=%u seg=%u disp=%llx imm=%llx",
		       p->in.gpr_read, p->in.gpr_written, p->in.vec_read, p->in.vec_written,
		       p->in.rflags_read, p->in.rflags_written, p->in.rflags_undef, p->in.mem_size,
		       p->in.flags, p->in.feature, p->in.opsize, p->in.seg,
		       (unsigned long long)p->in.disp, (unsigned long long)p->in.imm);
	if (p->zok) {
		printf("\n    zydis: %s %s/%s len %u gpr r=%x w=%x vec r=%x w=%x",
		       ZydisMnemonicGetString(p->z.mnemonic),
		       ZydisISASetGetString(p->z.meta.isa_set),
		       ZydisCategoryGetString(p->z.meta.category), p->z.length, p->gpr_r, p->gpr_w,
		       p->vec_r, p->vec_w);
		if (p->z.cpu_flags)
			printf(" fl r=%x w=%x u=%x", p->z.cpu_flags->tested,
			       p->z.cpu_flags->modified | p->z.cpu_flags->set_0 |
				       p->z.cpu_flags->set_1 | p->z.cpu_flags->undefined,
			       p->z.cpu_flags->undefined);
		if (p->has_mem)
			printf(" mem size %u act %u base %s index %s seg %s disp %llx",
			       p->mem.size / 8, p->mem.actions,
			       ZydisRegisterGetString(p->mem.mem.base),
			       ZydisRegisterGetString(p->mem.mem.index),
			       ZydisRegisterGetString(p->mem.mem.segment),
			       (unsigned long long)p->mem.mem.disp.value);
		printf(" width %u", p->z.operand_width);
	}
	printf("\n");
}

static void report(const struct pair *p, unsigned field)
{
	struct finding **f;

	if (p->zok)
		f = &findings[p->z.mnemonic][field];
	else
		f = &findings_invalid[p->in.enc != ENC_LEGACY][p->in.map][p->in.opcode];
	if (!*f) {
		*f = xnew(struct finding);
		(*f)->first = *p;
		n_findings++;
	}
	(*f)->count++;
}

/* A Zydis register as a bit of our GPR or vector mask; *size its width in bytes, 0 if it is
 * neither. */
static uint16_t reg_bit(ZydisRegister r, unsigned *size, bool *vec)
{
	int id = ZydisRegisterGetId(r);

	*vec = false;
	*size = 0;
	switch (ZydisRegisterGetClass(r)) {
	case ZYDIS_REGCLASS_GPR8:
		*size = 1;
		if (r >= ZYDIS_REGISTER_AH && r <= ZYDIS_REGISTER_BH)
			return (uint16_t)(1u << (r - ZYDIS_REGISTER_AH));
		if (r >= ZYDIS_REGISTER_SPL)
			return (uint16_t)(1u << (r - ZYDIS_REGISTER_SPL + 4));
		return (uint16_t)(1u << (r - ZYDIS_REGISTER_AL));
	case ZYDIS_REGCLASS_GPR16: *size = 2; break;
	case ZYDIS_REGCLASS_GPR32: *size = 4; break;
	case ZYDIS_REGCLASS_GPR64: *size = 8; break;
	case ZYDIS_REGCLASS_XMM:
		*size = 16;
		*vec = true;
		break;
	case ZYDIS_REGCLASS_YMM:
		*size = 32;
		*vec = true;
		break;
	default: return 0;
	}
	return id < 0 || id > 15 ? 0 : (uint16_t)(1u << id);
}

static void zydis_masks(struct pair *p)
{
	p->gpr_r = p->gpr_w = p->vec_r = p->vec_w = 0;
	p->has_mem = false;
	for (unsigned i = 0; i < p->z.operand_count; i++) {
		const ZydisDecodedOperand *op = &p->op[i];
		unsigned size;
		bool vec;
		uint16_t bit;

		if (op->type == ZYDIS_OPERAND_TYPE_MEMORY) {
			bit = reg_bit(op->mem.base, &size, &vec);
			p->gpr_r |= bit;
			bit = reg_bit(op->mem.index, &size, &vec);
			if (vec)
				p->vec_r |= bit;
			else
				p->gpr_r |= bit;
			if (op->encoding == ZYDIS_OPERAND_ENCODING_MODRM_RM ||
			    op->encoding == ZYDIS_OPERAND_ENCODING_DISP16_32_64) {
				p->mem = *op;
				p->has_mem = true;
			}
			continue;
		}
		if (op->type != ZYDIS_OPERAND_TYPE_REGISTER)
			continue;
		bit = reg_bit(op->reg.value, &size, &vec);
		if (op->attributes & ZYDIS_OATTRIB_IS_MULTISOURCE4)
			continue;
		if (vec) {
			if (op->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
				p->vec_r |= bit;
			if (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
				p->vec_w |= bit;
		} else {
			if (op->actions & ZYDIS_OPERAND_ACTION_MASK_READ ||
			    op->actions & ZYDIS_OPERAND_ACTION_CONDWRITE ||
			    (op->actions & ZYDIS_OPERAND_ACTION_WRITE && size < 4))
				p->gpr_r |= bit;
			if (op->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
				p->gpr_w |= bit;
		}
	}
}

static unsigned compare_mem(const struct pair *p)
{
	static const ZydisRegister segs[] = {ZYDIS_REGISTER_ES, ZYDIS_REGISTER_CS,
					     ZYDIS_REGISTER_SS, ZYDIS_REGISTER_DS,
					     ZYDIS_REGISTER_FS, ZYDIS_REGISTER_GS};
	const struct insn *in = &p->in;
	const ZydisDecodedOperand *m = &p->mem;
	unsigned diff = 0, size, want = 0;
	bool vec;
	uint16_t base, index;

	if (!p->has_mem)
		return in->flags & INSN_MEM ? D_MEM : 0;
	base = reg_bit(m->mem.base, &size, &vec);
	index = reg_bit(m->mem.index, &size, &vec);
	if (base != (in->base == INSN_NO_REG ? 0 : 1u << in->base) ||
	    index != (in->index == INSN_NO_REG ? 0 : 1u << in->index) ||
	    (in->index != INSN_NO_REG && m->mem.scale != 1u << in->scale))
		diff |= D_EA;
	if (((uint64_t)m->mem.disp.value ^ (uint64_t)in->disp) & mask_bytes(in->addrsize))
		diff |= D_EA;
	if (!(in->flags & INSN_RIP_REL) !=
	    (m->mem.base != ZYDIS_REGISTER_RIP && m->mem.base != ZYDIS_REGISTER_EIP))
		diff |= D_EA;
	if (m->mem.type != ZYDIS_MEMOP_TYPE_AGEN && m->mem.segment != ZYDIS_REGISTER_NONE &&
	    segs[in->seg] != m->mem.segment)
		diff |= D_EA;
	if (m->mem.type == ZYDIS_MEMOP_TYPE_AGEN || m->mem.type == ZYDIS_MEMOP_TYPE_MIB) {
		if (in->flags & INSN_MEM)
			diff |= D_MEMRW;
		return diff;
	}
	if (m->actions & ZYDIS_OPERAND_ACTION_MASK_READ)
		want |= INSN_MEM_READ;
	if (m->actions & ZYDIS_OPERAND_ACTION_MASK_WRITE)
		want |= INSN_MEM_WRITE;
	if ((in->flags & (INSN_MEM_READ | INSN_MEM_WRITE)) != want)
		diff |= D_MEMRW;
	if (in->mem_size != m->size / 8)
		diff |= D_MEMSIZE;
	return diff;
}

static unsigned compare_flags(const struct pair *p)
{
	static const ZydisAccessedFlags none;
	const ZydisAccessedFlags *f = p->z.cpu_flags ? p->z.cpu_flags : &none;
	uint32_t written = f->modified | f->set_0 | f->set_1 | f->undefined;
	unsigned diff = 0;

	if (f->tested != p->in.rflags_read)
		diff |= D_FL_R;
	if (written != p->in.rflags_written)
		diff |= D_FL_W;
	if (f->undefined != p->in.rflags_undef)
		diff |= D_FL_U;
	return diff;
}

static unsigned compare_encoding(const struct pair *p)
{
	const struct insn *in = &p->in;
	const ZydisDecodedInstructionRaw *raw = &p->z.raw;
	unsigned diff = 0, imm_len = (unsigned)(raw->imm[0].size + raw->imm[1].size) / 8, n = 0;
	bool has_modrm = p->z.attributes & ZYDIS_ATTRIB_HAS_MODRM;
	uint64_t mask;

	if (has_modrm != !!in->off_modrm || (has_modrm && raw->modrm.offset != in->off_modrm))
		diff |= D_OFFSETS;
	if (in->flags & INSN_MOFFS) {
		if (raw->disp.offset != in->off_imm || raw->disp.size / 8 != in->imm_len)
			diff |= D_OFFSETS;
	} else {
		if (raw->disp.size / 8 != in->disp_len ||
		    (in->disp_len && raw->disp.offset != in->off_disp))
			diff |= D_OFFSETS;
		if (imm_len != in->imm_len || (imm_len && raw->imm[0].offset != in->off_imm))
			diff |= D_OFFSETS;
	}
	for (unsigned i = 0; i < p->z.operand_count; i++) {
		const ZydisDecodedOperand *op = &p->op[i];

		if (op->type == ZYDIS_OPERAND_TYPE_POINTER) {
			if (op->ptr.offset != in->imm || op->ptr.segment != in->imm2)
				diff |= D_IMM;
			continue;
		}
		if (op->type != ZYDIS_OPERAND_TYPE_IMMEDIATE ||
		    op->encoding == ZYDIS_OPERAND_ENCODING_NONE)
			continue;
		/* a sign-extended one counts as far as the operand goes */
		mask = op->imm.is_relative ? ~0ull : mask_bytes(in->opsize);
		if (in->special == SP_ENTER) {
			if (op->imm.value.u != (n++ ? in->imm2 : in->imm & 0xffff))
				diff |= D_IMM;
		} else if ((op->imm.value.u ^ in->imm) & mask) {
			diff |= D_IMM;
		}
	}
	return diff;
}

static unsigned compare_rest(const struct pair *p)
{
	const struct insn *in = &p->in;
	ZydisInstructionAttributes a = p->z.attributes;
	unsigned diff = 0;
	bool rep = a & (ZYDIS_ATTRIB_HAS_REP | ZYDIS_ATTRIB_HAS_REPE);

	if (!(a & ZYDIS_ATTRIB_HAS_LOCK) != !(in->prefixes & PFX_LOCK))
		diff |= D_PREFIX;
	if (in->mem_size && p->has_mem && p->z.mnemonic == ZYDIS_MNEMONIC_XCHG &&
	    !(in->flags & INSN_LOCK))
		diff |= D_PREFIX;
	if (rep != !!(in->flags & INSN_REP) ||
	    !(a & ZYDIS_ATTRIB_HAS_REPNE) != !(in->flags & INSN_REPNE))
		diff |= D_PREFIX;
	if (!(a & ZYDIS_ATTRIB_IS_PRIVILEGED) != !(in->flags & INSN_CPL0))
		diff |= D_PRIV;
	if (feature_of(p) != in->feature)
		diff |= D_FEATURE;
	if (in->flags & INSN_OPSIZE && p->z.operand_width != in->opsize * 8u)
		diff |= D_OPSIZE;
	return diff;
}

static void compare(ZydisDecoder *dec, unsigned bits, const uint8_t *bytes)
{
	struct pair p;
	unsigned diff = 0;

	p.bits = bits;
	p.res = insn_decode(bytes, 16, bits, &p.in);
	p.zok = ZYAN_SUCCESS(ZydisDecoderDecodeFull(dec, bytes, 15, &p.z, p.op));
	if (!p.zok && p.res != DECODE_OK)
		return;
	if (!p.zok) {
		diff = D_VALID;
	} else {
		zydis_masks(&p);
		if (p.res != DECODE_OK) {
			diff = D_VALID;
		} else {
			if (p.z.length != p.in.len)
				diff |= D_LENGTH;
			if (p.gpr_r != p.in.gpr_read)
				diff |= D_GPR_R;
			if (p.gpr_w != p.in.gpr_written)
				diff |= D_GPR_W;
			if (p.vec_r != p.in.vec_read)
				diff |= D_VEC_R;
			if (p.vec_w != p.in.vec_written)
				diff |= D_VEC_W;
			diff |= compare_mem(&p) | compare_flags(&p) | compare_encoding(&p) |
				compare_rest(&p);
		}
	}
	if (LIKELY(!diff))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(accepted) && diff; i++) {
		const struct accepted *a = &accepted[i];

		if (!(a->fields & diff) ||
		    (a->mnemonic != ANY_MNEMONIC && (!p.zok || (int)p.z.mnemonic != a->mnemonic)))
			continue;
		if (a->when && !a->when(&p))
			continue;
		accepted_count[i]++;
		diff &= ~a->fields;
	}
	if (!diff)
		return;
	memcpy(p.in.bytes, bytes, 15);
	for (unsigned f = 0; f < D_COUNT; f++)
		if (diff & 1u << f)
			report(&p, f);
}

static uint64_t rng_next(uint64_t *s)
{
	uint64_t x = *s;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	*s = x;
	return x * 0x2545f4914f6cdd1dull;
}

struct run {
	ZydisDecoder dec[3];
	uint64_t rng, done;
	bool full;
};
static const unsigned mode_bits[3] = {16, 32, 64};

/* One opcode with all its ModRM bytes (or a rotating quarter), the tail random. */
static void modrms(struct run *r, unsigned mode, uint8_t *b, unsigned n)
{
	unsigned rot = (unsigned)(rng_next(&r->rng) & 7);

	for (unsigned m = 0; m < 256; m++) {
		uint64_t a = rng_next(&r->rng), c = rng_next(&r->rng);

		if (!r->full && (m & 7) != (rot++ & 7))
			continue;
		b[n] = (uint8_t)m;
		memcpy(b + n + 1, &a, 8);
		memcpy(b + n + 9, &c, 8);
		compare(&r->dec[mode], mode_bits[mode], b);
		r->done++;
	}
}

static void legacy(struct run *r, unsigned mode)
{
	static const uint8_t reps[3] = {0, 0xf2, 0xf3},
			     rexes[6] = {0, 0x48, 0x40, 0x47, 0x4f, 0x44};
	static const uint8_t segs[4] = {0, 0x64, 0x2e, 0x36};
	uint8_t b[40] = {0};

	for (unsigned combo = 0; combo < 2 * 3 * 2 * 6 * 2; combo++) {
		bool p66 = combo & 1, lock = combo & 2, p67 = combo & 4;
		uint8_t rep = reps[(combo >> 3) % 3], rex = rexes[(combo >> 3) / 3];

		if (rex && mode != 2)
			continue;
		for (unsigned map = 0; map < 4; map++) {
			for (unsigned op = 0; op < 256; op++) {
				unsigned n = 0;
				uint8_t seg = segs[(op + combo) & 3];

				if (p66)
					b[n++] = 0x66;
				if (seg)
					b[n++] = seg;
				if (rep)
					b[n++] = rep;
				if (p67)
					b[n++] = 0x67;
				if (lock)
					b[n++] = 0xf0;
				if (rex)
					b[n++] = rex;
				if (map)
					b[n++] = 0x0f;
				if (map >= 2)
					b[n++] = map == 2 ? 0x38 : 0x3a;
				b[n++] = (uint8_t)op;
				modrms(r, mode, b, n);
			}
		}
	}
}

static void vex(struct run *r, unsigned mode)
{
	static const uint8_t vvvvs[3] = {15, 0, 6};
	uint8_t b[40] = {0};

	for (unsigned combo = 0; combo < 5 * 3 * 2 * 4 * 2; combo++) {
		unsigned map = combo % 5, v = vvvvs[combo / 5 % 3], l = combo / 15 % 2,
			 pp = combo / 30 % 4, w = combo / 120;

		for (unsigned op = 0; op < 256; op++) {
			uint8_t rxb = (uint8_t)(rng_next(&r->rng) & 0xe0);

			if (mode != 2)
				rxb |= 0xc0;
			if (map == 4) { /* two-byte form */
				if (w)
					continue;
				b[0] = 0xc5;
				b[1] = (uint8_t)((rxb & 0x80) | (v << 3) | l << 2 | pp);
				if (mode != 2)
					b[1] |= 0xc0;
				b[2] = (uint8_t)op;
				modrms(r, mode, b, 3);
			} else {
				b[0] = 0xc4;
				b[1] = rxb | (uint8_t)map;
				b[2] = (uint8_t)(w << 7 | (v << 3) | l << 2 | pp);
				b[3] = (uint8_t)op;
				modrms(r, mode, b, 4);
			}
		}
	}
}

/* Random strings: a few likely prefixes, an escape or VEX, then noise. */
static void random_bytes(struct run *r)
{
	static const uint8_t prefix[] = {0x66, 0x66, 0x67, 0xf2, 0xf3, 0xf0, 0x2e, 0x36,
					 0x3e, 0x26, 0x64, 0x65, 0x48, 0x41, 0x44, 0x4f};
	uint64_t x = rng_next(&r->rng), a[3];
	uint8_t b[40];
	unsigned n = 0, np = x % 8 < 5 ? x % 8 : 0, mode;

	a[0] = rng_next(&r->rng);
	a[1] = rng_next(&r->rng);
	a[2] = rng_next(&r->rng);
	x >>= 8;
	while (np--) {
		b[n++] = prefix[x & 15];
		x >>= 4;
	}
	switch (x & 7) {
	case 0:
	case 1: b[n++] = 0x0f; break;
	case 2:
		b[n++] = 0x0f;
		b[n++] = x & 8 ? 0x38 : 0x3a;
		break;
	case 3: b[n++] = 0xc5; break;
	case 4:
		b[n++] = 0xc4;
		b[n++] = (uint8_t)(((x >> 8) & 0xe0) | (1 + ((x >> 4) % 3)));
		break;
	default: break;
	}
	memcpy(b + n, a, 24);
	mode = (unsigned)((x >> 20) % 3);
	compare(&r->dec[mode], mode_bits[mode], b);
	r->done++;
}

static void init_decoders(struct run *r)
{
	static const ZydisMachineMode mm[3] = {ZYDIS_MACHINE_MODE_LONG_COMPAT_16,
					       ZYDIS_MACHINE_MODE_LONG_COMPAT_32,
					       ZYDIS_MACHINE_MODE_LONG_64};
	static const ZydisStackWidth sw[3] = {ZYDIS_STACK_WIDTH_16, ZYDIS_STACK_WIDTH_32,
					      ZYDIS_STACK_WIDTH_64};

	for (unsigned i = 0; i < 3; i++) {
		check(ZYAN_SUCCESS(ZydisDecoderInit(&r->dec[i], mm[i], sw[i])));
		/* the hint space is NOPs on a processor without these */
		check(ZYAN_SUCCESS(
			ZydisDecoderEnableMode(&r->dec[i], ZYDIS_DECODER_MODE_MPX, false)));
		check(ZYAN_SUCCESS(
			ZydisDecoderEnableMode(&r->dec[i], ZYDIS_DECODER_MODE_CET, false)));
		check(ZYAN_SUCCESS(
			ZydisDecoderEnableMode(&r->dec[i], ZYDIS_DECODER_MODE_CLDEMOTE, false)));
		check(ZYAN_SUCCESS(
			ZydisDecoderEnableMode(&r->dec[i], ZYDIS_DECODER_MODE_WBNOINVD, false)));
	}
}

static unsigned print_findings(void)
{
	for (unsigned m = 0; m <= ZYDIS_MNEMONIC_MAX_VALUE; m++)
		for (unsigned f = 0; f < D_COUNT; f++)
			if (findings[m][f]) {
				printf("%s differs, %llu times:", field_names[f],
				       (unsigned long long)findings[m][f]->count);
				print_pair(&findings[m][f]->first);
			}
	for (unsigned i = 0; i < 2 * MAP_COUNT * 256; i++) {
		struct finding *f =
			findings_invalid[i / (MAP_COUNT * 256)][i / 256 % MAP_COUNT][i % 256];

		if (f) {
			printf("only ours decodes, %llu times:", (unsigned long long)f->count);
			print_pair(&f->first);
		}
	}
	return n_findings;
}

int main(int argc, char **argv)
{
	static struct run r;
	uint64_t n = 1000000, seed = (uint64_t)time(NULL);
	bool verbose = false, sweep = true;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "-full"))
			r.full = true;
		else if (!strcmp(argv[i], "-v"))
			verbose = true;
		else if (!strcmp(argv[i], "-random"))
			sweep = false;
		else if (!strcmp(argv[i], "-n") && i + 1 < argc)
			n = strtoull(argv[++i], NULL, 0);
		else if (!strcmp(argv[i], "-seed") && i + 1 < argc)
			seed = strtoull(argv[++i], NULL, 0);
		else {
			fprintf(stderr, "usage: %s [-full] [-random] [-v] [-n N] [-seed S]\n",
				argv[0]);
			return 2;
		}
	}
	printf("seed %llu\n", (unsigned long long)seed);
	r.rng = seed * 0x9e3779b97f4a7c15ull | 1;
	init_decoders(&r);
	if (sweep)
		for (unsigned mode = 0; mode < 3; mode++) {
			legacy(&r, mode);
			vex(&r, mode);
		}
	for (uint64_t i = 0; i < n; i++)
		random_bytes(&r);
	if (verbose)
		for (size_t i = 0; i < ARRAY_SIZE(accepted); i++)
			printf("accepted %10llu: %s\n", (unsigned long long)accepted_count[i],
			       accepted[i].reason);
	n = print_findings();
	printf("%llu instructions compared, %llu kinds of unexplained difference\n",
	       (unsigned long long)r.done, (unsigned long long)n);
	return n ? 1 : 0;
}

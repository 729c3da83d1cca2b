/* SPDX-License-Identifier: Apache-2.0 */
/*
 * x87 environment and FXSAVE images. Intel SDM vol. 1, 8.1.10 (figures 8-9 to 8-12: environment),
 * 10.5.1 (table 10-2: FXSAVE), 8.6 (pending exceptions); vol. 2, FLDENV, FNSAVE, FNSTENV, FRSTOR,
 * FXRSTOR, FXSAVE, LDMXCSR, STMXCSR.
 *
 * All memory is checked before a byte moves, so a fault leaves registers and memory alone.
 */
#include "engine/special/fpu.h"

/* ---- tag word ---- */

enum { TAG_VALID, TAG_ZERO, TAG_SPECIAL, TAG_EMPTY };

static unsigned tag_of(const uint8_t st[16])
{
	uint64_t mantissa = ld_le64(st);
	unsigned exponent = ld_le16(st + 8) & 0x7fff;

	if (exponent == 0 && mantissa == 0)
		return TAG_ZERO;
	if (exponent == 0 || exponent == 0x7fff || !(mantissa >> 63))
		return TAG_SPECIAL;
	return TAG_VALID;
}

/* The full tag word of FNSTENV: two bits a physical register. */
static uint16_t full_tags(const struct x86_fpu *f)
{
	unsigned top = f->fsw >> 11 & 7, tags = 0;

	for (unsigned p = 0; p < 8; p++) {
		unsigned t = f->ftw >> p & 1 ? tag_of(f->st[(p - top) & 7]) : TAG_EMPTY;

		tags |= t << p * 2;
	}
	return (uint16_t)tags;
}

static uint8_t short_tags(uint16_t full)
{
	uint8_t tags = 0;

	for (unsigned p = 0; p < 8; p++)
		if ((full >> p * 2 & 3) != TAG_EMPTY)
			tags |= (uint8_t)(1u << p);
	return tags;
}

/* ES and B follow from the flags and masks: SDM vol. 1, 8.1.3.3. */
static void update_summary(struct x86_fpu *f)
{
	if (f->fsw & ~f->fcw & 0x3f)
		f->fsw |= 0x8080;
	else
		f->fsw &= (uint16_t)~0x8080;
}

/* st[] is in ST order: the registers stay where they are when TOP changes. */
static void set_top(struct x86_fpu *f, unsigned old_top, unsigned top)
{
	uint8_t st[8][16];

	if (old_top == top)
		return;
	memcpy(st, f->st, sizeof(st));
	for (unsigned i = 0; i < 8; i++)
		memcpy(f->st[i], st[(i + top - old_top) & 7], 16);
}

void fpu_reset_x87(struct x86_fpu *f)
{
	set_top(f, f->fsw >> 11 & 7, 0);
	f->fcw = 0x37f;
	f->fsw = 0;
	f->ftw = 0;
	f->fop = 0;
	f->fip = f->fdp = 0;
	f->fcs = f->fds = 0;
}

/* x87 instructions that wait: a pending unmasked exception comes first. */
static int wait_check(struct vcpu *v)
{
	/* UNMODELLED: CR0.NE = 0 should signal FERR# (IRQ 13) instead. */
	return v->s.fpu.fsw & 0x80 ? x86_raise(v, X86_MF) : X86_OK;
}

/* ---- environment ---- */

static bool real_format(const struct vcpu *v)
{
	return !(v->mode & X86_MODE_PE) || v->mode & X86_MODE_VM;
}

/* In real and v8086 mode the pointers are linear: selector and offset merged. */
static uint32_t pointer(const struct vcpu *v, uint64_t off, uint16_t sel)
{
	return real_format(v) ? (uint32_t)(off + ((uint32_t)sel << 4)) : (uint32_t)off;
}

static void env_build(const struct vcpu *v, unsigned opsize, uint8_t *to)
{
	const struct x86_fpu *f = &v->s.fpu;
	uint32_t ip = pointer(v, f->fip, f->fcs), dp = pointer(v, f->fdp, f->fds);
	unsigned fop = f->fop & 0x7ff;
	bool real = real_format(v);

	if (opsize == 2) {
		st_le16(to, f->fcw);
		st_le16(to + 2, f->fsw);
		st_le16(to + 4, full_tags(f));
		st_le16(to + 6, (uint16_t)ip);
		st_le16(to + 8, real ? (uint16_t)((ip >> 16 & 15) << 12 | fop) : f->fcs);
		st_le16(to + 10, (uint16_t)dp);
		st_le16(to + 12, real ? (uint16_t)((dp >> 16 & 15) << 12) : f->fds);
		return;
	}
	st_le32(to, 0xffff0000u | f->fcw);
	st_le32(to + 4, 0xffff0000u | f->fsw);
	st_le32(to + 8, 0xffff0000u | full_tags(f));
	if (real) {
		st_le32(to + 12, 0xffff0000u | (ip & 0xffff));
		st_le32(to + 16, (ip >> 16) << 12 | fop);
		st_le32(to + 20, 0xffff0000u | (dp & 0xffff));
		st_le32(to + 24, (dp >> 16) << 12);
	} else {
		st_le32(to + 12, ip);
		st_le32(to + 16, (uint32_t)fop << 16 | f->fcs);
		st_le32(to + 20, dp);
		st_le32(to + 24, 0xffff0000u | f->fds);
	}
}

static void env_take16(struct vcpu *v, const uint8_t *from)
{
	struct x86_fpu *f = &v->s.fpu;

	f->fip = ld_le16(from + 6);
	f->fdp = ld_le16(from + 10);
	if (real_format(v)) {
		f->fip |= (uint64_t)(ld_le16(from + 8) >> 12) << 16;
		f->fdp |= (uint64_t)(ld_le16(from + 12) >> 12) << 16;
		f->fop = ld_le16(from + 8) & 0x7ff;
		f->fcs = f->fds = 0;
	} else {
		f->fcs = ld_le16(from + 8);
		f->fds = ld_le16(from + 12);
		f->fop = 0;
	}
}

static void env_take32(struct vcpu *v, const uint8_t *from)
{
	struct x86_fpu *f = &v->s.fpu;

	if (real_format(v)) {
		f->fip = ld_le16(from + 12) | (uint64_t)(ld_le32(from + 16) >> 12 & 0xffff) << 16;
		f->fdp = ld_le16(from + 20) | (uint64_t)(ld_le32(from + 24) >> 12 & 0xffff) << 16;
		f->fop = ld_le16(from + 16) & 0x7ff;
		f->fcs = f->fds = 0;
	} else {
		f->fip = ld_le32(from + 12);
		f->fcs = ld_le16(from + 16);
		f->fop = ld_le16(from + 18) & 0x7ff;
		f->fdp = ld_le32(from + 20);
		f->fds = ld_le16(from + 24);
	}
	if (cpu_model_has(v->model, X86_FEAT_ZERO_FCS_FDS))
		f->fcs = f->fds = 0;
}

static void env_take(struct vcpu *v, unsigned opsize, const uint8_t *from)
{
	struct x86_fpu *f = &v->s.fpu;
	unsigned step = opsize == 2 ? 2 : 4, old_top = f->fsw >> 11 & 7;

	f->fcw = (ld_le16(from) & 0x1f3f) | 0x40;
	f->fsw = ld_le16(from + step);
	f->ftw = short_tags(ld_le16(from + step * 2));
	if (opsize == 2)
		env_take16(v, from);
	else
		env_take32(v, from);
	update_summary(f);
	set_top(f, old_top, f->fsw >> 11 & 7);
}

/* ---- the images of FNSTENV and FNSAVE in memory ---- */

#define IMAGE_PIECES (7 + 8 * 2)

/* How an image moves: seven fields of the environment, then each register as eight and two bytes.
 */
static unsigned image_pieces(const struct insn *in, uint8_t len[IMAGE_PIECES])
{
	unsigned n = 7, step = in->opsize == 2 ? 2 : 4;

	memset(len, (int)step, 7);
	for (unsigned at = n * step; at < in->mem_size; at += 10) {
		len[n++] = 8;
		len[n++] = 2;
	}
	return n;
}

/*
 * An image that does not lie in its segment in one piece. Processors look at the first field, then
 * at the last byte, then at each piece in turn, and each offset wraps at the address size by itself
 * (seen on the host; the SDM leaves it open). Addresses are found in units of two bytes: only the
 * first field is checked for alignment.
 */
static int image_scattered(struct vcpu *v, const struct insn *in, uint8_t *buf, unsigned access)
{
	uint8_t len[IMAGE_PIECES];
	gva_t at[54], lin;
	unsigned n = image_pieces(in, len), units = 0;

	if (special_mem(v, in, len[0], access, &lin) || x86_probe(v, lin, len[0], access) ||
	    special_piece(v, in, in->mem_size - 1u, 1, access, &lin) ||
	    x86_probe(v, lin, 1, access))
		return X86_FAULT;
	for (unsigned i = 0, off = 0; i < n; off += len[i++]) {
		if (special_piece(v, in, off, len[i], access, &lin))
			return X86_FAULT;
		for (unsigned k = 0; k < len[i]; k += 2) {
			if (x86_probe(v, lin + k, 2, access))
				return X86_FAULT;
			at[units++] = lin + k;
		}
	}
	for (unsigned i = 0; i < units; i++)
		if (access == X86_ACC_WRITE ? x86_write(v, at[i], 2, buf + i * 2, access)
					    : x86_read(v, at[i], 2, buf + i * 2, access))
			return X86_FAULT;
	return X86_OK;
}

/* Move @in->mem_size bytes between @buf and memory; @access: X86_ACC_READ or X86_ACC_WRITE. */
static int image_move(struct vcpu *v, const struct insn *in, uint8_t *buf, unsigned access)
{
	uint64_t off = special_ea(v, in), end = off + in->mem_size - 1;
	gva_t lin;

	if (end > mask_bytes(in->addrsize) || end < off ||
	    special_mem(v, in, in->mem_size, access, &lin))
		return image_scattered(v, in, buf, access);
	return access == X86_ACC_WRITE ? x86_write(v, lin, in->mem_size, buf, access)
				       : x86_read(v, lin, in->mem_size, buf, access);
}

int sp_FNSTENV(struct vcpu *v, const struct insn *in)
{
	uint8_t env[28];

	env_build(v, in->opsize, env);
	if (image_move(v, in, env, X86_ACC_WRITE))
		return X86_FAULT;
	v->s.fpu.fcw |= 0x3f;
	update_summary(&v->s.fpu);
	return X86_OK;
}

int sp_FLDENV(struct vcpu *v, const struct insn *in)
{
	uint8_t env[28];

	if (wait_check(v) || image_move(v, in, env, X86_ACC_READ))
		return X86_FAULT;
	env_take(v, in->opsize, env);
	return X86_OK;
}

int sp_FNSAVE(struct vcpu *v, const struct insn *in)
{
	unsigned env = in->opsize == 2 ? 14 : 28;
	uint8_t buf[108];

	env_build(v, in->opsize, buf);
	for (unsigned i = 0; i < 8; i++)
		memcpy(buf + env + i * 10, v->s.fpu.st[i], 10);
	if (image_move(v, in, buf, X86_ACC_WRITE))
		return X86_FAULT;
	fpu_reset_x87(&v->s.fpu);
	return X86_OK;
}

int sp_FRSTOR(struct vcpu *v, const struct insn *in)
{
	unsigned env = in->opsize == 2 ? 14 : 28;
	struct x86_fpu *f = &v->s.fpu;
	uint8_t buf[108];

	if (wait_check(v) || image_move(v, in, buf, X86_ACC_READ))
		return X86_FAULT;
	env_take(v, in->opsize, buf);
	memset(f->st, 0, sizeof(f->st));
	for (unsigned i = 0; i < 8; i++)
		memcpy(f->st[i], buf + env + i * 10, 10);
	return X86_OK;
}

/* ---- the legacy region of FXSAVE and XSAVE ---- */

/*
 * AMD's processors save FIP, FDP and FOP for the handler of an exception alone: without one pending
 * the image has zeros where CPUID says RstrFpErrPtrs (APM vol. 2, 11.4.4; vol. 3, appendix E). The
 * registers keep theirs, FNSTENV shows them, and FXRSTOR and XRSTOR load what the image has (seen
 * on Zen 4). Without the feature they are always saved, as on Intel's.
 *
 * UNMODELLED: AMD's processors before that feature, which leave the pointers' place in an image as
 * it is, and FXRSTOR the registers, unless an exception is pending.
 */
static void put_pointers(const struct vcpu *v, const struct insn *in, uint8_t *to)
{
	const struct x86_fpu *f = &v->s.fpu;

	memset(to + 6, 0, 18);
	if (!(f->fsw & 0x80) && cpu_model_has(v->model, X86_FEAT_XSAVEERPTR))
		return;
	st_le16(to + 6, f->fop & 0x7ff);
	if (in->flags & INSN_W) {
		st_le64(to + 8, f->fip);
		st_le64(to + 16, f->fdp);
	} else {
		st_le32(to + 8, (uint32_t)f->fip);
		st_le32(to + 12, f->fcs);
		st_le32(to + 16, (uint32_t)f->fdp);
		st_le32(to + 20, f->fds);
	}
}

void fpu_put_x87(const struct vcpu *v, const struct insn *in, uint8_t *to)
{
	const struct x86_fpu *f = &v->s.fpu;

	st_le16(to, f->fcw);
	st_le16(to + 2, f->fsw);
	to[4] = f->ftw;
	to[5] = 0;
	put_pointers(v, in, to);
	for (unsigned i = 0; i < 8; i++)
		memcpy(to + 32 + i * 16, f->st[i], 16);
}

void fpu_take_x87(struct vcpu *v, const struct insn *in, const uint8_t *from)
{
	struct x86_fpu *f = &v->s.fpu;

	f->fcw = (ld_le16(from) & 0x1f3f) | 0x40;
	f->fsw = ld_le16(from + 2);
	f->ftw = from[4];
	f->fop = ld_le16(from + 6) & 0x7ff;
	if (in->flags & INSN_W) {
		f->fip = ld_le64(from + 8);
		f->fdp = ld_le64(from + 16);
		f->fcs = f->fds = 0;
	} else {
		f->fip = ld_le32(from + 8);
		f->fcs = ld_le16(from + 12);
		f->fdp = ld_le32(from + 16);
		f->fds = ld_le16(from + 20);
		if (cpu_model_has(v->model, X86_FEAT_ZERO_FCS_FDS))
			f->fcs = f->fds = 0;
	}
	update_summary(f);
	for (unsigned i = 0; i < 8; i++) {
		memcpy(f->st[i], from + 32 + i * 16, 10);
		memset(f->st[i] + 10, 0, 6);
	}
}

unsigned fpu_xmm_count(const struct vcpu *v)
{
	return x86_is_64(v) ? 16 : 8;
}

int fpu_check_mxcsr(struct vcpu *v, uint32_t mxcsr)
{
	return mxcsr & ~v->model->mxcsr_mask ? x86_gp0(v) : X86_OK;
}

/* ---- the area ---- */

int fpu_area(struct vcpu *v, const struct insn *in, unsigned size, unsigned align, unsigned access,
	     struct fpu_area *ret_area)
{
	struct fpu_area *a = ret_area;
	gva_t lin;

	*a = (struct fpu_area){.in = in, .access = access};
	if (special_piece(v, in, 0, 2, access, &a->lin))
		return X86_FAULT;
	if (a->lin & (align - 1))
		return x86_gp0(v);
	a->wraps = in->addrsize == 2 && special_ea(v, in) + size > 0x10000;
	if (!a->wraps) {
		if (special_mem(v, in, size, access, &lin))
			return X86_FAULT;
		return access == X86_ACC_WRITE ? x86_probe(v, lin, size, access) : X86_OK;
	}
	for (unsigned at = 0; at < size; at += 16)
		if (special_piece(v, in, at, 16, access, &lin) ||
		    (access == X86_ACC_WRITE && x86_probe(v, lin, 16, access)))
			return X86_FAULT;
	return X86_OK;
}

int fpu_area_move(struct vcpu *v, const struct fpu_area *a, unsigned at, unsigned n, void *buf)
{
	bool write = a->access == X86_ACC_WRITE;
	uint8_t *p = buf;

	if (!a->wraps)
		return write ? x86_write(v, a->lin + at, n, p, a->access)
			     : x86_read(v, a->lin + at, n, p, a->access);
	while (n) {
		unsigned part = MIN(n, 16 - at % 16);
		gva_t lin;

		if (special_piece(v, a->in, at, part, a->access, &lin) ||
		    (write ? x86_write(v, lin, part, p, a->access)
			   : x86_read(v, lin, part, p, a->access)))
			return X86_FAULT;
		p += part;
		at += part;
		n -= part;
	}
	return X86_OK;
}

static int fx_operand(struct vcpu *v, const struct insn *in, unsigned access, struct fpu_area *a)
{
	if (v->s.cr0 & (X86_CR0_EM | X86_CR0_TS))
		return x86_raise(v, X86_NM);
	return fpu_area(v, in, 512, 16, access, a);
}

int sp_FXSAVE(struct vcpu *v, const struct insn *in)
{
	unsigned n = fpu_xmm_count(v);
	uint8_t buf[416] = {0};
	struct fpu_area a;

	if (fx_operand(v, in, X86_ACC_WRITE, &a))
		return X86_FAULT;
	fpu_put_x87(v, in, buf);
	st_le32(buf + 24, v->s.fpu.mxcsr);
	st_le32(buf + 28, v->model->mxcsr_mask);
	for (unsigned i = 0; i < n; i++)
		memcpy(buf + 160 + i * 16, v->s.fpu.ymm[i], 16);
	/* What lies beyond is reserved or software's and is not written. */
	return fpu_area_move(v, &a, 0, 160 + n * 16, buf);
}

int sp_FXRSTOR(struct vcpu *v, const struct insn *in)
{
	unsigned n = fpu_xmm_count(v);
	uint8_t buf[512];
	struct fpu_area a;

	if (fx_operand(v, in, X86_ACC_READ, &a) || fpu_area_move(v, &a, 0, 512, buf) ||
	    fpu_check_mxcsr(v, ld_le32(buf + 24)))
		return X86_FAULT;
	fpu_take_x87(v, in, buf);
	v->s.fpu.mxcsr = ld_le32(buf + 24);
	for (unsigned i = 0; i < n; i++)
		memcpy(v->s.fpu.ymm[i], buf + 160 + i * 16, 16);
	return X86_OK;
}

int sp_LDMXCSR(struct vcpu *v, const struct insn *in)
{
	uint64_t val;

	if (rm_read(v, in, 4, &val) || fpu_check_mxcsr(v, (uint32_t)val))
		return X86_FAULT;
	v->s.fpu.mxcsr = (uint32_t)val;
	return X86_OK;
}

int sp_STMXCSR(struct vcpu *v, const struct insn *in)
{
	return rm_write(v, in, 4, v->s.fpu.mxcsr);
}

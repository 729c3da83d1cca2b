/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CPUID models: named, and what the guest sees is exactly what the engine does. Intel SDM vol. 2,
 * CPUID; AMD APM vol. 3, appendix E for the 8000_00xx leaves.
 */
#ifndef CPU_X86_CPUID_H
#define CPU_X86_CPUID_H

#include "cpu/x86/features.h"
#include "cpu/x86/vcpu.h"

struct cpuid_regs {
	uint32_t eax, ebx, ecx, edx;
};

#define CPUID_LEAVES 40

struct cpu_model {
	char name[32];
	unsigned n_cpus;
	bool amd; /* AMD's rules where the two vendors differ, else Intel's */
	uint64_t tsc_hz;
	uint64_t xcr0_mask; /* XCR0 bits a guest may set */
	uint64_t cr4_mask;  /* CR4 bits a guest may set */
	uint32_t mxcsr_mask;
	unsigned phys_bits;
	uint64_t feats[2]; /* bit per enum x86_feature */
	unsigned n;
	struct {
		uint32_t leaf, sub;
		bool has_sub;
		struct cpuid_regs r;
	} leaf[CPUID_LEAVES];
};

/**
 * cpu_model_init() - build the model @name ("max" = default, "qemu64"-like "base", "x86-64-v2",
 * "x86-64-v3", "i486", "pentium3", ...), limited to what host and engine do. "max" is of the host's
 * vendor, "max-amd" is AMD's and all others are Intel's on every host.
 * -EINVAL lists the known names.
 */
int cpu_model_init(struct cpu_model *m, const char *name, unsigned n_cpus, uint64_t tsc_hz,
		   struct error *err) MUST_CHECK;
/** cpu_model_drop_random() - no RDRAND and RDSEED: their results are the host's. */
void cpu_model_drop_random(struct cpu_model *m);
/** cpuid_query() - what CPUID returns on @v now (APIC ids, OSXSAVE, XSAVE sizes are dynamic). */
void cpuid_query(struct vcpu *v, uint32_t leaf, uint32_t sub, struct cpuid_regs *ret);
/** cpu_model_names() - NULL-terminated list for help. */
const char *const *cpu_model_names(void);

/** x86_is_amd() - does @v's processor follow AMD's rules, where they differ from Intel's? */
static inline bool x86_is_amd(const struct vcpu *v)
{
	return v->model && v->model->amd;
}

/** cpu_model_has() - is feature @feat (enum x86_feature) offered? */
static inline bool cpu_model_has(const struct cpu_model *m, unsigned feat)
{
	return feat == X86_FEAT_NONE ||
	       (feat < X86_FEAT_NEVER && (m->feats[feat / 64] >> (feat % 64) & 1));
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `bothy doctor`: what of this host can be used, what not, and why: one line each. Nothing is
 * changed; everything opened is closed again.
 */
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "cli/cli.h"
#include "engine/engine.h"
#include "host/meminfo.h"
#include "host/sandbox.h"

static int doctor_main(int argc, char **argv);

enum { O_JSON, O_HELP, O_COUNT };
static const struct cli_option options[O_COUNT + 1] = {
	[O_JSON] = {"json", 0, NULL, "one JSON array instead of text"},
	[O_HELP] = {"help", 'h', NULL, "this text"},
	[O_COUNT] = {0},
};

const struct cli_command cli_doctor = {
	.name = "doctor",
	.summary = "Show what of this host is usable, and why something is not.",
	.usage = "[--json]",
	.options = options,
	.run = doctor_main,
};

struct report {
	bool json;
	unsigned n;
};

static void json_string(const char *s)
{
	putchar('"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			putchar('\\');
		if ((unsigned char)*s >= 0x20)
			putchar(*s);
	}
	putchar('"');
}

/* @ok: 1 usable, 0 not, -1 just information. */
static void PRINTF_LIKE(4, 5)
	line(struct report *rep, const char *name, int ok, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (rep->json) {
		printf("%s{\"name\": ", rep->n++ ? ",\n " : "[");
		json_string(name);
		printf(", \"usable\": %s, \"detail\": ", ok < 0 ? "null" : ok ? "true" : "false");
		json_string(text);
		putchar('}');
		return;
	}
	printf("%-16s %-4s %s\n", name, ok < 0 ? "" : ok ? "yes" : "no", text);
}

static void check_kernel(struct report *rep)
{
	struct utsname u;

	if (uname(&u) == 0)
		line(rep, "kernel", -1, "%s %s %s", u.sysname, u.release, u.machine);
}

static void check_cpu(struct report *rep)
{
	unsigned a, b, c, d, brand[12] = {0};
	char features[200] = "";
	static const struct {
		unsigned leaf;
		char reg;
		unsigned bit;
		const char *name;
	} bits[] = {
		{1, 'c', 0, "sse3"},         {1, 'c', 9, "ssse3"},       {1, 'c', 19, "sse4.1"},
		{1, 'c', 20, "sse4.2"},      {1, 'c', 28, "avx"},        {7, 'b', 5, "avx2"},
		{7, 'b', 8, "bmi2"},         {7, 'b', 16, "avx512f"},    {1, 'c', 5, "vmx"},
		{0x80000001, 'c', 2, "svm"}, {1, 'c', 31, "hypervisor"},
	};

	for (unsigned i = 0; i < 3; i++)
		if (__get_cpuid(0x80000002 + i, &a, &b, &c, &d)) {
			brand[i * 4] = a;
			brand[i * 4 + 1] = b;
			brand[i * 4 + 2] = c;
			brand[i * 4 + 3] = d;
		}
	for (size_t i = 0; i < ARRAY_SIZE(bits); i++) {
		size_t n = strlen(features);

		if (!__get_cpuid_count(bits[i].leaf, 0, &a, &b, &c, &d))
			continue;
		if ((bits[i].reg == 'b' ? b : c) >> bits[i].bit & 1)
			snprintf(features + n, sizeof(features) - n, " %s", bits[i].name);
	}
	line(rep, "cpu", -1, "%.48s, %ld online;%s", (const char *)brand,
	     sysconf(_SC_NPROCESSORS_ONLN), features);
}

static void check_memory(struct report *rep)
{
	uint64_t n = host_mem_available();

	if (n == UINT64_MAX)
		line(rep, "memory", -1, "the host does not say how much is free");
	else
		line(rep, "memory", n >= 128 * MIB, "%llu MiB can be given to guests now",
		     (unsigned long long)(n / MIB));
}

static void check_kvm(struct report *rep)
{
	int fd = open("/dev/kvm", O_RDWR | O_CLOEXEC), version;

	if (fd < 0) {
		const char *why = errno == ENOENT   ? "this kernel or container has none: no "
						      "hardware virtualization, or modules kvm_intel/"
						      "kvm_amd not loaded"
				  : errno == EACCES ? "add yourself to group kvm and log in again"
						    : "";

		line(rep, "kvm", 0, "/dev/kvm: %s%s%s", strerror(errno), *why ? "; " : "", why);
		return;
	}
	version = ioctl(fd, KVM_GET_API_VERSION, 0);
	if (version != KVM_API_VERSION)
		line(rep, "kvm", 0, "/dev/kvm speaks API version %d, not %d", version,
		     KVM_API_VERSION);
	else
		line(rep, "kvm", 1,
		     "usable, but this version has no engine for it; API %d: user memory %d, "
		     "irqchip "
		     "%d, TSC deadline %d, immediate exit %d, up to %d vCPUs",
		     version, ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_USER_MEMORY),
		     ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_IRQCHIP),
		     ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_TSC_DEADLINE_TIMER),
		     ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_IMMEDIATE_EXIT),
		     ioctl(fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS));
	close(fd);
}

static void check_io_uring(struct report *rep)
{
	struct io_uring_params p = {0};
	int fd = (int)syscall(SYS_io_uring_setup, 4, &p);

	if (fd < 0) {
		line(rep, "io_uring", 0, "%s%s; disks use threads instead", strerror(errno),
		     errno == EPERM    ? " (forbidden by the container or by sysctl "
					 "kernel.io_uring_disabled)"
		     : errno == ENOSYS ? " (kernel older than 5.1 or built without it)"
				       : "");
		return;
	}
	line(rep, "io_uring", 1, "features 0x%x", p.features);
	close(fd);
}

static void check_tun(struct report *rep)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		line(rep, "tun", 0, "/dev/net/tun: %s; --net tap: is not possible, --net nat is",
		     strerror(errno));
		return;
	}
	line(rep, "tun", 1, "--net tap:IF works with interfaces that belong to you");
	close(fd);
}

static void check_sandbox(struct report *rep)
{
	int abi = sandbox_landlock(), mode = prctl(PR_GET_SECCOMP);

	if (abi > 0)
		line(rep, "landlock", 1, "ABI %d", abi);
	else
		line(rep, "landlock", 0,
		     "not in this kernel or switched off; helpers rely on seccomp alone");
	if (mode < 0)
		line(rep, "seccomp", 0, "%s", strerror(errno));
	else
		line(rep, "seccomp", 1, mode ? "already filtered by the container" : "filters");
}

static void check_engines(struct report *rep)
{
	const struct engine_ops *const *all = engine_list();
	struct engine_caps caps;
	struct error err = {0};
	const struct engine_ops *pick;

	for (; *all; all++) {
		char name[32];
		int r = 0;

		memset(&caps, 0, sizeof(caps));
		memset(&err, 0, sizeof(err));
		r = (*all)->probe ? (*all)->probe(&caps, &err) : 0;
		snprintf(name, sizeof(name), "engine %s", (*all)->name);
		line(rep, name, r == 0, "%s", r == 0 ? caps.detail : err.text);
	}
	memset(&caps, 0, sizeof(caps));
	pick = engine_pick("auto", &caps, &err);
	line(rep, "would use", pick != NULL, "%s%s%s", pick ? pick->name : "",
	     pick && caps.detail[0] ? ": " : "", pick ? caps.detail : err.text);
}

static int doctor_main(int argc, char **argv)
{
	struct cli_args a = {.cmd = &cli_doctor, .argc = argc, .argv = argv, .at = 1};
	struct report rep = {0};

	for (int o; (o = cli_next(&a)) != CLI_END;) {
		if (o == CLI_BAD)
			return EXIT_USAGE;
		if (o == CLI_OPERAND)
			return cli_die(EXIT_USAGE, "unexpected '%s': 'bothy doctor' takes no names",
				       a.value);
		if (o == O_JSON)
			rep.json = true;
		if (o == O_HELP) {
			cli_help(&cli_doctor);
			return EXIT_OK;
		}
	}
	check_kernel(&rep);
	check_cpu(&rep);
	check_memory(&rep);
	check_kvm(&rep);
	check_io_uring(&rep);
	check_tun(&rep);
	check_sandbox(&rep);
	check_engines(&rep);
	if (rep.json)
		puts("]");
	return EXIT_OK;
}

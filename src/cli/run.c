/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `bothy run`: start a VM in this process, look after signals and the Ctrl-] menu, and turn its end
 * into an exit status:
 *
 *   0      the guest powered off, or the person quit; --no-reboot: the guest asked for a restart
 *   1      host error
 *   2      wrong usage
 *   V*2+1  --debug-exit: the guest wrote V
 *   128    --no-reboot: the guest crashed (triple fault)
 *   128+N  stopped by signal N before the guest had powered off
 *
 * SIGINT, SIGTERM and SIGHUP press the power button; if the guest hasn't powered off after the
 * grace period, or at the second signal, it is stopped. SIGUSR1 prints counters, SIGCONT tries
 * again after "host disk full".
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/run_config.h"
#include "control/gdb.h"
#include "control/qmp.h"
#include "host/loop.h"

#define GRACE_NS (10 * NS_PER_SEC)

int run_execute(struct run_config *rc);

struct run {
	struct vm *vm;
	const struct run_config *rc;
	int sigfd;
	struct loop_fd *watch;
	struct loop_timer *grace;
	struct gdb_stub *gdb;
	struct qmp *qmp;
	struct vcpu **cpus; /* for the stub */
	int signal;         /* that asked for the end; 0 = none */
	bool forced;
};

static void force(struct run *run)
{
	run->forced = true;
	vm_quit(run->vm);
}

static void on_grace(void *ctx)
{
	struct run *run = ctx;

	cli_die(0, "the guest did not power off within %llu s: stopping it",
		(unsigned long long)(GRACE_NS / NS_PER_SEC));
	force(run);
}

static void ask_end(struct run *run, int sig)
{
	if (run->signal) {
		force(run);
		return;
	}
	run->signal = sig;
	cli_die(0, "asking the guest to shut down; once more stops it at once");
	if (vm_get_state(run->vm) != VM_RUNNING)
		vm_resume(run->vm);
	vm_power_button(run->vm);
	loop_timer_arm(run->grace, host_now_ns() + GRACE_NS);
}

static void on_signal(void *ctx, uint32_t events)
{
	struct run *run = ctx;
	struct signalfd_siginfo si;

	(void)events;
	if (read(run->sigfd, &si, sizeof(si)) != sizeof(si))
		return;
	switch (si.ssi_signo) {
	case SIGUSR1: vm_print_stats(run->vm, stderr); break;
	case SIGCONT:
		if (vm_get_state(run->vm) == VM_NO_SPACE)
			vm_resume(run->vm);
		break;
	default: ask_end(run, (int)si.ssi_signo);
	}
}

static void menu(void *ctx, char key)
{
	struct run *run = ctx;

	switch (key) {
	case 'q':
		cli_die(0, "quit");
		vm_quit(run->vm);
		break;
	case 'p':
		if (vm_get_state(run->vm) == VM_RUNNING) {
			vm_pause(run->vm);
			cli_die(0, "paused; Ctrl-] p goes on");
		} else {
			vm_resume(run->vm);
			cli_die(0, "running");
		}
		break;
	case 'b':
		cli_die(0, "power button");
		vm_power_button(run->vm);
		break;
	case 'r':
		cli_die(0, "reset");
		vm_reset(run->vm);
		break;
	case 'n':
		cli_die(0, "NMI");
		vm_nmi(run->vm);
		break;
	case 's': vm_print_stats(run->vm, stderr); break;
	default:
		fputs("\nCtrl-] q quit, p pause or go on, b power button, r reset, n NMI, s "
		      "counters, ? this text\n",
		      stderr);
	}
}

/* The signals are blocked before any thread starts, so that only the descriptor sees them. */
static int block_signals(struct run *run)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGCONT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	run->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return run->sigfd < 0 ? -errno : 0;
}

static void connect_menu(struct run *run)
{
	const struct vm_config *c = &run->rc->vm;

	for (unsigned i = 0; i < MACHINE_SERIALS; i++)
		if (c->serial[i] && !strcmp(c->serial[i], "stdio"))
			chr_set_menu(vm_serial(run->vm, i), menu, run);
	for (unsigned i = 0; i < c->n_consoles; i++)
		if (!strcmp(c->console[i], "stdio"))
			chr_set_menu(vm_console(run->vm, i), menu, run);
}

/* ---- gdb ---- */

static void gdb_pause(void *ctx)
{
	struct run *run = ctx;

	vm_pause(run->vm);
}

static void gdb_resume(void *ctx, int only)
{
	struct run *run = ctx;

	if (only < 0)
		vm_resume(run->vm);
	else
		vm_step(run->vm, (unsigned)only);
}

static void gdb_kill(void *ctx)
{
	struct run *run = ctx;

	vm_quit(run->vm);
}

static void gdb_stop(void *ctx, unsigned cpu)
{
	struct run *run = ctx;

	gdb_stopped(run->gdb, vm_cpu(run->vm, cpu));
}

static int connect_gdb(struct run *run, struct error *err)
{
	struct gdb_host host = {.n_cpus = vm_n_cpus(run->vm),
				.pause = gdb_pause,
				.resume = gdb_resume,
				.kill = gdb_kill,
				.ctx = run};
	int r;

	if (!run->rc->gdb)
		return 0;
	run->cpus = xnew_n(struct vcpu *, host.n_cpus);
	for (unsigned i = 0; i < host.n_cpus; i++)
		run->cpus[i] = vm_cpu(run->vm, i);
	host.cpus = run->cpus;
	r = gdb_open(vm_loop(run->vm), &host, run->rc->gdb, &run->gdb, err);
	if (r == 0)
		vm_set_debugger(run->vm, gdb_stop, run);
	return r;
}

static int connect_control(struct run *run, struct error *err)
{
	char *path;
	int r;

	if (!run->rc->name)
		return 0;
	path = qmp_path(run->rc->name, true, err);
	if (!path)
		return err->code;
	r = qmp_open(run->vm, run->rc->name, path, &run->qmp, err);
	free(path);
	return r;
}

static int status_of(const struct run *run, const struct vm_result *res)
{
	switch (res->end) {
	case VM_END_DEBUG_EXIT: return (int)(res->code & 0xff);
	case VM_END_CRASH:
		return cli_die(EXIT_CRASH, "the guest crashed: triple fault on vCPU %u", res->code);
	case VM_END_ERROR: return cli_die(EXIT_HOST, "%s", res->err.text);
	case VM_END_QUIT: return run->forced ? 128 + run->signal : EXIT_OK;
	default: return EXIT_OK;
	}
}

static int start(struct run *run, ns_t since)
{
	struct error err = {0};
	struct vm_result res = {0};
	int r = vm_new(&run->rc->vm, &run->vm, &err);

	if (r < 0)
		return cli_die(EXIT_HOST, "%s", err.text);
	bus_lock(vm_bus(run->vm));
	run->grace = loop_timer_new(vm_loop(run->vm), on_grace, run);
	r = loop_add_fd(vm_loop(run->vm), run->sigfd, EPOLLIN, on_signal, run, &run->watch);
	connect_menu(run);
	if (r < 0)
		error_set(&err, r, "cannot watch signals: %s", strerror(-r));
	else
		r = connect_gdb(run, &err);
	if (r == 0)
		r = connect_control(run, &err);
	bus_unlock(vm_bus(run->vm));
	if (r < 0)
		return cli_die(EXIT_HOST, "%s", err.text);
	cli_die(0, "guest running (%s) after %llu ms%s", vm_engine_line(run->vm),
		(unsigned long long)((host_now_ns() - since) / NS_PER_MS),
		isatty(STDIN_FILENO) ? "; Ctrl-] ? for help" : "");
	r = vm_run(run->vm, run->rc->gdb_wait, &res);
	if (r < 0 && res.end != VM_END_ERROR)
		return cli_die(EXIT_HOST, "the event loop failed: %s", strerror(-r));
	bus_lock(vm_bus(run->vm));
	if (run->rc->stats)
		vm_print_stats(run->vm, stderr);
	vm_exact_report(run->vm, stderr);
	vm_set_debugger(run->vm, NULL, NULL);
	gdb_close(run->gdb);
	qmp_close(run->qmp);
	free(run->cpus);
	loop_del_fd(run->watch);
	loop_timer_free(run->grace);
	run->watch = NULL;
	run->grace = NULL;
	bus_unlock(vm_bus(run->vm));
	vm_free(run->vm); /* restores the terminal before the last message */
	run->vm = NULL;
	return status_of(run, &res);
}

int run_execute(struct run_config *rc)
{
	struct run run = {.rc = rc, .sigfd = -1};
	ns_t since = host_now_ns();
	int r;

	log_set_level(rc->verbose > 1 ? LOG_DEBUG : rc->verbose ? LOG_INFO : LOG_WARN);
	r = block_signals(&run);
	if (r < 0)
		return cli_die(EXIT_HOST, "cannot watch signals: %s", strerror(-r));
	r = start(&run, since);
	vm_free(run.vm);
	close(run.sigfd);
	return r;
}

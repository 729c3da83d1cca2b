/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line as a person meets it: the built program is run with each wrong input, and its
 * message and exit status compared (2 = usage, 1 = host). argv[1] is the program.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/base.h"

static const char *program;

/* Runs the program with the words of @line; standard output and error together in @out. */
static int run(const char *line, char *out, size_t size)
{
	char *copy = xstrdup(line), *argv[64], *save = NULL;
	int p[2], status, argc = 0;
	size_t n = 0;
	pid_t pid;

	argv[argc++] = (char *)program;
	for (char *w = strtok_r(copy, " ", &save); w && argc < 63; w = strtok_r(NULL, " ", &save))
		argv[argc++] = strcmp(w, "''") ? w : (char *)"";
	argv[argc] = NULL;
	assert_int_equal(pipe(p), 0);
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDONLY);

		dup2(null, 0);
		dup2(p[1], 1);
		dup2(p[1], 2);
		close(p[0]);
		alarm(100);
		execv(program, argv);
		_exit(127);
	}
	close(p[1]);
	for (ssize_t r; n + 1 < size && (r = read(p[0], out + n, size - n - 1)) > 0;)
		n += (size_t)r;
	out[n] = 0;
	close(p[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	free(copy);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

struct row {
	const char *line;
	int status;
	const char *text;
};

static void check_rows(const struct row *rows, size_t n)
{
	char out[16384];

	for (size_t i = 0; i < n; i++) {
		int status = run(rows[i].line, out, sizeof(out));

		if (status != rows[i].status || !strstr(out, rows[i].text))
			fail_msg("bothy %s: status %d (want %d), printed: %s", rows[i].line, status,
				 rows[i].status, out);
	}
}

static void test_commands(void **state)
{
	static const struct row rows[] = {
		{"", 2, "usage: bothy COMMAND"},
		{"--help", 0, "commands:"},
		{"-h", 0, "run "},
		{"help", 0, "doctor"},
		{"help run", 0, "--kernel FILE"},
		{"help rum", 2, "no help on 'rum'"},
		{"--version", 0, "bothy "},
		{"rnu", 2, "did you mean 'bothy run'?"},
		{"docter", 2, "did you mean 'bothy doctor'?"},
		{"zzzzzz", 2, "unknown command 'zzzzzz'; 'bothy --help'"},
		{"doctor", 0, "engine interp"},
		{"doctor --json", 0, "{\"name\": \"kvm\", \"usable\": "},
		{"doctor x", 2, "takes no names"},
		{"eject", 2, "usage: bothy eject NAME cd0|floppy0 [--force]"},
		{"eject a b c", 2, "'c' is too much"},
		{"insert a cd0", 2, "usage: bothy insert"},
		{"attach a", 2, "usage: bothy attach NAME FILE"},
		{"attach a f,if=ide", 2, "unknown kind of disk 'ide'; there is: virtio"},
		{"attach a ,ro", 2, "name the FILE"},
		{"attach nosuchvm tablet", 1, "no VM named 'nosuchvm' is running"},
		{"detach nosuchvm x --force", 1, "no VM named 'nosuchvm' is running"},
		{"atach", 2, "did you mean 'bothy attach'?"},
		{"change a cd0 f --focre", 2, "did you mean '--force'?"},
		{"eject nosuchvm cd0 --force", 1, "no VM named 'nosuchvm' is running"},
		{"doctor --jsno", 2, "did you mean '--json'?"},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_run_usage(void **state)
{
	static const struct row rows[] = {
		{"run --help", 0, "usage: bothy run [FILE...]"},
		{"run -h", 0, "--no-reboot"},
		{"run", 2, "or a kernel with --kernel"},
		{"run --firmware auto", 2, "nothing to start"},
		{"run --firmware none", 2, "--firmware none needs --kernel FILE"},
		{"run --firmware /nonexistent", 1, "/nonexistent"},
		{"run --disk x --firmware none", 2, "--firmware none needs --kernel FILE"},
		{"run --kernel x --firmware bios", 2, "leave --firmware out"},
		{"run --disk x --machine microvm", 2, "a microvm has no firmware"},
		{"run --disk x --boot dsik", 2, "did you mean 'disk'?"},
		{"run --disk x,if=nmve", 2, "unknown kind of disk 'nmve'; did you mean 'nvme'?"},
		{"run --cdrom x,if=nvme", 2, "there is: ahci, ide, scsi"},
		{"run --disk ,if=ahci", 2, "--disk needs the path of an image"},
		{"run --disk x --firmware /nonexistent", 1, "'x' cannot be opened"},
		{"run --kernle x", 2, "unknown option '--kernle'; did you mean '--kernel'?"},
		{"run --krenel=x", 2, "did you mean '--kernel'?"},
		{"run --qqqqqq", 2, "'bothy run --help' lists them"},
		{"run -z", 2, "unknown option '-z'"},
		{"run --kernel", 2, "option '--kernel' needs a value"},
		{"run -m", 2, "option '-m' needs a value"},
		{"run --stats=yes", 2, "option '--stats' takes no value"},
		{"run image.qcow2", 1, "'image.qcow2' cannot be opened"},
		{"run --kernel k -- --kernel", 1, "'--kernel' cannot be opened"},
		{"run --kernel k -m 0", 2, "memory size '0'"},
		{"run --kernel k -m lots", 2, "memory size 'lots'"},
		{"run --kernel k -m 512X", 2, "memory size '512X'"},
		{"run --kernel k -m -5", 2, "memory size '-5'"},
		{"run --kernel k -m 99999999999G", 2, "memory size"},
		{"run --kernel k -m 65G", 2, "memory size '65G'"},
		{"run --kernel k --engine-memory lots", 2, "engine memory 'lots'"},
		{"run --kernel k --engine-memory 19M", 2, "at least 20M for each processor"},
		{"run --kernel k -c 4 --engine-memory 79M", 2, "too little for 4 processors: 80M"},
		{"run --kernel k -c 0", 2, "number of CPUs '0': use 1 to 64"},
		{"run --kernel k -c 65", 2, "number of CPUs '65'"},
		{"run --kernel k -c two", 2, "number of CPUs 'two'"},
		{"run --kernel k --machine microm", 2, "did you mean 'microvm'?"},
		{"run --kernel k --machine isapc", 2, "there is: pc, microvm"},
		{"run --kernel k --net wifi", 2, "unknown network 'wifi'"},
		{"run --kernel k --net tap:", 2, "unknown network 'tap:'"},
		{"run --kernel k -p 22", 2, "cannot read port forward '22'"},
		{"run --kernel k -p 1:2:3:4", 2, "cannot read port forward"},
		{"run --kernel k -p 0:22", 2, "cannot read port forward"},
		{"run --kernel k -p 70000:22", 2, "cannot read port forward"},
		{"run --kernel k -p host:1:2", 2, "cannot read port forward"},
		{"run --kernel k -p 1:2/icmp", 2, "cannot read port forward"},
		{"run --kernel k -p 2222:22 --net none", 2, "-p needs --net nat"},
		{"run --kernel k --serial tty", 2, "--serial: unknown place 'tty'"},
		{"run --kernel k --serial file:", 2, "unknown place 'file:'"},
		{"run --kernel k --console x", 2, "--console: unknown place 'x'"},
		{"run --kernel k --serial stdio --console stdio", 2, "only one of"},
		{"run --kernel k --serial null --serial null --serial null", 2,
		 "the machine has 2 ports"},
		{"run --kernel k -d foo", 2, "unknown trace mask 'foo'"},
		{"run --kernel k -d in_asm,itn", 2, "did you mean 'int'?"},
		{"run --kernel k --gdb 1234", 2, "--gdb: unknown place '1234'"},
		{"run --kernel k --disk ,ro", 2, "--disk needs the path"},
		{"run --kernel k --module ,args", 2, "--module needs the path"},
		{"run --kernel x --engine warp", 2, "unknown engine 'warp'; there is: auto, "},
		{"run --kernel x --engine interpp", 2, "did you mean 'interp'?"},
		{"run --kernel x --engine lockstep:x", 2, "unknown engine"},
		{"run --kernel x --cpu 8086", 2, "unknown CPU model '8086'"},
		{"run --kernel x --cpu nehalen", 2, "did you mean 'nehalem'?"},
		{"run --kernel x --midi pty", 2, "add --sound sb16"},
		{"run --kernel x --midi tcp:1", 2, "--midi: unknown place 'tcp:1'"},
		{"run --kernel x --tpm=x", 2, "there is: [tis|crb]"},
		{"run --kernel x --tpm-state unix:", 2, "unknown place 'unix:'"},
		{"run --kernel x --tpm --deterministic", 2, "leave --tpm out"},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

static void test_run_host(void **state)
{
	static const struct row rows[] = {
		{"run --net none --kernel /nonexistent", 1,
		 "cannot open kernel '/nonexistent': No such file"},
		{"run --net none --kernel /", 1, "kernel '/' is not a regular file"},
		{"run --net none --kernel /dev/null", 1, "not a regular file"},
		{"run --net none --kernel /etc/passwd", 1,
		 "'/etc/passwd' is not a Linux kernel, Multiboot or ELF image"},
		{"run --net none --kernel /bin/true", 1, "ELF image '/bin/true'"},
		{"run --net none --kernel /etc/passwd --initrd /nonexistent", 1,
		 "cannot open initrd"},
		{"run --net none --kernel /etc/passwd --module /nonexistent", 1,
		 "cannot open module"},
		{"run --net none --kernel /etc/passwd --disk /nonexistent.img", 1,
		 "/nonexistent.img"},
		{"run --net none --kernel /etc/passwd --serial file:/nonexistent/x", 1,
		 "serial port 1: "},
		{"run --net stream:/nonexistent --kernel /etc/passwd", 1, "network: "},
		{"run --net none --kernel /etc/passwd --tpm-state unix:/nonexistent", 1,
		 "tpm 'unix:/nonexistent': cannot connect"},
		{"run --net none --kernel /etc/passwd --tpm-state /nonexistent/x", 1,
		 "cannot make the folder '/nonexistent/x'"},
		{"run --net none --kernel /etc/passwd --gdb tcp:8.8.8.8:1", 1, ""},
	};

	check_rows(rows, ARRAY_SIZE(rows));
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_run_usage),
		cmocka_unit_test(test_run_host),
	};

	if (argc < 2) {
		fprintf(stderr, "usage: test_cli PROGRAM\n");
		return 2;
	}
	program = argv[1];
	return cmocka_run_group_tests(tests, NULL, NULL);
}

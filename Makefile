# SPDX-License-Identifier: Apache-2.0
# A thin front for meson: `make run` and `make check` need nothing installed but make and bash.
# Build directories stand side by side: build (optimized), build-asan, build-tsan, build-fuzz.

RUNS ?= 200000
SECONDS_EACH ?= 120
MESON_TEST = meson test --print-errorlogs --no-rebuild --num-processes $(shell nproc)
WERROR ?= false
SANE = -Db_lundef=false -Dchecks=true -Dwerror=$(WERROR)

.PHONY: all run check check-long bench fuzz fuzz-insn asan tsan format install clean

all: build/build.ninja
	@ninja -C build

# Packages first: without meson there is no build directory.
build/build.ninja:
	@tools/bootstrap --dry-run build
	@mkdir -p build
	@meson setup build -Dwerror=$(WERROR) >build/setup.log 2>&1 || { cat build/setup.log; exit 1; }

build-asan/build.ninja:
	meson setup build-asan -Db_sanitize=address,undefined $(SANE)

build-tsan/build.ninja:
	meson setup build-tsan -Db_sanitize=thread $(SANE)

build-fuzz/build.ninja:
	CC=clang-14 meson setup build-fuzz -Dfuzzers=true -Db_sanitize=address,undefined $(SANE)

# Boot a Linux guest: to a shell on a terminal, to its self-test without one.
run:
	@tools/bootstrap build run
	@$(MAKE) --no-print-directory all
	@tools/run-guest $(ARGS)

# Everything that gates a change. Both builds' tests and the style check run even when one fails.
# The fuzz suite runs where the sanitizers watch.
check:
	@tools/bootstrap build run check
	@rm -f build/meson-logs/testlog.json build-asan/meson-logs/testlog.json
	@$(MAKE) --no-print-directory all build-asan/build.ninja
	@ninja -C build-asan
	@status=0; \
	$(MESON_TEST) -C build --no-suite long --no-suite fuzz || status=1; \
	$(MESON_TEST) -C build-asan --no-suite long --no-suite style || status=1; \
	tools/test-report build build-asan; \
	exit $$status

check-long:
	@tools/bootstrap build run check check-long
	@rm -f build/meson-logs/testlog.json
	@$(MAKE) --no-print-directory all
	@status=0; $(MESON_TEST) -C build --suite long || status=1; tools/test-report build; exit $$status

# Numbers for this host, next to QEMU's for the same guest. See bench/README.md for ARGS.
bench:
	@tools/bootstrap build run bench
	@$(MAKE) --no-print-directory all
	@bench/suite $(ARGS)
	@bench/run
	@tests/guest/linux.py build/bothy idle pc
	@tests/guest/linux.py build/bothy memory microvm
	@[ ! -x bench/micro/run ] || bench/micro/run

# Each target for RUNS inputs or SECONDS_EACH seconds, whichever comes first. TARGET=name picks one.
fuzz:
	@tools/bootstrap build check fuzz
	@$(MAKE) --no-print-directory build-fuzz/build.ninja
	@ninja -C build-fuzz
	@tools/fuzz build-fuzz $(RUNS) $(SECONDS_EACH) $(TARGET)
	@[ -n "$(TARGET)" ] || $(MAKE) --no-print-directory fuzz-insn

# RUNS random instructions a mode on the host CPU and on the interpreter; each run prints its seed.
fuzz-insn:
	@tools/bootstrap build check
	@$(MAKE) --no-print-directory all
	@for mode in 64 32 16; do \
		build/tests/insn/diff_insn -mode $$mode -n $(RUNS) -seed $$(date +%s) || exit 1; \
	done

asan tsan: %: build-%/build.ninja
	ninja -C build-$@
	$(MESON_TEST) -C build-$@ --no-suite long --no-suite guest --no-suite style

format:
	git ls-files '*.c' '*.h' | xargs clang-format-14 -i

install: all
	meson install -C build

clean:
	rm -rf build build-asan build-tsan build-fuzz

# SPDX-License-Identifier: GPL-2.0
# For humans; kbuild reads Kbuild.

# Built against the running kernel; without its headers, the newest installed.
KDIR ?= $(or $(wildcard /lib/modules/$(shell uname -r)/build), \
	$(lastword $(shell ls -dv /lib/modules/*/build 2>/dev/null)))

# A kernel that clang has built takes modules by clang alone; a CC= or LLVM= of the user wins.
ifeq ($(filter-out undefined,$(origin LLVM))$(filter command,$(origin CC)),)
BY_CLANG = $(shell grep -qsx CONFIG_CC_IS_CLANG=y $(KDIR)/.config && echo LLVM=1)
endif

KBUILD = $(MAKE) -C $(KDIR) M=$(CURDIR) $(BY_CLANG)

all: modules

modules: kdir
	$(KBUILD) $@

# Where the headers come without a System.map and a key, as Debian's do, kbuild
# leaves depmod out and complains that it cannot sign.
modules_install: kdir
	$(KBUILD) $@ $(if $(wildcard $(KDIR)/certs/signing_key.pem),,CONFIG_MODULE_SIG_ALL=)
	PATH=$$PATH:/sbin depmod $(addprefix -b ,$(INSTALL_MOD_PATH)) \
		$$(sed -n 's/.*UTS_RELEASE "\(.*\)"/\1/p' "$(KDIR)/include/generated/utsrelease.h")

deb:
	@scripts/deb.sh

htmldocs:
	@scripts/htmldocs.sh

# Needs no kernel headers, so that a clone can be cleaned where it was not built.
clean:
	@find . \( -name '*.ko' -o -name '*.mod' -o -name '*.mod.c' -o -name '*.o' -o \
		-name '.*.cmd' -o -name '.*.d' -o -name 'modules.order' -o \
		-name 'Module.symvers' -o -name '*.deb' \) -type f -delete

kdir:
	@test -d "$(KDIR)" || { echo "no kernel headers found: install linux-headers-$$(uname -r)" \
		"(on Debian: linux-headers-amd64), or name a build tree with KDIR=" >&2; exit 1; }
	@echo "building against $(KDIR)"

demo:
	@scripts/demo.sh

demo-guests:
	@scripts/demo-guests.sh

check:
	@scripts/check.sh

check-all:
	@scripts/check.sh --all

check-user:
	@rc=0; for version in $(STOCK); do scripts/user.sh $$version || rc=1; done; \
		scripts/user.sh --uml 7.3 || [ $$? = 77 ] || rc=1; exit $$rc

lint:
	@scripts/lint.sh

clamp:
	@scripts/clamp.sh

# Stock kernels that this release boots.
STOCK = $(shell bash -c ". scripts/common.sh && row stock")

kunit:
	@scripts/kunit.sh $(or $(KERNEL),6.12)

kunit-smp:
	@scripts/kunit.sh --arch=x86_64 $(or $(KERNEL),6.12)

check-arch:
	@rc=0; for arch in arm64 s390x i386; do scripts/kunit.sh --arch=$$arch 6.12 || rc=1; done; exit $$rc

check-install:
	@scripts/install.sh

check-kernels:
	@scripts/kernels.sh --all-releases

check-fresh:
	@scripts/fresh.sh $(RELEASE)

bench:
	@bench/run.sh

proof:
	@proof/run.sh

fuzz:
	@proof/fuzz.sh

mutants:
	@proof/mutants.sh

debug-kernels:
	@scripts/debug-kernels.sh

coverage:
	@scripts/kunit.sh --arch=x86_64 6.12
	@proof/coverage.sh

help:
	@echo 'The two that do everything, from a fresh machine (scripts/releases.sh: of which releases):'
	@echo '  demo             - translate what the virtio drivers of a stock kernel in QEMU publish'
	@echo '  check            - all checks that fit in 40 minutes'
	@echo
	@echo 'Building (KDIR=build tree of the kernel):'
	@echo '  modules          - build virtio_mem_xlate.ko and Module.symvers (default)'
	@echo '  modules_install  - install both modules (INSTALL_MOD_PATH=, as usual)'
	@echo '  deb              - pack the source as a Debian package for dkms'
	@echo '  htmldocs         - the kernel-doc of all public symbols as one HTML page'
	@echo '  clean            - remove what was built'
	@echo
	@echo 'Parts of check (KSRC=kernel source, CACHE=folder for sources and builds):'
	@echo '  lint             - W=1 by gcc and by clang, sparse, checkpatch, kernel-doc'
	@echo '  clamp            - the clamps against speculation, in the object code'
	@echo '  kunit            - the KUnit suites in UML (KERNEL=6.12, 6.1 or 7.3)'
	@echo '  kunit-smp        - the same on 4 CPUs in QEMU, with KASAN and lockdep (KERNEL=6.12 or 7.3)'
	@echo '  coverage         - lines that the suites reach, in QEMU, and branches, in user space'
	@echo
	@echo 'Slower, or for a quiet machine:'
	@echo '  demo-guests      - two stock QEMU/KVM guests on a cable, beside vhost-net (15 minutes)'
	@echo '  check-all        - check, and all that follows but bench, some of it cut short;'
	@echo '                     PART=here, or a release for what a new machine of it gets'
	@echo '  check-fresh      - demo and check in a clean root (RELEASE=, this one if not told)'
	@echo '  check-user       - user memory: all tests, on stock kernels, and in UML with KASAN'
	@echo '  check-arch       - the suites on arm64, s390x (big-endian) and i386, in QEMU'
	@echo '  check-install    - install, upgrade, remove: by make, as a package, by dkms'
	@echo '  check-kernels    - build for every kernel 6.1 to 7.3 that these releases have headers of'
	@echo '  proof            - the oracle, all small tables, Frama-C, SPIN (proof/README)'
	@echo '  fuzz             - 10^7 sequences of calls under ASan and UBSan, threads under TSan'
	@echo '  mutants          - breaks the source in 500 places: does a check notice?'
	@echo '  debug-kernels    - readers against updates under KASAN, lockdep, KCSAN and others'
	@echo '  bench            - what a translation costs, against vhost, KVM and others'

.PHONY: all modules modules_install deb htmldocs clean kdir demo demo-guests check check-all check-fresh check-user lint \
	clamp kunit kunit-smp coverage check-arch check-install check-kernels bench proof fuzz mutants \
	debug-kernels help

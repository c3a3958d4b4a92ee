# SPDX-License-Identifier: GPL-2.0
# For humans; kbuild reads Kbuild.

# Built against the running kernel; without its headers, the newest installed.
KDIR ?= $(or $(wildcard /lib/modules/$(shell uname -r)/build), \
	$(lastword $(shell ls -dv /lib/modules/*/build 2>/dev/null)))

KBUILD = $(MAKE) -C $(KDIR) M=$(CURDIR)

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
		"(Debian 12: linux-headers-amd64), or name a build tree with KDIR=" >&2; exit 1; }
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
	@rc=0; for version in 6.1 6.12; do scripts/user.sh $$version || rc=1; done; exit $$rc

lint:
	@scripts/lint.sh

clamp:
	@scripts/clamp.sh

kunit:
	@scripts/kunit.sh $(or $(KERNEL),6.12)

kunit-smp:
	@scripts/kunit.sh --arch=x86_64 $(or $(KERNEL),6.12)

check-arch:
	@rc=0; for arch in arm64 s390x i386; do scripts/kunit.sh --arch=$$arch 6.12 || rc=1; done; exit $$rc

check-install:
	@scripts/install.sh

check-kernels:
	@scripts/kernels.sh

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
	@scripts/kunit.sh --coverage 6.12
	@proof/coverage.sh

help:
	@echo 'The two that do everything, from a fresh Debian 12 machine:'
	@echo '  demo             - translate what the virtio drivers of a stock kernel in QEMU publish'
	@echo '  check            - all checks that fit in 40 minutes (10 when repeated)'
	@echo
	@echo 'Building (KDIR=build tree of the kernel):'
	@echo '  modules          - build virtio_mem_xlate.ko and Module.symvers (default)'
	@echo '  modules_install  - install both modules (INSTALL_MOD_PATH=, as usual)'
	@echo '  deb              - pack the source as a Debian package for dkms'
	@echo '  htmldocs         - the kernel-doc of all public symbols as one HTML page'
	@echo '  clean            - remove what was built'
	@echo
	@echo 'Parts of check (KSRC=kernel source, CACHE=folder for sources and builds):'
	@echo '  lint             - W=1, sparse, checkpatch, kernel-doc on 6.1 and 6.12'
	@echo '  clamp            - the clamps against speculation, in the object code'
	@echo '  kunit            - the KUnit suites in UML (KERNEL=6.12 or 6.1)'
	@echo '  kunit-smp        - the same on 4 CPUs in QEMU, with KASAN and lockdep'
	@echo '  coverage         - lines that the suites reach, in UML, and branches, in user space'
	@echo
	@echo 'Slower, or for a quiet machine:'
	@echo '  demo-guests      - two stock QEMU/KVM guests on a cable, beside vhost-net (15 minutes)'
	@echo '  check-all        - check, and all that follows but bench, some of it cut short'
	@echo '  check-user       - user memory: all tests, on 6.1 and 6.12, in QEMU and in UML'
	@echo '  check-arch       - the suites on arm64, s390x (big-endian) and i386, in QEMU'
	@echo '  check-install    - install, upgrade, remove: by make, as a package, by dkms'
	@echo '  check-kernels    - build for every kernel 6.1 and 6.12 that Debian has headers of'
	@echo '  proof            - the oracle, all small tables, Frama-C, SPIN (proof/README)'
	@echo '  fuzz             - 10^7 sequences of calls under ASan and UBSan, threads under TSan'
	@echo '  mutants          - breaks the source in 500 places: does a check notice?'
	@echo '  debug-kernels    - readers against updates under KASAN, lockdep, KCSAN and others'
	@echo '  bench            - what a translation costs, against vhost, KVM and others'

.PHONY: all modules modules_install deb htmldocs clean kdir demo demo-guests check check-all check-user lint \
	clamp kunit kunit-smp coverage check-arch check-install check-kernels bench proof fuzz mutants \
	debug-kernels help

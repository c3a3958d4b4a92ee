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

demo-disk:
	@scripts/demo-disk.sh

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

hunt:
	@proof/hunt.sh

quick:
	@scripts/quick.sh $(SUITE)

help:
	@echo 'start:   demo  (a kernel in QEMU, 3 min)  check  (all checks, at most 40 min)'
	@echo 'build:   modules (default)  modules_install  deb  clean  KDIR=build tree'
	@echo 'docs:    htmldocs  (docs/ and kernel-doc as one page)'
	@echo 'edit:    quick  (an oracle, one KUnit suite: SUITE=virtio_mem_xlate_range)'
	@echo
	@echo 'Parts of check (KSRC=kernel source, CACHE=folder; STEP= runs one step)'
	@echo '  lint             gcc and clang W=1, sparse, checkpatch, kernel-doc'
	@echo '  clamp            clamps against speculation in the object code'
	@echo '  kunit kunit-smp  the suites in UML, or on 4 CPUs (KERNEL=6.12, 6.1 or 7.3)'
	@echo '  coverage hunt    lines and branches reached; layouts with the worst cost'
	@echo 'Slower, or for a quiet machine'
	@echo '  check-all        check and all below but bench (PART=here or a release)'
	@echo '  check-fresh      demo and check in a clean root (RELEASE=)'
	@echo '  check-user       user memory, on stock kernels and in UML with KASAN'
	@echo '  check-arch       the suites on arm64, s390x and i386     demo-guests  two VMs'
	@echo '  demo-disk        a disk for stock drivers: this kernel, a VM, beside others'
	@echo '  check-install    make, package, dkms     check-kernels   build for all kernels'
	@echo '  proof fuzz       oracle, Frama-C, SPIN; sequences of calls by libFuzzer'
	@echo '  mutants          breaks the source in 500 places: does a check notice?'
	@echo '  debug-kernels    readers against updates under KASAN, lockdep, KCSAN'
	@echo '  bench            the cost of a translation, against vhost, KVM and others'

.PHONY: all modules modules_install deb htmldocs clean kdir demo demo-guests demo-disk check check-all check-fresh check-user lint \
	clamp kunit kunit-smp coverage check-arch check-install check-kernels bench proof fuzz mutants \
	debug-kernels hunt quick help
